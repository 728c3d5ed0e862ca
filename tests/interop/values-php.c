/* PHP itself is asked, with random values: the bytes of ferry are the same value to it, which it writes again byte for
 * byte, and the other way round, in all three formats; and of bytes that are damaged both take the same, as the same
 * value, but for what docs/protocol.md says that ferry refuses. Where there is no PHP the tests say so. */
#include "interop/php.h"
#include "interop/walk.h"
#include "support/suite.h"

#include <ferry/codec.h>

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Making values ---------------------------------------------------------------------------------------- */

/* Of which a tenth is enough for every day. */
enum { VALUES = 24000 };

enum format { PHP, JSON, MSGPACK };

struct maker {
        enum format format;
        uint64_t state;
        unsigned keys, cases;   /* so that none comes twice */
        ferry_builder *builder;
};

static unsigned next(struct maker *maker, unsigned below)
{
        maker->state ^= maker->state >> 12;
        maker->state ^= maker->state << 25;
        maker->state ^= maker->state >> 27;
        return (unsigned)((maker->state * 2685821657736338717) >> 33) % below;
}

static uint64_t next_bits(struct maker *maker)
{
        uint64_t bits = 0;

        for (int i = 0; i < 4; i++)
                bits = bits << 16 | next(maker, 65536);
        return bits;
}

/* Bytes, or UTF-8 of every length for JSON. */
static size_t make_text(struct maker *maker, char *text)
{
        static const char *const pieces[] = { "a", "/", "\"", "\\", "\n", "\x7f", "\x1f", "\xc3\xa9", "\xdf\xbf",
                                              "\xe2\x80\xa7", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x82\xac",
                                              "\xef\xbf\xbf", "\xf0\x9f\x8e\x89", "\xf4\x8f\xbf\xbf", "'", "<", "\t",
                                              "\b" };
        unsigned count = next(maker, 8) ? next(maker, 12) : next(maker, 80);
        size_t size = 0;

        for (unsigned i = 0; i < count; i++)
                if (maker->format == JSON) {
                        const char *piece = pieces[next(maker, sizeof pieces / sizeof *pieces)];

                        memcpy(text + size, piece, strlen(piece));
                        size += strlen(piece);
                } else
                        text[size++] = (char)next(maker, 256);
        return size;
}

static double make_double(struct maker *maker)
{
        static const double special[] = { INFINITY, -INFINITY, (double)NAN, -0.0 };
        uint64_t bits = next_bits(maker);
        double number;

        switch (next(maker, maker->format == JSON ? 3 : 4)) {
        case 0:
                return (double)(int)next(maker, 200000) / 1000 - 50.0005;
        case 1:
                memcpy(&number, &bits, sizeof number);
                return isfinite(number) ? number : 1.5;
        case 2:
                return ldexp(1, (int)next(maker, 2098) - 1074);
        default:
                return special[next(maker, 4)];
        }
}

static int64_t make_int(struct maker *maker)
{
        return (int64_t)(next_bits(maker)) >> next(maker, 64);
}

static void make_value(struct maker *maker, int depth);

static void make_members(struct maker *maker, int depth, bool is_list)
{
        for (unsigned left = next(maker, 6); left > 0; left--) {
                unsigned number = maker->keys++;
                char text[512];
                size_t size;

                if (!is_list)
                        switch (next(maker, 4)) {
                        case 0:
                                /* Never 0: what counts from there is a list. */
                                ferry_builder_key(maker->builder, "%d", (int)(number + 5) * (number % 2 ? 1 : -1));
                                break;
                        case 1:
                                ferry_builder_key(maker->builder, "'%s%u'", maker->format == MSGPACK ? "0" : "",
                                                  number + 5);
                                break;
                        case 2:
                                text[0] = 'k';
                                size = make_text(maker, text + 1) + 1;
                                size += (size_t)snprintf(text + size, sizeof text - size, "%u", number);
                                ferry_builder_key(maker->builder, "%.*s", (int)size, text);
                                break;
                        default:
                                ferry_builder_key(maker->builder, "'word%u'", number);
                        }
                make_value(maker, depth + 1);
        }
}

