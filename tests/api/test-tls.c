/* The layer of TLS in a stream, with a toy in the stead of OpenSSL (support/toy.h): handshakes in pieces, servers that cut or confuse them,
 * bytes that wait on both sides, and what a login shows. TLS itself: tests/cli/test-tls.sh. */
#include "support/door.h"
#include "support/suite.h"
#include "support/toy.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, LARGE = 300000 };

static const char seed[] = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
static pid_t toy;
static char url[TOY_URL_MAX];

static ferry_session *open_session(ferry_loop *loop, enum toy_way way, const char *address, ferry_session_options options)
{
        ck_assert_int_eq(setenv("FERRY_TLS_MODULE", BUILD_DIRECTORY "/tests/libtoy-tls.so", 1), 0);
        toy = toy_start(way, url);
        options.nats_url = url;
        return ferry_session_open(loop, address, &options);
}

static void finish(ferry_loop *loop)
{
        ferry_loop_free(loop);
        toy_end(toy);
}

static void require_echo(ferry_session *session, const char *text)
{
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "x", "%s", text);
        const ferry_message *reply = ferry_call_await(call);

        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(reply), text);
        ferry_call_free(call);
}

static const enum toy_way good[] = { TOY_GOOD, TOY_BYTEWISE, TOY_UPDATES };

START_TEST(a_session_by_tls_is_as_one_without)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_session(loop, good[_i], "nats:echo", (ferry_session_options){ 0 });
        char *large = malloc(LARGE + 1);

        memset(large, 'a', LARGE);
        large[LARGE] = '\0';
        require_echo(session, "hello");
        require_echo(session, large);
        for (int i = 0; i < 20; i++)
                require_echo(session, "hello");
        ck_assert_str_eq(toy_seen()->hello, "CLIENT HELLO 127.0.0.1\n");
        ck_assert_msg(strstr(toy_seen()->login, "\"tls_required\":true ,") != NULL, "%s", toy_seen()->login);
        /* Those before the last answer may still be on their way. */
        ck_assert_uint_ge(toy_seen()->updates, good[_i] == TOY_UPDATES ? 21 * 40 : 0);
        free(large);
        ferry_session_close(session);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        finish(loop);
}
END_TEST

/* Both sides write more than sockets take. */
START_TEST(many_requests_at_once_pass_by_tls)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_session(loop, TOY_GOOD, "nats:echo", (ferry_session_options){ 0 });
        ferry_call *calls[60];
        char *large = malloc(LARGE / 3 + 1);

        memset(large, 'a', LARGE / 3);
        large[LARGE / 3] = '\0';
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
                calls[i] = ferry_session_request(session, SAFETY_MS, "x", "%s", large);
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
                ck_assert_msg(ferry_call_await(calls[i]) != NULL, "%s", ferry_call_error(calls[i]));
                ferry_call_free(calls[i]);
        }
        free(large);
        finish(loop);
}
END_TEST

/* Its deadline passes while it lies in the socket behind another one, whose record is just as long as a read of the socket, for one of
 * the sizes. */
START_TEST(an_answer_that_has_come_by_its_deadline_counts_whatever_records_are_before_it)
{
        ferry_loop *loop;
        ferry_session *session;
        char text[TOY_RECORD_MAX + 1];

        memset(text, 'a', TOY_RECORD_MAX);
        door_stop_clock(50);
        loop = ferry_loop_new(NULL);
        session = open_session(loop, TOY_GOOD, "nats:echo", (ferry_session_options){ 0 });
        require_echo(session, "hello");
        for (int size = TOY_RECORD_MAX - 300; size < TOY_RECORD_MAX; size++) {
                unsigned requests = toy_seen()->requests;
                ferry_call *calls[3];

                text[size] = '\0';
                calls[0] = ferry_session_request(session, -1, "x", "%s", text);
                calls[1] = ferry_session_request(session, 1000, "x", "'in time'");
                calls[2] = ferry_session_request(session, -1, "x", "'last'");
                toy_await_requests(requests + 3);
                door_advance((int64_t)2000 * 1000000);
                for (int i = 0; i < 3; i++) {
                        ck_assert_msg(ferry_call_await(calls[i]) != NULL, "%d, %d: %s", size, i, ferry_call_error(calls[i]));
                        ferry_call_free(calls[i]);
                }
                text[size] = 'a';
        }
        finish(loop);
}
END_TEST

