/* What a peer can do to the others, and to us, by what it does not do: one that has said goodbye and stays, one that
 * reads nothing, one that sends more than the reader takes, one that never stops. Each has its limit, in time, in bytes or
 * in frames of a round, and within the limits nothing is lost. With a clock that stands still. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, CLOSE_MS = 250 };

/* The session ends when so much time has passed, and not before. */
static void expect_end_after(struct raw *raw, int ms, int code)
{
        int64_t begin = sys_now();

        raw_next(raw, FERRY_KIND_CLOSED, NULL);
        ck_assert_int_eq(ferry_session_status(raw->session), code);
        ck_assert_int_ge(sys_now(), begin + (int64_t)(ms - 1) * 1000000);
        ck_assert_int_le(sys_now(), begin + (int64_t)(ms + 1) * 1000000);
}

static void open_for_end(struct raw *raw, enum raw_stream stream, size_t queue_max)
{
        door_stop_clock(0);
        raw_open(raw, stream, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .queue_max = queue_max,
                                                        .close_timeout_ms = CLOSE_MS });
        ferry_session_on(raw->session, FERRY_KIND_CLOSED, NULL, NULL);
}

/* It says that it closes, and then its end of the stream never comes. */
START_TEST(a_peer_that_says_goodbye_and_stays)
{
        struct raw raw;

        open_for_end(&raw, (enum raw_stream)_i, 0);
        raw_send(&raw, RAW_BYE, 0, "", NULL);
        expect_end_after(&raw, CLOSE_MS, 0);
        raw_close(&raw);
}
END_TEST

/* It sends no more, and what waits for it is never read. */
START_TEST(a_peer_that_ends_and_reads_nothing)
{
        struct raw raw;
        char text[4000];
        int code, sent = 0;

        open_for_end(&raw, (enum raw_stream)_i, 20000);
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        while ((code = ferry_session_notify(raw.session, "t", "%s", text)) == 0)
                ck_assert_int_lt(++sent, 1000);
        ck_assert_int_eq(code, -ENOBUFS);
        raw_end(&raw);
        expect_end_after(&raw, CLOSE_MS, -ECONNRESET);
        raw_close(&raw);
}
END_TEST

/* What is answered or fetched is given back to the last byte: far more than the budget goes through, in turn. */
START_TEST(what_is_over_costs_nothing)
{
        enum { COUNT = 1000 };
        struct raw raw;

        door_stop_clock(0);
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .queue_max = 4096 });
        ferry_session_on(raw.session, FERRY_KIND_MESSAGE, NULL, NULL);
        for (int i = 0; i < COUNT; i++) {
                int id = i % 100 + 1;
                FERRY_AUTO(ferry_message) request = NULL;

                raw_send(&raw, RAW_REQUEST, id, "t", "a text of some length");
                request = ferry_message_ref(raw_next(&raw, FERRY_KIND_REQUEST, NULL));
                raw_send(&raw, RAW_NOTIFICATION, 0, "t", "a text of some length");
                raw_next(&raw, FERRY_KIND_NOTIFICATION, NULL);
                if (i % 2)
                        ck_assert_int_eq(ferry_message_reply(request, NULL, "1"), 0);
                else
                        ck_assert_int_eq(ferry_message_fail(request, "no"), 0);
                raw_expect(&raw, i % 2 ? RAW_RESPONSE : RAW_ERROR, id);
        }
        raw_close(&raw);
}
END_TEST

/* Write frames as long as they are taken; how many. */
static int fill(struct raw *raw, int kind, int most)
{
        struct pollfd out = { .fd = raw->out, .events = POLLOUT };
        int count = 0;

        for (; count < most; count++) {
                unsigned char frame[8 + 256] = { 0xf3, 0x4a, 0x9d, 0xe2 };
                char text[16];
                size_t size;

                while (ferry_loop_tick(raw->loop, 0) == 1)
                        ;
                if (poll(&out, 1, 0) == 0)
                        break;
                snprintf(text, sizeof text, "%d", count);
                size = raw_message(frame + 8, kind, count % 250 + 1, "t", text);
                frame[7] = (unsigned char)size;
                /* All of it or nothing, as pipe(7) has it of what is small. */
                ck_assert_int_eq(write(raw->out, frame, 8 + size), (ssize_t)(8 + size));
        }
        return count;
}

