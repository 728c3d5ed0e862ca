/* Children in the cases that no program plans for: workers that close their session and live on, shortages, signals that come
 * during a wait within a wait, options that go with nothing, and objects that are let go of at the wrong time. */
#include "support/children.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What requests have come to. */
struct ends {
        int done;
        int failed;
        int code;
        enum ferry_outcome outcome;
        char text[512];
};

static void count_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct ends *ends = userdata;

        ends->done += reply != NULL;
        ends->failed += reply == NULL;
        ends->code = ferry_call_status(call);
        ends->outcome = ferry_call_outcome(call);
        snprintf(ends->text, sizeof ends->text, "%s", ferry_call_error(call));
}

/* Workers ---------------------------------------------------------------------------------------------- */

static int hang_up(ferry_session *parent, void *userdata)
{
        ferry_loop *loop = ferry_session_loop(parent);

        (void)userdata;
        ferry_session_free(parent);
        ferry_loop_after(loop, 1000000, NULL, NULL);
        return ferry_loop_run(loop, -1);
}

/* One that has closed its session can be asked nothing any more, however long it lives. */
START_TEST(a_peer_that_has_hung_up_is_not_waited_for)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_killing = true });
        const ferry_process_options on_stdio = { .is_on_stdio = true };
        struct ends ends = { 0 };
        ferry_call *call;

        if (_i == 0)
                ferry_process_fork(manager, hang_up, NULL, NULL);
        else
                ferry_process_spawn(manager, SH("exec <&- >&-; sleep 1000"), &on_stdio);
        for (int i = 0; i < 3; i++)
                ferry_call_then(ferry_manager_request(manager, -1, "t", "1"), count_end, &ends);
        call = ferry_manager_request(manager, -1, "t", "1");
        ck_assert_ptr_null(ferry_call_await(call));
        ferry_loop_tick(loop, 0);
        ferry_call_free(call);
        ck_assert_int_eq(ends.failed, 3);
        ck_assert_int_eq(ferry_manager_running(manager), 1);
        ferry_loop_free(loop);
}
END_TEST

/* Where it is to be started again, it gets a second, then is told to end, and is replaced. */
START_TEST(one_that_has_hung_up_is_replaced)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_killing = true });
        char directory[] = "/tmp/ferry-hard-XXXXXX", command[512];
        ferry_process_options worker = { .is_on_stdio = true, .is_restarted = true };
        ferry_process *process;
        int starts = 0, ended = 0;
        ferry_call *call;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(command, sizeof command, "if mkdir %s/once 2>/dev/null; then exec <&- >&-; trap '' TERM; "
                 "while :; do sleep 1000; done; else exec " BUILD_DIRECTORY "/tests/child echo; fi", directory);
        ferry_manager_on(manager, FERRY_PROCESS_STARTED, count_event, &starts);
        ferry_manager_on(manager, FERRY_PROCESS_ENDED, count_event, &ended);
        process = ferry_process_spawn(manager, SH(command), &worker);
        while (ferry_session_status(ferry_process_session(process)) == 1)
                ferry_loop_tick(loop, -1);
        door_stop_clock(100);
        call = ferry_manager_request(manager, -1, "t", "1");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(starts, 2);
        ck_assert_int_eq(ended, 0);
        ck_assert_uint_eq(ferry_manager_killed(manager), 1);
        ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
        ck_assert_int_eq(ended, 1);
        ferry_loop_free(loop);
        snprintf(command, sizeof command, "%s/once", directory);
        rmdir(command);
        rmdir(directory);
}
END_TEST

static int forks_left;
static int forks_error;

static int refuse_forks(enum door_call call, bool is_child)
{
        if (is_child || call != DOOR_spawn || forks_left == 0)
                return 0;
        forks_left--;
        return forks_error;
}

/* A shortage passes. What is gone does not come back by itself. */
START_TEST(a_restart_outlives_a_shortage)
{
        static const int errors[] = { -EAGAIN, -ENOMEM, -EMFILE, -EPERM };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options worker = { .is_on_stdio = true, .is_restarted = true };
        ferry_process *process;
        struct ends ends = { 0 };

        door_stop_clock(2000);
        process = ferry_process_spawn(manager, CHILD("echo"), &worker);
        ck_assert_int_eq(ferry_process_status(process), 1);
        forks_left = 5;
        forks_error = errors[_i];
        door_judge = refuse_forks;
        ferry_process_kill(process, SIGKILL);
        while (forks_left == 5)
                ferry_loop_tick(loop, -1);
        if (_i < 3)
                ck_assert_int_eq(ferry_process_status(process), 1);
        ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "1"), count_end, &ends);
        if (_i < 3) {
                ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
                ck_assert_int_eq(ends.done, 1);
                ck_assert_int_eq(forks_left, 0);
                ck_assert_int_eq(result_of(process), 0);
        } else {
                ck_assert_int_eq(result_of(process), -EPERM);
                ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), -EPERM);
        }
        door_reset();
        ferry_loop_free(loop);
}
END_TEST

