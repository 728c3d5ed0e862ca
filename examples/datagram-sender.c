/* Sends one datagram. Usage: datagram-sender [ADDRESS [TEXT]]
 * The PHP counterpart: socket_create(AF_UNIX or AF_INET, SOCK_DGRAM, 0), socket_bind(), socket_recvfrom(). */
#include <err.h>
#include <ferry/ferry.h>
#include <string.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *address = argc > 1 ? argv[1] : "udg:datagram.sock";
        const char *text = argc > 2 ? argv[2] : "Hello from Sender";
        ferry_channel *sender = ferry_channel_open(loop, address, FERRY_SEND, NULL);

        if (ferry_channel_send(sender, text, strlen(text), 5000) < 0)
                return warnx("%s", ferry_channel_error(sender)), 1;
        return 0;
}
