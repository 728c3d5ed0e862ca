/* Arenas, nodes and the readers of values. Invariant: a node never changes once its builder has finished;
 * so whatever is shared is shared without a copy. It decodes nothing and builds nothing. */
#include "value/tree.h"

#include <errno.h>
#include <string.h>

enum {
        CHUNK_MAX = 1 << 15,     /* what is free at the end of a tree counts as its memory, too */
        SPARE_MAX = 1 << 14,     /* first memory of a tree that is kept for another one */
        SPARE_STEP = 256,        /* its size is a multiple, so that a tree that is a little larger finds room, too */
};

struct chunk {
        struct chunk *next;
        char bytes[];
};

struct hold {
        struct hold *next;
        struct arena *tree;
        struct block *block;
        const void *contents;   /* of a leaf that shares them with that tree; NULL: of anything */
};

enum { HOLDS_LOOKED_AT = 64 };

struct arena *arena_new(size_t size)
{
        struct arena *arena;

        size = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
        arena = sys_alloc(sizeof *arena + size);
        if (!arena)
                return NULL;
        *arena = (struct arena){ .references = 1, .at = (char *)(arena + 1), .end = (char *)(arena + 1) + size,
                                 .room = size <= SPARE_MAX ? (uint32_t)size : 0 };
        return arena;
}

void arena_init_lent(struct arena *arena, void *memory, size_t size)
{
        *arena = (struct arena){ .references = 1, .at = memory, .end = (char *)memory + size, .is_lent = true };
}

/* What an arena holds, and its chunks. */
static void release_contents(struct arena *arena, struct arena **dead)
{
        for (struct hold *hold = arena->holds; hold; hold = hold->next) {
                block_unref(hold->block);
                if (hold->tree && --hold->tree->references == 0) {
                        hold->tree->next_dead = *dead;
                        *dead = hold->tree;
                }
        }
        for (struct chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
                next = chunk->next;
                sys_free(chunk);
        }
}

/* Trees that hold trees that hold trees end one after the other, not one within the other. */
static void release_all(struct arena *dead)
{
        while (dead) {
                struct arena *arena = dead;

                dead = arena->next_dead;
                release_contents(arena, &dead);
                if (!arena->is_lent)
                        sys_free(arena);
        }
}

void arena_deinit_lent(struct arena *arena)
{
        arena->next_dead = NULL;
        release_all(arena);
}

void arena_unref(struct arena *arena)
{
        if (--arena->references > 0)
                return;
        arena->next_dead = NULL;
        release_all(arena);
}

void spare_keep(struct spare *spare, ferry_value *value)
{
        struct arena *arena = value ? value->arena : NULL, *dead = NULL;

        if (!arena)
                return;
        if (arena->references > 1 || arena->is_lent || arena->room <= (spare->arena ? spare->arena->room : 0)) {
                arena_unref(arena);
                return;
        }
        release_contents(arena, &dead);
        release_all(dead);
        spare_deinit(spare);
        spare->arena = arena;
}

struct arena *spare_take(struct spare *spare, size_t size)
{
        struct arena *arena = spare->arena;
        char *memory;

        if (!arena || size > arena->room)
                return arena_new(size <= SPARE_MAX ? (size + SPARE_STEP - 1) / SPARE_STEP * SPARE_STEP : size);
        spare->arena = NULL;
        memory = (char *)(arena + 1);
        *arena = (struct arena){ .references = 1, .at = memory, .end = memory + arena->room, .room = arena->room };
        return arena;
}

void spare_deinit(struct spare *spare)
{
        if (spare->arena)
                sys_free(spare->arena);
        spare->arena = NULL;
}

void *arena_take_slowly(struct arena *arena, size_t size)
{
        size_t room = arena->grown < 512 ? 512 : arena->grown;
        struct chunk *chunk;

        if (size > SIZE_MAX / 2)
                return NULL;
        size = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
        if (room > CHUNK_MAX)
                room = CHUNK_MAX;
        if (size > room / 4) {
                /* A chunk of its own, so that what is free in the current one stays of use. */
                chunk = sys_alloc(sizeof *chunk + size);
                if (!chunk)
                        return NULL;
        } else {
                chunk = sys_alloc(sizeof *chunk + room);
                if (!chunk)
                        return NULL;
                arena->at = chunk->bytes + size;
                arena->end = chunk->bytes + room;
        }
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->grown += size > room / 4 ? size : room;
        return chunk->bytes;
}

char *arena_copy(struct arena *arena, const void *bytes, size_t size)
{
        char *copy = arena_take(arena, size + 1);

        if (!copy)
                return NULL;
        if (size)
                memcpy(copy, bytes, size);
        copy[size] = '\0';
        return copy;
}

static struct hold *add_hold(struct arena *arena)
{
        struct hold *hold = arena_take(arena, sizeof *hold);

        if (!hold)
                return NULL;
        *hold = (struct hold){ .next = arena->holds };
        arena->holds = hold;
        return hold;
}

