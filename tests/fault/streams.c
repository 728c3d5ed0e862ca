/* Streams that are more than descriptors: children, stdio, unix sockets; and the loop itself. The children are small
 * programs that every system has. */
#include "fault/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Children: the clock of another process cannot be stopped, so they get time. */
enum { CHILD_PATIENCE_MS = 10000, SHORT_MS = 3 };

struct echo {
        unsigned sent, received, lost, junk, closed;
};

static int hear_echo(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct echo *echo = userdata;
        int64_t number = ferry_value_int(ferry_message_get(message, "n"), -1);

        if (!ferry_message_body(message) && fault_is_memory())
                echo->lost++;
        else if (number < echo->received || number > echo->received + echo->lost || number >= echo->sent)
                fault_flaw("echo %d came after %u of %u were received", (int)number, echo->received, echo->sent);
        else
                echo->received = (unsigned)number + 1;
        if (echo->received == echo->sent)
                ferry_loop_stop(ferry_session_loop(session), 0);
        return 1;
}

static int count_echo(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct echo *echo = userdata;

        (void)session;
        if (ferry_message_kind(message) == FERRY_KIND_JUNK)
                echo->junk++;
        else if (ferry_message_kind(message) == FERRY_KIND_CLOSED)
                echo->closed++;
        else
                echo->lost++;
        return 0;
}

static void end_echo(ferry_loop *loop, ferry_session *session, struct echo *echo, int expected)
{
        int code = ferry_session_close(session);

        fault_answer(FAULT_END, "close", code, expected, ferry_session_error(session));
        ferry_loop_free(loop);
        fault_check(echo->closed <= 1 && echo->received <= echo->sent);
        fault_want(echo->closed == 1 && echo->received == echo->sent);
}

/* Speak with what sends all back. */
static void echo_with(const char *address, const ferry_session_options *options)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, address, options);
        struct echo echo = { 0 };
        char text[32];
        int code;

        ferry_session_on(session, FERRY_KIND_NOTIFICATION, hear_echo, &echo);
        ferry_session_on(session, FERRY_KIND_ERROR | FERRY_KIND_JUNK | FERRY_KIND_CLOSED, count_echo, &echo);
        for (unsigned i = 0; i < 3; i++) {
                snprintf(text, sizeof text, "text %u", i);
                code = ferry_session_notify(session, "App\\Echo", "{n: %u, text: %s}", echo.sent, text);
                echo.sent += fault_answer(FAULT_SEND, "notify", code, 0, NULL);
        }
        code = ferry_loop_run(loop, 1000);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(loop));
        end_echo(loop, session, &echo, 0);
}

static void child_command(void)
{
        echo_with("exec:cat", NULL);
}

static void child_program(void)
{
        static const char *const argv[] = { "cat", NULL };
        static const char *const env[] = { "FERRY_TEST_WORD=1", "LANG=C", NULL };

        echo_with("exec:", &(ferry_session_options){ .argv = argv, .env = env, .directory = "/" });
}

/* Descriptors 0, 1 and 2 are closed here, so the pipes to the child stand where it wants its own. */
static void child_at_the_bottom(void)
{
        int saved[3];

        for (int i = 0; i < 3; i++) {
                saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
                close(i);
        }
        echo_with("exec:cat", NULL);
        for (int i = 0; i < 3; i++)
                if (saved[i] >= 0) {
                        dup2(saved[i], i);
                        close(saved[i]);
                }
}

/* Run until it has ended; what it says at its end is told. */
static void watch_child(const char *address, const ferry_session_options *options, int expected, unsigned junk)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, address, options);
        struct echo echo = { 0 };
        int code;

        ferry_session_on(session, FERRY_KIND_JUNK | FERRY_KIND_CLOSED, count_echo, &echo);
        for (int i = 0; i < 3; i++)
                ferry_loop_run(loop, 1000);
        code = ferry_session_status(session);
        fault_answer(FAULT_END, "status", code, expected, ferry_session_error(session));
        fault_want(echo.junk >= junk);
        end_echo(loop, session, &echo, expected);
}

static void child_fails(void)
{
        watch_child("exec:echo one >&2; echo two >&2; exit 3", NULL, -ECONNRESET, 2);
}

static void child_missing(void)
{
        static const char *const argv[] = { "/nonexistent/program", NULL };

        watch_child(NULL, &(ferry_session_options){ 0 }, -EINVAL, 0);
        watch_child("exec:", &(ferry_session_options){ .argv = argv }, -ENOENT, 0);
}

