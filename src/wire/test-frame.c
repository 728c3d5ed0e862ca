/* The frame reader: however the bytes are cut, the events are the same; magics are found wherever they begin, in junk but
 * never in frames; a length over the limit is judged by what follows; the end may come anywhere; and memory grows with
 * what has come, never with what was declared. */
#include "wire/dialect.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX = 100000 };

static bool can_begin(const char *bytes, size_t size)
{
        return size > 0 && (bytes[0] == 1 || bytes[0] == 'O' || bytes[0] == '{');
}

/* What is fed: frames, junk and the like, behind each other. */
static struct buffer input;

static void add(const void *bytes, size_t size)
{
        ck_assert_int_eq(buffer_append(&input, bytes, size), 0);
}

static void add_text(const char *text)
{
        add(text, strlen(text));
}

static void add_header(uint32_t length)
{
        unsigned char header[FRAME_HEADER] = { 0xf3, 0x4a, 0x9d, 0xe2 };

        write_u32(header + 4, length);
        add(header, sizeof header);
}

static void add_filled(char first, size_t size)
{
        char *bytes = malloc(size + 1);

        bytes[0] = first;
        for (size_t i = 1; i < size; i++)
                bytes[i] = (char)('a' + i % 26);
        add(bytes, size);
        free(bytes);
}

static void add_frame(const char *payload)
{
        add_header((uint32_t)strlen(payload));
        add_text(payload);
}

/* What came out, as text: "W5:hello J3:abc T7000 " and so on. Junk in pieces is the same as junk at once. */
struct events {
        char *text;
        size_t size;
        FILE *stream;
        bool is_junk;
        struct buffer junk;
};

static void begin_events(struct events *events)
{
        *events = (struct events){ 0 };
        events->stream = open_memstream(&events->text, &events->size);
}

static void print_bytes(FILE *stream, const void *bytes, size_t size)
{
        uint32_t sum = 5381;

        for (size_t i = 0; i < size; i++)
                sum = sum * 33 + ((const unsigned char *)bytes)[i];
        fprintf(stream, "%zu:", size);
        if (size <= 40)
                for (size_t i = 0; i < size; i++) {
                        unsigned char c = ((const unsigned char *)bytes)[i];

                        if (c > ' ' && c < 0x7f)
                                putc(c, stream);
                        else
                                fprintf(stream, "\\%02x", c);
                }
        else
                fprintf(stream, "%08x", sum);
        putc(' ', stream);
}

static void end_junk(struct events *events)
{
        if (buffer_size(&events->junk) == 0)
                return;
        putc('J', events->stream);
        print_bytes(events->stream, buffer_bytes(&events->junk), buffer_size(&events->junk));
        buffer_consume(&events->junk, buffer_size(&events->junk));
}

static void add_event(struct events *events, const struct frame *frame)
{
        if (frame->event == FRAME_JUNK) {
                ck_assert_uint_gt(frame->size, 0);
                ck_assert_int_eq(buffer_append(&events->junk, frame->bytes, frame->size), 0);
                return;
        }
        end_junk(events);
        if (frame->event == FRAME_WHOLE) {
                putc('W', events->stream);
                print_bytes(events->stream, frame->bytes, frame->size);
        } else {
                fprintf(events->stream, "T%u/", frame->declared);
                print_bytes(events->stream, frame->bytes, frame->size);
        }
}

/* Returns what frame_next() said at last. */
static int take_all(struct frame_reader *reader, struct events *events)
{
        struct frame frame;
        int result;

        while ((result = frame_next(reader, &frame)) > 0) {
                add_event(events, &frame);
                block_unref(frame.block);
        }
        return result;
}

