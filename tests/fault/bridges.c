/* Sessions over ssh, and bridges: to a service that ends its output before it closes, to one that takes what they have, and to a command. Invariants: what was sent arrives in order, or
 * the bridge has failed; a descriptor that was taken over is closed; no child is left. */
#include "fault/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { LONG_MS = 1000 };

/* The other end of a socket that the bridge has as two descriptors, as commands of sshd(8) do; no call of the library. */
static int open_bridge(ferry_loop *loop, const char *address, int expected, ferry_bridge **ret_bridge)
{
        int fds[2], out;

        *ret_bridge = NULL;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -1;
        out = dup(fds[0]);
        *ret_bridge = ferry_bridge_open(loop, address, fds[0], out, &(ferry_bridge_options){ .close_timeout_ms = 100 });
        fault_answer(FAULT_MEET, "open a bridge", ferry_bridge_status(*ret_bridge), expected, ferry_bridge_error(*ret_bridge));
        /* It stays the program's. */
        if (ferry_bridge_status(*ret_bridge) < 0 && fcntl(fds[0], F_GETFD) >= 0) {
                close(fds[0]);
                close(out);
        }
        return fds[1];
}

/* Runs the loop until the bridge has ended, or something can be read. */
static void wait_for(ferry_loop *loop, const ferry_bridge *bridge, int fd)
{
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

        for (int i = 0; i < 200 && ferry_bridge_status(bridge) == 1 && poll(&poll_fd, 1, 0) == 0; i++)
                ferry_loop_tick(loop, LONG_MS);
}

/* Whether all of it came. */
static bool require_text(ferry_loop *loop, const ferry_bridge *bridge, int fd, const char *expected)
{
        char text[64];
        size_t size = 0;
        ssize_t got = 1;

        while (size < strlen(expected) && got > 0) {
                wait_for(loop, bridge, fd);
                got = recv(fd, text + size, sizeof text - size, MSG_DONTWAIT);
                size += got > 0 ? (size_t)got : 0;
        }
        fault_want(size == strlen(expected));
        fault_check(size <= strlen(expected) && memcmp(text, expected, size) == 0);
        return size == strlen(expected);
}

static void require_end(ferry_loop *loop, const ferry_bridge *bridge, enum fault_operation operation, int expected)
{
        for (int i = 0; i < 200 && ferry_bridge_status(bridge) == 1; i++)
                ferry_loop_tick(loop, LONG_MS);
        fault_answer(operation, "a bridge", ferry_bridge_status(bridge), expected, ferry_bridge_error(bridge));
        fault_check(ferry_bridge_status(bridge) != 1);
}

static void end_loop(ferry_loop *loop)
{
        int code = ferry_loop_run(loop, LONG_MS);

        fault_answer(FAULT_MEET, "run", code, 0, ferry_loop_error(loop));
        ferry_loop_free(loop);
}

/* The service has ended its output while the input is open, and closes later. */
static void to_service(void)
{
        char address[300];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *listener, *service;
        ferry_bridge *bridge;
        bool is_whole = true;
        int fd;

        snprintf(address, sizeof address, "unix:%s", fault_path("service"));
        listener = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        if (ferry_channel_status(listener) == 1) {
                fd = open_bridge(loop, address, 0, &bridge);
                service = ferry_channel_accept(listener, LONG_MS);
                fault_answer(FAULT_CHANNEL, "accept", ferry_channel_status(service), 0, ferry_channel_error(service));
                if (ferry_channel_send(service, "an answer", 9, LONG_MS) == 9 && ferry_channel_shutdown(service) == 0) {
                        is_whole = require_text(loop, bridge, fd, "an answer");
                        wait_for(loop, bridge, fd);
                }
                ferry_channel_free(service);
                ferry_channel_free(listener);
                /* Without the watch for its end the bridge would wait for the input. */
                if (!fault_is_absent())
                        close(fd);
                require_end(loop, bridge, FAULT_CHANNEL, 0);
                fault_check(is_whole || ferry_bridge_status(bridge) < 0);
                if (fault_is_absent())
                        close(fd);
        } else
                ferry_channel_free(listener);
        end_loop(loop);
}

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        fault_answer(FAULT_SEND, "reply", ferry_message_reply(request, NULL, "'y'"), 0, NULL);
        return 1;
}

