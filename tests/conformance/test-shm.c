/* Sessions that move to shared memory: when they do, what they keep, and what a client that is another program may do to a
 * service there. That all else is as on any stream the other conformance tests show, on STREAM_SHM. */
#include "ring/traffic.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, RING = 8192, ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

struct side {
        ferry_loop *loop;
        ferry_service *service;
        char directory[64], address[128];
        unsigned heard, closed;
        bool is_any_heard;              /* notifications need not be in order */
        int status;                     /* of the session that has closed */
        char error[200];
};

static int hear(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct side *side = userdata;

        switch (ferry_message_kind(message)) {
        case FERRY_KIND_REQUEST:
                return ferry_message_reply(message, NULL, "%p", (const void *)ferry_message_body(message));
        case FERRY_KIND_CLOSED:
                side->closed++;
                side->status = ferry_session_status(session);
                snprintf(side->error, sizeof side->error, "%s", ferry_session_error(session));
                return 0;
        default:
                SUITE_CHECK(side->is_any_heard || ferry_value_int(ferry_message_body(message), -1) == side->heard, "a notification is out of order");
                side->heard++;
                return 1;
        }
}

static double seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void open_side_with(struct side *side, const ferry_session_options *options)
{
        *side = (struct side){ .loop = ferry_loop_new(NULL) };
        strcpy(side->directory, "/tmp/ferry-shm-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(side->directory));
        snprintf(side->address, sizeof side->address, "unix:%s/socket", side->directory);
        side->service = ferry_service_open(side->loop, side->address,
                                           &(ferry_service_options){ .session = options });
        ck_assert_int_eq(ferry_service_status(side->service), 1);
        ferry_service_on(side->service, FERRY_KIND_REQUEST | FERRY_KIND_NOTIFICATION | FERRY_KIND_CLOSED, hear, side);
}

static void open_side(struct side *side, int shm)
{
        open_side_with(side, &(ferry_session_options){ .shm = shm });
}

static void close_side(struct side *side)
{
        ferry_loop_free(side->loop);
        ck_assert_int_eq(rmdir(side->directory), 0);
}

static const char *stream_of(const ferry_session *session)
{
        static char name[16];
        FERRY_AUTO(ferry_value) info = ferry_session_info(session);

        snprintf(name, sizeof name, "%s", ferry_value_text(ferry_value_get(info, "stream"), ""));
        return name;
}

static void ask(ferry_session *session, int number)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, SAFETY_MS, "t", "%d", number);

        SUITE_CHECK(ferry_call_await(call) != NULL, "request %d: %s", number, ferry_call_error(call));
        SUITE_CHECK(ferry_value_int(ferry_message_body(ferry_call_reply(call)), -1) == number, "another answer");
}

/* By itself, in the middle of notifications and requests, whose order it does not change. */
START_TEST(a_busy_session_moves_and_keeps_the_order)
{
        struct side side;
        ferry_session *client;

        open_side(&side, FERRY_SHM_AUTO);
        client = ferry_session_open(side.loop, side.address, NULL);
        for (int i = 0; i < 1500; i++) {
                ck_assert_int_eq(ferry_session_notify(client, "t", "%d", i), 0);
                if (i % 2 == 0)
                        ask(client, i);
                if (i == 100) {
                        ck_assert_str_eq(stream_of(client), "unix");
                        ck_assert_uint_eq(ferry_service_client(side.service, NULL) != NULL, 1);
                }
        }
        ck_assert_str_eq(stream_of(client), "shm");
        ck_assert_str_eq(stream_of(ferry_service_client(side.service, NULL)), "shm");
        ck_assert_int_eq(ferry_session_flush(client, SAFETY_MS), 0);
        ck_assert_uint_eq(side.heard, 1500);
        ck_assert_int_eq(ferry_session_close(client), 0);
        while (side.closed == 0)
                ferry_loop_tick(side.loop, SAFETY_MS);
        ck_assert_int_eq(side.status, 0);
        close_side(&side);
}
END_TEST

