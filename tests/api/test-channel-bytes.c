/* Channels of bytes: tcp and unix connections that are accepted by hand, and FIFOs. Both ends are in one loop, so the calls wait
 * for no more than what was sent already, unless the test says otherwise. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TCP, UNIX, KINDS, SHORT_MS = 20, HUGE_SIZE = 16 << 20 };

static ferry_channel *open_end(ferry_loop *loop, const char *address, enum ferry_channel_end end,
                               const ferry_channel_options *options)
{
        ferry_channel *channel = ferry_channel_open(loop, address, end, options);

        ck_assert_msg(ferry_channel_status(channel) == 1, "%s", ferry_channel_error(channel));
        return channel;
}

/* Opening fails so, with a sentence that names @what. */
static void require_refusal(ferry_loop *loop, const char *address, enum ferry_channel_end end,
                            const ferry_channel_options *options, int code, const char *what)
{
        ferry_channel *channel = ferry_channel_open(loop, address, end, options);
        char byte;

        ck_assert_msg(ferry_channel_status(channel) == code, "%s: %d, %s", address, ferry_channel_status(channel),
                      ferry_channel_error(channel));
        ck_assert_msg(strstr(ferry_channel_error(channel), what) != NULL, "'%s' does not name %s", ferry_channel_error(channel),
                      what);
        ck_assert_int_eq(ferry_channel_send(channel, "x", 1, 0), code);
        ck_assert_int_eq(ferry_channel_receive(channel, &byte, 1, 0), code);
        ck_assert_int_eq(ferry_channel_shutdown(channel), code);
        ck_assert_int_eq(ferry_channel_detach(channel), code);
        ck_assert_int_eq(ferry_channel_fd(channel), code);
        ck_assert_uint_eq(ferry_channel_record_max(channel), 0);
        ferry_channel_free(channel);
}

static ferry_channel *listen_at(struct place *place, int kind, const ferry_channel_options *options)
{
        return open_end(place->loop, kind == TCP ? "tcp:127.0.0.1:0" : place->address, FERRY_RECEIVE, options);
}

static ferry_channel *accept_one(ferry_channel *listener)
{
        ferry_channel *client = ferry_channel_accept(listener, SAFETY_MS);

        ck_assert_msg(ferry_channel_status(client) == 1, "%s", ferry_channel_error(client));
        return client;
}

/* A connection, and what listens for it. */
struct pair {
        struct place place;
        ferry_channel *listener, *near, *far;
};

static void open_pair(struct pair *pair, int kind)
{
        open_place(&pair->place);
        pair->listener = listen_at(&pair->place, kind, NULL);
        pair->near = open_end(pair->place.loop, ferry_channel_address(pair->listener), FERRY_SEND, NULL);
        pair->far = accept_one(pair->listener);
}

static void close_pair(struct pair *pair)
{
        close_place(&pair->place);
}

static void send_text(ferry_channel *channel, const char *text)
{
        ssize_t put = ferry_channel_send(channel, text, strlen(text), SAFETY_MS);

        ck_assert_msg(put == (ssize_t)strlen(text), "%zd: %s", put, ferry_channel_error(channel));
}

static void require_text(ferry_channel *channel, const char *text)
{
        char buffer[256];
        size_t got = 0;

        while (got < strlen(text)) {
                ssize_t more = ferry_channel_receive(channel, buffer + got, strlen(text) - got, SAFETY_MS);

                ck_assert_msg(more > 0, "%zd: %s", more, ferry_channel_error(channel));
                got += (size_t)more;
        }
        ck_assert_mem_eq(buffer, text, got);
}

