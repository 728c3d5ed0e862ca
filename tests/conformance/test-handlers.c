/* Handlers and ferry_session_next(), over every stream and in each dialect: which gets a message and in which order, what
 * is kept and what is dropped, and that a handler may do anything: turn handlers off, close or free its session, its
 * service and its loop, and wait. */
#include "conformance/pair.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAFETY_MS = 20000 };

/* What happened, a letter each. */
static char events[64];

static void note(char letter)
{
        size_t size = strlen(events);

        ck_assert_uint_lt(size, sizeof events - 1);
        events[size] = letter;
}

static void open_pair(struct pair *pair, int which, const ferry_session_options *ours, const ferry_session_options *theirs)
{
        memset(events, 0, sizeof events);
        pair_open(pair, which, ours, theirs);
}

static int see(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        note(*(const char *)userdata);
        return 0;
}

static int take(ferry_session *session, const ferry_message *message, void *userdata)
{
        see(session, message, userdata);
        return 1;
}

static int see_once(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_session_off(session, see_once, userdata);
        return see(session, message, userdata);
}

/* Everything that was asked for is there once this is answered. */
static void ask_for(struct pair *pair, int count)
{
        ck_assert_int_eq(ferry_session_notify(pair->us, "App\\Send", "{count: %d, size: 1}", count), 0);
        pair_report(pair, "errors");
}

START_TEST(handlers_are_asked_in_order)
{
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_REQUEST, see, "x");
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, see, "a");
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, see_once, "b");
        ferry_session_on(pair.us, FERRY_KIND_MESSAGE, take, "c");
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, see, "d");
        ask_for(&pair, 2);
        ck_assert_str_eq(events, "abcac");
        ferry_session_off(pair.us, take, "c");
        ask_for(&pair, 1);
        ck_assert_str_eq(events, "abcacad");
        ferry_session_off(pair.us, see, "a");
        ferry_session_off(pair.us, see, "d");
        ask_for(&pair, 1);
        ck_assert_str_eq(events, "abcacad");
        ck_assert_ptr_nonnull(ferry_session_next(pair.us, 0));
        ck_assert_ptr_null(ferry_session_next(pair.us, 0));
        pair_close(&pair);
}
END_TEST

static int reply_first(ferry_session *session, const ferry_message *request, void *userdata)
{
        see(session, request, userdata);
        return ferry_message_reply(request, NULL, "{depth: 5}");
}

/* Before those of any type, also if they come later; and a type may have several. */
START_TEST(handlers_by_type_are_asked_first)
{
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, see, "c");
        ferry_session_on_type(pair.us, FERRY_KIND_NOTIFICATION, "App\\Load", see, "a");
        ferry_session_on_type(pair.us, FERRY_KIND_NOTIFICATION, "App\\Other", see, "x");
        ferry_session_on_type(pair.us, FERRY_KIND_REQUEST, "App\\Load", see, "y");
        ferry_session_on_type(pair.us, FERRY_KIND_MESSAGE, "App\\Load", see, "b");
        ask_for(&pair, 2);
        ck_assert_str_eq(events, "abcabc");
        ferry_session_off_type(pair.us, "App\\Load", see, "a");
        ferry_session_off(pair.us, see, "b");
        ask_for(&pair, 1);
        ck_assert_str_eq(events, "abcabcc");
        ferry_session_on_type(pair.us, FERRY_KIND_NOTIFICATION, "App\\Load", take, "t");
        ask_for(&pair, 1);
        ck_assert_str_eq(events, "abcabcct");
        pair_close(&pair);
}
END_TEST

/* What their handlers answer reaches the other side, and so do the types that have one. */
START_TEST(requests_are_answered_by_type)
{
        struct pair pair;
        ferry_call *call;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on_type(pair.us, FERRY_KIND_REQUEST, "App\\Other", see, "x");
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Ask", "{depth: 1}");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_str_eq(ferry_call_error(call), "the receiver has no handler for the request 'App\\Question'; it has handlers for"
                                                 " 'App\\Other'");
        ferry_call_free(call);
        ferry_session_on_type(pair.us, FERRY_KIND_REQUEST, "App\\Question", reply_first, "b");
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Ask", "{depth: 1}");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_value_int(ferry_message_get(ferry_call_reply(call), "depth"), -1), 6);
        ck_assert_str_eq(events, "b");
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

