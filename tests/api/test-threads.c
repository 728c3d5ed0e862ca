/* A loop belongs to one thread, and each thread may have its own: the library has nothing that they share. Built with
 * ThreadSanitizer too, which would see it. What goes between threads here goes through streams. */
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 6, ROUNDS = 1000, WAIT_MS = 20000 };

struct thread {
        pthread_t thread;
        int number;
        unsigned dialect;
        const ferry_codec *codec;
        int fd;
        const char *address;
        char failure[256];      /* empty: none */
};

/* The first thing that is not as it should be; check's own assertions belong to the main thread. */
static bool fails(struct thread *thread, bool is_failure, const char *what, const char *why)
{
        if (is_failure && !thread->failure[0])
                snprintf(thread->failure, sizeof thread->failure, "thread %d: %s: %s", thread->number, what, why);
        return is_failure;
}

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)userdata;
        ferry_session_notify(session, FERRY_LOG_MESSAGE, "{message: 'working', level: 'info'}");
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(size_t *)userdata)++;
        return 0;
}

static void options_of(const struct thread *thread, ferry_session_options *options)
{
        *options = (ferry_session_options){ .dialect = thread->dialect, .codec = thread->codec };
}

/* Values in each codec, to bytes and back. */
static void convert(struct thread *thread)
{
        const ferry_codec *codecs[] = { ferry_codec_php(), ferry_codec_json(), ferry_codec_msgpack() };

        for (size_t i = 0; i < suite_scale(ROUNDS); i++) {
                FERRY_AUTO(ferry_value) value = ferry_value_pack("{number: %zu, list: [1.5, true, 'x'], text: %s}", i, "text");
                const ferry_codec *codec = codecs[i % 3];
                ferry_value *back = NULL;
                void *bytes = NULL;
                size_t size = 0;

                fails(thread, ferry_codec_encode(codec, value, &bytes, &size) != 0 ||
                              ferry_codec_decode(codec, bytes, size, &back, NULL) != 0 ||
                              !ferry_value_equal(value, back), "convert", codec->name);
                ferry_value_unref(back);
                free(bytes);
        }
}

static void ask(struct thread *thread, ferry_session *session)
{
        size_t rounds = suite_scale(ROUNDS), notified = 0;

        ferry_session_on(session, FERRY_KIND_NOTIFICATION, count, &notified);
        for (size_t i = 0; i < rounds; i++) {
                FERRY_AUTO(ferry_call) call = ferry_session_request(session, WAIT_MS, FERRY_LOG_MESSAGE,
                                                                    "{message: 'x', level: 'info', n: %zu}", i);
                const ferry_message *reply = ferry_call_await(call);

                if (fails(thread, !reply, "request", ferry_call_error(call)) ||
                    fails(thread, ferry_value_int(ferry_value_get(ferry_message_body(reply), "n"), -1) != (int64_t)i,
                          "request", "another answer"))
                        return;
        }
        fails(thread, notified != rounds, "request", "notifications are missing");
        ferry_session_off(session, count, &notified);
}

static void *serve_end(void *argument)
{
        struct thread *thread = argument;
        ferry_session_options options;
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_session *session;
        int fds[] = { thread->fd, thread->fd, -1 };

        options_of(thread, &options);
        options.fds = fds;
        session = ferry_session_open(loop, NULL, &options);
        ferry_session_on(session, FERRY_KIND_REQUEST, echo, NULL);
        ferry_loop_run(loop, WAIT_MS);
        fails(thread, ferry_session_status(session) < 0, "serve", ferry_session_error(session));
        return NULL;
}

static void *ask_end(void *argument)
{
        struct thread *thread = argument;
        ferry_session_options options;
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        int fds[] = { thread->fd, thread->fd, -1 };

        options_of(thread, &options);
        options.fds = fds;
        ask(thread, ferry_session_open(loop, NULL, &options));
        convert(thread);
        return NULL;
}

static void start(struct thread *threads, size_t count, void *(*fn)(void *))
{
        for (size_t i = 0; i < count; i++)
                ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, fn, &threads[i]), 0);
}

static void finish(struct thread *threads, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                ck_assert_int_eq(pthread_join(threads[i].thread, NULL), 0);
                ck_assert_msg(!threads[i].failure[0], "%s", threads[i].failure);
        }
}

static void set_up_thread(struct thread *thread, int number)
{
        const unsigned dialects[] = { FERRY_DIALECT_FERRY, FERRY_DIALECT_STREAM_IPC, FERRY_DIALECT_STREAM_IPC };

        thread->number = number;
        thread->dialect = dialects[number % 3];
        thread->codec = number % 3 == 2 ? ferry_codec_json() : NULL;
}

START_TEST(threads_talk_over_sockets)
{
        struct thread servers[THREADS] = { 0 }, clients[THREADS] = { 0 };

        for (int i = 0; i < THREADS; i++) {
                int fds[2];

                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
                set_up_thread(&servers[i], i);
                set_up_thread(&clients[i], i);
                servers[i].fd = fds[0];
                clients[i].fd = fds[1];
        }
        start(servers, THREADS, serve_end);
        start(clients, THREADS, ask_end);
        finish(clients, THREADS);
        finish(servers, THREADS);
}
END_TEST

static void *connect_and_ask(void *argument)
{
        struct thread *thread = argument;
        ferry_session_options options;
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);

        options_of(thread, &options);
        options.wait_ms = WAIT_MS;
        ask(thread, ferry_session_open(loop, thread->address, &options));
        return NULL;
}

