/* Several answers in one message of NATS: when a listener gathers them, what stands in the message, and how the other side reads it,
 * however it is cut, and whatever stands in it. */
#include "support/suite.h"
#include "wire/dialect.h"
#include "wire/nats_text.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INBOX "_INBOX.abcdefghijk."
#define OTHER "_INBOX.ABCDEFGHIJK."

static struct wire wire;
static struct buffer buffer;
static struct error error;

static void begin(bool is_listening)
{
        const ferry_session_options options = { .is_listening = is_listening };

        ck_assert_int_eq(wire_init(&wire, &options, &error), 0);
        ck_assert_int_eq(wire_begin(&wire, "nats:shout", &options, &error), 0);
        wire.peer_max = 1 << 20;
}

static void end(void)
{
        wire_deinit(&wire);
        buffer_deinit(&buffer);
        error_deinit(&error);
}

/* Writing ------------------------------------------------------------------------------------------------ */

static struct outgoing make_answer(const char *subject, const ferry_value *body)
{
        return (struct outgoing){ .kind = WIRE_RESPONSE, .id = subject, .id_size = strlen(subject), .type = "x", .is_type_known = true,
                                  .takes_batches = true, .body = body };
}

static int write_one(const struct outgoing *outgoing)
{
        error_deinit(&error);
        return wire.dialect->write(&wire, &buffer, outgoing, &error);
}

/* The body is used up. */
static void answer(const char *subject, ferry_value *body)
{
        struct outgoing outgoing = make_answer(subject, body);

        ck_assert_msg(write_one(&outgoing) == 0, "%s", error_text(&error));
        ferry_value_unref(body);
}

static void check_written(const char *expected)
{
        ck_assert_uint_eq(buffer_size(&buffer), strlen(expected));
        ck_assert_msg(memcmp(buffer_bytes(&buffer), expected, strlen(expected)) == 0, "%.*s", (int)buffer_size(&buffer),
                      (const char *)buffer_bytes(&buffer));
}

#define LONE INBOX "17"
#define SEVERAL "HPUB " INBOX "17 28"

START_TEST(answers_to_one_client_are_gathered)
{
        begin(true);
        answer(INBOX "17", ferry_value_pack("'hello'"));
        check_written("PUB " INBOX "17          5\r\nhello\r\n");
        answer(INBOX "18", ferry_value_pack("'you'"));
        check_written(SEVERAL "         56\r\n" NATS_BATCH_HEADERS "17     5\r\nhello18     3\r\nyou\r\n");
        /* Values say their codec, and none is none. */
        answer(INBOX "9", ferry_value_pack("{a: 1}"));
        answer(INBOX "20", NULL);
        check_written(SEVERAL "         87\r\n" NATS_BATCH_HEADERS "17     5\r\nhello18     3\r\nyou9     7 json\r\n{\"a\":1}20     0\r\n\r\n");
        end();
}
END_TEST

START_TEST(a_first_answer_with_a_codec_loses_its_headers)
{
        begin(true);
        answer(INBOX "17", ferry_value_pack("[1]"));
        check_written("HPUB " INBOX "17         31         34\r\nNATS/1.0\r\nFerry-Codec: json\r\n\r\n[1]\r\n");
        answer(INBOX "18", ferry_value_pack("'you'"));
        check_written(SEVERAL "         59\r\n" NATS_BATCH_HEADERS "17     3 json\r\n[1]18     3\r\nyou\r\n");
        end();
}
END_TEST

