/* Sessions that connect again, services at given sockets, services that hand over, and reports to a supervisor. */
#include "fault/talk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *address(void)
{
        static char text[300];

        snprintf(text, sizeof text, "unix:%s", fault_path("socket"));
        return text;
}

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        fault_answer(FAULT_SEND, "reply", ferry_message_reply(request, NULL, NULL), 0, NULL);
        return 1;
}

static ferry_service *serve(ferry_loop *loop, const char *there, const ferry_service_options *options)
{
        ferry_service *service = ferry_service_open(loop, there, options);
        int code = ferry_service_status(service);

        fault_answer(FAULT_MEET, "listen", code, 1, ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, answer, NULL);
        return service;
}

static int note(ferry_session *session, const ferry_message *message, void *userdata)
{
        unsigned *seen = userdata;

        (void)session;
        *seen |= (unsigned)ferry_message_kind(message);
        return 0;
}

static void tick_until(ferry_loop *loop, const unsigned *seen, unsigned kinds)
{
        for (int i = 0; i < 300 && !(*seen & kinds); i++)
                if (ferry_loop_tick(loop, 1000) < 0)
                        return;
}

static bool ask(ferry_session *session)
{
        ferry_call *call = ferry_session_request(session, 5000, "t", "'x'");
        bool is_answered = ferry_call_await(call) != NULL;

        fault_want(is_answered);
        ferry_call_free(call);
        return is_answered;
}

/* What is not connected again in spite of the fault has ended with a sentence. */
static void reconnected(void)
{
        const ferry_session_options again = { .reconnect_ms = 60000, .queue_max = 1 << 20 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = serve(loop, address(), NULL);
        ferry_session *session = ferry_session_open(loop, address(), &again);
        unsigned seen = 0;
        int code;

        ferry_session_on(session, FERRY_KIND_LOST | FERRY_KIND_RESUMED | FERRY_KIND_CLOSED, note, &seen);
        ferry_session_subscribe(session, "a.*");
        ask(session);
        ferry_call_then(ferry_session_request(session, -1, "t", NULL), NULL, NULL);
        ferry_service_free(service);
        tick_until(loop, &seen, FERRY_KIND_LOST | FERRY_KIND_CLOSED);
        ferry_session_notify(session, "t", "'x'");
        ferry_session_subscribe(session, "b.*");
        service = serve(loop, address(), NULL);
        tick_until(loop, &seen, FERRY_KIND_RESUMED | FERRY_KIND_CLOSED);
        code = ferry_session_status(session);
        if (seen & FERRY_KIND_RESUMED)
                ask(session);
        fault_answer(FAULT_MEET, "status", code, 1, ferry_session_error(session));
        fault_want(seen == (FERRY_KIND_LOST | FERRY_KIND_RESUMED));
        fault_want(ferry_service_notify(service, "b.x", NULL) == 1);
        ferry_loop_free(loop);
}

static void abandoned(void)
{
        const ferry_session_options again = { .reconnect_ms = -1, .reconnect_attempts = 2 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = serve(loop, address(), NULL);
        ferry_session *session = ferry_session_open(loop, address(), &again);
        unsigned seen = 0;

        ferry_session_on(session, FERRY_KIND_LOST | FERRY_KIND_CLOSED, note, &seen);
        ask(session);
        ferry_service_free(service);
        tick_until(loop, &seen, FERRY_KIND_CLOSED);
        fault_answer(FAULT_MEET, "status", ferry_session_status(session), -ECONNRESET, ferry_session_error(session));
        fault_want(seen == (FERRY_KIND_LOST | FERRY_KIND_CLOSED));
        ferry_loop_free(loop);
}

/* A socket that blocks, and one that is not a stream. */
static void given(void)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        ferry_loop *loop = ferry_loop_new(NULL);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), wrong = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ferry_service_options options = { .fds = (const int[]){ fd, -1 } };
        ferry_service *service;
        int code;

        snprintf(name.sun_path, sizeof name.sun_path, "%s", fault_path("socket"));
        fault_check(bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 4) == 0);
        service = serve(loop, NULL, &options);
        if (ferry_service_status(service) == 1) {
                fault_want(strcmp(ferry_service_address(service), address()) == 0);
                ask(ferry_session_open(loop, address(), NULL));
        } else
                close(fd);
        options.fds = (const int[]){ wrong, -1 };
        code = ferry_service_status(ferry_service_open(loop, NULL, &options));
        fault_answer(FAULT_MEET, "listen", code, -EINVAL, NULL);
        fault_check(code < 0);
        close(wrong);
        ferry_loop_free(loop);
        unlink(name.sun_path);
}

static void supervised(void)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), code;

        snprintf(name.sun_path, sizeof name.sun_path, "%s", fault_path("socket"));
        fault_check(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
        code = ferry_supervisor_notify(name.sun_path, "READY=1");
        fault_answer(FAULT_MEET, "notify", code, 1, NULL);
        close(fd);
        unlink(name.sun_path);
}

static int agree(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ferry_service_hand_over(ferry_session_service(session), session);
        return 1;
}

/* Whatever fails: one of both services has the place, and answers. */
static void handed_over(void)
{
        const ferry_session_options again = { .reconnect_ms = 60000 };
        const ferry_service_options next = { .is_taking_over = true };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *old = serve(loop, address(), NULL), *successor;
        ferry_session *session = ferry_session_open(loop, address(), &again);
        unsigned seen = 0;
        int code;

        ferry_service_on(old, FERRY_KIND_SUCCESSOR, agree, NULL);
        ferry_session_on(session, FERRY_KIND_RESUMED | FERRY_KIND_CLOSED | FERRY_KIND_LOST, note, &seen);
        ask(session);
        successor = ferry_service_open(loop, address(), &next);
        code = ferry_service_status(successor);
        /* Where the other one could not send, or had no memory, it says so; a lock whose file is gone is not taken over. */
        fault_answer(FAULT_MEET, "take over", code, !fault_is_absent() && (code == -EACCES || code == -EINVAL) ? code : 1,
                     ferry_service_error(successor));
        ferry_service_on(successor, FERRY_KIND_REQUEST, answer, NULL);
        fault_want(code == 1 && ferry_service_status(old) == 0);
        ask(session);
        fault_want(seen == FERRY_KIND_RESUMED);
        ferry_loop_free(loop);
        unlink(fault_path("socket"));
        unlink(fault_path("socket.lock"));
}

const struct scenario handing_scenarios[] = {
        { .name = "handed-over", .run = handed_over, .is_whole = true },
        { .name = "reconnected", .run = reconnected, .is_whole = true },
        { .name = "abandoned", .run = abandoned, .is_whole = true },
        { .name = "given", .run = given, .is_whole = true },
        { .name = "supervised", .run = supervised, .is_whole = true },
        { .name = NULL },
};
