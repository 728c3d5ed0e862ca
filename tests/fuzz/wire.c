/* What a dialect makes of a payload, fed with any bytes. What must hold:
 *
 *      - a body that the look at arrival takes decodes, unless parts of it are shared by reference
 *      - what was read can be written, or the reason is one that the dialect knows; what was written is read as the
 *        same
 *      - the beginning of a payload (peek) tells the same kind and id as all of it, or nothing
 *      - a beginning of what was read without insisting on a dialect may begin so (can_begin)
 *      - an error has a sentence; memory stays within a factor of the input; nothing is left, also without memory */
#include "fuzz/wire.h"

#include "fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 12 };

static int own_encode(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        const ferry_codec *ours = codec->userdata;

        return ours->encode(ours, value, sink);
}

static int own_decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        const ferry_codec *ours = codec->userdata;

        return ours->decode(ours, bytes, size, builder);
}

/* A message as it was read, with its texts and its body. */
struct read {
        struct incoming in;
        char *id;
        size_t id_size;
        char *type;
        ferry_value *tree;
        const ferry_value *body;
};

static char *copy_text(const struct raw_text *text, size_t *ret_size)
{
        char *copy = malloc(text->size + 1);

        if (!copy)
                abort();
        *ret_size = raw_text_copy(text, copy);
        return copy;
}

/* Of the message before. */
static struct spare spare;

/* As a session does with a message: the body of a copy, in place. Without a value there is none. */
static ferry_value *decode_body(const struct incoming *in, const char *payload)
{
        struct check check = in->check;
        struct block *block;
        ferry_value *value = NULL;
        char *bytes;
        int code;

        if (in->value || in->body_size == 0)
                return in->value;
        block = sys_alloc(sizeof *block + in->body_size + 1);
        FUZZ_REQUIRE(block, "no memory");
        block->references = 1;
        bytes = (char *)(block + 1);
        memcpy(bytes, payload + in->body_offset, in->body_size);
        code = codec_decode_block(codec_native(in->codec), block, bytes, in->body_size, &check, &spare, &value);
        block_unref(block);
        FUZZ_REQUIRE(code == 0 || (in->check.has_references && (code == -EBADMSG || code == -EMSGSIZE)),
                     "the body does not decode: %d", code);
        return value;
}

static int read_payload(struct wire *wire, const char *payload, size_t size, struct read *ret)
{
        struct error error = { 0 };
        size_t type_size;
        int code = wire_read(wire, payload, size, &ret->in, &error);

        *ret = (struct read){ .in = ret->in };
        FUZZ_REQUIRE((code == 0) == (error.code == 0), "%d, but the error is %d", code, error.code);
        if (code) {
                FUZZ_REQUIRE(code == -EBADMSG || code == -EMSGSIZE, "%d", code);
                FUZZ_REQUIRE(*error_text(&error), "no sentence");
                error_deinit(&error);
                ferry_value_unref(ret->in.value);
                return code;
        }
        ret->id = copy_text(&ret->in.id, &ret->id_size);
        ret->type = copy_text(&ret->in.type, &type_size);
        ret->tree = decode_body(&ret->in, payload);
        ret->body = ret->in.property ? ferry_value_get(ret->tree, ret->in.property) : ret->tree;
        return 0;
}

static void read_deinit(struct read *read)
{
        free(read->id);
        free(read->type);
        spare_keep(&spare, read->tree);
}

/* Write what was read, and read it again. */
static void check_round(struct wire *wire, const struct read *read)
{
        const struct dialect *dialect = wire->dialect;
        struct outgoing outgoing = { .kind = read->in.kind, .id = read->id, .id_size = read->id_size,
                                     .type = read->type,
                                     .body = read->body, .codec = read->in.codec };
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        char id_text[2 * WIRE_ID_MAX + 64];
        struct read again;
        bool is_error = read->in.kind == WIRE_ERROR && !dialect->has_hello;
        ferry_value *text = NULL;
        int code;

        if (read->id_size > 0 && read->id_size <= WIRE_ID_MAX)
                dialect->id_text(read->id, read->id_size, id_text);
        /* In stream-ipc the body of an error is a text of ours, whatever came. */
        if (is_error)
                outgoing.body = text = ferry_value_pack("'failed'");
        code = dialect->write(wire, &buffer, &outgoing, &error);
        if (code) {
                /* php has no class that is not a word; json cannot write all; types are not only what comes in. */
                FUZZ_REQUIRE(code == -EILSEQ || code == -EDOM || code == -EINVAL || code == -EMSGSIZE, "%d: %s", code,
                             error_text(&error));
                FUZZ_REQUIRE(*error_text(&error) && buffer_size(&buffer) == 0, "%zu bytes are left",
                             buffer_size(&buffer));
        } else {
                FUZZ_REQUIRE(read_u32(buffer_bytes(&buffer) + 4) == buffer_size(&buffer) - FRAME_HEADER,
                             "a wrong length");
                code = read_payload(wire, (const char *)buffer_bytes(&buffer) + FRAME_HEADER,
                                    buffer_size(&buffer) - FRAME_HEADER, &again);
                FUZZ_REQUIRE(code == 0, "what was written is not read: %d", code);
                FUZZ_REQUIRE(again.in.kind == read->in.kind, "kind %d, then %d", read->in.kind, again.in.kind);
                FUZZ_REQUIRE(again.id_size == read->id_size && memcmp(again.id, read->id, read->id_size) == 0,
                             "another id");
                FUZZ_REQUIRE(is_error || strcmp(again.type, read->type) == 0, "type %s, then %s", read->type,
                             again.type);
                if (read->body && !is_error && ferry_value_kind(read->body) == ferry_value_kind(again.body))
                        FUZZ_REQUIRE(ferry_value_equal(read->body, again.body), "another body");
                read_deinit(&again);
        }
        ferry_value_unref(text);
        error_deinit(&error);
        buffer_deinit(&buffer);
}

