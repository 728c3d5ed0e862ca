/* Tcp: which addresses there are; which peers may connect; a connect that is refused, hangs, or has to wait; and ends that lose
 * nothing. */
#include "support/door.h"
#include "support/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, FDS_MAX = 64 };

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 0;
}

static ferry_service *open_echo(ferry_loop *loop, const char *address, const ferry_service_options *options)
{
        ferry_service *service = ferry_service_open(loop, address, options);

        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        return service;
}

static void require_echo(ferry_session *session)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, SAFETY_MS, "t", "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
}

static void run_until_ended(ferry_session *session)
{
        while (ferry_session_status(session) == 1)
                ferry_loop_tick(ferry_session_loop(session), SAFETY_MS);
}

static bool has_ipv6(void)
{
        struct sockaddr_in6 loopback = { .sin6_family = AF_INET6, .sin6_addr = { .s6_addr = { [15] = 1 } } };
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0;

        if (fd >= 0)
                close(fd);
        if (!has)
                printf("tcp: 1 skipped: this machine has no ::1\n");
        return has;
}

/* What others do: a socket that is listened at, unless @backlog is -1, and its address; one that is connected to an
 * address. */
static int listen_raw(char address[64], int backlog)
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof name;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(backlog < 0 ? 0 : listen(fd, backlog), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &size), 0);
        snprintf(address, 64, "tcp:127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
        return fd;
}

static int connect_raw(const char *address, int flags)
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

        name.sin_port = htons((uint16_t)strtol(strrchr(address, ':') + 1, NULL, 10));
        ck_assert(connect(fd, (const struct sockaddr *)&name, sizeof name) == 0 || errno == EINPROGRESS);
        return fd;
}

/* So that the other side is told by a reset, at once. */
static void reset(int fd)
{
        struct linger linger = { .l_onoff = 1 };

        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
        close(fd);
}

/* A bound port without a listener: only a listener that shares ports, as services do, can get it. */
static int hold_port(char address[64])
{
        return listen_raw(address, -1);
}

/* Addresses -------------------------------------------------------------------------------------------- */

static const struct {
        const char *address;
        bool is_one;
} spellings[] = {
        { "tcp:127.0.0.1:1", true }, { "tcp:127.0.0.1:65535", true }, { "tcp:0.0.0.0:0", true },
        { "tcp:255.255.255.255:80", true }, { "tcp:[::1]:80", true }, { "tcp:[::]:80", true },
        { "tcp:[fe80:0000:0000:0000:0000:0000:0000:0001]:80", true }, { "tcp:[::ffff:127.0.0.1]:80", true },
        { "tcp:[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535", true }, { "tcp:localhost:80", true },
        { "tcp:", false }, { "tcp::", false }, { "tcp::80", false }, { "tcp:127.0.0.1", false },
        { "tcp:127.0.0.1:", false }, { "tcp:127.0.0.1:65536", false }, { "tcp:127.0.0.1:99999", false },
        { "tcp:127.0.0.1:100000", false }, { "tcp:127.0.0.1:080", false }, { "tcp:127.0.0.1:00", false },
        { "tcp:127.0.0.1:-1", false }, { "tcp:127.0.0.1:+1", false }, { "tcp:127.0.0.1: 1", false },
        { "tcp:127.0.0.1:80 ", false }, { "tcp:127.0.0.1:http", false }, { "tcp:127.0.0.1:0x50", false },
        { "tcp:127.1:80", false }, { "tcp:127.0.0.01:80", false }, { "tcp:256.0.0.1:80", false },
        { "tcp: 127.0.0.1:80", false }, { "tcp:127.0.0.1 :80", false }, { "tcp:2130706433:80", false },
        { "tcp:::1:80", false }, { "tcp:[::1]", false }, { "tcp:[::1:80", false }, { "tcp:::1]:80", false },
        { "tcp:[:80", false }, { "tcp:[]:80", false }, { "tcp:[127.0.0.1]:80", false }, { "tcp:[::1%lo]:80", false },
        { "tcp:[::1]x:80", false }, { "tcp:x[::1]:80", false }, { "tcp:localhos:80", false },
        { "tcp:LOCALHOST:80", false }, { "tcp:localhost.:80", false }, { "tcp:example.com:80", false },
        { "tcp://127.0.0.1:80", false }, { "TCP:127.0.0.1:80", false },
        { "tcp:[0000:0000:0000:0000:0000:ffff:255.255.255.255.255]:65535", false },
        { "tcp:0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789:1",
          false },
};

