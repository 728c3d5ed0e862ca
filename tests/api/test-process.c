/* One child: how it begins, what it is given, how it is talked to, and what is said of its end. What becomes of several
 * is in test-manager.c. */
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SH(command) ((const char *const[]){ "sh", "-c", command, NULL })

static int exit_with(ferry_session *parent, void *userdata)
{
        (void)parent;
        return *(const int *)userdata;
}

static int die_by(ferry_session *parent, void *userdata)
{
        int number = *(const int *)userdata;

        (void)parent;
        /* A sanitizer would make an exit of it. */
        signal(number, SIG_DFL);
        prctl(PR_SET_DUMPABLE, 0);
        kill(getpid(), number);
        while (pause() < 0)
                ;
        return 0;
}

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static int serve(ferry_session *parent, void *userdata)
{
        (void)userdata;
        ferry_session_on(parent, FERRY_KIND_REQUEST, echo, NULL);
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

static void require_echo(ferry_process *process)
{
        ferry_call *call = ferry_session_request(ferry_process_session(process), SAFETY_MS, "t", "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
}

static void require_result(ferry_process *process, int result)
{
        int got = ferry_process_wait(process, SAFETY_MS);

        ck_assert_msg(got == result, "%d, not %d: %s", got, result, ferry_process_error(process));
        ck_assert_int_eq(ferry_process_result(process), result);
}

/* What a child writes, as one text. */
struct text {
        char bytes[8192];
        size_t size;
        int fd;                 /* of the last piece */
};

static void collect(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        struct text *text = userdata;

        (void)process;
        ck_assert_uint_lt(text->size + size, sizeof text->bytes);
        memcpy(text->bytes + text->size, bytes, size);
        text->size += size;
        text->fd = fd;
}

/* Run a command to its end, and what it has written. */
static const char *run(ferry_manager *manager, const char *const argv[], ferry_process_options *options, int result)
{
        static struct text text;

        memset(&text, 0, sizeof text);
        options->output = collect;
        options->output_userdata = &text;
        require_result(ferry_process_spawn(manager, argv, options), result);
        return text.bytes;
}

/* How a child ends ------------------------------------------------------------------------------------- */

static const struct {
        ferry_child_fn *fn;
        int number;
        int result;
        const char *text;
} ends[] = {
        { exit_with, 0, 0, "exited with status 0" },
        { exit_with, 1, 1, "exited with status 1" },
        { exit_with, 255, 255, "exited with status 255" },
        { exit_with, 256, 0, "exited with status 0" },
        { exit_with, -EIO, 1, "exited with status 1" },
        { die_by, SIGSEGV, FERRY_PROCESS_KILLED + SIGSEGV, "was killed by SIGSEGV" },
        { die_by, SIGKILL, FERRY_PROCESS_KILLED + SIGKILL, "was killed by SIGKILL" },
        { die_by, SIGTERM, FERRY_PROCESS_KILLED + SIGTERM, "was killed by SIGTERM" },
};

START_TEST(a_result_says_how_it_ended)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int number = ends[_i].number;
        ferry_process *process = ferry_process_fork(manager, ends[_i].fn, &number, NULL);

        ck_assert_int_gt(ferry_process_pid(process), 0);
        ck_assert_ptr_eq(ferry_session_process(ferry_process_session(process)), process);
        ck_assert_int_eq(ferry_process_result(process), -EINPROGRESS);
        require_result(process, ends[_i].result);
        ck_assert_msg(strstr(ferry_process_error(process), ends[_i].text), "%s", ferry_process_error(process));
        ck_assert_int_eq(ferry_process_kill(process, SIGTERM), -ESRCH);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_command_s_result_is_the_same)
{
        static const struct {
                const char *command;
                int result;
        } commands[] = {
                { "exit 0", 0 }, { "exit 7", 7 }, { "kill -SEGV $$", FERRY_PROCESS_KILLED + SIGSEGV },
                /* Who is left behind holds all that it was given, and is not waited for. */
                { "sleep 1000 & exit 3", 3 },
        };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct text text = { .size = 0 };
        ferry_process_options options = { .output = collect, .output_userdata = &text, .is_on_stdio = _i >= 4 };
        ferry_process *process;
        ferry_call *call;
        pid_t pid;

        prctl(PR_SET_CHILD_SUBREAPER, 1);
        process = ferry_process_spawn(manager, SH(commands[_i % 4].command), &options);
        pid = ferry_process_pid(process);
        call = ferry_session_request(ferry_process_session(process), SAFETY_MS, "t", "'x'");
        ck_assert_ptr_null(ferry_call_await(call));
        /* An unanswered request ends with the reason. */
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_msg(strstr(ferry_call_error(call), "the child "), "%s", ferry_call_error(call));
        ferry_call_free(call);
        require_result(process, commands[_i % 4].result);
        ferry_loop_free(loop);
        kill(-pid, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0)
                ;
}
END_TEST

START_TEST(last_words_are_told)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .is_on_stdio = true };
        ferry_process *process = ferry_process_spawn(manager, SH("echo one >&2; echo it broke >&2; exit 4"), &options);
        ferry_call *call = ferry_session_request(ferry_process_session(process), SAFETY_MS, "t", "'x'");

        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_msg(strstr(ferry_call_error(call), "exited with status 4; its last words: one | it broke"), "%s",
                      ferry_call_error(call));
        ferry_call_free(call);
        require_result(process, 4);
        ck_assert_msg(strstr(ferry_process_error(process), "one | it broke"), "%s", ferry_process_error(process));
        /* With a callback, too. */
        run(manager, SH("echo last >&2; exit 5"), &(ferry_process_options){ 0 }, 5);
        process = ferry_manager_child(manager, process);
        ck_assert_msg(strstr(ferry_process_error(process), "last"), "%s", ferry_process_error(process));
        ferry_loop_free(loop);
}
END_TEST

