/* msgpack: the quick walk over bytes finds what the slow walk finds. */
#include "value/msgpack.h"

struct slots;
const ferry_codec *looked_codec_msgpack(void);
void looked_msgpack_want(const char *bytes, size_t size, struct slots *slots);

#define ferry_codec_msgpack looked_codec_msgpack
#define msgpack_want looked_msgpack_want
#include "value/msgpack.c"
#include "support/suite.h"
#include "value/test-quick.h"

static int slow_step(struct parser *p)
{
        return take_item(p);
}

static void slow_start(struct parser *p, const char *bytes, size_t size, struct check *check)
{
        start(p, bytes, size, check, NULL);
}

static const struct seed seeds[] = {
        SEED("\x83\xa2id\xce\0\1\x86\xa1\xa4name\xa5" "apple\xa5small\x93\1\xff\xc3"),
        SEED("\x97\xcc\xff\xcd\1\2\xce\1\2\3\4\xcf\0\0\0\0\0\0\0\1\xd0\xff\xd1\xff\xfe\xd2\xff\xff\xff\xfe"),
        SEED("\x93\xd3\xff\xff\xff\xff\xff\xff\xff\xfe\xca\x3f\0\0\0\xcb\x3f\xf0\0\0\0\0\0\0"),
        SEED("\x92\xcf\xff\0\0\0\0\0\0\1\xc0"),
        SEED("\x96\xd9\3abc\xda\0\3abc\xdb\0\0\0\3abc\xc4\3abc\xc5\0\3abc\xc6\0\0\0\3abc"),
        SEED("\xdc\0\3\xde\0\1\xa1" "a\x90\x80\xc2"),
        SEED("\xdd\0\0\0\2\xdf\0\0\0\1\x05\x05\xa0"),
        SEED("\x83\xc0\xa3" "App\xa1" "a\x01\xa4\0*\0b\x02"),
        SEED("\x92\x82\xc0\1\x00\x05\x82\xc0\5\x00\x02"),
        SEED("\x92\x82\xc0\3\xa1" "a\xa2xy\x82\xc0\6\xa4Suit\xa3" "Ace"),
        SEED("\x93\xd4\1x\xd5\1xy\xc7\3\1xyz"),
        SEED("\x82\xc0\xa1" "a\xc0\x92\1\2"),
        SEED("\x91\x91\x91\x91\x91\x91\xc1"),
};

START_TEST(the_quick_way_is_the_slow_one)
{
        compare_all((const struct native_codec *)looked_codec_msgpack(), seeds, sizeof seeds / sizeof *seeds, 88172645463325252 + (uint64_t)_i);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(the_quick_way_is_the_slow_one, 4),
};

SUITE_MAIN("quick-msgpack", tests)
