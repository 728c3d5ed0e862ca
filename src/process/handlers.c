/* Reports what happens to processes: to the handlers of their manager, and to its wait. */
#include "process/manager.h"

#include <errno.h>

struct manager_handler {
        struct list link;
        unsigned events;
        ferry_manager_fn *fn;
        void *userdata;
};

void manager_note(ferry_manager *manager, int verdict)
{
        if (verdict != 0 && manager->verdict == 0)
                manager->verdict = verdict;
}

void manager_report(struct worker *worker, enum ferry_process_event event)
{
        ferry_process *process = &worker->process;
        ferry_manager *manager = worker->manager;

        if (event == FERRY_PROCESS_ENDED) {
                if (manager->wait_fn && manager->verdict == 0)
                        manager_note(manager, manager->wait_fn(manager, process, manager->wait_userdata));
                else if ((!manager->is_waited_for || manager->verdict != 0) && !process_is_freed(process))
                        list_append(&manager->unreported, &worker->unreported);
        }
        for (struct list *link = manager->handlers.next; link != &manager->handlers; link = link->next) {
                const struct manager_handler *handler = container_of(link, struct manager_handler, link);

                if (process_is_freed(process) || manager->is_freed)
                        return;
                if (handler->events & event)
                        manager_note(manager, handler->fn(manager, process, handler->userdata));
        }
}

void ferry_manager_on(ferry_manager *manager, unsigned events, ferry_manager_fn *fn, void *userdata)
{
        struct manager_handler *handler;

        if (!manager || !fn || loop_is_elsewhere(manager->loop))
                return;
        handler = sys_alloc_zeroed(sizeof *handler);
        if (!handler) {
                error_set(&manager->start_error, -ENOMEM, "no memory for a handler");
                return;
        }
        handler->events = events;
        handler->fn = fn;
        handler->userdata = userdata;
        list_append(&manager->handlers, &handler->link);
}

void manager_free_handlers(ferry_manager *manager)
{
        list_for_each(&manager->handlers, link)
                sys_free(container_of(link, struct manager_handler, link));
}
