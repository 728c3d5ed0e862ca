/* What is sent while a session is held leaves together, when it is released, when the loop goes on, and when the session is
 * closed; replies to requests that were read together leave together, unless a handler takes long. */
#include "conformance/pair.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, MESSAGES = 50, BATCH = 32, WARM_UP = 8 };

static unsigned writes(void)
{
        return door_counts.calls[DOOR_send] + door_counts.calls[DOOR_write] + door_counts.calls[DOOR_write_quietly];
}

static void tell(ferry_session *session, int begin, int count)
{
        for (int i = begin; i < begin + count; i++)
                ck_assert_int_eq(ferry_session_notify(session, "App\\Load", "{number: %d, text: %s}", i, "some text"), 0);
}

static void ask(struct pair *pair)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(pair->us, SAFETY_MS, "App\\Echo", "{number: 1, text: 'x'}");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
}

static size_t queued(const ferry_session *session)
{
        FERRY_AUTO(ferry_value) info = ferry_session_info(session);

        return (size_t)ferry_value_int(ferry_value_get(info, "queued"), -1);
}

START_TEST(held_messages_leave_in_one_write)
{
        struct pair pair;

        pair_open(&pair, _i, NULL, NULL);
        ask(&pair);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        door_reset();
        tell(pair.us, 0, MESSAGES);
        ck_assert_uint_eq(writes(), 0);
        ck_assert_uint_gt(queued(pair.us), MESSAGES * 10);
        ck_assert_int_eq(ferry_session_release(pair.us), 0);
        ck_assert_uint_le(writes(), 1);
        ck_assert_uint_eq(queued(pair.us), 0);
        ck_assert_int_eq(door_counts.calls[DOOR_epoll_wait], 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), MESSAGES);
        /* It is held no longer. */
        tell(pair.us, 0, 1);
        ck_assert_uint_eq(queued(pair.us), 0);
        pair_close(&pair);
}
END_TEST

START_TEST(the_last_release_writes)
{
        struct pair pair;

        pair_open(&pair, _i, NULL, NULL);
        ask(&pair);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        tell(pair.us, 0, 2);
        ck_assert_int_eq(ferry_session_release(pair.us), 0);
        ck_assert_uint_gt(queued(pair.us), 0);
        tell(pair.us, 2, 2);
        ck_assert_int_eq(ferry_session_release(pair.us), 0);
        ck_assert_uint_eq(queued(pair.us), 0);
        ck_assert_int_eq(ferry_session_release(pair.us), 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 4);
        pair_close(&pair);
}
END_TEST

/* Also of a session that was held twice. */
START_TEST(a_call_that_waits_releases)
{
        struct pair pair;

        pair_open(&pair, _i, NULL, NULL);
        ask(&pair);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        tell(pair.us, 0, 3);
        ask(&pair);
        tell(pair.us, 3, 1);
        ck_assert_uint_eq(queued(pair.us), 0);
        ck_assert_int_eq(ferry_session_release(pair.us), 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 4);
        pair_close(&pair);
}
END_TEST

/* Also a loop in which nothing else may happen, and of which the program polls the descriptor. */
START_TEST(the_loop_releases)
{
        struct pair pair;
        struct pollfd poll_loop;

        pair_open(&pair, _i, NULL, NULL);
        ask(&pair);
        poll_loop = (struct pollfd){ .fd = ferry_loop_fd(pair.loop), .events = POLLIN };
        while (ferry_loop_tick(pair.loop, 0) == 1)
                ;
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        tell(pair.us, 0, 2);
        ck_assert_int_eq(poll(&poll_loop, 1, 0), 1);
        ck_assert_int_ge(ferry_loop_tick(pair.loop, 0), 0);
        ck_assert_uint_eq(queued(pair.us), 0);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        tell(pair.us, 2, 2);
        ck_assert_int_ge(ferry_loop_run(pair.loop, 0), 0);
        ck_assert_uint_eq(queued(pair.us), 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 4);
        pair_close(&pair);
}
END_TEST

