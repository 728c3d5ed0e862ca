/* PHP itself is asked: what ferry writes PHP reads and writes again byte for byte, and the other way round, in all
 * three formats; and of bytes that are damaged ferry takes nothing that PHP does not take. One PHP process answers
 * each test. Where there is no PHP the tests say so. */
#include "support/suite.h"

#include <ferry/codec.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Asking PHP ------------------------------------------------------------------------------------------- */

struct php {
        pid_t pid;
        int to, from;
};

struct answer {
        bool is_taken;
        char *bytes;            /* to be freed; a zero follows */
        size_t size;
};

static void read_all(int fd, void *bytes, size_t size)
{
        for (size_t done = 0; done < size;) {
                ssize_t got = read(fd, (char *)bytes + done, size - done);

                ck_assert_msg(got > 0, "PHP has gone");
                done += (size_t)got;
        }
}

static void ask(const struct php *php, char letter, const void *bytes, size_t size, struct answer *ret)
{
        char *request = malloc(size + 5), head[5];
        uint32_t length = htole32((uint32_t)size);

        request[0] = letter;
        memcpy(request + 1, &length, 4);
        memcpy(request + 5, bytes, size);
        for (size_t done = 0; done < size + 5;) {
                ssize_t put = write(php->to, request + done, size + 5 - done);

                ck_assert_msg(put > 0, "PHP does not read");
                done += (size_t)put;
        }
        free(request);
        read_all(php->from, head, sizeof head);
        memcpy(&length, head + 1, 4);
        ret->is_taken = head[0];
        ret->size = le32toh(length);
        ret->bytes = malloc(ret->size + 1);
        read_all(php->from, ret->bytes, ret->size);
        ret->bytes[ret->size] = '\0';
}

static void ask_number(const struct php *php, char letter, int number, struct answer *ret)
{
        char text[16];

        ask(php, letter, text, (size_t)snprintf(text, sizeof text, "%d", number), ret);
        ck_assert_msg(ret->is_taken, "PHP has no answer to %c %d", letter, number);
}

/* False: there is none. */
static bool start_php(struct php *php, const char *test)
{
        int to[2], from[2], failed[2];
        char byte;

        ck_assert(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0 && pipe2(failed, O_CLOEXEC) == 0);
        php->pid = fork();
        ck_assert_int_ge(php->pid, 0);
        if (php->pid == 0) {
                dup2(to[0], STDIN_FILENO);
                dup2(from[1], STDOUT_FILENO);
                execlp("php", "php", "-d", "serialize_precision=-1", "-d", "memory_limit=512M",
                       TESTS_DIRECTORY "/interop/values.php", (char *)NULL);
                /* An exec that works closes this pipe without a byte. */
                _exit(write(failed[1], "", 1) == 1 ? 127 : 126);
        }
        close(to[0]);
        close(from[1]);
        close(failed[1]);
        *php = (struct php){ .pid = php->pid, .to = to[1], .from = from[0] };
        if (read(failed[0], &byte, 1) == 0) {
                close(failed[0]);
                return true;
        }
        close(failed[0]);
        close(php->to);
        close(php->from);
        ck_assert_int_eq(waitpid(php->pid, NULL, 0), php->pid);
        printf("values-php: %s: there is no php: skipped\n", test);
        fflush(stdout);
        return false;
}

static void stop_php(struct php *php)
{
        int status;

        close(php->to);
        close(php->from);
        ck_assert_int_eq(waitpid(php->pid, &status, 0), php->pid);
        ck_assert_int_eq(status, 0);
}

/* Making values ---------------------------------------------------------------------------------------- */

enum { VALUES = 2400 };

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
                                              "\xef\xbf\xbf", "\xf0\x9f\x8e\x89", "\xf4\x8f\xbf\xbf", "'", "<", "\t", "\b" };
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
        ck_assert_int_eq(ferry_builder_finish(maker->builder, &value), 0);
        return value;
}

/* The tests -------------------------------------------------------------------------------------------- */

static const ferry_codec *codec_of(enum format format)
{
        return format == PHP ? ferry_codec_php() : format == JSON ? ferry_codec_json() : ferry_codec_msgpack();
}

