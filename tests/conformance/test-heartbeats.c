/* Heartbeats, by a clock that stands still: where both sides want them a silent peer is asked, and given up; where one does
 * not, nothing ever wakes up. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <string.h>

enum { OURS_MS = 1000, THEIRS_MS = 2500, SAFETY_MS = 20000 };

/* A hello that wants heartbeats, or not. */
static void send_hello(struct raw *raw, int heartbeat_ms)
{
        unsigned char payload[64] = { 1, RAW_HELLO, 1 };
        size_t size = 16;

        payload[size++] = heartbeat_ms ? 0x81 : 0x80;
        if (heartbeat_ms) {
                memcpy(payload + size, "\xac" "heartbeat_ms" "\xcd", 14);
                size += 14;
                payload[size++] = (unsigned char)(heartbeat_ms >> 8);
                payload[size++] = (unsigned char)heartbeat_ms;
        }
        raw_frame(raw, payload, size);
}

static void open_with(struct raw *raw, int ours_ms, int theirs_ms)
{
        /* From the hello on: that is when the time begins. */
        door_reset();
        door_stop_clock(0);
        raw_open(raw, RAW_SOCKET, &(ferry_session_options){ .heartbeat_ms = ours_ms });
        send_hello(raw, theirs_ms);
        raw_expect(raw, RAW_HELLO, 0);
        memset(door_counts.calls, 0, sizeof door_counts.calls);
}

/* Whole steps of the clock until the session ends; the limit if it does not. */
static int64_t lifetime_ms(struct raw *raw, int limit_ms)
{
        int64_t begin = sys_now();

        while (ferry_session_status(raw->session) == 1 && sys_now() - begin < (int64_t)limit_ms * 1000000)
                ferry_loop_tick(raw->loop, limit_ms);
        return (sys_now() - begin) / 1000000;
}

START_TEST(a_silent_peer_is_given_up)
{
        struct raw raw;
        int64_t lifetime;

        open_with(&raw, OURS_MS, THEIRS_MS);
        lifetime = lifetime_ms(&raw, SAFETY_MS);
        ck_assert_int_eq(ferry_session_status(raw.session), -ETIMEDOUT);
        ck_assert_msg(strstr(ferry_session_error(raw.session), "silent for 5 s"), "%s", ferry_session_error(raw.session));
        /* The longer of both times, twice. */
        ck_assert_int_ge(lifetime, 2 * THEIRS_MS - 2);
        ck_assert_int_le(lifetime, 2 * THEIRS_MS + 2);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 5);
        door_reset();
        raw_expect(&raw, RAW_PING, 1);
        raw_close(&raw);
}
END_TEST

START_TEST(a_peer_that_answers_is_kept)
{
        struct raw raw;

        open_with(&raw, OURS_MS, OURS_MS);
        for (int i = 1; i <= 5; i++) {
                ferry_loop_run(raw.loop, OURS_MS + 1);
                raw_expect(&raw, RAW_PING, i);
                raw_send(&raw, RAW_PONG, i, "", NULL);
                ferry_loop_run(raw.loop, OURS_MS + 1);
        }
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        door_reset();
        raw_close(&raw);
}
END_TEST

/* A peer that talks is not asked. */
START_TEST(a_peer_that_talks_is_not_asked)
{
        struct raw raw;

        open_with(&raw, OURS_MS, OURS_MS);
        for (int i = 0; i < 10; i++) {
                raw_send(&raw, RAW_NOTIFICATION, 0, "t", "x");
                ferry_loop_run(raw.loop, OURS_MS - 1);
        }
        ck_assert(raw_is_silent(&raw));
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        door_reset();
        raw_close(&raw);
}
END_TEST

/* Where one side does not want them, a day passes in one wait. */
START_TEST(a_side_without_heartbeats_sleeps)
{
        static const int wishes[][2] = { { 0, 0 }, { OURS_MS, 0 }, { 0, THEIRS_MS }, { -1, THEIRS_MS } };
        struct raw raw;

        open_with(&raw, wishes[_i][0], wishes[_i][1]);
        ck_assert_int_eq(ferry_loop_run(raw.loop, 86400000), 0);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 2);
        ck_assert(raw_is_silent(&raw));
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        door_reset();
        raw_close(&raw);
}
END_TEST

/* A peer that has sent more than is taken at once is not read, so it cannot be heard; it is not given up for that. */
static int keep(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_message **kept = userdata;

        (void)session;
        ferry_message_unref(*kept);
        *kept = ferry_message_ref(message);
        return 1;
}

START_TEST(a_peer_that_is_not_read_is_kept)
{
        struct raw raw;
        ferry_message *kept = NULL;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .heartbeat_ms = OURS_MS, .queue_max = 1 });
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, keep, &kept);
        send_hello(&raw, OURS_MS);
        raw_send(&raw, RAW_REQUEST, 1, "t", "x");
        raw_expect(&raw, RAW_HELLO, 0);
        door_stop_clock(0);
        ferry_loop_run(raw.loop, 20 * OURS_MS);
        ck_assert_ptr_nonnull(kept);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        ferry_message_unref(kept);
        door_reset();
        raw_close(&raw);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_silent_peer_is_given_up),
        SUITE_TEST(a_peer_that_answers_is_kept),
        SUITE_TEST(a_peer_that_talks_is_not_asked),
        SUITE_LOOP(a_side_without_heartbeats_sleeps, 4),
        SUITE_TEST(a_peer_that_is_not_read_is_kept),
};

SUITE_MAIN("conformance-heartbeats", tests)
