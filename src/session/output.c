/* Bytes out. Invariant: what the stream has not taken stands in one queue, in order. */
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

/* Up to where the queue may be sent, in all that is ever sent: where there are no ids, the second request waits until the
 * first is answered. */
static uint64_t gate(const ferry_session *session)
{
        bool is_first = true;

        if (!session->is_greeted)
                return session->is_server ? session->greeting_end : 0;
        if (session->wire.dialect->has_ids)
                return UINT64_MAX;
        for (const struct list *link = session->calls.next; link != &session->calls; link = link->next) {
                const ferry_call *call = container_of(link, ferry_call, link);

                if (call->begin == call->end)
                        continue;
                if (!is_first)
                        return call->begin;
                is_first = false;
        }
        return UINT64_MAX;
}

size_t session_sendable(const ferry_session *session)
{
        uint64_t open = gate(session) - session->out_begin;
        size_t size = buffer_size(&session->out);

        return gate(session) <= session->out_begin ? 0 : open < size ? (size_t)open : size;
}

/* What was taken back and stands at the front is passed over. */
static void skip_holes(ferry_session *session)
{
        struct holes *holes = &session->holes;

        while (holes->count > 0 && holes->at[0].begin == session->out_begin) {
                buffer_consume(&session->out, (size_t)holes->at[0].size);
                session->out_begin += holes->at[0].size;
                holes_remove_first(holes);
        }
}

/* How much of the queue is to be written next: all that may be sent, or one frame. */
static size_t next_piece(const ferry_session *session)
{
        const struct dialect *dialect = session->wire.dialect;
        size_t size = session_sendable(session), header = 0;
        uint64_t payload = 0;

        if (session->holes.count > 0 && session->holes.at[0].begin - session->out_begin < size)
                size = (size_t)(session->holes.at[0].begin - session->out_begin);
        if (size == 0 || !dialect->has_whole_frames)
                return size;
        if (session->frame_left > 0)
                return session->frame_left;
        dialect->framing->measure((const char *)buffer_bytes(&session->out), size, &header, &payload);
        return header + (size_t)payload;
}

/* The frame at the front of the queue leaves: what will be acknowledged is counted. */
static void count_written(ferry_session *session, size_t size)
{
        struct incoming what;

        session->wire.dialect->peek((const char *)buffer_bytes(&session->out), size, &what);
        if (what.kind != WIRE_MESSAGE)
                return;
        session->written++;
        list_for_each(&session->calls, link) {
                ferry_call *call = container_of(link, ferry_call, link);

                if (call->begin != call->end && call->begin == session->out_begin)
                        call->number = session->written;
                if (call->begin != call->end)
                        return;
        }
}

/* Write a piece; whether to go on. */
static bool write_piece(ferry_session *session, size_t size)
{
        bool is_frame = session->wire.dialect->has_whole_frames;
        ssize_t put;

        if (is_frame && session->frame_left == 0 && !stream_has_room(session->stream, size))
                return false;
        /* A program's own stream may do what it likes meanwhile, but not with these bytes. */
        session->is_writing = true;
        put = stream_write(session->stream, buffer_bytes(&session->out), size);
        session->is_writing = false;
        if (session->is_freed)
                return false;
        if (put < 0) {
                session->output_error = put != -ECHILD ? (int)put : 0;
                return false;
        }
        if (is_frame && put > 0 && session->frame_left == 0)
                count_written(session, size);
        if (is_frame && put > 0)
                session->frame_left = size - (size_t)put;
        buffer_consume(&session->out, (size_t)put);
        session->out_begin += (uint64_t)put;
        skip_holes(session);
        return (size_t)put == size;
}

void session_flush_now(ferry_session *session)
{
        size_t size;

        while (may_write(session) && (size = next_piece(session)) > 0 && write_piece(session, size))
                ;
        if (session->is_freed)
                return;
        buffer_shrink(&session->out, KEEP_QUEUE);
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
        code = session->wire.dialect->write(&session->wire, &session->out, &greeting, error);
        session->greeting_end = session->out_begin + buffer_size(&session->out);
        return code;
}

int session_send_last(ferry_session *session, enum wire_kind kind)
{
        struct outgoing last = { .kind = kind };
        struct error error = { 0 };
        size_t kept = session->greeting_end > session->out_begin ? (size_t)(session->greeting_end - session->out_begin) :
                                                                   session->frame_left;
        int code;

        session->out.end = session->out.begin + kept;
        holes_clear(&session->holes);
        code = session->wire.dialect->write(&session->wire, &session->out, &last, &error);
        error_deinit(&error);
        if (session->is_server && !session->is_greeted)
                session->greeting_end = session->out_begin + buffer_size(&session->out);
        return code;
}

