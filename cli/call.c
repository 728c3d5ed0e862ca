/* ferry call: a request, and its reply on stdout, with its parts before that as they come; each.c has many. What comes meanwhile
 * goes to stderr. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>

static int report(ferry_call *call, const ferry_message *reply, const struct peer *peer)
{
        const struct cli_options *options = peer->options;
        const ferry_message *error = ferry_call_reply(call);

        if (reply) {
                print_body(reply, options, false, 0);
                return EXIT_DONE;
        }
        /* What a manager says is only that the session has ended. */
        if (ferry_call_status(call) == -ECHILD && ferry_session_status(peer->session) < 0) {
                complain("%s", ferry_session_error(peer->session));
                return exit_status_of(ferry_session_status(peer->session));
        }
        if (ferry_call_status(call) == -EREMOTEIO && options->is_json && error)
                print_body(error, options, false, 0);
        else
                complain("%s%s", ferry_call_outcome(call) == FERRY_OUTCOME_UNKNOWN ? "outcome unknown: " : "", ferry_call_error(call));
        return exit_status_of(ferry_call_status(call));
}

/* What has been printed of a reply. */
struct printed {
        const struct cli_options *options;
        ferry_session *session;
        bool has_parts;
        bool is_output_closed;
};

/* A program that reads stdout, and has seen enough, ends the call. */
static void print_part(ferry_call *call, const ferry_message *part, void *userdata)
{
        struct printed *printed = userdata;

        (void)call;
        printed->has_parts = true;
        if (printed->is_output_closed || print_body(part, printed->options, true, 0))
                return;
        printed->is_output_closed = true;
        ferry_session_close(printed->session);
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        struct peer peer;
        int status;

        if (options->is_each)
                return each_run(options, arguments);
        /* With --wait 0 it is tried once. */
        status = peer_open(&peer, options, arguments, count, options->wait_ms != 0);
        if (status)
                return status;
        struct printed printed = { .options = options, .session = peer.session };
        ferry_call *call = peer_request(&peer, peer.body);
        const ferry_message *reply;

        ferry_call_on_progress(call, print_part, &printed);
        reply = ferry_call_await(call);
        /* Behind parts, null says only that all have come. */
        if (signals_received())
                status = EXIT_CONNECTION;
        else if (!printed.is_output_closed &&
                 !(printed.has_parts && reply && ferry_value_kind(ferry_message_body(reply)) == FERRY_VALUE_NULL))
                status = report(call, reply, &peer);
        ferry_call_free(call);
        return peer_close(&peer, status);
}

const struct cli_command command_call = {
        .name = "call",
        .arguments = "ADDRESS TYPE [BODY]",
        .summary = "send a request, print the reply's body",
        .options = (const char *const[]){ "each", "in-flight", "unordered", "null", "no-reconnect", "dialect", "codec", "namespace", "timeout", "wait", "allow",
                                          "json", "value", "verbose", "shm", "no-shm", "remote-ferry", NULL },
        .least = 2,
        .most = 3,
        .run = run,
};
