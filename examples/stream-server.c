/* Accepts one client, writes first, then prints what the client sends. Usage: stream-server [ADDRESS]
 * The PHP counterpart: stream_socket_client() with unix://PATH or tcp://HOST:PORT, fgets(), fwrite(). */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *address = argc > 1 ? argv[1] : "unix:stream.sock";
        ferry_channel *server = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        ferry_channel *client = ferry_channel_accept(server, -1);
        const char *hello = "Hello from Server\n";
        char bytes[4096];
        ssize_t size = ferry_channel_send(client, hello, strlen(hello), -1);

        while (size > 0) {
                size = ferry_channel_receive(client, bytes, sizeof bytes, -1); /* 0 at the end of file */
                if (size > 0)
                        fwrite(bytes, 1, (size_t)size, stdout);
        }
        if (size < 0)
                return warnx("%s", ferry_channel_error(client)), 1;
        return 0;
}
