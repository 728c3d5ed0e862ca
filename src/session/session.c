/* How a session ends, and what it sends. */
#include "session/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        KEEP_QUEUE = 1 << 16,           /* an empty queue keeps no more memory than this */
        GATHERED_MAX = 1 << 16,         /* bytes that wait for the end of a round of handlers */
};

/* Ending ------------------------------------------------------------------------------------------------- */

bool session_is_overdue(const ferry_session *session)
{
        return session->overdue_at == session->in.events;
}

/* For a child to end by itself, if the session has not failed. */
static int grace_ms(const ferry_session *session)
{
        return session->error.code || session_is_overdue(session) ? 0 : session->grace_ms;
}

static void finish(ferry_session *session, enum session_cause cause, int grace)
{
        session_note_cause(session, cause);
        session_advance(session, EVENT_FINISHED);
        if (!session->stream)
                session_advance(session, EVENT_STREAM_CLOSED);
        loop_timer_stop(session->loop, &session->close_timer);
        loop_timer_stop(session->loop, &session->heartbeat.timer);
        attached_deinit(session);
        session_stop_holding(session);
        calls_end(session, session->error.code ? session->error.code : -ECONNRESET, error_text(&session->error));
        /* Nothing more is handled but the end, after the callbacks of the calls that it has ended. */
        loop_task_stop(&session->work);
        loop_task_start(session->loop, &session->work);
        outbox_deinit(&session->out);
        if (session->stream)
                stream_close(session->stream, grace);
        session_update(session);
}

/* Whether the other side can still be notified that we go, and suffers if it is not. */
static bool may_leave(const ferry_session *session)
{
        return (session->phase == SESSION_CONNECTING || session_is_open(session)) && session->stream && session->stream->is_open &&
               session->wire.dialect->has_start && !session->output_error && !session->in.is_over && !loop_is_foreign(session->loop);
}

int session_send_last(ferry_session *session, enum wire_kind kind)
{
        struct outgoing last = { .kind = kind };
        struct error error = { 0 };
        int code;

        outbox_cut(&session->out);
        code = session->wire.dialect->write(&session->wire, &session->out.bytes, &last, &error);
        error_deinit(&error);
        if (session->out.gate == OUTBOX_GREETING)
                outbox_end_greeting(&session->out);
        return code;
}

/* Up to the last message of ours; answers behind it are those that the other side did not wait for. */
int session_note_lost(const ferry_session *session, bool has_reason, char *sentence, size_t room)
{
        size_t used = strlen(sentence), unread = session->stream ? stream_count_lost(session->stream) : 0;
        size_t lost = outbox_count_lost(&session->out, unread, !has_reason);

        if (lost == 0)
                return 0;
        snprintf(sentence + used, room - used, ": %zu bytes of messages and requests to it are lost", lost);
        return -ECONNRESET;
}

/* To a client of another user that has heard nothing: why that may be. */
static void add_suspicion(const ferry_session *session, char *sentence, size_t room)
{
        size_t used = strlen(sentence);

        if (!session->is_server && session->received == 0 && session->stranger)
                snprintf(sentence + used, room - used, " (it runs as user %u, and may not allow this user)",
                         (unsigned)session->stranger->uid);
}

/* It has failed. The end is the same as if it were closed here, but for what is reported of it. */
static void leave(ferry_session *session)
{
        session->is_reported = false;
        calls_end(session, session->error.code, error_text(&session->error));
        session_advance(session, EVENT_FAILED);
        if (session_send_last(session, WIRE_CLOSE) < 0) {
                finish(session, CAUSE_FAILURE, 0);
                return;
        }
        loop_timer_start(session->loop, &session->close_timer, loop_deadline(session->close_timeout_ms));
        session_flush_now(session);
}

/* Whether the session outlives its connection. */
static bool may_reconnect(const ferry_session *session)
{
        return session->reconnect && session->holder == SESSION_HELD && !session->loop->is_ending && !loop_is_foreign(session->loop) &&
               (session->phase == SESSION_OPEN || ((session->phase == SESSION_CONNECTING || session->phase == SESSION_GREETING) &&
                                                   session->reconnect->connections > 0));
}

ferry_session *session_part(ferry_session *session, bool is_lost)
{
        ferry_session *former = may_reconnect(session) && session->phase == SESSION_OPEN ?
                                        session->reconnect->table->part(session, is_lost) : NULL;

        return former ? former : session;
}

