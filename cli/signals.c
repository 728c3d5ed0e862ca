/* SIGINT, SIGTERM and SIGHUP: the first one asks to end in order, the second one ends, or asks for more. They are handled,
 * not blocked: a tool that is stuck in writing to a full pipe must end by the second one. The tool is the only one that
 * touches signals; the library does not. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct {
        int fd;
        volatile sig_atomic_t received;
        volatile sig_atomic_t left;     /* so many are asked about, before they end us */
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

static void set(const struct sigaction *action)
{
        for (size_t i = 0; i < WATCHED; i++)
                if (watched[i] != SIGHUP || !is_ignored(SIGHUP))
                        sigaction(watched[i], action, NULL);
}

static void handle(int number)
{
        struct sigaction by_default = { .sa_handler = SIG_DFL };
        uint64_t one = 1;
        int error = errno;

        signals.received = number;
        if (--signals.left == 0)
                set(&by_default);
        (void)!write(signals.fd, &one, sizeof one);
        errno = error;
}

static int is_signalled(ferry_loop *loop, void *userdata)
{
        uint64_t count = 0;

        (void)userdata;
        (void)!read(signals.fd, &count, sizeof count);
        while (count-- > 0)
                signals.fn(loop, signals.userdata);
        return signals.left > 0;
}

void signals_watch(ferry_loop *loop, int times, ferry_loop_fn *fn, void *userdata)
{
        /* Without SA_RESTART, so that a blocked write comes back. */
        struct sigaction action = { .sa_handler = handle };

        signals.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (signals.fd < 0)
                return;
        signals.left = times;
        signals.fn = fn;
        signals.userdata = userdata;
        ferry_loop_watch(loop, signals.fd, POLLIN, is_signalled, NULL);
        for (size_t i = 0; i < WATCHED; i++)
                sigaddset(&action.sa_mask, watched[i]);
        set(&action);
}

void signals_unwatch(ferry_loop *loop)
{
        ferry_loop_off(loop, is_signalled, NULL);
}

bool signals_may_go_on(void)
{
        return signals.left > 0;
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
