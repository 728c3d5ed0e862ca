/* ferry wait: return once there is another end at an address, without connecting. */
#include "cli.h"

#include <errno.h>
#include <string.h>

/* A wait in a loop that is freed returns. */
static int interrupt(ferry_loop *loop, void *userdata)
{
        *(bool *)userdata = true;
        ferry_loop_free(loop);
        return 0;
}

/* 0, -ETIMEDOUT, or another negative errno. */
static int wait_for(ferry_loop *loop, const char *address, const struct cli_options *options)
{
        int scheme = ferry_address_scheme(address);

        if (scheme != FERRY_SCHEME_NAME && scheme != FERRY_SCHEME_UNIX)
                return ferry_channel_wait(loop, address, options->timeout_ms);
        return ferry_service_wait(loop, address, session_options(options).dialect, options->timeout_ms);
}

static void complain_timeout(const char *address, int timeout_ms)
{
        switch (ferry_address_scheme(address)) {
        case FERRY_SCHEME_FIFO:
        case FERRY_SCHEME_MSGQ:
        case FERRY_SCHEME_MQUEUE:
                complain("'%s' does not exist yet, after %g s", address, timeout_ms / 1000.0);
                break;
        case FERRY_SCHEME_UDP:
        case FERRY_SCHEME_UDG:
                complain("no socket is bound at '%s' yet, after %g s", address, timeout_ms / 1000.0);
                break;
        default:
                complain("no process listens at '%s' yet, after %g s", address, timeout_ms / 1000.0);
        }
}

static void complain_failure(const char *address, int error, int timeout_ms)
{
        if (error == -ETIMEDOUT)
                complain_timeout(address, timeout_ms);
        else if (error == -EACCES)
                complain("cannot wait for '%s': its directory is not safe, or cannot be read", address);
        else if (error == -EADDRNOTAVAIL)
                complain("cannot wait for '%s': it is on another machine", address);
        else
                complain("cannot wait for '%s': %s", address, strerror(-error));
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        int status = check_waitable(arguments[0]), error;
        bool is_interrupted = false;
        ferry_loop *loop;

        (void)count;
        if (status)
                return status;
        loop = ferry_loop_new(NULL);
        signals_watch(loop, 1, interrupt, &is_interrupted);
        error = wait_for(loop, arguments[0], options);
        if (!is_interrupted)
                ferry_loop_free(loop);
        signals_raise();
        if (error < 0)
                complain_failure(arguments[0], error, options->timeout_ms);
        return exit_status_of(error);
}

const struct cli_command command_wait = {
        .name = "wait",
        .arguments = "ADDRESS",
        .summary = "return once there is another end at an address",
        .options = (const char *const[]){ "timeout", "dialect", NULL },
        .least = 1,
        .most = 1,
        .run = run,
};