/* The program does not fetch what it has asked for: then it is not read either, and the peer waits. When it is fetched,
 * all of it is there, and the peer goes on. */
START_TEST(messages_that_are_not_fetched_are_not_read)
{
        enum { QUEUE_MAX = 10000, MOST = 100000, PIPE = 65536, READ = 65536, FRAME = 24 };
        struct raw raw;
        int kind = _i == 0 ? RAW_NOTIFICATION : RAW_REQUEST, count, blocks;

        door_stop_clock(0);
        raw_open(&raw, RAW_PIPES, &(ferry_session_options){ .queue_max = QUEUE_MAX });
        ferry_session_on(raw.session, FERRY_KIND_MESSAGE, NULL, NULL);
        blocks = (int)door_counts.blocks;
        count = fill(&raw, kind, MOST);
        ck_assert_int_lt(count, (PIPE + READ + QUEUE_MAX) / FRAME);
        /* Each of them is a block at least; one round may go beyond. */
        ck_assert_int_lt((int)door_counts.blocks - blocks, QUEUE_MAX / FRAME);
        for (int i = 0; i < count; i++) {
                const ferry_message *message = ferry_session_next(raw.session, SAFETY_MS);
                char text[16];

                snprintf(text, sizeof text, "%d", i);
                ck_assert_str_eq(ferry_message_text(message), text);
                if (_i == 1) {
                        ck_assert_int_eq(ferry_message_reply(message, NULL, "1"), 0);
                        raw_expect(&raw, RAW_RESPONSE, i % 250 + 1);
                }
        }
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        ck_assert_int_eq(fill(&raw, kind, 10), 10);
        raw_close(&raw);
}
END_TEST

static int count_up(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 1;
}

/* Thousands of frames of the one are there when the other speaks: it need not wait until they are handled. */
START_TEST(one_session_does_not_keep_another_waiting)
{
        enum { FLOOD = 2000, FRAME = 8 + 17, ROUND_MAX = 100 };
        static unsigned char flood[FLOOD * FRAME];
        unsigned char frame[8 + 256] = { 0xf3, 0x4a, 0x9d, 0xe2, 0, 0, 0, FRAME - 8 };
        struct raw raw;
        ferry_session *other;
        int flooded = 0, heard = 0, fds[2];

        raw_open(&raw, RAW_SOCKET, NULL);
        ferry_session_on(raw.session, FERRY_KIND_NOTIFICATION, count_up, &flooded);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        other = ferry_session_open(raw.loop, NULL, &(ferry_session_options){
                                           .fds = (const int[]){ fds[0], fds[0], -1 } });
        ferry_session_on(other, FERRY_KIND_NOTIFICATION, count_up, &heard);
        while (ferry_loop_tick(raw.loop, 0) == 1)
                ;
        ck_assert_uint_eq(raw_message(frame + 8, RAW_NOTIFICATION, 0, "t", NULL), FRAME - 8);
        for (size_t i = 0; i < FLOOD; i++)
                memcpy(flood + i * FRAME, frame, FRAME);
        /* All of it before a round begins. */
        ck_assert_int_eq(write(raw.out, flood, sizeof flood), (ssize_t)sizeof flood);
        ck_assert_int_eq(write(fds[1], frame, FRAME), FRAME);
        for (int before = 0; flooded < FLOOD; before = flooded) {
                ck_assert_int_eq(ferry_loop_tick(raw.loop, SAFETY_MS), 1);
                ck_assert_int_le(flooded - before, ROUND_MAX);
                ck_assert(heard == 1 || flooded <= ROUND_MAX);
        }
        raw_close(&raw);
        close(fds[1]);
}
END_TEST

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

