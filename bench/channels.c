/* Measures channels and stores. Invariant: in every sample the floor and ferry run right after each other, and every round
 * measures all rows, so that a drift of the machine's speed hits all of them alike. */
#include "channels.h"

#include "bare.h"
#include "result.h"
#include "samples.h"

#include <err.h>
#include <errno.h>
#include <ferry/ferry.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        SMALL = 64,
        BYTES_LARGEST = 65536,          /* of channels of bytes, which have no records */
        ROOM = 1 << 20,                 /* what a udg channel can receive */
        SAMPLES = 20,                   /* in a round */
        STEPS_SMALL = 100,              /* in a sample */
        STEPS_LARGEST = 10,
        STALL_MS = 1000,
        KEY = 1,
        VALUE_SIZE = 5,                 /* what PHP's serialize() makes of a small integer: i:64; */
};

static const double CHANNEL_TARGET = 1.15;

struct channel_kind {
        const char *name;               /* of the row */
        const char *what;
        const char *address;            /* of the end that receives; NULL: with the process in its name */
        bool is_in_directory;           /* to the address the path of a file is added */
        enum bare_kind bare;
        bool has_plain;                 /* programs often make cheaper calls, which report less */
        bool is_connection;
        bool is_removed;                /* it stays until it is removed */
};

static const struct channel_kind kinds[] = {
        { "channel-udp", "a record by UDP", "udp:127.0.0.1:0", false, BARE_UDP, true, false, false },
        { "channel-udg", "a record by a unix datagram socket", "udg:", true, BARE_UDG, true, false, false },
        { "channel-unix", "bytes by a unix stream socket", "unix:", true, BARE_UNIX, false, true, false },
        { "channel-tcp", "bytes by TCP", "tcp:127.0.0.1:0", false, BARE_TCP, false, true, false },
        { "channel-fifo", "bytes by a FIFO", "fifo:", true, BARE_FIFO, false, false, false },
        { "channel-msgq", "a record by a SysV message queue", "msgq:private", false, BARE_MSGQ, false, false, true },
        { "channel-mqueue", "a record by a POSIX message queue", NULL, false, BARE_MQUEUE, false, false, true },
};

enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

/* A row of one size. */
struct contest {
        const char *name;
        size_t size;                    /* of a record; 0: a store */
        size_t steps;                   /* in a sample */
        double target;                  /* 0: none */
        void (*floor)(struct contest *contest);
        void (*ours)(struct contest *contest);
        void (*plain)(struct contest *contest);         /* or NULL */
        struct channel *channel;
        struct store *store;
        struct side sides[3];           /* floor, ours, plain */
        double *medians[3];             /* one for each round */
};

enum { SIDE_FLOOR, SIDE_OURS, SIDE_PLAIN, SIDE_COUNT };

/* Channels -------------------------------------------------------------------------------------------- */

struct channel {
        const struct channel_kind *kind;
        struct bare bare, plain;
        ferry_channel *in, *out, *listener;
        size_t largest;
        char *bytes, *buffer;
        size_t room;
};

static void fail(const struct channel *channel, const ferry_channel *at)
{
        errx(1, "%s: %s", channel->kind->name, ferry_channel_error(at));
}

static void move_bare(struct contest *contest)
{
        const struct channel *channel = contest->channel;

        bare_move(&channel->bare, channel->bytes, channel->buffer, contest->size, channel->room);
}

static void move_plain(struct contest *contest)
{
        const struct channel *channel = contest->channel;

        bare_move(&channel->plain, channel->bytes, channel->buffer, contest->size, channel->room);
}

/* Bytes may go in parts; while some are still to be sent, no call waits. */
static void move_ours(struct contest *contest)
{
        const struct channel *channel = contest->channel;
        size_t size = contest->size, sent = 0, received = 0;

        while (received < size) {
                ssize_t moved = sent < size ? ferry_channel_send(channel->out, channel->bytes + sent, size - sent, 0) : 0;

                if (moved < 0 && moved != -ETIMEDOUT)
                        fail(channel, channel->out);
                sent += moved > 0 ? (size_t)moved : 0;
                moved = ferry_channel_receive(channel->in, channel->buffer + received, channel->room - received,
                                              sent < size ? 0 : STALL_MS);
                if (moved <= 0 && (moved != -ETIMEDOUT || sent == size))
                        fail(channel, channel->in);
                received += moved > 0 ? (size_t)moved : 0;
        }
}

