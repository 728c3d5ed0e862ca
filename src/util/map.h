/* Maps whose keys are bytes chosen by strangers: the hash is keyed, so no peer can make keys that collide. What is added is
 * hashed when something is looked for; what goes before that costs next to nothing. */
#pragma once

#include "util/list.h"

#include <stdint.h>

/* SipHash-1-3 of @bytes under a key, which is best this process's own, hash_secret(): looked up once for many. */
struct hash_key {
        uint64_t words[2];
};

struct hash_key hash_secret(void);
uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t size);

/* A member of a map; it stands in the object that it leads to, as its key does. */
struct map_node {
        struct list fresh;      /* among those that were not hashed yet; or linked to itself */
        struct map_node *next;
        uint64_t hash;
        const void *key;        /* NULL: it is in no map */
        size_t key_size;
};

enum { MAP_SLOTS_MIN = 4 };

struct map {
        struct list fresh;
        struct map_node **slots;
        size_t slot_count;      /* a power of two */
        size_t count;
        struct hash_key hash_key;
        struct map_node *first_slots[MAP_SLOTS_MIN];
};

void map_init(struct map *map);
void map_deinit(struct map *map);
struct map_node *map_find(struct map *map, const void *key, size_t key_size);

/* Add a node, whose key is set. Of two with the same key the second one is taken out again when that is found: its key is NULL
 * then. Where memory is out the map works on, more slowly. */
void map_add(struct map *map, struct map_node *node);
/* Does nothing if it is in no map. */
void map_remove(struct map *map, struct map_node *node);
