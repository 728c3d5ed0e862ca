/* How a service goes on and how it ends: a handler that fails costs one reply; closing takes no new client, finishes
 * what is in hand, tells the clients, and has an end; and it may come from anywhere. With a clock that stands still. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const unsigned dialects[] = { FERRY_DIALECT_FERRY, FERRY_DIALECT_STREAM_IPC };
enum { DIALECTS = COUNT(dialects), CLOSE_MS = 3000 };

static ferry_session *open_client(struct place *place, unsigned dialect)
{
        return ferry_session_open(place->loop, place->address, &(ferry_session_options){ .dialect = dialect });
}

/* Handlers that fail ------------------------------------------------------------------------------------ */

static int refuse_to(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        if (strcmp(ferry_message_text(request), "reply first") == 0)
                ck_assert_int_eq(ferry_message_reply(request, NULL, "'done'"), 0);
        return -EIO;
}

START_TEST(a_handler_that_fails_costs_one_reply)
{
        struct place place;
        ferry_service *service;
        ferry_session *client, *other;
        ferry_call *call;
        int closed = 0;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, NULL);
        ferry_service_on(service, FERRY_KIND_MESSAGE, refuse_to, NULL);
        ferry_service_on(service, FERRY_KIND_CLOSED, count, &closed);
        client = open_client(&place, dialects[_i]);
        other = open_client(&place, dialects[1 - _i]);
        for (int i = 0; i < 5; i++) {
                call = ferry_session_request(client, SAFETY_MS, "App\\T", "{message: 'x'}");
                ck_assert_ptr_null(ferry_call_await(call));
                ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
                ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_REPLIED);
                ck_assert_msg(strstr(ferry_call_error(call), strerrordesc_np(EIO)), "%s", ferry_call_error(call));
                ferry_call_free(call);
                ck_assert_int_eq(ferry_session_notify(client, "App\\T", "{message: 'x'}"), 0);
        }
        /* What was answered already stays answered. */
        call = ferry_session_request(other, SAFETY_MS, "App\\T", "'reply first'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(ferry_session_flush(client, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_service_status(service), 1);
        ck_assert_int_eq(closed, 0);
        close_place(&place);
}
END_TEST

/* Closing ----------------------------------------------------------------------------------------------- */

enum { CLIENTS = 4 };

/* Some have requests in hand, one has said nothing, one reads nothing. */
struct scene {
        struct place place;
        ferry_service *service;
        ferry_session *clients[CLIENTS];
        ferry_call *calls[CLIENTS];
        ferry_message *kept[CLIENTS];
        int kept_count;
        int closed;
};

static int keep_next(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct scene *scene = userdata;

        (void)session;
        scene->kept[scene->kept_count++] = ferry_message_ref(request);
        return 1;
}

static void open_scene(struct scene *scene, unsigned dialect)
{
        *scene = (struct scene){ 0 };
        door_stop_clock(0);
        open_place(&scene->place);
        scene->service = ferry_service_open(scene->place.loop, scene->place.address, &(ferry_service_options){
                .close_timeout_ms = CLOSE_MS });
        ferry_service_on(scene->service, FERRY_KIND_REQUEST, keep_next, scene);
        ferry_service_on(scene->service, FERRY_KIND_CLOSED, count, &scene->closed);
        for (int i = 0; i < CLIENTS; i++) {
                scene->clients[i] = open_client(&scene->place, dialect);
                if (i < CLIENTS - 1)
                        scene->calls[i] = ferry_session_request(scene->clients[i], SAFETY_MS, "App\\T", "{}");
        }
        while (scene->kept_count < CLIENTS - 1)
                tick(&scene->place);
}

static void close_scene(struct scene *scene)
{
        for (int i = 0; i < CLIENTS; i++) {
                ferry_call_free(scene->calls[i]);
                ferry_message_unref(scene->kept[i]);
        }
        close_place(&scene->place);
}

