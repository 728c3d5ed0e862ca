/* Failure sticks: what could not be made is an object that has failed, every function takes it, and NULL, and the program
 * is told where it waits, once. And what else is true of sessions whatever their stream is. */
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 0;
}

static int count_client(ferry_loop *loop, void *userdata)
{
        (void)loop;
        (*(int *)userdata)++;
        return 0;
}

static void note_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        ck_assert_ptr_null(reply);
        ck_assert_int_lt(ferry_call_status(call), 0);
        (*(int *)userdata)++;
}

START_TEST(null_is_an_object_without_memory)
{
        int counter = 0;
        ferry_peer peer = ferry_session_peer(NULL);
        ferry_call *call = ferry_session_request(NULL, 5, "t", "{}");

        ck_assert_ptr_null(ferry_session_open(NULL, "stdio:", NULL));
        ck_assert_ptr_null(ferry_service_open(NULL, "unix:/nowhere", NULL));
        ck_assert_ptr_null(ferry_loop_free(NULL));
        ck_assert_int_eq(ferry_loop_run(NULL, -1), -ENOMEM);
        ck_assert_int_eq(ferry_loop_tick(NULL, -1), -ENOMEM);
        ck_assert_int_eq(ferry_loop_fd(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_loop_stop(NULL, 5), 0);
        ferry_loop_after(NULL, 0, count_client, &counter);
        ferry_loop_watch(NULL, 0, POLLIN, count_client, &counter);
        ferry_loop_off(NULL, count_client, &counter);
        ck_assert_str_ne(ferry_loop_error(NULL), "");

        ck_assert_int_eq(ferry_session_close(NULL), -ENOMEM);
        ck_assert_ptr_null(ferry_session_free(NULL));
        ck_assert_int_eq(ferry_session_notify(NULL, "t", "{}"), -ENOMEM);
        ck_assert_int_eq(ferry_session_flush(NULL, -1), -ENOMEM);
        ck_assert_ptr_null(ferry_session_next(NULL, -1));
        ferry_session_on(NULL, FERRY_KIND_REQUEST, count, NULL);
        ferry_session_off(NULL, count, NULL);
        ck_assert_int_eq(ferry_session_status(NULL), -ENOMEM);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(NULL), "its loop is NULL"));
        ck_assert_str_eq(ferry_session_address(NULL), "");
        ck_assert_int_eq(peer.pid, -1);
        ck_assert_ptr_null(ferry_session_info(NULL));
        ck_assert_ptr_null(ferry_session_loop(NULL));
        ck_assert_ptr_null(ferry_session_service(NULL));
        ferry_session_set_userdata(NULL, &counter);
        ck_assert_ptr_null(ferry_session_userdata(NULL));

        ck_assert_int_eq(ferry_call_status(call), -ENOMEM);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_ptr_null(ferry_call_await(call));
        ferry_call_then(call, note_end, &counter);
        ck_assert_int_eq(counter, 1);
        ck_assert_int_eq(ferry_call_status(NULL), -ENOMEM);
        ck_assert_str_ne(ferry_call_error(NULL), "");
        ck_assert_int_eq(ferry_call_outcome(NULL), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_ptr_null(ferry_call_await(NULL));
        ck_assert_ptr_null(ferry_call_reply(NULL));
        ck_assert_ptr_null(ferry_call_free(NULL));
        ferry_call_then(NULL, NULL, NULL);
        ferry_call_then(ferry_session_request(NULL, 5, "t", "{}"), NULL, NULL);
        ferry_call_then(NULL, note_end, &counter);
        ck_assert_int_eq(counter, 2);

        ck_assert_int_eq(ferry_message_kind(NULL), 0);
        ck_assert_str_eq(ferry_message_type(NULL), "");
        ck_assert_ptr_null(ferry_message_body(NULL));
        ck_assert_ptr_null(ferry_message_get(NULL, "x"));
        ck_assert_str_eq(ferry_message_text(NULL), "");
        ck_assert_str_eq(ferry_message_id(NULL), "");
        ck_assert_ptr_null(ferry_message_session(NULL));
        ck_assert_int_eq(ferry_message_reply(NULL, "t", "{}"), -ENOMEM);
        ck_assert_int_eq(ferry_message_fail(NULL, "x"), -ENOMEM);
        ck_assert(!ferry_message_is_wanted(NULL));
        ck_assert_ptr_null(ferry_message_ref(NULL));
        ck_assert_ptr_null(ferry_message_unref(NULL));

        ck_assert_int_eq(ferry_service_close(NULL), -ENOMEM);
        ck_assert_ptr_null(ferry_service_free(NULL));
        ferry_service_on(NULL, FERRY_KIND_REQUEST, count, NULL);
        ferry_service_off(NULL, count, NULL);
        ck_assert_int_eq(ferry_service_notify(NULL, "t", "{}"), -ENOMEM);
        ck_assert_ptr_null(ferry_service_client(NULL, NULL));
        ck_assert_int_eq(ferry_service_status(NULL), -ENOMEM);
        ck_assert_str_ne(ferry_service_error(NULL), "");
        ck_assert_str_eq(ferry_service_address(NULL), "");
}
END_TEST