START_TEST(a_wrong_port_is_named)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "tcp:127.0.0.1:99999", NULL);

        ck_assert_str_eq(ferry_session_error(session),
                         "'tcp:127.0.0.1:99999': '99999' is not a port: write tcp:HOST:PORT, PORT from 0 to 65535");
        ferry_loop_free(loop);
}
END_TEST

START_TEST(only_numbers_and_localhost_are_hosts)
{
        const char *address = spellings[_i].address;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        ferry_service *service;

        ck_assert_int_eq(ferry_address_scheme(address), spellings[_i].is_one ? (int)FERRY_SCHEME_TCP : -EINVAL);
        if (!spellings[_i].is_one) {
                session = ferry_session_open(loop, address, NULL);
                ck_assert_int_eq(ferry_session_status(session), -EINVAL);
                ck_assert_msg(strstr(ferry_session_error(session), address), "%s", ferry_session_error(session));
                ck_assert_msg(strstr(ferry_session_error(session), "tcp:HOST:PORT"), "%s",
                              ferry_session_error(session));
                service = ferry_service_open(loop, address, NULL);
                ck_assert_int_eq(ferry_service_status(service), -EINVAL);
                ck_assert_msg(strstr(ferry_service_error(service), "tcp:HOST:PORT"), "%s",
                              ferry_service_error(service));
        }
        ck_assert_uint_eq(door_counts.calls[DOOR_socket], 0);
        ferry_loop_free(loop);
}
END_TEST

/* What can only be listened at. */
static const char *const nobodies[] = { "tcp:127.0.0.1:0", "tcp:localhost:0", "tcp:0.0.0.0:80", "tcp:[::]:80" };

START_TEST(an_address_for_listening_is_not_connected_to)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, nobodies[_i], NULL);

        ck_assert_int_eq(ferry_session_status(session), -EINVAL);
        ck_assert_msg(strstr(ferry_session_error(session), "for listening"), "%s", ferry_session_error(session));
        ferry_loop_free(loop);
}
END_TEST

/* Where it listens is told in full, and leads there. */
static const struct {
        const char *asked, *told;
} hosts[] = { { "tcp:127.0.0.1:0", "tcp:127.0.0.1:" }, { "tcp:localhost:0", "tcp:127.0.0.1:" },
              { "tcp:127.1.2.3:0", "tcp:127.1.2.3:" }, { "tcp:[0:0::0:1]:0", "tcp:[::1]:" } };

START_TEST(a_service_reports_its_port)
{
        const char *told = hosts[_i].told, *address;
        ferry_loop *loop;
        ferry_session *session, *client;
        ferry_service *service, *second;

        if (strchr(told, '[') && !has_ipv6())
                return;
        loop = ferry_loop_new(NULL);
        service = open_echo(loop, hosts[_i].asked, NULL);
        address = ferry_service_address(service);
        ck_assert_msg(strncmp(address, told, strlen(told)) == 0, "%s", address);
        ck_assert_int_gt(strtol(address + strlen(told), NULL, 10), 0);
        ck_assert_int_eq(ferry_address_scheme(address), FERRY_SCHEME_TCP);
        session = ferry_session_open(loop, address, NULL);
        require_echo(session);
        ck_assert_str_eq(ferry_session_address(session), address);
        client = ferry_service_client(service, NULL);
        ck_assert_str_eq(ferry_session_address(client), address);
        second = open_echo(loop, hosts[_i].asked, NULL);
        ck_assert_str_ne(ferry_service_address(second), address);
        ferry_loop_free(loop);
}
END_TEST

/* localhost is 127.0.0.1, or else ::1. */
START_TEST(localhost_is_both)
{
        char address[64], there[64], localhost[64];
        ferry_loop *loop;
        int held;

        if (!has_ipv6())
                return;
        loop = ferry_loop_new(NULL);
        held = hold_port(address);
        snprintf(there, sizeof there, "tcp:[::1]:%s", strrchr(address, ':') + 1);
        snprintf(localhost, sizeof localhost, "tcp:localhost:%s", strrchr(address, ':') + 1);
        open_echo(loop, there, NULL);
        require_echo(ferry_session_open(loop, localhost, NULL));
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 2);
        ferry_loop_free(loop);
        close(held);
}
END_TEST

