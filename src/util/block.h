/* A piece of memory with a count: received bytes, held by their message and by the values that point into
 * them. The header stands at the front of what is allocated. */
#pragma once

#include "util/sys.h"

struct block {
        size_t references;
};

static inline void block_ref(struct block *block)
{
        block->references++;
}

static inline void block_unref(struct block *block)
{
        if (block && --block->references == 0)
                sys_free(block);
}
