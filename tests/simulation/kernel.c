/* Invariants: an event is either in the heap or has been done; the bytes of one direction of a connection arrive in their order, and
 * none after the connection was broken; a process that is dead sends nothing. */
#include "simulation/kernel.h"

#include "simulation/door.h"
#include "simulation/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        FIRST_FD = 1 << 20,
        FILES_PER_EPOLL = 8,
        ROOM = 16384,                   /* bytes of one direction that may be under way */
        PIECE_MAX = 4096,               /* bytes that one receive gives, so that some are cut */
        FIRST_PORT = 4222,
        PID = 4711,
};

enum file_kind { FREE, SOCKET, EPOLL, EVENT, TIMER };

struct file {
        enum file_kind kind;
        unsigned process;
        int epoll;                      /* fd; 0: it is in none */
        uint32_t events;
        void *data;
        /* SOCKET */
        unsigned connection;            /* 0: there is none yet, or none any more */
        bool is_connecting, is_input_ended;
        int error;
        char *input;
        size_t begin, end, size;
        size_t room;                    /* for bytes that are under way, up to ROOM */
        size_t under_way;               /* bytes that were sent, and have not arrived */
        /* EPOLL */
        int members[FILES_PER_EPOLL];
        unsigned count;
        /* EVENT and TIMER */
        uint64_t number;
        int64_t deadline, noted;        /* @noted: the next time for which there is an event */
};

/* One that was broken has no number any more, so what is under way finds none. */
struct connection {
        uint64_t birth;                 /* the event of its beginning; 0: free */
        int fd;                         /* 0: the process has closed it */
        unsigned process, server;
        bool is_open;                   /* for the servers */
        bool is_silent;                 /* what is sent is lost */
        int64_t last_up, last_down;     /* when the last piece arrives */
};

struct process {
        ferry_loop *loop;
        unsigned host;
        int epoll;
        bool is_dead, is_waiting;       /* for a round */
};

enum event_kind { CALL, CONNECTED, UP, UP_ENDED, UP_CLOSED, DOWN, DOWN_ENDED, BROKEN, DUE };

struct event {
        int64_t when;
        uint64_t order;
        enum event_kind kind;
        unsigned connection;
        uint64_t number;                /* the birth of the connection, or what is handed to @fn */
        kernel_fn *fn;
        void *object;                   /* bytes of UP and DOWN, which are ours */
        size_t size;
};

struct kernel_counts kernel_counts;

static struct {
        struct weather weather;
        const struct kernel_side *side;
        struct random random;
        int64_t now;
        uint64_t order;
        struct event *events;
        size_t events_count, events_size;
        struct file *files;
        unsigned files_count, files_free;
        struct connection *connections;         /* the first one is none */
        unsigned connections_count;
        struct process *processes;
        unsigned processes_count, current;      /* processes count from 1; 0: none */
        unsigned *waiting;
        unsigned waiting_count;
} kernel;

static _Noreturn void give_up(const char *what)
{
        fprintf(stderr, "simulation: %s (process %u)\n", what, kernel.current);
        abort();
}

static void *grow(void *memory, size_t count, size_t size)
{
        memory = realloc(memory, count * size);
        if (!memory)
                give_up("no memory");
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

static uint64_t add_event(struct event event)
{
        size_t at = kernel.events_count++;

        if (kernel.events_count > kernel.events_size) {
                kernel.events_size = kernel.events_size ? kernel.events_size * 2 : 1024;
                kernel.events = grow(kernel.events, kernel.events_size, sizeof *kernel.events);
        }
        event.order = ++kernel.order;
        while (at > 0 && is_before(&event, &kernel.events[(at - 1) / 2])) {
                kernel.events[at] = kernel.events[(at - 1) / 2];
                at = (at - 1) / 2;
        }
        kernel.events[at] = event;
        return event.order;
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
        add_event((struct event){ .when = when, .kind = CALL, .fn = fn, .object = object, .number = number });
}

/* Files ------------------------------------------------------------------------------------------------ */

static struct file *file_of(int fd)
{
        if (fd < FIRST_FD || (unsigned)(fd - FIRST_FD) >= kernel.files_count || kernel.files[fd - FIRST_FD].kind == FREE)
                give_up("a descriptor that is not open is used");
        return &kernel.files[fd - FIRST_FD];
}

static int open_file(enum file_kind kind)
{
        unsigned at = 0;

        if (kernel.current == 0)
                give_up("a descriptor is made outside of a process");
        if (kernel.files_free > 0) {
                while (kernel.files[at].kind != FREE)
                        at++;
                kernel.files_free--;
        } else {
                at = kernel.files_count++;
                if ((at & (at + 1)) == 0 || at == 0)
                        kernel.files = grow(kernel.files, 2 * (size_t)(at + 1), sizeof *kernel.files);
        }
        kernel.files[at] = (struct file){ .kind = kind, .process = kernel.current };
        kernel_counts.descriptors++;
        return (int)at + FIRST_FD;
}

static uint32_t readiness(const struct file *file)
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
                return file->deadline != 0 && file->deadline <= kernel.now ? EPOLLIN : 0;
        default:
                return 0;
        }
}

