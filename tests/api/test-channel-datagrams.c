/* Channels of datagrams: answers, addresses, receivers that are full, dead or replaced, other users, multicast and
 * broadcast. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UDP, UDG, KINDS };

static char udg[200];           /* udg:DIRECTORY/socket, for what is longer than place.address */

static void begin(struct place *place)
{
        open_place(place);
        snprintf(udg, sizeof udg, "udg:%s", place->path);
}

static ferry_channel *require_open(ferry_channel *channel)
{
        ck_assert_msg(ferry_channel_status(channel) == 1, "%s", ferry_channel_error(channel));
        return channel;
}

static ferry_channel *open_end(struct place *place, const char *address, enum ferry_channel_end end)
{
        return require_open(ferry_channel_open(place->loop, address, end, NULL));
}

/* A channel that failed so; the sentence has that text. */
static void require_failed(ferry_channel *channel, int code, const char *text)
{
        ck_assert_msg(ferry_channel_status(channel) == code, "%d: %s", ferry_channel_status(channel), ferry_channel_error(channel));
        ck_assert_msg(strstr(ferry_channel_error(channel), text) != NULL, "no %s: %s", text, ferry_channel_error(channel));
        ferry_channel_free(channel);
}

static void require_error(ferry_channel *channel, ssize_t result, int code, const char *text)
{
        ck_assert_msg(result == code, "%zd, not %d: %s", result, code, ferry_channel_error(channel));
        ck_assert_msg(strstr(ferry_channel_error(channel), text) != NULL, "no %s: %s", text, ferry_channel_error(channel));
}

static void require_moved(ferry_channel *channel, ssize_t moved, size_t size)
{
        ck_assert_msg(moved == (ssize_t)size, "%zd: %s", moved, ferry_channel_error(channel));
}

static void require_received(ferry_channel *channel, const char *text)
{
        char buffer[64];
        ssize_t got = ferry_channel_receive(channel, buffer, sizeof buffer, SAFETY_MS);

        require_moved(channel, got, strlen(text));
        ck_assert(memcmp(buffer, text, strlen(text)) == 0);
}

static int64_t get_number(ferry_channel *channel, const char *key)
{
        ferry_value *info = ferry_channel_info(channel);
        int64_t number = ferry_value_int(ferry_value_get(info, key), -1);

        ferry_value_unref(info);
        return number;
}

static bool has_ipv6(void)
{
        struct sockaddr_in6 loopback = { .sin6_family = AF_INET6, .sin6_addr = { .s6_addr = { [15] = 1 } } };
        int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0;

        if (fd >= 0)
                close(fd);
        if (!has)
                printf("left out: this machine has no ::1\n");
        return has;
}

/* Answers ---------------------------------------------------------------------------------------------- */

static ferry_channel *open_receiver(struct place *place, int kind)
{
        return open_end(place, kind == UDP ? "udp:127.0.0.1:0" : udg, FERRY_RECEIVE);
}

START_TEST(a_record_is_answered_to_its_sender)
{
        struct place place;
        ferry_channel *receiver, *first, *second;
        char address[600];

        begin(&place);
        receiver = open_receiver(&place, _i);
        first = open_end(&place, ferry_channel_address(receiver), FERRY_SEND);
        second = open_end(&place, ferry_channel_address(receiver), FERRY_SEND);
        ck_assert_str_eq(ferry_channel_sender(receiver), "");
        require_error(receiver, ferry_channel_reply(receiver, "x", 1, 0), -EDESTADDRREQ, "no record was received");
        for (int i = 0; i < 10; i++) {
                ferry_channel *sender = i % 2 ? first : second;

                require_moved(sender, ferry_channel_send(sender, "ask", 3, 0), 3);
                require_received(receiver, "ask");
                if (_i == UDG)
                        ck_assert_int_eq(ferry_channel_peer(receiver).pid, getpid());
                snprintf(address, sizeof address, "%s", ferry_channel_sender(receiver));
                ck_assert_int_eq(strncmp(address, _i == UDP ? "udp:127.0.0.1:" : "udg:@", _i == UDP ? 14 : 5), 0);
                require_moved(receiver, ferry_channel_reply(receiver, "answer", 6, 0), 6);
                require_received(sender, "answer");
                require_moved(receiver, ferry_channel_send_to(receiver, address, "again", 5, 0), 5);
                require_received(sender, "again");
        }
        require_error(receiver, ferry_channel_send_to(receiver, NULL, "x", 1, 0), -EINVAL, "NULL");
        require_error(receiver, ferry_channel_send_to(receiver, "tcp:127.0.0.1:1", "x", 1, 0), -EINVAL, "tcp");
        require_error(receiver, ferry_channel_send_to(receiver, _i == UDP ? udg : "udp:127.0.0.1:1", "x", 1, 0), -EINVAL, "not an address");
        ck_assert_int_eq(ferry_channel_send_to(receiver, _i == UDP ? "udp:nowhere" : "udg:@", "x", 1, 0), -EINVAL);
        ck_assert_int_lt(ferry_channel_send_to(receiver, _i == UDP ? "udp:127.0.0.1:0" : "udg:", "x", 1, 0), 0);
        ferry_channel_free(receiver);
        ferry_channel_free(first);
        ferry_channel_free(second);
        close_place(&place);
}
END_TEST

static int bind_raw(const void *name, size_t size)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, name, size);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)), 0);
        return fd;
}

static void send_raw_to(int fd, const char *path, const void *bytes, size_t size)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        strcpy(address.sun_path, path);
        ck_assert_msg(sendto(fd, bytes, size, 0, (const struct sockaddr *)&address, sizeof address) == (ssize_t)size, "%s",
                      strerror(errno));
}

