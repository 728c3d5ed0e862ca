/* The dialect ferry. Payload: version 1, kind, codec, flags (u8 each), length of the type, 0 (u16), id (u64), type,
 * body; all big-endian. Flags that are not known are ignored. */
#include "wire/dialect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        VERSION = 1,
        HEADER = 16,
        ID_SIZE = 8,
        BODY_ROOM = 192,        /* that is reserved with the header */
        KIND_OPTIONAL = 0x80,   /* a peer that does not know the kind may ignore the frame */
        FLAG_LEAVING = 0x01,    /* of refused */
        CONTROL_NODES_MAX = 256,        /* values in the body of a hello or a close, which is decoded when it comes */
};

/* Numbers on the wire, by wire_kind. */
static const unsigned char kind_numbers[] = {
        [WIRE_HELLO] = 1, [WIRE_NOTIFICATION] = 2, [WIRE_REQUEST] = 3, [WIRE_RESPONSE] = 4, [WIRE_ERROR] = 5,
        [WIRE_REFUSED] = 6, [WIRE_CANCEL] = 7, [WIRE_PING] = 8, [WIRE_PONG] = 9, [WIRE_CLOSE] = 10,
        [WIRE_OFFER] = KIND_OPTIONAL | 32, [WIRE_MOVED] = KIND_OPTIONAL | 33, [WIRE_DECLINED] = KIND_OPTIONAL | 34,
        [WIRE_SUBSCRIBE] = KIND_OPTIONAL | 35, [WIRE_UNSUBSCRIBE] = KIND_OPTIONAL | 36, [WIRE_DESCRIBE] = KIND_OPTIONAL | 37,
        [WIRE_DRAIN] = KIND_OPTIONAL | 38, [WIRE_TAKE_OVER] = KIND_OPTIONAL | 39, [WIRE_HANDED_OVER] = KIND_OPTIONAL | 40,
        [WIRE_TAKEN] = KIND_OPTIONAL | 41,
        [WIRE_PROGRESS] = KIND_OPTIONAL | 42, [WIRE_CREDIT] = KIND_OPTIONAL | 43, [WIRE_DESCRIPTORS] = KIND_OPTIONAL | 44,
};

/* The same the other way round, for those that are not optional. */
static const unsigned char kinds[] = {
        [1] = WIRE_HELLO, [2] = WIRE_NOTIFICATION, [3] = WIRE_REQUEST, [4] = WIRE_RESPONSE, [5] = WIRE_ERROR,
        [6] = WIRE_REFUSED, [7] = WIRE_CANCEL, [8] = WIRE_PING, [9] = WIRE_PONG, [10] = WIRE_CLOSE,
};

static enum wire_kind kind_of(unsigned char number)
{
        if (number > 0 && number < sizeof kinds)
                return (enum wire_kind)kinds[number];
        for (size_t i = WIRE_OFFER; i < sizeof kind_numbers && number > 0; i++)
                if (kind_numbers[i] == number)
                        return (enum wire_kind)i;
        return WIRE_UNKNOWN;
}

static bool can_begin(const char *bytes, size_t size)
{
        return size > 0 && bytes[0] == VERSION && (size < HEADER || (bytes[6] == 0 && bytes[7] == 0)) &&
               (size < 2 || kind_of((unsigned char)bytes[1]) != WIRE_UNKNOWN || (bytes[1] & KIND_OPTIONAL));
}

static void peek(const char *bytes, size_t size, struct incoming *ret)
{
        ret->kind = WIRE_UNKNOWN;
        if (size < HEADER || !can_begin(bytes, size))
                return;
        ret->kind = kind_of((unsigned char)bytes[1]);
        ret->id = (struct raw_text){ .bytes = bytes + 8, .size = ID_SIZE };
}

/* The codec with that number: one of ours, or the program's own. */
static const ferry_codec *find_codec(const struct wire *wire, unsigned number)
{
        if (wire->codec && !codec_native(wire->codec) && wire->codec->number == number)
                return wire->codec;
        return codec_by_number(number);
}

