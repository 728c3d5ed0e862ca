/* How many clients each user has, and how much is held for them. */
#pragma once

#include "service/client.h"

/* Clients of one user; or of all peers of which nothing is known. */
struct crowd {
        struct list link;
        struct crowds *crowds;
        uid_t uid;
        unsigned count;
        size_t held;            /* bytes */
        size_t subscribed;      /* memory of their subscriptions */
        struct list silent;     /* those that have not been seen to send a whole frame; the first to come is in front */
};

struct crowds {
        struct list list;
        size_t count;           /* of users */
        size_t held;            /* bytes, for all of them … */
        size_t held_max;        /* … which should not be more */
        struct list waiting;    /* clients that are not read for that reason */
        struct client *turn;    /* the one that may complete its message all the same, or NULL; … */
        struct loop_timer turn_timer;
        uint64_t turn_taken;    /* … how much was read of it when the timer began … */
        unsigned turn_ticks;    /* … and how often it has begun */
};

/* It need not be undone: it holds nothing once each client has left. */
void crowds_init(struct crowds *crowds, size_t held_max);

/* The crowd of a user, or NULL. */
struct crowd *crowd_find(const struct crowds *crowds, uid_t uid);

/* The one with most clients, or NULL. */
struct crowd *crowds_largest(const struct crowds *crowds);

/* Count a client in, and from then on what it holds: 0 or -ENOMEM. And out, if it is in. */
int crowd_join(struct crowds *crowds, struct client *client);
void crowd_leave(struct client *client);

/* A client holds so much now, and so much of a message that is not complete: count that. Whether it may be read. */
bool crowd_counts(struct client *client, size_t held, size_t unfinished);

/* Whether so much more may be queued for a client. */
bool crowd_takes(struct client *client, size_t size);

/* The one that has been silent longest. It is no longer among those. NULL: there is none. */
struct client *crowd_take_silent(struct crowd *crowd);