/* Say something else than what came: in any dialect, with any codec, by a type and a body of the program's, at any
   limit. */
static void check_writing(const struct wire *before, const struct read *read, uint32_t seed)
{
        static const struct dialect *const dialects[] = { &dialect_ferry, &dialect_stream_ipc };
        static const enum wire_kind kinds[] = { WIRE_NOTIFICATION, WIRE_REQUEST, WIRE_RESPONSE };
        const char *types[] = { read->type, FERRY_LOG_MESSAGE, "App\\Type", "", "\xff",
                                "StreamIpc\\Message\\ErrorMessage" };
        const char *text = ferry_value_text(ferry_value_at(read->body, 0), NULL);
        struct wire wire = *before;
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        struct outgoing outgoing = { .kind = kinds[seed % 3], .id = "12345678", .id_size = 8,
                                     .type = types[seed / 4 % 6] };
        const ferry_value *bodies[] = { read->body, ferry_value_at(read->body, 0), NULL };
        struct read again;
        int code;

        wire.dialect = dialects[seed / 32 % 2];
        wire.is_dialect_fixed = true;
        if (seed & 1 << 10)
                wire.frame_max = wire.send_max = seed >> 20 & 511;
        if (seed & 1 << 11)
                wire.peer_max = seed >> 16 & 255;
        outgoing.body = bodies[seed / 64 % 3];
        code = wire.dialect->write(&wire, &buffer, &outgoing, &error);
        FUZZ_REQUIRE(code == error.code && (code == 0) == (buffer_size(&buffer) > 0), "%d, %zu bytes", code,
                     buffer_size(&buffer));
        if (code == 0) {
                size_t size = buffer_size(&buffer) - FRAME_HEADER;

                FUZZ_REQUIRE(size <= wire.frame_max && size <= wire.peer_max, "%zu bytes are over the limit", size);
                code = read_payload(&wire, (const char *)buffer_bytes(&buffer) + FRAME_HEADER, size, &again);
                FUZZ_REQUIRE(code == 0, "what was written is not read: %d", code);
                FUZZ_REQUIRE(again.in.kind == outgoing.kind || again.in.kind == WIRE_ERROR, "kind %d, then %d",
                             outgoing.kind,
                             again.in.kind);
                if (outgoing.body == bodies[1] && text && outgoing.kind != WIRE_RESPONSE)
                        FUZZ_REQUIRE(strcmp(text, ferry_value_text(wire.dialect->has_hello ? again.body :
                                                                   ferry_value_get(again.body, "message"), "")) == 0,
                                     "another text");
                read_deinit(&again);
        }
        error_deinit(&error);
        buffer_deinit(&buffer);
}

