/* What other programs, broken ones and hostile ones put on a stream: junk, false headers, frames over the limit, half
 * frames, payloads that do not decode. Where others may write, junk is told and skipped; on a socket it is the end. Bytes
 * of a frame are never searched for frames. A half frame neither hangs a reader nor hides the end. */
#include "conformance/raw.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, EVENTS = FERRY_KIND_MESSAGE | FERRY_KIND_ERROR | FERRY_KIND_JUNK | FERRY_KIND_CANCELLED };

static const char MAGIC[] = "\xf3\x4a\x9d\xe2";

static int64_t counter(const struct raw *raw, const char *name)
{
        ferry_value *info = ferry_session_info(raw->session);
        int64_t number = ferry_value_int(ferry_value_get(info, name), -1);

        ferry_value_unref(info);
        return number;
}

static void open_for_next(struct raw *raw, enum raw_stream stream, const ferry_session_options *options)
{
        raw_open(raw, stream, options);
        ferry_session_on(raw->session, EVENTS, NULL, NULL);
}

/* The streams on which there may be junk. */
enum { JUNK_STREAMS = RAW_STREAMS - 1 };

static enum raw_stream junk_stream(int i)
{
        return (enum raw_stream)(i + 1);
}

START_TEST(junk_between_frames_is_reported)
{
        struct raw raw;
        const char *source = junk_stream(_i) == RAW_SECOND ? "stderr" : "input";
        const ferry_message *junk;

        open_for_next(&raw, junk_stream(_i), NULL);
        raw_write(&raw, "Warning: x\n", 11);
        junk = raw_next(&raw, FERRY_KIND_JUNK, "Warning: x\n");
        ck_assert_str_eq(ferry_message_type(junk), source);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "one");
        raw_write(&raw, "more", 4);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "two");
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "three");
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "one");
        raw_next(&raw, FERRY_KIND_JUNK, "more");
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "two");
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "three");
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        ck_assert_int_eq(counter(&raw, "junk"), 15);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

/* The beginning of a magic is kept back only as long as it may become one. */
START_TEST(what_only_begins_like_a_magic_is_junk)
{
        struct raw raw;

        open_for_next(&raw, junk_stream(_i), NULL);
        raw_write(&raw, "a\xf3\x4a", 3);
        raw_next(&raw, FERRY_KIND_JUNK, "a");
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        raw_write(&raw, "b\xf3\xf3\x4a\x9d", 5);
        raw_next(&raw, FERRY_KIND_JUNK, "\xf3\x4a" "b\xf3");
        raw_write(&raw, "\xe2\0\0\0\x15", 5);
        raw_write(&raw, "\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\xa3yes", 21);
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "yes");
        raw_write(&raw, "\xf3\x4a\x9d", 3);
        raw_end(&raw);
        raw_next(&raw, FERRY_KIND_JUNK, "\xf3\x4a\x9d");
        ck_assert_ptr_null(ferry_session_next(raw.session, SAFETY_MS));
        /* It has not closed as the dialect asks for. */
        ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
        raw_close(&raw);
}
END_TEST

START_TEST(junk_on_a_socket_is_the_end)
{
        static const struct {
                const char *bytes;
                size_t size;
        } junk[] = { { "GET / HTTP/1.1\r\n", 16 }, { "\xf3\x4a\x9dX", 4 },
                     { "\xf3\x4a\x9d\xe2\x7f\xff\xff\xffhello, this is no frame", 31 } };
        struct raw raw;
        ferry_call *call;

        raw_open(&raw, RAW_SOCKET, NULL);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "one");
        call = ferry_session_request(raw.session, SAFETY_MS, "t", "'x'");
        raw_write(&raw, junk[_i].bytes, junk[_i].size);
        /* What came before is still delivered. */
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "one");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EBADMSG);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_UNKNOWN);
        ck_assert_int_eq(ferry_session_status(raw.session), -EBADMSG);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "'x'"), -EBADMSG);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

