/* Sessions in the dialect pcntl over a socketpair, byte for byte; the test is the other side. A real one reads a frame with
 * one read: so each leaves by one send, or not at all. What comes may be cut anywhere; what is no message ends the session,
 * since it is no longer known what the next one answers. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CLASS "Sweikenb\\Library\\Pcntl\\Model\\Ipc\\MessageModel"
#define TOPIC(length, topic) "s:5:\"topic\";s:" length ":\"" topic "\";"
#define PAYLOAD(payload) "s:7:\"payload\";" payload
#define MODEL(count, properties) "O:45:\"" CLASS "\":" count ":{" properties "}"

enum { TIMEOUT_MS = 5000, WHOLE_MAX = 128 << 10, SENDS_MAX = 64, ROUNDS_MAX = 100000 };

static struct {
        size_t count;
        size_t asked[SENDS_MAX];
} sends;

static ssize_t note_send(enum door_call call, int fd, size_t size)
{
        (void)fd;
        if (call == DOOR_send || call == DOOR_write) {
                if (sends.count < SENDS_MAX)
                        sends.asked[sends.count] = size;
                sends.count++;
        }
        return (ssize_t)size;
}

static void settle(struct raw *raw)
{
        int rounds = 0;

        while (ferry_loop_tick(raw->loop, 0) == 1)
                SUITE_CHECK(++rounds < ROUNDS_MAX, "the loop has something to do for ever");
}

static void begin(struct raw *raw, size_t frame_max)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_PCNTL, .frame_max = frame_max };

        raw_open(raw, RAW_SOCKET, &options);
        door_stop_clock(0);
        settle(raw);
        memset(&sends, 0, sizeof sends);
        door_limit = note_send;
}

/* A frame as the library writes it; @payload is serialized. The caller's. */
static char *make(const char *topic, const char *payload, size_t *ret_size)
{
        size_t size = strlen(topic) + strlen(payload) + 160;
        char *object = malloc(size), *frame = malloc(size);
        int length = snprintf(object, size, "O:45:\"%s\":2:{s:5:\"topic\";s:%zu:\"%s\";s:7:\"payload\";%s}", CLASS,
                              strlen(topic), topic, payload);

        *ret_size = (size_t)snprintf(frame, size, "%d#%s", length, object);
        free(object);
        return frame;
}

static void say(struct raw *raw, const char *topic, const char *payload)
{
        size_t size;
        char *frame = make(topic, payload, &size);

        raw_write(raw, frame, size);
        free(frame);
}

static void say_payload(struct raw *raw, const char *payload, size_t size)
{
        char head[24];

        raw_write(raw, head, (size_t)snprintf(head, sizeof head, "%zu#", size));
        raw_write(raw, payload, size);
}

