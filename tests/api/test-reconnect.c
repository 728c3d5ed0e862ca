/* Sessions that connect again: what survives the end of a peer, what is reported, and what has its limit. With a clock that stands
 * still, so no pause takes time. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/sys.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { MS = 1000000 };

/* What has happened to a session, as letters: o(pened), l(ost), r(esumed), c(losed), n(otified). */
struct events {
        char seen[256];
        char types[2048];
        char lost[512];
        char closed[512];
        ferry_session *session;
};

static int note(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct events *events = userdata;
        enum ferry_kind kind = ferry_message_kind(message);
        size_t used = strlen(events->seen);

        ck_assert_ptr_eq(session, events->session);
        if (used + 1 < sizeof events->seen)
                events->seen[used] = kind == FERRY_KIND_OPENED ? 'o' : kind == FERRY_KIND_LOST ? 'l' : kind == FERRY_KIND_RESUMED ? 'r' :
                                     kind == FERRY_KIND_CLOSED ? 'c' : 'n';
        if (kind == FERRY_KIND_LOST)
                snprintf(events->lost, sizeof events->lost, "%s", ferry_message_text(message));
        if (kind == FERRY_KIND_CLOSED)
                snprintf(events->closed, sizeof events->closed, "%s", ferry_message_text(message));
        if (kind == FERRY_KIND_NOTIFICATION) {
                used = strlen(events->types);
                snprintf(events->types + used, sizeof events->types - used, "%s ", ferry_message_type(message));
        }
        return 0;
}

static ferry_session *open_client(struct place *place, struct events *events, const ferry_session_options *options)
{
        ferry_session *session = ferry_session_open(place->loop, place->address, options);

        *events = (struct events){ .session = session };
        ferry_session_on(session, FERRY_KIND_OPENED | FERRY_KIND_LOST | FERRY_KIND_RESUMED | FERRY_KIND_CLOSED | FERRY_KIND_NOTIFICATION,
                         note, events);
        return session;
}

static const ferry_session_options forever = { .reconnect_ms = -1 };

static void await_seen(struct place *place, const struct events *events, const char *seen)
{
        for (int i = 0; i < 1000 && strcmp(events->seen, seen) != 0; i++)
                tick(place);
        ck_assert_str_eq(events->seen, seen);
}

static void flush(ferry_session *session)
{
        SUITE_CHECK(ferry_session_flush(session, SAFETY_MS) == 0, "%s", ferry_session_error(session));
}

START_TEST(a_session_survives_the_end_of_its_service)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_message *kept = NULL;
        ferry_session *client;
        ferry_call *call;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &events, &forever);
        ck_assert_int_eq(ferry_session_subscribe(client, "a.*"), 0);
        require_echo(client);
        ck_assert_str_eq(events.seen, "o");
        ck_assert_int_eq(ferry_service_notify(service, "a.x", NULL), 1);
        ck_assert_int_eq(ferry_service_notify(service, "b.x", NULL), 0);
        ferry_service_free(service);
        await_seen(&place, &events, "onl");
        ck_assert_str_eq(events.lost, "the other side has closed the session");
        ck_assert_int_eq(ferry_session_status(client), 1);
        ck_assert_int_eq(ferry_session_peer(client).pid, -1);
        service = open_echo(&place, NULL);
        await_seen(&place, &events, "onlr");
        require_echo(client);
        ck_assert_int_eq(ferry_service_notify(service, "b.y", NULL), 0);
        ck_assert_int_eq(ferry_service_notify(service, "a.y", NULL), 1);
        await_seen(&place, &events, "onlrn");
        ck_assert_str_eq(events.types, "a.x a.y ");
        ck_assert_int_eq(ferry_session_peer(client).pid, getpid());
        /* What was withdrawn stays withdrawn. */
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a.*"), 0);
        ck_assert_int_eq(ferry_session_subscribe(client, "c"), 0);
        flush(client);
        ferry_service_free(service);
        await_seen(&place, &events, "onlrnl");
        ck_assert_int_eq(ferry_session_subscribe(client, "d"), 0);
        ck_assert_int_eq(ferry_session_unsubscribe(client, "c"), 0);
        ck_assert_int_eq(ferry_session_unsubscribe(client, "c"), -ENOENT);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_REQUEST, keep, &kept);
        call = ferry_session_request(client, SAFETY_MS, "t", "'x'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(ferry_service_notify(service, "a.z", NULL), 0);
        ck_assert_int_eq(ferry_service_notify(service, "c", NULL), 0);
        ck_assert_int_eq(ferry_service_notify(service, "d", NULL), 1);
        ferry_message_unref(kept);
        close_place(&place);
}
END_TEST

