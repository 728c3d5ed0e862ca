/* Measures two processes that exchange messages: all contestants, block by block. */
#pragma once

#include "pair.h"

struct exchange_options {
        int rounds;                     /* blocks of each contestant */
        unsigned placements;            /* a set of 1 << enum placement */
        bool is_quick;                  /* few samples: whether all works, not how fast */
        const char *folder;             /* for sockets */
};

/* Prints tables, and adds figures to the results. Returns how many contestants have failed. */
int exchange_run(const struct work *work, const struct contestant *contestants, size_t count,
                 const struct exchange_options *options);

extern const char *const placement_names[PLACEMENT_COUNT];
