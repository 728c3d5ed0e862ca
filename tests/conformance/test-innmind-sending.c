/* What a session in the dialect innmind sends, and what it refuses instead, since a real server could not take it, or
 * would take it for something else: that is told where it is sent, nothing of it leaves, and all goes on. */
#include "conformance/innmind.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing has left, and all goes on. */
static void require_still_well(struct peer *peer, ferry_session *session)
{
        ferry_call *call = pair_ask(session, "ping");

        peer_expect_text(peer, "ping");
        peer_control(peer, "message.received");
        peer_text(peer, "pong");
        pair_answer(call, "pong");
}

static void require_refused(ferry_session *session, int code, const char *type, const char *text, int size)
{
        ferry_call *call = ferry_session_request(session, TIMEOUT_MS, type, "%.*s", size, text);

        ck_assert_msg(ferry_call_status(call) == code, "%s: %d, %s", type, ferry_call_status(call),
                      ferry_call_error(call));
        pair_call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_notify(session, type, "%.*s", size, text), code);
        ck_assert_int_eq(ferry_session_flush(session, 0), code);
}

START_TEST(what_would_be_taken_for_the_connection_s_own)
{
        static const char *const contents[] = { "connection.start", "connection.start-ok", "connection.close",
                                                "connection.close-ok", "message.received", "heartbeat" };
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        char text[64];

        for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
                int size = snprintf(text, sizeof text, "innmind/ipc:%s", contents[i]);

                require_refused(session, -EINVAL, "text/plain", text, size);
                ck_assert_int_eq(ferry_session_notify(session, "text/plain; charset=utf-8", "%s", text), 0);
                peer_expect(peer, "text/plain; charset=utf-8", text, (size_t)size);
                peer_control(peer, "message.received");
                ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'%s '", text), 0);
                strcat(text, " ");
                peer_expect_text(peer, text);
                peer_control(peer, "message.received");
        }
        require_still_well(peer, session);
        place_end(&place, peer, session);
}
END_TEST

#define NAME_127 \
        "a234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890" \
        "123456789012345678901234567"

START_TEST(media_types)
{
        static const char *const right[] = {
                "application/json", "audio/ogg", "example/x", "font/woff2", "image/svg+xml", "message/rfc822",
                "model/3mf", "multipart/form-data", "text/plain", "application/vnd.api+json", "text/x", "text/1",
                "text/a!#$&^_.-b",
                "text/PLAIN", "text/html; charset=utf-8", "text/html;charset=utf-8", "text/html; a=1; b=2",
                "text/html, a=1", "text/" NAME_127, "text/html+" NAME_127, "text/html; " NAME_127 "=1",
                "application/octet-stream",
        };
        static const char *const wrong[] = {
                "", "text", "text/", "/plain", "foo/bar", "TEXT/plain", "Text/plain", " text/plain", "text/plain ",
                "text /plain", "text/ plain", "text/plain;", "text/plain; ", "text/plain;a", "text/plain; a=",
                "text/plain; =1",
                "text/plain;  a=1", "text/plain; a=\"1\"", "text/plain; a=1;", "text/plain+", "text/+xml", "text/a/b",
                "text/.a", "text/-a", "text/a\n", "text/\xc3\xa9", "text/" NAME_127 "8", "text/html+" NAME_127 "8",
                "App\\Message", "*/*", "text/*",
        };
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);

        for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
                ck_assert_msg(ferry_session_notify(session, right[i], "'x'") == 0, "%s", right[i]);
                peer_expect(peer, right[i], "x", 1);
                peer_control(peer, "message.received");
                /* What it takes is what it sends. */
                peer_message(peer, right[i], "y", 1);
                place_settle(&place);
                ck_assert_str_eq(ferry_message_type(ferry_session_next(session, 0)), right[i]);
        }
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                require_refused(session, -EINVAL, wrong[i], "x", 1);
        require_still_well(peer, session);
        place_end(&place, peer, session);
}
END_TEST

