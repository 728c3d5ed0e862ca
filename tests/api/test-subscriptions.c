/* Subscriptions: which notifications of a service reach which client, retained values, and clients that go too far. */
#include "conformance/raw.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What came, with a blank behind each: the types of notifications, and the text of errors. */
struct heard {
        char types[4096];
        char error[512];
        int closed;
        int status;
        char reason[512];
};

static int hear(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct heard *heard = userdata;
        size_t used = strlen(heard->types);

        if (ferry_message_kind(message) == FERRY_KIND_NOTIFICATION)
                snprintf(heard->types + used, sizeof heard->types - used, "%s ", ferry_message_type(message));
        if (ferry_message_kind(message) == FERRY_KIND_ERROR)
                snprintf(heard->error, sizeof heard->error, "%s", ferry_message_text(message));
        if (ferry_message_kind(message) == FERRY_KIND_CLOSED) {
                heard->closed++;
                heard->status = ferry_session_status(session);
                snprintf(heard->reason, sizeof heard->reason, "%s", ferry_session_error(session));
        }
        return 0;
}

static ferry_session *open_client(struct place *place, struct heard *heard)
{
        ferry_session *session = ferry_session_open(place->loop, place->address,
                                                    &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });

        *heard = (struct heard){ 0 };
        ferry_session_on(session, FERRY_KIND_NOTIFICATION | FERRY_KIND_ERROR | FERRY_KIND_CLOSED, hear, heard);
        return session;
}

static void subscribe(ferry_session *session, const char *pattern)
{
        SUITE_CHECK(ferry_session_subscribe(session, pattern) == 0, "%s: %s", pattern, ferry_session_error(session));
}

static void flush(ferry_session *session)
{
        SUITE_CHECK(ferry_session_flush(session, SAFETY_MS) == 0, "%s", ferry_session_error(session));
}

/* Matching ------------------------------------------------------------------------------------------------- */

static const struct {
        const char *pattern;
        const char *yes[4];
        const char *no[6];
} matches[] = {
        { "a", { "a" }, { "b", "aa", "a.b", "", "A" } },
        { "a.b", { "a.b" }, { "a", "b", "a.b.c", "a.", ".b" } },
        { "*", { "a", "b", "", "*" }, { "a.b", ".", "a." } },
        { "a.*", { "a.b", "a.", "a.*", "a.>" }, { "a", "a.b.c", "b.a", "b." } },
        { "*.b", { "a.b", ".b", "*.b" }, { "b", "a.b.c", "a.c" } },
        { "a.*.c", { "a.b.c", "a..c", "a.a.c" }, { "a.c", "a.b.c.d", "a.b.d", "a.b.b.c" } },
        { "a.>", { "a.b", "a.b.c", "a.", "a.b." }, { "a", "b", "b.a", "" } },
        { ">", { "a", "a.b.c.d", "", "." }, { NULL } },
        { "*.*", { "a.b", ".", "b.a" }, { "a", "", "a.b.c" } },
        { "*.>", { "a.b", "a.b.c", ".a" }, { "a", "" } },
        { "ä.ö", { "ä.ö" }, { "a.o", "ä" } },
        { "App\\Note", { "App\\Note" }, { "App", "App\\Note.x" } },
        { "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.>", { "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17" },
          { "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.0.16" } },
        { "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*", { "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16" }, { "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15" } },
};

START_TEST(a_pattern_matches_types)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &heard);
        subscribe(client, matches[_i].pattern);
        flush(client);
        for (size_t i = 0; i < COUNT(matches[_i].yes) && matches[_i].yes[i]; i++)
                ck_assert_msg(ferry_service_notify(service, matches[_i].yes[i], NULL) == 1, "%s", matches[_i].yes[i]);
        for (size_t i = 0; i < COUNT(matches[_i].no) && matches[_i].no[i]; i++)
                ck_assert_msg(ferry_service_notify(service, matches[_i].no[i], NULL) == 0, "%s", matches[_i].no[i]);
        close_place(&place);
}
END_TEST

