/* nng: req and rep for requests, a pair for messages without answers and for several requests in flight. Messages are passed on
 * without a copy, as its manual advises. */
#include "driver.h"

#include <err.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

static const struct subject subjects[] = {
        { "nng", "floor-unix", WORKS_OF_A_SERVER, false, false, 0, 0 },
        { 0 },
};

static void check(const char *what, int code)
{
        if (code != 0)
                errx(1, "nng: %s: %s", what, nng_strerror(code));
}

static nng_socket make_socket(int (*open)(nng_socket *socket))
{
        nng_socket socket;

        check("socket", open(&socket));
        check("recv-size-max", nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0));
        return socket;
}

static void serve(const struct job *unused)
{
        nng_socket socket = make_socket(driver_is_conversation() ? nng_pair0_open : nng_rep0_open);

        (void)unused;
        check("listen", nng_listen(socket, driver_url(), NULL, 0));
        driver_ready();
        for (;;) {
                const char *body, *answer;
                nng_msg *message;
                size_t size;

                check("receive", nng_recvmsg(socket, &message, 0));
                body = nng_msg_body(message);
                size = driver_take(body, nng_msg_len(message), &answer);
                if (size == 0) {
                        nng_msg_free(message);
                        continue;
                }
                if (answer != body) {
                        nng_msg_clear(message);
                        check("append", nng_msg_append(message, answer, size));
                }
                check("send", nng_sendmsg(socket, message, 0));
        }
}

static nng_socket clients[WORK_CLIENTS_MAX];

static void open_client(int client)
{
        clients[client] = make_socket(driver_is_conversation() ? nng_pair0_open : nng_req0_open);
        check("dial", nng_dial(clients[client], driver_url(), NULL, 0));
}

static void close_client(int client)
{
        nng_close(clients[client]);
}

static void request(int client, const char *body, size_t size)
{
        nng_msg *message;

        check("message", nng_msg_alloc(&message, 0));
        check("append", nng_msg_append(message, body, size));
        check("send", nng_sendmsg(clients[client], message, 0));
}

static void await(int client)
{
        nng_msg *message;

        check("receive", nng_recvmsg(clients[client], &message, 0));
        driver_check(nng_msg_body(message), nng_msg_len(message));
        nng_msg_free(message);
}

static void notify(const char *body, size_t size)
{
        request(0, body, size);
}

const struct driver driver = { .subjects = subjects, .serve = serve, .open = open_client, .close = close_client,
                               .request = request, .await = await, .notify = notify };
