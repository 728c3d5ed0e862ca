/* Services in innmind by name, both ends of this library: where their sockets stand, beside those of other dialects;
 * which directories and sockets are not trusted; and that no server is spoken to that would be harmed by it. */
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_MS = 20000, STRANGER = 65534 };

static const ferry_session_options speaks_innmind = { .dialect = FERRY_DIALECT_INNMIND };

/* A directory for temporary files, and one for the sockets of ferry, both of the test's own. */
struct names {
        ferry_loop *loop;
        char parent[64];
        char above[80];         /* …/innmind */
        char shared[96];        /* …/innmind/ipc */
        char own[80];
};

static void open_names(struct names *names)
{
        names->loop = ferry_loop_new(NULL);
        strcpy(names->parent, "/tmp/ferry-names-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(names->parent));
        snprintf(names->above, sizeof names->above, "%s/innmind", names->parent);
        snprintf(names->shared, sizeof names->shared, "%s/ipc", names->above);
        snprintf(names->own, sizeof names->own, "%s/own", names->parent);
        ck_assert_int_eq(setenv("TMPDIR", names->parent, 1), 0);
        ck_assert_int_eq(setenv("FERRY_DIR", names->own, 1), 0);
        umask(022);
}

static void close_names(struct names *names)
{
        ferry_loop_free(names->loop);
        ck_assert(rmdir(names->shared) == 0 || errno == ENOENT || errno == ENOTDIR);
        ck_assert(rmdir(names->above) == 0 || errno == ENOENT);
        ck_assert(rmdir(names->own) == 0 || errno == ENOENT);
        ck_assert_int_eq(rmdir(names->parent), 0);
}

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        int *count = userdata;

        (void)session;
        ++*count;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request)) < 0 ? -EIO : 1;
}

static ferry_service *serve(struct names *names, unsigned dialects, int *count)
{
        ferry_service_options options = { .dialects = dialects };
        ferry_service *service = ferry_service_open(names->loop, "name", &options);

        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, count);
        return service;
}

static void require_echo(ferry_session *session, const char *type)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, TIMEOUT_MS, type, "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(ferry_call_reply(call)), "x");
}

static void require_mode(const char *path, unsigned mode)
{
        struct stat stat;

        ck_assert_int_eq(lstat(path, &stat), 0);
        ck_assert_uint_eq(stat.st_mode & 07777, mode);
}

START_TEST(a_name_leads_to_its_service)
{
        struct names names;
        char address[160], full[160];
        ferry_service *service, *second;
        int count = 0;

        open_names(&names);
        service = serve(&names, FERRY_DIALECT_INNMIND, &count);
        require_mode(names.above, 0755);
        require_mode(names.shared, 0755);
        snprintf(full, sizeof full, "unix:%s/name.sock", names.shared);
        require_mode(full + 5, 0600);
        ck_assert_str_eq(ferry_service_address(service), full);
        ck_assert_int_eq(ferry_address_resolve("name", FERRY_DIALECT_INNMIND, address, sizeof address),
                         (int)strlen(full));
        ck_assert_str_eq(address, full);
        require_echo(ferry_session_open(names.loop, "name", &speaks_innmind), "text/plain");
        require_echo(ferry_session_open(names.loop, full, &speaks_innmind), "text/plain");
        ck_assert_int_eq(count, 2);
        second = ferry_service_open(names.loop, "name", &(ferry_service_options){ .dialects = FERRY_DIALECT_INNMIND });
        ck_assert_int_eq(ferry_service_status(second), -EADDRINUSE);
        snprintf(address, sizeof address, "by process %d", (int)getpid());
        ck_assert_msg(strstr(ferry_service_error(second), address), "%s", ferry_service_error(second));
        /* Where ferry's own stand there is none. */
        ck_assert_int_eq(ferry_session_status(ferry_session_open(names.loop, "name", NULL)), -ENOENT);
        close_names(&names);
}
END_TEST

/* Without TMPDIR it is /tmp; where it is empty, too. */
START_TEST(without_a_directory_for_temporary_files)
{
        struct names names;
        char address[160];

        open_names(&names);
        if (_i)
                unsetenv("TMPDIR");
        else
                setenv("TMPDIR", "", 1);
        ck_assert_int_gt(ferry_address_resolve("name", FERRY_DIALECT_INNMIND, address, sizeof address), 0);
        ck_assert_str_eq(address, "unix:/tmp/innmind/ipc/name.sock");
        close_names(&names);
}
END_TEST

