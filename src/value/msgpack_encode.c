/* Writes a value as MessagePack, objects as php-msgpack does. */
#include "value/msgpack.h"
#include "value/sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* For a head, and what of fixed size follows it. */
enum { HEAD_ROOM = 16 };

static inline char *put_big_endian(char *at, uint64_t number, int size)
{
        for (int i = size; i-- > 0;)
                *at++ = (char)(number >> (i * 8));
        return at;
}

/* The shortest head for a size: the small form up to @small, then first, first + 1, first + 2 for one, two
 * and four bytes (@has_byte: there is a form with one). */
static inline char *put_size(char *at, uint32_t size, unsigned small_head, uint32_t small, unsigned first, bool has_byte)
{
        if (size <= small) {
                *at++ = (char)(small_head | size);
                return at;
        }
        if (has_byte && size <= UINT8_MAX) {
                *at++ = (char)first;
                return put_big_endian(at, size, 1);
        }
        first += has_byte;
        if (size <= UINT16_MAX) {
                *at++ = (char)first;
                return put_big_endian(at, size, 2);
        }
        *at++ = (char)(first + 1);
        return put_big_endian(at, size, 4);
}

static inline char *put_string(ferry_sink *sink, char *at, const char *bytes, size_t size)
{
        at = sink_room(sink, at, size + HEAD_ROOM);
        if (!at)
                return NULL;
        at = put_size(at, (uint32_t)size, 0xa0, 31, 0xd9, true);
        return put_bytes(at, bytes, size);
}

/* The head of a large string alone: its bytes stand elsewhere. */
static char *lend_string(ferry_sink *sink, char *at, const ferry_value *string)
{
        at = sink_room(sink, at, HEAD_ROOM);
        if (!at)
                return NULL;
        at = string->visibility & STRING_IS_BINARY ? put_size(at, string->size, 0, 0, 0xc4, true) :
                                                     put_size(at, string->size, 0xa0, 31, 0xd9, true);
        return sink_lend(sink, at, string);
}

static char *put_binary(ferry_sink *sink, char *at, const char *bytes, size_t size)
{
        at = sink_room(sink, at, size + HEAD_ROOM);
        if (!at)
                return NULL;
        /* There is no small form. */
        at = size == 0 ? put_big_endian(at, 0xc400, 2) : put_size(at, (uint32_t)size, 0, 0, 0xc4, true);
        return put_bytes(at, bytes, size);
}

/* Whether an opaque object is an ext: of which type. */
static bool is_ext(const ferry_value *value, int *ret_type)
{
        const struct named *named = value->named;
        char name[EXT_CLASS_MAX];

        if (value->kind != FERRY_VALUE_OPAQUE || !is_ext_class(named->class_name, named->class_size))
                return false;
        *ret_type = (int)strtol(named->class_name + sizeof EXT_CLASS - 1, NULL, 10);
        snprintf(name, sizeof name, EXT_CLASS "%d", (signed char)*ret_type);
        return strcmp(name, named->class_name) == 0 && strlen(name) == named->class_size;
}

static char *put_ext(ferry_sink *sink, char *at, int type, const char *bytes, size_t size)
{
        at = sink_room(sink, at, size + HEAD_ROOM);
        if (!at)
                return NULL;
        if (size > 0 && size <= 16 && (size & (size - 1)) == 0)
                *at++ = (char)(0xd4 + __builtin_ctzl(size));
        else
                at = size == 0 ? put_big_endian(at, 0xc700, 2) : put_size(at, (uint32_t)size, 0, 0, 0xc7, true);
        *at++ = (char)type;
        return put_bytes(at, bytes, size);
}

/* Within room for it. */
static inline char *put_msgpack_integer(char *at, int64_t integer)
{
        uint64_t number = (uint64_t)integer;

        if (integer >= -32 && integer < 128) {
                *at++ = (char)integer;
                return at;
        }
        *at++ = (char)(integer >= 0 ? number <= UINT8_MAX    ? 0xcc :
                                      number <= UINT16_MAX   ? 0xcd :
                                      number <= UINT32_MAX   ? 0xce :
                                                               0xcf :
                       integer >= INT8_MIN  ? 0xd0 :
                       integer >= INT16_MIN ? 0xd1 :
                       integer >= INT32_MIN ? 0xd2 :
                                              0xd3);
        /* Of constant sizes, so that each becomes one move. */
        switch ((unsigned char)at[-1] & 3) {
        case 0:
                return put_big_endian(at, number, 1);
        case 1:
                return put_big_endian(at, number, 2);
        case 2:
                return put_big_endian(at, number, 4);
        default:
                return put_big_endian(at, number, 8);
        }
}

static char *put_double(char *at, double number)
{
        uint64_t bits;

        memcpy(&bits, &number, sizeof bits);
        *at++ = (char)0xcb;
        return put_big_endian(at, bits, 8);
}

/* Names that are integers are only read where __serialize() has given them. */
static bool has_integer_names(const ferry_value *object)
{
        for (uint32_t i = 0; i < object->size; i++)
                if (object->members->entries[i].key.kind == FERRY_VALUE_INT)
                        return true;
        return false;
}

