/* What a message costs while a conversation runs, in calls at the door: one write and one read, and no memory. What is idle
 * costs little memory and no calls at all. */
#include "conformance/pair.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { SAFETY_MS = 20000, WARM_UP = 300, MESSAGES = 100 };

/* The streams of which both ends are in this process, and are seen at the door. */
static const int streams[] = { STREAM_SOCKET, STREAM_PIPES, STREAM_UNIX };

enum { STEADY = COUNT(streams) * DIALECTS, STEADY_UNIX = STEADY - DIALECTS };

static void open_steady(struct pair *pair, int i)
{
        pair_open(pair, streams[i / DIALECTS] * DIALECTS + i % DIALECTS, NULL, NULL);
}

static void ask(struct pair *pair, int count)
{
        for (int i = 0; i < count; i++) {
                ferry_call *call = ferry_session_request(pair->us, SAFETY_MS, "App\\Echo", "{number: %d, text: %s}", i,
                                                         "sixty-four bytes or so, as in the benchmark of this library");
                const ferry_message *reply = ferry_call_await(call);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
                ck_assert_int_eq(ferry_value_int(ferry_message_get(reply, "number"), -1), i);
                ferry_call_free(call);
        }
}

static void tell(struct pair *pair, int count)
{
        for (int i = 0; i < count; i++)
                ck_assert_int_eq(ferry_session_notify(pair->us, "App\\Load", "{number: %d, text: %s}", i, "some text"),
                                 0);
        while (ferry_loop_tick(pair->loop, 0) == 1)
                ;
}

/* A service watches its socket file from a quarter of a second on; until then it has a timer. */
static void settle(struct pair *pair)
{
        door_stop_clock(0);
        ck_assert_int_eq(ferry_loop_run(pair->loop, 1000), 0);
        door_reset();
}

/* How often each call may be made for a message, by both sides together; what is not named, not at all. */
struct price {
        double allocations, now, reads, writes, waits;
};

static void check_price(const struct price *price, int i)
{
        double most[DOOR_CALLS] = { 0 };
        bool is_pipes = streams[i / DIALECTS] == STREAM_PIPES;
        unsigned reads = door_counts.calls[DOOR_recv] + door_counts.calls[DOOR_read] + door_counts.calls[DOOR_receive_message];
        unsigned writes = door_counts.calls[DOOR_send] + door_counts.calls[DOOR_write] +
                          door_counts.calls[DOOR_write_quietly];

        most[DOOR_alloc] = most[DOOR_alloc_zeroed] = most[DOOR_realloc] = price->allocations;
        most[DOOR_free] = price->allocations;
        most[DOOR_now] = price->now;
        most[DOOR_recv] = most[DOOR_read] = most[DOOR_receive_message] = price->reads;
        most[DOOR_send] = most[DOOR_write] = most[DOOR_write_quietly] = price->writes;
        most[DOOR_epoll_wait] = price->waits;
        /* On pipes SIGPIPE is kept away from the program: before Linux 6.18 by blocking it. */
        most[DOOR_is_signal_ignored] = most[DOOR_block_signal] = most[DOOR_restore_signals] = is_pipes ? price->writes : 0;
        /* In ids of stream-ipc. */
        most[DOOR_pid] = i % DIALECTS == 0 ? 0 : 1;
        /* A few times in a hundred something grows, or a queue is full. */
        for (int k = 0; k < DOOR_CALLS; k++)
                ck_assert_msg(door_counts.calls[k] <= (most[k] + 0.05) * MESSAGES, "%s: %u for %d messages",
                              door_name((enum door_call)k), door_counts.calls[k], MESSAGES);
        ck_assert_uint_le(door_counts.allocations, (unsigned)((price->allocations + 0.05) * MESSAGES));
        ck_assert_uint_le(reads, (unsigned)((price->reads + 0.05) * MESSAGES));
        ck_assert_uint_le(writes, (unsigned)((price->writes + 0.05) * MESSAGES));
}

/* No memory: what ended calls, messages and trees leave is used again. The clock: for the deadline, and before each wait while
 * there is one. */
START_TEST(a_request_and_its_reply)
{
        struct pair pair;

        open_steady(&pair, _i);
        ask(&pair, WARM_UP);
        door_reset();
        ask(&pair, MESSAGES);
        check_price(&(struct price){ .now = 3, .reads = 2, .writes = 2, .waits = 2 }, _i);
        pair_close(&pair);
}
END_TEST

/* Sides that are awake look at the clock and at their processor, for which the kernel is not called. With a clock that stands the
 * loop looks at its descriptors once at most, for the time before; else it does so every 50 us. */
START_TEST(a_request_and_its_reply_in_shared_memory)
{
        struct pair pair;

        pair_open(&pair, STREAM_SHM * DIALECTS, NULL, NULL);
        ask(&pair, WARM_UP);
        door_reset();
        door_stop_clock(0);
        ask(&pair, MESSAGES);
        for (int k = 0; k < DOOR_CALLS; k++)
                if (k != DOOR_now && k != DOOR_processor)
                        ck_assert_msg(door_counts.calls[k] <= (k == DOOR_epoll_wait), "%s: %u for %d messages", door_name((enum door_call)k),
                                      door_counts.calls[k], MESSAGES);
        door_reset();
        pair_close(&pair);
}
END_TEST

