/* Stands in for the library check where that cannot be used: MemorySanitizer must have built everything that writes
 * memory, and check comes built. It offers what suite.c and the assertions need, and does that as check does: a process
 * for each test, a time limit, and the first failure ends the test. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct TCase {
        const TTest *test;
        int begin, end;
        SFun set_up, tear_down;
        unsigned seconds;
        TCase *next;
};

struct Suite {
        const char *name;
        TCase *first, **last;
};

struct SRunner {
        Suite *suite;
        int run, failed;
};

Suite *suite_create(const char *name)
{
        Suite *suite = calloc(1, sizeof *suite);

        suite->name = name;
        suite->last = &suite->first;
        return suite;
}

TCase *tcase_create(const char *name)
{
        (void)name;
        return calloc(1, sizeof(TCase));
}

void suite_add_tcase(Suite *suite, TCase *group)
{
        *suite->last = group;
        suite->last = &group->next;
}

void tcase_add_checked_fixture(TCase *group, SFun set_up, SFun tear_down)
{
        group->set_up = set_up;
        group->tear_down = tear_down;
}

void tcase_set_timeout(TCase *group, double timeout)
{
        group->seconds = (unsigned)timeout;
}

void _tcase_add_test(TCase *group, const TTest *test, int signal, int status, int begin, int end)
{
        (void)signal, (void)status;
        group->test = test;
        group->begin = begin;
        group->end = end;
}

SRunner *srunner_create(Suite *suite)
{
        SRunner *runner = calloc(1, sizeof *runner);

        runner->suite = suite;
        return runner;
}

static void run(const TCase *group, int i)
{
        const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");

        alarm(group->seconds * (multiplier && *multiplier ? (unsigned)strtoul(multiplier, NULL, 10) : 1));
        group->set_up();
        group->test->fn(i);
        group->tear_down();
        exit(0);
}

void srunner_run_all(SRunner *runner, enum print_output mode)
{
        (void)mode;
        for (TCase *group = runner->suite->first; group; group = group->next)
                for (int i = group->begin; i < group->end; i++) {
                        int status = 0;
                        pid_t child;

                        fflush(NULL);
                        child = fork();
                        if (child == 0)
                                run(group, i);
                        if (child < 0 || waitpid(child, &status, 0) != child)
                                abort();
                        runner->run++;
                        if (status == 0)
                                continue;
                        runner->failed++;
                        fprintf(stderr, "%s:%d has failed (status %#x)\n", group->test->name, i, (unsigned)status);
                }
}

int srunner_ntests_run(SRunner *runner)
{
        return runner->run;
}

int srunner_ntests_failed(SRunner *runner)
{
        return runner->failed;
}

void srunner_free(SRunner *runner)
{
        for (TCase *group = runner->suite->first, *next; group; group = next) {
                next = group->next;
                free(group);
        }
        free(runner->suite);
        free(runner);
}

void _ck_assert_failed(const char *file, int line, const char *expression, const char *format, ...)
{
        va_list arguments;

        fprintf(stderr, "%s:%d: ", file, line);
        va_start(arguments, format);
        if (format)
                vfprintf(stderr, format, arguments);
        else
                fputs(expression, stderr);
        va_end(arguments);
        putc('\n', stderr);
        _exit(1);
}