/* Up to @size bytes that are there, or come while the loop runs. */
static size_t read_up(struct raw *raw, char *bytes, size_t size)
{
        size_t filled = 0;

        while (filled < size) {
                ssize_t got = recv(raw->in, bytes + filled, size - filled, MSG_DONTWAIT);

                if (got == 0)
                        break;
                if (got > 0)
                        filled += (size_t)got;
                else if (ferry_loop_tick(raw->loop, 0) != 1 && recv(raw->in, bytes, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
                        break;
        }
        return filled;
}

static void expect(struct raw *raw, const char *topic, const char *payload)
{
        size_t size, got;
        char *frame = make(topic, payload, &size), *bytes = calloc(1, size + 1);

        got = read_up(raw, bytes, size);
        SUITE_CHECK(got == size && memcmp(bytes, frame, size) == 0, "%zu of %zu bytes: %.300s, not %.300s", got, size, bytes,
                    frame);
        free(bytes);
        free(frame);
}

static const ferry_message *hear(struct raw *raw, const char *topic)
{
        const ferry_message *message = ferry_session_next(raw->session, 0);

        ck_assert_msg(message != NULL, "nothing comes: %s", ferry_session_error(raw->session));
        ck_assert_int_eq(ferry_message_kind(message), FERRY_KIND_MESSAGE);
        ck_assert_str_eq(ferry_message_type(message), topic);
        ck_assert_str_eq(ferry_message_id(message), "");
        return message;
}

/* It has ended with that, once what was heard is fetched; the other side has the end. */
static void expect_end(struct raw *raw, int code)
{
        const ferry_message *message;

        settle(raw);
        while ((message = ferry_session_next(raw->session, 0)))
                ck_assert_int_ne(ferry_message_kind(message), FERRY_KIND_ERROR);
        ck_assert_msg(ferry_session_status(raw->session) == code, "%d: %s", ferry_session_status(raw->session),
                      ferry_session_error(raw->session));
        if (code)
                ck_assert(*ferry_session_error(raw->session));
        ck_assert(raw_has_ended(raw));
}

/* Out ------------------------------------------------------------------------------------------------- */

START_TEST(each_frame_leaves_by_one_send)
{
        static const struct {
                const char *topic, *payload;
        } said[] = {
                { "hello child", "N;" },
                { "", "s:0:\"\";" },
                { "b", "b:0;" },
                { "12#34#", "s:1:\"#\";" },
                { "i", "i:-9223372036854775808;" },
                { "d", "d:0.1;" },
                { "list", "a:3:{i:0;i:1;i:1;a:0:{}i:2;a:1:{s:1:\"a\";N;}}" },
                { "\xff\xfe\"};\n\x01", "s:2:\"\"}\";" },
                { "App\\Task", "a:2:{i:1;s:1:\"x\";s:4:\"deep\";a:1:{s:4:\"deep\";a:1:{s:4:\"deep\";a:1:{i:0;b:1;}}}}" },
                { "object", "O:1:\"A\":1:{s:5:\"topic\";s:1:\"x\";}" },
        };
        struct raw raw;

        begin(&raw, 0);
        for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
                FERRY_AUTO(ferry_value) body = NULL;
                size_t size, offset;

                free(make(said[i].topic, said[i].payload, &size));
                sends.count = 0;
                ck_assert_int_eq(ferry_codec_decode(ferry_codec_php(), said[i].payload, strlen(said[i].payload), &body,
                                                    &offset), 0);
                ck_assert_msg(ferry_session_notify(raw.session, said[i].topic, "%p", (void *)body) == 0, "%s",
                              ferry_session_error(raw.session));
                expect(&raw, said[i].topic, said[i].payload);
                ck_assert_uint_eq(sends.count, 1);
                ck_assert_uint_eq(sends.asked[0], size);
        }
        ck_assert_int_eq(ferry_session_flush(raw.session, 0), 0);
        ck_assert(raw_is_silent(&raw));
        raw_close(&raw);
}
END_TEST

/* 128 KiB with all that stands around the text, or the limit of the session; and one byte more. */
START_TEST(the_limit_of_a_frame)
{
        size_t limit = _i == 0 ? WHOLE_MAX : 1000, rest = _i == 0 ? 110 : 104;
        char *text = malloc(limit), *payload = malloc(limit + 32);
        struct raw raw;
        size_t size;

        memset(text, 'x', limit);
        begin(&raw, _i == 0 ? 0 : 1000);
        snprintf(payload, limit, "s:%zu:\"%.*s\";", limit - rest, (int)(limit - rest), text);
        free(make("t", payload, &size));
        ck_assert_uint_eq(size, limit);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "%.*s", (int)(limit - rest + 1), text), -EMSGSIZE);
        ck_assert_int_eq(ferry_session_notify(raw.session, "tt", "%.*s", (int)(limit - rest), text), -EMSGSIZE);
        ck_assert_int_eq(ferry_session_flush(raw.session, 0), -EMSGSIZE);
        ck_assert(raw_is_silent(&raw));
        ck_assert_uint_eq(sends.count, 0);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "%.*s", (int)(limit - rest), text), 0);
        expect(&raw, "t", payload);
        ck_assert_uint_eq(sends.count, 1);
        ck_assert_uint_eq(sends.asked[0], limit);
        /* What comes may have as many bytes in its payload as are taken here. */
        if (_i == 0) {
                char *large = malloc(1 << 18);

                snprintf(large, 1 << 18, "s:%d:\"%0*d\";", 200000, 200000, 7);
                say(&raw, "large", large);
                settle(&raw);
                ck_assert_uint_eq(strlen(ferry_message_text(hear(&raw, "large"))), 200000);
                free(large);
        }
        raw_close(&raw);
        free(text);
        free(payload);
}
END_TEST

