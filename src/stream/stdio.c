/* Our own stdin and stdout, guarded: while the session lives, fd 0 and 1 lead elsewhere, so that neither a stray
 * print nor a program that is started can touch the conversation. Invariant: what was moved is moved back when the
 * stream goes, after what was printed meanwhile has gone to where it belongs.
 *
 * That a guard stands is not remembered anywhere but where it stands: the /dev/null on fd 0 is opened with O_DSYNC,
 * which does nothing there and which nothing else would do. */
#include "stream/open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { GUARD_FLAG = O_DSYNC };

struct stdio_stream {
        struct stream stream;
        bool is_guarded;
        int saved[2];           /* what fd 0 and 1 were */
};

static bool is_guard(int fd)
{
        struct stat stat;
        int flags = sys_flags(fd);

        return flags >= 0 && (flags & GUARD_FLAG) && sys_stat_fd(fd, &stat) == 0 && S_ISCHR(stat.st_mode) &&
               stat.st_rdev == makedev(1, 3);
}

/* Lead fd 0 to nothing and fd 1 to where stderr goes, if that goes anywhere. */
static int put_guard(bool has_stderr)
{
        int null = sys_open("/dev/null", O_RDWR | GUARD_FLAG, 0), error;

        if (null < 0)
                return null;
        error = sys_replace(null, STDIN_FILENO);
        if (error >= 0)
                error = sys_replace(has_stderr ? STDERR_FILENO : null, STDOUT_FILENO);
        sys_close(null);
        return error < 0 ? error : 0;
}

static void take_guard_away(struct stream *stream, bool is_foreign)
{
        struct stdio_stream *stdio = container_of(stream, struct stdio_stream, stream);

        if (!stdio->is_guarded)
                return;
        if (!is_foreign)
                fflush(stdout);
        for (int i = 0; i < 2; i++) {
                if (!is_foreign)
                        sys_replace(stdio->saved[i], i);
                sys_close(stdio->saved[i]);
        }
}

static const struct stream_kind stdio_kind = { .name = "stdio", .has_junk = true, .junk_source = "stdin", .ends_in_order = true,
                                               .release = take_guard_away };

static int take(struct stream *stream)
{
        int fds[2] = { sys_duplicate(STDIN_FILENO, 3), sys_duplicate(STDOUT_FILENO, 3) };
        int error = fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : 0;

        if (!error)
                error = endpoint_init(&stream->inputs[0], fds[0], false, false);
        if (!error)
                error = endpoint_init(&stream->output, fds[1], true, false);
        if (!error)
                return 0;
        if (stream->inputs[0].way != ENDPOINT_NONE)
                endpoint_deinit(&stream->inputs[0]);
        else if (fds[0] >= 0)
                sys_close(fds[0]);
        if (fds[1] >= 0)
                sys_close(fds[1]);
        return error;
}

static int save(struct stdio_stream *stdio)
{
        stdio->saved[0] = sys_duplicate(STDIN_FILENO, 3);
        stdio->saved[1] = sys_duplicate(STDOUT_FILENO, 3);
        if (stdio->saved[0] >= 0 && stdio->saved[1] >= 0) {
                stdio->is_guarded = true;
                return 0;
        }
        for (int i = 0; i < 2; i++)
                if (stdio->saved[i] >= 0)
                        sys_close(stdio->saved[i]);
        return -EMFILE;
}

int stream_open_stdio(const struct stream_place *place, const char *text,
                      const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        struct stdio_stream *stdio;
        /* What a library has opened is closed on exec; where no stderr is, that may have taken its place, and so may what
         * is opened below. */
        bool has_stderr = sys_is_close_on_exec(STDERR_FILENO) == 0;
        int failure;

        (void)text;
        if (is_guard(STDIN_FILENO))
                return error_set(error, -EBUSY,
                                 "stdin and stdout already serve a session, of this program or of the one that started it");
        stdio = sys_alloc_zeroed(sizeof *stdio);
        if (!stdio)
                return error_set(error, -ENOMEM, "no memory for a stream");
        stream_init(&stdio->stream, &stdio_kind, place);
        failure = take(&stdio->stream);
        if (failure) {
                sys_free(stdio);
                return error_set(error, failure, "cannot use stdin and stdout: %s", error_describe(failure));
        }
        if (!options->is_unguarded)
                failure = save(stdio);
        if (stdio->is_guarded)
                failure = put_guard(has_stderr);
        if (failure) {
                take_guard_away(&stdio->stream, false);
                endpoint_deinit(&stdio->stream.inputs[0]);
                endpoint_deinit(&stdio->stream.output);
                sys_free(stdio);
                return error_set(error, failure, "cannot redirect stdin and stdout: %s", error_describe(failure));
        }
        *ret_stream = &stdio->stream;
        return 0;
}
