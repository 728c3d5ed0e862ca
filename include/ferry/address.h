/* Addresses: text that says where to connect or to listen.
 *
 *      NAME                    a service: up to 64 letters, digits, - and _
 *      unix:PATH               a socket in the file system
 *      tcp:HOST:PORT           HOST an IPv4 address in numbers, an IPv6 address in brackets ([::1]), or localhost:
 *                              127.0.0.1, and then, for who connects, ::1. Other names are not looked up. PORT is
 *                              1 to 65535; 0, for who listens, a free one. Whoever can reach a port may come, also
 *                              other users of the machine: nothing is known of the other side of tcp
 *      exec:COMMAND LINE       run by /bin/sh -c; we talk over its stdin and stdout
 *      stdio:                  our stdin and stdout, guarded: a stray print goes to stderr
 *      file:IN,OUT             two plain files, of which one may be left out
 *      fd:IN,OUT               two open descriptors, which the session takes over; fd:N for a socket
 *
 * All after the first colon is taken as it stands; there is no quoting. */
#ifndef FERRY_ADDRESS_H
#define FERRY_ADDRESS_H

#include <ferry/base.h>

FERRY_BEGIN

enum ferry_scheme {
        FERRY_SCHEME_NAME,
        FERRY_SCHEME_UNIX,
        FERRY_SCHEME_TCP,
        FERRY_SCHEME_EXEC,
        FERRY_SCHEME_STDIO,
        FERRY_SCHEME_FILE,
        FERRY_SCHEME_FD,
};

/* Which of these an address is, by its spelling alone; -EINVAL if none, -ENAMETOOLONG if no socket can
 * have that. */
int ferry_address_scheme(const char *address);

/* Write the address in full: for a name unix:PATH, where its service has its socket in @dialect. That is in $FERRY_DIR, or
 * else /run/user/UID/ferry, $XDG_RUNTIME_DIR/ferry, /tmp/ferry-UID, whichever can be; or in /run/ferry, if it
 * stands there. Returns its length, as snprintf does; -EINVAL, -ENAMETOOLONG, -EACCES if the directory is not
 * safe: ours must belong to us and have the mode 0700, /run/ferry must belong to root. */
int ferry_address_resolve(const char *address, unsigned dialect, char *buffer, size_t size);

FERRY_END

#endif
