/* The loop from inside: timers run in the order of their deadlines, whatever is started, moved and stopped meanwhile; a
 * source that is removed is not called, although it has been reported; files that epoll refuses are work in memory; a
 * round inside a task goes on with the tasks that are left; and a call that waits makes no other system call than the one that
 * waits, once. */
#include "loop/loop.h"
#include "loop/watch.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

static char events[1024];

static void note(char letter)
{
        size_t size = strlen(events);

        ck_assert_uint_lt(size, sizeof events - 1);
        events[size] = letter;
}

struct timer {
        struct loop_timer timer;
        ferry_loop *loop;
        char letter;
        int64_t again_ns;               /* start it again, so much later; 0: no */
        struct timer *other;            /* to start or stop */
        int64_t other_ns;               /* -1: stop */
};

static void timer_is_due(struct loop_timer *timer)
{
        struct timer *own = container_of(timer, struct timer, timer);

        note(own->letter);
        ck_assert(!timer->is_running);
        ck_assert_int_le(timer->deadline, sys_now());
        if (own->again_ns)
                loop_timer_start(own->loop, timer, sys_now() + own->again_ns);
        own->again_ns = 0;
        if (own->other && own->other_ns < 0)
                loop_timer_stop(own->loop, &own->other->timer);
        else if (own->other)
                loop_timer_start(own->loop, &own->other->timer, sys_now() + own->other_ns);
}

static void start(ferry_loop *loop, struct timer *timer, char letter, int64_t ns)
{
        timer->timer.fn = timer_is_due;
        timer->loop = loop;
        timer->letter = letter;
        loop_timer_start(loop, &timer->timer, sys_now() + ns);
}

static void tick(ferry_loop *loop, int64_t passed_ns)
{
        door_advance(passed_ns);
        ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
}

START_TEST(timers_run_in_order)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct timer timers[5] = { 0 };

        start(loop, &timers[0], 'c', 30);
        start(loop, &timers[1], 'a', 10);
        start(loop, &timers[2], 'd', 40);
        start(loop, &timers[3], 'b', 20);
        start(loop, &timers[4], 'x', 15);
        loop_timer_stop(loop, &timers[4].timer);
        loop_timer_stop(loop, &timers[4].timer);
        tick(loop, 9);
        ck_assert_str_eq(events, "");
        tick(loop, 1);
        ck_assert_str_eq(events, "a");
        /* Starting one that runs moves it. */
        start(loop, &timers[0], 'c', 50);
        tick(loop, 100);
        ck_assert_str_eq(events, "abdc");
        ck_assert_ptr_null(loop->timers);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(timers_change_each_other)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct timer a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

        /* All are due at once: the first stops one, moves another into the future and brings one in. */
        start(loop, &a, 'a', 1);
        a.other = &b;
        a.other_ns = -1;
        start(loop, &b, 'b', 2);
        start(loop, &c, 'c', 3);
        c.other = &d;
        c.other_ns = 5;
        c.again_ns = 7;
        start(loop, &d, 'd', 4);
        tick(loop, 10);
        ck_assert_str_eq(events, "ac");
        tick(loop, 5);
        ck_assert_str_eq(events, "acd");
        tick(loop, 2);
        ck_assert_str_eq(events, "acdc");
        loop_timer_stop(loop, &d.timer);
        ck_assert_ptr_null(loop->timers);
        ferry_loop_free(loop);
}
END_TEST

/* A program that polls our descriptor is not woken for a timer that was stopped. */
START_TEST(no_alarm_is_left_behind)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct timer early = { 0 }, late = { 0 };
        struct itimerspec alarm;

        ck_assert_int_ge(ferry_loop_fd(loop), 0);
        start(loop, &late, 'l', (int64_t)20000 * 1000000000);
        start(loop, &early, 'e', (int64_t)10000 * 1000000000);
        ck_assert_int_eq(timerfd_gettime(loop->timer, &alarm), 0);
        ck_assert_int_gt(alarm.it_value.tv_sec, 0);
        ck_assert_int_le(alarm.it_value.tv_sec, 10000);
        loop_timer_stop(loop, &early.timer);
        tick(loop, 0);
        ck_assert_int_eq(timerfd_gettime(loop->timer, &alarm), 0);
        ck_assert_int_gt(alarm.it_value.tv_sec, 10000);
        loop_timer_stop(loop, &late.timer);
        tick(loop, 0);
        ck_assert_int_eq(timerfd_gettime(loop->timer, &alarm), 0);
        ck_assert_int_eq(alarm.it_value.tv_sec, 0);
        ck_assert_int_eq(alarm.it_value.tv_nsec, 0);
        ferry_loop_free(loop);
}
END_TEST

