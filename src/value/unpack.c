/* Unpacking: a template takes a value apart, as scanf does with text. Invariant: nothing is stored unless all
 * fits. The recursion follows the template, never the value. */
#include "value/number.h"
#include "value/template.h"
#include "value/tree.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

/* A template is read once to compare and once to store, so that nothing is stored unless all fits. If memory
 * runs out while storing, it is read once more, to take back what was stored. */
enum purpose { COMPARE, STORE, TAKE_BACK };

struct unpack {
        enum purpose purpose;
        struct arguments *arguments;
        const char *at;
        size_t stored;          /* strings that were allocated; when taking back, those that are left */
        int error;
};

static void unpack_value(struct unpack *unpack, const ferry_value *value, bool is_absent, unsigned depth);

static void mismatch(struct unpack *unpack)
{
        if (!unpack->error)
                unpack->error = -EINVAL;
}

#define STORE_INTEGER(type, low, high)                                                                          \
        do {                                                                                                    \
                type *target_ = va_arg(unpack->arguments->list, type *);                                        \
                                                                                                                \
                if (is_absent)                                                                                  \
                        break;                                                                                  \
                if (value->integer < (int64_t)(low) || ((high) < INT64_MAX && value->integer > (int64_t)(high))) \
                        mismatch(unpack);                                                                       \
                else if (unpack->purpose == STORE)                                                              \
                        *target_ = (type)value->integer;                                                        \
        } while (0)

static void unpack_integer(struct unpack *unpack, const struct conversion *conversion, const ferry_value *value,
                           bool is_absent)
{
        bool is_signed = conversion->letter != 'u';

        if (!is_absent && value->kind == FERRY_VALUE_BOOL && length_is(conversion, "hh")) {
                signed char *target = va_arg(unpack->arguments->list, signed char *);

                if (unpack->purpose == STORE)
                        *target = value->boolean ? 1 : 0;
                return;
        }
        if (!is_absent && value->kind != FERRY_VALUE_INT)
                mismatch(unpack);
        if (unpack->error)
                return;
        if (length_is(conversion, "hh")) {
                if (is_signed)
                        STORE_INTEGER(signed char, SCHAR_MIN, SCHAR_MAX);
                else
                        STORE_INTEGER(unsigned char, 0, UCHAR_MAX);
        } else if (length_is(conversion, "h")) {
                if (is_signed)
                        STORE_INTEGER(short, SHRT_MIN, SHRT_MAX);
                else
                        STORE_INTEGER(unsigned short, 0, USHRT_MAX);
        } else if (length_is(conversion, "l") || length_is(conversion, "z") || length_is(conversion, "t")) {
                _Static_assert(sizeof(long) == sizeof(size_t) && sizeof(long) == sizeof(ptrdiff_t), "l, z and t are of one size");
                if (is_signed)
                        STORE_INTEGER(long, LONG_MIN, LONG_MAX);
                else
                        STORE_INTEGER(unsigned long, 0, ULONG_MAX > INT64_MAX ? INT64_MAX : (int64_t)ULONG_MAX);
        } else if (conversion->length_size > 0) {
                if (is_signed)
                        STORE_INTEGER(int64_t, INT64_MIN, INT64_MAX);
                else
                        STORE_INTEGER(uint64_t, 0, INT64_MAX);
        } else if (is_signed)
                STORE_INTEGER(int, INT_MIN, INT_MAX);
        else
                STORE_INTEGER(unsigned, 0, UINT_MAX);
}

static void unpack_double(struct unpack *unpack, const struct conversion *conversion, const ferry_value *value,
                          bool is_absent)
{
        void *target = va_arg(unpack->arguments->list, void *);

        if (!is_absent && value->kind != FERRY_VALUE_DOUBLE && value->kind != FERRY_VALUE_INT)
                mismatch(unpack);
        if (is_absent || unpack->error || unpack->purpose != STORE)
                return;
        if (length_is(conversion, "l"))
                *(double *)target = ferry_value_double(value, 0);
        else
                *(float *)target = (float)ferry_value_double(value, 0);
}

static void unpack_string(struct unpack *unpack, const struct conversion *conversion, const ferry_value *value,
                          bool is_absent)
{
        void *target = va_arg(unpack->arguments->list, void *);
        bool is_allocated = length_is(conversion, "m");

        if (!is_allocated && (conversion->width == 0 || conversion->length_size > 0))
                mismatch(unpack);
        if (!is_absent && (value->kind != FERRY_VALUE_STRING || memchr(value->bytes, '\0', value->size) ||
                           (!is_allocated && value->size > (size_t)conversion->width)))
                mismatch(unpack);
        if (is_absent || unpack->error)
                return;
        if (!is_allocated) {
                if (unpack->purpose == STORE)
                        memcpy(target, value->bytes, value->size + 1);
                return;
        }
        if (unpack->purpose == STORE) {
                char *copy = sys_alloc(value->size + 1);

                *(char **)target = copy;
                if (!copy) {
                        unpack->error = -ENOMEM;
                        return;
                }
                memcpy(copy, value->bytes, value->size + 1);
                unpack->stored++;
        } else if (unpack->purpose == TAKE_BACK && unpack->stored > 0) {
                sys_free(*(char **)target);
                *(char **)target = NULL;
                unpack->stored--;
        }
}

