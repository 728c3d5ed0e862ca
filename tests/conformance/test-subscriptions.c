/* Subscriptions and descriptions over every stream and in each dialect: with a service they work alike, each other peer says that it is
 * none, and dialects that cannot express them refuse. */
#include "conformance/pair.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SAFETY_MS = 20000 };

/* What came, with a blank behind each: types of notifications, and texts of errors. */
static char heard[512];

static int hear(ferry_session *session, const ferry_message *message, void *userdata)
{
        size_t used = strlen(heard);

        (void)session, (void)userdata;
        snprintf(heard + used, sizeof heard - used, "%s ", ferry_message_kind(message) == FERRY_KIND_ERROR ?
                                                                   ferry_message_text(message) : ferry_message_type(message));
        return 0;
}

static void open_pair(struct pair *pair, int which)
{
        heard[0] = '\0';
        pair_open(pair, which, NULL, NULL);
        ferry_session_on(pair->us, FERRY_KIND_NOTIFICATION | FERRY_KIND_ERROR, hear, NULL);
}

static void subscribe(struct pair *pair, const char *pattern)
{
        ck_assert_msg(ferry_session_subscribe(pair->us, pattern) == 0, "%s", ferry_session_error(pair->us));
}

START_TEST(subscriptions_select_what_a_service_sends)
{
        struct pair pair;

        open_pair(&pair, _i);
        if (!pair.is_ferry) {
                ck_assert_int_eq(ferry_session_subscribe(pair.us, "a.*"), -EOPNOTSUPP);
        } else if (!pair.service) {
                subscribe(&pair, "a.*");
                pair_report(&pair, "errors");
                ck_assert_str_eq(heard, "not a service: it sends no notifications by pattern ");
        } else {
                /* From its first subscription on it gets nothing else. */
                subscribe(&pair, "b.>");
                pair_report(&pair, "errors");
                ck_assert_int_eq(ferry_service_retain(pair.service, "a.kept", "%d", 1), 0);
                ck_assert_int_eq(ferry_service_retain(pair.service, "c.kept", "%d", 2), 0);
                subscribe(&pair, "a.*");
                pair_report(&pair, "errors");
                ck_assert_int_eq(ferry_service_notify(pair.service, "a.x", NULL), 1);
                ck_assert_int_eq(ferry_service_notify(pair.service, "c.x", NULL), 0);
                ck_assert_int_eq(ferry_service_notify(pair.service, "b.x.y", NULL), 1);
                pair_report(&pair, "errors");
                ck_assert_str_eq(heard, "a.kept a.x b.x.y ");
                ck_assert_int_eq(ferry_session_unsubscribe(pair.us, "b.>"), 0);
                pair_report(&pair, "errors");
                ck_assert_int_eq(ferry_service_notify(pair.service, "b.x.y", NULL), 0);
        }
        /* The session goes on. */
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Send", "{count: 1, size: 1}"), 0);
        pair_report(&pair, "errors");
        ck_assert_ptr_nonnull(strstr(heard, "App\\Load "));
        pair_close(&pair);
}
END_TEST

START_TEST(a_service_is_described)
{
        struct pair pair;
        ferry_call *call;
        const ferry_value *list;

        open_pair(&pair, _i);
        if (pair.service)
                ferry_service_describe(pair.service, "App\\Echo", "any", "the same", "Sends it back.");
        call = ferry_session_describe(pair.us, SAFETY_MS);
        ferry_call_await(call);
        if (!pair.is_ferry) {
                ck_assert_int_eq(ferry_call_status(call), -EOPNOTSUPP);
        } else if (!pair.service) {
                ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
                ck_assert_str_eq(ferry_call_error(call), "not taken: not a service: it has no description");
        } else {
                ck_assert_msg(ferry_call_status(call) == 0, "%s", ferry_call_error(call));
                list = ferry_message_body(ferry_call_reply(call));
                ck_assert_uint_eq(ferry_value_count(list), 1);
                ck_assert_str_eq(ferry_value_text(ferry_value_get(ferry_value_at(list, 0), "text"), ""), "Sends it back.");
        }
        ferry_call_free(call);
        pair_report(&pair, "errors");
        ck_assert_str_eq(heard, "");
        pair_close(&pair);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(subscriptions_select_what_a_service_sends, PAIRS),
        SUITE_LOOP(a_service_is_described, PAIRS),
};

SUITE_MAIN("conformance-subscriptions", tests)
