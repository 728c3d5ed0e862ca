/* Forking, and what children write, in cases that no program plans for: a child that uses what its parent has, what stands in
 * buffers, grandchildren, threads that all have children, and output without end. */
#include "support/children.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void count_then(ferry_process *process, int result, void *userdata)
{
        (void)process;
        ck_assert_int_ne(result, -EINPROGRESS);
        ++*(int *)userdata;
}

/* Forking ---------------------------------------------------------------------------------------------- */

static int in_child(ferry_manager *manager, ferry_process *process, ferry_session *session, ferry_loop *loop)
{
        int wrong = 0;

        wrong += ferry_manager_wait(manager, NULL, NULL) != -ECHILD;
        wrong += ferry_manager_stop(manager, 0) != -ECHILD;
        ferry_manager_kill(manager, SIGKILL);
        ferry_manager_on(manager, FERRY_PROCESS_ENDED, count_event, &wrong);
        wrong += ferry_process_fork(manager, exit_with, NULL, NULL) != NULL;
        wrong += ferry_process_spawn(manager, SH("exit 0"), NULL) != NULL;
        wrong += ferry_manager_new(loop, NULL) != NULL;
        wrong += ferry_process_wait(process, -1) != -ECHILD;
        wrong += ferry_process_stop(process, 0) != -ECHILD;
        wrong += ferry_process_kill(process, SIGKILL) != -ECHILD;
        wrong += ferry_session_notify(session, "t", "1") != -ECHILD;
        wrong += ferry_session_close(session) != -ECHILD;
        ferry_process_then(process, count_then, &wrong);
        ferry_call_free(ferry_manager_request(manager, -1, "t", "1"));
        wrong += ferry_manager_running(manager) > 2 || !*ferry_process_error(process);
        ferry_process_free(process);
        ferry_manager_free(manager);
        return wrong;
}

struct ours {
        ferry_loop *loop;
        ferry_manager *manager;
        ferry_process *process;
        ferry_session *session;
};

static int touch_all(ferry_session *parent, void *userdata)
{
        const struct ours *ours = userdata;

        (void)parent;
        /* Their sessions are gone, also from there. */
        return in_child(ours->manager, ours->process, NULL, ours->loop) != 2;
}

