/* Clients that only listen: what all clients are notified of reaches those that know which dialect the service speaks. And the
 * limit of what a service holds for all its clients together. */
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct heard {
        int notified, errors, closed;
        int status;
        char text[256];
};

static int hear(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct heard *heard = userdata;

        heard->notified += ferry_message_kind(message) == FERRY_KIND_NOTIFICATION;
        heard->errors += ferry_message_kind(message) == FERRY_KIND_ERROR;
        if (ferry_message_kind(message) == FERRY_KIND_ERROR)
                snprintf(heard->text, sizeof heard->text, "%s", ferry_message_text(message));
        if (ferry_message_kind(message) == FERRY_KIND_CLOSED) {
                heard->closed++;
                heard->status = ferry_session_status(session);
        }
        return 0;
}

static ferry_session *listen_to(struct place *place, const char *address, unsigned dialect, struct heard *heard)
{
        ferry_session *session = ferry_session_open(place->loop, address, &(ferry_session_options){ .dialect = dialect });

        *heard = (struct heard){ 0 };
        ferry_session_on(session, FERRY_KIND_NOTIFICATION | FERRY_KIND_ERROR | FERRY_KIND_CLOSED, hear, heard);
        settle(place);
        return session;
}

START_TEST(a_client_that_only_listens_is_notified)
{
        static const char *const addresses[] = { NULL, "listened-to", "tcp:127.0.0.1:0" };
        const char *address = addresses[_i % 3];
        unsigned dialect = _i < 2 ? FERRY_DIALECT_AUTO : FERRY_DIALECT_FERRY;
        ferry_service_options options = { 0 };
        struct heard at_client, at_service = { 0 };
        struct place place;
        ferry_service *service;
        ferry_session *session;

        open_place(&place);
        setenv("FERRY_DIR", place.directory, 1);
        service = ferry_service_open(place.loop, address ? address : place.address, &options);
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_CLOSED, hear, &at_service);
        session = listen_to(&place, address && _i != 2 ? address : ferry_service_address(service), dialect, &at_client);
        ck_assert_int_eq(ferry_service_notify(service, "t", "'news'"), 1);
        while (at_client.notified == 0)
                tick(&place);
        /* It takes its leave. */
        ferry_session_close(session);
        while (at_service.closed == 0 || at_client.closed == 0)
                tick(&place);
        ck_assert_int_eq(at_service.status, 0);
        ck_assert_int_eq(at_client.status, 0);
        close_place(&place);
}
END_TEST

/* Its hello goes with what it sends, if it sends something at once. */
START_TEST(a_client_that_speaks_at_once_announces_nothing)
{
        struct place place;
        ferry_service *service;
        ferry_session *session;

        open_place(&place);
        service = open_echo(&place, NULL);
        session = ferry_session_open(place.loop, place.address, NULL);
        require_echo(session);
        FERRY_AUTO(ferry_value) info = ferry_session_info(ferry_service_client(service, NULL));
        ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "received"), 0), 2);
        close_place(&place);
}
END_TEST

/* Nothing says that the service speaks ferry: it says that it does not, it has no lock, or it is one of
 * tcp; or the client speaks a dialect that has no hello. */
START_TEST(a_client_that_does_not_know_the_dialect_stays_silent)
{
        ferry_service_options options = { .dialects = _i == 0 ? FERRY_DIALECT_STREAM_IPC : 0 };
        struct heard heard;
        struct place place;
        char lock[128], away[128];
        ferry_service *service;

        open_place(&place);
        snprintf(lock, sizeof lock, "%s.lock", place.path);
        snprintf(away, sizeof away, "%s.away", place.path);
        service = ferry_service_open(place.loop, _i == 1 ? "tcp:127.0.0.1:0" : place.address, &options);
        if (_i == 2)
                ck_assert_int_eq(rename(lock, away), 0);
        listen_to(&place, ferry_service_address(service), _i == 3 ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_AUTO, &heard);
        ck_assert_ptr_nonnull(ferry_service_client(service, NULL));
        FERRY_AUTO(ferry_value) info = ferry_session_info(ferry_service_client(service, NULL));
        ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "received"), -1), 0);
        ck_assert_int_eq(heard.errors, 0);
        if (_i == 2)
                ck_assert_int_eq(rename(away, lock), 0);
        close_place(&place);
}
END_TEST

/* A service that is no ferry's is sent nothing. */
START_TEST(a_stranger_s_socket_is_sent_nothing)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        struct heard heard;
        struct place place;
        char byte;
        int fd, client;

        open_place(&place);
        strcpy(name.sun_path, place.path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(listen(fd, 1), 0);
        listen_to(&place, place.address, FERRY_DIALECT_AUTO, &heard);
        client = accept(fd, NULL, NULL);
        ck_assert_int_eq(recv(client, &byte, 1, MSG_DONTWAIT), -1);
        ck_assert_int_eq(errno, EAGAIN);
        close(client);
        close(fd);
        unlink(place.path);
        close_place(&place);
}
END_TEST

