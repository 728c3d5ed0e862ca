/* Runs tests with check: each in a forked process, so that a crash, a leak found by a sanitizer or an endless
 * loop fails that one test. With AddressSanitizer the rounds of a test share a process: starting it and looking for leaks
 * at its end take longer than most rounds. */
#include "support/suite.h"
#include "support/surroundings.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        TIME_LIMIT_S = 60,
        SCALE_ASAN = 3,         /* where each takes several times as long */
        ROUNDS_FEW = 10,        /* that are always run */
        ROUNDS_STRIDE = 5,      /* of more, with AddressSanitizer */
};

/* What is run of a test: rounds begin, begin + stride, … before end. */
struct series {
        const struct suite_test *test;
        TTest shared;           /* check runs this one in place of the test, if the rounds share a process */
        int begin, end, stride;
};

/* How far one run of check has come: a round, or a series of them that share a process. */
struct progress {
        const struct series *series;
        int round;
        int line;               /* of the last assertion that held */
        const char *file;
        bool is_over;
};

static SRunner *runner;
static struct progress nowhere, *mine = &nowhere;
static struct progress *all_progress;           /* in memory that the tests' processes share */

void suite_mark(const char *file, int line)
{
        __atomic_store_n(&mine->file, file, __ATOMIC_RELAXED);
        __atomic_store_n(&mine->line, line, __ATOMIC_RELAXED);
}

static char before[4096];

/* What is open, as text. */
static void list_descriptors(char *text, size_t size)
{
        DIR *directory = opendir("/proc/self/fd");
        size_t used = 0;

        text[0] = '\0';
        for (struct dirent *entry; directory && (entry = readdir(directory));) {
                char path[320], target[256];
                ssize_t length;

                if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(directory))
                        continue;
                snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
                length = readlink(path, target, sizeof target - 1);
                target[length < 0 ? 0 : length] = '\0';
                /* check's own: it makes others, where it runs the tests in its own process. */
                if (strncmp(target, "/tmp/check_", 11) == 0)
                        continue;
                if (used < size)
                        used += (size_t)snprintf(text + used, size - used, "%s -> %s\n", entry->d_name, target);
        }
        if (directory)
                closedir(directory);
}

static void set_up(void)
{
        /* check's handlers end all that the test runs; a child that the library forks would inherit them. */
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        list_descriptors(before, sizeof before);
        mine = &all_progress[srunner_ntests_run(runner)];
        mine->is_over = false;
}

static void tear_down(void)
{
        char after[sizeof before];
        int status;
        pid_t child = waitpid(-1, &status, WNOHANG);

        ck_assert_msg(child < 0 && errno == ECHILD, "a child is left: %d", (int)child);
        list_descriptors(after, sizeof after);
        ck_assert_msg(strcmp(before, after) == 0, "descriptors before:\n%safter:\n%s", before, after);
        mine->is_over = true;
}

/* FERRY_TEST names tests, or single rounds of one: NAME or NAME:ROUND, separated by commas. */
static bool is_wanted(const char *name, int *begin, int *end)
{
        const char *wanted = getenv("FERRY_TEST");
        size_t size = strlen(name);

        if (!wanted || !*wanted)
                return true;
        for (const char *at = wanted; (at = strstr(at, name)); at += size) {
                if (at != wanted && at[-1] != ',')
                        continue;
                if (at[size] == ':') {
                        *begin = (int)strtol(at + size + 1, NULL, 10);
                        if (*begin >= *end)
                                return false;
                        *end = *begin + 1;
                        return true;
                }
                if (at[size] == '\0' || at[size] == ',')
                        return true;
        }
        return false;
}

int suite_is_long(void)
{
        const char *is_long = getenv("FERRY_LONG");

        return is_long && *is_long;
}

size_t suite_scale(size_t count)
{
        size_t part = count / 10 / (SUITE_HAS_ASAN ? SCALE_ASAN : 1);

        return suite_is_long() ? count : part > 0 || count < 10 ? part : 1;
}

/* How many rounds lie between those that are run. */
static int choose_stride(const struct suite_test *test, int rounds)
{
        const char *all = getenv("FERRY_ROUNDS");

        if (!SUITE_HAS_ASAN || suite_is_long() || (all && *all) || test->is_whole)
                return 1;
        return rounds > ROUNDS_FEW || (test->is_heavy && rounds >= ROUNDS_STRIDE) ? ROUNDS_STRIDE : 1;
}