/* A crowd comes to a service at once: it is let in by and by, and clients that are there already are served meanwhile. */
START_TEST(a_crowd_does_not_keep_a_client_waiting)
{
        enum { CROWD = 100, ROUND_MAX = 20, ROUNDS_MAX = 3 };
        char directory[] = "/tmp/ferry-limits-XXXXXX";
        struct sockaddr_un place = { .sun_family = AF_UNIX };
        ferry_loop *loop = ferry_loop_new(NULL), *there = ferry_loop_new(NULL);
        ferry_service *service;
        ferry_session *client;
        ferry_call *call;
        char address[128];
        int crowd[CROWD];
        unsigned accepted = 0;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(place.sun_path, sizeof place.sun_path, "%s/socket", directory);
        snprintf(address, sizeof address, "unix:%s", place.sun_path);
        service = ferry_service_open(loop, address, NULL);
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        client = ferry_session_open(there, address, NULL);
        while (!ferry_service_client(service, NULL))
                ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
        for (int i = 0; i < CROWD; i++) {
                crowd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                ck_assert_int_eq(connect(crowd[i], (const struct sockaddr *)&place, sizeof place), 0);
        }
        call = ferry_session_request(client, SAFETY_MS, "t", "'x'");
        for (int round = 0; accepted < CROWD; round++) {
                door_reset();
                ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
                ck_assert_uint_le(door_counts.calls[DOOR_accept], ROUND_MAX);
                accepted += door_counts.calls[DOOR_accept];
                ck_assert_int_ge(ferry_loop_tick(there, 0), 0);
                if (round == ROUNDS_MAX) {
                        ck_assert_uint_lt(accepted, CROWD);
                        ck_assert_msg(ferry_call_status(call) == 0, "not served in %d rounds", round);
                }
        }
        ck_assert_msg(ferry_call_await(call), "%s", ferry_call_error(call));
        ferry_call_free(call);
        for (int i = 0; i < CROWD; i++)
                close(crowd[i]);
        ferry_loop_free(there);
        ferry_loop_free(loop);
        ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

static int refused;             /* times that a connect is still refused */
static int refused_code;
static int64_t tried[8];        /* when, the first times */

static int judge_connect(enum door_call call, bool is_child)
{
        unsigned tries = door_counts.calls[DOOR_connect];

        (void)is_child;
        if (call != DOOR_connect)
                return 0;
        if (tries <= sizeof tried / sizeof *tried)
                tried[tries - 1] = sys_now();
        return refused-- > 0 ? refused_code : 0;
}

/* One whose backlog is full is asked again for 5 s, or as long as the program says if that is longer; one that is not
 * there, only as long as the program says. In growing distances, which do not grow beyond 20 ms; one that is not there, only
 * for the first 100 ms, and then when something changes. */
START_TEST(the_busy_are_asked_again)
{
        static const struct {
                int code, wait_ms, ms;
                int often_ms, more; /* for so long it is asked often, and then so many times more */
        } cases[] = { { -EAGAIN, 0, 5000, 5000, 0 }, { -EAGAIN, 100, 5000, 5000, 0 }, { -EAGAIN, 7000, 7000, 7000, 0 },
                      { -ENOENT, 0, 0, 0, 0 }, { -ECONNREFUSED, 0, 0, 0, 0 }, { -ENOENT, 60000, 60000, 100, 0 },
                      { -EACCES, 300, 0, 0, 0 }, { -ECONNREFUSED, 60000, 60000, 100, 120 } };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int64_t begin;
        int tries;

        door_stop_clock(0);
        door_judge = judge_connect;
        refused = 1 << 30;
        refused_code = cases[_i].code;
        begin = sys_now();
        session = ferry_session_open(loop, "unix:/nowhere/at/all",
                                     &(ferry_session_options){ .wait_ms = cases[_i].wait_ms });
        while (ferry_session_status(session) == 1)
                ferry_loop_tick(loop, SAFETY_MS);
        ck_assert_int_eq(ferry_session_status(session), cases[_i].code);
        ck_assert_int_ge(sys_now(), begin + (int64_t)cases[_i].ms * 1000000);
        ck_assert_int_le(sys_now(), begin + (int64_t)(cases[_i].ms + 25) * 1000000);
        tries = (int)door_counts.calls[DOOR_connect];
        ck_assert_int_ge(tries, cases[_i].often_ms / 25 + cases[_i].more + 1);
        ck_assert_int_le(tries, cases[_i].often_ms / 20 + cases[_i].more + 8);
        for (int i = 2; i < 6 && i < tries; i++)
                ck_assert_int_gt(tried[i] - tried[i - 1], tried[i - 1] - tried[i - 2]);
        ferry_loop_free(loop);
}
END_TEST

/* A backlog that is really full, until a client is accepted: nothing was lost by waiting. */
START_TEST(a_full_backlog_is_waited_for)
{
        char directory[] = "/tmp/ferry-limits-XXXXXX", address[128];
        struct sockaddr_un place = { .sun_family = AF_UNIX };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted[2];
        char byte;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(place.sun_path, sizeof place.sun_path, "%s/socket", directory);
        snprintf(address, sizeof address, "unix:%s", place.sun_path);
        ck_assert_int_eq(bind(listener, (const struct sockaddr *)&place, sizeof place), 0);
        ck_assert_int_eq(listen(listener, 0), 0);
        ck_assert_int_eq(connect(client, (const struct sockaddr *)&place, sizeof place), 0);
        door_stop_clock(0);
        session = ferry_session_open(loop, address, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ck_assert_int_eq(ferry_session_notify(session, "t", "'x'"), 0);
        while (door_counts.calls[DOOR_connect] < 5)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_status(session), 1);
        accepted[0] = accept(listener, NULL, NULL);
        while (door_counts.calls[DOOR_send] == 0)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 6);
        accepted[1] = accept(listener, NULL, NULL);
        ck_assert_int_eq(read(accepted[1], &byte, 1), 1);
        ferry_loop_free(loop);
        close(listener);
        close(client);
        close(accepted[0]);
        close(accepted[1]);
        ck_assert_int_eq(unlink(place.sun_path), 0);
        ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/* The other side closes while bytes of ours are unread, which the kernel calls a reset: to us it is the end. */
START_TEST(closing_with_bytes_unread_is_an_end)
{
        struct raw raw;

        open_for_end(&raw, RAW_SOCKET, 0);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "'never read'"), 0);
        close(raw.in);
        raw.in = raw.out = -1;
        expect_end_after(&raw, 0, -ECONNRESET);
        raw_close(&raw);
}
END_TEST

