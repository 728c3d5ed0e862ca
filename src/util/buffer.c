/* A growing array of bytes whose front can be taken. Invariant: begin <= end <= capacity. Bytes move only
 * in buffer_reserve_slowly(), and each at most a constant number of times: they are shifted only when at least half
 * of the memory is free in front of them. */
#include "util/buffer.h"

#include "util/sys.h"

#include <errno.h>
#include <string.h>

enum { CAPACITY_MIN = 256 };

void buffer_deinit(struct buffer *buffer)
{
        sys_free(buffer->memory);
        *buffer = (struct buffer){ 0 };
}

void *buffer_reserve_slowly(struct buffer *buffer, size_t size)
{
        size_t used = buffer_size(buffer);
        size_t capacity = buffer->capacity;
        unsigned char *memory;

        if (size > SIZE_MAX / 4 - used)
                return NULL;
        if (buffer->memory && buffer->begin >= buffer->capacity / 2 && size <= buffer->capacity - used) {
                memmove(buffer->memory, buffer_bytes(buffer), used);
                buffer->begin = 0;
                buffer->end = used;
                return buffer->memory + used;
        }
        if (capacity < CAPACITY_MIN)
                capacity = CAPACITY_MIN;
        while (capacity - buffer->end < size)
                capacity *= 2;
        memory = sys_realloc(buffer->memory, capacity);
        if (!memory)
                return NULL;
        buffer->memory = memory;
        buffer->capacity = capacity;
        return memory + buffer->end;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
        void *room;

        if (size == 0)
                return 0;
        room = buffer_reserve(buffer, size);
        if (!room)
                return -ENOMEM;
        memcpy(room, bytes, size);
        buffer->end += size;
        return 0;
}

static void reverse(unsigned char *bytes, size_t size)
{
        for (size_t i = 0; i < size / 2; i++) {
                unsigned char byte = bytes[i];

                bytes[i] = bytes[size - 1 - i];
                bytes[size - 1 - i] = byte;
        }
}

void buffer_move_last(struct buffer *buffer, size_t offset, size_t size)
{
        unsigned char *bytes = buffer_bytes(buffer);
        size_t whole = buffer_size(buffer);

        reverse(bytes + offset, whole - size - offset);
        reverse(bytes + whole - size, size);
        reverse(bytes + offset, whole - offset);
}

void buffer_shrink(struct buffer *buffer, size_t keep)
{
        if (buffer_size(buffer) == 0 && buffer->capacity > keep)
                buffer_deinit(buffer);
}
