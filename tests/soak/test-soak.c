/* Over and over: sessions that come and go in every way leave nothing behind, no descriptor, no block of memory, no
 * page. What one cycle leaves is the same after the first thousand as after all. */
#include "conformance/pair.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { SAFETY_MS = 20000, CYCLES = 100000, SAME_SIZE = 70000, FIRST = 1000, RSS_MORE_MAX = 256 << 10,
       /* More messages than a loop keeps the memory of: src/util/pile.h. */
       HELD = 40, RESERVE_MORE = 8, RESERVE_BYTES = 1024 };

/* What a process has. */
struct holdings {
        int64_t descriptors;    /* the lowest that is free */
        int64_t blocks;
        int64_t bytes;
        int64_t resident;
};

static struct holdings look(void)
{
        struct holdings holdings = { .blocks = (int64_t)door_counts.blocks, .bytes = (int64_t)door_counts.bytes };
        long total = 0, resident = 0;
        FILE *file = fopen("/proc/self/statm", "re");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(fscanf(file, "%ld %ld", &total, &resident), 2);
        fclose(file);
        holdings.resident = resident * sysconf(_SC_PAGESIZE);
        holdings.descriptors = open("/dev/null", O_RDONLY | O_CLOEXEC);
        close((int)holdings.descriptors);
        return holdings;
}

/* @kept: blocks that may be more, as what a loop keeps differs with what was in hand last. */
static void compare(const char *what, const struct holdings *before, const struct holdings *after, int kept)
{
        ck_assert_msg(before->descriptors == after->descriptors, "%s: descriptors: %lld, then %lld", what,
                      (long long)before->descriptors, (long long)after->descriptors);
        /* A block may be 16 bytes larger than was asked for, as the heap has it. */
        ck_assert_msg(after->blocks <= before->blocks + kept && (kept || after->blocks == before->blocks) &&
                      after->bytes <= before->bytes + 16 * after->blocks + kept * RESERVE_BYTES,
                      "%s: %lld blocks of %lld bytes, then %lld of %lld", what, (long long)before->blocks,
                      (long long)before->bytes, (long long)after->blocks, (long long)after->bytes);
        /* The sanitizer keeps what was freed. */
        ck_assert_msg(SUITE_HAS_ASAN || after->resident <= before->resident + RSS_MORE_MAX,
                      "%s: %lld KiB in memory, then %lld", what, (long long)before->resident / 1024,
                      (long long)after->resident / 1024);
}

/* Cycles ----------------------------------------------------------------------------------------------- */

static void settle(struct pair *pair)
{
        while (ferry_loop_tick(pair->loop, 0) == 1)
                ;
}

/* A service watches its socket file from a quarter of a second on, and has one more descriptor from then on. */
static void let_watch_begin(ferry_loop *loop)
{
        door_stop_clock(0);
        ck_assert_int_eq(ferry_loop_run(loop, 1000), 0);
        door_reset();
}

/* All clients but the pair's own have gone. */
static void await_gone(struct pair *pair)
{
        while (ferry_service_client(pair->service, ferry_service_client(pair->service, NULL)))
                ferry_loop_tick(pair->loop, SAFETY_MS);
        settle(pair);
}

static void must(bool holds, const char *what)
{
        if (!holds)
                ck_abort_msg("%s", what);
}

static ferry_session *connect_to(struct pair *pair)
{
        ferry_session_options options = { .wait_ms = SAFETY_MS };

        set_dialect(&options, pair->dialect);
        return ferry_session_open(pair->loop, pair->address, &options);
}

static void ask(ferry_session *session, int number)
{
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "App\\Echo", "{number: %d}", number);
        const ferry_message *reply = ferry_call_await(call);

        must(reply && ferry_value_int(ferry_message_get(reply, "number"), -1) == number, ferry_call_error(call));
        ferry_call_free(call);
}

static void connect_and_ask(struct pair *pair, int number)
{
        ferry_session *client = connect_to(pair);

        ask(client, number);
        ferry_session_free(client);
        if (pair->service)
                await_gone(pair);
        else
                settle(pair);
}

/* With calls in flight, of which the other side knows some, and bytes in the queue. */
static void connect_and_leave(struct pair *pair, int number)
{
        ferry_session *client = connect_to(pair);
        ferry_call *calls[4];

        for (size_t i = 0; i < COUNT(calls); i++)
                calls[i] = ferry_session_request(client, SAFETY_MS, i % 2 ? "App\\Keep" : "App\\Echo", "{number: %d}",
                                                 number);
        ferry_loop_tick(pair->loop, 0);
        ferry_session_free(client);
        for (size_t i = 0; i < COUNT(calls); i++)
                ferry_call_free(calls[i]);
        await_gone(pair);
        behaviour_deinit(&pair->behaviour);
}

