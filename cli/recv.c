/* ferry recv: print the records of a channel, or the bytes of one client after the other. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A larger record needs a larger buffer, which is made when one comes. With --json the bytes of a client are held until it
 * has closed, or until they are as many as PIECE_MAX. */
enum { CHUNK = 65536, PIECE_MAX = 16 << 20, REST_MS = 100 };

struct receiver {
        struct cli_channel channel;
        const struct cli_options *options;
        int timeout_ms;
        long left;              /* of --count; 0: no end */
        char *buffer;
        size_t capacity;
        size_t held;            /* bytes that wait to be printed */
        bool is_output_closed;
        int failure;            /* the exit status of a failure that was complained about */
};

static bool grow_buffer(struct receiver *receiver, size_t max)
{
        size_t capacity = receiver->capacity < max / 2 ? 2 * receiver->capacity : max;
        char *grown = capacity > receiver->capacity ? realloc(receiver->buffer, capacity) : NULL;

        if (!grown)
                return false;
        receiver->buffer = grown;
        receiver->capacity = capacity;
        return true;
}

static bool is_ending(const struct receiver *receiver)
{
        return receiver->is_output_closed || receiver->failure || signals_received();
}

/* One record or client is done. True: it was the last one. */
static bool count_down(struct receiver *receiver)
{
        return receiver->left > 0 && --receiver->left == 0;
}

static int complain_failure(const struct receiver *receiver, const ferry_channel *failed, int error)
{
        if (signals_received())
                return EXIT_DONE;
        if (error != -ETIMEDOUT)
                return channel_complain(failed, error);
        complain("nothing was received at '%s' within %g s", ferry_channel_address(failed), receiver->timeout_ms / 1000.0);
        return EXIT_TIMEOUT;
}

/* What a record holds, as the options show it; the caller's. A record that cannot be decoded is shown as it is. */
static ferry_value *decode_record(const struct receiver *receiver, size_t size)
{
        const struct cli_options *options = receiver->options;
        const ferry_codec *codec = options->codec ? options->codec : ferry_codec_php();
        bool is_decoded = options->is_value || options->codec ||
                          (options->is_json && receiver->channel.scheme == FERRY_SCHEME_MSGQ);
        ferry_builder *builder;
        ferry_value *value = NULL;

        if (is_decoded && ferry_codec_decode(codec, receiver->buffer, size, &value, NULL) == 0)
                return value;
        if (is_decoded)
                complain("a record of %zu bytes is not a value in the codec %s: it is printed as a string", size, codec->name);
        builder = ferry_builder_new();
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, receiver->buffer, size);
        ferry_builder_finish(builder, &value);
        return value;
}

static void add_origin(ferry_builder *builder, const char *sender, ferry_peer peer)
{
        if (*sender) {
                ferry_builder_key(builder, "sender");
                ferry_builder_add(builder, "%s", sender);
        }
        if (peer.pid == -1)
                return;
        ferry_builder_key(builder, "uid");
        ferry_builder_add(builder, "%lld", (long long)peer.uid);
        ferry_builder_key(builder, "pid");
        ferry_builder_add(builder, "%lld", (long long)peer.pid);
}

/* NULL: there was no memory for it. */
static void print(struct receiver *receiver, const ferry_value *value, bool is_one_of_many)
{
        if (value) {
                receiver->is_output_closed = !print_value(value, receiver->options, is_one_of_many);
                return;
        }
        complain("no memory for a record");
        receiver->failure = EXIT_CONNECTION;
}

/* One object a line. */
static void print_object(struct receiver *receiver, const ferry_channel *from, const char *sender, const long *type,
                         const ferry_value *body)
{
        ferry_builder *builder = ferry_builder_new();
        FERRY_AUTO(ferry_value) line = NULL;

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        if (type) {
                ferry_builder_key(builder, "type");
                ferry_builder_add(builder, "%ld", *type);
        }
        add_origin(builder, sender, ferry_channel_peer(from));
        ferry_builder_key(builder, "body");
        ferry_builder_add_value(builder, body);
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &line);
        print(receiver, line, true);
}

