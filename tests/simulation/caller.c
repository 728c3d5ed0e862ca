/* A caller gives away as many tasks as it may, and the next one when one has ended. What is not executed is given away again, after a
 * growing time; what is unknown is not. One with a pool leaves waiting to that: its manager gives a task away again while workers
 * refuse it, up to a limit, and so a call ends later, and then for good or after that limit. */
#include "simulation/program.h"

#include "simulation/journal.h"

#include <errno.h>
#include <stdlib.h>

enum {
        FIRST_PAUSE_MS = 1,
        LAST_PAUSE_MS = 200,
        REST_MAX_MS = 20000,            /* of all that is no limit of a pool: connecting again, asking who lives, pauses */
        WAITS_MAX = 1 << 16,            /* of which wait_99 is made */
};

/* Sessions --------------------------------------------------------------------------------------------- */

static int hear_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        (void)message;
        program_reopen_later(userdata);
        return 1;
}

/* While there was no connection nothing was refused. */
static int hear_connection(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct program *caller = userdata;

        (void)session;
        (void)message;
        caller->fruitful = kernel_now();
        return 1;
}

static void open_pool(struct program *caller)
{
        const ferry_session_options session = run_session_options(caller);
        const ferry_remote_options remote = {
                .session = &session, .requests_max = run.options.requests_max, .busy_timeout_ms = run.options.busy,
        };
        const ferry_manager_options options = { .queue_timeout_ms = run.options.queue ? run.options.queue : -1 };

        if (!caller->manager)
                caller->manager = ferry_manager_new(caller->loop, &options);
        if (ferry_manager_connect(caller->manager, "nats:work", &remote) < 0)
                program_reopen_later(caller);
        else {
                ferry_session *last = NULL, *next;

                while ((next = ferry_manager_session(caller->manager, last)))
                        last = next;
                ferry_session_on(last, FERRY_KIND_RESUMED, hear_connection, caller);
        }
}

void caller_open(struct program *caller)
{
        const ferry_session_options options = run_session_options(caller);

        if (run.options.is_pool) {
                open_pool(caller);
                return;
        }
        caller->session = ferry_session_open(caller->loop, "nats:work", &options);
        ferry_session_on(caller->session, FERRY_KIND_CLOSED, hear_end, caller);
        if (ferry_session_status(caller->session) < 0)
                program_reopen_later(caller);
}

/* The end of a task ------------------------------------------------------------------------------------ */

static void give_more(struct program *caller);
static void give(struct task *task);

static void note_wait(const struct task *task)
{
        double wait = (double)(kernel_now() - task->began) / KERNEL_MS - task->work;

        run.wait_sum += wait;
        /* A sample, in which each task has the same chance to stand. */
        if (run.replied < WAITS_MAX)
                run.waits[run.replied] = (float)wait;
        else {
                uint64_t at = random_below(kernel_random(), run.replied + 1);

                if (at < WAITS_MAX)
                        run.waits[at] = (float)wait;
        }
        run.replied++;
}

static void end_task(struct task *task, enum ferry_outcome outcome)
{
        struct program *caller = task->caller;

        journal_task_ended((size_t)(task - run.tasks), outcome);
        run.work_sum += task->work;
        if (outcome == FERRY_OUTCOME_REPLIED)
                note_wait(task);
        else if (outcome == FERRY_OUTCOME_UNKNOWN) {
                run.lost_sum += task->work;
                run.unknown_sum += (double)(kernel_now() - task->began) / KERNEL_MS;
                run.unknown++;
        }
        caller->given--;
        give_more(caller);
}

static int give_again(ferry_loop *loop, void *userdata)
{
        (void)loop;
        give(userdata);
        return 0;
}

static int ms_since(int64_t when)
{
        return (int)((kernel_now() - when) / KERNEL_MS);
}

/* Of a call that a pool has ended: it was not given up before the time for that, which does not pass while one may be executed. */
static void check_limits(const struct task *task, int status)
{
        const struct program *caller = task->caller;
        int waited = ms_since(task->given), fruitless = ms_since(caller->fruitful);
        bool is_given_up = status == -EBUSY || status == -ECONNREFUSED;

        if (run.options.queue && waited > run.options.queue + run.options.timeout)
                journal_complain("attempt %u has taken %d ms, more than its limits", task->attempt, waited);
        if (status == -EBUSY && fruitless < run.options.busy)
                journal_complain("attempt %u has ended as all workers are busy, after %d ms", task->attempt, fruitless);
        if (status == -ECONNREFUSED && fruitless < run.options.wait)
                journal_complain("attempt %u has ended as no worker listens, after %d ms", task->attempt, fruitless);
        if (is_given_up && caller->worked > 0)
                journal_complain("attempt %u is given up while a worker works for the same caller", task->attempt);
}

