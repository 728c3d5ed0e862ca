#include "session/outbox.h"

#include <errno.h>
#include <string.h>

void outbox_init(struct outbox *outbox)
{
        list_init(&outbox->requests);
        list_init(&outbox->pieces);
}

static struct outbox_piece *first_piece(const struct outbox *outbox)
{
        return list_first(&outbox->pieces, struct outbox_piece, link);
}

static void drop_piece(struct outbox *outbox, struct outbox_piece *piece)
{
        outbox->pieces_size -= piece->size;
        list_remove(&piece->link);
        if (piece->tree)
                arena_unref(piece->tree);
        attached_unref(piece->attached);
        sys_free(piece);
}

static void drop_pieces(struct outbox *outbox)
{
        while (!list_is_empty(&outbox->pieces))
                drop_piece(outbox, first_piece(outbox));
}

void outbox_deinit(struct outbox *outbox)
{
        drop_pieces(outbox);
        buffer_deinit(&outbox->bytes);
        holes_deinit(&outbox->holes);
}

/* Sending --------------------------------------------------------------------------------------------- */

/* Up to where the queue may be sent. */
static uint64_t limit(const struct outbox *outbox)
{
        const struct list *second = outbox->requests.next->next;

        switch (outbox->gate) {
        case OUTBOX_SHUT:
                return 0;
        case OUTBOX_GREETING:
        case OUTBOX_LOGIN:
                return outbox->greeting_end;
        case OUTBOX_TURNS:
                return outbox->requests.next == &outbox->requests || second == &outbox->requests ?
                               UINT64_MAX : container_of(second, struct outbox_frame, link)->begin;
        case OUTBOX_OPEN:
                break;
        }
        return UINT64_MAX;
}

void outbox_set_gate(struct outbox *outbox, enum outbox_gate gate)
{
        outbox->gate = gate;
}

size_t outbox_sendable_by_gate(const struct outbox *outbox)
{
        uint64_t end = limit(outbox);
        size_t size = outbox_size(outbox);

        return end <= outbox->begin ? 0 : end - outbox->begin < size ? (size_t)(end - outbox->begin) : size;
}

size_t outbox_next(const struct outbox *outbox, const struct dialect *dialect)
{
        size_t size = outbox_sendable(outbox), header = 0;
        uint64_t payload = 0;

        if (outbox->holes.count > 0 && outbox->holes.at[0].begin - outbox->begin < size)
                size = (size_t)(outbox->holes.at[0].begin - outbox->begin);
        if (size == 0 || !dialect->has_whole_frames)
                return size;
        if (outbox->frame_left > 0)
                return outbox->frame_left;
        dialect->framing->measure((const char *)buffer_bytes(&outbox->bytes), size, &header, &payload);
        return header + (size_t)payload;
}

int outbox_slices(const struct outbox *outbox, size_t *size, struct iovec slices[OUTBOX_SLICES])
{
        unsigned char *bytes = buffer_bytes(&outbox->bytes);
        const struct list *link = outbox->pieces.next;
        uint64_t at = outbox->begin, end = at + *size;
        int count = 0;

        if (outbox->pieces_size == 0) {
                slices[0] = (struct iovec){ bytes, *size };
                return 1;
        }
        while (at < end && count < OUTBOX_SLICES) {
                const struct outbox_piece *piece = link == &outbox->pieces ? NULL : container_of(link, struct outbox_piece, link);
                uint64_t slice_end = piece && piece->at == at ? at + piece->size : piece && piece->at < end ? piece->at : end;
                struct iovec *slice;

                /* Descriptors leave with the first byte of a write. */
                if (piece && piece->at == at && piece->attached && count > 0)
                        break;
                slice = &slices[count++];
                slice->iov_len = (size_t)((slice_end < end ? slice_end : end) - at);
                if (piece && piece->at == at) {
                        slice->iov_base = (void *)(uintptr_t)piece->bytes;
                        link = link->next;
                } else {
                        slice->iov_base = bytes;
                        bytes += slice->iov_len;
                }
                at += slice->iov_len;
        }
        *size = (size_t)(at - outbox->begin);
        return count;
}

/* Bytes leave the front. */
static void consume_pieces(struct outbox *outbox, size_t size)
{
        struct outbox_piece *piece;

        while (size > 0 && (piece = first_piece(outbox))) {
                size_t before = (size_t)(piece->at - outbox->begin), taken;

                if (before > 0) {
                        taken = before < size ? before : size;
                        buffer_consume(&outbox->bytes, taken);
                } else {
                        taken = piece->size < size ? piece->size : size;
                        piece->at += taken;
                        piece->bytes += taken;
                        piece->size -= taken;
                        outbox->pieces_size -= taken;
                        if (piece->size == 0)
                                drop_piece(outbox, piece);
                }
                outbox->begin += taken;
                size -= taken;
        }
        outbox->begin += size;
        buffer_consume(&outbox->bytes, size);
}

