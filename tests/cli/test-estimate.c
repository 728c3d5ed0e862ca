/* The time that is left of a run, as its bar shows it. */
#include "../../cli/cli.h"
#include "support/suite.h"

#include <string.h>

static double left(double all, double over, double workers, double ended, double now)
{
        return estimate_left(&(struct estimate){ .all = all, .over = over, .workers = workers, .ended = ended, .now = now });
}

START_TEST(the_pace_so_far_is_continued)
{
        ck_assert_double_eq(left(20, 5, 1, 10, 10), 30);
        ck_assert_double_eq(left(2, 1, 1, 0.5, 0.5), 0.5);
        /* While no task ends the time goes on. */
        ck_assert_double_eq(left(20, 5, 1, 10, 14), 26);
        ck_assert_double_eq(left(20, 5, 1, 10, 90), 0);
}
END_TEST

START_TEST(nothing_is_said_where_nothing_is_known)
{
        ck_assert_double_lt(left(20, 0, 1, 0, 10), 0);
        ck_assert_double_lt(left(0, 0, 1, 0, 10), 0);
        ck_assert_double_lt(left(20, 20, 1, 10, 10), 0);
        ck_assert_double_lt(left(10, 20, 1, 10, 10), 0);
        ck_assert_double_lt(left(20, 3, 4, 10, 10), 0);
        ck_assert_double_ge(left(20, 4, 4, 10, 10), 0);
        /* More workers than tasks. */
        ck_assert_double_ge(left(6, 3, 100, 10, 10), 0);
}
END_TEST

START_TEST(a_time_is_rounded_to_what_matters)
{
        static const struct {
                double seconds;
                const char *text;
        } cases[] = {
                { 0, "1 s left" }, { 0.2, "1 s left" }, { 1.2, "2 s left" }, { 59, "59 s left" }, { 59.5, "1 min 00 s left" },
                { 187, "3 min 07 s left" }, { 3599, "59 min 59 s left" }, { 3600, "1 h 00 min left" }, { 86399, "23 h 59 min left" },
                { 86400, "1 d 00 h left" }, { 8e8, "9259 d 06 h left" }, { 9e8, "more than 9999 d left" }, { 1e300, "more than 9999 d left" },
        };
        char text[ESTIMATE_SIZE];

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                estimate_describe(cases[i].seconds, text);
                ck_assert_str_eq(text, cases[i].text);
        }
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(the_pace_so_far_is_continued),
        SUITE_TEST(nothing_is_said_where_nothing_is_known),
        SUITE_TEST(a_time_is_rounded_to_what_matters),
};

SUITE_MAIN("estimate", tests)