static void child_nowhere(void)
{
        watch_child("exec:cat", &(ferry_session_options){ .directory = "/nonexistent" }, -ENOENT, 0);
}

/* It writes much, and ends; what it has written behind its end is read. */
static void child_talks(void)
{
        watch_child("exec:echo junk; echo more >&2; echo rest", NULL, 0, 2);
}

static int stop_at_junk(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        return ferry_loop_stop(ferry_session_loop(session), 0);
}

/* It has to be told to end; and not even hears that. */
static void child_stays(const char *address)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, address,
                                                    &(ferry_session_options){ .close_timeout_ms = SHORT_MS });
        struct echo echo = { 0 };

        ferry_session_on(session, FERRY_KIND_JUNK, stop_at_junk, NULL);
        ferry_session_on(session, FERRY_KIND_CLOSED, count_echo, &echo);
        ferry_loop_run(loop, 1000);
        end_echo(loop, session, &echo, 0);
}

static int free_at_junk(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ferry_session_free(session);
        return 1;
}

/* The session goes while the stderr of its child is being told. */
static void child_is_dropped(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:echo one >&2; echo two >&2; cat",
                                                    &(ferry_session_options){ .close_timeout_ms = SHORT_MS });

        ferry_session_on(session, FERRY_KIND_JUNK, free_at_junk, NULL);
        ferry_loop_run(loop, 1000);
        ferry_loop_free(loop);
}

static void child_hears_term(void)
{
        child_stays("exec:echo ready >&2; exec sleep 100");
}

static void child_hears_nothing(void)
{
        child_stays("exec:trap '' TERM; echo ready >&2; exec sleep 100");
}

/* The child ends at TERM, another of its group does not, and holds the output. */
static void child_leaves_another(void)
{
        child_stays("exec:(trap '' TERM; echo ready >&2; exec sleep 100) & wait");
}

/* It is closed, and then it fails. */
static void child_fails_late(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:cat >/dev/null; echo one >&2; exit 3", NULL);
        struct echo echo = { 0 };

        ferry_session_on(session, FERRY_KIND_JUNK | FERRY_KIND_CLOSED, count_echo, &echo);
        ferry_session_close(session);
        for (int i = 0; i < 3; i++)
                ferry_loop_run(loop, 1000);
        fault_want(echo.junk == 1);
        end_echo(loop, session, &echo, -ECONNRESET);
}

/* Closing its output is not its end. */
static void child_closes(void)
{
        watch_child("exec:exec >&-; exec cat > /dev/null", NULL, 0, 0);
}

/* A request without an answer, and the child dies. */
static void child_dies(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:head -c 1 >/dev/null; kill -KILL $$", NULL);

        {
                FERRY_AUTO(ferry_call) call = ferry_session_request(session, 1000, "App\\Echo", "{n: 0}");

                ferry_call_await(call);
                fault_answer(FAULT_END, "a call", ferry_call_status(call), -ECONNRESET, ferry_call_error(call));
        }
        ferry_loop_free(loop);
}

/* In a forked child what the parent made answers -ECHILD, and freeing it does no harm here. */
static void let_child_free(struct talk *talk)
{
        int status;
        pid_t child = fork();

        if (child == 0) {
                bool is_good = !talk->loop || ferry_loop_run(talk->loop, 0) == -ECHILD;

                is_good = is_good && ferry_session_notify(talk->a, "App\\Note", NULL) < 0;
                ferry_session_free(talk->a);
                ferry_loop_free(talk->loop);
                _exit(is_good ? 0 : 1);
        }
        if (waitpid(child, &status, 0) != child || status != 0)
                fault_flaw("the forked child: %x", (unsigned)status);
}

/* Stdio ------------------------------------------------------------------------------------------------ */

static int refuse_junk(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)userdata;
        fault_flaw("a stray print is among the messages: %s", ferry_message_text(message));
        return 1;
}