static int stop(ferry_loop *loop, void *userdata)
{
        char byte;

        (void)!read(*(int *)userdata, &byte, 1);
        return ferry_loop_stop(loop, 0);
}

struct server {
        pthread_t thread;
        const char *address;
        int stop;               /* readable: stop */
};

static void *serve(void *argument)
{
        struct server *server = argument;
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_service *service = ferry_service_open(loop, server->address, NULL);

        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        ferry_loop_watch(loop, server->stop, POLLIN, stop, &server->stop);
        ferry_loop_run(loop, WAIT_MS);
        return NULL;
}

START_TEST(a_thread_serves_the_others)
{
        char directory[] = "/tmp/ferry-threads-XXXXXX", address[64];
        struct thread clients[THREADS] = { 0 };
        struct server server = { .address = address };
        int pipe_fds[2];

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(address, sizeof address, "unix:%s/socket", directory);
        ck_assert_int_eq(pipe(pipe_fds), 0);
        server.stop = pipe_fds[0];
        ck_assert_int_eq(pthread_create(&server.thread, NULL, serve, &server), 0);
        for (int i = 0; i < THREADS; i++) {
                set_up_thread(&clients[i], i);
                clients[i].address = address;
        }
        start(clients, THREADS, connect_and_ask);
        finish(clients, THREADS);
        ck_assert_int_eq(write(pipe_fds[1], "", 1), 1);
        ck_assert_int_eq(pthread_join(server.thread, NULL), 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/* Descriptors of one thread's child must not get into another's: it would hold them open, and no end would be seen. */
static void *run_children(void *argument)
{
        struct thread *thread = argument;

        for (size_t i = 0; i < suite_scale(ROUNDS) / 10; i++) {
                FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
                ferry_session *session = ferry_session_open(loop, "exec:", &(ferry_session_options){
                        .argv = (const char *[]){ BUILD_DIRECTORY "/tests/child", "echo", NULL } });
                FERRY_AUTO(ferry_call) call = ferry_session_request(session, WAIT_MS, "t", "%zu", i);
                const ferry_message *reply = ferry_call_await(call);

                if (fails(thread, !reply, "child", ferry_call_error(call)) ||
                    fails(thread, ferry_value_int(ferry_message_body(reply), -1) != (int64_t)i, "child", "another answer"))
                        break;
        }
        return NULL;
}

START_TEST(each_thread_has_children)
{
        struct thread threads[THREADS] = { 0 };

        for (int i = 0; i < THREADS; i++)
                set_up_thread(&threads[i], i);
        start(threads, THREADS, run_children);
        finish(threads, THREADS);
}
END_TEST

/* Managers with a worker that stays, and others that end one after the other. They are spawned: what a forked child
 * may do beside other threads is the allocator's to say. */
static void *run_processes(void *argument)
{
        struct thread *thread = argument;
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process_options options = { .is_on_stdio = true, .is_restarted = true };
        char command[16];

        snprintf(command, sizeof command, "exit %d", thread->number);
        ferry_process_spawn(manager, (const char *[]){ BUILD_DIRECTORY "/tests/child", "echo", NULL }, &options);
        for (size_t i = 0; i < suite_scale(ROUNDS) / 10; i++) {
                FERRY_AUTO(ferry_call) call = ferry_manager_request(manager, WAIT_MS, "t", "%zu", i);
                ferry_process *process = ferry_process_spawn(manager, (const char *[]){ "sh", "-c", command, NULL }, NULL);

                if (fails(thread, ferry_process_wait(process, WAIT_MS) != thread->number, "a command",
                          ferry_process_error(process)) ||
                    fails(thread, !ferry_call_await(call), "a request", ferry_call_error(call)))
                        break;
                ferry_process_free(process);
        }
        fails(thread, ferry_manager_stop(manager, -1) != 0, "stopping", ferry_loop_error(loop));
        return NULL;
}

START_TEST(each_thread_has_processes)
{
        struct thread threads[THREADS] = { 0 };

        for (int i = 0; i < THREADS; i++)
                set_up_thread(&threads[i], i);
        start(threads, THREADS, run_processes);
        finish(threads, THREADS);
}
END_TEST

/* A write to a pipe that nobody reads takes its own SIGPIPE, and not that of another thread, which blocks it too. */
static void *write_to_nobody(void *argument)
{
        struct thread *thread = argument;

        for (size_t i = 0; i < suite_scale(ROUNDS) / 10; i++) {
                FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
                ferry_session *session;
                int in[2], out[2], fds[3];

                if (fails(thread, pipe(in) < 0 || pipe(out) < 0, "pipe", "cannot be made"))
                        break;
                fds[0] = in[0];
                fds[1] = out[1];
                fds[2] = -1;
                close(out[0]);
                session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = fds });
                ferry_session_notify(session, "t", "'x'");
                fails(thread, ferry_session_flush(session, WAIT_MS) >= 0, "write", "nobody reads, and nobody says so");
                close(in[1]);
        }
        return NULL;
}

START_TEST(each_thread_takes_its_own_sigpipe)
{
        struct thread threads[THREADS] = { 0 };

        for (int i = 0; i < THREADS; i++)
                set_up_thread(&threads[i], i);
        start(threads, THREADS, write_to_nobody);
        finish(threads, THREADS);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(threads_talk_over_sockets),
        SUITE_TEST(a_thread_serves_the_others),
        SUITE_TEST(each_thread_has_children),
        SUITE_TEST(each_thread_has_processes),
        SUITE_TEST(each_thread_takes_its_own_sigpipe),
};

SUITE_MAIN("threads", tests)
