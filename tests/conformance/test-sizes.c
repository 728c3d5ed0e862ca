/* Messages of every size arrive whole, over every stream and in each dialect, also while both sides write at once;
 * queues are bounded and say so; what is over a limit is refused at the sender, or skipped by the receiver, and the
 * session lives. */
#include "conformance/pair.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
        SAFETY_MS = 30000,
        SOCKET_BUFFER = 219264, /* what a unix socket takes at once, by default */
        MIB = 1 << 20,
};

static void require_text(const ferry_message *message, const char *text, size_t size)
{
        size_t got;
        const char *bytes = text_of(message, &got);

        ck_assert_msg(bytes != NULL, "no text in a %s", ferry_message_type(message));
        ck_assert_uint_eq(got, size);
        ck_assert(memcmp(bytes, text, size) == 0);
}

START_TEST(every_size_arrives_whole)
{
        static const size_t sizes[] = { 0, 1, 15, 16, 4095, 4096, 16384, 65535, 65536, SOCKET_BUFFER - 1, SOCKET_BUFFER,
                                        SOCKET_BUFFER + 1, MIB };
        struct pair pair;

        pair_open(&pair, _i, NULL, NULL);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                char *text = make_text(sizes[i]);
                FERRY_AUTO(ferry_call) call = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{text: %.*s}",
                                                                    (int)sizes[i], text);
                const ferry_message *reply = ferry_call_await(call);

                ck_assert_msg(reply != NULL, "%zu bytes: %s", sizes[i], ferry_call_error(call));
                require_text(reply, text, sizes[i]);
                free(text);
        }
        pair_close(&pair);
}
END_TEST

struct arrived {
        int count;
        const char *text;
        size_t size;
};

static int check_load(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct arrived *arrived = userdata;

        (void)session;
        ck_assert_int_eq(ferry_value_int(ferry_message_get(message, "number"), -1), arrived->count++);
        require_text(message, arrived->text, arrived->size);
        return 0;
}

/* Much more than all buffers between them hold: a side that waits to write must read meanwhile. */
START_TEST(both_sides_write_at_once)
{
        enum { COUNT = 2 };
        struct pair pair;
        struct arrived arrived = { .text = make_text(MIB), .size = MIB };
        char *text = make_text(MIB);
        ferry_call *calls[COUNT];

        pair_open(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, check_load, &arrived);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Send", "{count: %d, size: %d}", COUNT, MIB), 0);
        for (int i = 0; i < COUNT; i++)
                calls[i] = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{text: %s}", text);
        for (int i = 0; i < COUNT; i++) {
                const ferry_message *reply = ferry_call_await(calls[i]);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(calls[i]));
                require_text(reply, text, MIB);
                ferry_call_free(calls[i]);
        }
        ck_assert_int_eq(arrived.count, COUNT);
        free(text);
        free((char *)(uintptr_t)arrived.text);
        pair_close(&pair);
}
END_TEST

/* What App\\Load number 0 has besides its text, which is about @size bytes long, in that dialect. */
static size_t measure_rest(const char *dialect, size_t size)
{
        ferry_session_options options = { 0 };
        ferry_loop *loop = ferry_loop_new(NULL);
        int file = memfd_create("frame", MFD_CLOEXEC);
        char address[32];
        char *text = make_text(size);
        ferry_session *session;
        char header[8];

        ck_assert_int_ge(file, 0);
        snprintf(address, sizeof address, "fd:,%d", dup(file));
        set_dialect(&options, dialect);
        session = ferry_session_open(loop, address, &options);
        ck_assert_int_eq(ferry_session_notify(session, "App\\Load", "{number: 0, text: %s}", text), 0);
        ck_assert_int_eq(ferry_session_flush(session, SAFETY_MS), 0);
        ferry_loop_free(loop);
        free(text);
        ck_assert_int_eq(pread(file, header, sizeof header, 0), sizeof header);
        /* In ferry the hello stands in front. */
        off_t begin = 0;
        struct stat stat;
        uint32_t length;

        ck_assert_int_eq(fstat(file, &stat), 0);
        do {
                ck_assert_int_eq(pread(file, header, sizeof header, begin), sizeof header);
                length = (uint32_t)(unsigned char)header[4] << 24 | (uint32_t)(unsigned char)header[5] << 16 |
                         (uint32_t)(unsigned char)header[6] << 8 | (unsigned char)header[7];
                begin += 8 + (off_t)length;
        } while (length < size && begin < stat.st_size);
        close(file);
        ck_assert_uint_gt(length, size);
        return length - size;
}

/* A limit, and which stream and dialect. Messages of just that size go both ways at once. One byte more is refused
 * here, and the session lives. */