static const struct {
        int refusal, times;             /* of the offer, whose descriptor cannot leave */
        const char *stream;             /* on which the session goes on */
} refusals[] = {
        { -ETOOMANYREFS, 1, "unix" },
        { -EAGAIN, 3, "shm" },
};

static int refusal, refused;

static int refuse_descriptors(enum door_call call, bool is_child)
{
        if (call != DOOR_send_message || is_child || refused == refusals[refusal].times)
                return 0;
        refused++;
        return refusals[refusal].refusal;
}

/* Another process of the user may have as many descriptors on their way as there may be; the socket may be full. */
START_TEST(a_session_whose_offer_cannot_leave_goes_on)
{
        struct side side;
        ferry_session *client;

        open_side(&side, FERRY_SHM_ALWAYS);
        client = ferry_session_open(side.loop, side.address, NULL);
        refusal = _i;
        refused = 0;
        door_judge = refuse_descriptors;
        for (int i = 0; i < 20; i++)
                ask(client, i);
        door_judge = NULL;
        ck_assert_int_eq(refused, refusals[_i].times);
        ck_assert_str_eq(stream_of(client), refusals[_i].stream);
        ck_assert_int_eq(ferry_session_close(client), 0);
        close_side(&side);
}
END_TEST

static const struct {
        int ours, theirs;
        const char *stream;
} wishes[] = {
        { FERRY_SHM_ALWAYS, FERRY_SHM_AUTO, "shm" },
        { FERRY_SHM_AUTO, FERRY_SHM_ALWAYS, "shm" },
        { FERRY_SHM_ALWAYS, FERRY_SHM_NEVER, "unix" },
        { FERRY_SHM_NEVER, FERRY_SHM_ALWAYS, "unix" },
};

START_TEST(each_side_may_refuse_or_ask_for_it)
{
        struct side side;
        ferry_session *client;

        open_side(&side, wishes[_i].theirs);
        client = ferry_session_open(side.loop, side.address, &(ferry_session_options){ .shm = wishes[_i].ours });
        for (int i = 0; i < 5; i++)
                ask(client, i);
        ck_assert_str_eq(stream_of(client), wishes[_i].stream);
        close_side(&side);
}
END_TEST

START_TEST(wrong_options_are_refused)
{
        static const ferry_session_options wrong[] = { { .shm = -1 }, { .shm = 3 }, { .spin_us = -2 }, { .spin_us = 1000001 } };
        ferry_loop *loop = ferry_loop_new(NULL);

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                ferry_session *session = ferry_session_open(loop, "unix:/nowhere", &wrong[i]);

                ck_assert_int_eq(ferry_session_status(session), -EINVAL);
                ck_assert(strstr(ferry_session_error(session), i < 2 ? "shm" : "spin_us"));
        }
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_killed_peer_ends_its_session_at_once)
{
        struct side side;
        pid_t child;

        open_side(&side, FERRY_SHM_ALWAYS);
        child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
                ferry_loop *loop = ferry_loop_new(NULL);
                ferry_session *session = ferry_session_open(loop, side.address, &(ferry_session_options){ .shm = FERRY_SHM_ALWAYS });

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (int i = 0; i < 5; i++)
                        ask(session, i);
                /* All but the last are whole when it dies. */
                for (int i = 0; i < 100; i++)
                        ferry_session_notify(session, "t", "%d", i);
                raise(SIGKILL);
        }
        while (side.closed == 0)
                ck_assert_int_ge(ferry_loop_tick(side.loop, SAFETY_MS), 1);
        ck_assert_uint_eq(side.heard, 100);
        ck_assert_int_eq(side.status, -ECONNRESET);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        close_side(&side);
}
END_TEST

/* A client that is no library of ours ------------------------------------------------------------------------ */

