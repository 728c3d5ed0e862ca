#include "exchange.h"
#include "result.h"
#include "samples.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20, REFERENCES = 2 };

const char *const placement_names[PLACEMENT_COUNT] = { "one", "two", "any" };
static const char *const placement_titles[PLACEMENT_COUNT] = { "both on one CPU", "each on its own CPU", "not pinned" };

/* Each other contestant is compared with these, which are measured if they are there. */
static const char *const references[REFERENCES] = { "ferry-unix", "ferry-ring" };

enum { ONE = 1 << PLACEMENT_ONE, TWO = 1 << PLACEMENT_TWO };

/* What a subject is to reach. Against its floor: as a ratio of rates at least, of times at most. Against another one: how many
 * times as fast it is to be, at least. */
static const struct target {
        const char *work, *subject, *other;     /* NULL: its floor */
        unsigned placements;
        double ratio;
} targets[] = {
        { "round-trip", "ferry-unix", NULL, ONE, 1.25 },
        { "round-trip", "ferry-unix", NULL, TWO, 1.15 },
        { "round-trip", "ferry-unix", "libqb-socket", ONE | TWO, 1.1 },
        { "round-trip", "ferry-ring", NULL, ONE, 1.25 },
        { "round-trip", "ferry-ring", NULL, TWO, 2 },
        { "round-trip", "ferry-ring-asleep", NULL, ONE | TWO, 1.25 },
        { "round-trip", "ferry-ring", "libqb-shm", ONE, 1.5 },
        { "round-trip", "ferry-ring", "libqb-shm", TWO, 10 },
        { "round-trip", "ferry-nats", NULL, ONE | TWO, 1.1 },
        { "round-trip", "ferry-ssh", NULL, ONE | TWO, 1.15 },
        { "in-flight-32", "ferry-unix", NULL, ONE | TWO, 3 },
        { "tasks", "ferry-nats", NULL, ONE | TWO, 0.9 },
        { "one-way", "ferry-unix", NULL, ONE | TWO, 5 },
        { "one-way", "ferry-ring", NULL, ONE | TWO, 0.6 },
        { "one-way", "ferry-ring", "floor-unix", ONE | TWO, 5 },
        { "lone", "ferry-unix", NULL, ONE | TWO, 1.1 },
        { "one-way-1m", "ferry-unix", NULL, ONE | TWO, 0.9 },
        { "one-way-1m", "ferry-ring", NULL, ONE | TWO, 0.9 },
        { "fan-in-1", "ferry-unix", NULL, ONE | TWO, 0.85 },
        { "fan-in-4", "ferry-unix", NULL, ONE | TWO, 0.85 },
        { "fan-in-16", "ferry-unix", NULL, ONE | TWO, 0.85 },
        { "fan-in-64", "ferry-unix", NULL, ONE | TWO, 0.85 },
        { "fan-in-1000", "ferry-unix", NULL, ONE | TWO, 0.85 },
};

/* A contestant in one placement. */
struct entry {
        const struct contestant *contestant;
        struct pair pair;
        bool is_running;
        double *samples;
        size_t sample_count;
        double *medians;        /* of the blocks */
        double cpu_time;
        unsigned long same_cpu, looked;
};

static bool takes_part(const struct contestant *contestant, const struct work *work, enum placement placement)
{
        return contestant->works & 1U << work->kind && !(contestant->needs_two && placement != PLACEMENT_TWO) &&
               !(contestant->body_max && work->body > contestant->body_max) &&
               !(contestant->clients_max && work->kind == WORK_FAN_IN && work->clients > contestant->clients_max);
}

/* Each pair has a folder of its own, which is left to be removed with @folder. */
static bool start(struct entry *entry, const struct work *work, enum placement placement, const char *folder)
{
        char path[256];

        snprintf(path, sizeof path, "%s/%s-%s-%s", folder, entry->contestant->name, work->name, placement_names[placement]);
        if (mkdir(path, 0700) < 0)
                err(1, "%s", path);
        return pair_start(&entry->pair, entry->contestant, work, placement, path, NULL);
}

static void fail(struct entry *entry, const struct work *work, enum placement placement)
{
        if (!stop_signal)
                warnx("%s: %s (%s) has failed", work->name, entry->contestant->name, placement_titles[placement]);
        entry->is_running = false;
        pair_stop(&entry->pair);
}

/* A block; the one before the first only warms up. */
static bool measure(struct entry *entry, size_t count, int block)
{
        double *samples = entry->samples + entry->sample_count, cpu_time = pair_cpu_time(&entry->pair);

        if (!pair_measure(&entry->pair, samples, count))
                return false;
        if (block < 0) {
                atomic_store(&entry->pair.shared->samples, 0);
                atomic_store(&entry->pair.shared->same_cpu, 0);
                return true;
        }
        entry->cpu_time += pair_cpu_time(&entry->pair) - cpu_time;
        entry->medians[block] = median_of(samples, count);
        entry->sample_count += count;
        return true;
}

