/* ferry ipcs: the objects that the kernel keeps for the user, and removing them. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const struct column columns[] = {
        { "kind", "kind" }, { "address", "address" }, { "uid", "owner" }, { "mode", "mode" }, { "size", "size" },
        { "size_max", "max" }, { "records", "records" }, { "last_user", "last_user" }, { "age", "age" }, { "mark", "mark" },
};

/* Seconds, in the largest unit of which there are two or more. */
static void fill_age(FILE *cell, int64_t age)
{
        if (age < 120)
                fprintf(cell, "%llds", (long long)age);
        else if (age < 7200)
                fprintf(cell, "%lldm", (long long)age / 60);
        else if (age < 172800)
                fprintf(cell, "%lldh", (long long)age / 3600);
        else
                fprintf(cell, "%lldd", (long long)age / 86400);
}

static void fill(FILE *cell, const ferry_value *object, const char *key)
{
        const ferry_value *value = ferry_value_get(object, key);
        bool is_number = ferry_value_kind(value) == FERRY_VALUE_INT;

        if (strcmp(key, "uid") == 0)
                table_fill_user(cell, object, key);
        else if (strcmp(key, "mode") == 0 && is_number)
                fprintf(cell, "%04llo", (unsigned long long)ferry_value_int(value, 0));
        else if (strcmp(key, "age") == 0 && is_number)
                fill_age(cell, ferry_value_int(value, 0));
        else
                table_fill(cell, object, key);
}

static const char *removal_reason(int error)
{
        switch (error) {
        case -EINVAL:
                return "it is not an address of such an object, as the column address shows them";
        case -ENOENT:
                return "there is no such object";
        case -EPERM:
                return "it belongs to another user";
        case -EBUSY:
                return "its owner lives";
        case -ENOTSUP:
                return "the file there is of another kind";
        default:
                return strerror(-error);
        }
}

/* A socket goes with its lock, so of several in a list the second may be gone already: @is_goal. */
static bool remove_object(const char *address, bool is_goal, const struct cli_options *options)
{
        int error = ferry_ipc_remove(address);
        bool is_removed = error == 0 || (is_goal && error == -ENOENT);
        FERRY_AUTO(ferry_value) result = NULL;

        if (!is_removed)
                complain("cannot remove '%s': %s", address, removal_reason(error));
        if (options->is_json) {
                result = ferry_value_pack("{address: %s, removed: %hhd, error: %s}", address, is_removed,
                                          is_removed ? NULL : removal_reason(error));
                print_value(result, options, true);
        } else if (is_removed)
                print_formatted("removed %s\n", address);
        return is_removed;
}

/* A list without POSIX queues is complete for the rest: @ret_is_partial. NULL: the exit status of a complaint. */
static ferry_value *list_objects(int *ret_status, bool *ret_is_partial)
{
        ferry_value *objects = NULL;
        int error = ferry_ipc_list(&objects);

        *ret_status = EXIT_DONE;
        *ret_is_partial = error == -ENOTSUP && objects;
        if (error < 0 && !*ret_is_partial) {
                complain("cannot list the objects of the user: %s", strerror(-error));
                *ret_status = exit_status_of(error);
        }
        return objects;
}

static int print_objects(const struct cli_options *options)
{
        bool is_partial;
        int status;
        FERRY_AUTO(ferry_value) objects = list_objects(&status, &is_partial);

        if (status)
                return status;
        if (is_partial)
                complain("POSIX queues are not listed: no mqueue file system is mounted at /dev/mqueue;"
                         " as root: mount -t mqueue none /dev/mqueue");
        if (!options->is_json)
                return table_print(objects, columns, sizeof columns / sizeof *columns, fill);
        table_print_json(objects, options);
        return EXIT_DONE;
}

static int remove_stale(const struct cli_options *options)
{
        bool is_partial;
        int status;
        FERRY_AUTO(ferry_value) objects = list_objects(&status, &is_partial);

        for (size_t i = 0; i < ferry_value_count(objects); i++) {
                const ferry_value *object = ferry_value_at(objects, i);

                if (strcmp(ferry_value_text(ferry_value_get(object, "mark"), ""), "stale") == 0 &&
                    !remove_object(ferry_value_text(ferry_value_get(object, "address"), ""), true,
                                   options))
                        status = EXIT_ANSWERED_ERROR;
        }
        return status;
}

static int remove_objects(char **addresses, int count, const struct cli_options *options)
{
        int status = EXIT_DONE;

        for (int i = 0; i < count; i++)
                if (!remove_object(addresses[i], false, options))
                        status = EXIT_ANSWERED_ERROR;
        return status;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        if (options->is_removing && options->is_removing_stale)
                complain("--remove and --remove-stale exclude each other");
        else if (options->is_removing && count == 0)
                complain("--remove needs addresses, as the column address shows them");
        else if (!options->is_removing && count > 0)
                complain("ipcs needs --remove before '%s'", arguments[0]);
        else
                return options->is_removing       ? remove_objects(arguments, count, options) :
                       options->is_removing_stale ? remove_stale(options) :
                                                    print_objects(options);
        return EXIT_USAGE;
}

const struct cli_command command_ipcs = {
        .name = "ipcs",
        .arguments = "[--remove ID...]",
        .summary = "print the objects that the kernel keeps for the user, or remove them",
        .options = (const char *const[]){ "json", "remove", "remove-stale", NULL },
        .least = 0,
        .most = INT_MAX,
        .run = run,
};
