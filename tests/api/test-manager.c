/* Several children: which callbacks get their ends, and in which order; how many run at a time; how they are stopped; which
 * signals they are passed; where what they print goes. */
#include "support/children.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 40 };

/* Until it is told, or left alone. */
static int wait_for_word(ferry_session *parent, void *userdata)
{
        const ferry_message *message = ferry_session_next(parent, -1);

        (void)userdata;
        return message ? (int)ferry_value_int(ferry_message_body(message), 0) : 100;
}

/* Which ends were told, in order, each by a letter for whom and the child's result. */
static char told[1024];

static void tell(const char *whom, const ferry_process *process)
{
        snprintf(told + strlen(told), sizeof told - strlen(told), "%s%d ", whom, result_of(process));
}

static int by_callback(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager;
        tell("c", process);
        return userdata && result_of(process) == *(const int *)userdata ? 77 : 0;
}

static int by_first(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager;
        tell("f", process);
        return userdata && result_of(process) == *(const int *)userdata ? 78 : 0;
}

static int by_second(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager, (void)userdata;
        tell("s", process);
        return 0;
}

/* The order of ends ------------------------------------------------------------------------------------ */

struct releasing {
        ferry_process *children[CHILDREN];
        int order[CHILDREN];
        int at;
        bool is_at_once;        /* all have ended before the wait begins */
};

static void fork_shuffled(ferry_manager *manager, struct releasing *all, int seed)
{
        srand((unsigned)seed);
        for (int i = 0; i < CHILDREN; i++) {
                int other = rand() % (i + 1);

                all->children[i] = ferry_process_fork(manager, wait_for_word, NULL, NULL);
                all->order[i] = all->order[other];
                all->order[other] = i;
        }
}

static void release_next(struct releasing *all)
{
        if (all->at < CHILDREN)
                ferry_session_notify(ferry_process_session(all->children[all->order[all->at]]), "go", "%d",
                                     all->at + 1);
}

static int one_has_ended(ferry_manager *manager, ferry_process *process, void *userdata)
{
        struct releasing *all = userdata;

        (void)manager;
        ck_assert_ptr_eq(process, all->children[all->order[all->at]]);
        ck_assert_int_eq(result_of(process), all->at + 1);
        all->at++;
        if (!all->is_at_once)
                release_next(all);
        return 0;
}

/* Each is let go once the one before has been told, in an order that is not that of their pids. */
START_TEST(ends_are_reported_in_their_order)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct releasing all = { .at = 0 };

        fork_shuffled(manager, &all, _i + 1);
        ck_assert_uint_eq(ferry_manager_running(manager), CHILDREN);
        release_next(&all);
        ck_assert_int_eq(ferry_manager_wait(manager, one_has_ended, &all), 0);
        ck_assert_int_eq(all.at, CHILDREN);
        ck_assert_uint_eq(ferry_manager_running(manager), 0);
        ferry_loop_free(loop);
}
END_TEST

/* All are zombies when the waiting begins, and still it is the order in which they died. */
START_TEST(simultaneous_ends_are_reported_in_their_order)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        struct releasing all = { .at = 0, .is_at_once = true };

        fork_shuffled(manager, &all, _i + 1);
        for (; all.at < CHILDREN; all.at++) {
                siginfo_t info;

                release_next(&all);
                ck_assert_int_eq(waitid(P_PID, (id_t)ferry_process_pid(all.children[all.order[all.at]]), &info,
                                        WEXITED | WNOWAIT), 0);
        }
        all.at = 0;
        ck_assert_int_eq(ferry_manager_wait(manager, one_has_ended, &all), 0);
        ck_assert_int_eq(all.at, CHILDREN);
        ferry_loop_free(loop);
}
END_TEST

static int count_end(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager, (void)process;
        ++*(int *)userdata;
        return 0;
}