static uint32_t what_is_ready(const struct file *file)
{
        return readiness(file) & (file->events | EPOLLERR | EPOLLHUP);
}

static void let_wait(unsigned process)
{
        struct process *waiting = &kernel.processes[process];

        if (waiting->is_waiting || waiting->is_dead)
                return;
        waiting->is_waiting = true;
        kernel.waiting[kernel.waiting_count++] = process;
}

static void touch(const struct file *file)
{
        if (file->epoll && what_is_ready(file))
                let_wait(file->process);
}

static bool is_ready(unsigned process)
{
        const struct file *epoll = file_of(kernel.processes[process].epoll);

        for (unsigned i = 0; i < epoll->count; i++)
                if (what_is_ready(file_of(epoll->members[i])))
                        return true;
        return false;
}

/* Connections ------------------------------------------------------------------------------------------ */

static int64_t arrival(int64_t *last)
{
        const struct weather *weather = &kernel.weather;
        int64_t when = kernel.now + random_between(&kernel.random, weather->delay_least, weather->delay_most);

        if (random_is(&kernel.random, weather->retransmitted))
                when += weather->retransmission;
        *last = when > *last ? when : *last;
        return *last;
}

static void forget(unsigned number)
{
        struct connection *connection = &kernel.connections[number];

        if (connection->fd)
                file_of(connection->fd)->connection = 0;
        *connection = (struct connection){ 0 };
}

/* Both sides are told. */
static void break_now(unsigned number)
{
        struct connection *connection = &kernel.connections[number];
        struct file *file = connection->fd ? file_of(connection->fd) : NULL;
        bool is_open = connection->is_open;

        forget(number);
        if (file) {
                file->is_connecting = false;
                file->error = ECONNRESET;
                file->under_way = 0;
                touch(file);
        }
        if (is_open)
                kernel.side->closed(number);
}

static void break_after(unsigned number, int64_t silence)
{
        struct connection *connection = &kernel.connections[number];

        connection->is_silent = true;
        add_event((struct event){ .when = kernel.now + silence, .kind = BROKEN, .connection = number, .number = connection->birth });
}

void kernel_cut(unsigned process, int64_t silence)
{
        kernel_counts.cuts++;
        for (unsigned i = 1; i < kernel.connections_count; i++)
                if (kernel.connections[i].birth && kernel.connections[i].process == process && !kernel.connections[i].is_silent)
                        break_after(i, silence);
}

void kernel_break(unsigned connection)
{
        break_now(connection);
}

static void send_piece(unsigned number, enum event_kind kind, const void *bytes, size_t size)
{
        struct connection *connection = &kernel.connections[number];
        bool is_up = kind == UP || kind == UP_ENDED || kind == UP_CLOSED;
        struct event event = { .kind = kind, .connection = number, .number = connection->birth, .size = size };

        event.when = arrival(is_up ? &connection->last_up : &connection->last_down);
        if (size > 0) {
                event.object = grow(NULL, size, 1);
                memcpy(event.object, bytes, size);
        }
        add_event(event);
}

void kernel_send(unsigned connection, const char *bytes, size_t size)
{
        if (kernel.connections[connection].birth && !kernel.connections[connection].is_silent)
                send_piece(connection, DOWN, bytes, size);
}

void kernel_hang_up(unsigned connection)
{
        kernel.connections[connection].is_open = false;
        if (!kernel.connections[connection].is_silent)
                send_piece(connection, DOWN_ENDED, NULL, 0);
}

static void take_input(struct file *file, const void *bytes, size_t size)
{
        if (file->begin == file->end)
                file->begin = file->end = 0;
        if (file->end + size > file->size) {
                file->size = 2 * (file->end + size);
                file->input = grow(file->input, file->size, 1);
        }
        memcpy(file->input + file->end, bytes, size);
        file->end += size;
}

static void be_connected(unsigned number, struct connection *connection, struct file *file)
{
        if (!file)
                return;
        file->is_connecting = false;
        if (kernel.side->is_listening(connection->server)) {
                connection->is_open = true;
                touch(file);
                kernel.side->accepted(number, connection->server);
                return;
        }
        forget(number);
        file->error = ECONNREFUSED;
        touch(file);
}

