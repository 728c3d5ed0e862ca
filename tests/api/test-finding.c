/* Finding services: what is listed lives, what is waited for can be connected to when the wait ends; nobody is connected
 * to meanwhile who could take harm from it, nothing that others have put there keeps us waiting or is believed, and
 * waiting is no polling. */
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

/* A directory of its own for each test, which is that of the services, too. */
struct place {
        ferry_loop *loop;
        char parent[64];
        char directory[80];
};

static void open_place(struct place *place)
{
        place->loop = ferry_loop_new(NULL);
        /* Where there is one, in memory: a disk takes its time to make and remove files, and others do not run into us. */
        snprintf(place->parent, sizeof place->parent, "%s/ferry-finding-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        ck_assert_ptr_nonnull(mkdtemp(place->parent));
        snprintf(place->directory, sizeof place->directory, "%s/ferry", place->parent);
        ck_assert_int_eq(setenv("FERRY_DIR", place->directory, 1), 0);
        /* Dialects with directories of their own have them below. */
        ck_assert_int_eq(setenv("TMPDIR", place->parent, 1), 0);
}

static void remove_all(const char *directory)
{
        char command[128];

        snprintf(command, sizeof command, "rm -rf '%s'", directory);
        ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

static void close_place(struct place *place)
{
        ferry_loop_free(place->loop);
        remove_all(place->parent);
}

static const char *path_of(const struct place *place, const char *file)
{
        static char paths[4][160];
        static unsigned next;
        char *path = paths[next++ % 4];

        snprintf(path, sizeof paths[0], "%s/%s", place->directory, file);
        return path;
}

static const char *address_of(const struct place *place, const char *file)
{
        static char address[200];

        snprintf(address, sizeof address, "unix:%s", path_of(place, file));
        return address;
}

/* A socket that is bound, and listens if @backlog is not negative; of a program that knows nothing of ferry. */
static int bind_plain(const char *path, int backlog)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        strncpy(name.sun_path, path, sizeof name.sun_path - 1);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        if (backlog >= 0)
                ck_assert_int_eq(listen(fd, backlog), 0);
        return fd;
}

static ferry_service *open_service(ferry_loop *loop, const char *address, const ferry_service_options *options)
{
        ferry_service *service = ferry_service_open(loop, address, options);

        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        return service;
}

/* A service in a process of its own, which listens when this returns. */
static pid_t start_service(const char *address, unsigned dialects)
{
        int fds[2], byte = 0;
        pid_t pid;

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                const ferry_service_options options = { .dialects = dialects };
                ferry_loop *loop = ferry_loop_new(NULL);

                if (ferry_service_status(ferry_service_open(loop, address, &options)) != 1 || write(fds[1], &byte, 1) != 1)
                        _exit(1);
                ferry_loop_run(loop, -1);
                _exit(0);
        }
        close(fds[1]);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        close(fds[0]);
        return pid;
}

static void end_service(pid_t pid)
{
        int status;

        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

/* The list ------------------------------------------------------------------------------------------- */

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
        struct place place;
        time_t before = time(NULL);
        ferry_value *list, *expected;
        const ferry_value *first;
        int64_t since;

        open_place(&place);
        list = ferry_service_list(place.loop);
        ck_assert_int_eq(ferry_value_kind(list), FERRY_VALUE_LIST);
        ck_assert_uint_eq(ferry_value_count(list), 0);
        ferry_value_unref(list);
        /* Listing makes nothing. */
        ck_assert_int_eq(access(place.directory, F_OK), -1);

        open_service(place.loop, "b", NULL);
        open_service(place.loop, "a", &(ferry_service_options){ .dialects = FERRY_DIALECT_STREAM_IPC });
        open_service(place.loop, "c", &(ferry_service_options){ .session = &(ferry_session_options){
                .dialect = FERRY_DIALECT_FERRY } });
        list = ferry_service_list(place.loop);
        first = ferry_value_at(list, 0);
        since = ferry_value_int(ferry_value_get(first, "since"), 0);
        ck_assert_int_ge(since, before);
        ck_assert_int_le(since, time(NULL));
        expected = ferry_value_pack("{name: 'a', address: %s, pid: %d, uid: %u, dialects: ['stream-ipc'], since: %lld,"
                                    " busy: false}", address_of(&place, "a.sock"), (int)getpid(), (unsigned)geteuid(),
                                    (long long)since);
        ck_assert(ferry_value_equal(first, expected));
        ck_assert_int_eq(ferry_value_unpack(ferry_value_at(list, 1), "{name: 'b', dialects: ['ferry', 'stream-ipc']}"), 0);
        ck_assert_int_eq(ferry_value_unpack(ferry_value_at(list, 2), "{name: 'c', dialects: ['ferry']}"), 0);
        ck_assert_uint_eq(ferry_value_count(list), 3);
        ferry_value_unref(list);
        ferry_value_unref(expected);
        close_place(&place);
}
END_TEST

