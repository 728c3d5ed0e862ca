/* What a successor does: it connects to the service that listens at a path, asks for its sockets, and listens at these. */
#pragma once

#include "stream/listener.h"

enum { SERVICE_LISTENERS_MAX = 4 };     /* one for the dialects that share a socket, one for each of the others */

struct takeover;

/* Ask, and run the loop until the answer is there. 0, and NULL if no process listens there; or a negative errno with a sentence. */
int takeover_begin(struct takeover **ret_takeover, ferry_loop *loop, const char *path, int timeout_ms, struct error *error);

/* Give a listener its socket, of those that were handed over: 0, or a negative errno with a sentence. */
int takeover_give(struct takeover *takeover, struct listener *listener, const char *address, const struct listener_options *options,
                  struct error *error);

/* All listeners have come to @code. If they have all that was handed over, they claim it, and the other service is
 * notified, and closes; else that goes on. 0, or a negative errno with a sentence. */
int takeover_end(struct takeover *takeover, struct listener *listeners, size_t count, int code, struct error *error);
