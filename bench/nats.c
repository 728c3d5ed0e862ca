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

enum { ROOM = 1 << 16, LINE_MAX_SIZE = 256, TRIES = 2000, TRY_US = 5000, IN_FLIGHT_MAX = 1024 };
enum { ALL = 1 << WORK_ROUND_TRIP | 1 << WORK_IN_FLIGHT | 1 << WORK_TASKS };

static const struct subject subjects[] = {
        { "floor-nats", "floor-nats", ALL, false, false, 1, ROOM / 2 },
        { "ferry-nats", "floor-nats", ALL, false, false, 1, ROOM / 2 },
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

/* The bare side ------------------------------------------------------------------------------------------
 *
 * What is to be sent is held until there is nothing to read any more, so that many messages leave by one write. */

static int bare = -1;
static char received[ROOM + 1], held[ROOM];
static size_t read_from, received_size, held_size;

static void flush_bare(void)
{
        for (size_t sent = 0; sent < held_size;) {
                ssize_t put = write(bare, held + sent, held_size - sent);

                if (put <= 0)
                        err(1, "floor-nats: write");
                sent += (size_t)put;
        }
        held_size = 0;
}

static void hold_bytes(const char *bytes, size_t size)
{
        if (held_size + size > ROOM)
                flush_bare();
        memcpy(held + held_size, bytes, size);
        held_size += size;
}

static void hold_message(const char *head, const char *body, size_t size)
{
        hold_bytes(head, strlen(head));
        hold_bytes(body, size);
        hold_bytes("\r\n", 2);
}

/* What was taken makes room first. */
static void receive_more(void)
{
        ssize_t got;

        flush_bare();
        received_size -= read_from;
        memmove(received, received + read_from, received_size);
        read_from = 0;
        got = read(bare, received + received_size, ROOM - received_size);
        if (got <= 0)
                err(1, "floor-nats: read");
        received_size += (size_t)got;
        received[received_size] = '\0';
}

/* MSG SUBJECT SID [REPLY] SIZE, and its body, which is valid until the next call. PING is answered. */
static const char *receive(char reply[LINE_MAX_SIZE], size_t *ret_size)
{
        for (;;) {
                char *line = received + read_from, *end = memchr(line, '\n', received_size - read_from), first[LINE_MAX_SIZE],
                     second[LINE_MAX_SIZE];
                size_t line_size = end ? (size_t)(end + 1 - line) : 0;
                int count;

                if (!end) {
                        receive_more();
                        continue;
                }
                if (strncmp(line, "MSG ", 4) != 0) {
                        if (strncmp(line, "PING", 4) == 0)
                                hold_bytes("PONG\r\n", 6);
                        read_from += line_size;
                        continue;
                }
                *end = '\0';
                count = sscanf(line, "MSG %*255s %*255s %255s %255s", first, second);
                *end = '\n';
                snprintf(reply, LINE_MAX_SIZE, "%s", count == 2 ? first : "");
                *ret_size = strtoul(count == 2 ? second : first, NULL, 10);
                while (received_size - read_from < line_size + *ret_size + 2)
                        receive_more();
                line = received + read_from + line_size;
                read_from += line_size + *ret_size + 2;
                return line;
        }
}

static void begin_bare(const char *subscription)
{
        hold_message("CONNECT {\"verbose\":false}\r\n", subscription, strlen(subscription));
        hold_bytes("PING\r\n", 6);
        while (!strstr(received, "PONG\r\n"))
                receive_more();
        read_from = received_size;
}

static void serve_bare(unsigned port)
{
        bare = connect_to(port);
        begin_bare("SUB bench group 1");
        driver_ready();
        for (;;) {
                char reply[LINE_MAX_SIZE], head[2 * LINE_MAX_SIZE];
                const char *answer, *body;
                size_t size;

                body = receive(reply, &size);
                size = driver_take(body, size, &answer);
                snprintf(head, sizeof head, "PUB %s %zu\r\n", reply, size);
                if (size > 0)
                        hold_message(head, answer, size);
        }
}

static size_t in_flight, answered;

static void take_answer(void)
{
        char reply[LINE_MAX_SIZE];
        size_t size;
        const char *body = receive(reply, &size);

        driver_check(body, size);
        in_flight--;
        answered++;
}

/* Of many tasks, so many are in flight at a time. */
static void request_bare(const char *body, size_t size)
{
        char head[LINE_MAX_SIZE];
        static unsigned long number;

        while (in_flight == IN_FLIGHT_MAX)
                take_answer();
        snprintf(head, sizeof head, "PUB bench _INBOX.bare.%lu %zu\r\n", ++number, size);
        hold_message(head, body, size);
        in_flight++;
}

static void await_bare(void)
{
        if (answered == 0)
                take_answer();
        answered--;
}

/* ferry -------------------------------------------------------------------------------------------------- */

static ferry_loop *loop;
static ferry_session *session;
static ferry_manager *manager;          /* of tasks */
static ferry_call *calls[WORK_TASKS_MAX];
static size_t requested, awaited;
static bool is_holding;

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
        const ferry_session_options options = { .nats_url = url, .is_listening = is_listening };
        int code;

        snprintf(url, sizeof url, "nats://127.0.0.1:%u", port);
        loop = ferry_loop_new(NULL);
        if (job.work->kind == WORK_TASKS && !is_listening) {
                manager = ferry_manager_new(loop, NULL);
                code = ferry_manager_connect(manager, "nats:bench", &(ferry_remote_options){ .session = &options,
                                                                                              .requests_max = IN_FLIGHT_MAX });
                if (code < 0)
                        errx(1, "ferry-nats: %s", ferry_loop_error(loop));
        }
        session = manager ? ferry_manager_session(manager, NULL) : ferry_session_open(loop, "nats:bench", &options);
        if (ferry_session_status(session) < 0)
                errx(1, "ferry-nats: %s", ferry_session_error(session));
}

