/* Moves what PHP has written through the values of the library: channel-relay FROM TO.
 *
 *      shm:     copies every variable of FROM to TO
 *      msgq:    receives N values from FROM and sends each to TO, with its type: channel-relay FROM TO N
 *      udp, udg receives a datagram at FROM and answers it with "to " and its text; TO is not used */
#include <err.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy_store(const char *from_address, const char *to_address)
{
        FERRY_AUTO(ferry_store) from = ferry_store_open(from_address, NULL);
        FERRY_AUTO(ferry_store) to = ferry_store_open(to_address, &(ferry_store_options){ .bytes = 65536 });
        FERRY_AUTO(ferry_value) list = NULL;
        int r = ferry_store_list(from, &list);

        if (r < 0)
                return warnx("%s", ferry_store_error(from)), 1;
        for (size_t i = 0; i < ferry_value_count(list); i++) {
                int64_t key = ferry_value_int(ferry_value_get(ferry_value_at(list, i), "key"), 0);
                FERRY_AUTO(ferry_value) value = NULL;

                if (ferry_store_get(from, key, &value) < 0)
                        return warnx("%s", ferry_store_error(from)), 1;
                if (ferry_store_put(to, key, "%p", (void *)value) < 0)
                        return warnx("%s", ferry_store_error(to)), 1;
        }
        return 0;
}

static int move_values(ferry_loop *loop, const char *from_address, const char *to_address, int count)
{
        ferry_channel_options creating = { .is_creating = true };
        ferry_channel *from = ferry_channel_open(loop, from_address, FERRY_RECEIVE, NULL);
        ferry_channel *to = ferry_channel_open(loop, to_address, FERRY_SEND, &creating);

        for (int i = 0; i < count; i++) {
                FERRY_AUTO(ferry_value) value = NULL;
                long type;

                if (ferry_channel_receive_value(from, 0, 10000, &type, &value) < 0)
                        return warnx("%s", ferry_channel_error(from)), 1;
                if (ferry_channel_send_value(to, type, 10000, "%p", (void *)value) < 0)
                        return warnx("%s", ferry_channel_error(to)), 1;
        }
        return 0;
}

static int answer_datagram(ferry_loop *loop, const char *address)
{
        ferry_channel *channel = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        char text[1024] = "to ";
        ssize_t size = ferry_channel_receive(channel, text + 3, sizeof text - 3, 20000);

        if (size < 0 || ferry_channel_reply(channel, text, (size_t)size + 3, 10000) < 0)
                return warnx("%s", ferry_channel_error(channel)), 1;
        return 0;
}

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        const char *from = argc > 1 ? argv[1] : "", *to = argc > 2 ? argv[2] : "";

        if (strncmp(from, "shm:", 4) == 0)
                return copy_store(from, to);
        if (strncmp(from, "msgq:", 5) == 0)
                return move_values(loop, from, to, argc > 3 ? atoi(argv[3]) : 1);
        return answer_datagram(loop, from);
}