/* How many stand there; none below one that is later. */
static size_t count_heap(const struct loop_timer *top)
{
        size_t count = top ? 1 : 0;

        for (const struct loop_timer *timer = top ? top->first : NULL; timer; timer = timer->next) {
                ck_assert_int_ge(timer->deadline, top->deadline);
                ck_assert(timer->next == NULL || timer->next->previous == timer);
                count += count_heap(timer);
        }
        return count;
}

/* Against a plain list: whatever is started, moved and stopped, each runs when it should. */
START_TEST(many_timers_keep_their_order)
{
        enum { COUNT = 200 };
        static struct timer timers[COUNT];
        ferry_loop *loop = ferry_loop_new(NULL);
        unsigned seed = 1 + (unsigned)_i;

        for (int i = 0; i < COUNT; i++) {
                timers[i].timer.fn = timer_is_due;
                timers[i].loop = loop;
                timers[i].letter = 't';
        }
        for (size_t step = 0; step < suite_scale(10000); step++) {
                struct timer *timer = &timers[(unsigned)rand_r(&seed) % COUNT];
                int what = rand_r(&seed) % 10;

                if (what < 6)
                        loop_timer_start(loop, &timer->timer, sys_now() + rand_r(&seed) % 1000);
                else if (what < 9)
                        loop_timer_stop(loop, &timer->timer);
                else {
                        size_t running = 0, due = 0;

                        door_advance(rand_r(&seed) % 50);
                        for (int i = 0; i < COUNT; i++) {
                                running += timers[i].timer.is_running;
                                due += timers[i].timer.is_running && timers[i].timer.deadline <= sys_now();
                        }
                        ck_assert_uint_eq(running, count_heap(loop->timers));
                        memset(events, 0, sizeof events);
                        ck_assert_int_eq(ferry_loop_tick(loop, 0), due > 0);
                        ck_assert_uint_eq(strlen(events), due);
                        for (int i = 0; i < COUNT; i++)
                                ck_assert(!timers[i].timer.is_running || timers[i].timer.deadline > sys_now());
                }
        }
        for (int i = 0; i < COUNT; i++)
                loop_timer_stop(loop, &timers[i].timer);
        ck_assert_ptr_null(loop->timers);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_deadline_is_waited_for_once)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct timer timer = { 0 };

        start(loop, &timer, 'a', 2500001);
        ck_assert_int_eq(ferry_loop_tick(loop, -1), 1);
        ck_assert_uint_eq(door_counts.calls[DOOR_epoll_wait], 1);
        /* Rounded up: no timer fires too early. */
        ck_assert_int_eq(door_counts.timeout_ms, 3);
        ck_assert_str_eq(events, "a");
        ferry_loop_tick(loop, 20);
        ck_assert_int_eq(door_counts.timeout_ms, 20);
        ck_assert_uint_eq(door_counts.calls[DOOR_epoll_wait], 2);
        ferry_loop_free(loop);
}
END_TEST

/* Sources --------------------------------------------------------------------------------------------- */

enum { SOURCES = 4 };

static struct pipe_source {
        struct loop_source source;
        int write_end;
        struct pipe_source *victims[SOURCES];
} sources[SOURCES];

static void source_is_ready(struct loop_source *source, uint32_t ready)
{
        struct pipe_source *own = container_of(source, struct pipe_source, source);
        char byte;

        ck_assert(ready & EPOLLIN);
        note((char)('0' + (own - sources)));
        ck_assert_int_eq(read(source->fd, &byte, 1), 1);
        for (int i = 0; i < SOURCES && own->victims[i]; i++)
                loop_source_set(&own->victims[i]->source, 0);
}

