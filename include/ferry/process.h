/**
 * @file
 * Processes: children that run a function or a command, each with a session to it.
 *
 * A manager has a set of children. It waits for all of them, limits how many run at a time (a queue), or gives each request to
 * the child that is free first (a pool).
 */
#ifndef FERRY_PROCESS_H
#define FERRY_PROCESS_H

#include <ferry/session.h>

FERRY_BEGIN

/**
 * The function of a forked child.
 *
 * The child has a loop of its own, in which only @p parent lives. Everything that the parent had in the manager's loop is closed
 * in the child, without any effect on peers. Other things that the program has open are open in the child, too. Signal handlers
 * are the parent's, as after fork(2).
 *
 * The child exits with status 1 if the function returns a negative errno, or if the parent does not accept the child's queued
 * messages within `close_timeout_ms`: then ferry_process_error() in the parent says how many bytes are lost.
 *
 * @param parent    the session to the parent; valid until the function returns
 * @param userdata  as given to ferry_process_fork()
 * @return the exit status, 0 to 255; or a negative errno, for status 1
 */
typedef int ferry_child_fn(ferry_session *parent, void *userdata);

/** What can happen to a child. Handlers are registered for a set of these. */
enum ferry_process_event {
        FERRY_PROCESS_STARTED = 1 << 0,         /**< it was started, also again; ferry_process_session() is its new session,
                                                 * which has no handlers yet and has given no message */
        FERRY_PROCESS_ENDED   = 1 << 1,         /**< it has ended, and will not be started again */
        FERRY_PROCESS_DIED    = 1 << 2,         /**< it has ended, and will be started again (`is_restarted`) */
        FERRY_PROCESS_STOPPED = 1 << 3,         /**< it was stopped by a signal such as SIGTTIN, while it has a request of
                                                 * ferry_manager_request(); this is checked twice a second */
};

/** Special results of processes. */
enum {
        FERRY_PROCESS_KILLED = 256,             /**< plus a signal: the exit status of a child that this signal has killed */
};

/**
 * Called for a child that was started, has ended, has died or was stopped; ferry_process_error() says how.
 *
 * @param manager   the manager
 * @param process   the child
 * @param userdata  as given to ferry_manager_on() or ferry_manager_wait()
 * @return 0; any other number makes ferry_manager_wait() return that number
 */
typedef int ferry_manager_fn(ferry_manager *manager, ferry_process *process, void *userdata);

/**
 * Called once for a process that has ended.
 *
 * @param process   the process; it is freed after the callback has returned
 * @param result    its exit status, FERRY_PROCESS_KILLED plus a signal, or a negative errno, see ferry_process_status()
 * @param userdata  as given to ferry_process_then()
 */
typedef void ferry_process_fn(ferry_process *process, int result, void *userdata);

/**
 * Called with the bytes that a child has written to its stdout or stderr.
 *
 * @param process   the child
 * @param fd        1 for stdout, 2 for stderr
 * @param bytes     the bytes; borrowed until the callback returns
 * @param size      in bytes
 * @param userdata  `output_userdata` of the options
 */
typedef void ferry_output_fn(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata);

/** How a manager is made. Zero selects the default in parentheses. Pointers must stay valid until the function returns, see
 * ferry.h. */
typedef struct ferry_manager_options {
        size_t size;                    /**< sizeof(ferry_manager_options); 0 means this version's */
        unsigned running_max;           /**< how many children may run at a time (no limit). Starting one more waits for the end
                                         * of another, and runs the loop meanwhile. Do not use this with a pool: its workers never
                                         * exit, so the call would block forever */
        bool is_killing;                /**< when the manager or its loop is freed, kill the remaining children (no: wait for
                                         * them, without a limit) */
        bool is_forwarding;             /**< forward signals to the children while waiting (no). Until the wait ends, these
                                         * signals are blocked in the waiting thread; the program must block them in all its other
                                         * threads. Children that managers of other loops fork in this thread meanwhile have them
                                         * blocked, too */
        const int *signals;             /**< the signals to forward, up to a 0 (TERM, INT, HUP, ALRM, USR1, USR2) */
        const char *stdout_path;        /**< append the stdout of children to this file (the program's stdout) */
        const char *stderr_path;        /**< append the stderr of children to this file (the program's stderr) */
        ferry_output_fn *output;        /**< called with output for which there is no path (none) */
        void *output_userdata;          /**< for `output` */
        const ferry_session_options *session; /**< the options of sessions to the children (the loop's) */
        int queue_timeout_ms;           /**< how long a ferry_manager_request() waits until a child begins to work on it, in ms;
                                         * -1: forever (as long as the request's own timeout, which begins when a child has it).
                                         * It also limits the time after a child has returned the request without executing it */
} ferry_manager_options;

