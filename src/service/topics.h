/* Which clients have subscribed to what: an index of patterns, part by part, so that finding the subscribers of a type takes at
 * most two steps for each part of it and each place that was found so far, however many clients there are. It knows no client. */
#pragma once

#include "util/error.h"
#include "util/list.h"
#include "util/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a client is for the index. */
struct subscriber {
        struct list subscriptions;
        size_t count, bytes;            /* of them: their number, and the bytes of their patterns */
        size_t cost;                    /* memory, at most */
        uint64_t search;                /* the last search that has found it */
};

struct topics {
        struct map nodes;               /* by the pattern up to there */
        struct map subscriptions;       /* by subscriber and pattern */
        uint64_t searches;
};

void topics_init(struct topics *topics);
void topics_deinit(struct topics *topics);
void subscriber_init(struct subscriber *subscriber);

/* Memory that one more subscription may take. */
size_t topics_cost(const char *pattern, size_t size);
bool topics_have(struct topics *topics, const struct subscriber *subscriber, const char *pattern, size_t size);
/* Add a well-formed pattern that the subscriber does not have: 0 or -ENOMEM. */
int topics_add(struct topics *topics, struct subscriber *subscriber, const char *pattern, size_t size);
/* Remove one, if it is there; or all. */
void topics_remove(struct topics *topics, struct subscriber *subscriber, const char *pattern, size_t size);
void topics_remove_all(struct topics *topics, struct subscriber *subscriber);

/* Call @found once for each subscriber that has a pattern which matches a type. It must not change the index. */
void topics_find(struct topics *topics, const char *type, void (*found)(void *object, struct subscriber *subscriber),
                 void *object);
