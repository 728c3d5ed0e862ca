/* What a codec takes quickly it also takes slowly, with the same result. A test includes this behind the codec's own file, whose
 * parser has both ways: take_quickly(), and one step of the other, which slow_step() calls. */
#include "value/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX = 700, INPUTS = 20000 };

static int slow_step(struct parser *p);
static void slow_start(struct parser *p, const char *bytes, size_t size, struct check *check);

/* The loop of parse(), without what is quick. */
static int check_slowly(const char *bytes, size_t size, struct check *check)
{
        struct parser p;
        int error;

        memset(check, 0, sizeof *check);
        slow_start(&p, bytes, size, check);
        do
                error = slow_step(&p);
        while (!error && p.depth > 0);
        if (!error && p.at < p.end)
                error = -EBADMSG;
        check->offset = (size_t)(p.at - p.begin);
        return error;
}

/* xorshift64*: the same numbers in each run. */
static uint64_t next_random(uint64_t *state)
{
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * 2685821657736338717;
}

static void compare(const struct native_codec *codec, const char *bytes, size_t size)
{
        struct check quick = { 0 }, slow;
        /* Memory of its own, at each place in a word, so that the sanitizer sees what is read behind the end. */
        size_t shift = size % 16;
        char *memory = malloc(size + shift + !size), *copy = memory + shift;
        int result, expected;

        memcpy(copy, bytes, size);
        result = codec->check(copy, size, &quick);
        expected = check_slowly(copy, size, &slow);
        ck_assert_msg(result == expected && quick.offset == slow.offset,
                      "%d at %zu, and %d at %zu: %.*s", result, quick.offset, expected, slow.offset, (int)size, copy);
        ck_assert_uint_eq(quick.nodes, slow.nodes);
        ck_assert_uint_eq(quick.memory, slow.memory);
        ck_assert_uint_eq(quick.open_max, slow.open_max);
        ck_assert(quick.has_references == slow.has_references);
        free(memory);
}

struct seed {
        const char *bytes;
        size_t size;
};

/* Each beginning of each seed; then pieces of them, one behind the other, with some bytes that are others. */
static void compare_all(const struct native_codec *codec, const struct seed *seeds, size_t count, uint64_t state)
{
        char input[INPUT_MAX];

        for (size_t i = 0; i < count; i++)
                for (size_t size = 0; size <= seeds[i].size; size++)
                        compare(codec, seeds[i].bytes, size);
        for (size_t i = 0; i < (SUITE_HAS_ASAN ? INPUTS / 10 : INPUTS); i++) {
                const struct seed *seed = &seeds[next_random(&state) % count];
                size_t size = seed->size;

                memcpy(input, seed->bytes, size);
                for (uint64_t changes = next_random(&state) % 4; changes > 0; changes--) {
                        const struct seed *other = &seeds[next_random(&state) % count];
                        size_t at = (size_t)(next_random(&state) % size), from = (size_t)(next_random(&state) % other->size);
                        size_t piece = 1 + next_random(&state) % 8;

                        switch (next_random(&state) % 3) {
                        case 0:
                                input[at] = (char)next_random(&state);
                                break;
                        case 1:
                                input[at] = other->bytes[from];
                                break;
                        default:
                                if (piece > other->size - from)
                                        piece = other->size - from;
                                if (piece > size - at)
                                        piece = size - at;
                                memcpy(input + at, other->bytes + from, piece);
                        }
                }
                compare(codec, input, size);
        }
}

#define SEED(literal) { literal, sizeof(literal) - 1 }
#define TIMES_4(text) text text text text