/* The end of what is awaited is an answer, too; and not to wait is not to wait. */
START_TEST(a_dead_child_s_message_is_not_waited_for)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 3;
        ferry_process *process = ferry_process_fork(manager, serve, NULL, NULL);
        ferry_session *session = ferry_process_session(process);

        ck_assert_ptr_null(ferry_session_next(session, 0));
        ck_assert_int_eq(ferry_process_wait(process, 0), -EINPROGRESS);
        require_echo(process);
        ck_assert_int_eq(ferry_process_kill(process, SIGKILL), 0);
        ck_assert_ptr_null(ferry_session_next(session, -1));
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        require_result(process, FERRY_PROCESS_KILLED + SIGKILL);
        ck_assert_ptr_null(ferry_session_next(session, -1));
        process = ferry_process_fork(manager, exit_with, &status, NULL);
        ck_assert_ptr_null(ferry_session_next(ferry_process_session(process), -1));
        require_result(process, 3);
        ferry_loop_free(loop);
}
END_TEST

static int say_and_go(ferry_session *parent, void *userdata)
{
        for (int i = 0; i < 1000; i++)
                ferry_session_notify(parent, "number", "%d", i);
        return *(const int *)userdata;
}

static int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *counted = userdata;

        (void)session;
        ck_assert_int_eq(ferry_value_int(ferry_message_body(message), -1), *counted);
        ++*counted;
        return 0;
}

static int counted_at_end;

static int note_counted(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager, (void)process;
        counted_at_end = *(const int *)userdata;
        return 0;
}