START_TEST(an_abstract_sender_is_answered_whatever_its_bytes)
{
        static const struct {
                const char *name;
                size_t size;
                const char *address;
        } names[] = {
                { "\0plain", 6, "udg:@plain" },
                { "\0a b", 4, "udg:@a\\x20b" },
                { "\0\0", 2, "udg:@\\x00" },
                { "\0\\x41", 5, "udg:@\\x5cx41" },
                { "\0\xff\x01\n\x7f", 5, "udg:@\\xff\\x01\\x0a\\x7f" },
        };
        struct place place;
        ferry_channel *receiver, *sender;
        char all[108] = "", address[600], text[8];
        int fd;

        begin(&place);
        receiver = open_receiver(&place, UDG);
        for (size_t i = 0; i <= sizeof names / sizeof *names; i++) {
                const bool is_last = i == sizeof names / sizeof *names;

                /* The longest name, of which each byte is escaped. */
                memset(all + 1, '\xe9', sizeof all - 1);
                fd = is_last ? bind_raw(all, sizeof all) : bind_raw(names[i].name, names[i].size);
                send_raw_to(fd, place.path, "x", 1);
                require_received(receiver, "x");
                snprintf(address, sizeof address, "%s", ferry_channel_sender(receiver));
                if (!is_last)
                        ck_assert_str_eq(address, names[i].address);
                require_moved(receiver, ferry_channel_reply(receiver, "one", 3, 0), 3);
                require_moved(receiver, ferry_channel_send_to(receiver, address, "two", 3, 0), 3);
                ck_assert_int_eq(receive_raw(fd, text, sizeof text), 3);
                ck_assert_int_eq(receive_raw(fd, text, sizeof text), 3);
                sender = ferry_channel_open(place.loop, address, FERRY_SEND, NULL);
                require_moved(sender, ferry_channel_send(sender, "three", 5, 0), 5);
                ck_assert_int_eq(receive_raw(fd, text, sizeof text), 5);
                ferry_channel_free(sender);
                close(fd);
                require_error(receiver, ferry_channel_reply(receiver, "x", 1, 0), -ECONNREFUSED, address);
                require_error(receiver, ferry_channel_send_to(receiver, address, "x", 1, 0), -ECONNREFUSED, address + 4);
        }
        /* One without a name cannot be answered. */
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        send_raw_to(fd, place.path, "x", 1);
        require_received(receiver, "x");
        close(fd);
        ck_assert_str_eq(ferry_channel_sender(receiver), "");
        require_error(receiver, ferry_channel_reply(receiver, "x", 1, 0), -EDESTADDRREQ, "no record was received");
        ferry_channel_free(receiver);
        close_place(&place);
}
END_TEST

START_TEST(a_sender_with_a_path_is_answered)
{
        struct place place;
        ferry_channel *receiver;
        char path[108], text[8];
        int fd;

        begin(&place);
        receiver = open_receiver(&place, UDG);
        snprintf(path, sizeof path, "%s/sender", place.directory);
        fd = bind_raw(path, strlen(path) + 1);
        send_raw_to(fd, place.path, "x", 1);
        require_received(receiver, "x");
        ck_assert_str_eq(ferry_channel_sender(receiver) + 4, path);
        require_moved(receiver, ferry_channel_reply(receiver, "x", 1, 0), 1);
        require_moved(receiver, ferry_channel_send_to(receiver, ferry_channel_sender(receiver), "x", 1, 0), 1);
        ck_assert_int_eq(receive_raw(fd, text, sizeof text), 1);
        ck_assert_int_eq(receive_raw(fd, text, sizeof text), 1);
        close(fd);
        ck_assert_int_eq(unlink(path), 0);
        require_error(receiver, ferry_channel_send_to(receiver, ferry_channel_sender(receiver), "x", 1, 0), -ENOENT, path);
        ferry_channel_free(receiver);
        close_place(&place);
}
END_TEST

/* Each sentence names the destination of its own call. */
START_TEST(a_sentence_names_the_destination_of_its_call)
{
        struct place place;
        ferry_channel *sender;
        char other[200];

        begin(&place);
        sender = open_end(&place, udg, FERRY_SEND);
        snprintf(other, sizeof other, "udg:%s/other", place.directory);
        require_error(sender, ferry_channel_send_to(sender, other, "x", 1, 0), -ENOENT, "/other");
        require_error(sender, ferry_channel_send(sender, "x", 1, 0), -ENOENT, place.path);
        require_error(sender, ferry_channel_send_to(sender, other, "x", 1, 0), -ENOENT, "/other");
        ferry_channel_free(sender);
        close_place(&place);
}
END_TEST

/* Receivers that are full ------------------------------------------------------------------------------ */

static void fill_up(ferry_channel *sender, const char *address)
{
        ssize_t put;

        do
                put = address ? ferry_channel_send_to(sender, address, "full", 4, 0) : ferry_channel_send(sender, "full", 4, 0);
        while (put == 4);
        require_error(sender, put, -ETIMEDOUT, "room");
}

struct exchange {
        ferry_channel *sender, *receiver, *other;
        const char *address;
};

static int receive_one(ferry_loop *loop, void *userdata)
{
        struct exchange *exchange = userdata;

        (void)loop;
        require_received(exchange->receiver, "full");
        return 0;
}

/* A sender looks again after 1, 2, 4, 8, 10, 10 … ms; a connected one is also woken. */
START_TEST(a_full_receiver_is_waited_for)
{
        struct place place;
        struct exchange exchange;

        begin(&place);
        exchange.receiver = open_receiver(&place, UDG);
        exchange.sender = open_end(&place, udg, FERRY_SEND);
        exchange.address = _i ? udg : NULL;
        fill_up(exchange.sender, exchange.address);
        door_reset();
        door_stop_clock(0);
        ck_assert_int_eq(_i ? ferry_channel_send_to(exchange.sender, udg, "x", 1, 50) :
                              ferry_channel_send(exchange.sender, "x", 1, 50), -ETIMEDOUT);
        /* At 0, 1, 3, 7, 15, 25, 35, 45, 50 ms. */
        ck_assert_uint_eq(door_counts.calls[DOOR_send_to], 9);
        ck_assert_uint_eq(door_counts.calls[DOOR_epoll_control], _i ? 0 : 16);
        door_reset();
        ferry_loop_after(place.loop, 2, receive_one, &exchange);
        require_moved(exchange.sender, _i ? ferry_channel_send_to(exchange.sender, udg, "last", 4, SAFETY_MS) :
                                            ferry_channel_send(exchange.sender, "last", 4, SAFETY_MS), 4);
        ferry_channel_free(exchange.sender);
        ferry_channel_free(exchange.receiver);
        close_place(&place);
}
END_TEST

