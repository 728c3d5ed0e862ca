/* The loop as programs see it: what run returns and when, stop, tick, timers and descriptors of the program's own, and one
 * descriptor for poll(2) that is readable when there is work, for whatever reason, and only then. */
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static char events[256];

static void note(char letter)
{
        size_t size = strlen(events);

        ck_assert_uint_lt(size, sizeof events - 1);
        events[size] = letter;
}

static int see(ferry_loop *loop, void *userdata)
{
        (void)loop;
        note(*(const char *)userdata);
        return 0;
}

static int see_three_times(ferry_loop *loop, void *userdata)
{
        see(loop, userdata);
        return strlen(events) < 3;
}

static int stop(ferry_loop *loop, void *userdata)
{
        note('s');
        return ferry_loop_stop(loop, *(const int *)userdata);
}

static void open_two(ferry_loop *loop, ferry_session *sessions[2])
{
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++)
                sessions[i] = ferry_session_open(loop, NULL, &(ferry_session_options){
                                                         .fds = (const int[]){ fds[i], fds[i], -1 } });
}

START_TEST(run_returns_when_nothing_is_left)
{
        ferry_loop *loop = ferry_loop_new(NULL);

        door_stop_clock(0);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ferry_loop_after(loop, 1, see, "b");
        ferry_loop_after(loop, 0, see, "a");
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_str_eq(events, "ab");
        ferry_loop_after(loop, 0, see_three_times, "c");
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_str_eq(events, "abc");
        ferry_loop_free(loop);
}
END_TEST

START_TEST(run_returns_when_sessions_have_ended)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];

        open_two(loop, two);
        ck_assert_int_eq(ferry_loop_run(loop, 1), 0);
        ck_assert_int_eq(ferry_session_status(two[0]), 1);
        ferry_session_close(two[0]);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_int_eq(ferry_session_status(two[0]), 0);
        ck_assert_int_eq(ferry_session_status(two[1]), 0);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(run_ends_with_its_time)
{
        ferry_loop *loop = ferry_loop_new(NULL);

        ferry_loop_after(loop, SAFETY_MS, see, "x");
        ck_assert_int_eq(ferry_loop_run(loop, 0), 0);
        ck_assert_int_eq(ferry_loop_run(loop, 5), 0);
        ck_assert_str_eq(events, "");
        /* One round is always run. */
        ferry_loop_after(loop, 0, see, "a");
        ck_assert_int_eq(ferry_loop_run(loop, 0), 0);
        ck_assert_str_eq(events, "a");
        ferry_loop_free(loop);
}
END_TEST

static int run_inside(ferry_loop *loop, void *userdata)
{
        int inner = 7;

        note('(');
        ferry_loop_after(loop, 0, stop, &inner);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 7);
        note(')');
        ferry_loop_stop(loop, *(int *)userdata);
        /* The first counts. */
        ferry_loop_stop(loop, 99);
        return 0;
}

START_TEST(stop_ends_the_innermost_run)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int outer = -5;

        ck_assert_int_eq(ferry_loop_stop(loop, 3), 0);
        ferry_loop_after(loop, 0, run_inside, &outer);
        ferry_loop_after(loop, SAFETY_MS, see, "x");
        ck_assert_int_eq(ferry_loop_run(loop, -1), -5);
        ck_assert_str_eq(events, "(s)");
        ck_assert_int_eq(ferry_loop_run(loop, 0), 0);
        ferry_loop_free(loop);
}
END_TEST

static int remove_both(ferry_loop *loop, void *userdata)
{
        ferry_loop_off(loop, see, userdata);
        ferry_loop_off(loop, remove_both, userdata);
        note('r');
        return 1;
}

START_TEST(off_forgets_timers_and_descriptors)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        static char letters[] = "ab";
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ferry_loop_after(loop, 0, see, &letters[0]);
        ferry_loop_after(loop, 0, see, &letters[1]);
        ferry_loop_watch(loop, fds[1], POLLOUT, see, &letters[0]);
        ferry_loop_off(loop, see, &letters[0]);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_str_eq(events, "b");
        /* From inside, also the one that runs. */
        ferry_loop_after(loop, 0, remove_both, &letters[0]);
        ferry_loop_after(loop, 0, see, &letters[0]);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_str_eq(events, "br");
        ferry_loop_free(loop);
        close(fds[0]);
        close(fds[1]);
}
END_TEST

struct watched {
        int fd;
        int calls;
        int last;
};

static int take_byte(ferry_loop *loop, void *userdata)
{
        struct watched *watched = userdata;
        char byte;

        (void)loop;
        watched->calls++;
        watched->last = (int)read(watched->fd, &byte, 1);
        return watched->last == 1;
}

