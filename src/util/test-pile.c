/* Piles of free memory: the block that was used last is taken first, and little is kept. */
#include "support/door.h"
#include "support/suite.h"
#include "util/pile.h"

#include <errno.h>
#include <string.h>

START_TEST(the_block_that_was_used_last_is_taken_first)
{
        struct pile pile = { 0 };
        size_t first_size, second_size, size;
        void *first = pile_take(&pile, 100, &first_size), *second = pile_take(&pile, 100, &second_size);

        ck_assert_uint_ge(first_size, 100);
        /* All of it may be written. */
        memset(first, 1, first_size);
        memset(second, 2, second_size);
        pile_give(&pile, first, first_size);
        pile_give(&pile, second, second_size);
        door_reset();
        ck_assert_ptr_eq(pile_take(&pile, second_size, &size), second);
        ck_assert_uint_eq(size, second_size);
        ck_assert_ptr_eq(pile_take(&pile, 1, &size), first);
        ck_assert_uint_eq(size, first_size);
        ck_assert_uint_eq(door_counts.allocations, 0);
        memset(first, 3, first_size);
        pile_give(&pile, first, first_size);
        pile_give(&pile, second, second_size);
        pile_deinit(&pile);
}

START_TEST(a_block_that_is_too_small_makes_room_for_a_larger_one)
{
        struct pile pile = { 0 };
        size_t blocks = door_counts.blocks, size;
        void *block = pile_take(&pile, 1, &size);

        pile_give(&pile, block, size);
        block = pile_take(&pile, PILE_BLOCK_MAX, &size);
        ck_assert_uint_eq(size, PILE_BLOCK_MAX);
        memset(block, 1, size);
        ck_assert_uint_eq(door_counts.blocks, blocks + 1);
        pile_give(&pile, block, size);
        pile_deinit(&pile);
        ck_assert_uint_eq(door_counts.blocks, blocks);
}

START_TEST(a_large_block_is_freed)
{
        struct pile pile = { 0 };
        size_t blocks = door_counts.blocks, size, small_size;
        void *small = pile_take(&pile, 1, &small_size), *large;

        pile_give(&pile, small, small_size);
        /* What is kept stays for the next small one. */
        large = pile_take(&pile, PILE_BLOCK_MAX + 1, &size);
        ck_assert_uint_eq(size, PILE_BLOCK_MAX + 1);
        ck_assert_uint_eq(door_counts.blocks, blocks + 2);
        memset(large, 1, size);
        pile_give(&pile, large, size);
        ck_assert_uint_eq(door_counts.blocks, blocks + 1);
        ck_assert_ptr_eq(pile_take(&pile, 1, &small_size), small);
        pile_give(&pile, small, small_size);
        pile_deinit(&pile);
        ck_assert_uint_eq(door_counts.blocks, blocks);
}

START_TEST(few_of_many_blocks_are_kept)
{
        struct pile pile = { 0 };
        void *taken[PILE_MAX * 2];
        size_t blocks = door_counts.blocks, sizes[PILE_MAX * 2];

        for (int i = 0; i < PILE_MAX * 2; i++)
                ck_assert_ptr_nonnull(taken[i] = pile_take(&pile, 1, &sizes[i]));
        for (int i = 0; i < PILE_MAX * 2; i++)
                pile_give(&pile, taken[i], sizes[i]);
        ck_assert_uint_eq(door_counts.blocks, blocks + PILE_MAX);
        pile_deinit(&pile);
        ck_assert_uint_eq(door_counts.blocks, blocks);
        /* It is as empty as at the beginning. */
        taken[0] = pile_take(&pile, 1, &sizes[0]);
        pile_give(&pile, taken[0], sizes[0]);
        ck_assert_uint_eq(door_counts.blocks, blocks + 1);
        pile_deinit(&pile);
        ck_assert_uint_eq(door_counts.blocks, blocks);
}

static int refuse_memory(enum door_call call, bool is_child)
{
        return call == DOOR_alloc && !is_child ? -ENOMEM : 0;
}

START_TEST(a_pile_without_memory_stays_usable)
{
        struct pile pile = { 0 };
        size_t blocks = door_counts.blocks, size;
        void *block = pile_take(&pile, 1, &size);

        pile_give(&pile, block, size);
        door_judge = refuse_memory;
        ck_assert_ptr_null(pile_take(&pile, PILE_BLOCK_MAX, &size));
        ck_assert_ptr_null(pile_take(&pile, 1, &size));
        door_reset();
        ck_assert_uint_eq(door_counts.blocks, blocks);
        block = pile_take(&pile, 1, &size);
        ck_assert_ptr_nonnull(block);
        pile_give(&pile, block, size);
        pile_deinit(&pile);
        ck_assert_uint_eq(door_counts.blocks, blocks);
}

static const struct suite_test tests[] = {
        SUITE_TEST(the_block_that_was_used_last_is_taken_first),
        SUITE_TEST(a_block_that_is_too_small_makes_room_for_a_larger_one),
        SUITE_TEST(a_large_block_is_freed),
        SUITE_TEST(few_of_many_blocks_are_kept),
        SUITE_TEST(a_pile_without_memory_stays_usable),
};

SUITE_MAIN("pile", tests)
