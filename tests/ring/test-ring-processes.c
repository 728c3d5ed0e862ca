/* Rings between two processes: traffic on one processor and on two, a peer that is killed at any instruction, and a peer that
 * writes anything anywhere. */
#include "ring/traffic.h"

#include "support/suite.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool runs_on(int processors)
{
        cpu_set_t all, some;
        int found = 0;

        CPU_ZERO(&some);
        if (sched_getaffinity(0, sizeof all, &all) < 0)
                return false;
        for (size_t i = 0; i < CPU_SETSIZE && found < processors; i++)
                if (CPU_ISSET(i, &all)) {
                        CPU_SET(i, &some);
                        found++;
                }
        return found == processors && sched_setaffinity(0, sizeof some, &some) == 0;
}

/* Number of processors, size of the rings, how long to look before sleeping; and whether FERRY_LONG makes them 10^9 messages. */
static const struct {
        int processors;
        uint32_t size;
        int64_t patience_ns;
        bool is_longest;
} cases[] = { { 1, 1 << 16, 0, true }, { 1, RING_SIZE_MIN, 20000, false }, { 2, RING_SIZE_MIN, 0, false }, { 2, 1 << 16, 20000, true } };

/* 10^6 in `make check`. */
static uint64_t messages(int i)
{
        uint64_t count = !suite_is_long() ? 1000000 : cases[i].is_longest ? 1000000000 : 100000000;

        return SUITE_HAS_ASAN ? count / 10 : count;
}

START_TEST(messages_of_one_process_reach_the_other)
{
        struct ring_duplex duplexes[2];
        struct traffic traffic = { .count = messages(_i), .seed = (unsigned)_i, .patience_ns = cases[_i].patience_ns };
        int status;
        pid_t pid;

        /* A machine with one processor has the first two. */
        if (!runs_on(cases[_i].processors))
                return;
        traffic_open(duplexes, cases[_i].size);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(duplexes[1].socket);
                traffic.duplex = &duplexes[0];
                traffic_send(&traffic);
                _exit(traffic.failure[0] ? 1 : 0);
        }
        close(duplexes[0].socket);
        ring_duplex_deinit(&duplexes[0]);
        traffic.duplex = &duplexes[1];
        traffic_receive(&traffic);
        ck_assert_str_eq(traffic.failure, "");
        ck_assert_uint_eq(traffic.done, traffic.count);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        traffic_close(&duplexes[1]);
}
END_TEST

/* Killed ----------------------------------------------------------------------------------------------------- */

enum { RECORD = 24, RECORDS = 3 };

static void write_records(struct ring_duplex *duplex)
{
        for (int i = 0; i < RECORDS; i++) {
                char record[RECORD];

                memset(record, 'a' + i, sizeof record);
                ring_duplex_write(duplex, record, sizeof record);
        }
        ring_duplex_close(duplex);
}

/* A child that writes them and is traced; it is stopped before its first step. False: it cannot be traced. */
static bool start_traced(struct ring_duplex duplexes[2], pid_t *ret_pid)
{
        int status;

        *ret_pid = fork();
        ck_assert_int_ge(*ret_pid, 0);
        if (*ret_pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(duplexes[1].socket);
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                        _exit(77);
                raise(SIGSTOP);
                write_records(&duplexes[0]);
                raise(SIGSTOP);
                _exit(0);
        }
        ck_assert_int_eq(waitpid(*ret_pid, &status, 0), *ret_pid);
        return WIFSTOPPED(status);
}

enum step { STEP_MADE, STEP_LAST, STEP_IMPOSSIBLE };

/* One instruction of it. */
static enum step step(pid_t pid)
{
        int status;

        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
                return STEP_IMPOSSIBLE;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP ? STEP_MADE : STEP_LAST;
}

static void kill_traced(pid_t pid)
{
        int status;

        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
}

/* What the reader finds is whole records, in order, and no end before the last. Returns how many, and one more for the end. */
static int read_records(struct ring_reader *reader)
{
        char bytes[RECORD * RECORDS + 1];
        size_t size = 0;
        ssize_t got;
        bool wakes = false;

        while ((got = ring_read(reader, bytes + size, sizeof bytes - size, &wakes)) > 0)
                size += (size_t)got;
        SUITE_CHECK(got == 0 || got == -EAGAIN, "reading: %zd", got);
        SUITE_CHECK(size % RECORD == 0, "%zu bytes", size);
        for (size_t i = 0; i < size; i++)
                SUITE_CHECK(bytes[i] == 'a' + (char)(i / RECORD), "byte %zu is another", i);
        SUITE_CHECK(got != 0 || size == RECORD * RECORDS, "an end after %zu bytes", size);
        return (int)(size / RECORD) + (got == 0);
}

