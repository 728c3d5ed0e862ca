/* Channels of each kind: both ends in one loop, all that they can do, ends that come later, and what stands in the way.
 * Invariants: files, and queues that a failed call has made, are gone at the end, unless the fault kept them from being
 * removed; a wait ends within its time. */
#include "fault/talk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        SMALL = 3,              /* a buffer that no record fits */
        SHORT_MS = 20,
        LONG_MS = 1000,         /* of a clock that stands still */
        LATER_MS = 40,          /* when the other end comes */
        LARGE = 150000,         /* two of them are over what a socket holds */
        MUCH = 1 << 20,         /* over what a connection holds */
};

/* The directory is as it was before. */
static void look_for_files(void)
{
        DIR *list = opendir(fault_path("."));

        for (struct dirent *entry; list && (entry = readdir(list));)
                /* A lock that could not be read was left as it is. */
                if (entry->d_name[0] != '.' && !fault_is_of_files() && (fault_is_absent() || !strstr(entry->d_name, ".lock")))
                        fault_flaw("the file %s is left", entry->d_name);
        if (list)
                closedir(list);
}

static const char *join(const char *scheme, const char *path)
{
        static char texts[4][300];
        static unsigned next;
        char *text = texts[next++ % 4];

        snprintf(text, sizeof texts[0], "%s:%s", scheme, path);
        return text;
}

/* Parts of a life ------------------------------------------------------------------------------------- */

/* Whether it is open. If not, it is used once, so that the loop does not report that again. */
static bool open_end(ferry_loop *loop, const char *address, enum ferry_channel_end end, const ferry_channel_options *options,
                     int expected, ferry_channel **ret_channel)
{
        ferry_channel *channel = ferry_channel_open(loop, address, end, options);

        *ret_channel = channel;
        fault_answer(FAULT_CHANNEL, "open", ferry_channel_status(channel), expected, ferry_channel_error(channel));
        if (ferry_channel_status(channel) < 0)
                fault_check(ferry_channel_shutdown(channel) < 0);
        return ferry_channel_status(channel) == 1;
}

static ssize_t check_moved(ferry_channel *channel, const char *what, ssize_t moved, ssize_t expected)
{
        fault_answer(FAULT_CHANNEL, what, (int)moved, expected < 0 ? (int)expected : 0, ferry_channel_error(channel));
        if (expected >= 0)
                fault_want(moved == expected);
        return moved;
}

static bool send_text(ferry_channel *channel, const char *text, int timeout_ms, int expected)
{
        ssize_t size = (ssize_t)strlen(text);

        return check_moved(channel, "send", ferry_channel_send(channel, text, strlen(text), timeout_ms),
                           expected ? expected : size) >= 0;
}

/* First with a buffer that is too small, which loses nothing. */
static void receive_text(ferry_channel *channel, const char *expected, int timeout_ms)
{
        char text[64];
        ssize_t got = check_moved(channel, "receive", ferry_channel_receive(channel, text, SMALL, timeout_ms), -EMSGSIZE);
        bool is_there = got == -EMSGSIZE;

        got = check_moved(channel, "receive", ferry_channel_receive(channel, text, sizeof text, timeout_ms),
                          (ssize_t)strlen(expected));
        if (is_there && got == -ETIMEDOUT && !fault_error())
                fault_flaw("%s was there, and is lost", expected);
        if (got >= 0 && ((size_t)got != strlen(expected) || memcmp(text, expected, (size_t)got) != 0))
                fault_flaw("%.*s came instead of %s", (int)got, text, expected);
}

/* Bytes may come in pieces. */
static void receive_bytes(ferry_channel *channel, const char *expected)
{
        size_t size = 0, whole = strlen(expected);
        char text[64];
        ssize_t got = 1;

        while (size < whole && got > 0) {
                got = ferry_channel_receive(channel, text + size, sizeof text - size, LONG_MS);
                fault_answer(FAULT_CHANNEL, "receive", (int)got, 0, ferry_channel_error(channel));
                size += got > 0 ? (size_t)got : 0;
        }
        fault_want(size == whole);
        fault_check(size <= whole && memcmp(text, expected, size) == 0);
}

static void receive_end(ferry_channel *channel)
{
        char text[64];

        check_moved(channel, "receive", ferry_channel_receive(channel, text, sizeof text, LONG_MS), 0);
}

/* A record that is sent as a value is sent whole, and read as one. */
static void exchange_values(ferry_channel *from, ferry_channel *to)
{
        ferry_value *value = NULL;
        long long number = 0;
        char rest[64];
        int code = ferry_channel_send_value(from, 0, SHORT_MS, "{n: %d, text: %s}", 7, "a text");

        fault_answer(FAULT_CHANNEL, "send a value", code, 0, ferry_channel_error(from));
        code = ferry_channel_receive_value(to, 0, SHORT_MS, NULL, &value);
        fault_answer(FAULT_CHANNEL, "receive a value", code, 0, ferry_channel_error(to));
        fault_check((code == 0) == (value != NULL));
        /* What was sent and not received comes before what is sent next. */
        if (code)
                ferry_channel_receive(to, rest, sizeof rest, 0);
        fault_check(!value || (ferry_value_unpack(value, "{n: %lld}", &number) == 0 && number == 7));
        ferry_value_unref(value);
}

