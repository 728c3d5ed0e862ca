/* Writes a value as PHP's json_encode() does, with slashes and what is beyond ASCII as they are. */
#include "value/json.h"
#include "value/number.h"
#include "value/scan.h"
#include "value/sink.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* For numbers, words, escapes and punctuation. */
enum { NUMBERS_ROOM = 48 };

/* Say where in the value it is that cannot be written. */
static char *refuse(ferry_sink *sink, char *at, const struct walk *walk, int error, const char *what)
{
        char place[64] = "";
        size_t size = 0;

        /* What stands before it may be over the limit already. */
        sink_take(sink, at);
        if (sink->error)
                return NULL;

        for (size_t i = 0; i < walk->depth && size < sizeof place; i++) {
                const ferry_value *container = walk->stack[i].container;
                uint32_t index = walk->stack[i].next - 1;
                const ferry_value *key = ferry_value_key(container, index);

                if (walk->stack[i].next == 0)
                        break;
                if (key && key->kind == FERRY_VALUE_STRING)
                        size += (size_t)snprintf(place + size, sizeof place - size, ".%.*s", key->size < 20 ? (int)key->size : 20,
                                                 key->bytes);
                else
                        size += (size_t)snprintf(place + size, sizeof place - size, "[%lld]",
                                                 key ? (long long)key->integer : (long long)index);
        }
        sink_fail(sink, error, "%s has no way to write %s%s%s", sink->name, what, *place ? " at " : "", place);
        return NULL;
}

static inline char *put_text(char *at, const char *text, size_t size)
{
        memcpy(at, text, size);
        return at + size;
}

/* A byte that stands by an escape. */
static char *put_escape(char *at, unsigned char c)
{
        static const char named[] = "\b\f\n\r\t", letters[] = "bfnrt", hex[] = "0123456789abcdef";
        const char *letter = c ? strchr(named, c) : NULL;

        *at++ = '\\';
        if (c == '"' || c == '\\')
                *at++ = (char)c;
        else if (letter)
                *at++ = letters[letter - named];
        else {
                at = put_text(at, "u00", 3);
                *at++ = hex[c >> 4];
                *at++ = hex[c & 15];
        }
        return at;
}

/* From a byte on that is not plain; the next time there is room for what is left. */
static char *put_rest(ferry_sink *sink, char *at, const struct walk *walk, const char *bytes, const char *end)
{
        const char *plain;

        while (bytes < end) {
                unsigned char c = (unsigned char)*bytes;
                int length;

                /* An escape is longer than what it stands for. */
                at = sink_room(sink, at, (size_t)(end - bytes) + NUMBERS_ROOM);
                if (!at)
                        return NULL;
                if (c < 0x80) {
                        at = put_escape(at, c);
                        bytes++;
                } else {
                        length = utf8_length((const unsigned char *)bytes, (size_t)(end - bytes));
                        if (length <= 0)
                                return refuse(sink, at, walk, -EILSEQ, "bytes that are not UTF-8");
                        if (c == 0xe2 && bytes[1] == '\x80' && (bytes[2] == '\xa8' || bytes[2] == '\xa9'))
                                at = put_text(at, bytes[2] == '\xa8' ? "\\u2028" : "\\u2029", 6);
                        else
                                at = put_bytes(at, bytes, (size_t)length);
                        bytes += length;
                }
                if (bytes < end && !byte_is_plain(*bytes))
                        continue;
                plain = bytes;
                bytes = scan_plain(bytes, end);
                at = put_bytes(at, plain, (size_t)(bytes - plain));
        }
        return at;
}

/* Fewer than 16 bytes, looked at as they are moved: by two words that overlap. Whether all were plain. */
static inline bool put_few(char *at, const char *bytes, size_t size)
{
        if (size >= 8) {
                uint64_t first = scan_load(bytes), last = scan_load(bytes + size - 8);

                memcpy(at, &first, 8);
                memcpy(at + size - 8, &last, 8);
                return word_is_plain(first) && word_is_plain(last);
        }
        if (size >= 4) {
                uint32_t first = scan_load_half(bytes), last = scan_load_half(bytes + size - 4);

                memcpy(at, &first, 4);
                memcpy(at + size - 4, &last, 4);
                return word_is_plain((uint64_t)first << 32 | last);
        }
        put_bytes(at, bytes, size);
        return few_are_plain(bytes, size);
}

static char *put_long_string(ferry_sink *sink, char *at, const struct walk *walk, const char *bytes, size_t size)
{
        const char *end = bytes + size, *other = scan_plain(bytes, end);

        at = put_bytes(at, bytes, (size_t)(other - bytes));
        if (other < end) {
                at = put_rest(sink, at, walk, other, end);
                at = sink_room(sink, at, NUMBERS_ROOM);
                if (!at)
                        return NULL;
        }
        *at++ = '"';
        return at;
}

static inline char *put_string(ferry_sink *sink, char *at, const struct walk *walk, const char *bytes, size_t size)
{
        at = sink_room(sink, at, size + NUMBERS_ROOM);
        if (!at)
                return NULL;
        *at++ = '"';
        if (size >= 16 || !put_few(at, bytes, size))
                return put_long_string(sink, at, walk, bytes, size);
        at += size;
        *at++ = '"';
        return at;
}

