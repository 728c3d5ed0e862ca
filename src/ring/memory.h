/* The memory of two rings: a sealed file that stands nowhere, which one process makes and another one takes.
 *
 * Offset 0: struct ring_pair, in the first 4,096 bytes. Behind it as many bytes for each ring: first the one that the maker
 * writes. All else follows from the size of the file, which its seals fix. */
#pragma once

#include "ring/ring.h"
#include "util/error.h"

#include <stddef.h>

enum {
        RING_HEADER = 4096,
        RING_SIZE_MIN = 4096,           /* of each ring, a power of two */
        RING_SIZE_MAX = 1 << 26,
};

struct ring_pair {
        struct ring_shared rings[2];    /* what the maker writes; what the taker writes */
        struct {
                _Alignas(RING_LINE) _Atomic uint32_t number;    /* 1 more than that of the processor; 0: not known */
        } processors[2];                /* that each of them has last run on: the maker, the taker */
};

struct ring_memory {
        struct ring_pair *pair;         /* NULL: none */
        unsigned char *bytes[2];
        uint32_t size;                  /* of each ring */
};

/* Make it. 0 and the file, which is the caller's to close; or a negative errno with a sentence. */
int ring_memory_make(struct ring_memory *memory, uint32_t size, int *ret_fd, struct error *error);

/* Take what another process has made; the file stays the caller's. -EBADMSG: it is not such memory; or another negative errno;
 * with a sentence. */
int ring_memory_take(struct ring_memory *memory, int fd, struct error *error);

void ring_memory_drop(struct ring_memory *memory);