static void open_ours(struct channel *channel, ferry_loop *loop, const char *directory)
{
        const struct channel_kind *kind = channel->kind;
        char address[128];

        if (kind->address)
                snprintf(address, sizeof address, "%s%s%s%s", kind->address, kind->is_in_directory ? directory : "",
                         kind->is_in_directory ? "/" : "", kind->is_in_directory ? kind->name : "");
        else
                snprintf(address, sizeof address, "mqueue:ferry-bench-%d", (int)getpid());
        channel->in = ferry_channel_open(loop, address, FERRY_RECEIVE, NULL);
        channel->out = ferry_channel_open(loop, ferry_channel_address(channel->in), FERRY_SEND, NULL);
        if (kind->is_connection) {
                channel->listener = channel->in;
                channel->in = ferry_channel_accept(channel->listener, STALL_MS);
        }
        if (ferry_channel_status(channel->in) < 0)
                fail(channel, channel->in);
        if (ferry_channel_status(channel->out) < 0)
                fail(channel, channel->out);
}

static struct channel *open_channel(const struct channel_kind *kind, ferry_loop *loop, const char *directory)
{
        struct channel *channel = allocate(sizeof *channel);
        size_t largest;

        channel->kind = kind;
        open_ours(channel, loop, directory);
        largest = ferry_channel_record_max(channel->out);
        channel->largest = largest == SIZE_MAX ? BYTES_LARGEST : largest;
        channel->room = kind->bare == BARE_UDG ? ROOM : channel->largest;
        channel->bytes = allocate(channel->largest);
        channel->buffer = allocate(channel->room);
        bare_open(&channel->bare, kind->bare, false, directory, channel->largest);
        if (kind->has_plain)
                bare_open(&channel->plain, kind->bare, true, directory, channel->largest);
        return channel;
}

static void close_channel(struct channel *channel)
{
        if (channel->kind->is_removed)
                ferry_channel_remove(channel->in);
        ferry_channel_free(channel->out);
        ferry_channel_free(channel->in);
        ferry_channel_free(channel->listener);
        bare_close(&channel->bare);
        if (channel->kind->has_plain)
                bare_close(&channel->plain);
        free(channel->bytes);
        free(channel->buffer);
        free(channel);
}

static struct contest make_channel_contest(struct channel *channel, size_t size)
{
        return (struct contest){
                .name = channel->kind->name, .size = size, .steps = size == SMALL ? STEPS_SMALL : STEPS_LARGEST,
                .target = CHANNEL_TARGET, .floor = move_bare, .ours = move_ours,
                .plain = channel->kind->has_plain ? move_plain : NULL, .channel = channel,
        };
}

/* Stores ---------------------------------------------------------------------------------------------- */

struct store {
        ferry_store *store;
        struct bare_store bare;
        char path[96];
        char value[VALUE_SIZE];
};

static void put_bare(struct contest *contest)
{
        struct store *store = contest->store;

        bare_store_lock(&store->bare);
        memcpy(store->bare.memory, store->value, sizeof store->value);
        bare_store_unlock(&store->bare);
}

static void get_bare(struct contest *contest)
{
        struct store *store = contest->store;

        bare_store_lock(&store->bare);
        memcpy(store->value, store->bare.memory, sizeof store->value);
        bare_store_unlock(&store->bare);
}

static void update_bare(struct contest *contest)
{
        struct store *store = contest->store;

        bare_store_lock(&store->bare);
        memcpy(store->value, store->bare.memory, sizeof store->value);
        store->value[2]++;
        memcpy(store->bare.memory, store->value, sizeof store->value);
        bare_store_unlock(&store->bare);
}

static void check_store(const struct store *store, int code)
{
        if (code < 0)
                errx(1, "store: %s", ferry_store_error(store->store));
}

static void put_ours(struct contest *contest)
{
        check_store(contest->store, ferry_store_put(contest->store->store, KEY, "%d", 64));
}

static void get_ours(struct contest *contest)
{
        ferry_value *value;

        check_store(contest->store, ferry_store_get(contest->store->store, KEY, &value));
        ferry_value_unref(value);
}

static ferry_value *change(const ferry_value *value, void *userdata)
{
        (void)userdata;
        return ferry_value_pack("%d", ferry_value_int(value, 0) == 64 ? 65 : 64);
}

static void update_ours(struct contest *contest)
{
        check_store(contest->store, ferry_store_update(contest->store->store, KEY, change, NULL));
}

