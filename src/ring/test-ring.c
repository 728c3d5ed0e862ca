/* A ring from inside: bytes in order at every place of the ring and of its numbers, ends, sleep and wake, and all that a
 * hostile other side can write; and its memory: what is made, and what is not taken. */
#include "ring/duplex.h"

#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct ring {
        struct ring_shared *shared;
        unsigned char *bytes;           /* a block of exactly its size, so that AddressSanitizer sees a step outside */
        struct ring_writer writer;
        struct ring_reader reader;
};

/* As if @begin bytes had passed through it already. */
static void open_ring(struct ring *ring, uint32_t size, uint32_t begin)
{
        ring->shared = aligned_alloc(RING_LINE, sizeof *ring->shared);
        ring->bytes = malloc(size);
        ck_assert(ring->shared && ring->bytes);
        memset(ring->shared, 0, sizeof *ring->shared);
        atomic_init(&ring->shared->tail, begin);
        atomic_init(&ring->shared->head, begin);
        ring_writer_init(&ring->writer, ring->shared, ring->bytes, size);
        ring_reader_init(&ring->reader, ring->shared, ring->bytes, size);
        ring->writer.tail = ring->writer.head = ring->reader.tail = ring->reader.head = begin;
}

static void close_ring(struct ring *ring)
{
        free(ring->shared);
        free(ring->bytes);
}

static ssize_t put(struct ring *ring, const void *bytes, size_t size)
{
        struct iovec piece = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
        bool wakes = false;
        ssize_t result = ring_write(&ring->writer, &piece, 1, &wakes);

        ck_assert(!wakes);
        return result;
}

static ssize_t get(struct ring *ring, void *buffer, size_t size)
{
        bool wakes = false;
        ssize_t result = ring_read(&ring->reader, buffer, size, &wakes);

        ck_assert(!wakes);
        return result;
}

/* Every size at every place, also where the numbers wrap around. */
START_TEST(bytes_come_out_as_they_went_in)
{
        static const uint32_t begins[] = { 0, 5, UINT32_MAX - 40, UINT32_MAX - 7, UINT32_MAX };
        unsigned char next_in = 0, next_out = 0;

        for (size_t b = 0; b < sizeof begins / sizeof *begins; b++)
                for (size_t size = 1; size <= 16; size++) {
                        struct ring ring;

                        open_ring(&ring, 16, begins[b]);
                        for (int i = 0; i < 50; i++) {
                                unsigned char in[16], out[16];
                                size_t left = size;

                                for (size_t k = 0; k < size; k++)
                                        in[k] = next_in++;
                                ck_assert_int_eq(put(&ring, in, size), (ssize_t)size);
                                while (left > 0) {
                                        ssize_t got = get(&ring, out, left > 3 ? left - 2 : 16);

                                        ck_assert_int_gt(got, 0);
                                        for (ssize_t k = 0; k < got; k++)
                                                SUITE_CHECK(out[k] == next_out++, "a byte is another");
                                        left -= (size_t)got;
                                }
                                ck_assert_int_eq(get(&ring, out, 16), -EAGAIN);
                        }
                        close_ring(&ring);
                }
}
END_TEST

START_TEST(pieces_are_written_together)
{
        struct iovec pieces[] = { { "ab", 2 }, { NULL, 0 }, { "cdefgh", 6 }, { "ijkl", 4 } };
        bool wakes = false;
        struct ring ring;
        char out[8];

        open_ring(&ring, 8, UINT32_MAX - 2);
        ck_assert_int_eq(put(&ring, "x", 1), 1);
        ck_assert_int_eq(ring_write(&ring.writer, pieces, 4, &wakes), 7);
        ck_assert_int_eq(ring_write(&ring.writer, pieces, 4, &wakes), -EAGAIN);
        ck_assert_int_eq(ring_write(&ring.writer, pieces, 0, &wakes), 0);
        ck_assert_int_eq(get(&ring, out, sizeof out), 8);
        ck_assert_mem_eq(out, "xabcdefg", 8);
        pieces[3] = (struct iovec){ "12345678", SIZE_MAX };
        ck_assert_int_eq(ring_write(&ring.writer, pieces + 3, 1, &wakes), 8);
        close_ring(&ring);
}
END_TEST

