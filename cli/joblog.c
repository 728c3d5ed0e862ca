/* The log of ferry run: a line for each task that has ended, in the columns of GNU parallel and one more, the outcome.
 * Invariants: the first line of the file are the names of the columns, and a file that begins otherwise is not touched; each
 * line is one write at the end of the file; a line that was not written whole is taken back; a task that was answered has its
 * line only when the answer was written to stdout, and, if that is a pipe, when its reader has used it, as far as can be seen. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tOutcome\n"

enum {
        COLUMNS = 10,
        LINE_MAX_SIZE = 16 << 10,
        SETTLE_MIN_MS = 10,     /* how often the pipe at stdout is looked at */
        SETTLE_MAX_MS = 1000,
        TRUST_MS = 100,         /* a reader that is still there then has used what it has taken */
        LAST_MS = 1000,         /* for the reader at the end */
};

/* A task that an earlier run has logged. */
struct past {
        long number;
        size_t order;
        uint64_t hash;          /* of its text */
        bool is_good;
};

/* A line that waits until the reader of stdout has what it says. */
struct pending {
        struct pending *next;
        uint64_t sent;          /* stdout had taken so many bytes by then */
        size_t size;
        char line[];
};

struct joblog {
        const char *path;
        int fd;
        bool is_regular;
        bool is_failed;
        off_t size;             /* of the file, if it is a regular one */
        struct past *past;      /* by their numbers */
        size_t count, at;
        bool is_pipe;           /* stdout */
        uint64_t sent, taken, used;     /* bytes: by us, from the pipe, and by the reader */
        double taken_at;                /* in ms */
        struct pending *first, *last;   /* the last one is set where there is a first */
        int settle_ms;
};

static int settle(ferry_loop *loop, void *userdata);

/* Reading ------------------------------------------------------------------------------------------------- */

static uint64_t hash(const char *text, size_t size)
{
        uint64_t value = 0xcbf29ce484222325u;

        for (size_t i = 0; i < size; i++)
                value = (value ^ (unsigned char)text[i]) * 0x100000001b3u;
        return value;
}

static bool read_integer(const char *text, long least, long *ret)
{
        char *end;

        errno = 0;
        *ret = strtol(text, &end, 10);
        return end != text && !*end && errno == 0 && *ret >= least;
}

static bool read_line(char *line, struct past *ret)
{
        char *column[COLUMNS], *at = line;
        long exit_value, signal_number;
        int count = 0;

        line[strcspn(line, "\n")] = '\0';
        for (; at && count < COLUMNS; count++) {
                column[count] = at;
                at = strchr(at, '\t');
                if (at)
                        *at++ = '\0';
        }
        if (count != COLUMNS || at || !read_integer(column[0], 1, &ret->number) ||
            !read_integer(column[6], LONG_MIN, &exit_value) || !read_integer(column[7], 0, &signal_number))
                return false;
        ret->hash = hash(column[8], strlen(column[8]));
        ret->is_good = exit_value == 0 && signal_number == 0;
        return true;
}

static int compare(const void *a, const void *b)
{
        const struct past *one = a, *other = b;

        if (one->number != other->number)
                return one->number < other->number ? -1 : 1;
        return one->order < other->order ? -1 : 1;
}

static bool add_past(struct joblog *log, const struct past *past)
{
        /* The room is doubled whenever the number is a power of two. */
        if ((log->count & (log->count - 1)) == 0) {
                struct past *grown = realloc(log->past, (log->count ? log->count * 2 : 1) * sizeof *grown);

                if (!grown) {
                        complain("no memory for the tasks in %s", log->path);
                        return false;
                }
                log->past = grown;
        }
        log->past[log->count] = *past;
        log->past[log->count].order = log->count;
        log->count++;
        return true;
}

static int refuse(const struct joblog *log)
{
        complain("'%s' is not a log of ferry run: it does not begin with the names of the columns; it is left as it is",
                 log->path);
        return EXIT_REFUSED;
}

static int read_lines(struct joblog *log, FILE *file, off_t *ret_whole)
{
        char line[LINE_MAX_SIZE];

        for (long number = 2; fgets(line, sizeof line, file); number++) {
                size_t size = strlen(line);
                struct past past;

                /* The end of the file came before the end of the line. */
                if (feof(file))
                        break;
                *ret_whole += (off_t)size;
                if (size == 0 || line[size - 1] != '\n' || !read_line(line, &past)) {
                        complain("'%s': line %ld is not a line of a log of ferry run: repair or remove it", log->path, number);
                        return EXIT_REFUSED;
                }
                if (!add_past(log, &past))
                        return EXIT_CONNECTION;
        }
        if (log->count > 0)
                qsort(log->past, log->count, sizeof *log->past, compare);
        return EXIT_DONE;
}

/* What the file has. Its last line may be torn, as it is after the machine or the run was killed, and counts for nothing;
 * @ret_whole is where it begins. */
