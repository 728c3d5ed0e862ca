/* What a child has of its parent, and what not: descriptors, the environment, signals, stdin. And a program may fork
 * that has threads, children and requests. */
#include "support/children.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What a child has ------------------------------------------------------------------------------------- */

static void ignore(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process, (void)fd, (void)bytes, (void)size, (void)userdata;
}

/* The parent has much open; the child has what was there before the loop, and a loop and a session of its own. */
START_TEST(a_forked_child_has_no_descriptor_of_the_loop)
{
        int before = count_descriptors(), status = 0;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){
                .is_forwarding = true, .output = _i == 0 ? NULL : ignore });

        ferry_loop_fd(loop);
        for (int i = 0; i < 3; i++) {
                ferry_process_fork(manager, serve, NULL, NULL);
                ferry_process_spawn(manager, SH("cat"), &(ferry_process_options){ .is_on_stdio = true });
        }
        ferry_session_open(loop, "exec:cat", NULL);
        for (int i = 0; i < 5; i++)
                ferry_process_fork(manager, exit_with, &status, NULL);
        require_result(ferry_process_fork(manager, tell_descriptors, NULL, NULL), before + 3);
        require_result(ferry_process_fork(manager, tell_descriptors, NULL, &(ferry_process_options){
                .input = "x", .input_size = 1, .stderr_path = "/dev/null" }), before + 3);
        ferry_loop_free(loop);
        ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(a_command_has_what_it_was_given)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager;
        int kept = open("/dev/null", O_RDONLY | O_CLOEXEC), other = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ferry_process_options options = { .fds = (const int[]){ kept, -1 }, .is_on_stdio = _i == 1 };
        ferry_session *session;
        ferry_process *process;
        const ferry_message *reply;
        ferry_call *call;
        size_t count;

        /* What the test was started with is not ours to judge. */
        for (int fd = 3; fd < 1024; fd++)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
        manager = ferry_manager_new(loop, &(ferry_manager_options){ .stderr_path = "/dev/null" });
        for (int i = 0; i < 3; i++)
                ferry_process_fork(manager, serve, NULL, NULL);
        process = ferry_process_spawn(manager, (const char *[]){ BUILD_DIRECTORY "/tests/child",
                                      _i == 1 ? "descriptors" : "channel", NULL }, &options);
        session = ferry_process_session(process);
        call = ferry_session_request(session, SAFETY_MS, "t", "{}");
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s; %s", ferry_call_error(call), ferry_process_error(process));
        count = ferry_value_count(ferry_message_body(reply));
        ck_assert_uint_eq(count, _i == 1 ? 4 : 5);
        for (size_t i = 0; i < count; i++) {
                int fd = (int)ferry_value_int(ferry_value_at(ferry_message_body(reply), i), -1);

                ck_assert_int_ne(fd, other);
        }
        ferry_call_free(call);
        ferry_loop_free(loop);
        ck_assert_int_eq(fcntl(kept, F_GETFD), FD_CLOEXEC);
        close(kept);
        close(other);
}
END_TEST

struct watch {
        atomic_bool is_over;
        size_t looks;
        size_t found;
};

static void *watch_descriptors(void *userdata)
{
        struct watch *watch = userdata;

        do {
                for (int fd = 3; fd < 48; fd++)
                        watch->found += fcntl(fd, F_GETFD) == 0;
                watch->looks++;
        } while (!watch->is_over);
        return NULL;
}

