/* Builds the value of bytes that msgpack.c has looked at. Strings stay where they are. Behind one stands the first byte of what
 * follows, or the byte behind all: so each first byte becomes a zero once it has been read, whether it stands behind a string or
 * not. */
#include "value/maker.h"
#include "value/msgpack.h"

#include <errno.h>
#include <stdio.h>

struct cursor {
        const unsigned char *begin;
        unsigned char *at;
};

static inline unsigned take_byte(struct cursor *c)
{
        unsigned byte = *c->at;

        *c->at++ = '\0';
        return byte;
}

/* Numbers of 1, 2, 4 and 8 bytes, which the compiler makes one move each. */
static inline uint64_t number_at(const unsigned char *at, unsigned size)
{
        uint64_t number = 0;

        for (unsigned i = 0; i < size; i++)
                number = number << 8 | at[i];
        return number;
}

static inline uint64_t take_sized(struct cursor *c, unsigned logarithm)
{
        const unsigned char *at = c->at;

        c->at += 1u << logarithm;
        switch (logarithm) {
        case 0:
                return *at;
        case 1:
                return number_at(at, 2);
        case 2:
                return number_at(at, 4);
        default:
                return number_at(at, 8);
        }
}

static inline const char *take_bytes(struct cursor *c, uint32_t size)
{
        const char *bytes = (const char *)c->at;

        c->at += size;
        return bytes;
}

/* A string, of which the first byte has been taken. */
static inline const char *take_string(struct cursor *c, unsigned first, uint32_t *ret_size)
{
        if (first < 0xc0)
                *ret_size = first & 31;
        else
                *ret_size = (uint32_t)take_sized(c, first < 0xd9 ? first - 0xc4 : first - 0xd9);
        return take_bytes(c, *ret_size);
}

/* An integer, of which the first byte has been taken. */
static inline int64_t take_integer(struct cursor *c, unsigned first)
{
        if (first < 0x80 || first >= 0xe0)
                return (int64_t)first - (first < 0x80 ? 0 : 256);
        switch (first) {
        case 0xd0:
                return (int8_t)take_sized(c, 0);
        case 0xd1:
                return (int16_t)take_sized(c, 1);
        case 0xd2:
                return (int32_t)take_sized(c, 2);
        default:
                return (int64_t)take_sized(c, first & 3);
        }
}

static inline double real_at(const unsigned char *at)
{
        uint64_t bits = number_at(at, 8);
        double real;

        memcpy(&real, &bits, sizeof real);
        return real;
}

static inline double single_at(const unsigned char *at)
{
        uint32_t bits = (uint32_t)number_at(at, 4);
        float single;

        memcpy(&single, &bits, sizeof single);
        return (double)single;
}

static int take_ext(struct maker *m, struct cursor *c, ferry_value *node, unsigned first)
{
        uint32_t size = first >= 0xd4 ? 1u << (first - 0xd4) : (uint32_t)take_sized(c, first - 0xc7);
        int8_t type = (int8_t)*c->at++;
        struct named named = { .bytes = take_bytes(c, size) };
        char name[EXT_CLASS_MAX];

        named.class_size = (uint32_t)snprintf(name, sizeof name, EXT_CLASS "%d", type);
        named.class_name = arena_copy(m->arena, name, named.class_size);
        return named.class_name ? maker_set_named(m, node, FERRY_VALUE_OPAQUE, &named, size) : -ENOMEM;
}

static int begin_slot(struct maker *m, size_t offset, size_t *ret_slot)
{
        *ret_slot = 0;
        return m->has_references ? slots_begin(&m->slots, offset, ret_slot) : 0;
}

static int open_list(struct maker *m, ferry_value *node, uint32_t size, size_t offset)
{
        struct site *site;
        size_t slot;

        if (begin_slot(m, offset, &slot) < 0)
                return -ENOMEM;
        set_kind(node, FERRY_VALUE_LIST, m->arena);
        site = maker_open(m, node, size, slot);
        site->has_keys = false;
        return site_make_items(site, m->arena);
}