/**
 * How a child is started. Zero selects the default in parentheses. Pointers must stay valid until the function returns, see
 * ferry.h.
 *
 * Each child finds its number in the environment variable FERRY_WORKER, unless `env` sets it: the lowest number that no other
 * child of its manager has, from 0. A child that is started again keeps its number.
 *
 * An option for ferry_process_spawn() is refused by ferry_process_fork() with -EINVAL; so are `input` and `stdout_path` with
 * `is_on_stdio`.
 */
typedef struct ferry_process_options {
        size_t size;                    /**< sizeof(ferry_process_options); 0 means this version's */
        const char *const *env;         /**< spawn: NAME=VALUE, up to a NULL, in addition to the program's environment */
        const char *directory;          /**< the working directory (the program's) */
        const int *fds;                 /**< spawn: descriptors that the child keeps besides 0, 1 and 2, up to -1 (none) */
        const void *input;              /**< the content of the child's stdin (the program's stdin) */
        size_t input_size;              /**< size of `input` in bytes */
        bool is_on_stdio;               /**< spawn: the session uses the child's stdin and stdout (no: a separate socket, whose
                                         * number is in the child's FERRY_FD) */
        bool is_restarted;              /**< spawn: start the child again after it has died (no). The delay is 10 ms, and doubles
                                         * each time up to 1 s, until the child has answered a request. The child is also started
                                         * again if that fails for lack of memory, descriptors or processes. It is not started
                                         * again after INT or TERM were forwarded.
                                         *
                                         * A child that only closes its session has 1 s to exit; a child that lets the deadline of
                                         * a ferry_manager_request() pass has 0.2 s. Then it is sent TERM, and after 1 s more
                                         * KILL */
        int death_signal;               /**< the signal that the child is sent when the thread that started it ends (none) */
        const char *stdout_path;        /**< append the child's stdout to this file (as the manager's) */
        const char *stderr_path;        /**< append the child's stderr to this file (as the manager's) */
        ferry_output_fn *output;        /**< called with output for which there is no path (the manager's) */
        void *output_userdata;          /**< for `output` */
        const ferry_session_options *session; /**< the options of the session to the child (the manager's) */
        unsigned max_tasks;             /**< with `is_restarted`: replace the child after this number of answers to
                                         * ferry_manager_request() (never). Its session is closed between two requests, and it has
                                         * 1 s to exit; then it is sent TERM, and after 1 s more KILL */
        size_t max_rss;                 /**< with `is_restarted`: replace the child in the same way once it has more than this
                                         * number of bytes of memory resident, which is read from /proc after each answer
                                         * (never) */
} ferry_process_options;

/**
 * Makes a manager, which belongs to the loop.
 *
 * A manager whose options are wrong has failed: ferry_manager_wait() and all its processes and calls return that errno.
 *
 * @param loop     the loop
 * @param options  NULL selects all defaults
 * @return the manager; NULL if there is no memory, the loop is NULL or is being freed, or it belongs to another thread or process
 */
ferry_manager *ferry_manager_new(ferry_loop *loop, const ferry_manager_options *options);

/**
 * Ends a manager: waits for its children, or kills them (`is_killing`), and frees it with its processes.
 *
 * Without this call the manager is ended with its loop.
 *
 * @param manager  the manager; NULL is allowed
 * @return NULL
 */
