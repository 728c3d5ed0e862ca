/* What listens. Invariants: when no descriptor is left to take a client with, clients wait in the backlog, and nothing spins;
 * a socket file that is removed is made again, or its loss is reported. */
#include "stream/listener.h"

#include "stream/inet.h"
#include "stream/lock.h"
#include "stream/name.h"
#include "util/text.h"

#include <ferry/address.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

enum {
        ACCEPTS_PER_ROUND = 16,
        REST_NS = 100000000,    /* of one that has no descriptors left; others may let go of some, too … */
        REST_MAX_NS = 1000000000, /* … but it is asked less and less often */
};

/* Clients ---------------------------------------------------------------------------------------------- */

static void rest(struct listener *listener)
{
        int64_t next = listener->rest_ns * 2;

        listener->rest_ns = next < REST_NS ? REST_NS : next < REST_MAX_NS ? next : REST_MAX_NS;
        loop_source_set(&listener->source, 0);
        loop_timer_start(listener->loop, &listener->rest, sys_now() + listener->rest_ns);
}

static void accept_clients(struct loop_source *source, uint32_t events);

static void has_rested(struct loop_timer *timer)
{
        struct listener *listener = container_of(timer, struct listener, rest);

        /* That takes memory, too. */
        if (loop_source_set(&listener->source, EPOLLIN) < 0)
                rest(listener);
        else if (listener->old_fd >= 0)
                accept_clients(&listener->source, 0);
}

void listener_wake(struct listener *listener)
{
        if (!listener->rest.is_running)
                return;
        loop_timer_stop(listener->loop, &listener->rest);
        listener->rest_ns = 0;
        /* Accepting is what may have closed the client that calls. */
        if (listener->old_fd >= 0)
                loop_timer_start(listener->loop, &listener->rest, 0);
        else
                has_rested(&listener->rest);
}

/* 1 if a client waits, 0, or a negative errno. */
static int count_waiting(int fd)
{
        struct pollfd poll = { .fd = fd, .events = POLLIN };

        return sys_poll(&poll, 1, 0);
}

/* All that had connected there are taken. The new file may be gone meanwhile. */
static void close_old(struct listener *listener)
{
        sys_close(listener->old_fd);
        listener->old_fd = -1;
        keeper_start(&listener->keeper);
}

int listener_accept(struct listener *listener, struct sockaddr_storage *ret_client, socklen_t *ret_size)
{
        for (;;) {
                bool is_old = listener->old_fd >= 0;
                int socket = is_old ? listener->old_fd : listener->binding.fd, waiting = 1, fd;

                *ret_client = (struct sockaddr_storage){ .ss_family = AF_UNSPEC };
                *ret_size = sizeof *ret_client;
                if (listener->may_block)
                        waiting = count_waiting(socket);
                if (waiting <= 0)
                        return waiting < 0 ? waiting : -EAGAIN;
                fd = sys_accept(socket, (struct sockaddr *)ret_client, ret_size);
                if (fd == -ECONNABORTED)
                        continue;
                /* Without descriptors accept(2) fails also where no client waits. */
                if (fd < 0 && fd != -EAGAIN && count_waiting(socket) == 0)
                        fd = -EAGAIN;
                if (fd != -EAGAIN || !is_old)
                        return fd;
                close_old(listener);
        }
}

static void accept_clients(struct loop_source *source, uint32_t events)
{
        struct listener *listener = container_of(source, struct listener, source);

        (void)events;
        /* Clients that had connected before the file was removed come first. */
        for (int i = 0; i < ACCEPTS_PER_ROUND && !loop_is_foreign(listener->loop); i++) {
                struct sockaddr_storage client;
                socklen_t size;
                int fd = listener_accept(listener, &client, &size);

                if (fd == -EAGAIN)
                        return;
                if (fd < 0) {
                        /* No descriptor or memory is left: clients must wait, and we must not spin. */
                        rest(listener);
                        if ((fd == -EMFILE || fd == -ENFILE) && listener->short_of)
                                listener->short_of(listener);
                        return;
                }
                listener->rest_ns = 0;
                if (!listener->came(listener, fd, (const struct sockaddr *)&client, size))
                        return;
        }
        /* The old socket is not polled: the next round goes on with it. */
        if (listener->old_fd >= 0 && !loop_is_foreign(listener->loop))
                loop_timer_postpone(listener->loop, &listener->rest);
}

/* The socket file -------------------------------------------------------------------------------------- */

