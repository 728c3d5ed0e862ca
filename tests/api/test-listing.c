/* The list of services: a listed service lives; no server is connected to that this could harm, and nothing that others
 * have put there keeps us waiting or is believed. */
#include "support/door.h"
#include "support/names.h"
#include "support/run.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

/* "NAME NAME ": the names of those that are listed, busy ones with an asterisk. */
static const char *list_names(ferry_loop *loop)
{
        static char names[1024];
        ferry_value *list = ferry_service_list(loop);
        size_t used = 0;

        ck_assert_int_eq(ferry_value_kind(list), FERRY_VALUE_LIST);
        names[0] = '\0';
        for (size_t i = 0; i < ferry_value_count(list); i++) {
                const ferry_value *service = ferry_value_at(list, i);

                used += (size_t)snprintf(names + used, sizeof names - used, "%s%s ",
                                         ferry_value_text(ferry_value_get(service, "name"), "?"),
                                         ferry_value_bool(ferry_value_get(service, "busy"), true) ? "*" : "");
        }
        ferry_value_unref(list);
        return names;
}

START_TEST(the_living_are_listed)
{
        struct names names;
        int64_t before = sys_wall_clock();
        ferry_value *list, *expected;
        const ferry_value *first;
        int64_t since;

        open_names(&names);
        list = ferry_service_list(names.loop);
        ck_assert_int_eq(ferry_value_kind(list), FERRY_VALUE_LIST);
        ck_assert_uint_eq(ferry_value_count(list), 0);
        ferry_value_unref(list);
        /* Listing makes nothing. */
        ck_assert_int_eq(access(names.directory, F_OK), -1);

        open_service(names.loop, "b", NULL);
        open_service(names.loop, "a", &(ferry_service_options){ .dialects = FERRY_DIALECT_STREAM_IPC });
        open_service(names.loop, "c", &(ferry_service_options){ .session = &(ferry_session_options){
                .dialect = FERRY_DIALECT_FERRY } });
        list = ferry_service_list(names.loop);
        first = ferry_value_at(list, 0);
        since = ferry_value_int(ferry_value_get(first, "since"), 0);
        ck_assert_int_ge(since, before);
        ck_assert_int_le(since, sys_wall_clock());
        expected = ferry_value_pack("{name: 'a', address: %s, pid: %d, uid: %u, dialects: ['stream-ipc'], since: %lld,"
                                    " busy: false}", address_of(&names, "a.sock"), (int)getpid(), (unsigned)geteuid(),
                                    (long long)since);
        ck_assert(ferry_value_equal(first, expected));
        ck_assert_int_eq(ferry_value_unpack(ferry_value_at(list, 1), "{name: 'b', dialects: ['ferry', 'stream-ipc']}"), 0);
        ck_assert_int_eq(ferry_value_unpack(ferry_value_at(list, 2), "{name: 'c', dialects: ['ferry']}"), 0);
        ck_assert_uint_eq(ferry_value_count(list), 3);
        ferry_value_unref(list);
        ferry_value_unref(expected);
        close_names(&names);
}
END_TEST

START_TEST(the_dead_are_not_listed)
{
        struct names names;
        pid_t pid;

        open_names(&names);
        /* One that is asked and one that is not. */
        pid = start_service("dead", _i ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_AUTO);
        ck_assert_str_eq(list_names(names.loop), "dead ");
        end_service(pid);
        ck_assert_int_eq(access(path_of(&names, "dead.sock"), F_OK), 0);
        ck_assert_int_eq(access(path_of(&names, "dead.sock.lock"), F_OK), 0);
        ck_assert_str_eq(list_names(names.loop), "");
        /* The next one takes its names. */
        open_service(names.loop, "dead", NULL);
        ck_assert_str_eq(list_names(names.loop), "dead ");
        close_names(&names);
}
END_TEST

