/* ferry bench: how fast the listener at an address answers. Each request is timed from its call to its answer; a latency is
 * counted in a histogram whose steps are at most 1/64 wide, so memory does not grow with the requests. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
        STEP_BITS = 6,
        STEPS = 1 << STEP_BITS,         /* in a power of two */
        BUCKETS = 64 * STEPS,
        BODY_DEFAULT = 64,
        BODY_MAX = 16 << 20,
        SECONDS_DEFAULT = 2,
        ROWS_MAX = 24,
        BAR = 40,
};

struct bench {
        struct peer peer;
        long in_flight_max;
        long count;             /* requests to send; 0: no limit */
        uint64_t end;           /* when to send no more; 0: never */
        uint64_t began, ended;
        long sent, in_flight, answered;
        int error;              /* that of the first call that has failed */
        char *reason;
        uint64_t least, most;
        uint64_t buckets[BUCKETS];
};

struct request {
        struct bench *bench;
        uint64_t began;
};

static uint64_t now(void)
{
        struct timespec time = { 0 };

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Latencies ------------------------------------------------------------------------------------------------ */

/* Below 2 * STEPS each number has a bucket. */
static size_t bucket_of(uint64_t ns)
{
        int shift = ns >> STEP_BITS ? 63 - __builtin_clzll(ns) - STEP_BITS : 0;

        return (size_t)((uint64_t)shift * STEPS + (ns >> shift));
}

/* The least number in a bucket. */
static uint64_t bucket_begin(size_t bucket)
{
        size_t shift = bucket < (size_t)2 * STEPS ? 0 : bucket / STEPS - 1;

        return (uint64_t)(bucket - shift * STEPS) << shift;
}

static void add_latency(struct bench *bench, uint64_t ns)
{
        bench->buckets[bucket_of(ns)]++;
        bench->least = bench->answered == 0 || ns < bench->least ? ns : bench->least;
        bench->most = ns > bench->most ? ns : bench->most;
        bench->answered++;
}

/* Nanoseconds: the middle of a bucket, but not beyond what was seen. */
static double percentile(const struct bench *bench, double share)
{
        uint64_t seen = 0, wanted = (uint64_t)((double)bench->answered * share);
        size_t bucket = 0;
        double middle;

        for (; bucket < BUCKETS - 1; bucket++)
                if ((seen += bench->buckets[bucket]) > wanted)
                        break;
        middle = ((double)bucket_begin(bucket) + (double)bucket_begin(bucket + 1)) / 2;
        return middle < (double)bench->least ? (double)bench->least : middle > (double)bench->most ? (double)bench->most : middle;
}

/* Requests ------------------------------------------------------------------------------------------------- */

static void fail(struct bench *bench, const ferry_call *call)
{
        if (bench->error)
                return;
        bench->error = ferry_call_status(call);
        bench->reason = strdup(ferry_call_error(call));
}

static bool is_enough(const struct bench *bench, uint64_t time)
{
        return bench->error || signals_received() || (bench->count && bench->sent >= bench->count) ||
               (bench->end && time >= bench->end);
}

static void send_request(struct bench *bench, struct request *request);

static void take_answer(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct request *request = userdata;
        struct bench *bench = request->bench;
        uint64_t time = now();

        bench->in_flight--;
        bench->ended = time;
        if (reply)
                add_latency(bench, time - request->began);
        else
                fail(bench, call);
        if (!is_enough(bench, time))
                send_request(bench, request);
        else if (bench->in_flight == 0)
                ferry_loop_stop(bench->peer.loop, 0);
}

static void send_request(struct bench *bench, struct request *request)
{
        bench->sent++;
        bench->in_flight++;
        request->bench = bench;
        request->began = now();
        ferry_call_then(ferry_session_request_value(bench->peer.session, bench->peer.options->timeout_ms, bench->peer.type,
                                                    bench->peer.body), take_answer, request);
}

/* The first one connects, and shows whether the listener answers at all; it does not count. */
static void try_once(struct bench *bench)
{
        ferry_call *call = ferry_session_request_value(bench->peer.session, bench->peer.options->timeout_ms, bench->peer.type,
                                                       bench->peer.body);

        if (!ferry_call_await(call))
                fail(bench, call);
        ferry_call_free(call);
}

static void run_requests(struct bench *bench, struct request *requests, int seconds_ms)
{
        bench->began = bench->ended = now();
        bench->end = seconds_ms ? bench->began + (uint64_t)seconds_ms * 1000000 : 0;
        for (long i = 0; i < bench->in_flight_max && !is_enough(bench, bench->began); i++)
                send_request(bench, &requests[i]);
        if (bench->in_flight > 0)
                ferry_loop_run(bench->peer.loop, -1);
}

/* Output --------------------------------------------------------------------------------------------------- */

static double seconds_of(const struct bench *bench)
{
        return bench->ended > bench->began ? (double)(bench->ended - bench->began) / 1e9 : 1e-9;
}

/* The bucket at which row @row of the histogram begins, where each power of two has @parts rows. */
static size_t row_begin(size_t row, size_t parts)
{
        return row * STEPS / parts;
}

/* As many rows as fit. */
static size_t parts_of(const struct bench *bench)
{
        size_t parts = 8;

        while (parts > 1 && (bucket_of(bench->most) - bucket_of(bench->least)) * parts / STEPS >= ROWS_MAX)
                parts /= 2;
        return parts;
}

static uint64_t count_row(const struct bench *bench, size_t row, size_t parts)
{
        uint64_t count = 0;

        for (size_t bucket = row_begin(row, parts); bucket < row_begin(row + 1, parts); bucket++)
                count += bench->buckets[bucket];
        return count;
}

static void print_histogram(const struct bench *bench)
{
        static const char bar[BAR + 1] = "########################################";
        size_t parts = parts_of(bench), first = bucket_of(bench->least) * parts / STEPS, last = bucket_of(bench->most) * parts / STEPS;
        uint64_t largest = 1;

        for (size_t row = first; row <= last; row++)
                if (count_row(bench, row, parts) > largest)
                        largest = count_row(bench, row, parts);
        print_formatted("\n%12s\n", "from us");
        for (size_t row = first; row <= last; row++) {
                uint64_t count = count_row(bench, row, parts);
                /* What is there is seen. */
                int length = (int)((count * BAR + largest - 1) / largest);

                if (!print_formatted("%12.2f  %-*.*s %10llu  %5.1f%%\n", (double)bucket_begin(row_begin(row, parts)) / 1e3, BAR, length,
                                     bar, (unsigned long long)count, 100 * (double)count / (double)bench->answered))
                        return;
        }
}

static void print_report(const struct bench *bench, const ferry_value *info, size_t size)
{
        print_formatted("%s: stream %s, dialect %s, %zu bytes, %ld in flight\n",
                        ferry_value_text(ferry_value_get(info, "address"), "?"), ferry_value_text(ferry_value_get(info, "stream"), "?"),
                        ferry_value_text(ferry_value_get(info, "dialect"), "?"), size, bench->in_flight_max);
        print_formatted("%ld request%s in %.3f s: %.0f requests/s, %.1f MiB/s in bodies\n", bench->answered,
                        bench->answered == 1 ? "" : "s", seconds_of(bench),
                        (double)bench->answered / seconds_of(bench),
                        (double)bench->answered * (double)size / seconds_of(bench) / (1 << 20));
        print_formatted("us: min %.2f, p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f\n", (double)bench->least / 1e3,
                        percentile(bench, 0.5) / 1e3, percentile(bench, 0.9) / 1e3, percentile(bench, 0.99) / 1e3,
                        percentile(bench, 0.999) / 1e3, (double)bench->most / 1e3);
        print_histogram(bench);
}

/* Buckets that have any, as [from, to, count] in microseconds; the caller's, or NULL without memory. */
static ferry_value *make_histogram(const struct bench *bench)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *histogram;

        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (size_t bucket = 0; bucket < BUCKETS - 1; bucket++)
                if (bench->buckets[bucket])
                        ferry_builder_add(builder, "[%f, %f, %llu]", (double)bucket_begin(bucket) / 1e3,
                                          (double)bucket_begin(bucket + 1) / 1e3, (unsigned long long)bench->buckets[bucket]);
        ferry_builder_close(builder);
        return ferry_builder_finish(builder, &histogram) < 0 ? NULL : histogram;
}

