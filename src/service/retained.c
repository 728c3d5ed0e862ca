/* The last values of types. Invariant: a value that is referenced stays as it is, also when another has taken
 * its place in the set. */
#include "service/retained.h"

#include "util/sys.h"
#include "value/tree.h"
#include "wire/pattern.h"

#include <errno.h>
#include <string.h>

void retained_init(struct retained_set *set, size_t bytes_max)
{
        *set = (struct retained_set){ .bytes_max = bytes_max };
        map_init(&set->by_type);
        list_init(&set->all);
}

void retained_unref(struct retained *retained)
{
        if (--retained->references > 0)
                return;
        ferry_value_unref(retained->body);
        sys_free(retained);
}

static void drop(struct retained_set *set, struct retained *retained)
{
        set->bytes -= retained->size;
        map_remove(&set->by_type, &retained->node);
        list_remove(&retained->link);
        retained_unref(retained);
}

void retained_deinit(struct retained_set *set)
{
        list_for_each(&set->all, link)
                drop(set, container_of(link, struct retained, link));
        map_deinit(&set->by_type);
}

static struct retained *find(struct retained_set *set, const char *type, size_t size)
{
        struct map_node *node = map_find(&set->by_type, type, size);

        return node ? container_of(node, struct retained, node) : NULL;
}

int retained_put(struct retained_set *set, const char *type, const ferry_value *body)
{
        size_t type_size = strlen(type), size = sizeof(struct retained) + type_size + tree_weigh(body);
        struct retained *before = find(set, type, type_size), *retained;
        size_t others = set->bytes - (before ? before->size : 0);

        if (size > set->bytes_max || others > set->bytes_max - size)
                return -ENOSPC;
        retained = sys_alloc_zeroed(sizeof *retained + type_size + 1);
        if (!retained)
                return -ENOMEM;
        if (before)
                drop(set, before);
        memcpy(retained->type, type, type_size);
        retained->node.key = retained->type;
        retained->node.key_size = type_size;
        retained->references = 1;
        retained->size = size;
        retained->body = ferry_value_ref(body);
        map_add(&set->by_type, &retained->node);
        list_append(&set->all, &retained->link);
        set->bytes += size;
        return 0;
}

bool retained_remove(struct retained_set *set, const char *type)
{
        struct retained *retained = find(set, type, strlen(type));

        if (retained)
                drop(set, retained);
        return retained;
}

static bool matches(const struct retained *retained, const char *pattern, size_t size)
{
        return pattern_matches(pattern, size, retained->type, retained->node.key_size);
}

struct retained **retained_find(struct retained_set *set, const char *pattern, size_t size, size_t *ret_count)
{
        bool is_wild = pattern_is_wild(pattern, size);
        struct retained *one = is_wild ? NULL : find(set, pattern, size);
        struct retained **found = sys_alloc((is_wild ? set->by_type.count + 1 : 1) * sizeof(struct retained *));

        *ret_count = 0;
        if (found && one)
                found[(*ret_count)++] = one;
        for (struct list *link = set->all.next; found && is_wild && link != &set->all; link = link->next)
                if (matches(container_of(link, struct retained, link), pattern, size))
                        found[(*ret_count)++] = container_of(link, struct retained, link);
        for (size_t i = 0; i < *ret_count; i++)
                found[i]->references++;
        return found;
}
