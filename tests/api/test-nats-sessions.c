/* Sessions with a NATS server that this process plays: connections that are lost and begun again, and what becomes of requests then;
 * requests that a process accepts, and its silence; the end of a listener. */
#include "support/nats-server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RELUCTANT = 8, STUBBORN = 15 };

static ferry_session *session;
static char events[TEXT_MAX];           /* a letter for each */

/* The session ------------------------------------------------------------------------------------------- */

static int note(ferry_session *one, const ferry_message *message, void *userdata)
{
        static const struct {
                enum ferry_kind kind;
                char letter;
        } letters[] = { { FERRY_KIND_OPENED, 'o' }, { FERRY_KIND_LOST, 'l' }, { FERRY_KIND_RESUMED, 'r' }, { FERRY_KIND_CLOSED, 'c' } };
        size_t size = strlen(events);

        (void)one, (void)userdata;
        for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
                if (ferry_message_kind(message) == letters[i].kind && size + 1 < sizeof events) {
                        events[size] = letters[i].letter;
                        events[size + 1] = '\0';
                }
        return 0;
}

static void await_events(const char *expected)
{
        for (int i = 0; i < PATIENCE_MS / 5 && strcmp(events, expected) != 0; i++)
                tick();
        ck_assert_str_eq(events, expected);
}

static void open_session(ferry_session_options options)
{
        listener = listen_anywhere(url);
        loop = ferry_loop_new(NULL);
        options.nats_url = url;
        session = ferry_session_open(loop, "nats:shout", &options);
        ferry_session_on(session, FERRY_KIND_OPENED | FERRY_KIND_LOST | FERRY_KIND_RESUMED | FERRY_KIND_CLOSED, note, NULL);
        server = accept_at(listener);
        take_login("");
        await_events("o");
}

static void end(void)
{
        ferry_session_free(session);
        ferry_loop_free(loop);
        close(server);
        close(listener);
}

static ferry_call *ask_server(int timeout_ms)
{
        return ferry_session_request(session, timeout_ms, "x", "'hello'");
}

