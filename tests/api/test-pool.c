/* A pool: each request is given to one worker and ends once, whatever becomes of the workers; those that die are
 * replaced, later and later; and it is let run out in order. */
#include "support/children.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ferry_process_options worker = { .is_on_stdio = true, .is_restarted = true };

static int double_it(ferry_session *session, const ferry_message *request, void *userdata)
{
        int64_t number = ferry_value_int(ferry_message_body(request), 0);

        (void)session;
        if (userdata)
                ++*(int *)userdata;
        if (number < 0)
                _exit(9);
        return ferry_message_reply(request, NULL, "[%d, %lld]", getpid(), (long long)(number * 2));
}

static int work(ferry_session *parent, void *userdata)
{
        ferry_session_on(parent, FERRY_KIND_REQUEST, double_it, userdata);
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

/* What requests have come to. */
struct ends {
        int done;
        int failed;
        int unknown;
        int code;
        char text[512];
};

static void count_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct ends *ends = userdata;

        if (reply) {
                ends->done++;
                return;
        }
        ends->failed++;
        ends->unknown += ferry_call_outcome(call) == FERRY_OUTCOME_UNKNOWN;
        ends->code = ferry_call_status(call);
        snprintf(ends->text, sizeof ends->text, "%s", ferry_call_error(call));
}

START_TEST(requests_are_shared)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_call *calls[200];
        pid_t pids[3] = { 0 };
        int seen[3] = { 0 };

        for (int i = 0; i < 3; i++)
                pids[i] = ferry_process_pid(ferry_process_fork(manager, work, NULL, NULL));
        for (int i = 0; i < 200; i++)
                calls[i] = ferry_manager_request(manager, SAFETY_MS, "t", "%d", i);
        for (int i = 0; i < 200; i++) {
                const ferry_message *reply = ferry_call_await(calls[i]);
                const ferry_value *body = reply ? ferry_message_body(reply) : NULL;

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(calls[i]));
                ck_assert_int_eq(ferry_value_int(ferry_value_at(body, 1), -1), i * 2);
                for (int k = 0; k < 3; k++)
                        seen[k] += ferry_value_int(ferry_value_at(body, 0), 0) == pids[k];
                ferry_call_free(calls[i]);
        }
        ck_assert_int_eq(seen[0] + seen[1] + seen[2], 200);
        ck_assert(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
        ferry_loop_free(loop);
}
END_TEST

/* A wait for a request is a wait for a worker, too; and stopping finishes what was asked. */
START_TEST(stopping_finishes_the_requests)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends ends = { 0 };

        for (int i = 0; i < 100; i++)
                ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "%d", i), count_end, &ends);
        for (int i = 0; i < 3; i++)
                ferry_process_spawn(manager, CHILD("echo"), &worker);
        ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
        ck_assert_msg(ends.done == 100, "%d, %s", ends.done, ends.text);
        /* No worker is left. */
        ferry_call_then(ferry_manager_request(manager, 100, "t", "1"), count_end, &ends);
        ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
        ck_assert_int_eq(ends.failed, 1);
        ck_assert_int_eq(ends.code, -ECHILD);
        ck_assert_int_eq(ends.unknown, 0);
        ferry_loop_free(loop);
}
END_TEST

/* The one that it worked on is lost, with the reason; the rest is done by the next. */
START_TEST(a_dead_worker_is_replaced)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends lost = { 0 }, rest = { 0 };
        ferry_process *process = ferry_process_spawn(manager, SH("echo alas >&2; head -c 1 >/dev/null; kill -SEGV $$"),
                                                     &worker);

        ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "1"), count_end, &lost);
        ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "2"), count_end, &lost);
        while (lost.failed < 2)
                ck_assert_msg(ferry_loop_tick(loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(loop));
        ck_assert_int_eq(lost.unknown, 2);
        ck_assert_int_eq(lost.code, -ECONNRESET);
        ck_assert_msg(strstr(lost.text, "killed by SIGSEGV; its last words: alas"), "%s", lost.text);
        ck_assert_ptr_eq(ferry_manager_child(manager, NULL), process);
        ferry_process_spawn(manager, CHILD("echo"), &worker);
        ferry_process_free(process);
        for (int i = 0; i < 10; i++)
                ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "%d", i), count_end, &rest);
        ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
        ferry_loop_run(loop, 0);
        ck_assert_msg(rest.done == 10, "%d: %s", rest.done, rest.text);
        ferry_loop_free(loop);
}
END_TEST