/* The same by the other way to find out: values that were retained before. */
START_TEST(a_pattern_matches_retained_types)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;
        char expected[512] = "";

        open_place(&place);
        service = open_echo(&place, NULL);
        for (size_t i = 0; i < COUNT(matches[_i].no) && matches[_i].no[i]; i++)
                ck_assert_int_eq(ferry_service_retain(service, matches[_i].no[i], NULL), 0);
        for (size_t i = 0; i < COUNT(matches[_i].yes) && matches[_i].yes[i]; i++) {
                ck_assert_int_eq(ferry_service_retain(service, matches[_i].yes[i], NULL), 0);
                strcat(strcat(expected, matches[_i].yes[i]), " ");
        }
        client = open_client(&place, &heard);
        subscribe(client, matches[_i].pattern);
        flush(client);
        ck_assert_str_eq(heard.types, expected);
        close_place(&place);
}
END_TEST

START_TEST(a_client_that_never_subscribes_gets_all)
{
        struct place place;
        struct heard all, some;
        ferry_service *service;
        ferry_session *client, *subscriber;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &all);
        subscriber = open_client(&place, &some);
        subscribe(subscriber, "price.*");
        flush(subscriber);
        flush(client);
        ck_assert_int_eq(ferry_service_notify(service, "price.a", "1"), 2);
        ck_assert_int_eq(ferry_service_notify(service, "news", "'x'"), 1);
        settle(&place);
        ck_assert_str_eq(all.types, "price.a news ");
        ck_assert_str_eq(some.types, "price.a ");
        /* What is for this client alone always comes. */
        ck_assert_int_eq(ferry_session_notify(ferry_service_client(service, ferry_service_client(service, NULL)), "own", NULL), 0);
        settle(&place);
        ck_assert_str_eq(some.types, "price.a own ");
        close_place(&place);
}
END_TEST

START_TEST(a_client_is_notified_once)
{
        static const char *const patterns[] = { "a.b", "a.*", "*.b", "a.>", ">", "*.*", "*.>", "a.b" };
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &heard);
        for (size_t i = 0; i < COUNT(patterns); i++)
                subscribe(client, patterns[i]);
        flush(client);
        ck_assert_int_eq(ferry_service_notify(service, "a.b", NULL), 1);
        settle(&place);
        ck_assert_str_eq(heard.types, "a.b ");
        close_place(&place);
}
END_TEST

START_TEST(a_withdrawn_subscription_has_no_effect)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &heard);
        subscribe(client, "a.*");
        subscribe(client, "a.b");
        subscribe(client, "a.>");
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a.*"), 0);
        flush(client);
        ck_assert_int_eq(ferry_service_notify(service, "a.c", NULL), 1);
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a.>"), 0);
        flush(client);
        ck_assert_int_eq(ferry_service_notify(service, "a.c", NULL), 0);
        ck_assert_int_eq(ferry_service_notify(service, "a.b", NULL), 1);
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a.b"), 0);
        flush(client);
        /* It has subscribed once, so it does not get all again. */
        ck_assert_int_eq(ferry_service_notify(service, "a.b", NULL), 0);
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a.b"), -ENOENT);
        ck_assert_str_eq(ferry_session_error(client), "there is no subscription to 'a.b'");
        ck_assert_int_eq(ferry_session_flush(client, SAFETY_MS), -ENOENT);
        subscribe(client, "a.b");
        flush(client);
        ck_assert_int_eq(ferry_service_notify(service, "a.b", NULL), 1);
        close_place(&place);
}
END_TEST

/* What is sent before the session is open is queued. */
START_TEST(a_subscription_waits_for_the_service)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;

        open_place(&place);
        client = ferry_session_open(place.loop, place.address,
                                    &(ferry_session_options){ .wait_ms = -1, .dialect = FERRY_DIALECT_FERRY });
        heard = (struct heard){ 0 };
        ferry_session_on(client, FERRY_KIND_NOTIFICATION, hear, &heard);
        subscribe(client, "a");
        settle(&place);
        service = open_echo(&place, NULL);
        flush(client);
        ck_assert_int_eq(ferry_service_notify(service, "b", NULL), 0);
        ck_assert_int_eq(ferry_service_notify(service, "a", NULL), 1);
        close_place(&place);
}
END_TEST

