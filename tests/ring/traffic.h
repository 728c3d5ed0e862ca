/* Messages of random sizes through a duplex of rings, each with its number, its size and a checksum of both, and with bytes that
 * follow from its number. A side sleeps in poll(2) when there is nothing to do. Nothing here fails a test by itself, so that it
 * can run in threads and in other processes: the first failure is a text. */
#pragma once

#include "ring/duplex.h"

struct traffic {
        struct ring_duplex *duplex;
        uint64_t count;
        unsigned seed;
        int64_t patience_ns;            /* to look for this long before sleeping */
        uint64_t done;                  /* messages */
        uint64_t sleeps;
        char failure[200];              /* empty: none */
};

/* Write @count messages, then close; read as many, and the end. */
void traffic_send(struct traffic *traffic);
void traffic_receive(struct traffic *traffic);
/* Both at once. */
void traffic_exchange(struct traffic *out, struct traffic *in);

/* Two ends of new rings of that size, with their sockets, which are theirs. */
void traffic_open(struct ring_duplex duplexes[2], uint32_t size);
/* The same over one mapping, which belongs to the first: ThreadSanitizer knows memory by its addresses. */
void traffic_open_together(struct ring_duplex duplexes[2], uint32_t size);
void traffic_close(struct ring_duplex *duplex);

/* Write without end into the memory of both sides: numbers that look right by and by, so that the other side goes far, and any
 * bytes everywhere else. */
_Noreturn void traffic_scribble(struct ring_duplex *duplex, uint64_t seed);