static int feed(struct frame_reader *reader, const unsigned char *bytes, size_t size, struct events *events)
{
        int result = take_all(reader, events);

        while (size > 0 && result == 0) {
                size_t room;
                void *at = frame_reserve(reader, &room);

                ck_assert_ptr_nonnull(at);
                ck_assert_uint_gt(room, 0);
                if (room > size)
                        room = size;
                memcpy(at, bytes, room);
                frame_commit(reader, room);
                bytes += room;
                size -= room;
                result = take_all(reader, events);
        }
        return result;
}

/* What comes out of the input in pieces of these sizes, the last of them again and again; to be freed. */
static char *read_in_pieces(bool has_junk, size_t first, size_t then)
{
        struct frame_reader reader;
        struct events events;
        struct frame frame;
        const unsigned char *bytes = buffer_bytes(&input);
        size_t left = buffer_size(&input), piece = first;
        int result = 0;

        frame_reader_init(&reader, &framing_magic, has_junk, MAX, can_begin);
        begin_events(&events);
        while (left > 0 && result == 0) {
                size_t size = piece < left ? piece : left;

                result = feed(&reader, bytes, size, &events);
                bytes += size;
                left -= size;
                piece = then;
        }
        if (result == 0) {
                result = frame_finish(&reader, &frame);
                if (result > 0) {
                        add_event(&events, &frame);
                        result = frame_finish(&reader, &frame);
                        ck_assert_int_eq(result, 0);
                }
        } else {
                /* It sticks. */
                ck_assert_int_eq(frame_next(&reader, &frame), result);
                ck_assert_int_eq(frame_finish(&reader, &frame), result);
        }
        end_junk(&events);
        fprintf(events.stream, "%s", result == 0 ? "." : result == -EBADMSG ? "bad" : result == -ECONNRESET ? "cut" : "?");
        fclose(events.stream);
        buffer_deinit(&events.junk);
        frame_reader_deinit(&reader);
        return events.text;
}

static void require_in_pieces(bool has_junk, size_t first, size_t then, const char *expected)
{
        char *text = read_in_pieces(has_junk, first, then);

        ck_assert_msg(strcmp(text, expected) == 0, "in pieces of %zu, %zu, junk %d: %s, not %s", first, then, has_junk,
                      text, expected);
        free(text);
}

/* Whole, byte by byte, and cut in two at every byte. */
static void require(bool has_junk, const char *expected)
{
        size_t size = buffer_size(&input);

        require_in_pieces(has_junk, size, size, expected);
        require_in_pieces(has_junk, 1, 1, expected);
        for (size_t cut = 1; cut < size; cut++)
                require_in_pieces(has_junk, cut, size, expected);
        buffer_deinit(&input);
}

START_TEST(frames)
{
        for (int has_junk = 0; has_junk < 2; has_junk++) {
                add_frame("hello");
                add_frame("");
                add_frame("\xf3\x4a\x9d\xe2");
                add_frame("x");
                require(has_junk, "W5:hello W0: W4:\\f3J\\9d\\e2 W1:x .");
        }
}
END_TEST

START_TEST(nothing_is_nothing)
{
        char *text = read_in_pieces(_i, 1, 1);

        ck_assert_str_eq(text, ".");
        free(text);
}
END_TEST

/* What looks like a magic, but for its last byte, in every length, and magics behind each other. */
START_TEST(junk_with_partial_magics)
{
        add_text("ab\xf3");
        add_text("\xf3\x4a");
        add_text("\xf3\x4a\x9d");
        add_text("\xf3\x4a\x9d\xf3\x4a\xf3");
        add_frame("one");
        add_text("\x4a\x9d\xe2");
        add_frame("two");
        add_frame("three");
        add_text("\xf3\xf3\xf3");
        add_frame("four");
        add_text("tail\xf3\x4a\x9d");
        require(true, "J14:ab\\f3\\f3J\\f3J\\9d\\f3J\\9d\\f3J\\f3 W3:one J3:J\\9d\\e2 W3:two W5:three J3:\\f3\\f3\\f3 W4:four "
                "J7:tail\\f3J\\9d .");
}
END_TEST

