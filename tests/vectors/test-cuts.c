/* Every recording of up to 4 KiB, and frames of the dialect ferry beside them, fed in every way in which bytes can
 * come: cut in two at every byte, byte by byte, ended at every byte, and with every single bit the other way round (a
 * tenth of them, where FERRY_LONG is not set). In pieces they say what they say at once; a beginning is incomplete
 * and nothing else; "incomplete" is said of nothing that cannot be completed; what is taken is written, and read
 * again as equal. */
#include "support/suite.h"
#include "vectors/complete.h"
#include "wire/dialect.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "\xf3\x4a\x9d\xe2"

/* The recordings --------------------------------------------------------------------------------------- */

enum { SIZE_MAX_FLIPPED = 4096, PIECES_MAX = 400 };

/* Bytes that are one value, or frames and junk. */
struct piece {
        char name[64];
        const ferry_codec *codec;       /* NULL: frames */
        char *bytes;
        size_t size;
};

static struct piece pieces[PIECES_MAX];
static int piece_count, value_count;

static void add_piece(const char *name, const ferry_codec *codec, const void *bytes, size_t size)
{
        struct piece *piece = &pieces[piece_count++];

        ck_assert_int_lt(piece_count, PIECES_MAX);
        snprintf(piece->name, sizeof piece->name, "%s", name);
        piece->codec = codec;
        piece->size = size;
        /* Of its own size, so that one byte beyond is seen. */
        piece->bytes = malloc(size ? size : 1);
        memcpy(piece->bytes, bytes, size);
        value_count += codec != NULL;
}

/* Frames, and each whole payload in them as a value. */
static void add_stream(const char *name, const char *bytes, size_t size)
{
        add_piece(name, NULL, bytes, size);
        for (const char *at = bytes; (at = memmem(at, size - (size_t)(at - bytes), MAGIC, 4));) {
                size_t left = size - (size_t)(at - bytes), length = left < 8 ? left : read_u32(at + 4);

                if (left < 8 || length > left - 8)
                        break;
                if (at[8] != 1)
                        add_piece(name, at[8] == '{' ? ferry_codec_json_objects() : ferry_codec_php(), at + 8,
                                  length);
                at += 8 + length;
        }
}

static void add_file(const char *name, const char *bytes, size_t size)
{
        const char *number = strncmp(name, "pcntl-", 6) == 0 ? memchr(bytes, '#', size) : NULL;

        if (strncmp(name, "stream-", 7) == 0)
                add_stream(name, bytes, size);
        else if (number)
                add_piece(name, ferry_codec_php(), number + 1, size - (size_t)(number + 1 - bytes));
        else
                add_piece(name, strncmp(name, "msgpack-", 8) == 0 ? ferry_codec_msgpack() : ferry_codec_php(), bytes,
                          size);
}

/* There are no recordings of our own dialect: a frame of each kind, in each codec. */
static void add_ferry_stream(const ferry_codec *codec)
{
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        ferry_session_options options = { .size = sizeof options, .dialect = FERRY_DIALECT_FERRY, .codec = codec };
        FERRY_AUTO(ferry_value) body = ferry_value_pack("{text: 'a\xc3\xa9', list: [1, -2, 0.5, true], map: {a: {}}}");
        FERRY_AUTO(ferry_value) text = ferry_value_pack("'it went wrong'");
        struct wire wire;

        ck_assert_int_eq(wire_init(&wire, &options, &error), 0);
        for (int kind = WIRE_HELLO; kind <= WIRE_CLOSE; kind++) {
                bool is_message = kind >= WIRE_NOTIFICATION && kind <= WIRE_RESPONSE;
                bool is_error = kind == WIRE_ERROR || kind == WIRE_REFUSED;
                struct outgoing outgoing = { .kind = (enum wire_kind)kind, .id = "\0\0\0\0\0\0\1\2", .id_size = 8,
                                             .type = is_message ? "app/t\xc3\xbdpe" : NULL,
                                             .body = is_message || kind == WIRE_HELLO ? body : is_error ? text : NULL };

                ck_assert_int_eq(dialect_ferry.write(&wire, &buffer, &outgoing, &error), 0);
        }
        add_stream(codec->name, (char *)buffer_bytes(&buffer), buffer_size(&buffer));
        buffer_deinit(&buffer);
}