START_TEST(a_descriptor_is_watched)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct watched watched = { 0 };
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        watched.fd = fds[0];
        ferry_loop_watch(loop, fds[0], POLLIN, take_byte, &watched);
        ck_assert_int_eq(ferry_loop_run(loop, 1), 0);
        ck_assert_int_eq(watched.calls, 0);
        ck_assert_int_eq(write(fds[1], "xy", 2), 2);
        close(fds[1]);
        /* It is done once its function returns 0: at the end. */
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_int_eq(watched.calls, 3);
        ck_assert_int_eq(watched.last, 0);
        ferry_loop_free(loop);
        close(fds[0]);
}
END_TEST

START_TEST(what_cannot_be_watched_fails_the_loop)
{
        ferry_loop *loop = ferry_loop_new(NULL);

        ferry_loop_watch(loop, 9999, POLLIN, see, "x");
        ck_assert_int_eq(ferry_loop_run(loop, -1), -EBADF);
        ck_assert_str_ne(ferry_loop_error(loop), "");
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_str_eq(events, "");
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_descriptor_is_watched_twice)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ferry_loop_watch(loop, fds[1], POLLOUT, see, "a");
        ferry_loop_watch(loop, fds[1], POLLOUT, see, "b");
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert(strcmp(events, "ab") == 0 || strcmp(events, "ba") == 0);
        ferry_loop_watch(loop, fds[1], POLLOUT, see, "a");
        ferry_loop_watch(loop, fds[1], POLLOUT, see, "b");
        ferry_loop_watch(loop, fds[1], POLLOUT, see, "c");
        ferry_loop_off(loop, see, "a");
        ferry_loop_free(loop);
        close(fds[0]);
        close(fds[1]);
}
END_TEST

START_TEST(tick_says_whether_it_did_something)
{
        ferry_loop *loop = ferry_loop_new(NULL);

        ck_assert_int_eq(ferry_loop_tick(loop, 0), 0);
        ferry_loop_after(loop, 0, see, "a");
        ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 0);
        ck_assert_int_eq(ferry_loop_tick(loop, 1), 0);
        ferry_loop_free(loop);
}
END_TEST

/* The descriptor -------------------------------------------------------------------------------------- */

static bool is_readable(ferry_loop *loop, int timeout_ms)
{
        struct pollfd poll_in = { .fd = ferry_loop_fd(loop), .events = POLLIN };

        ck_assert_int_ge(poll_in.fd, 0);
        return poll(&poll_in, 1, timeout_ms) == 1;
}

static void tick_until_idle(ferry_loop *loop)
{
        while (is_readable(loop, 0))
                ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
}

static int count_message(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 0;
}

START_TEST(idle_is_not_readable)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];
        int fd = ferry_loop_fd(loop);

        ck_assert(!is_readable(loop, 0));
        open_two(loop, two);
        /* It has yet to say that it is open. */
        ck_assert(is_readable(loop, 0));
        tick_until_idle(loop);
        ck_assert_int_eq(ferry_loop_fd(loop), fd);
        ck_assert(!is_readable(loop, 0));
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_message_makes_it_readable)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];
        int got = 0;

        open_two(loop, two);
        tick_until_idle(loop);
        ferry_session_on(two[1], FERRY_KIND_NOTIFICATION, count_message, &got);
        for (int i = 1; i <= 500; i++)
                ck_assert_int_eq(ferry_session_notify(two[0], "t", "{}"), 0);
        /* More than one round's work: it stays readable until all is done, and no longer. */
        ck_assert(is_readable(loop, SAFETY_MS));
        tick_until_idle(loop);
        ck_assert_int_eq(got, 500);
        ferry_loop_free(loop);
}
END_TEST

enum { BY_AFTER, BY_REQUEST, BY_CLOSE, WAYS };

static void note_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        (void)reply, (void)userdata;
        note(ferry_call_status(call) == -ETIMEDOUT ? 't' : '?');
}

static int note_closed(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message, (void)userdata;
        note('c');
        return 0;
}

