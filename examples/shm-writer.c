/* Puts a value into shared memory, as variable 1. Usage: shm-writer [ADDRESS]
 * The PHP counterpart: shm_attach(ftok(PATH, 'T'), 1024), shm_get_var($shm, 1), shm_remove($shm). */
#include <err.h>
#include <ferry/ferry.h>

int main(int argc, char **argv)
{
        const char *address = argc > 1 ? argv[1] : "shm:shm.key";
        ferry_store_options options = { .bytes = 1024, .is_creating = true };
        FERRY_AUTO(ferry_store) store = ferry_store_open(address, &options);

        if (ferry_store_put(store, 1, "{text: %s, numbers: [1, 2.5]}", "Hello from Writer") < 0)
                return warnx("%s", ferry_store_error(store)), 1;
        return 0;
}
