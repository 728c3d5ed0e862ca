/* Bytes in. Invariants: reading goes on while writing waits, unless what is held for the peer is over its budget; frames are
 * handled in rounds of the loop, some at a time, so that no session keeps the others waiting; what the end of the input means is
 * decided only when all that was read before it is handled. */
#include "session/private.h"
#include "stream/replaced.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        FRAMES_PER_ROUND = 64,
        LAST_READS = 16,                /* before a session counts as one that has not spoken */
        LONG_NS = 100000,               /* a handler takes long, or what is put off has waited long enough */
        TYPE_SHOWN_MAX = 128,           /* bytes of a type, where a sentence goes on behind it */
        QUICK_CALLS = 16,               /* handlers in a row did not: then what the next ones send leaves together */
};

static bool is_over(const ferry_session *session)
{
        return session->holder == SESSION_FREED || session->phase >= SESSION_CLOSING_STREAM;
}

static void tell_error(ferry_session *session, const char *sentence)
{
        dispatch_text(session, FERRY_KIND_ERROR, "", sentence, strlen(sentence));
}

/* A frame that cannot be taken, of which kind and id may be known. */
static void refuse_frame(ferry_session *session, const struct incoming *in, int code, const char *sentence,
                         enum wire_kind answer_kind)
{
        char reason[512];
        ferry_call *call;

        snprintf(reason, sizeof reason, "%s", sentence);
        descriptors_drop(session);
        switch (in->kind) {
        case WIRE_RESPONSE:
        case WIRE_ERROR:
        case WIRE_REFUSED:
                call = replies_find_call(session, &in->id);
                if (call) {
                        call_end(call, code, FERRY_OUTCOME_REPLIED, NULL, "cannot take the answer: %s", reason);
                        session_update(session);
                        return;
                }
                break;
        case WIRE_PROGRESS:
                call = replies_find_call(session, &in->id);
                if (call) {
                        parts_fail(call, code, reason);
                        return;
                }
                break;
        case WIRE_CREDIT:
                parts_hear_credit(session, &in->id, 0);
                return;
        case WIRE_DESCRIPTORS:
                descriptors_hear(session, 0);
                return;
        case WIRE_NOTIFICATION:
        case WIRE_REQUEST:
                /* A notification has the id 0 in the dialect that can say this of it. */
                if (in->kind == WIRE_REQUEST || (answer_kind == WIRE_REFUSED && session->wire.dialect->has_cancel))
                        session_refuse_message(session, in, answer_kind, reason);
                break;
        default:
                break;
        }
        if (session->holder != SESSION_FREED)
                tell_error(session, reason);
}

static void handle_too_large(ferry_session *session, const struct frame *frame)
{
        struct incoming in;
        char sentence[256];

        wire_peek(&session->wire, frame->bytes, frame->size, &in);
        snprintf(sentence, sizeof sentence, "a message of %zu bytes, over the limit of %zu (frame_max)",
                 frame->event == FRAME_WHOLE ? frame->size : frame->declared,
                 session->wire.frame_max);
        refuse_frame(session, &in, -EMSGSIZE, sentence, WIRE_REFUSED);
}

/* Whether descriptors have come for the next message. */
static bool has_passed(const ferry_session *session)
{
        return session->descriptors && session->descriptors->passed;
}

/* No handler has settled a request. */
static void fail_unhandled(ferry_session *session, ferry_message *request)
{
        const struct handlers *own = session->front ? &session->front->handlers : &session->handlers;
        struct type_names names;
        bool is_known = handlers_take_request(own, request->type) ||
                        (session->shared_handlers && handlers_take_request(session->shared_handlers, request->type));

        names.size = 0;
        names.is_cut = false;
        if (!is_known) {
                handlers_list_types(own, NULL, &names);
                handlers_list_types(session->shared_handlers, own, &names);
        }
        if (names.size == 0)
                message_fail(request, WIRE_ERROR, "the receiver has no handler for the request '%s'", request->type);
        else
                message_fail(request, WIRE_ERROR, "the receiver has no handler for the request '%.*s'; it has handlers for %s%s",
                             TYPE_SHOWN_MAX, request->type, names.text, names.is_cut ? " and others" : "");
}

