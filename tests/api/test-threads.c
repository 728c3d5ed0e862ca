/* A loop belongs to one thread, and each thread may have its own: the library has nothing that they share. Built with
 * ThreadSanitizer too, which would see it. What goes between threads here goes through streams. */
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
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

/* A write to a pipe without a reader takes its own SIGPIPE, and not that of another thread, which blocks it too. */
static void *write_without_reader(void *argument)
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
                fails(thread, ferry_session_flush(session, WAIT_MS) >= 0, "write", "the pipe has no reader, but no error");
                close(in[1]);
        }
        return NULL;
}

START_TEST(each_thread_takes_its_own_sigpipe)
{
        struct thread threads[THREADS] = { 0 };

        for (int i = 0; i < THREADS; i++)
                set_up_thread(&threads[i], i);
        start(threads, THREADS, write_without_reader);
        finish(threads, THREADS);
}
END_TEST

/* Of the thread that waits in its loop; a handler is called there, while another thread tries to use all of it. */
struct foreign {
        ferry_loop *loop;
        ferry_session *session;
        ferry_service *service;
        ferry_manager *manager;
        ferry_process *process;
        ferry_channel *channel;
        ferry_bridge *bridge;
        ferry_call *call;
        const ferry_message *message;
        char failure[256];
};

static bool is_refused(struct foreign *foreign, const char *what, long result)
{
        if (result != -EPERM && !foreign->failure[0])
                snprintf(foreign->failure, sizeof foreign->failure, "%s: %ld", what, result);
        return result == -EPERM;
}

static void is_said(struct foreign *foreign, const char *what, const char *sentence)
{
        if (!strstr(sentence, "another thread") && !foreign->failure[0])
                snprintf(foreign->failure, sizeof foreign->failure, "%s: %s", what, sentence);
}

#define REFUSED(call) is_refused(foreign, #call, call)
#define SAID(call) is_said(foreign, #call, call)
#define NOTHING(call) is_refused(foreign, #call, (call) ? 1 : -EPERM)

static int never(ferry_loop *loop, void *userdata)
{
        (void)loop, (void)userdata;
        abort();
}

static int never_told(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message, (void)userdata;
        abort();
}

static void use_loop(struct foreign *foreign)
{
        REFUSED(ferry_loop_run(foreign->loop, 0));
        REFUSED(ferry_loop_tick(foreign->loop, 0));
        REFUSED(ferry_loop_stop(foreign->loop, 1));
        REFUSED(ferry_loop_fd(foreign->loop));
        ferry_loop_after(foreign->loop, 0, never, NULL);
        ferry_loop_watch(foreign->loop, 0, POLLIN, never, NULL);
        ferry_loop_on_signal(foreign->loop, SIGUSR1, never, NULL);
        ferry_loop_on_wake(foreign->loop, never, NULL);
        ferry_loop_on_idle(foreign->loop, never, NULL);
        ferry_loop_off(foreign->loop, never, NULL);
        ferry_loop_free(foreign->loop);
        SAID(ferry_loop_error(foreign->loop));
        NOTHING(ferry_session_open(foreign->loop, "exec:cat", NULL));
        NOTHING(ferry_service_open(foreign->loop, "tcp:127.0.0.1:0", NULL));
        NOTHING(ferry_manager_new(foreign->loop, NULL));
        NOTHING(ferry_channel_open(foreign->loop, "tcp:127.0.0.1:0", FERRY_RECEIVE, NULL));
        NOTHING(ferry_service_list(foreign->loop));
        REFUSED(ferry_service_wait(foreign->loop, "nothing", FERRY_DIALECT_AUTO, 0));
        REFUSED(ferry_channel_wait(foreign->loop, "tcp:127.0.0.1:1", 0));
        NOTHING(ferry_bridge_open(foreign->loop, "exec:cat", 0, 1, NULL));
        REFUSED(ferry_bridge_status(foreign->bridge));
        SAID(ferry_bridge_error(foreign->bridge));
        NOTHING(ferry_bridge_was_connected(foreign->bridge));
        NOTHING(ferry_bridge_exit_status(foreign->bridge) != -ECHILD);
        ferry_bridge_free(foreign->bridge);
}

