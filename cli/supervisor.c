/* What a supervisor such as systemd has given to this process: sockets that listen (LISTEN_FDS), and a socket for reports
 * (NOTIFY_SOCKET). These variables are for this process alone, so they are unset before anything else is started. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        FIRST_FD = 3,
        FDS_MAX = 1024,
};

static struct {
        char *socket;           /* NULL: none */
        int watchdog_ms;        /* a report is due at least so often; 0: never */
        bool has_failed;
} supervisor;

/* A variable that is a plain number from 1 on; 0: it is none. */
static int64_t number_of(const char *variable)
{
        const char *text = getenv(variable);
        char *end;
        int64_t number;

        if (!text || *text < '0' || *text > '9')
                return 0;
        errno = 0;
        number = strtoimax(text, &end, 10);
        return *end || errno ? 0 : number;
}

/* Whether the variable with a process id, if there is one, means this process. */
static bool is_for_us(const char *variable)
{
        return !getenv(variable) || number_of(variable) == getpid();
}

static void report(const char *state)
{
        int code = ferry_supervisor_notify(supervisor.socket, state);

        /* A supervisor that is busy gets the next report. */
        if (code >= 0 || code == -EAGAIN || supervisor.has_failed)
                return;
        supervisor.has_failed = true;
        complain("cannot report to the supervisor at '%s' (NOTIFY_SOCKET): %s", supervisor.socket, strerror(-code));
}

static int report_life(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        report("WATCHDOG=1");
        ferry_loop_after(loop, supervisor.watchdog_ms, report_life, NULL);
        return 0;
}

void supervisor_begin(void)
{
        const char *socket = getenv("NOTIFY_SOCKET");
        int64_t watchdog_us = is_for_us("WATCHDOG_PID") ? number_of("WATCHDOG_USEC") : 0;

        supervisor.socket = socket && *socket ? strdup(socket) : NULL;
        /* Twice as often as is asked for; a day is often enough for whatever is longer. */
        watchdog_us = watchdog_us / 2000 > 86400000 ? (int64_t)86400000 * 2000 : watchdog_us;
        supervisor.watchdog_ms = watchdog_us > 0 ? watchdog_us / 2000 > 0 ? (int)(watchdog_us / 2000) : 1 : 0;
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
}

void supervisor_report_ready(ferry_loop *loop, const char *address, bool is_successor)
{
        char state[512], escaped[256];
        size_t used = 0;

        if (!supervisor.socket)
                return;
        /* A line break would begin another report. */
        for (; used < sizeof escaped - 1 && address[used]; used++)
                if ((unsigned char)address[used] < ' ')
                        escaped[used] = '?';
                else
                        escaped[used] = address[used];
        escaped[used] = '\0';
        used = is_successor ? (size_t)snprintf(state, sizeof state, "MAINPID=%ld\n", (long)getpid()) : 0;
        snprintf(state + used, sizeof state - used, "READY=1\nSTATUS=listening at %s", escaped);
        report(state);
        if (supervisor.watchdog_ms > 0)
                report_life(loop, NULL);
}

void supervisor_report_stopping(const char *status)
{
        char state[256];

        if (!supervisor.socket)
                return;
        snprintf(state, sizeof state, "STOPPING=1\nSTATUS=%s", status);
        report(state);
}

void supervisor_end(ferry_loop *loop)
{
        ferry_loop_off(loop, report_life, NULL);
        free(supervisor.socket);
        supervisor.socket = NULL;
}

/* The names of the sockets, with commas between them, as much as there is room. */
static void list_names(const char *names, char *text, size_t size)
{
        snprintf(text, size, "%s", names);
        for (char *at = text; *at; at++)
                if (*at == ':')
                        *at = ',';
}

int supervisor_take_sockets(const char *name, int fds[SUPERVISOR_SOCKETS_MAX + 1])
{
        const char *variable = getenv("LISTEN_FDNAMES");
        char *names = strdup(variable ? variable : ""), *at = names, text[256];
        int64_t all = is_for_us("LISTEN_PID") ? number_of("LISTEN_FDS") : 0;
        int count = 0, status = 0;

        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDS");
        unsetenv("LISTEN_FDNAMES");
        if (all <= 0 || all > FDS_MAX || !names) {
                complain("cannot listen at 'listen-fd:%s': %s", name, !names ? "no memory" : "this process was given no sockets"
                         " (LISTEN_FDS): start it by a socket unit, or by systemd-socket-activate(1)");
                status = EXIT_CONNECTION;
        }
        list_names(names ? names : "", text, sizeof text);
        for (int i = 0; i < all && !status; i++) {
                size_t size = strcspn(at, ":");
                bool is_meant = !*name || (size == strlen(name) && strncmp(at, name, size) == 0);

                fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC);
                if (is_meant && count == SUPERVISOR_SOCKETS_MAX) {
                        complain("cannot listen at 'listen-fd:%s': more than %d sockets have that name", name,
                                 (int)SUPERVISOR_SOCKETS_MAX);
                        status = EXIT_CONNECTION;
                } else if (is_meant)
                        fds[count++] = FIRST_FD + i;
                at += size + (at[size] == ':');
        }
        if (!status && count == 0) {
                complain("cannot listen at 'listen-fd:%s': no socket that this process was given has that name (LISTEN_FDNAMES: %s)", name,
                         *text ? text : "there are none");
                status = EXIT_CONNECTION;
        }
        fds[count] = -1;
        free(names);
        return status;
}
