/* Handlers: a list of those for any type, and one for each type that has some, found by the type. Invariants: a handler that is removed
 * stays in its list until no callback runs, so a walk through the list may go on; a type is there as long as it is used. */
#include "session/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct typed_handlers {
        struct map by_type;
        struct list types;              /* in the order in which they came */
};

struct handler_type {
        struct typed_handlers *set;
        struct map_node node;
        struct list link;
        struct list handlers;
        size_t uses;                    /* handlers, also those that are removed and still stand in the list */
        char text[];
};

void handlers_init(struct handlers *handlers)
{
        *handlers = (struct handlers){ 0 };
        list_init(&handlers->any);
}

/* Types ------------------------------------------------------------------------------------------------------ */

static struct typed_handlers *typed_new(void)
{
        struct typed_handlers *typed = sys_alloc_zeroed(sizeof *typed);

        if (!typed)
                return NULL;
        map_init(&typed->by_type);
        list_init(&typed->types);
        return typed;
}

static struct handler_type *find(const struct handlers *handlers, const char *type)
{
        struct map_node *node = handlers->typed ? map_find(&handlers->typed->by_type, type, strlen(type)) : NULL;

        return node ? container_of(node, struct handler_type, node) : NULL;
}

static struct handler_type *type_new(struct typed_handlers *set, const char *text)
{
        size_t size = strlen(text);
        struct handler_type *type = sys_alloc_zeroed(sizeof *type + size + 1);

        if (!type)
                return NULL;
        memcpy(type->text, text, size);
        type->set = set;
        type->node.key = type->text;
        type->node.key_size = size;
        list_init(&type->handlers);
        map_add(&set->by_type, &type->node);
        list_append(&set->types, &type->link);
        return type;
}

static void type_release(struct handler_type *type)
{
        if (--type->uses > 0)
                return;
        map_remove(&type->set->by_type, &type->node);
        list_remove(&type->link);
        sys_free(type);
}

/* One more use of a type, which is made if it is not there; NULL if memory is out. */
static struct handler_type *type_hold(struct handlers *handlers, const char *text)
{
        struct handler_type *type = find(handlers, text);

        if (!handlers->typed)
                handlers->typed = typed_new();
        if (!type && handlers->typed)
                type = type_new(handlers->typed, text);
        if (type)
                type->uses++;
        return type;
}

const struct list *handlers_of_type(const struct handlers *handlers, const char *type)
{
        const struct handler_type *found = find(handlers, type);

        return found ? &found->handlers : NULL;
}

/* Adding and removing ---------------------------------------------------------------------------------------- */

static void bury(struct loop_grave *grave)
{
        struct handler *handler = container_of(grave, struct handler, grave);

        list_remove(&handler->link);
        if (handler->type)
                type_release(handler->type);
        sys_free(handler);
}

int handlers_add(struct handlers *handlers, unsigned kinds, const char *type, ferry_message_fn *fn, void *userdata)
{
        struct handler *handler = sys_alloc_zeroed(sizeof *handler);

        if (handler && type)
                handler->type = type_hold(handlers, type);
        if (!handler || (type && !handler->type)) {
                sys_free(handler);
                return -ENOMEM;
        }
        handler->kinds = kinds;
        handler->fn = fn;
        handler->userdata = userdata;
        list_append(type ? &handler->type->handlers : &handlers->any, &handler->link);
        return 0;
}

static void remove_handler(ferry_loop *loop, struct handler *handler)
{
        if (handler->is_gone)
                return;
        handler->is_gone = true;
        loop_bury(loop, &handler->grave, bury);
}

/* cppcheck-suppress constParameter ; it is the pair that the program gave, not what it points to */
static void remove_from(ferry_loop *loop, struct list *list, ferry_message_fn *fn, void *userdata)
{
        list_for_each(list, link) {
                struct handler *handler = container_of(link, struct handler, link);

                if (handler->fn == fn && handler->userdata == userdata)
                        remove_handler(loop, handler);
        }
}

/* The last handler may go at once, and its type must not before the walk is over. */
static void remove_from_type(ferry_loop *loop, struct handler_type *type, ferry_message_fn *fn, void *userdata)
{
        type->uses++;
        remove_from(loop, &type->handlers, fn, userdata);
        type_release(type);
}

void handlers_remove(ferry_loop *loop, struct handlers *handlers, ferry_message_fn *fn, void *userdata)
{
        remove_from(loop, &handlers->any, fn, userdata);
        if (!handlers->typed)
                return;
        list_for_each(&handlers->typed->types, link)
                remove_from_type(loop, container_of(link, struct handler_type, link), fn, userdata);
}

void handlers_remove_type(ferry_loop *loop, struct handlers *handlers, const char *type, ferry_message_fn *fn, void *userdata)
{
        struct handler_type *found = type ? find(handlers, type) : NULL;

        if (found)
                remove_from_type(loop, found, fn, userdata);
}

static void remove_all(ferry_loop *loop, struct list *list)
{
        list_for_each(list, link)
                remove_handler(loop, container_of(link, struct handler, link));
}

void handlers_remove_all(ferry_loop *loop, struct handlers *handlers)
{
        remove_all(loop, &handlers->any);
        if (!handlers->typed)
                return;
        list_for_each(&handlers->typed->types, link) {
                struct handler_type *type = container_of(link, struct handler_type, link);

                type->uses++;
                remove_all(loop, &type->handlers);
                type_release(type);
        }
}

static void free_all(struct list *list)
{
        list_for_each(list, link) {
                struct handler *handler = container_of(link, struct handler, link);

                list_remove(link);
                handler->type = NULL;
                /* One that is buried is freed there. */
                if (!handler->is_gone)
                        sys_free(handler);
        }
}

void handlers_free(struct handlers *handlers)
{
        free_all(&handlers->any);
        if (!handlers->typed)
                return;
        list_for_each(&handlers->typed->types, link) {
                struct handler_type *type = container_of(link, struct handler_type, link);

                free_all(&type->handlers);
                sys_free(type);
        }
        map_deinit(&handlers->typed->by_type);
        sys_free(handlers->typed);
        handlers->typed = NULL;
}

/* What they are for ------------------------------------------------------------------------------------------ */

static bool takes_requests(const struct handler_type *type)
{
        for (const struct list *link = type->handlers.next; link != &type->handlers; link = link->next) {
                const struct handler *handler = container_of(link, struct handler, link);

                if (!handler->is_gone && (handler->kinds & FERRY_KIND_REQUEST))
                        return true;
        }
        return false;
}

bool handlers_take_request(const struct handlers *handlers, const char *type)
{
        const struct handler_type *found = find(handlers, type);

        return found && takes_requests(found);
}

void handlers_list_types(const struct handlers *handlers, const struct handlers *before, struct type_names *names)
{
        const struct list *types = handlers && handlers->typed ? &handlers->typed->types : NULL;

        for (const struct list *link = types ? types->next : NULL; link != types; link = link->next) {
                const struct handler_type *type = container_of(link, struct handler_type, link);

                if (!takes_requests(type) || (before && handlers_take_request(before, type->text)))
                        continue;
                if (type->node.key_size + sizeof ", ''" > sizeof names->text - names->size) {
                        names->is_cut = true;
                        return;
                }
                names->size += (size_t)sprintf(names->text + names->size, "%s'%s'", names->size > 0 ? ", " : "", type->text);
        }
}