/* Many are read at once. */
START_TEST(notifications_in_a_row)
{
        struct pair pair;

        open_steady(&pair, _i);
        ask(&pair, 1);
        tell(&pair, WARM_UP);
        door_reset();
        tell(&pair, MESSAGES);
        check_price(&(struct price){ .writes = 1 }, _i);
        pair_close(&pair);
}
END_TEST

START_TEST(a_notification_by_itself)
{
        struct pair pair;

        open_steady(&pair, _i);
        ask(&pair, 1);
        tell(&pair, WARM_UP);
        settle(&pair);
        for (int i = 0; i < MESSAGES; i++)
                tell(&pair, 1);
        check_price(&(struct price){ .reads = 1, .writes = 1, .waits = 2 }, _i);
        pair_close(&pair);
}
END_TEST

static int look_away(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message, (void)userdata;
        return 1;
}

/* A body that is not looked at is never built. */
START_TEST(notifications_whose_body_is_not_used_are_cheap)
{
        struct pair pair;

        open_steady(&pair, STEADY_UNIX + _i);
        ask(&pair, 1);
        /* The handlers of a client come before those of its service. */
        ferry_session_on(ferry_service_client(pair.service, NULL), FERRY_KIND_NOTIFICATION, look_away, NULL);
        tell(&pair, WARM_UP);
        door_reset();
        tell(&pair, MESSAGES);
        check_price(&(struct price){ .writes = 1 }, STEADY_UNIX + _i);
        pair_close(&pair);
}
END_TEST

/* Before Linux 6.18 ------------------------------------------------------------------------------------ */

static int refuse_quiet_writes(enum door_call call, bool is_child)
{
        return !is_child && call == DOOR_write_quietly ? -EOPNOTSUPP : 0;
}

/* Each write asks whether SIGPIPE is ignored, since the program may change that. */
START_TEST(sigpipe_is_blocked_only_where_it_is_not_ignored)
{
        struct pair pair;
        void (*before)(int) = signal(SIGPIPE, SIG_DFL);

        door_reset();
        door_judge = refuse_quiet_writes;
        pair_open(&pair, STREAM_PIPES * DIALECTS, NULL, NULL);
        ask(&pair, 1);
        for (int is_ignored = 0; is_ignored < 2; is_ignored++) {
                signal(SIGPIPE, is_ignored ? SIG_IGN : SIG_DFL);
                for (int k = 0; k < DOOR_CALLS; k++)
                        door_counts.calls[k] = 0;
                tell(&pair, MESSAGES);
                ck_assert_uint_eq(door_counts.calls[DOOR_write], MESSAGES);
                ck_assert_uint_eq(door_counts.calls[DOOR_write_quietly], 0);
                ck_assert_uint_eq(door_counts.calls[DOOR_is_signal_ignored], MESSAGES);
                ck_assert_uint_eq(door_counts.calls[DOOR_block_signal], is_ignored ? 0 : MESSAGES);
                ck_assert_uint_eq(door_counts.calls[DOOR_restore_signals], is_ignored ? 0 : MESSAGES);
        }
        signal(SIGPIPE, before);
        door_reset();
        pair_close(&pair);
}
END_TEST

/* Large bodies ----------------------------------------------------------------------------------------- */

START_TEST(large_bodies)
{
        static const size_t sizes[] = { 1 << 20, (16 << 20) - 1024 };
        size_t size = sizes[_i / 3 % 2], before, moves;
        char *text = make_text(size);
        struct pair pair;

        open_steady(&pair, _i / 6 * DIALECTS + _i % 3);
        ask(&pair, 1);
        door_reset();
        before = door_counts.bytes;
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{text: %.*s}", (int)size, text), 0);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        while (pair.behaviour.notifications == 0)
                ferry_loop_tick(pair.loop, SAFETY_MS);
        ck_assert_int_eq(pair.behaviour.last_size, (int64_t)size);
        moves = door_counts.calls[DOOR_recv] + door_counts.calls[DOOR_read] + door_counts.calls[DOOR_send] +
                door_counts.calls[DOOR_write] + door_counts.calls[DOOR_write_quietly];
        /* A pipe holds 64 KiB; what holds the bytes doubles when it grows, from 256 bytes here and 64 KiB there. */
        ck_assert_uint_le(moves, 2 * size / (64 << 10) + 40);
        ck_assert_uint_le(door_counts.calls[DOOR_realloc], 20);
        ck_assert_uint_le(door_counts.allocations, 25);
        /* What the stream does not take is copied at the sender's; read into its place at the reader's, where the tree points into
         * it. */
        ck_assert_uint_le(door_counts.bytes_peak - before, 2 * size + (128 << 10));
        ck_assert_uint_le(door_counts.bytes, before + (64 << 10));
        free(text);
        pair_close(&pair);
}
END_TEST

