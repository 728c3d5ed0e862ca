/* Descriptions: what a service says of itself reaches clients that ask; limits, old peers, peers that are no service, and clients that
 * ask too often. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KIND_DESCRIBE = 165, HEADER = 8 };

static const ferry_session_options in_ferry = { .dialect = FERRY_DIALECT_FERRY };

/* The body of the answer as JSON, the caller's. */
static char *ask(ferry_session *session)
{
        FERRY_AUTO(ferry_call) call = ferry_session_describe(session, SAFETY_MS);
        const ferry_message *reply = ferry_call_await(call);
        void *text = NULL;
        size_t size;

        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_codec_encode(ferry_codec_json(), ferry_message_body(reply), &text, &size), 0);
        return text;
}

static void require(ferry_session *session, const char *expected)
{
        char *text = ask(session);

        ck_assert_str_eq(text, expected);
        free(text);
}

static void require_end(ferry_session *session, int status, const char *sentence)
{
        FERRY_AUTO(ferry_call) call = ferry_session_describe(session, SAFETY_MS);

        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_msg(ferry_call_status(call) == status && strcmp(ferry_call_error(call), sentence) == 0, "%d: %s",
                      ferry_call_status(call), ferry_call_error(call));
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
}

START_TEST(a_service_describes_itself)
{
        struct place place;
        ferry_service *service;
        ferry_session *client;
        int heard = 0;

        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_MESSAGE, count, &heard);
        client = ferry_session_open(place.loop, place.address, &in_ferry);
        require(client, "[]");
        ck_assert_int_eq(ferry_service_describe(service, "set", "{key: string}", "null", "Stores a value."), 0);
        ck_assert_int_eq(ferry_service_describe(service, "get", NULL, NULL, NULL), 0);
        ck_assert_int_eq(ferry_service_describe(service, "", "", "", "\"\\\n"), 0);
        require(client, "[{\"type\":\"set\",\"in\":\"{key: string}\",\"out\":\"null\",\"text\":\"Stores a value.\"},"
                        "{\"type\":\"get\",\"in\":null,\"out\":null,\"text\":null},"
                        "{\"type\":\"\",\"in\":\"\",\"out\":\"\",\"text\":\"\\\"\\\\\\n\"}]");
        /* A later one takes the place of the first. */
        ck_assert_int_eq(ferry_service_describe(service, "set", NULL, NULL, "ä"), 0);
        ck_assert_int_eq(ferry_service_undescribe(service, ""), 0);
        require(client, "[{\"type\":\"set\",\"in\":null,\"out\":null,\"text\":\"ä\"},"
                        "{\"type\":\"get\",\"in\":null,\"out\":null,\"text\":null}]");
        ck_assert_int_eq(ferry_service_undescribe(service, ""), -ENOENT);
        ck_assert_int_eq(heard, 0);
        require_echo(client);
        close_place(&place);
}
END_TEST

/* Also in shared memory, and among requests that are in flight. */
START_TEST(descriptions_are_answered_among_requests)
{
        ferry_session_options shared = { .dialect = FERRY_DIALECT_FERRY, .shm = FERRY_SHM_ALWAYS };
        struct place place;
        ferry_service *service;
        ferry_session *client;
        ferry_message *kept = NULL;
        ferry_call *call, *questions[3];

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, &(ferry_service_options){ .session = &shared });
        ferry_service_on(service, FERRY_KIND_REQUEST, keep, &kept);
        ferry_service_describe(service, "keep", NULL, NULL, NULL);
        client = ferry_session_open(place.loop, place.address, &shared);
        call = ferry_session_request(client, SAFETY_MS, "keep", NULL);
        for (int i = 0; i < 3; i++)
                questions[i] = ferry_session_describe(client, SAFETY_MS);
        ferry_call_free(questions[1]);
        for (int i = 0; i < 3; i += 2) {
                const ferry_message *reply = ferry_call_await(questions[i]);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(questions[i]));
                ck_assert_uint_eq(ferry_value_count(ferry_message_body(reply)), 1);
                ferry_call_free(questions[i]);
        }
        settle(&place);
        ck_assert_int_eq(ferry_call_status(call), 1);
        ck_assert_ptr_nonnull(kept);
        ferry_message_reply(kept, NULL, "'x'");
        ferry_message_unref(kept);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        close_place(&place);
}
END_TEST

/* Misuse and limits ------------------------------------------------------------------------------------------- */