START_TEST(flush_means_that_all_is_received)
{
        struct pair pair;

        pair_open(&pair, _i, NULL, NULL);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        tell(pair.us, 0, MESSAGES);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        ck_assert_uint_eq(queued(pair.us), 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), MESSAGES);
        pair_close(&pair);
}
END_TEST

static int note_load(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *count = userdata;

        (void)session;
        ck_assert_int_eq(ferry_value_int(ferry_message_get(message, "number"), -1), *count);
        ++*count;
        return 1;
}

/* Two sessions in one loop, over a socket; @types is the dialect. */
static void open_two(ferry_loop *loop, const char *dialect, ferry_session_options options, ferry_session *sessions[2])
{
        int fds[2];

        set_dialect(&options, dialect);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++) {
                options.fds = (const int[]){ fds[i], fds[i], -1 };
                sessions[i] = ferry_session_open(loop, NULL, &options);
        }
}

static const char *const dialects[DIALECTS] = { "ferry", "php", "json" };

START_TEST(a_session_that_is_freed_while_it_is_held_sends_all)
{
        ferry_loop *loop = ferry_loop_new(NULL), *theirs = ferry_loop_new(NULL);
        ferry_session *sessions[2];
        int fds[2], count = 0;
        ferry_session_options options = { 0 };

        set_dialect(&options, dialects[_i % DIALECTS]);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        options.fds = (const int[]){ fds[0], fds[0], -1 };
        sessions[0] = ferry_session_open(loop, NULL, &options);
        options.fds = (const int[]){ fds[1], fds[1], -1 };
        sessions[1] = ferry_session_open(theirs, NULL, &options);
        ferry_session_on(sessions[1], FERRY_KIND_NOTIFICATION, note_load, &count);
        ck_assert_int_eq(ferry_session_hold(sessions[0]), 0);
        tell(sessions[0], 0, MESSAGES);
        /* The call writes; the loop of the sender does not run. */
        if (_i < DIALECTS) {
                ck_assert_int_eq(ferry_session_close(sessions[0]), 0);
                ck_assert_int_eq(ferry_session_release(sessions[0]), -ENOTCONN);
        } else
                ferry_session_free(sessions[0]);
        while (count < MESSAGES)
                ck_assert_int_eq(ferry_loop_tick(theirs, SAFETY_MS), 1);
        ferry_loop_free(loop);
        ferry_loop_free(theirs);
}
END_TEST

START_TEST(a_full_queue_is_reported_and_empty_once_it_is_released)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *sessions[2];
        int count = 0, told = 0, code;

        open_two(loop, dialects[_i], (ferry_session_options){ .queue_max = 2000 }, sessions);
        ferry_session_on(sessions[1], FERRY_KIND_NOTIFICATION, note_load, &count);
        ck_assert_int_eq(ferry_session_hold(sessions[0]), 0);
        while ((code = ferry_session_notify(sessions[0], "App\\Load", "{number: %d}", told)) == 0)
                told++;
        ck_assert_int_eq(code, -ENOBUFS);
        ck_assert_int_gt(told, 10);
        ck_assert_int_eq(ferry_session_notify(sessions[0], "App\\Load", "{number: %d}", told), -ENOBUFS);
        ck_assert_int_eq(ferry_session_release(sessions[0]), 0);
        ck_assert_int_eq(ferry_session_hold(sessions[0]), 0);
        tell(sessions[0], told++, 1);
        /* That a message was refused is reported once more. */
        ck_assert_int_eq(ferry_session_flush(sessions[0], SAFETY_MS), -ENOBUFS);
        while (count < told)
                ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
        ferry_loop_free(loop);
}
END_TEST

