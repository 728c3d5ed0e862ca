/* The dialect pcntl, as sweikenb/pcntl 7.1 speaks it between a parent and its forked children. Frame: the length of the
 * payload in decimal digits, #, the payload: by PHP's serialize, an object with a topic, which is the type of the message, and
 * a payload, which is its body. Its reader takes the payload with one read, and reads on in the middle of what it has not got;
 * so a frame is written at once. */
#include "wire/dialect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        DIGITS_MAX = 10,
        SEND_MAX = 128 << 10,
};

static const char message_class[] = "Sweikenb\\Library\\Pcntl\\Model\\Ipc\\MessageModel";

static int measure(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload)
{
        uint64_t length = 0;
        size_t at = 0;

        while (at < size && at <= DIGITS_MAX && bytes[at] >= '0' && bytes[at] <= '9')
                length = length * 10 + (uint64_t)(bytes[at++] - '0');
        if (at > DIGITS_MAX || (at < size && (at == 0 || bytes[at] != '#')))
                return -EBADMSG;
        if (at == size)
                return 0;
        *ret_header = at + 1;
        *ret_payload = length;
        return 1;
}

static const struct framing framing_pcntl = { .measure = measure };

/* Nothing is said but messages. */
static void peek(const char *bytes, size_t size, struct incoming *ret)
{
        (void)bytes;
        ret->kind = size > 0 ? WIRE_MESSAGE : WIRE_UNKNOWN;
}

/* Reading ---------------------------------------------------------------------------------------------- */

/* The older way of objects that serialize themselves, C:LENGTH:"CLASS":LENGTH:{VALUE}: where that value stands. */
static bool find_inner(const char *payload, size_t size, size_t *ret_offset, size_t *ret_size)
{
        char begin[96];
        size_t length = (size_t)snprintf(begin, sizeof begin, "C:%zu:\"%s\":", strlen(message_class), message_class), at = length;
        uint64_t inner = 0;

        if (size <= length || memcmp(payload, begin, length) != 0)
                return false;
        while (at < size && at < length + DIGITS_MAX && payload[at] >= '0' && payload[at] <= '9')
                inner = inner * 10 + (uint64_t)(payload[at++] - '0');
        if (at + 3 > size || payload[at] != ':' || payload[at + 1] != '{' || payload[size - 1] != '}' ||
            inner != size - at - 3)
                return false;
        *ret_offset = at + 2;
        *ret_size = (size_t)inner;
        return true;
}

static int read_inner(const char *bytes, size_t size, struct incoming *ret)
{
        size_t offset;
        int code = codec_decode(ferry_codec_php(), bytes, size, &ret->value, &offset);

        if (!code)
                ret->type.bytes = ferry_value_bytes(ferry_value_get(ret->value, "topic"), &ret->type.size);
        return code;
}

static int read_object(const char *payload, size_t size, struct incoming *ret)
{
        struct outline outline = { .items = { { .name = "topic" } }, .count = 1 };
        int code;

        ret->check.outline = &outline;
        code = codec_native(ferry_codec_php())->check(payload, size, &ret->check);
        ret->check.outline = NULL;
        if (!code)
                ret->type = outline.items[0].string;
        return code;
}

static int read_payload(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error)
{
        size_t offset, inner_size;
        int code;

        (void)wire;
        ret->kind = WIRE_MESSAGE;
        ret->codec = ferry_codec_php();
        ret->property = "payload";
        ret->body_size = size;
        code = find_inner(payload, size, &offset, &inner_size) ? read_inner(payload + offset, inner_size, ret) :
                                                                 read_object(payload, size, ret);
        if (code)
                return error_set(error, code == -EAGAIN ? -EBADMSG : code, "a payload that PHP's unserialize does not take");
        return ret->type.bytes ? 0 : error_set(error, -EBADMSG, "a payload that is not a message with a topic");
}

/* Writing ---------------------------------------------------------------------------------------------- */

static int build(ferry_builder *builder, const struct outgoing *outgoing)
{
        builder_open(builder, FERRY_VALUE_OBJECT, message_class, strlen(message_class));
        builder_key_view(builder, "topic", 5);
        builder_add_string(builder, outgoing->type, outgoing->type ? strlen(outgoing->type) : 0);
        builder_key_view(builder, "payload", 7);
        if (outgoing->body)
                builder_add_value(builder, outgoing->body);
        else
                builder_add_null(builder);
        builder_close(builder);
        return builder->error;
}

/* The length stands before what it is the length of. */
static int end(const struct wire *wire, struct buffer *buffer, size_t begin)
{
        char length[DIGITS_MAX + 2];
        size_t size = (size_t)snprintf(length, sizeof length, "%zu#", buffer_size(buffer) - begin);

        if (buffer_size(buffer) - begin + size > wire->send_max)
                return -EMSGSIZE;
        if (buffer_append(buffer, length, size) < 0)
                return -ENOMEM;
        buffer_move_last(buffer, begin, size);
        return 0;
}

static int write_message(struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing, struct error *error)
{
        size_t begin = buffer_size(buffer);
        const ferry_value *root;
        struct brief brief;
        char reason[96] = "";
        int code;

        brief_init(&brief, ferry_codec_php());
        code = build(&brief.builder, outgoing);
        root = code ? NULL : builder_take(&brief.builder);
        if (!code && !root)
                code = brief.builder.error;
        if (!code)
                code = codec_encode(ferry_codec_php(), root, buffer, begin + wire->send_max, reason);
        if (!code)
                code = end(wire, buffer, begin);
        brief_deinit(&brief);
        if (!code)
                return 0;
        buffer->end = buffer->begin + begin;
        return code == -EMSGSIZE ? wire_over_limit(wire, error) :
                                   error_set(error, code, "cannot write the message: %s",
                                             *reason ? reason : error_describe(code));
}

const struct dialect dialect_pcntl = {
        .number = FERRY_DIALECT_PCNTL,
        .name = "pcntl",
        .framing = &framing_pcntl,
        .has_whole_frames = true,
        .send_max = SEND_MAX,
        .read = read_payload,
        .peek = peek,
        .write = write_message,
};