/* -1 is forever; the default of requests is no timeout of anything else. */
START_TEST(times_that_are_none_are_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int fds[2];
        ferry_session *session;
        ferry_call *call;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        call = ferry_session_request(session, -3, "t", "{}");
        ck_assert_int_eq(ferry_call_status(call), -EINVAL);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "-3 is not a timeout"));
        ferry_call_free(call);
        ck_assert_int_eq(ferry_session_flush(session, -2), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(session), "-2 is not a timeout"));
        ck_assert_ptr_null(ferry_session_next(session, -5));
        ck_assert_ptr_nonnull(strstr(ferry_session_error(session), "-5 is not a timeout"));
        ck_assert_int_eq(ferry_loop_run(loop, -2), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "-2 is not a timeout"));
        ck_assert_int_eq(ferry_loop_tick(loop, -100), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "-100 is not a timeout"));
        ck_assert_int_eq(ferry_session_status(session), 1);
        ferry_loop_free(loop);
        close(fds[1]);
}
END_TEST

/* What cannot be opened, and why. */
static const struct {
        const char *address;
        int code;
        const char *text;
} unopened[] = {
        { "non.sense", -EINVAL, "'non.sense' is not an address" },
        { "", -EINVAL, "'' is not an address" },
        { NULL, -EINVAL, "the address is NULL" },
        { "unix:/nowhere/at/all", -ENOENT, "/nowhere/at/all" },
        { "unix:", -EINVAL, "'unix:' is not an address" },
        { "unix:"
          "/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789",
          -ENAMETOOLONG, "/0123456789" },
        { "fd:x", -EINVAL, "'fd:x' is not an address" },
        { "fd:,", -EINVAL, "'fd:,' is not an address" },
        { "fd:1,2,3", -EINVAL, "'fd:1,2,3' is not an address" },
        { "fd:9999", -EBADF, "9999" },
        { "exec:", -EINVAL, "names no command" },
        { "file:", -EINVAL, "names no file" },
        { "file:/nowhere/at/all", -ENOENT, "/nowhere/at/all" },
        { "stdio:x", -EINVAL, "'stdio:x' is not an address" },
};

