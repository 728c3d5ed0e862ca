/* Loads the module, and reads the files of secrets. Invariants: the module is loaded from a path that was compiled in, or that the
 * environment names, and never from the current directory or by a search; what is read of a secret is overwritten before its memory
 * is given back. */
#include "tls/load.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The build says where it is installed. */
#ifndef TLS_MODULE_PATH
#define TLS_MODULE_PATH "/usr/local/lib/ferry/libferry-tls.so"
#endif

enum { FILE_MAX = 1 << 16 };

static int refuse(const char *path, const char *why, struct error *error)
{
        return error_set(error, -EOPNOTSUPP, "TLS and keys of NATS need the module libferry-tls, which cannot be loaded from '%s': %s;"
                                             " install it (ferry builds it where it finds libssl-dev), or name it in FERRY_TLS_MODULE, or"
                                             " connect to a leaf node of nats-server on this machine, which does that", path, why);
}

int tls_load(const struct tls_module **ret, struct error *error)
{
        const char *path = sys_environment("FERRY_TLS_MODULE"), *why = NULL;
        const struct tls_module *module;
        void *handle;
        int code;

        if (!path || !*path)
                path = TLS_MODULE_PATH;
        if (*path != '/')
                return error_set(error, -EOPNOTSUPP, "FERRY_TLS_MODULE is '%s': write the whole path of the module", path);
        code = sys_load_module(path, &handle, &why);
        if (code == -EOPNOTSUPP)
                why = "this program is linked statically";
        if (code)
                return refuse(path, why ? why : error_describe(code), error);
        module = sys_find_symbol(handle, TLS_MODULE_SYMBOL);
        if (!module)
                return refuse(path, "it is something else", error);
        if (module->version != TLS_MODULE_VERSION)
                return refuse(path, "it belongs to another version of libferry", error);
        *ret = module;
        return 0;
}

/* Files -------------------------------------------------------------------------------------------------- */

/* The size of the file; its bytes stand in @bytes, of FILE_MAX + 1. */
static ssize_t read_all(const char *path, char *bytes)
{
        int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0), code;
        struct stat stat;
        ssize_t size = 0, got = 1;

        if (fd < 0)
                return fd;
        code = sys_stat_fd(fd, &stat);
        if (!code && !S_ISREG(stat.st_mode))
                code = -EINVAL;
        while (!code && size <= FILE_MAX && got > 0) {
                got = sys_read(fd, bytes + size, (size_t)(FILE_MAX + 1 - size));
                size += got > 0 ? got : 0;
                code = got < 0 ? (int)got : 0;
        }
        sys_close(fd);
        return code ? code : size > FILE_MAX ? -EFBIG : size;
}

static int parse(const char *path, bool has_jwt, const char *bytes, size_t size, struct identity **ret, struct error *error)
{
        struct keys_text seed, jwt = { 0 };
        struct identity *identity;

        if (has_jwt && !keys_find_jwt(bytes, size, &jwt))
                return error_set(error, -EINVAL, "'%s' has no JWT: credentials of NATS have one, behind a line -----BEGIN NATS USER"
                                                 " JWT-----", path);
        if (!keys_find_seed(bytes, size, &seed))
                return error_set(error, -EINVAL, "'%s' has no seed of a user's key of NATS, which begins with SU", path);
        identity = sys_alloc_zeroed(sizeof *identity + jwt.size + 1);
        if (!identity)
                return error_set(error, -ENOMEM, "no memory for credentials");
        if (!keys_read_seed(&seed, identity->seed)) {
                identity_free(identity);
                return error_set(error, -EINVAL, "the seed in '%s' is not one of a user's key of NATS, or a letter of it is wrong", path);
        }
        identity->jwt_size = jwt.size;
        if (jwt.size > 0)
                memcpy(identity->jwt, jwt.bytes, jwt.size);
        *ret = identity;
        return 0;
}

int identity_read(const char *path, bool has_jwt, struct identity **ret, struct error *error)
{
        char *bytes = sys_alloc(FILE_MAX + 1);
        ssize_t size;
        int code;

        if (!bytes)
                return error_set(error, -ENOMEM, "no memory for credentials");
        size = read_all(path, bytes);
        if (size == -EINVAL || size == -EFBIG)
                code = error_set(error, -EINVAL, "cannot read the credentials '%s': %s", path,
                                 size == -EINVAL ? "it is not a file" : "it has more than 65,536 bytes");
        else if (size < 0)
                code = error_set(error, (int)size, "cannot read the credentials '%s': %s", path, error_describe((int)size));
        else
                code = parse(path, has_jwt, bytes, (size_t)size, ret, error);
        explicit_bzero(bytes, FILE_MAX + 1);
        sys_free(bytes);
        return code;
}

void identity_free(struct identity *identity)
{
        if (!identity)
                return;
        explicit_bzero(identity->seed, sizeof identity->seed);
        sys_free(identity);
}
