/* Batches: requests of one pool that are counted together. A long batch waits while a short one with a higher priority is done; a
 * batch with a limit of failures gives up. */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>

static int square(ferry_session *parent, const ferry_message *request, void *userdata)
{
        int64_t number = ferry_value_int(ferry_message_body(request), -1);

        (void)parent;
        (void)userdata;
        if (number < 0)
                return ferry_message_fail(request, "not a number");
        return ferry_message_reply(request, NULL, "%lld", (long long)(number * number));
}

static int work(ferry_session *parent, void *userdata)
{
        (void)userdata;
        ferry_session_on(parent, FERRY_KIND_REQUEST, square, NULL);
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

static void add(ferry_call *call, const ferry_message *reply, void *userdata)
{
        int64_t *sum = userdata;

        (void)call;
        *sum += reply ? ferry_value_int(ferry_message_body(reply), 0) : 0;
}

static void report(ferry_batch *batch, void *userdata)
{
        const char *name = userdata;

        printf("%s: %zu done, %zu failed\n", name, ferry_batch_done(batch), ferry_batch_failed(batch));
}

int main(void)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_manager *pool = ferry_manager_new(loop, NULL);
        ferry_batch *all = ferry_batch_new(pool, NULL), *urgent = ferry_batch_new(pool, NULL);
        ferry_batch *broken = ferry_batch_new(pool, &(ferry_batch_options){ .failures_max = 3 });
        int64_t sum = 0;

        for (int i = 0; i < 2; i++)
                ferry_process_fork(pool, work, NULL, NULL);
        for (int i = 1; i <= 100; i++)
                ferry_call_then(ferry_manager_request_with(pool, &(ferry_request_options){ .batch = all }, "square", "%d", i), add, &sum);
        for (int i = 1; i <= 10; i++)
                ferry_call_then(ferry_manager_request_with(pool, &(ferry_request_options){ .batch = urgent, .priority = 1 }, "square", "%d", i),
                                NULL, NULL);
        for (int i = 0; i < 50; i++)
                ferry_call_then(ferry_manager_request_with(pool, &(ferry_request_options){ .batch = broken, .priority = -1 }, "square", "'x'"),
                                NULL, NULL);
        ferry_batch_then(all, report, "all");
        ferry_batch_then(urgent, report, "urgent");
        ferry_batch_then(broken, report, "broken");
        if (ferry_manager_stop(pool, -1) < 0)
                return warnx("%s", ferry_loop_error(loop)), 1;
        printf("sum: %lld\n", (long long)sum);
        return 0;
}
