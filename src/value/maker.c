/* What php and msgpack have in common when they build. Invariant: a node is written once, where it stays; only an array of PHP
 * that turns out to be a list, or to be none, is moved. */
#include "value/maker.h"

#include <errno.h>

int maker_init(struct maker *maker, const struct check *check, size_t size, struct arena *arena)
{
        maker->arena = arena;
        maker->has_references = check->has_references;
        maker->site = maker->stack;
        maker->stack[0] = (struct site){ .node = &maker->nothing, .left = UINT32_MAX };
        maker->nothing.depth = 0;
        return slots_init(&maker->slots, check->has_references ? check->nodes : 0, size);
}

void maker_deinit(struct maker *maker)
{
        slots_deinit(&maker->slots);
}

int site_make_members(struct site *site, struct arena *arena, const char *class_name, uint32_t class_size)
{
        static const struct members nothing;
        struct members *members;

        /* An empty map is one byte in msgpack. */
        if (site->size == 0 && !class_name) {
                site->node->members = &nothing;
                return 0;
        }
        members = arena_take(arena, sizeof *members + site->size * sizeof(struct entry));
        if (!members)
                return -ENOMEM;
        members->class_name = class_name;
        members->class_size = class_size;
        members->slot_count = 0;
        members->entries = (struct entry *)(members + 1);
        site->node->members = members;
        site->at = &members->entries->key;
        return 0;
}

int site_gather(struct site *site, struct arena *arena)
{
        ferry_value *node = site->node;
        struct members *members = (struct members *)node->members;

        if (site->size == 0)
                return 0;
        if (members_gather(arena, members, members->entries, site->size, site->may_have_twins, &node->size) < 0)
                return -ENOMEM;
        /* The keys may count from 0 once those that are twice are one, or where they are text. */
        return site->is_array && entries_count_from_0(members->entries, node->size) ?
                       list_make(arena, node, members->entries, node->size) : 0;
}

/* A container is one level deeper than the deepest of its items. */
static void note_depth(struct maker *maker, const ferry_value *item)
{
        ferry_value *container = maker->site->node;

        if (container->depth <= item->depth)
                container->depth = (uint16_t)(item->depth + 1);
}

int maker_add_again(struct maker *maker, ferry_value *node, uint64_t number, bool must_be_object)
{
        int error = slots_add(&maker->slots, number, must_be_object, maker_depth(maker), node);

        if (!error)
                note_depth(maker, node);
        return error;
}

int maker_set_named(struct maker *maker, ferry_value *node, enum ferry_value_kind kind, const struct named *named, uint32_t size)
{
        struct named *copy = arena_take(maker->arena, sizeof *copy);

        if (!copy)
                return -ENOMEM;
        *copy = *named;
        *node = (ferry_value){ .kind = (uint8_t)kind, .size = size, .named = copy, .arena = maker->arena };
        return 0;
}
