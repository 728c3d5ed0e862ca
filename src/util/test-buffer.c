/* The buffer from inside: what is put in comes out, in order; and bytes that wait in it are not moved again and again,
 * however it is filled and emptied. */
#include "util/buffer.h"

#include "support/suite.h"

#include <string.h>

/* What is written is a count, so that what is read is known. */
static unsigned char byte_at(size_t position)
{
        return (unsigned char)(position * 7 + position / 256);
}

static void put(struct buffer *buffer, size_t *written, size_t size)
{
        unsigned char bytes[64];

        for (size_t i = 0; i < size; i++)
                bytes[i] = byte_at((*written)++);
        ck_assert_int_eq(buffer_append(buffer, bytes, size), 0);
}

static void take(struct buffer *buffer, size_t *taken, size_t size)
{
        for (size_t i = 0; i < size; i++)
                SUITE_CHECK(buffer_bytes(buffer)[i] == byte_at(*taken + i), "byte %zu is another", *taken + i);
        *taken += size;
        buffer_consume(buffer, size);
}

/* A queue that never gets empty, of so many bytes, up to one less than its memory holds: as many go as come. */
START_TEST(what_waits_is_moved_seldom)
{
        static const size_t waiting[] = { 2, 100, 128, 129, 255, 300, 4095, 4096, 16383 };
        size_t written = 0, taken = 0, moved = 0;
        struct buffer buffer = { 0 };

        while (written < waiting[_i])
                put(&buffer, &written, 1);
        for (size_t step = 0; step < suite_scale(100000); step++) {
                size_t begin, size = step % 3 + 1, used, capacity = buffer.capacity;

                take(&buffer, &taken, size < buffer_size(&buffer) ? size : buffer_size(&buffer) - 1);
                begin = buffer.begin;
                used = buffer_size(&buffer);
                put(&buffer, &written, waiting[_i] - used);
                /* It was shifted to the front, or is elsewhere. */
                if (buffer.begin != begin || buffer.capacity != capacity)
                        moved += used;
        }
        ck_assert_uint_le(moved, 2 * written);
        ck_assert_uint_le(buffer.capacity, 4 * waiting[_i] + 1024);
        take(&buffer, &taken, buffer_size(&buffer));
        ck_assert_uint_eq(taken, written);
        ck_assert_uint_eq(buffer.begin, 0);
        buffer_deinit(&buffer);
}
END_TEST

/* The last bytes go in front of others; both keep their order. */
START_TEST(the_last_are_moved)
{
        static const char letters[] = "abcdefghijkl";

        for (size_t offset = 0; offset <= 12; offset++)
                for (size_t size = 0; offset + size <= 12; size++) {
                        char expected[13] = "abcdefghijkl";
                        struct buffer buffer = { 0 };

                        /* With something taken from its front already. */
                        ck_assert_int_eq(buffer_append(&buffer, "xxxabcdefghijkl", 15), 0);
                        buffer_consume(&buffer, 3);
                        buffer_move_last(&buffer, offset, size);
                        memcpy(expected + offset, letters + 12 - size, size);
                        memcpy(expected + offset + size, letters + offset, 12 - size - offset);
                        ck_assert_uint_eq(buffer_size(&buffer), 12);
                        ck_assert_mem_eq(buffer_bytes(&buffer), expected, 12);
                        buffer_deinit(&buffer);
                }
}
END_TEST

START_TEST(what_cannot_be_had_is_refused)
{
        struct buffer buffer = { 0 };
        size_t written = 0, taken = 0;

        put(&buffer, &written, 10);
        ck_assert_ptr_null(buffer_reserve(&buffer, SIZE_MAX));
        ck_assert_ptr_null(buffer_reserve(&buffer, SIZE_MAX / 4));
        take(&buffer, &taken, 10);
        buffer_shrink(&buffer, buffer.capacity);
        ck_assert_ptr_nonnull(buffer.memory);
        buffer_shrink(&buffer, buffer.capacity - 1);
        ck_assert_ptr_null(buffer.memory);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(what_waits_is_moved_seldom, 9),
        SUITE_TEST(the_last_are_moved),
        SUITE_TEST(what_cannot_be_had_is_refused),
};

SUITE_MAIN("buffer", tests)
