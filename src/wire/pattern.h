/* Patterns of types, by which a client subscribes: parts with dots between them. `*` stands for one part, whatever it is, and `>`,
 * as the last part, for one or more. */
#pragma once

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
        PATTERN_MAX = 255,              /* bytes */
        PATTERN_PARTS_MAX = 16,
        /* Of one client: so many at once, and so many bytes. */
        SUBSCRIPTIONS_MAX = 1000,
        SUBSCRIPTIONS_BYTES_MAX = 65536,
};

/* A part of a pattern, or of a type. */
struct part {
        const char *bytes;
        size_t size;
        bool is_last;
};

static inline bool part_is(const struct part *part, char letter)
{
        return part->size == 1 && part->bytes[0] == letter;
}

/* The part that begins at @at of a text that ends at @end. */
struct part part_at(const char *at, const char *end);

/* 0, or -EINVAL with a sentence: it is malformed. */
int pattern_check(const char *pattern, size_t size, struct error *error);

/* Whether a pattern that is well-formed has a `*` or a `>`. */
bool pattern_is_wild(const char *pattern, size_t size);

/* Whether a type is one of those that a well-formed pattern stands for. */
bool pattern_matches(const char *pattern, size_t size, const char *type, size_t type_size);

/* Whether a client that has @count subscriptions, of @bytes, may have one more, of @size: 0, or -ENOSPC with a sentence. */
int subscriptions_check_room(size_t count, size_t bytes, size_t size, struct error *error);
