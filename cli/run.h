/* What the files of ferry run share. */
#pragma once

#include "cli.h"

#include <time.h>

/* WORKING is left when all tasks are done (for ENDING), when no more are to be given (for FINISHING), or in a hurry (for
 * GIVEN_UP). FINISHING is left for ENDING when the tasks in hand are done; both can be left for GIVEN_UP, which stays. */
enum run_phase {
        RUN_WORKING,            /* tasks are read, and given to workers */
        RUN_FINISHING,          /* no further task is given; those in hand may finish */
        RUN_ENDING,             /* no task is in hand; the workers are asked to end */
        RUN_GIVEN_UP,           /* the tasks in hand are dropped, and the workers killed */
};

enum halt_when { HALT_NEVER, HALT_SOON, HALT_NOW };
enum halt_why { HALT_FAIL, HALT_SUCCESS, HALT_DONE };

struct halt {
        enum halt_when when;
        enum halt_why why;
        double count;           /* of tasks, or a percentage */
        bool is_percentage;
};

struct run;
struct durable;

/* What a worker has written to stderr since its last newline. */
struct said {
        ferry_process *worker;
        char line[4096];
        size_t size;
};

enum { PROGRESS_SIZE = 32 };

/* A task from the moment when it is taken from the input. It is over once it has its answer or has failed; the answer may have
 * to wait for the tasks before it. */
struct task {
        struct task *next;
        struct run *run;
        long number;
        ferry_value *body;              /* NULL once it is over */
        char *label;                    /* the text of the task in one line, cut */
        long tries;
        ferry_call *call;
        ferry_value *answer;            /* its text; NULL: none, or it has failed */
        size_t size;                    /* of that */
        bool is_over;
        ferry_message *delivery;        /* of a stream; NULL: a line of stdin */
        char progress[PROGRESS_SIZE];   /* what its worker has said of it, as the bar shows it; "": nothing */
        double date;                    /* when it was given to a worker first, in seconds since 1970 */
        double began, ended;            /* the same, and its end, by a clock that never jumps */
        size_t sent;                    /* bytes of its text */
};

/* The end of a task, for the log. Times are in seconds, sizes in bytes. */
struct joblog_entry {
        long number;
        double date, seconds;
        size_t sent, received;
        bool is_answered;               /* stdout has the answer */
        int exit_value, signal;
        const char *label;
        const char *outcome;
};

enum joblog_known {
        JOBLOG_UNKNOWN,
        JOBLOG_GOOD,
        JOBLOG_FAILED,
        JOBLOG_CHANGED,                 /* the task with that number was another one */
};

struct run {
        const struct cli_options *options;
        ferry_loop *loop;
        ferry_manager *manager;
        enum run_phase phase;
        int status;                     /* why the phase changed, as an exit status; EXIT_DONE: no fault */
        int signal;                     /* the last one that came; 0 */
        const char *type;
        long workers;
        bool is_remote;                 /* they listen at a subject of a NATS server (--on) … */
        bool is_storing;                /* … or there are none: tasks are stored in a stream */
        struct durable *durable;        /* a stream has the tasks; NULL: stdin */
        char **hosts;                   /* they run there, in turn; NULL: here */
        long host_count;
        struct said *said;              /* of each worker */
        const ferry_process **mortal;   /* workers on other machines that have died before any has answered … */
        long mortal_count;              /* … and how many they are */
        struct lines lines;
        struct halt halt;
        bool is_halted;
        struct joblog *joblog;          /* NULL: none */
        struct task *first, **last;     /* those that are not over, or wait for those before them */
        long taken, done, failed, skipped, restarts, started;
        long returned;                  /* of the failed ones: those that a stream delivers again */
        long answers;                   /* of workers, also errors */
        long lost, deaths;              /* tries without an answer; workers that died while there was work, or by a fault */
        long in_hand;
        long held;                      /* tasks that are over, and wait */
        size_t held_bytes;              /* their answers */
        int input_error;
        struct task *printing;          /* stdout has taken a part of its answer; NULL: of none */
        size_t printed;                 /* so much */
        bool is_reading, is_writing;    /* stdin and stdout are watched */
        bool is_on_terminal;
        bool is_progress_shown;
        bool is_echo;                   /* a worker has sent a task back */
        struct timespec began;
        double drawn, seconds;          /* since then: when the bar was drawn, and the end of the tasks */
        long counted;                   /* tasks that had ended … */
        double ended;                   /* … when one of them did last */
        double input_size;              /* of stdin, in bytes; 0: it is not known */
};

