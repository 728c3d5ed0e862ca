/* Which directory the sockets of named services stand in. Invariant: a name is only looked up where only its owner
 * could have put a socket: our own directory belongs to us and lets in no other, the one for all users belongs to
 * root. Whether a process listens there is not known here. */
#include "stream/name.h"

#include "stream/held.h"
#include "util/sys.h"
#include "wire/dialect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char PUBLIC_DIRECTORY[] = "/run/ferry";

bool name_is_valid(const char *text)
{
        size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

        return size > 0 && size <= NAME_MAX_SIZE && text[size] == '\0';
}

static bool is_own_directory(const struct stat *stat)
{
        return S_ISDIR(stat->st_mode) && stat->st_uid == sys_uid() && (stat->st_mode & 077) == 0;
}

static bool is_own(const char *path)
{
        struct stat stat;

        return sys_stat_path(path, &stat) == 0 && is_own_directory(&stat);
}

/* Ours, in the order in which they are looked for. The directory for the run time that root finds in its environment may be
 * that of the user who has become root: it is not taken over. */
static int own_directory(char *path, size_t size)
{
        const char *chosen = sys_environment("FERRY_DIR"), *runtime = sys_environment("XDG_RUNTIME_DIR");
        char run[64];

        snprintf(run, sizeof run, "/run/user/%u", (unsigned)sys_uid());
        if (chosen && *chosen)
                return snprintf(path, size, "%s", chosen);
        if (is_own(run))
                return snprintf(path, size, "%s/ferry", run);
        if (runtime && *runtime == '/' && is_own(runtime))
                return snprintf(path, size, "%s/ferry", runtime);
        return snprintf(path, size, "/tmp/ferry-%u", (unsigned)sys_uid());
}

int name_directory(const struct name_place *place, char *path, size_t size)
{
        const char *shared = wire_directory(place->dialect), *temporary = sys_environment("TMPDIR");
        int length;

        if (place->directory)
                length = snprintf(path, size, "%s", place->directory);
        else if (shared)
                length = snprintf(path, size, "%s/%s", temporary && *temporary ? temporary : "/tmp", shared);
        else
                length = own_directory(path, size);
        return (size_t)length < size ? 0 : -ENAMETOOLONG;
}

/* Make a directory for us, in one that is ours or root's: in another user's it would be in that user's way. */
static int make_own(const char *path, struct error *error)
{
        char place[HELD_PATH_MAX], bare[PATH_MAX];
        size_t size = strlen(path);
        struct held held;
        struct stat stat;
        int code;

        while (size > 1 && path[size - 1] == '/')
                size--;
        snprintf(bare, sizeof bare, "%.*s", (int)size, path);
        code = held_open(&held, bare);
        if (!code && held_stat(&held, "", &stat) == 0)
                code = -EEXIST;
        if (!code)
                code = sys_stat_fd(held.directory, &stat);
        if (!code && stat.st_uid != sys_uid() && stat.st_uid != 0)
                code = error_set(error, -EACCES, "cannot create the directory '%s': its parent belongs to user %u; set"
                                                 " FERRY_DIR", path, (unsigned)stat.st_uid);
        if (!code)
                code = sys_make_directory(held_path(&held, "", place), 0700);
        held_close(&held);
        return code == -EEXIST ? 0 : code ? error_set(error, code, "cannot create the directory '%s': %s", path,
                                                      error_describe(code)) : 0;
}

/* Whether it may be used; it is made, if it is to be. -ENOENT if it is not there. */
static int check_own(const char *path, bool is_new, struct error *error)
{
        struct stat stat;
        int code = is_new ? make_own(path, error) : 0;

        if (code < 0)
                return code;
        code = sys_stat_path(path, &stat);
        if (code == -ENOENT && !is_new)
                return code;
        if (code < 0)
                return error_set(error, code, "cannot use the directory '%s': %s", path, error_describe(code));
        if (!is_own_directory(&stat))
                return error_set(error, -EACCES, "'%s' is not safe: it must be a directory of this user, with the mode 0700",
                                 path);
        return 0;
}

/* Others look there, too, and have perhaps made it. A service that listens there must not be led elsewhere, nor have the socket
 * taken away by another user, also of our group; unless files there can be removed by their owners only. */
