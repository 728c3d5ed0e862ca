/* ferry run: tasks from stdin, one a line, for so many workers at once; their answers on stdout, and on stderr how it goes.
 * Each task ends once, as done or with a reason. */
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
        LINE_MAX_SIZE = 16 << 20,
        AHEAD = 2,              /* tasks that are read for each worker */
        GRACE_MS = 1000,
};

struct run;

struct task {
        struct task *next;
        struct run *run;
        long number;
        char *line;
        size_t size;
        long tries;
        ferry_message *reply;   /* it is done, and waits for those before it */
        bool is_over;
};

struct run {
        const struct cli_options *options;
        ferry_loop *loop;
        ferry_manager *manager;
        const char *type;
        long workers;
        struct task *first, **last;     /* those that are not over, or wait for those before them */
        char *input;
        size_t input_size, input_capacity;
        long read, done, failed, restarts, started;
        long in_hand;
        bool is_reading;
        bool is_input_over;
        bool is_ending;
        struct timespec began;
};

static int read_tasks(ferry_loop *loop, void *userdata);
static void give(struct task *task);

/* What people see ----------------------------------------------------------------------------------------- */

static double seconds_since(const struct timespec *began)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* A line that is drawn again and again. */
static void show_progress(const struct run *run)
{
        enum { WIDTH = 30 };
        char bar[WIDTH + 1];
        long over = run->done + run->failed;
        int filled = run->read > 0 ? (int)(over * WIDTH / run->read) : 0;

        if (!isatty(STDERR_FILENO))
                return;
        memset(bar, '.', WIDTH);
        memset(bar, '#', (size_t)filled);
        bar[WIDTH] = '\0';
        fprintf(stderr, "\r\033[K[%s] %ld of %ld%s", bar, over, run->read, run->is_input_over ? "" : " so far");
        if (run->failed)
                fprintf(stderr, ", %ld failed", run->failed);
}

static void clear_progress(void)
{
        if (isatty(STDERR_FILENO))
                fputs("\r\033[K", stderr);
}

static void summarize(const struct run *run)
{
        double seconds = seconds_since(&run->began);

        clear_progress();
        fprintf(stderr, "ferry: %ld done, %ld failed, %ld restarts, %.1f tasks/s\n", run->done, run->failed, run->restarts,
                seconds > 0 ? (double)(run->done + run->failed) / seconds : 0.0);
}

static int show_aside(ferry_session *worker, const ferry_message *message, void *userdata)
{
        const struct run *run = userdata;

        (void)worker;
        clear_progress();
        print_aside(message, run->options);
        show_progress(run);
        return 0;
}

static int count_start(ferry_manager *manager, ferry_process *process, void *userdata)
{
        struct run *run = userdata;

        (void)manager;
        if (++run->started > run->workers)
                run->restarts++;
        ferry_session_on(ferry_process_session(process), FERRY_KIND_NOTIFICATION | FERRY_KIND_JUNK | FERRY_KIND_ERROR,
                         show_aside, run);
        return 0;
}

/* Tasks --------------------------------------------------------------------------------------------------- */

static void end_if_done(struct run *run)
{
        if (!run->is_input_over || run->first || run->is_ending)
                return;
        run->is_ending = true;
        ferry_manager_stop(run->manager, GRACE_MS);
}

static void read_more(struct run *run)
{
        if (run->is_reading || run->is_input_over || run->in_hand >= run->workers * AHEAD)
                return;
        run->is_reading = true;
        ferry_loop_watch(run->loop, STDIN_FILENO, POLLIN, read_tasks, run);
}

static void stop_reading(struct run *run)
{
        run->is_input_over = true;
        ferry_loop_off(run->loop, read_tasks, run);
        run->is_reading = false;
}

/* Print what is over: as it comes, or in the order of the tasks. */
static void print_over(struct run *run)
{
        struct task **link = &run->first;

        while (*link) {
                struct task *task = *link;

                if (!task->is_over && run->options->is_ordered)
                        break;
                if (!task->is_over) {
                        link = &task->next;
                        continue;
                }
                clear_progress();
                if (task->reply && !print_body(task->reply, run->options, true))
                        stop_reading(run);
                *link = task->next;
                /* gcc-analyzer: what is taken out of the list is freed below */
                if (!task->next)
                        run->last = link;
                ferry_message_unref(task->reply);
                free(task->line);
                free(task);
        }
        show_progress(run);
        end_if_done(run);
}

static void answered(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct task *task = userdata;
        struct run *run = task->run;
        int status = ferry_call_status(call);

        if (!reply && status != -EREMOTEIO && status != -ECANCELED && status != -ECHILD && task->tries++ < run->options->retry) {
                give(task);
                return;
        }
        run->in_hand--;
        task->is_over = true;
        if (reply) {
                run->done++;
                task->reply = ferry_message_ref(reply);
        } else {
                run->failed++;
                clear_progress();
                complain("task %ld: %s", task->number, ferry_call_error(call));
        }
        print_over(run);
        read_more(run);
}

