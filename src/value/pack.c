/* Packing: a template and its arguments become a value. One pass over the template, without recursion: the
 * builder knows how deep it is. */
#include "value/builder.h"
#include "value/number.h"
#include "value/template.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *wrong(ferry_builder *builder, const char *format, const char *at)
{
        bool is_word = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '"';

        if (!builder->error)
                snprintf(builder->place, sizeof builder->place, "the template is wrong at \"%.20s\" in \"%.40s\"%s", at,
                         format, is_word ? ": a string stands in 'quotes', or is a %s" : "");
        builder_fail(builder, -EINVAL);
        return NULL;
}

static int64_t take_integer(const struct conversion *conversion, struct arguments *arguments, bool *ret_is_signed)
{
        *ret_is_signed = conversion->letter == 'd' || conversion->letter == 'i';
        if (length_is(conversion, "l"))
                return *ret_is_signed ? va_arg(arguments->list, long) :
                                        (int64_t)va_arg(arguments->list, unsigned long);
        if (length_is(conversion, "ll") || length_is(conversion, "j"))
                return (int64_t)va_arg(arguments->list, long long);
        if (length_is(conversion, "z") || length_is(conversion, "t"))
                return *ret_is_signed ? va_arg(arguments->list, ssize_t) : (int64_t)va_arg(arguments->list, size_t);
        return *ret_is_signed ? va_arg(arguments->list, int) : (int64_t)va_arg(arguments->list, unsigned);
}

/* A conversion outside of quotes: one whole value. */
static void add_conversion(ferry_builder *builder, const char *format, const struct conversion *conversion,
                           struct arguments *arguments, bool is_key)
{
        const char *text;
        size_t size;
        int64_t integer;
        bool is_signed;

        if (conversion->has_flags || conversion->width || conversion->has_width_argument ||
            (conversion->has_precision && conversion->letter != 's') || length_is(conversion, "L")) {
                wrong(builder, format, conversion->begin);
                return;
        }
        switch (conversion->letter) {
        case 's':
                integer = conversion->has_precision_argument ? va_arg(arguments->list, int) :
                          conversion->has_precision ? conversion->precision : -1;
                text = va_arg(arguments->list, const char *);
                if (conversion->length_size > 0 || (!text && is_key))
                        break;
                if (!text) {
                        builder_add_null(builder);
                        return;
                }
                size = integer < 0 ? strlen(text) : (size_t)integer;
                if (is_key)
                        builder_key_argument(builder, text, size);
                else
                        builder_add_argument(builder, text, size);
                return;
        case 'd':
        case 'i':
        case 'u':
                if (length_is(conversion, "hh") && conversion->letter == 'd' && !is_key) {
                        builder_add_bool(builder, va_arg(arguments->list, int) != 0);
                        return;
                }
                integer = take_integer(conversion, arguments, &is_signed);
                if (!is_signed && integer < 0)
                        builder_fail(builder, -EINVAL);
                else if (is_key)
                        builder_key_int(builder, integer);
                else
                        builder_add_int(builder, integer);
                return;
        case 'f':
        case 'g':
        case 'e':
                if (is_key || conversion->length_size > 0)
                        break;
                builder_add_double(builder, va_arg(arguments->list, double));
                return;
        case 'p':
                if (is_key || conversion->length_size > 0)
                        break;
                builder_add_value(builder, va_arg(arguments->list, const ferry_value *));
                return;
        }
        wrong(builder, format, conversion->begin);
}

static const char *add_quoted(ferry_builder *builder, const char *format, const char *at, bool is_key,
                              struct arguments *arguments)
{
        struct text text;
        const char *end;
        int error;

        text_init(&text);
        end = read_quoted(at, &text, arguments, &error);
        if (!end && error == -EINVAL)
                wrong(builder, format, at);
        else if (!end)
                builder_fail(builder, error);
        else if (is_key)
                builder_key_string(builder, text.bytes, text.size);
        else
                builder_add_string(builder, text.bytes, text.size);
        text_deinit(&text);
        return end;
}

static const char *add_number(ferry_builder *builder, const char *format, const char *at, bool is_key)
{
        bool is_double;
        const char *end = read_literal_number(at, &is_double);
        int64_t integer;

        if (!end || (is_double && is_key))
                return wrong(builder, format, at);
        if (is_double) {
                builder_add_double(builder, number_parse(at, (size_t)(end - at)));
                return end;
        }
        if (!read_literal_integer(at, &integer))
                return wrong(builder, format, at);
        if (is_key)
                builder_key_int(builder, integer);
        else
                builder_add_int(builder, integer);
        return end;
}

/* true, false, null, Class{…}, Class::Case. Returns what follows; if that is the inside of an object, it has
 * been opened. */
static const char *add_word(ferry_builder *builder, const char *format, const char *at)
{
        const char *end = skip_word(at), *next = skip_blanks(end), *case_end;
        size_t size = (size_t)(end - at);

        if (*next == '{') {
                builder_open(builder, FERRY_VALUE_OBJECT, builder_copy(builder, at, size), size);
                return next + 1;
        }
        if (next[0] == ':' && next[1] == ':') {
                case_end = skip_word(next + 2);
                if (case_end == next + 2)
                        return wrong(builder, format, next);
                builder_add_named(builder, FERRY_VALUE_ENUM, builder_copy(builder, at, size), size,
                                  builder_copy(builder, next + 2, (size_t)(case_end - next - 2)),
                                  (size_t)(case_end - next - 2));
                return case_end;
        }
        if (word_is(at, size, "true") || word_is(at, size, "false"))
                builder_add_bool(builder, *at == 't');
        else if (word_is(at, size, "null"))
                builder_add_null(builder);
        else
                return wrong(builder, format, at);
        return end;
}

