/* Subjects of NATS: tokens with dots between. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { SUBJECT_MAX = 1024 };    /* bytes of one that this side subscribes to or publishes to by its address */

/* Whether tokens, none of them empty, have no blanks and control characters; and where @has_wildcards is false, that none is a
 * wildcard. A wildcard > is the last token. */
bool subject_is_valid(const char *bytes, size_t size, bool has_wildcards);