static void print_record(struct receiver *receiver, size_t size, const long *type)
{
        ferry_channel *channel = receiver->channel.channel;
        FERRY_AUTO(ferry_value) body = decode_record(receiver, size);

        if (receiver->options->is_json && body)
                print_object(receiver, channel, ferry_channel_sender(channel), type, body);
        else
                print(receiver, body, receiver->options->count != 1);
}

/* A record that is larger than the buffer waits for a larger one. */
static ssize_t receive_record(struct receiver *receiver, bool is_typed, long *ret_type)
{
        ferry_channel *channel;
        ssize_t got;

        do {
                channel = receiver->channel.channel;
                got = is_typed ? ferry_channel_receive_typed(channel, (long)receiver->channel.type, ret_type, receiver->buffer,
                                                             receiver->capacity, receiver->timeout_ms) :
                                 ferry_channel_receive(channel, receiver->buffer, receiver->capacity, receiver->timeout_ms);
        } while (got == -EMSGSIZE && !signals_received() && grow_buffer(receiver, ferry_channel_record_max(channel)));
        return got;
}

static int receive_records(struct receiver *receiver)
{
        bool is_typed = receiver->channel.scheme == FERRY_SCHEME_MSGQ || receiver->channel.scheme == FERRY_SCHEME_MQUEUE;
        long type = 0;

        while (!is_ending(receiver)) {
                ssize_t got = receive_record(receiver, is_typed, &type);

                if (got < 0)
                        return complain_failure(receiver, receiver->channel.channel, (int)got);
                print_record(receiver, (size_t)got, is_typed ? &type : NULL);
                if (count_down(receiver))
                        break;
        }
        return EXIT_DONE;
}

/* The bytes that are held, as one object. */
static void print_piece(struct receiver *receiver, const ferry_channel *from)
{
        bool is_tcp = receiver->channel.scheme == FERRY_SCHEME_TCP;
        ferry_builder *builder = ferry_builder_new();
        FERRY_AUTO(ferry_value) body = NULL;

        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, receiver->buffer, receiver->held);
        ferry_builder_finish(builder, &body);
        print_object(receiver, from, is_tcp ? ferry_channel_address(from) : "", NULL, body);
        receiver->held = 0;
}

static void take_bytes(struct receiver *receiver, const ferry_channel *from, size_t size)
{
        if (!receiver->options->is_json) {
                receiver->is_output_closed = !print_bytes(receiver->buffer, size);
                return;
        }
        receiver->held += size;
        if (receiver->held == receiver->capacity && !grow_buffer(receiver, PIECE_MAX))
                print_piece(receiver, from);
}

/* All bytes until the end of file. @from is an accepted client, or a FIFO. */
static int receive_bytes(struct receiver *receiver, ferry_channel *const *from)
{
        bool is_printed = false;
        ssize_t got = 0;
        int status;

        receiver->held = 0;
        while (!is_ending(receiver)) {
                got = ferry_channel_receive(*from, receiver->buffer + receiver->held, receiver->capacity - receiver->held,
                                            receiver->timeout_ms);
                if (got <= 0)
                        break;
                take_bytes(receiver, *from, (size_t)got);
                is_printed |= receiver->held == 0;
        }
        status = got < 0 ? complain_failure(receiver, *from, (int)got) : EXIT_DONE;
        if (receiver->options->is_json && !receiver->is_output_closed && (receiver->held > 0 || (got == 0 && !is_printed)))
                print_piece(receiver, *from);
        return status;
}

static int stop_resting(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        return ferry_loop_stop(loop, 0);
}

/* Where no descriptor is left, the client waits until others are closed, or for as long as a silent one may. NULL: it is
 * over. */
