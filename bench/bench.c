/* Measures ferry against its floor: bench [--rounds N] [--cpus one|two|any] [ROW …]. See README.md. */
#include "channels.h"
#include "children.h"
#include "floor.h"
#include "php.h"
#include "samples.h"

#include <err.h>
#include <errno.h>
#include <ferry/ferry.h>
#include <fnmatch.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TYPE "bench"

enum {
        ROUNDS_DEFAULT = 11,
        FRAME_HEADER = 8 + 16,          /* of a frame, and of a payload in the dialect ferry */
        LONE_PAUSE_NS = 30000,
};

/* Where the two ends run. */
enum place {
        PLACE_ONE,      /* both on one CPU */
        PLACE_TWO,      /* each on its own */
        PLACE_ANY,      /* where the kernel likes */
        PLACE_COUNT,
};

static const char *const place_names[] = { "one", "two", "any" };

/* Seen by the peers, too. */
struct shared {
        atomic_int floor_cpu;
        atomic_int ours_cpu;
};

struct bench {
        const struct row *row;
        struct shared *shared;
        struct floor_peer floor;
        pid_t server;
        ferry_loop *loop;
        ferry_session *session;
        ferry_session *clients[FLOOR_CLIENTS_MAX];      /* the first of which is session */
        char *text;             /* the body */
        char *frame;            /* as many bytes as the frame has */
        size_t frame_size;
};

/* Samples: nanoseconds for one message each. */
typedef void measure_fn(struct bench *bench, double *samples);

struct row {
        const char *name;
        const char *what;
        size_t text_size;
        size_t samples;         /* in a round */
        size_t messages;        /* in a sample */
        enum floor_work work;
        measure_fn *floor;
        measure_fn *ours;
        bool is_rate;           /* the ratio says how many times as many messages as the floor, else how much time */
        bool is_sender_only;    /* the reader does not take the CPU away from the sender */
        double target;
        int clients;            /* that talk at the same time; 0: one */
};

/* Round trip ------------------------------------------------------------------------------------------ */

static void floor_round_trips(struct bench *bench, double *samples)
{
        for (size_t i = 0; i < bench->row->samples; i++) {
                double begin = now();

                floor_round_trip(&bench->floor, bench->frame, bench->frame_size);
                samples[i] = now() - begin;
        }
}

static void our_round_trips(struct bench *bench, double *samples)
{
        for (size_t i = 0; i < bench->row->samples; i++) {
                double begin = now();
                ferry_call *call = ferry_session_request(bench->session, FERRY_TIMEOUT_DEFAULT, TYPE, "%s",
                                                         bench->text);
                const ferry_message *reply = ferry_call_await(call);

                if (!reply || *ferry_message_text(reply) != *bench->text)
                        errx(1, "round trip: %s", ferry_call_error(call));
                ferry_call_free(call);
                samples[i] = now() - begin;
        }
}

/* Clients ---------------------------------------------------------------------------------------------- */

static void floor_clients(struct bench *bench, double *samples)
{
        for (size_t i = 0; i < bench->row->samples; i++) {
                double begin = now();

                floor_round_trips_of_all(&bench->floor, bench->frame, bench->frame_size);
                samples[i] = (now() - begin) / bench->row->clients;
        }
}

static void our_clients(struct bench *bench, double *samples)
{
        ferry_call *calls[FLOOR_CLIENTS_MAX];
        int count = bench->row->clients;

        for (size_t i = 0; i < bench->row->samples; i++) {
                double begin = now();

                for (int k = 0; k < count; k++)
                        calls[k] = ferry_session_request(bench->clients[k], FERRY_TIMEOUT_DEFAULT, TYPE, "%s",
                                                         bench->text);
                for (int k = 0; k < count; k++) {
                        if (!ferry_call_await(calls[k]))
                                errx(1, "clients: %s", ferry_call_error(calls[k]));
                        ferry_call_free(calls[k]);
                }
                samples[i] = (now() - begin) / count;
        }
}

