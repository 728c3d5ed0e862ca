/* Builds the value of bytes that php.c has looked at: here nothing can be wrong with them but what their references name. It is
 * built where it will stay, since each container says how many entries it has. Strings stay where they are; the closing quote
 * makes room for their zero. */
#include "value/maker.h"
#include "value/number.h"
#include "value/php.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static inline char *take_count(char *at, uint32_t *ret)
{
        uint32_t count = (uint32_t)(*at++ - '0');

        while ((unsigned char)(*at - '0') <= 9)
                count = count * 10 + (uint32_t)(*at++ - '0');
        *ret = count;
        return at;
}

/* From the length to what is behind the closing quote. */
static inline char *take_quoted(char *at, const char **ret_bytes, uint32_t *ret_size)
{
        at = take_count(at, ret_size) + 2;
        *ret_bytes = at;
        at += *ret_size;
        *at = '\0';
        return at + 1;
}

static inline char *take_integer(char *at, int64_t *ret)
{
        bool is_negative = *at == '-';
        uint64_t number = 0;

        for (at += is_negative; *at != ';'; at++)
                number = number * 10 + (uint64_t)(*at - '0');
        *ret = (int64_t)(is_negative ? 0 - number : number);
        return at + 1;
}

static char *take_double(char *at, double *ret)
{
        char *end = at;
        const char *digits = at + (*at == '-');

        while (*end != ';')
                end++;
        if (*digits == 'I')
                *ret = digits > at ? -INFINITY : INFINITY;
        else
                *ret = *digits == 'N' ? NAN : number_parse(at, (size_t)(end - at));
        return end + 1;
}

/* It is no list: what is in it gets its keys. */
static int become_map(struct maker *m, struct site *site)
{
        const ferry_value *items = site->node->items;
        uint32_t count = site->size - site->left - 1;

        site->node->kind = FERRY_VALUE_MAP;
        if (site_make_members(site, m->arena, NULL, 0) < 0)
                return -ENOMEM;
        for (uint32_t i = 0; i < count; i++) {
                set_integer(site->at, i, m->arena);
                site_take_key(site);
                *site->at++ = items[i];
        }
        return 0;
}

/* The key of the next entry; then its place is where the value goes. */
static inline char *take_key(struct maker *m, struct site *site, char *at, int *ret_error)
{
        bool is_integer = *at == 'i';
        const char *bytes = NULL;
        int64_t integer = 0;
        uint32_t size = 0;

        if (is_integer)
                at = take_integer(at + 2, &integer);
        else {
                at = take_quoted(at + 2, &bytes, &size) + 1;
                is_integer = site->is_array && size > 0 && *bytes <= '9' && text_is_integer(bytes, size, &integer);
        }
        if (site->node->kind == FERRY_VALUE_LIST) {
                if (is_integer && integer == (int64_t)(site->size - site->left - 1))
                        return at;
                *ret_error = become_map(m, site);
                if (*ret_error)
                        return at;
        }
        if (is_integer)
                set_integer(site->at, integer, m->arena);
        else if (site->is_array)
                set_string(site->at, bytes, size, m->arena);
        else
                set_property(site->at, bytes, size, m->arena);
        site_take_key(site);
        return at;
}

/* A list, as long as its keys count from 0. */
static int take_array(struct maker *m, ferry_value *node, char **at, size_t slot)
{
        struct site *site;
        uint32_t size;

        *at = take_count(*at, &size) + 2;
        set_kind(node, FERRY_VALUE_LIST, m->arena);
        site = maker_open(m, node, size, slot);
        site->is_array = true;
        if (size == 0 || memcmp(*at, "i:0;", 4) == 0)
                return site_make_items(site, m->arena);
        node->kind = FERRY_VALUE_MAP;
        return site_make_members(site, m->arena, NULL, 0);
}

static int take_object(struct maker *m, ferry_value *node, char **at, size_t slot)
{
        const char *name;
        uint32_t class_size, size;

        *at = take_quoted(*at, &name, &class_size) + 1;
        *at = take_count(*at, &size) + 2;
        set_kind(node, FERRY_VALUE_OBJECT, m->arena);
        return site_make_members(maker_open(m, node, size, slot), m->arena, name, class_size);
}