static void use_session(struct foreign *foreign)
{
        ferry_call *call = ferry_session_request(foreign->session, 0, "t", "{}");

        REFUSED(ferry_call_status(call));
        SAID(ferry_call_error(call));
        ferry_call_free(call);
        REFUSED(ferry_session_notify(foreign->session, "t", "{}"));
        REFUSED(ferry_session_subscribe(foreign->session, "t"));
        REFUSED(ferry_session_unsubscribe(foreign->session, "t"));
        REFUSED(ferry_service_describe(foreign->service, "t", NULL, NULL, NULL));
        REFUSED(ferry_service_undescribe(foreign->service, "t"));
        REFUSED(ferry_session_flush(foreign->session, 0));
        REFUSED(ferry_session_close(foreign->session));
        REFUSED(ferry_session_status(foreign->session));
        NOTHING(ferry_session_next(foreign->session, 0));
        NOTHING(ferry_session_info(foreign->session));
        NOTHING(ferry_session_service(foreign->session));
        NOTHING(ferry_session_process(foreign->session));
        NOTHING(ferry_session_userdata(foreign->session));
        NOTHING(ferry_session_peer(foreign->session).pid != -1);
        ferry_session_set_userdata(foreign->session, foreign);
        ferry_session_on(foreign->session, FERRY_KIND_REQUEST, never_told, NULL);
        ferry_session_off(foreign->session, never_told, NULL);
        ferry_session_on_type(foreign->session, FERRY_KIND_REQUEST, "t", never_told, NULL);
        ferry_session_off_type(foreign->session, "t", never_told, NULL);
        ferry_session_free(foreign->session);
        SAID(ferry_session_error(foreign->session));
        REFUSED(ferry_call_status(foreign->call));
        SAID(ferry_call_error(foreign->call));
        NOTHING(ferry_call_await(foreign->call));
        NOTHING(ferry_call_reply(foreign->call));
        ferry_call_then(foreign->call, NULL, NULL);
        ferry_call_free(foreign->call);
        REFUSED(ferry_message_reply(foreign->message, NULL, "{}"));
        REFUSED(ferry_message_fail(foreign->message, "no"));
        REFUSED(ferry_message_refuse(foreign->message, "no"));
        NOTHING(ferry_message_is_wanted(foreign->message));
        NOTHING(ferry_message_body(foreign->message));
        NOTHING(ferry_message_session(foreign->message));
        NOTHING(ferry_message_kind(foreign->message));
        NOTHING(*ferry_message_type(foreign->message));
        NOTHING(*ferry_message_id(foreign->message));
        NOTHING(ferry_message_ref(foreign->message));
        ferry_message_unref((ferry_message *)(uintptr_t)foreign->message);
}

