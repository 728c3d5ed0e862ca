/* The module for TLS and for keys of NATS, and what a client shows to a server to be let in. */
#pragma once

#include "tls/keys.h"
#include "util/error.h"

/* The module, which is loaded now if it was not: 0; or -EOPNOTSUPP with a sentence that says how to get it, and what to do instead. */
int tls_load(const struct tls_module **ret, struct error *error);

struct identity {
        unsigned char seed[TLS_SEED_SIZE];
        size_t jwt_size;
        char jwt[];                     /* with a zero; "": the server knows the key itself */
};

/* Those of a file: of credentials (a JWT and a seed), or of a seed alone. 0, or a negative errno with a sentence. */
int identity_read(const char *path, bool has_jwt, struct identity **ret, struct error *error);
void identity_free(struct identity *identity);