START_TEST(an_error_of_the_options_names_the_option)
{
        static const char *const argv[] = { "cat", NULL };
        static const struct {
                ferry_session_options options;
                const char *text;
        } wrong[] = {
                { { .argv = argv }, "argv needs the address exec:" },
                { { .dialect = FERRY_DIALECT_FERRY | FERRY_DIALECT_INNMIND }, "set one FERRY_DIALECT_" },
        };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, NULL, &wrong[_i].options);

        ck_assert_int_eq(ferry_session_status(session), -EINVAL);
        ck_assert_msg(strstr(ferry_session_error(session), wrong[_i].text), "%s", ferry_session_error(session));
        ferry_session_free(session);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(what_failed_to_open_says_why_everywhere)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, unopened[_i].address, NULL);
        int code = unopened[_i].code, ends = 0, closed = 0;
        ferry_value *info;
        ferry_call *call;

        ck_assert_ptr_nonnull(session);
        ck_assert_int_eq(ferry_session_status(session), code);
        ck_assert_msg(strstr(ferry_session_error(session), unopened[_i].text), "%s", ferry_session_error(session));
        ck_assert_str_eq(ferry_session_address(session), unopened[_i].address ? unopened[_i].address : "");
        ferry_session_on(session, FERRY_KIND_CLOSED, count, &closed);
        ck_assert_int_eq(ferry_session_notify(session, "t", "{}"), code);
        ck_assert_int_eq(ferry_session_flush(session, -1), code);
        ck_assert_int_eq(ferry_session_flush(session, -1), code);
        ck_assert_ptr_null(ferry_session_next(session, -1));
        ck_assert_int_eq(ferry_session_close(session), code);
        ck_assert_int_eq(ferry_session_peer(session).pid, -1);
        ck_assert_ptr_eq(ferry_session_loop(session), loop);
        info = ferry_session_info(session);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "sent"), -1), 0);
        ferry_value_unref(info);
        call = ferry_session_request(session, -1, "t", "{}");
        ck_assert_int_eq(ferry_call_status(call), code);
        ck_assert_str_eq(ferry_call_error(call), ferry_session_error(session));
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_ptr_null(ferry_call_await(call));
        ferry_call_then(call, note_end, &ends);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        ck_assert_int_eq(ends, 1);
        ck_assert_int_eq(closed, 1);
        ck_assert_ptr_null(ferry_session_free(session));
        ferry_loop_free(loop);
}
END_TEST

/* A caller that does not ask gets the error from run; only once. */
START_TEST(run_returns_an_error_that_was_not_reported)
{
        ferry_loop *loop = ferry_loop_new(NULL);

        ferry_session_open(loop, "unix:/nowhere/at/all", NULL);
        ferry_session_open(loop, "non.sense", NULL);
        ferry_service_open(loop, "non.sense", NULL);
        for (int i = 0; i < 3; i++) {
                int code = ferry_loop_run(loop, SAFETY_MS);

                ck_assert_int_lt(code, 0);
                ck_assert_msg(strstr(ferry_loop_error(loop), code == -ENOENT ? "/nowhere/at/all" : "non.sense"), "%s",
                              ferry_loop_error(loop));
        }
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(tick_returns_it_too)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int code = 0;

        ferry_session_open(loop, "non.sense", NULL);
        for (int i = 0; i < 10 && code >= 0; i++)
                code = ferry_loop_tick(loop, 0);
        ck_assert_int_eq(code, -EINVAL);
        for (int i = 0; i < 10; i++)
                ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
        ferry_loop_free(loop);
}
END_TEST

/* What acts reports a failure; what only asks, and what may be ignored, does not: then running the loop does. */
enum { ASKED_STATUS, ASKED_ERROR, ASKED_INFO, NOTIFIED, TOLD_BY_CALL, TOLD_BY_FLUSH, TOLD_BY_NEXT, TOLD_BY_HANDLER, TOLD_BY_CLOSE,
       FREED, WAYS };

START_TEST(a_reported_failure_is_not_reported_again)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "unix:/nowhere/at/all", NULL);
        int heard = 0;

        switch (_i) {
        case ASKED_STATUS:
                ck_assert_int_eq(ferry_session_status(session), -ENOENT);
                break;
        case ASKED_ERROR:
                ck_assert_str_ne(ferry_session_error(session), "");
                break;
        case ASKED_INFO:
                ferry_value_unref(ferry_session_info(session));
                break;
        case NOTIFIED:
                ck_assert_int_eq(ferry_session_notify(session, "t", "{}"), -ENOENT);
                break;
        case TOLD_BY_CALL:
                ferry_call_free(ferry_session_request(session, -1, "t", "{}"));
                break;
        case TOLD_BY_FLUSH:
                ck_assert_int_eq(ferry_session_flush(session, -1), -ENOENT);
                break;
        case TOLD_BY_NEXT:
                ck_assert_ptr_null(ferry_session_next(session, -1));
                ck_assert_int_eq(errno, ENOENT);
                break;
        case TOLD_BY_HANDLER:
                ferry_session_on(session, FERRY_KIND_CLOSED, count, &heard);
                break;
        case FREED:
                ferry_session_free(session);
                break;
        default:
                ck_assert_int_eq(ferry_session_close(session), -ENOENT);
        }
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), _i <= NOTIFIED ? -ENOENT : 0);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        ck_assert_int_eq(heard, _i == TOLD_BY_HANDLER);
        ferry_loop_free(loop);
}
END_TEST

