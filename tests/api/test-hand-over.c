/* A service that hands over to a successor: under load no request is lost or sent twice; the socket, its lock and its clients go to the
 * successor; and what is refused is refused with its reason at both sides. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CLIENTS = 4, IN_FLIGHT = 8 };

static int agree(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *code = userdata, result = ferry_service_hand_over(ferry_session_service(session), session);

        (void)message;
        if (code)
                *code = result;
        else
                SUITE_CHECK(result == 0, "%d", result);
        return 1;
}

static ferry_service *open_successor(struct place *place, const ferry_service_options *options)
{
        ferry_service_options all = options ? *options : (ferry_service_options){ .size = 0 };
        ferry_service *service;

        all.is_taking_over = true;
        /* The other service answers from the same process, whenever that gets a processor. */
        if (!all.close_timeout_ms)
                all.close_timeout_ms = SAFETY_MS;
        service = ferry_service_open(place->loop, place->address, &all);
        SUITE_CHECK(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        ferry_service_on(service, FERRY_KIND_SUCCESSOR, agree, NULL);
        return service;
}

/* Load ---------------------------------------------------------------------------------------------------- */

struct load {
        ferry_session *session;
        long asked, answered;
        long wrong;
        bool is_stopping;
};

static void ask(struct load *load);

static void answered(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct load *load = userdata;

        load->answered++;
        if (!reply && load->wrong++ == 0)
                fprintf(stderr, "request %ld: %s\n", load->answered, ferry_call_error(call));
        if (!load->is_stopping)
                ask(load);
}

static void ask(struct load *load)
{
        ferry_call_then(ferry_session_request(load->session, -1, "t", "%ld", ++load->asked), answered, load);
}

START_TEST(no_request_is_lost_under_load)
{
        struct place place;
        struct load loads[CLIENTS];
        ferry_service *service;
        size_t rounds = suite_is_long() ? 100000 : 2000;
        int resumed = 0, lost = 0;
        long done = 0;

        open_place(&place);
        service = open_successor(&place, NULL);
        for (int i = 0; i < CLIENTS; i++) {
                loads[i] = (struct load){ .session = ferry_session_open(place.loop, place.address,
                                                                        &(ferry_session_options){ .reconnect_ms = -1 }) };
                ferry_session_on(loads[i].session, FERRY_KIND_RESUMED, count, &resumed);
                ferry_session_on(loads[i].session, FERRY_KIND_LOST | FERRY_KIND_CLOSED, count, &lost);
                for (int k = 0; k < IN_FLIGHT; k++)
                        ask(&loads[i]);
        }
        for (size_t i = 0; i < rounds; i++) {
                ferry_service *next = open_successor(&place, NULL);

                SUITE_CHECK(ferry_service_status(service) == 0, "%s", ferry_service_error(service));
                /* Its handlers are needed until its clients have left. */
                while (ferry_service_client(service, NULL))
                        tick(&place);
                ferry_service_free(service);
                service = next;
                tick(&place);
        }
        for (int i = 0; i < CLIENTS; i++) {
                loads[i].is_stopping = true;
                while (loads[i].answered < loads[i].asked)
                        tick(&place);
                ck_assert_int_eq(loads[i].wrong, 0);
                done += loads[i].answered;
        }
        ck_assert_int_gt(done, (long)rounds / 100);
        ck_assert_int_eq(lost, 0);
        ck_assert_int_gt(resumed, 0);
        close_place(&place);
}
END_TEST

