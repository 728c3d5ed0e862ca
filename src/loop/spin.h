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
        int64_t patience_ns;            /* 0: never look */
        unsigned skips, failures;       /* how often not to look, after looking in vain so often … */
        unsigned successes;             /* … and not in vain since */
        /* Look. If the process is about to sleep (@is_last), see to it that it is woken, or return LOOP_READY. */
        enum loop_hope (*fn)(struct loop_spinner *spinner, bool is_last);
};

/* The spinner is awake: the other process need not wake this one, since the loop looks before it sleeps, and before a program
 * that polls the loop's descriptor can sleep. False: the loop would not come to that; the spinner stays asleep. A spinner that was
 * started must be stopped before it goes. */
bool loop_spinner_start(ferry_loop *loop, struct loop_spinner *spinner);
void loop_spinner_stop(struct loop_spinner *spinner);

enum loop_next {
        LOOP_SLEEP,             /* nothing to do */
        LOOP_GLANCE,            /* look at the descriptors, without waiting, and come back if nothing was there */
        LOOP_GO_ON,             /* there is something to do; the same, and do not come back */
        LOOP_SKIP,              /* there is something to do, and the descriptors were looked at a moment ago */
};

/* Before each wait, of @timeout_ms or of -1; spinners do not sleep if that is 0. @now is the time, or 0; @until is 0 at the first
 * call of a round, and then the spinners' own. */
enum loop_next loop_spin(ferry_loop *loop, int timeout_ms, int64_t now, int64_t *until);

/* The process may sleep without a wait of the loop. */
void loop_fall_asleep(ferry_loop *loop);
