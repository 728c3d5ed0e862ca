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
#define container_of(link_, type_, member_) ((type_ *)((char *)(link_) - offsetof(type_, member_)))

/* The first member, or NULL. */
#define list_first(list_, type_, member_) \
        (list_is_empty(list_) ? NULL : container_of((list_)->next, type_, member_))

/* The member behind @object_, or NULL. */
#define list_next(list_, object_, type_, member_) \
        ((object_)->member_.next == (list_) ? NULL : container_of((object_)->member_.next, type_, member_))

/* Over all members; the body may remove the one that it stands at. */
#define list_for_each(list_, at_)                                                       \
        for (struct list *at_ = (list_)->next, *at_##_next = at_->next; at_ != (list_); \
             at_ = at_##_next, at_##_next = at_->next)

static inline void list_init(struct list *list)
{
        list->next = list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
        return list->next == list;
}

static inline size_t list_count(const struct list *list)
{
        size_t count = 0;

        for (const struct list *link = list->next; link != list; link = link->next)
                count++;
        return count;
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