START_TEST(asking_makes_no_directory)
{
        struct names names;

        open_names(&names);
        ck_assert_int_eq(ferry_session_status(ferry_session_open(names.loop, "vacant", &speaks_innmind)), -ENOENT);
        ck_assert_int_eq(access(names.above, F_OK), -1);
        close_names(&names);
}
END_TEST

static int listen_late(ferry_loop *loop, void *userdata)
{
        static int count;

        ferry_service_on(ferry_service_open(loop, "name", userdata), FERRY_KIND_REQUEST, echo, &count);
        return 0;
}

START_TEST(a_name_is_waited_for)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_INNMIND, .wait_ms = TIMEOUT_MS };
        ferry_service_options innmind = { .dialects = FERRY_DIALECT_INNMIND };
        struct names names;

        open_names(&names);
        ferry_loop_after(names.loop, 5, listen_late, &innmind);
        require_echo(ferry_session_open(names.loop, "name", &options), "text/plain");
        close_names(&names);
}
END_TEST

/* What a dead one left is cleared away. */
START_TEST(a_stale_socket)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        struct names names;
        int count = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        open_names(&names);
        ck_assert_int_eq(mkdir(names.above, 0755) + mkdir(names.shared, 0755), 0);
        snprintf(name.sun_path, sizeof name.sun_path, "%s/name.sock", names.shared);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        close(fd);
        serve(&names, FERRY_DIALECT_INNMIND, &count);
        require_echo(ferry_session_open(names.loop, "name", &speaks_innmind), "text/plain");
        close_names(&names);
}
END_TEST

/* Under one name, at once: each dialect where its programs look for it, the same handlers for all. */
START_TEST(all_dialects_under_one_name)
{
        static const unsigned dialects[] = { FERRY_DIALECT_FERRY, FERRY_DIALECT_STREAM_IPC, FERRY_DIALECT_INNMIND };
        static const char *const types[] = { "t", "App\\T", "text/plain" };
        ferry_session *sessions[3], *silent;
        struct names names;
        ferry_service *service;
        char paths[2][160];
        int count = 0;

        open_names(&names);
        service = serve(&names, FERRY_DIALECT_FERRY | FERRY_DIALECT_STREAM_IPC | FERRY_DIALECT_INNMIND, &count);
        snprintf(paths[0], sizeof paths[0], "%s/name.sock", names.own);
        snprintf(paths[1], sizeof paths[1], "%s/name.sock", names.shared);
        for (int i = 0; i < 2; i++)
                ck_assert_int_eq(access(paths[i], F_OK), 0);
        for (int i = 0; i < 3; i++) {
                sessions[i] = ferry_session_open(names.loop, "name",
                                                 &(ferry_session_options){ .dialect = dialects[i] });
                if (i == 1) {
                        FERRY_AUTO(ferry_call) call = ferry_session_request(sessions[i], TIMEOUT_MS, types[i],
                                                                            "{message: 'x'}");

                        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
                } else
                        require_echo(sessions[i], types[i]);
        }
        /* A client that has not spoken has not shown its dialect. No type is one in each dialect. */
        silent = ferry_session_open(names.loop, "name", &(ferry_session_options){ .dialect = FERRY_DIALECT_STREAM_IPC });
        ferry_loop_run(names.loop, 20);
        ck_assert_int_eq(ferry_service_notify(service, "text/plain", "'news'"), 2);
        ck_assert_int_eq(ferry_service_notify(service, "App\\News", "'news'"), 2);
        for (int i = 0; i < 4; i++) {
                const ferry_message *message = ferry_session_next(sessions[i % 3], TIMEOUT_MS);

                ck_assert_msg(message != NULL, "%d: %s", i, ferry_session_error(sessions[i % 3]));
                ck_assert_str_eq(ferry_message_text(message), "news");
        }
        ck_assert_ptr_null(ferry_session_next(silent, 0));
        ck_assert_int_eq(count, 3);
        ferry_service_close(service);
        ck_assert_int_eq(ferry_loop_run(names.loop, TIMEOUT_MS), 0);
        for (int i = 0; i < 2; i++)
                ck_assert_int_eq(access(paths[i], F_OK), -1);
        close_names(&names);
}
END_TEST

