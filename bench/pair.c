#include "pair.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Longer than any block takes; a driver that hangs is a failure, not an endless run. */
enum { PATIENCE_MS = 60000, GRACE_MS = 2000 };

volatile sig_atomic_t stop_signal;

int cpu_at(int index)
{
        static cpu_set_t all;

        if (CPU_COUNT(&all) == 0 && sched_getaffinity(0, sizeof all, &all) < 0)
                err(1, "sched_getaffinity");
        for (unsigned i = 0; i < CPU_SETSIZE; i++)
                if (CPU_ISSET(i, &all) && index-- == 0)
                        return (int)i;
        return -1;
}

static void set_cpu(const char *variable, int index)
{
        char text[16];

        snprintf(text, sizeof text, "%d", cpu_at(index));
        if (setenv(variable, text, 1) < 0)
                err(1, "setenv");
}

/* Made by fork and exec; @in and @out become its stdin and stdout. */
static pid_t start(const struct pair *pair, const char *role, const struct work *work, const char *folder,
                   enum placement placement, int in, int out, const char *counted)
{
        const char *program = pair->contestant->program, *name = pair->contestant->name;
        char number[16], option[300];
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(number, sizeof number, "%d", pair->shared_fd);
        if (placement != PLACEMENT_ANY) {
                set_cpu("BENCH_CLIENT_CPU", 0);
                set_cpu("BENCH_SERVER_CPU", placement == PLACEMENT_ONE ? 0 : 1);
        }
        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || setenv("BENCH_SHARED", number, 1) < 0)
                err(127, "cannot start %s", pair->contestant->program);
        snprintf(option, sizeof option, "--callgrind-out-file=%s", counted ? counted : "");
        if (counted)
                execlp("valgrind", "valgrind", "-q", "--tool=callgrind", option, program, role, name, work->name, folder, (char *)NULL);
        else
                execl(program, program, role, name, work->name, folder, (char *)NULL);
        err(127, "%s", counted ? "valgrind" : program);
}

/* As much as was announced, within the patience. */
static bool read_fully(const struct pair *pair, int fd, void *buffer, size_t size)
{
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        char *bytes = buffer;

        while (size > 0) {
                ssize_t got;
                int ready = poll(&poll_fd, 1, PATIENCE_MS);

                if (stop_signal)
                        return false;
                if (ready < 0)
                        continue;
                if (ready == 0)
                        return warnx("%s: does not answer", pair->contestant->name), false;
                got = read(fd, bytes, size);
                if (got <= 0)
                        return warnx("%s: has ended", pair->contestant->name), false;
                bytes += got;
                size -= (size_t)got;
        }
        return true;
}

static bool start_server(struct pair *pair, const struct work *work, enum placement placement, const char *folder,
                         const struct counting *counting)
{
        int fds[2];
        char byte;
        bool is_ready;

        if (pair->contestant->is_forking || work->kind == WORK_SPAWN)
                return true;
        if (pipe2(fds, O_CLOEXEC) < 0)
                err(1, "pipe");
        pair->server = start(pair, "serve", work, folder, placement, STDIN_FILENO, fds[1], counting ? counting->server : NULL);
        close(fds[1]);
        is_ready = pair->server > 0 && read_fully(pair, fds[0], &byte, 1);
        close(fds[0]);
        return is_ready;
}

static bool start_client(struct pair *pair, const struct work *work, enum placement placement, const char *folder,
                         const struct counting *counting)
{
        int down[2], up[2];

        if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0)
                err(1, "pipe");
        pair->client = start(pair, "drive", work, folder, placement, down[0], up[1], counting ? counting->client : NULL);
        close(down[0]);
        close(up[1]);
        pair->to_client = down[1];
        pair->from_client = up[0];
        return pair->client > 0;
}

bool pair_start(struct pair *pair, const struct contestant *contestant, const struct work *work, enum placement placement,
                const char *folder, const struct counting *counting)
{
        *pair = (struct pair){ .contestant = contestant, .to_client = -1, .from_client = -1 };
        /* Inherited by the drivers, and by what they start. */
        pair->shared_fd = memfd_create("ferry-bench", 0);
        if (pair->shared_fd < 0 || ftruncate(pair->shared_fd, sizeof *pair->shared) < 0)
                err(1, "memfd_create");
        pair->shared = mmap(NULL, sizeof *pair->shared, PROT_READ | PROT_WRITE, MAP_SHARED, pair->shared_fd, 0);
        if (pair->shared == MAP_FAILED)
                err(1, "mmap");
        if (start_server(pair, work, placement, folder, counting) && start_client(pair, work, placement, folder, counting))
                return close(pair->shared_fd), true;
        close(pair->shared_fd);
        pair_stop(pair);
        return false;
}

/* Some libraries have files to remove when they are asked to end. */
static void end_server(pid_t server)
{
        int fd = (int)syscall(SYS_pidfd_open, server, 0);

        kill(server, SIGTERM);
        if (fd < 0 || poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, GRACE_MS) != 1)
                kill(server, SIGKILL);
        close(fd);
        waitpid(server, NULL, 0);
}

/* The client ends when its input does, and a server that it has started with it; others serve until they are stopped. */
void pair_stop(struct pair *pair)
{
        if (pair->to_client >= 0)
                close(pair->to_client);
        if (pair->client > 0) {
                struct pollfd gone = { .fd = pair->from_client, .events = POLLIN };

                if (poll(&gone, 1, PATIENCE_MS) == 0) {
                        warnx("%s: the client does not end", pair->contestant->name);
                        kill(pair->client, SIGKILL);
                }
                waitpid(pair->client, NULL, 0);
        }
        if (pair->from_client >= 0)
                close(pair->from_client);
        if (pair->server > 0)
                end_server(pair->server);
        munmap(pair->shared, sizeof *pair->shared);
}

bool pair_measure(struct pair *pair, double *samples, size_t count)
{
        if (dprintf(pair->to_client, "%zu\n", count) < 0)
                return warn("%s", pair->contestant->name), false;
        return read_fully(pair, pair->from_client, samples, count * sizeof *samples);
}

static double cpu_time_of(pid_t pid)
{
        struct timespec time;
        clockid_t clock;

        if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) < 0)
                return 0;
        return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

double pair_cpu_time(const struct pair *pair)
{
        return cpu_time_of(pair->client) + cpu_time_of(atomic_load(&pair->shared->server_pid));
}