static inline void consume(struct outbox *outbox, size_t size)
{
        if (outbox->pieces_size > 0) {
                consume_pieces(outbox, size);
                return;
        }
        buffer_consume(&outbox->bytes, size);
        outbox->begin += size;
}

/* What was taken back and stands at the front is passed over. */
static void skip_holes(struct outbox *outbox)
{
        struct holes *holes = &outbox->holes;

        while (holes->count > 0 && holes->at[0].begin == outbox->begin) {
                consume(outbox, (size_t)holes->at[0].size);
                holes_remove_first(holes);
        }
}

/* The frame at the front leaves: what will be acknowledged is counted. */
static void count_written(struct outbox *outbox, const struct dialect *dialect, size_t size)
{
        struct outbox_frame *request = outbox_first_request(outbox);
        struct incoming what;

        dialect->peek((const char *)buffer_bytes(&outbox->bytes), size, &what);
        if (what.kind != WIRE_MESSAGE)
                return;
        outbox->written++;
        if (request && request->begin == outbox->begin)
                request->number = outbox->written;
}

/* The pieces before a place, counted from the front: how many bytes these are. */
static size_t pieces_before(const struct outbox *outbox, size_t offset)
{
        size_t size = 0;

        list_for_each(&outbox->pieces, link) {
                const struct outbox_piece *piece = container_of(link, const struct outbox_piece, link);

                if (piece->at >= outbox->begin + offset)
                        break;
                size += piece->size;
        }
        return size;
}

/* The frame that begins at a place: its size, 0 if it is not whole; and what it is, which stands in the queue's own bytes. */
static size_t measure_frame(const struct outbox *outbox, const struct dialect *dialect, size_t offset, struct incoming *ret)
{
        size_t at = offset - pieces_before(outbox, offset), header = 0, size = buffer_size(&outbox->bytes) - at;
        const char *bytes = (const char *)buffer_bytes(&outbox->bytes) + at;
        uint64_t payload = 0;

        /* A frame that goes with descriptors is a piece by itself; a large string never begins a frame. */
        for (const struct list *link = outbox->pieces.next; link != &outbox->pieces; link = link->next) {
                const struct outbox_piece *piece = container_of(link, const struct outbox_piece, link);

                if (piece->at == outbox->begin + offset) {
                        bytes = piece->bytes;
                        size = piece->size;
                }
        }
        if ((dialect->measure_sent ? dialect->measure_sent : dialect->framing->measure)(bytes, size, &header, &payload) <= 0 ||
            payload > outbox_size(outbox) - offset - header)
                return 0;
        (dialect->peek_sent ? dialect->peek_sent : dialect->peek)(bytes + header, size - header, ret);
        return header + (size_t)payload;
}

/* How much is left of the frame in whose middle the first @put bytes end. */
static size_t count_rest(const struct outbox *outbox, const struct dialect *dialect, size_t put)
{
        size_t end = outbox->frame_left, size;
        struct incoming what;

        if (put == outbox_size(outbox))
                return 0;
        while (end < put && (size = measure_frame(outbox, dialect, end, &what)) > 0)
                end += size;
        return end > put ? end - put : 0;
}

void outbox_taken(struct outbox *outbox, const struct dialect *dialect, size_t size, size_t put)
{
        if (outbox->is_telling_apart)
                outbox->frame_left = count_rest(outbox, dialect, put);
        if (dialect->has_whole_frames && put > 0) {
                if (outbox->frame_left == 0)
                        count_written(outbox, dialect, size);
                outbox->frame_left = size - put;
        }
        consume(outbox, put);
        skip_holes(outbox);
}

/* Queueing -------------------------------------------------------------------------------------------- */

void outbox_undo(struct outbox *outbox, size_t size)
{
        while (outbox->pieces_size > 0) {
                struct outbox_piece *last = container_of(outbox->pieces.previous, struct outbox_piece, link);

                if (last->at < outbox->begin + size)
                        break;
                drop_piece(outbox, last);
        }
        outbox->bytes.end = outbox->bytes.begin + size - outbox->pieces_size;
}

