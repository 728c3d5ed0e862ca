/* The other side of call and notify: what it says besides the answer goes to stderr, and an interrupt ends it. */
#include "cli.h"

#include <signal.h>
#include <stdio.h>

static int show_aside(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        print_aside(message, userdata);
        return 0;
}

/* What is interrupted has no grace: a child, which leads a process group, hears of it at once. */
static int interrupt(ferry_loop *loop, void *userdata)
{
        struct peer *peer = userdata;
        pid_t child = ferry_session_peer(peer->session).pid;

        (void)loop;
        if (ferry_address_scheme(ferry_session_address(peer->session)) == FERRY_SCHEME_EXEC && child > 0)
                kill(-child, SIGTERM);
        ferry_session_close(peer->session);
        return 0;
}

int peer_open(struct peer *peer, const struct cli_options *options, char **arguments, int count)
{
        ferry_session_options session = session_options(options);
        int status = check_session(arguments[0], options);

        *peer = (struct peer){ .options = options, .type = arguments[1] };
        if (status)
                return status;
        peer->body = body_read(count > 2 ? arguments[2] : NULL, options->is_value, &status);
        if (!peer->body)
                return status;
        peer->loop = ferry_loop_new(NULL);
        signals_watch(peer->loop, 1, interrupt, peer);
        peer->session = ferry_session_open(peer->loop, arguments[0], &session);
        ferry_session_on(peer->session, FERRY_KIND_NOTIFICATION | FERRY_KIND_JUNK | FERRY_KIND_ERROR, show_aside,
                         (void *)(uintptr_t)options);
        return 0;
}

void peer_close(struct peer *peer)
{
        FERRY_AUTO(ferry_value) info = ferry_session_info(peer->session);

        if (peer->options->is_verbose)
                print_aside_json(info);
        ferry_loop_free(peer->loop);
        ferry_value_unref(peer->body);
        signals_raise();
}

const char *const peer_options[] = { "dialect", "codec", "namespace", "timeout", "wait", "json", "value", "verbose",
                                     NULL };
