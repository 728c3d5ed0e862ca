/* What a session has read: the bytes of its inputs as events (frames, junk), in order, and how these inputs have ended. It reads
 * nothing itself: it lends room and takes what came. It knows no session.
 *
 * Invariants: an event is good until room is lent or the next one is taken; what was read before the end stays to be handled. */
#pragma once

#include "stream/stream.h"
#include "wire/frame.h"

struct inbox_input {
        struct frame_reader reader;
        size_t room;            /* that was lent last */
        bool is_filled;         /* all of it, by the last read: there may be more */
};

struct inbox {
        struct inbox_input inputs[STREAM_INPUTS];
        int current;            /* the input that gives events */
        uint64_t taken;         /* bytes that were read */
        uint64_t events;        /* that were given */
        bool is_behind;         /* there were more events than could be handled at once */
        bool is_discarding;
        bool is_over;           /* nothing more will be read */
        int end_code;           /* 0, or a negative errno: how it ended … */
        char *end_sentence;     /* … in words; NULL before the end, and if memory was out */
};

struct inbox_event {
        struct frame frame;     /* a block of it is the caller's */
        int input;
};

/* Frames of at most @max bytes, on inputs where other code may write, too, if @has_junk. */
void inbox_init(struct inbox *inbox, const struct framing *framing, bool has_junk, size_t max);
/* An inbox of zeros is allowed. */
void inbox_deinit(struct inbox *inbox);

/* Lend room for a read of an input; NULL if memory is out. Take what was read, perhaps nothing. */
void *inbox_reserve(struct inbox *inbox, int input, size_t *ret_size);
void inbox_commit(struct inbox *inbox, int input, size_t size);

/* The next event: 1; 0 if there is none; or the errors of frame_next(), after which nothing more can be understood. */
int inbox_next(struct inbox *inbox, struct inbox_event *ret);

/* Whether inbox_next() would find nothing to do. */
static inline bool inbox_is_idle(const struct inbox *inbox)
{
        return frame_is_idle(&inbox->inputs[0].reader) && frame_is_idle(&inbox->inputs[1].reader);
}

/* Give no more events. What was read goes with the next read of the same input, so that an event stays good. */
void inbox_discard(struct inbox *inbox);

/* All has been read; or the end has another reason than was thought. The sentence is copied. */
void inbox_end(struct inbox *inbox, int code, const char *sentence);
/* Never NULL. */
const char *inbox_end_sentence(const struct inbox *inbox);
/* Behind the end and the last event of inbox_next(): 1 with junk that was held back; 0; -ECONNRESET if an input ends in the
 * middle of a frame. */
int inbox_finish(struct inbox *inbox, int input, struct inbox_event *ret);

/* Bytes of an input that were given in no event; and of all. */
static inline size_t inbox_held(const struct inbox *inbox, int input)
{
        return frame_held(&inbox->inputs[input].reader);
}
/* Drop those of an input, if all of them are zero; else false. */
static inline bool inbox_drop_zeros(struct inbox *inbox, int input)
{
        return frame_drop_zeros(&inbox->inputs[input].reader);
}
size_t inbox_held_in_all(const struct inbox *inbox);

/* Whether there may be more than what was handled. */
bool inbox_may_have_more(const struct inbox *inbox);
/* Whether the first @mark bytes of all that is read were handled, or no more came; 0: it is not known how many those are. */
bool inbox_has_passed(const struct inbox *inbox, uint64_t mark);