/* Close the holes: what stands behind them moves to the front, once for all of them. */
static void close_holes(ferry_session *session)
{
        struct holes *holes = &session->holes;
        unsigned char *bytes;
        uint64_t left = holes->size;
        size_t kept = 0, seen = 0, last = holes->count;

        if (holes->count == 0)
                return;
        /* Holes are in bytes that are queued, so there is memory. */
        bytes = session->out.memory + session->out.begin;
        holes_sort(holes);
        for (size_t i = 0; i < holes->count; i++) {
                size_t begin = (size_t)(holes->at[i].begin - session->out_begin);

                memmove(bytes + kept, bytes + seen, begin - seen);
                kept += begin - seen;
                seen = begin + (size_t)holes->at[i].size;
        }
        memmove(bytes + kept, bytes + seen, buffer_size(&session->out) - seen);
        session->out.end -= (size_t)holes->size;
        /* From the last call back to those of which something was sent. */
        for (struct list *link = session->calls.previous; link != &session->calls; link = link->previous) {
                ferry_call *call = container_of(link, ferry_call, link);

                if (call->begin == call->end)
                        continue;
                if (call->end <= session->out_begin)
                        break;
                while (last > 0 && holes->at[last - 1].begin > call->begin)
                        left -= holes->at[--last].size;
                call->begin -= left;
                call->end -= left;
        }
        holes_clear(holes);
}

/* What the other side waits for goes before requests that wait for it. */
static void pass_gate(ferry_session *session, size_t before)
{
        size_t size = buffer_size(&session->out) - before;
        uint64_t limit;

        if (session->wire.dialect->has_ids || (!session->is_greeted && !session->is_server))
                return;
        close_holes(session);
        before = buffer_size(&session->out) - size;
        limit = gate(session);
        /* To one who has not begun yet, only this can be said. */
        if (!session->is_greeted)
                session->greeting_end += size;
        if (limit >= session->out_begin + before)
                return;
        buffer_move_last(&session->out, limit > session->out_begin ? (size_t)(limit - session->out_begin) : 0, size);
        list_for_each(&session->calls, link) {
                ferry_call *call = container_of(link, ferry_call, link);

                if (call->begin != call->end && call->begin >= limit) {
                        call->begin += size;
                        call->end += size;
                }
        }
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
        code = body ? session->wire.dialect->write(&session->wire, &session->out, &hello, error) :
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
        before = buffer_size(&session->out);
        code = session_send_hello(session, error);
        begin = buffer_size(&session->out);
        if (!code && is_apart)
                code = buffer_append(&session->out, buffer_bytes(&frame), buffer_size(&frame));
        else if (!code)
                code = session->wire.dialect->write(&session->wire, &session->out, outgoing, error);
        if (is_apart)
                buffer_deinit(&frame);
        if (!code && !is_reply && before > 0 && session_queued(session) > session->queue_max)
                code = error_set(error, -ENOBUFS, "%zu bytes already wait to be sent: flush, then go on", before);
        if (!code && !is_reply && session->owner->takes &&
            !session->owner->takes(session, buffer_size(&session->out) - before))
                code = error_set(error, -ENOBUFS, "what is held for all clients of the service is at its limit (bytes_max)");
        if (code) {
                session->out.end = session->out.begin + before;
                session->has_hello = had_hello;
                return code;
        }
        if (is_reply)
                pass_gate(session, begin);
        if (call) {
                call->begin = session->out_begin + begin;
                call->end = session->out_begin + buffer_size(&session->out);
        }
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

/* Where there is no memory to remember a hole, it is closed at once. */
static void cut(ferry_call *call)
{
        ferry_session *session = call->session;
        uint64_t size = call->end - call->begin;
        unsigned char *at;

        close_holes(session);
        at = buffer_bytes(&session->out) + (call->begin - session->out_begin);
        memmove(at, at + size, buffer_size(&session->out) - (size_t)(call->end - session->out_begin));
        session->out.end -= (size_t)size;
        for (struct list *link = call->link.next; link != &session->calls; link = link->next) {
                ferry_call *other = container_of(link, ferry_call, link);

                if (other->begin == other->end)
                        continue;
                other->begin -= size;
                other->end -= size;
        }
}

static void take_back(ferry_call *call)
{
        ferry_session *session = call->session;

        if (holes_add(&session->holes, call->begin, call->end - call->begin) < 0)
                cut(call);
        call->begin = call->end = 0;
}

void session_withdraw(ferry_call *call)
{
        ferry_session *session = call->session;

        if (call->begin == call->end)
                return;
        take_back(call);
        skip_holes(session);
        if (session->holes.size > buffer_size(&session->out) / 2)
                close_holes(session);
        session_update(session);
}

void session_withdraw_all(ferry_session *session)
{
        list_for_each(&session->calls, link) {
                ferry_call *call = container_of(link, ferry_call, link);

                if (call->begin != call->end && call->begin >= session->out_begin)
                        take_back(call);
        }
        skip_holes(session);
        close_holes(session);
        session_update(session);
}

size_t session_queued(const ferry_session *session)
{
        return buffer_size(&session->out) - (size_t)session->holes.size;
}

void session_drop_queue(ferry_session *session)
{
        session->out_begin += buffer_size(&session->out);
        buffer_consume(&session->out, buffer_size(&session->out));
        holes_clear(&session->holes);
}
