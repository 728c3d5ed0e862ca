#include "instructions.h"
#include "result.h"
#include "samples.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FEW = 50, MANY = 250 };  /* messages; the difference of the two runs has no start and no end */

enum end_of_pair { CLIENT, SERVER };

static const char *const side_names[] = { "client", "server" };

/* -1: there is none. */
static double read_total(const char *path)
{
        FILE *stream = fopen(path, "r");
        char line[256];
        double total = -1;

        while (stream && total < 0 && fgets(line, sizeof line, stream))
                if (sscanf(line, "totals: %lf", &total) != 1)
                        total = -1;
        if (stream)
                fclose(stream);
        return total;
}

/* Instructions of a whole run of @count messages; -1: it has failed. */
static double count_run(const struct contestant *contestant, enum end_of_pair side, size_t count, const char *folder)
{
        char place[200], path[256];
        struct counting counting = { side == CLIENT ? path : NULL, side == SERVER ? path : NULL };
        double *samples;
        struct pair pair;
        bool is_done;

        snprintf(place, sizeof place, "%s/%s-%s-%zu", folder, contestant->name, side_names[side], count);
        snprintf(path, sizeof path, "%s/callgrind", place);
        if (mkdir(place, 0700) < 0)
                err(1, "%s", place);
        if (!pair_start(&pair, contestant, work_find("round-trip"), PLACEMENT_ONE, place, &counting))
                return -1;
        samples = allocate(count * sizeof *samples);
        is_done = pair_measure(&pair, samples, count);
        pair_stop(&pair);
        free(samples);
        return is_done ? read_total(path) : -1;
}

static double count_message(const struct contestant *contestant, enum end_of_pair side, const char *folder)
{
        double few = count_run(contestant, side, FEW, folder), many = few < 0 ? -1 : count_run(contestant, side, MANY, folder);

        return many < 0 ? -1 : (many - few) / (MANY - FEW);
}

static bool takes_part(const struct contestant *contestant)
{
        return contestant->works & 1U << WORK_ROUND_TRIP && !contestant->is_forking && !contestant->needs_two;
}

/* Of --quick only ferry and the floor: a count takes seconds. */
static bool is_skipped(const struct contestant *contestant, bool is_quick)
{
        return !takes_part(contestant) ||
               (is_quick && strcmp(contestant->name, "ferry-unix") != 0 && strcmp(contestant->name, "floor-unix") != 0);
}

int instructions_run(const struct contestant *contestants, size_t count, bool is_quick, const char *folder)
{
        int failures = 0;

        if (system("command -v valgrind >/dev/null 2>&1") != 0) {
                printf("\nvalgrind is not installed, so instructions are not counted\n");
                return 0;
        }
        printf("\ninstructions of a 64-byte request and answer, in the program and its libraries\n  %-16s %12s %12s\n",
               INSTRUCTIONS_WORK, side_names[CLIENT], side_names[SERVER]);
        for (size_t i = 0; i < count && !stop_signal; i++) {
                double counts[2];

                if (is_skipped(&contestants[i], is_quick))
                        continue;
                for (int side = CLIENT; side <= SERVER; side++) {
                        char work[48];

                        counts[side] = count_message(&contestants[i], (enum end_of_pair)side, folder);
                        snprintf(work, sizeof work, "%s/%s", INSTRUCTIONS_WORK, side_names[side]);
                        if (counts[side] >= 0)
                                result_add(work, "one", contestants[i].name, counts[side], "instructions", 0);
                }
                if (counts[CLIENT] < 0 || counts[SERVER] < 0) {
                        if (stop_signal)
                                break;
                        warnx("%s: %s cannot be counted", INSTRUCTIONS_WORK, contestants[i].name);
                        failures++;
                        continue;
                }
                printf("  %-16s %12.0f %12.0f\n", contestants[i].name, counts[CLIENT], counts[SERVER]);
                fflush(stdout);
        }
        return failures;
}