/* It comes after those that are there, also while one of them runs. */
static int add_another(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_session_off(session, add_another, userdata);
        ferry_session_on(session, FERRY_KIND_NOTIFICATION, see, "n");
        return see(session, message, userdata);
}

START_TEST(handlers_added_inside_come_last)
{
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, add_another, "a");
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, see, "b");
        ask_for(&pair, 2);
        ck_assert_str_eq(events, "abnbn");
        pair_close(&pair);
}
END_TEST

static int reply_again(ferry_session *session, const ferry_message *request, void *userdata)
{
        see(session, request, userdata);
        ck_assert_int_eq(ferry_message_reply(request, NULL, "{depth: 6}"), -EALREADY);
        ck_assert_int_eq(ferry_message_fail(request, "too late"), -EALREADY);
        ck_assert(!ferry_message_is_wanted(request));
        return -EIO;
}

START_TEST(the_first_answer_counts)
{
        struct pair pair;
        ferry_call *call;
        const ferry_message *reply;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_REQUEST, see, "a");
        ferry_session_on(pair.us, FERRY_KIND_REQUEST, reply_first, "b");
        ferry_session_on(pair.us, FERRY_KIND_REQUEST, reply_again, "c");
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Ask", "{depth: 1}");
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_value_int(ferry_message_get(reply, "depth"), -1), 6);
        ck_assert_str_eq(events, "abc");
        ferry_call_free(call);
        pair_close(&pair);
}
END_TEST

static int sign_in(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ck_assert_int_eq(ferry_session_status(session), 1);
        note('o');
        return 0;
}

static int sign_out(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)userdata;
        ck_assert_int_eq(ferry_session_status(session), 0);
        ck_assert_str_eq(ferry_message_text(message), ferry_session_error(session));
        note('c');
        return 0;
}

static void note_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        (void)reply;
        ck_assert_int_eq(ferry_call_status(call), *(int *)userdata);
        note('e');
}

/* The calls end before the session says that it has. */
START_TEST(opened_first_and_closed_last)
{
        int status = -ECANCELED;
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_OPENED, sign_in, NULL);
        ferry_session_on(pair.us, FERRY_KIND_CLOSED, sign_out, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, see, "n");
        ask_for(&pair, 1);
        ferry_call_then(ferry_session_request(pair.us, SAFETY_MS, "App\\Keep", "{}"), note_end, &status);
        ck_assert_int_eq(ferry_session_close(pair.us), 0);
        pair_close(&pair);
        ck_assert_str_eq(events, "onec");
}
END_TEST

START_TEST(calls_end_before_closed_when_the_other_side_goes)
{
        int status = -ECONNRESET;
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_CLOSED, sign_out, NULL);
        ferry_call_then(ferry_session_request(pair.us, SAFETY_MS, "App\\Keep", "{}"), note_end, &status);
        ferry_call_then(ferry_session_request(pair.us, SAFETY_MS, "App\\Close", "{}"), note_end, &status);
        while (strlen(events) < 3)
                ck_assert_int_ge(ferry_loop_tick(pair.loop, SAFETY_MS), 0);
        ck_assert_str_eq(events, "eec");
        pair_close(&pair);
}
END_TEST

/* next ------------------------------------------------------------------------------------------------ */

static const ferry_message *next_question(struct pair *pair)
{
        const ferry_message *question;

        ck_assert_int_eq(ferry_session_notify(pair->us, "App\\AskMe", "{}"), 0);
        question = ferry_session_next(pair->us, SAFETY_MS);
        ck_assert_msg(question != NULL, "%s", ferry_session_error(pair->us));
        ck_assert_int_eq(ferry_message_kind(question), FERRY_KIND_REQUEST);
        ck_assert(ferry_message_is_wanted(question));
        return question;
}