static void give(struct task *task)
{
        struct run *run = task->run;
        ferry_value *body = body_of_line(task->line, task->size, run->options->is_value);
        ferry_call *call;

        if (!body) {
                run->in_hand--;
                run->failed++;
                task->is_over = true;
                complain("task %ld: the line is no JSON", task->number);
                return;
        }
        call = ferry_manager_request(run->manager, run->options->timeout_ms, run->type, "%p", (const void *)body);
        ferry_value_unref(body);
        ferry_call_then(call, answered, task);
}

static bool add_task(struct run *run, const char *line, size_t size)
{
        struct task *task = calloc(1, sizeof *task);

        if (task)
                task->line = malloc(size + 1);
        if (!task || !task->line) {
                free(task);
                complain("no memory");
                return false;
        }
        memcpy(task->line, line, size);
        task->size = size;
        task->run = run;
        task->number = ++run->read;
        *run->last = task;
        /* gcc-analyzer: it stands in the list */
        run->last = &task->next;
        run->in_hand++;
        give(task);
        return true;
}

/* The lines that are there; what is left of the last one is moved to the front. */
static bool take_lines(struct run *run, bool is_last)
{
        size_t begin = 0;
        char *newline;

        while ((newline = memchr(run->input + begin, '\n', run->input_size - begin))) {
                size_t size = (size_t)(newline - run->input) - begin;

                if (!add_task(run, run->input + begin, size))
                        return false;
                begin += size + 1;
        }
        if (is_last && run->input_size > begin) {
                if (!add_task(run, run->input + begin, run->input_size - begin))
                        return false;
                begin = run->input_size;
        }
        run->input_size -= begin;
        memmove(run->input, run->input + begin, run->input_size);
        return true;
}

static int read_tasks(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;
        ssize_t got;

        (void)loop;
        if (run->input_capacity - run->input_size < 4096) {
                size_t capacity = run->input_capacity ? run->input_capacity * 2 : 8192;
                char *grown = capacity <= LINE_MAX_SIZE * 2 ? realloc(run->input, capacity) : NULL;

                if (!grown) {
                        complain("a line is too long");
                        stop_reading(run);
                        end_if_done(run);
                        return 0;
                }
                run->input = grown;
                run->input_capacity = capacity;
        }
        got = read(STDIN_FILENO, run->input + run->input_size, 4096);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return 1;
        if (got > 0)
                run->input_size += (size_t)got;
        else
                run->is_input_over = true;
        if (!take_lines(run, got <= 0))
                run->is_input_over = true;
        print_over(run);
        if (!run->is_input_over && run->in_hand < run->workers * AHEAD)
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
        };

        ferry_manager_on(run->manager, FERRY_PROCESS_STARTED, count_start, run);
        for (long i = 0; i < run->workers; i++) {
                ferry_process *process = ferry_process_spawn(run->manager, (const char *const *)(uintptr_t)command, &worker);

                if (ferry_process_result(process) != -EINPROGRESS) {
                        complain("%s", ferry_process_error(process));
                        return EXIT_CONNECTION;
                }
        }
        return EXIT_DONE;
}

static int run_all(struct run *run, char **command)
{
        int status = start_workers(run, command), result;

        if (status) {
                ferry_manager_stop(run->manager, 0);
                return status;
        }
        read_more(run);
        result = ferry_manager_wait(run->manager, NULL, NULL);
        summarize(run);
        if (ferry_manager_killed(run->manager))
                complain("%u workers had to be killed", ferry_manager_killed(run->manager));
        if (result > FERRY_PROCESS_KILLED)
                return 128 + result - FERRY_PROCESS_KILLED;
        if (result < 0)
                complain("%s", ferry_loop_error(run->loop));
        return result < 0 ? EXIT_CONNECTION : output_status(run->failed ? EXIT_ANSWERED_ERROR : EXIT_DONE);
}

static int run_tasks(const struct cli_options *options, char **arguments, int count)
{
        struct run run = { .options = options, .type = options->type ? options->type : "task", .workers = options->workers };
        int status;

        (void)count;
        if (run.workers == 0)
                run.workers = sysconf(_SC_NPROCESSORS_ONLN) > 0 ? sysconf(_SC_NPROCESSORS_ONLN) : 1;
        run.last = &run.first;
        clock_gettime(CLOCK_MONOTONIC, &run.began);
        run.loop = ferry_loop_new(NULL);
        run.manager = ferry_manager_new(run.loop, &(ferry_manager_options){ .is_forwarding = true });
        status = run_all(&run, arguments);
        ferry_loop_free(run.loop);
        while (run.first) {
                struct task *next = run.first->next;

                free(run.first->line);
                free(run.first);
                run.first = next;
        }
        free(run.input);
        return status;
}

const struct cli_command command_run = {
        .name = "run",
        .arguments = "-- COMMAND [ARGUMENT]...",
        .summary = "give each line of stdin as a task to one of N workers, print their answers",
        .options = (const char *const[]){ "workers", "type", "ordered", "retry", "dialect", "codec", "namespace", "timeout", "json",
                                          "value", "verbose", NULL },
        .least = 1,
        .most = INT32_MAX,
        .run = run_tasks,
};
