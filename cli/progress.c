/* What ferry run shows on stderr: a bar on a terminal, what the workers say, and a summary. */
#include "run.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
        REDRAW_MS = 50,
        TICK_MS = 1000,         /* while nothing happens */
        COLUMNS_DEFAULT = 80,
        LINE_SIZE = 1024,
};

static double seconds_since(const struct timespec *began)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* How many tasks there are. Of a file that is read the rest has lines as long as those that were read. */
static double count_tasks(const struct run *run)
{
        double all = (double)run->lines.reported;

        if (run->lines.is_over || (double)run->lines.read >= run->input_size)
                return run->lines.is_over ? all : 0;
        return all * run->input_size / (double)run->lines.read;
}

/* ", 3 min 07 s left", or nothing. */
static void describe_left(const struct run *run, double now, char *text, size_t size)
{
        struct estimate estimate = {
                .all = count_tasks(run) - (double)run->skipped, .over = (double)(run->done + run->failed),
                .workers = (double)run->workers, .ended = run->ended, .now = now,
        };
        double left = run->phase == RUN_WORKING ? estimate_left(&estimate) : -1;
        char time[ESTIMATE_SIZE];

        *text = '\0';
        if (left < 0)
                return;
        estimate_describe(left, time);
        snprintf(text, size, ", %s", time);
}

static size_t count_columns(void)
{
        struct winsize size = { 0 };

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
}

/* As many tasks as fit into a line of the terminal, which would wrap otherwise, and could not be drawn again. */
static void append_tasks(const struct run *run, char *line, size_t used)
{
        size_t room = count_columns();

        room = room < LINE_SIZE ? room : LINE_SIZE - 1;
        for (const struct task *task = run->first; task; task = task->next) {
                char text[PROGRESS_SIZE + 32];
                size_t size;

                if (task->is_over || !*task->progress)
                        continue;
                size = (size_t)snprintf(text, sizeof text, " | %ld: %s", task->number, task->progress);
                if (used + size >= room)
                        return;
                memcpy(line + used, text, size + 1);
                used += size;
        }
}

/* The end of a text that does not fit is cut, between two characters. */
static void describe_text(const ferry_message *part, char text[PROGRESS_SIZE])
{
        FERRY_AUTO(ferry_value) body = body_text(part);
        size_t size = 0, used = 0;
        const char *bytes = ferry_value_bytes(body, &size);

        while (bytes && size > 0) {
                char piece[ESCAPED_MAX];
                size_t taken, shown = escape_next(bytes, size, ESCAPE_LINE, piece, &taken);

                if (used + shown >= PROGRESS_SIZE)
                        break;
                memcpy(text + used, piece, shown);
                used += shown;
                bytes += taken;
                size -= taken;
        }
        text[used] = '\0';
}

void progress_note(struct task *task, const ferry_message *part)
{
        const ferry_value *body = ferry_message_body(part);
        enum ferry_value_kind kind = ferry_value_kind(body);

        if (!task->run->is_on_terminal)
                return;
        if (kind == FERRY_VALUE_INT || kind == FERRY_VALUE_DOUBLE)
                snprintf(task->progress, sizeof task->progress, "%.4g%%", kind == FERRY_VALUE_INT ? (double)ferry_value_int(body, 0) :
                                                                                                   ferry_value_double(body, 0));
        else
                describe_text(part, task->progress);
        progress_show(task->run);
}