/* Of a connection that is still there. */
static void pass_on(struct event *event)
{
        struct connection *connection = &kernel.connections[event->connection];
        struct file *file = connection->fd ? file_of(connection->fd) : NULL;
        bool is_open;

        switch (event->kind) {
        case CONNECTED:
                be_connected(event->connection, connection, file);
                break;
        case UP:
                if (connection->is_silent)
                        break;
                if (file) {
                        file->under_way -= event->size;
                        touch(file);
                }
                if (connection->is_open)
                        kernel.side->received(event->connection, event->object, event->size);
                break;
        case UP_ENDED:
                if (!connection->is_open)
                        break;
                kernel_hang_up(event->connection);
                kernel.side->closed(event->connection);
                break;
        case UP_CLOSED:
                is_open = connection->is_open;
                forget(event->connection);
                if (is_open)
                        kernel.side->closed(event->connection);
                break;
        case DOWN:
                if (file && !connection->is_silent) {
                        take_input(file, event->object, event->size);
                        touch(file);
                }
                break;
        case DOWN_ENDED:
                if (file) {
                        file->is_input_ended = true;
                        touch(file);
                }
                break;
        default:
                break_now(event->connection);
                break;
        }
}

/* Processes -------------------------------------------------------------------------------------------- */

unsigned kernel_new_process(unsigned host)
{
        unsigned at = ++kernel.processes_count;

        if ((at & (at - 1)) == 0) {
                kernel.processes = grow(kernel.processes, 2 * (size_t)at, sizeof *kernel.processes);
                kernel.waiting = grow(kernel.waiting, 2 * (size_t)at, sizeof *kernel.waiting);
        }
        kernel.processes[at] = (struct process){ .host = host };
        return at;
}

void kernel_set_loop(unsigned process, ferry_loop *loop)
{
        kernel.processes[process].loop = loop;
        kernel.processes[process].epoll = ferry_loop_fd(loop);
        let_wait(process);
}

void kernel_enter(unsigned process)
{
        if (kernel.current)
                give_up("a process calls another one");
        kernel.current = process;
}

void kernel_leave(void)
{
        unsigned process = kernel.current;

        kernel.current = 0;
        if (kernel.processes[process].loop && !kernel.processes[process].is_dead && is_ready(process))
                let_wait(process);
}

bool kernel_is_dead(unsigned process)
{
        return kernel.processes[process].is_dead;
}

void kernel_kill(unsigned process, int64_t silence)
{
        kernel.processes[process].is_dead = true;
        for (unsigned i = 1; i < kernel.connections_count; i++) {
                struct connection *connection = &kernel.connections[i];

                if (!connection->birth || connection->process != process)
                        continue;
                if (connection->fd) {
                        struct file *file = file_of(connection->fd);

                        file->connection = 0;
                        file->is_connecting = false;
                        file->error = ECONNRESET;
                        connection->fd = 0;
                }
                if (silence > 0 && !connection->is_silent)
                        break_after(i, silence);
                else if (!connection->is_silent)
                        send_piece(i, UP_CLOSED, NULL, 0);
        }
}

static void give_round(void)
{
        size_t at = (size_t)random_below(&kernel.random, kernel.waiting_count);
        unsigned process = kernel.waiting[at];

        kernel.waiting[at] = kernel.waiting[--kernel.waiting_count];
        kernel.processes[process].is_waiting = false;
        if (kernel.processes[process].is_dead || !kernel.processes[process].loop)
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
        else if (event.kind == DUE) {
                struct file *file = event.connection < kernel.files_count ? &kernel.files[event.connection] : NULL;

                if (!file || file->kind != TIMER || file->noted != event.when)
                        return;
                file->noted = 0;
                if (file->deadline > kernel.now) {
                        file->noted = file->deadline;
                        add_event((struct event){ .when = file->noted, .kind = DUE, .connection = event.connection });
                }
                touch(file);
        } else {
                if (kernel.connections[event.connection].birth == event.number)
                        pass_on(&event);
                free(event.object);
        }
}

bool kernel_run(bool (*is_over)(void), int64_t until)
{
        while (!is_over || !is_over()) {
                if (kernel.waiting_count > 0)
                        give_round();
                else if (kernel.events_count == 0)
                        return false;
                else if (kernel.events[0].when > until) {
                        kernel.now = until;
                        return true;
                } else
                        do_event();
        }
        return true;
}

