/* What a session has to send: one queue of bytes, in order, in which each frame is whole.
 *
 * A place in it is counted in all that the session ever sends, so it stays what it is while the queue moves on. Frames of
 * requests are known by their places as long as the request is in flight: so one of which nothing has left can be taken back,
 * and where there are no ids the second waits until the first is answered. Invariants: requests stand in the order of their
 * frames; the first byte of the queue is in no hole.
 *
 * A large string of a body is no part of the queue's own bytes, but a piece that stands between them. Such pieces are there only
 * where all may be sent (OUTBOX_OPEN), in dialects that need no whole frames. */
#pragma once

#include "session/attached.h"
#include "session/holes.h"
#include "util/buffer.h"
#include "util/list.h"
#include "wire/dialect.h"

#include <sys/uio.h>

/* Of a request in flight. */
struct outbox_frame {
        struct list link;
        uint64_t begin, end;            /* equal if it is not queued */
        uint64_t number;                /* among the messages written, where they are acknowledged; 0: not yet */
};

/* A large string: of a tree, which the piece holds; or lent until outbox_keep(), which copies it into the room behind the piece.
 * Or a frame that goes with descriptors, which leave with its first byte. */
struct outbox_piece {
        struct list link;
        uint64_t at;                    /* its place */
        const char *bytes;
        size_t size;
        struct arena *tree;             /* NULL: it is lent … */
        bool is_kept;                   /* … or stands behind this */
        struct attached *attached;      /* NULL: none, or they have left */
        char own[];
};

/* How much of the queue may be sent. */
enum outbox_gate {
        OUTBOX_SHUT,                    /* nothing: the other side begins */
        OUTBOX_GREETING,                /* what is said first */
        OUTBOX_LOGIN,                   /* the same; what answers meanwhile stays behind it */
        OUTBOX_TURNS,                   /* all before the second request in flight */
        OUTBOX_OPEN,
};

struct outbox {
        struct buffer bytes;            /* what the stream has not taken yet, but for the pieces */
        struct list pieces;             /* struct outbox_piece, in their order … */
        size_t pieces_size;             /* … and all their bytes */
        enum outbox_gate gate;          /* shut at first; only outbox_set_gate() changes it */
        bool is_lent;                   /* the stream has the bytes in hand: they stay where they are */
        bool is_telling_apart;          /* the queue knows where each frame begins, and so which of them have not begun to leave */
        uint64_t begin;                 /* where that begins */
        struct holes holes;
        struct list requests;           /* struct outbox_frame */
        uint64_t message_end;           /* of the last message that neither is a request nor answers */
        size_t left_behind;             /* bytes of such messages, with descriptors, that another connection does not get */
        uint64_t greeting_end;
        size_t frame_left;              /* of one that should have been taken at once, but was not; or, where frames are told apart,
                                         * of the one that has begun to leave */
        uint64_t written;               /* messages that the stream has taken, where they are acknowledged … */
        uint64_t acknowledged;          /* … and those that were */
};

void outbox_init(struct outbox *outbox);
void outbox_deinit(struct outbox *outbox);

/* Bytes in the queue, with the holes; and without. */
static inline size_t outbox_size(const struct outbox *outbox)
{
        return buffer_size(&outbox->bytes) + outbox->pieces_size;
}

static inline size_t outbox_queued(const struct outbox *outbox)
{
        return outbox_size(outbox) - (size_t)outbox->holes.size;
}

void outbox_set_gate(struct outbox *outbox, enum outbox_gate gate);

/* Bytes at the front that may be sent now. */
size_t outbox_sendable_by_gate(const struct outbox *outbox);

static inline size_t outbox_sendable(const struct outbox *outbox)
{
        return outbox_size(outbox) == 0 || outbox->gate == OUTBOX_OPEN ? outbox_size(outbox) : outbox_sendable_by_gate(outbox);
}

/* How many of these are to be written next: all up to a hole, or one frame where the dialect wants frames whole. */
size_t outbox_next(const struct outbox *outbox, const struct dialect *dialect);

