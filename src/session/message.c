/* Messages that have come in. Invariants: the bytes of a message are decoded at most once; a request is answered
 * exactly once, by whoever first does, or by an error when the last hold on it goes. */
#include "session/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ID_TEXT_ROOM = 16 };     /* and twice the size of the id */

static void add_to_session(ferry_message *message, ferry_session *session)
{
        message->session = session;
        list_append(&session->messages, &message->link);
}

/* Room for a message and @size bytes behind it. */
static ferry_message *allocate(size_t size)
{
        ferry_message *message = sys_alloc(sizeof *message + size);

        if (!message)
                return NULL;
        *message = (ferry_message){ .block = { .references = 1 }, .references = 1, .type = "", .id = "" };
        list_init(&message->link);
        list_init(&message->queue_link);
        list_init(&message->unasked_link);
        return message;
}

static void take_request(ferry_message *message)
{
        ferry_session *session = message->session;

        message->is_unanswered = message->is_counted = true;
        message->cost = sizeof *message + message->body_size;
        session->held += message->cost;
        session->unanswered++;
        if (message->id_size == 0)
                return;
        message->node.key = message->id;
        message->node.key_size = message->id_size;
        /* A peer that uses an id twice has itself to blame: the first one is the one it can cancel. */
        if (!map_find(&session->requests_by_id, message->id, message->id_size))
                map_add(&session->requests_by_id, &message->node);
        else
                message->node.key = NULL;
}

static int decode(ferry_message *message)
{
        const struct native_codec *native = codec_native(message->codec);
        int error;

        message->is_decoded = true;
        if (!message->tree) {
                error = codec_decode_block(native, message->payload, message->body_bytes, message->body_size,
                                           &message->check, &message->tree);
                if (error)
                        return error;
        }
        message->body = message->property ? ferry_value_get(message->tree, message->property) : message->tree;
        if (message->body)
                return 0;
        /* The peer has left it out. */
        ferry_value_unref(message->tree);
        message->body = message->tree = ferry_value_pack(NULL);
        return message->body ? 0 : -ENOMEM;
}

ferry_message *message_new(ferry_session *session, enum ferry_kind kind, const struct frame *frame,
                           const struct incoming *in)
{
        size_t inline_size = frame->block ? 0 : in->body_size + 1;
        /* Only requests and replies have one, whatever stands there. */
        struct raw_text none = { 0 }, id = kind == FERRY_KIND_NOTIFICATION ? none : in->id;
        ferry_message *message = allocate(in->type.size + 1 + id.size * 3 + 1 + ID_TEXT_ROOM + inline_size);
        char *at;

        if (!message)
                return NULL;
        message->kind = kind;
        message->codec = in->codec;
        message->body_size = in->body_size;
        message->check = in->check;
        message->property = in->property;
        message->tree = ferry_value_ref(in->value);
        at = (char *)(message + 1);
        message->type = at;
        at += raw_text_copy(&in->type, at) + 1;
        message->id = at;
        message->id_size = raw_text_copy(&id, at);
        at += id.size + 1;
        message->id_text = at;
        *at = '\0';
        message->dialect = session->wire.dialect;
        at += id.size * 2 + ID_TEXT_ROOM;
        if (frame->block) {
                message->payload = frame->block;
                block_ref(frame->block);
                message->body_bytes = (char *)(uintptr_t)frame->bytes + in->body_offset;
        } else {
                message->payload = &message->block;
                message->body_bytes = at;
                memcpy(at, frame->bytes + in->body_offset, in->body_size);
        }
        add_to_session(message, session);
        if (kind & FERRY_KIND_REQUEST)
                take_request(message);
        return message;
}

ferry_message *message_new_text(ferry_session *session, enum ferry_kind kind, const char *type, const char *bytes,
                                size_t size)
{
        ferry_message *message = allocate(strlen(type) + 1);
        ferry_builder builder;

        if (!message)
                return NULL;
        message->kind = kind;
        message->type = memcpy(message + 1, type, strlen(type) + 1);
        message->is_decoded = true;
        builder_init(&builder, arena_new(size + 64));
        builder_add_string(&builder, bytes, size);
        message->tree = builder_take(&builder);
        message->body = message->tree;
        if (!message->tree && builder.arena)
                arena_unref(builder.arena);
        builder_deinit(&builder);
        add_to_session(message, session);
        return message;
}