/* None that is not started again: what waits when the last has gone is refused. */
/* The number and the phrase of the end of a worker, and of nothing else: not where a peer says the same words. */
static const struct { const char *script; int status, exit_status; const char *ending; } call_ends[] = {
        { "head -c 1 >/dev/null; kill -KILL $$", -ECONNRESET, FERRY_PROCESS_KILLED + SIGKILL, "was killed by SIGKILL" },
        { "head -c 1 >/dev/null; exit 7", -ECONNRESET, 7, "exited with status 7" },
        { "head -c 1 >/dev/null; exec >&- <&-; exec sleep 20", -ECONNRESET, -ECHILD, "has closed the connection: " },
        { NULL, -EREMOTEIO, -ECHILD, "" },
};

static int fail_with_words(ferry_session *parent, const ferry_message *request, void *userdata)
{
        (void)parent, (void)userdata;
        return ferry_message_fail_text(request, "the child exited with status 9");
}

static int fail_requests(ferry_session *parent, void *userdata)
{
        ferry_session_on(parent, FERRY_KIND_REQUEST, fail_with_words, NULL);
        return wait_for_the_end(parent, userdata);
}

START_TEST(a_call_reports_how_its_child_has_ended)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        const char *script = call_ends[_i].script;
        ferry_process *process = script ? ferry_process_spawn(manager, SH(script), &(ferry_process_options){ .is_on_stdio = true }) :
                                          ferry_process_fork(manager, fail_requests, NULL, NULL);
        FERRY_AUTO(ferry_call) call = ferry_manager_request(manager, SAFETY_MS, "t", "1");

        ck_assert_int_eq(ferry_call_exit_status(call), -EINPROGRESS);
        ck_assert_str_eq(ferry_call_ending(call), "");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_msg(ferry_call_status(call) == call_ends[_i].status, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_call_exit_status(call), call_ends[_i].exit_status);
        /* What was not sent is counted behind it: the hello and the request. */
        ck_assert_int_eq(strncmp(ferry_call_ending(call), call_ends[_i].ending, strlen(call_ends[_i].ending)), 0);
        ck_assert(_i < 3 || !*ferry_call_ending(call));
        ferry_process_kill(process, SIGKILL);
        ferry_loop_free(loop);
        ck_assert_int_eq(ferry_call_exit_status(NULL), -ENOMEM);
        ck_assert_str_eq(ferry_call_ending(NULL), "");
}
END_TEST

START_TEST(without_workers_requests_are_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends ends = { 0 };

        ferry_process_fork(manager, work, NULL, NULL);
        for (int i = -1; i < 5; i++)
                ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "%d", i), count_end, &ends);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ferry_loop_run(loop, 0);
        ck_assert_int_eq(ends.failed, 6);
        ck_assert_int_eq(ends.unknown, 1);
        ck_assert_int_eq(ends.code, -ECHILD);
        ferry_loop_free(loop);
}
END_TEST

static int count_start(ferry_manager *manager, ferry_process *process, void *userdata)
{
        int64_t *starts = userdata;

        (void)manager, (void)process;
        if (starts[0] < 19)
                starts[++starts[0]] = sys_now() / 1000000;
        return 0;
}