static void await_end(ferry_call *call, int status, enum ferry_outcome outcome, const char *sentence)
{
        ferry_call_await(call);
        ck_assert_msg(ferry_call_status(call) == status, "%d: %s", ferry_call_status(call), ferry_call_error(call));
        ck_assert_int_eq(ferry_call_outcome(call), outcome);
        ck_assert_msg(strstr(ferry_call_error(call), sentence) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
}

START_TEST(a_lost_session_connects_again_with_another_inbox)
{
        char first[INBOX_MAX], second[INBOX_MAX];
        ferry_call *call;

        open_session((ferry_session_options){ .reconnect_ms = -1 });
        call = ask_server(PATIENCE_MS);
        find_reply(first);
        close(server);
        await_end(call, -ECONNRESET, FERRY_OUTCOME_UNKNOWN, "NATS server");
        await_events("ol");
        /* What is sent meanwhile waits behind the login. */
        ck_assert_int_eq(ferry_session_notify(session, "late", "'note'"), 0);
        call = ask_server(PATIENCE_MS);
        server = accept_at(listener);
        hear_more();
        ck_assert_uint_eq(heard_size, 0);
        take_login("");
        hear("Ferry-Type: late\r\n");
        find_reply(second);
        await_events("olr");
        ck_assert_str_ne(first, second);
        answer(second, "", "HELLO");
        ck_assert_ptr_nonnull(ferry_call_await(call));
        ferry_call_free(call);
        end();
}

START_TEST(a_request_that_was_not_written_is_not_executed_behind_a_loss)
{
        char inbox[INBOX_MAX];
        ferry_call *written, *held;

        open_session((ferry_session_options){ .reconnect_ms = -1 });
        written = ask_server(PATIENCE_MS);
        find_reply(inbox);
        ferry_session_hold(session);
        held = ask_server(PATIENCE_MS);
        ck_assert_int_eq(ferry_session_notify(session, "held", "'note'"), 0);
        close(server);
        await_end(written, -ECONNRESET, FERRY_OUTCOME_UNKNOWN, "");
        hear_more();
        /* The wait has let go of what was held, if the loss was not seen first. */
        ferry_call_await(held);
        ck_assert_int_eq(ferry_call_status(held), -ECONNRESET);
        ferry_call_free(held);
        server = accept_at(listener);
        take_login("");
        await_events("olr");
        ck_assert_uint_eq(count_heard("HPUB shout _INBOX"), 0);
        /* And while there is no connection. */
        close(server);
        await_events("olrl");
        close(listener);
        written = ask_server(20);
        await_end(written, -ETIMEDOUT, FERRY_OUTCOME_NOT_EXECUTED, "not connected");
        server = listener = -1;
        end();
}

START_TEST(a_session_tries_again_when_a_server_does_not_take_it)
{
        open_session((ferry_session_options){ .reconnect_ms = -1, .is_listening = true });
        close(server);
        await_events("ol");
        server = accept_at(listener);
        close(server);
        server = accept_at(listener);
        say("INFO {\"headers\":true}\r\n");
        hear("SUB shout ferry 2\r\nPING\r\n");
        say("-ERR 'Maximum Connections Exceeded'\r\n");
        close(server);
        server = accept_at(listener);
        take_login("");
        ck_assert_uint_eq(count_heard("CONNECT"), 1);
        ck_assert_uint_eq(count_heard("SUB shout ferry 2\r\n"), 1);
        await_events("olr");
        /* One that refuses the login does so every time. */
        close(server);
        await_events("olrl");
        server = accept_at(listener);
        say("INFO {\"headers\":true}\r\n");
        hear("PING\r\n");
        say("-ERR 'Authorization Violation'\r\n");
        await_events("olrlc");
        ck_assert_int_eq(ferry_session_status(session), -EACCES);
        end();
}

/* The other one of two servers, after the session has come to one of them. Which is the first is chance. */
static int accept_first_of(const int listeners[2])
{
        for (int i = 0; i < PATIENCE_MS / 5; i++) {
                for (int which = 0; which < 2; which++) {
                        int fd = accept4(listeners[which], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                        if (fd < 0)
                                continue;
                        server = fd;
                        forget_heard();
                        return listeners[!which];
                }
                tick();
        }
        ck_abort_msg("nothing connects");
        return -1;
}

static int open_at_two(int listeners[2])
{
        char first[TEXT_MAX], second[TEXT_MAX], both[2 * TEXT_MAX];

        /* Whether the machine has the module is of no interest. */
        ck_assert_int_eq(setenv("FERRY_TLS_MODULE", "/nonexistent", 1), 0);
        listeners[0] = listen_anywhere(first);
        listeners[1] = listen_anywhere(second);
        snprintf(both, sizeof both, "%s,%s", first, second);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, "nats:shout", &(ferry_session_options){ .nats_url = both });
        return accept_first_of(listeners);
}

static void end_two(const int listeners[2])
{
        ferry_session_free(session);
        ferry_loop_free(loop);
        close(server);
        close(listeners[0]);
        close(listeners[1]);
}

/* What a server says that does not take a session; NULL: it closes the connection at once. And what that means where no other one is
 * left. */
static const struct {
        const char *greeting, *error;
        int code;
} reluctant[RELUCTANT] = {
        { NULL, NULL, -ECONNRESET },
        { "HTTP/1.1 400 Bad Request\r\n\r\n", NULL, -EBADMSG },
        { "INFO {\"headers\":true,\"tls_required\":true}\r\n", NULL, -EOPNOTSUPP },
        { "INFO {}\r\n", NULL, -EOPNOTSUPP },
        { "INFO {\"headers\":true}\r\n", "-ERR 'maximum connections exceeded'\r\n", -EBUSY },
        { "INFO {\"headers\":true}\r\n", "-ERR 'Authorization Violation'\r\n", -EACCES },
        { "INFO {\"headers\":true}\r\n", "-ERR 'Server Shutdown'\r\n", -ECONNRESET },
        { "INFO {\"headers\":true}\r\n", NULL, -ECONNRESET },
};

static void be_reluctant(int which)
{
        if (reluctant[which].greeting)
                say(reluctant[which].greeting);
        if (reluctant[which].greeting && reluctant[which].code != -EBADMSG && reluctant[which].code != -EOPNOTSUPP)
                hear("PING\r\n");
        if (reluctant[which].error)
                say(reluctant[which].error);
        close(server);
        server = -1;
}

START_TEST(a_session_leaves_a_server_that_does_not_take_it_for_another_one)
{
        char inbox[INBOX_MAX];
        int listeners[2], other = open_at_two(listeners);
        ferry_call *call = ask_server(PATIENCE_MS);

        be_reluctant(_i);
        server = accept_at(other);
        take_login("");
        find_reply(inbox);
        ck_assert_uint_eq(count_heard("CONNECT"), 1);
        ck_assert_uint_eq(count_heard("SUB _INBOX"), 1);
        ck_assert_uint_eq(count_heard("HPUB"), 1);
        answer(inbox, "", "HELLO");
        ck_assert_ptr_nonnull(ferry_call_await(call));
        ferry_call_free(call);
        end_two(listeners);
}

START_TEST(a_session_that_no_server_takes_ends_with_the_reason_of_the_last)
{
        int listeners[2], other = open_at_two(listeners);
        ferry_call *call = ask_server(PATIENCE_MS);

        be_reluctant((_i + 1) % RELUCTANT);
        server = accept_at(other);
        be_reluctant(_i);
        await_end(call, reluctant[_i].code, FERRY_OUTCOME_NOT_EXECUTED, "");
        ck_assert_int_eq(ferry_session_status(session), reluctant[_i].code);
        end_two(listeners);
}

/* A server that is down, and one that does not take the login, which is named so often that it is the last one of nearly every round. */
struct mixed {
        int down, refusing;
        int held;               /* keeps the port of the one that is down */
        struct sockaddr_in name;
        char places[(STUBBORN + 1) * TEXT_MAX];
};

static int bind_again(const struct sockaddr_in *name)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)name, sizeof *name), 0);
        return fd;
}

static void make_mixed(struct mixed *mixed)
{
        char refusing[TEXT_MAX];
        socklen_t size = sizeof mixed->name;

        mixed->name = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        mixed->held = bind_again(&mixed->name);
        ck_assert_int_eq(getsockname(mixed->held, (struct sockaddr *)&mixed->name, &size), 0);
        mixed->down = -1;
        mixed->refusing = listen_anywhere(refusing);
        size = (socklen_t)snprintf(mixed->places, sizeof mixed->places, "nats://127.0.0.1:%u", (unsigned)ntohs(mixed->name.sin_port));
        for (int i = 0; i < STUBBORN; i++)
                size += (socklen_t)snprintf(mixed->places + size, sizeof mixed->places - size, ",%s", refusing);
        loop = ferry_loop_new(NULL);
}

static void bring_up(struct mixed *mixed)
{
        mixed->down = bind_again(&mixed->name);
        ck_assert_int_eq(listen(mixed->down, 4), 0);
}

