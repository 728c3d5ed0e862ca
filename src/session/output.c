/* Bytes out: from the outbox to the stream. */
#include "session/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KEEP_QUEUE = 1 << 16 };  /* an empty queue keeps no more memory than this */

static bool may_write(const ferry_session *session)
{
        return !session->is_writing && session->state != SESSION_ENDED && session->stream && session->stream->is_open &&
               !session->output_error && !session->is_stream_closed;
}

/* What may be sent now: where there are no ids, the second request waits until the first is answered. */
static enum outbox_gate gate(const ferry_session *session)
{
        if (!session->is_greeted)
                return session->is_server ? OUTBOX_GREETING : OUTBOX_SHUT;
        return session->wire.dialect->has_ids ? OUTBOX_OPEN : OUTBOX_TURNS;
}

size_t session_sendable(const ferry_session *session)
{
        return outbox_sendable(&session->out, gate(session));
}

/* Write a piece; whether to go on. */
static bool write_piece(ferry_session *session, size_t size)
{
        ssize_t put;

        if (session->wire.dialect->has_whole_frames && session->out.frame_left == 0 && !stream_has_room(session->stream, size))
                return false;
        /* A program's own stream may do what it likes meanwhile, but not with these bytes. */
        session->is_writing = true;
        put = stream_write(session->stream, buffer_bytes(&session->out.bytes), size);
        session->is_writing = false;
        if (session->is_freed)
                return false;
        if (put < 0) {
                session->output_error = put != -ECHILD ? (int)put : 0;
                return false;
        }
        outbox_taken(&session->out, session->wire.dialect, size, (size_t)put);
        return (size_t)put == size;
}

void session_flush_now(ferry_session *session)
{
        size_t size;

        while (may_write(session) && (size = outbox_next(&session->out, gate(session), session->wire.dialect)) > 0 && write_piece(session, size))
                ;
        if (session->is_freed)
                return;
        buffer_shrink(&session->out.bytes, KEEP_QUEUE);
        session_update(session);
        session_check_closing(session);
}

int session_send_greeting(ferry_session *session, struct error *error)
{
        struct outgoing greeting = { .kind = session->is_server ? WIRE_START : WIRE_START_OK };
        int code;

        session->is_greeted = !session->wire.dialect->has_start;
        if (session->is_greeted)
                return 0;
        code = session->wire.dialect->write(&session->wire, &session->out.bytes, &greeting, error);
        outbox_end_greeting(&session->out);
        return code;
}

int session_send_last(ferry_session *session, enum wire_kind kind)
{
        struct outgoing last = { .kind = kind };
        struct error error = { 0 };
        int code;

        outbox_cut(&session->out);
        code = session->wire.dialect->write(&session->wire, &session->out.bytes, &last, &error);
        error_deinit(&error);
        if (session->is_server && !session->is_greeted)
                outbox_end_greeting(&session->out);
        return code;
}

int session_send_hello(ferry_session *session, struct error *error)
{
        struct outgoing hello = { .kind = WIRE_HELLO, .codec = ferry_codec_msgpack() };
        ferry_value *body;
        int code;

        if (session->has_hello || !session->wire.dialect->has_hello)
                return 0;
        body = stream_is_one_way(session->stream) ?
                       ferry_value_pack("{frame_max: %zu, features: ['one-way']}", session->wire.frame_max) :
               session->options.heartbeat_ms > 0 ?
                       ferry_value_pack("{frame_max: %zu, features: [], heartbeat_ms: %d}", session->wire.frame_max,
                                        session->options.heartbeat_ms) :
                       ferry_value_pack("{frame_max: %zu, features: []}", session->wire.frame_max);
        hello.body = body;
        code = body ? session->wire.dialect->write(&session->wire, &session->out.bytes, &hello, error) :
                      error_set(error, -ENOMEM, "no memory for a message");
        ferry_value_unref(body);
        session->has_hello = code == 0;
        return code;
}

/* Where the program has not chosen the dialect, the service must have said that it speaks ours. */
static bool may_announce(ferry_session *session)
{
        char sentence[256];
        int spoken;

        if (session->has_hello || session->is_server || session->state != SESSION_OPEN ||
            !session->wire.dialect->has_hello || !session->stream->kind->is_client)
                return false;
        if (session->wire.is_dialect_fixed)
                return true;
        spoken = stream_spoken(session->stream);
        if (spoken < 0) {
                snprintf(sentence, sizeof sentence, "the lock file of %s, which says what is spoken there, cannot be read: %s;"
                         " until this side sends something, what all clients are notified of does not reach it",
                         session->address, error_describe(spoken));
                dispatch_text(session, FERRY_KIND_ERROR, "", sentence, strlen(sentence));
        }
        return spoken > 0 && ((unsigned)spoken & session->wire.dialect->number);
}

void session_announce(ferry_session *session)
{
        struct error error = { 0 };

        if (!may_announce(session))
                return;
        if (session_send_hello(session, &error) < 0)
                session_finish(session, error.code, "%s", error_text(&error));
        else
                session_flush_now(session);
        error_deinit(&error);
}

