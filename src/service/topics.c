/* The index of subscriptions. There is a node for each beginning of a pattern that ends with a part, found by its text; the node
 * of "a.*" has the node of "a" as its parent. A subscription stands at the node of its whole pattern, or, if that ends with `>`,
 * among the rests of the node before it. Invariants: a node is there as long as it has a child or a subscription; a search visits
 * at most one node and one rest for each way to take each part of the type as it is or as `*`, so 2 to the power of its parts,
 * whatever clients have subscribed to. */
#include "service/topics.h"

#include "util/sys.h"
#include "wire/pattern.h"

#include <errno.h>
#include <string.h>

struct topic {
        struct map_node node;
        struct topic *parent;           /* NULL: this one stands for no part at all, before the first */
        size_t uses;                    /* children and subscriptions */
        struct list exact;              /* subscriptions to this pattern … */
        struct list rest;               /* … and to this and `.>` */
        char text[];
};

struct subscription {
        struct map_node node;
        struct topic *topic;
        struct subscriber *subscriber;
        struct list topic_link;
        struct list link;               /* among those of its subscriber */
        size_t cost;
        char key[];                     /* the subscriber, and the pattern */
};

enum { KEY_MAX = sizeof(struct subscriber *) + PATTERN_MAX };

void topics_init(struct topics *topics)
{
        *topics = (struct topics){ 0 };
        map_init(&topics->nodes);
        map_init(&topics->subscriptions);
}

void topics_deinit(struct topics *topics)
{
        map_deinit(&topics->nodes);
        map_deinit(&topics->subscriptions);
}

void subscriber_init(struct subscriber *subscriber)
{
        *subscriber = (struct subscriber){ 0 };
        list_init(&subscriber->subscriptions);
}

size_t topics_cost(const char *pattern, size_t size)
{
        size_t parts = 1;

        for (size_t i = 0; i < size; i++)
                parts += pattern[i] == '.';
        return sizeof(struct subscription) + sizeof(struct subscriber *) + size + (parts + 1) * sizeof(struct topic) + parts * size;
}

/* Nodes ------------------------------------------------------------------------------------------------------ */

static struct topic *find_topic(struct topics *topics, const char *text, size_t size)
{
        struct map_node *node = map_find(&topics->nodes, text, size);

        return node ? container_of(node, struct topic, node) : NULL;
}

/* One that is no longer used goes, and so may those before it. */
static void release(struct topics *topics, struct topic *topic)
{
        while (topic && topic->uses == 0) {
                struct topic *parent = topic->parent;

                map_remove(&topics->nodes, &topic->node);
                sys_free(topic);
                if (parent)
                        parent->uses--;
                topic = parent;
        }
}

static struct topic *make_topic(struct topics *topics, struct topic *parent, const char *text, size_t size)
{
        struct topic *topic = sys_alloc_zeroed(sizeof *topic + size);

        if (!topic)
                return NULL;
        memcpy(topic->text, text, size);
        topic->node.key = topic->text;
        topic->node.key_size = size;
        topic->parent = parent;
        list_init(&topic->exact);
        list_init(&topic->rest);
        map_add(&topics->nodes, &topic->node);
        if (parent)
                parent->uses++;
        return topic;
}

/* The node at which a subscription stands; those that are missing are made. NULL if memory is out. */
static struct topic *reach(struct topics *topics, const char *pattern, size_t size, bool is_rest)
{
        const char *at = pattern, *end = pattern + size;
        struct topic *topic = find_topic(topics, "", 0);
        struct part part;

        if (!topic)
                topic = make_topic(topics, NULL, "", 0);
        while (topic) {
                struct topic *child;
                size_t reached;

                part = part_at(at, end);
                if (is_rest && part.is_last)
                        break;
                at += part.size + 1;
                reached = (size_t)(part.bytes + part.size - pattern);
                child = find_topic(topics, pattern, reached);
                if (!child)
                        child = make_topic(topics, topic, pattern, reached);
                if (!child)
                        release(topics, topic);
                topic = child;
                if (part.is_last)
                        break;
        }
        return topic;
}

/* Subscriptions ---------------------------------------------------------------------------------------------- */

static size_t make_key(char *key, const struct subscriber *subscriber, const char *pattern, size_t size)
{
        memcpy(key, &subscriber, sizeof subscriber);
        memcpy(key + sizeof subscriber, pattern, size);
        return sizeof subscriber + size;
}