static void serve_ferry(unsigned port)
{
        open_ferry(port, true);
        ferry_session_on(session, FERRY_KIND_OPENED, is_opened, NULL);
        ferry_session_on(session, FERRY_KIND_REQUEST, take, NULL);
        ferry_loop_run(loop, -1);
        errx(1, "ferry-nats: server: %s", ferry_session_error(session));
}

static void request_ferry(const char *body, size_t size)
{
        if (driver_is_conversation() && !is_holding)
                is_holding = ferry_session_hold(session) == 0;
        calls[requested++ % WORK_TASKS_MAX] =
                manager ? ferry_manager_request(manager, FERRY_TIMEOUT_DEFAULT, DRIVER_TYPE, "%.*s", (int)size, body) :
                          ferry_session_request(session, FERRY_TIMEOUT_DEFAULT, DRIVER_TYPE, "%.*s", (int)size, body);
}

static void await_ferry(void)
{
        ferry_call *call = calls[awaited++ % WORK_TASKS_MAX];
        const ferry_message *reply = ferry_call_await(call);
        size_t size = 0;
        const char *body = reply ? ferry_value_bytes(ferry_message_body(reply), &size) : NULL;

        is_holding = false;
        if (!body)
                errx(1, "ferry-nats: %s", ferry_call_error(call));
        driver_check(body, size);
        ferry_call_free(call);
}

/* The driver --------------------------------------------------------------------------------------------- */

/* Of several workers, the others are children that have called this function, too. */
static void serve(const struct job *unused)
{
        static unsigned port;
        int others = job.work->kind == WORK_TASKS && port == 0 ? WORK_WORKERS - 1 : 0;

        (void)unused;
        if (port == 0)
                driver_write_port(port = start_server());
        while (others-- > 0)
                driver_fork();
        if (is_bare())
                serve_bare(port);
        else
                serve_ferry(port);
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
        session = manager ? NULL : ferry_session_free(session);
        manager = ferry_manager_free(manager);
        ferry_loop_free(loop);
        loop = NULL;
}

static void request(int client, const char *body, size_t size)
{
        (void)client;
        if (is_bare())
                request_bare(body, size);
        else
                request_ferry(body, size);
}

static void await(int client)
{
        (void)client;
        if (is_bare())
                await_bare();
        else
                await_ferry();
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
