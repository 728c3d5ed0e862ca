/* Whether an instance of a service lives that listens at a subject, as it says itself at $SRV (ADR-32). One that has the name which
 * ferry makes of the subject is asked by that name. Otherwise all services are asked what they are, once: a subject may be one of
 * many that a service has, or match the wildcards where it listens; its name is known from then on.
 *
 *      IDLE ---> PINGING ---> IDLE             an instance of the name has answered, or that has failed
 *                   |
 *                   +--> GATHERING ---> IDLE   none has the name: until one says that it listens there, or the time is over */
#pragma once

#include "loop/loop.h"
#include "wire/nats_service.h"

#include <ferry/ferry.h>

enum finder_phase { FINDER_IDLE, FINDER_PINGING, FINDER_GATHERING };

struct finder {
        ferry_loop *loop;
        const ferry_session_options *options;
        const char *subject;
        enum finder_phase phase;
        ferry_session *pinger, *gatherer;       /* NULL until they are needed first */
        ferry_call *question;                   /* while it pings */
        struct loop_timer timer;                /* while it gathers */
        int64_t gather_again;                   /* not before */
        bool has_instance;                      /* one lives, as far as is known */
        int64_t vacant_since;                   /* or when that was not known any more */
        char name[NATS_SERVICE_NAME_MAX + 1];
};

/* @subject and @options outlive it. */
void finder_init(struct finder *finder, ferry_loop *loop, const ferry_session_options *options, const char *subject);
/* Does nothing while it asks already. Without memory, or if that fails, none is known to live. */
void finder_ask(struct finder *finder);
static inline bool finder_is_asking(const struct finder *finder)
{
        return finder->phase != FINDER_IDLE;
}
/* Nothing is known. */
void finder_start_over(struct finder *finder);
/* Its sessions are closed. */
void finder_close(struct finder *finder);
void finder_deinit(struct finder *finder);
