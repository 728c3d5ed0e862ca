/* Whether a session that listens takes requests now. */
#include "session/private.h"

#include <errno.h>

int ferry_session_set_listening(ferry_session *session, bool is_listening)
{
        struct outgoing outgoing = { .kind = is_listening ? WIRE_SUBSCRIBE : WIRE_UNSUBSCRIBE };
        struct error error = { 0 };
        int code;

        if (!session)
                return -ENOMEM;
        if (loop_is_elsewhere(session->loop))
                return -EPERM;
        loop_enter(session->loop);
        if (!session->settings.is_listening || !session->wire.dialect->has_login)
                code = error_set(&error, -EOPNOTSUPP, "'%s' is not listened at by this session: only one with is_listening at"
                                                      " nats:SUBJECT is", session->address);
        else
                code = session_send(session, &outgoing, true, NULL, &error);
        if (code)
                session_note_call(session, code, error_text(&error));
        error_deinit(&error);
        loop_leave(session->loop);
        return code;
}
