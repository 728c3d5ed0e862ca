/* How the fields of a segment are read, written and checked, for segment.c and repair.c. */
#pragma once

#include "channel/segment.h"

#include <errno.h>
#include <string.h>

/* A unit test that includes the source counts the stores here, and stops at each. */
#ifndef SEGMENT_STORED
#define SEGMENT_STORED() ((void)0)
#endif

enum {
        AT_START = 8,
        AT_END = AT_START + SEGMENT_UNIT,
        AT_FREE = AT_END + SEGMENT_UNIT,
        AT_TOTAL = AT_FREE + SEGMENT_UNIT,
        CHUNK_KEY = 0,
        CHUNK_LENGTH = CHUNK_KEY + SEGMENT_UNIT,
        CHUNK_NEXT = CHUNK_LENGTH + SEGMENT_UNIT,
        /* PHP's struct of these and of one byte, padded. */
        CHUNK_PADDED = 4 * SEGMENT_UNIT,
};

#define SEGMENT_INTEGER_MIN (SEGMENT_UNIT == 8 ? INT64_MIN : INT32_MIN)
#define SEGMENT_INTEGER_MAX (SEGMENT_UNIT == 8 ? INT64_MAX : INT32_MAX)

/* The header, as it was read once. */
struct segment_layout {
        size_t start;
        size_t end;
        size_t free;
        size_t total;
};

static inline int64_t segment_load(const struct segment *segment, size_t offset)
{
        return __atomic_load_n((const segment_integer *)(const void *)(segment->memory + offset), __ATOMIC_RELAXED);
}

/* A kill interrupts between two instructions, so their order is all that matters. The compiler keeps it. */
static inline void segment_store(const struct segment *segment, size_t offset, int64_t value)
{
        __atomic_store_n((segment_integer *)(void *)(segment->memory + offset), (segment_integer)value, __ATOMIC_RELEASE);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        SEGMENT_STORED();
}

/* Copies whole integers, to a place that does not overlap. */
static inline void segment_copy(const struct segment *segment, size_t target, size_t source, size_t size)
{
        for (size_t i = 0; i < size; i += SEGMENT_UNIT) {
                memcpy(segment->memory + target + i, segment->memory + source + i, SEGMENT_UNIT);
                SEGMENT_STORED();
        }
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The room that PHP gives to a value of @length bytes; 0 if that is not a size. */
static inline size_t chunk_size(size_t length)
{
        return length > SIZE_MAX / 2 ? 0 : (length + CHUNK_PADDED - 1) / SEGMENT_UNIT * SEGMENT_UNIT + SEGMENT_UNIT;
}

/* The room that a variable keeps when unused bytes behind it are taken away. */
static inline size_t chunk_kept(const struct segment_chunk *chunk)
{
        size_t size = chunk_size(chunk->length);

        return size < chunk->next ? size : chunk->next;
}

/* Reads the variable at @offset. Whether it is whole, and ends at @bound at the latest. */
static inline bool chunk_read(const struct segment *segment, size_t offset, size_t bound, struct segment_chunk *ret_chunk)
{
        int64_t length, next;

        if (offset % SEGMENT_UNIT != 0 || offset > bound || bound - offset < SEGMENT_CHUNK)
                return false;
        length = segment_load(segment, offset + CHUNK_LENGTH);
        next = segment_load(segment, offset + CHUNK_NEXT);
        if (next < SEGMENT_CHUNK || next % SEGMENT_UNIT != 0 || (uint64_t)next > bound - offset || length < 0 ||
            length > next - SEGMENT_CHUNK)
                return false;
        *ret_chunk = (struct segment_chunk){ .offset = offset, .key = segment_load(segment, offset + CHUNK_KEY),
                                             .length = (size_t)length, .next = (size_t)next };
        return true;
}

/* What leads to a variable: the variable before it, or the header (offset 0). */
static inline void segment_link(const struct segment *segment, size_t holder, size_t target)
{
        segment_store(segment, holder == 0 ? AT_START : holder + CHUNK_NEXT, (int64_t)(target - holder));
}

/* A variable that is moved down by less than its size is moved in pieces of that distance, which do not overlap; meanwhile the
 * field `free` is negative and says how far that has come. So segment_repair() can finish it. */
enum segment_phase {
        SEGMENT_WHOLE,          /* `free` is no mark */
        SEGMENT_MOVING,         /* the variable is not linked; @moved of its bytes stand at its new place */
        SEGMENT_MOVED,          /* it stands at @target, and is perhaps not linked */
};

struct segment_mark {
        enum segment_phase phase;
        size_t distance;
        size_t moved;
        size_t target;
};

/* A mark of moving is the opposite of: one set bit below the sign; the number N of bits of the distance, in SEGMENT_MARK_BITS
 * bits; and in the rest the pieces that stand at the new place, above the N bits of the distance. The distance is counted in
 * integers. The product of both is at most the size of the variable, so that they always fit where the segment is smaller than
 * SEGMENT_MARK_MAX. Larger segments are not compacted where variables overlap. */
enum {
        SEGMENT_MARK_BITS = SEGMENT_UNIT == 8 ? 6 : 5,
        SEGMENT_MARK_REST = SEGMENT_UNIT * 8 - 2 - SEGMENT_MARK_BITS,
};
#define SEGMENT_MARK_MOVING ((int64_t)1 << (SEGMENT_UNIT * 8 - 2))
#define SEGMENT_MARK_MAX ((uint64_t)SEGMENT_UNIT << (SEGMENT_MARK_REST - 1))

struct segment_mark segment_read_mark(int64_t free);

/* Moves a variable from @target + @distance to @target. @moved of its @size bytes are there already, and @holder leads to
 * @behind, which follows the variable. */
void segment_finish_move(const struct segment *segment, size_t holder, const struct segment_mark *mark, size_t size, size_t behind);

/* Whether the memory begins with zeros only. */
bool segment_is_fresh(const struct segment *segment);
