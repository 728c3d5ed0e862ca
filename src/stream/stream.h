/* Streams: what moves the bytes of a session. One struct for all kinds; no caller asks which it is.
 *
 * A stream is opened, reports that it is up, and then when it can be read or written. At the end of what can be read
 * it reports that it has ended, once, after all bytes were read, with a sentence about why. Closing it goes on in
 * the background until it reports that it has closed. */
#pragma once

#include "loop/loop.h"
#include "stream/endpoint.h"
#include "stream/passing.h"
#include "wire/dialect.h"

enum {
        STREAM_INPUTS = 2,      /* the second is one more descriptor to read, which only users ask for */
        STREAM_LINGER_MS = 100, /* between the end of what a child writes and its own end */
};

struct stream;

/* What a stream reports to its owner. They may free it. */
struct stream_owner {
        void (*opened)(struct stream *stream);
        void (*readable)(struct stream *stream);
        void (*writable)(struct stream *stream);
        /* A line that is no part of the conversation: what a child has written to its stderr. */
        void (*text)(struct stream *stream, const char *source, const char *bytes, size_t size);
        /* Nothing more can be read. @code 0: in order; the sentence is there in any case. */
        void (*ended)(struct stream *stream, int code, const char *sentence);
        /* Closing is done. @code: 0, or how a child has failed meanwhile, with a sentence. */
        void (*closed)(struct stream *stream, int code, const char *sentence);
};

/* Where a stream lives, and the owner that it reports to. */
struct stream_place {
        ferry_loop *loop;
        const struct stream_owner *owner;
        void *object;           /* the owner's */
        int linger_ms;          /* how long the exit of a child may follow the end of its output; 0: STREAM_LINGER_MS */
        const char *servers;    /* of which a server of nats: has spoken: URLs with commas between; NULL: none */
};

/* What the servers other than that of a stream are good for, which does not take a session. */
enum stream_hope {
        HOPE_NONE,              /* all that were tried have refused for good */
        HOPE_LATER,             /* one could not be reached, or has failed in a way that passes */
        HOPE_SOON,              /* the same, and it is waited for: the time of `wait_ms` is not over */
        HOPE_NOW,               /* one was not tried yet */
};

struct stream_kind {
        const char *name;
        bool has_junk;          /* other code may write to it, too */
        const char *junk_source;        /* the name of its first input in messages about junk; NULL: "input" */
        bool is_client;         /* it has connected to a service */
        bool is_unix;           /* by a unix socket, once it is open */
        bool ends_in_order;     /* no close is expected: it is a file, or a child whose status says how it has ended */
        /* Any of these may be NULL. The main input has ended: true if the end is to be reported later. */
        bool (*input_ended)(struct stream *stream);
        /* The child at the other side, as long as its end was not reported; else 0. */
        pid_t (*child)(const struct stream *stream);
        /* The exit status of a child, 128 and the signal that has killed it, or -ECHILD. */
        int (*exit_status)(const struct stream *stream);
        /* Whether nothing that was written has reached the peer, as is known once the end was reported. */
        bool (*is_unreached)(const struct stream *stream);
        /* What has stopped the child, as a phrase; false: nothing has. */
        bool (*describe_stop)(const struct stream *stream, char *text, size_t size);
        /* Which dialects the service at the other side says that it speaks: see stream_spoken(). */
        int (*spoken)(const struct stream *stream);
        /* Whether that service says that it goes on at other descriptors, see replaced.h. */
        bool (*is_replaceable)(const struct stream *stream);
        /* See stream_hope() and stream_open_next(). */
        enum stream_hope (*hope)(const struct stream *stream);
        int (*open_next)(struct stream *stream, int code, struct stream **ret_stream, struct error *error);
        /* See stream_secure() and stream_prove(). */
        int (*secure)(struct stream *stream, const struct wire_greeting *greeting, bool has_more, struct error *error);
        int (*prove)(struct stream *stream, const char *nonce, struct wire_proof *ret, struct error *error);
        size_t (*proof_size)(const struct stream *stream);
        void (*forget_means)(struct stream *stream);
        /* Tell the end, as all there is to read has been read. */
        void (*end)(struct stream *stream);
        /* Close; true if that goes on in the background. */
        bool (*close)(struct stream *stream, int64_t grace_ns);
        /* Let go of what is its own, once. */
        void (*release)(struct stream *stream, bool is_foreign);
};

/* Only stream.c changes it, and only forward. */
enum stream_phase {
        STREAM_ALIVE,           /* being opened, or open */
        STREAM_ENDED,           /* its end was reported */
        STREAM_CLOSING,
        STREAM_CLOSED,          /* it has no descriptors */
        STREAM_FREED,
};

/* Whether its peer may pass what it goes on at, see replaced.h: only before anything else is said on either side. */
enum stream_replacing {
        REPLACING_NEVER,
        REPLACING_EXPECTED,
        REPLACING_MISSED,       /* this side has written, but has not read what the peer may have sent before it knew */
};

