/* msgpack as php-msgpack has it, case by case: what it packs, with all its forms for objects and for what is shared,
 * is the same value to ferry; what ferry packs of that is the same value to it again, or the case says why not. It is
 * given nothing that neither of the two has packed, since it dies of what is wrong. Where it is not there the tests say
 * so. */
#include "interop/php.h"
#include "interop/walk.h"
#include "support/suite.h"

#include <ferry/codec.h>

#include <stdlib.h>
#include <string.h>

enum back {
        BACK,                   /* what ferry packs of it is the same to PHP */
        CHANGED,                /* it is something else to PHP */
};

static const struct {
        enum back back;
        const char *expression; /* of PHP */
        const char *why;
} cases[] = {
        { BACK, "null", NULL },
        { BACK, "[true, false, null]", NULL },
        { BACK, "[0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, PHP_INT_MAX]", NULL },
        { BACK, "[-1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, PHP_INT_MIN]", NULL },
        { BACK, "[0.0, -0.0, 0.1, 1.0, 1e308, 5e-324, 2.2250738585072011e-308, INF, -INF, NAN]", NULL },
        { BACK, "['', 'a', str_repeat('b', 31), str_repeat('c', 32), str_repeat('d', 255)]", NULL },
        { BACK, "[str_repeat('e', 256), str_repeat('e', 257)]", NULL },
        { BACK, "[str_repeat('f', 65535), str_repeat('g', 65536), \"\\0\\xff\\x80\"]", NULL },
        { BACK, "[]", NULL },
        { BACK, "[[]]", NULL },
        { BACK, "range(1, 15)", NULL },
        { BACK, "range(1, 16)", NULL },
        { BACK, "range(1, 65535)", NULL },
        { BACK, "range(1, 65536)", NULL },
        { BACK, "array_fill(1, 15, 'x')", NULL },
        { BACK, "array_fill(1, 16, 'x')", NULL },
        { BACK, "array_fill(1, 65536, 'x')", NULL },
        { BACK, "[1 => 'a', 0 => 'b']", NULL },
        { BACK, "['' => 1, 'a' => 2, -5 => 3, '05' => 4, '5' => 5, \"\\0\" => 6]", NULL },
        { BACK, "[PHP_INT_MAX => 1, PHP_INT_MIN => 2]", NULL },
        { BACK, "['a' => ['b' => ['c' => [1, [2, [3]]]]]]", NULL },
        { BACK, "new stdClass", NULL },
        { BACK, "(object) ['a' => 1, 'b' => [1, 2], '' => 3]", NULL },
        { BACK, "(object) ['5' => 1]", NULL },
        { BACK, "(object) ['a' => (object) ['b' => new stdClass]]", NULL },
        { BACK, "new Base(1, 'two', [3])", NULL },
        { BACK, "new Child(1, null, 0.5)", NULL },
        { CHANGED, "[new Old('bytes'), new Old(\"\\0\\xff\")]",
          "the extension hands the class a zero more, also of what it has packed itself" },
        { CHANGED, "new Old('')", "without bytes the extension does not ask the class" },
        { CHANGED, "new Bag(['x' => 1, 'y' => [2]])", "with names ferry writes properties, not what __serialize()" },
        { BACK, "new Bag([1, 2])", NULL },
        { BACK, "new Bag([5 => 1, 'x' => 2])", NULL },
        { CHANGED, "new Bag([])", "without any name there is nothing to tell" },
        { BACK, "new ArrayObject(['a' => 1])", NULL },
        { CHANGED, "Suit::Hearts", "the extension writes enums but cannot read them" },
        { CHANGED, "[Level::High, Level::Low]", "the same" },
        /* Shared: ferry writes it out. */
        { BACK, "(function () { $a = [1, 2]; return [&$a, &$a]; })()", NULL },
        { BACK, "(function () { $a = ['k' => 2]; return [&$a, 5, &$a, $a]; })()", NULL },
        { BACK, "(function () { $v = 5; return [&$v, &$v]; })()", NULL },
        { BACK, "(function () { $v = 'text'; return ['a' => &$v, 'b' => &$v]; })()", NULL },
        { BACK, "(function () { $o = (object) ['a' => 1]; return [$o, $o, $o]; })()", NULL },
        { BACK, "(function () { $o = (object) ['a' => 1]; return [&$o, &$o]; })()", NULL },
        { BACK, "(function () { $o = (object) ['a' => 1]; $p = (object) ['o' => $o]; return [$p, $o, $p]; })()", NULL },
        { BACK, "(function () { $o = new Base([1], [2], [3]); return [[$o], ['x' => $o], [[$o]]]; })()", NULL },
        { BACK, "(function () { $a = [[1], [2]]; return [&$a[0], $a, &$a]; })()", NULL },
        { CHANGED, "(function () { $b = new Bag(['x' => [1]]); return [$b, $b]; })()", "what __serialize() gave" },
        { CHANGED, "(function () { $o = new Old('b'); return [$o, $o, [1], $o]; })()", "a zero more" },
        { CHANGED, "(function () { $e = Suit::Hearts; return [$e, $e]; })()", "an enum" },
};

