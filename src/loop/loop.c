/* The event loop. Invariants: each descriptor is in epoll at most once, and leaves it before it is closed; descriptors are
 * read before deadlines expire; an idle loop makes no system call but the one that waits; the eventfd and the timerfd are
 * touched only for programs that poll the loop's descriptor themselves. It knows nothing of what lives in it. */
#include "loop/spin.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { BATCH_EVENTS = 256 };

struct batch {
        struct batch *outer;
        int count;
        int next;
        struct epoll_event events[BATCH_EVENTS];
};

struct running {
        struct running *outer;
        bool is_stopped;
        int result;
};

/* What is shown outside ------------------------------------------------------------------------------- */

static bool has_tasks(const ferry_loop *loop)
{
        /* The marks of rounds that are under way are none. */
        for (const struct list *link = loop->tasks.next; link != &loop->tasks; link = link->next)
                if (container_of(link, const struct loop_task, link)->fn)
                        return true;
        return false;
}

static bool has_work(const ferry_loop *loop)
{
        return !list_is_empty(&loop->files) || has_tasks(loop) || !list_is_empty(&loop->put_off) || loop->idle > 0;
}

/* Signal to a program that polls our descriptor what it cannot see: work in memory, and the next deadline. */
static void show(ferry_loop *loop)
{
        int64_t deadline = loop->timers ? loop->timers->deadline : 0;
        uint64_t number = 1;

        /* In a forked child both still are the parent's. */
        if (loop->timer < 0 || loop_is_foreign(loop))
                return;
        if (has_work(loop) && !loop->is_event_set)
                loop->is_event_set = sys_write(loop->event, &number, sizeof number) == sizeof number;
        else if (!has_work(loop) && loop->is_event_set)
                loop->is_event_set = sys_read(loop->event, &number, sizeof number) != sizeof number;
        if (deadline != loop->timer_deadline)
                sys_timerfd_set(loop->timer, deadline);
        loop->timer_deadline = deadline;
}

/* Sources --------------------------------------------------------------------------------------------- */

int loop_source_set(struct loop_source *source, uint32_t events)
{
        ferry_loop *loop = source->loop;
        int operation = source->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
        int error;

        if (events == source->events)
                return 0;
        if (loop_is_foreign(loop))
                return -ECHILD;
        if (source->is_file) {
                if (events == 0)
                        list_remove(&source->link);
                else if (source->events == 0)
                        list_append(&loop->files, &source->link);
                source->events = events;
                if (loop->depth == 0)
                        show(loop);
                return 0;
        }
        /* It may already have been reported to a round that has not come to it. */
        for (struct batch *batch = loop->batches; batch && events == 0; batch = batch->outer)
                for (int i = batch->next; i < batch->count; i++)
                        if (batch->events[i].data.ptr == source)
                                batch->events[i].data.ptr = NULL;
        error = sys_epoll_control(loop->epoll, operation, source->fd, events, source);
        if (error == -EPERM && operation == EPOLL_CTL_ADD) {
                source->is_file = true;
                list_append(&loop->files, &source->link);
                error = 0;
        }
        if (error < 0 && events != 0)
                return error;
        if (!source->is_file && operation != EPOLL_CTL_MOD)
                loop->watched += operation == EPOLL_CTL_ADD ? 1 : (size_t)-1;
        source->events = events;
        if (source->is_file && loop->depth == 0)
                show(loop);
        return 0;
}

/* Our own descriptors have woken us: they are set again when the round ends. */
static void hide(ferry_loop *loop)
{
        uint64_t number;

        if (loop->is_event_set)
                loop->is_event_set = sys_read(loop->event, &number, sizeof number) != sizeof number;
        if (loop->timer_deadline)
                sys_timerfd_set(loop->timer, 0);
        loop->timer_deadline = 0;
}

/* Timers ---------------------------------------------------------------------------------------------- */

/* They are a pairing heap (Fredman, Sedgewick, Sleator and Tarjan, "The pairing heap: a new form of self-adjusting
 * heap"), whose links stand in the timers: starting one cannot fail, so a deadline that was promised holds. */

/* Of two heaps, or one and none, make one. Where deadlines are equal, @a stays in front. */
static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
        struct loop_timer *top = b && (!a || b->deadline < a->deadline) ? b : a;
        struct loop_timer *below = top == a ? b : a;

        if (!below)
                return top;
        below->previous = top;
        below->next = top->first;
        if (below->next)
                below->next->previous = below;
        top->first = below;
        return top;
}