/* By handlers, before the end is told; or by next, after it. */
START_TEST(what_it_sent_before_its_end_arrives)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 6, counted = 0;
        ferry_process *process = ferry_process_fork(manager, say_and_go, &status, NULL);
        ferry_session *session = ferry_process_session(process);

        if (_i == 0)
                ferry_session_on(session, FERRY_KIND_NOTIFICATION, count, &counted);
        ck_assert_int_eq(ferry_manager_wait(manager, note_counted, &counted), 0);
        ck_assert_int_eq(ferry_process_result(process), 6);
        if (_i == 0)
                ck_assert_int_eq(counted_at_end, 1000);
        else
                for (const ferry_message *message; (message = ferry_session_next(session, SAFETY_MS)); counted++)
                        ck_assert_int_eq(ferry_value_int(ferry_message_body(message), -1), counted);
        ck_assert_int_eq(counted, 1000);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(what_cannot_be_started_says_so)
{
        static const struct {
                const char *argv[2];
                const char *directory;
                const char *path;
                int code;
                const char *text;
        } unstarted[] = {
                { { "/no/such/program" }, NULL, NULL, -ENOENT, "/no/such/program" },
                { { "no-such-program-at-all" }, NULL, NULL, -ENOENT, "no-such-program-at-all" },
                { { "/etc/passwd" }, NULL, NULL, -EACCES, "/etc/passwd" },
                { { "true" }, "/no/such/directory", NULL, -ENOENT, "/no/such/directory" },
                { { "true" }, NULL, "/no/such/directory/file", -ENOENT, "/no/such/directory/file" },
                { { NULL }, NULL, NULL, -EINVAL, "invalid" },
        };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .directory = unstarted[_i].directory, .stdout_path = unstarted[_i].path };
        ferry_process *process = ferry_process_spawn(manager, unstarted[_i].argv, &options);

        ck_assert_int_eq(ferry_process_result(process), unstarted[_i].code);
        ck_assert_int_eq(ferry_process_pid(process), -1);
        ck_assert_msg(strcasestr(ferry_process_error(process), unstarted[_i].text), "%s", ferry_process_error(process));
        ck_assert_int_eq(ferry_process_wait(process, -1), unstarted[_i].code);
        ck_assert_int_eq(ferry_process_kill(process, SIGTERM), -ESRCH);
        ck_assert_int_eq(ferry_manager_running(manager), 0);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), unstarted[_i].code);
        ck_assert_msg(strcasestr(ferry_loop_error(loop), unstarted[_i].text), "%s", ferry_loop_error(loop));
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ferry_loop_free(loop);
}
END_TEST

/* Siblings --------------------------------------------------------------------------------------------- */

/* Each later one was forked with the sessions of those before it open. */
START_TEST(an_end_leaves_siblings_alone)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *processes[6];
        int status = 0;

        for (int i = 0; i < 6; i++)
                processes[i] = ferry_process_fork(manager, serve, NULL, NULL);
        for (int i = 5; i >= 0; i--) {
                if (i % 2)
                        ck_assert_int_eq(ferry_process_kill(processes[i], SIGKILL), 0);
                else
                        ferry_session_close(ferry_process_session(processes[i]));
                require_result(processes[i], i % 2 ? FERRY_PROCESS_KILLED + SIGKILL : 0);
                require_result(ferry_process_fork(manager, exit_with, &status, NULL), 0);
                for (int k = 0; k < i; k++)
                        require_echo(processes[k]);
        }
        ferry_loop_free(loop);
}
END_TEST

/* What hosts do about SIGCHLD -------------------------------------------------------------------------- */

static volatile sig_atomic_t chld_count;

static void on_chld(int number)
{
        (void)number;
        chld_count++;
}

START_TEST(a_host_s_own_handler_is_left_alone)
{
        struct sigaction action = { .sa_handler = on_chld }, now;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 9, own_status;
        pid_t own;

        sigaction(SIGCHLD, &action, NULL);
        own = fork();
        if (own == 0)
                _exit(12);
        for (int i = 0; i < 20; i++)
                require_result(i % 2 ? ferry_process_fork(manager, exit_with, &status, NULL) :
                                       ferry_process_spawn(manager, SH("exit 9"), NULL), 9);
        ferry_loop_free(loop);
        ck_assert_int_eq(waitpid(own, &own_status, 0), own);
        ck_assert_int_eq(WEXITSTATUS(own_status), 12);
        ck_assert_int_gt(chld_count, 0);
        sigaction(SIGCHLD, NULL, &now);
        ck_assert(now.sa_handler == on_chld);
}
END_TEST

START_TEST(with_sigchld_ignored_the_end_is_still_seen)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 9;

        signal(SIGCHLD, SIG_IGN);
        for (int i = 0; i < 20; i++) {
                ferry_process *process = i % 2 ? ferry_process_fork(manager, exit_with, &status, NULL) :
                                                 ferry_process_spawn(manager, SH("exit 9"), NULL);

                require_result(process, -ECHILD);
                ck_assert_msg(strstr(ferry_process_error(process), "took its status"), "%s",
                              ferry_process_error(process));
        }
        ck_assert_int_eq(ferry_process_result(ferry_process_spawn(manager, SH("exec /nowhere"), NULL)), -EINPROGRESS);
        ck_assert_int_eq(ferry_process_result(ferry_process_spawn(manager, (const char *[]){ "/nowhere", NULL }, NULL)),
                         -ENOENT);
        ferry_manager_wait(manager, NULL, NULL);
        ferry_loop_free(loop);
}
END_TEST