/* A line that is drawn again and again, but not so often that drawing is what takes the time. */
void progress_show(struct run *run)
{
        enum { WIDTH = 30 };
        char bar[WIDTH + 1], failed[32] = "", left[ESTIMATE_SIZE + 2], line[LINE_SIZE + 8];
        static const char erase[] = "\r\033[K";
        long over = run->done + run->failed + run->skipped, all = run->lines.reported;
        double now;

        if (!run->is_on_terminal || all == 0)
                return;
        now = seconds_since(&run->began);
        if (run->done + run->failed > run->counted) {
                run->counted = run->done + run->failed;
                run->ended = now;
        }
        if (run->drawn > 0 && now - run->drawn < REDRAW_MS / 1e3)
                return;
        run->drawn = now;
        run->is_progress_shown = true;
        memset(bar, '.', WIDTH);
        memset(bar, '#', (size_t)(over * WIDTH / all));
        bar[WIDTH] = '\0';
        if (run->failed)
                snprintf(failed, sizeof failed, ", %ld failed", run->failed);
        describe_left(run, now, left, sizeof left);
        memcpy(line, erase, sizeof erase);
        snprintf(line + strlen(erase), LINE_SIZE, "[%s] %ld of %ld%s%s%s", bar, over, all, run->lines.is_over ? "" : " so far", failed, left);
        append_tasks(run, line + strlen(erase), strlen(line) - strlen(erase));
        error_draw(line, strlen(line));
}

static int redraw(ferry_loop *loop, void *userdata)
{
        (void)loop;
        progress_show(userdata);
        return 1;
}

void progress_begin(struct run *run)
{
        struct stat input;

        if (!run->is_on_terminal)
                return;
        if (fstat(STDIN_FILENO, &input) == 0 && S_ISREG(input.st_mode))
                run->input_size = (double)input.st_size;
        ferry_loop_after(run->loop, TICK_MS, redraw, run);
}

void progress_stop_clock(struct run *run)
{
        ferry_loop_off(run->loop, redraw, run);
        run->seconds = seconds_since(&run->began);
}

void progress_clear(struct run *run)
{
        if (run->is_progress_shown)
                error_draw("\r\033[K", strlen("\r\033[K"));
        run->is_progress_shown = false;
}

void progress_summarize(struct run *run)
{
        double seconds = run->seconds;
        long over = run->done + run->failed, left = run->lines.reported - over - run->skipped;
        char skipped[48] = "", not_done[48] = "", returned[64] = "";

        progress_clear(run);
        if (run->options->is_quiet)
                return;
        if (run->skipped > 0)
                snprintf(skipped, sizeof skipped, "%ld skipped, ", run->skipped);
        if (left > 0)
                snprintf(not_done, sizeof not_done, "%ld not done, ", left);
        if (run->returned > 0)
                snprintf(returned, sizeof returned, "%ld of them delivered again, ", run->returned);
        inform("%ld done, %ld failed, %s%s%s%ld restarts, %.1f tasks/s", run->done, run->failed, returned, skipped, not_done, run->restarts,
               seconds > 0 ? (double)over / seconds : 0.0);
}

int progress_show_aside(ferry_session *worker, const ferry_message *message, void *userdata)
{
        struct run *run = userdata;

        (void)worker;
        progress_clear(run);
        print_aside(message, run->options);
        progress_show(run);
        return 0;
}

static void show_said(struct run *run, struct said *said)
{
        /* ssh writes for a terminal that it has made raw. */
        if (run->hosts && said->size > 0 && said->line[said->size - 1] == '\r')
                said->size--;
        progress_clear(run);
        print_text("stderr", said->line, said->size, run->options);
        progress_show(run);
        said->size = 0;
}

/* A worker that has written and has ended leaves its place to another one. */
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

/* This includes what a worker says when it was asked to end, after the end of its session; but not what one says that is killed
 * in the middle of its work. */
void progress_hear(ferry_process *worker, int fd, const char *bytes, size_t size, void *userdata)
{
        struct run *run = userdata;
        struct said *said = find_said(run, worker);

        (void)fd;
        if (run->phase == RUN_GIVEN_UP)
                return;
        said->worker = worker;
        for (size_t i = 0; i < size; i++) {
                if (bytes[i] != '\n')
                        said->line[said->size++] = bytes[i];
                if (bytes[i] == '\n' || said->size == sizeof said->line)
                        show_said(run, said);
        }
}

int progress_hear_last(ferry_manager *manager, ferry_process *worker, void *userdata)
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
