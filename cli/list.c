/* ferry list: the services that live, as a table, or one JSON object a line. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct column columns[] = {
        { "name", "name" }, { "pid", "pid" }, { "uid", "uid" }, { "dialects", "dialects" }, { "since", "since" },
        { "busy", "busy" }, { "address", "address" },
};

static void fill(FILE *cell, const ferry_value *service, const char *key)
{
        time_t since = (time_t)ferry_value_int(ferry_value_get(service, "since"), 0);
        char text[64];
        struct tm local;

        if (strcmp(key, "since") == 0 && since > 0 && localtime_r(&since, &local) &&
            strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &local) > 0)
                fputs(text, cell);
        else if (strcmp(key, "uid") == 0)
                table_fill_user(cell, service, key);
        else
                table_fill(cell, service, key);
}

static int print(const ferry_value *services, const struct cli_options *options)
{
        if (!options->is_json)
                return table_print(services, columns, sizeof columns / sizeof *columns, fill);
        table_print_json(services, options);
        return EXIT_DONE;
}

static int list_here(const struct cli_options *options)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        FERRY_AUTO(ferry_value) services = ferry_service_list(loop);
        int status;

        if (!services) {
                complain("cannot list the services: no memory or no descriptors are left");
                return EXIT_CONNECTION;
        }
        status = print(services, options);
        /* Whatever the name. */
        if (status == EXIT_DONE && ferry_service_wait(loop, "any", FERRY_DIALECT_AUTO, 0) == -EACCES) {
                complain("cannot list the services of this user: their directory is not safe, or cannot be read; it must belong to"
                         " this user, with the mode 0700 (FERRY_DIR names another)");
                status = EXIT_CONNECTION;
        }
        return status;
}

/* What came before a failure is printed, too. */
static int list_there(const struct cli_options *options)
{
        FERRY_AUTO(ferry_value) services = NULL;
        int status, printed = EXIT_DONE;

        if (!remote_check_host(options->on))
                return EXIT_USAGE;
        status = remote_list(options->on, options, &services);
        if (services)
                printed = print(services, options);
        return status ? status : printed;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        if (count > 0 && strcmp(arguments[0], "nats:") != 0) {
                complain("list takes no address but 'nats:', for the services of a NATS server and its cluster: not '%s'", arguments[0]);
                return EXIT_USAGE;
        }
        if (count > 0)
                return cluster_list(options);
        return options->on ? list_there(options) : list_here(options);
}

const struct cli_command command_list = {
        .name = "list",
        .arguments = "[nats:]",
        .summary = "print the services that live",
        .options = (const char *const[]){ "json", "on", "remote-ferry", "timeout", "wait", NULL },
        .least = 0,
        .most = 1,
        .run = run,
};
