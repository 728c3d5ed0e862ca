/* Channels of bytes: tcp and unix, accepted or connected, and FIFOs. They are streams, which sessions use, too; so
 * connecting, credentials and an orderly close exist once. Invariant: a stream is in epoll only while a call waits. */
#include "channel/channel.h"

#include "stream/bound.h"
#include "stream/held.h"
#include "stream/fifo.h"
#include "stream/inet.h"
#include "stream/listener.h"
#include "stream/port.h"
#include "stream/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum {
        CLOSE_GRACE_MS = 1000,          /* for a peer that has not received everything */
        REFUSALS_PER_TRY = LISTENER_BACKLOG + 1,        /* all that were waiting when the call began */
};

struct bytes_channel {
        ferry_channel channel;
        struct stream *stream;          /* NULL: it listens, or is gone */
        struct listener listener;
        bool is_listening;
        bool is_closing;                /* in the background */
        bool has_shut_down;
};

static struct bytes_channel *bytes_of(ferry_channel *channel)
{
        return container_of(channel, struct bytes_channel, channel);
}

/* What the stream reports ----------------------------------------------------------------------------- */

static void fail(struct bytes_channel *bytes, int code, const char *sentence)
{
        ferry_channel *channel = &bytes->channel;

        if (channel->phase >= CHANNEL_FAILED)
                return;
        channel_error(channel, code, "%s: %s", channel->address, sentence);
        loop_failure_add(channel->loop, &channel->failure, &channel->error);
        channel_set_phase(channel, CHANNEL_FAILED);
}

/* It is up: the descriptor is there, and the peer is known. */
static void opened(struct stream *stream)
{
        struct bytes_channel *bytes = stream->object;
        ferry_channel *channel = &bytes->channel;
        char text[64];

        channel->peer = stream->peer;
        channel->source.fd = stream->inputs[0].way != ENDPOINT_NONE ? stream->inputs[0].fd : stream->output.fd;
        if (channel->kind == &channel_fifo)
                channel->is_wide = fifo_is_wide(stream);
        if (stream->is_peer_known && !channel_is_allowed(channel, &stream->peer)) {
                snprintf(text, sizeof text, "the peer runs as user %u, which allow does not admit", (unsigned)stream->peer.uid);
                fail(bytes, -EACCES, text);
                return;
        }
        channel_wake(channel, true, true);
}

static void readable(struct stream *stream)
{
        channel_wake(stream->object, true, false);
}

static void writable(struct stream *stream)
{
        channel_wake(stream->object, false, true);
}

static void ignore_text(struct stream *stream, const char *source, const char *bytes, size_t size)
{
        (void)stream, (void)source, (void)bytes, (void)size;
}

/* What can be read was read before. */
static void ended(struct stream *stream, int code, const char *sentence)
{
        struct bytes_channel *bytes = stream->object;

        if (!code && stream->input_error)
                fail(bytes, stream->input_error, "the connection was broken by the peer");
        else if (code)
                fail(bytes, code, sentence);
        else
                channel_set_phase(&bytes->channel, CHANNEL_ENDED);
}

static void closed(struct stream *stream, int code, const char *sentence)
{
        struct bytes_channel *bytes = stream->object;

        (void)code, (void)sentence;
        bytes->stream = NULL;
        stream_free(stream);
        if (bytes->is_closing)
                bytes->channel.loop->live--;
        if (bytes->channel.phase == CHANNEL_FREED)
                channel_buried(&bytes->channel);
}

static const struct stream_owner stream_owner = {
        .opened = opened, .readable = readable, .writable = writable, .text = ignore_text, .ended = ended, .closed = closed,
};

/* Sending and receiving ------------------------------------------------------------------------------- */

static ssize_t send_bytes(ferry_channel *channel, struct channel_io *io)
{
        struct stream *stream = bytes_of(channel)->stream;
        ssize_t put;

        if (!stream)
                return channel_error(channel, -EDESTADDRREQ, "cannot send to '%s': it listens; send to a channel that"
                                                             " ferry_channel_accept() returns",
                                     channel->address);
        if (channel->kind == &channel_fifo && channel->end == FERRY_RECEIVE)
                return channel_error(channel, -EOPNOTSUPP, "%s: this is the end of a FIFO that receives", channel->address);
        if (bytes_of(channel)->has_shut_down)
                return channel_error(channel, -EPIPE, "%s: this side has ended this direction", channel->address);
        put = io->size > 0 || !stream->is_open ? stream_write_bytes(stream, io->bytes, io->size) : 0;
        if (put > 0 || (put == 0 && io->size == 0 && stream->is_open))
                return put;
        if (put < 0)
                return put == -EPIPE ? channel_error(channel, -EPIPE, "%s: the peer reads no more", channel->address) :
                                       channel_error(channel, (int)put, "%s: sending failed: %s", channel->address,
                                                     error_describe((int)put));
        io->wait = CHANNEL_WAIT_OUTPUT;
        io->lack = stream->is_open ? NULL : "the other end did not come";
        return -EAGAIN;
}

