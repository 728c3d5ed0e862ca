/* Handlers by type: which of them gets a message, in which order, what a request of a type without a handler is answered with,
 * and that they may come and go at any time. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What happened, a letter each. */
static char events[64];

static int see(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        SUITE_CHECK(strlen(events) < sizeof events - 1, "too many events");
        strcat(events, userdata);
        return 0;
}

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        see(session, request, userdata);
        return ferry_message_reply(request, NULL, "%s", (const char *)userdata) < 0 ? -EIO : 1;
}

/* A service without handlers, and a client of it in a dialect. */
struct meeting {
        struct place place;
        ferry_service *service;
        ferry_session *client;
};

static void open_meeting(struct meeting *meeting, unsigned dialect)
{
        events[0] = '\0';
        open_place(&meeting->place);
        meeting->service = ferry_service_open(meeting->place.loop, meeting->place.address,
                                              &(ferry_service_options){ .dialects = dialect });
        SUITE_CHECK(ferry_service_status(meeting->service) == 1, "%s", ferry_service_error(meeting->service));
        meeting->client = ferry_session_open(meeting->place.loop, meeting->place.address,
                                             &(ferry_session_options){ .dialect = dialect });
}

static void close_meeting(struct meeting *meeting)
{
        close_place(&meeting->place);
}

static void ask(struct meeting *meeting, const char *type, const char *expected)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(meeting->client, SAFETY_MS, type, NULL);
        const ferry_message *reply = ferry_call_await(call);

        ck_assert_msg(reply != NULL, "%s: %s", type, ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(reply), expected);
}

/* The request is answered with this error. */
static void require_error(struct meeting *meeting, const char *type, const char *sentence)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(meeting->client, SAFETY_MS, type, NULL);

        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_REPLIED);
        ck_assert_str_eq(ferry_call_error(call), sentence);
}

static void notify(struct meeting *meeting, const char *type)
{
        ck_assert_int_eq(ferry_session_notify(meeting->client, type, NULL), 0);
        ck_assert_int_eq(ferry_session_flush(meeting->client, SAFETY_MS), 0);
}

START_TEST(a_message_goes_to_the_handler_of_its_type)
{
        struct meeting meeting;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, "set", answer, "s");
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, "get", answer, "g");
        ferry_service_on_type(meeting.service, FERRY_KIND_NOTIFICATION, "get", see, "n");
        ferry_service_on_type(meeting.service, FERRY_KIND_MESSAGE, "", answer, "e");
        ask(&meeting, "get", "g");
        ask(&meeting, "set", "s");
        ask(&meeting, "", "e");
        notify(&meeting, "get");
        notify(&meeting, "set");
        ck_assert_str_eq(events, "gsen");
        close_meeting(&meeting);
}
END_TEST

START_TEST(handlers_by_type_come_before_the_others)
{
        struct meeting meeting;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        ferry_service_on(meeting.service, FERRY_KIND_REQUEST, answer, "c");
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, "get", see, "a");
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, "get", see, "b");
        ask(&meeting, "get", "c");
        ck_assert_str_eq(events, "abc");
        ask(&meeting, "other", "c");
        ck_assert_str_eq(events, "abcc");
        close_meeting(&meeting);
}
END_TEST

static int add_to_client(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message;
        ferry_session_on(session, FERRY_KIND_REQUEST, see, "d");
        ferry_session_on_type(session, FERRY_KIND_REQUEST, "get", see, "c");
        if (userdata)
                ferry_session_on_type(session, FERRY_KIND_REQUEST, userdata, see, "x");
        return 0;
}

/* First those of the session, then those of the service. */
START_TEST(a_session_has_handlers_by_type_of_its_own)
{
        struct meeting meeting;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        ferry_service_on(meeting.service, FERRY_KIND_OPENED, add_to_client, "only-here");
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, "get", answer, "e");
        ask(&meeting, "get", "e");
        ck_assert_str_eq(events, "cde");
        require_error(&meeting, "put", "the receiver has no handler for the request 'put'; it has handlers for 'get', 'only-here'");
        close_meeting(&meeting);
}
END_TEST

