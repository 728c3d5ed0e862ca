/* Runs a fuzz target over the files of its corpus, without libFuzzer. The files are read by a child; where that dies,
 * the file is told, and another child goes on behind it. */
#include "fuzz/fuzz.h"
#include "support/surroundings.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file that takes longer has lost itself. */
enum { TIME_LIMIT_S = 60 };

static int is_file(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

static void run_file(const char *path)
{
        FILE *file = fopen(path, "rb");
        uint8_t *bytes;
        long size;

        if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0) {
                perror(path);
                abort();
        }
        rewind(file);
        bytes = malloc((size_t)size + !size);
        if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
                perror(path);
                abort();
        }
        fclose(file);
        alarm(TIME_LIMIT_S);
        LLVMFuzzerTestOneInput(bytes, (size_t)size);
        alarm(0);
        free(bytes);
}

/* @at is where it has come to, for the parent to see. */
static void run_from(const char *folder, struct dirent **files, int count, volatile int *at)
{
        for (; *at < count; (*at)++) {
                char path[4096];

                snprintf(path, sizeof path, "%s/%s", folder, files[*at]->d_name);
                run_file(path);
        }
}

int main(int argc, char **argv)
{
        const char *folder = argc == 3 ? argv[2] : "";
        struct dirent **files;
        int count = scandir(folder, &files, is_file, alphasort), failed = 0;
        volatile int *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        surroundings_choose();
        if (argc != 3 || count < 0 || at == MAP_FAILED) {
                fprintf(stderr, "driver NAME FOLDER\n");
                return 2;
        }
        do {
                int status = 0;
                pid_t child;

                /* What it inherits it would print again. */
                fflush(stdout);
                child = fork();

                if (child == 0) {
                        run_from(folder, files, count, at);
                        exit(0);
                }
                waitpid(child, &status, 0);
                if (child < 0 || status != 0) {
                        printf("failed: %s\n", *at < count ? files[*at]->d_name : "at the end: something is left");
                        failed++;
                        (*at)++;
                }
        } while (*at < count);
        printf("%s: %d passed, %d failed\n", argv[1], count > failed ? count - failed : 0, failed + (count == 0));
        for (int i = 0; i < count; i++)
                free(files[i]);
        free(files);
        munmap((void *)(uintptr_t)at, sizeof *at);
        return failed > 0 || count == 0;
}
