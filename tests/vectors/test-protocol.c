/* The examples of docs/protocol.md, byte for byte. A block ```hex LABEL is one frame: the library reads it as the table below
 * says, and writes the same bytes again. A block ```hex conversation LABEL is played against a session: what stands behind > is
 * sent to it, what stands behind < must come from it. In both, bytes stand in hex or as 'text', and ; begins a comment. */
#include "channel/segment.h"
#include "support/place.h"
#include "support/suite.h"
#include "wire/dialect.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        PAGE_MAX = 1 << 18,
        BYTES_MAX = 4096,
        BLOCKS_MAX = 128,
};

struct block_of_page {
        char label[64];
        bool is_conversation;
        char *text;             /* up to a zero */
        bool was_used;
};

static struct {
        char text[PAGE_MAX];
        struct block_of_page blocks[BLOCKS_MAX];
        size_t count;
} page;

/* The page --------------------------------------------------------------------------------------------- */

static void add_block(const char *label, char *text)
{
        struct block_of_page *block = &page.blocks[page.count++];
        static const char conversation[] = "conversation ";

        SUITE_CHECK(page.count < BLOCKS_MAX, "the page has more than %d blocks", BLOCKS_MAX);
        block->is_conversation = strncmp(label, conversation, strlen(conversation)) == 0;
        if (block->is_conversation)
                label += strlen(conversation);
        SUITE_CHECK(strlen(label) < sizeof block->label, "a label is too long: %s", label);
        memcpy(block->label, label, strlen(label) + 1);
        block->text = text;
}

static void read_page(void)
{
        FILE *file = fopen(TESTS_DIRECTORY "/../docs/protocol.md", "r");
        size_t size;
        char *at;

        SUITE_CHECK(file != NULL, "docs/protocol.md does not open");
        size = fread(page.text, 1, PAGE_MAX - 1, file);
        fclose(file);
        SUITE_CHECK(size > 0 && size < PAGE_MAX - 1, "docs/protocol.md is empty, or too long");
        page.count = 0;
        at = page.text;
        while ((at = strstr(at, "\n```hex "))) {
                char *label = at + strlen("\n```hex "), *line = strchr(label, '\n'), *end = line ? strstr(line, "\n```") : NULL;

                SUITE_CHECK(end != NULL, "a block has no end");
                *line = *end = '\0';
                add_block(label, line + 1);
                at = end + 1;
        }
}

static struct block_of_page *find_block(const char *label, bool is_conversation)
{
        for (size_t i = 0; i < page.count; i++) {
                if (strcmp(page.blocks[i].label, label) == 0 && page.blocks[i].is_conversation == is_conversation) {
                        page.blocks[i].was_used = true;
                        return &page.blocks[i];
                }
        }
        ck_abort_msg("docs/protocol.md has no block %s", label);
        return NULL;
}

/* The bytes of one line, behind those that are there. */
static size_t parse_line(const char *line, const char *end, unsigned char *bytes, size_t size)
{
        unsigned byte;
        int length;

        while (line < end && *line != ';') {
                SUITE_CHECK(size < BYTES_MAX, "a block is too long");
                if (*line == ' ')
                        line++;
                else if (*line == '\'') {
                        for (line++; *line != '\''; line++) {
                                SUITE_CHECK(line < end && size < BYTES_MAX, "a text has no end");
                                bytes[size++] = (unsigned char)*line;
                        }
                        line++;
                } else {
                        SUITE_CHECK(sscanf(line, "%2x%n", &byte, &length) == 1 && length == 2, "not in hex: %.20s", line);
                        bytes[size++] = (unsigned char)byte;
                        line += 2;
                }
        }
        return size;
}

static size_t parse_block(const char *text, unsigned char *bytes)
{
        size_t size = 0;

        while (*text) {
                const char *end = strchr(text, '\n');

                end = end ? end : text + strlen(text);
                size = parse_line(text, end, bytes, size);
                text = *end ? end + 1 : end;
        }
        return size;
}

/* Frames ----------------------------------------------------------------------------------------------- */

