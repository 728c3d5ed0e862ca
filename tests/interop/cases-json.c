/* RFC 8259, from its grammar: every production in every place, and every kind of damage to each; what is right is
 * taken, what is wrong refused, and what the RFC leaves open is decided here, once. jansson and PHP are asked the
 * same and must say the same, also what value it is; where they differ, the case says so. */
#include "interop/php.h"
#include "interop/walk.h"
#include "support/suite.h"
#include "vectors/complete.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum verdict { WRONG, RIGHT };

/* How the others differ. */
enum {
        NOT_JANSSON = 1,        /* it refuses */
        OTHER_JANSSON = 2,      /* it takes it as another value */
        OTHER_PHP = 4,
        ENDS_EARLY = 8,         /* wrong because it is a prefix: ferry asks for more */
        LIMIT = 16,             /* right, but over a limit */
        NOT_PHP = 32,
        JANSSON_TAKES = 64,
};

struct text {
        enum verdict verdict;
        unsigned flags;
        const char *what;
        char *bytes;
        size_t size;
};

static struct text *texts;
static size_t text_count, text_capacity;

static void add(enum verdict verdict, unsigned flags, const char *what, const void *bytes, size_t size)
{
        char *copy = malloc(size + 1);

        if (text_count == text_capacity) {
                text_capacity = text_capacity ? text_capacity * 2 : 1024;
                texts = realloc(texts, text_capacity * sizeof *texts);
        }
        if (size > 0)
                memcpy(copy, bytes, size);
        copy[size] = '\0';
        texts[text_count++] = (struct text){ verdict, flags, what, copy, size };
}

static void add_text(enum verdict verdict, unsigned flags, const char *what, const char *text)
{
        add(verdict, flags, what, text, strlen(text));
}

/* Around a value there can stand … */
static const char *const places[][2] = {
        { "", "" },   { "[", "]" },     { "[0,", "]" },   { "[", ",0]" },  { "[[", "]]" },   { "{\"k\":", "}" },
        { " ", " " }, { "\t\n\r ", "" }, { "[ ", "\n]" }, { "{\"k\":0,\"l\":", "}" }, { "{\"k\":{\"l\":[", "]}}" },
};

enum { PLACES = sizeof places / sizeof *places };

static void add_everywhere(enum verdict verdict, unsigned flags, const char *what, const char *bytes, size_t size)
{
        char whole[256];

        for (int i = 0; i < PLACES; i++) {
                char *at = stpcpy(whole, places[i][0]);

                memcpy(at, bytes, size);
                at += size;
                at = stpcpy(at, places[i][1]);
                add(verdict, flags, what, whole, (size_t)(at - whole));
        }
}

/* Literals, numbers ------------------------------------------------------------------------------------ */

static void add_literals(void)
{
        static const char *const right[] = { "true", "false", "null" };
        static const char *const wrong[] = { "True", "TRUE", "tRue", "False", "FALSE", "Null", "NULL", "nil", "none",
                                             "undefined", "NaN", "nan", "Infinity", "-Infinity", "inf", "yes", "truee",
                                             "true0", "nullnull", "t", "f", "n", "'a'", "a", "#", "/", "//", "/**/0",
                                             "0/**/", "`a`", "true false", "+true", "-true", ".", "\\", "$" };

        for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
                add_everywhere(RIGHT, 0, "a literal", right[i], strlen(right[i]));
                for (size_t size = 1; size < strlen(right[i]); size++) {
                        char spoiled[8];

                        add(WRONG, ENDS_EARLY, "a literal cut", right[i], size);
                        /* Another letter in that place. */
                        strcpy(spoiled, right[i]);
                        spoiled[size] = (char)(spoiled[size] ^ 0x20);
                        add_everywhere(WRONG, 0, "a literal in capitals", spoiled, strlen(spoiled));
                }
        }
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                add_everywhere(WRONG, 0, "no literal", wrong[i], strlen(wrong[i]));
}

