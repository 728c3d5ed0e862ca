/* The socket file of a service that lives: where it is removed the service binds its path again, and where that cannot be it
 * ends with an error; clients that are there notice nothing. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char beside[128], lock[128];

static void open_all(struct place *place)
{
        door_stop_clock(0);
        open_place(place);
        snprintf(beside, sizeof beside, "%s/beside", place->directory);
        snprintf(lock, sizeof lock, "%s.lock", place->path);
}

static bool is_socket(const char *path)
{
        struct stat stat;

        return lstat(path, &stat) == 0 && S_ISSOCK(stat.st_mode);
}

static void put_text(const char *path)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        ck_assert_int_eq(write(fd, "text", 4), 4);
        close(fd);
}

enum { PER_ROUND = 16 };

enum { UNLINKED, MOVED, WITH_ITS_LOCK, REMOVALS };

static void remove_socket(const struct place *place, int how)
{
        if (how == MOVED)
                ck_assert_int_eq(rename(place->path, beside), 0);
        else
                ck_assert_int_eq(unlink(place->path), 0);
        if (how == WITH_ITS_LOCK)
                ck_assert_int_eq(unlink(lock), 0);
}

START_TEST(a_removed_socket_file_is_bound_again)
{
        struct place place;
        ferry_session *client;
        struct stat stat;

        open_all(&place);
        open_echo(&place, &(ferry_service_options){ .mode = 0640 });
        client = ferry_session_open(place.loop, place.address, NULL);
        require_echo(client);
        for (int i = 0; i < 3; i++) {
                /* At first it is only looked at; then the kernel reports it. */
                ferry_loop_run(place.loop, i == 2 ? 1000 : 0);
                ck_assert_uint_ge(door_counts.calls[DOOR_watch_file], i == 2 ? 2 : 0);
                remove_socket(&place, _i);
                while (!is_socket(place.path))
                        tick(&place);
                settle(&place);
                ck_assert_int_eq(lstat(place.path, &stat), 0);
                ck_assert_uint_eq(stat.st_mode & 07777, 0640);
                ck_assert_int_eq(ferry_service_wait(place.loop, place.address, FERRY_DIALECT_AUTO, 0), 0);
                require_echo(client);
                require_echo(ferry_session_open(place.loop, place.address, NULL));
        }
        unlink(beside);
        close_place(&place);
}
END_TEST

/* There may be no inotify left for this user: then the file is looked at once a second. */
static int refuse_inotify(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == DOOR_inotify ? -EMFILE : 0;
}

START_TEST(a_socket_file_that_cannot_be_watched_is_bound_again)
{
        struct place place;

        open_all(&place);
        door_judge = refuse_inotify;
        open_echo(&place, NULL);
        remove_socket(&place, UNLINKED);
        while (!is_socket(place.path))
                tick(&place);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        door_judge = NULL;
        close_place(&place);
}
END_TEST

/* It was connected to the socket that is gone. */
START_TEST(a_client_of_a_removed_socket_file_is_served)
{
        unsigned char frame[264];
        struct place place;
        char bytes[512];
        int fd;

        open_all(&place);
        open_echo(&place, NULL);
        fd = connect_raw(&place);
        send_raw(fd, frame, make_request(frame, 1, "x"));
        remove_socket(&place, UNLINKED);
        while (receive_raw(fd, bytes, sizeof bytes) == -EAGAIN)
                tick(&place);
        close(fd);
        while (!is_socket(place.path))
                tick(&place);
        ck_assert(is_socket(place.path));
        close_place(&place);
}
END_TEST

static int refusals;

static int refuse_to_accept(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == DOOR_accept && refusals > 0 && refusals-- > 0 ? -EMFILE : 0;
}

/* No descriptor is left when its socket is replaced, and for a while after that. */
START_TEST(clients_of_a_removed_socket_file_wait_for_descriptors)
{
        unsigned char frame[264];
        struct place place;
        char bytes[512];
        int fds[20];
        ssize_t got;

        open_all(&place);
        open_echo(&place, NULL);
        for (size_t i = 0; i < COUNT(fds); i++) {
                fds[i] = connect_raw(&place);
                send_raw(fds[i], frame, make_request(frame, 1, "x"));
        }
        refusals = 3;
        door_judge = refuse_to_accept;
        remove_socket(&place, UNLINKED);
        for (size_t i = 0; i < COUNT(fds); i++) {
                while ((got = receive_raw(fds[i], bytes, sizeof bytes)) == -EAGAIN)
                        tick(&place);
                ck_assert_int_gt(got, 0);
                close(fds[i]);
        }
        door_judge = NULL;
        ck_assert_int_eq(refusals, 0);
        ck_assert(is_socket(place.path));
        close_place(&place);
}
END_TEST

