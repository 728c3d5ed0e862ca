/* Fetching messages instead of handling them. */
#include "session/private.h"

static bool has_next(void *object)
{
        const ferry_session *session = object;

        /* The last that comes is FERRY_KIND_CLOSED. */
        return !list_is_empty(&session->next) || session->holder == SESSION_FREED || session->has_reported_end;
}

static const ferry_message *lend_next(ferry_session *session)
{
        /* One that was lent inside of the wait goes, too. */
        session_return_lent(session);
        if (session->holder == SESSION_FREED)
                return NULL;
        session->lent = session_take_next(session);
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
        session_return_lent(session);
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
