/* Peers that are not this library: which dialect, codec and namespace they speak is found out from what they send and
 * answered in kind, and what the dialect leaves open (unknown kinds, flags, keys, ids) is taken as it says. */
#include "conformance/raw.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static const char *info_text(const struct raw *raw, const char *key, char text[64])
{
        ferry_value *info = ferry_session_info(raw->session);

        snprintf(text, 64, "%s", ferry_value_text(ferry_value_get(info, key), "?"));
        ferry_value_unref(info);
        return text;
}

static int64_t counter(const struct raw *raw, const char *key)
{
        ferry_value *info = ferry_session_info(raw->session);
        int64_t number = ferry_value_int(ferry_value_get(info, key), -1);

        ferry_value_unref(info);
        return number;
}

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static bool has(const struct raw *raw, const char *text)
{
        return memmem(raw->bytes, raw->size, text, strlen(text)) != NULL;
}

/* What a peer asks, and what it must be answered, where PHP's bytes are known: with the length of the
 * class's name, and the root. */
static const struct {
        const char *dialect;
        const char *codec;
        const char *request;
        const char *answer;
} peers[] = {
        { "stream-ipc", "php",
          "O:%s:\"%s\\Envelope\\RequestEnvelope\":2:{s:2:\"id\";s:6:\"4242.1\";s:7:\"request\";O:5:\"App\\T\":1:"
          "{s:1:\"x\";i:5;}}",
          "O:%s:\"%s\\Envelope\\ResponseEnvelope\":2:{s:2:\"id\";s:6:\"4242.1\";s:8:\"response\";O:5:\"App\\T\":1:"
          "{s:1:\"x\";i:5;}}" },
        { "stream-ipc", "json-objects",
          "%.0s{\"__class\":\"%s\\\\Envelope\\\\RequestEnvelope\",\"id\":\"4242.1\",\"request\":{\"__class\":\"App\\\\T\","
          "\"x\":5}}",
          "%.0s{\"__class\":\"%s\\\\Envelope\\\\ResponseEnvelope\",\"id\":\"4242.1\",\"response\":{\"__class\":\"App\\\\T\","
          "\"x\":5}}" },
};

static const char *const roots[] = { "StreamIpc", "PhpStreamIpc" };

enum { PEERS = 2, ROOTS = 2 };

static void print_peer(char *text, size_t size, const char *format, const char *root, size_t class_size)
{
        char length[24];

        snprintf(length, sizeof length, "%zu", strlen(root) + class_size);
        /* Not a literal, but one of those above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, size, format, length, root);
#pragma GCC diagnostic pop
}

/* The program has not set the peer's dialect; it is answered byte for byte as PHP would. */
START_TEST(a_php_peer_is_recognised)
{
        int peer = _i % PEERS;
        const char *root = roots[_i / PEERS % ROOTS];
        char question[512], answer[512], text[64];
        struct raw raw;

        raw_open(&raw, (enum raw_stream)(_i / PEERS / ROOTS), NULL);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, echo, NULL);
        /* Nothing is said before something is heard. */
        ck_assert(raw_is_silent(&raw));
        print_peer(question, sizeof question, peers[peer].request, root, strlen("\\Envelope\\RequestEnvelope"));
        print_peer(answer, sizeof answer, peers[peer].answer, root, strlen("\\Envelope\\ResponseEnvelope"));
        raw_text(&raw, question);
        raw_read(&raw);
        ck_assert_str_eq((char *)raw.bytes, answer);
        ck_assert_str_eq(info_text(&raw, "dialect", text), peers[peer].dialect);
        ck_assert_str_eq(info_text(&raw, "codec", text), peers[peer].codec);
        /* Our own requests go the same way. */
        ferry_call_free(ferry_session_request(raw.session, SAFETY_MS, FERRY_LOG_MESSAGE, "'hi'"));
        raw_read(&raw);
        snprintf(question, sizeof question, peer == 0 ? "%s\\Envelope\\RequestEnvelope" :
                                                        "%s\\\\Envelope\\\\RequestEnvelope", root);
        ck_assert_msg(has(&raw, question), "%s", (char *)raw.bytes);
        snprintf(question, sizeof question, peer == 0 ? "%s\\Message\\LogMessage\":2:{s:7:\"message\";s:2:\"hi\";"
                                                        "s:5:\"level\";s:4:\"info\";}" :
                                                        "%s\\\\Message\\\\LogMessage\",\"message\":\"hi\",\"level\":\"info\"}",
                 root);
        ck_assert_msg(has(&raw, question), "%s", (char *)raw.bytes);
        raw_close(&raw);
}
END_TEST