/* One way --------------------------------------------------------------------------------------------- */

static void floor_one_way(struct bench *bench, double *samples)
{
        const struct row *row = bench->row;

        for (size_t i = 0; i < row->samples; i++) {
                double begin = now();

                for (size_t k = 0; k < row->messages; k++)
                        floor_send(&bench->floor, bench->frame, bench->frame_size);
                floor_wait(&bench->floor);
                samples[i] = (now() - begin) / (double)row->messages;
        }
}

static void notify(struct bench *bench)
{
        int code = ferry_session_notify(bench->session, TYPE, "%.*s", (int)bench->row->text_size, bench->text);

        /* What the queue does not take now, it takes after a flush; that the one was refused is told there. */
        while (code == -ENOBUFS) {
                ferry_session_flush(bench->session, -1);
                code = ferry_session_notify(bench->session, TYPE, "%.*s", (int)bench->row->text_size, bench->text);
        }
        if (code < 0)
                errx(1, "notify: %s", ferry_session_error(bench->session));
}

static void flush(struct bench *bench)
{
        if (ferry_session_flush(bench->session, -1) < 0)
                errx(1, "flush: %s", ferry_session_error(bench->session));
}

static void our_one_way(struct bench *bench, double *samples)
{
        const struct row *row = bench->row;

        for (size_t i = 0; i < row->samples; i++) {
                double begin = now();

                for (size_t k = 0; k < row->messages; k++)
                        notify(bench);
                flush(bench);
                samples[i] = (now() - begin) / (double)row->messages;
        }
}

/* Lone ------------------------------------------------------------------------------------------------- */

/* The reader takes what was sent and sleeps again; the sender does not run its loop. What is measured is the call that
 * sends, and what it costs to wake the reader, not the reader itself, who is scheduled as a batch job. */
static void rest(void)
{
        nanosleep(&(struct timespec){ .tv_nsec = LONE_PAUSE_NS }, NULL);
}

static void floor_lone(struct bench *bench, double *samples)
{
        for (size_t i = 0; i < bench->row->samples; i++) {
                double begin;

                rest();
                begin = now();
                floor_send(&bench->floor, bench->frame, bench->frame_size);
                samples[i] = now() - begin;
        }
        floor_wait(&bench->floor);
}

static void our_lone(struct bench *bench, double *samples)
{
        for (size_t i = 0; i < bench->row->samples; i++) {
                double begin;

                rest();
                begin = now();
                notify(bench);
                samples[i] = now() - begin;
        }
        flush(bench);
}

/* The rows -------------------------------------------------------------------------------------------- */

static const struct row rows[] = {
        { "roundtrip", "64-byte request and reply", 64, 1000, 1, FLOOR_ECHO, floor_round_trips, our_round_trips,
          false, false, 1.25, 0 },
        { "notify", "64-byte notifications", 64, 10, 2000, FLOOR_SINK, floor_one_way, our_one_way, true, false, 5, 0 },
        { "lone", "a lone 64-byte notification", 64, 200, 1, FLOOR_SINK, floor_lone, our_lone, false, true,
          1.1, 0 },
        { "clients-1", "64-byte request and reply, 1 client", 64, 200, 1, FLOOR_ECHO, floor_clients, our_clients,
          true, false, 0.85, 1 },
        { "clients-8", "the same, 8 clients at once", 64, 50, 8, FLOOR_ECHO, floor_clients, our_clients, true,
          false, 0.85, 8 },
        { "clients-64", "the same, 64 clients at once", 64, 10, 64, FLOOR_ECHO, floor_clients, our_clients,
          true, false, 0.85, 64 },
        { "mib", "1 MiB one way", 1 << 20, 4, 8, FLOOR_SINK, floor_one_way, our_one_way, true, false, 0.9, 0 },
};

enum { ROW_COUNT = sizeof rows / sizeof *rows };

