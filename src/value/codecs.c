/* The built-in codecs. A new one is added to the table. */
#include "value/codec.h"

/* Those that have a number; first the one that most messages are in. */
static const ferry_codec *(*const table[])(void) = {
        ferry_codec_msgpack,
        ferry_codec_php,
        ferry_codec_json,
        ferry_codec_json_objects,
};

const struct native_codec *codec_native(const ferry_codec *codec)
{
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
                if (codec == table[i]())
                        return (const struct native_codec *)codec;
        return codec == &codec_bytes.codec ? &codec_bytes : NULL;
}

const ferry_codec *codec_by_number(unsigned number)
{
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
                if (table[i]()->number == number)
                        return table[i]();
        return NULL;
}