static void connect_without_listener(struct pair *pair, int number)
{
        ferry_session *client = ferry_session_open(pair->loop, "unix:/nowhere/at/all", NULL);
        ferry_call *call = ferry_session_request(client, SAFETY_MS, "App\\Echo", "{number: %d}", number);

        must(ferry_session_status(client) == -ENOENT, ferry_session_error(client));
        must(ferry_call_status(call) == -ENOENT, ferry_call_error(call));
        ferry_call_free(call);
        ferry_session_free(client);
        settle(pair);
}

static void be_late(struct pair *pair, int number)
{
        ferry_call *call = ferry_session_request(pair->us, 1000 + number % 7, "App\\Keep", "{number: %d}", number);

        settle(pair);
        must(!ferry_call_await(call), "an answer");
        must(ferry_call_status(call) == -ETIMEDOUT, ferry_call_error(call));
        ferry_call_free(call);
        behaviour_deinit(&pair->behaviour);
        settle(pair);
}

static void let_go(struct pair *pair, int number)
{
        ferry_call *call = ferry_session_request(pair->us, SAFETY_MS, "App\\Keep", "{number: %d}", number);

        if (number % 2)
                settle(pair);
        ferry_call_free(call);
        settle(pair);
        behaviour_deinit(&pair->behaviour);
        settle(pair);
}

static void send_too_much(struct pair *pair, int number)
{
        static char text[3000];
        ferry_session *client = connect_to(pair);
        ferry_call *call;

        memset(text, 'x', sizeof text - 1);
        call = ferry_session_request(client, SAFETY_MS, "App\\Echo", "{number: %d, text: %s}", number, text);
        must(!ferry_call_await(call), "a message over the limit was taken");
        ferry_call_free(call);
        ask(client, number);
        ferry_session_free(client);
        await_gone(pair);
}

static void send_junk(struct pair *pair, int number)
{
        int fds[2], more[2];
        ferry_session *session;

        (void)number;
        must(pipe2(fds, O_CLOEXEC) == 0 && pipe2(more, O_CLOEXEC) == 0, "pipes");
        session = ferry_session_open(pair->loop, NULL, &(ferry_session_options){
                .fds = (const int[]){ fds[0], more[1], -1 } });
        must(write(fds[1], "junk and half a frame\xf3\x4a\x9d\xe2\0\0\1\0x", 30) == 30, "write");
        ferry_session_on(session, FERRY_KIND_JUNK, NULL, NULL);
        settle(pair);
        close(fds[1]);
        settle(pair);
        must(ferry_session_status(session) == -ECONNRESET, ferry_session_error(session));
        ferry_session_free(session);
        close(more[0]);
        settle(pair);
}

static int run_nothing(ferry_loop *loop, void *userdata)
{
        (void)loop, (void)userdata;
        return 1;
}

/* Loops themselves, with all that may live in one. */
static void make_a_loop(struct pair *pair, int number)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *client = ferry_session_open(loop, pair->address, &(ferry_session_options){
                .wait_ms = SAFETY_MS });

        must(ferry_loop_fd(loop) >= 0, "a descriptor");
        ferry_loop_after(loop, 1000000, run_nothing, NULL);
        ferry_loop_watch(loop, 0, POLLIN, run_nothing, NULL);
        ferry_session_notify(client, "App\\Load", "{number: %d}", number);
        ferry_loop_free(loop);
        await_gone(pair);
}

static void run_a_child(struct pair *pair, int number)
{
        ferry_session *child = ferry_session_open(pair->loop, "exec:", &(ferry_session_options){
                .argv = (const char *[]){ BUILD_DIRECTORY "/tests/child", "echo", NULL } });
        ferry_call *call = ferry_session_request(child, SAFETY_MS, "t", "{number: %d}", number);
        const ferry_message *reply = ferry_call_await(call);

        must(reply != NULL, ferry_call_error(call));
        ferry_call_free(call);
        ferry_session_close(child);
        while (ferry_session_status(child) == 1)
                ferry_loop_tick(pair->loop, SAFETY_MS);
        ferry_session_free(child);
        /* Its process has ended, and was waited for; not here, which would take its status away. */
        while (waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) == 0)
                ferry_loop_tick(pair->loop, SAFETY_MS);
        settle(pair);
}

