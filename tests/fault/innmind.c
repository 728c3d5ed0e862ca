/* A service in innmind and its clients, in one loop: the handshake, calls, notifications, all ways to go, and the
 * directory that it shares with others. Whatever the fault: what is said to be not executed was not, what is heard was said, in
 * order, once; and a frame that has left in part is finished before anything else. */
#include "fault/talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct visit {
        ferry_loop *loop;
        ferry_service *service;
        ferry_session *client;
        unsigned asked;
        unsigned served[16];
        unsigned said, heard;           /* notifications of the client, and of these at the service */
        unsigned closed;
        ferry_message *kept;
};

static const ferry_service_options innmind = { .dialects = FERRY_DIALECT_INNMIND };
static const ferry_session_options speaks_innmind = { .dialect = FERRY_DIALECT_INNMIND };

static int serve(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct visit *visit = userdata;
        const char *text = ferry_message_text(message);
        unsigned number = 0;
        int code;

        (void)session;
        fault_check(ferry_message_kind(message) == FERRY_KIND_MESSAGE);
        /* It came, but there is no memory to look at it. */
        if (!ferry_message_body(message) && fault_is_memory())
                return -ENOMEM;
        if (sscanf(text, "note %u", &number) == 1) {
                fault_check(number == visit->heard && number <= visit->said);
                visit->heard = number + 1;
                return 0;
        }
        if (sscanf(text, "fail %u", &number) != 1 && sscanf(text, "keep %u", &number) != 1 &&
            sscanf(text, "ask %u", &number) != 1)
                fault_flaw("it was said \"%s\"", text);
        fault_check(number < visit->asked && visit->served[number % 16]++ == 0);
        if (*text == 'f')
                return -ERANGE;
        if (*text == 'k' && !visit->kept) {
                visit->kept = ferry_message_ref(message);
                return 1;
        }
        code = ferry_message_reply(message, "application/json", "{n: %u}", number);
        fault_answer(FAULT_SEND, "reply", code, 0, NULL);
        return code < 0 ? -EIO : 1;
}

static int note_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        ((struct visit *)userdata)->closed++;
        return 0;
}

static void open_visit(struct visit *visit)
{
        int code;

        *visit = (struct visit){ .loop = ferry_loop_new(NULL) };
        setenv("TMPDIR", fault_path("."), 1);
        visit->service = ferry_service_open(visit->loop, "name", &innmind);
        code = ferry_service_status(visit->service);
        fault_answer(FAULT_MEET, "listen", code, 1, ferry_service_error(visit->service));
        ferry_service_on(visit->service, FERRY_KIND_MESSAGE, serve, visit);
        visit->client = ferry_session_open(visit->loop, "name", &speaks_innmind);
        code = ferry_session_status(visit->client);
        fault_answer(FAULT_MEET, "open", code, 1, ferry_session_error(visit->client));
        ferry_session_on(visit->client, FERRY_KIND_CLOSED, note_end, visit);
}

static void close_visit(struct visit *visit)
{
        ferry_loop_free(visit->loop);
        ferry_message_unref(visit->kept);
        fault_check(visit->closed <= 1);
        fault_check(access(fault_path("innmind/ipc/name.sock"), F_OK) < 0 || fault_error());
        unlink(fault_path("innmind/ipc/name.sock"));
        unlink(fault_path("innmind/ipc/name.sock.lock"));
        rmdir(fault_path("innmind/ipc"));
        rmdir(fault_path("innmind"));
        unsetenv("TMPDIR");
}

static ferry_call *begin(struct visit *visit, int timeout_ms, const char *how)
{
        return ferry_session_request(visit->client, timeout_ms, "text/plain", "'%s %u'", how, visit->asked++);
}

static void judge(struct visit *visit, ferry_call *call, unsigned number, int expected)
{
        char answer[32];

        snprintf(answer, sizeof answer, "{\"n\":%u}", number);
        fault_check(ferry_call_status(call) != 1);
        fault_answer(FAULT_MEET, "a call", ferry_call_status(call), expected, ferry_call_error(call));
        if (ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED)
                fault_check(visit->served[number] == 0);
        if (ferry_call_status(call) == 0) {
                fault_check(visit->served[number] == 1);
                if (!fault_is_memory())
                        fault_check(strcmp(ferry_message_text(ferry_call_reply(call)), answer) == 0);
        }
        ferry_call_free(call);
}

static void ask(struct visit *visit, const char *how, int expected)
{
        unsigned number = visit->asked;
        ferry_call *call = begin(visit, 1000, how);

        ferry_call_await(call);
        judge(visit, call, number, expected);
}

