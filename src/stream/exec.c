/* A child's stdin and stdout. Invariants: its stderr is always drained, so it never blocks there; it is waited for,
 * whatever happens to it or to us; what it wrote is read before its end is reported.
 *
 * The end of what it writes and its own end come in any order, or one of them never: a program that it has left
 * behind may hold the pipe, or it may close its output and live on. The first of the two is followed by a short
 * wait for the other. Closing is: end its stdin, wait, TERM to its process group, wait, KILL; its stderr is handed over
 * until it has exited, and how it has exited is reported then. */
#include "stream/exec.h"

#include "stream/captured.h"
#include "stream/open.h"
#include "util/text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
        GRACES_MAX = 10,
        SUBJECT_MAX = 300,
};

struct exec_stream {
        struct stream stream;
        struct child child;
        char *remote;           /* the host that it leads to; NULL: it is the peer itself */
        bool tells_absence;     /* its exit status may say that the peer was not reached */
        struct captured errors; /* its stderr */
        struct loop_timer last_lines;   /* its stderr is handed over, then closing is done */
        int linger_ms;          /* how long its exit may follow the end of its output */
        int graces;             /* that are left for a child that waits for us to read its stderr */
        bool is_output_over;    /* its stdout was read to the end */
        bool has_outlived_output; /* and the time that it had then to exit has passed */
};

static struct exec_stream *exec_of(struct stream *stream)
{
        return container_of(stream, struct exec_stream, stream);
}

static void take_line(struct captured *captured, const char *bytes, size_t size)
{
        struct exec_stream *exec = container_of(captured, struct exec_stream, errors);

        /* ssh writes for a terminal that it has made raw. */
        if (exec->remote && size > 0 && bytes[size - 1] == '\r')
                size--;
        exec->stream.owner->text(&exec->stream, "stderr", bytes, size);
}

static bool is_gone(const struct captured *captured)
{
        return container_of(captured, struct exec_stream, errors)->stream.phase == STREAM_FREED;
}

/* The end --------------------------------------------------------------------------------------------- */

/* 0: it has done its work. @is_told: it was sent TERM, and to end by that is no failure. */
static int result_of(const struct exec_stream *exec, bool is_told)
{
        const struct child *child = &exec->child;
        bool is_by_term = child->is_killed ? child->status == SIGTERM || child->status == SIGKILL :
                          exec->remote     ? child->status == EXEC_SSH_FAILED :
                                             child->status == 128 + SIGTERM;

        if (child_has_unknown_status(child))
                return -ECHILD;
        return child->status == 0 || (is_told && is_by_term) ? 0 : -ECONNRESET;
}

/* The child, as the subject of a sentence. */
static void name_child(const struct exec_stream *exec, char *text, size_t size)
{
        if (exec->remote)
                snprintf(text, size, "ssh to '%s'", exec->remote);
        else
                snprintf(text, size, "the child");
}

static void end(struct stream *stream)
{
        struct exec_stream *exec = exec_of(stream);
        char status[128], words[CAPTURED_WORDS_MAX], subject[SUBJECT_MAX];
        int code;

        /* A callback that hears of that may wait for the end: then it comes within that. */
        loop_timer_start(stream->loop, &stream->linger, loop_deadline(0));
        captured_drain(&exec->errors);
        if (stream->phase >= STREAM_ENDED)
                return;
        child_describe(&exec->child, status, sizeof status);
        captured_describe(&exec->errors, words, sizeof words);
        name_child(exec, subject, sizeof subject);
        code = result_of(exec, false);
        exec->has_outlived_output = !exec->child.has_ended;
        if (!exec->child.has_ended)
                stream_end(stream, stream->output_error ? -ECONNRESET : 0, "%s has closed its %s but %s%s", subject,
                           stream->output_error ? "input" : "output", status, words);
        else
                stream_end(stream, code, "%s %s%s", subject, status, code ? words : "");
}

static bool input_ended(struct stream *stream)
{
        struct exec_stream *exec = exec_of(stream);

        exec->is_output_over = true;
        if (exec->child.has_ended)
                return false;
        loop_timer_start(stream->loop, &stream->linger, loop_deadline(exec->linger_ms));
        return true;
}

static pid_t child_of(const struct stream *stream)
{
        const struct exec_stream *exec = container_of(stream, const struct exec_stream, stream);

        return exec->child.has_ended ? 0 : exec->child.pid;
}

