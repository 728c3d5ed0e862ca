/* A stream of bytes in the dialect innmind. What must hold:
 *
 *      - the frames are those of a model that has all bytes at once, however they are cut; what is none, or over the
 *        limit, is so from its first bytes on, and stays so
 *      - what is read is written as the same bytes, unless it is over the limit of what is sent
 *      - what a program says is read as it was said, or is refused, and is never one of the connection's own messages
 *      - memory grows with what has come, not with what was declared; nothing is left, also without memory
 *
 * The input: flags (bits 0 to 3: the size of the pieces, 0 is all at once; bit 4: a limit of 300 bytes; bit 5: a program
 * says something instead: a type, up to a zero, and a text); then the bytes. */
#include "fuzz/fuzz.h"

#include "wire/dialect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_LIMIT = 300 };

static struct wire wire;

static void init_wire(size_t limit)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_INNMIND, .frame_max = limit };
        struct error error = { 0 };

        FUZZ_REQUIRE(wire_init(&wire, &options, &error) == 0, "%s", error_text(&error));
}

/* The model: the size of the frame at the front, 0 if it is not whole, or -1 if it is none. */
static int64_t model(const unsigned char *bytes, size_t size)
{
        size_t type, content;

        if (size < 2)
                return 0;
        type = (size_t)bytes[0] << 8 | bytes[1];
        if (type == 0 || type > 1024)
                return -1;
        if (size < type + 6)
                return 0;
        bytes += 2 + type;
        content = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
        if (type + 7 + content > wire.frame_max)
                return -1;
        return size < type + 7 + content ? 0 : (int64_t)(type + 7 + content);
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
                FUZZ_REQUIRE(code == -EMSGSIZE && size > wire.send_max && buffer_size(&buffer) == 0, "%d: %s", code,
                             error_text(&error));
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

/* All of the stream, in pieces of that size. @may_fail: memory is refused somewhere. */
static void read_stream(const uint8_t *data, size_t size, size_t piece, bool may_fail)
{
        struct frame_reader reader;
        struct frame frame;
        size_t taken = 0, done = 0;
        int64_t expected;
        int code = 0;

        frame_reader_init(&reader, dialect_innmind.framing, true, wire.frame_max, wire_can_begin);
        while (taken < size && code >= 0) {
                size_t room, part = size - taken < piece ? size - taken : piece;
                void *at = frame_reserve(&reader, &room);

                if (!at) {
                        FUZZ_REQUIRE(may_fail && fuzz_has_refused(), "no memory");
                        break;
                }
                part = part < room ? part : room;
                memcpy(at, data + taken, part);
                frame_commit(&reader, part);
                taken += part;
                while ((code = frame_next(&reader, &frame)) > 0) {
                        expected = model(data + done, taken - done);
                        FUZZ_REQUIRE(frame.event == FRAME_WHOLE && expected == (int64_t)frame.size,
                                     "%zu bytes instead of %lld", frame.size, (long long)expected);
                        FUZZ_REQUIRE(memcmp(frame.bytes, data + done, frame.size) == 0, "other bytes");
                        if (!may_fail)
                                check_frame(frame.bytes, frame.size);
                        done += frame.size;
                        block_unref(frame.block);
                }
                if (code == -ENOMEM) {
                        FUZZ_REQUIRE(may_fail && fuzz_has_refused(), "no memory");
                        break;
                }
                expected = model(data + done, taken - done);
                FUZZ_REQUIRE(code == 0 ? expected == 0 : expected == -1 && (code == -EBADMSG || code == -EMSGSIZE),
                             "%d, but %lld", code, (long long)expected);
                if (code < 0)
                        FUZZ_REQUIRE(frame_next(&reader, &frame) == code, "it is right again");
        }
        if (code == 0 && taken == size)
                FUZZ_REQUIRE(frame_finish(&reader, &frame) == (done == size ? 0 : -ECONNRESET), "%zu of %zu bytes", done,
                             size);
        frame_reader_deinit(&reader);
}

/* A program says something: any type, any string. */
static void check_saying(struct fuzz_input *input)
{
        size_t type_size = strnlen((const char *)input->at, (size_t)(input->end - input->at));
        char *type = calloc(1, type_size + 1);
        ferry_value *body;
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = type };
        struct incoming in;
        size_t size, offset = type_size < (size_t)(input->end - input->at) ? type_size + 1 : type_size;
        int code;

        if (!type)
                abort();
        memcpy(type, input->at, type_size);
        input->at += offset;
        size = (size_t)(input->end - input->at);
        body = ferry_value_pack("%.*s", (int)size, (const char *)input->at);
        outgoing.body = body;
        code = dialect_innmind.write(&wire, &buffer, &outgoing, &error);
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
                             memcmp(bytes + in.body_offset, input->at, size) == 0, "something else");
        }
        error_deinit(&error);
        buffer_deinit(&buffer);
        ferry_value_unref(body);
        free(type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        uint8_t flags = fuzz_byte(&input);
        size_t piece = (flags & 15) ? (flags & 15) : SIZE_MAX, left;
        char *bytes;

        init_wire(flags & 16 ? SMALL_LIMIT : 0);
        if (flags & 32)
                check_saying(&input);
        left = (size_t)(input.end - input.at);
        bytes = fuzz_copy(input.at, left);
        fuzz_peak_begin(&mark);
        read_stream((const uint8_t *)bytes, left, piece, false);
        FUZZ_REQUIRE(fuzz_peak(&mark) <= 32 * left + (1 << 18), "%zu bytes of memory for %zu", fuzz_peak(&mark), left);
        fuzz_refuse_allocation(fuzz_hash(bytes, left) % 4);
        read_stream((const uint8_t *)bytes, left, piece, true);
        door_judge = NULL;
        free(bytes);
        fuzz_end(&mark);
        return 0;
}