/* A magic and an impossible length, in the middle of text. */
START_TEST(a_false_header_swallows_nothing)
{
        struct raw raw;
        char junk[64];
        size_t size;

        open_for_next(&raw, junk_stream(_i), NULL);
        size = (size_t)sprintf(junk, "xx%s\x7f\xff\xff\xff and so on, for a while\n", MAGIC);
        raw_write(&raw, junk, size);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "one");
        raw_send(&raw, RAW_REQUEST, 7, "t", "two");
        for (size_t told = 0; told < size;) {
                const ferry_message *message = raw_next(&raw, FERRY_KIND_JUNK, NULL);
                size_t length = strlen(ferry_message_text(message));

                ck_assert_uint_gt(length, 0);
                ck_assert(memcmp(ferry_message_text(message), junk + told, length) == 0);
                told += length;
        }
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "one");
        ck_assert_int_eq(ferry_message_reply(raw_next(&raw, FERRY_KIND_REQUEST, "two"), NULL, "'answer'"), 0);
        raw_expect(&raw, RAW_RESPONSE, 7);
        ck_assert_int_eq(counter(&raw, "junk"), (int64_t)size);
        raw_close(&raw);
}
END_TEST

static size_t begin_envelope(int kind, unsigned char payload[256])
{
        static const char *const texts[] = {
                "O:34:\"StreamIpc\\Envelope\\RequestEnvelope\":2:{s:2:\"id\";s:3:\"9.7\";s:7:\"request\";O:5:\"App\\T\":1:"
                "{s:1:\"t\";s:9000:\"",
                "{\"__class\":\"StreamIpc\\\\Envelope\\\\RequestEnvelope\",\"id\":\"9.7\",\"request\":"
                "{\"__class\":\"App\\\\T\",\"t\":\"",
        };

        if (kind == 0)
                return raw_message(payload, RAW_REQUEST, 7, "App\\T", "");
        strcpy((char *)payload, texts[kind - 1]);
        return strlen(texts[kind - 1]);
}

/* A foreign text, over the limit, that contains whole frames. */
START_TEST(frames_inside_of_a_frame_over_the_limit_are_never_executed)
{
        enum { SIZE = 20000 };
        int stream = _i % RAW_STREAMS, kind = _i / RAW_STREAMS;
        unsigned char *payload = malloc(SIZE), inner[8 + 256];
        size_t at = begin_envelope(kind, payload), size;
        struct raw raw;

        open_for_next(&raw, (enum raw_stream)stream, &(ferry_session_options){ .frame_max = 9000 });
        size = kind == 0 ? raw_message(inner + 8, RAW_REQUEST, 66, "evil", "evil") :
                           (size_t)sprintf((char *)inner + 8, "{\"__class\":\"Evil\"}");
        memcpy(inner, "\xf3\x4a\x9d\xe2\0\0\0", 7);
        inner[7] = (unsigned char)size;
        size += 8;
        while (at + size <= SIZE) {
                memcpy(payload + at, inner, size);
                at += size;
        }
        memset(payload + at, 'x', SIZE - at);
        raw_frame(&raw, payload, SIZE);
        if (kind == 0)
                raw_send(&raw, RAW_NOTIFICATION, 0, "t", "after");
        else if (kind == 1)
                raw_text(&raw, "O:5:\"App\\T\":1:{s:7:\"message\";s:5:\"after\";}");
        else
                raw_text(&raw, "{\"__class\":\"App\\\\T\",\"message\":\"after\"}");
        ck_assert_ptr_nonnull(strstr(ferry_message_text(raw_next(&raw, FERRY_KIND_ERROR, NULL)), "20000 bytes"));
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "after");
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        ck_assert_int_eq(counter(&raw, "junk"), 0);
        /* Its sender is told. */
        if (kind == 0)
                raw_expect(&raw, RAW_REFUSED, 7);
        else {
                raw_read(&raw);
                ck_assert_msg(strstr((char *)raw.bytes, "9.7") != NULL, "%s", (char *)raw.bytes);
                ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, "ErrorMessage", 12));
        }
        ck_assert(raw_is_silent(&raw));
        free(payload);
        raw_close(&raw);
}
END_TEST

/* Frames inside of a frame within the limit are text as well. */
START_TEST(frames_inside_of_a_frame_are_text)
{
        struct raw raw;
        unsigned char payload[256];
        size_t size = raw_message(payload, RAW_NOTIFICATION, 0, "t", "\xf3\x4a\x9d\xe2" "abcdefghijklmn");

        open_for_next(&raw, (enum raw_stream)_i, NULL);
        raw_frame(&raw, payload, size);
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "\xf3\x4a\x9d\xe2" "abcdefghijklmn");
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        raw_close(&raw);
}
END_TEST