static void open_sources(ferry_loop *loop)
{
        for (int i = 0; i < SOURCES; i++) {
                int fds[2];

                ck_assert_int_eq(sys_pipe(fds), 0);
                sources[i] = (struct pipe_source){ .source = { .loop = loop, .fd = fds[0], .fn = source_is_ready },
                                                   .write_end = fds[1] };
                ck_assert_int_eq(loop_source_set(&sources[i].source, EPOLLIN), 0);
                ck_assert_int_eq(sys_write(fds[1], "x", 1), 1);
        }
}

static void close_sources(void)
{
        for (int i = 0; i < SOURCES; i++) {
                loop_source_set(&sources[i].source, 0);
                sys_close(sources[i].source.fd);
                sys_close(sources[i].write_end);
        }
}

START_TEST(a_removed_source_is_not_called)
{
        ferry_loop *loop = ferry_loop_new(NULL);

        open_sources(loop);
        /* Whichever is first removes all others, which epoll has reported in the same batch. */
        for (int i = 0; i < SOURCES; i++)
                for (int k = 0, at = 0; k < SOURCES; k++)
                        if (k != i)
                                sources[i].victims[at++] = &sources[k];
        tick(loop, 0);
        ck_assert_uint_eq(strlen(events), 1);
        tick(loop, 0);
        ck_assert_uint_eq(strlen(events), 1);
        close_sources();
        ferry_loop_free(loop);
}
END_TEST

static struct loop_timer nested;
static ferry_loop *nested_loop;

static void run_a_round(struct loop_timer *timer)
{
        (void)timer;
        note('(');
        ferry_loop_tick(nested_loop, 0);
        note(')');
}

static void tick_inside(struct loop_source *source, uint32_t ready)
{
        source->fn = source_is_ready;
        source_is_ready(source, ready);
        run_a_round(&nested);
}

/* A round inside a callback calls the others; the outer one, which had them reported too, must not find them ready
 * then, but may call them: each is called once for each byte. */
START_TEST(a_round_inside_of_a_batch_takes_its_own)
{
        ferry_loop *loop = nested_loop = ferry_loop_new(NULL);

        open_sources(loop);
        for (int i = 0; i < SOURCES; i++)
                sources[i].victims[0] = &sources[i];
        sources[0].source.fn = sources[1].source.fn = tick_inside;
        sources[2].source.fn = sources[3].source.fn = tick_inside;
        tick(loop, 0);
        for (char letter = '0'; letter < '0' + SOURCES; letter++)
                ck_assert_msg(strchr(events, letter) && strchr(events, letter) == strrchr(events, letter), "%s", events);
        close_sources();
        ferry_loop_free(loop);
}
END_TEST

static int file_calls;

static void file_is_ready(struct loop_source *source, uint32_t ready)
{
        ck_assert_uint_eq(ready, EPOLLIN);
        if (++file_calls == 3)
                loop_source_set(source, 0);
}

START_TEST(files_are_always_ready)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        int file = memfd_create("file", MFD_CLOEXEC);
        struct loop_source source = { .loop = loop, .fd = file, .fn = file_is_ready };

        ck_assert_int_eq(loop_source_set(&source, EPOLLIN), 0);
        ck_assert(source.is_file);
        for (int i = 0; i < 5; i++)
                ferry_loop_tick(loop, i < 3 ? -1 : 0);
        ck_assert_int_eq(file_calls, 3);
        ck_assert_int_eq(loop_source_set(&source, EPOLLIN), 0);
        ck_assert_int_eq(loop_source_set(&source, 0), 0);
        ferry_loop_free(loop);
        close(file);
}
END_TEST

/* Tasks ----------------------------------------------------------------------------------------------- */

struct task {
        struct loop_task task;
        ferry_loop *loop;
        char letter;
        int rounds;             /* to run inside */
        struct task *next;      /* to start */
};

static void run_task(struct loop_task *task)
{
        struct task *own = container_of(task, struct task, task);

        note(own->letter);
        if (own->next)
                loop_task_start(own->loop, &own->next->task);
        for (int i = 0; i < own->rounds; i++) {
                note('(');
                ferry_loop_tick(own->loop, 0);
                note(')');
        }
}

