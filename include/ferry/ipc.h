/**
 * @file
 * The objects that the kernel keeps for the user: those that ferry and other programs have made, and perhaps left behind.
 */
#ifndef FERRY_IPC_H
#define FERRY_IPC_H

#include <ferry/value.h>

FERRY_BEGIN

/**
 * Lists the user's SysV queues, segments and semaphore sets, POSIX queues, and the sockets, lock files and FIFOs in the
 * directories of named services.
 *
 * Root sees the objects of all users. Each object is a map. A member that is not known, or does not apply, is null:
 *
 * member | content ---------------- | ------- `address` | for ferry_ipc_remove(): `msgq:#ID`, `shm:#ID`, `sem:#ID`,
 * `mqueue:NAME`, or `unix:`, `udg:`, `lock:` or `fifo:` with a path `kind` | `msgq`, `shm`, `sem`, `mqueue`, `unix`, `udg`,
 * `lock` or `fifo` `key` | the key of a SysV object `uid` | its owner `mode` | its permission bits `size` | bytes in a queue, or
 * of a segment `size_max` | bytes that a queue can hold `records` | records in a queue `records_max` | records that a queue can
 * hold `attached` | of a segment: how often it is attached; of a lock (`sem`): its number of users `last_user` | the pid that
 * used it last `used` | when that was, in seconds since 1970 `age` | seconds since it was made or changed `mark` | `unattached`
 * (a segment that no process uses), `unused` (a lock that no process uses), `idle` (a queue with records that no process has used
 * for an hour), `stale` (a socket or lock file whose owner is dead), or null
 *
 * @param ret_list  where to put the list, which the caller owns; NULL on failure
 * @return 0, or a negative errno
 * @retval -ENOTSUP  the list is complete except for POSIX queues, which can be listed only if a mqueue file system is mounted at
 *                   /dev/mqueue
 * @retval -ENOMEM   there is no memory
 * @retval -EMFILE   no descriptor is left
 * @retval -ENFILE   no descriptor is left in the whole system
 */
int ferry_ipc_list(ferry_value **ret_list);

/**
 * Removes an object of the user.
 *
 * Records in a queue are lost. Removing a segment also removes its lock, if the lock has no other users. A lock whose segment
 * is already gone is removed by the same address.
 *
 * @param address  msgq:, shm:, sem:, mqueue: or fifo:, with a path, key, name or `#ID`; or unix:, udg: or lock: with the path of
 *                 a socket or lock file, which is removed only if its owner is dead
 * @return 0, or a negative errno
 * @retval -EINVAL   the text is not such an address; the path of a lock file ends in `.lock`
 * @retval -ENOENT   there is no such object
 * @retval -EPERM    the object belongs to another user
 * @retval -EBUSY    its owner is alive, or a lock (sem:) has users
 * @retval -ENOTSUP  the file at that path is of another kind
 * @retval -EACCES   a directory of the path cannot be searched
 * @retval -ENOMEM   there is no memory
 */
int ferry_ipc_remove(const char *address);

FERRY_END

#endif
