/* What one side of a session has subscribed to: a set of patterns. It knows no session. */
#pragma once

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>

struct subscriptions;

/* Add a pattern, which is not in the set; the set is made where there is none. 0, or -ENOMEM or -ENOSPC with a sentence. */
int subscriptions_add(struct subscriptions **subscriptions, const char *pattern, size_t size, struct error *error);
bool subscriptions_have(struct subscriptions *subscriptions, const char *pattern, size_t size);
/* Remove it, if it is in the set, as it has not come into effect. */
void subscriptions_remove(struct subscriptions *subscriptions, const char *pattern, size_t size);
/* Remove a pattern that is in the set. */
void subscriptions_withdraw(struct subscriptions *subscriptions, const char *pattern, size_t size);
/* Whether the set is empty, and was not. */
bool subscriptions_are_withdrawn(const struct subscriptions *subscriptions);
/* Call @fn for each pattern, in the order in which they were added, until it returns less than 0: that, or 0. NULL: there are none. */
int subscriptions_visit(const struct subscriptions *subscriptions, int (*fn)(void *object, const char *pattern), void *object);
void subscriptions_free(struct subscriptions *subscriptions);