/* Two sessions over a socketpair. */
static void open_two(ferry_loop *loop, ferry_session *sessions[2])
{
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++)
                sessions[i] = ferry_session_open(loop, NULL, &(ferry_session_options){
                                                         .fds = (const int[]){ fds[i], fds[i], -1 } });
}

/* The sentence of a session that lives is that of its last call, as long as that has failed. */
START_TEST(a_live_session_explains_its_last_call)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];

        open_two(loop, two);
        ck_assert_int_eq(ferry_session_notify(two[0], "t", "{broken"), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(two[0]), "{broken"));
        ck_assert_int_eq(ferry_session_notify(two[0], "t", "{}"), 0);
        ck_assert_str_eq(ferry_session_error(two[0]), "no error");
        errno = 0;
        ck_assert_ptr_null(ferry_session_next(two[0], 1));
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_str_eq(ferry_session_error(two[0]), "no message has come within 0.001 s");
        ck_assert_ptr_null(ferry_session_next(two[0], -2));
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(two[0]), "-2 is not a timeout"));
        /* The first one that was refused is reported with its own sentence, once all others were received. */
        ck_assert_int_eq(ferry_session_notify(two[0], NULL, "{}"), -EINVAL);
        ck_assert_int_eq(ferry_session_notify(two[0], "t", "{}"), 0);
        ck_assert_int_eq(ferry_session_flush(two[0], 0), -ETIMEDOUT);
        ck_assert_int_eq(ferry_session_flush(two[0], SAFETY_MS), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(two[0]), "{broken"));
        ck_assert_int_eq(ferry_session_flush(two[0], SAFETY_MS), 0);
        ck_assert_str_eq(ferry_session_error(two[0]), "no error");
        ck_assert_ptr_nonnull(ferry_session_next(two[1], SAFETY_MS));
        ck_assert_int_eq(ferry_session_status(two[0]), 1);
        ck_assert_ptr_null(ferry_session_next(NULL, 0));
        ck_assert_int_eq(errno, ENOMEM);
        ferry_loop_free(loop);
}
END_TEST

/* A template that is wrong, a type that is none: that one is not sent, and the session lives. */
START_TEST(what_is_not_taken_is_reported_by_flush)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];
        ferry_call *call;
        int got = 0;

        open_two(loop, two);
        ferry_session_on(two[1], FERRY_KIND_NOTIFICATION, count, &got);
        ck_assert_int_eq(ferry_session_notify(two[0], NULL, "{}"), -EINVAL);
        ck_assert_int_eq(ferry_session_notify(two[0], "\xff", "{}"), -EINVAL);
        ck_assert_int_eq(ferry_session_notify(two[0], "t", "{broken"), -EINVAL);
        ck_assert_int_eq(ferry_session_notify(two[0], "t", "{p: %p}", (void *)NULL), -EINVAL);
        ck_assert_int_eq(ferry_session_flush(two[0], SAFETY_MS), -EINVAL);
        ck_assert_str_ne(ferry_session_error(two[0]), "");
        ck_assert_int_eq(ferry_session_status(two[0]), 1);
        ck_assert_int_eq(ferry_session_flush(two[0], SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_notify(two[0], "t", NULL), 0);
        ck_assert_int_eq(ferry_session_flush(two[0], SAFETY_MS), 0);
        ck_assert_int_eq(got, 1);
        call = ferry_session_request(two[0], -1, "t", "{broken");
        ck_assert_int_eq(ferry_call_status(call), -EINVAL);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(flush_times_out)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        char *text = calloc(1, 1000001);
        ferry_session *session;
        int fds[2];

        memset(text, 'x', 1000000);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .close_timeout_ms = 1,
                                     .fds = (const int[]){ fds[0], fds[0], -1 } });
        ck_assert_int_eq(ferry_session_notify(session, "t", "%s", text), 0);
        ck_assert_int_eq(ferry_session_flush(session, 0), -ETIMEDOUT);
        ck_assert_int_eq(ferry_session_flush(session, 2), -ETIMEDOUT);
        ck_assert_int_eq(ferry_session_status(session), 1);
        free(text);
        ferry_loop_free(loop);
        close(fds[1]);
}
END_TEST