/* The first library changes from block to block, so that none always finds the same contents in the caches. */
static int measure_all(struct entry *entries, size_t count, const struct work *work, enum placement placement, int rounds,
                       size_t samples)
{
        int failures = 0;

        for (int block = -1; block < rounds && !stop_signal; block++)
                for (size_t i = 0; i < count; i++) {
                        struct entry *entry = &entries[(i + (size_t)(block + 1)) % count];

                        if (entry->is_running && !measure(entry, samples, block)) {
                                fail(entry, work, placement);
                                failures++;
                        }
                }
        return failures;
}

/* Printing ----------------------------------------------------------------------------------------------- */

static const struct entry *find(const struct entry *entries, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (entries[i].is_running && strcmp(entries[i].contestant->name, name) == 0)
                        return &entries[i];
        return NULL;
}

/* The ratios block by block: of what was measured right after each other. */
static struct spread ratio_of(const struct entry *a, const struct entry *b, int rounds)
{
        double *ratios;
        struct spread spread;

        if (!a || !b)
                return (struct spread){ 0 };
        ratios = allocate((size_t)rounds * sizeof *ratios);
        for (int i = 0; i < rounds; i++)
                ratios[i] = a->medians[i] / b->medians[i];
        spread = spread_of(ratios, (size_t)rounds);
        free(ratios);
        return spread;
}

static const char *unit_of(const struct work *work)
{
        return work->kind == WORK_IDLE ? "bytes" : !work->is_rate ? "us" : work->body >= MIB ? "MiB/s" : "messages/s";
}

/* In that unit. */
static double value_of(const struct work *work, double sample)
{
        if (work->kind == WORK_IDLE)
                return sample;
        if (!work->is_rate)
                return sample / 1e3;
        return 1e9 / sample * (work->body >= MIB ? (double)work->body / MIB : 1);
}

static void print_spread(const struct spread *spread)
{
        if (spread->blocks)
                printf("  %7.2f (%.2f-%.2f)", spread->median, spread->low, spread->high);
        else
                printf("  %20s", "");
}

/* @other is NULL for the floor. */
static void print_target(const struct work *work, enum placement placement, const char *subject, const char *other, double ratio)
{
        bool is_least = work->is_rate || other;

        for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
                const struct target *target = &targets[i];

                if (strcmp(target->work, work->name) == 0 && strcmp(target->subject, subject) == 0 &&
                    target->placements & 1U << placement && !target->other == !other &&
                    (!other || strcmp(target->other, other) == 0))
                        printf("  target: %s %.2f %s", is_least ? ">=" : "<=", target->ratio,
                               (is_least ? ratio >= target->ratio : ratio <= target->ratio) ? "met" : "MISSED");
        }
}

/* The first of the floors of a subject that was measured. */
static const struct entry *find_floor(const struct entry *entries, size_t count, const char *floors)
{
        const struct entry *floor = NULL;
        char *copy = strdup(floors), *rest = copy, *name;

        while (!floor && (name = strsep(&rest, ",")))
                floor = find(entries, count, name);
        free(copy);
        return floor;
}

static void add_figures(const struct work *work, enum placement placement, const struct entry *entry, double p50, double p99,
                        double cpu, double ratio)
{
        const char *subject = entry->contestant->name, *place = placement_names[placement];
        char name[48];

        result_add(work->name, place, subject, value_of(work, p50), unit_of(work), ratio);
        if (work->kind == WORK_IDLE)
                return;
        if (!work->is_rate) {
                snprintf(name, sizeof name, "%s/p99", work->name);
                result_add(name, place, subject, p99 / 1e3, "us", 0);
        }
        if (cpu > 0) {
                snprintf(name, sizeof name, "%s/cpu", work->name);
                result_add(name, place, subject, cpu / 1e3, "us", 0);
        }
        if (placement == PLACEMENT_ANY && entry->looked > 0) {
                snprintf(name, sizeof name, "%s/same-cpu", work->name);
                result_add(name, place, subject, 100 * (double)entry->same_cpu / (double)entry->looked, "%", 0);
        }
}

