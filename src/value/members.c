/* Maps and objects: their keys, the index over them, and what becomes of two that are equal. */
#include "value/tree.h"

#include <errno.h>
#include <string.h>

const char *key_mangled(const ferry_value *key, size_t *ret_size)
{
        const char *begin = key->bytes;

        if (key->kind == FERRY_VALUE_STRING && key->visibility != FERRY_VISIBILITY_PUBLIC)
                for (begin -= 2; *begin; begin--)
                        ;
        *ret_size = key->size + (size_t)(key->bytes - begin);
        return begin;
}

uint64_t key_hash(const struct hash_key *hash_key, const ferry_value *key, int visibility)
{
        const char *bytes = key->bytes;
        size_t size = key->size;

        if (key->kind == FERRY_VALUE_INT)
                return hash_bytes(hash_key, &key->integer, sizeof key->integer);
        if (visibility >= 0)
                bytes = key_mangled(key, &size);
        return hash_bytes(hash_key, bytes, size);
}

bool keys_equal(const ferry_value *a, const ferry_value *b, int visibility)
{
        const char *a_bytes = a->bytes, *b_bytes = b->bytes;
        size_t a_size = a->size, b_size = b->size;

        if (a->kind != b->kind)
                return false;
        if (a->kind == FERRY_VALUE_INT)
                return a->integer == b->integer;
        if (a_size != b_size)
                return false;
        if (visibility >= 0) {
                if (a->visibility != b->visibility)
                        return false;
                a_bytes = key_mangled(a, &a_size);
                b_bytes = key_mangled(b, &b_size);
        }
        return a_size == b_size && memcmp(a_bytes, b_bytes, a_size) == 0;
}

struct entry *members_find(const struct members *members, size_t count, const ferry_value *key, int visibility)
{
        if (members->slot_count == 0) {
                for (size_t i = 0; i < count; i++)
                        if (keys_equal(&members->entries[i].key, key, visibility))
                                return &members->entries[i];
                return NULL;
        }
        for (size_t slot = (size_t)key_hash(&members->hash_key, key, visibility);; slot++) {
                uint32_t index = members->slots[slot & (members->slot_count - 1)];

                if (index == 0)
                        return NULL;
                if (keys_equal(&members->entries[index - 1].key, key, visibility))
                        return &members->entries[index - 1];
        }
}

static int make_slots(struct arena *arena, struct members *members, const struct entry *entries, size_t count)
{
        uint32_t slots = 16;
        size_t taken = count;

        for (size_t i = 0; i < count; i++)
                taken += entries[i].key.visibility != FERRY_VISIBILITY_PUBLIC;
        while (slots < taken + taken / 2)
                slots *= 2;
        members->slots = arena_take(arena, slots * sizeof *members->slots);
        if (!members->slots)
                return -ENOMEM;
        memset(members->slots, 0, slots * sizeof *members->slots);
        members->slot_count = slots;
        members->hash_key = hash_secret();
        return 0;
}

/* The slot of a key: where its entry is named, or a free one. */
static uint32_t *find_slot(const struct members *members, const ferry_value *key, int visibility)
{
        for (size_t slot = (size_t)key_hash(&members->hash_key, key, visibility);; slot++) {
                uint32_t *found = &members->slots[slot & (members->slot_count - 1)];

                if (*found == 0 || keys_equal(&members->entries[*found - 1].key, key, visibility))
                        return found;
        }
}

/* Put the entry behind the @kept that are there, or its value to the one with its key. Returns how many there are then. */
static size_t keep(struct members *members, const struct entry *entry, size_t kept)
{
        uint32_t *slot = find_slot(members, &entry->key, 0);

        if (*slot) {
                members->entries[*slot - 1].value = entry->value;
                return kept;
        }
        if (&members->entries[kept] != entry)
                members->entries[kept] = *entry;
        *slot = (uint32_t)kept + 1;
        if (entry->key.visibility != FERRY_VISIBILITY_PUBLIC) {
                /* Others of that bare name are found by their class only: a thousand classes may each have one, and would
                 * all stand in one place. */
                slot = find_slot(members, &members->entries[kept].key, -1);
                if (!*slot)
                        *slot = (uint32_t)kept + 1;
        }
        return kept + 1;
}

/* The same for a few, which have no slots. */
static size_t keep_few(struct members *members, const struct entry *entries, size_t count)
{
        struct entry *end = members->entries;
        uint64_t seen = 0;

        for (size_t i = 0; i < count; i++) {
                uint64_t bit = key_bit(&entries[i].key);
                size_t kept = (size_t)(end - members->entries);
                struct entry *same = (seen & bit) ? members_find(members, kept, &entries[i].key, 0) : NULL;

                if (same)
                        same->value = entries[i].value;
                else {
                        if (end != &entries[i])
                                *end = entries[i]; /* NOLINT(clang-analyzer-core.NullDereference): there is room for @count */
                        end++;
                }
                seen |= bit;
        }
        return (size_t)(end - members->entries);
}

int members_gather(struct arena *arena, struct members *members, const struct entry *entries, size_t count,
                   bool may_have_twins, uint32_t *ret_count)
{
        size_t kept = 0;

        members->slot_count = 0;
        if (count > MEMBERS_WITHOUT_SLOTS) {
                if (make_slots(arena, members, entries, count) < 0)
                        return -ENOMEM;
                for (size_t i = 0; i < count; i++)
                        kept = keep(members, &entries[i], kept);
        } else if (may_have_twins)
                kept = keep_few(members, entries, count);
        else {
                if (members->entries != entries)
                        memcpy(members->entries, entries, count * sizeof *entries);
                kept = count;
        }
        *ret_count = (uint32_t)kept;
        return 0;
}

bool entries_count_from_0(const struct entry *entries, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (entries[i].key.kind != FERRY_VALUE_INT || entries[i].key.integer != (int64_t)i)
                        return false;
        return true;
}

int list_make(struct arena *arena, ferry_value *container, const struct entry *entries, size_t count)
{
        ferry_value *items = arena_take(arena, count * sizeof *items);

        if (!items)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++)
                items[i] = entries[i].value;
        container->kind = FERRY_VALUE_LIST;
        container->items = items;
        container->size = (uint32_t)count;
        return 0;
}