START_TEST(the_dead_are_not_listed)
{
        struct place place;
        pid_t pid;

        open_place(&place);
        /* One that is asked and one that is not. */
        pid = start_service("dead", _i ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_AUTO);
        ck_assert_str_eq(list_names(place.loop), "dead ");
        end_service(pid);
        ck_assert_int_eq(access(path_of(&place, "dead.sock"), F_OK), 0);
        ck_assert_int_eq(access(path_of(&place, "dead.sock.lock"), F_OK), 0);
        ck_assert_str_eq(list_names(place.loop), "");
        /* The next one takes its place. */
        open_service(place.loop, "dead", NULL);
        ck_assert_str_eq(list_names(place.loop), "dead ");
        close_place(&place);
}
END_TEST

/* It is asked, and does not answer; nobody waits for it longer than for all others together. */
START_TEST(who_does_not_answer_is_busy)
{
        struct place place;
        int64_t began;
        siginfo_t info;
        pid_t pid, second;

        open_place(&place);
        pid = start_service("stopped", FERRY_DIALECT_AUTO);
        second = start_service("stopped-too", FERRY_DIALECT_AUTO);
        open_service(place.loop, "well", NULL);
        kill(pid, SIGSTOP);
        kill(second, SIGSTOP);
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
        ck_assert_int_eq(waitid(P_PID, (id_t)second, &info, WSTOPPED), 0);
        door_stop_clock(20);
        began = sys_now();
        ck_assert_str_eq(list_names(place.loop), "stopped* stopped-too* well ");
        ck_assert_int_eq(sys_now() - began, 200000000);
        door_reset();
        end_service(pid);
        end_service(second);
        close_place(&place);
}
END_TEST

/* A full queue of those who want to come is the same. */
START_TEST(who_takes_nobody_is_busy)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        struct place place;
        int fds[200], count = 0;
        siginfo_t info;
        pid_t pid;

        open_place(&place);
        pid = start_service("full", FERRY_DIALECT_AUTO);
        kill(pid, SIGSTOP);
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
        strcpy(name.sun_path, path_of(&place, "full.sock"));
        do
                fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        while (connect(fds[count++], (struct sockaddr *)&name, sizeof name) == 0 && count < 200);
        ck_assert_int_lt(count, 200);
        door_stop_clock(0);
        ck_assert_str_eq(list_names(place.loop), "full* ");
        door_reset();
        while (count > 0)
                close(fds[--count]);
        end_service(pid);
        close_place(&place);
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

/* Handlers are not told of who only asks, be it in a loop of its own or in theirs; of all others they are. */
START_TEST(handlers_are_not_told_of_the_question)
{
        const unsigned all = FERRY_KIND_MESSAGE | FERRY_KIND_OPENED | FERRY_KIND_CLOSED | FERRY_KIND_ERROR | FERRY_KIND_JUNK;
        struct place place;
        ferry_service *service, *other;
        ferry_session *client;
        ferry_call *call;
        siginfo_t info;
        int told = 0;
        pid_t pid;

        open_place(&place);
        /* So that who was asked is there for a time. */
        pid = start_service("stopped", FERRY_DIALECT_AUTO);
        kill(pid, SIGSTOP);
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
        service = open_service(place.loop, "asked", NULL);
        /* One that speaks another dialect only is not asked. */
        other = open_service(place.loop, "other", &(ferry_service_options){ .dialects = FERRY_DIALECT_STREAM_IPC });
        ferry_service_on(service, all, count, &told);
        ferry_service_on(other, all, count, &told);
        door_stop_clock(1);
        for (int i = 0; i < 3; i++) {
                ferry_loop_after(place.loop, 100, look_for_clients, service);
                ck_assert_str_eq(list_names(place.loop), "asked other stopped* ");
        }
        ferry_loop_run(place.loop, 20);
        ck_assert_int_eq(told, 0);
        door_reset();
        /* A client, a request, its end. */
        client = ferry_session_open(place.loop, "asked", NULL);
        call = ferry_session_request(client, SAFETY_MS, "t", "'x'");
        ferry_call_await(call);
        ferry_call_free(call);
        ck_assert_int_eq(told, 2);
        ck_assert_ptr_nonnull(ferry_service_client(service, NULL));
        ferry_session_close(client);
        while (told < 3)
                ck_assert_int_ge(ferry_loop_tick(place.loop, SAFETY_MS), 0);
        ferry_loop_run(place.loop, 20);
        ck_assert_int_eq(told, 3);
        end_service(pid);
        close_place(&place);
}
END_TEST