int outbox_add_piece(struct outbox *outbox, size_t offset, const struct lent *lent)
{
        struct outbox_piece *piece = sys_alloc(sizeof *piece + (lent->tree ? 0 : lent->size));

        if (!piece)
                return -ENOMEM;
        *piece = (struct outbox_piece){ .at = outbox->begin + outbox->pieces_size + offset, .bytes = lent->bytes, .size = lent->size,
                                        .tree = lent->tree };
        if (piece->tree)
                piece->tree->references++;
        list_append(&outbox->pieces, &piece->link);
        outbox->pieces_size += lent->size;
        return 0;
}

int outbox_add_attached(struct outbox *outbox, const void *bytes, size_t size, struct attached *attached)
{
        struct outbox_piece *piece = sys_alloc(sizeof *piece + size);

        if (!piece)
                return -ENOMEM;
        *piece = (struct outbox_piece){ .at = outbox->begin + outbox_size(outbox), .bytes = piece->own, .size = size, .is_kept = true,
                                        .attached = attached };
        memcpy(piece->own, bytes, size);
        attached->references++;
        list_append(&outbox->pieces, &piece->link);
        outbox->pieces_size += size;
        return 0;
}

void outbox_detach(struct outbox *outbox)
{
        struct outbox_piece *piece = first_piece(outbox);

        attached_unref(piece->attached);
        piece->attached = NULL;
}

void outbox_keep_lent(struct outbox *outbox)
{
        list_for_each(&outbox->pieces, link) {
                struct outbox_piece *piece = container_of(link, struct outbox_piece, link);

                if (piece->tree || piece->is_kept)
                        continue;
                memcpy(piece->own, piece->bytes, piece->size);
                piece->bytes = piece->own;
                piece->is_kept = true;
        }
}

void outbox_add_message(struct outbox *outbox)
{
        outbox->message_end = outbox->begin + outbox_size(outbox);
}

size_t outbox_count_lost(const struct outbox *outbox, size_t lost, bool has_requests)
{
        uint64_t end = outbox->message_end, begin = outbox->begin - (lost < outbox->begin ? lost : outbox->begin), size;

        if (has_requests && !list_is_empty(&outbox->requests)) {
                const struct outbox_frame *last = container_of(outbox->requests.previous, struct outbox_frame, link);

                end = last->end > end ? last->end : end;
        }
        if (end <= begin || (outbox_size(outbox) == 0 && lost == 0))
                return outbox->left_behind;
        size = end - begin;
        for (size_t i = 0; i < outbox->holes.count; i++)
                size -= outbox->holes.at[i].begin < end ? outbox->holes.at[i].size : 0;
        return (size_t)size + outbox->left_behind;
}

void outbox_add_request(struct outbox *outbox, struct outbox_frame *frame, size_t offset)
{
        frame->begin = outbox->begin + offset;
        frame->end = outbox->begin + outbox_size(outbox);
        list_append(&outbox->requests, &frame->link);
}

/* Go on to the end of a hole: pieces before it move by @moved, and their bytes are added to @passed; those in it go. How many bytes
 * these have. */
static size_t pass_pieces(struct outbox *outbox, struct list **next, const struct hole *hole, uint64_t moved, size_t *passed)
{
        size_t inside = 0;

        while (*next != &outbox->pieces) {
                struct outbox_piece *piece = container_of(*next, struct outbox_piece, link);

                if (piece->at >= hole->begin + hole->size)
                        break;
                *next = piece->link.next;
                if (piece->at >= hole->begin) {
                        inside += piece->size;
                        drop_piece(outbox, piece);
                } else {
                        piece->at -= moved;
                        *passed += piece->size;
                }
        }
        return inside;
}

/* Close holes, which are in their order: what stands behind them moves to the front, once for all of them. */
static void close_up(struct outbox *outbox, const struct hole *at, size_t count, uint64_t size)
{
        unsigned char *bytes = buffer_bytes(&outbox->bytes);
        struct list *next = outbox->pieces.next;
        uint64_t left = size, before_end = 0, moved = 0;
        size_t kept = 0, seen = 0, passed = 0, last = count, end;

        /* Holes are in bytes that are queued, so there is memory. */
        if (count == 0 || !bytes)
                return;
        end = buffer_size(&outbox->bytes);
        for (size_t i = 0; i < count; i++) {
                size_t inside = pass_pieces(outbox, &next, &at[i], moved, &passed);
                size_t begin = (size_t)(at[i].begin - outbox->begin) - passed;

                before_end += at[i].begin < outbox->message_end ? at[i].size : 0;
                memmove(bytes + kept, bytes + seen, begin - seen);
                kept += begin - seen;
                seen = begin + (size_t)at[i].size - inside;
                passed += inside;
                moved += at[i].size;
        }
        for (struct list *link = next; link != &outbox->pieces; link = link->next)
                container_of(link, struct outbox_piece, link)->at -= moved;
        memmove(bytes + kept, bytes + seen, end - seen);
        outbox->bytes.end -= seen - kept;
        outbox->message_end -= before_end;
        /* From the last request back to those of which something was sent. */
        for (struct list *link = outbox->requests.previous; link != &outbox->requests; link = link->previous) {
                struct outbox_frame *frame = container_of(link, struct outbox_frame, link);

                if (frame->end <= outbox->begin)
                        break;
                while (last > 0 && at[last - 1].begin > frame->begin)
                        left -= at[--last].size;
                frame->begin -= left;
                frame->end -= left;
        }
}

