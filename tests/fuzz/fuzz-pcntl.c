/* A stream of bytes in the dialect pcntl. What must hold:
 *
 *      - the frames are those of a model that has all bytes at once, however they are cut; what is none, or over the
 *        limit, is so from its first bytes on, and stays so
 *      - what is read as a message has a topic and a body; written, it is read as the same, and written as the same bytes,
 *        unless it is over the limit of what is sent
 *      - what a program says is read as it was said
 *      - memory grows with what has come, not with what was declared; nothing is left, also without memory
 *
 * The input: flags (bits 0 to 3: the size of the pieces, 0 is all at once; bit 4: a limit of 300 bytes; bit 5: a program
 * says something instead: a type, up to a zero, and a text; bit 6: the bytes are one payload, which gets its length); then
 * the bytes. */
#include "fuzz/fuzz.h"

#include "wire/dialect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_LIMIT = 300, DIGITS_MAX = 10 };

static struct wire wire;

static void init_wire(size_t limit)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_PCNTL, .frame_max = limit };
        struct error error = { 0 };

        FUZZ_REQUIRE(wire_init(&wire, &options, &error) == 0, "%s", error_text(&error));
}

/* The model: the size of the payload at the front and where it begins; -1 if it is not whole, -2 if it is none. */
static int64_t model(const unsigned char *bytes, size_t size, size_t *ret_header)
{
        const unsigned char *end = memchr(bytes, '#', size);
        size_t digits = end ? (size_t)(end - bytes) : size;
        char number[DIGITS_MAX + 1] = "";
        unsigned long long length;

        for (size_t i = 0; i < digits; i++)
                if (i == DIGITS_MAX || bytes[i] < '0' || bytes[i] > '9')
                        return -2;
        if (!end)
                return -1;
        if (digits == 0)
                return -2;
        memcpy(number, bytes, digits);
        length = strtoull(number, NULL, 10);
        *ret_header = digits + 1;
        if (length > wire.frame_max)
                return -2;
        return length > size - digits - 1 ? -1 : (int64_t)length;
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

/* All of the stream, in pieces of that size. @may_fail: memory is refused somewhere. */
static void read_stream(const uint8_t *data, size_t size, size_t piece, bool may_fail)
{
        struct frame_reader reader;
        struct frame frame;
        size_t taken = 0, done = 0, header = 0;
        int64_t expected;
        int code = 0;

        frame_reader_init(&reader, dialect_pcntl.framing, true, wire.frame_max, wire_can_begin);
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
                        expected = model(data + done, taken - done, &header);
                        FUZZ_REQUIRE(frame.event == FRAME_WHOLE && expected == (int64_t)frame.size,
                                     "%zu bytes instead of %lld", frame.size, (long long)expected);
                        FUZZ_REQUIRE(memcmp(frame.bytes, data + done + header, frame.size) == 0, "other bytes");
                        if (!may_fail)
                                check_frame(frame.bytes, frame.size);
                        done += header + frame.size;
                        block_unref(frame.block);
                }
                if (code == -ENOMEM) {
                        FUZZ_REQUIRE(may_fail && fuzz_has_refused(), "no memory");
                        break;
                }
                expected = model(data + done, taken - done, &header);
                FUZZ_REQUIRE(code == 0 ? expected == -1 : expected == -2 && (code == -EBADMSG || code == -EMSGSIZE),
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
        size_t left = (size_t)(input->end - input->at), type_size = strnlen((const char *)input->at, left), size;
        char *type = calloc(1, type_size + 1);
        struct buffer buffer = { 0 };
        ferry_value *body;

        if (!type)
                abort();
        memcpy(type, input->at, type_size);
        input->at += type_size < left ? type_size + 1 : type_size;
        size = (size_t)(input->end - input->at);
        body = ferry_value_pack("%.*s", (int)size, (const char *)input->at);
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
                FUZZ_REQUIRE(type_size + size + 150 > wire.send_max, "%zu bytes are too many", type_size + size);
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
        char length[24] = "", *bytes;
        int head = 0;

        init_wire(flags & 16 ? SMALL_LIMIT : 0);
        if (flags & 32)
                check_saying(&input);
        left = (size_t)(input.end - input.at);
        if (flags & 64)
                head = snprintf(length, sizeof length, "%zu#", left);
        bytes = malloc((size_t)head + left + 1);
        if (!bytes)
                abort();
        memcpy(bytes, length, (size_t)head);
        memcpy(bytes + head, input.at, left);
        left += (size_t)head;
        fuzz_peak_begin(&mark);
        read_stream((const uint8_t *)bytes, left, piece, false);
        FUZZ_REQUIRE(fuzz_peak(&mark) <= 64 * left + (1 << 18), "%zu bytes of memory for %zu", fuzz_peak(&mark), left);
        fuzz_refuse_allocation(fuzz_hash(bytes, left) % 4);
        read_stream((const uint8_t *)bytes, left, piece, true);
        door_judge = NULL;
        free(bytes);
        fuzz_end(&mark);
        return 0;
}
