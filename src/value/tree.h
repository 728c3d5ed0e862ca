/* How values lie in memory. A tree lives in one arena, which has one count; each node names its arena, so
 * that holding any part holds the tree. A node that shares another tree is a copy of that tree's root (24
 * bytes), and its arena holds the other arena. Strings end with a zero, and stand in the arena, or in a
 * block of received bytes that the arena holds. */
#pragma once

#include <ferry/value.h>

#include "util/block.h"
#include "util/map.h"

enum {
        DEPTH_MAX = 512,
        MEMBERS_WITHOUT_SLOTS = 8,      /* so few keys are found by looking at each */
        STRING_IS_BINARY = 0x80,        /* msgpack's bin: no text */
        ARENA_ALIGNMENT = 8,
        ARENA_HOLD_SIZE = 4 * sizeof(void *),   /* what a hold takes */
};

struct arena {
        size_t references;
        char *at;               /* free memory */
        char *end;
        size_t grown;           /* bytes in chunks */
        struct chunk *chunks;
        struct hold *holds;
        struct arena *next_dead;
        bool is_lent;           /* its first memory is not its own: it lies on a stack */
        uint32_t room;          /* bytes of its first memory, if it is small enough to be kept for another tree */
};

/* The memory of a tree that has ended, for the next one, so that trees of much the same size that come one after the other
 * allocate nothing. All zero: none. */
struct spare {
        struct arena *arena;
};

struct ferry_value {
        uint8_t kind;
        uint8_t visibility;     /* of a key of an object; of a string that is no key: STRING_IS_BINARY or 0 */
        uint16_t depth;         /* of containers below and with this one */
        uint32_t size;          /* bytes of a string; items of a container */
        union {
                bool boolean;
                int64_t integer;
                double real;
                const char *bytes;              /* a string; a key that is private or protected stands
                                                 * behind its "\0Class\0", as PHP mangles it */
                const ferry_value *items;       /* a list */
                const struct members *members;  /* a map, an object */
                const struct named *named;      /* an enum, an opaque object */
        };
        struct arena *arena;
};

struct entry {
        ferry_value key;
        ferry_value value;
};

struct members {
        const char *class_name;
        uint32_t class_size;
        uint32_t slot_count;    /* 0: few enough to look at each */
        uint32_t *slots;        /* the index of an entry plus 1, by the hash of its key; of a property that is not
                                 * public by its mangled name, and of the first with a bare name by that, too */
        struct hash_key hash_key;       /* if there are slots */
        struct entry *entries;
};

struct named {
        const char *class_name;
        uint32_t class_size;
        const char *bytes;      /* its size is the value's */
};

/* An arena with room for @size bytes at first; NULL if memory is out. One in memory that is lent must not
 * outlive that. */
struct arena *arena_new(size_t size);
void arena_init_lent(struct arena *arena, void *memory, size_t size);
void arena_deinit_lent(struct arena *arena);
void arena_unref(struct arena *arena);

/* End a reference to a tree (NULL: none). If it was the last, what the tree held is released, and its memory is kept if it is
 * small and more than the spare has. */
void spare_keep(struct spare *spare, ferry_value *value);
/* An arena as arena_new() makes it: the one that is spare, if it has that room. */
struct arena *spare_take(struct spare *spare, size_t size);
void spare_deinit(struct spare *spare);

/* Memory that lives as long as the arena, aligned for nodes; NULL if it is out. */
void *arena_take_slowly(struct arena *arena, size_t size);

