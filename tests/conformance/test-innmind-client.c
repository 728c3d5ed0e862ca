/* A session in the dialect innmind whose server is no library: what it sends and when, which call an answer belongs to,
 * and how it goes. A real server ends when a frame comes in pieces or is none, and forgets what it carries when a
 * client just goes: none of that may ever be seen here. */
#include "conformance/innmind.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(nothing_is_said_before_the_server_has_begun)
{
        static const size_t sizes[] = { 48, 2 + 10 + 4 + 3 + 1, 2 + 9 + 4 + 4 + 1 };
        struct place place;
        ferry_session *session;
        struct peer *peer;
        ferry_call *call;

        place_open(&place);
        place_listen(&place);
        session = place_session(&place, NULL);
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'one'"), 0);
        call = ferry_session_request(session, TIMEOUT_MS, "text/html", "'ping'");
        peer = peer_accept(&place);
        peer_control(peer, "heartbeat");
        peer_expect_nothing(peer);
        peer_control(peer, "connection.start");
        peer_expect_control(peer, "connection.start-ok");
        peer_expect_text(peer, "one");
        peer_expect(peer, "text/html", "ping", 4);
        peer_expect_nothing(peer);
        ck_assert_uint_eq(place_sends.count, 3);
        for (int i = 0; i < 3; i++)
                ck_assert_uint_eq(place_sends.asked[i], sizes[i]);
        peer_control(peer, "message.received");
        peer_control(peer, "message.received");
        peer_text(peer, "pong");
        pair_answer(call, "pong");
        place_end(&place, peer, session);
}
END_TEST

START_TEST(opened_is_reported_when_both_have_begun)
{
        struct place place;
        ferry_session *session;
        struct peer *peer;

        place_open(&place);
        place_listen(&place);
        session = place_session(&place, NULL);
        ferry_session_on(session, FERRY_KIND_OPENED, NULL, NULL);
        place_settle(&place);
        ck_assert_ptr_null(ferry_session_next(session, 0));
        peer = peer_welcome(&place);
        ck_assert_int_eq(ferry_message_kind(ferry_session_next(session, 0)), FERRY_KIND_OPENED);
        peer_control(peer, "connection.start");
        peer_expect_nothing(peer);
        place_end(&place, peer, session);
}
END_TEST

/* Whatever the server says before it acknowledges is no answer, and is not lost. */
START_TEST(what_comes_before_the_acknowledgement_is_no_answer)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *call = pair_ask(session, "ping");

        peer_expect_text(peer, "ping");
        peer_text(peer, "news 1");
        peer_text(peer, "news 2");
        peer_control(peer, "heartbeat");
        peer_control(peer, "message.received");
        peer_text(peer, "pong");
        peer_text(peer, "news 3");
        pair_answer(call, "pong");
        for (int i = 1; i <= 3; i++) {
                char text[16];

                snprintf(text, sizeof text, "news %d", i);
                ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), text);
        }
        ck_assert_ptr_null(ferry_session_next(session, 0));
        /* A client acknowledges nothing. */
        peer_expect_nothing(peer);
        place_end(&place, peer, session);
}
END_TEST

/* Its own: those of what was sent before are no reason to take an answer. */
START_TEST(its_own_acknowledgement_counts)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *call;

        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'one'"), 0);
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'two'"), 0);
        call = pair_ask(session, "ping");
        peer_expect_text(peer, "one");
        peer_expect_text(peer, "two");
        peer_expect_text(peer, "ping");
        peer_control(peer, "message.received");
        peer_text(peer, "to one");
        peer_control(peer, "message.received");
        peer_text(peer, "to two");
        place_settle(&place);
        ck_assert_int_eq(ferry_call_status(call), 1);
        peer_control(peer, "message.received");
        peer_text(peer, "to ping");
        pair_answer(call, "to ping");
        ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), "to one");
        ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), "to two");
        place_end(&place, peer, session);
}
END_TEST

