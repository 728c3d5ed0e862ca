#include "driver.h"
#include "shared.h"

#include <err.h>
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
        LONE_PAUSE_NS = 30000,
        REPORT_SIZE = 64,
        FD_RESERVE = 100,
};

struct job job;

static struct shared *shared;
static int ready_fd = STDOUT_FILENO;

static void *allocate(size_t size)
{
        void *memory = calloc(1, size);

        if (!memory)
                err(1, "calloc");
        return memory;
}

/* Messages ---------------------------------------------------------------------------------------------
 *
 * The first byte of a body says what it asks for: 'e' an echo, 'n' nothing, 'r' a report about what was notified. */

struct report {
        unsigned long long count, sum, heap;
};

/* So that every byte is touched. */
static uint64_t sum_of(const char *body, size_t size)
{
        uint64_t sum = 0, word;
        size_t i = 0;

        for (; i + sizeof word <= size; i += sizeof word) {
                memcpy(&word, body + i, sizeof word);
                sum += word;
        }
        for (; i < size; i++)
                sum += (unsigned char)body[i];
        return sum;
}

/* What all arenas of the heap have given out. */
static unsigned long long heap_in_use(void)
{
        unsigned long long fast = 0, rest = 0, mapped = 0, system = 0;
        char *text, *totals;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        if (!stream || malloc_info(0, stream) != 0 || fclose(stream) != 0)
                err(1, "malloc_info");
        totals = NULL;
        /* The totals stand behind the last arena. */
        for (char *heap = text; (heap = strstr(heap, "</heap>")); heap++)
                totals = heap;
        if (!totals || sscanf(totals, "</heap> <total type=\"fast\" count=\"%*u\" size=\"%llu\"/> <total type=\"rest\" count=\"%*u\" "
                              "size=\"%llu\"/> <total type=\"mmap\" count=\"%*u\" size=\"%llu\"/> <system type=\"current\" "
                              "size=\"%llu\"/>", &fast, &rest, &mapped, &system) != 4)
                errx(1, "malloc_info has another form than expected");
        free(text);
        return system - fast - rest + mapped;
}

size_t driver_take(const char *body, size_t size, const char **ret_answer)
{
        static struct report taken;
        static char text[REPORT_SIZE];

        atomic_store_explicit(&shared->server_cpu, sched_getcpu(), memory_order_relaxed);
        if (size == 0)
                errx(1, "%s: an empty message", job.subject->name);
        switch (*body) {
        case 'e':
                *ret_answer = body;
                return size;
        case 'n':
                taken.count++;
                taken.sum += sum_of(body, job.work->body);
                return 0;
        case 'r':
                if (job.work->kind == WORK_IDLE)
                        taken.heap = heap_in_use();
                memset(text, 0, sizeof text);
                *ret_answer = text;
                return (size_t)snprintf(text, sizeof text, "r%llu %llu %llu", taken.count, taken.sum, taken.heap);
        default:
                errx(1, "%s: a message that begins with %#x", job.subject->name, (unsigned char)*body);
        }
}

static char *echo_body, *notify_body;
static struct report expected, reported;
static uint64_t notify_sum;
static bool is_report_due;

void driver_check(const char *answer, size_t size)
{
        char text[REPORT_SIZE + 1] = "";

        if (!is_report_due) {
                if (size < job.work->body || memcmp(answer, echo_body, job.work->body) != 0)
                        errx(1, "%s: the answer of %zu bytes is not the request", job.subject->name, size);
                return;
        }
        memcpy(text, answer, size < REPORT_SIZE ? size : REPORT_SIZE);
        if (sscanf(text, "r%llu %llu %llu", &reported.count, &reported.sum, &reported.heap) != 3)
                errx(1, "%s: the report of %zu bytes is not one", job.subject->name, size);
        is_report_due = false;
}

static void request(int client)
{
        driver.request(client, echo_body, job.work->body);
}

static void ask_for_report(void)
{
        is_report_due = true;
        driver.request(0, "r", 1);
        driver.await(0);
        if (is_report_due)
                errx(1, "%s: there is no report", job.subject->name);
}

static void notify(void)
{
        driver.notify(notify_body, job.work->body);
        expected.count++;
        expected.sum += notify_sum;
}

static void finish_notifying(void)
{
        if (driver.flush)
                driver.flush();
        ask_for_report();
        if (reported.count != expected.count || reported.sum != expected.sum)
                errx(1, "%s: %llu of %llu messages arrived, with a sum of %llu, not %llu", job.subject->name, reported.count,
                     expected.count, reported.sum, expected.sum);
}

/* Samples ---------------------------------------------------------------------------------------------- */