static int hold_tree(struct arena *arena, struct arena *other, const void *contents)
{
        struct hold *hold = arena->holds;

        if (arena == other || (hold && hold->tree == other && (!contents || hold->contents == contents)))
                return 0;
        hold = add_hold(arena);
        if (!hold)
                return -ENOMEM;
        hold->tree = other;
        hold->contents = contents;
        other->references++;
        return 0;
}

int arena_hold_tree(struct arena *arena, struct arena *other)
{
        return hold_tree(arena, other, NULL);
}

/* What a node points to; NULL if nothing. */
static const void *contents_of(const ferry_value *value)
{
        switch (value->kind) {
        case FERRY_VALUE_STRING:
                return value->bytes;
        case FERRY_VALUE_LIST:
                return value->size > 0 ? value->items : NULL;
        case FERRY_VALUE_MAP:
        case FERRY_VALUE_OBJECT:
                return value->members;
        case FERRY_VALUE_ENUM:
        case FERRY_VALUE_OPAQUE:
                return value->named;
        default:
                return NULL;
        }
}

/* The arena that this lies in: that of the node, unless it is a copy that shares it with another tree. NULL if too many
 * are held there to look. */
static struct arena *arena_of(const ferry_value *value, const void *contents)
{
        int looked_at = 0;

        /* An item lies where all items do, and names that arena. */
        if (value->kind == FERRY_VALUE_LIST)
                return value->items[0].arena;
        if ((value->kind == FERRY_VALUE_MAP || value->kind == FERRY_VALUE_OBJECT) && value->size > 0)
                return value->members->entries[0].value.arena;
        for (const struct hold *hold = value->arena->holds; hold; hold = hold->next) {
                if (hold->contents == contents)
                        return hold->tree;
                if (++looked_at == HOLDS_LOOKED_AT)
                        return NULL;
        }
        return value->arena;
}

int arena_hold_contents(struct arena *arena, const ferry_value *value)
{
        const void *contents = contents_of(value);
        struct arena *owner = contents ? arena_of(value, contents) : arena;
        bool has_items = value->kind >= FERRY_VALUE_LIST && value->kind <= FERRY_VALUE_OBJECT && value->size > 0;

        return owner ? hold_tree(arena, owner, has_items ? NULL : contents) : -E2BIG;
}

int arena_hold_block(struct arena *arena, struct block *block)
{
        struct hold *hold = add_hold(arena);

        if (!hold)
                return -ENOMEM;
        hold->block = block;
        block_ref(block);
        return 0;
}

bool text_is_integer(const char *text, size_t size, int64_t *ret_integer)
{
        bool is_negative = size > 0 && text[0] == '-';
        size_t at = is_negative;
        uint64_t magnitude = 0;

        if (at == size || size - at > 19 || (text[at] == '0' && size > 1))
                return false;
        for (; at < size; at++) {
                if (text[at] < '0' || text[at] > '9')
                        return false;
                magnitude = magnitude * 10 + (uint64_t)(text[at] - '0');
        }
        if (magnitude > (uint64_t)INT64_MAX + is_negative)
                return false;
        *ret_integer = (int64_t)(is_negative ? 0 - magnitude : magnitude);
        return true;
}

ferry_value *ferry_value_ref(const ferry_value *value)
{
        if (value)
                value->arena->references++;
        return (ferry_value *)value;
}

ferry_value *ferry_value_unref(ferry_value *value)
{
        if (value)
                arena_unref(value->arena);
        return NULL;
}

static bool nodes_equal(const ferry_value *a, const ferry_value *b)
{
        if (a->kind != b->kind) {
                /* As doubles: json writes a large one as the integer that reads back as it, not as its exact value. */
                if (a->kind == FERRY_VALUE_INT && b->kind == FERRY_VALUE_DOUBLE)
                        return (double)a->integer == b->real;
                return a->kind == FERRY_VALUE_DOUBLE && b->kind == FERRY_VALUE_INT && nodes_equal(b, a);
        }
        switch (a->kind) {
        case FERRY_VALUE_NULL:
                return true;
        case FERRY_VALUE_BOOL:
                return a->boolean == b->boolean;
        case FERRY_VALUE_INT:
                return a->integer == b->integer;
        case FERRY_VALUE_DOUBLE:
                return a->real == b->real || (a->real != a->real && b->real != b->real);
        case FERRY_VALUE_STRING:
                return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
        case FERRY_VALUE_LIST:
        case FERRY_VALUE_MAP:
                return a->size == b->size;
        case FERRY_VALUE_OBJECT:
                return a->size == b->size && a->members->class_size == b->members->class_size &&
                       memcmp(a->members->class_name, b->members->class_name, a->members->class_size) == 0;
        default:
                return a->size == b->size && a->named->class_size == b->named->class_size &&
                       memcmp(a->named->class_name, b->named->class_name, a->named->class_size) == 0 &&
                       memcmp(a->named->bytes, b->named->bytes, a->size) == 0;
        }
}

