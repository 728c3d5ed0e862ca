/* PHP's serialize, case by case: for every rule of the format what both take, what both refuse, and where ferry differs
 * and why. A difference that goes away fails its case as one that comes does. Values are compared by a walk over what
 * unserialize made, with allowed_classes = [] unless the case needs a class. */
#include "interop/php.h"
#include "interop/walk.h"
#include "support/suite.h"

#include <ferry/codec.h>

#include <errno.h>
#include <float.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum verdict {
        TAKEN,                  /* by both, as the same value */
        REFUSED,                /* by both */
        OTHER,                  /* taken by both, not as the same value */
        STRICTER,               /* refused by ferry (-EBADMSG) */
        LIMITED,                /* refused by ferry (-EMSGSIZE) */
        LAXER,                  /* taken by ferry */
};

struct one {
        enum verdict verdict;
        const char *bytes;
        size_t size;
        const char *why;
        bool has_classes;
};

#define CASE(verdict, bytes) { verdict, bytes, sizeof(bytes) - 1, NULL, false }
#define BECAUSE(verdict, bytes, why) { verdict, bytes, sizeof(bytes) - 1, why, false }
#define KNOWN(verdict, bytes, why) { verdict, bytes, sizeof(bytes) - 1, why, true }

static int decode(const char *bytes, size_t size, ferry_value **ret_value)
{
        return ferry_codec_decode(ferry_codec_php(), bytes, size, ret_value, NULL);
}

static void check(const struct one *one, const struct answer *answer)
{
        FERRY_AUTO(ferry_value) value = NULL;
        int error = decode(one->bytes, one->size, &value);
        const char *about = show(one->bytes, one->size);
        bool is_taken = one->verdict == TAKEN || one->verdict == OTHER || one->verdict == LAXER;
        char *text;
        size_t size;

        SUITE_CHECK(is_taken == !error && (one->verdict != LIMITED) == (error != -EMSGSIZE), "%s: ferry says %d (%s)",
                      about, error, one->why ? one->why : "");
        SUITE_CHECK(answer->is_taken == (one->verdict != REFUSED && one->verdict != LAXER), "%s: PHP says %s (%s)",
                      about, answer->is_taken ? show(answer->bytes, answer->size) : "no", one->why ? one->why : "");
        if (error || !answer->is_taken)
                return;
        text = walk_value(value, one->has_classes ? WALK_PHP : WALK_PHP_CLASSLESS, &size);
        if (one->verdict == TAKEN)
                check_same("a case", about, text, size, answer->bytes, answer->size);
        else
                SUITE_CHECK(size != answer->size || memcmp(text, answer->bytes, size) != 0, "%s: no difference (%s)",
                              about, one->why);
        free(text);
}

static void ask(struct php *php, const struct one *one)
{
        php_ask(php, one->has_classes ? 'V' : 'v', one->bytes, one->size);
}

/* Rules of the numbers that stand in the format for themselves: i, d, b. */
static const struct one scalars[] = {
        CASE(TAKEN, "N;"),
        CASE(REFUSED, "n;"),
        CASE(REFUSED, "N"),
        CASE(REFUSED, "N:;"),
        CASE(REFUSED, ""),
        CASE(REFUSED, ";"),
        CASE(REFUSED, "\0;"),
        CASE(REFUSED, " N;"),
        BECAUSE(STRICTER, "N; ", "bytes behind the value"),
        BECAUSE(STRICTER, "N;\n", "bytes behind the value"),
        BECAUSE(STRICTER, "N;N;", "bytes behind the value"),
        BECAUSE(STRICTER, "a:0:{}}", "bytes behind the value"),
        BECAUSE(STRICTER, "i:1;\0", "bytes behind the value"),
        CASE(TAKEN, "b:0;"),
        CASE(TAKEN, "b:1;"),
        CASE(REFUSED, "b:2;"),
        CASE(REFUSED, "b:00;"),
        CASE(REFUSED, "b:;"),
        CASE(REFUSED, "b:-1;"),
        CASE(REFUSED, "b:true;"),
        CASE(REFUSED, "B:1;"),
        CASE(TAKEN, "i:0;"),
        CASE(TAKEN, "i:-1;"),
        CASE(TAKEN, "i:9223372036854775807;"),
        CASE(TAKEN, "i:-9223372036854775808;"),
        BECAUSE(STRICTER, "i:9223372036854775808;", "an integer beyond 64 bits, which PHP clamps"),
        BECAUSE(STRICTER, "i:-9223372036854775809;", "an integer beyond 64 bits, which PHP clamps"),
        BECAUSE(STRICTER, "i:99999999999999999999999999999999;", "an integer beyond 64 bits"),
        BECAUSE(STRICTER, "i:+5;", "a sign +"),
        BECAUSE(STRICTER, "i:007;", "leading zeros"),
        BECAUSE(STRICTER, "i:-0;", "leading zeros: it is no integer that PHP writes"),
        BECAUSE(STRICTER, "i:-01;", "leading zeros"),
        CASE(REFUSED, "i:;"),
        CASE(REFUSED, "i:-;"),
        CASE(REFUSED, "i:--1;"),
        CASE(REFUSED, "i:+-1;"),
        CASE(REFUSED, "i: 1;"),
        CASE(REFUSED, "i:1 ;"),
        CASE(REFUSED, "i:1"),
        CASE(REFUSED, "i:1:"),
        CASE(REFUSED, "i:0x1f;"),
        CASE(REFUSED, "i:1e3;"),
        CASE(REFUSED, "i:1.0;"),
        CASE(REFUSED, "i1;"),
        CASE(REFUSED, "I:1;"),
};