static void add_task(ferry_loop *loop, struct task *task, char letter)
{
        task->task.fn = run_task;
        task->loop = loop;
        task->letter = letter;
}

START_TEST(a_task_started_inside_waits_for_the_next_round)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct task a = { 0 }, b = { 0 };

        add_task(loop, &a, 'a');
        add_task(loop, &b, 'b');
        a.next = &a;
        loop_task_start(loop, &a.task);
        loop_task_start(loop, &b.task);
        loop_task_start(loop, &a.task);
        tick(loop, 0);
        ck_assert_str_eq(events, "ab");
        a.next = NULL;
        tick(loop, 0);
        ck_assert_str_eq(events, "aba");
        tick(loop, 0);
        ck_assert_str_eq(events, "aba");
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_round_inside_of_a_task_runs_the_others)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct task a = { .rounds = 2 }, b = { .rounds = 1 }, c = { 0 }, d = { 0 };

        add_task(loop, &a, 'a');
        add_task(loop, &b, 'b');
        add_task(loop, &c, 'c');
        add_task(loop, &d, 'd');
        c.next = &d;
        loop_task_start(loop, &a.task);
        loop_task_start(loop, &b.task);
        loop_task_start(loop, &c.task);
        tick(loop, 0);
        ck_assert_str_eq(events, "a(b(c))(d)");
        ferry_loop_free(loop);
}
END_TEST

static bool is_never(void *object)
{
        (void)object;
        return false;
}

static unsigned waits_inside;

static void wait_inside(struct loop_task *task)
{
        unsigned before = door_counts.calls[DOOR_epoll_wait];

        ferry_loop *loop = container_of(task, struct task, task)->loop;

        ck_assert_int_eq(loop_wait(loop, sys_now() + 50000000, is_never, NULL, NULL), -ETIMEDOUT);
        waits_inside = door_counts.calls[DOOR_epoll_wait] - before;
}

/* A call that waits inside of a task has nothing to do, whatever the rounds outside are in the middle of. */
START_TEST(waiting_inside_of_a_task_does_not_spin)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct task a = { 0 };

        add_task(loop, &a, 'a');
        a.task.fn = wait_inside;
        loop_task_start(loop, &a.task);
        tick(loop, 0);
        ck_assert_uint_ge(waits_inside, 1);
        ck_assert_uint_le(waits_inside, 3);
        ferry_loop_free(loop);
}
END_TEST

static void free_loop(struct loop_task *task)
{
        note('f');
        ferry_loop_free(container_of(task, struct task, task)->loop);
}

START_TEST(a_task_frees_the_loop)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct task a = { 0 }, b = { .rounds = 3 };

        add_task(loop, &a, 'a');
        add_task(loop, &b, 'b');
        a.task.fn = free_loop;
        loop_task_start(loop, &b.task);
        loop_task_start(loop, &a.task);
        ferry_loop_tick(loop, 0);
        ck_assert_str_eq(events, "b(f)()()");
}
END_TEST

/* More are ready than the kernel reports at once, and they stay so: each is called in the one round, and where few are
 * ready it is asked once. */
static int count_calls(ferry_loop *loop, void *userdata)
{
        (void)loop;
        (*(int *)userdata)++;
        return 1;
}

START_TEST(all_that_is_ready_is_called_in_one_round)
{
        enum { CROWD = 700, ASKS_MAX = 4 };
        ferry_loop *loop = ferry_loop_new(NULL);
        int fds[CROWD], calls[CROWD] = { 0 };
        uint64_t number = 1;

        for (int i = 0; i < CROWD; i++) {
                fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                ck_assert_int_ge(fds[i], 0);
                ferry_loop_watch(loop, fds[i], POLLIN, count_calls, &calls[i]);
        }
        ck_assert_int_eq(write(fds[CROWD - 1], &number, sizeof number), sizeof number);
        for (int i = 0; i < CROWD; i++) {
                if (i < CROWD - 1)
                        ck_assert_int_eq(write(fds[i], &number, sizeof number), sizeof number);
                if (i % 100 == 0) {
                        door_counts.calls[DOOR_epoll_wait] = 0;
                        ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
                        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], i < 200 ? 1 : ASKS_MAX);
                }
        }
        for (int round = 0; round < 10; round++) {
                memset(calls, 0, sizeof calls);
                door_counts.calls[DOOR_epoll_wait] = 0;
                ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
                ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], ASKS_MAX);
                for (int i = 0; i < CROWD; i++)
                        ck_assert_msg(calls[i] > 0, "%d is not called in round %d", i, round);
        }
        ferry_loop_free(loop);
        for (int i = 0; i < CROWD; i++)
                close(fds[i]);
}
END_TEST

