/* Heartbeats: whether a silent peer still lives. Invariants: no peer is asked, and nothing wakes up, unless both sides have
 * agreed on it, or the program has asked for it; no clock is looked at for what comes in; a peer that we do not read because
 * it has sent too much is not taken for dead.
 *
 * Where a ping is answered, a peer that was silent for a period is asked, and given up after another. Where heartbeats are
 * not answered, they are only sent: by a side that wants it, and by a client that waits for an answer. A server that does not take
 * a login is given up, too. */
#include "session/private.h"

#include <errno.h>

enum { WAITING_PERIOD_MS = 1000, SERVER_PERIOD_MS = 20000, LOGIN_MS = 10000, LOGIN_OF_SEVERAL_MS = 2000 };

/* 0: none. */
static int period_ms(const ferry_session *session)
{
        const struct dialect *dialect = session->wire.dialect;
        int ours = session->settings.heartbeat_ms, theirs = session->heartbeat.peer_ms;

        if (session->phase == SESSION_GREETING && dialect->has_login)
                return session_has_next_server(session) ? LOGIN_OF_SEVERAL_MS : LOGIN_MS;
        if (session->phase != SESSION_OPEN)
                return 0;
        /* A server answers pings without having been asked before. */
        if (dialect->has_login)
                return ours > 0 ? ours : ours < 0 ? 0 : SERVER_PERIOD_MS;
        if (!dialect->has_heartbeat)
                return ours <= 0 || theirs <= 0 ? 0 : ours > theirs ? ours : theirs;
        if (ours != 0)
                return ours > 0 ? ours : 0;
        return !session->is_server && !list_is_empty(&session->calls) ? WAITING_PERIOD_MS : 0;
}

static void start(ferry_session *session)
{
        int period = period_ms(session);

        session->heartbeat.taken = session->in.taken;
        if (period > 0)
                loop_timer_start(session->loop, &session->heartbeat.timer, loop_deadline(period));
}

static void beat(ferry_session *session, bool is_answered)
{
        struct outgoing heartbeat = { .kind = WIRE_HEARTBEAT };
        struct error error = { 0 };
        uint64_t ping;

        if (is_answered)
                session_send_ping(session, &ping);
        else
                session_send(session, &heartbeat, true, NULL, &error);
        error_deinit(&error);
}

static void is_due(struct loop_timer *timer)
{
        ferry_session *session = container_of(timer, ferry_session, heartbeat.timer);
        bool is_answered = !session->wire.dialect->has_heartbeat;
        bool is_heard = session->in.taken != session->heartbeat.taken || !session->stream->wants_read;
        int period = period_ms(session);

        if (period == 0)
                return;
        if (session->phase == SESSION_GREETING) {
                session_finish(session, -ETIMEDOUT, "%s has not taken the login within %g s", session_peer_name(session), period / 1000.0);
                return;
        }
        if (!is_heard && session->heartbeat.is_asked && is_answered) {
                session_finish(session, -ETIMEDOUT, "%s has been silent for %g s, in spite of heartbeats", session_peer_name(session),
                               period * 2 / 1000.0);
                return;
        }
        session->heartbeat.is_asked = !is_heard;
        if (!is_heard)
                beat(session, is_answered);
        if (session->holder != SESSION_FREED)
                start(session);
}

void heartbeat_init(ferry_session *session)
{
        session->heartbeat.timer.fn = is_due;
}

void heartbeat_update(ferry_session *session)
{
        if (!session->heartbeat.timer.is_running) {
                session->heartbeat.is_asked = false;
                start(session);
        }
}

void heartbeat_restart(ferry_session *session)
{
        loop_timer_stop(session->loop, &session->heartbeat.timer);
        heartbeat_update(session);
}
