/* Runs tests with check: each in a forked process, so that a crash, a leak found by a sanitizer or an endless
 * loop fails that one test. */
#include "support/suite.h"
#include "support/surroundings.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
        TIME_LIMIT_S = 60,
        SCALE_ASAN = 3,         /* where each takes several times as long */
        ROUNDS_FEW = 10,        /* that are always run */
        ROUNDS_STRIDE = 5,      /* of more, with AddressSanitizer */
};

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
}

static void tear_down(void)
{
        char after[sizeof before];
        int status;
        pid_t child = waitpid(-1, &status, WNOHANG);

        ck_assert_msg(child < 0 && errno == ECHILD, "a child is left: %d", (int)child);
        list_descriptors(after, sizeof after);
        ck_assert_msg(strcmp(before, after) == 0, "descriptors before:\n%safter:\n%s", before, after);
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

        return SUITE_HAS_ASAN && !suite_is_long() && !(all && *all) && !test->is_whole && rounds > ROUNDS_FEW ? ROUNDS_STRIDE : 1;
}

/* A whole table of faults in one test takes longer, and its faults have a limit of their own. */
static double test_time_limit(const struct suite_test *test)
{
        return test->is_whole ? TIME_LIMIT_S * 4 : TIME_LIMIT_S;
}

int suite_run(const char *name, const struct suite_test *tests, size_t count)
{
        Suite *suite;
        SRunner *runner;
        int run, failed;

        surroundings_choose();
        suite = suite_create(name);
        for (size_t i = 0; i < count; i++) {
                int begin = 0, end = tests[i].count > 0 ? tests[i].count : 1, stride;
                TCase *group;

                if (!is_wanted(tests[i].name, &begin, &end))
                        continue;
                group = tcase_create(tests[i].name);
                tcase_add_checked_fixture(group, set_up, tear_down);
                tcase_set_timeout(group, test_time_limit(&tests[i]));
                stride = choose_stride(&tests[i], end - begin);
                for (int round = begin + (int)i % stride; stride > 1 && round < end; round += stride)
                        tcase_add_loop_test(group, *tests[i].test, round, round + 1);
                if (stride == 1)
                        tcase_add_loop_test(group, *tests[i].test, begin, end);
                suite_add_tcase(suite, group);
        }
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        run = srunner_ntests_run(runner);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        printf("%s: %d passed, %d failed\n", name, run - failed, failed);
        return failed > 0 || run == 0;
}
