/* Makes the tree of bytes that have been looked at, where it will stay: each container says how many items it has, and nothing
 * can be wrong but what references name. For php and msgpack. */
#pragma once

#include "value/codec.h"
#include "value/slots.h"

#include <errno.h>
#include <stddef.h>
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

/* Members that are many, or may be twice; of an array of PHP, which may be a list. 0 or -ENOMEM. */
int site_gather(struct site *site, struct arena *arena);

/* An array of PHP whose first key is text is none. */
static inline bool site_may_be_list(const struct site *site)
{
        return site->is_array && site->size > 0 && site->node->members->entries->key.kind == FERRY_VALUE_INT;
}

static inline int maker_close(struct maker *maker, size_t offset)
{
        struct site *site = maker->site--;
        ferry_value *node = site->node, *parent = maker->site->node;

        node->size = site->size;
        /* Few members with different keys are as they stand. */
        if (node->kind != FERRY_VALUE_LIST && (site->size > MEMBERS_WITHOUT_SLOTS || site->may_have_twins || site_may_be_list(site)) &&
            site_gather(site, maker->arena) < 0)
                return -ENOMEM;
        if (parent->depth <= node->depth)
                parent->depth = (uint16_t)(node->depth + 1);
        if (site->slot > 0)
                slots_end(&maker->slots, site->slot, node, offset);
        return 0;
}

/* The key at the place of the next item is written: the item comes behind it. */
static inline void site_take_key(struct site *site)
{
        uint64_t bit = key_bit(site->at++);

        site->may_have_twins |= (site->key_bits & bit) != 0;
        site->key_bits |= bit;
}

/* Memory for the items of the container; its keys and items alternate then. 0 or -ENOMEM. */
int site_make_members(struct site *site, struct arena *arena, const char *class_name, uint32_t class_size);

static inline int site_make_items(struct site *site, struct arena *arena)
{
        site->at = arena_take(arena, site->size * sizeof *site->at);
        site->node->items = site->at;
        return site->at ? 0 : -ENOMEM;
}

/* The value of that number again; returns as slots_add(). */
int maker_add_again(struct maker *maker, ferry_value *node, uint64_t number, bool must_be_object);

/* All of a node but what it points to: the kind and the size in one move. */
static inline void set_head(ferry_value *node, enum ferry_value_kind kind, uint32_t size, struct arena *arena)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): 32 bits are moved by 32, in 64 */
        uint64_t head = (uint64_t)size << 32 | (uint64_t)kind;

        _Static_assert(offsetof(ferry_value, kind) == 0 && offsetof(ferry_value, size) == 4, "layout");
        memcpy(node, &head, sizeof head); /* NOLINT(clang-analyzer-core.NonNullParamChecker): what is announced has room */
#else
        node->kind = (uint8_t)kind;
        node->visibility = 0;
        node->depth = 0;
        node->size = size;
#endif
        node->arena = arena;
}

static inline void set_kind(ferry_value *node, enum ferry_value_kind kind, struct arena *arena)
{
        set_head(node, kind, 0, arena);
        node->integer = 0;
}

static inline void set_string(ferry_value *node, const char *bytes, uint32_t size, struct arena *arena)
{
        set_head(node, FERRY_VALUE_STRING, size, arena);
        node->bytes = bytes;
}

static inline void set_integer(ferry_value *node, int64_t integer, struct arena *arena)
{
        set_head(node, FERRY_VALUE_INT, 0, arena);
        node->integer = integer;
}

static inline void set_bool(ferry_value *node, bool boolean, struct arena *arena)
{
        set_head(node, FERRY_VALUE_BOOL, 0, arena);
        node->integer = 0;
        node->boolean = boolean;
}

static inline void set_real(ferry_value *node, double real, struct arena *arena)
{
        set_head(node, FERRY_VALUE_DOUBLE, 0, arena);
        node->real = real;
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