/* 10 ms, then twice as long each time, up to a second. */
static int count_death(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager;
        ck_assert_int_eq(ferry_process_status(process), 1);
        ck_assert_str_eq(ferry_process_error(process), "the child exited with status 1");
        ck_assert_int_eq(ferry_process_exit_status(process), 1);
        ck_assert_str_eq(ferry_process_ending(process), "exited with status 1");
        ++*(int *)userdata;
        return 0;
}

START_TEST(restarts_come_later_and_later)
{
        static const int pauses[] = { 10, 20, 40, 80, 160, 320, 640, 1000, 1000 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int64_t starts[20] = { 0 };
        int deaths = 0;

        door_stop_clock(10);
        ferry_manager_on(manager, FERRY_PROCESS_STARTED, count_start, starts);
        ferry_manager_on(manager, FERRY_PROCESS_DIED, count_death, &deaths);
        ferry_process_spawn(manager, SH("exit 1"), &worker);
        /* However long it lives: the clock stands still while nothing but its end is waited for. */
        while (starts[0] < 10)
                ck_assert_msg(ferry_loop_tick(loop, -1) >= 0, "%s", ferry_loop_error(loop));
        for (int i = 0; i < 9; i++) {
                int64_t pause = starts[i + 2] - starts[i + 1];

                ck_assert_msg(pause >= pauses[i] && pause <= pauses[i] + 1, "pause %d: %d ms", i, (int)pause);
        }
        ck_assert_int_eq(deaths, 9);
        ck_assert_int_eq(ferry_manager_stop(manager, 0), 0);
        ferry_loop_free(loop);
        door_reset();
}
END_TEST

/* One that has answered is well again. */
START_TEST(an_answer_resets_the_pause)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int64_t starts[20] = { 0 };

        door_stop_clock(5000);
        ferry_manager_on(manager, FERRY_PROCESS_STARTED, count_start, starts);
        ferry_process_spawn(manager, CHILD("echo"), &worker);
        for (int i = 0; i < 6; i++) {
                int64_t begin = sys_now() / 1000000;
                ferry_call *call;

                ferry_process_kill(ferry_manager_child(manager, NULL), SIGKILL);
                while (starts[0] < i + 2)
                        ck_assert_msg(ferry_loop_tick(loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(loop));
                /* Not answered from 1 to 3. */
                ck_assert_int_eq(starts[i + 2] - begin, i < 1 ? 10 : i < 4 ? 10 << i : 10);
                if (i < 3)
                        continue;
                call = ferry_manager_request(manager, SAFETY_MS, "t", "1");
                ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
                ferry_call_free(call);
        }
        ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
        ferry_loop_free(loop);
        door_reset();
}
END_TEST

static int fail_to_send(ferry_session *session, char *id, size_t size, void *userdata)
{
        (void)session, (void)id, (void)size;
        return ++*(int *)userdata > 0 ? -EIO : 0;
}

/* So many that one within the other would not fit on the stack. */
START_TEST(requests_that_cannot_be_sent_end_one_by_one)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int asked = 0, requests = (int)suite_scale(500000);
        ferry_session_options options = { .dialect = FERRY_DIALECT_STREAM_IPC, .make_id = fail_to_send,
                                          .make_id_userdata = &asked, .queue_max = 1 << 30 };
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .session = &options });
        struct ends ends = { 0 };

        for (int i = 0; i < requests; i++)
                ferry_call_then(ferry_manager_request(manager, -1, FERRY_LOG_MESSAGE, "'x'"), count_end, &ends);
        ferry_process_fork(manager, work, NULL, NULL);
        ferry_loop_run(loop, 0);
        ck_assert_int_eq(asked, requests);
        ck_assert_int_eq(ends.failed, requests);
        ck_assert_int_eq(ends.unknown, 0);
        ck_assert_int_eq(ends.code, -EIO);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_late_request_costs_its_worker)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends ends = { 0 };
        ferry_process *process = ferry_process_spawn(manager, SH("exec sleep 1000"), &worker);
        pid_t pid = ferry_process_pid(process);

        ferry_call_then(ferry_manager_request(manager, 10, "t", "1"), count_end, &ends);
        /* No worker has taken this one. */
        ferry_call_then(ferry_manager_request(manager, 5, "t", "1"), count_end, &ends);
        while (ends.failed < 2)
                ck_assert_msg(ferry_loop_tick(loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(loop));
        ck_assert_int_eq(ends.unknown, 1);
        ck_assert_int_eq(ends.code, -ETIMEDOUT);
        while (ferry_process_pid(process) == pid)
                ck_assert_msg(ferry_loop_tick(loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(loop));
        ck_assert_int_eq(ferry_manager_stop(manager, 0), 0);
        ferry_loop_free(loop);
}
END_TEST

/* A worker that is killed for that takes nothing more: what waits is for the next. */
START_TEST(a_killed_worker_takes_no_more_requests)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends late = { 0 }, rest = { 0 };
        char folder[] = "/tmp/ferry-pool-XXXXXX", first[64], command[512];

        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(first, sizeof first, "%s/first", folder);
        snprintf(command, sizeof command, "mkdir %s && exec sleep 1000; exec %s echo", first, BUILD_DIRECTORY "/tests/child");
        ferry_process_spawn(manager, SH(command), &worker);
        /* It has become the one that sleeps. */
        while (access(first, F_OK) < 0)
                ferry_loop_tick(loop, 1);
        ferry_call_then(ferry_manager_request(manager, 1, "t", "1"), count_end, &late);
        ferry_call_then(ferry_manager_request(manager, SAFETY_MS, "t", "2"), count_end, &rest);
        while (rest.done + rest.failed < 1)
                ck_assert_msg(ferry_loop_tick(loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(loop));
        ck_assert_int_eq(late.unknown, 1);
        ck_assert_msg(rest.done == 1, "%s", rest.text);
        ck_assert_int_eq(ferry_manager_stop(manager, 0), 0);
        ferry_loop_free(loop);
        ck_assert_int_eq(rmdir(first), 0);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(requests_may_be_let_go)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_call *calls[10];

        if (_i % 2)
                ferry_process_fork(manager, work, NULL, NULL);
        for (int i = 0; i < 10; i++)
                calls[i] = ferry_manager_request(manager, SAFETY_MS, "t", "%d", i);
        for (int i = 0; i < 10; i += 2)
                ferry_call_free(calls[i]);
        if (_i >= 2)
                ferry_loop_free(loop);
        for (int i = 1; i < 10; i += 2) {
                if (_i == 1)
                        ck_assert_msg(ferry_call_await(calls[i]) != NULL, "%s", ferry_call_error(calls[i]));
                else if (_i == 3 || _i == 2)
                        ck_assert_int_lt(ferry_call_status(calls[i]), 0);
                ferry_call_free(calls[i]);
        }
        if (_i < 2)
                ferry_loop_free(loop);
}
END_TEST

/* Death at random ----------------------------------------------------------------------------------------- */

struct journal {
        int requests;
        int ended;
        unsigned char *ends;    /* per request: how often it ended */
        bool *is_done;
        bool *is_undone;        /* surely, as it is said */
        ferry_manager *manager;
        unsigned seed;
        int kills;
        int next_kill;          /* not before so many have ended: some work must come to its end */
};

struct task {
        struct journal *journal;
        int number;
};

static void note_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct task *task = userdata;
        struct journal *journal = task->journal;

        journal->ends[task->number]++;
        journal->ended++;
        journal->is_done[task->number] = reply != NULL;
        if (reply)
                SUITE_CHECK(ferry_value_int(ferry_message_body(reply), -1) == task->number, "the answer of another");
        else
                SUITE_CHECK(strstr(ferry_call_error(call), "SIGKILL"), "%s", ferry_call_error(call));
        journal->is_undone[task->number] = ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED;
        free(task);
}