START_TEST(userdata_and_info)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        static const char *const keys[] = { "address", "dialect", "codec", "stream", "pid", "uid", "gid", "sent",
                                            "received", "queued", "in_flight", "dropped", "junk" };
        ferry_session *two[2];
        ferry_value *info;
        int mine;

        open_two(loop, two);
        ck_assert_ptr_null(ferry_session_userdata(two[0]));
        ferry_session_set_userdata(two[0], &mine);
        ck_assert_ptr_eq(ferry_session_userdata(two[0]), &mine);
        ck_assert_ptr_null(ferry_session_service(two[0]));
        ck_assert_ptr_eq(ferry_session_loop(two[1]), loop);
        ck_assert_int_eq(ferry_session_notify(two[0], "t", NULL), 0);
        ck_assert_int_eq(ferry_session_flush(two[0], SAFETY_MS), 0);
        info = ferry_session_info(two[0]);
        ck_assert_uint_eq(ferry_value_count(info), sizeof keys / sizeof *keys);
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
                ck_assert_msg(ferry_value_kind(ferry_value_get(info, keys[i])) != FERRY_VALUE_NONE, "%s", keys[i]);
        ck_assert_str_eq(ferry_value_text(ferry_value_get(info, "dialect"), ""), "ferry");
        ck_assert_int_ge(ferry_value_int(ferry_value_get(info, "sent"), 0), 1);
        ferry_value_unref(info);
        ferry_loop_free(loop);
}
END_TEST

struct depth {
        ferry_session *session;
        int deepest;
        int depth;
        int refused;
};

static int go_deeper(ferry_loop *loop, void *userdata)
{
        struct depth *depth = userdata;
        ferry_call *call;

        if (depth->refused > 0)
                return 0;
        depth->depth++;
        if (depth->depth > depth->deepest)
                depth->deepest = depth->depth;
        ferry_loop_after(loop, 0, go_deeper, depth);
        call = ferry_session_request(depth->session, SAFETY_MS, "t", NULL);
        ck_assert_ptr_null(ferry_call_await(call));
        if (ferry_call_status(call) == -EDEADLK) {
                depth->refused++;
                ck_assert_int_eq(ferry_loop_run(loop, -1), -EDEADLK);
                ck_assert_int_eq(ferry_session_flush(depth->session, -1), -EDEADLK);
                ck_assert_ptr_null(ferry_session_next(depth->session, -1));
                /* Out of all of them. */
                ferry_session_close(depth->session);
        }
        ferry_call_free(call);
        depth->depth--;
        return 0;
}

START_TEST(waiting_within_waiting_has_an_end)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct depth depth = { 0 };
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        depth.session = ferry_session_open(loop, NULL, &(ferry_session_options){
                                                   .fds = (const int[]){ fds[0], fds[0], -1 } });
        ferry_loop_after(loop, 0, go_deeper, &depth);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        ck_assert_int_eq(depth.refused, 1);
        ck_assert_int_eq(depth.deepest, 32);
        ferry_loop_free(loop);
        close(fds[1]);
}
END_TEST

/* In a session of the process with itself both ends wait within each other; there is an end to that. */
static int ask_again(ferry_session *session, const ferry_message *request, void *userdata)
{
        int depth = (int)ferry_value_int(ferry_message_body(request), 0);

        (void)userdata;
        if (depth == 0)
                return ferry_message_reply(request, NULL, NULL);
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, SAFETY_MS, "t", "%d", depth - 1);

        if (ferry_call_await(call))
                return ferry_message_reply(request, NULL, NULL);
        return ferry_message_fail(request, "%s", ferry_call_error(call));
}

