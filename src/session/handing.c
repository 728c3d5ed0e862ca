/* What a service says about its successor: that its clients should connect again, and which sockets it hands over. */
#include "session/private.h"

#include <errno.h>
#include <string.h>

bool session_may_drain(const ferry_session *session)
{
        return session->phase == SESSION_OPEN && session->wire.does_peer_drain && session->wire.dialect->has_hand_over;
}

void session_send_drain(ferry_session *session)
{
        struct outgoing drain = { .kind = WIRE_DRAIN };
        struct error error = { 0 };

        if (session_send(session, &drain, true, NULL, &error) == -ENOMEM)
                session_finish(session, -ENOMEM, "no memory to report that the service was handed over");
        error_deinit(&error);
}

/* All that is queued goes before the frame, because the descriptors must come with its bytes. */
static int send_with(ferry_session *session, struct buffer *frame, const int *fds, size_t count, struct error *error)
{
        ssize_t put;

        session_flush_now(session);
        if (session->holder == SESSION_FREED)
                return error_set(error, -ECANCELED, "the successor has gone");
        if (outbox_size(&session->out) > 0)
                return error_set(error, -ENOBUFS, "the successor does not read what it is sent");
        put = stream_write_with(session->stream, buffer_bytes(frame), buffer_size(frame), fds, count);
        if (put == -EAGAIN)
                return error_set(error, -ENOBUFS, "the successor does not read what it is sent");
        if (put < 0)
                return error_set(error, put == -ENOBUFS ? -ENOMEM : (int)put, "cannot send the sockets to the successor: %s",
                                 error_describe((int)put));
        session->sent++;
        /* The rest follows as any other bytes. */
        buffer_consume(frame, (size_t)put);
        return buffer_size(frame) == 0 ? 0 : buffer_append(&session->out.bytes, buffer_bytes(frame), buffer_size(frame));
}

int session_hand_over(ferry_session *session, const ferry_value *body, const int *fds, size_t count, struct error *error)
{
        struct outgoing outgoing = { .kind = WIRE_HANDED_OVER, .codec = ferry_codec_msgpack(), .body = body };
        struct buffer frame = { 0 };
        int code = session_status_for_sending(session, error);

        if (!code)
                code = session_send_hello(session, error);
        if (!code)
                code = session->wire.dialect->write(&session->wire, &frame, &outgoing, error);
        if (!code)
                code = send_with(session, &frame, fds, count, error);
        buffer_deinit(&frame);
        if (!code)
                session_flush_now(session);
        return code;
}

void session_report(ferry_session *session, enum ferry_kind kind, const char *text)
{
        dispatch_text(session, kind, "", text, strlen(text));
}