void session_lose(ferry_session *session, const ferry_session *former, const char *sentence)
{
        if (former != session && session->holder != SESSION_FREED)
                session->reconnect->table->lose(session, sentence);
}

/* While a server has not taken the login yet, another one may be tried. */
static enum stream_hope hope_of(const ferry_session *session)
{
        return session->phase == SESSION_GREETING && session->wire.dialect->has_login && session->holder == SESSION_HELD &&
               !session->loop->is_ending ? stream_hope(session->stream) : HOPE_NONE;
}

bool session_has_next_server(const ferry_session *session)
{
        return hope_of(session) == HOPE_NOW;
}

/* Whether another server would do no better. */
static bool is_own_failure(int code)
{
        return code == -ENOMEM || code == -EMSGSIZE || code == -EINVAL || code == -ECANCELED || code == -ECHILD;
}

/* A server does not take the session: it is full, about to end, wrongly set up, or was stopped, and says nothing. Nothing but the
 * login was sent, and that is written anew for the next server; what is queued stays queued. Whether the session goes on there. */
static bool leave_server(ferry_session *session, int code)
{
        struct error error = { 0 };
        struct stream *next;

        if (is_own_failure(code) || hope_of(session) < HOPE_SOON)
                return false;
        code = stream_open_next(session->stream, code, &next, &error);
        if (!code) {
                stream_free(session->stream);
                session->stream = next;
                inbox_deinit(&session->in);
                session->in = (struct inbox){ 0 };
                inbox_init(&session->in, session->wire.dialect->framing, next->kind->has_junk, wire_read_max(&session->wire));
                wire_forget_start(&session->wire);
                session->output_error = 0;
                loop_timer_stop(session->loop, &session->heartbeat.timer);
                session_advance(session, EVENT_NEXT_SERVER);
                code = session_send_greeting(session, &error);
        }
        error_deinit(&error);
        if (!code)
                session_update(session);
        return !code;
}

/* Whether a failure of the connection, or its end, is one of the session, too. An attempt to connect again is not the last one where
 * only some of the servers have refused for good. */
static bool is_final(const ferry_session *session, int code)
{
        return error_is_final(code) && (session->phase == SESSION_OPEN || is_own_failure(code) || stream_hope(session->stream) == HOPE_NONE);
}

/* The session goes on without its connection, which ends. Whether that is so. */
static bool survive(ferry_session *session, int code, const char *sentence)
{
        ferry_session *former;

        if (leave_server(session, code))
                return true;
        if (!may_reconnect(session) || is_final(session, code))
                return false;
        if (session->phase != SESSION_OPEN) {
                session->reconnect->table->retry(session, sentence);
                return true;
        }
        former = session_part(session, true);
        if (former == session)
                return false;
        session_finish(former, code, "%s", sentence);
        session_lose(session, former, error_text(&former->error));
        return true;
}

void session_finish(ferry_session *session, int code, const char *format, ...)
{
        char sentence[1024];
        va_list arguments;
        bool is_ours = session_is_closing(session), is_lost;

        if (session_has_ended(session) || session->holder == SESSION_FREED)
                return;
        /* It has failed already, and the peer was being notified. */
        if (session->error.code) {
                finish(session, CAUSE_FAILURE, 0);
                return;
        }
        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        if (survive(session, code, sentence))
                return;
        /* The queue's own errno is for programs that flush and try again. */
        if (code == -ENOBUFS)
                code = -ENOMEM;
        if (is_ours && outbox_size(&session->out) == 0)
                code = 0;
        is_lost = (!code || code == -ECONNRESET) && session_note_lost(session, code != 0, sentence, sizeof sentence) < 0;
        if (is_lost)
                code = -ECONNRESET;
        if (code == -ECONNRESET)
                add_suspicion(session, sentence, sizeof sentence);
        if (code && may_leave(session)) {
                error_replace(&session->error, code, "%s", sentence);
                leave(session);
                return;
        }
        error_replace(&session->error, code, "%s", is_ours && !code ? "this side closed the session" : sentence);
        session->is_reported = false;
        finish(session, is_ours && !is_lost ? CAUSE_LOCAL : code ? CAUSE_FAILURE : CAUSE_PEER, grace_ms(session));
}

