/* Waiting for services: a service accepts connections when the wait for it ends, no connection is made meanwhile, and
 * waiting is no polling. And arguments and loops with which no service can be found. */
#include "support/door.h"
#include "support/names.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static int note(ferry_loop *loop, void *userdata)
{
        (void)loop;
        (*(int *)userdata)++;
        return 0;
}

START_TEST(a_listener_that_is_there_is_not_waited_for)
{
        struct names names;
        int ran = 0;

        open_names(&names);
        open_service(names.loop, "there", NULL);
        ferry_loop_after(names.loop, 0, note, &ran);
        door_counts.calls[DOOR_epoll_wait] = door_counts.calls[DOOR_connect] = 0;
        ck_assert_int_eq(ferry_service_wait(names.loop, "there", FERRY_DIALECT_AUTO, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_service_wait(names.loop, "there", FERRY_DIALECT_STREAM_IPC, 0), 0);
        ck_assert_int_eq(ferry_service_wait(names.loop, address_of(&names, "there.sock"), FERRY_DIALECT_AUTO, -1), 0);
        ck_assert_uint_eq(door_counts.calls[DOOR_epoll_wait], 0);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 0);
        close_names(&names);
}
END_TEST

struct late {
        const struct names *names;
        ferry_service *service;
        int rounds;
        int fd;
};

static int listen_late(ferry_loop *loop, void *userdata)
{
        struct late *late = userdata;

        late->service = ferry_service_open(loop, "late", NULL);
        return 0;
}

static int tick(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ((struct late *)userdata)->rounds++;
        return 1;
}

/* The directory is made by the service; whatever else lives in the loop lives on meanwhile. */
START_TEST(a_later_listener_ends_the_wait)
{
        struct names names;
        struct late late = { .names = &names };

        open_names(&names);
        door_stop_clock(0);
        ferry_loop_after(names.loop, 10, tick, &late);
        ferry_loop_after(names.loop, 60000, listen_late, &late);
        ck_assert_int_eq(ferry_service_wait(names.loop, "late", FERRY_DIALECT_AUTO, -1), 0);
        ck_assert_int_ge(late.rounds, 5999);
        ck_assert_int_eq(ferry_service_status(late.service), 1);
        ferry_loop_off(names.loop, tick, &late);
        close_names(&names);
}
END_TEST

static int let_go(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ck_assert_int_eq(write(*(int *)userdata, "x", 1), 1);
        return 0;
}

/* Another process, too, ferry or not. */
START_TEST(another_process_ends_the_wait)
{
        struct names names;
        int fds[2];
        char byte;
        pid_t pid;

        open_names(&names);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                ferry_loop *loop = ferry_loop_new(NULL);

                if (read(fds[0], &byte, 1) != 1)
                        _exit(1);
                if (_i == 0)
                        ferry_service_open(loop, "late", NULL);
                else {
                        mkdir(names.directory, 0700);
                        bind_plain(path_of(&names, "late.sock"), 1);
                }
                for (;;)
                        pause();
        }
        ferry_loop_after(names.loop, 5, let_go, &fds[1]);
        ck_assert_int_eq(ferry_service_wait(names.loop, "late", FERRY_DIALECT_AUTO, SAFETY_MS), 0);
        end_service(pid);
        close(fds[0]);
        close(fds[1]);
        close_names(&names);
}
END_TEST

static int bind_late(ferry_loop *loop, void *userdata)
{
        struct late *late = userdata;

        (void)loop;
        if (late->fd < 0)
                late->fd = bind_plain(path_of(late->names, "late.sock"), -1);
        else
                ck_assert_int_eq(listen(late->fd, 1), 0);
        return late->rounds++ == 0;
}

/* A server that takes long between bind(2) and listen(2), which changes nothing in the directory, is looked at now
 * and then as long as the socket belongs to it. */
START_TEST(a_slow_listener_ends_the_wait)
{
        struct names names;
        struct late late = { .names = &names, .fd = -1 };
        int64_t began;

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        door_stop_clock(0);
        began = sys_now();
        ferry_loop_after(names.loop, 60000, bind_late, &late);
        ck_assert_int_eq(ferry_service_wait(names.loop, "late", FERRY_DIALECT_AUTO, 3600000), 0);
        ck_assert_int_ge(sys_now() - began, (int64_t)120 * 1000000000);
        ck_assert_int_le(sys_now() - began, (int64_t)120500 * 1000000);
        ck_assert_int_eq(accept(late.fd, NULL, NULL), -1);
        ck_assert_int_eq(errno, EAGAIN);
        close(late.fd);
        close_names(&names);
}
END_TEST

