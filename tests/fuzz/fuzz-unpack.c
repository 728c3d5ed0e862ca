/* Templates that take values apart. What must hold:
 *
 *      - where the value does not look like that, nothing was stored; without memory the same, but for strings that
 *        are NULL
 *      - what fits, fits again, and stores the same; strings end within their width
 *      - nothing is left but the strings that were asked for
 *
 * The input: the template, up to a zero; a value in msgpack (if it is none, one of our own is taken). */
#include "fuzz/arguments.h"
#include "value/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 12, SLOT = 64, POISON = 0xa5 };

static int (*const unpack)(const ferry_value *, const char *, ...) = ferry_value_unpack;

struct slots {
        _Alignas(16) unsigned char bytes[SLOTS][SLOT];
};

static int run(const ferry_value *value, const char *template, struct slots *slots)
{
        memset(slots, POISON, sizeof *slots);
        return unpack(value, template, slots->bytes[0], slots->bytes[1], slots->bytes[2], slots->bytes[3],
                      slots->bytes[4],
                      slots->bytes[5], slots->bytes[6], slots->bytes[7], slots->bytes[8], slots->bytes[9],
                      slots->bytes[10], slots->bytes[11]);
}

static bool is_untouched(const struct slots *slots, size_t number)
{
        for (size_t i = 0; i < SLOT; i++)
                if (slots->bytes[number][i] != POISON)
                        return false;
        return true;
}

/* The string that a slot holds, if it was stored; NULL also where memory was out. */
static char *allocated(const struct slots *slots, const char *template, size_t number)
{
        char *string;

        if (!fuzz_is_allocating(template, number) || is_untouched(slots, number))
                return NULL;
        memcpy(&string, slots->bytes[number], sizeof string);
        return string;
}

static void free_strings(const struct slots *slots, const char *template)
{
        for (size_t i = 0; i < SLOTS; i++)
                sys_free(allocated(slots, template, i));
}

static void require_nothing(const struct slots *slots, const char *template, int code)
{
        for (size_t i = 0; i < SLOTS; i++)
                if (code == -ENOMEM && fuzz_is_allocating(template, i))
                        FUZZ_REQUIRE(!allocated(slots, template, i), "%s: string %zu is left", template, i);
                else if (code != -ENOMEM)
                        FUZZ_REQUIRE(is_untouched(slots, i), "%s: %d, but argument %zu was stored", template, code, i);
}

static void require_same(const struct slots *a, const struct slots *b, const char *template)
{
        for (size_t i = 0; i < SLOTS; i++) {
                const char *first = allocated(a, template, i), *second = allocated(b, template, i);

                if (first || second)
                        FUZZ_REQUIRE(first && second && strcmp(first, second) == 0, "%s: another string %zu", template,
                                     i);
                else
                        FUZZ_REQUIRE(memcmp(a->bytes[i], b->bytes[i], SLOT) == 0, "%s: another argument %zu", template,
                                     i);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        char *template = fuzz_template(&input, NULL, SLOTS);
        ferry_value *value = NULL;
        struct slots slots, again;
        int code;

        fuzz_byte(&input);
        if (ferry_codec_decode(ferry_codec_msgpack(), input.at, (size_t)(input.end - input.at), &value, NULL) < 0)
                value = ferry_value_pack("{a: 1, b: 'text', c: [1, 2.5, true, null, 'x'], o: A\\B{p: 300, q: -1}, "
                                         "e: S::H, 5: 'k', n: null}");
        FUZZ_REQUIRE(value, "no memory");
        code = run(value, template, &slots);
        if (code) {
                FUZZ_REQUIRE(code == -EINVAL, "%s: %d", template, code);
                require_nothing(&slots, template, code);
        } else {
                FUZZ_REQUIRE(run(value, template, &again) == 0, "%s: not again", template);
                require_same(&slots, &again, template);
                free_strings(&again, template);
        }
        free_strings(&slots, template);
        fuzz_refuse_allocation(fuzz_hash(data, size) % 3);
        code = run(value, template, &again);
        if (fuzz_has_refused())
                FUZZ_REQUIRE(code == -ENOMEM || code == -EINVAL, "%s: %d without memory", template, code);
        if (code)
                require_nothing(&again, template, code);
        free_strings(&again, template);
        ferry_value_unref(value);
        free(template);
        fuzz_end(&mark);
        return 0;
}