/* number = [ minus ] int [ frac ] [ exp ], from all right and wrong parts. */
static void add_numbers(void)
{
        static const struct {
                const char *text;
                enum verdict verdict;
        } signs[] = { { "", RIGHT }, { "-", RIGHT }, { "+", WRONG }, { "--", WRONG }, { "- ", WRONG } },
          integers[] = { { "0", RIGHT },  { "7", RIGHT },   { "10", RIGHT },  { "1234567890", RIGHT }, { "", WRONG },
                         { "00", WRONG }, { "012", WRONG }, { "0x1F", WRONG }, { "1_0", WRONG }, { "1 0", WRONG },
                         { "\xd9\xa1", WRONG } },
          fractions[] = { { "", RIGHT }, { ".0", RIGHT }, { ".250", RIGHT }, { ".", WRONG }, { ".5.5", WRONG },
                          { ". 5", WRONG }, { ".-5", WRONG } },
          exponents[] = { { "", RIGHT },   { "e2", RIGHT },  { "E2", RIGHT },   { "e+2", RIGHT },  { "E-2", RIGHT },
                          { "e00", RIGHT }, { "e", WRONG },  { "e+", WRONG },   { "E-", WRONG },   { "e2e2", WRONG },
                          { "e1.5", WRONG }, { "ee2", WRONG }, { "e+-2", WRONG }, { "e 2", WRONG }, { "p2", WRONG } };
        char text[64];

        for (size_t s = 0; s < sizeof signs / sizeof *signs; s++)
                for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
                        for (size_t f = 0; f < sizeof fractions / sizeof *fractions; f++)
                                for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
                                        int wrongs = (signs[s].verdict == WRONG) + (integers[i].verdict == WRONG) +
                                                     (fractions[f].verdict == WRONG) + (exponents[e].verdict == WRONG);
                                        bool is_zero = s == 1 && i == 0 && f == 0 && e == 0;

                                        /* No digit at all is no number, and an empty array. */
                                        if (wrongs > 1 || (s == 0 && i == 4 && f == 0 && e == 0))
                                                continue;
                                        snprintf(text, sizeof text, "[%s%s%s%s]", signs[s].text, integers[i].text,
                                                 fractions[f].text, exponents[e].text);
                                        add_text(wrongs ? WRONG : RIGHT, is_zero ? OTHER_PHP | OTHER_JANSSON : 0,
                                                 "a number of parts", text);
                                }
}

/* What the RFC leaves to the reader: how large, how exact. */
static void add_number_limits(void)
{
        static const struct {
                unsigned flags;
                const char *text;
        } limits[] = {
                { 0, "9223372036854775807" }, { 0, "-9223372036854775808" },
                /* Beyond 64 bits a double, as PHP has it. */
                { NOT_JANSSON, "9223372036854775808" }, { NOT_JANSSON, "-9223372036854775809" },
                { NOT_JANSSON, "18446744073709551615" }, { NOT_JANSSON, "18446744073709551616" },
                { NOT_JANSSON, "100000000000000000000000000000000000000000000000000" },
                /* Beyond the largest double, infinite, as PHP has it. */
                { NOT_JANSSON, "1e309" }, { NOT_JANSSON, "-1e309" }, { NOT_JANSSON, "1e99999999999999999999" },
                { NOT_JANSSON, "1.7976931348623159e308" }, { 0, "1.7976931348623157e308" },
                { 0, "1e-400" }, { 0, "-1e-400" }, { 0, "4.9e-324" }, { 0, "2.4703282292062327e-324" },
                { 0, "2.4703282292062328e-324" }, { 0, "2.2250738585072011e-308" }, { 0, "2.2250738585072014e-308" },
                { 0, "0.1000000000000000055511151231257827021181583404541015625" }, { 0, "9007199254740993.0" },
                { 0, "9007199254740992.9999999999" }, { 0, "1.0000000000000002" }, { 0, "-0.0" }, { 0, "-0e5" },
                { 0, "0.0000000000000000000000000000000000000000000000000000000000000000000000000000000000001" },
                { 0, "1e0000000000000000000000000000000000000000000000000001" },
                /* Minus zero stays so, where the others make it the integer 0. */
                { OTHER_PHP | OTHER_JANSSON, "-0" },
        };

        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
                add_everywhere(RIGHT, limits[i].flags, "a number at a limit", limits[i].text, strlen(limits[i].text));
}

