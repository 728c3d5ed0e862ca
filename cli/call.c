/* ferry call: a request, and its reply on stdout, with its parts before that as they come; each.c has many. What comes meanwhile
 * goes to stderr. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

enum { PAUSE_FIRST_MS = 2, PAUSE_MAX_MS = 100 };

static int report(ferry_call *call, const ferry_message *reply, const struct cli_options *options)
{
        const ferry_message *error = ferry_call_reply(call);

        if (reply) {
                print_body(reply, options, false, 0);
                return EXIT_DONE;
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

static long now_ms(void)
{
        struct timespec now = { 0 };

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int stop_waiting(ferry_loop *loop, void *userdata)
{
        (void)loop;
        *(bool *)userdata = true;
        return 0;
}

static void wait_ms(const struct peer *peer, long ms)
{
        bool is_over = false;

        ferry_loop_after(peer->loop, (int)ms, stop_waiting, &is_over);
        while (!is_over && !signals_received() && ferry_session_status(peer->session) == 1 && ferry_loop_tick(peer->loop, -1) >= 0)
                ;
        ferry_loop_off(peer->loop, stop_waiting, &is_over);
}

/* A server, which is there, may say that no process listens at the address (nats:). Nothing was executed then, so while it is time
 * to wait for a process, the request is made again. */
static ferry_call *request(const struct peer *peer, struct printed *printed)
{
        const struct cli_options *options = peer->options;
        long end = options->wait_ms < 0 ? LONG_MAX : now_ms() + options->wait_ms, pause = PAUSE_FIRST_MS;

        for (;;) {
                ferry_call *call = ferry_session_request_value(peer->session, options->timeout_ms, peer->type, peer->body);
                long left;

                ferry_call_on_progress(call, print_part, printed);
                ferry_call_await(call);
                left = end - now_ms();
                if (ferry_call_status(call) != -ECONNREFUSED || ferry_session_status(peer->session) != 1 || left <= 0 ||
                    signals_received())
                        return call;
                ferry_call_free(call);
                wait_ms(peer, pause < left ? pause : left);
                pause = pause < PAUSE_MAX_MS / 2 ? pause * 2 : PAUSE_MAX_MS;
        }
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        struct peer peer;
        int status;

        if (options->is_each)
                return each_run(options, arguments);
        status = peer_open(&peer, options, arguments, count);
        if (status)
                return status;
        struct printed printed = { .options = options, .session = peer.session };
        ferry_call *call = request(&peer, &printed);
        const ferry_message *reply = ferry_call_await(call);

        /* Behind parts, null says only that all have come. */
        if (signals_received())
                status = EXIT_CONNECTION;
        else if (!printed.is_output_closed &&
                 !(printed.has_parts && reply && ferry_value_kind(ferry_message_body(reply)) == FERRY_VALUE_NULL))
                status = report(call, reply, options);
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