/* The other side -------------------------------------------------------------------------------------- */

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct shared *shared = userdata;

        (void)session;
        atomic_store_explicit(&shared->ours_cpu, sched_getcpu(), memory_order_relaxed);
        return ferry_message_reply(request, NULL, "%p", ferry_message_body(request));
}

static int take(ferry_session *session, const ferry_message *notification, void *userdata)
{
        struct shared *shared = userdata;

        (void)session, (void)notification;
        atomic_store_explicit(&shared->ours_cpu, sched_getcpu(), memory_order_relaxed);
        return 1;
}

static int stop(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        return ferry_loop_stop(ferry_session_loop(session), 0);
}

/* Serve one client, until it has gone. */
static int serve(const char *address, struct shared *shared)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = ferry_service_open(loop, address, NULL);

        ferry_service_on(service, FERRY_KIND_REQUEST, answer, shared);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, take, shared);
        ferry_service_on(service, FERRY_KIND_CLOSED, stop, NULL);
        if (ferry_loop_run(loop, -1) < 0)
                errx(1, "server: %s", ferry_loop_error(loop));
        ferry_loop_free(loop);
        return 0;
}

static pid_t start_server(const char *address, struct shared *shared)
{
        pid_t pid = fork();

        if (pid < 0)
                err(1, "fork");
        if (pid > 0)
                return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(serve(address, shared));
}

/* Size of the frame of a notification; that of a request is the same. */
static size_t frame_size(const char *text, size_t size)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("%.*s", (int)size, text);
        void *bytes;
        size_t body;

        if (ferry_codec_encode(ferry_codec_msgpack(), value, &bytes, &body) < 0)
                errx(1, "the body cannot be encoded");
        free(bytes);
        return FRAME_HEADER + strlen(TYPE) + body;
}

static void begin(struct bench *bench, const struct row *row, const char *address)
{
        ferry_session_options options = { .wait_ms = 5000 };
        size_t announced;

        *bench = (struct bench){ .row = row };
        bench->text = allocate(row->text_size + 1);
        memset(bench->text, 'x', row->text_size);
        bench->frame_size = frame_size(bench->text, row->text_size);
        bench->frame = allocate(bench->frame_size);
        bench->shared = mmap(NULL, sizeof *bench->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (bench->shared == MAP_FAILED)
                err(1, "mmap");
        announced = bench->frame_size * row->messages * (row->floor == floor_lone ? row->samples : 1);
        bench->floor = row->clients ? floor_start_many(row->clients, bench->frame_size, &bench->shared->floor_cpu) :
                                      floor_start(row->work, announced, &bench->shared->floor_cpu);
        bench->server = start_server(address, bench->shared);
        /* No loop exists when the peers are forked. */
        bench->loop = ferry_loop_new(NULL);
        for (int i = 0; i == 0 || i < row->clients; i++)
                bench->clients[i] = ferry_session_open(bench->loop, address, &options);
        bench->session = bench->clients[0];
        if (row->is_sender_only && (sched_setscheduler(bench->floor.pid, SCHED_BATCH, &(struct sched_param){ 0 }) < 0 ||
                                    sched_setscheduler(bench->server, SCHED_BATCH, &(struct sched_param){ 0 }) < 0))
                warn("sched_setscheduler");
}

static void end(struct bench *bench)
{
        int status;

        ferry_loop_free(bench->loop);
        floor_stop(&bench->floor);
        waitpid(bench->server, &status, 0);
        if (status != 0)
                warnx("the server has failed");
        munmap(bench->shared, sizeof *bench->shared);
        free(bench->text);
        free(bench->frame);
}

/* Places ---------------------------------------------------------------------------------------------- */

static cpu_set_t all_cpus;

/* The CPU that is @index among those we may use; -1 if there is none. */
static int cpu_at(int index)
{
        for (unsigned i = 0; i < CPU_SETSIZE; i++)
                if (CPU_ISSET(i, &all_cpus) && index-- == 0)
                        return (int)i;
        return -1;
}

static void pin(pid_t pid, int cpu)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        if (cpu >= 0)
                CPU_SET((unsigned)cpu, &set);
        else
                set = all_cpus;
        if (sched_setaffinity(pid, sizeof set, &set) < 0)
                err(1, "sched_setaffinity");
}

