/* Processes: children that run a function or a command, each with a session to it. A manager has a set of
 * them: it waits for all, lets so many run at a time (a queue), gives requests to whoever is free (a
 * pool). */
#ifndef FERRY_PROCESS_H
#define FERRY_PROCESS_H

#include <ferry/session.h>

FERRY_BEGIN

/* What a forked child does. It has a loop of its own, in which only @parent lives; all that its parent had in
 * the manager's loop is closed there, without anybody noticing; what else the program has open, it has, too. Signal
 * handlers are its parent's, as after fork(2). What it returns is its exit status, 0 to 255; a negative errno makes
 * that 1, and so does what its parent does not take of its messages within close_timeout_ms, which it says on stderr. */
typedef int ferry_child_fn(ferry_session *parent, void *userdata);

enum ferry_process_event {
        FERRY_PROCESS_STARTED = 1 << 0,
        FERRY_PROCESS_ENDED   = 1 << 1,
        FERRY_PROCESS_DIED    = 1 << 2,         /* and will be started again, as is_restarted says */
        FERRY_PROCESS_STOPPED = 1 << 3,         /* by a signal such as SIGTTIN, while it has a request of
                                                 * ferry_manager_request(), which is looked at twice a second */
};

enum {
        FERRY_PROCESS_KILLED = 256,             /* as a result: plus the signal */
};

/* Called for a child that has started, ended, died or was stopped; ferry_process_error() says how. Returns 0; anything else
 * stops ferry_manager_wait(), and is what that returns. */
typedef int ferry_manager_fn(ferry_manager *manager, ferry_process *process, void *userdata);

/* Called once for a process that has ended, with its result. */
typedef void ferry_process_fn(ferry_process *process, int result, void *userdata);

/* Called with what a child has written to its fd 1 or 2. */
typedef void ferry_output_fn(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata);

/* What is zero is as it stands in parentheses. What the texts and lists point to is copied. */
typedef struct ferry_manager_options {
        size_t size;
        unsigned running_max;           /* so many children at a time (no limit): who starts one more waits for the
                                         * end of another, and runs the loop meanwhile. Not for pools: of workers that
                                         * stay none ends */
        bool is_killing;                /* when it or its loop is freed, kill who is left instead of waiting for them,
                                         * however long that takes (no) */
        bool is_forwarding;             /* while waiting, pass signals on to the children (no): the thread that waits
                                         * has them blocked, and all others must have, too; and so has what is forked
                                         * there meanwhile by a manager of another loop */
        const int *signals;             /* namely these, up to a 0 (TERM, INT, HUP, ALRM, USR1, USR2) */
        const char *stdout_path;        /* append what they print to a file (it goes where ours goes) */
        const char *stderr_path;
        ferry_output_fn *output;        /* or call this with what has no path */
        void *output_userdata;
        const ferry_session_options *session; /* to them (the loop's); what they point to must live as long */
        int queue_timeout_ms;           /* how long a ferry_manager_request() waits until a child begins to work on it, also
                                         * where it comes back from one that did not execute it (as long as its own
                                         * timeout, which begins when the child has it); -1: no limit */
} ferry_manager_options;

/* Each child finds its number in FERRY_WORKER, unless env says otherwise: the lowest that no other child of its manager has,
 * from 0. A child that is started again keeps its number. -EINVAL: an option for spawn with a function, or input or stdout_path
 * with is_on_stdio. */
typedef struct ferry_process_options {
        size_t size;
        const char *const *env;         /* spawn: with these NAME=VALUE, up to a NULL, besides ours */
        const char *directory;          /* in there (ours) */
        const int *fds;                 /* spawn: descriptors it keeps besides 0, 1 and 2, up to -1 (none) */
        const void *input;              /* what its stdin holds (it reads ours) */
        size_t input_size;
        bool is_on_stdio;               /* spawn: its session is its stdin and stdout (a socket apart, whose
                                         * number is in its FERRY_FD) */
        bool is_restarted;              /* spawn: start it again when it has died, after 10 ms, twice as long
                                         * each time, 1 s at most, until it has answered something (no). Also where
                                         * that fails for want of memory, descriptors or processes; not after INT or
                                         * TERM were passed on. One that only closes its session has 1 s to end; one
                                         * that lets the deadline of a ferry_manager_request() pass 0.2 s; then it is
                                         * sent TERM, and after 1 s more KILL */
        int death_signal;               /* that it is sent when our thread ends (none) */
        const char *stdout_path;        /* this and the rest (as the manager's) */
        const char *stderr_path;
        ferry_output_fn *output;
        void *output_userdata;
        const ferry_session_options *session;
        unsigned max_tasks;             /* with is_restarted: after so many answers to ferry_manager_request() the child is
                                         * replaced by a new one (never): its session is closed between two requests, and
                                         * it has 1 s to end; then it is sent TERM, and after 1 s more KILL */
        size_t max_rss;                 /* with is_restarted: the same once it has more than so many bytes of memory
                                         * resident, which is looked up in /proc after each answer (never) */
} ferry_process_options;

/* Make a manager, which belongs to the loop; end it, which waits for its children, or kills them, as the
 * options say. free takes NULL and returns it. */
ferry_manager *ferry_manager_new(ferry_loop *loop, const ferry_manager_options *options);
ferry_manager *ferry_manager_free(ferry_manager *manager);

/* Call @fn (NULL: nothing) when a child has started, ended, died or was stopped, as @events say, after the handlers that are
 * there already. If memory is out, ferry_manager_wait() returns that. */
void ferry_manager_on(ferry_manager *manager, unsigned events, ferry_manager_fn *fn, void *userdata);

