/* More clients than there is room for, and than there are descriptors: each user has its own limit; at it a client that
 * never spoke makes room, and one that has spoken stays, whatever it has sent; a client without room gets the reason. With
 * a clock that stands still. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool allow(ferry_session *session, const ferry_peer *peer, void *userdata)
{
        (void)session, (void)peer, (void)userdata;
        return true;
}

/* What closed clients were told to have ended with. */
struct ends {
        int opened, closed, status;
        char text[256];
};

static int note(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct ends *ends = userdata;

        if (ferry_message_kind(message) == FERRY_KIND_OPENED) {
                ends->opened++;
                return 0;
        }
        ends->closed++;
        ends->status = ferry_session_status(session);
        strncpy(ends->text, ferry_message_text(message), sizeof ends->text - 1);
        return 0;
}

static ferry_service *open_noted(struct place *place, const ferry_service_options *options, struct ends *ends)
{
        ferry_service *service = open_echo(place, options);

        *ends = (struct ends){ 0 };
        ferry_service_on(service, FERRY_KIND_OPENED | FERRY_KIND_CLOSED, note, ends);
        return service;
}

/* The limit -------------------------------------------------------------------------------------------- */

/* Frames that have come but were not read: before one is sent away they are. */
START_TEST(a_client_that_has_spoken_stays)
{
        struct place place;
        struct ends ends;
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        int spoken, half, silent, last;

        open_place(&place);
        open_noted(&place, &(ferry_service_options){ .clients_max = 3 }, &ends);
        spoken = connect_raw(&place);
        half = connect_raw(&place);
        silent = connect_raw(&place);
        last = connect_raw(&place);
        send_raw(spoken, frame, size);
        send_raw(half, frame, size - 1);
        /* All of that before the service looks. */
        settle(&place);
        ck_assert(has_answer(spoken, RAW_RESPONSE));
        ck_assert(has_ended_raw(half));
        ck_assert(!has_ended_raw(silent));
        send_raw(last, frame, size);
        settle(&place);
        ck_assert(has_answer(last, RAW_RESPONSE));
        ck_assert(!has_ended_raw(spoken));
        ck_assert(!has_ended_raw(silent));
        close(spoken);
        close(half);
        close(silent);
        close(last);
        close_place(&place);
        ck_assert_int_eq(ends.opened, ends.closed);
}
END_TEST

/* The client that came first goes first, also if it sends a byte now and then. */
START_TEST(the_one_that_has_been_silent_longest_goes)
{
        enum { MAX = 8, MORE = 20 };
        struct place place;
        struct ends ends;
        int fds[MAX + MORE];

        open_place(&place);
        open_noted(&place, &(ferry_service_options){ .clients_max = MAX }, &ends);
        for (int i = 0; i < MAX + MORE; i++) {
                fds[i] = connect_raw(&place);
                settle(&place);
                send_raw(fds[i], "\xf3\x4a", 2);
                settle(&place);
                for (int j = 0; j <= i; j++)
                        ck_assert_msg(has_ended_raw(fds[j]) == (j <= i - MAX), "%d of %d", j, i);
        }
        ck_assert_int_eq(ends.closed, MORE);
        ck_assert_int_eq(ends.status, -ECONNREFUSED);
        ck_assert_msg(strstr(ends.text, "as many clients as it may have"), "%s", ends.text);
        for (int i = 0; i < MAX + MORE; i++)
                close(fds[i]);
        close_place(&place);
        ck_assert_int_eq(ends.opened, MAX + MORE);
        ck_assert_int_eq(ends.closed, MAX + MORE);
}
END_TEST