START_TEST(a_description_is_bounded)
{
        enum { SIZE = 10 << 20 };
        struct place place;
        ferry_service *service;
        ferry_session *client;
        char *text = calloc(1, SIZE + 1), *described, type[32];
        int code = 0, number = 0;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = ferry_session_open(place.loop, place.address, &in_ferry);
        memset(text, 'x', SIZE);
        ck_assert_int_eq(ferry_service_describe(service, "t", NULL, NULL, text), -ENOSPC);
        ck_assert_int_eq(ferry_service_describe(service, "t", text, text, NULL), -ENOSPC);
        ck_assert_int_eq(ferry_service_describe(service, text, NULL, NULL, NULL), -EINVAL);
        require(client, "[]");
        /* What is too much in all; what was there stays, and may be replaced. */
        text[1000] = '\0';
        while (code == 0) {
                snprintf(type, sizeof type, "type-%d", number++);
                code = ferry_service_describe(service, type, NULL, NULL, text);
        }
        ck_assert_int_eq(code, -ENOSPC);
        ck_assert_int_gt(number, 700);
        ck_assert_int_lt(number, 1050);
        ck_assert_int_eq(ferry_service_describe(service, "type-0", NULL, NULL, "short"), 0);
        ck_assert_int_eq(ferry_service_describe(service, type, NULL, NULL, "short"), 0);
        described = ask(client);
        ck_assert_ptr_eq(strstr(described, "[{\"type\":\"type-0\",\"in\":null,\"out\":null,\"text\":\"short\"},{\"type\":\"type-1\""),
                         described);
        free(described);
        free(text);
        close_place(&place);
}
END_TEST

START_TEST(a_description_needs_a_service_and_a_type)
{
        struct place place;
        ferry_service *service;

        open_place(&place);
        service = open_echo(&place, NULL);
        ck_assert_int_eq(ferry_service_describe(service, NULL, "a", "b", "c"), -EINVAL);
        ck_assert_int_eq(ferry_service_describe(service, "\xff", NULL, NULL, NULL), -EINVAL);
        ck_assert_int_eq(ferry_service_describe(service, "t", "\xff", NULL, NULL), -EINVAL);
        ck_assert_int_eq(ferry_service_describe(service, "t", NULL, "\xff", NULL), -EINVAL);
        ck_assert_int_eq(ferry_service_describe(service, "t", NULL, NULL, "\xc3"), -EINVAL);
        ck_assert_int_eq(ferry_service_describe(NULL, "t", NULL, NULL, NULL), -ENOMEM);
        ck_assert_int_eq(ferry_service_undescribe(service, NULL), -EINVAL);
        ck_assert_int_eq(ferry_service_undescribe(NULL, "t"), -ENOMEM);
        require_end(NULL, -ENOMEM, "the session is NULL");
        close_place(&place);
}
END_TEST

START_TEST(a_dialect_without_descriptions_says_so)
{
        static const struct {
                unsigned dialect;
                const char *sentence;
        } dialects[] = { { FERRY_DIALECT_STREAM_IPC, "the dialect stream-ipc has no descriptions" },
                         { FERRY_DIALECT_PCNTL, "the dialect pcntl has no descriptions" },
                         { FERRY_DIALECT_INNMIND, "the dialect innmind has no descriptions" } };
        struct raw raw;
        ferry_call *call;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = dialects[_i].dialect });
        require_end(raw.session, -EOPNOTSUPP, dialects[_i].sentence);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        call = ferry_session_describe(raw.session, -5);
        ck_assert_int_eq(ferry_call_status(call), -EINVAL);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

/* Other peers ------------------------------------------------------------------------------------------------- */

/* It ignores the question, and answers the ping behind it. Other calls go on. */
START_TEST(an_older_peer_does_not_know_the_question)
{
        struct raw raw;
        ferry_call *before, *call, *behind;

        raw_open(&raw, RAW_SOCKET, &in_ferry);
        before = ferry_session_request(raw.session, SAFETY_MS, "t", NULL);
        call = ferry_session_describe(raw.session, SAFETY_MS);
        behind = ferry_session_describe(raw.session, SAFETY_MS);
        raw_expect(&raw, KIND_DESCRIBE, 2);
        raw_expect(&raw, RAW_PING, 1);
        raw_send(&raw, RAW_PONG, 1, "", NULL);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_call_error(call),
                         "the other side has no descriptions: its version of ferry is older, or it is another program");
        ck_assert_int_eq(ferry_call_status(before), 1);
        ck_assert_int_eq(ferry_call_status(behind), 1);
        /* Another one knows it. */
        raw_send(&raw, RAW_RESPONSE, 3, "", "x");
        raw_send(&raw, RAW_PONG, 2, "", NULL);
        ck_assert_msg(ferry_call_await(behind) != NULL, "%s", ferry_call_error(behind));
        raw_send(&raw, RAW_RESPONSE, 1, "t", "x");
        ck_assert_msg(ferry_call_await(before) != NULL, "%s", ferry_call_error(before));
        ferry_call_free(before);
        ferry_call_free(call);
        ferry_call_free(behind);
        raw_close(&raw);
}
END_TEST

