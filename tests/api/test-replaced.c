/* Bridges whose socket, or pipes, a service takes: then the bridge has nothing to copy. The client at the near end is nothing but
 * descriptors; the service is in the same loop. */
#include "conformance/raw.h"
#include "support/place.h"
#include "support/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char enquiry = 5, not_acknowledged = 21;

/* Without those of the kernel's own kinds: a service begins to watch its socket file some time after it was opened. */
static size_t count_descriptors(void)
{
        DIR *directory = opendir("/proc/self/fd");
        const struct dirent *entry;
        size_t count = 0;

        while ((entry = readdir(directory))) {
                char target[16] = "";

                if (readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1) > 0)
                        count += strncmp(target, "anon_inode:", strlen("anon_inode:")) != 0;
        }
        closedir(directory);
        return count;
}

/* What the program has of a bridge: the near end, which it writes to and reads from; and what the bridge was given. */
struct near {
        struct place place;
        size_t descriptors;             /* before all */
        ferry_service *service;
        ferry_bridge *bridge;
        int to, from;
        struct given { int fd; struct stat stat; } in, out;
};

static void open_near(struct near *near, const ferry_service_options *options)
{
        open_place(&near->place);
        near->descriptors = count_descriptors();
        near->service = open_echo(&near->place, options);
}

static void make_sockets(int ret_fds[2])
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds), 0);
}

static struct given note(int fd)
{
        struct given given = { .fd = fd };

        ck_assert_int_eq(fstat(fd, &given.stat), 0);
        return given;
}

static void give(struct near *near, int in, int out)
{
        near->in = note(in);
        near->out = note(out);
        near->bridge = ferry_bridge_open(near->place.loop, near->place.address, in, out, NULL);
        ck_assert_int_eq(ferry_bridge_status(near->bridge), 1);
}

/* 0: a socket; 1: one that has two numbers, as sshd(8) gives it where it has no pipes; 2: pipes; 3: two sockets. */
static void bridge_by(struct near *near, int way)
{
        int in[2], out[2];

        if (way == 2) {
                ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
                ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
        } else {
                int first[2], second[2] = { -1, -1 };

                make_sockets(first);
                if (way == 3)
                        make_sockets(second);
                memcpy(in, first, sizeof in);
                out[0] = way == 3 ? second[1] : fcntl(first[1], F_DUPFD_CLOEXEC, 0);
                out[1] = way == 3 ? second[0] : way == 1 ? fcntl(first[0], F_DUPFD_CLOEXEC, 0) : first[0];
        }
        near->to = in[1];
        near->from = out[0];
        give(near, in[0], out[1]);
}

/* Its number may have gone to another file. */
static bool is_open(const struct given *given)
{
        struct stat stat;

        return fstat(given->fd, &stat) == 0 && stat.st_dev == given->stat.st_dev && stat.st_ino == given->stat.st_ino;
}

static bool is_copying(const struct near *near)
{
        return is_open(&near->in) || is_open(&near->out);
}

static void close_near(struct near *near)
{
        bool is_copied = is_copying(near);

        close(near->to);
        close(near->from);
        ferry_service_free(near->service);
        settle(&near->place);
        while (ferry_bridge_status(near->bridge) == 1)
                tick(&near->place);
        /* Where it copies, it hears that its reader has gone. */
        ck_assert_msg(ferry_bridge_status(near->bridge) == 0 || (is_copied && ferry_bridge_status(near->bridge) == -EPIPE), "%s",
                      ferry_bridge_error(near->bridge));
        ferry_bridge_free(near->bridge);
        ck_assert_uint_eq(count_descriptors(), near->descriptors);
        close_place(&near->place);
}

static void ask(const struct near *near, int id)
{
        unsigned char frame[264];
        size_t size = make_request(frame, id, "x");

        ck_assert_int_eq(write(near->to, frame, size), (ssize_t)size);
}

/* Reads frames from the near end until an answer comes, whose kind is returned; 0 at its end. */
static int next_answer(struct near *near)
{
        for (int i = 0; i < 100; i++) {
                unsigned char head[18];
                ssize_t got;

                fcntl(near->from, F_SETFL, O_NONBLOCK);
                got = read(near->from, head, sizeof head);
                if (got == 0)
                        return 0;
                if (got < 0) {
                        ck_assert_int_eq(errno, EAGAIN);
                        tick(&near->place);
                        continue;
                }
                ck_assert_int_eq(got, sizeof head);
                for (int left = (head[6] << 8 | head[7]) - 10; left > 0; left -= (int)got) {
                        char rest[256];

                        got = read(near->from, rest, (size_t)left < sizeof rest ? (size_t)left : sizeof rest);
                        ck_assert_int_gt(got, 0);
                }
                if (head[9] == RAW_RESPONSE || head[9] == RAW_REFUSED)
                        return head[9];
        }
        return -1;
}