START_TEST(next_fetches_kinds_without_a_handler)
{
        struct pair pair;
        const ferry_message *message;
        ferry_message *kept;

        open_pair(&pair, _i, NULL, NULL);
        ck_assert_ptr_null(ferry_session_next(pair.us, 0));
        ferry_session_on(pair.us, FERRY_KIND_REQUEST | FERRY_KIND_CLOSED, NULL, NULL);
        ck_assert_int_eq(ferry_message_reply(next_question(&pair), NULL, "{depth: 5}"), 0);
        ck_assert_int_eq(pair_report(&pair, "depth"), 5);

        /* One that is lent and not answered is let go with the next. */
        next_question(&pair);
        ck_assert_int_eq(pair_report(&pair, "answers"), 1);
        ck_assert_ptr_null(ferry_session_next(pair.us, 0));
        ck_assert_int_eq(pair_report(&pair, "depth"), -EREMOTEIO);

        /* One that is kept is not. */
        kept = ferry_message_ref(next_question(&pair));
        ck_assert_ptr_null(ferry_session_next(pair.us, 0));
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "{depth: 7}"), 0);
        ferry_message_unref(kept);
        ck_assert_int_eq(pair_report(&pair, "depth"), 7);
        ck_assert_int_eq(pair_report(&pair, "answers"), 3);

        ferry_session_close(pair.us);
        message = ferry_session_next(pair.us, SAFETY_MS);
        ck_assert_int_eq(ferry_message_kind(message), FERRY_KIND_CLOSED);
        ck_assert_ptr_null(ferry_session_next(pair.us, SAFETY_MS));
        pair_close(&pair);
}
END_TEST

START_TEST(next_ends_when_the_other_side_goes)
{
        struct pair pair;
        const ferry_message *message;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_notify(pair.us, "App\\Send", "{count: 2, size: 1}");
        ferry_call_free(ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{}"));
        pair_report(&pair, "errors");
        if (pair.them)
                ferry_session_close(pair.them);
        else if (pair.service)
                ferry_service_close(pair.service);
        else
                ferry_call_free(ferry_session_request(pair.us, SAFETY_MS, "App\\Close", "{}"));
        for (int i = 0; i < 2; i++) {
                message = ferry_session_next(pair.us, SAFETY_MS);
                ck_assert_int_eq(ferry_value_int(ferry_message_get(message, "number"), -1), i);
        }
        ck_assert_ptr_null(ferry_session_next(pair.us, -1));
        ck_assert_msg(ferry_session_status(pair.us) == 0, "%s", ferry_session_error(pair.us));
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

START_TEST(unasked_notifications_are_kept_up_to_a_limit)
{
        struct pair pair;
        const ferry_message *message;
        int number = 6;

        open_pair(&pair, _i, NULL, NULL);
        ask_for(&pair, 1024);
        ck_assert_int_eq(counter(pair.us, "dropped"), 0);
        ask_for(&pair, 6);
        ck_assert_int_eq(counter(pair.us, "dropped"), 6);
        for (; number < 1030; number++) {
                message = ferry_session_next(pair.us, 0);
                ck_assert_msg(message != NULL, "number %d", number);
                ck_assert_int_eq(ferry_value_int(ferry_message_get(message, "number"), -1), number % 1024);
        }
        ck_assert_ptr_null(ferry_session_next(pair.us, 0));
        pair_close(&pair);
}
END_TEST

START_TEST(notifications_asked_for_are_never_dropped)
{
        enum { COUNT = 3000 };
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, NULL, NULL);
        ask_for(&pair, COUNT);
        for (int i = 0; i < COUNT; i++)
                ck_assert_int_eq(ferry_value_int(ferry_message_get(ferry_session_next(pair.us, SAFETY_MS), "number"), -1),
                                 i);
        ck_assert_int_eq(counter(pair.us, "dropped"), 0);
        pair_close(&pair);
}
END_TEST

/* What is kept for next has a budget, too: then the other side waits, and nothing is lost. */
START_TEST(the_other_side_waits_for_next)
{
        enum { COUNT = 2000 };
        struct pair pair;

        open_pair(&pair, _i, &(ferry_session_options){ .queue_max = 20000 }, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, NULL, NULL);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Send", "{count: %d, size: 300}", COUNT), 0);
        for (int i = 0; i < COUNT; i++) {
                const ferry_message *message = ferry_session_next(pair.us, SAFETY_MS);

                ck_assert_msg(message != NULL, "number %d", i);
                ck_assert_int_eq(ferry_value_int(ferry_message_get(message, "number"), -1), i);
        }
        ck_assert_int_eq(counter(pair.us, "dropped"), 0);
        pair_close(&pair);
}
END_TEST

/* Ending from inside ---------------------------------------------------------------------------------- */

static int close_here(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ck_assert_int_eq(ferry_session_close(session), 0);
        note('x');
        return 0;
}

static int free_here(ferry_session *session, const ferry_message *message, void *userdata)
{
        const char *type = ferry_message_type(message);

        (void)userdata;
        ck_assert_ptr_null(ferry_session_free(session));
        /* What was lent stays so. */
        ck_assert_str_eq(type, "App\\Load");
        ck_assert_ptr_nonnull(text_of(message, NULL));
        note('x');
        return 0;
}

static int free_loop_here(ferry_session *session, const ferry_message *message, void *userdata)
{
        const char *type = ferry_message_type(message);

        (void)userdata;
        note('x');
        ck_assert_ptr_null(ferry_loop_free(ferry_session_loop(session)));
        ck_assert_str_eq(type, "App\\Load");
        return 0;
}

START_TEST(a_handler_closes_its_session)
{
        struct pair pair;
        ferry_call *call;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, close_here, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, see, "n");
        ferry_session_on(pair.us, FERRY_KIND_CLOSED, see, "c");
        ferry_session_notify(pair.us, "App\\Send", "{count: 3, size: 1}");
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Keep", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECANCELED);
        ferry_call_free(call);
        pair_close(&pair);
        /* No handler gets those that came after it. */
        ck_assert_str_eq(events, "xnc");
}
END_TEST