static int watch_calls;
static int make_at_call;
static char made[64];

/* Another process makes both directories just when one of them, or the one above, is going to be watched. */
static int make_meanwhile(enum door_call call, bool is_child)
{
        char path[80];

        (void)is_child;
        if (call != DOOR_watch_directory || ++watch_calls != make_at_call)
                return 0;
        ck_assert_int_eq(mkdir(made, 0700), 0);
        snprintf(path, sizeof path, "%s/b", made);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        return 0;
}

static void count_change(struct watch *watch)
{
        (void)watch;
        watch_calls = -1;
}

START_TEST(what_is_made_while_it_begins_to_watch_is_watched)
{
        char directory[] = "/tmp/ferry-loop-XXXXXX", path[80];
        ferry_loop *loop = ferry_loop_new(NULL);
        struct watch watch;
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(made, sizeof made, "%s/a", directory);
        snprintf(path, sizeof path, "%s/b/file", made);
        watch_init(&watch, loop, count_change);
        ck_assert_int_eq(watch_start(&watch), 0);
        make_at_call = _i + 1;
        door_judge = make_meanwhile;
        ck_assert_int_eq(watch_add(&watch, path), 0);
        door_judge = NULL;
        ck_assert_int_ge(watch_calls, make_at_call);
        /* That they were made may be reported, too. */
        ferry_loop_tick(loop, 0);
        watch_calls = 0;
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        close(fd);
        ferry_loop_tick(loop, 0);
        ck_assert_int_eq(watch_calls, -1);
        watch_stop(&watch);
        ferry_loop_free(loop);
        unlink(path);
        *strrchr(path, '/') = '\0';
        rmdir(path);
        rmdir(made);
        rmdir(directory);
}
END_TEST

/* The program's own ---------------------------------------------------------------------------------------- */

struct occasion {
        char letter;
        int again;                      /* so many more calls */
        ferry_loop_fn *other;           /* to take off */
        struct occasion *of;
};

static int note_occasion(ferry_loop *loop, void *userdata)
{
        struct occasion *occasion = userdata;

        note(occasion->letter);
        if (occasion->of)
                ferry_loop_off(loop, occasion->other, occasion->of);
        return occasion->again-- > 0;
}

static bool is_blocked(int number)
{
        sigset_t mask;

        ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
        return sigismember(&mask, number);
}

START_TEST(a_signal_is_handled_in_the_loop)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct occasion a = { .letter = 'a', .again = 10 }, b = { .letter = 'b' }, c = { .letter = 'c', .again = 10 };

        memset(events, 0, sizeof events);
        ferry_loop_on_signal(loop, SIGUSR1, note_occasion, &a);
        ferry_loop_on_signal(loop, SIGUSR1, note_occasion, &b);
        ferry_loop_on_signal(loop, SIGUSR2, note_occasion, &c);
        ck_assert(is_blocked(SIGUSR1) && is_blocked(SIGUSR2));
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 0);
        /* It does not keep the loop running. */
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        raise(SIGUSR1);
        raise(SIGUSR1);
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_str_eq(events, "ab");
        raise(SIGUSR1);
        raise(SIGUSR2);
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_uint_eq(strlen(events), 4);
        ck_assert(strchr(events, 'c'));
        /* The mask is as it was once no callback waits. */
        ferry_loop_off(loop, note_occasion, &a);
        ck_assert(!is_blocked(SIGUSR1) && is_blocked(SIGUSR2));
        loop = ferry_loop_free(loop);
        ck_assert(!is_blocked(SIGUSR2));
}
END_TEST

