/* Connecting to a unix socket. Connecting never blocks; a listener that is not there yet is waited for until the time is over, so
 * "absent" and "refused" end alike, with the errno of the last try. When it is tried again, retry.c says. */
#include "stream/lock.h"
#include "stream/name.h"
#include "stream/open.h"
#include "stream/retried.h"
#include "util/text.h"
#include "wire/dialect.h"

#include <ferry/address.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum {
        BUSY_WAIT_MS = 5000,            /* for a listener whose backlog is full */
        LOCATED_BY_PATH = -4096,        /* no errno */
};

struct unix_stream {
        struct retried retried;
        struct sockaddr_un address;
        char name[NAME_MAX_SIZE + 1];   /* of a service, which is looked up at each try; or empty */
        struct name_place place;        /* where that is done; the directory is a copy */
        bool may_ask;                   /* the program says who may be there */
        char public[NAME_PUBLIC_MAX];
        int64_t began;
        int64_t wait_ns;                /* for a process to listen */
};

static void stop_retrying(struct stream *stream, bool is_foreign)
{
        struct unix_stream *client = container_of(stream, struct unix_stream, retried.stream);

        (void)is_foreign;
        sys_free((char *)(uintptr_t)client->place.directory);
        client->place.directory = NULL;
        retry_stop(&client->retried.retry);
}

/* As the lock file beside the socket says it; it is believed only if it belongs to the user who listens there. */
static int read_lock(const struct stream *stream, struct lock_record *ret_record)
{
        const struct unix_stream *client = container_of(stream, const struct unix_stream, retried.stream);

        return stream->is_peer_known ? lock_read(client->address.sun_path, stream->peer.uid, ret_record) : 0;
}

static int spoken(const struct stream *stream)
{
        struct lock_record record;
        int code = read_lock(stream, &record);

        return code > 0 ? (int)record.dialects : code;
}

static bool is_replaceable(const struct stream *stream)
{
        struct lock_record record;

        return read_lock(stream, &record) > 0 && record.is_replaceable;
}

/* Some servers are harmed by a client that does not speak as they do. */
static int check_dialect(const struct unix_stream *client, struct error *reason)
{
        const char *path = client->address.sun_path, *owner = wire_directory_owner(path);

        if (wire_directory(client->place.dialect) || !owner)
                return 0;
        return error_set(reason, -EACCES, "'%s' is a socket of servers that speak only %s, and may end when they get other"
                                          " messages: choose that dialect", path, owner);
}

/* Those servers are also harmed by a client that goes again at once, so it does not connect before the owner is known. What is
 * connected to is the very file that was checked: an O_PATH descriptor, and the address that leads to it; or
 * LOCATED_BY_PATH, and the address as it is; or a negative errno. */
static int locate(const struct unix_stream *client, struct sockaddr_un *address, struct error *reason)
{
        const char *path = client->address.sun_path;
        struct stat stat;
        int file, code;

        *address = client->address;
        if (!wire_directory(client->place.dialect) || client->may_ask)
                return LOCATED_BY_PATH;
        file = sys_open(path, O_PATH, 0);
        if (file < 0)
                return file;
        code = sys_stat_fd(file, &stat);
        if (!code && stat.st_uid != sys_uid() && stat.st_uid != 0)
                code = error_set(reason, -EACCES, "'%s' belongs to user %u, which allow does not admit", path,
                                 (unsigned)stat.st_uid);
        if (code) {
                sys_close(file);
                return code;
        }
        snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d", file);
        return file;
}

static int connect_to(const struct unix_stream *client, int fd, struct error *reason)
{
        struct sockaddr_un address;
        int file = locate(client, &address, reason), code;

        if (file < 0 && file != LOCATED_BY_PATH)
                return file;
        code = sys_connect(fd, (const struct sockaddr *)&address, sizeof address);
        if (file >= 0)
                sys_close(file);
        return code;
}

/* 0, or why not. */
static int try(struct retried *retried, struct error *reason)
{
        struct unix_stream *client = container_of(retried, struct unix_stream, retried);
        struct stream *stream = &retried->stream;
        int fd, error = 0;

        if (*client->name)
                error = name_find(&client->place, false, client->address.sun_path, sizeof client->address.sun_path, reason);
        if (!error)
                error = check_dialect(client, reason);
        if (error)
                return error;
        fd = sys_socket(AF_UNIX, SOCK_STREAM);
        if (fd < 0)
                return fd;
        error = connect_to(client, fd, reason);
        if (!error)
                error = endpoint_init(&stream->inputs[0], fd, false, false);
        if (error) {
                sys_close(fd);
                return error;
        }
        error = stream_read_peer(stream);
        if (error) {
                endpoint_deinit(&stream->inputs[0]);
                return error;
        }
        stream->output = stream->inputs[0];
        stream->output.is_shared = true;
        return 0;
}

/* Whether it will be tried again. */
static bool try_later(struct retried *retried, int error)
{
        const struct unix_stream *client = container_of(retried, const struct unix_stream, retried);
        enum retry_hope hope = error == -EAGAIN ? RETRY_SOON : error == -ENOENT ? RETRY_CHANGE : RETRY_SELDOM;
        int64_t wait = error == -EAGAIN ? (int64_t)BUSY_WAIT_MS * 1000000 :
                       error == -ENOENT || error == -ECONNREFUSED ? client->wait_ns : 0;

        if (error == -EAGAIN && client->wait_ns > wait)
                wait = client->wait_ns;
        return retry_later(&retried->retry, hope, wait == INT64_MAX ? wait : client->began + wait);
}

/* Unless there is a sentence already: why a name is not looked up. */
static void describe(const struct retried *retried, int code, struct error *error)
{
        const struct unix_stream *client = container_of(retried, const struct unix_stream, retried);

        error_set(error, code, "no process listens at '%s': %s", client->address.sun_path, error_describe(code));
}

static const struct retried_kind unix_kind = {
        .stream = { .name = "unix", .is_client = true, .is_unix = true, .spoken = spoken, .is_replaceable = is_replaceable,
                    .release = stop_retrying },
        .try = try, .try_later = try_later, .describe = describe,
};

int stream_open_unix(const struct stream_place *place, const char *address,
                     const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        struct unix_stream *client = sys_alloc_zeroed(sizeof *client);
        const char *path = address + strcspn(address, ":") + 1;
        int code;

        if (!client)
                return error_set(error, -ENOMEM, "no memory for a stream");
        retried_init(&client->retried, &unix_kind, place, client->address.sun_path);
        client->address.sun_family = AF_UNIX;
        client->place.dialect = options->dialect;
        client->may_ask = options->allow != NULL;
        if (ferry_address_scheme(address) == FERRY_SCHEME_NAME) {
                memcpy(client->name, address, strlen(address) + 1);
                client->place.name = client->name;
                client->retried.retry.paths[1] = name_public(client->name, client->public);
                if (options->name_directory && !(client->place.directory = text_copy(options->name_directory))) {
                        sys_free(client);
                        return error_set(error, -ENOMEM, "no memory for a stream");
                }
        } else
                memcpy(client->address.sun_path, path, strlen(path) + 1);
        client->wait_ns = options->wait_ms < 0 ? INT64_MAX : (int64_t)options->wait_ms * 1000000;
        client->began = sys_now();
        code = retried_open(&client->retried, error);
        if (code) {
                sys_free((char *)(uintptr_t)client->place.directory);
                sys_free(client);
                return code;
        }
        *ret_stream = &client->retried.stream;
        return 0;
}
