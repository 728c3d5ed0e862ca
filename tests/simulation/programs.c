/* A caller gives away as many tasks as it may, and the next one when one has ended. What is not executed is given away again, after a
 * growing time; what is unknown is not. A worker has one place: what comes while it works is refused. */
#include "simulation/programs.h"

#include "simulation/journal.h"
#include "simulation/memory.h"

#include <ferry/ferry.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        FIRST_PAUSE_MS = 1,
        LAST_PAUSE_MS = 200,
        REOPEN_MS = 100,                /* at least, and at most twice as long */
        QUIET_MS = 30000,               /* after the last task: what was late comes */
        LONGEST_MS = 100000000,
        MUTANT_IN_MILLION = 2000,
        WAITS_MAX = 1 << 16,            /* of which wait_99 is made */
        IDLE_MAX = 12288,               /* bytes of an idle process */
        TASK_MAX = 4096,                /* of a task in flight, on both sides */
};

/* A process with a session. */
struct program {
        unsigned process, host;
        ferry_loop *loop;
        ferry_session *session;
        bool is_listening, is_reopening;
        struct job *job;                /* of a worker */
        unsigned given;                 /* by a caller */
};

struct job {
        struct program *worker;
        ferry_message *request;
        uint32_t attempt;
};

struct task {
        struct program *caller;
        uint32_t attempt;
        int work;
        int pause;
        int64_t began;
        bool is_begun;
};

static struct {
        struct simulation options;
        struct program *programs;       /* workers, then callers */
        struct task *tasks;
        size_t next;
        bool is_quiet;                  /* nothing dies any more */
        bool is_ending;
        char urls[512];
        struct simulation_figures figures;
        double wait_sum, work_sum, lost_sum, unknown_sum;
        size_t replied, unknown;
        float *waits;
} run;

static void trace(uint64_t number)
{
        run.figures.trace = (run.figures.trace ^ number ^ (uint64_t)kernel_now()) * 0x100000001b3;
}

static int below(int limit)
{
        return (int)random_below(kernel_random(), (uint64_t)limit);
}

/* Sessions --------------------------------------------------------------------------------------------- */

static void open_session(struct program *program);

static int reopen(ferry_loop *loop, void *userdata)
{
        struct program *program = userdata;

        (void)loop;
        program->is_reopening = false;
        if (run.is_ending)
                return 0;
        program->session = ferry_session_free(program->session);
        open_session(program);
        return 0;
}

static void reopen_later(struct program *program)
{
        if (program->is_reopening || run.is_ending)
                return;
        program->is_reopening = true;
        ferry_loop_after(program->loop, REOPEN_MS + below(REOPEN_MS), reopen, program);
}

static int hear_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        (void)message;
        reopen_later(userdata);
        return 1;
}

static int take_task(ferry_session *session, const ferry_message *request, void *userdata);

static void open_session(struct program *program)
{
        const ferry_session_options options = { .nats_url = run.urls, .is_listening = program->is_listening,
                                                .request_timeout_ms = run.options.timeout, .heartbeat_ms = run.options.beat,
                                                .reconnect_ms = run.options.reconnect };

        program->session = ferry_session_open(program->loop, "nats:work", &options);
        ferry_session_on(program->session, FERRY_KIND_CLOSED, hear_end, program);
        if (program->is_listening)
                ferry_session_on(program->session, FERRY_KIND_REQUEST, take_task, program);
        if (ferry_session_status(program->session) < 0)
                reopen_later(program);
}

static void start(struct program *program)
{
        program->process = kernel_new_process(program->host);
        kernel_enter(program->process);
        program->is_reopening = false;
        program->loop = ferry_loop_new(NULL);
        kernel_set_loop(program->process, program->loop);
        open_session(program);
        kernel_leave();
}

static void give_back(struct program *program)
{
        if (program->job) {
                ferry_message_unref(program->job->request);
                free(program->job);
                program->job = NULL;
        }
        program->session = NULL;
        ferry_loop_free(program->loop);
        program->loop = NULL;
}

