/* Holding back what is sent, so that it leaves in few writes. */
#include "session/private.h"

#include <errno.h>
#include <limits.h>

int ferry_session_hold(ferry_session *session)
{
        struct error error = { 0 };
        int code;

        if (!session)
                return -ENOMEM;
        code = loop_refuse(session->loop);
        if (code)
                return code;
        loop_enter(session->loop);
        code = session_status_for_sending(session, &error);
        if (!code && session->holds == UINT_MAX)
                code = error_set(&error, -EOVERFLOW, "the session is held %u times", UINT_MAX);
        if (!code) {
                session->holds++;
                loop_put_off(session->loop, &session->departure);
        }
        session_note_call(session, code, error_text(&error));
        error_deinit(&error);
        loop_leave(session->loop);
        return code;
}

int ferry_session_release(ferry_session *session)
{
        struct error error = { 0 };
        ferry_loop *loop;
        int code;

        if (!session)
                return -ENOMEM;
        loop = session->loop;
        code = loop_refuse(loop);
        if (code)
                return code;
        loop_enter(loop);
        if (session->holds > 1)
                session->holds--;
        else if (session_stop_holding(session))
                session_flush_now(session);
        code = session->holder == SESSION_FREED ? -ECANCELED : session_status_for_sending(session, &error);
        if (session->holder != SESSION_FREED)
                session_note_call(session, code, error_text(&error));
        error_deinit(&error);
        loop_leave(loop);
        return code;
}