START_TEST(a_client_that_has_gone_leaves_no_subscription)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &heard);
        subscribe(client, "a.b.*");
        subscribe(client, ">");
        flush(client);
        if (_i == 0)
                ferry_session_free(client);
        else if (_i == 1)
                ferry_session_close(client);
        else
                ferry_session_free(ferry_service_client(service, NULL));
        settle(&place);
        ck_assert_int_eq(ferry_service_notify(service, "a.b.c", NULL), 0);
        close_place(&place);
}
END_TEST

/* What is refused ------------------------------------------------------------------------------------------ */

static const struct {
        const char *pattern;
        const char *reason;
} malformed[] = {
        { "", "'' is not a pattern: it is empty" },
        { ".", "'.' is not a pattern: a part between two dots, or before or behind one, is empty" },
        { "a.", "'a.' is not a pattern: a part between two dots, or before or behind one, is empty" },
        { ".a", "'.a' is not a pattern: a part between two dots, or before or behind one, is empty" },
        { "a..b", "'a..b' is not a pattern: a part between two dots, or before or behind one, is empty" },
        { ">.a", "'>.a' is not a pattern: '>' stands for the rest, so it is the last part" },
        { "a.>.b", "'a.>.b' is not a pattern: '>' stands for the rest, so it is the last part" },
        { "a*", "'a*' is not a pattern: '*' and '>' stand for whole parts" },
        { "a.**", "'a.**' is not a pattern: '*' and '>' stand for whole parts" },
        { "a.b>", "'a.b>' is not a pattern: '*' and '>' stand for whole parts" },
        { "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17",
          "'1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17' is not a pattern: it has more than 16 parts" },
        { "\xff", "'...' is not a pattern: it is not UTF-8" },
};

START_TEST(a_malformed_pattern_is_refused)
{
        struct place place;
        struct heard heard;
        ferry_session *client;
        char large[257];

        open_place(&place);
        open_echo(&place, NULL);
        client = open_client(&place, &heard);
        for (size_t i = 0; i < COUNT(malformed); i++) {
                ck_assert_int_eq(ferry_session_subscribe(client, malformed[i].pattern), -EINVAL);
                ck_assert_str_eq(ferry_session_error(client), malformed[i].reason);
                ck_assert_int_eq(ferry_session_unsubscribe(client, malformed[i].pattern), -EINVAL);
                ck_assert_str_eq(ferry_session_error(client), malformed[i].reason);
        }
        ck_assert_int_eq(ferry_session_subscribe(client, NULL), -EINVAL);
        ck_assert_int_eq(ferry_session_unsubscribe(client, NULL), -EINVAL);
        ck_assert_int_eq(ferry_session_subscribe(NULL, "a"), -ENOMEM);
        ck_assert_int_eq(ferry_session_unsubscribe(NULL, "a"), -ENOMEM);
        memset(large, 'x', sizeof large - 1);
        large[256] = '\0';
        ck_assert_int_eq(ferry_session_subscribe(client, large), -EINVAL);
        ck_assert_str_eq(ferry_session_error(client), "'...' is not a pattern: it has more than 255 bytes");
        large[255] = '\0';
        subscribe(client, large);
        /* The first that was refused, as flush reports it. */
        ck_assert_int_eq(ferry_session_flush(client, SAFETY_MS), -EINVAL);
        ck_assert_str_eq(ferry_session_error(client), malformed[0].reason);
        flush(client);
        ck_assert_int_eq(ferry_session_status(client), 1);
        close_place(&place);
}
END_TEST

START_TEST(subscriptions_are_limited)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;
        char pattern[256];
        int i;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &heard);
        for (i = 0; i < (_i == 0 ? 1000 : 65536 / 250); i++) {
                snprintf(pattern, sizeof pattern, "%0*d", _i == 0 ? 4 : 250, i);
                subscribe(client, pattern);
        }
        snprintf(pattern, sizeof pattern, "%0*d", _i == 0 ? 4 : 250, i);
        ck_assert_int_eq(ferry_session_subscribe(client, pattern), -ENOSPC);
        ck_assert_str_eq(ferry_session_error(client), _i == 0 ? "a client has at most 1000 subscriptions" :
                                                               "the subscriptions of a client have at most 65536 bytes");
        ck_assert_int_eq(ferry_session_flush(client, SAFETY_MS), -ENOSPC);
        flush(client);
        /* At the limit the service has all of them; and one that goes makes room. */
        snprintf(pattern, sizeof pattern, "%0*d", _i == 0 ? 4 : 250, i - 1);
        ck_assert_int_eq(ferry_service_notify(service, pattern, NULL), 1);
        ck_assert_int_eq(ferry_session_unsubscribe(client, pattern), 0);
        subscribe(client, "0.*");
        flush(client);
        ck_assert_int_eq(ferry_service_notify(service, "0.1", NULL), 1);
        ck_assert_int_eq(heard.closed, 0);
        close_place(&place);
}
END_TEST

