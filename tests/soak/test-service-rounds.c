/* Whatever hundreds and thousands of clients do, one that speaks in whole frames is answered in the round of the loop in
 * which its frame is whole; and what each of them costs has its limit. Counted in rounds: no clock has a part in it. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum {
        BAD = 300,              /* more than the loop asks the kernel for at once */
        GOOD = 10,
        POUR = 10 << 10,        /* that is more frames than are handled in a round */
        QUEUE_MAX = 32 << 10,
        CLIENT_BYTES_MAX = 6 << 10, /* of which half a frame takes 1 KiB, and the tables of many clients some 100 bytes */
        KEPT_BYTES_MAX = 64 << 10,  /* for all: 64 blocks, which ended messages have left to the loop */
};

static void *zeroed(size_t count, size_t size)
{
        void *memory = calloc(count, size);

        ck_assert_ptr_nonnull(memory);
        return memory;
}

static ferry_service *open_bounded(struct place *place)
{
        static const ferry_session_options session = { .queue_max = QUEUE_MAX };

        return open_echo(place, &(ferry_service_options){ .session = &session });
}

static void connect_all(struct place *place, int *fds, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                fds[i] = connect_raw(place);
                if (i % 50 == 0)
                        settle(place);
        }
        settle(place);
}

static void close_all(const int *fds, size_t count)
{
        for (size_t i = 0; i < count; i++)
                close(fds[i]);
}

/* All have gone, and it is noticed; within a second of the clock, which stands still. */
static void await_end_of_all(struct place *place, const ferry_service *service)
{
        int64_t begin;

        door_stop_clock(0);
        begin = sys_now();
        while (ferry_service_client(service, NULL)) {
                tick(place);
                ck_assert_int_le(sys_now() - begin, 1000000000);
        }
}

/* All of them ask, and after one round all have their answers. */
static void require_answers_in_one_round(struct place *place, const int *fds, size_t count, int round)
{
        unsigned char frame[264];
        size_t size = make_request(frame, 1 + round % 200, "good");

        for (size_t i = 0; i < count; i++)
                send_raw(fds[i], frame, size);
        tick(place);
        for (size_t i = 0; i < count; i++)
                SUITE_CHECK(has_answer(fds[i], RAW_RESPONSE), "good client %zu is not answered in round %d", i, round);
}

/* Everything that can be done to a service within the rules of the socket. */
enum { STALL, SILENCE, NOTIFY, ASK, JUNK_AFTER, WAYS };

struct flood {
        unsigned char bytes[1 << 16];
        size_t size;
};

static void make_flood(struct flood *flood, int kind)
{
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "flood");

        frame[9] = (unsigned char)kind;
        while (flood->size + size <= sizeof flood->bytes) {
                memcpy(flood->bytes + flood->size, frame, size);
                flood->size += size;
        }
}

/* A frame that was cut is gone on with: the flood is a multiple of whole frames, and what was taken is known. */
struct bad {
        int fd;
        size_t at;
};

/* As much as the socket takes, up to that. */
static void pour(struct bad *bad, const struct flood *flood, size_t max)
{
        ssize_t put = 1;

        for (size_t sent = 0; put > 0 && sent < max; sent += put > 0 ? (size_t)put : 0) {
                size_t left = flood->size - bad->at < max - sent ? flood->size - bad->at : max - sent;

                put = send(bad->fd, flood->bytes + bad->at, left, MSG_NOSIGNAL | MSG_DONTWAIT);
                bad->at = (bad->at + (put > 0 ? (size_t)put : 0)) % flood->size;
        }
}

static int take(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 1;
}