void kernel_begin(uint64_t seed, const struct weather *weather, const struct kernel_side *side)
{
        memset(&kernel, 0, sizeof kernel);
        kernel_counts = (struct kernel_counts){ 0 };
        memory_begin();
        kernel.weather = *weather;
        kernel.side = side;
        kernel.random.state = seed;
        kernel.now = (int64_t)1000 * KERNEL_MS;
        kernel.connections = grow(NULL, 1, sizeof *kernel.connections);
        kernel.connections[0] = (struct connection){ 0 };
        kernel.connections_count = 1;
        kernel.processes = grow(NULL, 1, sizeof *kernel.processes);
        kernel.processes[0] = (struct process){ 0 };
}

unsigned kernel_end(void)
{
        for (size_t i = 0; i < kernel.events_count; i++)
                if (kernel.events[i].kind != CALL)
                        free(kernel.events[i].object);
        for (unsigned i = 0; i < kernel.files_count; i++)
                free(kernel.files[i].input);
        free(kernel.events);
        free(kernel.files);
        free(kernel.connections);
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

/* The door: descriptors -------------------------------------------------------------------------------- */

REPLACE(int, close, (int fd))
{
        struct file *file = file_of(fd);

        if (file->kind == SOCKET && file->connection) {
                struct connection *connection = &kernel.connections[file->connection];

                connection->fd = 0;
                if (!connection->is_silent)
                        send_piece(file->connection, UP_CLOSED, NULL, 0);
        }
        for (unsigned i = 0; file->kind == EPOLL && i < file->count; i++)
                file_of(file->members[i])->epoll = 0;
        if (file->epoll)
                give_up("a descriptor is closed that is in epoll");
        free(file->input);
        *file = (struct file){ 0 };
        kernel.files_free++;
        kernel_counts.descriptors--;
        return 0;
}

REPLACE(int, epoll_create, (void))
{
        return open_file(EPOLL);
}

REPLACE(int, epoll_control, (int epoll, int operation, int fd, uint32_t events, void *data))
{
        struct file *set = file_of(epoll), *file = file_of(fd);

        if (set->kind != EPOLL)
                give_up("epoll_ctl of what is none");
        if (operation == EPOLL_CTL_ADD) {
                if (set->count == FILES_PER_EPOLL)
                        give_up("a process has many descriptors");
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
        const struct file *set = file_of(epoll);
        int found = 0;

        for (unsigned i = 0; i < set->count && found < count; i++) {
                const struct file *file = file_of(set->members[i]);
                uint32_t ready = what_is_ready(file);

                if (ready)
                        events[found++] = (struct epoll_event){ .events = ready, .data.ptr = file->data };
        }
        if (found == 0 && timeout_ms != 0 && !kernel.processes[kernel.current].is_dead)
                give_up("a process waits itself, and does not leave that to its host");
        return found;
}

REPLACE(int, eventfd, (void))
{
        return open_file(EVENT);
}

REPLACE(int, timerfd, (void))
{
        return open_file(TIMER);
}

REPLACE(int, timerfd_set, (int fd, int64_t deadline))
{
        struct file *file = file_of(fd);

        file->deadline = deadline;
        if (deadline != 0 && (file->noted == 0 || deadline < file->noted)) {
                file->noted = deadline > kernel.now ? deadline : kernel.now;
                add_event((struct event){ .when = file->noted, .kind = DUE, .connection = (unsigned)(fd - FIRST_FD) });
        }
        return 0;
}

REPLACE(ssize_t, read, (int fd, void *buffer, size_t size))
{
        struct file *file = file_of(fd);

        if (file->kind != EVENT || size != sizeof file->number)
                give_up("a read of another kind of descriptor");
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
                give_up("a write to another kind of descriptor");
        (void)bytes;
        file->number++;
        return (ssize_t)size;
}

/* The door: sockets ------------------------------------------------------------------------------------ */

REPLACE(int, socket, (int domain, int type))
{
        (void)domain;
        (void)type;
        return open_file(SOCKET);
}

static unsigned new_connection(void)
{
        for (unsigned i = 1; i < kernel.connections_count; i++)
                if (!kernel.connections[i].birth)
                        return i;
        kernel.connections = grow(kernel.connections, (size_t)kernel.connections_count + 1, sizeof *kernel.connections);
        return kernel.connections_count++;
}

REPLACE(int, connect, (int fd, const struct sockaddr *address, socklen_t size))
{
        const struct sockaddr_in *name = (const void *)address;
        struct file *file = file_of(fd);
        unsigned number;
        struct connection *connection;

        (void)size;
        if (kernel.processes[kernel.current].is_dead)
                return -ENETUNREACH;
        number = new_connection();
        connection = &kernel.connections[number];
        *connection = (struct connection){ .fd = fd, .process = kernel.current, .server = ntohs(name->sin_port) - FIRST_PORT };
        connection->birth = add_event((struct event){ .when = arrival(&connection->last_down), .kind = CONNECTED,
                                                      .connection = number, .number = kernel.order + 1 });
        file->connection = number;
        file->room = kernel.weather.room_least < ROOM ?
                             (size_t)random_between(&kernel.random, kernel.weather.room_least, ROOM) : ROOM;
        file->is_connecting = true;
        return -EINPROGRESS;
}

REPLACE(int, poll, (struct pollfd *fds, nfds_t count, int timeout_ms))
{
        int found = 0;

        (void)timeout_ms;
        for (nfds_t i = 0; i < count; i++) {
                uint32_t ready = readiness(file_of(fds[i].fd)) & ((uint32_t)(unsigned short)fds[i].events | EPOLLERR | EPOLLHUP);

                fds[i].revents = (short)ready;
                found += ready != 0;
        }
        return found;
}

REPLACE(int, shutdown, (int fd, int how))
{
        const struct file *file = file_of(fd);

        if (how != SHUT_RD && file->connection && !kernel.connections[file->connection].is_silent)
                send_piece(file->connection, UP_ENDED, NULL, 0);
        return file->connection ? 0 : -ENOTCONN;
}

REPLACE(int, get_socket_option, (int fd, int name, void *value, socklen_t size))
{
        struct file *file = file_of(fd);
        int found = name == SO_ERROR ? file->error : 0;

        memset(value, 0, size);
        memcpy(value, &found, size < sizeof found ? size : sizeof found);
        if (name == SO_ERROR)
                file->error = 0;
        return 0;
}

REPLACE(int, set_socket_option, (int fd, int level, int name, int value))
{
        (void)file_of(fd);
        (void)level;
        (void)name;
        (void)value;
        return 0;
}

REPLACE(int, socket_name, (int fd, struct sockaddr *ret_address, socklen_t size))
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a090001), .sin_port = htons(40000) };

        (void)file_of(fd);
        memset(ret_address, 0, size);
        memcpy(ret_address, &name, size < sizeof name ? size : sizeof name);
        return 0;
}

