/* SIGINT, SIGTERM and SIGHUP: the first one asks to end in order, the second one ends, or asks for more. They are handled,
 * not blocked: a tool that is stuck in writing to a full pipe must end by them. What was ignored at the start stays ignored,
 * as nohup(1) and shells have it for jobs in the background. Supervisors signal a process and then its group, so what comes
 * within SAME_MS of a signal is that same signal. The tool is the only one that touches signals; the library does not. */

/* The fortified ppoll() of glibc 2.36 reads times of 32 bits, also where _TIME_BITS is 64, and then does not wait. No time of
 * this file is a date. */
#undef _TIME_BITS
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
        SAME_MS = 100,
        GRACE_MS = 1000,        /* for a wait in which a signal has come that only asks */
};

static struct {
        int fd;
        volatile sig_atomic_t received;
        volatile sig_atomic_t left;     /* so many are asked about, before they end us */
        struct timespec last;           /* used by the handler only */
        ferry_loop_fn *fn;
        void *userdata;
} signals;

static const int watched[] = { SIGINT, SIGTERM, SIGHUP };

enum { WATCHED = sizeof watched / sizeof *watched };

static void fill_watched(sigset_t *set)
{
        sigemptyset(set);
        for (size_t i = 0; i < WATCHED; i++)
                sigaddset(set, watched[i]);
}

void signals_begin(void)
{
        sigset_t set;

        /* Writing to a peer that has gone, or beyond a limit, is an error here, not a death. */
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        /* Where it is ignored, the kernel keeps no status of a child. */
        signal(SIGCHLD, SIG_DFL);
        fill_watched(&set);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void signals_restore(void)
{
        signal(SIGPIPE, SIG_DFL);
        signal(SIGXFSZ, SIG_DFL);
}

static bool is_ignored(int number)
{
        struct sigaction now;

        return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static bool is_same(const struct timespec *now)
{
        return signals.received && (now->tv_sec - signals.last.tv_sec) * 1000 +
                                   (now->tv_nsec - signals.last.tv_nsec) / 1000000 < SAME_MS;
}

static void handle(int number)
{
        struct timespec now = { 0 };
        uint64_t one = 1;
        int error = errno;

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (is_same(&now))
                return;
        signals.last = now;
        signals.received = number;
        if (signals.left > 0) {
                signals.left--;
                (void)!write(signals.fd, &one, sizeof one);
        } else {
                /* It is delivered again when this returns. */
                signal(number, SIG_DFL);
                raise(number);
        }
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
        fill_watched(&action.sa_mask);
        for (size_t i = 0; i < WATCHED; i++)
                if (!is_ignored(watched[i]))
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

int signals_poll(int fd, short events, int timeout_ms)
{
        struct pollfd at = { .fd = fd, .events = events };
        sigset_t set, before;
        int result = poll(&at, 1, 0);

        if (result != 0 || timeout_ms == 0)
                return result < 0 ? -errno : result;
        /* A signal that comes between the question and the wait would be missed. */
        fill_watched(&set);
        sigprocmask(SIG_BLOCK, &set, &before);
        do {
                int limit = signals.received && (timeout_ms < 0 || timeout_ms > GRACE_MS) ? GRACE_MS : timeout_ms;
                struct timespec until = { .tv_sec = limit / 1000, .tv_nsec = limit % 1000 * 1000000L };

                if (signals.received && signals.left == 0)
                        result = -EINTR;
                else if ((result = ppoll(&at, 1, limit < 0 ? NULL : &until, &before)) < 0)
                        result = errno == EINTR ? -EAGAIN : -errno;
        } while (result == -EAGAIN);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return result;
}

void signals_raise(void)
{
        if (!signals.received)
                return;
        signal(signals.received, SIG_DFL);
        raise(signals.received);
}
