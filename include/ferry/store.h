/**
 * @file
 * Stores: values and raw bytes in a SysV shared memory segment, in the layout and under the lock of PHP's own functions.
 *
 * A store can be used in two ways. As variables it holds values under integer keys, in the layout of PHP's shm_put_var():
 * PHP and C see each other's values. As raw bytes it is what PHP's shmop functions use.
 *
 * # Lock
 *
 * Every call holds the semaphore that PHP's sem_get() makes under the same key, so that PHP scripts which use sem_acquire() and
 * programs of ferry exclude each other. A process that dies while it holds the lock releases it. A call blocks until it has the
 * lock, up to `lock_timeout_ms`, and runs no loop. ferry_store_lock() holds the lock over several calls.
 *
 * # Torn segments
 *
 * Every call checks the whole chain of variables before it reads or changes one. A segment that a process has left half changed
 * is -EBADMSG, never a crash; ferry_store_repair() saves the whole variables. If the old and the new value both fit,
 * ferry_store_put() writes the new one before it removes the old one, so a process that is killed leaves one of them.
 *
 * # Machines of 32 bits
 *
 * The fields of the layout are PHP's integers: 64 bits on machines of 64 bits, 32 bits on the others. There a key outside of
 * 32 bits is -ERANGE. A segment whose variables a program of the other kind has put is -EBADMSG, and stays as it is; raw bytes
 * are the same on both.
 *
 * # Owners
 *
 * A segment or lock must belong to the program's user or to root; otherwise it is refused with -EACCES. A mode that lets other
 * users in, as PHP's defaults do, is accepted and shown by ferry_store_info(), or refused with `is_strict`.
 *
 * # Lifetime
 *
 * A segment stays until ferry_store_delete(), also after all processes have ended. In a forked child the parent's store returns
 * -ECHILD, since the lock is not inherited: open it again there. A store that could not be opened accepts every call and returns
 * its errno.
 *
 * # Threads
 *
 * A store belongs to no loop, so any thread may use it, but only one thread at a time: the program must ensure that.
 */
#ifndef FERRY_STORE_H
#define FERRY_STORE_H

#include <ferry/value.h>

FERRY_BEGIN

/** How a store is opened. Zero selects the default shown in parentheses. */
typedef struct ferry_store_options {
        size_t size;            /**< sizeof(ferry_store_options); 0 means this version's */
        size_t bytes;           /**< size of a new segment in bytes (10,000, as PHP's shm_attach()). A segment never grows */
        unsigned mode;          /**< permission bits of a new segment and a new lock (0600) */
        int lock_timeout_ms;    /**< how long a call waits for the lock, in ms; -1: forever (5,000) */
        bool is_strict;         /**< refuse objects whose mode lets other users in (accept them) */
        bool is_unlocked;       /**< take no lock, as the program has another one (take the lock) */
        bool is_creating;       /**< make a missing key file, and the segment, at once (the key file must exist, and the first
                                 * put or write makes the segment) */
} ferry_store_options;

/**
 * Returns the new value of a key. ferry_store_update() calls it with the lock held, so it must not wait for another process that
 * needs the lock.
 *
 * @param value     the current value; borrowed until the callback returns; NULL if there is none
 * @param userdata  as given to ferry_store_update()
 * @return the new value, which the store takes over and unrefs; NULL leaves the store unchanged
 */
typedef ferry_value *ferry_store_update_fn(const ferry_value *value, void *userdata);

