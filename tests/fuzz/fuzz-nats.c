/* A stream of bytes from a NATS server. What must hold:
 *
 *      - the frames are the same however the bytes are cut, and each is a line with what follows it, or one of several answers in a message;
 *        what is no line stays an error
 *      - an error has a sentence; what stands in a line is the same whether all of the frame is there or not
 *      - a body that the look at arrival takes decodes; a request can be answered, and the answer is one frame
 *      - the next connection begins anew, and servers that were spoken of are a list of URLs
 *      - memory grows with what has come, not with what was declared; nothing is left, also without memory
 *
 * The input: flags (bits 0 to 3: the size of pieces; bit 4: a small limit; bit 5: the session listens; bit 6: it gathers); then the bytes, in which
 * a @ behind a blank stands for the inbox of the session. */
#include "fuzz/fuzz.h"
#include "wire/dialect.h"
#include "util/url.h"
#include "wire/nats_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_LIMIT = 300, INBOX_MAX = 64 };

static struct wire wire;
static bool is_short_of_memory, is_gathering;

/* The inbox, as the login says it. */
static size_t find_inbox(char inbox[INBOX_MAX])
{
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        const struct outgoing login = { .kind = WIRE_START_OK };
        const char *at = NULL;
        size_t size;

        FUZZ_REQUIRE(wire.dialect->write(&wire, &buffer, &login, &error) == 0 && buffer_append(&buffer, "", 1) == 0, "%s",
                     error_text(&error));
        at = strstr((const char *)buffer_bytes(&buffer), "SUB _INBOX.");
        size = at ? strcspn(at + 4, "*") : 0;
        FUZZ_REQUIRE(size < INBOX_MAX, "%zu", size);
        if (size > 0)
                memcpy(inbox, at + 4, size);
        buffer_deinit(&buffer);
        return size;
}

/* With headers, or without. */
static bool is_published_to(const char *bytes, const struct raw_text *subject)
{
        bytes += *bytes == 'H';
        return memcmp(bytes, "PUB ", 4) == 0 && memcmp(bytes + 4, subject->bytes, subject->size) == 0 && bytes[4 + subject->size] == ' ';
}

static void check_answer(const struct incoming *in, bool is_type_known)
{
        static const enum wire_kind kinds[] = { WIRE_RESPONSE, WIRE_ERROR, WIRE_REFUSED, WIRE_ACCEPTED };
        ferry_value *body = ferry_value_pack("'text'");

        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                struct outgoing outgoing = { .kind = kinds[i], .id = in->id.bytes, .id_size = in->id.size, .type = "x", .body = body,
                                             .is_type_known = is_type_known, .codec = in->codec };
                struct buffer buffer = { 0 };
                struct error error = { 0 };
                size_t header = 0;
                uint64_t whole = 0;
                const char *bytes;
                int code = wire.dialect->write(&wire, &buffer, &outgoing, &error);

                FUZZ_REQUIRE(code == error.code && (code == 0) == (buffer_size(&buffer) > 0), "%d", code);
                FUZZ_REQUIRE(code == 0 || code == -EMSGSIZE, "%d: %s", code, error_text(&error));
                bytes = (const char *)buffer_bytes(&buffer);
                if (code == 0)
                        FUZZ_REQUIRE(nats_measure_sent(bytes, buffer_size(&buffer), &header, &whole) == 1 &&
                                     header + whole == buffer_size(&buffer), "%zu bytes are not one frame", buffer_size(&buffer));
                if (code == 0)
                        FUZZ_REQUIRE(is_published_to(bytes, &in->id) &&
                                     memcmp(bytes + buffer_size(&buffer) - 2, "\r\n", 2) == 0, "another answer");
                error_deinit(&error);
                buffer_deinit(&buffer);
        }
        ferry_value_unref(body);
}

