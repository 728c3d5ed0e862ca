/* ferry run: tasks from stdin, one a line, for so many workers at once; their answers on stdout, and on stderr how it
 * goes. Invariants: each line is a task that ends once, as done or with a reason, unless the run is ended before; no more
 * are taken than workers can have in hand, so that the time of a task begins when it is given away; what is over and
 * waits for those before it is bounded. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
        HELD_MAX = 1000,        /* answers that wait for those before them */
        GRACE_MS = 5000,        /* for workers that have nothing left to do */
        HURRY_MS = 1000,        /* and where nobody waits for what they do */
        FINISH_MAX_MS = 5000,   /* for the tasks in hand, once a signal has come */
        REST_MAX_MS = 4000,     /* no worker takes as long to end, and to be started again */
        REDRAW_MS = 50,
};

struct run;

/* What a worker has written to stderr since its last newline. */
struct said {
        ferry_process *worker;
        char line[4096];
        size_t size;
};

struct task {
        struct task *next;
        struct run *run;
        long number;
        ferry_value *body;
        long tries;
        long waited_ms;         /* for a worker */
        ferry_call *call;
        ferry_message *reply;   /* it is done, and waits for those before it */
        bool is_over;
};

struct run {
        const struct cli_options *options;
        ferry_loop *loop;
        ferry_manager *manager;
        const char *type;
        long workers;
        struct said *said;              /* of each worker */
        struct lines lines;
        struct task *first, **last;     /* those that are not over, or wait for those before them */
        long taken, done, failed, restarts, started;
        long in_hand, held;
        int signal;                     /* that has come; 0 */
        int input_error;
        bool is_reading;
        bool is_ending;                 /* the workers are told to */
        bool is_given_up;
        bool is_on_terminal;
        bool is_progress_shown;
        struct timespec began;
        double drawn;                   /* in seconds since then */
};

static int read_input(ferry_loop *loop, void *userdata);
static void print_over(struct run *run);
static void give(struct task *task);

/* What people see ----------------------------------------------------------------------------------------- */

static double seconds_since(const struct timespec *began)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* A line that is drawn again and again, but not so often that drawing is what takes the time. */
static void show_progress(struct run *run)
{
        enum { WIDTH = 30 };
        char bar[WIDTH + 1];
        long over = run->done + run->failed, all = run->lines.told;
        double now;

        if (!run->is_on_terminal || all == 0)
                return;
        now = seconds_since(&run->began);
        if (run->drawn > 0 && now - run->drawn < REDRAW_MS / 1e3)
                return;
        run->drawn = now;
        run->is_progress_shown = true;
        memset(bar, '.', WIDTH);
        memset(bar, '#', (size_t)(over * WIDTH / all));
        bar[WIDTH] = '\0';
        fprintf(stderr, "\r\033[K[%s] %ld of %ld%s", bar, over, all, run->lines.is_over ? "" : " so far");
        if (run->failed)
                fprintf(stderr, ", %ld failed", run->failed);
}

static void clear_progress(struct run *run)
{
        if (run->is_progress_shown)
                fputs("\r\033[K", stderr);
        run->is_progress_shown = false;
}

static void summarize(struct run *run)
{
        double seconds = seconds_since(&run->began);
        long over = run->done + run->failed;

        clear_progress(run);
        fprintf(stderr, "ferry: %ld done, %ld failed, ", run->done, run->failed);
        if (run->lines.told > over)
                fprintf(stderr, "%ld not done, ", run->lines.told - over);
        fprintf(stderr, "%ld restarts, %.1f tasks/s\n", run->restarts, seconds > 0 ? (double)over / seconds : 0.0);
}

static int show_aside(ferry_session *worker, const ferry_message *message, void *userdata)
{
        struct run *run = userdata;

        (void)worker;
        clear_progress(run);
        print_aside(message, run->options);
        show_progress(run);
        return 0;
}

static void show_said(struct run *run, struct said *said)
{
        clear_progress(run);
        print_text("stderr", said->line, said->size, run->options);
        show_progress(run);
        said->size = 0;
}

/* Of who has written and is no more, the room is another's. */
static struct said *find_said(const struct run *run, const ferry_process *worker)
{
        struct said *unused = run->said;

        for (long i = 0; i < run->workers; i++) {
                if (run->said[i].worker == worker)
                        return &run->said[i];
                if (!run->said[i].worker)
                        unused = &run->said[i];
        }
        return unused;
}