ferry_manager *ferry_manager_free(ferry_manager *manager);

/**
 * Adds a handler for events of children, behind those that are there already.
 *
 * If there is no memory, ferry_manager_wait() returns -ENOMEM.
 *
 * @param manager   the manager; NULL is allowed
 * @param events    a set of enum ferry_process_event
 * @param fn        the handler; NULL does nothing
 * @param userdata  for the handler
 */
void ferry_manager_on(ferry_manager *manager, unsigned events, ferry_manager_fn *fn, void *userdata);

/**
 * Runs the loop until all children have ended, and the callbacks of all requests to them have returned.
 *
 * Do not use this with a pool: its workers never exit, so the call would block forever. ferry_manager_stop() ends them.
 *
 * @param manager   the manager; NULL has failed with -ENOMEM
 * @param fn        called for each child that has ended since the last wait, in the order of their ends; for a child that ends
 *                  meanwhile, before the handlers. NULL is allowed
 * @param userdata  for the callback
 * @return 0; the result of a callback, if that is not 0; FERRY_PROCESS_KILLED plus the last signal that was forwarded and not
 * returned yet; or a negative errno: that of a child that could not be started (see ferry_process_status()), that of a timer or
 * watch of the loop, or one of these. ferry_loop_error() has the sentence
 * @retval -EINVAL     the options of the manager were wrong
 * @retval -E2BIG      the options of the manager have a field that this version does not know
 * @retval -EDEADLK    another call waits for these children already; or waiting within waiting, 32 levels deep
 * @retval -ECANCELED  a callback has freed the manager or the loop
 * @retval -EMFILE     no descriptor is left for forwarding signals
 * @retval -ENFILE     no descriptor is left in the whole system
 * @retval -ENOMEM     the manager is NULL, or there is no memory
 * @retval -EPERM      the manager belongs to another thread
 * @retval -ECHILD     the manager belongs to the parent of this process
 */
int ferry_manager_wait(ferry_manager *manager, ferry_manager_fn *fn, void *userdata);

/**
 * Stops all children and waits for them.
 *
 * Pending requests finish first. Then the sessions are closed. A child that has not exited after @p grace_ms is sent SIGTERM, and
 * after the same time again (1 s, if it is 0) SIGKILL.
 *
 * If another call waits for the children already, as in a callback, that call goes on waiting, and this one returns 0 at once. If
 * the function is called again, the shorter time applies.
 *
 * @param manager   the manager; NULL has failed with -ENOMEM
 * @param grace_ms  how long a child has to exit, in ms; -1: no signals are sent, except to a child that lets the deadline of a
 *                  request pass: SIGTERM after 0.2 s, and SIGKILL after 1 s more
 * @return as ferry_manager_wait()
 * @retval -EINVAL     the grace is below -1, or the options of the manager were wrong
 * @retval -E2BIG      the options of the manager have a field that this version does not know
 * @retval -EDEADLK    waiting within waiting, 32 levels deep
 * @retval -ECANCELED  a callback has freed the manager or the loop
 * @retval -EMFILE     no descriptor is left for forwarding signals
 * @retval -ENFILE     no descriptor is left in the whole system
 * @retval -ENOMEM     the manager is NULL, or there is no memory
 * @retval -EPERM      the manager belongs to another thread
 * @retval -ECHILD     the manager belongs to the parent of this process
 */
int ferry_manager_stop(ferry_manager *manager, int grace_ms);

/**
 * Sends a signal to all children.
 *
 * @param manager  the manager; NULL is allowed
 * @param signal   the signal
 */
void ferry_manager_kill(ferry_manager *manager, int signal);

