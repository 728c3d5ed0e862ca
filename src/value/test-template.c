/* Templates: what each conversion and constant packs, that wrong ones give no value and name the place, and that
 * unpacking stores everything or nothing. What was packed is compared by its text in PHP's format, which shows
 * kinds, classes, keys and order. */
#include "support/suite.h"
#include "value/builder.h"

#include <ferry/codec.h>

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void check_php(ferry_value *value, const char *expected)
{
        void *bytes;
        size_t size;

        ck_assert_msg(value != NULL, "no value, but %s was expected", expected);
        ck_assert_int_eq(ferry_codec_encode(ferry_codec_php(), value, &bytes, &size), 0);
        ck_assert_uint_eq(size, strlen(bytes));
        ck_assert_str_eq(bytes, expected);
        free(bytes);
        ferry_value_unref(value);
}

/* The compiler, which sees what it is, would say that NULL is no string. */
static const char *volatile nothing;

#define PACKS(expected, ...) check_php(ferry_value_pack(__VA_ARGS__), expected)

/* Templates that are wrong on purpose: the compiler need not see them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int pack_error(const char *format, char place[160], ...)
{
        ferry_builder *builder = ferry_builder_new();
        va_list list;
        ferry_value *packed;

        va_start(list, place);
        packed = ferry_value_vpack(format, list);
        va_end(list);
        ck_assert_msg(packed == NULL, "packed: %s", format);
        va_start(list, place);
        builder_add_template(builder, format, list);
        va_end(list);
        memcpy(place, builder->place, sizeof builder->place);
        return ferry_builder_finish(builder, NULL);
}

static ferry_value *pack_constant(const char *format, ...)
{
        va_list list;
        ferry_value *value;

        va_start(list, format);
        value = ferry_value_vpack(format, list);
        va_end(list);
        ck_assert_msg(value != NULL, "not packed: %s", format);
        return value;
}

static int unpack_error(const ferry_value *value, const char *format, void *first, void *second)
{
        return ferry_value_unpack(value, format, first, second);
}
#pragma GCC diagnostic pop

START_TEST(integers)
{
        PACKS("i:-2147483648;", "%d", INT_MIN);
        PACKS("i:2147483647;", "%i", INT_MAX);
        PACKS("i:4294967295;", "%u", UINT_MAX);
        PACKS(sizeof(long) == 8 ? "i:-9223372036854775808;" : "i:-2147483648;", "%ld", LONG_MIN);
        PACKS(sizeof(long) == 8 ? "i:9223372036854775807;" : "i:2147483647;", "%lu", (unsigned long)LONG_MAX);
        PACKS("i:-9223372036854775808;", "%lld", LLONG_MIN);
        PACKS("i:9223372036854775807;", "%llu", (unsigned long long)LLONG_MAX);
        PACKS("i:-5;", "%zd", (ssize_t)-5);
        PACKS("i:5;", "%zu", (size_t)5);
        PACKS("i:-9223372036854775808;", "%jd", INTMAX_MIN);
        PACKS("i:-7;", "%td", (ptrdiff_t)-7);
        PACKS("i:-32768;", "%hd", (short)SHRT_MIN);
        PACKS("i:65535;", "%hu", (unsigned short)USHRT_MAX);
        errno = 0;
        ck_assert_ptr_null(ferry_value_pack("%llu", ULLONG_MAX));
        ck_assert_int_eq(errno, EINVAL);
        if (sizeof(long) == 8) {
                ck_assert_ptr_null(ferry_value_pack("%lu", ULONG_MAX));
                ck_assert_ptr_null(ferry_value_pack("[%zu]", SIZE_MAX / 2 + 1));
        } else {
                PACKS("i:4294967295;", "%lu", ULONG_MAX);
                PACKS("i:2147483648;", "%zu", SIZE_MAX / 2 + 1);
        }
}

START_TEST(doubles_and_bools)
{
        bool yes = true, no = false;
        signed char other = 2;

        PACKS("a:3:{i:0;d:0.5;i:1;d:1;i:2;d:-0;}", "[%f, %g, %e]", 0.5, 1.0, -0.0);
        PACKS("a:3:{i:0;d:INF;i:1;d:-INF;i:2;d:NAN;}", "[%f, %f, %f]", INFINITY, -INFINITY, NAN);
        PACKS("a:3:{i:0;b:1;i:1;b:0;i:2;b:1;}", "[%hhd, %hhd, %hhd]", yes, no, other);
}

START_TEST(strings)
{
        PACKS("s:3:\"a'%\";", "%s", "a'%");
        PACKS("s:0:\"\";", "%s", "");
        PACKS("N;", "%s", nothing);
        PACKS("N;", "%.*s", 3, nothing);
        PACKS("s:2:\"ab\";", "%.*s", 2, "abc");
        PACKS("s:0:\"\";", "%.*s", 0, "abc");
        PACKS("s:3:\"abc\";", "%.*s", -1, "abc");
        PACKS("s:2:\"ab\";", "%.2s", "abc");
}

START_TEST(strings_hold_zeros)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("{%.*s: %.*s}", 3, "k\0y", 4, "a\0b\0");
        size_t size;

        ck_assert_mem_eq(ferry_value_bytes(ferry_value_at(value, 0), &size), "a\0b\0", 5);
        ck_assert_uint_eq(size, 4);
        ck_assert_mem_eq(ferry_value_bytes(ferry_value_key(value, 0), &size), "k\0y", 4);
        ck_assert_uint_eq(size, 3);
}

START_TEST(constants)
{
        PACKS("N;", NULL);
        PACKS("N;", "null");
        PACKS("a:2:{i:0;b:1;i:1;b:0;}", "[true, false]");
        PACKS("a:3:{i:0;i:0;i:1;i:-12;i:2;i:9223372036854775807;}", "[0, -12, 9223372036854775807]");
        PACKS("i:-9223372036854775808;", "-9223372036854775808");
        PACKS("a:4:{i:0;d:1.5;i:1;d:-0;i:2;d:100;i:3;d:1.0E-7;}", "[1.5, -0.0, 1e2, 1E-7]");
        PACKS("a:0:{}", " [ ] ");
        PACKS("a:0:{}", "\t{\n}");
        PACKS("a:2:{i:0;a:1:{i:0;a:0:{}}i:1;i:1;}", "[[[]],1]");
        PACKS("a:2:{s:1:\"a\";a:1:{s:1:\"b\";N;}s:1:\"c\";i:1;}", "{a:{b:null},c:1}");
}

START_TEST(quoted_text_is_printed)
{
        char longer[2000];
        char expected[2100];

        PACKS("s:10:\"it's 5 %d!\";", "'it''s %d %%d!'", 5);
        PACKS("s:0:\"\";", "''");
        PACKS("s:1:\"'\";", "''''");
        PACKS("s:12:\"[  7|7  |07]\";", "'[%3d|%-3d|%02d]'", 7, 7, 7);
        PACKS("s:21:\"-1 4294967295 ff 17 x\";", "'%ld %lu %x %o %c'", -1L, 4294967295UL, 255U, 15U, 'x');
        PACKS("s:14:\"  0.50 1e+02 2\";", "'%*.*f %.0e %g'", 6, 2, 0.5, 100.0, 2.0);
        PACKS("s:7:\"  abab.\";", "'%*s%.2s.'", 4, "ab", "abc");
        PACKS("s:8:\"-1 5 3 2\";", "'%hhd %zu %jd %td'", (signed char)-1, (size_t)5, (intmax_t)3, (ptrdiff_t)2);
        PACKS("a:2:{s:2:\"k1\";s:2:\"v2\";i:1;i:3;}", "{'k%d': 'v%d', 1: %d}", 1, 2, 3);

        /* Longer than what is kept on the stack. */
        memset(longer, 'x', sizeof longer - 1);
        longer[sizeof longer - 1] = '\0';
        snprintf(expected, sizeof expected, "s:2001:\"<%s>\";", longer);
        PACKS(expected, "'<%s>'", longer);
}