static inline void *arena_take(struct arena *arena, size_t size)
{
        char *at = arena->at;

        /* Free memory is a multiple of the alignment, so what is rounded up fits, too. */
        if (size > (size_t)(arena->end - at))
                return arena_take_slowly(arena, size);
        arena->at += (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
        return at;
}

/* A copy of bytes, with a zero behind it. */
char *arena_copy(struct arena *arena, const void *bytes, size_t size);

/* Let the arena hold what a node points to, for a copy of it: not the tree that the node stands in, which may share it
 * with another one, so that carrying a part from tree to tree does not keep them all. 0, -ENOMEM; -E2BIG if what it
 * points to must be copied, because it is not known where it lies. */
int arena_hold_contents(struct arena *arena, const ferry_value *value);

/* Let the arena hold a tree, a block. 0 or -ENOMEM. */
int arena_hold_tree(struct arena *arena, struct arena *other);
int arena_hold_block(struct arena *arena, struct block *block);

/* A bit for each key: keys that have different ones are different. The first, middle and last byte distinguish the names that
 * members of one map have. */
static inline uint64_t name_bit(const void *name, size_t size)
{
        const unsigned char *bytes = name;

        return size == 0 ? 1 : (uint64_t)1 << ((bytes[0] + 7u * bytes[size / 2] + bytes[size - 1]) & 63);
}

static inline uint64_t key_bit(const ferry_value *key)
{
        return key->kind == FERRY_VALUE_STRING ? name_bit(key->bytes, key->size) : (uint64_t)1 << (key->integer & 63);
}

/* members.c: put entries, which may stand where those of @members do, into it; of two with the same key the later value takes
 * the first place. @may_have_twins: two of the keys have the same bit, or that is not known. Where they are many they get their
 * index. 0 or -ENOMEM. */
int members_gather(struct arena *arena, struct members *members, const struct entry *entries, size_t count,
                   bool may_have_twins, uint32_t *ret_count);

/* The entry with that key, or NULL. With a visibility of -1 a property is found by its bare name. */
struct entry *members_find(const struct members *members, size_t count, const ferry_value *key,
                           int visibility);
uint64_t key_hash(const struct hash_key *hash_key, const ferry_value *key, int visibility);
bool keys_equal(const ferry_value *a, const ferry_value *b, int visibility);

/* A property's name as PHP mangles it. */
const char *key_mangled(const ferry_value *key, size_t *ret_size);

/* Whether entries could be a list; make one of their values. 0 or -ENOMEM. */
bool entries_count_from_0(const struct entry *entries, size_t count);
int list_make(struct arena *arena, ferry_value *container, const struct entry *entries, size_t count);

/* Whether text is an integer as PHP's arrays take it for one: canonical, within int64. */
bool text_is_integer(const char *text, size_t size, int64_t *ret_integer);

/* Over all nodes of a tree, without recursion: each value is a step; a container that has items is a second
 * one, when it is closed. */
struct walk {
        size_t depth;
        struct {
                const ferry_value *container;
                uint32_t next;
        } stack[DEPTH_MAX + 1];
        const ferry_value *root;
};

struct walk_step {
        const ferry_value *value;
        const ferry_value *parent;      /* NULL at the root */
        const ferry_value *key;         /* NULL in a list and at the root */
        uint32_t index;                 /* among its siblings */
        bool is_closing;
};

static inline void walk_begin(struct walk *walk, const ferry_value *root)
{
        walk->depth = 0;
        walk->root = root;
}

static inline bool is_container(const ferry_value *value)
{
        return value->kind >= FERRY_VALUE_LIST && value->kind <= FERRY_VALUE_OBJECT;
}

/* Here, because it is called for each node. */
static inline bool walk_next(struct walk *walk, struct walk_step *ret_step)
{
        const ferry_value *container, *value;
        uint32_t at;

        if (walk->root) {
                *ret_step = (struct walk_step){ .value = walk->root };
                walk->root = NULL;
        } else {
                if (walk->depth == 0)
                        return false;
                container = walk->stack[walk->depth - 1].container;
                at = walk->stack[walk->depth - 1].next++;
                if (at == container->size) {
                        walk->depth--;
                        *ret_step = (struct walk_step){ .value = container, .is_closing = true };
                        return true;
                }
                if (container->kind == FERRY_VALUE_LIST)
                        *ret_step = (struct walk_step){ .value = &container->items[at], .parent = container, .index = at };
                else
                        *ret_step = (struct walk_step){ .value = &container->members->entries[at].value,
                                                        .parent = container,
                                                        .key = &container->members->entries[at].key,
                                                        .index = at };
        }
        value = ret_step->value;
        if (is_container(value) && value->size > 0) {
                walk->stack[walk->depth].container = value;
                walk->stack[walk->depth++].next = 0;
        }
        return true;
}

/* The memory that a tree keeps, roughly: whatever it shares with others, it may be the last to hold it. */
size_t tree_weigh(const ferry_value *root);