/* A socket that takes no more: nothing of a frame leaves before all of it can. */
START_TEST(frames_are_never_cut)
{
        char *text = calloc(1, 100001), *payload = malloc(100100), *bytes = malloc(1 << 23);
        size_t size, got = 0;
        ssize_t part;
        struct raw raw;

        memset(text, 'x', 100000);
        snprintf(payload, 100100, "s:100000:\"%s\";", text);
        free(make("t", payload, &size));
        begin(&raw, 0);
        for (int i = 0; i < 40; i++)
                ck_assert_int_eq(ferry_session_notify(raw.session, "t", "%s", text), 0);
        settle(&raw);
        while ((part = recv(raw.in, bytes + got, (1 << 23) - got, MSG_DONTWAIT)) > 0)
                got += (size_t)part;
        ck_assert_uint_gt(got, 0);
        ck_assert_uint_lt(got, 40 * size);
        ck_assert_uint_eq(got % size, 0);
        /* Nor was any tried that would not have been taken whole. */
        ck_assert_uint_eq(sends.count, got / size);
        for (size_t i = got / size; i < 40; i++)
                expect(&raw, "t", payload);
        ck_assert_uint_eq(sends.count, 40);
        ck_assert(raw_is_silent(&raw));
        raw_close(&raw);
        free(text);
        free(payload);
        free(bytes);
}
END_TEST

/* Both say more than the socket holds before either reads: the session reads all the same. */
START_TEST(both_may_say_much_at_once)
{
        char *text = calloc(1, 100001), *payload = malloc(100100);
        struct raw raw;

        memset(text, 'y', 100000);
        snprintf(payload, 100100, "s:100000:\"%s\";", text);
        begin(&raw, 0);
        for (int i = 0; i < 50; i++)
                ck_assert_int_eq(ferry_session_notify(raw.session, "t", "%s", text), 0);
        /* This waits for room, and reads nothing. */
        for (int i = 0; i < 50; i++)
                say(&raw, "u", payload);
        settle(&raw);
        for (int i = 0; i < 50; i++) {
                expect(&raw, "t", payload);
                ck_assert_str_eq(ferry_message_text(hear(&raw, "u")), text);
        }
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
        free(text);
        free(payload);
}
END_TEST

/* In -------------------------------------------------------------------------------------------------- */

#define FIRST MODEL("2", TOPIC("5", "first") PAYLOAD("a:1:{s:1:\"k\";s:4:\"9#b;\";}"))
#define OLDER_INNER "a:2:{" TOPIC("1", "c") PAYLOAD("i:7;") "}"
#define THIRD MODEL("2", TOPIC("0", "") PAYLOAD("N;"))
static const char conversation[] = "120#" FIRST "0000000102#C:45:\"" CLASS "\":44:{" OLDER_INNER "}" "0092#" THIRD;