/* Two answers to the same client: one message, or one for each. */
static void check_gathering(const struct incoming *in)
{
        ferry_value *body = ferry_value_pack("'text'");
        const struct outgoing outgoing = { .kind = WIRE_RESPONSE, .id = in->id.bytes, .id_size = in->id.size, .type = "x", .body = body,
                                           .is_type_known = true, .takes_batches = true, .codec = in->codec };
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        size_t header = 0, at = 0, count = 0, limit = wire.peer_max;
        uint64_t whole = 0;
        bool is_written;

        /* As a server would have said. */
        wire.peer_max = limit < SIZE_MAX ? limit : 1 << 20;
        is_written = wire.dialect->write(&wire, &buffer, &outgoing, &error) == 0 &&
                     wire.dialect->write(&wire, &buffer, &outgoing, &error) == 0;
        wire.peer_max = limit;
        while (at < buffer_size(&buffer)) {
                FUZZ_REQUIRE(nats_measure_sent((const char *)buffer_bytes(&buffer) + at, buffer_size(&buffer) - at, &header, &whole) == 1,
                             "no frame at %zu", at);
                at += (size_t)whole;
                count++;
        }
        FUZZ_REQUIRE(at == buffer_size(&buffer) && (!is_written || count == 1 || count == 2), "%zu frames", count);
        ferry_value_unref(body);
        error_deinit(&error);
        buffer_deinit(&buffer);
}

static void check_question(const struct incoming *in)
{
        struct outgoing outgoing = { .kind = WIRE_ANSWER, .id = in->id.bytes, .id_size = in->id.size, .type = in->type.bytes };
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        size_t header = 0;
        uint64_t whole = 0;
        const char *bytes;

        FUZZ_REQUIRE(wire.dialect->write(&wire, &buffer, &outgoing, &error) == 0, "%s", error_text(&error));
        bytes = (const char *)buffer_bytes(&buffer);
        FUZZ_REQUIRE(nats_measure_sent(bytes, buffer_size(&buffer), &header, &whole) == 1 && header + whole == buffer_size(&buffer),
                     "%zu bytes are not one frame", buffer_size(&buffer));
        FUZZ_REQUIRE(is_published_to(bytes, &in->id) && memcmp(bytes + buffer_size(&buffer) - 3, "}\r\n", 3) == 0, "another answer");
        buffer_deinit(&buffer);
}

static void check_frame(const char *payload, size_t size)
{
        char *bytes = fuzz_copy(payload, size);
        struct error error = { 0 };
        struct incoming in = { .kind = WIRE_UNKNOWN }, part = { .kind = WIRE_UNKNOWN };
        ferry_value *value = NULL;
        size_t offset;
        int code = wire.dialect->read(&wire, bytes, size, &in, &error);

        FUZZ_REQUIRE((code == 0) == (error.code == 0) && (code == 0 || *error_text(&error)), "%d", code);
        if (is_short_of_memory) {
                FUZZ_REQUIRE(code != -ENOMEM || fuzz_has_refused(), "no memory");
                ferry_value_unref(in.value);
                error_deinit(&error);
                free(bytes);
                return;
        }
        if (code == 0 && in.body_size > 0 && !in.value && codec_decode(in.codec, bytes + in.body_offset, in.body_size, &value, &offset) < 0)
                FUZZ_REQUIRE(in.check.has_references, "the body does not decode");
        FUZZ_REQUIRE(in.body_offset + in.body_size <= size, "%zu bytes at %zu of %zu", in.body_size, in.body_offset, size);
        ferry_value_unref(value);
        wire.dialect->peek(bytes, size, &part);
        if (is_gathering && (in.kind == WIRE_NOTIFICATION || in.kind == WIRE_REQUEST))
                /* Unless its subject has a dot, it is none of ours by the line alone. */
                FUZZ_REQUIRE((part.kind == WIRE_RESPONSE || part.kind == WIRE_UNKNOWN) && (in.id.size == 0) == (in.kind == WIRE_NOTIFICATION), "kind %d", part.kind);
        else if (in.kind == WIRE_REQUEST || in.kind == WIRE_NOTIFICATION)
                FUZZ_REQUIRE(part.kind == in.kind && part.id.size == in.id.size, "kind %d, then %d", part.kind, in.kind);
        if (in.kind == WIRE_REQUEST)
                for (int is_type_known = 0; is_type_known <= 1; is_type_known++)
                        check_answer(&in, is_type_known);
        if (in.kind == WIRE_REQUEST)
                check_gathering(&in);
        if (in.greeting.nonce)
                FUZZ_REQUIRE(in.kind == WIRE_START || in.kind == WIRE_DRAIN, "a nonce with kind %d", in.kind);
        if (in.kind == WIRE_QUESTION)
                check_question(&in);
        ferry_value_unref(in.value);
        error_deinit(&error);
        free(bytes);
}

