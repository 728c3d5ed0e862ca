/* The dialect of riki137/php-stream-ipc: the payload is a serialized object, of PHP's serialize or JSON. Requests and
 * replies stand in envelopes, ROOT\Envelope\RequestEnvelope{id, request} and ResponseEnvelope{id, response}. An
 * error reply is a ROOT\Message\ErrorMessage; under the older root PhpStreamIpc, which has none, a LogMessage of
 * level "error". To programs the library's own messages have the root StreamIpc, whatever the peer uses. */
#include "wire/dialect.h"

#include "util/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROOT "StreamIpc"
#define OLD_ROOT "PhpStreamIpc"
#define REQUEST_ENVELOPE "\\Envelope\\RequestEnvelope"
#define RESPONSE_ENVELOPE "\\Envelope\\ResponseEnvelope"
#define LOG_MESSAGE "\\Message\\LogMessage"
#define ERROR_MESSAGE "\\Message\\ErrorMessage"

enum { CLASS_MAX = 1024 };

/* Payloads begin with O:NUMBER:" or {". A program's own codec may write anything; it is never guessed. */
static bool can_begin(const char *bytes, size_t size)
{
        size_t at = 1;

        if (size == 0 || (bytes[0] != 'O' && bytes[0] != '{'))
                return false;
        if (bytes[0] == '{') {
                while (at < size && strchr(" \t\r\n", bytes[at]) && bytes[at])
                        at++;
                return at == size || bytes[at] == '"';
        }
        if (at < size && bytes[at++] != ':')
                return false;
        while (at < size && isdigit((unsigned char)bytes[at]))
                at++;
        if (at < size && (at == 2 || bytes[at++] != ':'))
                return false;
        return at == size || bytes[at] == '"';
}

/* The session's codec, or NULL: msgpack is what the program wants if it comes to be the other dialect. Messages are objects,
 * so the JSON of this dialect is the one that has them. */
static const ferry_codec *session_codec(const struct wire *wire)
{
        if (wire->codec == ferry_codec_json())
                return ferry_codec_json_objects();
        return wire->codec == ferry_codec_msgpack() ? NULL : wire->codec;
}

static const ferry_codec *codec_of(const struct wire *wire, const char *payload, size_t size)
{
        const ferry_codec *fixed = wire->is_codec_fixed ? session_codec(wire) : NULL;

        if (fixed)
                return fixed;
        return size > 0 && payload[0] == '{' ? ferry_codec_json_objects() : ferry_codec_php();
}

/* Classes --------------------------------------------------------------------------------------------- */

/* Whether a class is ROOT + suffix, for one of the roots; then where the suffix begins, else 0. */
static size_t root_size(const struct wire *wire, const char *class_name, size_t size, const char *suffix)
{
        const char *roots[] = { wire->root, ROOT, OLD_ROOT };
        size_t suffix_size = strlen(suffix);

        if (size <= suffix_size || memcmp(class_name + size - suffix_size, suffix, suffix_size) != 0)
                return 0;
        size -= suffix_size;
        for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
                if (strlen(roots[i]) == size && memcmp(class_name, roots[i], size) == 0)
                        return size;
        return 0;
}

static void note_root(struct wire *wire, const char *class_name, size_t size)
{
        if (wire->is_root_fixed)
                return;
        memmove(wire->root, class_name, size);
        wire->root[size] = '\0';
        wire->is_root_fixed = true;
}

static bool is_old(const struct wire *wire)
{
        return strcmp(wire->root, OLD_ROOT) == 0;
}

/* A type that the program names, as the peer calls it: only the root of the library's own messages differs. */
static const char *wire_type(const struct wire *wire, const char *type, char *text, size_t size)
{
        if (strcmp(type, ROOT LOG_MESSAGE) != 0 && strcmp(type, ROOT ERROR_MESSAGE) != 0)
                return type;
        snprintf(text, size, "%s%s", wire->root, type + strlen(ROOT));
        return text;
}

/* Reading --------------------------------------------------------------------------------------------- */

static bool copy_class(const struct raw_text *raw, char *target)
{
        if (!raw->bytes || raw->size >= CLASS_MAX)
                return false;
        raw_text_copy(raw, target);
        return true;
}

/* The library's messages are known by the root StreamIpc here. */
static struct raw_text known_type(struct wire *wire, const char *class_name, const struct raw_text *raw)
{
        static const struct {
                const char *suffix;
                const char *type;
        } known[] = { { LOG_MESSAGE, ROOT LOG_MESSAGE }, { ERROR_MESSAGE, ROOT ERROR_MESSAGE } };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
                size_t root = root_size(wire, class_name, strlen(class_name), known[i].suffix);

