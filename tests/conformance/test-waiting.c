/* Waiting costs nothing, and always ends: whatever the other side does not do, the library sleeps in one call of the
 * kernel's until something comes or a deadline is there, and a deadline is met to the step of the clock. Counted at the
 * door, with a clock that stands still. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_MS = 5000, SAFETY_MS = 20000, ROUNDS_MAX = 4 };

/* What is counted as a use of the processor: any call to the system but memory and time. */
static unsigned count_calls(void)
{
        unsigned calls = 0;

        for (int call = 0; call < DOOR_CALLS; call++)
                if (call != DOOR_alloc && call != DOOR_alloc_zeroed && call != DOOR_realloc && call != DOOR_free &&
                    call != DOOR_now)
                        calls += door_counts.calls[call];
        return calls;
}

/* A request that the peer will not answer, and the time before and after it was sent. */
struct question {
        ferry_call *call;
        int64_t before, after;
};

static struct question ask(ferry_session *session)
{
        struct question question = { .before = sys_now() };

        question.call = ferry_session_request(session, DEADLINE_MS, "t", "'x'");
        question.after = sys_now();
        return question;
}

/* It ends by its deadline, just then, after a few rounds at most. */
static void expect_timeout(struct question *question, int patience_ms)
{
        unsigned rounds = door_counts.calls[DOOR_epoll_wait];

        door_stop_clock(patience_ms);
        ck_assert_ptr_null(ferry_call_await(question->call));
        ck_assert_int_eq(ferry_call_status(question->call), -ETIMEDOUT);
        ck_assert_int_ge(sys_now(), question->before + (int64_t)(DEADLINE_MS - 1) * 1000000);
        ck_assert_int_le(sys_now(), question->after + (int64_t)(DEADLINE_MS + 1) * 1000000);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait] - rounds, ROUNDS_MAX);
        ferry_call_free(question->call);
        door_reset();
}

START_TEST(silence_is_slept_through)
{
        struct raw raw;
        struct question question;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        question = ask(raw.session);
        expect_timeout(&question, 0);
        raw_close(&raw);
}
END_TEST

/* A part of a frame, from one byte of its header to all but the last of its payload, does not keep the reader awake. */
START_TEST(half_a_frame_is_slept_through)
{
        unsigned char payload[256], frame[264] = { 0xf3, 0x4a, 0x9d, 0xe2 };
        size_t size = raw_message(payload, RAW_NOTIFICATION, 0, "t", "half");

        frame[7] = (unsigned char)size;
        memcpy(frame + 8, payload, size);
        for (size_t part = 1; part < 8 + size; part += 5) {
                struct raw raw;
                struct question question;

                raw_open(&raw, (enum raw_stream)_i, NULL);
                raw_write(&raw, frame, part);
                question = ask(raw.session);
                expect_timeout(&question, 0);
                raw_close(&raw);
        }
}
END_TEST

/* The end in the middle of a frame is told at once: no time passes, and nothing is asked again and again. */
START_TEST(half_a_frame_and_the_end_is_reported_at_once)
{
        struct raw raw;
        ferry_call *call;
        int64_t begin;

        door_stop_clock(0);
        raw_open(&raw, _i == 0 ? RAW_SOCKET : RAW_PIPES, NULL);
        raw_write(&raw, "\xf3\x4a\x9d\xe2\0\0\1\0half", 12);
        call = ferry_session_request(raw.session, DEADLINE_MS, "t", "'x'");
        raw_end(&raw);
        door_reset();
        door_stop_clock(0);
        begin = sys_now();
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_int_eq(sys_now(), begin);
        ck_assert_uint_le(count_calls(), 24);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

/* A call that closing has ended is not waited for at all. */
START_TEST(a_call_that_has_ended_is_not_waited_for)
{
        struct raw raw;
        ferry_call *call;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        call = ferry_session_request(raw.session, DEADLINE_MS, "t", "'x'");
        ck_assert_int_eq(ferry_session_close(raw.session), 0);
        door_reset();
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECANCELED);
        ck_assert_uint_eq(count_calls(), 0);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

static const char *const deaths[][2] = {
        { "echo last words >&2; exit 7", "exited with status 7; its last words: last words" },
        { "echo last words >&2; kill -SEGV $$", "was killed by SIGSEGV; its last words: last words" },
        { "read -r line; exit 9", "exited with status 9" },
};

/* The child dies while a request waits: the call ends then, long before its deadline, and says how. */
START_TEST(a_dying_child_is_noticed_at_once)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        char command[128];
        ferry_session *session;
        ferry_call *call;

        snprintf(command, sizeof command, "exec:%s", deaths[_i][0]);
        session = ferry_session_open(loop, command, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        call = ferry_session_request(session, SAFETY_MS, "t", "'a line\n'");
        door_reset();
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_msg(strstr(ferry_call_error(call), deaths[_i][1]), "%s", ferry_call_error(call));
        /* Its input and output end, its stderr comes and ends, it exits: each is one event. */
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 8);
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

static int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 0;
}