#define JSON_REQUEST "{\"__class\":\"StreamIpc\\\\Envelope\\\\RequestEnvelope\",\"id\":\"1.1\",\"request\":"
#define PHP_REQUEST "O:34:\"StreamIpc\\Envelope\\RequestEnvelope\":3:{s:2:\"id\";s:1:\"1\";s:7:\"request\";"

/* Objects of which more than one class is said, or none: dialect and codec must agree. */
static void add_odd_classes(void)
{
        static const char *const payloads[] = {
                "{\"__class\":\"A\",\"__class\":\"B\"}",
                "{\"__class\":\"A\",\"__class\":2}",
                "{\"__class\":\"\"}",
                "{\"__class\":1,\"a\":{\"__class\":\"C\"},\"__class\":\"B\"}",
                "{\"a\":1,\"__cl\\u0061ss\":\"D\"}",
                (JSON_REQUEST "{\"__class\":\"A\"},\"request\":{\"__class\":\"B\",\"__class\":\"C\"}}"),
                (JSON_REQUEST "{\"__class\":\"A\",\"__class\":[]}}"),
                (PHP_REQUEST "O:1:\"A\":0:{}s:7:\"request\";O:1:\"B\":0:{}}"),
        };
        struct buffer buffer = { 0 };

        for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
                size_t begin;

                ck_assert_int_eq(frame_begin(&buffer, &begin), 0);
                ck_assert_int_eq(buffer_append(&buffer, payloads[i], strlen(payloads[i])), 0);
                frame_end(&buffer, begin, 0);
        }
        add_stream("odd classes", (char *)buffer_bytes(&buffer), buffer_size(&buffer));
        buffer_deinit(&buffer);
}

/* Those of innmind are for the reader of its frames. */
static int is_recording(const struct dirent *entry)
{
        return strstr(entry->d_name, ".bin") != NULL && strncmp(entry->d_name, "innmind-", 8) != 0;
}

static void add_all(void)
{
        struct dirent **entries;
        int count = scandir(TESTS_DIRECTORY "/vectors", &entries, is_recording, alphasort);

        ck_assert_int_ge(count, 190);
        for (int i = 0; i < count; i++) {
                char path[512], bytes[SIZE_MAX_FLIPPED + 1];
                FILE *file;
                size_t size;

                snprintf(path, sizeof path, "%s/vectors/%s", TESTS_DIRECTORY, entries[i]->d_name);
                file = fopen(path, "rb");
                ck_assert_ptr_nonnull(file);
                size = fread(bytes, 1, sizeof bytes, file);
                if (size <= SIZE_MAX_FLIPPED)
                        add_file(entries[i]->d_name, bytes, size);
                fclose(file);
                free(entries[i]);
        }
        free(entries);
        add_odd_classes();
        add_ferry_stream(ferry_codec_msgpack());
        add_ferry_stream(ferry_codec_php());
        add_ferry_stream(ferry_codec_json());
        add_ferry_stream(ferry_codec_json_objects());
}

static void remove_all(void)
{
        for (int i = 0; i < piece_count; i++)
                free(pieces[i].bytes);
        piece_count = 0;
}

/* Of bits, every one, or every tenth, with AddressSanitizer every sixtieth; others for each piece. */
static size_t first_bit(int piece, size_t *ret_step)
{
        *ret_step = suite_is_long() ? 1 : SUITE_HAS_ASAN ? 60 : 10;
        return (size_t)piece % *ret_step;
}

/* Values ----------------------------------------------------------------------------------------------- */

static int decode(const ferry_codec *codec, const char *bytes, size_t size, ferry_value **ret_value)
{
        size_t offset = 0;
        int error = ferry_codec_decode(codec, bytes, size, ret_value, &offset);

        SUITE_CHECK(error == 0 || error == -EAGAIN || error == -EBADMSG || error == -EMSGSIZE, "%d", error);
        SUITE_CHECK(!*ret_value == (error != 0) && offset <= size, "an answer that contradicts itself");
        return error;
}

