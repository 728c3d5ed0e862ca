/* What the program itself does in a loop: timers, descriptors, signals, what it does when another thread wakes the loop, and when
 * there is nothing else to do. Invariants: a callback that returns anything but 1, or is taken off, is called no more; a signal is
 * blocked as long as a callback waits for it, and no longer. */
#include "loop/loop.h"

#include <errno.h>
#include <stdio.h>
#include <sys/signalfd.h>

enum entry_kind { ENTRY_TIMER, ENTRY_DESCRIPTOR, ENTRY_SIGNAL, ENTRY_WAKE, ENTRY_IDLE };

/* A signal that callbacks wait for. */
struct program_signal {
        struct list link;
        struct loop_grave grave;
        int number;
        size_t uses;
        struct loop_source source;
        bool was_blocked;               /* before any loop of the thread waited for it */
};

/* The mask is that of a thread, which may have several loops: how many of them wait for a signal. */
struct masked_signal {
        unsigned loops;
        bool was_blocked;
};

static _Thread_local struct masked_signal masked[NSIG];

struct program_entry {
        struct list link;
        enum entry_kind kind;
        struct program_signal *signal;  /* ENTRY_SIGNAL */
        bool is_due;                    /* it is called now */
        bool is_idle;                   /* ENTRY_IDLE, and not under way: a wait in its callback does not call it again */
        bool is_counted;                /* the loop runs for it */
        struct loop_grave grave;
        ferry_loop *loop;
        ferry_loop_fn *fn;
        void *userdata;
        struct loop_timer timer;
        int delay_ms;
        struct loop_source source;
        int copy;               /* of a descriptor that something else in the loop waits for, too; else -1 */
        bool is_gone;
};

static void free_entry(struct loop_grave *grave)
{
        sys_free(container_of(grave, struct program_entry, grave));
}

static void free_signal(struct loop_grave *grave)
{
        sys_free(container_of(grave, struct program_signal, grave));
}

static int mask(struct program_signal *signal)
{
        struct masked_signal *thread = &masked[signal->number];
        const int signals[] = { signal->number, 0 };
        sigset_t before;
        int code = sys_block_signals(signals, &before);

        if (code)
                return code;
        if (thread->loops++ == 0)
                thread->was_blocked = sigismember(&before, signal->number);
        signal->was_blocked = thread->was_blocked;
        return 0;
}

/* A loop that was handed to this thread has masked it in another one. */
static void unmask(const struct program_signal *signal)
{
        struct masked_signal *thread = &masked[signal->number];

        if (thread->loops > 0 && --thread->loops > 0)
                return;
        if (!signal->was_blocked)
                sys_unblock_signal(signal->number);
}

/* One that has come and was not taken acts then. In a forked child, too, which has inherited the mask. */
static void release_signal(ferry_loop *loop, struct program_signal *signal)
{
        if (--signal->uses > 0)
                return;
        list_remove(&signal->link);
        if (!loop_is_foreign(loop))
                loop_source_set(&signal->source, 0);
        sys_close(signal->source.fd);
        unmask(signal);
        loop_bury(loop, &signal->grave, free_signal);
}

static void set_idle(struct program_entry *entry, bool is_idle)
{
        if (entry->is_idle != is_idle)
                entry->loop->idle += is_idle ? 1 : (size_t)-1;
        entry->is_idle = is_idle;
}

static void forget(struct program_entry *entry)
{
        ferry_loop *loop = entry->loop;

        if (entry->is_gone)
                return;
        entry->is_gone = true;
        set_idle(entry, false);
        if (entry->signal)
                release_signal(loop, entry->signal);
        list_remove(&entry->link);
        loop_timer_stop(loop, &entry->timer);
        if (!loop_is_foreign(loop))
                loop_source_set(&entry->source, 0);
        if (entry->copy >= 0)
                sys_close(entry->copy);
        loop_count_live(loop, &entry->is_counted, false);
        loop_bury(loop, &entry->grave, free_entry);
}

void loop_forget_program(ferry_loop *loop)
{
        list_for_each(&loop->program, link)
                forget(container_of(link, struct program_entry, link));
        list_for_each(&loop->occasions, link)
                forget(container_of(link, struct program_entry, link));
}

/* What goes wrong here has nowhere else to be reported: run returns it, or a call that waits for children. */
static void fail(ferry_loop *loop, int code, const char *what)
{
        char sentence[128];

        snprintf(sentence, sizeof sentence, "%s: %s", what, error_describe(code));
        loop_fail(loop, code, sentence);
}

static void timer_is_due(struct loop_timer *timer)
{
        struct program_entry *entry = container_of(timer, struct program_entry, timer);
        bool is_again = entry->fn(entry->loop, entry->userdata) == 1;

        if (entry->is_gone)
                return;
        if (!is_again)
                forget(entry);
        else
                loop_timer_start(entry->loop, timer, loop_deadline(entry->delay_ms));
}