START_TEST(closing_accepts_no_client_and_finishes_requests_in_hand)
{
        struct scene scene;
        ferry_session *late;
        int64_t begin;

        open_scene(&scene, dialects[_i]);
        begin = sys_now();
        ck_assert_int_eq(ferry_service_close(scene.service), 0);
        ck_assert_int_eq(ferry_service_close(scene.service), 0);
        ck_assert_int_eq(ferry_service_status(scene.service), 0);
        late = open_client(&scene.place, dialects[_i]);
        ck_assert_int_eq(ferry_session_status(late), -ENOENT);
        ferry_session_free(late);
        /* A client without a request goes at once. */
        settle(&scene.place);
        ck_assert_int_eq(scene.closed, 1);
        ck_assert_int_eq(ferry_session_status(scene.clients[CLIENTS - 1]), 0);
        for (int i = CLIENTS - 2; i >= 0; i--) {
                ck_assert_int_eq(ferry_session_status(scene.clients[i]), 1);
                ck_assert_int_eq(ferry_call_status(scene.calls[i]), 1);
                ck_assert_int_eq(ferry_message_reply(scene.kept[i], NULL, "{n: %d}", i), 0);
                settle(&scene.place);
                ck_assert_msg(ferry_call_status(scene.calls[i]) == 0, "%s", ferry_call_error(scene.calls[i]));
                ck_assert_int_eq(ferry_value_int(ferry_message_get(ferry_call_reply(scene.calls[i]), "n"), -1), i);
                ck_assert_int_eq(ferry_session_status(scene.clients[i]), 0);
                ck_assert_int_eq(scene.closed, CLIENTS - i);
        }
        /* No deadline was waited for, and nothing is left to wait for. */
        ck_assert_int_eq(sys_now(), begin);
        ck_assert_int_eq(ferry_loop_run(scene.place.loop, -1), 0);
        ck_assert_int_eq(sys_now(), begin);
        close_scene(&scene);
}
END_TEST

static int answer_and_close(ferry_session *session, const ferry_message *request, void *userdata)
{
        int *handled = userdata;

        ++*handled;
        ck_assert_int_eq(ferry_message_reply(request, NULL, "{}"), 0);
        return ferry_service_close(ferry_session_service(session));
}

/* What came with the message that closes was read already: its sender learns that no handler has acted on it. */
START_TEST(what_was_read_and_not_seen_is_refused)
{
        struct place place;
        ferry_service *service;
        ferry_session *client;
        ferry_call *calls[3];
        int handled = 0;

        open_place(&place);
        service = ferry_service_open(place.loop, place.address, NULL);
        ferry_service_on(service, FERRY_KIND_REQUEST, answer_and_close, &handled);
        client = open_client(&place, dialects[_i]);
        for (size_t i = 0; i < COUNT(calls); i++)
                calls[i] = ferry_session_request(client, SAFETY_MS, "App\\T", "{}");
        ck_assert_msg(ferry_call_await(calls[0]) != NULL, "%s", ferry_call_error(calls[0]));
        for (size_t i = 1; i < COUNT(calls); i++) {
                ferry_call_await(calls[i]);
                ck_assert_int_eq(ferry_call_status(calls[i]), -EREMOTEIO);
                ck_assert_int_eq(ferry_call_outcome(calls[i]), dialects[_i] == FERRY_DIALECT_FERRY ?
                                                                       FERRY_OUTCOME_NOT_EXECUTED : FERRY_OUTCOME_REPLIED);
                ck_assert_msg(strstr(ferry_call_error(calls[i]), "is being closed"), "%s", ferry_call_error(calls[i]));
        }
        ck_assert_int_eq(handled, 1);
        for (size_t i = 0; i < COUNT(calls); i++)
                ferry_call_free(calls[i]);
        close_place(&place);
}
END_TEST

START_TEST(closing_has_an_end)
{
        struct scene scene;
        int64_t begin;

        open_scene(&scene, dialects[_i]);
        begin = sys_now();
        ferry_service_close(scene.service);
        ck_assert_int_eq(ferry_loop_run(scene.place.loop, -1), 0);
        ck_assert_int_ge(sys_now() - begin, (int64_t)CLOSE_MS * 1000000);
        ck_assert_int_le(sys_now() - begin, (int64_t)(CLOSE_MS + 2) * 1000000);
        ck_assert_int_eq(scene.closed, CLIENTS);
        for (int i = 0; i < CLIENTS - 1; i++) {
                ck_assert(!ferry_message_is_wanted(scene.kept[i]));
                ck_assert_int_lt(ferry_message_reply(scene.kept[i], NULL, "'too late'"), 0);
                /* It is answered all the same: with an error. */
                ck_assert_int_lt(ferry_call_status(scene.calls[i]), 0);
        }
        close_scene(&scene);
}
END_TEST

