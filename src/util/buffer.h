/* Bytes in a row: written at the end, taken from the front. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
        unsigned char *memory;
        size_t begin;           /* of what is in it */
        size_t end;
        size_t capacity;
};

void buffer_deinit(struct buffer *buffer);

static inline size_t buffer_size(const struct buffer *buffer)
{
        return buffer->end - buffer->begin;
}

static inline unsigned char *buffer_bytes(const struct buffer *buffer)
{
        /* Adding to NULL is undefined, even 0. */
        return buffer->memory ? buffer->memory + buffer->begin : NULL;
}

/* Make room for @size bytes behind the end; NULL if memory is out. What is in it may move. */
void *buffer_reserve_slowly(struct buffer *buffer, size_t size);

static inline void *buffer_reserve(struct buffer *buffer, size_t size)
{
        /* An empty one has no place to point to, even for nothing. */
        if (buffer->memory && size <= buffer->capacity - buffer->end)
                return buffer->memory + buffer->end;
        return buffer_reserve_slowly(buffer, size);
}

/* 0 or -ENOMEM. */
int buffer_append(struct buffer *buffer, const void *bytes, size_t size);

/* Take bytes from the front. */
static inline void buffer_consume(struct buffer *buffer, size_t size)
{
        buffer->begin += size;
        if (buffer->begin == buffer->end)
                buffer->begin = buffer->end = 0;
}

/* Move the last @size bytes to @offset from the front. */
void buffer_move_last(struct buffer *buffer, size_t offset, size_t size);

/* Give back the memory of an empty buffer that has grown beyond @keep. */
void buffer_shrink(struct buffer *buffer, size_t keep);
