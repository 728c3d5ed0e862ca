/* Moving a session from its unix socket to shared memory, and what both sides say about it. The side that has connected
 * offers, or the child of the other side; that one accepts or declines. Each direction moves behind a frame that says so, so all
 * frames stay in order.
 *
 *      maker  NONE → ALLOWED → POSSIBLE ⇄ OFFERED → MOVING → MOVED
 *      taker  NONE → ALLOWED → POSSIBLE → MOVING → MOVING_OUT → MOVED
 *
 * and DECLINED, from which no other phase follows. A side says that it moves when its queue is empty, so what stands behind that
 * frame in the queue was queued after it. */
#include "session/private.h"
#include "stream/moved.h"

#include <errno.h>
#include <string.h>

enum {
        RING_SIZE = 1 << 17,            /* of each direction */
        MESSAGES_MIN = 1000,            /* or so many bytes, before a session moves by itself */
        BYTES_MIN = 1 << 20,
        SPIN_DEFAULT_US = 50,
};

static void set_phase(ferry_session *session, enum sharing_phase phase)
{
        int spin_us = session->settings.spin_us ? session->settings.spin_us : SPIN_DEFAULT_US;

        session->sharing.phase = phase;
        if (phase == SHARING_MOVED && spin_us > 0)
                stream_look_for(session->stream, (int64_t)spin_us * 1000);
}

/* Whether this side allows it, and could do it. */
static bool may_share(const ferry_session *session)
{
        return session->settings.shm != FERRY_SHM_NEVER && session->wire.dialect->has_shared_memory &&
               session->stream && stream_may_move(session->stream);
}

/* Other sides do not offer at all, but take what is offered. */
static bool is_known_as_taker(const ferry_session *session)
{
        return session->is_server || stream_leads_to_child(session->stream);
}

void sharing_add_features(ferry_session *session, ferry_builder *builder)
{
        if (session->sharing.phase != SHARING_NONE || !may_share(session))
                return;
        session->sharing.is_maker = stream_has_connected(session->stream);
        if (!session->sharing.is_maker && stream_expect_offer(session->stream) < 0)
                return;
        set_phase(session, SHARING_ALLOWED);
        ferry_builder_add(builder, "'shm'");
        if (session->settings.shm == FERRY_SHM_ALWAYS)
                ferry_builder_add(builder, "'shm-now'");
        if (stream_leads_to_child(session->stream))
                ferry_builder_add(builder, "'shm-parent'");
}

void sharing_hear_features(ferry_session *session, bool is_allowed, bool is_wanted, bool is_parent)
{
        if (session->sharing.phase != SHARING_ALLOWED || !is_allowed)
                return;
        if (is_parent && !is_known_as_taker(session))
                session->sharing.is_maker = true;
        session->sharing.is_wanted = is_wanted || session->settings.shm == FERRY_SHM_ALWAYS;
        set_phase(session, SHARING_POSSIBLE);
}

/* Put a frame into the queue; its size, or 0 if there is no memory for it. */
static size_t put(ferry_session *session, enum wire_kind kind, const char *reason)
{
        size_t before = outbox_size(&session->out);
        ferry_value *body = reason ? ferry_value_pack("%s", reason) : NULL;
        struct outgoing frame = { .kind = kind, .codec = ferry_codec_msgpack(), .body = body };
        struct error error = { 0 };
        int code = reason && !body ? -ENOMEM : session->wire.dialect->write(&session->wire, &session->out.bytes, &frame, &error);

        ferry_value_unref(body);
        error_deinit(&error);
        if (code)
                outbox_undo(&session->out, before);
        return code ? 0 : outbox_size(&session->out) - before;
}

/* The offer, which is all that is queued, has not left. */
static void take_back_offer(ferry_session *session, enum sharing_phase phase)
{
        outbox_undo(&session->out, 0);
        stream_withdraw_offer(session->stream);
        set_phase(session, phase);
}

void sharing_refuse(ferry_session *session)
{
        take_back_offer(session, SHARING_DECLINED);
}

/* What cannot be done is no failure of the session, which stays on its socket. */
static bool offer(ferry_session *session)
{
        struct error error = { 0 };
        int code = stream_offer(session->stream, RING_SIZE, &error);

        error_deinit(&error);
        set_phase(session, SHARING_DECLINED);
        if (code)
                return false;
        if (put(session, WIRE_OFFER, NULL) == 0) {
                stream_withdraw_offer(session->stream);
                return false;
        }
        set_phase(session, SHARING_OFFERED);
        return true;
}

static bool is_due(const ferry_session *session)
{
        return session->sharing.is_wanted || session->sent + session->received >= MESSAGES_MIN ||
               session->out.begin + session->in.taken >= BYTES_MIN;
}

bool sharing_proceed(ferry_session *session)
{
        size_t size;

        if (session->phase != SESSION_OPEN || session->output_error || session->out.is_lent)
                return false;
        /* It leaves at once, or never: so no message waits for the descriptor that goes with it. */
        if (session->sharing.phase == SHARING_OFFERED && stream_keeps_offer(session->stream))
                take_back_offer(session, SHARING_POSSIBLE);
        else if (session->sharing.phase == SHARING_POSSIBLE && session->sharing.is_maker && is_due(session) &&
                 stream_can_move(session->stream) && outbox_size(&session->out) == 0)
                return offer(session);
        if (session->sharing.phase != SHARING_MOVING || outbox_size(&session->out) > 0)
                return false;
        size = put(session, WIRE_MOVED, NULL);
        if (size == 0)
                return false;
        stream_move_output(session->stream, size);
        set_phase(session, session->sharing.is_maker ? SHARING_MOVED : SHARING_MOVING_OUT);
        return true;
}

static bool hear_offer(ferry_session *session)
{
        struct error error = { 0 };
        int code;

        if (session->sharing.is_maker || (session->sharing.phase != SHARING_ALLOWED && session->sharing.phase != SHARING_POSSIBLE))
                return false;
        code = stream_take_offer(session->stream, &error);
        set_phase(session, code ? SHARING_DECLINED : SHARING_MOVING);
        /* Nothing is lost if there is no memory for that: the other side stays on its socket. */
        if (code)
                put(session, WIRE_DECLINED, error_text(&error));
        error_deinit(&error);
        return true;
}

static bool hear_moved(ferry_session *session)
{
        bool is_expected = session->sharing.phase == (session->sharing.is_maker ? SHARING_OFFERED : SHARING_MOVING_OUT);

        /* Behind it stands at most what wakes this side: its ring was full, and the other side has read from it meanwhile. */
        if (!is_expected || !inbox_drop_zeros(&session->in, 0))
                return false;
        stream_move_input(session->stream);
        set_phase(session, session->sharing.is_maker ? SHARING_MOVING : SHARING_MOVED);
        return true;
}

static bool hear_declined(ferry_session *session)
{
        if (session->sharing.phase != SHARING_OFFERED)
                return false;
        stream_withdraw_offer(session->stream);
        set_phase(session, SHARING_DECLINED);
        return true;
}

bool sharing_hear(ferry_session *session, enum wire_kind kind)
{
        return kind == WIRE_OFFER ? hear_offer(session) : kind == WIRE_MOVED ? hear_moved(session) : hear_declined(session);
}
