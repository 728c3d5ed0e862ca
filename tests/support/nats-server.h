/* A NATS server that a test plays itself: it says what the test says, and hears what a client says. One connection is spoken with at
 * a time, by `server`; a test with several changes that. A test program includes this once. */
#pragma once

#include "support/suite.h"

#include <ferry/ferry.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, TEXT_MAX = 64, HEARD_MAX = 1 << 16, INBOX_MAX = 80 };

static ferry_loop *loop;
static int listener = -1, server = -1;
static char url[TEXT_MAX], heard[HEARD_MAX];
static size_t heard_size;
static bool is_answering;               /* pings */

static inline int listen_anywhere(char place[TEXT_MAX])
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof name;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(listen(fd, 4), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &size), 0);
        snprintf(place, TEXT_MAX, "nats://127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
        return fd;
}

static inline void tick(void)
{
        int code = ferry_loop_tick(loop, 5);

        ck_assert_msg(code >= 0 || code == -ETIMEDOUT, "%d: %s", code, ferry_loop_error(loop));
}

static inline int accept_at(int fd)
{
        int client, on = 1;

        for (int i = 0; i < PATIENCE_MS / 5; i++) {
                client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (client >= 0) {
                        ck_assert_int_eq(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
                        heard_size = 0;
                        *heard = '\0';
                        return client;
                }
                tick();
        }
        ck_abort_msg("nothing connects");
        return -1;
}

static inline void say(const char *text)
{
        ck_assert_int_eq(send(server, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Read what there is; false at the end. */
static inline bool hear_more(void)
{
        ssize_t got = recv(server, heard + heard_size, sizeof heard - heard_size - 1, 0);

        if (got <= 0)
                return got != 0;
        heard[heard_size + (size_t)got] = '\0';
        if (is_answering && strstr(heard + heard_size, "PING\r\n"))
                say("PONG\r\n");
        heard_size += (size_t)got;
        return true;
}

/* Until the client has said so. */
static inline const char *hear(const char *text)
{
        const char *at = NULL;

        for (int i = 0; i < PATIENCE_MS / 5 && !at; i++) {
                hear_more();
                at = strstr(heard, text);
                if (!at)
                        tick();
        }
        ck_assert_msg(at != NULL, "not heard: %s; but %s", text, heard);
        return at;
}

static inline void forget_heard(void)
{
        heard_size = 0;
        *heard = '\0';
}

static inline void take_login(const char *more)
{
        char info[256];

        snprintf(info, sizeof info, "INFO {\"headers\":true,\"max_payload\":1000000%s}\r\n", more);
        say(info);
        hear("PING\r\n");
        say("PONG\r\n");
}

static inline size_t count_heard(const char *text)
{
        size_t count = 0;

        for (const char *at = heard; (at = strstr(at, text)); at++)
                count++;
        return count;
}

/* The inbox of the last request, and how often that was heard. */
static inline void find_reply(char inbox[INBOX_MAX])
{
        const char *at = hear("HPUB shout _INBOX.");

        hear("\r\n\r\nhello\r\n");
        ck_assert_int_eq(sscanf(at, "HPUB shout %79s", inbox), 1);
}

static inline void answer(const char *inbox, const char *headers, const char *body)
{
        char text[512], block[256];
        int size = snprintf(block, sizeof block, "NATS/1.0\r\n%s\r\n", headers);

        snprintf(text, sizeof text, "HMSG %s 1 %d %zu\r\n%s%s\r\n", inbox, size, (size_t)size + strlen(body), block, body);
        say(text);
}

/* A request to the listener. */
static inline void ask(const char *reply, const char *type)
{
        char text[512], block[256];
        int size = snprintf(block, sizeof block, "NATS/1.0\r\nFerry-Type: %s\r\nFerry-Accept: 1\r\n\r\n", type);

        snprintf(text, sizeof text, "HMSG shout 2 %s %d %d\r\n%s\r\n", reply, size, size, block);
        say(text);
}