/* Strings ---------------------------------------------------------------------------------------------- */

static void add_quoted(enum verdict verdict, unsigned flags, const char *what, const char *bytes, size_t size)
{
        char text[64];

        text[0] = '[';
        text[1] = '"';
        memcpy(text + 2, bytes, size);
        memcpy(text + 2 + size, "\"]", 2);
        add(verdict, flags, what, text, size + 4);
        /* And as the name of a member, where jansson has no zeros. */
        text[0] = '{';
        memcpy(text + 3 + size, ":0}", 3);
        if (verdict == RIGHT && size == 6 && memcmp(bytes, "\\u0000", 6) == 0)
                flags |= NOT_JANSSON;
        add(verdict, flags, what, text, size + 6);
}

static void add_escapes(void)
{
        static const char bad_digits[] = "gGxX/:@`-+ \"\\\x80";
        static const char *const halves[] = { "\\ud800", "\\uDBFF", "\\udc00", "\\uDFFF", "\\ue000", "\\ud7ff", "\\n",
                                              "a", "\\", "\\u", "", "\xf0\x9f\x8e\x89" };
        enum { HALVES = sizeof halves / sizeof *halves };
        char text[32];

        for (int c = 0; c < 256; c++) {
                bool is_right = c > 0 && strchr("\"\\/bfnrt", c);
                char escape[2] = { '\\', (char)c };

                /* A quote behind the escape of a quote is missing then: no part of the grammar is left out. */
                add_quoted(is_right ? RIGHT : WRONG, 0, "an escape", escape, 2);
        }
        for (unsigned c = 0; c < 0x10000; c += c < 0x100 || c > 0xff00 || (c > 0xd700 && c < 0xe100) ? 17 : 0x333) {
                snprintf(text, sizeof text, c % 2 ? "\\u%04x" : "\\u%04X", c);
                add_quoted(c >= 0xd800 && c < 0xe000 ? WRONG : RIGHT, 0, "an escaped character", text, 6);
        }
        for (int i = 0; i < 4; i++)
                for (size_t j = 0; j < sizeof bad_digits - 1; j++) {
                        strcpy(text, "\\u00e9");
                        text[2 + i] = bad_digits[j];
                        add_quoted(WRONG, 0, "no digit", text, 6);
                        add_quoted(WRONG, 0, "too few digits", text, (size_t)i + 2);
                }
        add_quoted(WRONG, 0, "a capital U", "\\U00e9", 6);
        for (int i = 0; i < HALVES; i++)
                for (int j = 0; j < HALVES; j++) {
                        bool is_pair = i < 2 && (j == 2 || j == 3), has_half = i < 4 || j < 4;
                        bool is_cut = i == 8 || i == 9 || j == 8 || j == 9;
                        int size = snprintf(text, sizeof text, "%s%s", halves[i], halves[j]);

                        /* A backslash makes one escape of itself and what follows: those have cases of their own. */
                        if (!is_cut)
                                add_quoted(has_half && !is_pair ? WRONG : RIGHT, 0, "surrogates", text, (size_t)size);
                }
}

static size_t put_point(char *text, unsigned point, int size)
{
        static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0, 0xf8, 0xfc };

        for (int i = size - 1; i > 0; i--, point >>= 6)
                text[i] = (char)(0x80 | (point & 0x3f));
        text[0] = (char)(size > 1 ? first[size] | point : point);
        return (size_t)size;
}

