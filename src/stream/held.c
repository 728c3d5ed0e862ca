/* Invariant: a name is used below a directory that is held, never below a path that another user could lead elsewhere. */
#include "stream/held.h"

#include "util/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

int held_open(struct held *held, const char *path)
{
        const char *slash = strrchr(path, '/');
        char directory[PATH_MAX];
        int fd;

        *held = HELD_NONE;
        if ((slash && (size_t)(slash - path) >= sizeof directory) || strlen(slash ? slash + 1 : path) > NAME_MAX)
                return -ENAMETOOLONG;
        snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        fd = sys_open(*directory ? directory : "/", O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
                return fd;
        *held = (struct held){ .directory = fd, .path = path, .name = slash ? slash + 1 : path };
        return 0;
}

void held_close(struct held *held)
{
        if (held->directory >= 0)
                sys_close(held->directory);
        *held = HELD_NONE;
}

const char *held_path(const struct held *held, const char *suffix, char path[HELD_PATH_MAX])
{
        snprintf(path, HELD_PATH_MAX, "/proc/self/fd/%d/%s%s", held->directory, held->name, suffix);
        return path;
}

int held_stat(const struct held *held, const char *suffix, struct stat *ret_stat)
{
        char path[HELD_PATH_MAX];

        return sys_stat_path(held_path(held, suffix, path), ret_stat);
}

int held_remove(const struct held *held, const char *suffix, dev_t device, ino_t number)
{
        char path[HELD_PATH_MAX];
        struct stat stat;
        int code = held_stat(held, suffix, &stat);

        if (!code && (stat.st_ino != number || stat.st_dev != device))
                code = -ENOENT;
        return code ? code : sys_unlink(held_path(held, suffix, path));
}

int held_remove_at(const char *path, dev_t device, ino_t number)
{
        struct held held;
        int code = held_open(&held, path);

        if (code)
                return code;
        code = held_remove(&held, "", device, number);
        held_close(&held);
        return code;
}