static const struct one strings[] = {
        CASE(TAKEN, "s:0:\"\";"),
        CASE(TAKEN, "s:1:\"\"\";"),
        CASE(TAKEN, "s:3:\"\0\xff;\";"),
        CASE(TAKEN, "s:4:\"\";s:\";"),
        CASE(REFUSED, "s:1:\"\";"),
        CASE(REFUSED, "s:2:\"a\";"),
        CASE(REFUSED, "s:0:\"a\";"),
        CASE(REFUSED, "s:1:\"a\""),
        CASE(REFUSED, "s:1:\"a;"),
        CASE(REFUSED, "s:1:a;"),
        CASE(REFUSED, "s:1:'a';"),
        CASE(REFUSED, "s::\"\";"),
        CASE(REFUSED, "s:-1:\"\";"),
        CASE(REFUSED, "s:+1:\"a\";"),
        CASE(REFUSED, "s:1 :\"a\";"),
        CASE(REFUSED, "s:0x1:\"a\";"),
        CASE(REFUSED, "s:4294967295:\"a\";"),
        CASE(REFUSED, "s:4294967297:\"a\";"),
        CASE(REFUSED, "s:18446744073709551615:\"a\";"),
        BECAUSE(STRICTER, "s:18446744073709551617:\"a\";", "a length beyond 64 bits, which PHP wraps to 1"),
        BECAUSE(STRICTER, "s:001:\"a\";", "leading zeros"),
        BECAUSE(STRICTER, "s:00:\"\";", "leading zeros"),
        BECAUSE(STRICTER, "S:1:\"a\";", "S:, a string with escapes, which PHP never writes"),
        BECAUSE(STRICTER, "S:1:\"\\61\";", "S:"),
        CASE(REFUSED, "S:1:\"\\6\";"),
        CASE(REFUSED, "U:1:\"a\";"),
};

