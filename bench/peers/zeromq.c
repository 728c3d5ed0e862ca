/* ZeroMQ: req and rep for requests, two dealers for messages without answers and for several requests in flight. */
#include "driver.h"

#include <err.h>
#include <zmq.h>

static const struct subject subjects[] = {
        { "zeromq", "floor-unix", WORKS_OF_A_SERVER, false, false, 0, 0 },
        { 0 },
};

static int check(const char *what, int code)
{
        if (code < 0)
                errx(1, "zeromq: %s: %s", what, zmq_strerror(zmq_errno()));
        return code;
}

static void *context;

static void *make_socket(int type)
{
        int no_linger = 0;
        void *socket;

        if (!context) {
                context = zmq_ctx_new();
                check("ZMQ_MAX_SOCKETS", zmq_ctx_set(context, ZMQ_MAX_SOCKETS, WORK_CLIENTS_MAX + 10));
        }
        socket = zmq_socket(context, driver_is_conversation() ? ZMQ_DEALER : type);
        if (!socket)
                check("socket", -1);
        check("ZMQ_LINGER", zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger));
        return socket;
}

static void serve(const struct job *unused)
{
        void *socket = make_socket(ZMQ_REP);

        (void)unused;
        check("bind", zmq_bind(socket, driver_url()));
        driver_ready();
        for (;;) {
                const char *body, *answer;
                zmq_msg_t message;
                size_t size;

                zmq_msg_init(&message);
                check("receive", zmq_msg_recv(&message, socket, 0));
                body = zmq_msg_data(&message);
                size = driver_take(body, zmq_msg_size(&message), &answer);
                if (size > 0 && answer == body)
                        check("send", zmq_msg_send(&message, socket, 0));
                else if (size > 0)
                        check("send", zmq_send(socket, answer, size, 0));
                zmq_msg_close(&message);
        }
}

static void *clients[WORK_CLIENTS_MAX];

static void open_client(int client)
{
        clients[client] = make_socket(ZMQ_REQ);
        check("connect", zmq_connect(clients[client], driver_url()));
}

static void close_client(int client)
{
        zmq_close(clients[client]);
}

static void request(int client, const char *body, size_t size)
{
        check("send", zmq_send(clients[client], body, size, 0));
}

static void await(int client)
{
        zmq_msg_t message;

        zmq_msg_init(&message);
        check("receive", zmq_msg_recv(&message, clients[client], 0));
        driver_check(zmq_msg_data(&message), zmq_msg_size(&message));
        zmq_msg_close(&message);
}

static void notify(const char *body, size_t size)
{
        request(0, body, size);
}

const struct driver driver = { .subjects = subjects, .serve = serve, .open = open_client, .close = close_client,
                               .request = request, .await = await, .notify = notify };