static void look_at(ferry_channel *channel, bool has_descriptor)
{
        ferry_value *info = ferry_channel_info(channel);

        fault_check(info || fault_is_memory());
        ferry_value_unref(info);
        fault_want((ferry_channel_fd(channel) >= 0) == has_descriptor);
        fault_want(ferry_channel_record_max(channel) > 0);
}

static void await_end(ferry_loop *loop, const char *address, int timeout_ms, int expected)
{
        fault_answer(FAULT_CHANNEL, "wait", ferry_channel_wait(loop, address, timeout_ms), expected, NULL);
}

/* What comes later: an end that is opened by a timer. */
struct later {
        const char *address;
        enum ferry_channel_end end;
        ferry_channel_options options;
        int expected;
        ferry_channel *channel;
};

static int open_later(ferry_loop *loop, void *userdata)
{
        struct later *later = userdata;

        if (loop)
                open_end(loop, later->address, later->end, &later->options, later->expected, &later->channel);
        return 0;
}

/* Receives all that is there. */
static int drain(ferry_loop *loop, void *userdata)
{
        static char bytes[MUCH];
        ferry_channel *channel = userdata;
        ssize_t got = 1;

        (void)loop;
        while (got > 0)
                got = ferry_channel_receive(channel, bytes, sizeof bytes, 0);
        fault_answer(FAULT_CHANNEL, "receive", (int)got, -ETIMEDOUT, ferry_channel_error(channel));
        return 1;
}

static void end_loop(ferry_loop *loop)
{
        int code = ferry_loop_run(loop, LONG_MS);

        fault_answer(FAULT_CHANNEL, "run", code, 0, ferry_loop_error(loop));
        ferry_loop_free(loop);
}

/* Fill what is between two ends; then a send goes on as soon as there is room. */
static void fill(ferry_loop *loop, ferry_channel *from, ferry_channel *to, size_t size, const char *elsewhere)
{
        static char bytes[LARGE];
        ssize_t put = 0;

        for (int i = 0; i < 300 && put >= 0; i++)
                put = elsewhere ? ferry_channel_send_to(from, elsewhere, bytes, size, 0) :
                                  ferry_channel_send(from, bytes, size, 0);
        check_moved(from, "send", put, -ETIMEDOUT);
        check_moved(from, "send", elsewhere ? ferry_channel_send_to(from, elsewhere, bytes, size, SHORT_MS) :
                                              ferry_channel_send(from, bytes, size, SHORT_MS), -ETIMEDOUT);
        ferry_loop_after(loop, SHORT_MS, drain, to);
        check_moved(from, "send", elsewhere ? ferry_channel_send_to(from, elsewhere, bytes, size, LONG_MS) :
                                              ferry_channel_send(from, bytes, size, LONG_MS), (ssize_t)size);
        ferry_loop_off(loop, drain, to);
}

/* Datagrams ------------------------------------------------------------------------------------------- */

/* Records both ways, as datagrams have them. */
static void exchange_datagrams(ferry_channel *receiver, ferry_channel *sender)
{
        char there[512];

        send_text(sender, "a record", SHORT_MS, 0);
        receive_text(receiver, "a record", SHORT_MS);
        snprintf(there, sizeof there, "%s", ferry_channel_sender(receiver));
        if (*there) {
                check_moved(receiver, "reply", ferry_channel_reply(receiver, "an answer", 9, SHORT_MS), 9);
                receive_text(sender, "an answer", SHORT_MS);
                check_moved(receiver, "send to", ferry_channel_send_to(receiver, there, "a second", 8, SHORT_MS), 8);
                receive_text(sender, "a second", SHORT_MS);
        }
        check_moved(sender, "send", ferry_channel_send(sender, NULL, 0, SHORT_MS), 0);
        receive_end(receiver);
        check_moved(receiver, "send", ferry_channel_send(receiver, "x", 1, 0), -EDESTADDRREQ);
        check_moved(sender, "send", ferry_channel_send(sender, "x", (size_t)MUCH * 4, 0), -EMSGSIZE);
        exchange_values(sender, receiver);
        ferry_channel_peer(receiver);
        look_at(receiver, true);
        look_at(sender, true);
}

/* A host of this process alone, so that its ports are free again when it closes them. */
static const char *own_host(const char *scheme)
{
        char host[64];

        snprintf(host, sizeof host, "127.%d.%d.9:0", (int)(getpid() >> 8 & 0x7f) + 64, (int)getpid() & 0xff);
        return join(scheme, host);
}

