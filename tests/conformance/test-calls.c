/* Messages, requests and replies are the same over every stream and in each dialect: each of these tests runs over all
 * of them. A call ends exactly once, as replied, as surely not executed, or as unknown; a waiting caller serves the other
 * side meanwhile. */
#include "conformance/pair.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAFETY_MS = 20000 };

static ferry_call *request(struct pair *pair, const char *type, int number)
{
        return ferry_session_request(pair->us, SAFETY_MS, type, "{number: %d}", number);
}

static int number_of(const ferry_message *message, const char *key)
{
        return (int)ferry_value_int(ferry_message_get(message, key), -1);
}

static void require_outcome(const ferry_call *call, int status, enum ferry_outcome outcome)
{
        ck_assert_msg(ferry_call_status(call) == status, "status %d (%s), not %d", ferry_call_status(call),
                      ferry_call_error(call), status);
        ck_assert_int_eq(ferry_call_outcome(call), outcome);
}

START_TEST(notification_arrives_with_type_and_body)
{
        struct pair pair;
        const ferry_message *message;

        pair_open(&pair, _i, NULL, NULL);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Send", "{count: 2, size: 3}"), 0);
        for (int i = 0; i < 2; i++) {
                message = ferry_session_next(pair.us, SAFETY_MS);
                ck_assert_msg(message != NULL, "%s", ferry_session_error(pair.us));
                ck_assert_int_eq(ferry_message_kind(message), FERRY_KIND_NOTIFICATION);
                ck_assert_str_eq(ferry_message_type(message), "App\\Load");
                ck_assert_str_eq(ferry_message_id(message), "");
                ck_assert_ptr_eq(ferry_message_session(message), pair.us);
                ck_assert_int_eq(number_of(message, "number"), i);
                ck_assert_str_eq(ferry_value_text(ferry_message_get(message, "text"), ""), "aho");
                ck_assert_int_eq(ferry_message_reply(message, NULL, NULL), -EINVAL);
        }
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Note", "{text: 'x'}"), 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 1);
        pair_close(&pair);
}
END_TEST

START_TEST(request_is_answered)
{
        struct pair pair;
        ferry_call *call;
        const ferry_message *reply;

        pair_open(&pair, _i, NULL, NULL);
        call = request(&pair, "App\\Echo", 42);
        require_outcome(call, 1, FERRY_OUTCOME_PENDING);
        ck_assert_ptr_null(ferry_call_reply(call));
        reply = ferry_call_await(call);
        require_outcome(call, 0, FERRY_OUTCOME_REPLIED);
        ck_assert_ptr_eq(reply, ferry_call_reply(call));
        ck_assert_ptr_eq(reply, ferry_call_await(call));
        ck_assert_int_eq(ferry_message_kind(reply), FERRY_KIND_RESPONSE);
        ck_assert_str_eq(ferry_message_type(reply), "App\\Echo");
        ck_assert_str_ne(ferry_message_id(reply), "");
        ck_assert_int_eq(number_of(reply, "number"), 42);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

static ferry_value *body_of_kind(int kind)
{
        switch (kind) {
        case 0: return ferry_value_pack("{a: null, b: true, c: -5, d: 1.5, e: 'text', f: []}");
        case 1: return ferry_value_pack("{list: [1, [2, [3, {deep: 'x'}]]], empty: ''}");
        case 2: return ferry_value_pack("{big: %lld, small: %lld}", (long long)INT64_MAX, (long long)INT64_MIN);
        case 3: return ferry_value_pack("{point: App\\Point{x: 1, y: [2]}}");
        case 4: return ferry_value_pack("{suit: App\\Suit::Hearts, zero: %.*s}", 3, "a\0b");
        case 5: return ferry_value_pack("{bytes: %.*s, %d: 'int key'}", 3, "\xff\0\xfe", 7);
        case 6: return ferry_value_pack("'only a text'");
        case 7: return ferry_value_pack("[1, 2, 3]");
        case 8: return ferry_value_pack(NULL);
        default: return NULL;
        }
}

/* What a dialect cannot carry fails at the sender, and nothing is sent. */
START_TEST(bodies_of_every_kind_come_back)
{
        struct pair pair;
        ferry_value *body, *back;

        pair_open(&pair, _i, NULL, NULL);
        for (int kind = 0; (body = body_of_kind(kind)); kind++) {
                bool is_json = strcmp(pair.dialect, "json") == 0;
                bool is_refused = (is_json && (kind == 4 || kind == 5)) || (!pair.is_ferry && kind == 7);
                FERRY_AUTO(ferry_call) call = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "%p",
                                                                    (const void *)body);
                const ferry_message *reply = ferry_call_await(call);

                if (is_refused) {
                        ck_assert_ptr_null(reply);
                        ck_assert_int_lt(ferry_call_status(call), 0);
                        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
                        ferry_value_unref(body);
                        continue;
                }
                ck_assert_msg(reply != NULL, "body %d: %s", kind, ferry_call_error(call));
                if (pair.is_ferry)
                        ck_assert_msg(ferry_value_equal(ferry_message_body(reply), body), "body %d", kind);
                else if (kind == 6)
                        ck_assert_str_eq(ferry_message_text(reply), "only a text");
                else {
                        /* The map has become an object of that class. */
                        ck_assert_str_eq(ferry_value_class(ferry_message_body(reply)), "App\\Echo");
                        ck_assert_uint_eq(ferry_value_count(ferry_message_body(reply)), ferry_value_count(body));
                        for (size_t i = 0; i < ferry_value_count(body) && !is_json; i++) {
                                back = ferry_value_ref(ferry_value_at(ferry_message_body(reply), i));
                                ck_assert_msg(ferry_value_equal(back, ferry_value_at(body, i)), "body %d, %zu", kind, i);
                                ferry_value_unref(back);
                        }
                }
                ferry_value_unref(body);
        }
        ck_assert_int_eq(ferry_session_status(pair.us), 1);
        ck_assert_int_eq(pair_report(&pair, "errors"), 0);
        pair_close(&pair);
}
END_TEST