                if (root == 0)
                        continue;
                note_root(wire, class_name, root);
                return (struct raw_text){ .bytes = known[i].type, .size = strlen(known[i].type) };
        }
        return *raw;
}

/* Of a tree, for codecs that decode at once. */
static struct raw_text class_in(const ferry_value *value)
{
        const char *name = ferry_value_class(value);

        return (struct raw_text){ .bytes = name, .size = name ? strlen(name) : 0 };
}

static void outline_tree(const ferry_value *root, struct outline *outline)
{
        outline->class_name = class_in(root);
        for (int i = 0; i < outline->count; i++) {
                const ferry_value *item = ferry_value_get(root, outline->items[i].name);

                outline->items[i].class_name = class_in(item);
                outline->items[i].string.bytes = ferry_value_bytes(item, &outline->items[i].string.size);
        }
}

/* Under the old root only the level shows an error. */
static bool is_old_error(const struct incoming *in, const char *payload)
{
        ferry_value *value = NULL;
        size_t offset;
        bool is_error;

        if (!in->value && codec_decode(in->codec, payload, in->body_size, &value, &offset) < 0)
                return false;
        is_error = strcmp(ferry_value_text(ferry_value_get(ferry_value_get(in->value ? in->value : value, "response"),
                                                           "level"), ""), "error") == 0;
        ferry_value_unref(value);
        return is_error;
}

static int read_envelope(struct wire *wire, const struct outline_item *inner, const char *payload,
                         struct incoming *ret, struct error *error)
{
        char class_name[CLASS_MAX];

        if (!ret->id.bytes) {
                ret->kind = WIRE_UNKNOWN;
                return error_set(error, -EBADMSG, "an envelope without a usable id");
        }
        if (ret->id.size > WIRE_ID_MAX)
                return error_set(error, -EMSGSIZE, "an envelope with an id of %zu bytes, over the limit of %d", ret->id.size,
                                 (int)WIRE_ID_MAX);
        if (!copy_class(&inner->class_name, class_name))
                return error_set(error, -EBADMSG, "an envelope in which there is no object");
        ret->property = inner->name;
        ret->type = known_type(wire, class_name, &inner->class_name);
        if (ret->kind != WIRE_RESPONSE)
                return 0;
        if (root_size(wire, class_name, strlen(class_name), ERROR_MESSAGE) ||
            (root_size(wire, class_name, strlen(class_name), LOG_MESSAGE) &&
             strncmp(class_name, OLD_ROOT "\\", sizeof OLD_ROOT) == 0 && is_old_error(ret, payload)))
                ret->kind = WIRE_ERROR;
        return 0;
}

/* A notification, a request or a reply, by the class of the outermost object. */
static int read_outline(struct wire *wire, const struct outline *outline, const char *payload, struct incoming *ret,
                        struct error *error)
{
        char class_name[CLASS_MAX];
        size_t root;

        if (!copy_class(&outline->class_name, class_name))
                return error_set(error, -EBADMSG, "a payload that is not an object");
        ret->id = outline->items[0].string;
        root = root_size(wire, class_name, strlen(class_name), REQUEST_ENVELOPE);
        ret->kind = WIRE_REQUEST;
        if (!root) {
                root = root_size(wire, class_name, strlen(class_name), RESPONSE_ENVELOPE);
                ret->kind = WIRE_RESPONSE;
        }
        if (root) {
                note_root(wire, class_name, root);
                return read_envelope(wire, &outline->items[ret->kind == WIRE_REQUEST ? 1 : 2], payload, ret, error);
        }
        ret->kind = WIRE_NOTIFICATION;
        ret->id = (struct raw_text){ 0 };
        ret->type = known_type(wire, class_name, &outline->class_name);
        return 0;
}

static void peek(const char *bytes, size_t size, struct incoming *ret);

static int read_payload(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error)
{
        struct outline outline = { .items = { { .name = "id" }, { .name = "request" }, { .name = "response" } },
                                   .count = 3 };
        const ferry_codec *codec = codec_of(wire, payload, size);
        const struct native_codec *native = codec_native(codec);
        size_t offset = 0;
        int code;

        ret->check.outline = &outline;
        code = native ? native->check(payload, size, &ret->check) :
                        codec_decode(codec, payload, size, &ret->value, &offset);
        ret->check.outline = NULL;
        if (code) {
                peek(payload, size, ret);
                return error_set(error, code == -EAGAIN ? -EBADMSG : code,
                                 "a payload that is wrong at byte %zu, for the codec %s%s%s",
                                 native ? ret->check.offset : offset, codec->name, native && ret->check.reason ? ": " : "",
                                 native && ret->check.reason ? ret->check.reason : text_mark_hint(payload, size));
        }
        if (!native)
                outline_tree(ret->value, &outline);
        ret->codec = codec;
        ret->body_size = size;
        code = read_outline(wire, &outline, payload, ret, error);
        if (code == 0 && (!wire->is_codec_fixed || !session_codec(wire))) {
                wire->codec = codec;
                wire->is_codec_fixed = true;
        }
        return code;
}