/* Until the last millisecond, and in a few rounds. */
START_TEST(a_wait_for_a_listener_polls_nothing)
{
        static const char *const states[] = { "missing", "file", "stale", "stale-lock", "held" };
        const char *name = states[_i];
        struct names names;
        char file[80];
        int64_t began;
        int lock = -1;

        open_names(&names);
        if (_i > 0)
                ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        snprintf(file, sizeof file, "%s.sock", name);
        if (strcmp(name, "file") == 0)
                put_file(path_of(&names, file), "x", 1);
        else if (_i > 0)
                close(bind_plain(path_of(&names, file), 4));
        snprintf(file, sizeof file, "%s.sock.lock", name);
        if (strcmp(name, "stale-lock") == 0)
                put_file(path_of(&names, file), "ferry lock\n1\n1 ferry\n", 21);
        /* It lives, does not listen yet, and has not even put away what another has left. */
        if (strcmp(name, "held") == 0) {
                put_file(path_of(&names, file), "ferry lock\n1\n1 ferry\n", 21);
                lock = open(path_of(&names, file), O_RDWR | O_CLOEXEC);
                ck_assert_int_eq(sys_lock_file(lock, 2, getpid()), 0);
        }
        door_reset();
        door_stop_clock(0);
        began = sys_now();
        ck_assert_int_eq(ferry_service_wait(names.loop, name, FERRY_DIALECT_AUTO, 3600000), -ETIMEDOUT);
        ck_assert_int_eq(sys_now() - began, (int64_t)3600000 * 1000000);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 20);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 0);
        door_reset();
        if (lock >= 0)
                close(lock);
        close_names(&names);
}
END_TEST

static int stir(ferry_loop *loop, void *userdata)
{
        struct late *late = userdata;

        (void)loop;
        put_file(path_of(late->names, late->rounds == 0 ? "late.sock" : "other.sock"), "x", 1);
        if (late->rounds == 1)
                ck_assert_int_eq(unlink(path_of(late->names, "late.sock")), 0);
        if (late->rounds == 2)
                close(bind_plain(path_of(late->names, "late.sock"), 4));
        if (late->rounds == 3) {
                ck_assert_int_eq(unlink(path_of(late->names, "late.sock")), 0);
                late->fd = bind_plain(path_of(late->names, "late.sock"), 4);
        }
        return late->rounds++ < 3;
}

/* Neither a file nor a stale socket ends the wait; a server does, ferry or not. It is not connected
 * to. */
START_TEST(only_a_listener_ends_the_wait)
{
        struct names names;
        struct late late = { .names = &names };

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        door_stop_clock(1);
        ferry_loop_after(names.loop, 1000, stir, &late);
        ck_assert_int_eq(ferry_service_wait(names.loop, _i ? "late" : address_of(&names, "late.sock"), FERRY_DIALECT_AUTO,
                                            3600000), 0);
        ck_assert_int_eq(late.rounds, 4);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 0);
        ck_assert_int_eq(accept(late.fd, NULL, NULL), -1);
        ck_assert_int_eq(errno, EAGAIN);
        close(late.fd);
        close_names(&names);
}
END_TEST

/* By whatever path the server has bound its socket, and we ask for it. */
START_TEST(paths_may_be_strange)
{
        static const char *const files[] = { "a b", "line\nbreak 00010000", "back\\slash", "caf\xc3\xa9", "\xff\xfe", "%s%n" };
        struct names names;
        int fd, here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                fd = bind_plain(path_of(&names, files[i]), 4);
                ck_assert_int_eq(ferry_service_wait(names.loop, address_of(&names, files[i]), FERRY_DIALECT_AUTO, 0), 0);
                close(fd);
                ck_assert_int_eq(ferry_service_wait(names.loop, address_of(&names, files[i]), FERRY_DIALECT_AUTO, 0), -ETIMEDOUT);
        }
        /* Bound by a relative path, asked for by a whole one, and the other way round. */
        ck_assert_int_eq(chdir(names.directory), 0);
        fd = bind_plain("relative", 4);
        ck_assert_int_eq(ferry_service_wait(names.loop, address_of(&names, "relative"), FERRY_DIALECT_AUTO, 0), 0);
        ck_assert_int_eq(ferry_service_wait(names.loop, "unix:relative", FERRY_DIALECT_AUTO, 0), 0);
        ck_assert_int_eq(ferry_service_wait(names.loop, "unix:../ferry/relative", FERRY_DIALECT_AUTO, 0), 0);
        /* Through a link, and after it was given another name. */
        ck_assert_int_eq(symlink("relative", "link"), 0);
        ck_assert_int_eq(ferry_service_wait(names.loop, "unix:link", FERRY_DIALECT_AUTO, 0), 0);
        ck_assert_int_eq(rename("relative", "renamed"), 0);
        ck_assert_int_eq(ferry_service_wait(names.loop, "unix:renamed", FERRY_DIALECT_AUTO, 0), 0);
        ck_assert_int_eq(ferry_service_wait(names.loop, "unix:link", FERRY_DIALECT_AUTO, 0), -ETIMEDOUT);
        close(fd);
        /* One of the same name in another place is another. */
        fd = bind_plain("../twin", 4);
        close(bind_plain("twin", 4));
        ck_assert_int_eq(ferry_service_wait(names.loop, "unix:twin", FERRY_DIALECT_AUTO, 0), -ETIMEDOUT);
        ck_assert_int_eq(ferry_service_wait(names.loop, "unix:../twin", FERRY_DIALECT_AUTO, 0), 0);
        close(fd);
        ck_assert_int_eq(fchdir(here), 0);
        close(here);
        close_names(&names);
}
END_TEST

