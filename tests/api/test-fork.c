/* What others share with us stays as it is: the flags of descriptors that were given to us, and everything of the parent
 * in a forked child, where each use answers -ECHILD and freeing disturbs no peer. */
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 0;
}

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static int keep(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session;
        *(ferry_message **)userdata = ferry_message_ref(request);
        return 1;
}

static int nothing(ferry_loop *loop, void *userdata)
{
        (void)loop, (void)userdata;
        return 0;
}

static void never(ferry_call *call, const ferry_message *reply, void *userdata)
{
        (void)call, (void)reply, (void)userdata;
}

/* Everything that a parent may have when it forks. */
struct parent {
        ferry_loop *loop;
        ferry_service *service;
        ferry_session *client;
        ferry_session *child;           /* exec: */
        ferry_message *kept;            /* a request of the client's, in hand */
        ferry_call *call;               /* which waits for it */
        int fd;
        char directory[64];
        char address[128];
        int got;
};

static void open_parent(struct parent *parent)
{
        ferry_call *call;

        memset(parent, 0, sizeof *parent);
        strcpy(parent->directory, "/tmp/ferry-fork-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(parent->directory));
        snprintf(parent->address, sizeof parent->address, "unix:%s/socket", parent->directory);
        parent->loop = ferry_loop_new(NULL);
        parent->service = ferry_service_open(parent->loop, parent->address, NULL);
        ferry_service_on(parent->service, FERRY_KIND_REQUEST, keep, &parent->kept);
        ferry_service_on(parent->service, FERRY_KIND_NOTIFICATION, count, &parent->got);
        parent->client = ferry_session_open(parent->loop, parent->address, NULL);
        parent->child = ferry_session_open(parent->loop, "exec:", &(ferry_session_options){
                .argv = (const char *[]){ BUILD_DIRECTORY "/tests/child", "echo", NULL } });
        parent->call = ferry_session_request(parent->client, SAFETY_MS, "t", "{}");
        call = ferry_session_request(parent->child, SAFETY_MS, "t", "'x'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        while (!parent->kept)
                ck_assert_int_ge(ferry_loop_tick(parent->loop, SAFETY_MS), 0);
        parent->fd = ferry_loop_fd(parent->loop);
        /* A service begins to watch its file after a moment. That is past, so that no timer is left to set the loop off. */
        door_stop_clock(0);
        door_advance(1000000000);
        while (ferry_loop_tick(parent->loop, 0) == 1)
                ;
        door_reset();
}

/* All is as before. */
static void check_parent(struct parent *parent)
{
        struct pollfd poll_in = { .fd = parent->fd, .events = POLLIN };
        const ferry_message *reply;
        ferry_call *call;

        /* The child has not set anything off. */
        ck_assert_int_eq(poll(&poll_in, 1, 0), 0);
        ck_assert_int_eq(ferry_loop_tick(parent->loop, 0), 0);
        ck_assert_int_eq(access(parent->address + strlen("unix:"), F_OK), 0);
        ck_assert_int_eq(ferry_session_notify(parent->client, "t", "{}"), 0);
        ck_assert_int_eq(ferry_session_flush(parent->client, SAFETY_MS), 0);
        ck_assert_int_eq(parent->got, 1);
        ck_assert(ferry_message_is_wanted(parent->kept));
        ck_assert_int_eq(ferry_message_reply(parent->kept, NULL, "'answer'"), 0);
        reply = ferry_call_await(parent->call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(parent->call));
        ck_assert_str_eq(ferry_message_text(reply), "answer");
        call = ferry_session_request(parent->child, SAFETY_MS, "t", "'y'");
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(reply), "y");
        ferry_call_free(call);
}

static void close_parent(struct parent *parent)
{
        ferry_call_free(parent->call);
        ferry_message_unref(parent->kept);
        ferry_loop_free(parent->loop);
        ck_assert_int_eq(rmdir(parent->directory), 0);
}

/* In the child: the number of the first line that does not hold. */
#define REQUIRE(condition)               \
        do                               \
                if (!(condition))        \
                        return __LINE__; \
        while (0)

static int use_everything(struct parent *parent)
{
        ferry_session *session;
        ferry_service *service;
        ferry_call *call;

        REQUIRE(ferry_loop_tick(parent->loop, 0) == -ECHILD);
        REQUIRE(ferry_loop_run(parent->loop, -1) == -ECHILD);
        REQUIRE(ferry_loop_fd(parent->loop) == -ECHILD);
        REQUIRE(ferry_loop_wake(parent->loop) == -ECHILD);
        ferry_loop_on_signal(parent->loop, SIGUSR1, nothing, NULL);
        ferry_loop_on_wake(parent->loop, nothing, NULL);
        ferry_loop_on_idle(parent->loop, nothing, NULL);
        ferry_loop_after(parent->loop, 0, nothing, NULL);
        ferry_loop_watch(parent->loop, 0, POLLIN, nothing, NULL);
        ferry_loop_off(parent->loop, nothing, NULL);
        REQUIRE(ferry_session_notify(parent->client, "t", "{}") == -ECHILD);
        REQUIRE(ferry_session_flush(parent->client, -1) == -ECHILD);
        REQUIRE(ferry_session_next(parent->client, -1) == NULL);
        REQUIRE(ferry_session_close(parent->client) == -ECHILD);
        ferry_session_on(parent->client, FERRY_KIND_REQUEST, echo, NULL);
        ferry_session_off(parent->client, echo, NULL);
        ferry_session_on_type(parent->client, FERRY_KIND_REQUEST, "t", echo, NULL);
        ferry_session_off_type(parent->client, "t", echo, NULL);
        REQUIRE(ferry_message_reply(parent->kept, NULL, "{}") == -ECHILD);
        REQUIRE(ferry_message_fail(parent->kept, "no") == -ECHILD);
        REQUIRE(ferry_session_subscribe(parent->client, "t") == -ECHILD);
        REQUIRE(ferry_session_unsubscribe(parent->client, "t") == -ECHILD);
        REQUIRE(ferry_service_describe(parent->service, "t", NULL, NULL, NULL) == -ECHILD);
        REQUIRE(ferry_service_undescribe(parent->service, "t") == -ECHILD);
        REQUIRE(ferry_service_notify(parent->service, "t", "{}") == -ECHILD);
        REQUIRE(ferry_service_retain(parent->service, "t", "{}") == -ECHILD);
        REQUIRE(ferry_service_unretain(parent->service, "t") == -ECHILD);
        REQUIRE(ferry_service_close(parent->service) == -ECHILD);
        call = ferry_session_request(parent->client, -1, "t", "{}");
        REQUIRE(ferry_call_status(call) == -ECHILD);
        REQUIRE(ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED);
        REQUIRE(ferry_call_await(call) == NULL);
        ferry_call_then(call, never, NULL);
        /* No callback will be called, so the call still belongs to this function. */
        ferry_call_free(call);
        REQUIRE(ferry_call_await(parent->call) == NULL);
        session = ferry_session_open(parent->loop, parent->address, NULL);
        REQUIRE(ferry_session_status(session) == -ECHILD);
        session = ferry_session_open(parent->loop, "exec:exit 1", NULL);
        REQUIRE(ferry_session_status(session) == -ECHILD);
        service = ferry_service_open(parent->loop, "unix:/tmp/ferry-never", NULL);
        REQUIRE(ferry_service_status(service) == -ECHILD);
        return 0;
}

static int free_everything(struct parent *parent)
{
        ferry_call_free(parent->call);
        ferry_message_unref(parent->kept);
        ferry_session_free(parent->client);
        ferry_session_free(parent->child);
        ferry_service_free(parent->service);
        ferry_loop_free(parent->loop);
        return 0;
}

/* Has a loop of its own, and talks to the parent's service, as any client does. */
static int begin_anew(struct parent *parent)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        ferry_loop_free(parent->loop);
        session = ferry_session_open(loop, parent->address, NULL);
        REQUIRE(ferry_session_status(session) == 1);
        REQUIRE(ferry_loop_tick(loop, 0) >= 0);
        ferry_loop_free(loop);
        return 0;
}

