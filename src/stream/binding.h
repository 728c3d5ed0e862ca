/* A socket of ours that is bound to a path in the file system, of streams or of datagrams. */
#pragma once

#include "stream/held.h"
#include "util/error.h"

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

struct binding {
        struct sockaddr_un address;
        struct held held;     /* its directory is held as long as the socket stands there */
        int type;
        unsigned mode;
        gid_t group;            /* (gid_t)-1: ours */
        int fd;                 /* -1: none */
        int lock;               /* the lock file beside it; -1: none */
        bool is_bound;          /* the path is ours, and this is the file: */
        dev_t device;
        ino_t number;
};

void binding_init(struct binding *binding);

/* Bind a socket of that type to a path. @mode 0: 0600; @group NULL: ours. 0; or a negative errno, with a sentence where there
 * is more to say. Then binding_close() lets go of what there is. */
int binding_open(struct binding *binding, const char *path, int type, unsigned mode, const char *group, struct error *error);

/* Take over a socket that is bound to the path, and its lock (-1: it has none, and neither is removed later), from another process of
 * the same user. 0; or a negative errno with a sentence, and then both are not taken over. */
int binding_inherit(struct binding *binding, const char *path, int fd, int lock, struct error *error);
/* The other process gives it away: neither the socket nor the lock is removed here. */
void binding_leave(struct binding *binding);

/* Whether its path still leads to the socket. */
bool binding_is_named(const struct binding *binding);

/* Bind a new socket to the path, from which the old one has gone. 0 and the old socket, which is the caller's; or a negative
 * errno with a sentence, and then nothing has changed. */
int binding_renew(struct binding *binding, int *ret_old_fd, struct error *error);

/* Its owner can be reached now, and speaks these dialects. */
void binding_publish(const struct binding *binding, unsigned dialects);

/* Close it, and remove what it has in the file system; in a forked child only close. */
void binding_close(struct binding *binding, bool is_foreign);