/* It is that of the thread. */
START_TEST(a_signal_stays_blocked_as_long_as_any_loop_waits_for_it)
{
        ferry_loop *first = ferry_loop_new(NULL), *second = ferry_loop_new(NULL);
        struct occasion a = { .letter = 'a' }, b = { .letter = 'b' };

        memset(events, 0, sizeof events);
        ferry_loop_on_signal(first, SIGUSR1, note_occasion, &a);
        ferry_loop_on_signal(second, SIGUSR1, note_occasion, &b);
        ferry_loop_free(_i == 0 ? first : second);
        ck_assert(is_blocked(SIGUSR1));
        raise(SIGUSR1);
        ck_assert_int_eq(ferry_loop_tick(_i == 0 ? second : first, 0), 1);
        ck_assert_str_eq(events, _i == 0 ? "b" : "a");
        ferry_loop_free(_i == 0 ? second : first);
        ck_assert(!is_blocked(SIGUSR1));
}
END_TEST

START_TEST(a_blocked_signal_stays_blocked)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct occasion a = { .letter = 'a' };
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        memset(events, 0, sizeof events);
        ferry_loop_on_signal(loop, SIGUSR1, note_occasion, &a);
        raise(SIGUSR1);
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_str_eq(events, "a");
        ck_assert(is_blocked(SIGUSR1));
        ck_assert_int_eq(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
}
END_TEST

START_TEST(a_signal_that_cannot_be_handled_is_refused)
{
        static const int numbers[] = { 0, -1, SIGKILL, SIGSTOP, 1000, 33 };
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);

        ferry_loop_on_signal(loop, numbers[_i], note_occasion, NULL);
        ck_assert_int_eq(ferry_loop_run(loop, 0), -EINVAL);
        ck_assert_str_eq(ferry_loop_error(loop), "a signal that the program waits for, and that cannot be handled: Invalid argument");
        ferry_loop_on_signal(NULL, SIGUSR1, note_occasion, NULL);
}
END_TEST

START_TEST(a_loop_is_woken)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct occasion a = { .letter = 'a', .again = 1 }, b = { .letter = 'b' };

        memset(events, 0, sizeof events);
        ck_assert_int_eq(ferry_loop_wake(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_loop_wake(loop), -ENOENT);
        ferry_loop_on_wake(loop, note_occasion, &a);
        ferry_loop_on_wake(loop, note_occasion, &b);
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 0);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(ferry_loop_wake(loop), 0);
        /* It returns when the last callback has ended. */
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_str_eq(events, "ab");
        ck_assert_int_eq(ferry_loop_wake(loop), 0);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_str_eq(events, "aba");
        ck_assert_int_eq(ferry_loop_wake(loop), 0);
        ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
        ck_assert_str_eq(events, "aba");
}
END_TEST

START_TEST(a_callback_may_take_off_another)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct occasion b = { .letter = 'b', .again = 1 }, c = { .letter = 'c' },
                        a = { .letter = 'a', .again = 1, .other = note_occasion, .of = &b };

        memset(events, 0, sizeof events);
        if (_i == 0) {
                ferry_loop_on_idle(loop, note_occasion, &a);
                ferry_loop_on_idle(loop, note_occasion, &b);
                ferry_loop_on_idle(loop, note_occasion, &c);
        } else {
                ferry_loop_on_wake(loop, note_occasion, &a);
                ferry_loop_on_wake(loop, note_occasion, &b);
                ferry_loop_on_wake(loop, note_occasion, &c);
                ferry_loop_wake(loop);
        }
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_str_eq(events, "ac");
}
END_TEST

/* What comes meanwhile is handled before the next step, and without steps the loop waits. */
START_TEST(an_idle_loop_does_steps)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct occasion step = { .letter = 's', .again = 2 }, timer = { .letter = 't' };

        memset(events, 0, sizeof events);
        ferry_loop_on_idle(loop, note_occasion, &step);
        ferry_loop_after(loop, 0, note_occasion, &timer);
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_str_eq(events, "t");
        ck_assert_int_eq(ferry_loop_tick(loop, -1), 1);
        ck_assert_str_eq(events, "ts");
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_str_eq(events, "tsss");
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 0);
}
END_TEST