/* Any other thread that starts a program, at any moment, would hand an inheritable descriptor on. */
START_TEST(nothing_can_be_inherited_by_accident)
{
        struct watch watch = { .found = 0 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .output = ignore });
        size_t rounds = suite_scale(2000);
        int status = 0;
        pthread_t thread;

        for (int fd = 3; fd < 256; fd++)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
        ck_assert_int_eq(pthread_create(&thread, NULL, watch_descriptors, &watch), 0);
        for (size_t i = 0; i < rounds; i++) {
                bool is_on_stdio = i % 4 == 1;
                ferry_process_options options = { .input = is_on_stdio ? NULL : "x", .input_size = !is_on_stdio,
                                                  .is_on_stdio = is_on_stdio };
                ferry_process *process = i % 2 ? ferry_process_spawn(manager, SH("exit 0"), &options) :
                                                 ferry_process_fork(manager, exit_with, &status, &options);

                require_result(process, 0);
                ferry_process_free(process);
        }
        watch.is_over = true;
        pthread_join(thread, NULL);
        ck_assert_uint_gt(watch.looks, 0);
        ck_assert_uint_eq(watch.found, 0);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(options_reach_a_command)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = {
                .env = (const char *[]){ "FERRY_CHANGED=new", "FERRY_NEW=x=y", NULL }, .directory = "/" };

        setenv("FERRY_KEPT", "kept", 1);
        setenv("FERRY_CHANGED", "old", 1);
        setenv("LISTEN_PID", "1", 1);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_FDNAMES", "x", 1);
        setenv("NOTIFY_SOCKET", "/nowhere", 1);
        setenv("FERRY_FD", "99", 1);
        ck_assert_str_eq(run_command(manager, SH("echo $FERRY_KEPT $FERRY_CHANGED $FERRY_NEW; pwd; "
                                         "env | grep -cE '^(LISTEN_|NOTIFY_)'; test \"$FERRY_FD\" != 99 && "
                                         "test -S /proc/self/fd/$FERRY_FD && echo socket"), &options, 0),
                         "kept new x=y\n/\n0\nsocket\n");
        ck_assert_str_eq(getenv("FERRY_FD"), "99");
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_command_has_signals_as_ever)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        unsigned long long blocked, ignored;
        const char *text;
        sigset_t all;

        for (int number = 1; number < NSIG; number++)
                if (number != SIGCHLD)
                        signal(number, SIG_IGN);
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        text = run_command(manager, (const char *[]){ "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL },
                   &(ferry_process_options){ 0 }, 0);
        ck_assert_int_eq(sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
        ck_assert_msg(blocked == 0 && (ignored & ~(3ULL << 31)) == 0, "%s", text);
        ferry_loop_free(loop);
}
END_TEST

static int sum_input(ferry_session *parent, void *userdata)
{
        long count = 0;

        (void)userdata;
        while (getchar() != EOF)
                count++;
        return ferry_session_notify(parent, "count", "%ld", count);
}

START_TEST(stdin_holds_what_was_given)
{
        static const size_t sizes[] = { 0, 1, 65537, 1 << 20 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        char *bytes = malloc(1 << 20), expected[32];
        int stdin_before = dup(0);
        const ferry_message *message;

        memset(bytes, 'x', 1 << 20);
        /* What the parent has read ahead is not the child's. */
        FILE *file = freopen("/etc/passwd", "r", stdin);

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ne(getchar(), EOF);
        for (size_t i = 0; i < COUNT(sizes); i++) {
                ferry_process_options options = { .input = bytes, .input_size = sizes[i] };
                ferry_process *process;

                snprintf(expected, sizeof expected, "%zu\n", sizes[i]);
                ck_assert_str_eq(run_command(manager, SH("wc -c"), &options, 0), expected);
                process = ferry_process_fork(manager, sum_input, NULL, &options);
                message = ferry_session_next(ferry_process_session(process), SAFETY_MS);
                ck_assert_int_eq(ferry_value_int(ferry_message_body(message), -1), (int64_t)sizes[i]);
        }
        free(bytes);
        ferry_loop_free(loop);
        dup2(stdin_before, 0);
        close(stdin_before);
}
END_TEST

/* 0, 1 and 2 may be closed in the parent: then what is opened for the child gets those numbers. */
static int run_without(ferry_session *parent, void *userdata)
{
        struct text text = { .size = 0 };
        ferry_loop *loop;
        ferry_manager *manager;
        ferry_process_options options = { .input = "in", .input_size = 2, .output = collect, .output_userdata = &text };
        int result;

        (void)parent;
        loop = ferry_loop_new(NULL);
        manager = ferry_manager_new(loop, NULL);
        for (int fd = 0; fd < 3; fd++)
                if (*(const int *)userdata & 1 << fd)
                        close(fd);
        result = ferry_process_wait(ferry_process_spawn(manager, SH("cat; echo out; echo err >&2; exit 8"), &options),
                                    SAFETY_MS);
        if (result != 8 || !strstr(text.bytes, "in") || !strstr(text.bytes, "out\n") || !strstr(text.bytes, "err\n"))
                return 1;
        ferry_loop_free(loop);
        return 0;
}

static int speak(ferry_session *parent, void *userdata)
{
        char bytes[3] = "";

        (void)parent, (void)userdata;
        if (read(0, bytes, 2) != 2 || write(1, bytes, 2) != 2 || write(1, "out\n", 4) != 4 || write(2, "err\n", 4) != 4)
                return 1;
        return ferry_session_status(parent) == 1 && ferry_session_notify(parent, "up", NULL) == 0 ? 8 : 2;
}

static int fork_without(ferry_session *parent, void *userdata)
{
        struct text text = { .size = 0 };
        ferry_loop *loop;
        ferry_manager *manager;
        ferry_process_options options = { .input = "in", .input_size = 2, .output = collect, .output_userdata = &text };
        ferry_process *process;

        (void)parent;
        loop = ferry_loop_new(NULL);
        manager = ferry_manager_new(loop, NULL);
        for (int fd = 0; fd < 3; fd++)
                if (*(const int *)userdata & 1 << fd)
                        close(fd);
        process = ferry_process_fork(manager, speak, NULL, &options);
        if (ferry_process_wait(process, SAFETY_MS) != 8)
                return 3;
        if (!ferry_session_next(ferry_process_session(process), SAFETY_MS))
                return 4;
        if (!strstr(text.bytes, "in") || !strstr(text.bytes, "out\n") || !strstr(text.bytes, "err\n"))
                return 5;
        ferry_loop_free(loop);
        return 0;
}

START_TEST(the_parent_may_have_no_stdio)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int closed = _i / 2;

        require_result(ferry_process_fork(manager, _i % 2 ? fork_without : run_without, &closed, NULL), 0);
        ferry_loop_free(loop);
}
END_TEST

/* Fork in a program ------------------------------------------------------------------------------------ */

static volatile sig_atomic_t is_enough;

/* The C library sees to it that no lock of its allocator is held when a program forks. AddressSanitizer's allocator, as of
 * clang 14, does not: a few of a hundred children would wait for such a lock for ever, however they are forked. So there the
 * test itself keeps the threads out of it meanwhile. */
static pthread_mutex_t allocating = PTHREAD_MUTEX_INITIALIZER;

static void begin_fork(void)
{
        pthread_mutex_lock(&allocating);
}

static void end_fork(void)
{
        pthread_mutex_unlock(&allocating);
}

/* The compiler would remove the allocation of an unused block if it saw it. */
static void allocate_once(size_t size, size_t new_size)
{
        void *volatile block = malloc(size);

        block = realloc(block, new_size);
        free(block);
}

static void *allocate(void *userdata)
{
        pthread_barrier_wait(userdata);
        for (size_t i = 1; !is_enough; i++) {
                if (SUITE_HAS_ASAN)
                        pthread_mutex_lock(&allocating);
                allocate_once(i % 5000, i % 7000 + 1);
                if (SUITE_HAS_ASAN) {
                        pthread_mutex_unlock(&allocating);
                        sched_yield();
                }
        }
        return NULL;
}

static int use_memory(ferry_session *parent, void *userdata)
{
        (void)userdata;
        for (size_t i = 1; i < 100; i++)
                allocate_once(i * 100, i * 50);
        return ferry_session_notify(parent, "done", "{list: [%d, %d]}", 1, 2) ? 1 : 0;
}

START_TEST(threads_may_allocate_meanwhile)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        size_t rounds = suite_scale(500);
        pthread_barrier_t all_are_there;
        pthread_t threads[8];

        /* Else each would have locks of its own, and hold none that the child needs. */
        mallopt(M_ARENA_MAX, 1);
        if (SUITE_HAS_ASAN)
                pthread_atfork(begin_fork, end_fork, end_fork);
        pthread_barrier_init(&all_are_there, NULL, 9);
        for (int i = 0; i < 8; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate, &all_are_there), 0);
        pthread_barrier_wait(&all_are_there);
        for (size_t i = 0; i < rounds; i++) {
                ferry_process *process = ferry_process_fork(manager, use_memory, NULL, NULL);

                require_result(process, 0);
                ferry_process_free(process);
        }
        is_enough = 1;
        for (int i = 0; i < 8; i++)
                pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&all_are_there);
        ferry_loop_free(loop);
}
END_TEST