START_TEST(a_ferry_peer_is_recognised)
{
        struct raw raw;
        char text[64];

        raw_open(&raw, (enum raw_stream)_i, NULL);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, echo, NULL);
        ck_assert(raw_is_silent(&raw));
        raw_send(&raw, RAW_REQUEST, 9, "some type", "x");
        /* hello is the first frame of each direction. */
        raw_read(&raw);
        ck_assert_int_eq(raw.bytes[1], RAW_HELLO);
        raw_read(&raw);
        ck_assert(raw.size == 27 && memcmp(raw.bytes, "\1\4\1\0\0\x9\0\0\0\0\0\0\0\0\0\x9some type\xa1x", 27) == 0);
        ck_assert_str_eq(info_text(&raw, "dialect", text), "ferry");
        raw_close(&raw);
}
END_TEST

/* The first whole frame that decodes counts, not the first frame; and then it stays. */
START_TEST(the_first_that_decodes_counts)
{
        struct raw raw;
        char text[64];

        raw_open(&raw, (enum raw_stream)_i, NULL);
        ferry_session_on(raw.session, FERRY_KIND_ERROR | FERRY_KIND_MESSAGE, NULL, NULL);
        raw_text(&raw, "O:5:\"App\\T\":1:{s:1:\"x\";i:");
        raw_next(&raw, FERRY_KIND_ERROR, NULL);
        raw_text(&raw, "{\"__class\":\"App\\\\T\",\"message\":\"x\"}");
        ck_assert_str_eq(ferry_message_type(raw_next(&raw, FERRY_KIND_NOTIFICATION, "x")), "App\\T");
        ck_assert_str_eq(info_text(&raw, "codec", text), "json-objects");
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "x");
        raw_next(&raw, FERRY_KIND_ERROR, NULL);
        raw_text(&raw, "O:5:\"App\\T\":0:{}");
        raw_next(&raw, FERRY_KIND_ERROR, NULL);
        ck_assert_str_eq(info_text(&raw, "dialect", text), "stream-ipc");
        ck_assert_str_eq(info_text(&raw, "codec", text), "json-objects");
        raw_close(&raw);
}
END_TEST

/* To a peer that has not spoken nothing is said, not even that it is closed. */
START_TEST(a_session_closed_before_it_has_read_says_nothing)
{
        struct raw raw;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        ck_assert(raw_is_silent(&raw));
        ferry_session_close(raw.session);
        ck_assert(raw_has_ended(&raw));
        raw_close(&raw);
}
END_TEST