/* It gets none of what the service sends to all its clients, before and behind the end of the service. */
START_TEST(a_session_that_has_withdrawn_all_its_subscriptions_stays_without)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &events, &forever);
        ck_assert_int_eq(ferry_session_subscribe(client, "a"), 0);
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a"), 0);
        require_echo(client);
        ck_assert_int_eq(ferry_service_notify(service, "b", NULL), 0);
        ferry_service_free(service);
        await_seen(&place, &events, "ol");
        service = open_echo(&place, NULL);
        ck_assert_int_eq(ferry_service_retain(service, "a", NULL), 0);
        await_seen(&place, &events, "olr");
        require_echo(client);
        ck_assert_int_eq(ferry_service_notify(service, "b", NULL), 0);
        ck_assert_int_eq(ferry_session_subscribe(client, "b"), 0);
        flush(client);
        ck_assert_int_eq(ferry_service_notify(service, "b", NULL), 1);
        await_seen(&place, &events, "olrn");
        close_place(&place);
}
END_TEST

static int listen_raw(const struct place *place)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        strcpy(name.sun_path, place->path);
        unlink(place->path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
        return fd;
}

static int accept_raw(struct place *place, int listener)
{
        int fd;

        while ((fd = accept(listener, NULL, NULL)) < 0)
                tick(place);
        return fd;
}

/* Each connection is asked at once to connect to a successor: the session does that without a pause some times, and then gives up as
 * with any other that does not last. */
START_TEST(a_service_that_only_drains_is_given_up)
{
        static const char drain[] = "\xf3\x4a\x9d\xe2\0\0\0\x10\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                    "\xf3\x4a\x9d\xe2\0\0\0\x10\1\xa6\1\0\0\0\0\0\0\0\0\0\0\0\0\0";
        struct place place;
        struct events events;
        ferry_session *client;
        int listener, peer, connections = 0;

        door_stop_clock(0);
        open_place(&place);
        listener = listen_raw(&place);
        client = open_client(&place, &events, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .reconnect_ms = 1000 });
        while (ferry_session_status(client) == 1) {
                peer = accept(listener, NULL, NULL);
                if (peer >= 0) {
                        ck_assert_int_lt(++connections, 20);
                        send_raw(peer, drain, sizeof drain - 1);
                        while (!has_ended_raw(peer))
                                tick(&place);
                        close(peer);
                } else
                        tick(&place);
        }
        ck_assert_int_gt(connections, 8);
        ck_assert_int_eq(ferry_session_status(client), -ECONNRESET);
        ck_assert_msg(strncmp(events.closed, "the service was handed over to another process; gave up connecting again after ", 79) == 0, "%s",
                      events.closed);
        close(listener);
        unlink(place.path);
        close_place(&place);
}
END_TEST

static void note_outcome(ferry_call *call, const ferry_message *reply, void *userdata)
{
        char *seen = userdata;

        ck_assert_ptr_null(reply);
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        strcat(seen, ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED ? "!" : "?");
}