START_TEST(only_what_may_be_gathered_is)
{
        ferry_value *body = ferry_value_pack("'you'");
        struct outgoing other[] = {
                make_answer(INBOX "18", body), make_answer(INBOX "18", body), make_answer(INBOX "18", body), make_answer(OTHER "18", body),
                make_answer("_INBOX.abcdefghijk", body), make_answer(INBOX "x18", body), make_answer(INBOX "18.1", body),
                make_answer("_inbox.abcdefghijk.18", body), make_answer("_INBOX.abcdefghijkl.18", body),
                make_answer(INBOX "1111111111111111111111111111111111111111111111111111111111111111", body), make_answer("back.18", body),
        };

        other[0].takes_batches = false;
        other[1].type = "y", other[1].is_type_known = false;
        other[2].kind = WIRE_ERROR;
        begin(true);
        for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
                size_t before;

                buffer_consume(&buffer, buffer_size(&buffer));
                answer(INBOX "17", ferry_value_pack("'hello'"));
                before = buffer_size(&buffer);
                ck_assert_int_eq(write_one(&other[i]), 0);
                ck_assert_msg(memcmp(buffer_bytes(&buffer), "PUB " LONE, strlen("PUB " LONE)) == 0 &&
                              memcmp(buffer_bytes(&buffer) + before - 2, "\r\n", 2) == 0 &&
                              (buffer_bytes(&buffer)[before] == 'P' || buffer_bytes(&buffer)[before] == 'H'), "%zu", i);
        }
        end();
        ferry_value_unref(body);
}
END_TEST

/* The other message in between, and bytes that have left. */
START_TEST(only_the_last_message_that_is_whole_grows)
{
        begin(true);
        answer(INBOX "17", ferry_value_pack("'hello'"));
        ck_assert_int_eq(write_one(&(struct outgoing){ .kind = WIRE_PONG }), 0);
        answer(INBOX "18", ferry_value_pack("'you'"));
        check_written("PUB " INBOX "17          5\r\nhello\r\nPONG\r\nPUB " INBOX "18          3\r\nyou\r\n");
        buffer_consume(&buffer, strlen("PUB " LONE "          5\r\nhello\r\nPONG\r\nP"));
        answer(INBOX "19", ferry_value_pack("'all'"));
        check_written("UB " INBOX "18          3\r\nyou\r\nPUB " INBOX "19          3\r\nall\r\n");
        buffer_consume(&buffer, buffer_size(&buffer));
        answer(INBOX "20", ferry_value_pack("'1'"));
        answer(INBOX "21", ferry_value_pack("'2'"));
        buffer_consume(&buffer, buffer_size(&buffer) - 1);
        answer(INBOX "22", ferry_value_pack("'3'"));
        check_written("\nPUB " INBOX "22          1\r\n3\r\n");
        end();
}
END_TEST

/* Of the messages in the buffer: each is one that a server takes. */
static size_t count_messages(size_t most)
{
        size_t count = 0;

        for (size_t at = 0, header; at < buffer_size(&buffer); count++) {
                uint64_t whole = 0;
                struct incoming what;

                ck_assert_int_eq(nats_measure_sent((const char *)buffer_bytes(&buffer) + at, buffer_size(&buffer) - at, &header, &whole), 1);
                nats_peek_sent((const char *)buffer_bytes(&buffer) + at, buffer_size(&buffer) - at, &what);
                ck_assert_uint_le(what.body_size, most);
                at += (size_t)whole;
                ck_assert_uint_le(at, buffer_size(&buffer));
                ck_assert_int_eq(memcmp(buffer_bytes(&buffer) + at - 2, "\r\n", 2), 0);
        }
        return count;
}

START_TEST(no_message_is_larger_than_its_limit_or_that_of_the_server)
{
        static const size_t limits[] = { 40, 100, 150, 200, 1000, 1 << 20 };
        char subject[64], text[200];

        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
                begin(true);
                wire.peer_max = limits[i];
                for (int id = 1; id < 2000; id++) {
                        ferry_value *body;
                        struct outgoing outgoing;
                        size_t before = buffer_size(&buffer);

                        snprintf(text, sizeof text, "%0*d", id % 190 + 1, id);
                        body = ferry_value_pack("%s", text);
                        snprintf(subject, sizeof subject, INBOX "%d", id);
                        outgoing = make_answer(subject, body);
                        if (strlen(text) > limits[i]) {
                                ck_assert_int_eq(write_one(&outgoing), -EMSGSIZE);
                                ck_assert_uint_eq(buffer_size(&buffer), before);
                        } else
                                ck_assert_msg(write_one(&outgoing) == 0, "%s", error_text(&error));
                        ferry_value_unref(body);
                }
                ck_assert_uint_le(count_messages(limits[i] < 1 << 14 ? limits[i] : 1 << 14), i == 5 ? 20 : 2000);
                end();
        }
}
END_TEST

