/* The end of the input: what was read before it is answered, also by handlers that answer later; and an end without the
 * close that a dialect has is no end in order. */
#include "conformance/behaviour.h"
#include "conformance/raw.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, CLOSE_MS = 100, REQUESTS = 3 };

struct kept {
        ferry_message *requests[REQUESTS];
        int count;
};

static int keep(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct kept *kept = userdata;

        (void)session;
        ck_assert_int_lt(kept->count, REQUESTS);
        kept->requests[kept->count++] = ferry_message_ref(request);
        return 1;
}

static int ignore(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message, (void)userdata;
        return 0;
}

static void answer(struct kept *kept, int i)
{
        ck_assert(ferry_message_is_wanted(kept->requests[i]));
        ck_assert_int_eq(ferry_message_reply(kept->requests[i], NULL, "'answer %d'", i), 0);
        kept->requests[i] = ferry_message_unref(kept->requests[i]);
}

static void send_request(struct raw *raw, bool is_ipc, int id)
{
        if (is_ipc)
                raw_text(raw, "{\"__class\":\"StreamIpc\\\\Envelope\\\\RequestEnvelope\",\"id\":\"1\","
                              "\"request\":{\"__class\":\"App\\\\T\",\"message\":\"x\"}}");
        else
                raw_send(raw, RAW_REQUEST, id, "t", "x");
}

/* Three requests, and the end; they are kept, and the loop has nothing to do. */
static void ask_and_end(struct raw *raw, struct kept *kept, bool is_ipc)
{
        ferry_session_on(raw->session, FERRY_KIND_REQUEST, keep, kept);
        ferry_session_on(raw->session, FERRY_KIND_CLOSED, ignore, NULL);
        for (int i = 0; i < REQUESTS; i++)
                send_request(raw, is_ipc, i + 1);
        raw_end(raw);
        while (kept->count < REQUESTS)
                ck_assert_int_eq(ferry_loop_tick(raw->loop, SAFETY_MS), 1);
        while (ferry_loop_tick(raw->loop, 0) > 0)
                ;
        ck_assert_int_eq(ferry_session_status(raw->session), 1);
}

static void run_to_the_end(struct raw *raw)
{
        while (ferry_session_status(raw->session) == 1)
                ck_assert_int_ge(ferry_loop_tick(raw->loop, SAFETY_MS), 0);
}

START_TEST(requests_read_before_the_end_are_answered)
{
        bool is_ipc = _i >= RAW_STREAMS;
        struct kept kept = { 0 };
        struct raw raw;

        raw_open(&raw, (enum raw_stream)(_i % RAW_STREAMS), &(ferry_session_options){
                                                 .dialect = is_ipc ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_FERRY });
        ask_and_end(&raw, &kept, is_ipc);
        for (int i = 0; i < REQUESTS; i++) {
                answer(&kept, i);
                /* Its input has ended, but it is no side that only writes. */
                if (!is_ipc && i == 0) {
                        raw_expect(&raw, RAW_HELLO, 0);
                        ck_assert_ptr_null(memmem(raw.bytes, raw.size, "one-way", 7));
                }
                if (is_ipc)
                        raw_read(&raw);
                else
                        raw_expect(&raw, RAW_RESPONSE, i + 1);
                ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, "answer", 6));
        }
        run_to_the_end(&raw);
        ck_assert_int_eq(ferry_session_status(raw.session), is_ipc ? 0 : -ECONNRESET);
        raw_close(&raw);
}
END_TEST

static int answer_wrongly_and_keep(ferry_session *session, const ferry_message *request, void *userdata)
{
        ck_assert_int_eq(ferry_message_reply(request, NULL, "%p, more", ferry_arg(NULL)), -EINVAL);
        ck_assert(ferry_message_is_wanted(request));
        return keep(session, request, userdata);
}