enum { CASES = sizeof cases / sizeof *cases };

static void check(int i, const ferry_value *value, const struct answer *answer, enum back back)
{
        size_t size;
        char *text = walk_value(value, WALK_PHP, &size);

        if (back == BACK) {
                SUITE_CHECK(answer->is_taken, "%s: PHP does not take it", cases[i].expression);
                check_same("msgpack", cases[i].expression, text, size, answer->bytes, answer->size);
        } else
                SUITE_CHECK(!answer->is_taken || size != answer->size || memcmp(text, answer->bytes, size) != 0,
                            "%s: no difference (%s)", cases[i].expression, cases[i].why);
        free(text);
}

START_TEST(what_php_packs)
{
        struct answer bytes, answer;
        struct php packs, reads;
        size_t size;
        void *again;

        php_begin(&packs);
        for (int i = 0; i < CASES; i++) {
                php_ask(&packs, 'e', cases[i].expression, strlen(cases[i].expression));
                php_ask(&packs, 'E', cases[i].expression, strlen(cases[i].expression));
        }
        if (!php_run(&packs, "cases-msgpack: what PHP packs", "msgpack"))
                return;
        php_begin(&reads);
        for (int i = 0; i < CASES; i++) {
                FERRY_AUTO(ferry_value) value = NULL;
                int error;

                php_next(&packs, &bytes);
                php_next(&packs, &answer);
                error = ferry_codec_decode(ferry_codec_msgpack(), bytes.bytes, bytes.size, &value, NULL);
                SUITE_CHECK(bytes.is_taken && error == 0, "%s: ferry says %d: %s", cases[i].expression, error,
                            show(bytes.bytes, bytes.size));
                check(i, value, &answer, BACK);
                SUITE_CHECK(ferry_codec_encode(ferry_codec_msgpack(), value, &again, &size) == 0, "not written");
                php_ask(&reads, 'l', again, size);
                free(again);
        }
        ck_assert(php_run(&reads, "", "msgpack"));
        packs.at = 0;
        for (int i = 0; i < CASES; i++) {
                FERRY_AUTO(ferry_value) value = NULL;

                php_next(&packs, &bytes);
                php_next(&packs, &answer);
                php_next(&reads, &answer);
                ferry_codec_decode(ferry_codec_msgpack(), bytes.bytes, bytes.size, &value, NULL);
                check(i, value, &answer, cases[i].back);
        }
        php_end(&packs);
        php_end(&reads);
}

static const struct suite_test tests[] = {
        SUITE_TEST(what_php_packs),
};

SUITE_MAIN("cases-msgpack", tests)