/**
 * Gives a request to the child that is free first.
 *
 * The request waits for a free child, or for a child to be started, as long as `queue_timeout_ms` (@p timeout_ms) says. It ends
 * when the last child that could take it has gone. Once a child has the request, it has @p timeout_ms to answer. Too many queued
 * bytes (`queue_max`) make the call fail with -ENOBUFS.
 *
 * If the child dies meanwhile, the call ends with the reason, and with the outcome unknown. If the child reports that it has not
 * executed the request, because it had closed its session before, or by ferry_message_refuse(), another child gets the request. A
 * child that lets the deadline pass is restarted (`is_restarted`); otherwise it gets no more requests until it has finished that
 * one.
 *
 * @param manager     the manager; NULL is allowed, and the call has failed
 * @param timeout_ms  how long a child has to answer, in ms; -1: forever; FERRY_TIMEOUT_DEFAULT: `request_timeout_ms` of the
 *                    session options
 * @param type        the message type, as for ferry_session_notify(); copied
 * @param format      a template for the body, see value.h; NULL is null; arguments are borrowed until the function returns
 * @return the call, which the caller owns, as that of ferry_session_request(); NULL only if there is no memory
 */
ferry_call *ferry_manager_request(ferry_manager *manager, int timeout_ms, const char *type,
                                  const char *format, ...) FERRY_PRINTF(4, 5);

/**
 * Gives a request to the child that is free first, as ferry_manager_request(), with a body that is a value.
 *
 * @param manager     the manager; NULL is allowed, and the call has failed
 * @param timeout_ms  how long a child has to answer, in ms; -1: forever; FERRY_TIMEOUT_DEFAULT: `request_timeout_ms` of the
 *                    session options
 * @param type        the message type, as for ferry_session_notify(); copied
 * @param body        the body; shared until the call has ended; NULL makes the call fail with -EINVAL
 * @return the call, which the caller owns; NULL only if there is no memory
 */
ferry_call *ferry_manager_request_value(ferry_manager *manager, int timeout_ms, const char *type, const ferry_value *body);

/** How workers elsewhere are reached. Zero selects the default in parentheses. Pointers must stay valid until the function returns,
 * see ferry.h. */
typedef struct ferry_remote_options {
        size_t size;                    /**< sizeof(ferry_remote_options); 0 means this version's */
        const ferry_session_options *session; /**< the options of the session (the manager's). `wait_ms` also says how long requests
                                         * wait while no worker listens */
        unsigned requests_max;          /**< how many requests are in flight at a time (1024). Fewer are after workers have refused
                                         * some */
        int busy_timeout_ms;            /**< how long requests wait while workers live and refuse all of them, in ms; -1: forever
                                         * (30 s). As long as they work on one of this manager, or the session is not connected,
                                         * that time does not pass */
} ferry_remote_options;

/**
 * Lets workers elsewhere take the requests of the manager, besides its children.
 *
 * The workers are listeners at a subject of a NATS server, on any machine: sessions with `is_listening` or programs of other
 * libraries. ferry_manager_request() gives them the requests that no child is free for. How many workers there are is not known: a
 * request that no process takes, or that a worker refuses, waits again, with back-off, until another one is answered. If it is all
 * that is left, the manager asks at $SRV whether an instance lives that listens at the subject, or at wildcards that match it, and
 * waits for as long as the options say; then the requests
 * that wait end with -EBUSY or -ECONNREFUSED, and *not executed*.
 *
 * A request is never sent again once a worker may have executed it: when a worker dies, its request ends as *unknown*.
 *
 * ferry_manager_stop() waits for the requests, and closes the session; until then ferry_manager_wait() does not return. When the
 * session ends, and no child is left, requests end with -ECHILD, also those that are made later.
 *
 * @param manager  the manager; NULL has failed with -ENOMEM
 * @param address  nats:SUBJECT, see address.h
 * @param options  NULL selects all defaults
 * @return 0, or a negative errno; ferry_loop_error() has the sentence. Also that of ferry_session_status() if the session cannot be
 *         opened
 * @retval -EINVAL     the address is another one, the options are wrong, or those of the manager were
 * @retval -E2BIG      the options have a field that this version does not know
 * @retval -ECANCELED  the children are being stopped
 * @retval -ENOMEM     the manager is NULL, or there is no memory
 * @retval -EPERM      the manager belongs to another thread
 * @retval -ECHILD     the manager belongs to the parent of this process
 */
