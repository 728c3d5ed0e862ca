#include "floor.h"

#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SINK_BUFFER = 1 << 18 };

static void send_all(int fd, const char *bytes, size_t size)
{
        while (size > 0) {
                ssize_t put = write(fd, bytes, size);

                if (put < 0)
                        err(1, "floor: write");
                bytes += put;
                size -= (size_t)put;
        }
}

/* Whether all came; false at the end. */
static int read_all(int fd, char *bytes, size_t size)
{
        while (size > 0) {
                ssize_t got = read(fd, bytes, size);

                if (got <= 0)
                        return 0;
                bytes += got;
                size -= (size_t)got;
        }
        return 1;
}

static void echo(int fd, char *bytes, size_t size, atomic_int *cpu)
{
        while (read_all(fd, bytes, size)) {
                atomic_store_explicit(cpu, sched_getcpu(), memory_order_relaxed);
                send_all(fd, bytes, size);
        }
}

static void sink(int fd, char *bytes, size_t size, atomic_int *cpu)
{
        size_t left = size;
        ssize_t got;

        while ((got = read(fd, bytes, SINK_BUFFER)) > 0) {
                atomic_store_explicit(cpu, sched_getcpu(), memory_order_relaxed);
                if ((size_t)got > left)
                        errx(1, "floor: more bytes than were announced");
                left -= (size_t)got;
                if (left > 0)
                        continue;
                send_all(fd, "", 1);
                left = size;
        }
}

struct floor_peer floor_start(enum floor_work work, size_t size, atomic_int *cpu)
{
        int fds[2];
        char *bytes;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                err(1, "socketpair");
        pid = fork();
        if (pid < 0)
                err(1, "fork");
        if (pid > 0) {
                close(fds[1]);
                return (struct floor_peer){ .pid = pid, .fd = fds[0] };
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        bytes = malloc(size > SINK_BUFFER ? size : SINK_BUFFER);
        if (!bytes)
                err(1, "malloc");
        if (work == FLOOR_ECHO)
                echo(fds[1], bytes, size, cpu);
        else
                sink(fds[1], bytes, size, cpu);
        _exit(0);
}

void floor_stop(struct floor_peer *peer)
{
        close(peer->fd);
        waitpid(peer->pid, NULL, 0);
}

void floor_round_trip(const struct floor_peer *peer, char *bytes, size_t size)
{
        send_all(peer->fd, bytes, size);
        if (!read_all(peer->fd, bytes, size))
                errx(1, "floor: the peer has gone");
}

void floor_send(const struct floor_peer *peer, const char *bytes, size_t size)
{
        send_all(peer->fd, bytes, size);
}

void floor_wait(const struct floor_peer *peer)
{
        char answer;

        if (!read_all(peer->fd, &answer, 1))
                errx(1, "floor: the peer has gone");
}