/* Something can follow that makes it a value. References are looked up when all is there; only then a wrong one
 * shows. */
static bool check_incomplete(const struct piece *piece, const char *bytes, size_t size, size_t where)
{
        FERRY_AUTO(ferry_value) value = NULL;
        char *whole;
        size_t whole_size;
        enum completion completion = complete(piece->codec, bytes, size, &whole, &whole_size);
        struct check check = { 0 };
        int error;

        SUITE_CHECK(completion != IMPOSSIBLE, "%s, %zu: nothing completes it: %.*s", piece->name, where, (int)size,
                    bytes);
        if (completion == ENDLESS)
                return false;
        error = decode(piece->codec, whole, whole_size, &value);
        SUITE_CHECK(codec_native(piece->codec)->check(whole, whole_size, &check) == 0, "taken, but wrong");
        SUITE_CHECK(error == 0 || check.has_references, "%s, %zu: it is complete, and %d: %.*s", piece->name,
                    where, error, (int)whole_size, whole);
        free(whole);
        return true;
}

/* Every one, with AddressSanitizer every fifth. */
static size_t first_prefix(int piece, size_t *ret_step)
{
        *ret_step = SUITE_HAS_ASAN && !suite_is_long() ? 5 : 1;
        return (size_t)piece % *ret_step;
}

/* As bytes come one by one: incomplete, then perhaps a value, then perhaps wrong, and never back. What is a value at
 * the end was incomplete until then. */
START_TEST(values_grow)
{
        int prefixes = 0, endless = 0;

        add_all();
        for (int i = 0; i < piece_count; i++) {
                const struct piece *piece = &pieces[i];
                FERRY_AUTO(ferry_value) whole = NULL;
                int last = -EAGAIN, end;
                size_t step;

                if (!piece->codec)
                        continue;
                end = decode(piece->codec, piece->bytes, piece->size, &whole);
                for (size_t size = first_prefix(i, &step); size < piece->size; size += step) {
                        FERRY_AUTO(ferry_value) value = NULL;
                        char *bytes = malloc(size ? size : 1);
                        int error;

                        memcpy(bytes, piece->bytes, size);
                        error = decode(piece->codec, bytes, size, &value);
                        SUITE_CHECK(error == -EAGAIN || (end != 0 && end != -EAGAIN), "%s: cut at %zu: %d", piece->name,
                                      size, error);
                        SUITE_CHECK(error == last || last == -EAGAIN || (last == 0 && error == -EBADMSG),
                                      "%s: cut at %zu: %d after %d", piece->name, size, error, last);
                        if (error == -EAGAIN && end != 0)
                                endless += !check_incomplete(piece, bytes, size, size);
                        last = error;
                        prefixes++;
                        free(bytes);
                }
        }
        remove_all();
        printf("values: %d prefixes of %d, %d with more declared than was tried\n", prefixes, value_count, endless);
        fflush(stdout);
        ck_assert_int_ge(value_count, 200);
        ck_assert_int_lt(endless, prefixes / 50);
}

/* Encoded and decoded it is equal. JSON cannot write what it reads of doubles beyond the largest, nor maps that have a
 * __class which names none. */
static void check_again(const struct piece *piece, const ferry_value *value, size_t where)
{
        FERRY_AUTO(ferry_value) again = NULL;
        size_t size;
        void *bytes;
        int error = ferry_codec_encode(piece->codec, value, &bytes, &size);

        if ((piece->codec == ferry_codec_json() || piece->codec == ferry_codec_json_objects()) &&
            (error == -EDOM || error == -EILSEQ)) {
                SUITE_CHECK(error == -EDOM || memmem(piece->bytes, piece->size, "__cl", 4), "%s, bit %zu: not written",
                            piece->name, where);
                return;
        }
        SUITE_CHECK(error == 0, "%s, bit %zu: taken, but not written: %d", piece->name, where, error);
        SUITE_CHECK(decode(piece->codec, bytes, size, &again) == 0, "written, but not taken");
        SUITE_CHECK(ferry_value_equal(value, again), "%s, bit %zu: another value: %s", piece->name, where,
                    (char *)bytes);
        free(bytes);
}

