/* A dialect: how messages and replies stand in frames. Each is one struct, in a file of its own; no file outside of
 * this folder names one. */
#pragma once

#include <ferry/message.h>
#include <ferry/session.h>

#include "util/error.h"
#include "value/codec.h"
#include "wire/frame.h"

enum wire_kind {
        WIRE_HELLO,
        WIRE_NOTIFICATION,
        WIRE_REQUEST,
        WIRE_RESPONSE,
        WIRE_ERROR,             /* a reply that is an error */
        WIRE_REFUSED,           /* the same, and no handler has seen the request */
        WIRE_CANCEL,
        WIRE_PING,
        WIRE_PONG,
        WIRE_CLOSE,
        WIRE_OFFER,             /* shared memory, whose descriptor has come with it or before */
        WIRE_MOVED,             /* all that follows is in there */
        WIRE_DECLINED,          /* it was not taken */
        WIRE_SUBSCRIBE,         /* to the notifications whose type matches the pattern, which stands as the type */
        WIRE_UNSUBSCRIBE,
        WIRE_DESCRIBE,          /* asks what types of messages a service takes */
        WIRE_DRAIN,             /* another process serves from now on: connect again; this one finishes what it has in hand */
        WIRE_TAKE_OVER,         /* asks a service for its sockets */
        WIRE_HANDED_OVER,       /* the sockets of a service, whose descriptors come with it */
        WIRE_TAKEN,             /* the successor has them, and serves */
        WIRE_PROGRESS,          /* a part of the reply to a request */
        WIRE_CREDIT,            /* so many bytes of such parts were taken */
        WIRE_DESCRIPTORS,       /* the next message comes with so many */
        /* Where messages have no ids, and are notifications or requests as the other side sees fit: */
        WIRE_MESSAGE,
        WIRE_RECEIVED,          /* acknowledges one of those */
        WIRE_START,             /* what a server says first … */
        WIRE_START_OK,          /* … and the client that has come, before anything else */
        WIRE_CLOSE_OK,          /* the answer to WIRE_CLOSE */
        WIRE_HEARTBEAT,         /* is not answered */
        WIRE_QUESTION,          /* what this side is and does: the dialect itself says what to answer. Its type is a literal … */
        WIRE_ANSWER,            /* … which stands in the answer, too */
        WIRE_ACCEPTED,          /* a process has the request in hand, or still has it: its name stands as the type */
        WIRE_UNKNOWN,           /* to be ignored */
};

enum {
        WIRE_ID_MAX = 1024,     /* bytes of an id, in any form */
        WIRE_ID_TEXT_MAX = 128, /* of one that we make */
};

struct dialect;
struct login;

/* What a server says of itself before the login. */
struct wire_greeting {
        bool is_tls_offered;
        bool is_tls_required;
        const char *nonce;              /* that a client may sign; NULL: none */
};

/* What a client signs it with. */
struct wire_proof {
        const char *jwt;                /* NULL: none, the server knows the key */
        const char *key;
        const char *signature;
};

/* Whether the peer takes descriptors, as its hello says. */
enum wire_descriptors { WIRE_DESCRIPTORS_UNKNOWN, WIRE_DESCRIPTORS_IGNORED, WIRE_DESCRIPTORS_TAKEN };

/* Whether notifications are selected by subscriptions from the hellos on. */
enum wire_selection {
        WIRE_SELECTION_NONE,
        WIRE_SELECTION_ASKED,           /* a client: its hello says that it subscribes … */
        WIRE_SELECTION_AWAITED,         /* … and what its service sends was not selected yet, but will be */
        WIRE_SELECTION_OWED,            /* a service: its next hello tells the client that from there on it is */
};

/* What a session knows of its conversation. */
struct wire {
        const struct dialect *dialect;
        const ferry_codec *codec;
        char root[64];                  /* stream-ipc: a namespace */
        size_t frame_max;               /* that we take */
        size_t send_max;                /* that we send */
        size_t peer_max;                /* of the peer, once it has said so; else SIZE_MAX */
        bool is_dialect_fixed;          /* the program has said so, or the peer has shown it */
        bool is_codec_fixed;
        bool is_root_fixed;
        bool has_said_hello;            /* this side, where the dialect has hellos */
        bool has_probed;                /* a ping was sent behind the first request, where there is a login */
        bool does_peer_drain;           /* its hello says that it connects again when it is asked to (WIRE_DRAIN) */
        bool is_peer_one_way;           /* its hello says that it only writes: it ends without a close */
        bool takes_parts;               /* its hello says that it knows parts of replies */
        enum wire_descriptors descriptors;
        enum wire_selection selection;
        uint64_t counter;               /* of our requests */
        const struct dialect *peer_dialect;     /* that it has spoken, whatever we do */
        struct login *login;                    /* what the server is told, where there is a login; wire_deinit() frees it */
};

