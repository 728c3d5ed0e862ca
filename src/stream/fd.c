/* Streams over descriptors that the program has: fd:IN,OUT, the option fds, and accepted sockets; and streams of
 * the program's own. */
#include "stream/inet.h"
#include "stream/open.h"
#include "util/options.h"
#include "util/text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static const struct stream_kind fds_kind = { .name = "fd", .has_junk = true };
static const struct stream_kind socket_kind = { .name = "socket" };

/* Put descriptors into a stream: @fds to read, to write, to read too. All are taken over, or none. */
static int take(struct stream *stream, const int fds[3])
{
        bool is_one = fds[0] >= 0 && fds[0] == fds[1];
        int error = fds[2] >= 0 && (fds[2] == fds[0] || fds[2] == fds[1]) ? -EINVAL : 0;

        if (!error && fds[0] >= 0)
                error = endpoint_init(&stream->inputs[0], fds[0], false, false);
        if (!error && fds[1] >= 0) {
                error = endpoint_init(&stream->output, fds[1], true, false);
                stream->output.is_shared = is_one;
        }
        if (!error && fds[2] >= 0)
                error = endpoint_init(&stream->inputs[1], fds[2], false, false);
        for (int i = 0; i < 3 && !error; i++)
                if (fds[i] >= 0)
                        error = sys_set_close_on_exec(fds[i]);
        if (!error)
                return 0;
        /* The caller keeps them: only what was opened again is ours. */
        struct endpoint *all[] = { &stream->inputs[0], &stream->output, &stream->inputs[1] };

        for (int i = 0; i < 3; i++)
                endpoint_give_back(all[i]);
        return error;
}

/* Children that another object watches ------------------------------------------------------------------ */

static bool child_closed(struct stream *stream)
{
        if (stream->child_end)
                return false;
        loop_timer_start(stream->loop, &stream->linger, loop_deadline(STREAM_LINGER_MS));
        return true;
}

static pid_t child_of(const struct stream *stream)
{
        return stream->child_end ? 0 : stream->peer.pid;
}

static void end_with_child(struct stream *stream)
{
        if (stream->child_end)
                stream_end(stream, stream->child_code, "%s", stream->child_end);
        else
                stream_end(stream, stream->output_error ? -ECONNRESET : 0, "the child has closed the connection");
}

static void forget_child(struct stream *stream, bool is_foreign)
{
        (void)is_foreign;
        sys_free(stream->child_end);
        stream->child_end = NULL;
}

static const struct stream_kind child_pipes_kind = {
        .name = "process", .has_junk = true, .junk_source = "stdout", .ends_in_order = true, .input_ended = child_closed, .child = child_of,
        .end = end_with_child, .release = forget_child,
};
static const struct stream_kind child_socket_kind = {
        .name = "process", .ends_in_order = true, .input_ended = child_closed, .child = child_of, .end = end_with_child,
        .release = forget_child,
};

int stream_open_relative(const struct stream_place *place, const int fds[2], const ferry_peer *peer, bool is_child,
                         struct stream **ret_stream, struct error *error)
{
        const struct stream_kind *child_kind = fds[0] == fds[1] ? &child_socket_kind : &child_pipes_kind;
        const int all[] = { fds[0], fds[1], -1 };
        struct stream *stream = sys_alloc_zeroed(sizeof *stream);
        int code;

        if (!stream)
                return error_set(error, -ENOMEM, "no memory for a stream");
        stream_init(stream, is_child ? child_kind : &socket_kind, place);
        code = take(stream, all);
        if (code) {
                sys_free(stream);
                return error_set(error, code, "cannot use the descriptors of a process: %s", error_describe(code));
        }
        stream->peer = *peer;
        stream->is_unix = fds[0] == fds[1];
        code = stream_start(stream);
        if (code) {
                stream->inputs[0].is_shared = stream->output.is_shared = true;  /* the caller keeps them */
                stream_free(stream);
                return error_set(error, code, "cannot watch the descriptors of a process: %s", error_describe(code));
        }
        *ret_stream = stream;
        return 0;
}

void stream_child_ended(struct stream *stream, int code, const char *sentence)
{
        /* How it ends will not be read, nor will it be freed. */
        if (stream->phase >= STREAM_CLOSED)
                return;
        stream->child_code = code;
        stream->child_end = text_copy(sentence);
        if (stream->phase >= STREAM_ENDED)
                return;
        /* What it has sent is all there; what others may hold open is not waited for. */
        if (stream->is_input_ended[0] || stream_drain(stream))
                loop_timer_start(stream->loop, &stream->linger,
                                 loop_deadline(stream->wants_read || !stream_has_input(stream) ? 0 : STREAM_LINGER_MS));
}