START_TEST(without_junk_the_first_wrong_byte_is_the_end)
{
        static const char *const wrong[] = { "x", "\xf3x", "\xf3\x4ax", "\xf3\x4a\x9dx" };

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                add_frame("one");
                add_text(wrong[i]);
                add_frame("two");
                require(false, "W3:one bad");
        }
}
END_TEST

/* Over the limit -------------------------------------------------------------------------------------- */

START_TEST(what_can_begin_a_payload_is_skipped)
{
        for (int has_junk = 0; has_junk < 2; has_junk++) {
                size_t size;

                add_frame("one");
                add_header(MAX + 1);
                add_filled('{', FRAME_HEAD_MAX);
                size = buffer_size(&input);
                add_filled('x', 50);
                /* Frames inside, which are never looked for. */
                add_frame("evil");
                while (buffer_size(&input) < size + MAX + 1 - FRAME_HEAD_MAX)
                        add("\xf3\x4a\x9d\xe2\0\0\0\1!", size + MAX + 1 - FRAME_HEAD_MAX - buffer_size(&input) < 9 ? 1 : 9);
                add_frame("two");
                size = buffer_size(&input);
                /* Not at every byte: it is long. */
                char *text = read_in_pieces(has_junk, size, size);

                ck_assert_msg(strncmp(text, "W3:one T100001/4096:", 20) == 0 && strstr(text, " W3:two .") &&
                              !strstr(text, "evil"), "%s", text);
                require_in_pieces(has_junk, 1, 1, text);
                for (size_t cut = 1; cut < 6000; cut += 9000 / suite_scale(1000))
                        require_in_pieces(has_junk, cut, 999, text);
                for (size_t cut = size - suite_scale(300); cut < size; cut++)
                        require_in_pieces(has_junk, cut, size, text);
                free(text);
                buffer_deinit(&input);
        }
}
END_TEST

START_TEST(what_cannot_begin_one_is_junk)
{
        add_text("ab");
        add_header(0x7fffffff);
        add_text("no payload begins so");
        add_frame("one");
        add_header(MAX + 1);
        add_frame("short");
        add_frame("two");
        require(true, "J30:ab\\f3J\\9d\\e2\\7f\\ff\\ff\\ffno\\20payload\\20begins\\20so W3:one "
                "J8:\\f3J\\9d\\e2\\00\\01\\86\\a1 W5:short W3:two .");
        add_frame("one");
        add_header(0x7fffffff);
        add_text("no payload begins so");
        add_frame("two");
        require(false, "W3:one bad");
}
END_TEST

START_TEST(the_limit_itself_is_no_longer_over_it)
{
        char *text;

        add_header(MAX);
        add_filled('x', MAX);
        add_frame("two");
        text = read_in_pieces(_i, buffer_size(&input), 1);
        ck_assert_msg(strncmp(text, "W100000:", 8) == 0 && strstr(text, " W3:two ."), "%s", text);
        for (size_t piece = 13; piece < 70000; piece = piece * 3 + 1)
                require_in_pieces(_i, piece, piece, text);
        free(text);
        buffer_deinit(&input);
}
END_TEST

/* Large payloads stand in a block of their own, which is the caller's. */
START_TEST(large_payloads)
{
        static const size_t sizes[] = { 4000, 4088, 4096, 16383, 16384, 16385, 30000, 65535, 65536, 65537, 99999 };

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                char *text;

                add_frame("one");
                add_header((uint32_t)sizes[i]);
                add_filled('x', sizes[i]);
                add_frame("two");
                text = read_in_pieces(false, buffer_size(&input), 1);
                ck_assert_msg(strncmp(text, "W3:one W", 8) == 0 && (size_t)atol(text + 8) == sizes[i] &&
                              strstr(text, " W3:two ."), "%s", text);
                for (size_t piece = sizes[i] > 20000 ? 63 : 1; piece < 100000; piece = piece * 2 + 1)
                        require_in_pieces(_i, piece, piece * 2, text);
                free(text);
                buffer_deinit(&input);
        }
}
END_TEST