START_TEST(a_closed_ring_is_read_to_its_end)
{
        struct ring ring;
        char out[4];

        open_ring(&ring, 8, 0);
        ck_assert_int_eq(put(&ring, "abcde", 5), 5);
        ck_assert(!ring_close(&ring.writer));
        ck_assert_int_eq(put(&ring, "f", 1), -EPIPE);
        ck_assert(ring_is_readable(&ring.reader));
        ck_assert_int_eq(get(&ring, out, 4), 4);
        ck_assert_int_eq(get(&ring, out, 4), 1);
        ck_assert(ring_is_readable(&ring.reader));
        ck_assert(!ring_reader_sleep(&ring.reader));
        ck_assert_int_eq(get(&ring, out, 4), 0);
        ck_assert_int_eq(get(&ring, out, 4), 0);
        close_ring(&ring);
}
END_TEST

START_TEST(only_a_sleeper_is_woken_and_once)
{
        struct iovec piece = { "abcd", 4 };
        struct ring ring;
        bool wakes = false;
        char out[8];

        open_ring(&ring, 8, UINT32_MAX - 5);
        ck_assert(ring_reader_sleep(&ring.reader));
        ck_assert_int_eq(ring_write(&ring.writer, &piece, 1, &wakes), 4);
        ck_assert(wakes);
        wakes = false;
        ck_assert_int_eq(ring_write(&ring.writer, &piece, 1, &wakes), 4);
        ck_assert(!wakes);
        /* It is full: the writer sleeps, until half of it is free. */
        ck_assert(ring_writer_sleep(&ring.writer));
        ck_assert_int_eq(ring_read(&ring.reader, out, 3, &wakes), 3);
        ck_assert(!wakes);
        ck_assert(!ring_is_writable(&ring.writer));
        ck_assert_int_eq(ring_read(&ring.reader, out, 1, &wakes), 1);
        ck_assert(wakes);
        wakes = false;
        ck_assert(ring_is_writable(&ring.writer));
        ck_assert(!ring_writer_sleep(&ring.writer));
        ck_assert_int_eq(ring_read(&ring.reader, out, 8, &wakes), 4);
        ck_assert(!wakes);
        /* One that is awake for another reason. */
        ck_assert(ring_reader_sleep(&ring.reader));
        ring_reader_wake(&ring.reader);
        ck_assert_int_eq(ring_write(&ring.writer, &piece, 1, &wakes), 4);
        ck_assert(!wakes);
        ck_assert(!ring_reader_sleep(&ring.reader));
        ck_assert_int_eq(ring_read(&ring.reader, out, 8, &wakes), 4);
        ck_assert(ring_reader_sleep(&ring.reader));
        ck_assert(ring_close(&ring.writer));
        close_ring(&ring);
}
END_TEST

/* Every number that no honest writer could have written, as seen by the reader at each fill. */
START_TEST(a_wrong_tail_breaks_the_ring)
{
        for (uint32_t unread = 0; unread <= 8; unread++)
                for (uint32_t tail = UINT32_MAX - 20; tail != 30; tail++) {
                        uint32_t head = UINT32_MAX - 2, distance = tail - head;
                        bool is_right = distance <= 8 && distance >= unread;
                        struct ring ring;
                        char out[16];

                        open_ring(&ring, 8, head);
                        ring.reader.tail = head + unread;
                        atomic_store(&ring.shared->tail, tail);
                        if (is_right)
                                ck_assert_int_eq(get(&ring, out, 16), distance > 0 ? (ssize_t)distance : -EAGAIN);
                        else {
                                ck_assert(ring_is_readable(&ring.reader));
                                ck_assert(!ring_reader_sleep(&ring.reader));
                                ck_assert_int_eq(get(&ring, out, 16), -EBADMSG);
                                /* It stays so. */
                                atomic_store(&ring.shared->tail, head + unread);
                                ck_assert_int_eq(get(&ring, out, 1), -EBADMSG);
                        }
                        close_ring(&ring);
                }
}
END_TEST

