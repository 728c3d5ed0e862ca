/* Priorities of a pool's requests, and batches: requests whose ends are counted together. */
#include "support/children.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int gate[2];             /* a pipe */

/* Sends the text back; "fail" fails, "die" ends the worker, "held" waits for a byte of the gate. */
static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        const char *text = ferry_message_text(request);
        char byte;

        (void)session, (void)userdata;
        if (strcmp(text, "die") == 0)
                _exit(9);
        if (strcmp(text, "fail") == 0)
                return ferry_message_fail(request, "as asked");
        if (strcmp(text, "held") == 0)
                ck_assert_int_eq(read(gate[0], &byte, 1), 1);
        return ferry_message_reply(request, NULL, "%s", text);
}

static int work(ferry_session *parent, void *userdata)
{
        (void)userdata;
        ferry_session_on(parent, FERRY_KIND_REQUEST, answer, NULL);
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

struct pool {
        ferry_loop *loop;
        ferry_manager *manager;
        char log[512];
};

static void open_pool(struct pool *pool, int workers)
{
        *pool = (struct pool){ .loop = ferry_loop_new(NULL) };
        pool->manager = ferry_manager_new(pool->loop, NULL);
        for (int i = 0; i < workers; i++)
                ck_assert_int_eq(ferry_process_status(ferry_process_fork(pool->manager, work, NULL, NULL)), 1);
}

static void close_pool(struct pool *pool)
{
        ferry_loop_free(pool->loop);
}

static void append(struct pool *pool, const char *text)
{
        size_t used = strlen(pool->log);

        snprintf(pool->log + used, sizeof pool->log - used, "%s ", text);
}

static void log_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        append(userdata, reply                                                                   ? ferry_message_text(reply) :
                         ferry_call_status(call) == -ECANCELED &&
                                         ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED ? "cancelled" : "failed");
}

static void ask(struct pool *pool, const char *text, int priority, ferry_batch *batch)
{
        ferry_call_then(ferry_manager_request_with(pool->manager, &(ferry_request_options){
                .timeout_ms = SAFETY_MS, .priority = priority, .batch = batch }, "t", "%s", text), log_end, pool);
}

START_TEST(requests_of_a_higher_priority_are_given_first)
{
        struct pool pool;

        open_pool(&pool, 1);
        /* The worker has this one at once. */
        ask(&pool, "first", FERRY_PRIORITY_MIN, NULL);
        ask(&pool, "low", FERRY_PRIORITY_MIN, NULL);
        ask(&pool, "a", 0, NULL);
        ask(&pool, "b", 0, NULL);
        ask(&pool, "high", FERRY_PRIORITY_MAX, NULL);
        ferry_call_then(ferry_manager_request(pool.manager, SAFETY_MS, "t", "'c'"), log_end, &pool);
        ask(&pool, "higher", 1, NULL);
        ask(&pool, "lower", -1, NULL);
        ck_assert_int_eq(ferry_manager_stop(pool.manager, -1), 0);
        ck_assert_str_eq(pool.log, "first high higher a b c lower low ");
        close_pool(&pool);
}
END_TEST

static void require_refused(ferry_manager *manager, const ferry_request_options *options, int code, const char *word)
{
        FERRY_AUTO(ferry_call) call = ferry_manager_request_with(manager, options, "t", "1");

        ck_assert_int_eq(ferry_call_status(call), code);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_msg(strstr(ferry_call_error(call), word), "%s", ferry_call_error(call));
}