static void go_to(const struct bench *bench, enum place place)
{
        int peer = place == PLACE_ONE ? cpu_at(0) : place == PLACE_TWO ? cpu_at(1) : -1;

        pin(0, place == PLACE_ANY ? -1 : cpu_at(0));
        pin(bench->floor.pid, peer);
        pin(bench->server, peer);
}

/* Measuring ------------------------------------------------------------------------------------------- */

struct result {
        struct side floor, ours;
        double *ratios;
};

/* Measure a side once; the median. */
static double measure(struct bench *bench, measure_fn *fn, struct side *side, const atomic_int *cpu)
{
        double *samples = side->samples + side->count;
        size_t count = bench->row->samples;

        fn(bench, samples);
        side->count += count;
        side->same_cpu += atomic_load(cpu) == sched_getcpu();
        return median_of(samples, count);
}

static void measure_round(struct bench *bench, struct result *result, int round)
{
        const struct row *row = bench->row;
        double floor, ours;

        /* Who is first changes, so that neither always finds the other's leavings in the caches. */
        if (round % 2 == 0) {
                floor = measure(bench, row->floor, &result->floor, &bench->shared->floor_cpu);
                ours = measure(bench, row->ours, &result->ours, &bench->shared->ours_cpu);
        } else {
                ours = measure(bench, row->ours, &result->ours, &bench->shared->ours_cpu);
                floor = measure(bench, row->floor, &result->floor, &bench->shared->floor_cpu);
        }
        result->ratios[round] = row->is_rate ? floor / ours : ours / floor;
}

static void print_result(const struct row *row, enum place place, struct result *result, int rounds)
{
        double ratio = percentile(result->ratios, (size_t)rounds, 0.5);
        double low = result->ratios[rounds / 4], high = result->ratios[rounds - 1 - rounds / 4];
        bool is_met = row->is_rate ? ratio >= row->target : ratio <= row->target;

        printf("%-20s %-4s", row->name, place_names[place]);
        print_side(&result->floor);
        print_side(&result->ours);
        printf("  %6.2f  %5.2f-%-5.2f", ratio, low, high);
        if (place == PLACE_ANY)
                printf("  (one CPU in %d%% and %d%%)\n", result->floor.same_cpu * 100 / rounds,
                       result->ours.same_cpu * 100 / rounds);
        else
                printf("  %s %.2f  %s\n", row->is_rate ? ">=" : "<=", row->target, is_met ? "met" : "MISSED");
        fflush(stdout);
}

static void run_row(const struct row *row, const char *address, int rounds, unsigned places)
{
        struct result results[PLACE_COUNT] = { 0 };
        size_t size = row->samples * (size_t)(rounds + 1) * sizeof(double);
        struct bench bench;

        begin(&bench, row, address);
        for (int i = 0; i < PLACE_COUNT; i++)
                results[i] = (struct result){ .floor.samples = allocate(size), .ours.samples = allocate(size),
                                              .ratios = allocate((size_t)rounds * sizeof(double)) };
        for (int round = -1; round < rounds; round++)
                for (int i = 0; i < PLACE_COUNT; i++) {
                        if (!(places & 1U << i))
                                continue;
                        go_to(&bench, (enum place)i);
                        if (round >= 0) {
                                measure_round(&bench, &results[i], round);
                                continue;
                        }
                        /* To get warm. */
                        row->floor(&bench, results[i].floor.samples);
                        row->ours(&bench, results[i].ours.samples);
                }
        pin(0, -1);
        for (int i = 0; i < PLACE_COUNT; i++) {
                if (places & 1U << i)
                        print_result(row, (enum place)i, &results[i], rounds);
                free(results[i].floor.samples);
                free(results[i].ours.samples);
                free(results[i].ratios);
        }
        end(&bench);
}

