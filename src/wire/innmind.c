/* The dialect innmind, as innmind/ipc 4.4 speaks it. Frame: length of the media type (u16, big-endian), media type, length
 * of the content (u32, big-endian), content, CE. What is said about the conversation itself is an ordinary message of the
 * media type text/plain with one of a few contents; so no other message may look like that, and one that does is refused
 * where it is sent. Real servers end, and real clients close, when they are sent what they cannot parse: what is sent is what
 * all of them take. */
#include "wire/dialect.h"

#include <errno.h>
#include <string.h>

enum {
        TYPE_MAX = 1024,        /* bytes of a media type */
        NAME_MAX_SIZE = 127,    /* of a name within */
        END = 0xce,
        SEND_MAX = 128 << 10,   /* their reader takes a frame with one read, whose limit is somewhat higher */
};

static const char control_type[] = "text/plain";
static const char control_prefix[] = "innmind/ipc:";

static const struct {
        enum wire_kind kind;
        const char *name;
} controls[] = {
        { WIRE_START, "connection.start" }, { WIRE_START_OK, "connection.start-ok" },
        { WIRE_CLOSE, "connection.close" }, { WIRE_CLOSE_OK, "connection.close-ok" },
        { WIRE_RECEIVED, "message.received" }, { WIRE_HEARTBEAT, "heartbeat" },
};

enum { CONTROLS = sizeof controls / sizeof *controls };

static int measure(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload)
{
        size_t type_size;

        if (size < 2)
                return 0;
        type_size = (size_t)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
        if (type_size == 0 || type_size > TYPE_MAX)
                return -EBADMSG;
        if (size < 2 + type_size + 4)
                return 0;
        *ret_header = 0;
        *ret_payload = 2 + type_size + 4 + (uint64_t)read_u32(bytes + 2 + type_size) + 1;
        return 1;
}

static const struct framing framing_innmind = { .measure = measure };

/* Media types ------------------------------------------------------------------------------------------ */