static void udp(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver, *second, *sender;
        struct later later = { .end = FERRY_RECEIVE };
        char address[128];

        if (open_end(loop, own_host("udp"), FERRY_RECEIVE, NULL, 0, &receiver)) {
                snprintf(address, sizeof address, "%s", ferry_channel_address(receiver));
                open_end(loop, address, FERRY_RECEIVE, NULL, -EADDRINUSE, &second);
                await_end(loop, address, SHORT_MS, 0);
                open_end(loop, address, FERRY_SEND, NULL, 0, &sender);
                exchange_datagrams(receiver, sender);
                ferry_channel_free(receiver);
                await_end(loop, address, SHORT_MS, -ETIMEDOUT);
                ferry_channel_free(sender);
                /* To no receiver, and to one that comes later. */
                open_end(loop, address, FERRY_SEND, NULL, 0, &sender);
                send_text(sender, "a record", 0, -ECONNREFUSED);
                ferry_channel_free(sender);
                later.address = address;
                ferry_loop_after(loop, LATER_MS, open_later, &later);
                open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = LONG_MS }, 0, &sender);
                if (send_text(sender, "a record", LONG_MS, 0) && later.channel)
                        receive_text(later.channel, "a record", SHORT_MS);
                ferry_channel_free(later.channel);
                later.channel = NULL;
                /* Waited for. */
                ferry_loop_after(loop, LATER_MS, open_later, &later);
                await_end(loop, address, LONG_MS * 2, 0);
                ferry_loop_off(loop, open_later, &later);
        }
        end_loop(loop);
}

static void udp6(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver, *sender;

        if (open_end(loop, "udp:[::1]:0", FERRY_RECEIVE, NULL, 0, &receiver)) {
                await_end(loop, ferry_channel_address(receiver), SHORT_MS, 0);
                open_end(loop, ferry_channel_address(receiver), FERRY_SEND, NULL, 0, &sender);
                send_text(sender, "a record", SHORT_MS, 0);
                receive_text(receiver, "a record", SHORT_MS);
        }
        await_end(loop, "udp:192.0.2.1:9", SHORT_MS, -EADDRNOTAVAIL);
        end_loop(loop);
}

/* Multicast and broadcast: all that is needed is there. */
static void join_group(const char *any, const char *group, const char *text, bool is_heard)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver, *sender;
        char address[128];
        int code;

        if (open_end(loop, any, FERRY_RECEIVE, &(ferry_channel_options){ .is_public = true }, 0, &receiver)) {
                snprintf(address, sizeof address, "udp:%s:%s", group, strrchr(ferry_channel_address(receiver), ':') + 1);
                code = ferry_channel_join(receiver, group, "lo");
                fault_answer(FAULT_CHANNEL, "join", code, 0, ferry_channel_error(receiver));
                open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .interface = "lo", .multicast_ttl = 2 }, 0,
                         &sender);
                if (is_heard && code == 0 && send_text(sender, text, SHORT_MS, 0))
                        receive_text(receiver, text, SHORT_MS);
                code = ferry_channel_leave(receiver, group, "lo");
                fault_answer(FAULT_CHANNEL, "leave", code, 0, ferry_channel_error(receiver));
        }
        end_loop(loop);
}

static void multicast(void)
{
        join_group("udp:0.0.0.0:0", "239.83.71.5", "to a group", true);
}

static void multicast6(void)
{
        join_group("udp:[::]:0", "[ff15::8371]", "to a group", false);
}

static void broadcast(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver, *sender;

        if (open_end(loop, own_host("udp"), FERRY_RECEIVE, &(ferry_channel_options){ .is_broadcast = true }, 0, &receiver)) {
                open_end(loop, ferry_channel_address(receiver), FERRY_SEND, &(ferry_channel_options){ .is_broadcast = true }, 0,
                         &sender);
                if (send_text(sender, "a record", SHORT_MS, 0))
                        receive_text(receiver, "a record", SHORT_MS);
        }
        end_loop(loop);
}

static int bind_plain(const char *path, int type)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        strncpy(name.sun_path, path, sizeof name.sun_path - 1);
        if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0)
                fault_flaw("%s: %m", path);
        return fd;
}

static void udg(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver, *second, *sender;
        const char *address = join("udg", fault_path("udg"));
        struct later later = { .address = address, .end = FERRY_RECEIVE };

        /* What a receiver that was killed has left is removed. */
        close(bind_plain(fault_path("udg"), SOCK_DGRAM));
        if (open_end(loop, address, FERRY_RECEIVE, &(ferry_channel_options){ .mode = 0660 }, 0, &receiver)) {
                open_end(loop, address, FERRY_RECEIVE, NULL, -EADDRINUSE, &second);
                await_end(loop, address, SHORT_MS, 0);
                open_end(loop, address, FERRY_SEND, NULL, 0, &sender);
                exchange_datagrams(receiver, sender);
                check_moved(sender, "send to", ferry_channel_send_to(sender, address, "by path", 7, SHORT_MS), 7);
                receive_text(receiver, "by path", SHORT_MS);
                /* Its file is removed, while a record is on its way. */
                send_text(sender, "a record", SHORT_MS, 0);
                unlink(fault_path("udg"));
                talk_run(loop, 300);
                if (ferry_channel_status(receiver) == 1) {
                        receive_text(receiver, "a record", SHORT_MS);
                        send_text(sender, "a record", SHORT_MS, 0);
                        receive_text(receiver, "a record", SHORT_MS);
                }
                unlink(fault_path("udg"));
                talk_run(loop, 300);
        }
        ferry_channel_free(receiver);
        await_end(loop, address, SHORT_MS, -ETIMEDOUT);
        unlink(fault_path("udg"));
        unlink(fault_path("udg.lock"));
        open_end(loop, address, FERRY_SEND, NULL, 0, &sender);
        send_text(sender, "a record", 0, -ENOENT);
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = LONG_MS }, 0, &sender);
        if (send_text(sender, "a record", LONG_MS, 0) && later.channel)
                receive_text(later.channel, "a record", SHORT_MS);
        ferry_channel_free(later.channel);
        later.channel = NULL;
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        await_end(loop, address, LONG_MS * 2, 0);
        ferry_loop_off(loop, open_later, &later);
        end_loop(loop);
        look_for_files();
}

