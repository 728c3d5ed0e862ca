/* A script as a child, which reports with the tool. Apart from the others, so that AddressSanitizer needs no tool of its own. */
#include "support/children.h"
#include "support/suite.h"

#include <ferry/ferry.h>

/* Each of the commands that a script runs is a session of its own, which only writes. */
START_TEST(a_script_reports_how_it_goes)
{
        static const char *const argv[] = {
                "sh", "-c", "for i in 0 1 2 3; do \"$0\" notify --value fd:,$FERRY_FD progress $i || exit 1; done; exit 6",
                BUILD_DIRECTORY "/ferry", NULL };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_spawn(manager, argv, NULL);
        int counted = 0;

        ferry_session_on(ferry_process_session(process), FERRY_KIND_NOTIFICATION, count_in_order, &counted);
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), 0);
        ck_assert_int_eq(result_of(process), 6);
        ck_assert_int_eq(counted, 4);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_script_reports_how_it_goes),
};

SUITE_MAIN("script", tests)