/* So a pseudo-terminal says, by EIO, that its other side is closed. */
START_TEST(a_closed_terminal_is_an_end)
{
        int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), other;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        ck_assert_int_ge(terminal, 0);
        ck_assert_int_eq(grantpt(terminal), 0);
        ck_assert_int_eq(unlockpt(terminal), 0);
        other = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert_int_ge(other, 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){
                                             .fds = (const int[]){ terminal, terminal, -1 } });
        ck_assert_int_eq(ferry_session_status(session), 1);
        close(other);
        while (ferry_session_status(session) == 1)
                ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
        ck_assert_msg(ferry_session_status(session) == 0, "%s", ferry_session_error(session));
        ferry_loop_free(loop);
}
END_TEST

/* Descriptors that are given to a session are its own: programs that are started later do not get them. */
START_TEST(given_descriptors_are_not_inherited)
{
        int there[2], back[2], more[2];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        ck_assert_int_eq(pipe(there), 0);
        ck_assert_int_eq(pipe(back), 0);
        ck_assert_int_eq(pipe(more), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){
                                             .fds = (const int[]){ there[0], back[1], more[0], -1 } });
        ck_assert_int_eq(ferry_session_status(session), 1);
        ck_assert_int_eq(fcntl(there[0], F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fcntl(back[1], F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fcntl(more[0], F_GETFD), FD_CLOEXEC);
        ferry_loop_free(loop);
        close(there[1]);
        close(back[0]);
        close(more[1]);
}
END_TEST

static int make_long_id(ferry_session *session, char *id, size_t size, void *userdata)
{
        (void)session, (void)userdata;
        memset(id, 'i', size - 1);
        id[size - 1] = '\0';
        return 0;
}

/* The longest id that a program can make is found again, also as JSON may write it: six bytes for each of its own. */
START_TEST(the_longest_id_of_ours_is_found)
{
        enum { ID_SIZE = 127 };
        char answer[2048], *at = answer;
        struct raw raw;
        ferry_call *call;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_STREAM_IPC,
                                                             .codec = ferry_codec_json(), .make_id = make_long_id });
        call = ferry_session_request(raw.session, SAFETY_MS, "App\\T", "{}");
        raw_read(&raw);
        at += sprintf(at, "{\"__class\":\"StreamIpc\\\\Envelope\\\\ResponseEnvelope\",\"id\":\"");
        for (int i = 0; i < ID_SIZE; i++)
                at += sprintf(at, _i == 0 ? "i" : "\\u0069");
        sprintf(at, "\",\"response\":{\"__class\":\"App\\\\R\",\"message\":\"found\"}}");
        raw_text(&raw, answer);
        ck_assert_msg(ferry_call_await(call), "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(ferry_call_reply(call)), "found");
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

/* The longest id that a peer may have is answered to; beyond that, by an error. */
START_TEST(the_longest_id_of_a_peer_is_answered)
{
        enum { ID_MAX = 1024 };
        char id[ID_MAX + 2], request[2048], expected[ID_MAX + 16];
        struct raw raw;

        memset(id, 'i', ID_MAX + 1);
        id[ID_MAX + _i] = '\0';
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_STREAM_IPC });
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, echo, NULL);
        ferry_session_on(raw.session, FERRY_KIND_ERROR, NULL, NULL);
        sprintf(request, "{\"__class\":\"StreamIpc\\\\Envelope\\\\RequestEnvelope\",\"id\":\"%s\","
                         "\"request\":{\"__class\":\"App\\\\T\",\"message\":\"x\"}}", id);
        raw_text(&raw, request);
        if (_i == 0) {
                raw_read(&raw);
                sprintf(expected, "\"%s\"", id);
                ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, expected, strlen(expected)));
        } else {
                ck_assert_ptr_nonnull(strstr(ferry_message_text(raw_next(&raw, FERRY_KIND_ERROR, NULL)), "over the limit of 1024"));
                raw_read(&raw);
                sprintf(expected, "\"%s\"", id);
                ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, expected, strlen(expected)));
                ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, "ErrorMessage", 12));
                ck_assert(raw_is_silent(&raw));
        }
        raw_close(&raw);
}
END_TEST