/* A peer that is stopped takes what its buffers take; then the queue is full, and says so. Calls end by their
 * deadlines, others are served, and when it goes on it gets all of it. */
START_TEST(a_stopped_peer_harms_only_itself)
{
        enum { TEXT = 20000 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session_options options = { .argv = (const char *[]){ BUILD_DIRECTORY "/tests/child", "echo", NULL },
                                          .queue_max = 100000 };
        ferry_session *stopped = ferry_session_open(loop, "exec:", &options);
        ferry_session *other = ferry_session_open(loop, "exec:", &options);
        ferry_call *call = ferry_session_request(stopped, SAFETY_MS, "t", "'first'");
        char *text = calloc(1, TEXT + 1);
        struct question question;
        siginfo_t info;
        int sent = 0, code;

        ck_assert_msg(ferry_call_await(call), "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(kill(ferry_session_peer(stopped).pid, SIGSTOP), 0);
        ck_assert_int_eq(waitid(P_PID, (id_t)ferry_session_peer(stopped).pid, &info, WSTOPPED), 0);
        memset(text, 'x', TEXT);
        question = ask(stopped);
        while ((code = ferry_session_notify(stopped, "t", "%s", text)) == 0)
                ck_assert_int_lt(++sent, 1000);
        ck_assert_int_eq(code, -ENOBUFS);
        ck_assert_int_ge(sent, 4);
        for (int i = 0; i < 10; i++) {
                FERRY_AUTO(ferry_call) served = ferry_session_request(other, SAFETY_MS, "t", "%d", i);

                ck_assert_msg(ferry_call_await(served), "%s", ferry_call_error(served));
        }
        expect_timeout(&question, 1);
        ck_assert_int_eq(ferry_session_status(stopped), 1);
        /* Its own failure comes first. That one was refused is reported once all others were received; and once only. */
        ck_assert_int_eq(ferry_session_flush(stopped, 0), -ETIMEDOUT);
        ck_assert_str_eq(ferry_session_error(stopped), "the other side has not received everything within 0 s");
        ck_assert_int_eq(kill(ferry_session_peer(stopped).pid, SIGCONT), 0);
        ck_assert_int_eq(ferry_session_flush(stopped, SAFETY_MS), -ENOBUFS);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(stopped), "already wait to be sent: flush, then try again"));
        ck_assert_int_eq(ferry_session_flush(stopped, SAFETY_MS), 0);
        ck_assert_str_eq(ferry_session_error(stopped), "no error");
        call = ferry_session_request(stopped, SAFETY_MS, "t", "'goes on'");
        ck_assert_msg(ferry_call_await(call), "%s", ferry_call_error(call));
        ferry_call_free(call);
        free(text);
        ferry_loop_free(loop);
}
END_TEST

/* A request is on the wire once, whatever becomes of it and however long it stays unanswered. */
START_TEST(nothing_is_sent_twice)
{
        struct question question;
        struct raw raw;
        ferry_call *call;
        int notified = 0;

        raw_open(&raw, (enum raw_stream)_i, NULL);
        ferry_session_on(raw.session, FERRY_KIND_NOTIFICATION, count, &notified);
        question = ask(raw.session);
        raw_expect(&raw, RAW_REQUEST, 1);
        expect_timeout(&question, 0);
        raw_expect(&raw, RAW_CANCEL, 1);
        ck_assert(raw_is_silent(&raw));
        /* Nor when the other side refuses it, and says that it has not acted on it. */
        call = ferry_session_request(raw.session, SAFETY_MS, "t", "'once more'");
        raw_expect(&raw, RAW_REQUEST, 2);
        raw_send(&raw, RAW_REFUSED, 2, "", "busy");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert(raw_is_silent(&raw));
        ferry_call_free(call);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "still here");
        while (notified == 0)
                ck_assert_int_eq(ferry_loop_tick(raw.loop, SAFETY_MS), 1);
        raw_close(&raw);
}
END_TEST

