/* Encoding and decoding with any codec: a built-in one or one of the program. */
#include "value/codec.h"

#include "util/options.h"
#include "value/tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BYTES_AT_FIRST = 512, BYTES_AT_FIRST_MAX = 1 << 20, FEW_ITEMS = 8, ITEMS_LOOKED_AT = 4, ITEM_GUESS = 16 };

/* How many bytes a value may become, by its first items, if there are many: what is too few grows. */
static size_t guess_size(const ferry_value *value)
{
        size_t bytes = 0, count = value->size;

        if (!is_container(value) || value->size <= FEW_ITEMS)
                return BYTES_AT_FIRST;
        for (size_t i = 0; i < ITEMS_LOOKED_AT; i++) {
                const ferry_value *item = ferry_value_at(value, i);

                bytes += ITEM_GUESS + (is_container(item) ? (size_t)item->size * ITEM_GUESS : item->size);
        }
        bytes /= ITEMS_LOOKED_AT;
        bytes = bytes < BYTES_AT_FIRST_MAX / count ? bytes * count : BYTES_AT_FIRST_MAX;
        return bytes > BYTES_AT_FIRST ? bytes : BYTES_AT_FIRST;
}

/* For a codec that gives no reason of its own. */
static void explain_kind(ferry_sink *sink, const ferry_value *value)
{
        static const char *const names[] = {
                [FERRY_VALUE_NULL] = "null", [FERRY_VALUE_BOOL] = "this bool", [FERRY_VALUE_INT] = "this integer",
                [FERRY_VALUE_DOUBLE] = "this double", [FERRY_VALUE_STRING] = "this string", [FERRY_VALUE_LIST] = "this list",
                [FERRY_VALUE_MAP] = "this map", [FERRY_VALUE_OBJECT] = "this object",
        };
        size_t kind = (size_t)ferry_value_kind(value);
        const char *name = kind < sizeof names / sizeof *names ? names[kind] : NULL;

        if (sink->error == -EDOM)
                snprintf(sink->reason, sizeof sink->reason, "%s has no way to write INF or NAN", sink->name);
        else if (sink->error == -EILSEQ)
                snprintf(sink->reason, sizeof sink->reason, "%s has no way to write %s", sink->name, name ? name : "this value");
}

int codec_encode(const ferry_codec *codec, const ferry_value *value, struct buffer *buffer, size_t limit,
                 char *reason)
{
        return codec_encode_lending(codec, value, buffer, limit, NULL, reason);
}

int codec_encode_lending(const ferry_codec *codec, const ferry_value *value, struct buffer *buffer, size_t limit, struct lent *lent,
                         char *reason)
{
        ferry_sink sink;
        size_t before = buffer_size(buffer);
        int error;

        sink.buffer = buffer;
        sink.end = NULL;
        sink.limit = limit;
        sink.lent = lent;
        sink.error = 0;
        sink.name = codec->name ? codec->name : "the codec";
        sink.reason[0] = '\0';
        error = codec->encode ? codec->encode(codec, value, &sink) : -EINVAL;
        if (error < 0)
                sink_fail(&sink, error, "%s", codec->encode ? "" : "the codec has no encode");
        if (!sink.error)
                return 0;
        buffer->end = buffer->begin + before;
        if (reason && !*sink.reason)
                explain_kind(&sink, value);
        if (reason)
                memcpy(reason, sink.reason, sizeof sink.reason);
        return sink.error;
}

/* Whether functions may be called that a struct of the program names: 0; or a negative errno, with a sentence. */
static int check_size(const ferry_codec *codec, struct error *error)
{
        return codec ? options_check_size("ferry_codec", sizeof *codec, codec, error) : error_set(error, -EINVAL, "the codec is NULL");
}

int ferry_codec_encode(const ferry_codec *codec, const ferry_value *value, void **ret_bytes, size_t *ret_size)
{
        struct buffer buffer = { 0 };
        struct error wrong = { 0 };
        int error = check_size(codec, &wrong);

        error_deinit(&wrong);
        *ret_bytes = NULL;
        *ret_size = 0;
        if (error || !value)
                return error ? error : -EINVAL;
        error = buffer_reserve(&buffer, guess_size(value)) ? codec_encode(codec, value, &buffer, UINT32_MAX, NULL) : -ENOMEM;
        if (!error)
                error = buffer_append(&buffer, "", 1);
        if (error) {
                buffer_deinit(&buffer);
                return error;
        }
        *ret_bytes = buffer.memory;
        *ret_size = buffer_size(&buffer) - 1;
        return 0;
}

int codec_decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_value **ret_value,
                 size_t *ret_offset)
{
        const struct native_codec *native = codec_native(codec);
        ferry_builder builder;
        int error;

        if (size > UINT32_MAX)
                return -EMSGSIZE;
        if (native)
                return native_decode(native, bytes, size, ret_value, ret_offset);
        if (!codec || !codec->decode)
                return -EINVAL;
        builder_init(&builder, arena_new(size < 1024 ? size * 2 + 64 : 2048));
        error = codec->decode(codec, bytes, size, &builder);
        return native_take(&builder, error < 0 ? error : 0, ret_value);
}