/* A receiver that has no room: of a connected sender the kernel reports when there is, of others nothing is. */
static void udg_full(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver, *sender;
        const char *address = join("udg", fault_path("udg"));

        if (open_end(loop, address, FERRY_RECEIVE, NULL, 0, &receiver)) {
                open_end(loop, address, FERRY_SEND, NULL, 0, &sender);
                fill(loop, sender, receiver, 8, NULL);
                drain(loop, receiver);
                fill(loop, sender, receiver, LARGE, NULL);
                drain(loop, receiver);
                ferry_channel_free(sender);
                open_end(loop, "udg:@ferry-fault", FERRY_SEND, NULL, 0, &sender);
                fill(loop, sender, receiver, LARGE, address);
        }
        end_loop(loop);
        look_for_files();
}

/* What is no receiver is not sent to. */
static void udg_strange(void)
{
        static const struct { const char *name; int type, mode, expected; } kinds[] = {
                { "stream", SOCK_STREAM, 0600, -ENOTSUP }, { "wide", SOCK_DGRAM, 0666, -EACCES },
                { "dead", SOCK_DGRAM, 0600, -ECONNREFUSED }, { "file", 0, 0600, -ENOTSUP },
        };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *sender;
        char vacant[40];

        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                const char *path = fault_path("%s", kinds[i].name);

                int fd = kinds[i].type ? bind_plain(path, kinds[i].type) : open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

                /* One of streams is only known while a process has it. */
                if (kinds[i].type != SOCK_STREAM)
                        close(fd);
                chmod(path, (mode_t)kinds[i].mode);
                open_end(loop, join("udg", path), FERRY_SEND, &(ferry_channel_options){ .is_strict = true }, 0, &sender);
                send_text(sender, "a record", 0, kinds[i].expected);
                if (kinds[i].type == SOCK_STREAM)
                        close(fd);
                unlink(path);
        }
        snprintf(vacant, sizeof vacant, "udg:@ferry-fault-\\x%02x-%d", 1, (int)getpid());
        open_end(loop, vacant, FERRY_SEND, NULL, 0, &sender);
        send_text(sender, "a record", 0, -ECONNREFUSED);
        check_moved(sender, "send to", ferry_channel_send_to(sender, vacant, "x", 1, 0), -ECONNREFUSED);
        end_loop(loop);
        look_for_files();
}

/* Connections ----------------------------------------------------------------------------------------- */

/* What has been accepted, connected and told goes on as a session. */
static void go_on_as_session(ferry_loop *loop, ferry_channel *client)
{
        int fds[] = { ferry_channel_detach(client), -1, -1 };
        ferry_session *session;

        if (!fault_answer(FAULT_CHANNEL, "detach", fds[0], 0, fds[0] < 0 ? ferry_channel_error(client) : NULL))
                return;
        fds[1] = fds[0];
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = fds });
        fault_answer(FAULT_END, "open", ferry_session_status(session), 0, ferry_session_error(session));
        if (ferry_session_status(session) < 0 && fcntl(fds[0], F_GETFD) >= 0)
                close(fds[0]);
        ferry_session_free(session);
}

static ferry_channel *accept_client(ferry_channel *listener, int timeout_ms, int expected)
{
        ferry_channel *client = ferry_channel_accept(listener, timeout_ms);

        fault_answer(FAULT_CHANNEL, "accept", ferry_channel_status(client), expected, ferry_channel_error(client));
        return client;
}

static void exchange_bytes(ferry_channel *here, ferry_channel *there)
{
        int code;

        if (send_text(here, "some bytes", SHORT_MS, 0))
                receive_bytes(there, "some bytes");
        code = ferry_channel_shutdown(here);
        fault_answer(FAULT_CHANNEL, "shutdown", code, 0, ferry_channel_error(here));
        if (code == 0)
                receive_end(there);
        if (send_text(there, "an answer", SHORT_MS, 0))
                receive_bytes(here, "an answer");
        ferry_channel_peer(there);
        look_at(here, true);
        look_at(there, true);
}

