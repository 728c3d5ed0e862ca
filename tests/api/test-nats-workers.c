/* Workers at a subject of a NATS server, which this process plays: what becomes of requests that they refuse. */
#include "support/nats-server.h"

#include <errno.h>
#include <stdlib.h>

static ferry_manager *manager;
static ferry_session_options of_session;

static void connect_to(const char *address, ferry_remote_options options)
{
        listener = listen_anywhere(url);
        loop = ferry_loop_new(NULL);
        manager = ferry_manager_new(loop, NULL);
        of_session.nats_url = url;
        options.session = &of_session;
        ck_assert_int_eq(ferry_manager_connect(manager, address, &options), 0);
        server = accept_at(listener);
        take_login("");
}

static void end(void)
{
        ferry_manager_free(manager);
        ferry_loop_free(loop);
        close(server);
        close(listener);
}

static ferry_call *give(const char *body)
{
        return ferry_manager_request(manager, PATIENCE_MS, "x", "%s", body);
}

/* The inbox of the request with that body; it stands in the line before that. */
static void find_request(const char *body, char inbox[INBOX_MAX])
{
        char ending[TEXT_MAX], *at;

        snprintf(ending, sizeof ending, "\r\n\r\n%s\r\n", body);
        at = (char *)(uintptr_t)hear(ending);
        while (at > heard && strncmp(at, "HPUB ", 5) != 0)
                at--;
        ck_assert_int_eq(sscanf(at, "HPUB %*s %79s", inbox), 1);
}

static void refuse(const char *inbox)
{
        char text[256];

        snprintf(text, sizeof text, "HMSG %s 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", inbox);
        say(text);
}

START_TEST(refused_requests_are_given_again_in_their_order)
{
        static const char *const bodies[] = { "one", "two", "three" };
        char inboxes[3][INBOX_MAX], inbox[INBOX_MAX];
        ferry_call *calls[3];
        const char *reply;

        connect_to("nats:shout", (ferry_remote_options){ .busy_timeout_ms = -1 });
        for (int i = 0; i < 3; i++)
                calls[i] = give(bodies[i]);
        for (int i = 0; i < 3; i++)
                find_request(bodies[i], inboxes[i]);
        forget_heard();
        for (int i = 0; i < 3; i++)
                refuse(inboxes[i]);
        /* The first is refused once more, alone. */
        find_request(bodies[0], inbox);
        forget_heard();
        refuse(inbox);
        for (int i = 0; i < 3; i++) {
                find_request(bodies[i], inbox);
                answer(inbox, "", bodies[i]);
                reply = ferry_value_text(ferry_message_body(ferry_call_await(calls[i])), "");
                ck_assert_str_eq(reply, bodies[i]);
                ferry_call_free(calls[i]);
        }
        ck_assert(hear("one\r\n") < hear("two\r\n") && hear("two\r\n") < hear("three\r\n"));
        end();
}

/* What strangers answer that describes no service at nats:shout, … */
static const char *const wrong_infos[] = {
        "",
        "junk",
        "[]",
        "{\"name\":1}",
        "{\"name\":\"a\"}",
        "{\"name\":\"a\",\"endpoints\":7}",
        "{\"name\":\"a\",\"endpoints\":{\"subject\":\"shout\"}}",
        "{\"name\":\"a\",\"endpoints\":[null,1,{},{\"subject\":1},{\"subject\":\"sh*\"},{\"subject\":\"\"}]}",
        "{\"name\":\"a\",\"endpoints\":[{\"subject\":\"shout.*\"},{\"subject\":\"a..b\"},{\"subject\":\"Shout\"}]}",
        "{\"name\":\"a.b\",\"endpoints\":[{\"subject\":\"shout\"}]}",
        "{\"name\":\"*\",\"endpoints\":[{\"subject\":\"shout\"}]}",
        "{\"name\":\"a b\",\"endpoints\":[{\"subject\":\"shout\"}]}",
        "{\"name\":\"a\\r\\nPUB x 0\",\"endpoints\":[{\"subject\":\"shout\"}]}",
};

/* … and what does. */
static const char *const infos[] = {
        "{\"name\":\"other\",\"endpoints\":[{\"subject\":\"x\"},{\"subject\":\"shout\"}]}",
        "{\"name\":\"other\",\"endpoints\":[{\"subject\":\"*\"}]}",
        "{\"name\":\"other\",\"endpoints\":[{\"subject\":\">\"}]}",
};

/* The next connection, whose first message that is. */
static void accept_question(const char *subject, char inbox[INBOX_MAX])
{
        char line[TEXT_MAX];

        server = accept_at(listener);
        take_login("");
        snprintf(line, sizeof line, "HPUB %s ", subject);
        ck_assert_int_eq(sscanf(hear(line), "HPUB %*s %79s", inbox), 1);
}