/* Workers ---------------------------------------------------------------------------------------------- */

static int finish(ferry_loop *loop, void *userdata)
{
        struct job *job = userdata;

        (void)loop;
        ferry_message_reply(job->request, NULL, "{attempt: %d}", (int)job->attempt);
        ferry_message_unref(job->request);
        job->worker->job = NULL;
        if (run.options.is_leaving)
                ferry_session_set_listening(job->worker->session, true);
        free(job);
        return 0;
}

static int take_task(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct program *worker = userdata;
        uint32_t attempt = (uint32_t)ferry_value_int(ferry_message_get(request, "attempt"), -1);
        bool is_wrong = run.options.program_mutant == WORKER_REFUSES_WHAT_IT_RUNS && random_is(kernel_random(), MUTANT_IN_MILLION);

        trace(attempt);
        if (worker->job || is_wrong)
                ferry_message_refuse(request, "the worker is busy");
        if (worker->job)
                return 1;
        journal_ran(attempt);
        worker->job = malloc(sizeof *worker->job);
        if (!worker->job)
                abort();
        *worker->job = (struct job){ .worker = worker, .request = ferry_message_ref(request), .attempt = attempt };
        ferry_loop_after(worker->loop, (int)ferry_value_int(ferry_message_get(request, "work"), 0), finish, worker->job);
        if (run.options.is_leaving)
                ferry_session_set_listening(session, false);
        return 1;
}

/* Callers ---------------------------------------------------------------------------------------------- */

static void give_more(struct program *caller);

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

static void give(struct task *task);

static int give_again(ferry_loop *loop, void *userdata)
{
        (void)loop;
        give(userdata);
        return 0;
}

static void has_ended(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct task *task = userdata;
        enum ferry_outcome outcome = ferry_call_outcome(call);
        bool is_again = run.options.program_mutant == CALLER_SENDS_AGAIN && outcome == FERRY_OUTCOME_UNKNOWN;

        trace((uint64_t)outcome);
        journal_attempt_ended(task->attempt, outcome, ferry_call_status(call), ferry_call_error(call));
        if (reply && ferry_value_int(ferry_message_get(reply, "attempt"), -1) != (int64_t)task->attempt)
                journal_complain("attempt %u has the answer of another one", task->attempt);
        if (outcome == FERRY_OUTCOME_NOT_EXECUTED && kernel_now() - task->began < (int64_t)run.options.patience * KERNEL_MS)
                is_again = true;
        if (!is_again) {
                end_task(task, outcome);
                return;
        }
        task->pause = task->pause < LAST_PAUSE_MS / 2 ? 2 * task->pause : LAST_PAUSE_MS;
        ferry_loop_after(task->caller->loop, task->pause / 2 + below(task->pause / 2 + 1), give_again, task);
}

