/* ferry notify: a message that wants no answer. */
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
        ferry_session **peer = userdata;
        pid_t child = ferry_session_peer(*peer).pid;

        (void)loop;
        if (ferry_address_scheme(ferry_session_address(*peer)) == FERRY_SCHEME_EXEC && child > 0)
                kill(-child, SIGTERM);
        ferry_session_close(*peer);
        return 0;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        ferry_session_options session = session_options(options);
        int status = check_address(arguments[0]), error;

        if (status)
                return status;
        FERRY_AUTO(ferry_value) body = body_read(count > 2 ? arguments[2] : NULL, options->is_value, &status);
        if (!body)
                return status;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *peer;

        signals_watch(loop, interrupt, &peer);
        peer = ferry_session_open(loop, arguments[0], &session);
        ferry_session_on(peer, FERRY_KIND_NOTIFICATION | FERRY_KIND_JUNK | FERRY_KIND_ERROR, show_aside,
                         (void *)(uintptr_t)options);
        ferry_session_notify(peer, arguments[1], "%p", (const void *)body);
        error = ferry_session_flush(peer, options->timeout_ms);
        status = exit_status_of(error);
        if (status == EXIT_TIMEOUT)
                complain("the other side has not taken the message in time");
        else if (error < 0 && !signals_received())
                complain("%s", ferry_session_error(peer));
        ferry_loop_free(loop);
        signals_raise();
        return status;
}

const struct cli_command command_notify = {
        .name = "notify",
        .arguments = "ADDRESS TYPE [BODY]",
        .summary = "send a notification, return when the other side has it",
        .options = (const char *const[]){ "dialect", "codec", "namespace", "timeout", "wait", "json", "value",
                                          "verbose", NULL },
        .least = 2,
        .most = 3,
        .run = run,
};