bool ferry_value_equal(const ferry_value *a, const ferry_value *b)
{
        struct walk a_walk, b_walk;
        struct walk_step a_step, b_step;

        if (!a || !b)
                return a == b;
        walk_begin(&a_walk, a);
        walk_begin(&b_walk, b);
        while (walk_next(&a_walk, &a_step)) {
                if (!walk_next(&b_walk, &b_step) || a_step.is_closing != b_step.is_closing)
                        return false;
                if (a_step.is_closing)
                        continue;
                if (!nodes_equal(a_step.value, b_step.value) || !a_step.key != !b_step.key)
                        return false;
                if (a_step.key && !keys_equal(a_step.key, b_step.key, 0))
                        return false;
        }
        return true;
}

enum ferry_value_kind ferry_value_kind(const ferry_value *value)
{
        return value ? value->kind : FERRY_VALUE_NONE;
}

bool ferry_value_bool(const ferry_value *value, bool fallback)
{
        return value && value->kind == FERRY_VALUE_BOOL ? value->boolean : fallback;
}

int64_t ferry_value_int(const ferry_value *value, int64_t fallback)
{
        return value && value->kind == FERRY_VALUE_INT ? value->integer : fallback;
}

double ferry_value_double(const ferry_value *value, double fallback)
{
        if (value && value->kind == FERRY_VALUE_INT)
                return (double)value->integer;
        return value && value->kind == FERRY_VALUE_DOUBLE ? value->real : fallback;
}

const char *ferry_value_text(const ferry_value *value, const char *fallback)
{
        return value && value->kind == FERRY_VALUE_STRING ? value->bytes : fallback;
}

const void *ferry_value_bytes(const ferry_value *value, size_t *ret_size)
{
        const char *bytes = NULL;

        if (value && value->kind == FERRY_VALUE_STRING)
                bytes = value->bytes;
        else if (value && (value->kind == FERRY_VALUE_ENUM || value->kind == FERRY_VALUE_OPAQUE))
                bytes = value->named->bytes;
        if (ret_size)
                *ret_size = bytes ? value->size : 0;
        return bytes;
}

size_t ferry_value_count(const ferry_value *value)
{
        return value && is_container(value) ? value->size : 0;
}

const ferry_value *ferry_value_at(const ferry_value *value, size_t index)
{
        if (index >= ferry_value_count(value))
                return NULL;
        return value->kind == FERRY_VALUE_LIST ? &value->items[index] : &value->members->entries[index].value;
}

const ferry_value *ferry_value_key(const ferry_value *value, size_t index)
{
        if (index >= ferry_value_count(value) || value->kind == FERRY_VALUE_LIST)
                return NULL;
        return &value->members->entries[index].key;
}

const ferry_value *ferry_value_get(const ferry_value *value, const char *key)
{
        ferry_value text = { .kind = FERRY_VALUE_STRING, .bytes = key };
        const struct entry *entry;
        size_t size;

        if (!key || !value || (value->kind != FERRY_VALUE_MAP && value->kind != FERRY_VALUE_OBJECT))
                return NULL;
        size = strlen(key);
        if (size > UINT32_MAX)
                return NULL;
        text.size = (uint32_t)size;
        entry = members_find(value->members, value->size, &text, -1);
        if (!entry && text_is_integer(key, size, &text.integer)) {
                text.kind = FERRY_VALUE_INT;
                entry = members_find(value->members, value->size, &text, -1);
        }
        return entry ? &entry->value : NULL;
}

const char *ferry_value_class(const ferry_value *value)
{
        switch (ferry_value_kind(value)) {
        case FERRY_VALUE_OBJECT:
                return value->members->class_name;
        case FERRY_VALUE_ENUM:
        case FERRY_VALUE_OPAQUE:
                return value->named->class_name;
        default:
                return NULL;
        }
}

const void *ferry_arg(const ferry_value *value)
{
        return value;
}

bool ferry_value_is_binary(const ferry_value *value)
{
        return value && value->kind == FERRY_VALUE_STRING && value->visibility == STRING_IS_BINARY;
}

enum ferry_visibility ferry_value_visibility(const ferry_value *value, size_t index, const char **ret_class_name)
{
        const ferry_value *key = ferry_value_key(value, index);
        size_t size;

        if (ret_class_name)
                *ret_class_name = NULL;
        if (!key || value->kind != FERRY_VALUE_OBJECT)
                return FERRY_VISIBILITY_PUBLIC;
        if (ret_class_name && key->visibility == FERRY_VISIBILITY_PRIVATE)
                *ret_class_name = key_mangled(key, &size) + 1;
        return key->visibility;
}

size_t tree_weigh(const ferry_value *root)
{
        size_t size = 0;
        struct walk walk;
        struct walk_step step;

        walk_begin(&walk, root);
        while (walk_next(&walk, &step)) {
                const ferry_value *parts[] = { step.key, step.value };

                for (int i = 0; i < 2 && !step.is_closing; i++) {
                        size_t bytes = 0;

                        ferry_value_bytes(parts[i], &bytes);
                        size += sizeof *root + bytes;
                }
        }
        return size;
}
