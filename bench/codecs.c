/* Measures the codecs against those of others, on bench/corpus: codecs [--rounds N] [--ms N] [PATTERN …]. A row is
 * CODEC-WORK-FILE, such as json-decode-table. See docs/benchmarks.md. With --figures FD each figure is also written to that
 * descriptor, as a line that `bench` reads: WORK PLACEMENT SUBJECT VALUE UNIT. */
#include "samples.h"

#include <ferry/ferry.h>

#include <err.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_JANSSON
#include <jansson.h>
#endif
#ifdef HAVE_MSGPACK_C
#include <msgpack.h>
#endif

enum { ROUNDS_DEFAULT = 15, ROUNDS_MAX = 1000, BLOCK_MS_DEFAULT = 4 };

enum work { DECODE, ENCODE };

static const char *const works[] = { "decode", "encode" };
static const char *const files[] = { "small", "table", "deep", "escapes", "doubles", "text" };

/* What a row works on. */
struct input {
        const char *codec_name;
        enum work work;
        char path[512];
        const ferry_codec *codec;
        ferry_value *value;
        void *bytes;
        size_t size;
};

/* One that is measured: nanoseconds of CPU time for one piece of work; negative if it cannot do it. */
typedef double measure_fn(struct input *input, long loops);

struct subject {
        const char *name;
        const char *codec;      /* that it is compared with */
        measure_fn *measure;
        double target;          /* how many times as fast ferry is to be; 0: none */
};

/* Keeps the optimizer from dropping what is measured. */
static volatile size_t seen;