static void open_mixed(struct mixed *mixed, ferry_session_options options)
{
        options.nats_url = mixed->places;
        session = ferry_session_open(loop, "nats:shout", &options);
        ferry_session_on(session, FERRY_KIND_OPENED | FERRY_KIND_LOST | FERRY_KIND_RESUMED | FERRY_KIND_CLOSED, note, NULL);
}

static void refuse_login(int at)
{
        server = accept_at(at);
        say("INFO {\"headers\":true}\r\n");
        hear("PING\r\n");
        say("-ERR 'Authorization Violation'\r\n");
        close(server);
        server = -1;
}

/* Until the other server takes the session. */
static void refuse_until(struct mixed *mixed, const char *expected)
{
        for (int i = 0; i <= 2 * STUBBORN && server < 0; i++) {
                struct pollfd polls[2] = { { .fd = mixed->down, .events = POLLIN }, { .fd = mixed->refusing, .events = POLLIN } };

                while (poll(polls, 2, 0) == 0)
                        tick();
                if (polls[0].revents)
                        server = accept_at(mixed->down);
                else
                        refuse_login(mixed->refusing);
        }
        ck_assert_int_ge(server, 0);
        take_login("");
        await_events(expected);
}

static void end_mixed(struct mixed *mixed)
{
        ferry_session_free(session);
        ferry_loop_free(loop);
        close(server);
        close(mixed->down);
        close(mixed->held);
        close(mixed->refusing);
}

/* Where the only server that takes it is the one that can be taken down. */
static void open_at_the_last(struct mixed *mixed)
{
        make_mixed(mixed);
        bring_up(mixed);
        open_mixed(mixed, (ferry_session_options){ .reconnect_ms = -1 });
        server = -1;
        refuse_until(mixed, "o");
}

START_TEST(a_lost_session_waits_for_a_server_that_is_down_while_others_refuse_it)
{
        struct mixed mixed;

        open_at_the_last(&mixed);
        close(mixed.down);
        close(server);
        for (int i = 0; i < 2 * STUBBORN; i++)
                refuse_login(mixed.refusing);
        ck_assert_str_eq(events, "ol");
        bring_up(&mixed);
        refuse_until(&mixed, "olr");
        end_mixed(&mixed);
}
END_TEST

START_TEST(a_lost_session_ends_when_all_servers_refuse_it_in_one_round)
{
        struct mixed mixed;

        open_at_the_last(&mixed);
        close(server);
        await_events("ol");
        for (int i = 0; i < STUBBORN + 1; i++) {
                struct pollfd polls[2] = { { .fd = mixed.down, .events = POLLIN }, { .fd = mixed.refusing, .events = POLLIN } };

                while (poll(polls, 2, 0) == 0)
                        tick();
                refuse_login(polls[0].revents ? mixed.down : mixed.refusing);
        }
        await_events("olc");
        ck_assert_int_eq(ferry_session_status(session), -EACCES);
        end_mixed(&mixed);
}
END_TEST

START_TEST(a_first_connection_waits_for_a_server_that_is_down_while_others_refuse_it)
{
        struct mixed mixed;

        make_mixed(&mixed);
        open_mixed(&mixed, (ferry_session_options){ .wait_ms = PATIENCE_MS });
        for (int i = 0; i < 2 * STUBBORN; i++)
                refuse_login(mixed.refusing);
        bring_up(&mixed);
        server = -1;
        refuse_until(&mixed, "o");
        end_mixed(&mixed);
}
END_TEST

START_TEST(a_first_connection_ends_when_its_time_is_over_or_all_servers_refuse_it)
{
        struct mixed mixed;

        make_mixed(&mixed);
        if (_i > 0)
                bring_up(&mixed);
        open_mixed(&mixed, (ferry_session_options){ .wait_ms = _i > 0 ? -1 : 1 });
        for (int refusals = 0; ferry_session_status(session) == 1;) {
                struct pollfd polls[2] = { { .fd = mixed.refusing, .events = POLLIN }, { .fd = _i > 0 ? mixed.down : -1, .events = POLLIN } };

                ck_assert_int_le(refusals, _i > 0 ? STUBBORN + 1 : 2 * STUBBORN);
                if (poll(polls, 2, 0) == 0)
                        tick();
                else
                        refuse_login(polls[0].revents ? mixed.refusing : mixed.down), refusals++;
        }
        if (_i > 0)
                ck_assert_int_eq(ferry_session_status(session), -EACCES);
        end_mixed(&mixed);
}
END_TEST

START_TEST(a_session_takes_a_server_of_which_the_last_one_has_spoken)
{
        char place[TEXT_MAX], more[3 * TEXT_MAX];
        int other;

        open_session((ferry_session_options){ .reconnect_ms = -1 });
        other = listen_anywhere(place);
        snprintf(more, sizeof more, "INFO {\"headers\":true,\"connect_urls\":[\"%s\",\"a,b\",\"there:4222\",7]}\r\n",
                 place + strlen("nats://"));
        say(more);
        tick();
        close(listener);
        close(server);
        listener = other;
        server = accept_at(other);
        take_login("");
        await_events("olr");
        end();
}

START_TEST(a_server_that_is_about_to_end_is_left_before_it_does)
{
        char inbox[INBOX_MAX], info[3 * TEXT_MAX];
        ferry_call *call;
        int former;

        open_session((ferry_session_options){ .reconnect_ms = -1 });
        call = ask_server(PATIENCE_MS);
        find_reply(inbox);
        former = server;
        snprintf(info, sizeof info, "INFO {\"headers\":true,\"ldm\":true,\"connect_urls\":[\"%s\"]}\r\n", url + strlen("nats://"));
        say(info);
        server = accept_at(listener);
        take_login("");
        await_events("or");
        /* It still passes on the answer. */
        {
                int next = server;

                server = former;
                answer(inbox, "", "HELLO");
                ck_assert_ptr_nonnull(ferry_call_await(call));
                hear("UNSUB 1\r\n");
                server = next;
        }
        ferry_call_free(call);
        close(former);
        end();
}

