/* What listens. Invariants: the socket has its mode before it has a name; a lock file beside it says whether its owner
 * lives, so what a dead one left is cleared away and a living one is never pushed aside; when nothing is left to take a
 * client with, those who want to come wait, and nothing spins. */
#include "service/listener.h"

#include "service/lock.h"
#include "service/probe.h"
#include "stream/name.h"
#include "stream/tcp.h"
#include "util/text.h"

#include <ferry/address.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

enum {
        BACKLOG = 128,
        ACCEPTS_PER_ROUND = 16,
        REST_NS = 100000000,    /* of one that has no descriptors left; others may let go of some, too … */
        REST_MAX_NS = 1000000000, /* … but it is asked less and less often */
};

/* Unix sockets ----------------------------------------------------------------------------------------- */

/* A socket that is there although nobody holds the lock: left by the dead, or by somebody who knows no lock. Who lives is
 * not disturbed: one of another type cannot connect, and is told why. */
static int clear_stale(const struct listener *listener, struct error *error)
{
        struct stat stat;
        int fd, code = sys_stat_path(listener->path.sun_path, &stat);

        if (code == -ENOENT)
                return 0;
        if (code < 0)
                return code;
        if (!S_ISSOCK(stat.st_mode))
                return error_set(error, -EADDRINUSE, "%s is there, and is no socket", listener->path.sun_path);
        if (stat.st_uid != sys_uid())
                return error_set(error, -EADDRINUSE, "%s is there, and belongs to user %u", listener->path.sun_path,
                                 (unsigned)stat.st_uid);
        fd = sys_socket(AF_UNIX, SOCK_DGRAM);
        if (fd < 0)
                return fd;
        code = sys_connect(fd, (const struct sockaddr *)&listener->path, sizeof listener->path);
        sys_close(fd);
        if (code != -ECONNREFUSED)
                return error_set(error, -EADDRINUSE, "%s is in use, by a program that is not ferry",
                                 listener->path.sun_path);
        return sys_unlink(listener->path.sun_path);
}

static int set_group(const struct listener *listener, const char *name, struct error *error)
{
        gid_t group;
        int code = sys_find_group(name, &group);

        if (code)
                return error_set(error, code == -ENOENT ? -EINVAL : code, "the group %s is not known", name);
        return sys_change_owner(listener->path.sun_path, (uid_t)-1, group);
}

/* Nobody can connect before listen(), so until then the name is only for us. */
static int bind_and_listen(struct listener *listener, const ferry_service_options *options, struct error *error)
{
        unsigned mode = options->mode ? options->mode : 0600;
        int code;

        listener->fd = sys_socket(AF_UNIX, SOCK_STREAM);
        if (listener->fd < 0)
                return listener->fd;
        code = sys_chmod_fd(listener->fd, mode & 0700);
        if (!code)
                code = sys_bind(listener->fd, (const struct sockaddr *)&listener->path, sizeof listener->path);
        listener->is_bound = !code;
        if (!code && options->group)
                code = set_group(listener, options->group, error);
        /* What binding has left of it after the umask. */
        if (!code)
                code = sys_chmod_path(listener->path.sun_path, mode & 0777);
        if (!code)
                code = sys_listen(listener->fd, BACKLOG);
        if (!code)
                lock_publish(listener->lock, listener->spoken);
        return code;
}

static int listen_at_path(struct listener *listener, const char *path, const ferry_service_options *options,
                          struct error *error)
{
        int code;

        listener->path.sun_family = AF_UNIX;
        memcpy(listener->path.sun_path, path, strlen(path) + 1);
        listener->lock = lock_take(path, error);
        if (listener->lock < 0)
                return listener->lock;
        code = clear_stale(listener, error);
        if (!code)
                code = bind_and_listen(listener, options, error);
        return code;
}

/* Clients ---------------------------------------------------------------------------------------------- */

static void rest(struct listener *listener)
{
        int64_t next = listener->rest_ns * 2;

        listener->rest_ns = next < REST_NS ? REST_NS : next < REST_MAX_NS ? next : REST_MAX_NS;
        loop_source_set(&listener->source, 0);
        loop_timer_start(listener->loop, &listener->rest, sys_now() + listener->rest_ns);
}

static void has_rested(struct loop_timer *timer)
{
        struct listener *listener = container_of(timer, struct listener, rest);

        /* That takes memory, too. */
        if (loop_source_set(&listener->source, EPOLLIN) < 0)
                rest(listener);
}

void listener_wake(struct listener *listener)
{
        if (!listener->rest.is_running)
                return;
        loop_timer_stop(listener->loop, &listener->rest);
        listener->rest_ns = 0;
        has_rested(&listener->rest);
}

static void somebody_comes(struct loop_source *source, uint32_t events)
{
        struct listener *listener = container_of(source, struct listener, source);

        (void)events;
        for (int i = 0; i < ACCEPTS_PER_ROUND && !loop_is_foreign(listener->loop); i++) {
                struct sockaddr_un client = { .sun_family = AF_UNSPEC };
                socklen_t size = sizeof client;
                int fd = sys_accept(listener->fd, (struct sockaddr *)&client, &size);

                if (fd == -EAGAIN)
                        return;
                if (fd == -ECONNABORTED)
                        continue;
                if (fd < 0) {
                        /* No descriptor or memory is left: who waits must wait, and we must not spin. */
                        rest(listener);
                        return;
                }
                listener->rest_ns = 0;
                if (!listener->came(listener, fd, probe_is_one(&client, size)))
                        return;
        }
}

