/* Variables in a segment: the layout, what a check refuses, what a kill leaves after each single store, and repair. It is built
 * twice, with PHP's integers of 64 and of 32 bits: all sizes follow from U, the bytes of one. */
static void look_after_store(void);
#define SEGMENT_STORED() look_after_store()
#include "channel/segment.c"
#include "channel/repair.c"

#include "support/suite.h"

#include <stdlib.h>

enum { SIZE_MAX_TESTED = 4096, KEYS = 6, NESTED = 2, U = SEGMENT_UNIT, HEADER = 8 + 4 * U };

/* A segment, and what a kill may leave of it. ------------------------------------------------------------- */

static _Alignas(8) unsigned char memory[SIZE_MAX_TESTED];
static struct segment segment = { memory, 512 };

static struct watch {
        bool is_on;
        int depth;
        int64_t key;            /* the one that changes */
        struct value {
                unsigned char bytes[600];
                size_t size;
                bool is_there;
        } before, after, others[KEYS];
        int64_t keys[KEYS];
        bool may_lose;          /* the old value, since both do not fit */
        unsigned stores, torn, fresh;
} watch;

static void begin(size_t size)
{
        memset(memory, 0, sizeof memory);
        segment.size = size;
        watch = (struct watch){ 0 };
}

static bool has_value(const struct segment *image, int64_t key, const struct value *value)
{
        struct segment_chunk chunk;
        int code = segment_find(image, key, &chunk);

        if (!value->is_there)
                return code == -ENOENT;
        return code == 0 && chunk.length == value->size &&
               memcmp(image->memory + chunk.offset + SEGMENT_CHUNK, value->bytes, value->size) == 0;
}

static int count_loss(const struct segment_loss *loss, void *object)
{
        (void)loss;
        (*(int *)object)++;
        return 0;
}

/* What is there now is what would be there after a kill. */
static void require_survival(const struct segment *image)
{
        static const struct value nothing = { .is_there = false };

        SUITE_CHECK(has_value(image, watch.key, &watch.before) || has_value(image, watch.key, &watch.after) ||
                    (watch.may_lose && has_value(image, watch.key, &nothing)), "store %u: neither the old nor the new value", watch.stores);
        for (int i = 0; i < KEYS; i++)
                SUITE_CHECK(watch.keys[i] == watch.key || has_value(image, watch.keys[i], &watch.others[i]),
                            "store %u: the variable %d is not as it was", watch.stores, (int)watch.keys[i]);
}

static void look_after_store(void)
{
        static _Alignas(8) unsigned char images[NESTED][SIZE_MAX_TESTED];
        static struct segment now;
        struct segment image, outer = now;
        int losses = 0, code;

        if (!watch.is_on || watch.depth == NESTED)
                return;
        watch.stores += watch.depth == 0;
        image = (struct segment){ images[watch.depth], segment.size };
        memcpy(image.memory, watch.depth == 0 ? segment.memory : now.memory, segment.size);
        now = image;
        watch.depth++;
        code = segment_check(&image, NULL);
        if (code) {
                SUITE_CHECK(code == -EBADMSG, "%d", code);
                watch.torn += watch.depth == 1;
                code = segment_repair(&image, count_loss, &losses);
                SUITE_CHECK(code == 0, "store %u cannot be repaired", watch.stores);
                SUITE_CHECK(losses == 0, "store %u: the repair drops %d", watch.stores, losses);
        }
        SUITE_CHECK(segment_check(&image, NULL) == 0, "store %u: the repair leaves flaws", watch.stores);
        require_survival(&image);
        watch.depth--;
        now = outer;
}

static struct value make_value(int seed, size_t size)
{
        struct value value = { .size = size, .is_there = true };

        for (size_t i = 0; i < size; i++)
                value.bytes[i] = (unsigned char)(seed * 31 + (int)i);
        return value;
}

static void put(int64_t key, int seed, size_t size)
{
        struct value value = make_value(seed, size);

        ck_assert_int_eq(segment_put(&segment, key, value.bytes, size), 0);
}