/* What a payload says. Texts point into it. */
struct incoming {
        enum wire_kind kind;
        struct raw_text id;
        struct raw_text type;
        const ferry_codec *codec;
        size_t body_offset;             /* of what is to be decoded */
        size_t body_size;               /* 0: null */
        struct check check;
        const char *property;           /* of the decoded object, that is the body; NULL: it is all of it */
        ferry_value *value;             /* decoded already, and the caller's; or NULL */
        struct wire_greeting greeting;  /* of WIRE_START; its texts are of @value */
        bool is_leaving;                /* of refused: another peer may take the request, as this one is about to close, or has no
                                         * place for it */
        bool is_denied;                 /* of what could not be read: nothing that this side has asked for was passed on */
        int refusal;                    /* of refused: the errno of the call; 0: -EREMOTEIO, as the receiver has refused it */
        bool wants_acceptance;          /* of a request: its sender takes WIRE_ACCEPTED */
        int beat_ms;                    /* of accepted: the same is said again and again, at such distances; 0: it is not */
};

/* What is to be said. */
struct outgoing {
        enum wire_kind kind;
        bool is_type_known;             /* of a response: it has the type of its request */
        bool takes_batches;             /* of a response: the other side takes several in one message */
        bool is_leaving;                /* of refused: this side is about to close */
        const char *id;
        size_t id_size;
        const char *type;               /* NULL: none */
        const ferry_value *body;        /* NULL: null; of errors a string */
        const ferry_codec *codec;       /* NULL: the session's */
        struct lent *lent;              /* where a large string of the body may be left out; or NULL */
        size_t proof_room;              /* of WIRE_START_OK: bytes that the texts of a proof will have, see prove(); 0: there will be none */
        size_t *ret_size;               /* of a part: where to put the size of its payload; NULL for all others */
        int beat_ms;                    /* of accepted: see struct incoming */
};

struct dialect {
        unsigned number;                /* enum ferry_dialect; 0: only an address selects it */
        const char *name;
        const struct framing *framing;
        bool has_ids;                   /* replies say what they answer; else one request is in flight at a time, and the
                                         * next message is its answer */
        bool has_errors;                /* a request can be answered by an error; else the session is closed */
        bool has_refused;               /* a reply can say that no handler has seen the request */
        bool has_cancel;                /* the peer can be sent more than replies */
        bool has_hello;
        bool has_ping;
        bool has_close;
        bool has_shared_memory; /* WIRE_OFFER, WIRE_MOVED and WIRE_DECLINED */
        bool has_subscriptions; /* WIRE_SUBSCRIBE and WIRE_UNSUBSCRIBE */
        bool has_hand_over;     /* WIRE_DRAIN, and those for the successor of a service; and a session can connect again, since a close
                                 * says what was done */
        bool has_descriptions;  /* WIRE_DESCRIBE, which is answered as a request is */
        bool has_parts;         /* WIRE_PROGRESS and WIRE_CREDIT */
        bool has_descriptors;   /* WIRE_DESCRIPTORS */
        bool has_start;                 /* WIRE_START, WIRE_START_OK; and WIRE_CLOSE is answered by WIRE_CLOSE_OK */
        bool has_login;                 /* the server says WIRE_START, the client its WIRE_START_OK, and when the server has taken
                                         * that it says the same. WIRE_CLOSE is not answered */
        bool has_heartbeat;             /* WIRE_HEARTBEAT, instead of WIRE_PING */
        bool has_acceptance;            /* WIRE_ACCEPTED */
        bool has_implied_types;         /* a response that says no type has that of its request */
        bool has_received;              /* a server acknowledges each message before anything else */
        bool has_whole_frames;          /* the other side reads a frame at once: it must be written at once */
        size_t send_max;                /* bytes of a frame that the other side can take; 0: what we take ourselves */
        const char *directory;          /* under that for temporary files: where programs that know only this dialect look for
                                         * services; NULL: there are none */
        const char *scheme;             /* addresses that begin so, with a colon, are in this dialect, and no other ones; NULL: the
                                         * address says nothing */
        /* What follows the colon, and what the options say, where there is a scheme: 0, or a negative errno with a sentence. */
        int (*begin)(struct wire *wire, const char *text, const ferry_session_options *options, struct error *error);
        /* The login of the next connection, where there is one; NULL without memory. */
        struct login *(*renew)(const struct login *login);
        void (*forget_start)(struct login *login);
        const char *(*servers)(const struct login *login);
        const char *(*instance)(const struct login *login);
        bool (*awaits_close)(const struct login *login);
        void (*free_login)(struct login *login);
        /* Say in the frame WIRE_START_OK, which is not sent yet, that it goes by TLS. */
        void (*secure)(char *frame);
        /* Put a proof into the room for it in the frame WIRE_START_OK, which is not sent yet. */
        void (*prove)(const struct login *login, char *frame, const struct wire_proof *proof);
        /* Whether a payload may begin so, as far as these bytes show. NULL: a dialect that has to be named. */
        bool (*can_begin)(const char *bytes, size_t size);
        /* What a whole payload says. 0, or a negative errno with a sentence; then kind and id are set if they could
         * be read, else kind is WIRE_UNKNOWN. */
        int (*read)(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error);
        /* Kind and id, if they can be read from the beginning of a payload; else WIRE_UNKNOWN. */
        void (*peek)(const char *bytes, size_t size, struct incoming *ret);
        /* The same of frames of this side, and how they are made up, where these have another form; NULL: they have the same. An
         * answer counts as a notification where it may come by another connection than the request. Where there is a login, body_size
         * is what the limit of the other side is for. */
        void (*peek_sent)(const char *bytes, size_t size, struct incoming *ret);
        int (*measure_sent)(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload);
        /* Put a frame behind what is in the buffer. 0, or a negative errno with a sentence, and nothing is put. */
        int (*write)(struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing, struct error *error);
        /* Make the id of a request, where there are ids. Returns its size. */
        size_t (*make_id)(struct wire *wire, char id[WIRE_ID_TEXT_MAX]);
        /* An id as text; at least twice its size and a zero fit. */
        void (*id_text)(const char *id, size_t size, char *text);
};