START_TEST(a_service_takes_what_the_bridge_has)
{
        struct near near;

        open_near(&near, NULL);
        bridge_by(&near, _i);
        ask(&near, 1);
        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
        ck_assert(!is_copying(&near));
        ck_assert_int_eq(ferry_bridge_status(near.bridge), 1);
        ask(&near, 2);
        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
        /* A client that ends its direction gets what it has asked for. */
        ask(&near, 3);
        if (_i == 0 || _i == 1)
                shutdown(near.to, SHUT_WR);
        close(near.to);
        near.to = dup(0);
        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
        ck_assert_int_eq(next_answer(&near), 0);
        close_near(&near);
}
END_TEST

/* Another process may have a socket, too, as the shell that has started a bridge: its end shows only if it is shut down. */
START_TEST(a_service_that_ends_ends_the_bridge)
{
        struct near near;
        int kept;

        open_near(&near, NULL);
        bridge_by(&near, _i);
        kept = _i == 2 ? dup(0) : dup(near.out.fd);
        ask(&near, 1);
        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
        ferry_service_free(near.service);
        near.service = NULL;
        ck_assert_int_eq(next_answer(&near), 0);
        close(kept);
        close_near(&near);
}
END_TEST

static int note_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message;
        *(int *)userdata = ferry_session_status(session);
        return 0;
}

START_TEST(a_bridge_that_is_freed_ends_the_session_of_the_service)
{
        struct near near;
        int status = 1;

        open_near(&near, NULL);
        ferry_service_on(near.service, FERRY_KIND_CLOSED, note_end, &status);
        bridge_by(&near, _i);
        ask(&near, 1);
        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
        /* What the client has sent before is heard. */
        ask(&near, 2);
        near.bridge = ferry_bridge_free(near.bridge);
        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
        while (status == 1)
                ferry_loop_tick(near.place.loop, SAFETY_MS);
        ck_assert_int_eq(status, -ECONNRESET);
        ck_assert_int_eq(next_answer(&near), 0);
        ferry_service_free(near.service);
        close(near.to);
        close(near.from);
        settle(&near.place);
        ck_assert_uint_eq(count_descriptors(), near.descriptors);
        close_place(&near.place);
}
END_TEST

/* A service that says something of itself when it has a client. */
static void require_copied(ferry_message_fn *greet, int way)
{
        const ferry_session_options sessions = { .dialect = FERRY_DIALECT_FERRY };
        struct near near;

        open_near(&near, &(ferry_service_options){ .session = &sessions });
        ferry_service_on(near.service, FERRY_KIND_OPENED, greet, NULL);
        bridge_by(&near, way);
        ask(&near, 1);
        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
        ck_assert(is_copying(&near));
        close_near(&near);
}

static int greet(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        return ferry_session_notify(session, "welcome", NULL);
}

/* Its words to the bridge have left by the first socket, and so do all others. */
START_TEST(a_service_that_speaks_first_is_copied)
{
        require_copied(greet, _i);
}
END_TEST

static int greet_late(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ferry_session_hold(session);
        return ferry_session_notify(session, "welcome", NULL);
}

/* Its words are queued, and say already what the first socket can do. */
START_TEST(a_service_that_is_about_to_speak_is_copied)
{
        require_copied(greet_late, _i);
}
END_TEST

/* A file, which could keep a service waiting. */
START_TEST(other_descriptors_are_copied)
{
        struct near near;
        int out[2], file = open("/dev/null", O_RDONLY | O_CLOEXEC);

        open_near(&near, NULL);
        near.descriptors--;
        ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
        near.to = dup(0);
        near.from = out[0];
        give(&near, file, out[1]);
        ck_assert_int_eq(next_answer(&near), 0);
        close_near(&near);
}
END_TEST

/* By hand: what a bridge would not send ------------------------------------------------------------------------ */

static void send_with(int fd, const void *bytes, size_t size, const int *fds, size_t count)
{
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = "";
        struct iovec piece = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof *fds) };
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);

        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(count * sizeof *fds);
        memcpy(CMSG_DATA(head), fds, count * sizeof *fds);
        ck_assert_int_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)size);
}

