/* The codec msgpack, fed with any bytes: see codec.c. */
#include "fuzz/codec.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct fuzz_codec about = { .codec = ferry_codec_msgpack(), .memory_factor = 64, .has_open_end = false,
                                          .can_refuse = false, .has_outline = false };

        fuzz_codec_run(&about, data, size);
        return 0;
}