static void was_removed(struct keeper *keeper)
{
        struct listener *listener = container_of(keeper, struct listener, keeper);
        struct error error = { 0 };
        int old_fd = -1, code;

        /* One after the other. */
        if (listener->old_fd >= 0)
                return;
        code = binding_renew(&listener->binding, &old_fd, &error);
        if (!code) {
                listener->source.fd = old_fd;
                loop_source_set(&listener->source, 0);
                loop_timer_stop(listener->loop, &listener->rest);
                listener->source.fd = listener->binding.fd;
                code = sys_listen(listener->binding.fd, LISTENER_BACKLOG);
        }
        if (!code) {
                binding_publish(&listener->binding, listener->spoken);
                keeper_start(keeper);
                code = listener->renewed ? 0 : loop_source_set(&listener->source, EPOLLIN);
                if (!code)
                        listener->old_fd = old_fd;
        }
        if (code) {
                error_set(&error, code, "%s", error_describe(code));
                listener->lost(listener, code, error_text(&error));
        }
        error_deinit(&error);
        if (listener->old_fd >= 0 && listener->renewed)
                listener->renewed(listener);
        else if (listener->old_fd >= 0)
                accept_clients(&listener->source, 0);
        else if (old_fd >= 0)
                sys_close(old_fd);
}

/* The life of a listener ------------------------------------------------------------------------------- */

void listener_init(struct listener *listener, ferry_loop *loop, listener_came_fn *came, listener_lost_fn *lost, void *object)
{
        *listener = (struct listener){ .loop = loop, .came = came, .lost = lost, .old_fd = -1,
                                       .object = object };
        binding_init(&listener->binding);
        keeper_init(&listener->keeper, loop, &listener->binding, was_removed);
        listener->source = (struct loop_source){ .loop = loop, .fd = -1, .fn = accept_clients };
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
        union inet_address addresses[INET_ADDRESSES_MAX], got = { 0 };
        char text[INET_TEXT_MAX];
        int fd, code;

        inet_parse(address + strlen("tcp:"), addresses);
        fd = inet_bind(&addresses[0], SOCK_STREAM, is_public, address, error);
        if (fd < 0)
                return fd;
        listener->binding.fd = fd;
        code = sys_set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (!code)
                code = sys_listen(fd, LISTENER_BACKLOG);
        if (code == -EADDRINUSE)
                error_set(error, code, "'%2$s': port %1$u is in use", (unsigned)ntohs(inet_port(&addresses[0])), address);
        if (!code)
                code = sys_socket_name(fd, &got.any, sizeof got);
        return code ? code : name_address(listener, "", inet_print("tcp", &got, text), error);
}

/* No process can connect before listen(), so until then the mode does not matter. */
static int listen_at_path(struct listener *listener, const char *path, const struct listener_options *options,
                          struct error *error)
{
        int code = binding_open(&listener->binding, path, SOCK_STREAM, options->mode, options->group, error);

        if (!code)
                code = sys_listen(listener->binding.fd, LISTENER_BACKLOG);
        if (!code)
                binding_publish(&listener->binding, listener->spoken);
        return code;
}

int listener_open(struct listener *listener, const char *address, const struct listener_options *options,
                  struct error *error)
{
        const struct name_place place = { .name = address, .dialect = listener->dialects, .directory = options->name_directory };
        char path[sizeof listener->binding.address.sun_path];
        int scheme = ferry_address_scheme(address), code;

        if (scheme == -ENAMETOOLONG)
                return error_set(error, scheme, "the path is too long for a socket: '%s'", address);
        if (scheme < 0 && strncmp(address, "tcp:", 4) == 0)
                return inet_refuse("tcp", address + 4, error);
        if (scheme != FERRY_SCHEME_NAME && scheme != FERRY_SCHEME_UNIX && scheme != FERRY_SCHEME_TCP)
                return error_set(error, -EINVAL, "cannot listen at '%s': write NAME, unix:PATH, tcp:HOST:PORT or nats:SUBJECT",
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
        listener->source.fd = listener->binding.fd;
        return code ? error_set(error, code, "cannot listen at '%s': %s", path, error_describe(code)) : 0;
}

int listener_find(struct listener *listener, const char *address, const struct listener_options *options, char *path, size_t size,
                  struct error *error)
{
        const struct name_place place = { .name = address, .dialect = listener->dialects, .directory = options->name_directory };
        int scheme = ferry_address_scheme(address);

