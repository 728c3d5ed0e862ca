/* The code of the ring itself (src/ring/ring.c is compiled into this program) under a scheduler that decides which of two
 * threads makes the next access to shared memory, and when a store leaves the store buffer of its thread.
 *
 * A thread sees its own stores at once; the other one sees a store once it has left the buffer. A relaxed or plain store may
 * leave it in any order with those to other places; a release store leaves it after all that stand before it; a fence that is
 * sequentially consistent, and an exchange, wait until the buffer is empty. That is more than a store buffer of x86 does.
 * What it does not do is to let loads happen early, so an acquire load is no different from a relaxed one here:
 * ThreadSanitizer knows those.
 *
 * Each schedule is one run from the beginning. The plain one never interrupts a thread until it sleeps, and lets stores out at
 * once. All schedules are tried that deviate from it in at most so many places: an interruption, a store that stays in the
 * buffer, one that leaves it, a death of the writer. */
#include "ring/ring.h"

#include "support/suite.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* Threads ------------------------------------------------------------------------------------------------- */

enum { WRITER, READER, THREADS };
enum { STORES_MAX = 32, STACK = 1 << 16, CHOICES_MAX = 1 << 12, RING_MAX = 8, STEPS_MAX = 3000 };

struct store {
        unsigned char *place;
        uint32_t value;
        unsigned size;                  /* 1 or 4 bytes */
        bool is_release;
};

static struct thread {
        ucontext_t context;
        unsigned char stack[STACK];
        struct store stores[STORES_MAX];
        unsigned count;
        unsigned bell;                  /* bytes in its socket */
        bool is_sleeping, is_over, is_dead;
} threads[THREADS];

static ucontext_t main_context;
static int running;
static unsigned steps;
static char failure[200];

static _Alignas(RING_LINE) struct ring_shared ring_shared;
static unsigned char ring_bytes[RING_MAX];
static uint32_t ring_size;

/* Choices: what was chosen at each place of this run, and how many deviations are left. */
static struct choice {
        unsigned chosen, count;
} choices[CHOICES_MAX];
static unsigned choice_count, choice_at, deviations_left;
static bool may_die;

static void flaw(const char *what)
{
        if (!failure[0])
                snprintf(failure, sizeof failure, "%s", what);
}

/* 0 is the plain schedule; all else deviates from it. */
static unsigned choose(unsigned count)
{
        unsigned chosen;

        if (count < 2 || deviations_left == 0)
                return 0;
        if (choice_at == CHOICES_MAX) {
                flaw("too many choices");
                return 0;
        }
        if (choice_at == choice_count)
                choices[choice_count++] = (struct choice){ 0, count };
        chosen = choices[choice_at].chosen;
        /* What follows depends on nothing but the choices. */
        choices[choice_at++].count = count;
        deviations_left -= chosen != 0;
        return chosen;
}

/* Whether the store may leave the buffer before those in front of it. */
static bool may_leave(const struct thread *thread, unsigned index)
{
        const struct store *store = &thread->stores[index];

        for (unsigned i = 0; i < index; i++)
                if (store->is_release || thread->stores[i].place == store->place)
                        return false;
        return true;
}

static void let_out(struct thread *thread, unsigned index)
{
        const struct store *store = &thread->stores[index];

        if (store->size == 1)
                *store->place = (unsigned char)store->value;
        else
                memcpy(store->place, &store->value, 4);
        memmove(&thread->stores[index], &thread->stores[index + 1], (thread->count - index - 1) * sizeof *thread->stores);
        thread->count--;
}

static void let_all_out(struct thread *thread)
{
        while (thread->count > 0)
                let_out(thread, 0);
}

static void run_other(void)
{
        int before = running;

        running = 1 - running;
        swapcontext(&threads[before].context, &threads[running].context);
}

static bool can_run(int number)
{
        const struct thread *thread = &threads[number];

        return !thread->is_over && (!thread->is_sleeping || thread->bell > 0);
}

/* Before each access. */
static void step(void)
{
        struct thread *thread = &threads[running];
        unsigned deaths = may_die && running == WRITER ? 2 : 0, leaving = 0, chosen, other = can_run(1 - running);

        if (++steps > STEPS_MAX)
                flaw("no end");
        if (failure[0])
                setcontext(&main_context);
        for (unsigned i = 0; i < thread->count; i++)
                leaving += may_leave(thread, i);
        chosen = choose(1 + other + deaths + leaving);
        if (chosen == 0)
                return;
        chosen--;
        if (other && chosen-- == 0) {
                run_other();
                return;
        }
        if (chosen < deaths) {
                /* A processor still makes the stores of what has run; a machine that did not would be no surprise. */
                if (chosen == 0)
                        let_all_out(thread);
                thread->count = 0;
                thread->is_dead = thread->is_over = true;
                threads[READER].bell++;
                run_other();
                return;
        }
        chosen -= deaths;
        for (unsigned i = 0; i < thread->count; i++)
                if (may_leave(thread, i) && chosen-- == 0) {
                        let_out(thread, i);
                        return;
                }
}

/* Memory -------------------------------------------------------------------------------------------------- */