/* One is acknowledged more often than it has sent: that is no credit for the next. */
START_TEST(acknowledgements_cannot_be_saved)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *call;

        for (int i = 0; i < 3; i++)
                peer_control(peer, "message.received");
        place_settle(&place);
        call = pair_ask(session, "ping");
        peer_expect_text(peer, "ping");
        peer_text(peer, "news");
        place_settle(&place);
        ck_assert_int_eq(ferry_call_status(call), 1);
        peer_control(peer, "message.received");
        peer_text(peer, "pong");
        pair_answer(call, "pong");
        ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), "news");
        place_end(&place, peer, session);
}
END_TEST

/* Two requests, and what was said between and behind them: in that order, the second when the first is answered. */
START_TEST(one_request_at_a_time)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *calls[3];

        calls[0] = pair_ask(session, "1?");
        ferry_session_notify(session, "text/plain", "'between'");
        calls[1] = pair_ask(session, "2?");
        ferry_session_notify(session, "text/plain", "'behind'");
        calls[2] = pair_ask(session, "3?");
        peer_expect_text(peer, "1?");
        peer_expect_text(peer, "between");
        peer_expect_nothing(peer);
        peer_control(peer, "message.received");
        peer_control(peer, "message.received");
        peer_expect_nothing(peer);
        peer_text(peer, "1!");
        peer_expect_text(peer, "2?");
        peer_expect_text(peer, "behind");
        peer_expect_nothing(peer);
        pair_answer(calls[0], "1!");
        peer_control(peer, "message.received");
        peer_text(peer, "2!");
        peer_expect_text(peer, "3?");
        pair_answer(calls[1], "2!");
        peer_control(peer, "message.received");
        peer_control(peer, "message.received");
        peer_text(peer, "3!");
        pair_answer(calls[2], "3!");
        place_end(&place, peer, session);
}
END_TEST

/* Handlers of requests may answer what comes on its own; that goes before a request that waits. */
START_TEST(what_comes_can_be_answered)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        struct book book = { 0 };
        ferry_call *first, *second;

        ferry_session_on(session, FERRY_KIND_REQUEST, book_echo, &book);
        first = pair_ask(session, "1?");
        second = pair_ask(session, "2?");
        peer_expect_text(peer, "1?");
        peer_text(peer, "server asks");
        peer_expect_text(peer, "server asks");
        peer_expect_nothing(peer);
        peer_control(peer, "message.received");
        peer_control(peer, "message.received");
        peer_text(peer, "1!");
        peer_expect_text(peer, "2?");
        pair_answer(first, "1!");
        peer_control(peer, "message.received");
        peer_text(peer, "2!");
        pair_answer(second, "2!");
        place_end(&place, peer, session);
}
END_TEST

START_TEST(flush_waits_for_all_acknowledgements)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);

        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%s", "x"), 0);
        ck_assert_int_eq(ferry_session_flush(session, 100), -ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
                peer_expect_text(peer, "x");
                ck_assert_int_eq(ferry_session_flush(session, 0), -ETIMEDOUT);
                peer_control(peer, "message.received");
        }
        ck_assert_int_eq(ferry_session_flush(session, 0), 0);
        place_end(&place, peer, session);
}
END_TEST

