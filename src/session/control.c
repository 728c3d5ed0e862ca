/* Frames of the conversation itself: how it begins and ends, hellos, pings, acknowledgements. */
#include "session/private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static void greeted(ferry_session *session)
{
        session_advance(session, EVENT_GREETED);
        if (session->wire.dialect->has_login)
                stream_forget_means(session->stream);
        if (session->reconnect && session->wire.dialect->has_login)
                session->reconnect->table->resume(session);
        /* The login has had a deadline of its own. */
        if (session->wire.dialect->has_login)
                heartbeat_restart(session);
        else
                heartbeat_update(session);
        loop_task_start(session->loop, &session->work);
        session_flush_now(session);
}

/* The login, which is the first thing in the queue, is sent: by TLS if that is wanted, and with a proof if there is a key. */
static void log_in(ferry_session *session, const struct wire_greeting *greeting)
{
        struct wire_proof proof;
        struct error error = { 0 };
        int code = stream_secure(session->stream, greeting, inbox_held(&session->in, 0) > 0, &error);
        char *frame = (char *)buffer_bytes(&session->out.bytes);

        if (!code && session->stream->secure)
                session->wire.dialect->secure(frame);
        if (!code)
                code = stream_prove(session->stream, greeting->nonce, &proof, &error);
        if (code > 0)
                session->wire.dialect->prove(session->wire.login, frame, &proof);
        if (code < 0)
                session_finish(session, code, "%s", error_text(&error));
        else {
                outbox_set_gate(&session->out, OUTBOX_LOGIN);
                session_flush_now(session);
        }
        error_deinit(&error);
}

/* Messages that were queued before a server has said how much it takes: those that are larger are refused, and the others sent. */
static void refuse_larger(ferry_session *session)
{
        struct error error = { 0 };
        struct list requests;

        if (session->wire.peer_max == SIZE_MAX)
                return;
        list_init(&requests);
        wire_over_limit(&session->wire, &error);
        if (outbox_withdraw_larger(&session->out, session->wire.dialect, session->wire.peer_max, &requests) > 0 &&
            !session->refused.code)
                error_set(&session->refused, error.code, "%s", error_text(&error));
        while (!list_is_empty(&requests))
                call_end(container_of(requests.next, ferry_call, frame.link), error.code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s",
                         error_text(&error));
        error_deinit(&error);
}

/* What a server says to begin with. Where there is a login, that is sent now, and the server says the same again when it has taken
 * it; a later greeting only changes what the server takes. */
static void hear_start(ferry_session *session, const struct incoming *in)
{
        bool has_login = session->wire.dialect->has_login;
        enum wire_kind kind = in->kind;

        if (session_is_greeted(session))
                return;
        if (has_login && kind == WIRE_START && session->out.gate == OUTBOX_SHUT) {
                refuse_larger(session);
                log_in(session, &in->greeting);
        } else if (has_login ? kind == WIRE_START_OK && session->out.gate == OUTBOX_LOGIN :
                               session->is_server == (kind == WIRE_START_OK))
                greeted(session);
}

/* Both sides have said, or say now, that they go. */
static void answer_close(ferry_session *session)
{
        char sentence[128] = "the other side has closed the session";
        bool is_open = session_is_open(session);
        int code;

        if (!session_is_greeted(session) && !session->is_server) {
                /* Nothing can be said to it. */
                inbox_end(&session->in, -ECONNRESET, sentence);
                session_finish(session, -ECONNRESET, "%s before its first message", sentence);
                return;
        }
        if (is_open)
                calls_end(session, -ECONNRESET, sentence);
        /* What stands behind the frame that is being sent is dropped. */
        code = is_open ? session_note_lost(session, false, sentence, sizeof sentence) : 0;
        if (session_send_last(session, WIRE_CLOSE_OK) < 0) {
                session_finish(session, -ENOMEM, "no memory to answer that the session is closed");
                return;
        }
        /* Its end may have been read already, while a handler waited. */
        if (is_open)
                inbox_end(&session->in, code, sentence);
        session_advance(session, EVENT_PEER_AWAITS_ANSWER);
        session_flush_now(session);
}

/* The peer has closed the session, and reads no more. */
static void hear_close(ferry_session *session)
{
        static const char sentence[] = "the other side has closed the session";
        ferry_session *former = session_part(session, true);
        char lost[256];

        snprintf(lost, sizeof lost, "%s", sentence);
        if (former != session)
                session_note_lost(former, true, lost, sizeof lost);
        session_advance(former, EVENT_PEER_CLOSED);
        calls_end(former, -ECONNRESET, sentence);
        session_lose(session, former, lost);
        session_update(former);
}

/* The body of a control frame in @ret, the caller's, or NULL; false without memory for it. */
static bool control_body(const struct frame *frame, const struct incoming *in, ferry_value **ret)
{
        size_t offset;

        *ret = ferry_value_ref(in->value);
        return *ret || in->body_size == 0 ||
               codec_decode(in->codec, frame->bytes + in->body_offset, in->body_size, ret, &offset) != -ENOMEM;
}

/* Whether a hello lists a feature. */
static bool has_feature(const ferry_value *hello, const char *name)
{
        const ferry_value *features = ferry_value_get(hello, "features");

        for (size_t i = 0; i < ferry_value_count(features); i++)
                if (strcmp(ferry_value_text(ferry_value_at(features, i), ""), name) == 0)
                        return true;
        return false;
}