/* What was done is in a file, too, before it is answered: by whom no matter. */
static int log_it(ferry_session *session, const ferry_message *request, void *userdata)
{
        int number = (int)ferry_value_int(ferry_message_body(request), -1);

        (void)session;
        if (write(*(int *)userdata, &number, sizeof number) != sizeof number)
                return -EIO;
        /* The parent may kill this process now. */
        sched_yield();
        return ferry_message_reply(request, NULL, "%d", number);
}

static int be_logged(ferry_session *parent, void *userdata)
{
        ferry_session_on(parent, FERRY_KIND_REQUEST, log_it, userdata);
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

static int log_fd;

static int replace(ferry_manager *manager, ferry_process *process, void *userdata)
{
        struct journal *journal = userdata;

        if (journal->ended < journal->requests)
                ferry_process_fork(manager, be_logged, &log_fd, NULL);
        ferry_process_free(process);
        return 0;
}

static int kill_one(ferry_loop *loop, void *userdata)
{
        struct journal *journal = userdata;
        ferry_process *process = NULL;

        (void)loop;
        if (journal->ended < journal->next_kill)
                return 1;
        for (int i = rand_r(&journal->seed) % 4; i >= 0; i--)
                process = ferry_manager_child(journal->manager, process);
        if (journal->ended < journal->requests && ferry_process_kill(process, SIGKILL) == 0)
                journal->kills++;
        journal->next_kill = journal->ended + rand_r(&journal->seed) % 40;
        return journal->ended < journal->requests;
}

/* Workers that are forked anew by the program, or commands that are started again by themselves. */
START_TEST(each_request_ends_once_whichever_worker_dies)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct journal journal = { .requests = (int)suite_scale(20000), .seed = (unsigned)_i + 1 };
        int number, *logged;
        char variable[32];
        FILE *file = tmpfile();

        log_fd = fileno(file);
        fcntl(log_fd, F_SETFL, O_APPEND);
        journal.ends = calloc((size_t)journal.requests, 1);
        journal.is_done = calloc((size_t)journal.requests, sizeof *journal.is_done);
        journal.is_undone = calloc((size_t)journal.requests, sizeof *journal.is_undone);
        logged = calloc((size_t)journal.requests, sizeof *logged);
        journal.manager = ferry_manager_new(loop, NULL);
        ferry_manager_on(journal.manager, FERRY_PROCESS_ENDED, replace, &journal);
        snprintf(variable, sizeof variable, "FERRY_TEST_LOG=%d", log_fd);
        for (int i = 0; i < 4; i++) {
                if (_i % 2 == 0)
                        ferry_process_fork(journal.manager, be_logged, &log_fd, NULL);
                else
                        ferry_process_spawn(journal.manager, CHILD("log"), &(ferry_process_options){
                                            .is_on_stdio = true, .is_restarted = true,
                                            .fds = (const int[]){ log_fd, -1 },
                                            .env = (const char *[]){ variable, NULL } });
        }
        for (int i = 0; i < journal.requests; i++) {
                struct task *task = malloc(sizeof *task);

                *task = (struct task){ &journal, i };
                ferry_call_then(ferry_manager_request(journal.manager, -1, "t", "%d", i), note_end, task);
        }
        ferry_loop_after(loop, 1, kill_one, &journal);
        while (journal.ended < journal.requests)
                ck_assert_msg(ferry_loop_tick(loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(loop));
        ferry_loop_free(loop);
        rewind(file);
        while (fread(&number, sizeof number, 1, file) == 1)
                logged[number]++;
        for (int i = 0; i < journal.requests; i++) {
                SUITE_CHECK(journal.ends[i] == 1, "request %d ended %d times", i, journal.ends[i]);
                SUITE_CHECK(logged[i] <= 1, "request %d was done %d times", i, logged[i]);
                SUITE_CHECK(logged[i] == 0 || !journal.is_undone[i], "request %d was done all the same", i);
                SUITE_CHECK(logged[i] == 1 || !journal.is_done[i], "request %d was answered and not done", i);
        }
        ck_assert_int_gt(journal.kills, 0);
        fclose(file);
        free(journal.ends);
        free(journal.is_done);
        free(journal.is_undone);
        free(logged);
}
END_TEST

/* Which is taken back, given to a worker, or over, no longer counts. */
START_TEST(what_waits_is_bounded)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session_options limit = { .queue_max = 1000 };
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .session = &limit });
        ferry_call *large = ferry_manager_request(manager, -1, "t", "'%5000d'", 1);
        ferry_call *small = ferry_manager_request(manager, -1, "t", "1"), *more[2];

        ck_assert_int_eq(ferry_call_status(large), 1);
        ck_assert_int_eq(ferry_call_status(small), -ENOBUFS);
        ck_assert_int_eq(ferry_call_outcome(small), FERRY_OUTCOME_NOT_EXECUTED);
        ck_assert_ptr_nonnull(strstr(ferry_call_error(small), "wait for answers"));
        ferry_call_free(small);
        ferry_call_free(large);
        small = ferry_manager_request(manager, -1, "t", "1");
        ck_assert_int_eq(ferry_call_status(small), 1);
        large = ferry_manager_request(manager, -1, "t", "['%5000d', {a: '%5000d'}]", 1, 2);
        ck_assert_int_eq(ferry_call_status(large), -ENOBUFS);
        ferry_process_fork(manager, work, NULL, NULL);
        for (int i = 0; i < 2; i++)
                more[i] = ferry_manager_request(manager, -1, "t", "2");
        ck_assert_ptr_nonnull(ferry_call_await(small));
        for (int i = 0; i < 2; i++) {
                ck_assert_msg(ferry_call_await(more[i]) != NULL, "%s", ferry_call_error(more[i]));
                ferry_call_free(more[i]);
        }
        ferry_call_free(small);
        ferry_call_free(large);
        ferry_loop_free(loop);
}
END_TEST

