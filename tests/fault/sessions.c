/* Sessions over descriptors: in each dialect and codec, over sockets, pipes, files and streams of the program's own;
 * and what happens at their edges. Both ends live in one loop, so a fault may strike either. */
#include "fault/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void close_pair(const int fds[2])
{
        for (int i = 0; i < 2; i++)
                if (fds[i] >= 0)
                        close(fds[i]);
}

/* A session over these, which stay ours if it cannot be opened. */
static ferry_session *open_fds(ferry_loop *loop, const int fds[2], const ferry_session_options *options)
{
        ferry_session_options own = options ? *options : (ferry_session_options){ 0 };
        const int list[] = { fds[0], fds[1], -1 };
        ferry_session *session;

        own.fds = list;
        session = ferry_session_open(loop, NULL, &own);
        if (!session || (ferry_session_status(session) < 0 && fcntl(fds[0], F_GETFD) >= 0))
                close_pair(fds[0] == fds[1] ? (const int[]){ fds[0], -1 } : fds);
        return session;
}

static void open_pair(struct talk *talk, const ferry_session_options *options)
{
        int fds[2];

        *talk = (struct talk){ .loop = ferry_loop_new(NULL) };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
                fault_flaw("socketpair: %m");
                return;
        }
        talk->a = open_fds(talk->loop, (const int[]){ fds[0], fds[0] }, options);
        talk->b = open_fds(talk->loop, (const int[]){ fds[1], fds[1] }, options);
        fault_answer(FAULT_END, "open", ferry_session_status(talk->a), 0, ferry_session_error(talk->a));
        fault_answer(FAULT_END, "open", ferry_session_status(talk->b), 0, ferry_session_error(talk->b));
}

static void talk_over_socket(const ferry_session_options *options)
{
        struct talk talk;

        open_pair(&talk, options);
        talk_begin(&talk);
        talk_everything(&talk);
        talk_end(&talk);
}

static void ferry_msgpack(void)
{
        talk_over_socket(NULL);
}

static void ferry_php(void)
{
        talk_over_socket(&(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .codec = ferry_codec_php() });
}

static void ferry_json(void)
{
        talk_over_socket(&(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .codec = ferry_codec_json() });
}

static void ipc_php(void)
{
        talk_over_socket(&(ferry_session_options){ .dialect = FERRY_DIALECT_STREAM_IPC });
}

static void ipc_json(void)
{
        talk_over_socket(&(ferry_session_options){ .dialect = FERRY_DIALECT_STREAM_IPC, .codec = ferry_codec_json() });
}

static int encode_own(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        void *bytes;
        size_t size;
        int code = ferry_codec_encode(ferry_codec_json(), value, &bytes, &size);

        (void)codec;
        if (code)
                return code;
        ferry_sink_write(sink, bytes, size);
        sys_free(bytes);
        return 0;
}

static int decode_own(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        ferry_value *value;
        int code = ferry_codec_decode(ferry_codec_json(), bytes, size, &value, NULL);

        (void)codec;
        if (code)
                return code;
        ferry_builder_add(builder, "%p", (void *)value);
        ferry_value_unref(value);
        return 0;
}

static void own_codec(void)
{
        static const ferry_codec codec = { .name = "own", .number = 200, .encode = encode_own, .decode = decode_own };

        talk_over_socket(&(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .codec = &codec });
}

static int make_id(ferry_session *session, char *id, size_t size, void *userdata)
{
        unsigned *counter = userdata;

        (void)session;
        snprintf(id, size, "id-%u", (*counter)++);
        return 0;
}

/* The defaults of the loop, ids of the program's own, the older namespace. */
static void own_ids(void)
{
        struct talk talk = { 0 };
        unsigned counter = 0;
        ferry_session_options options = { .dialect = FERRY_DIALECT_STREAM_IPC, .root = "PhpStreamIpc",
                                          .make_id = make_id, .make_id_userdata = &counter };
        int fds[2];

        talk.loop = ferry_loop_new(&(ferry_loop_options){ .session = &options });
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return;
        talk.a = open_fds(talk.loop, (const int[]){ fds[0], fds[0] }, NULL);
        talk.b = open_fds(talk.loop, (const int[]){ fds[1], fds[1] }, NULL);
        talk_begin(&talk);
        talk_ask(&talk, "App\\Echo", 0);
        talk_note(&talk);
        talk_end(&talk);
}