/* The end --------------------------------------------------------------------------------------------- */

START_TEST(the_end_in_the_middle)
{
        for (size_t size = 0; size <= FRAME_HEADER + 5; size++)
                for (int has_junk = 0; has_junk < 2; has_junk++) {
                        const char *expected;

                        add_frame("one");
                        add("\xf3\x4a\x9d\xe2\0\0\0\5hello", size);
                        if (size == 0)
                                expected = "W3:one .";
                        else if (size == FRAME_HEADER + 5)
                                expected = "W3:one W5:hello .";
                        else if (!has_junk || size >= 4)
                                expected = "W3:one cut";
                        else
                                expected = size == 1 ? "W3:one J1:\\f3 ." : size == 2 ? "W3:one J2:\\f3J ." :
                                                                                    "W3:one J3:\\f3J\\9d .";
                        require(has_junk, expected);
                }
}
END_TEST

START_TEST(the_end_in_what_is_skipped)
{
        for (int has_junk = 0; has_junk < 2; has_junk++) {
                char *text;

                add_header(MAX + 1);
                add_filled('{', FRAME_HEAD_MAX + 10);
                text = read_in_pieces(has_junk, 1, 1);
                ck_assert_msg(strncmp(text, "T100001/4096:", 13) == 0 && strcmp(text + strlen(text) - 3, "cut") == 0, "%s",
                              text);
                free(text);
                buffer_deinit(&input);
                /* Not enough to be distinguished. */
                add_header(MAX + 1);
                add_filled('{', 100);
                require(has_junk, "cut");
        }
        /* Not enough to be judged. */
        add_header(MAX + 1);
        add_text("short");
        require(true, "J13:\\f3J\\9d\\e2\\00\\01\\86\\a1short .");
}
END_TEST

START_TEST(the_end_in_a_large_payload)
{
        char *text;

        add_header(50000);
        add_filled('x', 49999);
        text = read_in_pieces(_i, 1000, 1000);
        ck_assert_str_eq(text, "cut");
        free(text);
        buffer_deinit(&input);
}
END_TEST

/* Memory ---------------------------------------------------------------------------------------------- */

START_TEST(memory_follows_what_has_come)
{
        enum { HUGE_MAX = 1 << 30 };
        struct frame_reader reader;
        struct events events;
        unsigned char bytes[1000];

        memset(bytes, 'x', sizeof bytes);
        frame_reader_init(&reader, &framing_magic, _i, HUGE_MAX, can_begin);
        begin_events(&events);
        add_header(HUGE_MAX);
        door_reset();
        ck_assert_int_eq(feed(&reader, buffer_bytes(&input), FRAME_HEADER, &events), 0);
        ck_assert_int_eq(feed(&reader, bytes, sizeof bytes, &events), 0);
        ck_assert_uint_le(door_counts.largest, 1 << 17);
        for (size_t come = sizeof bytes; come < 4 << 20; come += sizeof bytes) {
                ck_assert_int_eq(feed(&reader, bytes, sizeof bytes, &events), 0);
                ck_assert_uint_le(door_counts.largest, come * 3 + (1 << 17));
                ck_assert_uint_ge(frame_held(&reader), come);
        }
        fclose(events.stream);
        free(events.text);
        frame_reader_deinit(&reader);
        buffer_deinit(&input);
}
END_TEST