/* Its answer has no room in the socket, and it never reads: it has the time that a session takes to close. */
START_TEST(one_that_never_reads_ends_too)
{
        enum { SIZE = 1 << 20, SESSION_MS = 700 };
        const ferry_session_options session = { .close_timeout_ms = SESSION_MS };
        struct place place;
        ferry_service *service;
        ferry_session *good;
        unsigned char frame[264];
        size_t size = make_request(frame, 1, "x");
        char *text = calloc(1, SIZE + 1);
        int fd, closed = 0;
        int64_t begin;

        door_stop_clock(0);
        memset(text, 'x', SIZE);
        open_place(&place);
        service = open_echo(&place, &(ferry_service_options){ .session = &session });
        ferry_service_on(service, FERRY_KIND_CLOSED, count, &closed);
        fd = connect_raw(&place);
        send_raw(fd, frame, size);
        good = ferry_session_open(place.loop, place.address, NULL);
        require_echo(good);
        ck_assert_int_eq(ferry_service_notify(service, "t", "%s", text), 2);
        begin = sys_now();
        ferry_service_close(service);
        ck_assert_int_eq(ferry_loop_run(place.loop, -1), 0);
        ck_assert_int_le(sys_now() - begin, (int64_t)(SESSION_MS + 2) * 1000000);
        ck_assert_int_eq(closed, 2);
        ck_assert_int_eq(ferry_session_status(good), 0);
        close(fd);
        free(text);
        close_place(&place);
}
END_TEST

/* From anywhere ----------------------------------------------------------------------------------------- */

enum { IN_OPENED, IN_CLOSED, IN_REQUEST, IN_NOTIFICATION, IN_ERROR, IN_ALLOW, IN_TIMER, WHERES };
enum { CLOSE, CLOSE_TWICE, FREE, CLOSE_AND_FREE, HOWS };

struct closer {
        struct place *place;
        ferry_service *service;
        int how;
        int calls;
};

static void end_service(struct closer *closer)
{
        if (closer->calls++ > 0)
                return;
        for (int i = 0; closer->how != FREE && i <= (closer->how == CLOSE_TWICE); i++)
                ck_assert_int_eq(ferry_service_close(closer->service), 0);
        if (closer->how >= FREE)
                ck_assert_ptr_null(ferry_service_free(closer->service));
}

static int close_here(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        end_service(userdata);
        if (ferry_message_kind(message) == FERRY_KIND_REQUEST)
                return ferry_message_reply(message, NULL, "'the last one'");
        return 0;
}

static bool close_while_asked(ferry_session *session, const ferry_peer *peer, void *userdata)
{
        (void)session, (void)peer;
        end_service(userdata);
        return true;
}

static int close_by_timer(ferry_loop *loop, void *userdata)
{
        (void)loop;
        end_service(userdata);
        return 0;
}

START_TEST(it_may_be_closed_from_anywhere)
{
        static const unsigned kinds[WHERES] = { FERRY_KIND_OPENED, FERRY_KIND_CLOSED, FERRY_KIND_REQUEST,
                                                FERRY_KIND_NOTIFICATION, FERRY_KIND_ERROR };
        struct place place;
        struct closer closer = { .place = &place, .how = _i % HOWS };
        const ferry_session_options asking = { .allow = close_while_asked, .allow_userdata = &closer };
        int where = _i / HOWS;
        unsigned char frame[264], broken[12] = { 0xf3, 0x4a, 0x9d, 0xe2, 0, 0, 0, 4, 1, 99, 0, 0 };
        size_t size = make_request(frame, 1, "x");
        int fds[3];

        if (where == IN_ALLOW && !can_become())
                return;
        door_stop_clock(0);
        open_place(&place);
        closer.service = ferry_service_open(place.loop, place.address,
                                            &(ferry_service_options){ .session = where == IN_ALLOW ? &asking : NULL });
        if (where < IN_ALLOW)
                ferry_service_on(closer.service, kinds[where], close_here, &closer);
        /* All that can be in hand then: one that asks, one with half a frame, one that says what decodes to nothing. */
        if (where == IN_ALLOW) {
                ck_assert_int_eq(chown(place.directory, STRANGER, STRANGER), 0);
                ck_assert_int_eq(chown(place.path, STRANGER, STRANGER), 0);
                become(STRANGER);
        }
        for (size_t i = 0; i < COUNT(fds); i++)
                fds[i] = connect_raw(&place);
        if (where == IN_ALLOW)
                become(0);
        send_raw(fds[0], frame, size);
        frame[9] = 2;
        send_raw(fds[0], frame, size);
        send_raw(fds[1], frame, size - 1);
        send_raw(fds[2], broken, sizeof broken);
        if (where == IN_CLOSED)
                shutdown(fds[1], SHUT_RDWR);
        if (where == IN_TIMER)
                ferry_loop_after(place.loop, 0, close_by_timer, &closer);
        while (closer.calls == 0)
                tick(&place);
        ck_assert_int_eq(ferry_loop_run(place.loop, -1), 0);
        if (where == IN_REQUEST)
                ck_assert(has_answer(fds[0], 4));
        for (size_t i = 0; i < COUNT(fds); i++) {
                ck_assert(has_ended_raw(fds[i]));
                close(fds[i]);
        }
        close_place(&place);
}
END_TEST

