/* Two sessions that talk to each other, over each kind of stream and in each dialect. The other side behaves as
 * behaviour.h says; where it lives depends on the stream. */
#pragma once

#include "conformance/behaviour.h"

enum {
        STREAM_SOCKET,          /* a socketpair */
        STREAM_PIPES,
        STREAM_UNIX,            /* a service, and its client */
        STREAM_EXEC,            /* a child, over its stdio */
        STREAM_THREE,           /* pipes, and a third descriptor that is read too */
        STREAM_OWN,             /* of the program's own */
        STREAM_TCP,             /* as STREAM_UNIX, at a port */
        STREAM_FIFO,            /* two FIFOs, which the sessions make */
        STREAM_SHM,             /* as STREAM_UNIX; where the dialect can, the messages have moved to shared memory */
        STREAMS,
        DIALECTS = 3,           /* ferry, stream-ipc with php, with json */
        PAIRS = STREAMS * DIALECTS,
        LOCAL_PAIRS = STREAM_TCP * DIALECTS, /* where it does not matter in which way a socket is connected */
};

struct pair {
        int stream;
        const char *dialect;
        bool is_ferry;
        ferry_loop *loop;
        ferry_session *us;
        ferry_session *them;            /* NULL: in another process, or not here yet */
        ferry_service *service;
        struct behaviour behaviour;     /* theirs, unless that is a process */
        int third;                      /* to write what we read too; -1 */
        ferry_stream own;
        char directory[64];
        char address[160];
};

/* The @i-th pair; what is not zero in @ours and @theirs (frame_max, queue_max, the times) goes into the options. */
void pair_open(struct pair *pair, int i, const ferry_session_options *ours, const ferry_session_options *theirs);
void pair_close(struct pair *pair);

/* Ask the other side what it has seen. */
int64_t pair_report(struct pair *pair, const char *key);
