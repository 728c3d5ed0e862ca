#include "children.h"
#include "samples.h"

#include <err.h>
#include <ferry/ferry.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAMPLES_PER_ROUND = 10 };

extern char **environ;

static const char *const command[] = { "/bin/true", NULL };

static double time_floor(void)
{
        double began = now(), took;
        pid_t pid;

        if (posix_spawn(&pid, command[0], NULL, NULL, (char *const *)(uintptr_t)command, environ) != 0)
                errx(1, "posix_spawn failed");
        took = now() - began;
        waitpid(pid, NULL, 0);
        return took;
}

/* The call alone: it keeps the loop from all else. */
static double time_ours(ferry_manager *manager)
{
        double began = now(), took;
        ferry_process *process = ferry_process_spawn(manager, command, NULL);

        took = now() - began;
        if (ferry_process_wait(process, -1) != 0)
                errx(1, "%s", ferry_process_error(process));
        ferry_process_free(process);
        return took;
}

static void measure(size_t mebibytes, int rounds)
{
        size_t size = mebibytes << 20, count = (size_t)rounds * SAMPLES_PER_ROUND;
        struct side floor = { .samples = allocate(count * sizeof(double)), .count = count }, ours = floor;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        double medians[2];

        if (memory == MAP_FAILED)
                err(1, "mmap");
        /* As a heap that has grown piece by piece. */
        madvise(memory, size, MADV_NOHUGEPAGE);
        memset(memory, 'x', size);
        ours.samples = allocate(count * sizeof(double));
        for (size_t i = 0; i < count; i++) {
                floor.samples[i] = time_floor();
                ours.samples[i] = time_ours(manager);
        }
        medians[0] = median_of(floor.samples, count);
        medians[1] = median_of(ours.samples, count);
        printf("%-14s %5zu MiB  ", "spawn", mebibytes);
        print_side(&floor);
        printf("  ");
        print_side(&ours);
        printf("  %.2f\n", medians[1] / medians[0]);
        fflush(stdout);
        munmap(memory, size);
        free(floor.samples);
        free(ours.samples);
        ferry_loop_free(loop);
}

void children_run(int rounds)
{
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid < 0)
                err(1, "fork");
        if (pid > 0) {
                waitpid(pid, NULL, 0);
                return;
        }
        printf("\nstarting a child; microseconds: p50, p99 and least of posix_spawn, and of ferry_process_spawn\n");
        measure(1, rounds);
        measure(1024, rounds);
        _exit(0);
}
