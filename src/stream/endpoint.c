/* Reads and writes descriptors of every kind without blocking. Invariant: the flags of a descriptor that ferry did
 * not create stay as they are; O_NONBLOCK belongs to the open file, which parents and siblings share. A pipe is
 * therefore opened again by /proc/self/fd; the one that was given stays open and is the one polled, because the
 * other would not report that its writer has gone. */
#include "stream/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

static int reopen(int fd, bool is_writing)
{
        char path[32];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return sys_open(path, (is_writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK, 0);
}

int endpoint_init(struct endpoint *endpoint, int fd, bool is_writing, bool is_own)
{
        struct endpoint found = { .way = ENDPOINT_POLLED, .fd = fd, .io = fd };
        struct stat stat;
        int error = sys_stat_fd(fd, &stat);
        int io, flags;

        if (error < 0)
                return error;
        flags = sys_flags(fd);
        if (flags < 0)
                return flags;
        if ((flags & O_ACCMODE) == (is_writing ? O_RDONLY : O_WRONLY))
                return -EBADF;
        found.is_terminal = S_ISCHR(stat.st_mode) && sys_is_terminal(fd);
        if (S_ISSOCK(stat.st_mode))
                found.way = ENDPOINT_SOCKET;
        else if (S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode))
                found.way = ENDPOINT_FILE;
        else if (S_ISFIFO(stat.st_mode)) {
                found.is_pipe = true;
                if (is_own) {
                        error = sys_set_flags(fd, flags | O_NONBLOCK);
                        if (error < 0)
                                return error;
                        found.way = ENDPOINT_NONBLOCKING;
                } else if ((io = reopen(fd, is_writing)) >= 0) {
                        found.way = ENDPOINT_NONBLOCKING;
                        found.io = io;
                }
        }
        *endpoint = found;
        return 0;
}

void endpoint_init_program(struct endpoint *endpoint, const ferry_stream *stream)
{
        *endpoint = (struct endpoint){ .way = ENDPOINT_PROGRAM, .fd = stream->fd, .io = -1, .stream = stream };
}

void endpoint_deinit(struct endpoint *endpoint)
{
        if (endpoint->way != ENDPOINT_NONE && endpoint->way != ENDPOINT_PROGRAM) {
                if (endpoint->io != endpoint->fd)
                        sys_close(endpoint->io);
                if (!endpoint->is_shared)
                        sys_close(endpoint->fd);
        }
        *endpoint = (struct endpoint){ .fd = -1, .io = -1 };
}

void endpoint_give_back(struct endpoint *endpoint)
{
        endpoint->is_shared = true;
        endpoint_deinit(endpoint);
}

static bool is_ready(int fd, short events)
{
        struct pollfd poll = { .fd = fd, .events = events };

        return sys_poll(&poll, 1, 0) > 0 && poll.revents != 0;
}

/* A FIFO that no process has opened for writing yet reads like one whose last writer has closed it. */
static bool has_hung_up(int fd)
{
        struct pollfd poll = { .fd = fd };

        return sys_poll(&poll, 1, 0) != 0;
}

ssize_t endpoint_read(const struct endpoint *endpoint, void *buffer, size_t size)
{
        ssize_t got;

        switch (endpoint->way) {
        case ENDPOINT_SOCKET:
                return sys_recv(endpoint->io, buffer, size);
        case ENDPOINT_PROGRAM:
                return endpoint->stream->read(endpoint->stream, buffer, size);
        case ENDPOINT_POLLED:
                if (!is_ready(endpoint->fd, POLLIN))
                        return -EAGAIN;
                got = sys_read(endpoint->io, buffer, size);
                /* So a pseudo-terminal says that its other side is closed. */
                return got == -EIO ? 0 : got;
        case ENDPOINT_NONE:
                return -EBADF;
        default:
                got = sys_read(endpoint->io, buffer, size);
                return got == 0 && endpoint->is_pipe && size > 0 && !has_hung_up(endpoint->fd) ? -EAGAIN : got;
        }
}

/* SIGPIPE would kill the program, or call its handler: it is blocked in this thread for the write, and taken if it was ours.
 * Most programs ignore it; they may begin or end to do so at any time. */
static ssize_t write_without_signal(int fd, const void *bytes, size_t size)
{
        bool was_pending;
        sigset_t before;
        ssize_t put;
        int error;

        if (sys_is_signal_ignored(SIGPIPE))
                return sys_write(fd, bytes, size);
        error = sys_block_signal(SIGPIPE, &before);
        if (error < 0)
                return error;
        /* It can only have been pending where it was blocked already. */
        was_pending = sigismember(&before, SIGPIPE) == 1 && sys_is_signal_pending(SIGPIPE);
        put = sys_write(fd, bytes, size);
        if (put == -EPIPE && !was_pending)
                sys_take_signal(SIGPIPE);
        sys_restore_signals(&before);
        return put;
}

static ssize_t write_to_pipe(struct endpoint *endpoint, const void *bytes, size_t size)
{
        ssize_t put = endpoint->is_loud ? -EOPNOTSUPP : sys_write_quietly(endpoint->io, bytes, size);

        /* The kernel does not know it, or a security policy forbids it: then the plain write says what else is wrong. */
        if (put != -EOPNOTSUPP && put != -ENOSYS && put != -EPERM)
                return put;
        endpoint->is_loud = true;
        return write_without_signal(endpoint->io, bytes, size);
}

/* Byte by byte: a write of more than there is room for would wait for the reader. */
static ssize_t write_to_terminal(int fd, const char *bytes, size_t size)
{
        size_t put = 0;

        while (put < size && put < PIPE_BUF && is_ready(fd, POLLOUT)) {
                ssize_t result = sys_write(fd, bytes + put, 1);

                if (result <= 0)
                        return put > 0 ? (ssize_t)put : result;
                put++;
        }
        return put > 0 ? (ssize_t)put : -EAGAIN;
}

static ssize_t write_slice(struct endpoint *endpoint, const void *bytes, size_t size)
{
        switch (endpoint->way) {
        case ENDPOINT_SOCKET:
                return sys_send(endpoint->io, bytes, size);
        case ENDPOINT_PROGRAM:
                return endpoint->stream->write(endpoint->stream, bytes, size);
        case ENDPOINT_POLLED:
                if (endpoint->is_terminal)
                        return write_to_terminal(endpoint->io, bytes, size);
                if (!is_ready(endpoint->fd, POLLOUT))
                        return -EAGAIN;
                /* Poll promises no more than this many bytes. */
                if (size > PIPE_BUF)
                        size = PIPE_BUF;
                break;
        case ENDPOINT_NONE:
                return -EBADF;
        default:
                break;
        }
        return endpoint->is_pipe ? write_to_pipe(endpoint, bytes, size) : sys_write(endpoint->io, bytes, size);
}

/* A socket takes all at once; others one after the other, as long as each is taken whole. */
ssize_t endpoint_write(struct endpoint *endpoint, struct iovec *slices, int count)
{
        ssize_t all = 0;

        if (count > 1 && endpoint->way == ENDPOINT_SOCKET)
                return sys_send_message(endpoint->io, &(struct msghdr){ .msg_iov = slices,
                                                                        .msg_iovlen = (size_t)count });
        for (int i = 0; i < count; i++) {
                ssize_t put = write_slice(endpoint, slices[i].iov_base, slices[i].iov_len);

                /* What has failed fails again with the next write. */
                if (put < 0)
                        return all > 0 ? all : put;
                all += put;
                if ((size_t)put < slices[i].iov_len)
                        break;
        }
        return all;
}