static const struct example {
        const char *label;
        unsigned dialect;
        enum wire_kind kind;
        const char *id;         /* as text */
        const char *type;
        const char *body;       /* as it is read, in the codec json-objects; NULL: none */
        const char *sent;       /* the body that is given to be written; NULL: the one above; "": this is only read */
        const ferry_codec *(*codec)(void);
        int code;               /* that reading ends with */
        bool is_leaving;
} examples[] = {
#define EXAMPLE(dialect_, kind_, id_, type_, body_) .dialect = dialect_, .kind = kind_, .id = id_, .type = type_, .body = body_
#define FERRY(kind, id, type, body) EXAMPLE(FERRY_DIALECT_FERRY, kind, id, type, body)
        { .label = "ferry hello", FERRY(WIRE_HELLO, "0", "", "{\"frame_max\":16777216,\"features\":[],\"heartbeat_ms\":5000}") },
        { .label = "ferry hello one-way", FERRY(WIRE_HELLO, "0", "", "{\"frame_max\":16777216,\"features\":[\"one-way\"]}") },
        { .label = "ferry hello with shared memory", FERRY(WIRE_HELLO, "0", "", "{\"frame_max\":16777216,\"features\":[\"shm\"]}") },
        { .label = "ferry offer", FERRY(WIRE_OFFER, "0", "", NULL) },
        { .label = "ferry moved", FERRY(WIRE_MOVED, "0", "", NULL) },
        { .label = "ferry declined", FERRY(WIRE_DECLINED, "0", "", "\"small\"") },
        { .label = "ferry subscribe", FERRY(WIRE_SUBSCRIBE, "0", "price.*", NULL) },
        { .label = "ferry unsubscribe", FERRY(WIRE_UNSUBSCRIBE, "0", "price.*", NULL) },
        { .label = "ferry describe", FERRY(WIRE_DESCRIBE, "1", "", NULL) },
        { .label = "ferry description", FERRY(WIRE_RESPONSE, "1", "", "[{\"type\":\"get\",\"in\":\"a key\",\"out\":null,\"text\":null}]") },
        { .label = "ferry progress", FERRY(WIRE_PROGRESS, "1", "list", "\"one\"") },
        { .label = "ferry descriptors", FERRY(WIRE_DESCRIPTORS, "0", "", "2") },
        { .label = "ferry credit", FERRY(WIRE_CREDIT, "1", "", "65536") },
        { .label = "ferry drain", FERRY(WIRE_DRAIN, "0", "", NULL) },
        { .label = "ferry take over", FERRY(WIRE_TAKE_OVER, "0", "", NULL) },
        { .label = "ferry handed over", FERRY(WIRE_HANDED_OVER, "0", "", "[{\"path\":\"/run/x\",\"lock\":true}]") },
        { .label = "ferry taken", FERRY(WIRE_TAKEN, "0", "", NULL) },
        { .label = "ferry notification", FERRY(WIRE_NOTIFICATION, "0", "progress", "{\"percent\":50}") },
        { .label = "ferry request", FERRY(WIRE_REQUEST, "1", "echo", "\"hello\"") },
        { .label = "ferry request in php", FERRY(WIRE_REQUEST, "1", "echo", "\"hello\""), .codec = ferry_codec_php },
        { .label = "ferry request in json", FERRY(WIRE_REQUEST, "1", "echo", "\"hello\""), .codec = ferry_codec_json },
        { .label = "ferry response", FERRY(WIRE_RESPONSE, "1", "echo", "\"hello\"") },
        { .label = "ferry response without a body", FERRY(WIRE_RESPONSE, "1", "echo", NULL) },
        { .label = "ferry error", FERRY(WIRE_ERROR, "1", "echo", "\"no such key\"") },
        { .label = "ferry refused", FERRY(WIRE_REFUSED, "1", "", "\"the session is being closed\""), .is_leaving = true },
        { .label = "ferry cancel", FERRY(WIRE_CANCEL, "1", "", NULL) },
        { .label = "ferry ping", FERRY(WIRE_PING, "7", "", NULL) },
        { .label = "ferry pong", FERRY(WIRE_PONG, "7", "", NULL) },
        { .label = "ferry close", FERRY(WIRE_CLOSE, "0", "",
                               "{\"in_hand\":\"\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0003\"}") },
        { .label = "ferry optional kind", FERRY(WIRE_UNKNOWN, NULL, NULL, NULL), .sent = "" },
        { .label = "ferry unknown kind", FERRY(WIRE_UNKNOWN, NULL, NULL, NULL), .code = -EBADMSG },
        { .label = "ferry unknown version", FERRY(WIRE_UNKNOWN, NULL, NULL, NULL), .code = -EBADMSG },
        { .label = "ferry unknown codec", FERRY(WIRE_REQUEST, "1", "echo", NULL), .code = -EBADMSG },
#define STREAM_IPC(kind, id, type, body) EXAMPLE(FERRY_DIALECT_STREAM_IPC, kind, id, type, body)
#define LOG "StreamIpc\\Message\\LogMessage"
#define LOG_BODY(text) "{\"__class\":\"StreamIpc\\\\Message\\\\LogMessage\",\"message\":\"" text "\",\"level\":\"info\"}"
        { .label = "stream-ipc notification", STREAM_IPC(WIRE_NOTIFICATION, NULL, LOG, LOG_BODY("hi")), .sent = "\"hi\"" },
        { .label = "stream-ipc request", STREAM_IPC(WIRE_REQUEST, "4242.1", LOG, LOG_BODY("hi")), .sent = "\"hi\"" },
        { .label = "stream-ipc response", STREAM_IPC(WIRE_RESPONSE, "4242.1", LOG, LOG_BODY("yes")), .sent = "\"yes\"" },
        { .label = "stream-ipc error", STREAM_IPC(WIRE_ERROR, "4242.1", "StreamIpc\\Message\\ErrorMessage",
                                         "{\"__class\":\"StreamIpc\\\\Message\\\\ErrorMessage\",\"errorMessage\":\"no\"}"),
          .sent = "\"no\"" },
        { .label = "stream-ipc request in json", STREAM_IPC(WIRE_REQUEST, "4242.1", LOG, LOG_BODY("hi")), .sent = "\"hi\"",
          .codec = ferry_codec_json },
        { .label = "stream-ipc no object", STREAM_IPC(WIRE_UNKNOWN, NULL, NULL, NULL), .code = -EBADMSG },
#define INNMIND(kind, type, body) EXAMPLE(FERRY_DIALECT_INNMIND, kind, NULL, type, body)
        { .label = "innmind start", INNMIND(WIRE_START, "text/plain", "\"innmind/ipc:connection.start\"") },
        { .label = "innmind start-ok", INNMIND(WIRE_START_OK, "text/plain", "\"innmind/ipc:connection.start-ok\"") },
        { .label = "innmind message", INNMIND(WIRE_MESSAGE, "text/plain", "\"ping\"") },
        { .label = "innmind received", INNMIND(WIRE_RECEIVED, "text/plain", "\"innmind/ipc:message.received\"") },
        { .label = "innmind heartbeat", INNMIND(WIRE_HEARTBEAT, "text/plain", "\"innmind/ipc:heartbeat\"") },
        { .label = "innmind close", INNMIND(WIRE_CLOSE, "text/plain", "\"innmind/ipc:connection.close\"") },
        { .label = "innmind close-ok", INNMIND(WIRE_CLOSE_OK, "text/plain", "\"innmind/ipc:connection.close-ok\"") },
        { .label = "innmind no control message", INNMIND(WIRE_MESSAGE, "text/html", "\"innmind/ipc:heartbeat\"") },
        { .label = "innmind bad media type", INNMIND(WIRE_MESSAGE, "plain", NULL), .code = -EBADMSG },
#define PCNTL(type, body) EXAMPLE(FERRY_DIALECT_PCNTL, WIRE_MESSAGE, NULL, type, body)
        { .label = "pcntl message", PCNTL("hello child", NULL) },
        { .label = "pcntl message with a body", PCNTL("task", "{\"n\":7}") },
        { .label = "pcntl older form", PCNTL("c", "7"), .sent = "" },
        { .label = "pcntl no topic", PCNTL(NULL, NULL), .code = -EBADMSG },
};

