/* Sessions with a NATS server, which is a small one in another process: the login, requests that are answered, not answered and
 * refused, a listener, a server that does not answer. Whatever the fault: what is said to be not executed was not. */
#include "fault/fault.h"
#include "support/toy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, TEXT_MAX = 64, BYTES_MAX = 4096 };

/* A socket that listens at a port of its own. */
static int hold_port(char url[TEXT_MAX], int backlog)
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof name;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || listen(fd, backlog) < 0 ||
            getsockname(fd, (struct sockaddr *)&name, &size) < 0)
                fault_flaw("a port: %m");
        snprintf(url, TEXT_MAX, "nats://127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
        return fd;
}

static void say(int fd, const char *text)
{
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static const char kept_request[] = "HMSG kept 2 answer.%d 29 31\r\nNATS/1.0\r\nFerry-Accept: 1\r\n\r\nhi\r\n";

/* Whether it is the first request of its session. The inbox is random. */
static bool is_first(const char *reply)
{
        const char *dot = strrchr(reply, '.');

        return dot && strcmp(dot, ".1") == 0;
}

/* A line of the client, and what stands behind it is in @rest: how many bytes of that belong to it; -1: not all is there; -2: the
 * connection ends. */
static int hear(int fd, const char *line, size_t rest, int connection)
{
        char subject[256], reply[256] = "", text[600];
        int headers, total;

        if (strncmp(line, "PING", 4) == 0)
                say(fd, "PONG\r\n");
        if (strncmp(line, "SUB kept ", 9) == 0 || strncmp(line, "UNSUB 2", 7) == 0) {
                snprintf(text, sizeof text, kept_request, *line == 'S' ? 1 : 2);
                say(fd, text);
        }
        if (strncmp(line, "SUB shout ", 10) == 0)
                say(fd, "-ERR 'Permissions Violation for Publish to \"other\"'\r\n"
                        "HMSG shout 2 answer.1 44 49\r\nNATS/1.0\r\nFerry-Type: x\r\nFerry-Accept: 1\r\n\r\nhello\r\n"
                        "MSG $SRV.STATS 9 answer.2 0\r\n\r\n"
                        "MSG shout 2 4\r\nnote\r\n");
        if (strncmp(line, "HPUB ", 5) != 0)
                return 0;
        if (sscanf(line, "HPUB %255s %255s %d %d", subject, reply, &headers, &total) != 4) {
                *reply = '\0';
                if (sscanf(line, "HPUB %255s %d %d", subject, &headers, &total) != 3)
                        return 0;
        }
        if (rest < (size_t)total + 2)
                return -1;
        if (strcmp(subject, "fleeting") == 0 && connection == 1)
                return -2;
        if (strcmp(subject, "mute") == 0)
                return total + 2;
        if (strcmp(subject, "held") == 0)
                snprintf(text, sizeof text, "HMSG %s 1 53 53\r\nNATS/1.0\r\nFerry-Outcome: accepted\r\nFerry-Beat: 10\r\n\r\n\r\n", reply);
        else if (strcmp(subject, "denied") == 0)
                snprintf(text, sizeof text, "-ERR 'Permissions Violation for Publish to \"denied\"'\r\n");
        else if (strcmp(subject, "echo") == 0 || strcmp(subject, "fleeting") == 0 ||
                 (strcmp(subject, "at-last") == 0 && !is_first(reply)))
                snprintf(text, sizeof text, "HMSG %s 1 31 38\r\nNATS/1.0\r\nFerry-Codec: json\r\n\r\n{\"n\":1}\r\n", reply);
        else
                snprintf(text, sizeof text, "HMSG %s 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", reply);
        if (*reply)
                say(fd, text);
        return total + 2;
}

static void attend(int fd, int connection)
{
        char bytes[BYTES_MAX];
        size_t used = 0;
        ssize_t got;

        say(fd, "INFO {\"headers\":true,\"max_payload\":1000,\"connect_urls\":[\"127.0.0.1:1\"]}\r\n"
                "INFO {\"headers\":true,\"connect_urls\":[\"there:1\"]}\r\n");
        while ((got = recv(fd, bytes + used, sizeof bytes - used - 1, 0)) > 0) {
                char *end;

                used += (size_t)got;
                bytes[used] = '\0';
                while ((end = strstr(bytes, "\r\n"))) {
                        size_t rest = used - (size_t)(end + 2 - bytes);
                        int more;

                        *end = '\0';
                        more = hear(fd, bytes, rest, connection);
                        *end = '\r';
                        if (more == -2) {
                                close(fd);
                                return;
                        }
                        if (more < 0)
                                break;
                        used = rest - (size_t)more;
                        memmove(bytes, end + 2 + more, used + 1);
                }
        }
        close(fd);
}

static pid_t start_server(char url[TEXT_MAX])
{
        int listener = hold_port(url, 4), fd, connection = 0;
        pid_t child = fork();

        if (child == 0) {
                while ((fd = accept(listener, NULL, NULL)) >= 0) {
                        connection++;
                        /* There may be several sessions. */
                        if (fork() == 0) {
                                attend(fd, connection);
                                _exit(0);
                        }
                        close(fd);
                }
                _exit(0);
        }
        close(listener);
        return child;
}

static void end_server(pid_t server)
{
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
}

static ferry_session *open_at(ferry_loop *loop, const char *address, const char *url, bool is_listening)
{
        const ferry_session_options options = { .nats_url = url, .is_listening = is_listening };
        ferry_session *session = ferry_session_open(loop, address, &options);

        fault_answer(FAULT_MEET, "open", ferry_session_status(session), 1, ferry_session_error(session));
        return session;
}

static void ask(ferry_session *session, int expected, enum ferry_outcome outcome)
{
        ferry_call *call = ferry_session_request(session, PATIENCE_MS, "x", "{n: 1}");
        const ferry_message *reply = ferry_call_await(call);

        int code = ferry_call_status(call);

        /* Where the second address of a host fails, the reason may be that of the first. */
        if (!fault_is_absent() && code == -ECONNREFUSED)
                expected = code;
        fault_answer(FAULT_END, "a call", code, expected, ferry_call_error(call));
        if (code == expected && code != -ECONNREFUSED)
                fault_check(ferry_call_outcome(call) == outcome || fault_is_memory() || fault_error());
        if (reply && !fault_is_memory())
                fault_check(ferry_value_int(ferry_message_get(reply, "n"), 0) == 1);
        ferry_call_free(call);
}

static void requests(void)
{
        char url[TEXT_MAX];
        pid_t server = start_server(url);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_at(loop, "nats:echo", url, false);
        ferry_call *large = ferry_session_request(session, PATIENCE_MS, "x", "'%1000d'", 1);
        int code;

        ask(session, 0, FERRY_OUTCOME_REPLIED);
        /* It was queued before the server has said how much it takes. */
        ferry_call_await(large);
        fault_answer(FAULT_END, "a larger call", ferry_call_status(large), -EMSGSIZE, ferry_call_error(large));
        ferry_call_free(large);
        code = ferry_session_notify(session, "x", "'text'");
        fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(session));
        code = ferry_session_flush(session, PATIENCE_MS);
        fault_answer(FAULT_WAIT, "flush", code, 0, ferry_session_error(session));
        ferry_session_free(session);
        ferry_loop_free(loop);
        end_server(server);
}

