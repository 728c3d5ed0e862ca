/* The library over a cluster of NATS servers in memory (simulation/programs.h), with deaths and losses of all kinds: what callers and
 * workers have noted must agree. That a broken rule would be found is shown by servers and programs that break one. A seed that
 * fails is tried again by `build-check/gcc/tests/simulate --seed N`, or here with FERRY_SEED=N. */
#include "simulation/programs.h"

#include "simulation/journal.h"
#include "simulation/memory.h"
#include "support/suite.h"

#include <stdlib.h>

enum { SEEDS = 4 };

static uint64_t seed_of(int round)
{
        const char *given = getenv("FERRY_SEED");

        return given ? strtoull(given, NULL, 10) : (uint64_t)round + 1;
}

static struct simulation small(int round)
{
        return (struct simulation){ .seed = seed_of(round), .tasks = 2500, .workers = 50, .hosts = 5, .callers = 4, .servers = 3,
                                    .in_flight = 30, .work_least = 1, .work_most = 40, .timeout = 5000, .patience = 20000,
                                    .worker_death_mean = 20000, .host_death_mean = 60000, .cut_mean = 20000,
                                    .server_death_mean = 60000, .server_end_mean = 60000, .silence_most = 3000, .late = 1000, .room = 300, .is_leaving = round >= 2, .rest = 500, .beat = 500,
                                    .places = 1, .busy = 5000, .wait = 1000,
                                    /* Sessions connect again, or programs open new ones. */
                                    .reconnect = round % 2 == 0 ? 100000000 : 0 };
}

/* The same with the pools of managers; places are free less often, so that there are refusals. */
static struct simulation small_pool(int round)
{
        struct simulation simulation = small(round);

        simulation.is_pool = 1;
        simulation.workers = round % 2 == 0 ? 50 : 10;
        simulation.places = round % 2 == 0 ? 1 : 3;
        simulation.worker_death_mean = 5000;
        simulation.in_flight = 40;
        return simulation;
}

/* What the rules are about has happened. */
static void expect_all_kinds(struct simulation simulation)
{
        struct simulation_figures figures;
        struct journal_counts counts;

        if (suite_is_long()) {
                simulation.tasks = 250000;
                simulation.worker_death_mean = 20000;
                simulation.workers = 1000;
                simulation.hosts = 50;
                simulation.callers = 20;
                simulation.in_flight = 600;
        }
        ck_assert_uint_eq(simulate(&simulation, &figures), 0);
        counts = journal_count();
        ck_assert_uint_gt(figures.worker_deaths, 0);
        ck_assert_uint_gt(counts.tasks[FERRY_OUTCOME_REPLIED], simulation.tasks / 2);
        ck_assert_uint_gt(counts.tasks[FERRY_OUTCOME_UNKNOWN], 0);
        ck_assert_uint_gt(simulation.is_pool ? figures.refusals : counts.attempts[FERRY_OUTCOME_NOT_EXECUTED], 0);
        ck_assert_uint_gt(counts.unknown_ran, 0);
        ck_assert_uint_lt(counts.unknown_ran, counts.attempts[FERRY_OUTCOME_UNKNOWN]);
        journal_end();
}

START_TEST(each_task_ends_once_by_both_accounts)
{
        expect_all_kinds(small(_i));
}
END_TEST

START_TEST(each_task_of_a_pool_ends_once_by_both_accounts)
{
        expect_all_kinds(small_pool(_i));
}
END_TEST

START_TEST(a_task_of_a_pool_ends_within_its_limits)
{
        struct simulation simulation = small_pool(_i);
        struct simulation_figures figures;

        /* More than there are places for. */
        simulation.in_flight = 200;
        simulation.queue = 1000;
        ck_assert_uint_eq(simulate(&simulation, &figures), 0);
        ck_assert_uint_gt(journal_count().attempts[FERRY_OUTCOME_NOT_EXECUTED], 0);
        journal_end();
}
END_TEST

START_TEST(a_pool_gives_up_only_what_was_refused_for_its_time)
{
        struct simulation simulation = small_pool(0);
        struct simulation_figures figures;

        simulation.seed = seed_of(_i);
        simulation.tasks = 300;
        simulation.workers = simulation.hosts = 1;
        simulation.in_flight = 2;
        simulation.worker_death_mean = 500;
        simulation.busy = 300;
        simulation.wait = 100;
        ck_assert_uint_eq(simulate(&simulation, &figures), 0);
        ck_assert_uint_gt(journal_count().attempts[FERRY_OUTCOME_NOT_EXECUTED], 0);
        journal_end();
}
END_TEST