/* A client that asks where there is no room learns that no handler has acted on it, in each dialect. */
START_TEST(a_request_for_which_there_is_no_room_is_refused)
{
        static const struct {
                unsigned service, client;
        } dialects[] = {
                { 0, FERRY_DIALECT_FERRY }, { 0, FERRY_DIALECT_STREAM_IPC },
                { FERRY_DIALECT_STREAM_IPC, FERRY_DIALECT_STREAM_IPC }, { FERRY_DIALECT_FERRY, FERRY_DIALECT_FERRY },
        };
        const ferry_service_options options = { .clients_max = 1, .dialects = dialects[_i].service };
        const ferry_session_options client = { .dialect = dialects[_i].client };
        struct place place;
        struct ends ends;
        ferry_session *first, *late;
        ferry_call *calls[3];

        open_place(&place);
        open_noted(&place, &options, &ends);
        first = ferry_session_open(place.loop, place.address, &client);
        require_echo(first);
        late = ferry_session_open(place.loop, place.address, &client);
        for (size_t i = 0; i < COUNT(calls); i++)
                calls[i] = ferry_session_request(late, SAFETY_MS, "App\\T", "{}");
        for (size_t i = 0; i < COUNT(calls); i++) {
                ck_assert_ptr_null(ferry_call_await(calls[i]));
                ck_assert_int_eq(ferry_call_status(calls[i]), -EREMOTEIO);
                ck_assert_str_eq(ferry_call_error(calls[i]), "the service has as many clients as it may have (clients_max)");
                if (dialects[_i].client == FERRY_DIALECT_FERRY)
                        ck_assert_int_eq(ferry_call_outcome(calls[i]), FERRY_OUTCOME_NOT_EXECUTED);
                ferry_call_free(calls[i]);
        }
        while (ferry_session_status(late) == 1)
                tick(&place);
        require_echo(first);
        close_place(&place);
        /* The program has seen nothing of it. */
        ck_assert_int_eq(ends.opened, 1);
        ck_assert_int_eq(ends.closed, 1);
}
END_TEST

/* Where only one dialect is spoken the client need not speak first, also where it is refused. */
START_TEST(a_client_without_room_is_refused)
{
        struct place place;
        struct ends ends;
        ferry_session *silent, *first, *late;
        const ferry_message *told;
        int fds[2];

        door_stop_clock(0);
        open_place(&place);
        open_noted(&place, &(ferry_service_options){ .clients_max = 1, .dialects = FERRY_DIALECT_FERRY }, &ends);
        /* Of a socket that is given to it a session does not know that a service is behind it. */
        fds[0] = connect_raw(&place);
        fds[1] = -1;
        silent = ferry_session_open(place.loop, NULL, &(ferry_session_options){ .fds = fds });
        ferry_session_on(silent, FERRY_KIND_ERROR, NULL, NULL);
        settle(&place);
        first = ferry_session_open(place.loop, place.address, NULL);
        require_echo(first);
        late = ferry_session_open(place.loop, place.address, NULL);
        ferry_session_on(late, FERRY_KIND_ERROR, NULL, NULL);
        for (int i = 0; i < 2; i++) {
                told = ferry_session_next(i == 0 ? silent : late, SAFETY_MS);
                ck_assert_ptr_nonnull(told);
                ck_assert_str_eq(ferry_message_text(told), "the service has as many clients as it may have (clients_max)");
        }
        while (ferry_session_status(silent) == 1 || ferry_session_status(late) == 1)
                ferry_loop_tick(place.loop, SAFETY_MS);
        require_echo(first);
        close_place(&place);
        ck_assert_int_eq(ends.opened, 2);
}
END_TEST

/* A flood of them, which say nothing: they are kept for a second, and never more than a few. */
START_TEST(the_refused_do_not_pile_up)
{
        enum { FLOOD = 500, KEPT_MAX = 64, BYTES_MAX = 4096 };
        struct place place;
        struct ends ends;
        ferry_session *first;
        int fds[FLOOD], held = 0;
        size_t bytes;
        int64_t begin;

        door_stop_clock(0);
        open_place(&place);
        open_noted(&place, &(ferry_service_options){ .clients_max = 1 }, &ends);
        first = ferry_session_open(place.loop, place.address, NULL);
        require_echo(first);
        bytes = door_counts.bytes;
        for (int i = 0; i < FLOOD; i++) {
                fds[i] = connect_raw(&place);
                if (i % 10 == 0)
                        settle(&place);
        }
        settle(&place);
        for (int i = 0; i < FLOOD; i++)
                held += !has_ended_raw(fds[i]);
        ck_assert_int_le(held, KEPT_MAX);
        ck_assert_int_gt(held, 0);
        ck_assert_uint_le(door_counts.bytes - bytes, KEPT_MAX * BYTES_MAX);
        begin = sys_now();
        while (!has_ended_raw(fds[FLOOD - 1]))
                tick(&place);
        ck_assert_int_le(sys_now() - begin, 1001000000);
        settle(&place);
        for (int i = 0; i < FLOOD; i++) {
                ck_assert(has_ended_raw(fds[i]));
                close(fds[i]);
        }
        ck_assert_uint_le(door_counts.bytes, bytes + BYTES_MAX);
        require_echo(first);
        close_place(&place);
}
END_TEST

