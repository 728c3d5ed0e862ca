/* Reads frames out of a stream of bytes. Invariants: no byte is looked at twice for a magic; bytes of a frame that
 * was accepted or is skipped are never looked at for one; memory grows with what has come, never with what was
 * declared. */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>

enum {
        ROOM_MAX = 1 << 17,
        SPARED_MAX = 4,         /* reads that need little until less room is lent */
        SMALL_MAX = 1 << 14,    /* smaller frames are gathered in the buffer, larger ones in a block */
        LARGE_FIRST = 1 << 16,
        LARGE_GROWTH = 3,       /* the room for a large payload is so many times what has come of it at most */
        MAGIC_SIZE = 4,
};

static const uint32_t MAGIC = 0xf34a9de2;
static const char magic[MAGIC_SIZE] = { '\xf3', '\x4a', '\x9d', '\xe2' };

static int measure_magic(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload)
{
        if (size < FRAME_HEADER)
                return memcmp(bytes, magic, size < MAGIC_SIZE ? size : MAGIC_SIZE) == 0 ? 0 : -EBADMSG;
        if (read_u32(bytes) != MAGIC)
                return -EBADMSG;
        *ret_header = FRAME_HEADER;
        *ret_payload = read_u32(bytes + MAGIC_SIZE);
        return 1;
}

const struct framing framing_magic = { .has_magic = true, .measure = measure_magic };

void frame_reader_init(struct frame_reader *reader, const struct framing *framing, bool has_junk, size_t max,
                       bool (*can_begin)(const char *bytes, size_t size))
{
        *reader = (struct frame_reader){
                .framing = framing, .has_junk = has_junk && framing->has_magic, .max = max, .can_begin = can_begin,
                .room = FRAME_ROOM_MIN,
        };
}

void frame_reader_deinit(struct frame_reader *reader)
{
        buffer_deinit(&reader->buffer);
        block_unref(reader->large);
        reader->large = NULL;
}

void frame_reader_clear(struct frame_reader *reader)
{
        frame_reader_deinit(reader);
        frame_reader_init(reader, reader->framing, reader->has_junk, reader->max, reader->can_begin);
}

bool frame_drop_zeros(struct frame_reader *reader)
{
        const unsigned char *bytes = buffer_bytes(&reader->buffer);

        for (size_t i = reader->taken; i < buffer_size(&reader->buffer); i++)
                if (bytes[i] != 0)
                        return false;
        if (reader->large || reader->skip > 0)
                return false;
        /* The event that was given out last still stands there. */
        reader->buffer.end = reader->buffer.begin + reader->taken;
        return true;
}

static char *large_bytes(const struct frame_reader *reader)
{
        return (char *)(reader->large + 1);
}

/* What was given out last is no longer needed. */
static void let_go(struct frame_reader *reader)
{
        buffer_consume(&reader->buffer, reader->taken);
        reader->taken = 0;
}

static bool grow_large(struct frame_reader *reader, size_t capacity)
{
        struct block *grown;

        if (capacity > reader->large_size)
                capacity = reader->large_size;
        grown = sys_realloc(reader->large, sizeof *grown + capacity + 1);
        if (!grown) {
                reader->error = -ENOMEM;
                return false;
        }
        grown->references = 1;
        reader->large = grown;
        reader->large_capacity = capacity;
        return true;
}

/* Whether what comes belongs to a large payload. One that is whole may not have been taken yet. */
static bool is_filling_large(const struct frame_reader *reader)
{
        return reader->large && reader->large_filled < reader->large_size;
}

void *frame_reserve(struct frame_reader *reader, size_t *ret_size)
{
        void *room;

        let_go(reader);
        if (is_filling_large(reader)) {
                if (reader->large_filled == reader->large_capacity && !grow_large(reader, reader->large_capacity * LARGE_GROWTH))
                        return NULL;
                *ret_size = reader->large_capacity - reader->large_filled;
                return large_bytes(reader) + reader->large_filled;
        }
        room = buffer_reserve(&reader->buffer, reader->room);
        *ret_size = reader->room;
        if (!room)
                reader->error = -ENOMEM;
        return room;
}

void frame_commit(struct frame_reader *reader, size_t size)
{
        if (is_filling_large(reader)) {
                reader->large_filled += size;
                return;
        }
        reader->buffer.end += size;
        /* A peer that sends much is read in larger pieces, an idle one holds little. The last of what was sent together may be small. */
        if (size == reader->room && reader->room < ROOM_MAX)
                reader->room *= 2;
        reader->spared = size < reader->room / 8 ? reader->spared + 1 : 0;
        if (reader->spared == SPARED_MAX && reader->room > FRAME_ROOM_MIN)
                reader->room /= 2;
        if (reader->spared == SPARED_MAX)
                reader->spared = 0;
}

