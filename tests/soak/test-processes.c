/* So many children, one after the other and some at a time: none is left, none has another's status, and no descriptor
 * stays open. The suite looks for the rest. */
#include "support/children.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Half of them forked, half spawned; a hundredth unless it may take long. */
enum { AT_A_TIME = 8, ALL = 100000, ROUNDS = 20 };

static void check_end(ferry_process *process, int result, void *userdata)
{
        SUITE_CHECK(result == *(int *)userdata, "%d, not %d: %s", result, *(int *)userdata, ferry_process_error(process));
        *(int *)userdata = -1;
}

START_TEST(none_leaves_anything_behind)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &(ferry_manager_options){ .running_max = AT_A_TIME });
        size_t count = suite_scale(ALL) / (suite_scale(ALL) == ALL ? 1 : 10) / ROUNDS;
        int before = count_descriptors(), *status = calloc(count, sizeof *status);

        for (size_t i = 0; i < count; i++) {
                char command[16];
                ferry_process *process;

                status[i] = (int)(i * 7 % 256);
                snprintf(command, sizeof command, "exit %d", status[i]);
                process = _i % 2 == 0 ? ferry_process_fork(manager, exit_with, &status[i], NULL) :
                                    ferry_process_spawn(manager, (const char *[]){ "sh", "-c", command, NULL }, NULL);
                SUITE_CHECK(ferry_process_status(process) == 1, "%s", ferry_process_error(process));
                ferry_process_then(process, check_end, &status[i]);
                SUITE_CHECK(count_descriptors() <= before + AT_A_TIME * 2, "%d descriptors", count_descriptors());
        }
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        for (size_t i = 0; i < count; i++)
                SUITE_CHECK(status[i] == -1, "the end of child %zu was not told", i);
        ck_assert_int_eq(count_descriptors(), before);
        ck_assert_ptr_null(ferry_manager_child(manager, NULL));
        free(status);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(none_leaves_anything_behind, ROUNDS),
};

SUITE_MAIN("processes", tests)