/* A side that must send first speaks ferry; if that was wrong, the error of the call names what the peer speaks. */
START_TEST(a_timeout_names_the_other_dialect)
{
        struct raw raw;
        ferry_call *call;

        raw_open(&raw, (enum raw_stream)_i, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        raw_text(&raw, "O:5:\"App\\T\":0:{}");
        call = ferry_session_request(raw.session, 50, "t", "'x'");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ck_assert_msg(strstr(ferry_call_error(call), "stream-ipc"), "%s", ferry_call_error(call));
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

/* Error replies of both generations of the PHP library, and ours to them. */
START_TEST(errors_of_both_roots)
{
        const char *root = roots[_i % ROOTS];
        bool is_json = _i / ROOTS == 1, is_old = _i % ROOTS == 1;
        ferry_session_options options = { .dialect = FERRY_DIALECT_STREAM_IPC, .root = root };
        char question[512], class_name[64], answer[512], id[64];
        const char *begin;
        struct raw raw;
        ferry_call *call;

        if (is_json)
                options.codec = ferry_codec_json();
        raw_open(&raw, RAW_SOCKET, &options);
        /* Theirs. */
        call = ferry_session_request(raw.session, SAFETY_MS, "App\\T", "{x: 5}");
        raw_read(&raw);
        snprintf(class_name, sizeof class_name, is_json ? "\"%s\\\\Envelope\\\\RequestEnvelope\"" :
                                                          "\"%s\\Envelope\\RequestEnvelope\"", root);
        ck_assert_msg(has(&raw, class_name), "%s", (char *)raw.bytes);
        snprintf(id, sizeof id, "%d.1", (int)getpid());
        begin = strstr((char *)raw.bytes, id);
        ck_assert_msg(begin != NULL, "%s", (char *)raw.bytes);
        if (is_json)
                snprintf(answer, sizeof answer, "{\"__class\":\"%s\\\\Envelope\\\\ResponseEnvelope\",\"id\":\"%s\","
                         "\"response\":{\"__class\":\"%s\\\\Message\\\\%s}}", root, id, root,
                         is_old ? "LogMessage\",\"message\":\"so sad\",\"level\":\"error\"" :
                                  "ErrorMessage\",\"errorMessage\":\"so sad\"");
        else if (is_old)
                snprintf(answer, sizeof answer, "O:38:\"PhpStreamIpc\\Envelope\\ResponseEnvelope\":2:{s:2:\"id\";s:%d:\"%s\";"
                         "s:8:\"response\";O:31:\"PhpStreamIpc\\Message\\LogMessage\":2:{s:7:\"message\";s:6:\"so sad\";"
                         "s:5:\"level\";s:5:\"error\";}}", (int)strlen(id), id);
        else
                snprintf(answer, sizeof answer, "O:35:\"StreamIpc\\Envelope\\ResponseEnvelope\":2:{s:2:\"id\";s:%d:\"%s\";"
                         "s:8:\"response\";O:30:\"StreamIpc\\Message\\ErrorMessage\":1:{s:12:\"errorMessage\";s:6:\"so sad\";}}",
                         (int)strlen(id), id);
        raw_text(&raw, answer);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        ck_assert_str_eq(ferry_call_error(call), "so sad");
        ck_assert_str_eq(ferry_message_id(ferry_call_reply(call)), id);
        ferry_call_free(call);

        /* Our side: no handler answers this. */
        print_peer(question, sizeof question, peers[is_json].request, root, strlen("\\Envelope\\RequestEnvelope"));
        raw_text(&raw, question);
        raw_read(&raw);
        snprintf(class_name, sizeof class_name, is_json ? "\"%s\\\\Message\\\\%s\"" : "\"%s\\Message\\%s\"", root,
                 is_old ? "LogMessage" : "ErrorMessage");
        ck_assert_msg(has(&raw, class_name), "%s", (char *)raw.bytes);
        if (is_old)
                ck_assert_msg(has(&raw, is_json ? "\"level\":\"error\"" : "s:5:\"level\";s:5:\"error\";"), "%s",
                              (char *)raw.bytes);
        else if (!is_json)
                ck_assert(memmem(raw.bytes, raw.size, "s:44:\"\0StreamIpc\\Message\\ErrorMessage\0errorMessage\";", 51));
        else
                ck_assert(has(&raw, "\"errorMessage\":\""));
        raw_close(&raw);
}
END_TEST

/* To programs the library's own messages have one name, whatever root the peer uses. */
START_TEST(the_library_messages_have_one_name)
{
        const char *root = roots[_i];
        char text[256];
        struct raw raw;

        raw_open(&raw, RAW_SOCKET, NULL);
        snprintf(text, sizeof text, "O:%d:\"%s\\Message\\LogMessage\":2:{s:7:\"message\";s:2:\"hi\";s:5:\"level\";"
                 "s:4:\"info\";}", (int)strlen(root) + 19, root);
        raw_text(&raw, text);
        ck_assert_str_eq(ferry_message_type(raw_next(&raw, FERRY_KIND_NOTIFICATION, "hi")), FERRY_LOG_MESSAGE);
        ck_assert_int_eq(ferry_session_notify(raw.session, FERRY_LOG_MESSAGE, "{message: 'hi', level: 'info'}"), 0);
        raw_read(&raw);
        ck_assert_str_eq((char *)raw.bytes, text);
        raw_close(&raw);
}
END_TEST

/* An old LogMessage of the level error is an error as a response only, and a new one never. */
START_TEST(log_messages_of_the_level_error)
{
        struct raw raw;
        ferry_call *call;
        const ferry_message *reply;
        char text[512], id[32];

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_STREAM_IPC });
        call = ferry_session_request(raw.session, SAFETY_MS, "App\\T", "{}");
        snprintf(id, sizeof id, "%d.1", (int)getpid());
        snprintf(text, sizeof text, "O:35:\"StreamIpc\\Envelope\\ResponseEnvelope\":2:{s:2:\"id\";s:%d:\"%s\";"
                 "s:8:\"response\";O:28:\"StreamIpc\\Message\\LogMessage\":2:{s:7:\"message\";s:2:\"hi\";s:5:\"level\";"
                 "s:5:\"error\";}}", (int)strlen(id), id);
        raw_text(&raw, text);
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(reply), "hi");
        ferry_call_free(call);
        raw_text(&raw, "O:31:\"PhpStreamIpc\\Message\\LogMessage\":2:{s:7:\"message\";s:2:\"ho\";s:5:\"level\";s:5:\"error\";}");
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "ho");
        raw_close(&raw);
}
END_TEST