static int no_ipv6(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == DOOR_socket && door_counts.calls[DOOR_socket] % 2 == 0 ? -EAFNOSUPPORT : 0;
}

/* Without ::1 the error is still that there is no listener, and it is waited for. */

START_TEST(localhost_without_ipv6)
{
        char address[64], localhost[64];
        int held = hold_port(address);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        snprintf(localhost, sizeof localhost, "tcp:localhost:%s", strrchr(address, ':') + 1);
        door_stop_clock(0);
        door_judge = no_ipv6;
        session = ferry_session_open(loop, localhost, NULL);
        ck_assert_int_eq(ferry_session_status(session), -ECONNREFUSED);
        ck_assert_uint_eq(door_counts.calls[DOOR_socket], 2);
        session = ferry_session_open(loop, localhost, &(ferry_session_options){ .wait_ms = 100 });
        run_until_ended(session);
        ck_assert_int_eq(ferry_session_status(session), -ECONNREFUSED);
        ck_assert_uint_gt(door_counts.calls[DOOR_socket], 10);
        ferry_loop_free(loop);
        close(held);
}
END_TEST

/* Listening -------------------------------------------------------------------------------------------- */

START_TEST(a_port_that_is_in_use)
{
        char address[64];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = open_echo(loop, "tcp:127.0.0.1:0", NULL), *second;

        snprintf(address, sizeof address, "%s", ferry_service_address(service));
        second = ferry_service_open(loop, address, NULL);
        ck_assert_int_eq(ferry_service_status(second), -EADDRINUSE);
        ck_assert_msg(strstr(ferry_service_error(second), strrchr(address, ':') + 1), "%s",
                      ferry_service_error(second));
        require_echo(ferry_session_open(loop, address, NULL));
        ferry_loop_free(loop);
}
END_TEST

/* Also while connections of the last one are still remembered by the kernel. */
START_TEST(a_port_is_taken_again_at_once)
{
        char address[64] = "tcp:127.0.0.1:0";
        ferry_loop *loop = ferry_loop_new(NULL);

        for (int i = 0; i < 20; i++) {
                ferry_service *service = open_echo(loop, address, NULL);
                ferry_session *session;

                snprintf(address, sizeof address, "%s", ferry_service_address(service));
                session = ferry_session_open(loop, address, NULL);
                require_echo(session);
                if (i % 2)
                        ferry_session_free(session);
                ferry_service_free(service);
        }
        ferry_loop_free(loop);
}
END_TEST

static const char *const publics[] = { "tcp:0.0.0.0:0", "tcp:[::]:0", "tcp:192.0.2.1:0", "tcp:128.0.0.1:0",
                                       "tcp:126.255.255.255:0", "tcp:[::2]:0", "tcp:[::ffff:127.0.0.1]:0" };

START_TEST(others_are_kept_out)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = ferry_service_open(loop, publics[_i], NULL);

        ck_assert_int_eq(ferry_service_status(service), -EACCES);
        ck_assert_msg(strstr(ferry_service_error(service), "is_public"), "%s", ferry_service_error(service));
        ck_assert_uint_eq(door_counts.calls[DOOR_socket], 0);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(others_are_let_in)
{
        char address[64];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = open_echo(loop, "tcp:0.0.0.0:0", &(ferry_service_options){ .is_public = true });

        ck_assert_msg(strncmp(ferry_service_address(service), "tcp:0.0.0.0:", 12) == 0, "%s",
                      ferry_service_address(service));
        snprintf(address, sizeof address, "tcp:127.0.0.1:%s", strrchr(ferry_service_address(service), ':') + 1);
        require_echo(ferry_session_open(loop, address, NULL));
        /* An address that this machine does not have. */
        service = ferry_service_open(loop, "tcp:192.0.2.1:0", &(ferry_service_options){ .is_public = true });
        ck_assert_int_eq(ferry_service_status(service), -EADDRNOTAVAIL);
        ferry_loop_free(loop);
}
END_TEST

static int judge_bind(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == DOOR_bind ? -EACCES : 0;
}

