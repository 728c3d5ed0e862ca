/**
 * @file
 * The objects that the kernel keeps for the user: what ferry and other programs have made and perhaps left.
 */
#ifndef FERRY_IPC_H
#define FERRY_IPC_H

#include <ferry/value.h>

FERRY_BEGIN

/**
 * Lists the user's SysV queues, segments and semaphore sets, POSIX queues, and the sockets, lock files and FIFOs in the
 * directories of named services. Root sees those of all users.
 *
 * @param ret_list  where to put the list, which the caller owns; NULL on failure. Each object is a map; what is not known, or does
 *                  not apply, is null:
 *                  address   for ferry_ipc_remove(): msgq:#ID, shm:#ID, sem:#ID, mqueue:NAME, or the path of a file with
 *                            its scheme (unix:, udg:, lock:, fifo:)
 *                  kind      msgq, shm, sem, mqueue, unix, udg, lock or fifo
 *                  key       of a SysV object
 *                  uid, mode its owner and permission bits
 *                  size      bytes in a queue, of a segment
 *                  size_max  bytes that a queue may hold
 *                  records, records_max  how many records are in it, and may be
 *                  attached  of a segment: how many times; of a lock (sem): how many users
 *                  last_user the pid that used it last
 *                  used      when that was, in seconds since 1970
 *                  age       seconds since it was made or changed
 *                  mark      `unattached` (a segment that no process uses), `unused` (a lock that no process uses), `idle` (a queue with records that no process has
 *                            touched for an hour), `stale` (a socket or lock whose owner is dead), or null
 * @return 0, or a negative errno
 * @retval -ENOTSUP  the list has everything but POSIX queues, which can only be listed where a mqueue file system is
 *                   mounted at /dev/mqueue
 * @retval -ENOMEM   there is no memory
 * @retval -EMFILE   no descriptor is left
 */
int ferry_ipc_list(ferry_value **ret_list);

/**
 * Removes an object that belongs to the user. Records in a queue are lost. A segment takes its lock with it, if that has no
 * other users; a lock that has lost its segment goes by the same address.
 *
 * @param address  msgq:, shm:, sem:, mqueue: or fifo:, with a path, key, name or #ID; or unix:, udg: or lock: with the path of
 *                 a socket or lock file, which is removed only if its owner is dead
 * @return 0, or a negative errno
 * @retval -EINVAL  it is no such address; the path of a lock ends in `.lock`
 * @retval -ENOENT  there is no such object
 * @retval -EPERM   it belongs to another user
 * @retval -EBUSY   its owner lives, or a lock (sem:) has users
 * @retval -ENOTSUP the file at that path is of another kind
 */
int ferry_ipc_remove(const char *address);

FERRY_END

#endif