/* Its service ends while one is still to be told. */
START_TEST(the_refused_go_with_their_service)
{
        struct place place;
        struct ends ends;
        ferry_service *service;
        ferry_session *first;
        int silent;

        door_stop_clock(0);
        open_place(&place);
        service = open_noted(&place, &(ferry_service_options){ .clients_max = 1 }, &ends);
        first = ferry_session_open(place.loop, place.address, NULL);
        require_echo(first);
        silent = connect_raw(&place);
        settle(&place);
        ck_assert(!has_ended_raw(silent));
        if (_i == 0)
                ck_assert_ptr_null(ferry_service_free(service));
        else if (_i == 1)
                ck_assert_int_eq(ferry_service_close(service), 0);
        else
                place.loop = ferry_loop_free(place.loop);
        ck_assert(has_ended_raw(silent));
        if (place.loop)
                ck_assert_int_eq(ferry_loop_run(place.loop, -1), 0);
        close(silent);
        close_place(&place);
}
END_TEST

/* Closed meanwhile, by a handler of one whose frame was read to see whether he may be sent away. */
static int close_service(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ferry_service_close(ferry_session_service(session));
        return 1;
}

static int free_service(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        ferry_service_free(ferry_session_service(session));
        return 1;
}

static int free_loop(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct place *place = userdata;

        (void)session, (void)message;
        place->loop = ferry_loop_free(place->loop);
        return 1;
}

START_TEST(a_handler_ends_it_while_room_is_made)
{
        ferry_message_fn *const fns[] = { close_service, free_service, free_loop };
        struct place place;
        ferry_service *service;
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        int fds[4];

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, &(ferry_service_options){ .clients_max = 1 });
        ferry_service_on(service, FERRY_KIND_REQUEST, fns[_i], &place);
        for (size_t i = 0; i < COUNT(fds); i++) {
                fds[i] = connect_raw(&place);
                send_raw(fds[i], frame, size);
        }
        for (int i = 0; i < 5 && place.loop; i++)
                ck_assert_int_ge(ferry_loop_tick(place.loop, 0), 0);
        for (size_t i = 0; i < COUNT(fds); i++)
                close(fds[i]);
        close_place(&place);
}
END_TEST

static int stop(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct place *place = userdata;

        (void)session;
        while (ferry_loop_tick(place->loop, 0) == 1)
                ;
        return ferry_message_reply(request, NULL, "{}");
}

/* The same, where the handler waits: others come while room is made for one. */
START_TEST(others_come_while_room_is_made)
{
        enum { MAX = 4, CROWD = 40 };
        struct place place;
        ferry_service *service;
        struct ends ends = { 0 };
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        int fds[CROWD], answered = 0;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, &(ferry_service_options){ .clients_max = MAX });
        ferry_service_on(service, FERRY_KIND_REQUEST, stop, &place);
        ferry_service_on(service, FERRY_KIND_OPENED | FERRY_KIND_CLOSED, note, &ends);
        for (int i = 0; i < CROWD; i++) {
                fds[i] = connect_raw(&place);
                send_raw(fds[i], frame, i % 2 ? size : size - 1);
        }
        settle(&place);
        for (int i = 0; i < CROWD; i++)
                answered += has_answer(fds[i], RAW_RESPONSE);
        ck_assert_int_eq(answered, MAX);
        for (int i = 0; i < CROWD; i++)
                close(fds[i]);
        settle(&place);
        ck_assert_int_eq(ends.opened, ends.closed);
        close_place(&place);
}
END_TEST

/* One that is closed before its first round was never there, for handlers. */
START_TEST(opened_and_closed_come_in_pairs)
{
        enum { CROWD = 60 };
        struct place place;
        struct ends ends;
        ferry_service *service;
        int fds[CROWD];

        open_place(&place);
        service = open_noted(&place, &(ferry_service_options){ .clients_max = _i == 0 ? 2 : 100 }, &ends);
        for (int i = 0; i < CROWD; i++) {
                fds[i] = connect_raw(&place);
                if (i % 3 == 0)
                        send_raw(fds[i], "\xf3", 1);
        }
        tick(&place);
        if (_i == 1)
                ferry_service_close(service);
        settle(&place);
        for (int i = 0; i < CROWD; i++)
                close(fds[i]);
        close_place(&place);
        ck_assert_int_eq(ends.opened, ends.closed);
        ck_assert_int_gt(ends.opened, 0);
}
END_TEST