START_TEST(requests_in_flight_are_answered_in_reverse)
{
        enum { COUNT = 50 };
        struct pair pair;
        ferry_call *calls[COUNT];
        ferry_value *info;

        pair_open(&pair, _i, NULL, NULL);
        for (int i = 0; i < COUNT; i++)
                calls[i] = request(&pair, "App\\Keep", i);
        info = ferry_session_info(pair.us);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "in_flight"), -1), COUNT);
        ferry_value_unref(info);
        ck_assert_int_eq(pair_report(&pair, "kept"), COUNT);
        for (int i = 0; i < COUNT; i++)
                require_outcome(calls[i], 1, FERRY_OUTCOME_PENDING);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Release", "{}"), 0);
        for (int i = 0; i < COUNT; i++) {
                const ferry_message *reply = ferry_call_await(calls[i]);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(calls[i]));
                ck_assert_int_eq(number_of(reply, "number"), i);
                ferry_call_free(calls[i]);
        }
        pair_close(&pair);
}
END_TEST

/* A type that fails, and what its error says. */
START_TEST(failures_are_error_replies)
{
        static const struct {
                const char *type;
                const char *text;
        } failing[] = { { "App\\Fail", "not this: x" },
                        { "App\\Errno", "Operation not permitted" },
                        { "App\\Unknown", "the receiver has no handler for the request 'App\\Unknown'" },
                        { "App\\LetGo", "freed without an answer" } };
        struct pair pair;

        pair_open(&pair, _i, NULL, NULL);
        for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
                ferry_call *call = ferry_session_request(pair.us, SAFETY_MS, failing[i].type, "{text: 'x'}");

                ck_assert_ptr_null(ferry_call_await(call));
                require_outcome(call, -EREMOTEIO, FERRY_OUTCOME_REPLIED);
                ck_assert_msg(strstr(ferry_call_error(call), failing[i].text), "%s: %s", failing[i].type,
                              ferry_call_error(call));
                ck_assert_int_eq(ferry_message_kind(ferry_call_reply(call)), FERRY_KIND_ERROR);
                ck_assert_str_eq(ferry_message_text(ferry_call_reply(call)), ferry_call_error(call));
                ferry_call_free(call);
        }
        ck_assert_int_eq(ferry_session_status(pair.us), 1);
        pair_close(&pair);
}
END_TEST