/* If one of the sockets cannot be, none is. */
START_TEST(all_or_nothing)
{
        struct names names;
        ferry_service *service;
        int count = 0;
        char path[160];

        open_names(&names);
        serve(&names, _i ? FERRY_DIALECT_INNMIND : FERRY_DIALECT_FERRY, &count);
        service = ferry_service_open(names.loop, "name", &(ferry_service_options){
                .dialects = FERRY_DIALECT_FERRY | FERRY_DIALECT_INNMIND });
        ck_assert_int_eq(ferry_service_status(service), -EADDRINUSE);
        snprintf(path, sizeof path, "%s/name.sock", _i ? names.own : names.shared);
        ck_assert_int_eq(access(path, F_OK), -1);
        require_echo(ferry_session_open(names.loop, "name", _i ? &speaks_innmind : NULL), "text/plain");
        close_names(&names);
}
END_TEST

/* One path, or one directory, is not enough for two sockets of one name. */
START_TEST(one_path_is_for_one)
{
        struct names names;
        char address[160];
        ferry_service *service;

        open_names(&names);
        ck_assert_int_eq(mkdir(names.own, 0700), 0);
        snprintf(address, sizeof address, "unix:%s/name.sock", names.own);
        service = ferry_service_open(names.loop, _i ? "name" : address, &(ferry_service_options){
                .dialects = FERRY_DIALECT_FERRY | FERRY_DIALECT_INNMIND, .name_directory = _i ? names.own : NULL });
        ck_assert_msg(ferry_service_status(service) == -EINVAL, "%s", ferry_service_error(service));
        ck_assert_ptr_nonnull(strstr(ferry_service_error(service), "in all these dialects"));
        close_names(&names);
}
END_TEST

START_TEST(a_directory_that_the_program_names)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_INNMIND };
        struct names names;
        ferry_service *service;
        char path[160];
        int count = 0;

        open_names(&names);
        options.name_directory = names.own;
        service = ferry_service_open(names.loop, "name", &(ferry_service_options){
                .dialects = FERRY_DIALECT_INNMIND, .name_directory = names.own });
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, &count);
        snprintf(path, sizeof path, "%s/name.sock", names.own);
        ck_assert_int_eq(access(path, F_OK), 0);
        require_echo(ferry_session_open(names.loop, "name", &options), "text/plain");
        ck_assert_int_eq(access(names.above, F_OK), -1);
        close_names(&names);
}
END_TEST

/* What others could change ------------------------------------------------------------------------------ */

enum { LINK_ABOVE, LINK, FILE_THERE, OTHERS_ABOVE, OTHERS, GROUP_ABOVE, GROUP, TEMPORARY, GROUP_TEMPORARY, STRANGER_ABOVE, STRANGER_S, NAMED_OTHERS, UNSAFES };