/* Whatever a forked child does with what its parent has, the parent's peers notice nothing. */
START_TEST(a_child_does_no_harm)
{
        struct ours ours = { .loop = ferry_loop_new(NULL) };
        ferry_call *call;

        ours.manager = ferry_manager_new(ours.loop, NULL);
        ours.process = ferry_process_fork(ours.manager, serve, NULL, NULL);
        ours.session = ferry_process_session(ours.process);
        if (_i == 0) {
                pid_t pid = fork();
                int status;

                if (pid == 0)
                        _exit(in_child(ours.manager, ours.process, ours.session, ours.loop));
                ck_assert_int_eq(waitpid(pid, &status, 0), pid);
                ck_assert_int_eq(status, 0);
        } else
                ck_assert_int_eq(ferry_process_wait(ferry_process_fork(ours.manager, touch_all, &ours, NULL), SAFETY_MS), 0);
        call = ferry_manager_request(ours.manager, SAFETY_MS, "t", "'x'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(ferry_manager_stop(ours.manager, -1), 0);
        ferry_loop_free(ours.loop);
}
END_TEST

static bool is_marking;

static void leave_a_mark(void)
{
        ssize_t put = is_marking ? write(1, "atexit\n", 7) : 0;

        (void)put;
}

static int print_more(ferry_session *parent, void *userdata)
{
        (void)parent, (void)userdata;
        printf("child\n");
        return 0;
}

/* What the parent has printed, and not written yet, is not the child's to write; nor does that run what the parent has for
 * its own end. */
START_TEST(a_child_prints_what_is_its_own)
{
        static char buffers[2][1024];
        char path[] = "/tmp/ferry-hard-XXXXXX", seen[64] = "";
        int fd = mkstemp(path), saved[2] = { dup(1), dup(2) };
        FILE *file = fdopen(dup(fd), "w");
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct text text = { .size = 0 };
        int result;

        is_marking = true;
        atexit(leave_a_mark);
        /* Into a file, so that nothing but the end of a buffer writes it. */
        fflush(stdout);
        dup2(fd, 1);
        dup2(fd, 2);
        setvbuf(stdout, buffers[0], _IOFBF, sizeof buffers[0]);
        setvbuf(stderr, buffers[1], _IOFBF, sizeof buffers[1]);
        printf("o");
        fprintf(stderr, "e");
        fprintf(file, "f");
        result = ferry_process_wait(ferry_process_fork(manager, print_more, NULL, &(ferry_process_options){
                                    .output = collect, .output_userdata = &text }), SAFETY_MS);
        fflush(stdout);
        fflush(stderr);
        fclose(file);
        dup2(saved[0], 1);
        dup2(saved[1], 2);
        setvbuf(stderr, NULL, _IONBF, 0);
        ck_assert_int_eq(result, 0);
        ck_assert_int_eq(pread(fd, seen, sizeof seen - 1, 0), 3);
        ck_assert_str_eq(seen, "oef");
        ck_assert_msg(text.size == 6 && memcmp(text.bytes, "child\n", 6) == 0, "%.*s", (int)text.size, text.bytes);
        close(fd);
        close(saved[0]);
        close(saved[1]);
        unlink(path);
        ferry_loop_free(loop);
        is_marking = false;
}
END_TEST

static int never_heard(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        ++*(int *)userdata;
        return 0;
}

static int say_and_wait(ferry_session *parent, void *userdata)
{
        return ferry_session_notify(parent, "up", "1") < 0 ? 1 : wait_for_the_end(parent, userdata);
}

static int be_grandparent(ferry_session *parent, void *userdata)
{
        ferry_manager *manager = ferry_manager_new(ferry_session_loop(parent), NULL);
        ferry_process *process = ferry_process_fork(manager, say_and_wait, NULL, NULL);

        (void)userdata;
        if (!ferry_session_next(ferry_process_session(process), SAFETY_MS))
                return 1;
        if (ferry_session_notify(parent, "pid", "%d", ferry_process_pid(process)) != 0 || ferry_session_flush(parent, -1) != 0)
                return 1;
        /* The grandchild lives on, and must not hold what leads to our parent. */
        kill(getpid(), SIGSTOP);
        return 0;
}

static int count_sockets(pid_t pid)
{
        char path[64], link[64];
        int count = 0;

        for (int fd = 3; fd < 1024; fd++) {
                snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
                memset(link, 0, sizeof link);
                count += readlink(path, link, sizeof link - 1) > 0 && strncmp(link, "socket:", 7) == 0;
        }
        return count;
}

START_TEST(a_grandchild_does_not_hold_the_parent)
{
        int before = count_sockets(getpid());
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process;
        const ferry_message *message;
        pid_t grandchild;
        int closed = 0;

        process = ferry_process_fork(manager, be_grandparent, NULL, NULL);
        message = ferry_session_next(ferry_process_session(process), SAFETY_MS);
        grandchild = (pid_t)ferry_value_int(ferry_message_body(message), 0);
        ck_assert_int_gt(grandchild, 0);
        ferry_session_on(ferry_process_session(process), FERRY_KIND_CLOSED, never_heard, &closed);
        ck_assert_int_eq(count_sockets(grandchild), before + 1);
        /* It is stopped, and hears TERM all the same. */
        ck_assert_int_eq(ferry_process_stop(process, 0), FERRY_PROCESS_KILLED + SIGTERM);
        ferry_loop_free(loop);
}
END_TEST

/* Threads ---------------------------------------------------------------------------------------------- */

static void *fork_and_spawn(void *userdata)
{
        size_t rounds = *(const size_t *)userdata;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        long wrong = 0;

        for (size_t i = 0; i < rounds; i++) {
                /* It lives as long as this thread has rounds. */
                ferry_process *process = ferry_process_fork(manager, wait_for_the_end, NULL, NULL);

                wrong += ferry_process_wait(ferry_process_spawn(manager, (const char *const[]){ "true", NULL }, NULL), -1) != 0;
                wrong += ferry_process_status(process) != 1;
        }
        wrong += ferry_manager_stop(manager, 1) < 0;
        ferry_loop_free(loop);
        return (void *)(uintptr_t)wrong;
}

/* Each thread has a manager. What one of them forks holds none of the others up, however long it lives. */
START_TEST(threads_do_not_wait_for_each_other_s_children)
{
        enum { THREADS = 4 };
        pthread_t threads[THREADS];
        size_t rounds = suite_scale(100);

        for (int i = 0; i < THREADS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, fork_and_spawn, &rounds), 0);
        for (int i = 0; i < THREADS; i++) {
                void *wrong;

                pthread_join(threads[i], &wrong);
                ck_assert_ptr_null(wrong);
        }
}
END_TEST

