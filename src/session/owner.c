/* The owner of a session: what it may ask of the session, and report to it. */
#include "session/private.h"

static const struct session_owner no_owner = { 0 };

void session_set_owner(ferry_session *session, const struct session_owner *owner, void *object)
{
        session->owner = owner ? owner : &no_owner;
        session->owner_object = object;
        session->shared_handlers = NULL;
        session->is_counted_empty = false;
}

void *session_owner_object(const ferry_session *session, const struct session_owner *owner)
{
        return session->owner == owner ? session->owner_object : NULL;
}

void session_set_shared_handlers(ferry_session *session, const struct handlers *handlers)
{
        session->shared_handlers = handlers;
}

ferry_loop *session_loop(const ferry_session *session)
{
        return session->loop;
}

bool session_is_freed(const ferry_session *session)
{
        return session->holder == SESSION_FREED;
}

bool session_has_reported_end(const ferry_session *session)
{
        return session->has_reported_end;
}

bool session_has_work(const ferry_session *session)
{
        return !session_has_ended(session) && loop_task_is_started(&session->work);
}

bool session_has_pong(const ferry_session *session, uint64_t ping)
{
        return session->pong >= ping;
}

bool session_has_dialect(const ferry_session *session)
{
        return session->wire.is_dialect_fixed;
}

size_t session_unanswered(const ferry_session *session)
{
        return session->unanswered;
}

uint64_t session_taken(const ferry_session *session)
{
        return session->in.taken;
}

void session_hide(ferry_session *session)
{
        session->is_hidden = true;
}

void session_let_go(ferry_session *session)
{
        session_advance(session, EVENT_FORGOTTEN);
}

void session_child_ended(ferry_session *session, int code, int exit_status, const char *sentence)
{
        session_advance(session, EVENT_CHILD_ENDED);
        session->child_exit_status = exit_status;
        if (session->stream)
                stream_child_ended(session->stream, code, sentence);
}

int session_close_timeout(const ferry_session *session)
{
        return session->close_timeout_ms;
}

static bool has_sent_all(void *object)
{
        const ferry_session *session = object;

        return session->holder == SESSION_FREED || session_has_ended(session) || outbox_size(&session->out) == 0;
}

size_t session_send_rest(ferry_session *session)
{
        if (!has_sent_all(session))
                loop_wait(session->loop, loop_deadline(session->close_timeout_ms), has_sent_all, session, &session->grave);
        return has_sent_all(session) ? 0 : outbox_size(&session->out);
}
