/* The three codecs: what is encoded comes back, bytes that are missing are distinguished from bytes that are wrong, no
 * lax or hostile input gets through, and what cannot be written is refused with its place. */
#include "support/suite.h"
#include "value/codec.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Bytes of a literal, without its zero. */
#define BYTES(literal) { literal, sizeof(literal) - 1 }

struct bytes {
        const char *at;
        size_t size;
};

static const ferry_codec *codecs(int i)
{
        const ferry_codec *const all[] = { ferry_codec_php(), ferry_codec_json_objects(), ferry_codec_msgpack(), ferry_codec_json() };

        return all[i];
}

static int decode_error(const ferry_codec *codec, const void *bytes, size_t size, size_t *ret_offset)
{
        ferry_value *value = (ferry_value *)&value;
        /* Memory of its own, so that reading beyond the end is found by the sanitizer. */
        char *copy = malloc(size + !size);
        int error;

        memcpy(copy, bytes, size);
        *ret_offset = 0;
        error = ferry_codec_decode(codec, copy, size, &value, ret_offset);
        ck_assert_msg(*ret_offset <= size, "an error at %zu of %zu bytes", *ret_offset, size);
        ck_assert_int_eq(value == NULL, error != 0);
        free(copy);
        ferry_value_unref(value);
        return error;
}

static ferry_value *decode(const ferry_codec *codec, const char *text)
{
        ferry_value *value;

        ck_assert_msg(ferry_codec_decode(codec, text, strlen(text), &value, NULL) == 0, "not decoded: %s", text);
        return value;
}

/* Takes the value; the text is to be freed. */
static char *encode(const ferry_codec *codec, ferry_value *value)
{
        void *text;
        size_t size;

        ck_assert_ptr_nonnull(value);
        ck_assert_int_eq(ferry_codec_encode(codec, value, &text, &size), 0);
        ferry_value_unref(value);
        return text;
}

static void becomes(const ferry_codec *codec, const char *text, const char *expected)
{
        char *again = encode(codec, decode(codec, text));

        ck_assert_str_eq(again, expected);
        free(again);
}

static void writes(const ferry_codec *codec, ferry_value *value, const char *expected)
{
        char *text = encode(codec, value);

        ck_assert_str_eq(text, expected);
        free(text);
}

static ferry_value *make_plain(void)
{
        return ferry_value_pack("{n: null, t: true, f: false, "
                                "i: [0, -1, 127, 128, -128, -129, 255, 256, 65535, 65536, %lld, %lld], "
                                "d: [0.5, -0.0, 1e300, 3.25], s: ['', 'text', %s], l: [[], [[]], [1, [2, [3]]]], "
                                "o: A\\B{x: 1, y: C{}}, long: '%300d', 'k e y': {a: {b: {c: 1}}}}",
                                LLONG_MIN, LLONG_MAX, "\xc3\xa9\xe2\x80\xa8\xf0\x9f\x8e\x89\"\\\n\x01/", 7);
}

/* What JSON has no way to write. */
static ferry_value *make_other(void)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value;

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        ferry_builder_key(builder, "%d", -5);
        ferry_builder_add(builder, "{3: 1, 1: %.*s, x: [%f, %f, %f]}", 4, "\xff\0\"\xc3", INFINITY, -INFINITY, (double)NAN);
        ferry_builder_key(builder, "enum");
        ferry_builder_add(builder, "A\\Suit::Hearts");
        ferry_builder_key(builder, "opaque");
        ferry_builder_add_bytes(builder, FERRY_VALUE_OPAQUE, "A\\C", "a}\0;", 4);
        ferry_builder_key(builder, "object");
        ferry_builder_open(builder, FERRY_VALUE_OBJECT, "Child");
        ferry_builder_property(builder, "a", FERRY_VISIBILITY_PRIVATE, "Parent");
        ferry_builder_add(builder, "1");
        ferry_builder_property(builder, "a", FERRY_VISIBILITY_PROTECTED, NULL);
        ferry_builder_add(builder, "2");
        ferry_builder_property(builder, "a", FERRY_VISIBILITY_PUBLIC, NULL);
        ferry_builder_add(builder, "Numbered{0: 'x', 5: 'y', -1: 'z'}");
        ferry_builder_close(builder);
        ferry_builder_close(builder);
        ck_assert_int_eq(ferry_builder_finish(builder, &value), 0);
        return value;
}

/* There, and back; every true beginning of the bytes is one, and nothing may follow them. */
static void goes_both_ways(const ferry_codec *codec, ferry_value *value)
{
        FERRY_AUTO(ferry_value) again = NULL;
        void *bytes;
        char *longer;
        size_t size, offset;

        ck_assert_int_eq(ferry_codec_encode(codec, value, &bytes, &size), 0);
        ck_assert_int_eq(((char *)bytes)[size], 0);
        ck_assert_int_eq(ferry_codec_decode(codec, bytes, size, &again, NULL), 0);
        ck_assert_msg(ferry_value_equal(value, again), "%s: another value", codec->name);
        for (size_t i = 0; i < size; i++)
                ck_assert_msg(decode_error(codec, bytes, i, &offset) == -EAGAIN, "%s: %zu of %zu", codec->name, i, size);
        longer = malloc(size + 1);
        memcpy(longer, bytes, size);
        longer[size] = 'x';
        ck_assert_int_eq(decode_error(codec, longer, size + 1, &offset), -EBADMSG);
        ck_assert_uint_eq(offset, size);
        free(longer);
        free(bytes);
        ferry_value_unref(value);
}

START_TEST(values_go_both_ways)
{
        const ferry_codec *codec = codecs(_i);

        goes_both_ways(codec, make_plain());
        if (codec != ferry_codec_json_objects())
                goes_both_ways(codec, make_other());
        goes_both_ways(codec, ferry_value_pack("'text'"));
        goes_both_ways(codec, ferry_value_pack("true"));
        goes_both_ways(codec, ferry_value_pack("null"));
        goes_both_ways(codec, ferry_value_pack("[]"));
}

