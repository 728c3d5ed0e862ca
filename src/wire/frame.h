/* Frames: pieces of a stream that are one message each. The reader owns no descriptor: it lends room, takes what came, and
 * gives out what is whole. How a frame is made up is its framing's business. */
#pragma once

#include "util/block.h"
#include "util/buffer.h"
#include "util/bytes.h"

#include <limits.h>
#include <string.h>

enum {
        FRAME_ROOM_MIN = 1024,          /* that is lent at least */
        FRAME_HEADER = 8,               /* of framing_magic */
        FRAME_HEAD_MAX = 4096,          /* so much of a frame that is too large is looked at */
        FRAME_JUDGE = 16,               /* and by so much it is distinguished from junk */
};

enum frame_event {
        FRAME_WHOLE,
        FRAME_JUNK,             /* bytes between frames */
        FRAME_TOO_LARGE,        /* its beginning; the rest will be skipped */
};

struct framing {
        /* Whether a frame begins with bytes by which it is found among others, so that those can be distinguished from it. */
        bool has_magic;
        /* Whether a frame whose content is wrong, or that is over the limit, says where the next one begins: then it is passed over
         * alone. With a magic that is so. */
        bool keeps_step;
        /* How a frame that begins so is made up: 1; 0 if more bytes are needed to decide; -EBADMSG if it is none. FRAME_ENCLOSES: its payload
         * is other frames. */
        int (*measure)(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload);
        /* The same of those, which have another form, where there are any; and how many bytes stand behind them. */
        int (*measure_enclosed)(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload);
        size_t tail;
};

enum { FRAME_ENCLOSES = INT_MIN };      /* which is no errno */

/* F3 4A 9D E2, the length of the payload (u32, big-endian), the payload. */
extern const struct framing framing_magic;

struct frame {
        enum frame_event event;
        const char *bytes;      /* payload, junk or beginning; good until the reader is used again */
        size_t size;
        struct block *block;    /* that a large payload stands in, one byte free behind it; the caller's. Or NULL */
        uint32_t declared;      /* the length of a frame that is too large */
};

struct frame_reader {
        const struct framing *framing;
        bool has_junk;          /* what is no frame is junk; else it is an error */
        size_t max;             /* of a payload */
        bool (*can_begin)(const char *bytes, size_t size);      /* whether these may begin a payload */
        struct buffer buffer;
        size_t room;            /* that is lent at once … */
        unsigned spared;        /* … much of which so many reads in a row did not need */
        int error;              /* sticks */
        size_t taken;           /* of the buffer, by the event that was given out last */
        struct block *large;    /* a payload that is read straight into its place */
        size_t large_size;
        size_t large_filled;
        size_t large_capacity;
        uint64_t skip;          /* bytes of a frame that is too large, or behind enclosed ones, still to come */
        uint64_t enclosed;      /* bytes of a frame that encloses others, and of its tail, which no event has given yet */
};

void frame_reader_init(struct frame_reader *reader, const struct framing *framing, bool has_junk, size_t max,
                       bool (*can_begin)(const char *bytes, size_t size));
void frame_reader_deinit(struct frame_reader *reader);
/* Drop all that is held, also an error: it is as it was at first. */
void frame_reader_clear(struct frame_reader *reader);

/* Drop the bytes behind the last event, if all of them are zero; else false. */
bool frame_drop_zeros(struct frame_reader *reader);

/* Lend room; NULL if memory is out. Take what came. */
void *frame_reserve(struct frame_reader *reader, size_t *ret_size);
void frame_commit(struct frame_reader *reader, size_t size);

/* The next event: 1; 0 if more bytes are needed; -EBADMSG, -ENOMEM; -EMSGSIZE of a frame over the limit, where that
 * cannot be distinguished from what is none. */
int frame_next(struct frame_reader *reader, struct frame *ret_frame);

/* Whether what is held, and was not given yet, begins with the header of a frame over the limit: for a reader that need not know
 * what it is. */
bool frame_begins_too_large(const struct frame_reader *reader);

/* No more bytes will come: 1 with junk that was held back; 0; -ECONNRESET if that is in the middle of a frame. */
int frame_finish(struct frame_reader *reader, struct frame *ret_frame);

/* Whether there is nothing for frame_next() to give, nor to give back. */
static inline bool frame_is_idle(const struct frame_reader *reader)
{
        return buffer_size(&reader->buffer) == reader->taken && reader->buffer.capacity <= FRAME_ROOM_MIN && !reader->large &&
               reader->skip == 0 && !reader->error;
}

/* Bytes that are held. */
static inline size_t frame_held(const struct frame_reader *reader)
{
        return buffer_size(&reader->buffer) - reader->taken + (reader->large ? reader->large_filled : 0);
}

/* F3 4A 9D E2, and room for the length. Returns what is behind. */
static inline char *frame_put_magic(char *at)
{
        memcpy(at, "\xf3\x4a\x9d\xe2\0\0\0", FRAME_HEADER);
        return at + FRAME_HEADER;
}

/* Begin a frame of framing_magic in a buffer, and end it once its payload stands behind, but for @elsewhere bytes. 0 or -ENOMEM. */
int frame_begin(struct buffer *buffer, size_t *ret_begin);
void frame_end(struct buffer *buffer, size_t begin, size_t elsewhere);
