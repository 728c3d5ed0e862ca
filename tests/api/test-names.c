/* Services by name: both sides find the same socket, wherever the environment says that it stands; in a directory that
 * others could have changed nobody listens and nobody is asked. */
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

/* A directory of its own for each test, not there yet. */
struct place {
        ferry_loop *loop;
        char parent[64];
        char directory[80];
};

static void open_place(struct place *place)
{
        place->loop = ferry_loop_new(NULL);
        strcpy(place->parent, "/tmp/ferry-names-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(place->parent));
        snprintf(place->directory, sizeof place->directory, "%s/ferry", place->parent);
        ck_assert_int_eq(setenv("FERRY_DIR", place->directory, 1), 0);
}

static void close_place(struct place *place)
{
        ferry_loop_free(place->loop);
        ck_assert(rmdir(place->directory) == 0 || errno == ENOENT);
        ck_assert_int_eq(rmdir(place->parent), 0);
}

static void require_echo(struct place *place, const char *address)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(ferry_session_open(place->loop, address, NULL), SAFETY_MS, "t",
                                                            "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
}

START_TEST(a_name_leads_to_its_service)
{
        struct place place;
        char address[160], full[160];
        ferry_service *service, *second;
        struct stat stat;

        open_place(&place);
        service = ferry_service_open(place.loop, "some-Service_1", NULL);
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        require_echo(&place, "some-Service_1");
        /* The directory was made for us alone. */
        ck_assert_int_eq(lstat(place.directory, &stat), 0);
        ck_assert_uint_eq(stat.st_mode & 07777, 0700);
        snprintf(full, sizeof full, "unix:%s/some-Service_1.sock", place.directory);
        ck_assert_str_eq(ferry_service_address(service), full);
        ck_assert_int_eq(ferry_address_resolve("some-Service_1", FERRY_DIALECT_AUTO, address, sizeof address), (int)strlen(full));
        ck_assert_str_eq(address, full);
        require_echo(&place, address);
        second = ferry_service_open(place.loop, "some-Service_1", NULL);
        ck_assert_int_eq(ferry_service_status(second), -EADDRINUSE);
        snprintf(address, sizeof address, "by pid %d", (int)getpid());
        ck_assert_msg(strstr(ferry_service_error(second), address), "%s", ferry_service_error(second));
        close_place(&place);
}
END_TEST

/* Where nobody has listened yet there is nothing, and nothing is made by asking. */
START_TEST(asking_makes_no_directory)
{
        struct place place;
        ferry_session *session;

        open_place(&place);
        session = ferry_session_open(place.loop, "nobody", NULL);
        ck_assert_int_eq(ferry_session_status(session), -ENOENT);
        ck_assert_msg(strstr(ferry_session_error(session), "/ferry/nobody.sock"), "%s", ferry_session_error(session));
        ck_assert_int_eq(access(place.directory, F_OK), -1);
        close_place(&place);
}
END_TEST

static int listen_late(ferry_loop *loop, void *userdata)
{
        ferry_service **service = userdata;

        *service = ferry_service_open(loop, "late", NULL);
        ferry_service_on(*service, FERRY_KIND_REQUEST, echo, NULL);
        return 0;
}

START_TEST(a_name_is_waited_for)
{
        struct place place;
        ferry_service *service = NULL;
        ferry_session *session;
        ferry_call *call;

        open_place(&place);
        session = ferry_session_open(place.loop, "late", &(ferry_session_options){ .wait_ms = SAFETY_MS });
        call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        ferry_loop_after(place.loop, 5, listen_late, &service);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_service_status(service), 1);
        ferry_call_free(call);
        close_place(&place);
}
END_TEST

/* Nobody looks for it again and again: a few times at first, and then when the directory changes. */
START_TEST(waiting_for_a_name_costs_nothing)
{
        ferry_session *session;
        struct place place;
        ferry_call *call;

        open_place(&place);
        door_stop_clock(0);
        session = ferry_session_open(place.loop, "nobody", &(ferry_session_options){ .wait_ms = 3600000 });
        call = ferry_session_request(session, 7200000, "t", "'x'");
        door_counts.calls[DOOR_epoll_wait] = 0;
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ENOENT);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 20);
        ferry_call_free(call);
        close_place(&place);
}
END_TEST

enum { OPEN_TO_GROUP, OPEN_TO_OTHERS, LINK, FILE_THERE, UNSAFES };

static void make_unsafe(const struct place *place, int how)
{
        FILE *file;

        if (how == LINK)
                ck_assert_int_eq(symlink("/root", place->directory), 0);
        else if (how == FILE_THERE) {
                file = fopen(place->directory, "we");
                ck_assert_ptr_nonnull(file);
                fclose(file);
        } else {
                ck_assert_int_eq(mkdir(place->directory, 0700), 0);
                ck_assert_int_eq(chmod(place->directory, how == OPEN_TO_GROUP ? 0710 : 0701), 0);
        }
}

