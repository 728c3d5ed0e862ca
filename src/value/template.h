/* The words of templates, which pack and unpack read alike: conversions, quoted text, numbers, names. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Arguments, in a struct so that functions can hand them on and see how far the others have come. */
struct arguments {
        va_list list;
};

/* A conversion: %, flags, width, precision, length, letter. */
struct conversion {
        const char *begin;
        const char *end;
        const char *length;     /* "", hh, h, l, ll, z, j, t, L, m */
        size_t length_size;
        bool has_width_argument;
        bool has_precision;
        bool has_precision_argument;
        bool has_flags;
        int width;              /* 0: none */
        int precision;
        char letter;
};

/* Text that grows: on the stack while it is short. */
struct text {
        char *bytes;
        size_t size;
        size_t capacity;
        char first[512];
};

static inline const char *skip_blanks(const char *at)
{
        while (*at == ' ' || *at == '\t' || *at == '\n')
                at++;
        return at;
}

static inline bool is_word_begin(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '\\' || (unsigned char)c >= 0x80;
}

const char *skip_word(const char *at);
bool word_is(const char *word, size_t size, const char *text);

/* Read what begins at %; returns what follows it. */
const char *read_conversion(const char *at, struct conversion *ret);
bool length_is(const struct conversion *conversion, const char *length);

/* [-]digits[.digits][e[+-]digits]; NULL if it is none. */
const char *read_literal_number(const char *at, bool *ret_is_double);
/* One that is no double; false if it does not fit. */
bool read_literal_integer(const char *at, int64_t *ret);

void text_init(struct text *text);
void text_deinit(struct text *text);

/* 'text', with conversions inside; '' is one quote, %% is one %. @arguments NULL: conversions are wrong. Returns
 * what follows the closing quote, or NULL with a negative errno. */
const char *read_quoted(const char *at, struct text *text, struct arguments *arguments, int *ret_error);
