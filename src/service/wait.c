/* Waiting until a process listens. Invariant: no listener is ever connected to, since there are servers that take harm from a
 * client that only comes and goes. A service of ferry says by its lock that it listens; of others the kernel knows. */
#include "loop/retry.h"
#include "session/session.h"
#include "stream/bound.h"
#include "stream/name.h"
#include "wire/dialect.h"

#include <ferry/address.h>
#include <ferry/service.h>

#include <errno.h>
#include <string.h>
#include <sys/un.h>

struct waiting {
        struct retry_look look;
        struct name_place place;        /* its name is NULL if a path was given */
        char path[sizeof ((struct sockaddr_un *)NULL)->sun_path];
        char own_path[sizeof ((struct sockaddr_un *)NULL)->sun_path];
        char public[NAME_PUBLIC_MAX];
};

static int look(struct retry_look *look, enum retry_hope *ret_hope)
{
        struct waiting *waiting = container_of(look, struct waiting, look);
        bool is_bound = false;
        int code = 0;

        if (waiting->place.name)
                code = name_find(&waiting->place, false, waiting->path, sizeof waiting->path, &look->error);
        if (code)
                return code == -ENOENT ? 0 : code;
        code = bound_find(waiting->path, SOCK_STREAM, &is_bound);
        /* It will listen soon, or never; nothing reports that. What the dead have left is bound by no process. */
        if (is_bound)
                *ret_hope = RETRY_SELDOM;
        return code;
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
static int set_paths(struct waiting *waiting, const char *address, struct error *error)
{
        int scheme = ferry_address_scheme(address);

        if (scheme == -ENAMETOOLONG)
                return error_set(error, scheme, "the path is too long for a socket");
        if (scheme == FERRY_SCHEME_UNIX) {
                memcpy(waiting->path, address + strlen("unix:"), strlen(address) - strlen("unix:") + 1);
                memcpy(waiting->own_path, waiting->path, sizeof waiting->path);
                return 0;
        }
        if (scheme != FERRY_SCHEME_NAME)
                return error_set(error, -EINVAL, "it is not the address of a service: write NAME or unix:PATH");
        waiting->place.name = address;
        waiting->look.retry.paths[1] = name_public(address, waiting->public);
        return name_path(&waiting->place, waiting->own_path, sizeof waiting->own_path, error);
}

int ferry_service_wait(ferry_loop *loop, const char *address, unsigned dialect, int timeout_ms)
{
        struct waiting waiting = { .place.dialect = dialect };
        struct error error = { 0 };
        int code;

        if (!loop)
                return -ENOMEM;
        code = loop_refuse(loop);
        if (code)
                return code;
        if (timeout_ms < -1)
                return loop_refuse_timeout(loop, timeout_ms);
        waiting.place.directory = session_defaults(loop)->name_directory;
        retry_look_init(&waiting.look, loop, waiting.own_path, NULL, look);
        if (is_dialect(dialect))
                code = set_paths(&waiting, address, &error);
        else
                code = error_set(&error, -EINVAL, "there is no dialect %u", dialect);
        if (!code)
                return retry_look_wait(&waiting.look, address, timeout_ms);
        if (address)
                error_replace(&loop->error, code, "cannot wait for '%s': %s", address, error_text(&error));
        else
                error_replace(&loop->error, code, "cannot wait for a service: the address is NULL");
        error_deinit(&error);
        return code;
}
