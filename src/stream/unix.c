/* Connecting to a unix socket. Connecting never blocks: one who is busy or not there yet is asked again, at growing
 * distances, until the time is over; so "absent" and "refused" end alike, with the errno of the last try. */
#include "stream/name.h"
#include "stream/stream.h"

#include <ferry/address.h>

#include <errno.h>
#include <string.h>
#include <sys/un.h>

enum {
        BUSY_WAIT_MS = 5000,            /* for somebody whose backlog is full */
        RETRY_FIRST_NS = 1000000,
        RETRY_MAX_NS = 20000000,
};

struct unix_stream {
        struct stream stream;
        struct sockaddr_un address;
        char name[NAME_MAX_SIZE + 1];   /* of a service, which is looked up at each try; or empty */
        struct loop_timer retry;
        int64_t began;
        int64_t wait_ns;                /* for somebody to listen */
        int64_t pause_ns;
};

static void stop_retrying(struct stream *stream, bool is_foreign)
{
        (void)is_foreign;
        loop_timer_stop(stream->loop, &container_of(stream, struct unix_stream, stream)->retry);
}

static const struct stream_kind unix_kind = { .name = "unix", .release = stop_retrying };

/* 0, or why not. */
static int try(struct unix_stream *client, struct error *reason)
{
        int fd, error = 0;

        if (*client->name)
                error = name_find(client->name, false, client->address.sun_path, sizeof client->address.sun_path, reason);
        if (error)
                return error;
        fd = sys_socket(AF_UNIX, SOCK_STREAM);
        if (fd < 0)
                return fd;
        error = sys_connect(fd, (const struct sockaddr *)&client->address, sizeof client->address);
        if (!error)
                error = endpoint_init(&client->stream.inputs[0], fd, false, false);
        if (error) {
                sys_close(fd);
                return error;
        }
        error = stream_read_peer(&client->stream);
        if (error) {
                endpoint_deinit(&client->stream.inputs[0]);
                return error;
        }
        client->stream.output = client->stream.inputs[0];
        client->stream.output.is_shared = true;
        return 0;
}

/* Nanoseconds until it is worth another try; 0: it is not. */
static int64_t next_pause(struct unix_stream *client, int error)
{
        int64_t wait = error == -EAGAIN ? (int64_t)BUSY_WAIT_MS * 1000000 :
                       error == -ENOENT || error == -ECONNREFUSED ? client->wait_ns : 0;
        int64_t left;

        if (error == -EAGAIN && client->wait_ns > wait)
                wait = client->wait_ns;
        left = wait == INT64_MAX ? wait : client->began + wait - sys_now();
        if (left <= 0)
                return 0;
        client->pause_ns = client->pause_ns ? client->pause_ns * 2 : RETRY_FIRST_NS;
        if (client->pause_ns > RETRY_MAX_NS)
                client->pause_ns = RETRY_MAX_NS;
        return client->pause_ns < left ? client->pause_ns : left;
}

/* Unless there is a sentence already: why a name is not looked up. */
static void describe(const struct unix_stream *client, int code, struct error *error)
{
        error_set(error, code, "nobody listens at %s: %s", client->address.sun_path, error_describe(code));
}

static void try_again(struct loop_timer *timer)
{
        struct unix_stream *client = container_of(timer, struct unix_stream, retry);
        struct error error = { 0 };
        int code = try(client, &error);
        int64_t pause = code ? next_pause(client, code) : 0;

        if (code && pause > 0) {
                loop_timer_start(client->stream.loop, timer, sys_now() + pause);
                error_deinit(&error);
                return;
        }
        if (!code)
                code = stream_start(&client->stream);
        if (!code) {
                client->stream.owner->opened(&client->stream);
                return;
        }
        describe(client, code, &error);
        stream_end(&client->stream, code, "%s", error_text(&error));
        error_deinit(&error);
}

int stream_open_unix(const struct stream_place *place, const char *address,
                     const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        struct unix_stream *client = sys_alloc_zeroed(sizeof *client);
        const char *path = address + strcspn(address, ":") + 1;
        int64_t pause;
        int code;

        if (!client)
                return error_set(error, -ENOMEM, "no memory for a stream");
        stream_init(&client->stream, &unix_kind, place);
        client->retry.fn = try_again;
        client->address.sun_family = AF_UNIX;
        if (ferry_address_scheme(address) == FERRY_SCHEME_NAME)
                memcpy(client->name, address, strlen(address) + 1);
        else
                memcpy(client->address.sun_path, path, strlen(path) + 1);
        client->wait_ns = options->wait_ms < 0 ? INT64_MAX : (int64_t)options->wait_ms * 1000000;
        client->began = sys_now();
        code = try(client, error);
        if (code) {
                pause = next_pause(client, code);
                if (pause == 0) {
                        describe(client, code, error);
                        sys_free(client);
                        return code;
                }
                loop_timer_start(place->loop, &client->retry, sys_now() + pause);
        }
        *ret_stream = &client->stream;
        return 0;
}
