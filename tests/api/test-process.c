/* One child: how it begins and ends, what is said of that, whatever the program does about its children; how it is let
 * go. What it has of its parent is in test-inherited.c, what becomes of several in test-manager.c. */
#include "support/children.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

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
        ck_assert_int_eq(ferry_process_status(process), 1);
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
                /* A process that is left behind holds all that it was given, and is not waited for. */
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

START_TEST(last_words_are_reported)
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
        run_command(manager, SH("echo last >&2; exit 5"), &(ferry_process_options){ 0 }, 5);
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
        ck_assert_int_eq(ferry_process_wait(process, 0), -ETIMEDOUT);
        require_served(process);
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

static int exit_after_a_word(ferry_session *parent, void *userdata)
{
        return ferry_session_next(parent, -1) ? *(const int *)userdata : 1;
}

/* How a child has exited is one question, whether it could be started another. */
START_TEST(an_exit_status_is_apart_from_a_failed_start)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 3;
        ferry_process *process = ferry_process_fork(manager, exit_after_a_word, &status, NULL);

        ck_assert_int_eq(ferry_process_status(process), 1);
        ck_assert_int_eq(ferry_process_exit_status(process), -EINPROGRESS);
        ck_assert_str_eq(ferry_process_ending(process), "");
        ck_assert_int_eq(ferry_process_wait(process, 0), -ETIMEDOUT);
        ck_assert_str_eq(ferry_loop_error(loop), "the child has not ended within 0 s");
        ck_assert_int_eq(ferry_session_notify(ferry_process_session(process), "t", NULL), 0);
        ck_assert_int_eq(ferry_process_wait(process, SAFETY_MS), 3);
        ck_assert_int_eq(ferry_process_status(process), 0);
        ck_assert_int_eq(ferry_process_exit_status(process), 3);
        ck_assert_str_eq(ferry_process_ending(process), "exited with status 3");
        process = ferry_process_spawn(manager, (const char *const[]){ "/nowhere", NULL }, NULL);
        ck_assert_int_eq(ferry_process_status(process), -ENOENT);
        ck_assert_int_eq(ferry_process_exit_status(process), -ECHILD);
        ck_assert_str_eq(ferry_process_ending(process), "");
        ck_assert_int_eq(ferry_process_wait(process, 0), -ENOENT);
        ferry_loop_free(loop);
}
END_TEST

static int say_and_go(ferry_session *parent, void *userdata)
{
        for (int i = 0; i < 1000; i++)
                ferry_session_notify(parent, "number", "%d", i);
        return *(const int *)userdata;
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
                ferry_session_on(session, FERRY_KIND_NOTIFICATION, count_in_order, &counted);
        ck_assert_int_eq(ferry_manager_wait(manager, note_counted, &counted), 0);
        ck_assert_int_eq(result_of(process), 6);
        if (_i == 0)
                ck_assert_int_eq(counted_at_end, 1000);
        else
                for (const ferry_message *message; (message = ferry_session_next(session, SAFETY_MS)); counted++)
                        ck_assert_int_eq(ferry_value_int(ferry_message_body(message), -1), counted);
        ck_assert_int_eq(counted, 1000);
        ferry_loop_free(loop);
}
END_TEST

static void count_failure(ferry_call *call, const ferry_message *reply, void *userdata)
{
        (void)call;
        *(int *)userdata += !reply;
}

/* When the end is reported the results of its requests are known. */
START_TEST(calls_end_before_the_end_is_reported)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .is_on_stdio = _i % 2 };
        ferry_process *process = ferry_process_spawn(manager, SH("exit 3"), &options);
        int failed = 0;

        for (int i = 0; i < 3; i++)
                ferry_call_then(ferry_session_request(ferry_process_session(process), -1, "t", "1"), count_failure, &failed);
        if (_i < 2)
                ck_assert_int_eq(ferry_process_wait(process, -1), 3);
        else
                ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_int_eq(failed, 3);
        ferry_loop_free(loop);
}
END_TEST

static int say_too_much(ferry_session *parent, void *userdata)
{
        for (int i = 0; i < 1000; i++)
                ferry_session_notify(parent, "number", "[%d, '%2000d']", i, i);
        return *(const int *)userdata;
}