/**
 * Opens a store.
 *
 * A missing segment is made by the first put or write, or at once with `is_creating`. A store that could not be opened has
 * failed: ferry_store_status() returns its errno, and ferry_store_error() a sentence.
 *
 * @param address  shm:PATH or shm:KEY, see address.h; copied
 * @param options  NULL selects all defaults
 * @return the store, which the caller frees with ferry_store_free(); NULL only if there is no memory
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
 * Puts a value under a key, and replaces the value that is there. PHP reads it by shm_get_var().
 *
 * If the old and the new value do not fit together, the old one is removed first; a process that is killed between the two steps
 * leaves neither.
 *
 * @param store   the store
 * @param key     any integer
 * @param format  a template for the value, see value.h; arguments are borrowed until the call returns
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ENOSPC     the segment has no room for the value, and the old value is still there; or the system's limit of segments
 *                     or semaphores is reached
 * @retval -ERANGE     the key has more than 32 bits, on a machine of 32 bits
 * @retval -EBADMSG    the segment is torn, holds raw bytes, or is that of a machine with other integers
 * @retval -EINVAL     the template is malformed; the store could not be opened for this reason; or the semaphores under its key
 *                     are not those of sem_get()
 * @retval -EMSGSIZE   the value is nested more than 512 levels deep, or too large
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment can only be read, belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EILSEQ     PHP's serialize() cannot write the value
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_put(ferry_store *store, int64_t key, const char *format, ...) FERRY_PRINTF(3, 4);

/**
 * Puts a value under a key, as ferry_store_put(), without a template.
 *
 * @param store  the store
 * @param key    any integer
 * @param value  the value; borrowed until the call returns
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ENOSPC     the segment has no room for the value, and the old value is still there; or the system's limit of segments
 *                     or semaphores is reached
 * @retval -ERANGE     the key has more than 32 bits, on a machine of 32 bits
 * @retval -EBADMSG    the segment is torn, holds raw bytes, or is that of a machine with other integers
 * @retval -EINVAL     the value is NULL; the store could not be opened for this reason; or the semaphores under its key are not
 *                     those of sem_get()
 * @retval -EMSGSIZE   the value is nested more than 512 levels deep, or too large
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment can only be read, belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EILSEQ     PHP's serialize() cannot write the value
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_put_value(ferry_store *store, int64_t key, const ferry_value *value);

/**
 * Gets the value under a key.
 *
 * @param store      the store
 * @param key        any integer
 * @param ret_value  where to put the value, which the caller owns; NULL on failure
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ENOENT     there is no value under that key, or no segment
 * @retval -EBADMSG    the segment is torn, holds raw bytes, or is that of a machine with other integers; or PHP's serialize() has
 *                     not written the value
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment or the lock belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL     the store could not be opened for this reason, or the semaphores under its key are not those of sem_get()
 * @retval -ENOSPC     the system's limit of semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_get(ferry_store *store, int64_t key, ferry_value **ret_value);

/**
 * Returns whether there is a value under a key.
 *
 * @param store  the store
 * @param key    any integer
 * @return 1 or 0; or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -EBADMSG    the segment is torn, holds raw bytes, or is that of a machine with other integers
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment or the lock belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL     the store could not be opened for this reason, or the semaphores under its key are not those of sem_get()
 * @retval -ENOSPC     the system's limit of semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_has(ferry_store *store, int64_t key);

/**
 * Removes the value under a key.
 *
 * @param store  the store
 * @param key    any integer
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ENOENT     there is no value under that key, or no segment
 * @retval -EBADMSG    the segment is torn, holds raw bytes, or is that of a machine with other integers
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment can only be read, belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL     the store could not be opened for this reason, or the semaphores under its key are not those of sem_get()
 * @retval -ENOSPC     the system's limit of semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_remove(ferry_store *store, int64_t key);

/**
 * Lists the variables, in their order in the segment.
 *
 * @param store     the store
 * @param ret_list  where to put the list, which the caller owns; NULL on failure. Each variable is a map with key, size (of the
 *                  encoded value, in bytes) and offset (in the segment)
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ENOENT     there is no segment
 * @retval -EBADMSG    the segment is torn, holds raw bytes, or is that of a machine with other integers
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment or the lock belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL     the store could not be opened for this reason, or the semaphores under its key are not those of sem_get()
 * @retval -ENOSPC     the system's limit of semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_list(ferry_store *store, ferry_value **ret_list);

/**
 * Reads, changes and writes the value under a key, all under one lock.
 *
 * If the call fails, the store is as before.
 *
 * @param store     the store
 * @param key       any integer
 * @param fn        returns the new value
 * @param userdata  for @p fn
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ECANCELED  @p fn has returned NULL
 * @retval -ENOSPC     the segment has no room for the value, and the old value is still there; or the system's limit of segments
 *                     or semaphores is reached
 * @retval -ERANGE     the key has more than 32 bits, on a machine of 32 bits
 * @retval -EBADMSG    the segment is torn, holds raw bytes, or is that of a machine with other integers; or PHP's serialize() has
 *                     not written the value
 * @retval -EINVAL     the store could not be opened for this reason, or the semaphores under its key are not those of sem_get()
 * @retval -EMSGSIZE   the value is nested more than 512 levels deep, or too large
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment can only be read, belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EILSEQ     PHP's serialize() cannot write the value
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_update(ferry_store *store, int64_t key, ferry_store_update_fn *fn, void *userdata);

/**
 * Holds the lock over several calls.
 *
 * The lock is held until ferry_store_unlock() has been called as often, or the process ends. PHP's sem_acquire() waits meanwhile.
 * The lock belongs to the process: it survives execve(2), and a child of fork(2) does not inherit it.
 *
 * @param store       the store
 * @param timeout_ms  how long to wait for the lock, in ms; -1: forever; 0: do not wait
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ETIMEDOUT   another process holds the lock; the sentence names it
 * @retval -EIDRM       the lock was removed while the call waited for it
 * @retval -EOPNOTSUPP  the store was opened with `is_unlocked`
 * @retval -EACCES      the segment or the lock belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL      the timeout is below -1; the store could not be opened for this reason; or the semaphores under its key
 *                      are not those of sem_get()
 * @retval -ENOSPC      the system's limit of semaphores is reached
 * @retval -ENOMEM      the store is NULL, or there is no memory
 * @retval -ECHILD      the store was opened by the parent of this process
 */
int ferry_store_lock(ferry_store *store, int timeout_ms);

/**
 * Releases the lock.
 *
 * @param store  the store
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -EPERM   ferry_store_lock() was not called
 * @retval -ENOMEM  the store is NULL
 * @retval -ECHILD  the store was opened by the parent of this process
 */
int ferry_store_unlock(ferry_store *store);