START_TEST(wrong_options_of_a_request_say_what_is_wrong)
{
        struct pool pool, other;
        ferry_call *call;

        open_pool(&pool, 1);
        open_pool(&other, 0);
        require_refused(pool.manager, &(ferry_request_options){ .priority = FERRY_PRIORITY_MAX + 1 }, -EINVAL,
                        "priority is 8: write a number from -8 to 7");
        require_refused(pool.manager, &(ferry_request_options){ .priority = INT32_MIN }, -EINVAL, "priority is -2147483648");
        require_refused(pool.manager, &(ferry_request_options){ .timeout_ms = -3 }, -EINVAL, "timeout_ms is -3");
        require_refused(pool.manager, &(ferry_request_options){ .queue_timeout_ms = -2 }, -EINVAL, "queue_timeout_ms is -2");
        require_refused(pool.manager, &(ferry_request_options){ .size = 1 }, -EINVAL, "size is 1");
        require_refused(pool.manager, &(ferry_request_options){ .batch = ferry_batch_new(other.manager, NULL) }, -EINVAL, "another manager");
        call = ferry_manager_request_with(NULL, NULL, "t", "1");
        ck_assert_int_eq(ferry_call_status(call), -ENOMEM);
        ferry_call_free(call);
        ck_assert_ptr_null(ferry_batch_new(NULL, NULL));
        ck_assert_ptr_null(ferry_batch_new(pool.manager, &(ferry_batch_options){ .size = 3 }));
        ck_assert_int_eq(ferry_batch_wait(NULL, 0), -ENOMEM);
        ck_assert_int_eq(ferry_batch_wait(ferry_batch_new(pool.manager, NULL), -2), -EINVAL);
        ck_assert_uint_eq(ferry_batch_pending(NULL) + ferry_batch_done(NULL) + ferry_batch_failed(NULL), 0);
        ck_assert_ptr_null(ferry_batch_free(NULL));
        ferry_batch_cancel(NULL);
        /* The default of a request without options. */
        ferry_call_then(ferry_manager_request_with(pool.manager, NULL, "t", "'x'"), log_end, &pool);
        ferry_manager_stop(pool.manager, -1);
        ck_assert_str_eq(pool.log, "x ");
        close_pool(&other);
        close_pool(&pool);
}
END_TEST

START_TEST(the_time_in_the_queue_may_be_that_of_the_request)
{
        struct pool pool;
        ferry_call *call;

        open_pool(&pool, 0);
        ck_assert_int_eq(ferry_process_status(ferry_process_spawn(pool.manager, (const char *[]){ "sleep", "60", NULL },
                                                                  &(ferry_process_options){ .is_on_stdio = true })), 1);
        ferry_call_then(ferry_manager_request(pool.manager, SAFETY_MS, "t", "1"), NULL, NULL);
        call = ferry_manager_request_with(pool.manager, &(ferry_request_options){ .queue_timeout_ms = 20, .timeout_ms = SAFETY_MS }, "t", "2");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        ferry_manager_kill(pool.manager, 9);
        ferry_manager_wait(pool.manager, NULL, NULL);
        close_pool(&pool);
}
END_TEST

static void log_batch(ferry_batch *batch, void *userdata)
{
        char text[64];

        snprintf(text, sizeof text, "batch:%zu/%zu/%zu", ferry_batch_pending(batch), ferry_batch_done(batch), ferry_batch_failed(batch));
        append(userdata, text);
}

START_TEST(a_batch_ends_when_all_its_requests_have_ended)
{
        struct pool pool;
        ferry_batch *batch, *empty;

        open_pool(&pool, 1);
        batch = ferry_batch_new(pool.manager, NULL);
        empty = ferry_batch_new(pool.manager, NULL);
        ask(&pool, "a", 0, batch);
        ask(&pool, "fail", 0, batch);
        ask(&pool, "b", 0, batch);
        ask(&pool, "other", 0, NULL);
        ck_assert_uint_eq(ferry_batch_pending(batch), 3);
        ck_assert_int_eq(ferry_batch_wait(batch, 0), -ETIMEDOUT);
        ck_assert_msg(strstr(ferry_loop_error(pool.loop), "have not ended within 0 s"), "%s", ferry_loop_error(pool.loop));
        ck_assert_int_eq(ferry_batch_wait(empty, 0), 0);
        ferry_batch_then(batch, log_batch, &pool);
        ck_assert_int_eq(ferry_manager_stop(pool.manager, -1), 0);
        ck_assert_str_eq(pool.log, "a failed b batch:0/2/1 other ");
        ck_assert_int_eq(ferry_batch_wait(empty, -1), 0);
        ferry_batch_then(empty, log_batch, &pool);
        ck_assert_int_eq(ferry_manager_wait(pool.manager, NULL, NULL), 0);
        ck_assert_ptr_nonnull(strstr(pool.log, "other batch:0/0/0 "));
        ferry_batch_then(NULL, NULL, NULL);
        close_pool(&pool);
}
END_TEST

static void ask_again(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct pool *pool = userdata;
        static ferry_batch *batch;

        (void)call;
        if (!reply) {
                append(pool, "failed");
                return;
        }
        batch = ferry_session_userdata(ferry_message_session(reply));
        append(pool, ferry_message_text(reply));
        if (strcmp(ferry_message_text(reply), "last") != 0)
                ferry_call_then(ferry_manager_request_with(pool->manager, &(ferry_request_options){ .batch = batch }, "t", "'last'"), ask_again, pool);
}