static void require_end(ferry_channel *channel)
{
        char byte;

        ck_assert_int_eq(ferry_channel_receive(channel, &byte, 1, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_channel_status(channel), 0);
        ck_assert_int_eq(ferry_channel_receive(channel, &byte, 1, 0), 0);
}

static int64_t info_of(const ferry_channel *channel, const char *key)
{
        ferry_value *info = ferry_channel_info(channel);
        const ferry_value *value = ferry_value_get(info, key);
        int64_t number = ferry_value_kind(value) == FERRY_VALUE_BOOL ? ferry_value_bool(value, false) : ferry_value_int(value, -1);

        ferry_value_unref(info);
        return number;
}

/* Sockets that know nothing of ferry. */
static int connect_to(const char *address)
{
        struct sockaddr_in inet = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_un path = { .sun_family = AF_UNIX };
        bool is_tcp = strncmp(address, "tcp:", 4) == 0;
        int fd = socket(is_tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (is_tcp)
                inet.sin_port = htons((uint16_t)strtol(strrchr(address, ':') + 1, NULL, 10));
        else
                snprintf(path.sun_path, sizeof path.sun_path, "%s", address + strlen("unix:"));
        ck_assert_int_eq(is_tcp ? connect(fd, (struct sockaddr *)&inet, sizeof inet) :
                                  connect(fd, (struct sockaddr *)&path, sizeof path), 0);
        return fd;
}

/* Accepting -------------------------------------------------------------------------------------------- */

START_TEST(an_accept_without_a_client_is_over_in_time)
{
        struct place place;
        ferry_channel *listener, *client;
        char byte;

        open_place(&place);
        listener = listen_at(&place, _i, NULL);
        for (int timeout_ms = 0; timeout_ms <= SHORT_MS; timeout_ms += SHORT_MS) {
                client = ferry_channel_accept(listener, timeout_ms);
                ck_assert_int_eq(ferry_channel_status(client), -ETIMEDOUT);
                ck_assert_ptr_nonnull(strstr(ferry_channel_error(client), "no client has connected"));
                ck_assert_int_eq(ferry_channel_receive(client, &byte, 1, 0), -ETIMEDOUT);
                ck_assert_int_eq(ferry_channel_status(ferry_channel_accept(client, 0)), -ETIMEDOUT);
                ferry_channel_free(client);
        }
        client = ferry_channel_accept(listener, -2);
        ck_assert_int_eq(ferry_channel_status(client), -EINVAL);
        ck_assert_int_eq(ferry_channel_status(listener), 1);
        ck_assert_int_eq(ferry_channel_receive(listener, &byte, 1, 0), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_send(listener, "x", 1, 0), -EDESTADDRREQ);
        ck_assert_int_eq(ferry_channel_shutdown(listener), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_detach(listener), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_remove(listener), -EOPNOTSUPP);
        close_place(&place);
}
END_TEST

START_TEST(a_connection_accepts_none_and_has_bytes_only)
{
        struct pair pair;
        ferry_value *value = NULL;
        ferry_channel *client;
        char byte;

        open_pair(&pair, _i);
        client = ferry_channel_accept(pair.near, 0);
        ck_assert_int_eq(ferry_channel_status(client), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_send_value(pair.near, 0, 0, "1"), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_receive_value(pair.near, 0, 0, NULL, &value), -EOPNOTSUPP);
        ck_assert_ptr_null(value);
        ck_assert_int_eq(ferry_channel_send_typed(pair.near, 1, "x", 1, 0), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_receive_typed(pair.near, 0, NULL, &byte, 1, 0), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_send_to(pair.near, ferry_channel_address(pair.near), "x", 1, 0), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_reply(pair.near, "x", 1, 0), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_limit(pair.near, 0600, 0), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_join(pair.near, "239.1.2.3", "lo"), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_receive(pair.near, &byte, 0, 0), -EINVAL);
        ck_assert_int_eq(ferry_channel_send(pair.near, NULL, 0, 0), 0);
        ck_assert_int_eq(ferry_channel_send(pair.near, "x", 1, -2), -EINVAL);
        ck_assert_int_eq(ferry_channel_receive(pair.near, &byte, 1, -2), -EINVAL);
        ck_assert_int_eq(ferry_channel_receive(pair.near, &byte, 1, 0), -ETIMEDOUT);
        ck_assert_int_eq(ferry_channel_receive(pair.near, &byte, 1, SHORT_MS), -ETIMEDOUT);
        ck_assert_int_eq(ferry_channel_status(pair.near), 1);
        ck_assert_uint_eq(ferry_channel_record_max(pair.near), SIZE_MAX);
        send_text(pair.near, "still there");
        require_text(pair.far, "still there");
        close_pair(&pair);
}
END_TEST

START_TEST(a_connection_knows_its_ends)
{
        struct pair pair;
        ferry_peer peer;
        struct pollfd poll_far;

        open_pair(&pair, _i);
        peer = ferry_channel_peer(pair.far);
        if (_i == UNIX) {
                ck_assert_int_eq(peer.pid, getpid());
                ck_assert_int_eq(peer.uid, getuid());
                ck_assert_str_eq(ferry_channel_address(pair.far), pair.place.address);
        } else {
                ck_assert_int_eq(peer.pid, -1);
                ck_assert_str_ne(ferry_channel_address(pair.far), ferry_channel_address(pair.listener));
                ck_assert_int_eq(strncmp(ferry_channel_address(pair.far), "tcp:127.0.0.1:", 14), 0);
        }
        ck_assert_int_eq(info_of(pair.far, "is_two_way"), 1);
        ck_assert_int_eq(info_of(pair.far, "is_records"), 0);
        poll_far = (struct pollfd){ .fd = ferry_channel_fd(pair.far), .events = POLLIN };
        ck_assert_int_eq(poll(&poll_far, 1, 0), 0);
        send_text(pair.near, "x");
        ck_assert_int_eq(poll(&poll_far, 1, SAFETY_MS), 1);
        require_text(pair.far, "x");
        close_pair(&pair);
}
END_TEST

START_TEST(a_listener_without_descriptors_goes_on_afterwards)
{
        struct place place;
        ferry_channel *listener, *near, *client;
        struct rlimit before, low;
        int lowest;

        open_place(&place);
        listener = listen_at(&place, _i, NULL);
        near = open_end(place.loop, ferry_channel_address(listener), FERRY_SEND, NULL);
        send_text(near, "early");
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        lowest = dup(0);
        close(lowest);
        low = before;
        low.rlim_cur = (rlim_t)lowest;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        for (int i = 0; i < 3; i++) {
                client = ferry_channel_accept(listener, i == 0 ? 0 : SHORT_MS);
                ck_assert_int_eq(ferry_channel_status(client), -EMFILE);
                ck_assert_ptr_nonnull(strstr(ferry_channel_error(client), ferry_channel_address(listener)));
                ferry_channel_free(client);
        }
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_int_eq(ferry_channel_status(listener), 1);
        client = accept_one(listener);
        require_text(client, "early");
        close_place(&place);
}
END_TEST

/* accept(2) fails without a descriptor, also where it would find no client. */
START_TEST(a_listener_without_descriptors_or_clients_waits)
{
        struct place place;
        ferry_channel *listener, *client;
        struct rlimit before, low;

        open_place(&place);
        listener = listen_at(&place, _i, NULL);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        low = before;
        low.rlim_cur = 3;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        for (int i = 0; i < 2; i++) {
                client = ferry_channel_accept(listener, i * SHORT_MS);
                ck_assert_int_eq(ferry_channel_status(client), -ETIMEDOUT);
                ferry_channel_free(client);
        }
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        close_place(&place);
}
END_TEST

START_TEST(a_detach_without_descriptors_changes_nothing)
{
        struct pair pair;
        struct rlimit before, low;
        int fd;

        open_pair(&pair, _i);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        fd = dup(0);
        close(fd);
        low = before;
        low.rlim_cur = (rlim_t)fd;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        ck_assert_int_eq(ferry_channel_detach(pair.far), -EMFILE);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        send_text(pair.near, "here");
        require_text(pair.far, "here");
        close_pair(&pair);
}
END_TEST

START_TEST(a_client_of_another_user_is_refused_and_counted)
{
        struct place place;
        ferry_channel *listener, *client;
        char byte;
        int fd;

        if (!can_become())
                return;
        open_place(&place);
        chmod(place.directory, 0755);
        listener = listen_at(&place, UNIX, &(ferry_channel_options){ .mode = 0666 });
        for (int i = 1; i <= 20; i++) {
                become(STRANGER);
                fd = connect_to(place.address);
                become(0);
                client = ferry_channel_accept(listener, i % 2 ? 0 : SHORT_MS);
                ck_assert_int_eq(ferry_channel_status(client), -ETIMEDOUT);
                ferry_channel_free(client);
                ck_assert_int_eq(info_of(listener, "refused"), i);
                ck_assert_int_eq(read(fd, &byte, 1), 0);
                close(fd);
        }
        fd = connect_to(place.address);
        client = accept_one(listener);
        close(fd);
        require_end(client);
        close_place(&place);
}
END_TEST

START_TEST(a_client_behind_many_refused_ones_is_accepted)
{
        enum { REFUSED = 100 };
        struct place place;
        ferry_channel *listener, *client;
        int fds[REFUSED + 1];

        if (!can_become())
                return;
        open_place(&place);
        chmod(place.directory, 0755);
        listener = listen_at(&place, UNIX, &(ferry_channel_options){ .mode = 0666 });
        become(STRANGER);
        for (int i = 0; i < REFUSED; i++)
                fds[i] = connect_to(place.address);
        become(0);
        fds[REFUSED] = connect_to(place.address);
        client = ferry_channel_accept(listener, 0);
        ck_assert_msg(ferry_channel_status(client) == 1, "%s", ferry_channel_error(client));
        ck_assert_int_eq(info_of(listener, "refused"), REFUSED);
        for (int i = 0; i <= REFUSED; i++)
                close(fds[i]);
        close_place(&place);
}
END_TEST

struct decision {
        bool is_allowed, is_last;
        int asked;
        uid_t uid;
};

static bool decide(ferry_channel *channel, const ferry_peer *peer, void *userdata)
{
        struct decision *decision = userdata;

        decision->asked++;
        decision->uid = peer->uid;
        if (decision->is_last)
                ferry_channel_free(channel);
        return decision->is_allowed;
}

START_TEST(an_allowed_user_may_connect)
{
        struct decision decision = { .is_allowed = true };
        struct place place;
        ferry_channel *listener, *client;
        int fd;

        if (!can_become())
                return;
        open_place(&place);
        chmod(place.directory, 0755);
        listener = listen_at(&place, UNIX, &(ferry_channel_options){ .mode = 0666, .allow = decide, .allow_userdata = &decision });
        become(STRANGER);
        fd = connect_to(place.address);
        become(0);
        client = accept_one(listener);
        ck_assert_int_eq(decision.asked, 1);
        ck_assert_int_eq(decision.uid, STRANGER);
        ck_assert_int_eq(ferry_channel_peer(client).uid, STRANGER);
        ck_assert_int_eq(info_of(listener, "refused"), 0);
        close(fd);
        fd = connect_to(place.address);
        accept_one(listener);
        ck_assert_int_eq(decision.asked, 1);
        close(fd);
        close_place(&place);
}
END_TEST

START_TEST(a_listener_may_be_freed_in_its_allow_callback)
{
        struct decision decision = { .is_allowed = _i / 2, .is_last = true };
        struct place place;
        ferry_channel *listener;
        int fd;

        if (!can_become())
                return;
        open_place(&place);
        chmod(place.directory, 0755);
        listener = listen_at(&place, UNIX, &(ferry_channel_options){ .mode = 0666, .allow = decide, .allow_userdata = &decision });
        become(STRANGER);
        fd = connect_to(place.address);
        become(0);
        ck_assert_ptr_null(ferry_channel_accept(listener, _i % 2 ? SAFETY_MS : 0));
        ck_assert_int_eq(decision.asked, 1);
        close(fd);
        close_place(&place);
}
END_TEST

START_TEST(a_server_of_another_user_is_refused)
{
        struct place place;
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        ferry_channel *channel;
        int fd, code;

        if (!can_become())
                return;
        open_place(&place);
        chmod(place.directory, 0777);
        snprintf(name.sun_path, sizeof name.sun_path, "%s", place.path);
        become(STRANGER);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(listen(fd, 5), 0);
        become(0);
        channel = ferry_channel_open(place.loop, place.address, FERRY_SEND, NULL);
        code = (int)ferry_channel_send(channel, "secret", 6, SAFETY_MS);
        ck_assert_msg(code == -EACCES, "%d: %s", code, ferry_channel_error(channel));
        ck_assert_int_eq(ferry_channel_status(channel), -EACCES);
        close(fd);
        unlink(place.path);
        close_place(&place);
}
END_TEST

/* Moving ----------------------------------------------------------------------------------------------- */

START_TEST(each_direction_ends_by_itself)
{
        struct pair pair;

        open_pair(&pair, _i);
        send_text(pair.near, "question");
        ck_assert_int_eq(ferry_channel_shutdown(pair.near), 0);
        ck_assert_int_eq(ferry_channel_shutdown(pair.near), 0);
        ck_assert_int_eq(ferry_channel_send(pair.near, "more", 4, 0), -EPIPE);
        require_text(pair.far, "question");
        require_end(pair.far);
        send_text(pair.far, "answer");
        require_text(pair.near, "answer");
        ck_assert_int_eq(ferry_channel_status(pair.near), 1);
        send_text(pair.far, "again");
        ck_assert_int_eq(ferry_channel_shutdown(pair.far), 0);
        require_text(pair.near, "again");
        require_end(pair.near);
        ck_assert_int_eq(ferry_channel_send(pair.far, "x", 1, 0), -EPIPE);
        close_pair(&pair);
}
END_TEST

struct flow {
        ferry_channel *channel;
        size_t sent, got;
        unsigned seed;
};

/* What flows repeats after a prime number of bytes, which no size of a transfer is a multiple of. */
enum { PERIOD = 65521, PUSH_SIZE = 300007 };

static const unsigned char *bytes_at(size_t at, unsigned seed)
{
        static unsigned char bytes[PERIOD + PUSH_SIZE];
        static bool is_filled;

        for (size_t i = 0; !is_filled && i < sizeof bytes; i++)
                bytes[i] = (unsigned char)((i % PERIOD * 31 + i % PERIOD / 251) & 255);
        is_filled = true;
        return bytes + (at + seed) % PERIOD;
}

static bool push(struct flow *flow)
{
        size_t size = HUGE_SIZE - flow->sent < PUSH_SIZE ? HUGE_SIZE - flow->sent : PUSH_SIZE;
        ssize_t put;

        if (size == 0)
                return false;
        put = ferry_channel_send(flow->channel, bytes_at(flow->sent, flow->seed), size, 0);
        SUITE_CHECK(put == -ETIMEDOUT || (put > 0 && (size_t)put <= size), "%zd: %s", put, ferry_channel_error(flow->channel));
        flow->sent += put > 0 ? (size_t)put : 0;
        return put > 0;
}

static bool pull(struct flow *flow, const struct flow *from)
{
        static unsigned char chunk[100003];
        ssize_t got = ferry_channel_receive(flow->channel, chunk, sizeof chunk, 0);

        SUITE_CHECK(got == -ETIMEDOUT || got >= 0, "%zd: %s", got, ferry_channel_error(flow->channel));
        SUITE_CHECK(got <= 0 || memcmp(chunk, bytes_at(flow->got, from->seed), (size_t)got) == 0, "wrong bytes behind %zu", flow->got);
        flow->got += got > 0 ? (size_t)got : 0;
        return got > 0;
}

START_TEST(sixteen_mebibytes_go_both_ways_at_once)
{
        struct pair pair;
        struct flow near, far;
        bool is_full = false;

        open_pair(&pair, _i);
        near = (struct flow){ .channel = pair.near, .seed = 1 };
        far = (struct flow){ .channel = pair.far, .seed = 77 };
        while (near.got < HUGE_SIZE || far.got < HUGE_SIZE) {
                while (push(&near))
                        ;
                while (push(&far))
                        ;
                is_full = is_full || near.sent < HUGE_SIZE;
                pull(&near, &far);
                pull(&far, &near);
        }
        ck_assert(is_full);
        ck_assert_uint_eq(near.got, HUGE_SIZE);
        ck_assert_uint_eq(far.got, HUGE_SIZE);
        close_pair(&pair);
}
END_TEST

START_TEST(a_partial_send_returns_its_count)
{
        struct pair pair;
        char *bytes = calloc(1, HUGE_SIZE), *got = malloc(HUGE_SIZE);
        ssize_t first, second, more;
        size_t taken = 0;

        open_pair(&pair, _i);
        memset(bytes, 'a', HUGE_SIZE);
        first = ferry_channel_send(pair.near, bytes, HUGE_SIZE, SHORT_MS);
        ck_assert_int_gt(first, 0);
        ck_assert_int_lt(first, HUGE_SIZE);
        /* The kernel still moves bytes to the other end. */
        while ((second = ferry_channel_send(pair.near, bytes, HUGE_SIZE, SHORT_MS)) > 0)
                first += second;
        ck_assert_int_eq(second, -ETIMEDOUT);
        ck_assert_ptr_nonnull(strstr(ferry_channel_error(pair.near), "no room"));
        ck_assert_int_eq(ferry_channel_shutdown(pair.near), 0);
        while ((more = ferry_channel_receive(pair.far, got, HUGE_SIZE, SAFETY_MS)) > 0)
                taken += (size_t)more;
        ck_assert_int_eq(more, 0);
        ck_assert_int_eq((ssize_t)taken, first);
        free(bytes);
        free(got);
        close_pair(&pair);
}
END_TEST

/* The other end is a process that reads slowly. */
START_TEST(a_waiting_send_goes_on_until_all_has_left)
{
        struct place place;
        ferry_channel *listener, *client;
        char *bytes = calloc(1, HUGE_SIZE);
        int status = 0;
        pid_t pid;

        open_place(&place);
        listener = listen_at(&place, _i, NULL);
        pid = fork();
        if (pid == 0) {
                static char taken[4096];
                size_t all = 0;
                ssize_t got;
                int fd = connect_to(ferry_channel_address(listener));

                while ((got = read(fd, taken, sizeof taken)) > 0)
                        all += (size_t)got;
                _exit(all == HUGE_SIZE ? 0 : 1);
        }
        client = accept_one(listener);
        ck_assert_int_eq(ferry_channel_send(client, bytes, HUGE_SIZE, SAFETY_MS), HUGE_SIZE);
        ferry_channel_free(client);
        while (waitpid(pid, &status, WNOHANG) == 0)
                ferry_loop_tick(place.loop, 1);
        ck_assert_int_eq(status, 0);
        free(bytes);
        close_place(&place);
}
END_TEST

/* Ends ------------------------------------------------------------------------------------------------- */

static void reset(int fd, bool is_tcp)
{
        struct linger linger = { .l_onoff = 1 };

        /* A unix socket is reset where bytes are unread. */
        if (is_tcp)
                ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
        close(fd);
}

START_TEST(a_reset_connection_is_no_end_of_file)
{
        struct place place;
        ferry_channel *listener, *client;
        char byte;
        ssize_t got;
        int fd;

        open_place(&place);
        listener = listen_at(&place, _i, NULL);
        fd = connect_to(ferry_channel_address(listener));
        client = accept_one(listener);
        send_text(client, "never read");
        reset(fd, _i == TCP);
        got = ferry_channel_receive(client, &byte, 1, SAFETY_MS);
        ck_assert_msg(got == -ECONNRESET, "%zd: %s", got, ferry_channel_error(client));
        ck_assert_int_eq(ferry_channel_status(client), -ECONNRESET);
        ck_assert_int_eq(ferry_channel_receive(client, &byte, 1, 0), -ECONNRESET);
        ck_assert_int_eq(ferry_channel_send(client, "x", 1, 0), -ECONNRESET);
        ck_assert_int_eq(ferry_channel_detach(client), -ECONNRESET);
        close_place(&place);
}
END_TEST

START_TEST(a_connection_that_is_reset_during_a_wait_ends_it)
{
        struct place place;
        ferry_channel *listener, *client;
        char byte;
        ssize_t got;
        pid_t pid;
        int turn[2];

        open_place(&place);
        ck_assert_int_eq(pipe(turn), 0);
        listener = listen_at(&place, _i, NULL);
        pid = fork();
        if (pid == 0) {
                int fd = connect_to(ferry_channel_address(listener));

                if (read(turn[0], &byte, 1) != 1)
                        _exit(1);
                reset(fd, _i == TCP);
                _exit(0);
        }
        client = accept_one(listener);
        send_text(client, "never read");
        ck_assert_int_eq(ferry_channel_receive(client, &byte, 1, 0), -ETIMEDOUT);
        ck_assert_int_eq(write(turn[1], "x", 1), 1);
        got = ferry_channel_receive(client, &byte, 1, SAFETY_MS);
        ck_assert_msg(got == -ECONNRESET, "%zd: %s", got, ferry_channel_error(client));
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        close(turn[0]);
        close(turn[1]);
        close_place(&place);
}
END_TEST

START_TEST(a_peer_that_reads_no_more_is_a_broken_pipe)
{
        struct pair pair;
        ssize_t put = 1;
        char byte;

        signal(SIGPIPE, SIG_DFL);
        open_pair(&pair, _i);
        send_text(pair.far, "last words");
        /* A channel by tcp goes on reading for a while, so that what it has sent is not lost; a program may not. */
        if (_i == TCP) {
                send_text(pair.near, "unread");
                close(ferry_channel_detach(pair.far));
        } else
                ferry_channel_free(pair.far);
        for (int i = 0; i < 1000 && put > 0; i++) {
                put = ferry_channel_send(pair.near, "x", 1, SAFETY_MS);
                settle(&pair.place);
        }
        ck_assert_msg(put == -EPIPE || (_i == TCP && put == -ECONNRESET), "%zd: %s", put, ferry_channel_error(pair.near));
        ck_assert_ptr_nonnull(strstr(ferry_channel_error(pair.near), ferry_channel_address(pair.near)));
        if (_i == UNIX) {
                require_text(pair.near, "last words");
                put = ferry_channel_receive(pair.near, &byte, 1, SAFETY_MS);
                ck_assert_msg(put == 0 || put == -ECONNRESET, "%zd: %s", put, ferry_channel_error(pair.near));
        }
        close_pair(&pair);
}
END_TEST

/* The kernel would answer unread bytes with a reset, which takes with it what the peer has not read. */
START_TEST(a_close_with_unread_bytes_loses_nothing_that_was_sent)
{
        struct pair pair;
        char *bytes = calloc(1, HUGE_SIZE);
        ssize_t put, got;
        size_t all = 0;

        open_pair(&pair, _i);
        send_text(pair.near, "unread");
        put = ferry_channel_send(pair.far, bytes, 100000, SAFETY_MS);
        ck_assert_int_eq(put, 100000);
        ferry_channel_free(pair.far);
        while ((got = ferry_channel_receive(pair.near, bytes, 1000, SAFETY_MS)) > 0)
                all += (size_t)got;
        ck_assert_msg(got == 0 || (_i == UNIX && got == -ECONNRESET), "%zd: %s", got, ferry_channel_error(pair.near));
        ck_assert_uint_eq(all, 100000);
        free(bytes);
        close_pair(&pair);
}
END_TEST

START_TEST(an_ended_connection_has_no_descriptor_to_take)
{
        struct pair pair;
        int fd;

        open_pair(&pair, _i);
        ferry_channel_free(pair.near);
        require_end(pair.far);
        fd = ferry_channel_fd(pair.far);
        ck_assert_msg(fd == -ENOTCONN || fcntl(fd, F_GETFD) >= 0, "%d is no descriptor", fd);
        fd = ferry_channel_detach(pair.far);
        ck_assert_msg(fd == -ENOTCONN || fcntl(fd, F_GETFD) >= 0, "%d: %s", fd, ferry_channel_error(pair.far));
        if (fd >= 0)
                close(fd);
        close_pair(&pair);
}
END_TEST

static int hold(ferry_channel *channel)
{
        int fd = ferry_channel_detach(channel);

        ck_assert_int_ge(fd, 0);
        return fd;
}

START_TEST(a_session_goes_on_where_channels_were_detached)
{
        struct pair pair;
        ferry_session *near, *far;
        int fds[2];

        open_pair(&pair, _i);
        send_text(pair.near, "upgrade");
        require_text(pair.far, "upgrade");
        fds[0] = hold(pair.near);
        fds[1] = hold(pair.far);
        ferry_channel_free(pair.listener);
        near = ferry_session_open(pair.place.loop, NULL, &(ferry_session_options){ .fds = (int[]){ fds[0], -1 } });
        far = ferry_session_open(pair.place.loop, NULL, &(ferry_session_options){ .fds = (int[]){ fds[1], -1 } });
        ferry_session_on(near, FERRY_KIND_REQUEST, echo, NULL);
        ferry_session_on(far, FERRY_KIND_REQUEST, echo, NULL);
        require_echo(near);
        require_echo(far);
        ferry_session_free(near);
        ferry_session_free(far);
        close_pair(&pair);
        close(fds[0]);
        close(fds[1]);
}
END_TEST

/* Listening -------------------------------------------------------------------------------------------- */

START_TEST(a_path_has_one_listener)
{
        struct place place;
        ferry_channel *listener, *client;

        open_place(&place);
        listener = listen_at(&place, UNIX, NULL);
        require_refusal(place.loop, place.address, FERRY_RECEIVE, NULL, -EADDRINUSE, place.path);
        client = open_end(place.loop, place.address, FERRY_SEND, NULL);
        accept_one(listener);
        ferry_channel_free(client);
        ferry_channel_free(listener);
        ck_assert_int_eq(access(place.path, F_OK), -1);
        listen_at(&place, UNIX, NULL);
        close_place(&place);
}
END_TEST

START_TEST(a_port_has_one_listener)
{
        struct place place;
        ferry_channel *listener;

        open_place(&place);
        listener = listen_at(&place, TCP, NULL);
        require_refusal(place.loop, ferry_channel_address(listener), FERRY_RECEIVE, NULL, -EADDRINUSE,
                        strrchr(ferry_channel_address(listener), ':') + 1);
        close_place(&place);
}
END_TEST

START_TEST(a_stale_socket_is_replaced)
{
        struct place place;
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        ferry_channel *listener;
        int fd;

        open_place(&place);
        snprintf(name.sun_path, sizeof name.sun_path, "%s", place.path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
        close(fd);
        require_refusal(place.loop, place.address, FERRY_SEND, NULL, -ECONNREFUSED, place.path);
        listener = listen_at(&place, UNIX, NULL);
        open_end(place.loop, place.address, FERRY_SEND, NULL);
        accept_one(listener);
        close_place(&place);
}
END_TEST

START_TEST(a_file_in_the_way_stays)
{
        struct place place;
        ferry_channel *channel;
        int fd;

        open_place(&place);
        fd = open(place.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        close(fd);
        channel = ferry_channel_open(place.loop, place.address, FERRY_RECEIVE, NULL);
        ck_assert_int_lt(ferry_channel_status(channel), 0);
        ferry_channel_free(channel);
        channel = ferry_channel_open(place.loop, place.address, FERRY_SEND, NULL);
        ck_assert_int_lt(ferry_channel_status(channel), 0);
        ferry_channel_free(channel);
        ck_assert_int_eq(unlink(place.path), 0);
        close_place(&place);
}
END_TEST

START_TEST(a_socket_has_its_mode_whatever_the_umask)
{
        static const mode_t masks[] = { 0, 0777, 022 };
        struct place place;
        struct stat stat_path;
        mode_t before;

        open_place(&place);
        before = umask(masks[_i % 3]);
        listen_at(&place, UNIX, &(ferry_channel_options){ .mode = _i < 3 ? 0 : 0666 });
        umask(before);
        ck_assert_int_eq(stat(place.path, &stat_path), 0);
        ck_assert_int_eq(stat_path.st_mode & 0777, _i < 3 ? 0600 : 0666);
        close_place(&place);
}
END_TEST

START_TEST(an_address_that_others_can_reach_is_refused)
{
        struct place place;
        char long_path[200] = "unix:/tmp/";

        open_place(&place);
        require_refusal(place.loop, "tcp:0.0.0.0:0", FERRY_RECEIVE, NULL, -EACCES, "0.0.0.0");
        open_end(place.loop, "tcp:0.0.0.0:0", FERRY_RECEIVE, &(ferry_channel_options){ .is_public = true });
        require_refusal(place.loop, "tcp:example.com:80", FERRY_SEND, NULL, -EINVAL, "example.com");
        require_refusal(place.loop, "unix:", FERRY_RECEIVE, NULL, -EINVAL, "unix:");
        memset(long_path + 10, 'x', 150);
        require_refusal(place.loop, long_path, FERRY_RECEIVE, NULL, -ENAMETOOLONG, "too long");
        require_refusal(place.loop, long_path, FERRY_SEND, NULL, -ENAMETOOLONG, "too long");
        require_refusal(place.loop, "echo", FERRY_SEND, NULL, -EINVAL, "echo");
        require_refusal(place.loop, NULL, FERRY_SEND, NULL, -EINVAL, "address");
        require_refusal(place.loop, place.address, FERRY_RECEIVE, &(ferry_channel_options){ .mode = 01000 }, -EINVAL, "mode");
        require_refusal(place.loop, place.address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = -2 }, -EINVAL, "wait_ms");
        close_place(&place);
}
END_TEST

/* A process that does @work when its parent lets it, in a directory that both know. */
static pid_t start_later(int turn[2], void (*work)(const char *address), const char *address)
{
        pid_t pid;
        char byte;

        ck_assert_int_eq(pipe(turn), 0);
        pid = fork();
        if (pid != 0) {
                close(turn[0]);
                return pid;
        }
        close(turn[1]);
        while (read(turn[0], &byte, 1) > 0)
                ;
        work(address);
        _exit(0);
}

static void listen_and_echo(const char *address)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *listener = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        ferry_channel *client = ferry_channel_accept(listener, SAFETY_MS);
        char bytes[64];
        ssize_t got = ferry_channel_receive(client, bytes, sizeof bytes, SAFETY_MS);

        if (got > 0)
                ferry_channel_send(client, bytes, (size_t)got, SAFETY_MS);
        ferry_loop_free(loop);
}

START_TEST(a_listener_that_comes_later_is_found)
{
        struct place place;
        ferry_channel *channel;
        int turn[2];
        pid_t pid;

        open_place(&place);
        require_refusal(place.loop, place.address, FERRY_SEND, NULL, -ENOENT, place.path);
        pid = start_later(turn, listen_and_echo, place.address);
        channel = open_end(place.loop, place.address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = SAFETY_MS });
        ck_assert_int_eq(ferry_channel_send(channel, "x", 1, 0), -ETIMEDOUT);
        ck_assert_ptr_nonnull(strstr(ferry_channel_error(channel), "did not come"));
        ck_assert_int_eq(ferry_channel_fd(channel), -ENOTCONN);
        ck_assert_int_eq(ferry_channel_detach(channel), -ENOTCONN);
        ck_assert_int_eq(ferry_channel_shutdown(channel), -ENOTCONN);
        close(turn[1]);
        send_text(channel, "hello");
        require_text(channel, "hello");
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        close_place(&place);
}
END_TEST

START_TEST(a_listener_that_never_comes_is_waited_for_in_time)
{
        struct place place;
        ferry_channel *channel;
        ssize_t put;

        open_place(&place);
        channel = open_end(place.loop, place.address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = SHORT_MS });
        put = ferry_channel_send(channel, "x", 1, SAFETY_MS);
        ck_assert_msg(put == -ENOENT || put == -ECONNREFUSED || put == -ETIMEDOUT, "%zd: %s", put, ferry_channel_error(channel));
        ck_assert_int_eq(ferry_channel_status(channel), (int)put);
        close_place(&place);
}
END_TEST