static int open_map(struct maker *m, ferry_value *node, uint32_t size, bool is_array, size_t offset)
{
        struct site *site;
        size_t slot;

        if (begin_slot(m, offset, &slot) < 0)
                return -ENOMEM;
        set_kind(node, FERRY_VALUE_MAP, m->arena);
        site = maker_open(m, node, size, slot);
        site->is_array = is_array;
        return site_make_members(site, m->arena, NULL, 0);
}

/* The items of a list or map, of which the first byte has been taken. */
static inline uint32_t take_count(struct cursor *c, unsigned first)
{
        return first < 0xa0 ? first & 15 : (uint32_t)take_sized(c, (first & 1) + 1);
}

static int open_object(struct maker *m, struct cursor *c, ferry_value *node, unsigned name_first, uint32_t size, size_t offset)
{
        const char *name;
        uint32_t name_size;
        bool has_keys = true;
        struct site *site;
        size_t slot;
        unsigned first;

        name = take_string(c, name_first, &name_size);
        if (size == 1 && *c->at == 0xc0) {
                /* {nil: CLASS, nil: {…}}: what __serialize() gave. */
                take_byte(c);
                first = take_byte(c);
                has_keys = first < 0x90 || first >= 0xde;
                size = take_count(c, first);
        }
        if (begin_slot(m, offset, &slot) < 0)
                return -ENOMEM;
        set_kind(node, FERRY_VALUE_OBJECT, m->arena);
        site = maker_open(m, node, size, slot);
        site->has_keys = has_keys;
        return site_make_members(site, m->arena, name, name_size);
}

static int take_again(struct maker *m, struct cursor *c, ferry_value *node, bool is_object)
{
        take_integer(c, take_byte(c));
        return maker_add_again(m, node, (uint64_t)take_integer(c, take_byte(c)), is_object);
}

static int take_named(struct maker *m, struct cursor *c, ferry_value *node, enum ferry_value_kind kind, size_t offset)
{
        struct named named = { 0 };
        uint32_t size;
        size_t slot;
        int error;

        named.class_name = take_string(c, take_byte(c), &named.class_size);
        named.bytes = take_string(c, take_byte(c), &size);
        error = begin_slot(m, offset, &slot);
        if (!error)
                error = maker_set_named(m, node, kind, &named, size);
        if (!error && slot > 0)
                slots_end(&m->slots, slot, node, (size_t)(c->at - c->begin));
        return error;
}

/* What follows the first nil of a map of @size entries. */
static int take_special(struct maker *m, struct cursor *c, ferry_value *node, uint32_t size, size_t offset)
{
        unsigned first;

        take_byte(c);
        first = take_byte(c);
        /* A string: the integers here have one byte, as they are small, or two bytes and more. */
        if ((first >= 0xa0 && first < 0xc0) || (first >= 0xc4 && first <= 0xc6) || (first >= 0xd9 && first <= 0xdb))
                return open_object(m, c, node, first, size - 1, offset);
        switch (take_integer(c, first)) {
        case SPECIAL_REFERENCED:
                if (*c->at != 0xc0)
                        return open_map(m, node, size - 1, true, offset);
                take_byte(c);
                first = take_byte(c);
                return open_object(m, c, node, first, size - 2, offset);
        case SPECIAL_OPAQUE:
                return take_named(m, c, node, FERRY_VALUE_OPAQUE, offset);
        case SPECIAL_ENUM:
                return take_named(m, c, node, FERRY_VALUE_ENUM, offset);
        case SPECIAL_OBJECT_AGAIN:
                return take_again(m, c, node, true);
        default:
                return take_again(m, c, node, false);
        }
}

/* The opening of a list or map, or an ext: all that take_leaf() leaves. */
static int take_other(struct maker *m, struct cursor *c, ferry_value *node, unsigned first, size_t offset)
{
        uint32_t size;

        switch (first) {
        case 0xc7:
        case 0xc8:
        case 0xc9:
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8:
                return take_ext(m, c, node, first);
        case 0xdc:
        case 0xdd:
                return open_list(m, node, take_count(c, first), offset);
        case 0xde:
        case 0xdf:
                break;
        default:
                if (first >= 0x90)
                        return open_list(m, node, first & 15, offset);
        }
        size = take_count(c, first);
        if (size > 0 && *c->at == 0xc0)
                return take_special(m, c, node, size, offset);
        return open_map(m, node, size, false, offset);
}

