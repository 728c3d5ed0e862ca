/* Bridges: bytes between two descriptors and an address. The near end is a socket pair or a pipe of the test, the far end a
 * channel in the same loop or a command. */
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MUCH = 4 << 20 };

/* A bridge from a socket of ours to a channel that a listener has accepted. */
struct span {
        struct place place;
        ferry_channel *listener, *far;
        ferry_bridge *bridge;
        int near;
};

static void make_sockets(int ret_fds[2])
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds), 0);
}

static void make_pipe(int ret_fds[2])
{
        ck_assert_int_eq(pipe2(ret_fds, O_CLOEXEC), 0);
}

static void open_span(struct span *span)
{
        int fds[2];

        make_sockets(fds);
        open_place(&span->place);
        span->listener = ferry_channel_open(span->place.loop, span->place.address, FERRY_RECEIVE, NULL);
        span->bridge = ferry_bridge_open(span->place.loop, span->place.address, fds[0], fds[0], NULL);
        span->near = fds[1];
        span->far = ferry_channel_accept(span->listener, SAFETY_MS);
        ck_assert_int_eq(ferry_channel_status(span->far), 1);
        ck_assert_int_eq(ferry_bridge_status(span->bridge), 1);
}

static void close_span(struct span *span)
{
        close(span->near);
        close_place(&span->place);
}

static void tick_until_readable(ferry_loop *loop, int fd)
{
        int count = 0;
        char byte;

        while (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
                ck_assert_int_eq(errno, EAGAIN);
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
                ck_assert_int_lt(count++, 1000);
        }
}

static void require_near(struct span *span, const char *text)
{
        char bytes[64];

        tick_until_readable(span->place.loop, span->near);
        ck_assert_int_eq(recv(span->near, bytes, sizeof bytes, MSG_DONTWAIT), (ssize_t)strlen(text));
        ck_assert_mem_eq(bytes, text, strlen(text));
}

static void require_far(struct span *span, const char *text)
{
        char bytes[64];
        ssize_t got = ferry_channel_receive(span->far, bytes, sizeof bytes, SAFETY_MS);

        ck_assert_msg(got == (ssize_t)strlen(text), "%zd: %s", got, ferry_channel_error(span->far));
        ck_assert_mem_eq(bytes, text, strlen(text));
}

static void send_far(struct span *span, const char *text)
{
        ck_assert_int_eq(ferry_channel_send(span->far, text, strlen(text), SAFETY_MS), (ssize_t)strlen(text));
}

