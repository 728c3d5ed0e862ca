/* The lock file beside a socket: which process lives behind it, and since when. It goes with its owner, so none has to find
 * out whether that is still there; and asking takes nothing, so no service fails to start because a process asks. */
#pragma once

#include "stream/held.h"
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
        bool is_replaceable;    /* it goes on at other descriptors when it is asked to, see replaced.h */
};

/* The path of the lock of a socket; returns @lock_path. */
const char *lock_path(const char *path, char lock_path[LOCK_PATH_MAX]);

/* Take the lock of a socket: its descriptor; -EADDRINUSE with a sentence, if a process has it or what stands there is no
 * lock; -EACCES if it is another user's; or another negative errno. */
int lock_take(const struct held *socket, struct error *error);

/* Whether it is still the lock that has the name: 1, 0, or a negative errno. */
int lock_is_named(int lock, const struct held *socket);

/* The open lock has come from the process that held it: the owner is this one from now on, and says nothing of itself yet. 0, or a
 * negative errno. */
int lock_inherit(int lock);

/* Remove the lock file that is held here, unless it has lost its name. 0, or a negative errno. */
int lock_remove(int lock, const struct held *socket);

/* Whether a process has the lock of the socket at @path, without taking it: 1, and its pid (0: not known, or only another
 * user's word); 0; -ENOENT if there is no lock; -ENOTSUP if what stands there is none; or another negative errno. */
int lock_look(const char *path, pid_t *ret_pid);

/* The owner listens: let all know. A service that speaks dialects is replaceable, see replaced.h. */
void lock_publish(int lock, unsigned dialects);

/* Whether an owner has said that it listens: 1 and what it says; 0, or a negative errno. Nothing that may stand there
 * keeps us waiting. Only a lock of our user or of root is believed, and only of a socket that is that user's, too, as
 * @socket_uid says. */
int lock_read(const char *path, uid_t socket_uid, struct lock_record *ret_record);
