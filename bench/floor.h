/* The floor: what the kernel alone costs for the same work, as plain blocking code between two processes. It moves
 * as many bytes as a frame of ferry has, and does nothing with them. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

enum { FLOOR_CLIENTS_MAX = 64 };

struct floor_peer {
        pid_t pid;
        int fd;
        int count;
        int fds[FLOOR_CLIENTS_MAX];     /* of many; the first is fd */
};

/* What a peer process does with what it reads. */
enum floor_work {
        FLOOR_ECHO,     /* send each message of @size bytes back */
        FLOOR_SINK,     /* read as much as there is; answer each @size bytes with one */
};

/* Start a process over a socket pair; it publishes the CPU that it runs on in @cpu, and ends when the socket does. */
struct floor_peer floor_start(enum floor_work work, size_t size, atomic_int *cpu);
/* The same over many socket pairs, as an epoll loop that echoes. */
struct floor_peer floor_start_many(int count, size_t size, atomic_int *cpu);
void floor_stop(struct floor_peer *peer);

/* One round trip of @size bytes. */
void floor_round_trip(const struct floor_peer *peer, char *bytes, size_t size);

/* One of each client at once. */
void floor_round_trips_of_all(const struct floor_peer *peer, char *bytes, size_t size);

/* One way: send; wait for the answer that all has come. */
void floor_send(const struct floor_peer *peer, const char *bytes, size_t size);
void floor_wait(const struct floor_peer *peer);