static int have_children(ferry_session *parent, void *userdata)
{
        int depth = *(const int *)userdata - 1, result = 0;
        ferry_manager *manager = ferry_manager_new(ferry_session_loop(parent), NULL);

        for (int i = 0; depth > 0 && i < 2; i++)
                ferry_process_fork(manager, have_children, &depth, NULL);
        if (ferry_manager_wait(manager, NULL, NULL) < 0)
                return 99;
        for (ferry_process *at = NULL; (at = ferry_manager_child(manager, at));)
                result += result_of(at);
        return result + 1;
}

START_TEST(children_have_children)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int depth = 4;

        require_result(ferry_process_fork(manager, have_children, &depth, NULL), 15);
        ferry_loop_free(loop);
}
END_TEST

struct inherited {
        ferry_manager *manager;
        ferry_process *sibling;
        ferry_loop *loop;
        ferry_call *call;
};

/* What the parent made is nothing here, and does no harm. */
static int use_the_parent_s(ferry_session *parent, void *userdata)
{
        struct inherited *all = userdata;

        if (ferry_process_fork(all->manager, exit_with, userdata, NULL) ||
            ferry_process_wait(all->sibling, -1) != -ECHILD ||
            ferry_process_kill(all->sibling, SIGKILL) != -ECHILD || ferry_process_stop(all->sibling, 0) != -ECHILD ||
            ferry_manager_wait(all->manager, NULL, NULL) != -ECHILD || ferry_manager_stop(all->manager, 0) != -ECHILD)
                return 1;
        ferry_manager_kill(all->manager, SIGKILL);
        ferry_call_free(all->call);
        ferry_process_free(all->sibling);
        ferry_manager_free(all->manager);
        ferry_loop_free(all->loop);
        return ferry_session_status(parent) == 1 ? 42 : 2;
}

