/* The text protocol of NATS: what a line and the headers of a message say. Nothing here knows a conversation. */
#pragma once

#include "value/codec.h"
#include "wire/dialect.h"

#include <string.h>

enum {
        NATS_LINE_MAX = 1 << 16,        /* bytes of a line, with its end: INFO lists the servers of a cluster */
        NATS_REPLY_MAX = 4000,          /* bytes of a subject that is answered: a line to a server has 4,096 */
};

enum nats_verb {
        NATS_NONE,
        NATS_INFO,
        NATS_MSG,
        NATS_HMSG,
        NATS_PING,
        NATS_PONG,
        NATS_OK,
        NATS_ERR,
};

/* A line, and of a message where its parts stand. */
struct nats_line {
        enum nats_verb verb;
        size_t size;                    /* of the line, with its end */
        struct raw_text text;           /* of INFO and -ERR */
        struct raw_text subject;
        char subscription;              /* its number, which has one digit; 0: it has another form */
        struct raw_text reply;          /* no bytes: there is none */
        size_t headers;                 /* bytes of headers … */
        size_t payload;                 /* … and of what follows the line, with those, without the end */
};

/* Both return what is behind the bytes. */
static inline char *put(char *at, const char *bytes, size_t size)
{
        memcpy(at, bytes, size);
        return at + size;
}

static inline char *put_text(char *at, const char *text)
{
        return put(at, text, strlen(text));
}

/* Whether they differ in the case of ASCII letters at most. */
bool nats_is_alike(const char *a, const char *b, size_t size);

/* 1; 0 if more bytes are needed; -EBADMSG. */
int nats_read_line(const char *bytes, size_t size, struct nats_line *ret);

/* A line is a frame, with what follows it. */
extern const struct framing framing_nats;

/* Of what a client writes. A message that expects no answer is a notification. */
int nats_measure_sent(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload);
void nats_peek_sent(const char *bytes, size_t size, struct incoming *ret);

/* Headers of which ferry takes notice. No bytes: there is none. */
struct nats_headers {
        unsigned status;                /* of the first line; 0: none */
        struct raw_text number;         /* the same as it stands there */
        struct raw_text description;    /* of the status */
        struct raw_text type;
        struct raw_text codec;
        struct raw_text outcome;
        struct raw_text accept;
        struct raw_text instance;
        struct raw_text beat;
        struct raw_text error;
        struct raw_text error_code;
};

/* The number that a header is, or 0. */
size_t nats_read_number(const struct raw_text *text);

/* 0, or -EBADMSG: they are malformed. */
int nats_read_headers(const char *bytes, size_t size, struct nats_headers *ret);
