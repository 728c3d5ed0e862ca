/**
 * @file
 * Stores: values and raw bytes in a SysV shared memory segment, in the layout and under the lock of PHP's own functions.
 *
 * A store can be used in two ways. As variables it holds values under integer keys, in the layout of PHP's shm_put_var():
 * PHP and C see each other's values. As raw bytes it is what PHP's shmop functions use.
 *
 * LOCK. Every call holds the semaphore that PHP's sem_get() makes under the same key, so that PHP scripts which use
 * sem_acquire() and programs of ferry exclude each other. A process that dies while it holds the lock releases it. Calls
 * block until they have it, up to `lock_timeout_ms`; they run no loop. ferry_store_lock() holds it over several calls.
 *
 * TORN SEGMENTS. Every call checks the whole chain of variables before it reads or changes one. A segment that a process
 * has left half changed is -EBADMSG, never a crash; ferry_store_repair() saves what is whole. ferry_store_put() writes the
 * new value before it removes the old one, where both fit, so a process that is killed leaves the old or the new value.
 *
 * OWNERS. A segment or lock of another user than the program's own and root is refused with -EACCES. A mode that lets other
 * users in, as PHP's defaults have it, is accepted and shown by ferry_store_info(), or refused with `is_strict`.
 *
 * WHAT STAYS. A segment stays until ferry_store_delete(), also after all processes have ended.
 *
 * FORK. In a forked child the parent's store answers -ECHILD, since the child has no part in the lock: open it again there.
 *
 * FAILURE STICKS: a store that could not be opened takes every call and returns its error.
 *
 * THREADS. A store belongs to no loop, so any thread may use it, but only one at a time: the program sees to that.
 */
#ifndef FERRY_STORE_H
#define FERRY_STORE_H

#include <ferry/value.h>

FERRY_BEGIN

/** How a store is opened. Zero selects the default shown in parentheses. */
typedef struct ferry_store_options {
        size_t size;            /**< sizeof(ferry_store_options); 0 means this version's */
        size_t bytes;           /**< of a segment that is made (10,000, as PHP's shm_attach()). It never grows */
        unsigned mode;          /**< permission bits of a segment and a lock that are made (0600) */
        int lock_timeout_ms;    /**< how long a call waits for the lock, in ms; -1: forever (5,000) */
        bool is_strict;         /**< refuse objects whose mode lets other users in (accept, and show it) */
        bool is_unlocked;       /**< take no lock: the program or its protocol has another (lock) */
        bool is_creating;       /**< make a missing key file, and the segment, at once (the key file must exist, and the first put
                                 * or write makes the segment) */
} ferry_store_options;

/**
 * Returns the value that a key is to have. Called by ferry_store_update() with the lock held; it must not wait for another
 * process that needs the lock.
 *
 * @param value     the value now; NULL if there is none
 * @param userdata  as given to ferry_store_update()
 * @return the new value, which the store takes over and unrefs; NULL leaves the store as it is
 */
typedef ferry_value *ferry_store_update_fn(const ferry_value *value, void *userdata);

/**
 * Opens a store. A missing segment is not made before the first put or write, unless `is_creating` asks for that.
 *
 * @param address  shm:PATH or shm:KEY, see address.h; copied
 * @param options  NULL selects all defaults
 * @return the store, which the caller frees. If it could not be opened it has failed: ferry_store_error() says why. NULL
 * only if there is no memory.
 * Errors that it can fail with: -EINVAL (no address of a store, a wrong option, a size the system refuses, or #ID of a segment
 * without a key, which has no lock, unless `is_unlocked`), -ENOENT (the key file does not exist) or another error of stat(2), -EACCES (it belongs to another user, or its mode is too wide for `is_strict`), -ENOSPC (the
 * system's limit of segments or semaphores), -ENOMEM
 */
ferry_store *ferry_store_open(const char *address, const ferry_store_options *options);