static int exit_status(const struct stream *stream)
{
        const struct child *child = &container_of(stream, const struct exec_stream, stream)->child;

        return !child->has_ended || child_has_unknown_status(child) ? -ECHILD : child->is_killed ? 128 + child->status : child->status;
}

static bool describe_stop(const struct stream *stream, char *text, size_t size)
{
        int signal = child_stop_signal(&container_of(stream, const struct exec_stream, stream)->child);

        if (signal > 0)
                child_describe_stop(signal, text, size);
        return signal > 0;
}

/* It has exited, or cannot be ended. */
static void is_closed(struct exec_stream *exec)
{
        struct stream *stream = &exec->stream;
        char status[128], words[CAPTURED_WORDS_MAX], subject[SUBJECT_MAX];
        int code;

        /* A handler of a line may wait for the end: then it comes within that. */
        loop_timer_start(stream->loop, &exec->last_lines, loop_deadline(0));
        captured_drain(&exec->errors);
        if (stream->phase >= STREAM_CLOSED)
                return;
        loop_timer_stop(stream->loop, &exec->last_lines);
        child_describe(&exec->child, status, sizeof status);
        captured_describe(&exec->errors, words, sizeof words);
        name_child(exec, subject, sizeof subject);
        code = exec->child.has_ended ? result_of(exec, exec->child.stage >= CHILD_TERMINATED) : 0;
        stream_closed(stream, code, "%s %s while it was being closed%s", subject, status, words);
}

static void last_lines_are_read(struct loop_timer *timer)
{
        is_closed(container_of(timer, struct exec_stream, last_lines));
}

static void child_ended(struct child *child)
{
        struct exec_stream *exec = container_of(child, struct exec_stream, child);
        struct stream *stream = &exec->stream;

        if (stream->phase == STREAM_CLOSING)
                is_closed(exec);
        else if (stream->is_input_ended[0])
                end(stream);
        else if (stream_drain(stream))
                loop_timer_start(stream->loop, &stream->linger, loop_deadline(STREAM_LINGER_MS));
}

static void child_lost(struct child *child, int error)
{
        (void)error;
        is_closed(container_of(child, struct exec_stream, child));
}

static bool child_is_waiting(struct child *child)
{
        struct exec_stream *exec = container_of(child, struct exec_stream, child);

        return exec->graces > 0 && captured_is_behind(&exec->errors) && exec->graces-- > 0;
}

/* Its process group may outlive it, and hold its output open. */
static bool child_is_read(const struct child *child)
{
        return !container_of(child, const struct exec_stream, child)->is_output_over;
}

static const struct child_owner child_owner = {
        .ended = child_ended, .lost = child_lost, .is_waiting = child_is_waiting, .is_read = child_is_read,
};

/* While it is being closed its stdout is read and ignored, so that it does not block on it. */
static void discard(struct loop_source *source, uint32_t events)
{
        struct stream *stream = container_of(source, struct stream, in_sources[0]);
        struct exec_stream *exec = exec_of(stream);
        char bytes[4096];
        ssize_t got = endpoint_read(&stream->inputs[0], bytes, sizeof bytes);

        (void)events;
        if (got > 0 || got == -EAGAIN)
                return;
        loop_source_set(source, 0);
        exec->is_output_over = true;
        child_output_ended(&exec->child);
}

static bool close_child(struct stream *stream, int64_t grace_ns)
{
        struct exec_stream *exec = exec_of(stream);

        if (exec->child.has_ended)
                return false;
        exec->graces = grace_ns > 0 && !exec->has_outlived_output ? GRACES_MAX : 0;
        stream->in_sources[0].fn = discard;
        if (!exec->is_output_over)
                loop_source_set(&stream->in_sources[0], EPOLLIN);
        child_stop(&exec->child, exec->has_outlived_output ? 0 : grace_ns, grace_ns);
        return true;
}

static void free_child(struct stream *stream, bool is_foreign)
{
        struct exec_stream *exec = exec_of(stream);

        loop_timer_stop(stream->loop, &exec->last_lines);
        captured_close(&exec->errors, is_foreign);
        child_deinit(&exec->child);
        sys_free(exec->remote);
        exec->remote = NULL;
}

