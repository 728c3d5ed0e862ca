/* Floors: what sockets and pipes cost without a library. Plain code, which moves as many bytes as a frame of ferry has. */
#include "driver.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        ALL_OF_A_PIPE = 1 << WORK_ROUND_TRIP | 1 << WORK_IN_FLIGHT | 1 << WORK_ONE_WAY | 1 << WORK_LONE,
        ALL_OF_A_SOCKET = ALL_OF_A_PIPE | 1 << WORK_FAN_IN | 1 << WORK_CONNECT,
        SINK_ROOM = 1 << 18,
        EVENTS = 64,
};

enum kind { UNIX, BURST, PIPES, TCP };

static const struct subject subjects[] = {
        [UNIX] = { "floor-unix", "floor-unix", ALL_OF_A_SOCKET | 1 << WORK_SPAWN, false, false, 0, 0 },
        /* All requests of a batch are written, then all answers are read. */
        [BURST] = { "floor-burst", "floor-unix", 1 << WORK_IN_FLIGHT, false, false, 0, 0 },
        [PIPES] = { "floor-pipes", "floor-pipes", ALL_OF_A_PIPE, true, false, 0, 0 },
        [TCP] = { "floor-tcp", "floor-tcp", ALL_OF_A_SOCKET, false, false, 0, 0 },
        { 0 },
};

static enum kind kind(void)
{
        return (enum kind)(job.subject - subjects);
}

static void write_all(int fd, const char *bytes, size_t size)
{
        while (size > 0) {
                ssize_t put = write(fd, bytes, size);

                if (put < 0)
                        err(1, "floor: write");
                bytes += put;
                size -= (size_t)put;
        }
}

/* False at the end of the input. */
static bool read_all(int fd, char *bytes, size_t size)
{
        while (size > 0) {
                ssize_t got = read(fd, bytes, size);

                if (got <= 0)
                        return false;
                bytes += got;
                size -= (size_t)got;
        }
        return true;
}

static char *allocate(size_t size)
{
        char *memory = malloc(size);

        if (!memory)
                err(1, "malloc");
        memset(memory, 0, size);
        return memory;
}

/* Addresses ---------------------------------------------------------------------------------------------- */

static int make_socket(struct sockaddr_storage *address, socklen_t *ret_size)
{
        bool is_tcp = kind() == TCP;
        int fd = socket(is_tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

        memset(address, 0, sizeof *address);
        if (is_tcp) {
                struct sockaddr_in *inet = (struct sockaddr_in *)address;

                inet->sin_family = AF_INET;
                inet->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                *ret_size = sizeof *inet;
                if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
                        err(1, "floor: TCP_NODELAY");
        } else {
                struct sockaddr_un *local = (struct sockaddr_un *)address;

                local->sun_family = AF_UNIX;
                strncpy(local->sun_path, driver_path("socket"), sizeof local->sun_path - 1);
                *ret_size = sizeof *local;
        }
        if (fd < 0)
                err(1, "floor: socket");
        return fd;
}

static int listen_there(void)
{
        struct sockaddr_storage address;
        socklen_t size;
        int fd = make_socket(&address, &size);

        if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, SOMAXCONN) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                err(1, "floor: cannot listen");
        if (kind() == TCP)
                driver_write_port(ntohs(((struct sockaddr_in *)&address)->sin_port));
        driver_ready();
        return fd;
}

static int accept_client(int listener)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;

        if (fd < 0 || (kind() == TCP && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0))
                err(1, "floor: accept");
        return fd;
}

static int connect_there(void)
{
        struct sockaddr_storage address;
        socklen_t size;
        int fd = make_socket(&address, &size);

        if (kind() == TCP)
                ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)driver_read_port());
        if (connect(fd, (struct sockaddr *)&address, size) < 0)
                err(1, "floor: connect");
        return fd;
}

/* Servers ------------------------------------------------------------------------------------------------ */

static bool echo_once(int in, int out, char *frame)
{
        size_t size = driver_frame_size();
        const char *answer;

        if (!read_all(in, frame, size))
                return false;
        driver_take(frame, size, &answer);
        write_all(out, answer, size);
        return true;
}

static void echo(int in, int out)
{
        char *frame = allocate(driver_frame_size());

        while (echo_once(in, out, frame))
                ;
        free(frame);
}

/* What is there is read at once, and the answers are written at once. */
static void echo_bursts(int fd)
{
        size_t frame = driver_frame_size(), room = SINK_ROOM, have = 0;
        char *bytes = allocate(room);
        const char *answer;
        ssize_t got;

        while ((got = read(fd, bytes + have, room - have)) > 0) {
                size_t whole;

                have += (size_t)got;
                whole = have - have % frame;
                for (size_t i = 0; i < whole; i += frame)
                        driver_take(bytes + i, frame, &answer);
                write_all(fd, bytes, whole);
                memmove(bytes, bytes + whole, have - whole);
                have -= whole;
        }
        free(bytes);
}