/* One that has failed is none. */
START_TEST(a_session_waits_for_an_answer_whose_first_try_has_failed)
{
        struct kept kept = { 0 };
        struct raw raw;

        raw_open(&raw, (enum raw_stream)_i, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, answer_wrongly_and_keep, &kept);
        send_request(&raw, false, 1);
        while (kept.count < 1)
                ck_assert_int_eq(ferry_loop_tick(raw.loop, SAFETY_MS), 1);
        raw_end(&raw);
        while (ferry_loop_tick(raw.loop, 0) > 0)
                ;
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        answer(&kept, 0);
        raw_expect(&raw, RAW_RESPONSE, 1);
        run_to_the_end(&raw);
        raw_close(&raw);
}
END_TEST

START_TEST(requests_fetched_after_the_end_are_answered)
{
        struct raw raw;

        raw_open(&raw, (enum raw_stream)_i, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, NULL, NULL);
        for (int i = 0; i < REQUESTS; i++)
                send_request(&raw, false, i + 1);
        raw_end(&raw);
        while (ferry_loop_tick(raw.loop, 0) > 0)
                ;
        for (int i = 0; i < REQUESTS; i++)
                ck_assert_int_eq(ferry_message_reply(raw_next(&raw, FERRY_KIND_REQUEST, "x"), NULL, "%d", i), 0);
        for (int i = 0; i < REQUESTS; i++)
                raw_expect(&raw, RAW_RESPONSE, i + 1);
        run_to_the_end(&raw);
        ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
        raw_close(&raw);
}
END_TEST

START_TEST(an_answer_may_take_longer_than_closing)
{
        struct kept kept = { 0 };
        struct raw raw;

        door_stop_clock(0);
        raw_open(&raw, (enum raw_stream)_i, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY,
                                                                      .close_timeout_ms = CLOSE_MS, .answer_timeout_ms = -1 });
        ask_and_end(&raw, &kept, false);
        for (int i = 0; i < REQUESTS; i++) {
                ck_assert_int_eq(ferry_loop_run(raw.loop, 100 * CLOSE_MS), 0);
                answer(&kept, i);
                raw_expect(&raw, RAW_RESPONSE, i + 1);
        }
        run_to_the_end(&raw);
        ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
        raw_close(&raw);
}
END_TEST

/* It has only stopped sending at first. */
START_TEST(a_peer_that_goes_before_it_is_answered_is_noticed)
{
        struct kept kept = { 0 };
        struct raw raw;

        door_stop_clock(0);
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .close_timeout_ms = CLOSE_MS,
                                                             .answer_timeout_ms = -1 });
        ask_and_end(&raw, &kept, false);
        ck_assert_int_eq(ferry_loop_run(raw.loop, 10 * CLOSE_MS), 0);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        close(raw.in);
        raw.in = raw.out = -1;
        ck_assert_int_ge(ferry_loop_run(raw.loop, 2 * CLOSE_MS), 0);
        ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
        ck_assert(!ferry_message_is_wanted(kept.requests[0]));
        for (int i = 0; i < REQUESTS; i++)
                ferry_message_unref(kept.requests[i]);
        raw_close(&raw);
}
END_TEST

/* The last one is not answered, or let go of. */
START_TEST(each_answer_gives_the_next_its_time)
{
        struct kept kept = { 0 };
        struct raw raw;
        int64_t begin;

        door_stop_clock(0);
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .close_timeout_ms = CLOSE_MS });
        ask_and_end(&raw, &kept, false);
        for (int i = 0; i < REQUESTS - 1; i++) {
                door_advance((CLOSE_MS - 1) * 1000000);
                answer(&kept, i);
                ck_assert_int_ge(ferry_loop_tick(raw.loop, 0), 0);
                ck_assert_int_eq(ferry_session_status(raw.session), 1);
        }
        begin = sys_now();
        if (_i == 0) {
                kept.requests[REQUESTS - 1] = ferry_message_unref(kept.requests[REQUESTS - 1]);
                run_to_the_end(&raw);
                ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
                ck_assert_int_eq(sys_now(), begin);
        } else {
                run_to_the_end(&raw);
                ck_assert_int_eq(ferry_session_status(raw.session), -ETIMEDOUT);
                ck_assert_ptr_nonnull(strstr(ferry_session_error(raw.session), "1 requests were not answered"));
                ck_assert_int_ge(sys_now(), begin + CLOSE_MS * 1000000);
                ck_assert_int_eq(ferry_message_reply(kept.requests[REQUESTS - 1], NULL, NULL), -ETIMEDOUT);
                ferry_message_unref(kept.requests[REQUESTS - 1]);
        }
        raw_close(&raw);
}
END_TEST