static int note_death(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager;
        snprintf(userdata, 100, "%s", ferry_process_error(process));
        return 7;
}

/* It has its second to end also where a request is lost with its session. */
START_TEST(a_worker_that_hangs_up_on_a_request_may_end)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .is_on_stdio = true, .is_restarted = true };
        struct ends ends = { 0 };
        char text[100] = "";

        ferry_manager_on(manager, FERRY_PROCESS_DIED, note_death, text);
        ferry_process_spawn(manager, SH("exec <&- >&-; sleep 0.2; exit 3"), &options);
        ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "1"), count_end, &ends);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 7);
        ck_assert_str_eq(text, "the child exited with status 3");
        ck_assert_int_eq(ferry_manager_stop(manager, 0), 0);
        ck_assert_int_eq(ends.failed, 1);
        ferry_loop_free(loop);
}
END_TEST

static int free_loop(ferry_session *parent, void *userdata)
{
        (void)userdata;
        ferry_loop_free(ferry_session_loop(parent));
        return 5;
}

START_TEST(a_child_may_free_its_loop)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);

        require_result(ferry_process_fork(manager, free_loop, NULL, NULL), 5);
        ferry_loop_free(loop);
}
END_TEST

static pid_t closed_pid;

/* The moment in which it is asked is the last one of the child. */
static int end_it(enum door_call call, bool is_child)
{
        siginfo_t info;

        if (call == DOOR_is_exiting && !is_child) {
                kill(closed_pid, SIGSEGV);
                waitid(P_PID, (id_t)closed_pid, &info, WEXITED | WNOWAIT);
        }
        return 0;
}

/* On a busy machine it may take long from the one to the other. */
START_TEST(a_process_that_closes_and_ends_is_reported_by_its_status)
{
        static const char *const argv[] = { "sh", "-c", "ulimit -c 0; exec <&- >&-; exec sleep 1000", NULL };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_session *session;
        ferry_call *call;

        if (_i == 0)
                session = ferry_process_session(ferry_process_spawn(manager, argv, &(ferry_process_options){ .is_on_stdio = true }));
        else
                session = ferry_session_open(loop, "exec:", &(ferry_session_options){ .argv = argv });
        closed_pid = ferry_session_peer(session).pid;
        call = ferry_session_request(session, SAFETY_MS, "t", "1");
        door_judge = end_it;
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "the child was killed by SIGSEGV"));
        door_reset();
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

/* Options ---------------------------------------------------------------------------------------------- */

START_TEST(options_that_go_with_nothing_are_refused)
{
        static const char *const env[] = { "A=B", NULL };
        static const ferry_session_options mixed = { .dialect = FERRY_DIALECT_PCNTL | FERRY_DIALECT_FERRY };
        const struct {
                bool is_command;
                ferry_process_options options;
                int code;
                const char *text;
        } cases[] = {
                { false, { .env = env }, -EINVAL, "for a command" },
                { false, { .fds = (const int[]){ 1, -1 } }, -EINVAL, "for a command" },
                { false, { .is_on_stdio = true }, -EINVAL, "for a command" },
                { false, { .is_restarted = true }, -EINVAL, "for a command" },
                { true, { .is_on_stdio = true, .input = "x", .input_size = 1 }, -EINVAL, "its session" },
                { true, { .is_on_stdio = true, .stdout_path = "/dev/null" }, -EINVAL, "its session" },
                { true, { .session = &mixed }, -EINVAL, "dialect is 9: set one" },
                { false, { .session = &mixed }, -EINVAL, "dialect is 9: set one" },
                /* Numbers of closed descriptors could become those of ferry's own. */
                { true, { .fds = (const int[]){ 0, 900, -1 } }, -EBADF, "Bad file descriptor" },
                { true, { .fds = (const int[]){ 0, 1, 2, 1, 2, -1 } }, 0, "" },
                { true, { .death_signal = 99 }, -EINVAL, "99 is not a signal" },
                { false, { .death_signal = -1 }, -EINVAL, "-1 is not a signal" },
        };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process;

        process = cases[_i].is_command ? ferry_process_spawn(manager, SH("exit 0"), &cases[_i].options) :
                                         ferry_process_fork(manager, exit_with, NULL, &cases[_i].options);
        ck_assert_int_eq(ferry_process_wait(process, SAFETY_MS), cases[_i].code);
        ck_assert_msg(strstr(ferry_process_error(process), cases[_i].text), "%s", ferry_process_error(process));
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), cases[_i].code);
        if (cases[_i].code)
                ck_assert_msg(strstr(ferry_loop_error(loop), cases[_i].text), "%s", ferry_loop_error(loop));
        ferry_loop_free(loop);
}
END_TEST

