/* A session in the dialect innmind whose server is no library: what it sends and when, which call an answer belongs to,
 * and how it goes. A real server ends when a frame comes in pieces or is none, and forgets what it carries when a client
 * just goes: none of that may ever be seen here. */
#include "conformance/innmind.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TIMEOUT_MS = 5000 };

static ferry_session *open_session(struct place *place, const ferry_session_options *options)
{
        ferry_session_options all = options ? *options : (ferry_session_options){ 0 };
        ferry_session *session;

        all.dialect = FERRY_DIALECT_INNMIND;
        session = ferry_session_open(place->loop, place->address, &all);
        ck_assert_msg(ferry_session_status(session) == 1, "%s", ferry_session_error(session));
        return session;
}

/* A session, and its server up to where messages may come. */
static struct peer *open_pair(struct place *place, ferry_session **ret_session)
{
        struct peer *peer;

        place_open(place);
        place_listen(place);
        *ret_session = open_session(place, NULL);
        peer = peer_welcome(place);
        place_forget_sends();
        return peer;
}

/* It goes as it should, and then nothing is left. */
static void require_goodbye(struct peer *peer)
{
        peer_expect_control(peer, "connection.close");
        peer_expect_nothing(peer);
        peer_control(peer, "connection.close-ok");
        peer_expect_end(peer);
}

static void close_pair(struct place *place, struct peer *peer, ferry_session *session)
{
        ferry_session_close(session);
        require_goodbye(peer);
        peer_close(peer);
        place_close(place);
}

static ferry_call *ask(ferry_session *session, const char *text)
{
        return ferry_session_request(session, TIMEOUT_MS, "text/plain", "%s", text);
}

static void require_answer(ferry_call *call, const char *text)
{
        const ferry_message *reply = ferry_call_await(call);

        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(reply), text);
        ferry_call_free(call);
}

static void require_end(ferry_call *call, int status, enum ferry_outcome outcome)
{
        ck_assert_msg(ferry_call_status(call) == status, "%d: %s", ferry_call_status(call), ferry_call_error(call));
        ck_assert_int_eq(ferry_call_outcome(call), outcome);
        ck_assert(*ferry_call_error(call));
        ferry_call_free(call);
}

START_TEST(nothing_is_said_before_the_server_has_begun)
{
        static const size_t sizes[] = { 48, 2 + 10 + 4 + 3 + 1, 2 + 9 + 4 + 4 + 1 };
        struct place place;
        ferry_session *session;
        struct peer *peer;
        ferry_call *call;

        place_open(&place);
        place_listen(&place);
        session = open_session(&place, NULL);
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
        require_answer(call, "pong");
        close_pair(&place, peer, session);
}
END_TEST

START_TEST(opened_is_told_when_both_have_begun)
{
        struct place place;
        ferry_session *session;
        struct peer *peer;

        place_open(&place);
        place_listen(&place);
        session = open_session(&place, NULL);
        ferry_session_on(session, FERRY_KIND_OPENED, NULL, NULL);
        place_settle(&place);
        ck_assert_ptr_null(ferry_session_next(session, 0));
        peer = peer_welcome(&place);
        ck_assert_int_eq(ferry_message_kind(ferry_session_next(session, 0)), FERRY_KIND_OPENED);
        peer_control(peer, "connection.start");
        peer_expect_nothing(peer);
        close_pair(&place, peer, session);
}
END_TEST

/* Whatever the server says before it acknowledges is no answer, and is not lost. */
START_TEST(what_comes_before_the_acknowledgement_is_no_answer)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *call = ask(session, "ping");

        peer_expect_text(peer, "ping");
        peer_text(peer, "news 1");
        peer_text(peer, "news 2");
        peer_control(peer, "heartbeat");
        peer_control(peer, "message.received");
        peer_text(peer, "pong");
        peer_text(peer, "news 3");
        require_answer(call, "pong");
        for (int i = 1; i <= 3; i++) {
                char text[16];

                snprintf(text, sizeof text, "news %d", i);
                ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), text);
        }
        ck_assert_ptr_null(ferry_session_next(session, 0));
        /* A client acknowledges nothing. */
        peer_expect_nothing(peer);
        close_pair(&place, peer, session);
}
END_TEST

/* Its own: those of what was sent before are no reason to take an answer. */
START_TEST(its_own_acknowledgement_counts)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *call;

        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'one'"), 0);
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'two'"), 0);
        call = ask(session, "ping");
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
        require_answer(call, "to ping");
        ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), "to one");
        ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), "to two");
        close_pair(&place, peer, session);
}
END_TEST