/* Idling ------------------------------------------------------------------------------------------------ */

START_TEST(only_messages_keep_it_from_idling)
{
        enum { IDLE_MS = 10000 };
        struct place place;
        ferry_service *service;
        ferry_session *client;
        int fd, number = 0;
        int64_t begin;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, &(ferry_service_options){ .idle_timeout_ms = IDLE_MS });
        client = ferry_session_open(place.loop, place.address, NULL);
        for (int i = 0; i < 5; i++) {
                ck_assert_int_eq(ferry_loop_run(place.loop, IDLE_MS - 10), 0);
                ck_assert_int_eq(ferry_service_status(service), 1);
                if (i % 2)
                        require_echo(client);
                else
                        ck_assert_int_eq(ferry_session_notify(client, "t", "{}"), 0);
                settle(&place);
        }
        begin = sys_now();
        /* A client that comes and goes, and bytes that are no message, do not. */
        while (ferry_service_status(service) == 1) {
                fd = connect_raw(&place);
                send_raw(fd, "\xf3\x4a", 2);
                settle(&place);
                close(fd);
                ck_assert_int_ge(ferry_loop_run(place.loop, 1000), 0);
                ck_assert_int_le(number++, IDLE_MS / 1000);
        }
        ck_assert_int_eq(ferry_service_status(service), 0);
        ck_assert_int_le(sys_now() - begin, (int64_t)(IDLE_MS + 1000) * 1000000);
        settle(&place);
        ck_assert_int_eq(ferry_session_status(client), 0);
        close_place(&place);
}
END_TEST

/* A request that is in hand when the time is over is finished. */
START_TEST(idling_finishes_what_is_in_hand)
{
        struct scene scene;
        ferry_session *client;
        ferry_call *call;

        open_scene(&scene, FERRY_DIALECT_FERRY);
        ferry_service_free(scene.service);
        for (int i = 0; i < CLIENTS - 1; i++)
                ferry_message_reply(scene.kept[i], NULL, "{}");
        settle(&scene.place);
        scene.service = ferry_service_open(scene.place.loop, scene.place.address, &(ferry_service_options){
                .idle_timeout_ms = 100 });
        ck_assert_msg(ferry_service_status(scene.service) == 1, "%s", ferry_service_error(scene.service));
        ferry_service_on(scene.service, FERRY_KIND_REQUEST, keep_next, &scene);
        client = open_client(&scene.place, FERRY_DIALECT_FERRY);
        call = ferry_session_request(client, SAFETY_MS, "t", "{}");
        while (ferry_service_status(scene.service) == 1)
                tick(&scene.place);
        ck_assert_int_eq(ferry_call_status(call), 1);
        ck_assert_int_eq(ferry_message_reply(scene.kept[CLIENTS - 1], NULL, "'done'"), 0);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_eq(ferry_loop_run(scene.place.loop, -1), 0);
        close_scene(&scene);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_handler_that_fails_costs_one_reply, DIALECTS),
        SUITE_LOOP(closing_accepts_no_client_and_finishes_requests_in_hand, DIALECTS),
        SUITE_LOOP(what_was_read_and_not_seen_is_refused, DIALECTS),
        SUITE_LOOP(closing_has_an_end, DIALECTS),
        SUITE_TEST(one_that_never_reads_ends_too),
        SUITE_LOOP(it_may_be_closed_from_anywhere, WHERES * HOWS),
        SUITE_TEST(only_messages_keep_it_from_idling),
        SUITE_TEST(idling_finishes_what_is_in_hand),
};

SUITE_MAIN("service-ends", tests)