static uint32_t load(const void *place, unsigned size)
{
        struct thread *thread = &threads[running];
        uint32_t value = 0;

        step();
        for (unsigned i = thread->count; i-- > 0;)
                if (thread->stores[i].place == place)
                        return thread->stores[i].value;
        memcpy(&value, place, size);
        return value;
}

static void store(void *place, uint32_t value, unsigned size, bool is_release)
{
        struct thread *thread = &threads[running];
        unsigned index;

        step();
        if (thread->count == STORES_MAX)
                let_out(thread, 0);
        index = thread->count;
        thread->stores[thread->count++] = (struct store){ place, value, size, is_release };
        /* The plain schedule lets it out at once, if it may. */
        if (may_leave(thread, index) && choose(2) == 0)
                let_out(thread, index);
}

static uint32_t sim_load(const _Atomic uint32_t *place, memory_order order)
{
        (void)order;
        return load((const void *)place, 4);
}

static void sim_store(_Atomic uint32_t *place, uint32_t value, memory_order order)
{
        store((void *)place, value, 4, order == memory_order_release || order == memory_order_seq_cst);
}

static uint32_t sim_exchange(_Atomic uint32_t *place, uint32_t value, memory_order order)
{
        uint32_t before;

        (void)order;
        step();
        let_all_out(&threads[running]);
        memcpy(&before, (void *)place, 4);
        memcpy((void *)place, &value, 4);
        return before;
}

static void sim_fence(memory_order order)
{
        step();
        if (order == memory_order_seq_cst)
                let_all_out(&threads[running]);
}

static bool is_of_ring(const unsigned char *place)
{
        return place >= ring_bytes && place < ring_bytes + RING_MAX;
}

static void *sim_copy(void *to, const void *from, size_t size)
{
        unsigned char *in = to;
        const unsigned char *out = from;

        if ((is_of_ring(in) && in + size > ring_bytes + ring_size) || (is_of_ring(out) && out + size > ring_bytes + ring_size)) {
                flaw("an access outside of the ring");
                setcontext(&main_context);
        }
        for (size_t i = 0; i < size; i++) {
                unsigned char byte = is_of_ring(out) ? (unsigned char)load(out + i, 1) : out[i];

                if (is_of_ring(in))
                        store(in + i, byte, 1, false);
                else
                        in[i] = byte;
        }
        return to;
}

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_thread_fence
#define atomic_load_explicit sim_load
#define atomic_store_explicit sim_store
#define atomic_exchange_explicit sim_exchange
#define atomic_thread_fence sim_fence
#define memcpy sim_copy
/* A mutated copy of it, for tests/ring/mutants.sh. */
#ifndef RING_SOURCE
#define RING_SOURCE "ring/ring.c"
#endif
#include RING_SOURCE
#undef memcpy

/* What the threads do --------------------------------------------------------------------------------------- */

struct scenario {
        uint32_t size;
        uint32_t begin;                 /* where the numbers of the ring begin */
        unsigned count;                 /* bytes */
        unsigned write_size, read_size;
        bool is_closed;                 /* at the end; else the writer stays, and the reader knows the number */
        bool may_die;
        int hostile;                    /* the side that stores anything */
        bool has_hostile;
};

static const struct scenario *scenario;
static unsigned received;

static void wake(int number)
{
        threads[number].bell++;
}

static void sleep_until_woken(void)
{
        struct thread *thread = &threads[running];

        step();
        /* A system call takes long. */
        let_all_out(thread);
        thread->is_sleeping = true;
        while (thread->bell == 0) {
                if (!can_run(1 - running)) {
                        flaw("both sleep, or the one does and the other has come to its end");
                        setcontext(&main_context);
                }
                run_other();
        }
        thread->bell = 0;
        thread->is_sleeping = false;
}

static void finish(void)
{
        let_all_out(&threads[running]);
        threads[running].is_over = true;
        if (can_run(1 - running))
                run_other();
        if (threads[1 - running].is_sleeping)
                flaw("one sleeps, and the other has come to its end");
        setcontext(&main_context);
}

static void write_all(void)
{
        struct ring_writer writer;
        unsigned sent = 0;

        ring_writer_init(&writer, &ring_shared, ring_bytes, ring_size);
        writer.tail = writer.head = scenario->begin;
        while (sent < scenario->count) {
                unsigned char bytes[RING_MAX];
                struct iovec piece = { .iov_base = bytes };
                bool wakes = false;
                ssize_t put;

                piece.iov_len = scenario->count - sent < scenario->write_size ? scenario->count - sent : scenario->write_size;
                for (unsigned i = 0; i < piece.iov_len; i++)
                        bytes[i] = (unsigned char)(sent + i + 1);
                put = ring_write(&writer, &piece, 1, &wakes);
                if (wakes)
                        wake(READER);
                if (put > (ssize_t)ring_size)
                        flaw("more was written than the ring holds");
                if (put > 0)
                        sent += (unsigned)put;
                else if (scenario->has_hostile)
                        break;
                else if (put != -EAGAIN)
                        flaw("the writer failed");
                else if (ring_writer_sleep(&writer)) {
                        sleep_until_woken();
                        ring_writer_wake(&writer);
                }
        }
        if (scenario->is_closed && ring_close(&writer))
                wake(READER);
        finish();
}

