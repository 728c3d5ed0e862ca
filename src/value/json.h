/* The parts of the codecs json and json-objects: json.c looks at bytes, json_decode.c builds what has been looked at,
 * json_encode.c writes. */
#pragma once

#include "value/codec.h"

#define CLASS_KEY "__class"

int json_encode_maps(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink);
int json_encode_objects(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink);

/* Whether bytes begin a UTF-8 sequence: its length; 0 if not; -1 if more bytes are needed to decide. */
int utf8_length(const unsigned char *at, size_t left);

int json_decode_maps(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root);
int json_decode_objects(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root);

/* -1: it is none. Four of them, which have been checked. */
int json_hex_digit(char c);
unsigned json_hex_number(const char *at);

/* Copy a text that has been checked from @*bytes up to the quote that ends it, or to @end. It never grows, so it may stay in its
 * place. Returns the end of the copy; @*bytes is at the quote. */
char *json_unescape(const char **bytes, const char *end, char *target);
