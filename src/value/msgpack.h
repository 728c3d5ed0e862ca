/* The parts of the codec msgpack: msgpack.c looks at bytes, msgpack_decode.c builds what has been looked at, msgpack_encode.c
 * writes. */
#pragma once

#include "value/codec.h"

#include <string.h>

#define EXT_CLASS "ext:"

enum { EXT_CLASS_MAX = sizeof EXT_CLASS + 4 };

/* What php-msgpack says behind the nil, where it is no name of a class; and ferry's own for the case of an enum,
 * which that extension writes but cannot read. */
enum special {
        SPECIAL_REFERENCED = 1,         /* a container that is held by reference follows */
        SPECIAL_ARRAY_AGAIN = 2,
        SPECIAL_OPAQUE = 3,
        SPECIAL_OBJECT_AGAIN = 4,
        SPECIAL_REFERENCE = 5,
        SPECIAL_ENUM = 6,
};

int msgpack_encode(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink);

/* Note the numbers of values that are referred to; the bytes are right. */
struct slots;
void msgpack_want(const char *bytes, size_t size, struct slots *slots);
int msgpack_decode(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root);

/* Such an object is written as an ext, so it comes as nothing else. */
static inline bool is_ext_class(const char *name, size_t size)
{
        return size >= sizeof EXT_CLASS - 1 && memcmp(name, EXT_CLASS, sizeof EXT_CLASS - 1) == 0;
}
