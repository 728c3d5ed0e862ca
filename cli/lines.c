/* Lines of stdin, or what ends with another byte, as many ahead as fit in a buffer. Invariants: what is held is bounded, whatever
 * comes; each line is reported once, in order; a line that is too long is reported as such, and the next line begins behind it. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AHEAD = 64 << 10 };

void lines_free(struct lines *lines)
{
        free(lines->bytes);
        *lines = (struct lines){ .is_over = true };
}

bool lines_want_more(const struct lines *lines)
{
        return !lines->is_over && !lines->is_too_long && (lines->end - lines->begin < AHEAD || lines->count == 0);
}

/* Room behind what is there. A line of the greatest size fits, with its end. */
static int make_room(struct lines *lines)
{
        size_t capacity = lines->capacity ? lines->capacity : AHEAD;
        char *grown;

        if (lines->begin == lines->end)
                lines->begin = lines->end = 0;
        if (lines->end < lines->capacity)
                return 0;
        if (lines->begin > 0) {
                lines->end -= lines->begin;
                memmove(lines->bytes, lines->bytes + lines->begin, lines->end);
                lines->begin = 0;
                return 0;
        }
        if (lines->capacity)
                capacity *= 2;
        grown = realloc(lines->bytes, capacity);
        if (!grown)
                return -ENOMEM;
        lines->bytes = grown;
        lines->capacity = capacity;
        return 0;
}

/* What came belongs to a line of which the beginning is dropped. */
static void skip(struct lines *lines)
{
        const char *end = memchr(lines->bytes + lines->begin, lines->separator, lines->end - lines->begin);

        if (end) {
                lines->begin = (size_t)(end - lines->bytes) + 1;
                lines->is_skipping = false;
        } else
                lines->begin = lines->end;
}

static void count(struct lines *lines, size_t from)
{
        const char *at = lines->bytes + from, *end = lines->bytes + lines->end;

        while (at < end && (at = memchr(at, lines->separator, (size_t)(end - at)))) {
                lines->count++;
                lines->reported++;
                at++;
        }
}

int lines_read(struct lines *lines, int fd)
{
        int error = make_room(lines);
        size_t from;
        ssize_t got;

        if (error)
                return error;
        got = read(fd, lines->bytes + lines->end, lines->capacity - lines->end);
        if (got < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        from = lines->end;
        lines->end += (size_t)got;
        lines->read += (size_t)got;
        if (lines->is_skipping) {
                skip(lines);
                from = lines->begin;
        }
        count(lines, from);
        if (got == 0) {
                lines->is_over = true;
                /* The last one need not have an end. */
                lines->has_rest = lines->begin < lines->end && lines->bytes[lines->end - 1] != lines->separator;
                lines->reported += lines->has_rest;
        }
        if (!lines->is_over && lines->count == 0 && lines->end - lines->begin > lines->max) {
                lines->is_too_long = lines->is_skipping = true;
                lines->reported++;
                lines->begin = lines->end;
        }
        return 0;
}

bool lines_are_there(const struct lines *lines)
{
        return lines->is_too_long || lines->count > 0 || lines->has_rest;
}

const char *lines_next(struct lines *lines, size_t *ret_size)
{
        const char *line = lines->bytes + lines->begin;

        if (lines->is_too_long) {
                lines->is_too_long = false;
                return NULL;
        }
        if (lines->count == 0) {
                *ret_size = lines->end - lines->begin;
                lines->begin = lines->end;
                lines->has_rest = false;
                return *ret_size > lines->max ? NULL : line;
        }
        *ret_size = (size_t)((const char *)memchr(line, lines->separator, lines->end - lines->begin) - line);
        lines->begin += *ret_size + 1;
        lines->count--;
        return *ret_size > lines->max ? NULL : line;
}