/* Characters at every limit of UTF-8, in every number of bytes that can hold them, cut and spoiled. */
static void add_utf8(void)
{
        static const unsigned points[] = { 0x20,   0x21,   0x7e,   0x7f,   0x80,   0x81,    0x7fe,   0x7ff,    0x800,
                                           0x801,  0xfff,  0x1000, 0xcfff, 0xd000, 0xd7ff,  0xd800,  0xdbff,   0xdc00,
                                           0xdfff, 0xe000, 0xfeff, 0xfffe, 0xffff, 0x10000, 0x3ffff, 0x40000,  0xfffff,
                                           0x100000, 0x10fffe, 0x10ffff, 0x110000, 0x13ffff, 0x140000, 0x1fffff };
        char text[8];

        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
                unsigned point = points[i];
                int least = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
                bool is_right = point < 0xd800 || (point > 0xdfff && point < 0x110000);

                for (int size = least; size <= 6; size++) {
                        put_point(text, point, size);
                        add_quoted(size == least && is_right ? RIGHT : WRONG, 0, "a character", text, (size_t)size);
                }
                put_point(text, point, least);
                for (int cut = 1; cut < least; cut++)
                        add_quoted(WRONG, 0, "a character cut", text, (size_t)cut);
                for (int at = 1; at < least; at++) {
                        put_point(text, point, least);
                        text[at] = (char)(text[at] ^ 0x40);
                        add_quoted(WRONG, 0, "a character spoiled", text, (size_t)least);
                        text[at] = 'a';
                        add_quoted(WRONG, 0, "a character spoiled", text, (size_t)least);
                }
        }
        for (int c = 0; c < 256; c++) {
                text[0] = (char)c;
                if (c != '"' && c != '\\')
                        add_quoted(c >= 0x20 && c < 0x80 ? RIGHT : WRONG, 0, "a byte", text, 1);
                text[1] = 'a';
                text[2] = (char)c;
                if (c >= 0x80)
                        add_quoted(WRONG, 0, "a byte twice", text, 3);
        }
}

/* Structure -------------------------------------------------------------------------------------------- */

static void add_blanks(void)
{
        static const char *const pieces[] = { "", "[", "1", ",", "{", "\"a\"", ":", "2", "}", "]" };
        enum { PIECES = sizeof pieces / sizeof *pieces };

        for (int c = 0; c < 256; c++)
                for (int place = 0; place < PIECES; place++) {
                        bool is_blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
                        char text[32], *at = text;

                        for (int i = 0; i < PIECES; i++) {
                                at = stpcpy(at, pieces[i]);
                                if (i == place)
                                        *at++ = (char)c;
                        }
                        /* What can be printed may belong to the token that it stands beside. jansson does not see a
                         * zero behind a number. */
                        if (is_blank || c < 0x21 || c > 0x7e)
                                add(is_blank ? RIGHT : WRONG, c == 0 && (place == 2 || place == 7) ? JANSSON_TAKES : 0,
                                    "blank or not", text, (size_t)(at - text));
                }
}