/* Nothing was read: that may have been the end. */
static ssize_t describe_silence(const ferry_channel *channel, struct channel_io *io)
{
        io->wait = CHANNEL_WAIT_INPUT;
        return channel->phase == CHANNEL_ENDED ? 0 : channel->phase == CHANNEL_FAILED ? channel->error.code : -EAGAIN;
}

static ssize_t receive_bytes(ferry_channel *channel, struct channel_io *io)
{
        struct stream *stream = bytes_of(channel)->stream;
        ssize_t got;

        if (!stream)
                return channel_error(channel, -EOPNOTSUPP, "cannot receive from '%s': it listens; receive from a channel that"
                                                           " ferry_channel_accept() returns", channel->address);
        if (channel->phase == CHANNEL_ENDED)
                return 0;
        if (channel->kind == &channel_fifo && channel->end == FERRY_SEND)
                return channel_error(channel, -EOPNOTSUPP, "%s: this is the end of a FIFO that sends", channel->address);
        got = stream_read(stream, 0, io->buffer, io->size);
        return got > 0 ? got : describe_silence(channel, io);
}

/* A stream that cannot be watched ends, and wakes the call. */
static int watch(ferry_channel *channel, bool is_input, bool is_output)
{
        struct bytes_channel *bytes = bytes_of(channel);

        if (bytes->is_listening)
                return loop_source_set(&channel->source, is_input ? EPOLLIN : 0);
        if (!bytes->stream)
                return 0;
        stream_want_read(bytes->stream, is_input);
        stream_want_write(bytes->stream, is_output);
        return 0;
}

/* Opening --------------------------------------------------------------------------------------------- */

static int open_stream(struct bytes_channel *bytes, int code)
{
        ferry_channel *channel = &bytes->channel;

        if (code)
                return code;
        if (bytes->stream->inputs[0].way != ENDPOINT_NONE || bytes->stream->output.way != ENDPOINT_NONE)
                code = bytes->stream->is_open ? 0 : stream_start(bytes->stream);
        if (code) {
                stream_free(bytes->stream);
                bytes->stream = NULL;
                return channel_error(channel, code, "cannot watch '%s': %s", channel->address, error_describe(code));
        }
        if (bytes->stream->is_open)
                opened(bytes->stream);
        return channel->phase == CHANNEL_FAILED ? channel->error.code : 0;
}

/* A call that waits has the old descriptor, which is closed when its clients are taken. */
static void socket_renewed(struct listener *listener)
{
        ferry_channel *channel = listener->object;

        loop_source_set(&channel->source, 0);
        channel->source.fd = listener->binding.fd;
        channel_wake(channel, true, false);
}

static void socket_lost(struct listener *listener, int code, const char *sentence)
{
        char text[512];

        snprintf(text, sizeof text, "the socket was removed, and cannot be bound again: %s", sentence);
        fail(bytes_of(listener->object), code, text);
}

static int start_listening(struct bytes_channel *bytes)
{
        ferry_channel *channel = &bytes->channel;
        const struct listener_options options = { .mode = channel->options.mode, .is_public = channel->options.is_public };
        int code;

        listener_init(&bytes->listener, channel->loop, NULL, socket_lost, channel);
        bytes->is_listening = true;
        code = listener_open(&bytes->listener, channel->address, &options, &channel->error);
        if (code)
                return code;
        channel->source.fd = bytes->listener.binding.fd;
        listener_keep(&bytes->listener, socket_renewed);
        return channel_set_address(channel, bytes->listener.address);
}

static int open_socket(ferry_channel *channel, const char *address_text)
{
        struct bytes_channel *bytes = bytes_of(channel);
        const struct stream_place place = { .loop = channel->loop, .owner = &stream_owner, .object = bytes };
        /* The channel itself asks whether the peer may be there. */
        const ferry_session_options options = { .wait_ms = channel->options.wait_ms };

        (void)address_text;
        channel->record_max = SIZE_MAX;
        if (channel->end == FERRY_RECEIVE)
                return start_listening(bytes);
        return open_stream(bytes, stream_open(&place, channel->address, &options, &bytes->stream, &channel->error));
}