/* The codec ------------------------------------------------------------------------------------------- */

enum { CODEC_LOOPS = 2000 };

/* Ours, and PHP's where it is there: the ratio says how many times as many. */
static void print_codec(const char *what, struct side *php, struct side *ours, double *ratios, int rounds,
                        double target)
{
        printf("%-20s %-4s", what, "-");
        if (php->count > 0)
                print_side(php);
        else
                printf("  %29s", "");
        print_side(ours);
        if (php->count > 0) {
                double ratio = percentile(ratios, (size_t)rounds, 0.5);

                printf("  %6.2f  %5.2f-%-5.2f  >= %.2f  %s", ratio, ratios[rounds / 4], ratios[rounds - 1 - rounds / 4],
                       target, ratio >= target ? "met" : "MISSED");
        }
        printf("\n");
}

static void add_sample(struct side *side, double sample)
{
        side->samples[side->count++] = sample;
}

static void measure_codec(const void *bytes, size_t size, const ferry_value *value, double *ret_decode,
                          double *ret_encode)
{
        const ferry_codec *php = ferry_codec_php();
        double begin = now(), middle;
        size_t offset;

        for (int i = 0; i < CODEC_LOOPS; i++) {
                ferry_value *back;

                if (ferry_codec_decode(php, bytes, size, &back, &offset) < 0)
                        errx(1, "php: cannot decode");
                ferry_value_unref(back);
        }
        middle = now();
        for (int i = 0; i < CODEC_LOOPS; i++) {
                void *copy;
                size_t copy_size;

                if (ferry_codec_encode(php, value, &copy, &copy_size) < 0)
                        errx(1, "php: cannot encode");
                free(copy);
        }
        *ret_decode = (middle - begin) / CODEC_LOOPS;
        *ret_encode = (now() - middle) / CODEC_LOOPS;
}

static void run_codec(int rounds)
{
        FERRY_AUTO(ferry_value) value =
                ferry_value_pack("App\\Messages\\TaskMessage{action: 'processFile', id: %d, progress: %f,"
                                 " tags: ['a', 'b'], parameters: {filename: %s, columns: ['name', 'email', 'age'], strict: true}}",
                                 4711, 0.25, "data.csv");
        struct side sides[4];           /* decode and encode, of PHP and of ours */
        double *ratios[2], times[4];
        struct php_peer peer;
        void *bytes;
        size_t size;

        if (ferry_codec_encode(ferry_codec_php(), value, &bytes, &size) < 0)
                errx(1, "php: cannot encode");
        for (int i = 0; i < 4; i++)
                sides[i] = (struct side){ .samples = allocate((size_t)rounds * sizeof(double)) };
        for (int i = 0; i < 2; i++)
                ratios[i] = allocate((size_t)rounds * sizeof(double));
        peer = php_start(bytes, size);
        for (int round = -1; round < rounds; round++) {
                if (peer.stream)
                        php_measure(&peer, CODEC_LOOPS, &times[0], &times[1]);
                measure_codec(bytes, size, value, &times[2], &times[3]);
                /* The first is to get warm. */
                for (int i = peer.stream ? 0 : 2; i < 4 && round >= 0; i++)
                        add_sample(&sides[i], times[i]);
                for (int i = 0; i < 2 && round >= 0 && peer.stream; i++)
                        ratios[i][round] = times[i] / times[i + 2];
        }
        print_codec("php-decode", &sides[0], &sides[2], ratios[0], rounds, 1.2);
        print_codec("php-encode", &sides[1], &sides[3], ratios[1], rounds, 2);
        if (!peer.stream)
                printf("(there is no php to compare with)\n");
        php_stop(&peer);
        for (int i = 0; i < 4; i++)
                free(sides[i].samples);
        for (int i = 0; i < 2; i++)
                free(ratios[i]);
        free(bytes);
}