/* Without a descriptor for the lock file it cannot know, and says so. It is served like any other. */
START_TEST(a_client_that_cannot_look_says_so)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct place place, client;
        struct heard heard;
        struct rlimit limit, none;
        ferry_service *service;
        ferry_session *session;
        int fd;

        open_place(&place);
        service = open_echo(&place, NULL);
        client = place;
        client.loop = loop;
        session = ferry_session_open(loop, place.address, NULL);
        settle(&place);
        ferry_session_on(session, FERRY_KIND_ERROR, hear, &heard);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = limit;
        fd = dup(0);
        close(fd);
        none.rlim_cur = (rlim_t)fd;
        heard = (struct heard){ 0 };
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        settle(&client);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_assert_int_eq(heard.errors, 1);
        ck_assert_msg(strstr(heard.text, place.path) && strstr(heard.text, "Too many open files"), "%s", heard.text);
        ck_assert_int_eq(ferry_service_notify(service, "t", "'news'"), 0);
        ck_assert_int_eq(ferry_session_notify(session, "t", "'x'"), 0);
        settle(&place);
        ck_assert_int_eq(ferry_service_notify(service, "t", "'news'"), 1);
        ferry_session_free(session);
        close_place(&place);
}
END_TEST

/* More than a service may hold -------------------------------------------------------------------------- */

enum { HOGS = 4, REQUESTS = 200, REQUEST_SIZE = 16384, HELD_MAX = 1 << 20, READ_AT_ONCE = 1 << 18 };

struct pile {
        ferry_message *requests[HOGS * REQUESTS];
        int count, answered;
};

static int pile_up(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct pile *pile = userdata;

        (void)session;
        if (strcmp(ferry_message_type(request), "large") != 0)
                return 0;
        pile->requests[pile->count++] = ferry_message_ref(request);
        return 1;
}

static void count_answer(ferry_call *call, const ferry_message *reply, void *userdata)
{
        (void)call;
        ((struct pile *)userdata)->answered += reply != NULL;
}

static ferry_service *open_limited(struct place *place, struct pile *pile)
{
        ferry_service *service;

        memset(pile, 0, sizeof *pile);
        open_place(place);
        service = ferry_service_open(place->loop, place->address, &(ferry_service_options){ .bytes_max = HELD_MAX });
        ferry_service_on(service, FERRY_KIND_REQUEST, pile_up, pile);
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        return service;
}

/* Requests beyond it stay with their clients, until others are answered; and a client for which nothing is held is served. */
START_TEST(what_is_held_for_all_clients_is_limited)
{
        static struct pile pile;
        static char text[REQUEST_SIZE + 1];
        struct place place;
        ferry_session *modest;
        int seen = 0;

        memset(text, 'x', REQUEST_SIZE);
        open_limited(&place, &pile);
        for (int i = 0; i < HOGS; i++) {
                ferry_session *hog = ferry_session_open(place.loop, place.address, NULL);

                for (int j = 0; j < REQUESTS; j++)
                        ferry_call_then(ferry_session_request(hog, SAFETY_MS, "large", "%s", text), count_answer, &pile);
        }
        settle(&place);
        ck_assert_int_ge(pile.count, HOGS);
        ck_assert_int_le(pile.count * REQUEST_SIZE, HELD_MAX + HOGS * READ_AT_ONCE);
        modest = ferry_session_open(place.loop, place.address, NULL);
        for (int i = 0; i < 3; i++)
                require_echo(modest);
        while (seen < HOGS * REQUESTS) {
                while (seen < pile.count) {
                        ck_assert_int_eq(ferry_message_reply(pile.requests[seen], NULL, "'done'"), 0);
                        ferry_message_unref(pile.requests[seen++]);
                }
                tick(&place);
        }
        while (pile.answered < HOGS * REQUESTS)
                tick(&place);
        close_place(&place);
}
END_TEST

/* Clients that do not read get no more of what all are notified of; as soon as they read, they do. */
START_TEST(notifications_beyond_the_limit_are_refused)
{
        static struct pile pile;
        static char text[REQUEST_SIZE + 1], bytes[1 << 20];
        ferry_session *clients[HOGS];
        struct place place;
        ferry_service *service;
        int64_t held = 0;
        int fds[HOGS], code;

        memset(text, 'x', REQUEST_SIZE);
        service = open_limited(&place, &pile);
        for (int i = 0; i < HOGS; i++) {
                unsigned char frame[264];

                fds[i] = connect_raw(&place);
                send_raw(fds[i], frame, make_request(frame, 1, "t"));
                settle(&place);
                clients[i] = ferry_service_client(service, i == 0 ? NULL : clients[i - 1]);
        }
        for (int i = 0; (code = ferry_service_notify(service, "t", "%s", text)) > 0; i++)
                ck_assert_int_lt(i, 1000);
        ck_assert_int_eq(code, -ENOBUFS);
        for (int i = 0; i < HOGS; i++) {
                FERRY_AUTO(ferry_value) info = ferry_session_info(clients[i]);

                held += ferry_value_int(ferry_value_get(info, "queued"), 0);
                ck_assert_int_eq(ferry_session_notify(clients[i], "t", "%s", text), -ENOBUFS);
        }
        ck_assert_int_le(held, HELD_MAX);
        ck_assert_int_gt(held, HELD_MAX / 4);
        for (int i = 0; i < HOGS; i++)
                while (receive_raw(fds[i], bytes, sizeof bytes) > 0)
                        settle(&place);
        ck_assert_int_eq(ferry_service_notify(service, "t", "%s", text), HOGS);
        for (int i = 0; i < HOGS; i++)
                close(fds[i]);
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_client_that_only_listens_is_notified, 3),
        SUITE_TEST(a_client_that_speaks_at_once_announces_nothing),
        SUITE_LOOP(a_client_that_does_not_know_the_dialect_stays_silent, 4),
        SUITE_TEST(a_stranger_s_socket_is_sent_nothing),
        SUITE_TEST(a_client_that_cannot_look_says_so),
        SUITE_TEST(what_is_held_for_all_clients_is_limited),
        SUITE_TEST(notifications_beyond_the_limit_are_refused),
};

SUITE_MAIN("service-notify", tests)
