/* ferry run: tasks from stdin for a number of workers at once, their answers on stdout, and on stderr how it goes. This file has
 * the workers, the signals, and the end. */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        GRACE_MS = 5000,        /* for workers that have nothing left to do */
        HURRY_MS = 1000,        /* and where what they do is not waited for */
        FINISH_MAX_MS = 5000,   /* for the tasks in hand, once a signal has come */
        REST_MAX_MS = 4000,     /* no worker takes as long to end, and to be started again */
        /* So many tries without any answer show that there will be none: in all, or for each worker. */
        TRIES_MAX = 10,
        WORKER_TRIES_MAX = 2,
        WORKERS_TOTAL_MAX = 1024,
        ADDRESS_SIZE = 2048,
        REMOTE_DEFAULT = 64,    /* tasks that are given at a time, where it is not known how many workers there are */
};

/* The end ------------------------------------------------------------------------------------------------- */

/* The only place where the phase changes. */
static bool enter(struct run *run, enum run_phase phase, int status)
{
        if (phase <= run->phase)
                return false;
        run->phase = phase;
        if (run->status == EXIT_DONE)
                run->status = status;
        return true;
}

void run_finish(struct run *run, int status)
{
        if (!enter(run, RUN_FINISHING, status))
                return;
        if (run->durable)
                durable_stop(run->durable);
        run_end_if_done(run);
}

static bool is_all_given(const struct run *run)
{
        return run->phase == RUN_FINISHING || (run->lines.is_over && !lines_are_there(&run->lines));
}

void run_end_if_done(struct run *run)
{
        if (is_all_given(run) && !run->first && !(run->durable && durable_is_busy(run->durable)) && enter(run, RUN_ENDING, EXIT_DONE))
                ferry_manager_stop(run->manager, GRACE_MS);
}

/* The answers behind the tasks that are dropped are printed. */
void run_give_up(struct run *run, int status)
{
        bool was_working = run->phase == RUN_WORKING;

        if (!enter(run, RUN_GIVEN_UP, status))
                return;
        if (run->durable)
                durable_stop(run->durable);
        if (was_working && status != EXIT_DONE)
                tasks_list(run);
        tasks_drop(run);
        ferry_manager_stop(run->manager, HURRY_MS);
}

/* Another machine may only be slow. */
static bool may_still_answer(const struct run *run)
{
        return run->hosts && run->mortal_count < run->workers;
}

void run_check_workers(struct run *run, const char *ending, const char *reason)
{
        long most = run->workers * WORKER_TRIES_MAX > TRIES_MAX ? run->workers * WORKER_TRIES_MAX : TRIES_MAX;

        if (run->phase != RUN_WORKING || run->answers > 0 || (is_all_given(run) && run->in_hand == 0) ||
            (run->lost < most && run->deaths < most) || may_still_answer(run))
                return;
        progress_clear(run);
        if (*ending)
                complain("giving up: the workers are in a crash loop: none has ever answered, %ld have died, and the last one %s",
                         run->lost > run->deaths ? run->lost : run->deaths, ending);
        else
                complain("giving up: no worker has ever answered, in %ld tries: %s", run->lost, reason);
        run_give_up(run, EXIT_CONNECTION);
}

static int give_up(ferry_loop *loop, void *userdata)
{
        (void)loop;
        run_give_up(userdata, EXIT_DONE);
        return 0;
}

/* The first signal is passed on, and tasks in hand may finish. The second one ends all of them. */
static int interrupt(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;
        bool is_again = run->signal != 0;
        ferry_process *process, *next;

        run->signal = signals_received();
        if (is_again) {
                run_give_up(run, EXIT_DONE);
                return 0;
        }
        ferry_manager_kill(run->manager, run->signal);
        /* A worker that has died is not started again. */
        for (process = ferry_manager_child(run->manager, NULL); process; process = next) {
                next = ferry_manager_child(run->manager, process);
                if (ferry_process_status(process) != 1)
                        ferry_process_free(process);
        }
        ferry_loop_after(loop, FINISH_MAX_MS, give_up, run);
        run_finish(run, EXIT_DONE);
        return 0;
}

