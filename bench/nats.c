/* Requests by way of a nats-server that the server's side starts: ferry, and a bare client that blocks, writes the protocol by hand, and
 * is answered by another one. */
#include "driver.h"

#include <arpa/inet.h>
#include <err.h>
#include <ferry/ferry.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 1 << 16, LINE_MAX_SIZE = 256, TRIES = 2000, TRY_US = 5000 };

static const struct subject subjects[] = {
        { "floor-nats", "floor-nats", 1 << WORK_ROUND_TRIP, false, false, 1, ROOM / 2 },
        { "ferry-nats", "floor-nats", 1 << WORK_ROUND_TRIP, false, false, 1, ROOM / 2 },
        { 0 },
};

static bool is_bare(void)
{
        return job.subject == &subjects[0];
}

/* A server of NATS --------------------------------------------------------------------------------------- */

static unsigned find_port(void)
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof name;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || getsockname(fd, (struct sockaddr *)&name, &size) < 0)
                err(1, "nats: no port");
        close(fd);
        return ntohs(name.sin_port);
}

static int connect_to(unsigned port)
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port) };
        int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        for (int i = 0; i < TRIES; i++) {
                if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0) {
                        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
                                err(1, "nats: TCP_NODELAY");
                        return fd;
                }
                usleep(TRY_US);
        }
        err(1, "nats: the server does not listen");
}

/* It ends with this process. */
static unsigned start_server(void)
{
        unsigned port = find_port();
        char text[16];
        pid_t pid = fork();

        snprintf(text, sizeof text, "%u", port);
        if (pid < 0)
                err(1, "fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                execl(NATS_SERVER, NATS_SERVER, "-a", "127.0.0.1", "-p", text, "-l", "/dev/null", (char *)NULL);
                _exit(127);
        }
        close(connect_to(port));
        return port;
}

/* The bare side ------------------------------------------------------------------------------------------ */

static int bare = -1;
static char received[ROOM + 1];
static size_t received_size;

static void send_all(const char *bytes, size_t size)
{
        while (size > 0) {
                ssize_t put = write(bare, bytes, size);

                if (put <= 0)
                        err(1, "floor-nats: write");
                bytes += put;
                size -= (size_t)put;
        }
}

static void receive_more(void)
{
        ssize_t got = read(bare, received + received_size, ROOM - received_size);

        if (got <= 0)
                err(1, "floor-nats: read");
        received_size += (size_t)got;
        received[received_size] = '\0';
}

static void drop(size_t size)
{
        received_size -= size;
        memmove(received, received + size, received_size + 1);
}

/* MSG SUBJECT SID [REPLY] SIZE, and its body: where that stands, and how much there is of both. PING is answered. */
static const char *receive(char reply[LINE_MAX_SIZE], size_t *ret_body, size_t *ret_whole)
{
        for (;;) {
                char *end = memchr(received, '\n', received_size), first[LINE_MAX_SIZE], second[LINE_MAX_SIZE];
                size_t line = end ? (size_t)(end + 1 - received) : 0;
                int count;

                if (!end) {
                        receive_more();
                        continue;
                }
                if (strncmp(received, "MSG ", 4) != 0) {
                        if (strncmp(received, "PING", 4) == 0)
                                send_all("PONG\r\n", 6);
                        drop(line);
                        continue;
                }
                *end = '\0';
                count = sscanf(received, "MSG %*255s %*255s %255s %255s", first, second);
                *end = '\n';
                snprintf(reply, LINE_MAX_SIZE, "%s", count == 2 ? first : "");
                *ret_body = strtoul(count == 2 ? second : first, NULL, 10);
                *ret_whole = line + *ret_body + 2;
                while (received_size < *ret_whole)
                        receive_more();
                return received + line;
        }
}

static void begin_bare(const char *subscription)
{
        char text[LINE_MAX_SIZE];
        int size = snprintf(text, sizeof text, "CONNECT {\"verbose\":false}\r\n%s\r\nPING\r\n", subscription);

        send_all(text, (size_t)size);
        while (!strstr(received, "PONG\r\n"))
                receive_more();
        drop(received_size);
}