static const struct {
        const char *codec;
        struct bytes bytes;
        size_t offset;          /* where it is wrong */
} wrong_bytes[] = {
        { "php", BYTES("x"), 0 },
        { "php", BYTES("\0"), 0 },
        { "php", BYTES(" i:1;"), 0 },
        { "php", BYTES("i:+5;"), 2 },
        { "php", BYTES("i:05;"), 4 },
        { "php", BYTES("i:-0;"), 4 },
        { "php", BYTES("i:;"), 2 },
        { "php", BYTES("i:1.0;"), 3 },
        { "php", BYTES("i:9223372036854775808;"), 21 },
        { "php", BYTES("i:-9223372036854775809;"), 22 },
        { "php", BYTES("i:12345678901234567890"), 22 },
        { "php", BYTES("b:2;"), 2 },
        { "php", BYTES("b:10;"), 3 },
        { "php", BYTES("d:;"), 2 },
        { "php", BYTES("d:.5;"), 2 },
        { "php", BYTES("d:5.;"), 4 },
        { "php", BYTES("d:+5;"), 2 },
        { "php", BYTES("d:5e;"), 4 },
        { "php", BYTES("d:inf;"), 2 },
        { "php", BYTES("d:-NAN;"), 3 },
        { "php", BYTES("d:0x1p3;"), 3 },
        { "php", BYTES("s:01:\"a\";"), 3 },
        { "php", BYTES("s:+1:\"a\";"), 2 },
        { "php", BYTES("s:1:'a';"), 4 },
        { "php", BYTES("s:1:\"ab\";"), 6 },
        { "php", BYTES("s:99999999999:\"a\";"), 11 },
        { "php", BYTES("S:1:\"a\";"), 0 },
        { "php", BYTES("a:1:{N;i:1;}"), 5 },
        { "php", BYTES("a:1:{d:1;i:1;}"), 5 },
        { "php", BYTES("a:1:{i:1;i:1;i:2;}"), 13 },
        { "php", BYTES("a:2:{i:1;i:1;}"), 13 },
        { "php", BYTES("a:-1:{}"), 2 },
        { "php", BYTES("a:0:{};"), 6 },
        { "php", BYTES("O:0:\"\":0:{}"), 2 },
        { "php", BYTES("O:3:\"a b\":0:{}"), 9 },
        { "php", BYTES("O:1:\"A\":1:{s:2:\"\0a\";N;}"), 20 },
        { "php", BYTES("O:1:\"A\":1:{s:3:\"\0\0a\";N;}"), 21 },
        { "php", BYTES("O:1:\"A\":1:{s:5:\"\0A\0\0b\";N;}"), 23 },
        { "php", BYTES("E:3:\"A:B\""  "x"), 9 },
        { "php", BYTES("E:2:\"AB\";"), 8 },
        { "php", BYTES("E:2:\"A:\";"), 8 },
        { "php", BYTES("E:2:\":B\";"), 8 },
        { "php", BYTES("E:5:\"A:B:C\";"), 11 },
        { "php", BYTES("C:1:\"A\":1:{ab}"), 12 },
        { "php", BYTES("r:1;"), 4 },
        { "php", BYTES("R:0;"), 2 },
        { "json", BYTES("x"), 0 },
        { "json", BYTES("tru3"), 3 },
        { "json", BYTES("True"), 0 },
        { "json", BYTES("nulll"), 4 },
        { "json", BYTES("\xef\xbb\xbf[]"), 0 },
        { "json", BYTES("\f[]"), 0 },
        { "json", BYTES("01"), 1 },
        { "json", BYTES("-01"), 2 },
        { "json", BYTES("+1"), 0 },
        { "json", BYTES("-x"), 1 },
        { "json", BYTES(".5"), 0 },
        { "json", BYTES("[5.]"), 3 },
        { "json", BYTES("[5.e1]"), 3 },
        { "json", BYTES("[1e]"), 3 },
        { "json", BYTES("[1e+]"), 4 },
        { "json", BYTES("0x10"), 1 },
        { "json", BYTES("NaN"), 0 },
        { "json", BYTES("-Infinity"), 1 },
        { "json", BYTES("1 2"), 2 },
        { "json", BYTES("[1 2]"), 3 },
        { "json", BYTES("[1,]"), 3 },
        { "json", BYTES("[,1]"), 1 },
        { "json", BYTES("[1}"), 2 },
        { "json", BYTES("{\"a\":1]"), 6 },
        { "json", BYTES("{\"a\":1,}"), 7 },
        { "json", BYTES("{\"a\" 1}"), 5 },
        { "json", BYTES("{\"a\":}"), 5 },
        { "json", BYTES("{a:1}"), 1 },
        { "json", BYTES("{1:1}"), 1 },
        { "json", BYTES("[1]]"), 3 },
        { "json", BYTES("'a'"), 0 },
        { "json", BYTES("\"a\nb\""), 2 },
        { "json", BYTES("\"a\0b\""), 2 },
        { "json", BYTES("\"\x1f\""), 1 },
        { "json", BYTES("\"\\x41\""), 3 },
        { "json", BYTES("\"\\a\""), 3 },
        { "json", BYTES("\"\\\0\""), 2 },
        { "json", BYTES("\"\\u00g0\""), 5 },
        { "json", BYTES("\"\\ud800\""), 7 },
        { "json", BYTES("\"\\ud800x\""), 7 },
        { "json", BYTES("\"\\ud800\\n\""), 8 },
        { "json", BYTES("\"\\ud800\\u0041\""), 13 },
        { "json", BYTES("\"\\ud800\\ud800\""), 13 },
        { "json", BYTES("\"\\udc00\""), 7 },
        { "json", BYTES("\"\\udc00\\udc00\""), 7 },
        { "json", BYTES("\"\xc3\""), 1 },
        { "json", BYTES("\"\xc0\x80\""), 1 },
        { "json", BYTES("\"\xe0\x80\x80\""), 1 },
        { "json", BYTES("\"\xed\xa0\x80\""), 1 },
        { "json", BYTES("\"\xf4\x90\x80\x80\""), 1 },
        { "json", BYTES("\"\xff\""), 1 },
        { "json", BYTES("[1]// x"), 3 },
        { "json", BYTES("\xef\xbb\xbf{}"), 0 },
        { "json-objects", BYTES("\xef\xbb\xbf{}"), 0 },
        { "json-objects", BYTES("{\"__class\":\"A\",\"\\u0000a\":1}"), 27 },
        { "msgpack", BYTES("\xc1"), 0 },
        { "msgpack", BYTES("\xcf\x80\0\0\0\0\0\0\0"), 0 },
        { "msgpack", BYTES("\x92\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), 2 },
        { "msgpack", BYTES("\x81\xd4\x01\x01\x01"), 4 },
        { "msgpack", BYTES("\x82\xc0\x03\xa5" "ext:5\xa1" "x"), 11 },
        { "msgpack", BYTES("\x82\xc0\x06\xa5" "ext:5\xa1" "x"), 11 },
        { "msgpack", BYTES("\x81\xc2\x01"), 2 },
        { "msgpack", BYTES("\x81\x90\x01"), 2 },
        { "msgpack", BYTES("\x82\x01\x02\xc0\x03"), 4 },
        { "msgpack", BYTES("\x81\xc0\xa0"), 3 },
        { "msgpack", BYTES("\x81\xc0\x07"), 3 },
        { "msgpack", BYTES("\x82\xc0\x09\x01\x01"), 3 },
        { "msgpack", BYTES("\x81\xc0\xc0"), 3 },
        { "msgpack", BYTES("\x82\xc0\x04\x01\x01"), 4 },
        { "msgpack", BYTES("\x82\xc0\x04\x00\x00"), 5 },
        { "msgpack", BYTES("\x82\xc0\x06\xa1" "A\xa0"), 6 },
        { "msgpack", BYTES("\x82\xc0\xa1" "A\xa2\0x\x01"), 7 },
        { "msgpack", BYTES("\x82\xc0\xa1" "A\xc0\x01"), 6 },
};

START_TEST(wrong_bytes_are_refused_where_they_are)
{
        const char *name = wrong_bytes[_i].codec;
        const struct bytes *bytes = &wrong_bytes[_i].bytes;
        size_t offset;

        for (int i = 0; i < 4; i++)
                if (strcmp(codecs(i)->name, name) == 0) {
                        ck_assert_msg(decode_error(codecs(i), bytes->at, bytes->size, &offset) == -EBADMSG, "%s: %s", name,
                                      bytes->at);
                        ck_assert_msg(offset == wrong_bytes[_i].offset, "%s: %s: at %zu", name, bytes->at, offset);
                        return;
                }
        ck_abort_msg("no codec %s", name);
}

START_TEST(json_is_taken_as_php_takes_it)
{
        const ferry_codec *json = ferry_codec_json();

        becomes(json, " \t\r\n{ \"a\" : [ 1 , 2 ] } \n", "{\"a\":[1,2]}");
        becomes(json, "[0,-0,1E2,1e+2,-1.5e-3,9223372036854775807,9223372036854775808,-9223372036854775809]",
                "[0,-0,100,100,-0.0015,9223372036854775807,9.223372036854776e+18,-9.223372036854776e+18]");
        becomes(json, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83c\\udf89\\u0000\"",
                "\"\\\"\\\\/\\b\\f\\n\\r\\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\x89\\u0000\"");
        becomes(json, "{\"a\":1,\"b\":2,\"a\":3,\"\":4}", "{\"a\":3,\"b\":2,\"\":4}");
        becomes(json, "{\"5\":1,\"0\":2}", "{\"5\":1,\"0\":2}");
        becomes(json, "\"\xef\xbf\xbf\xf4\x8f\xbf\xbf\xc2\x80\x7f\"", "\"\xef\xbf\xbf\xf4\x8f\xbf\xbf\xc2\x80\x7f\"");
}

START_TEST(json_is_written_as_php_writes_it)
{
        const ferry_codec *json = ferry_codec_json();

        writes(json, ferry_value_pack("%s", "/\x7f<>&'\xc3\xa9"), "\"/\x7f<>&'\xc3\xa9\"");
        writes(json, ferry_value_pack("%.*s", 5, "\b\0\x1f\x0b\f"), "\"\\b\\u0000\\u001f\\u000b\\f\"");
        writes(json, ferry_value_pack("%s", "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xe2\x82\xac"),
               "\"\\u2028\\u2029\xe2\x80\xaa\xe2\x82\xac\"");
        writes(json, ferry_value_pack("{%s: 1, -5: 2, '5': 3}", "\xe2\x80\xa8"), "{\"\\u2028\":1,\"-5\":2,\"5\":3}");
        writes(json, ferry_value_pack("[[], {}, 1.0, -2.0, 1e15, 1e25, 0.1]"), "[[],{},1,-2,1000000000000000,1.0e+25,0.1]");
}

START_TEST(json_objects_have_a_class)
{
        FERRY_AUTO(ferry_value) value = decode(ferry_codec_json_objects(),
                                               "{\"a\":1,\"__class\":\"A\\\\B\",\"in\":{\"__class\":\"C\"}}");

        ck_assert_int_eq(ferry_value_kind(value), FERRY_VALUE_OBJECT);
        ck_assert_str_eq(ferry_value_class(value), "A\\B");
        ck_assert_uint_eq(ferry_value_count(value), 2);
        ck_assert_str_eq(ferry_value_class(ferry_value_get(value, "in")), "C");
        becomes(ferry_codec_json_objects(), "{\"a\":1,\"\\u005f_class\":\"A\"}", "{\"__class\":\"A\",\"a\":1}");
        becomes(ferry_codec_json_objects(), "{\"__class\":\"A\",\"a\":1,\"__class\":\"B\"}", "{\"__class\":\"B\",\"a\":1}");
        writes(ferry_codec_json_objects(), ferry_value_pack("A\\B{}"), "{\"__class\":\"A\\\\B\"}");

        /* A class is named by a string that is not empty. */
        value = (ferry_value_unref(value), decode(ferry_codec_json_objects(), "[{\"__class\":5},{\"__class\":\"\"}]"));
        ck_assert_int_eq(ferry_value_kind(ferry_value_at(value, 0)), FERRY_VALUE_MAP);
        ck_assert_int_eq(ferry_value_kind(ferry_value_at(value, 1)), FERRY_VALUE_MAP);
}

/* Whatever stands there, and wherever: no class is chosen, and nothing is lost on the way. */
START_TEST(maps_of_json_stay_maps)
{
        static const char *const texts[] = {
                "{\"__class\":\"A\"}", "{\"x\":{\"__class\":\"A\",\"a\":1}}", "[{\"a\":1,\"__class\":\"A\\\\B\"}]",
                "{\"__class\":{\"__class\":\"A\"}}", "{\"__class\":\"A\",\"\\u0000a\":1}", "{\"__class\":\"\"}",
                "{\"__class\":\"A\",\"__case\":\"B\"}", "{\"__class\":\"A\",\"__data\":\"B\"}",
        };

        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                FERRY_AUTO(ferry_value) value = decode(ferry_codec_json(), texts[i]);
                void *bytes;
                size_t size;

                becomes(ferry_codec_json(), texts[i], texts[i]);
                for (const ferry_value *at = value; at; at = ferry_value_at(at, 0))
                        ck_assert_ptr_null(ferry_value_class(at));
                ck_assert_int_eq(ferry_codec_encode(ferry_codec_php(), value, &bytes, &size), 0);
                ck_assert_msg(!memmem(bytes, size, "O:", 2), "%s is %s", texts[i], (char *)bytes);
                free(bytes);
        }
        becomes(ferry_codec_json(), "{\"\\u005f_class\":\"A\"}", "{\"__class\":\"A\"}");
}

static void refuses(const ferry_codec *codec, ferry_value *value, int error, const char *reason)
{
        struct buffer buffer = { 0 };
        char text[96];
        void *bytes;
        size_t size;

        ck_assert_ptr_nonnull(value);
        ck_assert_int_eq(buffer_append(&buffer, "before", 6), 0);
        ck_assert_int_eq(codec_encode(codec, value, &buffer, SIZE_MAX / 2, text), error);
        ck_assert_str_eq(text, reason);
        ck_assert_uint_eq(buffer_size(&buffer), 6);
        ck_assert_int_eq(ferry_codec_encode(codec, value, &bytes, &size), error);
        ck_assert(bytes == NULL && size == 0);
        buffer_deinit(&buffer);
        ferry_value_unref(value);
}

START_TEST(what_cannot_be_written_names_its_place)
{
        const ferry_codec *json = ferry_codec_json(), *objects = ferry_codec_json_objects(), *php = ferry_codec_php();
        ferry_builder *builder = ferry_builder_new();
        ferry_value *opaque;

        ferry_builder_add_bytes(builder, FERRY_VALUE_OPAQUE, "C", "x", 1);
        ck_assert_int_eq(ferry_builder_finish(builder, &opaque), 0);

        refuses(json, ferry_value_pack("%f", (double)NAN), -EDOM, "json has no way to write NAN");
        refuses(json, ferry_value_pack("{a: [1, {5: [%f]}]}", INFINITY), -EDOM,
                "json has no way to write INF at .a[1][5][0]");
        refuses(json, ferry_value_pack("[1, %s]", "\xc3"), -EILSEQ,
                "json has no way to write bytes that are not UTF-8 at [1]");
        refuses(json, ferry_value_pack("{a: {%s: 1}}", "\xed\xa0\x80"), -EILSEQ,
                "json has no way to write bytes that are not UTF-8 at .a.\xed\xa0\x80");
        refuses(json, ferry_value_pack("[B::C]"), -EILSEQ, "json has no way to write the case of an enum at [0]");
        refuses(json, opaque, -EILSEQ, "json has no way to write an opaque object");
        refuses(json, ferry_value_pack("{x: [A{}]}"), -EILSEQ,
                "json has no way to write the class of an object (json-objects has one) at .x[0]");
        refuses(objects, ferry_value_pack("A{x: B::C}"), -EILSEQ,
                "json-objects has no way to write the case of an enum at .x");
        refuses(objects, ferry_value_pack("[{__class: 'A'}]"), -EILSEQ,
                "json-objects has no way to write a map with the key __class at [0].__class");
        refuses(objects, ferry_value_pack("A{__class: 'B'}"), -EILSEQ,
                "json-objects has no way to write a property with the name __class at .__class");

        /* Names that no decoder takes. */
        builder = ferry_builder_new();
        ferry_builder_open(builder, FERRY_VALUE_OBJECT, "my class");
        ferry_builder_close(builder);
        ck_assert_int_eq(ferry_builder_finish(builder, &opaque), 0);
        refuses(php, opaque, -EILSEQ, "php has no class \"my class\"");
        builder = ferry_builder_new();
        ferry_builder_add_bytes(builder, FERRY_VALUE_ENUM, "Suit", "a:b", 3);
        ck_assert_int_eq(ferry_builder_finish(builder, &opaque), 0);
        refuses(php, opaque, -EILSEQ, "php has no case \"a:b\"");
}

START_TEST(encoding_stays_within_its_limit)
{
        FERRY_AUTO(ferry_value) value = make_plain();
        struct buffer buffer = { 0 };
        void *bytes;
        size_t size;

        ck_assert_int_eq(ferry_codec_encode(codecs(_i), value, &bytes, &size), 0);
        ck_assert_int_eq(buffer_append(&buffer, "before", 6), 0);
        for (size_t limit = 6; limit < size + 6; limit++) {
                ck_assert_int_eq(codec_encode(codecs(_i), value, &buffer, limit, NULL), -EMSGSIZE);
                ck_assert_uint_eq(buffer_size(&buffer), 6);
        }
        ck_assert_int_eq(codec_encode(codecs(_i), value, &buffer, size + 6, NULL), 0);
        ck_assert_uint_eq(buffer_size(&buffer), size + 6);
        ck_assert_mem_eq(buffer_bytes(&buffer) + 6, bytes, size);
        buffer_deinit(&buffer);
        free(bytes);
}

START_TEST(depth_is_limited)
{
        static const struct bytes open[] = { BYTES("a:1:{i:0;"), BYTES("["), BYTES("\x91"),
                                             BYTES("O:1:\"A\":1:{i:0;"), BYTES("{\"a\":"), BYTES("\x82\xc0\xa1" "A\x01") };
        static const struct bytes close[] = { BYTES("}"), BYTES("]"), BYTES(""), BYTES("}"), BYTES("}"), BYTES("") };
        static const struct bytes inside[] = { BYTES("N;"), BYTES("null"), BYTES("\xc0") };
        const ferry_codec *codec = codecs(_i % 3);

        for (int depth = 512; depth <= 100000; depth += depth < 514 ? 1 : 99486) {
                struct buffer buffer = { 0 };
                size_t offset;

                for (int i = 0; i < depth; i++)
                        buffer_append(&buffer, open[_i].at, open[_i].size);
                buffer_append(&buffer, inside[_i % 3].at, inside[_i % 3].size);
                for (int i = 0; i < depth; i++)
                        buffer_append(&buffer, close[_i].at, close[_i].size);
                ck_assert_int_eq(decode_error(codec, buffer_bytes(&buffer), buffer_size(&buffer), &offset),
                                 depth > 512 ? -EMSGSIZE : 0);
                buffer_deinit(&buffer);
        }
}

START_TEST(php_keys_and_lists)
{
        const ferry_codec *php = ferry_codec_php();

        /* Strings that are integers are integers, in arrays, not in objects. */
        becomes(php, "a:2:{s:1:\"5\";i:1;s:2:\"-7\";i:2;}", "a:2:{i:5;i:1;i:-7;i:2;}");
        becomes(php, "a:3:{s:2:\"05\";N;s:2:\"-0\";N;s:19:\"9223372036854775808\";N;}",
                "a:3:{s:2:\"05\";N;s:2:\"-0\";N;s:19:\"9223372036854775808\";N;}");
        becomes(php, "O:1:\"A\":2:{s:1:\"5\";i:1;i:5;i:2;}", "O:1:\"A\":2:{s:1:\"5\";i:1;i:5;i:2;}");
        writes(php, ferry_value_pack("{'5': 1, '05': 2}"), "a:2:{i:5;i:1;s:2:\"05\";i:2;}");
        /* The later value in the first place, as in PHP; then what counts from 0 is a list. */
        becomes(php, "a:3:{i:0;i:1;i:1;i:2;i:0;i:3;}", "a:2:{i:0;i:3;i:1;i:2;}");
        becomes(php, "a:2:{i:1;i:1;i:0;i:2;}", "a:2:{i:1;i:1;i:0;i:2;}");
        writes(ferry_codec_json(), decode(php, "a:2:{s:1:\"0\";i:1;i:1;i:2;}"), "[1,2]");
        writes(ferry_codec_json(), decode(php, "a:3:{i:0;i:1;i:1;i:2;i:0;i:3;}"), "[3,2]");
        writes(ferry_codec_json(), decode(php, "a:2:{i:1;i:1;i:0;i:2;}"), "{\"1\":1,\"0\":2}");
        writes(ferry_codec_msgpack(), decode(ferry_codec_json(), "{\"5\":1}"), "\x81\xa1" "5\x01");
        becomes(php, "d:007.50;", "d:7.5;");
        becomes(php, "d:1e400;", "d:INF;");
}

/* Takes the value; behind its head are so many bytes. */
static void begins_with(ferry_value *value, const struct bytes *head, size_t rest)
{
        FERRY_AUTO(ferry_value) again = NULL;
        void *bytes;
        size_t size;

        ck_assert_int_eq(ferry_codec_encode(ferry_codec_msgpack(), value, &bytes, &size), 0);
        ck_assert_uint_eq(size, head->size + rest);
        ck_assert_mem_eq(bytes, head->at, head->size);
        ck_assert_int_eq(ferry_codec_decode(ferry_codec_msgpack(), bytes, size, &again, NULL), 0);
        ck_assert(ferry_value_equal(value, again));
        free(bytes);
        ferry_value_unref(value);
}

START_TEST(msgpack_takes_every_width_and_writes_the_shortest)
{
        static const struct {
                struct bytes longer, shortest;
        } table[] = {
                { BYTES("\xd3\0\0\0\0\0\0\0\x7f"), BYTES("\x7f") },
                { BYTES("\xcd\0\x80"), BYTES("\xcc\x80") },
                { BYTES("\xce\0\0\x01\0"), BYTES("\xcd\x01\0") },
                { BYTES("\xd3\0\0\0\0\0\x01\0\0"), BYTES("\xce\0\x01\0\0") },
                { BYTES("\xd3\0\0\0\x01\0\0\0\0"), BYTES("\xcf\0\0\0\x01\0\0\0\0") },
                { BYTES("\xd1\xff\xe0"), BYTES("\xe0") },
                { BYTES("\xd1\xff\xdf"), BYTES("\xd0\xdf") },
                { BYTES("\xd2\xff\xff\xff\x7f"), BYTES("\xd1\xff\x7f") },
                { BYTES("\xd3\xff\xff\xff\xff\xff\xff\x7f\xff"), BYTES("\xd2\xff\xff\x7f\xff") },
                { BYTES("\xd3\x80\0\0\0\0\0\0\0"), BYTES("\xd3\x80\0\0\0\0\0\0\0") },
                { BYTES("\xca\x3f\xc0\0\0"), BYTES("\xcb\x3f\xf8\0\0\0\0\0\0") },
                { BYTES("\xc4\x01\xff"), BYTES("\xc4\x01\xff") },
                { BYTES("\xc6\0\0\0\x01\xff"), BYTES("\xc4\x01\xff") },
                { BYTES("\xc9\0\0\0\x01\x05\xff"), BYTES("\xd4\x05\xff") },
                { BYTES("\xc8\0\x03\x80" "abc"), BYTES("\xc7\x03\x80" "abc") },
                { BYTES("\xda\0\x01" "a"), BYTES("\xa1" "a") },
                { BYTES("\xdd\0\0\0\x01\xc2"), BYTES("\x91\xc2") },
                { BYTES("\xdf\0\0\0\x01\x05\xc3"), BYTES("\x81\x05\xc3") },
                { BYTES("\x82\xc0\xa1" "A\xc0\x92\x07\x08"), BYTES("\x82\xc0\xa1" "A\xc0\x92\x07\x08") },
        };

        for (int i = 0; i < COUNT(table); i++) {
                const struct bytes *longer = &table[i].longer, *shortest = &table[i].shortest;
                FERRY_AUTO(ferry_value) value = NULL;
                void *bytes;
                size_t size;

                ck_assert_int_eq(ferry_codec_decode(ferry_codec_msgpack(), longer->at, longer->size, &value, NULL), 0);
                ck_assert_int_eq(ferry_codec_encode(ferry_codec_msgpack(), value, &bytes, &size), 0);
                ck_assert_msg(size == shortest->size && memcmp(bytes, shortest->at, size) == 0, "entry %d", i);
                free(bytes);
        }
}

START_TEST(msgpack_sizes_have_the_shortest_head)
{
        static const struct {
                size_t size;
                struct bytes string, list;
        } table[] = {
                { 15, BYTES("\xaf"), BYTES("\x9f") },
                { 16, BYTES("\xb0"), BYTES("\xdc\0\x10") },
                { 31, BYTES("\xbf"), BYTES("\xdc\0\x1f") },
                { 32, BYTES("\xd9\x20"), BYTES("\xdc\0\x20") },
                { 255, BYTES("\xd9\xff"), BYTES("\xdc\0\xff") },
                { 256, BYTES("\xda\x01\0"), BYTES("\xdc\x01\0") },
                { 65535, BYTES("\xda\xff\xff"), BYTES("\xdc\xff\xff") },
                { 65536, BYTES("\xdb\0\x01\0\0"), BYTES("\xdd\0\x01\0\0") },
        };

        for (int i = 0; i < COUNT(table); i++) {
                char *text = calloc(1, table[i].size);
                ferry_builder *builder = ferry_builder_new();
                ferry_value *value;

                value = ferry_value_pack("%.*s", (int)table[i].size, text);
                begins_with(value, &table[i].string, table[i].size);
                ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
                for (size_t item = 0; item < table[i].size; item++)
                        ferry_builder_add(builder, "0");
                ferry_builder_close(builder);
                ck_assert_int_eq(ferry_builder_finish(builder, &value), 0);
                begins_with(value, &table[i].list, table[i].size);
                free(text);
        }
}

/* By msgpack, through another tree, and by a copy of it. */
static void passes_unchanged(const void *bytes, size_t size)
{
        FERRY_AUTO(ferry_value) value = NULL;
        FERRY_AUTO(ferry_value) shared = NULL;
        void *again;
        size_t again_size;

        ck_assert_int_eq(ferry_codec_decode(ferry_codec_msgpack(), bytes, size, &value, NULL), 0);
        shared = ferry_value_pack("{a: [%p, 'text'], b: %p}", (const void *)value, (const void *)ferry_value_at(value, 0));
        for (int round = 0; round < 2; round++) {
                const ferry_value *part = round ? ferry_value_at(ferry_value_get(shared, "a"), 0) : value;

                ck_assert_int_eq(ferry_codec_encode(ferry_codec_msgpack(), part, &again, &again_size), 0);
                ck_assert_msg(again_size == size && memcmp(again, bytes, size) == 0, "%zu bytes that begin with %02x", size,
                              ((const unsigned char *)bytes)[1]);
                free(again);
        }
}

START_TEST(bytes_stay_bytes_and_texts_texts)
{
        static const size_t sizes[] = { 0, 1, 31, 32, 255, 256, 65535, 65536 };
        static const char bytes[65536];

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct buffer buffer = { 0 };
                size_t size = sizes[i];
                char head[] = { (char)0x91, (char)(size < 256 ? 0xc4 : size < 65536 ? 0xc5 : 0xc6),
                                (char)(size >> 24), (char)(size >> 16), (char)(size >> 8), (char)size };
                int length = size < 256 ? 1 : size < 65536 ? 2 : 4;
                ferry_builder *builder = ferry_builder_new();
                FERRY_AUTO(ferry_value) built = NULL;
                void *again;
                size_t again_size;

                buffer_append(&buffer, head, 2);
                buffer_append(&buffer, head + 6 - length, (size_t)length);
                buffer_append(&buffer, bytes, size);
                passes_unchanged(buffer_bytes(&buffer), buffer_size(&buffer));
                ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
                ferry_builder_add_binary(builder, bytes, size);
                ferry_builder_close(builder);
                ck_assert_int_eq(ferry_builder_finish(builder, &built), 0);
                ck_assert(ferry_value_is_binary(ferry_value_at(built, 0)));
                ck_assert_int_eq(ferry_codec_encode(ferry_codec_msgpack(), built, &again, &again_size), 0);
                ck_assert(again_size == buffer_size(&buffer) && memcmp(again, buffer_bytes(&buffer), again_size) == 0);
                free(again);
                buffer_deinit(&buffer);
        }
        passes_unchanged("\x92\xa3" "abc\xc4\x03" "abc", 10);
        ck_assert(!ferry_value_is_binary(NULL));

        /* To the other codecs it is a string, and it equals one. */
        FERRY_AUTO(ferry_value) pair = NULL;
        ck_assert_int_eq(ferry_codec_decode(ferry_codec_msgpack(), "\x92\xa1" "a\xc4\x01" "a", 6, &pair, NULL), 0);
        ck_assert(ferry_value_equal(ferry_value_at(pair, 0), ferry_value_at(pair, 1)));
        ck_assert(!ferry_value_is_binary(ferry_value_at(pair, 0)) && ferry_value_is_binary(ferry_value_at(pair, 1)));
        ck_assert_str_eq(ferry_value_text(ferry_value_at(pair, 1), ""), "a");
        writes(ferry_codec_json(), ferry_value_ref(pair), "[\"a\",\"a\"]");
        writes(ferry_codec_php(), ferry_value_ref(pair), "a:2:{i:0;s:1:\"a\";i:1;s:1:\"a\";}");
}

