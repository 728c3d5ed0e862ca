/* Descriptors come with the message that they were attached to, over each unix socket, also where the messages have moved to shared
 * memory; they are closed where no program takes them; peers that break the rules are ended, and both sides know why. */
#include "conformance/pair.h"
#include "conformance/raw.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, MOST = 32, RAW_DESCRIPTORS = 0x80 | 44 };

static const int unix_streams[] = { STREAM_SOCKET, STREAM_UNIX, STREAM_SHM };
static const int other_streams[] = { STREAM_PIPES, STREAM_EXEC, STREAM_OWN, STREAM_TCP, STREAM_FIFO };

/* What the other side does with what comes: it writes the number of the message into each descriptor. */
struct taker {
        int messages;
        size_t fds;
};

static int take(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct taker *taker = userdata;
        size_t count = ferry_message_fds(message);
        bool is_report = strcmp(ferry_message_type(message), "App\\Report") == 0;
        char byte = (char)ferry_value_int(ferry_message_get(message, "number"), 0);

        if (is_report)
                return 0;
        ck_assert_uint_eq(count, (size_t)ferry_value_int(ferry_message_get(message, "count"), 0));
        taker->messages++;
        taker->fds += count;
        for (size_t i = 0; i < count; i++) {
                int fd = ferry_message_take_fd(message, i);

                ck_assert_int_ge(fd, 0);
                ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
                ck_assert_int_eq(write(fd, &byte, 1), 1);
                close(fd);
                ck_assert_int_eq(ferry_message_take_fd(message, i), -EALREADY);
        }
        ck_assert_int_eq(ferry_message_take_fd(message, count), -ENOENT);
        if (ferry_message_kind(message) != FERRY_KIND_REQUEST)
                return 0;
        /* And some back. */
        for (size_t i = 0; i < count; i++)
                ck_assert_int_eq(ferry_session_attach(session, 0), 0);
        return ferry_message_reply(message, NULL, "{number: %d}", byte) == 0;
}

static void open_at(struct pair *pair, int stream, struct taker *taker)
{
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        /* Descriptor 0 may be closed. */
        if (null > 0)
                close(null);
        pair_open(pair, stream * DIALECTS, NULL, NULL);
        if (pair->them)
                ferry_session_on(pair->them, FERRY_KIND_MESSAGE, take, taker);
        else if (pair->service)
                ferry_service_on(pair->service, FERRY_KIND_MESSAGE, take, taker);
}

/* What the hello of the other side says is known. */
static void open_pair(struct pair *pair, int stream, struct taker *taker)
{
        *taker = (struct taker){ 0 };
        open_at(pair, stream, taker);
        pair_report(pair, "kept");
}

static void attach_pipe(struct pair *pair, int count, int *ret_fd)
{
        int ends[2];

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        for (int i = 0; i < count; i++)
                ck_assert_msg(ferry_session_attach(pair->us, ends[1]) == 0, "%s", ferry_session_error(pair->us));
        close(ends[1]);
        *ret_fd = ends[0];
}

/* So many bytes of that value, and then the end: no other process has it. */
static void expect_bytes(int fd, char value, int count)
{
        char bytes[MOST + 1];
        ssize_t got, all = 0;

        while ((got = read(fd, bytes + all, sizeof bytes - (size_t)all)) > 0)
                all += got;
        ck_assert_int_eq(all, count);
        for (int i = 0; i < count; i++)
                ck_assert_int_eq(bytes[i], value);
        close(fd);
}

START_TEST(descriptors_come_with_their_message)
{
        static const int counts[] = { 1, 0, 3, MOST, 0, 2 };
        struct taker taker;
        struct pair pair;

        open_pair(&pair, unix_streams[_i], &taker);
        for (int round = 0; round < 20; round++)
                for (int i = 0; i < 6; i++) {
                        int fd;

                        attach_pipe(&pair, counts[i], &fd);
                        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{number: %d, count: %d, text: 'x'}", i, counts[i]), 0);
                        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
                        expect_bytes(fd, (char)i, counts[i]);
                }
        ck_assert_uint_eq(taker.fds, 20 * (1 + 3 + MOST + 2));
        pair_close(&pair);
}
END_TEST