static void read_all(void)
{
        struct ring_reader reader;

        ring_reader_init(&reader, &ring_shared, ring_bytes, ring_size);
        reader.tail = reader.head = scenario->begin;
        for (;;) {
                unsigned char bytes[RING_MAX];
                bool wakes = false, was_dead = threads[WRITER].is_dead;
                ssize_t got = ring_read(&reader, bytes, scenario->read_size, &wakes);

                if (wakes)
                        wake(WRITER);
                for (ssize_t i = 0; i < got && !scenario->has_hostile; i++)
                        if (bytes[i] != (unsigned char)(++received))
                                flaw("another byte");
                if (got > 0 && !scenario->is_closed && received == scenario->count)
                        break;
                if (got == 0) {
                        if (!scenario->has_hostile && received != scenario->count)
                                flaw("an early end");
                        break;
                }
                if (got == -EBADMSG) {
                        if (!scenario->has_hostile)
                                flaw("a ring is broken that is not");
                        break;
                }
                if (got != -EAGAIN)
                        continue;
                if (was_dead || scenario->has_hostile)
                        break;
                if (ring_reader_sleep(&reader)) {
                        sleep_until_woken();
                        ring_reader_wake(&reader);
                }
        }
        finish();
}

/* Numbers that are right and wrong, at any time. */
static void store_anything(void)
{
        static const uint32_t numbers[] = { 1, 2, 100, 2, 0x80000000, 3 };

        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                sim_store(running == WRITER ? &ring_shared.tail : &ring_shared.head, scenario->begin + numbers[i], memory_order_release);
        finish();
}

/* All schedules --------------------------------------------------------------------------------------------- */

static void prepare(struct thread *thread, void (*run)(void))
{
        thread->count = thread->bell = 0;
        thread->is_sleeping = thread->is_over = thread->is_dead = false;
        getcontext(&thread->context);
        thread->context.uc_stack.ss_sp = thread->stack;
        thread->context.uc_stack.ss_size = STACK;
        thread->context.uc_link = NULL;
        makecontext(&thread->context, run, 0);
}

static void run_once(void)
{
        memset(&ring_shared, 0, sizeof ring_shared);
        /* atomic_init() may be made of what is replaced. */
        memcpy((void *)&ring_shared.tail, &scenario->begin, 4);
        memcpy((void *)&ring_shared.head, &scenario->begin, 4);
        memset(ring_bytes, 0, sizeof ring_bytes);
        ring_size = scenario->size;
        may_die = scenario->may_die;
        steps = received = 0;
        choice_at = 0;
        prepare(&threads[WRITER], scenario->has_hostile && scenario->hostile == WRITER ? store_anything : write_all);
        prepare(&threads[READER], scenario->has_hostile && scenario->hostile == READER ? store_anything : read_all);
        running = WRITER;
        swapcontext(&main_context, &threads[WRITER].context);
}

/* Returns how many. */
static unsigned long run_all(unsigned deviations)
{
        unsigned long runs = 0;

        choice_count = 0;
        failure[0] = '\0';
        for (;;) {
                deviations_left = deviations;
                run_once();
                runs++;
                if (failure[0])
                        return runs;
                choice_count = choice_at;
                /* The next one: the last choice that has another. */
                while (choice_count > 0 && choices[choice_count - 1].chosen + 1 >= choices[choice_count - 1].count)
                        choice_count--;
                if (choice_count == 0)
                        return runs;
                choices[choice_count - 1].chosen++;
        }
}

static const struct scenario scenarios[] = {
        { .size = 2, .count = 3, .write_size = 1, .read_size = 2 },
        { .size = 2, .count = 5, .write_size = 2, .read_size = 1, .is_closed = true, .begin = UINT32_MAX },
        { .size = 4, .count = 6, .write_size = 3, .read_size = 4, .is_closed = true, .begin = UINT32_MAX - 2 },
        { .size = 4, .count = 9, .write_size = 4, .read_size = 3 },
        { .size = 2, .count = 3, .write_size = 2, .read_size = 2, .is_closed = true, .may_die = true },
        { .size = 4, .read_size = 8, .has_hostile = true, .hostile = WRITER, .begin = UINT32_MAX - 1 },
        { .size = 4, .count = 9, .write_size = 8, .has_hostile = true, .hostile = READER, .begin = UINT32_MAX - 1 },
        { .size = 1, .count = 2, .write_size = 1, .read_size = 1, .is_closed = true },
};
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

START_TEST(every_schedule_ends_well)
{
        unsigned long runs;

        scenario = &scenarios[_i];
        runs = run_all(suite_is_long() ? 4 : 3);
        ck_assert_msg(!failure[0], "scenario %d, schedule %lu: %s", _i, runs, failure);
        ck_assert_uint_gt(runs, 50);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(every_schedule_ends_well, SCENARIOS),
};

SUITE_MAIN("ring-schedule", tests)