/* Also those that look at once, in another process, while we are still asking. */
START_TEST(handlers_elsewhere_are_not_told_either)
{
        const int questions = (int)suite_scale(5000);
        int *told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct place place;
        int fds[2];
        char byte = 0;
        pid_t pid;

        open_place(&place);
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
                ck_assert_str_eq(list_names(place.loop), "asked ");
        ck_assert_int_eq(*told, 0);
        end_service(pid);
        munmap(told, sizeof *told);
        close(fds[0]);
        close(fds[1]);
        close_place(&place);
}
END_TEST

/* Nobody has to go to make room for a question. */
START_TEST(a_full_service_is_listed)
{
        struct place place;
        ferry_service *service;
        ferry_session *client;

        open_place(&place);
        service = open_service(place.loop, "full", &(ferry_service_options){ .clients_max = 1 });
        client = ferry_session_open(place.loop, "full", NULL);
        while (!ferry_service_client(service, NULL))
                ck_assert_int_ge(ferry_loop_tick(place.loop, SAFETY_MS), 0);
        ck_assert_str_eq(list_names(place.loop), "full ");
        ferry_loop_run(place.loop, 20);
        ck_assert_ptr_nonnull(ferry_service_client(service, NULL));
        ck_assert_int_eq(ferry_session_status(client), 1);
        close_place(&place);
}
END_TEST

/* A program that is not ferry is listed by the kernel's word, and not connected to. */
START_TEST(who_is_not_ferry_is_not_disturbed)
{
        struct place place;
        ferry_value *list, *expected;
        int fd, bound;

        open_place(&place);
        ck_assert_int_eq(mkdir(place.directory, 0700), 0);
        fd = bind_plain(path_of(&place, "plain.sock"), 4);
        bound = bind_plain(path_of(&place, "bound.sock"), -1);
        list = ferry_service_list(place.loop);
        expected = ferry_value_pack("[{name: 'plain', address: %s, pid: null, uid: %u, dialects: [], since: null,"
                                    " busy: false}]", address_of(&place, "plain.sock"), (unsigned)geteuid());
        ck_assert(ferry_value_equal(list, expected));
        ck_assert_int_eq(accept(fd, NULL, NULL), -1);
        ck_assert_int_eq(errno, EAGAIN);
        ferry_value_unref(list);
        ferry_value_unref(expected);
        close(fd);
        close(bound);
        close_place(&place);
}
END_TEST

static void put_file(const char *path, const char *text, size_t size)
{
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
        close(fd);
}

/* Hold a lock file as a service does that listens; what is in it is the test's. */
static int hold_lock(const char *path, const char *text, size_t size)
{
        int fd;

        put_file(path, text, size);
        fd = open(path, O_RDWR | O_CLOEXEC);
        ck_assert_int_eq(sys_lock_file(fd, 0, 1), 0);
        ck_assert_int_eq(sys_lock_file(fd, 2, getpid()), 0);
        return fd;
}