static void refusals(void)
{
        char url[TEXT_MAX];
        pid_t server = start_server(url);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_at(loop, "nats:vacant", url, false);

        ask(session, -ECONNREFUSED, FERRY_OUTCOME_NOT_EXECUTED);
        ferry_session_free(session);
        ferry_loop_free(loop);
        loop = ferry_loop_new(NULL);
        session = open_at(loop, "nats:denied", url, false);
        ask(session, -EACCES, FERRY_OUTCOME_NOT_EXECUTED);
        ferry_loop_free(loop);
        end_server(server);
}

struct heard {
        unsigned requests, notes, errors;
};

static int hear_message(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct heard *heard = userdata;

        if (ferry_message_kind(message) == FERRY_KIND_ERROR)
                heard->errors++;
        if (ferry_message_kind(message) == FERRY_KIND_NOTIFICATION)
                heard->notes++;
        if (ferry_message_kind(message) == FERRY_KIND_REQUEST) {
                heard->requests++;
                fault_answer(FAULT_SEND, "set_listening", ferry_session_set_listening(session, false), 0, NULL);
                fault_answer(FAULT_SEND, "set_listening", ferry_session_set_listening(session, true), 0, NULL);
                fault_answer(FAULT_SEND, "reply", ferry_message_reply(message, NULL, "'HELLO'"), 0, NULL);
        }
        if (ferry_message_kind(message) == FERRY_KIND_CLOSED || heard->notes > 0)
                ferry_loop_stop(ferry_session_loop(session), 0);
        return 1;
}

