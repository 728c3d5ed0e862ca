/* A manager: the owner of processes, and the pool that they form. */
#pragma once

#include "process/process.h"

/* What the pool knows of a worker. */
enum worker_state {
        WORKER_IDLE,
        WORKER_BUSY,            /* it works on a request */
        WORKER_SUSPECT,         /* it has let a deadline pass, and may still work on that request */
        WORKER_DISCONNECTED,    /* its session no longer takes requests */
        WORKER_LOST,            /* disconnected while it was suspect */
};

/* A process of a manager. */
struct worker {
        ferry_process process;
        ferry_manager *manager;
        struct list link;               /* among those of the manager */
        struct list unreported;         /* among those whose end no wait has reported */
        struct list ending;             /* among those that have exited */
        struct list idle;               /* among those that take a request */
        enum worker_state state;
        unsigned answers;               /* of this child, to requests of the pool */
        uint64_t ping;                  /* whose answer shows that a suspect works no more; 0: a late answer does */
        bool is_stop_reported;          /* that a signal has stopped it */
        bool is_live;                   /* these are what was counted of it */
        bool is_running;
        bool is_serving;
};

/* Requests of a pool that are counted together. */
struct ferry_batch {
        struct call_group group;
        struct loop_task task;          /* calls the callback */
        struct loop_grave grave;
        struct list link;               /* among those of the manager */
        ferry_manager *manager;
        size_t pending, done, failed;
        unsigned failures_max;          /* 0: no limit */
        ferry_batch_fn *fn;             /* NULL: it was not handed over */
        void *userdata;
        char refusal[80];               /* why no request is taken any more; "": they are */
        bool is_telling;
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
        const ferry_session_options *session_options;
        struct list handlers;
        struct list workers;
        struct list unreported;
        struct list ending;             /* the first has exited first */
        char *numbers;                  /* of processes: 1 for each that is taken */
        size_t number_count;
        size_t running;                 /* those that have a child */
        unsigned waiting;
        unsigned killed;
        size_t live;                    /* those that run or will, as the loop counts them */
        size_t serving;                 /* those of them that can take a request, or will */
        size_t busy;                    /* those that work on one */
        struct list remotes;            /* workers elsewhere, by the session that leads to them */
        /* Give a request to those; false: no more may be given now. NULL: there are none. */
        bool (*give_away)(ferry_manager *manager, ferry_call *call);
        size_t connected;               /* those sessions that have not ended; each counts as one that serves */
        size_t away;                    /* requests that they have */
        struct loop_timer look;         /* while there are: whether one of them was stopped */
        struct list idle;               /* those that wait for a request, the first has waited longest */
        struct call_queue *queue;       /* requests that no worker has taken yet */
        bool is_feeding;
        struct list batches;
        size_t telling;                 /* batches that have ended, and are reported in the next round */
        struct error start_error;       /* of the first child that could not be started since the last wait */
        ferry_manager_fn *wait_fn;      /* of the wait */
        void *wait_userdata;
        int verdict;                    /* what a callback returned that was not 0 */
        bool is_waited_for;
        bool is_stopping;
        bool is_ending;
        bool is_freed;
        struct loop_source signal_source;
        struct loop_attachment forwarder;       /* to the loop, while it passes signals on */
        sigset_t mask;                  /* and then: the one before */
        int signal;                     /* the last one, which no wait has reported */
};

static inline struct worker *worker_of(const ferry_process *process)
{
        return container_of(process, struct worker, process);
}

/* handlers.c: call the handlers, and the wait. */
void manager_report(struct worker *worker, enum ferry_process_event event);
/* The first result that is not 0 stops the wait. */
void manager_note(ferry_manager *manager, int verdict);
void manager_free_handlers(ferry_manager *manager);

/* batch.c: whether a request may join; count it, or end it, as the batch has been cancelled. */
int batch_check(const ferry_batch *batch, const ferry_manager *manager, struct error *error);
void batch_add(ferry_batch *batch, ferry_call *call);
void batch_free_all(ferry_manager *manager);

/* remote.c: workers elsewhere. */
void remote_stop_all(ferry_manager *manager);
void remote_free_all(ferry_manager *manager);

/* pool.c */
/* 0 or -ENOMEM. */
int pool_init(ferry_manager *manager);
/* Give the requests that wait to workers that are idle. */
void pool_feed(ferry_manager *manager);
/* Requests that wait will be given to no worker. */
void pool_refuse(ferry_manager *manager);
bool pool_is_busy(const ferry_manager *manager);
/* Count a worker anew. */
void pool_update(struct worker *worker);
/* It has a new child. */
void pool_worker_started(struct worker *worker);
void pool_worker_disconnected(struct worker *worker);
void pool_worker_answered(struct worker *worker);
bool pool_worker_is_stuck(const struct worker *worker);
