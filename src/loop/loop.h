/* The event loop: descriptors, deadlines and work in memory, behind one epoll descriptor.
 *
 * A round waits for what is next, then calls what has become ready: descriptors, tasks, timers that have run out.
 * Callbacks may do anything, also run rounds of their own or free the loop; so the caller of one looks
 * whether it still exists. Memory is safe meanwhile: what is freed inside a callback is buried, and goes when the
 * outermost round returns. */
#pragma once

#include <ferry/loop.h>

#include "util/error.h"
#include "util/list.h"
#include "util/sys.h"

struct loop_source {
        ferry_loop *loop;
        int fd;                 /* -1: none */
        uint32_t events;        /* what it waits for; 0: it is not in epoll */
        bool is_file;           /* epoll has refused it: it is always ready, and work in memory */
        struct list link;       /* among the files that are waited for */
        void (*fn)(struct loop_source *source, uint32_t events);
};

struct loop_timer {
        int64_t deadline;       /* of sys_now() */
        bool is_running;
        struct loop_timer *first;       /* those below it in the heap … */
        struct loop_timer *next;        /* … are chained by this */
        struct loop_timer *previous;    /* in that chain; of the first one: whom it is below */
        void (*fn)(struct loop_timer *timer);
};

struct loop_task {
        struct list link;       /* linked to itself: nothing to do */
        void (*fn)(struct loop_task *task);
};

/* What lives in a loop and goes with it. */
struct loop_member {
        struct list link;
        void (*close)(struct loop_member *member);      /* begin to end, in the background */
        void (*free)(struct loop_member *member);       /* at once; in a forked child, too */
};

/* What could not be freed yet. */
struct loop_grave {
        struct list link;
        void (*free)(struct loop_grave *grave);
};

/* What outlives the loop, and is notified when that is freed. */
struct loop_holder {
        struct list link;
        void (*forget)(struct loop_holder *holder);
};

/* What a layer above keeps with the loop; it goes with its memory. */
struct loop_attachment {
        struct list link;
        const void *kind;       /* the address of an object of that layer */
        void (*free)(struct loop_attachment *attachment);       /* or NULL */
};

/* A failure that was not reported yet; run returns it. */
struct loop_failure {
        struct list link;
        const struct error *error;
};

struct ferry_loop {
        int epoll;
        int event;              /* readable while there is work in memory, if the program polls */
        size_t watched;         /* sources in epoll */
        int timer;              /* -1 until the program polls */
        bool is_event_set;
        int64_t timer_deadline; /* that the timerfd is set to; 0: none */
        const volatile char *alive;     /* a page with a 1, wiped in a forked child */

        struct loop_timer *timers;      /* a heap: the next one is at its top */
        int64_t looked;                 /* up to when deadlines expire, because descriptors were looked at then */

        struct list tasks;
        struct list put_off;    /* tasks for the end of the round, or before the loop waits */
        bool is_gathering;      /* what callbacks send is put off: those that handle what was read together are under way */
        struct list spinners;   /* spin.h: those that are awake */
        int64_t skipping_since; /* how long descriptors were not looked at, because there was always something to do; 0: they were */
        struct list files;
        struct list members;
        struct list holders;
        struct list attachments;
        struct list program;    /* its timers and descriptors … */
        struct list occasions;  /* … and what it does at signals, when it is woken, and when it is idle */
        struct list signals;    /* those that it has asked for */
        struct loop_source waker;       /* an eventfd, once the program has asked for that; its number is read by all threads */
        size_t idle;            /* what is to be done when there is nothing else */
        struct list graves;
        struct list failures;
        size_t live;            /* things that may still happen */

        struct batch *batches;  /* of the rounds that run, the innermost first */
        struct running *running;        /* the same of ferry_loop_run() */
        unsigned depth;         /* of callbacks */
        const char *owner;      /* the thread that waited in it last; NULL: none has, and any may use it */
        bool is_entered;        /* a call of its owner is in it */
        unsigned waits;         /* of waiting within waiting */
        bool is_ending;
        bool is_freed;

        struct error error;     /* the last one */
        struct error own_error; /* not of anything that lives in it */
        struct loop_failure own_failure;
};

enum { LOOP_WAITS_MAX = 32 };

/* Without what the layers above attach; NULL if no memory or no descriptor is left. */
ferry_loop *loop_new(void);

/* The attachments of a kind, the first attached first; NULL: there is none, or no more. */
void loop_attach(ferry_loop *loop, struct loop_attachment *attachment, const void *kind);
struct loop_attachment *loop_attachment_next(const ferry_loop *loop, const void *kind, const struct loop_attachment *previous);

/* Whether this is a forked child of the process whose loop it is: then nothing may be done with it but closing
 * descriptors. */
