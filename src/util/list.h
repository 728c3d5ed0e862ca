/* Doubly linked lists whose links stand in their members. An empty list, and a member of none, is linked to
 * itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
        struct list *next;
        struct list *previous;
};

#define LIST_INIT(list) { &(list), &(list) }

/* The struct that a link is a member of. */
#define container_of(link, type, member) ((type *)((char *)(link) - offsetof(type, member)))

#define list_first(list, type, member) \
        (list_is_empty(list) ? NULL : container_of((list)->next, type, member))

/* The member behind @object, or NULL. */
#define list_next(list, object, type, member) \
        ((object)->member.next == (list) ? NULL : container_of((object)->member.next, type, member))

/* Over all members; @next is kept so that the body may remove @link. */
#define list_for_each(list, link, following) \
        for (struct list *link = (list)->next, *following = link->next; link != (list); \
             link = following, following = link->next)

static inline void list_init(struct list *list)
{
        list->next = list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
        return list->next == list;
}

static inline void list_append(struct list *list, struct list *link)
{
        link->previous = list->previous;
        link->next = list;
        list->previous->next = link;
        list->previous = link;
}

static inline void list_remove(struct list *link)
{
        link->previous->next = link->next;
        link->next->previous = link->previous;
        list_init(link);
}

/* Move all members of @from to the end of @to. */
static inline void list_move(struct list *to, struct list *from)
{
        if (list_is_empty(from))
                return;
        from->next->previous = to->previous;
        to->previous->next = from->next;
        from->previous->next = to;
        to->previous = from->previous;
        list_init(from);
}