static int open_fifo(ferry_channel *channel, const char *path)
{
        struct bytes_channel *bytes = bytes_of(channel);
        const struct stream_place place = { .loop = channel->loop, .owner = &stream_owner, .object = bytes };
        const bool is_receiving = channel->end == FERRY_RECEIVE;
        const struct fifo_options options = {
                .in = is_receiving ? path : NULL, .out = is_receiving ? NULL : path, .mode = channel->options.mode,
                .is_making = is_receiving || channel->options.is_creating, .is_strict = channel->options.is_strict,
                .wait_ms = channel->options.wait_ms,
        };

        channel->record_max = SIZE_MAX;
        if (!*path || strchr(path, ','))
                return channel_error(channel, -EINVAL, "'fifo:%s' is not an address of a channel: write fifo:PATH, without a"
                                                       " comma",
                                     path);
        return open_stream(bytes, fifo_open(&place, &options, &bytes->stream, &channel->error));
}

/* Accepting ------------------------------------------------------------------------------------------- */

/* A channel for the client behind @fd, which is taken over; NULL if memory is out. */
static int adopt(struct bytes_channel *listener, int fd, const union inet_address *from, ferry_channel **ret_client)
{
        ferry_channel *channel = &listener->channel;
        struct stream_place place = { .loop = channel->loop, .owner = &stream_owner };
        char text_of_tcp[INET_TEXT_MAX];
        bool is_tcp = from->any.sa_family != AF_UNIX && from->any.sa_family != AF_UNSPEC;
        ferry_channel *client = channel_new_client(channel, is_tcp ? inet_print("tcp", from, text_of_tcp) : channel->address);
        int code;

        if (!client)
                code = -ENOMEM;
        else {
                place.object = bytes_of(client);
                code = stream_accept(&place, fd, &bytes_of(client)->stream);
        }
        if (code) {
                sys_close(fd);
                ferry_channel_free(client);
                return channel_error(channel, code, "%s: cannot accept a client: %s", channel->address, error_describe(code));
        }
        client->peer = bytes_of(client)->stream->peer;
        client->source.fd = fd;
        *ret_client = client;
        return 0;
}

static int accept_client(ferry_channel *channel, struct channel_io *io, ferry_channel **ret_client)
{
        struct bytes_channel *listener = bytes_of(channel);
        union {
                struct sockaddr_storage storage;
                union inet_address address;
        } from;
        socklen_t size;
        int fd = 0, code;

        if (!listener->is_listening)
                return channel_error(channel, -EOPNOTSUPP, "'%s' is a connection and accepts none: open a channel that listens",
                                     channel->address);
        for (int i = 0; i < REFUSALS_PER_TRY; i++) {
                fd = listener_accept(&listener->listener, &from.storage, &size);
                if (fd < 0)
                        break;
                code = adopt(listener, fd, &from.address, ret_client);
                if (code)
                        return code;
                if (!bytes_of(*ret_client)->stream->is_peer_known || channel_is_allowed(channel, &(*ret_client)->peer))
                        return 0;
                ferry_channel_free(*ret_client);
                if (channel->phase == CHANNEL_FREED)
                        return -ECANCELED;
        }
        io->wait = CHANNEL_WAIT_INPUT;
        return fd >= 0 || fd == -EAGAIN ? -EAGAIN :
               channel_error(channel, fd, "%s: cannot accept a client: %s", channel->address, error_describe(fd));
}

/* Ending ---------------------------------------------------------------------------------------------- */

static int shut_down(ferry_channel *channel)
{
        struct bytes_channel *bytes = bytes_of(channel);
        struct stream *stream = bytes->stream;
        int code;

        if (!stream)
                return channel_error(channel, -EOPNOTSUPP, "'%s' listens, and has no direction to end: end one of a connection",
                                     channel->address);
        if (!stream->is_open)
                return channel_error(channel, -ENOTCONN, "'%s' is not connected yet", channel->address);
        code = bytes->has_shut_down ? 0 : sys_shutdown(stream->output.io, SHUT_WR);
        if (code)
                return channel_error(channel, code, "%s: cannot end the sending direction: %s", channel->address,
                                     error_describe(code));
        bytes->has_shut_down = true;
        return 0;
}

