/* Writes raw bytes into shared memory that every user can read. Usage: shmop-writer [ADDRESS]
 * The PHP counterpart: shmop_open(ftok(PATH, 'T'), 'a', 0, 0), shmop_read($shm, 0, 1024), shmop_delete($shm). */
#include <err.h>
#include <ferry/ferry.h>

int main(int argc, char **argv)
{
        const char *address = argc > 1 ? argv[1] : "shm:shmop.key";
        /* PHP's shmop functions take no lock, so this program makes none. */
        ferry_store_options options = { .bytes = 1024, .mode = 0644, .is_creating = true, .is_unlocked = true };
        FERRY_AUTO(ferry_store) store = ferry_store_open(address, &options);
        static const char text[] = "Hello from Writer"; /* with its terminating zero */

        if (ferry_store_write(store, 0, text, sizeof text) < 0)
                return warnx("%s", ferry_store_error(store)), 1;
        return 0;
}