static double now(void)
{
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double take_lone(void)
{
        double begin;

        nanosleep(&(struct timespec){ .tv_nsec = LONE_PAUSE_NS }, NULL);
        begin = now();
        notify();
        return now() - begin;
}

/* From when the child is being started to its answer. Its end is not timed. */
static double take_first_answer(void)
{
        double begin = now(), took;

        driver.open(0);
        request(0);
        driver.await(0);
        took = now() - begin;
        driver.close(0);
        return took;
}

static double take_connection(void)
{
        double begin = now();

        driver.open(1);
        request(1);
        driver.await(1);
        driver.close(1);
        return now() - begin;
}

/* Each client has been answered once. In bytes. */
static double take_idle(void)
{
        int clients = job.subject->clients_max ? job.subject->clients_max : job.work->clients;
        unsigned long long before;

        ask_for_report();
        before = reported.heap;
        for (int i = 1; i < clients; i++) {
                driver.open(i);
                request(i);
                driver.await(i);
        }
        ask_for_report();
        for (int i = 1; i < clients; i++)
                driver.close(i);
        return (double)(long long)(reported.heap - before) / (clients - 1);
}

static double take_batch(void)
{
        const struct work *work = job.work;
        double begin = now();

        switch (work->kind) {
        case WORK_ONE_WAY:
                for (size_t i = 0; i < work->batch; i++)
                        notify();
                finish_notifying();
                break;
        case WORK_FAN_IN:
                for (int i = 0; i < work->clients; i++)
                        request(i);
                for (int i = 0; i < work->clients; i++)
                        driver.await(i);
                break;
        default:
                for (size_t i = 0; i < work->batch; i++)
                        request(0);
                for (size_t i = 0; i < work->batch; i++)
                        driver.await(0);
        }
        return (now() - begin) / (double)work->batch;
}

/* Nanoseconds a message. */
static double take_sample(void)
{
        switch (job.work->kind) {
        case WORK_LONE:
                return take_lone();
        case WORK_SPAWN:
                return take_first_answer();
        case WORK_CONNECT:
                return take_connection();
        case WORK_IDLE:
                return take_idle();
        default:
                return take_batch();
        }
}

static void take_samples(double *samples, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                samples[i] = take_sample();
                atomic_fetch_add_explicit(&shared->samples, 1, memory_order_relaxed);
                if (atomic_load_explicit(&shared->server_cpu, memory_order_relaxed) == sched_getcpu())
                        atomic_fetch_add_explicit(&shared->same_cpu, 1, memory_order_relaxed);
        }
        if (job.work->kind == WORK_LONE)
                finish_notifying();
}

/* Processes --------------------------------------------------------------------------------------------- */

static void go_to_cpu(const char *variable)
{
        const char *text = getenv(variable);
        cpu_set_t set;

        if (!text || !*text)
                return;
        CPU_ZERO(&set);
        CPU_SET((unsigned)atoi(text), &set);
        if (sched_setaffinity(0, sizeof set, &set) < 0)
                err(1, "cannot run on CPU %s", text);
}

bool driver_has_one_cpu(void)
{
        const char *ours = getenv("BENCH_CLIENT_CPU"), *theirs = getenv("BENCH_SERVER_CPU");

        return ours && theirs && strcmp(ours, theirs) == 0;
}

void driver_become_server(void)
{
        go_to_cpu("BENCH_SERVER_CPU");
        /* Waking it is part of the sending call, but it does not take the CPU from the sender. */
        if (job.work->kind == WORK_LONE && sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 }) < 0)
                warn("sched_setscheduler");
        atomic_store(&shared->server_pid, getpid());
}

void driver_ready(void)
{
        if (ready_fd >= 0 && write(ready_fd, "r", 1) != 1)
                err(1, "cannot report that the server is ready");
}

pid_t driver_fork(void)
{
        int fds[2];
        char byte;
        pid_t pid;

        if (pipe(fds) < 0)
                err(1, "pipe");
        pid = fork();
        if (pid < 0)
                err(1, "fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(fds[0]);
                ready_fd = fds[1];
                driver_become_server();
                driver.serve(&job);
                _exit(0);
        }
        close(fds[1]);
        if (read(fds[0], &byte, 1) != 1)
                errx(1, "%s: the server has not started", job.subject->name);
        close(fds[0]);
        return pid;
}

const char *driver_path(const char *name)
{
        static char path[256];

        if ((size_t)snprintf(path, sizeof path, "%s/%s", job.folder, name) >= sizeof path)
                errx(1, "%s: the path is too long", job.folder);
        return path;
}

const char *driver_url(void)
{
        static char url[300];

        snprintf(url, sizeof url, "ipc://%s", driver_path("socket"));
        return url;
}

