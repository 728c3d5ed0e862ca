/* Makes the tree of bytes that have been looked at, where it will stay: each container says how many items it has, and nothing
 * can be wrong but what references name. For php and msgpack. */
#pragma once

#include "value/codec.h"
#include "value/slots.h"

#include <string.h>

/* A container that is being filled. */
struct site {
        ferry_value *node;
        ferry_value *at;        /* where its next item goes, or the key of that */
        uint32_t size;
        uint32_t left;
        bool is_array;          /* of PHP: if its keys count from 0 it is a list */
        bool has_keys;          /* in the bytes */
        bool may_have_twins;    /* two keys have the same bit */
        uint64_t key_bits;
        size_t slot;
};

struct maker {
        struct arena *arena;
        bool has_references;
        struct slots slots;
        struct site *site;      /* the one that was opened last; the first of the stack is none, and has room for ever */
        struct site stack[DEPTH_MAX + 1];
        ferry_value nothing;
};

static inline size_t maker_depth(const struct maker *maker)
{
        return (size_t)(maker->site - maker->stack);
}

/* 0 or -ENOMEM; end with maker_deinit(). */
int maker_init(struct maker *maker, const struct check *check, size_t size, struct arena *arena);
void maker_deinit(struct maker *maker);

/* A container begins at @node; what it points to is to be set. It ends, at @offset; 0 or -ENOMEM. */
static inline struct site *maker_open(struct maker *maker, ferry_value *node, uint32_t size, size_t slot)
{
        struct site *site = ++maker->site;

        site->node = node;
        site->at = NULL;
        site->size = site->left = size;
        site->is_array = false;
        site->has_keys = true;
        site->may_have_twins = false;
        site->key_bits = 0;
        site->slot = slot;
        node->depth = 1;
        return site;
}

int maker_close(struct maker *maker, size_t offset);

/* The key at the place of the next item is written: the item comes behind it. */
static inline void site_take_key(struct site *site)
{
        uint64_t bit = key_bit(site->at++);

        site->may_have_twins |= (site->key_bits & bit) != 0;
        site->key_bits |= bit;
}

/* Memory for the items of the container; its keys and items alternate then. 0 or -ENOMEM. */
int site_make_members(struct site *site, struct arena *arena, const char *class_name, uint32_t class_size);
int site_make_items(struct site *site, struct arena *arena);

/* The value of that number again; returns as slots_add(). */
int maker_add_again(struct maker *maker, ferry_value *node, uint64_t number, bool must_be_object);

static inline void set_kind(ferry_value *node, enum ferry_value_kind kind, struct arena *arena)
{
        *node = (ferry_value){ .kind = (uint8_t)kind, .arena = arena };
}

static inline void set_string(ferry_value *node, const char *bytes, uint32_t size, struct arena *arena)
{
        *node = (ferry_value){ .kind = FERRY_VALUE_STRING, .size = size, .bytes = bytes, .arena = arena };
}

static inline void set_integer(ferry_value *node, int64_t integer, struct arena *arena)
{
        *node = (ferry_value){ .kind = FERRY_VALUE_INT, .integer = integer, .arena = arena };
}

/* The key of a property, whose name is "name", "\0*\0name" or "\0Class\0name". */
static inline void set_property(ferry_value *node, const char *bytes, uint32_t size, struct arena *arena)
{
        const char *name = bytes;

        if (size > 0 && *bytes == '\0')
                name = (const char *)memchr(bytes + 1, '\0', size - 1) + 1;
        set_string(node, name, size - (uint32_t)(name - bytes), arena);
        if (name > bytes)
                node->visibility = name - bytes == 3 && bytes[1] == '*' ? FERRY_VISIBILITY_PROTECTED : FERRY_VISIBILITY_PRIVATE;
}

/* A case of an enum, an opaque object. 0 or -ENOMEM. */
int maker_set_named(struct maker *maker, ferry_value *node, enum ferry_value_kind kind, const struct named *named, uint32_t size);
