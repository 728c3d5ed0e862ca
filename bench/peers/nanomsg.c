/* nanomsg: req and rep for requests, a pair for messages without answers and for several requests in flight. It receives into
 * messages of its own (NN_MSG), which spares a copy. */
#include "driver.h"

#include <err.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/reqrep.h>

enum { SOCKETS_MAX = 500 };     /* of a process; it has room for 512 */

static const struct subject subjects[] = {
        { "nanomsg", "floor-unix", WORKS_OF_A_SERVER, false, false, SOCKETS_MAX, 0 },
        { 0 },
};

static int check(const char *what, int code)
{
        if (code < 0)
                errx(1, "nanomsg: %s: %s", what, nn_strerror(nn_errno()));
        return code;
}

static int make_socket(int protocol)
{
        int socket = check("socket", nn_socket(AF_SP, driver_is_conversation() ? NN_PAIR : protocol)), no_limit = -1;

        check("NN_RCVMAXSIZE", nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &no_limit, sizeof no_limit));
        return socket;
}

static void serve(const struct job *unused)
{
        int socket = make_socket(NN_REP);

        (void)unused;
        check("bind", nn_bind(socket, driver_url()));
        driver_ready();
        for (;;) {
                const char *answer;
                char *body;
                size_t size = (size_t)check("receive", nn_recv(socket, &body, NN_MSG, 0));

                size = driver_take(body, size, &answer);
                if (answer == body && size > 0)
                        check("send", nn_send(socket, &body, NN_MSG, 0));
                else {
                        if (size > 0)
                                check("send", nn_send(socket, answer, size, 0));
                        nn_freemsg(body);
                }
        }
}

static int clients[WORK_CLIENTS_MAX];

static void open_client(int client)
{
        clients[client] = make_socket(NN_REQ);
        check("connect", nn_connect(clients[client], driver_url()));
}

static void close_client(int client)
{
        nn_close(clients[client]);
}

static void request(int client, const char *body, size_t size)
{
        check("send", nn_send(clients[client], body, size, 0));
}

static void await(int client)
{
        char *body;
        int size = check("receive", nn_recv(clients[client], &body, NN_MSG, 0));

        driver_check(body, (size_t)size);
        nn_freemsg(body);
}

static void notify(const char *body, size_t size)
{
        request(0, body, size);
}

const struct driver driver = { .subjects = subjects, .serve = serve, .open = open_client, .close = close_client,
                               .request = request, .await = await, .notify = notify };