int ferry_manager_connect(ferry_manager *manager, const char *address, const ferry_remote_options *options);

/** The range of `priority` in ferry_request_options. */
enum {
        FERRY_PRIORITY_MIN = -8,
        FERRY_PRIORITY_MAX = 7,
};

/** How a request is given to a pool. Zero selects the default in parentheses. */
typedef struct ferry_request_options {
        size_t size;                    /**< sizeof(ferry_request_options); 0 means this version's */
        int timeout_ms;                 /**< how long a child has to answer, in ms; -1: forever (`request_timeout_ms` of the session
                                         * options) */
        int queue_timeout_ms;           /**< how long the request waits until a child begins to work on it, in ms; -1: forever (that
                                         * of the manager) */
        int priority;                   /**< FERRY_PRIORITY_MIN to FERRY_PRIORITY_MAX (0). Of the requests that wait, those of the
                                         * highest priority are given first, and among them the one that was made first. Lower
                                         * ones wait as long as there are higher ones */
        ferry_batch *batch;             /**< the batch that the request belongs to (none) */
} ferry_request_options;

/**
 * Gives a request to the child that is free first, as ferry_manager_request(), with a priority or in a batch.
 *
 * @param manager  the manager; NULL is allowed, and the call has failed
 * @param options  NULL selects all defaults; wrong options make the call fail with -EINVAL or -E2BIG
 * @param type     the message type, as for ferry_session_notify(); copied
 * @param format   a template for the body, see value.h; NULL is null; arguments are borrowed until the function returns
 * @return the call, which the caller owns, as that of ferry_session_request(); NULL only if there is no memory
 */
ferry_call *ferry_manager_request_with(ferry_manager *manager, const ferry_request_options *options, const char *type,
                                       const char *format, ...) FERRY_PRINTF(4, 5);

/** How a batch is made. Zero selects the default in parentheses. */
typedef struct ferry_batch_options {
        size_t size;                    /**< sizeof(ferry_batch_options); 0 means this version's */
        unsigned failures_max;          /**< once so many of its requests have ended without a reply, those that wait for a child
                                         * end, with -ECANCELED and *not executed*, and so do those that are added later; children
                                         * complete what they have (no limit) */
} ferry_batch_options;

/**
 * Called once all requests of a batch have ended, and their callbacks have returned.
 *
 * @param batch     the batch; it is freed after the callback has returned
 * @param userdata  as given to ferry_batch_then()
 */
typedef void ferry_batch_fn(ferry_batch *batch, void *userdata);

/**
 * Makes a batch: requests of a pool whose ends are counted together.
 *
 * It belongs to the manager, and is freed with it. Requests are added by the `batch` of ferry_request_options.
 *
 * @param manager  the manager
 * @param options  NULL selects all defaults
 * @return the batch; NULL if there is no memory, the options are wrong, the manager is NULL or belongs to another thread or process
 */
ferry_batch *ferry_batch_new(ferry_manager *manager, const ferry_batch_options *options);

/**
 * Forgets a batch. Its requests go on without it.
 *
 * @param batch  the batch; NULL is allowed
 * @return NULL
 */
ferry_batch *ferry_batch_free(ferry_batch *batch);

/**
 * Hands a batch over to the loop, which calls a function once all requests of the batch have ended, and then frees the batch.
 *
 * A callback of a request may add further requests, for which the batch waits, too. If there are no requests, the function is called
 * soon. If the batch was handed over already, the new function replaces the earlier one.
 *
 * @param batch     the batch; NULL is allowed: the function is called at once
 * @param fn        the callback; NULL: the batch is only freed at its end
 * @param userdata  for the callback
 */
void ferry_batch_then(ferry_batch *batch, ferry_batch_fn *fn, void *userdata);

