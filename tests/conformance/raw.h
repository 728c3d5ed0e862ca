/* A session whose other end is the test itself: it writes bytes, and reads frames, as no library of ours would. */
#pragma once

#include <ferry/ferry.h>

enum raw_stream { RAW_SOCKET, RAW_PIPES, RAW_OWN, RAW_SECOND, RAW_STREAMS };

struct raw {
        ferry_loop *loop;
        ferry_session *session;
        int in, out;                    /* the test's ends; RAW_SECOND writes to what is read too */
        int main_out;                   /* RAW_SECOND: to the first; -1 */
        ferry_stream own;
        unsigned char bytes[1 << 16];   /* the last frame's payload */
        size_t size;
};

/* Open a session over that kind of stream, with these options. */
void raw_open(struct raw *raw, enum raw_stream stream, const ferry_session_options *options);
void raw_close(struct raw *raw);

/* Write bytes, or a frame with that payload, or the end. */
void raw_write(struct raw *raw, const void *bytes, size_t size);
void raw_frame(struct raw *raw, const void *payload, size_t size);
void raw_text(struct raw *raw, const char *payload);
void raw_end(struct raw *raw);

/* A frame of the dialect ferry, whose body is a short text in msgpack. */
enum { RAW_HELLO = 1, RAW_NOTIFICATION, RAW_REQUEST, RAW_RESPONSE, RAW_ERROR, RAW_REFUSED, RAW_CANCEL, RAW_PING,
       RAW_PONG, RAW_BYE };
size_t raw_message(unsigned char payload[256], int kind, int id, const char *type, const char *text);
void raw_send(struct raw *raw, int kind, int id, const char *type, const char *text);

/* Let the loop run until the session has sent a frame; its payload is there then, and a zero behind it. */
void raw_read(struct raw *raw);

/* The same for the dialect ferry, past all frames of other kinds. */
void raw_expect(struct raw *raw, int kind, int id);

/* Whether the session has sent nothing (more); and whether it has ended its side. */
bool raw_is_silent(struct raw *raw);
bool raw_has_ended(struct raw *raw);

/* The next message that comes, of that kind, with that text. */
const ferry_message *raw_next(struct raw *raw, enum ferry_kind kind, const char *text);
