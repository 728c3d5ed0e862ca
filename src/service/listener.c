/* What listens. Invariants: the socket has its mode before it has a name; a lock file beside it says whether its owner
 * lives, so what a dead one left is cleared away and a living one is never pushed aside; when nothing is left to take a
 * client with, those who want to come wait, and nothing spins. */
#include "service/listener.h"

#include "stream/name.h"
#include "util/text.h"

#include <ferry/address.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
        LIVES_AT = 1,           /* the bytes of the lock file that its owner locks begin there */
        PID_LIMIT = 1 << 22,    /* Linux has no larger ones */
        BACKLOG = 128,
        ACCEPTS_PER_ROUND = 16,
        REST_NS = 100000000,    /* of one that has no descriptors left; others may let go of some, too … */
        REST_MAX_NS = 1000000000, /* … but it is asked less and less often */
};

/* The lock --------------------------------------------------------------------------------------------- */

/* What stands there may be anybody's: it is opened without following or waiting, and must be a file of ours that has
 * nothing in it but what is written below. */
static int open_lock(const char *path, struct error *error)
{
        char first = '0';       /* its owner may be about to write it */
        struct stat stat;
        int lock = sys_open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600), code;

        if (lock == -ELOOP || lock == -EISDIR || lock == -ENXIO)
                return error_set(error, -EADDRINUSE, "%s is there, and is no lock", path);
        if (lock < 0)
                return error_set(error, lock, "the lock %s cannot be opened: %s", path, error_describe(lock));
        code = sys_stat_fd(lock, &stat);
        if (code < 0)
                error_set(error, code, "the lock %s cannot be looked at: %s", path, error_describe(code));
        else if (S_ISREG(stat.st_mode) && stat.st_uid != sys_uid())
                code = error_set(error, -EACCES, "the lock %s belongs to user %u", path, (unsigned)stat.st_uid);
        else if (!S_ISREG(stat.st_mode) || sys_read(lock, &first, 1) < 0 || first < '0' || first > '9')
                code = error_set(error, -EADDRINUSE, "%s is there, and is no lock", path);
        if (code < 0)
                sys_close(lock);
        return code < 0 ? code : lock;
}

/* Whether it is the one that has that name. */
static int is_named(int lock, const char *path)
{
        struct stat opened, named;
        int code = sys_stat_fd(lock, &opened);

        if (!code)
                code = sys_stat_path(path, &named);
        if (code)
                return code == -ENOENT ? 0 : code;
        return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* Somebody has it: -EADDRINUSE, or 0 if that was over when we asked. */
static int describe_owner(const struct listener *listener, int lock, struct error *error)
{
        pid_t pid;
        off_t size = sys_is_locked(lock, LIVES_AT, &pid);

        if (size <= 0)
                return (int)size;
        if (pid < 0 && size <= PID_LIMIT)
                pid = (pid_t)size;
        if (pid < 0)
                return error_set(error, -EADDRINUSE, "%s is in use, by a program that is not ferry",
                                 listener->path.sun_path);
        return error_set(error, -EADDRINUSE, "%s is in use, by pid %d", listener->path.sun_path, (int)pid);
}

/* Take the lock file beside the socket. It is taken only if it still has its name then: its last owner may have
 * removed it in between. As many bytes are locked as the pid says, so it is known who has it from the moment on that he
 * has it; what is written is for people. */
static int take_lock(struct listener *listener, struct error *error)
{
        char path[sizeof listener->path.sun_path + 8], text[16];
        int code;

        snprintf(path, sizeof path, "%s.lock", listener->path.sun_path);
        for (;;) {
                int lock = open_lock(path, error);

                if (lock < 0)
                        return lock;
                code = sys_lock_file(lock, LIVES_AT, sys_pid());
                if (code == -EAGAIN)
                        code = describe_owner(listener, lock, error);
                else if (!code && (code = is_named(lock, path)) > 0) {
                        snprintf(text, sizeof text, "%d\n", (int)sys_pid());
                        sys_truncate(lock, 0);
                        sys_write(lock, text, strlen(text));
                        listener->lock = lock;
                        return 0;
                }
                sys_close(lock);
                if (code < 0)
                        return error_set(error, code, "the lock %s cannot be taken: %s", path, error_describe(code));
        }
}

/* Unix sockets ----------------------------------------------------------------------------------------- */

/* A socket that is there although nobody holds the lock: left by the dead, or by somebody who knows no lock. */
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
        fd = sys_socket(AF_UNIX, SOCK_STREAM);
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
        /* Who waits for us watches the directory, in which listening alone changes nothing. */
        if (!code)
                sys_chmod_fd(listener->lock, 0600);
        return code;
}

static int listen_at_path(struct listener *listener, const char *path, const ferry_service_options *options,
                          struct error *error)
{
        int code;

        listener->path.sun_family = AF_UNIX;
        memcpy(listener->path.sun_path, path, strlen(path) + 1);
        code = take_lock(listener, error);
        if (!code)
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
                int fd = sys_accept(listener->fd);

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
                if (!listener->came(listener, fd))
                        return;
        }
}

/* The life of a listener ------------------------------------------------------------------------------- */

void listener_init(struct listener *listener, ferry_loop *loop, bool (*came)(struct listener *listener, int fd),
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

int listener_open(struct listener *listener, const char *address, const ferry_service_options *options,
                  struct error *error)
{
        const struct name_place place = { .name = address, .dialect = listener->dialects, .directory = options->name_directory };
        char path[sizeof listener->path.sun_path];
        int scheme = ferry_address_scheme(address), code;

        if (scheme == -ENAMETOOLONG)
                return error_set(error, scheme, "the path is too long for a socket: %s", address);
        if (scheme != FERRY_SCHEME_NAME && scheme != FERRY_SCHEME_UNIX)
                return error_set(error, -EINVAL, "%s is nothing to listen at: write NAME or unix:PATH", address);
        if (scheme == FERRY_SCHEME_UNIX)
                snprintf(path, sizeof path, "%s", address + strlen("unix:"));
        else if ((code = name_find(&place, true, path, sizeof path, error)) < 0)
                return code;
        code = name_address(listener, "unix:", path, error);
        if (!code)
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
        char lock_path[sizeof listener->path.sun_path + 8];

        loop_timer_stop(listener->loop, &listener->rest);
        snprintf(lock_path, sizeof lock_path, "%s.lock", listener->path.sun_path);
        /* Somebody may have cleared the place, and another may listen there now. */
        is_ours = !is_foreign && listener->lock >= 0 && is_named(listener->lock, lock_path) > 0;
        if (listener->fd >= 0) {
                if (!is_foreign)
                        loop_source_set(&listener->source, 0);
                if (is_ours && listener->is_bound)
                        sys_unlink(listener->path.sun_path);
                sys_close(listener->fd);
        }
        if (is_ours)
                sys_unlink(lock_path);
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
