/* Waiting for a session: until something has come of it, or a deadline has passed; and until all is sent and taken. */
#include "session/private.h"

#include <errno.h>

struct session_wait {
        ferry_session *session;
        struct loop_timer timer;
        uint64_t mark;
        bool is_late;
        bool (*is_done)(void *object);
        void *object;
};

static void wait_is_late(struct loop_timer *timer)
{
        struct session_wait *wait = container_of(timer, struct session_wait, timer);

        if (session_has_caught_up(wait->session, &wait->mark))
                wait->is_late = true;
        else
                loop_timer_postpone(wait->session->loop, timer);
}

static bool is_wait_over(void *object)
{
        const struct session_wait *wait = object;

        return wait->is_late || wait->is_done(wait->object);
}

int session_wait(ferry_session *session, int timeout_ms, bool (*is_done)(void *object), void *object)
{
        struct session_wait wait = { .session = session, .timer.fn = wait_is_late, .is_done = is_done, .object = object };
        ferry_loop *loop = session->loop;
        int code;

        loop_timer_start(loop, &wait.timer, loop_deadline(timeout_ms));
        code = loop_wait(loop, INT64_MAX, is_wait_over, &wait, &session->grave);
        loop_timer_stop(loop, &wait.timer);
        return code == 0 && wait.is_late && !is_done(object) ? -ETIMEDOUT : code;
}

int session_refuse_timeout(ferry_session *session, int timeout_ms)
{
        return error_replace(&session->call_error, -EINVAL, "%d is not a timeout: write a time in ms, or -1 for forever",
                             timeout_ms);
}

struct flush {
        ferry_session *session;
        uint64_t ping;
        unsigned losses;                /* of connections, when it began */
};

static unsigned count_losses(const ferry_session *session)
{
        return session->reconnect ? session->reconnect->losses : 0;
}

/* What a session that connects again has left to its former connections; those that are lost are counted. */
static bool has_former_unflushed(const ferry_session *session)
{
        if (session->reconnect)
                list_for_each(&session->reconnect->former, link) {
                        const ferry_session *former = container_of(link, const ferry_session, former_link);

                        if (session_is_open(former) && !former->output_error &&
                            (outbox_size(&former->out) > 0 || former->pong < former->ping))
                                return true;
                }
        return false;
}

static void ping_former(ferry_session *session)
{
        uint64_t ping;

        if (session->reconnect)
                list_for_each(&session->reconnect->former, link)
                        if (session_is_open(container_of(link, ferry_session, former_link)))
                                session_send_ping(container_of(link, ferry_session, former_link), &ping);
}

static bool is_flushed(void *object)
{
        const struct flush *flush = object;
        const ferry_session *session = flush->session;

        if (session_has_ended(session) || session->holder == SESSION_FREED || count_losses(session) != flush->losses)
                return true;
        if (has_former_unflushed(session))
                return false;
        /* Its end, which comes soon, says why. */
        return !session->output_error && outbox_size(&session->out) == 0 &&
               (!session->wire.dialect->has_received || session->is_server || session->out.acknowledged >= session->out.written ||
                !session_is_open(session)) &&
               (session->pong >= flush->ping || !session->wire.dialect->has_ping ||
                session_is_closing(session) || session->phase == SESSION_PEER_CLOSING);
}

/* Why not all was received, though the session lives; 0: all was. */
static int explain_wait(int code, int timeout_ms, bool is_lost, struct error *error)
{
        if (!code && is_lost)
                return error_set(error, -ECONNRESET, "the connection was lost before the other side had received everything");
        if (code == -ETIMEDOUT)
                return error_set(error, code, "the other side has not received everything within %g s", timeout_ms / 1000.0);
        return code ? error_set(error, code, "cannot wait until all is received: %s", error_describe(code)) : 0;
}

/* What flush found when it came back: its own failure first. Else a notification that was refused before is reported now,
 * once. */
static int flush_result(ferry_session *session, const struct flush *flush, bool was_open, int code, int timeout_ms)
{
        struct error error = { 0 };

        if (session_has_ended(session) || session->output_error) {
                code = session_status_for_sending(session, &error);
                /* The peer has closed in order: whether it did that before the ping was written, or before it answered, is
                 * luck. */
                if (code == -ENOTCONN && was_open)
                        code = 0;
                session_tell(session);
        } else
                code = explain_wait(code, timeout_ms, count_losses(session) != flush->losses, &error);
        if (!code && session->refused.code) {
                code = session->refused.code;
                error_deinit(&error);
                error = session->refused;
                session->refused = (struct error){ 0 };
        }
        session_note_call(session, code, error_text(&error));
        error_deinit(&error);
        return code;
}

int ferry_session_flush(ferry_session *session, int timeout_ms)
{
        struct flush flush = { .session = session };
        uint64_t begin;
        ferry_loop *loop;
        bool was_open;
        int code;

        if (!session)
                return -ENOMEM;
        code = loop_refuse(session->loop);
        if (code)
                return code;
        if (timeout_ms < -1)
                return session_refuse_timeout(session, timeout_ms);
        loop = session->loop;
        loop_enter(loop);
        /* To one to whom nothing was said nothing needs to be said. */
        was_open = !session_has_ended(session) && !session_is_closing(session);
        flush.losses = count_losses(session);
        ping_former(session);
        code = session->sent > 0 && (session->phase <= SESSION_CONNECTING || session_is_open(session)) ?
                       session_send_ping(session, &flush.ping) : 0;
        begin = session->out.begin;
        if (!code)
                code = session_wait(session, timeout_ms, is_flushed, &flush);
        /* A peer that has taken nothing in all the time that closing would give it gets no more. */
        if (code == -ETIMEDOUT && timeout_ms >= session->close_timeout_ms && session->close_timeout_ms >= 0 &&
            session->out.begin == begin && outbox_size(&session->out) > 0)
                session->stuck_at = begin;
        code = session->holder == SESSION_FREED ? -ECANCELED : flush_result(session, &flush, was_open, code, timeout_ms);
        loop_leave(loop);
        return code;
}
