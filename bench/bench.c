/* Measures ferry against its floors and its peers: bench [OPTION …] [WORK …]. See docs/benchmarks.md. */
#include "channels.h"
#include "exchange.h"
#include "instructions.h"
#include "part.h"
#include "result.h"
#include "samples.h"

#include <err.h>
#include <fnmatch.h>
#include <ftw.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS_DEFAULT = 11, CONTESTANTS_MAX = 32, ARGUMENTS_MAX = 60, PATTERNS_MAX = 32, TEMPORARY_MAX = 48 };

/* Beside this program; those of peers that are not installed are not built. */
static const char *const drivers[] = { "drive-floor", "drive-memory", "drive-ferry", "drive-nats", "drive-nng", "drive-nanomsg",
                                       "drive-zeromq", "drive-libqb", "drive-sdbus" };

/* Programs that measure by themselves, and the works that they have. */
static struct {
        const char *name;
        const char *title;
        char *quick;            /* an argument for few samples */
        char **works;
} parts[] = {
        { "commands", "lines of stdin as tasks; microseconds a task, on all CPUs", (char[]){ "--tasks=20" }, NULL },
        { "codecs", "codecs: ferry's time, and how many times as long others take", (char[]){ "--ms=0.1" }, NULL },
};

enum { PARTS = sizeof parts / sizeof *parts };

static struct contestant contestants[CONTESTANTS_MAX];
static size_t contestant_count, missing_count;

/* Patterns with commas between. */
struct list {
        char *patterns[PATTERNS_MAX];
        bool is_used[PATTERNS_MAX];
        size_t count;
};

static void list_split(struct list *list, char *text)
{
        char *pattern;

        while ((pattern = strsep(&text, ",")) && list->count < PATTERNS_MAX)
                list->patterns[list->count++] = pattern;
}

/* An empty list has everything. */
static bool list_has(struct list *list, const char *name)
{
        bool is_found = list->count == 0;

        for (size_t i = 0; i < list->count; i++)
                if (fnmatch(list->patterns[i], name, 0) == 0)
                        is_found = list->is_used[i] = true;
        return is_found;
}

/* What a driver says that it can do. */
static void ask_driver(const char *program, struct list *subjects)
{
        struct contestant found = { 0 };
        char *command;
        FILE *stream;

        if ((size_t)snprintf(found.program, sizeof found.program, "%s", program) >= sizeof found.program)
                errx(1, "%s: the path is too long", program);
        if (asprintf(&command, "'%s' list", program) < 0 || !(stream = popen(command, "r")))
                err(1, "%s", command);
        while (contestant_count < CONTESTANTS_MAX &&
               fscanf(stream, "%31s %95s %x %d %d %d %zu", found.name, found.floors, &found.works, &found.is_forking, &found.needs_two,
                      &found.clients_max, &found.body_max) == 7)
                if (list_has(subjects, found.name) || strcmp(found.name, "floor-unix") == 0)
                        contestants[contestant_count++] = found;
        if (pclose(stream) != 0)
                errx(1, "%s has failed", command);
        free(command);
}

static void find_contestants(struct list *subjects)
{
        for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
                char *path = part_path(drivers[i]);

                if (access(path, X_OK) == 0)
                        ask_driver(path, subjects);
                else
                        missing_count++;
                free(path);
        }
        if (contestant_count == 0)
                errx(1, "there are no drivers beside this program");
        for (size_t i = 0; i < subjects->count; i++)
                if (!subjects->is_used[i])
                        errx(2, "--subjects: no subject matches '%s'; see --help", subjects->patterns[i]);
}

static void print_usage(FILE *stream)
{
        fprintf(stream, "usage: bench [OPTION ...] [WORK ...]\n\n"
                        "  --rounds N                 blocks of each subject (%d)\n"
                        "  --cpus one,two,any         the placements (all)\n"
                        "  --subjects PATTERN,...     the subjects; floor-unix always is one\n"
                        "  --json FILE                write the figures there, too; - is stdout\n"
                        "  --quick                    few samples: whether all works, not how fast\n"
                        "  --help                     also list all work and subjects\n\n"
                        "A WORK may be a pattern: 'fan-in-*'\n", ROUNDS_DEFAULT);
}

