/* What the encode of a codec writes to: a buffer with a limit. Invariant: the first error stays. */
#include "value/sink.h"

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

static char *reserve(ferry_sink *sink, size_t size)
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

void sink_take(ferry_sink *sink, const char *at)
{
        size_t size = at ? (size_t)(at - (char *)sink->buffer->memory) - sink->buffer->end : 0;

        if (size > sink->limit - buffer_size(sink->buffer))
                sink_fail(sink, -EMSGSIZE, "it is over the limit");
        else
                sink->buffer->end += size;
}

char *sink_more(ferry_sink *sink, char *at, size_t size)
{
        size_t room, allowed;

        sink_take(sink, at);
        at = reserve(sink, size);
        if (!at)
                return NULL;
        room = sink->buffer->capacity - sink->buffer->end;
        allowed = sink->limit - buffer_size(sink->buffer);
        sink->end = at + (room < allowed ? room : allowed);
        return at;
}

char *sink_lend(ferry_sink *sink, char *at, const ferry_value *string)
{
        struct lent *lent = sink->lent;
        bool is_held = string->arena && !string->arena->is_lent;

        sink_take(sink, at);
        if (!sink->error && string->size > sink->limit - buffer_size(sink->buffer))
                sink_fail(sink, -EMSGSIZE, "it is over the limit");
        if (sink->error)
                return NULL;
        sink->limit -= string->size;
        *lent = (struct lent){ .offset = buffer_size(sink->buffer), .bytes = string->bytes, .size = string->size,
                               .tree = is_held ? string->arena : NULL };
        return sink_more(sink, NULL, 0);
}

void ferry_sink_write(ferry_sink *sink, const void *bytes, size_t size)
{
        char *room = reserve(sink, size);

        if (!room || size == 0)
                return;
        memcpy(room, bytes, size);
        sink_take(sink, room + size);
}