static void serve_bare(void)
{
        begin_bare("SUB bench group 1");
        driver_ready();
        for (;;) {
                static char out[ROOM + LINE_MAX_SIZE];
                char reply[LINE_MAX_SIZE];
                const char *answer, *body;
                size_t size, whole;
                int head;

                body = receive(reply, &size, &whole);
                size = driver_take(body, size, &answer);
                head = snprintf(out, sizeof out, "PUB %s %zu\r\n", reply, size);
                memcpy(out + head, answer, size);
                memcpy(out + head + size, "\r\n", 2);
                if (size > 0)
                        send_all(out, (size_t)head + size + 2);
                drop(whole);
        }
}

static void request_bare(const char *body, size_t size)
{
        static char out[ROOM + LINE_MAX_SIZE];
        static unsigned long number;
        int head = snprintf(out, sizeof out, "PUB bench _INBOX.bare.%lu %zu\r\n", ++number, size);

        memcpy(out + head, body, size);
        memcpy(out + head + size, "\r\n", 2);
        send_all(out, (size_t)head + size + 2);
}

static void await_bare(void)
{
        char reply[LINE_MAX_SIZE];
        size_t size, whole;
        const char *body = receive(reply, &size, &whole);

        driver_check(body, size);
        drop(whole);
}

/* ferry -------------------------------------------------------------------------------------------------- */

static ferry_loop *loop;
static ferry_session *session;
static ferry_call *call;

static int take(ferry_session *from, const ferry_message *message, void *userdata)
{
        size_t size;
        const char *body = ferry_value_bytes(ferry_message_body(message), &size), *answer;

        (void)from, (void)userdata;
        size = driver_take(body, body ? size : 0, &answer);
        if (size == 0)
                return 1;
        return answer == body ? ferry_message_reply(message, NULL, "%p", ferry_arg(ferry_message_body(message))) :
                                ferry_message_reply(message, NULL, "%.*s", (int)size, answer);
}

static int is_opened(ferry_session *from, const ferry_message *message, void *userdata)
{
        (void)from, (void)message, (void)userdata;
        driver_ready();
        return 0;
}

static void open_ferry(unsigned port, bool is_listening)
{
        char url[64];

        snprintf(url, sizeof url, "nats://127.0.0.1:%u", port);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, "nats:bench", &(ferry_session_options){ .nats_url = url, .is_listening = is_listening });
        if (ferry_session_status(session) < 0)
                errx(1, "ferry-nats: %s", ferry_session_error(session));
}

/* The driver --------------------------------------------------------------------------------------------- */

static void serve(const struct job *unused)
{
        unsigned port = start_server();

        (void)unused;
        driver_write_port(port);
        if (is_bare()) {
                bare = connect_to(port);
                serve_bare();
        }
        open_ferry(port, true);
        ferry_session_on(session, FERRY_KIND_OPENED, is_opened, NULL);
        ferry_session_on(session, FERRY_KIND_REQUEST, take, NULL);
        ferry_loop_run(loop, -1);
        errx(1, "ferry-nats: server: %s", ferry_session_error(session));
}

static void open_client(int client)
{
        (void)client;
        if (!is_bare()) {
                open_ferry(driver_read_port(), false);
                return;
        }
        bare = connect_to(driver_read_port());
        begin_bare("SUB _INBOX.bare.* 1");
}

static void close_client(int client)
{
        (void)client;
        if (is_bare())
                close(bare);
        ferry_session_free(session);
        ferry_loop_free(loop);
        session = NULL;
        loop = NULL;
}

static void request(int client, const char *body, size_t size)
{
        (void)client;
        if (is_bare())
                request_bare(body, size);
        else
                call = ferry_session_request(session, FERRY_TIMEOUT_DEFAULT, DRIVER_TYPE, "%.*s", (int)size, body);
}

static void await(int client)
{
        const ferry_message *reply;
        const char *body;
        size_t size = 0;

        (void)client;
        if (is_bare()) {
                await_bare();
                return;
        }
        reply = ferry_call_await(call);
        body = reply ? ferry_value_bytes(ferry_message_body(reply), &size) : NULL;
        if (!body)
                errx(1, "ferry-nats: %s", ferry_call_error(call));
        driver_check(body, size);
        ferry_call_free(call);
}

static void notify(const char *body, size_t size)
{
        (void)body, (void)size;
        errx(1, "%s: no such work", job.subject->name);
}

const struct driver driver = {
        .subjects = subjects, .serve = serve, .open = open_client, .close = close_client, .request = request, .await = await,
        .notify = notify,
};