/* A stranger that is not allowed never becomes a client, and takes no place of another. */
START_TEST(a_refused_client_takes_no_other_s_place)
{
        struct place place;
        struct ends ends;
        int own[2], foreign[20];

        if (!can_become())
                return;
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 0755), 0);
        open_noted(&place, &(ferry_service_options){ .clients_max = 2, .mode = 0666 }, &ends);
        own[0] = connect_raw(&place);
        own[1] = connect_raw(&place);
        settle(&place);
        become(STRANGER);
        for (size_t i = 0; i < COUNT(foreign); i++)
                foreign[i] = connect_raw(&place);
        become(0);
        settle(&place);
        for (size_t i = 0; i < COUNT(foreign); i++) {
                ck_assert(has_ended_raw(foreign[i]));
                close(foreign[i]);
        }
        ck_assert(!has_ended_raw(own[0]) && !has_ended_raw(own[1]));
        ck_assert_int_eq(ends.opened, 2);
        ck_assert_int_eq(ends.closed, 0);
        close(own[0]);
        close(own[1]);
        close_place(&place);
}
END_TEST

/* One user has taken all the room there is for him, spoken or silent: another is served. */
START_TEST(one_user_keeps_no_other_out)
{
        enum { MAX = 5 };
        const ferry_session_options session = { .allow = allow };
        struct place place;
        struct ends ends;
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        ferry_session *own;
        int flood[4 * MAX], others[2 * MAX];

        if (!can_become())
                return;
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 0755), 0);
        open_noted(&place, &(ferry_service_options){ .clients_max = MAX, .mode = 0666, .session = &session }, &ends);
        become(STRANGER);
        for (size_t i = 0; i < COUNT(flood); i++) {
                flood[i] = connect_raw(&place);
                if (_i == 1)
                        send_raw(flood[i], frame, size);
        }
        become(OTHER_STRANGER);
        for (size_t i = 0; i < COUNT(others); i++) {
                others[i] = connect_raw(&place);
                send_raw(others[i], frame, size);
        }
        become(0);
        own = ferry_session_open(place.loop, place.address, NULL);
        require_echo(own);
        settle(&place);
        /* Of each as many as there is room for; of those that have spoken the first. */
        ck_assert_int_eq(ends.opened - ends.closed, 2 * MAX + 1);
        for (size_t i = 0; i < COUNT(others); i++) {
                ck_assert(has_answer(others[i], i < MAX ? RAW_RESPONSE : RAW_REFUSED));
                close(others[i]);
        }
        for (size_t i = 0; i < COUNT(flood); i++)
                close(flood[i]);
        require_echo(own);
        close_place(&place);
        ck_assert_int_eq(ends.opened, ends.closed);
}
END_TEST

/* Descriptors ------------------------------------------------------------------------------------------ */

static int accept_error;

static int refuse_accept(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == DOOR_accept ? accept_error : 0;
}

/* As long as none is left the service asks less and less often; then it serves all clients that have waited. */
START_TEST(no_descriptor_is_left)
{
        static const int errors[] = { -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS };
        enum { WAITING = 30, HOUR_MS = 3600000, ASKS_MAX = 3600 + 5 };
        struct place place;
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        int fds[WAITING];
        int64_t begin;

        door_stop_clock(0);
        open_place(&place);
        open_echo(&place, NULL);
        for (int i = 0; i < WAITING; i++) {
                fds[i] = connect_raw(&place);
                send_raw(fds[i], frame, size);
        }
        accept_error = errors[_i];
        door_judge = refuse_accept;
        ck_assert_int_eq(ferry_loop_run(place.loop, HOUR_MS), 0);
        ck_assert_uint_le(door_counts.calls[DOOR_accept], ASKS_MAX);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 2 * ASKS_MAX);
        door_judge = NULL;
        begin = sys_now();
        while (!has_answer(fds[WAITING - 1], RAW_RESPONSE))
                tick(&place);
        ck_assert_int_le(sys_now() - begin, 1001000000);
        for (int i = 0; i < WAITING; i++) {
                ck_assert(i == WAITING - 1 || has_answer(fds[i], RAW_RESPONSE));
                close(fds[i]);
        }
        /* What was is forgotten: at first it is asked soon again. */
        accept_error = -EMFILE;
        door_judge = refuse_accept;
        settle(&place);
        fds[0] = connect_raw(&place);
        tick(&place);
        door_judge = NULL;
        begin = sys_now();
        send_raw(fds[0], frame, size);
        while (!has_answer(fds[0], RAW_RESPONSE))
                tick(&place);
        ck_assert_int_le(sys_now() - begin, 101000000);
        close(fds[0]);
        close_place(&place);
}
END_TEST

