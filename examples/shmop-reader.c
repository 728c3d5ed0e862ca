/* Prints the text at the beginning of shared memory, and removes the segment. Usage: shmop-reader [ADDRESS]
 * The PHP counterpart: shmop_open(ftok(PATH, 'T'), 'c', 0644, 1024), shmop_write($shm, TEXT, 0). */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>

int main(int argc, char **argv)
{
        const char *address = argc > 1 ? argv[1] : "shm:shmop.key";
        FERRY_AUTO(ferry_store) store = ferry_store_open(address, &(ferry_store_options){ .is_unlocked = true });
        char text[1025] = "";

        if (ferry_store_read(store, 0, text, sizeof text - 1) < 0 || ferry_store_delete(store) < 0)
                return warnx("%s", ferry_store_error(store)), 1;
        printf("%s\n", text);
        return 0;
}
