/* ferry store: values in shared memory, and the lock that PHP's sem_get() makes. */
#include "cli.h"

#include <fcntl.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct job {
        const struct cli_options *options;
        const char *address;
        ferry_store *store;
        char **arguments;       /* behind the verb, up to a NULL */
        int64_t key;            /* of the first argument, if the verb has one and it is given */
        ferry_value *value;     /* of put */
};

/* No value, or a segment that is full, is no failure of the connection. */
static int complain_failure(const struct job *job, int error)
{
        complain("%s", ferry_store_error(job->store));
        return error == -ENOENT ? EXIT_ANSWERED_ERROR : error == -ENOSPC ? EXIT_REFUSED : exit_status_of(error);
}

static int get(struct job *job)
{
        FERRY_AUTO(ferry_value) value = NULL;
        int error = ferry_store_get(job->store, job->key, &value);

        if (error < 0)
                return complain_failure(job, error);
        print_value(value, job->options, false);
        return EXIT_DONE;
}

static int put(struct job *job)
{
        int error = ferry_store_put_value(job->store, job->key, job->value);

        return error < 0 ? complain_failure(job, error) : EXIT_DONE;
}

static int list(struct job *job)
{
        static const struct column columns[] = { { "key", "key" }, { "size", "size" }, { "offset", "offset" } };
        FERRY_AUTO(ferry_value) variables = NULL;
        int error = ferry_store_list(job->store, &variables);

        if (error < 0)
                return complain_failure(job, error);
        if (!job->options->is_json)
                return table_print(variables, columns, sizeof columns / sizeof *columns, table_fill);
        table_print_json(variables, job->options);
        return EXIT_DONE;
}

static int remove_value(struct job *job)
{
        int error = *job->arguments ? ferry_store_remove(job->store, job->key) : ferry_store_delete(job->store);

        return error < 0 ? complain_failure(job, error) : EXIT_DONE;
}

static void print_dropped(const ferry_value *chunk)
{
        const ferry_value *key = ferry_value_get(chunk, "key");

        char number[24] = "unknown";

        if (ferry_value_kind(key) == FERRY_VALUE_INT)
                snprintf(number, sizeof number, "%lld", (long long)ferry_value_int(key, 0));
        print_formatted("dropped %lld bytes at offset %lld, key %s: %s\n",
                        (long long)ferry_value_int(ferry_value_get(chunk, "size"), 0),
                        (long long)ferry_value_int(ferry_value_get(chunk, "offset"), 0), number,
                        ferry_value_text(ferry_value_get(chunk, "reason"), "reason unknown"));
}

static int repair(struct job *job)
{
        FERRY_AUTO(ferry_value) dropped = NULL;
        int error = ferry_store_repair(job->store, &dropped);

        if (error < 0)
                return complain_failure(job, error);
        if (job->options->is_json)
                table_print_json(dropped, job->options);
        for (size_t i = 0; !job->options->is_json && i < ferry_value_count(dropped); i++)
                print_dropped(ferry_value_at(dropped, i));
        return EXIT_DONE;
}

/* The lock belongs to the process, so COMMAND runs in this one. The kernel releases the lock when it ends. */
static int lock(struct job *job)
{
        int error = ferry_store_lock(job->store, job->options->timeout_ms);

        if (error < 0)
                return complain_failure(job, error);
        signals_restore();
        execvp(*job->arguments, job->arguments);
        error = errno;
        complain("cannot execute '%s': %s", *job->arguments, strerror(error));
        return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static const struct verb {
        const char *name;
        int least, most;        /* how many arguments follow */
        bool has_key;
        const char *usage;
        int (*run)(struct job *job);
} verbs[] = {
        { "get", 1, 1, true, "KEY", get },
        { "put", 2, 2, true, "KEY VALUE", put },
        { "list", 0, 0, false, "no argument", list },
        { "remove", 0, 1, true, "one KEY, or none to remove the segment", remove_value },
        { "lock", 1, INT_MAX, false, "a command after --", lock },
        { "repair", 0, 0, false, "no argument", repair },
};

enum { VERBS = sizeof verbs / sizeof *verbs };

static const struct verb *find_verb(const char *name, char **arguments, int count)
{
        for (size_t i = 0; i < VERBS; i++) {
                if (strcmp(verbs[i].name, name) != 0)
                        continue;
                if (verbs[i].run == lock && count > 0 && is_blank(arguments[0])) {
                        complain("store lock needs a COMMAND: '%s' is empty", arguments[0]);
                        return NULL;
                }
                if (count >= verbs[i].least && count <= verbs[i].most)
                        return &verbs[i];
                complain("store %s needs %s", name, verbs[i].usage);
                return NULL;
        }
        complain("store: '%s' is not get, put, list, remove, lock or repair", name);
        return NULL;
}

/* All arguments are checked before the store is opened. */
static int read_arguments(struct job *job, const struct verb *verb)
{
        int status = check_store(job->address);

        if (status)
                return status;
        if (verb->has_key && *job->arguments && !read_number("KEY", *job->arguments, INT64_MIN, INT64_MAX, &job->key))
                return EXIT_USAGE;
        if (verb->run == put)
                job->value = value_read("VALUE", job->arguments[1], job->options->is_value, &status);
        return verb->run == put && !job->value ? status : 0;
}

/* Whether the file of shm:PATH was missing, and is there now. The segment is made only by a put that fits. */
static bool make_key_file(const char *address)
{
        const char *path = address + strlen("shm:");
        int fd = *path == '#' ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

static int run_verb(struct job *job, const struct verb *verb)
{
        ferry_store_options options = {
                .bytes = (size_t)job->options->bytes,
                .mode = job->options->mode,
                /* Zero would be the default of the library. */
                .lock_timeout_ms = job->options->timeout_ms ? job->options->timeout_ms : 1,
                .is_strict = job->options->is_strict,
        };
        bool has_made = false;
        int error, status;

        job->store = ferry_store_open(job->address, &options);
        error = ferry_store_status(job->store);
        if (error == -ENOENT && verb->run == put && make_key_file(job->address)) {
                has_made = true;
                ferry_store_free(job->store);
                job->store = ferry_store_open(job->address, &options);
                error = ferry_store_status(job->store);
        }
        status = error < 0 ? complain_failure(job, error) : verb->run(job);
        /* A put that has failed leaves nothing behind. */
        if (has_made && status != EXIT_DONE)
                unlink(job->address + strlen("shm:"));
        return status;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        struct job job = { .options = options, .address = arguments[0], .arguments = arguments + 2 };
        const struct verb *verb = find_verb(arguments[1], arguments + 2, count - 2);
        int status = verb ? read_arguments(&job, verb) : EXIT_USAGE;

        if (status == 0)
                status = run_verb(&job, verb);
        ferry_store_free(job.store);
        ferry_value_unref(job.value);
        return status;
}

const struct cli_command command_store = {
        .name = "store",
        .arguments = "ADDRESS VERB [KEY [VALUE]]",
        .summary = "get, put, list, remove or repair values in shared memory; lock -- COMMAND",
        .options = (const char *const[]){ "json", "value", "size", "timeout", "mode", "strict", NULL },
        .least = 2,
        .most = INT_MAX,
        .run = run,
};
