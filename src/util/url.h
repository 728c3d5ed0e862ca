/* URLs of servers: [SCHEME://][USER[:PASSWORD]@]HOST[:PORT][/], and lists of them with commas between. Texts point into the list;
 * USER and PASSWORD may have bytes as %XX. */
#pragma once

#include "util/error.h"

#include <stdbool.h>

struct url_text {
        const char *bytes;      /* NULL: there is none */
        size_t size;
};

struct url {
        struct url_text user;
        struct url_text password;
        struct url_text place;  /* HOST or HOST:PORT */
        bool has_port;
        bool is_secure;         /* the scheme is tls */
};

enum { URL_TEXT_MAX = 1024 };   /* bytes of a user or a password */

/* The next URL of a list, whose scheme is that, tls, or missing; the list moves on. 1; 0 if there is none; or -EINVAL with a sentence
 * that names the option SCHEME_url, and none of its secrets. */
int url_next(const char **list, const char *scheme, struct url *ret, struct error *error);

/* A user or a password without its escapes, in URL_TEXT_MAX + 1 bytes; returns its size. url_next() has checked it. */
size_t url_decode(const struct url_text *text, char *target);