/* A close says which requests were read: none, or the first. Neither is sent again. */
START_TEST(calls_in_flight_end_with_their_outcome)
{
        static const char close_frame[] = "\xf3\x4a\x9d\xe2\0\0\0\x1a\1\x0a\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\xa7in_hand\xa0";
        static const char with_first[] =
                "\xf3\x4a\x9d\xe2\0\0\0\x22\1\x0a\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\xa7in_hand\xa8\0\0\0\0\0\0\0\1";
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;
        int listener, peer, requests = 0;

        door_stop_clock(0);
        open_place(&place);
        listener = listen_raw(&place);
        client = open_client(&place, &events, &forever);
        peer = accept_raw(&place, listener);
        await_seen(&place, &events, "o");
        ferry_call_then(ferry_session_request(client, -1, "t", "'x'"), note_outcome, events.seen);
        ferry_call_then(ferry_session_request(client, -1, "t", "'y'"), note_outcome, events.seen);
        if (_i == 0)
                send_raw(peer, close_frame, sizeof close_frame - 1);
        else
                send_raw(peer, with_first, sizeof with_first - 1);
        await_seen(&place, &events, _i == 0 ? "o!!l" : "o?!l");
        ck_assert_str_eq(events.lost, "the other side has closed the session");
        close(peer);
        close(listener);
        unlink(place.path);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_REQUEST, count, &requests);
        await_seen(&place, &events, _i == 0 ? "o!!lr" : "o?!lr");
        settle(&place);
        ck_assert_int_eq(requests, 0);
        close_place(&place);
}
END_TEST

/* A peer that is killed says nothing. */
START_TEST(a_session_survives_a_killed_peer)
{
        struct place place;
        struct events events;
        ferry_session *client;
        ferry_call *call;
        int listener, peer;

        door_stop_clock(0);
        open_place(&place);
        listener = listen_raw(&place);
        client = open_client(&place, &events, &forever);
        peer = accept_raw(&place, listener);
        await_seen(&place, &events, "o");
        call = ferry_session_request(client, -1, "t", NULL);
        close(peer);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_UNKNOWN);
        ferry_call_free(call);
        await_seen(&place, &events, "ol");
        ck_assert_msg(strstr(events.lost, "without a close"), "%s", events.lost);
        peer = accept_raw(&place, listener);
        await_seen(&place, &events, "olr");
        close(peer);
        close(listener);
        unlink(place.path);
        close_place(&place);
}
END_TEST

START_TEST(notifications_of_the_time_between_are_queued)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;
        int got = 0, sent = 0, code;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &events, &(ferry_session_options){ .reconnect_ms = -1, .queue_max = 4096 });
        require_echo(client);
        ferry_service_free(service);
        await_seen(&place, &events, "ol");
        while ((code = ferry_session_notify(client, "t", "'%d'", sent)) == 0)
                sent++;
        ck_assert_int_eq(code, -ENOBUFS);
        ck_assert_int_gt(sent, 50);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, count, &got);
        await_seen(&place, &events, "olr");
        ck_assert_int_eq(ferry_session_flush(client, SAFETY_MS), -ENOBUFS);
        flush(client);
        ck_assert_int_eq(got, sent);
        close_place(&place);
}
END_TEST

START_TEST(a_request_of_the_time_between_waits)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;
        ferry_call *late, *call;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &events, &forever);
        require_echo(client);
        ferry_service_free(service);
        await_seen(&place, &events, "ol");
        late = ferry_session_request(client, 1000, "t", "'late'");
        ck_assert_ptr_null(ferry_call_await(late));
        ck_assert_int_eq(ferry_call_status(late), -ETIMEDOUT);
        ck_assert_int_eq(ferry_call_outcome(late), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_str_eq(ferry_call_error(late), "no answer within 1 s; the session is not connected");
        ferry_call_free(late);
        call = ferry_session_request(client, SAFETY_MS, "t", "'early'");
        service = open_echo(&place, NULL);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(ferry_call_reply(call)), "early");
        ferry_call_free(call);
        close_place(&place);
}
END_TEST