static void connect_to(const char *place)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *listener, *second, *here, *there;
        struct later later = { .end = FERRY_RECEIVE };
        char address[300];

        if (open_end(loop, place, FERRY_RECEIVE, NULL, 0, &listener)) {
                snprintf(address, sizeof address, "%s", ferry_channel_address(listener));
                open_end(loop, address, FERRY_RECEIVE, NULL, -EADDRINUSE, &second);
                await_end(loop, address, SHORT_MS, 0);
                ferry_channel_free(accept_client(listener, SHORT_MS, -ETIMEDOUT));
                look_at(listener, true);
                if (open_end(loop, address, FERRY_SEND, NULL, 0, &here)) {
                        there = accept_client(listener, LONG_MS, 0);
                        if (ferry_channel_status(there) == 1) {
                                exchange_bytes(here, there);
                                go_on_as_session(loop, there);
                        }
                }
                ferry_channel_free(here);
                ferry_channel_free(listener);
                await_end(loop, address, SHORT_MS, -ETIMEDOUT);
                /* One that comes later. */
                later.address = address;
                ferry_loop_after(loop, LATER_MS, open_later, &later);
                open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = LONG_MS }, 0, &here);
                if (send_text(here, "some bytes", LONG_MS, 0) && later.channel) {
                        there = accept_client(later.channel, LONG_MS, 0);
                        if (ferry_channel_status(there) == 1)
                                receive_bytes(there, "some bytes");
                }
                ferry_channel_free(later.channel);
                later.channel = NULL;
                ferry_loop_after(loop, LATER_MS, open_later, &later);
                await_end(loop, address, LONG_MS * 2, 0);
                ferry_loop_off(loop, open_later, &later);
        }
        end_loop(loop);
        look_for_files();
}

static void tcp(void)
{
        connect_to(own_host("tcp"));
}

static void tcp6(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *listener, *here;

        if (open_end(loop, "tcp:[::1]:0", FERRY_RECEIVE, NULL, 0, &listener)) {
                await_end(loop, ferry_channel_address(listener), SHORT_MS, 0);
                open_end(loop, ferry_channel_address(listener), FERRY_SEND, NULL, 0, &here);
                accept_client(listener, LONG_MS, 0);
        }
        end_loop(loop);
}

static void unix_stream(void)
{
        connect_to(join("unix", fault_path("unix")));
}

/* The socket file is removed, while a client waits behind it; and once more at the end. */
static void unix_removed(void)
{
        const char *address = join("unix", fault_path("unix"));
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *listener, *client;

        if (open_end(loop, address, FERRY_RECEIVE, NULL, 0, &listener)) {
                open_end(loop, address, FERRY_SEND, NULL, 0, &client);
                for (int i = 0; i < 2 && ferry_channel_status(listener) == 1; i++) {
                        unlink(fault_path("unix"));
                        talk_run(loop, 300);
                        if (i == 1 || ferry_channel_status(listener) != 1)
                                break;
                        ferry_channel_free(accept_client(listener, LONG_MS, 0));
                        open_end(loop, address, FERRY_SEND, NULL, 0, &client);
                        ferry_channel_free(accept_client(listener, LONG_MS, 0));
                }
        }
        end_loop(loop);
        look_for_files();
}

/* More than a connection holds, to a peer that reads late; and to one that has gone. */
static void much(const char *place)
{
        static char bytes[MUCH];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *listener, *here, *there;
        ssize_t put;

        if (open_end(loop, place, FERRY_RECEIVE, NULL, 0, &listener)) {
                open_end(loop, ferry_channel_address(listener), FERRY_SEND, NULL, 0, &here);
                there = accept_client(listener, LONG_MS, 0);
                ferry_loop_after(loop, SHORT_MS, drain, there);
                check_moved(here, "send", ferry_channel_send(here, bytes, MUCH, LONG_MS), MUCH);
                ferry_loop_off(loop, drain, there);
                ferry_channel_free(there);
                put = ferry_channel_send(here, bytes, 10, LONG_MS);
                fault_answer(FAULT_CHANNEL, "send", (int)put, -EPIPE, put < 0 ? ferry_channel_error(here) : NULL);
                put = ferry_channel_send(here, bytes, 10, LONG_MS);
                fault_answer(FAULT_CHANNEL, "send", (int)put, -EPIPE, put < 0 ? ferry_channel_error(here) : NULL);
        }
        end_loop(loop);
        look_for_files();
}

static void unix_much(void)
{
        much(join("unix", fault_path("unix")));
}

/* FIFOs ----------------------------------------------------------------------------------------------- */

static void fifo(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        const char *address = join("fifo", fault_path("fifo"));
        struct later later = { .address = address, .end = FERRY_RECEIVE };
        ferry_channel *receiver, *sender;
        char text[64];

        await_end(loop, address, SHORT_MS, -ETIMEDOUT);
        if (open_end(loop, address, FERRY_RECEIVE, &(ferry_channel_options){ .mode = 0622 }, 0, &receiver)) {
                await_end(loop, address, SHORT_MS, 0);
                /* Before the first writer that is not the end. */
                check_moved(receiver, "receive", ferry_channel_receive(receiver, text, sizeof text, SHORT_MS), -ETIMEDOUT);
                if (open_end(loop, address, FERRY_SEND, NULL, 0, &sender) && send_text(sender, "some bytes", SHORT_MS, 0)) {
                        receive_bytes(receiver, "some bytes");
                        look_at(sender, true);
                        look_at(receiver, true);
                        ferry_channel_free(sender);
                        receive_end(receiver);
                }
                /* The next one finds no reader. */
                ferry_channel_free(receiver);
                open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .is_creating = true }, -ENXIO, &sender);
        }
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = LONG_MS, .is_creating = true }, 0, &sender);
        if (send_text(sender, "some bytes", LONG_MS, 0) && later.channel)
                receive_bytes(later.channel, "some bytes");
        ferry_channel_free(later.channel);
        ferry_channel_free(sender);
        later.channel = NULL;
        /* A FIFO that is made later. */
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = LONG_MS }, 0, &sender);
        send_text(sender, "some bytes", LONG_MS, 0);
        ferry_channel_free(later.channel);
        later.channel = NULL;
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        await_end(loop, address, LONG_MS * 2, 0);
        ferry_loop_off(loop, open_later, &later);
        end_loop(loop);
        look_for_files();
}

