/* What the tool writes: the only file that writes to stdout or stderr, as tests/structure checks.
 *
 * Both are shared with other processes, so no flag of theirs is ever changed: where O_NONBLOCK is set, poll(2) says when to
 * go on, and where it is not, nothing larger is written than poll(2) says there is room for, so that a signal ends every
 * wait. The first failure of stdout sticks: what follows is not written, and the command ends with EXIT_CONNECTION. A line
 * on stderr is built first and is one write(2). */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
        LINE_MAX_SIZE = 4096,
        PATIENCE_MS = 100,      /* for stderr, once while it takes nothing, when the time of the command is over */
};

static struct {
        int error;              /* the first of stdout; 0: none */
        bool (*divert)(const char *bytes, size_t size);
        bool is_limited;        /* stderr is not waited for beyond this time, but for PATIENCE_MS */
        struct timespec until;
        long lost;              /* lines that stderr has not taken */
        bool is_stuck;          /* a wait for stderr was in vain: the next lines do not wait */
} output;

/* What a descriptor leads to, which is asked once: stdout takes a line for each of many tasks. */
static mode_t type_of(int fd)
{
        static mode_t types[STDERR_FILENO + 1];
        struct stat status;

        if (!types[fd] && fstat(fd, &status) == 0)
                types[fd] = status.st_mode & S_IFMT;
        return types[fd];
}

/* One system call, which does not block where poll(2) has just said that there is room. */
static ssize_t put_some(int fd, const char *bytes, size_t size)
{
        mode_t type = type_of(fd);

        if (type == S_IFSOCK)
                return send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        /* A pipe has room for this much, or none. A line on stderr stays whole where it may be waited for. */
        if (type == S_IFIFO && (fd == STDOUT_FILENO || output.is_limited) && size > PIPE_BUF)
                size = PIPE_BUF;
        return write(fd, bytes, size);
}

/* 0, -ETIMEDOUT, -EINTR (a signal, which ends the wait), or why @fd takes no more. @ret_put: how much it has taken. */
static int put(int fd, const char *bytes, size_t size, int timeout_ms, size_t *ret_put)
{
        *ret_put = 0;
        while (*ret_put < size) {
                /* A file always takes something, or fails. */
                int ready = type_of(fd) == S_IFREG ? 1 : signals_poll(fd, POLLOUT, timeout_ms);
                ssize_t taken;

                if (ready <= 0)
                        return ready == 0 ? -ETIMEDOUT : ready;
                taken = put_some(fd, bytes + *ret_put, size - *ret_put);
                if (taken >= 0)
                        *ret_put += (size_t)taken;
                else if (errno == EAGAIN && timeout_ms == 0)
                        return -ETIMEDOUT;
                else if (errno == EAGAIN)
                        poll(NULL, 0, 1);       /* poll(2) was wrong, as it is of some sockets */
                else if (errno != EINTR)
                        return -errno;
        }
        return 0;
}

/* stdout -------------------------------------------------------------------------------------------------- */

void output_fail(int error)
{
        if (output.error)
                return;
        output.error = error;
        /* A reader that has gone wants no more. */
        if (error == EPIPE)
                return;
        if (error == EINTR || error == ETIMEDOUT)
                complain("stdout takes no more, and a signal has come: the output is incomplete");
        else if (error == EBADF)
                complain("cannot write to stdout: it is closed");
        else
                complain("cannot write to stdout: %s; the output is incomplete", strerror(error));
}

bool output_is_good(void)
{
        return output.error == 0;
}

void output_divert(bool (*fn)(const char *bytes, size_t size))
{
        output.divert = fn;
}

bool output_bytes(const char *bytes, size_t size)
{
        size_t taken;
        int error;

        if (output.divert)
                return output.error == 0 && output.divert(bytes, size);
        error = output.error ? 0 : put(STDOUT_FILENO, bytes, size, -1, &taken);

        if (error)
                output_fail(-error);
        return output.error == 0;
}

ssize_t output_try(const char *bytes, size_t size)
{
        size_t taken;
        int error = output.error ? -output.error : put(STDOUT_FILENO, bytes, size, 0, &taken);

        if (error == 0 || error == -ETIMEDOUT || error == -EINTR)
                return output.error ? error : (ssize_t)taken;
        output_fail(-error);
        return error;
}

