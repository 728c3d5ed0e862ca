/* Descriptions, found by their types; the list of them is made once for all clients that ask between two changes. */
#include "service/descriptions.h"

#include "util/sys.h"
#include "value/tree.h"

#include <errno.h>
#include <string.h>

struct description {
        struct map_node node;
        struct list link;
        size_t size;                    /* bytes, roughly */
        ferry_value *body;
        char type[];
};

void descriptions_init(struct descriptions *descriptions)
{
        *descriptions = (struct descriptions){ 0 };
        map_init(&descriptions->by_type);
        list_init(&descriptions->all);
}

static void forget_list(struct descriptions *descriptions)
{
        ferry_value_unref(descriptions->list);
        descriptions->list = NULL;
}

static void discard(struct description *description)
{
        ferry_value_unref(description->body);
        sys_free(description);
}

static void drop(struct descriptions *descriptions, struct description *description)
{
        descriptions->bytes -= description->size;
        map_remove(&descriptions->by_type, &description->node);
        list_remove(&description->link);
        discard(description);
}

void descriptions_deinit(struct descriptions *descriptions)
{
        list_for_each(&descriptions->all, link)
                drop(descriptions, container_of(link, struct description, link));
        map_deinit(&descriptions->by_type);
        forget_list(descriptions);
}

static struct description *find(struct descriptions *descriptions, const char *type)
{
        struct map_node *node = map_find(&descriptions->by_type, type, strlen(type));

        return node ? container_of(node, struct description, node) : NULL;
}

/* One that stands nowhere yet; NULL if memory is out. */
static struct description *description_new(const char *type, const char *in, const char *out, const char *text)
{
        size_t size = strlen(type);
        struct description *description = sys_alloc_zeroed(sizeof *description + size + 1);
        ferry_value *body = description ? ferry_value_pack("{type: %s, in: %s, out: %s, text: %s}", type, in, out, text) : NULL;

        if (!body) {
                sys_free(description);
                return NULL;
        }
        memcpy(description->type, type, size);
        description->node.key = description->type;
        description->node.key_size = size;
        description->body = body;
        description->size = sizeof *description + size + tree_weigh(body);
        return description;
}

static size_t length(const char *text)
{
        return text ? strlen(text) : 0;
}

int descriptions_put(struct descriptions *descriptions, const char *type, const char *in, const char *out, const char *text)
{
        struct description *before = find(descriptions, type), *description;
        size_t others = descriptions->bytes - (before ? before->size : 0);

        /* No memory is taken for what is too long by itself. */
        if (length(type) > DESCRIPTIONS_MAX || length(in) > DESCRIPTIONS_MAX || length(out) > DESCRIPTIONS_MAX ||
            length(text) > DESCRIPTIONS_MAX)
                return -ENOSPC;
        description = description_new(type, in, out, text);
        if (!description)
                return -ENOMEM;
        if (others + description->size > DESCRIPTIONS_MAX) {
                discard(description);
                return -ENOSPC;
        }
        /* In the place of the one before. */
        list_append(before ? &before->link : &descriptions->all, &description->link);
        if (before)
                drop(descriptions, before);
        map_add(&descriptions->by_type, &description->node);
        descriptions->bytes += description->size;
        forget_list(descriptions);
        return 0;
}

bool descriptions_remove(struct descriptions *descriptions, const char *type)
{
        struct description *description = find(descriptions, type);

        if (!description)
                return false;
        drop(descriptions, description);
        forget_list(descriptions);
        return true;
}

const ferry_value *descriptions_list(struct descriptions *descriptions)
{
        ferry_builder *builder;

        if (descriptions->list)
                return descriptions->list;
        builder = ferry_builder_new();
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (struct list *link = descriptions->all.next; link != &descriptions->all; link = link->next)
                ferry_builder_add_value(builder, container_of(link, struct description, link)->body);
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &descriptions->list);
        return descriptions->list;
}