struct client {
        struct side side;
        int fd;
        struct ring_duplex duplex;
        ferry_session *session;         /* the service's */
};

static void frame(struct client *client, const char *payload, size_t size, int descriptor)
{
        char bytes[64] = "\xf3\x4a\x9d\xe2";
        union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .bytes = "" };
        struct iovec piece = { bytes, 8 + size };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

        bytes[7] = (char)size;
        memcpy(bytes + 8, payload, size);
        if (descriptor >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
                control.head.cmsg_level = SOL_SOCKET;
                control.head.cmsg_type = SCM_RIGHTS;
                control.head.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.head), &descriptor, sizeof(int));
        }
        ck_assert_int_eq(sendmsg(client->fd, &message, MSG_NOSIGNAL), (ssize_t)(8 + size));
}

static void settle(struct client *client)
{
        while (ferry_loop_tick(client->side.loop, 0) == 1)
                ;
}

/* The kind of the next frame that the service has sent on the socket; 0: none. */
static int next_kind(struct client *client)
{
        unsigned char header[8], payload[256];

        settle(client);
        if (recv(client->fd, header, sizeof header, MSG_DONTWAIT) != sizeof header)
                return 0;
        ck_assert_int_eq(recv(client->fd, payload, header[7], MSG_DONTWAIT), header[7]);
        return payload[1];
}

static const char HELLO[] = "\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\xa8" "features\x91\xa3shm";
static const char OFFER[16] = "\1\xa0\1", MOVED[16] = "\1\xa1\1", DECLINED[16] = "\1\xa2\1";

static void open_client_with(struct client *client, const ferry_session_options *options)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };

        open_side_with(&client->side, options);
        strcpy(name.sun_path, client->side.address + 5);
        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(client->fd, (struct sockaddr *)&name, sizeof name), 0);
        client->duplex.memory.pair = NULL;
        frame(client, HELLO, sizeof HELLO - 1, -1);
        ck_assert_int_eq(next_kind(client), 1);
        client->session = ferry_service_client(client->side.service, NULL);
}

static void open_client(struct client *client)
{
        open_client_with(client, &(ferry_session_options){ .shm = FERRY_SHM_AUTO });
}

static void close_client(struct client *client)
{
        if (client->duplex.memory.pair)
                ring_duplex_deinit(&client->duplex);
        close(client->fd);
        close_side(&client->side);
}

static void offer(struct client *client, int descriptor)
{
        frame(client, OFFER, sizeof OFFER, descriptor);
        if (descriptor >= 0)
                close(descriptor);
}

/* Returns the memory, which is the caller's. */
static int offer_kept_memory(struct client *client)
{
        struct ring_memory memory;
        int fd;

        ck_assert_int_eq(ring_memory_make(&memory, RING, &fd, &(struct error){ 0 }), 0);
        ring_duplex_init(&client->duplex, &memory, true, client->fd);
        frame(client, OFFER, sizeof OFFER, fd);
        return fd;
}

static void offer_memory(struct client *client)
{
        close(offer_kept_memory(client));
}

static void move(struct client *client)
{
        offer_memory(client);
        ck_assert_int_eq(next_kind(client), 0xa1);
        frame(client, MOVED, sizeof MOVED, -1);
        settle(client);
        ck_assert_str_eq(stream_of(client->session), "shm");
}

static void notify_by_ring(struct client *client, int number)
{
        char bytes[] = "\xf3\x4a\x9d\xe2\0\0\0\x12\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t";
        size_t size = sizeof bytes;

        bytes[sizeof bytes - 1] = (char)number;
        ck_assert_int_eq(ring_duplex_write(&client->duplex, bytes, size), (ssize_t)size);
        settle(client);
}

static void expect_end(struct client *client, int status, const char *sentence)
{
        settle(client);
        ck_assert_uint_eq(client->side.closed, 1);
        ck_assert_int_eq(client->side.status, status);
        ck_assert_msg(strstr(client->side.error, sentence), "'%s' without '%s'", client->side.error, sentence);
        close_client(client);
}