static struct subscription *find_subscription(struct topics *topics, const struct subscriber *subscriber,
                                              const char *pattern, size_t size)
{
        char key[KEY_MAX];
        struct map_node *node = map_find(&topics->subscriptions, key, make_key(key, subscriber, pattern, size));

        return node ? container_of(node, struct subscription, node) : NULL;
}

bool topics_have(struct topics *topics, const struct subscriber *subscriber, const char *pattern, size_t size)
{
        return find_subscription(topics, subscriber, pattern, size);
}

int topics_add(struct topics *topics, struct subscriber *subscriber, const char *pattern, size_t size)
{
        bool is_rest = pattern[size - 1] == '>';
        struct subscription *subscription = sys_alloc_zeroed(sizeof *subscription + sizeof subscriber + size);
        struct topic *topic = subscription ? reach(topics, pattern, size, is_rest) : NULL;

        if (!topic) {
                sys_free(subscription);
                return -ENOMEM;
        }
        subscription->node.key = subscription->key;
        subscription->node.key_size = make_key(subscription->key, subscriber, pattern, size);
        map_add(&topics->subscriptions, &subscription->node);
        topic->uses++;
        subscription->topic = topic;
        list_append(is_rest ? &topic->rest : &topic->exact, &subscription->topic_link);
        subscription->subscriber = subscriber;
        list_append(&subscriber->subscriptions, &subscription->link);
        subscription->cost = topics_cost(pattern, size);
        subscriber->cost += subscription->cost;
        subscriber->bytes += size;
        subscriber->count++;
        return 0;
}

static void drop(struct topics *topics, struct subscription *subscription)
{
        struct subscriber *subscriber = subscription->subscriber;

        subscriber->count--;
        subscriber->bytes -= subscription->node.key_size - sizeof subscriber;
        subscriber->cost -= subscription->cost;
        map_remove(&topics->subscriptions, &subscription->node);
        list_remove(&subscription->topic_link);
        list_remove(&subscription->link);
        subscription->topic->uses--;
        release(topics, subscription->topic);
        sys_free(subscription);
}

void topics_remove(struct topics *topics, struct subscriber *subscriber, const char *pattern, size_t size)
{
        struct subscription *subscription = find_subscription(topics, subscriber, pattern, size);

        if (subscription)
                drop(topics, subscription);
}

void topics_remove_all(struct topics *topics, struct subscriber *subscriber)
{
        list_for_each(&subscriber->subscriptions, link)
                drop(topics, container_of(link, struct subscription, link));
}

/* Searching -------------------------------------------------------------------------------------------------- */

struct search {
        struct topics *topics;
        uint64_t number;
        const char *end;                /* of the type */
        void (*found)(void *object, struct subscriber *subscriber);
        void *object;
        char text[PATTERN_MAX];         /* a pattern, up to where the search is */
};

static void report(const struct search *search, const struct list *subscriptions)
{
        for (const struct list *link = subscriptions->next; link != subscriptions; link = link->next) {
                struct subscriber *subscriber = container_of(link, struct subscription, topic_link)->subscriber;

                if (subscriber->search == search->number)
                        continue;
                subscriber->search = search->number;
                search->found(search->object, subscriber);
        }
}

/* What matches the part at @at, below @topic, the @size bytes of whose pattern stand in the search. Not deeper than patterns are. */
static void descend(struct search *search, const struct topic *topic, size_t size, const char *at)
{
        struct part part = part_at(at, search->end);
        const struct part ways[] = { part, { .bytes = "*", .size = 1 } };
        size_t dot = size > 0;

        report(search, &topic->rest);
        /* No part of a pattern is empty. */
        for (size_t i = part_is(&part, '*') || part.size == 0 ? 1 : 0; i < 2; i++) {
                const struct topic *child;
                size_t grown = size + dot + ways[i].size;

                if (grown > sizeof search->text)
                        continue;
                search->text[size] = '.';
                memcpy(search->text + size + dot, ways[i].bytes, ways[i].size);
                child = find_topic(search->topics, search->text, grown);
                if (child && part.is_last)
                        report(search, &child->exact);
                else if (child)
                        descend(search, child, grown, at + part.size + 1);
        }
}

void topics_find(struct topics *topics, const char *type, void (*found)(void *object, struct subscriber *subscriber),
                 void *object)
{
        struct search search = { .topics = topics, .number = ++topics->searches, .end = type + strlen(type), .found = found,
                                 .object = object };
        const struct topic *root = find_topic(topics, "", 0);

        if (root)
                descend(&search, root, 0, type);
}