enum { OUTBOX_SLICES = 8 };

/* Where the first of these stand, as many as there are in so many slices; @size becomes how many those are. Returns the number of
 * slices. */
int outbox_slices(const struct outbox *outbox, size_t *size, struct iovec slices[OUTBOX_SLICES]);

/* The stream has taken @put of the @size bytes at the front. */
void outbox_taken(struct outbox *outbox, const struct dialect *dialect, size_t size, size_t put);

/* What stands behind the first @size bytes was put there in vain. */
void outbox_undo(struct outbox *outbox, size_t size);

/* A large string of the frame that was queued last, before the byte @offset of the queue's own: held by its tree, or else lent.
 * 0 or -ENOMEM. */
int outbox_add_piece(struct outbox *outbox, size_t offset, const struct lent *lent);
/* A frame that goes with descriptors. 0 or -ENOMEM. */
int outbox_add_attached(struct outbox *outbox, const void *bytes, size_t size, struct attached *attached);
/* The piece at the front, if descriptors have to leave with it; and they have left. */
static inline const struct attached *outbox_attached(const struct outbox *outbox)
{
        const struct outbox_piece *first = outbox->pieces_size > 0 ? list_first(&outbox->pieces, struct outbox_piece, link) : NULL;

        return first && first->at == outbox->begin ? first->attached : NULL;
}
void outbox_detach(struct outbox *outbox);
/* What is still there of a string that is lent is copied. */
void outbox_keep_lent(struct outbox *outbox);
static inline void outbox_keep(struct outbox *outbox)
{
        if (outbox->pieces_size > 0)
                outbox_keep_lent(outbox);
}

/* The last bytes are a message that neither is a request nor answers. */
void outbox_add_message(struct outbox *outbox);

/* Bytes that the stream has not taken, and the last @lost of those that it has taken: how many of these there are up to the end
 * of the last such message, or request where these count, too. */
size_t outbox_count_lost(const struct outbox *outbox, size_t lost, bool has_requests);

/* The last bytes, from @offset on, are the frame of a request. */
void outbox_add_request(struct outbox *outbox, struct outbox_frame *frame, size_t offset);

/* The last bytes, from @offset on, answer the other side: they go before requests that wait for it. */
void outbox_jump_queue(struct outbox *outbox, size_t offset);

/* Take the frame of a request, of which nothing has left, out of the queue; and those of all such requests at once, after which
 * these are not among the requests. */
void outbox_withdraw(struct outbox *outbox, struct outbox_frame *frame);
void outbox_withdraw_all(struct outbox *outbox);

/* The request is in flight no longer. */
void outbox_forget(struct outbox_frame *frame);

/* The first request in flight, or NULL. */
struct outbox_frame *outbox_first_request(const struct outbox *outbox);

/* All that is queued belongs to what is said first. */
void outbox_end_greeting(struct outbox *outbox);
/* The last @size bytes are what is said first by another connection; what was left of that by the one before is dropped. */
void outbox_begin_again(struct outbox *outbox, size_t size);

/* Take back what was queued behind the greeting and has more bytes than the other side takes, while nothing of that has left: requests,
 * which are put into a list, and others, which are counted. */
size_t outbox_withdraw_larger(struct outbox *outbox, const struct dialect *dialect, size_t most, struct list *ret_requests);

/* The last @size bytes go before all others, none of which has left. */
void outbox_prepend(struct outbox *outbox, size_t size);

/* Take over all that another one has; that is empty then, and has the same gate. */
void outbox_move(struct outbox *outbox, struct outbox *from);

/* Queue copies of those notifications of another one that have not begun to leave, where frames are told apart. There they count no
 * longer as messages that may be lost; those with descriptors are not copied, and count on. 0, or -ENOMEM. */
int outbox_copy_notifications(struct outbox *outbox, struct outbox *from, const struct dialect *dialect);

/* Drop all but what cannot be taken back; or all. */
void outbox_cut(struct outbox *outbox);
void outbox_drop(struct outbox *outbox);