static bool make_ends(bool has_pipes, int near[2], int far[2])
{
        int in[2], out[2];

        if (has_pipes ? pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
                return false;
        far[0] = in[0];
        near[1] = in[1];
        far[1] = has_pipes ? out[1] : fcntl(in[0], F_DUPFD_CLOEXEC, 0);
        near[0] = has_pipes ? out[0] : in[1];
        return true;
}

/* A service takes what the bridge has; or it does not, and the bridge copies. A request is answered either way, or the session says why not. */
static void pass(bool has_pipes)
{
        char address[300];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service;
        ferry_bridge *bridge;
        ferry_session *session;
        ferry_call *call;
        int near[2], far[2];

        snprintf(address, sizeof address, "unix:%s", fault_path("service"));
        service = ferry_service_open(loop, address, NULL);
        if (fault_answer(FAULT_MEET, "listen", ferry_service_status(service), 1, ferry_service_error(service)) &&
            make_ends(has_pipes, near, far)) {
                ferry_service_on(service, FERRY_KIND_REQUEST, answer, NULL);
                bridge = ferry_bridge_open(loop, address, far[0], far[1], NULL);
                if (!fault_answer(FAULT_MEET, "open a bridge", ferry_bridge_status(bridge), 1, ferry_bridge_error(bridge)) &&
                    fcntl(far[0], F_GETFD) >= 0) {
                        close(far[0]);
                        close(far[1]);
                }
                session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ near[0], near[1], -1 } });
                if (!fault_answer(FAULT_MEET, "open a session", ferry_session_status(session), 1, ferry_session_error(session)) &&
                    fcntl(near[0], F_GETFD) >= 0) {
                        close(near[0]);
                        if (has_pipes)
                                close(near[1]);
                }
                call = ferry_session_request(session, LONG_MS, "t", "'x'");
                ferry_call_await(call);
                fault_answer(FAULT_END, "a request", ferry_call_status(call), 0, ferry_call_error(call));
                ferry_call_free(call);
                fault_want(fcntl(far[0], F_GETFD) < 0);
                ferry_session_free(session);
                require_end(loop, bridge, FAULT_MEET, 0);
        }
        ferry_service_free(service);
        end_loop(loop);
}

static void socket_passed(void)
{
        pass(false);
}

static void pipes_passed(void)
{
        pass(true);
}

/* What no service takes, as a process that is no bridge may send it. */
static void file_passed(void)
{
        static const char enquiry = 5;
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = "";
        struct iovec piece = { .iov_base = (void *)(uintptr_t)&enquiry, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        char address[300];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), file = open("/dev/null", O_RDONLY | O_CLOEXEC);

        snprintf(name.sun_path, sizeof name.sun_path, "%s", fault_path("service"));
        snprintf(address, sizeof address, "unix:%s", name.sun_path);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof file);
        memcpy(CMSG_DATA(head), &file, sizeof file);
        service = ferry_service_open(loop, address, NULL);
        if (fault_answer(FAULT_MEET, "listen", ferry_service_status(service), 1, ferry_service_error(service)) &&
            connect(fd, (struct sockaddr *)&name, sizeof name) == 0 && sendmsg(fd, &message, MSG_NOSIGNAL) == 1)
                for (int i = 0; i < 10; i++)
                        ferry_loop_tick(loop, 0);
        close(file);
        close(fd);
        ferry_service_free(service);
        end_loop(loop);
}

static void to_command(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_bridge *bridge;
        int fd = open_bridge(loop, "exec:cat; echo late >&2; exit 3", 0, &bridge);

        fault_check(send(fd, "there and back", 14, MSG_NOSIGNAL | MSG_DONTWAIT) == 14 || ferry_bridge_status(bridge) != 1);
        require_text(loop, bridge, fd, "there and back");
        shutdown(fd, SHUT_WR);
        require_end(loop, bridge, FAULT_MEET, -ECONNRESET);
        fault_want(ferry_bridge_exit_status(bridge) == 3);
        close(fd);
        end_loop(loop);
}

static void freed(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_bridge *bridge;
        int fd = open_bridge(loop, "exec:exec cat", 0, &bridge);

        ferry_bridge_free(bridge);
        close(fd);
        end_loop(loop);
}

/* A script takes the place of ssh. */
static bool make_ssh(const char *path)
{
        static const char script[] = "#!/bin/sh\necho not there >&2\nexit 69\n";
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
        bool is_made = fd >= 0 && write(fd, script, sizeof script - 1) == (ssize_t)sizeof script - 1;

        close(fd);
        return is_made;
}

static void over_ssh(void)
{
        char path[300];
        const char *const env[] = { path, NULL };
        const ferry_session_options options = { .env = env, .close_timeout_ms = 100 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        ferry_call *call;

        snprintf(path, sizeof path, "PATH=%s", fault_path("nowhere"));
        session = ferry_session_open(loop, "ssh:user@[::1]:22:echo", &options);
        fault_answer(FAULT_MEET, "open a session", ferry_session_status(session), -ENOENT, ferry_session_error(session));
        ferry_session_free(session);
        if (make_ssh(fault_path("ssh"))) {
                snprintf(path, sizeof path, "PATH=%s", fault_path("."));
                session = ferry_session_open(loop, "ssh:host:echo", &options);
                call = ferry_session_request(session, LONG_MS, "t", "'x'");
                ferry_call_await(call);
                fault_answer(FAULT_MEET, "a request over ssh", ferry_call_status(call), -ECONNRESET, ferry_call_error(call));
                fault_check(ferry_call_status(call) < 0);
                fault_want(ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED);
                ferry_call_free(call);
        }
        unlink(fault_path("ssh"));
        end_loop(loop);
}

const struct scenario bridge_scenarios[] = {
        { .name = "bridge-service", .run = to_service, .is_slow = true },
        { .name = "bridge-socket-passed", .run = socket_passed },
        { .name = "bridge-pipes-passed", .run = pipes_passed },
        { .name = "bridge-file-passed", .run = file_passed },
        { .name = "bridge-command", .run = to_command, .patience_ms = 200 },
        { .name = "bridge-freed", .run = freed },
        { .name = "ssh", .run = over_ssh, .patience_ms = 200 },
        { .name = NULL },
};