static void expect_conversation(struct raw *raw)
{
        const ferry_message *message = hear(raw, "first");

        ck_assert_str_eq(ferry_value_text(ferry_message_get(message, "k"), ""), "9#b;");
        message = hear(raw, "c");
        ck_assert_int_eq(ferry_value_int(ferry_message_body(message), 0), 7);
        message = hear(raw, "");
        ck_assert_int_eq(ferry_value_kind(ferry_message_body(message)), FERRY_VALUE_NULL);
        ck_assert_ptr_null(ferry_session_next(raw->session, 0));
        ck_assert_int_eq(ferry_session_status(raw->session), 1);
}

START_TEST(frames_may_come_in_pieces)
{
        size_t size = sizeof conversation - 1;
        struct raw raw;

        begin(&raw, 0);
        for (size_t cut = 1; cut <= size; cut++) {
                raw_write(&raw, conversation, cut);
                settle(&raw);
                raw_write(&raw, conversation + cut, size - cut);
                settle(&raw);
                expect_conversation(&raw);
        }
        for (size_t i = 0; i < size; i++) {
                raw_write(&raw, conversation + i, 1);
                settle(&raw);
        }
        expect_conversation(&raw);
        raw_close(&raw);
}
END_TEST

/* A peer that goes within a frame has broken off; one that goes between two has not. */
START_TEST(the_end_within_a_frame)
{
        for (size_t cut = 0; cut <= 4 + sizeof FIRST - 1; cut++) {
                struct raw raw;

                begin(&raw, 0);
                raw_write(&raw, conversation, cut);
                raw_end(&raw);
                settle(&raw);
                if (cut == 4 + sizeof FIRST - 1)
                        hear(&raw, "first");
                expect_end(&raw, cut == 0 || cut == 4 + sizeof FIRST - 1 ? 0 : -ECONNRESET);
                raw_close(&raw);
        }
}
END_TEST

static const struct bad {
        const char *bytes;
        int code;
} bad_lengths[] = {
        { "x5#", -EBADMSG },          { "#", -EBADMSG },           { "##", -EBADMSG },
        { "0#", -EBADMSG },           { "9999999999#", -EMSGSIZE }, { "99999999999", -EBADMSG },
        { "00000000004#b:0;", -EBADMSG }, { "-5#", -EBADMSG },     { "+4#b:0;", -EBADMSG },
        { " 4#b:0;", -EBADMSG },      { "4 #b:0;", -EBADMSG },     { "4\n", -EBADMSG },
        { "0x4#", -EBADMSG },         { "4.0#", -EBADMSG },        { "4097#", -EMSGSIZE },
        { "4294967297#", -EMSGSIZE }, { "\xf3\x4a\x9d\xe2", -EBADMSG }, { "O:45:\"", -EBADMSG },
};

/* What was said before is heard, what comes behind is not. */
START_TEST(bad_lengths_end_the_session)
{
        const struct bad *bad = &bad_lengths[_i / 2];
        struct raw raw;

        begin(&raw, 4096);
        if (_i % 2)
                say(&raw, "good", "N;");
        raw_write(&raw, bad->bytes, strlen(bad->bytes));
        say(&raw, "bad", "N;");
        settle(&raw);
        if (_i % 2)
                hear(&raw, "good");
        expect_end(&raw, bad->code);
        ck_assert_uint_le(door_counts.largest, 1 << 16);
        raw_close(&raw);
}
END_TEST