static volatile sig_atomic_t is_over;

static void *wait_for_any(void *userdata)
{
        int *taken = userdata;

        while (!is_over || errno != ECHILD) {
                errno = 0;
                if (waitpid(-1, NULL, 0) > 0)
                        ++*taken;
                else
                        sched_yield();
        }
        return NULL;
}

START_TEST(a_thread_that_waits_for_any_does_no_harm)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 9, taken = 0, lost = 0;
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_any, &taken), 0);
        for (int i = 0; i < 50; i++) {
                ferry_process *process = i % 2 ? ferry_process_fork(manager, exit_with, &status, NULL) :
                                                 ferry_process_spawn(manager, SH("exit 9"), NULL);
                int result = ferry_process_wait(process, SAFETY_MS);

                ck_assert_msg(result == 9 || result == -ECHILD, "%d: %s", result, ferry_process_error(process));
                lost += result == -ECHILD;
        }
        ferry_loop_free(loop);
        is_over = 1;
        pthread_join(thread, NULL);
        ck_assert_int_eq(lost, taken);
}
END_TEST

/* The end of the parent -------------------------------------------------------------------------------- */

static int sleep_long(ferry_session *parent, void *userdata)
{
        (void)parent, (void)userdata;
        while (pause() < 0)
                ;
        return 0;
}

/* A parent of its own, which tells who its child is, and dies. */
static int be_parent(ferry_session *parent, void *userdata)
{
        int kind = *(const int *)userdata;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options dying = { .death_signal = SIGKILL }, on_stdio = { .is_on_stdio = true };
        ferry_process *child;

        if (kind == 0)
                child = ferry_process_fork(manager, sleep_long, NULL, &dying);
        else if (kind == 1)
                child = ferry_process_spawn(manager, SH("sleep 1000; exit"), &dying);
        else if (kind == 2)
                child = ferry_process_fork(manager, serve, NULL, NULL);
        else
                child = ferry_process_spawn(manager, (const char *[]){ BUILD_DIRECTORY "/tests/child", "echo", NULL },
                                            &on_stdio);
        if (kind >= 2)
                require_echo(child);
        ferry_session_notify(parent, "pid", "%d", (int)ferry_process_pid(child));
        ferry_session_flush(parent, SAFETY_MS);
        while (pause() < 0)
                ;
        return 0;
}

START_TEST(children_end_with_their_parent)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(manager, be_parent, &_i, NULL);
        const ferry_message *message = ferry_session_next(ferry_process_session(process), SAFETY_MS);
        struct pollfd end = { .events = POLLIN };
        pid_t pid;

        prctl(PR_SET_CHILD_SUBREAPER, 1);
        ck_assert_msg(message != NULL, "%s", ferry_process_error(process));
        pid = (pid_t)ferry_value_int(ferry_message_body(message), -1);
        end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
        ck_assert_int_ge(end.fd, 0);
        ferry_process_kill(process, SIGKILL);
        require_result(process, FERRY_PROCESS_KILLED + SIGKILL);
        ck_assert_int_eq(poll(&end, 1, SAFETY_MS), 1);
        close(end.fd);
        ferry_loop_free(loop);
        kill(-pid, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0)
                ;
}
END_TEST

/* What a child has ------------------------------------------------------------------------------------- */

static int count_descriptors(void)
{
        int found = 0;

        for (int fd = 0; fd < 1024; fd++)
                found += fcntl(fd, F_GETFD) >= 0;
        return found;
}

/* Its status is how many it has. */
static int tell_descriptors(ferry_session *parent, void *userdata)
{
        (void)parent, (void)userdata;
        return count_descriptors();
}

static void ignore(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process, (void)fd, (void)bytes, (void)size, (void)userdata;
}

