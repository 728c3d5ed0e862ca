/* A stream of bytes in the dialect innmind. Besides what must hold in frames.c:
 *
 *      - what is read is written as the same bytes, unless it is over the limit of what is sent, or its type is one that
 *        not all peers of innmind would take
 *      - what a program says is read as it was said, or is refused, and is never one of the connection's own messages
 *
 * The input: as frames.h says; bit 5: a program says something instead: a type, up to a zero, and a text. */
#include "fuzz/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct wire wire;

/* The header belongs to the frame. */
static int64_t model(const unsigned char *bytes, size_t size, size_t *ret_header)
{
        uint64_t content;
        size_t type;

        *ret_header = 0;
        if (size < 2)
                return MODEL_PART;
        type = (size_t)bytes[0] << 8 | bytes[1];
        if (type == 0 || type > 1024)
                return MODEL_NONE;
        if (size < type + 6)
                return MODEL_PART;
        bytes += 2 + type;
        content = (uint64_t)bytes[0] << 24 | (uint64_t)bytes[1] << 16 | (uint64_t)bytes[2] << 8 | bytes[3];
        if (type + 7 + content > wire.frame_max)
                return MODEL_NONE;
        return size < type + 7 + content ? MODEL_PART : (int64_t)(type + 7 + content);
}

/* video, and values of parameters, that are taken and not sent. */
static bool is_unusual(const char *type)
{
        const char *parameters = strpbrk(type, ";,");

        return strncmp(type, "video/", 6) == 0 || (parameters && strpbrk(parameters, "\"!#$%&'*+^`|~"));
}

/* What the frame says, as it is written: the same bytes. */
static void check_round(const char *bytes, size_t size, const struct incoming *in)
{
        char *type = malloc(in->type.size + 1);
        ferry_value *body = NULL;
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        struct outgoing outgoing = { .kind = in->kind, .type = type };
        size_t offset;
        int code;

        if (!type)
                abort();
        raw_text_copy(&in->type, type);
        FUZZ_REQUIRE(codec_decode(in->codec, bytes + in->body_offset, in->body_size, &body, &offset) == 0, "no body");
        outgoing.body = body;
        code = dialect_innmind.write(&wire, &buffer, &outgoing, &error);
        if (code)
                FUZZ_REQUIRE(((code == -EMSGSIZE && size > wire.send_max) || (code == -EINVAL && is_unusual(type))) &&
                             buffer_size(&buffer) == 0, "%d: %s", code, error_text(&error));
        else
                FUZZ_REQUIRE(buffer_size(&buffer) == size && memcmp(buffer_bytes(&buffer), bytes, size) == 0,
                             "%zu bytes are written as %zu", size, buffer_size(&buffer));
        error_deinit(&error);
        buffer_deinit(&buffer);
        ferry_value_unref(body);
        free(type);
}

static void check_frame(const char *bytes, size_t size)
{
        struct error error = { 0 };
        struct incoming in, part;
        int code = wire_read(&wire, bytes, size, &in, &error);

        FUZZ_REQUIRE((code == 0) == (error.code == 0), "%d, but the error is %d", code, error.code);
        if (code) {
                FUZZ_REQUIRE(code == -EBADMSG && *error_text(&error), "%d", code);
                error_deinit(&error);
        } else {
                FUZZ_REQUIRE(in.kind >= WIRE_CLOSE && in.kind < WIRE_UNKNOWN, "kind %d", in.kind);
                check_round(bytes, size, &in);
                wire_peek(&wire, bytes, size, &part);
                FUZZ_REQUIRE(part.kind == in.kind, "kind %d, then %d", in.kind, part.kind);
        }
        for (size_t cut = 1; cut <= 16 && cut < size; cut++) {
                char *copy = fuzz_copy(bytes, size - cut);

                wire_peek(&wire, copy, size - cut, &part);
                FUZZ_REQUIRE(part.kind == WIRE_UNKNOWN, "kind %d of a frame that is not whole", part.kind);
                free(copy);
        }
}

/* A program says something: any type, any string. */
static void check_saying(struct fuzz_input *input)
{
        char *type;
        ferry_value *body = fuzz_take_saying(input, &type);
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = type, .body = body };
        struct incoming in;
        size_t size, type_size = strlen(type);
        const char *text = ferry_value_bytes(body, &size);
        int code = dialect_innmind.write(&wire, &buffer, &outgoing, &error);

        FUZZ_REQUIRE(code == error.code && (code == 0) == (buffer_size(&buffer) > 0), "%d, %zu bytes", code,
                     buffer_size(&buffer));
        if (code)
                FUZZ_REQUIRE(code == -EINVAL || (code == -EMSGSIZE && type_size + size + 7 > wire.send_max), "%d: %s",
                             code, error_text(&error));
        else {
                const char *bytes = (const char *)buffer_bytes(&buffer);

                FUZZ_REQUIRE(buffer_size(&buffer) == type_size + size + 7 && buffer_size(&buffer) <= wire.send_max,
                             "%zu bytes", buffer_size(&buffer));
                FUZZ_REQUIRE(wire_read(&wire, bytes, buffer_size(&buffer), &in, &error) == 0, "%s", error_text(&error));
                FUZZ_REQUIRE(in.kind == WIRE_MESSAGE && in.type.size == type_size && in.body_size == size &&
                             memcmp(in.type.bytes, type, type_size) == 0 &&
                             memcmp(bytes + in.body_offset, text, size) == 0, "something else");
        }
        error_deinit(&error);
        buffer_deinit(&buffer);
        ferry_value_unref(body);
        free(type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct fuzz_frames frames = { .wire = &wire, .model = model, .check = check_frame, .memory_factor = 32 };
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        uint8_t flags = fuzz_frames_begin(&input, &wire, FERRY_DIALECT_INNMIND);
        size_t left;
        char *bytes;

        if (flags & 32)
                check_saying(&input);
        left = (size_t)(input.end - input.at);
        bytes = fuzz_copy(input.at, left);
        fuzz_frames_run(&frames, flags, bytes, left);
        free(bytes);
        fuzz_end(&mark);
        return 0;
}
