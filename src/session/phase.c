/* The phases of a session. All that happens to it comes to session_advance(), which alone changes its phase:
 *
 *                     stream is up          both have begun
 *      CONNECTING ────────────────▶ GREETING ────────────▶ OPEN
 *
 *      GREETING, OPEN ── input ends, or the peer closes and awaits the answer ──▶ DRAINING
 *      GREETING … REFUSING ── the peer closes ──▶ PEER_CLOSING
 *      CONNECTING … DRAINING ── this side closes ──▶ REFUSING ──▶ CLOSING, or AWAITING_CLOSE where the peer answers
 *      PEER_CLOSING ── this side closes ──▶ CLOSING
 *      CONNECTING … REFUSING ── it fails, where the peer answers a close ──▶ AWAITING_CLOSE
 *      REFUSING … AWAITING_CLOSE ── the peer knows that this side closes ──▶ CLOSE_ANSWERED
 *
 *                          it has ended          stream is closed
 *      each phase before ──────────▶ CLOSING_STREAM ────────────▶ ENDED
 *
 * and, of a session that connects again (reconnect.c),
 *
 *            a former session has its connection            next attempt
 *      OPEN ─────────────────────────────────────▶ LOST ────────────────────▶ CONNECTING
 *                                                       ◀────────────────────
 *                                                        the attempt has failed, also in GREETING
 *
 * and, where each of several servers will do (leave_server()),
 *
 *      GREETING ── this server does not take it ──▶ CONNECTING
 *
 * Invariants: a session goes forward only, but for that; one that could not be opened is one that has ended; the first error stays, and one
 * that has an error before its end only waits until the peer knows; calls in flight end before FERRY_KIND_CLOSED is reported,
 * once; the stream is closed in the background, and its child waited for, also when the program has forgotten the session. */
#include "session/private.h"

/* Phases ------------------------------------------------------------------------------------------------- */

#define IN(phase) (1u << SESSION_##phase)

static const struct transition {
        enum session_event event;
        unsigned from;                  /* a set of phases */
        enum session_phase to;
} transitions[] = {
        { EVENT_PARTED, IN(OPEN), SESSION_LOST },
        { EVENT_CONNECT, IN(LOST), SESSION_CONNECTING },
        { EVENT_UNREACHED, IN(CONNECTING) | IN(GREETING), SESSION_LOST },
        { EVENT_NEXT_SERVER, IN(GREETING), SESSION_CONNECTING },
        { EVENT_STREAM_UP, IN(CONNECTING), SESSION_GREETING },
        { EVENT_GREETED, IN(GREETING), SESSION_OPEN },
        { EVENT_INPUT_ENDED, IN(GREETING) | IN(OPEN), SESSION_DRAINING },
        { EVENT_CLOSE, IN(LOST) | IN(CONNECTING) | IN(GREETING) | IN(OPEN) | IN(DRAINING), SESSION_REFUSING },
        { EVENT_CLOSED, IN(REFUSING) | IN(PEER_CLOSING), SESSION_CLOSING },
        { EVENT_CLOSE_QUEUED, IN(REFUSING), SESSION_AWAITING_CLOSE },
        { EVENT_PEER_CLOSED, IN(GREETING) | IN(OPEN) | IN(REFUSING), SESSION_PEER_CLOSING },
        { EVENT_PEER_AWAITS_ANSWER, IN(GREETING) | IN(OPEN), SESSION_DRAINING },
        { EVENT_PEER_AWAITS_ANSWER, IN(REFUSING) | IN(CLOSING) | IN(AWAITING_CLOSE), SESSION_CLOSE_ANSWERED },
        { EVENT_PEER_ANSWERED, IN(REFUSING) | IN(PEER_CLOSING) | IN(CLOSING) | IN(AWAITING_CLOSE), SESSION_CLOSE_ANSWERED },
        { EVENT_FAILED, IN(CONNECTING) | IN(GREETING) | IN(OPEN) | IN(REFUSING), SESSION_AWAITING_CLOSE },
        { EVENT_FINISHED, IN(CLOSING_STREAM) - 1, SESSION_CLOSING_STREAM },
        { EVENT_STREAM_CLOSED, IN(CLOSING_STREAM), SESSION_ENDED },
};

bool session_is_open(const ferry_session *session)
{
        return session->phase == SESSION_GREETING || session->phase == SESSION_OPEN || session->phase == SESSION_REFUSING;
}

bool session_is_closing(const ferry_session *session)
{
        return session->phase == SESSION_CLOSING || session->phase == SESSION_AWAITING_CLOSE || session->phase == SESSION_CLOSE_ANSWERED;
}

bool session_has_ended(const ferry_session *session)
{
        return session->phase >= SESSION_CLOSING_STREAM;
}

bool session_is_greeted(const ferry_session *session)
{
        return session->out.gate == OUTBOX_OPEN || session->out.gate == OUTBOX_TURNS;
}

void session_note_cause(ferry_session *session, enum session_cause cause)
{
        if (session->cause != CAUSE_CHILD)
                session->cause = cause;
}

int session_answer_timeout(const ferry_session *session)
{
        return session->settings.answer_timeout_ms ? session->settings.answer_timeout_ms : session->close_timeout_ms;
}

void session_await_answer(ferry_session *session)
{
        int64_t look = loop_deadline(session->close_timeout_ms);

        loop_timer_start(session->loop, &session->close_timer, look < session->answer_deadline ? look : session->answer_deadline);
}

void session_start_draining_timer(ferry_session *session)
{
        session->answer_deadline = loop_deadline(session->unanswered > 0 ? session_answer_timeout(session) : session->close_timeout_ms);
        session->drained_to = session->out.begin;
        session_await_answer(session);
}

