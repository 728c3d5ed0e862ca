/**
 * @file
 * Addresses: text that says where to connect, listen, send or store.
 *
 *      NAME                    a service: up to 64 letters, digits, - and _
 *      unix:PATH               a stream socket in the file system
 *      tcp:HOST:PORT           HOST is an IPv4 address in numbers, an IPv6 address in brackets ([::1]), or localhost:
 *                              127.0.0.1, and then, for connecting, ::1. Other names are not looked up. PORT is
 *                              1 to 65535; for listening, 0 selects a free one. Any user who can reach the port may
 *                              connect, since TCP peers cannot be identified
 *      exec:COMMAND LINE       run by /bin/sh -c; the session uses its stdin and stdout
 *      stdio:                  the program's stdin and stdout, guarded: a stray print goes to stderr
 *      file:IN,OUT             two plain files, of which one may be left out. A FIFO or a device may stand there, too: opening,
 *                              reading and writing it never block, and what is sent to a FIFO waits until a process
 *                              reads it. Plain files are read and written at once, however long a slow disk or a
 *                              network takes for that
 *      fd:IN,OUT               two open descriptors, which the session takes over; fd:N for a socket
 *      fifo:IN,OUT             two FIFOs, of which one may be left out; the peer names them in the other order.
 *                              Missing ones are made (mode 0600), and removed by the session that made them. -ENXIO: no
 *                              process reads OUT
 *
 * Of channels (channel.h):
 *
 *      unix:PATH, tcp:HOST:PORT
 *      udp:HOST:PORT           HOST as for tcp
 *      udg:PATH                a datagram socket in the file system; udg:@NAME is one in the abstract namespace,
 *                              which can only be sent to
 *      fifo:PATH               one FIFO; PATH has no comma
 *      msgq:PATH, msgq:KEY     a SysV message queue; see below
 *      mqueue:NAME             a POSIX message queue; NAME has no slash but perhaps a leading one
 *
 * Of stores (store.h):
 *
 *      shm:PATH, shm:KEY       a SysV shared memory segment
 *
 * SysV objects are named by a key: KEY in decimal or with 0x, or the key that ftok(PATH, 'T') gives, so PATH must exist or be
 * made by the call (FERRY_RECEIVE, `is_creating`).
 * `#ID` names the object with that identifier, `msgq:private` makes a queue that only its identifier names. A PATH
 * that looks like one of these is written with ./ before it.
 *
 * Everything after the first colon is taken as it stands; there is no quoting.
 */
#ifndef FERRY_ADDRESS_H
#define FERRY_ADDRESS_H

#include <ferry/base.h>

FERRY_BEGIN

/** The kinds of addresses. */
enum ferry_scheme {
        FERRY_SCHEME_NAME,
        FERRY_SCHEME_UNIX,
        FERRY_SCHEME_TCP,
        FERRY_SCHEME_EXEC,
        FERRY_SCHEME_STDIO,
        FERRY_SCHEME_FILE,
        FERRY_SCHEME_FD,
        FERRY_SCHEME_FIFO,
        FERRY_SCHEME_UDP,
        FERRY_SCHEME_UDG,
        FERRY_SCHEME_MSGQ,
        FERRY_SCHEME_MQUEUE,
        FERRY_SCHEME_SHM,
};

/**
 * Tells which kind an address is, by its spelling alone. Nothing is opened or looked up.
 *
 * @param address  the address; NULL is allowed, and is none
 * @return an enum ferry_scheme, or a negative errno
 * @retval -EINVAL        it is no address
 * @retval -ENAMETOOLONG  its path is too long for a socket (107 bytes), its name for a queue (254 bytes)
 */
int ferry_address_scheme(const char *address);

/**
 * Writes an address in full: for a NAME, unix:PATH with the socket of its service; any other address as it is.
 *
 * The socket of a name stands in $FERRY_DIR, or else /run/user/UID/ferry, $XDG_RUNTIME_DIR/ferry, /tmp/ferry-UID, the
 * first that is possible; or in /run/ferry, if it is there.
 *
 * @param address  the address
 * @param dialect  the dialect (enum ferry_dialect) that decides where a name is looked for; 0 is ferry's own place
 * @param buffer   where to write, always with a terminating zero; may be NULL if @p size is 0
 * @param size     of the buffer in bytes
 * @return the length of the full address, as snprintf(3) returns it; or a negative errno
 * @retval -EINVAL        it is no address
 * @retval -ENAMETOOLONG  the path is too long for a socket
 * @retval -EACCES        the directory is not safe: it must belong to the user with mode 0700, /run/ferry to root
 */
int ferry_address_resolve(const char *address, unsigned dialect, char *buffer, size_t size);

FERRY_END

#endif