/* It is asked, and does not answer; the list waits for it no longer than for all others together. */
START_TEST(a_service_that_does_not_answer_is_busy)
{
        struct names names;
        int64_t began;
        pid_t pid, second;

        open_names(&names);
        pid = start_service("stopped", FERRY_DIALECT_AUTO);
        second = start_service("stopped-too", FERRY_DIALECT_AUTO);
        open_service(names.loop, "well", NULL);
        hold_service(pid);
        hold_service(second);
        door_stop_clock(20);
        began = sys_now();
        ck_assert_str_eq(list_names(names.loop), "stopped* stopped-too* well ");
        ck_assert_int_eq(sys_now() - began, 200000000);
        door_reset();
        end_service(pid);
        end_service(second);
        close_names(&names);
}
END_TEST

/* A full backlog is the same. */
START_TEST(a_service_with_a_full_backlog_is_busy)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        struct names names;
        int fds[200], count = 0;
        pid_t pid;

        open_names(&names);
        pid = start_service("full", FERRY_DIALECT_AUTO);
        hold_service(pid);
        strcpy(name.sun_path, path_of(&names, "full.sock"));
        do
                fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        while (connect(fds[count++], (struct sockaddr *)&name, sizeof name) == 0 && count < 200);
        ck_assert_int_lt(count, 200);
        door_stop_clock(0);
        ck_assert_str_eq(list_names(names.loop), "full* ");
        door_reset();
        while (count > 0)
                close(fds[--count]);
        end_service(pid);
        close_names(&names);
}
END_TEST

static int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 0;
}

static int look_for_clients(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ck_assert_ptr_null(ferry_service_client(userdata, NULL));
        ck_assert_int_eq(ferry_service_notify(userdata, "t", "'x'"), 0);
        return 0;
}

/* Handlers do not see a client that only asks, be it in a loop of its own or in theirs; they see all others. */
START_TEST(handlers_do_not_see_the_probe)
{
        const unsigned all = FERRY_KIND_MESSAGE | FERRY_KIND_OPENED | FERRY_KIND_CLOSED | FERRY_KIND_ERROR | FERRY_KIND_JUNK;
        struct names names;
        ferry_service *service, *other;
        ferry_session *client;
        ferry_call *call;
        int told = 0;
        pid_t pid;

        open_names(&names);
        /* So that the service that was asked is there for a time. */
        pid = start_service("stopped", FERRY_DIALECT_AUTO);
        hold_service(pid);
        service = open_service(names.loop, "asked", NULL);
        /* One that speaks another dialect only is not asked. */
        other = open_service(names.loop, "other", &(ferry_service_options){ .dialects = FERRY_DIALECT_STREAM_IPC });
        ferry_service_on(service, all, count, &told);
        ferry_service_on(other, all, count, &told);
        door_stop_clock(1);
        for (int i = 0; i < 3; i++) {
                ferry_loop_after(names.loop, 100, look_for_clients, service);
                ck_assert_str_eq(list_names(names.loop), "asked other stopped* ");
        }
        ferry_loop_run(names.loop, 20);
        ck_assert_int_eq(told, 0);
        door_reset();
        /* A client, a request, its end. */
        client = ferry_session_open(names.loop, "asked", NULL);
        call = ferry_session_request(client, SAFETY_MS, "t", "'x'");
        ferry_call_await(call);
        ferry_call_free(call);
        ck_assert_int_eq(told, 2);
        ck_assert_ptr_nonnull(ferry_service_client(service, NULL));
        ferry_session_close(client);
        while (told < 3)
                ck_assert_int_ge(ferry_loop_tick(names.loop, SAFETY_MS), 0);
        ferry_loop_run(names.loop, 20);
        ck_assert_int_eq(told, 3);
        end_service(pid);
        close_names(&names);
}
END_TEST