/**
 * Runs the loop until all requests of a batch have ended.
 *
 * @param batch       the batch; NULL has failed with -ENOMEM
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return 0, also if requests have failed, see ferry_batch_failed(); or a negative errno, with a sentence of ferry_loop_error()
 * @retval -ETIMEDOUT  not all have ended within the time
 * @retval -EINVAL     the timeout is below -1
 * @retval -EDEADLK    waiting within waiting, 32 levels deep
 * @retval -ECANCELED  a callback has freed the batch, its manager or the loop
 * @retval -ENOMEM     the batch is NULL
 * @retval -EPERM      the batch belongs to another thread
 * @retval -ECHILD     the batch belongs to the parent of this process
 */
int ferry_batch_wait(ferry_batch *batch, int timeout_ms);

/**
 * Ends the requests of a batch that wait for a child, with -ECANCELED and *not executed*. Children complete what they have.
 *
 * Requests that are added later end in the same way.
 *
 * @param batch  the batch; NULL is allowed
 */
void ferry_batch_cancel(ferry_batch *batch);

/**
 * Returns how many requests of a batch have not ended.
 *
 * @param batch  the batch; NULL is allowed
 * @return the number of requests that wait or are in hand
 */
size_t ferry_batch_pending(const ferry_batch *batch);

/**
 * Returns how many requests of a batch have ended with a reply.
 *
 * @param batch  the batch; NULL is allowed
 * @return the number of requests
 */
size_t ferry_batch_done(const ferry_batch *batch);

/**
 * Returns how many requests of a batch have ended without a reply: by an error, a deadline, the end of a child, or because they were
 * cancelled or freed.
 *
 * @param batch  the batch; NULL is allowed
 * @return the number of requests
 */
size_t ferry_batch_failed(const ferry_batch *batch);

/**
 * Returns the children of a manager, one after the other.
 *
 * @param manager   the manager; NULL is allowed
 * @param previous  the child before; NULL selects the first one
 * @return the child that was made after @p previous; NULL after the last one
 */
ferry_process *ferry_manager_child(const ferry_manager *manager, const ferry_process *previous);

/**
 * Returns the sessions by which workers elsewhere are reached, see ferry_manager_connect(), one after the other.
 *
 * They belong to the manager; one that has ended is freed when ferry_manager_connect() is called again. Their handlers,
 * ferry_session_info() and ferry_session_error() are for the caller; a session that is closed takes no more requests of the
 * manager.
 *
 * @param manager   the manager; NULL is allowed
 * @param previous  the session before; NULL selects the first one
 * @return the session that was connected after @p previous; NULL after the last one, or if @p previous is none of them
 */
ferry_session *ferry_manager_session(const ferry_manager *manager, const ferry_session *previous);

/**
 * Returns how many children run.
 *
 * @param manager  the manager; NULL is allowed
 * @return the number of children that run
 */
unsigned ferry_manager_running(const ferry_manager *manager);

/**
 * Returns how many children may run at a time.
 *
 * @param manager  the manager; NULL is allowed
 * @return `running_max` of the options; 0: no limit
 */
unsigned ferry_manager_running_max(const ferry_manager *manager);

/**
 * Returns how many calls of ferry_process_fork() and ferry_process_spawn() wait until they may start a child.
 *
 * @param manager  the manager; NULL is allowed
 * @return the number of calls that wait
 */
unsigned ferry_manager_waiting(const ferry_manager *manager);

/**
 * Returns how many children the manager has sent SIGKILL, as they did not exit otherwise.
 *
 * @param manager  the manager; NULL is allowed
 * @return the number of children
 */
unsigned ferry_manager_killed(const ferry_manager *manager);

/**
 * Runs a function in a child.
 *
 * When the function returns, the child flushes stdout, stderr and its session, and ends by _exit(2). If `running_max` children
 * run, the call waits until one has ended.
 *
 * The process belongs to the manager, which keeps it after it has ended, too. A program that makes many processes frees them, or
 * hands them over by ferry_process_then(). A process that could not be started has failed: ferry_process_status() returns its
 * errno.
 *
 * @param manager   the manager
 * @param fn        the function
 * @param userdata  for the function
 * @param options   NULL selects all defaults
 * @return the process; NULL if the manager is NULL, belongs to another thread or process or was freed meanwhile, if a handler has
 * freed the process, or if there is no memory
 */
