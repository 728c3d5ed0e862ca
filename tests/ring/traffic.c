#include "ring/traffic.h"

#include "util/sys.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        PATTERN = 1 << 17,
        BUFFER = 20000,
        SIZE_MAX_OF_MESSAGE = 1 << 16,
};

struct head {
        uint64_t number;
        uint32_t size;
        uint32_t check;
};

static unsigned char pattern[PATTERN];

__attribute__((constructor)) static void make_pattern(void)
{
        uint64_t state = 88172645463325252u;

        for (size_t i = 0; i < PATTERN; i++) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                pattern[i] = (unsigned char)(state >> 24);
        }
}

static uint64_t mix(uint64_t value)
{
        value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
        value = (value ^ value >> 27) * 0x94d049bb133111ebu;
        return value ^ value >> 31;
}

/* Most are small, some are larger than a small ring. */
static uint32_t size_of(uint64_t number, unsigned seed)
{
        uint64_t random = mix(number * 31 + seed);
        uint32_t low = (uint32_t)(random & 0xffff);

        switch (random >> 59) {
        case 0:
                return (random >> 32 & 63) == 0 ? low : low & 4095;
        case 1: case 2: case 3:
                return low & 1023;
        default:
                return low & 63;
        }
}

static uint32_t check_of(uint64_t number, uint32_t size, unsigned seed)
{
        return (uint32_t)mix(number ^ ((uint64_t)size << 40) ^ seed);
}

static const unsigned char *bytes_of(uint64_t number, unsigned seed)
{
        return pattern + (mix(number + seed) & (PATTERN - SIZE_MAX_OF_MESSAGE - 1));
}

static void fail(struct traffic *traffic, const char *what, int64_t code)
{
        if (!traffic->failure[0])
                snprintf(traffic->failure, sizeof traffic->failure, "message %llu: %s (%lld)", (unsigned long long)traffic->done, what,
                         (long long)code);
}

/* A state of one direction, so that both can be driven by one loop. */
struct sender {
        struct traffic *traffic;
        struct head head;
        size_t put;                     /* of this message, with its head */
        bool is_begun, is_over;
};

struct receiver {
        struct traffic *traffic;
        struct head head;
        size_t got;                     /* of this message, with its head */
        bool is_over;
};

/* Until there is no room. */
static void push(struct sender *sender)
{
        struct traffic *traffic = sender->traffic;

        while (!sender->is_over) {
                const unsigned char *at;
                size_t size;
                ssize_t put;

                if (traffic->done == traffic->count) {
                        ring_duplex_close(traffic->duplex);
                        sender->is_over = true;
                        return;
                }
                if (!sender->is_begun) {
                        uint32_t body = size_of(traffic->done, traffic->seed);

                        sender->head = (struct head){ traffic->done, body, check_of(traffic->done, body, traffic->seed) };
                        sender->is_begun = true;
                        sender->put = 0;
                }
                if (sender->put < sizeof sender->head) {
                        at = (const unsigned char *)&sender->head + sender->put;
                        size = sizeof sender->head - sender->put;
                } else {
                        at = bytes_of(traffic->done, traffic->seed) + (sender->put - sizeof sender->head);
                        size = sender->head.size - (sender->put - sizeof sender->head);
                }
                put = size > 0 ? ring_duplex_write(traffic->duplex, at, size) : 0;
                if (put == -EAGAIN)
                        return;
                if (put < 0) {
                        fail(traffic, "write", put);
                        sender->is_over = true;
                        return;
                }
                sender->put += (size_t)put;
                if (sender->put == sizeof sender->head + sender->head.size) {
                        traffic->done++;
                        sender->is_begun = false;
                }
        }
}

/* All of a piece. */
static void check(struct receiver *receiver, const unsigned char *bytes, size_t size)
{
        struct traffic *traffic = receiver->traffic;
        struct head *head = &receiver->head;

        while (size > 0 || (receiver->got == sizeof *head && head->size == 0)) {
                size_t step;

                if (receiver->got < sizeof *head) {
                        step = sizeof *head - receiver->got < size ? sizeof *head - receiver->got : size;
                        memcpy((unsigned char *)head + receiver->got, bytes, step);
                        if (receiver->got + step == sizeof *head &&
                            (head->number != traffic->done || head->size != size_of(traffic->done, traffic->seed) ||
                             head->check != check_of(head->number, head->size, traffic->seed))) {
                                fail(traffic, "another head", (int64_t)head->number);
                                receiver->is_over = true;
                                return;
                        }
                } else {
                        size_t offset = receiver->got - sizeof *head;

                        step = head->size - offset < size ? head->size - offset : size;
                        if (memcmp(bytes_of(head->number, traffic->seed) + offset, bytes, step) != 0) {
                                fail(traffic, "other bytes", (int64_t)offset);
                                receiver->is_over = true;
                                return;
                        }
                }
                bytes += step;
                size -= step;
                receiver->got += step;
                if (receiver->got >= sizeof *head && receiver->got == sizeof *head + head->size) {
                        traffic->done++;
                        receiver->got = 0;
                }
        }
}

static void pull(struct receiver *receiver)
{
        struct traffic *traffic = receiver->traffic;
        unsigned char buffer[BUFFER];

        while (!receiver->is_over) {
                size_t most = (size_t)(mix(traffic->done + receiver->got) % BUFFER) + 1;
                ssize_t got = ring_duplex_read(traffic->duplex, buffer, most);

                if (got == -EAGAIN)
                        return;
                if (got <= 0) {
                        if (got < 0)
                                fail(traffic, "read", got);
                        else if (traffic->done != traffic->count || receiver->got > 0)
                                fail(traffic, "the end came early", 0);
                        receiver->is_over = true;
                        return;
                }
                check(receiver, buffer, (size_t)got);
        }
}