START_TEST(another_dialect_has_no_subscriptions)
{
        static const struct {
                unsigned dialect;
                const char *reason;
        } dialects[] = { { FERRY_DIALECT_STREAM_IPC, "the dialect stream-ipc has no subscriptions" },
                         { FERRY_DIALECT_INNMIND, "the dialect innmind has no subscriptions" },
                         { FERRY_DIALECT_PCNTL, "the dialect pcntl has no subscriptions" } };
        struct place place;
        ferry_session *client;

        open_place(&place);
        client = ferry_session_open(place.loop, place.address, &(ferry_session_options){ .dialect = dialects[_i].dialect, .wait_ms = -1 });
        ck_assert_int_eq(ferry_session_subscribe(client, "a"), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_session_error(client), dialects[_i].reason);
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a"), -EOPNOTSUPP);
        close_place(&place);
}
END_TEST

START_TEST(a_session_that_has_ended_takes_no_subscription)
{
        struct place place;
        struct heard heard;
        ferry_session *client;

        open_place(&place);
        open_echo(&place, NULL);
        client = open_client(&place, &heard);
        flush(client);
        ferry_session_close(client);
        settle(&place);
        ck_assert_int_eq(ferry_session_subscribe(client, "a"), -ENOTCONN);
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a"), -ENOTCONN);
        close_place(&place);
}
END_TEST

/* A peer that is no service sends nothing by pattern, and says so. */
START_TEST(a_peer_that_is_not_a_service_says_so)
{
        struct heard heard = { 0 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *us, *them;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        us = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        them = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[1], fds[1], -1 } });
        ferry_session_on(us, FERRY_KIND_ERROR | FERRY_KIND_NOTIFICATION, hear, &heard);
        subscribe(us, "a");
        flush(us);
        ck_assert_str_eq(heard.error, "not a service: it sends no notifications by pattern");
        ck_assert_int_eq(ferry_session_notify(them, "b", NULL), 0);
        flush(them);
        ck_assert_str_eq(heard.types, "b ");
        ferry_loop_free(loop);
}
END_TEST