/* Whether what stands at @at belongs to the class of the outermost object, and not to a text in it. */
static bool is_in_class(const char *bytes, const char *at)
{
        static const char json[] = "{\"__class\":\"";
        const char *name = bytes[0] == 'O'                             ? memchr(bytes, '"', (size_t)(at - bytes)) :
                           strncmp(bytes, json, sizeof json - 1) == 0 ? bytes + sizeof json - 2 :
                                                                        NULL;

        return name && name < at && !memchr(name + 1, '"', (size_t)(at - name - 1));
}

/* The beginning of an envelope, as PHP's library writes it: class, then id. */
static void peek(const char *bytes, size_t size, struct incoming *ret)
{
        static const struct {
                const char *text;
                enum wire_kind kind;
        } marks[] = { { "\\Envelope\\RequestEnvelope\":2:{s:2:\"id\";s:", WIRE_REQUEST },
                      { "\\Envelope\\ResponseEnvelope\":2:{s:2:\"id\";s:", WIRE_RESPONSE },
                      { "\\\\Envelope\\\\RequestEnvelope\",\"id\":\"", WIRE_REQUEST },
                      { "\\\\Envelope\\\\ResponseEnvelope\",\"id\":\"", WIRE_RESPONSE } };
        const char *end = bytes + size;

        ret->kind = WIRE_UNKNOWN;
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
                /* Behind the class, so within so many bytes. */
                const char *mark = memmem(bytes, size < 256 ? size : 256, marks[i].text, strlen(marks[i].text));
                const char *id, *quote;

                if (!mark || !is_in_class(bytes, mark))
                        continue;
                id = mark + strlen(marks[i].text);
                if (bytes[0] == 'O') {
                        while (id < end && isdigit((unsigned char)*id))
                                id++;
                        id += 2;
                }
                quote = id < end ? memchr(id, '"', (size_t)(end - id)) : NULL;
                if (!quote || memchr(id, '\\', (size_t)(quote - id)))
                        return;
                ret->kind = marks[i].kind;
                ret->id = (struct raw_text){ .bytes = id, .size = (size_t)(quote - id) };
                return;
        }
}

/* Writing --------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
        size_t size = strlen(text), end_size = strlen(end);

        return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* The object of that class with a map's entries: they are shared, only the class is new. */
static void add_map_as_object(ferry_builder *builder, const char *type, const ferry_value *map)
{
        struct members *members = arena_take(builder->arena, sizeof *members);
        ferry_value object = *map;

        if (!members) {
                builder_fail(builder, -ENOMEM);
                return;
        }
        *members = *map->members;
        members->class_name = builder_copy(builder, type, strlen(type));
        members->class_size = (uint32_t)strlen(type);
        for (uint32_t i = 0; i < map->size; i++)
                if (map->members->entries[i].key.size > 0 &&
                    map->members->entries[i].key.kind == FERRY_VALUE_STRING &&
                    map->members->entries[i].key.bytes[0] == '\0')
                        builder_fail(builder, -EINVAL);
        object.kind = FERRY_VALUE_OBJECT;
        object.members = members;
        object.arena = builder->arena;
        builder_add_node(builder, &object);
}

static int add_body(ferry_builder *builder, const struct wire *wire, const struct outgoing *outgoing,
                    struct error *error)
{
        const ferry_value *body = outgoing->body;
        char text[CLASS_MAX];
        const char *type = wire_type(wire, outgoing->type, text, sizeof text);

        switch (ferry_value_kind(body)) {
        case FERRY_VALUE_MAP:
                arena_hold_tree(builder->arena, body->arena);
                add_map_as_object(builder, type, body);
                return 0;
        case FERRY_VALUE_OBJECT:
                if (strcmp(ferry_value_class(body), type) != 0 && strcmp(ferry_value_class(body), outgoing->type) != 0 &&
                    !ends_with(type, LOG_MESSAGE) && !ends_with(type, ERROR_MESSAGE))
                        return error_set(error, -EINVAL, "the body is an object of the class '%s', but the type is '%s'",
                                         ferry_value_class(body), type);
                builder_add_value(builder, body);
                return 0;
        case FERRY_VALUE_STRING:
                builder_open(builder, FERRY_VALUE_OBJECT, builder_copy(builder, type, strlen(type)), strlen(type));
                builder_key_view(builder, "message", 7);
                builder_add_value(builder, body);
                /* Real PHP needs the level, too. */
                if (ends_with(type, "\\LogMessage")) {
                        builder_key_view(builder, "level", 5);
                        builder_add_view(builder, "info", 4);
                }
                builder_close(builder);
                return 0;
        case FERRY_VALUE_NONE:
        case FERRY_VALUE_NULL:
                builder_open(builder, FERRY_VALUE_OBJECT, builder_copy(builder, type, strlen(type)), strlen(type));
                builder_close(builder);
                return 0;
        default:
                return error_set(error, -EINVAL, "in stream-ipc a body is an object, a map, a string or null");
        }
}