static size_t count(const char *payload, size_t size, const char *text)
{
        const char *at = payload, *end = payload + size;
        size_t found = 0;

        while ((at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
                at++;
                found++;
        }
        return found;
}

static bool ends_with(const char *text, const char *end)
{
        return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

/* Whether all of a payload may say something else than its beginning: an envelope of a root that is not known is a
 * message like others in the end; of two properties of one name the later counts. */
static bool is_ambiguous(const char *payload, size_t size, const struct read *read)
{
        return (read->in.kind == WIRE_NOTIFICATION && (ends_with(read->type, "\\Envelope\\RequestEnvelope") ||
                                                       ends_with(read->type, "\\Envelope\\ResponseEnvelope"))) ||
               count(payload, size, "\"id\"") > 1 || count(payload, size, "class\"") > 2 ||
                       count(payload, size, "\\u") > 0;
}

static void check_beginnings(const struct wire *before, const char *payload, size_t size, const struct read *read)
{
        for (int i = 0; i < PIECES; i++) {
                size_t part = size * (size_t)(i + 1) / PIECES;
                char *copy = fuzz_copy(payload, part);
                struct wire wire = *before;
                struct incoming in;
                char *id;
                size_t id_size;

                if (!before->is_dialect_fixed && read && part > 0)
                        FUZZ_REQUIRE(wire_can_begin(copy, part) || !wire_can_begin(payload, size), "%zu of %zu bytes",
                                     part,
                                     size);
                wire_peek(&wire, copy, part, &in);
                if (read && in.kind != WIRE_UNKNOWN && !is_ambiguous(payload, size, read)) {
                        FUZZ_REQUIRE(in.kind == read->in.kind || (in.kind == WIRE_RESPONSE &&
                                                                  read->in.kind == WIRE_ERROR),
                                     "kind %d of %zu of %zu bytes, in the end %d", in.kind, part, size, read->in.kind);
                        id = copy_text(&in.id, &id_size);
                        FUZZ_REQUIRE(id_size == read->id_size && memcmp(id, read->id, id_size) == 0, "another id");
                        free(id);
                }
                free(copy);
        }
}

static void run_without_memory(const struct wire *before, const char *payload, size_t size, const struct read *read,
                               uint32_t seed)
{
        struct wire wire = *before;
        struct error error = { 0 };
        struct buffer buffer = { 0 };
        struct incoming in;
        struct outgoing outgoing;

        fuzz_refuse_allocation(seed % 8);
        if (wire_read(&wire, payload, size, &in, &error) < 0)
                FUZZ_REQUIRE(!fuzz_has_refused() || error.code != 0, "%d", error.code);
        door_judge = NULL;
        ferry_value_unref(in.value);
        error_deinit(&error);
        if (!read)
                return;
        error = (struct error){ 0 };
        outgoing = (struct outgoing){ .kind = read->in.kind, .id = read->id, .id_size = read->id_size,
                                      .type = read->type,
                                      .body = read->body, .codec = read->in.codec };
        wire = *before;
        fuzz_refuse_allocation(seed >> 8 & 7);
        if (read->in.kind != WIRE_ERROR && wire.dialect->write(&wire, &buffer, &outgoing, &error) < 0)
                FUZZ_REQUIRE(buffer_size(&buffer) == 0, "%zu bytes are left", buffer_size(&buffer));
        else if (read->in.kind != WIRE_ERROR)
                FUZZ_REQUIRE(!fuzz_has_refused(), "written without memory");
        door_judge = NULL;
        error_deinit(&error);
        buffer_deinit(&buffer);
}

static void run(const struct wire *before, const char *payload, size_t size)
{
        struct wire wire = *before;
        struct read read;
        int code = read_payload(&wire, payload, size, &read);

        check_beginnings(before, payload, size, code == 0 && read.in.kind != WIRE_UNKNOWN ? &read : NULL);
        if (code == 0 && read.in.kind != WIRE_UNKNOWN && (read.tree || !read.in.check.has_references))
                check_round(&wire, &read);
        if (code == 0 && read.tree)
                for (uint32_t i = 0, seed = fuzz_hash(payload, size); i < 4; i++) {
                        seed = seed * 1664525 + 1013904223;
                        check_writing(&wire, &read, seed >> 2);
                }
        run_without_memory(code == 0 ? &wire : before, payload, size,
                           code == 0 && read.in.kind != WIRE_UNKNOWN && read.tree ? &read : NULL,
                                   fuzz_hash(payload, size));
        if (code == 0)
                read_deinit(&read);
}

void fuzz_wire_run(unsigned dialect, const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        uint8_t flags = fuzz_byte(&input);
        const ferry_codec *codecs[] = { NULL, ferry_codec_php(), ferry_codec_json(), ferry_codec_msgpack(),
                                        ferry_codec_json_objects() };
        const ferry_codec *codec = codecs[flags & 64 ? 4 : flags & 3];
        ferry_codec own = { .size = sizeof own, .name = "own", .number = 200, .encode = own_encode,
                            .decode = own_decode,
                            .userdata = (void *)(uintptr_t)(codec ? codec : ferry_codec_json()) };
        ferry_session_options options = { .codec = flags & 4 ? &own : codec,
                                          .dialect = flags & 8 ? dialect : FERRY_DIALECT_AUTO,
                                          .root = flags & 16 ? "PhpStreamIpc" : flags & 32 ? "My\\Root" : NULL };
        struct error error = { 0 };
        struct wire wire;
        size_t payload_size = (size_t)(input.end - input.at);
        char *payload = fuzz_copy(input.at, payload_size);

        if (wire_init(&wire, &options, &error) == 0)
                run(&wire, payload, payload_size);
        else
                FUZZ_REQUIRE(options.codec == ferry_codec_msgpack() && options.dialect == FERRY_DIALECT_STREAM_IPC,
                             "%s",
                             error_text(&error));
        error_deinit(&error);
        free(payload);
        spare_deinit(&spare);
        fuzz_end(&mark);
}