static void listener(void)
{
        char url[TEXT_MAX];
        pid_t server = start_server(url);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_at(loop, "nats:shout", url, true);
        struct heard heard = { 0 };
        int code;

        ferry_session_on(session, FERRY_KIND_REQUEST | FERRY_KIND_NOTIFICATION | FERRY_KIND_ERROR | FERRY_KIND_CLOSED, hear_message,
                         &heard);
        code = ferry_loop_run(loop, PATIENCE_MS);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(loop));
        fault_want(heard.requests == 1 && heard.notes == 1 && heard.errors == 1);
        fault_check(heard.requests <= 1 && heard.notes <= 1);
        ferry_session_free(session);
        ferry_loop_free(loop);
        end_server(server);
}

/* The first connection ends when it has heard a request. */
static void again(void)
{
        char url[TEXT_MAX];
        pid_t server = start_server(url);
        ferry_loop *loop = ferry_loop_new(NULL);
        const ferry_session_options options = { .nats_url = url, .reconnect_ms = 60000 };
        ferry_session *session = ferry_session_open(loop, "nats:fleeting", &options);

        fault_answer(FAULT_MEET, "open", ferry_session_status(session), 1, ferry_session_error(session));
        ask(session, -ECONNRESET, FERRY_OUTCOME_UNKNOWN);
        ask(session, 0, FERRY_OUTCOME_REPLIED);
        ferry_session_free(session);
        ferry_loop_free(loop);
        end_server(server);
}

static void ask_briefly(ferry_session *session)
{
        ferry_call *call = ferry_session_request(session, 40, "a type that is longer than the room for most of them", "'hi'");

        ferry_call_await(call);
        fault_answer(FAULT_END, "a call", ferry_call_status(call), -ETIMEDOUT, ferry_call_error(call));
        ferry_call_free(call);
}

/* A process accepts a request, and is silent then; none accepts another one. */
static void silence_of_a_process(void)
{
        char url[TEXT_MAX];
        pid_t server = start_server(url);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_at(loop, "nats:held", url, false);

        ask(session, -ECONNRESET, FERRY_OUTCOME_UNKNOWN);
        ask_briefly(session);
        ferry_session_free(session);
        ferry_loop_free(loop);
        loop = ferry_loop_new(NULL);
        session = open_at(loop, "nats:mute", url, false);
        ask_briefly(session);
        ferry_loop_free(loop);
        end_server(server);
}

static ferry_message *kept;

static int keep(ferry_session *session, const ferry_message *request, void *userdata)
{
        unsigned *count = userdata;

        (void)session;
        if (++*count == 1)
                kept = ferry_message_ref(request);
        return 1;
}

enum { KEPT_MS = 30, TRIES_MAX = 300 };

static unsigned tries;