START_TEST(keys)
{
        PACKS("a:3:{s:1:\"a\";i:1;s:3:\"_B9\";i:2;s:5:\"a b:c\";i:3;}", "{a: 1, _B9: 2, 'a b:c': 3}");
        PACKS("a:3:{i:7;i:1;i:-1;i:2;i:0;i:3;}", "{7: 1, -1: 2, 0: 3}");
        PACKS("a:4:{s:1:\"k\";i:1;s:2:\"ke\";i:2;i:-9;i:3;i:5000000000;i:4;}", "{%s: 1, %.*s: 2, %d: 3, %lld: 4}",
              "k", 2, "key", -9, 5000000000LL);
        PACKS("a:1:{s:4:\"true\";i:1;}", "{true: 1}");
        ck_assert_ptr_null(ferry_value_pack("{%s: 1}", nothing));
}

START_TEST(classes)
{
        PACKS("O:9:\"App\\Point\":2:{s:1:\"x\";i:1;s:1:\"y\";a:1:{i:0;i:2;}}", "App\\Point{x: %d, y: [%d]}", 1, 2);
        PACKS("O:1:\"A\":0:{}", "A {}");
        PACKS("E:15:\"App\\Suit:Hearts\";", "App\\Suit::Hearts");
        PACKS("a:1:{i:0;O:1:\"A\":1:{s:1:\"b\";O:1:\"B\":0:{}}}", "[A{b: B{}}]");
        PACKS("O:1:\"A\":2:{s:3:\"two\";i:2;i:3;i:4;}", "A{'two': 2, 3: 4}");
        ck_assert_ptr_null(ferry_value_pack("A{%.*s: 1}", 2, "\0a"));
}