/* Also those that look at once, in another process, while we are still asking. */
START_TEST(handlers_elsewhere_do_not_see_it_either)
{
        const int questions = (int)suite_scale(5000);
        int *told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct names names;
        int fds[2];
        char byte = 0;
        pid_t pid;

        open_names(&names);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                ferry_loop *loop = ferry_loop_new(NULL);
                ferry_service *service = ferry_service_open(loop, "asked", NULL);

                ferry_service_on(service, FERRY_KIND_OPENED | FERRY_KIND_CLOSED, count, told);
                if (ferry_service_status(service) != 1 || write(fds[1], &byte, 1) != 1)
                        _exit(1);
                ferry_loop_run(loop, -1);
                _exit(0);
        }
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        for (int i = 0; i < questions; i++)
                ck_assert_str_eq(list_names(names.loop), "asked ");
        ck_assert_int_eq(*told, 0);
        end_service(pid);
        munmap(told, sizeof *told);
        close(fds[0]);
        close(fds[1]);
        close_names(&names);
}
END_TEST

/* No client is disconnected to make room for a question. */
START_TEST(a_full_service_is_listed)
{
        struct names names;
        ferry_service *service;
        ferry_session *client;

        open_names(&names);
        service = open_service(names.loop, "full", &(ferry_service_options){ .clients_max = 1 });
        client = ferry_session_open(names.loop, "full", NULL);
        while (!ferry_service_client(service, NULL))
                ck_assert_int_ge(ferry_loop_tick(names.loop, SAFETY_MS), 0);
        ck_assert_str_eq(list_names(names.loop), "full ");
        ferry_loop_run(names.loop, 20);
        ck_assert_ptr_nonnull(ferry_service_client(service, NULL));
        ck_assert_int_eq(ferry_session_status(client), 1);
        close_names(&names);
}
END_TEST

/* A program that is not ferry is listed by the kernel's word, and not connected to. */
START_TEST(a_server_that_is_not_ferry_is_not_disturbed)
{
        struct names names;
        ferry_value *list, *expected;
        int fd, bound;

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        fd = bind_plain(path_of(&names, "plain.sock"), 4);
        bound = bind_plain(path_of(&names, "bound.sock"), -1);
        list = ferry_service_list(names.loop);
        expected = ferry_value_pack("[{name: 'plain', address: %s, pid: null, uid: %u, dialects: [], since: null,"
                                    " busy: false}]", address_of(&names, "plain.sock"), (unsigned)geteuid());
        ck_assert(ferry_value_equal(list, expected));
        ck_assert_int_eq(accept(fd, NULL, NULL), -1);
        ck_assert_int_eq(errno, EAGAIN);
        ferry_value_unref(list);
        ferry_value_unref(expected);
        close(fd);
        close(bound);
        close_names(&names);
}
END_TEST

static int hold_lock(const char *path, const char *text, size_t size)
{
        int fd;

        put_file(path, text, size);
        fd = open(path, O_RDWR | O_CLOEXEC);
        ck_assert_int_eq(sys_lock_file(fd, 0, 1), 0);
        ck_assert_int_eq(sys_lock_file(fd, 2, getpid()), 0);
        return fd;
}