/* To the handlers; a request that none of them takes is answered all the same. The message is used up. */
static void deliver(ferry_session *session, ferry_message *message)
{
        enum ferry_kind kind = message->kind;
        enum verdict verdict = dispatch(session, message);

        if (session->holder != SESSION_FREED && message->failure)
                message_fail(message, WIRE_ERROR, "the handler failed: %s", error_describe(message->failure));
        if (session->holder != SESSION_FREED && kind == FERRY_KIND_MESSAGE && verdict != TAKEN)
                message_relax(message);
        if (session->holder != SESSION_FREED && kind == FERRY_KIND_REQUEST && verdict != TAKEN && message->is_unanswered)
                fail_unhandled(session, message);
        ferry_message_unref(message);
}

/* An error that names no request concerns the conversation. */
static bool is_general(const struct incoming *in)
{
        return in->kind == WIRE_REFUSED && in->id.size == 8 && memcmp(in->id.bytes, (const char[8]){ 0 }, 8) == 0;
}

static void handle_general(ferry_session *session, const struct frame *frame, const struct incoming *in)
{
        struct incoming general = *in;
        ferry_message *message;

        general.id = (struct raw_text){ 0 };
        descriptors_drop(session);
        message = message_new(session, FERRY_KIND_ERROR, frame, &general);
        if (message)
                deliver(session, message);
        else
                session_finish(session, -ENOMEM, "no memory for a message");
}

/* The same of a request whose sender learns that it is in hand. */
static void deliver_accepted(ferry_session *session, ferry_message *request)
{
        int64_t began = session->handled_at ? session->handled_at : sys_now();

        request->references++;
        deliver(session, request);
        if (session->holder != SESSION_FREED) {
                session->handled_at = sys_now();
                accepting_end(session, request, session->handled_at - began);
        }
        ferry_message_unref(request);
}

static void handle_message(ferry_session *session, const struct frame *frame, const struct incoming *in)
{
        enum ferry_kind kind = in->kind == WIRE_MESSAGE ? FERRY_KIND_MESSAGE :
                               in->kind == WIRE_REQUEST ? FERRY_KIND_REQUEST :
                                                          FERRY_KIND_NOTIFICATION;
        ferry_message *message = message_new(session, kind, frame, in);

        if (!message && kind == FERRY_KIND_MESSAGE) {
                /* It is acknowledged, and there is no way to say that no answer will come. */
                session_finish(session, -ENOMEM, "no memory for a message");
                return;
        }
        if (!message) {
                refuse_frame(session, in, -ENOMEM, "no memory for a message", WIRE_REFUSED);
                return;
        }
        if (has_passed(session))
                descriptors_give(session, message);
        /* Shared parts are only found out by decoding. */
        if (in->check.has_references && !ferry_message_body(message)) {
                refuse_frame(session, in, -EBADMSG, "a message whose references are wrong, or too many", WIRE_ERROR);
                message_settle(message);
                ferry_message_unref(message);
                return;
        }
        if (session->is_debugged)
                debug_message(session, "<", kind == FERRY_KIND_REQUEST ? "request" :
                                            kind == FERRY_KIND_MESSAGE ? "message" :
                                                                         "notification",
                              ferry_message_type(message), ferry_message_body(message));
        if (in->wants_acceptance && accepting_begin(session, message))
                deliver_accepted(session, message);
        else
                deliver(session, message);
}

/* A message that says neither that it answers nor that it wants an answer. */
static void handle_any(ferry_session *session, const struct frame *frame, const struct incoming *in)
{
        struct outgoing received = { .kind = WIRE_RECEIVED };
        struct error error = { 0 };
        int code = 0;

        /* Before it is greeted a server hears nothing, and from a server nothing comes before its greeting. */
        if (!session_is_open(session) || (!session_is_greeted(session) && session->is_server))
                return;
        if (!session_is_greeted(session)) {
                session_finish(session, -EBADMSG, "the other side has not begun as its dialect requires");
                return;
        }
        /* First of all: its sender waits for this, and would take anything else for it. */
        if (session->is_server && session->wire.dialect->has_received)
                code = session_send(session, &received, true, NULL, &error);
        error_deinit(&error);
        if (code == -ENOMEM)
                session_finish(session, -ENOMEM, "no memory to acknowledge a message");
        else if (replies_find_answered(session))
                replies_hear(session, frame, in);
        else
                handle_message(session, frame, in);
        if (session->holder != SESSION_FREED && session_is_open(session))
                session_flush_now(session);
}

