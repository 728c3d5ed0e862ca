/* What the module libferry-tls is to the library, which needs nothing but the C library without it. It is loaded when TLS or a key of
 * NATS is asked for: a shared object that exports `ferry_tls_module`.
 *
 * The module has no descriptor and no clock: it turns bytes into other bytes. What comes from the other side is fed to it; what it
 * wants to send is taken from it. All functions are called in one thread; none keeps a pointer that it is given. A negative errno
 * comes with a sentence, where there is a place for one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
        TLS_MODULE_VERSION = 1,         /* of this interface: another number, and the module is not used */
        TLS_WHY_MAX = 512,              /* bytes of a sentence, with its zero */
        TLS_SEED_SIZE = 32,             /* of Ed25519: the private key … */
        TLS_KEY_SIZE = 32,              /* … the public key … */
        TLS_SIGNATURE_SIZE = 64,        /* … and what they are for */
};

/* One connection, as a client. */
struct tls;

struct tls_settings {
        const char *ca;                 /* a file of certificates in PEM, which are trusted; NULL: those of the system */
        const char *certificate;        /* files of this side in PEM, both or none: its certificates, the own one first, … */
        const char *key;                /* … and its private key, which no password protects */
};

struct tls_module {
        unsigned version;               /* the first field for ever */
        const char *library;            /* what it is made of, with its version */

        /* A connection to @host: its name, which the certificate of the other side must have, or its address if @is_address.
         * -EINVAL: a file says nothing that can be used; -ENOMEM. */
        int (*open)(const struct tls_settings *settings, const char *host, bool is_address, struct tls **ret, char why[TLS_WHY_MAX]);
        void (*free)(struct tls *tls);

        /* Bytes from the other side, all of which are taken: 0 or -ENOMEM. Whether some of them were not used yet, or were, and can
         * be read. */
        int (*feed)(struct tls *tls, const void *bytes, size_t size);
        bool (*has_input)(const struct tls *tls);
        /* Bytes for the other side: how many there are, and take at most @size of them. */
        size_t (*count_output)(const struct tls *tls);
        size_t (*take)(struct tls *tls, void *buffer, size_t size);

        /* The functions below return -EAGAIN if they need more bytes of the other side, and what they want to send may have grown
         * whatever they return. -EKEYREJECTED: the certificate of the other side is not trusted, or is not that of the host; -EACCES:
         * the other side does not trust this one; -EPROTO: anything else that is wrong. */
        /* Go on with the handshake: 0 when it is done. */
        int (*shake_hands)(struct tls *tls, char why[TLS_WHY_MAX]);
        /* How much was read; 0: the other side has ended its output in order. */
        ssize_t (*read)(struct tls *tls, void *buffer, size_t size, char why[TLS_WHY_MAX]);
        /* How much was written, of which all is for the other side now; only behind the handshake. */
        ssize_t (*write)(struct tls *tls, const void *bytes, size_t size, char why[TLS_WHY_MAX]);
        /* Nothing more is written: say so. */
        void (*end_output)(struct tls *tls);

        /* Sign by Ed25519, and say which public key that is. 0, or -ENOMEM. */
        int (*sign)(const unsigned char seed[TLS_SEED_SIZE], const void *bytes, size_t size,
                    unsigned char ret_signature[TLS_SIGNATURE_SIZE], unsigned char ret_key[TLS_KEY_SIZE]);
};

/* Its name in the module. */
#define TLS_MODULE_SYMBOL "ferry_tls_module"