START_TEST(both_ends_wait_within_each_other)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];
        ferry_call *call;

        open_two(loop, two);
        ferry_session_on(two[0], FERRY_KIND_REQUEST, ask_again, NULL);
        ferry_session_on(two[1], FERRY_KIND_REQUEST, ask_again, NULL);
        call = ferry_session_request(two[0], SAFETY_MS, "t", "30");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        call = ferry_session_request(two[0], SAFETY_MS, "t", "33");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        ck_assert_msg(strstr(ferry_call_error(call), "32 waits"), "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(ferry_session_status(two[0]), 1);
        ferry_loop_free(loop);
}
END_TEST

/* Handles of calls and kept messages outlive the loop. */
static void ask_again_at_once(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct { ferry_session *session; int count; } *asking = userdata;

        (void)call;
        ck_assert_ptr_null(reply);
        ck_assert_int_lt(++asking->count, 10);
        ferry_call_then(ferry_session_request(asking->session, SAFETY_MS, "t", "{}"), ask_again_at_once, asking);
}

/* A callback that asks again when an answer fails gets one more failure, and then the loop ends. */
START_TEST(asking_again_and_again_ends_with_the_loop)
{
        struct { ferry_session *session; int count; } asking = { 0 };
        ferry_loop *loop = ferry_loop_new(NULL);
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        asking.session = ferry_session_open(loop, NULL, &(ferry_session_options){
                .fds = (const int[]){ fds[0], fds[0], -1 } });
        ferry_call_then(ferry_session_request(asking.session, SAFETY_MS, "t", "{}"), ask_again_at_once, &asking);
        ferry_loop_free(loop);
        ck_assert_int_eq(asking.count, 1);
        close(fds[1]);
}
END_TEST

static const unsigned dialects_without_close[] = { FERRY_DIALECT_STREAM_IPC, FERRY_DIALECT_PCNTL };

static ferry_session *open_at_socket(ferry_loop *loop, unsigned dialect, int *ret_peer)
{
        int fds[2], size = 1 << 15;
        ferry_session *session;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){
                .size = sizeof(ferry_session_options), .dialect = dialect, .fds = (const int[]){ fds[0], fds[0], -1 } });
        *ret_peer = fds[1];
        return session;
}

enum { MESSAGES = 32 };

