/* Ports of this machine: whether a process can be reached at one, without connecting or sending. */
#pragma once

#include "stream/inet.h"

/* Whether a socket of that type (SOCK_STREAM: that listens) is bound there: 1 or 0; -EADDRNOTAVAIL if the host is another
 * machine, or another negative errno. */
int port_find(const union inet_address *address, int type);
