/* Services at sockets that others have made, as socket activation does; and reports to a supervisor. */
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int make_socket(const struct place *place, int type, bool listens)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        strcpy(name.sun_path, place->path);
        unlink(place->path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        if (listens)
                ck_assert_int_eq(listen(fd, 8), 0);
        return fd;
}

static ferry_service *open_given(struct place *place, int fd, ferry_service_options options)
{
        ferry_service *service;

        options.fds = (const int[]){ fd, -1 };
        service = ferry_service_open(place->loop, NULL, &options);
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        return service;
}

/* The socket blocks, as one of another program may; its file, mode and flags stay what they are. */
START_TEST(a_given_socket_is_served_and_left_as_it_is)
{
        struct place place;
        struct stat before, after;
        ferry_service *service;
        ferry_session *client;
        char lock[128];
        int fd, copy;

        open_place(&place);
        fd = make_socket(&place, SOCK_STREAM, true);
        if (_i == 1)
                ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        ck_assert_int_eq(chmod(place.path, 0640), 0);
        ck_assert_int_eq(stat(place.path, &before), 0);
        service = open_given(&place, fd, (ferry_service_options){ .dialects = _i == 1 ? FERRY_DIALECT_FERRY : 0 });
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ck_assert_str_eq(ferry_service_address(service), place.address);
        for (int i = 0; i < 3; i++) {
                client = ferry_session_open(place.loop, place.address, NULL);
                require_echo(client);
                ferry_session_free(client);
        }
        settle(&place);
        snprintf(lock, sizeof lock, "%s.lock", place.path);
        ck_assert_int_eq(access(lock, F_OK), -1);
        ferry_service_free(service);
        settle(&place);
        ck_assert_int_eq(stat(place.path, &after), 0);
        ck_assert(before.st_ino == after.st_ino);
        ck_assert_uint_eq(before.st_mode, after.st_mode);
        ck_assert_int_eq(!(fcntl(copy, F_GETFL) & O_NONBLOCK), _i == 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
        close(copy);
        unlink(place.path);
        close_place(&place);
}
END_TEST

START_TEST(several_given_sockets_are_served)
{
        struct place place;
        struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof any;
        ferry_service *service;
        char address[64];
        int fds[3] = { -1, -1, -1 };

        open_place(&place);
        fds[0] = make_socket(&place, SOCK_STREAM, true);
        fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fds[1], (struct sockaddr *)&any, sizeof any), 0);
        ck_assert_int_eq(listen(fds[1], 8), 0);
        ck_assert_int_eq(getsockname(fds[1], (struct sockaddr *)&any, &size), 0);
        service = ferry_service_open(place.loop, NULL, &(ferry_service_options){ .fds = fds });
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        snprintf(address, sizeof address, "tcp:127.0.0.1:%d", ntohs(any.sin_port));
        require_echo(ferry_session_open(place.loop, address, NULL));
        unlink(place.path);
        close_place(&place);
}
END_TEST

static const struct {
        int type;               /* of the socket; 0: a file */
        bool listens;
        int count;              /* how often it is given */
        ferry_service_options options;
        const char *sentence;
} wrong[] = {
        { SOCK_DGRAM, false, 1, { .size = 0 }, "is not a stream socket that listens" },
        { SOCK_STREAM, false, 1, { .size = 0 }, "is not a stream socket that listens" },
        { SOCK_SEQPACKET, true, 1, { .size = 0 }, "is not a stream socket that listens" },
        { 0, false, 1, { .size = 0 }, "is not a stream socket that listens" },
        { SOCK_STREAM, true, 0, { .size = 0 }, "fds has no descriptor" },
        { SOCK_STREAM, true, 5, { .size = 0 }, "fds has too many descriptors" },
        { SOCK_STREAM, true, 1, { .mode = 0600 }, "stay as they are" },
        { SOCK_STREAM, true, 1, { .group = "root" }, "stay as they are" },
        { SOCK_STREAM, true, 1, { .name_directory = "/tmp" }, "stay as they are" },
        { SOCK_STREAM, true, 1, { .is_public = true }, "stay as they are" },
        { SOCK_STREAM, true, 1, { .dialects = FERRY_DIALECT_INNMIND | FERRY_DIALECT_FERRY }, "a socket of its own" },
};