/**
 * Reads raw bytes, as PHP's shmop_read().
 *
 * @param store   the store
 * @param offset  in bytes from the beginning of the segment
 * @param buffer  where to put the bytes
 * @param size    how many bytes to read
 * @return the number of bytes that were read, fewer than @p size at the end of the segment; or a negative errno: that with which
 * the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ENOENT     there is no segment
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment or the lock belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL     the offset is beyond the end; the store could not be opened for this reason; or the semaphores under its
 *                     key are not those of sem_get()
 * @retval -ENOSPC     the system's limit of semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
ssize_t ferry_store_read(ferry_store *store, size_t offset, void *buffer, size_t size);

/**
 * Writes raw bytes, as PHP's shmop_write(), but all or none.
 *
 * A missing segment is made. The lock is made, too, and stays if a script removes the segment by shmop_delete(). Open the store
 * with `is_unlocked` if it is shared with scripts that take no lock.
 *
 * @param store   the store
 * @param offset  in bytes from the beginning of the segment
 * @param bytes   the bytes
 * @param size    their number
 * @return @p size; or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment can only be read, belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL     the offset is beyond the end; the store could not be opened for this reason; or the semaphores under its
 *                     key are not those of sem_get()
 * @retval -ENOSPC     the bytes do not fit, and nothing was written; or the system's limit of segments or semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
ssize_t ferry_store_write(ferry_store *store, size_t offset, const void *bytes, size_t size);

/**
 * Repairs a torn segment: keeps the variables that are whole, in their order, and drops the rest.
 *
 * A segment that is whole is not changed.
 *
 * @param store        the store
 * @param ret_dropped  where to put the list of dropped parts, which the caller owns: maps with offset and size in bytes, key
 *                     (null if it could not be read) and reason. NULL on failure. NULL is allowed
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ENOENT     there is no segment
 * @retval -EBADMSG    the segment holds no variables: its beginning is not that of shm_attach() on this kind of machine
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment can only be read, belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL     the store could not be opened for this reason, or the semaphores under its key are not those of sem_get()
 * @retval -ENOSPC     the system's limit of semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_repair(ferry_store *store, ferry_value **ret_dropped);

/**
 * Removes the segment, and its lock if no other process uses the lock.
 *
 * Processes that are attached to the segment keep their view of it until they detach. The next put makes a new segment. A lock
 * without users whose segment is already gone is removed, too: PHP's shm_remove() leaves it.
 *
 * @param store  the store
 * @return 0, or a negative errno: that with which the store could not be opened, see ferry_store_status(), or one of these
 * @retval -ENOENT     there is no segment
 * @retval -EPERM      only its owner can remove it
 * @retval -ETIMEDOUT  another process holds the lock; the sentence names it
 * @retval -EIDRM      the lock was removed while the call waited for it
 * @retval -EACCES     the segment or the lock belongs to another user, or its mode is too wide for `is_strict`
 * @retval -EINVAL     the store could not be opened for this reason, or the semaphores under its key are not those of sem_get()
 * @retval -ENOSPC     the system's limit of semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 * @retval -ECHILD     the store was opened by the parent of this process
 */
int ferry_store_delete(ferry_store *store);

/**
 * Returns everything that is known of a store. The sentence of the last call is cleared.
 *
 * The members of the map, null if they are not known: address, key, id, size (of the segment in bytes), uid, mode, is_wide (other
 * users have access), attached (how often), creator and last_user (pids), attached_at, detached_at, changed_at (seconds since
 * 1970), is_read_only, lock (the id of the semaphore set), lock_mode, lock_users, lock_holder (pid), free (bytes for further
 * variables).
 *
 * @param store  the store; NULL is allowed
 * @return a map, which the caller owns; NULL if there is no memory
 */
ferry_value *ferry_store_info(ferry_store *store);

/**
 * Returns the state of a store.
 *
 * @param store  the store; NULL has failed with -ENOMEM
 * @return 1 if it can be used, or the negative errno with which it could not be opened: an error of stat(2), or one of these
 * @retval -EINVAL     the address is not that of a store, an option is wrong, the system refuses the size, or `#ID` is a segment
 *                     without a key, which has no lock, unless `is_unlocked`
 * @retval -E2BIG      the options have a field that this version does not know
 * @retval -ENOENT     the key file does not exist
 * @retval -ETIMEDOUT  `is_creating`: another process holds the lock
 * @retval -ENOTDIR    a part of its path is not a directory
 * @retval -EACCES     the segment belongs to another user, or its mode is too wide for `is_strict`
 * @retval -ENOSPC     the system's limit of segments or semaphores is reached
 * @retval -ENOMEM     the store is NULL, or there is no memory
 */
int ferry_store_status(const ferry_store *store);

/**
 * Returns a sentence about the last call that failed, or why the store has failed.
 *
 * @param store  the store; NULL is allowed
 * @return the sentence, never NULL; valid until the next call
 */
const char *ferry_store_error(const ferry_store *store);

FERRY_DEFINE_AUTO(ferry_store, ferry_store_free)

FERRY_END

#endif
