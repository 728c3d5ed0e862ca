/* A stream of bytes in the dialect pcntl. Besides what must hold in frames.c:
 *
 *      - what is read as a message has a topic and a body; written, it is read as the same, and written as the same bytes,
 *        unless it is over the limit of what is sent
 *      - what a program says is read as it was said
 *
 * The input: as frames.h says; bit 5: a program says something instead: a type, up to a zero, and a text; bit 6: the bytes
 * are one payload, which gets its length. */
#include "fuzz/frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 10 };

static struct wire wire;

/* What is told is the payload. */
static int64_t model(const unsigned char *bytes, size_t size, size_t *ret_header)
{
        const unsigned char *end = memchr(bytes, '#', size);
        size_t digits = end ? (size_t)(end - bytes) : size;
        char number[DIGITS_MAX + 1] = "";
        unsigned long long length;

        for (size_t i = 0; i < digits; i++)
                if (i == DIGITS_MAX || bytes[i] < '0' || bytes[i] > '9')
                        return MODEL_NONE;
        if (!end)
                return MODEL_PART;
        if (digits == 0)
                return MODEL_NONE;
        memcpy(number, bytes, digits);
        length = strtoull(number, NULL, 10);
        *ret_header = digits + 1;
        if (length > wire.frame_max)
                return MODEL_NONE;
        return length > size - digits - 1 ? MODEL_PART : (int64_t)length;
}

/* Write that, behind nothing; whether it is within the limit. */
static bool write_message(struct buffer *buffer, const char *type, const ferry_value *body)
{
        struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = type, .body = body };
        struct error error = { 0 };
        int code = dialect_pcntl.write(&wire, buffer, &outgoing, &error);

        FUZZ_REQUIRE(code == error.code && (code == 0) == (buffer_size(buffer) > 0), "%d, %zu bytes", code,
                     buffer_size(buffer));
        FUZZ_REQUIRE(code == 0 || code == -EMSGSIZE, "%d: %s", code, error_text(&error));
        FUZZ_REQUIRE(buffer_size(buffer) <= wire.send_max, "%zu bytes", buffer_size(buffer));
        error_deinit(&error);
        return code == 0;
}

/* The message that a payload is: its topic and body, both the caller's. False if it is none. */
static bool read_message(const char *bytes, size_t size, char **ret_type, ferry_value **ret_body)
{
        struct error error = { 0 };
        struct incoming in, part;
        ferry_value *tree;
        const ferry_value *body;
        size_t offset;
        int code = wire_read(&wire, bytes, size, &in, &error);

        FUZZ_REQUIRE((code == 0) == (error.code == 0), "%d, but the error is %d", code, error.code);
        tree = in.value;
        if (code) {
                FUZZ_REQUIRE(code == -EBADMSG && *error_text(&error), "%d", code);
                error_deinit(&error);
                ferry_value_unref(tree);
                return false;
        }
        FUZZ_REQUIRE(in.kind == WIRE_MESSAGE && in.type.bytes, "kind %d", in.kind);
        wire_peek(&wire, bytes, size, &part);
        FUZZ_REQUIRE(part.kind == in.kind, "kind %d, then %d", in.kind, part.kind);
        *ret_type = calloc(1, in.type.size + 1);
        if (!*ret_type)
                abort();
        raw_text_copy(&in.type, *ret_type);
        code = tree ? 0 : codec_decode(in.codec, bytes + in.body_offset, in.body_size, &tree, &offset);
        /* Shared parts are only found out by decoding. */
        FUZZ_REQUIRE(code == 0 || in.check.has_references, "no body: %d", code);
        body = ferry_value_get(tree, in.property);
        *ret_body = body ? ferry_value_ref(body) : ferry_value_pack(NULL);
        ferry_value_unref(tree);
        if (code == 0)
                return true;
        ferry_value_unref(*ret_body);
        free(*ret_type);
        return false;
}

/* Where the payload of a frame that we have written begins. */
static size_t header_of(const struct buffer *buffer)
{
        size_t header = 0;
        int64_t payload = model(buffer_bytes(buffer), buffer_size(buffer), &header);

        FUZZ_REQUIRE(payload > 0 && header + (size_t)payload == buffer_size(buffer), "no frame is written");
        return header;
}

static void check_frame(const char *bytes, size_t size)
{
        struct buffer first = { 0 }, second = { 0 };
        ferry_value *body, *again;
        char *type, *type_again;

        if (!read_message(bytes, size, &type, &body))
                return;
        if (write_message(&first, type, body)) {
                size_t header = header_of(&first);

                FUZZ_REQUIRE(read_message((const char *)buffer_bytes(&first) + header, buffer_size(&first) - header,
                                          &type_again, &again), "what is written is no message");
                FUZZ_REQUIRE(strcmp(type, type_again) == 0, "another topic");
                FUZZ_REQUIRE(write_message(&second, type_again, again), "too large now");
                FUZZ_REQUIRE(buffer_size(&first) == buffer_size(&second) &&
                             memcmp(buffer_bytes(&first), buffer_bytes(&second), buffer_size(&first)) == 0, "other bytes");
                ferry_value_unref(again);
                free(type_again);
        }
        buffer_deinit(&first);
        buffer_deinit(&second);
        ferry_value_unref(body);
        free(type);
}

/* A program says something: any type, any string. */
static void check_saying(struct fuzz_input *input)
{
        char *type;
        ferry_value *body = fuzz_take_saying(input, &type);
        struct buffer buffer = { 0 };
        size_t size;

        ferry_value_bytes(body, &size);
        if (write_message(&buffer, type, body)) {
                size_t header = header_of(&buffer);
                ferry_value *heard;
                char *topic;

                FUZZ_REQUIRE(read_message((const char *)buffer_bytes(&buffer) + header, buffer_size(&buffer) - header,
                                          &topic, &heard), "it is no message");
                FUZZ_REQUIRE(strcmp(topic, type) == 0 && ferry_value_equal(heard, body), "something else");
                ferry_value_unref(heard);
                free(topic);
        } else
                FUZZ_REQUIRE(strlen(type) + size + 150 > wire.send_max, "%zu bytes are too many", strlen(type) + size);
        buffer_deinit(&buffer);
        ferry_value_unref(body);
        free(type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct fuzz_frames frames = { .wire = &wire, .model = model, .check = check_frame, .memory_factor = 64 };
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        uint8_t flags = fuzz_frames_begin(&input, &wire, FERRY_DIALECT_PCNTL);
        size_t head = 0, left;
        char length[24] = "", *bytes;

        if (flags & 32)
                check_saying(&input);
        left = (size_t)(input.end - input.at);
        if (flags & 64)
                head = (size_t)snprintf(length, sizeof length, "%zu#", left);
        bytes = malloc(head + left + 1);
        if (!bytes)
                abort();
        memcpy(bytes, length, head);
        memcpy(bytes + head, input.at, left);
        fuzz_frames_run(&frames, flags, bytes, head + left);
        free(bytes);
        fuzz_end(&mark);
        return 0;
}
