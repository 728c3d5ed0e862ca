/* Adds 1 to variable 1 of a store, N times, in competition with other processes: store-writer ADDRESS N. It prints a line when it
 * is ready, and begins when stdin has a line. */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>

static ferry_value *increment(const ferry_value *value, void *userdata)
{
        (void)userdata;
        return ferry_value_pack("%lld", (long long)ferry_value_int(value, 0) + 1);
}

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_store) store = ferry_store_open(argc > 1 ? argv[1] : "", NULL);
        int r = ferry_store_has(store, 1);
        char line[16];

        if (puts("ready") < 0 || fflush(stdout) != 0 || !fgets(line, sizeof line, stdin))
                return 1;
        for (int n = argc > 2 ? atoi(argv[2]) : 1; n > 0 && r >= 0; n--)
                r = ferry_store_update(store, 1, increment, NULL);
        if (r < 0)
                return warnx("%s", ferry_store_error(store)), 1;
        return 0;
}