static void remember(int64_t key)
{
        struct segment_chunk chunk = { 0 };
        int i = 0;

        while (segment_next(&segment, &chunk) > 0) {
                struct value value = { .size = chunk.length, .is_there = true };

                memcpy(value.bytes, memory + chunk.offset + SEGMENT_CHUNK, chunk.length);
                watch.keys[i] = chunk.key;
                watch.others[i++] = value;
                if (chunk.key == key && !watch.before.is_there)
                        watch.before = value;
        }
        for (; i < KEYS; i++)
                watch.keys[i] = 1000 + i;
        watch.key = key;
        watch.is_on = true;
}

/* The room of a value, as PHP computes it. */
static size_t room_of(size_t length)
{
        return (length + 4 * U - 1) / U * U + U;
}

/* The layout that PHP leaves: no unused bytes, and each variable has PHP's size. */
static void require_compact(void)
{
        size_t at = SEGMENT_HEADER;
        struct segment_chunk chunk = { 0 };

        ck_assert_int_eq(segment_check(&segment, NULL), 0);
        while (segment_next(&segment, &chunk) > 0) {
                ck_assert_uint_eq(chunk.offset, at);
                ck_assert_uint_eq(chunk.next, room_of(chunk.length));
                at += chunk.next;
        }
        ck_assert_int_eq(segment_load(&segment, AT_START), SEGMENT_HEADER);
        ck_assert_int_eq(segment_load(&segment, AT_END), (int64_t)at);
}

static void put_watched(int64_t key, int seed, size_t size)
{
        remember(key);
        watch.after = make_value(seed, size);
        ck_assert_int_eq(segment_put(&segment, key, watch.after.bytes, size), 0);
        watch.is_on = false;
        ck_assert(has_value(&segment, key, &watch.after));
        for (int i = 0; i < KEYS; i++)
                ck_assert(watch.keys[i] == key || has_value(&segment, watch.keys[i], &watch.others[i]));
        require_compact();
        watch.before = watch.after = (struct value){ 0 };
}

static void remove_watched(int64_t key)
{
        remember(key);
        ck_assert_int_eq(segment_remove(&segment, key), 0);
        watch.is_on = false;
        ck_assert(has_value(&segment, key, &watch.after));
        require_compact();
        watch.before = (struct value){ 0 };
}

static void set(size_t offset, int64_t value)
{
        segment_integer integer = (segment_integer)value;

        memcpy(memory + offset, &integer, sizeof integer);
}

/* Tests ------------------------------------------------------------------------------------------------ */

static const size_t sizes[] = { 0, 1, 5, 7, 8, 9, 24, 25, 40, 80, 100, 200, 333 };
enum { SIZES = sizeof sizes / sizeof *sizes };

START_TEST(variables_stand_as_php_puts_them)
{
        struct segment_chunk chunk = { 0 };
        size_t unused;

        begin(256);
        ck_assert_int_eq(segment_next(&segment, &chunk), 0);
        ck_assert_int_eq(segment_count_free(&segment, &unused), 0);
        ck_assert_uint_eq(unused, 256 - HEADER);
        put(1, 1, 5);
        ck_assert_int_eq(memcmp(memory, "PHP_SM\0", 8), 0);
        ck_assert_int_eq(segment_next(&segment, &chunk), 1);
        ck_assert_uint_eq(chunk.offset, U == 8 ? 40 : 24);
        ck_assert_uint_eq(chunk.next, U == 8 ? 40 : 24);
        ck_assert_int_eq(segment_count_free(&segment, &unused), 0);
        ck_assert_uint_eq(unused, U == 8 ? 176 : 208);
        ck_assert_int_eq(segment_next(&segment, &chunk), 0);
        require_compact();
}
END_TEST

START_TEST(a_variable_that_is_put_again_is_the_last_one)
{
        struct segment_chunk chunk = { 0 };

        begin(512);
        put(1, 1, 20);
        put(2, 2, 10);
        put(1, 3, 5);
        require_compact();
        ck_assert_int_eq(segment_next(&segment, &chunk), 1);
        ck_assert_int_eq(chunk.key, 2);
        ck_assert_int_eq(segment_next(&segment, &chunk), 1);
        ck_assert_int_eq(chunk.key, 1);
        ck_assert_uint_eq(chunk.length, 5);
}
END_TEST