static int use_and_free(struct parent *parent)
{
        int line = use_everything(parent);

        return line ? line : free_everything(parent);
}

static int go_at_once(struct parent *parent)
{
        (void)parent;
        return 0;
}

static int (*const in_child[])(struct parent *parent) = { use_everything, free_everything, use_and_free, go_at_once };

static void run_in_child(struct parent *parent, int (*run)(struct parent *parent))
{
        int status, line = 0, fds[2];
        pid_t pid;

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                line = run(parent);
                if (write(fds[1], &line, sizeof line) != sizeof line)
                        _exit(3);
                _exit(line ? 1 : 0);
        }
        close(fds[1]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(read(fds[0], &line, sizeof line) == sizeof line && status == 0,
                      "in the child line %d does not hold, status %x", line, (unsigned)status);
        close(fds[0]);
}

START_TEST(a_forked_child_does_not_disturb_its_parent)
{
        struct parent parent;

        open_parent(&parent);
        run_in_child(&parent, in_child[_i]);
        run_in_child(&parent, in_child[_i]);
        check_parent(&parent);
        close_parent(&parent);
}
END_TEST

START_TEST(a_forked_child_begins_anew)
{
        struct parent parent;

        open_parent(&parent);
        run_in_child(&parent, begin_anew);
        /* A client was there, and has gone. */
        while (ferry_loop_tick(parent.loop, 0) == 1)
                ;
        ck_assert_ptr_eq(ferry_service_client(parent.service, ferry_service_client(parent.service, NULL)), NULL);
        check_parent(&parent);
        close_parent(&parent);
}
END_TEST

/* Flags ----------------------------------------------------------------------------------------------- */

enum { GIVEN_SOCKET, GIVEN_PIPE, GIVEN_TERMINAL, GIVENS };

