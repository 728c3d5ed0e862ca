/**
 * @file
 * Addresses: text that says where to connect, listen, send or store.
 *
 * Addresses of sessions and services:
 *
 *      NAME                    a service: up to 64 letters, digits, - and _
 *      unix:PATH               a stream socket in the file system
 *      tcp:HOST:PORT           HOST is an IPv4 address in numbers, an IPv6 address in brackets ([::1]), or localhost, which is
 *                              127.0.0.1 and then, for connecting, ::1. Other names are not looked up. PORT is 1 to 65535; for
 *                              listening, 0 selects a free port. Any user that can reach the port may connect, since TCP
 *                              peers cannot be identified
 *      exec:COMMAND LINE       a command, run by /bin/sh -c; the session uses its stdin and stdout
 *      ssh:[USER@]HOST[:PORT]:NAME
 *                              a service of another machine. ssh(1) runs `ferry bridge NAME` on HOST, with the user's
 *                              configuration; an IPv6 address stands in brackets. Digits are a port only if another colon
 *                              follows. NAME is any address that ferry_bridge_open() takes, but fd:
 *      nats:SUBJECT            a subject of a NATS server (`nats_url`): tokens with dots between them. A session sends requests
 *                              and notifications there; one with `is_listening` receives and answers them, and there a token may
 *                              be a wildcard, * or >
 *      stdio:                  the program's stdin and stdout, guarded: a stray print goes to stderr
 *      file:IN,OUT             two plain files, either of which may be omitted. FIFOs and devices are allowed, too: opening,
 *                              reading and writing them never blocks, and bytes for a FIFO are queued until a process reads
 *                              it. Plain files are read and written at once, however slow the disk or the network is
 *      fd:IN,OUT               two open descriptors, which the session takes over; fd:N for a socket
 *      fifo:IN,OUT             two FIFOs, either of which may be omitted; the peer names them in the other order. Missing
 *                              FIFOs are made (mode 0600), and removed by the session that made them. -ENXIO: no process
 *                              reads OUT
 *
 * Addresses of channels (channel.h):
 *
 *      unix:PATH, tcp:HOST:PORT
 *      udp:HOST:PORT           HOST as for tcp
 *      udg:PATH                a datagram socket in the file system; udg:@NAME is in the abstract namespace, and can only be
 *                              sent to
 *      fifo:PATH               one FIFO; PATH has no comma
 *      msgq:PATH, msgq:KEY     a SysV message queue
 *      mqueue:NAME             a POSIX message queue; NAME has no slash except a leading one
 *
 * Addresses of stores (store.h):
 *
 *      shm:PATH, shm:KEY       a SysV shared memory segment
 *
 * SysV objects are named by a key: KEY in decimal or with 0x, or the key that ftok(PATH, 'T') returns. So PATH must exist, or
 * the call must make it (FERRY_RECEIVE, `is_creating`). `msgq:#ID` names the object with that identifier. `msgq:private` makes
 * a queue that only its identifier names. A PATH that looks like one of these is written with `./` before it.
 *
 * Everything after the first colon is used as it is; there is no quoting.
 */
#ifndef FERRY_ADDRESS_H
#define FERRY_ADDRESS_H

#include <ferry/base.h>

FERRY_BEGIN

/** The kinds of addresses. */
enum ferry_scheme {
        FERRY_SCHEME_NAME,      /**< NAME */
        FERRY_SCHEME_UNIX,      /**< unix: */
        FERRY_SCHEME_TCP,       /**< tcp: */
        FERRY_SCHEME_EXEC,      /**< exec: */
        FERRY_SCHEME_STDIO,     /**< stdio: */
        FERRY_SCHEME_FILE,      /**< file: */
        FERRY_SCHEME_FD,        /**< fd: */
        FERRY_SCHEME_FIFO,      /**< fifo: */
        FERRY_SCHEME_UDP,       /**< udp: */
        FERRY_SCHEME_UDG,       /**< udg: */
        FERRY_SCHEME_MSGQ,      /**< msgq: */
        FERRY_SCHEME_MQUEUE,    /**< mqueue: */
        FERRY_SCHEME_SHM,       /**< shm: */
        FERRY_SCHEME_SSH,       /**< ssh: */
        FERRY_SCHEME_NATS,      /**< nats: */
};

/**
 * Returns the kind of an address, by its spelling alone.
 *
 * Does not open or look up anything.
 *
 * @param address  the address; NULL is not an address
 * @return an enum ferry_scheme, or a negative errno
 * @retval -EINVAL        the text is not an address
 * @retval -ENAMETOOLONG  its path is too long for a socket (107 bytes), its name for a queue (254 bytes), or its
 *                        subject for a NATS server (1,024 bytes)
 */
int ferry_address_scheme(const char *address);

/**
 * Writes an address in full: unix:PATH, with the socket of the service, for a NAME; any other address as it is.
 *
 * The socket of a name is in $FERRY_DIR if that is set. Otherwise it is in the first usable directory of
 * /run/user/UID/ferry, $XDG_RUNTIME_DIR/ferry and /tmp/ferry-UID; or in /run/ferry, if it exists there.
 *
 * @param address  the address; NULL is not an address
 * @param dialect  the dialect (enum ferry_dialect), which determines the directory; 0 selects the directories above
 * @param buffer   where to write, always with a terminating zero; may be NULL if @p size is 0
 * @param size     size of the buffer in bytes
 * @return the length of the full address, as snprintf(3) returns it; or a negative errno
 * @retval -EINVAL        the text is not an address
 * @retval -ENAMETOOLONG  the path is too long for a socket
 * @retval -EACCES        the directory is not safe: it must belong to the user with mode 0700, /run/ferry to root
 * @retval -ENOMEM        no memory is left
 */
int ferry_address_resolve(const char *address, unsigned dialect, char *buffer, size_t size);

FERRY_END

#endif