/* Also what it says when it was told to end, and its session is over; but not when that was in the middle of its work. */
static void hear(ferry_process *worker, int fd, const char *bytes, size_t size, void *userdata)
{
        struct run *run = userdata;
        struct said *said = find_said(run, worker);

        (void)fd;
        if (run->is_given_up)
                return;
        said->worker = worker;
        for (size_t i = 0; i < size; i++) {
                if (bytes[i] != '\n')
                        said->line[said->size++] = bytes[i];
                if (bytes[i] == '\n' || said->size == sizeof said->line)
                        show_said(run, said);
        }
}

static int hear_last(ferry_manager *manager, ferry_process *worker, void *userdata)
{
        struct run *run = userdata;
        struct said *said = find_said(run, worker);

        (void)manager;
        if (said->worker == worker && said->size > 0)
                show_said(run, said);
        if (said->worker == worker)
                said->worker = NULL;
        return 0;
}

/* The end ------------------------------------------------------------------------------------------------- */

static void stop_reading(struct run *run)
{
        ferry_loop_off(run->loop, read_input, run);
        run->is_reading = false;
}

/* What is in hand is not waited for: who works on it is killed. What is done behind it is printed. */
static int give_up(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;

        (void)loop;
        if (run->is_given_up)
                return 0;
        run->is_given_up = run->is_ending = true;
        stop_reading(run);
        for (struct task *task = run->first; task; task = task->next) {
                task->call = ferry_call_free(task->call);
                run->held += !task->is_over;
                task->is_over = true;
        }
        ferry_manager_stop(run->manager, HURRY_MS);
        print_over(run);
        return 0;
}

static void end_if_done(struct run *run)
{
        bool is_all_given = run->signal || (run->lines.is_over && !lines_are_there(&run->lines));

        if (!is_all_given || run->first || run->is_ending)
                return;
        run->is_ending = true;
        ferry_manager_stop(run->manager, GRACE_MS);
}

/* The first one is passed on: who works may finish. The second one ends all of them. */
static int interrupt(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;
        bool is_again = run->signal != 0;
        ferry_process *process, *next;

        run->signal = signals_received();
        if (is_again)
                return give_up(loop, run);
        stop_reading(run);
        ferry_manager_kill(run->manager, run->signal);
        /* Who has died is not started again. */
        for (process = ferry_manager_child(run->manager, NULL); process; process = next) {
                next = ferry_manager_child(run->manager, process);
                if (ferry_process_result(process) != -EINPROGRESS)
                        ferry_process_free(process);
        }
        ferry_loop_after(loop, FINISH_MAX_MS, give_up, run);
        end_if_done(run);
        return 0;
}

/* Workers ------------------------------------------------------------------------------------------------- */

/* Once a signal has come none is started again; nor is one waited for that cannot be talked to any more. */
static int lose(ferry_session *worker, const ferry_message *message, void *userdata)
{
        struct run *run = userdata;
        FERRY_AUTO(ferry_value) info = run->options->is_verbose ? ferry_session_info(worker) : NULL;

        (void)message;
        if (info) {
                clear_progress(run);
                ferry_value_dump(info, stderr);
        }
        if (run->signal)
                ferry_process_free(ferry_session_process(worker));
        return 0;
}

static int count_start(ferry_manager *manager, ferry_process *process, void *userdata)
{
        struct run *run = userdata;
        ferry_session *worker = ferry_process_session(process);

        (void)manager;
        if (++run->started > run->workers)
                run->restarts++;
        ferry_session_on(worker, FERRY_KIND_NOTIFICATION | FERRY_KIND_JUNK | FERRY_KIND_ERROR, show_aside, run);
        ferry_session_on(worker, FERRY_KIND_CLOSED, lose, run);
        return 0;
}

/* Tasks --------------------------------------------------------------------------------------------------- */

static void report(struct run *run, long number, const char *reason)
{
        static const char child[] = "the child ";
        bool is_of_worker = strncmp(reason, child, sizeof child - 1) == 0;

        run->failed++;
        clear_progress(run);
        if (is_of_worker)
                complain("task %ld: its worker %s", number, reason + sizeof child - 1);
        else
                complain("task %ld: %s", number, reason);
}

static void free_task(struct task *task)
{
        ferry_message_unref(task->reply);
        ferry_value_unref(task->body);
        free(task);
}

