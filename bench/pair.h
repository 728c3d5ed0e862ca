/* A client and its server: two processes of a driver, on the CPUs that are named to them. */
#pragma once

#include "shared.h"
#include "work.h"

#include <signal.h>
#include <sys/types.h>

/* The signal that asks the bench to end, or 0: what waits then returns. */
extern volatile sig_atomic_t stop_signal;

/* A transport of a driver, as `DRIVER list` says. */
struct contestant {
        char name[32];
        char floors[96];        /* that it is compared with: the first one that was measured, with commas between */
        char program[256];
        unsigned works;         /* a set of 1 << enum work_kind */
        int is_forking;         /* the client starts the server */
        int needs_two;
        int clients_max;        /* 0: no limit */
        size_t body_max;        /* 0: no limit */
};

/* Where the two run. */
enum placement {
        PLACEMENT_ONE,          /* both on one CPU */
        PLACEMENT_TWO,          /* each on its own */
        PLACEMENT_ANY,          /* where the kernel likes */
        PLACEMENT_COUNT,
};

struct pair {
        const struct contestant *contestant;
        pid_t client, server;
        int to_client, from_client;
        struct shared *shared;
        int shared_fd;
};

/* Files for what callgrind counts of a side that runs under it; NULL: it does not. */
struct counting {
        const char *client, *server;
};

/* Starts both, with sockets in @folder; false, with nothing started, after a message. @counting may be NULL. */
bool pair_start(struct pair *pair, const struct contestant *contestant, const struct work *work, enum placement placement,
                const char *folder, const struct counting *counting);
void pair_stop(struct pair *pair);

/* Takes so many samples, in nanoseconds (of WORK_IDLE: bytes); false, after a message, if the client or the server has failed. */
bool pair_measure(struct pair *pair, double *samples, size_t count);

/* CPU time that both have used, in nanoseconds. */
double pair_cpu_time(const struct pair *pair);

/* The CPU that is @index among those we may use; -1 if there is none. */
int cpu_at(int index);
