/* Lock files. The first line says that it is one. The owner locks as many bytes as its pid says, as long as it lives, so a
 * process that finds them locked always knows the owner. One more byte is locked once the owner listens and has written into the
 * file what it is, so what is read while that byte is locked is whole and current, never what a dead owner has left. The locks
 * belong to the open file, so they go when the last process that has it is gone. */
#include "stream/lock.h"

#include "util/sys.h"
#include "wire/dialect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        LISTENS_AT = 0,
        LIVES_AT = 2,           /* the kernel makes one lock of two that touch */
        PID_LIMIT = 1 << 22,    /* Linux has no larger ones */
        TEXT_MAX = 256,
        NEW_MODE = S_ISVTX | 0600,      /* of one whose first line is not written yet */
        MODE = 0600,
};

static const char SUFFIX[] = ".lock";
static const char REPLACEABLE[] = "replaceable";
static const char MAGIC[] = "ferry lock\n";

enum { MAGIC_SIZE = sizeof MAGIC - 1 };

/* What a file that may be a lock has in it. */
enum content { CONTENT_OTHER, CONTENT_NOTHING_YET, CONTENT_LOCK };

const char *lock_path(const char *path, char lock_path[LOCK_PATH_MAX])
{
        snprintf(lock_path, LOCK_PATH_MAX, "%s%s", path, SUFFIX);
        return lock_path;
}

/* All of it: 0, or a negative errno. */
static int write_text(int lock, const char *text)
{
        size_t left = strlen(text);

        while (left > 0) {
                ssize_t put = sys_write(lock, text, left);

                if (put <= 0)
                        return put < 0 ? (int)put : -ENOSPC;
                text += put;
                left -= (size_t)put;
        }
        return 0;
}

/* As much of it as there should be. */
static void read_text(int lock, char text[TEXT_MAX])
{
        size_t size = 0;
        ssize_t got;

        while (size < TEXT_MAX - 1 && (got = sys_read(lock, text + size, TEXT_MAX - 1 - size)) > 0)
                size += (size_t)got;
        text[size] = '\0';
}

/* A regular file with one name, which begins as a lock does; or is empty, with the mode of one that is being made. */
static enum content look_inside(int lock, const struct stat *stat)
{
        char begin[MAGIC_SIZE];
        size_t size = 0;
        ssize_t got;

        if (!S_ISREG(stat->st_mode) || stat->st_nlink > 1 || sys_rewind(lock) < 0)
                return CONTENT_OTHER;
        while (size < sizeof begin && (got = sys_read(lock, begin + size, sizeof begin - size)) > 0)
                size += (size_t)got;
        if (size == 0 && stat->st_size == 0 && (stat->st_mode & S_ISVTX))
                return CONTENT_NOTHING_YET;
        return size == sizeof begin && memcmp(begin, MAGIC, sizeof begin) == 0 ? CONTENT_LOCK : CONTENT_OTHER;
}

static int refuse(const struct held *socket, struct error *error)
{
        return error_set(error, -EADDRINUSE, "'%s%s' exists, and is not a lock: remove it, or choose another path",
                         socket->path,
                         SUFFIX);
}

/* What stands there may be any user's: it is opened without following or waiting, and must be a lock of ours. What is
 * written goes behind what there is, so reading it here harms nothing. */
static int open_lock(const struct held *socket, struct error *error)
{
        char path[HELD_PATH_MAX];
        struct stat stat;
        int lock = sys_open(held_path(socket, SUFFIX, path), O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, NEW_MODE);
        int code;

        if (lock == -ELOOP || lock == -EISDIR || lock == -ENXIO)
                return refuse(socket, error);
        if (lock < 0)
                return error_set(error, lock, "cannot open '%s%s', the lock of that socket: %s",
                                 socket->path, SUFFIX, error_describe(lock));
        code = sys_stat_fd(lock, &stat);
        if (code < 0)
                error_set(error, code, "cannot look at the lock '%s%s': %s", socket->path, SUFFIX, error_describe(code));
        else if (S_ISREG(stat.st_mode) && stat.st_uid != sys_uid())
                code = error_set(error, -EACCES, "cannot use the lock '%s%s': it belongs to user %u", socket->path, SUFFIX,
                                 (unsigned)stat.st_uid);
        else if (look_inside(lock, &stat) == CONTENT_OTHER)
                code = refuse(socket, error);
        if (code < 0)
                sys_close(lock);
        return code < 0 ? code : lock;
}

