/* A place where a service of the dialect innmind stands, and the test's own end of its connections: it writes and reads
 * frames byte for byte, and sees with how many sends each of the library's came. */
#pragma once

#include <ferry/ferry.h>

#include <stdbool.h>

enum {
        PLACE_SENDS_MAX = 64,
        PEER_BYTES_MAX = 1 << 19,
        TIMEOUT_MS = 5000,
};

/* All of one loop; the clock stands still. */
struct place {
        ferry_loop *loop;
        char directory[64];
        char path[96];
        char address[104];
        int listener;           /* of the test, where that is the server; -1 */
};

/* What the library has sent since place_forget_sends(): the bytes of each call, as they were asked for and taken. */
extern struct place_sends {
        unsigned count;
        size_t asked[PLACE_SENDS_MAX];
} place_sends;

void place_open(struct place *place);
void place_close(struct place *place);
void place_forget_sends(void);

/* Let the loop run until it has nothing to do. */
void place_settle(struct place *place);

/* Be the server there. */
void place_listen(struct place *place);

/* What the handlers of a service have seen and done; the carried value is the count. */
struct book {
        char heard[4096];       /* what came, each with a space behind */
        int count, opened, closed;
        ferry_message *kept;
};

void book_note(struct book *book, const char *text);
ferry_message_fn book_hear, book_echo;

/* A service there, in innmind unless the options (or NULL) say otherwise; @fn (or NULL) hears its messages. */
ferry_service *place_serve(struct place *place, const ferry_service_options *options, ferry_message_fn *fn,
                           struct book *book);

/* One end of a connection. */
struct peer {
        struct place *place;
        int fd;
        size_t size;            /* of what was read, and not yet expected */
        bool has_ended;
        char bytes[PEER_BYTES_MAX];
};

/* Connect to the service; accept a client, or report that none comes. Peers are large: they are on the heap. */
struct peer *peer_connect(struct place *place);
struct peer *peer_accept(struct place *place);
bool peer_comes(struct place *place);
/* The same, up to where messages may come. */
struct peer *peer_greet(struct place *place);           /* as a client */
struct peer *peer_welcome(struct place *place);         /* as the server */
void peer_close(struct peer *peer);

/* Write bytes; a frame; what concerns the connection, by its name without the prefix. */
void peer_write(struct peer *peer, const void *bytes, size_t size);
void peer_message(struct peer *peer, const char *type, const void *content, size_t size);
void peer_text(struct peer *peer, const char *text);
void peer_control(struct peer *peer, const char *name);

/* Put a frame together. Returns its size. */
size_t make_frame(char *frame, const char *type, const void *content, size_t size);

/* Exactly this comes next; nothing does; the end does, and nothing before. The loop runs before. */
void peer_expect(struct peer *peer, const char *type, const void *content, size_t size);
void peer_expect_text(struct peer *peer, const char *text);
void peer_expect_control(struct peer *peer, const char *name);
void peer_expect_nothing(struct peer *peer);
void peer_expect_end(struct peer *peer);

/* Read up to @size bytes more, without running the loop. Returns how many came. */
size_t peer_read(struct peer *peer, size_t size);

/* A session that goes to the test; a session, and its server up to where messages may come; it goes as it should, and
 * then nothing is left; all of that, and the place is closed. */
ferry_session *place_session(struct place *place, const ferry_session_options *options);
struct peer *place_pair(struct place *place, ferry_session **ret_session);
void peer_expect_goodbye(struct peer *peer);
void place_end(struct place *place, struct peer *peer, ferry_session *session);

/* Ask; the answer is that; it has ended so. The last two let the call go. */
ferry_call *pair_ask(ferry_session *session, const char *text);
void pair_answer(ferry_call *call, const char *text);
void pair_call_end(ferry_call *call, int status, enum ferry_outcome outcome);