START_TEST(attempts_have_a_limit)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;
        ferry_call *call;
        int64_t began;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &events, _i == 0 ? &(ferry_session_options){ .reconnect_ms = -1, .reconnect_attempts = 3 } :
                                                        &(ferry_session_options){ .reconnect_ms = 60000 });
        require_echo(client);
        ferry_service_free(service);
        await_seen(&place, &events, "ol");
        began = sys_now();
        call = ferry_session_request(client, -1, "t", NULL);
        await_seen(&place, &events, "olc");
        ck_assert_int_eq(ferry_session_status(client), -ECONNRESET);
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        ck_assert_msg(strstr(events.closed, _i == 0 ? "gave up connecting again after 3 attempts: no process listens" :
                                                      "gave up connecting again after"), "%s", events.closed);
        /* 100 to 200, 200 to 400, 400 to 800 ms. */
        if (_i == 0)
                ck_assert_msg(sys_now() - began >= 700 * (int64_t)MS && sys_now() - began <= 1400 * (int64_t)MS, "%lld",
                              (long long)(sys_now() - began));
        else
                ck_assert_msg(sys_now() - began <= 60000 * (int64_t)MS && sys_now() - began >= 55000 * (int64_t)MS, "%lld",
                              (long long)(sys_now() - began));
        ck_assert_int_eq(ferry_session_notify(client, "t", NULL), -ECONNRESET);
        close_place(&place);
}
END_TEST

/* A service that accepts, and goes at once, is one series of failures; behind one that has lasted another series begins. */
START_TEST(a_connection_that_lasts_begins_a_new_series)
{
        struct place place;
        struct events events;
        int listener, peer;

        door_stop_clock(0);
        open_place(&place);
        listener = listen_raw(&place);
        open_client(&place, &events, &(ferry_session_options){ .reconnect_ms = -1, .reconnect_attempts = 2 });
        for (int i = 0; i < 2; i++) {
                peer = accept_raw(&place, listener);
                await_seen(&place, &events, i == 0 ? "o" : "olr");
                close(peer);
                await_seen(&place, &events, i == 0 ? "ol" : "olrl");
        }
        peer = accept_raw(&place, listener);
        await_seen(&place, &events, "olrlr");
        door_advance(_i == 0 ? 4000 * (int64_t)MS : 5000 * (int64_t)MS);
        close(peer);
        if (_i == 0)
                await_seen(&place, &events, "olrlrc");
        else {
                await_seen(&place, &events, "olrlrl");
                peer = accept_raw(&place, listener);
                await_seen(&place, &events, "olrlrlr");
                close(peer);
        }
        close(listener);
        unlink(place.path);
        close_place(&place);
}
END_TEST

static const struct {
        const char *address;
        ferry_session_options options;
        int code;
        const char *sentence;
} refused[] = {
        { "stdio:", { .reconnect_ms = -1 }, -EINVAL, "cannot be connected to again" },
        { "file:/dev/null,/dev/null", { .reconnect_ms = 100 }, -EINVAL, "cannot be connected to again" },
        { "fd:0,1", { .reconnect_ms = 100 }, -EINVAL, "cannot be connected to again" },
        { "unix:/x", { .reconnect_ms = 100, .dialect = FERRY_DIALECT_STREAM_IPC }, -EOPNOTSUPP, "stream-ipc cannot connect again" },
        { "unix:/x", { .reconnect_ms = 100, .dialect = FERRY_DIALECT_INNMIND }, -EOPNOTSUPP, "innmind cannot connect again" },
        { "unix:/x", { .reconnect_ms = 100, .dialect = FERRY_DIALECT_PCNTL }, -EOPNOTSUPP, "pcntl cannot connect again" },
        { "unix:/x", { .reconnect_ms = -2 }, -EINVAL, "reconnect_ms is -2" },
        { "unix:/nowhere/at/all", { .reconnect_ms = -1 }, -ENOENT, "no process listens" },
};