/* FIFOs ------------------------------------------------------------------------------------------------ */

struct fifos {
        struct place place;
        char path[96], address[128];
};

static void open_fifos(struct fifos *fifos)
{
        open_place(&fifos->place);
        snprintf(fifos->path, sizeof fifos->path, "%s/fifo", fifos->place.directory);
        snprintf(fifos->address, sizeof fifos->address, "fifo:%s", fifos->path);
}

static ferry_channel *open_reader(struct fifos *fifos, const ferry_channel_options *options)
{
        return open_end(fifos->place.loop, fifos->address, FERRY_RECEIVE, options);
}

static ferry_channel *open_writer(struct fifos *fifos, const ferry_channel_options *options)
{
        return open_end(fifos->place.loop, fifos->address, FERRY_SEND, options);
}

static void require_fifo(const struct fifos *fifos, bool is_there)
{
        ck_assert_int_eq(access(fifos->path, F_OK), is_there ? 0 : -1);
}

START_TEST(a_fifo_ends_with_its_last_writer)
{
        struct fifos fifos;
        ferry_channel *reader, *first, *second;
        char byte;

        open_fifos(&fifos);
        reader = open_reader(&fifos, NULL);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(ferry_channel_receive(reader, &byte, 1, i == 0 ? 0 : SHORT_MS), -ETIMEDOUT);
        ck_assert_int_eq(ferry_channel_status(reader), 1);
        first = open_writer(&fifos, NULL);
        ck_assert_int_eq(ferry_channel_receive(reader, &byte, 1, 0), -ETIMEDOUT);
        second = open_writer(&fifos, NULL);
        send_text(first, "one");
        ferry_channel_free(first);
        require_text(reader, "one");
        ck_assert_int_eq(ferry_channel_receive(reader, &byte, 1, SHORT_MS), -ETIMEDOUT);
        send_text(second, "two");
        ferry_channel_free(second);
        require_text(reader, "two");
        require_end(reader);
        ferry_channel_free(reader);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_writer_that_has_gone_again_is_an_end)
{
        struct fifos fifos;
        ferry_channel *reader;

        open_fifos(&fifos);
        reader = open_reader(&fifos, NULL);
        ferry_channel_free(open_writer(&fifos, NULL));
        require_end(reader);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_fifo_has_one_direction)
{
        struct fifos fifos;
        ferry_channel *reader, *writer;
        char byte;

        open_fifos(&fifos);
        reader = open_reader(&fifos, NULL);
        writer = open_writer(&fifos, NULL);
        ck_assert_int_eq(ferry_channel_receive(writer, &byte, 1, 0), -EOPNOTSUPP);
        byte = 0;
        ck_assert_msg(ferry_channel_send(reader, "x", 1, 0) == -EOPNOTSUPP, "%s", ferry_channel_error(reader));
        ck_assert_int_eq(ferry_channel_shutdown(writer), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_detach(writer), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_status(ferry_channel_accept(reader, 0)), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_send_to(writer, fifos.address, "x", 1, 0), -EOPNOTSUPP);
        ck_assert_int_ge(ferry_channel_fd(reader), 0);
        ck_assert_int_ge(ferry_channel_fd(writer), 0);
        send_text(writer, "one way");
        require_text(reader, "one way");
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_writer_without_a_reader_is_refused)
{
        struct fifos fifos;
        ferry_channel *writer;
        ssize_t put;

        open_fifos(&fifos);
        require_refusal(fifos.place.loop, fifos.address, FERRY_SEND, NULL, -ENOENT, fifos.path);
        require_fifo(&fifos, false);
        require_refusal(fifos.place.loop, fifos.address, FERRY_SEND, &(ferry_channel_options){ .is_creating = true }, -ENXIO,
                        fifos.path);
        require_fifo(&fifos, false);
        ck_assert_int_eq(mkfifo(fifos.path, 0600), 0);
        require_refusal(fifos.place.loop, fifos.address, FERRY_SEND, NULL, -ENXIO, fifos.path);
        writer = open_writer(&fifos, &(ferry_channel_options){ .wait_ms = SHORT_MS });
        put = ferry_channel_send(writer, "x", 1, SAFETY_MS);
        ck_assert_msg(put == -ENXIO, "%zd: %s", put, ferry_channel_error(writer));
        ck_assert_int_eq(ferry_channel_status(writer), -ENXIO);
        ck_assert_ptr_nonnull(strstr(ferry_channel_error(writer), fifos.path));
        ferry_channel_free(writer);
        require_fifo(&fifos, true);
        unlink(fifos.path);
        close_place(&fifos.place);
}
END_TEST