/**
 * Closes a store: releases the lock if it is held, and detaches from the segment, which stays.
 *
 * @param store  the store; NULL is allowed
 * @return NULL
 */
ferry_store *ferry_store_free(ferry_store *store);

/**
 * Puts a value under a key, in place of the value that is there. PHP reads it by shm_get_var().
 *
 * Where the old and the new value do not fit together the old one is removed first; a process that is killed between
 * the two leaves none.
 *
 * @param store   the store
 * @param key     any integer
 * @param format  a template for the value, see value.h; arguments are borrowed until the call returns
 * @return 0, or a negative errno
 * @retval -ENOSPC     the segment has no room for the value; the old value is still there
 * @retval -EBADMSG    the segment is torn, or holds raw bytes
 * @retval -EINVAL     the template is malformed, or the semaphores under that key are not those of sem_get()
 * @retval -ETIMEDOUT  the lock is held by another process; the sentence names it
 * @retval -EACCES     the segment can only be read
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_put(ferry_store *store, int64_t key, const char *format, ...) FERRY_PRINTF(3, 4);

/**
 * Puts a value under a key, as ferry_store_put(), without a template.
 *
 * @param store  the store
 * @param key    any integer
 * @param value  borrowed until the call returns
 * @return 0, or a negative errno as of ferry_store_put()
 * @retval -EINVAL  the value is NULL
 */
int ferry_store_put_value(ferry_store *store, int64_t key, const ferry_value *value);

/**
 * Gets the value under a key.
 *
 * @param store      the store
 * @param key        any integer
 * @param ret_value  where to put the value, which the caller owns; NULL on failure
 * @return 0, or a negative errno
 * @retval -ENOENT     there is none under that key, or no segment
 * @retval -EBADMSG    the segment is torn or holds raw bytes, or the value is not what PHP's serialize() writes
 * @retval -ETIMEDOUT  the lock is held by another process; the sentence names it
 */
int ferry_store_get(ferry_store *store, int64_t key, ferry_value **ret_value);

/**
 * Tells whether there is a value under a key.
 *
 * @param store  the store
 * @param key    any integer
 * @return 1 or 0, or a negative errno as of ferry_store_get(), but for -ENOENT
 */
int ferry_store_has(ferry_store *store, int64_t key);

/**
 * Removes the value under a key.
 *
 * @param store  the store
 * @param key    any integer
 * @return 0, or a negative errno as of ferry_store_put()
 * @retval -ENOENT  there is none under that key, or no segment
 */
int ferry_store_remove(ferry_store *store, int64_t key);

/**
 * Lists the variables, in their order in the segment.
 *
 * @param store     the store
 * @param ret_list  where to put the list, which the caller owns: maps with key, size (of the encoded value in bytes) and
 *                  offset (in the segment); NULL on failure
 * @return 0, or a negative errno as of ferry_store_get()
 */
int ferry_store_list(ferry_store *store, ferry_value **ret_list);

/**
 * Reads, changes and writes the value under a key, all under one lock.
 *
 * @param store     the store
 * @param key       any integer
 * @param fn        returns the new value
 * @param userdata  for @p fn
 * @return 0; or a negative errno as of ferry_store_put(), and then the store is as before
 * @retval -ECANCELED  @p fn has returned NULL
 */
int ferry_store_update(ferry_store *store, int64_t key, ferry_store_update_fn *fn, void *userdata);

/**
 * Holds the lock over several calls, until ferry_store_unlock() has been called as often, or the process ends. PHP's
 * sem_acquire() waits meanwhile. The lock belongs to the process: it survives execve(2), and fork(2) does not inherit it.
 *
 * @param store       the store
 * @param timeout_ms  how long to wait for it; -1: forever
 * @return 0, or a negative errno
 * @retval -ETIMEDOUT   it is held by another process; the sentence names it
 * @retval -EOPNOTSUPP  the store was opened with `is_unlocked`
 * @retval -EINVAL      the timeout is less than -1
 * @retval -EIDRM       the lock was removed while the call waited for it
 */
