/* The codec of bytes of which nothing more is known: a string. */
#include "value/codec.h"

#include <errno.h>

static int check_bytes(const char *bytes, size_t size, struct check *check)
{
        (void)bytes;
        if (size > UINT32_MAX)
                return -EMSGSIZE;
        check->nodes = 1;
        check->memory = 0;
        return 0;
}

static int decode_bytes(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root)
{
        (void)check;
        bytes[size] = '\0';
        *root = (ferry_value){ .kind = FERRY_VALUE_STRING, .size = (uint32_t)size, .bytes = bytes, .arena = arena };
        return 0;
}

static int encode_bytes(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        size_t size;
        const char *bytes = ferry_value_bytes(value, &size);

        (void)codec;
        if (ferry_value_kind(value) != FERRY_VALUE_STRING)
                return -EILSEQ;
        ferry_sink_write(sink, bytes, size);
        return 0;
}

const struct native_codec codec_bytes = {
        .codec = { .size = sizeof(ferry_codec), .name = "bytes", .encode = encode_bytes },
        .check = check_bytes,
        .decode = decode_bytes,
};
