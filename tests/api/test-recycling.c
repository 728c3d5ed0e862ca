/* Workers that end while the pool has requests: a request that a worker has not executed is given to another, any other is
 * not; and workers that are replaced because they have done enough lose none. */
#include "support/children.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const ferry_process_options worker = { .is_on_stdio = true, .is_restarted = true };

struct ends {
        int done;
        int failed;
        enum ferry_outcome outcome;
        int code;
        char text[512];
};

static void count_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct ends *ends = userdata;

        if (reply) {
                ends->done++;
                return;
        }
        ends->failed++;
        ends->outcome = ferry_call_outcome(call);
        ends->code = ferry_call_status(call);
        snprintf(ends->text, sizeof ends->text, "%s", ferry_call_error(call));
}

static void request(ferry_manager *manager, int count, struct ends *ends)
{
        for (int i = 0; i < count; i++)
                ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "%d", i), count_end, ends);
}

static void stop(ferry_loop *loop, ferry_manager *manager)
{
        ck_assert_int_eq(ferry_manager_stop(manager, SAFETY_MS), 0);
        ferry_loop_free(loop);
}

/* Each worker answers one request, and closes its session behind it: the next request may be on its way already. */
START_TEST(a_request_behind_a_close_is_given_to_another_worker)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends ends = { 0 };

        for (int i = 0; i < 2; i++)
                ferry_process_spawn(manager, CHILD("once"), &worker);
        request(manager, 20, &ends);
        stop(loop, manager);
        ck_assert_msg(ends.done == 20, "%d done, %d failed: %s", ends.done, ends.failed, ends.text);
}
END_TEST

START_TEST(a_request_in_hand_at_a_close_is_given_to_no_other)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends ends = { 0 };

        ferry_process_spawn(manager, CHILD("keep"), &worker);
        request(manager, 1, &ends);
        stop(loop, manager);
        ck_assert_int_eq(ends.failed, 1);
        ck_assert_int_eq(ends.outcome, FERRY_OUTCOME_UNKNOWN);
        ck_assert_int_eq(ends.code, -ECONNRESET);
}
END_TEST

START_TEST(a_refused_request_is_given_to_another_worker)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends ends = { 0 };

        ferry_process_spawn(manager, CHILD("refuse"), &worker);
        request(manager, 2, &ends);
        /* The worker that refuses goes on: it has 1 s to end. */
        door_stop_clock(5000);
        while (ends.done + ends.failed < 2)
                ck_assert_msg(ferry_loop_tick(loop, -1) >= 0, "%s", ferry_loop_error(loop));
        ck_assert_msg(ends.done == 2, "%d done: %s", ends.done, ends.text);
        ck_assert_int_eq(ferry_manager_stop(manager, 0), 0);
        ferry_loop_free(loop);
        door_reset();
}
END_TEST