static void has_ended(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct task *task = userdata;
        struct program *caller = task->caller;
        enum ferry_outcome outcome = ferry_call_outcome(call);
        int status = ferry_call_status(call);
        bool is_again = run.options.program_mutant == CALLER_SENDS_AGAIN && outcome == FERRY_OUTCOME_UNKNOWN;

        run_trace((uint64_t)outcome);
        journal_attempt_ended(task->attempt, outcome, status, ferry_call_error(call));
        if (reply && ferry_value_int(ferry_message_get(reply, "attempt"), -1) != (int64_t)task->attempt)
                journal_complain("attempt %u has the answer of another one", task->attempt);
        caller_note_work((size_t)(task - run.tasks), task->attempt, false);
        task->is_pending = false;
        if (run.options.is_pool)
                check_limits(task, status);
        caller->heard = kernel_now();
        if (outcome != FERRY_OUTCOME_NOT_EXECUTED)
                caller->fruitful = kernel_now();
        /* The session of the pool has ended. */
        if (run.options.is_pool && status == -ECHILD)
                program_reopen_later(caller);
        if (outcome == FERRY_OUTCOME_NOT_EXECUTED && kernel_now() - task->began < (int64_t)run.options.patience * KERNEL_MS)
                is_again = true;
        if (!is_again) {
                end_task(task, outcome);
                return;
        }
        task->pause = task->pause < LAST_PAUSE_MS / 2 ? 2 * task->pause : LAST_PAUSE_MS;
        ferry_loop_after(caller->loop, task->pause / 2 + run_below(task->pause / 2 + 1), give_again, task);
}

/* Giving ----------------------------------------------------------------------------------------------- */

static void give(struct task *task)
{
        struct program *caller = task->caller;
        size_t number = (size_t)(task - run.tasks);
        ferry_call *call;

        task->attempt = journal_attempt(number);
        task->given = kernel_now();
        task->is_pending = true;
        if (run.options.is_pool)
                call = ferry_manager_request(caller->manager, run.options.timeout, "task", "{task: %d, attempt: %d, work: %d}",
                                             (int)number, (int)task->attempt, task->work);
        else
                call = ferry_session_request(caller->session, run.options.timeout, "task", "{task: %d, attempt: %d, work: %d}",
                                             (int)number, (int)task->attempt, task->work);
        ferry_call_then(call, has_ended, task);
}

static void give_more(struct program *caller)
{
        unsigned share = (run.options.in_flight + run.options.callers - 1) / run.options.callers;

        while (caller->given < share && run.next < run.options.tasks) {
                struct task *task = &run.tasks[run.next++];

                caller->given++;
                *task = (struct task){ .caller = caller, .pause = FIRST_PAUSE_MS, .began = kernel_now() };
                task->work = (int)random_between(kernel_random(), run.options.work_least, run.options.work_most);
                give(task);
        }
}

void caller_begin(struct program *caller)
{
        caller->fruitful = caller->heard = kernel_now();
        give_more(caller);
}

/* Limits ----------------------------------------------------------------------------------------------- */

void caller_note_work(size_t number, uint32_t attempt, bool is_worked_on)
{
        struct task *task = &run.tasks[number];

        if (!task->is_pending || task->attempt != attempt || task->is_worked_on == is_worked_on)
                return;
        task->is_worked_on = is_worked_on;
        task->caller->worked += is_worked_on ? 1 : (unsigned)-1;
}

void caller_check(const struct program *caller)
{
        int limit = run.options.timeout + REST_MAX_MS;

        /* All servers may be away for that long. */
        if (run.options.server_death_mean > 0 || run.options.server_end_mean > 0)
                limit += 3 * run.options.rest;
        if (run.options.is_pool)
                limit += run.options.busy > run.options.wait ? run.options.busy : run.options.wait;
        if (caller->given == 0 || ms_since(caller->heard) <= limit)
                return;
        journal_complain("a caller has %u tasks, and heard nothing for %d ms", caller->given, ms_since(caller->heard));
        run.is_stuck = true;
}

/* Figures ---------------------------------------------------------------------------------------------- */

static int compare_floats(const void *a, const void *b)
{
        float x = *(const float *)a, y = *(const float *)b;

        return x < y ? -1 : x > y;
}

void callers_begin(void)
{
        run.waits = calloc(WAITS_MAX, sizeof *run.waits);
        if (!run.waits)
                abort();
}

void callers_sum_up(void)
{
        size_t sample = run.replied < WAITS_MAX ? run.replied : WAITS_MAX;

        qsort(run.waits, sample, sizeof *run.waits, compare_floats);
        run.figures.wait_99 = sample ? (double)run.waits[sample * 99 / 100] : 0;
        run.figures.wait_mean = run.replied ? run.wait_sum / (double)run.replied : 0;
        run.figures.unknown_mean = run.unknown ? run.unknown_sum / (double)run.unknown : 0;
        run.figures.lost_work = run.work_sum > 0 ? run.lost_sum / run.work_sum : 0;
        free(run.waits);
}