/* There is no telling the late answer from the next: so the session goes, and says so. */
START_TEST(a_timeout_ends_the_session)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *first = ferry_session_request(session, 100, "text/plain", "'1?'");
        ferry_call *second = pair_ask(session, "2?");

        peer_expect_text(peer, "1?");
        if (_i)
                peer_control(peer, "message.received");
        ck_assert_ptr_null(ferry_call_await(first));
        ck_assert_ptr_null(ferry_call_await(second));
        pair_call_end(first, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN);
        pair_call_end(second, -ETIMEDOUT, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'x'"), -ETIMEDOUT);
        ck_assert_int_eq(ferry_session_status(session), -ETIMEDOUT);
        ck_assert_msg(strstr(ferry_session_error(session), "its answer would be taken for that of the next request"), "%s",
                      ferry_session_error(session));
        peer_expect_goodbye(peer);
        ck_assert_int_eq(ferry_session_close(session), -ETIMEDOUT);
        /* It was reported, and is not reported again. */
        ck_assert_int_eq(ferry_loop_run(place.loop, 0), 0);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* While the other side has still to say that it knows, it is known here already. */
START_TEST(closing_a_session_that_ends_reports_why)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *call = ferry_session_request(session, 100, "text/plain", "'1?'");

        peer_expect_text(peer, "1?");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_session_close(session), -ETIMEDOUT);
        pair_call_end(call, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN);
        peer_expect_goodbye(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

START_TEST(letting_a_call_go_ends_the_session)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *first = pair_ask(session, "1?"), *second = pair_ask(session, "2?");

        peer_expect_text(peer, "1?");
        ferry_call_free(first);
        pair_call_end(second, -ECANCELED, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), -ECANCELED);
        peer_expect_goodbye(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* A call that was not sent yet can be freed, or time out. */
START_TEST(a_call_that_waits_can_go)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *calls[4];

        calls[0] = pair_ask(session, "1?");
        calls[1] = pair_ask(session, "2?");
        calls[2] = ferry_session_request(session, 100, "text/plain", "'3?'");
        calls[3] = pair_ask(session, "4?");
        peer_expect_text(peer, "1?");
        ferry_call_free(calls[1]);
        ck_assert_ptr_null(ferry_call_await(calls[2]));
        pair_call_end(calls[2], -ETIMEDOUT, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), 1);
        peer_control(peer, "message.received");
        peer_text(peer, "1!");
        peer_expect_text(peer, "4?");
        pair_answer(calls[0], "1!");
        peer_control(peer, "message.received");
        peer_text(peer, "4!");
        pair_answer(calls[3], "4!");
        place_end(&place, peer, session);
}
END_TEST

/* Before the server has begun none has left; what is taken back then takes nothing else along. */
START_TEST(taken_back_before_the_server_has_begun)
{
        char *text = calloc(1, 5000);
        struct place place;
        ferry_session *session;
        struct peer *peer;
        ferry_call *first;

        memset(text, 'x', 4999);
        place_open(&place);
        place_listen(&place);
        session = place_session(&place, NULL);
        first = ferry_session_request(session, 100, "text/plain", "'1?'");
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%s", text), 0);
        ck_assert_ptr_null(ferry_call_await(first));
        ck_assert_msg(strstr(ferry_call_error(first), "has not begun"), "%s", ferry_call_error(first));
        pair_call_end(first, -ETIMEDOUT, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), 1);
        peer = peer_accept(&place);
        if (_i == 1) {
                /* Then it fails: it begins all the same, before it goes. */
                peer_text(peer, "a message too early");
                place_settle(&place);
        }
        peer_control(peer, "connection.start");
        peer_expect_control(peer, "connection.start-ok");
        if (_i == 1) {
                peer_expect_goodbye(peer);
                ck_assert_int_eq(ferry_session_status(session), -EBADMSG);
                peer_close(peer);
                place_close(&place);
        } else {
                peer_expect_text(peer, text);
                place_end(&place, peer, session);
        }
        free(text);
}
END_TEST

START_TEST(the_server_closes)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *first = pair_ask(session, "1?"), *second = pair_ask(session, "2?");

        peer_expect_text(peer, "1?");
        place_forget_sends();
        peer_control(peer, "connection.close");
        peer_expect_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_uint_eq(place_sends.count, 1);
        pair_call_end(first, -ECONNRESET, FERRY_OUTCOME_UNKNOWN);
        pair_call_end(second, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), 0);
        ck_assert_str_eq(ferry_session_error(session), "the other side has closed the session");
        peer_close(peer);
        place_close(&place);
}
END_TEST

START_TEST(both_close_at_once)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);

        peer_control(peer, "connection.close");
        ck_assert_int_eq(ferry_session_close(session), 0);
        peer_expect_control(peer, "connection.close");
        peer_expect_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_int_eq(ferry_session_status(session), 0);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* Else the session would end before the peer has read what was said last. */
START_TEST(an_answer_before_the_close_counts_for_nothing)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);

        peer_control(peer, "connection.close-ok");
        place_settle(&place);
        ck_assert_int_eq(ferry_session_status(session), 1);
        place_end(&place, peer, session);
}
END_TEST

enum { BY_CLOSE, BY_FREE, BY_LOOP, WAYS };
enum { ANSWERED, GONE, SILENT, REPLIES };