START_TEST(half_a_frame_and_then_the_end)
{
        unsigned char payload[256];
        size_t size = raw_message(payload, RAW_NOTIFICATION, 0, "t", "half"), half;
        struct raw raw;
        ferry_call *call;

        half = (size_t)(_i / RAW_SECOND) * size / 8;
        open_for_next(&raw, (enum raw_stream)(_i % RAW_SECOND), NULL);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "whole");
        call = ferry_session_request(raw.session, SAFETY_MS, "t", "'x'");
        raw_write(&raw, "\xf3\x4a\x9d\xe2\0\0\0", 7);
        raw_write(&raw, &(unsigned char){ (unsigned char)size }, 1);
        raw_write(&raw, payload, half);
        raw_end(&raw);
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "whole");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
        ck_assert_msg(strstr(ferry_session_error(raw.session), "in the middle of a message"), "%s",
                      ferry_session_error(raw.session));
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

START_TEST(half_a_frame_and_then_silence)
{
        unsigned char payload[256];
        size_t size = raw_message(payload, RAW_NOTIFICATION, 0, "t", "whole");
        struct raw raw;
        ferry_call *call;

        open_for_next(&raw, (enum raw_stream)_i, NULL);
        raw_write(&raw, "\xf3\x4a\x9d\xe2\0\0\0", 7);
        raw_write(&raw, &(unsigned char){ (unsigned char)size }, 1);
        raw_write(&raw, payload, 3);
        call = ferry_session_request(raw.session, 5, "t", "'x'");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_UNKNOWN);
        ferry_call_free(call);
        ck_assert_ptr_null(ferry_session_next(raw.session, 1));
        /* It lives: the rest may still come, and the late answer. */
        raw_write(&raw, payload + 3, size - 3);
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "whole");
        raw_expect(&raw, RAW_CANCEL, 1);
        raw_send(&raw, RAW_RESPONSE, 1, "t", "late");
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "after");
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "after");
        ck_assert_int_eq(counter(&raw, "dropped"), 1);
        raw_close(&raw);
}
END_TEST

/* The same in the middle of a large frame, which is read into its place. */
START_TEST(half_a_large_frame)
{
        enum { SIZE = 300000 };
        char *payload = malloc(SIZE);
        struct raw raw;
        ferry_call *call;

        memset(payload, 'x', SIZE);
        memcpy(payload, "\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\xdb\0\x04\x93\xca", 22);
        open_for_next(&raw, (enum raw_stream)_i, NULL);
        raw_write(&raw, "\xf3\x4a\x9d\xe2\0\x04\x93\xe0", 8);
        raw_write(&raw, payload, SIZE / 2);
        call = ferry_session_request(raw.session, 5, "t", "'x'");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ferry_call_free(call);
        raw_write(&raw, payload + SIZE / 2, SIZE - SIZE / 2);
        ck_assert_uint_eq(strlen(ferry_message_text(raw_next(&raw, FERRY_KIND_NOTIFICATION, NULL))), SIZE - 22);
        free(payload);
        raw_close(&raw);
}
END_TEST

/* Payloads that do not decode, by dialect: a notification, and a request whose id can be read. */
struct wrong {
        const char *payload;
        size_t size;
        bool is_request;
};

#define WRONG(literal, is_request) { literal, sizeof(literal) - 1, is_request }

static const struct wrong wrong_ferry[] = {
        WRONG("", false),
        WRONG("\1", false),
        WRONG("hello", false),
        WRONG("\2\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\xa1x", false),
        WRONG("\1\2\1\0\0\1\1\0\0\0\0\0\0\0\0\0t\xa1x", false),
        WRONG("\1\x6f\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\xa1x", false),
        WRONG("\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\xc1", false),
        WRONG("\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\xa5x", false),
        WRONG("\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\xa1x\xa1x", false),
        WRONG("\1\2\x63\0\0\1\0\0\0\0\0\0\0\0\0\0t\xa1x", false),
        WRONG("\1\2\1\0\0\2\0\0\0\0\0\0\0\0\0\0\xff\xff\xa1x", false),
        WRONG("\1\2\1\0\0\3\0\0\0\0\0\0\0\0\0\0a\0b\xa1x", false),
        WRONG("\1\2\1\0\xff\xff\0\0\0\0\0\0\0\0\0\0t\xa1x", false),
        WRONG("\1\3\1\0\0\1\0\0\0\0\0\0\0\0\0\7t\xc1", true),
        WRONG("\1\3\x63\0\0\1\0\0\0\0\0\0\0\0\0\7t\xa1x", true),
        WRONG("\1\3\2\0\0\1\0\0\0\0\0\0\0\0\0\7ti:5", true),
        WRONG("\1\3\3\0\0\1\0\0\0\0\0\0\0\0\0\7t{", true),
};