static inline bool loop_is_foreign(const ferry_loop *loop)
{
        return *loop->alive == 0;
}

/* thread.c: whether it belongs to another thread; then nothing else of it, or of what lives in it, may be read. The sentence
 * says so. */
extern _Thread_local const char loop_this_thread __attribute__((__visibility__("hidden")));

static inline bool loop_is_elsewhere(const ferry_loop *loop)
{
        const char *thread = __atomic_load_n(&loop->owner, __ATOMIC_RELAXED);

        return thread && thread != &loop_this_thread;
}

extern const char loop_elsewhere[];

/* The door of each public function: 0, -ECHILD in a forked child, -EPERM in another thread; and the sentence for that. */
int loop_refuse(const ferry_loop *loop);
const char *loop_refusal(int code);

/* Let it belong to this thread. -EPERM while another is in it. */
int loop_take(ferry_loop *loop);

/* Wait for these events of epoll(7), instead of those before; 0: for none. Before its descriptor is closed, a
 * source must have been set to 0. */
int loop_source_set(struct loop_source *source, uint32_t events);

/* Call the timer at a time, or not at all. Starting one that runs moves it. */
void loop_timer_start(ferry_loop *loop, struct loop_timer *timer, int64_t deadline);
void loop_timer_remove(ferry_loop *loop, struct loop_timer *timer);

static inline void loop_timer_stop(ferry_loop *loop, struct loop_timer *timer)
{
        if (timer->is_running)
                loop_timer_remove(loop, timer);
}

/* From its own callback: call it again in the next round, after that has read what has come. */
void loop_timer_postpone(ferry_loop *loop, struct loop_timer *timer);

/* A deadline in @timeout_ms; INT64_MAX for -1. */
int64_t loop_deadline(int timeout_ms);

/* Call the task in the next round. Starting a task that was started changes nothing. */
void loop_task_start(ferry_loop *loop, struct loop_task *task);
static inline bool loop_task_is_started(const struct loop_task *task)
{
        return task->link.next && !list_is_empty(&task->link);
}

/* Call it no longer; it may never have been started. */
static inline void loop_task_stop(struct loop_task *task)
{
        if (task->link.next)
                list_remove(&task->link);
}

/* Call the task at the end of the round, or, outside of one, before the loop waits; loop_task_stop() stops it. Putting off a task
 * again changes nothing. */
void loop_put_off(ferry_loop *loop, struct loop_task *task);
/* Call those that are put off now. */
void loop_catch_up(ferry_loop *loop);

/* Count an object among the live ones, for which a loop runs, or no more; @counted is whether it is counted now. */
static inline void loop_count_live(ferry_loop *loop, bool *counted, bool is_live)
{
        if (*counted != is_live)
                loop->live += is_live ? 1 : (size_t)-1;
        *counted = is_live;
}

/* In a forked child: close what its parent has in the loop, unnoticed by the parent. The memory stays: the
 * child may have come from one of its callbacks. */
void loop_abandon(ferry_loop *loop);

void loop_bury(ferry_loop *loop, struct loop_grave *grave, void (*free)(struct loop_grave *grave));

/* Callbacks from outside of a round stand between these. */
static inline void loop_enter(ferry_loop *loop)
{
        if (loop->depth++ == 0)
                __atomic_store_n(&loop->is_entered, true, __ATOMIC_RELAXED);
}
void loop_leave(ferry_loop *loop);

/* Run rounds until @is_done says so; 0, -ETIMEDOUT, -EDEADLK if this is nested too deep, -ECHILD, or -ECANCELED
 * if the loop was freed meanwhile. The caller has entered the loop once, and needs @kept (or NULL) until it leaves it;
 * what else is let go of meanwhile is freed, if no callback is under way. */
int loop_wait(ferry_loop *loop, int64_t deadline, bool (*is_done)(void *object), void *object,
              const struct loop_grave *kept);

/* -EINVAL for a timeout below -1, which ferry_loop_error() explains. */
int loop_refuse_timeout(ferry_loop *loop, int timeout_ms);

void loop_failure_add(ferry_loop *loop, struct loop_failure *failure, const struct error *error);
void loop_failure_told(struct loop_failure *failure);

/* program.c: the loop ends, and calls nothing of the program's own any more. */
void loop_forget_program(ferry_loop *loop);
/* Call those that are for an idle loop, each once; how many those are. */
int loop_run_idle(ferry_loop *loop);

/* A failure of the loop itself, or of the program's own timers and descriptors. Whether there is one, and report it, for a
 * program that does not wait by run; 0 if there is none. */
void loop_fail(ferry_loop *loop, int code, const char *sentence);
bool loop_has_own_failure(const ferry_loop *loop);
int loop_tell_own_failure(ferry_loop *loop);