static char *copy_written(void)
{
        char *copy = strndup((const char *)buffer_bytes(&buffer), buffer_size(&buffer));

        ck_assert_ptr_nonnull(copy);
        return copy;
}

/* Its owner takes back what is behind the bytes that were there before. */
START_TEST(an_answer_that_fails_leaves_the_others_as_they_are)
{
        char text[2000];
        ferry_value *wrong = ferry_value_pack("[%.*s]", 1, "\xff"), *large;
        struct outgoing outgoing[] = { make_answer(INBOX "18", wrong), make_answer(INBOX "18", NULL) };

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        large = ferry_value_pack("%s", text);
        outgoing[1].body = large;
        begin(true);
        wire.peer_max = sizeof text / 2;
        for (int before = 1; before < 3; before++)
                for (size_t i = 0; i < sizeof outgoing / sizeof *outgoing; i++) {
                        char *copy;

                        buffer_consume(&buffer, buffer_size(&buffer));
                        for (int j = 0; j < before; j++)
                                answer(INBOX "17", ferry_value_pack("'hello'"));
                        copy = copy_written();
                        ck_assert_int_lt(write_one(&outgoing[i]), 0);
                        ck_assert_str_ne(error_text(&error), "");
                        check_written(copy);
                        answer(INBOX "19", ferry_value_pack("'more'"));
                        ck_assert_uint_gt(buffer_size(&buffer), strlen(copy));
                        count_messages(1 << 14);
                        free(copy);
                }
        end();
        ferry_value_unref(wrong);
        ferry_value_unref(large);
}
END_TEST

START_TEST(an_answer_that_is_too_large_for_the_message_is_the_next_one)
{
        char text[1000], *copy;

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        begin(true);
        wire.peer_max = sizeof text;
        answer(INBOX "17", ferry_value_pack("'hello'"));
        copy = copy_written();
        answer(INBOX "18", ferry_value_pack("%s", text));
        ck_assert_int_eq(memcmp(buffer_bytes(&buffer), copy, strlen(copy)), 0);
        ck_assert_uint_eq(count_messages(1 << 14), 2);
        free(copy);
        end();
}
END_TEST

/* A codec of the program that answers another request meanwhile. */
static int encode_while_answering(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        (void)codec, (void)value;
        answer(INBOX "17", ferry_value_pack("[1]"));
        ferry_sink_write(sink, "(1)", 3);
        return 0;
}

START_TEST(nothing_is_added_to_what_an_own_codec_has_written)
{
        ferry_codec own = { .name = "mine", .number = 200, .encode = encode_while_answering };
        struct outgoing outgoing = make_answer(INBOX "18", NULL);
        ferry_value *body = ferry_value_pack("[2]");
        struct buffer apart = { 0 };

        begin(true);
        outgoing.body = body;
        outgoing.codec = &own;
        ck_assert_int_eq(wire.dialect->write(&wire, &apart, &outgoing, &error), 0);
        ck_assert_uint_eq(buffer_size(&apart), buffer_size(&buffer));
        ck_assert_int_eq(buffer_append(&buffer, buffer_bytes(&apart), buffer_size(&apart)), 0);
        answer(INBOX "19", ferry_value_pack("[3]"));
        ck_assert_uint_eq(count_messages(1 << 14), 3);
        buffer_deinit(&apart);
        ferry_value_unref(body);
        end();
}
END_TEST

