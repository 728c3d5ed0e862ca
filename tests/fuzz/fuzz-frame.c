/* The frame reader, fed with any bytes. What must hold:
 *
 *      - however the bytes are cut, the events are the same, and they are those of a model that has all bytes at once
 *      - memory grows with what has come, not with what was declared; nothing is left
 *      - an error sticks; a refused allocation is -ENOMEM, and nothing else
 *      - a payload that was read, written as a frame, is the bytes that were read
 *
 * The input: flags (bit 0: junk is allowed), the limit of a payload in units of 16 bytes (u16), the seed of the sizes
 * of pieces; then the bytes, in which FE n c stands for n times 128 times c. */
#include "fuzz/fuzz.h"
#include "wire/dialect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 1 << 17, MAGIC = 4 };

static const uint8_t magic[MAGIC] = { 0xf3, 0x4a, 0x9d, 0xe2 };

/* What came out: for each event its letter, sizes and bytes; junk in pieces is one. */
struct events {
        struct buffer text;
        size_t junk_begin;      /* of the size of the junk that the text ends with; 0: it does not */
};

static void put(struct events *events, const void *bytes, size_t size)
{
        FUZZ_REQUIRE(buffer_append(&events->text, bytes, size) == 0, "no memory");
}

static void add(struct events *events, char letter, uint32_t declared, const void *bytes, size_t size)
{
        if (letter == 'J' && events->junk_begin) {
                uint32_t before = read_u32(buffer_bytes(&events->text) + events->junk_begin);

                write_u32(buffer_bytes(&events->text) + events->junk_begin, before + (uint32_t)size);
                put(events, bytes, size);
                return;
        }
        put(events, &letter, 1);
        put(events, &declared, sizeof declared);
        events->junk_begin = letter == 'J' ? buffer_size(&events->text) : 0;
        put(events, (uint8_t[4]){ (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size },
            4);
        put(events, bytes, size);
}

/* The model ------------------------------------------------------------------------------------------- */

static size_t find_magic(const uint8_t *bytes, size_t from, size_t size)
{
        for (size_t at = from; at < size; at++) {
                const uint8_t *first = memchr(bytes + at, magic[0], size - at);
                size_t left;

                if (!first)
                        return size;
                at = (size_t)(first - bytes);
                left = size - at;
                if (memcmp(bytes + at, magic, left < MAGIC ? left : MAGIC) == 0)
                        return at;
        }
        return size;
}

/* What stands at @at, where @left bytes are; returns how many it takes. At the end, or where it is wrong, the result
 * is set and 0 returned. */
static size_t model_step(struct events *events, const uint8_t *bytes, size_t at, size_t size, bool has_junk, size_t max,
                         int *result)
{
        size_t left = size - at, junk = find_magic(bytes, at, size) - at, head;
        uint32_t length;

        if (has_junk && junk > 0) {
                add(events, 'J', 0, bytes + at, junk);
                return junk;
        }
        *result = -EBADMSG;
        if (junk > 0)
                return 0;
        *result = -ECONNRESET;
        if (left < FRAME_HEADER) {
                if (left >= MAGIC || !has_junk)
                        return 0;
                add(events, 'J', 0, bytes + at, left);
                return left;
        }
        length = read_u32(bytes + at + MAGIC);
        if (length <= max) {
                if (left - FRAME_HEADER < length)
                        return 0;
                add(events, 'W', 0, bytes + at + FRAME_HEADER, length);
                return FRAME_HEADER + length;
        }
        if (left < FRAME_HEADER + FRAME_JUDGE) {
                if (!has_junk)
                        return 0;
                add(events, 'J', 0, bytes + at, left);
                return left;
        }
        if (!wire_can_begin((const char *)bytes + at + FRAME_HEADER, FRAME_JUDGE)) {
                *result = -EBADMSG;
                if (!has_junk)
                        return 0;
                add(events, 'J', 0, bytes + at, 1);
                return 1;
        }
        head = length < FRAME_HEAD_MAX ? length : FRAME_HEAD_MAX;
        if (left < FRAME_HEADER + head)
                return 0;
        add(events, 'T', length, bytes + at + FRAME_HEADER, head);
        return left - FRAME_HEADER < length ? 0 : FRAME_HEADER + (size_t)length;
}

static int model(struct events *events, const uint8_t *bytes, size_t size, bool has_junk, size_t max)
{
        size_t at = 0;

        while (at < size) {
                int result = 0;
                size_t step = model_step(events, bytes, at, size, has_junk, max, &result);

                if (step == 0)
                        return result;
                at += step;
        }
        return 0;
}

/* The reader ------------------------------------------------------------------------------------------ */

static void check_write(const struct frame *frame)
{
        struct buffer buffer = { 0 };
        size_t begin;

        FUZZ_REQUIRE(frame_begin(&buffer, &begin) == 0 && buffer_append(&buffer, frame->bytes, frame->size) == 0,
                     "no memory");
        frame_end(&buffer, begin, 0);
        FUZZ_REQUIRE(memcmp(buffer_bytes(&buffer), magic, MAGIC) == 0 &&
                     read_u32(buffer_bytes(&buffer) + MAGIC) == frame->size, "another header");
        buffer_deinit(&buffer);
}

static int take_all(struct frame_reader *reader, struct events *events)
{
        struct frame frame;
        int result;

        while ((result = frame_next(reader, &frame)) > 0) {
                char letter = frame.event == FRAME_WHOLE ? 'W' : frame.event == FRAME_JUNK ? 'J' : 'T';

                FUZZ_REQUIRE(frame.size > 0 || letter == 'W', "an empty event %c", letter);
                FUZZ_REQUIRE(!frame.block || letter == 'W', "a block with %c", letter);
                if (events)
                        add(events, letter, frame.declared, frame.bytes, frame.size);
                if (events && letter == 'W')
                        check_write(&frame);
                /* The byte behind it is free for a zero. */
                if (frame.block)
                        ((char *)(uintptr_t)frame.bytes)[frame.size] = '\0';
                block_unref(frame.block);
        }
        return result;
}

/* @piece 0: as much as there is room for. */
static int run(struct frame_reader *reader, struct events *events, const uint8_t *bytes, size_t size, uint32_t piece)
{
        struct frame frame;
        uint32_t seed = piece, small = size < 4096 ? 7 : 100;
        int result = take_all(reader, events);

        while (size > 0 && result == 0) {
                size_t room, part;
                void *at = frame_reserve(reader, &room);

                if (!at)
                        break;
                FUZZ_REQUIRE(room > 0, "no room");
                seed = seed * 1664525 + 1013904223;
                part = piece == 0 ? room : 1 + (seed >> 8) % (seed >> 31 ? small : 3 * small * small);
                part = part < room ? part : room;
                part = part < size ? part : size;
                memcpy(at, bytes, part);
                frame_commit(reader, part);
                bytes += part;
                size -= part;
                FUZZ_REQUIRE(frame_held(reader) <= INPUT_MAX, "%zu bytes held", frame_held(reader));
                /* Sometimes more is read before what is there is taken. */
                if (piece == 0 || seed & 1 << 20)
                        result = take_all(reader, events);
        }
        if (result == 0 && reader->error == 0)
                result = take_all(reader, events);
        if (result == 0)
                while ((result = frame_finish(reader, &frame)) > 0)
                        if (events)
                                add(events, 'J', 0, frame.bytes, frame.size);
        if (result < 0 && result != -ECONNRESET)
                FUZZ_REQUIRE(frame_next(reader, &frame) == result && frame_finish(reader, &frame) == result,
                             "%d does not stick", result);
        return result;
}

static void compare(const uint8_t *bytes, size_t size, bool has_junk, size_t max, uint32_t piece,
                    const struct events *expected, int expected_result)
{
        struct fuzz_mark mark;
        struct frame_reader reader;
        struct events events = { 0 };
        int result;

        fuzz_peak_begin(&mark);
        frame_reader_init(&reader, &framing_magic, has_junk, max, wire_can_begin);
        result = run(&reader, NULL, bytes, size, piece);
        frame_reader_deinit(&reader);
        FUZZ_REQUIRE(fuzz_peak(&mark) <= 32 * size + (72 << 10), "%zu bytes of memory for %zu", fuzz_peak(&mark), size);

        frame_reader_init(&reader, &framing_magic, has_junk, max, wire_can_begin);
        FUZZ_REQUIRE(run(&reader, &events, bytes, size, piece) == result, "another result");
        frame_reader_deinit(&reader);
        FUZZ_REQUIRE(result == expected_result, "%d in pieces of %u, by the model %d", result, piece, expected_result);
        FUZZ_REQUIRE(buffer_size(&events.text) == buffer_size(&expected->text) &&
                     (buffer_size(&events.text) == 0 ||
                      memcmp(buffer_bytes(&events.text), buffer_bytes(&expected->text),
                             buffer_size(&events.text)) == 0),
                     "other events in pieces of %u: %zu bytes of them, by the model %zu", piece,
                     buffer_size(&events.text), buffer_size(&expected->text));
        buffer_deinit(&events.text);
}

static void run_without_memory(const uint8_t *bytes, size_t size, bool has_junk, size_t max, uint32_t piece,
                               int expected)
{
        struct frame_reader reader;
        int result;

        fuzz_refuse_allocation(piece % 6);
        frame_reader_init(&reader, &framing_magic, has_junk, max, wire_can_begin);
        result = run(&reader, NULL, bytes, size, piece);
        FUZZ_REQUIRE(result == (fuzz_has_refused() ? -ENOMEM : expected), "%d without memory", result);
        frame_reader_deinit(&reader);
}

static size_t expand(struct fuzz_input *input, uint8_t **ret)
{
        uint8_t *bytes = malloc(INPUT_MAX);
        size_t size = 0;

        if (!bytes)
                abort();
        while (input->at < input->end && size < INPUT_MAX) {
                uint8_t byte = fuzz_byte(input);

                if (byte == 0xfe) {
                        size_t count = (size_t)fuzz_byte(input) * 128;

                        byte = fuzz_byte(input);
                        if (count > INPUT_MAX - size)
                                count = INPUT_MAX - size;
                        memset(bytes + size, byte, count);
                        size += count;
                } else
                        bytes[size++] = byte;
        }
        *ret = bytes;
        return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        bool has_junk = fuzz_byte(&input) & 1;
        size_t max = (size_t)fuzz_u16(&input) * 16;
        uint32_t piece = 1 + fuzz_byte(&input);
        struct events expected = { 0 };
        uint8_t *bytes;
        size_t count = expand(&input, &bytes);
        int result = model(&expected, bytes, count, has_junk, max);

        compare(bytes, count, has_junk, max, 0, &expected, result);
        compare(bytes, count, has_junk, max, piece, &expected, result);
        run_without_memory(bytes, count, has_junk, max, piece, result);
        buffer_deinit(&expected.text);
        free(bytes);
        fuzz_end(&mark);
        return 0;
}