/* Calls of which nothing has left are not executed. */
START_TEST(a_held_request_is_taken_back)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *sessions[2];
        FERRY_AUTO(ferry_call) call = NULL;
        int count = 0;

        open_two(loop, dialects[_i], (ferry_session_options){ 0 }, sessions);
        ferry_session_on(sessions[1], FERRY_KIND_NOTIFICATION, note_load, &count);
        ck_assert_int_eq(ferry_session_hold(sessions[0]), 0);
        tell(sessions[0], 0, 1);
        call = ferry_session_request(sessions[0], -1, "App\\Echo", "{}");
        tell(sessions[0], 1, 1);
        ferry_session_close(sessions[0]);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        while (count < 2)
                ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(what_cannot_be_sent_by_cannot_be_held)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *sessions[2], *reader, *failed;
        char address[32];
        int fds[2];

        ck_assert_int_eq(ferry_session_hold(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_session_release(NULL), -ENOMEM);
        ck_assert_int_eq(pipe(fds), 0);
        snprintf(address, sizeof address, "fd:%d,", fds[0]);
        reader = ferry_session_open(loop, address, NULL);
        ck_assert_int_eq(ferry_session_hold(reader), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_session_release(reader), -EOPNOTSUPP);
        ck_assert_str_ne(ferry_session_error(reader), "");
        failed = ferry_session_open(loop, "unix:/nowhere/at/all", NULL);
        ck_assert_int_eq(ferry_session_hold(failed), -ENOENT);
        ck_assert_int_eq(ferry_session_release(failed), -ENOENT);
        open_two(loop, "ferry", (ferry_session_options){ 0 }, sessions);
        ck_assert_int_eq(ferry_session_hold(sessions[0]), 0);
        tell(sessions[0], 0, 1);
        ferry_session_free(sessions[1]);
        while (ferry_session_status(sessions[0]) == 1)
                ferry_loop_tick(loop, SAFETY_MS);
        ck_assert_int_lt(ferry_session_hold(sessions[0]), 0);
        ck_assert_int_lt(ferry_session_release(sessions[0]), 0);
        close(fds[1]);
        ferry_loop_free(loop);
}
END_TEST

/* What was held is lost, and the call that writes says so. */
START_TEST(a_peer_that_is_gone_is_reported_by_release)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session_options options = { .dialect = FERRY_DIALECT_FERRY };
        ferry_session *session;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        options.fds = (const int[]){ fds[0], fds[0], -1 };
        session = ferry_session_open(loop, NULL, &options);
        ck_assert_int_eq(ferry_session_hold(session), 0);
        tell(session, 0, 1);
        close(fds[1]);
        ck_assert_int_eq(ferry_session_release(session), -ECONNRESET);
        ck_assert_str_ne(ferry_session_error(session), "");
        ck_assert_int_eq(ferry_session_notify(session, "App\\Load", NULL), -ECONNRESET);
        ck_assert_int_lt(ferry_loop_run(loop, SAFETY_MS), 0);
        ferry_loop_free(loop);
}
END_TEST

static int hold_and_tell(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ck_assert_int_eq(ferry_session_hold(session), 0);
        tell(session, 0, MESSAGES);
        ck_assert_uint_gt(queued(session), 0);
        return 1;
}

START_TEST(a_hold_in_a_handler_ends_with_the_round)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *sessions[2];
        int count = 0;

        open_two(loop, dialects[_i], (ferry_session_options){ 0 }, sessions);
        ferry_session_on(sessions[0], FERRY_KIND_NOTIFICATION, note_load, &count);
        ferry_session_on(sessions[1], FERRY_KIND_NOTIFICATION, hold_and_tell, NULL);
        tell(sessions[0], 0, 1);
        door_reset();
        while (count < MESSAGES)
                ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
        /* In the dialect ferry a hello is answered before. */
        ck_assert_uint_eq(writes(), _i == 0 ? 2 : 1);
        ferry_loop_free(loop);
}
END_TEST

/* Replies ------------------------------------------------------------------------------------------------ */

struct answerer {
        int64_t takes_ns;               /* each handler, by the clock of the loop … */
        int slow;                       /* … or only this one; 0: all */
        int count;
        unsigned writes[BATCH + 1];     /* of all, when a handler is called */
};

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct answerer *answerer = userdata;

        (void)session;
        if (answerer->count < BATCH)
                answerer->writes[answerer->count] = writes();
        answerer->count++;
        ck_assert_int_eq(ferry_message_reply(request, "App\\Answer", "{number: %d}", answerer->count), 0);
        if (answerer->slow == 0 || answerer->slow == answerer->count)
                door_advance(answerer->takes_ns);
        return 1;
}

