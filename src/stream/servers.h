/* Servers that a client may connect to, of which any will do: those of a list of URLs. */
#pragma once

#include "stream/inet.h"

struct server {
        const char *host;               /* as the URL has it, without brackets */
        const char *certified;          /* the host that its certificate has to name */
        in_port_t port;
        bool is_secure;                 /* its URL asks for TLS */
        bool is_address;                /* the host is numbers */
        int count;                      /* of its addresses; 0: it has a name, which is to be looked up */
        union inet_address addresses[INET_ADDRESSES_MAX];
};

struct servers {
        int count;
        bool may_recover;               /* one that was tried has failed, but has not refused for good */
        struct server all[];            /* their texts stand behind them */
};

enum { SERVERS_MAX = 64 };

/* Those of some addresses: a single server. NULL if there is no memory. */
struct servers *servers_of_addresses(const union inet_address *addresses, int count);

/* Those of URLs of NATS servers, in random order, so that not all clients come to the same one. 0, or a negative errno with a
 * sentence. @more: others, as far as there is room, where those with a wrong place are passed over; or NULL. sys_free() frees them. */
int servers_of_urls(const char *urls, const char *more, struct servers **ret, struct error *error);