/* The parent does not read it; the end of the child is not held up for ever, and is not in order. */
START_TEST(what_is_not_taken_is_no_success)
{
        const ferry_session_options session = { .close_timeout_ms = 50 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct text text = { .size = 0 };
        ferry_process_options options = { .session = &session, .output = collect, .output_userdata = &text };
        char expected[80];
        const char *reason;
        int status = _i;
        ferry_process *process = ferry_process_fork(manager, say_too_much, &status, &options);
        siginfo_t info;

        ck_assert_int_eq(waitid(P_PID, (id_t)ferry_process_pid(process), &info, WEXITED | WNOWAIT), 0);
        require_result(process, _i ? _i : 1);
        /* The library prints nothing: the parent, its session and the calls to the child know why. */
        ck_assert_uint_eq(text.size, 0);
        snprintf(expected, sizeof expected, "the child exited with status %d: its parent has not read ", _i ? _i : 1);
        ck_assert_msg(strncmp(ferry_process_error(process), expected, strlen(expected)) == 0, "%s", ferry_process_error(process));
        reason = strstr(ferry_process_error(process), "has not read ");
        ck_assert_int_gt(atoi(reason + strlen("has not read ")), 1000000);
        ck_assert_ptr_nonnull(strstr(reason, " bytes that it sent within 0.05 s"));
        ck_assert_int_eq(ferry_session_status(ferry_process_session(process)), -ECONNRESET);
        ck_assert_str_eq(ferry_session_error(ferry_process_session(process)), ferry_process_error(process));
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
                /* Forked: */
                { { NULL }, "/no/such/directory", NULL, -ENOENT, "a child cannot be started in /no/such/directory" },
                { { NULL }, "/etc/passwd", NULL, -ENOTDIR, "in /etc/passwd" },
                { { NULL }, NULL, "/no/such/directory/file", -ENOENT, "/no/such/directory/file" },
        };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .directory = unstarted[_i].directory, .stdout_path = unstarted[_i].path };
        ferry_process *process;

        /* Where we may not look there could be one: that would be EACCES. */
        setenv("PATH", "/usr/bin:/bin", 1);
        process = _i < 6 ? ferry_process_spawn(manager, unstarted[_i].argv, &options) :
                           ferry_process_fork(manager, exit_with, NULL, &options);
        ck_assert_int_eq(result_of(process), unstarted[_i].code);
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
                        require_served(processes[k]);
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
        ferry_loop *loop;
        ferry_manager *manager;
        int status = 9, own_status;
        pid_t own;

        sigaction(SIGCHLD, &action, NULL);
        loop = ferry_loop_new(NULL);
        manager = ferry_manager_new(loop, NULL);
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
        ferry_loop *loop;
        ferry_manager *manager;
        int status = 9;

        signal(SIGCHLD, SIG_IGN);
        loop = ferry_loop_new(NULL);
        manager = ferry_manager_new(loop, NULL);
        for (int i = 0; i < 20; i++) {
                ferry_process *process = i % 2 ? ferry_process_fork(manager, exit_with, &status, NULL) :
                                                 ferry_process_spawn(manager, SH("exit 9"), NULL);

                require_result(process, -ECHILD);
                ck_assert_msg(strstr(ferry_process_error(process), "has taken it"), "%s",
                              ferry_process_error(process));
        }
        ck_assert_int_eq(ferry_process_status(ferry_process_spawn(manager, SH("exec /nowhere"), NULL)), 1);
        ck_assert_int_eq(result_of(ferry_process_spawn(manager, (const char *[]){ "/nowhere", NULL }, NULL)),
                         -ENOENT);
        ferry_manager_wait(manager, NULL, NULL);
        ferry_loop_free(loop);
        ck_assert(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
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

/* A parent of its own, which reports the pid of its child, and dies. */
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
                require_served(child);
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

/* Letting go ------------------------------------------------------------------------------------------- */

static void note_result(ferry_process *process, int result, void *userdata)
{
        ck_assert(!process || result_of(process) == result);
        *(int *)userdata = result;
}

START_TEST(one_may_be_given_away)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 5, results[4] = { -1, -1, -1, -1 };
        ferry_process *process;

        ferry_process_then(ferry_process_fork(manager, exit_with, &status, NULL), note_result, &results[0]);
        process = ferry_process_spawn(manager, (const char *[]){ "/nowhere", NULL }, NULL);
        ferry_process_then(process, note_result, &results[1]);
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
        ck_assert_int_eq(ferry_process_status(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_process_exit_status(NULL), -ENOMEM);
        ck_assert_str_eq(ferry_process_ending(NULL), "");
        ck_assert_int_eq(ferry_process_pid(NULL), -1);
        ck_assert_ptr_null(ferry_process_session(NULL));
        ck_assert_ptr_null(ferry_session_process(NULL));
        ck_assert_ptr_null(ferry_manager_child(NULL, NULL));
        ferry_manager_on(NULL, FERRY_PROCESS_ENDED, NULL, &result);
        ferry_manager_kill(NULL, SIGKILL);
        ck_assert_ptr_null(ferry_manager_free(NULL));
}
END_TEST

/* -1 is forever, and less is no time. */
START_TEST(waits_for_times_that_are_none_are_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_spawn(manager, SH("exit 3"), NULL);

        ck_assert_int_eq(ferry_process_wait(process, -2), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "-2 is not a timeout"));
        ck_assert_int_eq(ferry_process_stop(process, -3), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "-3 is not a timeout"));
        ck_assert_int_eq(ferry_manager_stop(manager, -4), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "-4 is not a timeout"));
        ck_assert_int_eq(ferry_service_wait(loop, "nothing", FERRY_DIALECT_AUTO, -5), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "-5 is not a timeout"));
        ck_assert_int_eq(ferry_channel_wait(loop, "tcp:127.0.0.1:1", -6), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "-6 is not a timeout"));
        ck_assert_int_eq(ferry_process_wait(process, -1), 3);
        ferry_loop_after(loop, -7, NULL, NULL);
        ck_assert_int_eq(ferry_loop_run(loop, -1), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "a negative delay"));
        ferry_loop_free(loop);
}
END_TEST