static void say(struct visit *visit)
{
        int code = ferry_session_notify(visit->client, "text/plain", "'note %u'", visit->said);

        if (fault_answer(FAULT_MEET, "notify", code, 0, ferry_session_error(visit->client)))
                visit->said++;
}

/* Notifications and requests, several in hand at once; then it is closed by the client. */
static void talking(void)
{
        struct visit visit;
        ferry_call *calls[3];
        unsigned first;
        int code;

        open_visit(&visit);
        say(&visit);
        ask(&visit, "ask", 0);
        say(&visit);
        first = visit.asked;
        for (int i = 0; i < 3; i++)
                calls[i] = begin(&visit, 1000, "ask");
        say(&visit);
        for (unsigned i = 0; i < 3; i++) {
                ferry_call_await(calls[i]);
                judge(&visit, calls[i], first + i, 0);
        }
        code = ferry_session_flush(visit.client, 1000);
        fault_answer(FAULT_WAIT, "flush", code, 0, NULL);
        code = ferry_service_notify(visit.service, "text/plain", "'news'");
        /* A service that lacks memory for one notification has not failed. */
        fault_answer(FAULT_MEET, "notify", code, 0, code == -ENOMEM ? NULL : ferry_service_error(visit.service));
        talk_run(visit.loop, 5);
        code = ferry_session_close(visit.client);
        fault_answer(FAULT_MEET, "close", code, 0, ferry_session_error(visit.client));
        talk_run(visit.loop, 20);
        fault_want(visit.heard == visit.said && visit.closed == 1);
        close_visit(&visit);
}

/* A handler fails: the session is closed by the service. */
static void failing(void)
{
        struct visit visit;
        ferry_call *call;
        unsigned number;

        open_visit(&visit);
        number = visit.asked;
        call = begin(&visit, 1000, "fail");
        say(&visit);
        ferry_call_await(call);
        judge(&visit, call, number, -ECONNRESET);
        talk_run(visit.loop, 20);
        fault_want(visit.closed == 1);
        close_visit(&visit);
}

/* A call times out, or is let go, while others wait behind it. */
static void giving_up(void)
{
        for (int i = 0; i < 2; i++) {
                struct visit visit;
                ferry_call *first, *second;

                open_visit(&visit);
                first = begin(&visit, 10, "keep");
                second = begin(&visit, 1000, "ask");
                talk_run(visit.loop, 5);
                if (i == 0) {
                        ferry_call_await(first);
                        judge(&visit, first, 0, -ETIMEDOUT);
                } else
                        ferry_call_free(first);
                ferry_call_await(second);
                judge(&visit, second, 1, i == 0 ? -ETIMEDOUT : -ECANCELED);
                talk_run(visit.loop, 20);
                close_visit(&visit);
        }
}

/* The service stops: it tells its clients, and waits for them. */
static void stopping(void)
{
        struct visit visit;
        int code;

        open_visit(&visit);
        ask(&visit, "ask", 0);
        say(&visit);
        code = ferry_service_close(visit.service);
        fault_answer(FAULT_MEET, "close", code, 0, ferry_service_error(visit.service));
        code = ferry_loop_run(visit.loop, 10000);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(visit.loop));
        fault_want(visit.closed == 1);
        close_visit(&visit);
}

/* Closed before either side has begun; and without a listener. */
static void early(void)
{
        struct visit visit;
        ferry_session *vain;
        int code;

        open_visit(&visit);
        vain = ferry_session_open(visit.loop, "vacant", &(ferry_session_options){ .dialect = FERRY_DIALECT_INNMIND,
                                                                                  .wait_ms = 1000 });
        say(&visit);
        ferry_session_free(visit.client);
        ferry_session_free(vain);
        code = ferry_loop_run(visit.loop, 50);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(visit.loop));
        fault_want(visit.heard == visit.said);
        close_visit(&visit);
}