/* Print what is over: as it comes, or in the order of the tasks. */
static void print_over(struct run *run)
{
        struct task **link = &run->first;
        bool is_good = true;

        while (*link && is_good) {
                struct task *task = *link;

                if (!task->is_over && run->options->is_ordered)
                        break;
                if (!task->is_over) {
                        link = &task->next;
                        continue;
                }
                clear_progress(run);
                if (task->reply) {
                        is_good = print_body(task->reply, run->options, true, task->number);
                        run->done += is_good;
                }
                *link = task->next;
                /* gcc-analyzer: what is taken out of the list is freed below */
                if (!task->next)
                        run->last = link;
                run->held--;
                free_task(task);
        }
        /* Who reads no more wants no more. */
        if (!is_good)
                give_up(run->loop, run);
        show_progress(run);
}

static void take_line(struct run *run)
{
        size_t size, offset = 0;
        const char *line = lines_next(&run->lines, &size);
        bool is_value = run->options->is_value;
        ferry_value *body = line ? body_of_line(line, size, is_value, &offset) : NULL;
        struct task *task = body ? calloc(1, sizeof *task) : NULL;
        char reason[128] = "no memory";

        run->taken++;
        if (!task) {
                if (!line)
                        snprintf(reason, sizeof reason, "the line has more than %zu bytes", run->lines.max);
                else if (!body && is_value)
                        snprintf(reason, sizeof reason, "the line is no JSON: it is wrong at byte %zu", offset);
                report(run, run->taken, reason);
                ferry_value_unref(body);
                return;
        }
        *task = (struct task){ .run = run, .number = run->taken, .body = body };
        *run->last = task;
        /* gcc-analyzer: it stands in the list */
        run->last = &task->next;
        run->in_hand++;
        give(task);
}

/* As many as there are workers; the rest is left where it is. */
static void feed(struct run *run)
{
        while (!run->is_ending && !run->signal && run->in_hand < run->workers && run->held < HELD_MAX &&
               lines_are_there(&run->lines))
                take_line(run);
        if (!run->is_ending && !run->signal && !run->is_reading && lines_want_more(&run->lines)) {
                run->is_reading = true;
                ferry_loop_watch(run->loop, STDIN_FILENO, POLLIN, read_input, run);
        }
        show_progress(run);
        end_if_done(run);
}

/* Whether it is worth another try: its worker has died, or did not answer; or it has not been tried, as all rested. */
static bool is_tried_again(struct task *task, const ferry_call *call)
{
        int status = ferry_call_status(call), kind = exit_status_of(status);

        if (status == -ETIMEDOUT && ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED && !task->run->signal &&
            task->waited_ms < REST_MAX_MS) {
                task->waited_ms += task->run->options->timeout_ms;
                return true;
        }
        return (kind == EXIT_CONNECTION || kind == EXIT_TIMEOUT) && status != -ECHILD && !task->run->signal &&
               task->tries++ < task->run->options->retry;
}

static void answered(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct task *task = userdata;
        struct run *run = task->run;

        task->call = NULL;
        if (!reply && is_tried_again(task, call)) {
                give(task);
                return;
        }
        run->in_hand--;
        run->held++;
        task->is_over = true;
        if (reply)
                task->reply = ferry_message_ref(reply);
        else {
                report(run, task->number, ferry_call_error(call));
                /* No worker is left, nor will be: the rest would wait for one. */
                if (ferry_call_status(call) == -ECHILD && !run->is_ending)
                        give_up(run->loop, run);
        }
        print_over(run);
        feed(run);
}

static void give(struct task *task)
{
        struct run *run = task->run;

        task->call = ferry_manager_request(run->manager, run->options->timeout_ms, run->type, "%p",
                                           (const void *)task->body);
        ferry_call_then(task->call, answered, task);
}

static int read_input(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;
        int error = lines_read(&run->lines, STDIN_FILENO);

        (void)loop;
        if (error) {
                run->input_error = error;
                run->lines.is_over = true;
                clear_progress(run);
                complain("reading failed: %s", strerror(-error));
        }
        feed(run);
        if (run->is_reading && lines_want_more(&run->lines))
                return 1;
        run->is_reading = false;
        return 0;
}

/* All of it ----------------------------------------------------------------------------------------------- */