static int count_line(ferry_session *session, const ferry_message *line, void *userdata)
{
        (void)session, (void)line;
        ++*(int *)userdata;
        return 0;
}

static void count_newlines(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process;
        for (size_t i = 0; fd == 2 && i < size; i++)
                *(int *)userdata += bytes[i] == '\n';
}

/* As messages of its session, which has ended by then; as output; and where it ends by TERM. A shell reports a program that TERM
 * has ended, so there is none. */
START_TEST(stderr_is_heard_until_a_stopped_process_has_ended)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int lines = 0;
        ferry_process_options options = { .is_on_stdio = true, .output = _i == 1 ? count_newlines : NULL,
                                          .output_userdata = &lines };
        ferry_process *process = ferry_process_spawn(manager, _i == 2 ?
                SH("trap 'seq 1 2000 >&2; exit 3' TERM; echo >&2; while :; do :; done") :
                SH("cat >/dev/null; seq 0 2000 >&2; exit 3"), &options);

        ferry_session_on(ferry_process_session(process), FERRY_KIND_JUNK, count_line, &lines);
        while (_i == 2 && lines == 0)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_process_stop(process, _i == 2 ? 0 : SAFETY_MS), 3);
        ck_assert_int_eq(lines, 2001);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(waits_for_times_that_are_none_are_refused),
        SUITE_LOOP(stderr_is_heard_until_a_stopped_process_has_ended, 3),
        SUITE_LOOP(a_result_says_how_it_ended, COUNT(ends)),
        SUITE_LOOP(a_command_s_result_is_the_same, 8),
        SUITE_TEST(last_words_are_reported),
        SUITE_TEST(an_exit_status_is_apart_from_a_failed_start),
        SUITE_TEST(a_dead_child_s_message_is_not_waited_for),
        SUITE_LOOP(what_it_sent_before_its_end_arrives, 2),
        SUITE_LOOP(what_is_not_taken_is_no_success, 3),
        SUITE_LOOP(calls_end_before_the_end_is_reported, 4),
        SUITE_LOOP(what_cannot_be_started_says_so, 9),
        SUITE_TEST(an_end_leaves_siblings_alone),
        SUITE_TEST(a_host_s_own_handler_is_left_alone),
        SUITE_TEST(with_sigchld_ignored_the_end_is_still_seen),
        SUITE_TEST(a_thread_that_waits_for_any_does_no_harm),
        SUITE_LOOP(children_end_with_their_parent, 4),
        SUITE_TEST(one_may_be_given_away),
        SUITE_TEST(one_that_runs_may_be_freed),
        SUITE_TEST(a_session_may_be_freed_before_its_process),
        SUITE_TEST(without_memory_all_is_null),
};

SUITE_MAIN("process", tests)
