/* Text that lives as long as its holder. */
#pragma once

#include "util/sys.h"

#include <string.h>

/* What a byte order mark in front of bytes is for their reader, where it is invisible; else "". */
static inline const char *text_mark_hint(const char *bytes, size_t size)
{
        return size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? " (it begins with a byte order mark: send it without)" : "";
}

/* A copy of @text, for sys_free(); NULL if memory is out. */
static inline char *text_copy(const char *text)
{
        size_t size = strlen(text) + 1;
        char *copy = sys_alloc(size);

        return copy ? memcpy(copy, text, size) : NULL;
}
