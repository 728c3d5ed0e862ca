/* The tasks of ferry run: taken from the input, given to workers, answered. Invariants: each line is a task that ends
 * once, as done or with a reason, unless the run ends before; no more tasks are in hand than there are workers, so that
 * the time of a task begins when it is given to one; none is begun while stdout takes no more; the answers that wait for a
 * task before them are bounded in number and bytes. The task that they wait for is in hand, so it ends, and they do not
 * wait forever. */
#include "run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        HELD_MAX = 1000,                /* answers that wait for those before them */
        HELD_BYTES_MAX = 16 << 20,      /* beyond these no further task is begun */
        LABEL_MAX = 1024,
        LISTED_MAX = 10,
};

static int read_input(ferry_loop *loop, void *userdata);
static int print_on(ferry_loop *loop, void *userdata);
static void give(struct task *task);

/* The text of a task in one line: tabs, newlines and other control characters are escaped, and a long one is cut. */
static char *make_label(const char *text, size_t size)
{
        size_t shown = !text ? 0 : size < LABEL_MAX ? size : LABEL_MAX;
        char *label = malloc(shown * 4 + sizeof "..."), *at = label;

        if (!label)
                return NULL;
        for (size_t i = 0; i < shown; i++) {
                unsigned char byte = (unsigned char)text[i];
                const char *simple = "\\\\\tt\nn\rr";

                while (*simple && (unsigned char)*simple != byte)
                        simple += 2;
                if (*simple && byte) {
                        *at++ = '\\';
                        *at++ = simple[1];
                } else if (byte < ' ' || byte == 0x7f)
                        at += sprintf(at, "\\x%02x", byte);
                else
                        *at++ = (char)byte;
        }
        *at = '\0';
        if (shown < size)
                memcpy(at, "...", sizeof "...");
        return label;
}

/* Ends ---------------------------------------------------------------------------------------------------- */