#define BAD(bytes) { bytes, sizeof(bytes) - 1 }
static const struct {
        const char *bytes;
        size_t size;
} bad_payloads[] = {
        BAD("b:0;"), BAD("N;"), BAD("s:5:\"topic\";"), BAD("garbage"),
        BAD("a:2:{" TOPIC("1", "t") PAYLOAD("N;") "}"),
        BAD(MODEL("0", "")), BAD(MODEL("1", PAYLOAD("N;"))),
        BAD(MODEL("2", "s:5:\"topic\";i:5;" PAYLOAD("N;"))), BAD(MODEL("2", "s:5:\"topic\";N;" PAYLOAD("N;"))),
        BAD(MODEL("2", "s:5:\"Topic\";s:1:\"t\";" PAYLOAD("N;"))),
        BAD(MODEL("2", TOPIC("1", "t") PAYLOAD("N"))), BAD(MODEL("2", TOPIC("2", "t") PAYLOAD("N;"))),
        BAD(MODEL("2", TOPIC("1", "t") PAYLOAD("N;")) " "), BAD(MODEL("3", TOPIC("1", "t") PAYLOAD("N;"))),
        BAD("o:45:\"" CLASS "\":2:{" TOPIC("1", "t") PAYLOAD("N;") "}"),
        BAD("C:45:\"" CLASS "\":43:{" OLDER_INNER "}"), BAD("C:45:\"" CLASS "\":45:{" OLDER_INNER "}"),
        BAD("C:45:\"" CLASS "\":4:{b:0;}"), BAD("C:45:\"" CLASS "\":0:{}"), BAD("C:45:\"" CLASS "\":"),
        BAD("C:45:\"" CLASS "\":44:{" OLDER_INNER), BAD("C:45:\"" CLASS "\":44:{" OLDER_INNER "} "),
        BAD("C:45:\"" CLASS "\":6:{a:0:{}}"), BAD("C:1:\"X\":44:{" OLDER_INNER "}"),
        BAD("E:7:\"Suit:Up\";"),
};
#undef BAD

START_TEST(payloads_that_are_no_message_end_the_session)
{
        struct raw raw;

        begin(&raw, 0);
        say(&raw, "good", "N;");
        say_payload(&raw, bad_payloads[_i].bytes, bad_payloads[_i].size);
        say(&raw, "bad", "N;");
        settle(&raw);
        hear(&raw, "good");
        expect_end(&raw, -EBADMSG);
        ck_assert(strstr(ferry_session_error(raw.session), "the other side sent "));
        raw_close(&raw);
}
END_TEST

static const ferry_value *hear_payload(struct raw *raw, const char *payload, size_t size, const char *topic)
{
        say_payload(raw, payload, size);
        settle(raw);
        return ferry_message_body(hear(raw, topic));
}

#define HEAR(raw, payload, topic) hear_payload(raw, payload, sizeof(payload) - 1, topic)