static int receive_large(ferry_loop *loop, void *userdata)
{
        static char record[1 << 20];
        struct exchange *exchange = userdata;

        (void)loop;
        ck_assert_int_gt(ferry_channel_receive(exchange->receiver, record, sizeof record, 0), 4);
        return 0;
}

/* The kernel reports the sender as writable only when most of its buffer is free: one record of many is not enough. */
START_TEST(room_for_a_large_record_is_noticed)
{
        static char record[8192];
        struct place place;
        struct exchange exchange;
        int64_t before;

        begin(&place);
        exchange.receiver = open_receiver(&place, UDG);
        exchange.sender = open_end(&place, udg, FERRY_SEND);
        while (ferry_channel_send(exchange.sender, record, sizeof record, 0) > 0)
                ;
        ferry_loop_after(place.loop, 2, receive_large, &exchange);
        door_stop_clock(0);
        before = sys_now();
        require_moved(exchange.sender, ferry_channel_send(exchange.sender, record, sizeof record, SAFETY_MS), sizeof record);
        ck_assert_int_lt(sys_now() - before, 20000000);
        door_reset();
        ferry_channel_free(exchange.sender);
        ferry_channel_free(exchange.receiver);
        close_place(&place);
}
END_TEST

static int send_elsewhere(ferry_loop *loop, void *userdata)
{
        struct exchange *exchange = userdata;

        (void)loop;
        require_moved(exchange->sender, ferry_channel_send_to(exchange->sender, exchange->address, "other", 5, 0), 5);
        require_received(exchange->receiver, "full");
        return 0;
}

/* A call that waits keeps its destination, whatever callbacks send meanwhile. */
START_TEST(a_waiting_send_to_keeps_its_destination)
{
        struct place place;
        struct exchange exchange;
        char other[200];
        ssize_t got;
        char text[8];

        begin(&place);
        snprintf(other, sizeof other, "udg:%s/other", place.directory);
        exchange.address = other;
        exchange.receiver = open_receiver(&place, UDG);
        exchange.other = open_end(&place, other, FERRY_RECEIVE);
        exchange.sender = open_end(&place, udg, FERRY_SEND);
        fill_up(exchange.sender, udg);
        ferry_loop_after(place.loop, 2, send_elsewhere, &exchange);
        require_moved(exchange.sender, ferry_channel_send_to(exchange.sender, udg, "mine", 4, SAFETY_MS), 4);
        require_received(exchange.other, "other");
        ck_assert_int_eq(ferry_channel_receive(exchange.other, text, sizeof text, 0), -ETIMEDOUT);
        do
                got = ferry_channel_receive(exchange.receiver, text, sizeof text, 0);
        while (got == 4 && memcmp(text, "full", 4) == 0);
        ck_assert_int_eq(got, 4);
        ck_assert(memcmp(text, "mine", 4) == 0);
        ferry_channel_free(exchange.sender);
        ferry_channel_free(exchange.receiver);
        ferry_channel_free(exchange.other);
        close_place(&place);
}
END_TEST

static int receive_another(ferry_loop *loop, void *userdata)
{
        struct exchange *exchange = userdata;
        char text[8];

        (void)loop;
        /* A record of another sender comes while the answer waits. */
        require_moved(exchange->other, ferry_channel_send(exchange->other, "new", 3, 0), 3);
        require_received(exchange->receiver, "new");
        ck_assert_int_gt(ferry_channel_receive(exchange->sender, text, sizeof text, 0), 0);
        return 0;
}

START_TEST(a_waiting_answer_keeps_its_destination)
{
        struct place place;
        struct exchange exchange;
        char text[8];
        ssize_t put, got;

        begin(&place);
        exchange.receiver = open_receiver(&place, UDG);
        exchange.sender = open_end(&place, udg, FERRY_SEND);
        exchange.other = open_end(&place, udg, FERRY_SEND);
        require_moved(exchange.sender, ferry_channel_send(exchange.sender, "ask", 3, 0), 3);
        require_received(exchange.receiver, "ask");
        while ((put = ferry_channel_reply(exchange.receiver, "full", 4, 0)) == 4)
                ;
        require_error(exchange.receiver, put, -ETIMEDOUT, "room");
        ferry_loop_after(place.loop, 2, receive_another, &exchange);
        require_moved(exchange.receiver, ferry_channel_reply(exchange.receiver, "mine", 4, SAFETY_MS), 4);
        ck_assert_int_eq(ferry_channel_receive(exchange.other, text, sizeof text, 0), -ETIMEDOUT);
        do
                got = ferry_channel_receive(exchange.sender, text, sizeof text, 0);
        while (got == 4 && memcmp(text, "full", 4) == 0);
        ck_assert_int_eq(got, 4);
        ck_assert(memcmp(text, "mine", 4) == 0);
        ferry_channel_free(exchange.sender);
        ferry_channel_free(exchange.receiver);
        ferry_channel_free(exchange.other);
        close_place(&place);
}
END_TEST

/* Receivers that die ----------------------------------------------------------------------------------- */

/* A process that receives at an address, once this returns. */
static pid_t start_receiver(const char *address)
{
        int ready[2];
        pid_t pid;
        char byte = 0;

        ck_assert_int_eq(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                ferry_loop *loop = ferry_loop_new(NULL);
                ferry_channel *channel = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);

                byte = ferry_channel_status(channel) == 1;
                if (write(ready[1], &byte, 1) == 1)
                        for (;;)
                                pause();
                _exit(1);
        }
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        ck_assert_int_eq(byte, 1);
        close(ready[0]);
        return pid;
}

