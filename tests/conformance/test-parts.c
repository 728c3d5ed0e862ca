/* Replies that stream: parts come in order before the reply; a slow reader of one call holds back that call alone; a call that is
 * cancelled stops its sender; peers that break the rules are ended, and both sides know why. */
#include "conformance/pair.h"
#include "conformance/raw.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        SAFETY_MS = 20000,
        WINDOW = 256 << 10,
        RAW_PROGRESS = 0x80 | 42,
        RAW_CREDIT = 0x80 | 43,
};

struct seen {
        int parts, ends;
        size_t bytes;
        int status;
};

static void note_part(ferry_call *call, const ferry_message *part, void *userdata)
{
        struct seen *seen = userdata;
        size_t size;

        ck_assert_int_eq(ferry_call_status(call), 1);
        ck_assert_int_eq(ferry_message_kind(part), FERRY_KIND_PROGRESS);
        ck_assert_int_eq(ferry_value_int(ferry_message_get(part, "part"), -1), seen->parts);
        ck_assert_ptr_nonnull(ferry_value_bytes(ferry_message_get(part, "text"), &size));
        seen->parts++;
        seen->bytes += size;
}

static void note_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct seen *seen = userdata;

        (void)reply;
        seen->ends++;
        seen->status = ferry_call_status(call);
}

static ferry_call *stream(struct pair *pair, const char *type, int count, int size)
{
        return ferry_session_request(pair->us, SAFETY_MS, type, "{count: %d, size: %d}", count, size);
}

static int64_t info_of(const ferry_session *session, const char *key)
{
        FERRY_AUTO(ferry_value) info = ferry_session_info(session);

        return ferry_value_int(ferry_value_get(info, key), -1);
}

/* By streams; the dialect is ferry. */
#define OPEN(pair) pair_open(pair, _i * DIALECTS, NULL, NULL)

START_TEST(parts_come_in_order_before_the_reply)
{
        static const char *const types[] = { "App\\Stream", "App\\StreamFlush" };

        for (int i = 0; i < 2; i++) {
                struct seen seen = { 0 };
                const ferry_message *reply;
                ferry_call *call;
                struct pair pair;

                OPEN(&pair);
                call = stream(&pair, types[i], 200, 10000);
                ck_assert_int_eq(ferry_call_on_progress(call, note_part, &seen), 0);
                reply = ferry_call_await(call);
                ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
                ck_assert_int_eq(seen.parts, 200);
                ck_assert_uint_eq(seen.bytes, 200 * 10000);
                ck_assert_int_eq(ferry_value_int(ferry_message_get(reply, "parts"), -1), 200);
                ck_assert_int_eq(info_of(pair.us, "dropped"), 0);
                ferry_call_free(call);
                pair_close(&pair);
        }
}
END_TEST