/* Whatever may lie there is passed over, and keeps nobody waiting. */
START_TEST(strange_files_are_passed_over)
{
        static const char *const texts[] = {
                "", "\n", "x", "123", "123\n", "123\n1700000000 stream-ipc", "-1\n1700000000 stream-ipc\n", "0\n1700000000 stream-ipc\n",
                "123\nstream-ipc\n", "123 1700000000 stream-ipc\n", "123\n\n",
        };
        char long_text[5000], name[80];
        struct place place;
        int sockets[32], locks[32], used = 0;
        ferry_value *list;

        open_place(&place);
        ck_assert_int_eq(mkdir(place.directory, 0700), 0);
        put_file(path_of(&place, "file.sock"), "x", 1);
        put_file(path_of(&place, "alone.sock.lock"), "1\n1 stream-ipc\n", 15);
        ck_assert_int_eq(mkfifo(path_of(&place, "fifo.sock"), 0600), 0);
        ck_assert_int_eq(mkdir(path_of(&place, "folder.sock"), 0700), 0);
        close(bind_plain(path_of(&place, "stale.sock"), 4));
        sockets[used] = bind_plain(path_of(&place, "no name.sock"), 4);
        locks[used++] = -1;
        sockets[used] = bind_plain(path_of(&place, ".sock"), 4);
        locks[used++] = -1;
        sockets[used] = bind_plain(path_of(&place, "real.socket"), 4);
        locks[used++] = -1;
        ck_assert_int_eq(symlink(path_of(&place, "real.socket"), path_of(&place, "link.sock")), 0);
        snprintf(name, sizeof name, "%065d.sock", 0);
        sockets[used] = bind_plain(path_of(&place, name), -1);
        locks[used++] = -1;
        /* Locks beside sockets that nobody has any more. */
        close(bind_plain(path_of(&place, "lock-fifo.sock"), 4));
        ck_assert_int_eq(mkfifo(path_of(&place, "lock-fifo.sock.lock"), 0600), 0);
        close(bind_plain(path_of(&place, "lock-folder.sock"), 4));
        ck_assert_int_eq(mkdir(path_of(&place, "lock-folder.sock.lock"), 0700), 0);
        close(bind_plain(path_of(&place, "lock-link.sock"), 4));
        close(bind_plain(path_of(&place, "lock-large.sock"), 4));
        memset(long_text, '1', sizeof long_text);
        sockets[used] = -1;
        locks[used++] = hold_lock(path_of(&place, "lock-large.sock.lock"), long_text, sizeof long_text);
        sockets[used] = -1;
        locks[used++] = hold_lock(path_of(&place, "elsewhere"), "123\n1700000000 stream-ipc\n", 26);
        ck_assert_int_eq(symlink(path_of(&place, "elsewhere"), path_of(&place, "lock-link.sock.lock")), 0);
        sockets[used] = -1;
        locks[used++] = hold_lock(path_of(&place, "file.sock.lock"), "123\n1700000000 stream-ipc\n", 26);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                snprintf(name, sizeof name, "text-%zu.sock", i);
                close(bind_plain(path_of(&place, name), 4));
                snprintf(name, sizeof name, "text-%zu.sock.lock", i);
                sockets[used] = -1;
                locks[used++] = hold_lock(path_of(&place, name), texts[i], strlen(texts[i]));
        }
        ck_assert_str_eq(list_names(place.loop), "");

        /* What is right is read, as far as it is known; and who says that it listens, and is gone, is not there. */
        sockets[used] = bind_plain(path_of(&place, "future.sock"), 4);
        locks[used++] = hold_lock(path_of(&place, "future.sock.lock"), "77\n88 zebra stream-ipc ferr\n99\n", 31);
        close(bind_plain(path_of(&place, "liar.sock"), 4));
        sockets[used] = -1;
        locks[used++] = hold_lock(path_of(&place, "liar.sock.lock"), "77\n88 ferry\n", 12);
        list = ferry_service_list(place.loop);
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
        close_place(&place);
}
END_TEST

/* A directory that others could change is not looked into. */
START_TEST(an_unsafe_directory_is_not_listed)
{
        struct place place;

        open_place(&place);
        open_service(place.loop, "a", NULL);
        ck_assert_str_eq(list_names(place.loop), "a ");
        ck_assert_int_eq(chmod(place.directory, 0755), 0);
        ck_assert_str_eq(list_names(place.loop), "");
        ck_assert_int_eq(ferry_service_wait(place.loop, "a", FERRY_DIALECT_AUTO, SAFETY_MS), -EACCES);
        ck_assert_int_eq(chmod(place.directory, 0700), 0);
        close_place(&place);
}
END_TEST