static int range_error;

static int refuse_range(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == DOOR_close_on_exec_from ? range_error : 0;
}

/* What the program has opened for itself, and forgotten to close on exec; also on kernels, and in sandboxes, that have no
 * CLOSE_RANGE_CLOEXEC. */
START_TEST(a_command_has_no_descriptor_of_the_program)
{
        static const int errors[] = { 0, -EINVAL, -ENOSYS, -EPERM };
        bool is_alone = _i % 2;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int own = fcntl(0, F_DUPFD, 100), kept = fcntl(0, F_DUPFD_CLOEXEC, 100);
        ferry_process *process;
        ferry_call *call;
        const ferry_message *reply;

        range_error = errors[_i / 2];
        door_judge = refuse_range;
        process = ferry_process_spawn(manager, CHILD(is_alone ? "channel" : "descriptors"), &(ferry_process_options){
                .fds = (const int[]){ kept, -1 }, .is_on_stdio = !is_alone });
        door_judge = NULL;
        call = ferry_session_request(ferry_process_session(process), SAFETY_MS, "t", "{}");
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s; %s", ferry_call_error(call), ferry_process_error(process));
        ck_assert_uint_eq(ferry_value_count(ferry_message_body(reply)), is_alone ? 5 : 4);
        for (size_t i = 0; i < ferry_value_count(ferry_message_body(reply)); i++)
                ck_assert_int_ne(ferry_value_int(ferry_value_at(ferry_message_body(reply), i), -1), own);
        ferry_call_free(call);
        ferry_loop_free(loop);
        ck_assert_int_eq(fcntl(own, F_GETFD), 0);
        close(own);
        close(kept);
}
END_TEST

/* Giving away ------------------------------------------------------------------------------------------ */

static void count_then(ferry_process *process, int result, void *userdata)
{
        (void)process;
        ck_assert_int_ne(result, -EINPROGRESS);
        ++*(int *)userdata;
}

static void let_all_go(ferry_process *process, int result, void *userdata)
{
        (void)result;
        /* It is gone in any case; neither of these is anything. */
        ferry_process_then(process, count_then, userdata);
        ferry_process_free(process);
        ++*(int *)userdata;
}

struct again {
        ferry_manager *manager;
        int count;
};

static void start_another(ferry_process *process, int result, void *userdata)
{
        struct again *again = userdata;

        (void)process, (void)result;
        if (++again->count < 20000)
                ferry_process_then(ferry_process_spawn(again->manager, (const char *const[]){ "", NULL },
                                   &(ferry_process_options){ .is_on_stdio = true, .input = "" }), start_another, again);
}

static void end_the_loop(ferry_process *process, int result, void *userdata)
{
        (void)process, (void)result;
        ferry_loop_free(userdata);
}

START_TEST(one_is_given_away_once)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int first = 0, second = 0;
        ferry_process *process = ferry_process_fork(manager, exit_with, NULL, NULL);

        ferry_process_then(process, count_then, &first);
        ferry_process_then(process, let_all_go, &second);
        ferry_process_then(ferry_process_fork(manager, exit_with, NULL, NULL), NULL, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_int_eq(first, 0);
        ck_assert_int_eq(second, 1);
        ck_assert_ptr_null(ferry_manager_child(manager, NULL));
        /* One that has ended, too; from the loop, not from here. */
        process = ferry_process_fork(manager, exit_with, NULL, NULL);
        ck_assert_int_eq(ferry_process_wait(process, SAFETY_MS), 0);
        ferry_process_then(process, let_all_go, &second);
        ck_assert_int_eq(second, 1);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_int_eq(second, 2);
        ck_assert_ptr_null(ferry_manager_child(manager, NULL));
        ferry_process_then(NULL, NULL, NULL);
        ferry_process_then(NULL, count_then, &first);
        ck_assert_int_eq(first, 1);
        ferry_loop_free(loop);
}
END_TEST

/* A callback that starts another one whenever one fails does not run out of stack. */
START_TEST(failures_in_a_row_do_not_nest)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct again again = { .manager = ferry_manager_new(loop, NULL) };

        start_another(NULL, 0, &again);
        ferry_loop_run(loop, -1);
        ck_assert_int_eq(again.count, 20000);
        /* And the loop ends all the same. */
        again.count = 10000;
        start_another(NULL, 0, &again);
        ferry_loop_free(loop);
        ck_assert_int_lt(again.count, 10010);
}
END_TEST