enum { EXAMPLES = sizeof examples / sizeof *examples };

static void begin_wire(const struct example *example, struct wire *wire)
{
        ferry_session_options options = { .dialect = example->dialect, .codec = example->codec ? example->codec() : NULL };
        struct error error = { 0 };

        SUITE_CHECK(wire_init(wire, &options, &error) == 0, "%s: no conversation", example->label);
}

/* The body that was read, in the codec json-objects; "": there is none. */
static void describe_body(const struct incoming *in, const char *payload, char text[BYTES_MAX])
{
        FERRY_AUTO(ferry_value) value = ferry_value_ref(in->value);
        const ferry_value *body;
        struct buffer buffer = { 0 };
        char reason[96];
        size_t offset;

        *text = '\0';
        if (!value && in->body_size > 0)
                SUITE_CHECK(codec_decode(in->codec, payload + in->body_offset, in->body_size, &value, &offset) == 0,
                            "the body is not decoded");
        body = in->property ? ferry_value_get(value, in->property) : value;
        if (!body || ferry_value_kind(body) == FERRY_VALUE_NULL)
                return;
        SUITE_CHECK(codec_encode(ferry_codec_json_objects(), body, &buffer, BYTES_MAX - 1, reason) == 0, "the body: %s", reason);
        memcpy(text, buffer_bytes(&buffer), buffer_size(&buffer));
        text[buffer_size(&buffer)] = '\0';
        buffer_deinit(&buffer);
}

