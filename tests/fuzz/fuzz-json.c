/* The codec json, fed with any bytes: see codec.c. */
#include "fuzz/codec.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct fuzz_codec about = { .codec = ferry_codec_json(), .memory_factor = 32, .has_open_end = true,
                                          .can_refuse = true, .has_outline = true };

        fuzz_codec_run(&about, data, size);
        return 0;
}