static void print_json(const struct bench *bench, const ferry_value *info, size_t size)
{
        FERRY_AUTO(ferry_value) histogram = make_histogram(bench);
        FERRY_AUTO(ferry_value) all = ferry_value_pack(
                "{address: %s, stream: %s, dialect: %s, size: %zu, in_flight: %ld, requests: %ld, seconds: %f, requests_per_second: %f,"
                " min_us: %f, p50_us: %f, p90_us: %f, p99_us: %f, p999_us: %f, max_us: %f, histogram: %p}",
                ferry_value_text(ferry_value_get(info, "address"), NULL), ferry_value_text(ferry_value_get(info, "stream"), NULL),
                ferry_value_text(ferry_value_get(info, "dialect"), NULL), size, bench->in_flight_max, bench->answered,
                seconds_of(bench), (double)bench->answered / seconds_of(bench), (double)bench->least / 1e3,
                percentile(bench, 0.5) / 1e3, percentile(bench, 0.9) / 1e3, percentile(bench, 0.99) / 1e3,
                percentile(bench, 0.999) / 1e3, (double)bench->most / 1e3, ferry_arg(histogram));

        if (all)
                print_value(all, bench->peer.options, true);
        else
                output_fail(ENOMEM);
}

static void complain_failure(const struct bench *bench, size_t size)
{
        const char *reason = bench->reason ? bench->reason : strerror(-bench->error);

        if (bench->error == -ENOBUFS)
                complain("%ld bodies of %zu bytes do not fit into the queue at once: lower --in-flight or --size", bench->in_flight_max,
                         size);
        else
                complain(bench->error == -EREMOTEIO ? "the listener answers with an error, so there is nothing to measure: %s" : "%s",
                         reason);
}