static void use_others(struct foreign *foreign)
{
        ferry_call *call = ferry_manager_request(foreign->manager, 0, "t", "{}");
        const char *argv[] = { "true", NULL };
        ferry_value *value;
        char byte;

        REFUSED(ferry_call_status(call));
        ferry_call_free(call);
        REFUSED(ferry_service_notify(foreign->service, "t", "{}"));
        REFUSED(ferry_service_retain(foreign->service, "t", "{}"));
        REFUSED(ferry_service_unretain(foreign->service, "t"));
        REFUSED(ferry_service_close(foreign->service));
        REFUSED(ferry_service_status(foreign->service));
        SAID(ferry_service_error(foreign->service));
        NOTHING(ferry_service_client(foreign->service, NULL));
        ferry_service_on(foreign->service, FERRY_KIND_REQUEST, never_told, NULL);
        ferry_service_off(foreign->service, never_told, NULL);
        ferry_service_on_type(foreign->service, FERRY_KIND_REQUEST, "t", never_told, NULL);
        ferry_service_off_type(foreign->service, "t", never_told, NULL);
        ferry_service_free(foreign->service);
        REFUSED(ferry_manager_wait(foreign->manager, NULL, NULL));
        REFUSED(ferry_manager_stop(foreign->manager, 0));
        NOTHING(ferry_manager_child(foreign->manager, NULL));
        NOTHING(ferry_manager_running(foreign->manager));
        NOTHING(ferry_process_spawn(foreign->manager, argv, NULL));
        ferry_manager_kill(foreign->manager, 9);
        ferry_manager_free(foreign->manager);
        REFUSED(ferry_process_wait(foreign->process, 0));
        REFUSED(ferry_process_stop(foreign->process, 0));
        REFUSED(ferry_process_kill(foreign->process, 9));
        REFUSED(ferry_process_status(foreign->process));
        REFUSED(ferry_process_exit_status(foreign->process));
        SAID(ferry_process_error(foreign->process));
        NOTHING(ferry_process_session(foreign->process));
        NOTHING(ferry_process_pid(foreign->process) != -1);
        ferry_process_then(foreign->process, NULL, NULL);
        ferry_process_free(foreign->process);
        REFUSED(ferry_channel_send(foreign->channel, "x", 1, 0));
        REFUSED(ferry_channel_receive(foreign->channel, &byte, 1, 0));
        REFUSED(ferry_channel_receive_value(foreign->channel, 0, 0, NULL, &value));
        REFUSED(ferry_channel_status(foreign->channel));
        REFUSED(ferry_channel_fd(foreign->channel));
        SAID(ferry_channel_error(foreign->channel));
        NOTHING(ferry_channel_accept(foreign->channel, 0));
        NOTHING(ferry_channel_info(foreign->channel));
        NOTHING(ferry_channel_record_max(foreign->channel));
        ferry_channel_free(foreign->channel);
}

static void *use_all(void *argument)
{
        struct foreign *foreign = argument;

        use_loop(foreign);
        use_session(foreign);
        use_others(foreign);
        return NULL;
}

/* Called in the loop, which its thread is in therefore. */
static int let_another_thread_try(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct foreign *foreign = userdata;
        pthread_t thread;

        (void)session;
        foreign->message = request;
        ck_assert_int_eq(pthread_create(&thread, NULL, use_all, foreign), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        return ferry_message_reply(request, NULL, "'served'");
}

START_TEST(another_thread_may_use_nothing_of_a_loop)
{
        struct foreign foreign = { .loop = ferry_loop_new(NULL) };
        const char *argv[] = { "sleep", "100", NULL };
        ferry_session *server;
        const ferry_message *reply;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        foreign.session = ferry_session_open(foreign.loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        server = ferry_session_open(foreign.loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[1], fds[1], -1 } });
        ferry_session_set_userdata(foreign.session, server);
        ferry_session_on(server, FERRY_KIND_REQUEST, let_another_thread_try, &foreign);
        foreign.service = ferry_service_open(foreign.loop, "tcp:127.0.0.1:0", NULL);
        foreign.manager = ferry_manager_new(foreign.loop, NULL);
        foreign.process = ferry_process_spawn(foreign.manager, argv, NULL);
        foreign.channel = ferry_channel_open(foreign.loop, "tcp:127.0.0.1:0", FERRY_RECEIVE, NULL);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        foreign.bridge = ferry_bridge_open(foreign.loop, "exec:exec sleep 100", fds[0], fds[1], &(ferry_bridge_options){ .close_timeout_ms = 1 });
        foreign.call = ferry_session_request(foreign.session, WAIT_MS, "t", "{}");
        reply = ferry_call_await(foreign.call);
        ck_assert_msg(!foreign.failure[0], "%s", foreign.failure);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(foreign.call));
        ck_assert_str_eq(ferry_value_text(ferry_message_body(reply), ""), "served");
        ck_assert_ptr_eq(ferry_session_userdata(foreign.session), server);
        ck_assert_int_eq(ferry_service_status(foreign.service), 1);
        ck_assert_int_eq(ferry_process_status(foreign.process), 1);
        ck_assert_int_eq(ferry_channel_status(foreign.channel), 1);
        ck_assert_int_eq(ferry_bridge_status(foreign.bridge), 1);
        ferry_call_free(foreign.call);
        ferry_process_kill(foreign.process, 9);
        ferry_loop_free(foreign.loop);
}
END_TEST