/* E:SIZE:"CLASS:CASE"; and C:SIZE:"CLASS":SIZE:{bytes} */
static int take_named(struct maker *m, ferry_value *node, char **at, bool is_enum)
{
        struct named named = { 0 };
        uint32_t size;
        char *colon;

        *at = take_quoted(*at, &named.class_name, &named.class_size) + 1;
        if (is_enum) {
                colon = memchr(named.class_name, ':', named.class_size);
                *colon = '\0';
                named.bytes = colon + 1;
                size = named.class_size - (uint32_t)(named.bytes - named.class_name);
                named.class_size -= size + 1;
        } else {
                *at = take_count(*at, &size) + 2;
                named.bytes = *at;
                *at += size;
                *(*at)++ = '\0';
        }
        return maker_set_named(m, node, is_enum ? FERRY_VALUE_ENUM : FERRY_VALUE_OPAQUE, &named, size);
}

/* What is no scalar, from behind its letter and colon. */
static char *take_other(struct maker *m, ferry_value *node, char kind, char *at, size_t slot, int *ret_error)
{
        uint32_t number;

        switch (kind) {
        case 'a':
                *ret_error = take_array(m, node, &at, slot);
                break;
        case 'O':
                *ret_error = take_object(m, node, &at, slot);
                break;
        case 'E':
        case 'C':
                *ret_error = take_named(m, node, &at, kind == 'E');
                break;
        default:
                at = take_count(at, &number) + 1;
                *ret_error = maker_add_again(m, node, number, kind == 'r');
        }
        return at;
}

/* One value, or the opening of one. Returns what is behind it: a place in memory would keep @at out of a register. */
static inline char *take_value(struct maker *m, ferry_value *node, char *at, size_t slot, int *ret_error)
{
        const char *bytes;
        uint32_t size;
        char kind = *at;

        at += 2;
        switch (kind) {
        case 's':
                at = take_quoted(at, &bytes, &size) + 1;
                set_string(node, bytes, size, m->arena);
                return at;
        case 'i':
                set_kind(node, FERRY_VALUE_INT, m->arena);
                return take_integer(at, &node->integer);
        case 'N':
                set_kind(node, FERRY_VALUE_NULL, m->arena);
                return at;
        case 'b':
                set_kind(node, FERRY_VALUE_BOOL, m->arena);
                node->boolean = *at == '1';
                return at + 2;
        case 'd':
                set_kind(node, FERRY_VALUE_DOUBLE, m->arena);
                return take_double(at, &node->real);
        default:
                return take_other(m, node, kind, at, slot, ret_error);
        }
}

/* The value at @begin into *@node, with all that is in it. *@ret_at is where it ends, or where an error was seen. */
static inline int make(struct maker *m, ferry_value *node, char *begin, bool has_references, char **ret_at)
{
        char *at = begin;
        int error = 0;

        for (;;) {
                const struct site *before = m->site;
                struct site *site;
                size_t slot = 0;

                /* A reference by R is no value of its own. */
                if (has_references && *at != 'R')
                        error = slots_begin(&m->slots, (size_t)(at - begin), &slot);
                if (!error)
                        at = take_value(m, node, at, slot, &error);
                if (has_references && !error && slot > 0 && m->site == before)
                        slots_end(&m->slots, slot, node, (size_t)(at - begin));
                while (!error && m->site->left == 0)
                        error = maker_close(m, (size_t)(++at - begin));
                site = m->site;
                if (error || site == m->stack)
                        break;
                site->left--;
                at = take_key(m, site, at, &error);
                if (error)
                        break;
                node = site->at++;
        }
        *ret_at = at;
        return error;
}

int php_decode(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root)
{
        struct maker m;
        char *at = bytes;
        int error = maker_init(&m, check, size, arena);

        /* Which values will be referred to, before anything is built. */
        if (!error && check->has_references) {
                php_want(bytes, size, &m.slots);
                error = make(&m, root, bytes, true, &at);
        } else if (!error)
                error = make(&m, root, bytes, false, &at);
        maker_deinit(&m);
        check->offset = (size_t)(at - bytes);
        return error;
}
