#include "session/outbox.h"

#include <string.h>

void outbox_init(struct outbox *outbox)
{
        list_init(&outbox->requests);
}

void outbox_deinit(struct outbox *outbox)
{
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

/* What was taken back and stands at the front is passed over. */
static void skip_holes(struct outbox *outbox)
{
        struct holes *holes = &outbox->holes;

        while (holes->count > 0 && holes->at[0].begin == outbox->begin) {
                buffer_consume(&outbox->bytes, (size_t)holes->at[0].size);
                outbox->begin += holes->at[0].size;
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

void outbox_taken(struct outbox *outbox, const struct dialect *dialect, size_t size, size_t put)
{
        if (dialect->has_whole_frames && put > 0) {
                if (outbox->frame_left == 0)
                        count_written(outbox, dialect, size);
                outbox->frame_left = size - put;
        }
        buffer_consume(&outbox->bytes, put);
        outbox->begin += put;
        skip_holes(outbox);
}

/* Queueing -------------------------------------------------------------------------------------------- */

void outbox_undo(struct outbox *outbox, size_t size)
{
        outbox->bytes.end = outbox->bytes.begin + size;
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
                return 0;
        size = end - begin;
        for (size_t i = 0; i < outbox->holes.count; i++)
                size -= outbox->holes.at[i].begin < end ? outbox->holes.at[i].size : 0;
        return (size_t)size;
}

void outbox_add_request(struct outbox *outbox, struct outbox_frame *frame, size_t offset)
{
        frame->begin = outbox->begin + offset;
        frame->end = outbox->begin + outbox_size(outbox);
        list_append(&outbox->requests, &frame->link);
}

/* Close the holes: what stands behind them moves to the front, once for all of them. */
static void close_holes(struct outbox *outbox)
{
        struct holes *holes = &outbox->holes;
        unsigned char *bytes;
        uint64_t left = holes->size, before_end = 0;
        size_t kept = 0, seen = 0, last = holes->count;

        if (holes->count == 0)
                return;
        /* Holes are in bytes that are queued, so there is memory. */
        bytes = outbox->bytes.memory + outbox->bytes.begin;
        holes_sort(holes);
        for (size_t i = 0; i < holes->count; i++) {
                size_t begin = (size_t)(holes->at[i].begin - outbox->begin);

                before_end += holes->at[i].begin < outbox->message_end ? holes->at[i].size : 0;
                memmove(bytes + kept, bytes + seen, begin - seen);
                kept += begin - seen;
                seen = begin + (size_t)holes->at[i].size;
        }
        memmove(bytes + kept, bytes + seen, outbox_size(outbox) - seen);
        outbox->bytes.end -= (size_t)holes->size;
        outbox->message_end -= before_end;
        /* From the last request back to those of which something was sent. */
        for (struct list *link = outbox->requests.previous; link != &outbox->requests; link = link->previous) {
                struct outbox_frame *frame = container_of(link, struct outbox_frame, link);

                if (frame->end <= outbox->begin)
                        break;
                while (last > 0 && holes->at[last - 1].begin > frame->begin)
                        left -= holes->at[--last].size;
                frame->begin -= left;
                frame->end -= left;
        }
        holes_clear(holes);
}

void outbox_jump_queue(struct outbox *outbox, size_t offset)
{
        size_t size = outbox_size(outbox) - offset;
        uint64_t end;

        if (outbox->gate == OUTBOX_OPEN || outbox->gate == OUTBOX_SHUT)
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

/* Where there is no memory to remember a hole, it is closed at once. */
static void close_up(struct outbox *outbox, const struct outbox_frame *frame)
{
        uint64_t size = frame->end - frame->begin;
        unsigned char *at;

        close_holes(outbox);
        at = buffer_bytes(&outbox->bytes) + (frame->begin - outbox->begin);
        memmove(at, at + size, outbox_size(outbox) - (size_t)(frame->end - outbox->begin));
        outbox->bytes.end -= (size_t)size;
        outbox->message_end -= outbox->message_end > frame->begin ? size : 0;
        for (struct list *link = frame->link.next; link != &outbox->requests; link = link->next) {
                struct outbox_frame *behind = container_of(link, struct outbox_frame, link);

                behind->begin -= size;
                behind->end -= size;
        }
}

void outbox_forget(struct outbox_frame *frame)
{
        list_remove(&frame->link);
        frame->begin = frame->end = frame->number = 0;
}

static void take_back(struct outbox *outbox, struct outbox_frame *frame)
{
        if (holes_add(&outbox->holes, frame->begin, frame->end - frame->begin) < 0)
                close_up(outbox, frame);
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

struct outbox_frame *outbox_first_request(const struct outbox *outbox)
{
        return list_first(&outbox->requests, struct outbox_frame, link);
}

void outbox_end_greeting(struct outbox *outbox)
{
        outbox->greeting_end = outbox->begin + outbox_size(outbox);
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
        outbox->begin += outbox_size(outbox);
        buffer_consume(&outbox->bytes, outbox_size(outbox));
        holes_clear(&outbox->holes);
}