/* The life of a listener ------------------------------------------------------------------------------- */

void listener_init(struct listener *listener, ferry_loop *loop, bool (*came)(struct listener *listener, int fd, bool is_probe),
                   void *object)
{
        *listener = (struct listener){ .loop = loop, .fd = -1, .lock = -1, .came = came, .object = object };
        listener->source = (struct loop_source){ .loop = loop, .fd = -1, .fn = somebody_comes };
        listener->rest.fn = has_rested;
}

/* What was asked for, in full. */
static int name_address(struct listener *listener, const char *prefix, const char *rest, struct error *error)
{
        size_t size = strlen(prefix) + strlen(rest) + 1;

        listener->address = sys_alloc(size);
        if (!listener->address)
                return error_set(error, -ENOMEM, "no memory for an address");
        snprintf(listener->address, size, "%s%s", prefix, rest);
        return 0;
}

/* @address begins with tcp:. A socket that is let in has TCP_NODELAY from the one that listens. */
static int listen_at_port(struct listener *listener, const char *address, bool is_public, struct error *error)
{
        union tcp_address addresses[TCP_ADDRESSES_MAX], got = { 0 };
        char text[TCP_TEXT_MAX];
        int code;

        tcp_parse(address + strlen("tcp:"), addresses);
        if (!is_public && !tcp_is_loopback(&addresses[0]))
                return error_set(error, -EACCES, "%s can be reached by other machines, which is refused without the"
                                 " option is_public (--public)", address);
        listener->fd = sys_socket(addresses[0].any.sa_family, SOCK_STREAM);
        if (listener->fd < 0)
                return listener->fd;
        /* Connections of one that has ended would keep the port from the next one for a minute. */
        code = sys_set_socket_option(listener->fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (!code)
                code = sys_set_socket_option(listener->fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (!code) {
                code = sys_bind(listener->fd, &addresses[0].any, tcp_size(&addresses[0]));
                if (code == -EACCES)
                        error_set(error, code, "port %u is for privileged programs: those up to 1023 are, as a rule",
                                  (unsigned)ntohs(tcp_port(&addresses[0])));
        }
        if (!code)
                code = sys_listen(listener->fd, BACKLOG);
        if (code == -EADDRINUSE)
                error_set(error, code, "port %u is in use: %s", (unsigned)ntohs(tcp_port(&addresses[0])), address);
        if (!code)
                code = sys_socket_name(listener->fd, &got.any, sizeof got);
        return code ? code : name_address(listener, "", tcp_print(&got, text), error);
}

int listener_open(struct listener *listener, const char *address, const ferry_service_options *options,
                  struct error *error)
{
        const struct name_place place = { .name = address, .dialect = listener->dialects, .directory = options->name_directory };
        char path[sizeof listener->path.sun_path];
        int scheme = ferry_address_scheme(address), code;

        if (scheme == -ENAMETOOLONG)
                return error_set(error, scheme, "the path is too long for a socket: %s", address);
        if (scheme < 0 && strncmp(address, "tcp:", 4) == 0)
                return tcp_refuse(address, error);
        if (scheme != FERRY_SCHEME_NAME && scheme != FERRY_SCHEME_UNIX && scheme != FERRY_SCHEME_TCP)
                return error_set(error, -EINVAL, "%s is nothing to listen at: write NAME, unix:PATH or tcp:HOST:PORT",
                                 address);
        if (scheme != FERRY_SCHEME_NAME)
                snprintf(path, sizeof path, "%s", address + (scheme == FERRY_SCHEME_UNIX ? strlen("unix:") : 0));
        else if ((code = name_find(&place, true, path, sizeof path, error)) < 0)
                return code;
        code = scheme == FERRY_SCHEME_TCP ? 0 : name_address(listener, "unix:", path, error);
        if (!code && scheme == FERRY_SCHEME_TCP)
                code = listen_at_port(listener, address, options->is_public, error);
        else if (!code)
                code = listen_at_path(listener, path, options, error);
        /* The kernel's word for it; a program would take it for a full queue. */
        if (code == -ENOBUFS)
                code = -ENOMEM;
        if (!code) {
                listener->source.fd = listener->fd;
                code = loop_source_set(&listener->source, EPOLLIN);
        }
        return code ? error_set(error, code, "%s cannot be listened at: %s", path, error_describe(code)) : 0;
}

void listener_close(struct listener *listener)
{
        bool is_foreign = loop_is_foreign(listener->loop), is_ours;
        char lock[LOCK_PATH_MAX];

        loop_timer_stop(listener->loop, &listener->rest);
        /* Somebody may have cleared the place, and another may listen there now. */
        is_ours = !is_foreign && listener->lock >= 0 && lock_is_named(listener->lock, listener->path.sun_path) > 0;
        if (listener->fd >= 0) {
                if (!is_foreign)
                        loop_source_set(&listener->source, 0);
                if (is_ours && listener->is_bound)
                        sys_unlink(listener->path.sun_path);
                sys_close(listener->fd);
        }
        if (is_ours)
                sys_unlink(lock_path(listener->path.sun_path, lock));
        if (listener->lock >= 0)
                sys_close(listener->lock);
        listener->fd = listener->lock = listener->source.fd = -1;
}

void listener_deinit(struct listener *listener)
{
        listener_close(listener);
        sys_free(listener->address);
        listener->address = NULL;
}