static void on_stdio(bool is_unguarded, bool has_stderr)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        int saved[3] = { fcntl(0, F_DUPFD_CLOEXEC, 10), fcntl(1, F_DUPFD_CLOEXEC, 10), fcntl(2, F_DUPFD_CLOEXEC, 10) };
        int there[2], back[2];
        int ends[3];
        ferry_session *second;

        if (pipe2(there, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
                return;
        fflush(stdout);
        dup2(there[0], 0);
        dup2(back[1], 1);
        close(there[0]);
        close(back[1]);
        if (!has_stderr)
                close(2);
        talk.b = ferry_session_open(talk.loop, "stdio:", &(ferry_session_options){ .is_unguarded = is_unguarded });
        ends[0] = back[0];
        ends[1] = there[1];
        ends[2] = -1;
        talk.a = ferry_session_open(talk.loop, NULL, &(ferry_session_options){ .fds = ends });
        if (!talk.a || (ferry_session_status(talk.a) < 0 && fcntl(ends[0], F_GETFD) >= 0)) {
                close(ends[0]);
                close(ends[1]);
        }
        talk_begin(&talk);
        if (!is_unguarded) {
                second = ferry_session_open(talk.loop, "stdio:", NULL);
                fault_answer(FAULT_END, "open", second ? ferry_session_status(second) : -EBUSY, -EBUSY,
                             ferry_session_error(second));
                ferry_session_free(second);
        }
        /* A stray print must not get among the messages, wherever it goes. */
        if (!is_unguarded && ferry_session_status(talk.b) == 1 && write(STDOUT_FILENO, has_stderr ? "" : "stray\n",
                                                                        has_stderr ? 0 : 6) < 0)
                fault_flaw("write to stdout: %m");
        ferry_session_on(talk.a, FERRY_KIND_JUNK, refuse_junk, NULL);
        talk_note(&talk);
        talk_ask(&talk, "App\\Echo", 0);
        let_child_free(&talk);
        talk_end(&talk);
        for (int i = 0; i < 3; i++) {
                dup2(saved[i], i);
                close(saved[i]);
        }
}

static void stdio_guarded(void)
{
        on_stdio(false, true);
}

/* Where stderr leads nowhere, a stray print does, too. */
static void stdio_alone(void)
{
        on_stdio(false, false);
}

static void stdio_unguarded(void)
{
        on_stdio(true, true);
}

/* A terminal: read and written only when poll says so, byte by byte. */
static void terminal(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int main = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), code;
        ferry_session *session;
        char name[64], bytes[256];
        int list[] = { -1, -1, -1 };

        if (main < 0 || grantpt(main) < 0 || unlockpt(main) < 0 || ptsname_r(main, name, sizeof name) != 0) {
                fault_flaw("there is no terminal: %m");
                return;
        }
        list[0] = list[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = list });
        if (!session || (ferry_session_status(session) < 0 && fcntl(list[0], F_GETFD) >= 0))
                close(list[0]);
        code = ferry_session_notify(session, "App\\Note", "{n: 1}");
        fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(session));
        if (write(main, "junk\n", 5) != 5)
                fault_want(false);
        talk_run(loop, 10);
        ferry_loop_free(loop);
        if (fault_is_absent())
                fault_want(read(main, bytes, sizeof bytes) > 20);
        close(main);
}

/* A device that is no terminal. */
static void device(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "file:/dev/null,/dev/null", NULL);
        int code = ferry_session_notify(session, "App\\Note", "{n: 1}");

        fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(session));
        ferry_loop_run(loop, 100);
        ferry_loop_free(loop);
}

/* The loop --------------------------------------------------------------------------------------------- */

struct ticks {
        unsigned timers, readable, occasions;
};

static int tick(ferry_loop *loop, void *userdata)
{
        struct ticks *ticks = userdata;

        (void)loop;
        return ++ticks->timers < 3;
}

static int is_readable(ferry_loop *loop, void *userdata)
{
        struct ticks *ticks = userdata;

        (void)loop;
        return ++ticks->readable < 2;
}

static int has_come(ferry_loop *loop, void *userdata)
{
        struct ticks *ticks = userdata;

        (void)loop;
        ticks->occasions++;
        return 0;
}

static bool is_blocked(int number)
{
        sigset_t mask;

        return sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, number);
}

