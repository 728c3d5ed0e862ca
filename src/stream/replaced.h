/* A unix socket whose peer passes the service another one, or two pipes, as sshd(8) has given them to a bridge: before anything else it
 * sends a byte and these descriptors, and the service answers by a byte whether it goes on there. Then the peer has no bytes to copy. It
 * waits until the service closes the first socket, which it does with what has replaced it. */
#pragma once

#include "stream/stream.h"

/* What the first bytes of the service say. */
enum replaced_answer {
        REPLACED_NOT_SAID,      /* they are no answer, but what the service says first: it goes on at the first socket */
        REPLACED_KEPT,          /* it does so, too */
        REPLACED_DONE,          /* it goes on at what was passed */
};

/* At the side that has connected: ask the service to go on at what @other stands on, if it says that it does this. If true, the first
 * bytes of the service are for replaced_hear(). */
bool replaced_ask(struct stream *stream, const struct stream *other);
enum replaced_answer replaced_hear(const char *bytes, size_t size);

/* At the service, whose stream nothing was read from: it may be asked from now on. */
void replaced_expect(struct stream *stream);
/* The first read: as stream_read() of a stream that may be asked, which answers if it was. */
ssize_t replaced_receive(struct stream *stream, char *buffer, size_t size);
/* Close the first socket, with the stream. */
void replaced_free(struct stream *stream, bool is_foreign);