/* All of it, in pieces of that size: a number that depends on the frames only. @has_checks: look into them. */
static uint64_t read_all(const char *bytes, size_t size, size_t piece, bool has_checks)
{
        struct frame_reader reader;
        struct frame frame;
        uint64_t sum = 0;
        size_t taken = 0;
        int code = 0;

        frame_reader_init(&reader, wire.dialect->framing, false, wire.frame_max, wire_can_begin);
        while (taken < size && code >= 0) {
                size_t room, part = size - taken < piece ? size - taken : piece;
                void *at = frame_reserve(&reader, &room);

                if (!at) {
                        FUZZ_REQUIRE(fuzz_has_refused(), "no memory");
                        break;
                }
                part = part < room ? part : room;
                memcpy(at, bytes + taken, part);
                frame_commit(&reader, part);
                taken += part;
                while ((code = frame_next(&reader, &frame)) > 0) {
                        FUZZ_REQUIRE(frame.event != FRAME_JUNK, "junk");
                        FUZZ_REQUIRE((frame.event == FRAME_WHOLE) == (frame.size <= wire.frame_max && frame.declared == 0), "%zu bytes",
                                     frame.size);
                        sum = sum * 31 + frame.size + frame.declared + fuzz_hash(frame.bytes, frame.size);
                        if (has_checks && frame.event == FRAME_WHOLE)
                                check_frame(frame.bytes, frame.size);
                        block_unref(frame.block);
                }
                FUZZ_REQUIRE(code == 0 || code == -EBADMSG || (code == -ENOMEM && fuzz_has_refused()), "%d", code);
                if (code < 0)
                        FUZZ_REQUIRE(frame_next(&reader, &frame) == code, "it is right again");
        }
        frame_reader_deinit(&reader);
        return sum * 31 + (uint64_t)(code < 0);
}

/* The bytes, with the inbox where it is meant. */
static char *expand(const struct fuzz_input *input, size_t *ret_size)
{
        size_t size = (size_t)(input->end - input->at), used = 0;
        char inbox[INBOX_MAX], *bytes = malloc(size * INBOX_MAX + 1);
        size_t inbox_size = find_inbox(inbox);

        if (!bytes)
                abort();
        for (size_t i = 0; i < size; i++) {
                if (input->at[i] == '@' && i > 0 && input->at[i - 1] == ' ') {
                        memcpy(bytes + used, inbox, inbox_size);
                        used += inbox_size;
                } else
                        bytes[used++] = (char)input->at[i];
        }
        *ret_size = used;
        return bytes;
}

static void check_servers(void)
{
        const char *urls = wire_servers(&wire);
        struct error error = { 0 };
        struct url url;
        int more = 0;

        while (urls && (more = url_next(&urls, "nats", &url, &error)) > 0)
                FUZZ_REQUIRE(!url.user.bytes && url.place.size > 0, "a secret");
        FUZZ_REQUIRE(more == 0, "%s", error_text(&error));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin(), peak;
        struct fuzz_input input = { data, data + size };
        uint8_t flags = fuzz_byte(&input);
        const ferry_session_options options = { .frame_max = flags & 16 ? SMALL_LIMIT : 0, .is_listening = flags & 32,
                                                .is_gathering = flags & 64 };
        size_t piece = flags & 15 ? flags & 15 : SIZE_MAX, left;
        struct wire former = { 0 };
        struct error error = { 0 };
        uint64_t sum;
        char *bytes;

        FUZZ_REQUIRE(wire_init(&wire, &options, &error) == 0 && wire_begin(&wire, "nats:subject", &options, &error) == 0, "%s",
                     error_text(&error));
        is_gathering = options.is_gathering && !options.is_listening;
        bytes = expand(&input, &left);
        sum = read_all(bytes, left, SIZE_MAX, true);
        fuzz_peak_begin(&peak);
        FUZZ_REQUIRE(read_all(bytes, left, piece, false) == sum, "other frames in pieces of %zu", piece);
        FUZZ_REQUIRE(fuzz_peak(&peak) <= 32 * left + (1 << 18), "%zu bytes of memory for %zu", fuzz_peak(&peak), left);
        is_short_of_memory = true;
        fuzz_refuse_allocation(fuzz_hash(bytes, left) % 4);
        read_all(bytes, left, piece, true);
        door_judge = NULL;
        is_short_of_memory = false;
        free(bytes);
        if (wire_part(&wire, &former) == 0) {
                check_servers();
                wire_deinit(&former);
        } else
                FUZZ_REQUIRE(fuzz_has_refused(), "no memory");
        wire_deinit(&wire);
        fuzz_end(&mark);
        return 0;
}