/* One heap of a chain of them, in which the last came first: in pairs, then all of those. */
static struct loop_timer *meld_chain(struct loop_timer *chain)
{
        struct loop_timer *pairs = NULL, *heap = NULL;

        while (chain) {
                struct loop_timer *a = chain, *b = a->next, *pair;

                chain = b ? b->next : NULL;
                a->next = NULL;
                if (b)
                        b->next = NULL;
                pair = meld(b, a);
                pair->next = pairs;
                pairs = pair;
        }
        while (pairs) {
                struct loop_timer *pair = pairs;

                pairs = pair->next;
                pair->next = NULL;
                heap = meld(heap, pair);
        }
        if (heap)
                heap->previous = NULL;
        return heap;
}

void loop_timer_start(ferry_loop *loop, struct loop_timer *timer, int64_t deadline)
{
        loop_timer_stop(loop, timer);
        timer->deadline = deadline;
        if (deadline == INT64_MAX)
                return;
        timer->is_running = true;
        loop->timers = meld(loop->timers, timer);
        if (loop->depth == 0)
                show(loop);
}

void loop_timer_remove(ferry_loop *loop, struct loop_timer *timer)
{
        struct loop_timer *rest = meld_chain(timer->first);

        if (timer->previous) {
                if (timer->previous->first == timer)
                        timer->previous->first = timer->next;
                else
                        timer->previous->next = timer->next;
                if (timer->next)
                        timer->next->previous = timer->previous;
                loop->timers = meld(loop->timers, rest);
        } else
                loop->timers = rest;
        timer->first = timer->next = timer->previous = NULL;
        timer->is_running = false;
}

void loop_timer_postpone(ferry_loop *loop, struct loop_timer *timer)
{
        loop_timer_start(loop, timer, loop->looked + 1);
}

int64_t loop_deadline(int timeout_ms)
{
        return timeout_ms < 0 ? INT64_MAX : sys_now() + (int64_t)timeout_ms * 1000000;
}

/* A callback may have freed the loop, or returned in a child that it has forked. */
static bool is_over(const ferry_loop *loop)
{
        return loop->is_freed || loop_is_foreign(loop);
}

/* Those whose time was over when the descriptors were looked at: a deadline never overtakes what had come by then. */
static int run_timers(ferry_loop *loop, int64_t looked)
{
        int count = 0;

        loop->looked = looked;
        while (loop->timers && loop->timers->deadline <= looked && !is_over(loop)) {
                struct loop_timer *timer = loop->timers;

                loop_timer_stop(loop, timer);
                timer->fn(timer);
                count++;
        }
        return count;
}

/* Work in memory -------------------------------------------------------------------------------------- */

void loop_task_start(ferry_loop *loop, struct loop_task *task)
{
        if (loop_task_is_started(task))
                return;
        list_append(&loop->tasks, &task->link);
        if (loop->depth == 0)
                show(loop);
}

void loop_put_off(ferry_loop *loop, struct loop_task *task)
{
        if (!loop_task_is_started(task))
                list_append(&loop->put_off, &task->link);
}

/* What a task puts off meanwhile, also its own, is called the next time. */
void loop_catch_up(ferry_loop *loop)
{
        struct list now;

        loop->is_gathering = false;
        if (list_is_empty(&loop->put_off) || loop_is_foreign(loop))
                return;
        list_init(&now);
        list_append(&loop->put_off, &now);
        list_remove(&loop->put_off);
        while (!list_is_empty(&now)) {
                struct loop_task *task = container_of(now.next, struct loop_task, link);

                list_remove(&task->link);
                task->fn(task);
        }
}

/* Each task that is there now, once. A round inside a task works on the same list, so nothing waits for the
 * outer one; each round marks how far it goes with a task that does nothing. */
static int run_tasks(ferry_loop *loop)
{
        struct loop_task mark = { .fn = NULL };
        int count = 0;

        if (!has_tasks(loop))
                return 0;
        list_append(&loop->tasks, &mark.link);
        while (!is_over(loop)) {
                struct loop_task *task = container_of(loop->tasks.next, struct loop_task, link);

                while (!task->fn && task != &mark)
                        task = container_of(task->link.next, struct loop_task, link);
                if (task == &mark)
                        break;
                list_remove(&task->link);
                task->fn(task);
                count++;
        }
        list_remove(&mark.link);
        return count;
}