START_TEST(a_handler_frees_its_session)
{
        struct pair pair;
        ferry_call *call;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, free_here, NULL);
        ferry_session_on(pair.us, FERRY_KIND_CLOSED, see, "c");
        ferry_session_notify(pair.us, "App\\Send", "{count: 3, size: 1}");
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Keep", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECANCELED);
        ferry_call_free(call);
        pair_close(&pair);
        ck_assert_str_eq(events, "x");
}
END_TEST

START_TEST(a_handler_frees_the_session_that_next_waits_for)
{
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, free_here, NULL);
        ferry_session_notify(pair.us, "App\\Send", "{count: 1, size: 1}");
        ck_assert_ptr_null(ferry_session_next(pair.us, SAFETY_MS));
        ck_assert_str_eq(events, "x");
        pair_close(&pair);
}
END_TEST

enum way { BY_AWAIT, BY_NEXT, BY_RUN, BY_TICK, BY_FLUSH, WAYS };

static void free_while_waiting(struct pair *pair, enum way way)
{
        ferry_call *call = ferry_session_request(pair->us, SAFETY_MS, "App\\Keep", "{}");

        switch (way) {
        case BY_AWAIT:
                ck_assert_ptr_null(ferry_call_await(call));
                break;
        case BY_NEXT:
                ck_assert_ptr_null(ferry_session_next(pair->us, SAFETY_MS));
                break;
        case BY_RUN:
                ck_assert_int_eq(ferry_loop_run(pair->loop, SAFETY_MS), -ECANCELED);
                break;
        case BY_TICK:
                while (!*events)
                        ck_assert_int_ge(ferry_loop_tick(pair->loop, SAFETY_MS), 0);
                break;
        default:
                /* Over in time, or not. */
                ferry_session_flush(pair->us, SAFETY_MS);
                while (!*events)
                        ck_assert_int_ge(ferry_loop_tick(pair->loop, SAFETY_MS), 0);
        }
        ck_assert_str_eq(events, "x");
        ck_assert_int_eq(ferry_call_status(call), -ECANCELED);
        ck_assert_ptr_null(ferry_call_await(call));
        ferry_call_free(call);
}

START_TEST(a_handler_frees_the_loop)
{
        struct pair pair;

        open_pair(&pair, _i % LOCAL_PAIRS, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, free_loop_here, NULL);
        ferry_session_notify(pair.us, "App\\Send", "{count: 2, size: 1}");
        free_while_waiting(&pair, (enum way)(_i / LOCAL_PAIRS));
        /* The kept request has outlived its session. */
        for (int i = 0; i < pair.behaviour.kept_count; i++) {
                ck_assert(!ferry_message_is_wanted(pair.behaviour.kept[i]));
                ck_assert_ptr_null(ferry_message_session(pair.behaviour.kept[i]));
                ck_assert_int_eq(ferry_message_reply(pair.behaviour.kept[i], NULL, NULL), -ENOTCONN);
        }
        pair.loop = NULL;
        pair_close(&pair);
}
END_TEST