START_TEST(the_loop_may_go_with_one)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(manager, exit_with, NULL, NULL);

        if (_i == 0)
                ferry_process_wait(process, SAFETY_MS);
        ferry_process_then(process, end_the_loop, loop);
        ck_assert_int_eq(ferry_loop_run(loop, -1), -ECANCELED);
}
END_TEST

static int let_go(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager;
        ++*(int *)userdata;
        ferry_process_free(process);
        return 0;
}

/* The caller that made it does not get a process that is about to go. */
START_TEST(a_process_may_be_freed_in_its_exit_callback)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int count = 0;

        ferry_manager_on(manager, _i == 0 ? FERRY_PROCESS_STARTED : FERRY_PROCESS_ENDED, let_go, &count);
        if (_i == 0)
                ck_assert_ptr_null(ferry_process_fork(manager, wait_for_the_end, NULL, NULL));
        else
                ferry_process_fork(manager, exit_with, NULL, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, _i == 2 ? let_go : NULL, &count), 0);
        ck_assert_int_eq(count, 1);
        ck_assert_ptr_null(ferry_manager_child(manager, NULL));
        ferry_loop_free(loop);
}
END_TEST

/* Signals ---------------------------------------------------------------------------------------------- */

struct nest {
        ferry_manager *outer, *inner;
        int inner_result;
        int blocked;
};

static int tell_mask(ferry_session *parent, void *userdata)
{
        sigset_t now;

        (void)parent, (void)userdata;
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        return sigismember(&now, SIGTERM) || sigismember(&now, SIGUSR1) || sigismember(&now, SIGUSR2);
}

static int raise_it(ferry_loop *loop, void *userdata)
{
        (void)loop;
        kill(getpid(), *(const int *)userdata);
        return 0;
}

static int wait_inside(ferry_loop *loop, void *userdata)
{
        static const int number = SIGUSR1;
        struct nest *nest = userdata;
        ferry_manager *third = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(nest->inner, tell_mask, NULL, NULL);

        nest->blocked = ferry_process_wait(process, SAFETY_MS);
        nest->blocked |= ferry_process_wait(ferry_process_fork(third, tell_mask, NULL, NULL), SAFETY_MS);
        ferry_loop_after(loop, 0, raise_it, (void *)(uintptr_t)&number);
        nest->inner_result = ferry_manager_wait(nest->inner, NULL, NULL);
        return 0;
}

static int ask_masks(ferry_manager *manager, ferry_process *process, void *userdata)
{
        struct nest *nest = userdata;
        ferry_manager *third = ferry_manager_new(ferry_session_loop(ferry_process_session(process)), NULL);

        (void)manager;
        if (result_of(process) == 7) {
                nest->blocked |= ferry_process_wait(ferry_process_fork(nest->inner, tell_mask, NULL, NULL), SAFETY_MS);
                nest->blocked |= ferry_process_wait(ferry_process_fork(third, tell_mask, NULL, NULL), SAFETY_MS);
        }
        return 0;
}

/* A signal reaches the children of all waits for it, and each of these returns it. A child that is forked meanwhile, by
 * any of them, has the mask from before all that. */
START_TEST(waits_within_waits_pass_signals_on)
{
        static const int status = 7;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager_options options = { .is_forwarding = true };
        struct nest nest = { .outer = ferry_manager_new(loop, &options), .inner = ferry_manager_new(loop, &options) };
        sigset_t before, after;

        sigemptyset(&before);
        after = before;
        pthread_sigmask(SIG_SETMASK, NULL, &before);
        ferry_process_spawn(nest.outer, SH("exec sleep 1000"), NULL);
        ferry_process_spawn(nest.inner, SH("exec sleep 1000"), NULL);
        ferry_manager_on(nest.inner, FERRY_PROCESS_ENDED, ask_masks, &nest);
        ferry_process_fork(nest.inner, exit_with, (void *)(uintptr_t)&status, NULL);
        ferry_loop_after(loop, 0, wait_inside, &nest);
        ck_assert_int_eq(ferry_manager_wait(nest.outer, NULL, NULL), FERRY_PROCESS_KILLED + SIGUSR1);
        ck_assert_int_eq(nest.inner_result, FERRY_PROCESS_KILLED + SIGUSR1);
        ck_assert_int_eq(nest.blocked, 0);
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
        ferry_loop_free(loop);
}
END_TEST

