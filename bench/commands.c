/* Measures programs that do a task for each line of stdin: commands [--rounds N] [--tasks N] [--figures FD] [--list] [WORK]. The
 * work is `run-tasks`: so many lines, each printed by its task; timed is the whole run, divided by the tasks. */
#include "samples.h"

#include <err.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORK "run-tasks"

enum { ROUNDS_DEFAULT = 11, ROUNDS_MAX = 10000, TASKS_DEFAULT = 300, TASKS_MAX = 100000 };

/* Each line begins with an e, so that a driver echoes it. */
static const struct command {
        const char *name;
        const char *what;
        const char *needs;      /* a program; NULL: it is built here */
        const char *line;       /* for sh; FERRY and ECHO are programs of this build */
        const char *floor;      /* NULL: none */
} commands[] = {
        { "floor-shell", "a command for each line, in a loop of sh", NULL,
          "while read -r line; do /bin/echo \"$line\"; done", "floor-shell" },
        { "ferry-run", "ferry run: workers that stay, a message for each line", NULL,
          "exec \"$FERRY\" run --quiet -- \"$ECHO\" serve ferry-pipes round-trip .", "floor-shell" },
        { "ferry-run-exec", "ferry run: workers that start a command for each line", NULL,
          "exec \"$FERRY\" run --quiet -- \"$FERRY\" listen stdio: --exec 'exec /bin/cat'", "floor-shell" },
        { "xargs", "xargs -P: a command for each line", "xargs", "exec xargs -P \"$CPUS\" -n 1 /bin/echo", "floor-shell" },
        { "parallel", "GNU parallel: a command for each line", "parallel",
          "exec parallel --will-cite -j \"$CPUS\" /bin/echo", "floor-shell" },
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static bool is_there(const struct command *command)
{
        char line[64];

        if (!command->needs)
                return true;
        snprintf(line, sizeof line, "command -v %s >/dev/null 2>&1", command->needs);
        return system(line) == 0;
}

static int make_input(int tasks)
{
        int fd = memfd_create("tasks", MFD_CLOEXEC);

        for (int i = 1; i <= tasks; i++)
                if (fd < 0 || dprintf(fd, "e%d\n", i) < 0)
                        err(1, "memfd_create");
        return fd;
}

/* Whether each line came back once, in any order. */
static bool is_whole(int output, int tasks)
{
        bool *seen = allocate((size_t)tasks + 1);
        int count = 0, number;
        FILE *stream = fdopen(output, "r");

        if (!stream || fseek(stream, 0, SEEK_SET) < 0)
                err(1, "cannot read the output");
        while (fscanf(stream, "e%d ", &number) == 1 && number >= 1 && number <= tasks && !seen[number]) {
                seen[number] = true;
                count++;
        }
        free(seen);
        return fclose(stream) == 0 && count == tasks;
}

/* Nanoseconds a task. */
static double run_once(const struct command *command, int input, int tasks)
{
        int output = memfd_create("output", MFD_CLOEXEC), status;
        double began, took;
        pid_t pid;

        /* Commands that run at once write to it. */
        if (output < 0 || fcntl(output, F_SETFL, O_APPEND) < 0 || lseek(input, 0, SEEK_SET) < 0)
                err(1, "memfd_create");
        began = now();
        pid = fork();
        if (pid < 0)
                err(1, "fork");
        if (pid == 0) {
                dup2(input, STDIN_FILENO);
                dup2(output, STDOUT_FILENO);
                execl("/bin/sh", "sh", "-c", command->line, (char *)NULL);
                _exit(127);
        }
        waitpid(pid, &status, 0);
        took = now() - began;
        if (status != 0)
                errx(1, "%s has failed", command->name);
        if (!is_whole(output, tasks))
                errx(1, "%s has not done each task once", command->name);
        return took / tasks;
}

static void print_command(int number, double *times[COMMANDS], int rounds, int figures)
{
        double ratios[2][ROUNDS_MAX], value = median_of(times[number], (size_t)rounds) / 1e3;
        struct spread floor, ferry;

        for (int i = 0; i < rounds; i++) {
                ratios[0][i] = times[number][i] / times[0][i];
                ratios[1][i] = times[number][i] / times[1][i];
        }
        floor = spread_of(ratios[0], (size_t)rounds);
        ferry = spread_of(ratios[1], (size_t)rounds);
        printf("  %-16s %12.2f  %7.2f (%.2f-%.2f)  %7.2f (%.2f-%.2f)  %s\n", commands[number].name, value, floor.median, floor.low,
               floor.high, ferry.median, ferry.low, ferry.high, commands[number].what);
        if (figures < 0)
                return;
        dprintf(figures, "%s any %s %.6g us\n", WORK, commands[number].name, value);
        dprintf(figures, "%s/ferry-run any %s %.6g times\n", WORK, commands[number].name, ferry.median);
}

static void measure(int rounds, int tasks, int figures)
{
        double *times[COMMANDS] = { NULL };
        int input = make_input(tasks);

        for (int i = 0; i < COMMANDS; i++)
                if (is_there(&commands[i]))
                        times[i] = allocate((size_t)rounds * sizeof(double));
        for (int round = -1; round < rounds; round++)
                for (int turn = 0; turn < COMMANDS; turn++) {
                        int i = (turn + round + 1) % COMMANDS;
                        double time;

                        if (!times[i])
                                continue;
                        time = run_once(&commands[i], input, tasks);
                        /* The first one only warms up. */
                        if (round >= 0)
                                times[i][round] = time;
                }
        printf("  %-16s %12s  %20s  %20s\n", WORK, "us", "time / floor's", "ferry-run is");
        for (int i = 0; i < COMMANDS; i++)
                if (times[i])
                        print_command(i, times, rounds, figures);
        for (int i = 0; i < COMMANDS; i++)
                free(times[i]);
        close(input);
}

static int read_number(const char *name, const char *text, int most)
{
        char *end;
        long number = strtol(text, &end, 10);

        if (*end || number < 1 || number > most)
                errx(2, "--%s: '%s' is not a number from 1 to %d", name, text, most);
        return (int)number;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "rounds", required_argument, NULL, 'r' }, { "tasks", required_argument, NULL, 't' },
                { "figures", required_argument, NULL, 'f' }, { "list", no_argument, NULL, 'l' }, { 0 },
        };
        int rounds = ROUNDS_DEFAULT, tasks = TASKS_DEFAULT, figures = -1, letter;
        char cpus[16];

        while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
                switch (letter) {
                case 'r':
                        rounds = read_number("rounds", optarg, ROUNDS_MAX);
                        break;
                case 't':
                        tasks = read_number("tasks", optarg, TASKS_MAX);
                        break;
                case 'f':
                        figures = atoi(optarg);
                        fcntl(figures, F_SETFD, FD_CLOEXEC);
                        break;
                case 'l':
                        return printf("%s\n", WORK) < 0;
                default:
                        errx(2, "usage: commands [--rounds N] [--tasks N] [--figures FD] [--list] [WORK]");
                }
        if (optind < argc && fnmatch(argv[optind], WORK, 0) != 0)
                errx(2, "there is no work %s: %s is the only one", argv[optind], WORK);
        snprintf(cpus, sizeof cpus, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
        setenv("FERRY", BUILD_FOLDER "/ferry", 1);
        setenv("ECHO", BUILD_FOLDER "/bench/drive-ferry", 1);
        setenv("CPUS", cpus, 1);
        measure(rounds, tasks, figures);
        return 0;
}
