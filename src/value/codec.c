/* What all codecs share: encoding into a sink, decoding bytes into a tree of their own. */
#include "value/codec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct native_codec *codec_native(const ferry_codec *codec)
{
        if (codec == ferry_codec_php() || codec == ferry_codec_json() || codec == ferry_codec_json_objects() ||
            codec == ferry_codec_msgpack() || codec == &codec_bytes.codec)
                return (const struct native_codec *)codec;
        return NULL;
}

const ferry_codec *codec_by_number(unsigned number)
{
        const ferry_codec *all[] = { ferry_codec_msgpack(), ferry_codec_php(), ferry_codec_json(), ferry_codec_json_objects() };

        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                if (all[i]->number == number)
                        return all[i];
        return NULL;
}

static int check_bytes(const char *bytes, size_t size, struct check *check)
{
        (void)bytes;
        if (size > UINT32_MAX)
                return -EMSGSIZE;
        check->nodes = 1;
        return 0;
}

static int decode_bytes(char *bytes, size_t size, struct check *check, ferry_builder *builder)
{
        (void)check;
        bytes[size] = '\0';
        builder_add_view(builder, bytes, size);
        return builder->error;
}

static int encode_bytes(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        size_t size;
        const char *bytes = ferry_value_bytes(value, &size);

        (void)codec;
        if (ferry_value_kind(value) != FERRY_VALUE_STRING)
                return -EILSEQ;
        ferry_sink_write(sink, bytes, size);
        return 0;
}

const struct native_codec codec_bytes = {
        .codec = { .size = sizeof(ferry_codec), .name = "bytes", .encode = encode_bytes },
        .check = check_bytes,
        .decode = decode_bytes,
};

size_t raw_text_copy(const struct raw_text *text, char *target)
{
        size_t size = text->size;

        if (text->is_escaped)
                size = json_unescape(text->bytes, text->size, target);
        else if (size > 0)
                memcpy(target, text->bytes, size);
        target[size] = '\0';
        return size;
}

void sink_fail(ferry_sink *sink, int error, const char *format, ...)
{
        va_list arguments;

        if (sink->error)
                return;
        sink->error = error;
        va_start(arguments, format);
        vsnprintf(sink->reason, sizeof sink->reason, format, arguments);
        va_end(arguments);
}

enum { RESERVE_BEYOND_LIMIT = 128 };

char *sink_reserve(ferry_sink *sink, size_t size)
{
        char *room;

        if (sink->error)
                return NULL;
        if (size > sink->limit - buffer_size(sink->buffer) + RESERVE_BEYOND_LIMIT) {
                sink_fail(sink, -EMSGSIZE, "it is over the limit");
                return NULL;
        }
        room = buffer_reserve(sink->buffer, size);
        if (!room)
                sink_fail(sink, -ENOMEM, "no memory");
        return room;
}

void sink_take(ferry_sink *sink, const char *end)
{
        size_t size = (size_t)(end - (char *)sink->buffer->memory) - sink->buffer->end;

        if (size > sink->limit - buffer_size(sink->buffer))
                sink_fail(sink, -EMSGSIZE, "it is over the limit");
        else
                sink->buffer->end += size;
}

void ferry_sink_write(ferry_sink *sink, const void *bytes, size_t size)
{
        char *room = sink_reserve(sink, size);

        if (!room || size == 0)
                return;
        memcpy(room, bytes, size);
        sink_take(sink, room + size);
}

char *put_integer(char *at, int64_t integer)
{
        uint64_t magnitude = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
        char digits[20];
        int count = 0;

        if (integer < 0)
                *at++ = '-';
        do
                digits[count++] = (char)('0' + magnitude % 10);
        while (magnitude /= 10);
        while (count > 0)
                *at++ = digits[--count];
        return at;
}

int codec_encode(const ferry_codec *codec, const ferry_value *value, struct buffer *buffer, size_t limit,
                 char *reason)
{
        ferry_sink sink = { .buffer = buffer, .limit = limit, .name = codec->name ? codec->name : "the codec" };
        size_t before = buffer_size(buffer);
        int error = codec->encode ? codec->encode(codec, value, &sink) : -EINVAL;

        if (error < 0)
                sink_fail(&sink, error, "%s", codec->encode ? "" : "the codec has no encode");
        if (sink.error)
                buffer->end = buffer->begin + before;
        if (reason)
                memcpy(reason, sink.reason, sizeof sink.reason);
        return sink.error;
}