/* One that was there before stays, until it is removed. */
static void fifo_kept(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        const char *path = fault_path("fifo"), *address = join("fifo", path);
        ferry_channel *receiver, *sender, *strange;
        int code;

        if (mkfifo(path, 0600) < 0 || chmod(path, 0622) < 0)
                fault_flaw("%s: %m", path);
        open_end(loop, address, FERRY_RECEIVE, &(ferry_channel_options){ .is_strict = true }, -EACCES, &strange);
        if (open_end(loop, address, FERRY_RECEIVE, NULL, 0, &receiver)) {
                open_end(loop, address, FERRY_SEND, NULL, 0, &sender);
                ferry_channel_free(sender);
                ferry_channel_free(receiver);
        }
        fault_check(access(path, F_OK) == 0);
        if (open_end(loop, address, FERRY_RECEIVE, NULL, 0, &receiver)) {
                code = ferry_channel_remove(receiver);
                fault_answer(FAULT_CHANNEL, "remove", code, 0, ferry_channel_error(receiver));
                fault_check((code == 0) == (access(path, F_OK) < 0));
        }
        unlink(path);
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        open_end(loop, address, FERRY_RECEIVE, NULL, -ENOTSUP, &strange);
        end_loop(loop);
        fault_check(access(path, F_OK) == 0);
        unlink(path);
        look_for_files();
}

/* More than a FIFO holds; and its reader goes. */
static void fifo_full(void)
{
        static char bytes[MUCH];
        ferry_loop *loop = ferry_loop_new(NULL);
        const char *address = join("fifo", fault_path("fifo"));
        ferry_channel *receiver, *sender;

        if (open_end(loop, address, FERRY_RECEIVE, NULL, 0, &receiver) &&
            open_end(loop, address, FERRY_SEND, NULL, 0, &sender)) {
                ferry_loop_after(loop, SHORT_MS, drain, receiver);
                check_moved(sender, "send", ferry_channel_send(sender, bytes, MUCH, LONG_MS), MUCH);
                ferry_loop_off(loop, drain, receiver);
                ferry_channel_free(receiver);
                check_moved(sender, "send", ferry_channel_send(sender, bytes, 10, SHORT_MS), -EPIPE);
        }
        end_loop(loop);
        look_for_files();
}

/* Sessions over two FIFOs ----------------------------------------------------------------------------- */

static const char *pair_of(const char *in, const char *out)
{
        static char texts[2][600];
        static unsigned next;
        char *text = texts[next++ % 2];

        snprintf(text, sizeof texts[0], "fifo:%s,%s", fault_path("%s", in), fault_path("%s", out));
        return text;
}

/* Both make them, and find each other. */
static void session_fifos(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        const ferry_session_options options = { .wait_ms = LONG_MS };

        talk.a = ferry_session_open(talk.loop, pair_of("x", "y"), &options);
        talk.b = ferry_session_open(talk.loop, pair_of("y", "x"), &options);
        talk_begin(&talk);
        talk_everything(&talk);
        talk_end(&talk);
        look_for_files();
}

/* They are there before, and stay. */
static void session_fifos_kept(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        const ferry_session_options options = { .wait_ms = LONG_MS };

        if (mkfifo(fault_path("x"), 0600) < 0 || mkfifo(fault_path("y"), 0600) < 0)
                fault_flaw("mkfifo: %m");
        talk.a = ferry_session_open(talk.loop, pair_of("x", "y"), &options);
        talk.b = ferry_session_open(talk.loop, pair_of("y", "x"), &options);
        talk_begin(&talk);
        talk_note(&talk);
        talk_ask(&talk, "App\\Echo", 0);
        talk_end(&talk);
        fault_check(unlink(fault_path("x")) == 0 && unlink(fault_path("y")) == 0);
        look_for_files();
}

static int open_peer(ferry_loop *loop, void *userdata)
{
        struct talk *talk = userdata;

        talk->b = ferry_session_open(loop, pair_of("y", "x"), &(ferry_session_options){ .wait_ms = LONG_MS });
        talk_begin(talk);
        return 0;
}

