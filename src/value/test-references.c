/* References in PHP's formats: what is referred to is shared, numbers mean what PHP means by them, cycles are refused,
 * and a few bytes cannot stand for a huge value. */
#include "support/suite.h"
#include "util/buffer.h"

#include <ferry/codec.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define BYTES(literal) literal, sizeof(literal) - 1

/* What it is, written out. */
static const struct {
        const char *bytes, *expected;
} shared[] = {
        { "a:3:{i:0;O:1:\"A\":1:{s:1:\"x\";i:1;}i:1;r:2;i:2;i:3;}",
          "a:3:{i:0;O:1:\"A\":1:{s:1:\"x\";i:1;}i:1;O:1:\"A\":1:{s:1:\"x\";i:1;}i:2;i:3;}" },
        { "a:2:{i:0;s:1:\"x\";i:1;R:2;}", "a:2:{i:0;s:1:\"x\";i:1;s:1:\"x\";}" },
        { "a:2:{i:0;a:1:{i:0;N;}i:1;R:2;}", "a:2:{i:0;a:1:{i:0;N;}i:1;a:1:{i:0;N;}}" },
        /* An r uses up a number of its own, an R does not, a key does not, the inside of a C does not. */
        { "a:4:{i:0;O:1:\"A\":0:{}i:1;r:2;i:2;O:1:\"B\":0:{}i:3;r:4;}",
          "a:4:{i:0;O:1:\"A\":0:{}i:1;O:1:\"A\":0:{}i:2;O:1:\"B\":0:{}i:3;O:1:\"B\":0:{}}" },
        { "a:4:{i:0;i:7;i:1;R:2;i:2;i:8;i:3;R:3;}", "a:4:{i:0;i:7;i:1;i:7;i:2;i:8;i:3;i:8;}" },
        { "a:3:{i:0;C:1:\"A\":6:{i:1;N;}s:1:\"k\";E:3:\"B:C\";i:1;r:3;}",
          "a:3:{i:0;C:1:\"A\":6:{i:1;N;}s:1:\"k\";E:3:\"B:C\";i:1;E:3:\"B:C\";}" },
        /* To what an r stands for, through its own number. */
        { "a:3:{i:0;O:1:\"A\":0:{}i:1;r:2;i:2;r:3;}",
          "a:3:{i:0;O:1:\"A\":0:{}i:1;O:1:\"A\":0:{}i:2;O:1:\"A\":0:{}}" },
        { "O:1:\"A\":2:{s:1:\"a\";i:1;s:1:\"b\";R:2;}", "O:1:\"A\":2:{s:1:\"a\";i:1;s:1:\"b\";i:1;}" },
};

START_TEST(what_is_referred_to_stands_there)
{
        const char *bytes = shared[_i].bytes;
        ferry_value *value;
        void *again;
        size_t size;

        ck_assert_int_eq(ferry_codec_decode(ferry_codec_php(), bytes, strlen(bytes), &value, NULL), 0);
        ck_assert_int_eq(ferry_codec_encode(ferry_codec_php(), value, &again, &size), 0);
        ck_assert_str_eq(again, shared[_i].expected);
        free(again);
        ferry_value_unref(value);

        for (size_t i = 0; i < strlen(bytes); i++)
                ck_assert_int_eq(ferry_codec_decode(ferry_codec_php(), bytes, i, &value, NULL), -EAGAIN);
}

START_TEST(what_is_shared_is_no_copy)
{
        static const char text[] = "a:3:{i:0;O:1:\"A\":1:{s:1:\"x\";s:1:\"y\";}i:1;r:2;i:2;R:3;}";
        FERRY_AUTO(ferry_value) value = NULL;

        ck_assert_int_eq(ferry_codec_decode(ferry_codec_php(), text, strlen(text), &value, NULL), 0);
        ck_assert_ptr_eq(ferry_value_at(ferry_value_at(value, 0), 0), ferry_value_at(ferry_value_at(value, 1), 0));
        ck_assert_ptr_eq(ferry_value_bytes(ferry_value_at(value, 2), NULL),
                         ferry_value_bytes(ferry_value_get(ferry_value_at(value, 0), "x"), NULL));
}

