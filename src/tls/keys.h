/* Keys of NATS (nkeys): an Ed25519 key with a prefix that says of what, a checksum, in base32; and credentials, a file with a JWT and
 * the seed that belongs to it. */
#pragma once

#include "tls/module.h"

enum {
        KEYS_KEY_TEXT = 56 + 1,         /* a public key as text, with its zero … */
        KEYS_SIGNATURE_TEXT = 86 + 1,   /* … and a signature */
};

struct keys_text {
        const char *bytes;
        size_t size;
};

/* The seed of a user (SU…). False: it is none, or is spelled wrongly. */
bool keys_read_seed(const struct keys_text *text, unsigned char ret_seed[TLS_SEED_SIZE]);

void keys_write_key(const unsigned char key[TLS_KEY_SIZE], char ret_text[KEYS_KEY_TEXT]);
/* In base64 for URLs. */
void keys_write_signature(const unsigned char signature[TLS_SIGNATURE_SIZE], char ret_text[KEYS_SIGNATURE_TEXT]);

/* The seed in a file: marked as one, or a line that begins as one does; and the JWT, which must be marked. False: there is none. */
bool keys_find_seed(const char *bytes, size_t size, struct keys_text *ret);
bool keys_find_jwt(const char *bytes, size_t size, struct keys_text *ret);
