/* The codec of plain records: what PHP's msg_send() writes without serializing, and what any bytes are when they are read. */
#include "value/codec.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
        FRACTION = 6,           /* digits behind the point */
        TEXT_MAX = 352,         /* of the largest double: 309 digits, the point of some locale, and the fraction */
};

/* PHP's "%F", whatever the locale has for a point. Returns the length. */
static size_t print_double(double number, char text[TEXT_MAX])
{
        /* PHP drops the sign of a zero. */
        size_t size = (size_t)snprintf(text, TEXT_MAX, "%.*f", FRACTION, number == 0 ? 0 : number);
        size_t whole = strspn(text, "-0123456789");

        text[whole] = '.';
        memmove(text + whole + 1, text + size - FRACTION, FRACTION);
        return whole + 1 + FRACTION;
}

static int encode(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        char text[TEXT_MAX];
        size_t size;
        const void *bytes;

        (void)codec;
        switch (ferry_value_kind(value)) {
        case FERRY_VALUE_STRING:
                bytes = ferry_value_bytes(value, &size);
                ferry_sink_write(sink, bytes, size);
                return 0;
        case FERRY_VALUE_BOOL:
                ferry_sink_write(sink, ferry_value_bool(value, false) ? "1" : "0", 1);
                return 0;
        case FERRY_VALUE_INT:
                size = (size_t)snprintf(text, sizeof text, "%lld", (long long)ferry_value_int(value, 0));
                break;
        case FERRY_VALUE_DOUBLE:
                if (!isfinite(ferry_value_double(value, 0)))
                        return -EDOM;
                size = print_double(ferry_value_double(value, 0), text);
                break;
        default:
                return -EILSEQ;
        }
        ferry_sink_write(sink, text, size);
        return 0;
}

static int decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, bytes, size);
        return 0;
}

const ferry_codec *ferry_codec_plain(void)
{
        static const ferry_codec plain = { .size = sizeof plain, .name = "plain", .encode = encode, .decode = decode };

        return &plain;
}
