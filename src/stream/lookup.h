/* The addresses of a host by its name. getent(1) looks it up in a child, as the system is configured (files, DNS, …): the functions
 * of the C library would block, or need a thread. */
#pragma once

#include "loop/child.h"
#include "stream/captured.h"
#include "stream/inet.h"

enum {
        LOOKUP_ADDRESSES_MAX = 16,      /* that are used of a host; the others are ignored */
        LOOKUP_NAME_MAX = 253,
};

struct lookup {
        struct child child;
        struct captured output;
        struct loop_grave grave;
        void (*done)(void *object);     /* the child has ended; may free the lookup */
        void *object;
        bool is_freed;
        in_port_t port;
        int count;                      /* of addresses, in the order in which they are to be tried */
        union inet_address addresses[LOOKUP_ADDRESSES_MAX];
        struct error error;             /* why there are none */
        char name[LOOKUP_NAME_MAX + 1];
};

/* Whether the text can be the name of a host: letters, digits, hyphens and underscores, with dots between; it does not begin with
 * a hyphen, so it is no option of getent, and is no number, which getent would read in forms of old. */
bool lookup_name_is_valid(const char *name, size_t size);

/* Look a valid name up; each address gets that port. 0, or a negative errno with a sentence, and nothing is called. */
int lookup_start(ferry_loop *loop, const char *name, in_port_t port, void (*done)(void *object), void *object,
                 struct lookup **ret, struct error *error);

/* Whether it still runs. */
bool lookup_is_running(const struct lookup *lookup);

/* Also while it runs: the child is killed. */
void lookup_free(struct lookup *lookup);
