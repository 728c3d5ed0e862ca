/* Sockets that stand in the file system: whether anybody is behind them, without connecting. */
#pragma once

#include "util/list.h"

#include <stdbool.h>
#include <sys/stat.h>

/* One that is asked about, and the answer. */
struct bound {
        struct list link;
        struct stat stat;
        const char *path;
        bool is_bound;          /* somebody has it, listening or not */
        bool is_listening;
};

/* Ask about all in a list. What the kernel cannot tell of is not bound: sockets of another network namespace, and all of
 * them where it was built without sock_diag. 0; or -ENOMEM, -EMFILE, -ENFILE if it could not be asked. */
int bound_look(struct list *sockets);