static void make_unsafe(const struct names *names, int how)
{
        if (how == LINK_ABOVE) {
                ck_assert_int_eq(symlink(names->own, names->above), 0);
                ck_assert_int_eq(mkdir(names->own, 0755), 0);
                return;
        }
        if (how == NAMED_OTHERS) {
                ck_assert_int_eq(mkdir(names->own, 0700), 0);
                ck_assert_int_eq(chmod(names->own, 0777), 0);
                return;
        }
        ck_assert_int_eq(mkdir(names->above, 0755), 0);
        if (how == LINK)
                ck_assert_int_eq(symlink("/tmp", names->shared), 0);
        else if (how == FILE_THERE)
                close(open(names->shared, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        else
                ck_assert_int_eq(mkdir(names->shared, 0755), 0);
        if (how == GROUP_ABOVE || how == GROUP)
                ck_assert_int_eq(chmod(how == GROUP ? names->shared : names->above, 0775), 0);
        if (how == TEMPORARY || how == GROUP_TEMPORARY)
                ck_assert_int_eq(chmod(getenv("TMPDIR"), how == TEMPORARY ? 0777 : 0770), 0);
        if (how == OTHERS_ABOVE || how == OTHERS)
                ck_assert_int_eq(chmod(how == OTHERS ? names->shared : names->above, 0777), 0);
        if (how == STRANGER_ABOVE || how == STRANGER_S)
                ck_assert_int_eq(chown(how == STRANGER_S ? names->shared : names->above, STRANGER, STRANGER), 0);
}

START_TEST(what_others_could_change_is_not_trusted)
{
        struct names names;
        ferry_service *service;

        if ((_i == STRANGER_ABOVE || _i == STRANGER_S) && geteuid() != 0)
                return;
        open_names(&names);
        make_unsafe(&names, _i);
        service = ferry_service_open(names.loop, "name", &(ferry_service_options){
                .dialects = FERRY_DIALECT_INNMIND, .name_directory = _i == NAMED_OTHERS ? names.own : NULL });
        ck_assert_msg(ferry_service_status(service) == -EACCES, "%d: %d %s", _i, ferry_service_status(service),
                      ferry_service_error(service));
        ck_assert_msg(strstr(ferry_service_error(service), "not safe"), "%s", ferry_service_error(service));
        if (_i == LINK || _i == FILE_THERE)
                unlink(names.shared);
        if (_i == LINK_ABOVE)
                unlink(names.above);
        close_names(&names);
}
END_TEST

/* As /tmp is: there no user removes what belongs to another. */
START_TEST(a_sticky_directory_is_good_enough)
{
        struct names names;
        int count = 0;

        open_names(&names);
        ck_assert_int_eq(mkdir(names.above, 0755) + mkdir(names.shared, 0755), 0);
        ck_assert_int_eq(chmod(names.shared, 01777) + chmod(names.above, 01777), 0);
        serve(&names, FERRY_DIALECT_INNMIND, &count);
        require_echo(ferry_session_open(names.loop, "name", &speaks_innmind), "text/plain");
        close_names(&names);
}
END_TEST

/* No server is disturbed --------------------------------------------------------------------------------- */

/* A socket where servers stand that only speak innmind; the test listens there. */
static int listen_at(const struct names *names, struct sockaddr_un *name)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        *name = (struct sockaddr_un){ .sun_family = AF_UNIX };
        ck_assert_int_eq(mkdir(names->above, 0755) + mkdir(names->shared, 0755), 0);
        snprintf(name->sun_path, sizeof name->sun_path, "%s/name.sock", names->shared);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)name, sizeof *name), 0);
        ck_assert_int_eq(listen(fd, 4), 0);
        return fd;
}

START_TEST(a_socket_of_innmind_is_not_connected_to_in_another_dialect)
{
        static const char *const spellings[] = { "unix:%s/innmind/ipc/name.sock", "unix:innmind/ipc/name.sock",
                                                 "unix:./innmind/ipc/name.sock", "unix:%s/innmind/ipc//name.sock",
                                                 "unix:%s/innmind//ipc/name.sock" };
        static const unsigned dialects[] = { FERRY_DIALECT_AUTO, FERRY_DIALECT_FERRY, FERRY_DIALECT_STREAM_IPC };
        ferry_session_options options = { .dialect = dialects[_i % 3], .wait_ms = TIMEOUT_MS };
        struct sockaddr_un name;
        ferry_session *session;
        struct names names;
        char address[160];
        int fd;

        open_names(&names);
        fd = listen_at(&names, &name);
        ck_assert_int_eq(chdir(names.parent), 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
        snprintf(address, sizeof address, spellings[_i / 3], names.parent);
#pragma GCC diagnostic pop
        door_reset();
        session = ferry_session_open(names.loop, address, &options);
        ck_assert_msg(ferry_session_status(session) == -EACCES, "%s: %d", address, ferry_session_status(session));
        ck_assert_msg(strstr(ferry_session_error(session), "innmind"), "%s", ferry_session_error(session));
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 0);
        ck_assert_int_eq(accept(fd, NULL, NULL), -1);
        close(fd);
        unlink(name.sun_path);
        ck_assert_int_eq(chdir("/"), 0);
        close_names(&names);
}
END_TEST

/* A server that listens there, and knows no lock, does not notice that another wanted to; nor is one pushed aside that has
 * only its name yet. */
