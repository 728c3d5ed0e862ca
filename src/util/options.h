/* Option structs begin with their size: sizeof the struct when the program was compiled, or 0 for the struct of this version.
 * What every copy of options refuses is refused here, with a sentence that names the field. */
#pragma once

#include "util/error.h"

#include <ferry/session.h>

/* A field that is a time in milliseconds. */
struct option_time {
        const char *name;
        size_t offset;
        bool has_default;       /* FERRY_TIMEOUT_DEFAULT is the same as 0 */
};

struct options_kind {
        const char *name;
        size_t size;
        struct option_time times[7];    /* up to one without a name */
};

/* Whether a program's struct can be read as ours. 0; -EINVAL for a size that no version of the struct has had; -E2BIG if a
 * newer program has set a field that this version does not know. */
int options_check_size(const char *name, size_t size, const void *source, struct error *error);

/* Copy the options of a program into ours; NULL: all zero. 0; a negative errno as of options_check_size(), or -EINVAL for a
 * time out of range, with a sentence; then all are zero. */
int options_copy(const struct options_kind *kind, void *target, const void *source, struct error *error);

/* The same of sessions. */
int options_copy_session(ferry_session_options *target, const ferry_session_options *source, struct error *error);

/* The same, with copies of the strings and lists, for objects that open sessions later. As options_copy(), or -ENOMEM
 * with a sentence; *@ret is never NULL, and goes with options_drop_session(). */
int options_keep_session(const ferry_session_options **ret, const ferry_session_options *source, struct error *error);
void options_drop_session(const ferry_session_options *options);