START_TEST(a_batch_waits_for_what_its_callbacks_add)
{
        struct pool pool;
        ferry_batch *batch;

        open_pool(&pool, 1);
        batch = ferry_batch_new(pool.manager, NULL);
        ferry_session_set_userdata(ferry_process_session(ferry_manager_child(pool.manager, NULL)), batch);
        ferry_call_then(ferry_manager_request_with(pool.manager, &(ferry_request_options){ .batch = batch }, "t", "'one'"), ask_again, &pool);
        ferry_batch_then(batch, log_batch, &pool);
        ck_assert_int_eq(ferry_manager_stop(pool.manager, -1), 0);
        ck_assert_str_eq(pool.log, "one last batch:0/2/0 ");
        close_pool(&pool);
}
END_TEST

START_TEST(the_failures_of_a_batch_are_limited)
{
        struct pool pool;
        ferry_batch *batch;

        open_pool(&pool, 1);
        batch = ferry_batch_new(pool.manager, &(ferry_batch_options){ .failures_max = 2 });
        ask(&pool, "a", 0, batch);
        ask(&pool, "fail", 0, batch);
        ask(&pool, "b", 0, batch);
        ask(&pool, "fail", 0, batch);
        ask(&pool, "c", 0, batch);
        ask(&pool, "other", 0, NULL);
        ask(&pool, "d", FERRY_PRIORITY_MIN, batch);
        ck_assert_int_eq(ferry_batch_wait(batch, SAFETY_MS), 0);
        ck_assert_uint_eq(ferry_batch_done(batch), 2);
        ck_assert_uint_eq(ferry_batch_failed(batch), 4);
        require_refused(pool.manager, &(ferry_request_options){ .batch = batch }, -ECANCELED,
                        "the limit of 2 failed requests of the batch is reached");
        ck_assert_uint_eq(ferry_batch_failed(batch), 5);
        ck_assert_int_eq(ferry_manager_stop(pool.manager, -1), 0);
        ck_assert_ptr_nonnull(strstr(pool.log, "a failed b failed "));
        ck_assert_ptr_nonnull(strstr(pool.log, "other"));
        close_pool(&pool);
}
END_TEST

START_TEST(a_batch_may_be_cancelled_and_freed_at_any_time)
{
        struct pool pool;
        ferry_batch *batch, *freed;

        ck_assert_int_eq(pipe(gate), 0);
        open_pool(&pool, 1);
        batch = ferry_batch_new(pool.manager, NULL);
        freed = ferry_batch_new(pool.manager, NULL);
        ask(&pool, "held", 0, batch);
        ask(&pool, "b", 0, batch);
        ask(&pool, "c", 0, freed);
        ferry_batch_cancel(batch);
        ck_assert_uint_eq(ferry_batch_pending(batch), 1);
        ck_assert_uint_eq(ferry_batch_failed(batch), 1);
        ferry_batch_then(batch, log_batch, &pool);
        ferry_batch_free(freed);
        /* The worker must not be quicker than the report of the other one. */
        while (!*pool.log)
                ck_assert_int_ge(ferry_loop_tick(pool.loop, SAFETY_MS), 0);
        ck_assert_str_eq(pool.log, "cancelled ");
        ck_assert_int_eq(write(gate[1], "x", 1), 1);
        ck_assert_int_eq(ferry_manager_stop(pool.manager, -1), 0);
        /* The request that is no longer in a batch may end before or behind the callback of the other one. */
        ck_assert_ptr_eq(strstr(pool.log, "cancelled held "), pool.log);
        ck_assert_ptr_nonnull(strstr(pool.log, "batch:0/1/1 "));
        ck_assert_ptr_nonnull(strstr(pool.log, "c "));
        close(gate[0]);
        close(gate[1]);
        /* With requests that wait, and one that its worker has. */
        batch = ferry_batch_new(pool.manager, NULL);
        ferry_process_fork(pool.manager, work, NULL, NULL);
        ask(&pool, "x", 0, batch);
        ask(&pool, "y", 0, batch);
        ferry_batch_then(batch, log_batch, &pool);
        ferry_manager_free(pool.manager);
        close_pool(&pool);
}
END_TEST

static void free_all(ferry_batch *batch, void *userdata)
{
        struct pool *pool = userdata;

        append(pool, "end");
        ferry_batch_free(batch);
        ferry_manager_free(pool->manager);
        pool->manager = NULL;
}

