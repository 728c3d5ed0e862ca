/* Closing a session, and failing a request: where the dialect has no errors, a request that fails closes the session, and
 * closing fails the requests that are not answered. Invariant: a request is answered exactly once: by the first
 * answer, or by an error when the last hold on it goes. */
#include "session/private.h"
#include "session/subscriptions.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void close_unanswered(ferry_session *session, const char *reason);

/* Failing requests --------------------------------------------------------------------------------------- */

/* Each byte that is no part of UTF-8 becomes a question mark. */
static void make_utf8(char *text)
{
        for (size_t left = strlen(text); left > 0;) {
                size_t size = 1;

                while (size < 4 && size < left && !utf8_is_valid(text, size))
                        size++;
                if (!utf8_is_valid(text, size)) {
                        *text = '?';
                        size = 1;
                }
                text += size;
                left -= size;
        }
}

__attribute__((__format__(__printf__, 3, 0)))
int message_vfail(ferry_message *request, enum wire_kind kind, const char *format, va_list arguments)
{
        struct outgoing outgoing = message_answer(request, kind, NULL);
        ferry_session *session = request->session;
        struct error error = { 0 };
        char text[4096];
        ferry_value *body;
        int code;

        vsnprintf(text, sizeof text, format, arguments);
        /* Where errors cannot be sent, the session ends; but a refusal is no failure. */
        if (!session->wire.dialect->has_errors) {
                message_settle(request);
                if (kind == WIRE_ERROR)
                        close_unanswered(session, text);
                return 0;
        }
        if (kind == WIRE_REFUSED && !session->wire.dialect->has_refused)
                outgoing.kind = WIRE_ERROR;
        /* A request is refused only by a side that is about to close. */
        outgoing.is_leaving = outgoing.kind == WIRE_REFUSED;
        /* What is no UTF-8, perhaps because it was cut, some codecs cannot write; but an answer there must be. */
        make_utf8(text);
        body = ferry_value_pack("%s", text);
        outgoing.body = body;
        code = body ? session_send(session, &outgoing, true, NULL, &error) : -ENOMEM;
        ferry_value_unref(body);
        /* To a side that takes so little, only that it failed. */
        if (code == -EMSGSIZE) {
                outgoing.body = NULL;
                outgoing.type = NULL;
                error_deinit(&error);
                code = session_send(session, &outgoing, true, NULL, &error);
        }
        if (!code)
                message_settle(request);
        error_deinit(&error);
        return code;
}

void message_fail(ferry_message *request, enum wire_kind kind, const char *format, ...)
{
        struct error error = { 0 };
        va_list arguments;

        if (message_check_answerable(request, &error) == 0) {
                va_start(arguments, format);
                /* The other side must not wait for what will never come. */
                if (message_vfail(request, kind, format, arguments) == -ENOMEM && request->session)
                        session_finish(request->session, -ENOMEM, "no memory for an answer");
                va_end(arguments);
        }
        /* Whatever has become of the answer: there is no other. */
        message_settle(request);
        error_deinit(&error);
}