/* Workers ------------------------------------------------------------------------------------------------- */

/* Once a signal has come no worker is started again; nor is one waited for that can no longer be reached. */
static int lose(ferry_session *worker, const ferry_message *message, void *userdata)
{
        struct run *run = userdata;
        FERRY_AUTO(ferry_value) info = run->options->is_verbose ? ferry_session_info(worker) : NULL;

        (void)message;
        if (info) {
                progress_clear(run);
                print_aside_json(info);
        }
        if (run->signal)
                ferry_process_free(ferry_session_process(worker));
        return 0;
}

static int notice_echo(ferry_session *worker, const ferry_message *message, void *userdata)
{
        struct run *run = userdata;

        (void)worker;
        run->is_echo = run->is_echo || strcmp(ferry_message_type(message), run->type) == 0;
        return 0;
}

static int count_start(ferry_manager *manager, ferry_process *process, void *userdata)
{
        struct run *run = userdata;
        ferry_session *worker = ferry_process_session(process);

        (void)manager;
        if (++run->started > run->workers)
                run->restarts++;
        ferry_session_on(worker, FERRY_KIND_NOTIFICATION | FERRY_KIND_JUNK | FERRY_KIND_ERROR, progress_show_aside, run);
        ferry_session_on(worker, FERRY_KIND_REQUEST, notice_echo, run);
        ferry_session_on(worker, FERRY_KIND_CLOSED, lose, run);
        return 0;
}

static void note_mortal(struct run *run, const ferry_process *process)
{
        for (long i = 0; i < run->mortal_count; i++)
                if (run->mortal[i] == process)
                        return;
        run->mortal[run->mortal_count++] = process;
}

static int count_death(ferry_manager *manager, ferry_process *process, void *userdata)
{
        struct run *run = userdata;

        (void)manager;
        /* A worker may end in order while there is nothing to do. */
        run->deaths += ferry_process_exit_status(process) != 0 || run->in_hand > 0;
        if (run->hosts && run->answers == 0)
                note_mortal(run, process);
        run_check_workers(run, ferry_process_ending(process), ferry_process_error(process));
        return 0;
}

static int report_stop(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager;
        progress_clear(userdata);
        complain("process %d: %s", (int)ferry_process_pid(process), ferry_process_error(process));
        return 0;
}

/* The same number of workers on each host, and the first ones on different hosts. */
static ferry_process *start_worker(struct run *run, const char *const *command, const ferry_process_options *options, long number)
{
        struct remote_worker remote;
        ferry_process *process = NULL;

        if (!run->hosts)
                return ferry_process_spawn(run->manager, command, options);
        if (remote_make_worker(run->hosts[number % run->host_count], command, number, &remote))
                process = ferry_process_spawn(run->manager, remote.argv, options);
        remote_free_worker(&remote);
        return process;
}

static int start_workers(struct run *run, char **command)
{
        ferry_session_options session = session_options(run->options);
        ferry_process_options worker = {
                .is_on_stdio = true, .is_restarted = true, .death_signal = SIGTERM, .session = &session,
                .output = progress_hear, .output_userdata = run, .max_tasks = (unsigned)run->options->max_tasks,
                .max_rss = (size_t)run->options->max_rss,
        };

        ferry_manager_on(run->manager, FERRY_PROCESS_STARTED, count_start, run);
        ferry_manager_on(run->manager, FERRY_PROCESS_DIED | FERRY_PROCESS_ENDED, progress_hear_last, run);
        ferry_manager_on(run->manager, FERRY_PROCESS_DIED, count_death, run);
        ferry_manager_on(run->manager, FERRY_PROCESS_STOPPED, report_stop, run);
        for (long i = 0; i < run->workers; i++) {
                ferry_process *process = start_worker(run, (const char *const *)(uintptr_t)command, &worker, i);

                if (ferry_process_status(process) != 1) {
                        complain("%s", ferry_process_error(process));
                        return EXIT_CONNECTION;
                }
        }
        return EXIT_DONE;
}

