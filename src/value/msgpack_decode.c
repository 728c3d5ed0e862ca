/* Builds the value of bytes that msgpack.c has looked at. Strings stay where they are; the head behind one makes room for its
 * zero, once it has been read. */
#include "value/maker.h"
#include "value/msgpack.h"

#include <errno.h>
#include <stdio.h>

struct cursor {
        const unsigned char *begin;
        unsigned char *at;
        unsigned char *unterminated;    /* where the zero of the last string goes; again, if there was none since */
};

static inline unsigned take_byte(struct cursor *c)
{
        unsigned byte = *c->at++;

        *c->unterminated = '\0';
        return byte;
}

static inline uint64_t take_number(struct cursor *c, unsigned size)
{
        uint64_t number = 0;

        for (unsigned i = 0; i < size; i++)
                number = number << 8 | *c->at++;
        return number;
}

/* So that each size is one move. */
static inline uint64_t take_sized(struct cursor *c, unsigned logarithm)
{
        switch (logarithm) {
        case 0:
                return *c->at++;
        case 1:
                return take_number(c, 2);
        case 2:
                return take_number(c, 4);
        default:
                return take_number(c, 8);
        }
}

static inline const char *take_bytes(struct cursor *c, uint32_t size)
{
        const char *bytes = (const char *)c->at;

        c->at += size;
        c->unterminated = c->at;
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

static double take_real(struct cursor *c, bool is_float)
{
        uint64_t bits = take_sized(c, is_float ? 2 : 3);
        uint32_t half = (uint32_t)bits;
        double real;
        float single;

        if (!is_float) {
                memcpy(&real, &bits, sizeof real);
                return real;
        }
        memcpy(&single, &half, sizeof single);
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

/* One value, or the opening of one, in which something is. */
static int take_other(struct maker *m, struct cursor *c, ferry_value *node, unsigned first, size_t offset)
{
        uint32_t size;

        switch (first) {
        case 0xca:
        case 0xcb:
                set_kind(node, FERRY_VALUE_DOUBLE, m->arena);
                node->real = take_real(c, first == 0xca);
                return 0;
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

/* This is inlined, so the place in the bytes stays in registers; what is called gets a copy of it. */
static inline int take_value(struct maker *m, struct cursor *c, ferry_value *node)
{
        struct cursor copy;
        int error;

        size_t offset = (size_t)(c->at - c->begin);
        unsigned first = take_byte(c);
        const char *bytes;
        uint32_t size;

        if (first >= 0xa0 && first < 0xc0) {
                set_string(node, take_bytes(c, first & 31), first & 31, m->arena);
                return 0;
        }
        if (first < 0x80 || first >= 0xe0 || (first >= 0xcc && first < 0xd4)) {
                set_integer(node, take_integer(c, first), m->arena);
                return 0;
        }
        switch (first) {
        case 0xc0:
                set_kind(node, FERRY_VALUE_NULL, m->arena);
                return 0;
        case 0xc2:
        case 0xc3:
                set_kind(node, FERRY_VALUE_BOOL, m->arena);
                node->boolean = first & 1;
                return 0;
        case 0xc4:
        case 0xc5:
        case 0xc6:
        case 0xd9:
        case 0xda:
        case 0xdb:
                bytes = take_string(c, first, &size);
                set_string(node, bytes, size, m->arena);
                if (first < 0xd9)
                        node->visibility = STRING_IS_BINARY;
                return 0;
        default:
                copy = *c;
                error = take_other(m, &copy, node, first, offset);
                *c = copy;
                return error;
        }
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

/* A value with all that is in it. */
static int make(struct maker *m, struct cursor *ret_c, ferry_value *node)
{
        struct cursor c = *ret_c;
        struct site *site;
        int error;

        for (;;) {
                error = take_value(m, &c, node);
                while (!error && m->site->left == 0)
                        error = maker_close(m, (size_t)(c.at - c.begin));
                site = m->site;
                if (error || site == m->stack)
                        break;
                site->left--;
                take_key(m, &c, site);
                node = site->at++;
        }
        *ret_c = c;
        return error;
}

int msgpack_decode(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root)
{
        unsigned char nothing, *begin = (unsigned char *)bytes;
        struct cursor c = { .begin = begin, .at = begin, .unterminated = &nothing };
        struct maker m;
        int error = maker_init(&m, check, size, arena);

        /* Which values will be referred to, before anything is built. */
        if (!error && check->has_references)
                msgpack_want(bytes, size, &m.slots);
        if (!error)
                error = make(&m, &c, root);
        *c.unterminated = '\0';
        maker_deinit(&m);
        check->offset = (size_t)(c.at - c.begin);
        return error;
}
