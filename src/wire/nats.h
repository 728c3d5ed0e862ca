/* What the files of the dialect nats know of each other. nats_login.c begins a conversation: who this side is, and what the server
 * says of itself; nats.c has its messages. */
#pragma once

#include "wire/dialect.h"
#include "wire/nats_batch.h"
#include "wire/nats_service.h"
#include "wire/nats_text.h"

enum {
        NATS_TOKEN_SIZE = 11,                           /* of an inbox: 64 bits, in digits and letters */
        NATS_INBOX_SIZE = 7 + NATS_TOKEN_SIZE + 1,      /* "_INBOX." TOKEN "." */
        NATS_PONG_ID = 8,
};

#define NATS_QUEUE_GROUP "ferry"

/* Whether the server passes on what this connection publishes. */
enum nats_passage {
        NATS_PASSAGE_UNTRIED,
        NATS_PASSAGE_TRIED,             /* a request was written … */
        NATS_PASSAGE_SEEN,              /* … and what has come since shows that something was passed on */
};

struct login {
        bool is_listening;
        bool is_taken;                  /* the server has confirmed it */
        bool has_several;               /* servers, by the URL that the program has given */
        bool has_left;                  /* the server is about to end, and this was reported */
        enum nats_passage passage;
        bool has_unsubscribed;          /* the answer to the last ping says that no message comes any more */
        uint64_t pings;                 /* that were written, in all … */
        uint64_t pongs;                 /* … and were answered, or will never be */
        char pong_id[NATS_PONG_ID];
        char inbox[NATS_INBOX_SIZE + 1];        /* up to the last dot, and with it */
        bool is_gathering;              /* answers to notifications are wanted */
        bool is_away;                   /* a listener that takes no requests now, also behind its next connection */
        struct nats_service service;    /* of a listener, also behind its next connection */
        struct nats_batch batch;        /* of its answers */
        char *servers;                  /* of which the server has spoken: URLs with commas between; NULL: none */
        size_t connect_size;            /* of CONNECT's object, which stands behind the subject and its zero */
        size_t subject_size;
        char subject[];
};

extern const char nats_inbox_subscription, nats_subject_subscription;

int nats_begin(struct wire *wire, const char *text, const ferry_session_options *options, struct error *error);
struct login *nats_renew(const struct login *login);
void nats_forget_start(struct login *login);
const char *nats_servers(const struct login *login);
const char *nats_instance(const struct login *login);
bool nats_awaits_close(const struct login *login);
void nats_free_login(struct login *login);

int nats_write_subscription(const struct login *login, struct buffer *buffer);
int nats_write_login(const struct login *login, struct buffer *buffer, size_t proof_room);
void nats_secure(char *frame);
void nats_prove(const struct login *login, char *frame, const struct wire_proof *proof);
int nats_read_info(struct wire *wire, const struct nats_line *line, struct incoming *ret, struct error *error);
int nats_read_pong(struct login *login, struct incoming *ret);