/* A subscribe frame, whose type is the pattern; its size. */
static size_t make_subscribe(unsigned char *frame, const char *pattern, size_t size)
{
        memcpy(frame, "\xf3\x4a\x9d\xe2\0\0\0\0\x01\xa3\x01\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
        frame[6] = (unsigned char)((16 + size) >> 8);
        frame[7] = (unsigned char)(16 + size);
        frame[12] = (unsigned char)(size >> 8);
        frame[13] = (unsigned char)size;
        memcpy(frame + 24, pattern, size);
        return 24 + size;
}

/* The reason is known at both sides, and other clients are not disturbed. */
static void require_end(struct place *place, int fd, const struct heard *heard, int status, const char *reason)
{
        unsigned char bytes[65536];
        int size;

        settle(place);
        ck_assert_int_eq(heard->closed, 1);
        ck_assert_int_eq(heard->status, status);
        ck_assert_msg(strstr(heard->reason, reason), "%s", heard->reason);
        ck_assert_msg(strncmp(heard->reason, "the other side has subscribed, but ", 35) == 0, "%s", heard->reason);
        size = receive_raw(fd, bytes, sizeof bytes);
        ck_assert_int_gt(size, 0);
        ck_assert_ptr_nonnull(memmem(bytes, (size_t)size, reason, strlen(reason)));
        ck_assert(has_ended_raw(fd));
        close(fd);
}

START_TEST(a_hostile_pattern_ends_its_client)
{
        struct place place;
        struct heard heard = { 0 }, other;
        unsigned char frame[512];
        ferry_service *service;
        ferry_session *client;
        int fd;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = open_client(&place, &other);
        flush(client);
        ferry_service_on(service, FERRY_KIND_CLOSED, hear, &heard);
        fd = connect_raw(&place);
        if (_i < (int)COUNT(malformed)) {
                send_raw(fd, frame, make_subscribe(frame, malformed[_i].pattern, strlen(malformed[_i].pattern)));
                require_end(&place, fd, &heard, -EINVAL, malformed[_i].reason);
        } else {
                send_raw(fd, frame, make_subscribe(frame, "a\0b", 3));
                require_end(&place, fd, &heard, -EINVAL, "is not a pattern: it has a byte of zero");
        }
        require_echo(client);
        close_place(&place);
}
END_TEST

/* By number, by bytes, and by what the clients of one user have together. */
START_TEST(a_client_with_too_many_subscriptions_is_ended)
{
        static const char *const reasons[] = { "a client has at most 1000 subscriptions", "the subscriptions of a client have at most 65536 bytes",
                                               "the subscriptions of the clients of this user have reached their limit (an eighth of bytes_max)" };
        struct place place;
        struct heard heard = { 0 };
        unsigned char frame[512];
        ferry_service *service;
        char pattern[256];
        int fd;

        open_place(&place);
        service = open_echo(&place, &(ferry_service_options){ .bytes_max = _i == 2 ? 65536 : 0 });
        ferry_service_on(service, FERRY_KIND_CLOSED, hear, &heard);
        fd = connect_raw(&place);
        for (int i = 0; i < 1001 && heard.closed == 0; i++) {
                snprintf(pattern, sizeof pattern, "%0*d", _i == 1 ? 250 : 4, i);
                send_raw(fd, frame, make_subscribe(frame, pattern, strlen(pattern)));
                settle(&place);
        }
        require_end(&place, fd, &heard, -ENOSPC, reasons[_i]);
        ck_assert_int_eq(ferry_service_notify(service, "0001", NULL), 0);
        /* What it had is free again. */
        fd = connect_raw(&place);
        send_raw(fd, frame, make_subscribe(frame, "0001", 4));
        settle(&place);
        ck_assert_int_eq(ferry_service_notify(service, "0001", NULL), 1);
        close(fd);
        close_place(&place);
}
END_TEST

/* The frame of a pattern is accepted whatever the limit of messages. */
START_TEST(a_small_limit_of_messages_does_not_keep_from_subscribing)
{
        ferry_session_options small = { .dialect = FERRY_DIALECT_FERRY, .frame_max = 40 };
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;
        char pattern[256];

        open_place(&place);
        service = open_echo(&place, &(ferry_service_options){ .session = &small });
        client = open_client(&place, &heard);
        snprintf(pattern, sizeof pattern, "%0255d", 1);
        flush(client);
        subscribe(client, pattern);
        subscribe(client, "a");
        flush(client);
        ck_assert_str_eq(heard.error, "");
        ck_assert_int_eq(ferry_service_notify(service, "a", NULL), 1);
        close_place(&place);
}
END_TEST

/* Retained values ------------------------------------------------------------------------------------------ */

START_TEST(a_retained_value_comes_first)
{
        struct place place;
        struct heard old, new;
        ferry_service *service;
        ferry_session *later;
        FERRY_AUTO(ferry_value) three = ferry_value_pack("3");

        open_place(&place);
        service = open_echo(&place, NULL);
        open_client(&place, &old);
        settle(&place);
        ck_assert_int_eq(ferry_service_retain(service, "price.a", "%d", 1), 1);
        ck_assert_int_eq(ferry_service_retain(service, "price.b", "%d", 2), 1);
        ck_assert_int_eq(ferry_service_retain(service, "news", "'x'"), 1);
        ck_assert_int_eq(ferry_service_retain_value(service, "price.a", three), 1);
        later = open_client(&place, &new);
        ferry_session_off(later, hear, &new);
        ferry_session_on(later, FERRY_KIND_NOTIFICATION, NULL, NULL);
        subscribe(later, "price.*");
        flush(later);
        ck_assert_int_eq(ferry_service_notify(service, "price.c", "4"), 2);
        flush(ferry_service_client(service, ferry_service_client(service, NULL)));
        for (int i = 0; i < 3; i++) {
                static const char *const types[] = { "price.b", "price.a", "price.c" };
                const ferry_message *message = ferry_session_next(later, SAFETY_MS);

                ck_assert_str_eq(ferry_message_type(message), types[i]);
                ck_assert_int_eq(ferry_value_int(ferry_message_body(message), 0), 2 + i);
        }
        ck_assert_ptr_null(ferry_session_next(later, 0));
        /* A client that subscribes to nothing gets what is sent while it is there. */
        ck_assert_str_eq(old.types, "price.a price.b news price.a price.c ");
        /* Not again for the same subscription; but for one that overlaps, and for one that was withdrawn. */
        subscribe(later, "price.*");
        flush(later);
        ck_assert_ptr_null(ferry_session_next(later, 0));
        subscribe(later, "price.a");
        flush(later);
        ck_assert_str_eq(ferry_message_type(ferry_session_next(later, 0)), "price.a");
        ck_assert_ptr_null(ferry_session_next(later, 0));
        ck_assert_int_eq(ferry_service_unretain(service, "price.a"), 0);
        ck_assert_int_eq(ferry_service_unretain(service, "price.a"), -ENOENT);
        ferry_session_unsubscribe(later, "price.a");
        subscribe(later, "price.a");
        flush(later);
        ck_assert_ptr_null(ferry_session_next(later, 0));
        close_place(&place);
}
END_TEST

START_TEST(retained_values_are_limited)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;
        char text[1001];
        int count = 0, code;

        open_place(&place);
        memset(text, 'x', 1000);
        text[1000] = '\0';
        service = open_echo(&place, &(ferry_service_options){ .retained_max = 10000 });
        client = open_client(&place, &heard);
        subscribe(client, ">");
        flush(client);
        for (;; count++) {
                char type[16];

                snprintf(type, sizeof type, "%d", count);
                code = ferry_service_retain(service, type, "%s", text);
                if (code != 1)
                        break;
        }
        ck_assert_int_eq(code, -ENOSPC);
        ck_assert_int_ge(count, 5);
        ck_assert_int_le(count, 9);
        settle(&place);
        /* What was not kept was not sent. */
        ck_assert_uint_eq(strlen(heard.types), 2 * (size_t)count);
        /* One in the place of another needs no more room; and one that goes makes room. */
        ck_assert_int_eq(ferry_service_retain(service, "0", "%s", text), 1);
        ck_assert_int_eq(ferry_service_unretain(service, "0"), 0);
        ck_assert_int_eq(ferry_service_retain(service, "9", "%s", text), 1);
        ck_assert_int_eq(ferry_service_retain(service, "1", "%p", NULL), -EINVAL);
        ck_assert_int_eq(ferry_service_retain(service, NULL, NULL), -EINVAL);
        ck_assert_int_eq(ferry_service_retain(service, "\xff", NULL), -EINVAL);
        ck_assert_int_eq(ferry_service_retain(NULL, "a", NULL), -ENOMEM);
        ck_assert_int_eq(ferry_service_unretain(NULL, "a"), -ENOMEM);
        ck_assert_int_eq(ferry_service_unretain(service, NULL), -EINVAL);
        close_place(&place);
}
END_TEST