/* More sockets than the kernel tells of at once. */
START_TEST(among_many_sockets)
{
        enum { SOCKETS = 600 };
        struct names names;
        char name[32];
        int fds[SOCKETS];

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        for (int i = 0; i < SOCKETS; i++) {
                snprintf(name, sizeof name, "s%d.sock", i);
                fds[i] = bind_plain(path_of(&names, name), 4);
        }
        for (int i = 0; i < SOCKETS; i += 37) {
                snprintf(name, sizeof name, "s%d", i);
                ck_assert_int_eq(ferry_service_wait(names.loop, name, FERRY_DIALECT_AUTO, 0), 0);
        }
        ferry_value *list = ferry_service_list(names.loop);
        ck_assert_uint_eq(ferry_value_count(list), SOCKETS);
        ferry_value_unref(list);
        for (int i = 0; i < SOCKETS; i++)
                close(fds[i]);
        close_names(&names);
}
END_TEST

static int free_loop(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        ferry_loop_free(loop);
        return 0;
}

START_TEST(arguments_and_loops_that_are_wrong)
{
        static const char *const wrong[] = { "", "a.b", "unix:", "stdio:", "exec:true", "fd:0,1", "file:/dev/null", NULL };
        char path[200] = "unix:/";
        struct names names;
        ferry_loop *loop;
        int status;
        pid_t pid;

        open_names(&names);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                ck_assert_int_eq(ferry_service_wait(names.loop, wrong[i], FERRY_DIALECT_AUTO, SAFETY_MS), -EINVAL);
                ck_assert_ptr_nonnull(strstr(ferry_loop_error(names.loop), wrong[i] ? "is not the address of a service: write NAME or"
                                             " unix:PATH" : "the address is NULL"));
        }
        ck_assert_int_eq(ferry_service_wait(names.loop, "a", 1 << 30, SAFETY_MS), -EINVAL);
        ck_assert_str_eq(ferry_loop_error(names.loop), "cannot wait for 'a': there is no dialect 1073741824");
        ck_assert_int_eq(ferry_service_wait(names.loop, "a", FERRY_DIALECT_AUTO, 0), -ETIMEDOUT);
        ck_assert_str_eq(ferry_loop_error(names.loop), "there is no other end at 'a' after 0 s");
        ck_assert_int_eq(ferry_service_wait(names.loop, "a", FERRY_DIALECT_FERRY | FERRY_DIALECT_STREAM_IPC, SAFETY_MS),
                         -EINVAL);
        memset(path + 6, 'x', sizeof path - 7);
        ck_assert_int_eq(ferry_service_wait(names.loop, path, FERRY_DIALECT_AUTO, SAFETY_MS), -ENAMETOOLONG);
        ck_assert_int_eq(setenv("FERRY_DIR", path + 5, 1), 0);
        ck_assert_int_eq(ferry_service_wait(names.loop, "a", FERRY_DIALECT_AUTO, SAFETY_MS), -ENAMETOOLONG);
        ck_assert_int_eq(setenv("FERRY_DIR", names.directory, 1), 0);
        ck_assert_int_eq(ferry_service_wait(NULL, "a", FERRY_DIALECT_AUTO, SAFETY_MS), -ENOMEM);
        ck_assert_ptr_null(ferry_service_list(NULL));
        /* A loop that goes ends the wait. */
        loop = ferry_loop_new(NULL);
        ferry_loop_after(loop, 1, free_loop, NULL);
        ck_assert_int_eq(ferry_service_wait(loop, "a", FERRY_DIALECT_AUTO, SAFETY_MS), -ECANCELED);
        pid = fork();
        if (pid == 0)
                _exit(ferry_service_wait(names.loop, "a", FERRY_DIALECT_AUTO, SAFETY_MS) != -ECHILD ||
                      ferry_service_list(names.loop) != NULL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        close_names(&names);
}
END_TEST

/* So does a loop that goes while the list is made. */
START_TEST(a_loop_that_goes_ends_the_list)
{
        struct names names;
        pid_t pid;

        open_names(&names);
        pid = start_service("stopped", FERRY_DIALECT_AUTO);
        hold_service(pid);
        ferry_loop_after(names.loop, 1, free_loop, NULL);
        ck_assert_ptr_null(ferry_service_list(names.loop));
        names.loop = NULL;
        end_service(pid);
        close_names(&names);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_listener_that_is_there_is_not_waited_for),
        SUITE_TEST(a_later_listener_ends_the_wait),
        SUITE_LOOP(another_process_ends_the_wait, 2),
        SUITE_TEST(a_slow_listener_ends_the_wait),
        SUITE_LOOP(a_wait_for_a_listener_polls_nothing, 5),
        SUITE_LOOP(only_a_listener_ends_the_wait, 2),
        SUITE_TEST(paths_may_be_strange),
        SUITE_TEST(among_many_sockets),
        SUITE_TEST(arguments_and_loops_that_are_wrong),
        SUITE_TEST(a_loop_that_goes_ends_the_list),
};

SUITE_MAIN("finding", tests)
