/* Invariant: an object has the options that ferry sets, and its calls have the flags that ferry gives, so that the kernel
 * does the same work for both. */
#include "bare.h"

#include "samples.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { STALL_MS = 1000 };

/* msgsnd(2) */
struct bare_message {
        long type;
        char text[];
};

static int checked(int result, const char *what)
{
        if (result < 0)
                err(1, "%s", what);
        return result;
}

/* Opening --------------------------------------------------------------------------------------------- */

static void set_option(int fd, int level, int option)
{
        checked(setsockopt(fd, level, option, &(int){ 1 }, sizeof(int)), "setsockopt");
}

static int make_socket(int family, int type)
{
        return checked(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
}

static void connect_to(int fd, int listener)
{
        struct sockaddr_storage address;
        socklen_t size = sizeof address;

        checked(getsockname(listener, (struct sockaddr *)&address, &size), "getsockname");
        if (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS)
                err(1, "connect");
}

static int accept_from(int listener)
{
        checked(poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, STALL_MS), "poll");
        return checked(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept");
}

static void open_inet(struct bare *bare, int type)
{
        const struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        bare->in = make_socket(AF_INET, type);
        bare->out = make_socket(AF_INET, type);
        checked(bind(bare->in, (const struct sockaddr *)&loopback, sizeof loopback), "bind");
        if (type == SOCK_STREAM) {
                set_option(bare->in, IPPROTO_TCP, TCP_NODELAY);
                set_option(bare->out, IPPROTO_TCP, TCP_NODELAY);
                checked(listen(bare->in, 1), "listen");
        }
        connect_to(bare->out, bare->in);
}

static void open_unix(struct bare *bare, int type, const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const bool has_credentials = type == SOCK_DGRAM && !bare->is_plain;

        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        bare->in = make_socket(AF_UNIX, type);
        bare->out = make_socket(AF_UNIX, type);
        checked(bind(bare->in, (const struct sockaddr *)&address, sizeof address), "bind");
        if (has_credentials) {
                set_option(bare->in, SOL_SOCKET, SO_PASSCRED);
                set_option(bare->out, SOL_SOCKET, SO_PASSCRED);
                checked(bind(bare->out, (const struct sockaddr *)&address, sizeof address.sun_family), "bind");
        }
        if (type == SOCK_STREAM)
                checked(listen(bare->in, 1), "listen");
        connect_to(bare->out, bare->in);
        unlink(path);
}

static void open_fifo(struct bare *bare, const char *path)
{
        checked(mkfifo(path, 0600), path);
        bare->in = checked(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), path);
        bare->out = checked(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC), path);
        unlink(path);
}

static void open_mqueue(struct bare *bare, size_t size)
{
        struct mq_attr attributes = { .mq_maxmsg = 10, .mq_msgsize = (long)size };
        char name[64];

        snprintf(name, sizeof name, "/ferry-bench-bare-%d", (int)getpid());
        bare->in = checked(mq_open(name, O_RDONLY | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes), "mq_open");
        bare->out = checked(mq_open(name, O_WRONLY | O_NONBLOCK), "mq_open");
        mq_unlink(name);
}

static void open_msgq(struct bare *bare, size_t size)
{
        bare->in = checked(msgget(IPC_PRIVATE, 0600), "msgget");
        bare->sent = allocate(sizeof *bare->sent + size);
        bare->received = allocate(sizeof *bare->received + size);
        bare->sent->type = 1;
}

void bare_open(struct bare *bare, enum bare_kind kind, bool is_plain, const char *directory, size_t size)
{
        char path[96];
        int listener = -1;

        *bare = (struct bare){ .kind = kind, .is_plain = is_plain, .in = -1, .out = -1 };
        snprintf(path, sizeof path, "%s/bare", directory);
        switch (kind) {
        case BARE_UDP:
                open_inet(bare, SOCK_DGRAM);
                break;
        case BARE_UDG:
                open_unix(bare, SOCK_DGRAM, path);
                break;
        case BARE_TCP:
                open_inet(bare, SOCK_STREAM);
                listener = bare->in;
                break;
        case BARE_UNIX:
                open_unix(bare, SOCK_STREAM, path);
                listener = bare->in;
                break;
        case BARE_FIFO:
                open_fifo(bare, path);
                break;
        case BARE_MSGQ:
                open_msgq(bare, size);
                break;
        case BARE_MQUEUE:
                open_mqueue(bare, size);
                break;
        }
        if (listener >= 0) {
                bare->in = accept_from(listener);
                close(listener);
        }
}