static void note_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        ck_assert_ptr_null(reply);
        *(int *)userdata = ferry_call_status(call);
}

START_TEST(the_end_of_a_question_is_called_back)
{
        struct raw raw;
        int status = 1;

        raw_open(&raw, RAW_SOCKET, &in_ferry);
        ferry_call_then(ferry_session_describe(raw.session, SAFETY_MS), note_end, &status);
        raw_expect(&raw, RAW_PING, 1);
        raw_send(&raw, RAW_PONG, 1, "", NULL);
        while (status == 1)
                ck_assert_int_ge(ferry_loop_tick(raw.loop, SAFETY_MS), 0);
        ck_assert_int_eq(status, -EOPNOTSUPP);
        raw_close(&raw);
}
END_TEST

START_TEST(a_peer_that_dies_ends_the_question)
{
        struct raw raw;
        ferry_call *call;

        raw_open(&raw, RAW_SOCKET, &in_ferry);
        call = ferry_session_describe(raw.session, SAFETY_MS);
        raw_expect(&raw, KIND_DESCRIBE, 1);
        raw_end(&raw);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ferry_call_free(call);
        call = ferry_session_describe(raw.session, SAFETY_MS);
        ck_assert_int_lt(ferry_call_status(call), 0);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

START_TEST(a_peer_that_is_not_a_service_refuses)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *us, *them;
        int fds[2], heard = 0;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        us = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        them = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[1], fds[1], -1 } });
        ferry_session_on(them, FERRY_KIND_MESSAGE | FERRY_KIND_ERROR, count, &heard);
        require_end(us, -EREMOTEIO, "not taken: not a service: it has no description");
        ck_assert_int_eq(heard, 0);
        ferry_loop_free(loop);
}
END_TEST

/* Bytes of a client that is no library --------------------------------------------------------------------------- */

