/* From messages to handlers, and to ferry_session_next(). Invariant: a request is never lost: it is answered, kept
 * by whoever said so, or answered with an error here. */
#include "session/session.h"

#include <errno.h>
#include <string.h>

enum { NEXT_MAX = 1024 };

static void bury(struct loop_grave *grave)
{
        struct handler *handler = container_of(grave, struct handler, grave);

        list_remove(&handler->link);
        sys_free(handler);
}

int handlers_add(struct list *handlers, unsigned kinds, ferry_message_fn *fn, void *userdata)
{
        struct handler *handler = sys_alloc_zeroed(sizeof *handler);

        if (!handler)
                return -ENOMEM;
        handler->kinds = kinds;
        handler->fn = fn;
        handler->userdata = userdata;
        list_append(handlers, &handler->link);
        return 0;
}

/* It stays in its list until no callback runs, so whoever goes through the list need not care. */
static void remove_handler(ferry_loop *loop, struct handler *handler)
{
        if (handler->is_gone)
                return;
        handler->is_gone = true;
        loop_bury(loop, &handler->grave, bury);
}

/* cppcheck-suppress constParameter ; it is the pair that the program gave, not what it points to */
void handlers_remove(ferry_loop *loop, struct list *handlers, ferry_message_fn *fn, void *userdata)
{
        list_for_each(handlers, link) {
                struct handler *handler = container_of(link, struct handler, link);

                if (handler->fn == fn && handler->userdata == userdata)
                        remove_handler(loop, handler);
        }
}

void handlers_remove_all(ferry_loop *loop, struct list *handlers)
{
        list_for_each(handlers, link)
                remove_handler(loop, container_of(link, struct handler, link));
}

void handlers_free(struct list *handlers)
{
        list_for_each(handlers, link) {
                struct handler *handler = container_of(link, struct handler, link);

                list_remove(link);
                /* One that is buried is freed there. */
                if (!handler->is_gone)
                        sys_free(handler);
        }
}

/* next ------------------------------------------------------------------------------------------------ */

/* It is fetched, or dropped. */
static void leave_next(ferry_session *session, ferry_message *message)
{
        list_remove(&message->queue_link);
        if (list_is_empty(&message->unasked_link))
                return;
        list_remove(&message->unasked_link);
        session->next_count--;
        session->next_bytes -= message->body_size;
}

static void drop_oldest(ferry_session *session)
{
        ferry_message *message = list_first(&session->unasked, ferry_message, unasked_link);

        if (!message)
                return;
        leave_next(session, message);
        session->dropped++;
        ferry_message_unref(message);
}

static void keep_for_next(ferry_session *session, ferry_message *message, bool is_wanted)
{
        if (!is_wanted) {
                list_append(&session->unasked, &message->unasked_link);
                session->next_count++;
                session->next_bytes += message->body_size;
                while (session->next_count > 1 &&
                       (session->next_count > NEXT_MAX || session->next_bytes > session->queue_max))
                        drop_oldest(session);
        }
        list_append(&session->next, &ferry_message_ref(message)->queue_link);
        /* What the program asked for is never dropped; so there is an end to what is read. */
        if (is_wanted && message->cost == 0) {
                message->cost = sizeof *message + message->body_size;
                session->held += message->cost;
        }
}

static ferry_message *take_next(ferry_session *session)
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
        return message;
}

/* Letting go of a request answers it, and a callback may ask for the next one meanwhile. */
static void return_lent(ferry_session *session)
{
        ferry_message *lent = session->lent;

        session->lent = NULL;
        ferry_message_unref(lent);
}

void session_drop_next(ferry_session *session)
{
        ferry_message *message;

        while ((message = take_next(session)))
                ferry_message_unref(message);
        return_lent(session);
}

static bool has_next(void *object)
{
        const ferry_session *session = object;

        /* The last that comes is FERRY_KIND_CLOSED. */
        return !list_is_empty(&session->next) || session->is_freed ||
               (session->state == SESSION_ENDED && session->has_told_closed);
}

static const ferry_message *lend_next(ferry_session *session)
{
        /* One that was lent inside of the wait goes, too. */
        return_lent(session);
        if (session->is_freed)
                return NULL;
        session->lent = take_next(session);
        if (!session->lent)
                session_tell(session);
        return session->lent;
}

