/* Connecting to a unix socket. Connecting never blocks; who is not there yet is waited for until the time is over, so
 * "absent" and "refused" end alike, with the errno of the last try.
 *
 * Nobody asks in vain again and again: as long as there is no socket, only a change in its directory is a reason to try.
 * Between the socket and the moment at which somebody listens there is none, so after a change it is tried a few times at
 * growing distances; so is who is there but busy, or has left a socket behind. */
#include "loop/watch.h"
#include "stream/name.h"
#include "stream/stream.h"
#include "util/text.h"
#include "wire/dialect.h"

#include <ferry/address.h>

#include <errno.h>
#include <string.h>
#include <sys/un.h>

enum {
        BUSY_WAIT_MS = 5000,            /* for somebody whose backlog is full */
        RETRY_FIRST_NS = 1000000,
        RETRY_MAX_NS = 20000000,        /* while it may be a matter of moments */
        REFUSED_RETRY_MAX_NS = 500000000, /* of a socket that somebody has left behind */
        STIR_NS = 100000000,            /* for so long after a change */
};

struct unix_stream {
        struct stream stream;
        struct sockaddr_un address;
        char name[NAME_MAX_SIZE + 1];   /* of a service, which is looked up at each try; or empty */
        struct name_place place;        /* where that is done; the directory is a copy */
        bool may_ask;                   /* the program says who may be there */
        struct loop_timer retry;
        struct watch watch;
        int64_t began;
        int64_t stirred;                /* when something changed where it stands, or might have */
        int64_t wait_ns;                /* for somebody to listen */
        int64_t pause_ns;
};

static void stop_retrying(struct stream *stream, bool is_foreign)
{
        struct unix_stream *client = container_of(stream, struct unix_stream, stream);

        (void)is_foreign;
        sys_free((char *)(uintptr_t)client->place.directory);
        client->place.directory = NULL;
        loop_timer_stop(stream->loop, &client->retry);
        watch_stop(&client->watch);
}

static const struct stream_kind unix_kind = { .name = "unix", .release = stop_retrying };

/* Some servers are harmed by whoever comes and does not speak as they do, or goes again at once. So both are found out
 * before. */
static int check_before(const struct unix_stream *client, struct error *reason)
{
        const char *path = client->address.sun_path, *owner = wire_directory_owner(path);
        struct stat stat;

        if (!wire_directory(client->place.dialect))
                return owner ? error_set(reason, -EACCES, "%s is a socket of servers that only speak %s, and may end when they"
                                         " are spoken to otherwise: choose that dialect", path, owner) : 0;
        if (client->may_ask || sys_stat_path(path, &stat) < 0 || stat.st_uid == sys_uid() || stat.st_uid == 0)
                return 0;
        return error_set(reason, -EACCES, "%s belongs to user %u, which is not allowed here", path, (unsigned)stat.st_uid);
}

/* 0, or why not. */
static int try(struct unix_stream *client, struct error *reason)
{
        int fd, error = 0;

        if (*client->name)
                error = name_find(&client->place, false, client->address.sun_path, sizeof client->address.sun_path, reason);
        if (!error)
                error = check_before(client, reason);
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

/* Nanoseconds until it is worth another try; INT64_MAX: until something changes; 0: it is not. */
static int64_t next_pause(struct unix_stream *client, int error)
{
        int64_t most = RETRY_MAX_NS;
        int64_t wait = error == -EAGAIN ? (int64_t)BUSY_WAIT_MS * 1000000 :
                       error == -ENOENT || error == -ECONNREFUSED ? client->wait_ns : 0;
        int64_t left;

        if (error == -EAGAIN && client->wait_ns > wait)
                wait = client->wait_ns;
        left = wait == INT64_MAX ? wait : client->began + wait - sys_now();
        if (left <= 0)
                return 0;
        if (error != -EAGAIN && client->watch.source.fd >= 0 && sys_now() - client->stirred >= STIR_NS) {
                if (error == -ENOENT)
                        return left;
                most = REFUSED_RETRY_MAX_NS;
        }
        client->pause_ns = client->pause_ns ? client->pause_ns * 2 : RETRY_FIRST_NS;
        if (client->pause_ns > most)
                client->pause_ns = most;
        return client->pause_ns < left ? client->pause_ns : left;
}

/* Unless there is a sentence already: why a name is not looked up. */
static void describe(const struct unix_stream *client, int code, struct error *error)
{
        error_set(error, code, "nobody listens at %s: %s", client->address.sun_path, error_describe(code));
}

/* Where it cannot be watched, it is tried again and again. */
static void watch_place(struct unix_stream *client)
{
        char public[NAME_PUBLIC_MAX];

        if (watch_add(&client->watch, client->address.sun_path) < 0)
                watch_stop(&client->watch);
        else if (*client->name)
                watch_add(&client->watch, name_public(client->name, public));
}

static void place_changed(struct watch *watch)
{
        struct unix_stream *client = container_of(watch, struct unix_stream, watch);

        watch_place(client);
        client->stirred = sys_now();
        client->pause_ns = 0;
        loop_timer_start(client->stream.loop, &client->retry, client->stirred);
}

static void wait_for(struct unix_stream *client, int error, int64_t pause)
{
        if (error != -EAGAIN && client->watch.source.fd < 0 && watch_start(&client->watch) == 0)
                watch_place(client);
        loop_timer_start(client->stream.loop, &client->retry, pause == INT64_MAX ? pause : sys_now() + pause);
}

static void try_again(struct loop_timer *timer)
{
        struct unix_stream *client = container_of(timer, struct unix_stream, retry);
        struct error error = { 0 };
        int code = try(client, &error);
        int64_t pause = code ? next_pause(client, code) : 0;

        if (code && pause > 0) {
                wait_for(client, code, pause);
                error_deinit(&error);
                return;
        }
        watch_stop(&client->watch);
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
        watch_init(&client->watch, place->loop, place_changed);
        client->address.sun_family = AF_UNIX;
        client->place.dialect = options->dialect;
        client->may_ask = options->allow != NULL;
        if (ferry_address_scheme(address) == FERRY_SCHEME_NAME) {
                memcpy(client->name, address, strlen(address) + 1);
                client->place.name = client->name;
                if (options->name_directory && !(client->place.directory = text_copy(options->name_directory))) {
                        sys_free(client);
                        return error_set(error, -ENOMEM, "no memory for a stream");
                }
        } else
                memcpy(client->address.sun_path, path, strlen(path) + 1);
        client->wait_ns = options->wait_ms < 0 ? INT64_MAX : (int64_t)options->wait_ms * 1000000;
        client->began = client->stirred = sys_now();
        code = try(client, error);
        if (code) {
                pause = next_pause(client, code);
                if (pause == 0) {
                        describe(client, code, error);
                        sys_free((char *)(uintptr_t)client->place.directory);
                        sys_free(client);
                        return code;
                }
                wait_for(client, code, pause);
        }
        *ret_stream = &client->stream;
        return 0;
}