static ferry_message *kept;

static int keep(ferry_session *one, const ferry_message *request, void *userdata)
{
        (void)one, (void)userdata;
        if (strcmp(ferry_message_type(request), "quick") == 0)
                return ferry_message_reply(request, NULL, "'at once'");
        kept = ferry_message_ref(request);
        return 1;
}

START_TEST(a_server_that_is_about_to_end_is_used_while_no_other_one_is_known)
{
        open_session((ferry_session_options){ .reconnect_ms = -1, .is_listening = true, .heartbeat_ms = -1 });
        ferry_session_on(session, FERRY_KIND_REQUEST, keep, NULL);
        ask("back.1", "slow");
        hear("HPUB back.1");
        forget_heard();
        say("INFO {\"headers\":true,\"ldm\":true}\r\n");
        ask("back.2", "quick");
        hear("at once");
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "'late'"), 0);
        ferry_message_unref(kept);
        hear("late");
        ck_assert_str_eq(events, "o");
        close(server);
        server = accept_at(listener);
        take_login("");
        await_events("olr");
        end();
}

START_TEST(a_listener_answers_by_the_next_connection)
{
        open_session((ferry_session_options){ .reconnect_ms = -1, .is_listening = true, .heartbeat_ms = -1 });
        ferry_session_on(session, FERRY_KIND_REQUEST, keep, NULL);
        ask("back.1", "slow");
        hear("HPUB back.1");
        ck_assert_ptr_nonnull(kept);
        close(server);
        await_events("ol");
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "'at last'"), 0);
        ferry_message_unref(kept);
        server = accept_at(listener);
        take_login("");
        hear("\r\nPUB back.1");
        hear("at last\r\n");
        end();
}

START_TEST(an_answer_that_says_no_type_has_that_of_its_request)
{
        static const struct {
                const char *type, *verb, *rest, *expected;
        } cases[] = {
                { "x", "MSG", "2\r\nhi", "x" },
                { "a type that is longer than the room for most", "HMSG", "12 14\r\nNATS/1.0\r\n\r\nhi",
                  "a type that is longer than the room for most" },
                { "x", "HMSG", "27 29\r\nNATS/1.0\r\nFerry-Type: y\r\n\r\nhi", "y" },
                { "x", "HMSG", "26 28\r\nNATS/1.0\r\nFerry-Type: \r\n\r\nhi", "" },
        };

        open_session((ferry_session_options){ .reconnect_ms = 0 });
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                ferry_call *call = ferry_session_request(session, PATIENCE_MS, cases[i].type, "'hello'");
                char inbox[INBOX_MAX], text[512];
                const ferry_message *reply;

                forget_heard();
                find_reply(inbox);
                snprintf(text, sizeof text, "%s %s 1 %s\r\n", cases[i].verb, inbox, cases[i].rest);
                say(text);
                reply = ferry_call_await(call);
                ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
                ck_assert_str_eq(ferry_message_type(reply), cases[i].expected);
                ck_assert_str_eq(ferry_message_text(reply), "hi");
                ferry_call_free(call);
        }
        end();
}

/* Several answers in one message --------------------------------------------------------------------------- */

enum { SEVERAL = 20 };

static ferry_message *kept_all[SEVERAL];
static size_t kept_count;

static int keep_all(ferry_session *one, const ferry_message *request, void *userdata)
{
        (void)one, (void)userdata;
        ck_assert_uint_lt(kept_count, SEVERAL);
        kept_all[kept_count++] = ferry_message_ref(request);
        return 1;
}

START_TEST(answers_that_leave_together_are_one_message)
{
        char subject[64], text[64];

        kept_count = 0;
        open_session((ferry_session_options){ .is_listening = true, .heartbeat_ms = -1 });
        ferry_session_on(session, FERRY_KIND_REQUEST, keep_all, NULL);
        for (int i = 1; i <= SEVERAL; i++) {
                snprintf(subject, sizeof subject, i % 10 == 0 ? "back.%d" : "_INBOX.abcdefghijk.%d", i);
                ask(subject, "x");
        }
        for (int i = 0; i < PATIENCE_MS / 5 && count_heard("accepted") < SEVERAL; i++)
                tick(), hear_more();
        ck_assert_uint_eq(kept_count, SEVERAL);
        forget_heard();
        ck_assert_int_eq(ferry_session_hold(session), 0);
        for (int i = 0; i < SEVERAL; i++) {
                ck_assert_int_eq(ferry_message_reply(kept_all[i], NULL, "'answer'"), 0);
                ferry_message_unref(kept_all[i]);
        }
        hear("PUB back.20          6\r\nanswer\r\n");
        /* What goes elsewhere stands in between. */
        ck_assert_uint_eq(count_heard("Ferry-Batch: 1"), 2);
        ck_assert_uint_eq(count_heard("PUB "), 4);
        ck_assert_uint_eq(count_heard("answer"), SEVERAL);
        for (int i = 1; i <= SEVERAL; i++) {
                snprintf(text, sizeof text, i % 10 == 0 ? "back.%d          6\r\nanswer" : i % 10 == 1 ? "\r\n\r\n%d     6\r\nanswer" :
                                                                                                "answer%d     6\r\nanswer", i);
                ck_assert_msg(count_heard(text) == 1, "%s in %s", text, heard);
        }
        end();
}

