/* Reads the tables of proc(5), which name the sockets of all users. */
#include "stream/port.h"

#include "util/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
        STATE_BOUND = 0x07,             /* of a udp socket that is not connected … */
        STATE_LISTEN = 0x0a,            /* … and of a tcp socket that listens; the kernel's numbers */
        LINE_MAX_SIZE = 512,
        READ_SIZE = 4096,
};

/* What is looked for in one table. */
struct search {
        uint32_t words[4];              /* the host, four bytes at a time in the order of this machine */
        size_t count;                   /* 1: IPv4, 4: IPv6 */
        unsigned port;
        unsigned state;
};

/* "  SL: HOST:PORT HOST:PORT STATE …", the numbers in hexadecimal. A socket at any address is at this one, too. */
static bool is_it(const char *line, const struct search *search)
{
        const char *at = strchr(line, ':');
        bool is_any = true, is_same = true;
        char word[9] = "";
        char *end;

        at = at ? at + 1 + strspn(at + 1, " ") : "";
        if (strspn(at, "0123456789ABCDEF") != search->count * 8)
                return false;
        for (size_t i = 0; i < search->count; i++, at += 8) {
                memcpy(word, at, 8);
                is_any = is_any && strtoll(word, NULL, 16) == 0;
                is_same = is_same && strtoll(word, NULL, 16) == (long long)search->words[i];
        }
        if (*at != ':' || strtoll(at + 1, &end, 16) != (long long)search->port || !(is_any || is_same))
                return false;
        at = *end == ' ' ? strchr(end + 1, ' ') : NULL;
        return at && strtoll(at, NULL, 16) == (long long)search->state;
}

/* 1 or 0, or a negative errno. A table of a protocol that the kernel does not have is not there. */
static int search_table(const char *path, const struct search *search)
{
        char text[READ_SIZE], line[LINE_MAX_SIZE];
        size_t used = 0;
        ssize_t got = 0;
        int found = 0, fd = sys_open(path, O_RDONLY, 0);

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        while (!found && (got = sys_read(fd, text, sizeof text)) > 0)
                for (ssize_t i = 0; i < got && !found; i++) {
                        if (text[i] != '\n') {
                                line[used] = text[i];
                                used += used < sizeof line - 1;
                                continue;
                        }
                        line[used] = '\0';
                        found = is_it(line, search);
                        used = 0;
                }
        sys_close(fd);
        /* A table that gives nothing now is read again. */
        return got < 0 && got != -EAGAIN ? (int)got : found;
}

/* A socket can be bound to the addresses of this machine, and to no other. */
static int check_host(const union inet_address *address, int type)
{
        union inet_address host = *address;
        int fd = sys_socket(address->any.sa_family, type), code;

        if (fd < 0)
                return fd;
        if (host.any.sa_family == AF_INET)
                host.ipv4.sin_port = 0;
        else
                host.ipv6.sin6_port = 0;
        code = sys_bind(fd, &host.any, inet_size(&host));
        sys_close(fd);
        return code;
}

int port_find(const union inet_address *address, int type)
{
        const bool is_ipv4 = address->any.sa_family == AF_INET, is_stream = type == SOCK_STREAM;
        struct search search = { .port = ntohs(inet_port(address)), .count = is_ipv4 ? 1 : 4,
                                 .state = is_stream ? STATE_LISTEN : STATE_BOUND };
        int code = check_host(address, type);

        if (code)
                return code;
        memcpy(search.words, is_ipv4 ? (const void *)&address->ipv4.sin_addr : (const void *)&address->ipv6.sin6_addr,
               search.count * 4);
        if (!is_ipv4)
                return search_table(is_stream ? "/proc/net/tcp6" : "/proc/net/udp6", &search);
        code = search_table(is_stream ? "/proc/net/tcp" : "/proc/net/udp", &search);
        if (code)
                return code;
        /* A socket of IPv6 at any address is reached by IPv4, too; none has this address. */
        memset(search.words, 0xff, sizeof search.words);
        search.count = 4;
        return search_table(is_stream ? "/proc/net/tcp6" : "/proc/net/udp6", &search);
}