static const struct one arrays[] = {
        CASE(TAKEN, "a:0:{}"),
        CASE(TAKEN, "a:2:{i:0;N;i:1;N;}"),
        CASE(TAKEN, "a:2:{i:1;N;i:0;N;}"),
        CASE(TAKEN, "a:1:{i:-1;N;}"),
        CASE(TAKEN, "a:2:{i:9223372036854775807;N;i:-9223372036854775808;N;}"),
        CASE(TAKEN, "a:1:{s:0:\"\";N;}"),
        CASE(TAKEN, "a:1:{s:3:\"\0a\0\";N;}"),
        /* Keys that are decimal as PHP writes decimals are integers; all else is text. */
        CASE(TAKEN, "a:1:{s:1:\"5\";N;}"),
        CASE(TAKEN, "a:1:{s:2:\"-5\";N;}"),
        CASE(TAKEN, "a:1:{s:1:\"0\";N;}"),
        CASE(TAKEN, "a:1:{s:2:\"-0\";N;}"),
        CASE(TAKEN, "a:1:{s:2:\"05\";N;}"),
        CASE(TAKEN, "a:1:{s:2:\"+5\";N;}"),
        CASE(TAKEN, "a:1:{s:2:\" 5\";N;}"),
        CASE(TAKEN, "a:1:{s:2:\"5 \";N;}"),
        CASE(TAKEN, "a:1:{s:3:\"5.0\";N;}"),
        CASE(TAKEN, "a:1:{s:1:\"-\";N;}"),
        CASE(TAKEN, "a:1:{s:2:\"5\0\";N;}"),
        CASE(TAKEN, "a:1:{s:19:\"9223372036854775807\";N;}"),
        CASE(TAKEN, "a:1:{s:19:\"9223372036854775808\";N;}"),
        CASE(TAKEN, "a:1:{s:20:\"-9223372036854775807\";N;}"),
        CASE(TAKEN, "a:1:{s:20:\"-9223372036854775809\";N;}"),
        CASE(TAKEN, "a:1:{s:20:\"18446744073709551616\";N;}"),
        CASE(TAKEN, "a:1:{s:20:\"-9223372036854775808\";N;}"),
        /* Of two that are equal the later one counts, in the place of the first. */
        CASE(TAKEN, "a:3:{s:1:\"a\";i:1;s:1:\"b\";i:2;s:1:\"a\";i:3;}"),
        CASE(TAKEN, "a:3:{i:5;i:1;s:1:\"b\";i:2;s:1:\"5\";i:3;}"),
        CASE(TAKEN, "a:3:{i:0;i:1;i:1;i:2;i:0;i:3;}"),
        CASE(TAKEN, "a:12:{i:0;i:1;i:1;i:1;i:2;i:1;i:3;i:1;i:4;i:1;i:5;i:1;i:6;i:1;i:7;i:1;i:8;i:1;i:9;i:1;i:2;i:7;"
                       "i:9;i:8;}"),
        CASE(REFUSED, "a:1:{i:0;N;"),
        CASE(REFUSED, "a:1:{i:0;}"),
        CASE(REFUSED, "a:1:{}"),
        CASE(REFUSED, "a:2:{i:0;N;}"),
        CASE(REFUSED, "a:0:{i:0;N;}"),
        CASE(REFUSED, "a:1:{i:0;N;i:1;N;}"),
        CASE(REFUSED, "a:-1:{}"),
        CASE(REFUSED, "a:+0:{}"),
        BECAUSE(STRICTER, "a:01:{i:0;N;}", "leading zeros"),
        BECAUSE(STRICTER, "a:1:{i:00;N;}", "leading zeros, in a key"),
        BECAUSE(STRICTER, "a:1:{S:1:\"a\";N;}", "S:, as a key"),
        CASE(REFUSED, "a::{}"),
        CASE(REFUSED, "a:0:[]"),
        CASE(REFUSED, "a:0{}"),
        CASE(REFUSED, "a:0:{"),
        CASE(REFUSED, "a:0:{ }"),
        CASE(REFUSED, "a:1:{N;N;}"),
        CASE(REFUSED, "a:1:{b:1;N;}"),
        CASE(REFUSED, "a:1:{d:1;N;}"),
        CASE(REFUSED, "a:1:{a:0:{}N;}"),
        CASE(REFUSED, "a:2:{i:0;N;R:2;N;}"),
        CASE(REFUSED, "a:1000000000:{}"),
        CASE(REFUSED, "a:4294967296:{}"),
        CASE(REFUSED, "A:0:{}"),
};