START_TEST(keys_have_the_bits_of_an_integer)
{
        struct segment_chunk chunk;

        begin(512);
        put(SEGMENT_INTEGER_MIN, 1, 2);
        put(SEGMENT_INTEGER_MAX, 2, 4);
        put(0, 3, 5);
        for (int64_t key = INT64_MIN; U < 8; key = INT64_MAX) {
                ck_assert_int_eq(segment_put(&segment, key, "", 0), -ERANGE);
                ck_assert_int_eq(segment_put(&segment, key / (1LL << 31) + (key > 0), "", 0), -ERANGE);
                ck_assert_int_eq(segment_find(&segment, key, &chunk), -ENOENT);
                ck_assert_int_eq(segment_remove(&segment, key), -ENOENT);
                if (key > 0)
                        break;
        }
        ck_assert_int_eq(segment_find(&segment, SEGMENT_INTEGER_MIN, &chunk), 0);
        ck_assert_int_eq(segment_find(&segment, SEGMENT_INTEGER_MAX, &chunk), 0);
        ck_assert_int_eq(segment_find(&segment, 0, &chunk), 0);
        ck_assert_int_eq(segment_find(&segment, 1, &chunk), -ENOENT);
        ck_assert_int_eq(segment_remove(&segment, 1), -ENOENT);
}
END_TEST

/* A size of a value is the limit if it takes exactly what is free. */
START_TEST(a_full_segment_keeps_what_it_has)
{
        static unsigned char before[SIZE_MAX_TESTED], bytes[SIZE_MAX_TESTED];

        for (size_t size = HEADER; size <= 200; size++) {
                begin(size);
                for (size_t length = 0; length <= size + 8; length++) {
                        bool fits = HEADER + room_of(length) <= size;

                        memset(memory, 0, size);
                        SUITE_CHECK(segment_put(&segment, 1, bytes, length) == (fits ? 0 : -ENOSPC), "%zu in %zu", length, size);
                        SUITE_CHECK(memory[size] == 0, "bytes behind the segment");
                        memcpy(before, memory, size);
                        SUITE_CHECK(segment_put(&segment, 1, bytes, size) == -ENOSPC, "%zu", size);
                        SUITE_CHECK(segment_put(&segment, 2, bytes, SIZE_MAX) == -ENOSPC, "%zu", size);
                        SUITE_CHECK(memcmp(before, memory, size) == 0, "a put that fails has changed something");
                }
        }
        for (size_t size = 0; size < HEADER; size++) {
                begin(size);
                ck_assert_int_eq(segment_put(&segment, 1, "", 0), -ENOSPC);
        }
}
END_TEST

START_TEST(a_value_that_fits_only_without_the_old_one_is_put)
{
        begin(200);
        put(1, 1, 60);
        put(2, 2, 20);
        watch.may_lose = true;
        put_watched(1, 3, 70);
        ck_assert_uint_gt(watch.stores, 0);
}
END_TEST

START_TEST(each_store_of_a_put_can_be_the_last)
{
        size_t size = sizes[_i];

        for (size_t other = 0; other < SIZES; other++)
                for (int position = 0; position < 4; position++) {
                        begin(2048);
                        put_watched(7, 9, size);
                        segment_remove(&segment, 7);
                        for (int key = 1; key < 4; key++)
                                put(key, key, key == position ? size : sizes[other]);
                        put_watched(position, 8, sizes[(other + 3) % SIZES]);
                }
}
END_TEST

START_TEST(each_store_of_a_removal_can_be_the_last)
{
        size_t size = sizes[_i];
        unsigned torn = 0;

        for (size_t other = 0; other < SIZES; other++)
                for (int position = 1; position < 5; position++) {
                        begin(2048);
                        for (int key = 1; key < 5; key++)
                                put(key, key, key == position ? size : sizes[(other + (size_t)key) % SIZES]);
                        remove_watched(position);
                        torn += watch.torn;
                }
        ck_assert_uint_gt(torn, 0);
}
END_TEST

/* As one whose last process was killed between a put and the removal of the old value. */
START_TEST(two_variables_of_one_key_become_one)
{
        for (int is_put = 0; is_put < 2; is_put++) {
                begin(1024);
                put(1, 1, 30);
                put(2, 2, 50);
                put(3, 3, 10);
                set(SEGMENT_HEADER + CHUNK_KEY, 3);
                ck_assert_int_eq(segment_check(&segment, NULL), 0);
                if (is_put)
                        put_watched(3, 4, 77);
                else
                        remove_watched(3);
        }
}
END_TEST