/* Whether it reads slowly to the end, or stops. */
START_TEST(a_peer_that_reads_its_answers_slowly_gets_them)
{
        enum { ANSWER_SIZE = 8 << 20, STEP = 1 << 20 };

        char *text = make_text(ANSWER_SIZE), *buffer = malloc(STEP);
        size_t got = 0, wanted = _i == 0 ? SIZE_MAX : 3 * (size_t)STEP;
        struct kept kept = { 0 };
        struct raw raw;
        ssize_t step;

        door_stop_clock(0);
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .close_timeout_ms = CLOSE_MS });
        ask_and_end(&raw, &kept, false);
        for (int i = 0; i < REQUESTS; i++) {
                ck_assert_int_eq(ferry_message_reply(kept.requests[i], NULL, i == 0 ? "%s" : "'short'", text), 0);
                kept.requests[i] = ferry_message_unref(kept.requests[i]);
        }
        while (got < wanted && ferry_session_status(raw.session) == 1) {
                step = recv(raw.in, buffer, STEP, MSG_DONTWAIT);
                ck_assert_int_gt(step, 0);
                got += (size_t)step;
                door_advance((CLOSE_MS - 1) * 1000000);
                ck_assert_int_ge(ferry_loop_tick(raw.loop, 0), 0);
        }
        if (_i == 0) {
                while ((step = recv(raw.in, buffer, STEP, MSG_DONTWAIT)) > 0)
                        got += (size_t)step;
                ck_assert_uint_gt(got, ANSWER_SIZE);
        } else {
                ck_assert_int_eq(ferry_session_status(raw.session), 1);
                run_to_the_end(&raw);
                ck_assert_ptr_nonnull(strstr(ferry_session_error(raw.session), "stopped reading"));
        }
        ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
        raw_close(&raw);
        free(buffer);
        free(text);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_not_waited_for)
{
        struct kept kept = { 0 };
        struct raw raw;
        int64_t begin;

        door_stop_clock(0);
        raw_open(&raw, (enum raw_stream)_i, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, keep, &kept);
        ferry_session_on(raw.session, FERRY_KIND_CLOSED, ignore, NULL);
        send_request(&raw, false, 1);
        raw_end(&raw);
        close(raw.in);
        raw.in = raw.out = -1;
        begin = sys_now();
        run_to_the_end(&raw);
        ck_assert_int_eq(ferry_session_status(raw.session), -ECONNRESET);
        ck_assert_int_eq(sys_now(), begin);
        ck_assert_int_eq(kept.count, 1);
        ck_assert(!ferry_message_is_wanted(kept.requests[0]));
        ferry_message_unref(kept.requests[0]);
        raw_close(&raw);
}
END_TEST

START_TEST(what_is_asked_after_the_end_fails_at_once)
{
        struct kept kept = { 0 };
        struct raw raw;
        ferry_call *call;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ask_and_end(&raw, &kept, false);
        call = ferry_session_request(raw.session, -1, "t", "{}");
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "no answer can come"));
        ferry_call_free(call);
        /* It still reads. */
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "{}"), 0);
        raw_expect(&raw, RAW_NOTIFICATION, 0);
        for (int i = 0; i < REQUESTS; i++)
                answer(&kept, i);
        run_to_the_end(&raw);
        raw_close(&raw);
}
END_TEST