/* Whoever starts while others list and wait is never refused because of them. */
START_TEST(asking_takes_nothing)
{
        const int questions = (int)suite_scale(200000);
        volatile int *asked = mmap(NULL, sizeof *asked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        /* One whom the list does not ask, which would be waited for. */
        const ferry_service_options options = { .dialects = FERRY_DIALECT_STREAM_IPC };
        struct place place;
        pid_t pid;

        open_place(&place);
        ck_assert_int_eq(mkdir(place.directory, 0700), 0);
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
                put_file(path_of(&place, "raced.sock.lock"), "1\n1 stream-ipc\n", 15);
                close(bind_plain(path_of(&place, "raced.sock"), 1));
                ferry_service_free(open_service(place.loop, "raced", &options));
        }
        end_service(pid);
        munmap((void *)(uintptr_t)asked, sizeof *asked);
        close_place(&place);
}
END_TEST

/* Services for all users, and a directory there that cannot be trusted; in a file system of this test's own. */
START_TEST(services_for_all_users_are_listed)
{
        struct place place;
        ferry_service *service;

        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", "/run", "tmpfs", 0, "mode=755") < 0)
                return;
        open_place(&place);
        ck_assert_int_eq(mkdir("/run/ferry", 0755), 0);
        service = open_service(place.loop, "unix:/run/ferry/everybody.sock", &(ferry_service_options){ .mode = 0666 });
        open_service(place.loop, "ours", NULL);
        ck_assert_str_eq(list_names(place.loop), "everybody ours ");
        ck_assert_int_eq(ferry_service_wait(place.loop, "everybody", FERRY_DIALECT_AUTO, 0), 1);
        /* The same directory is not listed twice. */
        ck_assert_int_eq(setenv("FERRY_DIR", "/run/ferry", 1), 0);
        ck_assert_int_eq(chmod("/run/ferry", 0700), 0);
        ck_assert_str_eq(list_names(place.loop), "everybody ");
        ck_assert_int_eq(setenv("FERRY_DIR", place.directory, 1), 0);
        /* Another user may not read the lock: that somebody listens there is known all the same. */
        ck_assert_int_eq(chmod("/run/ferry", 0755), 0);
        ck_assert_int_eq(setenv("FERRY_DIR", place.parent, 1), 0);
        ck_assert_int_eq(seteuid(65534), 0);
        ck_assert_str_eq(list_names(place.loop), "everybody ");
        ck_assert_int_eq(ferry_service_wait(place.loop, "unix:/run/ferry/everybody.sock", FERRY_DIALECT_AUTO, 0), 1);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(setenv("FERRY_DIR", place.directory, 1), 0);
        ck_assert_int_eq(chmod("/run/ferry", 0777), 0);
        ck_assert_str_eq(list_names(place.loop), "ours ");
        ferry_service_free(service);
        close_place(&place);
}
END_TEST

/* Waiting ---------------------------------------------------------------------------------------------- */

static int note(ferry_loop *loop, void *userdata)
{
        (void)loop;
        (*(int *)userdata)++;
        return 0;
}

START_TEST(who_is_there_is_not_waited_for)
{
        struct place place;
        int ran = 0;

        open_place(&place);
        open_service(place.loop, "there", NULL);
        ferry_loop_after(place.loop, 0, note, &ran);
        door_counts.calls[DOOR_epoll_wait] = door_counts.calls[DOOR_connect] = 0;
        ck_assert_int_eq(ferry_service_wait(place.loop, "there", FERRY_DIALECT_AUTO, SAFETY_MS), 1);
        ck_assert_int_eq(ferry_service_wait(place.loop, "there", FERRY_DIALECT_STREAM_IPC, 0), 1);
        ck_assert_int_eq(ferry_service_wait(place.loop, address_of(&place, "there.sock"), FERRY_DIALECT_AUTO, -1), 1);
        ck_assert_uint_eq(door_counts.calls[DOOR_epoll_wait], 0);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 0);
        close_place(&place);
}
END_TEST