/* ssh, or the command there, has never been connected to the peer, and has passed nothing on. */
static bool is_unreached(const struct stream *stream)
{
        const struct exec_stream *exec = container_of(stream, const struct exec_stream, stream);
        int status = exit_status(stream);

        return exec->tells_absence && stream->taken == 0 && !exec->child.is_killed &&
               (status == EXEC_UNREACHED || status == EXEC_NOT_EXECUTABLE || status == EXEC_NOT_FOUND);
}

#define CHILD_FUNCTIONS                                                                         \
        .has_junk = true, .junk_source = "stdout", .input_ended = input_ended, .child = child_of, .exit_status = exit_status, \
        .describe_stop = describe_stop, .end = end, .close = close_child, .release = free_child

static const struct stream_kind exec_kind = { .name = "exec", .ends_in_order = true, CHILD_FUNCTIONS };
static const struct stream_kind ssh_kind = { .name = "ssh", .is_client = true, .is_unreached = is_unreached, CHILD_FUNCTIONS };

/* Beginning ------------------------------------------------------------------------------------------- */

/* Three pipes, [0] to read and [1] to write: 0 leads to the child, 1 and 2 come from it. */
static int make_pipes(int pipes[3][2])
{
        for (int i = 0; i < 3; i++) {
                int error = sys_pipe(pipes[i]);

                if (error)
                        return error;
        }
        return 0;
}

static void close_all(int pipes[3][2])
{
        for (int i = 0; i < 3; i++)
                for (int k = 0; k < 2; k++)
                        if (pipes[i][k] >= 0)
                                sys_close(pipes[i][k]);
}

/* The ends that stay here are taken out of @pipes. */
static int take_ends(struct exec_stream *exec, int pipes[3][2])
{
        struct stream *stream = &exec->stream;
        int error = endpoint_init(&stream->output, pipes[0][1], true, true);

        if (!error) {
                pipes[0][1] = -1;
                error = endpoint_init(&stream->inputs[0], pipes[1][0], false, true);
        }
        if (!error) {
                pipes[1][0] = -1;
                error = captured_open(&exec->errors, pipes[2][0]);
        }
        if (!error)
                pipes[2][0] = -1;
        return error;
}

static int start(struct exec_stream *exec, const struct exec_spec *given)
{
        int pipes[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
        struct child_spec spec = given->child;
        int error = make_pipes(pipes);

        if (!error && given->remote && !(exec->remote = text_copy(given->remote)))
                error = -ENOMEM;
        if (!error)
                error = take_ends(exec, pipes);
        if (!error) {
                spec.fds[0] = pipes[0][0];
                spec.fds[1] = pipes[1][1];
                spec.fds[2] = pipes[2][1];
                error = child_start(&exec->child, exec->stream.loop, &spec, &child_owner);
        }
        close_all(pipes);
        return error;
}

int exec_open(const struct stream_place *place, const struct exec_spec *spec, struct stream **ret_stream, struct error *error)
{
        struct exec_stream *exec = sys_alloc_zeroed(sizeof *exec);
        const char *directory = spec->child.directory;
        int failure;

        if (!exec)
                return error_set(error, -ENOMEM, "no memory for a child");
        stream_init(&exec->stream, spec->remote ? &ssh_kind : &exec_kind, place);
        captured_init(&exec->errors, place->loop, true, take_line, is_gone);
        exec->last_lines.fn = last_lines_are_read;
        exec->linger_ms = place->linger_ms ? place->linger_ms : STREAM_LINGER_MS;
        exec->tells_absence = spec->tells_absence;
        failure = start(exec, spec);
        if (failure) {
                error_set(error, failure, "%s cannot be started%s%s: %s", spec->what, directory ? " in " : "", directory ? directory : "",
                          error_describe(failure));
                stream_free(&exec->stream);
                return failure;
        }
        exec->stream.peer = (ferry_peer){ .pid = exec->child.pid, .uid = sys_uid(), .gid = sys_gid() };
        *ret_stream = &exec->stream;
        return 0;
}

int stream_open_exec(const struct stream_place *place, const char *text,
                     const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        const struct exec_spec spec = {
                .child = { .command = text, .argv = options->argv, .env = options->env, .directory = options->directory,
                           .is_in_our_group = options->is_in_foreground },
                .what = options->argv && options->argv[0] ? options->argv[0] : text,
        };

        if (!*text && (!options->argv || !options->argv[0]))
                return error_set(error, -EINVAL, "exec: names no command: write exec:COMMAND, or set argv");
        return exec_open(place, &spec, ret_stream, error);
}