/* Its input is over, and it stays for the next answer, or ends. */
static void keep_draining(ferry_session *session)
{
        if (session->is_freed || loop_is_foreign(session->loop))
                return;
        session_start_draining_timer(session);
        loop_task_start(session->loop, &session->work);
}

/* It costs its session nothing now. */
void message_relax(ferry_message *request)
{
        if (!request->is_counted)
                return;
        request->is_counted = false;
        if (!request->session)
                return;
        request->session->unanswered--;
        request->session->held -= request->cost;
        request->cost = 0;
        session_update(request->session);
        if (request->session->owner->settled)
                request->session->owner->settled(request->session);
        if (request->session->state == SESSION_DRAINING)
                keep_draining(request->session);
}

/* It is answered, or nobody waits any more. */
void message_settle(ferry_message *request)
{
        if (!request->is_unanswered)
                return;
        request->is_unanswered = false;
        if (request->session && request->node.key)
                map_remove(&request->session->requests_by_id, &request->node);
        message_relax(request);
}

void message_forget_session(ferry_message *message)
{
        message_settle(message);
        list_remove(&message->link);
        list_remove(&message->queue_link);
        list_remove(&message->unasked_link);
        message->session = NULL;
}

/* Until its session has gone it belongs to the loop of that. */
static bool is_elsewhere(const ferry_message *message)
{
        return message->session && loop_is_elsewhere(message->session->loop);
}

ferry_message *ferry_message_ref(const ferry_message *message)
{
        ferry_message *held = (ferry_message *)(uintptr_t)message;

        if (!held || is_elsewhere(held))
                return NULL;
        held->references++;
        return held;
}

ferry_message *ferry_message_unref(ferry_message *message)
{
        if (!message || is_elsewhere(message) || --message->references > 0)
                return NULL;
        if (message->is_unanswered && message->session) {
                ferry_loop *loop = message->session->loop;

                /* More than any callback can let go of. */
                message->references = SIZE_MAX / 2;
                loop_enter(loop);
                if (message->session->wire.dialect->has_errors)
                        message_fail(message, WIRE_ERROR, "the request was let go without an answer");
                else
                        message_settle(message);
                loop_leave(loop);
        }
        list_remove(&message->link);
        list_remove(&message->queue_link);
        list_remove(&message->unasked_link);
        ferry_value_unref(message->tree);
        if (message->payload != &message->block)
                block_unref(message->payload);
        block_unref(&message->block);
        return NULL;
}

enum ferry_kind ferry_message_kind(const ferry_message *message)
{
        return message && !is_elsewhere(message) ? message->kind : 0;
}

const char *ferry_message_type(const ferry_message *message)
{
        return message && !is_elsewhere(message) ? message->type : "";
}

const ferry_value *ferry_message_body(const ferry_message *message)
{
        ferry_message *decoded = (ferry_message *)(uintptr_t)message;

        if (!message || is_elsewhere(message))
                return NULL;
        if (!message->is_decoded && message->body_size == 0 && message->codec != &codec_bytes.codec) {
                decoded->tree = ferry_value_pack(NULL);
                decoded->body = decoded->tree;
                decoded->is_decoded = true;
        }
        if (!message->is_decoded)
                decode(decoded);
        return message->body;
}

const ferry_value *ferry_message_get(const ferry_message *message, const char *key)
{
        return ferry_value_get(ferry_message_body(message), key);
}

const char *ferry_message_text(const ferry_message *message)
{
        const ferry_value *body = ferry_message_body(message);
        const char *text = ferry_value_text(body, NULL);

        if (!text)
                text = ferry_value_text(ferry_value_get(body, "message"), NULL);
        if (!text)
                text = ferry_value_text(ferry_value_get(body, "errorMessage"), "");
        return text;
}

const char *ferry_message_id(const ferry_message *message)
{
        if (!message || is_elsewhere(message) || message->id_size == 0)
                return "";
        if (!*message->id_text)
                message->dialect->id_text(message->id, message->id_size, message->id_text);
        return message->id_text;
}

ferry_session *ferry_message_session(const ferry_message *message)
{
        return message && !is_elsewhere(message) ? message->session : NULL;
}

bool ferry_message_is_wanted(const ferry_message *request)
{
        return request && request->session && !is_elsewhere(request) && request->is_unanswered &&
               (request->session->state == SESSION_OPEN || request->session->state == SESSION_DRAINING);
}

/* Answering ------------------------------------------------------------------------------------------- */