void session_keep_draining(ferry_session *session)
{
        if (session->holder == SESSION_FREED || loop_is_foreign(session->loop))
                return;
        session_start_draining_timer(session);
        loop_task_start(session->loop, &session->work);
}

/* What a phase begins with. */
static void begin_phase(ferry_session *session)
{
        switch (session->phase) {
        case SESSION_DRAINING:
                session_start_draining_timer(session);
                break;
        case SESSION_REFUSING:
                loop_timer_stop(session->loop, &session->close_timer);
                break;
        case SESSION_PEER_CLOSING:
                inbox_discard(&session->in);
                stream_close_output(session->stream);
                loop_timer_start(session->loop, &session->close_timer, loop_deadline(session->close_timeout_ms));
                break;
        case SESSION_CLOSING:
                /* What comes meanwhile is thrown away, unless it lets what is queued go. */
                if (!session->wire.dialect->has_start && !(session->wire.dialect->has_login && !session_is_greeted(session)))
                        inbox_discard(&session->in);
                break;
        default:
                break;
        }
}

void session_advance(ferry_session *session, enum session_event event)
{
        enum session_phase before = session->phase;

        switch (event) {
        case EVENT_GREETED:
                /* Where there are no ids, the second request waits until the first is answered. A dialect without ids has to be
                 * named, so what the peer shows later changes nothing here. */
                outbox_set_gate(&session->out, session->wire.dialect->has_ids ? OUTBOX_OPEN : OUTBOX_TURNS);
                break;
        case EVENT_PEER_CLOSED:
        case EVENT_PEER_AWAITS_ANSWER:
                session_note_cause(session, CAUSE_PEER);
                break;
        case EVENT_CHILD_ENDED:
                session_note_cause(session, CAUSE_CHILD);
                break;
        case EVENT_FORGOTTEN:
                if (session->holder == SESSION_HELD)
                        session->holder = SESSION_FORGOTTEN;
                break;
        case EVENT_FREED:
                session->holder = SESSION_FREED;
                break;
        default:
                break;
        }
        for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++)
                if (transitions[i].event == event && (transitions[i].from & 1u << before))
                        session->phase = transitions[i].to;
        /* Where the dialect begins with no exchange, both have begun. */
        if (session->phase == SESSION_GREETING && session_is_greeted(session))
                session->phase = SESSION_OPEN;
        if (session->phase == before)
                return;
        begin_phase(session);
        if (before == SESSION_CONNECTING && session->owner->connected && session_takes_requests(session))
                session->owner->connected(session->owner_object);
}

/* What follows from the phase ---------------------------------------------------------------------------- */

/* Whether anything may still happen with it. */
static bool is_live(const ferry_session *session)
{
        const struct stream *stream = session->stream;

        if (stream && (session->phase == SESSION_GREETING || session->phase == SESSION_OPEN))
                return stream_has_input(stream) || stream_is_ending(stream) || session->in.is_over || outbox_size(&session->out) > 0 ||
                       !list_is_empty(&session->calls);
        return session->phase != SESSION_ENDED;
}

/* Whether nothing can have changed: the session has nothing to send, its stream is read and not written, and its owner knows that
 * it holds nothing. */
static bool is_up_to_date(const ferry_session *session)
{
        const struct stream *stream = session->stream;

        return session->phase == SESSION_OPEN && session->is_live && outbox_size(&session->out) == 0 && !session->in.is_behind &&
               session->flow == FLOW_FREE &&
               session->held <= session->queue_max && stream->wants_read && !stream->wants_write && stream_has_input(stream) &&
               (!session->owner->counts || (session->is_counted_empty && session->held + session->next_bytes + session->parts_kept == 0 &&
                                            inbox_held(&session->in, 0) == 0));
}

/* The kernel passes no more descriptors now. */
static bool is_held_back(const ferry_session *session)
{
        return session->descriptors && session->descriptors->delay_ms > 0;
}

/* Bring up to date what follows from the phase: what the stream should report, and whether the loop waits for us. */
void session_update(ferry_session *session)
{
        size_t sendable, held, counted, unfinished;
        bool takes_messages, is_reading;

        if (session->holder == SESSION_FREED || loop_is_foreign(session->loop) || is_up_to_date(session))
                return;
        sendable = outbox_sendable(&session->out);
        /* What can never be sent does not wait for anything. */
        held = session->held + (session->output_error ? 0 : sendable) + (session->front ? session->front->held : 0);
        takes_messages = session->phase == SESSION_GREETING || session->phase == SESSION_OPEN;
        is_reading = takes_messages && held <= session->queue_max && !session->in.is_behind;
        if (session->owner->counts) {
                counted = session->held + session->next_bytes + session->parts_kept + outbox_size(&session->out);
                unfinished = inbox_held(&session->in, 0);
                session->is_counted_empty = session->owner->counts(session->owner_object, counted, unfinished);
                is_reading = is_reading && session->is_counted_empty;
                session->is_counted_empty = session->is_counted_empty && counted + unfinished == 0;
        }
        if (session->flow != FLOW_FREE || outbox_size(&session->out) > session->queue_max / 2)
                flow_fall(session);
        if (session->stream && session->stream->is_open && session->phase < SESSION_CLOSING_STREAM) {
                stream_want_read(session->stream, is_reading || session->phase >= SESSION_REFUSING);
                stream_want_write(session->stream, sendable > 0 && !session->output_error && !is_held_back(session));
        }
        loop_count_live(session->loop, &session->is_live, is_live(session));
}

bool session_takes_requests(const ferry_session *session)
{
        return (session->phase == SESSION_GREETING || session->phase == SESSION_OPEN) && session->holder != SESSION_FREED &&
               !session->output_error && !loop_is_foreign(session->loop) && stream_has_output(session->stream);
}