START_TEST(what_cannot_connect_again_is_refused)
{
        struct place place;
        ferry_session *session;

        open_place(&place);
        session = ferry_session_open(place.loop, refused[_i].address, &refused[_i].options);
        ck_assert_int_eq(ferry_session_status(session), refused[_i].code);
        ck_assert_msg(strstr(ferry_session_error(session), refused[_i].sentence), "%s", ferry_session_error(session));
        close_place(&place);
}
END_TEST

static int ask_back(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message;
        ferry_call_then(ferry_session_request(session, -1, "back", NULL), NULL, NULL);
        (*(int *)userdata)++;
        return 0;
}

/* No answer goes to a service that has not asked. */
START_TEST(a_request_of_a_lost_peer_cannot_be_answered)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_message *kept = NULL;
        ferry_session *client;
        int asked = 0;

        door_stop_clock(0);
        open_place(&place);
        service = ferry_service_open(place.loop, place.address, NULL);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, ask_back, &asked);
        client = open_client(&place, &events, &forever);
        if (_i == 0)
                ferry_session_on(client, FERRY_KIND_REQUEST, keep, &kept);
        else
                ferry_session_on(client, FERRY_KIND_REQUEST, NULL, NULL);
        ck_assert_int_eq(ferry_session_notify(client, "t", NULL), 0);
        if (_i == 0)
                while (!kept)
                        tick(&place);
        else
                while (!asked)
                        tick(&place);
        settle(&place);
        if (_i == 2) {
                const ferry_message *next = ferry_session_next(client, 0);

                ck_assert_ptr_nonnull(next);
                kept = ferry_message_ref(next);
        }
        ferry_service_free(service);
        await_seen(&place, &events, "ol");
        service = open_echo(&place, NULL);
        await_seen(&place, &events, "olr");
        if (kept) {
                ck_assert_int_lt(ferry_message_reply(kept, NULL, NULL), 0);
                ferry_message_unref(kept);
        } else
                ck_assert_ptr_null(ferry_session_next(client, 0));
        require_echo(client);
        close_place(&place);
}
END_TEST

/* The frame that has begun to leave is lost, and reported; those behind it are sent whole, whatever their size. */
START_TEST(notifications_that_had_not_begun_to_leave_are_kept)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;
        ferry_value *large;
        static char text[100000];
        int listener, peer, sent = 0, got = 0;

        door_stop_clock(0);
        open_place(&place);
        listener = listen_raw(&place);
        client = open_client(&place, &events, &forever);
        peer = accept_raw(&place, listener);
        await_seen(&place, &events, "o");
        memset(text, 'x', sizeof text - 1);
        large = ferry_value_pack("%s", text);
        for (; sent < 40; sent++) {
                ck_assert_int_eq(sent % 3 == 0 ? ferry_session_notify_value(client, "t", large) :
                                 sent % 3 == 1 ? ferry_session_notify(client, "t", "%.*s", 1 + sent * 900, text) :
                                                 ferry_session_notify(client, "t", "%d", sent), 0);
                if (sent % 7 == 0)
                        ferry_call_then(ferry_session_request(client, -1, "t", "%s", text), NULL, NULL);
        }
        if (_i == 1) {
                char some[50000];

                receive_raw(peer, some, sizeof some);
                settle(&place);
        }
        close(peer);
        close(listener);
        unlink(place.path);
        await_seen(&place, &events, "ol");
        ck_assert_msg(strstr(events.lost, "bytes of messages and requests to it are lost"), "%s", events.lost);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, count, &got);
        ferry_service_on(service, FERRY_KIND_JUNK | FERRY_KIND_ERROR | FERRY_KIND_REQUEST, count, &got);
        await_seen(&place, &events, "olr");
        flush(client);
        ck_assert_int_gt(got, 10);
        ck_assert_int_lt(got, sent);
        ferry_value_unref(large);
        close_place(&place);
}
END_TEST