static void over_pipes(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        int there[2], back[2];

        if (pipe2(there, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
                return;
        talk.a = open_fds(talk.loop, (const int[]){ back[0], there[1] }, NULL);
        talk.b = open_fds(talk.loop, (const int[]){ there[0], back[1] }, NULL);
        talk_begin(&talk);
        talk_everything(&talk);
        talk_end(&talk);
}

/* Only one way, by address, with junk in it; the reader has a second descriptor. */
static void one_way(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        int fds[2], second[2];
        char address[32];

        if (pipe2(fds, O_CLOEXEC) < 0 || pipe2(second, O_CLOEXEC) < 0)
                return;
        if (write(fds[1], "junk\n", 5) != 5 || write(second[1], "more\n", 5) != 5)
                fault_flaw("write: %m");
        snprintf(address, sizeof address, "fd:,%d", fds[1]);
        talk.a = ferry_session_open(talk.loop, address, NULL);
        if (ferry_session_status(talk.a) < 0 && fcntl(fds[1], F_GETFD) >= 0)
                close(fds[1]);
        {
                const int list[] = { fds[0], fds[0], second[0], -1 };
                int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
                const int whole[] = { list[0], null, list[2], -1 };

                talk.b = ferry_session_open(talk.loop, NULL, &(ferry_session_options){ .fds = whole });
                if (ferry_session_status(talk.b) < 0 && fcntl(fds[0], F_GETFD) >= 0) {
                        close(fds[0]);
                        close(null);
                        close(second[0]);
                }
        }
        talk_begin(&talk);
        talk_note(&talk);
        talk_note(&talk);
        close(second[1]);
        fault_answer(FAULT_WAIT, "flush", ferry_session_flush(talk.a, 100), 0, NULL);
        talk_end(&talk);
}

static void files(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        char address[300];

        snprintf(address, sizeof address, "file:,%s", fault_path("notes"));
        talk.a = ferry_session_open(talk.loop, address, NULL);
        talk_note(&talk);
        talk_note(&talk);
        fault_answer(FAULT_WAIT, "flush", ferry_session_flush(talk.a, 100), 0, NULL);
        snprintf(address, sizeof address, "file:%s,%s", fault_path("notes"), fault_path("more"));
        if (access(fault_path("notes"), F_OK) == 0)
                talk.b = ferry_session_open(talk.loop, address, NULL);
        fault_answer(FAULT_END, "open", ferry_session_status(talk.b), 0, ferry_session_error(talk.b));
        talk_begin(&talk);
        talk_end(&talk);
}

/* A FIFO in place of the file, whose reader comes later. */
static void file_is_fifo(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        char address[300], bytes[500];
        int code, reader;

        fault_check(mkfifo(fault_path("fifo"), 0600) == 0);
        snprintf(address, sizeof address, "file:,%s", fault_path("fifo"));
        session = ferry_session_open(loop, address, NULL);
        code = ferry_session_notify(session, "App\\Note", "{}");
        fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(session));
        fault_want(ferry_session_flush(session, 30) == -ETIMEDOUT);
        reader = open(fault_path("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        fault_answer(FAULT_WAIT, "flush", ferry_session_flush(session, 1000), 0, NULL);
        fault_want(read(reader, bytes, sizeof bytes) > 0);
        ferry_session_free(session);
        talk_run(loop, 20);
        ferry_loop_free(loop);
        close(reader);
}

static ssize_t read_own(const ferry_stream *stream, void *buffer, size_t size)
{
        return sys_recv(stream->fd, buffer, size);
}

static ssize_t write_own(const ferry_stream *stream, const void *bytes, size_t size)
{
        return sys_send(stream->fd, bytes, size);
}

static void close_own(const ferry_stream *stream)
{
        close(stream->fd);
        *(bool *)stream->userdata = true;
}

static void own_stream(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        bool is_closed[2] = { false, false };
        ferry_stream streams[2];
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return;
        for (int i = 0; i < 2; i++) {
                streams[i] = (ferry_stream){ .fd = fds[i], .read = read_own, .write = write_own, .close = close_own,
                                             .userdata = &is_closed[i] };
                *(i ? &talk.b : &talk.a) = ferry_session_open(talk.loop, NULL,
                                                              &(ferry_session_options){ .stream = &streams[i] });
        }
        talk_begin(&talk);
        talk_note(&talk);
        talk_ask(&talk, "App\\Echo", 0);
        talk_end(&talk);
        for (int i = 0; i < 2; i++)
                if (!is_closed[i])
                        close(fds[i]);
}

/* A deadline passes behind a read that has filled its room. */
static void own_stream_half_a_frame(void)
{
        char frame[1024] = "\xf3\x4a\x9d\xe2\0\0\x8\0";
        ferry_loop *loop = ferry_loop_new(NULL);
        bool is_closed = false;
        ferry_session *session;
        ferry_stream stream;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return;
        stream = (ferry_stream){ .fd = fds[0], .read = read_own, .write = write_own, .close = close_own, .userdata = &is_closed };
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .stream = &stream });
        if (write(fds[1], frame, sizeof frame) != sizeof frame)
                fault_flaw("write: %m");
        fault_check(ferry_session_next(session, 10) == NULL);
        fault_answer(FAULT_END, "status", ferry_session_status(session), 1, ferry_session_error(session));
        close(fds[1]);
        ferry_loop_free(loop);
        if (!is_closed)
                close(fds[0]);
}

/* Without handlers: what comes is fetched; requests are answered from there. */
static void fetched(void)
{
        struct talk talk;
        unsigned got = 0;
        const ferry_message *message;

        open_pair(&talk, NULL);
        talk_begin(&talk);
        talk_note(&talk);
        ferry_session_on(talk.a, FERRY_KIND_CLOSED | FERRY_KIND_JUNK, NULL, NULL);
        for (int i = 0; i < 4; i++) {
                if (ferry_session_notify(talk.b, "App\\Other", "{n: %d, text: %s}", i, "x") == 0)
                        got++;
        }
        while ((message = ferry_session_next(talk.a, 50))) {
                fault_check(ferry_message_kind(message) & (FERRY_KIND_NOTIFICATION | FERRY_KIND_CLOSED));
                if (ferry_message_kind(message) == FERRY_KIND_NOTIFICATION)
                        fault_check(got-- > 0);
        }
        fault_want(got == 0);
        talk_end(&talk);
}

/* Requests, too, are fetched and answered from there; what is left when the session closes is refused. */
static void fetched_requests(void)
{
        struct talk talk;
        const ferry_message *request;

        open_pair(&talk, NULL);
        ferry_session_on(talk.b, FERRY_KIND_REQUEST, NULL, NULL);
        talk_begin(&talk);
        for (int i = 0; i < 3; i++) {
                static const int expected[] = { 0, -EREMOTEIO, -ECONNRESET };
                FERRY_AUTO(ferry_call) call = ferry_session_request(talk.a, 1000, "App\\Fetch", "{n: %d}", i);
                int code;

                request = ferry_session_next(talk.b, 10);
                fault_want(request && ferry_message_is_wanted(request));
                if (i == 2)
                        ferry_session_close(talk.b);
                else if (request) {
                        code = i == 0 ? ferry_message_reply(request, NULL, "%s", "here it is") :
                                        ferry_message_fail(request, "not %s", "this one");
                        fault_answer(FAULT_SEND, "reply", code, 0, NULL);
                        fault_check(code < 0 || ferry_message_reply(request, NULL, NULL) < 0);
                }
                ferry_call_await(call);
                fault_check(ferry_call_status(call) != 1);
                fault_answer(FAULT_END, "a call", ferry_call_status(call), expected[i], ferry_call_error(call));
        }
        talk_end(&talk);
}

/* More than the peer reads: the queue gets full, is flushed, and all arrives. */
static void queue_full(void)
{
        static char text[60000];
        struct talk talk;
        int code = 0, count = 0;

        memset(text, 'x', sizeof text - 1);
        open_pair(&talk, &(ferry_session_options){ .queue_max = 100000 });
        talk_begin(&talk);
        for (; count < 20 && code == 0; count++)
                code = ferry_session_notify(talk.b, "App\\Large", "%s", text);
        fault_answer(FAULT_SEND, "notify", code, -ENOBUFS, NULL);
        code = ferry_session_flush(talk.b, 1000);
        fault_answer(FAULT_WAIT, "flush", code, -ENOBUFS, ferry_session_error(talk.b));
        fault_answer(FAULT_WAIT, "flush", ferry_session_flush(talk.b, 1000), 0, NULL);
        talk_end(&talk);
}

/* Bodies that are read into blocks of their own: the second leaves in slices, between two small ones. And a body over the limit of
 * the other side. */
static void large_with(int shm)
{
        static char text[100001], over[200000];
        struct talk talk;
        const ferry_message *message;
        int code;

        memset(text, 'y', sizeof text - 1);
        memset(over, 'y', sizeof over - 1);
        open_pair(&talk, &(ferry_session_options){ .frame_max = 150000, .shm = shm });
        talk_begin(&talk);
        fault_answer(FAULT_SEND, "notify", ferry_session_notify(talk.b, "App\\Large", "{text: %s}", text), 0, NULL);
        message = ferry_session_next(talk.a, 1000);
        if (message && ferry_message_body(message))
                fault_check(strcmp(ferry_value_text(ferry_message_get(message, "text"), ""), text) == 0);
        fault_want(message);
        code = ferry_session_hold(talk.a);
        fault_answer(FAULT_SEND, "hold", code, 0, ferry_session_error(talk.a));
        talk_note(&talk);
        talk_note_with(&talk, text);
        talk_note(&talk);
        code = ferry_session_release(talk.a);
        fault_answer(FAULT_SEND, "release", code, 0, ferry_session_error(talk.a));
        talk_run(talk.loop, 20);
        fault_want(talk.received == 3);
        code = ferry_session_notify(talk.b, "App\\Large", "{text: %s}", over);
        fault_check(code < 0);
        fault_answer(FAULT_SEND, "notify", code, -EMSGSIZE, NULL);
        talk_end(&talk);
}

static void large(void)
{
        large_with(FERRY_SHM_AUTO);
}

static void large_by_socket(void)
{
        large_with(FERRY_SHM_NEVER);
}

/* Over the limit of a receiver that has not said so yet. */
static void too_large(void)
{
        static char text[5000];
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        int fds[2];

        memset(text, 'z', sizeof text - 1);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return;
        talk.a = open_fds(talk.loop, (const int[]){ fds[0], fds[0] }, NULL);
        talk.b = open_fds(talk.loop, (const int[]){ fds[1], fds[1] }, &(ferry_session_options){ .frame_max = 1000 });
        talk_begin(&talk);
        {
                FERRY_AUTO(ferry_call) call = ferry_session_request(talk.a, 1000, "App\\Echo", "%s", text);

                ferry_call_await(call);
                fault_answer(FAULT_END, "a call", ferry_call_status(call), -EREMOTEIO, ferry_call_error(call));
        }
        /* By now it has. */
        fault_answer(FAULT_SEND, "notify", ferry_session_notify(talk.a, "App\\Large", "%s", text), -EMSGSIZE, NULL);
        ferry_session_flush(talk.a, 100);
        talk_end(&talk);
}

/* What is no frame, on a socket and in a pipe; and half a frame before the end. */
static void broken(void)
{
        static const char half[] = "\xf3\x4a\x9d\xe2\0\0\0\x10half";
        ferry_loop *loop = ferry_loop_new(NULL);
        static const int expected[] = { -EBADMSG, -ECONNRESET, 0 };
        ferry_session *sessions[3];
        int fds[3][2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[0]) < 0 || pipe2(fds[1], O_CLOEXEC) < 0 ||
            pipe2(fds[2], O_CLOEXEC) < 0)
                return;
        for (int i = 0; i < 3; i++) {
                if (write(fds[i][1], i == 1 ? half : "no frame\n", 9) != 9)
                        fault_flaw("write: %m");
                sessions[i] = open_fds(loop, i == 0 ? (const int[]){ fds[i][0], fds[i][0] } :
                                       (const int[]){ fds[i][0], open("/dev/null", O_WRONLY | O_CLOEXEC) }, NULL);
                close(fds[i][1]);
        }
        for (int i = 0; i < 4 && ferry_loop_run(loop, 1000) < 0; i++)
                ;
        for (int i = 0; i < 3; i++)
                fault_answer(FAULT_END, "status", ferry_session_status(sessions[i]), expected[i],
                             ferry_session_error(sessions[i]));
        ferry_loop_free(loop);
}

