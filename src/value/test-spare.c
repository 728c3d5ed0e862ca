/* Memory that one tree leaves to the next: bodies of messages that come one after the other take none, and what is held
 * elsewhere keeps its own. */
#include "support/door.h"
#include "support/suite.h"
#include "value/codec.h"

#include <stdlib.h>
#include <string.h>

static struct block *new_block(const char *text, char **ret_bytes)
{
        struct block *block = sys_alloc(sizeof *block + strlen(text) + 1);

        block->references = 1;
        *ret_bytes = (char *)(block + 1);
        memcpy(*ret_bytes, text, strlen(text) + 1);
        return block;
}

/* As a session does. */
static ferry_value *decode(const char *json, struct spare *spare)
{
        const struct native_codec *codec = codec_native(ferry_codec_json());
        struct check check = { 0 };
        ferry_value *value;
        char *bytes;
        struct block *block = new_block(json, &bytes);

        ck_assert_int_eq(codec->check(bytes, strlen(json), &check), 0);
        ck_assert_int_eq(codec_decode_block(codec, block, bytes, strlen(json), &check, spare, &value), 0);
        block_unref(block);
        return value;
}

START_TEST(bodies_one_after_the_other_allocate_once)
{
        static const char *const bodies[] = { "{\"a\":[1,2],\"text\":\"b\"}", "[[[]]]", "7", "{\"other\":\"name\",\"x\":null}" };
        struct spare spare = { 0 };
        size_t blocks;

        spare_keep(&spare, decode(bodies[0], &spare));
        blocks = door_counts.blocks;
        for (int i = 0; i < 100; i++) {
                ferry_value *value, *expected;

                door_reset();
                value = decode(bodies[i % 4], &spare);
                /* The block. */
                ck_assert_uint_eq(door_counts.allocations, 1);
                ck_assert_int_eq(ferry_codec_decode(ferry_codec_json(), bodies[i % 4], strlen(bodies[i % 4]), &expected, NULL), 0);
                ck_assert(ferry_value_equal(value, expected));
                ferry_value_unref(expected);
                spare_keep(&spare, value);
        }
        ck_assert_uint_eq(door_counts.blocks, blocks);
        spare_deinit(&spare);
}

START_TEST(a_tree_that_is_held_keeps_its_memory)
{
        struct spare spare = { 0 };
        ferry_value *first = decode("{\"kept\":[1,2,\"text\"]}", &spare);
        ferry_value *part = ferry_value_ref(ferry_value_get(first, "kept"));
        ferry_value *second;

        spare_keep(&spare, first);
        ck_assert_ptr_null(spare.arena);
        second = decode("{\"name\":[3,4,\"other\"]}", &spare);
        ck_assert_str_eq(ferry_value_text(ferry_value_at(part, 2), ""), "text");
        ferry_value_unref(part);
        spare_keep(&spare, second);
        ck_assert_ptr_nonnull(spare.arena);
        spare_keep(&spare, NULL);
        spare_deinit(&spare);
}

/* Large trees are not kept: a session that has seen one would hold its memory. A tree of trees lets go of them. */
START_TEST(spare_memory_is_small_and_holds_nothing)
{
        struct spare spare = { 0 };
        size_t blocks = door_counts.blocks;
        char *large = malloc(20001);
        ferry_value *inner;

        memset(large, '1', 20000);
        for (int i = 1; i < 20000; i += 2)
                large[i] = ',';
        large[0] = '[';
        large[19999] = ']';
        large[20000] = '\0';
        large[1] = '1';
        spare_keep(&spare, decode(large, &spare));
        ck_assert_ptr_null(spare.arena);
        ck_assert_uint_eq(door_counts.blocks, blocks);
        free(large);

        inner = ferry_value_pack("['inner']");
        spare_keep(&spare, ferry_value_pack("[%p, 'outer']", (void *)inner));
        ck_assert_ptr_nonnull(spare.arena);
        ferry_value_unref(inner);
        /* Nothing but the spare memory. */
        ck_assert_uint_eq(door_counts.blocks, blocks + 1);
        spare_deinit(&spare);
        ck_assert_uint_eq(door_counts.blocks, blocks);
}

/* Of two that end the larger memory is kept, whatever the order. */
START_TEST(the_larger_memory_is_kept)
{
        struct spare spare = { 0 };
        const char *const bodies[] = { "[1]", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]" };
        ferry_value *small, *large;

        for (int order = 0; order < 2; order++) {
                small = decode(bodies[0], &spare);
                large = decode(bodies[1], &spare);
                spare_keep(&spare, order ? small : large);
                spare_keep(&spare, order ? large : small);
                ck_assert_ptr_nonnull(spare.arena);
                ck_assert_uint_ge(spare.arena->room, 20 * sizeof(ferry_value));
                spare_deinit(&spare);
        }
}

static const struct suite_test tests[] = {
        SUITE_TEST(bodies_one_after_the_other_allocate_once),
        SUITE_TEST(a_tree_that_is_held_keeps_its_memory),
        SUITE_TEST(spare_memory_is_small_and_holds_nothing),
        SUITE_TEST(the_larger_memory_is_kept),
};

SUITE_MAIN("spare", tests)