START_TEST(a_listener_is_not_disturbed)
{
        ferry_service_options innmind = { .dialects = FERRY_DIALECT_INNMIND };
        struct sockaddr_un name;
        ferry_service *service;
        struct names names;
        int fd;

        open_names(&names);
        fd = listen_at(&names, &name);
        if (_i) {
                close(fd);
                unlink(name.sun_path);
                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        }
        service = ferry_service_open(names.loop, "name", &innmind);
        ck_assert_int_eq(ferry_service_status(service), -EADDRINUSE);
        ck_assert_ptr_nonnull(strstr(ferry_service_error(service), "not ferry"));
        ck_assert_int_eq(accept(fd, NULL, NULL), -1);
        ck_assert_int_eq(access(name.sun_path, F_OK), 0);
        close(fd);
        unlink(name.sun_path);
        close_names(&names);
}
END_TEST

static bool allow_all(ferry_session *session, const ferry_peer *peer, void *userdata)
{
        (void)session, (void)peer, (void)userdata;
        return true;
}

/* To identify the server a client would have to connect, and close again: so the owner of the socket is checked. */
START_TEST(a_stranger_s_socket_is_not_touched)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_INNMIND };
        struct sockaddr_un name;
        ferry_session *session;
        struct names names;
        int fd;

        if (geteuid() != 0)
                return;
        open_names(&names);
        fd = listen_at(&names, &name);
        ck_assert_int_eq(chown(name.sun_path, STRANGER, STRANGER), 0);
        door_reset();
        session = ferry_session_open(names.loop, "name", &options);
        ck_assert_int_eq(ferry_session_status(session), -EACCES);
        ck_assert_msg(strstr(ferry_session_error(session), "belongs to user 65534"), "%s",
                      ferry_session_error(session));
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 0);
        options.allow = allow_all;
        options.close_timeout_ms = 1;
        session = ferry_session_open(names.loop, "name", &options);
        ck_assert_int_eq(ferry_session_status(session), 1);
        ck_assert_uint_eq(door_counts.calls[DOOR_connect], 1);
        ferry_session_free(session);
        close(fd);
        unlink(name.sun_path);
        close_names(&names);
}
END_TEST

static char other_socket[120], checked_socket[120];

static int replace_socket(enum door_call call, bool is_child)
{
        if (call == DOOR_connect && !is_child)
                ck_assert_int_eq(rename(other_socket, checked_socket), 0);
        return 0;
}

START_TEST(the_socket_whose_owner_was_checked_is_connected_to)
{
        struct sockaddr_un name, other = { .sun_family = AF_UNIX };
        ferry_session *session;
        struct names names;
        int fd, other_fd;

        open_names(&names);
        fd = listen_at(&names, &name);
        snprintf(other_socket, sizeof other_socket, "%s/other.sock", names.shared);
        snprintf(checked_socket, sizeof checked_socket, "%s", name.sun_path);
        strcpy(other.sun_path, other_socket);
        other_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(other_fd, (struct sockaddr *)&other, sizeof other), 0);
        ck_assert_int_eq(listen(other_fd, 8), 0);
        door_reset();
        door_judge = replace_socket;
        session = ferry_session_open(names.loop, "name",
                                     &(ferry_session_options){ .dialect = FERRY_DIALECT_INNMIND, .close_timeout_ms = 1 });
        door_judge = NULL;
        ck_assert_int_eq(ferry_session_status(session), 1);
        ck_assert_int_eq(accept(other_fd, NULL, NULL), -1);
        ck_assert_int_eq(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0), 1);
        ferry_session_free(session);
        close(fd);
        close(other_fd);
        unlink(checked_socket);
        close_names(&names);
}
END_TEST

/* What a stranger hears: that it is closed, and no more. The exit status says whether it was so. */
static int visit(const char *path)
{
        static const char heard[] = "\0\xatext/plain\0\0\0\x1cinnmind/ipc:connection.start\xce"
                                    "\0\xatext/plain\0\0\0\x1cinnmind/ipc:connection.close\xce";
        static const char answer[] = "\0\xatext/plain\0\0\0\x1finnmind/ipc:connection.close-ok\xce";
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char bytes[sizeof heard];

        memcpy(name.sun_path, path, strlen(path) + 1);
        if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0)
                return 2;
        if (recv(fd, bytes, sizeof heard - 1, MSG_WAITALL) != sizeof heard - 1 || memcmp(bytes, heard, sizeof heard - 1) != 0)
                return 3;
        if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0 || recv(fd, bytes, 1, 0) != 0)
                return 4;
        return 0;
}