START_TEST(next_lends_the_parts_and_then_says_that_the_reply_is_there)
{
        int count = 0;
        const ferry_message *part;
        ferry_call *call;
        struct pair pair;

        OPEN(&pair);
        call = stream(&pair, "App\\Stream", 100, 10000);
        while ((part = ferry_call_next(call, SAFETY_MS)))
                ck_assert_int_eq(ferry_value_int(ferry_message_get(part, "part"), -1), count++);
        ck_assert_int_eq(errno, ENODATA);
        ck_assert_int_eq(count, 100);
        ck_assert_int_eq(ferry_call_status(call), 0);
        ck_assert_ptr_nonnull(ferry_call_reply(call));
        ck_assert_ptr_eq(ferry_call_await(call), ferry_call_reply(call));
        ck_assert_ptr_null(ferry_call_next(call, SAFETY_MS));
        ck_assert_int_eq(errno, ENODATA);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

/* It holds the window and one part, whatever comes of others. */
START_TEST(a_slow_reader_of_one_call_holds_back_no_other)
{
        enum { COUNT = 64, SIZE = 50000 };
        struct seen seen = { 0 };
        const ferry_message *part;
        ferry_call *slow, *quick;
        struct pair pair;
        int count = 0;

        OPEN(&pair);
        slow = stream(&pair, "App\\Stream", COUNT, SIZE);
        part = ferry_call_next(slow, SAFETY_MS);
        ck_assert_ptr_nonnull(part);
        quick = stream(&pair, "App\\Stream", COUNT, SIZE);
        ferry_call_on_progress(quick, note_part, &seen);
        ck_assert_ptr_nonnull(ferry_call_await(quick));
        ck_assert_int_eq(seen.parts, COUNT);
        ck_assert_int_eq(pair_report(&pair, "parts"), COUNT + (WINDOW + SIZE - 1) / SIZE);
        for (; part; part = ferry_call_next(slow, SAFETY_MS))
                ck_assert_int_eq(ferry_value_int(ferry_message_get(part, "part"), -1), count++);
        ck_assert_int_eq(count, COUNT);
        ck_assert_int_eq(pair_report(&pair, "parts"), 2 * COUNT);
        ferry_call_free(slow);
        ferry_call_free(quick);
        pair_close(&pair);
}
END_TEST

START_TEST(a_part_may_be_larger_than_the_window)
{
        struct seen seen = { 0 };
        ferry_call *call;
        struct pair pair;

        OPEN(&pair);
        call = stream(&pair, "App\\Stream", 5, 3 * WINDOW);
        ferry_call_on_progress(call, note_part, &seen);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_uint_eq(seen.bytes, 15 * WINDOW);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

static void free_at_ten(ferry_call *call, const ferry_message *part, void *userdata)
{
        note_part(call, part, userdata);
        if (((struct seen *)userdata)->parts == 10)
                ferry_call_free(call);
}

START_TEST(a_call_that_is_freed_stops_its_sender)
{
        struct seen seen = { 0 };
        struct pair pair;

        OPEN(&pair);
        ferry_call_on_progress(stream(&pair, "App\\Stream", 1000000, 10000), free_at_ten, &seen);
        while (seen.parts < 10)
                ck_assert_int_eq(ferry_loop_tick(pair.loop, SAFETY_MS), 1);
        while (pair_report(&pair, "part_code") != -ECANCELED)
                ;
        ck_assert_int_eq(seen.parts, 10);
        ck_assert_int_lt(pair_report(&pair, "parts"), 200);
        ck_assert_int_eq(ferry_session_status(pair.us), 1);
        pair_close(&pair);
}
END_TEST

START_TEST(parts_without_a_reader_are_dropped_and_counted)
{
        struct seen seen = { 0 };
        ferry_call *call;
        struct pair pair;

        OPEN(&pair);
        call = stream(&pair, "App\\Stream", 100, 10000);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(info_of(pair.us, "dropped"), 100);
        ferry_call_free(call);
        ferry_call_then(stream(&pair, "App\\Stream", 100, 10000), note_end, &seen);
        while (seen.ends == 0)
                ck_assert_int_eq(ferry_loop_tick(pair.loop, SAFETY_MS), 1);
        ck_assert_int_eq(seen.status, 0);
        ck_assert_int_eq(info_of(pair.us, "dropped"), 200);
        pair_close(&pair);
}
END_TEST

START_TEST(a_function_may_be_given_before_or_behind_then)
{
        struct seen seen = { 0 };
        ferry_call *call;
        struct pair pair;

        OPEN(&pair);
        for (int i = 0; i < 2; i++) {
                seen = (struct seen){ 0 };
                call = stream(&pair, "App\\Stream", 30, 10000);
                if (i == 0)
                        ferry_call_then(call, note_end, &seen);
                ck_assert_int_eq(ferry_call_on_progress(call, note_part, &seen), 0);
                if (i == 1)
                        ferry_call_then(call, note_end, &seen);
                while (seen.ends == 0)
                        ck_assert_int_eq(ferry_loop_tick(pair.loop, SAFETY_MS), 1);
                ck_assert_int_eq(seen.parts, 30);
                ck_assert_int_eq(seen.status, 0);
        }
        pair_close(&pair);
}
END_TEST

/* They are handed over at once. */
START_TEST(parts_that_were_kept_go_to_a_function_that_comes_late)
{
        struct seen seen = { 0 };
        ferry_call *call;
        struct pair pair;

        OPEN(&pair);
        call = stream(&pair, "App\\Stream", 100, 10000);
        while (pair_report(&pair, "parts") < 20)
                ;
        ck_assert_int_eq(seen.parts, 0);
        ck_assert_int_eq(ferry_call_on_progress(call, note_part, &seen), 0);
        ck_assert_int_ge(seen.parts, 20);
        ck_assert_ptr_nonnull(ferry_call_await(call));
        ck_assert_int_eq(seen.parts, 100);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

START_TEST(a_call_that_ends_late_keeps_its_parts)
{
        const ferry_message *part;
        ferry_call *call;
        struct pair pair;
        int count = 0;

        OPEN(&pair);
        call = ferry_session_request(pair.us, 50, "App\\Stream", "{count: 1000, size: 50000}");
        while (ferry_call_status(call) == 1)
                ck_assert_int_ge(ferry_loop_tick(pair.loop, SAFETY_MS), 0);
        while ((part = ferry_call_next(call, SAFETY_MS)))
                ck_assert_int_eq(ferry_value_int(ferry_message_get(part, "part"), -1), count++);
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        /* A machine that is busy may not have begun to answer. */
        if (count > 0)
                ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_UNKNOWN);
        while (count > 0 && pair_report(&pair, "part_code") != -ECANCELED)
                ;
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

/* In the dialects that have none. */
START_TEST(other_dialects_say_that_they_have_no_parts)
{
        struct seen seen = { 0 };
        const ferry_message *reply;
        ferry_call *call;
        struct pair pair;

        pair_open(&pair, _i * DIALECTS + 1, NULL, NULL);
        call = stream(&pair, "App\\Stream", 5, 10);
        ck_assert_int_eq(ferry_call_on_progress(call, note_part, &seen), -EOPNOTSUPP);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(pair.us), "the dialect stream-ipc has no parts of replies"));
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_value_int(ferry_message_get(reply, "code"), 0), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_value_text(ferry_message_get(reply, "why"), ""), "the dialect stream-ipc has no parts of replies");
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

START_TEST(misuse_is_reported)
{
        struct seen seen = { 0 };
        ferry_call *call;
        struct pair pair;

        OPEN(&pair);
        ck_assert_int_eq(ferry_call_on_progress(NULL, note_part, NULL), -ENOMEM);
        ck_assert_ptr_null(ferry_call_next(NULL, 0));
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_int_eq(ferry_message_progress(NULL, "'x'"), -ENOMEM);
        ck_assert_int_eq(ferry_message_flush(NULL, 0), -ENOMEM);
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Keep", "{}");
        ck_assert_ptr_null(ferry_call_next(call, -2));
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_ptr_null(ferry_call_next(call, 0));
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_int_eq(ferry_call_on_progress(call, note_part, &seen), 0);
        ck_assert_ptr_null(ferry_call_next(call, 0));
        ck_assert_int_eq(errno, EBUSY);
        ck_assert_int_eq(ferry_call_on_progress(call, NULL, NULL), 0);
        ck_assert_ptr_null(ferry_call_next(call, 0));
        ck_assert_int_eq(errno, ETIMEDOUT);
        if (pair.stream != STREAM_EXEC) {
                ck_assert_int_eq(pair_report(&pair, "kept"), 1);
                ck_assert_int_eq(ferry_message_progress(pair.behaviour.kept[0], "{"), -EINVAL);
                ck_assert_int_eq(ferry_message_progress_value(pair.behaviour.kept[0], NULL), -EINVAL);
                ck_assert_int_eq(ferry_message_flush(pair.behaviour.kept[0], -2), -EINVAL);
                ck_assert_int_eq(ferry_message_flush(pair.behaviour.kept[0], 0), 0);
                ck_assert_int_eq(ferry_message_progress(ferry_call_reply(call), "'x'"), -ENOMEM);
                ck_assert_int_eq(ferry_message_reply(pair.behaviour.kept[0], NULL, "{}"), 0);
                ck_assert_int_eq(ferry_message_progress(pair.behaviour.kept[0], "'x'"), -EALREADY);
                ck_assert_int_eq(ferry_message_flush(pair.behaviour.kept[0], 0), -EALREADY);
        } else
                ferry_session_notify(pair.us, "App\\Release", "{}");
        ck_assert_ptr_null(ferry_call_next(call, SAFETY_MS));
        ck_assert_int_eq(errno, ENODATA);
        ck_assert_ptr_nonnull(ferry_call_reply(call));
        ck_assert_int_eq(ferry_message_progress(ferry_call_reply(call), "'x'"), -EINVAL);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

/* The peer is closed while parts wait to be taken, and while more are to come. */
START_TEST(a_peer_that_goes_in_the_middle_ends_the_call)
{
        struct pair pair;
        ferry_call *call;
        int count = 0;

        OPEN(&pair);
        call = stream(&pair, "App\\Stream", 1000, 50000);
        ck_assert_ptr_nonnull(ferry_call_next(call, SAFETY_MS));
        ferry_call_free(ferry_session_request(pair.us, SAFETY_MS, "App\\Close", "{}"));
        while (ferry_call_next(call, SAFETY_MS))
                count++;
        ck_assert_int_le(count, WINDOW / 50000 + 2);
        ck_assert_int_lt(ferry_call_status(call), 0);
        ck_assert_int_eq(errno, -ferry_call_status(call));
        ck_assert_int_ne(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

/* Frames of a peer that is not ours ------------------------------------------------------------------------- */

static void say_hello(struct raw *raw, bool knows_parts)
{
        unsigned char hello[64] = { 1, RAW_HELLO, 1 };
        static const char features[] = "\x81\xa8" "features\x91\xa5" "parts";

        memcpy(hello + 16, features, sizeof features - 1);
        raw_frame(raw, hello, 16 + (knows_parts ? sizeof features - 1 : 0));
}

static void send_part(struct raw *raw, int id, size_t size)
{
        unsigned char *payload = calloc(1, 16 + 5 + size);

        memcpy(payload, (const unsigned char[]){ 1, RAW_PROGRESS, 1 }, 3);
        payload[14] = (unsigned char)(id >> 8);
        payload[15] = (unsigned char)id;
        payload[16] = 0xc6;
        for (int i = 0; i < 4; i++)
                payload[17 + i] = (unsigned char)(size >> (24 - 8 * i));
        raw_frame(raw, payload, 16 + 5 + size);
        free(payload);
}

static void send_credit(struct raw *raw, int id, const char *body, size_t size)
{
        unsigned char payload[64] = { 1, RAW_CREDIT, 1 };

        payload[15] = (unsigned char)id;
        memcpy(payload + 16, body, size);
        raw_frame(raw, payload, 16 + size);
}

static void open_raw(struct raw *raw)
{
        raw_open(raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(raw->session, FERRY_KIND_REQUEST | FERRY_KIND_DRAINED | FERRY_KIND_ERROR, NULL, NULL);
        say_hello(raw, true);
}

/* Both sides know why. */
static void expect_end(struct raw *raw, const char *reason)
{
        while (ferry_session_status(raw->session) == 1)
                ck_assert_int_ge(ferry_loop_tick(raw->loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_status(raw->session), -EBADMSG);
        ck_assert_msg(strstr(ferry_session_error(raw->session), reason) != NULL, "%s", ferry_session_error(raw->session));
        raw_expect(raw, RAW_REFUSED, 0);
        ck_assert_msg(memmem(raw->bytes, raw->size, reason, strlen(reason)) != NULL, "the other side hears nothing");
        raw_close(raw);
}

START_TEST(a_part_of_no_call_ends_the_peer)
{
        struct raw raw;

        open_raw(&raw);
        send_part(&raw, 7, 10);
        expect_end(&raw, "it has sent a part of the reply to request 7, which does not exist");
}
END_TEST

START_TEST(parts_without_credit_end_the_peer)
{
        struct raw raw;
        ferry_call *call;

        open_raw(&raw);
        call = ferry_session_request(raw.session, SAFETY_MS, "t", NULL);
        raw_expect(&raw, RAW_REQUEST, 1);
        send_part(&raw, 1, WINDOW);
        send_part(&raw, 1, 1);
        while (ferry_call_status(call) == 1)
                ck_assert_int_ge(ferry_loop_tick(raw.loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_UNKNOWN);
        /* The part that came with credit is there. */
        ck_assert_ptr_nonnull(ferry_call_next(call, 0));
        ck_assert_ptr_null(ferry_call_next(call, 0));
        ferry_call_free(call);
        expect_end(&raw, "it has sent parts without credit");
}
END_TEST

START_TEST(parts_that_were_taken_are_credited)
{
        struct raw raw;
        ferry_call *call;

        open_raw(&raw);
        call = ferry_session_request(raw.session, SAFETY_MS, "t", NULL);
        raw_expect(&raw, RAW_REQUEST, 1);
        for (int i = 0; i < 20; i++) {
                send_part(&raw, 1, 100000);
                ck_assert_ptr_nonnull(ferry_call_next(call, SAFETY_MS));
                /* One is lent as long as the next is not asked for. */
                if (i > 0) {
                        raw_expect(&raw, RAW_CREDIT, 1);
                        ck_assert_uint_eq(raw.size, 21);
                        ck_assert_mem_eq(raw.bytes + 16, "\xce\x00\x01\x86\xb5", 5);
                }
        }
        ferry_call_free(call);
        raw_expect(&raw, RAW_CANCEL, 1);
        /* What was on its way is no fault. */
        send_part(&raw, 1, 10);
        raw_send(&raw, RAW_PING, 9, "", NULL);
        raw_expect(&raw, RAW_PONG, 9);
        ck_assert_int_eq(info_of(raw.session, "dropped"), 1);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        raw_close(&raw);
}
END_TEST

START_TEST(a_part_behind_the_reply_is_dropped)
{
        struct raw raw;
        ferry_call *call;

        open_raw(&raw);
        call = ferry_session_request(raw.session, SAFETY_MS, "t", NULL);
        raw_expect(&raw, RAW_REQUEST, 1);
        raw_send(&raw, RAW_RESPONSE, 1, "t", "done");
        send_part(&raw, 1, 10);
        raw_send(&raw, RAW_PING, 9, "", NULL);
        raw_expect(&raw, RAW_PONG, 9);
        ck_assert_int_eq(ferry_call_status(call), 0);
        ck_assert_ptr_null(ferry_call_next(call, 0));
        ck_assert_int_eq(errno, ENODATA);
        ck_assert_int_eq(info_of(raw.session, "dropped"), 1);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

/* The sizes of parts, in their order, and then the end. */
struct ordered {
        struct raw *raw;
        char seen[64];
        bool has_more;          /* one part more comes while the function for the first one waits; else only the reply */
};

static void note_ordered_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct ordered *ordered = userdata;

        (void)call;
        strcat(ordered->seen, reply ? "end " : "failed ");
}

static void note_ordered_part(ferry_call *call, const ferry_message *part, void *userdata)
{
        struct ordered *ordered = userdata;
        size_t size = 0, used = strlen(ordered->seen);

        ferry_value_bytes(ferry_message_body(part), &size);
        snprintf(ordered->seen + used, sizeof ordered->seen - used, "%zu ", size);
        if (used > 0)
                return;
        ferry_call_then(call, note_ordered_end, ordered);
        if (ordered->has_more)
                send_part(ordered->raw, 1, 4);
        raw_send(ordered->raw, RAW_RESPONSE, 1, "t", "done");
        while (!strstr(ordered->seen, "end"))
                ck_assert_int_ge(ferry_loop_tick(ordered->raw->loop, SAFETY_MS), 0);
}

START_TEST(parts_stay_in_order_when_a_function_runs_the_loop)
{
        struct ordered ordered = { .has_more = _i };
        struct raw raw;
        ferry_call *call;

        open_raw(&raw);
        ordered.raw = &raw;
        call = ferry_session_request(raw.session, SAFETY_MS, "t", NULL);
        raw_expect(&raw, RAW_REQUEST, 1);
        for (size_t i = 1; i <= 3; i++)
                send_part(&raw, 1, i);
        raw_send(&raw, RAW_PING, 9, "", NULL);
        raw_expect(&raw, RAW_PONG, 9);
        ck_assert_int_eq(ferry_call_on_progress(call, note_ordered_part, &ordered), 0);
        ck_assert_str_eq(ordered.seen, _i ? "1 2 3 4 end " : "1 2 3 end ");
        raw_close(&raw);
}
END_TEST

START_TEST(a_part_that_cannot_be_read_ends_the_call)
{
        static const unsigned char bad[] = { 1, RAW_PROGRESS, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xc1 };
        struct raw raw;
        ferry_call *call;

        open_raw(&raw);
        call = ferry_session_request(raw.session, SAFETY_MS, "t", NULL);
        raw_expect(&raw, RAW_REQUEST, 1);
        raw_frame(&raw, bad, sizeof bad);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "cannot take a part of the answer"));
        raw_expect(&raw, RAW_CANCEL, 1);
        ck_assert_int_eq(ferry_session_status(raw.session), 1);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

/* It has begun to execute it. */
START_TEST(a_refusal_behind_a_part_is_an_error_reply)
{
        struct raw raw;
        ferry_call *call;

        open_raw(&raw);
        call = ferry_session_request(raw.session, SAFETY_MS, "t", NULL);
        raw_expect(&raw, RAW_REQUEST, 1);
        send_part(&raw, 1, 10);
        raw_send(&raw, RAW_REFUSED, 1, "", "no");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_REPLIED);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

static const ferry_message *take_request(struct raw *raw)
{
        raw_send(raw, RAW_REQUEST, 5, "t", "x");
        return raw_next(raw, FERRY_KIND_REQUEST, "x");
}

START_TEST(credit_for_what_was_not_sent_ends_the_peer)
{
        static const struct {
                const char *body;
                size_t size;
        } hostile[] = { { "\xcd\x01\x00", 3 }, { "\x00", 1 }, { "\xff", 1 }, { "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
                        { "\xa1x", 2 }, { "", 0 }, { "\xc1", 1 }, { "\x92\x01\x02", 3 }, { "\xcb\x40\x00\0\0\0\0\0\0", 9 } };
        ferry_message *request;
        struct raw raw;

        open_raw(&raw);
        request = ferry_message_ref(take_request(&raw));
        ck_assert_int_eq(ferry_message_progress(request, "'some text'"), 0);
        raw_expect(&raw, RAW_PROGRESS, 5);
        send_credit(&raw, 5, hostile[_i].body, hostile[_i].size);
        while (ferry_session_status(raw.session) == 1)
                ck_assert_int_ge(ferry_loop_tick(raw.loop, SAFETY_MS), 0);
        ferry_message_unref(request);
        expect_end(&raw, "it has given credit for bytes that it was not sent");
}
END_TEST

START_TEST(credit_lets_the_sender_go_on)
{
        ferry_message *request;
        const ferry_message *event;
        char *text = make_text(WINDOW);
        struct raw raw;

        open_raw(&raw);
        request = ferry_message_ref(take_request(&raw));
        ck_assert_int_eq(ferry_message_progress(request, "%s", text), 0);
        ck_assert_int_eq(ferry_message_progress(request, "'x'"), -ENOBUFS);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(raw.session), "has not taken 262166 bytes of parts"));
        ck_assert_int_eq(ferry_message_flush(request, 5), -ETIMEDOUT);
        /* For another request, which was answered. */
        send_credit(&raw, 6, "\x05", 1);
        send_credit(&raw, 5, "\x05", 1);
        ck_assert_int_eq(ferry_message_flush(request, 5), -ETIMEDOUT);
        send_credit(&raw, 5, "\x19", 1);
        ck_assert_int_eq(ferry_message_flush(request, SAFETY_MS), 0);
        event = ferry_session_next(raw.session, SAFETY_MS);
        ck_assert_int_eq(ferry_message_kind(event), FERRY_KIND_DRAINED);
        ck_assert_str_eq(ferry_message_id(event), ferry_message_id(request));
        ck_assert_str_eq(ferry_message_id(event), "5");
        ck_assert_str_eq(ferry_message_type(event), "t");
        ck_assert_int_eq(ferry_message_progress(request, "'x'"), 0);
        ck_assert_int_eq(ferry_message_progress(request, "'x'"), -ENOBUFS);
        raw_send(&raw, RAW_CANCEL, 5, "", NULL);
        ck_assert_int_eq(ferry_message_flush(request, SAFETY_MS), -ECANCELED);
        ck_assert_int_eq(ferry_message_progress(request, "'x'"), -ECANCELED);
        ferry_message_unref(request);
        free(text);
        raw_close(&raw);
}
END_TEST

START_TEST(a_peer_that_knows_no_parts_is_sent_none)
{
        const ferry_message *request;
        struct raw raw;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, NULL, NULL);
        say_hello(&raw, false);
        request = take_request(&raw);
        ck_assert_int_eq(ferry_message_progress(request, "'x'"), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_session_error(raw.session), "the other side does not know parts of replies");
        ck_assert_int_eq(ferry_message_flush(request, 0), -EOPNOTSUPP);
        raw_close(&raw);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(parts_come_in_order_before_the_reply, STREAMS),
        SUITE_LOOP(next_lends_the_parts_and_then_says_that_the_reply_is_there, STREAMS),
        SUITE_LOOP(a_slow_reader_of_one_call_holds_back_no_other, STREAMS),
        SUITE_LOOP(a_part_may_be_larger_than_the_window, STREAMS),
        SUITE_LOOP(a_call_that_is_freed_stops_its_sender, STREAMS),
        SUITE_LOOP(parts_without_a_reader_are_dropped_and_counted, STREAMS),
        SUITE_LOOP(a_function_may_be_given_before_or_behind_then, STREAMS),
        SUITE_LOOP(parts_that_were_kept_go_to_a_function_that_comes_late, STREAMS),
        SUITE_LOOP(a_call_that_ends_late_keeps_its_parts, STREAMS),
        SUITE_LOOP(other_dialects_say_that_they_have_no_parts, STREAMS),
        SUITE_LOOP(misuse_is_reported, STREAMS),
        SUITE_LOOP(a_peer_that_goes_in_the_middle_ends_the_call, STREAMS),
        SUITE_TEST(a_part_of_no_call_ends_the_peer),
        SUITE_TEST(parts_without_credit_end_the_peer),
        SUITE_TEST(parts_that_were_taken_are_credited),
        SUITE_TEST(a_part_behind_the_reply_is_dropped),
        SUITE_LOOP(parts_stay_in_order_when_a_function_runs_the_loop, 2),
        SUITE_TEST(a_part_that_cannot_be_read_ends_the_call),
        SUITE_TEST(a_refusal_behind_a_part_is_an_error_reply),
        SUITE_LOOP(credit_for_what_was_not_sent_ends_the_peer, 9),
        SUITE_TEST(credit_lets_the_sender_go_on),
        SUITE_TEST(a_peer_that_knows_no_parts_is_sent_none),
};

SUITE_MAIN("conformance-parts", tests)