/* What both sides have said, and how the session has ended then. */
static const struct {
        bool has_asked;
        bool has_spoken;
        bool has_closed;
        bool is_ipc;
        int status;
} endings[] = {
        { .status = 0 },
        { .has_closed = true, .status = 0 },
        { .has_spoken = true, .has_closed = true, .status = 0 },
        { .has_spoken = true, .status = -ECONNRESET },
        { .has_asked = true, .status = -ECONNRESET },
        { .has_asked = true, .has_closed = true, .status = 0 },
        { .has_asked = true, .is_ipc = true, .status = 0 },
};
enum { ENDINGS = sizeof endings / sizeof *endings };

START_TEST(an_end_without_a_close_is_not_in_order)
{
        int i = _i % ENDINGS;
        struct raw raw;

        raw_open(&raw, (enum raw_stream)(_i / ENDINGS), &(ferry_session_options){
                                             .dialect = endings[i].is_ipc ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_FERRY });
        ferry_session_on(raw.session, FERRY_KIND_NOTIFICATION | FERRY_KIND_CLOSED, ignore, NULL);
        if (endings[i].has_asked)
                ck_assert_int_eq(ferry_session_notify(raw.session, "t", "{}"), 0);
        if (endings[i].has_spoken)
                raw_send(&raw, RAW_NOTIFICATION, 0, "t", "x");
        if (endings[i].has_closed)
                raw_send(&raw, RAW_BYE, 0, "", NULL);
        raw_end(&raw);
        run_to_the_end(&raw);
        ck_assert_msg(ferry_session_status(raw.session) == endings[i].status, "%d: %s", i, ferry_session_error(raw.session));
        raw_close(&raw);
}
END_TEST

static int serve(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "'served'") == 0;
}

static int stop(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        return ferry_loop_stop(loop, 0);
}

/* A service of a process that is killed, or ends as it should. */
START_TEST(a_killed_service_is_not_one_that_has_closed)
{
        char path[64], address[80];
        ferry_loop *loop;
        ferry_session *session;
        ferry_call *call;
        pid_t pid;
        int status, end[2];

        ck_assert_int_eq(pipe(end), 0);
        snprintf(path, sizeof path, "/tmp/ferry-endings-%d", (int)getpid());
        snprintf(address, sizeof address, "unix:%s", path);
        pid = fork();
        if (pid == 0) {
                ferry_service *service = ferry_service_open(loop = ferry_loop_new(NULL), address, NULL);

                ferry_service_on(service, FERRY_KIND_REQUEST, serve, NULL);
                close(end[1]);
                ferry_loop_watch(loop, end[0], POLLIN, stop, NULL);
                ferry_loop_run(loop, -1);
                ferry_loop_free(loop);
                _exit(0);
        }
        loop = ferry_loop_new(NULL);
        ck_assert_int_eq(ferry_service_wait(loop, address, 0, SAFETY_MS), 0);
        session = ferry_session_open(loop, address, NULL);
        ferry_session_on(session, FERRY_KIND_CLOSED, ignore, NULL);
        call = ferry_session_request(session, SAFETY_MS, "t", "{}");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        if (_i == 0)
                kill(pid, SIGKILL);
        close(end[0]);
        close(end[1]);
        while (ferry_session_status(session) == 1)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_status(session), _i == 0 ? -ECONNRESET : 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ferry_loop_free(loop);
        unlink(path);
        strcat(path, ".lock");
        unlink(path);
}
END_TEST

/* Standard input is a file to the session: it ends in order, in each dialect, once all is answered. */
START_TEST(the_end_of_standard_input_is_in_order)
{
        struct kept kept = { 0 };
        struct raw raw = { .main_out = -1 };
        int in[2], out[2], before[2] = { dup(0), dup(1) };

        ck_assert(pipe(in) == 0 && pipe(out) == 0);
        ck_assert(dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1);
        close(in[0]);
        close(out[1]);
        raw.loop = ferry_loop_new(NULL);
        raw.session = ferry_session_open(raw.loop, "stdio:", &(ferry_session_options){
                                                 .dialect = _i ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_FERRY });
        raw.out = in[1];
        raw.in = out[0];
        ask_and_end(&raw, &kept, _i);
        for (int i = 0; i < REQUESTS; i++)
                answer(&kept, i);
        run_to_the_end(&raw);
        ck_assert_msg(ferry_session_status(raw.session) == 0, "%s", ferry_session_error(raw.session));
        raw_close(&raw);
        for (int i = 0; i < 2; i++) {
                dup2(before[i], i);
                close(before[i]);
        }
}
END_TEST