static void check_limit(int i, size_t limit)
{
        ferry_session_options options = { .frame_max = limit };
        struct arrived arrived = { 0 };
        struct pair pair;
        size_t rest;
        char *text;
        int code;

        pair_open(&pair, i, &options, &options);
        rest = measure_rest(pair.dialect, limit - 200);
        text = make_text(limit - rest + 1);
        code = ferry_session_notify(pair.us, "App\\Load", "{number: 0, text: %s}", text);
        ck_assert_int_eq(code, -EMSGSIZE);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), -EMSGSIZE);
        free(text);
        text = make_text(limit - rest);
        arrived = (struct arrived){ .text = text, .size = limit - rest };
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, check_load, &arrived);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Send", "{count: 1, size: %zu}", limit - rest), 0);
        code = ferry_session_notify(pair.us, "App\\Load", "{number: 0, text: %s}", text);
        if (code == -ENOBUFS) { /* beside what is queued already it is over the limit of the queue */
                ck_assert_int_ge(ferry_loop_tick(pair.loop, SAFETY_MS), 0);
                ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), -ENOBUFS);
                code = ferry_session_notify(pair.us, "App\\Load", "{number: 0, text: %s}", text);
        }
        ck_assert_int_eq(code, 0);
        while (arrived.count == 0)
                ck_assert_int_ge(ferry_loop_tick(pair.loop, SAFETY_MS), 0);
        ck_assert_int_eq(pair_report(&pair, "size"), (int64_t)(limit - rest));
        ck_assert_int_eq(pair_report(&pair, "sum"), (int64_t)sum_text(text, limit - rest));
        ck_assert_int_eq(pair_report(&pair, "notifications"), 1);
        ck_assert_int_eq(pair_report(&pair, "errors"), 0);
        free(text);
        pair_close(&pair);
}

START_TEST(the_limit_itself_arrives)
{
        check_limit(_i, 100000);
}
END_TEST

/* Over each stream; in one dialect, unless there is time for all. */
START_TEST(the_default_limit_itself_arrives)
{
        check_limit(_i * DIALECTS + _i % DIALECTS, 16 * MIB);
        if (suite_scale(10) == 10)
                for (int other = 1; other < DIALECTS; other++)
                        check_limit(_i * DIALECTS + (_i + other) % DIALECTS, 16 * MIB);
}
END_TEST

static int64_t counter(const ferry_session *session, const char *name)
{
        ferry_value *info = ferry_session_info(session);
        int64_t number = ferry_value_int(ferry_value_get(info, name), -1);

        ferry_value_unref(info);
        return number;
}

START_TEST(a_full_queue_says_so)
{
        ferry_session_options options = { .queue_max = 600000 };
        char *text = make_text(50000);
        struct pair pair;
        ferry_call *call;
        int taken = 0;

        pair_open(&pair, _i, &options, NULL);
        /* No round of the loop runs meanwhile, so this process makes no room; a child may. */
        while (ferry_session_notify(pair.us, "App\\Note", "{text: %s}", text) == 0)
                ck_assert_int_lt(++taken, 10000000);
        ck_assert_int_gt(taken, 5);
        ck_assert_int_le(counter(pair.us, "queued"), 600000);
        if (pair.stream != STREAM_EXEC) {
                ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Note", "{text: %s}", text), -ENOBUFS);
                call = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{text: %s}", text);
                ck_assert_int_eq(ferry_call_status(call), -ENOBUFS);
                ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
                ferry_call_free(call);
        }
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), -ENOBUFS);
        ck_assert_int_eq(counter(pair.us, "queued"), 0);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Note", "{text: %s}", text), 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), taken + 1);
        free(text);
        pair_close(&pair);
}
END_TEST

START_TEST(an_empty_queue_takes_any_one_frame)
{
        ferry_session_options options = { .queue_max = 1 };
        char *text = make_text(MIB);
        struct pair pair;
        ferry_call *call;

        pair_open(&pair, _i, &options, &options);
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{text: %s}", text);
        require_text(ferry_call_await(call), text, MIB);
        ferry_call_free(call);
        free(text);
        pair_close(&pair);
}
END_TEST

/* Their limit is lower than ours. In ferry they say so in their hello, and then it is known here. */
START_TEST(over_the_limit_of_the_other_side)
{
        /* Moving would have told the limit before. */
        ferry_session_options theirs = { .frame_max = 5000, .shm = FERRY_SHM_NEVER };
        char *text = make_text(6000);
        struct pair pair;
        ferry_call *call;

        pair_open(&pair, _i, NULL, &theirs);
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{text: %s}", text);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        ck_assert_int_eq(ferry_call_outcome(call), pair.is_ferry ? FERRY_OUTCOME_NOT_EXECUTED : FERRY_OUTCOME_REPLIED);
        ck_assert_msg(strstr(ferry_call_error(call), "5000"), "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(pair_report(&pair, "errors"), 1);

        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{text: %s}", text);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), pair.is_ferry ? -EMSGSIZE : -EREMOTEIO);
        ferry_call_free(call);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Note", "{text: %s}", text), pair.is_ferry ? -EMSGSIZE : 0);
        ck_assert_int_eq(pair_report(&pair, "errors"), pair.is_ferry ? 1 : 3);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 0);
        ck_assert_int_eq(ferry_session_status(pair.us), 1);
        free(text);
        pair_close(&pair);
}
END_TEST