static const struct one objects[] = {
        CASE(TAKEN, "O:1:\"X\":0:{}"),
        CASE(TAKEN, "O:8:\"stdClass\":1:{s:1:\"a\";i:1;}"),
        CASE(TAKEN, "O:8:\"STDCLASS\":0:{}"),
        CASE(TAKEN, "O:4:\"Base\":1:{s:4:\"open\";i:1;}"),
        CASE(TAKEN, "O:5:\"A\\B\\C\":0:{}"),
        CASE(TAKEN, "O:2:\"\xc3\xa9\":0:{}"),
        CASE(TAKEN, "O:1:\"5\":0:{}"),
        CASE(TAKEN, "O:1:\"\x80\":0:{}"),
        CASE(TAKEN, "O:2:\"a\\\":0:{}"),
        CASE(REFUSED, "O:1:\"\x7f\":0:{}"),
        CASE(REFUSED, "O:1:\"\\\":0:{}"),
        CASE(REFUSED, "O:2:\"\\a\":0:{}"),
        CASE(TAKEN, "O:1:\"X\":1:{s:4:\"\0*\0a\";i:1;}"),
        CASE(TAKEN, "O:1:\"X\":1:{s:4:\"\0Y\0a\";i:1;}"),
        CASE(TAKEN, "O:1:\"X\":1:{s:0:\"\";i:1;}"),
        CASE(TAKEN, "O:1:\"X\":1:{s:2:\"05\";i:1;}"),
        CASE(TAKEN, "O:1:\"X\":1:{s:3:\"a\0b\";i:1;}"),
        CASE(TAKEN, "O:1:\"X\":2:{s:1:\"a\";i:1;s:1:\"a\";i:2;}"),
        CASE(TAKEN, "O:1:\"X\":3:{s:1:\"a\";i:1;s:4:\"\0*\0a\";i:2;s:4:\"\0X\0a\";i:3;}"),
        CASE(TAKEN, "O:1:\"X\":1:{i:5;i:1;}"),
        CASE(TAKEN, "O:1:\"X\":1:{i:-5;i:1;}"),
        CASE(TAKEN, "O:1:\"X\":1:{s:1:\"5\";i:1;}"),
        BECAUSE(OTHER, "O:1:\"X\":2:{i:5;i:1;s:1:\"5\";i:2;}", "a property 5 and a property \"5\" are two"),
        BECAUSE(OTHER, "O:1:\"X\":1:{s:27:\"__PHP_Incomplete_Class_Name\";s:1:\"Y\";}",
                "PHP keeps the class of what it does not know in that property"),
        BECAUSE(STRICTER, "O:1:\"X\":1:{s:2:\"\0a\";i:1;}", "a name that is mangled wrongly"),
        BECAUSE(STRICTER, "O:1:\"X\":1:{s:1:\"\0\";i:1;}", "a name that is mangled wrongly"),
        BECAUSE(STRICTER, "O:1:\"X\":1:{s:3:\"\0\0a\";i:1;}", "a name that is mangled wrongly"),
        CASE(TAKEN, "O:1:\"X\":1:{s:3:\"\0*\0\";i:1;}"),
        CASE(REFUSED, "O:1:\"X\":-1:{}"),
        CASE(REFUSED, "O:-1:\"X\":0:{}"),
        CASE(REFUSED, "O:+1:\"X\":0:{}"),
        BECAUSE(STRICTER, "O:01:\"X\":0:{}", "leading zeros"),
        BECAUSE(STRICTER, "O:1:\"X\":00:{}", "leading zeros"),
        BECAUSE(STRICTER, "O:1:\"X\":+0:{}", "a sign +"),
        CASE(REFUSED, "O:0:\"\":0:{}"),
        CASE(REFUSED, "O:2:\"X\":0:{}"),
        CASE(REFUSED, "O:1:\"XY\":0:{}"),
        CASE(REFUSED, "O:3:\"X Y\":0:{}"),
        CASE(REFUSED, "O:3:\"X:Y\":0:{}"),
        CASE(REFUSED, "O:3:\"X-Y\":0:{}"),
        CASE(REFUSED, "O:2:\"X\0\":0:{}"),
        CASE(REFUSED, "O:1:\"X\""),
        CASE(REFUSED, "O:1:\"X\":1:{}"),
        CASE(REFUSED, "O:1:\"X\":1:{N;N;}"),
        CASE(REFUSED, "O:1:\"X\":1:{d:1;N;}"),
        BECAUSE(STRICTER, "O:1:\"X\":0:{};", "bytes behind the value"),
        CASE(REFUSED, "o:0:{}"),
        CASE(REFUSED, "o:1:\"X\":0:{}"),
        CASE(REFUSED, "O:1:X:0:{}"),
        /* C: with a class that is not there, or not allowed, is an empty object to PHP. */
        CASE(TAKEN, "C:3:\"Old\":2:{ab}"),
        CASE(TAKEN, "C:1:\"X\":2:{ab}"),
        CASE(REFUSED, "C:3:\"Old\":3:{ab}"),
        CASE(REFUSED, "C:3:\"Old\":1:{ab}"),
        CASE(REFUSED, "C:3:\"Old\":2:{ab"),
        CASE(REFUSED, "C:3:\"Old\":-1:{}"),
        CASE(REFUSED, "C:0:\"\":0:{}"),
        BECAUSE(STRICTER, "C:3:\"Old\":02:{ab}", "leading zeros"),
        /* And with the class. */
        KNOWN(TAKEN, "C:3:\"Old\":2:{ab}", NULL),
        KNOWN(TAKEN, "C:3:\"Old\":0:{}", NULL),
        KNOWN(TAKEN, "C:3:\"Old\":5:{}\"\0;}}", NULL),
        KNOWN(TAKEN, "a:2:{i:0;C:3:\"Old\":4:{i:1;}i:1;r:2;}", NULL),
        KNOWN(TAKEN, "a:3:{i:0;C:3:\"Old\":4:{i:1;}i:1;i:7;i:2;R:3;}", NULL),
        KNOWN(REFUSED, "C:3:\"Old\":6:{ab}", NULL),
        KNOWN(OTHER, "C:3:\"OLD\":2:{ab}", "PHP looks the class up, whatever its case"),
        KNOWN(OTHER, "C:1:\"X\":2:{ab}", "without its class the bytes are lost to PHP"),
        /* Cases of enums: only those that there are, for PHP. */
        KNOWN(TAKEN, "E:11:\"Suit:Hearts\";", NULL),
        KNOWN(TAKEN, "E:10:\"Level:High\";", NULL),
        KNOWN(TAKEN, "a:2:{i:0;E:11:\"Suit:Hearts\";i:1;r:2;}", NULL),
        CASE(TAKEN, "E:11:\"Suit:Hearts\";"),
        KNOWN(OTHER, "E:11:\"SUIT:Hearts\";", "PHP looks the class up, whatever its case"),
        KNOWN(LAXER, "E:11:\"Suit:hearts\";", "PHP has no such case"),
        KNOWN(LAXER, "E:6:\"No:Abc\";", "PHP has no such enum"),
        KNOWN(LAXER, "E:8:\"Base:Abc\";", "to PHP that is no enum"),
        KNOWN(REFUSED, "E:11:\"SuitHearts!\";", NULL),
        KNOWN(REFUSED, "E:5:\"Suit:\";", NULL),
        KNOWN(REFUSED, "E:7:\":Hearts\";", NULL),
        KNOWN(REFUSED, "E:10:\"Suit:Hearts\";", NULL),
        KNOWN(REFUSED, "E:12:\"Suit:Hearts\";", NULL),
        KNOWN(REFUSED, "E:11:\"Suit:Hearts\"", NULL),
        KNOWN(REFUSED, "E:12:\"Suit::Hearts\";", NULL),
        KNOWN(REFUSED, "E:0:\"\";", NULL),
        KNOWN(STRICTER, "E:011:\"Suit:Hearts\";", "leading zeros"),
        CASE(TAKEN, "O:4:\"Suit\":0:{}"),
};