/* It cannot be seen in the text that carries it. */
START_TEST(a_byte_order_mark_is_named)
{
        struct raw raw;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = _i ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_AUTO });
        ferry_session_on(raw.session, FERRY_KIND_ERROR, NULL, NULL);
        raw_text(&raw, "\xef\xbb\xbf{\"__class\":\"App\\\\T\"}");
        ck_assert_ptr_nonnull(strstr(ferry_message_text(raw_next(&raw, FERRY_KIND_ERROR, NULL)), "byte order mark"));
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

static int fail_badly(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session;
        return ferry_message_fail(request, "%s", (const char *)userdata) == 0;
}

/* A sentence may hold a file name, and that any byte. */
START_TEST(an_error_text_keeps_what_is_behind_a_wrong_byte)
{
        static const struct {
                const char *text;
                const char *expected;
        } texts[] = {
                { "no file \xff.txt, sorry", "no file ?.txt, sorry" },
                { "\xc3(\xe2\x82\xac \xf0\x9f\x98", "?(\xe2\x82\xac ???" },
                { "\x80", "?" },
        };
        struct raw raw;

        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
                ferry_session_on(raw.session, FERRY_KIND_REQUEST, fail_badly, (void *)(uintptr_t)texts[i].text);
                raw_send(&raw, RAW_REQUEST, 1, "t", "x");
                raw_expect(&raw, RAW_ERROR, 1);
                ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, texts[i].expected, strlen(texts[i].expected)));
                raw_close(&raw);
        }
}
END_TEST

