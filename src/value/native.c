/* Decoding by a built-in codec: the bytes are checked, then decoded in place, and become part of the value. */
#include "value/codec.h"

#include <errno.h>
#include <string.h>

int native_take(ferry_builder *builder, int error, ferry_value **ret_value)
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
        return native_take(&builder, builder.error ? 0 : codec->decode(bytes, size, check, &builder), ret_value);
}

int native_decode(const struct native_codec *codec, const void *bytes, size_t size, ferry_value **ret_value,
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

int native_decode_into(const struct native_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        ferry_value *value = NULL;
        size_t offset;
        int error = size > UINT32_MAX ? -EMSGSIZE : native_decode(codec, bytes, size, &value, &offset);

        if (error)
                return error;
        builder_add_value(builder, value);
        ferry_value_unref(value);
        return 0;
}