static void check_read(const struct example *example, struct wire *wire, const struct frame *frame, struct incoming *in)
{
        struct error error = { 0 };
        char text[2 * WIRE_ID_MAX + 1], copy[BYTES_MAX];
        int code = wire_read(wire, frame->bytes, frame->size, in, &error);

        SUITE_CHECK(code == example->code, "%s: reading ends with %d: %s", example->label, code, error_text(&error));
        error_deinit(&error);
        SUITE_CHECK(in->kind == example->kind, "%s: it is of the kind %d", example->label, (int)in->kind);
        if (example->id) {
                SUITE_CHECK(in->id.bytes != NULL, "%s: it has no id", example->label);
                wire->dialect->id_text(copy, raw_text_copy(&in->id, copy), text);
                SUITE_CHECK(strcmp(text, example->id) == 0, "%s: it has the id %s", example->label, text);
        }
        if (example->type) {
                copy[raw_text_copy(&in->type, copy)] = '\0';
                SUITE_CHECK(strcmp(copy, example->type) == 0, "%s: it has the type %s", example->label, copy);
        }
        if (code)
                return;
        describe_body(in, frame->bytes, copy);
        SUITE_CHECK(strcmp(copy, example->body ? example->body : "") == 0, "%s: it has the body %s", example->label, copy);
}

static void check_written(const struct example *example, const struct incoming *in, const unsigned char *bytes, size_t size)
{
        const char *text = example->sent ? example->sent : example->body;
        struct outgoing outgoing = { .kind = example->kind, .type = example->type, .is_leaving = example->is_leaving };
        FERRY_AUTO(ferry_value) body = NULL;
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        char id[WIRE_ID_MAX];
        struct wire wire;
        size_t offset;

        begin_wire(example, &wire);
        if (text)
                SUITE_CHECK(codec_decode(ferry_codec_json_objects(), text, strlen(text), &body, &offset) == 0, "%s is no JSON", text);
        outgoing.body = body;
        if (in->id.bytes) {
                outgoing.id_size = raw_text_copy(&in->id, id);
                outgoing.id = id;
        }
        SUITE_CHECK(wire.dialect->write(&wire, &buffer, &outgoing, &error) == 0, "%s: it is not written: %s", example->label,
                    error_text(&error));
        if (buffer_size(&buffer) != size || memcmp(buffer_bytes(&buffer), bytes, size) != 0) {
                for (size_t i = 0; i < buffer_size(&buffer); i++)
                        printf("%02x ", buffer_bytes(&buffer)[i]);
                printf("\n");
                fflush(stdout);
                ck_abort_msg("%s: other bytes are written, those above", example->label);
        }
        buffer_deinit(&buffer);
}