static const struct wrong wrong_php[] = {
        WRONG("", false),
        WRONG("i:5;", false),
        WRONG("a:0:{}", false),
        WRONG("O:5:\"App\\T\":1:{s:1:\"t\";i:5;", false),
        WRONG("O:5:\"App\\T\":1:{s:1:\"t\";i:5;}x", false),
        WRONG("O:5:\"App\\T\":9:{s:1:\"t\";i:5;}", false),
        WRONG("O:5:\"App\\T\":1:{s:1:\"t\";r:9;}", false),
        WRONG("O:34:\"StreamIpc\\Envelope\\RequestEnvelope\":2:{s:2:\"id\";s:3:\"9.7\";s:7:\"request\";i:5;}", true),
        WRONG("O:34:\"StreamIpc\\Envelope\\RequestEnvelope\":2:{s:2:\"id\";s:3:\"9.7\";s:7:\"request\";O:5:\"App\\T\":1:{}}",
              true),
        WRONG("O:34:\"StreamIpc\\Envelope\\RequestEnvelope\":2:{s:2:\"id\";i:7;s:7:\"request\";O:5:\"App\\T\":0:{}}", false),
};

static const struct wrong wrong_json[] = {
        WRONG("[]", false),
        WRONG("{\"a\":1}", false),
        WRONG("{\"__class\":\"App\\\\T\"", false),
        WRONG("{\"__class\":\"App\\\\T\",\"t\":\"\xff\"}", false),
        WRONG("{\"__class\":\"StreamIpc\\\\Envelope\\\\RequestEnvelope\",\"id\":\"9.7\",\"request\":5}", true),
        WRONG("{\"__class\":\"StreamIpc\\\\Envelope\\\\RequestEnvelope\",\"id\":\"9.7\",\"request\":{", true),
        WRONG("{\"__class\":\"StreamIpc\\\\Envelope\\\\RequestEnvelope\",\"id\":7,\"request\":{\"__class\":\"T\"}}", false),
};

static const struct {
        const struct wrong *payloads;
        size_t count;
        const char *right;
        ferry_session_options options;
} wrong[] = { { wrong_ferry, sizeof wrong_ferry / sizeof *wrong_ferry, NULL, { .dialect = FERRY_DIALECT_FERRY } },
              { wrong_php, sizeof wrong_php / sizeof *wrong_php, "O:5:\"App\\T\":1:{s:7:\"message\";s:2:\"ok\";}",
                { .dialect = FERRY_DIALECT_STREAM_IPC } },
              { wrong_json, sizeof wrong_json / sizeof *wrong_json, "{\"__class\":\"App\\\\T\",\"message\":\"ok\"}",
                { .dialect = FERRY_DIALECT_STREAM_IPC } } };

enum { WRONGS = 3 };

START_TEST(what_does_not_decode_is_an_error_and_the_session_lives)
{
        int stream = _i % RAW_STREAMS, dialect = _i / RAW_STREAMS;
        ferry_session_options options = wrong[dialect].options;
        struct raw raw;

        if (dialect == 2)
                options.codec = ferry_codec_json();
        open_for_next(&raw, (enum raw_stream)stream, &options);
        for (size_t i = 0; i < wrong[dialect].count; i++) {
                const struct wrong *payload = &wrong[dialect].payloads[i];
                const ferry_message *error;

                raw_frame(&raw, payload->payload, payload->size);
                error = raw_next(&raw, FERRY_KIND_ERROR, NULL);
                ck_assert_str_ne(ferry_message_text(error), "");
                if (payload->is_request && dialect == 0)
                        raw_expect(&raw, RAW_ERROR, 7);
                else if (payload->is_request) {
                        raw_read(&raw);
                        ck_assert_msg(strstr((char *)raw.bytes, "ResponseEnvelope") &&
                                      strstr((char *)raw.bytes, "\"9.7\""), "%s", (char *)raw.bytes);
                } else
                        ck_assert_msg(raw_is_silent(&raw), "payload %zu of dialect %d is answered", i, dialect);
                if (dialect == 0)
                        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "ok");
                else
                        raw_text(&raw, wrong[dialect].right);
                raw_next(&raw, FERRY_KIND_NOTIFICATION, "ok");
        }
        ck_assert_int_eq(counter(&raw, "junk"), 0);
        raw_close(&raw);
}
END_TEST

