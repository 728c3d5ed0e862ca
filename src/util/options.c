#include "util/options.h"

#include <errno.h>
#include <string.h>

enum { SIZE_MAX_SENSIBLE = 4096 };

int options_check_size(const char *name, size_t size, const void *source, struct error *error)
{
        size_t theirs = *(const size_t *)source;

        if (theirs == 0)
                return 0;
        /* Until 1.0, a change of a struct raises the soname: there are no older programs. */
        if (theirs < size || theirs > SIZE_MAX_SENSIBLE || theirs % sizeof(size_t) != 0)
                return error_set(error, -EINVAL, "%s: size is %zu: write sizeof(%s), which is %zu, or 0", name, theirs, name, size);
        for (size_t i = size; i < theirs; i++)
                if (((const unsigned char *)source)[i])
                        return error_set(error, -E2BIG, "%s: size is %zu, and a field beyond the %zu bytes of this version is"
                                         " set: the program needs a newer libferry", name, theirs, size);
        return 0;
}

static int check_times(const struct options_kind *kind, void *target, struct error *error)
{
        for (const struct option_time *time = kind->times; time->name; time++) {
                int *field = (int *)(void *)((char *)target + time->offset);

                if (time->has_default && *field == FERRY_TIMEOUT_DEFAULT)
                        *field = 0;
                if (*field < -1)
                        return error_set(error, -EINVAL, "%s: %s is %d: write a time in ms, 0 for the default%s, or -1",
                                         kind->name, time->name, *field, time->has_default ? " (FERRY_TIMEOUT_DEFAULT)" : "");
        }
        return 0;
}

int options_copy(const struct options_kind *kind, void *target, const void *source, struct error *error)
{
        int code;

        memset(target, 0, kind->size);
        if (!source)
                return 0;
        code = options_check_size(kind->name, kind->size, source, error);
        if (code)
                return code;
        memcpy(target, source, kind->size);
        *(size_t *)target = kind->size;
        code = check_times(kind, target, error);
        if (code)
                memset(target, 0, kind->size);
        return code;
}

int options_copy_session(ferry_session_options *target, const ferry_session_options *source, struct error *error)
{
        static const struct options_kind kind = {
                .name = "ferry_session_options", .size = sizeof *target,
                .times = { { "request_timeout_ms", offsetof(ferry_session_options, request_timeout_ms), true },
                           { "wait_ms", offsetof(ferry_session_options, wait_ms), false },
                           { "close_timeout_ms", offsetof(ferry_session_options, close_timeout_ms), false },
                           { "heartbeat_ms", offsetof(ferry_session_options, heartbeat_ms), false },
                           { "answer_timeout_ms", offsetof(ferry_session_options, answer_timeout_ms), false } },
        };

        return options_copy(&kind, target, source, error);
}