/* In pieces of every size. */
static void check_pieces(const struct example *example, const unsigned char *bytes, size_t size, size_t piece)
{
        struct frame_reader reader;
        struct wire wire;
        struct frame frame;
        size_t frames = 0;

        begin_wire(example, &wire);
        frame_reader_init(&reader, wire.dialect->framing, false, wire_read_max(&wire), wire_can_begin);
        for (size_t done = 0; done < size; done += piece) {
                size_t room, part = piece < size - done ? piece : size - done;
                void *at = frame_reserve(&reader, &room);
                int result;

                SUITE_CHECK(at && room >= part, "there is no room");
                memcpy(at, bytes + done, part);
                frame_commit(&reader, part);
                while ((result = frame_next(&reader, &frame)) > 0) {
                        struct incoming in;

                        SUITE_CHECK(frame.event == FRAME_WHOLE && frames++ == 0, "%s: it is more than a frame", example->label);
                        check_read(example, &wire, &frame, &in);
                        if (piece == size && !example->code && !(example->sent && !*example->sent))
                                check_written(example, &in, bytes, size);
                        ferry_value_unref(in.value);
                        block_unref(frame.block);
                }
                SUITE_CHECK(result == 0, "%s: it is no frame: %d", example->label, result);
        }
        SUITE_CHECK(frames == 1 && frame_finish(&reader, &frame) == 0, "%s: it is not a whole frame", example->label);
        frame_reader_deinit(&reader);
}

START_TEST(a_frame_of_the_page_is_read_and_written)
{
        const struct example *example = &examples[_i];
        unsigned char bytes[BYTES_MAX];
        size_t size;

        read_page();
        size = parse_block(find_block(example->label, false)->text, bytes);
        for (size_t piece = 1; piece <= size; piece++)
                check_pieces(example, bytes, size, piece);
}

/* Codecs and segments ---------------------------------------------------------------------------------- */

static const struct {
        const char *label;
        const ferry_codec *(*codec)(void);
        const char *text;       /* the value in the codec json-objects; NULL: that cannot write it */
} values[] = {
        { "codec php", ferry_codec_php, "{\"n\":7,\"tags\":[\"x\",true]}" },
        { "codec php object", ferry_codec_php, "{\"__class\":\"Box\",\"key\":1,\"name\":null}" },
        { "codec json", ferry_codec_json, "{\"n\":7,\"tags\":[\"x\",true]}" },
        { "codec json-objects", ferry_codec_json_objects, "{\"__class\":\"Box\",\"key\":1,\"name\":null}" },
        { "codec msgpack", ferry_codec_msgpack, "{\"n\":7,\"tags\":[\"x\",true]}" },
        { "codec msgpack object", ferry_codec_msgpack, "{\"__class\":\"Box\",\"key\":1}" },
        { "codec msgpack enum", ferry_codec_msgpack, NULL },
        { "codec msgpack extension", ferry_codec_msgpack, NULL },
};

enum { VALUES = sizeof values / sizeof *values };

static void check_encoded(const ferry_codec *codec, const ferry_value *value, const void *bytes, size_t size)
{
        struct buffer buffer = { 0 };
        char reason[96] = "";

        SUITE_CHECK(codec_encode(codec, value, &buffer, BYTES_MAX, reason) == 0, "the value is not written: %s", reason);
        SUITE_CHECK(buffer_size(&buffer) == size && memcmp(buffer_bytes(&buffer), bytes, size) == 0, "other bytes are written: %.*s",
                    (int)buffer_size(&buffer), (const char *)buffer_bytes(&buffer));
        buffer_deinit(&buffer);
}

START_TEST(a_value_of_the_page_is_read_and_written)
{
        FERRY_AUTO(ferry_value) value = NULL;
        unsigned char bytes[BYTES_MAX];
        size_t size, offset;

        read_page();
        size = parse_block(find_block(values[_i].label, false)->text, bytes);
        SUITE_CHECK(codec_decode(values[_i].codec(), bytes, size, &value, &offset) == 0, "%s is wrong at byte %zu", values[_i].label,
                    offset);
        check_encoded(values[_i].codec(), value, bytes, size);
        if (values[_i].text)
                check_encoded(ferry_codec_json_objects(), value, values[_i].text, strlen(values[_i].text));
}