START_TEST(a_privileged_port)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service;

        door_judge = judge_bind;
        service = ferry_service_open(loop, "tcp:127.0.0.1:80", NULL);
        ck_assert_int_eq(ferry_service_status(service), -EACCES);
        ck_assert_msg(strstr(ferry_service_error(service), "port 80 is for privileged programs"), "%s",
                      ferry_service_error(service));
        ferry_loop_free(loop);
}
END_TEST

static bool forbid(ferry_session *session, const ferry_peer *peer, void *userdata)
{
        (void)session, (void)peer;
        ++*(int *)userdata;
        return false;
}

/* Peers are not identified; no message waits for the next one; and no program that is started inherits a connection. */
START_TEST(what_a_connection_is)
{
        int asked = 0, connections = 0;
        ferry_session_options options = { .allow = forbid, .allow_userdata = &asked };
        ferry_loop *loop = ferry_loop_new(&(ferry_loop_options){ .session = &options });
        ferry_service *service = open_echo(loop, "tcp:127.0.0.1:0", NULL);
        ferry_session *session = ferry_session_open(loop, ferry_service_address(service), NULL);
        ferry_session *both[2] = { session, NULL };

        require_echo(session);
        both[1] = ferry_service_client(service, NULL);
        for (int i = 0; i < 2; i++) {
                FERRY_AUTO(ferry_value) info = ferry_session_info(both[i]);

                ck_assert_int_eq(ferry_session_peer(both[i]).pid, -1);
                ck_assert_uint_eq(ferry_session_peer(both[i]).uid, (uid_t)-1);
                ck_assert_str_eq(ferry_value_text(ferry_value_get(info, "stream"), ""), "tcp");
        }
        ck_assert_int_eq(asked, 0);
        for (int fd = 0; fd < FDS_MAX; fd++) {
                struct sockaddr_in name;
                socklen_t size = sizeof name, int_size = sizeof(int);
                int is_undelayed = 0;

                if (getpeername(fd, (struct sockaddr *)&name, &size) < 0 || name.sin_family != AF_INET)
                        continue;
                connections++;
                ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &is_undelayed, &int_size), 0);
                ck_assert_int_ne(is_undelayed, 0);
                ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        }
        ck_assert_int_eq(connections, 2);
        ferry_loop_free(loop);
}
END_TEST

/* Connecting ------------------------------------------------------------------------------------------- */

/* On this machine it is known at once. */

START_TEST(a_port_without_a_listener_refuses)
{
        char address[64];
        int held = hold_port(address);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        session = ferry_session_open(loop, address, NULL);
        run_until_ended(session);
        ck_assert_int_eq(ferry_session_status(session), -ECONNREFUSED);
        ck_assert_msg(strstr(ferry_session_error(session), address), "%s", ferry_session_error(session));
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 1);
        ferry_loop_free(loop);
        close(held);
}
END_TEST

static int64_t tried[16];        /* when, the first times */
static int refusals;

static int judge_connect(enum door_call call, bool is_child)
{
        unsigned tries = door_counts.calls[DOOR_connect];

        (void)is_child;
        if (call != DOOR_connect)
                return 0;
        if (tries <= sizeof tried / sizeof *tried)
                tried[tries - 1] = sys_now();
        return refusals-- > 0 ? -ECONNREFUSED : 0;
}

/* At distances of 1, 2, 4 … ms, up to 500 ms, until the time is over. */
START_TEST(a_missing_listener_is_tried_again)
{
        enum { WAIT_MS = 60000, GROWING = 9, GROWING_MS = 511, LARGEST_MS = 500 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int64_t begin;

        door_stop_clock(0);
        door_judge = judge_connect;
        refusals = 1 << 30;
        begin = sys_now();
        session = ferry_session_open(loop, "tcp:127.0.0.1:9", &(ferry_session_options){ .wait_ms = WAIT_MS });
        run_until_ended(session);
        ck_assert_int_eq(ferry_session_status(session), -ECONNREFUSED);
        for (int i = 0; i < GROWING; i++)
                ck_assert_int_eq(tried[i + 1] - tried[i], (1 << i) * 1000000);
        ck_assert_int_eq(tried[GROWING + 1] - tried[GROWING], LARGEST_MS * 1000000);
        ck_assert_int_eq(sys_now(), begin + (int64_t)WAIT_MS * 1000000);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 1 + GROWING + (WAIT_MS - GROWING_MS) / LARGEST_MS + 1);
        ferry_loop_free(loop);
}
END_TEST

