/* TLS over the socket of a stream, by the module libferry-tls (tls/module.h). It begins when its owner says so, since a server may
 * speak before that: nothing is read or written in the clear from then on. */
#pragma once

#include "stream/stream.h"
#include "tls/load.h"
#include "util/buffer.h"
#include "wire/dialect.h"

/* What a client is to use: how it trusts servers, and what it shows of itself. */
struct secure_means {
        const struct tls_module *module;        /* NULL: it was not needed yet */
        struct tls_settings settings;
        struct identity *identity;              /* NULL: none */
        char key[KEYS_KEY_TEXT];
        char signature[KEYS_SIGNATURE_TEXT];
        bool is_wanted;                         /* the options ask for TLS, whatever URL and server say */
        char texts[];
};

/* What the options say; files of keys are read. 0, with NULL if they say nothing and the module is not needed as far as is known; or a
 * negative errno with a sentence. */
int secure_means_of(const ferry_session_options *options, bool needs_module, struct secure_means **ret, struct error *error);
void secure_means_free(struct secure_means *means);
/* Sign what a server asks to be signed: 1 and the proof, whose texts are of @means; 0 if there is nothing to sign with. */
int secure_means_prove(struct secure_means *means, const char *nonce, struct wire_proof *ret, struct error *error);

enum secure_phase {
        SECURE_SHAKING,         /* the handshake goes on */
        SECURE_OPEN,
        SECURE_OVER,            /* it has failed, or was cut; the sentence says why */
};

struct secure {
        struct stream *stream;
        const struct tls_module *module;
        struct tls *tls;
        enum secure_phase phase;
        bool has_ended_input;   /* nothing more will be read, which the stream may not know yet … */
        int end;                /* … and why: 0 if that is in order, or a negative errno */
        bool has_ended_output;  /* the socket is shut down when all is written */
        struct buffer output;   /* what the socket has not taken yet */
        int output_error;       /* why the socket takes nothing more, which the stream does not know yet; 0: it does */
        struct loop_task look;  /* what was read of the socket has not been read of this, or not all could be written */
        struct loop_timer deadline;     /* of the handshake */
        char why[TLS_WHY_MAX];
};

/* Begin on the socket of an open stream. 0, or a negative errno with a sentence. */
int secure_start(struct stream *stream, const struct secure_means *means, const char *host, bool is_address, struct error *error);

/* For stream.c. As endpoint_read(), but that 0 is an end in order only, and endpoint_write(). */
ssize_t secure_read(struct secure *secure, void *buffer, size_t size);
ssize_t secure_write(struct secure *secure, struct iovec *slices, int count);
/* What to wait for on the socket. It is ready: false if the stream has ended by that, and may have been freed. */
uint32_t secure_events(const struct secure *secure, bool wants_read, bool wants_write);
bool secure_hear(struct secure *secure);
/* Whether something can be read without the socket, and can be written. */
bool secure_has_input(const struct secure *secure);
bool secure_can_write(const struct secure *secure);
/* It is to be read now. */
void secure_look(struct secure *secure);
/* No more is written: that is said, and the socket is shut down behind it. Write what is left; whether some still is. */
void secure_end_output(struct secure *secure);
bool secure_flush(struct secure *secure);
void secure_free(struct secure *secure);