/* Wherever it comes from: a topic makes an object a message. */
START_TEST(payloads_that_are_messages)
{
        const ferry_value *body;
        struct raw raw;

        begin(&raw, 0);
        body = HEAR(&raw, "O:10:\"My\\Message\":3:{s:5:\"other\";d:1;" TOPIC("1", "t") PAYLOAD("i:5;") "}", "t");
        ck_assert_int_eq(ferry_value_int(body, 0), 5);
        body = HEAR(&raw, "O:8:\"stdClass\":2:{" PAYLOAD("b:1;") TOPIC("1", "t") "}", "t");
        ck_assert(ferry_value_bool(body, false));
        /* No payload is null. */
        body = HEAR(&raw, MODEL("1", TOPIC("4", "none")), "none");
        ck_assert_ptr_nonnull(body);
        ck_assert_int_eq(ferry_value_kind(body), FERRY_VALUE_NULL);
        body = HEAR(&raw, "C:45:\"" CLASS "\":29:{a:1:{" TOPIC("4", "none") "}}", "none");
        ck_assert_ptr_nonnull(body);
        ck_assert_int_eq(ferry_value_kind(body), FERRY_VALUE_NULL);
        body = HEAR(&raw, MODEL("2", TOPIC("4", "null") PAYLOAD("N;")), "null");
        ck_assert_int_eq(ferry_value_kind(body), FERRY_VALUE_NULL);
        /* A message in a message, which is not looked into. */
        body = HEAR(&raw, MODEL("2", TOPIC("5", "outer") PAYLOAD(MODEL("2", TOPIC("5", "inner") PAYLOAD("i:1;")))), "outer");
        ck_assert_int_eq(ferry_value_kind(body), FERRY_VALUE_OBJECT);
        ck_assert_str_eq(ferry_value_text(ferry_value_get(body, "topic"), ""), "inner");
        body = HEAR(&raw, MODEL("2", PAYLOAD("a:1:{s:5:\"topic\";s:1:\"x\";}") TOPIC("4", "last")), "last");
        ck_assert_str_eq(ferry_value_text(ferry_value_get(body, "topic"), ""), "x");
        /* References: to the topic, within the payload. */
        body = HEAR(&raw, MODEL("2", TOPIC("1", "t") PAYLOAD("R:2;")), "t");
        ck_assert_str_eq(ferry_value_text(body, ""), "t");
        body = HEAR(&raw, MODEL("2", TOPIC("1", "t") PAYLOAD("a:2:{i:0;a:1:{i:0;i:8;}i:1;R:4;}")), "t");
        ck_assert_int_eq(ferry_value_int(ferry_value_at(ferry_value_at(body, 1), 0), 0), 8);
        /* Any bytes. */
        body = HEAR(&raw, MODEL("2", TOPIC("9", "\";}#\xff\xc3\n\x01 ") PAYLOAD("s:3:\"\0\xff\"\";")), "\";}#\xff\xc3\n\x01 ");
        ck_assert(memcmp(ferry_value_bytes(body, NULL), "\0\xff\"", 3) == 0);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

/* An object that is its own payload would be without end. */
START_TEST(references_that_go_round)
{
        struct raw raw;

        begin(&raw, 0);
        say_payload(&raw, MODEL("2", TOPIC("1", "t") PAYLOAD("r:1;")),
                    sizeof MODEL("2", TOPIC("1", "t") PAYLOAD("r:1;")) - 1);
        settle(&raw);
        while (ferry_session_next(raw.session, 0))
                ;
        say(&raw, "then", "N;");
        settle(&raw);
        /* Told as an error, or the end; but never a body. */
        ck_assert(ferry_session_status(raw.session) < 0 || ferry_session_next(raw.session, 0));
        raw_close(&raw);
}
END_TEST

/* Requests --------------------------------------------------------------------------------------------- */

static void expect_reply(ferry_call *call, const char *topic, int number)
{
        const ferry_message *reply = ferry_call_await(call);

        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_type(reply), topic);
        ck_assert_int_eq(ferry_message_kind(reply), FERRY_KIND_RESPONSE);
        ck_assert_int_eq(ferry_value_int(ferry_message_body(reply), -1), number);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_REPLIED);
        ferry_call_free(call);
}

static void expect_failed(ferry_call *call, int code, enum ferry_outcome outcome)
{
        ck_assert_msg(ferry_call_status(call) == code, "%d: %s", ferry_call_status(call), ferry_call_error(call));
        ck_assert_int_eq(ferry_call_outcome(call), outcome);
        ferry_call_free(call);
}