static void read_word(const char *address)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *reader = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        char bytes[64];
        ssize_t got = ferry_channel_receive(reader, bytes, sizeof bytes, SAFETY_MS);

        if (got != 4 || memcmp(bytes, "word", 4) != 0)
                _exit(1);
        ferry_loop_free(loop);
}

static void write_word(const char *address)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *writer = ferry_channel_open(loop, address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = SAFETY_MS });

        if (ferry_channel_send(writer, "word", 4, SAFETY_MS) != 4)
                _exit(1);
        ferry_loop_free(loop);
}

START_TEST(a_reader_that_comes_later_is_found)
{
        struct fifos fifos;
        ferry_channel *writer;
        int turn[2], status;
        pid_t pid;

        open_fifos(&fifos);
        pid = start_later(turn, read_word, fifos.address);
        writer = open_writer(&fifos, &(ferry_channel_options){ .wait_ms = SAFETY_MS, .is_creating = _i });
        ck_assert_int_eq(ferry_channel_send(writer, "x", 1, 0), -ETIMEDOUT);
        require_fifo(&fifos, _i);
        close(turn[1]);
        send_text(writer, "word");
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        close_place(&fifos.place);
        require_fifo(&fifos, false);
}
END_TEST

START_TEST(a_writer_that_comes_later_is_received_from)
{
        struct fifos fifos;
        ferry_channel *reader;
        int turn[2], status;
        char byte;
        pid_t pid;

        open_fifos(&fifos);
        pid = start_later(turn, write_word, fifos.address);
        reader = open_reader(&fifos, NULL);
        ck_assert_int_eq(ferry_channel_receive(reader, &byte, 1, SHORT_MS), -ETIMEDOUT);
        close(turn[1]);
        require_text(reader, "word");
        require_end(reader);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        close_place(&fifos.place);
}
END_TEST

