/* Sessions between parent and child in shared memory: when they move, and what they keep there. That all else is as over a unix
 * socket of a service is in tests/conformance. */
#include "support/children.h"
#include "support/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 1500, FEW = 5 };

static const char *stream_of(const ferry_session *session)
{
        static char text[32];
        ferry_value *info = ferry_session_info(session);

        snprintf(text, sizeof text, "%s", ferry_value_text(ferry_value_get(info, "stream"), ""));
        ferry_value_unref(info);
        return text;
}

static void exchange(ferry_process *process, int count)
{
        for (int i = 0; i < count; i++) {
                ferry_call *call = ferry_session_request(ferry_process_session(process), SAFETY_MS, "t", "%d", i);
                const ferry_message *reply = ferry_call_await(call);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
                ck_assert_int_eq(ferry_value_int(ferry_message_body(reply), -1), i);
                ferry_call_free(call);
        }
}

static ferry_process *start(ferry_manager *manager, bool is_command, const ferry_process_options *options)
{
        return is_command ? ferry_process_spawn(manager, CHILD("serve-channel"), options) :
                            ferry_process_fork(manager, serve, NULL, options);
}

static const struct {
        int ours, theirs;       /* of the loop, and of this process */
        int count;
        bool has_moved;
} wishes[] = {
        { FERRY_SHM_AUTO, FERRY_SHM_ALWAYS, FEW, true },
        { FERRY_SHM_ALWAYS, FERRY_SHM_AUTO, FEW, true },
        { FERRY_SHM_AUTO, FERRY_SHM_AUTO, FEW, false },
        { FERRY_SHM_AUTO, FERRY_SHM_AUTO, MANY, true },
        { FERRY_SHM_NEVER, FERRY_SHM_AUTO, MANY, false },
        { FERRY_SHM_ALWAYS, FERRY_SHM_NEVER, FEW, false },
};

/* Forked functions, then commands. */
START_TEST(a_session_to_a_child_moves)
{
        const int count = sizeof wishes / sizeof *wishes, i = _i % count;
        ferry_session_options ours = { .shm = wishes[i].ours }, own = { .shm = wishes[i].theirs };
        ferry_loop *loop = ferry_loop_new(&(ferry_loop_options){ .session = &ours });
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = start(manager, _i >= count, &(ferry_process_options){ .session = &own });

        exchange(process, wishes[i].count);
        ck_assert_str_eq(stream_of(ferry_process_session(process)), wishes[i].has_moved ? "shm" : "process");
        exchange(process, FEW);
        ferry_session_close(ferry_process_session(process));
        require_result(process, 0);
        ferry_loop_free(loop);
}
END_TEST

static int send_and_end(ferry_session *parent, void *userdata)
{
        const ferry_message *request;

        /* Two round trips, so that the session has moved. */
        ferry_session_on(parent, FERRY_KIND_REQUEST, NULL, NULL);
        for (int i = 0; i < FEW && (request = ferry_session_next(parent, SAFETY_MS)); i++)
                ferry_message_reply(request, NULL, "%d", i);
        for (int i = 0; i < MANY; i++)
                if (ferry_session_notify(parent, "n", "%d", i) < 0)
                        return 1;
        if (strcmp(stream_of(parent), "shm") != 0)
                return 2;
        if (userdata)
                kill(getpid(), SIGKILL);
        return 3;
}

/* What it has sent before its end is handled, also if it was killed: then it is all in the memory. */
START_TEST(what_a_child_sent_through_memory_arrives)
{
        ferry_session_options always = { .shm = FERRY_SHM_ALWAYS };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(manager, send_and_end, _i ? "" : NULL, &(ferry_process_options){ .session = &always });
        int heard = 0;

        ferry_session_on(ferry_process_session(process), FERRY_KIND_NOTIFICATION, count_in_order, &heard);
        exchange(process, FEW);
        require_result(process, _i ? FERRY_PROCESS_KILLED + SIGKILL : 3);
        ck_assert_int_eq(heard, MANY);
        ferry_loop_free(loop);
}
END_TEST

static int wait_for_death(ferry_session *parent, void *userdata)
{
        (void)userdata;
        ferry_session_on(parent, FERRY_KIND_REQUEST, NULL, NULL);
        for (int i = 0; i < FEW; i++)
                ferry_message_reply(ferry_session_next(parent, SAFETY_MS), NULL, "%d", i);
        ferry_session_next(parent, SAFETY_MS);
        kill(getpid(), SIGKILL);
        return 0;
}

START_TEST(a_killed_child_ends_its_calls_at_once)
{
        ferry_session_options always = { .shm = FERRY_SHM_ALWAYS };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(manager, wait_for_death, NULL, &(ferry_process_options){ .session = &always });
        ferry_call *call;

        exchange(process, FEW);
        ck_assert_str_eq(stream_of(ferry_process_session(process)), "shm");
        call = ferry_session_request(ferry_process_session(process), SAFETY_MS, "t", "0");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_msg(strstr(ferry_call_error(call), "SIGKILL"), "%s", ferry_call_error(call));
        ferry_call_free(call);
        require_result(process, FERRY_PROCESS_KILLED + SIGKILL);
        ferry_loop_free(loop);
}
END_TEST

/* A socket pair whose ends do not know which of them is the parent stays what it is. */
START_TEST(two_equal_ends_stay_on_their_socket)
{
        ferry_session_options always = { .dialect = FERRY_DIALECT_FERRY, .shm = FERRY_SHM_ALWAYS };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *ends[2];
        int pair[2], heard = 0;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        for (int i = 0; i < 2; i++) {
                always.fds = (const int[]){ pair[i], -1 };
                ends[i] = ferry_session_open(loop, NULL, &always);
        }
        ferry_session_on(ends[1], FERRY_KIND_NOTIFICATION, count_in_order, &heard);
        for (int i = 0; i < FEW; i++) {
                ck_assert_int_eq(ferry_session_notify(ends[0], "n", "%d", i), 0);
                ck_assert_int_eq(ferry_session_flush(ends[0], SAFETY_MS), 0);
        }
        ck_assert_int_eq(heard, FEW);
        ck_assert_str_eq(stream_of(ends[0]), "socket");
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_session_to_a_child_moves, 12),
        SUITE_LOOP(what_a_child_sent_through_memory_arrives, 2),
        SUITE_TEST(a_killed_child_ends_its_calls_at_once),
        SUITE_TEST(two_equal_ends_stay_on_their_socket),
};

SUITE_MAIN("process-shm", tests)
