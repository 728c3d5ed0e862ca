/* SIGINT and SIGTERM by a signalfd in the loop: the first one asks to end in order, the second one ends. The tool is
 * the only one that touches signals; the library does not. */
#include "cli.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static struct {
        int fd;
        int received;
        ferry_loop_fn *fn;
        void *userdata;
} signals;

static int is_signalled(ferry_loop *loop, void *userdata)
{
        struct signalfd_siginfo info;
        sigset_t both;

        (void)userdata;
        if (read(signals.fd, &info, sizeof info) != sizeof info)
                return 1;
        signals.received = (int)info.ssi_signo;
        close(signals.fd);
        /* From here on they do what they do everywhere. */
        sigemptyset(&both);
        sigaddset(&both, SIGINT);
        sigaddset(&both, SIGTERM);
        sigprocmask(SIG_UNBLOCK, &both, NULL);
        signals.fn(loop, signals.userdata);
        return 0;
}

void signals_watch(ferry_loop *loop, ferry_loop_fn *fn, void *userdata)
{
        sigset_t both;

        sigemptyset(&both);
        sigaddset(&both, SIGINT);
        sigaddset(&both, SIGTERM);
        sigprocmask(SIG_BLOCK, &both, NULL);
        signals.fd = signalfd(-1, &both, SFD_CLOEXEC | SFD_NONBLOCK);
        signals.fn = fn;
        signals.userdata = userdata;
        ferry_loop_watch(loop, signals.fd, POLLIN, is_signalled, NULL);
}

void signals_unwatch(ferry_loop *loop)
{
        ferry_loop_off(loop, is_signalled, NULL);
}

int signals_received(void)
{
        return signals.received;
}

void signals_raise(void)
{
        if (!signals.received)
                return;
        signal(signals.received, SIG_DFL);
        raise(signals.received);
}