/* A question with that codec, type and body of any bytes; its size. */
static size_t make_question(unsigned char *frame, int id, unsigned char codec, const char *type, const char *body)
{
        size_t type_size = strlen(type), size = 16 + type_size + strlen(body);

        memcpy(frame, "\xf3\x4a\x9d\xe2\0\0\0\0\x01\xa5\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
        frame[6] = (unsigned char)(size >> 8);
        frame[7] = (unsigned char)size;
        frame[10] = codec;
        frame[13] = (unsigned char)type_size;
        frame[23] = (unsigned char)id;
        memcpy(frame + 24, type, type_size);
        memcpy(frame + 24 + type_size, body, strlen(body));
        return 8 + size;
}

/* What has come, of one frame after the other: how many answers of that kind. The last one's bytes are in @last. */
static int count_answers(const unsigned char *bytes, size_t size, int kind, char *last, size_t room)
{
        int found = 0;

        for (size_t at = 0; at + HEADER + 16 <= size;) {
                size_t length = (size_t)bytes[at + 4] << 24 | (size_t)bytes[at + 5] << 16 | (size_t)bytes[at + 6] << 8 | bytes[at + 7];

                if (bytes[at + 9] == kind) {
                        found++;
                        snprintf(last, room, "%.*s", (int)(length - 16), (const char *)bytes + at + 24);
                }
                at += HEADER + length;
        }
        return found;
}

/* In the codec of the question, if that is one of ours; what else it carries is not looked at. */
START_TEST(a_question_says_in_which_codec_it_is_answered)
{
        static const struct {
                unsigned char codec;
                const char *type, *body, *answer;
        } questions[] = {
                { 3, "", "", "[{\"type\":\"t\",\"in\":null,\"out\":null,\"text\":null}]" },
                { 2, "", "", "a:1:{i:0;a:4:{s:4:\"type\";s:1:\"t\";s:2:\"in\";N;s:3:\"out\";N;s:4:\"text\";N;}}" },
                { 4, "ignored", "not JSON", "[{\"type\":\"t\",\"in\":null,\"out\":null,\"text\":null}]" },
                { 1, "", "\xc1", "\x91\x84\xa4type\xa1t\xa2in\xc0\xa3out\xc0\xa4text\xc0" },
                { 0, "", "", "\x91\x84\xa4type\xa1t\xa2in\xc0\xa3out\xc0\xa4text\xc0" },
                { 200, "", "", "\x91\x84\xa4type\xa1t\xa2in\xc0\xa3out\xc0\xa4text\xc0" },
        };
        unsigned char frame[128], bytes[4096];
        struct place place;
        char answer[256];
        int fd, size;

        open_place(&place);
        ferry_service_describe(open_echo(&place, NULL), "t", NULL, NULL, NULL);
        fd = connect_raw(&place);
        send_raw(fd, frame, make_question(frame, 1, questions[_i].codec, questions[_i].type, questions[_i].body));
        settle(&place);
        size = receive_raw(fd, bytes, sizeof bytes);
        ck_assert_int_gt(size, 0);
        ck_assert_int_eq(count_answers(bytes, (size_t)size, RAW_RESPONSE, answer, sizeof answer), 1);
        ck_assert_str_eq(answer, questions[_i].answer);
        close(fd);
        settle(&place);
        close_place(&place);
}
END_TEST

/* 10,000 questions of 24 bytes by a client that reads nothing: little is held for it, and each other client is served. */
START_TEST(a_flood_of_questions_takes_little_memory)
{
        enum { QUESTIONS = 10000, PART = 500, TEXT = 900000, HELD = 8 << 20 };
        unsigned char *frames = malloc(24 * PART), *bytes = malloc(1 << 20);
        struct place place;
        ferry_service *service;
        ferry_session *other;
        char *text = calloc(1, TEXT + 1);
        size_t before;
        ssize_t sent;
        int fd, size, refused = 0;

        open_place(&place);
        service = open_echo(&place, NULL);
        memset(text, 'x', TEXT);
        ck_assert_int_eq(ferry_service_describe(service, "t", NULL, NULL, text), 0);
        other = ferry_session_open(place.loop, place.address, &in_ferry);
        require_echo(other);
        free(ask(other));
        before = door_counts.bytes;
        fd = connect_raw(&place);
        for (int i = 0; i < PART; i++)
                make_question(frames + i * 24, 1, 1, "", "");
        for (int i = 0; i < QUESTIONS / PART; i++) {
                sent = send(fd, frames, 24 * PART, MSG_NOSIGNAL | MSG_DONTWAIT);
                ck_assert(sent > 0 || errno == EAGAIN);
                settle(&place);
                ck_assert_msg(door_counts.bytes < before + HELD, "%zu bytes", door_counts.bytes - before);
        }
        require_echo(other);
        /* What is beyond its share was refused, with a reason. */
        do {
                size = receive_raw(fd, bytes, 1 << 20);
                if (size > 0 && memmem(bytes, (size_t)size, "too much waits for this client already", 38))
                        refused++;
                settle(&place);
        } while (size > 0);
        ck_assert_int_gt(refused, 0);
        close(fd);
        settle(&place);
        free(frames);
        free(bytes);
        free(text);
        close_place(&place);
}
END_TEST

/* The answer would exceed what the client takes; and a client that takes almost nothing gets no more than that. */
START_TEST(a_client_with_a_small_limit_gets_the_reason)
{
        struct place place;
        ferry_service *service;
        ferry_session *client;
        ferry_call *call;
        char text[2001];

        open_place(&place);
        service = open_echo(&place, NULL);
        memset(text, 'x', 2000);
        text[2000] = '\0';
        ferry_service_describe(service, "t", NULL, NULL, text);
        client = ferry_session_open(place.loop, place.address,
                                    &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .frame_max = _i ? 20 : 1000 });
        call = ferry_session_describe(client, SAFETY_MS);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        if (!_i)
                ck_assert_msg(strncmp(ferry_call_error(call), "not taken: ", 11) == 0, "%s", ferry_call_error(call));
        ferry_call_free(call);
        close_place(&place);
}
END_TEST

/* A probe is no client that asks. */
START_TEST(a_client_without_room_is_refused)
{
        struct place place;
        ferry_service *service;
        ferry_session *first, *second;
        ferry_call *call;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, &(ferry_service_options){ .clients_max = 1 });
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        ferry_service_describe(service, "t", NULL, NULL, NULL);
        first = ferry_session_open(place.loop, place.address, &in_ferry);
        require_echo(first);
        second = ferry_session_open(place.loop, place.address, &in_ferry);
        call = ferry_session_describe(second, SAFETY_MS);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_lt(ferry_call_status(call), 0);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        require(first, "[{\"type\":\"t\",\"in\":null,\"out\":null,\"text\":null}]");
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_service_describes_itself),
        SUITE_TEST(descriptions_are_answered_among_requests),
        SUITE_TEST(a_description_is_bounded),
        SUITE_TEST(a_description_needs_a_service_and_a_type),
        SUITE_LOOP(a_dialect_without_descriptions_says_so, 3),
        SUITE_TEST(an_older_peer_does_not_know_the_question),
        SUITE_TEST(the_end_of_a_question_is_called_back),
        SUITE_TEST(a_peer_that_dies_ends_the_question),
        SUITE_TEST(a_peer_that_is_not_a_service_refuses),
        SUITE_LOOP(a_question_says_in_which_codec_it_is_answered, 6),
        SUITE_TEST(a_flood_of_questions_takes_little_memory),
        SUITE_LOOP(a_client_with_a_small_limit_gets_the_reason, 2),
        SUITE_TEST(a_client_without_room_is_refused),
};

SUITE_MAIN("describe", tests)
