/* Numbers that look like random ones, the same for the same seed: splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
 * number generators"). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct random {
        uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
        uint64_t z = random->state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
}

/* Below @limit, which is not 0. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
        return random_next(random) % limit;
}

/* Between both, and both of them too. */
static inline int64_t random_between(struct random *random, int64_t least, int64_t most)
{
        return least + (int64_t)random_below(random, (uint64_t)(most - least) + 1);
}

/* True so often in a million. */
static inline bool random_is(struct random *random, unsigned in_million)
{
        return random_below(random, 1000000) < in_million;
}