/* A notification that they skip is an error event there; in ferry its sender hears of it, too. */
START_TEST(a_skipped_notification_is_reported)
{
        /* Moving would have told the limit before. */
        ferry_session_options theirs = { .frame_max = 5000, .shm = FERRY_SHM_NEVER };
        char *text = make_text(MIB);
        struct pair pair;
        const ferry_message *refusal;

        pair_open(&pair, _i, NULL, &theirs);
        ferry_session_on(pair.us, FERRY_KIND_ERROR, NULL, NULL);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Note", "{text: %s}", text), 0);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Note", "{text: 'small'}"), 0);
        ck_assert_int_eq(pair_report(&pair, "errors"), 1);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 1);
        ck_assert_int_eq(pair_report(&pair, "size"), 5);
        refusal = ferry_session_next(pair.us, 0);
        ck_assert_int_eq(refusal != NULL, pair.is_ferry);
        if (refusal) {
                ck_assert_int_eq(ferry_message_kind(refusal), FERRY_KIND_ERROR);
                ck_assert_str_eq(ferry_message_id(refusal), "");
                ck_assert_msg(strstr(ferry_message_text(refusal), "5000"), "%s", ferry_message_text(refusal));
        }
        free(text);
        pair_close(&pair);
}
END_TEST

/* An answer that is too large for us ends its call, not the session. In ferry they know our limit, and fail. */
START_TEST(an_answer_over_our_limit)
{
        ferry_session_options ours = { .frame_max = 5000 };
        struct pair pair;
        ferry_call *call;

        pair_open(&pair, _i, &ours, NULL);
        ferry_session_on(pair.us, FERRY_KIND_ERROR, NULL, NULL);
        pair_report(&pair, "errors");
        /* In php and json the answer has a little more around it than the question. */
        for (size_t size = 4700; size < 5000; size++) {
                char *text = make_text(size);

                call = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{text: %s}", text);
                free(text);
                if (!ferry_call_await(call))
                        break;
                ferry_call_free(call);
        }
        ck_assert_int_eq(ferry_call_status(call), -EMSGSIZE);
        ck_assert_int_eq(ferry_call_outcome(call), pair.is_ferry ? FERRY_OUTCOME_NOT_EXECUTED : FERRY_OUTCOME_REPLIED);
        ferry_call_free(call);
        ck_assert_int_eq(pair_report(&pair, "errors"), 0);
        pair_close(&pair);
}
END_TEST

/* Taking back and closing ------------------------------------------------------------------------------ */

/* A session whose other end is not read yet. */
static void open_unread(ferry_loop *loop, const char *dialect, ferry_session **ret_us, int *ret_there)
{
        ferry_session_options options = { 0 };
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        set_dialect(&options, dialect);
        options.fds = (const int[]){ fds[0], fds[0], -1 };
        *ret_us = ferry_session_open(loop, NULL, &options);
        *ret_there = fds[1];
}

static ferry_session *open_there(ferry_loop *loop, const char *dialect, int there, struct behaviour *behaviour)
{
        ferry_session_options options = { 0 };
        ferry_session *them;

        set_dialect(&options, dialect);
        options.fds = (const int[]){ there, there, -1 };
        them = ferry_session_open(loop, NULL, &options);
        behave(them, NULL, behaviour);
        return them;
}

static const char *const dialects[DIALECTS] = { "ferry", "php", "json" };

enum { TAKEN_BACK_BY_FREE, TAKEN_BACK_BY_TIME, TAKEN_BACK_BY_CLOSE, WAYS };

/* Requests that wait in the queue behind a large one are taken back when they end: a call that ends as "not executed" was not
 * sent, and is not sent later. The large one is on its way, and goes on. */
