/* php: the quick walk over bytes finds what the slow walk finds. */
#include "value/php.h"

struct slots;
const ferry_codec *looked_codec_php(void);
void looked_php_want(const char *bytes, size_t size, struct slots *slots);
bool looked_php_is_class_name(const char *name, size_t size);

#define ferry_codec_php looked_codec_php
#define php_want looked_php_want
#define php_is_class_name looked_php_is_class_name
#include "value/php.c"
#include "support/suite.h"
#include "value/test-quick.h"

static int slow_step(struct parser *p)
{
        return take_part(p);
}

static void slow_start(struct parser *p, const char *bytes, size_t size, struct check *check)
{
        start(p, bytes, size, check, NULL);
}

static const struct seed seeds[] = {
        SEED("a:3:{i:0;s:5:\"apple\";i:1;i:-42;i:2;d:0.5;}"),
        SEED("a:4:{s:2:\"id\";i:100001;s:4:\"name\";s:0:\"\";s:6:\"active\";b:1;s:4:\"note\";N;}"),
        SEED("a:2:{s:1:\"0\";i:0;s:1:\"1\";a:0:{}}"),
        SEED("a:2:{i:1;b:0;i:0;d:-1.5E+25;}"),
        SEED("O:8:\"App\\Task\":3:{s:1:\"a\";i:1;s:4:\"\0*\0b\";d:INF;s:6:\"\0App\0c\";O:1:\"x\":0:{}}"),
        SEED("a:1:{i:0;" TIMES_4("a:1:{i:0;") "N;" TIMES_4("}") "}"),
        SEED("a:4:{i:0;E:7:\"Suit:Ace\";i:1;C:1:\"a\":3:{xyz}i:2;R:1;i:3;r:2;}"),
        SEED("a:2:{i:0;i:9223372036854775807;i:1;i:-9223372036854775808;}"),
        SEED("a:2:{i:-0;i:00;i:1;s:01:\"a\";}"),
        SEED("a:1:{i:0;d:12."),
        SEED("s:0000000000000000000000000000000000001:\"a\";"),
        SEED("a:1:{i:0;s:99999999999999999999:\"a\";}"),
        SEED("a:1:{i:0;s:4294967295:\"a\";}"),
        SEED("a:4294967296:{i:0;s:1:\"a\";}"),
};

START_TEST(the_quick_way_is_the_slow_one)
{
        compare_all((const struct native_codec *)looked_codec_php(), seeds, sizeof seeds / sizeof *seeds, 88172645463325252 + (uint64_t)_i);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(the_quick_way_is_the_slow_one, 4),
};

SUITE_MAIN("quick-php", tests)