/* As long as there are so many clients, no descriptor is left. */
static ferry_service *full_service;
static unsigned full_count;

static int refuse_when_full(enum door_call call, bool is_child)
{
        unsigned clients = 0;

        (void)is_child;
        for (ferry_session *client = NULL; (client = ferry_service_client(full_service, client));)
                clients++;
        return call == DOOR_accept && clients >= full_count ? -EMFILE : 0;
}

START_TEST(a_silent_client_makes_room_when_no_descriptor_is_left)
{
        enum { SILENT = 3, COMING = 10 };
        struct place place;
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        int fds[SILENT + COMING], speaker;

        door_stop_clock(0);
        open_place(&place);
        full_service = open_echo(&place, NULL);
        full_count = SILENT + 1;
        /* One that has spoken stays. */
        speaker = connect_raw(&place);
        send_raw(speaker, frame, size);
        while (!has_answer(speaker, RAW_RESPONSE))
                tick(&place);
        for (int i = 0; i < SILENT; i++)
                fds[i] = connect_raw(&place);
        settle(&place);
        door_judge = refuse_when_full;
        for (int i = 0; i < SILENT; i++) {
                ck_assert(!has_ended_raw(fds[i]));
                fds[SILENT + i] = connect_raw(&place);
                settle(&place);
                tick(&place);
                settle(&place);
                ck_assert(has_ended_raw(fds[i]));
        }
        send_raw(fds[2 * SILENT - 1], frame, size);
        while (!has_answer(fds[2 * SILENT - 1], RAW_RESPONSE))
                tick(&place);
        ck_assert(!has_ended_raw(speaker));
        door_judge = NULL;
        close(speaker);
        for (int i = 0; i < 2 * SILENT; i++)
                close(fds[i]);
        close_place(&place);
}
END_TEST

/* A user whose clients have all spoken keeps no other out. */
START_TEST(the_last_descriptors_are_kept_for_other_users)
{
        enum { MAX = 64 };
        const ferry_session_options session = { .allow = allow };
        struct place place;
        struct rlimit before, limit;
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        int fds[MAX], used = 0, stranger;

        if (!can_become())
                return;
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 0755), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        limit.rlim_cur = 64;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        open_echo(&place, &(ferry_service_options){ .mode = 0666, .session = &session });
        do {
                fds[used] = connect_raw(&place);
                send_raw(fds[used], frame, size);
                while (!has_answer(fds[used], RAW_RESPONSE) && !has_ended_raw(fds[used]) && used < 30)
                        tick(&place);
                settle(&place);
        } while (!has_ended_raw(fds[used]) && ++used < 28);
        ck_assert_int_lt(used, 28);
        become(STRANGER);
        stranger = connect_raw(&place);
        become(0);
        send_raw(stranger, frame, size);
        while (!has_answer(stranger, RAW_RESPONSE))
                tick(&place);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        close(stranger);
        for (int i = 0; i <= used; i++)
                close(fds[i]);
        close_place(&place);
}
END_TEST

enum { HELD_MAX = 1 << 20, LARGE = 1 << 20 };