static void send_near(struct span *span, const char *text)
{
        ck_assert_int_eq(send(span->near, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static int await(ferry_loop *loop, const ferry_bridge *bridge)
{
        /* A tick returns the failure that the bridge has then. */
        while (ferry_bridge_status(bridge) == 1)
                ferry_loop_tick(loop, SAFETY_MS);
        return ferry_bridge_status(bridge);
}

static void require_end(ferry_loop *loop, const ferry_bridge *bridge, int status)
{
        ck_assert_msg(await(loop, bridge) == status, "%d: %s", ferry_bridge_status(bridge), ferry_bridge_error(bridge));
        ck_assert_str_ne(ferry_bridge_error(bridge), "");
}

/* A bridge to a command whose input is a pipe, and whose output another one. */
struct command {
        ferry_loop *loop;
        ferry_bridge *bridge;
        int in, out;
};

static void open_command(struct command *command, const char *address, const ferry_bridge_options *options)
{
        int in[2], out[2];

        make_pipe(in);
        make_pipe(out);
        command->loop = ferry_loop_new(NULL);
        command->bridge = ferry_bridge_open(command->loop, address, in[0], out[1], options);
        command->in = in[1];
        command->out = out[0];
}

static void end_input(struct command *command)
{
        close(command->in);
        command->in = -1;
}

static void write_input(const struct command *command, const char *text)
{
        ck_assert_int_eq(write(command->in, text, strlen(text)), (ssize_t)strlen(text));
}

static void require_output(const struct command *command, const char *text)
{
        char bytes[256];
        ssize_t got = read(command->out, bytes, sizeof bytes);

        ck_assert_int_eq(got, (ssize_t)strlen(text));
        ck_assert_mem_eq(bytes, text, strlen(text));
}

static void close_command(struct command *command)
{
        if (command->in >= 0)
                close(command->in);
        close(command->out);
        ferry_loop_free(command->loop);
}

/* Moving -------------------------------------------------------------------------------------------------- */

START_TEST(bytes_pass_both_ways)
{
        struct span span;

        open_span(&span);
        send_near(&span, "a question");
        require_far(&span, "a question");
        send_far(&span, "an answer");
        require_near(&span, "an answer");
        send_near(&span, "\0\1\2");
        ck_assert(ferry_bridge_was_connected(span.bridge));
        ck_assert_int_eq(ferry_bridge_exit_status(span.bridge), -ECHILD);
        close_span(&span);
}
END_TEST

START_TEST(an_input_that_ends_leaves_the_other_direction_open)
{
        struct span span;
        char byte;

        open_span(&span);
        send_near(&span, "all of it");
        shutdown(span.near, SHUT_WR);
        require_far(&span, "all of it");
        ck_assert_int_eq(ferry_channel_receive(span.far, &byte, 1, SAFETY_MS), 0);
        send_far(&span, "an answer after the end");
        require_near(&span, "an answer after the end");
        ck_assert_int_eq(ferry_bridge_status(span.bridge), 1);
        ferry_channel_free(span.far);
        require_end(span.place.loop, span.bridge, 0);
        ck_assert_int_eq(recv(span.near, &byte, 1, 0), 0);
        close_span(&span);
}
END_TEST

START_TEST(a_service_that_ends_its_output_still_gets_the_input)
{
        struct span span;
        char byte;

        open_span(&span);
        send_far(&span, "all of it");
        ferry_channel_shutdown(span.far);
        require_near(&span, "all of it");
        tick_until_readable(span.place.loop, span.near);
        ck_assert_int_eq(recv(span.near, &byte, 1, 0), 0);
        send_near(&span, "late");
        require_far(&span, "late");
        ck_assert_int_eq(ferry_bridge_status(span.bridge), 1);
        close(span.near);
        ck_assert_int_eq(ferry_channel_receive(span.far, &byte, 1, SAFETY_MS), 0);
        require_end(span.place.loop, span.bridge, 0);
        span.near = dup(0);
        close_span(&span);
}
END_TEST

/* The input is silent, and open. In the second round the service has ended its output first, as a graceful close does. */
START_TEST(a_service_that_closes_ends_the_bridge)
{
        struct span span;
        char byte;

        open_span(&span);
        if (_i == 1) {
                ferry_channel_shutdown(span.far);
                tick_until_readable(span.place.loop, span.near);
        }
        ferry_channel_free(span.far);
        require_end(span.place.loop, span.bridge, 0);
        ck_assert_int_eq(recv(span.near, &byte, 1, 0), 0);
        close_span(&span);
}
END_TEST

START_TEST(bytes_that_a_closed_service_has_not_taken_are_a_failure)
{
        static char bytes[MUCH];
        struct span span;
        ssize_t put;

        open_span(&span);
        do {
                put = send(span.near, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
                settle(&span.place);
        } while (put > 0);
        ferry_channel_free(span.far);
        require_end(span.place.loop, span.bridge, -ECONNRESET);
        close_span(&span);
}
END_TEST

START_TEST(a_reader_that_has_gone_ends_the_bridge)
{
        struct command command;

        open_command(&command, "exec:echo one; cat", NULL);
        close(command.out);
        command.out = dup(0);
        require_end(command.loop, command.bridge, -EPIPE);
        close_command(&command);
}
END_TEST

/* As sshd does when its client is killed: the command writes nothing by which that would show. */
START_TEST(an_output_that_is_closed_at_its_other_end_ends_the_bridge)
{
        const ferry_bridge_options options = { .close_timeout_ms = 20 };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_bridge *bridge;
        int ends[2], in[2] = { -1, -1 };

        if (_i < 2)
                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        else {
                make_pipe(in);
                make_pipe(ends);
        }
        bridge = ferry_bridge_open(loop, "exec:while :; do sleep 0.01; done", _i < 2 ? ends[1] : in[0], ends[1], &options);
        while (!ferry_bridge_was_connected(bridge))
                ferry_loop_tick(loop, SAFETY_MS);
        /* The end of the input alone ends that direction only. */
        if (_i == 1)
                ck_assert_int_eq(shutdown(ends[0], SHUT_WR), 0);
        else if (_i == 2)
                close(in[1]);
        for (int i = 0; _i > 0 && i < 10; i++)
                ferry_loop_tick(loop, 1);
        ck_assert_int_eq(ferry_bridge_status(bridge), 1);
        close(ends[0]);
        require_end(loop, bridge, -EPIPE);
        ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
        ferry_loop_free(loop);
        close(ends[1]);
        if (_i == 2)
                close(in[0]);
}
END_TEST

static int feed(ferry_loop *loop, void *userdata)
{
        struct command *command = userdata;
        char bytes[8192];
        ssize_t put;

        (void)loop;
        memset(bytes, 'x', sizeof bytes);
        put = write(command->in, bytes, sizeof bytes);
        return put > 0 || errno == EAGAIN;
}

struct sum {
        size_t size, fed;
        struct command *command;
};

static int drain(ferry_loop *loop, void *userdata)
{
        struct sum *sum = userdata;
        char bytes[65536];
        ssize_t got = read(sum->command->out, bytes, sizeof bytes);

        (void)loop;
        if (got > 0)
                sum->size += (size_t)got;
        if (sum->size >= MUCH && sum->command->in >= 0) {
                ferry_loop_off(loop, feed, sum->command);
                end_input(sum->command);
        }
        return got > 0;
}

/* The command writes as much as it reads, so neither side may wait for the other. */
START_TEST(a_full_direction_does_not_stop_the_other_one)
{
        struct command command;
        struct sum sum = { .command = &command };

        open_command(&command, "exec:exec cat", NULL);
        fcntl(command.in, F_SETFL, O_NONBLOCK);
        ferry_loop_watch(command.loop, command.in, POLLOUT, feed, &command);
        ferry_loop_watch(command.loop, command.out, POLLIN, drain, &sum);
        require_end(command.loop, command.bridge, 0);
        while (drain(command.loop, &sum))
                ;
        ck_assert_uint_ge(sum.size, MUCH);
        close_command(&command);
}
END_TEST

START_TEST(a_file_has_one_direction)
{
        struct place place;
        struct command command;
        char path[160], address[200];
        FILE *file;

        open_place(&place);
        snprintf(path, sizeof path, "%s/file", place.directory);
        file = fopen(path, "w");
        fputs("the content", file);
        fclose(file);
        snprintf(address, sizeof address, "file:%s,", path);
        open_command(&command, address, NULL);
        require_end(command.loop, command.bridge, 0);
        require_output(&command, "the content");
        close_command(&command);
        snprintf(address, sizeof address, "file:,%s", path);
        open_command(&command, address, NULL);
        write_input(&command, "another content");
        end_input(&command);
        require_end(command.loop, command.bridge, 0);
        close_command(&command);
        unlink(path);
        close_place(&place);
}
END_TEST

/* Children ------------------------------------------------------------------------------------------------- */

START_TEST(a_child_has_its_exit_status)
{
        static const struct {
                const char *address;
                int status, exit_status;
        } ends[] = {
                { "exec:exit 0", 0, 0 }, { "exec:echo words >&2; exit 7", -ECONNRESET, 7 },
                { "exec:kill -KILL $$", -ECONNRESET, 128 + SIGKILL }, { "exec:cat; exit 3", -ECONNRESET, 3 },
        };
        struct command command;

        open_command(&command, ends[_i].address, NULL);
        end_input(&command);
        require_end(command.loop, command.bridge, ends[_i].status);
        ck_assert_int_eq(ferry_bridge_exit_status(command.bridge), ends[_i].exit_status);
        ck_assert(_i != 1 || strstr(ferry_bridge_error(command.bridge), "words"));
        close_command(&command);
}
END_TEST

START_TEST(what_a_child_wrote_comes_before_its_end)
{
        struct command command;

        open_command(&command, "exec:echo one; exit 7", NULL);
        require_end(command.loop, command.bridge, -ECONNRESET);
        require_output(&command, "one\n");
        require_output(&command, "");
        close_command(&command);
}
END_TEST

/* Longer than a session would wait for a child that has closed its output. */
START_TEST(a_child_that_closes_its_output_gets_the_whole_input)
{
        struct command command;
        char path[] = "/tmp/ferry-bridge-XXXXXX", address[128], bytes[16] = "";
        int fd = mkstemp(path);

        snprintf(address, sizeof address, "exec:exec cat >%s", path);
        open_command(&command, address, NULL);
        write_input(&command, "one\n");
        ferry_loop_run(command.loop, 150);
        require_output(&command, "");
        ck_assert_int_eq(ferry_bridge_status(command.bridge), 1);
        write_input(&command, "two\n");
        end_input(&command);
        require_end(command.loop, command.bridge, 0);
        ck_assert_int_eq(ferry_bridge_exit_status(command.bridge), 0);
        ck_assert_int_eq(read(fd, bytes, sizeof bytes), 8);
        ck_assert_str_eq(bytes, "one\ntwo\n");
        close(fd);
        unlink(path);
        close_command(&command);
}
END_TEST

START_TEST(a_child_need_not_read_its_input)
{
        struct command command;

        open_command(&command, "exec:exec true", NULL);
        fcntl(command.in, F_SETFL, O_NONBLOCK);
        ferry_loop_watch(command.loop, command.in, POLLOUT, feed, &command);
        signal(SIGPIPE, SIG_IGN);
        require_end(command.loop, command.bridge, 0);
        ck_assert_int_eq(ferry_bridge_exit_status(command.bridge), 0);
        close_command(&command);
}
END_TEST

static void take_line(ferry_bridge *bridge, const char *line, size_t size, void *userdata)
{
        char *all = userdata;

        snprintf(all + strlen(all), 64 - strlen(all), "[%.*s]", (int)size, line);
        if (size == 4 && memcmp(line, "free", 4) == 0)
                ferry_bridge_free(bridge);
}

START_TEST(lines_of_stderr_are_handed_over)
{
        struct command command;
        char all[64] = "";

        open_command(&command, "exec:echo one >&2; echo two >&2",
                     &(ferry_bridge_options){ .line = take_line, .line_userdata = all });
        require_end(command.loop, command.bridge, 0);
        ck_assert_str_eq(all, "[one][two]");
        close_command(&command);
}
END_TEST

START_TEST(a_bridge_may_be_freed_by_the_callback_of_a_line)
{
        struct command command;
        char all[64] = "";

        open_command(&command, "exec:echo free >&2; exec cat", &(ferry_bridge_options){ .line = take_line, .line_userdata = all });
        ck_assert_int_eq(ferry_loop_run(command.loop, -1), 0);
        ck_assert_str_eq(all, "[free]");
        close_command(&command);
}
END_TEST

/* The child does not end by itself. In the last round the loop is freed with it. */
START_TEST(a_freed_bridge_ends_its_child)
{
        struct command command;

        open_command(&command, "exec:trap '' TERM; while :; do sleep 0.01; done", &(ferry_bridge_options){ .close_timeout_ms = 20 });
        if (_i == 0) {
                ferry_bridge_free(command.bridge);
                ck_assert_int_eq(ferry_loop_run(command.loop, -1), 0);
        }
        close_command(&command);
        ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

/* Opening -------------------------------------------------------------------------------------------------- */

START_TEST(nothing_is_read_before_the_address_is_connected)
{
        struct place place;
        ferry_bridge *bridge;
        int in[2], out[2], count = 0;

        open_place(&place);
        make_pipe(in);
        make_pipe(out);
        ck_assert_int_eq(write(in[1], "kept", 4), 4);
        bridge = ferry_bridge_open(place.loop, place.address, in[0], out[1], NULL);
        require_end(place.loop, bridge, -ENOENT);
        ck_assert(!ferry_bridge_was_connected(bridge));
        ck_assert_int_eq(ioctl(in[0], FIONREAD, &count), 0);
        ck_assert_int_eq(count, 4);
        ck_assert_int_eq(fcntl(out[1], F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(ferry_loop_run(place.loop, 0), -ENOENT);
        for (int i = 0; i < 2; i++) {
                close(in[i]);
                close(out[i]);
        }
        close_place(&place);
}
END_TEST

static int listen_later(ferry_loop *loop, void *userdata)
{
        struct place *place = userdata;

        ferry_channel_open(loop, place->address, FERRY_RECEIVE, NULL);
        return 0;
}

START_TEST(a_service_that_comes_later_is_waited_for)
{
        struct place place;
        ferry_bridge *bridge;
        int fds[2];

        open_place(&place);
        make_sockets(fds);
        bridge = ferry_bridge_open(place.loop, place.address, fds[0], fds[0], &(ferry_bridge_options){ .wait_ms = SAFETY_MS });
        ck_assert_int_eq(ferry_bridge_status(bridge), 1);
        ck_assert(!ferry_bridge_was_connected(bridge));
        ferry_loop_after(place.loop, 10, listen_later, &place);
        while (!ferry_bridge_was_connected(bridge) && ferry_bridge_status(bridge) == 1)
                tick(&place);
        ck_assert(ferry_bridge_was_connected(bridge));
        close(fds[1]);
        close_place(&place);
}
END_TEST

START_TEST(a_service_that_does_not_come_is_a_failure)
{
        struct place place;
        ferry_bridge *bridge;
        int fds[2];

        open_place(&place);
        make_sockets(fds);
        bridge = ferry_bridge_open(place.loop, place.address, fds[0], fds[0], &(ferry_bridge_options){ .wait_ms = 10 });
        /* On a busy machine the time may be over at once: then the descriptor has stayed this program's. */
        if (ferry_bridge_status(bridge) != 1)
                close(fds[0]);
        require_end(place.loop, bridge, -ENOENT);
        ck_assert(!ferry_bridge_was_connected(bridge));
        close(fds[1]);
        close_place(&place);
}
END_TEST

START_TEST(misuse_has_an_errno_and_a_sentence)
{
        const struct {
                const char *address;
                int in, out, code;
                ferry_bridge_options options;
                const char *words;
        } uses[] = {
                { NULL, 0, 1, -EINVAL, { 0 }, "address" },
                { "", 0, 1, -EINVAL, { 0 }, "address" },
                { "stdio:", 0, 1, -EINVAL, { 0 }, "stdio:" },
                { "udp:127.0.0.1:9", 0, 1, -EINVAL, { 0 }, "channel" },
                { "exec:cat", -1, 1, -EBADF, { 0 }, "-1" },
                { "exec:cat", 0, -1, -EBADF, { 0 }, "-1" },
                { "exec:cat", 1000, 1, -EBADF, { 0 }, "1000" },
                { "exec:cat", 0, 1, -EINVAL, { .wait_ms = -2 }, "wait_ms" },
                { "exec:cat", 0, 1, -EINVAL, { .close_timeout_ms = -5 }, "close_timeout_ms" },
                { "exec:cat", 0, 1, -EINVAL, { .size = 3 }, "size" },
        };
        ferry_loop *loop = ferry_loop_new(NULL);

        for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
                ferry_bridge *bridge = ferry_bridge_open(loop, uses[i].address, uses[i].in, uses[i].out, &uses[i].options);

                ck_assert_msg(ferry_bridge_status(bridge) == uses[i].code, "%zu: %d: %s", i, ferry_bridge_status(bridge),
                              ferry_bridge_error(bridge));
                ck_assert_msg(strstr(ferry_bridge_error(bridge), uses[i].words) != NULL, "%s", ferry_bridge_error(bridge));
                ferry_bridge_free(bridge);
        }
        ck_assert_int_ge(fcntl(0, F_GETFD), 0);
        ck_assert_int_eq(ferry_loop_run(loop, 0), 0);
        ferry_loop_free(loop);
        ck_assert_ptr_null(ferry_bridge_open(NULL, "exec:cat", 0, 1, NULL));
        ck_assert_int_eq(ferry_bridge_status(NULL), -ENOMEM);
        ck_assert_str_ne(ferry_bridge_error(NULL), "");
        ck_assert(!ferry_bridge_was_connected(NULL));
        ck_assert_int_eq(ferry_bridge_exit_status(NULL), -ECHILD);
        ck_assert_ptr_null(ferry_bridge_free(NULL));
}
END_TEST

START_TEST(a_forked_child_cannot_use_the_bridge_of_its_parent)
{
        struct span span;
        int status;
        pid_t child;

        open_span(&span);
        child = fork();
        if (child == 0) {
                bool is_refused = ferry_bridge_status(span.bridge) == -ECHILD && !ferry_bridge_was_connected(span.bridge) &&
                                  ferry_bridge_status(ferry_bridge_open(span.place.loop, "exec:cat", 0, 1, NULL)) == -ECHILD;

                ferry_bridge_free(span.bridge);
                ferry_loop_free(span.place.loop);
                _exit(is_refused ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        send_near(&span, "still there");
        require_far(&span, "still there");
        close_span(&span);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(bytes_pass_both_ways),
        SUITE_TEST(an_input_that_ends_leaves_the_other_direction_open),
        SUITE_TEST(a_service_that_ends_its_output_still_gets_the_input),
        SUITE_LOOP(a_service_that_closes_ends_the_bridge, 2),
        SUITE_TEST(bytes_that_a_closed_service_has_not_taken_are_a_failure),
        SUITE_TEST(a_reader_that_has_gone_ends_the_bridge),
        SUITE_LOOP(an_output_that_is_closed_at_its_other_end_ends_the_bridge, 3),
        SUITE_TEST(a_full_direction_does_not_stop_the_other_one),
        SUITE_TEST(a_file_has_one_direction),
        SUITE_LOOP(a_child_has_its_exit_status, 4),
        SUITE_TEST(what_a_child_wrote_comes_before_its_end),
        SUITE_TEST(a_child_that_closes_its_output_gets_the_whole_input),
        SUITE_TEST(a_child_need_not_read_its_input),
        SUITE_TEST(lines_of_stderr_are_handed_over),
        SUITE_TEST(a_bridge_may_be_freed_by_the_callback_of_a_line),
        SUITE_LOOP(a_freed_bridge_ends_its_child, 2),
        SUITE_TEST(nothing_is_read_before_the_address_is_connected),
        SUITE_TEST(a_service_that_comes_later_is_waited_for),
        SUITE_TEST(a_service_that_does_not_come_is_a_failure),
        SUITE_TEST(misuse_has_an_errno_and_a_sentence),
        SUITE_TEST(a_forked_child_cannot_use_the_bridge_of_its_parent),
};

SUITE_MAIN("bridge", tests)