/* A program that polls the descriptor sees that there is something to do. */
START_TEST(a_hosted_loop_shows_that_it_is_idle)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct occasion step = { .letter = 's' };
        struct pollfd end = { .fd = ferry_loop_fd(loop), .events = POLLIN };

        memset(events, 0, sizeof events);
        ck_assert_int_eq(poll(&end, 1, 0), 0);
        ferry_loop_on_idle(loop, note_occasion, &step);
        ck_assert_int_eq(poll(&end, 1, 0), 1);
        ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        ck_assert_str_eq(events, "s");
        ck_assert_int_eq(poll(&end, 1, 0), 0);
}
END_TEST

static int wait_in_step(ferry_loop *loop, void *userdata)
{
        int *calls = userdata;

        ++*calls;
        ferry_loop_run(loop, 5);
        return *calls < 2;
}

/* A wait in the callback does not call it again, and does not spin: the clock of this test goes on only in waits. */
START_TEST(an_idle_callback_may_wait)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct occasion late = { .letter = 'l' };
        int calls = 0;

        memset(events, 0, sizeof events);
        ferry_loop_on_idle(loop, wait_in_step, &calls);
        ferry_loop_after(loop, 3, note_occasion, &late);
        ck_assert_int_eq(ferry_loop_run(loop, 1000), 0);
        ck_assert_int_eq(calls, 2);
        ck_assert_str_eq(events, "l");
}
END_TEST

static int free_its_loop(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        ferry_loop_free(loop);
        return 1;
}

START_TEST(an_occasion_frees_the_loop)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct occasion never = { .letter = 'n', .again = 1 };

        memset(events, 0, sizeof events);
        if (_i == 0)
                ferry_loop_on_idle(loop, free_its_loop, NULL);
        else if (_i == 1)
                ferry_loop_on_wake(loop, free_its_loop, NULL);
        else
                ferry_loop_on_signal(loop, SIGUSR1, free_its_loop, NULL);
        ferry_loop_on_idle(loop, note_occasion, &never);
        if (_i == 1)
                ferry_loop_wake(loop);
        else if (_i == 2)
                raise(SIGUSR1);
        ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
        ck_assert_str_eq(events, "");
        ck_assert(!is_blocked(SIGUSR1));
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(timers_run_in_order),
        SUITE_TEST(timers_change_each_other),
        SUITE_TEST(no_alarm_is_left_behind),
        SUITE_LOOP(many_timers_keep_their_order, 5),
        SUITE_TEST(a_deadline_is_waited_for_once),
        SUITE_TEST(a_removed_source_is_not_called),
        SUITE_TEST(a_round_inside_of_a_batch_takes_its_own),
        SUITE_TEST(all_that_is_ready_is_called_in_one_round),
        SUITE_TEST(files_are_always_ready),
        SUITE_TEST(a_task_started_inside_waits_for_the_next_round),
        SUITE_TEST(a_round_inside_of_a_task_runs_the_others),
        SUITE_TEST(waiting_inside_of_a_task_does_not_spin),
        SUITE_TEST(a_task_frees_the_loop),
        SUITE_TEST(a_signal_is_handled_in_the_loop),
        SUITE_LOOP(a_signal_stays_blocked_as_long_as_any_loop_waits_for_it, 2),
        SUITE_TEST(a_blocked_signal_stays_blocked),
        SUITE_LOOP(a_signal_that_cannot_be_handled_is_refused, 6),
        SUITE_TEST(a_loop_is_woken),
        SUITE_LOOP(a_callback_may_take_off_another, 2),
        SUITE_TEST(an_idle_loop_does_steps),
        SUITE_TEST(a_hosted_loop_shows_that_it_is_idle),
        SUITE_TEST(an_idle_callback_may_wait),
        SUITE_LOOP(an_occasion_frees_the_loop, 3),
        SUITE_LOOP(what_is_made_while_it_begins_to_watch_is_watched, 3),
};

int main(void)
{
        door_stop_clock(0);
        return suite_run("loop", tests, sizeof tests / sizeof *tests);
}