static int read_body(struct incoming *ret, const char *body, struct error *error)
{
        const struct native_codec *native = codec_native(ret->codec);
        size_t offset = 0;
        int code = native ? native->check(body, ret->body_size, &ret->check) :
                            codec_decode(ret->codec, body, ret->body_size, &ret->value, &offset);

        if (native)
                offset = ret->check.offset;
        if (code == -EAGAIN)
                code = -EBADMSG;
        if (code)
                error_set(error, code, "a message whose body is wrong at byte %zu, for the codec %s%s%s", offset, ret->codec->name,
                          native && ret->check.reason ? ": " : "", native && ret->check.reason ? ret->check.reason : "");
        return code;
}

/* The type of the others is ignored, or is a pattern, which is checked as such. */
static bool has_type(enum wire_kind kind)
{
        return kind == WIRE_NOTIFICATION || kind == WIRE_REQUEST || kind == WIRE_RESPONSE || kind == WIRE_ERROR || kind == WIRE_REFUSED ||
               kind == WIRE_PROGRESS;
}

static int read_payload(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error)
{
        size_t type_size;

        if (size < HEADER || payload[0] != VERSION || payload[6] || payload[7])
                return error_set(error, -EBADMSG, "a frame that is not of the dialect ferry");
        peek(payload, size, ret);
        if (ret->kind == WIRE_UNKNOWN)
                return payload[1] & KIND_OPTIONAL ? 0 : error_set(error, -EBADMSG, "a frame of the unknown kind %d",
                                                                  (unsigned char)payload[1]);
        ret->is_leaving = ret->kind == WIRE_REFUSED && (payload[3] & FLAG_LEAVING);
        type_size = (size_t)(unsigned char)payload[4] << 8 | (unsigned char)payload[5];
        if (type_size > size - HEADER ||
            ((!utf8_is_valid(payload + HEADER, type_size) || memchr(payload + HEADER, '\0', type_size)) && has_type(ret->kind)))
                return error_set(error, -EBADMSG, "a message whose type is empty or not UTF-8");
        ret->type = (struct raw_text){ .bytes = payload + HEADER, .size = type_size };
        ret->body_offset = HEADER + type_size;
        ret->body_size = size - ret->body_offset;
        /* What such frames may carry is nothing to this version: it is not even looked at. */
        if (ret->kind == WIRE_PING || ret->kind == WIRE_PONG || ret->kind == WIRE_CANCEL || ret->kind == WIRE_OFFER ||
            ret->kind == WIRE_MOVED || ret->kind == WIRE_SUBSCRIBE || ret->kind == WIRE_UNSUBSCRIBE || ret->kind == WIRE_DESCRIBE ||
            ret->kind == WIRE_DRAIN || ret->kind == WIRE_TAKE_OVER || ret->kind == WIRE_TAKEN)
                ret->body_size = 0;
        /* That of the answer, if it is one of ours. */
        if (ret->kind == WIRE_DESCRIBE)
                ret->codec = codec_by_number((unsigned char)payload[2]);
        if (ret->body_size == 0)
                return 0;
        ret->codec = find_codec(wire, (unsigned char)payload[2]);
        if (!ret->codec)
                return error_set(error, -EBADMSG, "a message in the unknown codec %d", (unsigned char)payload[2]);
        if (read_body(ret, payload + ret->body_offset, error) < 0)
                return error->code;
        if ((ret->kind == WIRE_CREDIT || ret->kind == WIRE_DESCRIPTORS) && ret->check.nodes > 1)
                return error_set(error, -EBADMSG, "a frame whose body is not a number");
        if ((ret->kind == WIRE_HELLO || ret->kind == WIRE_CLOSE) && ret->check.nodes > CONTROL_NODES_MAX)
                return error_set(error, -EMSGSIZE, "a hello or a close with more than %d values", (int)CONTROL_NODES_MAX);
        return 0;
}