/* Where the first magic begins, or what may still become one; @size if there is none. */
static size_t find_magic(const char *bytes, size_t size)
{
        const char *at = bytes, *end = bytes + size;

        /* gcc-analyzer: a buffer that has a size has bytes */
        while (at < end && (at = memchr(at, magic[0], (size_t)(end - at)))) {
                size_t left = (size_t)(end - at);

                if (memcmp(at, magic, left < MAGIC_SIZE ? left : MAGIC_SIZE) == 0)
                        return (size_t)(at - bytes);
                at++;
        }
        return size;
}

static int give(struct frame_reader *reader, struct frame *ret, enum frame_event event, size_t skip, size_t size)
{
        *ret = (struct frame){ .event = event, .bytes = (const char *)buffer_bytes(&reader->buffer) + skip, .size = size };
        reader->taken = skip + size;
        return 1;
}

static int fail(struct frame_reader *reader, int error)
{
        reader->error = error;
        return error;
}

static int give_large(struct frame_reader *reader, struct frame *ret)
{
        if (is_filling_large(reader))
                return 0;
        *ret = (struct frame){ .event = FRAME_WHOLE, .bytes = large_bytes(reader), .size = reader->large_size,
                               .block = reader->large };
        reader->large = NULL;
        return 1;
}

/* A payload too large for the buffer is read into a block of its own. */
static int begin_large(struct frame_reader *reader, size_t header, size_t length)
{
        size_t have = buffer_size(&reader->buffer) - header;

        reader->large_size = length;
        reader->large_filled = have;
        if (!grow_large(reader, have * 2 > LARGE_FIRST ? have * 2 : LARGE_FIRST))
                return reader->error;
        memcpy(large_bytes(reader), buffer_bytes(&reader->buffer) + header, have);
        buffer_consume(&reader->buffer, have + header);
        /* Another one may follow: little of that is read before its place is known. */
        reader->room = FRAME_ROOM_MIN;
        return 0;
}

/* A frame over the limit that surely is one. */
static int give_too_large(struct frame_reader *reader, struct frame *ret, size_t header, uint64_t length)
{
        size_t head = length < FRAME_HEAD_MAX ? (size_t)length : FRAME_HEAD_MAX;
        int given;

        if (buffer_size(&reader->buffer) < header + head)
                return 0;
        given = give(reader, ret, FRAME_TOO_LARGE, header, head);
        ret->declared = (uint32_t)length;
        reader->skip = length - head;
        return given;
}

/* A length over the limit: can what follows be a payload, or was it no frame at all? */
static int judge(struct frame_reader *reader, struct frame *ret, uint32_t length)
{
        const char *bytes = (const char *)buffer_bytes(&reader->buffer);
        size_t size = buffer_size(&reader->buffer);

        if (size < FRAME_HEADER + FRAME_JUDGE)
                return 0;
        if (!reader->can_begin(bytes + FRAME_HEADER, FRAME_JUDGE)) {
                if (!reader->has_junk)
                        return fail(reader, -EBADMSG);
                return give(reader, ret, FRAME_JUNK, 0, 1 + find_magic(bytes + 1, size - 1));
        }
        return give_too_large(reader, ret, FRAME_HEADER, length);
}

/* Drop what has come of a frame that is too large; whether all of it has. */
static bool skip(struct frame_reader *reader)
{
        size_t size = buffer_size(&reader->buffer);

        if (size > reader->skip)
                size = (size_t)reader->skip;
        buffer_consume(&reader->buffer, size);
        reader->skip -= size;
        return reader->skip == 0;
}

/* What is enclosed is no frame: all of it is passed over, and an empty frame says so. */
static int give_none(struct frame_reader *reader, struct frame *ret)
{
        reader->skip = reader->enclosed;
        reader->enclosed = 0;
        return give(reader, ret, FRAME_WHOLE, 0, 0);
}

