/* Names of sockets in the abstract namespace, as addresses spell them behind the @. */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

/* \xNN, with digits in lower case, is one byte. 0; -EINVAL if the name is empty, -ENAMETOOLONG if it has more than 107
 * bytes. */
int abstract_parse(const char *text, struct sockaddr_un *address, socklen_t *ret_size);