/* The parent has much open; the child has what was there before the loop, and a loop and a session of its own. */
START_TEST(a_forked_child_has_no_descriptor_of_the_loop)
{
        int before = count_descriptors(), status = 0;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){
                .is_forwarding = true, .output = _i == 0 ? NULL : ignore });

        ferry_loop_fd(loop);
        for (int i = 0; i < 3; i++) {
                ferry_process_fork(manager, serve, NULL, NULL);
                ferry_process_spawn(manager, SH("cat"), &(ferry_process_options){ .is_on_stdio = true });
        }
        ferry_session_open(loop, "exec:cat", NULL);
        for (int i = 0; i < 5; i++)
                ferry_process_fork(manager, exit_with, &status, NULL);
        require_result(ferry_process_fork(manager, tell_descriptors, NULL, NULL), before + 3);
        require_result(ferry_process_fork(manager, tell_descriptors, NULL, &(ferry_process_options){
                .input = "x", .input_size = 1, .stderr_path = "/dev/null" }), before + 3);
        ferry_loop_free(loop);
        ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(a_command_has_what_it_was_given)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager;
        int kept = open("/dev/null", O_RDONLY | O_CLOEXEC), other = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ferry_process_options options = { .fds = (const int[]){ kept, -1 }, .is_on_stdio = _i == 1 };
        ferry_session *session;
        ferry_process *process;
        const ferry_message *reply;
        ferry_call *call;
        size_t count;

        /* What the test was started with is not ours to judge. */
        for (int fd = 3; fd < 1024; fd++)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
        manager = ferry_manager_new(loop, &(ferry_manager_options){ .stderr_path = "/dev/null" });
        for (int i = 0; i < 3; i++)
                ferry_process_fork(manager, serve, NULL, NULL);
        process = ferry_process_spawn(manager, (const char *[]){ BUILD_DIRECTORY "/tests/child",
                                      _i == 1 ? "descriptors" : "channel", NULL }, &options);
        session = ferry_process_session(process);
        call = ferry_session_request(session, SAFETY_MS, "t", "{}");
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s; %s", ferry_call_error(call), ferry_process_error(process));
        count = ferry_value_count(ferry_message_body(reply));
        ck_assert_uint_eq(count, _i == 1 ? 4 : 5);
        for (size_t i = 0; i < count; i++) {
                int fd = (int)ferry_value_int(ferry_value_at(ferry_message_body(reply), i), -1);

                ck_assert_int_ne(fd, other);
        }
        ferry_call_free(call);
        ferry_loop_free(loop);
        ck_assert_int_eq(fcntl(kept, F_GETFD), FD_CLOEXEC);
        close(kept);
        close(other);
}
END_TEST