/* After the wait for the children the result of each request is known. */
START_TEST(requests_end_before_the_wait)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct ends ends = { 0 };

        ferry_process_spawn(manager, SH("exit 3"), NULL);
        for (int i = 0; i < 3; i++)
                ferry_call_then(ferry_manager_request(manager, -1, "t", "1"), count_end, &ends);
        if (_i == 0)
                ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        else if (_i == 1)
                ck_assert_int_eq(ferry_manager_stop(manager, SAFETY_MS), 0);
        else
                ferry_manager_free(manager);
        ck_assert_int_eq(ends.failed, 3);
        ferry_loop_free(loop);
}
END_TEST

static int gate[2];

static int stand_still(ferry_session *session, const ferry_message *request, void *userdata)
{
        char byte;

        (void)session, (void)userdata;
        if (ferry_value_int(ferry_message_get(request, "n"), 0) == 0 && read(gate[0], &byte, 1) != 0)
                return -EIO;
        return ferry_message_reply(request, "App\\Done", "{pid: %d}", getpid());
}

static int work_until_the_gate(ferry_session *parent, void *userdata)
{
        close(gate[1]);
        ferry_session_on(parent, FERRY_KIND_REQUEST, stand_still, userdata);
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

/* A worker that has let a deadline pass is given nothing more until it has answered; here one that cannot be replaced. In
 * stream-ipc it answers late; in ferry it gets the cancellation, and answers that. */
START_TEST(a_stopped_worker_gets_no_more_requests)
{
        const ferry_session_options session = { .dialect = _i ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_FERRY,
                                                .codec = ferry_codec_json() };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .session = &session });
        ferry_process *first;
        ferry_call *call;
        int64_t pid = 0, deadline;

        ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
        first = ferry_process_fork(manager, work_until_the_gate, NULL, NULL);
        ferry_process_fork(manager, work_until_the_gate, NULL, NULL);
        call = ferry_manager_request(manager, 50, "App\\Task", "{n: 0}");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_UNKNOWN);
        ferry_call_free(call);
        /* It may take a while to notice. */
        deadline = sys_now() + (int64_t)SAFETY_MS * 1000000;
        for (int i = 1; sys_now() < deadline && pid != ferry_process_pid(first); i++) {
                call = ferry_manager_request(manager, SAFETY_MS, "App\\Task", "{n: %d}", i);
                ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
                pid = ferry_value_int(ferry_message_get(ferry_call_reply(call), "pid"), 0);
                ferry_call_free(call);
                ck_assert(i > 20 || pid != ferry_process_pid(first));
                if (i == 20)
                        close(gate[1]);
        }
        ck_assert_int_eq(pid, ferry_process_pid(first));
        ck_assert_int_eq(ferry_manager_stop(manager, SAFETY_MS), 0);
        ck_assert_int_eq(result_of(first), 0);
        close(gate[0]);
        ferry_loop_free(loop);
}
END_TEST

