/* A program that sends much is notified when the queue has room again, and needs no flush. */
#include "conformance/pair.h"
#include "conformance/raw.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, MESSAGES = 300, SIZE = 20000, QUEUE_MAX = 100000 };

struct sender {
        char *text;
        int next, refused, drained;
        int64_t most;                   /* that was queued at an event */
};

/* Until all are sent, or one is refused. */
static void send_more(ferry_session *session, struct sender *sender)
{
        while (sender->next < MESSAGES) {
                int code = ferry_session_notify(session, "App\\Load", "{number: %d, text: %.*s}", sender->next, SIZE, sender->text);

                ck_assert_int_le(ferry_session_queued(session), QUEUE_MAX);
                if (code == -ENOBUFS) {
                        sender->refused++;
                        break;
                }
                ck_assert_int_eq(code, 0);
                sender->next++;
        }
}

static int note_drained(ferry_session *session, const ferry_message *event, void *userdata)
{
        struct sender *sender = userdata;

        ck_assert_int_eq(ferry_message_kind(event), FERRY_KIND_DRAINED);
        ck_assert_str_eq(ferry_message_id(event), "");
        sender->drained++;
        sender->most = ferry_session_queued(session) > sender->most ? ferry_session_queued(session) : sender->most;
        if (sender->text)
                send_more(session, sender);
        return 0;
}

START_TEST(a_sender_goes_on_when_the_queue_has_room_again)
{
        struct sender sender = { .text = make_text(SIZE) };
        struct pair pair;

        pair_open(&pair, _i, &(ferry_session_options){ .queue_max = QUEUE_MAX }, NULL);
        ferry_session_on(pair.us, FERRY_KIND_DRAINED, note_drained, &sender);
        send_more(pair.us, &sender);
        while (sender.next < MESSAGES)
                ck_assert_int_eq(ferry_loop_tick(pair.loop, SAFETY_MS), 1);
        ck_assert_int_ge(sender.drained, sender.refused);
        ck_assert_int_lt(sender.most, QUEUE_MAX / 2);
        /* Other processes may read as fast as this one writes. */
        if (pair.stream != STREAM_EXEC)
                ck_assert_int_gt(sender.refused, 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), MESSAGES);
        ck_assert_int_eq(ferry_session_queued(pair.us), 0);
        free(sender.text);
        pair_close(&pair);
}
END_TEST

/* Which is never more than half full. */
START_TEST(a_large_message_that_was_refused_is_followed_by_an_event)
{
        struct sender sender = { 0 };
        char *text = make_text(QUEUE_MAX - 500);
        struct pair pair;

        pair_open(&pair, _i, &(ferry_session_options){ .queue_max = QUEUE_MAX }, NULL);
        ferry_session_on(pair.us, FERRY_KIND_DRAINED, note_drained, &sender);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{text: %.*s}", 600, text), 0);
        ck_assert_int_gt(ferry_session_queued(pair.us), 600);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{text: %s}", text), -ENOBUFS);
        ck_assert_int_eq(ferry_session_release(pair.us), 0);
        while (sender.drained == 0)
                ck_assert_int_eq(ferry_loop_tick(pair.loop, SAFETY_MS), 1);
        ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{text: %s}", text), 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 2);
        free(text);
        pair_close(&pair);
}
END_TEST

START_TEST(a_queue_that_is_never_half_full_reports_nothing)
{
        struct sender sender = { 0 };
        struct pair pair;

        pair_open(&pair, _i, NULL, NULL);
        ferry_session_on(pair.us, FERRY_KIND_DRAINED, note_drained, &sender);
        for (int i = 0; i < 50; i++)
                ck_assert_int_eq(ferry_session_notify(pair.us, "App\\Load", "{text: 'x'}"), 0);
        ck_assert_int_eq(pair_report(&pair, "notifications"), 50);
        ck_assert_int_eq(sender.drained, 0);
        pair_close(&pair);
}
END_TEST

