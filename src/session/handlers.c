/* Lists of handlers. Invariant: one that is removed stays in its list until no callback runs, so a walk through the list may
 * go on. */
#include "session/private.h"

#include <errno.h>

static void bury(struct loop_grave *grave)
{
        struct handler *handler = container_of(grave, struct handler, grave);

        list_remove(&handler->link);
        sys_free(handler);
}

int handlers_add(struct list *handlers, unsigned kinds, ferry_message_fn *fn, void *userdata)
{
        struct handler *handler = sys_alloc_zeroed(sizeof *handler);

        if (!handler)
                return -ENOMEM;
        handler->kinds = kinds;
        handler->fn = fn;
        handler->userdata = userdata;
        list_append(handlers, &handler->link);
        return 0;
}

/* It stays in its list until no callback runs, so that a walk through the list may go on. */
static void remove_handler(ferry_loop *loop, struct handler *handler)
{
        if (handler->is_gone)
                return;
        handler->is_gone = true;
        loop_bury(loop, &handler->grave, bury);
}

/* cppcheck-suppress constParameter ; it is the pair that the program gave, not what it points to */
void handlers_remove(ferry_loop *loop, struct list *handlers, ferry_message_fn *fn, void *userdata)
{
        list_for_each(handlers, link) {
                struct handler *handler = container_of(link, struct handler, link);

                if (handler->fn == fn && handler->userdata == userdata)
                        remove_handler(loop, handler);
        }
}

void handlers_remove_all(ferry_loop *loop, struct list *handlers)
{
        list_for_each(handlers, link)
                remove_handler(loop, container_of(link, struct handler, link));
}

void handlers_free(struct list *handlers)
{
        list_for_each(handlers, link) {
                struct handler *handler = container_of(link, struct handler, link);

                list_remove(link);
                /* One that is buried is freed there. */
                if (!handler->is_gone)
                        sys_free(handler);
        }
}
