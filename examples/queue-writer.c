/* Sends a value to a message queue, with type 1. Usage: queue-writer [ADDRESS]
 * The PHP counterpart: msg_get_queue(ftok(PATH, 'T')), msg_receive(), msg_remove_queue(). */
#include <err.h>
#include <ferry/ferry.h>

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *address = argc > 1 ? argv[1] : "msgq:queue.key";
        ferry_channel_options options = { .is_creating = true };
        ferry_channel *queue = ferry_channel_open(loop, address, FERRY_SEND, &options);

        if (ferry_channel_send_value(queue, 1, 5000, "{text: %s, numbers: [1, 2.5]}", "Hello from Writer") < 0)
                return warnx("%s", ferry_channel_error(queue)), 1;
        return 0;
}