/* Values count from 1, keys do not; r: is a value itself, R: is not. */
static const struct one references[] = {
        CASE(TAKEN, "a:2:{i:0;i:7;i:1;R:2;}"),
        CASE(TAKEN, "a:3:{i:0;i:7;i:1;R:2;i:2;R:2;}"),
        CASE(TAKEN, "a:3:{i:0;s:1:\"a\";i:1;d:0.5;i:2;R:3;}"),
        CASE(TAKEN, "a:2:{i:0;a:1:{i:0;i:5;}i:1;R:2;}"),
        CASE(TAKEN, "a:2:{i:0;a:1:{i:0;i:5;}i:1;R:3;}"),
        CASE(TAKEN, "a:2:{i:0;O:1:\"X\":0:{}i:1;r:2;}"),
        CASE(TAKEN, "a:2:{i:0;O:1:\"X\":1:{s:1:\"a\";i:5;}i:1;R:2;}"),
        CASE(TAKEN, "a:2:{i:0;O:1:\"X\":1:{s:1:\"a\";i:5;}i:1;R:3;}"),
        CASE(TAKEN, "a:3:{i:0;O:1:\"X\":0:{}i:1;r:2;i:2;r:3;}"),
        CASE(TAKEN, "a:4:{i:0;O:1:\"X\":0:{}i:1;r:2;i:2;i:9;i:3;R:4;}"),
        CASE(TAKEN, "a:4:{i:0;O:1:\"X\":0:{}i:1;R:2;i:2;i:9;i:3;R:3;}"),
        CASE(TAKEN, "O:1:\"X\":2:{s:1:\"a\";O:1:\"Y\":0:{}s:1:\"b\";r:2;}"),
        CASE(TAKEN, "a:2:{s:1:\"a\";i:1;s:1:\"b\";R:2;}"),
        CASE(TAKEN, "a:3:{s:1:\"a\";i:1;s:1:\"a\";i:2;s:1:\"b\";R:3;}"),
        /* What was replaced is still what its number names; to PHP that is what replaced it. */
        BECAUSE(OTHER, "a:3:{s:1:\"a\";i:1;s:1:\"a\";i:2;s:1:\"b\";R:2;}", "a value that was replaced"),
        BECAUSE(OTHER, "O:1:\"X\":3:{s:1:\"a\";i:1;s:1:\"a\";i:2;s:1:\"b\";R:2;}", "a value that was replaced"),
        BECAUSE(LAXER, "a:3:{s:1:\"a\";O:1:\"X\":0:{}s:1:\"a\";i:2;s:1:\"b\";r:2;}", "an object that was replaced"),
        CASE(TAKEN, "O:1:\"X\":3:{s:1:\"a\";i:1;s:1:\"a\";i:2;s:1:\"b\";R:3;}"),
        CASE(REFUSED, "r:1;"),
        CASE(REFUSED, "R:1;"),
        CASE(REFUSED, "R:0;"),
        CASE(REFUSED, "a:1:{i:0;R:0;}"),
        CASE(REFUSED, "a:1:{i:0;r:0;}"),
        CASE(REFUSED, "a:1:{i:0;R:-1;}"),
        CASE(REFUSED, "a:1:{i:0;R:2;}"),
        CASE(REFUSED, "a:2:{i:0;R:3;i:1;i:5;}"),
        CASE(REFUSED, "a:1:{i:0;R:99;}"),
        CASE(REFUSED, "a:2:{i:0;i:7;i:1;r:2;}"),
        CASE(REFUSED, "a:2:{i:0;s:1:\"a\";i:1;r:2;}"),
        CASE(REFUSED, "a:2:{i:0;a:0:{}i:1;r:2;}"),
        CASE(REFUSED, "a:2:{i:0;N;i:1;R:2"),
        CASE(REFUSED, "a:2:{i:0;N;i:1;R:;}"),
        BECAUSE(STRICTER, "a:2:{i:0;N;i:1;R:18446744073709551618;}", "a number beyond 64 bits, which PHP wraps to 2"),
        BECAUSE(STRICTER, "a:2:{i:0;i:7;i:1;R:02;}", "leading zeros"),
        CASE(REFUSED, "a:2:{i:0;i:7;i:1;R:+2;}"),
        BECAUSE(STRICTER, "a:1:{i:0;R:1;}", "a cycle"),
        BECAUSE(STRICTER, "O:1:\"X\":1:{s:1:\"a\";r:1;}", "a cycle"),
        BECAUSE(STRICTER, "O:1:\"X\":1:{s:1:\"a\";R:1;}", "a cycle"),
        BECAUSE(STRICTER, "a:1:{i:0;a:1:{i:0;R:2;}}", "a cycle"),
        BECAUSE(STRICTER, "a:1:{i:0;O:1:\"X\":1:{s:1:\"a\";a:1:{i:0;r:2;}}}", "a cycle"),
};