/* Outside of a pool, too; refusing is answering, once. */
START_TEST(a_refused_request_was_not_executed)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:", &(ferry_session_options){
                .argv = CHILD("refuse"), .dialect = _i ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_FERRY });
        ferry_call *call;

        call = ferry_session_request(session, SAFETY_MS, FERRY_LOG_MESSAGE, "'x'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        call = ferry_session_request(session, SAFETY_MS, FERRY_LOG_MESSAGE, "'x'");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_str_eq(_i ? "about to end" : ferry_call_error(call), "about to end");
        ck_assert_int_eq(ferry_call_outcome(call), _i ? FERRY_OUTCOME_REPLIED : FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_message_refuse(NULL, "x"), -ENOMEM);
        ck_assert_int_eq(ferry_message_refuse(ferry_call_reply(call), "x"), -EINVAL);
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

/* The last worker is not started again, so what comes back from it has no other. */
START_TEST(what_comes_back_from_the_last_worker_is_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends ends = { 0 };

        ferry_process_spawn(manager, CHILD("once"), &(ferry_process_options){ .is_on_stdio = true });
        request(manager, 3, &ends);
        while (ends.done + ends.failed < 3)
                ck_assert_msg(ferry_loop_tick(loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(loop));
        ck_assert_int_eq(ends.done, 1);
        ck_assert_int_eq(ends.outcome, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ends.code, -ECHILD);
        stop(loop, manager);
}
END_TEST

/* Each answer has the pid of the worker. */
static int tell_pid(ferry_manager *manager, ferry_process *process, void *userdata)
{
        int *starts = userdata;

        (void)manager, (void)process;
        ++*starts;
        return 0;
}

START_TEST(a_worker_is_replaced_after_its_last_task)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = worker;
        struct ends ends = { 0 };
        int starts = 0;

        options.max_tasks = 5;
        ferry_manager_on(manager, FERRY_PROCESS_STARTED, tell_pid, &starts);
        ferry_process_spawn(manager, CHILD("echo"), &options);
        request(manager, 21, &ends);
        stop(loop, manager);
        ck_assert_msg(ends.done == 21, "%d done, %d failed: %s", ends.done, ends.failed, ends.text);
        ck_assert_int_eq(starts, 5);
}
END_TEST

/* stream-ipc has no close: the end of its input tells the worker. cat would take each request for one of ours. */
START_TEST(a_worker_of_a_dialect_without_close_is_replaced_between_two_tasks)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session_options session = { .dialect = FERRY_DIALECT_STREAM_IPC };
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .session = &session });
        ferry_process_options options = worker;
        struct ends ends = { 0 };
        int starts = 0;

        options.max_tasks = 2;
        ferry_manager_on(manager, FERRY_PROCESS_STARTED, tell_pid, &starts);
        ferry_process_spawn(manager, CHILD("echo"), &options);
        for (int i = 0; i < 6; i++)
                ferry_call_then(ferry_manager_request(manager, SAFETY_MS, FERRY_LOG_MESSAGE, "'x'"), count_end, &ends);
        stop(loop, manager);
        ck_assert_msg(ends.done == 6, "%d done, %d failed: %s", ends.done, ends.failed, ends.text);
        ck_assert_int_ge(starts, 3);
}
END_TEST

START_TEST(a_worker_that_has_grown_is_replaced)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = worker;
        struct ends ends = { 0 };
        int starts = 0;

        /* Every process is larger than a page; none here has a gigabyte. */
        options.max_rss = _i ? (size_t)1 << 30 : 4096;
        ferry_manager_on(manager, FERRY_PROCESS_STARTED, tell_pid, &starts);
        ferry_process_spawn(manager, CHILD("echo"), &options);
        request(manager, 4, &ends);
        stop(loop, manager);
        ck_assert_msg(ends.done == 4, "%d done, %d failed: %s", ends.done, ends.failed, ends.text);
        ck_assert_int_ge(starts, _i ? 1 : 4);
        ck_assert_int_le(starts, _i ? 1 : 5);
}
END_TEST

START_TEST(limits_of_a_worker_that_is_not_started_again_are_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .is_on_stdio = true, .max_tasks = _i == 0, .max_rss = _i == 1 };
        ferry_process *process = ferry_process_spawn(manager, CHILD("echo"), &options);

        ck_assert_int_eq(result_of(process), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_process_error(process), "max_tasks and max_rss need is_restarted"));
        ferry_loop_free(loop);
}
END_TEST

static int hang(ferry_session *parent, void *userdata)
{
        (void)parent, (void)userdata;
        while (pause() < 0)
                ;
        return 0;
}

/* A worker that hangs in its last request: one that is started again, one that is not, a forked one, and one that TERM does not
 * end. */
START_TEST(stopping_without_signals_ends_a_worker_that_hangs)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options once = { .is_on_stdio = true };
        struct ends ends = { 0 };

        door_stop_clock(10);
        if (_i == 2)
                ferry_process_fork(manager, hang, NULL, NULL);
        else
                ferry_process_spawn(manager, _i == 3 ? SH("trap '' TERM; while :; do sleep 1000; done") :
                                                       SH("exec sleep 1000"), _i == 0 ? &worker : &once);
        ferry_call_then(ferry_manager_request(manager, 10, "t", "1"), count_end, &ends);
        ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
        ck_assert_int_eq(ends.code, -ETIMEDOUT);
        ck_assert_int_eq(ends.outcome, FERRY_OUTCOME_UNKNOWN);
        ferry_loop_free(loop);
        door_reset();
}
END_TEST