/* They are there already, and how many is not known. */
static int connect_workers(struct run *run)
{
        ferry_session_options session = session_options(run->options);
        char address[ADDRESS_SIZE];
        int error;
        const ferry_remote_options remote = {
                .session = &session, .requests_max = (unsigned)run->workers,
                .busy_timeout_ms = run->options->timeout_ms ? run->options->timeout_ms : 1,
        };

        if (run->is_storing) {
                int status = jetstream_prepare_stream(run, run->options->on);

                if (status)
                        return status;
                snprintf(address, sizeof address, "nats:%s.task", strchr(run->options->on, ':') + 1);
                session.codec = NULL;
        } else
                snprintf(address, sizeof address, "%s", run->options->on);
        session.queue_max = SIZE_MAX;
        session.reconnect_ms = run->options->timeout_ms ? run->options->timeout_ms : 1;
        error = ferry_manager_connect(run->manager, address, &remote);
        if (error)
                complain("%s", ferry_loop_error(run->loop));
        return exit_status_of(error);
}

/* All of it ----------------------------------------------------------------------------------------------- */

/* From the first worker on none of these may end the run; a wait for the workers takes what has come before. */
static void block(const int *signals)
{
        sigset_t set;

        sigemptyset(&set);
        for (; *signals; signals++)
                sigaddset(&set, *signals);
        sigprocmask(SIG_BLOCK, &set, NULL);
}

static int exit_status(const struct run *run, int result)
{
        if (run->signal)
                return 128 + run->signal;
        if (result > FERRY_PROCESS_KILLED)
                return 128 + result - FERRY_PROCESS_KILLED;
        if (result < 0) {
                complain("%s", ferry_loop_error(run->loop));
                return EXIT_CONNECTION;
        }
        if (output_status(EXIT_DONE) != EXIT_DONE)
                return output_status(EXIT_DONE);
        if (run->status != EXIT_DONE)
                return run->status;
        if (run->is_halted && run->halt.why == HALT_SUCCESS)
                return EXIT_DONE;
        if (run->is_halted && run->failed)
                return EXIT_ANSWERED_ERROR;
        return run->failed > run->returned ? EXIT_ANSWERED_ERROR : run->input_error ? EXIT_REFUSED : EXIT_DONE;
}

static int run_all(struct run *run, char **command)
{
        int status, result;

        error_limit_wait(0);
        progress_begin(run);
        signals_watch(run->loop, 2, interrupt, run);
        status = run->is_remote ? connect_workers(run) : start_workers(run, command);
        if (!status && run->options->tasks)
                status = durable_open(run, run->options->tasks, &run->durable);
        if (status) {
                durable_close(run->durable);
                ferry_manager_stop(run->manager, 0);
                return status;
        }
        tasks_feed(run);
        result = ferry_manager_wait(run->manager, NULL, NULL);
        tasks_flush(run);
        durable_close(run->durable);
        progress_stop_clock(run);
        status = joblog_finish(run);
        if (run->status == EXIT_DONE)
                run->status = status;
        if (run->is_echo && run->done == 0 && !run->signal)
                peer_explain_command(true);
        progress_summarize(run);
        if (ferry_manager_killed(run->manager))
                complain("%u workers had to be killed", ferry_manager_killed(run->manager));
        return exit_status(run, result);
}

/* A worker is one session, which its dialect must be made for. */
static bool can_be_talked_to(unsigned dialects)
{
        return dialects == FERRY_DIALECT_PCNTL || !(dialects & (FERRY_DIALECT_INNMIND | FERRY_DIALECT_PCNTL));
}

