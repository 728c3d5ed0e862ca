/* json: the quick walk over bytes finds what the slow walk finds, and text is scanned many bytes at a time as byte by
 * byte. */
#include "value/json.h"

const ferry_codec *looked_codec_json(void);
const ferry_codec *looked_codec_json_objects(void);

#define ferry_codec_json looked_codec_json
#define ferry_codec_json_objects looked_codec_json_objects
#include "value/json.c"
#include "support/suite.h"
#include "value/test-quick.h"

static bool has_objects;

static int slow_step(struct parser *p)
{
        int error = take_item(p);

        if (!error)
                skip_blanks(p);
        return error;
}

static void slow_start(struct parser *p, const char *bytes, size_t size, struct check *check)
{
        start(p, bytes, size, has_objects, check);
        skip_blanks(p);
}

static const struct seed seeds[] = {
        SEED("{\"id\":100001,\"name\":\"Inherit Queue\",\"email\":\"kernel0@example.org\",\"balance\":3769.34,\"active\":false}"),
        SEED("[ 1 , -2.5e+10 ,\t\"a\\n\\u00e9\\ud83d\\ude00\\/\" ,\r\n[] , {} , null , true ]"),
        SEED("{\"__class\":\"App\\\\Task\",\"a\":{\"__class\":\"\",\"\\u0000*\":[0,-0,0.0,00]}}"),
        SEED("[\"\xc3\xbc \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80\",\"\xe2\x80\xa8\",\"\xed\xa0\x80\",\"\xc0\x80\"]"),
        SEED("[\"sixteen bytes, or seventeen \\\" of them, and a lot more of them\",\"\x01\"]"),
        SEED("[[[[[[{\"a\":[[[[1]]]]}]]]]]]"),
        SEED("[0.,1.5,.5,1e5,1E-5,-,9223372036854775808]"),
        SEED("{\"a\" : 1 , \"\\u0061\" : 2, \"__class\" : 3}"),
        SEED("\"\\ud800\\u0041\""),
        SEED("[true,fals,nul]"),
};

START_TEST(the_quick_way_is_the_slow_one)
{
        const ferry_codec *codec = _i % 2 ? looked_codec_json_objects() : looked_codec_json();

        has_objects = _i % 2;
        compare_all((const struct native_codec *)codec, seeds, sizeof seeds / sizeof *seeds, 88172645463325252 + (uint64_t)_i);
}

/* Every byte, at every place of every length, in text at every place of a word. */
START_TEST(many_bytes_are_scanned_as_byte_by_byte)
{
        uint64_t state = 362436069;
        char *memory = malloc(96);

        for (size_t size = 0; size <= 72; size++)
                for (size_t shift = 0; shift < 16; shift++) {
                        char *text = memory + 96 - size - shift;
                        const char *end = text + size;

                        for (int i = 0; i < 40; i++) {
                                for (size_t at = 0; at < size; at++)
                                        text[at] = (char)('a' + next_random(&state) % 26);
                                for (uint64_t others = next_random(&state) % 3; size > 0 && others > 0; others--)
                                        text[next_random(&state) % size] = (char)next_random(&state);
                                const char *plain = scan_bytes(text, end), *quote = text;

                                while (quote < end && *quote != '"' && *quote != '\\')
                                        quote++;
                                ck_assert_ptr_eq(scan_words(text, end), plain);
                                ck_assert_ptr_eq(scan_plain(text, end), plain);
                                ck_assert_ptr_eq(scan_quote(text, end), quote);
                        }
                        for (int byte = 0; size > 0 && byte < 256; byte++) {
                                memset(text, 'x', size);
                                text[shift % size] = (char)byte;
                                ck_assert_ptr_eq(scan_words(text, end), scan_bytes(text, end));
                                ck_assert_ptr_eq(scan_plain(text, end), scan_bytes(text, end));
                        }
                }
        free(memory);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(the_quick_way_is_the_slow_one, 4),
        SUITE_TEST(many_bytes_are_scanned_as_byte_by_byte),
};

SUITE_MAIN("quick-json", tests)
