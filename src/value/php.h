/* The parts of the codec php: php.c looks at bytes, php_decode.c builds what has been looked at, php_encode.c writes. */
#pragma once

#include "value/codec.h"

int php_encode(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink);

/* Note the numbers of values that are referred to; the bytes are right. */
struct slots;
void php_want(const char *bytes, size_t size, struct slots *slots);
int php_decode(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root);

/* Whether bytes are a name of a class, as far as characters show. */
bool php_is_class_name(const char *name, size_t size);
