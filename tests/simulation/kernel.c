/* Invariants: an event is either in the heap or has been done; a process that is dead has no round. */
#include "simulation/system.h"

#include "simulation/door.h"
#include "simulation/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PID = 4711 };

struct process {
        ferry_loop *loop;
        unsigned host;
        int epoll;
        bool is_dead, is_waiting;       /* for a round */
        bool is_blocked;                /* it waits within a round, or within what was called of it */
};

struct kernel_counts kernel_counts;

static struct {
        struct random random;
        int64_t now;
        uint64_t order;
        struct event *events;
        size_t events_count, events_size;
        struct process *processes;
        unsigned processes_count, current;      /* processes count from 1; 0: none */
        unsigned *waiting;
        unsigned waiting_count;
} kernel;

_Noreturn void system_give_up(const char *what)
{
        fprintf(stderr, "simulation: %s (process %u)\n", what, kernel.current);
        abort();
}

void *system_grow(void *memory, size_t count, size_t size)
{
        memory = realloc(memory, count * size);
        if (!memory)
                system_give_up("no memory");
        return memory;
}

struct random *kernel_random(void)
{
        return &kernel.random;
}

int64_t kernel_now(void)
{
        return kernel.now;
}

/* Events ----------------------------------------------------------------------------------------------- */

static bool is_before(const struct event *a, const struct event *b)
{
        return a->when != b->when ? a->when < b->when : a->order < b->order;
}

void event_add(struct event event)
{
        size_t at = kernel.events_count++;

        if (kernel.events_count > kernel.events_size) {
                kernel.events_size = kernel.events_size ? kernel.events_size * 2 : 1024;
                kernel.events = system_grow(kernel.events, kernel.events_size, sizeof *kernel.events);
        }
        event.order = ++kernel.order;
        while (at > 0 && is_before(&event, &kernel.events[(at - 1) / 2])) {
                kernel.events[at] = kernel.events[(at - 1) / 2];
                at = (at - 1) / 2;
        }
        kernel.events[at] = event;
}

static struct event take_event(void)
{
        struct event first = kernel.events[0], last = kernel.events[--kernel.events_count];
        size_t at = 0, below;

        while ((below = 2 * at + 1) < kernel.events_count) {
                if (below + 1 < kernel.events_count && is_before(&kernel.events[below + 1], &kernel.events[below]))
                        below++;
                if (!is_before(&kernel.events[below], &last))
                        break;
                kernel.events[at] = kernel.events[below];
                at = below;
        }
        kernel.events[at] = last;
        return first;
}

void kernel_at(int64_t when, kernel_fn *fn, void *object, uint64_t number)
{
        event_add((struct event){ .when = when, .kind = CALL, .fn = fn, .object = object, .number = number });
}

/* Processes -------------------------------------------------------------------------------------------- */

void process_wake(unsigned process)
{
        struct process *waiting = &kernel.processes[process];

        if (waiting->is_waiting || waiting->is_dead)
                return;
        waiting->is_waiting = true;
        kernel.waiting[kernel.waiting_count++] = process;
}

unsigned process_current(void)
{
        return kernel.current;
}

unsigned process_host(unsigned process)
{
        return kernel.processes[process].host;
}

unsigned kernel_new_process(unsigned host)
{
        unsigned at = ++kernel.processes_count;

        if ((at & (at - 1)) == 0) {
                kernel.processes = system_grow(kernel.processes, 2 * (size_t)at, sizeof *kernel.processes);
                kernel.waiting = system_grow(kernel.waiting, 2 * (size_t)at, sizeof *kernel.waiting);
        }
        kernel.processes[at] = (struct process){ .host = host };
        return at;
}

void kernel_set_loop(unsigned process, ferry_loop *loop)
{
        kernel.processes[process].loop = loop;
        kernel.processes[process].epoll = ferry_loop_fd(loop);
        process_wake(process);
}

void kernel_enter(unsigned process)
{
        if (kernel.current)
                system_give_up("a process calls another one");
        kernel.current = process;
}

