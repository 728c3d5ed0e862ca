/**
 * @file
 * Messages between processes on a machine.
 *
 * object    | purpose
 * --------- | -------
 * loop      | contains everything else; freeing it frees everything. It has one descriptor for poll(2)
 * session   | a conversation: notifications and requests. Messages from the peer go to handlers, or are fetched
 * call      | a request in flight: await it, have a callback at its end, or free it to cancel it
 * message   | a type and a body. A request is a message that waits for a reply, now or later
 * value     | the content of a body. Templates such as "{name: %s}" write values, and the compiler checks them
 * service   | listens at an address; its handlers receive the messages of all its clients
 * process   | a child, a forked function or a command, with a session to it; a manager has a set of them
 * channel   | records or bytes without sessions: datagrams, streams, FIFOs, message queues
 * bridge    | joins two descriptors to an address, byte by byte
 * store     | values or raw bytes in shared memory, under the lock that PHP uses
 *
 * The rules below apply to all of them.
 *
 * # Failed objects
 *
 * A function that makes an object always returns one. A session that could not be opened is a session that has ended. A call
 * that could not be sent is a call that has ended. Such an object returns its error whenever it is used. So a program checks
 * once, where the result matters, not after every step. NULL is returned only if there is no memory even for a failed object.
 * Every function accepts NULL as an object that has failed with -ENOMEM.
 *
 * # Status and error
 *
 * The status of an object is 1 while it is alive, 0 after it has ended in order, and a negative errno after it has failed. The
 * error is a sentence for people. It is never NULL, and valid until the next one. Functions that return int return 0 or a
 * negative errno, unless their description says more.
 *
 * ferry_loop_run() and ferry_loop_tick() return the failure of an object that the program opened, unless it was reported before
 * or the object was freed. A failure counts as reported when
 *
 * - a handler for FERRY_KIND_CLOSED was called, or a call of the session has ended by it;
 * - ferry_session_close(), ferry_session_flush() or ferry_session_next() has returned it, or ferry_service_close();
 * - a function that uses a channel has returned it, such as ferry_channel_send();
 * - ferry_manager_wait() has returned it.
 *
 * Functions that only ask, which take a const object (status, error, info), change nothing and report nothing. Neither do
 * ferry_session_notify() and ferry_service_notify(), whose result may be ignored.
 *
 * # Ownership
 *
 * The loop owns its sessions, services, managers, processes, channels and bridges. The program owns calls (ferry_call_free()), stores
 * (ferry_store_free()), and the values and messages that it made or kept (ferry_value_unref(), ferry_message_unref()). A const
 * value or message is borrowed, for as long as the function says. Arguments are copied, unless the function says how long they
 * must stay valid.
 *
 * # Waiting
 *
 * A parameter timeout_ms is in milliseconds, as with poll(2): 0 does not wait, -1 waits forever. Other negative numbers are
 * refused with -EINVAL. A function that waits runs the loop, so handlers are called meanwhile.
 *
 * A function that waits for something, and does not get it within the time, returns -ETIMEDOUT. ferry_loop_run() and
 * ferry_loop_tick() give the loop time and wait for nothing in particular, so the end of the time is not a failure there. An
 * object that waits for the other end in the background (`wait_ms`) fails with the reason of its last try, such as -ECONNREFUSED.
 *
 * # Callbacks
 *
 * A callback receives the object, the event, and its userdata. It may call any function: wait, or free the object that called it.
 *
 * # Options
 *
 * Options are structs in which zero selects the default. NULL selects all defaults. Most programs write them where they are
 * used: `&(ferry_session_options){ .wait_ms = 500 }`. The field `size` is the sizeof of the struct; 0 means the same until
 * version 1.0, and a change of a struct raises the library's soname. A larger size, from a newer program, is accepted if all
 * fields that this version does not know are zero; otherwise the object fails with -E2BIG. Any other size is -EINVAL. A time
 * below -1 (below FERRY_TIMEOUT_DEFAULT in `request_timeout_ms`) is -EINVAL, too. The sentence names the field.
 *
 * What a struct of options points to is needed until the function returns: strings, lists, bytes and other structs of options are
 * copied, and the program may change or free them then. Functions with their userdata, codecs (`codec`) and streams (`stream`)
 * are the program's: they are used as long as the object lives. Descriptors in `fds` of a session are taken over.
 *
 * # Forked children
 *
 * In a child made by fork(2), the objects of the parent return -ECHILD. Freeing them in the child does no harm to the parent.
 *
 * # Common errnos
 *
 * errno         | meaning
 * ------------- | -------
 * `-EINVAL`     | an argument, address or template is wrong
 * `-ETIMEDOUT`  | the time is over
 * `-EMSGSIZE`   | a limit of this side or of the peer is exceeded
 * `-ECANCELED`  | closed or freed on this side
 * `-ENOBUFS`    | the queue is full: flush, then try again
 * `-ECONNRESET` | the peer has disconnected before the session had ended
 * `-EBADMSG`    | the peer sent bytes that are not of its dialect
 * `-ENOTCONN`   | the session has ended in order
 * `-EREMOTEIO`  | the peer replied with an error
 * `-EOPNOTSUPP` | the dialect or the object does not have this
 * `-EDEADLK`    | waiting within waiting, 32 levels deep
 * `-ECHILD`     | the object belongs to the parent of this process
 * `-EPERM`      | the object belongs to another thread
 * `-ENOMEM`     | there is no memory, or the object is NULL
 *
 * # Errnos of the system
 *
 * A function that opens or uses a file, a socket, a queue, a segment or a command returns the errno of the system call that has
 * failed, and the sentence names the object. Besides those in its description these are:
 *
 * errno             | meaning
 * ----------------- | -------
 * `-EADDRNOTAVAIL`  | the address is not one of this machine
 * `-EAFNOSUPPORT`   | the system does not have this kind of address
 * `-EAGAIN`         | the system's limit of processes, or another limit, is reached
 * `-EBADF`          | the descriptor is not open, or not for this direction
 * `-EBUSY`          | the object is in use
 * `-EDQUOT`         | the user's quota of the disk is reached
 * `-EEXIST`         | the object was made by another process at the same time
 * `-EFBIG`          | the file would be too large
 * `-EIO`            | the device has failed
 * `-EISDIR`         | the path is a directory
 * `-ELIBBAD`        | the command's interpreter is damaged
 * `-ELOOP`          | the path has too many symbolic links
 * `-EMFILE`         | the process has no descriptor left
 * `-EMLINK`         | the file has too many links
 * `-ENAMETOOLONG`   | the path is too long
 * `-ENETUNREACH`    | the network cannot be reached
 * `-ENFILE`         | the system has no descriptor left
 * `-ENODEV`         | the device does not exist
 * `-ENOEXEC`        | the command is not a program
 * `-ENOLCK`         | the file cannot be locked
 * `-ENOPROTOOPT`    | the socket does not have this option
 * `-ENOSPC`         | the disk is full, or a limit of the system is reached
 * `-ENOSYS`         | the kernel is older than Linux 5.10, or a filter of system calls refuses this one
 * `-ENOTCONN`       | the socket is not connected
 * `-ENOTDIR`        | a part of the path is not a directory
 * `-ENXIO`          | the device does not exist, or no process reads the FIFO
 * `-EOVERFLOW`      | the file is too large for this process
 * `-EPERM`          | the system does not permit this
 * `-EPIPE`          | the other end of the pipe or socket is closed
 * `-EPROTO`         | the protocol has failed
 * `-EPROTOTYPE`     | the socket at the path is of another type
 * `-ERANGE`         | a value of a semaphore is out of range
 * `-EROFS`          | the file system is read-only
 * `-ETXTBSY`        | the command is being written
 */
#ifndef FERRY_H
#define FERRY_H

#include <ferry/base.h>
#include <ferry/value.h>
#include <ferry/codec.h>
#include <ferry/message.h>
#include <ferry/address.h>
#include <ferry/loop.h>
#include <ferry/session.h>
#include <ferry/service.h>
#include <ferry/process.h>
#include <ferry/channel.h>
#include <ferry/bridge.h>
#include <ferry/store.h>
#include <ferry/ipc.h>

FERRY_BEGIN

/** The version of these headers. */
#define FERRY_VERSION "0.1.0"

/**
 * Returns the version of the library that is running.
 *
 * @return the version, such as "0.1.0"
 */
const char *ferry_version(void);

FERRY_END

#endif