/* What was measured before a failure is printed, too. */
static int report(const struct bench *bench, size_t size)
{
        const struct cli_options *options = bench->peer.options;
        FERRY_AUTO(ferry_value) info = ferry_session_info(bench->peer.session);

        if (bench->answered > 0 && options->is_json)
                print_json(bench, info, size);
        else if (bench->answered > 0)
                print_report(bench, info, size);
        if (bench->error && !signals_received())
                complain_failure(bench, size);
        return exit_status_of(signals_received() ? 0 : bench->error);
}

/* The command ----------------------------------------------------------------------------------------------- */

/* Of a dialect whose types have a form of their own. */
static const char *type_of(const struct cli_options *options)
{
        if (options->type)
                return options->type;
        return options->dialects == FERRY_DIALECT_INNMIND ? "text/plain" : "bench";
}

static ferry_value *make_body(size_t size)
{
        char *text = malloc(size + 1);
        ferry_value *body;

        if (!text)
                return NULL;
        memset(text, 'x', size);
        body = ferry_value_pack("%.*s", (int)size, text);
        free(text);
        return body;
}

static int measure(struct bench *bench, struct request *requests, const struct cli_options *options, char **arguments, size_t size)
{
        int status = peer_open(&bench->peer, options, arguments, 2, false);

        if (status)
                return status;
        ferry_value_unref(bench->peer.body);
        bench->peer.body = make_body(size);
        if (bench->peer.body) {
                try_once(bench);
                if (!bench->error)
                        run_requests(bench, requests, options->seconds_ms ? options->seconds_ms :
                                                      bench->count ? 0 : 1000 * SECONDS_DEFAULT);
                status = report(bench, size);
        } else {
                complain("no memory for a body of %zu bytes", size);
                status = EXIT_CONNECTION;
        }
        return peer_close(&bench->peer, output_status(status));
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        struct cli_options own = *options;
        size_t size = options->bytes ? (size_t)options->bytes : BODY_DEFAULT;
        long in_flight = options->in_flight ? options->in_flight : 1;
        char *type = strdup(type_of(options));
        struct bench *bench = calloc(1, sizeof *bench);
        struct request *requests = calloc((size_t)in_flight, sizeof *requests);
        int status = EXIT_USAGE;

        (void)count;
        if (!type || !bench || !requests) {
                complain("no memory for the measurement");
                status = EXIT_CONNECTION;
        } else if (size > BODY_MAX)
                complain("--size: %zu is more than %d", size, BODY_MAX);
        else {
                bench->in_flight_max = in_flight;
                /* All requests go the same way. */
                own.is_no_shm = !options->is_shm;
                bench->count = options->count;
                status = measure(bench, requests, &own, (char *[]){ arguments[0], type }, size);
                free(bench->reason);
        }
        free(requests);
        free(bench);
        free(type);
        return status;
}

const struct cli_command command_bench = {
        .name = "bench",
        .arguments = "ADDRESS",
        .summary = "measure how fast a listener answers requests",
        .options = (const char *const[]){ "size", "in-flight", "count", "seconds", "type", "dialect", "codec", "namespace", "timeout",
                                          "wait", "allow", "json", "verbose", "shm", "remote-ferry", NULL },
        .least = 1,
        .most = 1,
        .run = run,
};