static const struct {
        enum toy_way way;
        int code;
        const char *sentence;
        enum ferry_outcome outcome;
} broken[] = {
        { TOY_JUNK, -EPROTO, "the handshake has failed", FERRY_OUTCOME_NOT_EXECUTED },
        { TOY_REFUSES, -EACCES, "does not take the certificate", FERRY_OUTCOME_NOT_EXECUTED },
        { TOY_CUTS_AT_ONCE, -ECONNRESET, "during the handshake", FERRY_OUTCOME_NOT_EXECUTED },
        { TOY_CUTS_HELLO, -ECONNRESET, "during the handshake", FERRY_OUTCOME_NOT_EXECUTED },
        { TOY_RESETS, -ECONNRESET, "during the handshake", FERRY_OUTCOME_NOT_EXECUTED },
        { TOY_INJECTS, -EBADMSG, "in the clear behind its greeting", FERRY_OUTCOME_NOT_EXECUTED },
        { TOY_CUTS_LOGIN, -ECONNRESET, "has not ended TLS", FERRY_OUTCOME_NOT_EXECUTED },
        { TOY_CUTS_REQUEST, -ECONNRESET, "has not ended TLS", FERRY_OUTCOME_UNKNOWN },
        { TOY_CUTS_RECORD, -ECONNRESET, "has not ended TLS", FERRY_OUTCOME_UNKNOWN },
        { TOY_ENDS_REQUEST, -ECONNRESET, "", FERRY_OUTCOME_UNKNOWN },
};

START_TEST(a_server_that_breaks_tls_is_explained)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_session(loop, broken[_i].way, "nats:echo", (ferry_session_options){ 0 });
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "x", "'x'");

        ck_assert(ferry_call_await(call) == NULL);
        ck_assert_int_eq(ferry_call_outcome(call), broken[_i].outcome);
        while (ferry_session_status(session) == 1)
                ferry_loop_tick(loop, SAFETY_MS);
        ck_assert_msg(ferry_session_status(session) == broken[_i].code, "%s", ferry_session_error(session));
        ck_assert_msg(strstr(ferry_session_error(session), broken[_i].sentence) != NULL, "%s", ferry_session_error(session));
        ck_assert_uint_eq(toy_seen()->requests, broken[_i].outcome == FERRY_OUTCOME_UNKNOWN ? 1 : 0);
        ferry_call_free(call);
        finish(loop);
}
END_TEST

START_TEST(a_handshake_that_does_not_end_is_given_up_after_5_s)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int64_t begin;

        door_stop_clock(50);
        session = open_session(loop, TOY_SILENT, "nats:echo", (ferry_session_options){ .wait_ms = SAFETY_MS });
        begin = sys_now();
        while (ferry_session_status(session) == 1)
                ferry_loop_tick(loop, SAFETY_MS);
        ck_assert_msg(ferry_session_status(session) == -ETIMEDOUT, "%s", ferry_session_error(session));
        ck_assert_msg(strstr(ferry_session_error(session), "not finished within 5 s") != NULL, "%s", ferry_session_error(session));
        ck_assert_int_eq((sys_now() - begin) / 1000000, 5000);
        finish(loop);
}
END_TEST

/* Opened with the seed in a file, which is gone then, by two URLs of the same toy, so that the order of them is of no interest. */
static ferry_session *open_twice_with_seed(ferry_loop *loop, enum toy_way way)
{
        char path[] = "/tmp/ferry-tls-XXXXXX", both[2 * TOY_URL_MAX];
        int fd = mkstemp(path);
        ferry_session *session;

        ck_assert(write(fd, seed, strlen(seed)) == (ssize_t)strlen(seed) && close(fd) == 0);
        ck_assert_int_eq(setenv("FERRY_TLS_MODULE", BUILD_DIRECTORY "/tests/libtoy-tls.so", 1), 0);
        toy = toy_start(way, url);
        snprintf(both, sizeof both, "%s,%s", url, url);
        session = ferry_session_open(loop, "nats:echo", &(ferry_session_options){ .nats_url = both, .nats_nkey = path });
        unlink(path);
        return session;
}

