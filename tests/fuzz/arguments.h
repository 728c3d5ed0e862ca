/* Templates from anywhere can be handed to functions with fixed arguments only if the two fit, which the compiler sees
 * to in programs. Here the template is made to fit. */
#pragma once

#include "fuzz/fuzz.h"

/* Copy a template up to a zero or the end, and replace each conversion that would take something else than what comes
 * next in @arguments, one letter each: i an int, l a 64-bit integer, d a double, s a string, v a value. NULL: all
 * arguments are pointers, of which there are @count, and widths are at most 63. To be freed. */
char *fuzz_template(struct fuzz_input *input, const char *arguments, size_t count);

/* Whether the conversion of that number, from 0, is %ms. */
bool fuzz_is_allocating(const char *template, size_t number);