static int detach(ferry_channel *channel)
{
        struct bytes_channel *bytes = bytes_of(channel);
        struct stream *stream = bytes->stream;
        int fd;

        if (!stream || !stream->is_open)
                return channel_error(channel, stream ? -ENOTCONN : -EOPNOTSUPP, "'%s' is not a connection", channel->address);
        fd = sys_duplicate(stream->inputs[0].fd, 0);
        if (fd < 0)
                return channel_error(channel, fd, "%s: cannot take its descriptor: %s", channel->address,
                                     error_describe(fd));
        bytes->stream = NULL;
        stream_free(stream);
        return fd;
}

/* Whether or not this channel made it. */
static int remove_fifo(ferry_channel *channel)
{
        const char *path = channel->address + strlen("fifo:");
        struct stat stat;
        int code = sys_stat_path(path, &stat);

        if (!code && !S_ISFIFO(stat.st_mode))
                code = -ENOTSUP;
        if (!code && stat.st_uid != sys_uid() && sys_uid() != 0)
                code = -EPERM;
        if (!code)
                code = held_remove_at(path, stat.st_dev, stat.st_ino);
        return code ? channel_error(channel, code, "cannot remove '%s': %s", channel->address, error_describe(code)) : 0;
}

/* A stream that has nothing to wait for closes at once. */
static bool close_bytes(ferry_channel *channel, bool is_foreign)
{
        struct bytes_channel *bytes = bytes_of(channel);
        struct stream *stream = bytes->stream;

        if (bytes->is_listening) {
                bytes->is_listening = false;
                listener_deinit(&bytes->listener);
        }
        if (!stream)
                return false;
        if (is_foreign || bytes->is_closing) {
                bytes->stream = NULL;
                stream_free(stream);
                return false;
        }
        bytes->is_closing = true;
        channel->loop->live++;
        stream_close(stream, CLOSE_GRACE_MS);
        return true;
}

/* Looking --------------------------------------------------------------------------------------------- */

/* Whether one of the addresses of a host is listened at. */
static int look_at_tcp(const char *address_text, enum retry_hope *ret_hope)
{
        union inet_address addresses[INET_ADDRESSES_MAX];
        int count = inet_parse(address_text, addresses), code = count < 0 ? count : 0;

        *ret_hope = RETRY_SELDOM;
        for (int i = 0; i < count && !code; i++) {
                code = port_find(&addresses[i], SOCK_STREAM);
                /* A machine without IPv6 has no such localhost. */
                if (i > 0 && (code == -EAFNOSUPPORT || code == -EADDRNOTAVAIL))
                        code = 0;
        }
        return code;
}

static int look_at_unix(const char *path, enum retry_hope *ret_hope)
{
        bool is_bound = false;
        int code = bound_find(path, SOCK_STREAM, &is_bound);

        *ret_hope = is_bound ? RETRY_SELDOM : RETRY_CHANGE;
        return code;
}

static int look_at_fifo(const char *path, enum retry_hope *ret_hope)
{
        struct stat stat;
        int code;

        *ret_hope = RETRY_CHANGE;
        if (!*path || strchr(path, ','))
                return -EINVAL;
        code = sys_stat_path(path, &stat);
        return code == -ENOENT ? 0 : code ? code : S_ISFIFO(stat.st_mode);
}

const struct channel_kind channel_tcp = {
        .name = "tcp", .size = sizeof(struct bytes_channel), .is_two_way = true, .is_ordered = true, .first_type = -1,
        .open = open_socket, .close = close_bytes, .send = send_bytes, .receive = receive_bytes, .watch = watch, .accept = accept_client,
        .shutdown = shut_down, .detach = detach, .look = look_at_tcp,
};

const struct channel_kind channel_unix = {
        .name = "unix", .size = sizeof(struct bytes_channel), .is_two_way = true, .is_ordered = true, .first_type = -1,
        .open = open_socket, .close = close_bytes, .send = send_bytes, .receive = receive_bytes, .watch = watch, .accept = accept_client,
        .shutdown = shut_down, .detach = detach, .look = look_at_unix, .is_in_files = true,
};

const struct channel_kind channel_fifo = {
        .name = "fifo", .size = sizeof(struct bytes_channel), .is_ordered = true, .first_type = -1,
        .open = open_fifo, .close = close_bytes, .send = send_bytes, .receive = receive_bytes, .watch = watch,
        .remove = remove_fifo, .look = look_at_fifo, .is_in_files = true,
};
