#include "loop/spin.h"

enum {
        SPINNERS_MAX = 8,               /* of more than so many, some always wait for another process */
        LOOKS_PER_CLOCK = 32,
        YIELDS_MAX = 8,
        FAILURES_MAX = 6,               /* in a row, before one of 64 waits begins with a look */
};

void loop_spinner_start(ferry_loop *loop, struct loop_spinner *spinner)
{
        list_append(&loop->spinners, &spinner->link);
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
static enum loop_hope look(ferry_loop *loop, bool is_last)
{
        enum loop_hope best = LOOP_NEVER;

        list_for_each(&loop->spinners, link) {
                struct loop_spinner *spinner = container_of(link, struct loop_spinner, link);
                enum loop_hope hope = spinner->fn(spinner, is_last);

                if (hope < best)
                        best = hope;
        }
        return best;
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

/* What was looked at in vain is looked at less often. */
static void learn(ferry_loop *loop, bool is_ready)
{
        list_for_each(&loop->spinners, link) {
                struct loop_spinner *spinner = container_of(link, struct loop_spinner, link);

                if (is_ready)
                        spinner->failures = 0;
                else if (spinner->failures < FAILURES_MAX)
                        spinner->failures++;
                spinner->skips = (1u << spinner->failures) - 1;
        }
}

static bool spin(ferry_loop *loop, int64_t patience_ns)
{
        int64_t deadline = 0, now;
        int yields = 0;

        for (;;) {
                enum loop_hope hope = LOOP_NEVER;

                for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
                        hope = look(loop, false);
                        if (hope != LOOP_SOON)
                                break;
                        relax();
                }
                if (hope == LOOP_READY || hope == LOOP_NEVER || (hope == LOOP_YIELD && yields++ == YIELDS_MAX))
                        return hope == LOOP_READY;
                if (hope == LOOP_YIELD)
                        sys_yield();
                now = sys_now();
                if (deadline == 0)
                        deadline = now + patience_ns;
                else if (now >= deadline)
                        return false;
        }
}

int loop_spin(ferry_loop *loop, int timeout_ms)
{
        int64_t patience_ns = timeout_ms == 0 || list_is_empty(&loop->spinners) ? 0 : patience(loop);
        enum loop_hope hope;
        bool is_ready;

        if (patience_ns == 0)
                return timeout_ms;
        hope = look(loop, false);
        /* It is no failure that the other side sleeps. */
        if (hope == LOOP_NEVER || hope == LOOP_READY)
                return look(loop, true) == LOOP_READY || hope == LOOP_READY ? 0 : timeout_ms;
        is_ready = spin(loop, patience_ns);
        learn(loop, is_ready);
        return look(loop, true) == LOOP_READY || is_ready ? 0 : timeout_ms;
}