static void *take_loop_over(void *argument)
{
        struct foreign *foreign = argument;

        is_refused(foreign, "a request before", ferry_session_notify(foreign->session, "t", "{}"));
        if (ferry_loop_run(foreign->loop, 0) < 0 || ferry_session_notify(foreign->session, "t", "{}") < 0)
                snprintf(foreign->failure, sizeof foreign->failure, "%s", ferry_session_error(foreign->session));
        return NULL;
}

static void *open_more(void *argument)
{
        struct foreign *foreign = argument;

        foreign->service = ferry_service_open(foreign->loop, "tcp:127.0.0.1:0", NULL);
        return NULL;
}

/* One that no thread has waited in may be set up by any; then running it, while no other does, takes it over. */
START_TEST(a_loop_is_handed_over_by_running_it)
{
        struct foreign foreign = { .loop = ferry_loop_new(NULL) };
        pthread_t thread;
        int fds[2];

        ck_assert_int_eq(pthread_create(&thread, NULL, open_more, &foreign), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(ferry_service_status(foreign.service), 1);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        foreign.session = ferry_session_open(foreign.loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        ck_assert_int_eq(ferry_loop_run(foreign.loop, 0), 0);
        ck_assert_int_eq(pthread_create(&thread, NULL, take_loop_over, &foreign), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_msg(!foreign.failure[0], "%s", foreign.failure);
        ck_assert_int_eq(ferry_session_notify(foreign.session, "t", "{}"), -EPERM);
        ferry_loop_free(foreign.loop);
        close(fds[1]);
}
END_TEST

/* Waking ---------------------------------------------------------------------------------------------------- */

enum { WAKES = 1000, WAKERS = 3 };

struct woken {
        ferry_loop *loop;
        int wakes;                      /* atomic */
};

static void *wake(void *userdata)
{
        struct woken *woken = userdata;

        for (int i = 0; i < WAKES; i++) {
                __atomic_add_fetch(&woken->wakes, 1, __ATOMIC_RELAXED);
                if (ferry_loop_wake(woken->loop) != 0)
                        abort();
        }
        return NULL;
}

static int note_wake(ferry_loop *loop, void *userdata)
{
        struct woken *woken = userdata;

        (void)loop;
        return __atomic_load_n(&woken->wakes, __ATOMIC_RELAXED) < WAKES * WAKERS;
}

/* No wake is missed: the loop ends when the callback has seen the last one. */
START_TEST(threads_wake_a_loop)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct woken woken = { .loop = loop };
        pthread_t threads[WAKERS];

        ferry_loop_on_wake(loop, note_wake, &woken);
        for (int i = 0; i < WAKERS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, wake, &woken), 0);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_int_eq(woken.wakes, WAKES * WAKERS);
        for (int i = 0; i < WAKERS; i++)
                ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(another_thread_may_use_nothing_of_a_loop),
        SUITE_TEST(a_loop_is_handed_over_by_running_it),
        SUITE_TEST(threads_talk_over_sockets),
        SUITE_TEST(threads_wake_a_loop),
        SUITE_TEST(a_thread_serves_the_others),
        SUITE_TEST(each_thread_has_children),
        SUITE_TEST(each_thread_has_processes),
        SUITE_TEST(each_thread_takes_its_own_sigpipe),
};

SUITE_MAIN("threads", tests)