/* All at once. */
static void ask_many(ferry_session *session, int count)
{
        ferry_call *calls[BATCH];

        ck_assert_int_eq(ferry_session_hold(session), 0);
        for (int i = 0; i < count; i++)
                calls[i] = ferry_session_request(session, -1, "App\\Echo", "{number: %d}", i);
        for (int i = 0; i < count; i++) {
                ck_assert_msg(ferry_call_await(calls[i]) != NULL, "%s", ferry_call_error(calls[i]));
                ferry_call_free(calls[i]);
        }
}

/* Until handlers are known to be quick, and so many bytes are read at once. */
static void warm_up(ferry_session *session)
{
        for (int i = 0; i < WARM_UP; i++)
                ask_many(session, BATCH);
}

START_TEST(replies_to_what_was_read_together_leave_together)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct answerer answerer = { .takes_ns = 1000 };
        ferry_session *sessions[2];

        open_two(loop, dialects[_i], (ferry_session_options){ 0 }, sessions);
        ferry_session_on(sessions[1], FERRY_KIND_REQUEST, answer, &answerer);
        door_stop_clock(0);
        warm_up(sessions[0]);
        door_reset();
        door_stop_clock(0);
        answerer.count = 0;
        ask_many(sessions[0], BATCH);
        ck_assert_int_eq(answerer.count, BATCH);
        ck_assert_uint_eq(writes(), 2);
        door_reset();
        ferry_loop_free(loop);
}
END_TEST

/* Before handlers are known to be quick, and while they are slow, each reply leaves in the call that sends it. */
START_TEST(replies_do_not_wait_for_slow_handlers)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct answerer answerer = { .takes_ns = 1000000 };
        ferry_session *sessions[2];

        open_two(loop, dialects[_i], (ferry_session_options){ 0 }, sessions);
        ferry_session_on(sessions[1], FERRY_KIND_REQUEST, answer, &answerer);
        door_stop_clock(0);
        for (int round = 0; round < 3; round++) {
                answerer.count = 0;
                ask_many(sessions[0], BATCH);
                for (int i = 1; i < BATCH; i++)
                        ck_assert_uint_eq(answerer.writes[i], answerer.writes[0] + (unsigned)i);
        }
        door_reset();
        ferry_loop_free(loop);
}
END_TEST

/* The replies before it leave once it has returned, and those behind it at once. */
START_TEST(a_handler_that_becomes_slow_ends_the_waiting)
{
        enum { SLOW = 10 };
        ferry_loop *loop = ferry_loop_new(NULL);
        struct answerer answerer = { .takes_ns = 1000 };
        ferry_session *sessions[2];

        open_two(loop, dialects[_i], (ferry_session_options){ 0 }, sessions);
        ferry_session_on(sessions[1], FERRY_KIND_REQUEST, answer, &answerer);
        door_stop_clock(0);
        warm_up(sessions[0]);
        answerer = (struct answerer){ .takes_ns = 1000000, .slow = SLOW };
        ask_many(sessions[0], BATCH);
        ck_assert_uint_eq(answerer.writes[SLOW - 1], answerer.writes[0]);
        ck_assert_uint_eq(answerer.writes[SLOW], answerer.writes[0] + 1);
        for (int i = SLOW + 1; i < SLOW + 16; i++)
                ck_assert_uint_eq(answerer.writes[i], answerer.writes[SLOW] + (unsigned)(i - SLOW));
        door_reset();
        ferry_loop_free(loop);
}
END_TEST

/* Many quick handlers are slow together. */
START_TEST(a_reply_waits_for_a_tenth_of_a_millisecond_at_most)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct answerer answerer = { .takes_ns = 40000 };
        ferry_session *sessions[2];

        open_two(loop, dialects[_i], (ferry_session_options){ 0 }, sessions);
        ferry_session_on(sessions[1], FERRY_KIND_REQUEST, answer, &answerer);
        door_stop_clock(0);
        warm_up(sessions[0]);
        answerer.count = 0;
        ask_many(sessions[0], BATCH);
        for (int i = 4; i < BATCH; i++)
                ck_assert_uint_gt(answerer.writes[i], answerer.writes[i - 4]);
        door_reset();
        ferry_loop_free(loop);
}
END_TEST