static double cpu_time(void)
{
        struct timespec time;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* ferry ------------------------------------------------------------------------------------------------ */

static double measure_ferry(struct input *input, long loops)
{
        double begin = cpu_time();

        for (long i = 0; i < loops; i++) {
                ferry_value *value;
                void *bytes;
                size_t size;

                if (input->work == DECODE) {
                        if (ferry_codec_decode(input->codec, input->bytes, input->size, &value, NULL) < 0)
                                errx(1, "ferry does not read what it has written: %s", input->path);
                        ferry_value_unref(value);
                } else {
                        if (ferry_codec_encode(input->codec, input->value, &bytes, &size) < 0)
                                errx(1, "ferry does not write %s", input->path);
                        seen += size;
                        free(bytes);
                }
        }
        return (cpu_time() - begin) / (double)loops;
}

/* PHP --------------------------------------------------------------------------------------------------- */

/* A process of its command line without its ini file; NULL where PHP is not installed. */
static FILE *php;

static void start_php(void)
{
        int fds[2];
        double answer;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                err(1, "socketpair");
        switch (fork()) {
        case -1:
                err(1, "fork");
        case 0:
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                dup2(fds[1], STDIN_FILENO);
                dup2(fds[1], STDOUT_FILENO);
                close(STDERR_FILENO);
                execlp("php", "php", "-n", "-d", "extension=igbinary", "-d", "extension=msgpack", "-d", "serialize_precision=-1",
                       "-d", "display_errors=0", BENCH_FOLDER "/codecs.php", (char *)NULL);
                _exit(127);
        }
        close(fds[1]);
        php = fdopen(fds[0], "r");
        if (!php || dprintf(fds[0], "php encode %s/corpus/small.json 1\n", BENCH_FOLDER) < 0 || fscanf(php, "%lf", &answer) != 1)
                php = NULL;
}

static double ask_php(const char *codec, const struct input *input, long loops)
{
        double answer;
        char line[32];

        if (!php || dprintf(fileno(php), "%s %s %s %ld\n", codec, works[input->work], input->path, loops) < 0)
                return -1;
        if (fscanf(php, "%31s", line) != 1)
                errx(1, "php has ended");
        return sscanf(line, "%lf", &answer) == 1 ? answer : -1;
}

static double measure_php(struct input *input, long loops)
{
        return ask_php(input->codec_name, input, loops);
}

static double measure_igbinary(struct input *input, long loops)
{
        return ask_php("igbinary", input, loops);
}

/* jansson ----------------------------------------------------------------------------------------------- */

#ifdef HAVE_JANSSON
static double measure_jansson(struct input *input, long loops)
{
        json_t *value = json_loadb(input->bytes, input->size, 0, NULL);
        double begin = cpu_time(), end;

        if (!value)
                return -1;
        for (long i = 0; i < loops; i++)
                if (input->work == DECODE)
                        json_decref(json_loadb(input->bytes, input->size, 0, NULL));
                else {
                        char *text = json_dumps(value, JSON_COMPACT);

                        seen += (size_t)*text;
                        free(text);
                }
        end = cpu_time();
        json_decref(value);
        return (end - begin) / (double)loops;
}
#endif

/* msgpack-c --------------------------------------------------------------------------------------------- */

#ifdef HAVE_MSGPACK_C
static double measure_msgpack_c(struct input *input, long loops)
{
        msgpack_unpacked value, again;
        double begin, end;

        msgpack_unpacked_init(&value);
        if (msgpack_unpack_next(&value, input->bytes, input->size, NULL) != MSGPACK_UNPACK_SUCCESS) {
                msgpack_unpacked_destroy(&value);
                return -1;      /* it takes 32 levels */
        }
        begin = cpu_time();
        for (long i = 0; i < loops; i++)
                if (input->work == DECODE) {
                        msgpack_unpacked_init(&again);
                        seen += (size_t)msgpack_unpack_next(&again, input->bytes, input->size, NULL);
                        msgpack_unpacked_destroy(&again);
                } else {
                        msgpack_sbuffer buffer;
                        msgpack_packer packer;

                        msgpack_sbuffer_init(&buffer);
                        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
                        msgpack_pack_object(&packer, value.data);
                        seen += buffer.size;
                        msgpack_sbuffer_destroy(&buffer);
                }
        end = cpu_time();
        msgpack_unpacked_destroy(&value);
        return (end - begin) / (double)loops;
}
#endif

static const struct subject subjects[] = {
        { "php", "php", measure_php, 2 },
        { "igbinary", "php", measure_igbinary, 0 },
        { "php", "json", measure_php, 2 },
#ifdef HAVE_JANSSON
        { "jansson", "json", measure_jansson, 5 },
#endif
#ifdef HAVE_MSGPACK_C
        { "msgpack-c", "msgpack", measure_msgpack_c, 2 },
#endif
        { "php-msgpack", "msgpack", measure_php, 0 },
};

enum { SUBJECT_COUNT = sizeof subjects / sizeof *subjects };

/* Rows ---------------------------------------------------------------------------------------------------- */

static void *read_file(const char *path, size_t *ret_size)
{
        FILE *file = fopen(path, "r");
        char *bytes;

        if (!file || fseek(file, 0, SEEK_END) < 0)
                err(1, "%s", path);
        *ret_size = (size_t)ftell(file);
        rewind(file);
        bytes = allocate(*ret_size + 1);
        if (fread(bytes, 1, *ret_size, file) != *ret_size)
                err(1, "%s", path);
        fclose(file);
        return bytes;
}

/* The value stands in a JSON file; each codec then has it in its own form, with objects where it knows some. */
static void input_init(struct input *input, const char *codec_name, enum work work, const char *file)
{
        size_t size;
        char *json;

        *input = (struct input){ .codec_name = codec_name, .work = work };
        snprintf(input->path, sizeof input->path, "%s/corpus/%s.json", BENCH_FOLDER, file);
        input->codec = strcmp(codec_name, "php") == 0  ? ferry_codec_php() :
                       strcmp(codec_name, "json") == 0 ? ferry_codec_json() :
                                                         ferry_codec_msgpack();
        json = read_file(input->path, &size);
        if (ferry_codec_decode(input->codec == ferry_codec_json() ? ferry_codec_json() : ferry_codec_json_objects(), json, size,
                               &input->value, NULL) < 0 ||
            ferry_codec_encode(input->codec, input->value, &input->bytes, &input->size) < 0)
                errx(1, "%s is not what was expected", input->path);
        free(json);
}

static void input_deinit(struct input *input)
{
        ferry_value_unref(input->value);
        free(input->bytes);
}

/* As many loops as fill a block. */
static long calibrate(measure_fn *measure, struct input *input, double block_ns)
{
        for (long loops = 1;; loops *= 4) {
                double each = measure(input, loops);

                if (each < 0)
                        return 0;
                if (each * (double)loops > block_ns / 8 || loops > 1000000)
                        return each > 0 ? (long)(block_ns / each) + 1 : loops;
        }
}

static double quartile(const double *samples, size_t count, double share)
{
        double *copy = allocate(count * sizeof *copy), result;

        memcpy(copy, samples, count * sizeof *copy);
        result = percentile(copy, count, share);
        free(copy);
        return result;
}

/* -1: nowhere. */
static int figures = -1;

static void add_figure(const char *name, const char *part, const char *subject, double value, const char *unit)
{
        if (figures >= 0)
                dprintf(figures, "%s%s one %s %.6g %s\n", name, part, subject, value, unit);
}

static void print_row(const struct input *input, const char *name, double *ours, double *theirs[], int rounds)
{
        add_figure(name, "", "ferry", median_of(ours, (size_t)rounds) / 1e3, "us");
        printf("%-22s %10.0f ns %6.0f MB/s", name, median_of(ours, (size_t)rounds),
               (double)input->size * 1e3 / median_of(ours, (size_t)rounds));
        for (int i = 0; i < SUBJECT_COUNT; i++) {
                double ratios[ROUNDS_MAX];

                if (!theirs[i])
                        continue;
                for (int round = 0; round < rounds; round++)
                        ratios[round] = theirs[i][round] / ours[round];
                printf("   %s %.2f (%.2f-%.2f)", subjects[i].name, median_of(ratios, (size_t)rounds),
                       quartile(ratios, (size_t)rounds, 0.25), quartile(ratios, (size_t)rounds, 0.75));
                add_figure(name, "", subjects[i].name, median_of(theirs[i], (size_t)rounds) / 1e3, "us");
                add_figure(name, "/ferry", subjects[i].name, median_of(ratios, (size_t)rounds), "times");
                if (subjects[i].target > 0)
                        printf(median_of(ratios, (size_t)rounds) < subjects[i].target ? " BELOW %.0f" : " of %.0f", subjects[i].target);
        }
        putchar('\n');
        fflush(stdout);
}

/* In every round each subject has a block, right after the other ones, each time in another order. */
static void run_row(const char *name, struct input *input, int rounds, double block_ns)
{
        double *ours = allocate((size_t)rounds * sizeof *ours), *theirs[SUBJECT_COUNT] = { NULL };
        long our_loops = calibrate(measure_ferry, input, block_ns), loops[SUBJECT_COUNT];

        for (int i = 0; i < SUBJECT_COUNT; i++) {
                loops[i] = strcmp(subjects[i].codec, input->codec_name) == 0 ? calibrate(subjects[i].measure, input, block_ns) : 0;
                if (loops[i] > 0)
                        theirs[i] = allocate((size_t)rounds * sizeof *ours);
        }
        for (int round = 0; round < rounds; round++)
                for (int turn = 0; turn <= SUBJECT_COUNT; turn++) {
                        int i = (turn + round) % (SUBJECT_COUNT + 1);

                        if (i == SUBJECT_COUNT)
                                ours[round] = measure_ferry(input, our_loops);
                        else if (theirs[i])
                                theirs[i][round] = subjects[i].measure(input, loops[i]);
                }
        print_row(input, name, ours, theirs, rounds);
        free(ours);
        for (int i = 0; i < SUBJECT_COUNT; i++)
                free(theirs[i]);
}

int main(int argc, char *argv[])
{
        static const struct option options[] = {
                { "rounds", required_argument, NULL, 'r' }, { "ms", required_argument, NULL, 'm' },
                { "loops", required_argument, NULL, 'l' },  { "figures", required_argument, NULL, 'f' },
                { "list", no_argument, NULL, 'L' },         { 0 },
        };
        static const char *const codecs[] = { "php", "json", "msgpack" };
        int rounds = ROUNDS_DEFAULT, letter;
        double block_ns = BLOCK_MS_DEFAULT * 1e6;
        long loops = 0;
        bool is_list = false;
        cpu_set_t cpus;

        while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (letter == 'r')
                        rounds = atoi(optarg);
                else if (letter == 'm')
                        block_ns = atof(optarg) * 1e6;
                else if (letter == 'l')
                        loops = atol(optarg);
                else if (letter == 'f')
                        figures = atoi(optarg);
                else if (letter == 'L')
                        is_list = true;
                else
                        errx(2, "usage: codecs [--rounds N] [--ms N] [--loops N] [PATTERN ...]; --loops runs ferry alone");
        }
        if (rounds < 1 || rounds > ROUNDS_MAX || block_ns <= 0 || loops < 0)
                errx(2, "--rounds takes 1 to 1000, --ms and --loops more than 0");
        /* All on one CPU, so that they have the same caches and the same neighbours. */
        CPU_ZERO(&cpus);
        CPU_SET(0, &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus);
        if (loops == 0 && !is_list)
                start_php();
        for (size_t codec = 0; codec < 3; codec++)
                for (int work = DECODE; work <= ENCODE; work++)
                        for (size_t file = 0; file < sizeof files / sizeof *files; file++) {
                                struct input input;
                                char name[64];

                                /* To the other formats a long text is a memcpy. */
                                if (strcmp(files[file], "text") == 0 && strcmp(codecs[codec], "json") != 0)
                                        continue;
                                snprintf(name, sizeof name, "%s-%s-%s", codecs[codec], works[work], files[file]);
                                if (!matches_pattern(name, argv + optind))
                                        continue;
                                if (is_list) {
                                        printf("%s\n", name);
                                        continue;
                                }
                                input_init(&input, codecs[codec], (enum work)work, files[file]);
                                if (loops > 0)
                                        printf("%-22s %10.0f ns\n", name, measure_ferry(&input, loops));
                                else
                                        run_row(name, &input, rounds, block_ns);
                                input_deinit(&input);
                        }
        return 0;
}
