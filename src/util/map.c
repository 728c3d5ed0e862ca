/* A chained hash map over nodes that live in their objects, so that adding cannot fail. */
#include "util/map.h"

#include "util/sys.h"

#include <string.h>

#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))

struct sip {
        uint64_t a, b, c, d;
};

static void sip_round(struct sip *s)
{
        s->a += s->b, s->b = ROTATE(s->b, 13) ^ s->a, s->a = ROTATE(s->a, 32);
        s->c += s->d, s->d = ROTATE(s->d, 16) ^ s->c;
        s->a += s->d, s->d = ROTATE(s->d, 21) ^ s->a;
        s->c += s->b, s->b = ROTATE(s->b, 17) ^ s->c, s->c = ROTATE(s->c, 32);
}

/* Jean-Philippe Aumasson and Daniel J. Bernstein, "SipHash: a fast short-input PRF", with one round for
 * each word and three at the end. */
uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t size)
{
        struct sip s = { key->words[0] ^ 0x736f6d6570736575, key->words[1] ^ 0x646f72616e646f6d,
                         key->words[0] ^ 0x6c7967656e657261, key->words[1] ^ 0x7465646279746573 };
        uint64_t word;
        size_t at = 0;

        for (; size - at >= 8; at += 8) {
                memcpy(&word, (const char *)bytes + at, 8);
                s.d ^= word;
                sip_round(&s);
                s.a ^= word;
        }
        word = 0;
        if (size > at)
                memcpy(&word, (const char *)bytes + at, size - at);
        word |= (uint64_t)size << 56;
        s.d ^= word;
        sip_round(&s);
        s.a ^= word;
        s.c ^= 0xff;
        for (int i = 0; i < 3; i++)
                sip_round(&s);
        return s.a ^ s.b ^ s.c ^ s.d;
}

struct hash_key hash_secret(void)
{
        struct hash_key key;

        memcpy(key.words, sys_secret(), sizeof key.words);
        return key;
}

void map_init(struct map *map)
{
        *map = (struct map){ .slot_count = MAP_SLOTS_MIN, .hash_key = hash_secret() };
        list_init(&map->fresh);
        map->slots = map->first_slots;
}

void map_deinit(struct map *map)
{
        if (map->slots != map->first_slots)
                sys_free(map->slots);
        map_init(map);
}

static struct map_node **slot_of(const struct map *map, uint64_t hash)
{
        return &map->slots[hash & (map->slot_count - 1)];
}

static struct map_node *find_hashed(const struct map *map, uint64_t hash, const void *key, size_t key_size)
{
        struct map_node *node = *slot_of(map, hash);

        while (node && (node->hash != hash || node->key_size != key_size ||
                        memcmp(node->key, key, key_size) != 0))
                node = node->next;
        return node;
}

static void link_node(struct map *map, struct map_node *node)
{
        struct map_node **slot = slot_of(map, node->hash);

        node->next = *slot;
        *slot = node;
}

static void grow(struct map *map)
{
        size_t count = map->slot_count;
        struct map_node **old = map->slots;
        struct map_node **slots = sys_alloc_zeroed(count * 4 * sizeof *slots);

        if (!slots)
                return;
        map->slots = slots;
        map->slot_count = count * 4;
        for (size_t i = 0; i < count; i++)
                for (struct map_node *node = old[i], *next; node; node = next) {
                        next = node->next;
                        link_node(map, node);
                }
        if (old != map->first_slots)
                sys_free(old);
}

static void add_hashed(struct map *map, struct map_node *node)
{
        if (map->count >= map->slot_count)
                grow(map);
        node->hash = hash_bytes(&map->hash_key, node->key, node->key_size);
        if (find_hashed(map, node->hash, node->key, node->key_size)) {
                node->key = NULL;
                map->count--;
                return;
        }
        link_node(map, node);
}

struct map_node *map_find(struct map *map, const void *key, size_t key_size)
{
        list_for_each(&map->fresh, link) {
                list_remove(link);
                add_hashed(map, container_of(link, struct map_node, fresh));
        }
        return find_hashed(map, hash_bytes(&map->hash_key, key, key_size), key, key_size);
}

void map_add(struct map *map, struct map_node *node)
{
        list_append(&map->fresh, &node->fresh);
        map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
        struct map_node **link;

        if (!node->key)
                return;
        map->count--;
        if (!list_is_empty(&node->fresh)) {
                list_remove(&node->fresh);
                return;
        }
        link = slot_of(map, node->hash);
        while (*link != node)
                link = &(*link)->next;
        *link = node->next;
}