void kernel_leave(void)
{
        unsigned process = kernel.current;

        kernel.current = 0;
        if (kernel.processes[process].loop && !kernel.processes[process].is_dead && file_is_epoll_ready(kernel.processes[process].epoll))
                process_wake(process);
}

bool kernel_is_dead(unsigned process)
{
        return kernel.processes[process].is_dead;
}

void kernel_kill(unsigned process, int64_t silence)
{
        kernel.processes[process].is_dead = true;
        network_leave(process, silence);
}

static void give_round(void)
{
        size_t at = (size_t)random_below(&kernel.random, kernel.waiting_count);
        unsigned process = kernel.waiting[at];

        kernel.waiting[at] = kernel.waiting[--kernel.waiting_count];
        kernel.processes[process].is_waiting = false;
        /* One that is blocked looks itself. */
        if (kernel.processes[process].is_dead || kernel.processes[process].is_blocked || !kernel.processes[process].loop)
                return;
        kernel.current = process;
        ferry_loop_tick(kernel.processes[process].loop, 0);
        if (kernel.current == process)
                kernel_leave();
}

static void do_event(void)
{
        struct event event = take_event();

        kernel.now = event.when;
        if (event.kind == CALL)
                event.fn(event.object, event.number);
        else if (event.kind == DUE)
                file_timer_is_due(&event);
        else {
                network_arrive(&event);
                free(event.object);
        }
}

/* One step; false: nothing is left to do until then. */
static bool go_on(int64_t until)
{
        if (kernel.waiting_count > 0)
                give_round();
        else if (kernel.events_count == 0)
                return false;
        else if (kernel.events[0].when > until) {
                kernel.now = until;
                return false;
        } else
                do_event();
        return true;
}

bool kernel_run(bool (*is_over)(void), int64_t until)
{
        while (!is_over || !is_over())
                if (!go_on(until))
                        return kernel.events_count > 0;
        return true;
}

void process_block(int epoll, int timeout_ms)
{
        int64_t until = timeout_ms < 0 ? INT64_MAX : kernel.now + (int64_t)timeout_ms * KERNEL_MS;
        unsigned process = kernel.current;
        bool was_blocked = kernel.processes[process].is_blocked;

        kernel.processes[process].is_blocked = true;
        kernel.current = 0;
        while (!file_is_epoll_ready(epoll) && go_on(until))
                ;
        if (timeout_ms < 0 && !file_is_epoll_ready(epoll))
                system_give_up("a process waits, and nothing happens any more");
        kernel.current = process;
        kernel.processes[process].is_blocked = was_blocked;
}

void kernel_begin(uint64_t seed, const struct weather *weather, const struct kernel_side *side)
{
        memset(&kernel, 0, sizeof kernel);
        kernel_counts = (struct kernel_counts){ 0 };
        memory_begin();
        kernel.random.state = seed;
        kernel.now = (int64_t)1000 * KERNEL_MS;
        network_begin(weather, side);
        kernel.processes = system_grow(NULL, 1, sizeof *kernel.processes);
        kernel.processes[0] = (struct process){ 0 };
}

unsigned kernel_end(void)
{
        for (size_t i = 0; i < kernel.events_count; i++)
                if (kernel.events[i].kind != CALL)
                        free(kernel.events[i].object);
        files_end();
        network_end();
        free(kernel.events);
        free(kernel.processes);
        free(kernel.waiting);
        memset(&kernel, 0, sizeof kernel);
        return kernel_counts.descriptors;
}

/* The door: time and names ------------------------------------------------------------------------------ */

REPLACE(int64_t, now, (void))
{
        return kernel.now;
}

REPLACE(int64_t, wall_clock, (void))
{
        return 1800000000 + kernel.now / ((int64_t)1000 * KERNEL_MS);
}

REPLACE(pid_t, pid, (void))
{
        return PID;
}

REPLACE(size_t, host_name, (char name[SYS_HOST_NAME_MAX + 1]))
{
        return (size_t)snprintf(name, SYS_HOST_NAME_MAX + 1, "host%u", kernel.processes[kernel.current].host);
}

REPLACE(const unsigned char *, secret, (void))
{
        return (const unsigned char *)"ferry simulation";
}