/* Dialect ferry, from outside ------------------------------------------------------------------------- */

START_TEST(what_is_unknown_is_ignored_or_reported)
{
        unsigned char payload[256];
        struct raw raw;
        size_t size;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        ferry_session_on(raw.session, FERRY_KIND_ERROR | FERRY_KIND_MESSAGE, NULL, NULL);
        /* Keys of a hello, and a frame_max that is none. */
        raw_frame(&raw, "\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x82\xa9" "frame_max\xa1x\xa6" "future\xc3", 37);
        /* Kinds that may be ignored, flags, the answer to nothing, the end of nothing. */
        raw_send(&raw, 0x85, 1, "t", "ignored");
        raw_send(&raw, RAW_RESPONSE, 77, "t", "late");
        raw_send(&raw, RAW_ERROR, 77, "t", "late");
        raw_send(&raw, RAW_CANCEL, 77, "", NULL);
        raw_send(&raw, RAW_PONG, 77, "", NULL);
        size = raw_message(payload, RAW_NOTIFICATION, 0, "t", "flags");
        payload[3] = 0xff;
        raw_frame(&raw, payload, size);
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "flags");
        ck_assert_int_eq(counter(&raw, "dropped"), 2);
        raw_send(&raw, RAW_REFUSED, 0, "", "too much");
        raw_next(&raw, FERRY_KIND_ERROR, "too much");
        raw_send(&raw, 0x70, 1, "t", "x");
        raw_next(&raw, FERRY_KIND_ERROR, NULL);
        raw_send(&raw, RAW_PING, 5, "", NULL);
        raw_expect(&raw, RAW_PONG, 5);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