/* All at the same moment: each is told once. */
START_TEST(simultaneous_ends_are_reported_once_each)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int counted = 0, handled = 0;

        ferry_manager_on(manager, FERRY_PROCESS_ENDED, count_end, &handled);
        for (int i = 0; i < 50; i++)
                ferry_process_fork(manager, wait_for_word, NULL, NULL);
        ferry_manager_kill(manager, SIGKILL);
        ck_assert_int_eq(ferry_manager_wait(manager, count_end, &counted), 0);
        ck_assert_int_eq(counted, 50);
        ck_assert_int_eq(handled, 50);
        ck_assert_int_eq(ferry_manager_wait(manager, count_end, &counted), 0);
        ck_assert_int_eq(counted, 50);
        for (ferry_process *at = NULL; (at = ferry_manager_child(manager, at));)
                ck_assert_int_eq(result_of(at), FERRY_PROCESS_KILLED + SIGKILL);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(the_callback_is_before_the_handlers)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 3;

        told[0] = '\0';
        ferry_manager_on(manager, FERRY_PROCESS_STARTED | FERRY_PROCESS_ENDED, by_first, NULL);
        ferry_manager_on(manager, FERRY_PROCESS_ENDED, by_second, NULL);
        ferry_process_fork(manager, exit_with, &status, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, by_callback, NULL), 0);
        ck_assert_str_eq(told, "f-115 c3 f3 s3 ");
        /* The end of a child outside of a wait is reported to the callback later. */
        told[0] = '\0';
        ferry_process_wait(ferry_process_fork(manager, exit_with, &status, NULL), SAFETY_MS);
        ck_assert_str_eq(told, "f-115 f3 s3 ");
        ck_assert_int_eq(ferry_manager_wait(manager, by_callback, NULL), 0);
        ck_assert_str_eq(told, "f-115 f3 s3 c3 ");
        /* One that could not be started has ended, too. */
        told[0] = '\0';
        ferry_process_spawn(manager, (const char *[]){ "/nowhere", NULL }, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, by_callback, NULL), -ENOENT);
        ck_assert_str_eq(told, "f-2 s-2 c-2 ");
        ferry_loop_free(loop);
}
END_TEST

/* Stopped by the callback, or by a handler; the next wait gets the rest. */
START_TEST(waiting_stops_and_goes_on)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status[4] = { 1, 2, 3, 4 }, stops = 2;
        const char *last;

        told[0] = '\0';
        if (_i % 2)
                ferry_manager_on(manager, FERRY_PROCESS_ENDED, by_first, &stops);
        for (int i = 0; i < 4; i++) {
                ferry_process *process = ferry_process_fork(manager, exit_with, &status[i], NULL);

                /* They have ended before, all in one round, or one by one. */
                if (_i < 2)
                        ferry_process_wait(process, SAFETY_MS);
        }
        if (_i / 2 == 1) {
                siginfo_t info;

                for (ferry_process *at = NULL; (at = ferry_manager_child(manager, at));)
                        ck_assert_int_eq(waitid(P_PID, (id_t)ferry_process_pid(at), &info, WEXITED | WNOWAIT), 0);
        }
        if (_i == 1)
                ck_assert_int_eq(ferry_manager_wait(manager, by_callback, NULL), 0);
        else {
                ck_assert_int_eq(ferry_manager_wait(manager, by_callback, _i % 2 ? NULL : &stops), _i % 2 ? 78 : 77);
                last = strstr(told, _i % 2 ? "f2 " : "c2 ");
                ck_assert_msg(last && !strchr(last + 1, 'c'), "%s", told);
                ck_assert_int_eq(ferry_manager_wait(manager, by_callback, NULL), 0);
        }
        for (int i = 1; i <= 4; i++) {
                char one[8];
                const char *found;

                snprintf(one, sizeof one, "c%d ", i);
                found = strstr(told, one);
                ck_assert_msg(found && !strstr(found + 1, one), "%s", told);
        }
        ferry_loop_free(loop);
}
END_TEST

static int wait_within(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)process;
        *(int *)userdata = ferry_manager_wait(manager, NULL, NULL);
        return 0;
}

