/* What a process reports to the supervisor that has started it: a datagram of text, sd_notify(3). */
#include "util/sys.h"

#include <ferry/service.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int ferry_supervisor_notify(const char *socket, const char *state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t size = socket ? strlen(socket) : 0;
        ssize_t put;
        int fd;

        if (!state)
                return -EINVAL;
        if (size == 0)
                return 0;
        if (*socket != '/' && (*socket != '@' || size == 1))
                return -EINVAL;
        if (size >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        memcpy(address.sun_path, socket, size);
        if (*socket == '@')
                address.sun_path[0] = '\0';
        fd = sys_socket(AF_UNIX, SOCK_DGRAM);
        if (fd < 0)
                return fd == -ENOBUFS ? -ENOMEM : fd;
        /* An abstract name has no zero behind it. */
        put = sys_send_to(fd, state, strlen(state), (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*socket == '/')));
        sys_close(fd);
        return put < 0 ? put == -ENOBUFS ? -ENOMEM : (int)put : 1;
}