/* The old service answers what it has in hand, also long after; new requests go to the successor. */
START_TEST(requests_in_hand_are_answered_by_the_old_service)
{
        struct place place;
        ferry_service *old;
        ferry_session *client;
        ferry_message *kept = NULL;
        ferry_call *call;
        struct stat before, after;
        int resumed = 0;

        door_stop_clock(0);
        open_place(&place);
        old = ferry_service_open(place.loop, place.address, &(ferry_service_options){ .close_timeout_ms = _i == 0 ? -1 : 60000 });
        ferry_service_on(old, FERRY_KIND_REQUEST, keep, &kept);
        ferry_service_on(old, FERRY_KIND_SUCCESSOR, agree, NULL);
        client = ferry_session_open(place.loop, place.address, &(ferry_session_options){ .reconnect_ms = -1 });
        ferry_session_on(client, FERRY_KIND_RESUMED, count, &resumed);
        call = ferry_session_request(client, -1, "t", NULL);
        while (!kept)
                tick(&place);
        ck_assert_int_eq(stat(place.path, &before), 0);
        open_successor(&place, NULL);
        ck_assert_int_eq(ferry_service_status(old), 0);
        require_echo(client);
        settle(&place);
        ck_assert_int_eq(resumed, 1);
        ck_assert_int_eq(ferry_call_status(call), 1);
        ck_assert_int_eq(ferry_message_reply(kept, NULL, "'late'"), 0);
        ferry_message_unref(kept);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(ferry_call_reply(call)), "late");
        ferry_call_free(call);
        settle(&place);
        ck_assert_ptr_null(ferry_service_client(old, NULL));
        ferry_service_free(old);
        settle(&place);
        ck_assert_int_eq(stat(place.path, &after), 0);
        ck_assert(before.st_ino == after.st_ino);
        require_echo(client);
        close_place(&place);
}
END_TEST