START_TEST(waiting_for_all_within_that_is_refused)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int status = 0, code = 0;

        ferry_process_fork(manager, exit_with, &status, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, wait_within, &code), 0);
        ck_assert_int_eq(code, -EDEADLK);
        ferry_loop_free(loop);
}
END_TEST

static int make_another(ferry_manager *manager, ferry_process *process, void *userdata)
{
        int *left = userdata;

        if (--*left > 0)
                ferry_process_fork(manager, exit_with, left, NULL);
        ferry_process_free(process);
        return 0;
}

static int free_all(ferry_manager *manager, ferry_process *process, void *userdata)
{
        ferry_process *at = ferry_manager_child(manager, NULL), *next;

        (void)process, (void)userdata;
        for (; at; at = next) {
                next = ferry_manager_child(manager, at);
                ferry_process_free(at);
        }
        return 0;
}

static int free_manager(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)process, (void)userdata;
        ferry_manager_free(manager);
        return 5;
}

static int free_loop(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager, (void)process;
        ferry_loop_free(userdata);
        return 5;
}

/* In the callback, or as a handler. */
START_TEST(callbacks_may_do_anything)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_killing = true });
        ferry_manager_fn *const fns[] = { make_another, free_all, free_manager, free_loop };
        ferry_manager_fn *fn = fns[_i % 4];
        int status = 0, left = 20;
        void *userdata = fn == free_loop ? (void *)loop : &left;

        ferry_process_fork(manager, exit_with, &status, NULL);
        if (fn != make_another)
                for (int i = 0; i < 3; i++)
                        ferry_process_fork(manager, fn == free_all ? exit_with : wait_for_word, &status, NULL);
        if (_i >= 4)
                ferry_manager_on(manager, FERRY_PROCESS_ENDED, fn, userdata);
        ferry_manager_wait(manager, _i < 4 ? fn : NULL, userdata);
        if (fn == make_another)
                ck_assert_int_eq(left, 0);
        if (fn == make_another || fn == free_all)
                ck_assert_ptr_null(ferry_manager_child(manager, NULL));
        if (fn != free_loop)
                ferry_loop_free(loop);
}
END_TEST

/* The queue -------------------------------------------------------------------------------------------- */

struct queue {
        unsigned most_running;
        unsigned most_waiting;
        int ended;
};

static int watch_queue(ferry_manager *manager, ferry_process *process, void *userdata)
{
        struct queue *queue = userdata;

        if (ferry_manager_running(manager) > queue->most_running)
                queue->most_running = ferry_manager_running(manager);
        if (ferry_manager_waiting(manager) > queue->most_waiting)
                queue->most_waiting = ferry_manager_waiting(manager);
        queue->ended += ferry_process_status(process) != 1;
        return 0;
}

START_TEST(so_many_run_at_a_time)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .running_max = 4 });
        struct queue queue = { 0 };
        int status = 0;

        ferry_manager_on(manager, FERRY_PROCESS_STARTED | FERRY_PROCESS_ENDED, watch_queue, &queue);
        for (int i = 0; i < 100; i++)
                ck_assert_int_gt(ferry_process_pid(ferry_process_fork(manager, exit_with, &status, NULL)), 0);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_int_eq(queue.ended, 100);
        ck_assert_uint_eq(queue.most_running, 4);
        ck_assert_uint_eq(queue.most_waiting, 1);
        ck_assert_uint_eq(ferry_manager_waiting(manager), 0);
        ck_assert_uint_eq(ferry_manager_running_max(manager), 4);
        ck_assert_uint_eq(ferry_manager_running_max(ferry_manager_new(loop, NULL)), 0);
        ck_assert_uint_eq(ferry_manager_running_max(NULL), 0);
        ferry_loop_free(loop);
}
END_TEST

/* The end ---------------------------------------------------------------------------------------------- */

