/* Places, services that echo, and clients that are nothing but a socket. */
#include "support/place.h"

#include "conformance/raw.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void open_place(struct place *place)
{
        strcpy(place->directory, "/tmp/ferry-service-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(place->directory));
        snprintf(place->path, sizeof place->path, "%s/socket", place->directory);
        snprintf(place->address, sizeof place->address, "unix:%s", place->path);
        place->loop = ferry_loop_new(NULL);
}

void close_place(struct place *place)
{
        ferry_loop_free(place->loop);
        ck_assert_msg(rmdir(place->directory) == 0, "something is left in %s", place->directory);
}

int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 0;
}

int keep(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session;
        *(ferry_message **)userdata = ferry_message_ref(request);
        return 1;
}

ferry_service *open_echo(struct place *place, const ferry_service_options *options)
{
        ferry_service *service = ferry_service_open(place->loop, place->address, options);

        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ck_assert_str_eq(ferry_service_address(service), place->address);
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        return service;
}

void tick(struct place *place)
{
        SUITE_CHECK(ferry_loop_tick(place->loop, SAFETY_MS) >= 0, "%s", ferry_loop_error(place->loop));
}

void settle(struct place *place)
{
        while (ferry_loop_tick(place->loop, 0) == 1)
                ;
}

void require_echo(ferry_session *session)
{
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "'x'");

        SUITE_CHECK(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
}

void require_failure(ferry_session *session, int status)
{
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "'x'");

        ferry_call_await(call);
        ck_assert_msg(ferry_call_status(call) == status, "%d, not %d: %s", ferry_call_status(call), status,
                      ferry_call_error(call));
        ferry_call_free(call);
}

int connect_raw(const struct place *place)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(name.sun_path, place->path);
        SUITE_CHECK(connect(fd, (struct sockaddr *)&name, sizeof name) == 0, "connect: %s", strerror(errno));
        return fd;
}

size_t make_request(unsigned char frame[264], int id, const char *text)
{
        size_t size = raw_message(frame + 8, RAW_REQUEST, id, "t", text);

        memcpy(frame, "\xf3\x4a\x9d\xe2\0\0", 6);
        frame[6] = (unsigned char)(size >> 8);
        frame[7] = (unsigned char)size;
        return 8 + size;
}

void send_raw(int fd, const void *bytes, size_t size)
{
        SUITE_CHECK(send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size, "send: %s", strerror(errno));
}

int receive_raw(int fd, void *bytes, size_t size)
{
        ssize_t got = recv(fd, bytes, size, MSG_DONTWAIT);

        return got < 0 ? -errno : (int)got;
}

bool has_ended_raw(int fd)
{
        char bytes[4096];
        int got;

        do
                got = receive_raw(fd, bytes, sizeof bytes);
        while (got > 0);
        return got != -EAGAIN;
}

bool has_answer(int fd, int kind)
{
        unsigned char bytes[4096];
        int got = receive_raw(fd, bytes, sizeof bytes);
        size_t size;

        /* The hello, if there is one, then the reply: its kind stands behind the header. */
        for (int at = 0; got > 0 && at + 10 < got; at += 8 + (int)size) {
                size = (size_t)bytes[at + 6] << 8 | bytes[at + 7];
                if (bytes[at + 9] == kind)
                        return true;
        }
        return false;
}

bool can_become(void)
{
        if (geteuid() == 0)
                return true;
        printf("left out: only root can be two users\n");
        fflush(stdout);
        return false;
}

void become(uid_t uid)
{
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(setegid(uid), 0);
        ck_assert_int_eq(seteuid(uid), 0);
}

size_t allow_descriptors(size_t count)
{
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        return limit.rlim_max < count ? (size_t)limit.rlim_max : count;
}
