/* A process: a child with a session, which may be started again. It knows nothing of managers and pools: what happens to it, it
 * reports to its owner. */
#pragma once

#include "loop/child.h"
#include "session/session.h"
#include "stream/captured.h"

#include <ferry/process.h>

/* Changed by set_phase() alone; the diagram stands in process.c. */
enum process_phase {
        PROCESS_STARTING,
        PROCESS_RUNNING,
        PROCESS_STOPPING,       /* it was asked to end */
        PROCESS_EXITED,         /* its last output and messages are being delivered */
        PROCESS_RESTING,        /* it is started again after a pause */
        PROCESS_ENDED,
};

/* How far PROCESS_EXITED has come. */
enum process_step {
        STEP_OUTPUT,            /* its last output is read */
        STEP_MESSAGES,          /* its session has not ended yet */
        STEP_REPORT,            /* its end may be reported, when it is its turn */
};

/* Why it was asked to end, which decides what follows. */
enum process_reason {
        REASON_NONE,            /* it was not asked: it is started again after a pause that grows, if its options say so */
        REASON_STOPPED,         /* it is not started again */
        REASON_REPLACED,        /* it is started again, after the pause */
        REASON_RECYCLED,        /* the same at once, because it did nothing wrong */
};

enum process_holder {
        HOLDER_PROGRAM,
        HOLDER_LOOP,            /* ferry_process_then(): it is freed when its end was reported */
        HOLDER_NONE,            /* the program has freed it, and it has not ended yet */
        HOLDER_FREED,
};

/* What a process reports to its owner, and asks it. */
struct process_owner {
        /* Its phase was @before, or (with the same phase) something else has changed that counts. */
        void (*changed)(ferry_process *process, enum process_phase before);
        void (*happened)(ferry_process *process, enum ferry_process_event event);
        /* It could not be started, for the first time or again. */
        void (*failed)(ferry_process *process, int code, const char *sentence);
        /* Its session has ended, and it has not. */
        void (*disconnected)(ferry_process *process);
        /* An answer that no call waits for, or to a ping, has come. */
        void (*answered)(ferry_process *process);
        /* Its end may be reported: process_report() does that when it is its turn. */
        void (*ready)(ferry_process *process);
        bool (*may_restart)(const ferry_process *process);
        /* Whether it may never end by itself, because it works on a request that was given up. */
        bool (*is_stuck)(const ferry_process *process);
        /* The signal mask of this thread from before a wait has blocked signals to pass them on; NULL: there is no such wait. */
        const sigset_t *(*mask_before)(const ferry_process *process);
        /* The last call: the memory goes. */
        void (*free)(ferry_process *process);
};

/* What it is started with, again and again. */
struct process_spec {
        ferry_child_fn *fn;             /* NULL: argv */
        void *fn_userdata;
        const char **argv;              /* these are copies, of one piece each */
        const char **env;
        int *kept;
        const char *paths[2];           /* of fd 1 and 2, or NULL; its own, or of its owner */
        ferry_process_options options;  /* the output function may be that of its owner */
        const ferry_session_options *session;   /* its own, or of its owner */
        bool has_own_session_options;
};

/* What the options of a process leave open. It must stay valid as long as the process. */
struct process_defaults {
        const ferry_session_options *session;
        const char *paths[2];
        ferry_output_fn *output;
        void *output_userdata;
};

/* What a forked child leaves to its parent, in memory that both share: why it exits with a status that is not its function's. */
struct child_note {
        char sentence[512];             /* "" unless there is a reason; the child may die while it writes */
};

struct ferry_process {
        struct loop_grave grave;
        ferry_loop *loop;
        const struct process_owner *owner;
        enum process_holder holder;
        enum process_phase phase;
        enum process_step step;
        enum process_reason reason;
        struct process_spec spec;
        struct child child;
        struct child_note *note;        /* of a forked child; NULL */
        pid_t pid;
        int number;                     /* among the processes of its owner; -1: none */
        int failure;                    /* why it could not be started, or its end is unknown; or 0 */
        int exit_status;                /* of its last child that has ended: ferry_process_exit_status(); -1: unknown, or none */
        struct error error;
        ferry_session *session;
        struct output {
                struct captured captured;
                ferry_process *process;
        } outputs[2];                   /* of fd 1 and 2 */
        struct loop_task task;          /* the next step of its end */
        struct loop_timer timer;        /* PROCESS_EXITED: the session has had its time. PROCESS_RESTING: the pause is over */
        int grace_ms;
        int pause_ms;
        ferry_process_fn *fn;           /* of ferry_process_then() */
        void *userdata;
        bool is_calling;                /* fn, in the next round */
};

static inline bool process_is_freed(const ferry_process *process)
{
        return process->holder == HOLDER_FREED;
}

/* Whether there is a child whose end was not reported yet. */
static inline bool process_is_active(const ferry_process *process)
{
        return process->phase == PROCESS_RUNNING || process->phase == PROCESS_STOPPING || process->phase == PROCESS_EXITED;
}

/* spawn.c: start it, for the first time or again; 0, or a negative errno with a sentence. In a forked child it does not
 * return. */
int process_spawn(ferry_process *process, const struct child_owner *child_owner, const struct session_owner *session_owner,
                  struct error *error);
int process_copy_spec(ferry_process *process, const char *const argv[], const ferry_process_options *options,
                      const struct process_defaults *defaults, struct error *error);
void process_free_spec(ferry_process *process);
/* What its child has left is needed no more. */
void process_drop_note(ferry_process *process);

/* process.c */
void process_init(ferry_process *process, ferry_loop *loop, const struct process_owner *owner);
/* What cannot be done for this child is refused, rather than ignored. 0, or -EINVAL. */
int process_check_spec(const ferry_process *process, struct error *error);
void process_start(ferry_process *process);
/* It cannot be started. */
void process_fail(ferry_process *process, int code, const char *sentence);
/* Report its end; the owner decides when. */
void process_report(ferry_process *process);
void process_stop(ferry_process *process, int grace_ms);
/* It has let a deadline pass: end it soon, and start it again. */
void process_replace(ferry_process *process);
/* It has done enough: the same, between two requests. */
void process_recycle(ferry_process *process);
/* It has answered: the pause before a restart is short again. */
void process_reset_pause(ferry_process *process);
/* Its session no longer takes requests. */
void process_disconnect(ferry_process *process);
void process_free(ferry_process *process);

/* recycle.c: whether a child that has given so many answers has done enough, or grown as large as its options say. */
bool process_is_used_up(const ferry_process *process, unsigned answers);
/* Whether it can be seen how large a child is: 0, or a negative errno with a sentence. */
int process_check_recycling(const ferry_process_options *options, struct error *error);