START_TEST(options_reach_a_command)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = {
                .env = (const char *[]){ "FERRY_CHANGED=new", "FERRY_NEW=x=y", NULL }, .directory = "/" };

        setenv("FERRY_KEPT", "kept", 1);
        setenv("FERRY_CHANGED", "old", 1);
        setenv("LISTEN_PID", "1", 1);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_FDNAMES", "x", 1);
        setenv("NOTIFY_SOCKET", "/nowhere", 1);
        setenv("FERRY_FD", "99", 1);
        ck_assert_str_eq(run(manager, SH("echo $FERRY_KEPT $FERRY_CHANGED $FERRY_NEW; pwd; "
                                         "env | grep -cE '^(LISTEN_|NOTIFY_)'; test \"$FERRY_FD\" != 99 && "
                                         "test -S /proc/self/fd/$FERRY_FD && echo socket"), &options, 0),
                         "kept new x=y\n/\n0\nsocket\n");
        ck_assert_str_eq(getenv("FERRY_FD"), "99");
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_command_has_signals_as_ever)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        unsigned long long blocked, ignored;
        const char *text;
        sigset_t all;

        for (int number = 1; number < NSIG; number++)
                if (number != SIGCHLD)
                        signal(number, SIG_IGN);
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        text = run(manager, (const char *[]){ "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL },
                   &(ferry_process_options){ 0 }, 0);
        ck_assert_int_eq(sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
        ck_assert_msg(blocked == 0 && (ignored & ~(3ULL << 31)) == 0, "%s", text);
        ferry_loop_free(loop);
}
END_TEST

static int sum_input(ferry_session *parent, void *userdata)
{
        long count = 0;

        (void)userdata;
        while (getchar() != EOF)
                count++;
        return ferry_session_notify(parent, "count", "%ld", count);
}

START_TEST(stdin_holds_what_was_given)
{
        static const size_t sizes[] = { 0, 1, 65537, 1 << 20 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        char *bytes = malloc(1 << 20), expected[32];
        int stdin_before = dup(0);
        const ferry_message *message;

        memset(bytes, 'x', 1 << 20);
        /* What the parent has read ahead is not the child's. */
        FILE *file = freopen("/etc/passwd", "r", stdin);

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ne(getchar(), EOF);
        for (size_t i = 0; i < COUNT(sizes); i++) {
                ferry_process_options options = { .input = bytes, .input_size = sizes[i] };
                ferry_process *process;

                snprintf(expected, sizeof expected, "%zu\n", sizes[i]);
                ck_assert_str_eq(run(manager, SH("wc -c"), &options, 0), expected);
                process = ferry_process_fork(manager, sum_input, NULL, &options);
                message = ferry_session_next(ferry_process_session(process), SAFETY_MS);
                ck_assert_int_eq(ferry_value_int(ferry_message_body(message), -1), (int64_t)sizes[i]);
        }
        free(bytes);
        ferry_loop_free(loop);
        dup2(stdin_before, 0);
        close(stdin_before);
}
END_TEST

/* 0, 1 and 2 may be closed in the parent: then what is opened for the child gets those numbers. */
static int run_without(ferry_session *parent, void *userdata)
{
        struct text text = { .size = 0 };
        ferry_loop *loop;
        ferry_manager *manager;
        ferry_process_options options = { .input = "in", .input_size = 2, .output = collect, .output_userdata = &text };
        int result;

        (void)parent;
        loop = ferry_loop_new(NULL);
        manager = ferry_manager_new(loop, NULL);
        for (int fd = 0; fd < 3; fd++)
                if (*(const int *)userdata & 1 << fd)
                        close(fd);
        result = ferry_process_wait(ferry_process_spawn(manager, SH("cat; echo out; echo err >&2; exit 8"), &options),
                                    SAFETY_MS);
        if (result != 8 || !strstr(text.bytes, "in") || !strstr(text.bytes, "out\n") || !strstr(text.bytes, "err\n"))
                return 1;
        ferry_loop_free(loop);
        return 0;
}

static int speak(ferry_session *parent, void *userdata)
{
        char bytes[3] = "";

        (void)parent, (void)userdata;
        if (read(0, bytes, 2) != 2 || write(1, bytes, 2) != 2 || write(1, "out\n", 4) != 4 || write(2, "err\n", 4) != 4)
                return 1;
        return ferry_session_status(parent) == 1 && ferry_session_notify(parent, "up", NULL) == 0 ? 8 : 2;
}

static int fork_without(ferry_session *parent, void *userdata)
{
        struct text text = { .size = 0 };
        ferry_loop *loop;
        ferry_manager *manager;
        ferry_process_options options = { .input = "in", .input_size = 2, .output = collect, .output_userdata = &text };
        ferry_process *process;

        (void)parent;
        loop = ferry_loop_new(NULL);
        manager = ferry_manager_new(loop, NULL);
        for (int fd = 0; fd < 3; fd++)
                if (*(const int *)userdata & 1 << fd)
                        close(fd);
        process = ferry_process_fork(manager, speak, NULL, &options);
        if (ferry_process_wait(process, SAFETY_MS) != 8)
                return 3;
        if (!ferry_session_next(ferry_process_session(process), SAFETY_MS))
                return 4;
        if (!strstr(text.bytes, "in") || !strstr(text.bytes, "out\n") || !strstr(text.bytes, "err\n"))
                return 5;
        ferry_loop_free(loop);
        return 0;
}

START_TEST(the_parent_may_have_no_stdio)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int closed = _i / 2;

        require_result(ferry_process_fork(manager, _i % 2 ? fork_without : run_without, &closed, NULL), 0);
        ferry_loop_free(loop);
}
END_TEST

/* Fork in a program ------------------------------------------------------------------------------------ */

static volatile sig_atomic_t is_enough;

static void *allocate(void *userdata)
{
        (void)userdata;
        for (size_t i = 1; !is_enough; i++)
                free(realloc(malloc(i % 5000), i % 7000 + 1));
        return NULL;
}

static int use_memory(ferry_session *parent, void *userdata)
{
        (void)userdata;
        for (size_t i = 1; i < 100; i++)
                free(malloc(i * 100));
        return ferry_session_notify(parent, "done", "{list: [%d, %d]}", 1, 2) ? 1 : 0;
}

START_TEST(threads_may_allocate_meanwhile)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        size_t rounds = suite_scale(1000);
        pthread_t threads[8];

        for (int i = 0; i < 8; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate, NULL), 0);
        for (size_t i = 0; i < rounds; i++) {
                ferry_process *process = ferry_process_fork(manager, use_memory, NULL, NULL);

                require_result(process, 0);
                ferry_process_free(process);
        }
        is_enough = 1;
        for (int i = 0; i < 8; i++)
                pthread_join(threads[i], NULL);
        ferry_loop_free(loop);
}
END_TEST