static bool has_extension(const struct php *php, const char *name)
{
        struct answer answer;
        bool is_loaded;

        ask(php, '?', name, strlen(name), &answer);
        is_loaded = answer.is_taken && answer.bytes[0] == '1';
        free(answer.bytes);
        if (!is_loaded) {
                printf("values-php: PHP has no %s: skipped\n", name);
                fflush(stdout);
        }
        return is_loaded;
}

/* Bytes for a message, of which the last that fit are shown. */
static const char *show(const void *bytes, size_t size)
{
        static char text[4][1024];
        static int turn;
        char *at = text[turn = (turn + 1) % 4];

        for (size_t i = size > 200 ? size - 200 : 0; i < size; i++) {
                unsigned char c = ((const unsigned char *)bytes)[i];

                at += c >= ' ' && c < 0x7f ? sprintf(at, "%c", c) : sprintf(at, "\\x%02x", c);
        }
        *at = '\0';
        return text[turn];
}

static void check_same(const char *what, int number, const void *bytes, size_t size, const void *other, size_t other_size)
{
        size_t same = 0;

        while (same < size && same < other_size && ((const char *)bytes)[same] == ((const char *)other)[same])
                same++;
        ck_assert_msg(same == size && same == other_size, "%s: %d: from %zu:\n%s\n%s", what, number, same,
                      show(bytes, same + 50 < size ? same + 50 : size),
                      show(other, same + 50 < other_size ? same + 50 : other_size));
}

/* Made by ferry, read and written by PHP. */
START_TEST(php_writes_again_what_ferry_writes)
{
        static const char letters[] = "ujq";
        struct maker maker = { .format = (enum format)_i, .state = 4711 };
        struct php php;

        if (!start_php(&php, "what ferry writes"))
                return;
        for (int i = 0; i < VALUES && (_i != MSGPACK || i > 0 || has_extension(&php, "msgpack")); i++) {
                FERRY_AUTO(ferry_value) value = make(&maker);
                struct answer answer;
                void *bytes;
                size_t size;

                ck_assert_int_eq(ferry_codec_encode(codec_of(maker.format), value, &bytes, &size), 0);
                ask(&php, letters[_i], bytes, size, &answer);
                ck_assert_msg(answer.is_taken, "PHP refuses %d: %s", i, show(bytes, size));
                check_same("ferry, then PHP", i, bytes, size, answer.bytes, answer.size);
                free(answer.bytes);
                free(bytes);
        }
        stop_php(&php);
}

/* Decode; what is encoded then must be @expected. */
static void check_again(const ferry_codec *codec, int number, const void *bytes, size_t size, const void *expected,
                        size_t expected_size)
{
        FERRY_AUTO(ferry_value) value = NULL;
        size_t again_size, offset;
        void *again;
        int error = ferry_codec_decode(codec, bytes, size, &value, &offset);

        ck_assert_msg(error == 0, "%s refuses (%d) %d: %s", codec->name, error, number, show(bytes, offset));
        ck_assert_int_eq(ferry_codec_encode(codec, value, &again, &again_size), 0);
        check_same("PHP, then ferry", number, expected, expected_size, again, again_size);
        free(again);
}

/* Made by PHP, read and written by ferry. In JSON once with all escapes, and once without. */
START_TEST(ferry_writes_again_what_php_writes)
{
        static const char letters[] = "sJp";
        struct php php;

        if (!start_php(&php, "what PHP writes"))
                return;
        for (int i = 0; i < VALUES && (_i != MSGPACK || i > 0 || has_extension(&php, "msgpack")); i++) {
                struct answer answer;
                const char *second;

                ask_number(&php, letters[_i], i, &answer);
                second = _i == JSON ? (char *)memchr(answer.bytes, '\n', answer.size) + 1 : answer.bytes;
                check_again(codec_of((enum format)_i), i, answer.bytes,
                            _i == JSON ? (size_t)(second - answer.bytes) - 1 : answer.size, second,
                            answer.size - (size_t)(second - answer.bytes));
                free(answer.bytes);
        }
        stop_php(&php);
}