START_TEST(values_inside_values)
{
        FERRY_AUTO(ferry_value) inner = ferry_value_pack("A{a: [1, 'two']}");

        PACKS("O:1:\"A\":1:{s:1:\"a\";a:2:{i:0;i:1;i:1;s:3:\"two\";}}", "%p", (const void *)inner);
        PACKS("a:2:{i:0;i:1;s:1:\"b\";a:2:{i:0;i:1;i:1;s:3:\"two\";}}", "{0: %p, b: %p}",
              (const void *)ferry_value_at(ferry_value_get(inner, "a"), 0), (const void *)ferry_value_get(inner, "a"));
        ck_assert_ptr_null(ferry_value_pack("[%p]", NULL));
}

static const struct {
        const char *format, *place;
} wrong_templates[] = {
        { "", "at \"\" in \"\"" },
        { "{", "at \"\" in \"{\"" },
        { "[1", "at \"\" in \"[1\"" },
        { "[1}", "at \"}\"" },
        { "{a: 1]", "at \"]\"" },
        { "{a}", "at \"}\"" },
        { "{a:}", "at \"}\"" },
        { "{a 1}", "at \"1}\"" },
        { "{a: 1 b: 2}", "at \"b: 2}\"" },
        { "{a: 1,}", "at \"}\"" },
        { "[1,]", "at \"]\"" },
        { "[,]", "at \",]\"" },
        { "1 2", "at \"2\"" },
        { "[] ]", "at \"]\"" },
        { "yes", "at \"yes\"" },
        { "nul", "at \"nul\"" },
        { "True", "at \"True\"" },
        { "\"a\"", "at \"\"a\"\"" },
        { "+1", "at \"+1\"" },
        { "-", "at \"-\"" },
        { "1e", "at \"1e\"" },
        { ".5", "at \".5\"" },
        { "12x", "at \"x\"" },
        { "[99999999999999999999]", "at \"99999999999999999999\"" },
        { "{1.5: 1}", "at \"1.5: 1}\"" },
        { "{[1]: 2}", "at \"[1]: 2}\"" },
        { "'open", "at \"'open\"" },
        { "['it''s]", "at \"'it''s]\"" },
        { "'%'", "at \"'%'\"" },
        { "'%y'", "at \"'%y'\"" },
        { "'%n'", "at \"'%n'\"" },
        { "'%ls'", "at \"'%ls'\"" },
        { "A::", "at \"::\"" },
        { "A::%s", "at \"::%s\"" },
        { "A{1}", "at \"}\"" },
        { "%", "at \"%\"" },
        { "%%", "at \"%%\"" },
        { "%y", "at \"%y\"" },
        { "%n", "at \"%n\"" },
        { "%c", "at \"%c\"" },
        { "%x", "at \"%x\"" },
        { "%5d", "at \"%5d\"" },
        { "%*d", "at \"%*d\"" },
        { "%-d", "at \"%-d\"" },
        { "%.3d", "at \"%.3d\"" },
        { "%.3u", "at \"%.3u\"" },
        { "%.*i", "at \"%.*i\"" },
        { "%.1f", "at \"%.1f\"" },
        { "%Lf", "at \"%Lf\"" },
        { "%Ld", "at \"%Ld\"" },
        { "%ls", "at \"%ls\"" },
        { "%lp", "at \"%lp\"" },
        { "{%f: 1}", "at \"%f: 1}\"" },
        { "{%p: 1}", "at \"%p: 1}\"" },
        { "hello", "at \"hello\" in \"hello\": a string stands in 'quotes', or is a %s" },
        { "{a: \"b\"}", "in \"{a: \"b\"}\": a string stands in 'quotes', or is a %s" },
};