static int read_file(struct joblog *log, bool is_resuming, off_t *ret_whole)
{
        char header[sizeof HEADER];
        int fd = fcntl(log->fd, F_DUPFD_CLOEXEC, 0), status = EXIT_DONE;
        FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
        size_t size = file ? fread(header, 1, strlen(HEADER), file) : 0;

        *ret_whole = 0;
        if (size > 0 && memcmp(header, HEADER, size) != 0)
                status = refuse(log);
        else if (size == strlen(HEADER)) {
                *ret_whole = (off_t)size;
                status = is_resuming ? read_lines(log, file, ret_whole) : EXIT_DONE;
        }
        if (!file || (status == EXIT_DONE && ferror(file))) {
                complain("cannot read '%s': %s", log->path, strerror(errno));
                status = EXIT_CONNECTION;
        }
        if (file)
                fclose(file);
        else if (fd >= 0)
                close(fd);
        return status;
}

enum joblog_known joblog_find(struct joblog *log, long number, const char *label)
{
        const struct past *found = NULL;

        /* Tasks are asked about in their order. The last line about one counts. */
        for (; log->at < log->count && log->past[log->at].number <= number; log->at++)
                if (log->past[log->at].number == number)
                        found = &log->past[log->at];
        if (!found)
                return JOBLOG_UNKNOWN;
        if (found->hash != hash(label, strlen(label)))
                return JOBLOG_CHANGED;
        return found->is_good ? JOBLOG_GOOD : JOBLOG_FAILED;
}

/* Writing ------------------------------------------------------------------------------------------------- */

static void fail(struct joblog *log, int error)
{
        log->is_failed = true;
        complain("cannot write to '%s': %s; it does not have all tasks that have ended", log->path, strerror(error));
}

/* One write, but for what is taken in pieces: by a pipe, or by a disk that is full then, as the next write says. */
static bool write_line(struct joblog *log, const char *line, size_t size)
{
        size_t done = 0;

        while (!log->is_failed && done < size) {
                ssize_t put = write(log->fd, line + done, size - done);

                if (put >= 0)
                        done += (size_t)put;
                else if (errno == EAGAIN)
                        poll(&(struct pollfd){ .fd = log->fd, .events = POLLOUT }, 1, -1);
                else if (errno != EINTR)
                        fail(log, errno);
        }
        if (log->is_failed && log->is_regular && done > 0)
                (void)!ftruncate(log->fd, log->size);
        if (!log->is_failed)
                log->size += (off_t)size;
        return !log->is_failed;
}