/* Unused bytes are legal everywhere. */
START_TEST(unused_bytes_are_taken_away)
{
        struct value value = make_value(4, 300);

        for (int i = 0; i < 4; i++) {
                begin(HEADER + room_of(100) + room_of(50) + room_of(150) + 112);
                put(1, 1, 100);
                put(2, 2, 50);
                put(3, 3, 150);
                if (i == 0)
                        set(AT_START, (int64_t)(HEADER + room_of(100)));
                else if (i == 1)
                        set(HEADER + CHUNK_NEXT, (int64_t)(room_of(100) + room_of(50)));
                else if (i == 2)
                        set(HEADER + room_of(100) + CHUNK_NEXT, (int64_t)(room_of(50) + room_of(150)));
                else
                        set(HEADER + CHUNK_NEXT, (int64_t)(room_of(100) + room_of(50) + room_of(150)));
                ck_assert_int_eq(segment_check(&segment, NULL), 0);
                if (i == 3)
                        put_watched(9, 4, 300);
                else
                        put_watched(9, 4, 100);
        }
        ck_assert(has_value(&segment, 9, &value));
}
END_TEST

START_TEST(a_torn_header_is_refused)
{
        static const struct {
                size_t at;
                int64_t value;
        } flaws[] = {
                { AT_START, 0 }, { AT_START, HEADER - U }, { AT_START, HEADER + 1 }, { AT_START, 600 }, { AT_START, -8 },
                { AT_START, SEGMENT_INTEGER_MIN }, { AT_END, HEADER - 1 }, { AT_END, HEADER + 1 }, { AT_END, 1000 }, { AT_END, -1 },
                { AT_END, SEGMENT_INTEGER_MAX }, { AT_END, HEADER + U }, { AT_FREE, 0 }, { AT_FREE, -1 },
                { AT_FREE, SEGMENT_INTEGER_MIN }, { AT_FREE, SEGMENT_INTEGER_MAX }, { AT_FREE, -HEADER }, { AT_TOTAL, 513 },
                { AT_TOTAL, HEADER - 1 }, { AT_TOTAL, -1 }, { AT_TOTAL, SEGMENT_INTEGER_MAX }, { AT_TOTAL, 0 },
        };

        for (size_t i = 0; i < sizeof flaws / sizeof *flaws; i++) {
                struct segment_chunk chunk = { 0 };
                struct segment_flaw flaw = { 0 };

                begin(512);
                put(1, 1, 30);
                put(2, 2, 50);
                set(flaws[i].at, flaws[i].value);
                ck_assert_int_eq(segment_check(&segment, &flaw), -EBADMSG);
                ck_assert_ptr_nonnull(flaw.reason);
                ck_assert_int_eq(segment_find(&segment, 1, &chunk), -EBADMSG);
                ck_assert_int_eq(segment_put(&segment, 1, "", 0), -EBADMSG);
                ck_assert_int_eq(segment_remove(&segment, 1), -EBADMSG);
                ck_assert_int_eq(segment_repair(&segment, NULL, NULL), 0);
                ck_assert_int_eq(segment_check(&segment, NULL), 0);
        }
}
END_TEST

START_TEST(a_torn_variable_is_refused)
{
        static const int64_t lengths[] = { -1, 41, 1000, SEGMENT_INTEGER_MAX, SEGMENT_INTEGER_MIN },
                             nexts[] = { 0, -64, U, 2 * U, 3 * U - 1, 63, 41, 1000, SEGMENT_INTEGER_MAX, SEGMENT_INTEGER_MIN,
                                         (25 + 4 * U - 1) / U * U + 2 * U };
        struct segment_flaw flaw;

        for (size_t i = 0; i < sizeof lengths / sizeof *lengths + sizeof nexts / sizeof *nexts; i++) {
                bool is_length = i < sizeof lengths / sizeof *lengths;
                size_t at = HEADER + room_of(5);
                int losses = 0;

                begin(512);
                put(1, 1, 5);
                put(2, 2, 25);          /* 64 bytes */
                put(3, 3, 5);
                set(at + (is_length ? CHUNK_LENGTH : CHUNK_NEXT), is_length ? lengths[i] : nexts[i - sizeof lengths / sizeof *lengths]);
                ck_assert_int_eq(segment_check(&segment, &flaw), -EBADMSG);
                ck_assert_uint_ge(flaw.offset, at);
                ck_assert_int_eq(segment_repair(&segment, count_loss, &losses), 0);
                ck_assert_int_eq(losses, is_length);
                watch.others[0] = make_value(1, 5);
                ck_assert(has_value(&segment, 1, &watch.others[0]));
                watch.others[0] = make_value(2, 25);
                watch.others[0].is_there = !is_length;
                ck_assert(has_value(&segment, 2, &watch.others[0]));
                watch.others[0] = make_value(3, 5);
                ck_assert(has_value(&segment, 3, &watch.others[0]));
        }
}
END_TEST