static void open_object(ferry_builder *builder, const struct wire *wire, const char *suffix)
{
        char class_name[CLASS_MAX];
        size_t size = (size_t)snprintf(class_name, sizeof class_name, "%s%s", wire->root, suffix);

        builder_open(builder, FERRY_VALUE_OBJECT, builder_copy(builder, class_name, size), size);
}

static void add_error(ferry_builder *builder, const struct wire *wire, const ferry_value *text)
{
        char name[CLASS_MAX];
        int size;

        if (is_old(wire)) {
                open_object(builder, wire, LOG_MESSAGE);
                builder_key_view(builder, "message", 7);
                builder_add_value(builder, text);
                builder_key_view(builder, "level", 5);
                builder_add_view(builder, "error", 5);
        } else {
                size = snprintf(name, sizeof name, "%c%s%s%cerrorMessage", 0, wire->root, ERROR_MESSAGE, 0);
                open_object(builder, wire, ERROR_MESSAGE);
                builder_key_mangled(builder, builder_copy(builder, name, (size_t)size), (size_t)size);
                builder_add_value(builder, text);
        }
        builder_close(builder);
}

static int build(ferry_builder *builder, const struct wire *wire, const struct outgoing *outgoing,
                 struct error *error)
{
        bool is_request = outgoing->kind == WIRE_REQUEST;
        bool is_enveloped = outgoing->kind != WIRE_NOTIFICATION;
        int code = 0;

        if (is_enveloped) {
                open_object(builder, wire, is_request ? REQUEST_ENVELOPE : RESPONSE_ENVELOPE);
                builder_key_view(builder, "id", 2);
                builder_add_string(builder, outgoing->id, outgoing->id_size);
                builder_key_view(builder, is_request ? "request" : "response", is_request ? 7 : 8);
        }
        if (outgoing->kind == WIRE_ERROR)
                add_error(builder, wire, outgoing->body);
        else
                code = add_body(builder, wire, outgoing, error);
        if (is_enveloped)
                builder_close(builder);
        return code;
}

static int encode(struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing,
                  const ferry_codec *codec, ferry_builder *builder, struct error *error)
{
        const ferry_value *root;
        size_t begin;
        int code = build(builder, wire, outgoing, error);

        if (code)
                return code;
        root = builder_take(builder);
        if (!root)
                return error_set(error, builder->error, "cannot build the message: %s",
                                 error_describe(builder->error));
        code = frame_begin(buffer, &begin);
        return wire_end_frame(wire, buffer, begin, codec, root, outgoing->lent, code, error);
}

static int write_message(struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing, struct error *error)
{
        const ferry_codec *codec = session_codec(wire) ? session_codec(wire) : ferry_codec_php();
        struct brief brief;
        int code;

        if (outgoing->kind != WIRE_ERROR && (!outgoing->type || !*outgoing->type ||
                                             strlen(outgoing->type) >= CLASS_MAX))
                return error_set(error, -EINVAL, "in stream-ipc a type is the name of a class");
        brief_init(&brief, codec);
        code = encode(wire, buffer, outgoing, codec, &brief.builder, error);
        brief_deinit(&brief);
        return code;
}

static size_t make_id(struct wire *wire, char id[WIRE_ID_TEXT_MAX])
{
        return (size_t)snprintf(id, WIRE_ID_TEXT_MAX, "%d.%llu", (int)sys_pid(), (unsigned long long)++wire->counter);
}

static void id_text(const char *id, size_t size, char *text)
{
        memcpy(text, id, size);
        text[size] = '\0';
}

const struct dialect dialect_stream_ipc = {
        .number = FERRY_DIALECT_STREAM_IPC,
        .name = "stream-ipc",
        .framing = &framing_magic,
        .has_ids = true,
        .has_errors = true,
        .can_begin = can_begin,
        .read = read_payload,
        .peek = peek,
        .write = write_message,
        .make_id = make_id,
        .id_text = id_text,
};