/* Whatever may lie there is passed over, and does not delay the list. */
START_TEST(strange_files_are_passed_over)
{
        static const char *const texts[] = {
                "", "\n", "x", "123", "123\n1700000000 stream-ipc\n", "ferry lock", "ferry lock\n", "ferry lick\n123\n1700000000 stream-ipc\n",
                "ferry lock\n123", "ferry lock\n123\n", "ferry lock\n123\n1700000000 stream-ipc", "ferry lock\n-1\n1700000000 stream-ipc\n",
                "ferry lock\n0\n1700000000 stream-ipc\n", "ferry lock\n123\nstream-ipc\n", "ferry lock\n123 1700000000 stream-ipc\n",
                "ferry lock\n123\n\n",
        };
        char long_text[5000], name[80];
        struct names names;
        int sockets[32], locks[32], used = 0;
        ferry_value *list;

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        put_file(path_of(&names, "file.sock"), "x", 1);
        put_file(path_of(&names, "alone.sock.lock"), "ferry lock\n1\n1 stream-ipc\n", 26);
        ck_assert_int_eq(mkfifo(path_of(&names, "fifo.sock"), 0600), 0);
        ck_assert_int_eq(mkdir(path_of(&names, "folder.sock"), 0700), 0);
        close(bind_plain(path_of(&names, "stale.sock"), 4));
        sockets[used] = bind_plain(path_of(&names, "no name.sock"), 4);
        locks[used++] = -1;
        sockets[used] = bind_plain(path_of(&names, ".sock"), 4);
        locks[used++] = -1;
        sockets[used] = bind_plain(path_of(&names, "real.socket"), 4);
        locks[used++] = -1;
        ck_assert_int_eq(symlink(path_of(&names, "real.socket"), path_of(&names, "link.sock")), 0);
        snprintf(name, sizeof name, "%065d.sock", 0);
        sockets[used] = bind_plain(path_of(&names, name), -1);
        locks[used++] = -1;
        /* Locks beside stale sockets. */
        close(bind_plain(path_of(&names, "lock-fifo.sock"), 4));
        ck_assert_int_eq(mkfifo(path_of(&names, "lock-fifo.sock.lock"), 0600), 0);
        close(bind_plain(path_of(&names, "lock-folder.sock"), 4));
        ck_assert_int_eq(mkdir(path_of(&names, "lock-folder.sock.lock"), 0700), 0);
        close(bind_plain(path_of(&names, "lock-link.sock"), 4));
        close(bind_plain(path_of(&names, "lock-large.sock"), 4));
        memset(long_text, '1', sizeof long_text);
        sockets[used] = -1;
        locks[used++] = hold_lock(path_of(&names, "lock-large.sock.lock"), long_text, sizeof long_text);
        sockets[used] = -1;
        locks[used++] = hold_lock(path_of(&names, "elsewhere"), "ferry lock\n123\n1700000000 stream-ipc\n", 37);
        ck_assert_int_eq(symlink(path_of(&names, "elsewhere"), path_of(&names, "lock-link.sock.lock")), 0);
        sockets[used] = -1;
        locks[used++] = hold_lock(path_of(&names, "file.sock.lock"), "ferry lock\n123\n1700000000 stream-ipc\n", 37);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                snprintf(name, sizeof name, "text-%zu.sock", i);
                close(bind_plain(path_of(&names, name), 4));
                snprintf(name, sizeof name, "text-%zu.sock.lock", i);
                sockets[used] = -1;
                locks[used++] = hold_lock(path_of(&names, name), texts[i], strlen(texts[i]));
        }
        ck_assert_str_eq(list_names(names.loop), "");

        /* What is right is read, as far as it is known; and a service that says that it listens, and is gone, is not listed. */
        sockets[used] = bind_plain(path_of(&names, "future.sock"), 4);
        locks[used++] = hold_lock(path_of(&names, "future.sock.lock"), "ferry lock\n77\n88 zebra stream-ipc ferr\n99\n", 42);
        close(bind_plain(path_of(&names, "liar.sock"), 4));
        sockets[used] = -1;
        locks[used++] = hold_lock(path_of(&names, "liar.sock.lock"), "ferry lock\n77\n88 ferry\n", 23);
        list = ferry_service_list(names.loop);
        ck_assert_uint_eq(ferry_value_count(list), 1);
        ck_assert_int_eq(ferry_value_unpack(ferry_value_at(list, 0), "{name: 'future', pid: 77, since: 88,"
                                                                     " dialects: ['stream-ipc']}"), 0);
        ferry_value_unref(list);
        while (used-- > 0) {
                if (sockets[used] >= 0)
                        close(sockets[used]);
                if (locks[used] >= 0)
                        close(locks[used]);
        }
        close_names(&names);
}
END_TEST