static int stop_with_signal(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager, (void)process;
        kill(getpid(), SIGTERM);
        return *(const int *)userdata;
}

/* It comes with the last end, when the wait reads no signals any more: the wait returns it, and this process lives on. */
START_TEST(a_signal_in_the_last_moment_is_returned)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_forwarding = true });
        int verdict = 0;

        ferry_process_fork(manager, exit_with, NULL, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, stop_with_signal, &verdict), FERRY_PROCESS_KILLED + SIGTERM);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ferry_loop_free(loop);
}
END_TEST

static int stop_waiting(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager, (void)process, (void)userdata;
        return 5;
}

/* Where a callback has stopped the wait, the next one tells of the signal. */
START_TEST(a_signal_is_reported_by_the_next_wait)
{
        static const int number = SIGUSR1;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_forwarding = true });

        ferry_process_spawn(manager, SH("exec sleep 1000"), NULL);
        ferry_loop_after(loop, 0, raise_it, (void *)(uintptr_t)&number);
        ck_assert_int_eq(ferry_manager_wait(manager, stop_waiting, NULL), 5);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), FERRY_PROCESS_KILLED + SIGUSR1);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ferry_loop_free(loop);
}
END_TEST

/* Workers that TERM has ended are not started again; what waits for them is refused. */
START_TEST(a_pool_ends_by_a_signal)
{
        static const int number = SIGTERM;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_forwarding = true });
        ferry_process_options options = { .is_restarted = true, .is_on_stdio = true };
        struct ends ends = { 0 };

        ferry_process_spawn(manager, SH("cat >/dev/null; sleep 1000"), &options);
        ferry_process_spawn(manager, SH("exit 3"), &options);
        for (int i = 0; i < 5; i++)
                ferry_call_then(ferry_manager_request(manager, -1, "t", "1"), count_end, &ends);
        ferry_loop_after(loop, 20, raise_it, (void *)(uintptr_t)&number);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), FERRY_PROCESS_KILLED + SIGTERM);
        ferry_loop_run(loop, 0);
        ck_assert_int_eq(ends.failed, 5);
        ferry_loop_free(loop);
}
END_TEST

static int leave_it_unanswered(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        ferry_message_ref((ferry_message *)(uintptr_t)request);
        return 1;
}

static int be_slow(ferry_session *parent, void *userdata)
{
        (void)userdata;
        ferry_session_on(parent, FERRY_KIND_REQUEST, leave_it_unanswered, NULL);
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

/* Also while the requests are finished. */
START_TEST(stopping_passes_signals_on_from_the_beginning)
{
        static const int number = SIGTERM;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_forwarding = true });
        struct ends ends = { 0 };

        ferry_process_fork(manager, be_slow, NULL, NULL);
        ferry_call_then(ferry_manager_request(manager, -1, "t", "1"), count_end, &ends);
        ferry_loop_after(loop, 20, raise_it, (void *)(uintptr_t)&number);
        ck_assert_int_eq(ferry_manager_stop(manager, -1), FERRY_PROCESS_KILLED + SIGTERM);
        ferry_loop_run(loop, 0);
        ck_assert_int_eq(ends.failed, 1);
        ferry_loop_free(loop);
}
END_TEST

static int fork_now(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ferry_process_fork(userdata, tell_descriptors, NULL, NULL);
        return 0;
}

START_TEST(the_descriptor_of_signals_is_not_the_child_s)
{
        int before = count_descriptors();
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_forwarding = true });

        ferry_loop_after(loop, 0, fork_now, manager);
        ferry_process_fork(manager, exit_with, NULL, NULL);
        while (!ferry_manager_child(manager, ferry_manager_child(manager, NULL)))
                ck_assert_int_ge(ferry_manager_wait(manager, stop_waiting, NULL), 0);
        ck_assert_int_ge(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_int_eq(result_of(ferry_manager_child(manager, ferry_manager_child(manager, NULL))), before + 3);
        ferry_loop_free(loop);
}
END_TEST

/* Stopping --------------------------------------------------------------------------------------------- */

static int replace(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)process;
        ferry_manager_stop(manager, -1);
        if (++*(int *)userdata < 50)
                ferry_process_fork(manager, exit_with, NULL, NULL);
        return 0;
}