static void descriptor_is_ready(struct loop_source *source, uint32_t events)
{
        struct program_entry *entry = container_of(source, struct program_entry, source);

        (void)events;
        if (!entry->is_gone && entry->fn(entry->loop, entry->userdata) != 1 && !entry->is_gone)
                forget(entry);
}

/* A signal does not keep the loop running: it may never come. */
static struct program_entry *add_entry(ferry_loop *loop, enum entry_kind kind, ferry_loop_fn *fn, void *userdata)
{
        static const char *const names[] = {
                [ENTRY_TIMER] = "a timer of the program", [ENTRY_DESCRIPTOR] = "a descriptor that the program wants to be watched",
                [ENTRY_SIGNAL] = "a signal that the program waits for", [ENTRY_WAKE] = "a callback for waking the loop",
                [ENTRY_IDLE] = "a callback for an idle loop",
        };
        struct program_entry *entry = sys_alloc_zeroed(sizeof *entry);

        if (!entry) {
                fail(loop, -ENOMEM, names[kind]);
                return NULL;
        }
        entry->kind = kind;
        entry->loop = loop;
        entry->fn = fn;
        entry->userdata = userdata;
        entry->copy = -1;
        entry->source = (struct loop_source){ .loop = loop, .fd = -1, .fn = descriptor_is_ready };
        entry->timer.fn = timer_is_due;
        list_init(&entry->grave.link);
        list_append(kind < ENTRY_SIGNAL ? &loop->program : &loop->occasions, &entry->link);
        loop_count_live(loop, &entry->is_counted, kind != ENTRY_SIGNAL);
        return entry;
}

void ferry_loop_after(ferry_loop *loop, int delay_ms, ferry_loop_fn *fn, void *userdata)
{
        struct program_entry *entry;

        if (!loop || loop_refuse(loop) || loop->is_ending)
                return;
        if (delay_ms < 0) {
                fail(loop, -EINVAL, "a timer of the program with a negative delay");
                return;
        }
        entry = add_entry(loop, ENTRY_TIMER, fn, userdata);
        if (!entry)
                return;
        entry->delay_ms = delay_ms;
        loop_timer_start(loop, &entry->timer, loop_deadline(delay_ms));
}

void ferry_loop_watch(ferry_loop *loop, int fd, short events, ferry_loop_fn *fn, void *userdata)
{
        struct program_entry *entry;
        uint32_t wanted = ((events & POLLIN) ? EPOLLIN : 0) | ((events & POLLOUT) ? EPOLLOUT : 0) |
                          ((events & POLLPRI) ? EPOLLPRI : 0);
        int error;

        if (!loop || loop_refuse(loop) || loop->is_ending)
                return;
        entry = add_entry(loop, ENTRY_DESCRIPTOR, fn, userdata);
        if (!entry)
                return;
        entry->source.fd = fd;
        error = loop_source_set(&entry->source, wanted ? wanted : EPOLLHUP);
        /* epoll takes each descriptor once. */
        if (error == -EEXIST) {
                entry->source.fd = entry->copy = sys_duplicate(fd, 3);
                error = entry->copy < 0 ? entry->copy :
                                          loop_source_set(&entry->source, wanted ? wanted : EPOLLHUP);
        }
        if (error < 0) {
                forget(entry);
                fail(loop, error, "a descriptor that the program wants to be watched");
        }
}

/* Signals, waking, idling ---------------------------------------------------------------------------------- */

/* Each entry of that kind, and of that signal, that is there now, once. A callback may take off any of them, and wait. */
static int call_entries(ferry_loop *loop, enum entry_kind kind, const struct program_signal *signal)
{
        int count = 0;

        list_for_each(&loop->occasions, link) {
                struct program_entry *entry = container_of(link, struct program_entry, link);

                if (entry->kind == kind && entry->signal == signal && (kind != ENTRY_IDLE || entry->is_idle))
                        entry->is_due = true;
        }
        for (struct list *link = loop->occasions.next; link != &loop->occasions && !loop->is_freed && !loop_is_foreign(loop);) {
                struct program_entry *entry = container_of(link, struct program_entry, link);
                bool is_again;

                link = link->next;
                if (!entry->is_due || entry->kind != kind || entry->signal != signal)
                        continue;
                entry->is_due = false;
                set_idle(entry, false);
                count++;
                is_again = entry->fn(loop, entry->userdata) == 1;
                if (!is_again && !entry->is_gone)
                        forget(entry);
                else if (!entry->is_gone)
                        set_idle(entry, kind == ENTRY_IDLE);
                link = loop->occasions.next;
        }
        return count;
}

static void signal_has_come(struct loop_source *source, uint32_t events)
{
        struct program_signal *signal = container_of(source, struct program_signal, source);
        struct signalfd_siginfo info;
        bool has_come = false;

        (void)events;
        while (sys_read(source->fd, &info, sizeof info) == sizeof info)
                has_come = true;
        if (has_come)
                call_entries(source->loop, ENTRY_SIGNAL, signal);
}

static struct program_signal *find_signal(const ferry_loop *loop, int number)
{
        for (struct list *link = loop->signals.next; link != &loop->signals; link = link->next)
                if (container_of(link, struct program_signal, link)->number == number)
                        return container_of(link, struct program_signal, link);
        return NULL;
}