START_TEST(what_is_skipped_needs_no_memory)
{
        struct frame_reader reader;
        struct events events;
        unsigned char *bytes = malloc(1 << 20);

        memset(bytes, '{', 1 << 20);
        frame_reader_init(&reader, &framing_magic, _i, MAX, can_begin);
        begin_events(&events);
        add_header(0xffffffff);
        ck_assert_int_eq(feed(&reader, buffer_bytes(&input), FRAME_HEADER, &events), 0);
        door_reset();
        for (int i = 0; i < 64; i++)
                ck_assert_int_eq(feed(&reader, bytes, 1 << 20, &events), 0);
        ck_assert_uint_le(door_counts.largest, 1 << 19);
        ck_assert_uint_le(frame_held(&reader), 1 << 17);
        fclose(events.stream);
        free(events.text);
        free(bytes);
        frame_reader_deinit(&reader);
        buffer_deinit(&input);
}
END_TEST

/* Junk of any length is handed over as it comes, and looked at once. */
START_TEST(junk_is_not_gathered)
{
        struct frame_reader reader;
        struct events events;
        unsigned char bytes[4096];

        memset(bytes, 0xf3, sizeof bytes);
        frame_reader_init(&reader, &framing_magic, true, MAX, can_begin);
        begin_events(&events);
        door_reset();
        for (int i = 0; i < 1000; i++) {
                ck_assert_int_eq(feed(&reader, bytes, sizeof bytes, &events), 0);
                ck_assert_uint_lt(frame_held(&reader), 4);
                buffer_consume(&events.junk, buffer_size(&events.junk));
        }
        ck_assert_uint_le(door_counts.largest, 1 << 19);
        fclose(events.stream);
        free(events.text);
        buffer_deinit(&events.junk);
        frame_reader_deinit(&reader);
}
END_TEST

/* Another framing: no magic, the header belongs to what is given out, and what is none is so from the first byte that shows
 * it. There is no junk, whatever the stream is, and no skipping. */

static void init_innmind(struct frame_reader *reader, size_t max)
{
        frame_reader_init(reader, dialect_innmind.framing, true, max, can_begin);
}

static void feed_bytes(struct frame_reader *reader, const void *bytes, size_t size)
{
        while (size > 0) {
                size_t room, part;
                void *at = frame_reserve(reader, &room);

                ck_assert_ptr_nonnull(at);
                part = size < room ? size : room;
                memcpy(at, bytes, part);
                frame_commit(reader, part);
                bytes = (const char *)bytes + part;
                size -= part;
        }
}

static size_t make_innmind(char *frame, const char *type, size_t size)
{
        size_t type_size = strlen(type);

        frame[0] = 0;
        frame[1] = (char)type_size;
        memcpy(frame + 2, type, type_size);
        write_u32((unsigned char *)frame + 2 + type_size, (uint32_t)size);
        for (size_t i = 0; i < size; i++)
                frame[2 + type_size + 4 + i] = (char)('a' + i % 26);
        frame[2 + type_size + 4 + size] = (char)0xce;
        return type_size + 7 + size;
}

START_TEST(frames_without_a_magic)
{
        static const size_t sizes[] = { 0, 5, 100, 1100, 20000, 70000 };
        char *frame = malloc(1 << 17);

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                size_t size = make_innmind(frame, "text/plain", sizes[i]);

                for (size_t cut = 1; cut < size; cut += cut < 40 ? 1 : 1777) {
                        struct frame_reader reader;
                        struct frame given;

                        init_innmind(&reader, size);
                        feed_bytes(&reader, frame, cut);
                        ck_assert_int_eq(frame_next(&reader, &given), 0);
                        ck_assert_uint_eq(frame_held(&reader), cut);
                        feed_bytes(&reader, frame + cut, size - cut);
                        ck_assert_int_eq(frame_next(&reader, &given), 1);
                        ck_assert_int_eq(given.event, FRAME_WHOLE);
                        ck_assert_uint_eq(given.size, size);
                        ck_assert(memcmp(given.bytes, frame, size) == 0);
                        block_unref(given.block);
                        ck_assert_int_eq(frame_next(&reader, &given), 0);
                        ck_assert_int_eq(frame_finish(&reader, &given), 0);
                        /* Half of the next. */
                        feed_bytes(&reader, frame, cut);
                        ck_assert_int_eq(frame_next(&reader, &given), 0);
                        ck_assert_int_eq(frame_finish(&reader, &given), -ECONNRESET);
                        frame_reader_deinit(&reader);
                }
        }
        free(frame);
}
END_TEST