static void handle_cancel(ferry_session *session, const struct incoming *in)
{
        struct map_node *node = map_find(&session->requests_by_id, in->id.bytes, in->id.size);
        ferry_message *request;

        if (!node)
                return;
        request = ferry_message_ref(container_of(node, ferry_message, node));
        message_settle(request);
        request->kind = FERRY_KIND_CANCELLED;
        if (!list_is_empty(&request->queue_link)) {
                list_remove(&request->queue_link);
                ferry_message_unref(request);
                ferry_message_unref(request);
                return;
        }
        deliver(session, request);
}

/* Frames ------------------------------------------------------------------------------------------------- */

/* Descriptors have come for this frame: whether it goes on. */
static bool take_passed(ferry_session *session, const struct incoming *in)
{
        if (in->kind != WIRE_NOTIFICATION && in->kind != WIRE_REQUEST && in->kind != WIRE_RESPONSE) {
                descriptors_end_peer(session, "it has announced some for no message");
                return false;
        }
        if (!session->descriptors->passed->is_cut)
                return true;
        refuse_frame(session, in, -EMFILE, "no descriptor is left for those that came with a message", WIRE_REFUSED);
        return false;
}

static void handle_incoming(ferry_session *session, const struct frame *frame, const struct incoming *in)
{
        bool is_message = in->kind == WIRE_NOTIFICATION || in->kind == WIRE_REQUEST || in->kind == WIRE_MESSAGE;

        /* A session that is closed hears only what concerns that, and its login. */
        if (session->wire.dialect->has_login && session_is_closing(session) && (is_message || in->kind == WIRE_RESPONSE)) {
                if (in->kind == WIRE_REQUEST && session->phase == SESSION_AWAITING_CLOSE)
                        session_refuse_late(session, in);
                return;
        }
        if (is_message && session->owner->spoke && !session->owner->spoke(session->owner_object)) {
                descriptors_drop(session);
                return;
        }
        if (has_passed(session) && !take_passed(session, in))
                return;
        if (in->kind == WIRE_NOTIFICATION && session->wire.selection == WIRE_SELECTION_AWAITED) {
                descriptors_drop(session);
                return;
        }
        switch (in->kind) {
        case WIRE_NOTIFICATION:
        case WIRE_REQUEST:
                handle_message(session, frame, in);
                break;
        case WIRE_RESPONSE:
        case WIRE_ERROR:
        case WIRE_REFUSED:
                if (is_general(in))
                        handle_general(session, frame, in);
                else
                        replies_hear(session, frame, in);
                break;
        case WIRE_MESSAGE:
                handle_any(session, frame, in);
                break;
        case WIRE_PROGRESS:
                replies_hear_part(session, frame, in);
                break;
        case WIRE_ACCEPTED:
                replies_hear_accepted(session, in);
                break;
        case WIRE_CANCEL:
                handle_cancel(session, in);
                break;
        default:
                control_handle(session, frame, in);
        }
}

/* Most sessions know their dialect from the first frame on. */
static int read_whole(struct wire *wire, const struct frame *frame, struct incoming *in, struct error *error)
{
        const struct dialect *dialect = wire->dialect;
        int code;

        if (!wire->is_dialect_fixed)
                return wire_read(wire, frame->bytes, frame->size, in, error);
        *in = (struct incoming){ .kind = WIRE_UNKNOWN };
        code = dialect->read(wire, frame->bytes, frame->size, in, error);
        if (code)
                wire_note_spoken(wire, frame->bytes, frame->size);
        else
                wire->peer_dialect = dialect;
        return code;
}

static void handle_whole(ferry_session *session, const struct frame *frame)
{
        struct error error = { 0 };
        struct incoming in;
        int code = read_whole(&session->wire, frame, &in, &error);

        /* A codec of the program, which has decoded the body, may have let go of the session. */
        if (is_over(session)) {
                ferry_value_unref(in.value);
                error_deinit(&error);
                return;
        }
        session->received++;
        if (!code)
                handle_incoming(session, frame, &in);
        else if (session->wire.dialect->framing->has_magic || (session->wire.dialect->framing->keeps_step && in.kind != WIRE_UNKNOWN))
                refuse_frame(session, &in, code, error_text(&error), WIRE_ERROR);
        else {
                list_for_each(&session->calls, link)
                        container_of(link, ferry_call, link)->is_unread |= in.is_denied;
                session_finish(session, code, "%s sent %s", session_peer_name(session), error_text(&error));
        }
        /* Last: texts of @in and of the sentence may point into it. */
        ferry_value_unref(in.value);
        error_deinit(&error);
}

