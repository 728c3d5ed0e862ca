/* How many clients each user has, and how much is held for them. */
#pragma once

#include "session/session.h"

/* Clients of one user; or of all peers of which nothing is known. */
struct crowd {
        struct list link;
        struct crowds *crowds;
        uid_t uid;
        unsigned count;
        size_t held;            /* bytes */
        struct list silent;     /* those that have not been seen to send a whole frame; who came first is in front */
};

struct crowds {
        struct list list;
        size_t count;           /* of users */
        size_t held;            /* bytes, for all of them … */
        size_t held_max;        /* … which should not be more */
        struct list waiting;    /* clients that are not read for that reason */
        ferry_session *turn;    /* the one that may complete its message all the same, or NULL; … */
        struct loop_timer turn_timer;
        uint64_t turn_taken;    /* … how much was read of it when the timer began … */
        unsigned turn_ticks;    /* … and how often it has begun */
};

void crowds_init(struct crowds *crowds, size_t held_max);
void crowds_deinit(struct crowds *crowds);
/* No client is left: no timer runs any more. */
void crowds_stop(struct crowds *crowds, ferry_loop *loop);

/* The crowd of a user, or NULL. */
struct crowd *crowd_find(const struct crowds *crowds, uid_t uid);

/* The one with most clients, or NULL. */
struct crowd *crowds_largest(const struct crowds *crowds);

/* Count a client in, and from then on what it holds: 0 or -ENOMEM. And out, if it is in. */
int crowd_join(struct crowds *crowds, ferry_session *client);
void crowd_leave(ferry_session *client);

/* The one that has been silent longest. It is not among those any more. NULL: there is none. */
ferry_session *crowd_take_silent(struct crowd *crowd);