struct stream {
        const struct stream_kind *kind;
        const struct stream_owner *owner;
        void *object;
        ferry_loop *loop;
        struct endpoint inputs[STREAM_INPUTS];
        struct endpoint output;
        struct loop_source in_sources[STREAM_INPUTS];
        struct loop_source out_source;          /* unless it is the same descriptor as the first input's */
        struct loop_timer linger;               /* runs out: end now */
        struct loop_grave grave;
        enum stream_phase phase;
        bool is_input_ended[STREAM_INPUTS];
        bool wants_read;
        bool wants_write;
        bool is_open;           /* it has been opened; stays */
        bool is_linger_put_off;
        bool is_only_written;   /* it has no input, nor will have */
        bool is_peer_known;
        bool is_unix;           /* one socket of that family moves its bytes */
        int input_error;        /* -ECONNRESET: the end of the input came by a broken connection */
        int output_error;
        uint64_t taken;         /* bytes that were read of the main input */
        char *child_end;        /* of a child that another object watches: how it has ended, once it has … */
        int child_code;         /* … and whether that was in order */
        int passed_below;       /* descriptors with lower numbers may come together with bytes; 0: none is expected */
        struct moved *moved;    /* to shared memory; NULL: not, see moved.h */
        struct secure *secure;          /* TLS, see secure.h; NULL: the bytes are those of the socket */
        enum stream_replacing replacing;
        struct replaced *replaced;      /* the socket that it had first, see replaced.h; NULL: it stands on that */
        struct passing *passing;        /* descriptors that have come with the bytes; NULL: none has */
        int room;               /* that a socket has for what is sent and not yet received; 0: unknown */
        ferry_peer peer;
};

/* open.c: open a stream. Each returns 0 and the stream, or a negative errno with a sentence in @error. Nothing is reported
 * before the next round. */
int stream_open(const struct stream_place *place, const char *address, const ferry_session_options *options,
                struct stream **ret_stream, struct error *error);

/* Of a service: a client's socket, which is taken over. */
int stream_accept(const struct stream_place *place, int fd, struct stream **ret_stream);

/* Descriptors that lead to a child, or a socket to our parent, which are taken over. The object that watches a child reports when
 * it has ended, and how: then, or soon after it has closed its side, the stream ends. */
int stream_open_relative(const struct stream_place *place, const int fds[2], const ferry_peer *peer, bool is_child,
                         struct stream **ret_stream, struct error *error);
void stream_child_ended(struct stream *stream, int code, const char *sentence);

/* What the other servers, which do the same as that of this stream, are good for. */
enum stream_hope stream_hope(const struct stream *stream);
/* From HOPE_SOON on: open a stream to another server, as this one has failed with @code. It is not up yet, and reports to the same owner.
 * This one knows no server any more, and is to be freed. 0, or a negative errno with a sentence. */
int stream_open_next(struct stream *stream, int code, struct stream **ret_stream, struct error *error);
/* A server has greeted, and is to be sent a login: go on by TLS, if it, its address or the options want that. @has_more: more has come
 * behind the greeting. 0, or a negative errno with a sentence; what is written from now on waits for the handshake. */
int stream_secure(struct stream *stream, const struct wire_greeting *greeting, bool has_more, struct error *error);
/* Sign what the server asks for (NULL: nothing): 1 and the proof, whose texts live as long as the stream; 0: there is no key; or a
 * negative errno with a sentence. */
int stream_prove(struct stream *stream, const char *nonce, struct wire_proof *ret, struct error *error);
/* How many bytes the texts of that proof have; 0: there is no key. */
size_t stream_proof_size(const struct stream *stream);
/* The server has taken the login: none of its secrets is needed any more, as no other server will be tried. */
void stream_forget_means(struct stream *stream);

/* Read what is there: how much, 0 if there is nothing now, or a negative errno, after which the stream ends. */
ssize_t stream_read(struct stream *stream, int input, void *buffer, size_t size);

/* How many bytes of an input can be read now, or a negative errno if the stream cannot say. */
int stream_count_input(const struct stream *stream, int input);
/* Whether any input can be read now. */
bool stream_is_readable(const struct stream *stream);

/* Write what is taken of some slices: how much; 0 if nothing is taken now; -ETOOMANYREFS if the kernel passes no descriptor
 * now, and that of an offer would go with them; another negative errno if nothing ever will be. */
ssize_t stream_write(struct stream *stream, struct iovec *slices, int count);

/* Whether descriptors can be passed, by a unix socket, as far as that is known before it is open. Expect some from now on, with numbers
 * lower than @below. Take those that have come first, which are the caller's; NULL: none has come. */
bool stream_passes(const struct stream *stream);
void stream_expect_passed(struct stream *stream, int below);
struct passed *stream_take_passed(struct stream *stream);
/* The same as stream_write(), and the descriptors go with the first byte or before. Whether they have left. -ETOOMANYREFS: too many
 * of this user are on their way; nothing has failed. */