/* Waiting for a worker takes nothing of the time in which that may answer. */
START_TEST(the_time_of_a_request_begins_when_it_is_given)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_call *calls[2];

        ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
        door_stop_clock(0);
        for (int i = 0; i < 2; i++)
                calls[i] = ferry_manager_request(manager, 1000, "App\\Task", "{n: 0}");
        door_advance(900000000);
        ferry_process_fork(manager, work_until_the_gate, NULL, NULL);
        ferry_loop_tick(loop, 0);
        door_advance(900000000);
        ferry_loop_tick(loop, 0);
        ck_assert_int_eq(ferry_call_status(calls[0]), 1);
        ck_assert_int_eq(ferry_call_status(calls[1]), -ETIMEDOUT);
        ck_assert_int_eq(ferry_call_outcome(calls[1]), FERRY_OUTCOME_NOT_EXECUTED);
        door_advance(200000000);
        ferry_loop_tick(loop, 0);
        ck_assert_int_eq(ferry_call_status(calls[0]), -ETIMEDOUT);
        ck_assert_int_eq(ferry_call_outcome(calls[0]), FERRY_OUTCOME_UNKNOWN);
        door_reset();
        for (int i = 0; i < 2; i++) {
                ferry_call_free(calls[i]);
                close(gate[1 - i]);
        }
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_wrong_request_says_what_is_wrong)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_call *call = ferry_manager_request(manager, 0, "t", "hello");

        ck_assert_int_eq(ferry_call_status(call), -EINVAL);
        ck_assert_str_eq(ferry_call_error(call), "cannot send the request: the template is wrong at \"hello\" in \"hello\": "
                         "a string stands in 'quotes', or is a %s");
        ferry_call_free(call);
        call = ferry_manager_request(manager, 0, NULL, "1");
        ck_assert_ptr_nonnull(strstr(ferry_call_error(call), "a request has a type"));
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_wrong_request_says_what_is_wrong),
        SUITE_TEST(the_time_of_a_request_begins_when_it_is_given),
        SUITE_LOOP(requests_end_before_the_wait, 3),
        SUITE_LOOP(a_stopped_worker_gets_no_more_requests, 2),
        SUITE_TEST(requests_are_shared),
        SUITE_TEST(stopping_finishes_the_requests),
        SUITE_TEST(a_dead_worker_is_replaced),
        SUITE_LOOP(a_call_reports_how_its_child_has_ended, 4),
        SUITE_TEST(without_workers_requests_are_refused),
        SUITE_TEST(restarts_come_later_and_later),
        SUITE_TEST(an_answer_resets_the_pause),
        SUITE_TEST(requests_that_cannot_be_sent_end_one_by_one),
        SUITE_TEST(a_late_request_costs_its_worker),
        SUITE_TEST(a_killed_worker_takes_no_more_requests),
        SUITE_TEST(what_waits_is_bounded),
        SUITE_LOOP(requests_may_be_let_go, 4),
        SUITE_LOOP(each_request_ends_once_whichever_worker_dies, 4),
};

SUITE_MAIN("pool", tests)
