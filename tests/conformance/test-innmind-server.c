/* A service in the dialect innmind, seen by clients that are no library: which bytes it writes, in which order, and
 * each frame with one send; what it does with bytes that are none of its dialect, and with clients that go, stay or do not
 * read. Real clients lose what is not so. */
#include "conformance/innmind.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void require_sends(const size_t *sizes, unsigned count)
{
        ck_assert_uint_eq(place_sends.count, count);
        for (unsigned i = 0; i < count; i++)
                ck_assert_uint_eq(place_sends.asked[i], sizes[i]);
}

START_TEST(start_is_said_at_once)
{
        struct place place;
        struct book book = { 0 };
        struct peer *peer;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        peer = peer_connect(&place);
        peer_expect_control(peer, "connection.start");
        peer_expect_nothing(peer);
        require_sends((const size_t[]){ 45 }, 1);
        /* It is a client once it has begun, too. */
        ck_assert_int_eq(book.opened, 0);
        peer_control(peer, "connection.start-ok");
        peer_expect_nothing(peer);
        ck_assert_int_eq(book.opened, 1);
        /* Saying it again means nothing. */
        peer_control(peer, "connection.start-ok");
        peer_control(peer, "connection.start");
        peer_expect_nothing(peer);
        ck_assert_int_eq(book.opened, 1);
        peer_close(peer);
        place_close(&place);
}
END_TEST