/* What other clients name as the reply may be longer than what ferry does. */
START_TEST(the_line_of_an_answer_is_one_that_is_read)
{
        begin(true);
        for (int digits = 1; digits < 70; digits++) {
                char subject[128];
                const char *item;
                struct nats_item read;
                ferry_value *body = ferry_value_pack("[1]");
                struct outgoing outgoing;

                snprintf(subject, sizeof subject, INBOX "%0*d", digits, 1);
                outgoing = make_answer(subject, body);
                outgoing.codec = ferry_codec_json_objects();
                buffer_consume(&buffer, buffer_size(&buffer));
                ck_assert_int_eq(write_one(&outgoing), 0);
                ck_assert_int_eq(write_one(&outgoing), 0);
                ferry_value_unref(body);
                item = memmem(buffer_bytes(&buffer), buffer_size(&buffer), NATS_BATCH_HEADERS, strlen(NATS_BATCH_HEADERS));
                ck_assert_msg(item || digits > 20, "%d", digits);
                if (item)
                        ck_assert_msg(nats_read_item(item + strlen(NATS_BATCH_HEADERS), 100, &read) == 1, "%d", digits);
        }
        end();
}
END_TEST

/* Reading ------------------------------------------------------------------------------------------------ */

struct reading {
        struct frame_reader reader;
        char said[4096];                /* a line for each frame: ID=BODY, VERB, ! of what is wrong, + of what is too large */
};

static void begin_reading(struct reading *reading, size_t max)
{
        frame_reader_init(&reading->reader, &framing_nats, false, max, wire_can_begin);
        *reading->said = '\0';
}

static void note(struct reading *reading, const struct frame *frame)
{
        char *at = reading->said + strlen(reading->said);
        size_t room = sizeof reading->said - strlen(reading->said);
        struct incoming in = { .kind = WIRE_UNKNOWN };
        int code;

        error_deinit(&error);
        if (frame->event == FRAME_TOO_LARGE) {
                wire.dialect->peek(frame->bytes, frame->size, &in);
                snprintf(at, room, "+%.*s %d ", (int)in.id.size, in.id.bytes ? in.id.bytes : "", in.kind == WIRE_RESPONSE);
                return;
        }
        code = wire.dialect->read(&wire, frame->bytes, frame->size, &in, &error);
        if (code)
                snprintf(at, room, "!%s%d ", code == -EBADMSG && *error_text(&error) ? "" : "?", in.kind == WIRE_RESPONSE);
        else if (in.kind == WIRE_RESPONSE)
                snprintf(at, room, "%.*s=%.*s:%s ", (int)in.id.size, in.id.bytes, (int)(in.body_size > 40 ? 40 : in.body_size),
                         frame->bytes + in.body_offset, in.codec->name);
        else
                snprintf(at, room, "%.*s ", (int)strcspn(frame->bytes, " \r"), frame->bytes);
        ferry_value_unref(in.value);
}

/* What comes of some bytes: the result of the reader. */
static int read_some(struct reading *reading, const char *bytes, size_t size)
{
        struct frame frame;
        int result = 0;

        while (size > 0 && result >= 0) {
                size_t room, part;
                void *at = frame_reserve(&reading->reader, &room);

                ck_assert_ptr_nonnull(at);
                part = size < room ? size : room;
                memcpy(at, bytes, part);
                frame_commit(&reading->reader, part);
                bytes += part;
                size -= part;
                while ((result = frame_next(&reading->reader, &frame)) > 0) {
                        note(reading, &frame);
                        block_unref(frame.block);
                }
        }
        return result;
}

static void end_reading(struct reading *reading)
{
        frame_reader_deinit(&reading->reader);
}