/* It cannot take much, but is greeted, answered and asked whether it lives. */
START_TEST(a_peer_with_a_tiny_limit_is_greeted)
{
        static const unsigned char hello[] = "\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\xa9" "frame_max\x14";
        struct raw raw;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, fail_badly, (void *)(uintptr_t)"a sentence of more than 20 bytes");
        raw_frame(&raw, hello, sizeof hello - 1);
        raw_expect(&raw, RAW_HELLO, 0);
        raw_send(&raw, RAW_PING, 7, "", NULL);
        raw_expect(&raw, RAW_PONG, 7);
        raw_send(&raw, RAW_REQUEST, 1, "t", NULL);
        raw_expect(&raw, RAW_ERROR, 1);
        ck_assert_uint_le(raw.size, 20);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "'a text of more than 20 bytes'"), -EMSGSIZE);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", NULL), 0);
        raw_expect(&raw, RAW_NOTIFICATION, 0);
        raw_close(&raw);
}
END_TEST

/* Its own limit is no reason not to greet, nor to be greeted. */
START_TEST(a_side_with_a_tiny_limit_greets)
{
        struct raw raw;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .frame_max = 20 });
        ferry_session_on(raw.session, FERRY_KIND_ERROR, NULL, NULL);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", NULL), 0);
        raw_expect(&raw, RAW_HELLO, 0);
        raw_expect(&raw, RAW_NOTIFICATION, 0);
        raw_send(&raw, RAW_HELLO, 0, "", "a body of 20 bytes...");
        ck_assert_ptr_null(ferry_session_next(raw.session, 0));
        raw_send(&raw, RAW_REQUEST, 1, "t", "a body of 20 bytes...");
        ck_assert_ptr_nonnull(strstr(ferry_message_text(raw_next(&raw, FERRY_KIND_ERROR, NULL)), "over the limit of 20"));
        raw_expect(&raw, RAW_REFUSED, 1);
        raw_close(&raw);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_peer_with_a_tiny_limit_is_greeted),
        SUITE_TEST(a_side_with_a_tiny_limit_greets),
        SUITE_LOOP(a_byte_order_mark_is_named, 2),
        SUITE_TEST(an_error_text_keeps_what_is_behind_a_wrong_byte),
        SUITE_LOOP(a_peer_that_says_goodbye_and_stays, RAW_STREAMS),
        SUITE_LOOP(a_peer_that_ends_and_reads_nothing, 2),
        SUITE_TEST(what_is_over_costs_nothing),
        SUITE_LOOP(messages_that_are_not_fetched_are_not_read, 2),
        SUITE_TEST(one_session_does_not_keep_another_waiting),
        SUITE_TEST(a_crowd_does_not_keep_a_client_waiting),
        SUITE_LOOP_APART(the_busy_are_asked_again, 8),
        SUITE_TEST(a_full_backlog_is_waited_for),
        SUITE_TEST(closing_with_bytes_unread_is_an_end),
        SUITE_TEST(a_closed_terminal_is_an_end),
        SUITE_TEST(given_descriptors_are_not_inherited),
        SUITE_LOOP(the_longest_id_of_ours_is_found, 2),
        SUITE_LOOP(the_longest_id_of_a_peer_is_answered, 2),
};

SUITE_MAIN("conformance-limits", tests)