START_TEST(a_forked_child_cannot_touch_what_its_parent_has)
{
        struct inherited all = { .loop = ferry_loop_new(NULL) };

        all.manager = ferry_manager_new(all.loop, NULL);
        all.sibling = ferry_process_fork(all.manager, serve, NULL, NULL);
        all.call = ferry_session_request(ferry_process_session(all.sibling), SAFETY_MS, "t", "'x'");
        require_result(ferry_process_fork(all.manager, use_the_parent_s, &all, NULL), 42);
        ck_assert_msg(ferry_call_await(all.call) != NULL, "%s", ferry_call_error(all.call));
        ferry_call_free(all.call);
        require_served(all.sibling);
        ferry_loop_free(all.loop);
}
END_TEST

/* Once, wherever it stands; the program's own choice of FERRY_WORKER stays. */
START_TEST(variables_of_the_parent_are_replaced_and_not_duplicated)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        const char *const env[] = { "FERRY_FD=98", "FERRY_WORKER=97", NULL };
        ferry_process_options options = { .env = _i ? env : NULL };

        setenv("FERRY_FD", "99", 1);
        setenv("FERRY_WORKER", "99", 1);
        ck_assert_str_eq(run_command(manager, SH("own() { tr '\\0' '\\n' </proc/$$/environ; }; "
                                                 "own | grep -c '^FERRY_FD='; own | grep '^FERRY_WORKER='; "
                                                 "test -S /proc/self/fd/$FERRY_FD && echo socket"), &options, 0),
                         _i ? "1\nFERRY_WORKER=97\nsocket\n" : "1\nFERRY_WORKER=0\nsocket\n");
        ferry_loop_free(loop);
}
END_TEST

static int return_number(ferry_session *parent, void *userdata)
{
        const char *number = getenv("FERRY_WORKER");

        (void)parent, (void)userdata;
        return number ? 10 + atoi(number) : 1;
}

START_TEST(children_have_the_lowest_free_number)
{
        static const char *const die[] = { "sh", "-c", "exit $((FERRY_WORKER + 10))", NULL };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *processes[20];

        setenv("FERRY_WORKER", "99", 1);
        for (int i = 0; i < 20; i++)
                processes[i] = i % 2 ? ferry_process_fork(manager, return_number, NULL, NULL) :
                                       ferry_process_spawn(manager, die, NULL);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(result_of(processes[i]), 10 + i);
        /* All are free again, freed or not. */
        ferry_process_free(processes[0]);
        require_result(ferry_process_spawn(manager, die, NULL), 10);
        require_result(ferry_process_fork(manager, return_number, NULL, NULL), 10);
        ck_assert_str_eq(getenv("FERRY_WORKER"), "99");
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(variables_of_the_parent_are_replaced_and_not_duplicated, 2),
        SUITE_TEST(children_have_the_lowest_free_number),
        SUITE_LOOP(a_forked_child_has_no_descriptor_of_the_loop, 2),
        SUITE_LOOP(a_command_has_what_it_was_given, 2),
        SUITE_TEST(nothing_can_be_inherited_by_accident),
        SUITE_TEST(options_reach_a_command),
        SUITE_TEST(a_command_has_signals_as_ever),
        SUITE_TEST(stdin_holds_what_was_given),
        SUITE_LOOP(the_parent_may_have_no_stdio, 16),
        SUITE_TEST(threads_may_allocate_meanwhile),
        SUITE_TEST(children_have_children),
        SUITE_TEST(a_forked_child_cannot_touch_what_its_parent_has),
};

SUITE_MAIN("inherited", tests)
