/**
 * @file
 * Bridges: the bytes of two descriptors, joined to an address.
 *
 * A bridge connects to an address of sessions and copies bytes both ways: what is read from one descriptor is sent there, and
 * what comes from there is written to another one. It knows no messages, so it works for every dialect. The program at the other
 * end of the descriptors talks to the service as if it had connected itself. `ferry bridge` and addresses of `ssh:` use it.
 *
 * # Ends
 *
 * When the input ends, the bridge ends its direction to the address, and still copies what comes from there; and the other way
 * round. The bridge has ended when both directions have, or when the other end has closed the connection altogether. A child of
 * `exec:` has ended when it has exited.
 *
 * At most 64 KiB are held for each direction. While one side takes nothing, the other side is not read.
 *
 * # Stepping aside
 *
 * A service of ferry may take the descriptors themselves, if they are pipes or one unix socket, and if it runs as the same user. The
 * bridge closes its own, copies nothing, and ends with the session of that service; the session ends if the bridge is freed. What the
 * reader of the output does shows at the service alone then: the bridge ends without a failure.
 */
#ifndef FERRY_BRIDGE_H
#define FERRY_BRIDGE_H

#include <ferry/address.h>
#include <ferry/loop.h>

FERRY_BEGIN

/**
 * Receives a line that a child has written to its stderr.
 *
 * @param bridge    the bridge; the callback may free it
 * @param line      the line without its newline, at most 4,096 bytes of it at once; valid until the callback returns
 * @param size      in bytes
 * @param userdata  `line_userdata` of the options
 */
typedef void ferry_bridge_line_fn(ferry_bridge *bridge, const char *line, size_t size, void *userdata);

/** How a bridge is opened. Zero selects the default shown in parentheses. Pointers must stay valid until the function returns,
 * see ferry.h. */
typedef struct ferry_bridge_options {
        size_t size;            /**< sizeof(ferry_bridge_options); 0 means this version's */
        unsigned dialect;       /**< NAME: an enum ferry_dialect, which determines the directory of its socket
                                 * (FERRY_DIALECT_AUTO) */
        int wait_ms;            /**< how long to wait for a process that listens, in ms; -1: forever (no wait) */
        int close_timeout_ms;   /**< how long closing may take, in ms; a child that has not exited then is ended; -1: forever
                                 * (1,000) */
        ferry_bridge_line_fn *line; /**< exec, ssh: receives what the child writes to its stderr (it is discarded) */
        void *line_userdata;    /**< for `line` */
        const char *remote_ferry; /**< ssh: the program on the other machine that is run as `ferry` (ferry) */
} ferry_bridge_options;

/**
 * Opens a bridge, which belongs to the loop.
 *
 * The call does not wait. Nothing is read from @p in before the address is connected. A bridge that cannot be opened has failed:
 * ferry_bridge_status() returns its errno, ferry_bridge_error() a sentence, and the descriptors stay the program's.
 *
 * A process that runs as another user, which is neither the program's own nor root, is refused with -EACCES.
 *
 * @param loop     the loop
 * @param address  an address of sessions, see address.h, but not `stdio:`; copied
 * @param in       the descriptor to read from; the bridge takes it over
 * @param out      the descriptor to write to, which may be the same; the bridge takes it over. At the end of what comes from the
 *                 address it is closed, and the sending direction of a socket is shut down first
 * @param options  NULL selects all defaults
 * @return the bridge; NULL only if the loop is NULL or belongs to another thread, or if there is no memory
 */
ferry_bridge *ferry_bridge_open(ferry_loop *loop, const char *address, int in, int out, const ferry_bridge_options *options);

/**
 * Closes a bridge, in the background, and forgets it: the program must no longer use it.
 *
 * Bytes that the bridge holds are lost. A child has `close_timeout_ms` to exit, gets SIGTERM, and as long afterwards SIGKILL.
 * Without this call the bridge is closed with its loop.
 *
 * @param bridge  the bridge; NULL is allowed
 * @return NULL
 */
ferry_bridge *ferry_bridge_free(ferry_bridge *bridge);

/**
 * Returns the state of a bridge.
 *
 * @param bridge  the bridge; NULL has failed with -ENOMEM
 * @return 1 while bytes may still move, 0 after both directions have ended in order, or the negative errno it has failed with
 * @retval -EINVAL        the address is not one of a session, or an option is wrong
 * @retval -E2BIG         the options have a field that this version does not know
 * @retval -ENAMETOOLONG  the path is too long for a socket
 * @retval -ENOENT        the socket does not exist
 * @retval -ECONNREFUSED  no process listens
 * @retval -ETIMEDOUT     the host does not answer
 * @retval -EACCES        the process at the other end runs as another user, or its directory is not safe
 * @retval -ECONNRESET    the connection was broken, or bytes were not taken; or the child has failed
 * @retval -EPIPE         the reader of @p out has closed its end
 * @retval -EBADF         a descriptor is not open
 * @retval -ECHILD        how the child has ended is not known; or the bridge belongs to the parent of this process
 * @retval -ECANCELED     the loop is being freed
 * @retval -EMFILE        no descriptor is left
 * @retval -ENFILE        no descriptor is left in the whole system
 * @retval -ENOMEM        the bridge is NULL, or there is no memory
 * @retval -EPERM         the bridge belongs to another thread
 */
int ferry_bridge_status(const ferry_bridge *bridge);

/**
 * Returns a sentence about why a bridge has failed or ended.
 *
 * @param bridge  the bridge; NULL is allowed
 * @return the sentence, never NULL, valid as long as the bridge
 */
const char *ferry_bridge_error(const ferry_bridge *bridge);

/**
 * Tells whether the bridge was ever connected: if not, no byte of the input was read or sent.
 *
 * @param bridge  the bridge; NULL is allowed
 * @return true once the address was connected, or its child was started
 */
bool ferry_bridge_was_connected(const ferry_bridge *bridge);

/**
 * Returns the exit status of the child of `exec:` or `ssh:`.
 *
 * @param bridge  the bridge; NULL is allowed
 * @return the status; 128 and the signal if one has killed the child; or a negative errno
 * @retval -ECHILD  there is no child, it still runs, or its status is not known
 */
int ferry_bridge_exit_status(const ferry_bridge *bridge);

FERRY_DEFINE_AUTO(ferry_bridge, ferry_bridge_free)

FERRY_END

#endif