START_TEST(another_program_may_move)
{
        struct client client;

        open_client(&client);
        move(&client);
        for (int i = 0; i < 100; i++)
                notify_by_ring(&client, i);
        ck_assert_uint_eq(client.side.heard, 100);
        /* Its end without a close. */
        close(client.fd);
        client.fd = -1;
        expect_end(&client, -ECONNRESET, "without a close");
}
END_TEST

/* The peer has written; a program that polls notices. */
static void expect_to_be_woken(struct client *client, uint64_t heard)
{
        struct pollfd poll_fd = { .fd = ferry_loop_fd(client->side.loop), .events = POLLIN };
        char bytes[] = "\xf3\x4a\x9d\xe2\0\0\0\x12\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\1";

        while (poll(&poll_fd, 1, 0) > 0)
                ck_assert_int_ge(ferry_loop_tick(client->side.loop, 0), 0);
        bytes[sizeof bytes - 2] = (char)(heard - 1);
        ck_assert_int_eq(ring_duplex_write(&client->duplex, bytes, sizeof bytes - 1), sizeof bytes - 1);
        ck_assert_int_eq(poll(&poll_fd, 1, SAFETY_MS), 1);
        for (int i = 0; i < 5; i++)
                ck_assert_int_ge(ferry_loop_tick(client->side.loop, 0), 0);
        ck_assert_uint_eq(client->side.heard, heard);
}

START_TEST(a_program_that_polls_is_woken)
{
        struct client client;

        open_client(&client);
        move(&client);
        /* Until now no program polled, so the session was awake. */
        notify_by_ring(&client, 0);
        expect_to_be_woken(&client, 2);
        expect_to_be_woken(&client, 3);
        /* What is written between two rounds leaves the session as it is. */
        ck_assert_int_eq(ferry_session_notify(client.session, "t", NULL), 0);
        expect_to_be_woken(&client, 4);
        close_client(&client);
}
END_TEST