static const struct {
        const char *bytes;
        size_t size;
        size_t offset;
        bool is_msgpack;
} refused[] = {
        { BYTES("a:1:{i:0;r:1;}"), 13, false },                          /* cycles */
        { BYTES("a:1:{i:0;R:1;}"), 13, false },
        { BYTES("O:1:\"A\":1:{s:1:\"a\";r:1;}"), 23, false },
        { BYTES("a:1:{i:0;a:1:{i:0;R:2;}}"), 22, false },
        { BYTES("a:2:{i:0;R:3;i:1;i:1;}"), 13, false },                   /* forward */
        { BYTES("a:1:{i:0;R:2;}"), 13, false },
        { BYTES("a:1:{i:0;r:2;}"), 13, false },                           /* itself */
        { BYTES("a:2:{i:0;i:1;i:1;r:2;}"), 21, false },                   /* r to what is no object */
        { BYTES("a:2:{i:0;a:0:{}i:1;r:2;}"), 23, false },
        { BYTES("a:1:{i:0;r:0;}"), 11, false },
        { BYTES("a:1:{i:0;R:-1;}"), 11, false },
        { BYTES("a:1:{i:0;R:01;}"), 11, false },
        { BYTES("a:1:{i:0;R:4294967295;}"), 22, false },
        { BYTES("\x91\x82\xc0\x05\x00\x01"), 6, true },                    /* cycles */
        { BYTES("\x91\x82\xc0\x02\x00\x01"), 6, true },
        { BYTES("\x92\x82\xc0\x05\x00\x03\x90"), 6, true },                /* forward */
        { BYTES("\x92\x07\x82\xc0\x05\x00\x02"), 7, true },                /* scalars have no number */
        { BYTES("\x92\x90\x82\xc0\x04\x00\x02"), 7, true },                /* no object */
        { BYTES("\x92\x90\x82\xc0\x05\x00\xff"), 7, true },
};

START_TEST(wrong_references_are_refused_where_they_are)
{
        ferry_value *value;
        size_t offset = 0;

        ck_assert_int_eq(ferry_codec_decode(refused[_i].is_msgpack ? ferry_codec_msgpack() : ferry_codec_php(),
                                            refused[_i].bytes, refused[_i].size, &value, &offset),
                         -EBADMSG);
        ck_assert_ptr_null(value);
        ck_assert_uint_eq(offset, refused[_i].offset);
}

START_TEST(msgpack_numbers_containers)
{
        static const struct {
                const char *bytes;
                size_t size;
                const char *expected;
        } table[] = {
                { BYTES("\x93\x07\x82\xc0\xa1" "A\xa1x\x01\x82\xc0\x04\x00\x02"),
                  "a:3:{i:0;i:7;i:1;O:1:\"A\":1:{s:1:\"x\";i:1;}i:2;O:1:\"A\":1:{s:1:\"x\";i:1;}}" },
                { BYTES("\x92\x82\xc0\x01\x00\x01\x82\xc0\x02\x00\x02"), "a:2:{i:0;a:1:{i:0;i:1;}i:1;a:1:{i:0;i:1;}}" },
                { BYTES("\x92\x83\xc0\x01\xc0\xa1" "A\xa1x\x01\x82\xc0\x05\x00\x02"),
                  "a:2:{i:0;O:1:\"A\":1:{s:1:\"x\";i:1;}i:1;O:1:\"A\":1:{s:1:\"x\";i:1;}}" },
                { BYTES("\x92\x90\x82\xc0\x02\x00\x02"), "a:2:{i:0;a:0:{}i:1;a:0:{}}" },
                { BYTES("\x92\x82\xc0\x03\xa1" "A\xa1x\x82\xc0\x04\x00\x02"),
                  "a:2:{i:0;C:1:\"A\":1:{x}i:1;C:1:\"A\":1:{x}}" },
        };

        for (int i = 0; i < COUNT(table); i++) {
                FERRY_AUTO(ferry_value) value = NULL;
                void *text;
                size_t size;

                ck_assert_msg(ferry_codec_decode(ferry_codec_msgpack(), table[i].bytes, table[i].size, &value, NULL) == 0,
                              "entry %d", i);
                ck_assert_int_eq(ferry_codec_encode(ferry_codec_php(), value, &text, &size), 0);
                ck_assert_str_eq(text, table[i].expected);
                free(text);
        }
}

static void put(struct buffer *buffer, const char *format, ...) FERRY_PRINTF(2, 3);
static void put(struct buffer *buffer, const char *format, ...)
{
        char text[128];
        va_list list;
        int size;

        va_start(list, format);
        size = vsnprintf(text, sizeof text, format, list);
        va_end(list);
        ck_assert_int_eq(buffer_append(buffer, text, (size_t)size), 0);
}

/* A list whose every item holds the one before it twice. */
enum form { BY_R, BY_OBJECT, BY_MSGPACK };

