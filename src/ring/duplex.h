/* Two rings, one in each direction, and a socket on which a sleeper is woken. The socket is the owner's, who reads what arrives
 * there: bytes that mean nothing but "look at the rings". */
#pragma once

#include "ring/memory.h"

struct ring_duplex {
        struct ring_memory memory;
        struct ring_writer writer;
        struct ring_reader reader;
        _Atomic uint32_t *own_processor, *peer_processor;
        uint32_t processor;             /* as it was last published */
        int socket;
        bool is_mute;                   /* bytes on the socket would still mean something else: the other side is woken later */
        bool is_reader_asleep, is_writer_asleep;
        bool owes_wake;                 /* the socket has taken no byte yet; see ring_duplex_pay() */
        int wake_error;                 /* of the socket, by which the other side cannot be woken any more; 0 */
};

/* Begin to use the memory, which belongs to the duplex from then on. */
void ring_duplex_init(struct ring_duplex *duplex, const struct ring_memory *memory, bool is_maker, int socket);
void ring_duplex_deinit(struct ring_duplex *duplex);

/* As ring_read() and ring_write(); the other side is woken, if it has to be. A side that does this is awake. */
ssize_t ring_duplex_read(struct ring_duplex *duplex, void *buffer, size_t size);
ssize_t ring_duplex_write(struct ring_duplex *duplex, const void *bytes, size_t size);
void ring_duplex_close(struct ring_duplex *duplex);

/* How many bytes can be read now; -EBADMSG. */
ssize_t ring_duplex_count(struct ring_duplex *duplex);

/* Whether there is something to do now: something to be read, room to write. */
bool ring_duplex_is_ready(struct ring_duplex *duplex, bool wants_read, bool wants_write);

/* This side is awake, as it is when it has read. */
void ring_duplex_wake(struct ring_duplex *duplex);

/* Whether it is worth to look again soon, as the other side is awake, and where it runs. */
enum ring_peer { RING_PEER_ASLEEP, RING_PEER_ELSEWHERE, RING_PEER_HERE };
enum ring_peer ring_duplex_peer(struct ring_duplex *duplex);

/* Be woken by a byte on the socket once something can be read, written. False: it can be now. */
bool ring_duplex_sleep_reading(struct ring_duplex *duplex);
bool ring_duplex_sleep_writing(struct ring_duplex *duplex);

/* The socket is writable, after owes_wake was set: wake the other side, as it should have been. */
void ring_duplex_pay(struct ring_duplex *duplex);