static int start_workers(struct run *run, char **command)
{
        ferry_session_options session = session_options(run->options);
        ferry_process_options worker = {
                .is_on_stdio = true, .is_restarted = true, .death_signal = SIGTERM, .session = &session,
                .output = hear, .output_userdata = run,
        };

        ferry_manager_on(run->manager, FERRY_PROCESS_STARTED, count_start, run);
        ferry_manager_on(run->manager, FERRY_PROCESS_DIED | FERRY_PROCESS_ENDED, hear_last, run);
        for (long i = 0; i < run->workers; i++) {
                ferry_process *process =
                        ferry_process_spawn(run->manager, (const char *const *)(uintptr_t)command, &worker);

                if (ferry_process_result(process) != -EINPROGRESS) {
                        complain("%s", ferry_process_error(process));
                        return EXIT_CONNECTION;
                }
        }
        return EXIT_DONE;
}

/* From the first worker on none of them may end us; who waits takes what has come before. */
static void block(const int *signals)
{
        sigset_t set;

        sigemptyset(&set);
        for (; *signals; signals++)
                sigaddset(&set, *signals);
        sigprocmask(SIG_BLOCK, &set, NULL);
}

static int run_all(struct run *run, char **command)
{
        int status, result;

        signals_watch(run->loop, 2, interrupt, run);
        status = start_workers(run, command);
        if (status) {
                ferry_manager_stop(run->manager, 0);
                return status;
        }
        feed(run);
        result = ferry_manager_wait(run->manager, NULL, NULL);
        summarize(run);
        if (ferry_manager_killed(run->manager))
                complain("%u workers had to be killed", ferry_manager_killed(run->manager));
        if (run->signal)
                return 128 + run->signal;
        if (result > FERRY_PROCESS_KILLED)
                return 128 + result - FERRY_PROCESS_KILLED;
        if (result < 0) {
                complain("%s", ferry_loop_error(run->loop));
                return EXIT_CONNECTION;
        }
        return output_status(run->failed ? EXIT_ANSWERED_ERROR : run->input_error ? EXIT_REFUSED : EXIT_DONE);
}

/* A worker is one session, which its dialect must be made for. */
static bool can_be_talked_to(unsigned dialects)
{
        return dialects == FERRY_DIALECT_PCNTL || !(dialects & (FERRY_DIALECT_INNMIND | FERRY_DIALECT_PCNTL));
}

static int run_tasks(const struct cli_options *options, char **arguments, int count)
{
        /* The rest is passed on by the manager. */
        static const int passed_on[] = { SIGALRM, SIGUSR1, SIGUSR2, 0 };
        struct run run = {
                .options = options, .type = options->type ? options->type : "task", .workers = options->workers,
        };
        int status;

        (void)count;
        if (!can_be_talked_to(options->dialects)) {
                complain("workers are talked to in one of ferry, stream-ipc and pcntl; innmind is for services");
                return EXIT_USAGE;
        }
        if (run.workers == 0)
                run.workers = processors_available("");
        run.last = &run.first;
        run.lines.max = body_max(options->is_value);
        run.is_on_terminal = isatty(STDERR_FILENO);
        clock_gettime(CLOCK_MONOTONIC, &run.began);
        block(passed_on);
        run.said = calloc((size_t)run.workers, sizeof *run.said);
        if (!run.said) {
                complain("no memory for %ld workers", run.workers);
                return EXIT_CONNECTION;
        }
        run.loop = ferry_loop_new(NULL);
        /* No more tasks are taken than there are workers: those fit. */
        run.manager = ferry_manager_new(run.loop, &(ferry_manager_options){
                .is_forwarding = true, .signals = passed_on, .session = &(ferry_session_options){ .queue_max = SIZE_MAX } });
        status = run_all(&run, arguments);
        /* What is left of them is not reported any more. */
        while (run.first) {
                struct task *next = run.first->next;

                ferry_call_free(run.first->call);
                free_task(run.first);
                run.first = next;
        }
        ferry_loop_free(run.loop);
        lines_free(&run.lines);
        free(run.said);
        return status;
}

const struct cli_command command_run = {
        .name = "run",
        .arguments = "[--] COMMAND [ARGUMENT]...",
        .summary = "give each line of stdin as a task to one of N workers, print their answers",
        .options = (const char *const[]){ "workers", "type", "ordered", "retry", "dialect", "codec", "namespace", "timeout",
                                          "json", "value", "verbose", NULL },
        .least = 1,
        .most = INT32_MAX,
        .is_wrapper = true,
        .run = run_tasks,
};
