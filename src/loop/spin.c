/* Invariant: a spinner that is started is awake, and each sleep of the process is preceded by its last look. */
#include "loop/spin.h"

enum {
        SPINNERS_MAX = 8,               /* of more than so many that are awake, some always wait for another process */
        LOOKS_PER_CLOCK = 32,
        YIELDS_MAX = 8,
        FAILURES_MAX = 6,               /* after which one of 64 waits begins with a look */
        SUCCESSES_PER_FAILURE = 16,     /* looks that were not in vain, after which one that was no longer counts */
        PREEMPTED_NS = 1000000,         /* for so long nothing but another process keeps this one from looking at the clock */
        GLANCE_NS = 50000,              /* for so long descriptors are not looked at while there is something to do, or hope for it */
};

bool loop_spinner_start(ferry_loop *loop, struct loop_spinner *spinner)
{
        if (spinner->link.next && !list_is_empty(&spinner->link))
                return true;
        /* Outside of a round a program that polls could sleep at once. */
        if (loop->depth == 0 && loop->timer >= 0)
                return false;
        list_append(&loop->spinners, &spinner->link);
        return true;
}

void loop_spinner_stop(struct loop_spinner *spinner)
{
        if (spinner->link.next)
                list_remove(&spinner->link);
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb" ::: "memory");
#endif
}

/* The best that can be hoped for. */
static enum loop_hope look(ferry_loop *loop)
{
        enum loop_hope best = LOOP_NEVER;

        list_for_each(&loop->spinners, link) {
                struct loop_spinner *spinner = container_of(link, struct loop_spinner, link);
                enum loop_hope hope = spinner->fn(spinner, false);

                if (hope < best)
                        best = hope;
        }
        return best;
}

/* Whether there is nothing to do: then all sleep. */
static bool fall_asleep(ferry_loop *loop)
{
        bool is_ready = false;

        list_for_each(&loop->spinners, link) {
                struct loop_spinner *spinner = container_of(link, struct loop_spinner, link);

                if (spinner->fn(spinner, true) == LOOP_READY)
                        is_ready = true;
                else
                        list_remove(link);
        }
        return !is_ready;
}

void loop_fall_asleep(ferry_loop *loop)
{
        if (!list_is_empty(&loop->spinners) && !loop_is_foreign(loop))
                fall_asleep(loop);
}

/* For how long to look; 0: not at all. */
static int64_t patience(const ferry_loop *loop)
{
        int64_t longest = 0;
        int count = 0;

        list_for_each(&loop->spinners, link) {
                struct loop_spinner *spinner = container_of(link, struct loop_spinner, link);

                if (++count > SPINNERS_MAX)
                        return 0;
                if (spinner->skips > 0)
                        spinner->skips--;
                else if (spinner->patience_ns > longest)
                        longest = spinner->patience_ns;
        }
        return longest;
}

/* What is looked at in vain is looked at less often. Where more processes would run than there are processors, a side that looks uses
 * up its share, and then waits longer than one that sleeps. */
static void learn(ferry_loop *loop, bool is_ready, bool is_preempted)
{
        list_for_each(&loop->spinners, link) {
                struct loop_spinner *spinner = container_of(link, struct loop_spinner, link);

                if (is_preempted)
                        spinner->failures = FAILURES_MAX;
                else if (!is_ready && spinner->failures < FAILURES_MAX)
                        spinner->failures++;
                spinner->successes = is_ready && !is_preempted ? spinner->successes + 1 : 0;
                if (spinner->successes == SUCCESSES_PER_FAILURE) {
                        spinner->failures -= spinner->failures > 0;
                        spinner->successes = 0;
                }
                spinner->skips = (1u << spinner->failures) - 1;
        }
}

/* The descriptors wait while one thing after another is to be done in memory, but not for long. */
static enum loop_next go_on(ferry_loop *loop, int64_t now)
{
        if (now == 0)
                now = sys_now();
        if (loop->skipping_since == 0)
                loop->skipping_since = now;
        return now - loop->skipping_since < GLANCE_NS ? LOOP_SKIP : LOOP_GO_ON;
}

static enum loop_next sleep_or_go_on(ferry_loop *loop)
{
        return fall_asleep(loop) ? LOOP_SLEEP : LOOP_GO_ON;
}

/* Until something comes, or for so long that it is time to look at the clock. */
static enum loop_hope look_closely(ferry_loop *loop)
{
        enum loop_hope hope = LOOP_NEVER;

        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
                hope = look(loop);
                if (hope != LOOP_SOON)
                        return hope;
                relax();
        }
        return hope;
}

/* LOOP_SOON when a slice of the wait is over, LOOP_NEVER when it was in vain. */
static enum loop_hope spin(ferry_loop *loop, int64_t patience_ns, int64_t *until, bool *is_preempted)
{
        int64_t slice_end = 0, before = 0;
        int yields = 0;

        for (;;) {
                enum loop_hope hope = look_closely(loop);
                int64_t now;

                if (hope == LOOP_READY || hope == LOOP_NEVER || (hope == LOOP_YIELD && yields++ == YIELDS_MAX))
                        return hope == LOOP_READY ? LOOP_READY : LOOP_NEVER;
                if (hope == LOOP_YIELD)
                        sys_yield();
                now = sys_now();
                if (before > 0 && now - before >= PREEMPTED_NS)
                        return *is_preempted = true, LOOP_NEVER;
                before = now;
                if (*until == 0)
                        *until = now + patience_ns;
                else if (now >= *until)
                        return LOOP_NEVER;
                if (slice_end == 0)
                        slice_end = now + GLANCE_NS;
                else if (now >= slice_end)
                        return LOOP_SOON;
        }
}

enum loop_next loop_spin(ferry_loop *loop, int timeout_ms, int64_t now, int64_t *until)
{
        bool is_first = *until == 0, is_preempted = false;
        int64_t patience_ns = 0;
        enum loop_hope hope;

        if (list_is_empty(&loop->spinners))
                return LOOP_SLEEP;
        if (timeout_ms == 0)
                return look(loop) == LOOP_READY ? LOOP_GO_ON : LOOP_SLEEP;
        if (is_first) {
                hope = look(loop);
                if (hope == LOOP_READY)
                        return go_on(loop, now);
                /* It is no failure that the other side sleeps. */
                patience_ns = hope == LOOP_NEVER ? 0 : patience(loop);
                if (patience_ns == 0)
                        return sleep_or_go_on(loop);
        }
        hope = spin(loop, patience_ns, until, &is_preempted);
        if (hope == LOOP_SOON)
                return LOOP_GLANCE;
        learn(loop, hope == LOOP_READY, is_preempted);
        return hope == LOOP_READY ? go_on(loop, is_first ? now : 0) : sleep_or_go_on(loop);
}
