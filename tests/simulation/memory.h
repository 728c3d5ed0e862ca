/* The memory of the library: counted, and, but for sanitizers and on machines of 32 bits, at the same addresses in each run, since the
 * library takes some of its chance from addresses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct memory_counts {
        size_t blocks, bytes, bytes_peak;
};
extern struct memory_counts memory_counts;

/* What was allocated and not freed before stays counted, and then addresses are not those of the first run. */
void memory_begin(void);
/* Whether runs have the same addresses. */
bool memory_is_alike(void);