/* A client that has subscribed before its hello gets nothing that was sent before its subscriptions. What a service has sent to it before
 * the service heard that stands in front of a hello that says so, which is sent although there was one before. */
static void hear_selection(ferry_session *session, const ferry_value *hello)
{
        enum wire_selection *selection = &session->wire.selection;

        if (session->owner->subscribed) {
                if (*selection == WIRE_SELECTION_OWED || !has_feature(hello, "subscribes"))
                        return;
                *selection = WIRE_SELECTION_OWED;
                session->owner->unsubscribed(session->owner_object, "", 0);
                session->wire.has_said_hello = false;
        } else if (*selection == WIRE_SELECTION_ASKED || *selection == WIRE_SELECTION_AWAITED)
                *selection = has_feature(hello, "selects") ? WIRE_SELECTION_AWAITED : WIRE_SELECTION_ASKED;
}

void control_handle(ferry_session *session, const struct frame *frame, const struct incoming *in)
{
        struct outgoing answer = { .kind = WIRE_PONG, .id = in->id.bytes, .id_size = in->id.size };
        struct error error = { 0 };
        ferry_value *body;
        int64_t limit;

        if (!control_body(frame, in, &body)) {
                session_finish(session, -ENOMEM, "no memory for a message");
                return;
        }
        switch (in->kind) {
        case WIRE_HELLO:
                session->wire.is_peer_one_way = has_feature(body, "one-way");
                session->wire.takes_parts = has_feature(body, "parts");
                session->wire.does_peer_drain = has_feature(body, "drain");
                hear_selection(session, body);
                session->wire.descriptors = has_feature(body, "descriptors") ? WIRE_DESCRIPTORS_TAKEN : WIRE_DESCRIPTORS_IGNORED;
                limit = ferry_value_int(ferry_value_get(body, "frame_max"), 0);
                if (limit > 0)
                        session->wire.peer_max = (size_t)limit;
                limit = ferry_value_int(ferry_value_get(body, "heartbeat_ms"), 0);
                session->heartbeat.peer_ms = limit > INT_MAX ? INT_MAX : limit > 0 ? (int)limit : 0;
                if (session_status_for_sending(session, &error) == 0) {
                        session_send_hello(session, &error);
                        sharing_hear_features(session, has_feature(body, "shm"), has_feature(body, "shm-now"),
                                              has_feature(body, "shm-parent"));
                        session_flush_now(session);
                }
                heartbeat_update(session);
                break;
        case WIRE_OFFER:
        case WIRE_MOVED:
        case WIRE_DECLINED:
                if (!sharing_hear(session, in->kind))
                        session_finish(session, -EBADMSG, "the other side has spoken of shared memory when it was not its turn");
                else
                        session_flush_now(session);
                break;
        case WIRE_SUBSCRIBE:
        case WIRE_UNSUBSCRIBE:
                subscriptions_hear(session, in);
                break;
        case WIRE_DESCRIBE:
                describe_hear(session, in);
                break;
        case WIRE_DESCRIPTORS:
                descriptors_hear(session, ferry_value_int(body, 0));
                break;
        case WIRE_CREDIT:
                parts_hear_credit(session, &in->id, ferry_value_int(body, 0));
                break;
        case WIRE_PING:
                if (session_send(session, &answer, true, NULL, &error) == -ENOMEM)
                        session_finish(session, -ENOMEM, "no memory for an answer");
                break;
        case WIRE_QUESTION:
                answer.kind = WIRE_ANSWER;
                answer.type = in->type.bytes;
                if (session_send(session, &answer, true, NULL, &error) == -ENOMEM)
                        session_finish(session, -ENOMEM, "no memory for an answer");
                break;
        case WIRE_PONG:
                session->pong = (uint64_t)read_u32(in->id.bytes) << 32 | read_u32(in->id.bytes + 4);
                if (session->front && session->front->pong < session->pong)
                        session->front->pong = session->pong;
                describe_note_pong(session);
                descriptors_hear_pong(session);
                if (session->owner->answered)
                        session->owner->answered(session->owner_object);
                break;
        case WIRE_START:
        case WIRE_START_OK:
                hear_start(session, in);
                break;
        case WIRE_RECEIVED:
                session->out.acknowledged += session->out.acknowledged < session->out.written;
                break;
        case WIRE_CLOSE_OK:
                session_advance(session, EVENT_PEER_ANSWERED);
                session_check_closing(session);
                break;
        case WIRE_CLOSE:
                if (session->wire.dialect->has_start) {
                        answer_close(session);
                        break;
                }
                farewell_read(session, body);
                hear_close(session);
                break;
        case WIRE_TAKE_OVER:
                if (session->owner->asked)
                        session->owner->asked(session->owner_object);
                else
                        session_refuse_all(session, "not a service: it has no sockets to hand over");
                break;
        case WIRE_TAKEN:
                if (session->owner->taken)
                        session->owner->taken(session->owner_object);
                break;
        case WIRE_DRAIN:
                if (session->reconnect && session->phase == SESSION_OPEN)
                        session->reconnect->table->follow(session);
                break;
        default:
                break;
        }
        error_deinit(&error);
        ferry_value_unref(body);
}