/* A peer that goes in order may leave answers behind; a disk that is full, or what else fails, may not. */
void session_note_lost_output(ferry_session *session)
{
        struct error error = { 0 };
        bool is_lost = outbox_size(&session->out) > 0 || session->unanswered > 0;

        if (session->in.end_code || !session->output_error || !is_lost || session->output_error == -EPIPE ||
            session->output_error == -ECONNRESET)
                return;
        stream_explain_failed_write(session->output_error, &error);
        inbox_end(&session->in, error.code, error_text(&error));
        error_deinit(&error);
}

/* Once all is sent, or the time is over. */
static void finish_closing(ferry_session *session)
{
        bool is_complete = outbox_size(&session->out) == 0;
        int grace = session_is_overdue(session) || !is_complete ? 0 : session->grace_ms;

        if (!session->error.code)
                error_replace(&session->error, is_complete ? 0 : -ETIMEDOUT, "%s",
                              is_complete ? "this side closed the session" : "this side closed the session before all was sent");
        finish(session, session->error.code ? CAUSE_FAILURE : CAUSE_LOCAL, grace);
}

void session_close_is_late(struct loop_timer *timer)
{
        ferry_session *session = container_of(timer, ferry_session, close_timer);

        if (session_is_closing(session))
                finish_closing(session);
        else if (session->phase == SESSION_PEER_CLOSING)
                session_finish(session, 0, "the other side has closed the session");
        else if (session->unanswered > 0 && !stream_is_read(session->stream))
                session_finish(session, -ECONNRESET, "the other side is gone, and was not answered");
        else if (timer->deadline < session->answer_deadline)
                session_await_answer(session);
        else if (session->unanswered > 0)
                session_finish(session, -ETIMEDOUT, "%zu requests were not answered within %g s after the other side had ended",
                               session->unanswered, session_answer_timeout(session) / 1000.0);
        else if (session->out.begin != session->drained_to)
                session_start_draining_timer(session);
        else
                session_finish(session, -ECONNRESET, "the other side has stopped reading the answers to its requests");
}

/* Whether a session that this side has closed has come to its end. */
static bool is_closed(const ferry_session *session)
{
        switch (session->phase) {
        case SESSION_CLOSING:
                return outbox_size(&session->out) == 0;
        case SESSION_AWAITING_CLOSE:
                return outbox_size(&session->out) == 0 && (session->output_error || session->in.is_over);
        case SESSION_CLOSE_ANSWERED:
                return outbox_size(&session->out) == 0 || session->out.frame_left == 0;
        default:
                return false;
        }
}

void session_check_closing(ferry_session *session)
{
        bool is_drained = session->output_error || (outbox_size(&session->out) == 0 && session->unanswered == 0);

        if (is_closed(session))
                finish_closing(session);
        else if (session->phase == SESSION_DRAINING && is_drained) {
                session_note_lost_output(session);
                session_finish(session, session->in.end_code, "%s", inbox_end_sentence(&session->in));
        }
}

/* Closing is done; 0, or how a child has failed meanwhile. */
void session_stream_closed(ferry_session *session, int code, const char *sentence)
{
        session_advance(session, EVENT_STREAM_CLOSED);
        if (code && !session->error.code) {
                error_replace(&session->error, code, "%s", sentence);
                session_note_cause(session, CAUSE_FAILURE);
                session->is_reported = session->holder != SESSION_HELD;
        }
        if (!session->has_reported_end && session->holder != SESSION_FREED)
                loop_task_start(session->loop, &session->work);
        session_update(session);
}

/* Sending ------------------------------------------------------------------------------------------------ */

static bool has_output(const ferry_session *session)
{
        return session->phase == SESSION_LOST || stream_has_output(session->stream);
}

bool session_can_send(const ferry_session *session)
{
        return session->phase < SESSION_PEER_CLOSING && !session->output_error && has_output(session) &&
               !loop_is_foreign(session->loop);
}