        if (scheme == FERRY_SCHEME_NAME)
                return name_find(&place, true, path, size, error);
        if (scheme != FERRY_SCHEME_UNIX)
                return error_set(error, -EOPNOTSUPP, "'%s' cannot be taken over: only NAME and unix:PATH can", address);
        snprintf(path, size, "%s", address + strlen("unix:"));
        return 0;
}

int listener_inherit(struct listener *listener, const char *path, int fd, int lock, struct error *error)
{
        int code = name_address(listener, "unix:", path, error);

        if (!code)
                code = binding_inherit(&listener->binding, path, fd, lock, error);
        /* Clients see the credentials of the process that has called this. */
        if (!code && (code = sys_listen(fd, LISTENER_BACKLOG)) < 0) {
                listener->binding.fd = listener->binding.lock = -1;
                listener->binding.is_bound = false;
        }
        if (code)
                return error_set(error, code, "cannot take over '%s': %s", path, error_describe(code));
        listener->source.fd = fd;
        /* Sockets of ferry do not block. */
        listener->may_block = lock < 0;
        return 0;
}

int listener_claim(struct listener *listener)
{
        int code = listener->binding.lock >= 0 ? lock_inherit(listener->binding.lock) : 0;

        if (!code && listener->binding.lock >= 0)
                binding_publish(&listener->binding, listener->spoken);
        return code;
}

void listener_leave(struct listener *listener)
{
        binding_leave(&listener->binding);
        listener_close(listener);
}

/* 0 or -EINVAL, and why, if it is no stream socket that listens; else the family. */
static int check_given(int fd, struct error *error)
{
        static const struct { int option, value; } required[] = { { SO_TYPE, SOCK_STREAM }, { SO_ACCEPTCONN, 1 } };
        int family = 0, code;

        for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
                int value = 0;

                code = sys_get_socket_option(fd, required[i].option, &value, sizeof value);
                if (code == -ENOTSOCK || (!code && value != required[i].value))
                        return error_set(error, -EINVAL, "descriptor %d is not a stream socket that listens", fd);
                if (code)
                        return error_set(error, code, "cannot listen at descriptor %d: %s", fd, error_describe(code));
        }
        code = sys_get_socket_option(fd, SO_DOMAIN, &family, sizeof family);
        if (code)
                return error_set(error, code, "cannot listen at descriptor %d: %s", fd, error_describe(code));
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
                return error_set(error, -EINVAL, "descriptor %d is neither a unix socket nor one of tcp", fd);
        return family;
}

int listener_adopt(struct listener *listener, int fd, struct error *error)
{
        union { struct sockaddr any; struct sockaddr_un path; union inet_address inet; } name = { 0 };
        char text[INET_TEXT_MAX];
        int family = check_given(fd, error), flags = family < 0 ? 0 : sys_flags(fd), code = family < 0 ? family : flags < 0 ? flags : 0;

        if (!code)
                code = sys_socket_name(fd, &name.any, sizeof name);
        if (!code && family == AF_UNIX && !*name.path.sun_path && name.path.sun_path[1])
                code = name_address(listener, "unix:@", name.path.sun_path + 1, error);
        else if (!code)
                code = family == AF_UNIX ? name_address(listener, "unix:", name.path.sun_path, error) :
                                           name_address(listener, "", inet_print("tcp", &name.inet, text), error);
        if (code == -ENOBUFS)
                code = -ENOMEM;
        if (code)
                return error_set(error, code, "cannot listen at descriptor %d: %s", fd, error_describe(code));
        listener->may_block = !(flags & O_NONBLOCK);
        listener->binding.fd = listener->source.fd = fd;
        return 0;
}

int listener_start(struct listener *listener, struct error *error)
{
        int code = loop_source_set(&listener->source, EPOLLIN);

        if (!code && listener->binding.is_bound)
                keeper_start(&listener->keeper);
        return code ? error_set(error, code, "cannot listen at '%s': %s", listener->address, error_describe(code)) : 0;
}

void listener_keep(struct listener *listener, void (*renewed)(struct listener *listener))
{
        listener->renewed = renewed;
        if (listener->binding.is_bound)
                keeper_start(&listener->keeper);
}

void listener_close(struct listener *listener)
{
        bool is_foreign = loop_is_foreign(listener->loop);

        keeper_stop(&listener->keeper);
        loop_timer_stop(listener->loop, &listener->rest);
        if (listener->binding.fd >= 0 && !is_foreign)
                loop_source_set(&listener->source, 0);
        if (listener->old_fd >= 0)
                sys_close(listener->old_fd);
        listener->old_fd = -1;
        binding_close(&listener->binding, is_foreign);
        listener->source.fd = -1;
}

void listener_deinit(struct listener *listener)
{
        listener_close(listener);
        sys_free(listener->address);
        listener->address = NULL;
}