/* It is held until it is written; a string in JSON may have escapes, which are none here. */
START_TEST(a_large_value_is_not_copied)
{
        size_t size = 1 << 20, before;
        char *text = calloc(1, size + 1);
        ferry_value *value;
        struct pair pair;

        memset(text, 'x', size);
        value = ferry_value_pack("{number: 1, text: %s, more: [true]}", text);
        open_steady(&pair, _i);
        ask(&pair, 1);
        before = door_counts.bytes;
        for (int i = 0; i < 5; i++)
                ck_assert_int_eq(ferry_session_notify_value(pair.us, "App\\Load", value), 0);
        ck_assert_uint_le(door_counts.bytes, before + (16 << 10));
        ferry_value_unref(value);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        while (pair.behaviour.notifications < 5)
                ferry_loop_tick(pair.loop, SAFETY_MS);
        ck_assert_int_eq(pair.behaviour.last_size, (int64_t)size);
        ck_assert_uint_eq(pair.behaviour.last_sum, sum_text(text, size));
        ck_assert_uint_lt(door_counts.bytes, before);
        free(text);
        pair_close(&pair);
}
END_TEST

/* Idle ------------------------------------------------------------------------------------------------- */

enum { IDLE = 1000, IDLE_HEAP_MAX = 4096 };

/* Each has talked before; with its peer there are twice as many sessions, in one loop. */
START_TEST(a_thousand_idle_sessions)
{
        struct pair pair;
        struct rlimit limit;
        ferry_session **clients = calloc(IDLE, sizeof(ferry_session *));
        size_t before, count = IDLE, each;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (limit.rlim_cur < 2 * IDLE + 100)
                count = (size_t)(limit.rlim_cur - 100) / 2;
        pair_open(&pair, STREAM_UNIX * DIALECTS + _i, NULL, NULL);
        ask(&pair, 1);
        door_reset();
        before = door_counts.bytes;
        for (size_t i = 0; i < count; i++) {
                ferry_session_options options = { .wait_ms = SAFETY_MS };
                ferry_call *call;

                set_dialect(&options, pair.dialect);
                clients[i] = ferry_session_open(pair.loop, pair.address, &options);
                call = ferry_session_request(clients[i], SAFETY_MS, "App\\Echo", "{number: %zu, text: %s}", i,
                                             "some text");
                ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
                ferry_call_free(call);
        }
        while (ferry_loop_tick(pair.loop, 0) == 1)
                ;
        each = (door_counts.bytes - before) / (2 * count);
        ck_assert_msg(each <= IDLE_HEAP_MAX, "%zu bytes of heap for each of %zu sessions", each, 2 * count);
        settle(&pair);
        /* An hour passes. */
        door_stop_clock(0);
        ck_assert_int_eq(ferry_loop_run(pair.loop, 3600000), 0);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 2);
        for (int k = 0; k < DOOR_CALLS; k++)
                ck_assert_msg(k == DOOR_epoll_wait || k == DOOR_now || door_counts.calls[k] == 0, "%u times %s",
                              door_counts.calls[k], door_name((enum door_call)k));
        door_reset();
        free(clients);
        pair_close(&pair);
}
END_TEST

/* A wait for an answer sleeps: nothing is asked again and again. */
START_TEST(a_session_that_waits)
{
        struct pair pair;
        ferry_call *call;

        open_steady(&pair, _i);
        ask(&pair, 1);
        call = ferry_session_request(pair.us, 600000, "App\\Keep", "{}");
        while (ferry_loop_tick(pair.loop, 0) == 1)
                ;
        ck_assert_int_eq(pair.behaviour.kept_count, 1);
        door_reset();
        door_stop_clock(0);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        /* One wait until the deadline; then the peer is told, where that can be, and reads it. */
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 2);
        ck_assert_uint_le(door_counts.calls[DOOR_send] + door_counts.calls[DOOR_write] + door_counts.calls[DOOR_write_quietly],
                          pair.is_ferry);
        ck_assert_uint_eq(door_counts.calls[DOOR_recv] + door_counts.calls[DOOR_read], 0);
        ck_assert_uint_le(door_counts.calls[DOOR_now], 6);
        ferry_call_free(call);
        door_reset();
        pair_close(&pair);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_request_and_its_reply, STEADY),
        SUITE_TEST(a_request_and_its_reply_in_shared_memory),
        SUITE_LOOP(notifications_in_a_row, STEADY),
        SUITE_LOOP(a_notification_by_itself, STEADY),
        SUITE_LOOP(notifications_whose_body_is_not_used_are_cheap, DIALECTS),
        SUITE_TEST(sigpipe_is_blocked_only_where_it_is_not_ignored),
        SUITE_LOOP(large_bodies, 18),
        SUITE_LOOP(a_large_value_is_not_copied, STEADY),
        SUITE_LOOP(a_thousand_idle_sessions, DIALECTS),
        SUITE_LOOP(a_session_that_waits, STEADY),
};

SUITE_MAIN("costs-steady", tests)