/* The quotes of a large string without escapes, whose bytes stand elsewhere. */
static char *lend_string(ferry_sink *sink, char *at, const ferry_value *string)
{
        at = sink_room(sink, at, NUMBERS_ROOM);
        if (!at)
                return NULL;
        *at++ = '"';
        at = sink_room(sink, sink_lend(sink, at, string), NUMBERS_ROOM);
        if (at)
                *at++ = '"';
        return at;
}

static char *put_key(ferry_sink *sink, char *at, const struct walk *walk, const struct walk_step *step, bool has_objects)
{
        const ferry_value *key = step->key;

        if (key->kind == FERRY_VALUE_STRING) {
                if (has_objects && key->size == sizeof CLASS_KEY - 1 && memcmp(key->bytes, CLASS_KEY, key->size) == 0)
                        return refuse(sink, at, walk, -EILSEQ,
                                      /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what has a key has a parent */
                                      step->parent->kind == FERRY_VALUE_MAP ? "a map with the key __class" :
                                                                              "a property with the name __class");
                at = put_string(sink, at, walk, key->bytes, key->size);
                at = sink_room(sink, at, 1);
                if (!at)
                        return NULL;
        } else {
                at = sink_room(sink, at, NUMBERS_ROOM);
                if (!at)
                        return NULL;
                *at++ = '"';
                at = put_integer(at, key->integer);
                *at++ = '"';
        }
        *at++ = ':';
        return at;
}

/* The opening; and the end, if there is nothing in it. */
static char *put_object(ferry_sink *sink, char *at, const struct walk *walk, const ferry_value *value, bool has_objects)
{
        /* Without its class it would be a map to the reader; with it, a map with a key __class. */
        if (!has_objects)
                return refuse(sink, at, walk, -EILSEQ, "the class of an object (json-objects has one)");
        at = put_text(at, "{\"" CLASS_KEY "\":", sizeof CLASS_KEY + 3);
        at = put_string(sink, at, walk, value->members->class_name, value->members->class_size);
        at = sink_room(sink, at, 1);
        if (at && value->size == 0)
                *at++ = '}';
        return at;
}

static inline char *put_value(ferry_sink *sink, char *at, const struct walk *walk, const ferry_value *value, bool has_objects)
{
        if (value->kind == FERRY_VALUE_STRING && sink_may_lend(sink, value->size) &&
            scan_plain(value->bytes, value->bytes + value->size) == value->bytes + value->size)
                return lend_string(sink, at, value);
        if (value->kind == FERRY_VALUE_STRING)
                return put_string(sink, at, walk, value->bytes, value->size);
        at = sink_room(sink, at, NUMBERS_ROOM);
        if (!at)
                return NULL;
        switch (value->kind) {
        case FERRY_VALUE_NULL:
                return put_text(at, "null", 4);
        case FERRY_VALUE_BOOL:
                return value->boolean ? put_text(at, "true", 4) : put_text(at, "false", 5);
        case FERRY_VALUE_INT:
                return put_integer(at, value->integer);
        case FERRY_VALUE_DOUBLE:
                if (isnan(value->real) || isinf(value->real))
                        return refuse(sink, at, walk, -EDOM, isnan(value->real) ? "NAN" : "INF");
                return at + number_format(value->real, 'e', at);
        case FERRY_VALUE_LIST:
                *at++ = '[';
                if (value->size == 0)
                        *at++ = ']';
                return at;
        case FERRY_VALUE_MAP:
                *at++ = '{';
                if (value->size == 0)
                        *at++ = '}';
                return at;
        case FERRY_VALUE_OBJECT:
                return put_object(sink, at, walk, value, has_objects);
        default:
                return refuse(sink, at, walk, -EILSEQ,
                              value->kind == FERRY_VALUE_ENUM ? "the case of an enum" : "an opaque object");
        }
}

static int encode(const ferry_value *root, ferry_sink *sink, bool has_objects)
{
        struct walk walk;
        struct walk_step step;
        char *at = sink_more(sink, NULL, NUMBERS_ROOM);

        walk_begin(&walk, root);
        while (at && walk_next(&walk, &step)) {
                if (step.is_closing) {
                        at = sink_room(sink, at, 1);
                        if (at)
                                *at++ = step.value->kind == FERRY_VALUE_LIST ? ']' : '}';
                        continue;
                }
                if (step.index > 0 || (step.parent && step.parent->kind == FERRY_VALUE_OBJECT)) {
                        at = sink_room(sink, at, 1);
                        if (!at)
                                break;
                        *at++ = ',';
                }
                if (step.key)
                        at = put_key(sink, at, &walk, &step, has_objects);
                if (at)
                        at = put_value(sink, at, &walk, step.value, has_objects);
        }
        if (at)
                sink_take(sink, at);
        return 0;
}

int json_encode_maps(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink)
{
        (void)codec;
        return encode(root, sink, false);
}

int json_encode_objects(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink)
{
        (void)codec;
        return encode(root, sink, true);
}
