/* One socket that is listened at. */
#pragma once

#include "loop/loop.h"

#include <ferry/service.h>

#include <sys/un.h>

struct listener {
        ferry_loop *loop;
        unsigned dialects;      /* of those who come here; 0: as the service's sessions have it */
        unsigned spoken;        /* what others may take that for: a set of dialects, as the lock file says it */
        char *address;          /* in full; NULL: it never listened */
        struct sockaddr_un path;
        int fd;                 /* -1: it does not listen */
        int lock;
        bool is_bound;          /* the path is ours */
        struct loop_source source;
        struct loop_timer rest;
        int64_t rest_ns;        /* of the last one; 0: a client has come since */
        /* A client has come, whose descriptor is taken over; a probe only asks whether anybody answers. Returns whether to
         * go on. */
        bool (*came)(struct listener *listener, int fd, bool is_probe);
        void *object;           /* the owner's */
};

void listener_init(struct listener *listener, ferry_loop *loop, bool (*came)(struct listener *listener, int fd, bool is_probe),
                   void *object);

/* Begin to listen at an address. 0, or a negative errno with a sentence. */
int listener_open(struct listener *listener, const char *address, const ferry_service_options *options,
                  struct error *error);

/* Listen no more; what it has in the file system goes. */
void listener_close(struct listener *listener);

/* Something was let go of: a listener that had no descriptor left for who wants to come looks again. */
void listener_wake(struct listener *listener);

void listener_deinit(struct listener *listener);