int lock_is_named(int lock, const struct held *socket)
{
        struct stat opened, named;
        int code = sys_stat_fd(lock, &opened);

        if (!code)
                code = held_stat(socket, SUFFIX, &named);
        if (code)
                return code == -ENOENT ? 0 : code;
        return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

int lock_remove(int lock, const struct held *socket)
{
        struct stat stat;
        int code = sys_stat_fd(lock, &stat);

        return code ? code : held_remove(socket, SUFFIX, stat.st_dev, stat.st_ino);
}

/* Another process has it: -EADDRINUSE, or 0 if that was over when we asked. */
static int describe_owner(int lock, const char *path, struct error *error)
{
        pid_t pid;
        off_t size = sys_is_locked(lock, LIVES_AT, &pid);

        if (size <= 0)
                return (int)size;
        if (pid < 0 && size <= PID_LIMIT)
                pid = (pid_t)size;
        if (pid < 0)
                return error_set(error, -EADDRINUSE, "'%s' is in use by a program that is not ferry", path);
        return error_set(error, -EADDRINUSE, "'%s' is in use by process %d", path, (int)pid);
}

/* The lock is held: only its first line stays. A lock that is killed in between stays a lock. */
static int begin_text(int lock)
{
        struct stat stat;
        int code = sys_stat_fd(lock, &stat);

        if (code)
                return code;
        switch (look_inside(lock, &stat)) {
        case CONTENT_LOCK:
                return sys_truncate(lock, MAGIC_SIZE);
        case CONTENT_NOTHING_YET:
                code = write_text(lock, MAGIC);
                return code ? code : sys_chmod_fd(lock, MODE);
        default:
                return -EADDRINUSE;
        }
}

/* The lock is taken only if it still has its name then: its last owner may have removed it in between. */
int lock_take(const struct held *socket, struct error *error)
{
        for (;;) {
                int lock = open_lock(socket, error), code;

                if (lock < 0)
                        return lock;
                code = sys_lock_file(lock, LIVES_AT, sys_pid());
                if (code == -EAGAIN)
                        code = describe_owner(lock, socket->path, error);
                else if (!code && (code = lock_is_named(lock, socket)) > 0) {
                        code = begin_text(lock);
                        if (!code)
                                return lock;
                        if (code != -EADDRINUSE)
                                lock_remove(lock, socket);
                }
                sys_close(lock);
                if (code < 0)
                        return error_set(error, code, "cannot take the lock '%s%s': %s", socket->path, SUFFIX,
                                         error_describe(code));
        }
}

/* Both have the same open file, so the bytes stay locked, whatever their number is in between. */
int lock_inherit(int lock)
{
        off_t size = sys_pid();
        int code = sys_lock_file(lock, LIVES_AT, size);

        if (!code)
                code = sys_unlock_file(lock, LIVES_AT + size, 0);
        if (!code)
                code = sys_unlock_file(lock, LISTENS_AT, 1);
        return code ? code : sys_truncate(lock, MAGIC_SIZE);
}

void lock_publish(int lock, unsigned dialects)
{
        const struct dialect *dialect;
        char text[TEXT_MAX];
        size_t used = (size_t)snprintf(text, sizeof text, "%d\n%lld", (int)sys_pid(), (long long)sys_wall_clock());

        for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                if (dialects & dialect->number)
                        used += (size_t)snprintf(text + used, sizeof text - used, " %s", dialect->name);
        snprintf(text + used, sizeof text - used, "%s%s\n", dialects ? " " : "", dialects ? REPLACEABLE : "");
        if (write_text(lock, text) == 0)
                sys_lock_file(lock, LISTENS_AT, 1);
        /* A client that waits for us watches the directory, in which neither listening nor a lock changes anything. */
        sys_chmod_fd(lock, MODE);
}

static bool is_word(const char *at, const char *word)
{
        return strcspn(at, " ") == strlen(word) && strncmp(at, word, strlen(word)) == 0;
}

/* What stands behind the first line, as it is written above: "PID\nSINCE DIALECT… replaceable\n". Words that are not known are of later versions. */
static bool parse(char *text, struct lock_record *ret_record)
{
        const struct dialect *dialect;
        char *end, *line, *word;

        ret_record->pid = (pid_t)strtol(text, &end, 10);
        if (ret_record->pid <= 0 || *end != '\n')
                return false;
        line = end + 1;
        ret_record->since = strtoll(line, &end, 10);
        if (end == line || !strchr(end, '\n'))
                return false;
        *strchr(end, '\n') = '\0';
        ret_record->dialects = 0;
        ret_record->is_replaceable = false;
        for (word = end; *word; word += strcspn(word, " ")) {
                word += strspn(word, " ");
                for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                        if (is_word(word, dialect->name))
                                ret_record->dialects |= dialect->number;
                ret_record->is_replaceable = ret_record->is_replaceable || is_word(word, REPLACEABLE);
        }
        return true;
}

/* Only its own user and root are believed. */
static bool is_trusted(const struct stat *stat)
{
        return (stat->st_uid == sys_uid() || stat->st_uid == 0) && (stat->st_mode & 022) == 0;
}

int lock_look(const char *path, pid_t *ret_pid)
{
        char name[LOCK_PATH_MAX];
        struct stat stat;
        off_t size;
        int lock = sys_open(lock_path(path, name), O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0), code;

        *ret_pid = 0;
        if (lock < 0)
                return lock == -ELOOP || lock == -ENXIO ? -ENOTSUP : lock;
        code = sys_stat_fd(lock, &stat);
        if (!code && look_inside(lock, &stat) == CONTENT_OTHER)
                code = -ENOTSUP;
        size = code ? code : sys_is_locked(lock, LIVES_AT, ret_pid);
        sys_close(lock);
        if (size <= 0)
                return (int)size;
        if (*ret_pid < 0)
                *ret_pid = size <= PID_LIMIT ? (pid_t)size : 0;
        if (!is_trusted(&stat))
                *ret_pid = 0;
        return 1;
}

int lock_read(const char *path, uid_t socket_uid, struct lock_record *ret_record)
{
        char name[LOCK_PATH_MAX], text[TEXT_MAX];
        struct stat stat;
        pid_t pid;
        int lock = sys_open(lock_path(path, name), O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0), code;

        if (lock < 0)
                return lock == -EMFILE || lock == -ENFILE || lock == -ENOMEM ? lock : 0;
        code = sys_stat_fd(lock, &stat);
        if (!code && (!is_trusted(&stat) || stat.st_uid != socket_uid || look_inside(lock, &stat) != CONTENT_LOCK))
                code = -ENOENT;
        if (!code)
                code = sys_is_locked(lock, LISTENS_AT, &pid) > 0;
        if (code == 1) {
                read_text(lock, text);
                code = parse(text, ret_record);
        }
        sys_close(lock);
        return code == 1;
}