static const struct {
        enum verdict verdict;
        const char *text;
} structures[] = {
        { RIGHT, "[]" },        { RIGHT, "{}" },           { RIGHT, "[[]]" },        { RIGHT, "[{}]" },
        { RIGHT, "{\"\":{}}" }, { RIGHT, "[[],[]]" },      { RIGHT, "[{},{}]" },     { RIGHT, "{\"a\":1,\"b\":2}" },
        { RIGHT, "[[[[]]]]" },  { RIGHT, "{\"a\":[]}" },   { RIGHT, "{\"a\":[{}]}" },
        { RIGHT, "[1,\"a\",null,true,{}]" },
        { RIGHT, "{\"a\":1,\"a\":2}" },                    { RIGHT, "{\"a\":1,\"b\":2,\"a\":3}" },
        { RIGHT, "{\"a\":1,\"\\u0061\":2}" },              { RIGHT, "{\"0\":1,\"1\":2}" },
        { RIGHT, "{\"1\":1,\"01\":2,\"-1\":3}" },          { RIGHT, "{\"__class\":\"X\",\"a\":1}" },
        { RIGHT, "{\"a\":1,\"__class\":\"X\"}" },          { RIGHT, "{\"__class\":5,\"a\":1}" },
        { RIGHT, "{\"__class\":null}" },                   { RIGHT, "{\"__class\":{\"__class\":\"Y\"}}" },
        { RIGHT, "{\"__class\":\"X\",\"__class\":\"Y\"}" },   { RIGHT, "{\"__class\":1,\"__class\":\"Y\"}" },
        { RIGHT, "{\"__class\":\"X\",\"a\":1,\"__class\":2}" }, { RIGHT, "[{\"__class\":\"X\"},{\"__class\":\"Y\"}]" },
        { RIGHT, "{\"__class\":\"\"}" },                   { RIGHT, "{\"__class\":\"no class!\"}" },
        { WRONG, "[" },         { WRONG, "]" },            { WRONG, "{" },           { WRONG, "}" },
        { WRONG, "[}" },        { WRONG, "{]" },           { WRONG, "][" },          { WRONG, "}{" },
        { WRONG, "[]]" },       { WRONG, "{}}" },          { WRONG, "[[]" },         { WRONG, "{\"a\":{}" },
        { WRONG, "[1" },        { WRONG, "[1," },          { WRONG, "[1,]" },        { WRONG, "[,1]" },
        { WRONG, "[,]" },       { WRONG, "[1,,2]" },       { WRONG, "[1 2]" },       { WRONG, "[1:2]" },
        { WRONG, "[1;2]" },     { WRONG, "[\"a\":1]" },    { WRONG, "{\"a\"}" },     { WRONG, "{\"a\":}" },
        { WRONG, "{\"a\":1,}" }, { WRONG, "{,\"a\":1}" },  { WRONG, "{\"a\" 1}" },   { WRONG, "{\"a\"::1}" },
        { WRONG, "{\"a\",1}" }, { WRONG, "{\"a\":1:2}" },  { WRONG, "{a:1}" },       { WRONG, "{'a':1}" },
        { WRONG, "{1:1}" },     { WRONG, "{null:1}" },     { WRONG, "{true:1}" },    { WRONG, "{[]:1}" },
        { WRONG, "{{}:1}" },    { WRONG, "{:1}" },         { WRONG, "{:}" },         { WRONG, "{\"a\":1 \"b\":2}" },
        { WRONG, "{\"a\":1;\"b\":2}" },                    { WRONG, "{\"a\":1,,\"b\":2}" },
        { WRONG, "{\"a\":1,\"b\"}" }, { WRONG, "{\"a\":1,\"b\":}" }, { WRONG, "{\"a\"=1}" },
        { WRONG, "[1]2" },      { WRONG, "[1][2]" },       { WRONG, "{}{}" },        { WRONG, "1 2" },
        { WRONG, "[1],[2]" },   { WRONG, "[1]," },         { WRONG, ",[1]" },        { WRONG, "[1];" },
        { WRONG, "" },          { WRONG, " " },            { WRONG, "\n\t\r " },     { WRONG, "," },
        { WRONG, ":" },         { WRONG, "\"" },           { WRONG, "\"a" },         { WRONG, "a\"" },
        { WRONG, "\"a\"b\"" },  { WRONG, "\"a\"\"b\"" },   { WRONG, "['a']" },       { WRONG, "[\"a]" },
        { WRONG, "[a\"]" },     { WRONG, "[\"a" },         { WRONG, "[\"\\\"]" },    { WRONG, "[1]//" },
        { WRONG, "[1]/**/" },   { WRONG, "/**/[1]" },      { WRONG, "[1,/**/2]" },   { WRONG, "#\n[1]" },
        { WRONG, "(1)" },       { WRONG, "<a>" },          { WRONG, "[...]" },       { WRONG, "[*]" },
        { WRONG, "[1]\xc2\xa0" }, { WRONG, "\xe2\x80\xa8[1]" }, { WRONG, "[\xe2\x80\x83]" }, { WRONG, "[\v]" },
        { WRONG, "[\f]" },      { WRONG, "[\x7f]" },       { WRONG, "\xef\xbb\xbf[]" }, { WRONG, "\xef\xbb\xbf" },
        { WRONG, "[]\xef\xbb\xbf" }, { WRONG, "\xef\xbb[]" }, { WRONG, "[\"a\nb\"]" }, { WRONG, "[\"a\tb\"]" },
};