START_TEST(wrong_templates_name_their_place)
{
        char place[160];

        ck_assert_int_eq(pack_error(wrong_templates[_i].format, place, "", "", ""), -EINVAL);
        ck_assert_msg(strstr(place, wrong_templates[_i].place) != NULL, "\"%s\": %s", wrong_templates[_i].format,
                      place);
}

START_TEST(unpack_integers)
{
        FERRY_AUTO(ferry_value) value =
                ferry_value_pack("[%d, %d, %d, %d, %d, %u, %ld, %ld, %lld, %ld]", SCHAR_MIN, UCHAR_MAX, SHRT_MIN,
                                 USHRT_MAX, INT_MIN, UINT_MAX, LONG_MIN, LONG_MAX, LLONG_MIN, LONG_MAX);
        signed char a;
        unsigned char b;
        short c;
        unsigned short d;
        int e;
        unsigned f;
        long g;
        unsigned long h;
        long long i;
        size_t j;

        ck_assert_int_eq(ferry_value_unpack(value, "[%hhd, %hhu, %hd, %hu, %d, %u, %ld, %lu, %lld, %zu]", &a, &b,
                                            &c, &d, &e, &f, &g, &h, &i, &j),
                         0);
        ck_assert(a == SCHAR_MIN && b == UCHAR_MAX && c == SHRT_MIN && d == USHRT_MAX && e == INT_MIN);
        ck_assert(f == UINT_MAX && g == LONG_MIN && h == LONG_MAX && i == LLONG_MIN && j == LONG_MAX);
}

static const struct {
        const char *format;
        long long below, lowest, highest, above;
} ranges[] = {
        { "%hhd", SCHAR_MIN - 1, SCHAR_MIN, SCHAR_MAX, SCHAR_MAX + 1 },
        { "%hhu", -1, 0, UCHAR_MAX, UCHAR_MAX + 1 },
        { "%hd", SHRT_MIN - 1, SHRT_MIN, SHRT_MAX, SHRT_MAX + 1 },
        { "%hu", -1, 0, USHRT_MAX, USHRT_MAX + 1 },
        { "%d", INT_MIN - 1LL, INT_MIN, INT_MAX, INT_MAX + 1LL },
        { "%u", -1, 0, UINT_MAX, UINT_MAX + 1LL },
        { "%ju", -1, 0, LLONG_MAX, -LLONG_MAX },
#if LONG_MAX == LLONG_MAX
        { "%lu", -1, 0, LONG_MAX, -LONG_MAX },
        { "%zu", -1, 0, LONG_MAX, -LONG_MAX },
#else
        { "%ld", LONG_MIN - 1LL, LONG_MIN, LONG_MAX, LONG_MAX + 1LL },
        { "%zd", LONG_MIN - 1LL, LONG_MIN, LONG_MAX, LONG_MAX + 1LL },
        { "%lu", -1, 0, ULONG_MAX, ULONG_MAX + 1LL },
        { "%zu", -1, 0, ULONG_MAX, ULONG_MAX + 1LL },
#endif
};

START_TEST(unpack_refuses_what_is_out_of_range)
{
        const long long outside[] = { ranges[_i].below, ranges[_i].above };
        const long long inside[] = { ranges[_i].lowest, ranges[_i].highest };
        long long target;

        for (int i = 0; i < 2; i++) {
                FERRY_AUTO(ferry_value) wrong = ferry_value_pack("%lld", outside[i]);
                FERRY_AUTO(ferry_value) right = ferry_value_pack("%lld", inside[i]);

                target = 0x5555555555555555;
                ck_assert_int_eq(unpack_error(wrong, ranges[_i].format, &target, NULL), -EINVAL);
                ck_assert_int_eq(target, 0x5555555555555555);
                target = 0;
                ck_assert_int_eq(unpack_error(right, ranges[_i].format, &target, NULL), 0);
                ck_assert_mem_eq(&target, &inside[i], 1);
        }
}

