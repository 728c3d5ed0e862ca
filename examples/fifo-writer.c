/* Makes a FIFO, waits for its reader, and writes a line. Usage: fifo-writer [ADDRESS]
 * The PHP counterpart: fopen(PATH, 'r'), fgets(). */
#include <err.h>
#include <ferry/ferry.h>
#include <string.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *address = argc > 1 ? argv[1] : "fifo:example.fifo";
        ferry_channel_options options = { .is_creating = true, .mode = 0600, .wait_ms = 10000 };
        ferry_channel *fifo = ferry_channel_open(loop, address, FERRY_SEND, &options);
        const char *text = "Hello from Writer\n";

        if (ferry_channel_send(fifo, text, strlen(text), 5000) < 0)
                return warnx("%s", ferry_channel_error(fifo)), 1;
        return 0;
}
