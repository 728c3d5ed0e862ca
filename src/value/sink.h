/* How the built-in codecs write. */
#pragma once

#include "value/codec.h"
#include "value/digits.h"

/* They write in the room of a sink: @at is behind what they have written, NULL at first and after an error. Take what
 * stands before it, and find room for @size bytes more, somewhat beyond the limit, too. NULL with the error set. */
char *sink_more(ferry_sink *sink, char *at, size_t size);
/* The end, in any case: what is before @at is taken. */
void sink_take(ferry_sink *sink, const char *at);

static inline char *sink_room(ferry_sink *sink, char *at, size_t size)
{
        /* It may be behind the end already: that is where the limit was. */
        return at && sink->end - at >= (ptrdiff_t)size ? at : sink_more(sink, at, size);
}

/* Leave out the bytes of a large string, and go on behind them; NULL with the error set. */
char *sink_lend(ferry_sink *sink, char *at, const ferry_value *string);

static inline bool sink_may_lend(const ferry_sink *sink, size_t size)
{
        return size >= LENT_MIN && sink->lent && !sink->lent->bytes;
}

/* As memcpy(), for bytes of which there are few mostly: without a call, and two moves that overlap instead of a loop. */
static inline char *put_bytes(char *at, const char *bytes, size_t size)
{
        uint64_t first, last;
        uint32_t first_half, last_half;

        if (size > 16 || size < 4) {
                if (size > 16)
                        memcpy(at, bytes, size);
                else
                        for (size_t i = 0; i < size; i++)
                                at[i] = bytes[i];
        } else if (size >= 8) {
                memcpy(&first, bytes, 8);
                memcpy(&last, bytes + size - 8, 8);
                memcpy(at, &first, 8);
                memcpy(at + size - 8, &last, 8);
        } else {
                memcpy(&first_half, bytes, 4);
                memcpy(&last_half, bytes + size - 4, 4);
                memcpy(at, &first_half, 4);
                memcpy(at + size - 4, &last_half, 4);
        }
        return at + size;
}