static const enum toy_way first_ways[] = { TOY_DENIES_FIRST, TOY_JUNK_FIRST };

START_TEST(a_login_is_signed_anew_for_the_next_server)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_twice_with_seed(loop, first_ways[_i]);

        require_echo(session, "hello");
        ck_assert_uint_eq(toy_seen()->connections, 2);
        /* The toy's public key is the seed. */
        ck_assert_msg(strstr(toy_seen()->login, "\"nkey\":\"UAUUS65AB5A52RMT") != NULL, "%s", toy_seen()->login);
        ck_assert_msg(strstr(toy_seen()->login, "\"sig\":\"YWJjAAAA") != NULL, "%s", toy_seen()->login);
        finish(loop);
}
END_TEST

START_TEST(what_is_known_of_a_session_names_tls)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_session(loop, TOY_GOOD, "nats:echo", (ferry_session_options){ 0 });
        ferry_value *info;

        require_echo(session, "hello");
        info = ferry_session_info(session);
        ck_assert_str_eq(ferry_value_text(ferry_value_get(info, "stream"), ""), "nats+tls");
        ferry_value_unref(info);
        finish(loop);
}
END_TEST

START_TEST(a_login_has_a_signature)
{
        char path[] = "/tmp/ferry-tls-XXXXXX", login[600];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int fd = mkstemp(path);
        FILE *file = fdopen(fd, "w");

        if (_i == 0)
                fprintf(file, "%s\n", seed);
        else
                fprintf(file, "-----BEGIN NATS USER JWT-----\r\nh.c-_.s\r\n------END NATS USER JWT------\r\n\r\n-----BEGIN USER NKEY SEED-----\r\n%s\r\n",
                        seed);
        ck_assert_int_eq(fclose(file), 0);
        session = open_session(loop, TOY_GOOD, "nats:echo", _i == 0 ? (ferry_session_options){ .nats_nkey = path } :
                                                                        (ferry_session_options){ .nats_creds = path });
        /* Rotated, or gone: it is read when the session is opened. */
        unlink(path);
        require_echo(session, "hello");
        snprintf(login, sizeof login, "%s", toy_seen()->login);
        ck_assert_msg(strstr(login, _i == 0 ? ",\"nkey\":\"U" : ",\"jwt\":\"h.c-_.s\",\"sig\":\"YWJjAAAA") != NULL, "%s", login);
        ck_assert_msg(strstr(login, "\"sig\":\"YWJjAAAA") != NULL, "%s", login);
        ck_assert_int_eq(login[strlen(login) - 1], '}');
        finish(loop);
}
END_TEST

START_TEST(what_a_module_refuses_is_the_end_of_the_session)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_session(loop, TOY_GOOD, "nats:echo", (ferry_session_options){ .nats_ca = "wrong" });
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "x", "'x'");

        ck_assert(ferry_call_await(call) == NULL);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_int_eq(ferry_session_status(session), -EINVAL);
        ck_assert_msg(strstr(ferry_session_error(session), "cannot use the certificates of 'wrong'") != NULL, "%s",
                      ferry_session_error(session));
        ferry_call_free(call);
        finish(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_session_by_tls_is_as_one_without, sizeof good / sizeof *good),
        SUITE_TEST(many_requests_at_once_pass_by_tls),
        SUITE_TEST(an_answer_that_has_come_by_its_deadline_counts_whatever_records_are_before_it),
        SUITE_LOOP(a_server_that_breaks_tls_is_explained, sizeof broken / sizeof *broken),
        SUITE_TEST(a_handshake_that_does_not_end_is_given_up_after_5_s),
        SUITE_LOOP(a_login_has_a_signature, 2),
        SUITE_LOOP(a_login_is_signed_anew_for_the_next_server, sizeof first_ways / sizeof *first_ways),
        SUITE_TEST(what_is_known_of_a_session_names_tls),
        SUITE_TEST(what_a_module_refuses_is_the_end_of_the_session),
};

SUITE_MAIN("tls", tests)