static void add_structures(void)
{
        for (size_t i = 0; i < sizeof structures / sizeof *structures; i++)
                add_text(structures[i].verdict, 0, "a structure", structures[i].text);
        add(WRONG, 0, "a zero behind it", "[]\0", 3);
        add(WRONG, 0, "a zero before it", "\0[]", 3);
        add(WRONG, 0, "a zero within it", "[\0]", 3);
        add(WRONG, 0, "UTF-16", "\xff\xfe[\0]\0", 6);
        add(WRONG, 0, "UTF-16", "\0[\0]", 4);
        add(WRONG, 0, "UTF-16", "[\0]\0", 4);
        add(WRONG, 0, "UTF-32", "[\0\0\0]\0\0\0", 8);
}

/* A text whose every proper prefix is incomplete; with something behind it, it is wrong. */
static const char *const wholes[] = {
        "[]", "{}", "\"\"", "\"a\\n\\u00e9\\ud83c\\udf89\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\x89\"", "true",
        "false", "null",
        "[0,-1,2.5,1e5,1E-5,[],{}]", "{\"a\":1,\"b\":[true,false,null],\"c\":{\"d\":\"e\"}}",
        " [ 1 , { \"a\" : [ ] , \"b\" : \"\" } , -0.0e+1 ]", "\t{\n\"__class\":\"A\\\\B\",\r\"x\":[[[[\"\"]]]]}",
};

static void add_cuts(void)
{
        for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
                size_t size = strlen(wholes[i]);
                char text[128];

                add_text(RIGHT, 0, "a whole one", wholes[i]);
                for (size_t cut = 0; cut < size; cut++)
                        add(WRONG, ENDS_EARLY, "cut", wholes[i], cut);
                for (const char *behind = ",:]}[{\"0-a\\\x80"; *behind; behind++) {
                        snprintf(text, sizeof text, "%s%c", wholes[i], *behind);
                        add(WRONG, 0, "something behind", text, size + 1);
                }
        }
}

static void add_depth(size_t levels, bool is_map, unsigned flags, enum verdict verdict)
{
        const char *open = is_map ? "{\"\":" : "[";
        size_t open_size = strlen(open), size = levels * (open_size + 1) + 1;
        char *text = malloc(size);

        for (size_t i = 0; i < levels; i++)
                memcpy(text + i * open_size, open, open_size);
        text[levels * open_size] = '0';
        memset(text + levels * open_size + 1, is_map ? '}' : ']', levels);
        add(verdict, flags, "depth", text, size);
        /* And never closed. */
        add(WRONG, verdict == RIGHT ? ENDS_EARLY : flags & LIMIT, "depth", text, levels * open_size);
        free(text);
}

static void make_texts(void)
{
        add_literals();
        add_numbers();
        add_number_limits();
        add_escapes();
        add_utf8();
        add_blanks();
        add_structures();
        add_cuts();
        for (int is_map = 0; is_map < 2; is_map++) {
                add_depth(511, is_map, 0, RIGHT);
                /* By default json_decode takes one level less. */
                add_depth(512, is_map, NOT_PHP, RIGHT);
                add_depth(513, is_map, LIMIT | JANSSON_TAKES, WRONG);
                add_depth(50000, is_map, LIMIT, WRONG);
        }
}

/* The opinions ----------------------------------------------------------------------------------------- */

static void check_ferry(const struct text *text, int error, const char *about)
{
        enum completion completion;
        char *whole;
        size_t size;

        SUITE_CHECK((error == 0) == (text->verdict == RIGHT), "%s: ferry says %d: %s", text->what, error, about);
        if (text->flags & LIMIT)
                SUITE_CHECK(error == -EMSGSIZE, "%s: ferry says %d: %s", text->what, error, about);
        else if (text->flags & ENDS_EARLY)
                SUITE_CHECK(error == -EAGAIN, "%s: ferry says %d: %s", text->what, error, about);
        else if (error)
                SUITE_CHECK(error == -EAGAIN || error == -EBADMSG, "%s: ferry says %d: %s", text->what, error, about);
        if (error != -EAGAIN)
                return;
        completion = complete(ferry_codec_json_objects(), text->bytes, text->size, &whole, &size);
        SUITE_CHECK(completion == COMPLETED, "%s: nothing completes %s", text->what, about);
        free(whole);
}