START_TEST(what_was_not_sent_is_taken_back)
{
        const char *dialect = dialects[_i % DIALECTS];
        ferry_loop *loop = ferry_loop_new(NULL);
        struct behaviour behaviour = { 0 };
        ferry_session *us, *them;
        ferry_call *large, *small, *other;
        char *text = make_text(MIB);
        int there, way = _i / DIALECTS;

        open_unread(loop, dialect, &us, &there);
        large = ferry_session_request(us, SAFETY_MS, "App\\Keep", "{text: %s}", text);
        small = ferry_session_request(us, way == TAKEN_BACK_BY_TIME ? 0 : SAFETY_MS, "App\\Keep", "{number: 1}");
        other = ferry_session_request(us, SAFETY_MS, "App\\Keep", "{number: 2}");
        ck_assert_int_eq(ferry_call_status(small), 1);
        if (way == TAKEN_BACK_BY_TIME) {
                ck_assert_ptr_null(ferry_call_await(small));
                ck_assert_int_eq(ferry_call_status(small), -ETIMEDOUT);
                ck_assert_int_eq(ferry_call_outcome(small), FERRY_OUTCOME_NOT_EXECUTED);
        } else if (way == TAKEN_BACK_BY_CLOSE) {
                ferry_session_close(us);
                ck_assert_int_eq(ferry_call_status(small), -ECANCELED);
                ck_assert_int_eq(ferry_call_outcome(small), FERRY_OUTCOME_NOT_EXECUTED);
                ck_assert_int_eq(ferry_call_outcome(other), FERRY_OUTCOME_NOT_EXECUTED);
                ck_assert_int_eq(ferry_call_outcome(large), FERRY_OUTCOME_UNKNOWN);
        }
        if (way != TAKEN_BACK_BY_CLOSE)
                small = ferry_call_free(small);
        them = open_there(loop, dialect, there, &behaviour);
        if (way == TAKEN_BACK_BY_CLOSE)
                while (ferry_session_status(them) == 1)
                        ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        else
                while (behaviour.kept_count < 2)
                        ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_msg(behaviour.kept_count == (way == TAKEN_BACK_BY_CLOSE ? 1 : 2), "%d are kept: %s",
                      behaviour.kept_count, ferry_session_error(them));
        require_text(behaviour.kept[0], text, MIB);
        if (way != TAKEN_BACK_BY_CLOSE)
                ck_assert_int_eq(ferry_value_int(ferry_message_get(behaviour.kept[1], "number"), -1), 2);
        ferry_call_free(large);
        ferry_call_free(small);
        ferry_call_free(other);
        behaviour_deinit(&behaviour);
        free(text);
        ferry_loop_free(loop);
}
END_TEST

/* Closing sends what is queued, also a large answer. */
START_TEST(closing_sends_what_is_queued)
{
        enum { COUNT = 3 };
        char *text = make_text(MIB);
        struct pair pair;
        struct arrived arrived = { .text = text, .size = MIB };

        pair_open(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, check_load, &arrived);
        ferry_session_notify(pair.us, "App\\Send", "{count: %d, size: %d}", COUNT, MIB);
        ferry_call_free(ferry_session_request(pair.us, SAFETY_MS, "App\\Close", "{}"));
        while (ferry_session_status(pair.us) == 1)
                ck_assert_int_ge(ferry_loop_tick(pair.loop, SAFETY_MS), 0);
        ck_assert_int_eq(arrived.count, COUNT);
        free(text);
        pair_close(&pair);
}
END_TEST

/* Closing has an end, too, where the peer does not read. */
START_TEST(closing_is_bounded)
{
        ferry_loop *loop = ferry_loop_new(&(ferry_loop_options){
                .session = &(ferry_session_options){ .close_timeout_ms = 10 } });
        char *text = make_text(MIB);
        ferry_session *us;
        int there;

        open_unread(loop, dialects[_i], &us, &there);
        ck_assert_int_eq(ferry_session_notify(us, "App\\Note", "{text: %s}", text), 0);
        ck_assert_int_eq(ferry_session_close(us), 0);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), -ETIMEDOUT);
        ck_assert_int_eq(ferry_session_status(us), -ETIMEDOUT);
        free(text);
        ferry_loop_free(loop);
        close(there);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(every_size_arrives_whole, PAIRS),
        SUITE_LOOP(both_sides_write_at_once, PAIRS),
        SUITE_LOOP(the_limit_itself_arrives, PAIRS),
        SUITE_LOOP_HEAVY(the_default_limit_itself_arrives, STREAMS),
        SUITE_LOOP(a_full_queue_says_so, PAIRS),
        SUITE_LOOP(an_empty_queue_takes_any_one_frame, PAIRS),
        SUITE_LOOP(over_the_limit_of_the_other_side, PAIRS),
        SUITE_LOOP(a_skipped_notification_is_reported, PAIRS),
        SUITE_LOOP(an_answer_over_our_limit, PAIRS),
        SUITE_LOOP(what_was_not_sent_is_taken_back, DIALECTS * WAYS),
        SUITE_LOOP(closing_sends_what_is_queued, PAIRS),
        SUITE_LOOP(closing_is_bounded, DIALECTS),
};

SUITE_MAIN("conformance-sizes", tests)
