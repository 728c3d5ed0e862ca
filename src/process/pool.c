/* Requests for the worker that is free first. Invariants: a worker has one at a time; a request is given to another worker only
 * if the first one has not executed it, and ends once, by its answer, its deadline, or the end of the worker that has it; none
 * waits for workers of which none is left. */
#include "process/process.h"

#include <errno.h>
#include <stdarg.h>

static void worker_is_free(ferry_call *call);
static bool worker_gives_back(ferry_call *call);

enum { LOOK_MS = 500 };

/* A worker that a signal has stopped is silent until it is continued: SIGTTIN and SIGTTOU, if it uses the terminal. Returns
 * whether that is news. */
static bool look_at(ferry_process *process)
{
        int signal = process->call || process->is_overdue ? child_stop_signal(&process->child) : 0;
        bool was_stopped = process->is_stopped;
        char phrase[128];

        process->is_stopped = signal > 0;
        if (!process->is_stopped || was_stopped)
                return false;
        child_describe_stop(signal, phrase, sizeof phrase);
        error_replace(&process->error, 0, "the child %s", phrase);
        return true;
}

/* A callback may free any of them, so the search begins anew behind each. */
static void look(struct loop_timer *timer)
{
        ferry_manager *manager = container_of(timer, ferry_manager, look);
        ferry_loop *loop = manager->loop;
        struct list *link = manager->processes.next;

        loop_enter(loop);
        while (!manager->is_freed && link != &manager->processes) {
                ferry_process *process = container_of(link, ferry_process, link);
                bool is_news = look_at(process);

                if (is_news)
                        manager_tell(process, FERRY_PROCESS_STOPPED);
                link = is_news ? manager->processes.next : link->next;
        }
        if (!manager->is_freed && manager->busy > 0)
                loop_timer_start(loop, timer, loop_deadline(LOOK_MS));
        loop_leave(loop);
}

void pool_init(ferry_manager *manager)
{
        manager->look.fn = look;
}

bool pool_is_idle(const ferry_process *process)
{
        return process->state == PROCESS_RUNNING && !process->has_child_left && !process->is_stopping &&
               !process->call && !process->is_overdue && process->session && session_takes_requests(process->session);
}

static ferry_process *find_free(const ferry_manager *manager)
{
        list_for_each(&manager->idle, link) {
                ferry_process *process = container_of(link, ferry_process, idle);

                /* Its session may have come to an end that nobody was told of yet. */
                if (pool_is_idle(process))
                        return process;
                list_remove(&process->idle);
        }
        return NULL;
}

static void give(ferry_process *process, ferry_call *call)
{
        process->call = call;
        process->manager->busy++;
        if (!process->manager->look.is_running)
                loop_timer_start(process->manager->loop, &process->manager->look, loop_deadline(LOOK_MS));
        process_update(process);
        call->ended = worker_is_free;
        call->came_back = worker_gives_back;
        call->owner = process;
        call_start(call, process->session);
}

void pool_feed(ferry_manager *manager)
{
        /* One that cannot be sent ends at once, and leads here again. */
        if (manager->is_feeding || loop_is_foreign(manager->loop))
                return;
        manager->is_feeding = true;
        while (!list_is_empty(&manager->queue.calls) && !manager->is_freed) {
                ferry_process *process = find_free(manager);

                if (!process)
                        break;
                give(process, container_of(manager->queue.calls.next, ferry_call, link));
        }
        manager->is_feeding = false;
}

/* It has been told that nobody waits any more; when it has heard that, or answers, it takes the next. */
static void wait_for_sign(ferry_process *process)
{
        process->is_overdue = true;
        if (session_send_ping(process->session, &process->ping) < 0)
                process->is_overdue = false;
}

void pool_worker_answered(ferry_session *session)
{
        ferry_process *process = process_of(session);

        if (process->is_freed || !process->is_overdue || !session_has_pong(session, process->ping))
                return;
        process->is_overdue = false;
        process_update(process);
        pool_feed(process->manager);
}