/* What does not fit is not lost silently. */
START_TEST(a_client_is_told_of_values_that_it_did_not_get)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_FERRY, .queue_max = 300000 },
                              small = { .dialect = FERRY_DIALECT_FERRY, .frame_max = 1000 };
        struct place place;
        struct heard heard = { 0 };
        ferry_service *service;
        ferry_session *client;
        char *text = malloc(100001);

        open_place(&place);
        memset(text, 'x', 100000);
        text[100000] = '\0';
        service = open_echo(&place, &(ferry_service_options){ .session = &options, .retained_max = 4 << 20 });
        for (int i = 0; i < 12; i++) {
                char type[16];

                snprintf(type, sizeof type, "t.%d", i);
                ck_assert_int_eq(ferry_service_retain(service, type, "%s", text), 0);
        }
        client = ferry_session_open(place.loop, place.address, _i == 0 ? &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY } : &small);
        ferry_session_on(client, FERRY_KIND_NOTIFICATION | FERRY_KIND_ERROR, hear, &heard);
        subscribe(client, "t.>");
        flush(client);
        if (_i == 0) {
                ck_assert_msg(strstr(heard.error, " of 12 retained values were not sent: "), "%s", heard.error);
                ck_assert_msg(strstr(heard.error, "bytes already wait to be sent"), "%s", heard.error);
                ck_assert_uint_gt(strlen(heard.types), 0);
        } else
                ck_assert_msg(strncmp(heard.error, "12 of 12 retained values were not sent: ", 40) == 0, "%s", heard.error);
        /* The subscription holds. */
        ck_assert_int_eq(ferry_service_notify(service, "t.x", NULL), 1);
        free(text);
        close_place(&place);
}
END_TEST

