/* libqb: its server in its own loop, over rings in shared memory and over sockets. */
#include "driver.h"

#include <err.h>
#include <errno.h>
#include <qb/qbipcc.h>
#include <qb/qbipcs.h>
#include <qb/qbloop.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        ALL = WORKS_OF_A_SERVER,
        DATAGRAM_MAX = 1 << 16,         /* what a socket takes is one datagram */
        CLIENTS_MAX = 64,               /* each has several rings and sockets */
        ID = QB_IPC_MSG_USER_START + 1,
        WAIT_MS = 60000,
};

enum kind { SHM, SOCKET };

static const struct subject subjects[] = {
        [SHM] = { "libqb-shm", "floor-unix", ALL, false, false, CLIENTS_MAX, 0 },
        [SOCKET] = { "libqb-socket", "floor-unix", ALL, false, false, CLIENTS_MAX, DATAGRAM_MAX },
        { 0 },
};

static void check(const char *what, ssize_t code)
{
        if (code < 0)
                errx(1, "libqb: %s: %s", what, strerror((int)-code));
}

/* Of the service: the folder, as a name. */
static const char *name(void)
{
        static char text[256];

        snprintf(text, sizeof text, "%s", job.folder + (*job.folder == '/'));
        for (char *c = text; *c; c++)
                if (*c == '/')
                        *c = '-';
        return text;
}

/* Server -------------------------------------------------------------------------------------------------- */

static qb_loop_t *loop;
static qb_ipcs_service_t *service;

static int32_t add_job(enum qb_loop_priority priority, void *data, qb_loop_job_dispatch_fn fn)
{
        return qb_loop_job_add(loop, priority, data, fn);
}

static int32_t add(enum qb_loop_priority priority, int32_t fd, int32_t events, void *data, qb_ipcs_dispatch_fn_t fn)
{
        return qb_loop_poll_add(loop, priority, fd, events, data, fn);
}

static int32_t modify(enum qb_loop_priority priority, int32_t fd, int32_t events, void *data, qb_ipcs_dispatch_fn_t fn)
{
        return qb_loop_poll_mod(loop, priority, fd, events, data, fn);
}

static int32_t delete(int32_t fd)
{
        return qb_loop_poll_del(loop, fd);
}

static int32_t take(qb_ipcs_connection_t *connection, void *data, size_t unused)
{
        const struct qb_ipc_request_header *header = data;
        const char *body = (const char *)(header + 1), *answer;
        size_t size = driver_take(body, (size_t)header->size - sizeof *header, &answer);
        struct qb_ipc_response_header response = { .id = ID, .size = (int32_t)(sizeof response + size) };
        struct iovec parts[] = { { &response, sizeof response }, { (void *)(uintptr_t)answer, size } };

        (void)unused;
        if (size > 0)
                check("answer", qb_ipcs_response_sendv(connection, parts, 2));
        return 0;
}

/* Removes what it has in /dev/shm. */
static int32_t stop(int32_t signal, void *data)
{
        (void)signal, (void)data;
        qb_ipcs_destroy(service);
        exit(0);
}

static void serve(const struct job *unused)
{
        static struct qb_ipcs_poll_handlers polling = { .job_add = add_job, .dispatch_add = add, .dispatch_mod = modify,
                                                        .dispatch_del = delete };
        static struct qb_ipcs_service_handlers handlers = { .msg_process = take };
        qb_loop_signal_handle handle;

        (void)unused;
        loop = qb_loop_create();
        service = qb_ipcs_create(name(), 0, job.subject == &subjects[SHM] ? QB_IPC_SHM : QB_IPC_SOCKET, &handlers);
        qb_ipcs_poll_handlers_set(service, &polling);
        qb_ipcs_request_rate_limit(service, QB_IPCS_RATE_FAST);
        check("server", qb_ipcs_run(service));
        qb_loop_signal_add(loop, QB_LOOP_HIGH, SIGTERM, NULL, stop, &handle);
        driver_ready();
        qb_loop_run(loop);
}

/* Client -------------------------------------------------------------------------------------------------- */

static qb_ipcc_connection_t *clients[WORK_CLIENTS_MAX];

static size_t room(void)
{
        return job.work->body + 4096;
}

static void open_client(int client)
{
        clients[client] = qb_ipcc_connect(name(), room());
        if (!clients[client])
                err(1, "libqb: connect");
}

static void close_client(int client)
{
        qb_ipcc_disconnect(clients[client]);
}

static void request(int client, const char *body, size_t size)
{
        struct qb_ipc_request_header header = { .id = ID, .size = (int32_t)(sizeof header + size) };
        struct iovec parts[] = { { &header, sizeof header }, { (void *)(uintptr_t)body, size } };
        ssize_t code;

        /* It is full. */
        while ((code = qb_ipcc_sendv(clients[client], parts, 2)) == -EAGAIN)
                sched_yield();
        check("send", code);
}

static void await(int client)
{
        static struct qb_ipc_response_header *response;

        if (!response)
                response = malloc(room());
        check("receive", qb_ipcc_recv(clients[client], response, room(), WAIT_MS));
        driver_check((const char *)(response + 1), (size_t)response->size - sizeof *response);
}

static void notify(const char *body, size_t size)
{
        request(0, body, size);
}

const struct driver driver = { .subjects = subjects, .serve = serve, .open = open_client, .close = close_client,
                               .request = request, .await = await, .notify = notify };
