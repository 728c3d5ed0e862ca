/* One input as a stream of frames: see frames.c. */
#pragma once

#include "fuzz/fuzz.h"
#include "wire/dialect.h"

/* What a model that has all bytes at once says of those at the front. */
enum { MODEL_PART = -1, MODEL_NONE = -2 };

struct fuzz_frames {
        struct wire *wire;
        /* The size of the frame as it is told, and how many bytes that are not told stand before it; or one of the above. */
        int64_t (*model)(const unsigned char *bytes, size_t size, size_t *ret_header);
        void (*check)(const char *bytes, size_t size);
        size_t memory_factor;   /* so many times the bytes of the input may be held */
};

/* The input: flags (bits 0 to 3: the size of the pieces, 0 is all at once; bit 4: a limit of 300 bytes; the rest is the
 * caller's); then the bytes. This begins to take it, and makes the wire; returns the flags. */
uint8_t fuzz_frames_begin(struct fuzz_input *input, struct wire *wire, unsigned dialect);
void fuzz_frames_run(const struct fuzz_frames *frames, uint8_t flags, const char *bytes, size_t size);

/* What a program says: a type, up to a zero, which is taken, and the rest as a text; both are the caller's. */
ferry_value *fuzz_take_saying(struct fuzz_input *input, char **ret_type);
