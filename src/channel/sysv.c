/* Names and owners of SysV objects. Invariant: an object is used only if neither its owner nor its creator is another
 * user, since a key can be guessed, and IPC_CREAT attaches to what is there already. */
#include "channel/sysv.h"

#include "stream/held.h"
#include "util/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { CREATE_ATTEMPTS = 16 };

static int get_queue(key_t key, size_t size, int flags)
{
        (void)size;
        return sys_msg_get(key, flags);
}

static int get_segment(key_t key, size_t size, int flags)
{
        return sys_shm_get(key, size, flags);
}

static int get_semaphores(key_t key, size_t size, int flags)
{
        return sys_sem_get(key, (int)size, flags);
}

const struct sysv_kind sysv_queue = { .noun = "queue", .get = get_queue };
const struct sysv_kind sysv_segment = { .noun = "segment", .get = get_segment };
const struct sysv_kind sysv_semaphores = { .noun = "lock", .get = get_semaphores };

/* Whether the whole text is an integer; a number out of range is saturated. */
static bool read_integer(const char *text, long long *ret_integer)
{
        const char *digits = text + (*text == '-');
        bool is_hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
        const char *allowed = is_hex ? "0123456789abcdefABCDEF" : "0123456789";
        size_t size;

        digits += is_hex ? 2 : 0;
        size = strspn(digits, allowed);
        if (size == 0 || digits[size])
                return false;
        *ret_integer = strtoll(digits, NULL, is_hex ? 16 : 10);
        if (*text == '-')
                *ret_integer = -*ret_integer;
        return true;
}

bool sysv_is_path(const char *text)
{
        long long integer;

        return *text && *text != '#' && strcmp(text, "private") != 0 && !read_integer(text, &integer);
}

static int parse_id(const char *address, const char *text, struct sysv_name *ret_name, struct error *error)
{
        long long integer;

        if (!read_integer(text + 1, &integer) || integer < 0 || integer > INT_MAX)
                return error_set(error, -EINVAL, "'%s' names no object: behind '#' stands an identifier, as 'ferry ipcs'"
                                 " shows it", address);
        ret_name->how = SYSV_ID;
        ret_name->id = (int)integer;
        return 0;
}

static int parse_path(const char *address, const char *path, struct sysv_name *ret_name, struct error *error)
{
        int code = sys_ftok(path, SYSV_PROJECT, &ret_name->key);

        if (code == -ENOENT)
                return error_set(error, code, "'%s' has no key: the file '%s' does not exist; create it (touch)", address, path);
        return code ? error_set(error, code, "'%s' has no key: cannot look at the file '%s': %s", address, path,
                                error_describe(code)) : 0;
}

int sysv_parse(const char *address, const char *text, struct sysv_name *ret_name, struct error *error)
{
        long long integer;

        *ret_name = (struct sysv_name){ .how = SYSV_KEY, .key = IPC_PRIVATE, .id = -1 };
        if (!*text)
                return error_set(error, -EINVAL, "'%s' names no object: write a path, a key, or #ID", address);
        if (*text == '#')
                return parse_id(address, text, ret_name, error);
        if (strcmp(text, "private") == 0) {
                ret_name->how = SYSV_PRIVATE;
                return 0;
        }
        if (!read_integer(text, &integer))
                return parse_path(address, text, ret_name, error);
        if (integer < INT32_MIN || integer > UINT32_MAX)
                return error_set(error, -EINVAL, "'%s' names no object: a key has 32 bits", address);
        if (integer == IPC_PRIVATE)
                return error_set(error, -EINVAL, "'%s' names no object: the key 0 means a private object", address);
        ret_name->key = (key_t)(uint32_t)integer;
        return 0;
}

int sysv_make_key_file(const char *address, const char *text, struct sysv_key_file *ret_file, struct error *error)
{
        struct stat stat;
        int fd, code;

        *ret_file = (struct sysv_key_file){ 0 };
        if (!sysv_is_path(text))
                return 0;
        fd = sys_open(text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK, 0600);
        /* Whatever the umask has left of the mode. */
        code = fd < 0 ? fd : sys_chmod_fd(fd, 0600);
        if (fd >= 0) {
                if (sys_stat_fd(fd, &stat) == 0)
                        *ret_file = (struct sysv_key_file){ .is_new = true, .device = stat.st_dev, .number = stat.st_ino };
                sys_close(fd);
                if (code)
                        sysv_remove_key_file(text, ret_file);
        }
        return code == 0 || code == -EEXIST ? 0 : error_set(error, code, "cannot create the key file '%s' of '%s': %s", text,
                                                            address, error_describe(code));
}

void sysv_remove_key_file(const char *text, const struct sysv_key_file *file)
{
        if (file->is_new)
                held_remove_at(text, file->device, file->number);
}

int sysv_get(const struct sysv_kind *kind, key_t key, size_t size, unsigned mode, bool *ret_is_new)
{
        int id = -EEXIST;

        if (ret_is_new)
                *ret_is_new = false;
        for (int attempt = 0; attempt < CREATE_ATTEMPTS && id == -EEXIST; attempt++) {
                id = kind->get(key, 0, 0);
                if (id != -ENOENT)
                        return id;
                id = kind->get(key, size, IPC_CREAT | IPC_EXCL | (int)(mode & 0777));
                if (ret_is_new)
                        *ret_is_new = id >= 0;
        }
        return id;
}

int sysv_check_owner(const struct ipc_perm *permissions, const char *what, bool is_strict, bool *ret_is_wide,
                     struct error *error)
{
        uid_t uid = sys_uid(), owner = permissions->uid;

        *ret_is_wide = (permissions->mode & 077) != 0;
        if (owner == uid || owner == 0)
                owner = permissions->cuid;
        if (owner != uid && owner != 0)
                return error_set(error, -EACCES, "cannot use %s: it belongs to user %u; use another key", what, (unsigned)owner);
        if (*ret_is_wide && is_strict)
                return error_set(error, -EACCES, "cannot use %s: its mode %04o lets other users in", what,
                                 (unsigned)permissions->mode & 0777);
        return 0;
}
