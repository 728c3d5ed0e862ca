/* What is ordered by what:
 *
 * - bytes before `tail`, and `tail` before `is_closed`: release stores of the writer, acquire loads of the reader, which looks
 *   at `is_closed` first;
 * - the reader's copy of the bytes before `head`: a release store of the reader, an acquire load of the writer, so that nothing
 *   is written over what is still being read;
 * - sleep and wake: each side writes (`is_…_asleep`; `tail`, `is_closed` or `head`), fences, and then reads what the other side
 *   writes. At least one of them sees the other's store, so either the sleeper stays awake or it is woken. */
#include "ring/ring.h"

#include <errno.h>
#include <string.h>

void ring_writer_init(struct ring_writer *writer, struct ring_shared *shared, void *bytes, uint32_t size)
{
        *writer = (struct ring_writer){ .shared = shared, .bytes = bytes, .size = size };
}

void ring_reader_init(struct ring_reader *reader, struct ring_shared *shared, const void *bytes, uint32_t size)
{
        *reader = (struct ring_reader){ .shared = shared, .bytes = bytes, .size = size };
}

/* Whether a sleeper has to be woken, after something was stored that it may wait for. */
static bool has_to_wake(_Atomic uint32_t *is_asleep)
{
        atomic_thread_fence(memory_order_seq_cst);
        return atomic_load_explicit(is_asleep, memory_order_relaxed) != 0 &&
               atomic_exchange_explicit(is_asleep, 0, memory_order_acq_rel) != 0;
}

/* Writing ------------------------------------------------------------------------------------------------- */

static uint32_t count_room(const struct ring_writer *writer)
{
        return writer->size - (writer->tail - writer->head);
}

/* Look how far the reader is: at least as far as before, and not farther than what was written. */
static int look_at_head(struct ring_writer *writer)
{
        uint32_t head = atomic_load_explicit(&writer->shared->head, memory_order_acquire);

        if (head - writer->head > writer->tail - writer->head)
                return writer->error = -EBADMSG;
        writer->head = head;
        return 0;
}

/* Put bytes for which there is room @offset bytes behind the tail. */
static void copy_in(const struct ring_writer *writer, uint32_t offset, const void *bytes, uint32_t size)
{
        uint32_t place = (writer->tail + offset) & (writer->size - 1), first = writer->size - place;

        if (first > size)
                first = size;
        memcpy(writer->bytes + place, bytes, first);
        if (first < size)
                memcpy(writer->bytes, (const unsigned char *)bytes + first, size - first);
}

ssize_t ring_write(struct ring_writer *writer, const struct iovec *pieces, size_t count, bool *ret_wakes)
{
        uint32_t room = count_room(writer), put = 0;
        size_t wanted = 0;

        if (writer->error)
                return writer->error;
        for (size_t i = 0; i < count && wanted < writer->size; i++)
                wanted += pieces[i].iov_len < writer->size ? pieces[i].iov_len : writer->size;
        if (room < wanted) {
                if (look_at_head(writer) < 0)
                        return writer->error;
                room = count_room(writer);
        }
        for (size_t i = 0; i < count && put < room; i++) {
                uint32_t size = pieces[i].iov_len < room - put ? (uint32_t)pieces[i].iov_len : room - put;

                if (size > 0)
                        copy_in(writer, put, pieces[i].iov_base, size);
                put += size;
        }
        if (put == 0)
                return wanted > 0 ? -EAGAIN : 0;
        writer->tail += put;
        atomic_store_explicit(&writer->shared->tail, writer->tail, memory_order_release);
        *ret_wakes |= has_to_wake(&writer->shared->is_reader_asleep);
        return (ssize_t)put;
}

bool ring_close(struct ring_writer *writer)
{
        if (!writer->error)
                writer->error = -EPIPE;
        atomic_store_explicit(&writer->shared->is_closed, 1, memory_order_release);
        return has_to_wake(&writer->shared->is_reader_asleep);
}

/* The reader wakes a writer only where half of the ring is free, so that a full ring is not refilled in crumbs. */
bool ring_is_writable(struct ring_writer *writer)
{
        return writer->error || look_at_head(writer) < 0 || count_room(writer) >= (writer->size + 1) / 2;
}

bool ring_writer_sleep(struct ring_writer *writer)
{
        atomic_store_explicit(&writer->shared->is_writer_asleep, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        if (!ring_is_writable(writer))
                return true;
        ring_writer_wake(writer);
        return false;
}

void ring_writer_wake(struct ring_writer *writer)
{
        atomic_store_explicit(&writer->shared->is_writer_asleep, 0, memory_order_relaxed);
}

/* Reading ------------------------------------------------------------------------------------------------- */

/* Look how far the writer is: at least as far as before, and not farther than the ring is large. */
static int look_at_tail(struct ring_reader *reader)
{
        uint32_t tail = atomic_load_explicit(&reader->shared->tail, memory_order_acquire);

        if (tail - reader->tail > reader->size - (reader->tail - reader->head))
                return reader->error = -EBADMSG;
        reader->tail = tail;
        return 0;
}

static bool is_closed(const struct ring_reader *reader)
{
        return atomic_load_explicit(&reader->shared->is_closed, memory_order_acquire) != 0;
}

static void copy_out(const struct ring_reader *reader, void *buffer, uint32_t size)
{
        uint32_t place = reader->head & (reader->size - 1), first = reader->size - place;

        if (first > size)
                first = size;
        memcpy(buffer, reader->bytes + place, first);
        if (first < size)
                memcpy((unsigned char *)buffer + first, reader->bytes, size - first);
}

ssize_t ring_read(struct ring_reader *reader, void *buffer, size_t size, bool *ret_wakes)
{
        uint32_t got;

        if (reader->error || (reader->tail - reader->head < size && look_at_tail(reader) < 0))
                return reader->error;
        if (reader->tail == reader->head) {
                if (!is_closed(reader))
                        return -EAGAIN;
                /* What was written before it was closed. */
                if (look_at_tail(reader) < 0)
                        return reader->error;
                if (reader->tail == reader->head)
                        return 0;
        }
        got = reader->tail - reader->head;
        if (got > size)
                got = (uint32_t)size;
        copy_out(reader, buffer, got);
        reader->head += got;
        atomic_store_explicit(&reader->shared->head, reader->head, memory_order_release);
        if (reader->size - (reader->tail - reader->head) >= (reader->size + 1) / 2)
                *ret_wakes |= has_to_wake(&reader->shared->is_writer_asleep);
        return (ssize_t)got;
}

bool ring_is_readable(struct ring_reader *reader)
{
        return reader->error || look_at_tail(reader) < 0 || reader->tail != reader->head || is_closed(reader);
}

bool ring_reader_sleep(struct ring_reader *reader)
{
        atomic_store_explicit(&reader->shared->is_reader_asleep, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        if (!ring_is_readable(reader))
                return true;
        ring_reader_wake(reader);
        return false;
}

void ring_reader_wake(struct ring_reader *reader)
{
        atomic_store_explicit(&reader->shared->is_reader_asleep, 0, memory_order_relaxed);
}
