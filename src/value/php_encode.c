/* Writes a value as PHP's serialize() does. */
#include "value/number.h"
#include "value/php.h"
#include "value/sink.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* For numbers and punctuation. */
enum { NUMBERS_ROOM = 64 };

static inline char *put_text(char *at, const char *text, size_t size)
{
        memcpy(at, text, size);
        return at + size;
}

/* X:SIZE:"bytes" */
static inline char *put_quoted(char *at, char letter, const char *bytes, size_t size)
{
        *at++ = letter;
        *at++ = ':';
        at = put_digits(at, size);
        *at++ = ':';
        *at++ = '"';
        at = put_bytes(at, bytes, size);
        *at++ = '"';
        return at;
}

static inline char *put_string(ferry_sink *sink, char *at, const char *bytes, size_t size)
{
        at = sink_room(sink, at, size + NUMBERS_ROOM);
        if (!at)
                return NULL;
        at = put_quoted(at, 's', bytes, size);
        *at++ = ';';
        return at;
}

/* What stands around a large string, whose bytes stand elsewhere. */
static char *lend_string(ferry_sink *sink, char *at, const ferry_value *string)
{
        at = sink_room(sink, at, NUMBERS_ROOM);
        if (!at)
                return NULL;
        at = put_text(at, "s:", 2);
        at = put_digits(at, string->size);
        at = put_text(at, ":\"", 2);
        at = sink_room(sink, sink_lend(sink, at, string), NUMBERS_ROOM);
        return at ? put_text(at, "\";", 2) : NULL;
}

/* Within room for it. */
static inline char *put_number(char *at, int64_t integer)
{
        *at++ = 'i';
        *at++ = ':';
        at = put_integer(at, integer);
        *at++ = ';';
        return at;
}

static char *put_double(char *at, double number)
{
        *at++ = 'd';
        *at++ = ':';
        if (isnan(number))
                at = put_text(at, "NAN", 3);
        else if (isinf(number))
                at = number < 0 ? put_text(at, "-INF", 4) : put_text(at, "INF", 3);
        else
                at += number_format(number, 'E', at);
        *at++ = ';';
        return at;
}

static char *put_key(ferry_sink *sink, char *at, const ferry_value *key, bool is_object)
{
        int64_t integer = key->integer;
        const char *bytes = key->bytes;
        size_t size = key->size;

        if (key->kind == FERRY_VALUE_INT || (!is_object && text_is_integer(bytes, size, &integer))) {
                at = sink_room(sink, at, NUMBERS_ROOM);
                return at ? put_number(at, integer) : NULL;
        }
        if (key->visibility != FERRY_VISIBILITY_PUBLIC)
                bytes = key_mangled(key, &size);
        return put_string(sink, at, bytes, size);
}

/* No names that no decoder takes. */
static bool can_write_name(ferry_sink *sink, const char *what, const char *name, size_t size)
{
        if (php_is_class_name(name, size))
                return true;
        sink_fail(sink, -EILSEQ, "php has no %s \"%.60s\"", what, name);
        return false;
}

/* The opening; and the end, if there is nothing in it. */
static char *put_container(ferry_sink *sink, char *at, const ferry_value *value)
{
        bool is_object = value->kind == FERRY_VALUE_OBJECT;

        at = sink_room(sink, at, NUMBERS_ROOM + (is_object ? value->members->class_size : 0));
        if (!at || (is_object && !can_write_name(sink, "class", value->members->class_name, value->members->class_size)))
                return NULL;
        if (is_object)
                at = put_quoted(at, 'O', value->members->class_name, value->members->class_size);
        else
                *at++ = 'a';
        *at++ = ':';
        at = put_digits(at, value->size);
        at = put_text(at, ":{", 2);
        if (value->size == 0)
                *at++ = '}';
        return at;
}

static char *put_named(ferry_sink *sink, char *at, const ferry_value *value)
{
        const struct named *named = value->named;

        at = sink_room(sink, at, (size_t)NUMBERS_ROOM + named->class_size + value->size);
        if (!at || !can_write_name(sink, "class", named->class_name, named->class_size) ||
            (value->kind == FERRY_VALUE_ENUM && !can_write_name(sink, "case", named->bytes, value->size)))
                return NULL;
        if (value->kind == FERRY_VALUE_OPAQUE) {
                at = put_quoted(at, 'C', named->class_name, named->class_size);
                *at++ = ':';
                at = put_digits(at, value->size);
                at = put_text(at, ":{", 2);
                at = put_bytes(at, named->bytes, value->size);
                *at++ = '}';
                return at;
        }
        at = put_text(at, "E:", 2);
        at = put_digits(at, (size_t)named->class_size + 1 + value->size);
        at = put_text(at, ":\"", 2);
        at = put_bytes(at, named->class_name, named->class_size);
        *at++ = ':';
        at = put_bytes(at, named->bytes, value->size);
        return put_text(at, "\";", 2);
}

static char *put_value(ferry_sink *sink, char *at, const ferry_value *value)
{
        switch (value->kind) {
        case FERRY_VALUE_STRING:
                if (sink_may_lend(sink, value->size))
                        return lend_string(sink, at, value);
                return put_string(sink, at, value->bytes, value->size);
        case FERRY_VALUE_LIST:
        case FERRY_VALUE_MAP:
        case FERRY_VALUE_OBJECT:
                return put_container(sink, at, value);
        case FERRY_VALUE_ENUM:
        case FERRY_VALUE_OPAQUE:
                return put_named(sink, at, value);
        default:
                at = sink_room(sink, at, NUMBERS_ROOM);
                if (!at)
                        return NULL;
        }
        switch (value->kind) {
        case FERRY_VALUE_NULL:
                return put_text(at, "N;", 2);
        case FERRY_VALUE_BOOL:
                return put_text(at, value->boolean ? "b:1;" : "b:0;", 4);
        case FERRY_VALUE_INT:
                return put_number(at, value->integer);
        default:
                return put_double(at, value->real);
        }
}

int php_encode(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink)
{
        struct walk walk;
        struct walk_step step;
        char *at = sink_more(sink, NULL, NUMBERS_ROOM);

        (void)codec;
        walk_begin(&walk, root);
        while (at && walk_next(&walk, &step)) {
                if (step.is_closing) {
                        at = sink_room(sink, at, 1);
                        if (at)
                                *at++ = '}';
                        continue;
                }
                if (step.key)
                        at = put_key(sink, at, step.key, step.parent->kind == FERRY_VALUE_OBJECT);
                else if (step.parent) {
                        at = sink_room(sink, at, NUMBERS_ROOM);
                        if (at)
                                at = put_number(at, step.index);
                }
                if (at)
                        at = put_value(sink, at, step.value);
        }
        if (at)
                sink_take(sink, at);
        return 0;
}
