/* A pile of blocks of memory that are free, for objects that come and go all the time. The block that was used last is taken
 * first. Invariant: so much is kept as a few objects need, however many there were before. */
#pragma once

#include <stddef.h>

enum {
        PILE_MAX = 32,                  /* blocks that are kept */
        PILE_BLOCK_MAX = 1024,          /* bytes of a block that is kept */
};

/* All zero: empty. */
struct pile {
        struct pile_block *top;
        unsigned count;
};

/* A block of @size bytes, or more; NULL if memory is out. @ret_size: how many it has, for pile_give(); it may go to sys_free() instead. */
void *pile_take(struct pile *pile, size_t size, size_t *ret_size);
/* Keeps the block, or frees it if it is large or many are kept. */
void pile_give(struct pile *pile, void *memory, size_t size);
void pile_deinit(struct pile *pile);