ferry_process *ferry_process_fork(ferry_manager *manager, ferry_child_fn *fn, void *userdata,
                                  const ferry_process_options *options);

/**
 * Runs a command in a child.
 *
 * The command is found by PATH. The child leads a process group of its own, and has no descriptors except those that the options
 * name. If `running_max` children run, the call waits until one has ended. A command that cannot be run is a process that has
 * failed, with the errno of execve(2): ferry_process_status() returns it.
 *
 * @param manager  the manager
 * @param argv     the command and its arguments, up to a NULL; copied
 * @param options  NULL selects all defaults
 * @return the process; NULL if the manager is NULL, belongs to another thread or process or was freed meanwhile, if a handler has
 * freed the process, or if there is no memory
 */
ferry_process *ferry_process_spawn(ferry_manager *manager, const char *const argv[],
                                   const ferry_process_options *options);

/**
 * Hands a process over to the loop, which calls a function at the end of the process, or soon if it has ended, and then frees it.
 *
 * If the process was handed over already, the new function replaces the earlier one.
 *
 * @param process   the process; NULL is allowed, and has failed: the function is called at once, with -ENOMEM
 * @param fn        the callback; NULL: the process is only freed at its end
 * @param userdata  for the callback
 */
void ferry_process_then(ferry_process *process, ferry_process_fn *fn, void *userdata);

/**
 * Forgets a process. A process that runs is stopped first, in the background.
 *
 * @param process  the process; NULL is allowed
 * @return NULL
 */
ferry_process *ferry_process_free(ferry_process *process);

/**
 * Returns the session to a process. A process that was started again has a new session.
 *
 * @param process  the process; NULL is allowed
 * @return the session; NULL if there is none
 */
ferry_session *ferry_process_session(const ferry_process *process);

/**
 * Returns the pid of a process.
 *
 * @param process  the process; NULL is allowed
 * @return the pid; -1 if it was never started
 */
pid_t ferry_process_pid(const ferry_process *process);

/**
 * Returns the state of a process: whether it runs, and why it could not be started.
 *
 * @param process  the process; NULL has failed with -ENOMEM
 * @return 1 while it runs, will be started again, or its end was not reported yet; 0 after it has ended, with any exit status
 * (ferry_process_exit_status()); or a negative errno: that of execve(2) or of a path, or one of these
 * @retval -ECHILD       its exit status is unknown, because SIGCHLD is ignored, another call has waited for it, or a sandbox
 *                       refuses waitid(2) and wait4(2)
 * @retval -EPERM        the process belongs to another thread; or it runs as another user, and cannot be killed
 * @retval -EINVAL       not started: an option of the process or its manager is wrong, or there is no command
 * @retval -E2BIG        not started: the options have a field that this version does not know, or the arguments are too long
 * @retval -ENOENT       not started: the command or the directory does not exist
 * @retval -ENOTDIR      not started: the directory, or a part of a path, is not a directory
 * @retval -ENXIO        not started: no process reads the FIFO at `stdout_path` or `stderr_path`
 * @retval -EACCES       not started: the command or a file must not be used
 * @retval -ENOEXEC      not started: the command is not a program
 * @retval -EBADF        not started: a descriptor of `fds` is not open
 * @retval -EAGAIN       not started: the limit of processes is reached
 * @retval -EMFILE       not started: no descriptor is left
 * @retval -ENFILE       not started: no descriptor is left in the whole system
 * @retval -ENOSYS       not started: the kernel does not have pidfd_open(2)
 * @retval -ESRCH        not started: it was gone before it could be watched, or its parent is not this process
 * @retval -EDEADLK      not started: waiting within waiting, 32 levels deep
 * @retval -ECANCELED    not started: the manager is being stopped or freed
 * @retval -ENOMEM       the process is NULL, or was not started for lack of memory
 */
int ferry_process_status(const ferry_process *process);