/* run.c: change the phase, for a reason that makes that exit status. Calls for a phase that is past are ignored. */
void run_finish(struct run *run, int status);
void run_end_if_done(struct run *run);
void run_give_up(struct run *run, int status);
/* Give up if no worker has answered yet, and that is so for long enough. @reason: why the last one did not. */
void run_check_workers(struct run *run, const char *ending, const char *reason);

/* jetstream.c: streams of a NATS server. */
#define JETSTREAM_CONSUMER "ferry"

enum { JETSTREAM_NAME_MAX = 64 };

/* What a consumer allows. */
struct jetstream_consumer {
        int64_t deliveries_max;
        int64_t batch_max, expires_max_ms;      /* of a request for tasks */
        int64_t ack_wait_ms;                    /* it waits so long for a sign of life */
};

bool jetstream_is_address(const char *address);
/* The name of the stream, in the address; NULL: that was complained about. */
const char *jetstream_name(const char *address);
ferry_session_options jetstream_options(const struct run *run);
/* See to it that there is the stream, the consumer: 0, or the exit status of a complaint. */
int jetstream_prepare_stream(struct run *run, const char *address);
int jetstream_prepare_consumer(struct run *run, const char *name, struct jetstream_consumer *ret);
/* The object in JSON that the server has sent; the caller's. NULL: it is none. Why it says no; NULL: it does not. */
ferry_value *jetstream_read(const ferry_message *message);
const char *jetstream_refusal(const ferry_value *answer);

/* durable.c: tasks of a stream. To be closed in either case; 0, or the exit status of a complaint. */
int durable_open(struct run *run, const char *address, struct durable **ret);
void durable_close(struct durable *durable);
/* A task that has come; the caller's. NULL: there is none. */
ferry_message *durable_next(struct durable *durable);
/* So many more may come. */
void durable_want(struct durable *durable, long places);
/* A task has ended; @is_done: its answer was printed. One that was not tried to its end goes back. */
void durable_end(struct durable *durable, const ferry_message *message, long number, bool is_done);
void durable_return(struct durable *durable, const ferry_message *message, long number);
/* No more tasks are to be given to workers. Whether something is not confirmed yet. */
void durable_stop(struct durable *durable);
bool durable_is_busy(const struct durable *durable);

/* tasks.c: take as many tasks as there are workers, and give them away; read on where that is needed. */
void tasks_feed(struct run *run);
/* Print the tasks that are not over, up to some, and how many there are. */
void tasks_list(struct run *run);
/* The tasks of a stream whose answers were not printed go back there. */
void tasks_return(struct run *run);
/* Forget the tasks in hand; print the answers that waited for them. */
void tasks_drop(struct run *run);
/* Wait until stdout has the answers of the tasks that are over. */
void tasks_flush(struct run *run);
void tasks_free(struct run *run);

/* halt.c: read the argument of --halt; false: a complaint was printed. Stop the run if that says so. */
bool halt_read(const char *text, struct halt *ret);
void halt_check(struct run *run);

/* joblog.c: open the log, which is emptied or, @is_resuming, read; 0, or the exit status of a complaint. A failure to write to it
 * is complained about, and finishes the run. */
int joblog_open(const char *path, bool is_resuming, struct joblog **ret);
/* What the log that was read has about a task; in the order of their numbers. */
enum joblog_known joblog_find(struct joblog *log, long number, const char *label);
/* stdout has taken so much. @run may have no log, here and below. */
void joblog_count_sent(struct run *run, size_t size);
/* After the answer was printed. */
void joblog_add(struct run *run, const struct joblog_entry *entry);
/* Wait a while for the reader of stdout, and complete the log. Returns an exit status. */
int joblog_finish(struct run *run);
void joblog_free(struct joblog *log);

/* progress.c: what is shown on stderr. Redraw the bar from now on, also while nothing happens. */
void progress_begin(struct run *run);
void progress_show(struct run *run);
void progress_clear(struct run *run);
/* A worker has sent a part of its answer: how far it is with the task. */
void progress_note(struct task *task, const ferry_message *part);
/* The rate counts up to there. */
void progress_stop_clock(struct run *run);
void progress_summarize(struct run *run);
int progress_show_aside(ferry_session *worker, const ferry_message *message, void *userdata);
/* A worker has written to stderr; has ended, and will not complete its last line. */
void progress_hear(ferry_process *worker, int fd, const char *bytes, size_t size, void *userdata);
int progress_hear_last(ferry_manager *manager, ferry_process *worker, void *userdata);