enum passed { PASSED_FILE, PASSED_TERMINAL, PASSED_DATAGRAMS, PASSED_TCP, PASSED_WRONG_WAY, PASSED_THREE, PASSED_ONE_PIPE, PASSED_DIRECTORY,
              PASSED_COUNT };

static size_t make_unsuitable(enum passed passed, int fds[3])
{
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        fds[2] = -1;
        switch (passed) {
        case PASSED_WRONG_WAY:
                fds[2] = fds[0];
                fds[0] = fds[1];
                fds[1] = fds[2];
                fds[2] = -1;
                return 2;
        case PASSED_THREE:
                fds[2] = dup(fds[1]);
                return 3;
        case PASSED_ONE_PIPE:
                return 1;
        default:
                break;
        }
        close(fds[0]);
        close(fds[1]);
        fds[1] = -1;
        fds[0] = passed == PASSED_FILE ? open("/proc/self/maps", O_RDONLY | O_CLOEXEC) :
                 passed == PASSED_TERMINAL ? open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC) :
                 passed == PASSED_DIRECTORY ? open("/", O_RDONLY | O_CLOEXEC) :
                 socket(passed == PASSED_TCP ? AF_INET : AF_UNIX, (passed == PASSED_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
        return 1;
}

/* The session goes on at the first socket. */
START_TEST(what_is_not_suitable_is_kept)
{
        unsigned char frame[264];
        char got[2];
        size_t size, count, before;
        struct place place;
        ferry_service *service;
        int fd, fds[3];

        open_place(&place);
        service = open_echo(&place, NULL);
        fd = connect_raw(&place);
        settle(&place);
        before = count_descriptors();
        count = make_unsuitable((enum passed)_i, fds);
        ck_assert_int_ge(fds[0], 0);
        send_with(fd, &enquiry, 1, fds, count);
        for (size_t i = 0; i < 3 && fds[i] >= 0; i++)
                close(fds[i]);
        settle(&place);
        ck_assert_uint_eq(count_descriptors(), before);
        ck_assert_int_eq(receive_raw(fd, got, sizeof got), 1);
        ck_assert_int_eq(*got, not_acknowledged);
        size = make_request(frame, 1, "x");
        send_raw(fd, frame, size);
        settle(&place);
        ck_assert(has_answer(fd, RAW_RESPONSE));
        close(fd);
        ferry_service_free(service);
        close_place(&place);
}
END_TEST

/* Without descriptors, or together with more, it is a byte that no dialect knows; behind another message that comes with descriptors, which
 * are closed. */
START_TEST(a_byte_that_comes_otherwise_means_nothing)
{
        unsigned char bytes[1 + 264] = { 5 };
        size_t size = 1 + make_request(bytes + 1, 1, "x"), before;
        struct place place;
        ferry_service *service;
        int fd, fds[2];

        open_place(&place);
        service = open_echo(&place, NULL);
        fd = connect_raw(&place);
        settle(&place);
        before = count_descriptors();
        make_sockets(fds);
        if (_i == 0)
                send_raw(fd, bytes, 1);
        else if (_i == 1)
                send_with(fd, bytes, size, fds, 1);
        else
                send_with(fd, bytes + 1, size - 1, fds, 1);
        close(fds[0]);
        close(fds[1]);
        settle(&place);
        if (_i < 2)
                ck_assert(has_ended_raw(fd));
        else {
                ck_assert(has_answer(fd, RAW_RESPONSE));
                ck_assert_uint_eq(count_descriptors(), before);
        }
        close(fd);
        ferry_service_free(service);
        settle(&place);
        close_place(&place);
}
END_TEST

/* The process that has sent the byte is gone before it is answered. */
START_TEST(an_asker_that_has_gone_harms_nobody)
{
        struct place place;
        ferry_service *service;
        size_t before;
        int fd, fds[2];

        open_place(&place);
        before = count_descriptors();
        service = open_echo(&place, NULL);
        fd = connect_raw(&place);
        make_sockets(fds);
        send_with(fd, &enquiry, 1, fds, 1);
        close(fds[0]);
        close(fd);
        settle(&place);
        ck_assert(has_ended_raw(fds[1]));
        close(fds[1]);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        ferry_service_free(service);
        ferry_loop_free(place.loop);
        place.loop = ferry_loop_new(NULL);
        ck_assert_uint_eq(count_descriptors(), before);
        close_place(&place);
}
END_TEST

/* At the limit: a client that another one takes the place of. */
START_TEST(a_client_for_which_there_is_no_room_is_refused)
{
        const ferry_service_options options = { .clients_max = 1 };
        struct near near;
        ferry_session *first;

        open_near(&near, &options);
        first = ferry_session_open(near.place.loop, near.place.address, NULL);
        require_echo(first);
        bridge_by(&near, _i);
        ask(&near, 1);
        ck_assert_int_eq(next_answer(&near), RAW_REFUSED);
        ck_assert_int_eq(next_answer(&near), 0);
        ferry_session_free(first);
        close_near(&near);
}
END_TEST

/* Two pipes take four descriptors, which clients that come later may need. */
START_TEST(a_service_that_has_used_half_of_its_descriptors_is_copied)
{
        enum { LIMIT = 64 };
        struct rlimit limit;
        struct near near;
        int used[LIMIT], count = 0;

        open_near(&near, NULL);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = LIMIT, .rlim_max = limit.rlim_max }), 0);
        do {
                used[count] = dup(0);
                ck_assert_int_ge(used[count], 0);
        } while (used[count++] < LIMIT / 2);
        bridge_by(&near, _i);
        ask(&near, 1);
        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
        ck_assert(is_copying(&near));
        while (count > 0)
                close(used[--count]);
        close_near(&near);
}
END_TEST