static const char *add_key(ferry_builder *builder, const char *format, const char *at, struct arguments *arguments)
{
        struct conversion conversion;
        const char *end;

        if (*at == '\'')
                return add_quoted(builder, format, at, true, arguments);
        if (*at == '%') {
                end = read_conversion(at, &conversion);
                add_conversion(builder, format, &conversion, arguments, true);
                return end;
        }
        if (*at == '-' || (*at >= '0' && *at <= '9'))
                return add_number(builder, format, at, true);
        end = skip_word(at);
        if (end == at)
                return wrong(builder, format, at);
        builder_key_argument(builder, at, (size_t)(end - at));
        return end;
}

/* One value, or the opening of one. */
static const char *add_item(ferry_builder *builder, const char *format, const char *at, struct arguments *arguments)
{
        struct conversion conversion;
        const char *end;

        switch (*at) {
        case '{':
        case '[':
                builder_open(builder, *at == '{' ? FERRY_VALUE_MAP : FERRY_VALUE_LIST, NULL, 0);
                return at + 1;
        case '\'':
                return add_quoted(builder, format, at, false, arguments);
        case '%':
                end = read_conversion(at, &conversion);
                add_conversion(builder, format, &conversion, arguments, false);
                return end;
        }
        if (is_word_begin(*at))
                return add_word(builder, format, at);
        return add_number(builder, format, at, false);
}

static void add_template(ferry_builder *builder, const char *format, struct arguments *arguments)
{
        const char *at = skip_blanks(format);
        size_t outside = builder->level_count;
        bool is_comma_allowed = false;

        do {
                size_t levels = builder->level_count;
                bool is_inside = levels > outside;
                bool is_list = is_inside && builder->levels[levels - 1].kind == FERRY_VALUE_LIST;

                if (is_inside && *at == (is_list ? ']' : '}')) {
                        ferry_builder_close(builder);
                        is_comma_allowed = true;
                        at = skip_blanks(at + 1);
                        continue;
                }
                if (is_inside && is_comma_allowed) {
                        if (*at != ',') {
                                wrong(builder, format, at);
                                return;
                        }
                        at = skip_blanks(at + 1);
                }
                if (is_inside && !is_list) {
                        at = add_key(builder, format, at, arguments);
                        if (!at || builder->error)
                                return;
                        at = skip_blanks(at);
                        if (*at != ':') {
                                wrong(builder, format, at);
                                return;
                        }
                        at = skip_blanks(at + 1);
                }
                at = add_item(builder, format, at, arguments);
                if (!at || builder->error)
                        return;
                at = skip_blanks(at);
                is_comma_allowed = builder->level_count == levels;
        } while (builder->level_count > outside && !builder->error);
        if (*at)
                wrong(builder, format, at);
}

void builder_add_template(ferry_builder *builder, const char *format, va_list list)
{
        struct arguments arguments;

        if (!format) {
                builder_add_null(builder);
                return;
        }
        va_copy(arguments.list, list);
        add_template(builder, format, &arguments);
        va_end(arguments.list);
}

ferry_value *ferry_value_vpack(const char *format, va_list list)
{
        ferry_builder builder;
        ferry_value *root;
        int error;

        builder_init(&builder, arena_new(256));
        builder_add_template(&builder, format, list);
        root = builder_take(&builder);
        error = builder.error;
        if (!root && builder.arena)
                arena_unref(builder.arena);
        builder_deinit(&builder);
        if (!root)
                errno = -error;
        return root;
}

ferry_value *ferry_value_pack(const char *format, ...)
{
        ferry_value *value;
        va_list list;

        va_start(list, format);
        value = ferry_value_vpack(format, list);
        va_end(list);
        return value;
}

void ferry_builder_add(ferry_builder *builder, const char *format, ...)
{
        va_list list;

        if (!builder)
                return;
        va_start(list, format);
        builder_add_template(builder, format, list);
        va_end(list);
}

void ferry_builder_key(ferry_builder *builder, const char *format, ...)
{
        struct arguments arguments;
        const char *end;

        if (!builder)
                return;
        if (!format) {
                builder_fail(builder, -EINVAL);
                return;
        }
        va_start(arguments.list, format);
        end = add_key(builder, format, skip_blanks(format), &arguments);
        va_end(arguments.list);
        if (end && *skip_blanks(end))
                wrong(builder, format, end);
}

void ferry_builder_add_value(ferry_builder *builder, const ferry_value *value)
{
        if (builder)
                builder_add_value(builder, value);
}

void ferry_builder_key_value(ferry_builder *builder, const ferry_value *key)
{
        if (!builder)
                return;
        if (ferry_value_kind(key) == FERRY_VALUE_INT)
                builder_key_int(builder, key->integer);
        else if (ferry_value_kind(key) == FERRY_VALUE_STRING)
                builder_key_string(builder, key->bytes, key->size);
        else
                builder_fail(builder, -EINVAL);
}