/* What is refused stays the program's. */
START_TEST(what_cannot_be_served_is_refused)
{
        ferry_service_options options = wrong[_i].options;
        struct place place;
        ferry_service *service;
        int fds[6] = { -1, -1, -1, -1, -1, -1 }, fd;

        open_place(&place);
        fd = wrong[_i].type ? make_socket(&place, wrong[_i].type, wrong[_i].listens) : open("/dev/null", O_RDONLY | O_CLOEXEC);
        for (int i = 0; i < wrong[_i].count; i++)
                fds[i] = fd;
        options.fds = fds;
        service = ferry_service_open(place.loop, NULL, &options);
        ck_assert_int_eq(ferry_service_status(service), -EINVAL);
        ck_assert_msg(strstr(ferry_service_error(service), wrong[_i].sentence), "%s", ferry_service_error(service));
        service = ferry_service_open(place.loop, place.address, &options);
        ck_assert_int_eq(ferry_service_status(service), -EINVAL);
        ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
        close(fd);
        unlink(place.path);
        close_place(&place);
}
END_TEST

START_TEST(a_closed_descriptor_is_refused)
{
        struct place place;
        ferry_service *service;

        open_place(&place);
        service = open_given(&place, 9999, (ferry_service_options){ .size = 0 });
        ck_assert_int_eq(ferry_service_status(service), -EBADF);
        ck_assert_msg(strstr(ferry_service_error(service), "cannot listen at descriptor 9999"), "%s", ferry_service_error(service));
        service = ferry_service_open(place.loop, NULL, NULL);
        ck_assert_int_eq(ferry_service_status(service), -EINVAL);
        close_place(&place);
}
END_TEST

/* Reports ----------------------------------------------------------------------------------------------- */

static int bind_supervisor(const char *name)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t size = strlen(name);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        memcpy(address.sun_path, name, size);
        if (*name == '@')
                address.sun_path[0] = '\0';
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)), 0);
        return fd;
}

START_TEST(a_supervisor_is_notified)
{
        struct place place;
        char name[128], bytes[64];
        int fd, sent = 0;

        open_place(&place);
        if (_i == 0)
                snprintf(name, sizeof name, "%s", place.path);
        else
                snprintf(name, sizeof name, "@ferry-test-%ld", (long)getpid());
        fd = bind_supervisor(name);
        ck_assert_int_eq(ferry_supervisor_notify(name, "READY=1\nSTATUS=x"), 1);
        ck_assert_int_eq(recv(fd, bytes, sizeof bytes, 0), 16);
        ck_assert_int_eq(memcmp(bytes, "READY=1\nSTATUS=x", 16), 0);
        /* One that reads nothing is not waited for. */
        for (int code = 1; code == 1; sent++)
                ck_assert_msg((code = ferry_supervisor_notify(name, "WATCHDOG=1")) == 1 || code == -EAGAIN, "%d", code);
        ck_assert_int_gt(sent, 1);
        close(fd);
        ck_assert_int_eq(ferry_supervisor_notify(name, "READY=1"), -ECONNREFUSED);
        unlink(place.path);
        if (_i == 0)
                ck_assert_int_eq(ferry_supervisor_notify(name, "READY=1"), -ENOENT);
        close_place(&place);
}
END_TEST

START_TEST(a_report_that_cannot_be_sent_is_an_error)
{
        char name[256];

        ck_assert_int_eq(ferry_supervisor_notify(NULL, "READY=1"), 0);
        ck_assert_int_eq(ferry_supervisor_notify("", "READY=1"), 0);
        ck_assert_int_eq(ferry_supervisor_notify("/x", NULL), -EINVAL);
        ck_assert_int_eq(ferry_supervisor_notify("x", "READY=1"), -EINVAL);
        ck_assert_int_eq(ferry_supervisor_notify("@", "READY=1"), -EINVAL);
        ck_assert_int_eq(ferry_supervisor_notify("vsock:2:1", "READY=1"), -EINVAL);
        memset(name, '/', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        ck_assert_int_eq(ferry_supervisor_notify(name, "READY=1"), -ENAMETOOLONG);
}
END_TEST

int main(void)
{
        static const struct suite_test tests[] = {
                SUITE_LOOP(a_given_socket_is_served_and_left_as_it_is, 2),
                SUITE_TEST(several_given_sockets_are_served),
                SUITE_LOOP(what_cannot_be_served_is_refused, COUNT(wrong)),
                SUITE_TEST(a_closed_descriptor_is_refused),
                SUITE_LOOP(a_supervisor_is_notified, 2),
                SUITE_TEST(a_report_that_cannot_be_sent_is_an_error),
        };

        return suite_run("given-sockets", tests, sizeof tests / sizeof *tests);
}