static int answer_kept(ferry_loop *loop, void *userdata)
{
        ferry_session *session = userdata;

        /* On a busy machine the request takes longer; with a fault it may never come. */
        if (!kept && fault_is_absent() && ++tries < TRIES_MAX) {
                ferry_loop_after(loop, KEPT_MS, answer_kept, session);
                return 0;
        }
        if (kept)
                fault_answer(FAULT_SEND, "reply", ferry_message_reply(kept, NULL, "'HELLO'"), 0, NULL);
        ferry_message_unref(kept);
        kept = NULL;
        ferry_session_close(session);
        return 0;
}

/* A request is in hand for some heartbeats; another one comes when the listener closes. */
static void in_hand(void)
{
        char url[TEXT_MAX];
        pid_t server = start_server(url);
        ferry_loop *loop = ferry_loop_new(NULL);
        const ferry_session_options options = { .nats_url = url, .is_listening = true, .heartbeat_ms = 5 };
        ferry_session *session = ferry_session_open(loop, "nats:kept", &options);
        unsigned count = 0;
        int code;

        fault_answer(FAULT_MEET, "open", ferry_session_status(session), 1, ferry_session_error(session));
        ferry_session_on(session, FERRY_KIND_REQUEST, keep, &count);
        tries = 0;
        ferry_loop_after(loop, KEPT_MS, answer_kept, session);
        code = ferry_loop_run(loop, PATIENCE_MS);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(loop));
        fault_want(count == 1);
        fault_check(count <= 1);
        ferry_message_unref(kept);
        kept = NULL;
        ferry_session_free(session);
        ferry_loop_free(loop);
        end_server(server);
}

static int close_service(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ferry_service_close(userdata);
        return 0;
}

static int serve(ferry_session *session, const ferry_message *message, void *userdata)
{
        unsigned *requests = userdata;

        if (ferry_message_kind(message) == FERRY_KIND_REQUEST) {
                ++*requests;
                fault_answer(FAULT_SEND, "reply", ferry_message_reply(message, NULL, "'HELLO'"), 0, NULL);
        } else
                ferry_loop_after(ferry_session_loop(session), 0, close_service, ferry_session_service(session));
        return 1;
}

static void service(void)
{
        char url[TEXT_MAX];
        pid_t server = start_server(url);
        ferry_loop *loop = ferry_loop_new(NULL);
        const ferry_session_options of_session = { .nats_url = url, .reconnect_ms = 1 };
        ferry_service *service = ferry_service_open(loop, "nats:shout", &(ferry_service_options){ .session = &of_session });
        unsigned requests = 0;
        int code;

        fault_answer(FAULT_MEET, "open", ferry_service_status(service), 1, ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST | FERRY_KIND_NOTIFICATION, serve, &requests);
        code = ferry_loop_run(loop, PATIENCE_MS);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(loop));
        fault_want(requests == 1);
        fault_check(requests <= 1);
        ferry_service_free(service);
        ferry_loop_free(loop);
        end_server(server);
}

/* There is room for one connection, and that is taken: a server that neither accepts nor refuses. */
static void silence(void)
{
        char url[TEXT_MAX];
        struct sockaddr_in name = { .sin_family = AF_INET };
        socklen_t size = sizeof name;
        int held = hold_port(url, 0), taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        if (getsockname(held, (struct sockaddr *)&name, &size) < 0 || connect(taken, (struct sockaddr *)&name, sizeof name) < 0)
                fault_flaw("connect: %m");
        session = ferry_session_open(loop, "nats:x", &(ferry_session_options){ .nats_url = url, .wait_ms = 20 });
        for (int i = 0; i < 30 && ferry_session_status(session) >= 0; i++)
                ferry_loop_run(loop, 100);
        fault_answer(FAULT_MEET, "status", ferry_session_status(session), -ETIMEDOUT, ferry_session_error(session));
        fault_check(ferry_session_status(session) < 0);
        ferry_loop_free(loop);
        close(taken);
        close(held);
}

