/* PHP itself, as a peer that serializes the same bytes. */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct php_peer {
        pid_t pid;
        FILE *stream;           /* NULL: there is no PHP here */
};

/* Start it with what it is to work on. */
struct php_peer php_start(const void *bytes, size_t size);
void php_stop(struct php_peer *peer);

/* Nanoseconds for one unserialize() and one serialize(), over @loops each. */
void php_measure(const struct php_peer *peer, int loops, double *ret_decode, double *ret_encode);