/* The peer comes later; another one never does. */
static void session_fifos_awaited(void)
{
        struct talk talk = { .loop = ferry_loop_new(NULL) };
        ferry_session *vain = ferry_session_open(talk.loop, pair_of("never", "ever"),
                                                 &(ferry_session_options){ .wait_ms = SHORT_MS });

        talk.a = ferry_session_open(talk.loop, pair_of("x", "y"), &(ferry_session_options){ .wait_ms = LONG_MS });
        ferry_loop_after(talk.loop, LATER_MS, open_peer, &talk);
        ferry_loop_run(talk.loop, LATER_MS * 2);
        fault_answer(FAULT_MEET, "status", ferry_session_status(vain), -ENXIO, ferry_session_error(vain));
        fault_want(ferry_session_status(vain) != 1);
        ferry_session_free(vain);
        if (talk.b) {
                talk_note(&talk);
                talk_ask(&talk, "App\\Echo", 0);
                talk_end(&talk);
        } else
                ferry_loop_free(talk.loop);
        look_for_files();
}

/* Queues ---------------------------------------------------------------------------------------------- */

/* By type or priority; the queue fills, and empties. */
static void exchange_records(ferry_loop *loop, ferry_channel *receiver, ferry_channel *sender, long type, size_t large)
{
        char text[64];
        long got_type = -1;
        ssize_t got;

        if (send_text(sender, "a record", SHORT_MS, 0))
                receive_text(receiver, "a record", SHORT_MS);
        if (check_moved(sender, "send", ferry_channel_send_typed(sender, type, "typed", 5, SHORT_MS), 5) == 5) {
                got = ferry_channel_receive_typed(receiver, 0, &got_type, text, sizeof text, SHORT_MS);
                check_moved(receiver, "receive", got, 5);
                fault_want(got < 0 || got_type == type);
        }
        exchange_values(sender, receiver);
        look_at(receiver, ferry_channel_fd(receiver) >= 0);
        fill(loop, sender, receiver, large, NULL);
        drain(loop, receiver);
}

static bool is_queue(key_t key)
{
        return msgget(key, 0) >= 0;
}

/* The queue of the key file, if the library could not. */
static void end_queue(const char *path)
{
        key_t key = ftok(path, 'T');
        int id = key == -1 ? -1 : msgget(key, 0);

        if (id >= 0)
                msgctl(id, IPC_RMID, NULL);
        unlink(path);
}

static void msgq(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        const char *path = fault_path("key"), *address = join("msgq", path);
        struct later later = { .address = address, .end = FERRY_RECEIVE, .options = { .bytes_max = 4096 } };
        ferry_channel *receiver, *sender;
        int code;

        open_end(loop, address, FERRY_SEND, NULL, -ENOENT, &sender);
        if (open_end(loop, address, FERRY_RECEIVE, &(ferry_channel_options){ .bytes_max = 4096 }, 0, &receiver)) {
                await_end(loop, address, SHORT_MS, 0);
                open_end(loop, address, FERRY_SEND, NULL, 0, &sender);
                exchange_records(loop, receiver, sender, 5, 2000);
                code = ferry_channel_limit(receiver, 0640, 8192);
                fault_answer(FAULT_CHANNEL, "limit", code, 0, ferry_channel_error(receiver));
                code = ferry_channel_remove(receiver);
                fault_answer(FAULT_CHANNEL, "remove", code, 0, ferry_channel_error(receiver));
                fault_check((code == 0) == !is_queue(ftok(path, 'T')));
                if (code == 0)
                        send_text(sender, "a record", SHORT_MS, -EIDRM);
        } else if (!fault_is_of_files())
                fault_check(access(path, F_OK) < 0 || !is_queue(ftok(path, 'T')));
        end_queue(path);
        await_end(loop, address, SHORT_MS, -ETIMEDOUT);
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = LONG_MS }, 0, &sender);
        if (send_text(sender, "a record", LONG_MS, 0) && later.channel)
                receive_text(later.channel, "a record", SHORT_MS);
        end_queue(path);
        ferry_channel_free(later.channel);
        later.channel = NULL;
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        await_end(loop, address, LONG_MS * 2, 0);
        ferry_loop_off(loop, open_later, &later);
        end_queue(path);
        end_loop(loop);
        look_for_files();
}

/* By its number; and by a key that leads to none. */
static void msgq_private(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver, *sender, *strange;
        struct msqid_ds queue;
        int code, id = -1;

        if (open_end(loop, "msgq:private", FERRY_RECEIVE, NULL, 0, &receiver)) {
                sscanf(ferry_channel_address(receiver), "msgq:#%d", &id);
                fault_check(id >= 0);
                await_end(loop, ferry_channel_address(receiver), SHORT_MS, 0);
                if (open_end(loop, ferry_channel_address(receiver), FERRY_SEND, NULL, 0, &sender) &&
                    send_text(sender, "a record", SHORT_MS, 0))
                        receive_text(receiver, "a record", SHORT_MS);
                code = ferry_channel_limit(receiver, 0666, 0);
                fault_answer(FAULT_CHANNEL, "limit", code, 0, ferry_channel_error(receiver));
                /* The call that fails may be the one behind the change. */
                open_end(loop, ferry_channel_address(receiver), FERRY_SEND, &(ferry_channel_options){ .is_strict = true },
                         msgctl(id, IPC_STAT, &queue) == 0 && (queue.msg_perm.mode & 0777) == 0600 ? 0 : -EACCES, &strange);
                code = ferry_channel_remove(receiver);
                fault_answer(FAULT_CHANNEL, "remove", code, 0, ferry_channel_error(receiver));
                if (code < 0)
                        msgctl(id, IPC_RMID, NULL);
        }
        end_loop(loop);
}

