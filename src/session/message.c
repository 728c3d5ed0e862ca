/* Messages that have come in: what they are and say. Invariant: the bytes of a message are decoded at most once. What becomes
 * of requests is decided elsewhere: reply.c. */
#include "session/private.h"

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
static ferry_message *allocate(struct reserve *reserve, size_t size)
{
        size_t room;
        ferry_message *message = pile_take(&reserve->messages, sizeof *message + size, &room);

        if (!message)
                return NULL;
        *message = (ferry_message){ .block = { .references = 1 }, .room = room, .references = 1, .type = "", .id = "" };
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
        map_add(&session->requests_by_id, &message->node);
}

static int decode(ferry_message *message)
{
        const struct native_codec *native = codec_native(message->codec);
        int error;

        message->is_decoded = true;
        if (!message->tree) {
                error = codec_decode_block(native, message->payload, message->body_bytes, message->body_size,
                                           &message->check, message->session ? &message->session->reserve->tree : NULL,
                                           &message->tree);
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

static size_t put_text(const struct raw_text *text, char *at)
{
        if (text->is_escaped)
                return raw_text_copy(text, at);
        if (text->size > 0)
                memcpy(at, text->bytes, text->size);
        at[text->size] = '\0';
        return text->size;
}

ferry_message *message_new(ferry_session *session, enum ferry_kind kind, const struct frame *frame,
                           const struct incoming *in)
{
        size_t inline_size = frame->block ? 0 : in->body_size + 1;
        /* Only requests and replies have one, whatever stands there. */
        struct raw_text none = { 0 }, id = kind == FERRY_KIND_NOTIFICATION ? none : in->id;
        ferry_message *message = allocate(session->reserve, in->type.size + 1 + id.size * 3 + 1 + ID_TEXT_ROOM + inline_size);
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
        at += put_text(&in->type, at) + 1;
        message->id = at;
        message->id_size = put_text(&id, at);
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
        ferry_message *message = allocate(session->reserve, strlen(type) + 1);
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

void message_destroy(ferry_message *message)
{
        struct reserve *reserve = message->session ? message->session->reserve : NULL;

        list_remove(&message->link);
        list_remove(&message->queue_link);
        list_remove(&message->unasked_link);
        passed_free(message->passed);
        if (message->payload != &message->block)
                block_unref(message->payload);
        if (reserve)
                spare_keep(&reserve->tree, message->tree);
        else
                ferry_value_unref(message->tree);
        /* A value may still hold it. */
        if (reserve && message->block.references == 1)
                pile_give(&reserve->messages, message, message->room);
        else
                block_unref(&message->block);
}

void message_release(ferry_message *message)
{
        if (!message || --message->references > 0)
                return;
        message_destroy(message);
}

/* Until its session has gone it belongs to the loop of that. */
bool message_is_elsewhere(const ferry_message *message)
{
        return message->session && loop_is_elsewhere(message->session->loop);
}

ferry_message *ferry_message_ref(const ferry_message *message)
{
        ferry_message *held = (ferry_message *)(uintptr_t)message;

        if (!held || message_is_elsewhere(held))
                return NULL;
        held->references++;
        return held;
}

enum ferry_kind ferry_message_kind(const ferry_message *message)
{
        return message && !message_is_elsewhere(message) ? message->kind : 0;
}

const char *ferry_message_type(const ferry_message *message)
{
        return message && !message_is_elsewhere(message) ? message->type : "";
}

const ferry_value *ferry_message_body(const ferry_message *message)
{
        ferry_message *decoded = (ferry_message *)(uintptr_t)message;

        if (!message || message_is_elsewhere(message))
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
        if (!message || message_is_elsewhere(message) || message->id_size == 0)
                return "";
        if (!*message->id_text)
                message->dialect->id_text(message->id, message->id_size, message->id_text);
        return message->id_text;
}

ferry_session *ferry_message_session(const ferry_message *message)
{
        const ferry_session *session = message && !message_is_elsewhere(message) ? message->session : NULL;

        return session && session->front ? session->front : message && session ? message->session : NULL;
}

bool ferry_message_is_wanted(const ferry_message *request)
{
        return request && request->session && !message_is_elsewhere(request) && request->is_unanswered &&
               request->session->phase > SESSION_CONNECTING && request->session->phase < SESSION_PEER_CLOSING;
}