static int have_children(ferry_session *parent, void *userdata)
{
        int depth = *(const int *)userdata - 1, result = 0;
        ferry_manager *manager = ferry_manager_new(ferry_session_loop(parent), NULL);

        for (int i = 0; depth > 0 && i < 2; i++)
                ferry_process_fork(manager, have_children, &depth, NULL);
        if (ferry_manager_wait(manager, NULL, NULL) < 0)
                return 99;
        for (ferry_process *at = NULL; (at = ferry_manager_child(manager, at));)
                result += ferry_process_result(at);
        return result + 1;
}

START_TEST(children_have_children)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int depth = 4;

        require_result(ferry_process_fork(manager, have_children, &depth, NULL), 15);
        ferry_loop_free(loop);
}
END_TEST

struct inherited {
        ferry_manager *manager;
        ferry_process *sibling;
        ferry_loop *loop;
        ferry_call *call;
};

/* What the parent made is nothing here, and does no harm. */
static int use_the_parent_s(ferry_session *parent, void *userdata)
{
        struct inherited *all = userdata;

        if (ferry_process_fork(all->manager, exit_with, userdata, NULL) || ferry_process_wait(all->sibling, -1) != -ECHILD ||
            ferry_process_kill(all->sibling, SIGKILL) != -ECHILD || ferry_process_stop(all->sibling, 0) != -ECHILD ||
            ferry_manager_wait(all->manager, NULL, NULL) != -ECHILD || ferry_manager_stop(all->manager, 0) != -ECHILD)
                return 1;
        ferry_manager_kill(all->manager, SIGKILL);
        ferry_call_free(all->call);
        ferry_process_free(all->sibling);
        ferry_manager_free(all->manager);
        ferry_loop_free(all->loop);
        return ferry_session_status(parent) == 1 ? 42 : 2;
}

START_TEST(a_forked_child_cannot_touch_what_its_parent_has)
{
        struct inherited all = { .loop = ferry_loop_new(NULL) };

        all.manager = ferry_manager_new(all.loop, NULL);
        all.sibling = ferry_process_fork(all.manager, serve, NULL, NULL);
        all.call = ferry_session_request(ferry_process_session(all.sibling), SAFETY_MS, "t", "'x'");
        require_result(ferry_process_fork(all.manager, use_the_parent_s, &all, NULL), 42);
        ck_assert_msg(ferry_call_await(all.call) != NULL, "%s", ferry_call_error(all.call));
        ferry_call_free(all.call);
        require_echo(all.sibling);
        ferry_loop_free(all.loop);
}
END_TEST

/* Letting go ------------------------------------------------------------------------------------------- */

static void note_result(ferry_process *process, int result, void *userdata)
{
        ck_assert(!process || ferry_process_result(process) == result);
        *(int *)userdata = result;
}

START_TEST(one_may_be_given_away)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 5, results[4] = { -1, -1, -1, -1 };
        ferry_process *process;

        ferry_process_then(ferry_process_fork(manager, exit_with, &status, NULL), note_result, &results[0]);
        ferry_process_then(ferry_process_spawn(manager, (const char *[]){ "/nowhere", NULL }, NULL), note_result, &results[1]);
        process = ferry_process_fork(manager, exit_with, &status, NULL);
        require_result(process, 5);
        ferry_process_then(process, note_result, &results[2]);
        ferry_process_then(NULL, note_result, &results[3]);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        ck_assert_int_eq(results[0], 5);
        ck_assert_int_eq(results[1], -ENOENT);
        ck_assert_int_eq(results[2], 5);
        ck_assert_int_eq(results[3], -ENOMEM);
        ck_assert_ptr_null(ferry_manager_child(manager, NULL));
        ferry_loop_free(loop);
}
END_TEST