static int check_safe(const char *path, struct error *error)
{
        struct stat stat;
        int fd = sys_open(path, O_PATH, 0), code = fd < 0 ? fd : sys_stat_fd(fd, &stat);

        if (fd >= 0)
                sys_close(fd);
        if (code < 0)
                return error_set(error, code, "cannot use the directory '%s': %s", path, error_describe(code));
        if (!S_ISDIR(stat.st_mode) || (stat.st_uid != sys_uid() && stat.st_uid != 0) ||
            ((stat.st_mode & 022) && !(stat.st_mode & S_ISVTX)))
                return error_set(error, -EACCES, "'%s' is not safe: it must be a directory of this user or of root, which no"
                                                 " other user and no group may write (chmod go-w), or which is sticky", path);
        return 0;
}

static int make_shared(const char *path, struct error *error)
{
        struct stat stat;
        int code = sys_make_directory(path, 0755);

        if (code < 0 && code != -EEXIST)
                return error_set(error, code, "cannot create the directory '%s': %s", path, error_describe(code));
        if (sys_stat_path(path, &stat) == 0 && S_ISLNK(stat.st_mode))
                return error_set(error, -EACCES, "'%s' is not safe: it is a symbolic link", path);
        return check_safe(path, error);
}

/* The directory for temporary files, and what stands below it. A client that asks there checks the owner of the socket
 * instead. */
static int check_shared(const char *path, bool is_new, struct error *error)
{
        const char *temporary = sys_environment("TMPDIR");
        size_t size = strlen(temporary && *temporary ? temporary : "/tmp");
        char above[PATH_MAX];
        int code;

        if (!is_new)
                return 0;
        code = check_safe(temporary && *temporary ? temporary : "/tmp", error);
        for (const char *slash = strchr(path + size + 1, '/'); !code && slash; slash = strchr(slash + 1, '/')) {
                snprintf(above, sizeof above, "%.*s", (int)(slash - path), path);
                code = make_shared(above, error);
        }
        return code ? code : make_shared(path, error);
}

const char *name_public(const char *name, char path[NAME_PUBLIC_MAX])
{
        snprintf(path, NAME_PUBLIC_MAX, "%s/%s.sock", PUBLIC_DIRECTORY, name);
        return path;
}

/* Whether the directory for all users can be trusted. */
static bool has_public(void)
{
        struct stat stat;

        return sys_stat_path(PUBLIC_DIRECTORY, &stat) == 0 && S_ISDIR(stat.st_mode) && stat.st_uid == 0 &&
               (stat.st_mode & 022) == 0;
}

int name_directory_at(size_t index, char *path, size_t size, bool *ret_is_ours)
{
        struct name_place place = { 0 };
        char own[PATH_MAX];
        const struct dialect *dialect;
        struct stat stat;

        *ret_is_ours = index < 2;
        if (index == 0)
                return name_directory(&place, path, size) == 0 && sys_stat_path(path, &stat) == 0 &&
                       is_own_directory(&stat);
        if (index == 1) {
                snprintf(path, size, "%s", PUBLIC_DIRECTORY);
                return has_public() && (name_directory(&place, own, sizeof own) < 0 || strcmp(own, path) != 0);
        }
        dialect = wire_dialect_at(index - 2);
        if (!dialect)
                return -ENOENT;
        place.dialect = dialect->number;
        return dialect->directory && name_directory(&place, path, size) == 0;
}

static int find_path(const struct name_place *place, char directory[PATH_MAX], char *path, size_t size,
                     struct error *error)
{
        int code = name_directory(place, directory, PATH_MAX);

        if (!code && (size_t)snprintf(path, size, "%s/%s.sock", directory, place->name) >= size)
                code = -ENAMETOOLONG;
        return code ? error_set(error, code, "the path is too long for a socket: '%s/%s.sock'", directory, place->name) : 0;
}

int name_path(const struct name_place *place, char *path, size_t size, struct error *error)
{
        char directory[PATH_MAX];

        return find_path(place, directory, path, size, error);
}

int name_find(const struct name_place *place, bool is_new, char *path, size_t size, struct error *error)
{
        char directory[PATH_MAX], public[NAME_PUBLIC_MAX];
        struct stat stat;
        int code = find_path(place, directory, path, size, error);

        if (code)
                return code;
        if (wire_directory(place->dialect))
                return !place->directory ? check_shared(directory, is_new, error) :
                       is_new            ? make_shared(directory, error) : 0;
        code = check_own(directory, is_new, error);
        if (code < 0 && code != -ENOENT)
                return code;
        if (!is_new && !place->directory && (code == -ENOENT || sys_stat_path(path, &stat) < 0) &&
            has_public() && sys_stat_path(name_public(place->name, public), &stat) == 0)
                snprintf(path, size, "%s", public);
        return 0;
}
