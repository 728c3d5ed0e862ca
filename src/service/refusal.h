/* Those for whom a service has no room. */
#pragma once

#include "service/client.h"

struct refusal {
        struct list list;
        unsigned count;
        struct handlers handlers;       /* of their messages */
};

/* 0 or -ENOMEM. */
int refusal_init(struct refusal *refusal);
/* Clients that wait there go at once. */
void refusal_clear(struct refusal *refusal);
void refusal_deinit(struct refusal *refusal);

/* Take over a session that has not begun yet: it is refused, and closed. */
void refusal_add(struct refusal *refusal, struct client *client);
/* The session of one of them has ended, or goes. */
void refusal_remove(struct client *client);

/* Tell a client that it is not wanted, and why, where it is known in what dialect, and that can say so. */
void refusal_tell(const struct client *client);
