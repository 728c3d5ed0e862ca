/* A stream over a unix socket whose bytes have moved to rings in shared memory. The socket stays: it says that the other side has
 * gone, and wakes a side that sleeps.
 *
 * The side that has connected makes the memory, and sends its descriptor together with bytes that say so (an offer). Each
 * direction moves behind a byte of the socket that both sides know: the last one of a frame. From then on its bytes are in the
 * ring, and what its sender still writes to the socket are bytes of zero, which say "look at the rings". */
#pragma once

#include "loop/spin.h"
#include "ring/duplex.h"
#include "stream/stream.h"

enum moved_way {
        MOVED_SOCKET,
        MOVED_LEAVING,          /* output: some bytes still go to the socket, and then all to the ring */
        MOVED_RING,
};

struct moved {
        struct stream *stream;
        struct ring_duplex duplex;      /* its memory is there once it was made or taken */
        enum moved_way input, output;
        int descriptor;                 /* to be sent with the next bytes, or received; -1: none */
        uint32_t events;                /* that are waited for on the socket */
        size_t left;                    /* MOVED_LEAVING: bytes that still go to the socket */
        pid_t pid;                      /* of this process */
        bool is_maker;
        bool owes_passed;               /* descriptors wait until the socket takes them */
        int bytes_left;                 /* on the socket, which have woken this side, and were not read */
        bool is_peer_gone;              /* the socket has come to its end */
        struct loop_spinner spinner;
        int64_t patience_ns;            /* for how long it looks between small messages; 0: never */
        unsigned large_steps;           /* 0: what was read and written last was no part of a large message */
        struct loop_task look;          /* there is something to do that no event reports … */
        bool is_found;                  /* … as the loop has seen, and nothing else has changed */
};

/* Whether it stands on a unix socket, and has not begun to move; and whether it may, once it is open. */
bool stream_can_move(const struct stream *stream);
bool stream_may_move(const struct stream *stream);

/* Which side it is: one that has connected to a service, the parent of the other side; or neither of both. */
bool stream_has_connected(const struct stream *stream);
bool stream_leads_to_child(const struct stream *stream);

/* The other side may offer memory from now on. 0 or -ENOMEM. */
int stream_expect_offer(struct stream *stream);

/* Once both directions have moved: look for so long before sleeping. */
void stream_look_for(struct stream *stream, int64_t patience_ns);

/* Make memory, with rings of @size bytes; its descriptor goes with the next bytes that are written. 0, or a negative errno with a
 * sentence, and the stream stays as it is. */
int stream_offer(struct stream *stream, uint32_t size, struct error *error);

/* Take what was offered. 0, or a negative errno with a sentence, and the stream stays on its socket. */
int stream_take_offer(struct stream *stream, struct error *error);

/* The other side has not taken it. */
void stream_withdraw_offer(struct stream *stream);

/* Whether the descriptor of an offer has not left yet. */
bool stream_keeps_offer(const struct stream *stream);

/* Whether memory is there to which it can move, or has moved. */
bool stream_has_offer(const struct stream *stream);

/* All bytes behind the next @size go to the ring. */
void stream_move_output(struct stream *stream, size_t size);

/* All bytes that are read from now on come from the ring. */
void stream_move_input(struct stream *stream);

/* What moves its bytes: "unix", …; "shm" where both directions have moved. */
const char *stream_name(const struct stream *stream);

/* Whether the socket takes what is written, as without this: nothing moves yet, and no descriptor goes with it. */
static inline bool moved_writes_socket(const struct moved *moved)
{
        return moved->output == MOVED_SOCKET && !(moved->is_maker && moved->descriptor >= 0);
}

/* For stream.c: as endpoint_read(), from the ring; and endpoint_write() of one slice. */
ssize_t moved_read(struct moved *moved, void *buffer, size_t size);
ssize_t moved_write(struct moved *moved, const void *bytes, size_t size);
/* Send descriptors on the socket, before what is written to the ring: 0 or a negative errno. And read there as far as some have
 * come: their sender has sent them before it wrote what announces them. */
int moved_pass(struct moved *moved, const int *fds, size_t count);
void moved_fetch_passed(struct moved *moved);
/* How many bytes can be read, or a negative errno; and whether reading would find something, also the end. */
ssize_t moved_count(struct moved *moved);
bool moved_can_read(struct moved *moved);
/* What to wait for on the socket: a set of epoll(7). */
uint32_t moved_events(struct moved *moved, bool wants_read, bool wants_write);
/* The socket is ready. A negative errno: what the other side has written there is wrong. */
int moved_hear(struct moved *moved, uint32_t events);
bool moved_can_write(struct moved *moved, uint32_t events);
/* It is to be read, or written, now: what is there already is reported in the next round. */
void moved_look(struct moved *moved);
/* No more is written. False: the socket has to be shut down. */
bool moved_close_output(struct moved *moved);
void moved_free(struct moved *moved);