static int run_files(ferry_loop *loop)
{
        int count = 0;

        list_for_each(&loop->files, link)
                count++;
        for (int i = 0; i < count && !list_is_empty(&loop->files) && !is_over(loop); i++) {
                struct loop_source *source = container_of(loop->files.next, struct loop_source, link);

                list_remove(&source->link);
                list_append(&loop->files, &source->link);
                source->fn(source, source->events);
        }
        return count;
}

/* Rounds ---------------------------------------------------------------------------------------------- */

/* But not @kept (or NULL). */
static void bury_all(struct list *graves, const struct loop_grave *kept)
{
        for (;;) {
                struct list *first = kept && graves->next == &kept->link ? kept->link.next : graves->next;
                struct loop_grave *grave = container_of(first, struct loop_grave, link);

                if (first == graves)
                        return;
                list_remove(first);
                grave->free(grave);
        }
}

static void destroy(ferry_loop *loop)
{
        bury_all(&loop->graves, NULL);
        sys_close(loop->epoll);
        sys_close(loop->event);
        if (loop->timer >= 0)
                sys_close(loop->timer);
        if (loop->waker.fd >= 0)
                sys_close(loop->waker.fd);
        while (!list_is_empty(&loop->attachments)) {
                struct loop_attachment *attachment = container_of(loop->attachments.next, struct loop_attachment, link);

                list_remove(&attachment->link);
                if (attachment->free)
                        attachment->free(attachment);
        }
        sys_unmap_page((void *)(uintptr_t)loop->alive);
        error_deinit(&loop->error);
        error_deinit(&loop->own_error);
        sys_free(loop);
}

void loop_bury(ferry_loop *loop, struct loop_grave *grave, void (*free)(struct loop_grave *grave))
{
        grave->free = free;
        list_append(&loop->graves, &grave->link);
        if (loop->depth == 0)
                bury_all(&loop->graves, NULL);
}

void loop_leave(ferry_loop *loop)
{
        if (loop->depth == 1 && loop->timer >= 0 && !loop->is_freed)
                loop_fall_asleep(loop);
        if (--loop->depth > 0)
                return;
        if (loop->is_freed) {
                destroy(loop);
                return;
        }
        if (!list_is_empty(&loop->graves))
                bury_all(&loop->graves, NULL);
        if (loop->timer >= 0)
                show(loop);
        __atomic_store_n(&loop->is_entered, false, __ATOMIC_RELEASE);
}

/* In milliseconds for epoll_wait: rounded up, so that the wait never ends too early. @ret_now is the time, if a timer or
 * the deadline depends on it. */