static void unpack_conversion(struct unpack *unpack, const ferry_value *value, bool is_absent)
{
        struct conversion conversion;

        unpack->at = read_conversion(unpack->at, &conversion);
        if (conversion.has_flags || conversion.has_precision || conversion.has_width_argument ||
            (conversion.width && conversion.letter != 's')) {
                mismatch(unpack);
                return;
        }
        switch (conversion.letter) {
        case 'd':
        case 'u':
                unpack_integer(unpack, &conversion, value, is_absent);
                return;
        case 'f':
        case 'g':
        case 'e':
                unpack_double(unpack, &conversion, value, is_absent);
                return;
        case 's':
                unpack_string(unpack, &conversion, value, is_absent);
                return;
        default:
                mismatch(unpack);
        }
}

/* Read a key or a word in quotes into @text. */
static bool unpack_quoted(struct unpack *unpack, struct text *text)
{
        int error;
        const char *end;

        text_init(text);
        end = read_quoted(unpack->at, text, NULL, &error);
        if (!end) {
                text_deinit(text);
                if (!unpack->error)
                        unpack->error = error;
                return false;
        }
        unpack->at = end;
        return true;
}

static const ferry_value *unpack_key(struct unpack *unpack, const ferry_value *container)
{
        ferry_value key = { .kind = FERRY_VALUE_STRING };
        const struct entry *entry = NULL;
        struct text text;
        bool is_double;
        const char *end;

        text_init(&text);
        if (*unpack->at == '\'') {
                if (!unpack_quoted(unpack, &text))
                        return NULL;
                key.bytes = text.bytes;
                key.size = (uint32_t)text.size;
        } else if (is_word_begin(*unpack->at)) {
                end = skip_word(unpack->at);
                key.bytes = unpack->at;
                key.size = (uint32_t)(end - unpack->at);
                unpack->at = end;
        } else {
                end = read_literal_number(unpack->at, &is_double);
                if (!end || is_double || !read_literal_integer(unpack->at, &key.integer)) {
                        mismatch(unpack);
                        return NULL;
                }
                key.kind = FERRY_VALUE_INT;
                unpack->at = end;
        }
        if (container)
                entry = members_find(container->members, container->size, &key, -1);
        text_deinit(&text);
        return entry ? &entry->value : NULL;
}

static void unpack_members(struct unpack *unpack, const ferry_value *value, bool is_absent, unsigned depth)
{
        unpack->at = skip_blanks(unpack->at + 1);
        while (*unpack->at != '}' && !unpack->error) {
                const ferry_value *item = unpack_key(unpack, is_absent ? NULL : value);
                bool is_optional;

                if (unpack->error)
                        return;
                is_optional = *unpack->at == '?';
                unpack->at = skip_blanks(unpack->at + is_optional);
                if (*unpack->at != ':' || (!item && !is_optional && !is_absent)) {
                        mismatch(unpack);
                        return;
                }
                unpack->at = skip_blanks(unpack->at + 1);
                unpack_value(unpack, item, !item, depth);
                if (*unpack->at == ',')
                        unpack->at = skip_blanks(unpack->at + 1);
                else if (*unpack->at != '}')
                        mismatch(unpack);
        }
        unpack->at += !unpack->error;
}

static void unpack_list(struct unpack *unpack, const ferry_value *value, bool is_absent, unsigned depth)
{
        size_t index = 0;

        unpack->at = skip_blanks(unpack->at + 1);
        while (*unpack->at != ']' && !unpack->error) {
                const ferry_value *item = is_absent ? NULL : ferry_value_at(value, index++);

                if (!item && !is_absent) {
                        mismatch(unpack);
                        return;
                }
                unpack_value(unpack, item, is_absent, depth);
                if (*unpack->at == ',')
                        unpack->at = skip_blanks(unpack->at + 1);
                else if (*unpack->at != ']')
                        mismatch(unpack);
        }
        if (!is_absent && index != ferry_value_count(value))
                mismatch(unpack);
        unpack->at += !unpack->error;
}

static bool text_equals(const char *text, size_t size, const char *other, size_t other_size)
{
        return size == other_size && memcmp(text, other, size) == 0;
}

