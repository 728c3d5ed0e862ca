/* FIFOs: one to read, one to write, or both. */
#pragma once

#include "stream/stream.h"

struct fifo_options {
        const char *in;         /* the paths; NULL: none */
        const char *out;
        unsigned mode;          /* of those that are made */
        bool is_making;         /* make those that are missing, and remove them at the end */
        bool is_strict;         /* refuse those whose mode lets other users in */
        int wait_ms;            /* for a process that reads what we write; -1: forever */
};

/* Open them. Opening never blocks: where no process reads yet, the stream opens later. */
int fifo_open(const struct stream_place *place, const struct fifo_options *options, struct stream **ret_stream,
              struct error *error);

/* Whether those of an open stream let other users in. */
bool fifo_is_wide(const struct stream *stream);
