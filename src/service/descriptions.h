/* What a service says of the types that it takes, for clients that ask. */
#pragma once

#include <ferry/value.h>

#include "util/list.h"
#include "util/map.h"

#include <stdbool.h>
#include <stddef.h>

struct descriptions {
        struct map by_type;
        struct list all;                /* in the order in which their types came */
        size_t bytes;                   /* of memory, roughly */
        ferry_value *list;              /* what clients get; NULL: it is made when it is asked for */
};

enum { DESCRIPTIONS_MAX = 1 << 20 };    /* bytes of memory */

void descriptions_init(struct descriptions *descriptions);
void descriptions_deinit(struct descriptions *descriptions);
/* Put a description in the place of that of the same type; all texts but the type may be NULL. 0, -ENOSPC or -ENOMEM. */
int descriptions_put(struct descriptions *descriptions, const char *type, const char *in, const char *out, const char *text);
/* False: there is none. */
bool descriptions_remove(struct descriptions *descriptions, const char *type);
/* A list of maps, borrowed until the next change; NULL if memory is out. */
const ferry_value *descriptions_list(struct descriptions *descriptions);
