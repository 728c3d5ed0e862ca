/* A file by the directory that it stands in, which is held by a descriptor: what is done to the file is done in that very
 * directory, whatever is put in its place meanwhile. Paths lead there through /proc/self/fd. */
#pragma once

#include <sys/stat.h>

struct held {
        int directory;          /* -1: none */
        const char *path;       /* as it was given, for sentences; the holder's */
        const char *name;       /* its last part */
};

enum { HELD_PATH_MAX = 320 };

#define HELD_NONE ((struct held){ .directory = -1 })

/* Open the directory of @path, which must stay as long as the descriptor does. 0, or a negative errno. */
int held_open(struct held *held, const char *path);
void held_close(struct held *held);

/* The path of the file, or of the one beside it that has a suffix; returns @path. */
const char *held_path(const struct held *held, const char *suffix, char path[HELD_PATH_MAX]);

/* What stands there; a symbolic link is not followed. 0, or a negative errno. */
int held_stat(const struct held *held, const char *suffix, struct stat *ret_stat);

/* Remove a file, unless another file stands there now. 0, or a negative errno; -ENOENT: it no longer exists. */
int held_remove(const struct held *held, const char *suffix, dev_t device, ino_t number);

/* The same for a file that was made at @path a moment ago. */
int held_remove_at(const char *path, dev_t device, ino_t number);