int session_status_for_sending(const ferry_session *session, struct error *error)
{
        if (session_can_send(session))
                return 0;
        if (loop_is_foreign(session->loop))
                return error_set(error, -ECHILD, "the session belongs to the parent of this process");
        if (session->phase < SESSION_PEER_CLOSING && session->output_error)
                return stream_explain_failed_write(session->output_error, error);
        if (session->phase < SESSION_PEER_CLOSING)
                return error_set(error, -EOPNOTSUPP, "this stream can only be read");
        if (session->error.code)
                return error_set(error, session->error.code, "%s", error_text(&session->error));
        if (session_is_closing(session))
                return error_set(error, -ECANCELED, "this side closed the session");
        return error_set(error, -ENOTCONN, "the session has ended: %s", error_text(&session->error));
}

static bool may_write(const ferry_session *session)
{
        return !session->out.is_lent && session->phase < SESSION_CLOSING_STREAM && session->stream && session->stream->is_open &&
               !session->output_error;
}

static void pass_again(struct loop_timer *timer)
{
        session_flush_now(container_of(timer, struct descriptors, timer)->session);
}

/* A piece that goes with descriptors. */
static ssize_t write_attached(ferry_session *session, struct iovec *slices, int count)
{
        const struct attached *attached = outbox_attached(&session->out);
        bool have_passed;
        ssize_t put = stream_write_passing(session->stream, slices, count, attached->fds, attached->count, &have_passed);

        if (put == -ETOOMANYREFS) {
                session->descriptors->timer.fn = pass_again;
                attached_wait(session);
                return 0;
        }
        session->descriptors->delay_ms = 0;
        if (have_passed)
                outbox_detach(&session->out);
        return put;
}

/* Write a piece; whether to go on. */
static bool write_piece(ferry_session *session, size_t size)
{
        struct iovec slices[OUTBOX_SLICES];
        int count = outbox_slices(&session->out, &size, slices);
        ssize_t put;

        if (session->wire.dialect->has_whole_frames && session->out.frame_left == 0 && !stream_has_room(session->stream, size))
                return false;
        /* A program's own stream may do what it likes meanwhile, but not with these bytes. */
        session->out.is_lent = true;
        put = outbox_attached(&session->out) ? write_attached(session, slices, count) : stream_write(session->stream, slices, count);
        session->out.is_lent = false;
        if (session->holder == SESSION_FREED)
                return false;
        if (put == -ETOOMANYREFS) {
                sharing_refuse(session);
                return false;
        }
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

        if (outbox_size(&session->out) > session->queue_max / 2)
                flow_rise(session);
        do {
                while (outbox_size(&session->out) > 0 && may_write(session) && (size = outbox_next(&session->out, session->wire.dialect)) > 0 &&
                       write_piece(session, size))
                        ;
                if (session->holder == SESSION_FREED)
                        return;
        } while (session->sharing.phase != SHARING_NONE && sharing_proceed(session));
        if (session->out.bytes.capacity > KEEP_QUEUE)
                buffer_shrink(&session->out.bytes, KEEP_QUEUE);
        session_update(session);
        if (session->phase >= SESSION_DRAINING)
                session_check_closing(session);
}

int session_send_greeting(ferry_session *session, struct error *error)
{
        struct outgoing greeting = { .kind = session->is_server ? WIRE_START : WIRE_START_OK };
        size_t before = outbox_size(&session->out);
        int code;

        if (!session->wire.dialect->has_start && !session->wire.dialect->has_login) {
                session_advance(session, EVENT_GREETED);
                return 0;
        }
        outbox_set_gate(&session->out, session->is_server ? OUTBOX_GREETING : OUTBOX_SHUT);
        greeting.proof_room = stream_proof_size(session->stream);
        code = session->wire.dialect->write(&session->wire, &session->out.bytes, &greeting, error);
        if (session->wire.dialect->has_login)
                outbox_begin_again(&session->out, outbox_size(&session->out) - before);
        else
                outbox_end_greeting(&session->out);
        return code;
}

/* A codec of the program may send, free or wait meanwhile, so its frame is put together apart: it stands behind what was sent
 * in between. */
