/* sd-bus (libsystemd), over a direct connection: no broker between. Bodies are arrays of bytes. */
#include "driver.h"

#include <err.h>
#include <string.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define PATH "/bench"
#define INTERFACE "org.ferry.Bench"

static const struct subject subjects[] = {
        { "sd-bus", "floor-unix", WORKS_OF_A_SERVER, false, false, 0, 0 },
        { 0 },
};

static int check(const char *what, int code)
{
        if (code < 0)
                errx(1, "sd-bus: %s: %s", what, strerror(-code));
        return code;
}

static const char *read_body(sd_bus_message *message, size_t *ret_size)
{
        const void *body;

        check("body", sd_bus_message_read_array(message, 'y', &body, ret_size));
        return body;
}

/* Server -------------------------------------------------------------------------------------------------- */

static sd_event *event;

static int take(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        sd_bus_message *reply;
        const char *answer;
        size_t size;

        (void)userdata, (void)error;
        if (!sd_bus_message_is_method_call(message, INTERFACE, "Take"))
                return 0;
        answer = read_body(message, &size);
        size = driver_take(answer, size, &answer);
        if (size == 0)
                return 1;
        check("reply", sd_bus_message_new_method_return(message, &reply));
        check("append", sd_bus_message_append_array(reply, 'y', answer, size));
        check("send", sd_bus_send(NULL, reply, NULL));
        sd_bus_message_unref(reply);
        return 1;
}

static int end_connection(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        (void)message, (void)error;
        sd_bus_close_unref(userdata);
        return 1;
}

static int accept_client(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        sd_id128_t id;
        sd_bus *bus;

        (void)source, (void)events, (void)userdata;
        if (fd < 0)
                err(1, "sd-bus: accept");
        check("id", sd_id128_randomize(&id));
        check("new", sd_bus_new(&bus));
        check("fd", sd_bus_set_fd(bus, fd, fd));
        check("server", sd_bus_set_server(bus, 1, id));
        check("anonymous", sd_bus_set_anonymous(bus, 1));
        check("object", sd_bus_add_object(bus, NULL, PATH, take, NULL));
        check("match", sd_bus_add_match(bus, NULL, "type='signal',path='/org/freedesktop/DBus/Local',member='Disconnected'",
                                        end_connection, bus));
        check("start", sd_bus_start(bus));
        check("attach", sd_bus_attach_event(bus, event, 0));
        return 0;
}

static void serve(const struct job *unused)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)unused;
        strncpy(address.sun_path, driver_path("socket"), sizeof address.sun_path - 1);
        if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, SOMAXCONN) < 0)
                err(1, "sd-bus: cannot listen");
        check("event", sd_event_new(&event));
        check("listener", sd_event_add_io(event, NULL, listener, EPOLLIN, accept_client, NULL));
        driver_ready();
        check("loop", sd_event_loop(event));
}

/* Client -------------------------------------------------------------------------------------------------- */

static struct client {
        sd_bus *bus;
        size_t answered, awaited;
        const char *body;               /* of the request that is still to be sent */
        size_t size;
} clients[WORK_CLIENTS_MAX];

static void open_client(int client)
{
        char address[300];
        sd_bus *bus;

        snprintf(address, sizeof address, "unix:path=%s", driver_path("socket"));
        check("new", sd_bus_new(&bus));
        check("address", sd_bus_set_address(bus, address));
        check("start", sd_bus_start(bus));
        clients[client] = (struct client){ .bus = bus };
}

static void close_client(int client)
{
        sd_bus_flush_close_unref(clients[client].bus);
}

/* One request is in flight at a time, so the plain call that waits for its answer does. */
static bool is_alone(void)
{
        return job.work->kind != WORK_IN_FLIGHT && job.work->kind != WORK_FAN_IN;
}

static sd_bus_message *make_message(sd_bus *bus, const char *body, size_t size)
{
        sd_bus_message *message;

        check("message", sd_bus_message_new_method_call(bus, &message, NULL, PATH, INTERFACE, "Take"));
        check("append", sd_bus_message_append_array(message, 'y', body, size));
        return message;
}

static int take_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        struct client *client = userdata;
        const char *body;
        size_t size;

        (void)error;
        if (sd_bus_message_is_method_error(reply, NULL))
                errx(1, "sd-bus: %s", sd_bus_message_get_error(reply)->message);
        body = read_body(reply, &size);
        driver_check(body, size);
        client->answered++;
        return 1;
}

static void request(int number, const char *body, size_t size)
{
        struct client *client = &clients[number];
        sd_bus_message *message;

        client->body = body;
        client->size = size;
        if (is_alone())
                return;
        message = make_message(client->bus, body, size);
        check("call", sd_bus_call_async(client->bus, NULL, message, take_answer, client, 0));
        sd_bus_message_unref(message);
}

static void await(int number)
{
        struct client *client = &clients[number];

        client->awaited++;
        if (is_alone()) {
                sd_bus_message *message = make_message(client->bus, client->body, client->size), *reply;
                sd_bus_error error = SD_BUS_ERROR_NULL;

                check("call", sd_bus_call(client->bus, message, 0, &error, &reply));
                take_answer(reply, client, NULL);
                sd_bus_message_unref(reply);
                sd_bus_message_unref(message);
        }
        while (client->answered < client->awaited)
                if (check("process", sd_bus_process(client->bus, NULL)) == 0)
                        check("wait", sd_bus_wait(client->bus, UINT64_MAX));
}

static void notify(const char *body, size_t size)
{
        sd_bus_message *message = make_message(clients[0].bus, body, size);

        check("no reply", sd_bus_message_set_expect_reply(message, 0));
        check("send", sd_bus_send(clients[0].bus, message, NULL));
        sd_bus_message_unref(message);
}

static void flush(void)
{
        check("flush", sd_bus_flush(clients[0].bus));
}

const struct driver driver = { .subjects = subjects, .serve = serve, .open = open_client, .close = close_client,
                               .request = request, .await = await, .notify = notify, .flush = flush };