/* From before the service knows of the bridge until it has answered the client. */
START_TEST(all_may_be_freed_in_any_phase)
{
        enum { WAYS = 4, FREED = 3 };
        struct near near;

        open_near(&near, NULL);
        bridge_by(&near, _i % WAYS);
        ask(&near, 1);
        for (int i = 0; i < _i / (WAYS * FREED); i++)
                ferry_loop_tick(near.place.loop, 0);
        switch (_i / WAYS % FREED) {
        case 0:
                ferry_bridge_free(near.bridge);
                break;
        case 1:
                ferry_service_free(near.service);
                break;
        default:
                break;
        }
        ferry_loop_free(near.place.loop);
        near.place.loop = NULL;
        close(near.to);
        if (near.from != near.to)
                close(near.from);
        ck_assert_uint_eq(count_descriptors(), near.descriptors);
        close_place(&near.place);
}
END_TEST

/* More than pipes and sockets take at once, both ways. */
START_TEST(much_passes_both_ways)
{
        static unsigned char frame[264];
        enum { REQUESTS = 5000 };
        struct near near;
        size_t size = make_request(frame, 1, "thirty bytes and one, as it was");
        size_t sent = 0, put = 0;
        int answered = 0;

        open_near(&near, NULL);
        bridge_by(&near, _i);
        fcntl(near.to, F_SETFL, O_NONBLOCK);
        while (answered < REQUESTS) {
                ssize_t written = sent < REQUESTS ? write(near.to, frame + put, size - put) : 0;

                ck_assert(written >= 0 || errno == EAGAIN);
                put += written > 0 ? (size_t)written : 0;
                if (put == size) {
                        sent++;
                        put = 0;
                }
                settle(&near.place);
                if (written < 0 || sent == REQUESTS) {
                        ck_assert_int_eq(next_answer(&near), RAW_RESPONSE);
                        answered++;
                }
        }
        ck_assert(!is_copying(&near));
        close_near(&near);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_service_takes_what_the_bridge_has, 4),
        SUITE_LOOP(a_service_that_ends_ends_the_bridge, 4),
        SUITE_LOOP(a_bridge_that_is_freed_ends_the_session_of_the_service, 4),
        SUITE_LOOP(a_service_that_speaks_first_is_copied, 4),
        SUITE_LOOP(a_service_that_is_about_to_speak_is_copied, 4),
        SUITE_TEST(other_descriptors_are_copied),
        SUITE_LOOP(what_is_not_suitable_is_kept, PASSED_COUNT),
        SUITE_LOOP(a_byte_that_comes_otherwise_means_nothing, 3),
        SUITE_TEST(an_asker_that_has_gone_harms_nobody),
        SUITE_LOOP(a_client_for_which_there_is_no_room_is_refused, 4),
        SUITE_LOOP(a_service_that_has_used_half_of_its_descriptors_is_copied, 4),
        SUITE_LOOP(all_may_be_freed_in_any_phase, 96),
        SUITE_LOOP(much_passes_both_ways, 4),
};

SUITE_MAIN("replaced", tests)