START_TEST(a_request_without_a_handler_is_answered_with_the_types_that_have_one)
{
        struct meeting meeting;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        require_error(&meeting, "put", "the receiver has no handler for the request 'put'");
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, "set", answer, "s");
        ferry_service_on_type(meeting.service, FERRY_KIND_NOTIFICATION, "note", see, "n");
        ferry_service_on_type(meeting.service, FERRY_KIND_MESSAGE, "get", answer, "g");
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, "lazy", see, "l");
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, "gone", answer, "x");
        ferry_service_off_type(meeting.service, "gone", answer, "x");
        require_error(&meeting, "put", "the receiver has no handler for the request 'put'; it has handlers for 'set', 'get', 'lazy'");
        require_error(&meeting, "note", "the receiver has no handler for the request 'note'; it has handlers for 'set', 'get', 'lazy'");
        /* It has one, which does not answer. */
        require_error(&meeting, "lazy", "the receiver has no handler for the request 'lazy'");
        ck_assert_str_eq(events, "l");
        /* A handler of all types may settle it. */
        ferry_service_on(meeting.service, FERRY_KIND_REQUEST, answer, "a");
        ask(&meeting, "put", "a");
        ferry_service_off(meeting.service, answer, "a");
        ferry_service_off(meeting.service, answer, "s");
        ferry_service_off(meeting.service, answer, "g");
        ferry_service_off(meeting.service, see, "l");
        require_error(&meeting, "put", "the receiver has no handler for the request 'put'");
        close_meeting(&meeting);
}
END_TEST

/* Many types, a long one, and a request of a long type: the answer stays short, and no type is cut. */
START_TEST(a_list_of_types_is_bounded)
{
        struct meeting meeting;
        ferry_call *call;
        char type[70000];
        const char *sentence;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        for (int i = 0; i < 1000; i++) {
                snprintf(type, sizeof type, "type-%03d-%040d", i, i);
                ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, type, answer, "a");
        }
        memset(type, 'x', 65535);
        type[65535] = '\0';
        call = ferry_session_request(meeting.client, SAFETY_MS, type, NULL);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        sentence = ferry_call_error(call);
        ck_assert_uint_lt(strlen(sentence), 1000);
        ck_assert_ptr_nonnull(strstr(sentence, "xxx'; it has handlers for 'type-000-0000000000000000000000000000000000000000', 'type-001-"));
        ck_assert_str_eq(sentence + strlen(sentence) - strlen("' and others"), "' and others");
        ferry_call_free(call);
        ask(&meeting, "type-999-0000000000000000000000000000000000000999", "a");
        close_meeting(&meeting);

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, type, answer, "a");
        ask(&meeting, type, "a");
        require_error(&meeting, "put", "the receiver has no handler for the request 'put'");
        close_meeting(&meeting);
}
END_TEST

/* In stream-ipc the type is a class, and the answer an error, too. */
START_TEST(classes_are_types)
{
        struct meeting meeting;

        open_meeting(&meeting, FERRY_DIALECT_STREAM_IPC);
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, FERRY_LOG_MESSAGE, see, "l");
        ferry_service_on(meeting.service, FERRY_KIND_REQUEST, echo, NULL);
        require_echo(meeting.client);
        ferry_service_off(meeting.service, echo, NULL);
        require_error(&meeting, "App\\Put",
                      "the receiver has no handler for the request 'App\\Put'; it has handlers for 'StreamIpc\\Message\\LogMessage'");
        ck_assert_str_eq(events, "");
        require_error(&meeting, FERRY_LOG_MESSAGE, "the receiver has no handler for the request 'StreamIpc\\Message\\LogMessage'");
        ck_assert_str_eq(events, "l");
        close_meeting(&meeting);
}
END_TEST

/* Where no message says that it is a request, and there are no errors: what no handler takes stays unanswered, and the session
 * goes on. */