START_TEST(unpack_other_kinds)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("[true, 0.5, 7, 'abc', 'defg', 2.5, false]");
        signed char yes = 5, no = 5;
        double real, whole;
        float single;
        char text[4] = "";
        char *copy = NULL;

        ck_assert_int_eq(ferry_value_unpack(value, "[%hhd, %lf, %lg, %3s, %ms, %f, %hhd]", &yes, &real, &whole, text,
                                            &copy, &single, &no),
                         0);
        ck_assert(yes == 1 && no == 0 && real == 0.5 && whole == 7 && single == 2.5f);
        ck_assert_str_eq(text, "abc");
        ck_assert_str_eq(copy, "defg");
        free(copy);
}

/* A value, a template that does not fit it, with up to two conversions. */
static const struct {
        const char *value, *format;
} misfits[] = {
        { "1", "%hhd x" },
        { "1.5", "%d" },
        { "1.0", "%d" },
        { "null", "%d" },
        { "true", "%d" },
        { "'5'", "%d" },
        { "'1.5'", "%lf" },
        { "true", "%lf" },
        { "null", "%9s" },
        { "'abcd'", "%3s" },
        { "'abc'", "%s" },
        { "'abc'", "%p" },
        { "'abc'", "%.3s" },
        { "5", "%5d" },
        { "5", "%*d" },
        { "5", "%x" },
        { "A::B", "%9s" },
        { "[1]", "[]" },
        { "[1]", "[%d, %d]" },
        { "[1, 2]", "[%d]" },
        { "[1, 2]", "[%d %d]" },
        { "[1]", "{0: %d}" },
        { "{0: 1}", "[%d]" },
        { "[1]", "[%d" },
        { "{a: 1}", "{a: %d" },
        { "{a: 1}", "{a %d}" },
        { "{a: 1}", "{b: %d}" },
        { "{a: 1}", "{A: %d}" },
        { "{a: 1}", "{%9s: %d}" },
        { "{a: 1}", "{a: %d} %d" },
        { "{a: 'x'}", "{a?: %d}" },
        { "{a: 1, b: 'x'}", "{a: %d, b: %d}" },
        { "{5: 1}", "{'5': %d}" },
        { "{'5': 1}", "{5: %d}" },
        { "A{a: 1}", "B{a: %d}" },
        { "{a: 1}", "A{a: %d}" },
        { "A::B", "A::C" },
        { "A::B", "B::B" },
        { "A::B", "A::" },
        { "'x'", "'y'" },
        { "'x'", "'xx'" },
        { "'x'", "'x" },
        { "'x'", "x" },
        { "1", "2" },
        { "1", "'1'" },
        { "1.5", "1.25" },
        { "1", "true" },
        { "true", "false" },
        { "0", "false" },
        { "false", "null" },
        { "null", "false" },
        { "1", "" },
        { "'5'", "'%d'" },
};

START_TEST(unpack_stores_nothing_where_something_does_not_fit)
{
        long targets[2][2] = { { 0x55, 0x55 }, { 0x55, 0x55 } };
        FERRY_AUTO(ferry_value) value = pack_constant(misfits[_i].value);

        ck_assert_msg(unpack_error(value, misfits[_i].format, targets[0], targets[1]) == -EINVAL, "%s fits %s",
                      misfits[_i].value, misfits[_i].format);
        ck_assert_msg(targets[0][0] == 0x55 && targets[0][1] == 0x55 && targets[1][0] == 0x55 && targets[1][1] == 0x55,
                      "%s stored something", misfits[_i].format);
}

START_TEST(unpack_keys)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("{other: [], 5: 1, -2: 2, 'a b': 3, it: {s: {deep: 4}}}");
        int a, b, c, d;

        ck_assert_int_eq(ferry_value_unpack(value, "{5: %d, it: {s: {deep: %d}}, 'a b': %d, -2: %d}", &a, &d, &c, &b),
                         0);
        ck_assert(a == 1 && b == 2 && c == 3 && d == 4);
        ck_assert_int_eq(ferry_value_unpack(value, "{}"), 0);
}