START_TEST(the_callback_of_a_batch_may_free_its_manager)
{
        struct pool pool;
        ferry_batch *batch;

        open_pool(&pool, 2);
        batch = ferry_batch_new(pool.manager, NULL);
        ask(&pool, "a", 0, batch);
        ferry_batch_then(batch, free_all, &pool);
        while (pool.manager)
                ck_assert_int_ge(ferry_loop_tick(pool.loop, SAFETY_MS), 0);
        ck_assert_str_eq(pool.log, "a end ");
        close_pool(&pool);
}
END_TEST

static void run_loop(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct pool *pool = userdata;

        (void)call, (void)reply;
        append(pool, "begin");
        ck_assert_int_ge(ferry_loop_run(pool->loop, 20), 0);
        append(pool, "return");
}

/* Also where a request ends before it is handed over. */
START_TEST(a_batch_waits_for_callbacks_that_run_the_loop)
{
        static const char *const types[] = { "t", NULL };
        struct pool pool;
        ferry_batch *batch;

        open_pool(&pool, 1);
        batch = ferry_batch_new(pool.manager, NULL);
        ferry_call_then(ferry_manager_request_with(pool.manager, &(ferry_request_options){ .batch = batch }, types[_i], "'x'"), run_loop,
                        &pool);
        ferry_batch_then(batch, log_batch, &pool);
        while (!strstr(pool.log, "return") || !strstr(pool.log, "batch"))
                ck_assert_int_ge(ferry_loop_tick(pool.loop, SAFETY_MS), 0);
        ck_assert_str_eq(pool.log, types[_i] ? "begin return batch:0/1/0 " : "begin return batch:0/0/1 ");
        close_pool(&pool);
}
END_TEST

static void free_batch(ferry_call *call, const ferry_message *reply, void *userdata)
{
        ferry_batch **batch = userdata;

        (void)call, (void)reply;
        *batch = ferry_batch_free(*batch);
}

/* The callback of its last request; a call that has ended and is not freed does not know it any more, either. */
START_TEST(a_batch_may_be_freed_in_a_callback_of_its_request)
{
        struct pool pool;
        ferry_batch *batch;
        ferry_call *kept;

        open_pool(&pool, 1);
        batch = ferry_batch_new(pool.manager, NULL);
        kept = ferry_manager_request_with(pool.manager, &(ferry_request_options){ .batch = batch }, "t", "'x'");
        ck_assert_ptr_nonnull(ferry_call_await(kept));
        ferry_call_then(ferry_manager_request_with(pool.manager, &(ferry_request_options){ .batch = batch }, "t", "'x'"), free_batch, &batch);
        while (batch)
                ck_assert_int_ge(ferry_loop_tick(pool.loop, SAFETY_MS), 0);
        ferry_call_then(kept, log_end, &pool);
        ck_assert_int_ge(ferry_loop_tick(pool.loop, 0), 0);
        ck_assert_str_eq(pool.log, "x ");
        close_pool(&pool);
}
END_TEST

START_TEST(a_request_of_a_dead_worker_counts_as_failed)
{
        struct pool pool;
        ferry_batch *batch;
        ferry_call *freed;

        open_pool(&pool, 1);
        batch = ferry_batch_new(pool.manager, NULL);
        ask(&pool, "die", 0, batch);
        ask(&pool, "a", 0, batch);
        freed = ferry_manager_request_with(pool.manager, &(ferry_request_options){ .batch = batch }, "t", "'x'");
        ferry_call_free(freed);
        ck_assert_int_eq(ferry_batch_wait(batch, SAFETY_MS), 0);
        ck_assert_uint_eq(ferry_batch_failed(batch), 3);
        ferry_manager_wait(pool.manager, NULL, NULL);
        close_pool(&pool);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(requests_of_a_higher_priority_are_given_first),
        SUITE_TEST(wrong_options_of_a_request_say_what_is_wrong),
        SUITE_TEST(the_time_in_the_queue_may_be_that_of_the_request),
        SUITE_TEST(a_batch_ends_when_all_its_requests_have_ended),
        SUITE_TEST(a_batch_waits_for_what_its_callbacks_add),
        SUITE_TEST(the_failures_of_a_batch_are_limited),
        SUITE_TEST(a_batch_may_be_cancelled_and_freed_at_any_time),
        SUITE_TEST(the_callback_of_a_batch_may_free_its_manager),
        SUITE_LOOP(a_batch_waits_for_callbacks_that_run_the_loop, 2),
        SUITE_TEST(a_batch_may_be_freed_in_a_callback_of_its_request),
        SUITE_TEST(a_request_of_a_dead_worker_counts_as_failed),
};

SUITE_MAIN("batch", tests)
