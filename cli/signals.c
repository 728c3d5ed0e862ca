/* SIGINT, SIGTERM and SIGHUP: the first one asks to end in order, the second one ends. They are handled, not blocked: a tool
 * that is stuck in writing to a full pipe must end by the second one. The tool is the only one that touches signals;
 * the library does not. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct {
        int fd;
        volatile sig_atomic_t received;
        ferry_loop_fn *fn;
        void *userdata;
} signals;

static const int watched[] = { SIGINT, SIGTERM, SIGHUP };

enum { WATCHED = sizeof watched / sizeof *watched };

/* As nohup(1) has it. */
static bool is_ignored(int number)
{
        struct sigaction now;

        return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void handle(int number)
{
        struct sigaction by_default = { .sa_handler = SIG_DFL };
        uint64_t one = 1;
        int error = errno;

        signals.received = number;
        for (size_t i = 0; i < WATCHED; i++)
                if (watched[i] != SIGHUP || !is_ignored(SIGHUP))
                        sigaction(watched[i], &by_default, NULL);
        (void)!write(signals.fd, &one, sizeof one);
        errno = error;
}

static int is_signalled(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        signals.fn(loop, signals.userdata);
        return 0;
}

void signals_watch(ferry_loop *loop, ferry_loop_fn *fn, void *userdata)
{
        /* Without SA_RESTART, so that a blocked write comes back. */
        struct sigaction action = { .sa_handler = handle };

        uint64_t count;

        if (!signals.fn)
                signals.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        else
                (void)!read(signals.fd, &count, sizeof count);
        if (signals.fd < 0)
                return;
        signals.fn = fn;
        signals.userdata = userdata;
        ferry_loop_watch(loop, signals.fd, POLLIN, is_signalled, NULL);
        for (size_t i = 0; i < WATCHED; i++)
                sigaddset(&action.sa_mask, watched[i]);
        for (size_t i = 0; i < WATCHED; i++)
                if (watched[i] != SIGHUP || !is_ignored(SIGHUP))
                        sigaction(watched[i], &action, NULL);
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