START_TEST(a_complete_request_is_served_in_that_round)
{
        struct place place;
        struct bad bad[BAD];
        struct flood *notify = zeroed(1, sizeof *notify), *ask = zeroed(1, sizeof *ask);
        int good[2 * GOOD], fds[BAD], taken = 0, rounds = (int)suite_scale(30);
        ferry_service *service;

        ck_assert_uint_eq(allow_descriptors(2 * BAD + 100), 2 * BAD + 100);
        make_flood(notify, 2);
        make_flood(ask, 3);
        open_place(&place);
        service = open_bounded(&place);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, take, &taken);
        /* Some of the good come first, some last. */
        connect_all(&place, good, GOOD);
        connect_all(&place, fds, BAD);
        connect_all(&place, good + GOOD, GOOD);
        for (size_t i = 0; i < BAD; i++)
                bad[i] = (struct bad){ .fd = fds[i] };
        for (int round = 0; round < rounds; round++) {
                for (size_t i = 0; i < BAD; i++) {
                        int way = _i == WAYS ? (int)i % WAYS : _i;

                        if (way == NOTIFY)
                                pour(&bad[i], notify, POUR);
                        else if (way == ASK)
                                pour(&bad[i], ask, POUR);
                        else if (way == STALL && round == 0)
                                send_raw(bad[i].fd, notify->bytes, 9 + i % 10);
                        else if (way == JUNK_AFTER && round == (int)i % rounds)
                                send_raw(bad[i].fd, "GET / HTTP/1.1\r\n\r\n", 18);
                }
                require_answers_in_one_round(&place, good, COUNT(good), round);
        }
        if (_i == NOTIFY)
                ck_assert_int_gt(taken, BAD * rounds);
        close_all(fds, BAD);
        close_all(good, COUNT(good));
        await_end_of_all(&place, service);
        close_place(&place);
        free(notify);
        free(ask);
}
END_TEST

/* Clients that ask and never read their answers are not read any more once too much waits for them. */
START_TEST(a_client_that_reads_no_answers_costs_no_more)
{
        enum { NUMBER = 50, FRAMES = 64, EACH_MAX = 2 * QUEUE_MAX + (3 << 16) };
        struct place place;
        struct bad bad[NUMBER];
        struct flood *ask = zeroed(1, sizeof *ask);
        int fds[NUMBER];
        size_t before;
        ferry_service *service;

        make_flood(ask, 3);
        open_place(&place);
        service = open_bounded(&place);
        before = door_counts.bytes;
        connect_all(&place, fds, NUMBER);
        for (size_t i = 0; i < NUMBER; i++)
                bad[i] = (struct bad){ .fd = fds[i] };
        for (size_t round = 0; round < 100 + suite_scale(300); round++) {
                for (size_t i = 0; i < NUMBER; i++)
                        pour(&bad[i], ask, SIZE_MAX);
                ck_assert_int_ge(ferry_loop_tick(place.loop, 0), 0);
        }
        ck_assert_msg(door_counts.bytes_peak - before <= NUMBER * EACH_MAX, "%zu bytes each",
                      (door_counts.bytes_peak - before) / NUMBER);
        /* They are all quiet now: no side does anything. */
        settle(&place);
        ck_assert_int_eq(ferry_loop_tick(place.loop, 0), 0);
        close_all(fds, NUMBER);
        await_end_of_all(&place, service);
        close_place(&place);
        free(ask);
}
END_TEST

/* A byte in each round from each of thousands; each of them is answered when its frame is whole, and not before. */
START_TEST(a_byte_at_a_time)
{
        size_t number = suite_scale(2000);
        struct place place;
        unsigned char frame[264];
        size_t size = make_request(frame, 7, "slow"), before, grown;
        int *slow = zeroed(number, sizeof *slow), good[GOOD];
        ferry_service *service;

        number = (allow_descriptors(2 * number + 200) - 200) / 2;
        open_place(&place);
        service = open_bounded(&place);
        connect_all(&place, good, GOOD);
        before = door_counts.bytes;
        connect_all(&place, slow, number);
        for (int round = 0; round < 2 * (int)size; round++) {
                size_t at = (size_t)round % size;

                for (size_t i = 0; i < number; i++)
                        send_raw(slow[i], frame + at, 1);
                require_answers_in_one_round(&place, good, GOOD, round);
                grown = door_counts.bytes - before;
                SUITE_CHECK(grown <= number * CLIENT_BYTES_MAX + KEPT_BYTES_MAX, "%zu bytes for each client", grown / number);
                for (size_t i = 0; i < number; i++)
                        SUITE_CHECK(has_answer(slow[i], RAW_RESPONSE) == (at == size - 1), "client %zu, round %d", i,
                                    round);
        }
        close_all(slow, number);
        close_all(good, GOOD);
        await_end_of_all(&place, service);
        close_place(&place);
        free(slow);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_complete_request_is_served_in_that_round, WAYS + 1),
        SUITE_TEST(a_client_that_reads_no_answers_costs_no_more),
        SUITE_TEST(a_byte_at_a_time),
};

SUITE_MAIN("service-rounds", tests)
