/* Addresses of tcp and udp, and sockets that are bound to them. Invariant: what other machines can reach is bound only
 * where the program says so. */
#include "stream/inet.h"

#include "util/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool inet_parse_port(const char *text, in_port_t *ret_port)
{
        size_t size = strspn(text, "0123456789");
        long port;

        if (size == 0 || size > 5 || text[size] || (*text == '0' && size > 1))
                return false;
        port = strtol(text, NULL, 10);
        *ret_port = htons((uint16_t)port);
        return port <= 65535;
}

int inet_parse(const char *text, union inet_address addresses[INET_ADDRESSES_MAX])
{
        struct sockaddr_in ipv4 = { .sin_family = AF_INET };
        struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };
        const char *colon = strrchr(text, ':');
        size_t size = colon ? (size_t)(colon - text) : 0;
        char host[INET6_ADDRSTRLEN + 2];

        if (size == 0 || size >= sizeof host || !inet_parse_port(colon + 1, &ipv4.sin_port))
                return -EINVAL;
        ipv6.sin6_port = ipv4.sin_port;
        memcpy(host, text, size);
        host[size] = '\0';
        if (strcmp(host, "localhost") == 0) {
                ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                ipv6.sin6_addr.s6_addr[15] = 1;
                addresses[0].ipv4 = ipv4;
                addresses[1].ipv6 = ipv6;
                return 2;
        }
        if (inet_pton(AF_INET, host, &ipv4.sin_addr) == 1) {
                addresses[0].ipv4 = ipv4;
                return 1;
        }
        if (host[0] != '[' || host[size - 1] != ']')
                return -EINVAL;
        host[size - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &ipv6.sin6_addr) != 1)
                return -EINVAL;
        addresses[0].ipv6 = ipv6;
        return 1;
}

int inet_refuse(const char *scheme, const char *text, struct error *error)
{
        const char *colon = strrchr(text, ':');
        in_port_t port;

        if (!colon || (*text == '[' && text[strlen(text) - 1] == ']'))
                return error_set(error, -EINVAL, "'%s:%s' has no port: write %s:HOST:PORT", scheme, text, scheme);
        if (!inet_parse_port(colon + 1, &port))
                return error_set(error, -EINVAL, "'%s:%s': '%s' is not a port: write %s:HOST:PORT, PORT from 0 to 65535", scheme,
                                 text, colon + 1, scheme);
        return error_set(error, -EINVAL, "'%s:%s' is not an address: write %s:HOST:PORT, HOST in numbers, as 127.0.0.1 or [::1],"
                         " or localhost; other names are not looked up", scheme, text, scheme);
}

const char *inet_print(const char *scheme, const union inet_address *address, char text[INET_TEXT_MAX])
{
        char host[INET6_ADDRSTRLEN] = "";

        if (address->any.sa_family == AF_INET)
                inet_ntop(AF_INET, &address->ipv4.sin_addr, host, sizeof host);
        else
                inet_ntop(AF_INET6, &address->ipv6.sin6_addr, host, sizeof host);
        snprintf(text, INET_TEXT_MAX, address->any.sa_family == AF_INET ? "%s:%s:%u" : "%s:[%s]:%u", scheme,
                 host, (unsigned)ntohs(inet_port(address)));
        return text;
}

bool inet_is_loopback(const union inet_address *address)
{
        return address->any.sa_family == AF_INET ? ntohl(address->ipv4.sin_addr.s_addr) >> 24 == 127 :
                                                   IN6_IS_ADDR_LOOPBACK(&address->ipv6.sin6_addr);
}

bool inet_is_unspecified(const union inet_address *address)
{
        return address->any.sa_family == AF_INET ? address->ipv4.sin_addr.s_addr == htonl(INADDR_ANY) :
                                                   IN6_IS_ADDR_UNSPECIFIED(&address->ipv6.sin6_addr);
}

bool inet_is_multicast(const union inet_address *address)
{
        return address->any.sa_family == AF_INET ? IN_MULTICAST(ntohl(address->ipv4.sin_addr.s_addr)) :
                                                   IN6_IS_ADDR_MULTICAST(&address->ipv6.sin6_addr);
}

in_port_t inet_port(const union inet_address *address)
{
        return address->any.sa_family == AF_INET ? address->ipv4.sin_port : address->ipv6.sin6_port;
}

socklen_t inet_size(const union inet_address *address)
{
        return address->any.sa_family == AF_INET ? sizeof address->ipv4 : sizeof address->ipv6;
}

int inet_bind(const union inet_address *address, int type, bool is_public, const char *text, struct error *error)
{
        unsigned port = ntohs(inet_port(address));
        int fd, code;

        if (!is_public && !inet_is_loopback(address))
                return error_set(error, -EACCES, "'%s' can be reached by other machines: to allow that, set is_public"
                                                 " (--public)", text);
        fd = sys_socket(address->any.sa_family, type);
        if (fd < 0)
                return fd;
        /* Connections of one that has ended would keep the port from the next one for a minute. A datagram socket would
         * let another process share the port, and take its records; but at a multicast group each gets them all. */
        code = type == SOCK_STREAM || inet_is_multicast(address) ? sys_set_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) : 0;
        if (!code)
                code = sys_bind(fd, &address->any, inet_size(address));
        if (!code)
                return fd;
        sys_close(fd);
        if (code == -EACCES)
                error_set(error, code, "port %u is for privileged programs: choose a port from 1024", port);
        if (code == -EADDRINUSE)
                error_set(error, code, "cannot bind '%s': port %u is in use", text, port);
        return code;
}