static const struct {
        const char *name;
        const struct one *cases;
        size_t count;
} groups[] = {
        { "scalars", scalars, sizeof scalars / sizeof *scalars },
        { "strings", strings, sizeof strings / sizeof *strings },
        { "arrays", arrays, sizeof arrays / sizeof *arrays },
        { "objects", objects, sizeof objects / sizeof *objects },
        { "references", references, sizeof references / sizeof *references },
};

enum { GROUPS = sizeof groups / sizeof *groups };

START_TEST(cases_hold)
{
        struct answer answer;
        struct php php;
        size_t count = 0;

        php_begin(&php);
        for (int i = 0; i < GROUPS; i++)
                for (size_t j = 0; j < groups[i].count; j++)
                        ask(&php, &groups[i].cases[j]);
        if (!php_run(&php, "cases-php: cases", NULL))
                return;
        for (int i = 0; i < GROUPS; i++) {
                count += groups[i].count;
                for (size_t j = 0; j < groups[i].count; j++) {
                        php_next(&php, &answer);
                        check(&groups[i].cases[j], &answer);
                }
        }
        php_end(&php);
        ck_assert_uint_ge(count, 240);
}

/* Doubles ---------------------------------------------------------------------------------------------- */

static const struct {
        enum verdict verdict;
        const char *text;
} doubles[] = {
        { TAKEN, "0" }, { TAKEN, "-0" }, { TAKEN, "0.0" }, { TAKEN, "-0.0" }, { TAKEN, "1" }, { TAKEN, "-1" },
        { TAKEN, "0.1" }, { TAKEN, "1.0E+25" }, { TAKEN, "1.0E-5" }, { TAKEN, "1e5" }, { TAKEN, "1E5" },
        { TAKEN, "1e+5" }, { TAKEN, "1e-5" }, { TAKEN, "1.5e0" }, { TAKEN, "1e05" }, { TAKEN, "007" },
        { TAKEN, "00.5" }, { TAKEN, "INF" }, { TAKEN, "-INF" }, { TAKEN, "NAN" }, { TAKEN, "0.30000000000000004" },
        { TAKEN, "0.1000000000000000055511151231257827" }, { TAKEN, "1.7976931348623157E+308" },
        { TAKEN, "1.7976931348623158E+308" }, { TAKEN, "1.797693134862315907E+308" }, { TAKEN, "1e309" },
        { TAKEN, "-1e309" }, { TAKEN, "1e99999999999999999999" }, { TAKEN, "1e-99999999999999999999" },
        { TAKEN, "1e22" }, { TAKEN, "1e23" }, { TAKEN, "3e23" }, { TAKEN, "7e24" },
        { TAKEN, "1e-22" }, { TAKEN, "1e-23" },
        { TAKEN, "9e-23" }, { TAKEN, "9007199254740991e22" }, { TAKEN, "9007199254740993e22" },
        { TAKEN, "2.2250738585072014E-308" }, { TAKEN, "2.2250738585072011e-308" },
        { TAKEN, "4.9406564584124654E-324" }, { TAKEN, "2.4703282292062327e-324" },
        { TAKEN, "2.4703282292062328e-324" }, { TAKEN, "-4.9E-324" }, { TAKEN, "9007199254740992" },
        { TAKEN, "9007199254740993" }, { TAKEN, "9007199254740993.0000000000000000000001" },
        { TAKEN, "9223372036854775807" }, { TAKEN, "9223372036854775808" }, { TAKEN, "99999999999999999999" },
        { TAKEN, "123456789012345678901234567890123456789012345678901234567890" },
        { STRICTER, "+1" }, { STRICTER, "+1.5" }, { STRICTER, "+1e5" }, { STRICTER, ".5" }, { STRICTER, "-.5" },
        { STRICTER, "5." }, { STRICTER, "-5." }, { STRICTER, "5.e3" }, { STRICTER, ".5e3" }, { STRICTER, "+.5" },
        { REFUSED, "" }, { REFUSED, "." }, { REFUSED, "-" }, { REFUSED, "+" }, { REFUSED, "-." }, { REFUSED, "e5" },
        { REFUSED, "1e" }, { REFUSED, "1e+" }, { REFUSED, "1e5.5" }, { REFUSED, "1.2.3" }, { REFUSED, "--1" },
        { REFUSED, "1,5" }, { REFUSED, " 1" }, { REFUSED, "1 " }, { REFUSED, "0x1p3" }, { REFUSED, "0x10" },
        { REFUSED, "inf" }, { REFUSED, "nan" }, { REFUSED, "+INF" }, { REFUSED, "-NAN" }, { REFUSED, "INFINITY" },
        { REFUSED, "Inf" }, { REFUSED, "INFx" }, { REFUSED, "NAN(1)" }, { REFUSED, "1f" }, { REFUSED, "1_0" },
        { REFUSED, "1d5" },
};