static const struct cycle {
        const char *name;
        void (*run)(struct pair *pair, int number);
        int share;              /* of all cycles, one in so many; a tenth of that but in the first dialect */
        bool is_clock_stopped;
} cycles[] = {
        { "connect, ask, close", connect_and_ask, 1, false },
        { "leave in the middle", connect_and_leave, 10, false },
        { "connect without a listener", connect_without_listener, 10, false },
        { "be late", be_late, 10, true },
        { "let go", let_go, 10, false },
        { "send too much", send_too_much, 10, false },
        { "send junk", send_junk, 10, false },
        { "make a loop", make_a_loop, 10, false },
        { "run a child", run_a_child, 100, false },
};

START_TEST(nothing_is_left)
{
        const struct cycle *cycle = &cycles[_i / DIALECTS];
        int count = (int)suite_scale(CYCLES) / cycle->share / (_i % DIALECTS == 0 ? 1 : 10);
        int first = count / 4 < FIRST ? count / 4 : FIRST;
        struct holdings before = { 0 }, after;
        struct pair pair;

        door_reset();
        /* What moves to shared memory holds more from then on. */
        pair_open(&pair, STREAM_UNIX * DIALECTS + _i % DIALECTS, NULL, &(ferry_session_options){ .frame_max = 2000, .shm = FERRY_SHM_NEVER });
        ask(pair.us, 0);
        let_watch_begin(pair.loop);
        if (cycle->is_clock_stopped)
                door_stop_clock(0);
        for (int i = 0; i < count; i++) {
                if (i == first)
                        before = look();
                cycle->run(&pair, i);
        }
        after = look();
        compare(cycle->name, &before, &after, 0);
        if (!cycle->is_clock_stopped)
                ask(pair.us, 1);
        door_reset();
        pair_close(&pair);
        ck_assert_uint_eq(door_counts.blocks, 0);
}
END_TEST

/* Two processes ---------------------------------------------------------------------------------------- */

/* What the serving process knows. */
struct serving {
        ferry_loop *loop;
        int64_t gone;                   /* clients */
        int64_t wanted;                 /* so many must have gone before this is answered: */
        ferry_message *question;
        ferry_session *inner[2];
        ferry_message *awaited;
        ferry_message *held[HELD];
        int held_count;
};

/* In a round of its own: what the last round has let go of is freed. */
static int report_holdings(ferry_loop *loop, void *userdata)
{
        struct serving *serving = userdata;
        struct holdings holdings = look();

        (void)loop;
        ferry_message_reply(serving->question, NULL, "{descriptors: %lld, blocks: %lld, bytes: %lld, resident: %lld}",
                            (long long)holdings.descriptors, (long long)holdings.blocks, (long long)holdings.bytes,
                            (long long)holdings.resident);
        serving->question = ferry_message_unref(serving->question);
        return 0;
}

static void report_when_gone(struct serving *serving)
{
        if (serving->question && serving->gone == serving->wanted)
                ferry_loop_after(serving->loop, 0, report_holdings, serving);
}

static int note_gone(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct serving *serving = userdata;

        (void)session, (void)message;
        serving->gone++;
        report_when_gone(serving);
        return 0;
}

/* All at once, so that the loop has kept the memory of as many messages as it ever does. */
static int hold(struct serving *serving, const ferry_message *request)
{
        serving->held[serving->held_count++] = ferry_message_ref(request);
        for (int i = 0; i < HELD && serving->held_count == HELD; i++) {
                ferry_message_reply(serving->held[i], NULL, NULL);
                serving->held[i] = ferry_message_unref(serving->held[i]);
        }
        return 1;
}

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct serving *serving = userdata;

        (void)session;
        if (strcmp(ferry_message_type(request), "App\\Held") == 0)
                return hold(serving, request);
        if (strcmp(ferry_message_type(request), "App\\Holdings") != 0)
                return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
        serving->wanted = ferry_value_int(ferry_message_get(request, "gone"), 0) - SAME_SIZE;
        serving->question = ferry_message_ref(request);
        report_when_gone(serving);
        return 1;
}

/* How the serving process waits meanwhile: it runs, or it waits for an answer, or for a message. */
enum waiting { BY_RUN, BY_AWAIT, BY_NEXT, WAYS };

static int keep(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct serving *serving = userdata;

        (void)session;
        serving->awaited = ferry_message_ref(request);
        return 1;
}