START_TEST(dialects_without_errors_keep_their_rules)
{
        static const struct {
                unsigned dialect;
                const char *known, *unknown;
        } dialects[] = { { FERRY_DIALECT_PCNTL, "known", "unknown" }, { FERRY_DIALECT_INNMIND, "text/plain", "text/html" } };
        ferry_loop *loop = ferry_loop_new(NULL);
        struct meeting meeting;
        ferry_session *us, *them;
        int fds[2];

        events[0] = '\0';
        if (dialects[_i].dialect == FERRY_DIALECT_INNMIND) {
                open_meeting(&meeting, FERRY_DIALECT_INNMIND);
                us = meeting.client;
                ferry_service_on_type(meeting.service, FERRY_KIND_MESSAGE, dialects[_i].known, answer, "k");
                ferry_service_on_type(meeting.service, FERRY_KIND_NOTIFICATION, dialects[_i].unknown, see, "n");
        } else {
                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
                us = ferry_session_open(loop, NULL, &(ferry_session_options){ .dialect = dialects[_i].dialect,
                                                                              .fds = (const int[]){ fds[0], fds[0], -1 } });
                them = ferry_session_open(loop, NULL, &(ferry_session_options){ .dialect = dialects[_i].dialect,
                                                                                .fds = (const int[]){ fds[1], fds[1], -1 } });
                ferry_session_on_type(them, FERRY_KIND_MESSAGE, dialects[_i].known, answer, "k");
                ferry_session_on_type(them, FERRY_KIND_NOTIFICATION, dialects[_i].unknown, see, "n");
        }
        for (int i = 0; i < 2; i++) {
                FERRY_AUTO(ferry_call) call = NULL;

                ck_assert_int_eq(ferry_session_notify(us, dialects[_i].unknown, "'x'"), 0);
                call = ferry_session_request(us, SAFETY_MS, dialects[_i].known, "'x'");
                ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        }
        ck_assert_str_eq(events, "nknk");
        if (dialects[_i].dialect == FERRY_DIALECT_INNMIND)
                close_meeting(&meeting);
        ferry_loop_free(loop);
}
END_TEST

/* Queued for ferry_session_next(): notifications of that type, which are never dropped. */
START_TEST(a_type_may_be_fetched)
{
        struct meeting meeting;
        const ferry_message *message;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        ferry_session_on_type(meeting.client, FERRY_KIND_NOTIFICATION, "price", NULL, NULL);
        ferry_session_on(meeting.client, FERRY_KIND_NOTIFICATION, see, "o");
        settle(&meeting.place);
        ck_assert_int_eq(ferry_service_notify(meeting.service, "other", NULL), 1);
        ck_assert_int_eq(ferry_service_notify(meeting.service, "price", "%d", 7), 1);
        message = ferry_session_next(meeting.client, SAFETY_MS);
        ck_assert_str_eq(ferry_message_type(message), "price");
        ck_assert_int_eq(ferry_value_int(ferry_message_body(message), 0), 7);
        ck_assert_str_eq(events, "o");
        close_meeting(&meeting);
}
END_TEST

/* Coming and going ------------------------------------------------------------------------------------------- */

static int go(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_service *service = ferry_session_service(session);

        see(session, message, userdata);
        ferry_service_off_type(service, ferry_message_type(message), go, userdata);
        ferry_service_off_type(service, ferry_message_type(message), see, "b");
        ferry_service_on_type(service, FERRY_KIND_NOTIFICATION, ferry_message_type(message), see, "c");
        return 0;
}

START_TEST(a_handler_by_type_removes_itself_and_the_next)
{
        struct meeting meeting;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        ferry_service_on_type(meeting.service, FERRY_KIND_NOTIFICATION, "t", go, "a");
        ferry_service_on_type(meeting.service, FERRY_KIND_NOTIFICATION, "t", see, "b");
        notify(&meeting, "t");
        ck_assert_str_eq(events, "ac");
        notify(&meeting, "t");
        ck_assert_str_eq(events, "acc");
        close_meeting(&meeting);
}
END_TEST

static int end_here(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct meeting *meeting = userdata;

        see(session, message, "e");
        switch (ferry_message_type(message)[0]) {
        case 's':
                ferry_session_off_type(session, "session", end_here, userdata);
                ferry_session_free(session);
                break;
        case 'v':
                ferry_service_off(meeting->service, end_here, userdata);
                meeting->service = ferry_service_free(meeting->service);
                break;
        default:
                meeting->place.loop = ferry_loop_free(meeting->place.loop);
        }
        return 0;
}

static int add_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message;
        ferry_session_on_type(session, FERRY_KIND_NOTIFICATION, "session", end_here, userdata);
        return 0;
}

