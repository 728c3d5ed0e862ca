/* The simplest stream that a program may bring along. */
#include "support/own.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t read_own(const ferry_stream *stream, void *buffer, size_t size)
{
        ssize_t got = recv(stream->fd, buffer, size, MSG_DONTWAIT);

        return got < 0 ? -errno : got;
}

static ssize_t write_own(const ferry_stream *stream, const void *bytes, size_t size)
{
        ssize_t put = send(stream->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

        return put < 0 ? -errno : put;
}

static void close_own(const ferry_stream *stream)
{
        close(stream->fd);
}

ferry_stream own_stream(int fd)
{
        return (ferry_stream){ .fd = fd, .read = read_own, .write = write_own, .close = close_own };
}