/* Each begins a message and goes on as long as it is read: how much was taken of them all. */
static size_t begin_messages(struct place *place, int *fds, int count)
{
        static char bytes[1 << 16] = "\xf3\x4a\x9d\xe2\0\x10\0\0\1\3";
        size_t taken = 0, before, sent[32] = { 0 };
        ssize_t put;

        for (int i = 0; i < count; i++) {
                fds[i] = connect_raw(place);
                ck_assert_int_eq(send(fds[i], bytes, 4096, MSG_NOSIGNAL), 4096);
        }
        do {
                before = taken;
                for (int i = 0; i < count; i++)
                        while (sent[i] < (size_t)LARGE - 2 * sizeof bytes &&
                               (put = send(fds[i], bytes + 8192, sizeof bytes - 8192, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
                                sent[i] += (size_t)put;
                                taken += (size_t)put;
                        }
                settle(place);
        } while (taken > before);
        return taken;
}

/* One client has the turn, and the buffers of the kernel are full; the rest is in the limit. Another user is served, and its
 * large message is completed when those that send nothing more are closed. */
START_TEST(messages_that_are_not_complete_are_counted)
{
        enum { HALF = 24, CLOSE_MS = 1000, READ_MAX = 1 << 16 };
        const ferry_session_options session = { .allow = allow, .close_timeout_ms = CLOSE_MS };
        static char body[LARGE / 2];
        struct place place;
        ferry_session *good;
        ferry_call *call;
        socklen_t size = sizeof(int);
        size_t taken;
        int fds[HALF], fd, buffer = 0;

        if (!can_become())
                return;
        door_stop_clock(0);
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 0755), 0);
        open_echo(&place, &(ferry_service_options){ .mode = 0666, .bytes_max = HELD_MAX, .session = &session });
        become(STRANGER);
        fd = connect_raw(&place);
        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, &size), 0);
        close(fd);
        taken = begin_messages(&place, fds, HALF);
        ck_assert_uint_le(taken, (size_t)(HELD_MAX + LARGE + HALF * (buffer + READ_MAX)));
        become(0);
        good = ferry_session_open(place.loop, place.address, &session);
        require_echo(good);
        memset(body, 'x', sizeof body);
        call = ferry_session_request(good, -1, "t", "%.*s", (int)sizeof body, body);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        require_echo(good);
        for (int i = 0; i < HALF; i++)
                close(fds[i]);
        close_place(&place);
}
END_TEST

/* Together they need more than there is. */
START_TEST(large_messages_are_completed_in_turn)
{
        enum { CLIENTS = 12 };
        static char body[LARGE];
        struct place place;
        ferry_call *calls[CLIENTS];

        open_place(&place);
        open_echo(&place, &(ferry_service_options){ .bytes_max = HELD_MAX / (_i ? 1u : 8u) });
        memset(body, 'x', sizeof body);
        for (int i = 0; i < CLIENTS; i++)
                calls[i] = ferry_session_request(ferry_session_open(place.loop, place.address, NULL), SAFETY_MS, "t", "%.*s",
                                                 (int)sizeof body, body);
        for (int i = 0; i < CLIENTS; i++) {
                ck_assert_msg(ferry_call_await(calls[i]) != NULL, "%s", ferry_call_error(calls[i]));
                ferry_call_free(calls[i]);
        }
        close_place(&place);
}
END_TEST

/* Its handlers were not told of it, so they are not given its messages. */
START_TEST(a_probe_that_sends_a_message_is_closed)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        struct place place;
        unsigned char frame[264];
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        open_place(&place);
        open_echo(&place, NULL);
        snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "ferry-probe-test-%d", (int)getpid());
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                                                       strlen(name.sun_path + 1))), 0);
        name = (struct sockaddr_un){ .sun_family = AF_UNIX };
        strcpy(name.sun_path, place.path);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
        send_raw(fd, frame, make_request(frame, 1, "x"));
        settle(&place);
        ck_assert(!has_answer(fd, RAW_RESPONSE));
        ck_assert(has_ended_raw(fd));
        close(fd);
        close_place(&place);
}
END_TEST

/* When a client goes, one that waits takes its place, and no time passes. */
START_TEST(a_descriptor_is_freed)
{
        struct place place;
        struct rlimit before, limit;
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        int first, second, lowest;
        int64_t begin;

        door_stop_clock(0);
        open_place(&place);
        open_echo(&place, NULL);
        first = connect_raw(&place);
        /* A silent one would make room. */
        send_raw(first, frame, size);
        settle(&place);
        ck_assert(has_answer(first, RAW_RESPONSE));
        second = connect_raw(&place);
        send_raw(second, frame, size);
        lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
        close(lowest);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        limit.rlim_cur = (rlim_t)lowest;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        begin = sys_now();
        settle(&place);
        ck_assert(!has_answer(second, RAW_RESPONSE));
        shutdown(first, SHUT_RDWR);
        settle(&place);
        ck_assert(has_answer(second, RAW_RESPONSE));
        ck_assert_int_eq(sys_now(), begin);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        close(first);
        close(second);
        close_place(&place);
}
END_TEST