/* The same where the manager is freed. */
START_TEST(freeing_ends_a_worker_that_hangs)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_call *call;

        door_stop_clock(10);
        ferry_process_fork(manager, hang, NULL, NULL);
        call = ferry_manager_request(manager, 10, "t", "1");
        ck_assert_ptr_null(ferry_call_await(call));
        ferry_call_free(call);
        ferry_manager_free(manager);
        ferry_loop_free(loop);
        door_reset();
}
END_TEST

START_TEST(the_wait_for_a_worker_has_a_limit_of_its_own)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .queue_timeout_ms = _i ? -1 : 20 });
        ferry_call *call;

        door_stop_clock(10);
        call = ferry_manager_request(manager, _i ? 10000 : 100000, "t", "1");
        if (_i == 0) {
                ck_assert_ptr_null(ferry_call_await(call));
                ck_assert_str_eq(ferry_call_error(call), "no child was free to take the request within 0.02 s");
                ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        } else {
                /* Longer than the work may take. */
                for (int i = 0; i < 3; i++) {
                        ck_assert_int_eq(ferry_loop_tick(loop, 6000), 0);
                        ck_assert_int_eq(ferry_call_status(call), 1);
                }
                door_reset();
                ferry_process_fork(manager, serve, NULL, NULL);
                ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        }
        ferry_call_free(call);
        ck_assert_int_eq(ferry_manager_stop(manager, 1000), 0);
        ferry_loop_free(loop);
        door_reset();
}
END_TEST

static int note_stop(ferry_manager *manager, ferry_process *process, void *userdata)
{
        char *text = userdata;

        (void)manager;
        ck_assert_str_eq(text, "");
        snprintf(text, 256, "%s", ferry_process_error(process));
        return 0;
}

/* Before its deadline, or, if that is shorter, at the deadline. */
START_TEST(a_stopped_worker_is_reported_once)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        char text[256] = "";
        ferry_call *call;

        door_stop_clock(20);
        ferry_manager_on(manager, FERRY_PROCESS_STOPPED, note_stop, text);
        ferry_process_spawn(manager, _i % 2 ? SH("kill -TTIN $$; exec sleep 1000") : SH("kill -STOP $$; exec sleep 1000"),
                            &worker);
        call = ferry_manager_request(manager, _i / 2 ? 400 : 10000, "t", "1");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ferry_call_free(call);
        ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
        ck_assert_str_eq(text, _i % 2 ? "the child was stopped by SIGTTIN: it uses the terminal, which is not for processes in the "
                                        "background" : "the child was stopped by SIGSTOP");
        ferry_loop_free(loop);
        door_reset();
}
END_TEST

START_TEST(a_replacement_has_the_number_of_its_predecessor)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *second;
        int deaths = 0;

        ferry_process_spawn(manager, SH("cat"), &worker);
        second = ferry_process_spawn(manager, SH("echo $FERRY_WORKER >&2; exit 1"), &worker);
        ferry_manager_on(manager, FERRY_PROCESS_DIED, count_event, &deaths);
        while (deaths < 2)
                ck_assert_msg(ferry_loop_tick(loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(loop));
        ck_assert_msg(strstr(ferry_process_error(second), "its last words: 1"), "%s", ferry_process_error(second));
        ck_assert_int_eq(ferry_manager_stop(manager, 0), 0);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(stopping_without_signals_ends_a_worker_that_hangs, 4),
        SUITE_TEST(freeing_ends_a_worker_that_hangs),
        SUITE_LOOP(the_wait_for_a_worker_has_a_limit_of_its_own, 2),
        SUITE_LOOP(a_stopped_worker_is_reported_once, 4),
        SUITE_TEST(a_replacement_has_the_number_of_its_predecessor),
        SUITE_TEST(a_request_behind_a_close_is_given_to_another_worker),
        SUITE_TEST(a_request_in_hand_at_a_close_is_given_to_no_other),
        SUITE_TEST(a_refused_request_is_given_to_another_worker),
        SUITE_LOOP(a_refused_request_was_not_executed, 2),
        SUITE_TEST(what_comes_back_from_the_last_worker_is_refused),
        SUITE_TEST(a_worker_is_replaced_after_its_last_task),
        SUITE_TEST(a_worker_of_a_dialect_without_close_is_replaced_between_two_tasks),
        SUITE_LOOP(a_worker_that_has_grown_is_replaced, 2),
        SUITE_LOOP(limits_of_a_worker_that_is_not_started_again_are_refused, 2),
};

SUITE_MAIN("recycling", tests)
