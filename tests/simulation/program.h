/* Inside of the programs: a run (programs.c), what a worker does (worker.c), and what a caller does (caller.c). */
#pragma once

#include "simulation/programs.h"

#include <ferry/ferry.h>

#include <stddef.h>
#include <stdint.h>

/* A process with a session, or, a caller with a pool, with a manager. */
struct program {
        unsigned process, host;
        ferry_loop *loop;
        ferry_session *session;
        ferry_manager *manager;
        bool is_listening, is_reopening;
        /* A worker: */
        struct job *jobs;               /* in hand */
        unsigned busy;
        bool is_away;                   /* it is not subscribed */
        /* A caller: */
        unsigned given;                 /* tasks, which have not ended; and … */
        unsigned worked;                /* … those of them that a worker has in hand */
        int64_t fruitful;               /* when a call has ended last that may have been executed */
        int64_t heard;                  /* when any call has ended last, or the first was made */
};

struct task {
        struct program *caller;
        uint32_t attempt;
        int work;
        int pause;
        int64_t began;                  /* when it was given away first */
        int64_t given;                  /* the attempt */
        bool is_pending;                /* and it has not ended … */
        bool is_worked_on;              /* … though a worker has it in hand */
};

struct run {
        struct simulation options;
        struct program *programs;       /* workers, then callers */
        struct task *tasks;
        size_t next;
        bool is_quiet;                  /* nothing dies any more */
        bool is_stuck;                  /* a task does not end */
        bool is_ending;
        char urls[512];
        struct simulation_figures figures;
        double wait_sum, work_sum, lost_sum, unknown_sum;
        size_t replied, unknown;
        float *waits;
};

extern struct run run;

/* programs.c */
void run_trace(uint64_t number);
int run_below(int limit);
ferry_session_options run_session_options(const struct program *program);
/* Its session has ended: another one is opened after a while. */
void program_reopen_later(struct program *program);

/* worker.c */
void worker_open(struct program *worker);
void worker_drop_jobs(struct program *worker);

/* caller.c */
void caller_open(struct program *caller);
void caller_begin(struct program *caller);
/* No call of the caller waits for longer than it may. */
void caller_check(const struct program *caller);
/* A worker begins to work for an attempt of a task, or does so no more. */
void caller_note_work(size_t task, uint32_t attempt, bool is_worked_on);
/* The figures of all of them. */
void callers_begin(void);
void callers_sum_up(void);
