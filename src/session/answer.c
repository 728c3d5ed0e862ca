/* Requests of the other side, from when they have come until they are answered: what an answer is, and what a request costs its
 * session as long as it has none. */
#include "session/private.h"

#include <errno.h>
#include <string.h>

int message_check_answerable(const ferry_message *request, struct error *error)
{
        if (!request)
                return -ENOMEM;
        if (message_is_elsewhere(request))
                return -EPERM;
        if (request->kind == FERRY_KIND_CANCELLED)
                return -ECANCELED;
        if (!(request->kind & FERRY_KIND_REQUEST))
                return -EINVAL;
        if (!request->session)
                return -ENOTCONN;
        if (!request->is_unanswered)
                return -EALREADY;
        return session_can_send(request->session) ? 0 : session_status_for_sending(request->session, error);
}

struct outgoing message_answer(const ferry_message *request, enum wire_kind kind, const char *type)
{
        return (struct outgoing){
                .kind = kind,
                .id = request->id,
                .id_size = request->id_size,
                .type = type ? type : request->type,
                .takes_batches = request->wants_acceptance,
                .is_type_known = !type || strcmp(type, request->type) == 0,
                /* A peer that asks in a codec of ours can read it; one of the program's own is the session's. */
                .codec = request->codec && codec_native(request->codec) ? request->codec : NULL,
        };
}

void message_relax(ferry_message *request)
{
        if (!request->is_counted)
                return;
        request->is_counted = false;
        if (!request->session)
                return;
        request->session->unanswered--;
        request->session->held -= request->cost;
        request->cost = 0;
        session_update(request->session);
        if (request->session->owner->settled)
                request->session->owner->settled(request->session->owner_object);
        if (request->session->phase == SESSION_DRAINING)
                session_keep_draining(request->session);
}

void message_settle(ferry_message *request)
{
        if (!request->is_unanswered)
                return;
        request->is_unanswered = false;
        list_remove(&request->unasked_link);
        if (request->session)
                map_remove(&request->session->requests_by_id, &request->node);
        message_relax(request);
}

bool message_begin_answer(ferry_message *request)
{
        ferry_session *session = request->session;

        if (!request->is_counted || session->phase != SESSION_OPEN)
                return false;
        request->is_counted = false;
        session->unanswered--;
        session->held -= request->cost;
        return true;
}

void message_end_answer(ferry_message *request, bool has_begun, int code)
{
        ferry_session *session = request->session;

        if (!has_begun) {
                if (!code)
                        message_settle(request);
                return;
        }
        /* The session may have gone, and what sends may have answered meanwhile. */
        if (code && session && request->is_unanswered) {
                request->is_counted = true;
                session->unanswered++;
                session->held += request->cost;
                session_update(session);
                return;
        }
        request->cost = 0;
        if (!session)
                return;
        if (request->is_unanswered)
                map_remove(&session->requests_by_id, &request->node);
        request->is_unanswered = false;
        list_remove(&request->unasked_link);
        if (session->owner->settled)
                session->owner->settled(session->owner_object);
        if (session->phase == SESSION_DRAINING)
                session_keep_draining(session);
}

void message_forget_session(ferry_message *message)
{
        message_settle(message);
        list_remove(&message->link);
        list_remove(&message->queue_link);
        list_remove(&message->unasked_link);
        message->session = NULL;
}
