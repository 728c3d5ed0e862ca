/* One socket that listens. */
#pragma once

#include "loop/loop.h"
#include "stream/keeper.h"

#include <sys/socket.h>

struct listener_options {
        const char *name_directory;     /* of the socket of a NAME; NULL: as the dialect has it */
        unsigned mode;                  /* of the socket, where that is a file; 0: 0600 */
        const char *group;              /* of it; NULL: ours */
        bool is_public;                 /* tcp: at an address that other machines can reach */
};

struct listener;

/* A client has come, whose descriptor is taken over. Returns whether to go on. */
typedef bool listener_came_fn(struct listener *listener, int fd, const struct sockaddr *client, socklen_t size);

enum { LISTENER_BACKLOG = 128 };        /* so many clients wait to be accepted, and one more */

/* Its socket file was removed or replaced, and it cannot listen at the path again. */
typedef void listener_lost_fn(struct listener *listener, int code, const char *sentence);

struct listener {
        ferry_loop *loop;
        unsigned dialects;      /* of clients that come here; 0: as the service's sessions have it */
        unsigned spoken;        /* what others may take that for: a set of dialects, as the lock file says it */
        char *address;          /* in full; NULL: it never listened */
        struct binding binding; /* of tcp it is only the descriptor */
        struct loop_source source;
        struct loop_timer rest;
        int64_t rest_ns;        /* of the last one; 0: a client has come since */
        struct keeper keeper;   /* of its socket file, once it was started */
        listener_came_fn *came;
        listener_lost_fn *lost;
        void (*short_of)(struct listener *listener);    /* no descriptor is left for a client; NULL, or to make room */
        void (*renewed)(struct listener *listener);     /* of listener_keep() */
        bool may_block;         /* its socket was made by others, and would block where no client waits */
        int old_fd;             /* of a file that was removed, for such an owner: its clients are taken first; -1: none */
        void *object;           /* the owner's */
};

void listener_init(struct listener *listener, ferry_loop *loop, listener_came_fn *came, listener_lost_fn *lost, void *object);

/* Begin to listen at an address. 0, or a negative errno with a sentence. */
int listener_open(struct listener *listener, const char *address, const struct listener_options *options,
                  struct error *error);

/* The same with a socket that listens already, made by others: nothing of it is changed, and nothing goes with it. It is taken over
 * unless this fails. */
int listener_adopt(struct listener *listener, int fd, struct error *error);

/* The path at which listener_open() would make a socket: 0, -EOPNOTSUPP if it would make none, or what listener_open() returns. */
int listener_find(struct listener *listener, const char *address, const struct listener_options *options, char *path, size_t size,
                  struct error *error);

/* Begin to listen at a path, with a socket and its lock (or -1) that were taken over from another process. 0; or a negative errno with
 * a sentence, and then they are still the caller's. */
int listener_inherit(struct listener *listener, const char *path, int fd, int lock, struct error *error);
/* It is the owner of the lock from now on: 0, or a negative errno. */
int listener_claim(struct listener *listener);
/* Another process listens there: take no more clients, and leave what it has in the file system. */
void listener_leave(struct listener *listener);

/* Call came() for each client from now on, and bind the path again when its socket file is gone. 0, or a negative errno with
 * a sentence. */
int listener_start(struct listener *listener, struct error *error);

/* The same for an owner that takes clients itself: @renewed is called when the binding has another descriptor. */
void listener_keep(struct listener *listener, void (*renewed)(struct listener *listener));

/* Take one client, for an owner that has not called listener_start(): its descriptor and address; -EAGAIN if there is
 * none, or another negative errno. */
int listener_accept(struct listener *listener, struct sockaddr_storage *ret_client, socklen_t *ret_size);

/* Listen no more; what it has in the file system goes. */
void listener_close(struct listener *listener);

/* Something was let go of: a listener that had no descriptor left for a client looks again. */
void listener_wake(struct listener *listener);

void listener_deinit(struct listener *listener);