START_TEST(before_it_has_begun_nothing_is_heard)
{
        struct place place;
        struct book book = { 0 };
        struct peer *peer;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        peer = peer_connect(&place);
        peer_expect_control(peer, "connection.start");
        peer_text(peer, "too early");
        peer_control(peer, "message.received");
        peer_control(peer, "heartbeat");
        peer_expect_nothing(peer);
        peer_control(peer, "connection.start-ok");
        peer_text(peer, "in time");
        peer_expect_control(peer, "message.received");
        peer_expect_text(peer, "in time");
        peer_expect_nothing(peer);
        ck_assert_str_eq(book.heard, "in time ");
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* One send for each frame, and none for more than one. */
START_TEST(each_frame_leaves_at_once)
{
        struct place place;
        struct book book = { 0 };
        struct peer *peer;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        peer = peer_greet(&place);
        place_forget_sends();
        peer_text(peer, "ping");
        peer_expect_control(peer, "message.received");
        peer_expect_text(peer, "ping");
        require_sends((const size_t[]){ 45, 2 + 10 + 4 + 4 + 1 }, 2);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* All that comes in one piece: acknowledged in order, each before its answer. */
START_TEST(several_at_once_are_acknowledged_in_order)
{
        char frames[512], text[8];
        struct place place;
        struct book book = { 0 };
        struct peer *peer;
        size_t size = 0;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        peer = peer_greet(&place);
        for (int i = 0; i < 9; i++) {
                snprintf(text, sizeof text, "%d", i);
                size += make_frame(frames + size, "text/html", text, strlen(text));
        }
        peer_write(peer, frames, size);
        for (int i = 0; i < 9; i++) {
                snprintf(text, sizeof text, "%d", i);
                peer_expect_control(peer, "message.received");
                peer_expect(peer, "text/html", text, strlen(text));
        }
        peer_expect_nothing(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

static int keep(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct book *book = userdata;

        book_hear(client, message, userdata);
        if (!book->kept)
                book->kept = ferry_message_ref(message);
        return 1;
}

START_TEST(answers_come_when_they_come)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        ferry_session *client;
        struct peer *peer;

        place_open(&place);
        service = place_serve(&place, NULL, keep, &book);
        peer = peer_greet(&place);
        peer_text(peer, "one");
        peer_text(peer, "two");
        peer_expect_control(peer, "message.received");
        peer_expect_control(peer, "message.received");
        peer_expect_nothing(peer);
        /* Several, later, in any order. */
        client = ferry_service_client(service, NULL);
        ck_assert_int_eq(ferry_session_notify(client, "application/octet-stream", "'first'"), 0);
        ck_assert(ferry_message_is_wanted(book.kept));
        ck_assert_int_eq(ferry_message_reply(book.kept, "text/html", "'second'"), 0);
        ck_assert_int_eq(ferry_message_reply(book.kept, "text/html", "'second'"), -EALREADY);
        ck_assert_int_eq(ferry_session_notify(client, "application/json", "{n: %d}", 3), 0);
        peer_expect(peer, "application/octet-stream", "first", 5);
        peer_expect(peer, "text/html", "second", 6);
        peer_expect(peer, "application/json", "{\"n\":3}", 7);
        /* And the type is that of the message unless it is said. */
        book.kept = ferry_message_unref(book.kept);
        peer_message(peer, "image/png", "three", 5);
        peer_expect_control(peer, "message.received");
        ck_assert_int_eq(ferry_message_reply(book.kept, NULL, "''"), 0);
        peer_expect(peer, "image/png", "", 0);
        peer_expect_nothing(peer);
        ferry_message_unref(book.kept);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* An unanswered message is no error: neither is one that was kept. */
START_TEST(what_is_let_go_says_nothing)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peer;

        place_open(&place);
        service = place_serve(&place, NULL, keep, &book);
        peer = peer_greet(&place);
        peer_text(peer, "one");
        peer_expect_control(peer, "message.received");
        book.kept = ferry_message_unref(book.kept);
        peer_expect_nothing(peer);
        /* Nor about one that no handler has taken. */
        ferry_service_off(service, keep, &book);
        peer_text(peer, "two");
        peer_expect_control(peer, "message.received");
        peer_expect_nothing(peer);
        ck_assert_str_eq(ferry_message_text(ferry_session_next(ferry_service_client(service, NULL), 0)), "two");
        peer_expect_nothing(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* They do not wake the service up again, and are not answered. */
START_TEST(heartbeats_are_swallowed)
{
        struct place place;
        struct book book = { 0 };
        struct peer *peer;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        peer = peer_greet(&place);
        place_forget_sends();
        for (int i = 0; i < 50; i++)
                peer_control(peer, "heartbeat");
        peer_expect_nothing(peer);
        ck_assert_uint_eq(place_sends.count, 0);
        ck_assert_int_eq(book.count, 0);
        /* An hour without a word: one wait, and no deadline of ours in it. */
        door_counts.calls[DOOR_epoll_wait] = 0;
        ck_assert_int_eq(ferry_loop_run(place.loop, 3600000), 0);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 2);
        peer_expect_nothing(peer);
        /* What is said in another media type is a message like others. */
        peer_message(peer, "text/html", "innmind/ipc:heartbeat", 21);
        peer_expect_control(peer, "message.received");
        peer_expect(peer, "text/html", "innmind/ipc:heartbeat", 21);
        peer_message(peer, "text/plain", "innmind/ipc:heartbeats", 22);
        peer_expect_control(peer, "message.received");
        peer_expect(peer, "text/plain", "innmind/ipc:heartbeats", 22);
        peer_close(peer);
        place_close(&place);
}
END_TEST

START_TEST(close_is_answered_and_the_end_follows)
{
        struct place place;
        struct book book = { 0 };
        struct peer *peer;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        /* Also before it has begun. */
        peer = _i ? peer_greet(&place) : peer_connect(&place);
        if (!_i)
                peer_expect_control(peer, "connection.start");
        place_forget_sends();
        peer_control(peer, "connection.close");
        peer_expect_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        require_sends((const size_t[]){ 48 }, 1);
        /* A client that has not begun was never there. */
        ck_assert_int_eq(book.closed, _i);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* What was asked before is heard; and what was said behind it is not. */
START_TEST(messages_around_a_close)
{
        char frames[256];
        struct place place;
        struct book book = { 0 };
        struct peer *peer;
        size_t size;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        peer = peer_greet(&place);
        size = make_frame(frames, "text/plain", "before", 6);
        size += make_frame(frames + size, "text/plain", "innmind/ipc:connection.close", 28);
        size += make_frame(frames + size, "text/plain", "behind", 6);
        peer_write(peer, frames, size);
        peer_expect_control(peer, "message.received");
        peer_expect_text(peer, "before");
        peer_expect_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_str_eq(book.heard, "before ");
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* The end comes while the handler of what stood before the close runs the loop. */
static int wait_within(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct peer **peer = userdata;

        (void)message;
        shutdown((*peer)->fd, SHUT_WR);
        for (int i = 0; i < 5; i++)
                ferry_loop_tick(ferry_session_loop(client), 0);
        return 0;
}

START_TEST(a_close_and_the_end_at_once)
{
        char frames[256];
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peer;
        size_t size;

        place_open(&place);
        service = place_serve(&place, NULL, NULL, &book);
        ferry_service_on(service, FERRY_KIND_MESSAGE, wait_within, &peer);
        peer = peer_greet(&place);
        size = make_frame(frames, "text/plain", "before", 6);
        size += make_frame(frames + size, "text/plain", "innmind/ipc:connection.close", 28);
        peer_write(peer, frames, size);
        peer_expect_control(peer, "message.received");
        peer_expect_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_int_eq(book.closed, 1);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* It goes without a word; others, and the carried value, are as they were. */
START_TEST(a_client_that_disconnects_harms_no_other)
{
        struct place place;
        struct book book = { 0 };
        struct peer *peer, *good;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        good = peer_greet(&place);
        for (int i = 0; i < 3; i++) {
                peer = i == 0 ? peer_connect(&place) : peer_greet(&place);
                if (i == 2)
                        peer_write(peer, "\0\xat", 3);
                peer_close(peer);
                place_settle(&place);
        }
        ck_assert_int_eq(book.closed, 2);
        peer_text(good, "still here");
        peer_expect_control(good, "message.received");
        peer_expect_text(good, "still here");
        ck_assert_int_eq(book.count, 1);
        peer_close(good);
        place_close(&place);
}
END_TEST

enum { CLIENTS = 3 };

START_TEST(stopping_reaches_each_process)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peers[CLIENTS], *early;

        place_open(&place);
        service = place_serve(&place, NULL, book_echo, &book);
        for (int i = 0; i < CLIENTS; i++)
                peers[i] = peer_greet(&place);
        early = peer_connect(&place);
        peer_expect_control(early, "connection.start");
        place_forget_sends();
        ck_assert_int_eq(ferry_service_close(service), 0);
        for (int i = 0; i < CLIENTS; i++)
                peer_expect_control(peers[i], "connection.close");
        peer_expect_control(early, "connection.close");
        require_sends((const size_t[]){ 45, 45, 45, 45 }, 4);
        /* Each is waited for. */
        for (int i = 0; i < CLIENTS; i++) {
                ck_assert_int_eq(book.closed, i);
                peer_expect_nothing(peers[i]);
                peer_control(peers[i], "connection.close-ok");
                peer_expect_end(peers[i]);
        }
        /* Going without a word is an answer, too. */
        peer_close(early);
        place_settle(&place);
        ck_assert_int_eq(ferry_service_status(service), 0);
        ck_assert_int_eq(book.closed, CLIENTS);
        for (int i = 0; i < CLIENTS; i++)
                peer_close(peers[i]);
        place_close(&place);
}
END_TEST

START_TEST(stopping_does_not_wait_for_ever)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peers[2];

        place_open(&place);
        service = place_serve(&place, NULL, book_echo, &book);
        peers[0] = peer_greet(&place);
        peers[1] = peer_connect(&place);
        peer_expect_control(peers[1], "connection.start");
        ck_assert_int_eq(ferry_service_close(service), 0);
        peer_expect_control(peers[0], "connection.close");
        peer_expect_control(peers[1], "connection.close");
        door_advance(999 * 1000000ll);
        peer_expect_nothing(peers[0]);
        peer_expect_nothing(peers[1]);
        ck_assert_int_eq(book.closed, 0);
        door_advance(1000000);
        peer_expect_end(peers[0]);
        peer_expect_end(peers[1]);
        ck_assert_int_eq(book.closed, 1);
        ck_assert_int_eq(ferry_loop_run(place.loop, -1), 0);
        peer_close(peers[0]);
        peer_close(peers[1]);
        place_close(&place);
}
END_TEST

/* What is queued for a client that has not begun cannot be sent: that is not waited for, either. */
START_TEST(stopping_before_it_has_begun_and_has_been_notified)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peer;

        place_open(&place);
        service = place_serve(&place, NULL, book_echo, &book);
        peer = peer_connect(&place);
        peer_expect_control(peer, "connection.start");
        ck_assert_int_eq(ferry_service_notify(service, "text/plain", "'news'"), 1);
        peer_expect_nothing(peer);
        ck_assert_int_eq(ferry_service_close(service), 0);
        peer_expect_control(peer, "connection.close");
        peer_expect_nothing(peer);
        peer_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_int_eq(ferry_service_status(service), 0);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* A message in hand is finished first. */
START_TEST(stopping_waits_for_what_is_kept)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peer;

        place_open(&place);
        service = place_serve(&place, NULL, keep, &book);
        peer = peer_greet(&place);
        peer_text(peer, "one");
        peer_expect_control(peer, "message.received");
        ck_assert_int_eq(ferry_service_close(service), 0);
        peer_expect_nothing(peer);
        ck_assert_int_eq(ferry_message_reply(book.kept, NULL, "'done'"), 0);
        peer_expect_text(peer, "done");
        peer_expect_control(peer, "connection.close");
        peer_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_int_eq(ferry_service_status(service), 0);
        ferry_message_unref(book.kept);
        peer_close(peer);
        place_close(&place);
}
END_TEST

START_TEST(both_close_at_once)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peer;

        place_open(&place);
        service = place_serve(&place, NULL, book_echo, &book);
        peer = peer_greet(&place);
        ck_assert_int_eq(ferry_service_close(service), 0);
        peer_control(peer, "connection.close");
        peer_expect_control(peer, "connection.close");
        peer_expect_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_int_eq(ferry_service_status(service), 0);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* One client is closed; what it says meanwhile is not heard. */
START_TEST(one_client_is_closed)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peer, *good;

        place_open(&place);
        service = place_serve(&place, NULL, book_echo, &book);
        peer = peer_greet(&place);
        good = peer_greet(&place);
        ck_assert_int_eq(ferry_session_close(ferry_service_client(service, NULL)), 0);
        peer_text(peer, "wait");
        peer_expect_control(peer, "connection.close");
        peer_expect_nothing(peer);
        peer_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        peer_text(good, "x");
        peer_expect_control(good, "message.received");
        peer_expect_text(good, "x");
        ck_assert_str_eq(book.heard, "x ");
        peer_close(peer);
        peer_close(good);
        place_close(&place);
}
END_TEST

static int refuse(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct book *book = userdata;
        const char *text = ferry_message_text(message);

        book_hear(client, message, userdata);
        if (strcmp(text, "negative") == 0)
                return -ERANGE;
        if (strcmp(text, "fail") == 0)
                ck_assert_int_eq(ferry_message_fail(message, "it is %s", "impossible"), 0);
        else if (strcmp(text, "reply, then negative") == 0) {
                ferry_message_reply(message, NULL, "'answered'");
                return -ERANGE;
        }
        book->count += 100;
        return 1;
}

struct reasons {
        int errors;
        int ends;
};

/* The other side cannot be told why, but ours is. */
static int expect_reason(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct reasons *reasons = userdata;
        const char *text = ferry_message_text(message);
        bool is_reason = strstr(text, "the handler failed") || strstr(text, "it is impossible");

        if (ferry_message_kind(message) == FERRY_KIND_ERROR)
                reasons->errors += is_reason;
        else if (ferry_session_status(client) == -EPROTO)
                reasons->ends += is_reason && strstr(ferry_session_error(client), text);
        return 0;
}

/* The client that has asked is closed; the service lives, and its carried value too. */
START_TEST(a_handler_that_fails)
{
        static const char *const how[] = { "negative", "fail" };
        struct place place;
        struct book book = { 0 };
        struct reasons reasons = { 0 };
        ferry_service *service;
        struct peer *peer, *good;

        place_open(&place);
        service = place_serve(&place, NULL, refuse, &book);
        ferry_service_on(service, FERRY_KIND_ERROR | FERRY_KIND_CLOSED, expect_reason, &reasons);
        good = peer_greet(&place);
        for (int i = 0; i < 2; i++) {
                peer = peer_greet(&place);
                peer_text(peer, how[i]);
                peer_text(peer, "behind");
                peer_expect_control(peer, "message.received");
                peer_expect_control(peer, "connection.close");
                peer_expect_nothing(peer);
                peer_control(peer, "connection.close-ok");
                peer_expect_end(peer);
                peer_close(peer);
        }
        ck_assert_str_eq(book.heard, "negative fail ");
        ck_assert_int_eq(reasons.errors, 2);
        ck_assert_int_eq(reasons.ends, 2);
        /* An answer that was given stays. */
        peer_text(good, "reply, then negative");
        peer_expect_control(good, "message.received");
        peer_expect_text(good, "answered");
        peer_expect_nothing(good);
        peer_text(good, "x");
        peer_expect_control(good, "message.received");
        ck_assert_int_eq(book.count, 204);
        ck_assert_int_eq(ferry_service_status(service), 1);
        peer_close(good);
        place_close(&place);
}
END_TEST

static int hear_request(ferry_session *client, const ferry_message *message, void *userdata)
{
        (void)client;
        ck_assert_int_eq(ferry_message_kind(message), FERRY_KIND_MESSAGE);
        book_note(userdata, "request");
        return strcmp(ferry_message_text(message), "taken") == 0;
}

static int hear_notification(ferry_session *client, const ferry_message *message, void *userdata)
{
        (void)client, (void)message;
        book_note(userdata, "notification");
        return 0;
}

static int hear_both(ferry_session *client, const ferry_message *message, void *userdata)
{
        (void)client, (void)message;
        book_note(userdata, "both");
        return 0;
}

START_TEST(a_message_is_offered_to_requests_first)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peer;

        place_open(&place);
        service = place_serve(&place, NULL, NULL, &book);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, hear_notification, &book);
        ferry_service_on(service, FERRY_KIND_MESSAGE, hear_both, &book);
        ferry_service_on(service, FERRY_KIND_REQUEST, hear_request, &book);
        peer = peer_greet(&place);
        peer_text(peer, "seen");
        peer_expect_control(peer, "message.received");
        peer_text(peer, "taken");
        peer_expect_control(peer, "message.received");
        peer_expect_nothing(peer);
        ck_assert_str_eq(book.heard, "both request notification both request ");
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* No handler: it is fetched, and answered when it is. */
START_TEST(fetched_and_answered_later)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        ferry_session *client;
        ferry_message *message;
        struct peer *peer;

        place_open(&place);
        service = place_serve(&place, NULL, NULL, &book);
        ferry_service_on(service, FERRY_KIND_REQUEST, NULL, NULL);
        peer = peer_greet(&place);
        peer_text(peer, "one");
        peer_text(peer, "two");
        peer_expect_control(peer, "message.received");
        peer_expect_control(peer, "message.received");
        client = ferry_service_client(service, NULL);
        message = ferry_message_ref(ferry_session_next(client, 0));
        ck_assert_int_eq(ferry_message_kind(message), FERRY_KIND_MESSAGE);
        ck_assert_str_eq(ferry_message_text(ferry_session_next(client, 0)), "two");
        ck_assert_ptr_null(ferry_session_next(client, 0));
        peer_expect_nothing(peer);
        ck_assert_int_eq(ferry_message_reply(message, NULL, "'answer'"), 0);
        peer_expect_text(peer, "answer");
        peer_expect_nothing(peer);
        ferry_message_unref(message);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* The service asks its client: the next message is the answer, and is acknowledged as any other. */
START_TEST(the_service_asks)
{
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        ferry_session *client;
        ferry_call *first, *second;
        struct peer *peer;

        place_open(&place);
        service = place_serve(&place, NULL, book_echo, &book);
        peer = peer_greet(&place);
        client = ferry_service_client(service, NULL);
        first = ferry_session_request(client, 1000, "text/plain", "'1?'");
        second = ferry_session_request(client, 1000, "text/plain", "'2?'");
        peer_expect_text(peer, "1?");
        peer_expect_nothing(peer);
        /* What it is told goes before the question that waits. */
        peer_text(peer, "1!");
        peer_expect_control(peer, "message.received");
        peer_expect_text(peer, "2?");
        peer_expect_nothing(peer);
        ck_assert_str_eq(ferry_message_text(ferry_call_await(first)), "1!");
        peer_text(peer, "2!");
        peer_expect_control(peer, "message.received");
        ck_assert_str_eq(ferry_message_text(ferry_call_await(second)), "2!");
        peer_text(peer, "x");
        peer_expect_control(peer, "message.received");
        peer_expect_text(peer, "x");
        ck_assert_str_eq(book.heard, "x ");
        ferry_call_free(first);
        ferry_call_free(second);
        peer_close(peer);
        place_close(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(start_is_said_at_once),
        SUITE_TEST(before_it_has_begun_nothing_is_heard),
        SUITE_TEST(each_frame_leaves_at_once),
        SUITE_TEST(several_at_once_are_acknowledged_in_order),
        SUITE_TEST(answers_come_when_they_come),
        SUITE_TEST(what_is_let_go_says_nothing),
        SUITE_TEST(heartbeats_are_swallowed),
        SUITE_LOOP(close_is_answered_and_the_end_follows, 2),
        SUITE_TEST(messages_around_a_close),
        SUITE_TEST(a_close_and_the_end_at_once),
        SUITE_TEST(a_client_that_disconnects_harms_no_other),
        SUITE_TEST(stopping_reaches_each_process),
        SUITE_TEST(stopping_does_not_wait_for_ever),
        SUITE_TEST(stopping_before_it_has_begun_and_has_been_notified),
        SUITE_TEST(stopping_waits_for_what_is_kept),
        SUITE_TEST(both_close_at_once),
        SUITE_TEST(one_client_is_closed),
        SUITE_TEST(a_handler_that_fails),
        SUITE_TEST(a_message_is_offered_to_requests_first),
        SUITE_TEST(fetched_and_answered_later),
        SUITE_TEST(the_service_asks),
};

SUITE_MAIN("innmind-server", tests)