static int keep_loss(const struct segment_loss *loss, void *object)
{
        *(struct segment_loss *)object = *loss;
        return 0;
}

static int refuse_loss(const struct segment_loss *loss, void *object)
{
        (void)loss;
        (void)object;
        return -ENOMEM;
}

START_TEST(variables_behind_a_destroyed_one_are_kept)
{
        struct segment_loss loss = { 0 };
        struct value value = make_value(3, 5);

        begin(512);
        put(1, 1, 5);
        put(2, 2, 25);
        put(3, 3, 5);
        put(4, 4, 50);
        memset(memory + SEGMENT_HEADER, 0xff, room_of(5) + room_of(25) / 2);
        ck_assert_int_eq(segment_repair(&segment, refuse_loss, NULL), -ENOMEM);
        ck_assert_int_eq(segment_repair(&segment, keep_loss, &loss), 0);
        ck_assert_uint_eq(loss.offset, SEGMENT_HEADER);
        ck_assert_uint_eq(loss.size, room_of(5) + room_of(25));
        ck_assert(!loss.has_key);
        ck_assert(has_value(&segment, 3, &value));
        value = make_value(4, 50);
        ck_assert(has_value(&segment, 4, &value));
        put(5, 5, 5);
        require_compact();
}
END_TEST

START_TEST(raw_bytes_hold_no_variables)
{
        struct segment_flaw flaw;
        struct segment_chunk chunk = { 0 };

        begin(512);
        memory[HEADER - 1] = 'x';
        ck_assert_int_eq(segment_check(&segment, &flaw), -EBADMSG);
        ck_assert_str_eq(flaw.reason, "it holds raw bytes");
        ck_assert_int_eq(segment_next(&segment, &chunk), -EBADMSG);
        ck_assert_int_eq(segment_put(&segment, 1, "", 0), -EBADMSG);
        ck_assert_int_eq(segment_repair(&segment, NULL, NULL), -EBADMSG);
        begin(8);
        memcpy(memory, "PHP_SM", 7);
        ck_assert_int_eq(segment_check(&segment, NULL), -EBADMSG);
        ck_assert_int_eq(segment_repair(&segment, NULL, NULL), -EBADMSG);
}
END_TEST

/* That of a machine with integers of another size, with one variable of 24 bytes. */
START_TEST(a_segment_of_the_other_kind_is_refused)
{
        static unsigned char before[SIZE_MAX_TESTED];
        struct segment_chunk chunk = { 0 };
        struct segment_flaw flaw;

        begin(512);
        memcpy(memory, "PHP_SM", 7);
        for (size_t i = 0; i < 4; i++) {
                uint64_t field = (const uint64_t[]){ 56 - HEADER + 8, 104, 512 - 104, 512 }[i];

                if (U == 8)
                        memcpy(memory + 8 + i * 4, &(uint32_t){ (uint32_t)field }, 4);
                else
                        memcpy(memory + 8 + i * 8, &field, 8);
        }
        memcpy(before, memory, sizeof memory);
        ck_assert(segment_is_foreign(&segment));
        ck_assert_int_eq(segment_check(&segment, &flaw), -EBADMSG);
        ck_assert_str_eq(flaw.reason, "a program whose integers have another size has made it");
        ck_assert_int_eq(segment_next(&segment, &chunk), -EBADMSG);
        ck_assert_int_eq(segment_put(&segment, 1, "", 0), -EBADMSG);
        ck_assert_int_eq(segment_remove(&segment, 1), -EBADMSG);
        ck_assert_int_eq(segment_repair(&segment, NULL, NULL), -EBADMSG);
        ck_assert_int_eq(memcmp(before, memory, sizeof memory), 0);
        begin(512);
        put(1, 1, 5);
        ck_assert(!segment_is_foreign(&segment));
}
END_TEST

