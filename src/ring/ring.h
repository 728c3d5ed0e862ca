/* A ring of bytes in shared memory: one process writes, another one reads, and neither trusts the other.
 *
 * The writer owns `tail`, the reader owns `head`: numbers of bytes since the beginning, which wrap around at 2^32, and are
 * masked only to find a place in the memory. Each side works with a number of its own, which the shared memory only
 * repeats for the other side. What a side reads from the shared memory it reads once, and checks it before use: a number
 * that no honest peer could have written breaks the ring, and every later call returns -EBADMSG. Bytes are copied out before they
 * are looked at. So a peer that writes anything anywhere at any time can send wrong bytes, and nothing else.
 *
 * Nothing here blocks. A side that is about to sleep says so, and looks once more; the other side says, of each step that
 * the sleeper may wait for, whether the sleeper has to be woken. How a process sleeps and is woken is the caller's. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Two cache lines: processors fetch them in pairs. */
enum { RING_LINE = 128 };

/* What both sides see of one ring, besides its bytes. Zeros are an empty ring. */
struct ring_shared {
        _Alignas(RING_LINE) _Atomic uint32_t tail;      /* the writer's … */
        _Atomic uint32_t is_closed;                     /* … which writes no more */
        _Alignas(RING_LINE) _Atomic uint32_t head;      /* the reader's */
        _Alignas(RING_LINE) _Atomic uint32_t is_reader_asleep;
        _Alignas(RING_LINE) _Atomic uint32_t is_writer_asleep;
};

struct ring_writer {
        struct ring_shared *shared;
        unsigned char *bytes;
        uint32_t size;
        uint32_t tail;
        uint32_t head;          /* as it was last seen */
        int error;              /* -EBADMSG: the ring is broken; -EPIPE: closed; 0 */
};

struct ring_reader {
        struct ring_shared *shared;
        const unsigned char *bytes;
        uint32_t size;
        uint32_t head;
        uint32_t tail;          /* as it was last seen */
        int error;              /* -EBADMSG: the ring is broken; 0 */
};

/* An end of an empty ring. @size is a power of two, at most 2^31. */
void ring_writer_init(struct ring_writer *writer, struct ring_shared *shared, void *bytes, uint32_t size);
void ring_reader_init(struct ring_reader *reader, struct ring_shared *shared, const void *bytes, uint32_t size);

/* Write as much of the pieces as there is room for, which the reader sees all at once. How much that was, -EAGAIN if there is no
 * room, -EPIPE after ring_close(), -EBADMSG. @ret_wakes is set if the reader sleeps, and has to be woken. */
ssize_t ring_write(struct ring_writer *writer, const struct iovec *pieces, size_t count, bool *ret_wakes);

/* Write no more: the reader comes to an end once it has read all. Returns whether it has to be woken. */
bool ring_close(struct ring_writer *writer);

/* Read at most @size bytes, which is not 0. How much that was; 0 at the end, -EAGAIN if there is nothing, -EBADMSG. @ret_wakes is
 * set if the writer sleeps, and has to be woken: once half of the ring is free. */
ssize_t ring_read(struct ring_reader *reader, void *buffer, size_t size, bool *ret_wakes);

/* Whether ring_read(), or ring_write() of more than a few bytes, would do something now. */
bool ring_is_readable(struct ring_reader *reader);
bool ring_is_writable(struct ring_writer *writer);

/* The side is about to sleep until it is woken. False: there is something to do already, and it is not woken. */
bool ring_reader_sleep(struct ring_reader *reader);
bool ring_writer_sleep(struct ring_writer *writer);

/* It is awake, whatever has woken it. */
void ring_reader_wake(struct ring_reader *reader);
void ring_writer_wake(struct ring_writer *writer);