/* A descriptor that the next connection would pass is another one for its peer: such a notification is lost, and counted. */
START_TEST(notifications_with_descriptors_are_lost_and_counted)
{
        static const char hello[] = "\xf3\x4a\x9d\xe2\0\0\0\x27\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\xa8" "features\x91\xab" "descriptors";
        static const char goodbye[] = "\xf3\x4a\x9d\xe2\0\0\0\x10\1\x0a\1\0\0\0\0\0\0\0\0\0\0\0\0\0";
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;
        char expected[64];
        int listener, peer, got = 0;
        int64_t before;

        door_stop_clock(0);
        open_place(&place);
        listener = listen_raw(&place);
        client = open_client(&place, &events, &forever);
        peer = accept_raw(&place, listener);
        send_raw(peer, hello, sizeof hello - 1);
        settle(&place);
        ferry_session_hold(client);
        ck_assert_int_eq(ferry_session_notify(client, "t", "'kept'"), 0);
        before = ferry_session_queued(client);
        ck_assert_msg(ferry_session_attach(client, listener) == 0, "%s", ferry_session_error(client));
        ck_assert_int_eq(ferry_session_notify(client, "t", "'lost'"), 0);
        /* Without the ping behind it. */
        snprintf(expected, sizeof expected, ": %d bytes of messages", (int)(ferry_session_queued(client) - before) - 24);
        ck_assert_int_eq(ferry_session_notify(client, "t", "'kept'"), 0);
        if (_i == 1)
                send_raw(peer, goodbye, sizeof goodbye - 1);
        close(peer);
        close(listener);
        unlink(place.path);
        await_seen(&place, &events, "ol");
        ck_assert_msg(strstr(events.lost, expected), "'%s' without '%s'", events.lost, expected);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, count, &got);
        await_seen(&place, &events, "olr");
        flush(client);
        ck_assert_int_eq(got, 2);
        close_place(&place);
}
END_TEST

START_TEST(flush_reports_a_lost_connection)
{
        struct place place;
        struct events events;
        ferry_session *client;
        int listener, peer;

        door_stop_clock(0);
        open_place(&place);
        listener = listen_raw(&place);
        client = open_client(&place, &events, &forever);
        peer = accept_raw(&place, listener);
        await_seen(&place, &events, "o");
        ck_assert_int_eq(ferry_session_notify(client, "t", NULL), 0);
        shutdown(peer, SHUT_RDWR);
        close(peer);
        ck_assert_int_eq(ferry_session_flush(client, SAFETY_MS), -ECONNRESET);
        ck_assert_str_eq(ferry_session_error(client), "the connection was lost before the other side had received everything");
        ck_assert_int_eq(ferry_session_status(client), 1);
        close(listener);
        unlink(place.path);
        close_place(&place);
}
END_TEST

START_TEST(a_lost_session_may_be_closed)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;
        ferry_call *call;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &events, &forever);
        require_echo(client);
        ferry_service_free(service);
        await_seen(&place, &events, "ol");
        call = ferry_session_request(client, -1, "t", NULL);
        if (_i == 1)
                ck_assert_int_eq(ferry_session_notify(client, "t", NULL), 0);
        ck_assert_int_eq(ferry_session_close(client), _i == 0 ? 0 : -ECONNRESET);
        ck_assert_int_eq(ferry_call_status(call), -ECANCELED);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        await_seen(&place, &events, "olc");
        ck_assert_msg(_i == 0 || strstr(events.closed, "not connected: 26 bytes of messages"), "%s", events.closed);
        ck_assert_int_eq(ferry_session_status(client), _i == 0 ? 0 : -ECONNRESET);
        close_place(&place);
}
END_TEST

static int free_it(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ferry_session_free(session);
        return 0;
}

static void free_session(ferry_call *call, const ferry_message *reply, void *userdata)
{
        (void)call, (void)reply;
        ferry_session_free(userdata);
}