static void print_entry(const struct work *work, enum placement placement, const struct entry *entry,
                        const struct entry *entries, size_t count, int rounds)
{
        const struct contestant *contestant = entry->contestant;
        const struct entry *floor = find_floor(entries, count, contestant->floors);
        struct spread ratio = work->is_rate ? ratio_of(floor, entry, rounds) : ratio_of(entry, floor, rounds);
        /* The median of the blocks' medians, as the ratios are medians of ratios of these. */
        double p50 = median_of(entry->medians, (size_t)rounds), p99 = percentile(entry->samples, entry->sample_count, 0.99);
        double cpu = work->kind == WORK_SPAWN || work->kind == WORK_TASKS || work->kind == WORK_IDLE ? 0 :
                     entry->cpu_time / (double)(entry->sample_count * work->batch);

        if (floor == entry)
                ratio.blocks = 0;
        printf("  %-16s %12.*f", contestant->name, work->is_rate ? 0 : 2, value_of(work, p50));
        if (work->is_rate || work->kind == WORK_IDLE)
                printf(" %9s", "");
        else
                printf(" %9.2f", p99 / 1e3);
        if (cpu > 0)
                printf(" %9.2f", cpu / 1e3);
        else
                printf(" %9s", "");
        print_spread(&ratio);
        for (int i = 0; i < REFERENCES; i++) {
                const struct entry *reference = find(entries, count, references[i]);
                struct spread faster = { 0 };

                if (!reference)
                        continue;
                if (strncmp(contestant->name, "ferry", 5) != 0)
                        faster = ratio_of(entry, reference, rounds);
                print_spread(&faster);
                if (faster.blocks) {
                        char name[48];

                        snprintf(name, sizeof name, "%s/%s", work->name, references[i]);
                        result_add(name, placement_names[placement], contestant->name, faster.median, "times", 0);
                        print_target(work, placement, references[i], contestant->name, faster.median);
                }
        }
        if (ratio.blocks)
                print_target(work, placement, contestant->name, NULL, ratio.median);
        if (placement == PLACEMENT_ANY && entry->looked > 0)
                printf("  one CPU: %lu%%", entry->same_cpu * 100 / entry->looked);
        printf("\n");
        add_figures(work, placement, entry, p50, p99, cpu, ratio.blocks ? ratio.median : floor ? 1 : 0);
}

static void print_table(const struct work *work, enum placement placement, const struct entry *entries, size_t count, int rounds)
{
        printf("\n%s; %s\n  %-16s %12s %9s %9s  %20s", work->title, placement_titles[placement], work->name, unit_of(work),
               work->is_rate || work->kind == WORK_IDLE ? "" : "p99", "CPU us", work->is_rate ? "rate / floor's" : "time / floor's");
        for (int i = 0; i < REFERENCES; i++)
                if (find(entries, count, references[i]))
                        printf("  %17s is", references[i]);
        printf("\n");
        for (size_t i = 0; i < count; i++)
                if (entries[i].is_running)
                        print_entry(work, placement, &entries[i], entries, count, rounds);
        fflush(stdout);
}

/* Running ------------------------------------------------------------------------------------------------ */

static int run_placement(const struct work *work, enum placement placement, const struct contestant *contestants, size_t count,
                         const struct exchange_options *options)
{
        struct entry *entries = allocate(count * sizeof *entries);
        size_t samples = options->is_quick ? (work->samples + 49) / 50 : work->samples, entry_count = 0;
        int failures = 0;

        for (size_t i = 0; i < count; i++) {
                struct entry *entry = &entries[entry_count];

                if (!takes_part(&contestants[i], work, placement))
                        continue;
                entry_count++;
                entry->contestant = &contestants[i];
                entry->samples = allocate(samples * (size_t)options->rounds * sizeof(double));
                entry->medians = allocate((size_t)options->rounds * sizeof(double));
                entry->is_running = start(entry, work, placement, options->folder);
                failures += !entry->is_running;
        }
        if (entry_count > 0) {
                failures += measure_all(entries, entry_count, work, placement, options->rounds, samples);
                for (size_t i = 0; i < entry_count; i++)
                        if (entries[i].is_running) {
                                entries[i].looked = atomic_load(&entries[i].pair.shared->samples);
                                entries[i].same_cpu = atomic_load(&entries[i].pair.shared->same_cpu);
                        }
                if (!stop_signal)
                        print_table(work, placement, entries, entry_count, options->rounds);
        }
        for (size_t i = 0; i < entry_count; i++) {
                if (entries[i].is_running)
                        pair_stop(&entries[i].pair);
                free(entries[i].samples);
                free(entries[i].medians);
        }
        free(entries);
        return failures;
}

int exchange_run(const struct work *work, const struct contestant *contestants, size_t count,
                 const struct exchange_options *options)
{
        int failures = 0;

        for (int i = 0; i < PLACEMENT_COUNT; i++)
                /* A client's heap does not depend on the CPU. */
                if (!stop_signal && options->placements & 1U << i && !(work->kind == WORK_IDLE && i != PLACEMENT_ONE))
                        failures += run_placement(work, (enum placement)i, contestants, count, options);
        return failures;
}