static int remaining(const ferry_loop *loop, int64_t deadline, int64_t *ret_now)
{
        bool is_waiting = !has_work(loop) && deadline > 0;
        int64_t left;

        if (loop->timers && loop->timers->deadline < deadline)
                deadline = loop->timers->deadline;
        if (loop->timers || (is_waiting && deadline != INT64_MAX))
                *ret_now = sys_now();
        if (!is_waiting)
                return 0;
        if (deadline == INT64_MAX)
                return -1;
        left = (deadline - *ret_now + 999999) / 1000000;
        return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Wait for descriptors, and call those that have become ready. How many those are, or a negative errno; what was done
 * is added to @count. */
static int run_sources(ferry_loop *loop, int timeout_ms, int *count)
{
        struct batch batch;

        batch.outer = loop->batches;
        batch.next = 0;
        batch.count = sys_epoll_wait(loop->epoll, batch.events, BATCH_EVENTS, timeout_ms);
        if (batch.count < 0)
                return batch.count;
        /* cppcheck-suppress autoVariables ; taken out again below */
        loop->batches = &batch;
        while (batch.next < batch.count && !is_over(loop)) {
                const struct epoll_event *event = &batch.events[batch.next++];
                struct loop_source *source = event->data.ptr;

                /* The loop's own descriptors have none; they only wake a program that polls, and must not wake us again. */
                if (!source) {
                        hide(loop);
                        continue;
                }
                source->fn(source, event->events);
                ++*count;
        }
        loop->batches = batch.outer;
        return batch.count;
}

/* epoll gives in turn what is ready. Where that is more than it can give at once, the last ones would have to wait for the
 * next rounds. As run_sources(); -EINTR for a failure of a later call than the first. */
static int run_all_sources(ferry_loop *loop, int timeout_ms, int *count)
{
        size_t seen = 0;
        int got;

        loop->skipping_since = 0;
        do {
                got = run_sources(loop, seen == 0 ? timeout_ms : 0, count);
                seen += BATCH_EVENTS;
        } while (got == BATCH_EVENTS && seen < loop->watched && !is_over(loop));
        return got < 0 && seen > BATCH_EVENTS ? -EINTR : got;
}

/* Wait, perhaps by looking at shared memory, and call what has become ready; -EINTR if descriptors were not looked at. What was
 * found in memory is read as what descriptors bring. */
static int wait_for_sources(ferry_loop *loop, int64_t deadline, int64_t *looked, int *count)
{
        int64_t spinning_until = 0;
        enum loop_next next;
        int got;

        do {
                int timeout_ms = remaining(loop, deadline, looked);

                next = list_is_empty(&loop->spinners) ? LOOP_SLEEP : loop_spin(loop, timeout_ms, *looked, &spinning_until);
                if (next != LOOP_SLEEP)
                        timeout_ms = 0;
                got = next == LOOP_SKIP ? -EINTR : run_all_sources(loop, timeout_ms, count);
                if ((next == LOOP_SKIP || next == LOOP_GO_ON) && !is_over(loop))
                        *count += run_tasks(loop);
                /* The kernel has looked once more when the time was over. */
                if (got == 0 && timeout_ms > 0)
                        *looked += (int64_t)timeout_ms * 1000000;
        } while (got == 0 && next == LOOP_GLANCE && !is_over(loop));
        return got;
}

/* Wait until @deadline at most, and call what is ready. How much that was, or a negative errno.
 *
 * The order matters: descriptors are read and what they brought is handled, then deadlines expire, and only those that
 * had passed before the descriptors were read. So a reply that was there in time counts, however late the program, or
 * the whole process, comes to look at it. */
static int run_ready(ferry_loop *loop, int64_t deadline)
{
        int count = 0, got, timers;
        int64_t looked = 0;

        got = wait_for_sources(loop, deadline, &looked, &count);
        if (got < 0 && got != -EINTR)
                return got;
        if (!list_is_empty(&loop->files) && !is_over(loop))
                count += run_files(loop);
        if (!is_over(loop))
                count += run_tasks(loop);
        /* A wait that was interrupted, perhaps because the process was stopped, has not looked. */
        if (is_over(loop) || got < 0)
                return count;
        timers = run_timers(loop, looked);
        if (timers > 0 && !is_over(loop))
                count += run_tasks(loop);
        if (loop->idle > 0 && count + timers == 0 && !is_over(loop))
                count = loop_run_idle(loop);
        return count + timers;
}

/* One round. The caller stands between loop_enter() and loop_leave(). */
static int run_round(ferry_loop *loop, int64_t deadline)
{
        int result;

        if (loop_is_foreign(loop))
                return -ECHILD;
        loop_catch_up(loop);
        if (is_over(loop))
                return 0;
        result = run_ready(loop, deadline);
        loop_catch_up(loop);
        return result;
}

int loop_wait(ferry_loop *loop, int64_t deadline, bool (*is_done)(void *object), void *object,
              const struct loop_grave *kept)
{
        bool is_outermost = loop->depth == 1;
        int result = 0;

        result = loop_refuse(loop);
        if (result)
                return result;
        loop_take(loop);
        if (loop->waits == LOOP_WAITS_MAX)
                return -EDEADLK;
        loop->waits++;
        loop_enter(loop);
        while (!is_done(object)) {
                bool is_late = deadline != INT64_MAX && sys_now() >= deadline;

                result = loop->is_freed ? -ECANCELED : run_round(loop, is_late ? 0 : deadline);
                if (result >= 0 && is_late && !is_done(object))
                        result = -ETIMEDOUT;
                if (is_outermost && !loop->is_freed && !list_is_empty(&loop->graves))
                        bury_all(&loop->graves, kept);
                if (result < 0)
                        break;
        }
        loop->waits--;
        loop_leave(loop);
        return result < 0 ? result : 0;
}

static int tell_failure(ferry_loop *loop, struct loop_failure *failure)
{
        list_remove(&failure->link);
        return error_replace(&loop->error, failure->error->code, "%s", error_text(failure->error));
}

/* The first failure that was not reported: reported now. 0 if there is none. */
static int tell_first_failure(ferry_loop *loop)
{
        struct loop_failure *failure = list_first(&loop->failures, struct loop_failure, link);

        return failure ? tell_failure(loop, failure) : 0;
}

bool loop_has_own_failure(const ferry_loop *loop)
{
        return loop->own_failure.link.next && !list_is_empty(&loop->own_failure.link);
}

int loop_tell_own_failure(ferry_loop *loop)
{
        return loop_has_own_failure(loop) ? tell_failure(loop, &loop->own_failure) : 0;
}

void loop_fail(ferry_loop *loop, int code, const char *sentence)
{
        error_replace(&loop->own_error, code, "%s", sentence);
        loop_failure_told(&loop->own_failure);
        loop_failure_add(loop, &loop->own_failure, &loop->own_error);
}

void loop_failure_add(ferry_loop *loop, struct loop_failure *failure, const struct error *error)
{
        failure->error = error;
        list_append(&loop->failures, &failure->link);
}

void loop_failure_told(struct loop_failure *failure)
{
        if (failure->link.next)
                list_remove(&failure->link);
}

int loop_refuse_timeout(ferry_loop *loop, int timeout_ms)
{
        return error_replace(&loop->error, -EINVAL, "%d is not a timeout: write a time in ms, or -1 for forever", timeout_ms);
}

int ferry_loop_run(ferry_loop *loop, int timeout_ms)
{
        struct running running = { 0 };
        int64_t deadline;
        int result;
        bool is_first = true;

        if (!loop)
                return -ENOMEM;
        if (loop_is_foreign(loop))
                return -ECHILD;
        if (loop_take(loop) < 0)
                return -EPERM;
        if (timeout_ms < -1)
                return loop_refuse_timeout(loop, timeout_ms);
        if (loop->waits == LOOP_WAITS_MAX)
                return error_replace(&loop->error, -EDEADLK, "waiting failed: %d waits are nested in callbacks",
                                     LOOP_WAITS_MAX);
        deadline = loop_deadline(timeout_ms);
        running.outer = loop->running;
        /* cppcheck-suppress autoVariables ; taken out again below */
        loop->running = &running;
        loop->waits++;
        loop_enter(loop);
        for (;;) {
                running.result = running.is_stopped ? running.result : tell_first_failure(loop);
                if (running.is_stopped || running.result < 0 || loop->is_freed)
                        break;
                if ((loop->live == 0 && !has_work(loop)) ||
                    (!is_first && deadline != INT64_MAX && sys_now() >= deadline))
                        break;
                is_first = false;
                result = run_round(loop, timeout_ms == 0 ? 0 : deadline);
                /* All callbacks have returned: a service runs for weeks, and must not keep its clients as long. */
                if (loop->depth == 1 && !loop->is_freed)
                        bury_all(&loop->graves, NULL);
                if (result < 0) {
                        running.result = error_replace(&loop->error, result, "the loop cannot wait: %s",
                                                       error_describe(result));
                        break;
                }
        }
        loop->running = running.outer;
        loop->waits--;
        loop_leave(loop);
        return running.result;
}

int ferry_loop_stop(ferry_loop *loop, int result)
{
        if (loop && loop_is_elsewhere(loop))
                return -EPERM;
        if (!loop || !loop->running || loop->running->is_stopped)
                return 0;
        loop->running->is_stopped = true;
        loop->running->result = result;
        return 0;
}

int ferry_loop_tick(ferry_loop *loop, int timeout_ms)
{
        int result;

        if (!loop)
                return -ENOMEM;
        if (loop_is_foreign(loop))
                return -ECHILD;
        if (loop_take(loop) < 0)
                return -EPERM;
        if (timeout_ms < -1)
                return loop_refuse_timeout(loop, timeout_ms);
        loop_enter(loop);
        result = tell_first_failure(loop);
        if (result == 0)
                result = run_round(loop, timeout_ms == 0 ? 0 : loop_deadline(timeout_ms));
        if (result >= 0 && !loop->is_freed) {
                int failure = tell_first_failure(loop);

                result = failure < 0 ? failure : result > 0;
        }
        loop_leave(loop);
        return result;
}

int ferry_loop_fd(ferry_loop *loop)
{
        int result;

        if (!loop)
                return -ENOMEM;
        result = loop_refuse(loop);
        if (result)
                return result;
        if (loop->timer < 0) {
                int timer = sys_timerfd(), error;

                if (timer < 0)
                        return timer;
                error = sys_epoll_control(loop->epoll, EPOLL_CTL_ADD, timer, EPOLLIN, NULL);
                if (error < 0) {
                        sys_close(timer);
                        return error;
                }
                loop->timer = timer;
                loop_fall_asleep(loop);
                show(loop);
        }
        return loop->epoll;
}

const char *ferry_loop_error(const ferry_loop *loop)
{
        return !loop ? "the loop is NULL: no memory was left for it" : loop_is_elsewhere(loop) ? loop_elsewhere : error_text(&loop->error);
}

/* Beginning and end ----------------------------------------------------------------------------------- */

ferry_loop *loop_new(void)
{
        ferry_loop *loop = sys_alloc_zeroed(sizeof *loop);
        char *page;

        if (!loop)
                return NULL;
        list_init(&loop->tasks);
        list_init(&loop->put_off);
        list_init(&loop->spinners);
        list_init(&loop->files);
        list_init(&loop->members);
        list_init(&loop->attachments);
        list_init(&loop->holders);
        list_init(&loop->program);
        list_init(&loop->occasions);
        list_init(&loop->signals);
        loop->waker.fd = -1;
        list_init(&loop->graves);
        list_init(&loop->failures);
        loop->timer = -1;
        page = sys_map_wiped_on_fork();
        if (page)
                *page = 1;
        loop->alive = page;
        loop->epoll = sys_epoll_create();
        loop->event = sys_eventfd();
        if (page && loop->epoll >= 0 && loop->event >= 0 &&
            sys_epoll_control(loop->epoll, EPOLL_CTL_ADD, loop->event, EPOLLIN, NULL) == 0)
                return loop;
        if (loop->epoll >= 0)
                sys_close(loop->epoll);
        if (loop->event >= 0)
                sys_close(loop->event);
        if (page)
                sys_unmap_page(page);
        sys_free(loop);
        return NULL;
}

void loop_attach(ferry_loop *loop, struct loop_attachment *attachment, const void *kind)
{
        attachment->kind = kind;
        list_append(&loop->attachments, &attachment->link);
}

struct loop_attachment *loop_attachment_next(const ferry_loop *loop, const void *kind, const struct loop_attachment *previous)
{
        const struct list *link = previous ? &previous->link : &loop->attachments;

        while ((link = link->next) != &loop->attachments) {
                struct loop_attachment *attachment = container_of(link, struct loop_attachment, link);

                if (attachment->kind == kind)
                        return attachment;
        }
        return NULL;
}

static bool is_quiet(void *object)
{
        const ferry_loop *loop = object;

        return loop->live == 0 && !has_tasks(loop);
}

/* Closing one may free others: a service takes those with it for whom it had no room. */
static void close_members(ferry_loop *loop)
{
        struct list open;

        list_init(&open);
        while (!list_is_empty(&loop->members)) {
                struct list *link = loop->members.next;

                list_remove(link);
                list_append(&open, link);
        }
        while (!list_is_empty(&open)) {
                struct loop_member *member = container_of(open.next, struct loop_member, link);

                list_remove(&member->link);
                list_append(&loop->members, &member->link);
                member->close(member);
        }
}

ferry_loop *ferry_loop_free(ferry_loop *loop)
{
        if (!loop || (!loop_is_foreign(loop) && loop_take(loop) < 0) || loop->is_ending)
                return NULL;
        loop->is_ending = true;
        loop_enter(loop);
        loop_forget_program(loop);
        if (!loop_is_foreign(loop)) {
                close_members(loop);
                /* One more level is always there for the end. */
                loop->waits = 0;
                loop_wait(loop, INT64_MAX, is_quiet, loop, NULL);
        }
        while (!list_is_empty(&loop->members)) {
                struct loop_member *member = container_of(loop->members.next, struct loop_member, link);

                list_remove(&member->link);
                member->free(member);
        }
        while (!list_is_empty(&loop->holders)) {
                struct loop_holder *holder = container_of(loop->holders.next, struct loop_holder, link);

                list_remove(&holder->link);
                holder->forget(holder);
        }
        loop->is_freed = true;
        if (loop->running)
                ferry_loop_stop(loop, -ECANCELED);
        loop_leave(loop);
        return NULL;
}

void loop_abandon(ferry_loop *loop)
{
        loop_enter(loop);
        ferry_loop_free(loop);
        sys_close(loop->epoll);
        sys_close(loop->event);
        if (loop->timer >= 0)
                sys_close(loop->timer);
        if (loop->waker.fd >= 0)
                sys_close(loop->waker.fd);
}
