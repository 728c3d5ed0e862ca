/* Prints a value of type 1 from a message queue, and removes the queue. Usage: queue-reader [ADDRESS]
 * The PHP counterpart: msg_get_queue(ftok(PATH, 'T')), msg_send($queue, 1, VALUE). */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *address = argc > 1 ? argv[1] : "msgq:queue.key";
        ferry_channel *queue = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        FERRY_AUTO(ferry_value) value = NULL;

        if (ferry_channel_receive_value(queue, 1, -1, NULL, &value) == 0)
                ferry_value_dump(value, stdout);
        if (!value || ferry_channel_remove(queue) < 0)
                return warnx("%s", ferry_channel_error(queue)), 1;
        return 0;
}