bool output_is_open(void)
{
        int flags = fcntl(STDOUT_FILENO, F_GETFL);

        return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

bool output_is_terminal(void)
{
        return type_of(STDOUT_FILENO) == S_IFCHR && isatty(STDOUT_FILENO);
}

int output_status(int status)
{
        bool is_better = status == EXIT_DONE || status == EXIT_ANSWERED_ERROR;

        return is_better && output.error && output.error != EPIPE ? EXIT_CONNECTION : status;
}

/* stderr -------------------------------------------------------------------------------------------------- */

/* How long a line waits: -1: forever. */
static int patience_ms(void)
{
        struct timespec now = { 0 };
        long long left;

        if (output.is_stuck)
                return 0;
        if (!output.is_limited)
                return -1;
        clock_gettime(CLOCK_MONOTONIC, &now);
        left = (output.until.tv_sec - now.tv_sec) * 1000LL + (output.until.tv_nsec - now.tv_nsec) / 1000000;
        return left < PATIENCE_MS ? PATIENCE_MS : left > INT_MAX ? INT_MAX : (int)left;
}

static void put_line(const char *line, size_t size)
{
        size_t taken;
        int error = put(STDERR_FILENO, line, size, patience_ms(), &taken);

        output.is_stuck = error == -ETIMEDOUT || error == -EINTR;
        output.lost += output.is_stuck;
}

/* False: stderr still takes nothing. */
static bool report_lost(void)
{
        char line[80];
        long lost = output.lost;

        if (lost == 0)
                return true;
        output.lost = 0;
        put_line(line, (size_t)snprintf(line, sizeof line, "ferry: %ld lines are missing here: stderr took no more\n", lost));
        if (output.is_stuck)
                output.lost = lost;
        return !output.is_stuck;
}

void error_bytes(const char *bytes, size_t size)
{
        if (report_lost())
                put_line(bytes, size);
        else
                output.lost++;
}

void error_draw(const char *bytes, size_t size)
{
        size_t taken;

        put(STDERR_FILENO, bytes, size, 0, &taken);
}

void error_limit_wait(int timeout_ms)
{
        output.is_limited = timeout_ms >= 0;
        clock_gettime(CLOCK_MONOTONIC, &output.until);
        output.until.tv_sec += timeout_ms / 1000;
        output.until.tv_nsec += timeout_ms % 1000 * 1000000L;
}

/* A line that needs no memory but its end may be missing. */
static void put_short_line(const char *text, size_t size)
{
        char line[LINE_MAX_SIZE] = "ferry: ";
        size_t end = strlen(line);

        while (size > 0 && end < sizeof line - ESCAPED_MAX - 4) {
                char piece[ESCAPED_MAX];
                size_t taken, shown = escape_next(text, size, ESCAPE_LINE, piece, &taken);

                memcpy(line + end, piece, shown);
                end += shown;
                text += taken;
                size -= taken;
        }
        end += (size_t)snprintf(line + end, sizeof line - end, size > 0 ? "...\n" : "\n");
        error_bytes(line, end);
}

static void put_text(const char *text, size_t size)
{
        char *line = NULL;
        size_t line_size = 0;
        FILE *stream = open_memstream(&line, &line_size);

        if (stream) {
                fputs("ferry: ", stream);
                escape(stream, text, size, ESCAPE_LINE);
                putc('\n', stream);
        }
        if (stream && close_text(stream))
                error_bytes(line, line_size);
        else
                put_short_line(text, size);
        free(line);
}

__attribute__((__format__(__printf__, 1, 0)))
static void put_formatted(const char *format, va_list arguments)
{
        char text[LINE_MAX_SIZE] = "", *whole = NULL;
        va_list again;
        int size;

        va_copy(again, arguments);
        size = vsnprintf(text, sizeof text, format, arguments);
        if (size >= (int)sizeof text && vasprintf(&whole, format, again) < 0)
                whole = NULL;
        va_end(again);
        if (whole)
                put_text(whole, (size_t)size);
        else
                put_text(text, strlen(text));
        free(whole);
}

void complain(const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        put_formatted(format, arguments);
        va_end(arguments);
}

void inform(const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        put_formatted(format, arguments);
        va_end(arguments);
}

bool close_text(FILE *stream)
{
        bool is_whole = !ferror(stream);

        return fclose(stream) == 0 && is_whole;
}

/* The end ------------------------------------------------------------------------------------------------- */

/* Some file systems report a full disk only here. */
int output_close(int status)
{
        /* A session may have taken it over. */
        if (close(STDOUT_FILENO) < 0 && errno != EINTR && errno != EBADF)
                output_fail(errno);
        output.is_stuck = false;
        report_lost();
        return output_status(status);
}