static void make_object(struct maker *maker, int depth)
{
        ferry_builder_open(maker->builder, FERRY_VALUE_OBJECT, "No\\Such\\Thing");
        for (unsigned left = next(maker, 4); left > 0; left--) {
                char name[32];

                snprintf(name, sizeof name, "%s%u", next(maker, 2) ? "" : "p\xc3\xa9", maker->keys++);
                switch (next(maker, 3)) {
                case 0:
                        ferry_builder_property(maker->builder, name, FERRY_VISIBILITY_PUBLIC, NULL);
                        break;
                case 1:
                        ferry_builder_property(maker->builder, name, FERRY_VISIBILITY_PROTECTED, NULL);
                        break;
                default:
                        ferry_builder_property(maker->builder, name, FERRY_VISIBILITY_PRIVATE, "No\\Such\\Parent");
                }
                make_value(maker, depth + 1);
        }
        ferry_builder_close(maker->builder);
}

/* What only PHP's own format holds. */
static void make_special(struct maker *maker)
{
        static const char *const cases[][2] = { { "Suit", "Hearts" }, { "Level", "High" }, { "Suit", "Spades" } };
        char text[512];

        if (next(maker, 2)) {
                ferry_builder_add_bytes(maker->builder, FERRY_VALUE_OPAQUE, "Old", text, make_text(maker, text));
        } else if (maker->cases < 3) {
                const char *const *named = cases[maker->cases++];

                ferry_builder_add_bytes(maker->builder, FERRY_VALUE_ENUM, named[0], named[1], strlen(named[1]));
        } else
                ferry_builder_add(maker->builder, "Bag{3: 1, 'x': [], -5: 2}");
}

static void make_value(struct maker *maker, int depth)
{
        char text[512];
        unsigned kind = next(maker, depth < 5 ? 13 : 6);

        if (depth == 0)
                kind = 7 + kind % 6;
        switch (kind) {
        case 0:
                ferry_builder_add(maker->builder, next(maker, 2) ? "null" : "true");
                break;
        case 1:
        case 2:
                ferry_builder_add(maker->builder, "%lld", (long long)make_int(maker));
                break;
        case 3:
                ferry_builder_add(maker->builder, "%f", make_double(maker));
                break;
        case 4:
        case 5:
                ferry_builder_add_bytes(maker->builder, FERRY_VALUE_STRING, NULL, text, make_text(maker, text));
                break;
        case 6:
                if (maker->format == PHP)
                        make_special(maker);
                else
                        ferry_builder_add(maker->builder, "false");
                break;
        case 7:
        case 8:
        case 9:
                ferry_builder_open(maker->builder, FERRY_VALUE_LIST, NULL);
                make_members(maker, depth, true);
                ferry_builder_close(maker->builder);
                break;
        case 10:
                if (maker->format == PHP) {
                        make_object(maker, depth);
                        break;
                }
                /* fall through */
        default:
                ferry_builder_open(maker->builder, FERRY_VALUE_MAP, NULL);
                make_members(maker, depth, false);
                if (maker->format == MSGPACK) {
                        /* An empty one is a list for PHP. */
                        ferry_builder_key(maker->builder, "end");
                        ferry_builder_add(maker->builder, "1");
                }
                ferry_builder_close(maker->builder);
        }
}

static ferry_value *make(struct maker *maker)
{
        ferry_value *value;

        maker->keys = maker->cases = 0;
        maker->builder = ferry_builder_new();
        make_value(maker, 0);
        SUITE_CHECK(ferry_builder_finish(maker->builder, &value) == 0, "a value that cannot be built");
        return value;
}

/* The tests -------------------------------------------------------------------------------------------- */

static const ferry_codec *codec_of(enum format format)
{
        return format == PHP ? ferry_codec_php() : format == JSON ? ferry_codec_json_objects() : ferry_codec_msgpack();
}

static const char *extension_of(int format)
{
        return format == MSGPACK ? "msgpack" : NULL;
}

/* What PHP says of a value is what ferry holds. */
static void check_value(const char *what, const ferry_value *value, enum walk_as as, const struct answer *answer,
                        const char *about)
{
        size_t mark = as >= WALK_JSON, size;
        char *text;

        SUITE_CHECK(answer->is_taken && answer->size > 0, "%s: PHP refuses %s", what, about);
        if (mark && *answer->bytes == 'A')
                as = WALK_JSON_ARRAYS;
        text = walk_value(value, as, &size);
        check_same(what, about, text, size, answer->bytes + mark, answer->size - mark);
        free(text);
}