/* A getent of the test's own. The first address refuses. */
static void names(void)
{
        static const char script[] = "#!/bin/sh\necho 127.0.0.2 STREAM $2\necho 127.0.0.1 STREAM\n";
        char url[TEXT_MAX], name[TEXT_MAX], path[4096];
        pid_t server = start_server(url);
        const char *file = fault_path("getent"), *paths = getenv("PATH");
        const ferry_session_options options = { .nats_url = name };
        FILE *out = fopen(file, "we");
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        ferry_call *call;

        if (!out || fputs(script, out) < 0 || fchmod(fileno(out), 0700) < 0 || fclose(out) != 0)
                fault_flaw("getent: %m");
        snprintf(path, sizeof path, "%.*s", (int)(strrchr(file, '/') - file), file);
        setenv("PATH", path, 1);
        snprintf(name, sizeof name, "nats://some-host%s", strrchr(url, ':'));
        session = ferry_session_open(loop, "nats:echo", &options);
        /* What cannot be found is not installed. */
        if (fault_error() != ENOENT || ferry_session_status(session) != -EOPNOTSUPP) {
                fault_answer(FAULT_MEET, "open", ferry_session_status(session), 1, ferry_session_error(session));
                call = ferry_session_request(session, PATIENCE_MS, "x", "{n: 1}");
                ferry_call_await(call);
                /* Where the second address cannot be tried, there is what the first has said. */
                fault_answer(FAULT_MEET, "a call", ferry_call_status(call), 0, ferry_call_error(call));
                ferry_call_free(call);
        }
        ferry_session_free(session);
        session = ferry_session_open(loop, "nats:echo", &(ferry_session_options){ .nats_url = "nats://-host" });
        fault_answer(FAULT_MEET, "a wrong host", ferry_session_status(session), -EINVAL, ferry_session_error(session));
        ferry_loop_free(loop);
        if (paths)
                setenv("PATH", paths, 1);
        else
                unsetenv("PATH");
        unlink(file);
        end_server(server);
}

/* A request that is not taken waits again; without a worker it ends. */
static void give_to(ferry_loop *loop, const char *url, const char *address, int expected)
{
        const ferry_session_options session = { .nats_url = url, .wait_ms = expected ? 20 : PATIENCE_MS };
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        int code = ferry_manager_connect(manager, address, &(ferry_remote_options){ .session = &session });
        ferry_call *call;

        fault_answer(FAULT_MEET, "connect", code, 0, manager ? ferry_loop_error(loop) : NULL);
        if (!code) {
                call = ferry_manager_request(manager, PATIENCE_MS, "x", "{n: 1}");
                ferry_call_await(call);
                code = ferry_call_status(call);
                /* A session that has failed leaves no worker. */
                if (code != -ECHILD || fault_is_absent())
                        fault_answer(FAULT_END, "a call", code, expected, ferry_call_error(call));
                fault_check(code != -ECHILD || ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED);
                fault_check(code == 0 || ferry_call_outcome(call) != FERRY_OUTCOME_REPLIED || fault_is_memory());
                ferry_call_free(call);
        }
        ferry_manager_free(manager);
}

static void workers(void)
{
        char url[TEXT_MAX];
        pid_t server = start_server(url);
        ferry_loop *loop = ferry_loop_new(NULL);

        give_to(loop, url, "nats:at-last", 0);
        give_to(loop, url, "nats:vacant", -ECONNREFUSED);
        ferry_loop_free(loop);
        end_server(server);
}

static bool was_connected_to(int held)
{
        struct pollfd poll_held = { .fd = held, .events = POLLIN };

        return poll(&poll_held, 1, 0) > 0;
}

/* The kernel accepts connections at two servers, and no process speaks. */
static void dumbness(void)
{
        char first[TEXT_MAX], second[TEXT_MAX], both[2 * TEXT_MAX];
        int held[] = { hold_port(first, 4), hold_port(second, 4) };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        snprintf(both, sizeof both, "%s,%s", first, second);
        session = open_at(loop, "nats:x", both, true);
        ferry_loop_run(loop, 20000);
        fault_answer(FAULT_MEET, "status", ferry_session_status(session), -ETIMEDOUT, ferry_session_error(session));
        fault_check(ferry_session_status(session) < 0);
        if (fault_is_absent())
                fault_check(was_connected_to(held[0]) && was_connected_to(held[1]));
        ferry_loop_free(loop);
        close(held[0]);
        close(held[1]);
}

