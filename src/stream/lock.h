/* The lock file beside a socket: whoever lives behind it, and since when. It goes with its owner, so nobody has to find
 * out whether that is still there; and asking takes nothing, so nobody who starts fails because somebody asks. */
#pragma once

#include "util/error.h"

#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

enum { LOCK_PATH_MAX = sizeof ((struct sockaddr_un *)NULL)->sun_path + 8 };

/* What the owner says of itself. */
struct lock_record {
        pid_t pid;
        int64_t since;          /* seconds since 1970 */
        unsigned dialects;      /* a set */
};

/* The path of the lock of a socket; returns @lock_path. */
const char *lock_path(const char *path, char lock_path[LOCK_PATH_MAX]);

/* Take the lock of the socket at @path: its descriptor; -EADDRINUSE with a sentence, if somebody has it, or another
 * negative errno. */
int lock_take(const char *path, struct error *error);

/* Whether it is still the one that has the name: 1, 0, or a negative errno. */
int lock_is_named(int lock, const char *path);

/* Whether a process has the lock of the socket at @path, without taking it: 1, and its pid (0: not known); 0; -ENOENT if there
 * is no lock; or another negative errno. */
int lock_look(const char *path, pid_t *ret_pid);

/* The owner listens: let all know. */
void lock_publish(int lock, unsigned dialects);

/* Whether an owner has said that it listens: 1 and what it says; 0, or a negative errno. Nothing that may stand there
 * keeps us waiting. */
int lock_read(const char *path, struct lock_record *ret_record);