/* Also within a wait, none is started once all are to be stopped. */
START_TEST(stopping_within_a_wait_lasts)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int count = 0;

        ferry_process_fork(manager, exit_with, NULL, NULL);
        ferry_process_fork(manager, wait_for_the_end, NULL, NULL);
        ferry_manager_on(manager, FERRY_PROCESS_ENDED, replace, &count);
        /* That some could not be started is told. */
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), -ECANCELED);
        ck_assert_int_ge(count, 2);
        for (ferry_process *at = NULL; (at = ferry_manager_child(manager, at));)
                ck_assert(result_of(at) == -ECANCELED || ferry_process_pid(at) > 0);
        /* Then it is as before. */
        count = 100;
        ck_assert_int_eq(ferry_process_wait(ferry_process_fork(manager, exit_with, NULL, NULL), SAFETY_MS), 0);
        ferry_loop_free(loop);
}
END_TEST

static int stop_harder(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ferry_manager_stop(userdata, 0);
        return 0;
}

/* A caller that loses patience is heard. */
START_TEST(the_shorter_grace_counts)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_spawn(manager, SH("exec sleep 1000"), NULL);

        ferry_loop_after(loop, 0, stop_harder, manager);
        ck_assert_int_eq(ferry_manager_stop(manager, _i == 0 ? -1 : 1000000), 0);
        ck_assert_int_eq(result_of(process), FERRY_PROCESS_KILLED + SIGTERM);
        ferry_loop_free(loop);
}
END_TEST

enum { DEPTH = 40 };

static struct deep {
        ferry_process *process;
        int depth;
        int results[DEPTH];
} deep;

static int wait_deeper(ferry_loop *loop, void *userdata)
{
        int depth = deep.depth++;

        (void)userdata;
        if (depth < DEPTH - 1)
                ferry_loop_after(loop, 0, wait_deeper, NULL);
        else
                ferry_process_kill(deep.process, SIGKILL);
        deep.results[depth] = ferry_process_wait(deep.process, -1);
        return 0;
}

/* Too many waits within waits are an error of those that are too many, not a loop that goes round for nothing. */
START_TEST(one_wait_too_many_is_an_error)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);

        deep.process = ferry_process_fork(manager, wait_for_the_end, NULL, NULL);
        ferry_loop_after(loop, 0, wait_deeper, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        for (int i = 0; i < DEPTH; i++)
                ck_assert_msg(deep.results[i] == (i < 31 ? FERRY_PROCESS_KILLED + SIGKILL : -EDEADLK), "%d: %d", i,
                              deep.results[i]);
        ferry_loop_free(loop);
}
END_TEST

static int say_much(ferry_session *parent, void *userdata)
{
        (void)userdata;
        for (int i = 0; i < 10; i++)
                ferry_session_notify(parent, "t", "%d", i);
        return 0;
}

static int wait_in_handler(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_process *process = ferry_session_process(session);

        (void)message;
        ++*(int *)userdata;
        ck_assert_int_eq(ferry_process_wait(process, SAFETY_MS), 0);
        return 0;
}

/* A handler of a child's messages that waits for its end gets the rest of them meanwhile. */
START_TEST(its_end_may_be_awaited_by_its_handler)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(manager, say_much, NULL, NULL);
        int count = 0;

        ferry_session_on(ferry_process_session(process), FERRY_KIND_NOTIFICATION, wait_in_handler, &count);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_int_eq(count, 10);
        ferry_loop_free(loop);
}
END_TEST

/* That others in its former group hear TERM says nothing about it. */
START_TEST(a_child_that_has_left_its_group_is_stopped)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_spawn(manager, CHILD("leave-group"), NULL);
        const ferry_message *message = ferry_session_next(ferry_process_session(process), SAFETY_MS);
        pid_t left = (pid_t)ferry_value_int(ferry_message_body(message), 0);

        ck_assert_int_gt(left, 0);
        ck_assert_int_eq(ferry_process_stop(process, 0), 5);
        kill(left, SIGKILL);
        ferry_loop_free(loop);
}
END_TEST

/* A FIFO without a reader is not waited for. */
START_TEST(output_without_a_reader_is_refused)
{
        char path[] = "/tmp/ferry-fifo-XXXXXX";
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .stdout_path = path };
        ferry_process *process;
        char text[8] = "";
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(path));
        rmdir(path);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        process = ferry_process_spawn(manager, SH("exit 0"), &options);
        ck_assert_int_eq(result_of(process), -ENXIO);
        ck_assert_ptr_nonnull(strstr(ferry_process_error(process), path));
        /* With a reader it is like any other output for the child. */
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        process = ferry_process_spawn(manager, SH("sed -n 's/^flags:.*0\\([0-7]*\\)$/\\1/p' /proc/self/fdinfo/1"), &options);
        ck_assert_int_eq(ferry_process_wait(process, SAFETY_MS), 0);
        ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
        ck_assert_int_eq(strtol(text, NULL, 8) & O_NONBLOCK, 0);
        close(fd);
        unlink(path);
        ferry_loop_free(loop);
}
END_TEST