START_TEST(values_flipped)
{
        int taken = 0, wrong = 0, incomplete = 0, endless = 0;

        add_all();
        for (int i = 0; i < piece_count; i++) {
                const struct piece *piece = &pieces[i];
                size_t step;

                if (!piece->codec)
                        continue;
                for (size_t bit = first_bit(i, &step); bit < piece->size * 8; bit += step) {
                        FERRY_AUTO(ferry_value) value = NULL;
                        int error;

                        piece->bytes[bit / 8] = (char)(piece->bytes[bit / 8] ^ 1 << bit % 8);
                        error = decode(piece->codec, piece->bytes, piece->size, &value);
                        taken += error == 0;
                        wrong += error == -EBADMSG;
                        incomplete += error == -EAGAIN;
                        if (error == -EAGAIN)
                                endless += !check_incomplete(piece, piece->bytes, piece->size, bit);
                        else if (!error)
                                check_again(piece, value, bit);
                        piece->bytes[bit / 8] = (char)(piece->bytes[bit / 8] ^ 1 << bit % 8);
                }
        }
        remove_all();
        printf("bits of values: %d taken, %d wrong, %d incomplete, of which %d declare more than was tried\n", taken,
               wrong, incomplete, endless);
        fflush(stdout);
        ck_assert_int_gt(taken, 300);
        ck_assert_int_gt(wrong, 300);
        ck_assert_int_gt(incomplete, 10);
}

/* Frames ----------------------------------------------------------------------------------------------- */

/* What came out, in words: frames as the dialect reads them, junk in one piece where it came in several. */
struct events {
        struct buffer text;
        struct buffer junk;
        struct wire wire;
};

static void say(struct events *events, const char *format, ...) FERRY_PRINTF(2, 3);
static void say(struct events *events, const char *format, ...)
{
        char text[256];
        va_list list;

        va_start(list, format);
        vsnprintf(text, sizeof text, format, list);
        va_end(list);
        buffer_append(&events->text, text, strlen(text));
}

static void say_bytes(struct events *events, const char *what, const void *bytes, size_t size)
{
        uint64_t sum = 14695981039346656037u;

        for (size_t i = 0; i < size; i++)
                sum = (sum ^ ((const unsigned char *)bytes)[i]) * 1099511628211;
        say(events, "%s %zu:%016llx ", what, size, (unsigned long long)sum);
}

static void end_junk(struct events *events)
{
        if (buffer_size(&events->junk) > 0)
                say_bytes(events, "junk", buffer_bytes(&events->junk), buffer_size(&events->junk));
        buffer_consume(&events->junk, buffer_size(&events->junk));
}

/* The body of what was taken. It decodes, unless its references are wrong, and is of the class that was announced. */
static ferry_value *take_body(const struct incoming *in, const char *payload)
{
        const ferry_value *body;
        ferry_value *value = NULL;
        size_t offset;
        int error;

        if (in->body_size == 0)
                return NULL;
        error = codec_decode(in->codec, payload + in->body_offset, in->body_size, &value, &offset);
        SUITE_CHECK(error == 0 || in->check.has_references, "taken, but %d: %.*s", error, (int)in->body_size,
                      payload + in->body_offset);
        if (error || !in->property)
                return value;
        body = ferry_value_get(value, in->property);
        SUITE_CHECK(ferry_value_kind(body) == FERRY_VALUE_OBJECT, "no object, but a message");
        ferry_value_ref(body);
        ferry_value_unref(value);
        return (ferry_value *)body;
}