/* Requests and replies, many in flight. */
START_TEST(descriptors_come_with_requests_and_replies)
{
        enum { CALLS = 50 };
        ferry_call *calls[CALLS];
        int fds[CALLS];
        struct taker taker;
        struct pair pair;

        open_pair(&pair, unix_streams[_i], &taker);
        for (int i = 0; i < CALLS; i++) {
                attach_pipe(&pair, i % 3, &fds[i]);
                calls[i] = ferry_session_request(pair.us, SAFETY_MS, "App\\Take", "{number: %d, count: %d}", i, i % 3);
        }
        for (int i = 0; i < CALLS; i++) {
                const ferry_message *reply = ferry_call_await(calls[i]);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(calls[i]));
                ck_assert_uint_eq(ferry_message_fds(reply), (size_t)(i % 3));
                expect_bytes(fds[i], (char)i, i % 3);
                /* Those of replies are not taken. */
                ferry_call_free(calls[i]);
        }
        pair_close(&pair);
}
END_TEST

START_TEST(descriptors_stand_between_large_messages)
{
        struct taker taker;
        struct pair pair;
        char *text = make_text(300000);
        int fds[8];

        open_pair(&pair, unix_streams[_i], &taker);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        for (int i = 0; i < 8; i++) {
                ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{number: 99, text: %s}", text), 0);
                attach_pipe(&pair, 2, &fds[i]);
                ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{number: %d, count: 2, text: %s}", i, text), 0);
        }
        ck_assert_int_eq(ferry_session_release(pair.us), 0);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        for (int i = 0; i < 8; i++)
                expect_bytes(fds[i], (char)i, 2);
        ck_assert_int_eq(taker.messages, 16);
        free(text);
        pair_close(&pair);
}
END_TEST

/* A request that is taken back takes its descriptors along, and a message that is refused leaves them. */
START_TEST(descriptors_belong_to_a_message_that_is_sent)
{
        struct taker taker;
        struct pair pair;
        int fd, other;

        open_pair(&pair, unix_streams[_i], &taker);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        attach_pipe(&pair, 2, &fd);
        ferry_call_free(ferry_session_request(pair.us, SAFETY_MS, "App\\Take", "{number: 1, count: 2}"));
        expect_bytes(fd, 0, 0);
        ck_assert_int_eq(ferry_session_release(pair.us), 0);
        attach_pipe(&pair, 1, &fd);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{"), -EINVAL);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{number: 7, count: 1}"), 0);
        /* That the one before was refused. */
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), -EINVAL);
        expect_bytes(fd, 7, 1);
        attach_pipe(&pair, 1, &other);
        ck_assert_int_eq(ferry_session_attach(pair.us, -1), 0);
        expect_bytes(other, 0, 0);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{number: 8}"), 0);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        attach_pipe(&pair, 3, &fd);
        pair_close(&pair);
        expect_bytes(fd, 0, 0);
}
END_TEST

/* More than may be on their way, and than the process may have open in all. */
START_TEST(many_descriptors_pass_one_after_the_other)
{
        enum { MESSAGES = 2000 };
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC), refused = 0;
        struct taker taker;
        struct pair pair;

        open_pair(&pair, unix_streams[_i], &taker);
        for (int i = 0; i < MESSAGES; i++) {
                int code = ferry_session_attach(pair.us, null);

                if (code == -ENOBUFS) {
                        refused++;
                        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
                        code = ferry_session_attach(pair.us, null);
                }
                ck_assert_msg(code == 0, "%s", ferry_session_error(pair.us));
                ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{number: 1, count: 1}"), 0);
        }
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        ck_assert_uint_eq(taker.fds, MESSAGES);
        ck_assert_int_gt(refused, 0);
        close(null);
        pair_close(&pair);
}
END_TEST

START_TEST(attaching_has_limits)
{
        struct taker taker;
        struct pair pair;

        open_pair(&pair, unix_streams[_i], &taker);
        ck_assert_int_eq(ferry_session_attach(NULL, 0), -ENOMEM);
        ck_assert_int_eq(ferry_session_attach(pair.us, 1000000), -EBADF);
        ck_assert_int_eq(ferry_session_attach(pair.us, -2), -EBADF);
        /* None is attached then, and none is announced. */
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Nothing", "{count: 0}"), 0);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        for (int i = 0; i < MOST; i++)
                ck_assert_int_eq(ferry_session_attach(pair.us, 0), 0);
        ck_assert_int_eq(ferry_session_attach(pair.us, 0), -E2BIG);
        ck_assert_str_eq(ferry_session_error(pair.us), "a message has 32 descriptors at most");
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        for (int i = 0; i < 256 / MOST; i++) {
                for (int k = i == 0 ? MOST : 0; k < MOST; k++)
                        ck_assert_int_eq(ferry_session_attach(pair.us, 0), 0);
                ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Nothing", "{count: %d}", MOST), 0);
        }
        ck_assert_int_eq(ferry_session_attach(pair.us, 0), -ENOBUFS);
        ck_assert_uint_eq(ferry_message_fds(NULL), 0);
        ck_assert_int_eq(ferry_message_take_fd(NULL, 0), -ENOMEM);
        pair_close(&pair);
}
END_TEST