static bool kind_is_control(enum wire_kind kind)
{
        return kind == WIRE_HELLO || kind == WIRE_CANCEL || kind == WIRE_PING || kind == WIRE_PONG || kind == WIRE_CLOSE ||
               kind == WIRE_OFFER || kind == WIRE_MOVED || kind == WIRE_DECLINED || kind == WIRE_SUBSCRIBE ||
               kind == WIRE_UNSUBSCRIBE || kind == WIRE_DESCRIBE || kind == WIRE_DRAIN || kind == WIRE_TAKE_OVER || kind == WIRE_TAKEN;
}

/* Header and type of a frame, at once. */
static int begin_frame(struct buffer *buffer, const struct outgoing *outgoing, const ferry_codec *codec, size_t type_size,
                       size_t *ret_begin)
{
        size_t size = FRAME_HEADER + HEADER + type_size;
        char *at = buffer_reserve(buffer, size + BODY_ROOM);

        *ret_begin = buffer_size(buffer);
        if (!at)
                return -ENOMEM;
        at = frame_put_magic(at);
        *at++ = VERSION;
        *at++ = (char)kind_numbers[outgoing->kind];
        *at++ = (char)codec->number;
        *at++ = outgoing->is_leaving ? FLAG_LEAVING : 0;
        *at++ = (char)(type_size >> 8);
        *at++ = (char)type_size;
        *at++ = 0;
        *at++ = 0;
        if (outgoing->id)
                memcpy(at, outgoing->id, ID_SIZE);
        else
                memset(at, 0, ID_SIZE);
        if (type_size > 0)
                memcpy(at + ID_SIZE, outgoing->type, type_size);
        buffer->end += size;
        return 0;
}

static int write_message(struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing, struct error *error)
{
        /* Whatever is added to these does not wrap around. */
        static const struct wire unlimited = { .peer_max = SIZE_MAX / 2, .send_max = SIZE_MAX / 2, .frame_max = SIZE_MAX / 2 };
        const ferry_codec *codec = outgoing->codec ? outgoing->codec : wire->codec ? wire->codec : ferry_codec_msgpack();
        const struct wire *limits = wire;
        size_t type_size = outgoing->type ? strlen(outgoing->type) : 0, begin;
        int code;

        if (type_size > UINT16_MAX)
                return error_set(error, -EMSGSIZE, "the type has more than %d bytes", UINT16_MAX);
        if (!utf8_is_valid(outgoing->type, type_size))
                return error_set(error, -EINVAL, "the type is not UTF-8");
        code = begin_frame(buffer, outgoing, codec, type_size, &begin);
        /* What keeps the conversation going is small, and not for the limits, which are known only by a hello. */
        if (outgoing->kind == WIRE_HELLO || outgoing->kind == WIRE_CREDIT || outgoing->kind == WIRE_DESCRIPTORS ||
            (!outgoing->body && kind_is_control(outgoing->kind)))
                limits = &unlimited;
        return wire_end_frame(limits, buffer, begin, codec, outgoing->body, outgoing->lent, code, error);
}

static size_t make_id(struct wire *wire, char id[WIRE_ID_TEXT_MAX])
{
        uint64_t number = ++wire->counter;

        write_u32(id, (uint32_t)(number >> 32));
        write_u32(id + 4, (uint32_t)number);
        return ID_SIZE;
}

static void id_text(const char *id, size_t size, char *text)
{
        (void)size;
        sprintf(text, "%llu", (unsigned long long)((uint64_t)read_u32(id) << 32 | read_u32(id + 4)));
}

const struct dialect dialect_ferry = {
        .number = FERRY_DIALECT_FERRY,
        .name = "ferry",
        .framing = &framing_magic,
        .has_ids = true,
        .has_errors = true,
        .has_refused = true,
        .has_cancel = true,
        .has_hello = true,
        .has_ping = true,
        .has_close = true,
        .has_shared_memory = true,
        .has_subscriptions = true,
        .has_hand_over = true,
        .has_descriptions = true,
        .has_parts = true,
        .has_descriptors = true,
        .can_begin = can_begin,
        .read = read_payload,
        .peek = peek,
        .write = write_message,
        .make_id = make_id,
        .id_text = id_text,
};
