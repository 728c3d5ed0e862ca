/* One input as bytes of a codec: see codec.c. */
#pragma once

#include "value/codec.h"

/* What is true of that codec only. */
struct fuzz_codec {
        const ferry_codec *codec;
        size_t memory_factor;   /* bytes of memory for a byte of input */
        bool has_open_end;      /* a value may be whole, and yet go on: 1, 12, 1.5 */
        bool can_refuse;        /* not all that is read can be written: INF, a key __class */
        bool has_outline;
};

void fuzz_codec_run(const struct fuzz_codec *about, const uint8_t *data, size_t size);
