/* What the files of this folder know of each other: a manager, and the processes that it has. */
#pragma once

#include "loop/child.h"
#include "session/session.h"
#include "stream/captured.h"

#include <ferry/process.h>

enum process_state {
        PROCESS_STARTING,
        PROCESS_RUNNING,
        PROCESS_RESTING,        /* it has died, and will be started again */
        PROCESS_ENDED,
};

/* What it was made of, for the next time. */
struct process_spec {
        ferry_child_fn *fn;             /* NULL: argv */
        void *fn_userdata;
        const char **argv;              /* these are copies, of one piece each */
        const char **env;
        int *kept;
        ferry_process_options options;
        ferry_session_options session;
};

struct ferry_process {
        struct list link;               /* among those of its manager */
        struct list untold;             /* among those whose end nobody who waits was told */
        struct list idle;               /* among those that wait for a request */
        struct list ending;             /* among those whose end was not told to anybody */
        struct loop_grave grave;
        ferry_manager *manager;
        struct process_spec spec;
        enum process_state state;
        struct child child;
        pid_t pid;
        int number;                     /* among the processes of its manager, the lowest that was free; -1: none */
        int result;
        struct error error;
        ferry_session *session;
        struct output {
                struct captured captured;
                ferry_process *process;
        } outputs[2];                   /* of fd 1 and 2 */
        struct loop_task end_task;      /* its end is told */
        struct loop_timer linger;       /* it has ended, and its session has not yet */
        bool is_stopping;
        int grace_ms;
        struct loop_timer restart;
        int restart_ms;
        ferry_call *call;               /* that it works on, as one of a pool */
        unsigned answers;               /* of this child, to requests of the pool */
        bool is_overdue;                /* it has let a deadline pass, and may still work on that */
        uint64_t ping;                  /* whose answer shows that it does not; 0: a late answer does */
        ferry_process_fn *fn;           /* it was given away */
        void *userdata;
        bool is_stopped;                /* by a signal, and that was told */
        bool has_child_left;            /* its status is taken, its end not told yet */
        bool is_heard_out;              /* and may be told now */
        bool is_deserted;               /* its session has ended, and it has not */
        bool is_replaced;               /* and then, when it has ended, another one is started */
        bool is_recycled;               /* at once: it has answered as many requests, or grown as large, as it may */
        bool is_given;                  /* to the loop, by ferry_process_then() */
        bool is_telling;                /* that it has ended, in the next round */
        bool is_live;                   /* what its manager has counted */
        bool is_serving;
        bool is_forgotten;
        bool is_freed;
};

struct ferry_manager {
        struct loop_member member;
        struct loop_grave grave;
        ferry_loop *loop;
        ferry_manager_options options;
        struct error options_error;     /* what is wrong with them: no child can be started */
        char *paths[2];                 /* copies of stdout_path and stderr_path */
        int *signals;
        ferry_session_options session;
        struct list handlers;
        struct list processes;
        struct list untold;
        struct list ending;             /* the first has ended first */
        char *numbers;                  /* of processes: 1 for each that is taken */
        size_t number_count;
        unsigned running;
        unsigned waiting;
        unsigned killed;
        size_t live;                    /* those that run or will, as the loop counts them */
        size_t serving;                 /* those of them that can take a request, or will */
        size_t busy;                    /* those that work on one */
        struct loop_timer look;         /* while there are: whether one of them was stopped */
        struct list idle;               /* those that wait for one, the first has waited longest */
        struct call_queue queue;        /* requests that nobody has taken yet */
        bool is_feeding;
        struct error start_error;       /* of the first child that could not be started since somebody waited */
        ferry_manager_fn *wait_fn;      /* of who waits */
        void *wait_userdata;
        int verdict;                    /* what a callback said that was not 0 */
        bool is_waited_for;
        bool is_stopping;
        bool is_ending;
        bool is_freed;
        struct loop_source signal_source;
        struct list forwarder;          /* among the loop's, while it passes signals on */
        sigset_t mask;                  /* and then: the one before */
        int signal;                     /* the last one, which nobody was told of */
};

/* spawn.c: start it, for the first time or again; 0, or a negative errno with a sentence. In a forked child it does not
 * return. */
int process_start(ferry_process *process, struct error *error);
int process_copy_spec(ferry_process *process, const char *const argv[], const ferry_process_options *options,
                      struct error *error);
void process_free_spec(ferry_process *process);

/* process.c */
extern const struct child_owner process_child_owner;
void process_begin_stop(ferry_process *process, int grace_ms);
/* It has let a deadline pass: end it, and start it again. */
void process_replace(ferry_process *process);
/* It has done enough: the same, between two requests. */
void process_recycle(ferry_process *process);
/* Nothing can be asked of it any more. */
void process_lose_session(ferry_process *process);
extern const struct session_owner process_session_owner;
/* The process at the other end of a session, or NULL. */
ferry_process *process_of(const ferry_session *session);
void process_free(ferry_process *process);
bool process_has_ended(const ferry_process *process);
/* Its state has changed: count it anew. */
void process_update(ferry_process *process);

/* recycle.c: whether the child has answered as many requests, or grown as large, as its options say. */
bool process_is_used_up(const ferry_process *process);
/* Whether it can be seen how large a child is: 0, or a negative errno with a sentence. */
int process_check_recycling(const ferry_process_options *options, struct error *error);

/* manager.c: tell the handlers, and who waits. */
void manager_tell(ferry_process *process, enum ferry_process_event event);
/* The lowest number that no process has, or -ENOMEM. */
int manager_take_number(ferry_manager *manager);
void manager_give_number_back(ferry_process *process);
/* Whether a signal was passed on, of which nobody was told yet, after which none is started again. */
bool manager_is_told_to_end(const ferry_manager *manager);
/* The mask of this thread from before somebody who waits in the loop has blocked signals to pass them on; NULL: nobody
 * has. */
const sigset_t *manager_mask_before(const ferry_loop *loop);

/* pool.c: give what waits to who is free; the call that a process worked on has ended. */
void pool_feed(ferry_manager *manager);
void pool_init(ferry_manager *manager);
void pool_worker_answered(ferry_session *session);
bool pool_is_busy(const ferry_manager *manager);
bool pool_is_idle(const ferry_process *process);
/* What waits will not be given to anybody. */
void pool_refuse(ferry_manager *manager);
