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

/* A tree of which the arena has the bytes, or holds them. The caller's reference to the arena becomes the tree's. */
static int decode_in(struct arena *arena, const struct native_codec *codec, char *bytes, size_t size, struct check *check,
                     ferry_value **ret_value)
{
        ferry_value *root = arena_take(arena, sizeof *root);
        int error = root ? codec->decode(bytes, size, check, arena, root) : -ENOMEM;

        *ret_value = error ? NULL : root;
        if (error)
                arena_unref(arena);
        return error;
}

int codec_decode_block(const struct native_codec *codec, struct block *block, char *bytes, size_t size,
                       struct check *check, struct spare *spare, ferry_value **ret_value)
{
        size_t room = sizeof(ferry_value) + check->memory + ARENA_HOLD_SIZE;
        struct arena *arena = spare ? spare_take(spare, room) : arena_new(room);

        *ret_value = NULL;
        if (!arena)
                return -ENOMEM;
        if (arena_hold_block(arena, block) < 0) {
                arena_unref(arena);
                return -ENOMEM;
        }
        return decode_in(arena, codec, bytes, size, check, ret_value);
}

int native_decode(const struct native_codec *codec, const void *bytes, size_t size, ferry_value **ret_value,
                  size_t *ret_offset)
{
        struct check check = { 0 };
        struct arena *arena;
        char *copy;
        int error = codec->check(bytes, size, &check);

        *ret_offset = check.offset;
        if (error)
                return error;
        /* The tree and the bytes that it points into are one piece. */
        arena = arena_new(sizeof(ferry_value) + check.memory + size + 1 + ARENA_ALIGNMENT);
        if (!arena)
                return -ENOMEM;
        copy = arena_copy(arena, bytes, size);
        if (!copy) {
                arena_unref(arena);
                return -ENOMEM;
        }
        error = decode_in(arena, codec, copy, size, &check, ret_value);
        *ret_offset = check.offset;
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
