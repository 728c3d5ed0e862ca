/* Requests for the worker that is free first. Invariants: a worker has one at a time; a request is given to another worker only
 * if the first one has not executed it, and ends once, by its answer, its deadline, or the end of the worker that has it; none
 * waits for workers of which none is left. */
#include "process/manager.h"

#include "util/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

enum { LOOK_MS = 500 };

/* Workers ---------------------------------------------------------------------------------------------- */

static bool is_disconnected(const struct worker *worker)
{
        return worker->state == WORKER_DISCONNECTED || worker->state == WORKER_LOST;
}

bool pool_worker_is_stuck(const struct worker *worker)
{
        return worker->state == WORKER_SUSPECT || worker->state == WORKER_LOST;
}

/* Why a worker takes no request. */
enum refusal {
        REFUSAL_NONE,
        REFUSAL_NOT_RUNNING,
        REFUSAL_BUSY,
        REFUSAL_SUSPECT,
        REFUSAL_DISCONNECTED,
        REFUSAL_SESSION,                /* it closes, or has failed, and that was not reported yet */
};

static enum refusal refusal_of(const struct worker *worker)
{
        const ferry_process *process = &worker->process;

        if (process_is_freed(process) || process->phase != PROCESS_RUNNING)
                return REFUSAL_NOT_RUNNING;
        if (worker->state == WORKER_BUSY)
                return REFUSAL_BUSY;
        if (worker->state == WORKER_SUSPECT)
                return REFUSAL_SUSPECT;
        if (is_disconnected(worker))
                return REFUSAL_DISCONNECTED;
        return process->session && session_takes_requests(process->session) ? REFUSAL_NONE : REFUSAL_SESSION;
}

/* Whether it can take a request, or will when it has ended what it does, or was started again. */
static bool is_serving(const struct worker *worker)
{
        const ferry_process *process = &worker->process;
        bool comes_back = process->reason == REASON_REPLACED || process->reason == REASON_RECYCLED;

        if (process_is_freed(process))
                return false;
        return process->phase == PROCESS_RESTING || (process_is_active(process) && (!is_disconnected(worker) || comes_back));
}

static void tally(size_t *counter, bool *counted, bool is)
{
        if (is != *counted)
                *counter += is ? 1 : (size_t)-1;
        *counted = is;
}

void pool_update(struct worker *worker)
{
        ferry_manager *manager = worker->manager;
        const ferry_process *process = &worker->process;
        bool is_freed = process_is_freed(process), is_running = !is_freed && process_is_active(process), was_live = worker->is_live;

        /* A loop that is run has something to wait for as long as one of them runs. */
        loop_count_live(manager->loop, &worker->is_live,
                        !is_freed && (is_running || process->phase == PROCESS_RESTING || process->is_calling));
        tally(&manager->live, &was_live, worker->is_live);
        tally(&manager->running, &worker->is_running, is_running);
        tally(&manager->serving, &worker->is_serving, is_serving(worker));
        if (refusal_of(worker) != REFUSAL_NONE)
                list_remove(&worker->idle);
        else if (list_is_empty(&worker->idle))
                list_append(&manager->idle, &worker->idle);
}

void pool_worker_started(struct worker *worker)
{
        worker->state = WORKER_IDLE;
        worker->answers = 0;
        worker->is_stop_reported = false;
}

void pool_worker_disconnected(struct worker *worker)
{
        worker->state = pool_worker_is_stuck(worker) ? WORKER_LOST : WORKER_DISCONNECTED;
        pool_update(worker);
}

static void suspect(struct worker *worker)
{
        worker->state = is_disconnected(worker) ? WORKER_LOST : WORKER_SUSPECT;
}

/* A worker that a signal has stopped is silent until it is continued: SIGTTIN and SIGTTOU, if it uses the terminal. Returns
 * whether that is news. */
static bool look_at(struct worker *worker)
{
        ferry_process *process = &worker->process;
        bool has_work = worker->state == WORKER_BUSY || pool_worker_is_stuck(worker), was_reported = worker->is_stop_reported;
        int signal = has_work ? child_stop_signal(&process->child) : 0;
        char phrase[128];

        worker->is_stop_reported = signal > 0;
        if (!worker->is_stop_reported || was_reported)
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
        struct list *link = manager->workers.next;

        loop_enter(loop);
        while (!manager->is_freed && link != &manager->workers) {
                struct worker *worker = container_of(link, struct worker, link);
                bool is_news = look_at(worker);

                if (is_news)
                        manager_report(worker, FERRY_PROCESS_STOPPED);
                link = is_news ? manager->workers.next : link->next;
        }
        if (!manager->is_freed && manager->busy > 0)
                loop_timer_start(loop, timer, loop_deadline(LOOK_MS));
        loop_leave(loop);
}