ferry_message *ferry_message_unref(ferry_message *message)
{
        if (!message || message_is_elsewhere(message) || --message->references > 0)
                return NULL;
        if (message->is_unanswered && message->session) {
                ferry_loop *loop = message->session->loop;

                /* More than any callback can let go of. */
                message->references = SIZE_MAX / 2;
                loop_enter(loop);
                if (message->session->wire.dialect->has_errors)
                        message_fail(message, WIRE_ERROR, "the request was freed without an answer");
                else
                        message_settle(message);
                loop_leave(loop);
        }
        message_destroy(message);
        return NULL;
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

void session_end_breaker(ferry_session *session, const char *rules, const char *sentence)
{
        session_refuse_all(session, sentence);
        session_finish(session, -EBADMSG, "the other side has broken the rules for %s: %s", rules, sentence);
}

void session_refuse_message(ferry_session *session, const struct incoming *in, enum wire_kind kind, const char *reason)
{
        /* That of no request, if none can be read. */
        char *id = sys_alloc_zeroed((in->id.size > 8 ? in->id.size : 8) + 1);
        struct error error = { 0 };
        struct outgoing answer = { .kind = session->wire.dialect->has_refused ? kind : WIRE_ERROR, .id = id,
                                   .is_leaving = session->phase == SESSION_REFUSING };
        ferry_value *body = ferry_value_pack("'not taken: %s'", reason);
        int sent;

        answer.id_size = id ? raw_text_copy(&in->id, id) : 0;
        answer.body = body;
        sent = body && id ? session_send(session, &answer, true, NULL, &error) : -ENOMEM;
        /* To a side that takes so little, only that it was refused. */
        if (sent == -EMSGSIZE) {
                answer.body = NULL;
                error_deinit(&error);
                sent = session_send(session, &answer, true, NULL, &error);
        }
        ferry_value_unref(body);
        sys_free(id);
        if (sent == -ENOMEM)
                session_finish(session, sent, "no memory for an answer");
        error_deinit(&error);
}

void session_refuse_late(ferry_session *session, const struct incoming *in)
{
        char *id = sys_alloc(in->id.size + 1);
        struct outgoing refused = { .kind = WIRE_REFUSED, .id = id };
        size_t before = outbox_size(&session->out);
        ferry_value *body = ferry_value_pack("'not taken: the session is being closed'");
        struct error error = { 0 };
        int code = id && body ? 0 : -ENOMEM;

        if (!code) {
                refused.id_size = raw_text_copy(&in->id, id);
                refused.body = body;
                code = session->wire.dialect->write(&session->wire, &session->out.bytes, &refused, &error);
        }
        /* Its sender learns nothing then. */
        if (code)
                outbox_undo(&session->out, before);
        else
                session_flush_now(session);
        ferry_value_unref(body);
        sys_free(id);
        error_deinit(&error);
}

/* Requests that were read, and that no handler has seen. */
static void refuse_unseen(ferry_session *session)
{
        struct inbox_event event;
        struct incoming in;

        while (session->phase == SESSION_REFUSING && inbox_next(&session->in, &event) > 0) {
                if (event.frame.event != FRAME_JUNK) {
                        wire_peek(&session->wire, event.frame.bytes, event.frame.size, &in);
                        if (in.kind == WIRE_REQUEST)
                                session_refuse_message(session, &in, WIRE_REFUSED, "the session is being closed");
                }
                block_unref(event.frame.block);
        }
}

/* A side that waits for an answer to what was read, but not handled, gets the answer that there will be none. */
static void refuse_rest(ferry_session *session)
{
        struct error error = { 0 };
        bool is_told = session->wire.dialect->has_errors && session_status_for_sending(session, &error) == 0;
        ferry_message *message;

        error_deinit(&error);
        list_for_each(&session->next, link) {
                message = container_of(link, ferry_message, queue_link);
                if (!message->is_unanswered)
                        continue;
                message_fail(message, message->was_seen ? WIRE_ERROR : WIRE_REFUSED, "the session is being closed");
                /* A peer that knows that the request was not executed may send it again, so it is no longer fetched. */
                if (is_told) {
                        list_remove(link);
                        ferry_message_unref(message);
                }
        }
        if (is_told)
                refuse_unseen(session);
}

/* Closing ------------------------------------------------------------------------------------------------ */

/* Whether a close is queued. */
static bool say_goodbye(ferry_session *session)
{
        struct outgoing goodbye = { .kind = WIRE_CLOSE, .codec = ferry_codec_msgpack() };
        const struct wire *wire = &session->wire;
        struct error error = { 0 };
        bool is_queued = false;
        ferry_value *body;

        /* To a side that has not spoken yet nothing was said either. And where nothing comes back, as in a file, another
         * may write behind us. */
        if (wire->dialect->has_close && (session->sent > 0 || wire->has_said_hello || wire->is_dialect_fixed) &&
            (stream_has_input(session->stream) || wire->dialect->has_start) &&
            session_status_for_sending(session, &error) == 0) {
                body = wire->dialect->has_cancel ? farewell_new(session) : NULL;
                goodbye.body = body;
                is_queued = session_send(session, &goodbye, true, NULL, &error) == 0;
                /* It may list more than the other side takes. */
                goodbye.body = NULL;
                if (!is_queued && body)
                        is_queued = session_send(session, &goodbye, true, NULL, &error) == 0;
                ferry_value_unref(body);
        }
        error_deinit(&error);
        return is_queued;
}

/* Whether a server that has not taken the login yet is to be sent nothing else: then it need not be waited for. */
static bool has_login_alone(const ferry_session *session)
{
        return session->wire.dialect->has_login && !session_is_greeted(session) &&
               session->out.greeting_end >= session->out.begin + outbox_size(&session->out);
}

/* The last steps before the close: what the peer learns of it, and what that makes of the session. */
static enum session_event take_leave(ferry_session *session, enum session_phase before)
{
        bool has_start = session->wire.dialect->has_start, is_queued = false;
        struct error lost = { 0 };

        /* What was taken, and will never leave, is not passed over. */
        if (session->output_error && outbox_size(&session->out) > 0)
                stream_explain_failed_write(session->output_error, &lost);
        if (session->phase != SESSION_REFUSING || before == SESSION_DRAINING)
                ;
        else if ((before == SESSION_CONNECTING && has_start && session->sent == 0) || has_login_alone(session))
                /* The other side has heard nothing yet. */
                outbox_drop(&session->out);
        else if (before != SESSION_CONNECTING && lost.code)
                session_finish(session, lost.code, "%s, and not all was sent", error_text(&lost));
        else if (before != SESSION_CONNECTING || has_start)
                is_queued = say_goodbye(session);
        error_deinit(&lost);
        /* A peer that has closed reads no more. */
        return session->cause == CAUSE_PEER ? EVENT_PEER_ANSWERED :
               is_queued && wire_awaits_close(&session->wire) ? EVENT_CLOSE_QUEUED : EVENT_CLOSED;
}

/* There is no connection: what waits for the next one is lost. */
static void close_lost(ferry_session *session)
{
        char lost[80] = "";

        session_advance(session, EVENT_CLOSE);
        calls_end(session, -ECANCELED, "this side closed the session");
        if (session_note_lost(session, true, lost, sizeof lost) == 0)
                outbox_drop(&session->out);
        session_advance(session, EVENT_CLOSED);
        session_finish(session, -ECONNRESET, "this side closed the session while it was not connected");
        session_tell(session);
}

static int begin_closing(ferry_session *session)
{
        enum session_phase before = session->phase;
        enum session_event event;
        int timeout_ms;

        /* One that has failed only waits for the other side to know. */
        if (session_has_ended(session) || (session_is_closing(session) && session->error.code)) {
                session_tell(session);
                return session->error.code;
        }
        /* Refusing what waits settles requests, and an owner that is notified of that may close the session, too. */
        if (session_is_closing(session) || session->phase == SESSION_REFUSING || session->holder == SESSION_FREED)
                return 0;
        if (session->reconnect)
                session->reconnect->table->close(session);
        if (session->phase == SESSION_LOST) {
                close_lost(session);
                return session->error.code;
        }
        session_advance(session, EVENT_CLOSE);
        timeout_ms = (session_is_overdue(session) || session->stuck_at == session->out.begin) && !session->wire.dialect->has_start ?
                             0 : session->close_timeout_ms;
        refuse_rest(session);
        /* A child that has not answered yet may never notice that its answer is not read. What is queued is sent all
         * the same. */
        if (!list_is_empty(&session->calls))
                session->grace_ms = 0;
        calls_end(session, -ECANCELED, "this side closed the session");
        event = take_leave(session, before);
        if (session_has_ended(session)) {
                session_tell(session);
                return session->error.code;
        }
        session_advance(session, event);
        if (session->output_error || !stream_has_output(session->stream))
                outbox_drop(&session->out);
        loop_timer_start(session->loop, &session->close_timer, loop_deadline(timeout_ms));
        if (session_stop_holding(session))
                session_flush_now(session);
        if (session->holder == SESSION_FREED)
                return 0;
        session_update(session);
        session_check_closing(session);
        return 0;
}

int ferry_session_close(ferry_session *session)
{
        ferry_loop *loop;
        int code;

        if (!session)
                return -ENOMEM;
        loop = session->loop;
        code = loop_refuse(loop);
        if (code)
                return code;
        loop_enter(loop);
        code = begin_closing(session);
        loop_leave(loop);
        return code;
}

#define unanswered_sentence "a request failed, which the dialect %s can report only by closing: %s"

/* Behind the end of the input: the others are still answered, and the session ends with the reason. */
static void note_unanswered(ferry_session *session, const char *reason)
{
        struct error error = { 0 };

        error_set(&error, -EPROTO, unanswered_sentence, session->wire.dialect->name, reason);
        if (session->in.end_code == 0)
                inbox_end(&session->in, -EPROTO, error_text(&error));
        dispatch_text(session, FERRY_KIND_ERROR, "", error_text(&error), strlen(error_text(&error)));
        error_deinit(&error);
}

/* A request failed, in a dialect that has no errors: the connection is closed, and the session has this reason. */
static void close_unanswered(ferry_session *session, const char *reason)
{
        if (session->phase == SESSION_DRAINING) {
                note_unanswered(session, reason);
                return;
        }
        if (!session_is_open(session) || session->error.code)
                return;
        error_replace(&session->error, -EPROTO, unanswered_sentence, session->wire.dialect->name, reason);
        dispatch_text(session, FERRY_KIND_ERROR, "", error_text(&session->error), strlen(error_text(&session->error)));
        if (session->holder == SESSION_FREED || !session_is_open(session))
                return;
        ferry_session_close(session);
        session->is_reported = false;
}

/* Freeing ------------------------------------------------------------------------------------------------ */

/* Letting go of a request answers it, and a callback may ask for the next one meanwhile. */
void session_return_lent(ferry_session *session)
{
        ferry_message *lent = session->lent;

        session->lent = NULL;
        ferry_message_unref(lent);
}

static void drop_next(ferry_session *session)
{
        ferry_message *message;

        while ((message = session_take_next(session)))
                ferry_message_unref(message);
        session_return_lent(session);
}

static void bury(struct loop_grave *grave)
{
        ferry_session *session = container_of(grave, ferry_session, grave);

        handlers_free(&session->handlers);
        error_deinit(&session->error);
        error_deinit(&session->refused);
        error_deinit(&session->call_error);
        /* A codec of the program may still be reading what it was lent. */
        inbox_deinit(&session->in);
        wire_deinit(&session->wire);
        accepting_free(session);
        subscriptions_free(session->subscriptions);
        if (session->reconnect)
                session->reconnect->table->destroy(session->reconnect);
        sys_free(session->address);
        sys_free(session);
}

void session_free(ferry_session *session)
{
        bool is_foreign = loop_is_foreign(session->loop);

        if (session->holder == SESSION_FREED)
                return;
        calls_end(session, is_foreign ? -ECHILD : -ECANCELED, "the session was freed");
        session_tell(session);
        drop_next(session);
        list_for_each(&session->messages, link)
                message_forget_session(container_of(link, ferry_message, link));
        session_advance(session, EVENT_FREED);
        if (session->reconnect)
                session->reconnect->table->free(session);
        loop_count_live(session->loop, &session->is_live, false);
        if (session->owner->freed)
                session->owner->freed(session->owner_object);
        session_set_owner(session, NULL, NULL);
        list_remove(&session->member.link);
        loop_task_stop(&session->work);
        session_stop_holding(session);
        loop_timer_stop(session->loop, &session->close_timer);
        accepting_stop(session);
        loop_timer_stop(session->loop, &session->heartbeat.timer);
        attached_deinit(session);
        if (session->stream)
                stream_free(session->stream);
        outbox_deinit(&session->out);
        map_deinit(&session->calls_by_id);
        map_deinit(&session->requests_by_id);
        loop_bury(session->loop, &session->grave, bury);
}

ferry_session *ferry_session_free(ferry_session *session)
{
        ferry_loop *loop;

        if (!session || loop_is_elsewhere(session->loop) || session->holder != SESSION_HELD)
                return NULL;
        loop = session->loop;
        session_advance(session, EVENT_FORGOTTEN);
        if (loop_is_foreign(session->loop)) {
                session_free(session);
                return NULL;
        }
        loop_enter(loop);
        handlers_remove_all(loop, &session->handlers);
        ferry_session_close(session);
        session_tell(session);
        if (session->phase == SESSION_ENDED && session->has_reported_end)
                session_free(session);
        loop_leave(loop);
        return NULL;
}