START_TEST(what_others_could_change_is_not_trusted)
{
        struct place place;
        char address[160];
        ferry_service *service;
        ferry_session *session;

        open_place(&place);
        make_unsafe(&place, _i);
        service = ferry_service_open(place.loop, "name", NULL);
        ck_assert_int_eq(ferry_service_status(service), -EACCES);
        ck_assert_msg(strstr(ferry_service_error(service), place.directory), "%s", ferry_service_error(service));
        session = ferry_session_open(place.loop, "name", &(ferry_session_options){ .wait_ms = SAFETY_MS });
        ck_assert_int_eq(ferry_session_status(session), -EACCES);
        ck_assert_msg(strstr(ferry_session_error(session), "not safe"), "%s", ferry_session_error(session));
        ck_assert_int_eq(ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address), -EACCES);
        if (_i == LINK || _i == FILE_THERE)
                ck_assert_int_eq(unlink(place.directory), 0);
        close_place(&place);
}
END_TEST

/* A directory of somebody else's: only root can try. */
START_TEST(a_stranger_s_directory_is_not_trusted)
{
        struct place place;

        if (geteuid() != 0)
                return;
        open_place(&place);
        ck_assert_int_eq(mkdir(place.directory, 0700), 0);
        ck_assert_int_eq(chown(place.directory, 65534, 65534), 0);
        ck_assert_int_eq(ferry_service_status(ferry_service_open(place.loop, "name", NULL)), -EACCES);
        ck_assert_int_eq(ferry_session_status(ferry_session_open(place.loop, "name", NULL)), -EACCES);
        close_place(&place);
}
END_TEST

START_TEST(without_a_directory_of_its_own_choice)
{
        struct place place;
        char address[160], expected[160], run[64];
        struct stat stat;

        open_place(&place);
        unsetenv("FERRY_DIR");
        snprintf(run, sizeof run, "/run/user/%u", (unsigned)geteuid());
        if (lstat(run, &stat) == 0)
                snprintf(expected, sizeof expected, "unix:%s/ferry/name.sock", run);
        else
                snprintf(expected, sizeof expected, "unix:%s/ferry/name.sock", place.parent);
        ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", place.parent, 1), 0);
        ck_assert_int_gt(ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address), 0);
        ck_assert_str_eq(address, expected);
        /* A relative one is none. */
        ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "relative", 1), 0);
        if (lstat(run, &stat) < 0) {
                snprintf(expected, sizeof expected, "unix:/tmp/ferry-%u/name.sock", (unsigned)geteuid());
                ck_assert_int_gt(ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address), 0);
                ck_assert_str_eq(address, expected);
        }
        close_place(&place);
}
END_TEST

START_TEST(names_are_short_and_plain)
{
        static const char *const wrong[] = { "", "a.b", "a/b", "../a", "a b", "caf\xc3\xa9",
                "12345678901234567890123456789012345678901234567890123456789012345" };
        char address[8], long_directory[128];
        struct place place;

        open_place(&place);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                ck_assert_int_eq(ferry_address_scheme(wrong[i]), -EINVAL);
                ck_assert_int_eq(ferry_service_status(ferry_service_open(place.loop, wrong[i], NULL)), -EINVAL);
        }
        ck_assert_int_eq(ferry_address_scheme(wrong[6] + 1), FERRY_SCHEME_NAME);
        ck_assert_int_eq(ferry_address_resolve("unix:/a/b/c", FERRY_DIALECT_AUTO, address, sizeof address), 11);
        ck_assert_str_eq(address, "unix:/a");
        ck_assert_int_eq(ferry_address_resolve("a.b", FERRY_DIALECT_AUTO, address, sizeof address), -EINVAL);
        /* The path is told whole where it does not fit. */
        memset(long_directory, 'd', sizeof long_directory - 1);
        long_directory[0] = '/';
        long_directory[sizeof long_directory - 1] = '\0';
        ck_assert_int_eq(setenv("FERRY_DIR", long_directory, 1), 0);
        ferry_service *service = ferry_service_open(place.loop, "name", NULL);
        ck_assert_int_eq(ferry_service_status(service), -ENAMETOOLONG);
        ck_assert_msg(strstr(ferry_service_error(service), long_directory), "%s", ferry_service_error(service));
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_name_leads_to_its_service),
        SUITE_TEST(asking_makes_no_directory),
        SUITE_TEST(a_name_is_waited_for),
        SUITE_TEST(waiting_for_a_name_costs_nothing),
        SUITE_LOOP(what_others_could_change_is_not_trusted, UNSAFES),
        SUITE_TEST(a_stranger_s_directory_is_not_trusted),
        SUITE_TEST(without_a_directory_of_its_own_choice),
        SUITE_TEST(names_are_short_and_plain),
};

SUITE_MAIN("names", tests)