START_TEST(one_request_at_a_time)
{
        ferry_call *calls[3];
        struct raw raw;

        begin(&raw, 0);
        /* Before there is a request, a message answers nothing. */
        say(&raw, "before", "i:0;");
        settle(&raw);
        for (int i = 0; i < 3; i++)
                calls[i] = ferry_session_request(raw.session, TIMEOUT_MS, "ask", "%d", i);
        ck_assert_int_eq(ferry_session_notify(raw.session, "behind", NULL), 0);
        expect(&raw, "ask", "i:0;");
        ck_assert(raw_is_silent(&raw));
        say(&raw, "any", "i:10;");
        expect(&raw, "ask", "i:1;");
        ck_assert(raw_is_silent(&raw));
        ck_assert_int_eq(ferry_call_status(calls[1]), 1);
        say(&raw, "answer", "i:12;");
        expect(&raw, "ask", "i:2;");
        expect(&raw, "behind", "N;");
        say(&raw, "last", "i:13;");
        say(&raw, "after", "i:14;");
        settle(&raw);
        expect_reply(calls[0], "any", 10);
        expect_reply(calls[1], "answer", 12);
        expect_reply(calls[2], "last", 13);
        hear(&raw, "before");
        hear(&raw, "after");
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

/* A late answer would be taken for that of the next. */
START_TEST(a_request_without_answer_ends_the_session)
{
        ferry_call *call, *next;
        struct raw raw;

        begin(&raw, 0);
        call = ferry_session_request(raw.session, TIMEOUT_MS, "ask", "1");
        next = ferry_session_request(raw.session, TIMEOUT_MS, "ask", "2");
        expect(&raw, "ask", "i:1;");
        if (_i == 0) {
                ck_assert_ptr_null(ferry_call_await(call));
                expect_failed(call, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN);
        } else
                ferry_call_free(call);
        settle(&raw);
        ck_assert_int_eq(ferry_call_outcome(next), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_lt(ferry_call_status(next), 0);
        ferry_call_free(next);
        expect_end(&raw, _i == 0 ? -ETIMEDOUT : -ECANCELED);
        raw_close(&raw);
}
END_TEST

/* One that has not left is taken back, and all goes on. */
START_TEST(a_request_that_waits_is_taken_back)
{
        ferry_call *call, *next, *last;
        struct raw raw;

        begin(&raw, 0);
        call = ferry_session_request(raw.session, TIMEOUT_MS, "ask", "1");
        next = ferry_session_request(raw.session, TIMEOUT_MS, "ask", "2");
        last = ferry_session_request(raw.session, TIMEOUT_MS, "ask", "3");
        expect(&raw, "ask", "i:1;");
        ferry_call_free(next);
        say(&raw, "ok", "i:1;");
        expect(&raw, "ask", "i:3;");
        say(&raw, "ok", "i:3;");
        expect_reply(call, "ok", 1);
        expect_reply(last, "ok", 3);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

/* The answer is what it is, also if it is no message. */
START_TEST(a_request_whose_peer_breaks)
{
        ferry_call *call;
        struct raw raw;

        begin(&raw, 0);
        call = ferry_session_request(raw.session, TIMEOUT_MS, "ask", "1");
        expect(&raw, "ask", "i:1;");
        if (_i == 0)
                raw_write(&raw, "4#b:0;", 6);
        else if (_i == 1)
                raw_write(&raw, "x5#", 3);
        else
                raw_end(&raw);
        settle(&raw);
        expect_failed(call, _i < 2 ? -EBADMSG : -ECONNRESET, FERRY_OUTCOME_UNKNOWN);
        expect_end(&raw, _i < 2 ? -EBADMSG : 0);
        raw_close(&raw);
}
END_TEST

static int answer(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_message **kept = userdata;

        (void)session;
        if (strcmp(ferry_message_type(message), "keep") == 0) {
                kept[kept[0] != NULL] = ferry_message_ref(message);
                return 1;
        }
        if (strcmp(ferry_message_type(message), "fail") == 0) {
                ck_assert_int_eq(ferry_message_fail(message, "no"), 0);
                return 1;
        }
        if (strcmp(ferry_message_type(message), "nothing") == 0)
                return 0;
        ck_assert_int_eq(ferry_message_reply(message, strcmp(ferry_message_type(message), "rename") == 0 ? "other" : NULL,
                                             "%p", (const void *)ferry_message_body(message)), 0);
        ck_assert_int_eq(ferry_message_reply(message, NULL, NULL), -EALREADY);
        return 1;
}

/* What the other side cannot be told is an event here. */
static int expect_reason(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        ck_assert_ptr_nonnull(strstr(ferry_message_text(message), "closing: no"));
        ++*(int *)userdata;
        return 0;
}

START_TEST(what_is_asked_is_answered)
{
        int reasons = 0;
        ferry_message *kept[2] = { NULL, NULL };
        struct raw raw;

        begin(&raw, 0);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, answer, kept);
        ferry_session_on(raw.session, FERRY_KIND_ERROR, expect_reason, &reasons);
        say(&raw, "same", "a:1:{i:0;d:0.5;}");
        expect(&raw, "same", "a:1:{i:0;d:0.5;}");
        say(&raw, "rename", "N;");
        expect(&raw, "other", "N;");
        /* The reader need not answer. */
        say(&raw, "nothing", "N;");
        ck_assert(raw_is_silent(&raw));
        say(&raw, "keep", "i:1;");
        say(&raw, "keep", "i:2;");
        say(&raw, "same", "i:3;");
        expect(&raw, "same", "i:3;");
        ck_assert(kept[0] && kept[1]);
        ck_assert_int_eq(ferry_message_reply(kept[1], NULL, "2"), 0);
        ck_assert_int_eq(ferry_message_reply(kept[0], NULL, "1"), 0);
        expect(&raw, "keep", "i:2;");
        expect(&raw, "keep", "i:1;");
        ferry_message_unref(kept[0]);
        ferry_message_unref(kept[1]);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        /* An error cannot be said: the end can. */
        say(&raw, "fail", "N;");
        settle(&raw);
        ck_assert(raw_has_ended(&raw));
        ck_assert_int_eq(ferry_session_status(raw.session), -EPROTO);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(raw.session), "closing: no"));
        ck_assert_int_eq(reasons, 1);
        raw_close(&raw);
}
END_TEST

