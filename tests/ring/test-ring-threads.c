/* Both ends of the rings as threads over one mapping. Built with ThreadSanitizer too, which sees each byte that is read or
 * written without the order that `tail` and `head` give. */
#include "ring/traffic.h"

#include "support/suite.h"

#include <pthread.h>
#include <string.h>

enum { MESSAGES = 2000000, MESSAGES_BOTH_WAYS = 1000000 };

static void *send_all(void *traffic)
{
        traffic_send(traffic);
        return NULL;
}

static void *receive_all(void *traffic)
{
        traffic_receive(traffic);
        return NULL;
}

struct side {
        struct traffic out, in;
};

static void *exchange_all(void *side)
{
        struct side *both = side;

        traffic_exchange(&both->out, &both->in);
        return NULL;
}

/* A ring that is nearly always full, and one that is nearly always empty; sleeping at once, and looking before. */
static const struct {
        uint32_t size;
        int64_t patience_ns;
} cases[] = { { RING_SIZE_MIN, 0 }, { 1 << 18, 0 }, { RING_SIZE_MIN, 50000 }, { 1 << 18, 50000 } };

START_TEST(messages_of_one_thread_reach_the_other)
{
        struct ring_duplex duplexes[2];
        struct traffic out = { .count = suite_scale(MESSAGES), .seed = 1, .patience_ns = cases[_i].patience_ns }, in = out;
        pthread_t threads[2];

        traffic_open_together(duplexes, cases[_i].size);
        out.duplex = &duplexes[0];
        in.duplex = &duplexes[1];
        ck_assert_int_eq(pthread_create(&threads[0], NULL, send_all, &out), 0);
        ck_assert_int_eq(pthread_create(&threads[1], NULL, receive_all, &in), 0);
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
        ck_assert_str_eq(out.failure, "");
        ck_assert_str_eq(in.failure, "");
        ck_assert_uint_eq(in.done, in.count);
        traffic_close(&duplexes[1]);
        traffic_close(&duplexes[0]);
}
END_TEST

START_TEST(messages_cross)
{
        struct ring_duplex duplexes[2];
        struct side sides[2];
        pthread_t threads[2];

        traffic_open_together(duplexes, cases[_i].size);
        for (int i = 0; i < 2; i++) {
                sides[i].out = (struct traffic){ .duplex = &duplexes[i], .count = suite_scale(MESSAGES_BOTH_WAYS), .seed = (unsigned)i,
                                                 .patience_ns = cases[_i].patience_ns };
                sides[i].in = sides[i].out;
                sides[i].in.seed = (unsigned)(1 - i);
        }
        for (int i = 0; i < 2; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, exchange_all, &sides[i]), 0);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        for (int i = 0; i < 2; i++) {
                ck_assert_str_eq(sides[i].out.failure, "");
                ck_assert_str_eq(sides[i].in.failure, "");
                ck_assert_uint_eq(sides[i].in.done, sides[i].in.count);
        }
        traffic_close(&duplexes[1]);
        traffic_close(&duplexes[0]);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(messages_of_one_thread_reach_the_other, 4),
        SUITE_LOOP(messages_cross, 4),
};

SUITE_MAIN("ring-threads", tests)