static void free_the_call(ferry_call *call, const ferry_message *reply, void *userdata)
{
        ck_assert_ptr_nonnull(reply);
        note('f');
        ferry_call_free(call);
        ferry_loop_stop(userdata, 7);
}

static void free_the_loop(ferry_call *call, const ferry_message *reply, void *userdata)
{
        (void)call;
        ck_assert_ptr_nonnull(reply);
        note('l');
        ferry_loop_free(userdata);
        ck_assert_ptr_nonnull(ferry_message_body(reply));
}

START_TEST(callbacks_of_calls_free_what_called_them)
{
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_call_then(ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{}"), free_the_call, pair.loop);
        ck_assert_int_eq(ferry_loop_run(pair.loop, SAFETY_MS), 7);
        ferry_call_then(ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{}"), free_the_loop, pair.loop);
        ck_assert_int_eq(ferry_loop_run(pair.loop, SAFETY_MS), -ECANCELED);
        ck_assert_str_eq(events, "fl");
        pair.loop = NULL;
        pair_close(&pair);
}
END_TEST

static int free_awaited(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_call **call = userdata;

        (void)session, (void)message;
        *call = ferry_call_free(*call);
        note('x');
        return 0;
}

/* To await a call that a handler lets go is over at once, without a reply. */
START_TEST(a_handler_frees_the_call_that_is_awaited)
{
        struct pair pair;
        ferry_call *call;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, free_awaited, &call);
        ferry_session_notify(pair.us, "App\\Send", "{count: 1, size: 1}");
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Keep", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_str_eq(events, "x");
        pair_close(&pair);
}
END_TEST

START_TEST(one_function_registered_twice_is_freed_with_its_session)
{
        struct pair pair;

        open_pair(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_NOTIFICATION, see, "a");
        ferry_session_on(pair.us, FERRY_KIND_REQUEST, see, "a");
        ferry_session_on(pair.us, FERRY_KIND_ERROR, see, "a");
        ferry_session_free(pair.us);
        pair_close(&pair);
        ck_assert_str_eq(events, "");
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(handlers_are_asked_in_order, LOCAL_PAIRS),
        SUITE_LOOP(handlers_by_type_are_asked_first, LOCAL_PAIRS),
        SUITE_LOOP(requests_are_answered_by_type, LOCAL_PAIRS),
        SUITE_LOOP(handlers_added_inside_come_last, LOCAL_PAIRS),
        SUITE_LOOP(the_first_answer_counts, LOCAL_PAIRS),
        SUITE_LOOP(opened_first_and_closed_last, LOCAL_PAIRS),
        SUITE_LOOP(calls_end_before_closed_when_the_other_side_goes, LOCAL_PAIRS),
        SUITE_LOOP(next_fetches_kinds_without_a_handler, LOCAL_PAIRS),
        SUITE_LOOP(next_ends_when_the_other_side_goes, LOCAL_PAIRS),
        SUITE_LOOP(unasked_notifications_are_kept_up_to_a_limit, LOCAL_PAIRS),
        SUITE_LOOP(notifications_asked_for_are_never_dropped, LOCAL_PAIRS),
        SUITE_LOOP(the_other_side_waits_for_next, LOCAL_PAIRS),
        SUITE_LOOP(a_handler_closes_its_session, LOCAL_PAIRS),
        SUITE_LOOP(a_handler_frees_its_session, LOCAL_PAIRS),
        SUITE_LOOP(a_handler_frees_the_session_that_next_waits_for, LOCAL_PAIRS),
        SUITE_LOOP(a_handler_frees_the_loop, LOCAL_PAIRS * WAYS),
        SUITE_LOOP(callbacks_of_calls_free_what_called_them, LOCAL_PAIRS),
        SUITE_LOOP(a_handler_frees_the_call_that_is_awaited, LOCAL_PAIRS),
        SUITE_LOOP(one_function_registered_twice_is_freed_with_its_session, LOCAL_PAIRS),
};

SUITE_MAIN("conformance-handlers", tests)