/* The program ----------------------------------------------------------------------------------------- */

static void usage(FILE *stream)
{
        fprintf(stream, "usage: bench [--rounds N] [--cpus one|two|any] [ROW ...]\n\n"
                        "A ROW may be a pattern: 'channel-*'\n\nrows:\n");
        for (size_t i = 0; i < ROW_COUNT; i++)
                fprintf(stream, "  %-14s %s\n", rows[i].name, rows[i].what);
        fprintf(stream, "  %-14s %s\n", "php", "encode and decode a typical message");
        fprintf(stream, "  %-14s %s\n", "spawn", "start a child, with 1 MiB and with 1 GiB of memory");
        channels_list(stream);
}

static bool is_row(const char *pattern)
{
        for (size_t i = 0; i < ROW_COUNT; i++)
                if (fnmatch(pattern, rows[i].name, 0) == 0)
                        return true;
        return fnmatch(pattern, "php", 0) == 0 || fnmatch(pattern, "spawn", 0) == 0 || channels_has(pattern);
}

static bool is_wanted(const char *name, char **patterns)
{
        if (!*patterns)
                return true;
        for (; *patterns; patterns++)
                if (fnmatch(*patterns, name, 0) == 0)
                        return true;
        return false;
}

static unsigned find_place(const char *name)
{
        for (int i = 0; i < PLACE_COUNT; i++)
                if (strcmp(name, place_names[i]) == 0)
                        return 1U << i;
        errx(2, "--cpus is one, two or any");
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "rounds", required_argument, NULL, 'r' },
                { "cpus", required_argument, NULL, 'c' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        const char *temporary = getenv("TMPDIR");
        char directory[64], address[96];
        unsigned places = (1U << PLACE_COUNT) - 1;
        int rounds = ROUNDS_DEFAULT, option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
                switch (option) {
                case 'r':
                        rounds = atoi(optarg);
                        if (rounds < 1 || rounds > 10000)
                                errx(2, "--rounds is a number from 1 to 10000");
                        break;
                case 'c':
                        places = find_place(optarg);
                        break;
                case 'h':
                        usage(stdout);
                        return 0;
                default:
                        usage(stderr);
                        return 2;
                }
        for (char **pattern = argv + optind; *pattern; pattern++)
                if (!is_row(*pattern))
                        errx(2, "there is no row %s; see --help", *pattern);
        signal(SIGPIPE, SIG_IGN);
        if (sched_getaffinity(0, sizeof all_cpus, &all_cpus) < 0)
                err(1, "sched_getaffinity");
        if (cpu_at(1) < 0 && (places & 1U << PLACE_TWO)) {
                warnx("there is only one CPU: nothing can be pinned to two");
                places &= ~(1U << PLACE_TWO);
        }
        if (!temporary || strlen(temporary) > 32)
                temporary = "/tmp";
        snprintf(directory, sizeof directory, "%s/ferry-bench-XXXXXX", temporary);
        if (!mkdtemp(directory))
                err(1, "%s", directory);
        printf("%d rounds; microseconds a message%42s\n%-20s %-4s  %9s %9s %9s  %9s %9s %9s  %6s  %-11s  %s\n",
               rounds, "", "row", "cpus", "floor p50", "p99", "min", "ours p50", "p99", "min", "ratio", "quartiles",
               "target");
        fflush(stdout);
        for (size_t i = 0; i < ROW_COUNT; i++) {
                snprintf(address, sizeof address, "unix:%s/%s", directory, rows[i].name);
                if (is_wanted(rows[i].name, argv + optind))
                        run_row(&rows[i], address, rounds, places);
        }
        if (is_wanted("php", argv + optind))
                run_codec(rounds);
        if (is_wanted("spawn", argv + optind))
                children_run(rounds);
        /* One process. */
        pin(0, cpu_at(0));
        channels_run(directory, rounds, argv + optind, is_wanted);
        if (rmdir(directory) < 0)
                warn("%s", directory);
        return 0;
}
