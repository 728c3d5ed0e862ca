#include "stream/replaced.h"

#include "stream/passing.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* The first socket of a stream that stands on the second one. */
struct replaced {
        struct stream *stream;
        struct loop_source source;
};

/* Of ASCII. A single byte is never cut, and no dialect begins with one of these. */
enum { ENQUIRY = 5, ACKNOWLEDGED = 6, NOT_ACKNOWLEDGED = 21 };

/* Unix sockets, and pipes that were opened again, never block, whatever other processes do to their flags. */
static bool is_suitable(const struct endpoint *endpoint)
{
        int family, type;

        if (endpoint->is_pipe)
                return endpoint->way == ENDPOINT_NONBLOCKING;
        return endpoint->way == ENDPOINT_SOCKET &&
               sys_get_socket_option(endpoint->fd, SO_DOMAIN, &family, sizeof family) == 0 && family == AF_UNIX &&
               sys_get_socket_option(endpoint->fd, SO_TYPE, &type, sizeof type) == 0 && type == SOCK_STREAM;
}

/* The side that has connected -------------------------------------------------------------------------------- */

/* Whether its two descriptors are one socket. */
static bool is_one(const struct stream *stream)
{
        struct stat in, out;

        return sys_stat_fd(stream->inputs[0].fd, &in) == 0 && sys_stat_fd(stream->output.fd, &out) == 0 &&
               in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

/* Whether the service says that it does this. */
static bool is_known(const struct stream *stream)
{
        return stream->kind->is_replaceable && stream->kind->is_replaceable(stream);
}

bool replaced_ask(struct stream *stream, const struct stream *other)
{
        const int fds[] = { other->inputs[0].fd, other->output.fd };
        const char enquiry = ENQUIRY;

        return is_suitable(&other->inputs[0]) && is_suitable(&other->output) && is_known(stream) &&
               stream_write_with(stream, &enquiry, 1, fds, is_one(other) ? 1 : 2) == 1;
}

enum replaced_answer replaced_hear(const char *bytes, size_t size)
{
        if (size != 1)
                return REPLACED_NOT_SAID;
        return *bytes == ACKNOWLEDGED ? REPLACED_DONE : *bytes == NOT_ACKNOWLEDGED ? REPLACED_KEPT : REPLACED_NOT_SAID;
}

/* The service ------------------------------------------------------------------------------------------------ */

void replaced_expect(struct stream *stream)
{
        /* Looking at what another user passes may block: it may belong to a file system of that user. */
        if (stream_passes(stream) && stream->is_peer_known && (stream->peer.uid == sys_uid() || stream->peer.uid == 0))
                stream->replacing = REPLACING_EXPECTED;
}

/* The process that has asked is gone. What the other side has sent is read first. */
static void asker_has_gone(struct loop_source *source, uint32_t events)
{
        struct stream *stream = container_of(source, struct replaced, source)->stream;

        (void)events;
        loop_source_set(source, 0);
        if (stream_drain(stream))
                stream_end(stream, -ECONNRESET, "the process that has passed its connection has gone");
}

/* A client takes more descriptors here than one whose bytes are copied, so this leaves some for other clients. */
static bool are_low(const int *fds, size_t count)
{
        int limit = sys_descriptor_limit() / 2;

        for (size_t i = 0; i < count; i++)
                if (fds[i] >= limit)
                        return false;
        return true;
}

/* What has come: one socket, or a descriptor for each direction. Whether it is suitable; else nothing is taken. */
static bool make_endpoints(const struct passed *passed, struct endpoint *ret_input, struct endpoint *ret_output)
{
        size_t last = passed->count - 1;

        *ret_input = *ret_output = (struct endpoint){ .fd = -1, .io = -1 };
        if (!passed->is_cut && passed->count >= 1 && last <= 1 && are_low(passed->fds, passed->count) &&
            endpoint_init(ret_input, passed->fds[0], false, false) == 0 && endpoint_init(ret_output, passed->fds[last], true, false) == 0 &&
            is_suitable(ret_input) && is_suitable(ret_output)) {
                ret_output->is_shared = last == 0;
                return true;
        }
        endpoint_give_back(ret_input);
        endpoint_give_back(ret_output);
        return false;
}

/* Whether the stream goes on at what has come. What was made of the first socket stays with that. */
static bool take(struct stream *stream, struct passed *passed)
{
        struct replaced *replaced = stream->room == 0 ? sys_alloc_zeroed(sizeof *replaced) : NULL;
        struct endpoint input, output;

        if (!replaced || !make_endpoints(passed, &input, &output)) {
                sys_free(replaced);
                return false;
        }
        for (size_t i = 0; i < passed->count; i++)
                passed->fds[i] = -1;
        replaced->stream = stream;
        replaced->source = (struct loop_source){ .loop = stream->loop, .fd = stream->inputs[0].fd, .fn = asker_has_gone };
        /* A descriptor has one place in the loop. */
        loop_source_set(&stream->in_sources[0], 0);
        stream->inputs[0] = input;
        stream->output = output;
        stream->in_sources[0].fd = input.fd;
        stream->out_source.fd = output.fd;
        stream->is_unix = output.is_shared;
        stream->replaced = replaced;
        return true;
}

static void answer(struct stream *stream, struct passed *passed)
{
        int first = stream->inputs[0].fd, error = 0;
        bool is_taken = take(stream, passed);
        const char said = is_taken ? ACKNOWLEDGED : NOT_ACKNOWLEDGED;

        if (is_taken)
                error = loop_source_set(&stream->replaced->source, EPOLLRDHUP);
        if (!error && sys_send(first, &said, 1) != 1)
                error = -EPIPE;
        if (error)
                stream_end(stream, -ECONNRESET, "the process that has passed its connection cannot be answered: %s", error_describe(error));
        else
                stream_update(stream);
}

ssize_t replaced_receive(struct stream *stream, char *buffer, size_t size)
{
        bool are_expected = stream->passed_below > 0;
        ssize_t got = passing_receive(&stream->passing, stream->inputs[0].io, are_expected ? stream->passed_below : INT_MAX, buffer, size);
        struct passed *passed;

        if (got == -EAGAIN)
                return got;
        if (got == 1 && *buffer == ENQUIRY && passing_has(stream->passing)) {
                passed = passing_take(stream->passing);
                /* What was said before has told the peer that this side stays at the first socket. */
                if (stream->replacing == REPLACING_EXPECTED)
                        answer(stream, passed);
                passed_free(passed);
                got = -EAGAIN;
        }
        stream->replacing = REPLACING_NEVER;
        if (!are_expected && stream->passing) {
                passing_free(stream->passing);
                stream->passing = NULL;
        }
        return got;
}

void replaced_free(struct stream *stream, bool is_foreign)
{
        struct replaced *replaced = stream->replaced;

        if (!replaced)
                return;
        if (!is_foreign)
                loop_source_set(&replaced->source, 0);
        sys_close(replaced->source.fd);
        sys_free(replaced);
        stream->replaced = NULL;
}