/* One is acknowledged more often than it has sent: that is no credit for the next. */
START_TEST(acknowledgements_cannot_be_saved)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *call;

        for (int i = 0; i < 3; i++)
                peer_control(peer, "message.received");
        place_settle(&place);
        call = ask(session, "ping");
        peer_expect_text(peer, "ping");
        peer_text(peer, "news");
        place_settle(&place);
        ck_assert_int_eq(ferry_call_status(call), 1);
        peer_control(peer, "message.received");
        peer_text(peer, "pong");
        require_answer(call, "pong");
        ck_assert_str_eq(ferry_message_text(ferry_session_next(session, 0)), "news");
        close_pair(&place, peer, session);
}
END_TEST

/* Two requests, and what was said between and behind them: in that order, the second when the first is answered. */
START_TEST(one_request_at_a_time)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *calls[3];

        calls[0] = ask(session, "1?");
        ferry_session_notify(session, "text/plain", "'between'");
        calls[1] = ask(session, "2?");
        ferry_session_notify(session, "text/plain", "'behind'");
        calls[2] = ask(session, "3?");
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
        require_answer(calls[0], "1!");
        peer_control(peer, "message.received");
        peer_text(peer, "2!");
        peer_expect_text(peer, "3?");
        require_answer(calls[1], "2!");
        peer_control(peer, "message.received");
        peer_control(peer, "message.received");
        peer_text(peer, "3!");
        require_answer(calls[2], "3!");
        close_pair(&place, peer, session);
}
END_TEST

/* Handlers of requests may answer what comes on its own; that goes before a request that waits. */
START_TEST(what_comes_can_be_answered)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        struct book book = { 0 };
        ferry_call *first, *second;

        ferry_session_on(session, FERRY_KIND_REQUEST, book_echo, &book);
        first = ask(session, "1?");
        second = ask(session, "2?");
        peer_expect_text(peer, "1?");
        peer_text(peer, "server asks");
        peer_expect_text(peer, "server asks");
        peer_expect_nothing(peer);
        peer_control(peer, "message.received");
        peer_control(peer, "message.received");
        peer_text(peer, "1!");
        peer_expect_text(peer, "2?");
        require_answer(first, "1!");
        peer_control(peer, "message.received");
        peer_text(peer, "2!");
        require_answer(second, "2!");
        close_pair(&place, peer, session);
}
END_TEST

START_TEST(flush_waits_for_all_acknowledgements)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);

        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%s", "x"), 0);
        ck_assert_int_eq(ferry_session_flush(session, 100), -ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
                peer_expect_text(peer, "x");
                ck_assert_int_eq(ferry_session_flush(session, 0), -ETIMEDOUT);
                peer_control(peer, "message.received");
        }
        ck_assert_int_eq(ferry_session_flush(session, 0), 0);
        close_pair(&place, peer, session);
}
END_TEST

/* There is no telling the late answer from the next: so the session goes, and says so. */
START_TEST(a_timeout_ends_the_session)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *first = ferry_session_request(session, 100, "text/plain", "'1?'"), *second = ask(session, "2?");

        peer_expect_text(peer, "1?");
        if (_i)
                peer_control(peer, "message.received");
        ck_assert_ptr_null(ferry_call_await(first));
        ck_assert_ptr_null(ferry_call_await(second));
        require_end(first, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN);
        require_end(second, -ETIMEDOUT, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'x'"), -ETIMEDOUT);
        ck_assert_int_eq(ferry_session_status(session), -ETIMEDOUT);
        ck_assert_msg(strstr(ferry_session_error(session), "its answer could not be told from the next"), "%s",
                      ferry_session_error(session));
        require_goodbye(peer);
        ck_assert_int_eq(ferry_session_close(session), -ETIMEDOUT);
        /* It was told, so nobody is told again. */
        ck_assert_int_eq(ferry_loop_run(place.loop, 0), 0);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* While the other side has still to say that it knows, it is known here already. */
START_TEST(closing_one_that_goes_already_tells_why)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *call = ferry_session_request(session, 100, "text/plain", "'1?'");

        peer_expect_text(peer, "1?");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_session_close(session), -ETIMEDOUT);
        require_end(call, -ETIMEDOUT, FERRY_OUTCOME_UNKNOWN);
        require_goodbye(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

START_TEST(letting_a_call_go_ends_the_session)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *first = ask(session, "1?"), *second = ask(session, "2?");

        peer_expect_text(peer, "1?");
        ferry_call_free(first);
        require_end(second, -ECANCELED, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), -ECANCELED);
        require_goodbye(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* One that has not left harms nobody. */
START_TEST(a_call_that_waits_can_go)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *calls[4];

        calls[0] = ask(session, "1?");
        calls[1] = ask(session, "2?");
        calls[2] = ferry_session_request(session, 100, "text/plain", "'3?'");
        calls[3] = ask(session, "4?");
        peer_expect_text(peer, "1?");
        ferry_call_free(calls[1]);
        ck_assert_ptr_null(ferry_call_await(calls[2]));
        require_end(calls[2], -ETIMEDOUT, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), 1);
        peer_control(peer, "message.received");
        peer_text(peer, "1!");
        peer_expect_text(peer, "4?");
        require_answer(calls[0], "1!");
        peer_control(peer, "message.received");
        peer_text(peer, "4!");
        require_answer(calls[3], "4!");
        close_pair(&place, peer, session);
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
        session = open_session(&place, NULL);
        first = ferry_session_request(session, 100, "text/plain", "'1?'");
        ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%s", text), 0);
        ck_assert_ptr_null(ferry_call_await(first));
        ck_assert_msg(strstr(ferry_call_error(first), "has not begun"), "%s", ferry_call_error(first));
        require_end(first, -ETIMEDOUT, FERRY_OUTCOME_NOT_EXECUTED);
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
                require_goodbye(peer);
                ck_assert_int_eq(ferry_session_status(session), -EBADMSG);
                peer_close(peer);
                place_close(&place);
        } else {
                peer_expect_text(peer, text);
                close_pair(&place, peer, session);
        }
        free(text);
}
END_TEST

