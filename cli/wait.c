/* ferry wait: return once somebody listens. Nobody is connected to. */
#include "cli.h"

#include <errno.h>
#include <string.h>

/* Whoever waits in a loop that goes is told so. */
static int interrupt(ferry_loop *loop, void *userdata)
{
        *(bool *)userdata = true;
        ferry_loop_free(loop);
        return 0;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        int status = check_address(arguments[0]), scheme = ferry_address_scheme(arguments[0]), code;
        bool is_interrupted = false;
        ferry_loop *loop;

        (void)count;
        if (status)
                return status;
        if (scheme != FERRY_SCHEME_NAME && scheme != FERRY_SCHEME_UNIX) {
                complain("%s is nothing to wait for: write NAME or unix:PATH", arguments[0]);
                return EXIT_USAGE;
        }
        loop = ferry_loop_new(NULL);
        signals_watch(loop, 1, interrupt, &is_interrupted);
        code = ferry_service_wait(loop, arguments[0], session_options(options).dialect, options->timeout_ms);
        if (!is_interrupted)
                ferry_loop_free(loop);
        signals_raise();
        if (code == 0)
                complain("nobody listens at %s yet, after %g s", arguments[0], options->timeout_ms / 1000.0);
        else if (code == -EACCES)
                complain("%s cannot be waited for: its directory is not safe, or not ours to look into", arguments[0]);
        else if (code < 0)
                complain("%s cannot be waited for: %s", arguments[0], strerror(-code));
        return code == 0 ? EXIT_TIMEOUT : exit_status_of(code);
}

const struct cli_command command_wait = {
        .name = "wait",
        .arguments = "ADDRESS",
        .summary = "return once somebody listens",
        .options = (const char *const[]){ "timeout", "dialect", NULL },
        .least = 1,
        .most = 1,
        .run = run,
};