/* Integers of 32 bits: a magic is two of them. */
START_TEST(each_store_of_a_first_put_can_be_the_last)
{
        begin(512);
        put_watched(1, 1, sizes[_i]);
        ck_assert_uint_gt(watch.stores, 5);
}
END_TEST

START_TEST(a_whole_segment_is_not_changed_by_a_repair)
{
        static unsigned char before[SIZE_MAX_TESTED];

        begin(512);
        ck_assert_int_eq(segment_repair(&segment, NULL, NULL), 0);
        put(1, 1, 5);
        put(2, 2, 25);
        memory[7] = 'x';        /* which PHP leaves as it finds it */
        memcpy(before, memory, sizeof memory);
        ck_assert_int_eq(segment_repair(&segment, NULL, NULL), 0);
        ck_assert_int_eq(memcmp(before, memory, sizeof memory), 0);
}
END_TEST

/* Any bytes at all: nothing is touched outside, and what could be repaired is whole. */
START_TEST(junk_is_repaired_or_refused)
{
        unsigned seed = (unsigned)_i * 7919 + 1;

        for (size_t round = 0; round < suite_scale(20000); round++) {
                unsigned char value[60];

                begin(80 + (size_t)rand_r(&seed) % 300);
                segment_put(&segment, 1, "", 0);
                memcpy(value, memory, sizeof value);
                for (int key = 1; key < 4; key++)
                        segment_put(&segment, key, value, (size_t)rand_r(&seed) % sizeof value);
                for (int change = rand_r(&seed) % 4; change >= 0; change--) {
                        size_t at = (size_t)(rand_r(&seed) % (int)(segment.size / U)) * U;

                        set(at < 8 ? 8 : at, rand_r(&seed) % 3 == 0 ? rand_r(&seed) % 400 : rand_r(&seed) % 3 == 0 ?
                            -(SEGMENT_MARK_MOVING | (int64_t)(rand_r(&seed) % (1 << SEGMENT_MARK_BITS)) << SEGMENT_MARK_REST |
                              rand_r(&seed) % 999) : (rand_r(&seed) % 99 - 20) * U);
                }
                SUITE_CHECK(segment_repair(&segment, NULL, NULL) == 0, "round %zu", round);
                SUITE_CHECK(segment_check(&segment, NULL) == 0, "round %zu", round);
                segment_put(&segment, 2, "abc", 3);
                SUITE_CHECK(segment_check(&segment, NULL) == 0, "round %zu", round);
                for (size_t i = segment.size; i < sizeof memory; i++)
                        SUITE_CHECK(memory[i] == 0, "round %zu: byte %zu", round, i);
        }
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(variables_stand_as_php_puts_them),
        SUITE_TEST(a_variable_that_is_put_again_is_the_last_one),
        SUITE_TEST(keys_have_the_bits_of_an_integer),
        SUITE_TEST(a_full_segment_keeps_what_it_has),
        SUITE_TEST(a_value_that_fits_only_without_the_old_one_is_put),
        SUITE_LOOP(each_store_of_a_put_can_be_the_last, SIZES),
        SUITE_LOOP(each_store_of_a_removal_can_be_the_last, SIZES),
        SUITE_TEST(two_variables_of_one_key_become_one),
        SUITE_TEST(unused_bytes_are_taken_away),
        SUITE_TEST(a_torn_header_is_refused),
        SUITE_TEST(a_torn_variable_is_refused),
        SUITE_TEST(variables_behind_a_destroyed_one_are_kept),
        SUITE_TEST(raw_bytes_hold_no_variables),
        SUITE_TEST(a_segment_of_the_other_kind_is_refused),
        SUITE_LOOP(each_store_of_a_first_put_can_be_the_last, SIZES),
        SUITE_TEST(a_whole_segment_is_not_changed_by_a_repair),
        SUITE_LOOP(junk_is_repaired_or_refused, 4),
};

SUITE_MAIN("segment", tests)