static int open_terminal(int fds[2])
{
        fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fds[0] < 0 || grantpt(fds[0]) < 0 || unlockpt(fds[0]) < 0)
                return -1;
        fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
        return fds[1] < 0 ? -1 : 0;
}

/* Flags belong to the open file, which our copy shares with the one that is given away. */
START_TEST(flags_of_given_descriptors_stay)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int fds[4], given[3] = { -1, -1, -1 }, copies[2], flags[2], got = 0;
        ferry_session *session, *other = NULL;
        char *text = calloc(1, 300001);

        memset(text, 'x', 300000);
        if (_i == GIVEN_SOCKET)
                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        else if (_i == GIVEN_TERMINAL)
                ck_assert_int_eq(open_terminal(fds), 0);
        else {
                ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
                ck_assert_int_eq(pipe2(fds + 2, O_CLOEXEC), 0);
        }
        given[0] = _i == GIVEN_PIPE ? fds[0] : fds[1];
        given[1] = _i == GIVEN_PIPE ? fds[3] : fds[1];
        for (int i = 0; i < 2; i++) {
                copies[i] = fcntl(given[i], F_DUPFD_CLOEXEC, 0);
                flags[i] = fcntl(copies[i], F_GETFL);
                ck_assert_int_eq(flags[i] & O_NONBLOCK, 0);
        }
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = given, .close_timeout_ms = 20 });
        ck_assert_msg(ferry_session_status(session) == 1, "%s", ferry_session_error(session));
        ferry_session_on(session, FERRY_KIND_NOTIFICATION, count, &got);
        if (_i != GIVEN_TERMINAL) {
                other = ferry_session_open(loop, NULL, &(ferry_session_options){
                        .fds = _i == GIVEN_SOCKET ? (const int[]){ fds[0], fds[0], -1 } : (const int[]){ fds[2], fds[1], -1 }
                });
                ck_assert_int_eq(ferry_session_notify(other, "t", "%s", text), 0);
        }
        /* More than it takes at once: this does not block. */
        ck_assert_int_eq(ferry_session_notify(session, "t", "%s", text), 0);
        if (other) {
                ck_assert_int_eq(ferry_session_flush(session, SAFETY_MS), 0);
                ck_assert_int_eq(ferry_session_flush(other, SAFETY_MS), 0);
                ck_assert_int_eq(got, 1);
        } else
                ferry_loop_tick(loop, 0);
        for (int i = 0; i < 2; i++)
                ck_assert_int_eq(fcntl(copies[i], F_GETFL), flags[i]);
        ferry_loop_free(loop);
        for (int i = 0; i < 2; i++) {
                ck_assert_int_eq(fcntl(copies[i], F_GETFL), flags[i]);
                close(copies[i]);
        }
        if (_i == GIVEN_TERMINAL)
                close(fds[0]);
        free(text);
}
END_TEST

/* Descriptors that cannot be opened stay with the caller. */
START_TEST(descriptors_are_taken_over_all_or_none)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], 9999, -1 } });
        ck_assert_int_eq(ferry_session_status(session), -EBADF);
        ck_assert_int_ge(fcntl(fds[0], F_GETFD), 0);
        /* A pipe in the wrong direction. */
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[1], fds[0], -1 } });
        ck_assert_int_eq(ferry_session_status(session), -EBADF);
        ck_assert_int_ge(fcntl(fds[0], F_GETFD), 0);
        ck_assert_int_ge(fcntl(fds[1], F_GETFD), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[1], -1 } });
        ck_assert_int_eq(ferry_session_status(session), 1);
        ferry_loop_free(loop);
        ck_assert_int_lt(fcntl(fds[0], F_GETFD), 0);
        ck_assert_int_lt(fcntl(fds[1], F_GETFD), 0);
}
END_TEST

static int ignore_occasion(ferry_loop *loop, void *userdata)
{
        (void)loop, (void)userdata;
        return 1;
}

static bool is_blocked(int number)
{
        sigset_t mask;

        return sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, number) == 1;
}

/* The child has its parent's mask, but the signals are its own. */
START_TEST(a_forked_child_gets_its_signals_back)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        int status;
        pid_t child;

        ferry_loop_on_signal(loop, SIGUSR1, ignore_occasion, NULL);
        ferry_loop_on_wake(loop, ignore_occasion, NULL);
        child = fork();
        if (child == 0) {
                int code = ferry_loop_wake(loop);

                ferry_loop_free(loop);
                _exit(code == -ECHILD && !is_blocked(SIGUSR1) ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        ck_assert(is_blocked(SIGUSR1));
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_forked_child_does_not_disturb_its_parent, sizeof in_child / sizeof *in_child),
        SUITE_TEST(a_forked_child_begins_anew),
        SUITE_TEST(a_forked_child_gets_its_signals_back),
        SUITE_LOOP(flags_of_given_descriptors_stay, GIVENS),
        SUITE_TEST(descriptors_are_taken_over_all_or_none),
};

SUITE_MAIN("fork", tests)