struct late {
        const char *address;
        ferry_service *service;
};

static int open_late(ferry_loop *loop, void *userdata)
{
        struct late *late = userdata;

        late->service = open_echo(loop, late->address, NULL);
        return 0;
}


START_TEST(a_client_waits_for_the_service)
{
        char address[64];
        int held = hold_port(address);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session, *impatient;
        struct late late = { .address = address };

        door_stop_clock(0);
        impatient = ferry_session_open(loop, address, &(ferry_session_options){ .wait_ms = 20 });
        session = ferry_session_open(loop, address, &(ferry_session_options){ .wait_ms = SAFETY_MS });
        ck_assert_int_eq(ferry_session_notify(session, "t", "'before it is up'"), 0);
        ferry_loop_after(loop, 300, open_late, &late);
        require_echo(session);
        ck_assert_int_eq(ferry_session_status(impatient), -ECONNREFUSED);
        ck_assert_ptr_nonnull(late.service);
        ferry_loop_free(loop);
        close(held);
}
END_TEST

enum { CROWD = 16 };

/* A listener that accepts no more clients: the kernel does not answer. Returns how many connections keep it so. */
static int fill_backlog(const char *address, int fds[CROWD])
{
        for (int i = 0; i < CROWD; i++) {
                struct pollfd poll_out = { .events = POLLOUT };

                fds[i] = poll_out.fd = connect_raw(address, SOCK_NONBLOCK);
                if (poll(&poll_out, 1, 100) == 0)
                        return i + 1;
        }
        ck_abort_msg("the backlog is never full");
}

static const struct {
        int wait_ms, ms;
} hangs[] = { { 0, 5000 }, { 1, 1000 }, { 70, 1000 }, { 7000, 7000 } };

START_TEST(a_worker_that_never_answers_is_given_up)
{
        char address[64];
        int listener = listen_raw(address, 0), crowd[CROWD], crowd_size = fill_backlog(address, crowd);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int64_t begin;

        door_stop_clock(0);
        begin = sys_now();
        session = ferry_session_open(loop, address, &(ferry_session_options){ .wait_ms = hangs[_i].wait_ms });
        ck_assert_int_eq(ferry_session_status(session), 1);
        ck_assert_int_eq(ferry_session_notify(session, "t", "'x'"), 0);
        run_until_ended(session);
        ck_assert_int_eq(ferry_session_status(session), -ETIMEDOUT);
        ck_assert_msg(strstr(ferry_session_error(session), address), "%s", ferry_session_error(session));
        ck_assert_int_eq(sys_now(), begin + (int64_t)hangs[_i].ms * 1000000);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 1);
        ferry_loop_free(loop);
        for (int i = 0; i < crowd_size; i++)
                close(crowd[i]);
        close(listener);
}
END_TEST

/* Closed before it has come to anything; waited for as long as closing may take, or not at all. */
START_TEST(closed_while_it_connects)
{
        char address[64];
        int listener = listen_raw(address, 0), crowd[CROWD], crowd_size = fill_backlog(address, crowd);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session, *refused;
        int64_t begin;

        door_stop_clock(0);
        begin = sys_now();
        refused = ferry_session_open(loop, "tcp:127.0.0.1:9", &(ferry_session_options){ .wait_ms = -1 });
        session = ferry_session_open(loop, address, &(ferry_session_options){ .wait_ms = -1 });
        if (_i) {
                ferry_session_notify(session, "t", "'x'");
                ferry_session_notify(refused, "t", "'x'");
        }
        ferry_session_free(session);
        ferry_loop_free(loop);
        ck_assert_int_eq(sys_now(), begin + (_i ? 1000000000 : 0));
        for (int i = 0; i < crowd_size; i++)
                close(crowd[i]);
        close(listener);
}
END_TEST

static int judge_poll(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == DOOR_poll ? -ENOMEM : 0;
}

/* As it is with other machines, where connecting is never done at once. */

