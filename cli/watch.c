/* ferry watch: subscribe to a service, and print the notifications that come. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int show_aside(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        print_aside(message, userdata);
        return 0;
}

/* The service has gone, or is there again: stdout does not show that something may be missing. */
static int report_connection(ferry_session *session, const ferry_message *message, void *userdata)
{
        const char *address = userdata;

        (void)session;
        if (ferry_message_kind(message) == FERRY_KIND_LOST)
                complain("lost '%s', and connecting again: %s", address, ferry_message_text(message));
        else
                complain("connected to '%s' again", address);
        return 0;
}

static int interrupt(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ferry_session_close(userdata);
        return 0;
}

/* TYPE BODY, or a line of JSON. False: stdout takes no more. */
static bool print_notification(const ferry_message *message, const struct cli_options *options)
{
        FERRY_AUTO(ferry_value) line = body_line(message, options, 0);
        const char *type = ferry_message_type(message), *bytes;
        size_t type_size = options->is_json ? 0 : strlen(type), size = 0, used = 0;
        bool is_null = ferry_value_kind(ferry_message_body(message)) == FERRY_VALUE_NULL && !options->is_json;
        char *text;

        bytes = ferry_value_bytes(line, &size);
        text = bytes ? malloc(type_size + 1 + size) : NULL;
        if (!text) {
                output_fail(ENOMEM);
                return false;
        }
        memcpy(text, type, type_size);
        used = type_size;
        if (type_size > 0 && !is_null)
                text[used++] = ' ';
        if (is_null)
                text[used++] = '\n';
        else {
                memcpy(text + used, bytes, size);
                used += size;
        }
        print_bytes(text, used);
        free(text);
        return output_is_good();
}

/* Why no further notification comes. */
static int report_end(const ferry_session *session, const struct cli_options *options, const char *address, int error, long left)
{
        int status = ferry_session_status(session);

        if (signals_received())
                return EXIT_DONE;
        if (error == ETIMEDOUT && status == 1) {
                complain("'%s' has sent no notification within %g s", address, options->timeout_ms / 1000.0);
                return EXIT_TIMEOUT;
        }
        if (status < 0) {
                complain("%s", ferry_session_error(session));
                return exit_status_of(status);
        }
        if (left > 0) {
                complain("'%s' has ended %ld notification%s too early", address, left, left == 1 ? "" : "s");
                return EXIT_CONNECTION;
        }
        return EXIT_DONE;
}

static int watch(ferry_session *session, const struct cli_options *options, const char *address)
{
        int timeout_ms = options->has_timeout ? options->timeout_ms : -1;
        long left = options->count;
        const ferry_message *message;

        while ((message = ferry_session_next(session, timeout_ms))) {
                if (!print_notification(message, options))
                        return EXIT_DONE;
                if (left > 0 && --left == 0)
                        return EXIT_DONE;
        }
        return report_end(session, options, address, errno, left);
}

/* 0, or the exit status of a complaint. No pattern stands for all notifications. */
static int subscribe(ferry_session *session, char **patterns, int count)
{
        int error;

        /* They arrive together, so none comes too late for the first notifications. */
        ferry_session_hold(session);
        error = count == 0 ? ferry_session_subscribe(session, ">") : 0;
        for (int i = 0; i < count && !error; i++)
                error = ferry_session_subscribe(session, patterns[i]);
        if (!error)
                error = ferry_session_release(session);
        if (error)
                complain("%s", ferry_session_error(session));
        return exit_status_of(error);
}

static bool has_service(const char *address)
{
        int scheme = ferry_address_scheme(address);

        return scheme == FERRY_SCHEME_NAME || scheme == FERRY_SCHEME_UNIX || scheme == FERRY_SCHEME_TCP || scheme == FERRY_SCHEME_SSH;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        ferry_session_options session_option = session_options(options);
        ferry_session *session;
        ferry_loop *loop;
        int status = check_address(arguments[0]);

        if (status)
                return status;
        /* What could not be printed would be lost. */
        if (!output_is_open()) {
                complain("cannot print what '%s' sends: stdout is closed", arguments[0]);
                return EXIT_CONNECTION;
        }
        loop = ferry_loop_new(NULL);
        session_option.dialect = FERRY_DIALECT_FERRY;
        /* A command that has ended is not run again. */
        session_option.reconnect_ms = options->is_once || !has_service(arguments[0]) ? 0 : -1;
        error_limit_wait(options->has_timeout ? options->timeout_ms : -1);
        session = ferry_session_open(loop, arguments[0], &session_option);
        signals_watch(loop, 1, interrupt, session);
        ferry_session_on(session, FERRY_KIND_NOTIFICATION, NULL, NULL);
        ferry_session_on(session, FERRY_KIND_ERROR | FERRY_KIND_JUNK, show_aside, (void *)(uintptr_t)options);
        ferry_session_on(session, FERRY_KIND_LOST | FERRY_KIND_RESUMED, report_connection, arguments[0]);
        status = subscribe(session, arguments + 1, count - 1);
        if (!status)
                status = watch(session, options, arguments[0]);
        ferry_loop_free(loop);
        signals_raise();
        return status;
}

const struct cli_command command_watch = {
        .name = "watch",
        .arguments = "ADDRESS [PATTERN...]",
        .summary = "subscribe, and print the notifications that come",
        .options = (const char *const[]){ "count", "timeout", "wait", "json", "allow", "shm", "no-shm", "no-reconnect",
                                                NULL },
        .least = 1,
        .most = 1001,
        .run = run,
};