/* What it has still written ---------------------------------------------------------------------------- */

struct waiter {
        int way;
        int pieces;
        size_t size;
};

static void wait_for_it(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        struct waiter *waiter = userdata;

        (void)fd, (void)bytes;
        waiter->size += size;
        if (++waiter->pieces != 2)
                return;
        if (waiter->way == 0)
                ck_assert_int_eq(ferry_process_wait(process, SAFETY_MS), 0);
        else
                ck_assert_int_eq(ferry_process_stop(process, SAFETY_MS), 0);
        ck_assert_uint_eq(waiter->size, 20000);
}

/* The handler of its output may wait for its end: the rest comes meanwhile. */
START_TEST(an_output_callback_may_await_the_end_of_its_process)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct waiter waiter = { .way = _i };
        ferry_process_options options = { .output = wait_for_it, .output_userdata = &waiter };
        ferry_process *process = ferry_process_spawn(manager, SH("head -c 20000 /dev/zero"), &options);
        siginfo_t info;

        ck_assert_int_eq(waitid(P_PID, (id_t)ferry_process_pid(process), &info, WEXITED | WNOWAIT), 0);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_uint_eq(waiter.size, 20000);
        ferry_loop_free(loop);
}
END_TEST

static int wait_for_close(ferry_session *session, const ferry_message *line, void *userdata)
{
        (void)line;
        if (++*(int *)userdata == 2)
                ck_assert_int_eq(ferry_session_flush(session, SAFETY_MS), -ECONNRESET);
        return 0;
}

/* The same of a session, and the lines of a child of exec:. */
START_TEST(a_line_handler_may_await_the_end_of_its_session)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:seq 1 5 >&2; exit 3", NULL);
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "1");
        siginfo_t info;
        int lines = 0;

        ferry_session_on(session, FERRY_KIND_JUNK, wait_for_close, &lines);
        ck_assert_int_eq(waitid(P_PID, (id_t)ferry_session_peer(session).pid, &info, WEXITED | WNOWAIT), 0);
        ferry_loop_run(loop, SAFETY_MS);
        ck_assert_int_eq(lines, 5);
        ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "exited with status 3"));
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

static int take_slowly(ferry_session *session, const ferry_message *line, void *userdata)
{
        int *all = userdata;
        char byte;

        (void)session, (void)line;
        if (all[0]++ > 0)
                return 0;
        /* It has written more than was read, and its time is over. */
        ck_assert_int_eq(read(all[1], &byte, 1), 1);
        door_advance(2000 * 1000000LL);
        return 0;
}

/* The child waits for us, not we for it. */
START_TEST(a_child_whose_lines_are_taken_slowly_has_its_time_again)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        char address[128];
        int written[2], all[2] = { 0 };

        ck_assert_int_eq(pipe(written), 0);
        all[1] = written[0];
        snprintf(address, sizeof address, "exec:cat >/dev/null; seq 5000 >&2; echo >&%d; seq 5001 20000 >&2", written[1]);
        session = ferry_session_open(loop, address, NULL);
        ferry_session_on(session, FERRY_KIND_JUNK, take_slowly, all);
        door_stop_clock(1000);
        ferry_session_close(session);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_int_eq(all[0], 20000);
        close(written[0]);
        close(written[1]);
        ferry_loop_free(loop);
}
END_TEST

/* A process that it has left behind writes on and on. */
START_TEST(a_process_left_behind_keeps_no_loop_busy)
{
        static const char *const argv[] = { "sh", "-c", "yes & exit 3", NULL };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .is_on_stdio = true };
        ferry_session *session;

        if (_i == 0)
                require_result(ferry_process_spawn(manager, argv, &options), 3);
        else {
                session = ferry_session_open(loop, "exec:", &(ferry_session_options){ .argv = argv });
                while (ferry_session_status(session) == 1)
                        ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        }
        ferry_loop_free(loop);
}
END_TEST

static int fill_stdout(ferry_session *parent, void *userdata)
{
        static char bytes[1 << 20];
        int size = fcntl(1, F_SETPIPE_SZ, sizeof bytes) < 0 ? fcntl(1, F_GETPIPE_SZ) : (int)sizeof bytes;

        (void)parent;
        return write(*(int *)userdata, &size, sizeof size) != sizeof size || write(1, bytes, (size_t)size) != size;
}

static void count_bytes(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process, (void)fd, (void)bytes;
        *(int64_t *)userdata += (int64_t)size;
}