/* Made by ferry, read and written by PHP. */
START_TEST(php_reads_what_ferry_writes)
{
        static const char read[] = "Vjq", write[] = "uiQ";
        struct maker maker = { .format = (enum format)_i, .state = 4711 };
        struct maker again = maker;
        int count = (int)suite_scale(VALUES);
        struct answer answer;
        struct php php;
        size_t size;
        void *bytes;

        php_begin(&php);
        for (int i = 0; i < count; i++) {
                FERRY_AUTO(ferry_value) value = make(&maker);

                SUITE_CHECK(ferry_codec_encode(codec_of(maker.format), value, &bytes, &size) == 0, "not written");
                php_ask(&php, read[_i], bytes, size);
                php_ask(&php, write[_i], bytes, size);
                free(bytes);
        }
        if (!php_run(&php, "values-php: what ferry writes", extension_of(_i)))
                return;
        for (int i = 0; i < count; i++) {
                FERRY_AUTO(ferry_value) value = make(&again);

                SUITE_CHECK(ferry_codec_encode(codec_of(maker.format), value, &bytes, &size) == 0, "not written");
                php_next(&php, &answer);
                check_value("ferry, then PHP", value, _i == JSON ? WALK_JSON_WRITTEN : WALK_PHP, &answer,
                            show(bytes, size));
                php_next(&php, &answer);
                check_same("ferry, then PHP again", "", bytes, size, answer.bytes, answer.size);
                free(bytes);
        }
        php_end(&php);
}

/* What ferry reads is what PHP reads; encoded again it is @expected. */
static void check_read(enum format format, const char *bytes, size_t size, const struct answer *answer,
                       const char *expected, size_t expected_size)
{
        FERRY_AUTO(ferry_value) value = NULL;
        size_t again_size, offset;
        void *again;
        int error = ferry_codec_decode(codec_of(format), bytes, size, &value, &offset);

        SUITE_CHECK(error == 0, "ferry refuses (%d) %s", error, show(bytes, offset));
        check_value("PHP, then ferry", value, format == JSON ? WALK_JSON : WALK_PHP, answer, show(bytes, size));
        SUITE_CHECK(ferry_codec_encode(codec_of(format), value, &again, &again_size) == 0, "ferry: not written");
        check_same("PHP, then ferry again", "", expected, expected_size, again, again_size);
        free(again);
}

/* Made by PHP, read and written by ferry. In JSON once with all escapes, and once without. */
START_TEST(ferry_reads_what_php_writes)
{
        static const char letters[] = "sJp", read[] = "VjP";
        int count = (int)suite_scale(VALUES);
        struct answer bytes, answer;
        struct php makes, reads;

        php_begin(&makes);
        php_begin(&reads);
        for (int i = 0; i < count; i++)
                php_ask_number(&makes, letters[_i], i);
        if (!php_run(&makes, "values-php: what PHP writes", extension_of(_i))) {
                fclose(reads.questions);
                return;
        }
        for (int i = 0; i < count; i++) {
                php_next(&makes, &bytes);
                if (_i == MSGPACK)
                        php_ask_number(&reads, read[_i], i);
                else
                        php_ask(&reads, read[_i], bytes.bytes, strcspn(bytes.bytes, "\n") * (_i == JSON) +
                                                               bytes.size * (_i == PHP));
        }
        ck_assert(php_run(&reads, "", NULL));
        makes.at = 0;
        for (int i = 0; i < count; i++) {
                size_t first, rest;

                php_next(&makes, &bytes);
                php_next(&reads, &answer);
                first = _i == JSON ? (size_t)((char *)memchr(bytes.bytes, '\n', bytes.size) - bytes.bytes) : bytes.size;
                rest = _i == JSON ? first + 1 : 0;
                check_read((enum format)_i, bytes.bytes, first, &answer, bytes.bytes + rest, bytes.size - rest);
        }
        php_end(&makes);
        php_end(&reads);
}

