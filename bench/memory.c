/* Floors of memory that two processes share: a ping-pong that sleeps (eventfd), one that spins (a cache line), and a bare ring of
 * bytes. Nothing is checked, since nothing is distrusted. */
#include "driver.h"

#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        CACHE_LINE = 64,
        RING_SIZE = 4 << 20,            /* a power of two */
        MESSAGE_ROOM = 1 << 12,
        SPINS_OF_TWO = 1000,            /* before yielding, where each side has a CPU */
};

enum kind { EVENTFD, CACHELINE, RING };

static const struct subject subjects[] = {
        [EVENTFD] = { "floor-eventfd", "floor-eventfd", 1 << WORK_ROUND_TRIP, true, false, 0, 0 },
        [CACHELINE] = { "floor-cacheline", "floor-cacheline", 1 << WORK_ROUND_TRIP, true, true, 0, 0 },
        [RING] = { "floor-ring", "floor-ring", 1 << WORK_ONE_WAY, true, false, 0, 0 },
        { 0 },
};

static enum kind kind(void)
{
        return (enum kind)(job.subject - subjects);
}

static struct area {
        _Alignas(CACHE_LINE) atomic_uint asked;         /* requests */
        _Alignas(CACHE_LINE) atomic_uint answered;
        _Alignas(CACHE_LINE) atomic_uint head;          /* of the ring: bytes put */
        _Alignas(CACHE_LINE) atomic_uint tail;          /* bytes taken */
        _Alignas(CACHE_LINE) atomic_bool is_idle;       /* the server is to sleep until it is woken */
        _Alignas(CACHE_LINE) char request[MESSAGE_ROOM];
        _Alignas(CACHE_LINE) char answer[MESSAGE_ROOM];
        _Alignas(CACHE_LINE) char ring[RING_SIZE];
} *area;

static int to_server = -1, to_client = -1;
static pid_t server;
static size_t asked_size;

static void ring_bell(int fd)
{
        if (eventfd_write(fd, 1) < 0)
                err(1, "floor: eventfd");
}

static void wait_for_bell(int fd)
{
        eventfd_t count;

        if (eventfd_read(fd, &count) < 0)
                err(1, "floor: eventfd");
}

/* On one CPU the other side runs only when this one yields. */
static unsigned spins_before_yield = SPINS_OF_TWO;

static void spin(unsigned *spins)
{
        if (++*spins % spins_before_yield == 0)
                sched_yield();
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
}

/* The ring ------------------------------------------------------------------------------------------------ */

/* What each side knows of the other one's index: it is looked at again only when that is not enough. */
static unsigned own, other;

static void ring_put(const char *bytes, size_t size)
{
        unsigned spins = 0;

        while (size > 0) {
                size_t at = own & (RING_SIZE - 1), room = RING_SIZE - (own - other), part = size;

                if (room == 0) {
                        other = atomic_load_explicit(&area->tail, memory_order_acquire);
                        spin(&spins);
                        continue;
                }
                part = part < room ? part : room;
                part = part < RING_SIZE - at ? part : RING_SIZE - at;
                memcpy(area->ring + at, bytes, part);
                own += (unsigned)part;
                atomic_store_explicit(&area->head, own, memory_order_release);
                bytes += part;
                size -= part;
        }
}

/* Up to @size bytes; 0 if there are none. */
static size_t ring_take(char *bytes, size_t size)
{
        size_t at = own & (RING_SIZE - 1), part = other - own;

        if (part == 0) {
                other = atomic_load_explicit(&area->head, memory_order_acquire);
                part = other - own;
        }
        part = part < size ? part : size;
        part = part < RING_SIZE - at ? part : RING_SIZE - at;
        memcpy(bytes, area->ring + at, part);
        own += (unsigned)part;
        atomic_store_explicit(&area->tail, own, memory_order_release);
        return part;
}

/* Server -------------------------------------------------------------------------------------------------- */

static void answer(void)
{
        const char *bytes;
        size_t size = driver_take(area->request, job.work->body, &bytes);

        memcpy(area->answer, bytes, size < DRIVER_PADDING ? DRIVER_PADDING : size);
        atomic_store_explicit(&area->answered, atomic_load_explicit(&area->answered, memory_order_relaxed) + 1,
                              memory_order_release);
}

static bool is_asked(void)
{
        return atomic_load_explicit(&area->asked, memory_order_acquire) !=
               atomic_load_explicit(&area->answered, memory_order_relaxed);
}

static void serve_eventfd(void)
{
        for (;;) {
                wait_for_bell(to_server);
                if (!is_asked())
                        continue;
                answer();
                ring_bell(to_client);
        }
}

static void serve_spinning(void)
{
        size_t size = job.work->body, have = 0;
        char *message = kind() == RING ? malloc(size) : NULL;
        unsigned spins = 0;

        for (;;) {
                /* Looked at before the ring: what was written before the request is taken before the answer. */
                bool has_request = is_asked();
                size_t got = message ? ring_take(message + have, size - have) : 0;
                const char *unused;

                have += got;
                if (got > 0 && have == size) {
                        driver_take(message, size, &unused);
                        have = 0;
                } else if (got == 0 && has_request) {
                        answer();
                } else if (got == 0) {
                        if (atomic_load_explicit(&area->is_idle, memory_order_acquire))
                                wait_for_bell(to_server);
                        spin(&spins);
                }
        }
}

static void serve(const struct job *unused)
{
        (void)unused;
        driver_ready();
        if (kind() == EVENTFD)
                serve_eventfd();
        serve_spinning();
}

/* Client -------------------------------------------------------------------------------------------------- */

static void open_client(int client)
{
        (void)client;
        area = mmap(NULL, sizeof *area, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        to_server = eventfd(0, EFD_CLOEXEC);
        to_client = eventfd(0, EFD_CLOEXEC);
        if (area == MAP_FAILED || to_server < 0 || to_client < 0)
                err(1, "floor: no memory to share");
        atomic_store(&area->is_idle, true);
        if (driver_has_one_cpu())
                spins_before_yield = 1;
        server = driver_fork();
}

static void close_client(int client)
{
        (void)client;
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
}

static void request(int client, const char *body, size_t size)
{
        (void)client;
        asked_size = size < DRIVER_PADDING ? DRIVER_PADDING : size;
        memcpy(area->request, body, size);
        atomic_store_explicit(&area->asked, atomic_load_explicit(&area->asked, memory_order_relaxed) + 1, memory_order_release);
        if (kind() == EVENTFD)
                ring_bell(to_server);
}

static void await(int client)
{
        unsigned spins = 0;

        (void)client;
        if (kind() == EVENTFD)
                wait_for_bell(to_client);
        while (atomic_load_explicit(&area->answered, memory_order_acquire) !=
               atomic_load_explicit(&area->asked, memory_order_relaxed))
                spin(&spins);
        driver_check(area->answer, asked_size);
}

static void notify(const char *body, size_t size)
{
        ring_put(body, size);
}

/* What spins does so only meanwhile. */
static void begin(void)
{
        if (kind() == EVENTFD)
                return;
        atomic_store(&area->is_idle, false);
        ring_bell(to_server);
}

static void end(void)
{
        if (kind() != EVENTFD)
                atomic_store(&area->is_idle, true);
}

const struct driver driver = { .subjects = subjects, .serve = serve, .open = open_client, .close = close_client,
                               .request = request, .await = await, .notify = notify, .begin = begin, .end = end };