START_TEST(doubles_as_they_are_spelled)
{
        enum { COUNT = sizeof doubles / sizeof *doubles };
        char texts[COUNT][96];
        struct answer answer;
        struct php php;

        php_begin(&php);
        for (int i = 0; i < COUNT; i++) {
                snprintf(texts[i], sizeof texts[i], "d:%s;", doubles[i].text);
                php_ask(&php, 'v', texts[i], strlen(texts[i]));
        }
        if (!php_run(&php, "cases-php: doubles", NULL))
                return;
        for (int i = 0; i < COUNT; i++) {
                struct one one = { doubles[i].verdict, texts[i], strlen(texts[i]), "", false };

                php_next(&php, &answer);
                check(&one, &answer);
        }
        php_end(&php);
}

/* A double between 0 and the largest, its bits at random, and around powers of two and ten. */
static double some_double(uint64_t i)
{
        uint64_t bits = (i + 1) * 11400714819323198485u % ((uint64_t)2047 << 52);
        char text[32];
        double number;

        if (i % 3 == 2) {
                snprintf(text, sizeof text, "1e%d", (int)(i / 3 % 632) - 323);
                number = strtod(text, NULL);
                memcpy(&bits, &number, sizeof bits);
                bits += i / 1896 % 3 - 1;
        } else if (i % 3 == 1)
                bits = ((uint64_t)(i / 3 % 2046) << 52) + i / 6138 % 3 + (i / 3 % 2046 == 0 ? 1 : (uint64_t)-1);
        memcpy(&number, &bits, sizeof number);
        return number;
}

