/* Which rows are measured, times, and what is read from many of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What was measured of one side at one place: nanoseconds for one message each. */
struct side {
        double *samples;
        size_t count;
        int same_cpu;           /* rounds that ended with both on one CPU */
};

double now(void);

/* Sorts the samples. */
double percentile(double *samples, size_t count, double share);

/* The median; leaves the order of the samples as it is. */
double median_of(const double *samples, size_t count);

/* Whether a row of the table is chosen: it matches a pattern of fnmatch(3), or there are none. */
bool matches_pattern(const char *name, char *patterns[]);

/* Zeroed memory; the program ends where there is none. */
void *allocate(size_t size);

/* Three columns: p50, p99 and the minimum, in microseconds. */
void print_side(struct side *side);

/* The median over blocks of a run, and the quartiles; blocks 0: nothing was measured. */
struct spread {
        double median, low, high;
        size_t blocks;
};

/* Sorts @values. */
struct spread spread_of(double *values, size_t count);