START_TEST(unpack_optional_keys)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("{a: 1, z: 9}");
        int a = 0, b = -1, list[2] = { -1, -1 }, z = 0;
        char *text = (char *)"kept", buffer[8] = "kept";
        signed char flag = -1;
        double real = -1;

        /* What is missing takes its arguments all the same. */
        ck_assert_int_eq(ferry_value_unpack(value,
                                            "{a?: %d, b?: {c: %d, d: [%d, {e?: %d}], f: 'x', g: A::B, h: A{}}, "
                                            "i?: %ms, j?: %7s, k?: %hhd, l?: %lf, m?: 5, n?: [], z: %d}",
                                            &a, &b, &list[0], &list[1], &text, buffer, &flag, &real, &z),
                         0);
        ck_assert(a == 1 && z == 9 && b == -1 && list[0] == -1 && list[1] == -1 && flag == -1 && real == -1);
        ck_assert_str_eq(text, "kept");
        ck_assert_str_eq(buffer, "kept");
}

START_TEST(unpack_constants_and_classes)
{
        FERRY_AUTO(ferry_value) value =
                ferry_value_pack("{n: null, t: true, i: -5, d: 0.5, w: 2.0, s: 'it''s 100%%', e: A\\E::X, o: A\\O{x: 7}, "
                                 "l: [1, [2]]}");
        int x = 0, y = 0, last = 0;

        ck_assert_int_eq(ferry_value_unpack(value,
                                            "{n: null, t: true, i: -5, d: 0.5, w: 2, s: 'it''s 100%%', e: A\\E::X, "
                                            "o: A\\O{x: %d}, l: [1, [%d]]}",
                                            &x, &last),
                         0);
        ck_assert(x == 7 && last == 2);
        ck_assert_int_eq(ferry_value_unpack(value, "{o: {x: %d}, i: -5.0}", &y), 0);
        ck_assert_int_eq(y, 7);
}

START_TEST(unpack_strings)
{
        FERRY_AUTO(ferry_value) zeros = ferry_value_pack("%.*s", 3, "a\0b");
        FERRY_AUTO(ferry_value) two = ferry_value_pack("['x', 5]");
        char buffer[8] = "kept", *text = (char *)"kept", *other = text;
        int number;

        ck_assert_int_eq(ferry_value_unpack(zeros, "%7s", buffer), -EINVAL);
        ck_assert_int_eq(ferry_value_unpack(zeros, "%ms", &text), -EINVAL);
        /* Nothing is allocated for a string that fits before something that does not. */
        ck_assert_int_eq(ferry_value_unpack(two, "[%ms, %ms]", &text, &other), -EINVAL);
        ck_assert_str_eq(buffer, "kept");
        ck_assert_str_eq(text, "kept");
        ck_assert_int_eq(ferry_value_unpack(two, "[%1s, %d]", buffer, &number), 0);
        ck_assert_str_eq(buffer, "x");
        ck_assert_int_eq(ferry_value_unpack(NULL, "null"), -EINVAL);
        ck_assert_int_eq(unpack_error(two, NULL, NULL, NULL), -EINVAL);
}

START_TEST(unpack_lets_go_of_long_quoted_text)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("{}");
        char format[1400];

        /* Leaks are found by the sanitizer. */
        memset(format, 'x', sizeof format);
        memcpy(format, "{'", 2);
        format[sizeof format - 1] = '\0';
        ck_assert_int_eq(unpack_error(value, format, NULL, NULL), -EINVAL);
        memcpy(format + sizeof format - 8, "'?: 1}", 7);
        ck_assert_int_eq(unpack_error(value, format, NULL, NULL), 0);
}

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const struct suite_test tests[] = {
        SUITE_TEST(integers),
        SUITE_TEST(doubles_and_bools),
        SUITE_TEST(strings),
        SUITE_TEST(strings_hold_zeros),
        SUITE_TEST(constants),
        SUITE_TEST(quoted_text_is_printed),
        SUITE_TEST(keys),
        SUITE_TEST(classes),
        SUITE_TEST(values_inside_values),
        SUITE_LOOP(wrong_templates_name_their_place, COUNT(wrong_templates)),
        SUITE_TEST(unpack_integers),
        SUITE_LOOP(unpack_refuses_what_is_out_of_range, COUNT(ranges)),
        SUITE_TEST(unpack_other_kinds),
        SUITE_LOOP(unpack_stores_nothing_where_something_does_not_fit, COUNT(misfits)),
        SUITE_TEST(unpack_keys),
        SUITE_TEST(unpack_optional_keys),
        SUITE_TEST(unpack_constants_and_classes),
        SUITE_TEST(unpack_strings),
        SUITE_TEST(unpack_lets_go_of_long_quoted_text),
};

SUITE_MAIN("template", tests)