static void give(struct task *task)
{
        task->attempt = journal_attempt((size_t)(task - run.tasks));
        ferry_call_then(ferry_session_request(task->caller->session, run.options.timeout, "task", "{attempt: %d, work: %d}",
                                              (int)task->attempt, task->work), has_ended, task);
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

static int begin_giving(ferry_loop *loop, void *userdata)
{
        (void)loop;
        give_more(userdata);
        return 0;
}

/* What happens to them --------------------------------------------------------------------------------- */

/* Half of what happens is noticed at once. */
static int64_t silence(void)
{
        return run.options.silence_most > 0 && below(2) ? (int64_t)(1 + below(run.options.silence_most)) * KERNEL_MS : 0;
}

/* So that one thing of @count happens to each of them every @mean ms. */
static void happen_again(kernel_fn *fn, int mean, unsigned count)
{
        int64_t between = (int64_t)mean * KERNEL_MS / (count ? count : 1);

        if (mean > 0 && count > 0)
                kernel_at(kernel_now() + random_between(kernel_random(), 0, 2 * between), fn, NULL, 0);
}

static void start_again(void *object, uint64_t number)
{
        (void)number;
        if (!run.is_ending)
                start(object);
}

static void kill_worker(struct program *worker, int64_t silent)
{
        if (!worker->loop)
                return;
        kernel_kill(worker->process, silent);
        kernel_enter(worker->process);
        give_back(worker);
        kernel_leave();
        kernel_at(kernel_now() + (int64_t)(1 + below(2 * run.options.rest)) * KERNEL_MS, start_again, worker, 0);
}

static void worker_dies(void *object, uint64_t number)
{
        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        run.figures.worker_deaths++;
        kill_worker(&run.programs[below((int)run.options.workers)], silence());
        happen_again(worker_dies, run.options.worker_death_mean, run.options.workers);
}

static void host_dies(void *object, uint64_t number)
{
        unsigned host = (unsigned)below((int)run.options.hosts);
        int64_t silent = silence();

        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        run.figures.host_deaths++;
        for (unsigned i = 0; i < run.options.workers; i++)
                if (run.programs[i].host == host)
                        kill_worker(&run.programs[i], silent);
        happen_again(host_dies, run.options.host_death_mean, run.options.hosts);
}

static void connection_is_cut(void *object, uint64_t number)
{
        unsigned count = run.options.workers + run.options.callers;
        const struct program *program = &run.programs[below((int)count)];

        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        if (program->loop)
                kernel_cut(program->process, silence());
        happen_again(connection_is_cut, run.options.cut_mean, count);
}

static void start_server(void *object, uint64_t number)
{
        (void)object;
        server_start((unsigned)number);
}

static void end_server(void *object, uint64_t number)
{
        (void)object;
        if (server_is_up((unsigned)number))
                server_kill((unsigned)number);
}

/* Its clients are told, and have some time to leave it. */
static void server_ends(void *object, uint64_t number)
{
        unsigned server = (unsigned)below((int)run.options.servers);

        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        if (server_is_up(server)) {
                server_announce_end(server);
                kernel_at(kernel_now() + (int64_t)run.options.rest * KERNEL_MS, end_server, NULL, server);
                kernel_at(kernel_now() + (int64_t)(2 + below(2)) * run.options.rest * KERNEL_MS, start_server, NULL, server);
        }
        happen_again(server_ends, run.options.server_end_mean, run.options.servers);
}

static void server_dies(void *object, uint64_t number)
{
        unsigned server = (unsigned)below((int)run.options.servers);

        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        run.figures.server_deaths++;
        if (server_is_up(server)) {
                server_kill(server);
                kernel_at(kernel_now() + (int64_t)(1 + below(2 * run.options.rest)) * KERNEL_MS, start_server, NULL, server);
        }
        happen_again(server_dies, run.options.server_death_mean, run.options.servers);
}

/* A run ------------------------------------------------------------------------------------------------ */

static void begin(const struct simulation *options)
{
        const struct weather weather = { .delay_least = KERNEL_MS / 20, .delay_most = KERNEL_MS / 2, .retransmitted = options->late,
                                         .retransmission = (int64_t)200 * KERNEL_MS, .room_least = options->room };
        size_t used = 0;

        memset(&run, 0, sizeof run);
        run.options = *options;
        journal_begin(options->seed, options->tasks, options->is_quiet);
        kernel_begin(options->seed, &weather, &server_side);
        server_begin(options->servers, options->server_mutant);
        for (unsigned i = 0; i < options->servers; i++)
                used += (size_t)snprintf(run.urls + used, sizeof run.urls - used, "%snats://10.9.0.2:%u", i ? "," : "", 4222 + i);
        run.programs = calloc(options->workers + options->callers, sizeof *run.programs);
        run.tasks = calloc(options->tasks, sizeof *run.tasks);
        run.waits = calloc(WAITS_MAX, sizeof *run.waits);
        if (!run.programs || !run.tasks || !run.waits)
                abort();
        for (unsigned i = 0; i < options->workers + options->callers; i++) {
                run.programs[i].is_listening = i < options->workers;
                run.programs[i].host = i < options->workers ? i % options->hosts : options->hosts;
                start(&run.programs[i]);
        }
}

static bool tasks_are_over(void)
{
        return journal_tasks_ended() == run.options.tasks;
}

static int compare_floats(const void *a, const void *b)
{
        float x = *(const float *)a, y = *(const float *)b;

        return x < y ? -1 : x > y;
}

static void work(void)
{
        const struct simulation *options = &run.options;
        int64_t began = kernel_now();
        size_t sample;

        for (unsigned i = options->workers; i < options->workers + options->callers; i++) {
                kernel_enter(run.programs[i].process);
                ferry_loop_after(run.programs[i].loop, 1 + below(20), begin_giving, &run.programs[i]);
                kernel_leave();
        }
        happen_again(worker_dies, options->worker_death_mean, options->workers);
        happen_again(host_dies, options->host_death_mean, options->hosts);
        happen_again(connection_is_cut, options->cut_mean, options->workers + options->callers);
        happen_again(server_dies, options->server_death_mean, options->servers);
        happen_again(server_ends, options->server_end_mean, options->servers);
        kernel_run(tasks_are_over, began + (int64_t)LONGEST_MS * KERNEL_MS);
        if (!tasks_are_over())
                journal_complain("%zu tasks have not ended, and nothing happens any more", options->tasks - journal_tasks_ended());
        run.figures.seconds = (double)(kernel_now() - began) / KERNEL_MS / 1000;
        sample = run.replied < WAITS_MAX ? run.replied : WAITS_MAX;
        qsort(run.waits, sample, sizeof *run.waits, compare_floats);
        run.figures.wait_99 = sample ? (double)run.waits[sample * 99 / 100] : 0;
        run.figures.wait_mean = run.replied ? run.wait_sum / (double)run.replied : 0;
        run.figures.unknown_mean = run.unknown ? run.unknown_sum / (double)run.unknown : 0;
        run.figures.lost_work = run.work_sum > 0 ? run.lost_sum / run.work_sum : 0;
}

/* What was late comes; then all end in order, and nothing is left. */
static void end(void)
{
        const struct simulation *options = &run.options;
        unsigned count = options->workers + options->callers, descriptors;
        size_t limit = (size_t)count * IDLE_MAX;

        run.is_quiet = true;
        kernel_run(NULL, kernel_now() + (int64_t)QUIET_MS * KERNEL_MS);
        run.is_ending = true;
        run.figures.memory_peak = memory_counts.bytes_peak;
        run.figures.memory_idle = memory_counts.bytes;
        if (memory_counts.bytes > limit)
                journal_complain("%zu bytes are in use by idle processes, more than %zu", memory_counts.bytes, limit);
        if (memory_counts.bytes_peak > limit + (size_t)options->in_flight * TASK_MAX)
                journal_complain("%zu bytes were in use", memory_counts.bytes_peak);
        for (unsigned i = 0; i < count; i++)
                if (run.programs[i].loop) {
                        kernel_enter(run.programs[i].process);
                        ferry_session_close(run.programs[i].session);
                        kernel_leave();
                }
        kernel_run(NULL, kernel_now() + (int64_t)QUIET_MS * KERNEL_MS);
        if (server_counts.clients > 0 || server_counts.subscriptions > 0)
                journal_complain("%u clients with %u subscriptions are left at the servers", server_counts.clients,
                                 server_counts.subscriptions);
        for (unsigned i = 0; i < count; i++)
                if (run.programs[i].loop) {
                        kernel_enter(run.programs[i].process);
                        give_back(&run.programs[i]);
                        kernel_kill(run.programs[i].process, 0);
                        kernel_leave();
                }
        server_end();
        descriptors = kernel_end();
        if (descriptors > 0 || memory_counts.blocks > 0)
                journal_complain("%u descriptors and %zu blocks of memory are left", descriptors, memory_counts.blocks);
        free(run.programs);
        free(run.tasks);
        free(run.waits);
}

size_t simulate(const struct simulation *simulation, struct simulation_figures *ret_figures)
{
        begin(simulation);
        work();
        end();
        *ret_figures = run.figures;
        return journal_check();
}
