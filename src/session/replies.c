/* Answers of the peer, and the calls that they end. */
#include "session/private.h"

#include <errno.h>
#include <string.h>

/* Most ids are a number of 8 bytes. */
static bool ids_are_equal(const char *a, const char *b, size_t size)
{
        uint64_t words[2];

        if (size != sizeof *words)
                return memcmp(a, b, size) == 0;
        memcpy(&words[0], a, sizeof *words);
        memcpy(&words[1], b, sizeof *words);
        return words[0] == words[1];
}

ferry_call *replies_find_call(ferry_session *session, const struct raw_text *id)
{
        char name[WIRE_ID_MAX + 1];
        ferry_call *first = list_first(&session->calls, ferry_call, link);
        struct map_node *node;

        if (!id->bytes || id->size > WIRE_ID_MAX)
                return NULL;
        /* Most peers answer in the order in which they were asked. */
        if (first && first->node.key && first->node.key_size == id->size && !id->is_escaped && ids_are_equal(first->id, id->bytes, id->size))
                return first;
        node = map_find(&session->calls_by_id, name, raw_text_copy(id, name));
        return node ? container_of(node, ferry_call, node) : NULL;
}

ferry_call *replies_find_answered(const ferry_session *session)
{
        struct outbox_frame *first = outbox_first_request(&session->out);
        bool is_heard = first && first->number > 0 && (session->is_server || !session->wire.dialect->has_received ||
                                                       session->out.acknowledged >= first->number);

        return is_heard ? container_of(first, ferry_call, frame) : NULL;
}

/* The call that a reply ends; NULL: none waits for it. Its function for parts may be waiting in one of them, and gets the rest first. */
static ferry_call *find_ended(ferry_session *session, const struct incoming *in)
{
        ferry_call *call = in->kind == WIRE_MESSAGE ? replies_find_answered(session) : replies_find_call(session, &in->id);

        if (!call || !parts_wait(call) || !call->parts->fn)
                return call;
        parts_deliver_waiting(call);
        return session->holder != SESSION_FREED ? replies_find_call(session, &in->id) : NULL;
}

/* An answer with its type, which may be implied: then it is that of the request. */
static const struct incoming *imply_type(const ferry_call *call, const struct incoming *in, struct incoming *ret)
{
        if (in->type.bytes || in->kind != WIRE_RESPONSE || !call->dialect->has_implied_types || !call->type)
                return in;
        *ret = *in;
        ret->type = (struct raw_text){ .bytes = call->type, .size = strlen(call->type) };
        return ret;
}

void replies_hear(ferry_session *session, const struct frame *frame, const struct incoming *in)
{
        ferry_call *call = find_ended(session, in);
        enum ferry_kind kind = in->kind == WIRE_RESPONSE || in->kind == WIRE_MESSAGE ? FERRY_KIND_RESPONSE : FERRY_KIND_ERROR;
        struct incoming typed;
        ferry_message *reply;

        if (call && in->is_leaving && !parts_have_come(call) && call_comes_back(call)) {
                session_update(session);
                return;
        }
        if (!call) {
                descriptors_drop(session);
                session->dropped++;
                if (session->owner->answered)
                        session->owner->answered(session->owner_object);
                return;
        }
        reply = message_new(session, kind, frame, imply_type(call, in, &typed));
        if (reply && session->is_debugged)
                debug_message(session, "<", kind == FERRY_KIND_RESPONSE ? "response" : "error", ferry_message_type(reply),
                              ferry_message_body(reply));
        if (!reply) {
                descriptors_drop(session);
                call_end(call, -ENOMEM, FERRY_OUTCOME_REPLIED, NULL, "no memory for the answer");
                session_update(session);
                return;
        }
        if (session->descriptors && session->descriptors->passed)
                descriptors_give(session, reply);
        if (in->check.has_references && !ferry_message_body(reply))
                call_end(call, -EBADMSG, FERRY_OUTCOME_REPLIED, NULL,
                         "cannot take the answer: its references are wrong, or too many");
        else if (kind == FERRY_KIND_RESPONSE)
                call_succeed(call, reply);
        else
                call_end(call, in->refusal ? in->refusal : -EREMOTEIO,
                         in->kind == WIRE_REFUSED && !parts_have_come(call) ? FERRY_OUTCOME_NOT_EXECUTED : FERRY_OUTCOME_REPLIED, reply, "%s",
                         ferry_message_text(reply));
        message_release(reply);
        /* Without a callback the round goes on with an update of its own. */
        if (call->fn) {
                session_update(session);
                call_deliver(call);
        }
}

void replies_hear_accepted(ferry_session *session, const struct incoming *in)
{
        ferry_call *call = replies_find_call(session, &in->id);

        if (call)
                accepted_hear(call, in);
}

void replies_hear_part(ferry_session *session, const struct frame *frame, const struct incoming *in)
{
        ferry_call *call = replies_find_call(session, &in->id);

        if (call)
                parts_hear(call, frame, in);
        else
                parts_hear_unknown(session, in);
}