START_TEST(the_segment_of_the_page_is_read_and_written)
{
        unsigned char bytes[BYTES_MAX], made[BYTES_MAX] = { 0 };
        struct segment segment = { bytes, 0 }, copy = { made, 0 };
        struct segment_chunk chunk = { 0 };

        read_page();
        segment.size = copy.size = parse_block(find_block("segment", false)->text, bytes);
        /* It is that of a 64-bit machine. */
        if (SEGMENT_UNIT != 8) {
                SUITE_CHECK(segment_is_foreign(&segment) && segment_check(&segment, NULL) == -EBADMSG, "it is not refused");
                return;
        }
        SUITE_CHECK(segment_check(&segment, NULL) == 0, "it is not whole");
        SUITE_CHECK(segment_find(&segment, 1, &chunk) == 0 && chunk.length == 4, "it has no value of 4 bytes under 1");
        SUITE_CHECK(memcmp(bytes + chunk.offset + SEGMENT_CHUNK, "i:7;", 4) == 0, "it has another value");
        SUITE_CHECK(segment_put(&copy, 1, "i:7;", 4) == 0, "the value is not put");
        SUITE_CHECK(memcmp(made, bytes, segment.size) == 0, "other bytes are written");
}

/* Conversations ---------------------------------------------------------------------------------------- */

static const struct {
        const char *label;
        unsigned dialect;
        size_t frame_max;       /* 0: the default */
} conversations[] = {
        { "ferry", FERRY_DIALECT_AUTO, 0 },
        { "ferry close", FERRY_DIALECT_AUTO, 0 },
        { "ferry half close", FERRY_DIALECT_AUTO, 0 },
        { "ferry limit", FERRY_DIALECT_AUTO, 64 },
        { "ferry subscription", FERRY_DIALECT_AUTO, 0 },
        { "ferry description", FERRY_DIALECT_AUTO, 0 },
        { "ferry parts", FERRY_DIALECT_AUTO, 0 },
        { "ferry without hello", FERRY_DIALECT_AUTO, 0 },
        { "stream-ipc", FERRY_DIALECT_AUTO, 0 },
        { "innmind", FERRY_DIALECT_INNMIND, 0 },
        { "innmind server closes", FERRY_DIALECT_INNMIND, 0 },
        { "pcntl", FERRY_DIALECT_PCNTL, 0 },
};

enum { CONVERSATIONS = sizeof conversations / sizeof *conversations };

/* The program of the session: it answers each message with its body, but for those of five types. */
static int answer(ferry_session *session, const ferry_message *message, void *userdata)
{
        const char *type = ferry_message_type(message), *text = ferry_message_text(message);
        ferry_message **kept = userdata;

        if (strcmp(type, "bye") == 0 || strcmp(text, "bye") == 0)
                return ferry_session_close(session);
        if (strcmp(type, "later") == 0) {
                *kept = ferry_message_ref((ferry_message *)(uintptr_t)message);
                return 1;
        }
        if (strcmp(type, "fail") == 0)
                return ferry_message_fail(message, "no such key");
        if (strcmp(type, "list") == 0) {
                ck_assert_int_eq(ferry_message_progress(message, "'one'"), 0);
                ck_assert_int_eq(ferry_message_progress(message, "'two'"), 0);
                return ferry_message_reply(message, type, "'done'");
        }
        if (ferry_message_kind(message) & FERRY_KIND_REQUEST)
                return ferry_message_reply(message, type, "%p", ferry_arg(ferry_message_body(message)));
        return 0;
}

struct talk {
        struct place place;
        ferry_session *session; /* NULL: it is the service's */
        ferry_service *service;
        ferry_message *kept;
        int fd;
};

static void begin_talk(struct talk *talk, unsigned dialect, size_t frame_max)
{
        ferry_session_options options = { .dialect = dialect, .frame_max = frame_max, .shm = FERRY_SHM_NEVER };
        int fds[2];

        memset(talk, 0, sizeof *talk);
        open_place(&talk->place);
        if (dialect == FERRY_DIALECT_INNMIND) {
                talk->service = ferry_service_open(talk->place.loop, talk->place.address,
                                                   &(ferry_service_options){ .dialects = dialect });
                ferry_service_on(talk->service, FERRY_KIND_MESSAGE, answer, &talk->kept);
                talk->fd = connect_raw(&talk->place);
                return;
        }
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        options.fds = (const int[]){ fds[0], fds[0], -1 };
        talk->session = ferry_session_open(talk->place.loop, NULL, &options);
        ferry_session_on(talk->session, FERRY_KIND_NOTIFICATION | FERRY_KIND_REQUEST, answer, &talk->kept);
        talk->fd = fds[1];
}

