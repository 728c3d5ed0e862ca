#include "samples.h"

#include <err.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double now(void)
{
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

double percentile(double *samples, size_t count, double share)
{
        size_t at = (size_t)((double)count * share);

        qsort(samples, count, sizeof *samples, compare);
        return samples[at < count ? at : count - 1];
}

void *allocate(size_t size)
{
        void *memory = calloc(1, size);

        if (!memory)
                err(1, "calloc");
        return memory;
}

double median_of(const double *samples, size_t count)
{
        double *copy = allocate(count * sizeof *copy), median;

        memcpy(copy, samples, count * sizeof *copy);
        median = percentile(copy, count, 0.5);
        free(copy);
        return median;
}

void print_side(struct side *side)
{
        double p50 = percentile(side->samples, side->count, 0.5), p99 = percentile(side->samples, side->count, 0.99);

        printf("  %9.3f %9.3f %9.3f", p50 / 1e3, p99 / 1e3, side->samples[0] / 1e3);
}

struct spread spread_of(double *values, size_t count)
{
        if (count == 0)
                return (struct spread){ 0 };
        qsort(values, count, sizeof *values, compare);
        return (struct spread){ .median = values[count / 2], .low = values[count / 4],
                                .high = values[count - 1 - count / 4], .blocks = count };
}

bool matches_pattern(const char *name, char *patterns[])
{
        if (!*patterns)
                return true;
        for (; *patterns; patterns++)
                if (fnmatch(*patterns, name, 0) == 0)
                        return true;
        return false;
}