static void say_payload(struct events *events, const char *payload, size_t size)
{
        struct incoming in;
        struct error error = { 0 };
        int code = wire_read(&events->wire, payload, size, &in, &error);
        char type[1024] = "";
        size_t type_size = code || in.type.size >= sizeof type ? 0 : raw_text_copy(&in.type, type);

        say(events, "%d kind %d ", code, (int)in.kind);
        if (in.id.bytes)
                say_bytes(events, "id", in.id.bytes, in.id.size);
        if (!code) {
                FERRY_AUTO(ferry_value) body = take_body(&in, payload);
                const char *class_name = ferry_value_class(body);

                say_bytes(events, "type", type, type_size);
                /* The library's own messages have one name, whatever root their class has. */
                if (events->wire.dialect == &dialect_stream_ipc && body &&
                    strncmp(type, "StreamIpc\\Message\\", 18) != 0)
                        SUITE_CHECK(class_name && strcmp(class_name, type) == 0, "class %s, type %s", class_name, type);
        }
        ferry_value_unref(in.value);
        error_deinit(&error);
}

static void say_frame(struct events *events, const struct frame *frame)
{
        if (frame->event == FRAME_JUNK) {
                SUITE_CHECK(frame->size > 0, "no junk");
                buffer_append(&events->junk, frame->bytes, frame->size);
                return;
        }
        end_junk(events);
        if (frame->event == FRAME_TOO_LARGE)
                say(events, "%u declared ", frame->declared);
        say_bytes(events, frame->event == FRAME_WHOLE ? "frame" : "head", frame->bytes, frame->size);
        if (frame->event == FRAME_WHOLE)
                say_payload(events, frame->bytes, frame->size);
}

struct way {
        bool has_junk;
        size_t max;
};

static void begin_events(struct events *events)
{
        ferry_session_options options = { .size = sizeof options, .dialect = FERRY_DIALECT_AUTO };
        struct error error = { 0 };

        *events = (struct events){ 0 };
        SUITE_CHECK(wire_init(&events->wire, &options, &error) == 0, "no conversation");
}

static void end_events(struct events *events, int result)
{
        end_junk(events);
        say(events, "%d", result);
        buffer_append(&events->text, "", 1);
        buffer_deinit(&events->junk);
}

/* Nothing is kept but what begins a frame, or may. */
static void check_held(const struct frame_reader *reader)
{
        size_t held = frame_held(reader);

        if (held > 0 && !reader->large)
                SUITE_CHECK(memcmp(buffer_bytes(&reader->buffer), MAGIC, held < 4 ? held : 4) == 0,
                            "%zu bytes are held back", held);
}

/* What the reader says, of pieces of these sizes, the second again and again. */
static void read_in_pieces(const char *bytes, size_t size, struct way way, size_t first, size_t then,
                           struct events *events)
{
        struct frame_reader reader;
        struct frame frame;
        int result = 0;

        begin_events(events);
        frame_reader_init(&reader, &framing_magic, way.has_junk, way.max, wire_can_begin);
        for (size_t done = 0, piece = first; done < size && result == 0; piece = then) {
                size_t room;
                void *at = frame_reserve(&reader, &room);

                SUITE_CHECK(at, "no memory");
                piece = piece < room ? piece : room;
                piece = piece < size - done ? piece : size - done;
                memcpy(at, bytes + done, piece);
                done += piece;
                frame_commit(&reader, piece);
                while ((result = frame_next(&reader, &frame)) > 0) {
                        say_frame(events, &frame);
                        block_unref(frame.block);
                }
                if (result == 0)
                        check_held(&reader);
        }
        if (result == 0)
                while ((result = frame_finish(&reader, &frame)) > 0)
                        say_frame(events, &frame);
        end_events(events, result);
        frame_reader_deinit(&reader);
}

static size_t find_magic(const char *bytes, size_t at, size_t size)
{
        while (at < size && memcmp(bytes + at, MAGIC, size - at < 4 ? size - at : 4) != 0)
                at++;
        return at;
}

