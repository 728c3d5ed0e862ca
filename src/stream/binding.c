/* Binding to a path. Invariants: the socket has its mode before it has a name; a lock file beside it says whether its owner
 * lives, so what a dead one left is cleared away and a living one is never pushed aside. */
#include "stream/binding.h"

#include "stream/lock.h"
#include "stream/name.h"
#include "util/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A socket that is there although no process holds the lock: left by the dead, or by a program that knows no lock. One that
 * lives is not disturbed: a socket of the other type cannot connect, and the error says why. */
static int clear_stale(const struct binding *binding, int type, struct error *error)
{
        const char *path = binding->address.sun_path;
        struct stat stat;
        int fd, code = sys_stat_path(path, &stat);

        if (code == -ENOENT)
                return 0;
        if (code < 0)
                return code;
        if (!S_ISSOCK(stat.st_mode))
                return error_set(error, -EADDRINUSE, "%s is there, and is no socket", path);
        if (stat.st_uid != sys_uid())
                return error_set(error, -EADDRINUSE, "%s is there, and belongs to user %u", path, (unsigned)stat.st_uid);
        fd = sys_socket(AF_UNIX, type == SOCK_STREAM ? SOCK_DGRAM : SOCK_STREAM);
        if (fd < 0)
                return fd;
        code = sys_connect(fd, (const struct sockaddr *)&binding->address, sizeof binding->address);
        sys_close(fd);
        if (code != -ECONNREFUSED)
                return error_set(error, -EADDRINUSE, "%s is in use, by a program that is not ferry", path);
        return sys_unlink(path);
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

static int set_group(const struct binding *binding, const char *name, struct error *error)
{
        gid_t group;
        int code = find_group(name, &group);

        if (code)
                return error_set(error, code == -ENOENT ? -EINVAL : code, "the group %s is not known", name);
        return sys_change_owner(binding->address.sun_path, (uid_t)-1, group);
}

/* At first the name is only for us. */
static int bind_socket(struct binding *binding, int type, unsigned mode, const char *group, struct error *error)
{
        struct stat stat;
        int code;

        binding->fd = sys_socket(AF_UNIX, type);
        if (binding->fd < 0)
                return binding->fd;
        code = sys_chmod_fd(binding->fd, mode & 0700);
        if (!code)
                code = sys_bind(binding->fd, (const struct sockaddr *)&binding->address, sizeof binding->address);
        binding->is_bound = !code && sys_stat_path(binding->address.sun_path, &stat) == 0;
        if (binding->is_bound) {
                binding->device = stat.st_dev;
                binding->number = stat.st_ino;
        }
        if (!code && group)
                code = set_group(binding, group, error);
        /* What binding has left of it after the umask. */
        return code ? code : sys_chmod_path(binding->address.sun_path, mode & 0777);
}

void binding_init(struct binding *binding)
{
        *binding = (struct binding){ .fd = -1, .lock = -1 };
}

int binding_open(struct binding *binding, const char *path, int type, unsigned mode, const char *group, struct error *error)
{
        int code;

        binding->address.sun_family = AF_UNIX;
        memcpy(binding->address.sun_path, path, strlen(path) + 1);
        binding->lock = lock_take(path, error);
        if (binding->lock < 0)
                return binding->lock;
        code = clear_stale(binding, type, error);
        return code ? code : bind_socket(binding, type, mode ? mode : 0600, group, error);
}

void binding_publish(const struct binding *binding, unsigned dialects)
{
        lock_publish(binding->lock, dialects);
}

void binding_close(struct binding *binding, bool is_foreign)
{
        char lock[LOCK_PATH_MAX];
        /* Another process may have cleared the place, and a third may be bound there now. */
        bool is_ours = !is_foreign && binding->lock >= 0 && lock_is_named(binding->lock, binding->address.sun_path) > 0;

        if (is_ours && binding->is_bound)
                name_remove_file(binding->address.sun_path, binding->device, binding->number);
        if (binding->fd >= 0)
                sys_close(binding->fd);
        if (is_ours)
                sys_unlink(lock_path(binding->address.sun_path, lock));
        if (binding->lock >= 0)
                sys_close(binding->lock);
        binding->fd = binding->lock = -1;
}