/* What a peer names as a class is a name: nothing is made of it, and it comes back as it came. */
START_TEST(objects_are_data)
{
        static const char payload[] =
                "O:34:\"StreamIpc\\Envelope\\RequestEnvelope\":2:{s:2:\"id\";s:1:\"7\";s:7:\"request\";"
                "O:8:\"App\\Load\":1:{s:4:\"data\";O:23:\"Monolog\\Handler\\Destroy\":2:{s:7:\"\0*\0code\";s:6:\"exit()\";"
                "s:6:\"handle\";O:15:\"SplFileObject\\X\":0:{}}}}";
        struct raw raw;
        const ferry_message *request;
        const ferry_value *object;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_STREAM_IPC });
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, NULL, NULL);
        raw_frame(&raw, payload, sizeof payload - 1);
        request = ferry_session_next(raw.session, SAFETY_MS);
        ck_assert_ptr_nonnull(request);
        ck_assert_str_eq(ferry_message_type(request), "App\\Load");
        object = ferry_message_get(request, "data");
        ck_assert_str_eq(ferry_value_class(object), "Monolog\\Handler\\Destroy");
        ck_assert_str_eq(ferry_value_text(ferry_value_get(object, "code"), NULL), "exit()");
        ck_assert_str_eq(ferry_value_class(ferry_value_get(object, "handle")), "SplFileObject\\X");
        ck_assert_int_eq(ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request)), 0);
        raw_read(&raw);
        ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, "O:8:\"App\\Load\":1:", 17));
        ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, "s:7:\"\0*\0code\";s:6:\"exit()\";", 27));
        raw_close(&raw);
}
END_TEST

/* How long closing takes, in steps of the clock, when a flush has waited in vain for a peer that does not read; which reads
 * something behind that, or not. */
static int64_t close_behind_flush(bool is_reading)
{
        static char body[1 << 22], read_bytes[1 << 20];
        struct raw raw;
        int64_t begin;

        memset(body, 'x', sizeof body);
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .close_timeout_ms = DEADLINE_MS });
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "%.*s", (int)sizeof body, body), 0);
        door_stop_clock(0);
        ck_assert_int_eq(ferry_session_flush(raw.session, DEADLINE_MS), -ETIMEDOUT);
        if (is_reading)
                ck_assert_int_gt(read(raw.in, read_bytes, sizeof read_bytes), 0);
        ferry_loop_tick(raw.loop, 0);
        begin = sys_now();
        ferry_session_close(raw.session);
        ferry_loop_run(raw.loop, -1);
        begin = sys_now() - begin;
        ck_assert_int_eq(ferry_session_status(raw.session), -ETIMEDOUT);
        door_reset();
        raw_close(&raw);
        return begin / 1000000;
}

START_TEST(closing_does_not_wait_again_for_a_peer_that_takes_nothing)
{
        ck_assert_int_le(close_behind_flush(false), 1);
}
END_TEST

START_TEST(closing_waits_for_a_peer_that_has_taken_something)
{
        ck_assert_int_ge(close_behind_flush(true), DEADLINE_MS);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(silence_is_slept_through, RAW_STREAMS),
        SUITE_LOOP(half_a_frame_is_slept_through, RAW_STREAMS),
        SUITE_LOOP(half_a_frame_and_the_end_is_reported_at_once, 2),
        SUITE_LOOP(a_call_that_has_ended_is_not_waited_for, RAW_STREAMS),
        SUITE_LOOP(a_dying_child_is_noticed_at_once, 3),
        SUITE_TEST(a_stopped_peer_harms_only_itself),
        SUITE_LOOP(nothing_is_sent_twice, RAW_STREAMS),
        SUITE_TEST(objects_are_data),
        SUITE_TEST(closing_does_not_wait_again_for_a_peer_that_takes_nothing),
        SUITE_TEST(closing_waits_for_a_peer_that_has_taken_something),
};

SUITE_MAIN("conformance-waiting", tests)
