/* Descriptors, and the door to them. */
#include "simulation/system.h"

#include "simulation/door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_FD = 1 << 20 };

static struct {
        struct file *files;
        unsigned count, free;
} table;

struct file *file_of(int fd)
{
        if (fd < FIRST_FD || (unsigned)(fd - FIRST_FD) >= table.count || table.files[fd - FIRST_FD].kind == FREE)
                system_give_up("a descriptor that is not open is used");
        return &table.files[fd - FIRST_FD];
}

int file_open(enum file_kind kind)
{
        unsigned at = 0;

        if (process_current() == 0)
                system_give_up("a descriptor is made outside of a process");
        if (table.free > 0) {
                while (table.files[at].kind != FREE)
                        at++;
                table.free--;
        } else {
                at = table.count++;
                if ((at & (at + 1)) == 0 || at == 0)
                        table.files = system_grow(table.files, 2 * (size_t)(at + 1), sizeof *table.files);
        }
        table.files[at] = (struct file){ .kind = kind, .process = process_current() };
        kernel_counts.descriptors++;
        return (int)at + FIRST_FD;
}

uint32_t file_readiness(const struct file *file)
{
        switch (file->kind) {
        case SOCKET:
                if (file->is_connecting)
                        return 0;
                if (file->error)
                        return EPOLLERR | EPOLLHUP | EPOLLIN | EPOLLOUT;
                return (file->begin < file->end || file->is_input_ended ? EPOLLIN : 0) |
                       (file->is_input_ended ? EPOLLRDHUP : 0) | (file->under_way < file->room ? EPOLLOUT : 0);
        case EVENT:
                return file->number > 0 ? EPOLLIN : 0;
        case TIMER:
                return file->deadline != 0 && file->deadline <= kernel_now() ? EPOLLIN : 0;
        default:
                return 0;
        }
}

static uint32_t what_is_ready(const struct file *file)
{
        return file_readiness(file) & (file->events | EPOLLERR | EPOLLHUP);
}

void file_touch(const struct file *file)
{
        if (file->epoll && what_is_ready(file))
                process_wake(file->process);
}

bool file_is_epoll_ready(int fd)
{
        const struct file *epoll = file_of(fd);

        for (unsigned i = 0; i < epoll->count; i++)
                if (what_is_ready(file_of(epoll->members[i])))
                        return true;
        return false;
}

void file_timer_is_due(const struct event *event)
{
        struct file *file = event->target < table.count ? &table.files[event->target] : NULL;

        if (!file || file->kind != TIMER || file->noted != event->when)
                return;
        file->noted = 0;
        if (file->deadline > kernel_now()) {
                file->noted = file->deadline;
                event_add((struct event){ .when = file->noted, .kind = DUE, .target = event->target });
        }
        file_touch(file);
}

void files_end(void)
{
        for (unsigned i = 0; i < table.count; i++)
                free(table.files[i].input);
        free(table.files);
        memset(&table, 0, sizeof table);
}

/* The door: descriptors -------------------------------------------------------------------------------- */

REPLACE(int, close, (int fd))
{
        struct file *file = file_of(fd);

        if (file->kind == SOCKET && file->connection)
                network_close(file);
        for (unsigned i = 0; file->kind == EPOLL && i < file->count; i++)
                file_of(file->members[i])->epoll = 0;
        if (file->epoll)
                system_give_up("a descriptor is closed that is in epoll");
        free(file->input);
        *file = (struct file){ 0 };
        table.free++;
        kernel_counts.descriptors--;
        return 0;
}

REPLACE(int, epoll_create, (void))
{
        return file_open(EPOLL);
}

REPLACE(int, epoll_control, (int epoll, int operation, int fd, uint32_t events, void *data))
{
        struct file *set = file_of(epoll), *file = file_of(fd);

        if (set->kind != EPOLL)
                system_give_up("epoll_ctl of what is none");
        if (operation == EPOLL_CTL_ADD) {
                if (set->count == FILES_PER_EPOLL)
                        system_give_up("a process has many descriptors");
                set->members[set->count++] = fd;
                file->epoll = epoll;
        } else if (file->epoll != epoll)
                return -ENOENT;
        file->events = events;
        file->data = data;
        for (unsigned i = 0; operation == EPOLL_CTL_DEL && i < set->count; i++)
                if (set->members[i] == fd) {
                        memmove(&set->members[i], &set->members[i + 1], (--set->count - i) * sizeof *set->members);
                        file->epoll = 0;
                        break;
                }
        return 0;
}

REPLACE(int, epoll_wait, (int epoll, struct epoll_event *events, int count, int timeout_ms))
{
        const struct file *set;
        int found = 0;

        if (timeout_ms != 0 && !file_is_epoll_ready(epoll) && !kernel_is_dead(process_current()))
                process_block(epoll, timeout_ms);
        set = file_of(epoll);
        for (unsigned i = 0; i < set->count && found < count; i++) {
                const struct file *file = file_of(set->members[i]);
                uint32_t ready = what_is_ready(file);

                if (ready)
                        events[found++] = (struct epoll_event){ .events = ready, .data.ptr = file->data };
        }
        return found;
}

REPLACE(int, eventfd, (void))
{
        return file_open(EVENT);
}

REPLACE(int, timerfd, (void))
{
        return file_open(TIMER);
}

REPLACE(int, timerfd_set, (int fd, int64_t deadline))
{
        struct file *file = file_of(fd);

        file->deadline = deadline;
        if (deadline != 0 && (file->noted == 0 || deadline < file->noted)) {
                file->noted = deadline > kernel_now() ? deadline : kernel_now();
                event_add((struct event){ .when = file->noted, .kind = DUE, .target = (unsigned)(fd - FIRST_FD) });
        }
        return 0;
}

REPLACE(ssize_t, read, (int fd, void *buffer, size_t size))
{
        struct file *file = file_of(fd);

        if (file->kind != EVENT || size != sizeof file->number)
                system_give_up("a read of another kind of descriptor");
        if (file->number == 0)
                return -EAGAIN;
        memcpy(buffer, &file->number, size);
        file->number = 0;
        return (ssize_t)size;
}

REPLACE(ssize_t, write, (int fd, const void *bytes, size_t size))
{
        struct file *file = file_of(fd);

        if (file->kind != EVENT || size != sizeof file->number)
                system_give_up("a write to another kind of descriptor");
        (void)bytes;
        file->number++;
        return (ssize_t)size;
}