static void kill_receiver(pid_t pid)
{
        int status;

        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

START_TEST(a_replaced_receiver_is_reached_by_the_same_sender)
{
        struct place place;
        ferry_channel *receiver, *sender;
        char address[200];
        ssize_t put;
        pid_t pid;

        begin(&place);
        /* A port that stays. */
        receiver = open_receiver(&place, _i);
        snprintf(address, sizeof address, "%s", ferry_channel_address(receiver));
        ferry_channel_free(receiver);
        pid = start_receiver(address);
        sender = open_end(&place, address, FERRY_SEND);
        require_moved(sender, ferry_channel_send(sender, "x", 1, 0), 1);
        kill_receiver(pid);
        /* By udp the kernel reports a lost record with the next call. */
        put = ferry_channel_send(sender, "lost", 4, 0);
        if (_i == UDP && put == 4)
                put = ferry_channel_send(sender, "lost", 4, 0);
        require_error(sender, put, -ECONNREFUSED, address + 4);
        /* A killed process has left its socket file, which is cleared away. */
        receiver = open_end(&place, address, FERRY_RECEIVE);
        put = ferry_channel_send(sender, "found", 5, 0);
        if (_i == UDP && put == -ECONNREFUSED)
                put = ferry_channel_send(sender, "found", 5, 0);
        require_moved(sender, put, 5);
        require_received(receiver, "found");
        ferry_channel_free(receiver);
        if (_i == UDG)
                require_error(sender, ferry_channel_send(sender, "x", 1, 0), -ENOENT, place.path);
        ferry_channel_free(sender);
        close_place(&place);
}
END_TEST

START_TEST(a_living_receiver_is_not_pushed_aside)
{
        struct place place;
        ferry_channel *receiver, *second;
        char pid_text[32], address[200];
        pid_t pid;

        begin(&place);
        receiver = open_receiver(&place, _i);
        snprintf(address, sizeof address, "%s", ferry_channel_address(receiver));
        require_failed(ferry_channel_open(place.loop, address, FERRY_RECEIVE, NULL), -EADDRINUSE, address + 4);
        second = open_end(&place, address, FERRY_SEND);
        require_moved(second, ferry_channel_send(second, "x", 1, 0), 1);
        require_received(receiver, "x");
        ferry_channel_free(second);
        ferry_channel_free(receiver);
        pid = start_receiver(address);
        snprintf(pid_text, sizeof pid_text, _i == UDG ? "process %d" : "in use", (int)pid);
        require_failed(ferry_channel_open(place.loop, address, FERRY_RECEIVE, NULL), -EADDRINUSE, pid_text);
        kill_receiver(pid);
        ferry_channel_free(open_end(&place, address, FERRY_RECEIVE));
        close_place(&place);
}
END_TEST

START_TEST(a_dead_port_is_refused)
{
        struct place place;
        ferry_channel *receiver, *sender;
        char address[200], text[8];

        begin(&place);
        receiver = open_receiver(&place, UDP);
        snprintf(address, sizeof address, "%s", ferry_channel_address(receiver));
        ferry_channel_free(receiver);
        sender = open_end(&place, address, FERRY_SEND);
        for (int i = 0; i < 5; i++)
                require_error(sender, ferry_channel_send(sender, "x", 1, 0), -ECONNREFUSED, address);
        ck_assert_int_eq(ferry_channel_receive(sender, text, sizeof text, 0), -ETIMEDOUT);
        ferry_channel_free(sender);
        close_place(&place);
}
END_TEST

/* Paths ------------------------------------------------------------------------------------------------ */

START_TEST(a_path_has_up_to_107_bytes)
{
        struct place place;
        ferry_channel *receiver, *sender;
        char path[128], address[160];
        size_t size;

        begin(&place);
        size = (size_t)snprintf(path, sizeof path, "%s/", place.directory);
        memset(path + size, 'p', sizeof path - size);
        path[108] = '\0';
        snprintf(address, sizeof address, "udg:%s", path);
        require_failed(ferry_channel_open(place.loop, address, FERRY_RECEIVE, NULL), -ENAMETOOLONG, path);
        require_failed(ferry_channel_open(place.loop, address, FERRY_SEND, NULL), -ENAMETOOLONG, path);
        address[4 + 107] = '\0';
        receiver = open_end(&place, address, FERRY_RECEIVE);
        sender = open_end(&place, address, FERRY_SEND);
        require_moved(sender, ferry_channel_send(sender, "x", 1, 0), 1);
        require_received(receiver, "x");
        require_moved(receiver, ferry_channel_send_to(receiver, address, "y", 1, 0), 1);
        require_received(receiver, "y");
        ck_assert_str_eq(ferry_channel_sender(receiver), address);
        ferry_channel_free(sender);
        ferry_channel_free(receiver);
        require_failed(ferry_channel_open(place.loop, "udg:@name", FERRY_RECEIVE, NULL), -EINVAL, "abstract");
        close_place(&place);
}
END_TEST

START_TEST(what_is_no_datagram_socket_is_refused)
{
        struct place place;
        ferry_channel *sender, *listener;
        FILE *file;

        begin(&place);
        listener = require_open(ferry_channel_open(place.loop, place.address, FERRY_RECEIVE, NULL));
        sender = open_end(&place, udg, FERRY_SEND);
        require_error(sender, ferry_channel_send(sender, "x", 1, 0), -ENOTSUP, "streams");
        require_error(sender, ferry_channel_send_to(sender, udg, "x", 1, 0), -ENOTSUP, "streams");
        require_failed(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, NULL), -EADDRINUSE, place.path);
        ferry_channel_free(listener);
        file = fopen(place.path, "w");
        fclose(file);
        require_error(sender, ferry_channel_send(sender, "x", 1, 0), -ENOTSUP, "not a socket");
        require_error(sender, ferry_channel_send_to(sender, udg, "x", 1, 0), -ENOTSUP, "not a socket");
        require_failed(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, NULL), -EADDRINUSE, "not a socket");
        ck_assert_int_eq(unlink(place.path), 0);
        ferry_channel_free(sender);
        close_place(&place);
}
END_TEST

