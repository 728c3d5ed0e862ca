/* Repair of a segment. First an interrupted move is finished, by its mark (chunk.h), so a process that was killed in the
 * middle of a change costs nothing. Then the chain is walked; what is not whole there was damaged by a program that did not
 * hold the lock. Invariant: whatever the bytes are, nothing outside of the segment is touched, and a repair that succeeds
 * leaves a segment that is whole. A repair that is interrupted can be repeated: `free` is set last. */
#include "channel/chunk.h"

enum { SEARCH_STEPS = 1 << 24 };        /* after so many looks at bytes, the rest is given up */

struct repair {
        const struct segment *segment;
        segment_loss_fn *fn;
        void *object;
        size_t start;
        size_t end;
        size_t total;
        bool is_end_known;
        size_t steps;
};

static int report(const struct repair *repair, const struct segment_loss *loss)
{
        return repair->fn ? repair->fn(loss, repair->object) : 0;
}

/* The header, as far as it can be believed. */
static void read_fields(struct repair *repair)
{
        const struct segment *segment = repair->segment;
        int64_t start = segment_load(segment, AT_START), end = segment_load(segment, AT_END);
        int64_t total = segment_load(segment, AT_TOTAL);
        bool is_end_possible = end >= SEGMENT_HEADER && (uint64_t)end <= segment->size && end % SEGMENT_UNIT == 0;

        if (total < SEGMENT_HEADER || (uint64_t)total > segment->size || (is_end_possible && total < end))
                total = (int64_t)segment->size;
        repair->total = (size_t)total;
        repair->is_end_known = is_end_possible;
        repair->end = is_end_possible ? (size_t)end : repair->total / SEGMENT_UNIT * SEGMENT_UNIT;
        repair->start = start < SEGMENT_HEADER || (uint64_t)start > repair->end || start % SEGMENT_UNIT != 0 ?
                                SEGMENT_HEADER : (size_t)start;
}

/* Interrupted moves ------------------------------------------------------------------------------------ */

/* Finds the first place with unused bytes: what leads over it, where it begins, and what is behind it. */
static bool find_unused(const struct repair *repair, size_t *ret_holder, size_t *ret_target, size_t *ret_behind)
{
        struct segment_chunk chunk;

        *ret_holder = 0;
        *ret_target = SEGMENT_HEADER;
        *ret_behind = repair->start;
        if (repair->start > SEGMENT_HEADER)
                return true;
        for (size_t at = repair->start; at < repair->end; at += chunk.next) {
                if (!chunk_read(repair->segment, at, repair->end, &chunk))
                        return false;
                if (chunk.next > chunk_kept(&chunk)) {
                        *ret_holder = at;
                        *ret_target = at + chunk_kept(&chunk);
                        *ret_behind = at + chunk.next;
                        return true;
                }
        }
        return false;
}

/* The variable is not in the chain, and its bytes stand in two places. */
static int finish_moving(struct repair *repair, struct segment_mark *mark)
{
        size_t holder, behind, from, room, size;
        int64_t length;

        if (!find_unused(repair, &holder, &mark->target, &behind) || behind == mark->target + mark->distance)
                return 0;
        from = mark->target + mark->distance;
        room = from < behind && mark->distance > 0 ? behind - from : 0;
        if (room >= SEGMENT_CHUNK) {
                length = segment_load(repair->segment, (mark->moved > CHUNK_LENGTH ? mark->target : from) + CHUNK_LENGTH);
                size = length < 0 ? 0 : chunk_size((size_t)length);
                if (size > room)
                        size = room;
                if (length >= 0 && size >= SEGMENT_CHUNK && (uint64_t)length <= size - SEGMENT_CHUNK && mark->moved <= size) {
                        segment_finish_move(repair->segment, holder, mark, size, behind);
                        return 0;
                }
        }
        return report(repair, &(struct segment_loss){ .offset = mark->target, .size = behind - mark->target,
                                                      .reason = "a variable that was moved has been overwritten" });
}

/* The variable is whole at its new place; what should lead to it leads there already, or to what is behind it. */
static void link_moved(struct repair *repair, size_t target)
{
        struct segment_chunk chunk, moved;
        size_t holder = 0, behind = repair->start;

        for (size_t at = repair->start; at <= target && at < repair->end; at = behind) {
                if (at == target || !chunk_read(repair->segment, at, repair->end, &chunk))
                        return;
                holder = at;
                behind = at + chunk.next;
        }
        if (holder == 0 ? target == SEGMENT_HEADER : target == holder + chunk_kept(&chunk))
                if (chunk_read(repair->segment, target, repair->end, &moved) && target + moved.next == behind)
                        segment_link(repair->segment, holder, target);
}