static void loop_alone(void)
{
        ferry_session_options defaults = { .root = "PhpStreamIpc", .codec = ferry_codec_json() };
        ferry_loop *loop = ferry_loop_new(&(ferry_loop_options){ .session = &defaults });
        struct ticks ticks = { 0 };
        int fds[2], code;
        struct pollfd end = { .events = POLLIN };

        if (!loop || pipe2(fds, O_CLOEXEC) < 0) {
                fault_want(loop);
                return;
        }
        if (write(fds[1], "x", 1) != 1)
                fault_flaw("write: %m");
        end.fd = ferry_loop_fd(loop);
        fault_answer(FAULT_WAIT, "fd", end.fd, 0, NULL);
        ferry_loop_after(loop, 5, tick, &ticks);
        ferry_loop_after(loop, 0, tick, &ticks);
        ferry_loop_watch(loop, fds[0], POLLIN, is_readable, &ticks);
        ferry_loop_watch(loop, fds[0], POLLIN, is_readable, &ticks);
        fault_want(poll(&end, 1, 1000) == 1);
        for (int i = 0; i < 20; i++) {
                code = ferry_loop_tick(loop, 10);
                fault_answer(FAULT_WAIT, "tick", code, 0, ferry_loop_error(loop));
        }
        fault_want(ticks.timers >= 3 && ticks.readable >= 3);
        ferry_loop_off(loop, is_readable, &ticks);
        ferry_loop_on_signal(loop, SIGUSR1, has_come, &ticks);
        ferry_loop_on_wake(loop, has_come, &ticks);
        ferry_loop_on_idle(loop, has_come, &ticks);
        code = ferry_loop_wake(loop);
        fault_check(code == 0 || code == -ENOENT);
        if (is_blocked(SIGUSR1))
                raise(SIGUSR1);
        for (int i = 0; i < 4; i++) {
                code = ferry_loop_tick(loop, 0);
                fault_answer(FAULT_WAIT, "tick", code, 0, ferry_loop_error(loop));
        }
        fault_want(ticks.occasions == 3);
        ferry_loop_off(loop, has_come, &ticks);
        code = ferry_loop_run(loop, 100);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(loop));
        ferry_loop_free(loop);
        close(fds[0]);
        close(fds[1]);
}

/* Hosted by another loop: work in memory, too, is told by the descriptor. */
static void loop_hosted(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        struct pollfd end = { .events = POLLIN };
        char address[300];
        int fd = open(fault_path("notes"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), code;

        if (write(fd, "junk", 4) != 4)
                fault_flaw("write: %m");
        close(fd);
        end.fd = ferry_loop_fd(talk.loop);
        fault_answer(FAULT_WAIT, "fd", end.fd, 0, NULL);
        snprintf(address, sizeof address, "file:%s,", fault_path("notes"));
        talk.b = ferry_session_open(talk.loop, address, NULL);
        fault_answer(FAULT_END, "open", ferry_session_status(talk.b), 0, ferry_session_error(talk.b));
        for (int i = 0; i < 10; i++) {
                fault_want(i > 0 || poll(&end, 1, 0) == 1);
                code = ferry_loop_tick(talk.loop, 0);
                fault_answer(FAULT_WAIT, "tick", code, 0, ferry_loop_error(talk.loop));
        }
        fault_want(ferry_session_status(talk.b) == 0);
        ferry_loop_free(talk.loop);
}

static void forked(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        const int *list;
        int fds[2][3];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[0]) < 0)
                return;
        fds[1][0] = fds[0][1];
        for (int i = 0; i < 2; i++) {
                ferry_session *session;

                fds[i][1] = fds[i][0];
                fds[i][2] = -1;
                list = fds[i];
                session = ferry_session_open(talk.loop, NULL, &(ferry_session_options){ .fds = list });
                if (!session || (ferry_session_status(session) < 0 && fcntl(list[0], F_GETFD) >= 0))
                        close(list[0]);
                *(i ? &talk.b : &talk.a) = session;
        }
        talk_begin(&talk);
        let_child_free(&talk);
        talk_note(&talk);
        talk_ask(&talk, "App\\Echo", 0);
        talk_end(&talk);
}

const struct scenario stream_scenarios[] = {
        { .name = "child-command", .run = child_command, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-program", .run = child_program, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-at-the-bottom", .run = child_at_the_bottom, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-fails", .run = child_fails, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-missing", .run = child_missing, .patience_ms = CHILD_PATIENCE_MS, .is_uncut = true },
        { .name = "child-nowhere", .run = child_nowhere, .patience_ms = CHILD_PATIENCE_MS, .is_uncut = true },
        { .name = "child-talks", .run = child_talks, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-hears-term", .run = child_hears_term, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-is-dropped", .run = child_is_dropped, .patience_ms = CHILD_PATIENCE_MS, .is_whole = true },
        { .name = "child-hears-nothing", .run = child_hears_nothing, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-leaves-another", .run = child_leaves_another, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-fails-late", .run = child_fails_late, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "child-closes", .run = child_closes, .patience_ms = 20 },
        { .name = "child-dies", .run = child_dies, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "stdio-guarded", .run = stdio_guarded },
        { .name = "stdio-alone", .run = stdio_alone },
        { .name = "stdio-unguarded", .run = stdio_unguarded },
        { .name = "terminal", .run = terminal, .is_uncut = true },
        { .name = "device", .run = device, .is_whole = true },
        { .name = "loop-alone", .run = loop_alone, .is_whole = true },
        { .name = "loop-hosted", .run = loop_hosted, .is_whole = true },
        { .name = "forked", .run = forked },
        { .name = NULL },
};
