/* The names are abstract ones, unix(7), which are gone with their sockets. Where one is taken the question is asked
 * without: then handlers take it for a client, which does no harm. */
#include "service/probe.h"

#include "util/sys.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const char PREFIX[] = "ferry-probe-";

enum { NAME_AT = offsetof(struct sockaddr_un, sun_path) + 1 };  /* behind the zero that makes it abstract */

int probe_connect(const char *path)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX }, service = { .sun_family = AF_UNIX };
        int fd = sys_socket(AF_UNIX, SOCK_STREAM), size, code;

        if (fd < 0)
                return fd;
        size = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s%d-%d-%llx", PREFIX, (int)sys_pid(), fd,
                        (unsigned long long)sys_now());
        sys_bind(fd, (const struct sockaddr *)&name, (socklen_t)(NAME_AT + size));
        memcpy(service.sun_path, path, strlen(path) + 1);
        code = sys_connect(fd, (const struct sockaddr *)&service, sizeof service);
        if (code < 0)
                sys_close(fd);
        return code < 0 ? code : fd;
}

bool probe_is_one(const struct sockaddr *address, socklen_t size)
{
        const char *name = (const char *)address + NAME_AT;

        return address->sa_family == AF_UNIX && size >= NAME_AT + strlen(PREFIX) && name[-1] == '\0' &&
               memcmp(name, PREFIX, strlen(PREFIX)) == 0;
}