START_TEST(what_is_no_fifo_is_refused_and_stays)
{
        struct fifos fifos;
        struct stat before, after;
        int fd;

        open_fifos(&fifos);
        if (_i == 0) {
                fd = open(fifos.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                ck_assert_int_eq(write(fd, "precious", 8), 8);
                close(fd);
        } else
                ck_assert_int_eq(mkdir(fifos.path, 0700), 0);
        ck_assert_int_eq(stat(fifos.path, &before), 0);
        require_refusal(fifos.place.loop, fifos.address, FERRY_RECEIVE, NULL, -ENOTSUP, fifos.path);
        require_refusal(fifos.place.loop, fifos.address, FERRY_SEND, NULL, -ENOTSUP, fifos.path);
        require_refusal(fifos.place.loop, fifos.address, FERRY_SEND, &(ferry_channel_options){ .wait_ms = SAFETY_MS }, -ENOTSUP,
                        fifos.path);
        ck_assert_int_eq(stat(fifos.path, &after), 0);
        ck_assert_int_eq(before.st_size, after.st_size);
        ck_assert_uint_eq(before.st_ino, after.st_ino);
        ck_assert_int_eq(_i == 0 ? unlink(fifos.path) : rmdir(fifos.path), 0);
        require_refusal(fifos.place.loop, "fifo:", FERRY_RECEIVE, NULL, -EINVAL, "fifo:");
        require_refusal(fifos.place.loop, "fifo:a,b", FERRY_RECEIVE, NULL, -EINVAL, "comma");
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_link_leads_to_a_fifo)
{
        struct fifos fifos;
        char link[128], address[160];
        ferry_channel *reader, *writer;

        open_fifos(&fifos);
        snprintf(link, sizeof link, "%s/link", fifos.place.directory);
        snprintf(address, sizeof address, "fifo:%s", link);
        ck_assert_int_eq(symlink(fifos.path, link), 0);
        /* What the link leads to is not made through it. */
        require_refusal(fifos.place.loop, address, FERRY_RECEIVE, NULL, -ENOENT, link);
        require_fifo(&fifos, false);
        ck_assert_int_eq(mkfifo(fifos.path, 0600), 0);
        reader = open_end(fifos.place.loop, address, FERRY_RECEIVE, NULL);
        writer = open_writer(&fifos, NULL);
        send_text(writer, "through a link");
        require_text(reader, "through a link");
        ferry_channel_free(reader);
        ferry_channel_free(writer);
        ck_assert_int_eq(unlink(link), 0);
        ck_assert_int_eq(unlink(fifos.path), 0);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_fifo_of_another_user_is_refused)
{
        struct fifos fifos;

        if (!can_become())
                return;
        open_fifos(&fifos);
        ck_assert_int_eq(mkfifo(fifos.path, 0666), 0);
        ck_assert_int_eq(chown(fifos.path, STRANGER, STRANGER), 0);
        require_refusal(fifos.place.loop, fifos.address, FERRY_RECEIVE, NULL, -EACCES, fifos.path);
        require_refusal(fifos.place.loop, fifos.address, FERRY_SEND, NULL, -EACCES, fifos.path);
        require_refusal(fifos.place.loop, fifos.address, FERRY_SEND,
                        &(ferry_channel_options){ .is_creating = true, .wait_ms = SAFETY_MS }, -EACCES, fifos.path);
        require_fifo(&fifos, true);
        /* A third user uses what is root's, and not what is the stranger's. */
        ck_assert_int_eq(chmod(fifos.place.directory, 0755), 0);
        become(OTHER_STRANGER);
        require_refusal(fifos.place.loop, fifos.address, FERRY_RECEIVE, NULL, -EACCES, fifos.path);
        become(0);
        ck_assert_int_eq(chown(fifos.path, 0, 0), 0);
        ck_assert_int_eq(chmod(fifos.path, 0666), 0);
        become(OTHER_STRANGER);
        ferry_channel_free(open_reader(&fifos, NULL));
        become(0);
        unlink(fifos.path);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_wide_fifo_is_shown_or_refused)
{
        struct fifos fifos;
        ferry_channel *reader;

        open_fifos(&fifos);
        ck_assert_int_eq(mkfifo(fifos.path, 0600), 0);
        ck_assert_int_eq(chmod(fifos.path, 0622), 0);
        reader = open_reader(&fifos, NULL);
        ck_assert_int_eq(info_of(reader, "is_wide"), 1);
        ferry_channel_free(reader);
        require_refusal(fifos.place.loop, fifos.address, FERRY_RECEIVE, &(ferry_channel_options){ .is_strict = true }, -EACCES,
                        "0622");
        ck_assert_int_eq(chmod(fifos.path, 0600), 0);
        reader = open_reader(&fifos, &(ferry_channel_options){ .is_strict = true });
        ck_assert_int_eq(info_of(reader, "is_wide"), 0);
        ferry_channel_free(reader);
        unlink(fifos.path);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_fifo_that_a_waiting_writer_finds_wide_is_shown)
{
        struct fifos fifos;
        ferry_channel *writer, *reader;

        open_fifos(&fifos);
        writer = open_writer(&fifos, &(ferry_channel_options){ .wait_ms = SAFETY_MS });
        ck_assert_int_eq(info_of(writer, "is_wide"), 0);
        reader = open_reader(&fifos, &(ferry_channel_options){ .mode = 0666 });
        send_text(writer, "x");
        require_text(reader, "x");
        ck_assert_int_eq(info_of(reader, "is_wide"), 1);
        ck_assert_int_eq(info_of(writer, "is_wide"), 1);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_fifo_has_its_mode_whatever_the_umask)
{
        static const mode_t masks[] = { 0, 0777, 022 };
        struct fifos fifos;
        struct stat stat_path;
        mode_t before;

        open_fifos(&fifos);
        before = umask(masks[_i % 3]);
        open_reader(&fifos, &(ferry_channel_options){ .mode = _i < 3 ? 0 : 0666 });
        umask(before);
        ck_assert_int_eq(stat(fifos.path, &stat_path), 0);
        ck_assert_int_eq(stat_path.st_mode & 07777, _i < 3 ? 0600 : 0666);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_fifo_goes_with_its_maker_and_no_other_does)
{
        struct fifos fifos;
        struct stat stat_path;
        ferry_channel *reader, *writer;

        open_fifos(&fifos);
        reader = open_reader(&fifos, NULL);
        writer = open_writer(&fifos, NULL);
        ferry_channel_free(writer);
        require_fifo(&fifos, true);
        ferry_channel_free(reader);
        settle(&fifos.place);
        require_fifo(&fifos, false);

        ck_assert_int_eq(mkfifo(fifos.path, 0600), 0);
        ferry_channel_free(open_reader(&fifos, NULL));
        settle(&fifos.place);
        require_fifo(&fifos, true);
        unlink(fifos.path);

        reader = open_reader(&fifos, NULL);
        ck_assert_int_eq(rename(fifos.path, fifos.place.path), 0);
        ck_assert_int_eq(mkfifo(fifos.path, 0640), 0);
        ferry_channel_free(reader);
        settle(&fifos.place);
        ck_assert_int_eq(stat(fifos.path, &stat_path), 0);
        unlink(fifos.path);
        unlink(fifos.place.path);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_fifo_can_be_removed)
{
        struct fifos fifos;
        ferry_channel *reader, *writer;
        int fd;

        open_fifos(&fifos);
        ck_assert_int_eq(mkfifo(fifos.path, 0600), 0);
        reader = open_reader(&fifos, NULL);
        writer = open_writer(&fifos, NULL);
        ck_assert_int_eq(ferry_channel_remove(writer), 0);
        require_fifo(&fifos, false);
        ck_assert_int_eq(ferry_channel_remove(reader), -ENOENT);
        send_text(writer, "goes on");
        require_text(reader, "goes on");
        /* What stands there now is no FIFO of this channel. */
        fd = open(fifos.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        close(fd);
        ck_assert_int_eq(ferry_channel_remove(reader), -ENOTSUP);
        unlink(fifos.path);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_full_fifo_takes_what_fits)
{
        struct fifos fifos;
        ferry_channel *reader, *writer;
        char *bytes = calloc(1, HUGE_SIZE);
        ssize_t put, got = 0, all;

        open_fifos(&fifos);
        reader = open_reader(&fifos, NULL);
        writer = open_writer(&fifos, NULL);
        all = ferry_channel_send(writer, bytes, HUGE_SIZE, 0);
        ck_assert_int_gt(all, 0);
        ck_assert_int_lt(all, HUGE_SIZE);
        for (int timeout_ms = 0; timeout_ms <= SHORT_MS; timeout_ms += SHORT_MS) {
                put = ferry_channel_send(writer, bytes, 1, timeout_ms);
                ck_assert_int_eq(put, -ETIMEDOUT);
        }
        ck_assert_int_eq(ferry_channel_receive(reader, bytes, 4096, 0), 4096);
        put = ferry_channel_send(writer, bytes, HUGE_SIZE, SHORT_MS);
        ck_assert_int_gt(put, 0);
        ferry_channel_free(writer);
        for (all += put - 4096; all > 0; all -= got) {
                got = ferry_channel_receive(reader, bytes, HUGE_SIZE, SAFETY_MS);
                ck_assert_int_gt(got, 0);
        }
        ck_assert_int_eq(all, 0);
        require_end(reader);
        free(bytes);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_fifo_without_readers_never_kills_its_writer)
{
        struct fifos fifos;
        ferry_channel *reader, *writer;
        ssize_t put;

        signal(SIGPIPE, SIG_DFL);
        open_fifos(&fifos);
        reader = open_reader(&fifos, NULL);
        writer = open_writer(&fifos, NULL);
        send_text(writer, "unread");
        ferry_channel_free(reader);
        settle(&fifos.place);
        put = ferry_channel_send(writer, "x", 1, 0);
        ck_assert_msg(put == -EPIPE, "%zd: %s", put, ferry_channel_error(writer));
        put = ferry_channel_send(writer, "x", 1, SHORT_MS);
        ck_assert_int_lt(put, 0);
        close_place(&fifos.place);
}
END_TEST

START_TEST(a_full_fifo_whose_reader_goes_ends_the_wait)
{
        struct fifos fifos;
        ferry_channel *writer;
        char *bytes = calloc(1, HUGE_SIZE);
        ssize_t put;
        char byte;
        int turn[2], ready[2];
        pid_t pid;

        signal(SIGPIPE, SIG_DFL);
        open_fifos(&fifos);
        ck_assert_int_eq(mkfifo(fifos.path, 0600), 0);
        ck_assert_int_eq(pipe(turn) | pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                close(turn[1]);
                if (open(fifos.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) < 0 || write(ready[1], "x", 1) != 1 ||
                    read(turn[0], &byte, 1) != 1)
                        _exit(1);
                _exit(0);
        }
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        writer = open_writer(&fifos, NULL);
        ck_assert_int_gt(ferry_channel_send(writer, bytes, HUGE_SIZE, 0), 0);
        ck_assert_int_eq(write(turn[1], "x", 1), 1);
        put = ferry_channel_send(writer, bytes, HUGE_SIZE, SAFETY_MS);
        ck_assert_msg(put == -EPIPE, "%zd: %s", put, ferry_channel_error(writer));
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        close(turn[0]), close(turn[1]), close(ready[0]), close(ready[1]);
        unlink(fifos.path);
        free(bytes);
        close_place(&fifos.place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(an_accept_without_a_client_is_over_in_time, KINDS),
        SUITE_LOOP(a_connection_accepts_none_and_has_bytes_only, KINDS),
        SUITE_LOOP(a_connection_knows_its_ends, KINDS),
        SUITE_LOOP(a_listener_without_descriptors_goes_on_afterwards, KINDS),
        SUITE_LOOP(a_listener_without_descriptors_or_clients_waits, KINDS),
        SUITE_LOOP(a_detach_without_descriptors_changes_nothing, KINDS),
        SUITE_TEST(a_client_of_another_user_is_refused_and_counted),
        SUITE_TEST(a_client_behind_many_refused_ones_is_accepted),
        SUITE_TEST(an_allowed_user_may_connect),
        SUITE_LOOP(a_listener_may_be_freed_in_its_allow_callback, 4),
        SUITE_TEST(a_server_of_another_user_is_refused),
        SUITE_LOOP(each_direction_ends_by_itself, KINDS),
        SUITE_LOOP(sixteen_mebibytes_go_both_ways_at_once, KINDS),
        SUITE_LOOP(a_partial_send_returns_its_count, KINDS),
        SUITE_LOOP(a_waiting_send_goes_on_until_all_has_left, KINDS),
        SUITE_LOOP(a_reset_connection_is_no_end_of_file, KINDS),
        SUITE_LOOP(a_connection_that_is_reset_during_a_wait_ends_it, KINDS),
        SUITE_LOOP(a_peer_that_reads_no_more_is_a_broken_pipe, KINDS),
        SUITE_LOOP(a_close_with_unread_bytes_loses_nothing_that_was_sent, KINDS),
        SUITE_LOOP(an_ended_connection_has_no_descriptor_to_take, KINDS),
        SUITE_LOOP(a_session_goes_on_where_channels_were_detached, KINDS),
        SUITE_TEST(a_path_has_one_listener),
        SUITE_TEST(a_port_has_one_listener),
        SUITE_TEST(a_stale_socket_is_replaced),
        SUITE_TEST(a_file_in_the_way_stays),
        SUITE_LOOP(a_socket_has_its_mode_whatever_the_umask, 6),
        SUITE_TEST(an_address_that_others_can_reach_is_refused),
        SUITE_TEST(a_listener_that_comes_later_is_found),
        SUITE_TEST(a_listener_that_never_comes_is_waited_for_in_time),
        SUITE_TEST(a_fifo_ends_with_its_last_writer),
        SUITE_TEST(a_writer_that_has_gone_again_is_an_end),
        SUITE_TEST(a_fifo_has_one_direction),
        SUITE_TEST(a_writer_without_a_reader_is_refused),
        SUITE_LOOP(a_reader_that_comes_later_is_found, 2),
        SUITE_TEST(a_writer_that_comes_later_is_received_from),
        SUITE_LOOP(what_is_no_fifo_is_refused_and_stays, 2),
        SUITE_TEST(a_link_leads_to_a_fifo),
        SUITE_TEST(a_fifo_of_another_user_is_refused),
        SUITE_TEST(a_wide_fifo_is_shown_or_refused),
        SUITE_TEST(a_fifo_that_a_waiting_writer_finds_wide_is_shown),
        SUITE_LOOP(a_fifo_has_its_mode_whatever_the_umask, 6),
        SUITE_TEST(a_fifo_goes_with_its_maker_and_no_other_does),
        SUITE_TEST(a_fifo_can_be_removed),
        SUITE_TEST(a_full_fifo_takes_what_fits),
        SUITE_TEST(a_fifo_without_readers_never_kills_its_writer),
        SUITE_TEST(a_full_fifo_whose_reader_goes_ends_the_wait),
};

SUITE_MAIN("channel-bytes", tests)
