/* Streams over the stdin and stdout of a child: a command of this machine, or ssh(1), which runs one on another. */
#pragma once

#include "stream/stream.h"

#include "loop/child.h"

struct exec_spec {
        struct child_spec child;        /* without its descriptors; borrowed */
        const char *what;               /* that cannot be started, in the sentence about that */
        /* Another machine is reached by the child: its end is not that of the peer. NULL: none. Copied, and how sentences name the
         * child. */
        const char *remote;
        bool tells_absence;             /* EXEC_ABSENT… mean that the peer was not reached */
};

enum {
        EXEC_UNREACHED = 69,            /* of ferry bridge: it was not connected */
        EXEC_NOT_EXECUTABLE = 126,      /* of a shell */
        EXEC_NOT_FOUND = 127,
        EXEC_SSH_FAILED = 255,
};

int exec_open(const struct stream_place *place, const struct exec_spec *spec, struct stream **ret_stream, struct error *error);
