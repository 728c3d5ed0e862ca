/* Looking for a while before sleeping, at what another process may do any moment: memory that it shares with this one. */
#pragma once

#include "loop/loop.h"

enum loop_hope {
        LOOP_READY,             /* there is something to do: fn of the spinner has seen to it that it is done */
        LOOP_SOON,              /* the other process runs now, on another processor */
        LOOP_YIELD,             /* it may run if this one does not */
        LOOP_NEVER,             /* it sleeps, and has to be woken first; or nothing is known of it */
};

struct loop_spinner {
        struct list link;
        int64_t patience_ns;
        unsigned skips, failures;       /* how often not to look, after looking in vain so often */
        /* Look; for the last time before the process sleeps, if @is_last. */
        enum loop_hope (*fn)(struct loop_spinner *spinner, bool is_last);
};

/* Before each wait that may sleep. A spinner that is started must be stopped before it goes. */
void loop_spinner_start(ferry_loop *loop, struct loop_spinner *spinner);
void loop_spinner_stop(struct loop_spinner *spinner);

/* @timeout_ms of a wait, or 0 if there is something to do now. */
int loop_spin(ferry_loop *loop, int timeout_ms);