static int write_apart(ferry_session *session, const struct outgoing *outgoing, struct buffer *frame, struct error *error)
{
        int code = session->wire.dialect->write(&session->wire, frame, outgoing, error);

        if (!code && session->holder == SESSION_FREED)
                code = error_set(error, -ECANCELED, "the session was freed while its codec wrote a message");
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

bool session_stop_holding(ferry_session *session)
{
        bool has_put_off = loop_task_is_started(&session->departure);

        session->holds = 0;
        loop_task_stop(&session->departure);
        return has_put_off;
}

/* Whether descriptors wait for the next message. */
static bool has_attached(const ferry_session *session)
{
        return session->descriptors && session->descriptors->attached;
}

/* With which descriptors go that are attached. */
static bool is_message(enum wire_kind kind)
{
        return kind == WIRE_NOTIFICATION || kind == WIRE_REQUEST || kind == WIRE_RESPONSE;
}

/* Put a frame behind what is queued, after a hello where one is due. @apart is the frame if it was put together apart. */
static int append_frame(ferry_session *session, const struct outgoing *outgoing, const struct buffer *apart, size_t *ret_begin,
                        struct error *error)
{
        int code = session->wire.has_said_hello || !session->wire.dialect->has_hello ? 0 : session_send_hello(session, error);
        struct outgoing lending;
        struct lent lent;

        *ret_begin = outbox_size(&session->out);
        if (code)
                return code;
        if (has_attached(session) && is_message(outgoing->kind)) {
                code = attached_announce(session, error);
                if (code)
                        return code;
        }
        if (apart)
                return buffer_append(&session->out.bytes, buffer_bytes(apart), buffer_size(apart));
        if (session->out.gate != OUTBOX_OPEN || session->wire.dialect->has_whole_frames)
                return session->wire.dialect->write(&session->wire, &session->out.bytes, outgoing, error);
        lending = *outgoing;
        lending.lent = &lent;
        lent.bytes = NULL;
        code = session->wire.dialect->write(&session->wire, &session->out.bytes, &lending, error);
        if (!code && lent.bytes && outbox_add_piece(&session->out, lent.offset, &lent) < 0)
                code = error_set(error, -ENOMEM, "no memory for a message");
        return code;
}

/* Whether what was queued behind @before bytes is within the limits. */
static int check_room(ferry_session *session, size_t before, struct error *error)
{
        if (before > 0 && outbox_queued(&session->out) > session->queue_max)
                return error_set(error, -ENOBUFS, "%zu bytes already wait to be sent: flush, then try again", before);
        if (session->owner->takes &&
            !session->owner->takes(session->owner_object, outbox_size(&session->out) - before))
                return error_set(error, -ENOBUFS, "the messages that the service holds for all its clients have reached their"
                                                  " limit (bytes_max)");
        return 0;
}

/* Put a frame behind the @ret_before bytes that are queued. What was put off, and is not held, leaves before a frame is refused
 * because of it. */
static int append_in_limits(ferry_session *session, const struct outgoing *outgoing, const struct buffer *apart, bool is_reply,
                            size_t *ret_before, size_t *ret_begin, struct error *error)
{
        for (;;) {
                bool had_hello = session->wire.has_said_hello;
                size_t size;
                int code;

                *ret_before = outbox_size(&session->out);
                code = append_frame(session, outgoing, apart, ret_begin, error);
                if (!code && !is_reply)
                        code = check_room(session, *ret_before, error);
                if (!code)
                        return 0;
                size = outbox_size(&session->out) - *ret_before;
                outbox_undo(&session->out, *ret_before);
                session->wire.has_said_hello = had_hello;
                if (code != -ENOBUFS)
                        return code;
                if (session->holds > 0 || !session_stop_holding(session)) {
                        flow_refuse(session, size);
                        return code;
                }
                error_deinit(error);
                session_flush_now(session);
                if (session->holder == SESSION_FREED)
                        return error_set(error, -ECANCELED, "the session was freed while it was writing");
                code = session_status_for_sending(session, error);
                if (code)
                        return code;
        }
}

static bool puts_off(const ferry_session *session)
{
        return session->holds > 0 || (session->loop->is_gathering && session->wire.dialect->has_ids);
}

void session_depart(struct loop_task *task)
{
        ferry_session *session = container_of(task, ferry_session, departure);

        session->holds = 0;
        session_flush_now(session);
}

/* A frame was queued behind @before bytes: it leaves now, or with others. */
static void send_queued(ferry_session *session, size_t before)
{
        if (puts_off(session) && (session->holds > 0 || outbox_size(&session->out) < GATHERED_MAX)) {
                loop_put_off(session->loop, &session->departure);
                /* The owner counts what is queued. */
                if (session->owner->counts)
                        session_update(session);
        } else if (before == 0 || !session->wire.dialect->has_ids || loop_task_is_started(&session->departure)) {
                loop_task_stop(&session->departure);
                session_flush_now(session);
        } else {
                /* What waits already goes first, when the stream says so. */
                session_update(session);
        }
}

void session_ask_passed(ferry_session *session)
{
        session->descriptors->asked = session->descriptors->open;
        session_send_ping(session, &session->descriptors->ping);
}

/* The descriptors that were attached go with what was queued last. */
static void note_passed(ferry_session *session)
{
        session->descriptors->open += session->descriptors->attached->count;
        attached_drop(session);
        if (session->descriptors->asked == 0)
                session_ask_passed(session);
}

/* What session_status_for_sending() has allowed. */
static int queue_frame(ferry_session *session, const struct outgoing *outgoing, bool is_reply, ferry_call *call, struct error *error)
{
        bool is_apart = has_own_codec(session, outgoing);
        struct buffer frame = { 0 };
        size_t before, begin;
        int code = 0;

        if (session->out.is_lent)
                code = error_set(error, -EDEADLK, "a stream cannot send by the session that it is writing for");
        if (!code && is_apart)
                code = write_apart(session, outgoing, &frame, error);
        if (!code && call && call->session != session) {
                buffer_deinit(&frame);
                code = error_set(error, -ECONNRESET, "the connection was lost while a codec wrote the request");
        }
        if (code)
                return code;
        code = append_in_limits(session, outgoing, is_apart ? &frame : NULL, is_reply, &before, &begin, error);
        if (is_apart)
                buffer_deinit(&frame);
        if (code)
                return code;
        if (is_reply)
                outbox_jump_queue(&session->out, begin);
        if (call)
                outbox_add_request(&session->out, &call->frame, begin);
        else if (outgoing->ret_size)
                *outgoing->ret_size = outbox_size(&session->out) - begin - FRAME_HEADER;
        else if (!is_reply)
                outbox_add_message(&session->out);
        session->sent++;
        if (session->is_debugged)
                debug_message(session, ">", outgoing->kind == WIRE_NOTIFICATION ? "notification" :
                                            outgoing->kind == WIRE_REQUEST      ? "request" :
                                            outgoing->kind == WIRE_RESPONSE     ? "response" :
                                            outgoing->kind == WIRE_ERROR || outgoing->kind == WIRE_REFUSED ? "error" :
                                                                                                             "control",
                              outgoing->type, outgoing->body);
        if (has_attached(session) && is_message(outgoing->kind))
                note_passed(session);
        send_queued(session, before);
        /* The program may take back what it has lent. */
        outbox_keep(&session->out);
        return 0;
}

int session_send(ferry_session *session, const struct outgoing *outgoing, bool is_reply, ferry_call *call,
                 struct error *error)
{
        int code = session_status_for_sending(session, error);

        return code ? code : queue_frame(session, outgoing, is_reply, call, error);
}

int session_send_template(ferry_session *session, struct outgoing *outgoing, bool is_reply, ferry_call *call,
                          struct error *error, const char *format, va_list arguments)
{
        struct brief brief;
        int code = session_can_send(session) ? 0 : session_status_for_sending(session, error);

        if (code)
                return code;
        if (!outgoing->type)
                return error_set(error, -EINVAL, "a message needs a type");
        outgoing->body = brief_build(&brief, outgoing->codec ? outgoing->codec : session->wire.codec, format, arguments, error);
        code = outgoing->body ? queue_frame(session, outgoing, is_reply, call, error) : error->code;
        brief_deinit(&brief);
        return code;
}

int session_send_ping(ferry_session *session, uint64_t *ret_ping)
{
        char id[WIRE_ID_TEXT_MAX];
        struct outgoing ping = { .kind = WIRE_PING, .id = id };
        struct error error = { 0 };
        int code;

        *ret_ping = 0;
        /* What only writes will never hear of it; what is still being opened will. */
        if (!session->wire.dialect->has_ping || session->output_error ||
            (session->stream && stream_is_only_written(session->stream)))
                return 0;
        write_u32(id, (uint32_t)(++session->ping >> 32));
        write_u32(id + 4, (uint32_t)session->ping);
        ping.id_size = 8;
        code = session_send(session, &ping, true, NULL, &error);
        error_deinit(&error);
        *ret_ping = session->ping;
        return code;
}