void bare_close(struct bare *bare)
{
        if (bare->kind == BARE_MSGQ)
                msgctl(bare->in, IPC_RMID, NULL);
        else {
                close(bare->in);
                close(bare->out);
        }
        free(bare->sent);
        free(bare->received);
}

/* Moving ---------------------------------------------------------------------------------------------- */

static ssize_t receive_with_sender(const struct bare *bare, void *buffer, size_t room)
{
        struct sockaddr_storage from;
        struct iovec part = { buffer, room };
        char control[CMSG_SPACE(sizeof(struct ucred))] __attribute__((__aligned__(8)));
        struct msghdr message = {
                .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1,
                .msg_control = bare->kind == BARE_UDG ? control : NULL,
                .msg_controllen = bare->kind == BARE_UDG ? sizeof control : 0,
        };

        return recvmsg(bare->in, &message, MSG_TRUNC | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
}

static ssize_t send_once(const struct bare *bare, const void *bytes, size_t size)
{
        switch (bare->kind) {
        case BARE_FIFO:
                return write(bare->out, bytes, size);
        case BARE_MSGQ:
                return msgsnd(bare->in, bare->sent, size, IPC_NOWAIT) < 0 ? -1 : (ssize_t)size;
        case BARE_MQUEUE:
                return mq_send(bare->out, bytes, size, 0) < 0 ? -1 : (ssize_t)size;
        default:
                return send(bare->out, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
}

static ssize_t receive_once(const struct bare *bare, void *buffer, size_t room)
{
        unsigned priority;

        switch (bare->kind) {
        case BARE_UDP:
        case BARE_UDG:
                return bare->is_plain ? recv(bare->in, buffer, room, MSG_DONTWAIT) : receive_with_sender(bare, buffer, room);
        case BARE_FIFO:
                return read(bare->in, buffer, room);
        case BARE_MSGQ:
                return msgrcv(bare->in, bare->received, room, 0, IPC_NOWAIT);
        case BARE_MQUEUE:
                return mq_receive(bare->in, buffer, room, &priority);
        default:
                return recv(bare->in, buffer, room, MSG_DONTWAIT);
        }
}

void bare_move(const struct bare *bare, const void *bytes, void *buffer, size_t size, size_t room)
{
        size_t sent = 0, received = 0;

        while (received < size) {
                ssize_t moved = sent < size ? send_once(bare, (const char *)bytes + sent, size - sent) : 0;

                if (moved < 0 && errno != EAGAIN)
                        err(1, "the floor cannot send");
                sent += moved > 0 ? (size_t)moved : 0;
                moved = receive_once(bare, (char *)buffer + received, room - received);
                if (moved < 0 && errno == EAGAIN && sent == size)
                        poll(&(struct pollfd){ .fd = bare->in, .events = POLLIN }, 1, STALL_MS);
                else if (moved < 0 && errno != EAGAIN)
                        err(1, "the floor cannot receive");
                received += moved > 0 ? (size_t)moved : 0;
        }
}

/* Stores ---------------------------------------------------------------------------------------------- */

void bare_store_open(struct bare_store *store, size_t size)
{
        store->semaphores = checked(semget(IPC_PRIVATE, 1, 0600), "semget");
        store->segment = checked(shmget(IPC_PRIVATE, size, 0600), "shmget");
        store->memory = shmat(store->segment, NULL, 0);
        if (store->memory == (void *)-1)
                err(1, "shmat");
        shmctl(store->segment, IPC_RMID, NULL);
        bare_store_unlock(store);
}

void bare_store_close(struct bare_store *store)
{
        shmdt(store->memory);
        semctl(store->semaphores, 0, IPC_RMID);
}

static void change_semaphore(const struct bare_store *store, short by)
{
        checked(semop(store->semaphores, &(struct sembuf){ .sem_op = by, .sem_flg = SEM_UNDO }, 1), "semop");
}

void bare_store_lock(const struct bare_store *store)
{
        change_semaphore(store, -1);
}

void bare_store_unlock(const struct bare_store *store)
{
        change_semaphore(store, 1);
}
