/* Child processes, watched by pidfd: only own children are waited for, and no signal is handled. */
#pragma once

#include "loop/loop.h"

struct child_spec {
        const char *command;            /* for /bin/sh -c */
        const char *const *argv;        /* or a program, found by PATH */
        const char *const *env;         /* NAME=VALUE besides ours, or NULL */
        const char *directory;          /* or NULL */
        int fds[3];                     /* what it gets as 0, 1 and 2; -1: what we have there */
        const int *kept;                /* what it gets besides, under the same numbers, up to -1; or NULL */
        bool is_exact;                  /* it gets no others, even if they do not close on exec */
        bool is_in_our_group;           /* it leads no process group of its own, and may read from our terminal */
        int channel;                    /* one more, whose number is in FERRY_FD; 0: none */
        bool is_worker;
        int worker;                     /* its number among those of its manager, in FERRY_WORKER unless env sets that */
        int death_signal;               /* that it is sent when our thread ends; 0: none */
};

/* For a child of which nothing was started yet. */
#define CHILD_NONE { .pidfd = -1 }

struct child;

/* What a child reports to its owner, and asks it. */
struct child_owner {
        /* It has ended, and was reaped. */
        void (*ended)(struct child *child);
        /* The rest belongs to child_stop(). It may not be sent KILL, as it runs as another user: it is not waited for any
         * more. */
        void (*lost)(struct child *child, int error);
        /* Its grace is over: whether it gets as long again, because it waits for its owner. NULL: no. */
        bool (*is_waiting)(struct child *child);
        /* Whether its output is still read. NULL: it ends alone. Otherwise its process group ends with it: as long as the output
         * is read and the time of TERM runs, a child that has exited is not reaped, because its group keeps its number until
         * then. */
        bool (*is_read)(const struct child *child);
};

/* How far stopping a child has come. */
enum child_stage {
        CHILD_NOT_STOPPED,
        CHILD_ASKED,                    /* its input has ended, or it was sent a message: it may end by itself */
        CHILD_TERMINATED,               /* it was sent TERM */
        CHILD_KILLED,
};

struct child {
        ferry_loop *loop;
        pid_t pid;                      /* 0: there is none */
        int pidfd;
        bool has_group;                 /* of its own, which is signalled with it */
        struct loop_source source;
        bool has_ended;
        bool is_killed;                 /* by a signal, which is the status then */
        int status;                     /* exit status; negative: unknown, the errno of the wait */
        const struct child_owner *owner;
        enum child_stage stage;         /* stays when it has ended */
        struct loop_timer stage_timer;  /* the next stage */
        int64_t term_ns;                /* between TERM and KILL */
};

/* Start a child with default signal handling, in a process group of its own unless @spec says otherwise. 0, or a negative errno:
 * of exec too; then there is no child. */
int child_start(struct child *child, ferry_loop *loop, const struct child_spec *spec, const struct child_owner *owner);

/* Fork as fork(2) does. Returns 1 in the parent, 0 in the child, for which @child is nothing; or a negative errno. The
 * child begins once its parent can distinguish its end from that of any other. */
int child_fork(struct child *child, ferry_loop *loop, const struct child_owner *owner);

/* In a child: copy descriptors to 0, 1 and 2 (-1: leave that one), also where they stand in each other's way, by way of
 * @ret_moved, which are copies that close on exec, or -1. 0, or a negative errno. */
int child_place_descriptors(const int fds[3], int ret_moved[3]);

/* In a child: be sent that signal (0: none) when the thread of @parent that has made us ends. 0, or a negative errno; -ESRCH
 * if that was too late. */
int child_set_death_signal(int signal, pid_t parent);

/* What is said to a child alone: the number of its channel, and its own among the workers. */
enum { CHILD_VARIABLES_MAX = 2 };

struct child_variables {
        char channel[32];
        char worker[32];
        const char *list[CHILD_VARIABLES_MAX + 1];
};

/* The environment of a forked child, which points into this: ours, but for FERRY_WORKER. Made before the fork, since setenv(3) in
 * the child may wait for a lock that another thread had then. 0 or -ENOMEM; the parent frees the list. */
struct child_environment {
        struct child_variables own;
        const char **list;
};
int child_make_environment(struct child_environment *ret, int worker);
/* In the child. */
void child_use_environment(const struct child_environment *environment);

/* Send a signal to it, and to its process group, unless it has been reaped: the group may be another process's then. 0, or a
 * negative errno: it may run as another user, and then not be signalled. */
int child_signal(struct child *child, int signal);

/* The signal that has stopped it; 0: it runs, or has ended, or that cannot be seen. */
int child_stop_signal(const struct child *child);

/* Whether it has ended, and there is no telling how. */
bool child_has_unknown_status(const struct child *child);

/* Whether it has ended, reaped or not. */
bool child_has_exited(const struct child *child);

/* Stop a child that was asked to end: TERM after @grace_ns (0: now; INT64_MAX: never), KILL after @term_ns more (0 and INT64_MAX:
 * 1 s), both to its process group, if it leads one. Before TERM a further call replaces these times; after it, none does. */
void child_stop(struct child *child, int64_t grace_ns, int64_t term_ns);

/* Its output has ended, for an owner with is_read. */
void child_output_ended(struct child *child);

/* Let go of it. One that runs is ended at once, and waited for; in a forked child, or if it cannot be stopped, it
 * belongs to no process. */
void child_deinit(struct child *child);

/* "the child ": each sentence about what a child has done is that and a phrase. */
extern const char child_subject[];
/* The phrase of such a sentence; "" if it is not one. */
const char *child_phrase(const char *sentence);

/* "was stopped by SIGTTIN: …", as a phrase. */
void child_describe_stop(int signal, char *text, size_t size);

/* "exited with status 1", "was killed by SIGSEGV", as a phrase. */
void child_describe(const struct child *child, char *text, size_t size);
