/* Measures ferry against its floors and its peers: bench [OPTION …] [WORK …]. See docs/benchmarks.md. */
#include "channels.h"
#include "exchange.h"
#include "result.h"

#include <err.h>
#include <fnmatch.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS_DEFAULT = 11, CONTESTANTS_MAX = 32 };

/* Beside this program; those of peers that are not installed are not built. */
static const char *const drivers[] = { "drive-floor", "drive-memory", "drive-ferry", "drive-nng", "drive-nanomsg",
                                       "drive-zeromq", "drive-libqb", "drive-sdbus" };

static struct contestant contestants[CONTESTANTS_MAX];
static size_t contestant_count;

static bool matches(const char *name, char **patterns)
{
        if (!*patterns)
                return true;
        for (; *patterns; patterns++)
                if (fnmatch(*patterns, name, 0) == 0)
                        return true;
        return false;
}

/* Patterns with commas between. */
static bool matches_list(const char *name, const char *list)
{
        char *copy, *rest, *pattern;
        bool is_found = false;

        if (!list)
                return true;
        copy = rest = strdup(list);
        while (copy && (pattern = strsep(&rest, ",")))
                is_found |= fnmatch(pattern, name, 0) == 0;
        free(copy);
        return is_found;
}

static const char *own_folder(void)
{
        static char path[PATH_MAX];
        ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);

        if (size < 0)
                err(1, "/proc/self/exe");
        path[size] = '\0';
        *strrchr(path, '/') = '\0';
        return path;
}

/* What a driver says that it can do. */
static void ask_driver(const char *program, const char *subjects)
{
        struct contestant found = { 0 };
        char *command;
        FILE *stream;

        if ((size_t)snprintf(found.program, sizeof found.program, "%s", program) >= sizeof found.program)
                errx(1, "%s: the path is too long", program);
        if (asprintf(&command, "'%s' list", program) < 0 || !(stream = popen(command, "r")))
                err(1, "%s", command);
        while (contestant_count < CONTESTANTS_MAX &&
               fscanf(stream, "%31s %31s %x %d %d %d %zu", found.name, found.floor, &found.works, &found.is_forking, &found.needs_two,
                      &found.clients_max, &found.body_max) == 7)
                if (matches_list(found.name, subjects) || strncmp(found.name, "floor-unix", 10) == 0)
                        contestants[contestant_count++] = found;
        if (pclose(stream) != 0)
                errx(1, "%s has failed", command);
        free(command);
}

static void find_contestants(const char *subjects)
{
        char path[PATH_MAX + 32];

        for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
                snprintf(path, sizeof path, "%s/%s", own_folder(), drivers[i]);
                if (access(path, X_OK) == 0)
                        ask_driver(path, subjects);
        }
        if (contestant_count == 0)
                errx(1, "there are no drivers beside this program");
}

static void usage(FILE *stream)
{
        fprintf(stream, "usage: bench [OPTION ...] [WORK ...]\n\n"
                        "  --rounds N                 blocks of each subject (%d)\n"
                        "  --cpus one,two,any         the placements (all)\n"
                        "  --subjects PATTERN,...     the subjects; floor-unix always is one\n"
                        "  --json FILE                write the figures there, too; - is stdout\n"
                        "  --quick                    few samples: whether all works, not how fast\n\n"
                        "A WORK may be a pattern: 'fan-in-*'\n\nwork:\n", ROUNDS_DEFAULT);
        for (size_t i = 0; i < work_count; i++)
                fprintf(stream, "  %-14s %s\n", works[i].name, works[i].title);
        channels_list(stream);
        fprintf(stream, "\nsubjects:\n ");
        for (size_t i = 0; i < contestant_count; i++)
                fprintf(stream, " %s", contestants[i].name);
        fprintf(stream, "\n");
}

static bool is_work(const char *pattern)
{
        for (size_t i = 0; i < work_count; i++)
                if (fnmatch(pattern, works[i].name, 0) == 0)
                        return true;
        return channels_has(pattern);
}

static unsigned read_placements(const char *list)
{
        unsigned placements = 0;
        char *copy = strdup(list), *rest = copy, *name;

        while (copy && (name = strsep(&rest, ","))) {
                unsigned before = placements;

                for (int i = 0; i < PLACEMENT_COUNT; i++)
                        if (strcmp(name, placement_names[i]) == 0)
                                placements |= 1U << i;
                if (placements == before)
                        errx(2, "--cpus: '%s' is not one, two or any", name);
        }
        free(copy);
        return placements;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
        (void)info, (void)type, (void)where;
        return remove(path);
}

static char folder[64];

static void remove_folder(void)
{
        if (*folder && nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0)
                warn("%s", folder);
}

static void make_folder(void)
{
        const char *temporary = getenv("TMPDIR");

        if (!temporary || strlen(temporary) > 32)
                temporary = "/tmp";
        snprintf(folder, sizeof folder, "%s/ferry-bench-XXXXXX", temporary);
        if (!mkdtemp(folder))
                err(1, "%s", folder);
        atexit(remove_folder);
}

static void stop(int signal)
{
        exit(128 + signal);
}

/* The rows of channels and stores run in one process. */
static void run_channels(int rounds, char **patterns)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET((unsigned)cpu_at(0), &set);
        if (sched_setaffinity(0, sizeof set, &set) < 0)
                err(1, "sched_setaffinity");
        channels_run(folder, rounds, patterns, matches);
}

int main(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "rounds", required_argument, NULL, 'r' },
                { "cpus", required_argument, NULL, 'c' },
                { "subjects", required_argument, NULL, 's' },
                { "json", required_argument, NULL, 'j' },
                { "quick", no_argument, NULL, 'q' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        struct exchange_options options = { .rounds = ROUNDS_DEFAULT, .placements = (1U << PLACEMENT_COUNT) - 1, .folder = folder };
        const char *subjects = NULL, *json = NULL;
        bool is_help = false;
        int option, failures = 0;
        char *end;

        while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
                switch (option) {
                case 'r':
                        options.rounds = (int)strtol(optarg, &end, 10);
                        if (*end || options.rounds < 1 || options.rounds > 10000)
                                errx(2, "--rounds: '%s' is not a number from 1 to 10000", optarg);
                        break;
                case 'c':
                        options.placements = read_placements(optarg);
                        break;
                case 's':
                        subjects = optarg;
                        break;
                case 'j':
                        json = optarg;
                        break;
                case 'q':
                        options.is_quick = true;
                        options.rounds = 1;
                        break;
                case 'h':
                        is_help = true;
                        break;
                default:
                        usage(stderr);
                        return 2;
                }
        find_contestants(subjects);
        if (is_help)
                return usage(stdout), 0;
        for (char **pattern = argv + optind; *pattern; pattern++)
                if (!is_work(*pattern))
                        errx(2, "there is no work %s; see --help", *pattern);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGINT, stop);
        signal(SIGTERM, stop);
        if (cpu_at(1) < 0 && options.placements & 1U << PLACEMENT_TWO) {
                warnx("there is only one CPU, so nothing is pinned to two");
                options.placements &= ~(1U << PLACEMENT_TWO);
        }
        make_folder();
        printf("%d blocks%s\n", options.rounds, options.is_quick ? "; too few samples to say how fast anything is" : "");
        fflush(stdout);
        for (size_t i = 0; i < work_count; i++)
                if (matches(works[i].name, argv + optind))
                        failures += exchange_run(&works[i], contestants, contestant_count, &options);
        run_channels(options.rounds, argv + optind);
        if (json)
                result_write(json);
        if (failures > 0)
                warnx("%d failures", failures);
        return failures > 0;
}