extern const struct dialect dialect_ferry;
extern const struct dialect dialect_stream_ipc;
extern const struct dialect dialect_innmind;
extern const struct dialect dialect_pcntl;
extern const struct dialect dialect_nats;

/* The name of a dialect; NULL: the number is none of one. */
const char *wire_dialect_name(unsigned dialect);

/* Where services in that dialect stand, under the directory for temporary files; NULL: where ferry has its own. */
const char *wire_directory(unsigned dialect);

/* The name of the dialect in whose directory that path stands; NULL: in none. */
const char *wire_directory_owner(const char *path);

/* Those of a set of dialects that have a directory, and so a socket, of their own; 0 if none. -EINVAL if the set has one
 * that there is not. */
int wire_apart(unsigned dialects);
/* All of them, by an index from 0; NULL behind the last. */
const struct dialect *wire_dialect_at(size_t index);

/* Begin a conversation as the options say. 0, or -EINVAL with a sentence. */
int wire_init(struct wire *wire, const ferry_session_options *options, struct error *error);

/* Where the address says in which dialect it is: begin in that. 0, or a negative errno with a sentence. */
int wire_begin(struct wire *wire, const char *address, const ferry_session_options *options, struct error *error);
void wire_deinit(struct wire *wire);
/* The next conversation of the same session, which begins anew; @wire is that, and @former goes on with the last one. 0, or -ENOMEM:
 * nothing has changed. */
int wire_part(struct wire *wire, struct wire *former);
/* An attempt to begin one has failed. */
void wire_forget_start(struct wire *wire);
/* The name of this side, for those that it answers; "": it has none. */
const char *wire_instance(const struct wire *wire);
/* Whether the other side answers the close that was written. */
bool wire_awaits_close(const struct wire *wire);
/* URLs of further servers, of which the server has spoken, with commas between; NULL: there are none. */
const char *wire_servers(const struct wire *wire);

/* How large a frame may be that is read: a little more than frame_max, if that is tiny, because a hello is always taken. */
size_t wire_read_max(const struct wire *wire);
/* Whether a whole payload is over frame_max, and no hello, close, ping, pong or cancel. */
bool wire_is_over_limit(struct wire *wire, const char *payload, size_t size);

/* What a payload says, in the dialect of the session; where that is still open, in the one that it shows. As soon as it is fixed,
 * its own function says the same. */
int wire_read(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error);

/* A payload that the dialect of the session, which is fixed, could not read: which dialect has the peer spoken? */
void wire_note_spoken(struct wire *wire, const char *payload, size_t size);

/* Kind and id of a payload of which only the beginning is there. A dialect that is still open is that one then. */
void wire_peek(struct wire *wire, const char *bytes, size_t size, struct incoming *ret);

/* Whether a payload may begin so in any dialect. */
bool wire_can_begin(const char *bytes, size_t size);

/* Encode a body (NULL: none) behind what the frame that was begun at @begin has already, and end the frame; a large string may be
 * left out (@lent, or NULL). @code is
 * how that went so far. 0, or a negative errno with a sentence, and the frame is taken back: also if it is over our
 * limit, or the peer's. */
int wire_over_limit(const struct wire *wire, struct error *error);
int wire_end_frame(const struct wire *wire, struct buffer *buffer, size_t begin, const ferry_codec *codec,
                   const ferry_value *body, struct lent *lent, int code, struct error *error);