START_TEST(one_that_runs_may_be_freed)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);

        for (int i = 0; i < 3; i++)
                ck_assert_ptr_null(ferry_process_free(ferry_process_fork(manager, serve, NULL, NULL)));
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_ptr_null(ferry_manager_child(manager, NULL));
        ck_assert_int_eq(ferry_manager_killed(manager), 0);
        ck_assert_ptr_null(ferry_process_free(NULL));
        ferry_loop_free(loop);
}
END_TEST

/* Its session is an object like any other. */
START_TEST(a_session_may_be_freed_before_its_process)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(manager, serve, NULL, NULL);

        ferry_session_free(ferry_process_session(process));
        require_result(process, 0);
        ck_assert_ptr_null(ferry_process_session(process));
        process = ferry_process_fork(manager, serve, NULL, NULL);
        ferry_session_free(ferry_process_session(process));
        ferry_process_free(process);
        ferry_process_fork(manager, serve, NULL, NULL);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(without_memory_all_is_null)
{
        int result = 0;

        ck_assert_ptr_null(ferry_manager_new(NULL, NULL));
        ck_assert_ptr_null(ferry_process_fork(NULL, serve, NULL, NULL));
        ck_assert_ptr_null(ferry_process_spawn(NULL, SH("true"), NULL));
        ck_assert_int_eq(ferry_manager_wait(NULL, NULL, NULL), -ENOMEM);
        ck_assert_int_eq(ferry_manager_stop(NULL, 0), -ENOMEM);
        ck_assert_int_eq(ferry_process_wait(NULL, 0), -ENOMEM);
        ck_assert_int_eq(ferry_process_stop(NULL, 0), -ENOMEM);
        ck_assert_int_eq(ferry_process_kill(NULL, SIGTERM), -ENOMEM);
        ck_assert_int_eq(ferry_process_result(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_process_pid(NULL), -1);
        ck_assert_ptr_null(ferry_process_session(NULL));
        ck_assert_ptr_null(ferry_session_process(NULL));
        ck_assert_ptr_null(ferry_manager_child(NULL, NULL));
        ferry_manager_on(NULL, FERRY_PROCESS_ENDED, NULL, &result);
        ferry_manager_kill(NULL, SIGKILL);
        ck_assert_ptr_null(ferry_manager_free(NULL));
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_result_says_how_it_ended, COUNT(ends)),
        SUITE_LOOP(a_command_s_result_is_the_same, 8),
        SUITE_TEST(last_words_are_told),
        SUITE_TEST(a_dead_child_s_message_is_not_waited_for),
        SUITE_LOOP(what_it_sent_before_its_end_arrives, 2),
        SUITE_LOOP(what_cannot_be_started_says_so, 6),
        SUITE_TEST(an_end_leaves_siblings_alone),
        SUITE_TEST(a_host_s_own_handler_is_left_alone),
        SUITE_TEST(with_sigchld_ignored_the_end_is_still_seen),
        SUITE_TEST(a_thread_that_waits_for_any_does_no_harm),
        SUITE_LOOP(children_end_with_their_parent, 4),
        SUITE_LOOP(a_forked_child_has_no_descriptor_of_the_loop, 2),
        SUITE_LOOP(a_command_has_what_it_was_given, 2),
        SUITE_TEST(options_reach_a_command),
        SUITE_TEST(a_command_has_signals_as_ever),
        SUITE_TEST(stdin_holds_what_was_given),
        SUITE_LOOP(the_parent_may_have_no_stdio, 16),
        SUITE_TEST(threads_may_allocate_meanwhile),
        SUITE_TEST(children_have_children),
        SUITE_TEST(a_forked_child_cannot_touch_what_its_parent_has),
        SUITE_TEST(one_may_be_given_away),
        SUITE_TEST(one_that_runs_may_be_freed),
        SUITE_TEST(a_session_may_be_freed_before_its_process),
        SUITE_TEST(without_memory_all_is_null),
};

SUITE_MAIN("process", tests)