struct late {
        const struct place *place;
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

/* The directory is made by who listens; whatever else lives in the loop lives on meanwhile. */
START_TEST(who_comes_later_ends_the_wait)
{
        struct place place;
        struct late late = { .place = &place };

        open_place(&place);
        door_stop_clock(0);
        ferry_loop_after(place.loop, 10, tick, &late);
        ferry_loop_after(place.loop, 60000, listen_late, &late);
        ck_assert_int_eq(ferry_service_wait(place.loop, "late", FERRY_DIALECT_AUTO, -1), 1);
        ck_assert_int_ge(late.rounds, 5999);
        ck_assert_int_eq(ferry_service_status(late.service), 1);
        ferry_loop_off(place.loop, tick, &late);
        close_place(&place);
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
        struct place place;
        int fds[2];
        char byte;
        pid_t pid;

        open_place(&place);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                ferry_loop *loop = ferry_loop_new(NULL);

                if (read(fds[0], &byte, 1) != 1)
                        _exit(1);
                if (_i == 0)
                        ferry_service_open(loop, "late", NULL);
                else {
                        mkdir(place.directory, 0700);
                        bind_plain(path_of(&place, "late.sock"), 1);
                }
                for (;;)
                        pause();
        }
        ferry_loop_after(place.loop, 5, let_go, &fds[1]);
        ck_assert_int_eq(ferry_service_wait(place.loop, "late", FERRY_DIALECT_AUTO, SAFETY_MS), 1);
        end_service(pid);
        close(fds[0]);
        close(fds[1]);
        close_place(&place);
}
END_TEST

static int bind_late(ferry_loop *loop, void *userdata)
{
        struct late *late = userdata;

        (void)loop;
        if (late->fd < 0)
                late->fd = bind_plain(path_of(late->place, "late.sock"), -1);
        else
                ck_assert_int_eq(listen(late->fd, 1), 0);
        return late->rounds++ == 0;
}

/* One who takes a long time between his socket and listening, which changes nothing in the directory, is looked at now
 * and then as long as the socket is his. */
START_TEST(who_is_slow_to_listen_ends_the_wait)
{
        struct place place;
        struct late late = { .place = &place, .fd = -1 };
        int64_t began;

        open_place(&place);
        ck_assert_int_eq(mkdir(place.directory, 0700), 0);
        door_stop_clock(0);
        began = sys_now();
        ferry_loop_after(place.loop, 60000, bind_late, &late);
        ck_assert_int_eq(ferry_service_wait(place.loop, "late", FERRY_DIALECT_AUTO, 3600000), 1);
        ck_assert_int_ge(sys_now() - began, (int64_t)120 * 1000000000);
        ck_assert_int_le(sys_now() - began, (int64_t)120500 * 1000000);
        ck_assert_int_eq(accept(late.fd, NULL, NULL), -1);
        ck_assert_int_eq(errno, EAGAIN);
        close(late.fd);
        close_place(&place);
}
END_TEST

/* Until the last millisecond, and in a few rounds. */
START_TEST(nobody_comes_and_nothing_is_polled)
{
        static const char *const names[] = { "missing", "file", "stale", "stale-lock", "held" };
        const char *name = names[_i];
        struct place place;
        char file[80];
        int64_t began;
        int lock = -1;

        open_place(&place);
        if (_i > 0)
                ck_assert_int_eq(mkdir(place.directory, 0700), 0);
        snprintf(file, sizeof file, "%s.sock", name);
        if (strcmp(name, "file") == 0)
                put_file(path_of(&place, file), "x", 1);
        else if (_i > 0)
                close(bind_plain(path_of(&place, file), 4));
        snprintf(file, sizeof file, "%s.sock.lock", name);
        if (strcmp(name, "stale-lock") == 0)
                put_file(path_of(&place, file), "1\n1 ferry\n", 10);
        /* It lives, does not listen yet, and has not even put away what another has left. */
        if (strcmp(name, "held") == 0) {
                put_file(path_of(&place, file), "1\n1 ferry\n", 10);
                lock = open(path_of(&place, file), O_RDWR | O_CLOEXEC);
                ck_assert_int_eq(sys_lock_file(lock, 2, getpid()), 0);
        }
        door_reset();
        door_stop_clock(0);
        began = sys_now();
        ck_assert_int_eq(ferry_service_wait(place.loop, name, FERRY_DIALECT_AUTO, 3600000), 0);
        ck_assert_int_eq(sys_now() - began, (int64_t)3600000 * 1000000);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 20);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 0);
        door_reset();
        if (lock >= 0)
                close(lock);
        close_place(&place);
}
END_TEST

static int stir(ferry_loop *loop, void *userdata)
{
        struct late *late = userdata;

        (void)loop;
        put_file(path_of(late->place, late->rounds == 0 ? "late.sock" : "other.sock"), "x", 1);
        if (late->rounds == 1)
                ck_assert_int_eq(unlink(path_of(late->place, "late.sock")), 0);
        if (late->rounds == 2)
                close(bind_plain(path_of(late->place, "late.sock"), 4));
        if (late->rounds == 3) {
                ck_assert_int_eq(unlink(path_of(late->place, "late.sock")), 0);
                late->fd = bind_plain(path_of(late->place, "late.sock"), 4);
        }
        return late->rounds++ < 3;
}

