/* What the encode of a codec writes to: a buffer with a limit. Invariant: the first error stays. */
#include "value/codec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sink_fail(ferry_sink *sink, int error, const char *format, ...)
{
        va_list arguments;

        if (sink->error)
                return;
        sink->error = error;
        va_start(arguments, format);
        vsnprintf(sink->reason, sizeof sink->reason, format, arguments);
        va_end(arguments);
}

enum { RESERVE_BEYOND_LIMIT = 128 };

char *sink_reserve(ferry_sink *sink, size_t size)
{
        char *room;

        if (sink->error)
                return NULL;
        if (size > RESERVE_BEYOND_LIMIT && size - RESERVE_BEYOND_LIMIT > sink->limit - buffer_size(sink->buffer)) {
                sink_fail(sink, -EMSGSIZE, "it is over the limit");
                return NULL;
        }
        room = buffer_reserve(sink->buffer, size);
        if (!room)
                sink_fail(sink, -ENOMEM, "no memory");
        return room;
}

void sink_take(ferry_sink *sink, const char *end)
{
        size_t size = (size_t)(end - (char *)sink->buffer->memory) - sink->buffer->end;

        if (size > sink->limit - buffer_size(sink->buffer))
                sink_fail(sink, -EMSGSIZE, "it is over the limit");
        else
                sink->buffer->end += size;
}

void ferry_sink_write(ferry_sink *sink, const void *bytes, size_t size)
{
        char *room = sink_reserve(sink, size);

        if (!room || size == 0)
                return;
        memcpy(room, bytes, size);
        sink_take(sink, room + size);
}