/* Other users ------------------------------------------------------------------------------------------ */

static bool allow_counting(ferry_channel *channel, const ferry_peer *peer, void *userdata)
{
        (void)channel;
        ck_assert_uint_eq(peer->uid, STRANGER);
        return (*(int *)userdata)++ >= 0;
}

static bool allow_and_free(ferry_channel *channel, const ferry_peer *peer, void *userdata)
{
        (void)peer;
        ferry_channel_free(channel);
        return *(bool *)userdata;
}

static int open_raw_sender(void)
{
        return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* A refused record changes nothing: an answer still goes to the sender of the one before. */
START_TEST(a_refused_sender_is_not_answered)
{
        struct place place;
        ferry_channel *receiver, *sender;
        char text[8];
        int fd;

        if (!can_become())
                return;
        begin(&place);
        ck_assert_int_eq(chmod(place.directory, 0777), 0);
        receiver = require_open(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, &(ferry_channel_options){ .mode = 0666 }));
        sender = require_open(ferry_channel_open(place.loop, udg, FERRY_SEND, NULL));
        ck_assert_int_eq(ferry_channel_send(sender, "asked", 5, 0), 5);
        require_received(receiver, "asked");
        fd = open_raw_sender();
        become(STRANGER);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(setreuid(STRANGER, 0), 0);
        send_raw_to(fd, place.path, "bad", 3);
        ck_assert_int_eq(setreuid(0, 0), 0);
        ck_assert_int_eq(setegid(0), 0);
        ck_assert_int_eq(ferry_channel_receive(receiver, text, sizeof text, 0), -ETIMEDOUT);
        ck_assert_uint_eq(ferry_channel_peer(receiver).uid, 0);
        ck_assert_int_eq(ferry_channel_reply(receiver, "answer", 6, 0), 6);
        ck_assert_int_eq(ferry_channel_receive(sender, text, sizeof text, 0), 6);
        ferry_channel_free(receiver);
        close(fd);
        close_place(&place);
}
END_TEST

START_TEST(a_file_that_replaced_the_socket_stays)
{
        struct place place;
        ferry_channel *receiver;
        int fd;

        begin(&place);
        receiver = require_open(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, NULL));
        ck_assert_int_eq(unlink(place.path), 0);
        fd = open(place.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        close(fd);
        ferry_channel_free(receiver);
        ck_assert_int_eq(unlink(place.path), 0);
        close_place(&place);
}
END_TEST

START_TEST(records_of_another_user_are_counted_and_not_delivered)
{
        struct place place;
        ferry_channel *receiver;
        int fd, allowed = 0;
        bool answer = _i % 2;
        char text[8];

        if (!can_become())
                return;
        begin(&place);
        ck_assert_int_eq(chmod(place.directory, 0777), 0);
        receiver = require_open(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, &(ferry_channel_options){ .mode = 0666 }));
        ck_assert_int_eq(get_number(receiver, "mode"), 0666);
        fd = open_raw_sender();
        /* The kernel vouches for the real user. */
        become(STRANGER);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(setreuid(STRANGER, 0), 0);
        for (int i = 0; i < 5; i++)
                send_raw_to(fd, place.path, "bad", 3);
        ck_assert_int_eq(setreuid(0, 0), 0);
        ck_assert_int_eq(setegid(0), 0);
        send_raw_to(fd, place.path, "good", 4);
        require_received(receiver, "good");
        ck_assert_int_eq(get_number(receiver, "refused"), 5);
        ferry_channel_free(receiver);

        receiver = require_open(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, &(ferry_channel_options){ .mode = 0666,
                                                   .allow = allow_counting, .allow_userdata = &allowed }));
        ck_assert_int_eq(setreuid(STRANGER, 0), 0);
        send_raw_to(fd, place.path, "known", 5);
        ck_assert_int_eq(setreuid(0, 0), 0);
        require_received(receiver, "known");
        ck_assert_uint_eq(ferry_channel_peer(receiver).uid, STRANGER);
        ck_assert_int_eq(allowed, 1);
        ck_assert_int_eq(get_number(receiver, "refused"), 0);
        ferry_channel_free(receiver);

        receiver = require_open(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, &(ferry_channel_options){ .mode = 0666,
                                                   .allow = allow_and_free, .allow_userdata = &answer }));
        ck_assert_int_eq(setreuid(STRANGER, 0), 0);
        send_raw_to(fd, place.path, "known", 5);
        ck_assert_int_eq(setreuid(0, 0), 0);
        ck_assert_int_eq(ferry_channel_receive(receiver, text, sizeof text, _i < 2 ? 0 : -1), -ECANCELED);
        close(fd);
        close_place(&place);
}
END_TEST