static int check_answerable(const ferry_message *request, struct error *error)
{
        if (!request)
                return -ENOMEM;
        if (is_elsewhere(request))
                return -EPERM;
        if (request->kind == FERRY_KIND_CANCELLED)
                return -ECANCELED;
        if (!(request->kind & FERRY_KIND_REQUEST))
                return -EINVAL;
        if (!request->session)
                return -ENOTCONN;
        if (!request->is_unanswered)
                return -EALREADY;
        return session_status_for_sending(request->session, error);
}

static struct outgoing answer_to(const ferry_message *request, enum wire_kind kind, const char *type)
{
        return (struct outgoing){
                .kind = kind,
                .id = request->id,
                .id_size = request->id_size,
                .type = type ? type : request->type,
                /* A peer that asks in a codec of ours can read it; one of the program's own is the session's. */
                .codec = request->codec && codec_native(request->codec) ? request->codec : NULL,
        };
}

/* A callback may let go of the message, and of all that it came by. */
static ferry_loop *enter(ferry_message *request)
{
        ferry_loop *loop = request->session->loop;

        loop_enter(loop);
        request->references++;
        return loop;
}

static void leave(ferry_message *request, ferry_loop *loop)
{
        ferry_message_unref(request);
        loop_leave(loop);
}

int ferry_message_reply(const ferry_message *request, const char *type, const char *format, ...)
{
        ferry_message *answered = (ferry_message *)(uintptr_t)request;
        struct outgoing outgoing;
        struct error error = { 0 };
        va_list arguments;
        ferry_loop *loop;
        int code = check_answerable(request, &error);

        if (!code) {
                loop = enter(answered);
                outgoing = answer_to(request, WIRE_RESPONSE, type);
                va_start(arguments, format);
                code = session_send_template(request->session, &outgoing, true, NULL, &error, format, arguments);
                va_end(arguments);
                if (!code)
                        message_settle(answered);
                leave(answered, loop);
        }
        error_deinit(&error);
        return code;
}

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

int ferry_message_reply_value(const ferry_message *request, const char *type, const ferry_value *body)
{
        return ferry_message_reply(request, type, "%p", ferry_arg(body));
}

__attribute__((__format__(__printf__, 3, 0)))
static int fail(ferry_message *request, enum wire_kind kind, const char *format, va_list arguments)
{
        struct outgoing outgoing = answer_to(request, kind, NULL);
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
                        session_close_unanswered(session, text);
                return 0;
        }
        if (kind == WIRE_REFUSED && !session->wire.dialect->has_cancel)
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

__attribute__((__format__(__printf__, 3, 0)))
static int try_to_fail(const ferry_message *request, enum wire_kind kind, const char *format, va_list arguments)
{
        ferry_message *answered = (ferry_message *)(uintptr_t)request;
        struct error error = { 0 };
        ferry_loop *loop;
        int code = check_answerable(request, &error);

        error_deinit(&error);
        if (code)
                return code;
        loop = enter(answered);
        code = fail(answered, kind, format, arguments);
        leave(answered, loop);
        return code;
}

int ferry_message_fail(const ferry_message *request, const char *format, ...)
{
        va_list arguments;
        int code;

        va_start(arguments, format);
        code = try_to_fail(request, WIRE_ERROR, format, arguments);
        va_end(arguments);
        return code;
}

int ferry_message_refuse(const ferry_message *request, const char *format, ...)
{
        va_list arguments;
        int code;

        va_start(arguments, format);
        code = try_to_fail(request, WIRE_REFUSED, format, arguments);
        va_end(arguments);
        return code;
}

int ferry_message_fail_text(const ferry_message *request, const char *text)
{
        return ferry_message_fail(request, "%s", text ? text : "");
}

int ferry_message_refuse_text(const ferry_message *request, const char *text)
{
        return ferry_message_refuse(request, "%s", text ? text : "");
}

void message_fail(ferry_message *request, enum wire_kind kind, const char *format, ...)
{
        struct error error = { 0 };
        va_list arguments;

        if (check_answerable(request, &error) == 0) {
                va_start(arguments, format);
                /* Who asked must not wait for what will never come. */
                if (fail(request, kind, format, arguments) == -ENOMEM && request->session)
                        session_finish(request->session, -ENOMEM, "no memory for an answer");
                va_end(arguments);
        }
        /* Whatever has become of the answer: nobody will give another. */
        message_settle(request);
        error_deinit(&error);
}