static int has_exited(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        return ferry_loop_stop(loop, 1);
}

START_TEST(a_stranger_is_turned_away)
{
        struct names names;
        char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
        int status, ends[2];

        if (geteuid() != 0)
                return;
        open_names(&names);
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        ck_assert_int_eq(chmod(names.parent, 0755), 0);
        ck_assert_int_eq(ferry_service_status(ferry_service_open(names.loop, "name", &(ferry_service_options){
                .dialects = FERRY_DIALECT_INNMIND, .mode = 0666 })), 1);
        snprintf(path, sizeof path, "%s/name.sock", names.shared);
        if (fork() == 0)
                _exit(setuid(STRANGER) < 0 ? 1 : visit(path));
        /* It ends with the child. */
        close(ends[1]);
        ferry_loop_watch(names.loop, ends[0], POLLIN, has_exited, NULL);
        ck_assert_int_eq(ferry_loop_run(names.loop, TIMEOUT_MS), 1);
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
        close(ends[0]);
        close_names(&names);
}
END_TEST

/* Both ends are ours ------------------------------------------------------------------------------------- */

struct tally {
        int heard, next, wrong;
};

static int tally(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct tally *tally = userdata;

        (void)session;
        tally->heard++;
        tally->wrong += atoi(ferry_message_text(message)) != tally->next++;
        return 0;
}

START_TEST(many_messages)
{
        int count = (int)suite_scale(10000);
        struct tally there = { 0 }, here = { 0 };
        struct names names;
        ferry_service *service;
        ferry_session *session;

        open_names(&names);
        service = ferry_service_open(names.loop, "name", &(ferry_service_options){ .dialects = FERRY_DIALECT_INNMIND });
        ferry_service_on(service, FERRY_KIND_MESSAGE, tally, &there);
        session = ferry_session_open(names.loop, "name", &speaks_innmind);
        ferry_session_on(session, FERRY_KIND_MESSAGE, tally, &here);
        ck_assert_int_eq(ferry_session_flush(session, TIMEOUT_MS), 0);
        for (int i = 0; i < count; i++)
                ck_assert_int_eq(ferry_session_notify(session, "text/plain", "'%d'", i), 0);
        ck_assert_int_eq(ferry_session_flush(session, TIMEOUT_MS), 0);
        ck_assert_int_eq(there.heard, count);
        for (int i = 0; i < count; i++)
                ck_assert_int_eq(ferry_session_notify(ferry_service_client(service, NULL), "text/plain", "'%d'", i), 0);
        while (here.heard < count)
                ck_assert_int_ge(ferry_loop_tick(names.loop, TIMEOUT_MS), 0);
        ck_assert_int_eq(there.wrong + here.wrong, 0);
        close_names(&names);
}
END_TEST

/* Both ask at once: with no ids each takes what comes next for the answer, and neither waits for ever. */
START_TEST(both_ask_at_once)
{
        struct names names;
        ferry_service *service;
        ferry_session *session;
        ferry_call *calls[20];
        int count = 0, answered = 0;

        open_names(&names);
        service = serve(&names, FERRY_DIALECT_INNMIND, &count);
        session = ferry_session_open(names.loop, "name", &speaks_innmind);
        ferry_session_on(session, FERRY_KIND_REQUEST, echo, &count);
        require_echo(session, "text/plain");
        for (int i = 0; i < 20; i++)
                calls[i] = ferry_session_request(i % 2 ? session : ferry_service_client(service, NULL), TIMEOUT_MS,
                                                 "text/plain", "'%d'", i);
        for (int i = 0; i < 20; i++) {
                answered += ferry_call_await(calls[i]) != NULL;
                ferry_call_free(calls[i]);
        }
        ck_assert_int_eq(answered, 20);
        close_names(&names);
}
END_TEST

