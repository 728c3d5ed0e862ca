/* Sockets that stand in the file system: whether a process is behind them, without connecting. */
#pragma once

#include "util/list.h"

#include <stdbool.h>
#include <sys/stat.h>

/* One that is asked about, and the answer. */
struct bound {
        struct list link;
        struct stat stat;
        const char *path;
        bool is_bound;          /* a process has it, listening or not */
        bool is_listening;
        bool is_datagram;       /* what is bound is a socket of datagrams */
};

/* Ask about all in a list. What the kernel cannot report is not bound: sockets of another network namespace, and all of
 * them where it was built without sock_diag. 0; or -ENOMEM, -EMFILE, -ENFILE if it could not be asked. */
int bound_look(struct list *sockets);

/* Whether a process can be reached by a socket of that type at a path, the file that a link there leads to: 1 or 0, or a
 * negative errno. @ret_is_bound: a socket is bound there, at which it may soon listen. */
int bound_find(const char *path, int type, bool *ret_is_bound);