START_TEST(bodies)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);

        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%d", 5), -EINVAL);
        ck_assert_int_eq(ferry_session_notify(session, "application/jsonx", "[]"), -EINVAL);
        ck_assert_int_eq(ferry_session_notify(session, "application/vnd.api+json", "{}"), -EINVAL);
        ck_assert_msg(strstr(ferry_session_error(session), "application/json"), "%s", ferry_session_error(session));
        ck_assert_int_eq(ferry_session_notify(session, "application/json", "%.*s", 2, "\xff\xfe"), 0);
        ck_assert_int_eq(ferry_session_notify(session, "application/json", "[%.*s]", 1, "\xff"), -EILSEQ);
        ck_assert_int_eq(ferry_session_notify(session, "application/json", "{a: [%d, true, null, 'x']}", 1), 0);
        ck_assert_int_eq(ferry_session_notify(session, "application/json; charset=utf-8", "[]"), 0);
        ck_assert_int_eq(ferry_session_notify(session, "application/json", "'[as it is'"), 0);
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", NULL), 0);
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%.*s", 4, "\0\xce\0\n"), 0);
        peer_expect(peer, "application/json", "\xff\xfe", 2);
        peer_expect(peer, "application/json", "{\"a\":[1,true,null,\"x\"]}", 23);
        peer_expect(peer, "application/json; charset=utf-8", "[]", 2);
        peer_expect(peer, "application/json", "[as it is", 9);
        peer_expect_text(peer, "");
        peer_expect(peer, "text/plain", "\0\xce\0\n", 4);
        place_end(&place, peer, session);
}
END_TEST

/* A body that comes in is a string, whatever its type says. */
START_TEST(bodies_that_come)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        const ferry_message *message;
        size_t size;

        peer_message(peer, "application/json", "{\"a\":1}", 7);
        peer_message(peer, "text/plain", "\0\xce\xff", 3);
        peer_message(peer, "text/plain", "", 0);
        place_settle(&place);
        ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), "{\"a\":1}");
        message = ferry_session_next(session, 0);
        ck_assert(memcmp(ferry_value_bytes(ferry_message_body(message), &size), "\0\xce\xff", 3) == 0 && size == 3);
        ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), "");
        place_end(&place, peer, session);
}
END_TEST

START_TEST(the_limit_of_a_frame)
{
        static const size_t limits[] = { 131072, 131072, 1000, 100 };
        static const size_t maxima[] = { 0, 1 << 20, 1000, 100 };
        size_t limit = limits[_i], most = limit - 2 - 10 - 4 - 1;
        char *text = malloc(limit + 1);
        struct place place;
        ferry_session *session;
        struct peer *peer;

        memset(text, 'x', limit + 1);
        place_open(&place);
        place_listen(&place);
        session = place_session(&place, &(ferry_session_options){ .frame_max = maxima[_i] });
        peer = peer_welcome(&place);
        place_forget_sends();
        require_refused(session, -EMSGSIZE, "text/plain", text, (int)most + 1);
        ck_assert_uint_eq(place_sends.count, 0);
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%.*s", (int)most, text), 0);
        peer_expect(peer, "text/plain", text, most);
        ck_assert_uint_eq(place_sends.count, 1);
        ck_assert_uint_eq(place_sends.asked[0], limit);
        peer_control(peer, "message.received");
        require_still_well(peer, session);
        /* What comes may be larger, up to what is taken here. */
        if (_i == 0) {
                char *large = calloc(1, 1 << 18);

                peer_message(peer, "text/plain", large, 1 << 18);
                place_settle(&place);
                ck_assert_ptr_nonnull(ferry_session_next(session, 0));
                free(large);
        }
        place_end(&place, peer, session);
        free(text);
}
END_TEST

/* A socket that takes no more: nothing of a frame leaves before all of it can. */
START_TEST(a_server_that_does_not_read)
{
        char *text = calloc(1, 131001);
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);

        memset(text, 'x', 131000);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%s", text), 0);
        place_settle(&place);
        while (peer_read(peer, SIZE_MAX) > 0)
                ;
        ck_assert_uint_gt(peer->size, 0);
        ck_assert_uint_eq(peer->size % 131017, 0);
        /* Nor was any tried that would not have been taken whole. */
        ck_assert_uint_eq(place_sends.count, peer->size / 131017);
        for (int i = 0; i < 20; i++)
                peer_expect(peer, "text/plain", text, 131000);
        place_end(&place, peer, session);
        free(text);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(what_would_be_taken_for_the_connection_s_own),
        SUITE_TEST(media_types),
        SUITE_TEST(bodies),
        SUITE_TEST(bodies_that_come),
        SUITE_LOOP(the_limit_of_a_frame, 4),
        SUITE_TEST(a_server_that_does_not_read),
};

SUITE_MAIN("innmind-sending", tests)