/* Neither a file, nor a socket that nobody has any more, ends the wait; a server does, ferry or not. It is not connected
 * to. */
START_TEST(only_who_listens_ends_the_wait)
{
        struct place place;
        struct late late = { .place = &place };

        open_place(&place);
        ck_assert_int_eq(mkdir(place.directory, 0700), 0);
        door_stop_clock(1);
        ferry_loop_after(place.loop, 1000, stir, &late);
        ck_assert_int_eq(ferry_service_wait(place.loop, _i ? "late" : address_of(&place, "late.sock"), FERRY_DIALECT_AUTO,
                                            3600000), 1);
        ck_assert_int_eq(late.rounds, 4);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 0);
        ck_assert_int_eq(accept(late.fd, NULL, NULL), -1);
        ck_assert_int_eq(errno, EAGAIN);
        close(late.fd);
        close_place(&place);
}
END_TEST

/* By whatever path the server has bound its socket, and we ask for it. */
START_TEST(paths_may_be_strange)
{
        static const char *const files[] = { "a b", "line\nbreak 00010000", "back\\slash", "caf\xc3\xa9", "\xff\xfe", "%s%n" };
        struct place place;
        int fd, here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        open_place(&place);
        ck_assert_int_eq(mkdir(place.directory, 0700), 0);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                fd = bind_plain(path_of(&place, files[i]), 4);
                ck_assert_int_eq(ferry_service_wait(place.loop, address_of(&place, files[i]), FERRY_DIALECT_AUTO, 0), 1);
                close(fd);
                ck_assert_int_eq(ferry_service_wait(place.loop, address_of(&place, files[i]), FERRY_DIALECT_AUTO, 0), 0);
        }
        /* Bound by a relative path, asked for by a whole one, and the other way round. */
        ck_assert_int_eq(chdir(place.directory), 0);
        fd = bind_plain("relative", 4);
        ck_assert_int_eq(ferry_service_wait(place.loop, address_of(&place, "relative"), FERRY_DIALECT_AUTO, 0), 1);
        ck_assert_int_eq(ferry_service_wait(place.loop, "unix:relative", FERRY_DIALECT_AUTO, 0), 1);
        ck_assert_int_eq(ferry_service_wait(place.loop, "unix:../ferry/relative", FERRY_DIALECT_AUTO, 0), 1);
        /* Through a link, and after it was given another name. */
        ck_assert_int_eq(symlink("relative", "link"), 0);
        ck_assert_int_eq(ferry_service_wait(place.loop, "unix:link", FERRY_DIALECT_AUTO, 0), 1);
        ck_assert_int_eq(rename("relative", "renamed"), 0);
        ck_assert_int_eq(ferry_service_wait(place.loop, "unix:renamed", FERRY_DIALECT_AUTO, 0), 1);
        ck_assert_int_eq(ferry_service_wait(place.loop, "unix:link", FERRY_DIALECT_AUTO, 0), 0);
        close(fd);
        /* One of the same name in another place is another. */
        fd = bind_plain("../twin", 4);
        close(bind_plain("twin", 4));
        ck_assert_int_eq(ferry_service_wait(place.loop, "unix:twin", FERRY_DIALECT_AUTO, 0), 0);
        ck_assert_int_eq(ferry_service_wait(place.loop, "unix:../twin", FERRY_DIALECT_AUTO, 0), 1);
        close(fd);
        ck_assert_int_eq(fchdir(here), 0);
        close(here);
        close_place(&place);
}
END_TEST