/* None of them reaches over the end of the frame around it. */
static int next_enclosed(struct frame_reader *reader, struct frame *ret)
{
        size_t size = buffer_size(&reader->buffer), header;
        uint64_t left = reader->enclosed - reader->framing->tail, length;
        int result = reader->framing->measure_enclosed((const char *)buffer_bytes(&reader->buffer), size < left ? size : (size_t)left, &header,
                                                       &length);

        if (result == 0 && size < left)
                return 0;
        if (result <= 0 || header + length > left)
                return give_none(reader, ret);
        if (length > reader->max)
                result = give_too_large(reader, ret, header, length);
        else if (size - header >= length)
                result = give(reader, ret, FRAME_WHOLE, header, (size_t)length);
        else
                result = length > SMALL_MAX ? begin_large(reader, header, (size_t)length) : 0;
        if (result <= 0 && !reader->large)
                return result;
        reader->enclosed -= header + length;
        if (reader->enclosed == reader->framing->tail) {
                reader->skip += reader->enclosed;
                reader->enclosed = 0;
        }
        return result;
}

/* A frame that encloses others begins: what stands in front of them is no event. */
static int enter(struct frame_reader *reader, struct frame *ret, size_t header, uint64_t length)
{
        buffer_consume(&reader->buffer, header);
        reader->enclosed = length;
        if (length <= reader->framing->tail)
                return give_none(reader, ret);
        return buffer_size(&reader->buffer) > 0 ? next_enclosed(reader, ret) : 0;
}

int frame_next(struct frame_reader *reader, struct frame *ret)
{
        const char *bytes;
        size_t size, junk, header;
        uint64_t length;
        int measured;

        if (reader->error)
                return reader->error;
        let_go(reader);
        if (reader->large)
                return give_large(reader, ret);
        if (reader->skip > 0 && !skip(reader))
                return 0;
        bytes = (const char *)buffer_bytes(&reader->buffer);
        size = buffer_size(&reader->buffer);
        if (size == 0) {
                if (reader->buffer.capacity > FRAME_ROOM_MIN && reader->room == FRAME_ROOM_MIN)
                        buffer_deinit(&reader->buffer);
                return 0;
        }
        if (reader->enclosed > 0)
                return next_enclosed(reader, ret);
        junk = reader->has_junk ? find_magic(bytes, size) : 0;
        if (junk > 0)
                return give(reader, ret, FRAME_JUNK, 0, junk);
        measured = reader->framing->measure(bytes, size, &header, &length);
        if (measured <= 0)
                return measured == 0 ? 0 : measured == FRAME_ENCLOSES ? enter(reader, ret, header, length) : fail(reader, measured);
        if (length > reader->max && reader->framing->keeps_step)
                return give_too_large(reader, ret, header, length);
        if (length > reader->max)
                return reader->framing->has_magic ? judge(reader, ret, (uint32_t)length) : fail(reader, -EMSGSIZE);
        if (size - header >= length)
                return give(reader, ret, FRAME_WHOLE, header, (size_t)length);
        return length > SMALL_MAX ? begin_large(reader, header, (size_t)length) : 0;
}

bool frame_begins_too_large(const struct frame_reader *reader)
{
        size_t size = buffer_size(&reader->buffer) - reader->taken, header;
        uint64_t length;

        /* A buffer that has a size has bytes. */
        return size > 0 && reader->enclosed == 0 &&
               reader->framing->measure((const char *)buffer_bytes(&reader->buffer) + reader->taken, size, &header, &length) == 1 &&
               length > reader->max;
}

int frame_finish(struct frame_reader *reader, struct frame *ret)
{
        const char *bytes;
        size_t size;
        uint32_t length;

        if (reader->error)
                return reader->error;
        let_go(reader);
        if (reader->large || reader->skip > 0 || reader->enclosed > 0)
                return -ECONNRESET;
        size = buffer_size(&reader->buffer);
        if (size == 0)
                return 0;
        if (!reader->has_junk)
                return -ECONNRESET;
        bytes = (const char *)buffer_bytes(&reader->buffer);
        length = size >= FRAME_HEADER ? read_u32(bytes + MAGIC_SIZE) : 0;
        if ((size >= MAGIC_SIZE && length <= reader->max) || (size >= FRAME_HEADER + FRAME_JUDGE))
                return -ECONNRESET;
        return give(reader, ret, FRAME_JUNK, 0, size);
}

int frame_begin(struct buffer *buffer, size_t *ret_begin)
{
        char *at = buffer_reserve(buffer, FRAME_HEADER);

        *ret_begin = buffer_size(buffer);
        if (!at)
                return -ENOMEM;
        frame_put_magic(at);
        buffer->end += FRAME_HEADER;
        return 0;
}

void frame_end(struct buffer *buffer, size_t begin, size_t elsewhere)
{
        write_u32(buffer_bytes(buffer) + begin + MAGIC_SIZE, (uint32_t)(buffer_size(buffer) - begin - FRAME_HEADER + elsewhere));
}