START_TEST(a_wrong_head_breaks_the_ring)
{
        for (uint32_t used = 0; used <= 8; used++)
                for (uint32_t head = UINT32_MAX - 20; head != 30; head++) {
                        uint32_t begin = UINT32_MAX - 2, distance = head - begin;
                        bool is_right = distance <= used;
                        struct ring ring;
                        char in[16] = "";

                        open_ring(&ring, 8, begin);
                        ck_assert_int_eq(put(&ring, in, used), used);
                        atomic_store(&ring.shared->head, head);
                        if (is_right)
                                ck_assert_int_eq(put(&ring, in, 16), 8 - used + distance > 0 ? (ssize_t)(8 - used + distance) : -EAGAIN);
                        else {
                                ck_assert(ring_is_writable(&ring.writer));
                                ck_assert(!ring_writer_sleep(&ring.writer));
                                ck_assert_int_eq(put(&ring, in, 16), -EBADMSG);
                                atomic_store(&ring.shared->head, begin);
                                ck_assert_int_eq(put(&ring, in, 1), -EBADMSG);
                        }
                        close_ring(&ring);
                }
}
END_TEST

/* A number that changes at the last moment: after the ring was closed. */
START_TEST(a_wrong_tail_is_noticed_at_the_end)
{
        struct ring ring;
        char out[4];

        open_ring(&ring, 4, 0);
        ring_close(&ring.writer);
        ck_assert_int_eq(get(&ring, out, 4), 0);
        atomic_store(&ring.shared->tail, 5);
        ck_assert_int_eq(get(&ring, out, 4), -EBADMSG);
        close_ring(&ring);
}
END_TEST

/* Memory --------------------------------------------------------------------------------------------------- */

static void refuse(int fd, int code, const char *sentence)
{
        struct ring_memory memory = { .pair = NULL };
        struct error error = { 0 };

        ck_assert_int_eq(ring_memory_take(&memory, fd, &error), code);
        ck_assert_msg(strstr(error_text(&error), sentence), "'%s' without '%s'", error_text(&error), sentence);
        ck_assert_ptr_null(memory.pair);
        error_deinit(&error);
        if (fd >= 0)
                close(fd);
}

static int file_of(unsigned flags, off_t size, int seals)
{
        int fd = memfd_create("test", MFD_CLOEXEC | flags);

        if (fd < 0)
                return fd;
        ck_assert_int_eq(ftruncate(fd, size), 0);
        ck_assert_int_eq(seals ? fcntl(fd, F_ADD_SEALS, seals) : 0, 0);
        return fd;
}

enum { ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

START_TEST(only_sealed_memory_is_taken)
{
        const char *unsealed = "that is not sealed";
        off_t size = RING_HEADER + 2 * RING_SIZE_MIN;
        int pipe_fds[2], fd;

        refuse(file_of(MFD_ALLOW_SEALING, size, 0), -EBADMSG, unsealed);
        refuse(file_of(MFD_ALLOW_SEALING, size, F_SEAL_SHRINK | F_SEAL_GROW), -EBADMSG, unsealed);
        refuse(file_of(MFD_ALLOW_SEALING, size, F_SEAL_GROW | F_SEAL_SEAL), -EBADMSG, unsealed);
        refuse(file_of(MFD_ALLOW_SEALING, size, F_SEAL_SHRINK | F_SEAL_SEAL), -EBADMSG, unsealed);
        refuse(file_of(0, size, 0), -EBADMSG, unsealed);
        refuse(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), -EBADMSG, unsealed);
        refuse(open("/", O_RDONLY | O_CLOEXEC), -EBADMSG, unsealed);
        refuse(open("/dev/null", O_RDWR | O_CLOEXEC), -EBADMSG, unsealed);
        ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
        close(pipe_fds[1]);
        refuse(pipe_fds[0], -EBADMSG, unsealed);
        refuse(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), -EBADMSG, unsealed);
        refuse(-1, -EBADF, "Bad file descriptor");
        /* It cannot be written to. */
        refuse(file_of(MFD_ALLOW_SEALING, size, ALL_SEALS | F_SEAL_WRITE), -EPERM, "cannot map");
        /* A kernel without huge pages has no such files. */
        fd = file_of(MFD_ALLOW_SEALING | MFD_HUGETLB, (off_t)1 << 30, ALL_SEALS);
        if (fd >= 0)
                refuse(fd, -EBADMSG, "another kind than tmpfs");
}
END_TEST

START_TEST(only_memory_of_two_rings_is_taken)
{
        static const off_t sizes[] = { 0, 1, RING_HEADER, RING_HEADER + 1, RING_HEADER + 2 * RING_SIZE_MIN - 1,
                                       RING_HEADER + 2 * RING_SIZE_MIN + 1, RING_HEADER + 2 * RING_SIZE_MIN + 2,
                                       RING_HEADER + 2 * 12288, RING_HEADER + RING_SIZE_MIN, RING_HEADER + 4 * (off_t)RING_SIZE_MAX,
                                       RING_HEADER + ((off_t)1 << 33), RING_HEADER + ((off_t)1 << 40) };

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                refuse(file_of(MFD_ALLOW_SEALING, sizes[i], ALL_SEALS), -EBADMSG, "which are no two rings");
}
END_TEST