START_TEST(a_socket_of_another_user_is_not_sent_to)
{
        const ferry_channel_options strict = { .is_strict = true };
        struct place place;
        ferry_channel *sender, *receiver;
        int fd, allowed = 0;
        bool answer = true;

        if (!can_become())
                return;
        begin(&place);
        ck_assert_int_eq(chmod(place.directory, 0777), 0);
        fd = bind_raw(place.path, strlen(place.path) + 1);
        ck_assert_int_eq(chown(place.path, STRANGER, STRANGER), 0);
        sender = open_end(&place, udg, FERRY_SEND);
        require_error(sender, ferry_channel_send(sender, "x", 1, 0), -EACCES, place.path);
        require_error(sender, ferry_channel_send_to(sender, udg, "x", 1, 0), -EACCES, place.path);
        require_failed(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, NULL), -EADDRINUSE, "user 65534");
        ferry_channel_free(sender);
        sender = require_open(ferry_channel_open(place.loop, udg, FERRY_SEND, &(ferry_channel_options){ .allow = allow_counting,
                                                 .allow_userdata = &allowed }));
        require_moved(sender, ferry_channel_send(sender, "x", 1, 0), 1);
        require_moved(sender, ferry_channel_send_to(sender, udg, "x", 1, 0), 1);
        ck_assert_int_eq(allowed, 2);
        ferry_channel_free(sender);
        for (int i = 0; i < 2; i++) {
                sender = require_open(ferry_channel_open(place.loop, udg, FERRY_SEND, &(ferry_channel_options){
                                                         .allow = allow_and_free, .allow_userdata = &answer }));
                ck_assert_int_eq(i ? ferry_channel_send(sender, "x", 1, 0) : ferry_channel_send_to(sender, udg, "x", 1, 0), -ECANCELED);
        }
        close(fd);
        ck_assert_int_eq(unlink(place.path), 0);

        receiver = require_open(ferry_channel_open(place.loop, udg, FERRY_RECEIVE, &(ferry_channel_options){ .mode = 0622 }));
        sender = require_open(ferry_channel_open(place.loop, udg, FERRY_SEND, &strict));
        require_error(sender, ferry_channel_send(sender, "x", 1, 0), -EACCES, "0622");
        require_error(sender, ferry_channel_send_to(sender, udg, "x", 1, 0), -EACCES, "0622");
        ferry_channel_free(sender);
        sender = open_end(&place, udg, FERRY_SEND);
        require_moved(sender, ferry_channel_send(sender, "x", 1, 0), 1);
        ferry_channel_free(sender);
        ferry_channel_free(receiver);
        close_place(&place);
}
END_TEST

/* Records that are too large --------------------------------------------------------------------------- */

START_TEST(a_record_over_the_limit_of_the_receiver_is_reported)
{
        static char bytes[(1 << 20) + 1];
        struct place place;
        ferry_channel *receiver;
        int fd, size = 2 << 20;
        ssize_t got;

        begin(&place);
        receiver = open_receiver(&place, UDG);
        fd = open_raw_sender();
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0) {
                send_raw_to(fd, place.path, bytes, sizeof bytes);
                send_raw_to(fd, place.path, bytes, sizeof bytes - 1);
                send_raw_to(fd, place.path, "next", 4);
                require_error(receiver, ferry_channel_receive(receiver, bytes, 4, 0), -EMSGSIZE, "1048577");
                require_error(receiver, ferry_channel_receive(receiver, bytes, 4, 0), -EMSGSIZE, "1048576");
                got = ferry_channel_receive(receiver, bytes, ferry_channel_record_max(receiver), 0);
                require_moved(receiver, got, sizeof bytes - 1);
                require_received(receiver, "next");
        }
        close(fd);
        ferry_channel_free(receiver);
        close_place(&place);
}
END_TEST

/* Multicast and broadcast ------------------------------------------------------------------------------ */

static bool can_multicast(void)
{
        const struct ip_mreqn request = { .imr_multiaddr.s_addr = inet_addr("239.1.2.3"), .imr_ifindex = (int)if_nametoindex("lo") };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool can = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) == 0;

        close(fd);
        if (!can)
                printf("left out: no multicast at lo\n");
        return can;
}

START_TEST(a_multicast_group_reaches_its_members)
{
        const ferry_channel_options public = { .is_public = true };
        struct place place;
        ferry_channel *first, *second, *sender;
        char address[64], text[8];

        if (!can_multicast())
                return;
        begin(&place);
        require_failed(ferry_channel_open(place.loop, "udp:239.1.2.3:0", FERRY_RECEIVE, NULL), -EACCES, "is_public");
        first = require_open(ferry_channel_open(place.loop, "udp:239.1.2.3:0", FERRY_RECEIVE, &public));
        snprintf(address, sizeof address, "%s", ferry_channel_address(first));
        second = require_open(ferry_channel_open(place.loop, address, FERRY_RECEIVE, &public));
        require_failed(ferry_channel_open(place.loop, address, FERRY_SEND, NULL), -EINVAL, "interface");
        require_failed(ferry_channel_open(place.loop, address, FERRY_SEND, &(ferry_channel_options){ .interface = "no-such" }),
                       -ENODEV, "no-such");
        sender = require_open(ferry_channel_open(place.loop, address, FERRY_SEND, &(ferry_channel_options){ .interface = "lo",
                                                 .multicast_ttl = 255 }));
        ck_assert_int_eq(ferry_channel_join(first, "239.1.2.3", "lo"), 0);
        ck_assert_int_eq(ferry_channel_join(second, "239.1.2.3", "lo"), 0);
        require_error(first, ferry_channel_join(first, "239.1.2.3", "lo"), -EADDRINUSE, "239.1.2.3");
        require_moved(sender, ferry_channel_send(sender, "all", 3, 0), 3);
        require_received(first, "all");
        require_received(second, "all");
        require_moved(first, ferry_channel_reply(first, "back", 4, 0), 4);
        require_received(sender, "back");
        ck_assert_int_eq(ferry_channel_leave(second, "239.1.2.3", "lo"), 0);
        require_error(second, ferry_channel_leave(second, "239.1.2.3", "lo"), -EADDRNOTAVAIL, "239.1.2.3");
        require_moved(sender, ferry_channel_send(sender, "one", 3, 0), 3);
        require_received(first, "one");
        ferry_channel_free(first);
        ck_assert_int_eq(ferry_channel_join(second, "239.1.2.3", "lo"), 0);
        while (ferry_channel_receive(second, text, sizeof text, 0) >= 0)
                ;
        require_moved(sender, ferry_channel_send(sender, "new", 3, 0), 3);
        require_received(second, "new");
        ferry_channel_free(second);
        ferry_channel_free(sender);
        close_place(&place);
}
END_TEST