/* Both ask at once: each has the other's request for an answer. That is how the dialect is; neither waits for ever. */
START_TEST(both_ask_at_once)
{
        ferry_message *kept[2] = { NULL, NULL };
        ferry_call *call;
        struct raw raw;

        begin(&raw, 0);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, answer, kept);
        call = ferry_session_request(raw.session, TIMEOUT_MS, "ours", "1");
        say(&raw, "theirs", "i:2;");
        expect(&raw, "ours", "i:1;");
        expect_reply(call, "theirs", 2);
        ck_assert(raw_is_silent(&raw));
        raw_close(&raw);
}
END_TEST

START_TEST(closing_sends_what_is_queued)
{
        struct raw raw;

        begin(&raw, 0);
        ck_assert_int_eq(ferry_session_notify(raw.session, "a", "1"), 0);
        ck_assert_int_eq(ferry_session_notify(raw.session, "b", "2"), 0);
        ck_assert_int_eq(ferry_session_close(raw.session), 0);
        expect(&raw, "a", "i:1;");
        expect(&raw, "b", "i:2;");
        ck_assert(raw_has_ended(&raw));
        raw_close(&raw);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(each_frame_leaves_by_one_send),
        SUITE_LOOP(the_limit_of_a_frame, 2),
        SUITE_TEST(frames_are_never_cut),
        SUITE_TEST(both_may_say_much_at_once),
        SUITE_TEST(frames_may_come_in_pieces),
        SUITE_TEST(the_end_within_a_frame),
        SUITE_LOOP(bad_lengths_end_the_session, 2 * sizeof bad_lengths / sizeof *bad_lengths),
        SUITE_LOOP(payloads_that_are_no_message_end_the_session, sizeof bad_payloads / sizeof *bad_payloads),
        SUITE_TEST(payloads_that_are_messages),
        SUITE_TEST(references_that_go_round),
        SUITE_TEST(one_request_at_a_time),
        SUITE_LOOP(a_request_without_answer_ends_the_session, 2),
        SUITE_TEST(a_request_that_waits_is_taken_back),
        SUITE_LOOP(a_request_whose_peer_breaks, 3),
        SUITE_TEST(what_is_asked_is_answered),
        SUITE_TEST(both_ask_at_once),
        SUITE_TEST(closing_sends_what_is_queued),
};

SUITE_MAIN("pcntl", tests)