/* It ends with its requests answered, and the next ones are not executed. */
START_TEST(a_client_that_does_not_connect_again_is_closed)
{
        struct place place;
        ferry_service *old;
        ferry_session *client;
        ferry_message *kept = NULL;
        ferry_call *call, *late;

        door_stop_clock(0);
        open_place(&place);
        old = ferry_service_open(place.loop, place.address, NULL);
        ferry_service_on(old, FERRY_KIND_REQUEST, keep, &kept);
        ferry_service_on(old, FERRY_KIND_SUCCESSOR, agree, NULL);
        client = ferry_session_open(place.loop, place.address, NULL);
        call = ferry_session_request(client, -1, "t", NULL);
        while (!kept)
                tick(&place);
        open_successor(&place, NULL);
        ck_assert_int_eq(ferry_session_status(client), 1);
        ck_assert_int_eq(ferry_message_reply(kept, NULL, NULL), 0);
        ferry_message_unref(kept);
        late = ferry_session_request(client, -1, "t", NULL);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_ptr_null(ferry_call_await(late));
        ck_assert_int_eq(ferry_call_outcome(late), FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        ferry_call_free(late);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

START_TEST(nothing_that_listens_is_taken_over_by_listening)
{
        struct place place;

        open_place(&place);
        open_successor(&place, &(ferry_service_options){ .mode = 0640 });
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

static int note_error(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        snprintf(userdata, 256, "%s", ferry_message_text(message));
        return 0;
}

static void refuse_successor(struct place *place, const char *address, const ferry_service_options *options, int code,
                             const char *sentence)
{
        ferry_service_options all = options ? *options : (ferry_service_options){ .size = 0 };
        ferry_service *service;

        all.is_taking_over = true;
        service = ferry_service_open(place->loop, address, &all);
        ck_assert_msg(ferry_service_status(service) == code, "%s", ferry_service_error(service));
        ck_assert_msg(strstr(ferry_service_error(service), sentence), "%s", ferry_service_error(service));
        ferry_service_free(service);
}

START_TEST(a_service_that_does_not_hand_over_goes_on)
{
        struct place place;
        ferry_service *service;

        open_place(&place);
        service = open_echo(&place, NULL);
        refuse_successor(&place, place.address, NULL, -EACCES, "this service does not hand over to another process");
        refuse_successor(&place, "tcp:127.0.0.1:0", NULL, -EOPNOTSUPP, "only NAME and unix:PATH can");
        ck_assert_int_eq(ferry_service_status(service), 1);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        ck_assert_int_eq(ferry_service_hand_over(service, ferry_service_client(service, NULL)), -EINVAL);
        ck_assert_int_eq(ferry_service_hand_over(NULL, NULL), -ENOMEM);
        close_place(&place);
}
END_TEST

/* What a successor sends. */
static const char take_over[] = "\xf3\x4a\x9d\xe2\0\0\0\x10\1\xa7\1\0\0\0\0\0\0\0\0\0\0\0\0\0";
static const char taken[] = "\xf3\x4a\x9d\xe2\0\0\0\x10\1\xa9\1\0\0\0\0\0\0\0\0\0\0\0\0\0";

static bool admit(ferry_session *session, const ferry_peer *peer, void *userdata)
{
        (void)session, (void)peer, (void)userdata;
        return true;
}

/* By the successor, which looks at whom it is connected to; and by the service, though it admits the user as a client. */
START_TEST(another_user_is_refused_at_both_sides)
{
        const ferry_session_options session = { .allow = admit };
        struct place place;
        ferry_service *service;
        char error[256] = "", reason[128], answer[512] = "";
        int asked = 0, fd;

        if (!can_become())
                return;
        open_place(&place);
        service = open_echo(&place, &(ferry_service_options){ .mode = 0666, .session = &session });
        ferry_service_on(service, FERRY_KIND_SUCCESSOR, count, &asked);
        ferry_service_on(service, FERRY_KIND_ERROR, note_error, error);
        ck_assert_int_eq(chmod(place.directory, 0777), 0);
        become(STRANGER);
        refuse_successor(&place, place.address, NULL, -EACCES, "cannot take over");
        fd = connect_raw(&place);
        become(0);
        send_raw(fd, take_over, sizeof take_over - 1);
        settle(&place);
        ck_assert_int_eq(asked, 0);
        snprintf(reason, sizeof reason, "may not take over: it runs as user %d, and the service as user 0", STRANGER);
        ck_assert_msg(strstr(error, reason), "%s", error);
        ck_assert_int_gt(recv(fd, answer, sizeof answer, MSG_DONTWAIT), 0);
        ck_assert_ptr_nonnull(memmem(answer, sizeof answer, reason, strlen(reason)));
        close(fd);
        ck_assert_int_eq(ferry_service_status(service), 1);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

/* It has the sockets, and goes: at whatever moment. */
START_TEST(a_successor_that_fails_changes_nothing)
{
        struct place place;
        ferry_service *service;
        char error[256] = "";
        int code = 0;

        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_SUCCESSOR, agree, &code);
        ferry_service_on(service, FERRY_KIND_ERROR, note_error, error);
        /* It wants to listen for more than is handed over. */
        refuse_successor(&place, place.address, &(ferry_service_options){ .dialects = FERRY_DIALECT_INNMIND | FERRY_DIALECT_FERRY }, -EINVAL,
                         "only a NAME can have");
        ck_assert_int_eq(ferry_service_status(service), 1);
        ck_assert_int_eq(code, 0);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

/* It has got the sockets, and dies; or it says that it serves, and was given nothing. */
START_TEST(a_successor_that_dies_changes_nothing)
{
        struct place place;
        ferry_service *service;
        char error[256] = "";
        int code = 1, fd;

        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_SUCCESSOR, agree, &code);
        ferry_service_on(service, FERRY_KIND_ERROR, note_error, error);
        fd = connect_raw(&place);
        send_raw(fd, _i == 0 ? take_over : taken, sizeof take_over - 1);
        settle(&place);
        ck_assert_int_eq(code, _i == 0 ? 0 : 1);
        close(fd);
        settle(&place);
        if (_i == 0)
                ck_assert_str_eq(error, "the successor has ended before it had taken over: this service goes on");
        ck_assert_int_eq(ferry_service_status(service), 1);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        open_successor(&place, NULL);
        ck_assert_int_eq(ferry_service_status(service), 0);
        close_place(&place);
}
END_TEST

static int note_order(ferry_session *session, const ferry_message *message, void *userdata)
{
        char *order = userdata;

        (void)session;
        strcat(order, ferry_message_kind(message) == FERRY_KIND_CLOSED ? "closed " : "error ");
        return 0;
}

/* A session is valid until the handlers for FERRY_KIND_CLOSED have returned. */
START_TEST(the_end_of_a_successor_is_reported_before_that_of_its_session)
{
        struct place place;
        ferry_service *service;
        char order[64] = "";
        int code = 1, fd;

        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_SUCCESSOR, agree, &code);
        ferry_service_on(service, FERRY_KIND_ERROR | FERRY_KIND_CLOSED, note_order, order);
        fd = connect_raw(&place);
        send_raw(fd, take_over, sizeof take_over - 1);
        settle(&place);
        ck_assert_int_eq(code, 0);
        close(fd);
        settle(&place);
        ck_assert_str_eq(order, "error closed ");
        close_place(&place);
}
END_TEST

static const struct {
        const char *bytes;
        size_t size;
        bool stays;             /* it does not close the connection */
        int code;
} predecessors[] = {
        { "", 0, false, -ECONNRESET },
        { "", 0, true, -ETIMEDOUT },
        { "junk junk junk junk", 19, true, -EBADMSG },
        { "\xf3\x4a\x9d\xe2\0\0\0\x24\1\xa8\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x91\x82\xa4path\xa6/run/x\xa4lock\xc3", 44, true, -EINVAL },
        { "\xf3\x4a\x9d\xe2\0\0\0\x10\1\xa8\1\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, true, -EBADMSG },
        { "\xf3\x4a\x9d\xe2\0\0\x10\0", 8, true, -ETIMEDOUT },
        { "\xf3\x4a\x9d\xe2\x7f\0\0\0", 8, true, -EBADMSG },
        { "\xf3\x4a\x9d\xe2\0\1\0\1\1\xa8\1\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, true, -EBADMSG },
};

struct raw_service {
        int listener, client, row;
};

static int serve_raw(ferry_loop *loop, void *userdata)
{
        struct raw_service *raw = userdata;

        (void)loop;
        raw->client = accept(raw->listener, NULL, NULL);
        send_raw(raw->client, predecessors[raw->row].bytes, predecessors[raw->row].size);
        if (!predecessors[raw->row].stays)
                close(raw->client);
        return 0;
}

START_TEST(what_a_wrong_predecessor_sends_is_refused)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        struct raw_service raw = { .listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .row = _i };
        struct place place;

        door_stop_clock(0);
        open_place(&place);
        strcpy(name.sun_path, place.path);
        ck_assert_int_eq(bind(raw.listener, (struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(listen(raw.listener, 4), 0);
        ferry_loop_watch(place.loop, raw.listener, POLLIN, serve_raw, &raw);
        refuse_successor(&place, place.address, NULL, predecessors[_i].code, "cannot take over");
        if (predecessors[_i].stays)
                close(raw.client);
        close(raw.listener);
        unlink(place.path);
        close_place(&place);
}
END_TEST

/* A service without a limit for its own requests in hand has one for this. */
START_TEST(a_predecessor_that_hangs_is_not_waited_for_forever)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct place place;

        door_stop_clock(0);
        open_place(&place);
        strcpy(name.sun_path, place.path);
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(listen(listener, 4), 0);
        refuse_successor(&place, place.address, &(ferry_service_options){ .close_timeout_ms = -1 }, -ETIMEDOUT,
                         "the service has not answered in time");
        close(listener);
        unlink(place.path);
        close_place(&place);
}
END_TEST

int main(void)
{
        static const struct suite_test tests[] = {
                SUITE_TEST(no_request_is_lost_under_load),
                SUITE_LOOP(requests_in_hand_are_answered_by_the_old_service, 2),
                SUITE_TEST(a_client_that_does_not_connect_again_is_closed),
                SUITE_TEST(nothing_that_listens_is_taken_over_by_listening),
                SUITE_TEST(a_service_that_does_not_hand_over_goes_on),
                SUITE_TEST(another_user_is_refused_at_both_sides),
                SUITE_TEST(a_successor_that_fails_changes_nothing),
                SUITE_LOOP(a_successor_that_dies_changes_nothing, 2),
                SUITE_TEST(the_end_of_a_successor_is_reported_before_that_of_its_session),
                SUITE_LOOP(what_a_wrong_predecessor_sends_is_refused, sizeof predecessors / sizeof *predecessors),
                SUITE_TEST(a_predecessor_that_hangs_is_not_waited_for_forever),
        };

        return suite_run("hand-over", tests, sizeof tests / sizeof *tests);
}
