/* The shapes. Each one is valid, so that all of it is decoded. */
#include "costs/shapes.h"
#include "support/suite.h"

#include <string.h>

#define SHAPE(name_, codec_, open_, unit_, separator_, close_, ...)                             \
        {                                                                                       \
                .name = name_, .codec = codec_, .separator = separator_,                        \
                .open = open_, .open_size = sizeof open_ - 1,                                   \
                .unit = unit_, .unit_size = sizeof unit_ - 1,                                   \
                .close = close_, .close_size = sizeof close_ - 1, __VA_ARGS__                   \
        }
#define PHP(name, open, unit, ...) SHAPE("php: " name, ferry_codec_php, open, unit, "", __VA_ARGS__)
#define JSON(name, open, unit, ...) SHAPE("json: " name, ferry_codec_json_objects, open, unit, ",", __VA_ARGS__)
#define MSGPACK(name, open, unit, ...) SHAPE("msgpack: " name, ferry_codec_msgpack, open, unit, "", __VA_ARGS__)

#define TIMES_8(text) text text text text text text text text
#define TIMES_64(text) TIMES_8(TIMES_8(text))

const struct shape shapes[] = {
        PHP("a list of nulls", "a:@:{", "i:$;N;", "}"),
        PHP("one key, again and again", "a:@:{", "i:0;N;", "}"),
        PHP("one empty key, again and again", "a:@:{", "s:0:\"\";N;", "}"),
        PHP("empty arrays", "a:@:{", "i:0;a:0:{}", "}"),
        PHP("empty objects", "a:@:{", "i:0;O:1:\"a\":0:{}", "}"),
        PHP("cases of enums", "a:@:{", "i:0;E:3:\"a:b\";", "}"),
        PHP("opaque objects", "a:@:{", "i:0;C:1:\"a\":0:{}", "}"),
        PHP("many keys", "a:@:{", "s:8:\"#\";N;", "}"),
        PHP("keys with equal low bits", "a:@:{", "i:$;N;", "}", .step = 65536),
        PHP("many properties", "O:1:\"a\":@:{", "s:8:\"#\";N;", "}"),
        PHP("protected properties", "O:1:\"a\":@:{", "s:11:\"\0*\0#\";N;", "}"),
        PHP("one name, private to many classes", "O:1:\"a\":@:{", "s:11:\"\0#\0x\";N;", "}"),
        PHP("no name, private to many classes", "O:1:\"a\":@:{", "s:10:\"\0#\0\";N;", "}"),
        PHP("one value by many references", "a:@:{i:0;N;", "i:0;R:2;", "}", .more = 1),
        PHP("one object by many references", "a:@:{i:0;O:1:\"a\":0:{}", "i:0;r:2;", "}", .more = 1),
        PHP("many values and one reference", "a:@:{", "i:0;N;", "i:0;R:2;}", .more = 1),
        PHP("many objects and one reference", "a:@:{", "i:0;O:1:\"a\":0:{}", "i:0;R:2;}", .more = 1),
        PHP("many values, each by a reference", "a:@:{", "i:0;N;i:0;R:$;", "}", .per_unit = 2, .first = 2),
        PHP("chains of 64 levels", "a:@:{", "i:0;" TIMES_64("a:1:{i:0;") "N;" TIMES_64("}"), "}"),
        PHP("doubles", "a:@:{", "i:0;d:0.1;", "}"),
        PHP("one string", "s:@:\"", "#", "\";", .per_unit = 8),

        JSON("zeros", "[", "0", "]"),
        JSON("empty strings", "[", "\"\"", "]"),
        JSON("empty lists", "[", "[]", "]"),
        JSON("empty maps", "[", "{}", "]"),
        JSON("one empty key, again and again", "{", "\"\":0", "}"),
        JSON("many keys", "{", "\"#\":0", "}"),
        JSON("the class, again and again", "{", "\"__class\":\"a\"", "}"),
        JSON("objects", "[", "{\"__class\":\"a\"}", "]"),
        JSON("strings with escapes", "[", "\"\\u0000\\ud83d\\ude00\"", "]"),
        JSON("chains of 64 levels", "[", TIMES_64("[") TIMES_64("]"), "]"),

        MSGPACK("nils", "\xdd@", "\xc0", ""),
        MSGPACK("empty strings", "\xdd@", "\xa0", ""),
        MSGPACK("empty lists", "\xdd@", "\x90", ""),
        MSGPACK("empty maps", "\xdd@", "\x80", ""),
        MSGPACK("one key, again and again", "\xdf@", "\x01\xc0", ""),
        MSGPACK("many keys", "\xdf@", "\xce^\xc0", "", .step = 65536),
        MSGPACK("objects", "\xdd@", "\x81\xc0\xa1" "a", ""),
        MSGPACK("cases of enums", "\xdd@", "\x82\xc0\x06\xa1" "a\xa1" "b", ""),
        MSGPACK("one name, private to many classes", "\xdf@\xc0\xa1" "a", "\xab\0#\0x\xc0", "", .more = 1),
        MSGPACK("many lists and one reference", "\xdd@", "\x90", "\x82\xc0\x05\0\x02", .more = 1),
        MSGPACK("many lists, each by a reference", "\xdd@", "\x90\x82\xc0\x05\0\xce^", "", .per_unit = 2, .first = 2),
};

/* One byte of a shape, or the number that it stands for. */
static char *put_byte(char *at, char byte, bool is_msgpack, size_t number, size_t values)
{
        size_t shown = byte == '@' ? values : number;
        char digits[24];
        int count = 0;

        if (!strchr("@#$^", byte) || byte == '\0') {
                *at++ = byte;
                return at;
        }
        if (byte == '^' || (byte == '@' && is_msgpack)) {
                for (int i = 3; i >= 0; i--)
                        *at++ = (char)(shown >> (8 * i));
                return at;
        }
        do
                digits[count++] = (char)('0' + shown % 10);
        while ((shown /= 10) > 0 || (byte == '#' && count < 8));
        while (count > 0)
                *at++ = digits[--count];
        return at;
}

static void put(struct buffer *buffer, const struct shape *shape, const char *bytes, size_t size, size_t number,
                size_t values)
{
        char *at = buffer_reserve(buffer, size + 64);

        /* What holds is noted, too, by a write: too dear here. */
        if (!at)
                ck_abort_msg("no memory for a shape");
        for (size_t i = 0; i < size; i++)
                at = put_byte(at, bytes[i], shape->codec == ferry_codec_msgpack, number, values);
        buffer->end = (size_t)((unsigned char *)at - buffer->memory);
}

void shape_put(struct buffer *buffer, const struct shape *shape, size_t count)
{
        size_t values = count * (size_t)(shape->per_unit ? shape->per_unit : 1) + (size_t)shape->more;

        put(buffer, shape, shape->open, shape->open_size, 0, values);
        for (size_t i = 0; i < count; i++) {
                size_t number = i * (size_t)(shape->step ? shape->step : 1) + (size_t)shape->first;

                if (i > 0)
                        put(buffer, shape, shape->separator, strlen(shape->separator), 0, 0);
                put(buffer, shape, shape->unit, shape->unit_size, number, 0);
        }
        put(buffer, shape, shape->close, shape->close_size, 0, values);
}