static const char *junk_source(const ferry_session *session, int input)
{
        const char *source = session->stream->kind->junk_source;

        return input > 0 ? "stderr" : source ? source : "input";
}

static void handle(ferry_session *session, const struct inbox_event *event)
{
        const struct frame *frame = &event->frame;

        switch (frame->event) {
        case FRAME_WHOLE:
                if (frame->size > session->wire.frame_max && wire_is_over_limit(&session->wire, frame->bytes, frame->size))
                        handle_too_large(session, frame);
                else
                        handle_whole(session, frame);
                break;
        case FRAME_JUNK:
                session->junk += frame->size;
                dispatch_text(session, FERRY_KIND_JUNK, junk_source(session, event->input), frame->bytes, frame->size);
                break;
        case FRAME_TOO_LARGE:
                handle_too_large(session, frame);
                break;
        }
}

/* The end of the input ----------------------------------------------------------------------------------- */

/* Whether the other side should have said that it closes, and has not. No close is due where nothing was exchanged. */
static bool is_close_missing(const ferry_session *session)
{
        const struct dialect *dialect = session->wire.dialect;

        /* A server that begins conversations (innmind) closes them when it stops; its clients may just go. */
        if (dialect->has_start && session->is_server)
                return false;
        return session_is_open(session) && dialect->has_close && !session->wire.is_peer_one_way &&
               (dialect->has_start || session->received > 0 || session->sent > 0 || session->wire.has_said_hello) &&
               stream_expects_close(session->stream);
}

/* The input has ended without a close. The end is reported once all that was read is answered. */
static void end_in_disorder(ferry_session *session, bool is_cut)
{
        const char *end = inbox_end_sentence(&session->in);
        char sentence[256];

        if (session->wire.dialect->has_login)
                snprintf(sentence, sizeof sentence, "the connection to the NATS server is lost: %s", end);
        else if (is_cut)
                snprintf(sentence, sizeof sentence, "the connection broke in the middle of a message: %s", end);
        else
                snprintf(sentence, sizeof sentence, "%s without a close: it was killed, or gave up", end);
        inbox_end(&session->in, -ECONNRESET, sentence);
}

/* Whether the other side still waits for something, and may still read it. */
static bool may_drain(const ferry_session *session)
{
        return (session->phase == SESSION_GREETING || session->phase == SESSION_OPEN) && !session->output_error &&
               (outbox_size(&session->out) > 0 || session->unanswered > 0) && stream_is_read(session->stream);
}

static void drain(ferry_session *session)
{
        ferry_session *former = session_part(session, false);
        char end[256];

        snprintf(end, sizeof end, "%s", inbox_end_sentence(&former->in));
        /* First, because the flush below would send requests that can have no answer: those of which nothing has left are
         * taken back. */
        calls_end(former, -ECONNRESET, end);
        session_lose(session, former, end);
        session_advance(former, EVENT_INPUT_ENDED);
        session_flush_now(former);
}

/* All has been read: what is left in a reader is junk, or half a frame. */
static void finish_input(ferry_session *session)
{
        struct inbox_event event;
        bool is_cut = false, may_answer;

        for (int i = 0; i < STREAM_INPUTS && session->holder != SESSION_FREED; i++) {
                int result = inbox_finish(&session->in, i, &event);

                is_cut = is_cut || (i == 0 && result < 0);
                if (result > 0)
                        handle(session, &event);
        }
        if (is_over(session))
                return;
        if (session->in.end_code == 0 && !session_is_greeted(session) && !session->is_server) {
                session_finish(session, -ECONNRESET, "%s ended before its first message", session_peer_name(session));
                return;
        }
        may_answer = session->in.end_code == 0 && may_drain(session);
        if (session->in.end_code == 0 && (is_cut || is_close_missing(session)))
                end_in_disorder(session, is_cut);
        session_note_lost_output(session);
        if (may_answer)
                drain(session);
        else
                session_finish(session, session->in.end_code, "%s", inbox_end_sentence(&session->in));
}

