/* Connects, prints the line that the server sends, and answers. Usage: stream-client [ADDRESS]
 * The PHP counterpart: stream_socket_server() with unix://PATH or tcp://HOST:PORT, stream_socket_accept(). */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *address = argc > 1 ? argv[1] : "unix:stream.sock";
        ferry_channel *server = ferry_channel_open(loop, address, FERRY_SEND, NULL);
        const char *hello = "Hello from Client\n";
        char line[4096];
        ssize_t size;

        /* A stream has no records: a line may come in several pieces. */
        do {
                size = ferry_channel_receive(server, line, sizeof line, 5000);
                if (size > 0)
                        fwrite(line, 1, (size_t)size, stdout);
        } while (size > 0 && line[size - 1] != '\n');
        if (size >= 0)
                size = ferry_channel_send(server, hello, strlen(hello), 5000);
        if (size < 0)
                return warnx("%s", ferry_channel_error(server)), 1;
        return 0;
}
