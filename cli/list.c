/* ferry list: the services that live, as a table, or one JSON object a line. */
#include "cli.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COLUMNS = 7, CELL_MAX = 160 };

typedef char row[COLUMNS][CELL_MAX];

static const char *const keys[COLUMNS] = { "name", "pid", "uid", "dialects", "since", "busy", "address" };

/* What is not known is a dash. */
static void fill(char cell[CELL_MAX], const ferry_value *service, const char *key)
{
        const ferry_value *value = ferry_value_get(service, key);
        time_t since = (time_t)ferry_value_int(value, 0);
        const struct passwd *user;
        size_t used = 0;
        struct tm local;

        snprintf(cell, CELL_MAX, "-");
        if (strcmp(key, "since") == 0 && since > 0 && localtime_r(&since, &local))
                strftime(cell, CELL_MAX, "%Y-%m-%dT%H:%M:%S%z", &local);
        else if (strcmp(key, "uid") == 0 && (user = getpwuid((uid_t)ferry_value_int(value, -1))))
                snprintf(cell, CELL_MAX, "%s", user->pw_name);
        else if (ferry_value_kind(value) == FERRY_VALUE_INT)
                snprintf(cell, CELL_MAX, "%lld", (long long)ferry_value_int(value, 0));
        else if (ferry_value_kind(value) == FERRY_VALUE_BOOL)
                snprintf(cell, CELL_MAX, "%s", ferry_value_bool(value, false) ? "yes" : "no");
        else if (ferry_value_kind(value) == FERRY_VALUE_STRING)
                snprintf(cell, CELL_MAX, "%s", ferry_value_text(value, ""));
        for (size_t i = 0; i < ferry_value_count(value) && used < CELL_MAX; i++)
                used += (size_t)snprintf(cell + used, CELL_MAX - used, "%s%s", i > 0 ? "," : "",
                                         ferry_value_text(ferry_value_at(value, i), ""));
}

/* As wide as its widest cell is each column, but for the last one. */
static int print_table(const ferry_value *services)
{
        size_t count = ferry_value_count(services) + 1;
        row *rows = calloc(count, sizeof *rows);
        int widths[COLUMNS] = { 0 };

        if (!rows) {
                complain("no memory for the table");
                return EXIT_CONNECTION;
        }
        for (size_t i = 0; i < count; i++)
                for (int column = 0; column < COLUMNS; column++) {
                        char *cell = rows[i][column];

                        if (i > 0)
                                fill(cell, ferry_value_at(services, i - 1), keys[column]);
                        else
                                snprintf(cell, CELL_MAX, "%s", keys[column]);
                        if ((int)strlen(cell) > widths[column])
                                widths[column] = (int)strlen(cell);
                }
        widths[COLUMNS - 1] = 0;
        for (size_t i = 0; count > 1 && i < count; i++)
                for (int column = 0; column < COLUMNS; column++)
                        printf("%-*s%s", widths[column], rows[i][column], column < COLUMNS - 1 ? "  " : "\n");
        free(rows);
        return EXIT_DONE;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        FERRY_AUTO(ferry_value) services = ferry_service_list(loop);
        int status = EXIT_DONE;

        (void)arguments, (void)count;
        if (!services) {
                complain("the services cannot be listed: no memory or no descriptors are left");
                return EXIT_CONNECTION;
        }
        for (size_t i = 0; options->is_json && i < ferry_value_count(services); i++)
                ferry_value_dump(ferry_value_at(services, i), stdout);
        if (!options->is_json)
                status = print_table(services);
        flush_output();
        return output_status(status);
}

const struct cli_command command_list = {
        .name = "list",
        .arguments = "",
        .summary = "print the services that live",
        .options = (const char *const[]){ "json", NULL },
        .least = 0,
        .most = 0,
        .run = run,
};
