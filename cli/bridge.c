/* ferry bridge: our stdin and stdout, joined to an address. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static int interrupt(ferry_loop *loop, void *userdata)
{
        ferry_bridge **bridge = userdata;

        (void)loop;
        *bridge = ferry_bridge_free(*bridge);
        return 0;
}

/* What a command writes to its stderr goes to ours. */
static void pass_line(ferry_bridge *bridge, const char *line, size_t size, void *userdata)
{
        (void)bridge, (void)userdata;
        print_passed(line, size);
}

static int exit_status(const ferry_bridge *bridge)
{
        int error = ferry_bridge_status(bridge), child = ferry_bridge_exit_status(bridge);

        /* A reader that closes its end of a pipe is no failure. */
        if (error == -EPIPE)
                return EXIT_DONE;
        /* It has said itself why. What has happened on this side, as a disk that is full, it does not know. */
        if (child > 0 && (error >= 0 || error == -ECONNRESET))
                return child;
        if (error >= 0)
                return EXIT_DONE;
        complain("%s", ferry_bridge_error(bridge));
        return ferry_bridge_was_connected(bridge) || exit_status_of(error) == EXIT_REFUSED ? exit_status_of(error) : EXIT_NOT_REACHED;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        ferry_session_options session = session_options(options);
        const ferry_bridge_options bridge_options = { .dialect = session.dialect, .wait_ms = options->wait_ms, .line = pass_line,
                                                       .remote_ferry = options->remote_ferry };
        int status = check_session(arguments[0], options);
        ferry_loop *loop;
        ferry_bridge *bridge = NULL;
        int failures = 0;

        (void)count;
        if (status)
                return status;
        if (ferry_address_scheme(arguments[0]) == FERRY_SCHEME_STDIO) {
                complain("bridge joins stdin and stdout to another address than stdio:");
                return EXIT_USAGE;
        }
        error_limit_wait(0);
        loop = ferry_loop_new(NULL);
        signals_watch(loop, 1, interrupt, &bridge);
        bridge = ferry_bridge_open(loop, arguments[0], STDIN_FILENO, STDOUT_FILENO, &bridge_options);
        /* The watch for signals would keep a run going. The loop reports the failure of a bridge once, which may still be closing then;
         * another one is the loop's own. */
        while (ferry_bridge_status(bridge) == 1 && failures < 2)
                failures += ferry_loop_tick(loop, -1) < 0;
        if (ferry_bridge_status(bridge) == 1)
                complain("%s", ferry_loop_error(loop));
        status = signals_received() ? EXIT_DONE : ferry_bridge_status(bridge) == 1 ? EXIT_CONNECTION : exit_status(bridge);
        ferry_loop_free(loop);
        signals_raise();
        return status;
}

const struct cli_command command_bridge = {
        .name = "bridge",
        .arguments = "ADDRESS",
        .summary = "join stdin and stdout to a service, byte by byte",
        .options = (const char *const[]){ "dialect", "wait", "remote-ferry", NULL },
        .least = 1,
        .most = 1,
        .run = run,
};