static int count_load(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        ++*(int *)userdata;
        return 1;
}

static int forward(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        ck_assert_int_eq(ferry_message_reply(message, NULL, "{}"), 0);
        tell(userdata, (int)ferry_value_int(ferry_message_get(message, "number"), -1), 1);
        return 1;
}

/* Also those by other sessions. */
START_TEST(what_handlers_of_one_round_send_leaves_together)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *sessions[2], *others[2];
        int count = 0;

        open_two(loop, dialects[_i], (ferry_session_options){ 0 }, sessions);
        open_two(loop, dialects[_i], (ferry_session_options){ 0 }, others);
        ferry_session_on(sessions[1], FERRY_KIND_REQUEST, forward, others[0]);
        ferry_session_on(others[1], FERRY_KIND_NOTIFICATION, count_load, &count);
        door_stop_clock(0);
        warm_up(sessions[0]);
        while (count < WARM_UP * BATCH)
                ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        door_reset();
        door_stop_clock(0);
        count = 0;
        ask_many(sessions[0], BATCH);
        while (count < BATCH)
                ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_uint_eq(writes(), 3);
        door_reset();
        ferry_loop_free(loop);
}
END_TEST

static int tell_much(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *count = userdata;

        (void)message;
        for (int i = 0; i < MESSAGES; i++)
                ck_assert_int_eq(ferry_session_notify(session, "App\\Load", "{number: %d, text: %s}", (*count)++, "some text"), 0);
        return ferry_message_reply(message, NULL, "{}") == 0;
}

/* A message is not refused because others wait for the end of the round. */
START_TEST(what_is_put_off_leaves_before_a_message_is_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *sessions[2];
        int count = 0, told = 0;

        open_two(loop, dialects[_i], (ferry_session_options){ .queue_max = 500 }, sessions);
        ferry_session_on(sessions[0], FERRY_KIND_NOTIFICATION, note_load, &count);
        ferry_session_on(sessions[1], FERRY_KIND_REQUEST, tell_much, &told);
        door_stop_clock(0);
        for (int i = 0; i < 20; i++)
                ask_many(sessions[0], 3);
        while (count < told)
                ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_int_eq(told, 20 * 3 * MESSAGES);
        door_reset();
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(held_messages_leave_in_one_write, PAIRS),
        SUITE_LOOP(the_last_release_writes, PAIRS),
        SUITE_LOOP(a_call_that_waits_releases, PAIRS),
        SUITE_LOOP(the_loop_releases, LOCAL_PAIRS),
        SUITE_LOOP(flush_means_that_all_is_received, PAIRS),
        SUITE_LOOP(a_session_that_is_freed_while_it_is_held_sends_all, 2 * DIALECTS),
        SUITE_LOOP(a_full_queue_is_reported_and_empty_once_it_is_released, DIALECTS),
        SUITE_LOOP(a_held_request_is_taken_back, DIALECTS),
        SUITE_TEST(what_cannot_be_sent_by_cannot_be_held),
        SUITE_TEST(a_peer_that_is_gone_is_reported_by_release),
        SUITE_LOOP(a_hold_in_a_handler_ends_with_the_round, DIALECTS),
        SUITE_LOOP(replies_to_what_was_read_together_leave_together, DIALECTS),
        SUITE_LOOP(replies_do_not_wait_for_slow_handlers, DIALECTS),
        SUITE_LOOP(a_handler_that_becomes_slow_ends_the_waiting, DIALECTS),
        SUITE_LOOP(a_reply_waits_for_a_tenth_of_a_millisecond_at_most, DIALECTS),
        SUITE_LOOP(what_handlers_of_one_round_send_leaves_together, DIALECTS),
        SUITE_LOOP(what_is_put_off_leaves_before_a_message_is_refused, DIALECTS),
};

SUITE_MAIN("conformance-hold", tests)
