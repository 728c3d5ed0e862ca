/* A cluster of NATS servers in memory, as far as clients see it: subjects with wildcards, queue groups, no responders, headers. Each
 * connection belongs to one server. What one server has for a client of another one travels between them. */
#pragma once

#include "simulation/kernel.h"

/* Rules that it breaks on purpose, which the journal must find. */
enum server_mutant {
        SERVER_IS_RIGHT,
        SERVER_DELIVERS_BEHIND_503,     /* now and then: says that there are no responders, and delivers */
        SERVER_DELIVERS_TWICE,
};

struct server_counts {
        uint64_t published, delivered, no_responders;
        uint64_t dropped;               /* the receiver was gone when it came to its server */
        unsigned subscriptions, clients;
};
extern struct server_counts server_counts;

extern const struct kernel_side server_side;

void server_begin(unsigned servers, enum server_mutant mutant);
void server_end(void);
/* All connections break, and none is taken, until it is started again. */
void server_kill(unsigned server);
void server_start(unsigned server);
/* Its clients are told that it is about to end; it takes no new ones. */
void server_announce_end(unsigned server);
bool server_is_up(unsigned server);