/* Names that count from 0 are not written: they are an array then. */
static bool has_counted_names(const ferry_value *object)
{
        for (uint32_t i = 0; i < object->size; i++)
                if (object->members->entries[i].key.kind != FERRY_VALUE_INT ||
                    object->members->entries[i].key.integer != i)
                        return false;
        return object->size > 0;
}

/* The opening; and whether the names of what is in it are left out. */
static char *put_object(ferry_sink *sink, char *at, const ferry_value *value, bool *ret_is_counted)
{
        bool is_nested = has_integer_names(value);
        bool is_counted = is_nested && has_counted_names(value);

        *ret_is_counted = is_counted;
        at = sink_room(sink, at, HEAD_ROOM);
        if (!at)
                return NULL;
        at = put_size(at, is_nested ? 2 : value->size + 1, 0x80, 15, 0xde, false);
        *at++ = (char)0xc0;
        at = put_string(sink, at, value->members->class_name, value->members->class_size);
        if (!is_nested)
                return at;
        at = sink_room(sink, at, HEAD_ROOM);
        if (!at)
                return NULL;
        *at++ = (char)0xc0;
        return put_size(at, value->size, is_counted ? 0x90 : 0x80, 15, is_counted ? 0xdc : 0xde, false);
}

static char *put_named(ferry_sink *sink, char *at, const ferry_value *value)
{
        int type;

        if (is_ext(value, &type))
                return put_ext(sink, at, type, value->named->bytes, value->size);
        at = sink_room(sink, at, HEAD_ROOM);
        if (!at)
                return NULL;
        if (is_ext_class(value->named->class_name, value->named->class_size)) {
                sink_fail(sink, -EILSEQ, "msgpack has no extension type \"%.40s\": ext:-128 to ext:127",
                          value->named->class_name);
                return NULL;
        }
        *at++ = (char)0x82;
        *at++ = (char)0xc0;
        *at++ = value->kind == FERRY_VALUE_ENUM ? SPECIAL_ENUM : SPECIAL_OPAQUE;
        at = put_string(sink, at, value->named->class_name, value->named->class_size);
        return put_string(sink, at, value->named->bytes, value->size);
}

/* All but an object. */
static inline char *put_value(ferry_sink *sink, char *at, const ferry_value *value)
{
        switch (value->kind) {
        case FERRY_VALUE_STRING:
                if (sink_may_lend(sink, value->size))
                        return lend_string(sink, at, value);
                if (value->visibility & STRING_IS_BINARY)
                        return put_binary(sink, at, value->bytes, value->size);
                return put_string(sink, at, value->bytes, value->size);
        case FERRY_VALUE_ENUM:
        case FERRY_VALUE_OPAQUE:
                return put_named(sink, at, value);
        default:
                at = sink_room(sink, at, HEAD_ROOM);
                if (!at)
                        return NULL;
        }
        switch (value->kind) {
        case FERRY_VALUE_INT:
                return put_msgpack_integer(at, value->integer);
        case FERRY_VALUE_LIST:
                return put_size(at, value->size, 0x90, 15, 0xdc, false);
        case FERRY_VALUE_MAP:
                return put_size(at, value->size, 0x80, 15, 0xde, false);
        case FERRY_VALUE_DOUBLE:
                return put_double(at, value->real);
        case FERRY_VALUE_BOOL:
                *at++ = (char)(value->boolean ? 0xc3 : 0xc2);
                return at;
        default:
                *at++ = (char)0xc0;
                return at;
        }
}

static inline char *put_key(ferry_sink *sink, char *at, const ferry_value *key)
{
        const char *bytes = key->bytes;
        size_t size = key->size;

        if (key->kind == FERRY_VALUE_INT) {
                at = sink_room(sink, at, HEAD_ROOM);
                return at ? put_msgpack_integer(at, key->integer) : NULL;
        }
        if (key->visibility != FERRY_VISIBILITY_PUBLIC)
                bytes = key_mangled(key, &size);
        return put_string(sink, at, bytes, size);
}

int msgpack_encode(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink)
{
        struct walk walk;
        struct walk_step step;
        bool is_counted[DEPTH_MAX + 1];         /* of the objects that are open, the first is 1 */
        bool is_empty_counted;
        char *at = sink_more(sink, NULL, HEAD_ROOM);

        (void)codec;
        if (!is_container(root)) {
                at = put_value(sink, at, root);
                if (at)
                        sink_take(sink, at);
                return 0;
        }
        walk_begin(&walk, root);
        for (size_t parent = 0; at && walk_next(&walk, &step); parent = walk.depth) {
                if (step.is_closing)
                        continue;
                /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Branch): set when it was opened */
                if (step.key && !(step.parent->kind == FERRY_VALUE_OBJECT && is_counted[parent]))
                        at = put_key(sink, at, step.key);
                if (!at)
                        break;
                if (step.value->kind == FERRY_VALUE_OBJECT)
                        at = put_object(sink, at, step.value,
                                        step.value->size > 0 ? &is_counted[walk.depth] : &is_empty_counted);
                else
                        at = put_value(sink, at, step.value);
        }
        if (at)
                sink_take(sink, at);
        return 0;
}