static const struct contest store_contests[] = {
        { .name = "store-put", .steps = STEPS_SMALL, .floor = put_bare, .ours = put_ours },
        { .name = "store-get", .steps = STEPS_SMALL, .floor = get_bare, .ours = get_ours },
        { .name = "store-update", .steps = STEPS_SMALL, .floor = update_bare, .ours = update_ours },
};

static const char *const store_whats[] = { "a small integer is put under a key", "it is read", "it is read and changed" };

enum { STORE_COUNT = sizeof store_contests / sizeof *store_contests };

static struct store *open_store(const char *directory)
{
        struct store *store = allocate(sizeof *store);
        char address[128];
        int fd;

        snprintf(store->path, sizeof store->path, "%s/store", directory);
        snprintf(address, sizeof address, "shm:%s", store->path);
        memcpy(store->value, "i:64;", sizeof store->value);
        fd = open(store->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                err(1, "%s", store->path);
        close(fd);
        store->store = ferry_store_open(address, NULL);
        check_store(store, ferry_store_put(store->store, KEY, "%d", 64));
        bare_store_open(&store->bare, 10000);
        return store;
}

static void close_store(struct store *store)
{
        check_store(store, ferry_store_delete(store->store));
        ferry_store_free(store->store);
        bare_store_close(&store->bare);
        unlink(store->path);
        free(store);
}

/* Measuring ------------------------------------------------------------------------------------------- */

static void measure_side(struct contest *contest, int side)
{
        void (*step)(struct contest *) = side == SIDE_FLOOR ? contest->floor : side == SIDE_OURS ? contest->ours : contest->plain;
        double begin;

        if (!step)
                return;
        begin = now();
        for (size_t i = 0; i < contest->steps; i++)
                step(contest);
        contest->sides[side].samples[contest->sides[side].count++] = (now() - begin) / (double)contest->steps;
}

/* The side that is first changes from sample to sample. */
static void measure_contest(struct contest *contest, int round)
{
        for (int i = 0; i < SAMPLES; i++)
                for (int k = 0; k < SIDE_COUNT; k++)
                        measure_side(contest, i % 2 == 0 ? k : SIDE_COUNT - 1 - k);
        for (int k = 0; k < SIDE_COUNT; k++) {
                struct side *side = &contest->sides[k];

                if (round < 0)
                        side->count = 0;        /* to get warm */
                else if (side->count > 0)
                        contest->medians[k][round] = median_of(side->samples + side->count - SAMPLES, SAMPLES);
        }
}

static void begin_contest(struct contest *contest, int rounds)
{
        for (int k = 0; k < SIDE_COUNT; k++) {
                contest->sides[k].samples = allocate((size_t)rounds * SAMPLES * sizeof(double));
                contest->medians[k] = allocate((size_t)rounds * sizeof(double));
        }
}

static void end_contest(struct contest *contest)
{
        for (int k = 0; k < SIDE_COUNT; k++) {
                free(contest->sides[k].samples);
                free(contest->medians[k]);
        }
}

/* Printing -------------------------------------------------------------------------------------------- */

/* The median of the quotients of all rounds, and their quartiles. */
static double divide(const double *above, const double *below, int rounds, double *ret_low, double *ret_high)
{
        double *ratios = allocate((size_t)rounds * sizeof *ratios), ratio;

        for (int i = 0; i < rounds; i++)
                ratios[i] = above[i] / below[i];
        ratio = percentile(ratios, (size_t)rounds, 0.5);
        *ret_low = ratios[rounds / 4];
        *ret_high = ratios[rounds - 1 - rounds / 4];
        free(ratios);
        return ratio;
}

static void add_figures(const struct contest *contest, double ratio, int rounds)
{
        char name[48];

        snprintf(name, sizeof name, contest->size ? "%s-%zu" : "%s", contest->name, contest->size);
        result_add(name, "one", "floor", median_of(contest->medians[SIDE_FLOOR], (size_t)rounds) / 1e3, "us", 1);
        result_add(name, "one", "ferry", median_of(contest->medians[SIDE_OURS], (size_t)rounds) / 1e3, "us", ratio);
}

static void print_contest(struct contest *contest, int rounds)
{
        char name[32];
        double low, high, ratio = divide(contest->medians[SIDE_OURS], contest->medians[SIDE_FLOOR], rounds, &low, &high);

        snprintf(name, sizeof name, contest->size ? "%s %zu" : "%s", contest->name, contest->size);
        add_figures(contest, ratio, rounds);
        printf("%-21s one ", name);
        print_side(&contest->sides[SIDE_FLOOR]);
        print_side(&contest->sides[SIDE_OURS]);
        printf("  %6.2f  %5.2f-%-5.2f", ratio, low, high);
        if (contest->target > 0)
                printf("  <= %.2f  %s", contest->target, ratio <= contest->target ? "met" : "MISSED");
        printf("\n");
}

static double median_ns(const struct contest *contest, int side, int rounds)
{
        return median_of(contest->medians[side], (size_t)rounds);
}

/* @pair is the contest of the small record, and behind it that of the largest. */
static void print_relation(const struct contest *pair, const struct contest *base, int rounds)
{
        double low, high, times = divide(pair->medians[SIDE_OURS], base->medians[SIDE_FLOOR], rounds, &low, &high);
        double largest = median_ns(&pair[1], SIDE_OURS, rounds);

        printf("%-14s %9.0f", pair->name, median_ns(pair, SIDE_FLOOR, rounds));
        if (pair->plain)
                printf(" %9.0f", median_ns(pair, SIDE_PLAIN, rounds));
        else
                printf(" %9s", "-");
        printf(" %9.0f %8.2f  %9zu %9.0f %9.0f\n", median_ns(pair, SIDE_OURS, rounds), times, pair[1].size, largest,
               (double)pair[1].size / largest * 1e9 / (1 << 20));
}

/* How fast the kinds are compared with each other: with send(2) and recv(2) on a unix socket. */
static void print_relations(const struct contest *contests, int channel_count, int rounds)
{
        const struct contest *base = NULL;

        for (int i = 0; i < channel_count; i++)
                if (contests[2 * i].channel->kind->bare == BARE_UNIX)
                        base = &contests[2 * i];
        if (!base)
                return;
        printf("\none send and one receive; nanoseconds\n%-14s %9s %9s %9s %8s  %9s %9s %9s\n", "64 bytes", "bare", "plain",
               "ferry", "x unix", "largest", "ferry", "MiB/s");
        for (int i = 0; i < channel_count; i++)
                print_relation(&contests[2 * i], base, rounds);
}

/* The rows -------------------------------------------------------------------------------------------- */

void channels_list(FILE *stream)
{
        for (int i = 0; i < KIND_COUNT; i++)
                fprintf(stream, "  %-14s %s: 64 bytes, and the largest\n", kinds[i].name, kinds[i].what);
        for (int i = 0; i < STORE_COUNT; i++)
                fprintf(stream, "  %-14s %s\n", store_contests[i].name, store_whats[i]);
}

bool channels_has(const char *pattern)
{
        for (int i = 0; i < KIND_COUNT; i++)
                if (fnmatch(pattern, kinds[i].name, 0) == 0)
                        return true;
        for (int i = 0; i < STORE_COUNT; i++)
                if (fnmatch(pattern, store_contests[i].name, 0) == 0)
                        return true;
        return false;
}

void channels_run(const char *directory, int rounds, char **patterns)
{
        struct contest contests[2 * KIND_COUNT + STORE_COUNT];
        struct channel *channels[KIND_COUNT];
        struct store *store = NULL;
        ferry_loop *loop = ferry_loop_new(NULL);
        int channel_count = 0, count = 0;

        for (int i = 0; i < KIND_COUNT; i++) {
                if (!matches_pattern(kinds[i].name, patterns))
                        continue;
                channels[channel_count] = open_channel(&kinds[i], loop, directory);
                contests[count++] = make_channel_contest(channels[channel_count], SMALL);
                contests[count++] = make_channel_contest(channels[channel_count], channels[channel_count]->largest);
                channel_count++;
        }
        for (int i = 0; i < STORE_COUNT; i++) {
                if (!matches_pattern(store_contests[i].name, patterns))
                        continue;
                store = store ? store : open_store(directory);
                contests[count] = store_contests[i];
                contests[count++].store = store;
        }
        for (int i = 0; i < count; i++)
                begin_contest(&contests[i], rounds);
        for (int round = -1; round < rounds; round++)
                for (int i = 0; i < count; i++)
                        measure_contest(&contests[i], round);
        for (int i = 0; i < count; i++)
                print_contest(&contests[i], rounds);
        print_relations(contests, channel_count, rounds);
        for (int i = 0; i < count; i++)
                end_contest(&contests[i]);
        for (int i = 0; i < channel_count; i++)
                close_channel(channels[i]);
        if (store)
                close_store(store);
        ferry_loop_free(loop);
}
