/* Services by name: both sides find the same socket, wherever the environment says that it stands; in a directory that
 * others could have changed no service listens and none is asked. */
#include "support/door.h"
#include "support/names.h"
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

/* Nothing is left there. */
static void close_empty(struct names *names)
{
        names->loop = ferry_loop_free(names->loop);
        ck_assert(rmdir(names->directory) == 0 || errno == ENOENT);
        ck_assert_int_eq(rmdir(names->parent), 0);
}

static void require_echo(struct names *names, const char *address)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(ferry_session_open(names->loop, address, NULL), SAFETY_MS, "t",
                                                            "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
}

START_TEST(a_name_leads_to_its_service)
{
        struct names names;
        char address[160], full[160];
        ferry_service *service, *second;
        struct stat stat;

        open_names(&names);
        service = ferry_service_open(names.loop, "some-Service_1", NULL);
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        require_echo(&names, "some-Service_1");
        /* The directory was made for us alone. */
        ck_assert_int_eq(lstat(names.directory, &stat), 0);
        ck_assert_uint_eq(stat.st_mode & 07777, 0700);
        snprintf(full, sizeof full, "unix:%s/some-Service_1.sock", names.directory);
        ck_assert_str_eq(ferry_service_address(service), full);
        ck_assert_int_eq(ferry_address_resolve("some-Service_1", FERRY_DIALECT_AUTO, address, sizeof address), (int)strlen(full));
        ck_assert_str_eq(address, full);
        require_echo(&names, address);
        second = ferry_service_open(names.loop, "some-Service_1", NULL);
        ck_assert_int_eq(ferry_service_status(second), -EADDRINUSE);
        snprintf(address, sizeof address, "by process %d", (int)getpid());
        ck_assert_msg(strstr(ferry_service_error(second), address), "%s", ferry_service_error(second));
        close_empty(&names);
}
END_TEST

/* Before the first service there is no directory, and a question makes none. */
START_TEST(asking_makes_no_directory)
{
        struct names names;
        ferry_session *session;

        open_names(&names);
        session = ferry_session_open(names.loop, "vacant", NULL);
        ck_assert_int_eq(ferry_session_status(session), -ENOENT);
        ck_assert_msg(strstr(ferry_session_error(session), "/ferry/vacant.sock"), "%s", ferry_session_error(session));
        ck_assert_int_eq(access(names.directory, F_OK), -1);
        close_empty(&names);
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
        struct names names;
        ferry_service *service = NULL;
        ferry_session *session;
        ferry_call *call;

        open_names(&names);
        session = ferry_session_open(names.loop, "late", &(ferry_session_options){ .wait_ms = SAFETY_MS });
        call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        ferry_loop_after(names.loop, 5, listen_late, &service);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_service_status(service), 1);
        ferry_call_free(call);
        close_empty(&names);
}
END_TEST

/* It is not looked for again and again: a few times at first, and then when the directory changes. */
START_TEST(waiting_for_a_name_costs_nothing)
{
        ferry_session *session;
        struct names names;
        ferry_call *call;

        open_names(&names);
        door_stop_clock(0);
        session = ferry_session_open(names.loop, "vacant", &(ferry_session_options){ .wait_ms = 3600000 });
        call = ferry_session_request(session, 7200000, "t", "'x'");
        door_counts.calls[DOOR_epoll_wait] = 0;
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ENOENT);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 20);
        ferry_call_free(call);
        close_empty(&names);
}
END_TEST

enum { OPEN_TO_GROUP, OPEN_TO_OTHERS, LINK, FILE_THERE, UNSAFES };

static void make_unsafe(const struct names *names, int how)
{
        FILE *file;

        if (how == LINK)
                ck_assert_int_eq(symlink("/root", names->directory), 0);
        else if (how == FILE_THERE) {
                file = fopen(names->directory, "we");
                ck_assert_ptr_nonnull(file);
                fclose(file);
        } else {
                ck_assert_int_eq(mkdir(names->directory, 0700), 0);
                ck_assert_int_eq(chmod(names->directory, how == OPEN_TO_GROUP ? 0710 : 0701), 0);
        }
}

START_TEST(what_others_could_change_is_not_trusted)
{
        struct names names;
        char address[160];
        ferry_service *service;
        ferry_session *session;

        open_names(&names);
        make_unsafe(&names, _i);
        service = ferry_service_open(names.loop, "name", NULL);
        ck_assert_int_eq(ferry_service_status(service), -EACCES);
        ck_assert_msg(strstr(ferry_service_error(service), names.directory), "%s", ferry_service_error(service));
        session = ferry_session_open(names.loop, "name", &(ferry_session_options){ .wait_ms = SAFETY_MS });
        ck_assert_int_eq(ferry_session_status(session), -EACCES);
        ck_assert_msg(strstr(ferry_session_error(session), "not safe"), "%s", ferry_session_error(session));
        ck_assert_int_eq(ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address), -EACCES);
        if (_i == LINK || _i == FILE_THERE)
                ck_assert_int_eq(unlink(names.directory), 0);
        close_empty(&names);
}
END_TEST

