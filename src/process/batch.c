/* Requests of a pool that are counted together. A batch knows its requests by their number only; those that wait are found in the
 * queue of the manager. */
#include "process/manager.h"

#include "util/options.h"

#include <errno.h>
#include <stdio.h>

static void bury(struct loop_grave *grave)
{
        sys_free(container_of(grave, ferry_batch, grave));
}

static void stop_telling(ferry_batch *batch)
{
        batch->manager->telling -= batch->is_telling;
        batch->is_telling = false;
}

static void destroy(ferry_batch *batch)
{
        ferry_manager *manager = batch->manager;

        stop_telling(batch);
        batch->is_freed = true;
        loop_task_stop(&batch->task);
        call_queue_forget_group(manager->queue, &batch->group);
        list_remove(&batch->link);
        loop_bury(manager->loop, &batch->grave, bury);
}

/* All its requests have ended, and no callback of these is under way. */
static bool is_over(const ferry_batch *batch)
{
        return batch->pending == 0 && batch->group.calling == 0;
}

/* Behind the callbacks of its requests, which are due in the same round. */
static void tell(ferry_batch *batch)
{
        if (!batch->fn || !is_over(batch) || batch->is_telling || batch->is_freed)
                return;
        batch->is_telling = true;
        batch->manager->telling++;
        loop_task_start(batch->manager->loop, &batch->task);
}

static void call_back(struct loop_task *task)
{
        ferry_batch *batch = container_of(task, ferry_batch, task);

        stop_telling(batch);
        /* A callback of a request has added others, or runs the loop. */
        if (!is_over(batch))
                return;
        batch->is_freed = true;
        batch->fn(batch, batch->userdata);
        /* The callback may have freed the manager, and all that it has. */
        if (!list_is_empty(&batch->link))
                destroy(batch);
}

static bool is_at_limit(const ferry_batch *batch)
{
        return batch->failures_max > 0 && batch->failed >= batch->failures_max;
}

/* The first reason stays. Requests that end by this are counted, too, and lead here again. */
static void refuse(ferry_batch *batch, const char *reason)
{
        if (*batch->refusal)
                return;
        snprintf(batch->refusal, sizeof batch->refusal, "%s", reason);
        call_queue_end_group(batch->manager->queue, &batch->group, -ECANCELED, batch->refusal);
}

static void count_end(struct call_group *group, const ferry_call *call)
{
        ferry_batch *batch = container_of(group, ferry_batch, group);
        char reason[sizeof batch->refusal];

        batch->pending--;
        if (ferry_call_status(call) == 0)
                batch->done++;
        else
                batch->failed++;
        if (is_at_limit(batch)) {
                snprintf(reason, sizeof reason, "the limit of %u failed requests of the batch is reached", batch->failures_max);
                refuse(batch, reason);
        }
        tell(batch);
}

static void callbacks_have_returned(struct call_group *group)
{
        tell(container_of(group, ferry_batch, group));
}

int batch_check(const ferry_batch *batch, const ferry_manager *manager, struct error *error)
{
        return batch && batch->manager != manager ? error_set(error, -EINVAL, "ferry_request_options: the batch is one of another manager") : 0;
}

void batch_add(ferry_batch *batch, ferry_call *call)
{
        batch->pending++;
        call_join_group(call, &batch->group);
        if (ferry_call_status(call) != 1) {
                count_end(&batch->group, call);
                return;
        }
        if (*batch->refusal)
                call_end(call, -ECANCELED, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", batch->refusal);
}

void batch_free_all(ferry_manager *manager)
{
        while (!list_is_empty(&manager->batches))
                destroy(container_of(manager->batches.next, ferry_batch, link));
}

ferry_batch *ferry_batch_new(ferry_manager *manager, const ferry_batch_options *options)
{
        static const struct options_kind kind = { .name = "ferry_batch_options", .size = sizeof *options };
        ferry_batch_options given;
        struct error error = { 0 };
        ferry_batch *batch;
        int code;

        if (!manager || loop_refuse(manager->loop) || manager->is_freed)
                return NULL;
        code = options_copy(&kind, &given, options, &error);
        batch = code ? NULL : sys_alloc_zeroed(sizeof *batch);
        if (code)
                error_replace(&manager->loop->error, code, "%s", error_text(&error));
        error_deinit(&error);
        if (!batch)
                return NULL;
        batch->manager = manager;
        batch->group.ended = count_end;
        batch->group.returned = callbacks_have_returned;
        batch->task.fn = call_back;
        batch->failures_max = given.failures_max;
        list_append(&manager->batches, &batch->link);
        return batch;
}

static bool is_usable(const ferry_batch *batch)
{
        return batch && !loop_is_elsewhere(batch->manager->loop);
}

ferry_batch *ferry_batch_free(ferry_batch *batch)
{
        ferry_loop *loop;

        if (!is_usable(batch) || batch->is_freed)
                return NULL;
        loop = batch->manager->loop;
        loop_enter(loop);
        destroy(batch);
        loop_leave(loop);
        return NULL;
}

/* Of a batch whose end is of no interest. */
static void ignore_end(ferry_batch *batch, void *userdata)
{
        (void)batch, (void)userdata;
}

void ferry_batch_then(ferry_batch *batch, ferry_batch_fn *fn, void *userdata)
{
        fn = fn ? fn : ignore_end;
        if (!batch) {
                fn(NULL, userdata);
                return;
        }
        if (!is_usable(batch) || batch->is_freed)
                return;
        batch->fn = fn;
        batch->userdata = userdata;
        tell(batch);
}

static bool has_ended(void *object)
{
        const ferry_batch *batch = object;

        return batch->is_freed || batch->pending == 0;
}

int ferry_batch_wait(ferry_batch *batch, int timeout_ms)
{
        ferry_loop *loop;
        int code;

        if (!batch)
                return -ENOMEM;
        loop = batch->manager->loop;
        code = loop_refuse(loop);
        if (code)
                return code;
        if (timeout_ms < -1)
                return loop_refuse_timeout(loop, timeout_ms);
        loop_enter(loop);
        code = has_ended(batch) ? 0 : loop_wait(loop, loop_deadline(timeout_ms), has_ended, batch, &batch->grave);
        if (batch->is_freed)
                code = error_replace(&loop->error, -ECANCELED, "the batch was freed while it was waited for");
        else if (code == -ETIMEDOUT)
                error_replace(&loop->error, code, "%zu requests of the batch have not ended within %g s", batch->pending,
                              timeout_ms / 1000.0);
        else if (code)
                error_replace(&loop->error, code, "cannot wait for a batch: %s", error_describe(code));
        loop_leave(loop);
        return code;
}

void ferry_batch_cancel(ferry_batch *batch)
{
        if (!is_usable(batch) || batch->is_freed || loop_is_foreign(batch->manager->loop))
                return;
        loop_enter(batch->manager->loop);
        refuse(batch, "the batch was cancelled");
        loop_leave(batch->manager->loop);
}

size_t ferry_batch_pending(const ferry_batch *batch)
{
        return is_usable(batch) ? batch->pending : 0;
}

size_t ferry_batch_done(const ferry_batch *batch)
{
        return is_usable(batch) ? batch->done : 0;
}

size_t ferry_batch_failed(const ferry_batch *batch)
{
        return is_usable(batch) ? batch->failed : 0;
}
