/* ferry describe: what a service says of the types of messages that it takes, as a table, or one JSON object a line. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct column columns[] = { { "type", "type" }, { "in", "in" }, { "out", "out" }, { "text", "text" } };

static int show_aside(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        print_aside(message, userdata);
        return 0;
}

static int interrupt(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ferry_session_close(userdata);
        return 0;
}

static const char *text_at(const ferry_value *description, const char *key)
{
        return ferry_value_text(ferry_value_get(description, key), NULL);
}

/* The descriptions as we know them, whatever else the service has sent; the caller's, or NULL without memory. */
static ferry_value *tidy(const ferry_value *described)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *list = NULL;

        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (size_t i = 0; i < ferry_value_count(described); i++) {
                const ferry_value *description = ferry_value_at(described, i);

                if (text_at(description, "type"))
                        ferry_builder_add(builder, "{type: %s, in: %s, out: %s, text: %s}", text_at(description, "type"),
                                          text_at(description, "in"), text_at(description, "out"), text_at(description, "text"));
        }
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &list);
        return list;
}

static int print(const ferry_value *described, const struct cli_options *options)
{
        FERRY_AUTO(ferry_value) list = tidy(described);

        if (!list) {
                complain("no memory for the descriptions");
                return EXIT_CONNECTION;
        }
        if (!options->is_json)
                return table_print(list, columns, sizeof columns / sizeof *columns, table_fill);
        table_print_json(list, options);
        return EXIT_DONE;
}

bool describe_read(const char *text, struct cli_options *options)
{
        if (!strchr(text, '='))
                complain("--describe: write TYPE=TEXT, not '%s'", text);
        else if (!is_utf8(text, strlen(text)))
                complain("--describe: '%s' is not UTF-8", text);
        else if (options->described_count == DESCRIBED_MAX)
                complain("--describe: more than %d types", DESCRIBED_MAX);
        else {
                options->described[options->described_count++] = text;
                return true;
        }
        return false;
}

static int describe_type(ferry_service *service, const char *line)
{
        const char *text = strchr(line, '=');
        FERRY_AUTO(ferry_value) type = ferry_value_pack("%.*s", (int)(text - line), line);

        return type ? ferry_service_describe(service, ferry_value_text(type, ""), NULL, NULL, text + 1) : -ENOMEM;
}

int describe_service(ferry_service *service, const struct cli_options *options)
{
        int error = 0;

        for (size_t i = 0; i < options->described_count && !error; i++)
                error = describe_type(service, options->described[i]);
        /* A service that could not be opened says why by itself. */
        if (!error || ferry_service_status(service) < 0)
                return 0;
        complain("--describe: %s", error == -ENOSPC ? "all descriptions together would take more than 1 MiB" :
                                   error == -EINVAL ? "a TYPE has more than 65535 bytes" :
                                                      strerror(-error));
        return error == -ENOMEM ? EXIT_CONNECTION : EXIT_REFUSED;
}

static int describe(ferry_session *session, const struct cli_options *options)
{
        FERRY_AUTO(ferry_call) call = ferry_session_describe(session, FERRY_TIMEOUT_DEFAULT);
        const ferry_message *reply = ferry_call_await(call);

        if (signals_received())
                return EXIT_DONE;
        if (reply && ferry_value_kind(ferry_message_body(reply)) != FERRY_VALUE_LIST) {
                complain("'%s' has answered with something other than a list of descriptions", ferry_session_address(session));
                return EXIT_REFUSED;
        }
        if (reply)
                return print(ferry_message_body(reply), options);
        complain("%s", ferry_call_error(call));
        return exit_status_of(ferry_call_status(call));
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        ferry_session_options session_option = session_options(options);
        ferry_session *session;
        ferry_loop *loop;
        int status = check_address(arguments[0]);

        (void)count;
        if (status)
                return status;
        loop = ferry_loop_new(NULL);
        session_option.dialect = FERRY_DIALECT_FERRY;
        error_limit_wait(options->timeout_ms);
        session = ferry_session_open(loop, arguments[0], &session_option);
        signals_watch(loop, 1, interrupt, session);
        ferry_session_on(session, FERRY_KIND_ERROR | FERRY_KIND_JUNK, show_aside, (void *)(uintptr_t)options);
        status = describe(session, options);
        ferry_loop_free(loop);
        signals_raise();
        return status;
}

const struct cli_command command_describe = {
        .name = "describe",
        .arguments = "ADDRESS",
        .summary = "print which types of messages a service takes, as far as it says so",
        .options = (const char *const[]){ "json", "timeout", "wait", "allow", "shm", "no-shm", "remote-ferry", NULL },
        .least = 1,
        .most = 1,
        .run = run,
};