/* A deadline that was set from outside of the loop. */
START_TEST(a_deadline_makes_it_readable)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        char *text = calloc(1, 1000001);
        int fds[2];

        memset(text, 'x', 1000000);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){
                .fds = (const int[]){ fds[0], fds[0], -1 }, .close_timeout_ms = 5 });
        ferry_session_on(session, FERRY_KIND_CLOSED, note_closed, NULL);
        tick_until_idle(loop);
        if (_i == BY_AFTER)
                ferry_loop_after(loop, 5, see, "t");
        else if (_i == BY_REQUEST)
                ferry_call_then(ferry_session_request(session, 5, "t", "{}"), note_end, NULL);
        else {
                ck_assert_int_eq(ferry_session_notify(session, "t", "%s", text), 0);
                tick_until_idle(loop);
                ck_assert_int_eq(ferry_session_close(session), 0);
        }
        while (!*events) {
                ck_assert(is_readable(loop, SAFETY_MS));
                ferry_loop_tick(loop, 0);
        }
        ck_assert_str_eq(events, _i == BY_CLOSE ? "c" : "t");
        free(text);
        ferry_loop_free(loop);
        close(fds[1]);
}
END_TEST

/* A plain file cannot be polled: it is work in memory. */
START_TEST(a_file_makes_it_readable)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        char path[] = "/tmp/ferry-run-XXXXXX";
        int file = mkstemp(path);

        ck_assert_int_ge(file, 0);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert(!is_readable(loop, 0));
        ferry_loop_watch(loop, file, POLLIN, see, "f");
        ck_assert(is_readable(loop, SAFETY_MS));
        tick_until_idle(loop);
        ck_assert_str_eq(events, "f");
        ferry_loop_free(loop);
        close(file);
}
END_TEST

START_TEST(a_call_that_failed_makes_it_readable)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];

        open_two(loop, two);
        tick_until_idle(loop);
        ferry_call_then(ferry_session_request(two[0], -1, NULL, "{}"), note_end, NULL);
        ck_assert(is_readable(loop, SAFETY_MS));
        tick_until_idle(loop);
        ck_assert_str_eq(events, "?");
        ferry_loop_free(loop);
}
END_TEST

/* The first question may come late, when work and deadlines are there already. */
START_TEST(it_may_be_asked_for_late)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];

        open_two(loop, two);
        ck_assert(is_readable(loop, SAFETY_MS));
        tick_until_idle(loop);
        ferry_loop_free(loop);
        loop = ferry_loop_new(NULL);
        ferry_loop_after(loop, 2, see, "a");
        ck_assert(is_readable(loop, SAFETY_MS));
        tick_until_idle(loop);
        ck_assert_str_eq(events, "a");
        ferry_loop_free(loop);
}
END_TEST

/* A poll loop of the program's own, with more in it than ours. */
START_TEST(hosted_by_another_loop)
{
        ferry_loop *loops[2] = { ferry_loop_new(NULL), ferry_loop_new(NULL) };
        ferry_session *sessions[2];
        int fds[2], got = 0;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++)
                sessions[i] = ferry_session_open(loops[i], NULL, &(ferry_session_options){
                                                         .fds = (const int[]){ fds[i], fds[i], -1 } });
        ferry_session_on(sessions[1], FERRY_KIND_NOTIFICATION, count_message, &got);
        for (int i = 0; i < 100; i++)
                ck_assert_int_eq(ferry_session_notify(sessions[0], "t", "{}"), 0);
        ferry_session_close(sessions[0]);
        while (ferry_session_status(sessions[1]) == 1) {
                struct pollfd polls[] = { { .fd = ferry_loop_fd(loops[0]), .events = POLLIN },
                                          { .fd = ferry_loop_fd(loops[1]), .events = POLLIN } };

                ck_assert_int_gt(poll(polls, 2, SAFETY_MS), 0);
                for (int i = 0; i < 2; i++)
                        if (polls[i].revents)
                                ck_assert_int_ge(ferry_loop_tick(loops[i], 0), 0);
        }
        ck_assert_int_eq(got, 100);
        ferry_loop_free(loops[0]);
        ferry_loop_free(loops[1]);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(run_returns_when_nothing_is_left),
        SUITE_TEST(run_returns_when_sessions_have_ended),
        SUITE_TEST(run_ends_with_its_time),
        SUITE_TEST(stop_ends_the_innermost_run),
        SUITE_TEST(off_forgets_timers_and_descriptors),
        SUITE_TEST(a_descriptor_is_watched),
        SUITE_TEST(what_cannot_be_watched_fails_the_loop),
        SUITE_TEST(a_descriptor_is_watched_twice),
        SUITE_TEST(tick_says_whether_it_did_something),
        SUITE_TEST(idle_is_not_readable),
        SUITE_TEST(a_message_makes_it_readable),
        SUITE_LOOP_APART(a_deadline_makes_it_readable, WAYS),
        SUITE_TEST(a_file_makes_it_readable),
        SUITE_TEST(a_call_that_failed_makes_it_readable),
        SUITE_TEST(it_may_be_asked_for_late),
        SUITE_TEST(hosted_by_another_loop),
};

SUITE_MAIN("run", tests)