/**
 * Returns the exit status of a process. For a process that will be started again, it is that of its last child.
 *
 * @param process  the process; NULL has failed with -ENOMEM
 * @return its exit status, 0 to 255; FERRY_PROCESS_KILLED plus the signal that has killed it; or a negative errno
 * @retval -EINPROGRESS  the process runs
 * @retval -ECHILD       there is none: the process was never started, or its exit status is unknown; ferry_process_status() says
 *                       why
 * @retval -EPERM        the process belongs to another thread
 * @retval -ENOMEM       the process is NULL
 */
int ferry_process_exit_status(const ferry_process *process);

/**
 * Returns how a process has ended, as a phrase without a subject, for a sentence of the program.
 *
 * Such as "exited with status 3; its last words: 'no such file'", "was killed by SIGSEGV" or "was stopped by SIGTTIN". It is the
 * part of ferry_process_error() behind "the child".
 *
 * @param process  the process; NULL is allowed
 * @return the phrase, valid until the next one; "" for a process that was never started or no child of which has ended, and for
 * NULL
 */
const char *ferry_process_ending(const ferry_process *process);

/**
 * Returns a sentence about how a process has ended.
 *
 * The sentence has the last lines that the process wrote to stderr, if the program receives them: by `is_on_stdio` or `output`.
 * For a process that was started again it is about its last end.
 *
 * @param process  the process; NULL is allowed
 * @return the sentence, never NULL; valid until the next one
 */
const char *ferry_process_error(const ferry_process *process);

/**
 * Runs the loop until a process has ended.
 *
 * @param process     the process; NULL has failed with -ENOMEM
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return its exit status, FERRY_PROCESS_KILLED plus a signal, or a negative errno: that of ferry_process_status(), or one of
 * these. ferry_loop_error() has the sentence
 * @retval -ETIMEDOUT  the process has not ended within the time
 * @retval -EINVAL     the timeout is below -1
 * @retval -EDEADLK    waiting within waiting, 32 levels deep
 * @retval -ECANCELED  a callback has freed the process or the loop
 * @retval -ENOMEM     the process is NULL
 * @retval -EPERM      the process belongs to another thread
 * @retval -ECHILD     the process belongs to the parent of this process, or its status is unknown
 * @retval -ESRCH      the process was not started (ferry_process_status())
 */
int ferry_process_wait(ferry_process *process, int timeout_ms);

/**
 * Stops a process, as ferry_manager_stop(), and waits for it.
 *
 * @param process   the process; NULL has failed with -ENOMEM
 * @param grace_ms  how long it has to exit, in ms; -1: no signals are sent
 * @return its exit status, FERRY_PROCESS_KILLED plus a signal, or a negative errno: that of ferry_process_status(), or one of
 * these. ferry_loop_error() has the sentence
 * @retval -EINVAL     the grace is below -1
 * @retval -EDEADLK    waiting within waiting, 32 levels deep
 * @retval -ECANCELED  a callback has freed the process or the loop
 * @retval -ENOMEM     the process is NULL
 * @retval -EPERM      the process belongs to another thread
 * @retval -ECHILD     the process belongs to the parent of this process, or its status is unknown
 * @retval -ESRCH      the process was not started (ferry_process_status())
 */
int ferry_process_stop(ferry_process *process, int grace_ms);

/**
 * Sends a signal to a process.
 *
 * @param process  the process; NULL has failed with -ENOMEM
 * @param signal   the signal
 * @return 0, or a negative errno
 * @retval -ESRCH   the process has ended, or has died and was not started again yet
 * @retval -EINVAL  there is no such signal
 * @retval -EPERM   the process runs as another user, or belongs to another thread
 * @retval -ENOMEM  the process is NULL
 * @retval -ECHILD  the process belongs to the parent of this process
 */
int ferry_process_kill(ferry_process *process, int signal);

/**
 * Returns the child at the other end of a session.
 *
 * @param session  the session; NULL is allowed
 * @return the process; NULL if the peer is not a child of a manager
 */
ferry_process *ferry_session_process(const ferry_session *session);

FERRY_END

#endif
