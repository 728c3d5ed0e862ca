/* Several answers to one client in one message of NATS, so that a server passes on less. Such a message goes to where the first of the
 * answers would have gone alone, which is the only place that a server may let a service publish to. */
#pragma once

#include "wire/dialect.h"

/* The message that was written last, to which the next answer may be added while nothing of it has left. */
struct nats_batch {
        size_t size;                    /* of all of it; 0: none may be added */
        size_t id_size;                 /* of the first answer */
        bool has_several;
        size_t body_size;               /* of a lone answer … */
        const ferry_codec *codec;       /* … and its codec; NULL: a string */
};

/* Whether an answer, whose body is in a codec (NULL: a string), may be one of several. */
bool nats_may_gather(const struct outgoing *outgoing, const ferry_codec *codec);

/* An answer that may was written alone, as the last @size bytes of the buffer. */
void nats_begin_batch(struct nats_batch *batch, size_t size, size_t body_size, const struct outgoing *outgoing, const ferry_codec *codec);

/* Add an answer, as long as the message has no more than @most bytes: 1; 0: it must be written alone; or a negative errno. With both
 * the buffer is as it was. */
int nats_add_to_batch(struct nats_batch *batch, struct buffer *buffer, const struct outgoing *outgoing, const ferry_codec *codec, size_t most,
                      char reason[96]);
