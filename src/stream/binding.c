/* Binding to a path. Invariants: the socket has its mode before it has a name; a lock file beside it says whether its owner
 * lives, so what a dead one left is cleared away and a living one is never pushed aside; after bind(2) all is done through
 * descriptors, so that what is put in the place of the socket or its directory is not touched. */
#include "stream/binding.h"

#include "stream/lock.h"
#include "util/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FD_PATH_MAX = 32 };

static const char *fd_path(int fd, char path[FD_PATH_MAX])
{
        snprintf(path, FD_PATH_MAX, "/proc/self/fd/%d", fd);
        return path;
}

/* Whether a socket lives at that file, which is an O_PATH descriptor: -ECONNREFUSED if not. One that lives is not disturbed: a
 * socket of the other type cannot connect, and the error says why. */
static int try_connect(int file, int type)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = sys_socket(AF_UNIX, type == SOCK_STREAM ? SOCK_DGRAM : SOCK_STREAM), code;

        if (fd < 0)
                return fd;
        fd_path(file, address.sun_path);
        code = sys_connect(fd, (const struct sockaddr *)&address, sizeof address);
        sys_close(fd);
        return code == -ECONNREFUSED ? code : -EADDRINUSE;
}

/* A socket that is there although no process holds the lock: left by the dead, or by a program that knows no lock. */
static int clear_stale(const struct binding *binding, struct error *error)
{
        const char *path = binding->address.sun_path;
        char place[HELD_PATH_MAX];
        struct stat stat;
        int code, file = sys_open(held_path(&binding->held, "", place), O_PATH | O_NOFOLLOW, 0);

        if (file < 0)
                return file == -ENOENT ? 0 : file;
        code = sys_stat_fd(file, &stat);
        if (!code && !S_ISSOCK(stat.st_mode))
                code = error_set(error, -EADDRINUSE, "'%s' exists, and is not a socket", path);
        else if (!code && stat.st_uid != sys_uid())
                code = error_set(error, -EADDRINUSE, "cannot listen at '%s': it exists, and belongs to user %u", path,
                                 (unsigned)stat.st_uid);
        if (!code)
                code = try_connect(file, binding->type);
        sys_close(file);
        if (code == -EADDRINUSE)
                return error_set(error, code, "'%s' is in use by a program that is not ferry", path);
        if (code == -ECONNREFUSED)
                code = held_remove(&binding->held, "", stat.st_dev, stat.st_ino);
        return code == -ENOENT ? 0 : code;
}

/* A group by its name or, where no group has that name, by its number. */
static int find_group(const char *name, gid_t *ret_group)
{
        int code = sys_find_group(name, ret_group);
        long long number;
        char *end;

        if (code != -ENOENT || *name < '0' || *name > '9')
                return code;
        number = strtoll(name, &end, 10);
        if (*end || number >= (long long)(gid_t)-1)
                return code;
        *ret_group = (gid_t)number;
        return 0;
}

/* A socket of ours there, which does not live. */
static void remove_dead(const struct held *held, int type)
{
        char place[HELD_PATH_MAX];
        struct stat stat;
        int file = sys_open(held_path(held, "", place), O_PATH | O_NOFOLLOW, 0);

        if (file < 0)
                return;
        if (sys_stat_fd(file, &stat) == 0 && S_ISSOCK(stat.st_mode) && stat.st_uid == sys_uid() &&
            try_connect(file, type) == -ECONNREFUSED)
                held_remove(held, "", stat.st_dev, stat.st_ino);
        sys_close(file);
}

/* What bind(2) has made, as far as that can be known without a descriptor. It takes a path: where the directory was replaced, it
 * has made the socket in the new one. */
static void remove_unseen(struct binding *binding)
{
        struct held now;
        struct stat stat;

        if (held_stat(&binding->held, "", &stat) == 0) {
                if (S_ISSOCK(stat.st_mode) && stat.st_uid == sys_uid())
                        held_remove(&binding->held, "", stat.st_dev, stat.st_ino);
        } else if (held_open(&now, binding->address.sun_path) == 0) {
                sys_close(binding->fd);
                binding->fd = -1;
                remove_dead(&now, binding->type);
                held_close(&now);
        }
}