static bool is_alphanumeric(char byte)
{
        return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

/* The bytes of a name as RFC 6838, 4.2, has it; but + stands before a suffix. 0: it is none. */
static size_t name_size(const char *bytes, size_t size)
{
        size_t length = 0;

        while (length < size && (is_alphanumeric(bytes[length]) ||
                                 (length > 0 && bytes[length] && strchr("!#$&^_.-", bytes[length]))))
                length++;
        return length > NAME_MAX_SIZE ? 0 : length;
}

/* Their parsers differ: what some of them write is taken, what all of them take is sent. */
static size_t value_size(const char *bytes, size_t size, bool is_sent)
{
        const char *more = is_sent ? "_.-" : "_.-!#$%&'*+^`|~";
        bool is_quoted = !is_sent && size > 0 && bytes[0] == '"';
        size_t length = is_quoted;

        while (length < size && (is_alphanumeric(bytes[length]) || (bytes[length] && strchr(more, bytes[length]))))
                length++;
        if (!is_quoted)
                return length;
        return length < size && bytes[length] == '"' ? length + 1 : 0;
}

static size_t parameter_size(const char *bytes, size_t size, bool is_sent)
{
        size_t at = 1, name, value;

        if (bytes[0] != ';' && bytes[0] != ',')
                return 0;
        if (at < size && bytes[at] == ' ')
                at++;
        name = name_size(bytes + at, size - at);
        at += name;
        if (name == 0 || at >= size || bytes[at++] != '=')
                return 0;
        value = value_size(bytes + at, size - at, is_sent);
        return value > 0 ? at + value : 0;
}

static bool is_media_type(const char *bytes, size_t size, bool is_sent)
{
        static const char *const levels[] = { "application/", "audio/", "example/", "font/", "image/", "message/", "model/",
                                              "multipart/", "text/", "video/" };
        size_t at = 0, length;

        for (size_t i = 0; i + is_sent < sizeof levels / sizeof *levels && at == 0; i++)
                if (size > strlen(levels[i]) && memcmp(bytes, levels[i], strlen(levels[i])) == 0)
                        at = strlen(levels[i]);
        length = at ? name_size(bytes + at, size - at) : 0;
        if (length == 0)
                return false;
        at += length;
        if (at < size && bytes[at] == '+') {
                length = name_size(bytes + at + 1, size - at - 1);
                if (length == 0)
                        return false;
                at += 1 + length;
        }
        while (at < size) {
                length = parameter_size(bytes + at, size - at, is_sent);
                if (length == 0)
                        return false;
                at += length;
        }
        return true;
}

/* Reading ---------------------------------------------------------------------------------------------- */

/* What a frame says about the conversation; WIRE_MESSAGE: nothing. */
static enum wire_kind control_kind(const char *type, size_t type_size, const char *content, size_t size)
{
        size_t prefix = strlen(control_prefix);

        if (type_size != strlen(control_type) || memcmp(type, control_type, type_size) != 0 || size < prefix ||
            memcmp(content, control_prefix, prefix) != 0)
                return WIRE_MESSAGE;
        for (int i = 0; i < CONTROLS; i++)
                if (size - prefix == strlen(controls[i].name) &&
                    memcmp(content + prefix, controls[i].name, size - prefix) == 0)
                        return controls[i].kind;
        return WIRE_MESSAGE;
}

static void peek(const char *bytes, size_t size, struct incoming *ret)
{
        size_t header, type_size;
        uint64_t whole;

        ret->kind = WIRE_UNKNOWN;
        if (measure(bytes, size, &header, &whole) <= 0 || whole > size)
                return;
        type_size = (size_t)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
        ret->type = (struct raw_text){ .bytes = bytes + 2, .size = type_size };
        ret->body_offset = 2 + type_size + 4;
        ret->body_size = (size_t)whole - ret->body_offset - 1;
        ret->kind = control_kind(ret->type.bytes, type_size, bytes + ret->body_offset, ret->body_size);
}

static int read_payload(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error)
{
        (void)wire;
        peek(payload, size, ret);
        if (ret->kind == WIRE_UNKNOWN || (unsigned char)payload[size - 1] != END)
                return error_set(error, -EBADMSG, "a frame that is not of the dialect innmind");
        if (!is_media_type(ret->type.bytes, ret->type.size, false))
                return error_set(error, -EBADMSG, "a message whose media type is malformed");
        ret->codec = &codec_bytes.codec;
        return codec_bytes.check(payload + ret->body_offset, ret->body_size, &ret->check);
}

/* Writing ---------------------------------------------------------------------------------------------- */

static const char *control_name(enum wire_kind kind)
{
        for (int i = 0; i < CONTROLS; i++)
                if (controls[i].kind == kind)
                        return controls[i].name;
        return NULL;
}

/* The codec for a body: a string stands as it is, what is more in JSON where the type says so. */
static const ferry_codec *codec_for(const char *type, const ferry_value *body, struct error *error)
{
        static const char json[] = "application/json";

        if (ferry_value_kind(body) == FERRY_VALUE_STRING)
                return &codec_bytes.codec;
        if (strncmp(type, json, strlen(json)) == 0 && strchr(";,", type[strlen(json)]))
                return ferry_codec_json();
        error_set(error, -EINVAL, "in innmind a body is a string, unless the type is application/json");
        return NULL;
}

static int write_body(struct buffer *buffer, const struct outgoing *outgoing, size_t limit, struct error *error)
{
        const ferry_value *body = outgoing->body;
        const ferry_codec *codec;
        char reason[96] = "";
        int code;

        if (!body || ferry_value_kind(body) == FERRY_VALUE_NULL)
                return 0;
        codec = codec_for(outgoing->type, body, error);
        if (!codec)
                return error->code;
        code = codec_encode(codec, body, buffer, limit, reason);
        if (code && code != -EMSGSIZE)
                error_set(error, code, "cannot write the body: %s", *reason ? reason : error_describe(code));
        return code;
}

/* A frame with that type; its content is what stands behind the header by the time it ends. 0 or -ENOMEM. */
static int begin(struct buffer *buffer, const char *type, size_t *ret_begin)
{
        size_t size = strlen(type);
        char length[2] = { (char)(size >> 8), (char)size };
        int code;

        *ret_begin = buffer_size(buffer);
        code = buffer_append(buffer, length, sizeof length);
        if (!code)
                code = buffer_append(buffer, type, size);
        if (!code)
                code = buffer_append(buffer, "\0\0\0\0", 4);
        return code;
}

static int end(struct buffer *buffer, size_t begin, const char *type)
{
        unsigned char *header = buffer_bytes(buffer) + begin + 2 + strlen(type);
        size_t content = begin + 2 + strlen(type) + 4;

        write_u32(header, (uint32_t)(buffer_size(buffer) - content));
        return buffer_append(buffer, (const char[1]){ (char)END }, 1);
}

static int check_type(const char *type, struct error *error)
{
        size_t size = type ? strlen(type) : 0;

        if (size <= TYPE_MAX && is_media_type(type ? type : "", size, true))
                return 0;
        return error_set(error, -EINVAL, "in innmind a type is a media type, such as text/plain: not \"%.100s\"",
                         type ? type : "");
}

static int write_content(const struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing, size_t begin,
                         struct error *error)
{
        size_t content = begin + 2 + strlen(outgoing->type) + 4, limit = begin + wire->send_max - 1;
        int code = content > limit ? -EMSGSIZE : write_body(buffer, outgoing, limit, error);

        if (!code && control_kind(outgoing->type, strlen(outgoing->type), (char *)buffer_bytes(buffer) + content,
                                  buffer_size(buffer) - content) != WIRE_MESSAGE)
                code = error_set(error, -EINVAL, "the other side would take this message for one of the connection's own");
        return code;
}

static int write_message(struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing, struct error *error)
{
        const char *name = control_name(outgoing->kind), *type = name ? control_type : outgoing->type;
        size_t before = buffer_size(buffer), at;
        int code = name ? 0 : check_type(type, error);

        if (code)
                return code;
        code = begin(buffer, type, &at);
        if (!code && name) {
                code = buffer_append(buffer, control_prefix, strlen(control_prefix));
                if (!code)
                        code = buffer_append(buffer, name, strlen(name));
        } else if (!code)
                code = write_content(wire, buffer, outgoing, at, error);
        if (!code)
                code = end(buffer, at, type);
        if (!code)
                return 0;
        buffer->end = buffer->begin + before;
        return code == -EMSGSIZE ? wire_over_limit(wire, error) :
                                   error_set(error, code, "cannot write the message: %s", error_describe(code));
}

const struct dialect dialect_innmind = {
        .number = FERRY_DIALECT_INNMIND,
        .name = "innmind",
        .framing = &framing_innmind,
        .has_close = true,
        .has_start = true,
        .has_heartbeat = true,
        .has_received = true,
        .has_whole_frames = true,
        .send_max = SEND_MAX,
        .directory = "innmind/ipc",
        .read = read_payload,
        .peek = peek,
        .write = write_message,
};