START_TEST(all_that_it_has_written_is_handed_over)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int64_t size = 0;
        ferry_process_options options = { .output = count_bytes, .output_userdata = &size };
        ferry_process *process;
        siginfo_t info;
        int fds[2], expected;

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        process = ferry_process_fork(manager, fill_stdout, &fds[1], &options);
        ck_assert_int_eq(read(fds[0], &expected, sizeof expected), sizeof expected);
        /* All of it stands in the pipe when it has ended. */
        ck_assert_int_eq(waitid(P_PID, (id_t)ferry_process_pid(process), &info, WEXITED | WNOWAIT), 0);
        require_result(process, 0);
        ck_assert_int_eq(size, expected);
        close(fds[0]);
        close(fds[1]);
        ferry_loop_free(loop);
}
END_TEST

static int exit_with_seven(ferry_session *parent, void *userdata)
{
        (void)parent, (void)userdata;
        return 7;
}

static bool is_reaping_refused;

static int refuse_waits(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == DOOR_wait || (call == DOOR_reap && is_reaping_refused) ? -EPERM : 0;
}

/* As a sandbox may refuse it, always. */
START_TEST(a_status_is_known_where_waitid_is_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process;

        door_judge = refuse_waits;
        process = ferry_process_fork(manager, exit_with_seven, NULL, NULL);
        require_result(process, 7);
        process = ferry_process_spawn(manager, (const char *const[]){ "/nowhere", NULL }, NULL);
        require_result(process, -ENOENT);
        process = ferry_process_spawn(manager, (const char *const[]){ "/bin/sleep", "1000", NULL }, NULL);
        ck_assert_int_eq(ferry_process_kill(process, SIGKILL), 0);
        require_result(process, FERRY_PROCESS_KILLED + SIGKILL);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_status_is_unknown_where_all_waits_are_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process;

        door_judge = refuse_waits;
        is_reaping_refused = true;
        process = ferry_process_fork(manager, exit_with_seven, NULL, NULL);
        require_result(process, -ECHILD);
        ck_assert_msg(strstr(ferry_process_error(process), "waitid(2) and wait4(2) are refused: "), "%s", ferry_process_error(process));
        ferry_loop_free(loop);
        /* It stays a zombie, which is the test's to take. */
        ck_assert_int_gt(waitpid(-1, NULL, 0), 0);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_status_is_known_where_waitid_is_refused),
        SUITE_TEST(a_status_is_unknown_where_all_waits_are_refused),
        SUITE_TEST(a_child_that_has_left_its_group_is_stopped),
        SUITE_TEST(output_without_a_reader_is_refused),
        SUITE_LOOP(an_output_callback_may_await_the_end_of_its_process, 2),
        SUITE_TEST(a_line_handler_may_await_the_end_of_its_session),
        SUITE_TEST(a_child_whose_lines_are_taken_slowly_has_its_time_again),
        SUITE_LOOP(a_process_left_behind_keeps_no_loop_busy, 2),
        SUITE_TEST(all_that_it_has_written_is_handed_over),
        SUITE_LOOP(a_peer_that_has_hung_up_is_not_waited_for, 2),
        SUITE_TEST(one_that_has_hung_up_is_replaced),
        SUITE_LOOP(a_restart_outlives_a_shortage, 4),
        SUITE_TEST(a_worker_that_hangs_up_on_a_request_may_end),
        SUITE_TEST(a_child_may_free_its_loop),
        SUITE_LOOP(a_process_that_closes_and_ends_is_reported_by_its_status, 2),
        SUITE_LOOP(options_that_go_with_nothing_are_refused, 12),
        SUITE_LOOP(a_command_has_no_descriptor_of_the_program, 8),
        SUITE_TEST(one_is_given_away_once),
        SUITE_TEST(failures_in_a_row_do_not_nest),
        SUITE_LOOP(the_loop_may_go_with_one, 2),
        SUITE_LOOP(a_process_may_be_freed_in_its_exit_callback, 3),
        SUITE_TEST(waits_within_waits_pass_signals_on),
        SUITE_TEST(a_signal_in_the_last_moment_is_returned),
        SUITE_TEST(a_signal_is_reported_by_the_next_wait),
        SUITE_TEST(a_pool_ends_by_a_signal),
        SUITE_TEST(stopping_passes_signals_on_from_the_beginning),
        SUITE_TEST(the_descriptor_of_signals_is_not_the_child_s),
        SUITE_TEST(stopping_within_a_wait_lasts),
        SUITE_LOOP(the_shorter_grace_counts, 2),
        SUITE_TEST(one_wait_too_many_is_an_error),
        SUITE_TEST(its_end_may_be_awaited_by_its_handler),
};

SUITE_MAIN("process-mishaps", tests)