/* Descriptors of the program ---------------------------------------------------------------------------- */

static int parse_number(const char **at)
{
        char *end;
        long number = strtol(*at, &end, 10);

        if (end == *at || **at < '0' || **at > '9' || number > INT_MAX)
                return -1;
        *at = end;
        return (int)number;
}

/* IN,OUT, of which one may be left out; or N for both. */
static int parse_fds(const char *text, int fds[3])
{
        fds[0] = *text == ',' ? -1 : parse_number(&text);
        if (*text == '\0') {
                fds[1] = fds[0];
                return fds[0] < 0 ? -EINVAL : 0;
        }
        if (*text++ != ',' || (*text == '\0' && fds[0] < 0))
                return -EINVAL;
        if (*text == '\0')
                return 0;
        fds[1] = parse_number(&text);
        return fds[1] < 0 || *text ? -EINVAL : 0;
}

static int family_of(int fd)
{
        union inet_address address = { 0 };

        return sys_socket_name(fd, &address.any, sizeof address) == 0 ? address.any.sa_family : AF_UNSPEC;
}

static void choose_socket_kind(struct stream *stream)
{
        int family = family_of(stream->inputs[0].fd);

        /* A connection by tcp needs an orderly close, or its last bytes may be lost. */
        stream->kind = family == AF_INET || family == AF_INET6 ? &stream_tcp_accepted : &socket_kind;
        stream->is_unix = family == AF_UNIX;
}

int stream_open_fds(const struct stream_place *place, const char *text,
                    const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        int fds[3] = { -1, -1, -1 };
        struct stream *stream;
        int failure;

        if (*text) {
                if (parse_fds(text, fds) < 0)
                        return error_set(error, -EINVAL, "'fd:%s' is not an address: write fd:IN,OUT or fd:N", text);
        } else {
                for (int i = 0; i < 3 && options->fds && options->fds[i] != -1; i++)
                        fds[i] = options->fds[i];
                if (fds[0] < 0 && fds[1] < 0)
                        return error_set(error, -EINVAL, "no descriptor is given");
                if (fds[1] < 0)
                        fds[1] = fds[0];
        }
        stream = sys_alloc_zeroed(sizeof *stream);
        if (!stream)
                return error_set(error, -ENOMEM, "no memory for a stream");
        stream_init(stream, &fds_kind, place);
        failure = take(stream, fds);
        if (failure) {
                sys_free(stream);
                return error_set(error, failure, "cannot use descriptor %d or %d: %s", fds[0], fds[1],
                                 error_describe(failure));
        }
        if (stream->inputs[0].way == ENDPOINT_SOCKET && stream->inputs[1].way == ENDPOINT_NONE)
                choose_socket_kind(stream);
        *ret_stream = stream;
        return 0;
}

int stream_accept(const struct stream_place *place, int fd, struct stream **ret_stream)
{
        struct stream *stream = sys_alloc_zeroed(sizeof *stream);
        int error;

        if (!stream)
                return -ENOMEM;
        stream_init(stream, &socket_kind, place);
        error = take(stream, (const int[]){ fd, fd, -1 });
        if (error) {
                sys_free(stream);
                return error;
        }
        error = stream_read_peer(stream);
        if (!stream->is_peer_known)
                stream->kind = &stream_tcp_accepted;
        if (!error)
                error = stream_start(stream);
        if (error) {
                stream->inputs[0].is_shared = true;     /* the caller keeps it */
                stream_free(stream);
                return error;
        }
        *ret_stream = stream;
        return 0;
}

static void close_program(struct stream *stream, bool is_foreign)
{
        const ferry_stream *program = stream->inputs[0].stream;

        if (program->close && !is_foreign)
                program->close(program);
}

static const struct stream_kind program_kind = { .name = "program", .has_junk = true, .release = close_program };

int stream_open_program(const struct stream_place *place, const char *text,
                        const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        struct stream *stream;

        (void)text;
        if (options_check_size("ferry_stream", sizeof *options->stream, options->stream, error))
                return error->code;
        if (options->stream->fd < 0 || !options->stream->read || !options->stream->write)
                return error_set(error, -EINVAL, "a stream of the program needs fd, read and write");
        stream = sys_alloc_zeroed(sizeof *stream);
        if (!stream)
                return error_set(error, -ENOMEM, "no memory for a stream");
        stream_init(stream, &program_kind, place);
        endpoint_init_program(&stream->inputs[0], options->stream);
        endpoint_init_program(&stream->output, options->stream);
        *ret_stream = stream;
        return 0;
}
