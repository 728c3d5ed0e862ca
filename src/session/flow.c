/* Whether a program that sends much has to wait for room in the queue, and is notified of that. Invariant: a message that was
 * refused for lack of room is followed by FERRY_KIND_DRAINED, unless the session ends. */
#include "session/private.h"

static size_t half(const ferry_session *session)
{
        return session->queue_max / 2;
}

void flow_rise(ferry_session *session)
{
        if (session->flow == FLOW_FREE && outbox_queued(&session->out) > half(session))
                session->flow = FLOW_FULL;
}

void flow_refuse(ferry_session *session, size_t size)
{
        session->refused_size = size;
        /* Where less than half is queued, only an empty queue takes the message for certain. */
        session->flow = outbox_queued(&session->out) > half(session) ? FLOW_FULL : FLOW_REFUSED;
}

void flow_fall(ferry_session *session)
{
        size_t queued = outbox_queued(&session->out);
        const struct session_owner *owner = session->owner;

        flow_rise(session);
        if ((session->flow != FLOW_FULL || queued >= half(session)) && (session->flow != FLOW_REFUSED || queued > 0))
                return;
        if (session->refused_size > 0 && owner->takes && !owner->takes(session->owner_object, session->refused_size))
                return;
        session->refused_size = 0;
        session->flow = FLOW_DRAINED;
        loop_task_start(session->loop, &session->work);
}