/* More sockets than the kernel tells of at once. */
START_TEST(among_many_sockets)
{
        enum { SOCKETS = 600 };
        struct place place;
        char name[32];
        int fds[SOCKETS];

        open_place(&place);
        ck_assert_int_eq(mkdir(place.directory, 0700), 0);
        for (int i = 0; i < SOCKETS; i++) {
                snprintf(name, sizeof name, "s%d.sock", i);
                fds[i] = bind_plain(path_of(&place, name), 4);
        }
        for (int i = 0; i < SOCKETS; i += 37) {
                snprintf(name, sizeof name, "s%d", i);
                ck_assert_int_eq(ferry_service_wait(place.loop, name, FERRY_DIALECT_AUTO, 0), 1);
        }
        ferry_value *list = ferry_service_list(place.loop);
        ck_assert_uint_eq(ferry_value_count(list), SOCKETS);
        ferry_value_unref(list);
        for (int i = 0; i < SOCKETS; i++)
                close(fds[i]);
        close_place(&place);
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
        struct place place;
        ferry_loop *loop;
        int status;
        pid_t pid;

        open_place(&place);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                ck_assert_int_eq(ferry_service_wait(place.loop, wrong[i], FERRY_DIALECT_AUTO, SAFETY_MS), -EINVAL);
        ck_assert_int_eq(ferry_service_wait(place.loop, "a", 1 << 30, SAFETY_MS), -EINVAL);
        ck_assert_int_eq(ferry_service_wait(place.loop, "a", FERRY_DIALECT_FERRY | FERRY_DIALECT_STREAM_IPC, SAFETY_MS),
                         -EINVAL);
        memset(path + 6, 'x', sizeof path - 7);
        ck_assert_int_eq(ferry_service_wait(place.loop, path, FERRY_DIALECT_AUTO, SAFETY_MS), -ENAMETOOLONG);
        ck_assert_int_eq(setenv("FERRY_DIR", path + 5, 1), 0);
        ck_assert_int_eq(ferry_service_wait(place.loop, "a", FERRY_DIALECT_AUTO, SAFETY_MS), -ENAMETOOLONG);
        ck_assert_int_eq(setenv("FERRY_DIR", place.directory, 1), 0);
        ck_assert_int_eq(ferry_service_wait(NULL, "a", FERRY_DIALECT_AUTO, SAFETY_MS), -ENOMEM);
        ck_assert_ptr_null(ferry_service_list(NULL));
        /* A loop that goes ends the wait. */
        loop = ferry_loop_new(NULL);
        ferry_loop_after(loop, 1, free_loop, NULL);
        ck_assert_int_eq(ferry_service_wait(loop, "a", FERRY_DIALECT_AUTO, SAFETY_MS), -ECANCELED);
        pid = fork();
        if (pid == 0)
                _exit(ferry_service_wait(place.loop, "a", FERRY_DIALECT_AUTO, SAFETY_MS) != -ECHILD ||
                      ferry_service_list(place.loop) != NULL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        close_place(&place);
}
END_TEST

/* So does a loop that goes while the list is made. */
START_TEST(a_loop_that_goes_ends_the_list)
{
        struct place place;
        siginfo_t info;
        pid_t pid;

        open_place(&place);
        pid = start_service("stopped", FERRY_DIALECT_AUTO);
        kill(pid, SIGSTOP);
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
        ferry_loop_after(place.loop, 1, free_loop, NULL);
        ck_assert_ptr_null(ferry_service_list(place.loop));
        place.loop = NULL;
        end_service(pid);
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(the_living_are_listed),
        SUITE_LOOP(the_dead_are_not_listed, 2),
        SUITE_TEST(who_does_not_answer_is_busy),
        SUITE_TEST(who_takes_nobody_is_busy),
        SUITE_TEST(handlers_are_not_told_of_the_question),
        SUITE_TEST(handlers_elsewhere_are_not_told_either),
        SUITE_TEST(a_full_service_is_listed),
        SUITE_TEST(who_is_not_ferry_is_not_disturbed),
        SUITE_TEST(strange_files_are_passed_over),
        SUITE_TEST(an_unsafe_directory_is_not_listed),
        SUITE_TEST(asking_takes_nothing),
        SUITE_TEST(services_for_all_users_are_listed),
        SUITE_TEST(who_is_there_is_not_waited_for),
        SUITE_TEST(who_comes_later_ends_the_wait),
        SUITE_LOOP(another_process_ends_the_wait, 2),
        SUITE_TEST(who_is_slow_to_listen_ends_the_wait),
        SUITE_LOOP(nobody_comes_and_nothing_is_polled, 5),
        SUITE_LOOP(only_who_listens_ends_the_wait, 2),
        SUITE_TEST(paths_may_be_strange),
        SUITE_TEST(among_many_sockets),
        SUITE_TEST(arguments_and_loops_that_are_wrong),
        SUITE_TEST(a_loop_that_goes_ends_the_list),
};

SUITE_MAIN("finding", tests)