/* What must be said: the rules of docs/protocol.md, over bytes that are all there. Whether the end is in order. */
static int read_at_once(const char *bytes, size_t size, struct way way, struct events *events)
{
        for (size_t at = 0; at < size;) {
                size_t magic = find_magic(bytes, at, size), left = size - magic, length;
                struct frame frame = { .event = FRAME_JUNK, .bytes = bytes + at, .size = magic - at };

                if (frame.size > 0 && !way.has_junk)
                        return -EBADMSG;
                if (frame.size > 0)
                        say_frame(events, &frame);
                at = magic;
                frame.bytes = bytes + at;
                length = left < 8 ? 0 : read_u32(bytes + at + 4);
                frame.size = left;
                if (left == 0)
                        return 0;
                if (left < 8 ? left < 4 && way.has_junk : length > way.max && left < 24 && way.has_junk) {
                        say_frame(events, &frame);
                        return 0;
                }
                if (left < 8 || (length > way.max && left < 24))
                        return -ECONNRESET;
                if (length > way.max && !wire_can_begin(bytes + at + 8, 16)) {
                        frame.size = 1;
                        if (!way.has_junk)
                                return -EBADMSG;
                        say_frame(events, &frame);
                        at++;
                        continue;
                }
                frame.event = length > way.max ? FRAME_TOO_LARGE : FRAME_WHOLE;
                frame.bytes += 8;
                frame.size = length > way.max && length > FRAME_HEAD_MAX ? FRAME_HEAD_MAX : length;
                frame.declared = (uint32_t)length;
                if (frame.size > left - 8)
                        return -ECONNRESET;
                say_frame(events, &frame);
                if (length > left - 8)
                        return -ECONNRESET;
                at += 8 + length;
        }
        return 0;
}

/* To be deinitialized. */
static struct buffer expect(const struct piece *piece, size_t size, struct way way)
{
        struct events events;

        begin_events(&events);
        end_events(&events, read_at_once(piece->bytes, size, way, &events));
        return events.text;
}

/* In pieces as at once. */
static void check_pieces(const struct piece *piece, size_t size, struct way way, size_t first, size_t then,
                         const struct buffer *expected)
{
        struct events events;

        read_in_pieces(piece->bytes, size, way, first, then, &events);
        SUITE_CHECK(strcmp((char *)buffer_bytes(&events.text), (char *)buffer_bytes(expected)) == 0,
                    "%s, %zu of %zu bytes, pieces %zu, %zu, at most %zu, junk %d:\n%s\nnot\n%s", piece->name, size,
                    piece->size, first, then, way.max, way.has_junk, (char *)buffer_bytes(&events.text),
                    (char *)buffer_bytes(expected));
        buffer_deinit(&events.text);
}

enum { WAYS = 4 };

/* With junk and without; with a limit that nothing is over, and with one that the first frame just reaches, or is just
 * over. */
static struct way way_of(const struct piece *piece, int way)
{
        size_t length = piece->size < 8 ? 60 : read_u32(piece->bytes + 4);
        size_t max = way < 2 || length == 0 || length > SIZE_MAX_FLIPPED ? 1 << 24 : way == 2 ? length : length - 1;

        return (struct way){ .has_junk = way % 2 == 0, .max = max };
}

/* With a lower limit a thirtieth is enough for every day; with AddressSanitizer a tenth without, and a hundredth with one. */
START_TEST(frames_cut)
{
        size_t step = suite_is_long() ? 1 : SUITE_HAS_ASAN ? (_i < 2 ? 10 : 100) : (_i < 2 ? 1 : 30);
        int cuts = 0;

        add_all();
        for (int i = 0; i < piece_count; i++) {
                const struct piece *piece = &pieces[i];
                struct way way = way_of(piece, _i);
                struct buffer whole;

                if (piece->codec)
                        continue;
                whole = expect(piece, piece->size, way);
                for (size_t at = 1; at <= piece->size; at += step, cuts++) {
                        struct buffer beginning = expect(piece, at, way);

                        check_pieces(piece, piece->size, way, at, piece->size, &whole);
                        check_pieces(piece, at, way, at, at, &beginning);
                        buffer_deinit(&beginning);
                }
                for (size_t at = 1; at < 20; at++)
                        check_pieces(piece, piece->size, way, 1, at, &whole);
                buffer_deinit(&whole);
        }
        remove_all();
        ck_assert_int_gt(cuts * (int)step, 8000);
}