/* In a directory that users share a lock is believed only if it is our user's or root's, and beside a socket of the same
 * user: else a process could claim the socket or the pid of another one. What the kernel says holds. */
START_TEST(a_lock_of_another_user_is_not_believed)
{
        static const char text[] = "ferry lock\n1\n1700000000 innmind\n";
        const uid_t lock_owners[] = { 65534, 65534, 0 }, socket_owners[] = { 65534, 0, 65534 };
        struct names names;
        char above[120], shared[140], socket[160], lock[180];
        int fds[2];
        ferry_value *list;

        if (geteuid() != 0)
                return;
        open_names(&names);
        snprintf(above, sizeof above, "%s/innmind", names.parent);
        snprintf(shared, sizeof shared, "%s/ipc", above);
        ck_assert_int_eq(mkdir(above, 0755), 0);
        ck_assert_int_eq(mkdir(shared, 0755), 0);
        snprintf(socket, sizeof socket, "%s/theirs.sock", shared);
        snprintf(lock, sizeof lock, "%s.lock", socket);
        fds[0] = bind_plain(socket, _i == 0 ? 4 : -1);
        fds[1] = hold_lock(lock, text, sizeof text - 1);
        ck_assert_int_eq(chown(socket, socket_owners[_i], socket_owners[_i]), 0);
        ck_assert_int_eq(chown(lock, lock_owners[_i], lock_owners[_i]), 0);
        list = ferry_service_list(names.loop);
        if (_i == 0) {
                ck_assert_uint_eq(ferry_value_count(list), 1);
                ck_assert_int_eq(ferry_value_kind(ferry_value_get(ferry_value_at(list, 0), "pid")), FERRY_VALUE_NULL);
                ck_assert_uint_eq(ferry_value_count(ferry_value_get(ferry_value_at(list, 0), "dialects")), 0);
        } else
                ck_assert_uint_eq(ferry_value_count(list), 0);
        ferry_value_unref(list);
        snprintf(lock, sizeof lock, "unix:%s", socket);
        ck_assert_int_eq(ferry_service_wait(names.loop, lock, FERRY_DIALECT_AUTO, 0), _i == 0 ? 0 : -ETIMEDOUT);
        close(fds[0]);
        close(fds[1]);
        close_names(&names);
}
END_TEST

/* A list that cannot be whole is none. */
static enum door_call refused;

static int refuse(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == refused ? -EMFILE : 0;
}

START_TEST(without_descriptors_there_is_no_list)
{
        static const enum door_call calls[] = { DOOR_open, DOOR_socket, DOOR_netlink };
        struct names names;
        int fd;

        open_names(&names);
        open_service(names.loop, "a", NULL);
        fd = bind_plain(path_of(&names, "plain.sock"), 4);
        ck_assert_str_eq(list_names(names.loop), "a plain ");
        refused = calls[_i];
        door_judge = refuse;
        ck_assert_ptr_null(ferry_service_list(names.loop));
        door_judge = NULL;
        ck_assert_str_eq(list_names(names.loop), "a plain ");
        close(fd);
        close_names(&names);
}
END_TEST

/* A directory that others could change is not looked into. */
START_TEST(an_unsafe_directory_is_not_listed)
{
        struct names names;

        open_names(&names);
        open_service(names.loop, "a", NULL);
        ck_assert_str_eq(list_names(names.loop), "a ");
        ck_assert_int_eq(chmod(names.directory, 0755), 0);
        ck_assert_str_eq(list_names(names.loop), "");
        ck_assert_int_eq(ferry_service_wait(names.loop, "a", FERRY_DIALECT_AUTO, SAFETY_MS), -EACCES);
        ck_assert_int_eq(chmod(names.directory, 0700), 0);
        close_names(&names);
}
END_TEST

