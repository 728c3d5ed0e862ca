/* The text protocol of NATS: what a line and the headers of a message say. Nothing here knows a conversation. */
#pragma once

#include "value/codec.h"
#include "value/digits.h"
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

/* The place of a number, which is written when it is known: the protocol allows several blanks in front of one. And write it, so that it ends
 * there. */
#define NATS_NO_SIZE "           "

static inline void nats_put_number(char *end, size_t number)
{
        put_digits(end - count_digits(number), number);
}

/* Whether they differ in the case of ASCII letters at most. */
bool nats_is_alike(const char *a, const char *b, size_t size);

/* 1; 0 if more bytes are needed; -EBADMSG. */
int nats_read_line(const char *bytes, size_t size, struct nats_line *ret);

/* The headers of a message that has several answers in it. Each of these is a line `ID SIZE [CODEC]`, and a body. */
#define NATS_BATCH_HEADERS "NATS/1.0\r\nFerry-Batch: 1\r\n\r\n"

struct nats_item {
        size_t size;                    /* of the line, with its end */
        struct raw_text id;             /* which begins with a digit, as no other line does */
        size_t body;
        struct raw_text codec;          /* no bytes: a string */
};

static inline bool nats_is_digit(char byte)
{
        return byte >= '0' && byte <= '9';
}

/* Whether a frame is one, or what stands where one should. */
static inline bool nats_is_item(const char *bytes, size_t size)
{
        return size == 0 || nats_is_digit(*bytes);
}

/* As nats_read_line(). */
int nats_read_item(const char *bytes, size_t size, struct nats_item *ret);

/* A line is a frame, with what follows it; and so is each of several answers. */
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
