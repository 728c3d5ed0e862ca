/* Services: what the dead left is cleared away and the living are never pushed aside; the socket has its mode; clients are
 * sessions of their own that do not disturb each other; and closing finishes what is in hand and tells the clients. */
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The name -------------------------------------------------------------------------------------------- */

/* A server that was killed leaves its socket and its lock. */
START_TEST(what_the_dead_left_is_cleared_away)
{
        struct place place;
        int fds[2], status;
        char byte;
        pid_t pid;

        open_place(&place);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                ferry_loop *loop = ferry_loop_new(NULL);
                ferry_service *service = ferry_service_open(loop, place.address, NULL);

                if (ferry_service_status(service) != 1 || write(fds[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(fds[1]);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        close(fds[0]);
        ck_assert_int_eq(access(place.path, F_OK), 0);
        open_echo(&place, NULL);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

/* Left by a server that knows no lock. */
START_TEST(a_bare_socket_without_a_listener)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        struct place place;
        int fd;

        open_place(&place);
        strcpy(name.sun_path, place.path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        close(fd);
        open_echo(&place, NULL);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

START_TEST(the_living_are_not_pushed_aside)
{
        struct place place;
        ferry_service *second;
        ferry_loop *other = ferry_loop_new(NULL);
        char text[32];

        open_place(&place);
        open_echo(&place, NULL);
        for (int i = 0; i < 2; i++) {
                second = ferry_service_open(i == 0 ? place.loop : other, place.address, NULL);
                ck_assert_int_eq(ferry_service_status(second), -EADDRINUSE);
                snprintf(text, sizeof text, "process %d", (int)getpid());
                ck_assert_msg(strstr(ferry_service_error(second), text) && strstr(ferry_service_error(second), place.path),
                              "%s", ferry_service_error(second));
                ck_assert_int_eq(ferry_service_close(second), -EADDRINUSE);
                ck_assert_int_eq(ferry_service_notify(second, "t", "{}"), -EADDRINUSE);
                ck_assert_ptr_null(ferry_service_client(second, NULL));
                ferry_service_free(second);
        }
        ferry_loop_free(other);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

START_TEST(a_living_stranger_is_not_pushed_aside)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        struct place place;
        ferry_service *service;
        int fd;

        open_place(&place);
        strcpy(name.sun_path, place.path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(listen(fd, 1), 0);
        service = ferry_service_open(place.loop, place.address, NULL);
        ck_assert_int_eq(ferry_service_status(service), -EADDRINUSE);
        ck_assert_int_eq(access(place.path, F_OK), 0);
        close(fd);
        unlink(place.path);
        close_place(&place);
}
END_TEST

START_TEST(a_file_is_not_replaced)
{
        struct place place;
        ferry_service *service;

        open_place(&place);
        close(open(place.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        service = ferry_service_open(place.loop, place.address, NULL);
        ck_assert_int_eq(ferry_service_status(service), -EADDRINUSE);
        ck_assert_msg(strstr(ferry_service_error(service), "not a socket"), "%s", ferry_service_error(service));
        ck_assert_int_eq(access(place.path, F_OK), 0);
        unlink(place.path);
        close_place(&place);
}
END_TEST

/* What cannot be listened at. */
static const struct {
        const char *address;
        int code;
} unheard[] = {
        { "unix:/nowhere/at/all", -ENOENT },
        { "stdio:", -EINVAL },
        { "exec:true", -EINVAL },
        { "non.sense", -EINVAL },
        { NULL, -EINVAL },
        { "unix:"
          "/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789",
          -ENAMETOOLONG },
};

START_TEST(what_cannot_be_listened_at_fails_at_once)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = ferry_service_open(loop, unheard[_i].address, NULL);

        ck_assert_int_eq(ferry_service_status(service), unheard[_i].code);
        ck_assert_msg(!unheard[_i].address || strstr(ferry_service_error(service), strchr(unheard[_i].address, ':') ?
                      strchr(unheard[_i].address, ':') + 1 : unheard[_i].address), "%s", ferry_service_error(service));
        /* Questions have reported nothing. */
        ck_assert_int_eq(ferry_loop_run(loop, -1), unheard[_i].code);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        service = ferry_service_open(loop, unheard[_i].address, NULL);
        ck_assert_int_eq(ferry_service_close(service), unheard[_i].code);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ferry_loop_free(loop);
}
END_TEST

static const struct {
        unsigned mode;
        unsigned mask;
        unsigned seen;
} modes[] = { { 0, 0, 0600 }, { 0, 077, 0600 }, { 0666, 022, 0666 }, { 0660, 0, 0660 }, { 0600, 0, 0600 } };

START_TEST(the_socket_has_its_mode)
{
        struct place place;
        struct stat stat;
        mode_t mask = umask(modes[_i].mask);

        open_place(&place);
        open_echo(&place, &(ferry_service_options){ .mode = modes[_i].mode });
        ck_assert_int_eq(lstat(place.path, &stat), 0);
        ck_assert_uint_eq(stat.st_mode & 07777, modes[_i].seen);
        /* The umask belongs to the program. */
        ck_assert_uint_eq(umask(mask), modes[_i].mask);
        close_place(&place);
}
END_TEST

START_TEST(there_is_no_such_group)
{
        struct place place;
        ferry_service *service;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, &(ferry_service_options){ .group = "no such group" });
        ck_assert_int_eq(ferry_service_status(service), -EINVAL);
        close_place(&place);
}
END_TEST

static const struct {
        const char *address;    /* NULL: a path */
        ferry_service_options options;
} refused[] = {
        { NULL, { .mode = 01600 } }, { NULL, { .mode = 0100644 } },
        { "tcp:127.0.0.1:0", { .mode = 0600 } }, { "tcp:127.0.0.1:0", { .group = "root" } },
        { NULL, { .group = "4294967295" } }, { NULL, { .group = "1x" } },
};

START_TEST(a_mode_and_a_group_that_a_socket_cannot_have_are_refused)
{
        ferry_service_options options = refused[_i].options;
        struct place place;
        ferry_service *service;

        open_place(&place);
        service = ferry_service_open(place.loop, refused[_i].address ? refused[_i].address : place.address, &options);
        ck_assert_int_eq(ferry_service_status(service), -EINVAL);
        close_place(&place);
}
END_TEST

/* A client that comes too early may wait. */
static int open_late(ferry_loop *loop, void *userdata)
{
        struct place *place = userdata;

        (void)loop;
        open_echo(place, NULL);
        return 0;
}

START_TEST(a_client_waits_for_the_service)
{
        struct place place;
        ferry_session *session, *impatient;

        open_place(&place);
        impatient = ferry_session_open(place.loop, place.address, &(ferry_session_options){ .wait_ms = 2 });
        session = ferry_session_open(place.loop, place.address, &(ferry_session_options){ .wait_ms = SAFETY_MS });
        while (ferry_session_status(impatient) == 1)
                ferry_loop_tick(place.loop, SAFETY_MS);
        ck_assert_int_eq(ferry_session_status(impatient), -ENOENT);
        ck_assert_msg(strstr(ferry_session_error(impatient), place.path), "%s", ferry_session_error(impatient));
        ck_assert_int_eq(ferry_session_notify(session, "t", "'before it is up'"), 0);
        ferry_loop_after(place.loop, 0, open_late, &place);
        require_echo(session);
        close_place(&place);
}
END_TEST

/* Clients --------------------------------------------------------------------------------------------- */

static int greet(ferry_session *client, const ferry_message *message, void *userdata)
{
        int *number = userdata;

        (void)message;
        ferry_session_set_userdata(client, number + ++*number);
        return 0;
}

START_TEST(clients_are_distinguished)
{
        enum { COUNT = 5 };
        struct place place;
        ferry_service *service;
        ferry_session *clients[COUNT], *client = NULL;
        int numbers[COUNT + 1] = { 0 }, opened = 0, closed = 0, seen = 0;

        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_OPENED, greet, numbers);
        ferry_service_on(service, FERRY_KIND_OPENED, count, &opened);
        ferry_service_on(service, FERRY_KIND_CLOSED, count, &closed);
        for (int i = 0; i < COUNT; i++) {
                clients[i] = ferry_session_open(place.loop, place.address, NULL);
                require_echo(clients[i]);
        }
        ck_assert_int_eq(opened, COUNT);
        while ((client = ferry_service_client(service, client))) {
                ck_assert_ptr_eq(ferry_session_userdata(client), numbers + ++seen);
                ck_assert_ptr_eq(ferry_session_service(client), service);
                ck_assert_int_eq(ferry_session_peer(client).pid, getpid());
                ck_assert_uint_eq(ferry_session_peer(client).uid, getuid());
                ck_assert_str_eq(ferry_session_address(client), place.address);
        }
        ck_assert_int_eq(seen, COUNT);
        ck_assert_ptr_null(ferry_session_service(clients[0]));
        ferry_session_close(clients[2]);
        while (closed == 0)
                tick(&place);
        seen = 0;
        while ((client = ferry_service_client(service, client)))
                seen += ferry_session_userdata(client) != numbers + 3;
        ck_assert_int_eq(seen, COUNT - 1);
        close_place(&place);
        ck_assert_int_eq(closed, COUNT);
}
END_TEST

START_TEST(all_are_notified)
{
        enum { COUNT = 4 };
        struct place place;
        ferry_service *service;
        int got = 0;

        open_place(&place);
        service = open_echo(&place, NULL);
        ck_assert_int_eq(ferry_service_notify(service, "t", "{}"), 0);
        for (int i = 0; i < COUNT; i++) {
                ferry_session_options options = { .dialect = i % 2 ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_FERRY };
                ferry_session *session = ferry_session_open(place.loop, place.address, &options);

                ferry_session_on(session, FERRY_KIND_NOTIFICATION, count, &got);
                if (i % 2)
                        ferry_call_free(ferry_session_request(session, SAFETY_MS, "App\\T", "{}"));
                else
                        require_echo(session);
                while (ferry_loop_tick(place.loop, 0) == 1)
                        ;
        }
        /* Each in its own dialect. */
        ck_assert_int_eq(ferry_service_notify(service, "App\\T", "{text: %s}", "hello"), COUNT);
        while (got < COUNT)
                tick(&place);
        ck_assert_int_eq(ferry_service_notify(service, "App\\T", "{broken"), -EINVAL);
        ck_assert_int_eq(ferry_service_notify(service, NULL, "{}"), -EINVAL);
        close_place(&place);
        ck_assert_int_eq(got, COUNT);
}
END_TEST

static int take(ferry_session *session, const ferry_message *message, void *userdata)
{
        count(session, message, userdata);
        return ferry_message_kind(message) == FERRY_KIND_REQUEST ? ferry_message_reply(message, NULL, "'taken'") : 1;
}

static int add_handler(ferry_session *client, const ferry_message *message, void *userdata)
{
        (void)message;
        ferry_session_on(client, FERRY_KIND_REQUEST, take, userdata);
        return 0;
}

/* A client's own handlers are asked before the service's. */
START_TEST(handlers_of_a_client_come_first)
{
        struct place place;
        ferry_service *service;
        ferry_session *session;
        ferry_call *call;
        int taken = 0;

        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_OPENED, add_handler, &taken);
        session = ferry_session_open(place.loop, place.address, NULL);
        call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        ck_assert_str_eq(ferry_message_text(ferry_call_await(call)), "taken");
        ferry_call_free(call);
        ck_assert_int_eq(taken, 1);
        ferry_service_off(service, echo, NULL);
        ferry_service_off(service, add_handler, &taken);
        session = ferry_session_open(place.loop, place.address, NULL);
        call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        ferry_call_free(call);
        close_place(&place);
}
END_TEST

/* What is wrong with one client does not touch another: half a frame, junk, silence, a sudden end. */
START_TEST(clients_do_not_disturb_each_other)
{
        struct place place;
        ferry_session *session;
        int half, junk, silent, closed = 0, errors = 0;
        ferry_service *service;

        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_CLOSED, count, &closed);
        ferry_service_on(service, FERRY_KIND_ERROR, count, &errors);
        half = connect_raw(&place);
        ck_assert_int_eq(send(half, "\xf3\x4a\x9d\xe2\0\0\1\0\1\2", 10, MSG_NOSIGNAL), 10);
        junk = connect_raw(&place);
        ck_assert_int_eq(send(junk, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
        silent = connect_raw(&place);
        session = ferry_session_open(place.loop, place.address, NULL);
        for (int i = 0; i < 50; i++)
                require_echo(session);
        close(half);
        while (closed < 2)
                tick(&place);
        require_echo(session);
        ck_assert_int_eq(ferry_service_status(service), 1);
        /* The failure of a client is not one of the program's. */
        ck_assert_int_eq(ferry_loop_run(place.loop, 0), 0);
        close(junk);
        close(silent);
        close_place(&place);
}
END_TEST

/* At the limit one that never spoke makes room, the first of them; one that did never. */
START_TEST(there_is_a_limit)
{
        struct place place;
        ferry_session *first, *third;
        int silent, other;

        open_place(&place);
        open_echo(&place, &(ferry_service_options){ .clients_max = 2 });
        first = ferry_session_open(place.loop, place.address, NULL);
        require_echo(first);
        silent = connect_raw(&place);
        while (ferry_loop_tick(place.loop, 0) == 1)
                ;
        third = ferry_session_open(place.loop, place.address, NULL);
        require_echo(third);
        ck_assert(has_ended_raw(silent));
        other = connect_raw(&place);
        while (!has_ended_raw(other))
                tick(&place);
        require_echo(first);
        require_echo(third);
        close(silent);
        close(other);
        close_place(&place);
}
END_TEST

START_TEST(only_the_dialects_that_are_allowed)
{
        struct place place;
        ferry_session *session;
        ferry_call *call;

        open_place(&place);
        open_echo(&place, &(ferry_service_options){ .dialects = FERRY_DIALECT_STREAM_IPC });
        session = ferry_session_open(place.loop, place.address, &(ferry_session_options){
                                             .dialect = FERRY_DIALECT_STREAM_IPC });
        call = ferry_session_request(session, SAFETY_MS, "App\\T", "{}");
        ck_assert_ptr_nonnull(ferry_call_await(call));
        ferry_call_free(call);
        session = ferry_session_open(place.loop, place.address, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        call = ferry_session_request(session, 20, "App\\T", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        ferry_call_free(call);
        close_place(&place);
}
END_TEST

/* Options of its clients' sessions, which are copied. */
static ferry_service *open_from_elsewhere(struct place *place)
{
        ferry_session_options session = { .frame_max = 2000 };
        ferry_service_options options = { .session = &session };
        ferry_service *service = open_echo(place, &options);

        memset(&session, 0xff, sizeof session);
        memset(&options, 0xff, sizeof options);
        return service;
}

START_TEST(options_of_clients)
{
        struct place place;
        ferry_session *session;
        ferry_call *call;
        char text[3001];

        memset(text, 'x', 3000);
        text[3000] = '\0';
        open_place(&place);
        open_from_elsewhere(&place);
        session = ferry_session_open(place.loop, place.address, NULL);
        require_echo(session);
        call = ferry_session_request(session, SAFETY_MS, "t", "%s", text);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EMSGSIZE);
        ferry_call_free(call);
        close_place(&place);
}
END_TEST

/* Closing --------------------------------------------------------------------------------------------- */

START_TEST(closing_finishes_what_is_in_hand)
{
        struct place place;
        ferry_service *service;
        ferry_session *session, *idle;
        ferry_message *kept = NULL;
        ferry_call *call;
        const ferry_message *reply;
        int closed = 0;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, NULL);
        ferry_service_on(service, FERRY_KIND_REQUEST, keep, &kept);
        session = ferry_session_open(place.loop, place.address, NULL);
        idle = ferry_session_open(place.loop, place.address, NULL);
        ferry_session_on(idle, FERRY_KIND_CLOSED, count, &closed);
        call = ferry_session_request(session, SAFETY_MS, "t", "{}");
        while (!kept)
                tick(&place);
        ck_assert_int_eq(ferry_service_close(service), 0);
        ck_assert_int_eq(ferry_service_status(service), 0);
        ck_assert_int_lt(access(place.path, F_OK), 0);
        while (closed == 0)
                tick(&place);
        ck_assert_int_eq(ferry_session_status(session), 1);
        ck_assert_int_eq(ferry_call_status(call), 1);
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "'done'"), 0);
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(reply), "done");
        while (ferry_session_status(session) == 1)
                tick(&place);
        ck_assert_int_eq(ferry_session_status(session), 0);
        ck_assert_int_eq(ferry_loop_run(place.loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_service_close(service), 0);
        ferry_call_free(call);
        ferry_message_unref(kept);
        close_place(&place);
}
END_TEST

/* What is never answered is given up. */
START_TEST(closing_is_bounded)
{
        struct place place;
        ferry_service *service;
        ferry_session *session;
        ferry_message *kept = NULL;
        ferry_call *call;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, &(ferry_service_options){ .close_timeout_ms = 10 });
        ferry_service_on(service, FERRY_KIND_REQUEST, keep, &kept);
        session = ferry_session_open(place.loop, place.address, NULL);
        call = ferry_session_request(session, SAFETY_MS, "t", "{}");
        while (!kept)
                tick(&place);
        ferry_service_close(service);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert(!ferry_message_is_wanted(kept));
        ferry_call_free(call);
        ferry_message_unref(kept);
        close_place(&place);
}
END_TEST

/* Forgetting it is closing it: what is queued is still sent. */
START_TEST(freeing_sends_what_is_queued)
{
        enum { SIZE = 1 << 20 };
        struct place place;
        ferry_service *service;
        ferry_session *session;
        char *text = calloc(1, SIZE + 1);
        size_t size = 0;
        const ferry_message *message;

        memset(text, 'x', SIZE);
        open_place(&place);
        service = open_echo(&place, NULL);
        session = ferry_session_open(place.loop, place.address, NULL);
        require_echo(session);
        ck_assert_int_eq(ferry_service_notify(service, "t", "%s", text), 1);
        ck_assert_ptr_null(ferry_service_free(service));
        message = ferry_session_next(session, SAFETY_MS);
        ck_assert_msg(message != NULL, "%s", ferry_session_error(session));
        ck_assert_ptr_nonnull(ferry_value_bytes(ferry_message_body(message), &size));
        ck_assert_uint_eq(size, SIZE);
        ck_assert_ptr_null(ferry_session_next(session, SAFETY_MS));
        ck_assert_int_eq(ferry_session_status(session), 0);
        free(text);
        close_place(&place);
}
END_TEST

static int free_service(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)userdata;
        ck_assert_int_eq(ferry_message_reply(request, NULL, "'last'"), 0);
        ck_assert_ptr_null(ferry_service_free(ferry_session_service(session)));
        return 0;
}

START_TEST(a_handler_frees_its_service)
{
        struct place place;
        ferry_service *service;
        ferry_session *session;
        ferry_call *call;
        const ferry_message *reply;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, NULL);
        ferry_service_on(service, FERRY_KIND_REQUEST, free_service, NULL);
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        session = ferry_session_open(place.loop, place.address, NULL);
        call = ferry_session_request(session, SAFETY_MS, "t", "{}");
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(reply), "last");
        ferry_call_free(call);
        ck_assert_int_eq(ferry_loop_run(place.loop, SAFETY_MS), 0);
        close_place(&place);
}
END_TEST

