/* Addresses: text that says where to connect or to listen.
 *
 *      unix:PATH               a socket in the file system
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
        FERRY_SCHEME_UNIX,
        FERRY_SCHEME_EXEC,
        FERRY_SCHEME_STDIO,
        FERRY_SCHEME_FILE,
        FERRY_SCHEME_FD,
};

/* Which of these an address is, by its spelling alone; -EINVAL if none, -ENAMETOOLONG if no socket can
 * have that. */
int ferry_address_scheme(const char *address);

FERRY_END

#endif
