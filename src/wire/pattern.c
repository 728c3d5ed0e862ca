/* What a pattern is, and which types it stands for; and the limits that both sides of a subscription check. */
#include "wire/pattern.h"

#include "value/codec.h"

#include <errno.h>
#include <string.h>

struct part part_at(const char *at, const char *end)
{
        const char *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;

        return (struct part){ .bytes = at, .size = (size_t)((dot ? dot : end) - at), .is_last = !dot };
}

static const char *find_flaw(const char *pattern, size_t size)
{
        const char *at = pattern, *end = pattern + size;
        struct part part;
        size_t parts = 0;

        if (size == 0)
                return "it is empty";
        if (size > PATTERN_MAX)
                return "it has more than 255 bytes";
        if (!utf8_is_valid(pattern, size))
                return "it is not UTF-8";
        if (memchr(pattern, '\0', size))
                return "it has a byte of zero";
        do {
                part = part_at(at, end);
                at += part.size + 1;
                if (part.size == 0)
                        return "a part between two dots, or before or behind one, is empty";
                if (++parts > PATTERN_PARTS_MAX)
                        return "it has more than 16 parts";
                if (part_is(&part, '>') && !part.is_last)
                        return "'>' stands for the rest, so it is the last part";
                if (part.size > 1 && (memchr(part.bytes, '*', part.size) || memchr(part.bytes, '>', part.size)))
                        return "'*' and '>' stand for whole parts";
        } while (!part.is_last);
        return NULL;
}

int pattern_check(const char *pattern, size_t size, struct error *error)
{
        const char *flaw = find_flaw(pattern, size);
        bool is_shown = size <= PATTERN_MAX && utf8_is_valid(pattern, size);

        if (!flaw)
                return 0;
        return error_set(error, -EINVAL, "'%.*s' is not a pattern: %s", is_shown ? (int)size : 3, is_shown ? pattern : "...", flaw);
}

bool pattern_is_wild(const char *pattern, size_t size)
{
        return memchr(pattern, '*', size) || memchr(pattern, '>', size);
}

bool pattern_matches(const char *pattern, size_t size, const char *type, size_t type_size)
{
        const char *at = pattern, *end = pattern + size, *type_at = type, *type_end = type + type_size;

        for (;;) {
                struct part want = part_at(at, end), has = part_at(type_at, type_end);

                if (part_is(&want, '>'))
                        return true;
                if (!part_is(&want, '*') && (want.size != has.size || memcmp(want.bytes, has.bytes, has.size) != 0))
                        return false;
                if (want.is_last || has.is_last)
                        return want.is_last && has.is_last;
                at += want.size + 1;
                type_at += has.size + 1;
        }
}

int subscriptions_check_room(size_t count, size_t bytes, size_t size, struct error *error)
{
        if (count >= SUBSCRIPTIONS_MAX)
                return error_set(error, -ENOSPC, "a client has at most %d subscriptions", (int)SUBSCRIPTIONS_MAX);
        if (size > SUBSCRIPTIONS_BYTES_MAX - bytes)
                return error_set(error, -ENOSPC, "the subscriptions of a client have at most %d bytes", (int)SUBSCRIPTIONS_BYTES_MAX);
        return 0;
}