static long queues_before;

/* How many message queues there are: one that a failed call has left is among them. */
static void msgq_failing(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        const char *path = fault_path("key");
        ferry_channel *receiver;

        (void)queues_before;
        open_end(loop, join("msgq", path), FERRY_RECEIVE, &(ferry_channel_options){ .bytes_max = 4096 }, 0, &receiver);
        if (ferry_channel_status(receiver) < 0 && !fault_is_of_files())
                fault_check(access(path, F_OK) < 0 || !is_queue(ftok(path, 'T')));
        end_queue(path);
        end_loop(loop);
}

static const char *queue_name(void)
{
        static char name[64];

        snprintf(name, sizeof name, "mqueue:ferry-fault-%d", (int)getpid());
        return name;
}

/* Whether it was there. */
static bool end_mqueue(void)
{
        return syscall(SYS_mq_unlink, queue_name() + strlen("mqueue:")) == 0;
}

static void mqueue(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        const char *address = queue_name();
        const ferry_channel_options options = { .record_max = 100, .records_max = 4, .mode = 0640 };
        struct later later = { .address = address, .end = FERRY_RECEIVE, .options = options };
        ferry_channel *receiver, *sender, *strange;
        int code;

        open_end(loop, address, FERRY_SEND, NULL, -ENOENT, &sender);
        if (open_end(loop, address, FERRY_RECEIVE, &options, 0, &receiver)) {
                await_end(loop, address, SHORT_MS, 0);
                open_end(loop, address, FERRY_SEND, NULL, 0, &sender);
                exchange_records(loop, receiver, sender, 3, 100);
                open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .is_strict = true }, -EACCES, &strange);
                code = ferry_channel_limit(receiver, 0600, 0);
                fault_answer(FAULT_CHANNEL, "limit", code, 0, ferry_channel_error(receiver));
                code = ferry_channel_remove(receiver);
                fault_answer(FAULT_CHANNEL, "remove", code, 0, ferry_channel_error(receiver));
                fault_check((code < 0) == end_mqueue());
        } else if (end_mqueue())
                fault_flaw("a queue is left by a call that has failed");
        await_end(loop, address, SHORT_MS, -ETIMEDOUT);
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        open_end(loop, address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = LONG_MS }, 0, &sender);
        if (send_text(sender, "a record", LONG_MS, 0) && later.channel)
                receive_text(later.channel, "a record", SHORT_MS);
        end_mqueue();
        ferry_channel_free(later.channel);
        later.channel = NULL;
        ferry_loop_after(loop, LATER_MS, open_later, &later);
        await_end(loop, address, LONG_MS * 2, 0);
        ferry_loop_off(loop, open_later, &later);
        end_loop(loop);
        end_mqueue();
}

/* One that cannot be made: the sentence names the limits. */
static void mqueue_limits(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver;

        open_end(loop, queue_name(), FERRY_RECEIVE, &(ferry_channel_options){ .records_max = 1 << 30 }, -EINVAL, &receiver);
        open_end(loop, queue_name(), FERRY_SEND, &(ferry_channel_options){ .is_creating = true }, 0, &receiver);
        end_loop(loop);
        end_mqueue();
}

const struct scenario channel_scenarios[] = {
        /* They read tables of the system, of any length. */
        { .name = "channel-udp", .run = udp, .is_uncut = true, .is_slow = true },
        { .name = "channel-udp6", .run = udp6, .is_uncut = true, .is_slow = true },
        { .name = "channel-multicast", .run = multicast },
        { .name = "channel-multicast6", .run = multicast6 },
        { .name = "channel-broadcast", .run = broadcast },
        { .name = "channel-udg", .run = udg },
        { .name = "channel-udg-full", .run = udg_full },
        { .name = "channel-udg-strange", .run = udg_strange },
        { .name = "channel-tcp", .run = tcp, .is_uncut = true, .is_slow = true },
        { .name = "channel-tcp6", .run = tcp6, .is_uncut = true, .is_slow = true },
        { .name = "channel-unix", .run = unix_stream },
        { .name = "channel-unix-removed", .run = unix_removed },
        { .name = "channel-unix-much", .run = unix_much, .is_uncut = true },
        { .name = "channel-fifo", .run = fifo },
        { .name = "channel-fifo-kept", .run = fifo_kept },
        { .name = "channel-fifo-full", .run = fifo_full, .is_uncut = true },
        { .name = "session-fifos", .run = session_fifos },
        { .name = "session-fifos-kept", .run = session_fifos_kept },
        { .name = "session-fifos-awaited", .run = session_fifos_awaited },
        { .name = "channel-msgq", .run = msgq },
        { .name = "channel-msgq-private", .run = msgq_private },
        { .name = "channel-msgq-failing", .run = msgq_failing },
        { .name = "channel-mqueue", .run = mqueue },
        { .name = "channel-mqueue-limits", .run = mqueue_limits },
        { .name = NULL },
};