/* Another program may write behind it, so it says in its hello that it sends no close. */
START_TEST(a_peer_that_only_writes_ends_without_a_close)
{
        int there[2], back[2];
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_session *writer, *reader;
        char address[32];

        ck_assert_int_eq(pipe2(there, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(back, O_CLOEXEC), 0);
        snprintf(address, sizeof address, "fd:,%d", there[1]);
        writer = ferry_session_open(loop, address, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        reader = ferry_session_open(loop, NULL, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY,
                                                                          .fds = (const int[]){ there[0], back[1], -1 } });
        ck_assert_int_eq(ferry_session_notify(writer, "t", "1"), 0);
        ck_assert_int_eq(ferry_session_close(writer), 0);
        ck_assert_ptr_nonnull(ferry_session_next(reader, SAFETY_MS));
        ck_assert_ptr_null(ferry_session_next(reader, SAFETY_MS));
        ck_assert_msg(ferry_session_status(reader) == 0, "%s", ferry_session_error(reader));
        close(back[0]);
}
END_TEST

/* A peer that has read all, and has closed in order: by then the ping of the flush may or may not have left. */
START_TEST(a_flush_succeeds_when_the_peer_has_read_all_and_closes)
{
        struct raw raw;

        raw_open(&raw, _i & 1 ? RAW_PIPES : RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "'x'"), 0);
        raw_expect(&raw, RAW_NOTIFICATION, 0);
        raw_send(&raw, RAW_BYE, 0, "", "");
        if (_i & 2) {
                /* The close is read before the flush. */
                while (ferry_loop_tick(raw.loop, 0) == 1)
                        ;
        }
        if (raw.out != raw.in)
                close(raw.out);
        close(raw.in);
        raw.in = raw.out = -1;
        ck_assert_int_eq(ferry_session_flush(raw.session, SAFETY_MS), 0);
        while (ferry_session_status(raw.session) == 1)
                ck_assert_int_ge(ferry_loop_tick(raw.loop, SAFETY_MS), 0);
        ck_assert_msg(ferry_session_status(raw.session) == 0, "%s", ferry_session_error(raw.session));
        /* There is no session to flush now. */
        ck_assert_int_eq(ferry_session_flush(raw.session, SAFETY_MS), -ENOTCONN);
        raw_close(&raw);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_flush_succeeds_when_the_peer_has_read_all_and_closes, 4),
        SUITE_TEST(a_peer_that_only_writes_ends_without_a_close),
        SUITE_LOOP(requests_read_before_the_end_are_answered, 2 * RAW_STREAMS),
        SUITE_LOOP(a_session_waits_for_an_answer_whose_first_try_has_failed, RAW_STREAMS),
        SUITE_LOOP(requests_fetched_after_the_end_are_answered, RAW_STREAMS),
        SUITE_LOOP(an_answer_may_take_longer_than_closing, RAW_STREAMS),
        SUITE_TEST(a_peer_that_goes_before_it_is_answered_is_noticed),
        SUITE_LOOP(each_answer_gives_the_next_its_time, 2),
        SUITE_LOOP(a_peer_that_reads_its_answers_slowly_gets_them, 2),
        SUITE_LOOP(a_peer_that_is_gone_is_not_waited_for, 2),
        SUITE_TEST(what_is_asked_after_the_end_fails_at_once),
        SUITE_LOOP(an_end_without_a_close_is_not_in_order, ENDINGS * RAW_STREAMS),
        SUITE_LOOP(a_killed_service_is_not_one_that_has_closed, 2),
        SUITE_LOOP(the_end_of_standard_input_is_in_order, 2),
};

SUITE_MAIN("conformance-endings", tests)