ssize_t stream_write_passing(struct stream *stream, struct iovec *slices, int count, const int *fds, size_t fd_count,
                             bool *ret_has_passed);

static inline ssize_t stream_write_bytes(struct stream *stream, const void *bytes, size_t size)
{
        struct iovec slice = { (void *)(uintptr_t)bytes, size };

        return stream_write(stream, &slice, 1);
}
/* Send bytes with copies of some descriptors, at once, by a unix socket that has not moved: how much was taken, or a negative errno. */
ssize_t stream_write_with(struct stream *stream, const void *bytes, size_t size, const int *fds, size_t count);
/* Say that the connection is lost because a write has failed with that errno. Returns the code of @error. */
int stream_explain_failed_write(int put, struct error *error);

/* For those whose other side reads a frame at once: see to it that a socket takes as much at once as it can, up to @size;
 * how much that is. And whether it takes that much now. */
size_t stream_make_room(struct stream *stream, size_t size);
bool stream_has_room(const struct stream *stream, size_t size);

/* Whether it should report when it can be read, written. */
void stream_change_reading(struct stream *stream, bool wants);
void stream_change_writing(struct stream *stream, bool wants);

static inline void stream_want_read(struct stream *stream, bool wants)
{
        if (stream->wants_read != wants)
                stream_change_reading(stream, wants);
}

static inline void stream_want_write(struct stream *stream, bool wants)
{
        if (stream->wants_write != wants)
                stream_change_writing(stream, wants);
}

/* Whether bytes may still come; be sent. */
static inline bool stream_has_input(const struct stream *stream)
{
        return stream->inputs[0].way != ENDPOINT_NONE && !stream->is_input_ended[0] && stream->phase < STREAM_ENDED;
}
/* Whether it was made without an input. */
bool stream_is_one_way(const struct stream *stream);
/* Whether no answer can ever come, also while it is still being opened. */
bool stream_is_only_written(const struct stream *stream);
static inline bool stream_has_output(const struct stream *stream)
{
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a session has its stream until its phase is over */
        return stream->output.way != ENDPOINT_NONE || !stream->is_open;
}

/* Whether the other side is expected to take its leave where the dialect can: it must know that it is read. */
bool stream_expects_close(const struct stream *stream);

/* The dialects that the service at the other side says that it speaks, a set; 0 if it does not say so; or a negative errno. */
int stream_spoken(const struct stream *stream);

/* Bytes that a pipe has taken, although no process will read them; SIZE_MAX: none of all has reached the peer. */
size_t stream_count_lost(const struct stream *stream);

/* Whether the other side still reads, as far as the kernel can say. */
bool stream_is_read(const struct stream *stream);

/* Whether it is being closed, and a child is still to be heard until it has exited. */
bool stream_hears_child(const struct stream *stream);

/* The exit status of the child at the other side, once its end was reported; 128 and the signal that has killed it. -ECHILD:
 * there is none, or it is not known. */
int stream_exit_status(const struct stream *stream);

/* Whether its input has come to an end, and its own end will soon be reported. */
bool stream_is_ending(const struct stream *stream);

/* Write no more, but still read. The other side learns of it although this process may have the same socket as another
 * descriptor. */
void stream_end_output(struct stream *stream);

/* Write no more, and end, within @grace_ms; a child that has not ended by then is asked to, and after as long again
 * (1 s if there was no grace) killed. */
void stream_close(struct stream *stream, int grace_ms);

/* At once, whatever it does. */
void stream_free(struct stream *stream);

/* For the kinds of streams. */
void stream_init(struct stream *stream, const struct stream_kind *kind, const struct stream_place *place);
int stream_start(struct stream *stream);        /* the endpoints are there: it is up; 0 or a negative errno */
/* Opening that went on in the background has come to @code. Whether the stream is up, which its owner has been notified of; else
 * why not, for stream_fail(), which lets go of the error. */
bool stream_come_up(struct stream *stream, int *code);
void stream_fail(struct stream *stream, int code, struct error *error);
void stream_end(struct stream *stream, int code, const char *format, ...)
        __attribute__((__cold__, __format__(__printf__, 3, 4)));
int stream_read_peer(struct stream *stream);    /* the credentials of the other side, if they are known: 0 or a negative errno */
/* Closing is done; 0, or how a child has failed meanwhile. */
void stream_closed(struct stream *stream, int code, const char *format, ...)
        __attribute__((__format__(__printf__, 3, 4)));
void stream_fail_output(struct stream *stream, int put);        /* a write has failed with that errno */
void stream_update(struct stream *stream);      /* what the loop waits for has changed */
bool stream_drain(struct stream *stream);       /* let the owner read what is there; whether it still lives */
void stream_close_output(struct stream *stream);