static int file_of(size_t size, int seals)
{
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

/* The session goes on, on its socket. */
START_TEST(what_is_no_memory_of_rings_is_declined)
{
        size_t size = RING_HEADER + 2 * RING;
        int offers[] = { -1, open("/dev/null", O_RDWR | O_CLOEXEC), file_of(size, 0), file_of(size, F_SEAL_SHRINK | F_SEAL_SEAL),
                         file_of(size + 1, ALL_SEALS), file_of(size, ALL_SEALS | F_SEAL_WRITE) };

        for (int i = 0; i < 6; i++) {
                struct client client;

                if (i != _i) {
                        if (offers[i] >= 0)
                                close(offers[i]);
                        continue;
                }
                open_client(&client);
                offer(&client, offers[i]);
                ck_assert_int_eq(next_kind(&client), 0xa2);
                ck_assert_str_eq(stream_of(client.session), "socket");
                frame(&client, "\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t", 18, -1);
                settle(&client);
                ck_assert_uint_eq(client.side.heard, 1);
                /* It is not asked twice. */
                offer_memory(&client);
                expect_end(&client, -EBADMSG, "when it was not its turn");
        }
}
END_TEST

/* A client that reads from its ring wakes the service, whose ring was full, as soon as it has moved itself. */
START_TEST(bytes_that_wake_may_come_with_the_move)
{
        static const char together[8 + sizeof MOVED + 3] = "\xf3\x4a\x9d\xe2\0\0\0\x10\1\xa1\1";
        struct client client;

        open_client(&client);
        offer_memory(&client);
        ck_assert_int_eq(next_kind(&client), 0xa1);
        ck_assert_int_eq(send(client.fd, together, sizeof together, MSG_NOSIGNAL), sizeof together);
        settle(&client);
        ck_assert_str_eq(stream_of(client.session), "shm");
        for (int i = 0; i < 100; i++)
                notify_by_ring(&client, i);
        ck_assert_uint_eq(client.side.heard, 100);
        ck_assert_uint_eq(client.side.closed, 0);
        close_client(&client);
}
END_TEST

/* A service with much queued for a client does not read it, so it leaves the client's move on the socket; and yet the byte behind that
 * wakes it when the client has read from a full ring. */
START_TEST(a_side_that_does_not_read_is_woken_when_its_ring_has_room)
{
        static char text[RING * 16];
        struct client client;
        size_t taken = 0;

        open_client_with(&client, &(ferry_session_options){ .shm = FERRY_SHM_AUTO, .queue_max = 1000 });
        memset(text, 'x', sizeof text - 1);
        offer_memory(&client);
        ck_assert_int_eq(next_kind(&client), 0xa1);
        /* Over the limit of the queue. */
        ck_assert_int_eq(ferry_session_notify(client.session, "t", "%s", text), 0);
        settle(&client);
        ck_assert_int_gt(ferry_session_queued(client.session), 1000);
        frame(&client, MOVED, sizeof MOVED, -1);
        settle(&client);
        ck_assert_str_eq(stream_of(client.session), "socket");
        while (ferry_session_queued(client.session) > 0 || taken == 0) {
                struct pollfd poll_fd = { .fd = ferry_loop_fd(client.side.loop), .events = POLLIN };
                char bytes[RING];
                ssize_t got = ring_duplex_read(&client.duplex, bytes, sizeof bytes);

                ck_assert_int_gt(got, 0);
                taken += (size_t)got;
                ck_assert_msg(poll(&poll_fd, 1, SAFETY_MS) == 1, "asleep behind %zu bytes, with %" PRId64 " queued", taken,
                              ferry_session_queued(client.session));
                settle(&client);
        }
        close_client(&client);
}
END_TEST

START_TEST(frames_out_of_turn_end_the_session)
{
        struct client client;

        open_client(&client);
        switch (_i) {
        case 0:
                frame(&client, MOVED, sizeof MOVED, -1);
                break;
        case 1:
                frame(&client, DECLINED, sizeof DECLINED, -1);
                break;
        case 2:
                offer_memory(&client);
                ck_assert_int_eq(next_kind(&client), 0xa1);
                frame(&client, DECLINED, sizeof DECLINED, -1);
                break;
        case 3:
                offer_memory(&client);
                ck_assert_int_eq(next_kind(&client), 0xa1);
                frame(&client, OFFER, sizeof OFFER, -1);
                break;
        case 4:
                /* With bytes behind it, which would be frames. */
                offer_memory(&client);
                ck_assert_int_eq(next_kind(&client), 0xa1);
                frame(&client, MOVED, sizeof MOVED, -1);
                frame(&client, MOVED, sizeof MOVED, -1);
                break;
        }
        expect_end(&client, -EBADMSG, "when it was not its turn");
}
END_TEST

START_TEST(a_peer_that_breaks_its_ring_ends_its_session)
{
        struct client client;

        open_client(&client);
        move(&client);
        notify_by_ring(&client, 0);
        switch (_i) {
        case 0:
                atomic_store(&client.duplex.writer.shared->tail, RING + 1 + client.duplex.writer.tail);
                ck_assert_int_eq(send(client.fd, "", 1, 0), 1);
                expect_end(&client, -EBADMSG, "wrong numbers");
                break;
        case 1:
                atomic_store(&client.duplex.writer.shared->tail, 1);
                ck_assert_int_eq(send(client.fd, "", 1, 0), 1);
                expect_end(&client, -EBADMSG, "wrong numbers");
                break;
        case 2:
                ck_assert_int_eq(send(client.fd, "x", 1, 0), 1);
                expect_end(&client, -EBADMSG, "beside its shared memory");
                break;
        case 3: {
                char *text = calloc(1, RING);

                /* The service notices when it looks for room. */
                memset(text, 'x', RING - 1);
                atomic_store(&client.duplex.reader.shared->head, 77777);
                ferry_session_notify(client.session, "t", "%s", text);
                free(text);
                while (client.side.closed == 0)
                        ferry_loop_tick(client.side.loop, SAFETY_MS);
                expect_end(&client, -EBADMSG, "wrong numbers");
                break;
        }
        }
}
END_TEST

/* Numbers and bytes of all kinds; or right frames, in memory that changes meanwhile, or whose pages are taken away. */
_Noreturn static void misbehave(struct client *client, int descriptor, unsigned round)
{
        static const char bytes[] = "\xf3\x4a\x9d\xe2\0\0\0\x12\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\1";
        unsigned char *all = (unsigned char *)client->duplex.memory.pair;
        unsigned state = round;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (round % 3 == 0)
                traffic_scribble(&client->duplex, round);
        for (;;) {
                unsigned where = (state = state * 1664525 + 1013904223) >> 8;

                ring_duplex_write(&client->duplex, bytes, sizeof bytes - 1);
                ring_duplex_pay(&client->duplex);
                if (round % 3 == 1)
                        all[RING_HEADER + where % (2 * RING)] ^= (unsigned char)(1u << (where & 7));
                else
                        fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(where % (RING_HEADER + 2 * RING)), 4096);
        }
}