START_TEST(a_handler_by_type_frees_what_called_it)
{
        static const char *const types[] = { "session", "vice", "loop" };
        struct meeting meeting;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        ferry_service_on(meeting.service, FERRY_KIND_OPENED, add_end, &meeting);
        for (int i = 1; i < 3; i++) {
                ferry_service_on_type(meeting.service, FERRY_KIND_NOTIFICATION, types[i], end_here, &meeting);
                ferry_service_on_type(meeting.service, FERRY_KIND_NOTIFICATION, types[i], see, "");
        }
        ferry_session_notify(meeting.client, types[_i], NULL);
        while (!*events)
                ferry_loop_tick(meeting.place.loop, SAFETY_MS);
        ck_assert_str_eq(events, "e");
        if (meeting.place.loop)
                settle(&meeting.place);
        close_meeting(&meeting);
}
END_TEST

/* A program that has a handler for each job, and removes it with the job. */
START_TEST(a_type_without_handlers_takes_no_memory)
{
        struct meeting meeting;
        size_t blocks = 0;
        char type[32];

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        settle(&meeting.place);
        for (int i = 0; i < 1000; i++) {
                snprintf(type, sizeof type, "job-%d", i);
                ferry_session_on_type(meeting.client, FERRY_KIND_NOTIFICATION, type, see, "a");
                ferry_session_on_type(meeting.client, FERRY_KIND_NOTIFICATION, type, see, "b");
                ferry_session_off_type(meeting.client, type, see, "a");
                if (i % 2)
                        ferry_session_off(meeting.client, see, "b");
                else
                        ferry_session_off_type(meeting.client, type, see, "b");
                if (i == 0)
                        blocks = door_counts.blocks;
        }
        ck_assert_uint_eq(door_counts.blocks, blocks);
        close_meeting(&meeting);
}
END_TEST

/* Misuse ----------------------------------------------------------------------------------------------------- */

START_TEST(a_handler_by_type_needs_a_type)
{
        struct meeting meeting;

        open_meeting(&meeting, FERRY_DIALECT_FERRY);
        ferry_session_off_type(meeting.client, NULL, see, "a");
        ferry_session_off_type(meeting.client, "none", see, "a");
        ferry_service_off_type(meeting.service, NULL, see, "a");
        ck_assert_int_eq(ferry_session_status(meeting.client), 1);
        ferry_session_on_type(meeting.client, FERRY_KIND_REQUEST, NULL, see, "a");
        ck_assert_int_eq(ferry_session_status(meeting.client), -EINVAL);
        ck_assert_str_eq(ferry_session_error(meeting.client),
                         "a handler by type needs a type: ferry_session_on() adds a handler for all types");
        ferry_service_on_type(meeting.service, FERRY_KIND_REQUEST, NULL, see, "a");
        ck_assert_int_eq(ferry_service_status(meeting.service), -EINVAL);
        ck_assert_str_eq(ferry_service_error(meeting.service),
                         "a handler by type needs a type: ferry_service_on() adds a handler for all types");
        ferry_session_on_type(NULL, FERRY_KIND_REQUEST, "t", see, "a");
        ferry_session_off_type(NULL, "t", see, "a");
        ferry_service_on_type(NULL, FERRY_KIND_REQUEST, "t", see, "a");
        ferry_service_off_type(NULL, "t", see, "a");
        close_meeting(&meeting);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_message_goes_to_the_handler_of_its_type),
        SUITE_TEST(handlers_by_type_come_before_the_others),
        SUITE_TEST(a_session_has_handlers_by_type_of_its_own),
        SUITE_TEST(a_request_without_a_handler_is_answered_with_the_types_that_have_one),
        SUITE_TEST(a_list_of_types_is_bounded),
        SUITE_TEST(classes_are_types),
        SUITE_LOOP(dialects_without_errors_keep_their_rules, 2),
        SUITE_TEST(a_type_may_be_fetched),
        SUITE_TEST(a_handler_by_type_removes_itself_and_the_next),
        SUITE_LOOP(a_handler_by_type_frees_what_called_it, 3),
        SUITE_TEST(a_type_without_handlers_takes_no_memory),
        SUITE_TEST(a_handler_by_type_needs_a_type),
};

SUITE_MAIN("types", tests)
