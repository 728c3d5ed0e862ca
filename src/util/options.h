/* Option structs begin with their size: that of the struct when the program was compiled, or 0 from those who use the
 * fields of version 1.0 only. What an older program does not have is zero. */
#pragma once

#include <stddef.h>
#include <string.h>

/* Copy the options of a program into ours, of @size bytes, of which @first were there in 1.0. NULL: all zero. */
static inline void options_copy(void *target, size_t size, size_t first, const void *source)
{
        size_t theirs = source ? *(const size_t *)source : 0;

        memset(target, 0, size);
        if (!source)
                return;
        if (theirs == 0)
                theirs = first;
        memcpy(target, source, theirs < size ? theirs : size);
}
