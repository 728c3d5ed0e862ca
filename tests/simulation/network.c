/* Invariants: the bytes of one direction of a connection arrive in their order, and none after the connection was broken; a process
 * that is dead sends nothing. */
#include "simulation/system.h"

#include "simulation/door.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
        ROOM = 16384,                   /* bytes of one direction that may be under way */
        PIECE_MAX = 4096,               /* bytes that one receive gives, so that some are cut */
        FIRST_PORT = 4222,
};

/* One that was broken has no number any more, so what is under way finds none. */
struct connection {
        uint64_t birth;                 /* none has the same; 0: free */
        int fd;                         /* 0: the process has closed it */
        unsigned process, server;
        bool is_open;                   /* for the servers */
        bool is_silent;                 /* what is sent is lost */
        int64_t last_up, last_down;     /* when the last piece arrives */
};

static struct {
        struct weather weather;
        const struct kernel_side *side;
        struct connection *connections;         /* the first one is none */
        unsigned count;
        uint64_t births;
} network;

/* Connections ------------------------------------------------------------------------------------------ */

static int64_t arrival(int64_t *last)
{
        const struct weather *weather = &network.weather;
        int64_t when = kernel_now() + random_between(kernel_random(), weather->delay_least, weather->delay_most);

        if (random_is(kernel_random(), weather->retransmitted))
                when += weather->retransmission;
        *last = when > *last ? when : *last;
        return *last;
}

static void forget(unsigned number)
{
        struct connection *connection = &network.connections[number];

        if (connection->fd)
                file_of(connection->fd)->connection = 0;
        *connection = (struct connection){ 0 };
}

/* Both sides are told. */
static void break_now(unsigned number)
{
        struct connection *connection = &network.connections[number];
        struct file *file = connection->fd ? file_of(connection->fd) : NULL;
        bool is_open = connection->is_open;

        forget(number);
        if (file) {
                file->is_connecting = false;
                file->error = ECONNRESET;
                file->under_way = 0;
                file_touch(file);
        }
        if (is_open)
                network.side->closed(number);
}

static void break_after(unsigned number, int64_t silence)
{
        struct connection *connection = &network.connections[number];

        connection->is_silent = true;
        event_add((struct event){ .when = kernel_now() + silence, .kind = BROKEN, .target = number, .number = connection->birth });
}

void kernel_cut(unsigned process, int64_t silence)
{
        kernel_counts.cuts++;
        for (unsigned i = 1; i < network.count; i++)
                if (network.connections[i].birth && network.connections[i].process == process && !network.connections[i].is_silent)
                        break_after(i, silence);
}

void kernel_break(unsigned connection)
{
        break_now(connection);
}

static void send_piece(unsigned number, enum event_kind kind, const void *bytes, size_t size)
{
        struct connection *connection = &network.connections[number];
        bool is_up = kind == UP || kind == UP_ENDED || kind == UP_CLOSED;
        struct event event = { .kind = kind, .target = number, .number = connection->birth, .size = size };

        event.when = arrival(is_up ? &connection->last_up : &connection->last_down);
        if (size > 0) {
                event.object = system_grow(NULL, size, 1);
                memcpy(event.object, bytes, size);
        }
        event_add(event);
}

void kernel_send(unsigned connection, const char *bytes, size_t size)
{
        if (network.connections[connection].birth && !network.connections[connection].is_silent)
                send_piece(connection, DOWN, bytes, size);
}

void kernel_hang_up(unsigned connection)
{
        network.connections[connection].is_open = false;
        if (!network.connections[connection].is_silent)
                send_piece(connection, DOWN_ENDED, NULL, 0);
}

static void take_input(struct file *file, const void *bytes, size_t size)
{
        if (file->begin == file->end)
                file->begin = file->end = 0;
        if (file->end + size > file->size) {
                file->size = 2 * (file->end + size);
                file->input = system_grow(file->input, file->size, 1);
        }
        memcpy(file->input + file->end, bytes, size);
        file->end += size;
}

static void be_connected(unsigned number, struct connection *connection, struct file *file)
{
        if (!file)
                return;
        file->is_connecting = false;
        if (network.side->is_listening(connection->server)) {
                connection->is_open = true;
                file_touch(file);
                network.side->accepted(number, connection->server);
                return;
        }
        forget(number);
        file->error = ECONNREFUSED;
        file_touch(file);
}