/* Each harms its own session only, for a minute with FERRY_LONG. */
START_TEST(a_peer_that_writes_anything_harms_its_session_only)
{
        double begin = seconds();
        unsigned rounds = 0;

        for (; seconds() < begin + (suite_is_long() ? 60 : 0.5) || rounds < 6; rounds++) {
                ferry_session *other;
                struct client client;
                int descriptor;
                pid_t child;

                open_client(&client);
                client.side.is_any_heard = true;
                descriptor = offer_kept_memory(&client);
                ck_assert_int_eq(next_kind(&client), 0xa1);
                frame(&client, MOVED, sizeof MOVED, -1);
                settle(&client);
                child = fork();
                ck_assert_int_ge(child, 0);
                if (child == 0)
                        misbehave(&client, descriptor, rounds);
                close(descriptor);
                close(client.fd);
                client.fd = -1;
                other = ferry_session_open(client.side.loop, client.side.address, &(ferry_session_options){ .shm = FERRY_SHM_ALWAYS });
                for (double end = seconds() + 0.02; seconds() < end;)
                        ask(other, 0);
                kill(child, SIGKILL);
                ck_assert_int_eq(waitpid(child, NULL, 0), child);
                while (client.side.closed == 0)
                        ck_assert_int_ge(ferry_loop_tick(client.side.loop, SAFETY_MS), 0);
                ask(other, 1);
                close_client(&client);
        }
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_busy_session_moves_and_keeps_the_order),
        SUITE_LOOP(each_side_may_refuse_or_ask_for_it, 4),
        SUITE_TEST(wrong_options_are_refused),
        SUITE_LOOP(a_session_whose_offer_cannot_leave_goes_on, 2),
        SUITE_TEST(a_killed_peer_ends_its_session_at_once),
        SUITE_TEST(another_program_may_move),
        SUITE_TEST(a_program_that_polls_is_woken),
        SUITE_LOOP(what_is_no_memory_of_rings_is_declined, 6),
        SUITE_TEST(bytes_that_wake_may_come_with_the_move),
        SUITE_TEST(a_side_that_does_not_read_is_woken_when_its_ring_has_room),
        SUITE_LOOP(frames_out_of_turn_end_the_session, 5),
        SUITE_LOOP(a_peer_that_breaks_its_ring_ends_its_session, 4),
        { .name = "a_peer_that_writes_anything_harms_its_session_only", .test = &a_peer_that_writes_anything_harms_its_session_only,
          .is_whole = 1 },
};

SUITE_MAIN("conformance-shm", tests)