/* A codec of the program may send, free or wait meanwhile, so its frame is put together apart: it stands behind what was sent
 * in between. */
static int write_apart(ferry_session *session, const struct outgoing *outgoing, struct buffer *frame, struct error *error)
{
        int code = session->wire.dialect->write(&session->wire, frame, outgoing, error);

        if (!code && session->is_freed)
                code = error_set(error, -ECANCELED, "the session was let go while its codec wrote a message");
        if (!code)
                code = session_status_for_sending(session, error);
        if (code)
                buffer_deinit(frame);
        return code;
}

static bool has_own_codec(const ferry_session *session, const struct outgoing *outgoing)
{
        const ferry_codec *codec = outgoing->codec ? outgoing->codec : session->wire.codec;

        return outgoing->body && codec && !codec_native(codec);
}

int session_send(ferry_session *session, const struct outgoing *outgoing, bool is_reply, ferry_call *call,
                 struct error *error)
{
        bool had_hello, is_apart = has_own_codec(session, outgoing);
        struct buffer frame = { 0 };
        size_t before, begin;
        int code = session_status_for_sending(session, error);

        if (!code && session->is_writing)
                code = error_set(error, -EDEADLK, "a stream cannot send by the session that it is writing for");
        if (!code && is_apart)
                code = write_apart(session, outgoing, &frame, error);
        if (code)
                return code;
        had_hello = session->has_hello;
        before = outbox_size(&session->out);
        code = session_send_hello(session, error);
        begin = outbox_size(&session->out);
        if (!code && is_apart)
                code = buffer_append(&session->out.bytes, buffer_bytes(&frame), buffer_size(&frame));
        else if (!code)
                code = session->wire.dialect->write(&session->wire, &session->out.bytes, outgoing, error);
        if (is_apart)
                buffer_deinit(&frame);
        if (!code && !is_reply && before > 0 && outbox_queued(&session->out) > session->queue_max)
                code = error_set(error, -ENOBUFS, "%zu bytes already wait to be sent: flush, then go on", before);
        if (!code && !is_reply && session->owner->takes &&
            !session->owner->takes(session, outbox_size(&session->out) - before))
                code = error_set(error, -ENOBUFS, "what is held for all clients of the service is at its limit (bytes_max)");
        if (code) {
                outbox_undo(&session->out, before);
                session->has_hello = had_hello;
                return code;
        }
        if (is_reply)
                outbox_jump_queue(&session->out, gate(session), begin);
        if (call)
                outbox_add_request(&session->out, &call->frame, begin);
        else if (!is_reply)
                outbox_add_message(&session->out);
        session->sent++;
        if (session->is_debugged)
                debug_message(session, ">", outgoing->kind == WIRE_NOTIFICATION ? "notification" :
                                            outgoing->kind == WIRE_REQUEST      ? "request" :
                                            outgoing->kind == WIRE_RESPONSE     ? "response" :
                                                                                  "control",
                              outgoing->type, outgoing->body);
        /* What waits already goes first, when the stream says so. */
        if (before == 0 || !session->wire.dialect->has_ids)
                session_flush_now(session);
        else
                session_update(session);
        return 0;
}

int session_send_template(ferry_session *session, struct outgoing *outgoing, bool is_reply, ferry_call *call,
                          struct error *error, const char *format, va_list arguments)
{
        struct brief brief;
        int code;

        if (!outgoing->type)
                return error_set(error, -EINVAL, "a message needs a type");
        brief_init(&brief, outgoing->codec ? outgoing->codec : session->wire.codec);
        outgoing->body = brief_build(&brief, format, arguments, error);
        code = outgoing->body ? session_send(session, outgoing, is_reply, call, error) : error->code;
        brief_deinit(&brief);
        return code;
}

/* Up to the last message of ours; answers behind it are those that the other side did not wait for. */
int session_note_unsent(const ferry_session *session, bool has_reason, char *sentence, size_t room)
{
        size_t lost = outbox_count_unsent(&session->out, !has_reason), used = strlen(sentence);

        if (lost == 0)
                return 0;
        snprintf(sentence + used, room - used, ": %zu bytes of messages and requests to it were not sent", lost);
        return -ECONNRESET;
}

void session_refuse_all(ferry_session *session, const char *reason)
{
        static const char none[8];
        struct outgoing refused = { .kind = WIRE_REFUSED, .id = none, .id_size = sizeof none };
        const struct wire *wire = &session->wire;
        struct error error = { 0 };
        ferry_value *body = NULL;

        if (wire->is_dialect_fixed && wire->dialect->has_cancel && session_status_for_sending(session, &error) == 0)
                body = ferry_value_pack("%s", reason);
        refused.body = body;
        /* If there is no memory for that either, the other side sees only the end. */
        if (body)
                session_send(session, &refused, true, NULL, &error);
        ferry_value_unref(body);
        error_deinit(&error);
}

void session_add_suspicion(const ferry_session *session, char *sentence, size_t room)
{
        size_t used = strlen(sentence);

        if (!session->is_server && session->received == 0 && session->stranger)
                snprintf(sentence + used, room - used, " (it runs as user %u, and may not allow this user)",
                         (unsigned)session->stranger->uid);
}
