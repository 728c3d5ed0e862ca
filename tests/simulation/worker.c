/* A worker has some places, each for one task. What comes while all of them are taken is refused. */
#include "simulation/program.h"

#include "simulation/journal.h"

#include <stdlib.h>

enum { MUTANT_IN_MILLION = 2000 };

struct job {
        struct job *next, **place;
        struct program *worker;
        ferry_message *request;
        size_t task;
        uint32_t attempt;
};

static void adapt_listening(struct program *worker)
{
        bool is_full = worker->busy >= run.options.places;

        if (!run.options.is_leaving || is_full == worker->is_away)
                return;
        worker->is_away = is_full;
        ferry_session_set_listening(worker->session, !is_full);
}

static void take_out(struct job *job)
{
        *job->place = job->next;
        if (job->next)
                job->next->place = job->place;
        job->worker->busy--;
        caller_note_work(job->task, job->attempt, false);
        ferry_message_unref(job->request);
        free(job);
}

static int finish(ferry_loop *loop, void *userdata)
{
        struct job *job = userdata;
        struct program *worker = job->worker;

        (void)loop;
        ferry_message_reply(job->request, NULL, "{attempt: %d}", (int)job->attempt);
        take_out(job);
        adapt_listening(worker);
        return 0;
}

static int take_task(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct program *worker = userdata;
        uint32_t attempt = (uint32_t)ferry_value_int(ferry_message_get(request, "attempt"), -1);
        bool is_full = worker->busy >= run.options.places;
        bool is_wrong = run.options.program_mutant == WORKER_REFUSES_WHAT_IT_RUNS && random_is(kernel_random(), MUTANT_IN_MILLION);
        struct job *job;

        (void)session;
        run_trace(attempt);
        run.figures.refusals += is_full;
        if (is_full || is_wrong)
                ferry_message_refuse(request, "the worker is busy");
        if (is_full)
                return 1;
        journal_ran(attempt);
        job = malloc(sizeof *job);
        if (!job)
                abort();
        *job = (struct job){ .next = worker->jobs, .place = &worker->jobs, .worker = worker, .request = ferry_message_ref(request),
                             .attempt = attempt, .task = (size_t)ferry_value_int(ferry_message_get(request, "task"), 0) };
        if (job->next)
                job->next->place = &job->next;
        worker->jobs = job;
        worker->busy++;
        caller_note_work(job->task, attempt, true);
        ferry_loop_after(worker->loop, (int)ferry_value_int(ferry_message_get(request, "work"), 0), finish, job);
        adapt_listening(worker);
        return 1;
}

static int hear_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        (void)message;
        program_reopen_later(userdata);
        return 1;
}

/* What it has in hand stays there; a new session is subscribed, and is left if there is no place. */
void worker_open(struct program *worker)
{
        const ferry_session_options options = run_session_options(worker);

        worker->session = ferry_session_open(worker->loop, "nats:work", &options);
        ferry_session_on(worker->session, FERRY_KIND_CLOSED, hear_end, worker);
        ferry_session_on(worker->session, FERRY_KIND_REQUEST, take_task, worker);
        worker->is_away = false;
        if (ferry_session_status(worker->session) < 0)
                program_reopen_later(worker);
        else
                adapt_listening(worker);
}

void worker_drop_jobs(struct program *worker)
{
        while (worker->jobs)
                take_out(worker->jobs);
}