static void end_talk(struct talk *talk)
{
        unsigned char byte;

        settle(&talk->place);
        SUITE_CHECK(recv(talk->fd, &byte, 1, MSG_DONTWAIT) <= 0, "the session says more than the page");
        ferry_message_unref(talk->kept);
        close(talk->fd);
        ferry_service_free(talk->service);
        ferry_session_free(talk->session);
        close_place(&talk->place);
}

static size_t read_some(struct talk *talk, unsigned char *bytes, size_t size)
{
        struct pollfd fds[] = { { .fd = talk->fd, .events = POLLIN },
                                { .fd = ferry_loop_fd(talk->place.loop), .events = POLLIN } };
        ssize_t got;

        for (;;) {
                ck_assert_int_ge(ferry_loop_tick(talk->place.loop, 0), 0);
                got = recv(talk->fd, bytes, size, MSG_DONTWAIT);
                if (got >= 0)
                        return (size_t)got;
                SUITE_CHECK(errno == EAGAIN || errno == ECONNRESET, "receiving fails: %s", strerror(errno));
                if (errno == ECONNRESET)
                        return 0;
                SUITE_CHECK(poll(fds, 2, SAFETY_MS) > 0, "nothing comes");
        }
}

static void expect(struct talk *talk, const unsigned char *bytes, size_t size, const char *where)
{
        unsigned char found[BYTES_MAX];
        size_t filled = 0, got;

        while (filled < size && (got = read_some(talk, found + filled, size - filled)) > 0)
                filled += got;
        if (filled == size && memcmp(found, bytes, size) == 0)
                return;
        for (size_t i = 0; i < filled; i++)
                printf("%02x ", found[i]);
        printf("\n");
        fflush(stdout);
        ck_abort_msg("the session says what stands above, instead of: %.100s", where);
}

/* One part of a conversation: a line that begins with > or <, and the lines behind it. */
static void play(struct talk *talk, char direction, const char *begin, const char *end)
{
        unsigned char bytes[BYTES_MAX];
        char text[BYTES_MAX];
        size_t size = (size_t)(end - begin);

        SUITE_CHECK(size < sizeof text, "a part is too long");
        memcpy(text, begin, size);
        text[size] = '\0';
        if (strncmp(text, " end", 4) == 0) {
                if (direction == '>')
                        shutdown(talk->fd, SHUT_WR);
                else
                        SUITE_CHECK(read_some(talk, bytes, 1) == 0, "the session does not end");
                return;
        }
        size = parse_block(text, bytes);
        if (direction == '>')
                send_raw(talk->fd, bytes, size);
        else
                expect(talk, bytes, size, text);
}

START_TEST(a_conversation_of_the_page_is_held)
{
        const char *at;
        struct talk talk;

        read_page();
        at = find_block(conversations[_i].label, true)->text;
        begin_talk(&talk, conversations[_i].dialect, conversations[_i].frame_max);
        while (*at) {
                const char *begin = at + 1, *end;

                SUITE_CHECK(*at == '>' || *at == '<', "neither > nor <: %.20s", at);
                for (end = strchr(at, '\n'); end && (end[1] == ' ' || end[1] == '\n'); end = strchr(end + 1, '\n'))
                        ;
                end = end ? end : at + strlen(at);
                play(&talk, *at, begin, end);
                at = *end ? end + 1 : end;
        }
        end_talk(&talk);
}

START_TEST(the_page_has_no_block_that_is_not_checked)
{
        read_page();
        for (size_t i = 0; i < EXAMPLES; i++)
                find_block(examples[i].label, false);
        for (size_t i = 0; i < VALUES; i++)
                find_block(values[i].label, false);
        find_block("segment", false);
        for (size_t i = 0; i < CONVERSATIONS; i++)
                find_block(conversations[i].label, true);
        for (size_t i = 0; i < page.count; i++)
                SUITE_CHECK(page.blocks[i].was_used, "nothing checks the block %s", page.blocks[i].label);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(a_frame_of_the_page_is_read_and_written, EXAMPLES),
        SUITE_LOOP(a_value_of_the_page_is_read_and_written, VALUES),
        SUITE_TEST(the_segment_of_the_page_is_read_and_written),
        SUITE_LOOP(a_conversation_of_the_page_is_held, CONVERSATIONS),
        SUITE_TEST(the_page_has_no_block_that_is_not_checked),
};

SUITE_MAIN("protocol", tests)
