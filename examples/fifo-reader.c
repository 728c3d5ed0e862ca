/* Prints what comes through a FIFO, until the last writer closes it. Usage: fifo-reader [ADDRESS]
 * The PHP counterpart: posix_mkfifo(PATH, 0600), fopen(PATH, 'w'), fwrite(). */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *address = argc > 1 ? argv[1] : "fifo:example.fifo";
        ferry_channel *fifo = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        char bytes[4096];
        ssize_t size;

        while ((size = ferry_channel_receive(fifo, bytes, sizeof bytes, -1)) > 0)
                fwrite(bytes, 1, (size_t)size, stdout);
        if (size < 0)
                return warnx("%s", ferry_channel_error(fifo)), 1;
        return 0;
}
