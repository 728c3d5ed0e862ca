/* The last values of types, for clients that subscribe later. */
#pragma once

#include <ferry/value.h>

#include "util/list.h"
#include "util/map.h"

#include <stdbool.h>
#include <stddef.h>

struct retained {
        struct map_node node;
        struct list link;
        size_t references;
        size_t size;                    /* bytes, roughly */
        ferry_value *body;
        char type[];
};

struct retained_set {
        struct map by_type;
        struct list all;                /* the last to be set at the end */
        size_t bytes;
        size_t bytes_max;
};

void retained_init(struct retained_set *set, size_t bytes_max);
void retained_deinit(struct retained_set *set);
/* Keep a value in the place of that of the same type; -ENOSPC if there is no room for it, -ENOMEM. */
int retained_put(struct retained_set *set, const char *type, const ferry_value *body);
/* False: there is none. */
bool retained_remove(struct retained_set *set, const char *type);
/* Those whose type matches, as references of the caller, in an array that the caller frees; NULL if memory is out. */
struct retained **retained_find(struct retained_set *set, const char *pattern, size_t size, size_t *ret_count);
void retained_unref(struct retained *retained);