/* Bytes with as many descriptors as go together. */
static void send_with_descriptors(int fd, const void *bytes, size_t size)
{
        enum { MOST = 32 };
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST * sizeof(int))] = "";
        struct iovec piece = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);

        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(MOST * sizeof(int));
        for (size_t i = 0; i < MOST; i++)
                memcpy(CMSG_DATA(head) + i * sizeof fd, &fd, sizeof fd);
        ck_assert_int_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)size);
}

/* With notifications that the program has not fetched, or before any message. */
START_TEST(descriptors_that_are_passed_leave_some_for_other_clients)
{
        static const char hello[] = "\xf3\x4a\x9d\xe2\0\0\0\x10\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0";
        static const char passed[] = "\xf3\x4a\x9d\xe2\0\0\0\x11\1\xac\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x20"
                                     "\xf3\x4a\x9d\xe2\0\0\0\x11\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t";
        enum { LIMIT = 128 };
        struct place place;
        struct rlimit before, limit;
        int clients[4], lowest;

        open_place(&place);
        ferry_service_on(open_echo(&place, NULL), FERRY_KIND_NOTIFICATION, NULL, NULL);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        limit.rlim_cur = LIMIT;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        for (size_t i = 0; i < COUNT(clients); i++) {
                clients[i] = connect_raw(&place);
                send_raw(clients[i], hello, sizeof hello - 1);
                settle(&place);
        }
        for (size_t i = 0; i < COUNT(clients); i++)
                for (size_t j = 0; j < 4; j++) {
                        send_with_descriptors(clients[i], passed, _i == 0 ? sizeof passed - 1 : j == 0 ? 7 : 1);
                        settle(&place);
                }
        lowest = dup(clients[0]);
        ck_assert_int_ge(lowest, LIMIT / 2);
        ck_assert_int_le(lowest, LIMIT - LIMIT / 4);
        close(lowest);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        for (size_t i = 0; i < COUNT(clients); i++)
                close(clients[i]);
        close_place(&place);
}
END_TEST

/* None of them has room, so none counts by itself. */
START_TEST(descriptors_without_room_are_limited_in_number)
{
        static const char hello[] = "\xf3\x4a\x9d\xe2\0\0\0\x10\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0";
        struct place place;
        struct ends ends;
        struct rlimit before, limit;
        int client;

        open_place(&place);
        open_noted(&place, NULL, &ends);
        client = connect_raw(&place);
        send_raw(client, hello, sizeof hello - 1);
        settle(&place);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        limit.rlim_cur = (rlim_t)client + 1;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        send_raw(client, "\xf3\x4a\x9d\xe2\0\0\x10\0", 8);
        for (size_t i = 0; i < 600 && ends.closed == 0; i++) {
                send_with_descriptors(client, "\1", 1);
                settle(&place);
        }
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_int_eq(ends.closed, 1);
        ck_assert_int_eq(ends.status, -EBADMSG);
        ck_assert_msg(strstr(ends.text, "it has sent more than may wait"), "%s", ends.text);
        close(client);
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_client_that_has_spoken_stays),
        SUITE_TEST(the_one_that_has_been_silent_longest_goes),
        SUITE_LOOP(a_request_for_which_there_is_no_room_is_refused, 4),
        SUITE_TEST(a_client_without_room_is_refused),
        SUITE_TEST(the_refused_do_not_pile_up),
        SUITE_LOOP(the_refused_go_with_their_service, 3),
        SUITE_LOOP(a_handler_ends_it_while_room_is_made, 3),
        SUITE_TEST(others_come_while_room_is_made),
        SUITE_LOOP(opened_and_closed_come_in_pairs, 2),
        SUITE_TEST(a_refused_client_takes_no_other_s_place),
        SUITE_LOOP(one_user_keeps_no_other_out, 2),
        SUITE_LOOP_APART(no_descriptor_is_left, 4),
        SUITE_TEST(messages_that_are_not_complete_are_counted),
        SUITE_LOOP(large_messages_are_completed_in_turn, 2),
        SUITE_TEST(a_probe_that_sends_a_message_is_closed),
        SUITE_TEST(a_descriptor_is_freed),
        SUITE_TEST(a_silent_client_makes_room_when_no_descriptor_is_left),
        SUITE_TEST(the_last_descriptors_are_kept_for_other_users),
        SUITE_LOOP(descriptors_that_are_passed_leave_some_for_other_clients, 2),
        SUITE_TEST(descriptors_without_room_are_limited_in_number),
};

SUITE_MAIN("service-crowds", tests)