static void close_holes(struct outbox *outbox)
{
        struct holes *holes = &outbox->holes;

        holes_sort(holes);
        close_up(outbox, holes->at, holes->count, holes->size);
        holes_clear(holes);
}

void outbox_jump_queue(struct outbox *outbox, size_t offset)
{
        size_t size = outbox_size(outbox) - offset;
        uint64_t end;

        if (outbox->gate == OUTBOX_OPEN || outbox->gate == OUTBOX_SHUT || outbox->gate == OUTBOX_LOGIN)
                return;
        close_holes(outbox);
        offset = outbox_size(outbox) - size;
        end = limit(outbox);
        /* Until the other side has begun, only this can be said to it. */
        if (outbox->gate == OUTBOX_GREETING)
                outbox->greeting_end += size;
        if (end >= outbox->begin + offset)
                return;
        buffer_move_last(&outbox->bytes, end > outbox->begin ? (size_t)(end - outbox->begin) : 0, size);
        outbox->message_end += outbox->message_end > end ? size : 0;
        list_for_each(&outbox->requests, link) {
                struct outbox_frame *frame = container_of(link, struct outbox_frame, link);

                if (frame->begin >= end) {
                        frame->begin += size;
                        frame->end += size;
                }
        }
}

/* Taking back ----------------------------------------------------------------------------------------- */

void outbox_forget(struct outbox_frame *frame)
{
        list_remove(&frame->link);
        frame->begin = frame->end = frame->number = 0;
}

static void take_back(struct outbox *outbox, struct outbox_frame *frame)
{
        /* Where there is no memory to remember a hole, it is closed at once. */
        if (holes_add(&outbox->holes, frame->begin, frame->end - frame->begin) < 0) {
                struct hole hole;

                close_holes(outbox);
                hole = (struct hole){ frame->begin, frame->end - frame->begin };
                close_up(outbox, &hole, 1, hole.size);
        }
        outbox_forget(frame);
}

void outbox_withdraw(struct outbox *outbox, struct outbox_frame *frame)
{
        take_back(outbox, frame);
        skip_holes(outbox);
        if (outbox->holes.size > outbox_size(outbox) / 2)
                close_holes(outbox);
}

void outbox_withdraw_all(struct outbox *outbox)
{
        list_for_each(&outbox->requests, link) {
                struct outbox_frame *frame = container_of(link, struct outbox_frame, link);

                if (frame->begin >= outbox->begin)
                        take_back(outbox, frame);
        }
        skip_holes(outbox);
        close_holes(outbox);
}

size_t outbox_withdraw_larger(struct outbox *outbox, const struct dialect *dialect, size_t most, struct list *ret_requests)
{
        size_t at = outbox->greeting_end > outbox->begin ? (size_t)(outbox->greeting_end - outbox->begin) : 0, size, count = 0;
        struct list *link = outbox->requests.next;
        struct incoming what;

        close_holes(outbox);
        while (at < outbox_size(outbox) && (size = measure_frame(outbox, dialect, at, &what)) > 0) {
                struct outbox_frame other = { .begin = outbox->begin + at, .end = outbox->begin + at + size }, *frame = &other;
                size_t before = outbox_size(outbox);

                while (link != &outbox->requests && container_of(link, struct outbox_frame, link)->begin < other.begin)
                        link = link->next;
                at += size;
                if (what.body_size <= most)
                        continue;
                if (link != &outbox->requests && container_of(link, struct outbox_frame, link)->begin == other.begin) {
                        frame = container_of(link, struct outbox_frame, link);
                        link = link->next;
                } else {
                        /* In its place among the requests, so that it moves as they do. */
                        list_append(link, &other.link);
                        count++;
                }
                take_back(outbox, frame);
                if (frame != &other)
                        list_append(ret_requests, &frame->link);
                at -= before - outbox_size(outbox);
        }
        close_holes(outbox);
        return count;
}