/* As src/loop/spin.c does. */
static bool look_before_sleeping(struct traffic *traffic, bool wants_read, bool wants_write)
{
        struct ring_duplex *duplex = traffic->duplex;
        int64_t deadline = sys_now() + traffic->patience_ns;

        while (!ring_duplex_is_ready(duplex, wants_read, wants_write)) {
                enum ring_peer peer = ring_duplex_peer(duplex);

                if (peer == RING_PEER_ASLEEP || sys_now() >= deadline)
                        return false;
                if (peer == RING_PEER_HERE)
                        sys_yield();
        }
        return true;
}

static void rest(struct traffic *traffic, bool wants_read, bool wants_write)
{
        struct ring_duplex *duplex = traffic->duplex;
        struct pollfd poll_fd = { .fd = duplex->socket, .events = POLLIN };
        char bytes[64];

        if (traffic->patience_ns > 0 && look_before_sleeping(traffic, wants_read, wants_write))
                return;
        if ((wants_read && !ring_duplex_sleep_reading(duplex)) || (wants_write && !ring_duplex_sleep_writing(duplex)))
                return;
        traffic->sleeps++;
        if (duplex->owes_wake)
                poll_fd.events |= POLLOUT;
        while (poll(&poll_fd, 1, 20000) < 0 && errno == EINTR)
                ;
        if (poll_fd.revents == 0)
                fail(traffic, "was not woken", 0);
        ring_duplex_pay(duplex);
        /* The end of the socket is the end of the other side, after which only what it has written is there. */
        if (poll_fd.revents & POLLIN && recv(duplex->socket, bytes, sizeof bytes, MSG_DONTWAIT) == 0 &&
            !ring_duplex_is_ready(duplex, wants_read, false))
                fail(traffic, "the other side has gone", 0);
}

static void run(struct traffic *out, struct traffic *in)
{
        struct sender sender = { .traffic = out, .is_over = !out };
        struct receiver receiver = { .traffic = in, .is_over = !in };

        for (;;) {
                push(&sender);
                pull(&receiver);
                if ((out && out->failure[0]) || (in && in->failure[0]) || (sender.is_over && receiver.is_over))
                        return;
                rest(in ? in : out, !receiver.is_over, !sender.is_over);
        }
}

void traffic_send(struct traffic *traffic)
{
        run(traffic, NULL);
}

void traffic_receive(struct traffic *traffic)
{
        run(NULL, traffic);
}

void traffic_exchange(struct traffic *out, struct traffic *in)
{
        run(out, in);
}

void traffic_open(struct ring_duplex duplexes[2], uint32_t size)
{
        struct ring_memory memories[2];
        struct error error = { 0 };
        int fds[2], fd;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 || ring_memory_make(&memories[0], size, &fd, &error) < 0 ||
            ring_memory_take(&memories[1], fd, &error) < 0)
                abort();
        close(fd);
        ring_duplex_init(&duplexes[0], &memories[0], true, fds[0]);
        ring_duplex_init(&duplexes[1], &memories[1], false, fds[1]);
}

void traffic_open_together(struct ring_duplex duplexes[2], uint32_t size)
{
        traffic_open(duplexes, size);
        ring_memory_drop(&duplexes[1].memory);
        ring_duplex_init(&duplexes[1], &duplexes[0].memory, false, duplexes[1].socket);
        duplexes[1].memory.pair = NULL;
}

void traffic_close(struct ring_duplex *duplex)
{
        close(duplex->socket);
        ring_duplex_deinit(duplex);
}

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

void traffic_scribble(struct ring_duplex *duplex, uint64_t seed)
{
        struct ring_pair *pair = duplex->memory.pair;
        unsigned char *all = (unsigned char *)pair;
        size_t size = RING_HEADER + 2 * (size_t)duplex->memory.size;
        uint64_t state = seed * 2654435761u + 1;

        for (;;) {
                uint64_t random = next_random(&state);
                struct ring_shared *shared = &pair->rings[random >> 8 & 1];
                uint32_t value = (uint32_t)(random >> 32);

                switch (random & 15) {
                case 0:
                        all[(random >> 16) % size] = (unsigned char)random;
                        break;
                case 1:
                        atomic_store_explicit(&shared->tail, value, memory_order_relaxed);
                        break;
                case 2:
                        atomic_store_explicit(&shared->head, value, memory_order_relaxed);
                        break;
                case 3:
                        atomic_store_explicit(&shared->is_reader_asleep, value & 1, memory_order_relaxed);
                        break;
                case 4:
                        atomic_store_explicit(&shared->is_writer_asleep, value & 1, memory_order_relaxed);
                        break;
                case 5:
                        atomic_store_explicit(&pair->processors[value & 1].number, value & 3, memory_order_relaxed);
                        break;
                case 6:
                        memset(all + (random >> 16) % (size - 64), (int)random, 64);
                        break;
                case 7:
                        send(duplex->socket, &random, (random & 7) + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
                        break;
                case 8:
                        if ((value & 1023) == 0)
                                atomic_store_explicit(&shared->is_closed, value, memory_order_relaxed);
                        break;
                default:
                        atomic_fetch_add_explicit(random & 256 ? &shared->tail : &shared->head, value & 255, memory_order_relaxed);
                        break;
                }
        }
}
