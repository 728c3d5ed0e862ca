/* A system of its own behind util/sys.h: one clock, processes that each have an epoll, sockets between them and servers. The
 * library that runs over it is the one that ships; nothing waits for real time, and the same seed gives the same run.
 *
 * A process is a loop of the library (ferry_loop_fd()), which is given a round whenever its descriptor would be readable. A
 * connection is a socket of a process on one side, and a number for the servers (server.h) on the other. */
#pragma once

#include "simulation/random.h"

#include <ferry/loop.h>

#include <stddef.h>

enum { KERNEL_MS = 1000000, KERNEL_NEVER = 0 };

/* How bytes travel. */
struct weather {
        int64_t delay_least, delay_most;        /* ns, one way */
        unsigned retransmitted;                 /* pieces in a million that take @retransmission longer, as TCP sends them again */
        int64_t retransmission;
        int room_least;                 /* bytes that a connection takes before it waits for those that are under way, at least */
};

typedef void kernel_fn(void *object, uint64_t number);

/* What servers do. */
struct kernel_side {
        bool (*is_listening)(unsigned server);
        void (*accepted)(unsigned connection, unsigned server);
        void (*received)(unsigned connection, const char *bytes, size_t size);
        void (*closed)(unsigned connection);
};

void kernel_begin(uint64_t seed, const struct weather *weather, const struct kernel_side *side);
/* How many descriptors are left; all else is given back. */
unsigned kernel_end(void);

struct random *kernel_random(void);
int64_t kernel_now(void);
/* Call it at that time. */
void kernel_at(int64_t when, kernel_fn *fn, void *object, uint64_t number);
/* Work until nothing is left to do, or @is_over says so, or that time has come. False if nothing is left to do. */
bool kernel_run(bool (*is_over)(void), int64_t until);

/* Processes. What is called between enter and leave is done by that one. */
unsigned kernel_new_process(unsigned host);
void kernel_set_loop(unsigned process, ferry_loop *loop);
void kernel_enter(unsigned process);
void kernel_leave(void);
/* It does nothing any more, and its connections break: at once, or when the servers notice, after @silence. Its loop is to be freed
 * then, which nothing outside hears of. */
void kernel_kill(unsigned process, int64_t silence);
bool kernel_is_dead(unsigned process);

/* Break the connections of a process, or of one that servers end: what is under way is lost. For @silence both sides go on
 * as if nothing had happened, and what they send is lost. */
void kernel_cut(unsigned process, int64_t silence);
void kernel_break(unsigned connection);
/* A server ends it in order. */
void kernel_hang_up(unsigned connection);
void kernel_send(unsigned connection, const char *bytes, size_t size);

/* What is there. */
struct kernel_counts {
        unsigned descriptors;
        uint64_t cuts;
};
extern struct kernel_counts kernel_counts;