START_TEST(extension_types_pass_unchanged)
{
        static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 8, 12, 16, 17, 255, 256, 65535, 65536 };
        static const char bytes[65536] = "\x5f\xff\xff\xff";
        FERRY_AUTO(ferry_value) stamp = NULL;

        for (int type = -128; type < 128; type++)
                for (size_t i = 0; i < (type == -1 ? sizeof sizes / sizeof *sizes : 10); i++) {
                        size_t size = sizes[i];
                        bool is_fixed = size > 0 && size <= 16 && (size & (size - 1)) == 0;
                        int length = is_fixed ? 0 : size < 256 ? 1 : size < 65536 ? 2 : 4;
                        char head[] = { (char)0x91, (char)(is_fixed ? 0xd4 + __builtin_ctzl(size) : 0xc7 + length / 2),
                                        (char)(size >> 24), (char)(size >> 16), (char)(size >> 8), (char)size };
                        struct buffer buffer = { 0 };

                        buffer_append(&buffer, head, 2);
                        buffer_append(&buffer, head + 6 - length, (size_t)length);
                        buffer_append(&buffer, &(char){ (char)type }, 1);
                        buffer_append(&buffer, bytes, size);
                        passes_unchanged(buffer_bytes(&buffer), buffer_size(&buffer));
                        buffer_deinit(&buffer);
                }

        /* A timestamp, and what other codecs say of it. */
        ck_assert_int_eq(ferry_codec_decode(ferry_codec_msgpack(), "\xd6\xff\x5f\xff\xff\xff", 6, &stamp, NULL), 0);
        ck_assert_int_eq(ferry_value_kind(stamp), FERRY_VALUE_OPAQUE);
        ck_assert_str_eq(ferry_value_class(stamp), "ext:-1");
        refuses(ferry_codec_json(), ferry_value_ref(stamp), -EILSEQ, "json has no way to write an opaque object");
        refuses(ferry_codec_php(), ferry_value_ref(stamp), -EILSEQ, "php has no class \"ext:-1\"");
        for (int i = 0; i < 4; i++) {
                static const char *const wrong[] = { "ext:128", "ext:-129", "ext:05", "ext:" };
                char reason[96];
                ferry_builder *builder = ferry_builder_new();
                ferry_value *value;

                snprintf(reason, sizeof reason, "msgpack has no extension type \"%s\": ext:-128 to ext:127", wrong[i]);
                ferry_builder_add_bytes(builder, FERRY_VALUE_OPAQUE, wrong[i], "x", 1);
                ck_assert_int_eq(ferry_builder_finish(builder, &value), 0);
                refuses(ferry_codec_msgpack(), value, -EILSEQ, reason);
        }
}