static inline unsigned char *take_text(unsigned char *at, ferry_value *node, struct arena *arena, size_t head, uint64_t size)
{
        set_string(node, (const char *)at + head, (uint32_t)size, arena);
        *at = '\0';
        return at + head + size;
}

static inline unsigned char *take_binary(unsigned char *at, ferry_value *node, struct arena *arena, size_t head, uint64_t size)
{
        unsigned char *next = take_text(at, node, arena, head, size);

        node->visibility = STRING_IS_BINARY;
        return next;
}

/* A value with nothing in it, but an ext, and where the next one begins; NULL: it is something else, and nothing was taken. */
static inline __attribute__((__always_inline__)) unsigned char *take_leaf(unsigned char *at, ferry_value *node, struct arena *arena)
{
        unsigned first = *at;
        size_t size = 1;

        if (first >= 0xa0 && first < 0xc0)
                return take_text(at, node, arena, 1, first & 31);
        /* Small integers: up to 0x7f, and from 0xe0 on. */
        if (((first + 0x20) & 0xff) < 0xa0) {
                set_integer(node, (int8_t)first, arena);
                *at = '\0';
                return at + 1;
        }
        switch (first) {
        case 0xc0:
                set_kind(node, FERRY_VALUE_NULL, arena);
                break;
        case 0xc2:
        case 0xc3:
                set_bool(node, first & 1, arena);
                break;
        case 0xc4:
                return take_binary(at, node, arena, 2, at[1]);
        case 0xc5:
                return take_binary(at, node, arena, 3, number_at(at + 1, 2));
        case 0xc6:
                return take_binary(at, node, arena, 5, number_at(at + 1, 4));
        case 0xca:
                set_real(node, single_at(at + 1), arena);
                size = 5;
                break;
        case 0xcb:
                set_real(node, real_at(at + 1), arena);
                size = 9;
                break;
        case 0xcc:
                set_integer(node, at[1], arena);
                size = 2;
                break;
        case 0xcd:
                set_integer(node, (uint16_t)number_at(at + 1, 2), arena);
                size = 3;
                break;
        case 0xce:
                set_integer(node, (uint32_t)number_at(at + 1, 4), arena);
                size = 5;
                break;
        case 0xd0:
                set_integer(node, (int8_t)at[1], arena);
                size = 2;
                break;
        case 0xd1:
                set_integer(node, (int16_t)number_at(at + 1, 2), arena);
                size = 3;
                break;
        case 0xd2:
                set_integer(node, (int32_t)number_at(at + 1, 4), arena);
                size = 5;
                break;
        case 0xcf:
        case 0xd3:
                set_integer(node, (int64_t)number_at(at + 1, 8), arena);
                size = 9;
                break;
        case 0xd9:
                return take_text(at, node, arena, 2, at[1]);
        case 0xda:
                return take_text(at, node, arena, 3, number_at(at + 1, 2));
        case 0xdb:
                return take_text(at, node, arena, 5, number_at(at + 1, 4));
        default:
                return NULL;
        }
        *at = '\0';
        return at + size;
}

static inline void take_key(struct maker *m, struct cursor *c, struct site *site)
{
        bool is_object = site->node->kind == FERRY_VALUE_OBJECT;
        const char *bytes;
        uint32_t size;
        unsigned first;

        if (!site->has_keys) {
                /* The names of an object that are not written count from 0. */
                if (is_object)
                        set_integer(site->at++, site->size - site->left - 1, m->arena);
                return;
        }
        first = take_byte(c);
        if (first < 0x80 || first >= 0xe0 || (first >= 0xcc && first < 0xd4)) {
                set_integer(site->at, take_integer(c, first), m->arena);
                site_take_key(site);
                return;
        }
        bytes = take_string(c, first, &size);
        if (is_object)
                set_property(site->at, bytes, size, m->arena);
        else
                set_string(site->at, bytes, size, m->arena);
        site_take_key(site);
}