int ferry_codec_decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_value **ret_value,
                       size_t *ret_offset)
{
        size_t offset = 0;
        ferry_value *value = NULL;
        struct error wrong = { 0 };
        int error = check_size(codec, &wrong);

        error_deinit(&wrong);
        if (!error && !bytes && size > 0)
                error = -EINVAL;
        if (!error)
                error = codec_decode(codec, bytes ? bytes : "", size, &value, &offset);
        *ret_value = value;
        if (error && ret_offset)
                *ret_offset = offset;
        return error;
}

int ferry_codec_explain_decode(const ferry_codec *codec, const void *bytes, size_t size, char *text, size_t text_size)
{
        const struct native_codec *native = codec ? codec_native(codec) : NULL;
        ferry_value *value;
        struct check check = { 0 };
        struct error wrong = { 0 };
        size_t offset = 0;
        int code = ferry_codec_decode(codec, bytes, size, &value, &offset);

        ferry_value_unref(value);
        if (native && (code == -EBADMSG || code == -EMSGSIZE))
                native->check(bytes ? bytes : "", size, &check);
        if (code == 0)
                snprintf(text, text_size, "%s", "");
        else if (check_size(codec, &wrong) < 0)
                snprintf(text, text_size, "%s", error_text(&wrong));
        else
                snprintf(text, text_size, "%s at byte %zu%s%s", code == -EAGAIN   ? "it ends too early," :
                                                                code == -EMSGSIZE ? "it is over a limit" :
                                                                code == -ENOMEM   ? "no memory is left to read it" :
                                                                                    "it is wrong",
                         offset, check.reason ? ": " : "", check.reason ? check.reason : "");
        error_deinit(&wrong);
        return code;
}

int ferry_codec_explain_encode(const ferry_codec *codec, const ferry_value *value, char *text, size_t text_size)
{
        struct buffer buffer = { 0 };
        struct error wrong = { 0 };
        char reason[96] = "";
        int code = check_size(codec, &wrong);

        if (!code)
                code = value ? codec_encode(codec, value, &buffer, UINT32_MAX, reason) : -EINVAL;
        buffer_deinit(&buffer);
        snprintf(text, text_size, "%s", code == 0 ? "" : *reason ? reason : wrong.code ? error_text(&wrong) : error_describe(code));
        error_deinit(&wrong);
        return code;
}

static bool is_brief(const ferry_codec *codec)
{
        return !codec || codec_native(codec);
}

void brief_init(struct brief *brief, const ferry_codec *codec)
{
        if (is_brief(codec)) {
                arena_init_lent(&brief->lent, brief->memory, sizeof brief->memory);
                builder_init(&brief->builder, &brief->lent);
                brief->builder.is_borrowing = true;
        } else
                builder_init(&brief->builder, arena_new(sizeof brief->memory));
}

/* A template that is one string, "%s" or "%.*s", or one value, "%p", needs no builder; NULL: any other. */
static const ferry_value *take_alone(struct brief *brief, const char *format, va_list arguments)
{
        bool has_size = format[0] == '%' && format[1] == '.' && format[2] == '*' && format[3] == 's' && !format[4];
        const char *text;
        size_t size;
        int precision;
        va_list list;

        if (!has_size && (format[0] != '%' || (format[1] != 's' && format[1] != 'p') || format[2]))
                return NULL;
        va_copy(list, arguments);
        if (format[1] == 'p') {
                const ferry_value *value = va_arg(list, const ferry_value *);

                va_end(list);
                return value;
        }
        precision = has_size ? va_arg(list, int) : -1;
        text = va_arg(list, const char *);
        va_end(list);
        if (!text)
                return NULL;
        size = precision < 0 ? strlen(text) : (size_t)precision;
        if (size > UINT32_MAX)
                return NULL;
        brief->root = (ferry_value){ .kind = FERRY_VALUE_STRING, .bytes = text, .size = (uint32_t)size };
        return &brief->root;
}

const ferry_value *brief_build(struct brief *brief, const ferry_codec *codec, const char *format, va_list arguments,
                               struct error *error)
{
        ferry_builder *builder = &brief->builder;
        const ferry_value *value = NULL;

        if (format && is_brief(codec))
                value = take_alone(brief, format, arguments);
        if (value) {
                builder->arena = NULL;
                return value;
        }
        brief_init(brief, codec);
        builder_add_template(builder, format, arguments);
        value = builder_take(builder);
        if (!value)
                error_set(error, builder->error, "%s", *builder->place ? builder->place :
                          builder->error == -EINVAL ? "the template or an argument of it is wrong" :
                          error_describe(builder->error));
        return value;
}

void brief_deinit(struct brief *brief)
{
        if (!brief->builder.arena)
                return;
        builder_deinit(&brief->builder);
        if (brief->builder.arena == &brief->lent)
                arena_deinit_lent(&brief->lent);
        else
                arena_unref(brief->builder.arena);
}