/* However it goes: what is queued, then connection.close; then it waits for the answer, or the end, or some time. */
START_TEST(leaving)
{
        int way = _i / REPLIES, reply = _i % REPLIES;
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_loop *loop = place.loop;

        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'last words'"), 0);
        /* Before, as loop_free waits: it is read when it waits for it. */
        if (way == BY_LOOP && reply == ANSWERED)
                peer_control(peer, "connection.close-ok");
        if (way == BY_LOOP && reply == GONE)
                shutdown(peer->fd, SHUT_WR);
        if (way == BY_CLOSE)
                ck_assert_int_eq(ferry_session_close(session), 0);
        else if (way == BY_FREE)
                ferry_session_free(session);
        else {
                door_counts.calls[DOOR_epoll_wait] = 0;
                place.loop = ferry_loop_free(loop);
                ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 10);
                place.loop = ferry_loop_new(NULL);
        }
        peer_expect_text(peer, "last words");
        peer_expect_control(peer, "connection.close");
        if (way != BY_LOOP) {
                peer_expect_nothing(peer);
                if (reply == ANSWERED)
                        peer_control(peer, "connection.close-ok");
                else if (reply == GONE)
                        shutdown(peer->fd, SHUT_WR);
                else {
                        door_advance(999 * 1000000ll);
                        peer_expect_nothing(peer);
                        door_advance(1000000);
                }
        }
        peer_expect_end(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* Closed before the server has begun: then it begins, and goes at once. */
START_TEST(closing_before_the_server_has_begun)
{
        struct place place;
        ferry_session *session;
        struct peer *peer;

        place_open(&place);
        place_listen(&place);
        session = place_session(&place, NULL);
        if (_i)
                ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'words'"), 0);
        place_settle(&place);
        ck_assert_int_eq(ferry_session_close(session), 0);
        peer = peer_accept(&place);
        peer_expect_nothing(peer);
        peer_control(peer, "connection.start");
        peer_expect_control(peer, "connection.start-ok");
        if (_i)
                peer_expect_text(peer, "words");
        peer_expect_goodbye(peer);
        ck_assert_int_eq(ferry_session_status(session), 0);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* And one that never begins is not waited for longer than for an answer. */
START_TEST(closing_waits_no_longer_for_a_silent_server)
{
        struct place place;
        ferry_session *session;
        struct peer *peer;

        place_open(&place);
        place_listen(&place);
        session = place_session(&place, NULL);
        place_settle(&place);
        ck_assert_int_eq(ferry_session_close(session), 0);
        peer = peer_accept(&place);
        door_advance(999 * 1000000ll);
        peer_expect_nothing(peer);
        door_advance(1000000);
        peer_expect_end(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

START_TEST(closing_works_without_a_listener)
{
        struct place place;
        ferry_session *session;

        place_open(&place);
        session = place_session(&place, &(ferry_session_options){ .wait_ms = TIMEOUT_MS });
        place_settle(&place);
        ck_assert_int_eq(ferry_session_close(session), 0);
        place_listen(&place);
        ck_assert_int_eq(ferry_loop_run(place.loop, TIMEOUT_MS * 2), 0);
        ck_assert(!peer_comes(&place));
        ck_assert_int_eq(ferry_session_status(session), 0);
        place_close(&place);
}
END_TEST

/* Bytes that are none of the dialect; messages where there should be a beginning. */
START_TEST(a_server_that_talks_nonsense)
{
        static const struct { const char *bytes; size_t size; bool is_last; int code; } nonsense[] = {
                { "\0\xatext/plain\0\0\0\1x\xcf", 18, false, -EBADMSG },
                { "\0\7foo/bar\0\0\0\1x\xce", 15, false, -EBADMSG },
                { "\0\0\0\0\0\1x\xce", 8, true, -EBADMSG },
                { "\0\xatext/plain\xff\xff\xff\xffx", 17, true, -EMSGSIZE },
                { "HTTP/1.1 400 Bad Request\r\n\r\n", 28, true, -EBADMSG },
        };
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *call = pair_ask(session, "1?");

        peer_expect_text(peer, "1?");
        peer_write(peer, nonsense[_i].bytes, nonsense[_i].size);
        ck_assert_ptr_null(ferry_call_await(call));
        pair_call_end(call, nonsense[_i].code, FERRY_OUTCOME_UNKNOWN);
        peer_expect_control(peer, "connection.close");
        if (nonsense[_i].is_last)
                shutdown(peer->fd, SHUT_WR);
        else
                peer_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_int_lt(ferry_session_status(session), 0);
        peer_close(peer);
        place_close(&place);
}
END_TEST

START_TEST(the_server_goes)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);
        ferry_call *first = pair_ask(session, "1?"), *second = pair_ask(session, "2?");

        peer_expect_text(peer, "1?");
        if (_i)
                peer_control(peer, "message.received");
        peer_close(peer);
        ck_assert_ptr_null(ferry_call_await(first));
        pair_call_end(first, -ECONNRESET, FERRY_OUTCOME_UNKNOWN);
        pair_call_end(second, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED);
        place_close(&place);
}
END_TEST

/* A server that stops says so; one that is killed does not. */
START_TEST(an_idle_session_reports_that_its_server_was_killed)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = place_pair(&place, &session);

        if (_i)
                peer_control(peer, "heartbeat");
        peer_close(peer);
        ck_assert_ptr_null(ferry_session_next(session, TIMEOUT_MS));
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        ck_assert_msg(strstr(ferry_session_error(session), "without a close"), "%s", ferry_session_error(session));
        place_close(&place);
}
END_TEST

START_TEST(the_server_goes_before_it_has_begun)
{
        struct place place;
        ferry_session *session;
        ferry_call *call;

        place_open(&place);
        place_listen(&place);
        session = place_session(&place, NULL);
        call = pair_ask(session, "1?");
        peer_close(peer_accept(&place));
        ck_assert_ptr_null(ferry_call_await(call));
        pair_call_end(call, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED);
        /* What it has to say can never be said: that is not waited for. */
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        ck_assert_msg(strstr(ferry_session_error(session), "before its first message"), "%s", ferry_session_error(session));
        place_close(&place);
}
END_TEST

/* The server closes before it has begun, as no real one does: nothing hangs. */
START_TEST(the_server_closes_before_it_has_begun)
{
        struct place place;
        ferry_session *session;
        struct peer *peer;
        ferry_call *call;

        place_open(&place);
        place_listen(&place);
        session = place_session(&place, NULL);
        call = pair_ask(session, "1?");
        peer = peer_accept(&place);
        peer_control(peer, "connection.close");
        ck_assert_ptr_null(ferry_call_await(call));
        pair_call_end(call, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        peer_expect_end(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(nothing_is_said_before_the_server_has_begun),
        SUITE_TEST(opened_is_reported_when_both_have_begun),
        SUITE_TEST(what_comes_before_the_acknowledgement_is_no_answer),
        SUITE_TEST(its_own_acknowledgement_counts),
        SUITE_TEST(acknowledgements_cannot_be_saved),
        SUITE_TEST(one_request_at_a_time),
        SUITE_TEST(what_comes_can_be_answered),
        SUITE_TEST(flush_waits_for_all_acknowledgements),
        SUITE_LOOP(a_timeout_ends_the_session, 2),
        SUITE_TEST(closing_a_session_that_ends_reports_why),
        SUITE_TEST(letting_a_call_go_ends_the_session),
        SUITE_TEST(a_call_that_waits_can_go),
        SUITE_LOOP(taken_back_before_the_server_has_begun, 2),
        SUITE_TEST(the_server_closes),
        SUITE_TEST(both_close_at_once),
        SUITE_TEST(an_answer_before_the_close_counts_for_nothing),
        SUITE_LOOP(leaving, WAYS * REPLIES),
        SUITE_LOOP(closing_before_the_server_has_begun, 2),
        SUITE_TEST(closing_waits_no_longer_for_a_silent_server),
        SUITE_TEST(closing_works_without_a_listener),
        SUITE_LOOP(a_server_that_talks_nonsense, 5),
        SUITE_LOOP(the_server_goes, 2),
        SUITE_LOOP(an_idle_session_reports_that_its_server_was_killed, 2),
        SUITE_TEST(the_server_goes_before_it_has_begun),
        SUITE_TEST(the_server_closes_before_it_has_begun),
};

SUITE_MAIN("innmind-client", tests)
