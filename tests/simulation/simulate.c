/* Callers and workers over a cluster of NATS servers, all in memory, on a clock of its own: what comes of each task, how long tasks
 * wait, and how much work is lost. The same options with the same seed give the same run.
 *
 *   simulate [--OPTION NUMBER…]
 *
 * Exits with 1 if a rule was broken. The options and what they are without being given stand in the table below. */
#include "simulation/programs.h"

#include "simulation/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct simulation options = {
        .seed = 1, .tasks = 10000, .workers = 50, .hosts = 5, .callers = 4, .servers = 3, .in_flight = 30, .work_least = 1,
        .work_most = 40, .timeout = 5000, .patience = 20000, .worker_death_mean = 20000, .host_death_mean = 60000, .cut_mean = 20000,
        .server_death_mean = 60000, .server_end_mean = 60000, .silence_most = 3000, .late = 1000, .room = 16384, .rest = 500, .beat = 500, .reconnect = 100000000,
        .places = 1, .requests_max = 1024, .busy = 5000, .wait = 1000,
};

static const struct {
        const char *name;
        unsigned *number;
        int *time;
        const char *meaning;
} names[] = {
        { "workers", &options.workers, NULL, "processes that work, one task at a time each" },
        { "hosts", &options.hosts, NULL, "machines, over which they are spread" },
        { "callers", &options.callers, NULL, "processes that give tasks away" },
        { "servers", &options.servers, NULL, "of the cluster" },
        { "in-flight", &options.in_flight, NULL, "tasks that are given away at one time" },
        { "work-least", NULL, &options.work_least, "ms for one task, at least" },
        { "work-most", NULL, &options.work_most, "ms for one task, at most" },
        { "timeout", NULL, &options.timeout, "ms of a request" },
        { "beat", NULL, &options.beat, "ms between two reports of a worker that it works (heartbeat_ms)" },
        { "reconnect", NULL, &options.reconnect, "ms for which sessions connect again; 0: new ones are opened" },
        { "patience", NULL, &options.patience, "ms for which a task that was not executed is given away again" },
        { "worker-deaths", NULL, &options.worker_death_mean, "mean ms between two deaths of one worker; 0: never" },
        { "host-deaths", NULL, &options.host_death_mean, "mean ms between two deaths of one machine" },
        { "cuts", NULL, &options.cut_mean, "mean ms between two losses of one connection" },
        { "server-deaths", NULL, &options.server_death_mean, "mean ms between two deaths of one server" },
        { "server-ends", NULL, &options.server_end_mean, "mean ms between two orderly ends of one server" },
        { "silence", NULL, &options.silence_most, "ms until half of these are noticed, at most" },
        { "late", &options.late, NULL, "pieces in a million that take 200 ms longer, as those that TCP sends again" },
        { "room", NULL, &options.room, "bytes that a connection takes before it waits, at least; at most 16384" },
        { "places", &options.places, NULL, "tasks that a worker has in hand at one time" },
        { "leaving", NULL, &options.is_leaving, "1: a worker is not subscribed while all its places are taken" },
        { "pool", NULL, &options.is_pool, "1: callers give tasks to the pool of a manager (ferry_manager_connect())" },
        { "requests-max", &options.requests_max, NULL, "requests of a pool in flight" },
        { "busy", NULL, &options.busy, "ms that a pool waits while workers refuse all tasks (busy_timeout_ms)" },
        { "wait", NULL, &options.wait, "ms that a pool waits while there is no worker (wait_ms)" },
        { "queue", NULL, &options.queue, "ms that a task may wait in a pool (queue_timeout_ms); 0: for ever" },
        { "rest", NULL, &options.rest, "mean ms until what has died is started again" },
};

static _Noreturn void explain(void)
{
        fprintf(stderr, "usage: simulate [--seed N] [--tasks N] [--OPTION NUMBER]...\n");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                fprintf(stderr, "  --%-14s %-6d %s\n", names[i].name, names[i].time ? *names[i].time : (int)*names[i].number,
                        names[i].meaning);
        exit(2);
}

static void set(const char *name, const char *text)
{
        char *end;
        unsigned long long number = strtoull(text, &end, 10);

        if (*end || !*text || *text == '-' || strncmp(name, "--", 2) != 0)
                explain();
        if (strcmp(name, "--seed") == 0)
                options.seed = number;
        else if (strcmp(name, "--tasks") == 0 && number > 0 && number <= 100000000)
                options.tasks = (size_t)number;
        else {
                size_t i = 0;

                while (i < sizeof names / sizeof *names && strcmp(names[i].name, name + 2) != 0)
                        i++;
                if (i == sizeof names / sizeof *names || number > 1000000000 || (names[i].number && names[i].number != &options.late && number == 0))
                        explain();
                if (names[i].time)
                        *names[i].time = (int)number;
                else if (names[i].number)
                        *names[i].number = (unsigned)number;
        }
}

static void show_reason(enum ferry_outcome outcome, int status, size_t count, const char *sentence)
{
        static const char *const outcomes[] = { "pending", "replied", "not executed", "unknown" };

        printf("  %9zu requests %s%s%s%s\n", count, outcomes[outcome], status ? " (" : "", status ? strerror(-status) : "",
               status ? ")" : "");
        if (outcome != FERRY_OUTCOME_REPLIED)
                printf("            such as: %s\n", sentence);
}

int main(int argc, char **argv)
{
        struct simulation_figures figures;
        struct journal_counts counts;
        size_t broken;

        if (argc % 2 == 0)
                explain();
        for (int i = 1; i < argc; i += 2)
                set(argv[i], argv[i + 1]);
        if (options.work_most < options.work_least || options.hosts > options.workers || options.servers > 16 || options.room < 1 || options.room > 16384)
                explain();
        broken = simulate(&options, &figures);
        counts = journal_count();
        printf("seed %llu: %zu tasks in %.1f s: %zu done, %zu not executed, %zu unknown\n", (unsigned long long)options.seed,
               options.tasks, figures.seconds, counts.tasks[FERRY_OUTCOME_REPLIED], counts.tasks[FERRY_OUTCOME_NOT_EXECUTED],
               counts.tasks[FERRY_OUTCOME_UNKNOWN]);
        printf("requests: %.3f a task, %zu not executed, %zu refused by workers; unknown after %.0f ms\n",
               (double)(counts.attempts[FERRY_OUTCOME_REPLIED] + counts.attempts[FERRY_OUTCOME_NOT_EXECUTED] +
                        counts.attempts[FERRY_OUTCOME_UNKNOWN]) / (double)options.tasks,
               counts.attempts[FERRY_OUTCOME_NOT_EXECUTED], figures.refusals, figures.unknown_mean);
        printf("waiting: mean %.2f ms, 99 of 100 within %.1f ms; work without an answer: %.4f %%\n", figures.wait_mean,
               figures.wait_99, 100 * figures.lost_work);
        printf("deaths: %u workers, %u hosts, %u servers; %llu connections cut; memory of the library: at most %zu KiB, idle %zu KiB\n",
               figures.worker_deaths, figures.host_deaths, figures.server_deaths, (unsigned long long)kernel_counts.cuts,
               figures.memory_peak / 1024, figures.memory_idle / 1024);
        journal_reasons(show_reason);
        printf("rules broken: %zu\n", broken);
        return broken > 0;
}