/* Where the peer answers a close, what it says until then is still heard; elsewhere the inbox of a session that closes gives
 * nothing. */
static bool may_handle(const ferry_session *session)
{
        return session->phase > SESSION_CONNECTING && session->phase != SESSION_DRAINING && session->phase != SESSION_PEER_CLOSING &&
               !is_over(session) && !loop_is_foreign(session->loop);
}

/* Rounds ------------------------------------------------------------------------------------------------- */

/* Where the program has not chosen the dialect, the service must have said that it speaks ours. */
static bool may_announce(ferry_session *session)
{
        char sentence[256];
        int spoken;

        if (session->wire.has_said_hello || session->is_server || !session_is_open(session) ||
            !session->wire.dialect->has_hello || !session->stream->kind->is_client)
                return false;
        if (session->wire.is_dialect_fixed)
                return true;
        spoken = stream_spoken(session->stream);
        if (spoken < 0) {
                snprintf(sentence, sizeof sentence, "cannot read the lock file of '%s', which names its dialects: %s; until"
                                                    " this side sends something, it misses notifications to all clients",
                         session->address, error_describe(spoken));
                dispatch_text(session, FERRY_KIND_ERROR, "", sentence, strlen(sentence));
        }
        return spoken > 0 && ((unsigned)spoken & session->wire.dialect->number);
}

static void announce(ferry_session *session)
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

/* FERRY_KIND_CLOSED, once, from a round of the loop. */
static void report_end(ferry_session *session)
{
        const char *sentence = error_text(&session->error);

        /* How a child exits is part of it. */
        if (session->has_reported_end || (session->stream && stream_hears_child(session->stream)))
                return;
        session->has_reported_end = true;
        if (session->owner->ending)
                session->owner->ending(session->owner_object);
        if (session->holder == SESSION_FREED)
                return;
        /* A handler may stop the loop with the errno, and then the loop is asked what it means. */
        if (session->error.code && !session->owner->expects_failures)
                error_replace(&session->loop->error, session->error.code, "%s", sentence);
        if (!session->is_hidden)
                dispatch_text(session, FERRY_KIND_CLOSED, "", sentence, strlen(sentence));
        /* Neither a call nor a handler knows: run must say it. */
        if (session->holder != SESSION_FREED && session->error.code && session->cause == CAUSE_FAILURE && !session->is_reported &&
            !session->owner->expects_failures)
                loop_failure_add(session->loop, &session->failure, &session->error);
        if (session->holder != SESSION_FREED && session->owner->ended)
                session->owner->ended(session->owner_object);
        if (session->holder == SESSION_FORGOTTEN && session->phase == SESSION_ENDED)
                session_free(session);
}

/* Replies to what was read together leave together, as long as handlers are quick: a slow one would keep those before it waiting.
 * So what handlers send is put off once some in a row took no longer than LONG_NS, until a handler does, the first of it is as
 * old, or all are called. A message that was read alone is answered at once, and no clock is read for it. */
struct gathering {
        uint64_t sent;
        int64_t since, at;      /* the first and the last time at which something had been sent; 0: nothing was */
};

static void begin_gathering(ferry_session *session)
{
        if (session->quick == QUICK_CALLS)
                session->loop->is_gathering = true;
}

/* A handler has returned. */
static void note_pace(ferry_session *session, struct gathering *gathering)
{
        int64_t now;

        if (session->sent == gathering->sent && list_is_empty(&session->loop->put_off)) {
                session->handled_at = 0;
                return;
        }
        now = session->handled_at != gathering->at && session->handled_at ? session->handled_at : sys_now();
        session->handled_at = now;
        gathering->sent = session->sent;
        if (gathering->at && now - gathering->at > LONG_NS)
                session->quick = 0;
        else if (gathering->at && session->quick < QUICK_CALLS)
                session->quick++;
        gathering->at = now;
        if (!gathering->since)
                gathering->since = now;
        if (session->quick == 0 || now - gathering->since > LONG_NS) {
                gathering->since = 0;
                loop_catch_up(session->loop);
        }
}