/* A body without bytes is null. */
START_TEST(no_body_is_null)
{
        struct raw raw;
        const ferry_message *message;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", NULL);
        message = raw_next(&raw, FERRY_KIND_NOTIFICATION, "");
        ck_assert_int_eq(ferry_value_kind(ferry_message_body(message)), FERRY_VALUE_NULL);
        raw_close(&raw);
}
END_TEST

/* Two requests of one id are both answered; the cancel is for the first. */
START_TEST(an_id_used_twice)
{
        struct raw raw;
        ferry_message *first, *second;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST | FERRY_KIND_CANCELLED, NULL, NULL);
        raw_send(&raw, RAW_REQUEST, 4, "t", "one");
        raw_send(&raw, RAW_REQUEST, 4, "t", "two");
        first = ferry_message_ref(raw_next(&raw, FERRY_KIND_REQUEST, "one"));
        second = ferry_message_ref(raw_next(&raw, FERRY_KIND_REQUEST, "two"));
        raw_send(&raw, RAW_CANCEL, 4, "", NULL);
        raw_next(&raw, FERRY_KIND_CANCELLED, "one");
        ck_assert(!ferry_message_is_wanted(first) && ferry_message_is_wanted(second));
        ck_assert_int_eq(ferry_message_reply(first, NULL, "'1'"), -ECANCELED);
        ck_assert_int_eq(ferry_message_reply(second, NULL, "'2'"), 0);
        raw_expect(&raw, RAW_RESPONSE, 4);
        ck_assert(raw_is_silent(&raw));
        ferry_message_unref(first);
        ferry_message_unref(second);
        raw_close(&raw);
}
END_TEST

/* A request that waits for next is gone once its sender has cancelled it. */
START_TEST(cancelled_while_it_waits_for_next)
{
        struct raw raw;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        ferry_session_on(raw.session, FERRY_KIND_MESSAGE, NULL, NULL);
        raw_send(&raw, RAW_REQUEST, 4, "t", "one");
        raw_send(&raw, RAW_CANCEL, 4, "", NULL);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "two");
        raw_next(&raw, FERRY_KIND_NOTIFICATION, "two");
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        ck_assert(raw_is_silent(&raw));
        raw_close(&raw);
}
END_TEST

/* A peer says that it closes: what waits ends, and we end our side, too. */
START_TEST(the_peer_says_that_it_closes)
{
        struct raw raw;
        ferry_call *call;
        ferry_message *request;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, NULL, NULL);
        raw_send(&raw, RAW_REQUEST, 4, "t", "one");
        request = ferry_message_ref(raw_next(&raw, FERRY_KIND_REQUEST, "one"));
        call = ferry_session_request(raw.session, SAFETY_MS, "t", "'x'");
        raw_send(&raw, RAW_BYE, 0, "", NULL);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert(!ferry_message_is_wanted(request));
        ck_assert_int_eq(ferry_message_reply(request, NULL, "'x'"), -ENOTCONN);
        raw_expect(&raw, RAW_REQUEST, 1);
        ck_assert(_i == RAW_OWN || raw_has_ended(&raw));
        raw_end(&raw);
        ck_assert_ptr_null(ferry_session_next(raw.session, SAFETY_MS));
        ck_assert_int_eq(ferry_session_status(raw.session), 0);
        ferry_message_unref(request);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

static int see(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)request;
        ++*(int *)userdata;
        return 0;
}

/* What no handler has seen when the session is closed is refused, and stays unseen; what a handler has seen has failed. */
START_TEST(requests_that_wait_when_the_session_is_closed)
{
        struct raw raw;
        const ferry_message *message;
        int seen = 0;

        raw_open(&raw, RAW_SOCKET, NULL);
        if (_i)
                ferry_session_on(raw.session, FERRY_KIND_REQUEST, see, &seen);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, NULL, NULL);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "news");
        raw_send(&raw, RAW_REQUEST, 4, "t", "one");
        ck_assert(raw_is_silent(&raw));
        ferry_session_close(raw.session);
        raw_expect(&raw, _i ? RAW_ERROR : RAW_REFUSED, 4);
        ck_assert_int_eq(seen, _i);
        message = ferry_session_next(raw.session, 0);
        ck_assert_str_eq(ferry_message_text(message), "news");
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        raw_close(&raw);
}
END_TEST