static int open_file(struct joblog *log)
{
        struct stat status = { 0 };
        bool is_special = stat(log->path, &status) == 0 && !S_ISREG(status.st_mode);

        /* Without O_NONBLOCK a FIFO without a reader would be waited for. */
        log->fd = open(log->path, (is_special ? O_WRONLY : O_RDWR | O_CREAT) | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
        if (log->fd < 0 || fstat(log->fd, &status) < 0) {
                complain("cannot open the log '%s': %s", log->path,
                         errno == ENXIO && S_ISFIFO(status.st_mode) ? "no process reads from it" : strerror(errno));
                return exit_status_of(-errno);
        }
        log->is_regular = S_ISREG(status.st_mode);
        if (!log->is_regular && !S_ISCHR(status.st_mode) && !S_ISFIFO(status.st_mode)) {
                complain("'%s' cannot be a log: write the path of a file or a pipe", log->path);
                return EXIT_REFUSED;
        }
        if (log->is_regular && flock(log->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
                complain("'%s' is the log of another ferry run, which has not ended", log->path);
                return EXIT_REFUSED;
        }
        return EXIT_DONE;
}

static int prepare(struct joblog *log, bool is_resuming)
{
        off_t whole = 0;
        int status = open_file(log);

        if (status == EXIT_DONE && is_resuming && !log->is_regular) {
                complain("cannot resume from '%s': it is not a plain file", log->path);
                return EXIT_REFUSED;
        }
        if (status == EXIT_DONE && log->is_regular)
                status = read_file(log, is_resuming, &whole);
        if (status != EXIT_DONE)
                return status;
        log->size = is_resuming ? whole : 0;
        if (log->is_regular && ftruncate(log->fd, log->size) < 0) {
                complain("cannot write to '%s': %s", log->path, strerror(errno));
                return EXIT_CONNECTION;
        }
        return log->size > 0 || write_line(log, HEADER, strlen(HEADER)) ? EXIT_DONE : EXIT_CONNECTION;
}

int joblog_open(const char *path, bool is_resuming, struct joblog **ret)
{
        struct joblog *log = calloc(1, sizeof *log);
        struct stat status;
        int code;

        *ret = NULL;
        if (!log) {
                complain("no memory for the log");
                return EXIT_CONNECTION;
        }
        *log = (struct joblog){ .path = path, .fd = -1 };
        log->is_pipe = fstat(STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode);
        code = prepare(log, is_resuming);
        if (code == EXIT_DONE)
                *ret = log;
        else
                joblog_free(log);
        return code;
}

void joblog_free(struct joblog *log)
{
        if (!log)
                return;
        while (log->first) {
                struct pending *next = log->first->next;

                free(log->first);
                log->first = next;
        }
        if (log->fd >= 0)
                close(log->fd);
        free(log->past);
        free(log);
}

/* Delivery ------------------------------------------------------------------------------------------------ */

static double now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool has_reader(void)
{
        struct pollfd reader = { .fd = STDOUT_FILENO };

        return poll(&reader, 1, 0) <= 0 || !(reader.revents & POLLERR);
}

/* What the reader has taken from the pipe is not yet used: head(1) takes a block, prints a part, and leaves. So an answer counts
 * when the reader comes back and takes more, or is still there a while later. */
static void look(struct joblog *log)
{
        int left = 0;
        uint64_t taken;

        if (!log->is_pipe || ioctl(STDOUT_FILENO, FIONREAD, &left) < 0)
                left = 0;
        taken = log->sent > (uint64_t)left ? log->sent - (uint64_t)left : 0;
        if (taken > log->taken) {
                log->used = log->taken;
                log->taken = taken;
                log->taken_at = now_ms();
        } else if (log->used < log->taken && now_ms() - log->taken_at >= TRUST_MS && has_reader())
                log->used = log->taken;
}

/* Write the lines of the answers that the reader has used; @is_all: of all of them. */
static void write_settled(struct joblog *log, bool is_all)
{
        look(log);
        while (log->first && (is_all || log->first->sent <= log->used)) {
                struct pending *pending = log->first;

                log->first = pending->next;
                write_line(log, pending->line, pending->size);
                free(pending);
        }
}

/* As there is no event for this, the pipe is looked at again and again, less often as time goes by. */
static int settle(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;
        struct joblog *log = run->joblog;
        bool was_failed = log->is_failed;

        write_settled(log, false);
        if (log->is_failed && !was_failed)
                run_finish(run, EXIT_CONNECTION);
        ferry_loop_off(loop, settle, run);
        if (log->first) {
                log->settle_ms = log->settle_ms * 2 < SETTLE_MAX_MS ? log->settle_ms * 2 : SETTLE_MAX_MS;
                ferry_loop_after(loop, log->settle_ms, settle, run);
        } else
                log->settle_ms = 0;
        return 0;
}

static void watch(struct run *run)
{
        struct joblog *log = run->joblog;

        if (!log->first || log->settle_ms > 0)
                return;
        log->settle_ms = SETTLE_MIN_MS;
        ferry_loop_after(run->loop, log->settle_ms, settle, run);
}

void joblog_count_sent(struct run *run, size_t size)
{
        if (run->joblog)
                run->joblog->sent += size;
}

/* Keep a line until its answer has been read from the pipe. False if there was no memory. */
static bool hold_back(struct joblog *log, const char *line, size_t size)
{
        struct pending *pending = malloc(sizeof *pending + size);

        if (!pending)
                return false;
        *pending = (struct pending){ .sent = log->sent, .size = size };
        memcpy(pending->line, line, size);
        if (log->first)
                log->last->next = pending;
        else
                log->first = pending;
        log->last = pending;            /* gcc-analyzer: it stands in the list */
        return true;
}

void joblog_add(struct run *run, const struct joblog_entry *entry)
{
        struct joblog *log = run->joblog;
        char *line = NULL;
        bool waits;
        int size;

        if (!log || log->is_failed)
                return;
        size = asprintf(&line, "%ld\t:\t%.3f\t%.3f\t%zu\t%zu\t%d\t%d\t%s\t%s\n", entry->number, entry->date, entry->seconds,
                        entry->sent, entry->received, entry->exit_value, entry->signal, entry->label,
                        entry->outcome);
        waits = entry->is_answered && log->is_pipe;
        if (size < 0 || (waits && !hold_back(log, line, (size_t)size)))
                fail(log, ENOMEM);
        else if (waits) {
                write_settled(log, false);
                watch(run);
        } else
                write_line(log, line, (size_t)size);
        free(line);
        if (log->is_failed)
                run_finish(run, EXIT_CONNECTION);
}

int joblog_finish(struct run *run)
{
        struct joblog *log = run->joblog;
        int error, waits = LAST_MS / SETTLE_MIN_MS;

        if (!log)
                return EXIT_DONE;
        ferry_loop_off(run->loop, settle, run);
        for (write_settled(log, false); log->first && waits > 0 && has_reader(); waits--) {
                poll(NULL, 0, SETTLE_MIN_MS);
                write_settled(log, false);
        }
        /* A reader that has left has not used the rest. */
        if (log->first && has_reader())
                write_settled(log, true);
        error = log->is_regular && !log->is_failed && close(log->fd) < 0 ? errno : 0;
        if (log->is_regular && !log->is_failed)
                log->fd = -1;
        if (error)
                fail(log, error);
        return log->is_failed ? EXIT_CONNECTION : EXIT_DONE;
}
