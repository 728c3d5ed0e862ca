/* A set of patterns, found by their text. */
#include "session/subscriptions.h"

#include "util/list.h"
#include "util/map.h"
#include "util/sys.h"
#include "wire/pattern.h"

#include <errno.h>
#include <string.h>

struct subscriptions {
        struct map by_pattern;
        struct list all;
        size_t bytes;
        bool is_withdrawn;              /* one of them was, that had been in effect */
};

struct subscription {
        struct map_node node;
        struct list link;
        char pattern[];
};

static struct subscription *find(struct subscriptions *subscriptions, const char *pattern, size_t size)
{
        struct map_node *node = subscriptions ? map_find(&subscriptions->by_pattern, pattern, size) : NULL;

        return node ? container_of(node, struct subscription, node) : NULL;
}

bool subscriptions_have(struct subscriptions *subscriptions, const char *pattern, size_t size)
{
        return find(subscriptions, pattern, size);
}

static struct subscriptions *subscriptions_new(void)
{
        struct subscriptions *subscriptions = sys_alloc_zeroed(sizeof *subscriptions);

        if (!subscriptions)
                return NULL;
        map_init(&subscriptions->by_pattern);
        list_init(&subscriptions->all);
        return subscriptions;
}

int subscriptions_add(struct subscriptions **subscriptions, const char *pattern, size_t size, struct error *error)
{
        struct subscriptions *set = *subscriptions ? *subscriptions : subscriptions_new();
        struct subscription *subscription;

        *subscriptions = set;
        if (set && subscriptions_check_room(set->by_pattern.count, set->bytes, size, error) < 0)
                return error->code;
        subscription = set ? sys_alloc_zeroed(sizeof *subscription + size + 1) : NULL;
        if (!subscription)
                return error_set(error, -ENOMEM, "no memory for a subscription");
        memcpy(subscription->pattern, pattern, size);
        subscription->node.key = subscription->pattern;
        subscription->node.key_size = size;
        map_add(&set->by_pattern, &subscription->node);
        list_append(&set->all, &subscription->link);
        set->bytes += size;
        return 0;
}

static void drop(struct subscriptions *subscriptions, struct subscription *subscription)
{
        subscriptions->bytes -= subscription->node.key_size;
        map_remove(&subscriptions->by_pattern, &subscription->node);
        list_remove(&subscription->link);
        sys_free(subscription);
}

void subscriptions_remove(struct subscriptions *subscriptions, const char *pattern, size_t size)
{
        struct subscription *subscription = find(subscriptions, pattern, size);

        if (subscription)
                drop(subscriptions, subscription);
}

void subscriptions_withdraw(struct subscriptions *subscriptions, const char *pattern, size_t size)
{
        subscriptions_remove(subscriptions, pattern, size);
        /* gcc-analyzer: find() takes NULL for none, and this is not called then */
        subscriptions->is_withdrawn = true;
}

bool subscriptions_are_withdrawn(const struct subscriptions *subscriptions)
{
        return subscriptions && subscriptions->is_withdrawn && list_is_empty(&subscriptions->all);
}

int subscriptions_visit(const struct subscriptions *subscriptions, int (*fn)(void *object, const char *pattern), void *object)
{
        int code = 0;

        if (subscriptions)
                list_for_each(&subscriptions->all, link)
                        if (code >= 0)
                                code = fn(object, container_of(link, const struct subscription, link)->pattern);
        return code;
}

void subscriptions_free(struct subscriptions *subscriptions)
{
        if (!subscriptions)
                return;
        list_for_each(&subscriptions->all, link)
                drop(subscriptions, container_of(link, struct subscription, link));
        map_deinit(&subscriptions->by_pattern);
        sys_free(subscriptions);
}
