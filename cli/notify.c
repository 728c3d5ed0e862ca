/* ferry notify: a message that wants no answer. */
#include "cli.h"

#include <stdio.h>

static int run(const struct cli_options *options, char **arguments, int count)
{
        struct peer peer;
        int status = peer_open(&peer, options, arguments, count, false), error;

        if (status)
                return status;
        ferry_session_notify_value(peer.session, peer.type, peer.body);
        error = ferry_session_flush(peer.session, options->timeout_ms);
        status = exit_status_of(error);
        if (status == EXIT_TIMEOUT)
                complain("the other side did not take the message in time");
        else if (error < 0 && !signals_received())
                complain("%s", ferry_session_error(peer.session));
        return peer_close(&peer, status);
}

const struct cli_command command_notify = {
        .name = "notify",
        .arguments = "ADDRESS TYPE [BODY]",
        .summary = "send a notification, return when the other side has it",
        .options = peer_options,
        .least = 2,
        .most = 3,
        .run = run,
};
