/* Trying until a stream is open. Invariant: while it is tried again its owner has heard nothing; then it is up, or has ended. */
#include "stream/retried.h"

static void try_again(struct retry *retry)
{
        struct retried *retried = container_of(retry, struct retried, retry);
        struct error error = { 0 };
        int code = retried->kind->try(retried, &error);

        if (code && retried->kind->try_later(retried, code)) {
                error_deinit(&error);
                return;
        }
        retry_stop(retry);
        if (stream_come_up(&retried->stream, &code))
                return;
        retried->kind->describe(retried, code, &error);
        stream_fail(&retried->stream, code, &error);
}

void retried_init(struct retried *retried, const struct retried_kind *kind, const struct stream_place *place, const char *path)
{
        stream_init(&retried->stream, &kind->stream, place);
        retry_init(&retried->retry, place->loop, path, NULL, try_again);
        retried->kind = kind;
}

int retried_open(struct retried *retried, struct error *error)
{
        int code = retried->kind->try(retried, error);

        if (!code || retried->kind->try_later(retried, code))
                return 0;
        retried->kind->describe(retried, code, error);
        return code;
}