static void unpack_word(struct unpack *unpack, const ferry_value *value, bool is_absent, unsigned depth)
{
        const char *word = unpack->at, *end = skip_word(word), *next = skip_blanks(end), *case_end;
        size_t size = (size_t)(end - word);
        enum ferry_value_kind kind = ferry_value_kind(value);

        unpack->at = end;
        if (*next == '{') {
                if (!is_absent && (kind != FERRY_VALUE_OBJECT ||
                                   !text_equals(value->members->class_name, value->members->class_size, word, size)))
                        mismatch(unpack);
                unpack->at = next;
                if (!unpack->error)
                        unpack_members(unpack, value, is_absent, depth);
        } else if (next[0] == ':' && next[1] == ':') {
                case_end = skip_word(next + 2);
                unpack->at = case_end;
                if (!is_absent &&
                    (kind != FERRY_VALUE_ENUM ||
                     !text_equals(value->named->class_name, value->named->class_size, word, size) ||
                     !text_equals(value->named->bytes, value->size, next + 2, (size_t)(case_end - next - 2))))
                        mismatch(unpack);
        } else if (word_is(word, size, "true") || word_is(word, size, "false")) {
                if (!is_absent && (kind != FERRY_VALUE_BOOL || value->boolean != (*word == 't')))
                        mismatch(unpack);
        } else if (!word_is(word, size, "null") || (!is_absent && kind != FERRY_VALUE_NULL))
                mismatch(unpack);
}

static void unpack_number(struct unpack *unpack, const ferry_value *value, bool is_absent)
{
        bool is_double;
        const char *begin = unpack->at, *end = read_literal_number(begin, &is_double);
        enum ferry_value_kind kind = ferry_value_kind(value);
        int64_t integer;

        if (!end) {
                mismatch(unpack);
                return;
        }
        unpack->at = end;
        if (is_absent)
                return;
        if (!is_double && kind == FERRY_VALUE_INT) {
                if (!read_literal_integer(begin, &integer) || integer != value->integer)
                        mismatch(unpack);
        } else if ((kind != FERRY_VALUE_INT && kind != FERRY_VALUE_DOUBLE) ||
                   ferry_value_double(value, 0) != number_parse(begin, (size_t)(end - begin)))
                mismatch(unpack);
}

/* @depth bounds the recursion, which follows the template, not the value. */
static void unpack_value(struct unpack *unpack, const ferry_value *value, bool is_absent, unsigned depth)
{
        enum ferry_value_kind kind = ferry_value_kind(value);
        struct text text;

        unpack->at = skip_blanks(unpack->at);
        if (depth == 0) {
                mismatch(unpack);
                return;
        }
        switch (*unpack->at) {
        case '{':
                if (!is_absent && kind != FERRY_VALUE_MAP && kind != FERRY_VALUE_OBJECT)
                        mismatch(unpack);
                else
                        unpack_members(unpack, value, is_absent, depth - 1);
                break;
        case '[':
                if (!is_absent && kind != FERRY_VALUE_LIST)
                        mismatch(unpack);
                else
                        unpack_list(unpack, value, is_absent, depth - 1);
                break;
        case '%':
                unpack_conversion(unpack, value, is_absent);
                break;
        case '\'':
                if (!unpack_quoted(unpack, &text))
                        break;
                if (!is_absent && (kind != FERRY_VALUE_STRING ||
                                   !text_equals(value->bytes, value->size, text.bytes, text.size)))
                        mismatch(unpack);
                text_deinit(&text);
                break;
        default:
                if (is_word_begin(*unpack->at))
                        unpack_word(unpack, value, is_absent, depth - 1);
                else
                        unpack_number(unpack, value, is_absent);
        }
        unpack->at = skip_blanks(unpack->at);
}

static int unpack_pass(enum purpose purpose, const ferry_value *value, const char *format, va_list list,
                       size_t *stored)
{
        struct arguments arguments;
        struct unpack unpack = { .purpose = purpose, .arguments = &arguments, .at = format, .stored = *stored };

        va_copy(arguments.list, list);
        unpack_value(&unpack, value, false, 64);
        va_end(arguments.list);
        if (!unpack.error && *unpack.at)
                mismatch(&unpack);
        *stored = unpack.stored;
        return unpack.error;
}

int ferry_value_unpack(const ferry_value *value, const char *format, ...)
{
        size_t stored = 0;
        va_list list;
        int error;

        if (!value || !format)
                return -EINVAL;
        va_start(list, format);
        error = unpack_pass(COMPARE, value, format, list, &stored);
        if (!error) {
                error = unpack_pass(STORE, value, format, list, &stored);
                if (error)
                        unpack_pass(TAKE_BACK, value, format, list, &stored);
        }
        va_end(list);
        return error;
}