START_TEST(frames_flipped)
{
        int flips = 0;

        add_all();
        for (int i = 0; i < piece_count; i++) {
                const struct piece *piece = &pieces[i];
                size_t step;

                if (piece->codec)
                        continue;
                for (size_t bit = first_bit(i, &step); bit < piece->size * 8; bit += step, flips++) {
                        struct way way = way_of(piece, (int)(bit / step % WAYS));
                        struct buffer expected;

                        piece->bytes[bit / 8] = (char)(piece->bytes[bit / 8] ^ 1 << bit % 8);
                        expected = expect(piece, piece->size, way);
                        check_pieces(piece, piece->size, way, piece->size, 1, &expected);
                        check_pieces(piece, piece->size, way, 1 + bit % 7, 1 + bit % 7, &expected);
                        buffer_deinit(&expected);
                        piece->bytes[bit / 8] = (char)(piece->bytes[bit / 8] ^ 1 << bit % 8);
                }
        }
        remove_all();
        printf("bits of frames: %d\n", flips);
        fflush(stdout);
        ck_assert_int_gt(flips, 2000);
}

/* Payloads --------------------------------------------------------------------------------------------- */

static int read_payload(const char *payload, size_t size, struct incoming *ret)
{
        ferry_session_options options = { .size = sizeof options, .dialect = FERRY_DIALECT_AUTO };
        struct error error = { 0 };
        struct wire wire;
        int code;

        SUITE_CHECK(wire_init(&wire, &options, &error) == 0, "no conversation");
        code = wire_read(&wire, payload, size, ret, &error);
        error_deinit(&error);
        SUITE_CHECK(!ret->value && (code == 0 || code == -EBADMSG || code == -EMSGSIZE), "%d", code);
        return code;
}

/* A frame whose payload was cut, as if the length were of that: no message comes of it, but for one that has no body
 * then. What is said of its kind and id is right. */
START_TEST(payloads_cut)
{
        int messages = 0, known = 0;

        add_all();
        for (int i = 0; i < piece_count; i++) {
                const char *bytes = pieces[i].bytes;
                size_t left = pieces[i].size;

                while (!pieces[i].codec && left >= 8 && memcmp(bytes, MAGIC, 4) == 0) {
                        size_t length = read_u32(bytes + 4);
                        struct incoming whole, in;
                        int code;

                        if (length > left - 8)
                                break;
                        code = read_payload(bytes + 8, length, &whole);
                        messages += code == 0;
                        for (size_t cut = 0; cut < length; cut++) {
                                char *payload = malloc(cut ? cut : 1);
                                bool is_bodiless = code == 0 && whole.body_offset > 0 && cut == whole.body_offset;

                                memcpy(payload, bytes + 8, cut);
                                SUITE_CHECK((read_payload(payload, cut, &in) == 0) == is_bodiless || code,
                                              "%s: cut at %zu", pieces[i].name, cut);
                                known += in.kind != WIRE_UNKNOWN;
                                SUITE_CHECK(in.kind == WIRE_UNKNOWN || code ||
                                        ((in.kind == whole.kind || whole.kind == WIRE_ERROR) &&
                                         in.id.size == whole.id.size &&
                                         memcmp(in.id.bytes, whole.id.bytes, in.id.size) == 0),
                                        "%s: cut at %zu, another kind or id", pieces[i].name, cut);
                                free(payload);
                        }
                        bytes += 8 + length;
                        left -= 8 + length;
                }
        }
        remove_all();
        ck_assert_int_ge(messages, 80);
        ck_assert_int_ge(known, 1000);
}

static const struct suite_test tests[] = {
        SUITE_TEST(values_grow),
        SUITE_TEST(values_flipped),
        SUITE_LOOP(frames_cut, WAYS),
        SUITE_TEST(frames_flipped),
        SUITE_TEST(payloads_cut),
};

SUITE_MAIN("cuts", tests)