bool driver_is_conversation(void)
{
        return job.work->kind == WORK_ONE_WAY || job.work->kind == WORK_LONE || job.work->kind == WORK_IN_FLIGHT || job.work->kind == WORK_TASKS;
}

void driver_write_port(unsigned port)
{
        FILE *stream = fopen(driver_path("port"), "w");

        if (!stream || fprintf(stream, "%u\n", port) < 0 || fclose(stream) != 0)
                err(1, "%s", driver_path("port"));
}

unsigned driver_read_port(void)
{
        FILE *stream = fopen(driver_path("port"), "r");
        unsigned port;

        if (!stream || fscanf(stream, "%u", &port) != 1)
                errx(1, "%s: there is no port", driver_path("port"));
        fclose(stream);
        return port;
}

int driver_shared_fd(void)
{
        const char *text = getenv("BENCH_SHARED");

        return text ? atoi(text) : -1;
}

/* Alone, without `bench`, the page is private. */
static void map_shared(void)
{
        int fd = driver_shared_fd();

        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, fd >= 0 ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS, fd, 0);
        if (shared == MAP_FAILED)
                err(1, "BENCH_SHARED: cannot map the page");
}

static void allow_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                err(1, "getrlimit");
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                err(1, "setrlimit");
        if (limit.rlim_cur < WORK_CLIENTS_MAX + FD_RESERVE && job.work->clients == WORK_CLIENTS_MAX)
                errx(1, "%s needs %d descriptors, and %llu are allowed", job.work->name, WORK_CLIENTS_MAX + FD_RESERVE,
                     (unsigned long long)limit.rlim_cur);
}

/* As a heap that has grown piece by piece. */
static void hold_memory(size_t size)
{
        char *memory;

        if (size == 0)
                return;
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
                err(1, "cannot hold %zu bytes", size);
        madvise(memory, size, MADV_NOHUGEPAGE);
        memset(memory, 'x', size);
}

static char *make_body(char kind)
{
        char *body = allocate(job.work->body + DRIVER_PADDING);

        memset(body, 'x', job.work->body);
        *body = kind;
        return body;
}

static void drive(void)
{
        const struct work *work = job.work;
        int clients = work->kind == WORK_SPAWN ? 0 : work->kind == WORK_IDLE ? 1 : work->clients;
        unsigned long count;

        go_to_cpu("BENCH_CLIENT_CPU");
        hold_memory(work->resident);
        echo_body = make_body('e');
        notify_body = make_body('n');
        notify_sum = sum_of(notify_body, work->body);
        for (int i = 0; i < clients; i++)
                driver.open(i);
        while (scanf("%lu", &count) == 1) {
                double *samples = allocate(count * sizeof *samples);

                if (driver.begin)
                        driver.begin();
                take_samples(samples, count);
                if (driver.end)
                        driver.end();
                if (fwrite(samples, sizeof *samples, count, stdout) != count || fflush(stdout) != 0)
                        err(1, "cannot write the samples");
                free(samples);
        }
        for (int i = 0; i < clients; i++)
                driver.close(i);
}

static void list(void)
{
        for (const struct subject *subject = driver.subjects; subject->name; subject++)
                if (!driver.is_there || driver.is_there(subject))
                        printf("%s %s %#x %d %d %d %zu\n", subject->name, subject->floors, subject->works, subject->is_forking,
                               subject->needs_two, subject->clients_max, subject->body_max);
}

static const struct subject *find_subject(const char *name)
{
        for (const struct subject *subject = driver.subjects; subject->name; subject++)
                if (strcmp(subject->name, name) == 0)
                        return subject;
        errx(2, "there is no subject %s", name);
}

int main(int argc, char **argv)
{
        bool is_server = argc == 5 && strcmp(argv[1], "serve") == 0;

        if (argc == 2 && strcmp(argv[1], "list") == 0)
                return list(), 0;
        if (!is_server && !(argc == 5 && strcmp(argv[1], "drive") == 0))
                errx(2, "usage: DRIVER list, or DRIVER serve|drive SUBJECT WORK FOLDER");
        job = (struct job){ .subject = find_subject(argv[2]), .work = work_find(argv[3]), .folder = argv[4],
                            .program = argv[0] };
        if (!job.work)
                errx(2, "there is no work %s", argv[3]);
        if (!(job.subject->works & 1U << job.work->kind))
                errx(2, "%s does not do the work %s", job.subject->name, job.work->name);
        signal(SIGPIPE, SIG_IGN);
        map_shared();
        allow_descriptors();
        if (is_server) {
                driver_become_server();
                driver.serve(&job);
        } else
                drive();
        return 0;
}