START_TEST(errors_are_explained)
{
        static const struct {
                const ferry_codec *(*codec)(void);
                struct bytes bytes;
                int code;
                const char *text;
        } table[] = {
                { ferry_codec_json, BYTES("\xef\xbb\xbf{}"), -EBADMSG,
                  "it is wrong at byte 0: a byte order mark (EF BB BF), which JSON does not have" },
                { ferry_codec_msgpack, BYTES("\x91\xcf\x80\0\0\0\0\0\0\0"), -EBADMSG,
                  "it is wrong at byte 1: an integer above the range of int64" },
                { ferry_codec_msgpack, BYTES("\x81\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), -EBADMSG,
                  "it is wrong at byte 2: an integer above the range of int64" },
                { ferry_codec_php, BYTES("i:x;"), -EBADMSG, "it is wrong at byte 2" },
                { ferry_codec_json, BYTES("[1"), -EAGAIN, "it ends too early, at byte 2" },
                { ferry_codec_json, BYTES("[1]"), 0, "" },
        };
        char text[200];

        for (int i = 0; i < COUNT(table); i++) {
                ck_assert_int_eq(ferry_codec_explain_decode(table[i].codec(), table[i].bytes.at, table[i].bytes.size, text,
                                                            sizeof text), table[i].code);
                ck_assert_str_eq(text, table[i].text);
        }
        ck_assert_int_eq(ferry_codec_explain_decode(NULL, "", 0, text, sizeof text), -EINVAL);
        ck_assert_int_eq(ferry_codec_explain_encode(ferry_codec_json(), NULL, text, sizeof text), -EINVAL);
        FERRY_AUTO(ferry_value) value = ferry_value_pack("{a: [A{}]}");
        ck_assert_int_eq(ferry_codec_explain_encode(ferry_codec_json(), value, text, sizeof text), -EILSEQ);
        ck_assert_str_eq(text, "json has no way to write the class of an object (json-objects has one) at .a[0]");
        ck_assert_int_eq(ferry_codec_explain_encode(ferry_codec_plain(), value, text, sizeof text), -EILSEQ);
        ck_assert_str_eq(text, "plain has no way to write this map");
        FERRY_AUTO(ferry_value) infinity = ferry_value_pack("%f", (double)INFINITY);
        ck_assert_int_eq(ferry_codec_explain_encode(ferry_codec_plain(), infinity, text, sizeof text), -EDOM);
        ck_assert_str_eq(text, "plain has no way to write INF or NAN");
        ck_assert_int_eq(ferry_codec_explain_encode(ferry_codec_php(), value, text, sizeof text), 0);
        ck_assert_str_eq(text, "");
}

START_TEST(bytes_are_looked_at_without_decoding)
{
        static const char *const texts[] = {
                "O:3:\"Env\":3:{s:2:\"id\";s:3:\"1.5\";s:1:\"x\";i:1;"
                "s:7:\"request\";O:3:\"Log\":1:{s:2:\"id\";s:2:\"no\";}}",
                "{\"x\":1,\"id\":\"\\u0031.5\",\"request\":{\"id\":\"no\",\"__class\":\"Log\"},\"__class\":\"Env\"}",
        };
        struct outline outline = { .items = { { .name = "id" }, { .name = "request" }, { .name = "none" } }, .count = 3 };
        struct check check = { .outline = &outline };
        char text[32];

        ck_assert_int_eq(codec_native(codecs(_i))->check(texts[_i], strlen(texts[_i]), &check), 0);
        raw_text_copy(&outline.class_name, text);
        ck_assert_str_eq(text, "Env");
        raw_text_copy(&outline.items[0].string, text);
        ck_assert_str_eq(text, "1.5");
        ck_assert_ptr_null(outline.items[0].class_name.bytes);
        raw_text_copy(&outline.items[1].class_name, text);
        ck_assert_str_eq(text, "Log");
        ck_assert_ptr_null(outline.items[1].string.bytes);
        ck_assert(!outline.items[2].string.bytes && !outline.items[2].class_name.bytes);
}

START_TEST(a_string_inside_of_an_array_is_not_the_property)
{
        static const char text[] = "O:1:\"A\":1:{s:2:\"id\";a:1:{i:0;s:3:\"abc\";}}";
        struct outline outline = { .items = { { .name = "id" } }, .count = 1 };
        struct check check = { .outline = &outline };

        ck_assert_int_eq(codec_native(ferry_codec_php())->check(text, strlen(text), &check), 0);
        ck_assert_ptr_null(outline.items[0].string.bytes);
}

/* A program's own codec, which puts a mark before what another one does. */
static int own_encode(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        const ferry_codec *other = codec->userdata;

        ferry_sink_write(sink, "!", 1);
        return other->encode(other, value, sink);
}

static int own_decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        const ferry_codec *other = codec->userdata;

        if (size == 0 || *(const char *)bytes != '!')
                return size ? -EBADMSG : -EAGAIN;
        return other->decode(other, (const char *)bytes + 1, size - 1, builder);
}