/* Never by the interface of the default route, whichever call it is, and whichever end. */
START_TEST(multicast_leaves_by_an_interface_that_is_named)
{
        static const enum ferry_channel_end ends[] = { FERRY_SEND, FERRY_RECEIVE };
        struct place place;
        ferry_channel *member, *channel;
        char address[64];

        if (!can_multicast())
                return;
        begin(&place);
        member = require_open(ferry_channel_open(place.loop, "udp:239.1.2.3:0", FERRY_RECEIVE,
                                                 &(ferry_channel_options){ .is_public = true }));
        snprintf(address, sizeof address, "%s", ferry_channel_address(member));
        ck_assert_int_eq(ferry_channel_join(member, "239.1.2.3", "lo"), 0);
        for (size_t i = 0; i < 2; i++) {
                const char *own = ends[i] == FERRY_SEND ? "udp:127.0.0.1:9" : "udp:127.0.0.1:0";

                channel = open_end(&place, own, ends[i]);
                require_error(channel, ferry_channel_send_to(channel, address, "x", 1, 0), -EINVAL, "interface");
                ferry_channel_free(channel);
                require_failed(ferry_channel_open(place.loop, own, ends[i], &(ferry_channel_options){ .interface = "no-such" }),
                               -ENODEV, "no-such");
                channel = require_open(ferry_channel_open(place.loop, own, ends[i], &(ferry_channel_options){ .interface = "lo",
                                                          .multicast_ttl = 1 }));
                require_moved(channel, ferry_channel_send_to(channel, address, "named", 5, 0), 5);
                require_received(member, "named");
                ferry_channel_free(channel);
        }
        ferry_channel_free(member);
        close_place(&place);
}
END_TEST

START_TEST(a_group_is_joined_by_its_numbers_at_an_interface)
{
        static const char *const wrong[] = { NULL, "", "[", "]", "[]", "127.0.0.1", "10.0.0.1", "240.0.0.1", "223.255.255.255",
                "239.1.2", "239.1.2.3.4", "239.1.2.3 ", "[239.1.2.3", "::1", "fe80::1", "group", "239.1.2.3:80",
                "239.1.2.3xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" };
        struct place place;
        ferry_channel *receiver;

        begin(&place);
        receiver = open_receiver(&place, UDP);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                require_error(receiver, ferry_channel_join(receiver, wrong[i], "lo"), -EINVAL, "multicast");
                require_error(receiver, ferry_channel_leave(receiver, wrong[i], "lo"), -EINVAL, "multicast");
        }
        require_error(receiver, ferry_channel_join(receiver, "239.1.2.3", NULL), -EINVAL, "interface");
        require_error(receiver, ferry_channel_join(receiver, "239.1.2.3", ""), -EINVAL, "interface");
        require_error(receiver, ferry_channel_join(receiver, "239.1.2.3", "no-such"), -ENODEV, "no-such");
        require_error(receiver, ferry_channel_join(receiver, "239.1.2.3", "a-name-that-is-longer-than-any-interface-has"), -ENODEV,
                      "a-name");
        /* Of the other family. */
        require_error(receiver, ferry_channel_join(receiver, "ff15::1", "lo"), -EINVAL, "ff15::1");
        ferry_channel_free(receiver);
        if (has_ipv6()) {
                receiver = open_end(&place, "udp:[::1]:0", FERRY_RECEIVE);
                require_error(receiver, ferry_channel_join(receiver, "239.1.2.3", "lo"), -EINVAL, "239.1.2.3");
                ck_assert_int_eq(ferry_channel_join(receiver, "ff15::1", "lo"), 0);
                ck_assert_int_eq(ferry_channel_leave(receiver, "[ff15::1]", "lo"), 0);
                ferry_channel_free(receiver);
        }
        close_place(&place);
}
END_TEST

START_TEST(a_broadcast_needs_its_option)
{
        struct place place;
        ferry_channel *receiver, *sender;
        char address[64], port[16];

        begin(&place);
        require_failed(ferry_channel_open(place.loop, "udp:0.0.0.0:0", FERRY_RECEIVE, NULL), -EACCES, "is_public");
        receiver = require_open(ferry_channel_open(place.loop, "udp:0.0.0.0:0", FERRY_RECEIVE, &(ferry_channel_options){
                                                   .is_public = true }));
        snprintf(port, sizeof port, "%s", strrchr(ferry_channel_address(receiver), ':') + 1);
        /* The broadcast address of the loopback, which no other machine hears. */
        snprintf(address, sizeof address, "udp:127.255.255.255:%s", port);
        sender = open_end(&place, address, FERRY_SEND);
        require_error(sender, ferry_channel_send(sender, "x", 1, 0), -EACCES, "is_broadcast");
        require_error(sender, ferry_channel_send_to(sender, address, "x", 1, 0), -EACCES, "is_broadcast");
        ferry_channel_free(sender);
        sender = require_open(ferry_channel_open(place.loop, address, FERRY_SEND, &(ferry_channel_options){ .is_broadcast = true }));
        require_moved(sender, ferry_channel_send(sender, "all", 3, 0), 3);
        require_received(receiver, "all");
        require_moved(receiver, ferry_channel_reply(receiver, "back", 4, 0), 4);
        require_received(sender, "back");
        ferry_channel_free(sender);
        ferry_channel_free(receiver);
        close_place(&place);
}
END_TEST