int ferry_store_lock(ferry_store *store, int timeout_ms);

/**
 * Releases the lock.
 *
 * @param store  the store
 * @return 0, or a negative errno
 * @retval -EPERM  ferry_store_lock() was not called
 */
int ferry_store_unlock(ferry_store *store);

/**
 * Reads raw bytes, as PHP's shmop_read().
 *
 * @param store   the store
 * @param offset  in bytes from the beginning of the segment
 * @param buffer  where to put them
 * @param size    how many
 * @return how many were read, fewer than @p size at the end of the segment; or a negative errno
 * @retval -ENOENT     there is no segment
 * @retval -EINVAL     the offset is beyond the end
 * @retval -ETIMEDOUT  the lock is held by another process
 */
ssize_t ferry_store_read(ferry_store *store, size_t offset, void *buffer, size_t size);

/**
 * Writes raw bytes, as PHP's shmop_write(), but all or none. A missing segment is made. The lock is made, too, and stays
 * where a script removes the segment by shmop_delete(); open the store with `is_unlocked` beside scripts that take no lock.
 *
 * @param store   the store
 * @param offset  in bytes from the beginning of the segment
 * @param bytes   the bytes
 * @param size    how many
 * @return @p size, or a negative errno
 * @retval -ENOSPC     they do not fit; nothing was written
 * @retval -EINVAL     the offset is beyond the end
 * @retval -EACCES     the segment can only be read
 * @retval -ETIMEDOUT  the lock is held by another process
 */
ssize_t ferry_store_write(ferry_store *store, size_t offset, const void *bytes, size_t size);

/**
 * Makes a torn segment whole again: keeps the variables that are whole, in their order, and drops the rest. It changes
 * nothing in a segment that is whole.
 *
 * @param store        the store
 * @param ret_dropped  where to put the list of what was dropped, which the caller owns: maps with offset and size in bytes,
 *                     key (null if it could not be read) and reason; NULL is allowed; set to NULL on failure
 * @return 0, or a negative errno
 * @retval -ENOENT     there is no segment
 * @retval -EBADMSG    the segment holds no variables at all: its beginning is not that of shm_attach()
 * @retval -ETIMEDOUT  the lock is held by another process
 */
int ferry_store_repair(ferry_store *store, ferry_value **ret_dropped);

/**
 * Removes the segment, and its lock if no other process uses that. Processes that are attached to it keep what they see
 * until they detach; a new put makes a new segment. A lock without users that has lost its segment is removed, too: PHP's
 * shm_remove() leaves it.
 *
 * @param store  the store
 * @return 0, or a negative errno
 * @retval -ENOENT     there is no segment
 * @retval -EPERM      only its owner can remove it
 * @retval -ETIMEDOUT  the lock is held by another process
 */
int ferry_store_delete(ferry_store *store);

/**
 * Tells all that is known of a store. The sentence of the last call is cleared.
 *
 * @param store  the store; NULL is allowed
 * @return a map, which the caller owns; NULL if there is no memory. What is not known is null: address, key, id, size (of the
 * segment in bytes), uid, mode, is_wide (other users are let in), attached (how many times), creator and last_user (pids),
 * attached_at, detached_at, changed_at (seconds since 1970), is_read_only, lock (the id of the semaphore set),
 * lock_mode, lock_users, lock_holder (pid), free (bytes for further variables)
 */
ferry_value *ferry_store_info(ferry_store *store);

/**
 * Returns the state of a store.
 *
 * @param store  the store; NULL has failed with -ENOMEM
 * @return 1 while it can be used, or the negative errno it failed with
 */
int ferry_store_status(const ferry_store *store);

/**
 * Returns a sentence about the last call that failed, or why the store has failed.
 *
 * @param store  the store; NULL is allowed
 * @return the sentence, never NULL; good until the next call
 */
const char *ferry_store_error(const ferry_store *store);

FERRY_DEFINE_AUTO(ferry_store, ferry_store_free)

FERRY_END

#endif