/* An answer that does not decode ends its call at once. */
START_TEST(an_answer_that_does_not_decode)
{
        struct raw raw;
        ferry_call *call;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        call = ferry_session_request(raw.session, SAFETY_MS, "t", "'x'");
        raw_expect(&raw, RAW_REQUEST, 1);
        raw_frame(&raw, "\1\4\1\0\0\1\0\0\0\0\0\0\0\0\0\1t\xc1", 18);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EBADMSG);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_REPLIED);
        ferry_call_free(call);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

static int answer_at_length(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session;
        return ferry_message_reply(request, NULL, "%s", (const char *)userdata);
}

static int note_the_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ck_assert_ptr_nonnull(strstr(ferry_session_error(session), "gave up"));
        return 0;
}

/* A peer that has asked and then ends its side may still want the answer: it is sent to its end, however long that takes it to
 * read. */
START_TEST(the_end_of_the_questions_is_not_that_of_the_answers)
{
        enum { SIZE = 60000 };
        char *text = calloc(1, SIZE + 1);
        struct raw raw;

        memset(text, 'x', SIZE);
        raw_open(&raw, (enum raw_stream)_i, NULL);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, answer_at_length, text);
        for (int i = 1; i <= 50; i++)
                raw_send(&raw, RAW_REQUEST, i, "t", NULL);
        raw_end(&raw);
        ferry_session_on(raw.session, FERRY_KIND_CLOSED, note_the_end, NULL);
        for (int i = 1; i <= 50; i++) {
                raw_expect(&raw, RAW_RESPONSE, i);
                ck_assert_uint_gt(raw.size, SIZE);
        }
        while (ferry_session_status(raw.session) == 1)
                ck_assert_int_ge(ferry_loop_tick(raw.loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
        free(text);
        raw_close(&raw);
}
END_TEST

/* The type of a ping, and that of a cancel, is ignored, whatever its bytes. */
START_TEST(the_type_of_a_control_frame_is_ignored)
{
        struct raw raw;

        open_for_next(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        raw_send(&raw, RAW_REQUEST, 7, "t", "x");
        ck_assert_ptr_nonnull(raw_next(&raw, FERRY_KIND_REQUEST, "x"));
        raw_send(&raw, RAW_CANCEL, 7, "\xff", NULL);
        raw_send(&raw, RAW_PING, 9, "\xff\xfe", NULL);
        raw_expect(&raw, RAW_PONG, 9);
        ck_assert_ptr_nonnull(raw_next(&raw, FERRY_KIND_CANCELLED, "x"));
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(junk_between_frames_is_reported, JUNK_STREAMS),
        SUITE_LOOP(what_only_begins_like_a_magic_is_junk, JUNK_STREAMS),
        SUITE_LOOP(junk_on_a_socket_is_the_end, 3),
        SUITE_LOOP(a_false_header_swallows_nothing, JUNK_STREAMS),
        SUITE_LOOP(frames_inside_of_a_frame_over_the_limit_are_never_executed, RAW_STREAMS * 3),
        SUITE_LOOP(frames_inside_of_a_frame_are_text, RAW_STREAMS),
        SUITE_LOOP(half_a_frame_and_then_the_end, RAW_SECOND * 8),
        SUITE_LOOP(half_a_frame_and_then_silence, RAW_STREAMS),
        SUITE_LOOP(half_a_large_frame, RAW_STREAMS),
        SUITE_TEST(the_type_of_a_control_frame_is_ignored),
        SUITE_LOOP(what_does_not_decode_is_an_error_and_the_session_lives, RAW_STREAMS * WRONGS),
        SUITE_LOOP(an_answer_that_does_not_decode, RAW_STREAMS),
        SUITE_LOOP(the_end_of_the_questions_is_not_that_of_the_answers, RAW_STREAMS),
};

SUITE_MAIN("conformance-broken", tests)
