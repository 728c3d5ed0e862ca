#include "floor.h"

#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
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
                return (struct floor_peer){ .pid = pid, .fd = fds[0], .count = 1, .fds = { fds[0] } };
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

/* Until one client goes. */
static void echo_many(const int *fds, int count, char *bytes, size_t size, atomic_int *cpu)
{
        struct epoll_event events[FLOOR_CLIENTS_MAX];
        int epoll = epoll_create1(EPOLL_CLOEXEC);

        for (int i = 0; i < count; i++)
                if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){
                                .events = EPOLLIN, .data.fd = fds[i] }) < 0)
                        err(1, "floor: epoll");
        for (;;) {
                int ready = epoll_wait(epoll, events, FLOOR_CLIENTS_MAX, -1);

                atomic_store_explicit(cpu, sched_getcpu(), memory_order_relaxed);
                for (int i = 0; i < ready; i++) {
                        if (!read_all(events[i].data.fd, bytes, size))
                                return;
                        send_all(events[i].data.fd, bytes, size);
                }
        }
}

struct floor_peer floor_start_many(int count, size_t size, atomic_int *cpu)
{
        struct floor_peer peer = { .count = count };
        int theirs[FLOOR_CLIENTS_MAX];
        char *bytes = malloc(size);

        for (int i = 0; i < count; i++) {
                int fds[2];

                if (!bytes || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                        err(1, "socketpair");
                peer.fds[i] = fds[0];
                theirs[i] = fds[1];
        }
        peer.fd = peer.fds[0];
        peer.pid = fork();
        if (peer.pid < 0)
                err(1, "fork");
        if (peer.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (int i = 0; i < count; i++)
                        close(peer.fds[i]);
                echo_many(theirs, count, bytes, size, cpu);
                _exit(0);
        }
        for (int i = 0; i < count; i++)
                close(theirs[i]);
        free(bytes);
        return peer;
}

void floor_stop(struct floor_peer *peer)
{
        for (int i = 0; i < peer->count; i++)
                close(peer->fds[i]);
        waitpid(peer->pid, NULL, 0);
}

void floor_round_trip(const struct floor_peer *peer, char *bytes, size_t size)
{
        send_all(peer->fd, bytes, size);
        if (!read_all(peer->fd, bytes, size))
                errx(1, "floor: the peer has gone");
}

void floor_round_trips_of_all(const struct floor_peer *peer, char *bytes, size_t size)
{
        for (int i = 0; i < peer->count; i++)
                send_all(peer->fds[i], bytes, size);
        for (int i = 0; i < peer->count; i++)
                if (!read_all(peer->fds[i], bytes, size))
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
