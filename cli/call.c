/* ferry call: a request, and its reply on stdout. What comes meanwhile goes to stderr. */
#include "cli.h"

#include <errno.h>
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

static int report(ferry_call *call, const ferry_message *reply, const struct cli_options *options)
{
        const ferry_message *error = ferry_call_reply(call);

        if (reply) {
                print_body(reply, options, false);
                return output_status(EXIT_DONE);
        }
        if (ferry_call_status(call) == -EREMOTEIO && options->is_json && error)
                print_body(error, options, false);
        else
                complain("%s", ferry_call_error(call));
        return exit_status_of(ferry_call_status(call));
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        ferry_session_options session = session_options(options);
        int status = check_address(arguments[0]);

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
        ferry_call *call = ferry_session_request(peer, options->timeout_ms, arguments[1], "%p", (const void *)body);
        const ferry_message *reply = ferry_call_await(call);

        if (signals_received())
                status = EXIT_CONNECTION;
        else
                status = report(call, reply, options);
        ferry_call_free(call);
        ferry_loop_free(loop);
        signals_raise();
        return status;
}

const struct cli_command command_call = {
        .name = "call",
        .arguments = "ADDRESS TYPE [BODY]",
        .summary = "send a request, print the reply's body",
        .options = (const char *const[]){ "dialect", "codec", "namespace", "timeout", "wait", "json", "value",
                                          "verbose", NULL },
        .least = 2,
        .most = 3,
        .run = run,
};