START_TEST(a_pool_keeps_many_workers_busy)
{
        struct simulation simulation = { .seed = seed_of(0), .tasks = 20000, .workers = 200, .hosts = 1, .callers = 1 + 3 * (unsigned)_i,
                                         .servers = 3, .in_flight = 300, .work_least = 20, .work_most = 20, .timeout = 5000,
                                         .patience = 20000, .places = 1, .is_leaving = 1, .is_pool = 1, .busy = 5000, .wait = 1000,
                                         .room = 16384, .rest = 500, .beat = 500, .reconnect = 100000000 };
        struct simulation_figures figures;

        ck_assert_uint_eq(simulate(&simulation, &figures), 0);
        /* The part of the time of all workers for which these were at work, on a clock that no load changes. */
        ck_assert_double_gt((double)simulation.tasks * 0.020 / figures.seconds / simulation.workers, 0.7);
        ck_assert_uint_lt(figures.refusals, simulation.tasks);
        journal_end();
}
END_TEST

START_TEST(each_task_is_done_where_nothing_dies)
{
        struct simulation simulation = _i < 2 ? small(_i) : small_pool(_i);
        struct simulation_figures figures;

        simulation.worker_death_mean = simulation.host_death_mean = simulation.cut_mean = simulation.server_death_mean = 0;
        simulation.server_end_mean = 0;
        ck_assert_uint_eq(simulate(&simulation, &figures), 0);
        ck_assert_uint_eq(journal_count().tasks[FERRY_OUTCOME_REPLIED], simulation.tasks);
        journal_end();
}
END_TEST

START_TEST(a_task_without_workers_is_not_executed)
{
        struct simulation simulation = small(0);
        struct simulation_figures figures;

        /* They are cut once in a millisecond, and come back after 100. */
        simulation.tasks = 100;
        simulation.cut_mean = 1;
        simulation.silence_most = 0;
        simulation.patience = 200;
        ck_assert_uint_eq(simulate(&simulation, &figures), 0);
        ck_assert_uint_gt(journal_count().tasks[FERRY_OUTCOME_NOT_EXECUTED], 0);
        journal_end();
}
END_TEST

START_TEST(a_run_is_the_same_for_the_same_seed)
{
        struct simulation simulation = _i == 0 ? small(0) : small_pool(0);
        struct simulation_figures first, second, other;

        simulation.tasks = 500;
        /* What takes its chance from addresses does not happen then: connecting again, and pauses behind refusals. */
        if (!memory_is_alike()) {
                simulation.reconnect = 0;
                simulation.places = simulation.in_flight;
        }
        ck_assert_uint_eq(simulate(&simulation, &first), 0);
        ck_assert_uint_eq(simulate(&simulation, &second), 0);
        simulation.seed++;
        ck_assert_uint_eq(simulate(&simulation, &other), 0);
        ck_assert_uint_eq(first.trace, second.trace);
        ck_assert_uint_ne(first.trace, other.trace);
        journal_end();
}
END_TEST

/* Not every run meets what is wrong. */
static void expect_to_find(struct simulation simulation)
{
        enum { RUNS = 8 };
        struct simulation_figures figures;
        uint64_t broken = 0;

        simulation.is_quiet = true;
        for (int i = 0; i < RUNS && broken == 0; i++) {
                simulation.seed = seed_of(i);
                broken = simulate(&simulation, &figures);
                journal_end();
        }
        ck_assert_uint_gt(broken, 0);
}

START_TEST(a_server_that_delivers_what_it_has_refused_is_found)
{
        struct simulation simulation = small(0);

        simulation.server_mutant = SERVER_DELIVERS_BEHIND_503;
        expect_to_find(simulation);
}
END_TEST

START_TEST(a_server_that_delivers_twice_is_found)
{
        struct simulation simulation = small(0);

        simulation.server_mutant = SERVER_DELIVERS_TWICE;
        expect_to_find(simulation);
}
END_TEST

START_TEST(a_caller_that_sends_what_is_unknown_again_is_found)
{
        struct simulation simulation = small(0);

        simulation.program_mutant = CALLER_SENDS_AGAIN;
        expect_to_find(simulation);
}
END_TEST

START_TEST(a_worker_that_refuses_what_it_runs_is_found)
{
        struct simulation simulation = small(0);

        simulation.program_mutant = WORKER_REFUSES_WHAT_IT_RUNS;
        expect_to_find(simulation);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(each_task_ends_once_by_both_accounts, SEEDS),
        SUITE_LOOP(each_task_of_a_pool_ends_once_by_both_accounts, SEEDS),
        SUITE_LOOP(a_task_of_a_pool_ends_within_its_limits, 2),
        SUITE_LOOP(a_pool_gives_up_only_what_was_refused_for_its_time, SEEDS),
        SUITE_LOOP(a_pool_keeps_many_workers_busy, 2),
        SUITE_LOOP(each_task_is_done_where_nothing_dies, 4),
        SUITE_TEST(a_task_without_workers_is_not_executed),
        SUITE_LOOP(a_run_is_the_same_for_the_same_seed, 2),
        SUITE_TEST(a_server_that_delivers_what_it_has_refused_is_found),
        SUITE_TEST(a_server_that_delivers_twice_is_found),
        SUITE_TEST(a_caller_that_sends_what_is_unknown_again_is_found),
        SUITE_TEST(a_worker_that_refuses_what_it_runs_is_found),
};

SUITE_MAIN("simulation", tests)