/* A listener that has three requests of one client in hand. */
static void keep_three(int reconnect_ms)
{
        char subject[64];

        kept_count = 0;
        open_session((ferry_session_options){ .reconnect_ms = reconnect_ms, .is_listening = true, .heartbeat_ms = -1 });
        ferry_session_on(session, FERRY_KIND_REQUEST, keep_all, NULL);
        for (int i = 1; i <= 3; i++) {
                snprintf(subject, sizeof subject, "_INBOX.abcdefghijk.%d", i);
                ask(subject, "x");
        }
        for (int i = 0; i < PATIENCE_MS / 5 && count_heard("accepted") < 3; i++)
                tick(), hear_more();
        ck_assert_uint_eq(kept_count, 3);
}

START_TEST(an_answer_that_fails_harms_none_that_waits)
{
        keep_three(0);
        forget_heard();
        ck_assert_int_eq(ferry_session_hold(session), 0);
        ck_assert_int_eq(ferry_message_reply(kept_all[0], NULL, "'answer'"), 0);
        ck_assert_int_lt(ferry_message_reply(kept_all[1], NULL, "[%.*s]", 1, "\xff"), 0);
        ck_assert_int_eq(ferry_message_reply(kept_all[2], NULL, "'done'"), 0);
        hear("done\r\n");
        ck_assert_msg(strstr(heard, "\r\n\r\n1     6\r\nanswer3     4\r\ndone\r\n"), "%s", heard);
        for (size_t i = 0; i < kept_count; i++)
                ferry_message_unref(kept_all[i]);
        end();
}

/* A server that takes less than a message of several has. */
START_TEST(answers_that_wait_for_a_connection_stay_alone)
{
        keep_three(-1);
        close(server);
        await_events("ol");
        for (size_t i = 0; i < kept_count; i++) {
                ck_assert_int_eq(ferry_message_reply(kept_all[i], NULL, "'answer %d'", (int)i), 0);
                ferry_message_unref(kept_all[i]);
        }
        server = accept_at(listener);
        say("INFO {\"headers\":true,\"max_payload\":40}\r\n");
        hear("PING\r\n");
        say("PONG\r\n");
        hear("answer 0\r\n");
        hear("answer 1\r\n");
        hear("answer 2\r\n");
        end();
}

/* What the other side of @count requests answers to them. */
static void say_several(const char *items)
{
        char inbox[INBOX_MAX], text[1024];

        find_reply(inbox);
        snprintf(text, sizeof text, "HMSG %s 1 28 %zu\r\nNATS/1.0\r\nFerry-Batch: 1\r\n\r\n%s\r\n", inbox, 28 + strlen(items), items);
        say(text);
}

/* In the function of the first one, whose message is in hand then. */
static void await_second(ferry_call *call, const ferry_message *reply, void *userdata)
{
        ferry_call *second = userdata;

        (void)call;
        ck_assert_str_eq(ferry_message_text(reply), "one");
        reply = ferry_call_await(second);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(second));
        ck_assert_str_eq(ferry_message_text(reply), "two");
        ferry_call_free(second);
}

START_TEST(a_session_takes_several_answers_in_one_message)
{
        ferry_call *first, *second, *third;
        const ferry_message *reply;

        open_session((ferry_session_options){ .reconnect_ms = 0 });
        first = ask_server(PATIENCE_MS);
        second = ask_server(PATIENCE_MS);
        third = ferry_session_request(session, PATIENCE_MS, "y", "'hello'");
        ferry_call_then(first, await_second, second);
        hear("Ferry-Type: y");
        say_several("1 3\r\none99 4\r\nnone2 3\r\ntwo3 7 json\r\n{\"a\":3}");
        reply = ferry_call_await(third);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(third));
        ck_assert_str_eq(ferry_message_type(reply), "y");
        ck_assert_int_eq(ferry_value_int(ferry_value_get(ferry_message_body(reply), "a"), 0), 3);
        ferry_call_free(third);
        end();
}

static int note_error(ferry_session *one, const ferry_message *message, void *userdata)
{
        (void)one;
        ck_assert_ptr_nonnull(strstr(ferry_message_text(message), "several answers in one message"));
        ++*(int *)userdata;
        return 0;
}

/* Any client may publish to an inbox that it knows. */
START_TEST(what_is_no_answer_among_several_harms_no_other_request)
{
        ferry_call *first, *second;
        int errors = 0;

        open_session((ferry_session_options){ .reconnect_ms = 0 });
        ferry_session_on(session, FERRY_KIND_ERROR, note_error, &errors);
        first = ask_server(PATIENCE_MS);
        say_several("-ERR 'Authorization Violation'\r\nINFO {}\r\n");
        say_several("1 3\r\noneMSG shout 2 0\r\n\r\n");
        ck_assert_msg(ferry_call_await(first) != NULL, "%s", ferry_call_error(first));
        second = ask_server(PATIENCE_MS);
        forget_heard();
        say_several("2 3\r\ntwo");
        ck_assert_msg(ferry_call_await(second) != NULL, "%s", ferry_call_error(second));
        ck_assert_int_eq(errors, 2);
        ferry_call_free(first);
        ferry_call_free(second);
        end();
}

START_TEST(a_request_is_accepted_and_heartbeats_follow_until_it_is_answered)
{
        open_session((ferry_session_options){ .is_listening = true, .heartbeat_ms = 10 });
        is_answering = true;
        ferry_session_on(session, FERRY_KIND_REQUEST, keep, NULL);
        ask("back.1", "slow");
        hear("HPUB back.1");
        hear("Ferry-Outcome: accepted\r\nFerry-Instance: ");
        hear("Ferry-Beat: 10\r\n");
        while (count_heard("Ferry-Outcome: accepted") < 3)
                hear("Ferry-Outcome: accepted"), tick(), hear_more();
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "'done'"), 0);
        ferry_message_unref(kept);
        hear("done\r\n");
        forget_heard();
        for (int i = 0; i < 6; i++)
                tick();
        hear_more();
        ck_assert_uint_eq(count_heard("accepted"), 0);
        end();
}

