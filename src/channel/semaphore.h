/* The lock of a store: the set of three semaphores that PHP's sem_get() makes. Semaphore 0 is 1 while the lock is free,
 * semaphore 1 counts the users, semaphore 2 guards the first user's setting of semaphore 0. All operations have SEM_UNDO, so the
 * kernel takes back those of a process that has ended. */
#pragma once

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/ipc.h>

struct semaphore {
        const char *address;    /* of its store, for sentences */
        key_t key;
        unsigned mode;          /* of a set that is made */
        bool is_strict;
        int id;                 /* -1: not known */
        int lost;               /* the set that was not found when it was used last; -1 */
        bool is_user;           /* counted in semaphore 1 */
        bool is_new;            /* made by this object */
        bool is_wide;           /* its mode lets other users in */
        unsigned depth;         /* how often the lock was taken */
};

/* What is known of a set, without using it. */
struct semaphore_state {
        int id;
        unsigned mode;
        int users;              /* -1: cannot be read */
        int holder;             /* a pid; 0: the lock is free */
};

void semaphore_init(struct semaphore *semaphore, const char *address, key_t key, unsigned mode, bool is_strict);

/* Takes the lock, or counts that it is taken once more; waits until @deadline of sys_now(), or forever (INT64_MAX). The first
 * call makes this process a user, and makes the set if it is missing. 0; or with a sentence -ETIMEDOUT, -EACCES, -EINVAL (it
 * is not a set of PHP's), -EIDRM (it is removed again and again), -ENOSPC, -ENOMEM. */
int semaphore_lock(struct semaphore *semaphore, int64_t deadline, struct error *error);

/* Releases what was taken once. 0, or -EPERM if the lock was not taken. A set that was removed has no lock to release. */
int semaphore_unlock(struct semaphore *semaphore);

/* Releases the lock if it is taken, and is no longer a user. */
void semaphore_leave(struct semaphore *semaphore);

/* Removes the set under a key if it is one of PHP's and no other process uses it, and with it a lock that is taken. Whether it
 * did. */
bool semaphore_remove(struct semaphore *semaphore);

/* Looks at the set under the key. 0, -ENOENT, or another negative errno. */
int semaphore_look(key_t key, struct semaphore_state *ret_state);
