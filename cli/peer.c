/* The other side of call and notify: what it says besides the answer goes to stderr, and an interrupt ends it. */
#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CLOSE_MS = 1000 };        /* the library's default */

static int show_aside(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        print_aside(message, userdata);
        return 0;
}

/* A command such as cat sends the request back, and then what it was answered. */
static int notice_echo(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct peer *peer = userdata;

        (void)session;
        peer->is_echo = peer->is_echo || (strcmp(ferry_message_type(message), peer->type) == 0 &&
                                          (peer->options->is_each || ferry_value_equal(ferry_message_body(message), peer->body)));
        return 0;
}

static bool is_mute(const ferry_session *session)
{
        FERRY_AUTO(ferry_value) info = ferry_session_info(session);

        return ferry_value_int(ferry_value_get(info, "received"), -1) == 0;
}

void peer_explain_command(bool is_echo)
{
        complain("COMMAND %s: it must answer requests in a dialect of ferry (man ferry)",
                 is_echo ? "sends back what it reads" : "has sent no message");
}

/* An interrupted command gives its child no grace: the process group that the child leads is signalled at once. A child in our
 * own process group is signalled alone, by its pidfd, as its number may be that of another process by now. */
static int interrupt(ferry_loop *loop, void *userdata)
{
        struct peer *peer = userdata;
        int signal = peer->is_in_foreground ? SIGTERM : 0;

        (void)loop;
        if (peer->child >= 0 && syscall(SYS_pidfd_send_signal, peer->child, signal, NULL, 0) == 0 && !peer->is_in_foreground)
                kill(-ferry_session_peer(peer->session).pid, SIGTERM);
        ferry_session_close(peer->session);
        return 0;
}

/* Whether the terminal is for our process group: what a shell runs without &. */
static bool has_terminal(void)
{
        int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        bool is_ours = terminal >= 0 && tcgetpgrp(terminal) == getpgrp();

        if (terminal >= 0)
                close(terminal);
        return is_ours;
}

/* In the dialect ferry what was not executed is known, so it can be sent again. */
static bool is_connected_again(const struct cli_options *options, const char *address)
{
        int scheme = ferry_address_scheme(address);

        return options->is_each && !options->is_once && (options->dialects == 0 || options->dialects == FERRY_DIALECT_FERRY) &&
               (scheme == FERRY_SCHEME_NAME || scheme == FERRY_SCHEME_UNIX || scheme == FERRY_SCHEME_TCP || scheme == FERRY_SCHEME_SSH);
}

/* Listeners at a subject may be busy, and refuse what they are sent: a manager gives it again, as it does for ferry run. */
static int connect_by_manager(struct peer *peer, const char *address, ferry_session_options *session)
{
        const struct cli_options *options = peer->options;
        const ferry_remote_options remote = {
                .session = session, .requests_max = (unsigned)options->in_flight,
                .busy_timeout_ms = options->timeout_ms ? options->timeout_ms : 1,
        };
        const ferry_manager_options waiting = { .session = session, .queue_timeout_ms = -1 };
        int error;

        session->queue_max = SIZE_MAX;
        session->reconnect_ms = options->is_once ? 0 : options->timeout_ms ? options->timeout_ms : 1;
        peer->manager = ferry_manager_new(peer->loop, &waiting);
        error = ferry_manager_connect(peer->manager, address, &remote);
        peer->session = ferry_manager_session(peer->manager, NULL);
        if (error)
                complain("%s", ferry_loop_error(peer->loop));
        return error ? exit_status_of(error) : 0;
}

int peer_open(struct peer *peer, const struct cli_options *options, char **arguments, int count, bool gives_again)
{
        ferry_session_options session = session_options(options);
        int status = check_session(arguments[0], options);

        *peer = (struct peer){ .options = options, .type = arguments[1], .child = -1 };
        if (status)
                return status;
        peer->body = body_read(count > 2 ? arguments[2] : NULL, options->is_value, &status);
        if (!peer->body)
                return status;
        peer->loop = ferry_loop_new(NULL);
        error_limit_wait(options->timeout_ms);
        signals_watch(peer->loop, 1, interrupt, peer);
        peer->is_command = ferry_address_scheme(arguments[0]) == FERRY_SCHEME_EXEC;
        peer->is_child = peer->is_command || ferry_address_scheme(arguments[0]) == FERRY_SCHEME_SSH;
        /* Closing has no longer than the rest; a child has its own time to end. */
        if (!peer->is_child && options->timeout_ms >= 0 && options->timeout_ms < CLOSE_MS)
                session.close_timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : 1;
        if (peer->is_child)
                peer->is_in_foreground = session.is_in_foreground = has_terminal();
        peer->is_reconnecting = is_connected_again(options, arguments[0]);
        if (peer->is_reconnecting)
                session.reconnect_ms = options->timeout_ms != 0 ? options->timeout_ms : 1;
        if (gives_again && ferry_address_scheme(arguments[0]) == FERRY_SCHEME_NATS) {
                status = connect_by_manager(peer, arguments[0], &session);
                if (status)
                        return peer_close(peer, status);
        } else
                peer->session = ferry_session_open(peer->loop, arguments[0], &session);
        if (peer->is_child && ferry_session_peer(peer->session).pid > 0)
                peer->child = (int)syscall(SYS_pidfd_open, ferry_session_peer(peer->session).pid, 0);
        if (peer->is_command)
                ferry_session_on(peer->session, FERRY_KIND_REQUEST, notice_echo, peer);
        ferry_session_on(peer->session, FERRY_KIND_NOTIFICATION | FERRY_KIND_JUNK | FERRY_KIND_ERROR, show_aside,
                         (void *)(uintptr_t)options);
        return 0;
}

ferry_call *peer_request(const struct peer *peer, const ferry_value *body)
{
        int timeout_ms = peer->options->timeout_ms;

        return peer->manager ? ferry_manager_request_value(peer->manager, timeout_ms, peer->type, body) :
                               ferry_session_request_value(peer->session, timeout_ms, peer->type, body);
}

/* What a child writes to its stderr is shown until it has exited. Returns @status, or that of a child that has failed after its
 * answer. */
static int close_child(const struct peer *peer, int status)
{
        int error;

        ferry_session_close(peer->session);
        while (ferry_session_next(peer->session, -1))
                ;
        error = ferry_session_status(peer->session);
        if (status != EXIT_DONE && !signals_received() &&
            (peer->is_echo || (peer->is_command && status == EXIT_CONNECTION && error == 0 && is_mute(peer->session))))
                peer_explain_command(peer->is_echo);
        if (error >= 0 || signals_received() || (status != EXIT_DONE && status != EXIT_ANSWERED_ERROR))
                return status;
        complain("%s", ferry_session_error(peer->session));
        return status == EXIT_DONE ? exit_status_of(error) : status;
}

int peer_close(struct peer *peer, int status)
{
        FERRY_AUTO(ferry_value) info = ferry_session_info(peer->session);

        if (peer->is_child)
                status = close_child(peer, status);
        if (peer->options->is_verbose)
                print_aside_json(info);
        ferry_loop_free(peer->loop);
        if (peer->child >= 0)
                close(peer->child);
        ferry_value_unref(peer->body);
        signals_raise();
        return status;
}

const char *const peer_options[] = { "dialect", "codec", "namespace", "timeout", "wait", "allow", "json", "value", "verbose",
                                     "shm", "no-shm", "remote-ferry", NULL };
