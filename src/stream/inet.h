/* Addresses of tcp and udp, which are numbers: looking up a name would block. */
#pragma once

#include "util/error.h"

#include <netinet/in.h>
#include <stdbool.h>

enum {
        INET_ADDRESSES_MAX = 2,
        INET_TEXT_MAX = 64,     /* "tcp:[…]:65535" */
};

union inet_address {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
};

/* HOST:PORT. Returns how many addresses that has: two for localhost, of which the second is only for clients; or
 * -EINVAL. */
int inet_parse(const char *text, union inet_address addresses[INET_ADDRESSES_MAX]);
/* The port alone, up to a zero. */
bool inet_parse_port(const char *text, in_port_t *ret_port);

/* Say what is wrong with the @text of an address that begins with @scheme and a colon. Returns -EINVAL. */
int inet_refuse(const char *scheme, const char *text, struct error *error);

/* Write one in full: "tcp:127.0.0.1:80". Returns @text. */
const char *inet_print(const char *scheme, const union inet_address *address, char text[INET_TEXT_MAX]);

bool inet_is_loopback(const union inet_address *address);
/* Of no host: to listen at all of this machine. */
bool inet_is_unspecified(const union inet_address *address);
bool inet_is_multicast(const union inet_address *address);
in_port_t inet_port(const union inet_address *address);
socklen_t inet_size(const union inet_address *address);

/* A socket that is bound there; or a negative errno, with a sentence where @text, the address as the program wrote it, is
 * at fault. One that other machines can reach is refused unless @is_public. */
int inet_bind(const union inet_address *address, int type, bool is_public, const char *text, struct error *error);
