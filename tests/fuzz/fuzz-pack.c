/* Templates that make values, any text with arguments that fit. What must hold:
 *
 *      - the value is there or not, twice alike, and by a builder as by pack; where it is not, the place is told
 *      - it goes through msgpack and back
 *      - without arguments the template matches what it has made
 *      - memory stays within a factor of the template; nothing is left; a refused allocation makes no value
 *
 * The input: which arguments (modulo 4); the template. */
#include "fuzz/arguments.h"
#include "value/codec.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The compiler would check a template that it sees. */
static ferry_value *(*const pack)(const char *, ...) = ferry_value_pack;
static void (*const add)(ferry_builder *, const char *, ...) = ferry_builder_add;
static void (*const add_key)(ferry_builder *, const char *, ...) = ferry_builder_key;
static int (*const unpack)(const ferry_value *, const char *, ...) = ferry_value_unpack;

static const char *const shapes[] = { "isilsdvl", "sisisvds", "llllvvld", "ddiiiivs" };

#define LONG_TEXT "a long text of more than thirty bytes, \xc3\xa9 and 'quoted' %%"
#define SHAPE_0 5, "text", -3, INT64_MIN, "", 0.5, value, INT64_C(7)
#define SHAPE_1 LONG_TEXT, 3, "abcdef", 0, (const char *)NULL, value, -0.0, "k"
#define SHAPE_2 INT64_C(1), INT64_C(-1), INT64_MAX, INT64_C(0), value, (const ferry_value *)NULL, INT64_C(9), 1e300
#define SHAPE_3 (double)INFINITY, 1e-5, 1, 0, 70, -40, value, "z"

#define CALL(number, function, ...)                                                     \
        ((number) == 0 ? function(__VA_ARGS__, SHAPE_0) : (number) == 1 ? function(__VA_ARGS__, SHAPE_1) : \
         (number) == 2 ? function(__VA_ARGS__, SHAPE_2) : function(__VA_ARGS__, SHAPE_3))

static ferry_value *build(int shape, const char *template, const ferry_value *value)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *built;

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        CALL(shape, add_key, builder, template);
        ferry_builder_add(builder, "1");
        ferry_builder_close(builder);
        ferry_builder_finish(builder, NULL);

        builder = ferry_builder_new();
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        CALL(shape, add, builder, template);
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &built);
        return built;
}

static void check_round(const ferry_value *value)
{
        ferry_value *again;
        void *bytes;
        size_t size;
        int code = ferry_codec_encode(ferry_codec_msgpack(), value, &bytes, &size);

        FUZZ_REQUIRE(code == 0, "msgpack: %d", code);
        code = ferry_codec_decode(ferry_codec_msgpack(), bytes, size, &again, NULL);
        FUZZ_REQUIRE(code == 0 && ferry_value_equal(value, again), "msgpack and back: %d", code);
        ferry_value_unref(again);
        sys_free(bytes);
}

/* Entries of all maps and objects; deeper than a template may be for unpack is 0. */
static size_t count_entries(const ferry_value *value)
{
        struct walk walk;
        struct walk_step step;
        size_t count = 0;

        if (value->depth > 30)
                return 0;
        walk_begin(&walk, value);
        while (walk_next(&walk, &step))
                count += step.key && !step.is_closing;
        return count;
}

static void check_match(const ferry_value *value, const char *template)
{
        size_t colons = 0;

        /* Of two keys alike only one is left. In quotes a colon is none. */
        if (strpbrk(template, "%'") || strstr(template, "::") || value->depth > 30)
                return;
        for (const char *at = template; *at; at++)
                colons += *at == ':';
        if (colons == count_entries(value))
                FUZZ_REQUIRE(unpack(value, template) == 0, "%s does not match what it has made", template);
}

static void check_place(const char *template, ...)
{
        ferry_builder builder;
        struct arena *arena = arena_new(64);
        va_list list;

        builder_init(&builder, arena);
        va_start(list, template);
        builder_add_template(&builder, template, list);
        va_end(list);
        FUZZ_REQUIRE(builder.error <= 0 && strlen(builder.place) < sizeof builder.place, "error %d", builder.error);
        builder_deinit(&builder);
        arena_unref(arena);
}

static void (*const place)(const char *, ...) = check_place;

static size_t conversions(const char *template)
{
        size_t count = 0;

        while ((template = strchr(template, '%')))
                count++, template++;
        return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        int shape = fuzz_byte(&input) & 3;
        char *template = fuzz_template(&input, shapes[shape], 0);
        ferry_value *value = ferry_value_pack("{a: [1, 'x'], o: A{p: %d}, 7: [[[[]]]]}", 1), *made, *again, *built;
        const ferry_value *first;

        FUZZ_REQUIRE(value, "no memory");
        fuzz_peak_begin(&mark);
        made = CALL(shape, pack, template);
        FUZZ_REQUIRE(fuzz_peak(&mark) <= 32 * size + (64 << 10) + 4096 * conversions(template),
                     "%zu bytes of memory for %zu",
                     fuzz_peak(&mark), size);
        again = CALL(shape, pack, template);
        FUZZ_REQUIRE((made == NULL) == (again == NULL) && ferry_value_equal(made, again), "another value");
        built = build(shape, template, value);
        first = ferry_value_at(built, 0);
        FUZZ_REQUIRE((made == NULL) == (first == NULL) || (made && made->depth == DEPTH_MAX),
                     "%s: by a builder another",
                     template);
        FUZZ_REQUIRE(!first || ferry_value_equal(made, first), "%s: by a builder another value", template);
        if (made) {
                check_round(made);
                check_match(made, template);
        }
        ferry_value_unref(built);
        ferry_value_unref(again);
        CALL(shape, place, template);
        fuzz_refuse_allocation(fuzz_hash(data, size) % 4);
        again = CALL(shape, pack, template);
        FUZZ_REQUIRE(fuzz_has_refused() ? !again : (made == NULL) == (again == NULL), "%s: without memory", template);
        ferry_value_unref(again);
        ferry_value_unref(made);
        ferry_value_unref(value);
        free(template);
        fuzz_end(&mark);
        return 0;
}
