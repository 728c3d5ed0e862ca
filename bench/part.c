#include "part.h"
#include "result.h"
#include "samples.h"

#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 64, LINES_MAX = 256 };

char *part_path(const char *name)
{
        static char own[PATH_MAX];
        ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
        char *path;

        if (size < 0)
                err(1, "/proc/self/exe");
        own[size] = '\0';
        *strrchr(own, '/') = '\0';
        if (asprintf(&path, "%s/%s", own, name) < 0)
                err(1, "asprintf");
        return path;
}

static void add_figures(FILE *stream)
{
        char work[48], placement[8], subject[32], unit[16];
        double value;

        while (fscanf(stream, "%47s %7s %31s %lf %15s", work, placement, subject, &value, unit) == 5)
                result_add(work, placement, subject, value, unit, 0);
}

bool part_run(const char *name, char *const *arguments)
{
        char *words[WORDS_MAX] = { part_path(name), (char[]){ "--figures" } }, number[16];
        int count = 2, fds[2], status = -1;
        FILE *figures;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                err(1, "pipe");
        snprintf(number, sizeof number, "%d", fds[1]);
        words[count++] = number;
        for (; *arguments && count < WORDS_MAX - 1; arguments++)
                words[count++] = *arguments;
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                fcntl(fds[1], F_SETFD, 0);
                execv(words[0], words);
                err(127, "%s", words[0]);
        }
        close(fds[1]);
        figures = fdopen(fds[0], "r");
        if (pid > 0 && figures)
                add_figures(figures);
        if (figures)
                fclose(figures);
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
                warnx("%s has failed", words[0]);
        free(words[0]);
        return status == 0;
}

char **part_list(const char *name)
{
        char **lines = allocate(LINES_MAX * sizeof *lines), *path = part_path(name), *command;
        size_t count = 0, room = 0;
        FILE *stream;

        if (access(path, X_OK) < 0)
                return free(path), lines;
        if (asprintf(&command, "'%s' --list", path) < 0 || !(stream = popen(command, "r")))
                err(1, "%s", path);
        while (count < LINES_MAX - 1 && getline(&lines[count], &room, stream) > 0) {
                lines[count][strcspn(lines[count], "\n")] = '\0';
                count++;
                room = 0;
        }
        free(lines[count]);
        lines[count] = NULL;
        if (pclose(stream) != 0)
                errx(1, "%s has failed", command);
        free(command);
        free(path);
        return lines;
}
