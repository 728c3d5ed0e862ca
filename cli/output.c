/* What stdout takes now, without a wait. No flag of it is changed, as other processes share it. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

int signals_poll(int fd, short events, int timeout_ms)
{
        enum { GRACE_MS = 1000 };
        struct pollfd pollfd = { .fd = fd, .events = events };

        for (;;) {
                int ready = poll(&pollfd, 1, signals_received() ? GRACE_MS : timeout_ms);

                if (ready >= 0)
                        return ready;
                if (errno != EINTR || !signals_may_go_on())
                        return -errno;
        }
}

ssize_t output_try(const char *bytes, size_t size)
{
        size_t done = 0;

        if (!output_is_good())
                return -EPIPE;
        while (done < size && signals_poll(STDOUT_FILENO, POLLOUT, 0) > 0) {
                /* A pipe has room for this much, or none. */
                ssize_t put = write(STDOUT_FILENO, bytes + done, size - done < PIPE_BUF ? size - done : PIPE_BUF);

                if (put >= 0)
                        done += (size_t)put;
                else if (errno == EAGAIN)
                        break;
                else if (errno != EINTR) {
                        output_fail(errno);
                        return -errno;
                }
        }
        return (ssize_t)done;
}

bool output_is_terminal(void)
{
        return isatty(STDOUT_FILENO);
}
