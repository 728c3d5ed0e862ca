/* Text that lives as long as its holder. */
#pragma once

#include "util/sys.h"

#include <string.h>

/* A copy of @text, for sys_free(); NULL if memory is out. */
static inline char *text_copy(const char *text)
{
        size_t size = strlen(text) + 1;
        char *copy = sys_alloc(size);

        return copy ? memcpy(copy, text, size) : NULL;
}
