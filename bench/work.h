/* The kinds of work that are measured between two processes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum work_kind {
        WORK_ROUND_TRIP,        /* a request, and its answer */
        WORK_IN_FLIGHT,         /* a batch of requests, then all their answers */
        WORK_TASKS,             /* the same, as tasks for several servers */
        WORK_ONE_WAY,           /* a batch of messages without answers, then a wait until the peer has all */
        WORK_LONE,              /* one such message after a pause; the sending call alone is timed */
        WORK_FAN_IN,            /* a request of each client, then all their answers */
        WORK_CONNECT,           /* connect, request, answer, close */
        WORK_SPAWN,             /* start the server as a child, request, answer */
        WORK_IDLE,              /* memory of a client that is silent */
};

/* All that a server does alone, which its client has not started. */
#define WORKS_OF_A_SERVER (~(1U << WORK_SPAWN | 1U << WORK_TASKS))

struct work {
        const char *name;
        const char *title;
        enum work_kind kind;
        size_t body;            /* bytes of a message's body */
        int clients;
        size_t batch;           /* messages in a sample */
        size_t samples;         /* in a block */
        size_t resident;        /* bytes that the measuring process holds, in small pages */
        bool is_rate;           /* the table shows messages a second, else microseconds a message */
};

enum { WORK_CLIENTS_MAX = 1000, WORK_TASKS_MAX = 10000, WORK_WORKERS = 8 };

extern const struct work works[];
extern const size_t work_count;

/* NULL if there is none of that name. */
const struct work *work_find(const char *name);