/* Whole, and in two pieces, and byte by byte. */
static void check_reading(const char *bytes, size_t size, size_t max, const char *expected)
{
        for (size_t cut = 0; cut <= size; cut += size < 1000 || cut < 200 ? 1 : 997) {
                struct reading reading;
                struct frame frame;

                begin_reading(&reading, max);
                ck_assert_int_eq(read_some(&reading, bytes, cut), 0);
                ck_assert_int_eq(read_some(&reading, bytes + cut, size - cut), 0);
                ck_assert_msg(strcmp(reading.said, expected) == 0, "cut at %zu: %s", cut, reading.said);
                ck_assert_int_eq(frame_finish(&reading.reader, &frame), 0);
                ck_assert_uint_eq(frame_held(&reading.reader), 0);
                end_reading(&reading);
        }
        if (size < 1000) {
                struct reading reading;

                begin_reading(&reading, max);
                for (size_t i = 0; i < size; i++)
                        ck_assert_int_eq(read_some(&reading, bytes + i, 1), 0);
                ck_assert_str_eq(reading.said, expected);
                end_reading(&reading);
        }
}

/* A message with some answers in it, and a PING behind. */
static size_t make_message(char *message, size_t room, const char *items)
{
        return (size_t)snprintf(message, room, "HMSG " INBOX "17 1 28 %zu\r\n" NATS_BATCH_HEADERS "%s\r\nPING\r\n", 28 + strlen(items), items);
}

START_TEST(what_was_gathered_is_read)
{
        char message[1000];
        size_t size, begin_of_sizes;

        begin(true);
        answer(INBOX "17", ferry_value_pack("'hello'"));
        answer(INBOX "18", NULL);
        answer(INBOX "19", ferry_value_pack("{a: 1}"));
        /* As a server passes it on. */
        begin_of_sizes = strlen("HPUB " LONE);
        size = (size_t)snprintf(message, sizeof message, "HMSG " LONE " 1%.*sPING\r\n", (int)(buffer_size(&buffer) - begin_of_sizes),
                                (const char *)buffer_bytes(&buffer) + begin_of_sizes);
        end();
        begin(false);
        check_reading(message, size, 1000, "17=hello:bytes 18=:bytes 19={\"a\":1}:json PING ");
        end();
}
END_TEST

START_TEST(what_stands_in_a_message_is_nothing_else_than_answers)
{
        static const struct {
                const char *items, *expected;
        } cases[] = {
                { "1 1\r\na", "1=a:bytes PING " },
                { "1  1 \r\na2 0\r\n", "1=a:bytes 2=:bytes PING " },
                { "1 1 php\r\na", "!1 PING " },
                { "1 4 php\r\ni:1;2 1\r\nb", "1=i:1;:php 2=b:bytes PING " },
                { "1 1 unknown\r\na2 1\r\nb", "!1 2=b:bytes PING " },
                { "", "!1 PING " },
                { "1 1\r\naINFO {}\r\n", "1=a:bytes !1 PING " },
                { "-ERR 'Authorization Violation'\r\n", "!1 PING " },
                { "MSG " INBOX "2 1 1\r\nb\r\n", "!1 PING " },
                { "PING\r\n2 1\r\nb", "!1 PING " },
                { "\r\n2 1\r\nb", "!1 PING " },
                { "1 1\r\na\r\n", "1=a:bytes !1 PING " },
                { "1 2\r\na", "!1 PING " },
                { "1 3\r\na", "!1 PING " },
                { "1 99999999\r\na", "!1 PING " },
                { "1 999999999999999999999\r\na", "!1 PING " },
                { "1 -1\r\na", "!1 PING " },
                { "1\r\na", "!1 PING " },
                { "1 1 php more\r\na", "!1 PING " },
                { "1 1\na", "!1 PING " },
                { "1 1", "!1 PING " },
                { "1", "!1 PING " },
                { "a 1\r\na", "!1 PING " },
                { "1 1                                                             \r\na", "!1 PING " },
        };
        char message[1000];

        begin(false);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                check_reading(message, make_message(message, sizeof message, cases[i].items), 1000, cases[i].expected);
        end();
}
END_TEST

