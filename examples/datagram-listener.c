/* Prints each datagram with its sender, N of them. Usage: datagram-listener [ADDRESS [N]]
 * The PHP counterpart: socket_create(AF_UNIX or AF_INET, SOCK_DGRAM, 0), socket_bind(), socket_sendto(). */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *address = argc > 1 ? argv[1] : "udg:datagram.sock";
        ferry_channel *listener = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        static char record[1 << 20];
        ssize_t size = 0;

        for (int n = argc > 2 ? atoi(argv[2]) : 1; n > 0 && size >= 0; n--) {
                size = ferry_channel_receive(listener, record, sizeof record, -1);
                if (size >= 0)
                        printf("%.*s (from '%s')\n", (int)size, record, ferry_channel_sender(listener));
        }
        if (size < 0)
                return warnx("%s", ferry_channel_error(listener)), 1;
        return 0;
}