START_TEST(a_connection_comes_later)
{
        char address[64];
        int held = hold_port(address);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = open_echo(loop, "tcp:127.0.0.1:0", NULL);
        ferry_session *session, *refused;
        int opened = 0, closed = 0;

        door_judge = judge_poll;
        session = ferry_session_open(loop, ferry_service_address(service), NULL);
        ferry_session_on(session, FERRY_KIND_OPENED, count, &opened);
        refused = ferry_session_open(loop, address, NULL);
        ferry_session_on(refused, FERRY_KIND_CLOSED, count, &closed);
        ck_assert_int_eq(ferry_session_status(session), 1);
        ck_assert_int_eq(ferry_session_status(refused), 1);
        require_echo(session);
        run_until_ended(refused);
        while (closed == 0)
                ferry_loop_tick(loop, SAFETY_MS);
        ck_assert_int_eq(opened, 1);
        ck_assert_int_eq(ferry_session_status(refused), -ECONNREFUSED);
        ferry_loop_free(loop);
        close(held);
}
END_TEST

static bool write_text(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        bool is_done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

        if (fd >= 0)
                close(fd);
        return is_done;
}

/* A network of our own, in which outgoing connections have two ports to choose from. */
static bool enter_small_network(void)
{
        struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
        bool is_done = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
        int fd = is_done ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

        is_done = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0 &&
                  write_text("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001");
        if (fd >= 0)
                close(fd);
        if (!is_done)
                printf("tcp: 1 skipped: no network of our own is to be had\n");
        return is_done;
}

/* A client that connects to a port without a listener, and is given that port by the kernel, reaches itself. */
START_TEST(a_client_does_not_connect_to_itself)
{
        ferry_loop *loop;
        int fd, reached_itself = 0;

        if (!enter_small_network())
                return;
        for (int i = 0; i < 20; i++) {
                fd = connect_raw("tcp:127.0.0.1:40000", SOCK_NONBLOCK);
                reached_itself += send(fd, "x", 1, MSG_NOSIGNAL) == 1;
                reset(fd);
        }
        ck_assert_int_gt(reached_itself, 0);
        loop = ferry_loop_new(NULL);
        for (int i = 0; i < 20; i++) {
                ferry_session *session = ferry_session_open(loop, "tcp:127.0.0.1:40000", NULL);

                run_until_ended(session);
                ck_assert_int_eq(ferry_session_status(session), -ECONNREFUSED);
        }
        ferry_loop_free(loop);
}
END_TEST

/* Ending ----------------------------------------------------------------------------------------------- */

/* A client that vanishes in the middle of a frame harms no other. */
START_TEST(a_client_that_is_reset)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = open_echo(loop, "tcp:127.0.0.1:0", NULL);
        ferry_session *session = ferry_session_open(loop, ferry_service_address(service), NULL);
        int fd = connect_raw(ferry_service_address(service), 0), closed = 0;

        ferry_service_on(service, FERRY_KIND_CLOSED, count, &closed);
        require_echo(session);
        ck_assert_int_eq(send(fd, "\xf3\x4a\x9d\xe2\0\0\1\0\1\2", 10, MSG_NOSIGNAL), 10);
        require_echo(session);
        reset(fd);
        while (closed == 0)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        require_echo(session);
        ck_assert_int_eq(ferry_service_status(service), 1);
        /* One that is gone before it was let in. */
        reset(connect_raw(ferry_service_address(service), 0));
        require_echo(session);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_server_that_is_reset)
{
        char address[64];
        ferry_loop *loop = ferry_loop_new(NULL);
        int listener = listen_raw(address, 4), fd;
        ferry_session *session = ferry_session_open(loop, address, &(ferry_session_options){
                                                            .dialect = FERRY_DIALECT_FERRY });
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, SAFETY_MS, "t", "'x'");

        ck_assert_int_eq(ferry_call_status(call), 1);
        fd = accept(listener, NULL, NULL);
        reset(fd);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_UNKNOWN);
        ck_assert_int_eq(ferry_session_notify(session, "t", "'x'"), -ECONNRESET);
        ferry_loop_free(loop);
        close(listener);
}
END_TEST

/* All that was taken arrives, although the other side has not read it yet when we close, and still writes. Both a
 * session that has connected, and one that was let in. */