/* Where the limit is checked by the kernel, it kills by SIGXFSZ. */
START_TEST(a_limit_of_file_sizes_does_not_kill)
{
        struct ring_memory memory;
        struct error error = { 0 };
        struct rlimit limit;
        int fd;

        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = 4096;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(ring_memory_make(&memory, RING_SIZE_MIN, &fd, &error), -EFBIG);
        limit.rlim_cur = RING_HEADER + 2 * RING_SIZE_MIN;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(ring_memory_make(&memory, RING_SIZE_MIN, &fd, &error), 0);
        close(fd);
        ring_memory_drop(&memory);
        error_deinit(&error);
}
END_TEST

START_TEST(both_sides_see_the_same_memory)
{
        struct ring_memory made, taken;
        struct error error = { 0 };
        struct ring_duplex maker, taker;
        int fds[2], fd, seals;
        char out[16];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(ring_memory_make(&made, 8192, &fd, &error), 0);
        ck_assert_int_eq(ring_memory_take(&taken, fd, &error), 0);
        seals = fcntl(fd, F_GET_SEALS);
        ck_assert_int_eq(seals & ALL_SEALS, ALL_SEALS);
        ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(fd);
        ck_assert_uint_eq(taken.size, 8192);
        ring_duplex_init(&maker, &made, true, fds[0]);
        ring_duplex_init(&taker, &taken, false, fds[1]);
        ck_assert_int_eq(ring_duplex_write(&maker, "there", 5), 5);
        ck_assert_int_eq(ring_duplex_write(&taker, "and back", 8), 8);
        ck_assert_int_eq(ring_duplex_read(&taker, out, 16), 5);
        ck_assert_mem_eq(out, "there", 5);
        /* Each was awake: the socket was not used. */
        ck_assert_int_eq(recv(fds[1], out, 16, MSG_DONTWAIT), -1);
        ck_assert(ring_duplex_sleep_reading(&taker));
        ck_assert_int_eq(ring_duplex_write(&maker, "again", 5), 5);
        ck_assert_int_eq(recv(fds[1], out, 16, MSG_DONTWAIT), 1);
        ck_assert_int_eq(ring_duplex_read(&maker, out, 16), 8);
        ck_assert_mem_eq(out, "and back", 8);
        ring_duplex_deinit(&maker);
        ring_duplex_deinit(&taker);
        close(fds[0]);
        close(fds[1]);
}
END_TEST

/* A socket that cannot take the byte: the sleeper is woken once it can. */
START_TEST(a_wake_that_failed_is_made_up_for)
{
        struct ring_memory made, taken;
        struct error error = { 0 };
        struct ring_duplex maker, taker;
        int fds[2], fd;
        char out[16] = { 0 };

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(ring_memory_make(&made, RING_SIZE_MIN, &fd, &error), 0);
        ck_assert_int_eq(ring_memory_take(&taken, fd, &error), 0);
        close(fd);
        ring_duplex_init(&maker, &made, true, fds[0]);
        ring_duplex_init(&taker, &taken, false, fds[1]);
        while (send(fds[0], out, sizeof out, MSG_DONTWAIT) > 0)
                ;
        ck_assert(ring_duplex_sleep_reading(&taker));
        ck_assert_int_eq(ring_duplex_write(&maker, "again", 5), 5);
        ck_assert(maker.owes_wake);
        ring_duplex_pay(&maker);
        ck_assert(maker.owes_wake);
        while (recv(fds[1], out, sizeof out, MSG_DONTWAIT) > 0)
                ;
        ring_duplex_pay(&maker);
        ck_assert(!maker.owes_wake);
        ck_assert_int_eq(recv(fds[1], out, 16, MSG_DONTWAIT), 1);
        /* Nor while the socket says something else. */
        ck_assert_int_eq(ring_duplex_count(&taker), 5);
        ck_assert_int_eq(ring_duplex_read(&taker, out, 16), 5);
        ck_assert_int_eq(ring_duplex_count(&taker), 0);
        ck_assert(ring_duplex_sleep_reading(&taker));
        maker.is_mute = true;
        ck_assert_int_eq(ring_duplex_write(&maker, "again", 5), 5);
        ck_assert(maker.owes_wake);
        ck_assert_int_eq(recv(fds[1], out, 16, MSG_DONTWAIT), -1);
        maker.is_mute = false;
        ring_duplex_pay(&maker);
        ck_assert_int_eq(recv(fds[1], out, 16, MSG_DONTWAIT), 1);
        /* A peer that has gone is not owed anything. */
        ck_assert_int_eq(ring_duplex_read(&taker, out, 16), 5);
        ck_assert(ring_duplex_sleep_reading(&taker));
        close(fds[1]);
        ck_assert_int_eq(ring_duplex_write(&maker, "again", 5), 5);
        ck_assert(!maker.owes_wake);
        ck_assert_int_eq(maker.wake_error, -EPIPE);
        ring_duplex_deinit(&maker);
        ring_duplex_deinit(&taker);
        close(fds[0]);
}
END_TEST