REPLACE(int, stat_fd, (int fd, struct stat *ret_stat))
{
        (void)file_of(fd);
        *ret_stat = (struct stat){ .st_mode = S_IFSOCK };
        return 0;
}

REPLACE(int, flags, (int fd))
{
        (void)file_of(fd);
        return O_RDWR | O_NONBLOCK;
}

REPLACE(int, count_input, (int fd))
{
        const struct file *file = file_of(fd);

        return (int)(file->end - file->begin);
}

REPLACE(int, count_sent, (int fd))
{
        return (int)file_of(fd)->under_way;
}

REPLACE(ssize_t, recv, (int fd, void *buffer, size_t size))
{
        struct file *file = file_of(fd);
        size_t there = file->end - file->begin;

        if (file->error) {
                int error = file->error;

                file->error = 0;
                file->is_input_ended = true;
                return -error;
        }
        if (there == 0)
                return file->is_input_ended ? 0 : -EAGAIN;
        if (there > size)
                there = size;
        if (there > PIECE_MAX)
                there = PIECE_MAX;
        memcpy(buffer, file->input + file->begin, there);
        file->begin += there;
        return (ssize_t)there;
}

/* How many of them there is room for; or why not. */
static ssize_t room_of(const struct file *file, size_t size)
{
        size_t room = file->room - file->under_way;

        if (file->error)
                return -file->error;
        if (!file->connection)
                return -EPIPE;
        if (room == 0)
                return -EAGAIN;
        return (ssize_t)(size < room ? size : room);
}

REPLACE(ssize_t, send, (int fd, const void *bytes, size_t size))
{
        struct file *file = file_of(fd);
        ssize_t room = room_of(file, size);

        if (room <= 0)
                return room;
        file->under_way += (size_t)room;
        send_piece(file->connection, UP, bytes, (size_t)room);
        return room;
}

REPLACE(ssize_t, send_message, (int fd, const struct msghdr *message))
{
        char bytes[ROOM];
        size_t size = 0;

        /* The type of this number depends on the C library. */
        for (size_t i = 0; i < (size_t)message->msg_iovlen; i++) {
                size_t more = message->msg_iov[i].iov_len;

                if (more > sizeof bytes - size)
                        more = sizeof bytes - size;
                memcpy(bytes + size, message->msg_iov[i].iov_base, more);
                size += more;
        }
        return __wrap_sys_send(fd, bytes, size);
}