static void open_children(ferry_manager *manager, const char *const *commands)
{
        for (; *commands; commands++) {
                ferry_process *process = ferry_process_spawn(manager, SH(*commands), &(ferry_process_options){
                                                             .is_on_stdio = true });
                const ferry_message *up;

                ferry_session_on(ferry_process_session(process), FERRY_KIND_JUNK, NULL, NULL);
                up = ferry_session_next(ferry_process_session(process), SAFETY_MS);
                ck_assert_msg(up != NULL, "%s: %s", *commands, ferry_process_error(process));
        }
}

static const char *const stubborn[] = {
        "echo up >&2; exec cat",
        "echo up >&2; exec sleep 1000",
        "trap '' TERM; echo up >&2; while :; do sleep 1; done",
        "echo up >&2; kill -STOP $$; sleep 1000",
        NULL,
};

/* By the clock of the test: what takes no signal is killed at last. */
START_TEST(stopping_asks_then_terminates_then_kills)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        static const int results[] = { 0, FERRY_PROCESS_KILLED + SIGTERM, FERRY_PROCESS_KILLED + SIGKILL,
                                       FERRY_PROCESS_KILLED + SIGTERM };
        ferry_process *process = NULL;
        int64_t begin;

        open_children(manager, stubborn);
        door_stop_clock(300);
        begin = sys_now();
        ck_assert_int_eq(ferry_manager_stop(manager, 5000), 0);
        ck_assert_int_ge(sys_now() - begin, 10000 * 1000000LL);
        ck_assert_int_lt(sys_now() - begin, 11000 * 1000000LL);
        for (int i = 0; i < 4; i++) {
                process = ferry_manager_child(manager, process);
                ck_assert_msg(result_of(process) == results[i], "%d: %s", i, ferry_process_error(process));
        }
        ck_assert_uint_eq(ferry_manager_killed(manager), 1);
        ferry_loop_free(loop);
        door_reset();
}
END_TEST

/* No clock moves while a child that was asked to end has nothing left to do. */
static int end_without_waiting(ferry_session *parent, void *userdata)
{
        int64_t before;

        (void)userdata;
        door_stop_clock(SAFETY_MS);
        before = sys_now();
        ferry_session_notify(parent, "begun", NULL);
        ferry_loop_run(ferry_session_loop(parent), -1);
        return sys_now() != before;
}

START_TEST(a_child_that_is_asked_to_end_ends_at_once)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(manager, end_without_waiting, NULL, NULL);

        ck_assert_ptr_nonnull(ferry_session_next(ferry_process_session(process), SAFETY_MS));
        ck_assert_int_eq(ferry_manager_stop(manager, -1), 0);
        require_result(process, 0);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(one_alone_is_stopped_the_same)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process;

        open_children(manager, stubborn);
        process = ferry_manager_child(manager, NULL);
        ck_assert_int_eq(ferry_process_stop(process, -1), 0);
        process = ferry_manager_child(manager, process);
        ck_assert_int_eq(ferry_process_stop(process, 0), FERRY_PROCESS_KILLED + SIGTERM);
        process = ferry_manager_child(manager, process);
        ck_assert_int_eq(ferry_process_stop(process, 50), FERRY_PROCESS_KILLED + SIGKILL);
        ferry_manager_kill(manager, SIGKILL);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(freeing_waits_or_kills)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_killing = _i % 2 });

        told[0] = '\0';
        ferry_manager_on(manager, FERRY_PROCESS_ENDED, by_first, NULL);
        for (int i = 0; i < 2; i++)
                ferry_process_fork(manager, wait_for_word, NULL, NULL);
        if (_i < 2)
                ck_assert_ptr_null(ferry_manager_free(manager));
        ferry_loop_free(loop);
        ck_assert_str_eq(told, _i % 2 ? "f265 f265 " : "f100 f100 ");
}
END_TEST

static int try_another(ferry_manager *manager, ferry_process *process, void *userdata)
{
        ferry_process *another;

        if (result_of(process) == -ECANCELED)
                return 0;
        another = ferry_process_fork(manager, wait_for_word, NULL, NULL);
        *(int *)userdata = result_of(another);
        ferry_process_free(another);
        return 0;
}