START_TEST(other_streams_pass_no_descriptors)
{
        struct taker taker;
        struct pair pair;

        open_pair(&pair, other_streams[_i], &taker);
        ck_assert_int_eq(ferry_session_attach(pair.us, 0), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_session_error(pair.us), "descriptors are passed over unix sockets only");
        pair_close(&pair);
        pair_open(&pair, STREAM_UNIX * DIALECTS + 1, NULL, NULL);
        ck_assert_int_eq(ferry_session_attach(pair.us, 0), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_session_error(pair.us), "the dialect stream-ipc passes no descriptors");
        pair_close(&pair);
}
END_TEST

START_TEST(a_client_that_has_heard_nothing_is_told_to_flush)
{
        struct taker taker = { 0 };
        struct pair pair;
        int fd;

        open_at(&pair, STREAM_UNIX, &taker);
        ck_assert_int_eq(ferry_session_attach(pair.us, 0), -EAGAIN);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        attach_pipe(&pair, 1, &fd);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{number: 3, count: 1}"), 0);
        ck_assert_int_eq(ferry_session_flush(pair.us, SAFETY_MS), 0);
        expect_bytes(fd, 3, 1);
        pair_close(&pair);
}
END_TEST

/* Frames of a peer that is not ours ------------------------------------------------------------------------- */

static void open_raw(struct raw *raw, const char *feature)
{
        unsigned char hello[64] = { 1, RAW_HELLO, 1 };
        size_t size = strlen(feature);

        raw_open(raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .shm = FERRY_SHM_NEVER });
        ferry_session_on(raw->session, FERRY_KIND_MESSAGE | FERRY_KIND_ERROR, NULL, NULL);
        memcpy(hello + 16, "\x81\xa8" "features\x91", 11);
        hello[27] = (unsigned char)(0xa0 | size);
        memcpy(hello + 28, feature, size);
        raw_frame(raw, hello, 28 + size);
        raw_expect(raw, RAW_HELLO, 0);
}

/* One byte of a ping, or a whole one, with so many descriptors. */
static void pass(struct raw *raw, const void *bytes, size_t size, int count)
{
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = "";
        struct iovec piece = { (void *)(uintptr_t)bytes, size };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
                                  .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int)) };
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        for (int i = 0; i < count; i++)
                memcpy(CMSG_DATA(head) + (size_t)i * sizeof fd, &fd, sizeof fd);
        ck_assert_int_eq(sendmsg(raw->out, &message, 0), (ssize_t)size);
        close(fd);
}

static size_t make_frame(unsigned char frame[64], int kind, int body)
{
        unsigned char payload[] = { 1, (unsigned char)kind, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (unsigned char)body };

        memcpy(frame, "\xf3\x4a\x9d\xe2\0\0\0\x11", 8);
        memcpy(frame + 8, payload, sizeof payload);
        return 8 + sizeof payload;
}

static void announce(struct raw *raw, int body, int passed)
{
        unsigned char frame[64];
        size_t size = make_frame(frame, RAW_DESCRIPTORS, body);

        if (passed > 0)
                pass(raw, frame, size, passed);
        else
                raw_write(raw, frame, size);
}

/* Both sides know why. */
static void expect_end(struct raw *raw, const char *reason)
{
        while (ferry_session_status(raw->session) == 1)
                ferry_loop_tick(raw->loop, SAFETY_MS);
        ck_assert_int_eq(ferry_session_status(raw->session), -EBADMSG);
        ck_assert_msg(strstr(ferry_session_error(raw->session), reason) != NULL, "%s", ferry_session_error(raw->session));
        raw_expect(raw, RAW_REFUSED, 0);
        ck_assert_msg(memmem(raw->bytes, raw->size, reason, strlen(reason)) != NULL, "the other side hears nothing");
        raw_close(raw);
}

