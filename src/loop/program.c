/* The program's own timers and descriptors. Invariant: a callback that returns anything but 1, or is taken off, is called no
 * more. */
#include "loop/loop.h"

#include <errno.h>
#include <stdio.h>

/* What the program has asked for by ferry_loop_after() or ferry_loop_watch(). */
struct program_entry {
        struct list link;
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

static void forget(struct program_entry *entry)
{
        ferry_loop *loop = entry->loop;

        if (entry->is_gone)
                return;
        entry->is_gone = true;
        list_remove(&entry->link);
        loop_timer_stop(loop, &entry->timer);
        if (!loop_is_foreign(loop))
                loop_source_set(&entry->source, 0);
        if (entry->copy >= 0)
                sys_close(entry->copy);
        loop->live--;
        loop_bury(loop, &entry->grave, free_entry);
}

void loop_forget_program(ferry_loop *loop)
{
        list_for_each(&loop->program, link)
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

static struct program_entry *add_entry(ferry_loop *loop, ferry_loop_fn *fn, void *userdata)
{
        struct program_entry *entry = sys_alloc_zeroed(sizeof *entry);

        if (!entry) {
                fail(loop, -ENOMEM, "a timer or descriptor of the program");
                return NULL;
        }
        entry->loop = loop;
        entry->fn = fn;
        entry->userdata = userdata;
        entry->copy = -1;
        entry->source = (struct loop_source){ .loop = loop, .fd = -1, .fn = descriptor_is_ready };
        entry->timer.fn = timer_is_due;
        list_init(&entry->grave.link);
        list_append(&loop->program, &entry->link);
        loop->live++;
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
        entry = add_entry(loop, fn, userdata);
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
        entry = add_entry(loop, fn, userdata);
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

/* cppcheck-suppress constParameter ; it is the pair that the program gave, not what it points to */
void ferry_loop_off(ferry_loop *loop, ferry_loop_fn *fn, void *userdata)
{
        if (!loop || loop_is_elsewhere(loop))
                return;
        list_for_each(&loop->program, link) {
                struct program_entry *entry = container_of(link, struct program_entry, link);

                if (entry->fn == fn && entry->userdata == userdata)
                        forget(entry);
        }
}