/* What it says to a request without Ferry-Accept other clients of NATS understand. */
START_TEST(a_request_of_another_client_is_not_accepted)
{
        open_session((ferry_session_options){ .is_listening = true, .heartbeat_ms = 10 });
        is_answering = true;
        ferry_session_on(session, FERRY_KIND_REQUEST, keep, NULL);
        say("MSG shout 2 back.1 2\r\nhi\r\n");
        for (int i = 0; i < PATIENCE_MS / 5 && !kept; i++)
                tick(), hear_more();
        ck_assert_ptr_nonnull(kept);
        for (int i = 0; i < 6; i++)
                tick(), hear_more();
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "'done'"), 0);
        ferry_message_unref(kept);
        hear("done\r\n");
        ck_assert_uint_eq(count_heard("PUB back.1"), 1);
        end();
}

START_TEST(where_handlers_answer_at_once_the_answer_says_enough)
{
        enum { REQUESTS_MAX = 10000, IN_A_ROW = 16 };
        size_t accepted = 1;
        int requests;

        open_session((ferry_session_options){ .is_listening = true });
        ferry_session_on(session, FERRY_KIND_REQUEST, keep, NULL);
        /* A handler that the system has kept from its CPU for 1 ms was slow: then so many in a row are needed again. */
        for (requests = 0; accepted > 0 && requests < REQUESTS_MAX; requests++) {
                forget_heard();
                ask("back.1", "quick");
                hear("at once\r\n");
                accepted = count_heard("accepted");
        }
        ck_assert_uint_eq(accepted, 0);
        ck_assert_int_gt(requests, IN_A_ROW);
        forget_heard();
        ask("back.2", "slow");
        hear("HPUB back.2");
        hear("accepted");
        ferry_message_unref(kept);
        end();
}

START_TEST(a_process_that_has_accepted_a_request_and_is_silent_ends_it_as_unknown)
{
        char inbox[INBOX_MAX];
        ferry_call *call;

        open_session((ferry_session_options){ .reconnect_ms = -1 });
        call = ask_server(-1);
        find_reply(inbox);
        answer(inbox, "Ferry-Outcome: accepted\r\nFerry-Instance: ab\x1b[1m-12\r\nFerry-Beat: 10\r\n", "");
        await_end(call, -ECONNRESET, FERRY_OUTCOME_UNKNOWN, "instance ab1m-12) was silent for 0.05 s");
        ck_assert_int_eq(ferry_session_status(session), 1);
        end();
}

/* Rights may be taken away while the session lives, and the server does not say which message it has denied. */
START_TEST(a_denial_says_nothing_of_what_was_passed_on_before)
{
        static const char denial[] = "-ERR 'Permissions Violation for Publish to \"shout\"'\r\n";
        char inbox[INBOX_MAX];
        ferry_call *passed, *denied;

        open_session((ferry_session_options){ .reconnect_ms = -1 });
        passed = ask_server(PATIENCE_MS);
        find_reply(inbox);
        hear("\r\nhello\r\nPING\r\n");
        if (_i == 0)
                answer(inbox, "Ferry-Outcome: accepted\r\nFerry-Instance: ab\r\n", "");
        else if (_i == 1)
                say("PONG\r\n");
        tick();
        denied = ask_server(PATIENCE_MS);
        say(denial);
        if (_i < 2) {
                await_end(passed, -EACCES, FERRY_OUTCOME_UNKNOWN, "it has passed on what was sent before, but not all of it");
                await_end(denied, -EACCES, FERRY_OUTCOME_UNKNOWN, "Permissions Violation");
        } else {
                await_end(passed, -EACCES, FERRY_OUTCOME_NOT_EXECUTED, "what was sent was not passed on");
                await_end(denied, -EACCES, FERRY_OUTCOME_NOT_EXECUTED, "what was sent was not passed on");
        }
        end();
}
END_TEST

START_TEST(a_deadline_says_whether_a_process_has_the_request)
{
        char inbox[INBOX_MAX];
        ferry_call *call;

        open_session((ferry_session_options){ 0 });
        call = ask_server(30);
        await_end(call, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN, "no process has said that it accepted the request");
        find_reply(inbox);
        forget_heard();
        call = ask_server(100);
        find_reply(inbox);
        answer(inbox, "Ferry-Outcome: accepted\r\nFerry-Instance: ab\r\n", "");
        await_end(call, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN, "(instance ab) was heard of");
        /* One that beats, and is answered. */
        forget_heard();
        call = ask_server(PATIENCE_MS);
        find_reply(inbox);
        for (int i = 0; i < 10; i++) {
                answer(inbox, "Ferry-Outcome: accepted\r\nFerry-Instance: ab\r\nFerry-Beat: 1000\r\n", "");
                tick();
        }
        answer(inbox, "", "HELLO");
        ck_assert_ptr_nonnull(ferry_call_await(call));
        ferry_call_free(call);
        /* The session is freed while a process has one in hand. */
        forget_heard();
        call = ask_server(PATIENCE_MS);
        find_reply(inbox);
        answer(inbox, "Ferry-Outcome: accepted\r\nFerry-Instance: ab\r\nFerry-Beat: 1000\r\n", "");
        tick();
        end();
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_UNKNOWN);
        ferry_call_free(call);
}