static void check_jansson(const struct text *text, const char *walked, size_t walked_size, const char *about)
{
        json_t *json = json_loadb(text->bytes, text->size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        bool is_expected = text->flags & JANSSON_TAKES || (text->verdict == RIGHT && !(text->flags & NOT_JANSSON));
        size_t size;
        char *other;

        SUITE_CHECK(!json == !is_expected, "%s: jansson says %s: %s", text->what, json ? "yes" : "no", about);
        if (json && walked) {
                other = walk_jansson(json, &size);
                if (!(text->flags & OTHER_JANSSON))
                        check_same("jansson", about, walked, walked_size, other, size);
                else
                        SUITE_CHECK(size != walked_size || memcmp(walked, other, size) != 0, "no difference: %s",
                                    about);
                free(other);
        }
        json_decref(json);
}

static void check_php(const struct text *text, const ferry_value *value, const struct answer *answer, const char *about)
{
        size_t size;
        char *walked;

        SUITE_CHECK(answer->is_taken == (text->verdict == RIGHT && !(text->flags & NOT_PHP)), "%s: PHP says %s: %s",
                      text->what, answer->is_taken ? "yes" : "no", about);
        if (!value || !answer->is_taken)
                return;
        walked = walk_value(value, answer->bytes[0] == 'A' ? WALK_JSON_ARRAYS : WALK_JSON, &size);
        if (!(text->flags & OTHER_PHP))
                check_same("PHP", about, walked, size, answer->bytes + 1, answer->size - 1);
        else
                SUITE_CHECK(size != answer->size - 1 || memcmp(walked, answer->bytes + 1, size) != 0,
                              "no difference: %s", about);
        free(walked);
}

/* The codec json takes the same texts, but for objects with names that no property has, which are maps to it; and makes no
 * objects of any. */
static void check_maps(const struct text *text, int error, int maps_error, const ferry_value *value, const char *about)
{
        void *bytes;
        size_t size;

        if (!text->size || !memmem(text->bytes, text->size, "\\u0000", 6))
                SUITE_CHECK(maps_error == error, "%s: json says %d, json-objects %d: %s", text->what, maps_error, error, about);
        if (!value)
                return;
        error = ferry_codec_encode(ferry_codec_json(), value, &bytes, &size);
        SUITE_CHECK(error == 0 || error == -EDOM, "%s: json has read what it does not write: %d: %s", text->what, error, about);
        free(bytes);
}

START_TEST(the_grammar)
{
        struct php php;
        bool has_php;
        int right = 0;

        make_texts();
        php_begin(&php);
        for (size_t i = 0; i < text_count; i++)
                php_ask(&php, 'j', texts[i].bytes, texts[i].size);
        has_php = php_run(&php, "cases-json: PHP's opinion", NULL);
        for (size_t i = 0; i < text_count; i++) {
                FERRY_AUTO(ferry_value) value = NULL;
                FERRY_AUTO(ferry_value) maps = NULL;
                const struct text *text = &texts[i];
                const char *about = show(text->bytes, text->size);
                struct answer answer;
                size_t size = 0;
                char *walked;
                int error;

                error = ferry_codec_decode(ferry_codec_json_objects(), text->bytes, text->size, &value, NULL);
                check_ferry(text, error, about);
                check_maps(text, error, ferry_codec_decode(ferry_codec_json(), text->bytes, text->size, &maps, NULL), maps, about);
                walked = value ? walk_value(value, WALK_JSON, &size) : NULL;
                check_jansson(text, walked, size, about);
                free(walked);
                if (has_php) {
                        php_next(&php, &answer);
                        check_php(text, value, &answer, about);
                }
                right += text->verdict == RIGHT;
        }
        if (has_php)
                php_end(&php);
        printf("json: %zu texts, %d of them right\n", text_count, right);
        fflush(stdout);
        ck_assert_uint_ge(text_count, 6800);
        for (size_t i = 0; i < text_count; i++)
                free(texts[i].bytes);
        free(texts);
}

static const struct suite_test tests[] = {
        SUITE_TEST(the_grammar),
};

SUITE_MAIN("cases-json", tests)