START_TEST(kept_and_let_go_is_an_error)
{
        struct pair pair;
        ferry_call *call;

        pair_open(&pair, _i, NULL, NULL);
        call = request(&pair, "App\\Keep", 1);
        ck_assert_int_eq(pair_report(&pair, "kept"), 1);
        ferry_session_notify(pair.us, "App\\LetGo", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        require_outcome(call, -EREMOTEIO, FERRY_OUTCOME_REPLIED);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

static int64_t counter(const ferry_session *session, const char *name)
{
        ferry_value *info = ferry_session_info(session);
        int64_t number = ferry_value_int(ferry_value_get(info, name), -1);

        ferry_value_unref(info);
        return number;
}

START_TEST(a_call_times_out_and_its_late_reply_is_dropped)
{
        struct pair pair;
        ferry_call *call;

        pair_open(&pair, _i, NULL, NULL);
        /* It is surely there before the time begins. */
        call = request(&pair, "App\\Echo", 1);
        ck_assert_ptr_nonnull(ferry_call_await(call));
        ferry_call_free(call);
        call = ferry_session_request(pair.us, 5, "App\\Keep", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        require_outcome(call, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN);
        ck_assert_msg(strstr(ferry_call_error(call), "0.005 s"), "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(pair_report(&pair, "cancelled"), pair.is_ferry);
        ferry_session_notify(pair.us, "App\\Release", "{}");
        ck_assert_int_eq(pair_report(&pair, "kept"), 0);
        /* In ferry the other side knows, and says nothing. */
        ck_assert_int_eq(counter(pair.us, "dropped"), !pair.is_ferry);
        ck_assert_int_eq(counter(pair.us, "in_flight"), 0);
        pair_close(&pair);
}
END_TEST

START_TEST(zero_time_has_passed_at_once)
{
        struct pair pair;
        ferry_call *call;

        pair_open(&pair, _i, NULL, NULL);
        call = ferry_session_request(pair.us, 0, "App\\Keep", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        require_outcome(call, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN);
        ferry_call_free(call);
        ck_assert_int_eq(ferry_session_status(pair.us), 1);
        pair_close(&pair);
}
END_TEST

START_TEST(a_dropped_call_is_cancelled)
{
        struct pair pair;
        ferry_call *call;

        pair_open(&pair, _i, NULL, NULL);
        call = request(&pair, "App\\Keep", 1);
        ck_assert_int_eq(pair_report(&pair, "kept"), 1);
        ck_assert_ptr_null(ferry_call_free(call));
        ck_assert_int_eq(pair_report(&pair, "cancelled"), pair.is_ferry);
        ck_assert_int_eq(pair_report(&pair, "wanted"), 0);
        ferry_session_notify(pair.us, "App\\Release", "{}");
        ck_assert_int_eq(pair_report(&pair, "kept"), 0);
        ck_assert_int_eq(counter(pair.us, "dropped"), !pair.is_ferry);
        pair_close(&pair);
}
END_TEST

struct ends {
        int count;
        int status;
        int number;
        bool had_reply;
};

static void note_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct ends *ends = userdata;

        ends->count++;
        ends->status = ferry_call_status(call);
        ends->had_reply = reply != NULL;
        ends->number = number_of(reply, "number");
}

static void run_until_ended(struct pair *pair, const struct ends *ends)
{
        while (ends->count == 0)
                ck_assert_int_eq(ferry_loop_tick(pair->loop, SAFETY_MS), 1);
}

START_TEST(a_callback_is_called_once)
{
        struct ends replied = { 0 }, failed = { 0 }, late = { 0 }, unsent = { 0 }, dropped = { 0 }, closed = { 0 };
        struct pair pair;
        ferry_call *call;

        pair_open(&pair, _i, NULL, NULL);
        ferry_call_then(request(&pair, "App\\Echo", 9), note_end, &replied);
        ck_assert_int_eq(replied.count, 0);
        run_until_ended(&pair, &replied);
        ck_assert(replied.status == 0 && replied.had_reply && replied.number == 9);

        ferry_call_then(request(&pair, "App\\Fail", 1), note_end, &failed);
        run_until_ended(&pair, &failed);
        ck_assert(failed.status == -EREMOTEIO && !failed.had_reply);

        ferry_call_then(ferry_session_request(pair.us, 1, "App\\Keep", "{}"), note_end, &late);
        run_until_ended(&pair, &late);
        ck_assert(late.status == -ETIMEDOUT && !late.had_reply);

        /* It has failed before, and is not called from within. */
        ferry_call_then(ferry_session_request(pair.us, 1, NULL, "{}"), note_end, &unsent);
        ck_assert_int_eq(unsent.count, 0);
        run_until_ended(&pair, &unsent);
        ck_assert_int_eq(unsent.status, -EINVAL);

        call = request(&pair, "App\\Keep", 1);
        ferry_call_then(call, note_end, &dropped);
        ferry_call_free(call);

        ferry_call_then(request(&pair, "App\\Keep", 1), note_end, &closed);
        ck_assert_int_eq(ferry_session_close(pair.us), 0);
        ck_assert_int_eq(closed.count, 0);
        pair_close(&pair);
        ck_assert(closed.count == 1 && closed.status == -ECANCELED);
        ck_assert(replied.count == 1 && failed.count == 1 && late.count == 1 && unsent.count == 1);
        ck_assert_int_eq(dropped.count, 0);
}
END_TEST

static int count_step(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *steps = userdata;

        (void)session;
        ck_assert_int_eq(number_of(message, "step"), *steps);
        (*steps)++;
        return 0;
}

START_TEST(progress_is_seen_while_a_call_is_awaited)
{
        struct pair pair;
        ferry_call *call;
        int steps = 0;

        pair_open(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, count_step, &steps);
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Progress", "{steps: 300}");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(steps, 300);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

/* A question is answered, by asking back as long as it says so. */
static int answer_question(ferry_session *session, const ferry_message *request, void *userdata)
{
        int depth = number_of(request, "depth");

        (void)userdata;
        if (depth <= 0)
                return ferry_message_reply(request, NULL, "{depth: 0}");
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, SAFETY_MS, "App\\Ask", "{depth: %d}", depth - 1);
        const ferry_message *answer = ferry_call_await(call);

        if (!answer)
                return ferry_message_fail(request, "%s", ferry_call_error(call));
        return ferry_message_reply(request, NULL, "{depth: %d}", number_of(answer, "depth") + 1);
}

START_TEST(requests_within_requests)
{
        struct pair pair;
        ferry_call *call;
        const ferry_message *reply;

        pair_open(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_REQUEST, answer_question, NULL);
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Ask", "{depth: 9}");
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(number_of(reply, "depth"), 9);
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

/* Both ask at the same moment: each serves while it waits. */
START_TEST(both_sides_ask_at_once)
{
        enum { COUNT = 10 };
        struct pair pair;
        ferry_call *calls[COUNT];

        pair_open(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_REQUEST, answer_question, NULL);
        for (int i = 0; i < COUNT; i++)
                calls[i] = ferry_session_request(pair.us, SAFETY_MS, "App\\Ask", "{depth: 1}");
        for (int i = 0; i < COUNT; i++) {
                ck_assert_msg(ferry_call_await(calls[i]) != NULL, "%s", ferry_call_error(calls[i]));
                ferry_call_free(calls[i]);
        }
        pair_close(&pair);
}
END_TEST

static int note_closed(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *count = userdata;

        (void)session;
        ck_assert_str_ne(ferry_message_text(message), "");
        (*count)++;
        return 0;
}

START_TEST(the_other_side_closes_with_calls_in_flight)
{
        struct ends ends = { 0 };
        struct pair pair;
        ferry_call *kept, *closing, *after;
        int closed = 0;

        pair_open(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_CLOSED, note_closed, &closed);
        kept = request(&pair, "App\\Keep", 1);
        ck_assert_int_eq(pair_report(&pair, "kept"), 1);
        ferry_call_then(request(&pair, "App\\Keep", 2), note_end, &ends);
        closing = request(&pair, "App\\Close", 1);
        ck_assert_ptr_null(ferry_call_await(kept));
        require_outcome(kept, -ECONNRESET, FERRY_OUTCOME_UNKNOWN);
        ck_assert_ptr_null(ferry_call_await(closing));
        ck_assert_int_lt(ferry_call_status(closing), 0);
        while (ferry_session_status(pair.us) == 1)
                ck_assert_int_ge(ferry_loop_tick(pair.loop, SAFETY_MS), 0);
        ck_assert_msg(ferry_session_status(pair.us) == 0, "%s", ferry_session_error(pair.us));
        after = request(&pair, "App\\Echo", 3);
        ck_assert_ptr_null(ferry_call_await(after));
        require_outcome(after, -ENOTCONN, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Note", "{}"), -ENOTCONN);
        ferry_call_free(kept);
        ferry_call_free(closing);
        ferry_call_free(after);
        pair_close(&pair);
        ck_assert_int_eq(closed, 1);
        ck_assert(ends.count == 1 && ends.status == -ECONNRESET);
}
END_TEST

START_TEST(closing_here_ends_calls)
{
        struct pair pair;
        ferry_call *call;
        int closed = 0;

        pair_open(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_CLOSED, note_closed, &closed);
        call = request(&pair, "App\\Keep", 1);
        ck_assert_int_eq(pair_report(&pair, "kept"), 1);
        ck_assert_int_eq(ferry_session_close(pair.us), 0);
        ck_assert_int_eq(ferry_session_status(pair.us), 0);
        require_outcome(call, -ECANCELED, FERRY_OUTCOME_UNKNOWN);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_lt(ferry_session_notify(pair.us, "App\\Note", "{}"), 0);
        ck_assert_int_eq(ferry_session_close(pair.us), 0);
        while (closed == 0)
                ck_assert_int_ge(ferry_loop_tick(pair.loop, SAFETY_MS), 0);
        ferry_call_free(call);
        pair_close(&pair);
        ck_assert_int_eq(closed, 1);
}
END_TEST

START_TEST(flush_waits_until_the_other_side_has_it)
{
        struct pair pair;
        char *text = make_text(300000);

        pair_open(&pair, _i, NULL, NULL);
        for (int i = 0; i < 10; i++)
                ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Note", "{text: %s}", text), 0);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        ck_assert_int_eq(counter(pair.us, "queued"), 0);
        if (pair.is_ferry && pair.stream != STREAM_EXEC)
                ck_assert_int_eq(pair.behaviour.notifications, 10);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 10);
        free(text);
        pair_close(&pair);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(notification_arrives_with_type_and_body, PAIRS),
        SUITE_LOOP(request_is_answered, PAIRS),
        SUITE_LOOP(bodies_of_every_kind_come_back, PAIRS),
        SUITE_LOOP(requests_in_flight_are_answered_in_reverse, PAIRS),
        SUITE_LOOP(failures_are_error_replies, PAIRS),
        SUITE_LOOP(kept_and_let_go_is_an_error, PAIRS),
        SUITE_LOOP(a_call_times_out_and_its_late_reply_is_dropped, PAIRS),
        SUITE_LOOP(zero_time_has_passed_at_once, PAIRS),
        SUITE_LOOP(a_dropped_call_is_cancelled, PAIRS),
        SUITE_LOOP(a_callback_is_called_once, PAIRS),
        SUITE_LOOP(progress_is_seen_while_a_call_is_awaited, PAIRS),
        SUITE_LOOP(requests_within_requests, PAIRS),
        SUITE_LOOP(both_sides_ask_at_once, PAIRS),
        SUITE_LOOP(the_other_side_closes_with_calls_in_flight, PAIRS),
        SUITE_LOOP(closing_here_ends_calls, PAIRS),
        SUITE_LOOP(flush_waits_until_the_other_side_has_it, PAIRS),
};

SUITE_MAIN("conformance-calls", tests)