START_TEST(ipv6_carries_records_too)
{
        struct place place;
        ferry_channel *receiver, *sender;
        char *bytes, *buffer;

        if (!has_ipv6())
                return;
        begin(&place);
        require_failed(ferry_channel_open(place.loop, "udp:[::]:0", FERRY_RECEIVE, NULL), -EACCES, "is_public");
        receiver = open_end(&place, "udp:[::1]:0", FERRY_RECEIVE);
        sender = open_end(&place, ferry_channel_address(receiver), FERRY_SEND);
        ck_assert_uint_eq(ferry_channel_record_max(sender), 65527);
        bytes = calloc(1, 65528);
        buffer = malloc(65528);
        require_error(sender, ferry_channel_send(sender, bytes, 65528, 0), -EMSGSIZE, "65527");
        require_moved(sender, ferry_channel_send(sender, bytes, 65527, 0), 65527);
        require_moved(receiver, ferry_channel_receive(receiver, buffer, 65528, SAFETY_MS), 65527);
        ck_assert_int_eq(strncmp(ferry_channel_sender(receiver), "udp:[::1]:", 10), 0);
        require_moved(receiver, ferry_channel_reply(receiver, "back", 4, 0), 4);
        require_received(sender, "back");
        free(bytes);
        free(buffer);
        ferry_channel_free(sender);
        ferry_channel_free(receiver);
        close_place(&place);
}
END_TEST

/* The socket file -------------------------------------------------------------------------------------- */

/* What came before is received, and what comes after; the sender that was connected finds the new file. */
START_TEST(a_removed_socket_file_of_a_receiver_is_bound_again)
{
        struct place place;
        ferry_channel *receiver, *sender;

        door_stop_clock(0);
        begin(&place);
        receiver = open_receiver(&place, UDG);
        sender = open_end(&place, udg, FERRY_SEND);
        for (int i = 0; i < 2; i++) {
                require_moved(sender, ferry_channel_send(sender, "before", 6, 0), 6);
                ck_assert_int_eq(unlink(place.path), 0);
                while (access(place.path, F_OK) < 0)
                        tick(&place);
                require_moved(sender, ferry_channel_send(sender, "after", 5, 0), 5);
                require_received(receiver, "before");
                require_received(receiver, "after");
                ck_assert_int_eq(ferry_channel_receive(receiver, (char[8]){ 0 }, 8, 0), -ETIMEDOUT);
        }
        ferry_channel_free(sender);
        ferry_channel_free(receiver);
        close_place(&place);
}
END_TEST

START_TEST(a_removed_socket_file_of_a_listener_is_bound_again)
{
        struct place place;
        ferry_channel *listener, *clients[2], *accepted;

        door_stop_clock(0);
        begin(&place);
        listener = open_end(&place, place.address, FERRY_RECEIVE);
        for (int i = 0; i < 2; i++) {
                clients[0] = open_end(&place, place.address, FERRY_SEND);
                ck_assert_int_eq(unlink(place.path), 0);
                while (access(place.path, F_OK) < 0)
                        tick(&place);
                clients[1] = open_end(&place, place.address, FERRY_SEND);
                for (int j = 0; j < 2; j++) {
                        require_moved(clients[j], ferry_channel_send(clients[j], j ? "after" : "before", j ? 5 : 6, 0), j ? 5 : 6);
                        accepted = require_open(ferry_channel_accept(listener, SAFETY_MS));
                        require_received(accepted, j ? "after" : "before");
                        ferry_channel_free(accepted);
                        ferry_channel_free(clients[j]);
                }
        }
        ferry_channel_free(listener);
        close_place(&place);
}
END_TEST

/* A call that waits is told, and so is the loop where none does. */
START_TEST(a_channel_whose_path_is_taken_ends_with_an_error)
{
        struct place place;
        ferry_channel *channel;
        char byte;

        door_stop_clock(0);
        begin(&place);
        channel = open_end(&place, _i == 0 ? udg : place.address, FERRY_RECEIVE);
        ck_assert_int_eq(unlink(place.path), 0);
        ck_assert_int_eq(mkdir(place.path, 0700), 0);
        if (_i == 0)
                require_error(channel, ferry_channel_receive(channel, &byte, 1, SAFETY_MS), -EADDRINUSE, "was removed");
        else
                require_failed(ferry_channel_accept(channel, SAFETY_MS), -EADDRINUSE, "was removed");
        rmdir(place.path);
        require_failed(channel, -EADDRINUSE, "was removed");
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_removed_socket_file_of_a_receiver_is_bound_again),
        SUITE_TEST(a_removed_socket_file_of_a_listener_is_bound_again),
        SUITE_LOOP(a_channel_whose_path_is_taken_ends_with_an_error, 2),
        SUITE_LOOP(a_record_is_answered_to_its_sender, KINDS),
        SUITE_TEST(an_abstract_sender_is_answered_whatever_its_bytes),
        SUITE_TEST(a_sender_with_a_path_is_answered),
        SUITE_TEST(a_sentence_names_the_destination_of_its_call),
        SUITE_LOOP(a_full_receiver_is_waited_for, 2),
        SUITE_TEST(room_for_a_large_record_is_noticed),
        SUITE_TEST(a_waiting_send_to_keeps_its_destination),
        SUITE_TEST(a_waiting_answer_keeps_its_destination),
        SUITE_LOOP(a_replaced_receiver_is_reached_by_the_same_sender, KINDS),
        SUITE_LOOP(a_living_receiver_is_not_pushed_aside, KINDS),
        SUITE_TEST(a_dead_port_is_refused),
        SUITE_TEST(a_path_has_up_to_107_bytes),
        SUITE_TEST(what_is_no_datagram_socket_is_refused),
        SUITE_LOOP(records_of_another_user_are_counted_and_not_delivered, 4),
        SUITE_TEST(a_refused_sender_is_not_answered),
        SUITE_TEST(a_file_that_replaced_the_socket_stays),
        SUITE_TEST(a_socket_of_another_user_is_not_sent_to),
        SUITE_TEST(a_record_over_the_limit_of_the_receiver_is_reported),
        SUITE_TEST(a_multicast_group_reaches_its_members),
        SUITE_TEST(multicast_leaves_by_an_interface_that_is_named),
        SUITE_TEST(a_group_is_joined_by_its_numbers_at_an_interface),
        SUITE_TEST(a_broadcast_needs_its_option),
        SUITE_TEST(ipv6_carries_records_too),
};

SUITE_MAIN("channel-datagrams", tests)