static ferry_channel *accept_client(struct receiver *receiver)
{
        struct cli_channel *channel = &receiver->channel;
        int rested_ms = 0;

        while (!is_ending(receiver)) {
                ferry_channel *client = ferry_channel_accept(channel->channel, receiver->timeout_ms);
                int error = ferry_channel_status(client);

                if ((error != -EMFILE && error != -ENFILE) || (receiver->timeout_ms >= 0 && rested_ms >= receiver->timeout_ms))
                        return client;
                if (rested_ms == 0)
                        complain("%s: the client waits", ferry_channel_error(client));
                ferry_channel_free(client);
                rested_ms += REST_MS;
                ferry_loop_after(channel->loop, REST_MS, stop_resting, NULL);
                ferry_loop_run(channel->loop, -1);
                ferry_loop_off(channel->loop, stop_resting, NULL);
        }
        return NULL;
}

/* One client after the other. A client that breaks its connection, or is silent for too long, does not end the others. */
static int receive_clients(struct receiver *receiver)
{
        struct cli_channel *channel = &receiver->channel;
        int status = EXIT_DONE, error;

        while (!is_ending(receiver)) {
                ferry_channel *client = accept_client(receiver);

                error = ferry_channel_status(client);
                if (error < 0) {
                        status = complain_failure(receiver, error == -ETIMEDOUT ? channel->channel : client, error);
                        ferry_channel_free(client);
                        return status;
                }
                channel->client = client;
                status = receive_bytes(receiver, &channel->client);
                channel->client = ferry_channel_free(channel->client);
                if (count_down(receiver))
                        break;
        }
        return is_ending(receiver) ? EXIT_DONE : status;
}

static int receive(struct receiver *receiver)
{
        const ferry_channel *channel = receiver->channel.channel;

        if (receiver->options->is_verbose)
                inform("receiving at %s", ferry_channel_address(channel));
        receiver->capacity = CHUNK;
        receiver->buffer = malloc(CHUNK);
        if (!receiver->buffer) {
                complain("no memory for a buffer");
                return EXIT_CONNECTION;
        }
        if (receiver->channel.is_records)
                return receive_records(receiver);
        if (receiver->channel.scheme == FERRY_SCHEME_FIFO)
                return receive_bytes(receiver, &receiver->channel.channel);
        return receive_clients(receiver);
}

/* What came from other users was not delivered. */
static void complain_refused(const struct cli_channel *channel)
{
        FERRY_AUTO(ferry_value) info = ferry_channel_info(channel->channel);
        long long refused = (long long)ferry_value_int(ferry_value_get(info, "refused"), 0);

        if (refused > 0)
                complain("'%s' has refused %lld senders of other users", channel->address, refused);
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        struct receiver receiver = {
                .options = options, .timeout_ms = options->has_timeout ? options->timeout_ms : -1, .left = options->count,
        };
        int status = channel_check(&receiver.channel, options, arguments[0], FERRY_RECEIVE);

        (void)count;
        if (status)
                return status;
        /* A record that could not be printed would be lost. */
        if (!output_is_open()) {
                complain("cannot print what '%s' receives: stdout is closed", arguments[0]);
                return EXIT_CONNECTION;
        }
        status = channel_open(&receiver.channel, FERRY_RECEIVE);
        if (status == 0)
                status = receive(&receiver);
        complain_refused(&receiver.channel);
        channel_close(&receiver.channel);
        free(receiver.buffer);
        return receiver.failure ? receiver.failure : status;
}

const struct cli_command command_recv = {
        .name = "recv",
        .arguments = "ADDRESS",
        .summary = "print the records, or bytes, of a channel",
        .options = (const char *const[]){ "count", "timeout", "type", "value", "codec", "json", "public", "mode", "strict",
                                          "interface", "group", "verbose", NULL },
        .least = 1,
        .most = 1,
        .has_records = true,
        .run = run,
};
