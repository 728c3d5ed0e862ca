/* A client that only asks whether a service answers is known by the name of its socket, from the moment at which it comes: so no
 * handler sees it, however fast or slow either side is. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* Connect to a path with such a name: a descriptor, or a negative errno. */
int probe_connect(const char *path);

/* Whether that is the name of one. */
bool probe_is_one(const struct sockaddr *address, socklen_t size);
