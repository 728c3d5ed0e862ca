/* ferry listen: serve an address, or one session; print what comes, and answer requests as the options say. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct listener {
        const struct cli_options *options;
        ferry_loop *loop;
        ferry_service *service;         /* one of both */
        ferry_session *session;
        ferry_value *reply;
        bool is_quiet;                  /* stdout is the conversation */
        long left;                      /* of --count; 0: no end */
        bool is_stopping;
        bool is_output_closed;
};

enum { STOP_MAX_MS = 5000 };            /* for the requests in hand */

static int close_session(ferry_loop *loop, void *userdata)
{
        struct listener *listener = userdata;

        ferry_loop_off(loop, close_session, listener);
        ferry_session_close(listener->session);
        return 0;
}

/* Take nothing more. A service lets the requests in hand be answered before it closes; a session is closed when that
 * is done. */
static void stop(struct listener *listener)
{
        if (listener->is_stopping)
                return;
        listener->is_stopping = true;
        if (listener->service)
                ferry_service_close(listener->service);
        else
                ferry_loop_after(listener->loop, STOP_MAX_MS, close_session, listener);
}

static void show(struct listener *listener, const ferry_message *message)
{
        if (listener->is_quiet) {
                if (listener->options->is_verbose)
                        print_aside(message, listener->options);
        } else if (!listener->is_output_closed && !print_body(message, listener->options, true, 0)) {
                listener->is_output_closed = true;
                stop(listener);
        }
}

static int answer(struct listener *listener, ferry_session *client, const ferry_message *request)
{
        const struct cli_options *options = listener->options;
        const char *type = NULL;

        if (options->is_echo)
                return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
        if (options->exec)
                return answer_by_command(request, options->exec);
        /* Where nobody need answer, nothing is said. */
        if (!listener->reply && ferry_message_kind(request) == FERRY_KIND_MESSAGE)
                return 0;
        if (!listener->reply)
                return ferry_message_fail(request, "this listener only listens: it was started without --echo,"
                                                   " --reply or --exec");
        if (ferry_value_kind(listener->reply) == FERRY_VALUE_STRING && speaks(client, "stream-ipc"))
                type = FERRY_LOG_MESSAGE;
        return ferry_message_reply(request, type, "%p", (const void *)listener->reply);
}

static int take(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct listener *listener = userdata;
        int result = 0;

        if (listener->is_stopping)
                return ferry_message_kind(message) & FERRY_KIND_REQUEST ?
                               ferry_message_refuse(message, "the listener is about to end") : 0;
        show(listener, message);
        if (ferry_message_kind(message) & FERRY_KIND_REQUEST)
                result = answer(listener, client, message);
        if (listener->left > 0 && --listener->left == 0)
                stop(listener);
        return result;
}

static int show_aside(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct listener *listener = userdata;

        (void)client;
        if (ferry_message_kind(message) & (FERRY_KIND_CANCELLED | FERRY_KIND_CLOSED))
                answers_end_unwanted();
        else
                print_aside(message, listener->options);
        return 0;
}

static int interrupt(ferry_loop *loop, void *userdata)
{
        (void)loop;
        stop(userdata);
        return 0;
}

static const unsigned messages = FERRY_KIND_MESSAGE;
static const unsigned asides = FERRY_KIND_JUNK | FERRY_KIND_ERROR | FERRY_KIND_CANCELLED | FERRY_KIND_CLOSED;

/* Until the service or session is closed, and then until all that is in hand is done. */
static void run_until_over(struct listener *listener)
{
        while (listener->service ? ferry_service_status(listener->service) == 1 :
                                   ferry_session_status(listener->session) == 1) {
                if (ferry_loop_tick(listener->loop, -1) < 0)
                        break;
                if (listener->session && listener->is_stopping && !answers_are_due())
                        close_session(listener->loop, listener);
        }
        ferry_loop_off(listener->loop, close_session, listener);
        signals_unwatch(listener->loop);
        ferry_loop_run(listener->loop, -1);
}

/* By a service; else there is one session. */
static bool is_served(const char *address)
{
        int scheme = ferry_address_scheme(address);

        return scheme == FERRY_SCHEME_NAME || scheme == FERRY_SCHEME_UNIX || scheme == FERRY_SCHEME_TCP;
}

static int serve(struct listener *listener, const char *address)
{
        ferry_session_options session = session_options(listener->options);
        ferry_service_options service = {
                .dialects = listener->options->dialects, .is_public = listener->options->is_public,
        };
        bool is_session = !is_served(address);
        int error;

        listener->loop = ferry_loop_new(&(ferry_loop_options){ .session = &session });
        signals_watch(listener->loop, 1, interrupt, listener);
        if (is_session) {
                listener->session = ferry_session_open(listener->loop, address, NULL);
                ferry_session_on(listener->session, messages, take, listener);
                ferry_session_on(listener->session, asides, show_aside, listener);
        } else {
                listener->service = ferry_service_open(listener->loop, address, &service);
                ferry_service_on(listener->service, messages, take, listener);
                ferry_service_on(listener->service, asides, show_aside, listener);
        }
        if ((is_session ? ferry_session_status(listener->session) : ferry_service_status(listener->service)) == 1) {
                if (listener->options->is_verbose)
                        fprintf(stderr, "ferry: listening at %s\n",
                                is_session ? address : ferry_service_address(listener->service));
                run_until_over(listener);
        }
        error = is_session ? ferry_session_status(listener->session) : ferry_service_status(listener->service);
        if (error < 0)
                complain("%s", is_session ? ferry_session_error(listener->session) :
                                            ferry_service_error(listener->service));
        ferry_loop_free(listener->loop);
        return error < 0 && !signals_received() ? EXIT_CONNECTION : output_status(EXIT_DONE);
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        struct listener listener = { .options = options, .left = options->count };
        int status;

        (void)count;
        if (options->is_echo + (options->reply != NULL) + (options->exec != NULL) > 1) {
                complain("--echo, --reply and --exec exclude each other");
                return EXIT_USAGE;
        }
        status = is_served(arguments[0]) ? check_address(arguments[0]) : check_session(arguments[0], options);
        if (status)
                return status;
        if (options->reply) {
                listener.reply = body_read(options->reply, options->is_value, &status);
                if (!listener.reply)
                        return status;
        }
        listener.is_quiet = ferry_address_scheme(arguments[0]) == FERRY_SCHEME_STDIO;
        status = serve(&listener, arguments[0]);
        ferry_value_unref(listener.reply);
        return status;
}

const struct cli_command command_listen = {
        .name = "listen",
        .arguments = "ADDRESS",
        .summary = "print each message, answer requests",
        .options = (const char *const[]){ "echo", "reply", "exec", "count", "public", "dialect", "codec", "namespace",
                                          "json", "value", "verbose", NULL },
        .least = 1,
        .most = 1,
        .run = run,
};
