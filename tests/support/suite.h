/* What every test program is made of: a list of tests, each run in a process of its own with a time limit, its
 * descriptors and children compared before and after. */
#pragma once

#include "support/sanitizer.h"

#include <check.h>

/* check writes into a pipe behind each assertion that holds, to know the last of them when a test crashes. */
#define _mark_point suite_mark
void suite_mark(const char *file, int line);

struct suite_test {
        const char *name;
        const TTest *const *test;
        int count;              /* run it for 0 … count - 1, as _i; 0: once */
        int is_whole;           /* AddressSanitizer runs all rounds too, see suite_run() */
        int is_heavy;           /* a round takes seconds with AddressSanitizer, which runs every fifth of a few, too */
        int is_apart;           /* each round has a process of its own with AddressSanitizer too, since it leaves static state */
};

#define SUITE_TEST(function) { .name = #function, .test = &function }
#define SUITE_LOOP(function, rounds) { .name = #function, .test = &function, .count = rounds }
#define SUITE_LOOP_APART(function, rounds) { .name = #function, .test = &function, .count = rounds, .is_apart = 1 }
#define SUITE_LOOP_HEAVY(function, rounds) { .name = #function, .test = &function, .count = rounds, .is_heavy = 1 }

/* Run the tests (or those that FERRY_TEST names: NAME or NAME:ROUND, separated by commas), print what failed and a line
 * "NAME: N passed, N failed". Returns the exit status.
 *
 * With AddressSanitizer a test of more than ten rounds, and a heavy one, runs every fifth of them, beginning with another one in
 * each test: pairs of a stream and a dialect come in threes and eights, so every pair is run by some of the tests. FERRY_ROUNDS
 * (by part sanitizers of `make check-long`) and FERRY_LONG run all rounds. The rounds of a test share a process there, in which
 * descriptors and children are compared behind each round, and leaks are looked for behind the last. */
int suite_run(const char *name, const struct suite_test *tests, size_t count);

/* Whether FERRY_LONG is set (by `make check-long`): the full numbers. */
int suite_is_long(void);

/* @count, where FERRY_LONG is set; else a tenth of it, and with AddressSanitizer a thirtieth; 1 of ten or more at least. */
size_t suite_scale(size_t count);

/* A ck_assert that is cheaper where it is asked very often: it leaves no mark. */
#define SUITE_CHECK(condition, ...)                     \
        do {                                            \
                if (!(condition))                       \
                        ck_abort_msg(__VA_ARGS__);      \
        } while (0)

#define SUITE_MAIN(name, tests)                                                         \
        int main(void)                                                                  \
        {                                                                               \
                return suite_run(name, tests, sizeof(tests) / sizeof *(tests));         \
        }