START_TEST(the_server_closes)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
        ferry_call *first = ask(session, "1?"), *second = ask(session, "2?");

        peer_expect_text(peer, "1?");
        place_forget_sends();
        peer_control(peer, "connection.close");
        peer_expect_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        ck_assert_uint_eq(place_sends.count, 1);
        require_end(first, -ECONNRESET, FERRY_OUTCOME_UNKNOWN);
        require_end(second, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED);
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
        struct peer *peer = open_pair(&place, &session);

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

enum { BY_CLOSE, BY_FREE, BY_LOOP, WAYS };
enum { ANSWERED, GONE, SILENT, REPLIES };

/* However it goes: what is queued, then connection.close; then it waits for the answer, or the end, or some time. */
START_TEST(leaving)
{
        int way = _i / REPLIES, reply = _i % REPLIES;
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
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
        session = open_session(&place, NULL);
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
        require_goodbye(peer);
        ck_assert_int_eq(ferry_session_status(session), 0);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* And one that never begins is not waited for longer than for an answer. */
START_TEST(closing_where_nobody_begins)
{
        struct place place;
        ferry_session *session;
        struct peer *peer;

        place_open(&place);
        place_listen(&place);
        session = open_session(&place, NULL);
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

START_TEST(closing_while_nobody_listens)
{
        struct place place;
        ferry_session *session;

        place_open(&place);
        session = open_session(&place, &(ferry_session_options){ .wait_ms = TIMEOUT_MS });
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
        struct peer *peer = open_pair(&place, &session);
        ferry_call *call = ask(session, "1?");

        peer_expect_text(peer, "1?");
        peer_write(peer, nonsense[_i].bytes, nonsense[_i].size);
        ck_assert_ptr_null(ferry_call_await(call));
        require_end(call, nonsense[_i].code, FERRY_OUTCOME_UNKNOWN);
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
        struct peer *peer = open_pair(&place, &session);
        ferry_call *first = ask(session, "1?"), *second = ask(session, "2?");

        peer_expect_text(peer, "1?");
        if (_i)
                peer_control(peer, "message.received");
        peer_close(peer);
        ck_assert_ptr_null(ferry_call_await(first));
        require_end(first, -ECONNRESET, FERRY_OUTCOME_UNKNOWN);
        require_end(second, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED);
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
        session = open_session(&place, NULL);
        call = ask(session, "1?");
        peer_close(peer_accept(&place));
        ck_assert_ptr_null(ferry_call_await(call));
        require_end(call, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED);
        /* What it has to say can never be said: that is not waited for. */
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        ck_assert_msg(strstr(ferry_session_error(session), "before it has begun"), "%s", ferry_session_error(session));
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
        session = open_session(&place, NULL);
        call = ask(session, "1?");
        peer = peer_accept(&place);
        peer_control(peer, "connection.close");
        ck_assert_ptr_null(ferry_call_await(call));
        require_end(call, -ECONNRESET, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        peer_expect_end(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* What is refused where it is sent ----------------------------------------------------------------------- */

/* Nothing has left, and all goes on. */
static void require_still_well(struct peer *peer, ferry_session *session)
{
        ferry_call *call = ask(session, "ping");

        peer_expect_text(peer, "ping");
        peer_control(peer, "message.received");
        peer_text(peer, "pong");
        require_answer(call, "pong");
}

static void require_refused(ferry_session *session, int code, const char *type, const char *text, int size)
{
        ferry_call *call = ferry_session_request(session, TIMEOUT_MS, type, "%.*s", size, text);

        ck_assert_msg(ferry_call_status(call) == code, "%s: %d, %s", type, ferry_call_status(call), ferry_call_error(call));
        require_end(call, code, FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_notify(session, type, "%.*s", size, text), code);
        ck_assert_int_eq(ferry_session_flush(session, 0), code);
}

START_TEST(what_would_be_taken_for_the_connection_s_own)
{
        static const char *const contents[] = { "connection.start", "connection.start-ok", "connection.close",
                                                "connection.close-ok", "message.received", "heartbeat" };
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
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
        close_pair(&place, peer, session);
}
END_TEST

#define NAME_127 "a234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890" \
        "123456789012345678901234567"

START_TEST(media_types)
{
        static const char *const right[] = {
                "application/json", "audio/ogg", "example/x", "font/woff2", "image/svg+xml", "message/rfc822", "model/3mf",
                "multipart/form-data", "text/plain", "application/vnd.api+json", "text/x", "text/1", "text/a!#$&^_.-b",
                "text/PLAIN", "text/html; charset=utf-8", "text/html;charset=utf-8", "text/html; a=1; b=2",
                "text/html, a=1", "text/" NAME_127, "text/html+" NAME_127, "text/html; " NAME_127 "=1",
                "application/octet-stream",
        };
        static const char *const wrong[] = {
                "", "text", "text/", "/plain", "foo/bar", "TEXT/plain", "Text/plain", " text/plain", "text/plain ",
                "text /plain", "text/ plain", "text/plain;", "text/plain; ", "text/plain;a", "text/plain; a=", "text/plain; =1",
                "text/plain;  a=1", "text/plain; a=\"1\"", "text/plain; a=1;", "text/plain+", "text/+xml", "text/a/b",
                "text/.a", "text/-a", "text/a\n", "text/\xc3\xa9", "text/" NAME_127 "8", "text/html+" NAME_127 "8",
                "App\\Message", "*/*", "text/*",
        };
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);

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
        close_pair(&place, peer, session);
}
END_TEST

START_TEST(bodies)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);

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
        close_pair(&place, peer, session);
}
END_TEST

/* A body that comes in is a string, whatever its type says. */
START_TEST(bodies_that_come)
{
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);
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
        close_pair(&place, peer, session);
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
        session = open_session(&place, &(ferry_session_options){ .frame_max = maxima[_i] });
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
        close_pair(&place, peer, session);
        free(text);
}
END_TEST

/* A socket that takes no more: nothing of a frame leaves before all of it can. */
START_TEST(a_server_that_does_not_read)
{
        char *text = calloc(1, 100001);
        struct place place;
        ferry_session *session;
        struct peer *peer = open_pair(&place, &session);

        memset(text, 'x', 100000);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(ferry_session_notify(session, "text/plain", "%s", text), 0);
        place_settle(&place);
        while (peer_read(peer, SIZE_MAX) > 0)
                ;
        ck_assert_uint_gt(peer->size, 0);
        ck_assert_uint_eq(peer->size % 100017, 0);
        for (int i = 0; i < 20; i++)
                peer_expect(peer, "text/plain", text, 100000);
        close_pair(&place, peer, session);
        free(text);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(nothing_is_said_before_the_server_has_begun),
        SUITE_TEST(opened_is_told_when_both_have_begun),
        SUITE_TEST(what_comes_before_the_acknowledgement_is_no_answer),
        SUITE_TEST(its_own_acknowledgement_counts),
        SUITE_TEST(acknowledgements_cannot_be_saved),
        SUITE_TEST(one_request_at_a_time),
        SUITE_TEST(what_comes_can_be_answered),
        SUITE_TEST(flush_waits_for_all_acknowledgements),
        SUITE_LOOP(a_timeout_ends_the_session, 2),
        SUITE_TEST(closing_one_that_goes_already_tells_why),
        SUITE_TEST(letting_a_call_go_ends_the_session),
        SUITE_TEST(a_call_that_waits_can_go),
        SUITE_LOOP(taken_back_before_the_server_has_begun, 2),
        SUITE_TEST(the_server_closes),
        SUITE_TEST(both_close_at_once),
        SUITE_LOOP(leaving, WAYS * REPLIES),
        SUITE_LOOP(closing_before_the_server_has_begun, 2),
        SUITE_TEST(closing_where_nobody_begins),
        SUITE_TEST(closing_while_nobody_listens),
        SUITE_LOOP(a_server_that_talks_nonsense, 5),
        SUITE_LOOP(the_server_goes, 2),
        SUITE_TEST(the_server_goes_before_it_has_begun),
        SUITE_TEST(the_server_closes_before_it_has_begun),
        SUITE_TEST(what_would_be_taken_for_the_connection_s_own),
        SUITE_TEST(media_types),
        SUITE_TEST(bodies),
        SUITE_TEST(bodies_that_come),
        SUITE_LOOP(the_limit_of_a_frame, 4),
        SUITE_TEST(a_server_that_does_not_read),
};

SUITE_MAIN("innmind-client", tests)