/* A directory of another user: only root can try. */
START_TEST(a_stranger_s_directory_is_not_trusted)
{
        struct names names;

        if (geteuid() != 0)
                return;
        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        ck_assert_int_eq(chown(names.directory, 65534, 65534), 0);
        ck_assert_int_eq(ferry_service_status(ferry_service_open(names.loop, "name", NULL)), -EACCES);
        ck_assert_int_eq(ferry_session_status(ferry_session_open(names.loop, "name", NULL)), -EACCES);
        close_empty(&names);
}
END_TEST

START_TEST(without_a_directory_of_its_own_choice)
{
        struct names names;
        char address[160], expected[160], run[64];
        struct stat stat;

        open_names(&names);
        unsetenv("FERRY_DIR");
        snprintf(run, sizeof run, "/run/user/%u", (unsigned)geteuid());
        if (lstat(run, &stat) == 0)
                snprintf(expected, sizeof expected, "unix:%s/ferry/name.sock", run);
        else
                snprintf(expected, sizeof expected, "unix:%s/ferry/name.sock", names.parent);
        ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", names.parent, 1), 0);
        ck_assert_int_gt(ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address), 0);
        ck_assert_str_eq(address, expected);
        /* A relative one is none. */
        ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "relative", 1), 0);
        if (lstat(run, &stat) < 0) {
                snprintf(expected, sizeof expected, "unix:/tmp/ferry-%u/name.sock", (unsigned)geteuid());
                ck_assert_int_gt(ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address), 0);
                ck_assert_str_eq(address, expected);
        }
        close_empty(&names);
}
END_TEST

/* Root may have the environment of the user who has become root: that user's directory is left alone. */
START_TEST(the_run_time_directory_of_another_user_is_not_taken_over)
{
        struct names names;
        char address[160], expected[160], run[64];
        struct stat stat;

        snprintf(run, sizeof run, "/run/user/%u", (unsigned)geteuid());
        if (lstat(run, &stat) == 0 || (_i == 1 && geteuid() != 0))
                return;
        open_names(&names);
        unsetenv("FERRY_DIR");
        ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", names.parent, 1), 0);
        if (_i == 0)
                ck_assert_int_eq(chmod(names.parent, 0770), 0);
        else
                ck_assert_int_eq(chown(names.parent, 65534, 65534), 0);
        snprintf(expected, sizeof expected, "unix:/tmp/ferry-%u/name.sock", (unsigned)geteuid());
        ck_assert_int_gt(ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address), 0);
        ck_assert_str_eq(address, expected);
        close_empty(&names);
}
END_TEST

START_TEST(a_directory_is_not_made_in_that_of_another_user)
{
        struct names names;
        ferry_service *service;

        if (geteuid() != 0)
                return;
        open_names(&names);
        ck_assert_int_eq(chown(names.parent, 65534, 65534), 0);
        service = ferry_service_open(names.loop, "name", NULL);
        ck_assert_int_eq(ferry_service_status(service), -EACCES);
        ck_assert_msg(strstr(ferry_service_error(service), "user 65534"), "%s", ferry_service_error(service));
        ck_assert_int_lt(access(names.directory, F_OK), 0);
        close_empty(&names);
}
END_TEST

START_TEST(names_are_short_and_plain)
{
        static const char *const wrong[] = { "", "a.b", "a/b", "../a", "a b", "caf\xc3\xa9",
                "12345678901234567890123456789012345678901234567890123456789012345" };
        char address[8], long_directory[128];
        struct names names;

        open_names(&names);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                ck_assert_int_eq(ferry_address_scheme(wrong[i]), -EINVAL);
                ck_assert_int_eq(ferry_service_status(ferry_service_open(names.loop, wrong[i], NULL)), -EINVAL);
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
        ferry_service *service = ferry_service_open(names.loop, "name", NULL);
        ck_assert_int_eq(ferry_service_status(service), -ENAMETOOLONG);
        ck_assert_msg(strstr(ferry_service_error(service), long_directory), "%s", ferry_service_error(service));
        close_empty(&names);
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
        SUITE_LOOP(the_run_time_directory_of_another_user_is_not_taken_over, 2),
        SUITE_TEST(a_directory_is_not_made_in_that_of_another_user),
        SUITE_TEST(names_are_short_and_plain),
};

SUITE_MAIN("names", tests)
