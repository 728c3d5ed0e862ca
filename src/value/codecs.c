/* The built-in codecs. A new one is added to the table. */
#include "value/codec.h"

/* By their numbers. */
static const ferry_codec *(*const table[])(void) = {
        [1] = ferry_codec_msgpack,
        [2] = ferry_codec_php,
        [3] = ferry_codec_json,
        [4] = ferry_codec_json_objects,
};

const ferry_codec *codec_by_number(unsigned number)
{
        return number >= 1 && number < sizeof table / sizeof *table ? table[number]() : NULL;
}

/* A program's own codec may have any number. */
const struct native_codec *codec_native(const ferry_codec *codec)
{
        if (codec == &codec_bytes.codec)
                return &codec_bytes;
        return codec && codec_by_number(codec->number) == codec ? (const struct native_codec *)codec : NULL;
}