static void make_bomb(struct buffer *buffer, enum form form, int levels)
{
        int number = 2, previous = 0;

        if (form == BY_MSGPACK) {
                const char head[] = { (char)0xdc, (char)(levels >> 8), (char)levels };

                buffer_append(buffer, head, 3);
        } else
                put(buffer, "a:%d:{", levels);
        for (int level = 0; level < levels; level++) {
                int own = number++;

                if (form == BY_MSGPACK)
                        put(buffer, "%c", 0x90 + (level ? 2 : 1));
                else if (form == BY_R)
                        put(buffer, "i:%d;a:%d:{", level, level ? 2 : 1);
                else
                        put(buffer, "i:%d;O:1:\"A\":%d:{", level, level ? 2 : 1);
                if (level == 0) {
                        if (form == BY_MSGPACK)
                                buffer_append(buffer, "\x07", 1);
                        else
                                put(buffer, "i:0;i:7;");
                        number += form != BY_MSGPACK;
                }
                for (int i = 0; i < 2 && level > 0; i++) {
                        const char again[] = { (char)0x82, (char)0xc0, 5, 0,
                                               (char)0xcd, (char)(previous >> 8), (char)previous };

                        if (form == BY_MSGPACK)
                                buffer_append(buffer, again, sizeof again);
                        else
                                put(buffer, "i:%d;%c:%d;", i, form == BY_R ? 'R' : 'r', previous);
                        number += form == BY_OBJECT;
                }
                if (form != BY_MSGPACK)
                        put(buffer, "}");
                previous = own;
        }
        if (form != BY_MSGPACK)
                put(buffer, "}");
}

/* Whatever is accepted is not much larger written out; soon nothing is. */
START_TEST(references_cannot_blow_up)
{
        const ferry_codec *codec = _i == BY_MSGPACK ? ferry_codec_msgpack() : ferry_codec_php();
        int accepted = 0;

        for (int levels = 2; levels < 64; levels++) {
                struct buffer buffer = { 0 };
                ferry_value *value;
                void *again;
                size_t size;
                int error;

                make_bomb(&buffer, (enum form)_i, levels);
                error = ferry_codec_decode(codec, buffer_bytes(&buffer), buffer_size(&buffer), &value, NULL);
                if (error)
                        ck_assert_msg(error == -EMSGSIZE && !value, "%d levels: %d", levels, error);
                else {
                        ck_assert_int_eq(accepted, levels - 2);
                        accepted++;
                        ck_assert_int_eq(ferry_codec_encode(codec, value, &again, &size), 0);
                        ck_assert_uint_gt(size, (size_t)1 << levels);
                        ck_assert_uint_le(size, 33 * buffer_size(&buffer) + (64 << 10));
                        free(again);
                        ferry_value_unref(value);
                }
                buffer_deinit(&buffer);
        }
        ck_assert_int_ge(accepted, 8);
        ck_assert_int_le(accepted, 20);
}

static void put_times(struct buffer *buffer, int times, const char *text)
{
        for (int i = 0; i < times; i++)
                put(buffer, "%s", text);
}

/* What is shared counts with its depth: a list of something deep and, as deep again, a reference to it. */
START_TEST(references_do_not_get_around_the_depth)
{
        static const struct {
                const char *begin, *open, *inside, *close, *next, *again, *end;
        } forms[] = {
                [BY_R] = { "a:2:{i:0;", "a:1:{i:0;", "N;", "}", "i:1;", "R:2;", "}" },
                [BY_OBJECT] = { "a:2:{i:0;", "O:1:\"A\":1:{i:0;", "N;", "}", "i:1;", "r:2;", "}" },
                [BY_MSGPACK] = { "\x92", "\x91", "\xc0", "", "", NULL, "" },
        };
        const ferry_codec *codec = _i == BY_MSGPACK ? ferry_codec_msgpack() : ferry_codec_php();

        for (int depth = 255; depth <= 257; depth++) {
                struct buffer buffer = { 0 };
                ferry_value *value;

                put(&buffer, "%s", forms[_i].begin);
                put_times(&buffer, 255, forms[_i].open);
                put(&buffer, "%s", forms[_i].inside);
                put_times(&buffer, 255, forms[_i].close);
                put(&buffer, "%s", forms[_i].next);
                put_times(&buffer, depth, forms[_i].open);
                if (_i == BY_MSGPACK)
                        ck_assert_int_eq(buffer_append(&buffer, "\x82\xc0\x02\x00\x02", 5), 0);
                else
                        put(&buffer, "%s", forms[_i].again);
                put_times(&buffer, depth, forms[_i].close);
                put(&buffer, "%s", forms[_i].end);
                ck_assert_msg(ferry_codec_decode(codec, buffer_bytes(&buffer), buffer_size(&buffer), &value, NULL) ==
                              (1 + 255 + depth > 512 ? -EMSGSIZE : 0), "%d levels", depth);
                ferry_value_unref(value);
                buffer_deinit(&buffer);
        }
}

static const struct suite_test tests[] = {
        SUITE_LOOP(what_is_referred_to_stands_there, COUNT(shared)),
        SUITE_TEST(what_is_shared_is_no_copy),
        SUITE_LOOP(wrong_references_are_refused_where_they_are, COUNT(refused)),
        SUITE_TEST(msgpack_numbers_containers),
        SUITE_LOOP(references_cannot_blow_up, BY_MSGPACK + 1),
        SUITE_LOOP(references_do_not_get_around_the_depth, BY_MSGPACK + 1),
};

SUITE_MAIN("references", tests)
