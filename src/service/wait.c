/* Waiting until somebody listens. Invariant: nobody is ever connected to, since there are servers that take harm from a
 * client that only comes and goes. A service of ferry says by its lock that it listens; of others the kernel knows. */
#include "loop/retry.h"
#include "stream/lock.h"
#include "stream/bound.h"
#include "stream/name.h"
#include "wire/dialect.h"

#include <ferry/address.h>
#include <ferry/service.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/un.h>

struct waiting {
        struct name_place place;        /* its name is NULL if a path was given */
        char path[sizeof ((struct sockaddr_un *)NULL)->sun_path];
        char own_path[sizeof ((struct sockaddr_un *)NULL)->sun_path];
        char public[NAME_PUBLIC_MAX];
        struct retry retry;
        int code;                       /* 1: somebody listens; or why that will not be known */
};

/* Which file is at a path; that which a link there leads to. */
static int look_at(const char *path, struct stat *ret_stat)
{
        int fd = sys_open(path, O_PATH, 0), code;

        if (fd < 0)
                return fd;
        code = sys_stat_fd(fd, ret_stat);
        sys_close(fd);
        return code;
}

/* 1: somebody listens; 0: not yet, and what there is to hope for; or a negative errno. */
static int look(struct waiting *waiting, enum retry_hope *ret_hope)
{
        struct list sockets = LIST_INIT(sockets);
        struct bound bound = { .path = waiting->path };
        struct lock_record record;
        struct error error = { 0 };
        int code = 0;

        *ret_hope = RETRY_CHANGE;
        if (waiting->place.name)
                code = name_find(&waiting->place, false, waiting->path, sizeof waiting->path, &error);
        error_deinit(&error);
        if (!code)
                code = lock_read(waiting->path, &record);
        if (!code)
                code = look_at(waiting->path, &bound.stat);
        if (code)
                return code == -ENOENT ? 0 : code;
        if (!S_ISSOCK(bound.stat.st_mode))
                return 0;
        list_append(&sockets, &bound.link);
        code = bound_look(&sockets);
        /* It will listen soon, or never; of which nobody would be told. What the dead have left is bound by nobody. */
        if (bound.is_bound)
                *ret_hope = RETRY_SELDOM;
        return code ? code : bound.is_listening;
}

static void look_again(struct retry *retry)
{
        struct waiting *waiting = container_of(retry, struct waiting, retry);
        enum retry_hope hope;

        waiting->code = look(waiting, &hope);
        if (waiting->code == 0)
                retry_later(retry, hope, INT64_MAX);
}

static bool is_known(void *object)
{
        const struct waiting *waiting = object;

        return waiting->code != 0;
}

static bool is_dialect(unsigned number)
{
        const struct dialect *dialect;

        for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                if (dialect->number == number)
                        return true;
        return number == FERRY_DIALECT_AUTO;
}

/* Where it will be looked for. */
static int set_paths(struct waiting *waiting, const char *address)
{
        int scheme = ferry_address_scheme(address), code;
        struct error error = { 0 };

        if (scheme < 0)
                return scheme;
        if (scheme == FERRY_SCHEME_UNIX) {
                memcpy(waiting->path, address + strlen("unix:"), strlen(address) - strlen("unix:") + 1);
                memcpy(waiting->own_path, waiting->path, sizeof waiting->path);
                return 0;
        }
        if (scheme != FERRY_SCHEME_NAME)
                return -EINVAL;
        waiting->place.name = address;
        waiting->retry.paths[1] = name_public(address, waiting->public);
        code = name_path(&waiting->place, waiting->own_path, sizeof waiting->own_path, &error);
        error_deinit(&error);
        return code;
}

int ferry_service_wait(ferry_loop *loop, const char *address, unsigned dialect, int timeout_ms)
{
        struct waiting waiting = { .place.dialect = dialect };
        enum retry_hope hope;
        int code;

        if (!loop)
                return -ENOMEM;
        if (loop_is_foreign(loop))
                return -ECHILD;
        if (!is_dialect(dialect))
                return -EINVAL;
        waiting.place.directory = loop->session.name_directory;
        retry_init(&waiting.retry, loop, waiting.own_path, NULL, look_again);
        code = set_paths(&waiting, address);
        if (code)
                return code;
        loop_enter(loop);
        waiting.code = look(&waiting, &hope);
        /* To watch a directory, and no longer, takes the kernel milliseconds. */
        if (waiting.code == 0 && timeout_ms != 0)
                retry_later(&waiting.retry, hope, INT64_MAX);
        code = loop_wait(loop, loop_deadline(timeout_ms), is_known, &waiting, NULL);
        retry_stop(&waiting.retry);
        loop_leave(loop);
        return code == -ETIMEDOUT ? 0 : code ? code : waiting.code;
}