/* Events --------------------------------------------------------------------------------------------------- */

static int note_event(ferry_session *session, const ferry_message *message, void *userdata)
{
        char *events = userdata;

        sprintf(events + strlen(events), "%c%s ", ferry_message_kind(message) == FERRY_KIND_SUBSCRIBED ? '+' : '-', ferry_message_type(message));
        if (strcmp(ferry_message_type(message), "free") == 0)
                ferry_session_free(session);
        /* A value of its own comes behind those that are retained. */
        if (strcmp(ferry_message_type(message), "a.*") == 0 && ferry_message_kind(message) == FERRY_KIND_SUBSCRIBED)
                ck_assert_int_eq(ferry_session_notify(session, "own", NULL), 0);
        return 0;
}

START_TEST(a_service_is_told_of_subscriptions)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;
        char events[256] = "";

        open_place(&place);
        service = open_echo(&place, NULL);
        ck_assert_int_eq(ferry_service_retain(service, "a.b", NULL), 0);
        ferry_service_on(service, FERRY_KIND_SUBSCRIBED | FERRY_KIND_UNSUBSCRIBED, note_event, events);
        client = open_client(&place, &heard);
        subscribe(client, "a.*");
        subscribe(client, "b");
        ck_assert_int_eq(ferry_session_unsubscribe(client, "a.*"), 0);
        flush(client);
        ck_assert_str_eq(events, "+a.* +b -a.* ");
        ck_assert_str_eq(heard.types, "a.b own ");
        subscribe(client, "free");
        settle(&place);
        ck_assert_int_eq(heard.closed, 1);
        ck_assert_int_eq(ferry_service_notify(service, "b", NULL), 0);
        ck_assert_int_eq(ferry_service_status(service), 1);
        close_place(&place);
}
END_TEST

/* A peer may repeat itself. */
START_TEST(a_service_is_told_of_each_subscription_once)
{
        struct place place;
        unsigned char frame[512];
        ferry_service *service;
        char events[256] = "";
        int fd;

        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_SUBSCRIBED | FERRY_KIND_UNSUBSCRIBED, note_event, events);
        fd = connect_raw(&place);
        for (int i = 0; i < 4; i++) {
                size_t size = make_subscribe(frame, "b", 1);

                /* Its kind, and that of an unsubscribe. */
                frame[9] = i < 2 ? 0xa3 : 0xa4;
                send_raw(fd, frame, size);
        }
        settle(&place);
        ck_assert_str_eq(events, "+b -b ");
        close(fd);
        close_place(&place);
}
END_TEST

/* A codec of the program that frees a client, notifies, and retains, while a notification is written by it. */
static struct {
        ferry_service *service;
        ferry_session *victim;
        bool is_nested;
} meddling;

static int encode_meddling(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        (void)codec, (void)value;
        if (!meddling.is_nested) {
                meddling.is_nested = true;
                ferry_session_free(meddling.victim);
                meddling.victim = NULL;
                ferry_service_notify(meddling.service, "a.nested", NULL);
                ferry_service_retain(meddling.service, "a.b", "'again'");
                ferry_service_unretain(meddling.service, "a.b");
                meddling.is_nested = false;
        }
        ferry_sink_write(sink, "x", 1);
        return 0;
}

static int decode_meddling(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec, (void)bytes, (void)size;
        ferry_builder_add(builder, NULL);
        return 0;
}