START_TEST(own_codecs_may_let_another_one_work)
{
        const ferry_codec own = { .size = sizeof own, .name = "own", .number = 200, .encode = own_encode,
                                  .decode = own_decode, .userdata = (void *)codecs(_i) };
        FERRY_AUTO(ferry_value) value = make_plain();
        FERRY_AUTO(ferry_value) again = NULL;
        void *bytes;
        size_t size, offset;

        ck_assert_int_eq(ferry_codec_encode(&own, value, &bytes, &size), 0);
        ck_assert_int_eq(*(char *)bytes, '!');
        ck_assert_int_eq(ferry_codec_decode(&own, bytes, size, &again, NULL), 0);
        ck_assert(ferry_value_equal(value, again));
        ck_assert_int_eq(decode_error(&own, bytes, size - 1, &offset), -EAGAIN);
        ck_assert_int_eq(decode_error(&own, "?", 1, &offset), -EBADMSG);
        free(bytes);
}

/* A program's own codec may begin as a copy of a built-in one: its name and number are its own, the rest stays. */
START_TEST(a_copy_of_a_built_in_codec_reads_and_writes)
{
        ferry_codec own = *codecs(_i);
        FERRY_AUTO(ferry_value) value = make_plain();
        FERRY_AUTO(ferry_value) again = NULL;
        void *bytes;
        size_t size;

        own.name = "own";
        own.number = 200;
        ck_assert_int_eq(ferry_codec_encode(&own, value, &bytes, &size), 0);
        ck_assert_int_eq(ferry_codec_decode(&own, bytes, size, &again, NULL), 0);
        ck_assert(ferry_value_equal(value, again));
        free(bytes);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(values_go_both_ways, 3),
        SUITE_LOOP(wrong_bytes_are_refused_where_they_are, COUNT(wrong_bytes)),
        SUITE_TEST(json_is_taken_as_php_takes_it),
        SUITE_TEST(json_is_written_as_php_writes_it),
        SUITE_TEST(json_objects_have_a_class),
        SUITE_TEST(maps_of_json_stay_maps),
        SUITE_TEST(what_cannot_be_written_names_its_place),
        SUITE_LOOP(encoding_stays_within_its_limit, 3),
        SUITE_LOOP(depth_is_limited, 6),
        SUITE_TEST(php_keys_and_lists),
        SUITE_TEST(msgpack_takes_every_width_and_writes_the_shortest),
        SUITE_TEST(msgpack_sizes_have_the_shortest_head),
        SUITE_TEST(bytes_stay_bytes_and_texts_texts),
        SUITE_TEST(extension_types_pass_unchanged),
        SUITE_TEST(errors_are_explained),
        SUITE_LOOP(bytes_are_looked_at_without_decoding, 2),
        SUITE_TEST(a_string_inside_of_an_array_is_not_the_property),
        SUITE_LOOP(own_codecs_may_let_another_one_work, 3),
        SUITE_LOOP(a_copy_of_a_built_in_codec_reads_and_writes, 3),
};

SUITE_MAIN("codec", tests)