/* Objects and variables that stand in several places: ferry writes them out, and to PHP that means the same. */
START_TEST(references_mean_what_php_means)
{
        int count = (int)suite_scale(VALUES / 4);
        struct answer bytes, answer;
        struct php makes, reads;

        php_begin(&makes);
        php_begin(&reads);
        for (int i = 0; i < count; i++)
                php_ask_number(&makes, 'r', i);
        if (!php_run(&makes, "values-php: references", NULL)) {
                fclose(reads.questions);
                return;
        }
        for (int i = 0; i < count; i++) {
                FERRY_AUTO(ferry_value) value = NULL;
                void *again;
                size_t size;

                php_next(&makes, &bytes);
                SUITE_CHECK(ferry_codec_decode(ferry_codec_php(), bytes.bytes, bytes.size, &value, NULL) == 0, "%s",
                              show(bytes.bytes, bytes.size));
                SUITE_CHECK(ferry_codec_encode(ferry_codec_php(), value, &again, &size) == 0, "ferry: not written");
                php_ask(&reads, 'V', bytes.bytes, bytes.size);
                php_ask(&reads, 'V', again, size);
                free(again);
        }
        ck_assert(php_run(&reads, "", NULL));
        makes.at = 0;
        for (int i = 0; i < count; i++) {
                FERRY_AUTO(ferry_value) value = NULL;

                php_next(&makes, &bytes);
                SUITE_CHECK(ferry_codec_decode(ferry_codec_php(), bytes.bytes, bytes.size, &value, NULL) == 0,
                            "refused");
                php_next(&reads, &answer);
                check_value("references", value, WALK_PHP, &answer, show(bytes.bytes, bytes.size));
                php_next(&reads, &answer);
                check_value("written out", value, WALK_PHP, &answer, show(bytes.bytes, bytes.size));
        }
        php_end(&makes);
        php_end(&reads);
}

/* Damage ----------------------------------------------------------------------------------------------- */

enum { DAMAGED_MAX = 512 };

/* Change a few bytes. */
static size_t damage(struct maker *maker, char *bytes, size_t size)
{
        static const char likely[] = "0123456789-+.eE:;{}[],\"\\/abduistraOCRNnulfINF \t\n\x00\x1f\xc3\xa9\xed\xa0\xef";

        for (unsigned changes = 1 + next(maker, 3); changes > 0 && size > 1; changes--) {
                unsigned at = next(maker, (unsigned)size);
                char byte = next(maker, 4) ? likely[next(maker, sizeof likely - 1)] : (char)next(maker, 256);

                switch (next(maker, 4)) {
                case 0:
                        memmove(bytes + at, bytes + at + 1, --size - at);
                        break;
                case 1:
                        memmove(bytes + at + 1, bytes + at, size++ - at);
                        /* fall through */
                case 2:
                        bytes[at] = byte;
                        break;
                default:
                        /* Repeat what stands before. */
                        bytes[at] = bytes[at - (at > 0)];
                }
        }
        return size;
}

static bool has(const char *bytes, size_t size, const char *text)
{
        return memmem(bytes, size, text, strlen(text)) != NULL;
}

/* Bytes of the maker's next value, changed; their number, or 0 if that value will not do. */
static size_t make_damaged(struct maker *maker, char bytes[DAMAGED_MAX])
{
        FERRY_AUTO(ferry_value) value = make(maker);
        size_t size;
        void *whole;

        SUITE_CHECK(ferry_codec_encode(codec_of(maker->format), value, &whole, &size) == 0, "ferry: not written");
        /* Whether an enum has a case is nothing that ferry asks. */
        if (size >= DAMAGED_MAX - 4 || has(whole, size, "E:"))
                size = 0;
        else {
                memcpy(bytes, whole, size);
                size = damage(maker, bytes, size);
        }
        free(whole);
        return size;
}

static bool is_canonical(const char *text, size_t size)
{
        return size > 0 && text[strspn(text, "-")] != '+' && (text[0] != '0' || size == 1) &&
               (text[0] != '-' || (size > 1 && text[1] != '0'));
}

/* The number before a colon that stands before @at. */
static size_t count_before(const char *bytes, size_t at)
{
        size_t begin = at > 0 ? at - 1 : 0;

        while (begin > 0 && bytes[begin - 1] >= '0' && bytes[begin - 1] <= '9')
                begin--;
        return strtoul(bytes + begin, NULL, 10);
}

/* Which of the things that only PHP takes stands where ferry has stopped, so early that nothing else can be the reason;
 * NULL: none. */