static void print_help(FILE *stream)
{
        print_usage(stream);
        fprintf(stream, "\nwork:\n");
        for (size_t i = 0; i < work_count; i++)
                fprintf(stream, "  %-14s %s\n", works[i].name, works[i].title);
        fprintf(stream, "  %-14s %s\n", INSTRUCTIONS_WORK, "instructions of a 64-byte request and answer, by callgrind");
        channels_list(stream);
        for (size_t i = 0; i < PARTS; i++)
                for (char **name = parts[i].works; *name; name++)
                        fprintf(stream, "  %s\n", *name);
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
        for (size_t i = 0; i < PARTS; i++)
                for (char **name = parts[i].works; *name; name++)
                        if (fnmatch(pattern, *name, 0) == 0)
                                return true;
        return fnmatch(pattern, INSTRUCTIONS_WORK, 0) == 0 || channels_has(pattern);
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

static char folder[TEMPORARY_MAX + 32];

static void remove_folder(void)
{
        if (*folder && nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0)
                warn("%s", folder);
}

static void make_folder(void)
{
        const char *temporary = getenv("TMPDIR");

        if (!temporary || strlen(temporary) > TEMPORARY_MAX)
                temporary = "/tmp";
        snprintf(folder, sizeof folder, "%s/ferry-bench-XXXXXX", temporary);
        if (!mkdtemp(folder))
                err(1, "%s", folder);
        atexit(remove_folder);
}

/* The second signal ends the program at once. */
static void stop(int number)
{
        stop_signal = number;
        signal(number, SIG_DFL);
}

static void handle(int number)
{
        struct sigaction action = { .sa_handler = stop };

        sigaction(number, &action, NULL);
}

static void check_output(void)
{
        if (fflush(stdout) != 0 || ferror(stdout))
                err(1, "cannot write to stdout");
}

static void list_parts(void)
{
        for (size_t i = 0; i < PARTS; i++)
                parts[i].works = part_list(parts[i].name);
}

/* Those works of a part that match; false if it has failed. */
static bool run_part(size_t number, const struct exchange_options *options, char **patterns)
{
        char *arguments[ARGUMENTS_MAX], rounds[32];
        size_t count = 0, fixed;

        snprintf(rounds, sizeof rounds, "--rounds=%d", options->rounds);
        arguments[count++] = rounds;
        if (options->is_quick)
                arguments[count++] = parts[number].quick;
        fixed = count;
        for (char **name = parts[number].works; *name && count < ARGUMENTS_MAX - 1; name++)
                if (matches_pattern(*name, patterns))
                        arguments[count++] = *name;
        arguments[count] = NULL;
        if (count == fixed)
                return true;
        printf("\n%s\n", parts[number].title);
        return part_run(parts[number].name, arguments);
}

/* The rows of channels and stores run in one process. */
static void run_channels(int rounds, char **patterns)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET((unsigned)cpu_at(0), &set);
        if (sched_setaffinity(0, sizeof set, &set) < 0)
                err(1, "sched_setaffinity");
        channels_run(folder, rounds, patterns);
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
        struct list subjects = { .count = 0 };
        const char *json = NULL;
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
                        list_split(&subjects, optarg);
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
                        print_usage(stderr);
                        return 2;
                }
        find_contestants(&subjects);
        list_parts();
        if (is_help)
                return print_help(stdout), 0;
        for (char **pattern = argv + optind; *pattern; pattern++)
                if (!is_work(*pattern))
                        errx(2, "there is no work %s; see --help", *pattern);
        signal(SIGPIPE, SIG_IGN);
        handle(SIGINT);
        handle(SIGTERM);
        if (json)
                result_check(json);
        if (cpu_at(1) < 0 && options.placements & 1U << PLACEMENT_TWO) {
                warnx("there is only one CPU, so nothing is pinned to two");
                options.placements &= ~(1U << PLACEMENT_TWO);
        }
        make_folder();
        printf("%d blocks%s\n", options.rounds, options.is_quick ? "; too few samples to say how fast anything is" : "");
        if (missing_count > 0)
                printf("%zu of the libraries to compare with are not installed: make bench-peers\n", missing_count);
        check_output();
        for (size_t i = 0; i < work_count && !stop_signal; i++)
                if (matches_pattern(works[i].name, argv + optind)) {
                        failures += exchange_run(&works[i], contestants, contestant_count, &options);
                        check_output();
                }
        if (!stop_signal && matches_pattern(INSTRUCTIONS_WORK, argv + optind))
                failures += instructions_run(contestants, contestant_count, options.is_quick, folder);
        for (size_t i = 0; i < PARTS && !stop_signal; i++)
                failures += !run_part(i, &options, argv + optind);
        if (!stop_signal)
                run_channels(options.rounds, argv + optind);
        check_output();
        if (stop_signal)
                return 128 + stop_signal;
        if (json)
                result_write(json);
        if (failures > 0)
                warnx("%d failures", failures);
        return failures > 0;
}