/* NULL with the errno in @ret_code. */
static struct program_signal *make_signal(ferry_loop *loop, int number, int *ret_code)
{
        const int signals[] = { number, 0 };
        struct program_signal *signal = sys_alloc_zeroed(sizeof *signal);
        int code = -ENOMEM;
        bool is_blocked;

        if (signal) {
                signal->number = number;
                code = mask(signal);
        }
        is_blocked = code == 0;
        if (is_blocked) {
                signal->source = (struct loop_source){ .loop = loop, .fd = sys_signalfd(signals), .fn = signal_has_come };
                code = signal->source.fd < 0 ? signal->source.fd : loop_source_set(&signal->source, EPOLLIN);
        }
        *ret_code = code;
        if (!code) {
                list_append(&loop->signals, &signal->link);
                return signal;
        }
        if (is_blocked && signal->source.fd >= 0)
                sys_close(signal->source.fd);
        if (is_blocked)
                unmask(signal);
        sys_free(signal);
        return NULL;
}

void ferry_loop_on_signal(ferry_loop *loop, int signal, ferry_loop_fn *fn, void *userdata)
{
        struct program_entry *entry;
        int code = 0;

        if (!loop || loop_refuse(loop) || loop->is_ending)
                return;
        /* 32 and 33 are the C library's own. */
        if (signal < 1 || signal >= NSIG || signal == 32 || signal == 33 || signal == SIGKILL || signal == SIGSTOP) {
                fail(loop, -EINVAL, "a signal that the program waits for, and that cannot be handled");
                return;
        }
        entry = add_entry(loop, ENTRY_SIGNAL, fn, userdata);
        if (!entry)
                return;
        entry->signal = find_signal(loop, signal);
        if (!entry->signal)
                entry->signal = make_signal(loop, signal, &code);
        if (entry->signal)
                entry->signal->uses++;
        if (code) {
                forget(entry);
                fail(loop, code, "a signal that the program waits for");
        }
}

static void loop_was_woken(struct loop_source *source, uint32_t events)
{
        uint64_t count;

        (void)events;
        if (sys_read(source->fd, &count, sizeof count) == sizeof count)
                call_entries(source->loop, ENTRY_WAKE, NULL);
}

/* It stays until the loop is freed, so that other threads can use its number. */
static int make_waker(ferry_loop *loop)
{
        int fd = sys_eventfd(), code;

        if (fd < 0)
                return fd;
        loop->waker = (struct loop_source){ .loop = loop, .fd = fd, .fn = loop_was_woken };
        code = loop_source_set(&loop->waker, EPOLLIN);
        if (code) {
                sys_close(fd);
                loop->waker.fd = -1;
        }
        return code;
}

void ferry_loop_on_wake(ferry_loop *loop, ferry_loop_fn *fn, void *userdata)
{
        int code;

        if (!loop || loop_refuse(loop) || loop->is_ending)
                return;
        code = loop->waker.fd < 0 ? make_waker(loop) : 0;
        if (code)
                fail(loop, code, "a callback for waking the loop");
        else
                add_entry(loop, ENTRY_WAKE, fn, userdata);
}

int ferry_loop_wake(ferry_loop *loop)
{
        const uint64_t one = 1;
        int fd;

        if (!loop)
                return -ENOMEM;
        if (loop_is_foreign(loop))
                return -ECHILD;
        fd = __atomic_load_n(&loop->waker.fd, __ATOMIC_RELAXED);
        if (fd < 0)
                return -ENOENT;
        /* One that is full wakes, too. */
        sys_write(fd, &one, sizeof one);
        return 0;
}

void ferry_loop_on_idle(ferry_loop *loop, ferry_loop_fn *fn, void *userdata)
{
        struct program_entry *entry;

        if (!loop || loop_refuse(loop) || loop->is_ending)
                return;
        /* A program that polls the loop sees on leaving that there is work. */
        loop_enter(loop);
        entry = add_entry(loop, ENTRY_IDLE, fn, userdata);
        if (entry)
                set_idle(entry, true);
        loop_leave(loop);
}

int loop_run_idle(ferry_loop *loop)
{
        return call_entries(loop, ENTRY_IDLE, NULL);
}

/* cppcheck-suppress constParameter ; it is the pair that the program gave, not what it points to */
static void forget_pair(struct list *list, ferry_loop_fn *fn, const void *userdata)
{
        list_for_each(list, link) {
                struct program_entry *entry = container_of(link, struct program_entry, link);

                if (entry->fn == fn && entry->userdata == userdata)
                        forget(entry);
        }
}

/* cppcheck-suppress constParameter ; it is the pair that the program gave, not what it points to */
void ferry_loop_off(ferry_loop *loop, ferry_loop_fn *fn, void *userdata)
{
        if (!loop || loop_is_elsewhere(loop))
                return;
        forget_pair(&loop->program, fn, userdata);
        forget_pair(&loop->occasions, fn, userdata);
}