/* The service asks its client before it answers. */
static int ask_back(ferry_session *session, const ferry_message *request, void *userdata)
{
        FERRY_AUTO(ferry_call) call = NULL;

        (void)userdata;
        call = ferry_session_request(session, TIMEOUT_MS, "text/plain", "'and you?'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_message_reply(request, NULL, "'you said %s'",
                                             ferry_message_text(ferry_call_reply(call))), 0);
        return 1;
}

/* To the client the question is the answer; what it says next is the answer there. */
static void note_reply(ferry_call *call, const ferry_message *reply, void *userdata)
{
        char *said = userdata;

        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        strcat(strcat(said, ferry_message_text(reply)), ", ");
        if (strcmp(ferry_message_text(reply), "and you?") == 0)
                ferry_call_then(ferry_session_request(ferry_message_session(reply), TIMEOUT_MS, "text/plain", "'well'"),
                                note_reply, said);
        else
                ferry_loop_stop(ferry_session_loop(ferry_message_session(reply)), 1);
}

START_TEST(a_service_that_asks_back)
{
        struct names names;
        ferry_service *service;
        ferry_session *session;
        char said[64] = "";

        open_names(&names);
        service = ferry_service_open(names.loop, "name", &(ferry_service_options){ .dialects = FERRY_DIALECT_INNMIND });
        ferry_service_on(service, FERRY_KIND_REQUEST, ask_back, NULL);
        session = ferry_session_open(names.loop, "name", &speaks_innmind);
        ferry_call_then(ferry_session_request(session, TIMEOUT_MS, "text/plain", "'hello'"), note_reply, said);
        ck_assert_int_eq(ferry_loop_run(names.loop, TIMEOUT_MS), 1);
        ck_assert_str_eq(said, "and you?, you said well, ");
        close_names(&names);
}
END_TEST

/* Each message is told on stderr, in both directions, also what a program does not see. */
START_TEST(debugging)
{
        struct names names;
        char text[4096];
        int count = 0, before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        FILE *file = tmpfile();
        size_t size;

        ck_assert_int_eq(setenv("FERRY_DEBUG", "1", 1), 0);
        open_names(&names);
        dup2(fileno(file), STDERR_FILENO);
        serve(&names, FERRY_DIALECT_INNMIND, &count);
        require_echo(ferry_session_open(names.loop, "name", &speaks_innmind), "text/html");
        close_names(&names);
        dup2(before, STDERR_FILENO);
        close(before);
        rewind(file);
        size = fread(text, 1, sizeof text - 1, file);
        text[size] = '\0';
        fclose(file);
        ck_assert_msg(strstr(text, "> request text/html \"x\"") && strstr(text, "< message text/html \"x\"") &&
                      strstr(text, "> control") && strstr(text, "> response text/html \"x\"") &&
                      strstr(text, "< response text/html \"x\""), "%s", text);
        unsetenv("FERRY_DEBUG");
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_name_leads_to_its_service),
        SUITE_LOOP(without_a_directory_for_temporary_files, 2),
        SUITE_TEST(asking_makes_no_directory),
        SUITE_TEST(a_name_is_waited_for),
        SUITE_TEST(a_stale_socket),
        SUITE_TEST(all_dialects_under_one_name),
        SUITE_LOOP(all_or_nothing, 2),
        SUITE_LOOP(one_path_is_for_one, 2),
        SUITE_TEST(a_directory_that_the_program_names),
        SUITE_LOOP(what_others_could_change_is_not_trusted, UNSAFES),
        SUITE_TEST(a_sticky_directory_is_good_enough),
        SUITE_LOOP(a_socket_of_innmind_is_not_connected_to_in_another_dialect, 15),
        SUITE_LOOP(a_listener_is_not_disturbed, 2),
        SUITE_TEST(a_stranger_s_socket_is_not_touched),
        SUITE_TEST(the_socket_whose_owner_was_checked_is_connected_to),
        SUITE_TEST(a_stranger_is_turned_away),
        SUITE_TEST(many_messages),
        SUITE_TEST(both_ask_at_once),
        SUITE_TEST(a_service_that_asks_back),
        SUITE_TEST(debugging),
};

SUITE_MAIN("innmind-names", tests)