const ferry_message *ferry_session_next(ferry_session *session, int timeout_ms)
{
        const ferry_message *message = NULL;
        ferry_loop *loop;

        if (!session || loop_is_elsewhere(session->loop))
                return NULL;
        loop = session->loop;
        loop_enter(loop);
        return_lent(session);
        if (timeout_ms < -1)
                session_refuse_timeout(session, timeout_ms);
        else {
                if (!has_next(session))
                        session_wait(session, timeout_ms, has_next, session);
                message = lend_next(session);
        }
        /* The session may be gone behind this. */
        loop_leave(loop);
        return message;
}

/* Dispatch -------------------------------------------------------------------------------------------- */

enum verdict { NOBODY, SEEN, TAKEN };

/* Offer a message to those handlers of one list that want one of @kinds, and none of @not. */
static enum verdict offer_to(ferry_session *session, const struct list *handlers, ferry_message *message, unsigned kinds,
                             unsigned not, enum verdict verdict)
{
        enum ferry_kind kind = message->kind;

        for (struct list *link = handlers->next; link != handlers && verdict != TAKEN; link = link->next) {
                struct handler *handler = container_of(link, struct handler, link);
                int result;

                if (session->is_freed || loop_is_foreign(session->loop))
                        break;
                if (handler->is_gone || !(handler->kinds & kinds) || (handler->kinds & not))
                        continue;
                if (!handler->fn) {
                        keep_for_next(session, message, true);
                        return TAKEN;
                }
                if (kind == FERRY_KIND_CLOSED)
                        session_tell(session);
                message->was_seen = true;
                result = handler->fn(session, message, handler->userdata);
                verdict = result == 1 ? TAKEN : SEEN;
                if (result < 0 && (kind & FERRY_KIND_REQUEST))
                        message_fail(message, WIRE_ERROR, "the handler failed: %s", error_describe(result));
        }
        return verdict;
}

/* The handlers of the session, then those of its owner. */
static enum verdict offer(ferry_session *session, ferry_message *message, unsigned kinds, unsigned not,
                          enum verdict verdict)
{
        const struct list *others;

        verdict = offer_to(session, &session->handlers, message, kinds, not, verdict);
        /* These hear of the end of a session of whose beginning they have heard. */
        others = !session->is_freed && session->owner->handlers ? session->owner->handlers(session) : NULL;
        if (others && (kinds != FERRY_KIND_CLOSED || session->has_told_opened))
                verdict = offer_to(session, others, message, kinds, not, verdict);
        return verdict;
}

/* The message is used up. */
void dispatch(ferry_session *session, ferry_message *message)
{
        enum ferry_kind kind = message->kind;
        enum verdict verdict;

        /* What may be a request is offered to those first who could answer it. */
        if (kind == FERRY_KIND_MESSAGE) {
                verdict = offer(session, message, FERRY_KIND_REQUEST, 0, NOBODY);
                verdict = offer(session, message, FERRY_KIND_NOTIFICATION, FERRY_KIND_REQUEST, verdict);
        } else
                verdict = offer(session, message, kind, 0, NOBODY);
        if (session->is_freed) {
                ferry_message_unref(message);
                return;
        }
        if (kind == FERRY_KIND_MESSAGE && verdict != TAKEN)
                message_relax(message);
        if (kind == FERRY_KIND_REQUEST && verdict != TAKEN)
                message_fail(message, WIRE_ERROR, "nobody here answers the request %s", message->type);
        else if ((kind & FERRY_KIND_NOTIFICATION) && verdict == NOBODY && session->state != SESSION_ENDED)
                keep_for_next(session, message, false);
        ferry_message_unref(message);
}

void dispatch_text(ferry_session *session, enum ferry_kind kind, const char *type, const char *bytes, size_t size)
{
        ferry_message *message = message_new_text(session, kind, type, bytes, size);

        if (message)
                dispatch(session, message);
        else if (kind != FERRY_KIND_CLOSED)
                session_finish(session, -ENOMEM, "no memory to tell what has come");
}

/* Registration ---------------------------------------------------------------------------------------- */

void ferry_session_on(ferry_session *session, unsigned kinds, ferry_message_fn *fn, void *userdata)
{
        if (!session || loop_is_elsewhere(session->loop))
                return;
        if (handlers_add(&session->handlers, kinds, fn, userdata) < 0)
                session_finish(session, -ENOMEM, "no memory for a handler");
}

void ferry_session_off(ferry_session *session, ferry_message_fn *fn, void *userdata)
{
        if (session && !loop_is_elsewhere(session->loop))
                handlers_remove(session->loop, &session->handlers, fn, userdata);
}