static int accepted;

static int count_accepts(enum door_call call, bool is_child)
{
        int code = refuse_to_accept(call, is_child);

        accepted += call == DOOR_accept && code == 0;
        return code;
}

/* As many as of any other socket: a backlog that is full takes no round for itself. */
START_TEST(clients_of_a_removed_socket_file_come_in_several_rounds)
{
        struct place place;
        int fds[100], served = 0;

        open_all(&place);
        open_echo(&place, NULL);
        for (size_t i = 0; i < COUNT(fds); i++)
                fds[i] = connect_raw(&place);
        /* They are not accepted before the file is missed. */
        refusals = 3;
        door_judge = count_accepts;
        remove_socket(&place, UNLINKED);
        while (served < (int)COUNT(fds)) {
                accepted = 0;
                tick(&place);
                /* One that finds no client is among them, for each of the two sockets. */
                ck_assert_int_le(accepted, PER_ROUND + 2);
                served += accepted;
        }
        door_judge = NULL;
        for (size_t i = 0; i < COUNT(fds); i++)
                close(fds[i]);
        close_place(&place);
}
END_TEST

static const int losses[] = { -EADDRINUSE, -ENOENT, -EADDRINUSE };

/* What stands there now stays, and the service says why it ends. */
START_TEST(a_service_whose_path_is_taken_ends_with_an_error)
{
        char directory[100], path[120], other[120], address[128];
        struct place place;
        ferry_service *service;
        ferry_session *client;
        int code;

        open_all(&place);
        snprintf(directory, sizeof directory, "%s/deeper", place.directory);
        snprintf(path, sizeof path, "%s/s", directory);
        snprintf(other, sizeof other, "%s/s.lock", directory);
        snprintf(address, sizeof address, "unix:%s", path);
        ck_assert_int_eq(mkdir(directory, 0700), 0);
        service = ferry_service_open(place.loop, address, NULL);
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        client = ferry_session_open(place.loop, address, NULL);
        require_echo(client);
        if (_i == 0) {
                put_text(beside);
                ck_assert_int_eq(rename(beside, path), 0);
        } else if (_i == 1) {
                ck_assert_int_eq(unlink(path), 0);
                ck_assert_int_eq(unlink(other), 0);
                ck_assert_int_eq(rmdir(directory), 0);
        } else {
                /* Another program's lock. */
                ck_assert_int_eq(unlink(other), 0);
                put_text(other);
                ck_assert_int_eq(unlink(path), 0);
        }
        /* The loop reports it as long as the program has not asked. */
        while ((code = ferry_loop_tick(place.loop, SAFETY_MS)) >= 0)
                ;
        ck_assert_int_eq(code, losses[_i]);
        ck_assert_msg(ferry_service_status(service) == losses[_i], "%d %s", ferry_service_status(service),
                      ferry_service_error(service));
        ck_assert_msg(strstr(ferry_service_error(service), "was removed"), "%s", ferry_service_error(service));
        while (ferry_session_status(client) == 1)
                tick(&place);
        ck_assert_int_eq(ferry_session_status(client), 0);
        ferry_service_free(service);
        settle(&place);
        ck_assert_int_eq(access(path, F_OK), _i == 0 ? 0 : -1);
        ck_assert_int_eq(access(other, F_OK), _i == 2 ? 0 : -1);
        unlink(path);
        unlink(other);
        rmdir(directory);
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_removed_socket_file_is_bound_again, REMOVALS),
        SUITE_TEST(a_socket_file_that_cannot_be_watched_is_bound_again),
        SUITE_TEST(a_client_of_a_removed_socket_file_is_served),
        SUITE_TEST(clients_of_a_removed_socket_file_wait_for_descriptors),
        SUITE_TEST(clients_of_a_removed_socket_file_come_in_several_rounds),
        SUITE_LOOP(a_service_whose_path_is_taken_ends_with_an_error, COUNT(losses)),
};

SUITE_MAIN("service-files", tests)