START_TEST(references_mean_what_php_means)
{
        struct php php;

        if (!start_php(&php, "references"))
                return;
        for (int i = 0; i < VALUES / 4; i++) {
                FERRY_AUTO(ferry_value) value = NULL;
                struct answer answer;
                void *bytes;
                size_t size;

                ask_number(&php, 'r', i, &answer);
                ck_assert_msg(ferry_codec_decode(ferry_codec_php(), answer.bytes, answer.size, &value, NULL) == 0, "%s",
                              show(answer.bytes, answer.size));
                free(answer.bytes);
                ck_assert_int_eq(ferry_codec_encode(ferry_codec_php(), value, &bytes, &size), 0);
                ask(&php, 'w', bytes, size, &answer);
                ck_assert_msg(answer.is_taken && answer.bytes[0] == '1', "%d is another value: %s", i,
                              show(bytes, size));
                free(answer.bytes);
                free(bytes);
        }
        stop_php(&php);
}

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

/* What is taken means the same to both. PHP keeps references, looks up classes, makes -0 in JSON an integer, and has
 * nothing to say where it cannot write what it has read. */
static void check_meaning(const ferry_codec *codec, const ferry_value *value, const char *bytes, size_t size,
                          const struct answer *answer)
{
        void *again;
        size_t again_size;
        int error = ferry_codec_encode(codec, value, &again, &again_size);

        if (answer->size == 0)
                ck_assert_msg(error == -EDOM, "%d: %s", error, show(bytes, size));
        else if (!has(bytes, size, "r:") && !has(bytes, size, "R:") && !has(bytes, size, "C:") && !has(bytes, size, "-0"))
                ck_assert_msg(error == 0 && again_size == answer->size && memcmp(again, answer->bytes, again_size) == 0,
                              "%d: %s\n%s\n%s", error, show(bytes, size), show(again, again_size),
                              show(answer->bytes, answer->size));
        free(again);
}

/* JSON: ferry takes it where PHP does, and only there. PHP's format: only there. */
START_TEST(damaged_bytes)
{
        struct maker maker = { .format = (enum format)_i, .state = 815 };
        int taken = 0, refused = 0;
        struct php php;

        if (!start_php(&php, "damaged bytes"))
                return;
        for (int i = 0; i < 4 * VALUES; i++) {
                FERRY_AUTO(ferry_value) value = make(&maker);
                FERRY_AUTO(ferry_value) other = NULL;
                struct answer answer;
                char bytes[512];
                void *whole;
                size_t size;

                ck_assert_int_eq(ferry_codec_encode(codec_of(maker.format), value, &whole, &size), 0);
                /* Whether a class exists, or a case, is nothing that ferry asks. */
                if (size < sizeof bytes - 4 && !has(whole, size, "E:") && !has(whole, size, "C:")) {
                        int error;

                        memcpy(bytes, whole, size);
                        size = damage(&maker, bytes, size);
                        ask(&php, _i == JSON ? 'a' : 'm', bytes, size, &answer);
                        error = ferry_codec_decode(codec_of(maker.format), bytes, size, &other, NULL);
                        ck_assert(error == 0 || error == -EAGAIN || error == -EBADMSG);
                        ck_assert_msg(_i == JSON ? answer.is_taken == !error : answer.is_taken || error,
                                      "ferry: %d, PHP: %d: %s", error, answer.is_taken, show(bytes, size));
                        taken += !error;
                        refused += error != 0;
                        if (!error)
                                check_meaning(codec_of(maker.format), other, bytes, size, &answer);
                        free(answer.bytes);
                }
                free(whole);
        }
        stop_php(&php);
        ck_assert_int_gt(taken, 300);
        ck_assert_int_gt(refused, 300);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(php_writes_again_what_ferry_writes, 3),
        SUITE_LOOP(ferry_writes_again_what_php_writes, 3),
        SUITE_TEST(references_mean_what_php_means),
        SUITE_LOOP(damaged_bytes, 2),
};

SUITE_MAIN("values-php", tests)
