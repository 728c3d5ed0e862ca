/* Messages to their handlers: of the session, then of its owner. What a handler leaves is kept for ferry_session_next(). */
#include "session/private.h"

#include <errno.h>
#include <string.h>

enum { NEXT_MAX = 1024 };

/* Kept for next ------------------------------------------------------------------------------------------ */

/* The session that programs know, which has the handlers. */
static ferry_session *front(ferry_session *session)
{
        return session->front ? session->front : session;
}

/* It is fetched, or dropped. */
static void leave_next(ferry_session *session, ferry_message *message)
{
        list_remove(&message->queue_link);
        if (list_is_empty(&message->unasked_link))
                return;
        list_remove(&message->unasked_link);
        session->next_count--;
        session->next_bytes -= message_weight(message);
}

static void drop_oldest(ferry_session *session)
{
        ferry_message *message = list_first(&session->unasked, ferry_message, unasked_link);

        if (!message)
                return;
        leave_next(session, message);
        session->dropped++;
        message_release(message);
}

/* What a former session has received waits with the session that the program has, unless it can be answered. */
static void keep_for_next(ferry_session *session, ferry_message *message, bool is_wanted)
{
        if (message->session != session && !message->is_counted) {
                list_remove(&message->link);
                message->session = session;
                list_append(&session->messages, &message->link);
        }
        if (!is_wanted) {
                list_append(&session->unasked, &message->unasked_link);
                session->next_count++;
                session->next_bytes += message_weight(message);
                while (session->next_count > 1 &&
                       (session->next_count > NEXT_MAX || session->next_bytes > session->queue_max))
                        drop_oldest(session);
        }
        list_append(&session->next, &ferry_message_ref(message)->queue_link);
        /* What the program asked for is never dropped; so there is an end to what is read. */
        if (is_wanted && message->cost == 0) {
                message->cost = sizeof *message + message_weight(message);
                session->held += message->cost;
        }
}

ferry_message *session_take_next(ferry_session *session)
{
        ferry_message *message = list_first(&session->next, ferry_message, queue_link);

        if (!message)
                return NULL;
        leave_next(session, message);
        if (!message->is_counted) {
                session->held -= message->cost;
                message->cost = 0;
        }
        session_update(session);
        if (session->reconnect)
                list_for_each(&session->reconnect->former, link)
                        session_update(container_of(link, ferry_session, former_link));
        return message;
}

/* Handlers ----------------------------------------------------------------------------------------------- */

/* Offer a message to those handlers of one list that want one of @kinds, and none of @not. */
static enum verdict offer_to(ferry_session *session, const struct list *handlers, ferry_message *message, unsigned kinds,
                             unsigned not, enum verdict verdict)
{
        enum ferry_kind kind = message->kind;

        for (struct list *link = handlers->next; link != handlers && verdict != TAKEN && !message->failure; link = link->next) {
                struct handler *handler = container_of(link, struct handler, link);
                int result;

                if (session->holder == SESSION_FREED || loop_is_foreign(session->loop))
                        break;
                if (handler->is_gone || !(handler->kinds & kinds) || (handler->kinds & not))
                        continue;
                if (!handler->fn) {
                        keep_for_next(front(session), message, true);
                        return TAKEN;
                }
                if (kind == FERRY_KIND_CLOSED)
                        session_tell(session);
                message->was_seen = true;
                result = handler->fn(front(session), message, handler->userdata);
                verdict = result == 1 ? TAKEN : SEEN;
                if (result < 0 && (kind & FERRY_KIND_REQUEST))
                        message->failure = result;
        }
        return verdict;
}

/* Those of its type, then those of any. */
static enum verdict offer_by_type(ferry_session *session, const struct handlers *handlers, ferry_message *message, unsigned kinds,
                                  unsigned not, enum verdict verdict)
{
        const struct list *typed = handlers->typed ? handlers_of_type(handlers, message->type) : NULL;

        if (typed)
                verdict = offer_to(session, typed, message, kinds, not, verdict);
        return offer_to(session, &handlers->any, message, kinds, not, verdict);
}

/* The handlers of the session, then those of its owner. */
static enum verdict offer(ferry_session *session, ferry_message *message, unsigned kinds, unsigned not,
                          enum verdict verdict)
{
        verdict = offer_by_type(session, &front(session)->handlers, message, kinds, not, verdict);
        /* These hear of the end of a session of whose beginning they have heard. */
        if (session->shared_handlers && (kinds != FERRY_KIND_CLOSED || session->has_reported_opened))
                verdict = offer_by_type(session, session->shared_handlers, message, kinds, not, verdict);
        return verdict;
}

enum verdict dispatch(ferry_session *session, ferry_message *message)
{
        enum ferry_kind kind = message->kind;
        enum verdict verdict;

        /* What may be a request is offered first to handlers that could answer it. */
        if (kind == FERRY_KIND_MESSAGE) {
                verdict = offer(session, message, FERRY_KIND_REQUEST, 0, UNSEEN);
                verdict = offer(session, message, FERRY_KIND_NOTIFICATION, FERRY_KIND_REQUEST, verdict);
        } else
                verdict = offer(session, message, kind, 0, UNSEEN);
        if (kind != FERRY_KIND_REQUEST && (kind & FERRY_KIND_NOTIFICATION) && verdict == UNSEEN && session->holder != SESSION_FREED &&
            session->phase < SESSION_CLOSING_STREAM)
                keep_for_next(front(session), message, false);
        return verdict;
}

void dispatch_text(ferry_session *session, enum ferry_kind kind, const char *type, const char *bytes, size_t size)
{
        ferry_message *message = message_new_text(session, kind, type, bytes, size);

        if (message) {
                dispatch(session, message);
                message_release(message);
        } else if (kind != FERRY_KIND_CLOSED)
                session_finish(session, -ENOMEM, "no memory to report what was received");
}

static void add_handler(ferry_session *session, unsigned kinds, const char *type, ferry_message_fn *fn, void *userdata)
{
        if (handlers_add(&session->handlers, kinds, type, fn, userdata) < 0)
                session_finish(session, -ENOMEM, "no memory for a handler");
}

void ferry_session_on(ferry_session *session, unsigned kinds, ferry_message_fn *fn, void *userdata)
{
        if (session && !loop_is_elsewhere(session->loop))
                add_handler(session, kinds, NULL, fn, userdata);
}

void ferry_session_on_type(ferry_session *session, unsigned kinds, const char *type, ferry_message_fn *fn, void *userdata)
{
        if (!session || loop_is_elsewhere(session->loop))
                return;
        if (type)
                add_handler(session, kinds, type, fn, userdata);
        else
                session_finish(session, -EINVAL, "a handler by type needs a type: ferry_session_on() adds a handler for all types");
}

void ferry_session_off(ferry_session *session, ferry_message_fn *fn, void *userdata)
{
        if (session && !loop_is_elsewhere(session->loop))
                handlers_remove(session->loop, &session->handlers, fn, userdata);
}

void ferry_session_off_type(ferry_session *session, const char *type, ferry_message_fn *fn, void *userdata)
{
        if (session && !loop_is_elsewhere(session->loop))
                handlers_remove_type(session->loop, &session->handlers, type, fn, userdata);
}
