/* ferry list nats: the services of a NATS server and of all that it is connected to. One request asks them all; what comes until the
 * time is over is printed. The answers are those of strangers. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>

enum {
        TIMEOUT_MS = 500,
        ASK_MS = 10000,
        ASK_LEAST_MS = 1000,
        SERVICES_MAX = 10000,
        BYTES_MAX = 16 << 20,           /* of their answers */
};

static const struct column columns[] = {
        { "name", "name" }, { "id", "id" }, { "version", "version" }, { "host", "host" }, { "subjects", "subjects" },
};

struct cluster {
        ferry_value **services;
        size_t count, bytes;
        size_t wrong;                   /* answers that describe no service */
        size_t left_out;                /* and those for which there was no room */
        bool is_over;
};

static int take(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct cluster *cluster = userdata;
        size_t size = 0;
        const char *bytes = ferry_value_bytes(ferry_message_body(message), &size);
        ferry_value *service = NULL;
        int code = bytes ? instance_read(bytes, size, &service) : -EBADMSG;

        (void)session;
        if (code == -EBADMSG)
                cluster->wrong++;
        else if (code || cluster->count == SERVICES_MAX || size > BYTES_MAX - cluster->bytes) {
                cluster->left_out++;
                ferry_value_unref(service);
        } else {
                cluster->bytes += size;
                cluster->services[cluster->count++] = service;
        }
        return 1;
}

static int stop_waiting(ferry_loop *loop, void *userdata)
{
        struct cluster *cluster = userdata;

        (void)loop;
        cluster->is_over = true;
        return 0;
}

static int compare(const void *a, const void *b)
{
        const ferry_value *const *x = a, *const *y = b;

        return instance_compare(*x, *y);
}

static void fill(FILE *cell, const ferry_value *service, const char *key)
{
        const ferry_value *value = ferry_value_get(service, key);

        if (ferry_value_kind(value) == FERRY_VALUE_NULL)
                putc('-', cell);
        else
                table_fill(cell, service, key);
}

static int print(struct cluster *cluster, const struct cli_options *options)
{
        FERRY_AUTO(ferry_value) services = NULL;
        ferry_builder *builder = ferry_builder_new();

        qsort(cluster->services, cluster->count, sizeof(ferry_value *), compare);
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        /* An instance may have answered more than once. */
        for (size_t i = 0; i < cluster->count; i++)
                if (i == 0 || instance_compare(cluster->services[i - 1], cluster->services[i]) != 0)
                        ferry_builder_add(builder, "%p", ferry_arg(cluster->services[i]));
        ferry_builder_close(builder);
        if (ferry_builder_finish(builder, &services) < 0) {
                complain("cannot list the services: no memory");
                return EXIT_CONNECTION;
        }
        if (cluster->wrong > 0)
                complain("%zu answer%s to $SRV.INFO %s no service", cluster->wrong, cluster->wrong == 1 ? "" : "s",
                         cluster->wrong == 1 ? "describes" : "describe");
        if (cluster->left_out > 0)
                complain("%zu more services have answered, for which there is no room or no memory", cluster->left_out);
        if (!options->is_json)
                return table_print(services, columns, sizeof columns / sizeof *columns, fill);
        table_print_json(services, options);
        return EXIT_DONE;
}

/* How long connecting, the login and the question may take: a short time for the answers is not meant for that. */
static int time_to_ask(const struct cli_options *options)
{
        if (!options->has_timeout)
                return ASK_MS;
        return options->timeout_ms >= 0 && options->timeout_ms < ASK_LEAST_MS ? ASK_LEAST_MS : options->timeout_ms;
}

int cluster_list(const struct cli_options *options)
{
        struct cluster cluster = { .services = calloc(SERVICES_MAX, sizeof(ferry_value *)) };
        ferry_session_options settings = session_options(options);
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_session *session;
        int error, status;

        if (!cluster.services || !loop) {
                complain("cannot list the services: no memory or no descriptors are left");
                free(cluster.services);
                return EXIT_CONNECTION;
        }
        settings.is_gathering = true;
        session = ferry_session_open(loop, "nats:$SRV.INFO", &settings);
        ferry_session_on(session, FERRY_KIND_NOTIFICATION, take, &cluster);
        ferry_session_notify(session, "", "''");
        error = ferry_session_flush(session, time_to_ask(options));
        if (error == 0) {
                ferry_loop_after(loop, options->has_timeout ? options->timeout_ms : TIMEOUT_MS, stop_waiting, &cluster);
                while (!cluster.is_over && ferry_session_status(session) == 1 && ferry_loop_tick(loop, -1) >= 0)
                        ;
        }
        if (ferry_session_status(session) < 0)
                error = ferry_session_status(session);
        if (error == -ETIMEDOUT && ferry_session_status(session) == 1)
                complain("cannot list the services: the NATS server has not taken the question within %g s", time_to_ask(options) / 1000.0);
        else if (error < 0)
                complain("cannot list the services: %s", ferry_session_error(session));
        status = print(&cluster, options);
        for (size_t i = 0; i < cluster.count; i++)
                ferry_value_unref(cluster.services[i]);
        free(cluster.services);
        return error < 0 ? exit_status_of(error) : status;
}