/* A peer that is no library. */
static void put(int fd, const char *text)
{
        char frame[128] = "\0\xatext/plain\0\0";
        size_t size = strlen(text);

        frame[15] = (char)size;
        memcpy(frame + 16, text, size);
        frame[16 + size] = (char)0xce;
        if (send(fd, frame, 17 + size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
                fault_flaw("send: %m");
}

static ferry_session *open_strange(ferry_loop *loop, int fds[2])
{
        ferry_session *session;
        int code;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                fault_flaw("socketpair: %m");
        session = ferry_session_open(loop, NULL, &(ferry_session_options){
                .dialect = FERRY_DIALECT_INNMIND, .fds = (const int[]){ fds[0], fds[0], -1 } });
        code = ferry_session_status(session);
        if (!fault_answer(FAULT_END, "open", code, 1, ferry_session_error(session)))
                close(fds[0]);
        return session;
}

/* It closes, with a call in flight; it talks nonsense; it does not read. */
static void strangers(void)
{
        static const char *const words[] = { "innmind/ipc:connection.close", "\xce\xce\xce" };

        for (int i = 0; i < 2; i++) {
                ferry_loop *loop = ferry_loop_new(NULL);
                ferry_call *call;
                int fds[2];

                call = ferry_session_request(open_strange(loop, fds), 1000, "text/plain", "'x'");
                put(fds[1], "innmind/ipc:connection.start");
                talk_run(loop, 5);
                put(fds[1], "innmind/ipc:heartbeat");
                put(fds[1], "news");
                if (i == 0)
                        put(fds[1], words[i]);
                else if (send(fds[1], words[i], 3, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
                        fault_flaw("send: %m");
                ferry_call_await(call);
                fault_check(ferry_call_status(call) < 0);
                fault_answer(FAULT_END, "a call", ferry_call_status(call), i == 0 ? -ECONNRESET : -EBADMSG,
                             ferry_call_error(call));
                talk_run(loop, 5);
                put(fds[1], "innmind/ipc:connection.close-ok");
                talk_run(loop, 5);
                ferry_call_free(call);
                ferry_loop_free(loop);
                close(fds[1]);
        }
}

/* The other side reads nothing until all is full: frames wait as they are. Whatever was refused meanwhile, what has come
 * in the end is frames, and if the last is not whole nothing stands behind it. */
static void full(void)
{
        static char bytes[1 << 20];
        char text[20001];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        size_t size = 0, at = 48;
        ssize_t got;
        int fds[2], code;

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        session = open_strange(loop, fds);
        put(fds[1], "innmind/ipc:connection.start");
        for (int i = 0; i < 30; i++) {
                code = ferry_session_notify(session, "text/plain", "%s", text);
                fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(session));
        }
        talk_run(loop, 5);
        for (int i = 0; i < 20; i++) {
                while ((got = recv(fds[1], bytes + size, sizeof bytes - size, MSG_DONTWAIT)) > 0)
                        size += (size_t)got;
                talk_run(loop, 5);
        }
        for (; at < size; at += 20017)
                fault_check(size - at < 16 || memcmp(bytes + at, "\0\xatext/plain\0\0\x4e\x20", 16) == 0 ||
                            memcmp(bytes + at, "\0\xatext/plain\0\0\0\x1cinnmind/ipc:connection.close\xce", 45) == 0);
        fault_want(size == 48 + 30 * 20017);
        ferry_loop_free(loop);
        close(fds[1]);
}

/* A directory of the program's choice, and one that is not there. */
static void elsewhere(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session_options options = { .dialect = FERRY_DIALECT_INNMIND, .name_directory = fault_path("nowhere") };
        ferry_service *service;
        ferry_session *session;
        int code;

        session = ferry_session_open(loop, "name", &options);
        code = ferry_session_status(session);
        fault_answer(FAULT_MEET, "open", code, -ENOENT, ferry_session_error(session));
        service = ferry_service_open(loop, "name", &(ferry_service_options){
                .dialects = FERRY_DIALECT_INNMIND, .name_directory = options.name_directory });
        code = ferry_service_status(service);
        fault_answer(FAULT_MEET, "listen", code, 1, ferry_service_error(service));
        session = ferry_session_open(loop, "name", &options);
        code = ferry_session_flush(session, 1000);
        fault_answer(FAULT_MEET, "flush", code, 0, NULL);
        ferry_loop_free(loop);
        unlink(fault_path("nowhere/name.sock"));
        unlink(fault_path("nowhere/name.sock.lock"));
        rmdir(fault_path("nowhere"));
}

const struct scenario innmind_scenarios[] = {
        { .name = "innmind-talking", .run = talking },
        { .name = "innmind-failing", .run = failing },
        { .name = "innmind-giving-up", .run = giving_up },
        { .name = "innmind-stopping", .run = stopping },
        { .name = "innmind-early", .run = early },
        { .name = "innmind-strangers", .run = strangers },
        { .name = "innmind-full", .run = full, .is_uncut = true },
        { .name = "innmind-elsewhere", .run = elsewhere },
        { .name = NULL },
};