/* A service that starts while others list and wait is never refused because of them. */
START_TEST(asking_takes_nothing)
{
        const int questions = (int)suite_scale(200000);
        volatile int *asked = mmap(NULL, sizeof *asked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        /* A service that the list does not ask, which would be waited for. */
        const ferry_service_options options = { .dialects = FERRY_DIALECT_STREAM_IPC };
        struct names names;
        pid_t pid;

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        pid = fork();
        if (pid == 0) {
                ferry_loop *loop = ferry_loop_new(NULL);

                for (;;) {
                        ferry_value_unref(ferry_service_list(loop));
                        ferry_service_wait(loop, "raced", FERRY_DIALECT_AUTO, 0);
                        ++*asked;
                }
        }
        /* Each finds what a dead one has left, which is what others look at meanwhile. */
        while (*asked < questions) {
                put_file(path_of(&names, "raced.sock.lock"), "ferry lock\n1\n1 stream-ipc\n", 26);
                close(bind_plain(path_of(&names, "raced.sock"), 1));
                ferry_service_free(open_service(names.loop, "raced", &options));
        }
        end_service(pid);
        munmap((void *)(uintptr_t)asked, sizeof *asked);
        close_names(&names);
}
END_TEST

/* Services for all users, and a directory there that cannot be trusted; in a file system of this test's own. */
START_TEST(services_for_all_users_are_listed)
{
        struct names names;
        ferry_service *service;

        if (geteuid() != 0 || !run_is_own())
                return;
        open_names(&names);
        ck_assert_int_eq(mkdir("/run/ferry", 0755), 0);
        service = open_service(names.loop, "unix:/run/ferry/everybody.sock", &(ferry_service_options){ .mode = 0666 });
        open_service(names.loop, "ours", NULL);
        ck_assert_str_eq(list_names(names.loop), "everybody ours ");
        ck_assert_int_eq(ferry_service_wait(names.loop, "everybody", FERRY_DIALECT_AUTO, 0), 0);
        /* The same directory is not listed twice. */
        ck_assert_int_eq(setenv("FERRY_DIR", "/run/ferry", 1), 0);
        ck_assert_int_eq(chmod("/run/ferry", 0700), 0);
        ck_assert_str_eq(list_names(names.loop), "everybody ");
        ck_assert_int_eq(setenv("FERRY_DIR", names.directory, 1), 0);
        /* Another user may not read the lock: that a service listens there is known all the same. */
        ck_assert_int_eq(chmod("/run/ferry", 0755), 0);
        ck_assert_int_eq(setenv("FERRY_DIR", names.parent, 1), 0);
        ck_assert_int_eq(seteuid(65534), 0);
        ck_assert_str_eq(list_names(names.loop), "everybody ");
        ck_assert_int_eq(ferry_service_wait(names.loop, "unix:/run/ferry/everybody.sock", FERRY_DIALECT_AUTO, 0), 0);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(setenv("FERRY_DIR", names.directory, 1), 0);
        ck_assert_int_eq(chmod("/run/ferry", 0777), 0);
        ck_assert_str_eq(list_names(names.loop), "ours ");
        ferry_service_free(service);
        close_names(&names);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(the_living_are_listed),
        SUITE_LOOP(the_dead_are_not_listed, 2),
        SUITE_TEST(a_service_that_does_not_answer_is_busy),
        SUITE_TEST(a_service_with_a_full_backlog_is_busy),
        SUITE_TEST(handlers_do_not_see_the_probe),
        SUITE_TEST(handlers_elsewhere_do_not_see_it_either),
        SUITE_TEST(a_full_service_is_listed),
        SUITE_TEST(a_server_that_is_not_ferry_is_not_disturbed),
        SUITE_TEST(strange_files_are_passed_over),
        SUITE_LOOP(a_lock_of_another_user_is_not_believed, 3),
        SUITE_LOOP(without_descriptors_there_is_no_list, 3),
        SUITE_TEST(an_unsafe_directory_is_not_listed),
        SUITE_TEST(asking_takes_nothing),
        SUITE_TEST(services_for_all_users_are_listed),
};

SUITE_MAIN("listing", tests)