int pool_init(ferry_manager *manager)
{
        list_init(&manager->idle);
        manager->look.fn = look;
        manager->queue = call_queue_new();
        return manager->queue ? 0 : -ENOMEM;
}

/* Requests --------------------------------------------------------------------------------------------- */

static struct worker *find_idle(const ferry_manager *manager)
{
        list_for_each(&manager->idle, link) {
                struct worker *worker = container_of(link, struct worker, idle);

                /* Its session may have come to an end that was not reported yet. */
                if (refusal_of(worker) == REFUSAL_NONE)
                        return worker;
                list_remove(&worker->idle);
        }
        return NULL;
}

static void release(struct worker *worker)
{
        if (worker->state == WORKER_BUSY)
                worker->state = WORKER_IDLE;
        worker->manager->busy--;
}

/* It was not executed: its worker has closed the session, or is about to. */
static bool worker_gives_back(void *object, ferry_call *call)
{
        struct worker *worker = object;
        ferry_manager *manager = worker->manager;

        if (manager->is_stopping || manager->is_freed)
                return false;
        release(worker);
        process_disconnect(&worker->process);
        call_wait_again(call);
        if (manager->serving == 0)
                pool_refuse(manager);
        pool_feed(manager);
        return true;
}

/* It was sent the cancellation of its request. When it has read that, or answers, it takes the next. */
static void wait_for_sign(struct worker *worker)
{
        if (session_send_ping(worker->process.session, &worker->ping) == 0)
                suspect(worker);
}

void pool_worker_answered(struct worker *worker)
{
        if (worker->state != WORKER_SUSPECT || !session_has_pong(worker->process.session, worker->ping))
                return;
        worker->state = WORKER_IDLE;
        pool_update(worker);
        pool_feed(worker->manager);
}

/* A worker that has answered is well; one that has let a deadline pass may still be at work, and is replaced where that can be
 * done. */
static void worker_is_free(void *object, ferry_call *call)
{
        struct worker *worker = object;
        ferry_process *process = &worker->process;
        ferry_manager *manager = worker->manager;
        enum ferry_outcome outcome = ferry_call_outcome(call);
        int status = ferry_call_status(call);

        release(worker);
        if (outcome == FERRY_OUTCOME_REPLIED) {
                process_reset_pause(process);
                worker->answers++;
                if (!manager->is_stopping && process_is_used_up(process, worker->answers))
                        process_recycle(process);
        } else if (outcome == FERRY_OUTCOME_UNKNOWN && process->session && session_is_open(process->session) &&
                   (status == -ETIMEDOUT || status == -ECANCELED)) {
                loop_timer_start(manager->loop, &manager->look, sys_now());
                if (process->spec.options.is_restarted) {
                        suspect(worker);
                        process_replace(process);
                } else
                        wait_for_sign(worker);
        }
        pool_update(worker);
        pool_feed(manager);
}

static const struct call_owner call_owner = { .ended = worker_is_free, .returned = worker_gives_back };

static void give(struct worker *worker, ferry_call *call)
{
        ferry_manager *manager = worker->manager;

        worker->state = WORKER_BUSY;
        manager->busy++;
        if (!manager->look.is_running)
                loop_timer_start(manager->loop, &manager->look, loop_deadline(LOOK_MS));
        pool_update(worker);
        call_start(call, worker->process.session, &call_owner, worker);
}

void pool_feed(ferry_manager *manager)
{
        struct worker *worker;
        ferry_call *call;

        /* A request that cannot be sent ends at once, and leads here again. */
        if (manager->is_feeding || loop_is_foreign(manager->loop))
                return;
        manager->is_feeding = true;
        while (!manager->is_freed && (call = call_queue_first(manager->queue))) {
                worker = find_idle(manager);
                if (worker)
                        give(worker, call);
                else if (!manager->give_away || !manager->give_away(manager, call))
                        break;
        }
        manager->is_feeding = false;
}

bool pool_is_busy(const ferry_manager *manager)
{
        return manager->busy > 0 || manager->away > 0 || call_queue_first(manager->queue);
}