static int run_tasks(const struct cli_options *options, char **arguments, int count)
{
        /* These are passed on by the manager. */
        static const int passed_on[] = { SIGALRM, SIGUSR1, SIGUSR2, 0 };
        struct run run = {
                .options = options, .type = options->type ? options->type : "task", .workers = options->workers,
        };
        int status = EXIT_DONE;

        run.is_storing = jetstream_is_address(options->on);
        run.is_remote = run.is_storing || (options->on && strncmp(options->on, "nats:", 5) == 0);
        if (options->tasks && !jetstream_is_address(options->tasks)) {
                complain("--tasks: '%s' is not an address: write nats+queue:STREAM", options->tasks);
                return EXIT_USAGE;
        }
        if (run.is_remote && count > 0) {
                complain("run: '%s' has workers already: leave COMMAND out", options->on);
                return EXIT_USAGE;
        }
        if (!run.is_remote && count == 0) {
                complain("run needs a COMMAND");
                return EXIT_USAGE;
        }
        if (!run.is_remote && is_blank(arguments[0])) {
                complain("run needs a COMMAND: '%s' is empty", arguments[0]);
                return EXIT_USAGE;
        }
        if (run.is_remote && !run.is_storing && (status = check_session(options->on, options)) != EXIT_DONE)
                return status;
        if (options->is_resuming && !options->joblog) {
                complain("--resume and --resume-failed need --joblog FILE");
                return EXIT_USAGE;
        }
        if (options->halt && !halt_read(options->halt, &run.halt))
                return EXIT_USAGE;
        if (!can_be_talked_to(options->dialects)) {
                complain("workers are talked to in one of ferry, stream-ipc and pcntl; innmind is for services");
                return EXIT_USAGE;
        }
        if (options->on && !run.is_remote && !(run.hosts = remote_split_hosts(options->on, &run.host_count)))
                return EXIT_USAGE;
        if (run.hosts && run.workers * run.host_count > WORKERS_TOTAL_MAX) {
                complain("--workers %ld on each of %ld hosts are more than %d", run.workers, run.host_count, (int)WORKERS_TOTAL_MAX);
                remote_free_hosts(run.hosts);
                return EXIT_USAGE;
        }
        if (run.hosts)
                run.workers *= run.host_count;
        if (run.workers == 0)
                run.workers = run.is_remote ? REMOTE_DEFAULT : processors_available("");
        run.last = &run.first;
        run.lines.max = body_max(options->is_value);
        run.lines.separator = options->is_null ? '\0' : '\n';
        run.is_on_terminal = !options->is_quiet && isatty(STDERR_FILENO);
        clock_gettime(CLOCK_MONOTONIC, &run.began);
        block(passed_on);
        run.said = calloc((size_t)run.workers, sizeof *run.said);
        run.mortal = calloc((size_t)run.workers, sizeof(ferry_process *));
        if (!run.said || !run.mortal) {
                complain("no memory for %ld workers", run.workers);
                free(run.said);
                free(run.mortal);
                remote_free_hosts(run.hosts);
                return EXIT_CONNECTION;
        }
        run.loop = ferry_loop_new(NULL);
        /* No more tasks are taken than there are workers, so those fit. A task waits only for a worker that is replaced, and has
         * its time from when a worker has it. */
        run.manager = ferry_manager_new(run.loop, &(ferry_manager_options){
                .is_forwarding = true, .signals = passed_on, .session = &(ferry_session_options){ .queue_max = SIZE_MAX },
                /* Workers elsewhere are waited for as long as the session says. */
                .queue_timeout_ms = run.is_remote ? -1 : options->timeout_ms < 0 ? -1 : options->timeout_ms > REST_MAX_MS ? options->timeout_ms : REST_MAX_MS });
        if (options->joblog)
                status = joblog_open(options->joblog, options->is_resuming, &run.joblog);
        if (status == EXIT_DONE)
                status = run_all(&run, arguments);
        tasks_free(&run);
        joblog_free(run.joblog);
        ferry_loop_free(run.loop);
        free(run.said);
        free(run.mortal);
        remote_free_hosts(run.hosts);
        return status;
}

const struct cli_command command_run = {
        .name = "run",
        .arguments = "[--] [COMMAND [ARGUMENT]...]",
        .summary = "give each line of stdin as a task to one of N workers, print their answers",
        .options = (const char *const[]){ "on", "tasks", "workers", "type", "null", "ordered", "retry", "max-tasks", "max-rss", "halt", "joblog", "resume",
                                          "resume-failed", "quiet", "dialect", "codec", "namespace", "timeout", "wait",
                                          "json", "value", "verbose", NULL },
        .least = 0,
        .most = INT32_MAX,
        .is_wrapper = true,
        .run = run_tasks,
};
