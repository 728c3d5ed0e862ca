/* A stream that is opened by trying, again and again, until that succeeds or cannot succeed in time. */
#pragma once

#include "loop/retry.h"
#include "stream/stream.h"

struct retried;

struct retried_kind {
        struct stream_kind stream;
        /* 0, or why not; a sentence is allowed. */
        int (*try)(struct retried *retried, struct error *error);
        /* Whether retry_later() will try it again. */
        bool (*try_later)(struct retried *retried, int code);
        /* Add the sentence, unless there is one. */
        void (*describe)(const struct retried *retried, int code, struct error *error);
};

struct retried {
        struct stream stream;
        struct retry retry;
        const struct retried_kind *kind;
};

/* The paths at which a change is a reason to try again: see struct retry. Nothing is tried yet. */
void retried_init(struct retried *retried, const struct retried_kind *kind, const struct stream_place *place, const char *path);
/* The first try: 0 if the stream is open, or is tried again in the background; or a negative errno with a sentence: then the
 * caller frees it. */
int retried_open(struct retried *retried, struct error *error);
