/* Watches the file of a socket: whether its path still leads to it. */
#pragma once

#include "loop/watch.h"
#include "stream/binding.h"

struct keeper {
        struct watch watch;
        struct loop_timer timer;        /* when it begins to watch; where nothing can be watched, when it looks again */
        const struct binding *binding;
        void (*lost)(struct keeper *keeper);
};

/* @lost is called, from a round of the loop, when the file is gone or another one stands there. It may stop the keeper. */
void keeper_init(struct keeper *keeper, ferry_loop *loop, const struct binding *binding, void (*lost)(struct keeper *keeper));

/* Begin, also anew when the binding has another file. It cannot fail: what cannot be watched is looked at once a second. */
void keeper_start(struct keeper *keeper);
void keeper_stop(struct keeper *keeper);
