/* Descriptions, at both sides. The side that asks sends a ping behind its question: if the pong comes first, the other side does not
 * know the question, because it is too old, or no library of ours. */
#include "session/private.h"

#include <errno.h>

enum { QUEUED_MAX = 1 << 20 };          /* bytes that wait for a peer that may still get one more description */

static void answer(ferry_session *session, const struct incoming *in, const ferry_value *described, struct error *error)
{
        struct outgoing outgoing = { .kind = WIRE_RESPONSE, .id = in->id.bytes, .id_size = in->id.size, .body = described,
                                     .codec = in->codec ? in->codec : ferry_codec_msgpack() };

        session_send(session, &outgoing, true, NULL, error);
}

void describe_hear(ferry_session *session, const struct incoming *in)
{
        const struct session_owner *owner = session->owner;
        struct error error = { 0 };
        const ferry_value *described;

        /* A question of a few bytes must not make this side hold any number of answers. */
        if (!owner->described)
                error_set(&error, -EOPNOTSUPP, "not a service: it has no description");
        else if (outbox_size(&session->out) > QUEUED_MAX || (owner->takes && !owner->takes(session->owner_object, 1)))
                error_set(&error, -ENOBUFS, "too much waits for this client already: read it, then ask again");
        else if ((described = owner->described(session->owner_object, &error)))
                answer(session, in, described, &error);
        if (error.code && session->holder != SESSION_FREED)
                session_refuse_message(session, in, WIRE_REFUSED, error_text(&error));
        error_deinit(&error);
}

void describe_note_pong(ferry_session *session)
{
        unsigned left = 0;

        if (session->fenced == 0)
                return;
        list_for_each(&session->calls, link) {
                ferry_call *call = container_of(link, ferry_call, link);

                if (call->fence > session->pong)
                        left++;
                else if (call->fence > 0)
                        call_end(call, -EOPNOTSUPP, FERRY_OUTCOME_NOT_EXECUTED, NULL,
                                 "the other side has no descriptions: its version of ferry is older, or it is another program");
        }
        session->fenced = left;
        session_update(session);
}