static void release(ferry_process *process)
{
        process->call = NULL;
        process->manager->busy--;
}

/* It was not executed: its worker has closed the session, or is about to. */
static bool worker_gives_back(ferry_call *call)
{
        ferry_process *process = call->owner;
        ferry_manager *manager = process->manager;

        if (manager->is_stopping || manager->is_freed)
                return false;
        release(process);
        process_lose_session(process);
        call_wait_again(call);
        if (manager->serving == 0)
                pool_refuse(manager);
        pool_feed(manager);
        return true;
}

/* A worker that has answered is well; one that has let a deadline pass may still be at work, and is replaced where that can be
 * done. */
static void worker_is_free(ferry_call *call)
{
        ferry_process *process = call->owner;

        call->owner = NULL;
        call->ended = NULL;
        call->came_back = NULL;
        release(process);
        if (call->outcome == FERRY_OUTCOME_REPLIED) {
                process->restart_ms = 0;
                process->answers++;
                if (process_is_used_up(process))
                        process_recycle(process);
        } else if (call->outcome == FERRY_OUTCOME_UNKNOWN && process->session && session_is_open(process->session) &&
                 (call->status == -ETIMEDOUT || call->status == -ECANCELED)) {
                loop_timer_start(process->manager->loop, &process->manager->look, sys_now());
                if (process->spec.options.is_restarted)
                        process_replace(process);
                else
                        wait_for_sign(process);
        }
        process_update(process);
        pool_feed(process->manager);
}

bool pool_is_busy(const ferry_manager *manager)
{
        return manager->busy > 0 || !list_is_empty(&manager->queue.calls);
}

void pool_refuse(ferry_manager *manager)
{
        while (!list_is_empty(&manager->queue.calls))
                call_end(container_of(manager->queue.calls.next, ferry_call, link), -ECHILD, FERRY_OUTCOME_NOT_EXECUTED, NULL,
                         "no child is left to take the request%s%s", manager->start_error.code ? ": " : "",
                         manager->start_error.code ? error_text(&manager->start_error) : "");
}

static int wait_ms(const ferry_manager *manager, int timeout_ms)
{
        return manager->options.queue_timeout_ms ? manager->options.queue_timeout_ms : timeout_ms;
}

ferry_call *ferry_manager_request(ferry_manager *manager, int timeout_ms, const char *type, const char *format, ...)
{
        ferry_call *call;
        ferry_loop *loop;
        va_list arguments;

        if (!manager)
                return ferry_session_request(NULL, timeout_ms, type, "null");
        loop = manager->loop;
        if (loop_is_elsewhere(loop)) {
                va_start(arguments, format);
                call = call_new_waiting(loop, &manager->queue, timeout_ms, timeout_ms, type, format, arguments);
                va_end(arguments);
                return call;
        }
        loop_enter(loop);
        if (timeout_ms == FERRY_TIMEOUT_DEFAULT)
                timeout_ms = manager->session.request_timeout_ms ? manager->session.request_timeout_ms :
                                                                   session_default_timeout(loop);
        va_start(arguments, format);
        call = call_new_waiting(loop, &manager->queue, wait_ms(manager, timeout_ms), timeout_ms, type, format, arguments);
        va_end(arguments);
        if (call && call->status == 1 && manager->options_error.code)
                call_end(call, manager->options_error.code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s",
                         error_text(&manager->options_error));
        if (call && call->status == 1 && manager->is_stopping)
                call_end(call, -ECANCELED, FERRY_OUTCOME_NOT_EXECUTED, NULL, "the children are being stopped");
        pool_feed(manager);
        loop_leave(loop);
        return call;
}

ferry_call *ferry_manager_request_value(ferry_manager *manager, int timeout_ms, const char *type, const ferry_value *body)
{
        return ferry_manager_request(manager, timeout_ms, type, "%p", ferry_arg(body));
}
