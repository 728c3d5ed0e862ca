/* Sessions over FIFOs, whose peer may come first, later, at the same moment, or never, and may die. Invariant: the directory
 * is empty at the end. */
#include <ferry/ferry.h>

#include "support/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static const ferry_session_options waiting = { .wait_ms = SAFETY_MS };

struct place {
        char directory[64];
        char address[200];
        char peer_address[200];
};

static void make_place(struct place *place)
{
        strcpy(place->directory, "/tmp/ferry-fifos-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(place->directory));
        snprintf(place->address, sizeof place->address, "fifo:%s/a,%s/b", place->directory, place->directory);
        snprintf(place->peer_address, sizeof place->peer_address, "fifo:%s/b,%s/a", place->directory, place->directory);
}

/* Nothing is left there. */
static void end_place(const struct place *place)
{
        ck_assert_msg(rmdir(place->directory) == 0, "%s: %s", place->directory, strerror(errno));
}

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

/* Answers until its peer closes. */
static void serve(const struct place *place)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, place->peer_address, &waiting);

        ferry_session_on(session, FERRY_KIND_REQUEST, answer, NULL);
        _exit(ferry_loop_run(loop, SAFETY_MS) < 0 || ferry_loop_free(loop) ? 1 : 0);
}

static void ask(ferry_session *session)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, SAFETY_MS, "App\\Echo", "{n: %d}", 7);
        const ferry_message *reply = ferry_call_await(call);

        ck_assert_msg(reply, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_value_int(ferry_message_get(reply, "n"), -1), 7);
}

static void expect_exit(pid_t child, int status)
{
        int got;

        ck_assert_int_eq(waitpid(child, &got, 0), child);
        ck_assert_int_eq(got, status);
}

/* Two processes find each other, in whichever order they open the FIFOs. */
START_TEST(two_peers_may_begin_at_the_same_moment)
{
        for (size_t i = 0; i < suite_scale(300); i++) {
                struct place place;
                ferry_session *session;
                ferry_loop *loop;
                pid_t child;

                make_place(&place);
                child = fork();
                if (child == 0)
                        serve(&place);
                loop = ferry_loop_new(NULL);
                session = ferry_session_open(loop, place.address, &waiting);
                ask(session);
                ck_assert_int_eq(ferry_session_close(session), 0);
                ferry_loop_free(loop);
                expect_exit(child, 0);
                end_place(&place);
        }
}
END_TEST

/* The end of a peer that was killed is an end of file. FIFOs that were there before stay. */
START_TEST(a_killed_peer_is_noticed_at_once)
{
        struct place place;
        ferry_session *session;
        ferry_loop *loop;
        char path[100];
        pid_t child;

        make_place(&place);
        if (_i) {
                snprintf(path, sizeof path, "%s/a", place.directory);
                ck_assert_int_eq(mkfifo(path, 0600), 0);
                snprintf(path, sizeof path, "%s/b", place.directory);
                ck_assert_int_eq(mkfifo(path, 0600), 0);
        }
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, place.address, &waiting);
        child = fork();
        if (child == 0)
                serve(&place);
        ask(session);
        kill(child, SIGKILL);
        expect_exit(child, SIGKILL);
        while (ferry_session_status(session) == 1)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ferry_session_free(session);
        ferry_loop_free(loop);
        if (_i) {
                ck_assert_int_eq(unlink(path), 0);
                snprintf(path, sizeof path, "%s/a", place.directory);
                ck_assert_int_eq(unlink(path), 0);
        }
        end_place(&place);
}
END_TEST

START_TEST(a_missing_peer_is_an_error_that_names_the_fifo)
{
        struct place place;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        make_place(&place);
        session = ferry_session_open(loop, place.address, &(ferry_session_options){ .wait_ms = _i ? 20 : 0 });
        while (ferry_session_status(session) == 1)
                ferry_loop_tick(loop, SAFETY_MS);
        ck_assert_int_eq(ferry_session_status(session), -ENXIO);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(session), place.directory));
        ferry_loop_free(loop);
        end_place(&place);
}
END_TEST

/* Closed while it still waits: what it has made goes at once. */
START_TEST(a_session_without_a_peer_may_be_closed)
{
        struct place place;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        make_place(&place);
        session = ferry_session_open(loop, place.address, &waiting);
        ferry_loop_tick(loop, 5);
        ck_assert_int_eq(ferry_session_status(session), 1);
        ferry_session_free(session);
        end_place(&place);
        ferry_loop_free(loop);
}
END_TEST

/* A FIFO that stays serves one pair of peers after the other. */
START_TEST(a_second_peer_may_follow_the_first)
{
        struct place place;
        char kept[100];

        make_place(&place);
        snprintf(kept, sizeof kept, "%s/a", place.directory);
        ck_assert_int_eq(mkfifo(kept, 0600), 0);
        for (int i = 0; i < 3; i++) {
                ferry_loop *loop = ferry_loop_new(NULL);
                ferry_session *session = ferry_session_open(loop, place.address, &waiting);
                pid_t child = fork();

                if (child == 0)
                        serve(&place);
                ask(session);
                ck_assert_int_eq(ferry_session_close(session), 0);
                ferry_loop_free(loop);
                expect_exit(child, 0);
        }
        ck_assert_int_eq(unlink(kept), 0);
        end_place(&place);
}
END_TEST

/* One FIFO is enough where only one side speaks. */
START_TEST(a_direction_may_be_left_out)
{
        struct place place;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *reader, *writer;
        char in[100], out[100];
        const ferry_message *message;

        make_place(&place);
        snprintf(in, sizeof in, "fifo:%s/a,", place.directory);
        snprintf(out, sizeof out, "fifo:,%s/a", place.directory);
        reader = ferry_session_open(loop, in, NULL);
        writer = ferry_session_open(loop, out, NULL);
        ck_assert_msg(ferry_session_status(reader) == 1, "%s", ferry_session_error(reader));
        ck_assert_msg(ferry_session_status(writer) == 1, "%s", ferry_session_error(writer));
        ferry_session_on(reader, FERRY_KIND_NOTIFICATION, NULL, NULL);
        ck_assert_int_eq(ferry_session_notify(writer, "App\\Note", "{n: %d}", 7), 0);
        message = ferry_session_next(reader, SAFETY_MS);
        ck_assert_ptr_nonnull(message);
        ck_assert_int_eq(ferry_value_int(ferry_message_get(message, "n"), -1), 7);
        ferry_loop_free(loop);
        end_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(two_peers_may_begin_at_the_same_moment),
        SUITE_LOOP(a_killed_peer_is_noticed_at_once, 2),
        SUITE_LOOP(a_missing_peer_is_an_error_that_names_the_fifo, 2),
        SUITE_TEST(a_session_without_a_peer_may_be_closed),
        SUITE_TEST(a_second_peer_may_follow_the_first),
        SUITE_TEST(a_direction_may_be_left_out),
};

SUITE_MAIN("conformance-fifos", tests)