static const char *laxity(const char *bytes, size_t size, size_t offset)
{
        FERRY_AUTO(ferry_value) value = NULL;
        char token[64] = "";
        size_t begin = offset, end = offset;

        if (offset < size && ferry_codec_decode(ferry_codec_php(), bytes, offset, &value, NULL) == 0)
                return "bytes behind the value";
        if (offset < size && bytes[offset] == 'S')
                return "S:";
        for (size_t at = offset; at > 2; at--)
                if (memcmp(bytes + at - 2, "\"", 2) == 0 && offset - at == 1 + count_before(bytes, at - 2))
                        return "a name that is mangled wrongly";
        while (begin > 0 && strchr("0123456789+-.", bytes[begin - 1]) && bytes[begin - 1])
                begin--;
        while (end < size && end - begin < 60 && strchr("0123456789+-.", bytes[end]) && bytes[end])
                end++;
        memcpy(token, bytes + begin, end - begin);
        if (begin < 2 || bytes[begin - 1] != ':')
                return NULL;
        if (bytes[begin - 2] == 'd')
                return !strchr("0123456789-", token[0]) || token[strlen(token) - 1] == '.' ||
                       strncmp(token, "-.", 2) == 0 ? "a double without digits on one side" : NULL;
        if (bytes[begin - 2] == 'i')
                return !is_canonical(token, strlen(token)) ? "an integer with + or leading zeros" :
                       strlen(token) >= 19                 ? "an integer beyond 64 bits" : NULL;
        return !is_canonical(token, strlen(token)) ? "a count with + or leading zeros" : NULL;
}

/* An integer -0 is a double to ferry, which keeps its sign. */
static bool has_minus_zero(const char *bytes, size_t size)
{
        for (size_t i = 0; i + 1 < size; i++)
                if (bytes[i] == '-' && bytes[i + 1] == '0' && (i + 2 == size || !strchr(".eE", bytes[i + 2])))
                        return true;
        return false;
}

/* JSON: ferry takes it where PHP does, and only there. PHP's format: only there, and what it refuses has a reason. */
START_TEST(damaged_bytes)
{
        struct maker maker = { .format = (enum format)_i, .state = 815 };
        struct maker again = maker;
        int count = (int)suite_scale((size_t)VALUES * 4);
        int taken = 0, refused = 0, lax = 0;
        char bytes[DAMAGED_MAX];
        struct php php;
        size_t size;

        php_begin(&php);
        for (int i = 0; i < count; i++) {
                size = make_damaged(&maker, bytes);
                php_ask(&php, _i == JSON ? 'j' : 'v', bytes, size);
        }
        if (!php_run(&php, "values-php: damaged bytes", NULL))
                return;
        for (int i = 0; i < count; i++) {
                FERRY_AUTO(ferry_value) value = NULL;
                struct answer answer;
                size_t offset = 0;
                int error;

                size = make_damaged(&again, bytes);
                php_next(&php, &answer);
                if (size == 0)
                        continue;
                error = ferry_codec_decode(codec_of(maker.format), bytes, size, &value, &offset);
                SUITE_CHECK(error == 0 || error == -EAGAIN || error == -EBADMSG, "%d", error);
                SUITE_CHECK(answer.is_taken || error, "PHP refuses %s", show(bytes, size));
                if (!error && (_i == PHP || !has_minus_zero(bytes, size)))
                        check_value("damaged", value, _i == JSON ? WALK_JSON : WALK_PHP_CLASSLESS, &answer,
                                    show(bytes, size));
                if (error && answer.is_taken) {
                        SUITE_CHECK(_i == PHP && error == -EBADMSG && laxity(bytes, size, offset),
                                      "ferry refuses (%d, at %zu) %s", error, offset, show(bytes, size));
                        lax++;
                }
                taken += !error;
                refused += error != 0;
        }
        php_end(&php);
        printf("%s: %d taken, %d refused, %d of them not by PHP\n", codec_of(maker.format)->name, taken, refused, lax);
        fflush(stdout);
        ck_assert_int_gt(taken, count / 40);
        ck_assert_int_gt(refused, count / 40);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(php_reads_what_ferry_writes, 3),
        SUITE_LOOP(ferry_reads_what_php_writes, 3),
        SUITE_TEST(references_mean_what_php_means),
        SUITE_LOOP(damaged_bytes, 2),
};

SUITE_MAIN("values-php", tests)