/* The events that there are, as many as are @left. The result of the last inbox_next(). */
static int handle_some(ferry_session *session, int *left)
{
        struct inbox *in = &session->in;
        struct gathering gathering = { .sent = session->sent };
        struct inbox_event event;
        bool has_more = false;
        int result = 0;

        while (*left > 0 && !inbox_is_idle(in) && may_handle(session) && (result = inbox_next(in, &event)) > 0) {
                bool is_last = inbox_held(in, event.input) == 0;

                /* A handler that waits must find what has been read behind its message. */
                if (!is_last || in->is_over)
                        loop_task_start(session->loop, &session->work);
                if (!is_last)
                        begin_gathering(session);
                has_more = has_more || !is_last;
                handle(session, &event);
                block_unref(event.frame.block);
                --*left;
                if (has_more && !is_over(session) && !loop_is_foreign(session->loop))
                        note_pace(session, &gathering);
        }
        if (has_more)
                loop_catch_up(session->loop);
        session->handled_at = 0;
        return result;
}

/* The queue has room again. */
static void report_room(ferry_session *session)
{
        session->flow = FLOW_FREE;
        if (session_can_send(session))
                dispatch_text(session, FERRY_KIND_DRAINED, "", "", 0);
}

void session_work(struct loop_task *task)
{
        ferry_session *session = container_of(task, ferry_session, work);
        struct inbox *in = &session->in;
        int left = FRAMES_PER_ROUND, result;

        if (session->phase >= SESSION_CLOSING_STREAM) {
                report_end(session);
                return;
        }
        if (!session->has_reported_opened && session->phase == SESSION_OPEN) {
                session->has_reported_opened = true;
                if (!session->is_hidden)
                        dispatch_text(session, FERRY_KIND_OPENED, "", "", 0);
                if (session->holder != SESSION_FREED)
                        announce(session);
        }
        if (session->flow == FLOW_DRAINED)
                report_room(session);
        result = handle_some(session, &left);
        if (result < 0 && may_handle(session)) {
                inbox_discard(in);
                if (result == -EBADMSG)
                        session_finish(session, result, "%s sent bytes that are not a frame of its dialect", session_peer_name(session));
                else
                        session_finish(session, result, result == -EMSGSIZE ? "a message over the limit (frame_max)" : "no memory for a message");
        }
        if (is_over(session) || loop_is_foreign(session->loop))
                return;
        /* Nothing more is read until what was read is handled. */
        in->is_behind = left == 0;
        if (in->is_behind)
                loop_task_start(session->loop, &session->work);
        else if (in->is_over && session->phase != SESSION_CONNECTING && session->phase != SESSION_DRAINING) {
                finish_input(session);
                return;
        }
        /* The last answer may have been given meanwhile. */
        if (session->phase == SESSION_DRAINING)
                session_check_closing(session);
        /* Another connection has taken its place, and all that was in flight is finished. */
        if (session->front && session->phase == SESSION_OPEN && list_is_empty(&session->calls) && session->unanswered == 0 &&
            outbox_size(&session->out) == 0)
                ferry_session_close(session);
        session_update(session);
}

bool session_has_spoken(ferry_session *session)
{
        for (int i = 0; i < LAST_READS && session->received == 0 && session_is_open(session); i++) {
                struct pollfd poll = { .fd = session->stream->inputs[0].fd, .events = POLLIN };

                if (sys_poll(&poll, 1, 0) <= 0)
                        break;
                session_stream_owner.readable(session->stream);
                session_work(&session->work);
        }
        return session->holder == SESSION_FREED || session->received > 0;
}

/* The stream --------------------------------------------------------------------------------------------- */

static void readable(struct stream *stream)
{
        ferry_session *session = stream->object;

        for (int i = 0; i < STREAM_INPUTS; i++) {
                size_t size;
                void *room;
                ssize_t got;

                if (stream->inputs[i].way == ENDPOINT_NONE || stream->is_input_ended[i])
                        continue;
                room = inbox_reserve(&session->in, i, &size);
                if (!room) {
                        session_finish(session, -ENOMEM, "no memory for a message");
                        return;
                }
                got = stream_read(stream, i, room, size);
                inbox_commit(&session->in, i, got > 0 ? (size_t)got : 0);
                if (stream->passing && stream->passing->is_flooded) {
                        descriptors_end_peer(session, "it has sent more than may wait");
                        return;
                }
        }
        if (!is_over(session))
                loop_task_start(session->loop, &session->work);
}