START_TEST(a_session_may_be_freed_in_each_callback)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &events, &forever);
        require_echo(client);
        if (_i == 0)
                ferry_session_on(client, FERRY_KIND_LOST, free_it, NULL);
        else if (_i == 1)
                ferry_session_on(client, FERRY_KIND_RESUMED, free_it, NULL);
        ferry_service_free(service);
        if (_i == 2)
                ferry_call_then(ferry_session_request(client, -1, "t", NULL), free_session, client);
        settle(&place);
        service = open_echo(&place, NULL);
        if (_i == 1)
                await_seen(&place, &events, "olr");
        settle(&place);
        for (int i = 0; i < 10; i++)
                ferry_loop_tick(place.loop, 10);
        ck_assert_ptr_null(ferry_service_client(service, NULL));
        close_place(&place);
}
END_TEST

/* A loop whose sessions are all lost still has something to wait for, and can be freed. */
START_TEST(a_loop_may_be_freed_with_a_lost_session)
{
        struct place place;
        struct events events;
        ferry_service *service;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        require_echo(open_client(&place, &events, &forever));
        ferry_service_free(service);
        await_seen(&place, &events, "ol");
        ck_assert_int_eq(ferry_loop_tick(place.loop, 0), 1);
        close_place(&place);
}
END_TEST

/* Inherited from the loop, it holds for what can connect again, and for nothing else. */
START_TEST(a_loop_has_reconnect_as_a_default)
{
        struct place place;
        struct events events;
        ferry_service *service;
        ferry_session *client;
        int pair[2];

        door_stop_clock(0);
        open_place(&place);
        ferry_loop_free(place.loop);
        place.loop = ferry_loop_new(&(ferry_loop_options){ .session = &forever });
        service = open_echo(&place, NULL);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        client = ferry_session_open(place.loop, NULL, &(ferry_session_options){ .fds = (const int[]){ pair[0], pair[0], -1 } });
        ck_assert_int_eq(ferry_session_status(client), 1);
        close(pair[1]);
        settle(&place);
        ck_assert_int_eq(ferry_session_status(client), 0);
        client = open_client(&place, &events, NULL);
        require_echo(client);
        ferry_service_free(service);
        await_seen(&place, &events, "ol");
        close_place(&place);
}
END_TEST

int main(void)
{
        static const struct suite_test tests[] = {
                SUITE_TEST(a_session_survives_the_end_of_its_service),
        SUITE_TEST(a_session_that_has_withdrawn_all_its_subscriptions_stays_without),
        SUITE_TEST(a_service_that_only_drains_is_given_up),
                SUITE_LOOP(calls_in_flight_end_with_their_outcome, 2),
                SUITE_TEST(a_session_survives_a_killed_peer),
                SUITE_TEST(notifications_of_the_time_between_are_queued),
                SUITE_TEST(a_request_of_the_time_between_waits),
                SUITE_LOOP(attempts_have_a_limit, 2),
                SUITE_LOOP(a_connection_that_lasts_begins_a_new_series, 2),
                SUITE_LOOP(what_cannot_connect_again_is_refused, COUNT(refused)),
                SUITE_LOOP(a_request_of_a_lost_peer_cannot_be_answered, 3),
                SUITE_LOOP(notifications_that_had_not_begun_to_leave_are_kept, 2),
                SUITE_LOOP(notifications_with_descriptors_are_lost_and_counted, 2),
                SUITE_TEST(flush_reports_a_lost_connection),
                SUITE_LOOP(a_lost_session_may_be_closed, 2),
                SUITE_LOOP(a_session_may_be_freed_in_each_callback, 3),
                SUITE_TEST(a_loop_may_be_freed_with_a_lost_session),
                SUITE_TEST(a_loop_has_reconnect_as_a_default),
        };

        return suite_run("reconnect", tests, sizeof tests / sizeof *tests);
}