/* A service without clients ends by itself. */
START_TEST(it_ends_when_it_is_idle)
{
        struct place place;
        ferry_service *service;

        open_place(&place);
        service = open_echo(&place, &(ferry_service_options){ .idle_timeout_ms = 20 });
        ck_assert_int_eq(ferry_loop_run(place.loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_service_status(service), 0);
        ck_assert_int_lt(access(place.path, F_OK), 0);
        close_place(&place);
}
END_TEST

/* It can be opened again at once, any number of times. */
START_TEST(again_and_again)
{
        struct place place;

        open_place(&place);
        for (int i = 0; i < 50; i++) {
                ferry_service *service = open_echo(&place, NULL);
                ferry_session *session = ferry_session_open(place.loop, place.address, NULL);

                require_echo(session);
                if (i % 2)
                        ferry_session_free(session);
                ferry_service_free(service);
        }
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(what_the_dead_left_is_cleared_away),
        SUITE_TEST(a_bare_socket_without_a_listener),
        SUITE_TEST(the_living_are_not_pushed_aside),
        SUITE_TEST(a_living_stranger_is_not_pushed_aside),
        SUITE_TEST(a_file_is_not_replaced),
        SUITE_LOOP(what_cannot_be_listened_at_fails_at_once, sizeof unheard / sizeof *unheard),
        SUITE_LOOP(the_socket_has_its_mode, sizeof modes / sizeof *modes),
        SUITE_TEST(there_is_no_such_group),
        SUITE_LOOP(a_mode_and_a_group_that_a_socket_cannot_have_are_refused, sizeof refused / sizeof *refused),
        SUITE_TEST(a_client_waits_for_the_service),
        SUITE_TEST(clients_are_distinguished),
        SUITE_TEST(all_are_notified),
        SUITE_TEST(handlers_of_a_client_come_first),
        SUITE_TEST(clients_do_not_disturb_each_other),
        SUITE_TEST(there_is_a_limit),
        SUITE_TEST(only_the_dialects_that_are_allowed),
        SUITE_TEST(options_of_clients),
        SUITE_TEST(closing_finishes_what_is_in_hand),
        SUITE_TEST(closing_is_bounded),
        SUITE_TEST(freeing_sends_what_is_queued),
        SUITE_TEST(a_handler_frees_its_service),
        SUITE_TEST(it_ends_when_it_is_idle),
        SUITE_TEST(again_and_again),
};

SUITE_MAIN("service", tests)