/* Items that are leaves, with short names. Returns where the next value goes, which is none, and has its key; NULL: there is
 * no item left, or none that has such a name. */
static inline ferry_value *take_members(struct site *site, struct cursor *c, struct arena *arena)
{
        bool is_object = site->node->kind == FERRY_VALUE_OBJECT;
        unsigned char *at = c->at, *next = at;
        ferry_value *node = site->at;
        uint64_t bits = site->key_bits, twins = 0;
        uint32_t left = site->left;

        while (left > 0) {
                unsigned first = *at, size = first - 0xa0;
                uint64_t bit;

                /* A name that is mangled has its own way, too. */
                if (size - 1 >= 31 || (is_object && at[1] == '\0'))
                        break;
                set_string(node, (const char *)at + 1, size, arena);
                *at++ = '\0';
                bit = name_bit(at, size);
                twins |= bits & bit;
                bits |= bit;
                left--;
                at += size;
                next = take_leaf(at, node + 1, arena);
                node += 2;
                if (!next)
                        break;
                at = next;
        }
        c->at = at;
        site->at = node;
        site->key_bits = bits;
        site->left = left;
        site->may_have_twins |= twins != 0;
        return next ? NULL : node - 1;
}

static inline ferry_value *take_items(struct site *site, struct cursor *c, struct arena *arena)
{
        unsigned char *at = c->at, *next = at;
        ferry_value *node = site->at;
        uint32_t left = site->left;

        while (left > 0) {
                left--;
                next = take_leaf(at, node, arena);
                node++;
                if (!next)
                        break;
                at = next;
        }
        c->at = at;
        site->at = node;
        site->left = left;
        return next ? NULL : node - 1;
}

/* The opening of a list or map as most are; all else has its own way. */
static inline int open_quickly(struct maker *m, struct cursor *c, ferry_value *node)
{
        unsigned first = *c->at;
        size_t offset = (size_t)(c->at - c->begin);

        /* Behind an empty map there may be nothing. */
        if (m->has_references || first >= 0xa0 || (first > 0x80 && first < 0x90 && c->at[1] == 0xc0))
                return take_other(m, c, node, take_byte(c), offset);
        *c->at++ = '\0';
        if (first >= 0x90) {
                set_head(node, FERRY_VALUE_LIST, 0, m->arena);
                return site_make_items(maker_open(m, node, first & 15, 0), m->arena);
        }
        set_head(node, FERRY_VALUE_MAP, 0, m->arena);
        return site_make_members(maker_open(m, node, first & 15, 0), m->arena, NULL, 0);
}

/* One value, or the opening of one, in which something is. */
static __attribute__((__noinline__)) int take_value(struct maker *m, struct cursor *c, ferry_value *node)
{
        unsigned char *next = take_leaf(c->at, node, m->arena);

        if (!next)
                return open_quickly(m, c, node);
        c->at = next;
        return 0;
}

/* A value with all that is in it. */
static int make(struct maker *m, struct cursor *c, ferry_value *root)
{
        int error = take_value(m, c, root);

        while (!error && m->site > m->stack) {
                struct site *site = m->site;
                ferry_value *next = NULL;

                if (site->node->kind == FERRY_VALUE_LIST)
                        next = take_items(site, c, m->arena);
                else if (site->has_keys)
                        next = take_members(site, c, m->arena);
                if (next)
                        error = open_quickly(m, c, next);
                else if (site->left == 0)
                        error = maker_close(m, (size_t)(c->at - c->begin));
                else {
                        site->left--;
                        take_key(m, c, site);
                        error = take_value(m, c, site->at++);
                }
        }
        return error;
}

int msgpack_decode(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root)
{
        unsigned char *begin = (unsigned char *)bytes;
        struct cursor c = { .begin = begin, .at = begin };
        struct maker m;
        int error = maker_init(&m, check, size, arena);

        /* Which values will be referred to, before anything is built. */
        if (!error && check->has_references)
                msgpack_want(bytes, size, &m.slots);
        if (!error)
                error = make(&m, &c, root);
        *c.at = '\0';
        maker_deinit(&m);
        check->offset = (size_t)(c.at - c.begin);
        return error;
}