static int finish_change(struct repair *repair)
{
        struct segment_mark mark = segment_read_mark(segment_load(repair->segment, AT_FREE));
        int64_t start;
        int code = 0;

        if (!repair->is_end_known)
                return 0;
        if (mark.phase == SEGMENT_MOVING)
                code = finish_moving(repair, &mark);
        else if (mark.phase == SEGMENT_MOVED)
                link_moved(repair, mark.target);
        start = segment_load(repair->segment, AT_START);
        if (start >= SEGMENT_HEADER && (uint64_t)start <= repair->end && start % SEGMENT_UNIT == 0)
                repair->start = (size_t)start;
        return code;
}

/* What is not whole ------------------------------------------------------------------------------------ */

/* Whether a variable, or the end, is there. */
static bool is_followed(const struct repair *repair, size_t at)
{
        struct segment_chunk chunk;

        return at == repair->end || chunk_read(repair->segment, at, repair->end, &chunk);
}

/* Whether variables without unused bytes between them stand from there up to the very end. */
static bool is_chain(struct repair *repair, size_t at)
{
        struct segment_chunk chunk;

        while (at < repair->end && repair->steps > 0) {
                repair->steps--;
                if (!chunk_read(repair->segment, at, repair->end, &chunk) || chunk.next != chunk_size(chunk.length))
                        return false;
                at += chunk.next;
        }
        return at == repair->end;
}

/* Looks for the next variable that can be believed; the end if there is none. */
static size_t find_chain(struct repair *repair, size_t at)
{
        for (at += SEGMENT_UNIT; at < repair->end && repair->steps > 0; at += SEGMENT_UNIT)
                if (is_chain(repair, at))
                        return at;
        return repair->end;
}

/* Corrects the distance to the following variable where the length shows what it must be. */
static bool correct_next(const struct repair *repair, size_t at)
{
        size_t room = repair->end - at, size;
        int64_t length = room < SEGMENT_CHUNK ? -1 : segment_load(repair->segment, at + CHUNK_LENGTH);

        if (!repair->is_end_known || length < 0 || (uint64_t)length > room - SEGMENT_CHUNK)
                return false;
        size = chunk_size((size_t)length);
        if (size > room)
                size = room;
        if (!is_followed(repair, at + size))
                return false;
        segment_store(repair->segment, at + CHUNK_NEXT, (int64_t)size);
        return true;
}

/* Drops what is at @at, and says where the chain goes on. */
static int drop(struct repair *repair, size_t at, size_t *ret_behind)
{
        struct segment_loss loss = { .offset = at, .reason = "its header is not that of a variable" };
        size_t room = repair->end - at;
        int64_t next = room < SEGMENT_CHUNK ? 0 : segment_load(repair->segment, at + CHUNK_NEXT);

        if (next >= SEGMENT_CHUNK && next % SEGMENT_UNIT == 0 && (uint64_t)next <= room && is_followed(repair, at + (size_t)next)) {
                loss.size = (size_t)next;
                loss.key = segment_load(repair->segment, at + CHUNK_KEY);
                loss.has_key = true;
                loss.reason = "it has a length for which there is no room";
        } else
                loss.size = repair->is_end_known ? find_chain(repair, at) - at : room;
        *ret_behind = at + loss.size;
        /* Where the end is not known, zeros are most probably behind it. */
        if (!repair->is_end_known && next == 0)
                return 0;
        return report(repair, &loss);
}

/* The same for the variable before, whose distance may be wrong although it is possible. */
static bool correct_previous(const struct repair *repair, size_t holder, const struct segment_chunk *chunk)
{
        return holder > 0 && chunk->next != chunk_size(chunk->length) && correct_next(repair, holder);
}

static int walk(struct repair *repair)
{
        struct segment_chunk chunk = { 0 };
        size_t holder = 0, at = repair->start, behind;
        int code;

        while (at < repair->end) {
                if (chunk_read(repair->segment, at, repair->end, &chunk)) {
                        holder = at;
                        at += chunk.next;
                } else if (correct_previous(repair, holder, &chunk)) {
                        at = holder;
                } else if (!correct_next(repair, at)) {
                        code = drop(repair, at, &behind);
                        if (code)
                                return code;
                        if (behind == repair->end) {
                                repair->end = at;
                                return 0;
                        }
                        segment_link(repair->segment, holder, behind);
                        if (holder == 0)
                                repair->start = behind;
                        at = behind;
                }
        }
        return 0;
}

int segment_repair(const struct segment *segment, segment_loss_fn *fn, void *object)
{
        struct repair repair = { .segment = segment, .fn = fn, .object = object, .steps = SEARCH_STEPS };
        int code;

        if (segment_check(segment, NULL) == 0)
                return 0;
        if (!segment_has_magic(segment) || segment_is_foreign(segment))
                return -EBADMSG;
        read_fields(&repair);
        code = finish_change(&repair);
        if (!code)
                code = walk(&repair);
        if (code)
                return code;
        segment_store(segment, AT_TOTAL, (int64_t)repair.total);
        segment_store(segment, AT_START, (int64_t)repair.start);
        segment_store(segment, AT_END, (int64_t)repair.end);
        segment_store(segment, AT_FREE, (int64_t)(repair.total - repair.end));
        return segment_check(segment, NULL);
}