START_TEST(none_is_started_while_all_are_stopped)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int result = 0;

        ferry_process_fork(manager, wait_for_word, NULL, NULL);
        ferry_manager_on(manager, FERRY_PROCESS_ENDED, try_another, &result);
        if (_i == 0)
                ck_assert_int_eq(ferry_manager_stop(manager, -1), -ECANCELED);
        else if (_i == 1)
                ferry_manager_free(manager);
        ferry_loop_free(loop);
        ck_assert_int_eq(result, -ECANCELED);
}
END_TEST

/* Signals ---------------------------------------------------------------------------------------------- */

static int send_signal(ferry_loop *loop, void *userdata)
{
        (void)loop;
        kill(getpid(), *(const int *)userdata);
        return 0;
}

START_TEST(signals_are_passed_on)
{
        static const int usual[] = { SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGUSR1, SIGUSR2 };
        ferry_loop *loop = ferry_loop_new(NULL);
        int number = _i < 6 ? usual[_i] : SIGWINCH;
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){
                .is_forwarding = true, .signals = _i < 6 ? NULL : (const int[]){ SIGWINCH, SIGCONT, 0 } });
        sigset_t before, after;

        sigemptyset(&before);
        after = before;
        pthread_sigmask(SIG_SETMASK, NULL, &before);
        ferry_process_fork(manager, wait_for_word, NULL, NULL);
        ferry_process_spawn(manager, SH("exec sleep 1000"), NULL);
        ferry_loop_after(loop, 0, send_signal, &number);
        if (_i < 6)
                ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), FERRY_PROCESS_KILLED + number);
        else {
                /* These signals kill no process. */
                ferry_session_notify(ferry_process_session(ferry_manager_child(manager, NULL)), "go", "%d", 1);
                ferry_process_wait(ferry_manager_child(manager, NULL), SAFETY_MS);
                kill(ferry_process_pid(ferry_manager_child(manager, ferry_manager_child(manager, NULL))), SIGKILL);
                ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        }
        for (ferry_process *at = NULL; _i < 6 && (at = ferry_manager_child(manager, at));)
                ck_assert_int_eq(result_of(at), FERRY_PROCESS_KILLED + number);
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
        ferry_loop_free(loop);
}
END_TEST

static int count_blocked(ferry_session *parent, void *userdata)
{
        sigset_t now;

        (void)parent, (void)userdata;
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        return sigismember(&now, SIGTERM) || sigismember(&now, SIGUSR2);
}

static int fork_once(ferry_manager *manager, ferry_process *process, void *userdata)
{
        if (result_of(process) == 50)
                *(ferry_process **)userdata = ferry_process_fork(manager, count_blocked, NULL, NULL);
        return 0;
}

/* One that is forked while signals are passed on does not have them blocked. */
START_TEST(children_have_the_mask_of_before)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .is_forwarding = true });
        ferry_process *process = NULL;
        int status = 50;

        ferry_process_fork(manager, exit_with, &status, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, fork_once, &process), 0);
        ck_assert_int_eq(result_of(process), 0);
        ferry_loop_free(loop);
}
END_TEST

/* What they print -------------------------------------------------------------------------------------- */

static int print(ferry_session *parent, void *userdata)
{
        (void)parent, (void)userdata;
        printf("to stdout\n");
        fprintf(stderr, "to stderr\n");
        return 0;
}

static void require_file(const char *path, const char *expected)
{
        char text[256] = "";
        int fd = open(path, O_RDONLY);

        ck_assert_int_ge(read(fd, text, sizeof text - 1), 0);
        close(fd);
        ck_assert_str_eq(text, expected);
}

static char printed[2][256];

static void take(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process, (void)userdata;
        ck_assert(fd == 1 || fd == 2);
        strncat(printed[fd - 1], bytes, size);
}

static ferry_process *start_printing(ferry_manager *manager, int how, const ferry_process_options *options)
{
        return how == 0 ? ferry_process_fork(manager, print, NULL, options) :
                          ferry_process_spawn(manager, SH("echo to stdout; echo to stderr >&2"), options);
}