/* What bind(2) has made: an O_PATH descriptor, or a negative errno with a sentence. */
static int open_bound(struct binding *binding, struct error *error)
{
        char place[HELD_PATH_MAX];
        struct stat stat;
        int file = sys_open(held_path(&binding->held, "", place), O_PATH | O_NOFOLLOW, 0);
        int code = file < 0 ? file : sys_stat_fd(file, &stat);

        if (code) {
                remove_unseen(binding);
                error_set(error, code, "cannot open the socket '%s' right after it was bound: %s", binding->address.sun_path,
                          error_describe(code));
        } else if (!S_ISSOCK(stat.st_mode) || stat.st_uid != sys_uid() || stat.st_nlink != 1)
                code = error_set(error, -EACCES, "the directory of '%s' is not safe: the socket was replaced as soon as it was"
                                                 " bound",
                                 binding->address.sun_path);
        if (code) {
                if (file >= 0)
                        sys_close(file);
                return code;
        }
        binding->is_bound = true;
        binding->device = stat.st_dev;
        binding->number = stat.st_ino;
        return file;
}

/* At first the name is only for us. The mode is set again, as binding has left of it what the umask lets. */
static int bind_socket(struct binding *binding, struct error *error)
{
        char path[FD_PATH_MAX];
        int code, file;

        binding->fd = sys_socket(AF_UNIX, binding->type);
        /* The kernel's word for it; a program would take it for a full queue. */
        if (binding->fd < 0)
                return binding->fd == -ENOBUFS ? -ENOMEM : binding->fd;
        code = sys_chmod_fd(binding->fd, binding->mode & 0700);
        if (!code)
                code = sys_bind(binding->fd, (const struct sockaddr *)&binding->address, sizeof binding->address);
        file = code ? code : open_bound(binding, error);
        if (file < 0)
                return file;
        if (binding->group != (gid_t)-1 && (code = sys_change_owner(file, (uid_t)-1, binding->group)) == -EPERM)
                error_set(error, code, "cannot give '%s' to the group %u: %s: only root and the members of that group can",
                          binding->address.sun_path, (unsigned)binding->group, error_describe(code));
        if (!code)
                code = sys_chmod_path(fd_path(file, path), binding->mode);
        sys_close(file);
        return code;
}

void binding_init(struct binding *binding)
{
        *binding = (struct binding){ .held = HELD_NONE, .fd = -1, .lock = -1, .group = (gid_t)-1 };
}

static int set_group(struct binding *binding, const char *name, struct error *error)
{
        int code = name ? find_group(name, &binding->group) : 0;

        return code ? error_set(error, code == -ENOENT ? -EINVAL : code, "there is no group '%s'", name) : 0;
}

static int open_directory(struct binding *binding, struct error *error)
{
        int code = held_open(&binding->held, binding->address.sun_path);

        return code ? error_set(error, code, "cannot use the directory of '%s': %s", binding->address.sun_path,
                                error_describe(code)) : 0;
}

int binding_open(struct binding *binding, const char *path, int type, unsigned mode, const char *group, struct error *error)
{
        int code;

        binding->type = type;
        binding->mode = mode ? mode & 0777 : 0600;
        binding->address.sun_family = AF_UNIX;
        memcpy(binding->address.sun_path, path, strlen(path) + 1);
        code = set_group(binding, group, error);
        if (!code)
                code = open_directory(binding, error);
        if (code)
                return code;
        binding->lock = lock_take(&binding->held, error);
        if (binding->lock < 0)
                return binding->lock;
        code = clear_stale(binding, error);
        return code ? code : bind_socket(binding, error);
}

