/* Descriptors that travel with the bytes of a unix socket. Those of one sendmsg(2) come by one recvmsg(2), with the first of its
 * bytes, so they are kept as they came, in their order, until the frame that announces them is handled. */
#pragma once

#include "util/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
        PASSED_MAX = 32,                /* that go together */
        PASSED_WAITING_MAX = 512,       /* that have come and were not announced: a peer that sends more is ended */
};

/* What came together. */
struct passed {
        struct list link;
        size_t count;
        bool is_cut;                    /* there were more, for which no descriptor, or no memory, was left */
        int fds[];                      /* -1: taken */
};

struct passing {
        struct list waiting;
        size_t pieces;                  /* in that list, … */
        size_t count;                   /* … and descriptors in these */
        bool is_flooded;                /* too many came */
};

void passing_free(struct passing *passing);

/* Read bytes, and keep what comes with them, in an object that is made when there is something. Descriptors are closed, as where none
 * is left, if one of them has the number @below or a higher one. The results of sys_recv(). */
ssize_t passing_receive(struct passing **passing, int socket, int below, void *buffer, size_t size);
/* Whether anything waits; NULL is allowed. */
static inline bool passing_has(const struct passing *passing)
{
        return passing && !list_is_empty(&passing->waiting);
}
/* What came first, for the caller; NULL: nothing waits. */
struct passed *passing_take(struct passing *passing);
/* Closes what was not taken; NULL is allowed. */
void passed_free(struct passed *passed);

/* Write bytes, and descriptors with the first of them. The results of sys_send_message(). */
ssize_t passing_send(int socket, struct iovec *slices, int count, const int *fds, size_t fd_count);
