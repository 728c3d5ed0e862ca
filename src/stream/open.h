/* The kinds of streams: what opens each. All return 0 and the stream, or a negative errno with a sentence in @error. */
#pragma once

#include "stream/stream.h"

/* @text: what follows the scheme of the address. */
typedef int stream_open_fn(const struct stream_place *place, const char *text, const ferry_session_options *options,
                           struct stream **ret_stream, struct error *error);

stream_open_fn stream_open_exec;
stream_open_fn stream_open_fds;
stream_open_fn stream_open_fifo;
stream_open_fn stream_open_file;
stream_open_fn stream_open_nats;
stream_open_fn stream_open_program;
stream_open_fn stream_open_ssh;
stream_open_fn stream_open_stdio;
stream_open_fn stream_open_tcp;
stream_open_fn stream_open_unix;        /* @text: the whole address */

extern const struct stream_kind stream_tcp_accepted;