static enum door_call refused_call;

static int refuse_call(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == refused_call ? -ENOSPC : 0;
}

/* Nothing is left of memory that could not be made or taken: the suite compares the descriptors, and the door the maps. */
START_TEST(memory_that_cannot_be_had_leaves_nothing)
{
        static const enum door_call making[] = { DOOR_shared_memory_file, DOOR_allocate, DOOR_add_seals, DOOR_map_file };
        static const enum door_call taking[] = { DOOR_seals, DOOR_file_system, DOOR_stat_fd, DOOR_map_file };
        struct ring_memory made = { .pair = NULL };
        int fd = -1;

        for (size_t i = 0; i < 4; i++) {
                struct error error = { 0 };

                door_reset();
                refused_call = making[i];
                door_judge = refuse_call;
                ck_assert_int_eq(ring_memory_make(&made, RING_SIZE_MIN, &fd, &error), -ENOSPC);
                ck_assert_int_eq(fd, -1);
                ck_assert_ptr_null(made.pair);
                error_deinit(&error);
        }
        door_reset();
        ck_assert_int_eq(ring_memory_make(&made, RING_SIZE_MIN, &fd, &(struct error){ 0 }), 0);
        for (size_t i = 0; i < 4; i++) {
                door_reset();
                refused_call = taking[i];
                door_judge = refuse_call;
                refuse(dup(fd), -ENOSPC, "No space left on device");
        }
        door_reset();
        close(fd);
        ring_memory_drop(&made);
        ck_assert_uint_eq(door_counts.calls[DOOR_unmap], 1);
        ring_memory_drop(&made);
        ck_assert_uint_eq(door_counts.calls[DOOR_unmap], 1);
}
END_TEST

START_TEST(rings_of_a_wrong_size_are_not_made)
{
        static const uint32_t sizes[] = { 0, 1, RING_SIZE_MIN - 1, RING_SIZE_MIN + 1, RING_SIZE_MIN / 2, (uint32_t)RING_SIZE_MAX * 2, UINT32_MAX };

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct ring_memory memory;
                struct error error = { 0 };
                int fd;

                ck_assert_int_eq(ring_memory_make(&memory, sizes[i], &fd, &error), -EINVAL);
                ck_assert(strstr(error_text(&error), "a power of two"));
                error_deinit(&error);
        }
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(bytes_come_out_as_they_went_in),
        SUITE_TEST(pieces_are_written_together),
        SUITE_TEST(a_closed_ring_is_read_to_its_end),
        SUITE_TEST(only_a_sleeper_is_woken_and_once),
        SUITE_TEST(a_wrong_tail_breaks_the_ring),
        SUITE_TEST(a_wrong_head_breaks_the_ring),
        SUITE_TEST(a_wrong_tail_is_noticed_at_the_end),
        SUITE_TEST(only_sealed_memory_is_taken),
        SUITE_TEST(only_memory_of_two_rings_is_taken),
        SUITE_TEST(a_limit_of_file_sizes_does_not_kill),
        SUITE_TEST(both_sides_see_the_same_memory),
        SUITE_TEST(a_wake_that_failed_is_made_up_for),
        SUITE_TEST(memory_that_cannot_be_had_leaves_nothing),
        SUITE_TEST(rings_of_a_wrong_size_are_not_made),
};

SUITE_MAIN("ring", tests)
