/* Requests of ours by way of a server that another process has in hand. Invariant: a call ends as unknown when the process that
 * has accepted it is silent for too long, whatever the deadline of the call is. */
#include "session/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BEATS_MISSED = 5 };

static void is_silent(struct loop_timer *timer)
{
        struct acceptance *acceptance = container_of(timer, struct acceptance, timer);
        ferry_call *call = acceptance->call;
        ferry_session *session = call->session;

        if (!session_has_caught_up(session, &acceptance->mark)) {
                loop_timer_postpone(call->loop, timer);
                return;
        }
        call_end(call, -ECONNRESET, FERRY_OUTCOME_UNKNOWN, NULL,
                 "the process that has accepted the request (instance %s) was silent for %g s, and says each %g s that it works:"
                 " it was killed, or has lost its connection", acceptance->instance,
                 (double)acceptance->beat_ms * BEATS_MISSED / 1000, acceptance->beat_ms / 1000.0);
        session_update(session);
}

/* Without memory only the deadline ends the call. */
static struct acceptance *acceptance_of(ferry_call *call)
{
        struct acceptance *acceptance = call->acceptance;

        if (acceptance)
                return acceptance;
        acceptance = sys_alloc_zeroed(sizeof *acceptance);
        if (!acceptance)
                return NULL;
        acceptance->call = call;
        acceptance->timer.fn = is_silent;
        call->acceptance = acceptance;
        return acceptance;
}

/* The name is shown to the user: only letters, digits, dashes and dots of it. */
static void copy_instance(char *target, size_t room, const struct raw_text *name)
{
        size_t size = 0;

        for (size_t i = 0; i < name->size && size + 1 < room; i++) {
                char byte = name->bytes[i];

                if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '-' ||
                    byte == '.')
                        target[size++] = byte;
        }
        target[size] = '\0';
}

void accepted_hear(ferry_call *call, const struct incoming *in)
{
        struct acceptance *acceptance = acceptance_of(call);

        if (!acceptance)
                return;
        copy_instance(acceptance->instance, sizeof acceptance->instance, &in->type);
        acceptance->beat_ms = in->beat_ms;
        acceptance->heard_at = sys_now();
        acceptance->mark = 0;
        loop_timer_stop(call->loop, &acceptance->timer);
        if (in->beat_ms > 0)
                loop_timer_start(call->loop, &acceptance->timer, acceptance->heard_at + (int64_t)in->beat_ms * BEATS_MISSED * 1000000);
}

void accepted_describe(const ferry_call *call, char *text, size_t size)
{
        const struct acceptance *acceptance = call->acceptance;

        if (acceptance)
                snprintf(text, size, "; the process that has accepted the request (instance %s) was heard of %.1f s ago",
                         acceptance->instance, (double)(sys_now() - acceptance->heard_at) / 1e9);
        else
                snprintf(text, size, "; no process has said that it accepted the request");
}
