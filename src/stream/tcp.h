/* Addresses of tcp, which are numbers: looking up a name would block. */
#pragma once

#include "util/error.h"

#include <netinet/in.h>
#include <stdbool.h>

enum {
        TCP_ADDRESSES_MAX = 2,
        TCP_TEXT_MAX = 64,      /* "tcp:[…]:65535" */
};

union tcp_address {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
};

/* HOST:PORT. Returns how many addresses that has: two for localhost, of which the second is only for who connects; or
 * -EINVAL. */
int tcp_parse(const char *text, union tcp_address addresses[TCP_ADDRESSES_MAX]);

/* Say what is wrong with an @address that begins with tcp: and is none. Returns -EINVAL. */
int tcp_refuse(const char *address, struct error *error);

/* Write one in full. Returns @text. */
const char *tcp_print(const union tcp_address *address, char text[TCP_TEXT_MAX]);

bool tcp_is_loopback(const union tcp_address *address);
in_port_t tcp_port(const union tcp_address *address);
socklen_t tcp_size(const union tcp_address *address);
