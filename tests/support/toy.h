/* What stands in for TLS where the layer of TLS in a stream is tested without OpenSSL: a module that is loaded as the real one is
 * (toy-module.c), and a NATS server that speaks the same.
 *
 * The handshake is lines: "CLIENT HELLO HOST", "SERVER HELLO", "CLIENT FINISHED". Then come records: a type, the size in two bytes, and the
 * bytes, each XOR 0x55. D: data; E: the end in order; U: the other side is to answer with u, as in an update of keys. */
#pragma once

#include <sys/types.h>

enum { TOY_URL_MAX = 64, TOY_HEADER = 3, TOY_XOR = 0x55, TOY_RECORD_MAX = 1 << 14 };

enum toy_way {
        TOY_GOOD,               /* answers requests to "echo" with what they say, others with 503 */
        TOY_BYTEWISE,           /* the same; what it writes until the login is taken comes byte by byte */
        TOY_JUNK,               /* no handshake, but something else */
        TOY_REFUSES,            /* "SERVER NO" */
        TOY_SILENT,             /* says nothing behind the greeting */
        TOY_CUTS_AT_ONCE,       /* closes behind the greeting, … */
        TOY_CUTS_HELLO,         /* … in the middle of its hello, … */
        TOY_CUTS_LOGIN,         /* … behind the handshake, … */
        TOY_CUTS_RECORD,        /* … in the middle of a record, */
        TOY_CUTS_REQUEST,       /* … when a request has come, … */
        TOY_ENDS_REQUEST,       /* … the same, but in order */
        TOY_INJECTS,            /* sends more in the clear behind its greeting */
        TOY_UPDATES,            /* sends many U before each answer */
        TOY_RESETS,             /* resets the connection in the handshake */
        TOY_DENIES_FIRST,       /* does not take the first login, and is good to the next connection */
        TOY_JUNK_FIRST,         /* no handshake at the first connection, the same */
};

/* Start it as a child, at a port of its own; its URL begins with tls://. */
pid_t toy_start(enum toy_way way, char url[TOY_URL_MAX]);
/* How many U it has had answered, and the first line of a login; of all connections so far. */
struct toy_seen {
        unsigned updates;
        unsigned requests;
        unsigned connections;
        char hello[64];
        char login[512];
};
const struct toy_seen *toy_seen(void);
/* Until it has had so many requests, and has answered all but the last of them. */
void toy_await_requests(unsigned count);
void toy_end(pid_t toy);
