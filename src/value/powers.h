/* Powers of ten with 128 bits, for doubles as text and back. */
#pragma once

#include <stdint.h>

enum {
        POWER_LEAST = -342,     /* with a mantissa of 64 bits what is below is 0 */
        POWER_MOST = 324,
        POWER_EXACT_MOST = 55,  /* from 0 to here nothing is cut off */
};

/* The upper bits, the first of which is set. */
struct power {
        uint64_t high;
        uint64_t low;
};

extern const struct power powers[POWER_MOST - POWER_LEAST + 1];

/* 10^exponent is what stands in the table times 2 to this, or, where bits are cut off, less than one unit more. */
static inline int power_scale(int exponent)
{
        /* 217706 / 65536 is log2(10), near enough for the whole table; the shift rounds down. */
        return (exponent * 217706 >> 16) - 127;
}

static inline const struct power *power_of_ten(int exponent)
{
        return &powers[exponent - POWER_LEAST];
}