void pool_refuse(ferry_manager *manager)
{
        ferry_call *call;

        while ((call = call_queue_first(manager->queue)))
                call_end(call, -ECHILD, FERRY_OUTCOME_NOT_EXECUTED, NULL,
                         "no %s is left to take the request%s%s", manager->give_away ? "worker" : "child", manager->start_error.code ? ": " : "",
                         manager->start_error.code ? error_text(&manager->start_error) : "");
}

static int wait_ms(const ferry_manager *manager, const ferry_request_options *options, int timeout_ms)
{
        int own = options->queue_timeout_ms ? options->queue_timeout_ms : manager->options.queue_timeout_ms;

        return own ? own : timeout_ms;
}

/* What is wrong with the options of a request, and else with those of its manager. */
static int check_request(const ferry_manager *manager, const ferry_request_options *options, struct error *error)
{
        if (options->priority < FERRY_PRIORITY_MIN || options->priority > FERRY_PRIORITY_MAX)
                return error_set(error, -EINVAL, "ferry_request_options: priority is %d: write a number from %d to %d", options->priority,
                                 FERRY_PRIORITY_MIN, FERRY_PRIORITY_MAX);
        if (manager->options_error.code)
                return error_set(error, manager->options_error.code, "%s", error_text(&manager->options_error));
        return batch_check(options->batch, manager, error);
}

/* @wrong: what is wrong already. */
static ferry_call *request(ferry_manager *manager, const ferry_request_options *options, struct error *wrong, const char *type,
                           const char *format, va_list arguments)
{
        ferry_loop *loop = manager->loop;
        int timeout_ms = options->timeout_ms, priority;
        ferry_call *call;

        if (loop_is_elsewhere(loop))
                return call_new_waiting(loop, manager->queue, 0, timeout_ms, timeout_ms, type, format, arguments);
        loop_enter(loop);
        if (timeout_ms == FERRY_TIMEOUT_DEFAULT)
                timeout_ms = manager->session_options->request_timeout_ms ? manager->session_options->request_timeout_ms :
                                                                   session_default_timeout(loop);
        if (!wrong->code)
                check_request(manager, options, wrong);
        priority = wrong->code ? 0 : options->priority;
        call = call_new_waiting(loop, manager->queue, priority, wait_ms(manager, options, timeout_ms), timeout_ms, type, format, arguments);
        if (call && wrong->code)
                call_end(call, wrong->code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", error_text(wrong));
        if (call && options->batch && options->batch->manager == manager)
                batch_add(options->batch, call);
        if (call && manager->is_stopping)
                call_end(call, -ECANCELED, FERRY_OUTCOME_NOT_EXECUTED, NULL, "the children are being stopped");
        /* Workers elsewhere do not come back, as a child may. */
        if (manager->serving == 0 && !list_is_empty(&manager->remotes))
                pool_refuse(manager);
        pool_feed(manager);
        error_deinit(wrong);
        loop_leave(loop);
        return call;
}

ferry_call *ferry_manager_request(ferry_manager *manager, int timeout_ms, const char *type, const char *format, ...)
{
        const ferry_request_options options = { .timeout_ms = timeout_ms };
        ferry_call *call;
        va_list arguments;

        if (!manager)
                return ferry_session_request(NULL, timeout_ms, type, "null");
        va_start(arguments, format);
        call = request(manager, &options, &(struct error){ 0 }, type, format, arguments);
        va_end(arguments);
        return call;
}

ferry_call *ferry_manager_request_with(ferry_manager *manager, const ferry_request_options *options, const char *type,
                                       const char *format, ...)
{
        static const struct options_kind kind = {
                .name = "ferry_request_options", .size = sizeof *options,
                .times = { { "timeout_ms", offsetof(ferry_request_options, timeout_ms), true },
                           { "queue_timeout_ms", offsetof(ferry_request_options, queue_timeout_ms), false } },
        };
        ferry_request_options given;
        struct error wrong = { 0 };
        ferry_call *call;
        va_list arguments;

        if (!manager)
                return ferry_session_request(NULL, FERRY_TIMEOUT_DEFAULT, type, "null");
        options_copy(&kind, &given, options, &wrong);
        if (given.timeout_ms == 0)
                given.timeout_ms = FERRY_TIMEOUT_DEFAULT;
        va_start(arguments, format);
        call = request(manager, &given, &wrong, type, format, arguments);
        va_end(arguments);
        return call;
}

ferry_call *ferry_manager_request_value(ferry_manager *manager, int timeout_ms, const char *type, const ferry_value *body)
{
        return ferry_manager_request(manager, timeout_ms, type, "%p", ferry_arg(body));
}