static int stop(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct serving *serving = userdata;

        (void)message;
        ferry_message_reply(serving->awaited, NULL, NULL);
        serving->awaited = ferry_message_unref(serving->awaited);
        ferry_session_notify(serving->inner[1], "App\\Stop", NULL);
        return ferry_loop_stop(ferry_session_loop(session), 0);
}

/* Two sessions that talk to each other here, so that there is something to wait for. */
static void wait_within(struct serving *serving, enum waiting way)
{
        int fds[2];
        ferry_call *call;

        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
        for (int i = 0; i < 2; i++)
                serving->inner[i] = ferry_session_open(serving->loop, NULL, &(ferry_session_options){
                        .fds = (const int[]){ fds[i], fds[i], -1 } });
        ferry_session_on(serving->inner[1], FERRY_KIND_REQUEST, keep, serving);
        call = ferry_session_request(serving->inner[0], -1, "App\\Stop", NULL);
        if (way == BY_AWAIT)
                ferry_call_await(call);
        else if (way == BY_NEXT)
                ferry_session_next(serving->inner[0], -1);
        else
                ferry_loop_run(serving->loop, -1);
        ferry_call_free(call);
}

_Noreturn static void serve(const char *address, enum waiting way)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = ferry_service_open(loop, address, NULL);
        struct serving serving = { .loop = loop };

        ferry_service_on(service, FERRY_KIND_REQUEST, answer, &serving);
        ferry_service_on(service, FERRY_KIND_CLOSED, note_gone, &serving);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, stop, &serving);
        let_watch_begin(loop);
        wait_within(&serving, way);
        ferry_loop_free(loop);
        _exit(0);
}

/* Fill what both loops keep. */
static void hold_many(ferry_session *session)
{
        ferry_call *calls[HELD];

        for (int i = 0; i < HELD; i++)
                calls[i] = ferry_session_request(session, SAFETY_MS, "App\\Held", NULL);
        for (int i = 0; i < HELD; i++)
                must(ferry_call_await(calls[i]) != NULL, ferry_call_error(calls[i]));
        for (int i = 0; i < HELD; i++)
                ferry_call_free(calls[i]);
}

/* When so many clients have gone. Each question has the same size. */
static struct holdings ask_holdings(ferry_session *session, int gone)
{
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "App\\Holdings", "{gone: %d}", gone + SAME_SIZE);
        const ferry_message *reply = ferry_call_await(call);
        struct holdings holdings = { 0 };

        must(reply != NULL, ferry_call_error(call));
        holdings.descriptors = ferry_value_int(ferry_message_get(reply, "descriptors"), 0);
        holdings.blocks = ferry_value_int(ferry_message_get(reply, "blocks"), 0);
        holdings.bytes = ferry_value_int(ferry_message_get(reply, "bytes"), 0);
        holdings.resident = ferry_value_int(ferry_message_get(reply, "resident"), 0);
        ferry_call_free(call);
        return holdings;
}

START_TEST(nothing_is_left_in_two_processes)
{
        int count = (int)suite_scale(CYCLES) / 36, first = count / 4 < FIRST ? count / 4 : FIRST;
        struct pair pair = { .dialect = ((const char *[]){ "ferry", "php", "json" })[_i % DIALECTS] };
        struct holdings before[2] = { 0 }, after[2];
        ferry_session *observer;
        pid_t server;

        strcpy(pair.directory, "/tmp/ferry-soak-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(pair.directory));
        snprintf(pair.address, sizeof pair.address, "unix:%s/socket", pair.directory);
        server = fork();
        if (server == 0)
                serve(pair.address, (enum waiting)(_i / DIALECTS));
        pair.loop = ferry_loop_new(NULL);
        observer = connect_to(&pair);
        hold_many(observer);
        ask_holdings(observer, 0);
        for (int i = 0; i < count; i++) {
                if (i == first) {
                        before[0] = ask_holdings(observer, i);
                        before[1] = look();
                }
                connect_and_ask(&pair, i);
        }
        after[0] = ask_holdings(observer, count);
        after[1] = look();
        compare("the service", &before[0], &after[0], RESERVE_MORE);
        compare("the client", &before[1], &after[1], RESERVE_MORE);
        ferry_session_notify(observer, "App\\Stop", "{}");
        ferry_loop_free(pair.loop);
        ck_assert_int_eq(waitpid(server, NULL, 0), server);
        rmdir(pair.directory);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(nothing_is_left, COUNT(cycles) * DIALECTS),
        SUITE_LOOP(nothing_is_left_in_two_processes, WAYS * DIALECTS),
};

SUITE_MAIN("soak", tests)