/* By a toy in the stead of TLS, with a key; what does not fit into the socket at once; and a server that has no more to say. */
static void tls(void)
{
        static const char seed[] = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n";
        char url[TOY_URL_MAX];
        pid_t server = toy_start(TOY_UPDATES, url);
        const char *file = fault_path("key");
        const ferry_session_options options = { .nats_url = url, .nats_nkey = file };
        FILE *out = fopen(file, "we");
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int code;

        if (!out || fputs(seed, out) < 0 || fclose(out) != 0)
                fault_flaw("a key: %m");
        setenv("FERRY_TLS_MODULE", BUILD_DIRECTORY "/tests/libtoy-tls.so", 1);
        session = ferry_session_open(loop, "nats:echo", &options);
        /* What cannot be loaded is not installed. */
        if (!fault_error() || ferry_session_status(session) != -EOPNOTSUPP) {
                fault_answer(FAULT_MEET, "open", ferry_session_status(session), 1, ferry_session_error(session));
                ask(session, 0, FERRY_OUTCOME_REPLIED);
                code = ferry_session_notify(session, "x", "'text'");
                fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(session));
                code = ferry_session_flush(session, PATIENCE_MS);
                fault_answer(FAULT_WAIT, "flush", code, 0, ferry_session_error(session));
                ferry_session_close(session);
                ferry_loop_run(loop, PATIENCE_MS);
        }
        ferry_session_free(session);
        /* A server that the module does not want. */
        session = ferry_session_open(loop, "nats:echo", &(ferry_session_options){ .nats_url = url, .nats_ca = "x" });
        for (int i = 0; i < 10 && ferry_session_status(session) == 1; i++)
                ferry_loop_tick(loop, PATIENCE_MS);
        if (!fault_error() || ferry_session_status(session) != -EOPNOTSUPP)
                fault_answer(FAULT_MEET, "a file of certificates", ferry_session_status(session), -EINVAL, ferry_session_error(session));
        ferry_session_free(session);
        /* A file that says nothing. */
        out = fopen(file, "we");
        if (!out || fclose(out) != 0)
                fault_flaw("a file: %m");
        session = ferry_session_open(loop, "nats:echo", &options);
        if (fault_error() && ferry_session_status(session) == -EOPNOTSUPP)
                fault_check(*ferry_session_error(session));
        else
                fault_answer(FAULT_MEET, "an empty file", ferry_session_status(session), -EINVAL, ferry_session_error(session));
        ferry_loop_free(loop);
        unlink(file);
        toy_end(server);
}

const struct scenario nats_scenarios[] = {
        { .name = "nats-requests", .run = requests, .patience_ms = PATIENCE_MS },
        { .name = "nats-refusals", .run = refusals, .patience_ms = PATIENCE_MS },
        { .name = "nats-listener", .run = listener, .patience_ms = PATIENCE_MS },
        { .name = "nats-workers", .run = workers, .patience_ms = PATIENCE_MS },
        { .name = "nats-names", .run = names, .patience_ms = PATIENCE_MS, .is_whole = true },
        { .name = "nats-again", .run = again, .patience_ms = PATIENCE_MS },
        { .name = "nats-held", .run = silence_of_a_process, .patience_ms = PATIENCE_MS },
        { .name = "nats-in-hand", .run = in_hand, .patience_ms = PATIENCE_MS },
        { .name = "nats-service", .run = service, .patience_ms = PATIENCE_MS },
        { .name = "nats-dumb", .run = dumbness },
        { .name = "nats-tls", .run = tls, .patience_ms = PATIENCE_MS, .is_whole = true },
        { .name = "nats-silence", .run = silence, .is_uncut = true },
        { .name = NULL },
};