static int keep_request(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session;
        *(ferry_message **)userdata = ferry_message_ref(request);
        return 1;
}

/* The peer asks and sends no more; it is answered later. */
static void answered_after_the_end(void)
{
        static const char ask[] = "\xf3\x4a\x9d\xe2\0\0\0\x11\1\3\1\0\0\1\0\0\0\0\0\0\0\0\0\1t";
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_message *request = NULL;
        ferry_session *session;
        int there[2], back[2];

        if (pipe2(there, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
                return;
        session = open_fds(loop, (const int[]){ back[0], there[1] }, NULL);
        ferry_session_on(session, FERRY_KIND_REQUEST, keep_request, &request);
        if (ferry_session_status(session) == 1 && write(back[1], ask, sizeof ask - 1) != sizeof ask - 1)
                fault_flaw("write: %m");
        close(back[1]);
        for (int i = 0; i < 100 && !request && ferry_session_status(session) == 1; i++)
                ferry_loop_tick(loop, 0);
        for (int i = 0; i < 10 && ferry_session_status(session) == 1; i++)
                ferry_loop_tick(loop, 0);
        if (request)
                fault_answer(FAULT_SEND, "reply", ferry_message_reply(request, NULL, "'later'"), 0, NULL);
        ferry_message_unref(request);
        while (ferry_session_status(session) == 1)
                ferry_loop_run(loop, 1000);
        fault_answer(FAULT_END, "status", ferry_session_status(session), -ECONNRESET, ferry_session_error(session));
        ferry_loop_free(loop);
        close(there[0]);
}

/* The peer goes while we write and wait. */
static void peer_goes(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int there[2], back[2], code;

        if (pipe2(there, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
                return;
        session = open_fds(loop, (const int[]){ back[0], there[1] }, NULL);
        close(there[0]);
        {
                FERRY_AUTO(ferry_call) call = ferry_session_request(session, 1000, "App\\Echo", "{n: 0}");

                close(back[1]);
                ferry_call_await(call);
                fault_answer(FAULT_END, "a call", ferry_call_status(call), -ECONNRESET, ferry_call_error(call));
        }
        code = ferry_session_flush(session, 100);
        fault_answer(FAULT_WAIT, "flush", code, -ECONNRESET, ferry_session_error(session));
        ferry_session_free(session);
        ferry_loop_free(loop);
}

/* Over a pipe, where SIGPIPE is the program's own matter: it is pending before and after. */
static void peer_goes_quietly(void)
{
        sigset_t pipe_signal, before, pending;

        sigemptyset(&pipe_signal);
        sigaddset(&pipe_signal, SIGPIPE);
        sigprocmask(SIG_BLOCK, &pipe_signal, &before);
        raise(SIGPIPE);
        peer_goes();
        sigpending(&pending);
        fault_check(sigismember(&pending, SIGPIPE) == 1);
        sigtimedwait(&pipe_signal, NULL, &(struct timespec){ 0 });
        sigprocmask(SIG_SETMASK, &before, NULL);
}

/* More calls in flight than a map begins with, and all of them end once. The first is answered last, so the others are looked
 * for. */
static void many_calls(void)
{
        struct talk talk;

        open_pair(&talk, NULL);
        talk_begin(&talk);
        talk_promise(&talk, "App\\Late");
        for (int i = 0; i < 70; i++)
                talk_promise(&talk, "App\\Echo");
        talk_run(talk.loop, 20);
        fault_want(talk.called_back >= 70);
        talk_end(&talk);
}

/* FERRY_DEBUG shows each message. */
static void debugged(void)
{
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

        dup2(null, STDERR_FILENO);
        close(null);
        setenv("FERRY_DEBUG", "1", 1);
        fetched();
        unsetenv("FERRY_DEBUG");
        dup2(saved, STDERR_FILENO);
        close(saved);
}

/* A large body that is no body: its bytes are let go of. */
static void large_and_wrong(void)
{
        static char bytes[50000] = "\xf3\x4a\x9d\xe2\0\0\xc3\x48\1\2\1";
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return;
        if (write(fds[1], bytes, sizeof bytes) != sizeof bytes)
                fault_flaw("write: %m");
        talk.a = open_fds(talk.loop, (const int[]){ fds[0], fds[0] }, NULL);
        talk_run(talk.loop, 20);
        if (ferry_session_status(talk.a) == 1)
                fault_answer(FAULT_SEND, "notify", ferry_session_notify(talk.a, "App\\Note", NULL), 0, NULL);
        ferry_loop_free(talk.loop);
        close(fds[1]);
}

static int free_session(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ferry_session_free(session);
        return 1;
}

static int free_loop(ferry_session *session, const ferry_message *message, void *userdata)
{
        bool *is_freed = userdata;

        (void)message;
        if (!*is_freed)
                ferry_loop_free(ferry_session_loop(session));
        *is_freed = true;
        return 1;
}

static void freed_in_callback(void)
{
        struct talk talk;

        open_pair(&talk, NULL);
        ferry_session_on(talk.b, FERRY_KIND_NOTIFICATION, free_session, NULL);
        ferry_session_notify(talk.a, "App\\Note", "'hello'");
        ferry_loop_run(talk.loop, 100);
        ferry_loop_free(talk.loop);
}

struct depth {
        ferry_session *session;
        unsigned levels;
        int last;
};

/* Waits within waiting, until that is too deep. */
static int wait_deeper(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct depth *depth = userdata;
        FERRY_AUTO(ferry_call) call = NULL;

        (void)session;
        /* One that was too deep comes here all the same, later. */
        if (++depth->levels > 33)
                return 0;
        call = ferry_session_request(depth->session, 1000, "App\\Deeper", NULL);
        if (!ferry_call_await(call) && depth->last == 0)
                depth->last = ferry_call_status(call);
        fault_check(ferry_call_status(call) != 1);
        return !ferry_message_is_wanted(message) || ferry_message_reply(message, NULL, NULL) < 0 ? -EIO : 1;
}

static void too_deep(void)
{
        struct depth depth = { 0 };
        struct talk talk;

        open_pair(&talk, NULL);
        depth.session = talk.a;
        ferry_session_on(talk.b, FERRY_KIND_REQUEST, wait_deeper, &depth);
        talk_begin(&talk);
        {
                FERRY_AUTO(ferry_call) call = ferry_session_request(talk.a, 1000, "App\\Deeper", NULL);

                ferry_call_await(call);
                fault_answer(FAULT_END, "a call", ferry_call_status(call), 0, ferry_call_error(call));
        }
        fault_want(depth.last == -EDEADLK);
        talk_end(&talk);
}

static void free_all(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct talk *talk = userdata;

        (void)reply;
        talk->called_back++;
        /* It goes by itself; letting it go once more is nothing. */
        ferry_call_free(call);
        if (talk->called_back == 1)
                ferry_session_free(talk->a);
        else if (talk->called_back == 2)
                ferry_loop_free(talk->loop);
}

/* Bursts, whose answers leave together, too. */
static void held(void)
{
        struct talk talk;
        int code;

        open_pair(&talk, NULL);
        talk_begin(&talk);
        for (int burst = 0; burst < 3; burst++) {
                code = ferry_session_hold(talk.a);
                fault_answer(FAULT_SEND, "hold", code, 0, ferry_session_error(talk.a));
                talk_note(&talk);
                talk_note(&talk);
                for (int i = 0; i < 15; i++)
                        talk_promise(&talk, "App\\Echo");
                code = ferry_session_release(talk.a);
                fault_answer(FAULT_SEND, "release", code, 0, ferry_session_error(talk.a));
                talk_run(talk.loop, 20);
        }
        fault_want(talk.called_back == 45);
        code = ferry_session_hold(talk.a);
        fault_answer(FAULT_SEND, "hold", code, 0, ferry_session_error(talk.a));
        talk_note(&talk);
        talk_end(&talk);
}

/* Replies in parts, of which the sender waits for credit; one call takes them by a function, one fetches them, one is freed. */
struct stream {
        ferry_message *request;
        int next;
};

struct streams {
        struct stream list[4];
        int events;
        int taken;              /* by the function */
};

enum { PARTS = 12, PART_SIZE = 60000 };

static char part_text[PART_SIZE + 1];

static void go_on(struct stream *stream)
{
        int code = 0;

        while (stream->request && stream->next < PARTS) {
                code = ferry_message_progress(stream->request, "{part: %d, text: %s}", stream->next, part_text);
                if (code)
                        break;
                stream->next++;
        }
        if (code == -ENOBUFS || !stream->request)
                return;
        if (code != -ECANCELED)
                fault_answer(FAULT_SEND, "progress", code, 0, NULL);
        if (!code)
                fault_answer(FAULT_SEND, "reply", ferry_message_reply(stream->request, NULL, "{parts: %d}", PARTS), 0, NULL);
        stream->request = ferry_message_unref(stream->request);
}

static int serve_parts(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct streams *streams = userdata;

        (void)session;
        if (ferry_message_kind(message) != FERRY_KIND_REQUEST) {
                streams->events += ferry_message_kind(message) == FERRY_KIND_DRAINED;
                for (size_t i = 0; i < 4; i++)
                        go_on(&streams->list[i]);
                return 0;
        }
        for (size_t i = 0; i < 4; i++)
                if (!streams->list[i].request) {
                        streams->list[i] = (struct stream){ .request = ferry_message_ref(message) };
                        go_on(&streams->list[i]);
                        return 1;
                }
        return -ENOSPC;
}

static bool check_part(const ferry_message *part, int number)
{
        /* Its bytes came, but there is no memory to look at them. */
        if (!ferry_message_body(part))
                return fault_is_memory();
        return ferry_value_int(ferry_message_get(part, "part"), -1) == number &&
               strcmp(ferry_value_text(ferry_message_get(part, "text"), ""), part_text) == 0;
}

static void take_part(ferry_call *call, const ferry_message *part, void *userdata)
{
        struct streams *streams = userdata;

        fault_check(ferry_call_status(call) == 1);
        fault_check(check_part(part, streams->taken));
        streams->taken++;
}

static void parts(void)
{
        struct streams streams = { 0 };
        const ferry_message *part;
        ferry_call *call;
        struct talk talk;
        int count = 0, code;

        memset(part_text, 'p', PART_SIZE);
        open_pair(&talk, NULL);
        ferry_session_on(talk.b, FERRY_KIND_REQUEST | FERRY_KIND_DRAINED | FERRY_KIND_CANCELLED, serve_parts, &streams);
        call = ferry_session_request(talk.a, 5000, "App\\Parts", NULL);
        code = ferry_call_on_progress(call, take_part, &streams);
        fault_check(code == 0 || fault_is_memory());
        ferry_call_await(call);
        fault_answer(FAULT_END, "a call", ferry_call_status(call), 0, ferry_call_error(call));
        fault_check(ferry_call_status(call) != 0 || code != 0 || streams.taken == PARTS);
        fault_check(streams.taken == 0 || ferry_call_outcome(call) != FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        call = ferry_session_request(talk.a, 5000, "App\\Parts", NULL);
        for (; (part = ferry_call_next(call, 5000)); count++)
                fault_check(check_part(part, count));
        fault_check(ferry_call_status(call) != 0 || count == PARTS || fault_is_memory());
        if (ferry_call_status(call) != 1)
                fault_answer(FAULT_END, "a call", ferry_call_status(call), 0, ferry_call_error(call));
        ferry_call_free(call);
        call = ferry_session_request(talk.a, 5000, "App\\Parts", NULL);
        ferry_call_next(call, 5000);
        ferry_call_free(call);
        talk_run(talk.loop, 20);
        fault_want(streams.events > 0);
        for (size_t i = 0; i < 4; i++)
                streams.list[i].request = ferry_message_unref(streams.list[i].request);
        code = ferry_session_close(talk.a);
        fault_answer(FAULT_END, "close", code, 0, ferry_session_error(talk.a));
        code = ferry_loop_run(talk.loop, 5000);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(talk.loop));
        ferry_loop_free(talk.loop);
        for (size_t i = 0; i < 4; i++)
                streams.list[i].request = ferry_message_unref(streams.list[i].request);
}

/* Without memory, or without the answer to its hello, a side does not take or pass any. */
static bool try_to_attach(ferry_session *session)
{
        int code = ferry_session_attach(session, 0);

        if (!fault_is_absent() && (code == -EAGAIN || code == -EOPNOTSUPP))
                return false;
        return fault_answer(FAULT_SEND, "attach", code, 0, ferry_session_error(session));
}

/* Descriptors with messages, of which some are taken; and with the answer. */
static int take_descriptors(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *taken = userdata;

        for (size_t i = 0; i < ferry_message_fds(message); i += 2) {
                int fd = ferry_message_take_fd(message, i);

                fault_check(fd >= 0);
                if (fd >= 0 && close(fd) == 0)
                        ++*taken;
        }
        if (ferry_message_kind(message) != FERRY_KIND_REQUEST)
                return 1;
        try_to_attach(session);
        fault_answer(FAULT_SEND, "reply", ferry_message_reply(message, NULL, "{}"), 0, NULL);
        ferry_session_attach(session, -1);
        return 1;
}

static void descriptors(void)
{
        struct talk talk;
        int taken = 0, code;

        open_pair(&talk, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .shm = FERRY_SHM_NEVER });
        ferry_session_on(talk.b, FERRY_KIND_MESSAGE | FERRY_KIND_ERROR, take_descriptors, &taken);
        /* What the other side takes is known then. */
        ferry_session_notify(talk.a, "App\\Load", "{}");
        fault_answer(FAULT_WAIT, "flush", ferry_session_flush(talk.a, 1000), 0, NULL);
        for (int i = 0; i < 3; i++) {
                bool is_attached = true;

                for (int k = 0; k < 2; k++)
                        is_attached = try_to_attach(talk.a) && is_attached;
                fault_want(is_attached);
                code = ferry_session_notify(talk.a, "App\\Load", "{}");
                fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(talk.a));
                ferry_session_attach(talk.a, 0);
                {
                        FERRY_AUTO(ferry_call) call = ferry_session_request(talk.a, 5000, "App\\Take", "{}");

                        ferry_call_await(call);
                        fault_answer(FAULT_END, "a call", ferry_call_status(call), 0, ferry_call_error(call));
                        fault_want(ferry_message_fds(ferry_call_reply(call)) == 1);
                }
        }
        fault_want(taken == 6);
        fault_answer(FAULT_WAIT, "flush", ferry_session_flush(talk.a, 1000), 0, NULL);
        code = ferry_session_close(talk.a);
        fault_answer(FAULT_END, "close", code, 0, ferry_session_error(talk.a));
        code = ferry_loop_run(talk.loop, 5000);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(talk.loop));
        ferry_loop_free(talk.loop);
}

/* A callback lets go of its call, of the session, and of the loop. */
static void freed_at_the_end_of_a_call(void)
{
        struct talk talk;

        open_pair(&talk, NULL);
        /* For a call that could not be made it is called at once. */
        for (int i = 0; i < 3 && talk.called_back == 0; i++)
                ferry_call_then(ferry_session_request(talk.a, 1000, "App\\Unanswered", NULL), free_all, &talk);
        if (talk.called_back < 2)
                ferry_loop_run(talk.loop, 100);
        if (talk.called_back < 2)
                ferry_loop_free(talk.loop);
        fault_check(talk.called_back <= 3);
}

static void loop_freed_in_callback(void)
{
        bool is_freed = false;
        struct talk talk;

        open_pair(&talk, NULL);
        ferry_session_on(talk.b, FERRY_KIND_OPENED, free_loop, &is_freed);
        ferry_loop_run(talk.loop, 100);
        if (!is_freed)
                ferry_loop_free(talk.loop);
}

const struct scenario session_scenarios[] = {
        { .name = "ferry-msgpack", .run = ferry_msgpack },
        { .name = "ferry-php", .run = ferry_php },
        { .name = "ferry-json", .run = ferry_json },
        { .name = "ipc-php", .run = ipc_php },
        { .name = "ipc-json", .run = ipc_json },
        { .name = "own-codec", .run = own_codec },
        { .name = "own-ids", .run = own_ids },
        { .name = "pipes", .run = over_pipes },
        { .name = "one-way", .run = one_way },
        { .name = "files", .run = files, .is_whole = true },
        { .name = "file-is-fifo", .run = file_is_fifo },
        { .name = "own-stream", .run = own_stream },
        { .name = "own-stream-half-a-frame", .run = own_stream_half_a_frame, .is_uncut = true },
        { .name = "fetched", .run = fetched },
        { .name = "fetched-requests", .run = fetched_requests },
        { .name = "queue-full", .run = queue_full, .is_uncut = true },
        { .name = "large", .run = large, .is_uncut = true },
        { .name = "large-by-socket", .run = large_by_socket, .is_uncut = true },
        { .name = "too-large", .run = too_large, .is_uncut = true },
        { .name = "broken", .run = broken },
        { .name = "peer-goes", .run = peer_goes, .is_whole = true },
        { .name = "answered-after-the-end", .run = answered_after_the_end },
        { .name = "peer-goes-quietly", .run = peer_goes_quietly, .is_whole = true },
        { .name = "many-calls", .run = many_calls, .is_uncut = true },
        { .name = "held", .run = held },
        { .name = "parts", .run = parts, .is_uncut = true, .is_whole = true },
        { .name = "descriptors", .run = descriptors, .is_whole = true },
        { .name = "debugged", .run = debugged },
        { .name = "large-and-wrong", .run = large_and_wrong, .is_uncut = true },
        { .name = "freed-in-callback", .run = freed_in_callback },
        { .name = "too-deep", .run = too_deep, .is_uncut = true },
        { .name = "freed-at-the-end-of-a-call", .run = freed_at_the_end_of_a_call },
        { .name = "loop-freed-in-callback", .run = loop_freed_in_callback },
        { .name = NULL },
};