static void writable(struct stream *stream)
{
        session_flush_now(stream->object);
}

/* Is this peer one to talk to? */
static bool is_allowed(ferry_session *session)
{
        const ferry_peer *peer = &session->stream->peer;
        uid_t own = sys_uid();

        session->stranger = session->stream->is_peer_known && own != 0 && peer->uid != own ? peer : NULL;
        if (!session->stream->is_peer_known || peer->uid == own || peer->uid == 0)
                return true;
        return session->settings.allow && session->settings.allow(session, peer, session->settings.allow_userdata);
}

/* Whether the service speaks the dialect that the program has chosen, as far as it says so. If not, no request would be answered. */
static bool is_understood(ferry_session *session)
{
        const struct dialect *chosen = session->wire.dialect, *dialect;
        char names[128] = "";
        int spoken;

        if (session->is_server || !session->wire.is_dialect_fixed || !session->stream->kind->is_client)
                return true;
        spoken = stream_spoken(session->stream);
        if (spoken <= 0 || ((unsigned)spoken & chosen->number))
                return true;
        for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                if ((unsigned)spoken & dialect->number)
                        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "", dialect->name);
        session_finish(session, -EPROTO, "the service at '%s' does not speak %s, but %s", session->address, chosen->name, names);
        return false;
}

void session_opened(ferry_session *session)
{
        char reason[64];

        if (!is_allowed(session)) {
                snprintf(reason, sizeof reason, "user %u may not use this service", (unsigned)session->stream->peer.uid);
                if (session->is_server)
                        session_refuse_all(session, reason);
                session_finish(session, -EACCES, "the other side runs as user %u, which allow does not admit",
                               (unsigned)session->stream->peer.uid);
                return;
        }
        if (!is_understood(session))
                return;
        if (session->is_server)
                replaced_expect(session->stream);
        /* It may have been closed here meanwhile: then only what is queued goes out. */
        session_advance(session, EVENT_STREAM_UP);
        if (session->reconnect && !session->wire.dialect->has_login)
                session->reconnect->table->resume(session);
        if (session->holder == SESSION_FREED)
                return;
        if (session->wire.dialect->has_login)
                heartbeat_restart(session);
        if (session->wire.dialect->has_whole_frames)
                session->wire.send_max = stream_make_room(session->stream, session->wire.send_max);
        loop_task_start(session->loop, &session->work);
        session_update(session);
}

static void opened(struct stream *stream)
{
        ferry_session *session = stream->object;

        session_opened(session);
        if (session_is_open(session))
                session_flush_now(session);
}

void session_add_text(ferry_session *session, const char *source, const char *bytes, size_t size)
{
        session->junk += size;
        dispatch_text(session, FERRY_KIND_JUNK, source, bytes, size);
}

static void text(struct stream *stream, const char *source, const char *bytes, size_t size)
{
        session_add_text(stream->object, source, bytes, size);
}

/* What was read before is still to be handled. */
static void ended(struct stream *stream, int code, const char *sentence)
{
        ferry_session *session = stream->object;

        if (session->in.is_over || session_has_ended(session))
                return;
        /* A peer that has closed in order need not read what is said to it afterwards; messages that are queued are counted as
         * lost. */
        if (session->phase == SESSION_PEER_CLOSING && code == -ECONNRESET && session->output_error == -EPIPE)
                inbox_end(&session->in, 0, "the other side has closed the session");
        else
                inbox_end(&session->in, code, sentence);
        if (session->phase == SESSION_CONNECTING)
                session_finish(session, code ? code : -ECONNRESET, "%s", sentence);
        else
                loop_task_start(session->loop, &session->work);
}

static void closed(struct stream *stream, int code, const char *sentence)
{
        ferry_session *session = stream->object;

        session_stream_closed(session, code, sentence);
        if (session->holder == SESSION_FORGOTTEN && session->has_reported_end)
                session_free(session);
}

const struct stream_owner session_stream_owner = {
        .opened = opened,
        .readable = readable,
        .writable = writable,
        .text = text,
        .ended = ended,
        .closed = closed,
};