/* What a reader would find if the writer were killed there: a copy of the memory, after each instruction. */
START_TEST(a_writer_leaves_whole_records_at_each_instruction)
{
        struct ring_duplex duplexes[2];
        int before = 0;
        long steps = 0;
        pid_t pid;

        traffic_open(duplexes, RING_SIZE_MIN);
        ck_assert(ring_duplex_sleep_reading(&duplexes[1]));
        if (start_traced(duplexes, &pid)) {
                enum step last;

                while ((last = step(pid)) == STEP_MADE) {
                        static _Alignas(RING_LINE) unsigned char copy[RING_HEADER + RECORD * RECORDS];
                        struct ring_reader reader;
                        int found;

                        memcpy(copy, duplexes[1].memory.pair, sizeof copy);
                        ring_reader_init(&reader, &((struct ring_pair *)(void *)copy)->rings[0], copy + RING_HEADER, RING_SIZE_MIN);
                        found = read_records(&reader);
                        SUITE_CHECK(found >= before, "%d after %d", found, before);
                        before = found;
                        steps++;
                }
                ck_assert(last == STEP_IMPOSSIBLE || (before == RECORDS + 1 && steps > 100));
                kill_traced(pid);
        }
        close(duplexes[0].socket);
        ring_duplex_deinit(&duplexes[0]);
        traffic_close(&duplexes[1]);
}
END_TEST

/* The sleeping peer is woken, by a byte or by the end of the socket. */
START_TEST(a_peer_of_a_killed_writer_is_woken)
{
        long stride = suite_is_long() ? 1 : 97;
        bool is_over = false;

        for (long kill_at = 0; !is_over; kill_at += stride) {
                struct ring_duplex duplexes[2];
                struct pollfd poll_fd = { .events = POLLIN };
                pid_t pid;

                traffic_open(duplexes, RING_SIZE_MIN);
                ck_assert(ring_duplex_sleep_reading(&duplexes[1]));
                is_over = !start_traced(duplexes, &pid);
                for (long i = 0; i < kill_at && !is_over; i++)
                        is_over = step(pid) != STEP_MADE;
                kill_traced(pid);
                close(duplexes[0].socket);
                poll_fd.fd = duplexes[1].socket;
                ck_assert_int_eq(poll(&poll_fd, 1, 10000), 1);
                read_records(&duplexes[1].reader);
                ring_duplex_deinit(&duplexes[0]);
                traffic_close(&duplexes[1]);
        }
}
END_TEST

/* Hostile ---------------------------------------------------------------------------------------------------- */

enum { BROKEN = 1000000 };      /* rings become so, and are begun anew, while the peer writes */

/* Every call returns, within its buffers; what is broken stays broken, and is begun anew. */
START_TEST(a_peer_that_writes_anything_harms_nothing)
{
        size_t most = suite_scale(BROKEN), rounds = 0, broken = 0;
        struct ring_duplex duplexes[2];
        int status;
        pid_t pid;

        traffic_open(duplexes, RING_SIZE_MIN);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(duplexes[0].socket);
                traffic_scribble(&duplexes[1], 7);
        }
        while (rounds < most || broken < most) {
                struct ring_duplex *duplex = &duplexes[0];
                struct ring_memory memory = duplex->memory;
                bool is_broken[2] = { false, false };

                /* As one that was never used, at what stands there now. */
                ring_duplex_init(duplex, &memory, true, duplex->socket);
                for (int i = 0; i < 200 && !(is_broken[0] && is_broken[1]); i++) {
                        size_t size = (size_t)(i * 37 % 300) + 1;
                        unsigned char *buffer = malloc(size);
                        ssize_t got = ring_duplex_read(duplex, buffer, size), put = ring_duplex_write(duplex, buffer, size);
                        char bytes[64];

                        ck_assert(got >= 0 ? (size_t)got <= size : got == -EAGAIN || got == -EBADMSG);
                        ck_assert(put >= 0 ? (size_t)put <= size : put == -EAGAIN || put == -EBADMSG);
                        ck_assert(!is_broken[0] || got == -EBADMSG);
                        ck_assert(!is_broken[1] || put == -EBADMSG);
                        is_broken[0] = got == -EBADMSG;
                        is_broken[1] = put == -EBADMSG;
                        ring_duplex_peer(duplex);
                        ring_duplex_is_ready(duplex, true, true);
                        ring_duplex_sleep_reading(duplex);
                        ring_duplex_sleep_writing(duplex);
                        ck_assert_int_le(ring_duplex_count(duplex), RING_SIZE_MIN);
                        ring_duplex_pay(duplex);
                        while (recv(duplex->socket, bytes, sizeof bytes, MSG_DONTWAIT) == sizeof bytes)
                                ;
                        free(buffer);
                }
                broken += (size_t)is_broken[0] + is_broken[1];
                rounds++;
        }
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        traffic_close(&duplexes[0]);
        traffic_close(&duplexes[1]);
}
END_TEST

static const struct suite_test tests[] = {
        { .name = "messages_of_one_process_reach_the_other", .test = &messages_of_one_process_reach_the_other, .count = 4, .is_whole = 1 },
        SUITE_TEST(a_writer_leaves_whole_records_at_each_instruction),
        SUITE_TEST(a_peer_of_a_killed_writer_is_woken),
        SUITE_TEST(a_peer_that_writes_anything_harms_nothing),
};

SUITE_MAIN("ring-processes", tests)