START_TEST(what_is_printed_goes_where_it_should)
{
        char directory[] = "/tmp/ferry-manager-XXXXXX", out[64], err[64], own[64];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(out, sizeof out, "%s/out", directory);
        snprintf(err, sizeof err, "%s/err", directory);
        snprintf(own, sizeof own, "%s/own", directory);
        manager = ferry_manager_new(loop, &(ferry_manager_options){ .stdout_path = out, .stderr_path = err });
        for (int i = 0; i < 2; i++) {
                start_printing(manager, _i, NULL);
                ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        }
        /* Their own choice, whether a file or a callback. */
        start_printing(manager, _i, &(ferry_process_options){ .stdout_path = own });
        start_printing(manager, _i, &(ferry_process_options){ .output = take });
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        require_file(out, "to stdout\nto stdout\n");
        require_file(err, "to stderr\nto stderr\nto stderr\n");
        require_file(own, "to stdout\n");
        ck_assert_str_eq(printed[0], "to stdout\n");
        ck_assert_str_eq(printed[1], "to stderr\n");
        /* And over a callback of the manager. */
        manager = ferry_manager_new(loop, &(ferry_manager_options){ .output = take });
        start_printing(manager, _i, &(ferry_process_options){ .stdout_path = own });
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        require_file(own, "to stdout\nto stdout\n");
        ck_assert_str_eq(printed[0], "to stdout\n");
        ck_assert_str_eq(printed[1], "to stderr\nto stderr\n");
        ferry_loop_free(loop);
        unlink(out);
        unlink(err);
        unlink(own);
        rmdir(directory);
}
END_TEST

static size_t taken;

static void count_bytes(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process, (void)fd, (void)bytes, (void)userdata;
        taken += size;
}

/* It is read while it comes, and all of it. */
START_TEST(much_output_does_not_block)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .output = count_bytes });

        taken = 0;
        ferry_process_spawn(manager, SH("head -c 3000000 /dev/zero"), NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_uint_eq(taken, 3000000);
        ferry_loop_free(loop);
}
END_TEST

static void free_it(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)fd, (void)bytes, (void)size;
        ++*(int *)userdata;
        if (*(int *)userdata == 1)
                ferry_process_free(process);
}

static void free_loop_then(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process, (void)fd, (void)bytes, (void)size;
        ferry_loop_free(userdata);
}

START_TEST(output_may_free_whom_it_comes_from)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int called = 0;
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){
                .output = _i == 0 ? free_it : free_loop_then, .output_userdata = _i == 0 ? (void *)&called : loop });

        ferry_process_spawn(manager, SH("echo one; echo two >&2; exec sleep 0.01"), NULL);
        ferry_manager_wait(manager, NULL, NULL);
        if (_i == 0)
                ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(ends_are_reported_in_their_order, 3),
        SUITE_LOOP(simultaneous_ends_are_reported_in_their_order, 3),
        SUITE_TEST(simultaneous_ends_are_reported_once_each),
        SUITE_TEST(the_callback_is_before_the_handlers),
        SUITE_LOOP(waiting_stops_and_goes_on, 4),
        SUITE_TEST(waiting_for_all_within_that_is_refused),
        SUITE_LOOP(callbacks_may_do_anything, 8),
        SUITE_TEST(so_many_run_at_a_time),
        SUITE_TEST(stopping_asks_then_terminates_then_kills),
        SUITE_TEST(a_child_that_is_asked_to_end_ends_at_once),
        SUITE_TEST(one_alone_is_stopped_the_same),
        SUITE_LOOP(freeing_waits_or_kills, 4),
        SUITE_LOOP(none_is_started_while_all_are_stopped, 3),
        SUITE_LOOP(signals_are_passed_on, 7),
        SUITE_TEST(children_have_the_mask_of_before),
        SUITE_LOOP_APART(what_is_printed_goes_where_it_should, 2),
        SUITE_TEST(much_output_does_not_block),
        SUITE_LOOP(output_may_free_whom_it_comes_from, 2),
};

SUITE_MAIN("manager", tests)