/* Takes frames, and answers a single 'r' between them. */
static void sink(int in, int out)
{
        size_t frame = driver_frame_size(), room = frame > SINK_ROOM ? frame : SINK_ROOM, have = 0;
        char *bytes = allocate(room);
        const char *answer;
        ssize_t got;

        while ((got = read(in, bytes + have, room - have)) > 0) {
                size_t at = 0;

                have += (size_t)got;
                while (at < have) {
                        size_t size = bytes[at] == 'r' ? 1 : frame;

                        if (have - at < size)
                                break;
                        if (driver_take(bytes + at, size, &answer) > 0)
                                write_all(out, answer, DRIVER_PADDING);
                        at += size;
                }
                memmove(bytes, bytes + at, have - at);
                have -= at;
        }
        free(bytes);
}

static void add(int epoll, int fd)
{
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN, .data.fd = fd }) < 0)
                err(1, "floor: epoll_ctl");
}

static void serve_many(int listener)
{
        struct epoll_event events[EVENTS];
        char *frame = allocate(driver_frame_size());
        int epoll = epoll_create1(EPOLL_CLOEXEC);

        add(epoll, listener);
        for (;;) {
                int count = epoll_wait(epoll, events, EVENTS, -1);

                for (int i = 0; i < count; i++) {
                        int fd = events[i].data.fd;

                        if (fd == listener)
                                add(epoll, accept_client(listener));
                        else if (!echo_once(fd, fd, frame))
                                close(fd);
                }
        }
}

static bool is_one_way(void)
{
        return job.work->kind == WORK_ONE_WAY || job.work->kind == WORK_LONE;
}

static int pipe_to_server[2], pipe_to_client[2];

static void serve(const struct job *unused)
{
        int in = pipe_to_server[0], out = pipe_to_client[1];

        (void)unused;
        if (job.work->kind == WORK_SPAWN)
                in = out = STDIN_FILENO;
        else if (kind() != PIPES) {
                int listener = listen_there();

                if (job.work->kind == WORK_FAN_IN || job.work->kind == WORK_CONNECT)
                        serve_many(listener);
                in = out = accept_client(listener);
        } else {
                close(pipe_to_server[1]);
                close(pipe_to_client[0]);
                driver_ready();
        }
        if (kind() == BURST)
                echo_bursts(in);
        else if (is_one_way())
                sink(in, out);
        else
                echo(in, out);
}

/* Client ------------------------------------------------------------------------------------------------- */

static struct client {
        int in, out;
        pid_t pid;
} clients[WORK_CLIENTS_MAX];

static char *answer_room;

static void open_pipes(struct client *client)
{
        if (pipe2(pipe_to_server, O_CLOEXEC) < 0 || pipe2(pipe_to_client, O_CLOEXEC) < 0)
                err(1, "floor: pipe");
        client->pid = driver_fork();
        close(pipe_to_server[0]);
        close(pipe_to_client[1]);
        client->in = pipe_to_client[0];
        client->out = pipe_to_server[1];
}

static void spawn_server(struct client *client)
{
        const char *const argv[] = { job.program, "serve", job.subject->name, job.work->name, job.folder, NULL };
        posix_spawn_file_actions_t actions;
        int fds[2], error;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                err(1, "floor: socketpair");
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, fds[1], STDIN_FILENO);
        error = posix_spawn(&client->pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
        if (error != 0)
                errx(1, "floor: cannot start %s: %s", argv[0], strerror(error));
        posix_spawn_file_actions_destroy(&actions);
        close(fds[1]);
        client->in = client->out = fds[0];
}

static void open_client(int number)
{
        struct client *client = &clients[number];

        if (!answer_room)
                answer_room = allocate(driver_frame_size());
        if (job.work->kind == WORK_SPAWN)
                spawn_server(client);
        else if (kind() == PIPES)
                open_pipes(client);
        else
                client->in = client->out = connect_there();
}

static void close_client(int number)
{
        struct client *client = &clients[number];

        close(client->in);
        if (client->out != client->in)
                close(client->out);
        if (client->pid > 0)
                waitpid(client->pid, NULL, 0);
}

/* Of one way there is only the report, which has no frame. */
static void read_answer(int client)
{
        size_t size = is_one_way() ? DRIVER_PADDING : driver_frame_size();

        if (!read_all(clients[client].in, answer_room, size))
                errx(1, "floor: the server has gone");
        driver_check(answer_room, size);
}

static bool is_in_pairs(void)
{
        return job.work->kind == WORK_IN_FLIGHT && kind() != BURST;
}

static void request(int client, const char *body, size_t size)
{
        write_all(clients[client].out, body, is_one_way() ? size : driver_frame_size());
        if (is_in_pairs())
                read_answer(client);
}

static void await(int client)
{
        if (!is_in_pairs())
                read_answer(client);
}

static void notify(const char *body, size_t size)
{
        (void)size;
        write_all(clients[0].out, body, driver_frame_size());
}

const struct driver driver = { .subjects = subjects, .serve = serve, .open = open_client, .close = close_client,
                               .request = request, .await = await, .notify = notify };