START_TEST(an_instance_at_the_subject_is_found_by_what_it_says_of_itself)
{
        char inbox[INBOX_MAX];
        ferry_call *call;
        int first, pinger, gatherer;

        of_session.wait_ms = 20;
        connect_to("nats:shout", (ferry_remote_options){ .busy_timeout_ms = -1 });
        first = server;
        call = give("one");
        find_request("one", inbox);
        forget_heard();
        refuse(inbox);
        accept_question("$SRV.PING.shout", inbox);
        pinger = server;
        refuse(inbox);
        accept_question("$SRV.INFO", inbox);
        gatherer = server;
        for (size_t i = 0; i < sizeof wrong_infos / sizeof *wrong_infos; i++)
                answer(inbox, "", wrong_infos[i]);
        answer(inbox, "", infos[_i]);
        /* It is known when the name that was asked for is left; the request may have come before. */
        server = pinger;
        while (hear_more())
                tick();
        server = first;
        forget_heard();
        find_request("one", inbox);
        forget_heard();
        refuse(inbox);
        /* That name is asked for from now on. */
        accept_question("$SRV.PING.other", inbox);
        answer(inbox, "", "{}");
        close(server);
        server = first;
        find_request("one", inbox);
        answer(inbox, "", "two");
        ck_assert_ptr_nonnull(ferry_call_await(call));
        ferry_call_free(call);
        close(pinger);
        close(gatherer);
        end();
}

START_TEST(a_manager_knows_the_sessions_with_its_workers)
{
        ferry_session *first;
        ferry_call *call;

        connect_to("nats:shout", (ferry_remote_options){ 0 });
        first = ferry_manager_session(manager, NULL);
        ck_assert_str_eq(ferry_session_address(first), "nats:shout");
        ck_assert_int_eq(ferry_session_status(first), 1);
        ck_assert_ptr_null(ferry_manager_session(manager, first));
        ck_assert_int_eq(ferry_manager_connect(manager, "nats:other", &(ferry_remote_options){ .session = &of_session }), 0);
        ck_assert_str_eq(ferry_session_address(ferry_manager_session(manager, first)), "nats:other");
        /* One that is freed leaves once it is closed. */
        ferry_session_free(first);
        close(server);
        while (ferry_manager_session(manager, NULL) == first)
                tick();
        ck_assert_str_eq(ferry_session_address(ferry_manager_session(manager, NULL)), "nats:other");
        ck_assert_ptr_null(ferry_manager_session(manager, first));
        server = accept_at(listener);
        call = give("none");
        ferry_session_free(ferry_manager_session(manager, NULL));
        close(server);
        while (ferry_manager_session(manager, NULL))
                tick();
        server = -1;
        ck_assert_ptr_null(ferry_manager_session(NULL, NULL));
        ferry_call_await(call);
        ck_assert_int_eq(ferry_call_status(call), -ECHILD);
        ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "no worker is left to take the request"));
        ferry_call_free(call);
        end();
}

START_TEST(a_request_behind_the_end_of_all_sessions_ends_at_once)
{
        ferry_call *call;

        connect_to("nats:shout", (ferry_remote_options){ 0 });
        say("-ERR 'Authorization Violation'\r\n");
        while (ferry_session_status(ferry_manager_session(manager, NULL)) == 1)
                tick();
        for (int i = 0; i < 2; i++) {
                call = ferry_manager_request(manager, PATIENCE_MS, "x", "'late'");
                ferry_call_await(call);
                ck_assert_int_eq(ferry_call_status(call), -ECHILD);
                ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
                ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "no worker is left to take the request: "));
                ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "Authorization Violation"));
                ferry_call_free(call);
        }
        /* Others may take their place. */
        close(server);
        ck_assert_int_eq(ferry_manager_connect(manager, "nats:shout", &(ferry_remote_options){ .session = &of_session }), 0);
        server = accept_at(listener);
        call = give("one");
        ck_assert_int_eq(ferry_call_status(call), 1);
        ferry_call_free(call);
        end();
}

static const struct suite_test tests[] = {
        SUITE_TEST(refused_requests_are_given_again_in_their_order),
        SUITE_LOOP(an_instance_at_the_subject_is_found_by_what_it_says_of_itself, sizeof infos / sizeof *infos),
        SUITE_TEST(a_manager_knows_the_sessions_with_its_workers),
        SUITE_TEST(a_request_behind_the_end_of_all_sessions_ends_at_once),
};

SUITE_MAIN("nats-workers", tests)
