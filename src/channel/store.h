/* What the files of a store share. */
#pragma once

#include "channel/segment.h"
#include "channel/semaphore.h"
#include "channel/sysv.h"

#include <ferry/store.h>

struct ferry_store {
        ferry_store_options options;
        char *address;
        struct error error;             /* of the last call that failed */
        int failure;                    /* that it could not be opened; 0 */
        unsigned char *alive;           /* a page that is zero in a forked child */
        struct sysv_name name;
        struct semaphore lock;
        int id;                         /* of the segment that is attached; -1 */
        struct segment segment;
        bool is_read_only;
};

/* Whether this process has been forked from the one that opened the store. */
static inline bool store_is_foreign(const ferry_store *store)
{
        return store->alive && !*store->alive;
}

/* Attaches the segment that the address leads to now, unless it is attached already. 0; -ENOENT, or another negative errno,
 * with a sentence. */
int store_attach(ferry_store *store);

/* The same; a missing segment is made. */
int store_create(ferry_store *store);

void store_detach(ferry_store *store);

/* What a call wants of a segment that is missing. */
enum store_want {
        STORE_PRESENT,          /* that there is one; else -ENOENT, and no lock is made */
        STORE_MADE,             /* to make it */
        STORE_ANY,              /* nothing: the segment has no memory then */
};

/* Begins a call: takes the lock and attaches the segment. 0, or a negative errno with a sentence, and then the lock is not
 * held. */
int store_begin(ferry_store *store, enum store_want want);

/* Ends it. Without a segment there is no need for a lock that this store has made. */
void store_end(ferry_store *store);

/* Refuses a call: clears the last sentence, and returns the reason why the store cannot be used, or 0. */
int store_refuse(ferry_store *store);
