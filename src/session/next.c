/* Fetching messages instead of handling them. */
#include "session/private.h"

#include <errno.h>
#include <stdio.h>

static bool has_next(void *object)
{
        const ferry_session *session = object;

        /* The last that comes is FERRY_KIND_CLOSED. */
        return !list_is_empty(&session->next) || session->holder == SESSION_FREED || session->has_reported_end;
}

/* For the caller, or NULL and why, as a negative errno. */
static const ferry_message *lend_next(ferry_session *session, int *ret_code)
{
        /* One that was lent inside of the wait goes, too. */
        session_return_lent(session);
        if (session->holder == SESSION_FREED) {
                *ret_code = -ECANCELED;
                return NULL;
        }
        session->lent = session_take_next(session);
        if (!session->lent && session_has_ended(session)) {
                session_tell(session);
                *ret_code = session->error.code ? session->error.code : -ENOTCONN;
        }
        return session->lent;
}

static const ferry_message *next(ferry_session *session, int timeout_ms, int *ret_code)
{
        const ferry_message *message;
        char sentence[128] = "";
        int code = 0;

        session_return_lent(session);
        if (timeout_ms < -1) {
                *ret_code = session_refuse_timeout(session, timeout_ms);
                return NULL;
        }
        if (!has_next(session))
                code = session_wait(session, timeout_ms, has_next, session);
        *ret_code = code;
        message = lend_next(session, ret_code);
        if (session->holder == SESSION_FREED || (!message && session_has_ended(session)))
                return message;
        /* A callback may have fetched it. */
        if (!message && !code)
                *ret_code = code = -EAGAIN;
        if (!message && code == -ETIMEDOUT)
                snprintf(sentence, sizeof sentence, "no message has come within %g s", timeout_ms / 1000.0);
        else if (!message)
                snprintf(sentence, sizeof sentence, "cannot wait for a message: %s", error_describe(code));
        session_note_call(session, message ? 0 : code, sentence);
        return message;
}

const ferry_message *ferry_session_next(ferry_session *session, int timeout_ms)
{
        const ferry_message *message = NULL;
        int code = session ? loop_refuse(session->loop) : -ENOMEM;
        ferry_loop *loop;

        if (!code) {
                loop = session->loop;
                loop_enter(loop);
                message = next(session, timeout_ms, &code);
                /* The session may be gone behind this. */
                loop_leave(loop);
        }
        if (!message)
                errno = -code;
        return message;
}