/* Of a connection that is still there. */
static void pass_on(const struct event *event)
{
        struct connection *connection = &network.connections[event->target];
        struct file *file = connection->fd ? file_of(connection->fd) : NULL;
        bool is_open;

        switch (event->kind) {
        case CONNECTED:
                be_connected(event->target, connection, file);
                break;
        case UP:
                if (connection->is_silent)
                        break;
                if (file) {
                        file->under_way -= event->size;
                        file_touch(file);
                }
                if (connection->is_open)
                        network.side->received(event->target, event->object, event->size);
                break;
        case UP_ENDED:
                if (!connection->is_open)
                        break;
                kernel_hang_up(event->target);
                network.side->closed(event->target);
                break;
        case UP_CLOSED:
                is_open = connection->is_open;
                forget(event->target);
                if (is_open)
                        network.side->closed(event->target);
                break;
        case DOWN:
                if (file && !connection->is_silent) {
                        take_input(file, event->object, event->size);
                        file_touch(file);
                }
                break;
        case DOWN_ENDED:
                if (file) {
                        file->is_input_ended = true;
                        file_touch(file);
                }
                break;
        default:
                break_now(event->target);
                break;
        }
}

void network_arrive(const struct event *event)
{
        if (network.connections[event->target].birth == event->number)
                pass_on(event);
}

void network_close(struct file *file)
{
        struct connection *connection = &network.connections[file->connection];

        connection->fd = 0;
        if (!connection->is_silent)
                send_piece(file->connection, UP_CLOSED, NULL, 0);
}

void network_leave(unsigned process, int64_t silence)
{
        for (unsigned i = 1; i < network.count; i++) {
                struct connection *connection = &network.connections[i];

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

void network_begin(const struct weather *weather, const struct kernel_side *side)
{
        network.weather = *weather;
        network.side = side;
        network.births = 0;
        network.connections = system_grow(NULL, 1, sizeof *network.connections);
        network.connections[0] = (struct connection){ 0 };
        network.count = 1;
}

void network_end(void)
{
        free(network.connections);
        memset(&network, 0, sizeof network);
}

/* The door: sockets ------------------------------------------------------------------------------------ */

REPLACE(int, socket, (int domain, int type))
{
        (void)domain;
        (void)type;
        return file_open(SOCKET);
}

static unsigned new_connection(void)
{
        for (unsigned i = 1; i < network.count; i++)
                if (!network.connections[i].birth)
                        return i;
        network.connections = system_grow(network.connections, (size_t)network.count + 1, sizeof *network.connections);
        return network.count++;
}

REPLACE(int, connect, (int fd, const struct sockaddr *address, socklen_t size))
{
        const struct sockaddr_in *name = (const void *)address;
        struct file *file = file_of(fd);
        unsigned number;
        struct connection *connection;

        (void)size;
        if (kernel_is_dead(process_current()))
                return -ENETUNREACH;
        number = new_connection();
        connection = &network.connections[number];
        *connection = (struct connection){ .fd = fd, .process = process_current(), .server = ntohs(name->sin_port) - FIRST_PORT };
        connection->birth = ++network.births;
        event_add((struct event){ .when = arrival(&connection->last_down), .kind = CONNECTED, .target = number,
                                  .number = connection->birth });
        file->connection = number;
        file->room = network.weather.room_least < ROOM ?
                             (size_t)random_between(kernel_random(), network.weather.room_least, ROOM) : ROOM;
        file->is_connecting = true;
        return -EINPROGRESS;
}

REPLACE(int, poll, (struct pollfd *fds, nfds_t count, int timeout_ms))
{
        int found = 0;

        (void)timeout_ms;
        for (nfds_t i = 0; i < count; i++) {
                uint32_t ready = file_readiness(file_of(fds[i].fd)) & ((uint32_t)(unsigned short)fds[i].events | EPOLLERR | EPOLLHUP);

                fds[i].revents = (short)ready;
                found += ready != 0;
        }
        return found;
}

REPLACE(int, shutdown, (int fd, int how))
{
        const struct file *file = file_of(fd);

        if (how != SHUT_RD && file->connection && !network.connections[file->connection].is_silent)
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