START_TEST(a_codec_may_meddle_while_clients_are_notified)
{
        ferry_codec codec = { .name = "meddling", .number = 200, .encode = encode_meddling, .decode = decode_meddling };
        ferry_session_options options = { .dialect = FERRY_DIALECT_FERRY, .codec = &codec };
        struct place place;
        struct heard heard[3];
        ferry_service *service;
        ferry_session *clients[3];

        open_place(&place);
        service = open_echo(&place, &(ferry_service_options){ .session = &options });
        meddling.service = service;
        for (int i = 0; i < 3; i++) {
                clients[i] = ferry_session_open(place.loop, place.address, &options);
                heard[i] = (struct heard){ 0 };
                ferry_session_on(clients[i], FERRY_KIND_NOTIFICATION, hear, &heard[i]);
                subscribe(clients[i], "a.*");
                flush(clients[i]);
        }
        /* The second in line, or the first, is freed at the service while the first is written to. */
        meddling.victim = ferry_service_client(service, NULL);
        if (_i == 0)
                meddling.victim = ferry_service_client(service, meddling.victim);
        ferry_service_notify(service, "a.x", "'x'");
        settle(&place);
        ck_assert(strstr(heard[2].types, "a.x ") && strstr(heard[2].types, "a.nested "));
        /* The same while retained values are sent. */
        ck_assert_int_ge(ferry_service_retain(service, "a.b", "'kept'"), 0);
        ck_assert_int_ge(ferry_service_retain(service, "a.c", "'kept'"), 0);
        meddling.victim = ferry_service_client(service, NULL);
        subscribe(clients[2], ">");
        settle(&place);
        ck_assert_int_eq(ferry_service_status(service), 1);
        close_place(&place);
}
END_TEST

static int set_value(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        return ferry_service_retain(ferry_session_service(session), "t.a", "1") < 0;
}

/* The service knows nothing of the client yet, and sends it everything; then the client has subscribed, and gets what is retained. */
START_TEST(a_value_that_is_set_while_a_client_connects_comes_once)
{
        struct place place;
        struct heard heard;
        ferry_service *service;
        ferry_session *client;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, &(ferry_service_options){ .dialects = FERRY_DIALECT_FERRY });
        ferry_service_on(service, FERRY_KIND_OPENED, set_value, NULL);
        client = open_client(&place, &heard);
        subscribe(client, "t.*");
        flush(client);
        ck_assert_str_eq(heard.types, "t.a ");
        ck_assert_int_eq(ferry_service_notify(service, "u", NULL), 0);
        ck_assert_int_eq(ferry_service_notify(service, "t.b", NULL), 1);
        settle(&place);
        ck_assert_str_eq(heard.types, "t.a t.b ");
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_pattern_matches_types, COUNT(matches)),
        SUITE_LOOP(a_pattern_matches_retained_types, COUNT(matches)),
        SUITE_TEST(a_client_that_never_subscribes_gets_all),
        SUITE_TEST(a_client_is_notified_once),
        SUITE_TEST(a_withdrawn_subscription_has_no_effect),
        SUITE_TEST(a_subscription_waits_for_the_service),
        SUITE_LOOP(a_client_that_has_gone_leaves_no_subscription, 3),
        SUITE_TEST(a_malformed_pattern_is_refused),
        SUITE_LOOP(subscriptions_are_limited, 2),
        SUITE_LOOP(another_dialect_has_no_subscriptions, 3),
        SUITE_TEST(a_session_that_has_ended_takes_no_subscription),
        SUITE_TEST(a_peer_that_is_not_a_service_says_so),
        SUITE_LOOP(a_hostile_pattern_ends_its_client, COUNT(malformed) + 1),
        SUITE_LOOP(a_client_with_too_many_subscriptions_is_ended, 3),
        SUITE_TEST(a_small_limit_of_messages_does_not_keep_from_subscribing),
        SUITE_TEST(a_retained_value_comes_first),
        SUITE_TEST(retained_values_are_limited),
        SUITE_TEST(a_value_that_is_set_while_a_client_connects_comes_once),
        SUITE_LOOP(a_client_is_told_of_values_that_it_did_not_get, 2),
        SUITE_TEST(a_service_is_told_of_subscriptions),
        SUITE_TEST(a_service_is_told_of_each_subscription_once),
        SUITE_LOOP(a_codec_may_meddle_while_clients_are_notified, 2),
};

SUITE_MAIN("subscriptions", tests)