START_TEST(a_listener_that_closes_refuses_what_comes_until_it_is_unsubscribed)
{
        open_session((ferry_session_options){ .is_listening = true });
        ferry_session_on(session, FERRY_KIND_REQUEST, keep, NULL);
        ck_assert_int_eq(ferry_session_close(session), 0);
        hear("UNSUB 2\r\nPING\r\n");
        ask("back.1", "slow");
        hear("HPUB back.1");
        hear("Ferry-Outcome: not executed\r\n");
        ck_assert_ptr_null(kept);
        ck_assert_str_eq(events, "o");
        say("PONG\r\n");
        await_events("oc");
        ck_assert_int_eq(ferry_session_status(session), 0);
        end();
}

/* A service ------------------------------------------------------------------------------------------------- */

START_TEST(a_service_listens_at_a_subject)
{
        ferry_session_options of_session = { .nats_url = url };
        ferry_service *service;

        listener = listen_anywhere(url);
        loop = ferry_loop_new(NULL);
        service = ferry_service_open(loop, "nats:shout", &(ferry_service_options){ .session = &of_session });
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ck_assert_str_eq(ferry_service_address(service), "nats:shout");
        ferry_service_on_type(service, FERRY_KIND_REQUEST, "quick", keep, NULL);
        ferry_service_on_type(service, FERRY_KIND_REQUEST, "slow", keep, NULL);
        ferry_service_on(service, FERRY_KIND_LOST | FERRY_KIND_RESUMED, note, NULL);
        server = accept_at(listener);
        take_login("");
        hear("SUB shout ferry 2\r\n");
        session = ferry_service_client(service, NULL);
        ck_assert_ptr_nonnull(session);
        ck_assert_ptr_eq(ferry_session_service(session), service);
        ask("back.1", "quick");
        hear("at once\r\n");
        ask("back.2", "other");
        hear("has no handler for the request 'other'; it has handlers for 'quick', 'slow'");
        ck_assert_int_eq(ferry_service_notify(service, "x", "'all'"), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_service_retain(service, "x", "'all'"), -EOPNOTSUPP);
        /* It outlives its server. */
        close(server);
        await_events("l");
        server = accept_at(listener);
        take_login("");
        await_events("lr");
        ask("back.3", "slow");
        hear("HPUB back.3");
        /* Requests in hand are answered before it closes. */
        ck_assert_int_eq(ferry_service_close(service), 0);
        tick();
        ck_assert_uint_eq(count_heard("UNSUB 2"), 0);
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "'at last'"), 0);
        ferry_message_unref(kept);
        hear("at last\r\n");
        hear("UNSUB 2\r\nPING\r\n");
        say("PONG\r\n");
        while (ferry_service_client(service, NULL))
                tick();
        ck_assert_int_eq(ferry_service_status(service), 0);
        ferry_service_free(service);
        session = NULL;
        end();
}

START_TEST(a_service_fails_with_its_session)
{
        ferry_session_options of_session = { .nats_url = url };
        ferry_service *service;

        listener = listen_anywhere(url);
        loop = ferry_loop_new(NULL);
        service = ferry_service_open(loop, "nats:shout", &(ferry_service_options){ .session = &of_session });
        server = accept_at(listener);
        say("INFO {\"headers\":true}\r\n");
        hear("PING\r\n");
        say("-ERR 'Authorization Violation'\r\n");
        while (ferry_service_status(service) == 1)
                ferry_loop_tick(loop, 5);
        ck_assert_int_eq(ferry_service_status(service), -EACCES);
        ck_assert_msg(strstr(ferry_service_error(service), "Authorization Violation") != NULL, "%s", ferry_service_error(service));
        ferry_service_free(service);
        service = ferry_service_open(loop, "nats:shout", &(ferry_service_options){ .session = &of_session, .mode = 0600 });
        ck_assert_int_eq(ferry_service_status(service), -EINVAL);
        ck_assert_msg(strstr(ferry_service_error(service), "where a server listens") != NULL, "%s", ferry_service_error(service));
        ferry_service_free(service);
        close(listener);
        of_session.nats_url = "nats://127.0.0.1:0";
        service = ferry_service_open(loop, "nats:shout", &(ferry_service_options){ .session = &of_session });
        ck_assert_int_eq(ferry_service_status(service), -EINVAL);
        ferry_service_free(service);
        ferry_loop_free(loop);
        close(server);
}

START_TEST(what_a_server_cannot_pass_on_is_refused_with_a_sentence)
{
        ferry_call *call;

        open_session((ferry_session_options){ .is_listening = true });
        ferry_session_on(session, FERRY_KIND_REQUEST, keep, NULL);
        ck_assert_int_eq(ferry_session_attach(session, STDERR_FILENO), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_session_error(session), "the dialect nats passes no descriptors");
        ck_assert_int_eq(ferry_session_subscribe(session, "a.*"), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_session_error(session), "the dialect nats has no subscriptions");
        call = ferry_session_describe(session, PATIENCE_MS);
        ck_assert_int_eq(ferry_call_status(call), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_call_error(call), "the dialect nats has no descriptions");
        ferry_call_free(call);
        ask("back.1", "slow");
        hear("HPUB back.1");
        ck_assert_int_eq(ferry_message_progress(kept, "'a part'"), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "'whole'"), 0);
        ferry_message_unref(kept);
        hear("whole\r\n");
        ck_assert_int_eq(ferry_session_status(session), 1);
        end();
}