/* A close frame with that body, in msgpack; the outcome of the requests 1 and 2 behind it. */
static void close_with(const char *body, size_t size, enum ferry_outcome first, enum ferry_outcome second)
{
        unsigned char payload[256];
        ferry_call *calls[2];
        struct raw raw;
        size_t header;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        for (int i = 0; i < 2; i++) {
                calls[i] = ferry_session_request(raw.session, SAFETY_MS, "t", "1");
                raw_expect(&raw, RAW_REQUEST, i + 1);
        }
        header = raw_message(payload, RAW_BYE, 0, "", NULL);
        payload[2] = 1;
        memcpy(payload + header, body, size);
        raw_frame(&raw, payload, header + size);
        for (int i = 0; i < 2; i++) {
                ck_assert_ptr_null(ferry_call_await(calls[i]));
                ck_assert_int_eq(ferry_call_status(calls[i]), -ECONNRESET);
                ck_assert_msg(ferry_call_outcome(calls[i]) == (i ? second : first), "request %d of %zu bytes", i + 1, size);
                ferry_call_free(calls[i]);
        }
        raw_close(&raw);
}

START_TEST(a_close_says_which_requests_were_read)
{
        const enum ferry_outcome UNKNOWN = FERRY_OUTCOME_UNKNOWN, NOT_EXECUTED = FERRY_OUTCOME_NOT_EXECUTED;

        close_with("", 0, UNKNOWN, UNKNOWN);
        close_with("\x81\xa7in_hand\xa0", 10, NOT_EXECUTED, NOT_EXECUTED);
        close_with("\x81\xa7in_hand\xa8\0\0\0\0\0\0\0\1", 18, UNKNOWN, NOT_EXECUTED);
        close_with("\x81\xa7in_hand\xb0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\7", 26, NOT_EXECUTED, UNKNOWN);
        /* What is no list of ids says nothing. */
        close_with("\x81\xa7in_hand\xa7\0\0\0\0\0\0\0", 17, UNKNOWN, UNKNOWN);
        close_with("\x81\xa7in_hand\x01", 10, UNKNOWN, UNKNOWN);
        close_with("\x81\xa7in_hund\xa0", 10, UNKNOWN, UNKNOWN);
        close_with("\xa0", 1, UNKNOWN, UNKNOWN);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_close_says_which_requests_were_read),
        SUITE_LOOP(a_php_peer_is_recognised, PEERS * ROOTS * RAW_STREAMS),
        SUITE_LOOP(a_ferry_peer_is_recognised, RAW_STREAMS),
        SUITE_LOOP(the_first_that_decodes_counts, RAW_STREAMS),
        SUITE_LOOP(a_session_closed_before_it_has_read_says_nothing, RAW_STREAMS),
        SUITE_LOOP(a_timeout_names_the_other_dialect, RAW_STREAMS),
        SUITE_LOOP(errors_of_both_roots, ROOTS * 2),
        SUITE_LOOP(the_library_messages_have_one_name, ROOTS),
        SUITE_TEST(log_messages_of_the_level_error),
        SUITE_LOOP(what_is_unknown_is_ignored_or_reported, RAW_STREAMS),
        SUITE_LOOP(no_body_is_null, RAW_STREAMS),
        SUITE_LOOP(an_id_used_twice, RAW_STREAMS),
        SUITE_LOOP(cancelled_while_it_waits_for_next, RAW_STREAMS),
        SUITE_LOOP(the_peer_says_that_it_closes, RAW_STREAMS),
        SUITE_LOOP(requests_that_wait_when_the_session_is_closed, 2),
};

SUITE_MAIN("conformance-peers", tests)
