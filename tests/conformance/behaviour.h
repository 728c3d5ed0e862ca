/* What the other side of every conformance test does, wherever it lives: one set of handlers, for a session in this
 * process, for the clients of a service, or for a program of its own. */
#pragma once

#include <ferry/ferry.h>

enum { KEPT_MAX = 64, STREAMS_MAX = 8 };

/* A reply in parts, as long as that is not complete. */
struct behaviour_stream {
        ferry_message *request;
        int64_t next, count;
        size_t size;
};

struct behaviour {
        ferry_message *kept[KEPT_MAX];
        int kept_count;
        int notifications;
        int cancelled;          /* kept requests that the peer has cancelled */
        int wanted;             /* among these, those that did not report it */
        int errors;
        int answers;            /* to what it has asked */
        int depth;              /* in the last one; its errno if it was none */
        int64_t last_size;      /* of the text of the last notification */
        uint64_t last_sum;
        struct behaviour_stream streams[STREAMS_MAX];
        char *text;             /* of parts */
        size_t text_size;
        int parts;              /* that were sent */
        int part_code;          /* what the last one came to */
};

/* Serve a session, or what comes to a service. */
void behave(ferry_session *session, ferry_service *service, struct behaviour *behaviour);

/* Let go of what is kept, without an answer. */
void behaviour_deinit(struct behaviour *behaviour);

/* A text of that size, the same each time; to be freed. And its checksum. */
char *make_text(size_t size);
uint64_t sum_text(const char *text, size_t size);

/* The text of a message and its size. */
const char *text_of(const ferry_message *message, size_t *ret_size);

/* "ferry", "php" or "json": the dialect and, of stream-ipc, the codec. */
void set_dialect(ferry_session_options *options, const char *name);
