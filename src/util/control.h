/* Control messages of recvmsg(2). */
#pragma once

#include <sys/socket.h>

/* musl's macro mixes signs. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
static inline struct cmsghdr *control_next(struct msghdr *message, struct cmsghdr *at)
{
        return CMSG_NXTHDR(message, at);
}
#pragma GCC diagnostic pop