static double seconds_now(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void begin_clock(struct task *task)
{
        task->date = seconds_now(CLOCK_REALTIME);
        task->began = task->ended = seconds_now(CLOCK_MONOTONIC);
}

static void report(struct run *run, long number, const char *ending, const char *reason)
{
        run->failed++;
        progress_clear(run);
        if (*ending)
                complain("task %ld: its worker %s", number, ending);
        else
                complain("task %ld: %s", number, reason);
}

/* What a worker elsewhere has done is known by the outcome only. */
static void report_outcome(struct run *run, long number, const ferry_call *call)
{
        enum ferry_outcome outcome = ferry_call_outcome(call);

        run->failed++;
        progress_clear(run);
        complain("task %ld: %s%s", number, outcome == FERRY_OUTCOME_UNKNOWN ? "outcome unknown: " :
                 outcome == FERRY_OUTCOME_NOT_EXECUTED ? "not executed: " : "", ferry_call_error(call));
}

static void log_task(struct task *task, struct joblog_entry entry)
{
        entry.number = task->number;
        entry.date = task->date;
        entry.seconds = task->ended - task->began;
        entry.sent = task->sent;
        entry.label = task->label;
        joblog_add(task->run, &entry);
}

static void log_failure(struct task *task, const ferry_call *call)
{
        struct joblog_entry entry = { .exit_value = exit_status_of(ferry_call_status(call)) };
        int exit_status = ferry_call_exit_status(call);

        if (!task->run->joblog)
                return;
        /* Of the worker that the task has ended. One that exits with 0 has not done it. */
        if (exit_status > FERRY_PROCESS_KILLED)
                entry = (struct joblog_entry){ .exit_value = 0, .signal = exit_status - FERRY_PROCESS_KILLED };
        else if (exit_status > 0)
                entry.exit_value = exit_status;
        entry.outcome = ferry_call_outcome(call) == FERRY_OUTCOME_REPLIED      ? "failed" :
                        ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED ? "not executed" :
                                                                                 "unknown";
        log_task(task, entry);
}

/* Reports to the stream, once, that its task has ended, … */
static void settle(struct task *task, bool is_done)
{
        if (task->delivery)
                durable_end(task->run->durable, task->delivery, task->number, is_done);
        task->delivery = ferry_message_unref(task->delivery);
}

/* … or that it was not tried to its end. */
static void give_back(struct task *task)
{
        if (task->delivery)
                durable_return(task->run->durable, task->delivery, task->number);
        task->delivery = ferry_message_unref(task->delivery);
}

static void free_task(struct task *task)
{
        ferry_message_unref(task->delivery);
        ferry_value_unref(task->answer);
        ferry_value_unref(task->body);
        free(task->label);
        free(task);
}

static void take_out(struct run *run, struct task **link)
{
        struct task *task = *link;

        *link = task->next;
        /* gcc-analyzer: what is taken out of the list is freed below */
        if (!task->next)
                run->last = link;
        run->held--;
        run->held_bytes -= task->size;
        free_task(task);
}

/* The task whose answer is printed next: one of which stdout has taken a part, else the first that is over, which with --ordered
 * must be the first of all. */
static struct task **find_next(struct run *run)
{
        struct task **link = &run->first;

        while (*link && (run->printing ? *link != run->printing : !(*link)->is_over && !run->options->is_ordered))
                link = &(*link)->next;
        return *link && (*link)->is_over ? link : NULL;
}

/* As much of an answer as stdout takes now. Nothing blocks here, so that the answers of other workers are read in time. 1: all of
 * it; 0: not yet; negative: stdout takes no more. */
static int print_answer(struct run *run, struct task *task)
{
        size_t size;
        const char *bytes = ferry_value_bytes(task->answer, &size);
        ssize_t taken;

        progress_clear(run);
        if (output_is_terminal())
                return print_bytes(bytes, size) ? 1 : -1;
        taken = output_try(bytes + run->printed, size - run->printed);
        if (taken < 0)
                return -1;
        joblog_count_sent(run, (size_t)taken);
        run->printed += (size_t)taken;
        run->printing = run->printed < size ? task : NULL;
        if (run->printing)
                return 0;
        run->printed = 0;
        return 1;
}

/* Print the answers of the tasks that are over: as they come, or in the order of the tasks. */
static void print_over(struct run *run)
{
        struct task **link;
        int result = 1;

        while (result > 0 && (link = find_next(run))) {
                struct task *task = *link;

                if (task->answer)
                        result = print_answer(run, task);
                if (task->answer && result > 0) {
                        run->done++;
                        settle(task, true);
                        log_task(task, (struct joblog_entry){ .received = task->size - 1, .is_answered = true, .outcome = "replied" });
                }
                if (result > 0)
                        take_out(run, link);
        }
        if (result == 0 && !run->is_writing) {
                run->is_writing = true;
                ferry_loop_watch(run->loop, STDOUT_FILENO, POLLOUT, print_on, run);
        }
        /* A reader that has gone wants no more. */
        if (result < 0)
                run_give_up(run, EXIT_DONE);
        progress_show(run);
}

static int print_on(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;

        (void)loop;
        print_over(run);
        halt_check(run);
        tasks_feed(run);
        run->is_writing = run->printing != NULL;
        return run->is_writing;
}

void tasks_flush(struct run *run)
{
        while (run->printing && output_is_good()) {
                int ready = signals_poll(STDOUT_FILENO, POLLOUT, -1);

                if (ready <= 0) {
                        output_fail(ready < 0 ? -ready : ETIMEDOUT);
                        return;
                }
                print_over(run);
        }
}

static void end_task(struct task *task, ferry_value *answer)
{
        struct run *run = task->run;

        task->is_over = true;
        task->answer = answer;
        if (answer)
                ferry_value_bytes(answer, &task->size);
        task->body = ferry_value_unref(task->body);
        run->held++;
        run->held_bytes += task->size;
}

/* Whether a task is worth another try: its worker has died, or did not answer. */
static bool is_tried_again(struct task *task, const ferry_call *call)
{
        int status = ferry_call_status(call), kind = exit_status_of(status);

        /* A stream delivers it again. */
        if (task->run->phase != RUN_WORKING || task->delivery)
                return false;
        return (kind == EXIT_CONNECTION || kind == EXIT_TIMEOUT) && status != -ECHILD &&
               task->tries++ < task->run->options->retry;
}

/* Where tasks are stored, the answer is the confirmation of the server; or it says no. */
static bool is_refused_by_stream(const struct run *run, const ferry_message *reply, char *reason, size_t room)
{
        FERRY_AUTO(ferry_value) answer = run->is_storing ? jetstream_read(reply) : NULL;

        if (!run->is_storing)
                return false;
        if (ferry_value_get(answer, "seq") && !jetstream_refusal(answer))
                return false;
        snprintf(reason, room, "it was not stored: %s", jetstream_refusal(answer) ? jetstream_refusal(answer) :
                                                        "the answer is no confirmation of a stream");
        return true;
}

static void end_by_call(struct task *task, const ferry_call *call, const ferry_message *reply)
{
        struct run *run = task->run;
        char refusal[256] = "";
        ferry_value *answer = reply && !is_refused_by_stream(run, reply, refusal, sizeof refusal) ?
                                      body_line(reply, run->options, task->number) : NULL;

        run->in_hand--;
        task->ended = seconds_now(CLOCK_MONOTONIC);
        end_task(task, answer);
        if (answer)
                return;
        settle(task, false);
        if (*refusal)
                report(run, task->number, "", refusal);
        else if (!reply && run->is_remote)
                report_outcome(run, task->number, call);
        else
                report(run, task->number, reply ? "" : ferry_call_ending(call), reply ? "no memory for its answer" : ferry_call_error(call));
        log_failure(task, call);
}

static void answered(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct task *task = userdata;
        struct run *run = task->run;
        int kind = exit_status_of(ferry_call_status(call));
        enum ferry_outcome outcome = ferry_call_outcome(call);

        task->call = NULL;
        run->answers += outcome == FERRY_OUTCOME_REPLIED;
        run->lost += kind == EXIT_CONNECTION || kind == EXIT_TIMEOUT;
        if (!reply && is_tried_again(task, call))
                give(task);
        else if (ferry_call_status(call) == -ECHILD && run->phase < RUN_GIVEN_UP) {
                /* No worker is left, nor will be: this task and the rest would wait for one. */
                progress_clear(run);
                complain("giving up: %s", ferry_call_error(call));
                run_give_up(run, EXIT_CONNECTION);
        } else
                end_by_call(task, call, reply);
        run_check_workers(run, ferry_call_ending(call), ferry_call_error(call));
        print_over(run);
        halt_check(run);
        tasks_feed(run);
}

static void note_part(ferry_call *call, const ferry_message *part, void *userdata)
{
        (void)call;
        progress_note(userdata, part);
}

static void give(struct task *task)
{
        struct run *run = task->run;

        *task->progress = '\0';
        task->call = ferry_manager_request_value(run->manager, run->options->timeout_ms, run->type, task->body);
        /* Of a dialect without parts none come. */
        ferry_call_on_progress(task->call, note_part, task);
        ferry_call_then(task->call, answered, task);
}

void tasks_drop(struct run *run)
{
        for (struct task *task = run->first; task; task = task->next) {
                if (task->is_over)
                        continue;
                task->call = ferry_call_free(task->call);
                run->in_hand--;
                give_back(task);
                end_task(task, NULL);
        }
        print_over(run);
}

void tasks_return(struct run *run)
{
        for (struct task *task = run->first; task; task = task->next)
                give_back(task);
}

void tasks_free(struct run *run)
{
        while (run->first) {
                struct task *next = run->first->next;

                ferry_call_free(run->first->call);
                free_task(run->first);
                run->first = next;
        }
        lines_free(&run->lines);
}

/* Beginnings ---------------------------------------------------------------------------------------------- */

/* Whether the log says that the task need not be done. */
static bool is_skipped(struct run *run, const struct task *task)
{
        switch (run->joblog ? joblog_find(run->joblog, task->number, task->label) : JOBLOG_UNKNOWN) {
        case JOBLOG_GOOD:
                break;
        case JOBLOG_FAILED:
                if (run->options->is_failed_again)
                        return false;
                break;
        case JOBLOG_CHANGED:
                progress_clear(run);
                complain("task %ld is not the one that '%s' has with this number: resume with the same input", task->number,
                         run->options->joblog);
                run_finish(run, EXIT_REFUSED);
                return true;
        case JOBLOG_UNKNOWN:
                return false;
        }
        run->skipped++;
        return true;
}

static void refuse(struct task *task, const char *reason)
{
        report(task->run, task->number, "", reason);
        log_task(task, (struct joblog_entry){ .exit_value = EXIT_REFUSED, .outcome = "not executed" });
        halt_check(task->run);
        free_task(task);
}

static void take_line(struct run *run)
{
        size_t size = 0;
        const char *line = lines_next(&run->lines, &size);
        bool is_value = run->options->is_value;
        struct task *task = calloc(1, sizeof *task);
        char reason[192] = "no memory", wrong[160] = "no memory is left to read it";

        run->taken++;
        /* The text of a line that is too long is not known. */
        if (!line)
                size = 0;
        if (task)
                *task = (struct task){ .run = run, .number = run->taken, .sent = size, .label = make_label(line, size) };
        if (!task || !task->label) {
                report(run, run->taken, "", reason);
                free(task);
                return;
        }
        if (is_skipped(run, task)) {
                free_task(task);
                return;
        }
        begin_clock(task);
        task->body = line ? body_of_line(line, size, is_value, wrong, sizeof wrong) : NULL;
        if (!line)
                snprintf(reason, sizeof reason, "the line has more than %zu bytes", run->lines.max);
        else if (is_value)
                snprintf(reason, sizeof reason, "the line is not JSON: %s", wrong);
        if (!task->body) {
                refuse(task, reason);
                return;
        }
        *run->last = task;
        /* gcc-analyzer: it stands in the list */
        run->last = &task->next;
        run->in_hand++;
        give(task);
}

static void take_delivery(struct run *run, const ferry_message *delivery)
{
        FERRY_AUTO(ferry_value) text = body_text(delivery);
        size_t size = 0;
        const char *bytes = ferry_value_bytes(text, &size);
        struct task *task = calloc(1, sizeof *task);

        run->taken++;
        if (task)
                *task = (struct task){ .run = run, .number = run->taken, .sent = size, .label = make_label(bytes, size),
                                       .body = ferry_value_ref(ferry_message_body(delivery)) };
        if (!task || !task->label || !task->body) {
                report(run, run->taken, "", "no memory");
                durable_end(run->durable, delivery, run->taken, false);
                if (task)
                        free_task(task);
                return;
        }
        task->delivery = ferry_message_ref(delivery);
        begin_clock(task);
        *run->last = task;
        /* gcc-analyzer: it stands in the list */
        run->last = &task->next;
        run->in_hand++;
        give(task);
}

/* The tasks that were read are numbered on. */
void tasks_list(struct run *run)
{
        long count = 0;

        progress_clear(run);
        for (const struct task *task = run->first; task; task = task->next)
                if (!task->is_over && ++count <= LISTED_MAX)
                        complain("task %ld was not done: %s", task->number, task->label);
        while (lines_are_there(&run->lines)) {
                struct task task = { .run = run, .number = ++run->taken };
                size_t size = 0;
                const char *line = lines_next(&run->lines, &size);

                task.label = make_label(line, line ? size : 0);
                if (task.label && !is_skipped(run, &task) && ++count <= LISTED_MAX)
                        complain("task %ld was not done: %s", task.number, task.label);
                free(task.label);
        }
        if (count > LISTED_MAX)
                complain("%ld more tasks were read and not done", count - LISTED_MAX);
        if (!run->lines.is_over && !run->durable)
                complain("the rest of stdin was not read");
}

static bool has_room(const struct run *run)
{
        return run->in_hand < run->workers && !run->printing && run->held < HELD_MAX && run->held_bytes < HELD_BYTES_MAX;
}

static void take_deliveries(struct run *run)
{
        ferry_message *delivery;

        while (run->durable && run->phase == RUN_WORKING && has_room(run) && (delivery = durable_next(run->durable))) {
                take_delivery(run, delivery);
                ferry_message_unref(delivery);
        }
        if (run->durable && run->phase == RUN_WORKING && has_room(run))
                durable_want(run->durable, run->workers - run->in_hand);
}

/* As many as there are workers; the rest is left where it is. */
void tasks_feed(struct run *run)
{
        take_deliveries(run);
        while (run->phase == RUN_WORKING && has_room(run) && lines_are_there(&run->lines))
                take_line(run);
        if (run->phase == RUN_WORKING && !run->durable && !run->is_reading && lines_want_more(&run->lines)) {
                run->is_reading = true;
                ferry_loop_watch(run->loop, STDIN_FILENO, POLLIN, read_input, run);
        }
        progress_show(run);
        run_end_if_done(run);
}

static int read_input(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;
        int error = run->phase == RUN_WORKING ? lines_read(&run->lines, STDIN_FILENO) : 0;

        (void)loop;
        if (error) {
                run->input_error = error;
                run->lines.is_over = true;
                progress_clear(run);
                complain("cannot read stdin: %s", strerror(-error));
        }
        tasks_feed(run);
        if (run->is_reading && run->phase == RUN_WORKING && lines_want_more(&run->lines))
                return 1;
        run->is_reading = false;
        return 0;
}
