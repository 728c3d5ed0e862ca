/* One descriptor, to read from or to write to, in the way that its kind needs so that nothing blocks and no flag
 * of a descriptor that others share is changed. */
#pragma once

#include <ferry/session.h>

#include "util/sys.h"

enum endpoint_way {
        ENDPOINT_NONE,
        ENDPOINT_SOCKET,        /* MSG_DONTWAIT */
        ENDPOINT_NONBLOCKING,   /* a descriptor of our own, with O_NONBLOCK */
        ENDPOINT_POLLED,        /* a terminal, a device: only when poll(2) says so, and little at once */
        ENDPOINT_FILE,          /* always ready */
        ENDPOINT_PROGRAM,       /* a stream of the program's own */
};

struct endpoint {
        enum endpoint_way way;
        int fd;                 /* to poll, and ours to close; -1: none */
        int io;                 /* to read or write; the same, or the same pipe opened again */
        bool is_pipe;           /* writing to it may raise SIGPIPE … */
        bool is_loud;           /* … and this kernel cannot be asked not to, as the first write has shown */
        bool is_terminal;       /* poll(2) promises no more than one byte of room */
        bool is_shared;         /* the fd belongs to another endpoint, too, which closes it */
        const ferry_stream *stream;
};

/* Take over a descriptor: find out what it is. 0, or a negative errno, and then it is not taken. @is_own: no process
 * else has it, so it may be made non-blocking. */
int endpoint_init(struct endpoint *endpoint, int fd, bool is_writing, bool is_own);
void endpoint_init_program(struct endpoint *endpoint, const ferry_stream *stream);
void endpoint_deinit(struct endpoint *endpoint);
/* The same, but the descriptor that it was made of is the caller's again. */
void endpoint_give_back(struct endpoint *endpoint);

/* How many bytes were moved; reading: 0 at the end. -EAGAIN, or another negative errno. */
ssize_t endpoint_read(const struct endpoint *endpoint, void *buffer, size_t size);
ssize_t endpoint_write(struct endpoint *endpoint, struct iovec *slices, int count);