static void spell(uint64_t i, char text[400])
{
        double number = some_double(i / 4);

        if (i % 2 == 0)
                sprintf(text, "d:%.*g;", i % 4 ? 17 : 20, number);
        else
                sprintf(text, "d:%.*e;", i % 4 == 1 ? 16 : 15, number);
}

/* 17 digits are every double, 16 nearly: both round alike. */
START_TEST(doubles_with_many_digits)
{
        size_t count = suite_scale(80000);
        struct answer answer;
        struct php php;
        char text[400];

        php_begin(&php);
        for (size_t i = 0; i < count; i++) {
                spell(i, text);
                php_ask(&php, 'v', text, strlen(text));
        }
        if (!php_run(&php, "cases-php: digits", NULL))
                return;
        for (size_t i = 0; i < count; i++) {
                struct one one = { TAKEN, text, 0, "", false };

                spell(i, text);
                one.size = strlen(text);
                php_next(&php, &answer);
                check(&one, &answer);
        }
        php_end(&php);
}

/* Limits ----------------------------------------------------------------------------------------------- */

static void nest(struct one *ret, char *bytes, size_t levels, const char *open, const char *inside)
{
        char *at = bytes;

        for (size_t i = 0; i < levels; i++)
                at = stpcpy(at, open);
        at = stpcpy(at, inside);
        memset(at, '}', levels);
        ret->bytes = bytes;
        ret->size = (size_t)(at - bytes) + levels;
}

/* Values that are named so often that they would fill @size bytes or so. */
static void repeat(struct one *ret, char *bytes, int count)
{
        char *at = bytes + sprintf(bytes, "a:%d:{i:0;O:1:\"X\":1:{s:1:\"a\";s:999:\"%0999d\";}", count + 1, 0);

        for (int i = 1; i <= count; i++)
                at += sprintf(at, "i:%d;r:2;", i);
        *at++ = '}';
        ret->bytes = bytes;
        ret->size = (size_t)(at - bytes);
}

START_TEST(limits)
{
        static const struct {
                enum verdict verdict;
                size_t levels;
                const char *open, *inside;
        } nested[] = {
                { TAKEN, 511, "a:1:{i:0;", "N;" },              { TAKEN, 512, "a:1:{i:0;", "N;" },
                { LIMITED, 513, "a:1:{i:0;", "N;" },            { TAKEN, 511, "a:1:{i:0;", "a:0:{}" },
                { LIMITED, 512, "a:1:{i:0;", "a:0:{}" },        { LIMITED, 512, "a:1:{i:0;", "O:1:\"X\":0:{}" },
                { TAKEN, 512, "O:1:\"X\":1:{s:1:\"a\";", "N;" }, { LIMITED, 513, "O:1:\"X\":1:{s:1:\"a\";", "N;" },
                { TAKEN, 512, "a:1:{i:0;", "C:1:\"X\":0:{}" },
        };
        enum { NESTED = sizeof nested / sizeof *nested, COUNT = NESTED + 3 };
        struct one cases[COUNT] = { 0 };
        struct answer answer;
        struct php php;

        php_begin(&php);
        for (int i = 0; i < COUNT; i++) {
                char *bytes = malloc(32768);

                if (i < NESTED) {
                        nest(&cases[i], bytes, nested[i].levels, nested[i].open, nested[i].inside);
                        cases[i].verdict = nested[i].verdict;
                } else
                        repeat(&cases[i], bytes, (int[]){ 100, 500, 2000 }[i - NESTED]);
                ask(&php, &cases[i]);
        }
        /* Each stands for a kilobyte and adds ten bytes; the limit is 32 times the input and 64 KiB. */
        cases[NESTED + 1].verdict = cases[NESTED + 2].verdict = LIMITED;
        if (php_run(&php, "cases-php: limits", NULL)) {
                for (int i = 0; i < COUNT; i++) {
                        php_next(&php, &answer);
                        check(&cases[i], &answer);
                }
                php_end(&php);
        }
        for (int i = 0; i < COUNT; i++)
                free((char *)cases[i].bytes);
}

static const struct suite_test tests[] = {
        SUITE_TEST(cases_hold),
        SUITE_TEST(doubles_as_they_are_spelled),
        SUITE_TEST(doubles_with_many_digits),
        SUITE_TEST(limits),
};

SUITE_MAIN("cases-php", tests)