START_TEST(closing_loses_nothing)
{
        enum { SIZE = 1 << 20 };         /* more than the other side's kernel takes */
        static char text[SIZE + 1], bytes[65536];
        ferry_session_options options = { .dialect = FERRY_DIALECT_STREAM_IPC };
        char address[64];
        ferry_loop *loop = ferry_loop_new(&(ferry_loop_options){ .session = &options });
        ferry_service *service = NULL;
        ferry_session *session;
        int listener = -1, fd;
        ssize_t got, all = 0;

        memset(text, 'x', SIZE);
        door_stop_clock(0);
        if (_i == 0) {
                listener = listen_raw(address, 4);
                session = ferry_session_open(loop, address, NULL);
                fd = accept(listener, NULL, NULL);
        } else {
                service = ferry_service_open(loop, "tcp:127.0.0.1:0", &(ferry_service_options){
                                                     .dialects = FERRY_DIALECT_STREAM_IPC });
                fd = connect_raw(ferry_service_address(service), 0);
                while (!(session = ferry_service_client(service, NULL)))
                        ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        }
        ck_assert_int_eq(ferry_session_notify(session, "App\\T", "%s", text), 0);
        ferry_session_close(session);
        ck_assert_int_eq(ferry_session_status(session), 0);
        do {
                struct pollfd poll_in = { .fd = fd, .events = POLLIN };

                ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
                ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
                ck_assert_int_eq(poll(&poll_in, 1, SAFETY_MS), 1);
                got = recv(fd, bytes, sizeof bytes, 0);
                all += got > 0 ? got : 0;
        } while (got > 0);
        ck_assert_int_eq(got, 0);
        ck_assert_int_gt(all, SIZE);
        /* And then it ends at once. */
        close(fd);
        ferry_service_close(service);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        ferry_loop_free(loop);
        if (listener >= 0)
                close(listener);
}
END_TEST

/* One that does not close is not waited for any longer. */
START_TEST(closing_takes_its_time_and_no_more)
{
        char address[64];
        ferry_loop *loop = ferry_loop_new(NULL);
        int listener = listen_raw(address, 4), fd;
        ferry_session *session = ferry_session_open(loop, address, &(ferry_session_options){
                                                            .dialect = FERRY_DIALECT_STREAM_IPC,
                                                            .close_timeout_ms = 300 });
        int64_t begin;

        fd = accept(listener, NULL, NULL);
        ck_assert_int_eq(ferry_session_notify(session, "App\\T", "'x'"), 0);
        door_stop_clock(0);
        begin = sys_now();
        ferry_session_close(session);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        ck_assert_int_eq(sys_now(), begin + 300000000);
        ferry_loop_free(loop);
        close(fd);
        close(listener);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_wrong_port_is_named),
        SUITE_LOOP(only_numbers_and_localhost_are_hosts, sizeof spellings / sizeof *spellings),
        SUITE_LOOP(an_address_for_listening_is_not_connected_to, sizeof nobodies / sizeof *nobodies),
        SUITE_LOOP(a_service_reports_its_port, sizeof hosts / sizeof *hosts),
        SUITE_TEST(localhost_is_both),
        SUITE_TEST(localhost_without_ipv6),
        SUITE_TEST(a_port_that_is_in_use),
        SUITE_TEST(a_port_is_taken_again_at_once),
        SUITE_LOOP(others_are_kept_out, sizeof publics / sizeof *publics),
        SUITE_TEST(others_are_let_in),
        SUITE_TEST(a_privileged_port),
        SUITE_TEST(what_a_connection_is),
        SUITE_TEST(a_port_without_a_listener_refuses),
        SUITE_TEST(a_missing_listener_is_tried_again),
        SUITE_TEST(a_client_waits_for_the_service),
        SUITE_LOOP_APART(a_worker_that_never_answers_is_given_up, sizeof hangs / sizeof *hangs),
        SUITE_LOOP(closed_while_it_connects, 2),
        SUITE_TEST(a_connection_comes_later),
        SUITE_TEST(a_client_does_not_connect_to_itself),
        SUITE_TEST(a_client_that_is_reset),
        SUITE_TEST(a_server_that_is_reset),
        SUITE_LOOP(closing_loses_nothing, 2),
        SUITE_TEST(closing_takes_its_time_and_no_more),
};

SUITE_MAIN("tcp", tests)