/* Also where it is the first one, or the last. */
START_TEST(what_waits_for_the_login_and_is_over_max_payload_is_refused_alone)
{
        static const bool is_large[] = { true, false, true, true, false, true };
        enum { COUNT = sizeof is_large / sizeof *is_large };
        char large[1200];
        ferry_call *calls[COUNT], *cancelled;

        memset(large, 'a', sizeof large - 1);
        large[sizeof large - 1] = '\0';
        is_answering = true;
        listener = listen_anywhere(url);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, "nats:shout", &(ferry_session_options){ .nats_url = url });
        for (int i = 0; i < COUNT; i++) {
                cancelled = ferry_session_request(session, PATIENCE_MS, "x", "%s", large);
                calls[i] = ferry_session_request(session, PATIENCE_MS, "x", "%s", is_large[i] ? large : "small");
                ck_assert_int_eq(ferry_session_notify(session, "note", "%s", is_large[i] ? large : "small"), 0);
                ferry_call_free(cancelled);
        }
        server = accept_at(listener);
        say("INFO {\"headers\":true,\"max_payload\":1000}\r\n");
        hear("PING\r\n");
        for (int i = 0; i < COUNT; i++)
                if (is_large[i])
                        await_end(calls[i], -EMSGSIZE, FERRY_OUTCOME_NOT_EXECUTED, "more than 1000 bytes, the limit of the server");
                else
                        ck_assert_int_eq(ferry_call_status(calls[i]), 1);
        while (count_heard("HPUB shout") < 4) {
                ck_assert(hear_more() || errno == EAGAIN);
                tick();
        }
        hear("Ferry-Type: note\r\n\r\nsmall\r\nHPUB shout");
        hear("Ferry-Type: x\r\nFerry-Accept: 1\r\n\r\nsmall\r\nHPUB shout");
        ck_assert_ptr_null(strstr(heard, "aaa"));
        ck_assert_int_eq(ferry_session_status(session), 1);
        ferry_call_free(calls[1]);
        ferry_call_free(calls[4]);
        end();
}

/* Nothing else says so. */
START_TEST(a_notification_over_max_payload_is_reported_by_a_flush)
{
        char large[1200];

        memset(large, 'a', sizeof large - 1);
        large[sizeof large - 1] = '\0';
        listener = listen_anywhere(url);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, "nats:shout", &(ferry_session_options){ .nats_url = url });
        ck_assert_int_eq(ferry_session_notify(session, "note", "%s", large), 0);
        server = accept_at(listener);
        say("INFO {\"headers\":true,\"max_payload\":1000}\r\nPONG\r\nPONG\r\n");
        ck_assert_int_eq(ferry_session_flush(session, PATIENCE_MS), -EMSGSIZE);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(session), "more than 1000 bytes, the limit of the server"));
        ck_assert_int_eq(ferry_session_flush(session, 0), -ETIMEDOUT);
        hear_more();
        ck_assert_uint_eq(count_heard("HPUB"), 0);
        end();
}

static const struct suite_test tests[] = {
        SUITE_TEST(a_lost_session_connects_again_with_another_inbox),
        SUITE_TEST(a_request_that_was_not_written_is_not_executed_behind_a_loss),
        SUITE_TEST(a_session_tries_again_when_a_server_does_not_take_it),
        SUITE_LOOP(a_session_leaves_a_server_that_does_not_take_it_for_another_one, RELUCTANT),
        SUITE_LOOP(a_session_that_no_server_takes_ends_with_the_reason_of_the_last, RELUCTANT),
        SUITE_TEST(a_lost_session_waits_for_a_server_that_is_down_while_others_refuse_it),
        SUITE_TEST(a_lost_session_ends_when_all_servers_refuse_it_in_one_round),
        SUITE_TEST(a_first_connection_waits_for_a_server_that_is_down_while_others_refuse_it),
        SUITE_LOOP(a_first_connection_ends_when_its_time_is_over_or_all_servers_refuse_it, 2),
        SUITE_TEST(a_session_takes_a_server_of_which_the_last_one_has_spoken),
        SUITE_TEST(a_server_that_is_about_to_end_is_left_before_it_does),
        SUITE_TEST(a_server_that_is_about_to_end_is_used_while_no_other_one_is_known),
        SUITE_TEST(a_listener_answers_by_the_next_connection),
        SUITE_TEST(an_answer_that_says_no_type_has_that_of_its_request),
        SUITE_TEST(answers_that_leave_together_are_one_message),
        SUITE_TEST(an_answer_that_fails_harms_none_that_waits),
        SUITE_TEST(answers_that_wait_for_a_connection_stay_alone),
        SUITE_TEST(a_session_takes_several_answers_in_one_message),
        SUITE_TEST(what_is_no_answer_among_several_harms_no_other_request),
        SUITE_TEST(a_request_is_accepted_and_heartbeats_follow_until_it_is_answered),
        SUITE_TEST(a_request_of_another_client_is_not_accepted),
        SUITE_TEST(where_handlers_answer_at_once_the_answer_says_enough),
        SUITE_TEST(a_process_that_has_accepted_a_request_and_is_silent_ends_it_as_unknown),
        SUITE_LOOP_APART(a_denial_says_nothing_of_what_was_passed_on_before, 3),
        SUITE_TEST(a_deadline_says_whether_a_process_has_the_request),
        SUITE_TEST(a_service_listens_at_a_subject),
        SUITE_TEST(a_service_fails_with_its_session),
        SUITE_TEST(what_a_server_cannot_pass_on_is_refused_with_a_sentence),
        SUITE_TEST(what_waits_for_the_login_and_is_over_max_payload_is_refused_alone),
        SUITE_TEST(a_notification_over_max_payload_is_reported_by_a_flush),
        SUITE_TEST(a_listener_that_closes_refuses_what_comes_until_it_is_unsubscribed),
};

SUITE_MAIN("nats-sessions", tests)