struct outbox_frame *outbox_first_request(const struct outbox *outbox)
{
        return list_first(&outbox->requests, struct outbox_frame, link);
}

void outbox_end_greeting(struct outbox *outbox)
{
        outbox->greeting_end = outbox->begin + outbox_size(outbox);
}

void outbox_prepend(struct outbox *outbox, size_t size)
{
        if (size == outbox_size(outbox))
                return;
        buffer_move_last(&outbox->bytes, 0, size);
        outbox->message_end += outbox->message_end > outbox->begin ? size : 0;
        list_for_each(&outbox->pieces, link)
                container_of(link, struct outbox_piece, link)->at += size;
        list_for_each(&outbox->requests, link) {
                struct outbox_frame *frame = container_of(link, struct outbox_frame, link);

                frame->begin += size;
                frame->end += size;
        }
        for (size_t i = 0; i < outbox->holes.count; i++)
                outbox->holes.at[i].begin += size;
}

void outbox_begin_again(struct outbox *outbox, size_t size)
{
        size_t before = outbox_size(outbox) - size;
        size_t left = outbox->greeting_end > outbox->begin ? (size_t)(outbox->greeting_end - outbox->begin) : 0;

        consume(outbox, left < before ? left : before);
        skip_holes(outbox);
        outbox->frame_left = 0;
        outbox_prepend(outbox, size);
        outbox->greeting_end = outbox->begin + size;
}

static void move_list(struct list *list, struct list *from)
{
        list_init(list);
        while (!list_is_empty(from)) {
                struct list *first = from->next;

                list_remove(first);
                list_append(list, first);
        }
}

void outbox_move(struct outbox *outbox, struct outbox *from)
{
        *outbox = *from;
        move_list(&outbox->requests, &from->requests);
        move_list(&outbox->pieces, &from->pieces);
        *from = (struct outbox){ .gate = outbox->gate, .is_telling_apart = outbox->is_telling_apart };
        outbox_init(from);
}

/* Append some bytes of another queue, with those of its pieces. */
static int copy_bytes(struct outbox *outbox, struct outbox *from, size_t offset, size_t size)
{
        const size_t end = offset + size;
        const struct list *link = from->pieces.next;
        int code = 0;

        while (offset < end && !code) {
                const struct outbox_piece *piece;
                size_t at, length = end - offset;

                /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a list goes round */
                while (link != &from->pieces && container_of(link, struct outbox_piece, link)->at < from->begin + offset)
                        link = link->next;
                piece = link == &from->pieces ? NULL : container_of(link, const struct outbox_piece, link);
                at = piece ? (size_t)(piece->at - from->begin) : SIZE_MAX;
                if (piece && at == offset) {
                        length = piece->size;
                        code = buffer_append(&outbox->bytes, piece->bytes, length);
                } else {
                        length = at - offset < length ? at - offset : length;
                        code = buffer_append(&outbox->bytes, buffer_bytes(&from->bytes) + offset - pieces_before(from, offset), length);
                }
                offset += length;
        }
        return code;
}

int outbox_copy_notifications(struct outbox *outbox, struct outbox *from, const struct dialect *dialect)
{
        size_t at = from->frame_left, size, before = outbox_size(outbox), announced = 0, left = 0;
        struct incoming what;
        int code = 0;

        while (!code && at < outbox_size(from) && (size = measure_frame(from, dialect, at, &what)) > 0) {
                /* One with descriptors is not what it was without them. */
                if (what.kind == WIRE_NOTIFICATION && announced == 0)
                        code = copy_bytes(outbox, from, at, size);
                else if (what.kind == WIRE_NOTIFICATION)
                        left += announced + size;
                announced = what.kind == WIRE_DESCRIPTORS ? size : 0;
                at += size;
        }
        if (code) {
                outbox_undo(outbox, before);
                return code;
        }
        if (outbox_size(outbox) > before)
                outbox_add_message(outbox);
        if (from->message_end > from->begin + from->frame_left)
                from->message_end = from->begin + from->frame_left;
        from->left_behind = left;
        return 0;
}

void outbox_cut(struct outbox *outbox)
{
        outbox_undo(outbox, outbox->greeting_end > outbox->begin ? (size_t)(outbox->greeting_end - outbox->begin) :
                                                                   outbox->frame_left);
        if (outbox->message_end > outbox->begin + outbox_size(outbox))
                outbox_add_message(outbox);
        holes_clear(&outbox->holes);
}

void outbox_drop(struct outbox *outbox)
{
        consume(outbox, outbox_size(outbox));
        holes_clear(&outbox->holes);
}
