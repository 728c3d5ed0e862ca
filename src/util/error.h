/* Errors: a negative errno and a sentence. The first one sticks. What makes a sentence is cold: the compiler moves what leads
 * there out of the way of what goes well. */
#pragma once

#include "util/sys.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct error {
        int code;               /* a negative errno, or 0 */
        char *sentence;         /* NULL: there was no memory for it; error_text() has one then */
};

static inline void error_deinit(struct error *error)
{
        if (error->sentence)
                sys_free(error->sentence);
        *error = (struct error){ 0 };
}

/* Set it, unless it is set. Returns the code that it has now. */
int error_set(struct error *error, int code, const char *format, ...)
        __attribute__((__cold__, __format__(__printf__, 3, 4)));

/* Replace it. */
int error_replace(struct error *error, int code, const char *format, ...)
        __attribute__((__cold__, __format__(__printf__, 3, 4)));
int error_vreplace(struct error *error, int code, const char *format, va_list arguments)
        __attribute__((__format__(__printf__, 3, 0)));

/* The sentence; never NULL. */
const char *error_text(const struct error *error);

/* Whether a connection that has failed so would do so again: it is not that the other side is down, or full. */
bool error_is_final(int code);

/* What a negative errno means, in words, whatever the locale. */
const char *error_describe(int code);