START_TEST(what_is_no_frame_without_a_magic)
{
        static const struct { const char *bytes; size_t size; int code; } wrong[] = {
                { "\0\0", 2, -EBADMSG },
                { "\4\1", 2, -EBADMSG },
                { "\xff\xff", 2, -EBADMSG },
                { "\xf3\x4a\x9d\xe2\0\0\0\0", 8, -EBADMSG },
                { "\0\xatext/plain\xff\xff\xff\xff", 16, -EMSGSIZE },
                { "\0\xatext/plain\0\0\0\x54", 16, -EMSGSIZE },
        };
        struct frame_reader reader;
        struct frame given;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                for (size_t before = 0; before < 2; before++) {
                        char frame[64];

                        init_innmind(&reader, 100);
                        if (before > 0)
                                feed_bytes(&reader, frame, make_innmind(frame, "a/b", 3));
                        feed_bytes(&reader, wrong[i].bytes, wrong[i].size);
                        if (before > 0)
                                ck_assert_int_eq(frame_next(&reader, &given), 1);
                        ck_assert_int_eq(frame_next(&reader, &given), wrong[i].code);
                        feed_bytes(&reader, "\0\3a/b\0\0\0\0\xce", 10);
                        ck_assert_int_eq(frame_next(&reader, &given), wrong[i].code);
                        ck_assert_int_eq(frame_finish(&reader, &given), wrong[i].code);
                        frame_reader_deinit(&reader);
                }
        /* And the limit itself is none of these. */
        init_innmind(&reader, 100);
        feed_bytes(&reader, "\0\xatext/plain\0\0\0\x53", 16);
        ck_assert_int_eq(frame_next(&reader, &given), 0);
        frame_reader_deinit(&reader);
}
END_TEST

START_TEST(memory_follows_what_has_come_without_a_magic)
{
        struct frame_reader reader;
        struct frame given;

        init_innmind(&reader, 1 << 24);
        door_reset();
        feed_bytes(&reader, "\0\xatext/plain\0\xf0\0\0", 16);
        ck_assert_int_eq(frame_next(&reader, &given), 0);
        for (int i = 0; i < 100; i++) {
                feed_bytes(&reader, "0123456789", 10);
                ck_assert_int_eq(frame_next(&reader, &given), 0);
        }
        ck_assert_uint_le(door_counts.largest, (1 << 16) + 64);
        frame_reader_deinit(&reader);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(frames),
        SUITE_LOOP(nothing_is_nothing, 2),
        SUITE_TEST(junk_with_partial_magics),
        SUITE_TEST(without_junk_the_first_wrong_byte_is_the_end),
        SUITE_TEST(what_can_begin_a_payload_is_skipped),
        SUITE_TEST(what_cannot_begin_one_is_junk),
        SUITE_LOOP(the_limit_itself_is_no_longer_over_it, 2),
        SUITE_LOOP(large_payloads, 2),
        SUITE_TEST(the_end_in_the_middle),
        SUITE_TEST(the_end_in_what_is_skipped),
        SUITE_LOOP(the_end_in_a_large_payload, 2),
        SUITE_LOOP(memory_follows_what_has_come, 2),
        SUITE_LOOP(what_is_skipped_needs_no_memory, 2),
        SUITE_TEST(junk_is_not_gathered),
        SUITE_TEST(frames_without_a_magic),
        SUITE_TEST(what_is_no_frame_without_a_magic),
        SUITE_TEST(memory_follows_what_has_come_without_a_magic),
};

SUITE_MAIN("frame", tests)
