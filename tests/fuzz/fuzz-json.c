/* The codecs json and json-objects, fed with any bytes: see codec.c. */
#include "fuzz/codec.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct fuzz_codec maps = { .codec = ferry_codec_json(), .memory_factor = 32, .has_open_end = true,
                                         .can_refuse = true, .has_outline = true };
        const struct fuzz_codec objects = { .codec = ferry_codec_json_objects(), .memory_factor = 32, .has_open_end = true,
                                            .can_refuse = true, .has_outline = true };

        fuzz_codec_run(&maps, data, size);
        fuzz_codec_run(&objects, data, size);
        return 0;
}
