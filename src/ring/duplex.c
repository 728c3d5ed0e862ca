#include "ring/duplex.h"

#include "util/sys.h"

#include <errno.h>

enum {
        PIECE_MAX = 1 << 15,            /* moved before the other side sees it, so that both copy at the same time */
};

void ring_duplex_init(struct ring_duplex *duplex, const struct ring_memory *memory, bool is_maker, int socket)
{
        int own = is_maker ? 0 : 1, other = 1 - own;

        *duplex = (struct ring_duplex){
                .memory = *memory,
                .own_processor = &memory->pair->processors[own].number,
                .peer_processor = &memory->pair->processors[other].number,
                .socket = socket,
        };
        ring_writer_init(&duplex->writer, &memory->pair->rings[own], memory->bytes[own], memory->size);
        ring_reader_init(&duplex->reader, &memory->pair->rings[other], memory->bytes[other], memory->size);
}

void ring_duplex_deinit(struct ring_duplex *duplex)
{
        ring_memory_drop(&duplex->memory);
}

static void publish_processor(struct ring_duplex *duplex)
{
        int processor = sys_processor();
        uint32_t number = processor < 0 ? 0 : (uint32_t)processor + 1;

        if (number == duplex->processor)
                return;
        duplex->processor = number;
        atomic_store_explicit(duplex->own_processor, number, memory_order_relaxed);
}

/* A byte is enough for any number of reasons. */
static void wake_peer(struct ring_duplex *duplex)
{
        ssize_t put = duplex->is_mute ? -EAGAIN : sys_send(duplex->socket, "", 1);

        duplex->owes_wake = put == -EAGAIN;
        if (put < 0 && put != -EAGAIN)
                duplex->wake_error = (int)put;
}

void ring_duplex_wake(struct ring_duplex *duplex)
{
        if (duplex->is_reader_asleep)
                ring_reader_wake(&duplex->reader);
        duplex->is_reader_asleep = false;
}

ssize_t ring_duplex_read(struct ring_duplex *duplex, void *buffer, size_t size)
{
        size_t got = 0, wanted;
        ssize_t result;

        ring_duplex_wake(duplex);
        do {
                bool wakes = false;

                wanted = size - got < PIECE_MAX ? size - got : PIECE_MAX;
                result = ring_read(&duplex->reader, (char *)buffer + got, wanted, &wakes);
                if (wakes)
                        wake_peer(duplex);
                if (result > 0)
                        got += (size_t)result;
        } while (result == (ssize_t)wanted && got < size);
        return got > 0 ? (ssize_t)got : result;
}

ssize_t ring_duplex_write(struct ring_duplex *duplex, const void *bytes, size_t size)
{
        size_t put = 0;

        if (duplex->is_writer_asleep)
                ring_writer_wake(&duplex->writer);
        duplex->is_writer_asleep = false;
        do {
                bool wakes = false;
                struct iovec piece = {
                        .iov_base = (char *)(uintptr_t)bytes + put,
                        .iov_len = size - put < PIECE_MAX ? size - put : PIECE_MAX,
                };
                ssize_t result = ring_write(&duplex->writer, &piece, 1, &wakes);

                if (wakes)
                        wake_peer(duplex);
                if (result < 0)
                        return put > 0 && result == -EAGAIN ? (ssize_t)put : result;
                put += (size_t)result;
        } while (put < size);
        return (ssize_t)put;
}

void ring_duplex_close(struct ring_duplex *duplex)
{
        if (ring_close(&duplex->writer))
                wake_peer(duplex);
}

ssize_t ring_duplex_count(struct ring_duplex *duplex)
{
        return ring_is_readable(&duplex->reader) && duplex->reader.error ? duplex->reader.error :
                                                                           (ssize_t)(duplex->reader.tail - duplex->reader.head);
}

bool ring_duplex_is_ready(struct ring_duplex *duplex, bool wants_read, bool wants_write)
{
        return (wants_read && ring_is_readable(&duplex->reader)) || (wants_write && ring_is_writable(&duplex->writer));
}

/* The other side is awake unless it has said that it sleeps, and was not woken since. */
static bool is_peer_awake(const struct ring_duplex *duplex)
{
        return !atomic_load_explicit(&duplex->writer.shared->is_reader_asleep, memory_order_relaxed) &&
               !atomic_load_explicit(&duplex->reader.shared->is_writer_asleep, memory_order_relaxed);
}

enum ring_peer ring_duplex_peer(struct ring_duplex *duplex)
{
        uint32_t peer = atomic_load_explicit(duplex->peer_processor, memory_order_relaxed);

        publish_processor(duplex);
        if (peer == 0 || !is_peer_awake(duplex))
                return RING_PEER_ASLEEP;
        return peer == duplex->processor ? RING_PEER_HERE : RING_PEER_ELSEWHERE;
}

bool ring_duplex_sleep_reading(struct ring_duplex *duplex)
{
        return duplex->is_reader_asleep = ring_reader_sleep(&duplex->reader);
}

bool ring_duplex_sleep_writing(struct ring_duplex *duplex)
{
        return duplex->is_writer_asleep = ring_writer_sleep(&duplex->writer);
}

void ring_duplex_pay(struct ring_duplex *duplex)
{
        if (duplex->owes_wake)
                wake_peer(duplex);
}
