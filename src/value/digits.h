/* Integers as decimal text, two digits at a time. */
#pragma once

#include <stdint.h>
#include <string.h>

/* "00", "01" to "99", one behind the other. */
extern const char digit_pairs[];

static inline unsigned count_digits(uint64_t number)
{
        for (unsigned count = 1;; count += 4, number /= 10000) {
                if (number < 10)
                        return count;
                if (number < 100)
                        return count + 1;
                if (number < 1000)
                        return count + 2;
                if (number < 10000)
                        return count + 3;
        }
}

/* Up to 20 bytes; returns what is behind them. */
static inline char *put_digits(char *at, uint64_t number)
{
        char *behind, *to;

        if (number < 10) {
                *at = (char)('0' + number);
                return at + 1;
        }
        behind = to = at + count_digits(number);
        for (; number >= 100; number /= 100)
                memcpy(to -= 2, &digit_pairs[number % 100 * 2], 2);
        if (number >= 10)
                memcpy(to - 2, &digit_pairs[number * 2], 2);
        else
                to[-1] = (char)('0' + number);
        return behind;
}

static inline char *put_integer(char *at, int64_t integer)
{
        if (integer >= 0)
                return put_digits(at, (uint64_t)integer);
        *at = '-';
        return put_digits(at + 1, 0 - (uint64_t)integer);
}
