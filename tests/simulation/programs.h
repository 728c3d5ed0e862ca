/* Callers and workers over the cluster in memory, and what happens to them. */
#pragma once

#include "simulation/server.h"

#include <stddef.h>

enum program_mutant {
        PROGRAMS_ARE_RIGHT,
        CALLER_SENDS_AGAIN,             /* what is unknown */
        WORKER_REFUSES_WHAT_IT_RUNS,    /* now and then */
};

/* Times are in milliseconds of the simulated clock. A mean of 0: it never happens. */
struct simulation {
        uint64_t seed;
        size_t tasks;
        unsigned workers, hosts;        /* workers are spread over the hosts */
        unsigned callers, servers;
        unsigned in_flight;             /* tasks that callers have given away at one time, all together */
        int work_least, work_most;      /* for one task */
        int timeout;                    /* of a request */
        int beat;                       /* how often a worker says that it works (heartbeat_ms) */
        int reconnect;                  /* for how long sessions connect again (reconnect_ms); 0: the programs open new ones */
        int patience;                   /* for which a task that is not executed is given away again */
        int worker_death_mean;          /* between two deaths of the same worker */
        int host_death_mean;            /* of the same host, with all its workers */
        int cut_mean;                   /* between two losses of the connection of the same worker or caller */
        int server_death_mean;          /* of the same server */
        int server_end_mean;            /* between two orderly ends of the same server */
        int silence_most;               /* before a death or a cut is noticed; half of them are noticed at once */
        unsigned late;                  /* pieces in a million that take 200 ms longer */
        unsigned places;                /* tasks that a worker has in hand at one time, at most */
        int is_leaving;                 /* not 0: a worker is not subscribed while all its places are taken */
        int is_pool;                    /* not 0: callers give tasks to the pool of a manager */
        unsigned requests_max;          /* of a pool in flight; 0: the default */
        int busy, wait;                 /* how long a pool waits while workers refuse all, and while there is none; not -1 */
        int queue;                      /* how long a task may wait in a pool (queue_timeout_ms); 0: for ever */
        int room;                       /* bytes that a connection takes at once, at least; at most 16384 */
        int rest;                       /* until what has died is started again */
        enum server_mutant server_mutant;
        enum program_mutant program_mutant;
        bool is_quiet;                  /* broken rules are counted, and not printed */
};

struct simulation_figures {
        double seconds;                 /* of the simulated clock */
        double wait_mean, wait_99;      /* ms from giving a task away to its end, without its work; of those that were replied to */
        double unknown_mean;            /* ms from giving a task away to the report that it is unknown */
        double lost_work;               /* of all work, the part whose answers did not come */
        size_t refusals;                /* by workers */
        unsigned worker_deaths, host_deaths, server_deaths;
        size_t memory_peak, memory_idle;        /* bytes of the library at most, and in idle processes at the end, in all */
        uint64_t trace;                 /* the same for the same run */
};

/* Returns how many rules were broken; the first ones were printed with the seed. The journal can be asked until the next run. */
size_t simulate(const struct simulation *simulation, struct simulation_figures *ret_figures);
