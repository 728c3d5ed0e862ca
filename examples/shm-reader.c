/* Prints variable 1 in shared memory, and removes the segment. Usage: shm-reader [ADDRESS]
 * The PHP counterpart: shm_attach(ftok(PATH, 'T'), 1024), shm_put_var($shm, 1, VALUE). */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_store) store = ferry_store_open(argc > 1 ? argv[1] : "shm:shm.key", NULL);
        FERRY_AUTO(ferry_value) value = NULL;

        if (ferry_store_get(store, 1, &value) == 0)
                ferry_value_dump(value, stdout);
        if (!value || ferry_store_delete(store) < 0)
                return warnx("%s", ferry_store_error(store)), 1;
        return 0;
}