/* Rounds: both dialects; notifications, or requests; and notifications of a session that is being closed here. */
START_TEST(messages_that_a_peer_never_took_are_counted)
{
        static char filler[1 << 15];
        unsigned dialect = dialects_without_close[_i & 1];
        ferry_loop *loop = ferry_loop_new(NULL);
        char bytes[4096];
        int peer, ended = 0, failed = 0;
        ferry_session *session = open_at_socket(loop, dialect, &peer);
        unsigned long lost;

        ferry_session_on(session, FERRY_KIND_CLOSED, count, &ended);
        memset(filler, 'x', sizeof filler - 1);
        for (int i = 0; i < MESSAGES; i++)
                if (_i & 2)
                        ferry_call_then(ferry_session_request(session, SAFETY_MS, FERRY_LOG_MESSAGE, "{message: %s}", filler),
                                        note_end, &failed);
                else
                        ck_assert_int_eq(ferry_session_notify(session, FERRY_LOG_MESSAGE, "{message: %s}", filler), 0);
        if (_i & 4)
                ferry_session_close(session);
        /* It takes some, so that it is no broken connection; what is in the socket then is taken, too. */
        while (recv(peer, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
                ;
        close(peer);
        while (ended == 0)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        ck_assert_int_eq(ferry_session_close(session), -ECONNRESET);
        ck_assert_ptr_nonnull(strstr(ferry_session_error(session), " bytes of "));
        ck_assert_int_eq(failed, (_i & 2) ? MESSAGES : 0);
        lost = strtoul(strstr(ferry_session_error(session), ": ") + 2, NULL, 10);
        ck_assert_msg(lost > MESSAGES / 2 * sizeof filler && lost < MESSAGES * (sizeof filler + 256), "%lu: %s", lost, ferry_session_error(session));
        ferry_loop_free(loop);
}
END_TEST

/* The peer closes in order while messages for it wait. */
START_TEST(a_close_that_leaves_messages_behind_is_an_error)
{
        static char filler[1 << 15];
        ferry_loop *loop = ferry_loop_new(NULL);
        int peer, ended = 0;
        ferry_session *session = open_at_socket(loop, FERRY_DIALECT_FERRY, &peer);
        ferry_session *other = ferry_session_open(loop, NULL, &(ferry_session_options){
                .size = sizeof(ferry_session_options), .dialect = FERRY_DIALECT_FERRY, .fds = (const int[]){ peer, peer, -1 },
                .queue_max = 1 });
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "{}");

        /* It holds a request, so it reads no more. */
        ferry_session_on(other, FERRY_KIND_REQUEST, NULL, NULL);
        ck_assert_ptr_nonnull(ferry_session_next(other, SAFETY_MS));
        ferry_session_on(session, FERRY_KIND_CLOSED, count, &ended);
        memset(filler, 'x', sizeof filler - 1);
        for (int i = 0; i < MESSAGES; i++)
                ck_assert_int_eq(ferry_session_notify(session, "t", "%s", filler), 0);
        ferry_session_close(other);
        while (ended == 0)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        ck_assert_msg(strstr(ferry_session_error(session), " are lost") != NULL, "%s", ferry_session_error(session));
        ferry_call_free(call);
        ferry_loop_free(loop);
        close(peer);
}
END_TEST

START_TEST(calls_and_messages_outlive_the_loop)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];
        ferry_message *kept;
        ferry_call *call;
        int ends = 0;

        open_two(loop, two);
        ferry_session_on(two[1], FERRY_KIND_REQUEST, NULL, NULL);
        call = ferry_session_request(two[0], SAFETY_MS, "t", "{a: ['long enough to be somewhere', 2]}");
        kept = ferry_message_ref(ferry_session_next(two[1], SAFETY_MS));
        ck_assert_ptr_nonnull(kept);
        ferry_loop_free(loop);
        ck_assert_int_eq(ferry_call_status(call), -ECANCELED);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_str_eq(ferry_message_type(kept), "t");
        ck_assert_int_eq((int)ferry_value_int(ferry_value_at(ferry_message_get(kept, "a"), 1), 0), 2);
        ck_assert_ptr_null(ferry_message_session(kept));
        ck_assert(!ferry_message_is_wanted(kept));
        ck_assert_int_lt(ferry_message_reply(kept, NULL, NULL), 0);
        ferry_message_unref(kept);
        /* Its callback is then called as soon as it is set. */
        ferry_call_then(call, note_end, &ends);
        ck_assert_int_eq(ends, 1);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(times_that_are_none_are_refused),
        SUITE_TEST(null_is_an_object_without_memory),
        SUITE_LOOP(an_error_of_the_options_names_the_option, 2),
        SUITE_LOOP(what_failed_to_open_says_why_everywhere, sizeof unopened / sizeof *unopened),
        SUITE_TEST(run_returns_an_error_that_was_not_reported),
        SUITE_TEST(tick_returns_it_too),
        SUITE_TEST(a_live_session_explains_its_last_call),
        SUITE_LOOP(a_reported_failure_is_not_reported_again, WAYS),
        SUITE_TEST(what_is_not_taken_is_reported_by_flush),
        SUITE_TEST(flush_times_out),
        SUITE_TEST(userdata_and_info),
        SUITE_TEST(waiting_within_waiting_has_an_end),
        SUITE_TEST(both_ends_wait_within_each_other),
        SUITE_TEST(asking_again_and_again_ends_with_the_loop),
        SUITE_TEST(calls_and_messages_outlive_the_loop),
        SUITE_LOOP(messages_that_a_peer_never_took_are_counted, 6),
        SUITE_TEST(a_close_that_leaves_messages_behind_is_an_error),
};

SUITE_MAIN("session", tests)
