/* The channel of send and recv: its options are checked, it is opened, and the first signal closes it, so that its socket
 * file or FIFO is removed. */
#include "cli.h"

#include <strings.h>
#include <stdlib.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

/* Whether records that are sent there come only to members of a group. */
static bool is_multicast(const struct cli_channel *channel)
{
        const char *host = channel->address + strlen("udp:");
        long first = channel->scheme == FERRY_SCHEME_UDP ? strtol(host, NULL, 10) : 0;

        return channel->scheme == FERRY_SCHEME_UDP &&
               (strncasecmp(host, "[ff", strlen("[ff")) == 0 || (first >= 224 && first <= 239));
}

/* Whether the object that is named there was made before: msgq:#ID. */
static bool is_identifier(const struct cli_channel *channel)
{
        return strncmp(channel->address, "msgq:#", strlen("msgq:#")) == 0;
}

/* Whether there are permissions that --strict can look at: a receiver makes its own socket, and an abstract name has none. */
static bool has_permissions(const struct cli_channel *channel, enum ferry_channel_end end)
{
        switch (channel->scheme) {
        case FERRY_SCHEME_UDG:
                return end == FERRY_SEND && strncmp(channel->address, "udg:@", strlen("udg:@")) != 0;
        case FERRY_SCHEME_FIFO:
        case FERRY_SCHEME_MSGQ:
        case FERRY_SCHEME_MQUEUE:
                return true;
        default:
                return false;
        }
}

/* Options that would have no effect are refused. */
static int check_options(const struct cli_channel *channel, enum ferry_channel_end end)
{
        const struct cli_options *options = channel->options;
        int scheme = channel->scheme;
        bool is_udp = scheme == FERRY_SCHEME_UDP, is_queue = scheme == FERRY_SCHEME_MSGQ || scheme == FERRY_SCHEME_MQUEUE;
        bool is_made = end == FERRY_RECEIVE || options->is_creating;
        const struct {
                bool is_broken;
                const char *rule;
        } rules[] = {
                { options->type && !is_queue, "--type is for msgq: and mqueue: only" },
                { options->type && end == FERRY_RECEIVE && scheme == FERRY_SCHEME_MQUEUE,
                  "--type is for msgq: only: mqueue: gives the record with the highest priority first" },
                { options->interface && !is_udp, "--interface is for udp: only" },
                { options->ttl && !is_udp, "--ttl is for udp: only" },
                { options->is_broadcast && !is_udp, "--broadcast is for udp: only" },
                { options->group && !is_udp, "--group is for udp: only" },
                { end == FERRY_SEND && (options->ttl || options->interface) && !is_multicast(channel),
                  "--ttl and --interface are for multicast addresses only: 224.0.0.0 to 239.255.255.255, or ff00:: and up" },
                { scheme == FERRY_SCHEME_FIFO && options->count > 1,
                  "--count is not for fifo: bytes are printed until the last writer has closed it" },
                { end == FERRY_SEND && strcmp(channel->address, "msgq:private") == 0,
                  "a new private queue has no receiver: receive there first, with -v, which prints its msgq:#ID" },
                { options->is_creating && is_identifier(channel), "--create: a queue cannot be created with a chosen"
                                                                  " identifier: write msgq:PATH or msgq:KEY" },
                { options->mode && is_identifier(channel), "--mode: a queue that is named by its identifier exists already" },
                { end == FERRY_RECEIVE && is_multicast(channel) && !options->group,
                  "a multicast address needs --group ADDRESS --interface NAME" },
                { options->group && !options->interface, "--group needs --interface NAME" },
                { options->group && !options->is_public, "--group needs --public: other machines can send to it" },
                { end == FERRY_RECEIVE && options->interface && !options->group, "--interface needs --group ADDRESS" },
                { options->is_public && !is_udp && scheme != FERRY_SCHEME_TCP, "--public is for tcp: and udp: only" },
                { options->is_creating && !is_queue && scheme != FERRY_SCHEME_FIFO,
                  "--create is for fifo:, msgq: and mqueue: only" },
                { options->mode && (is_udp || scheme == FERRY_SCHEME_TCP), "--mode has no meaning for tcp: and udp:" },
                { options->is_strict && !has_permissions(channel, end),
                  "--strict is for fifo:, msgq: and mqueue:, and for send to udg:PATH" },
                { options->mode && !is_made, "--mode needs --create" },
                { options->is_value && !channel->is_records, "--value needs a channel of records" },
                { options->codec && !channel->is_records, "--codec needs a channel of records" },
        };

        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
                if (rules[i].is_broken) {
                        complain("%s: %s", channel->address, rules[i].rule);
                        return EXIT_USAGE;
                }
        return 0;
}

static bool read_type(struct cli_channel *channel, enum ferry_channel_end end)
{
        bool is_mqueue = channel->scheme == FERRY_SCHEME_MQUEUE;

        return read_number("--type", channel->options->type, end == FERRY_RECEIVE ? LONG_MIN : is_mqueue ? 0 : 1,
                           is_mqueue ? 32767 : LONG_MAX, &channel->type);
}

int channel_check(struct cli_channel *channel, const struct cli_options *options, const char *address,
                  enum ferry_channel_end end)
{
        int status = check_channel(address);

        *channel = (struct cli_channel){ .options = options, .address = address, .scheme = ferry_address_scheme(address) };
        channel->is_records = channel->scheme != FERRY_SCHEME_TCP && channel->scheme != FERRY_SCHEME_UNIX &&
                              channel->scheme != FERRY_SCHEME_FIFO;
        if (status == 0)
                status = check_options(channel, end);
        if (status == 0 && options->type && !read_type(channel, end))
                status = EXIT_USAGE;
        return status;
}

/* A call that waits in a channel which is closed returns. */
static int interrupt(ferry_loop *loop, void *userdata)
{
        struct cli_channel *channel = userdata;

        (void)loop;
        channel->client = ferry_channel_free(channel->client);
        channel->channel = ferry_channel_free(channel->channel);
        return 0;
}

int channel_complain(const ferry_channel *failed, int error)
{
        if (!signals_received())
                complain("%s", ferry_channel_error(failed));
        return exit_status_of(error);
}

int channel_open(struct cli_channel *channel, enum ferry_channel_end end)
{
        const struct cli_options *options = channel->options;
        ferry_channel_options open = {
                .mode = options->mode,
                .wait_ms = end == FERRY_SEND ? options->wait_ms : 0,
                .is_strict = options->is_strict,
                .is_creating = options->is_creating,
                .is_public = options->is_public,
                .is_broadcast = options->is_broadcast,
                .multicast_ttl = (int)options->ttl,
                .interface = options->interface,
                .codec = options->codec,
        };
        int error;

        channel->loop = ferry_loop_new(NULL);
        if (!channel->loop) {
                complain("cannot open '%s': no descriptors or no memory are left", channel->address);
                return EXIT_CONNECTION;
        }
        error_limit_wait(end == FERRY_RECEIVE && !options->has_timeout ? -1 : options->timeout_ms);
        signals_watch(channel->loop, 1, interrupt, channel);
        channel->channel = ferry_channel_open(channel->loop, channel->address, end, &open);
        error = ferry_channel_status(channel->channel);
        if (error >= 0 && options->group)
                error = ferry_channel_join(channel->channel, options->group, options->interface);
        return error < 0 ? channel_complain(channel->channel, error) : 0;
}

void channel_close(struct cli_channel *channel)
{
        if (!channel->loop)
                return;
        ferry_channel_free(channel->client);
        ferry_channel_free(channel->channel);
        ferry_loop_free(channel->loop);
}