/* The limit is for each answer. */
START_TEST(large_answers_among_others)
{
        enum { LARGE = 40000, ROOM = LARGE + 1000 };
        static char items[ROOM], message[ROOM];
        static const char last[] = "3 1\r\nc";
        char expected[200];

        begin(false);
        /* Also as the last one. */
        for (int is_last = 0; is_last < 2; is_last++) {
                size_t size;

                snprintf(items, sizeof items, "1 1\r\na2 %d\r\n%0*d%s", LARGE, LARGE, 1, is_last ? "" : last);
                size = make_message(message, sizeof message, items);
                snprintf(expected, sizeof expected, "1=a:bytes 2=%040d:bytes %sPING ", 0, is_last ? "" : "3=c:bytes ");
                check_reading(message, size, LARGE + 20, expected);
                check_reading(message, size, 1000, is_last ? "1=a:bytes +2 1 PING " : "1=a:bytes +2 1 3=c:bytes PING ");
        }
        end();
}
END_TEST

START_TEST(the_end_in_the_middle_of_several_is_one)
{
        char message[1000];
        size_t size = make_message(message, sizeof message, "1 1\r\na2 1\r\nb") - strlen("PING\r\n");

        begin(false);
        for (size_t cut = 1; cut < size; cut++) {
                struct reading reading;
                struct frame frame;

                begin_reading(&reading, 1000);
                ck_assert_int_eq(read_some(&reading, message, cut), 0);
                ck_assert_msg(frame_finish(&reading.reader, &frame) == -ECONNRESET, "%zu", cut);
                end_reading(&reading);
        }
        end();
}
END_TEST

/* Which asks for nothing. */
START_TEST(a_listener_takes_no_answers)
{
        char message[1000];

        begin(true);
        check_reading(message, make_message(message, sizeof message, "1 1\r\na2 1\r\nb"), 1000, "!1 !1 PING ");
        end();
}
END_TEST

/* Other headers, also such as begin alike. */
START_TEST(a_message_with_other_headers_is_one)
{
        static const char *const messages[] = {
                "HMSG " INBOX "17 1 29 35\r\nNATS/1.0\r\nFerry-Batch: 12\r\n\r\n1 1\r\na\r\n",
                "HMSG " INBOX "17 1 12 18\r\nNATS/1.0\r\n\r\n1 1\r\na\r\n",
                "HMSG " INBOX "17 1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        };

        begin(false);
        for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
                size_t header, size = strlen(messages[i]);
                uint64_t payload;

                ck_assert_int_eq(framing_nats.measure(messages[i], size, &header, &payload), 1);
                ck_assert(header == 0 && payload == size);
        }
        end();
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(answers_to_one_client_are_gathered),
        SUITE_TEST(a_first_answer_with_a_codec_loses_its_headers),
        SUITE_TEST(only_what_may_be_gathered_is),
        SUITE_TEST(only_the_last_message_that_is_whole_grows),
        SUITE_TEST(no_message_is_larger_than_its_limit_or_that_of_the_server),
        SUITE_TEST(an_answer_that_fails_leaves_the_others_as_they_are),
        SUITE_TEST(an_answer_that_is_too_large_for_the_message_is_the_next_one),
        SUITE_TEST(nothing_is_added_to_what_an_own_codec_has_written),
        SUITE_TEST(the_line_of_an_answer_is_one_that_is_read),
        SUITE_TEST(what_was_gathered_is_read),
        SUITE_TEST(what_stands_in_a_message_is_nothing_else_than_answers),
        SUITE_TEST(large_answers_among_others),
        SUITE_TEST(the_end_in_the_middle_of_several_is_one),
        SUITE_TEST(a_listener_takes_no_answers),
        SUITE_TEST(a_message_with_other_headers_is_one),
};

SUITE_MAIN("nats-batch", tests)
