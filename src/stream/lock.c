/* Lock files. As many bytes are locked as the pid of the owner says, as long as it lives: so whoever finds them locked
 * knows at any moment who has them. One more byte is locked from when the owner listens, and has said in the file who it
 * is: so what is read while that is locked is the owner's, and whole, never what a dead one has left. The locks belong to
 * the open file, so they go when the last process that has it is gone. */
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
};

const char *lock_path(const char *path, char lock_path[LOCK_PATH_MAX])
{
        snprintf(lock_path, LOCK_PATH_MAX, "%s.lock", path);
        return lock_path;
}

/* Whether all was written. */
static bool write_text(int lock, const char *text)
{
        size_t left = strlen(text);

        while (left > 0) {
                ssize_t put = sys_write(lock, text, left);

                if (put <= 0)
                        return false;
                text += put;
                left -= (size_t)put;
        }
        return true;
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

/* What stands there may be anybody's: it is opened without following or waiting, and must be a file of ours that has
 * nothing in it but what is written below. What is written goes behind what there is, so reading it here harms nothing. */
static int open_lock(const char *name, struct error *error)
{
        char first = '0';       /* its owner may be about to write it */
        struct stat stat;
        int lock = sys_open(name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600), code;

        if (lock == -ELOOP || lock == -EISDIR || lock == -ENXIO)
                return error_set(error, -EADDRINUSE, "%s is there, and is no lock", name);
        if (lock < 0)
                return error_set(error, lock, "%s, by which one service at a time has that socket, cannot be opened: %s", name,
                                 error_describe(lock));
        code = sys_stat_fd(lock, &stat);
        if (code < 0)
                error_set(error, code, "the lock %s cannot be looked at: %s", name, error_describe(code));
        else if (S_ISREG(stat.st_mode) && stat.st_uid != sys_uid())
                code = error_set(error, -EACCES, "the lock %s belongs to user %u", name, (unsigned)stat.st_uid);
        else if (!S_ISREG(stat.st_mode) || sys_read(lock, &first, 1) < 0 || first < '0' || first > '9')
                code = error_set(error, -EADDRINUSE, "%s is there, and is no lock", name);
        if (code < 0)
                sys_close(lock);
        return code < 0 ? code : lock;
}

int lock_is_named(int lock, const char *path)
{
        char name[LOCK_PATH_MAX];
        struct stat opened, named;
        int code = sys_stat_fd(lock, &opened);

        if (!code)
                code = sys_stat_path(lock_path(path, name), &named);
        if (code)
                return code == -ENOENT ? 0 : code;
        return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* Somebody has it: -EADDRINUSE, or 0 if that was over when we asked. */
static int describe_owner(int lock, const char *path, struct error *error)
{
        pid_t pid;
        off_t size = sys_is_locked(lock, LIVES_AT, &pid);

        if (size <= 0)
                return (int)size;
        if (pid < 0 && size <= PID_LIMIT)
                pid = (pid_t)size;
        if (pid < 0)
                return error_set(error, -EADDRINUSE, "%s is in use, by a program that is not ferry", path);
        return error_set(error, -EADDRINUSE, "%s is in use, by pid %d", path, (int)pid);
}

/* It is taken only if it still has its name then: its last owner may have removed it in between. */
int lock_take(const char *path, struct error *error)
{
        char name[LOCK_PATH_MAX], text[TEXT_MAX];
        int code;

        lock_path(path, name);
        for (;;) {
                int lock = open_lock(name, error);

                if (lock < 0)
                        return lock;
                code = sys_lock_file(lock, LIVES_AT, sys_pid());
                if (code == -EAGAIN)
                        code = describe_owner(lock, path, error);
                else if (!code && (code = lock_is_named(lock, path)) > 0) {
                        snprintf(text, sizeof text, "%d\n", (int)sys_pid());
                        sys_truncate(lock, 0);
                        write_text(lock, text);
                        return lock;
                }
                sys_close(lock);
                if (code < 0)
                        return error_set(error, code, "the lock %s cannot be taken: %s", name, error_describe(code));
        }
}

void lock_publish(int lock, unsigned dialects)
{
        const struct dialect *dialect;
        char text[TEXT_MAX];
        size_t used = (size_t)snprintf(text, sizeof text, "%lld", (long long)sys_wall_clock());

        for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                if (dialects & dialect->number)
                        used += (size_t)snprintf(text + used, sizeof text - used, " %s", dialect->name);
        snprintf(text + used, sizeof text - used, "\n");
        if (write_text(lock, text))
                sys_lock_file(lock, LISTENS_AT, 1);
        /* Who waits for us watches the directory, in which neither listening nor a lock changes anything. */
        sys_chmod_fd(lock, 0600);
}

/* "PID\nSINCE DIALECT…\n", as it is written above. */
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
        for (word = end; *word; word += strcspn(word, " ")) {
                word += strspn(word, " ");
                for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                        if (strcspn(word, " ") == strlen(dialect->name) &&
                            strncmp(word, dialect->name, strlen(dialect->name)) == 0)
                                ret_record->dialects |= dialect->number;
        }
        return true;
}

int lock_look(const char *path, pid_t *ret_pid)
{
        char name[LOCK_PATH_MAX];
        struct stat stat;
        off_t size;
        int lock = sys_open(lock_path(path, name), O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0), code;

        *ret_pid = 0;
        if (lock < 0)
                return lock;
        code = sys_stat_fd(lock, &stat);
        if (!code && !S_ISREG(stat.st_mode))
                code = -ENOENT;
        size = code ? code : sys_is_locked(lock, LIVES_AT, ret_pid);
        sys_close(lock);
        if (size <= 0)
                return (int)size;
        if (*ret_pid < 0)
                *ret_pid = size <= PID_LIMIT ? (pid_t)size : 0;
        return 1;
}

int lock_read(const char *path, struct lock_record *ret_record)
{
        char name[LOCK_PATH_MAX], text[TEXT_MAX];
        struct stat stat;
        pid_t pid;
        int lock = sys_open(lock_path(path, name), O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0), code;

        if (lock < 0)
                return lock == -EMFILE || lock == -ENFILE || lock == -ENOMEM ? lock : 0;
        code = sys_stat_fd(lock, &stat);
        if (!code && !S_ISREG(stat.st_mode))
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
