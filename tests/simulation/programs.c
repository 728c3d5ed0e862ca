/* The processes, what happens to them, and a run of all of it. */
#include "simulation/program.h"

#include "simulation/journal.h"
#include "simulation/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        REOPEN_MS = 100,                /* at least, and at most twice as long */
        QUIET_MS = 30000,               /* after the last task: what was late comes */
        LONGEST_MS = 100000000,
        LOOK_MS = 1000,                 /* between two looks at the limits of callers */
        IDLE_MAX = 12288,               /* bytes of an idle process with one session; a pool has two */
        RESERVE_MAX = 16384,            /* of calls that have ended, which a caller keeps for the next ones */
        TASK_MAX = 4096,                /* of a task in flight, on both sides, and of a connection that was lost */
};

struct run run;

void run_trace(uint64_t number)
{
        run.figures.trace = (run.figures.trace ^ number ^ (uint64_t)kernel_now()) * 0x100000001b3;
}

int run_below(int limit)
{
        return (int)random_below(kernel_random(), (uint64_t)limit);
}

/* Processes -------------------------------------------------------------------------------------------- */

ferry_session_options run_session_options(const struct program *program)
{
        return (ferry_session_options){ .nats_url = run.urls, .is_listening = program->is_listening, .wait_ms = run.options.wait,
                                        .request_timeout_ms = run.options.timeout, .heartbeat_ms = run.options.beat,
                                        .reconnect_ms = run.options.reconnect };
}

static void open_session(struct program *program)
{
        if (program->is_listening)
                worker_open(program);
        else
                caller_open(program);
}

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

void program_reopen_later(struct program *program)
{
        if (program->is_reopening || run.is_ending)
                return;
        program->is_reopening = true;
        ferry_loop_after(program->loop, REOPEN_MS + run_below(REOPEN_MS), reopen, program);
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
        worker_drop_jobs(program);
        program->session = NULL;
        program->manager = NULL;
        ferry_loop_free(program->loop);
        program->loop = NULL;
}

/* What happens to them --------------------------------------------------------------------------------- */

/* Half of what happens is noticed at once. */
static int64_t silence(void)
{
        return run.options.silence_most > 0 && run_below(2) ? (int64_t)(1 + run_below(run.options.silence_most)) * KERNEL_MS : 0;
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
        kernel_at(kernel_now() + (int64_t)(1 + run_below(2 * run.options.rest)) * KERNEL_MS, start_again, worker, 0);
}

static void worker_dies(void *object, uint64_t number)
{
        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        run.figures.worker_deaths++;
        kill_worker(&run.programs[run_below((int)run.options.workers)], silence());
        happen_again(worker_dies, run.options.worker_death_mean, run.options.workers);
}

static void host_dies(void *object, uint64_t number)
{
        unsigned host = (unsigned)run_below((int)run.options.hosts);
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
        const struct program *program = &run.programs[run_below((int)count)];

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
        unsigned server = (unsigned)run_below((int)run.options.servers);

        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        if (server_is_up(server)) {
                server_announce_end(server);
                kernel_at(kernel_now() + (int64_t)run.options.rest * KERNEL_MS, end_server, NULL, server);
                kernel_at(kernel_now() + (int64_t)(2 + run_below(2)) * run.options.rest * KERNEL_MS, start_server, NULL, server);
        }
        happen_again(server_ends, run.options.server_end_mean, run.options.servers);
}

static void server_dies(void *object, uint64_t number)
{
        unsigned server = (unsigned)run_below((int)run.options.servers);

        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        run.figures.server_deaths++;
        if (server_is_up(server)) {
                server_kill(server);
                kernel_at(kernel_now() + (int64_t)(1 + run_below(2 * run.options.rest)) * KERNEL_MS, start_server, NULL, server);
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
        if (!run.programs || !run.tasks)
                abort();
        callers_begin();
        for (unsigned i = 0; i < options->workers + options->callers; i++) {
                run.programs[i].is_listening = i < options->workers;
                run.programs[i].host = i < options->workers ? i % options->hosts : options->hosts;
                start(&run.programs[i]);
        }
}

static bool tasks_are_over(void)
{
        return run.is_stuck || journal_tasks_ended() == run.options.tasks;
}

static void look_at_callers(void *object, uint64_t number)
{
        (void)object;
        (void)number;
        if (run.is_quiet)
                return;
        for (unsigned i = 0; i < run.options.callers; i++)
                caller_check(&run.programs[run.options.workers + i]);
        kernel_at(kernel_now() + (int64_t)LOOK_MS * KERNEL_MS, look_at_callers, NULL, 0);
}

static void work(void)
{
        const struct simulation *options = &run.options;
        int64_t began = kernel_now();

        for (unsigned i = options->workers; i < options->workers + options->callers; i++) {
                kernel_enter(run.programs[i].process);
                caller_begin(&run.programs[i]);
                kernel_leave();
        }
        happen_again(worker_dies, options->worker_death_mean, options->workers);
        happen_again(host_dies, options->host_death_mean, options->hosts);
        happen_again(connection_is_cut, options->cut_mean, options->workers + options->callers);
        happen_again(server_dies, options->server_death_mean, options->servers);
        happen_again(server_ends, options->server_end_mean, options->servers);
        look_at_callers(NULL, 0);
        kernel_run(tasks_are_over, began + (int64_t)LONGEST_MS * KERNEL_MS);
        if (journal_tasks_ended() < options->tasks)
                journal_complain("%zu tasks have not ended", options->tasks - journal_tasks_ended());
        run.figures.seconds = (double)(kernel_now() - began) / KERNEL_MS / 1000;
        callers_sum_up();
}

/* What was late comes; then all end in order, and nothing is left. */
static void end(void)
{
        const struct simulation *options = &run.options;
        unsigned count = options->workers + options->callers, descriptors;
        size_t limit = (size_t)(options->is_pool ? count + options->callers : count) * IDLE_MAX + (size_t)options->callers * RESERVE_MAX;

        run.is_quiet = true;
        kernel_run(NULL, kernel_now() + (int64_t)QUIET_MS * KERNEL_MS);
        run.is_ending = true;
        run.figures.memory_peak = memory_counts.bytes_peak;
        run.figures.memory_idle = memory_counts.bytes;
        if (memory_counts.bytes > limit)
                journal_complain("%zu bytes are in use by idle processes, more than %zu", memory_counts.bytes, limit);
        if (memory_counts.bytes_peak > limit + ((size_t)options->in_flight + options->callers) * TASK_MAX)
                journal_complain("%zu bytes were in use", memory_counts.bytes_peak);
        for (unsigned i = 0; i < count; i++)
                if (run.programs[i].loop) {
                        kernel_enter(run.programs[i].process);
                        ferry_session_close(run.programs[i].session);
                        if (!run.is_stuck)
                                ferry_manager_stop(run.programs[i].manager, 0);
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
}

size_t simulate(const struct simulation *simulation, struct simulation_figures *ret_figures)
{
        begin(simulation);
        work();
        end();
        *ret_figures = run.figures;
        return journal_check();
}