/* Output ----------------------------------------------------------------------------------------------- */

static void count_bytes(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process, (void)fd, (void)bytes;
        *(size_t *)userdata += size;
}

START_TEST(much_output_takes_no_memory)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        size_t size = suite_scale(1000) * 1000 * 1000, count = 0, before = door_counts.bytes;
        char command[128];
        ferry_process *process;

        snprintf(command, sizeof command, "head -c %zu /dev/zero; exec head -c 1000 /dev/zero >&2", size);
        process = ferry_process_spawn(manager, SH(command), &(ferry_process_options){ .output = count_bytes,
                                      .output_userdata = &count });
        ck_assert_int_eq(ferry_process_wait(process, -1), 0);
        ck_assert_uint_eq(count, size + 1000);
        ck_assert_uint_lt(door_counts.bytes_peak, before + 100000);
        ferry_loop_free(loop);
}
END_TEST

/* Many ------------------------------------------------------------------------------------------------- */

/* What has ended is kept, but not with the room for what it wrote. */
START_TEST(those_that_have_ended_take_little_room)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        size_t before = door_counts.bytes, kept = 1000;

        for (size_t i = 0; i < kept; i++)
                ferry_process_spawn(manager, (const char *const[]){ "", NULL },
                                    &(ferry_process_options){ .is_on_stdio = true, .input = "" });
        ck_assert_uint_lt((door_counts.bytes - before) / kept, 2500);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), -EINVAL);
        ferry_loop_free(loop);
}
END_TEST

static int refuse_directory(enum door_call call, bool is_child)
{
        return is_child && call == DOOR_change_directory ? -EACCES : 0;
}

static int refuse_shared_page(enum door_call call, bool is_child)
{
        return !is_child && call == DOOR_map_shared ? -ENOMEM : 0;
}

/* What fails in the child before its function stands in the sentence of the parent, its session and the calls to it. */
START_TEST(a_child_tells_its_parent_what_it_could_not_do)
{
        static const char sentence[] = "the child exited with status 1: cannot change its directory: Permission denied";
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .directory = "/" };
        int status = 0;
        ferry_process *process;
        ferry_call *call;

        door_judge = refuse_directory;
        process = ferry_process_fork(manager, exit_with, &status, &options);
        call = ferry_session_request(ferry_process_session(process), SAFETY_MS, "t", "1");
        door_reset();
        require_result(process, 1);
        ck_assert_str_eq(ferry_process_error(process), sentence);
        ck_assert_str_eq(ferry_process_ending(process), sentence + strlen("the child "));
        ck_assert_int_eq(ferry_session_status(ferry_process_session(process)), -ECONNRESET);
        ck_assert_str_eq(ferry_session_error(ferry_process_session(process)), sentence);
        ck_assert_int_eq(strncmp(ferry_call_error(call), sentence, strlen(sentence)), 0);
        ck_assert_int_eq(ferry_call_exit_status(call), 1);
        ferry_call_free(call);
        /* Without memory for that the child is not started. */
        door_judge = refuse_shared_page;
        process = ferry_process_fork(manager, exit_with, &status, &options);
        door_reset();
        ck_assert_int_eq(ferry_process_status(process), -ENOMEM);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_child_tells_its_parent_what_it_could_not_do),
        SUITE_LOOP(a_child_does_no_harm, 2),
        SUITE_TEST(a_child_prints_what_is_its_own),
        SUITE_TEST(a_grandchild_does_not_hold_the_parent),
        SUITE_TEST(threads_do_not_wait_for_each_other_s_children),
        SUITE_TEST(much_output_takes_no_memory),
        SUITE_TEST(those_that_have_ended_take_little_room),
};

SUITE_MAIN("process-forks", tests)