/* Whether the path leads to that socket, as far as the kernel says: the socket has the name, and the file is one. */
static int check_inherited(struct binding *binding, int fd, int lock, struct error *error)
{
        union { struct sockaddr any; struct sockaddr_un path; } name = { 0 };
        struct stat stat;
        int code = sys_socket_name(fd, &name.any, sizeof name), listens = 0;

        if (!code)
                code = sys_get_socket_option(fd, SO_ACCEPTCONN, &listens, sizeof listens);
        if (!code)
                code = held_stat(&binding->held, "", &stat);
        if (code)
                return code == -ENOBUFS ? -ENOMEM : code;
        if (!listens || name.path.sun_family != AF_UNIX || strcmp(name.path.sun_path, binding->address.sun_path) != 0 || !S_ISSOCK(stat.st_mode))
                return error_set(error, -EINVAL, "what was handed over is not the socket of '%s'", binding->address.sun_path);
        binding->device = stat.st_dev;
        binding->number = stat.st_ino;
        binding->mode = stat.st_mode & 0777;
        if (lock >= 0 && (code = lock_is_named(lock, &binding->held)) <= 0)
                return code ? code : error_set(error, -EINVAL, "what was handed over is not the lock of '%s', or the lock's file is gone",
                                                       binding->address.sun_path);
        return 0;
}

int binding_inherit(struct binding *binding, const char *path, int fd, int lock, struct error *error)
{
        int code;

        binding->type = SOCK_STREAM;
        binding->address.sun_family = AF_UNIX;
        memcpy(binding->address.sun_path, path, strlen(path) + 1);
        code = open_directory(binding, error);
        if (!code)
                code = check_inherited(binding, fd, lock, error);
        if (code)
                return code;
        binding->fd = fd;
        binding->lock = lock;
        binding->is_bound = lock >= 0;
        return 0;
}

void binding_leave(struct binding *binding)
{
        if (binding->lock >= 0)
                sys_close(binding->lock);
        binding->lock = -1;
        binding->is_bound = false;
}

bool binding_is_named(const struct binding *binding)
{
        struct stat stat;

        return sys_stat_path(binding->address.sun_path, &stat) == 0 && stat.st_ino == binding->number &&
               stat.st_dev == binding->device;
}

int binding_renew(struct binding *binding, int *ret_old_fd, struct error *error)
{
        struct binding fresh = *binding;
        bool has_lock;
        int code;

        fresh.fd = -1;
        fresh.is_bound = false;
        code = open_directory(&fresh, error);
        if (code)
                return code;
        has_lock = lock_is_named(binding->lock, &fresh.held) > 0;
        if (!has_lock)
                fresh.lock = lock_take(&fresh.held, error);
        code = fresh.lock < 0 ? fresh.lock : clear_stale(&fresh, error);
        if (!code)
                code = bind_socket(&fresh, error);
        if (code) {
                /* What the old one still has stays. */
                if (has_lock)
                        fresh.lock = -1;
                binding_close(&fresh, false);
                return code;
        }
        if (!has_lock)
                sys_close(binding->lock);
        held_close(&binding->held);
        *ret_old_fd = binding->fd;
        *binding = fresh;
        binding->held.path = binding->address.sun_path;
        binding->held.name = binding->address.sun_path + (fresh.held.name - fresh.address.sun_path);
        return 0;
}

void binding_publish(const struct binding *binding, unsigned dialects)
{
        lock_publish(binding->lock, dialects);
}

void binding_close(struct binding *binding, bool is_foreign)
{
        /* Another process may have cleared the place, and a third may be bound there now. */
        bool is_ours = !is_foreign && binding->lock >= 0 && lock_is_named(binding->lock, &binding->held) > 0;

        if (binding->is_bound && !is_foreign && (is_ours || binding->lock < 0))
                held_remove(&binding->held, "", binding->device, binding->number);
        if (binding->fd >= 0)
                sys_close(binding->fd);
        if (is_ours)
                lock_remove(binding->lock, &binding->held);
        if (binding->lock >= 0)
                sys_close(binding->lock);
        held_close(&binding->held);
        binding->fd = binding->lock = -1;
        binding->is_bound = false;
}