int ferry_codec_encode(const ferry_codec *codec, const ferry_value *value, void **ret_bytes, size_t *ret_size)
{
        struct buffer buffer = { 0 };
        int error;

        *ret_bytes = NULL;
        *ret_size = 0;
        if (!codec || !value)
                return -EINVAL;
        error = codec_encode(codec, value, &buffer, UINT32_MAX, NULL);
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

static int take(ferry_builder *builder, int error, ferry_value **ret_value)
{
        builder_fail(builder, error);
        *ret_value = builder_take(builder);
        if (!*ret_value && builder->arena)
                arena_unref(builder->arena);
        builder_deinit(builder);
        return builder->error;
}

int codec_decode_block(const struct native_codec *codec, struct block *block, char *bytes, size_t size,
                       struct check *check, ferry_value **ret_value)
{
        ferry_builder builder;

        /* Most of a tree is its nodes; what is more comes in chunks. */
        builder_init(&builder, arena_new(check->nodes < 256 ? check->nodes * sizeof(ferry_value) + 128 : 256));
        if (builder.arena && arena_hold_block(builder.arena, block) < 0)
                builder_fail(&builder, -ENOMEM);
        builder_reserve(&builder, check->nodes);
        return take(&builder, builder.error ? 0 : codec->decode(bytes, size, check, &builder), ret_value);
}

static int decode_native(const struct native_codec *codec, const void *bytes, size_t size, ferry_value **ret_value,
                         size_t *ret_offset)
{
        struct check check = { 0 };
        struct block *block;
        char *copy;
        int error = codec->check(bytes, size, &check);

        *ret_offset = check.offset;
        if (error)
                return error;
        block = sys_alloc(sizeof *block + size + 1);
        if (!block)
                return -ENOMEM;
        block->references = 1;
        copy = (char *)(block + 1);
        memcpy(copy, bytes, size);
        error = codec_decode_block(codec, block, copy, size, &check, ret_value);
        *ret_offset = check.offset;
        block_unref(block);
        return error;
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
                return decode_native(native, bytes, size, ret_value, ret_offset);
        if (!codec->decode) /* NOLINT(clang-analyzer-core.NullDereference): codec is no NULL anywhere */
                return -EINVAL;
        builder_init(&builder, arena_new(size < 1024 ? size * 2 + 64 : 2048));
        error = codec->decode(codec, bytes, size, &builder);
        return take(&builder, error < 0 ? error : 0, ret_value);
}

int codec_decode_into(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        ferry_value *value = NULL;
        size_t offset;
        int error = codec_decode(codec, bytes, size, &value, &offset);

        if (error)
                return error;
        builder_add_value(builder, value);
        ferry_value_unref(value);
        return 0;
}

int ferry_codec_decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_value **ret_value,
                       size_t *ret_offset)
{
        size_t offset = 0;
        ferry_value *value = NULL;
        int error = !codec || (!bytes && size > 0) ? -EINVAL :
                                                     codec_decode(codec, bytes ? bytes : "", size, &value, &offset);

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
        size_t offset = 0;
        int code = ferry_codec_decode(codec, bytes, size, &value, &offset);

        ferry_value_unref(value);
        if (native && (code == -EBADMSG || code == -EMSGSIZE))
                native->check(bytes ? bytes : "", size, &check);
        if (code == 0)
                snprintf(text, text_size, "%s", "");
        else
                snprintf(text, text_size, "%s at byte %zu%s%s", code == -EAGAIN   ? "it ends too early," :
                                                                code == -EMSGSIZE ? "it is over a limit" :
                                                                code == -ENOMEM   ? "there is no memory to read it" :
                                                                                    "it is wrong",
                         offset, check.reason ? ": " : "", check.reason ? check.reason : "");
        return code;
}

int ferry_codec_explain_encode(const ferry_codec *codec, const ferry_value *value, char *text, size_t text_size)
{
        struct buffer buffer = { 0 };
        char reason[96] = "";
        int code = codec && value ? codec_encode(codec, value, &buffer, UINT32_MAX, reason) : -EINVAL;

        buffer_deinit(&buffer);
        snprintf(text, text_size, "%s", code == 0 ? "" : *reason ? reason : error_describe(code));
        return code;
}

void brief_init(struct brief *brief, const ferry_codec *codec)
{
        if (!codec || codec_native(codec)) {
                arena_init_lent(&brief->lent, brief->memory, sizeof brief->memory);
                builder_init(&brief->builder, &brief->lent);
        } else
                builder_init(&brief->builder, arena_new(sizeof brief->memory));
}

const ferry_value *brief_build(struct brief *brief, const char *format, va_list arguments, struct error *error)
{
        ferry_builder *builder = &brief->builder;
        const ferry_value *value;

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
        builder_deinit(&brief->builder);
        if (brief->builder.arena == &brief->lent)
                arena_deinit_lent(&brief->lent);
        else if (brief->builder.arena)
                arena_unref(brief->builder.arena);
}
