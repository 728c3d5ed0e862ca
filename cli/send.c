/* ferry send: one record, or bytes, into a channel. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 65536 };

static int send_record(struct cli_channel *channel, const ferry_value *body)
{
        const struct cli_options *options = channel->options;
        size_t size;
        const void *bytes = ferry_value_bytes(body, &size);
        ssize_t sent;

        if (options->is_value || options->codec)
                sent = ferry_channel_send_value_value(channel->channel, (long)channel->type, options->timeout_ms, body);
        else if (options->type)
                sent = ferry_channel_send_typed(channel->channel, (long)channel->type, bytes, size, options->timeout_ms);
        else
                sent = ferry_channel_send(channel->channel, bytes, size, options->timeout_ms);
        return sent < 0 ? channel_complain(channel->channel, (int)sent) : EXIT_DONE;
}

/* Nothing to send only connects. */
static int send_bytes(struct cli_channel *channel, const char *bytes, size_t size)
{
        ssize_t sent = ferry_channel_send(channel->channel, bytes, size, channel->options->timeout_ms);

        if (sent < 0)
                return channel_complain(channel->channel, (int)sent);
        if ((size_t)sent == size)
                return EXIT_DONE;
        if (!signals_received())
                complain("cannot send to '%s': the peer did not take more than %zd of %zu bytes within %g s", channel->address,
                         sent, size, channel->options->timeout_ms / 1000.0);
        return EXIT_TIMEOUT;
}

static int set_ready(ferry_loop *loop, void *userdata)
{
        (void)loop;
        *(bool *)userdata = true;
        return 0;
}

/* Runs the loop until stdin is ready, the channel has failed, or a signal has closed it. */
static int wait_for_input(struct cli_channel *channel)
{
        bool is_ready = false;
        int error = 0;

        ferry_loop_watch(channel->loop, STDIN_FILENO, POLLIN, set_ready, &is_ready);
        while (!is_ready && error >= 0 && !signals_received() && ferry_channel_status(channel->channel) >= 0)
                error = ferry_loop_tick(channel->loop, -1);
        ferry_loop_off(channel->loop, set_ready, &is_ready);
        return is_ready ? 0 : error < 0 ? error : -ECANCELED;
}

/* How many bytes were read, 0 at the end of the input, or a negative errno. */
static ssize_t read_input(struct cli_channel *channel, char *buffer, size_t size)
{
        for (;;) {
                int error = wait_for_input(channel);
                ssize_t got = error < 0 ? error : read(STDIN_FILENO, buffer, size);

                if (error < 0 || got >= 0)
                        return got;
                if (errno != EINTR && errno != EAGAIN)
                        return -errno;
        }
}

/* A first send of nothing connects, so that an input without bytes is an empty connection. */
static int send_input(struct cli_channel *channel)
{
        char buffer[CHUNK];
        ssize_t got = 0;
        int status;

        do {
                status = send_bytes(channel, buffer, (size_t)got);
                if (status != EXIT_DONE || signals_received())
                        return status;
                got = read_input(channel, buffer, sizeof buffer);
        } while (got > 0);
        if (ferry_channel_status(channel->channel) < 0)
                return channel_complain(channel->channel, ferry_channel_status(channel->channel));
        if (got == 0)
                return EXIT_DONE;
        complain("cannot read stdin: %s", strerror((int)-got));
        return EXIT_REFUSED;
}

static int send_body(struct cli_channel *channel, const ferry_value *body)
{
        size_t size;
        const char *bytes = ferry_value_bytes(body, &size);

        if (channel->is_records)
                return send_record(channel, body);
        return body ? send_bytes(channel, bytes, size) : send_input(channel);
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        const char *text = count > 1 ? arguments[1] : NULL;
        struct cli_channel channel;
        int status = channel_check(&channel, options, arguments[0], FERRY_SEND);
        bool is_streamed = status == 0 && !channel.is_records && text && strcmp(text, "-") == 0;
        FERRY_AUTO(ferry_value) body = NULL;

        if (status)
                return status;
        if (!is_streamed) {
                body = body_read(text, options->is_value, &status);
                if (!body)
                        return status;
        }
        status = channel_open(&channel, FERRY_SEND);
        if (status == 0)
                status = send_body(&channel, body);
        channel_close(&channel);
        signals_raise();
        return status;
}

const struct cli_command command_send = {
        .name = "send",
        .arguments = "ADDRESS [BODY]",
        .summary = "send a record, or bytes, into a channel",
        .options = (const char *const[]){ "type", "value", "codec", "wait", "timeout", "create", "mode", "strict",
                                          "interface", "ttl", "broadcast", NULL },
        .least = 1,
        .most = 2,
        .has_records = true,
        .run = run,
};