START_TEST(the_event_can_be_fetched)
{
        char *text = make_text(SIZE);
        struct pair pair;
        const ferry_message *event;
        int code;

        pair_open(&pair, _i, &(ferry_session_options){ .queue_max = QUEUE_MAX }, NULL);
        ferry_session_on(pair.us, FERRY_KIND_DRAINED, NULL, NULL);
        ck_assert_int_eq(ferry_session_hold(pair.us), 0);
        while ((code = ferry_session_notify(pair.us, "App\\Load", "{text: %s}", text)) == 0)
                ;
        ck_assert_int_eq(code, -ENOBUFS);
        event = ferry_session_next(pair.us, SAFETY_MS);
        ck_assert_int_eq(ferry_message_kind(event), FERRY_KIND_DRAINED);
        ck_assert_int_lt(ferry_session_queued(pair.us), QUEUE_MAX / 2);
        free(text);
        pair_close(&pair);
}
END_TEST

START_TEST(what_will_never_be_sent_is_not_counted)
{
        struct raw raw;

        ck_assert_int_eq(ferry_session_queued(NULL), -ENOMEM);
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ck_assert_int_eq(ferry_session_hold(raw.session), 0);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "'x'"), 0);
        /* A hello, and a frame of 8 + 16 + 1 + 2 bytes. */
        ck_assert_int_gt(ferry_session_queued(raw.session), 27);
        close(raw.in);
        raw.in = raw.out = -1;
        while (ferry_session_status(raw.session) == 1)
                ck_assert_int_ge(ferry_loop_tick(raw.loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_queued(raw.session), ferry_session_status(raw.session));
        ck_assert_int_lt(ferry_session_queued(raw.session), 0);
        raw_close(&raw);
}
END_TEST

static int note_client(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_session **clients = userdata;

        (void)message;
        clients[clients[0] ? 1 : 0] = session;
        return 0;
}

static int connect_to(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, path, strlen(path) + 1);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

/* Its own queue is empty. */
START_TEST(a_client_is_notified_when_its_service_has_room_again)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session_options sessions = { .dialect = FERRY_DIALECT_FERRY };
        char directory[] = "/tmp/ferry-flow-XXXXXX", address[64], *text = make_text(QUEUE_MAX), bytes[4096];
        struct sender sender = { 0 };
        ferry_session *clients[2] = { NULL, NULL };
        ferry_service *service;
        int fds[2], code;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(address, sizeof address, "unix:%s/socket", directory);
        service = ferry_service_open(loop, address, &(ferry_service_options){ .session = &sessions, .bytes_max = 10 * QUEUE_MAX,
                                                                               .dialects = FERRY_DIALECT_FERRY });
        ferry_service_on(service, FERRY_KIND_OPENED, note_client, clients);
        ferry_service_on(service, FERRY_KIND_DRAINED, note_drained, &sender);
        for (int i = 0; i < 2; i++)
                fds[i] = connect_to(address + 5);
        while (!clients[1])
                ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
        while ((code = ferry_session_notify(clients[0], "t", "%s", text)) == 0)
                ;
        ck_assert_int_eq(code, -ENOBUFS);
        ck_assert_int_eq(ferry_session_notify(clients[1], "t", "%.*s", QUEUE_MAX / 2, text), 0);
        while ((code = ferry_session_notify(clients[1], "t", "%s", text)) == 0)
                ;
        ck_assert_int_eq(code, -ENOBUFS);
        /* The second reads all; there is room for it only once the first has read, too. */
        while (ferry_session_queued(clients[1]) > 0) {
                ck_assert_int_gt(read(fds[1], bytes, sizeof bytes), 0);
                ferry_loop_tick(loop, 0);
        }
        while (sender.drained < 2) {
                ck_assert_int_gt(read(fds[0], bytes, sizeof bytes), 0);
                ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
        }
        ck_assert_int_eq(ferry_session_notify(clients[1], "t", "%s", text), 0);
        ferry_loop_free(loop);
        close(fds[0]);
        close(fds[1]);
        free(text);
        ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_sender_goes_on_when_the_queue_has_room_again, PAIRS),
        SUITE_LOOP(a_large_message_that_was_refused_is_followed_by_an_event, PAIRS),
        SUITE_LOOP(a_queue_that_is_never_half_full_reports_nothing, PAIRS),
        SUITE_LOOP(the_event_can_be_fetched, PAIRS),
        SUITE_TEST(what_will_never_be_sent_is_not_counted),
        SUITE_TEST(a_client_is_notified_when_its_service_has_room_again),
};

SUITE_MAIN("conformance-flow", tests)