START_TEST(a_peer_that_breaks_the_rules_is_ended)
{
        static const struct {
                int body, passed;
                const char *reason;
        } broken[] = {
                { 1, 0, "it has announced some that have not come" },
                { 2, 1, "it has announced another number than have come" },
                { 0, 1, "it has announced too many" },
                { 33, 1, "it has announced too many" },
                { 0xff, 1, "it has announced too many" },
                { 0xc0, 1, "it has announced too many" },
                { 32, 33, "it has sent more than may wait" },
        };
        struct raw raw;

        open_raw(&raw, "descriptors");
        announce(&raw, broken[_i].body, broken[_i].passed);
        expect_end(&raw, broken[_i].reason);
}
END_TEST

START_TEST(descriptors_for_no_message_end_the_peer)
{
        struct raw raw;

        open_raw(&raw, "descriptors");
        announce(&raw, 1, 1);
        raw_send(&raw, RAW_PING, 5, "", NULL);
        expect_end(&raw, "it has announced some for no message");
        open_raw(&raw, "descriptors");
        announce(&raw, 1, 1);
        announce(&raw, 1, 1);
        expect_end(&raw, "it has announced some for no message");
}
END_TEST

/* Between the bytes of a frame that never ends. */
START_TEST(a_flood_of_descriptors_ends_the_peer)
{
        struct raw raw;
        unsigned char frame[64];

        open_raw(&raw, "descriptors");
        make_frame(frame, RAW_NOTIFICATION, 0);
        frame[5] = 1;
        raw_write(&raw, frame, 25);
        for (int i = 0; i < 40 && ferry_session_status(raw.session) == 1; i++) {
                pass(&raw, "x", 1, MOST);
                ferry_loop_tick(raw.loop, SAFETY_MS);
        }
        expect_end(&raw, "it has sent more than may wait");
}
END_TEST

START_TEST(a_peer_that_takes_no_descriptors_is_sent_none)
{
        struct raw raw;

        open_raw(&raw, "other");
        ck_assert_int_eq(ferry_session_attach(raw.session, 0), -EOPNOTSUPP);
        ck_assert_str_eq(ferry_session_error(raw.session), "the other side takes no descriptors");
        raw_close(&raw);
}
END_TEST

/* What cannot be had is refused, and the conversation goes on. */
START_TEST(a_message_for_whose_descriptors_there_is_no_room_is_refused)
{
        struct rlimit limit, tight;
        const ferry_message *message;
        struct raw raw;
        int lowest;

        open_raw(&raw, "descriptors");
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        announce(&raw, 5, 5);
        lowest = dup(raw.out);
        close(lowest);
        tight = (struct rlimit){ (rlim_t)lowest + (rlim_t)_i * 2, limit.rlim_max };
        raw_send(&raw, RAW_REQUEST, 1, "t", "x");
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
        raw_expect(&raw, RAW_REFUSED, 1);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_assert_ptr_nonnull(memmem(raw.bytes, raw.size, "no descriptor is left", 21));
        announce(&raw, 5, 5);
        raw_send(&raw, RAW_REQUEST, 2, "t", "y");
        do
                message = ferry_session_next(raw.session, SAFETY_MS);
        while (message && ferry_message_kind(message) == FERRY_KIND_ERROR);
        ck_assert_str_eq(ferry_message_text(message), "y");
        ck_assert_uint_eq(ferry_message_fds(message), 5);
        raw_close(&raw);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(descriptors_come_with_their_message, 3),
        SUITE_LOOP(descriptors_come_with_requests_and_replies, 3),
        SUITE_LOOP(descriptors_stand_between_large_messages, 3),
        SUITE_LOOP(descriptors_belong_to_a_message_that_is_sent, 3),
        SUITE_LOOP(many_descriptors_pass_one_after_the_other, 3),
        SUITE_LOOP(attaching_has_limits, 3),
        SUITE_LOOP(other_streams_pass_no_descriptors, 5),
        SUITE_TEST(a_client_that_has_heard_nothing_is_told_to_flush),
        SUITE_LOOP(a_peer_that_breaks_the_rules_is_ended, 7),
        SUITE_TEST(descriptors_for_no_message_end_the_peer),
        SUITE_TEST(a_flood_of_descriptors_ends_the_peer),
        SUITE_TEST(a_peer_that_takes_no_descriptors_is_sent_none),
        SUITE_LOOP(a_message_for_whose_descriptors_there_is_no_room_is_refused, 2),
};

SUITE_MAIN("conformance-descriptors", tests)
