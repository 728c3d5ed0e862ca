/* How long a run will still take, by its pace so far. */
#include "cli.h"

#include <math.h>
#include <stdio.h>

double estimate_left(const struct estimate *estimate)
{
        double left = estimate->all - estimate->over;

        /* Before each worker has had a task, one that has ended says little of the others. */
        if (estimate->over < 1 || left <= 0 || (estimate->over < estimate->workers && estimate->over * 2 < estimate->all))
                return -1;
        left = left * estimate->ended / estimate->over - (estimate->now - estimate->ended);
        return left > 0 ? left : 0;
}

void estimate_describe(double seconds, char text[ESTIMATE_SIZE])
{
        enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR, DAYS_MAX = 9999 };
        long left;

        if (seconds >= (double)DAYS_MAX * DAY) {
                snprintf(text, ESTIMATE_SIZE, "more than %d d left", DAYS_MAX);
                return;
        }
        left = seconds < 1 ? 1 : (long)ceil(seconds);
        if (left < MINUTE)
                snprintf(text, ESTIMATE_SIZE, "%ld s left", left);
        else if (left < HOUR)
                snprintf(text, ESTIMATE_SIZE, "%ld min %02ld s left", left / MINUTE, left % MINUTE);
        else if (left < DAY)
                snprintf(text, ESTIMATE_SIZE, "%ld h %02ld min left", left / HOUR, left % HOUR / MINUTE);
        else
                snprintf(text, ESTIMATE_SIZE, "%ld d %02ld h left", left / DAY, left % DAY / HOUR);
}