/* Run the loop until all children have ended, and the callbacks of all requests to them are done. @fn, if not
 * NULL, is called for each that has ended since the last wait, in the order in which they did; for one that ends
 * meanwhile, before the handlers. 0; what a callback returned; the errno of a child that could not be started, or
 * of a timer or watch of the loop; or FERRY_PROCESS_KILLED + the last signal that was passed on, and not returned
 * yet. */
int ferry_manager_wait(ferry_manager *manager, ferry_manager_fn *fn, void *userdata);

/* The same, and see to it: requests are finished, then the sessions are closed; whoever has not ended in @grace_ms
 * is sent SIGTERM, and after as long again (1 s, if it is 0) SIGKILL. -1: no signals, but to a child that has let the
 * deadline of a request pass: that is sent SIGTERM after 0.2 s, and SIGKILL after 1 s more. If a wait
 * is going on already, as in a callback, it goes on, and this returns 0 at once. If it is called again, the shorter
 * time counts. */
int ferry_manager_stop(ferry_manager *manager, int grace_ms);

/* Send all children a signal. */
void ferry_manager_kill(ferry_manager *manager, int signal);

/* Give a request to the child that is free first; it waits for that, also for one to be started, as long as
 * queue_timeout_ms says (@timeout_ms), but ends when the last that could take it has gone. From when a child has it, that
 * has @timeout_ms to answer. If the child dies meanwhile, the call ends with the reason, and with the outcome unknown. If
 * the child says that it has not executed the request, because it has closed its session before, or by
 * ferry_message_refuse(), another child gets it. A child that lets the deadline pass is restarted, if it is_restarted;
 * else it is given nothing more until it is seen to be done with that. What waits has the limit queue_max, above which
 * a request fails with -ENOBUFS. Otherwise as ferry_session_request(). */
ferry_call *ferry_manager_request(ferry_manager *manager, int timeout_ms, const char *type,
                                  const char *format, ...) FERRY_PRINTF(4, 5);

/**
 * Gives a request to the child that is free first, as ferry_manager_request(), with a body that is a value.
 *
 * @param manager     the manager; NULL is allowed, and the call has failed
 * @param timeout_ms  as of ferry_manager_request()
 * @param type        the message type
 * @param body        shared until the call has ended; NULL fails the call with -EINVAL
 * @return the call, which the caller owns; NULL only if there is no memory
 */
ferry_call *ferry_manager_request_value(ferry_manager *manager, int timeout_ms, const char *type, const ferry_value *body);

/* The child that came after @previous; NULL gives the first, and is given after the last. How many run; how many
 * may at a time (0: no limit); how many wait until they may; how many this manager has sent SIGKILL, as they did
 * not end otherwise. */
ferry_process *ferry_manager_child(const ferry_manager *manager, const ferry_process *previous);
unsigned ferry_manager_running(const ferry_manager *manager);
unsigned ferry_manager_running_max(const ferry_manager *manager);
unsigned ferry_manager_waiting(const ferry_manager *manager);
unsigned ferry_manager_killed(const ferry_manager *manager);

/* Run a function in a child, which ends by _exit when the function returns, with stdout, stderr and its session
 * flushed. While running_max others run, this waits until one has ended. The process belongs to the manager, which
 * keeps it when it has ended, too; a program that makes many frees them, or gives them to ferry_process_then(). */
ferry_process *ferry_process_fork(ferry_manager *manager, ferry_child_fn *fn, void *userdata,
                                  const ferry_process_options *options);

/* Run a command, found by PATH, in a child that leads a process group of its own, and has no descriptor but those that
 * the options say. If it cannot be run, the process has ended, with the errno of exec. */
ferry_process *ferry_process_spawn(ferry_manager *manager, const char *const argv[],
                                   const ferry_process_options *options);

/* Give the process away: the loop calls @fn (NULL: nothing) at its end, or soon if it has ended, and then frees it.
 * If it was given away already, this @fn takes the place of the other. */
void ferry_process_then(ferry_process *process, ferry_process_fn *fn, void *userdata);

/* Forget a process; one that runs is stopped before, in the background. Takes NULL and returns it. */
ferry_process *ferry_process_free(ferry_process *process);

/* The session to it; one that is restarted has another then. Its pid, -1 if it was never started. */
ferry_session *ferry_process_session(const ferry_process *process);
pid_t ferry_process_pid(const ferry_process *process);

/* Its exit status, 0 to 255; FERRY_PROCESS_KILLED + the signal that killed it; -EINPROGRESS while it runs; -ECHILD
 * if its status is unknown, because SIGCHLD is ignored or another wait took it; -EPERM if it has become another user, and
 * cannot be killed; or the errno for which it was not started. A sentence on that, with its last lines of stderr, where those come to us: from one
 * that is_on_stdio, or has an output; of one that was started again, on its last end. */
int ferry_process_result(const ferry_process *process);
const char *ferry_process_error(const ferry_process *process);

/* Run the loop until it has ended, or for @timeout_ms; the same, and see to it, as ferry_manager_stop(). Both
 * return the result, or why they could not wait. Send it a signal: 0, or -ESRCH if it has ended, or has died and
 * was not started again yet. A timeout or grace below -1 is -EINVAL, which ferry_loop_error() explains. */
int ferry_process_wait(ferry_process *process, int timeout_ms);
int ferry_process_stop(ferry_process *process, int grace_ms);
int ferry_process_kill(ferry_process *process, int signal);

/* The child at the other end of a session, or NULL. */
ferry_process *ferry_session_process(const ferry_session *session);

FERRY_END

#endif