static bool is_shared(const struct series *series)
{
        return series->shared.fn;
}

static int count_rounds(const struct series *series)
{
        return (series->end - series->begin + series->stride - 1) / series->stride;
}

/* check has called set_up(), and calls tear_down(). */
static void run_rounds(int ignored)
{
        const struct series *series = mine->series;

        (void)ignored;

        for (int round = series->begin; round < series->end; round += series->stride) {
                if (round != series->begin) {
                        tear_down();
                        set_up();
                }
                mine->round = round;
                (*series->test->test)->fn(round);
        }
}

static void choose_rounds(struct series *series, size_t index, int begin, int end)
{
        const struct suite_test *test = series->test;

        series->stride = choose_stride(test, end - begin);
        series->begin = begin + (int)index % series->stride;
        series->end = end;
        if (!SUITE_HAS_ASAN || test->is_apart || count_rounds(series) == 1)
                return;
        series->shared = **test->test;
        series->shared.fn = run_rounds;
}

/* A whole table of faults in one test takes longer, and its faults have a limit of their own. So do many rounds. */
static double series_time_limit(const struct series *series)
{
        return TIME_LIMIT_S * (series->test->is_whole ? 4 : 1) * (is_shared(series) ? 4 : 1);
}

/* Returns how many runs there are. */
static size_t add_series(Suite *suite, struct series *series, size_t run)
{
        TCase *group = tcase_create(series->test->name);

        tcase_add_checked_fixture(group, set_up, tear_down);
        tcase_set_timeout(group, series_time_limit(series));
        for (int round = series->begin; round < series->end; round += series->stride) {
                all_progress[run++] = (struct progress){ .series = series, .round = round, .is_over = true };
                if (is_shared(series)) {
                        tcase_add_loop_test(group, &series->shared, 0, 1);
                        break;
                }
                tcase_add_loop_test(group, *series->test->test, round, round + 1);
        }
        suite_add_tcase(suite, group);
        return run;
}

/* How to run alone what has failed, and where, if it has crashed. Returns how many runs did not come to their end: for check
 * a process that exits with 0 has passed, wherever it exits. */
static int explain_failures(size_t runs)
{
        int count = 0;

        for (const struct progress *progress = all_progress; progress < all_progress + runs; progress++) {
                const char *name = progress->series->test->name;

                if (progress->is_over)
                        continue;
                count++;
                printf("FERRY_TEST=%s:%d has failed", name, progress->round);
                if (progress->file)
                        printf("; the last assertion that held: %s:%d", progress->file, progress->line);
                printf("\n");
        }
        return count;
}

/* What tests start. Where only one program was built, its failures would not name them. */
static void require_programs(const char *name)
{
        static const char *const programs[] = { "tests/child", "tests/peer" };

        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
                char path[512];

                snprintf(path, sizeof path, BUILD_DIRECTORY "/%s", programs[i]);
                if (access(path, X_OK) < 0)
                        printf("%s: %s is missing, and tests that start it fail: ninja -C " BUILD_DIRECTORY " %s\n", name, path, programs[i]);
        }
}

int suite_run(const char *name, const struct suite_test *tests, size_t count)
{
        struct series *all_series = calloc(count + 1, sizeof *all_series);
        Suite *suite = suite_create(name);
        size_t runs = 0;
        int rounds = 0, failed, unfinished;

        surroundings_choose();
        require_programs(name);
        for (size_t i = 0; i < count; i++)
                rounds += tests[i].count > 0 ? tests[i].count : 1;
        all_progress = mmap(NULL, ((size_t)rounds + 1) * sizeof *all_progress, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (!all_series || all_progress == MAP_FAILED)
                abort();
        rounds = 0;
        for (size_t i = 0; i < count; i++) {
                struct series *series = &all_series[i];
                int begin = 0, end = tests[i].count > 0 ? tests[i].count : 1;

                series->test = &tests[i];
                if (!is_wanted(tests[i].name, &begin, &end))
                        continue;
                choose_rounds(series, i, begin, end);
                runs = add_series(suite, series, runs);
                rounds += count_rounds(series);
        }
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        unfinished = explain_failures(runs);
        if (failed < unfinished)
                failed = unfinished;
        srunner_free(runner);
        free(all_series);
        printf("%s: %d passed, %d failed\n", name, rounds - failed, failed);
        return failed > 0 || rounds == 0;
}
