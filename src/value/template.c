/* Reads the words of templates. It keeps no state but the place, which the caller carries. */
#include "value/template.h"

#include "util/sys.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *skip_word(const char *at)
{
        while (is_word_begin(*at) || (*at >= '0' && *at <= '9'))
                at++;
        return at;
}

static const char *read_number(const char *at, int *ret)
{
        *ret = 0;
        for (; *at >= '0' && *at <= '9'; at++)
                if (*ret <= INT_MAX / 10 - 1)
                        *ret = *ret * 10 + (*at - '0');
        return at;
}

const char *read_conversion(const char *at, struct conversion *ret)
{
        *ret = (struct conversion){ .begin = at++ };
        while (*at && strchr("-+ #0'", *at)) {
                ret->has_flags = true;
                at++;
        }
        if (*at == '*') {
                ret->has_width_argument = true;
                at++;
        } else
                at = read_number(at, &ret->width);
        if (*at == '.') {
                ret->has_precision = true;
                if (*++at == '*') {
                        ret->has_precision_argument = true;
                        at++;
                } else
                        at = read_number(at, &ret->precision);
        }
        ret->length = at;
        while (*at && strchr("hlzjtLm", *at))
                at++;
        ret->length_size = (size_t)(at - ret->length);
        ret->letter = *at;
        ret->end = *at ? at + 1 : at;
        return ret->end;
}

bool length_is(const struct conversion *conversion, const char *length)
{
        return conversion->length_size == strlen(length) &&
               memcmp(conversion->length, length, conversion->length_size) == 0;
}

bool word_is(const char *word, size_t size, const char *text)
{
        return size == strlen(text) && memcmp(word, text, size) == 0;
}

const char *read_literal_number(const char *at, bool *ret_is_double)
{
        const char *digits = at += *at == '-';

        *ret_is_double = false;
        while (*at >= '0' && *at <= '9')
                at++;
        if (at == digits)
                return NULL;
        if (*at == '.') {
                *ret_is_double = true;
                for (at++; *at >= '0' && *at <= '9'; at++)
                        ;
        }
        if (*at == 'e' || *at == 'E') {
                *ret_is_double = true;
                at++;
                at += *at == '-' || *at == '+';
                if (*at < '0' || *at > '9')
                        return NULL;
                while (*at >= '0' && *at <= '9')
                        at++;
        }
        return at;
}

bool read_literal_integer(const char *at, int64_t *ret)
{
        errno = 0;
        *ret = strtoll(at, NULL, 10);
        return errno == 0;
}

void text_init(struct text *text)
{
        text->bytes = text->first;
        text->size = 0;
        text->capacity = sizeof text->first;
}

void text_deinit(struct text *text)
{
        if (text->bytes != text->first)
                sys_free(text->bytes);
}

static char *text_room(struct text *text, size_t size)
{
        size_t capacity = text->capacity;
        char *grown;

        if (capacity - text->size > size)
                return text->bytes + text->size;
        while (capacity - text->size <= size)
                capacity *= 2;
        grown = sys_realloc(text->bytes == text->first ? NULL : text->bytes, capacity);
        if (!grown)
                return NULL;
        if (text->bytes == text->first)
                memcpy(grown, text->first, text->size);
        text->bytes = grown;
        text->capacity = capacity;
        return grown + text->size;
}

static bool text_append(struct text *text, const char *bytes, size_t size)
{
        char *room = text_room(text, size);

        if (!room)
                return false;
        memcpy(room, bytes, size);
        text->size += size;
        return true;
}

/* Let printf itself print one conversion, whose argument has this type. */
#define PRINT_AS(type)                                                                                          \
        do {                                                                                                    \
                type value_ = va_arg(arguments->list, type);                                                    \
                                                                                                                \
                needed = stars == 2 ? snprintf(NULL, 0, spec, star[0], star[1], value_) :                       \
                         stars == 1 ? snprintf(NULL, 0, spec, star[0], value_) : snprintf(NULL, 0, spec, value_); \
                if (needed < 0)                                                                                 \
                        return -EINVAL;                                                                         \
                room = text_room(text, (size_t)needed + 1);                                                     \
                if (!room)                                                                                      \
                        return -ENOMEM;                                                                         \
                size = (size_t)needed + 1;                                                                      \
                needed = stars == 2 ? snprintf(room, size, spec, star[0], star[1], value_) :                    \
                         stars == 1 ? snprintf(room, size, spec, star[0], value_) :                             \
                                      snprintf(room, size, spec, value_);                                       \
        } while (0)

/* A conversion inside quotes: as in printf. The format comes from the template, whose arguments the compiler
 * has checked where it was written. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int print_conversion(struct text *text, const struct conversion *conversion, struct arguments *arguments)
{
        char spec[64], *room;
        int star[2] = { 0 }, stars = 0, needed;
        size_t size = (size_t)(conversion->end - conversion->begin);

        if (size >= sizeof spec)
                return -EINVAL;
        memcpy(spec, conversion->begin, size);
        spec[size] = '\0';
        if (conversion->has_width_argument)
                star[stars++] = va_arg(arguments->list, int);
        if (conversion->has_precision_argument)
                star[stars++] = va_arg(arguments->list, int);

        switch (conversion->letter) {
        case 'd':
        case 'i':
        case 'u':
        case 'x':
        case 'X':
        case 'o':
                if (length_is(conversion, "l") || length_is(conversion, "z") || length_is(conversion, "t"))
                        PRINT_AS(unsigned long);
                else if (length_is(conversion, "ll") || length_is(conversion, "j") || length_is(conversion, "L"))
                        PRINT_AS(unsigned long long);
                else
                        PRINT_AS(unsigned);
                break;
        case 'c':
                if (conversion->length_size > 0)
                        return -EINVAL;
                PRINT_AS(int);
                break;
        case 's':
                if (conversion->length_size > 0)
                        return -EINVAL;
                PRINT_AS(const char *);
                break;
        case 'p':
                PRINT_AS(const void *);
                break;
        case 'e':
        case 'E':
        case 'f':
        case 'F':
        case 'g':
        case 'G':
        case 'a':
        case 'A':
                if (length_is(conversion, "L"))
                        PRINT_AS(long double);
                else
                        PRINT_AS(double);
                break;
        default:
                return -EINVAL;
        }
        text->size += (size_t)needed;
        return 0;
}
#pragma GCC diagnostic pop

const char *read_quoted(const char *at, struct text *text, struct arguments *arguments, int *ret_error)
{
        struct conversion conversion;

        *ret_error = -ENOMEM;
        for (at++;; at++) {
                size_t plain = strcspn(at, "'%");

                if (!text_append(text, at, plain))
                        return NULL;
                at += plain;
                if (*at == '\'' && at[1] != '\'')
                        return at + 1;
                if (*at == '\0' || (*at == '%' && at[1] != '%' && !arguments)) {
                        *ret_error = -EINVAL;
                        return NULL;
                }
                if (*at == '\'' || at[1] == '%') {
                        if (!text_append(text, at, 1))
                                return NULL;
                        at++;
                        continue;
                }
                at = read_conversion(at, &conversion) - 1;
                *ret_error = print_conversion(text, &conversion, arguments);
                if (*ret_error < 0)
                        return NULL;
                *ret_error = -ENOMEM;
        }
}
