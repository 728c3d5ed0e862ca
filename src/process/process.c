/* The life of a process. Invariants: its end is learnt from the kernel, never from the end of what it writes; it is told once,
 * after what it has still sent; whoever talks to it is told why it ended. */
#include "process/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
        RESTART_FIRST_MS = 10,
        RESTART_MAX_MS = 1000,
        KILL_AFTER_MS = 1000,   /* of one that was given no time */
        LATE_MS = 200,          /* for one that let a deadline pass to end what it has started */
};

bool process_has_ended(const ferry_process *process)
{
        return process->state == PROCESS_ENDED;
}

void process_update(ferry_process *process)
{
        ferry_manager *manager = process->manager;
        bool is_resting = !process->is_freed && process->state == PROCESS_RESTING;
        bool is_running = !process->is_freed && process->state == PROCESS_RUNNING;
        bool is_live = is_running || is_resting || (!process->is_freed && process->is_telling);
        bool is_serving = is_resting || (is_running && (!process->is_deserted || process->is_replaced));
        bool is_idle = is_running && pool_is_idle(process);

        if (is_live != process->is_live)
                manager->live += is_live ? 1 : (size_t)-1;
        /* A loop that is run has something to wait for as long as one of them runs. */
        loop_count_live(manager->loop, &process->is_live, is_live);
        if (is_serving != process->is_serving)
                manager->serving += is_serving ? 1 : (size_t)-1;
        process->is_serving = is_serving;
        if (!is_idle)
                list_remove(&process->idle);
        else if (list_is_empty(&process->idle))
                list_append(&manager->idle, &process->idle);
}

/* Its end ---------------------------------------------------------------------------------------------- */

/* How it has ended, in words, with its last ones; and as a result. */
static void describe_end(ferry_process *process, char *text, size_t size)
{
        const struct child *child = &process->child;
        char words[CAPTURED_WORDS_MAX] = "";
        int length;

        process->result = child->status < 0 ? -ECHILD : child->is_killed ? FERRY_PROCESS_KILLED + child->status : child->status;
        length = snprintf(text, size, "the child ");
        child_describe(child, text + length, size - (size_t)length);
        if (process->result != 0)
                captured_describe(&process->outputs[1].captured, words, sizeof words);
        snprintf(text + strlen(text), size - strlen(text), "%s", words);
}

static void rest(ferry_process *process)
{
        process->state = PROCESS_RESTING;
        if (!process->is_recycled)
                process->restart_ms = process->restart_ms ? process->restart_ms * 2 : RESTART_FIRST_MS;
        if (process->restart_ms > RESTART_MAX_MS)
                process->restart_ms = RESTART_MAX_MS;
        loop_timer_start(process->manager->loop, &process->restart, loop_deadline(process->restart_ms));
        process_update(process);
}

static void deliver(ferry_process *process)
{
        ferry_process_fn *fn = process->fn;

        process->fn = NULL;
        process->is_telling = false;
        process->is_forgotten = process->is_forgotten || process->is_given;
        process_update(process);
        if (fn)
                fn(process, process->result, process->userdata);
        if (process->is_forgotten)
                process_free(process);
}

/* It is over, or cannot even begin. */
static void be_over(ferry_process *process)
{
        ferry_manager *manager = process->manager;

        process->state = PROCESS_ENDED;
        manager_give_number_back(process);
        loop_enter(manager->loop);
        process_update(process);
        if (manager->serving == 0)
                pool_refuse(manager);
        manager_tell(process, FERRY_PROCESS_ENDED);
        if (!process->is_freed)
                deliver(process);
        loop_leave(manager->loop);
}

static bool may_start_again(const ferry_process *process)
{
        const ferry_manager *manager = process->manager;

        return process->spec.options.is_restarted && !manager->is_stopping && !manager_is_told_to_end(manager) &&
               !process->is_forgotten && (!process->is_stopping || process->is_replaced);
}

/* Ends are told in their order. */
static void tell_next(ferry_manager *manager)
{
        ferry_process *process = list_first(&manager->ending, ferry_process, ending);

        if (process && process->is_heard_out)
                loop_task_start(manager->loop, &process->end_task);
}

/* The end of a process is told behind that of its session, and of the calls to it. */
static void hear_out(ferry_process *process)
{
        process->is_heard_out = true;
        loop_timer_stop(process->manager->loop, &process->linger);
        tell_next(process->manager);
}

static void begin_ending(ferry_process *process)
{
        process->is_heard_out = !process->session || session_has_reported_end(process->session);
        /* Not every program reads all that it was sent. */
        if (!process->is_heard_out)
                loop_timer_start(process->manager->loop, &process->linger, loop_deadline(STREAM_LINGER_MS));
        tell_next(process->manager);
}

/* What it has sent before it ended is handled first, if anybody handles it. */
static void tell_end(struct loop_task *task)
{
        ferry_process *process = container_of(task, ferry_process, end_task);
        ferry_manager *manager = process->manager;
        ferry_session *session = process->session;

        if (process->state == PROCESS_ENDED) {
                deliver(process);
                return;
        }
        if (process->state == PROCESS_RESTING) {
                be_over(process);
                return;
        }
        if (session && session_has_work(session)) {
                loop_task_start(manager->loop, task);
                return;
        }
        process->has_child_left = false;
        list_remove(&process->ending);
        tell_next(manager);
        manager->running--;
        child_deinit(&process->child);
        if (!may_start_again(process)) {
                be_over(process);
                return;
        }
        rest(process);
        loop_enter(manager->loop);
        manager_tell(process, FERRY_PROCESS_DIED);
        loop_leave(manager->loop);
}

/* What it has still written is handed over. A callback may wait for its end: then this goes on within that, and is done when
 * it comes back here. */
static void take_leave(struct loop_task *task)
{
        ferry_process *process = container_of(task, ferry_process, end_task);
        char sentence[CAPTURED_WORDS_MAX + 128];

        loop_task_start(process->manager->loop, task);
        for (int i = 0; i < 2 && !process->is_freed; i++)
                captured_drain(&process->outputs[i].captured);
        if (process->is_freed || task->fn != take_leave)
                return;
        loop_task_stop(task);
        task->fn = tell_end;
        for (int i = 0; i < 2; i++)
                captured_close(&process->outputs[i].captured, false);
        if (process->child.has_ended)
                describe_end(process, sentence, sizeof sentence);
        else
                snprintf(sentence, sizeof sentence, "cannot kill the child: %s", error_describe(process->result));
        error_replace(&process->error, process->result, "%s", sentence);
        /* It is told as the end of the process, whoever asks: a loop that runs goes on. */
        if (process->session)
                session_child_ended(process->session, process->result == 0 ? 0 : -ECONNRESET, sentence);
        if (!process->is_freed)
                begin_ending(process);
}

/* There is no child any more, or none of ours. */
static void lose_child(ferry_process *process)
{
        process->has_child_left = true;
        process->is_heard_out = false;
        list_append(&process->manager->ending, &process->ending);
        process_update(process);
        process->end_task.fn = take_leave;
        loop_task_start(process->manager->loop, &process->end_task);
}

static void child_ended(struct child *child)
{
        ferry_process *process = container_of(child, ferry_process, child);

        if (child->stage == CHILD_KILLED)
                process->manager->killed++;
        lose_child(process);
}

/* Nobody can wait for the end of a child that has become another user's. */
static void child_lost(struct child *child, int error)
{
        ferry_process *process = container_of(child, ferry_process, child);

        process->result = error;
        lose_child(process);
}

const struct child_owner process_child_owner = { .ended = child_ended, .lost = child_lost };

/* Beginning -------------------------------------------------------------------------------------------- */

/* That of a process that was started before is its last one's. */
static void forget_session(ferry_process *process)
{
        ferry_session *session = process->session;

        if (!session)
                return;
        process->session = NULL;
        session_set_owner(session, NULL, NULL);
        if (loop_is_foreign(process->manager->loop))
                session_free(session);
        else
                ferry_session_free(session);
}

static void fail(ferry_process *process, int code, const char *sentence)
{
        process->result = code;
        error_replace(&process->error, code, "%s", sentence);
        error_set(&process->manager->start_error, code, "%s", sentence);
        be_over(process);
}

/* There may be more of it later: memory, descriptors, processes; or whoever writes the program has done so. */
static bool is_shortage(int code)
{
        return code == -EAGAIN || code == -ENOMEM || code == -EMFILE || code == -ENFILE || code == -ENOBUFS ||
               code == -ETXTBSY;
}

static int64_t nanoseconds(int ms)
{
        return ms < 0 ? INT64_MAX : (int64_t)ms * 1000000;
}

static void begin_replacing(ferry_process *process, int after_ms)
{
        process->is_replaced = true;
        process->is_stopping = true;
        process->grace_ms = KILL_AFTER_MS;
        child_stop(&process->child, nanoseconds(after_ms), nanoseconds(KILL_AFTER_MS));
}

/* A child that is started again has its time to end, and is replaced. */
void process_lose_session(ferry_process *process)
{
        if (process->is_freed || process->state != PROCESS_RUNNING || process->has_child_left)
                return;
        process->is_deserted = true;
        if (process->spec.options.is_restarted && !process->is_stopping)
                begin_replacing(process, KILL_AFTER_MS);
        process_update(process);
}

static void session_ended(ferry_session *session)
{
        ferry_process *process = process_of(session);

        if (process->is_freed || process->state != PROCESS_RUNNING)
                return;
        if (process->has_child_left) {
                hear_out(process);
                return;
        }
        process_lose_session(process);
        if (process->manager->serving == 0)
                pool_refuse(process->manager);
}

static void session_freed(ferry_session *session)
{
        process_of(session)->session = NULL;
}

const struct session_owner process_session_owner = {
        .ended = session_ended, .answered = pool_worker_answered, .freed = session_freed,
};

ferry_process *process_of(const ferry_session *session)
{
        return session_owner_object(session, &process_session_owner);
}

static void start(ferry_process *process)
{
        struct error error = { 0 };
        bool is_first = process->pid < 0;
        int code;

        forget_session(process);
        process->is_stopping = false;
        process->is_deserted = process->is_replaced = process->is_recycled = process->is_stopped = false;
        process->answers = 0;
        code = process_start(process, &error);
        if (!code) {
                process->manager->running++;
                process->result = -EINPROGRESS;
                process->is_overdue = false;
                process_update(process);
                manager_tell(process, FERRY_PROCESS_STARTED);
                if (!process->is_freed)
                        pool_feed(process->manager);
        } else if (!is_first && is_shortage(code) && may_start_again(process)) {
                process->result = code;
                error_replace(&process->error, code, "%s", error_text(&error));
                rest(process);
        } else
                fail(process, code, error_text(&error));
        error_deinit(&error);
}

static void start_again(struct loop_timer *timer)
{
        start(container_of(timer, ferry_process, restart));
}

static bool may_start(void *object)
{
        const ferry_manager *manager = object;

        return manager->is_freed || manager->is_stopping || manager->live < manager->options.running_max;
}

/* While as many run as may, wait. */
static int wait_for_place(ferry_manager *manager)
{
        int code;

        if (!manager->options.running_max || may_start(manager))
                return 0;
        manager->waiting++;
        code = loop_wait(manager->loop, INT64_MAX, may_start, manager, &manager->grave);
        manager->waiting--;
        return manager->is_freed ? -ECANCELED : code;
}

static void linger_is_over(struct loop_timer *timer)
{
        hear_out(container_of(timer, ferry_process, linger));
}

static ferry_process *process_new(ferry_manager *manager)
{
        ferry_process *process = sys_alloc_zeroed(sizeof *process);

        if (!process)
                return NULL;
        process->manager = manager;
        process->pid = process->number = -1;
        process->result = -EINPROGRESS;
        process->child.pidfd = -1;
        for (int i = 0; i < 2; i++)
                process->outputs[i].captured.endpoint = (struct endpoint){ .fd = -1, .io = -1 };
        process->end_task.fn = tell_end;
        process->linger.fn = linger_is_over;
        process->restart.fn = start_again;
        list_init(&process->link);
        list_init(&process->untold);
        list_init(&process->ending);
        list_init(&process->idle);
        list_append(&manager->processes, &process->link);
        return process;
}

/* What cannot be done for this child is refused, rather than passed over. 0, or -EINVAL. */
static int check_options(const struct process_spec *spec, const char *const argv[], struct error *error)
{
        const ferry_process_options *options = &spec->options;

        if (argv ? !argv[0] : !spec->fn)
                return -EINVAL;
        if (spec->fn && (options->env || options->fds || options->is_on_stdio || options->is_restarted))
                return error_set(error, -EINVAL, "env, fds, is_on_stdio and is_restarted are for a command, not for a function");
        if (options->death_signal < 0 || options->death_signal >= NSIG)
                return error_set(error, -EINVAL, "%d is not a signal that a child can receive", options->death_signal);
        if (options->is_on_stdio && (options->input || options->stdout_path))
                return error_set(error, -EINVAL, "stdin and stdout of a child are its session, and cannot be input and "
                                 "stdout_path, too");
        return process_check_recycling(options, error);
}

static ferry_process *create(ferry_manager *manager, const char *const argv[], ferry_child_fn *fn, void *userdata,
                             const ferry_process_options *options)
{
        struct error error = { 0 };
        ferry_process *process;
        ferry_loop *loop;
        int code;

        if (!manager)
                return NULL;
        loop = manager->loop;
        if (loop_refuse(loop))
                return NULL;
        loop_enter(loop);
        code = wait_for_place(manager);
        /* Who starts another whenever one ends would never let them end. */
        if (!code && (manager->is_stopping || loop->is_ending))
                code = -ECANCELED;
        process = manager->is_freed ? NULL : process_new(manager);
        if (process) {
                process->spec.fn = fn;
                process->spec.fn_userdata = userdata;
                if (!code && manager->options_error.code)
                        code = error_set(&error, manager->options_error.code, "%s", error_text(&manager->options_error));
                if (!code)
                        code = process_copy_spec(process, argv, options, &error);
                if (!code)
                        code = check_options(&process->spec, argv, &error);
                if (!code) {
                        process->number = manager_take_number(manager);
                        code = process->number < 0 ? process->number : 0;
                }
                if (!code)
                        start(process);
                else {
                        error_set(&error, code, "cannot start a child: %s", error_describe(code));
                        fail(process, code, error_text(&error));
                        error_deinit(&error);
                }
        }
        /* Who was told of it has let go of it. */
        if (process && (process->is_freed || process->is_forgotten))
                process = NULL;
        loop_leave(loop);
        return process;
}

ferry_process *ferry_process_fork(ferry_manager *manager, ferry_child_fn *fn, void *userdata,
                                  const ferry_process_options *options)
{
        return create(manager, NULL, fn, userdata, options);
}

ferry_process *ferry_process_spawn(ferry_manager *manager, const char *const argv[], const ferry_process_options *options)
{
        return create(manager, argv ? argv : (const char *const[]){ NULL }, NULL, NULL, options);
}

/* Stopping --------------------------------------------------------------------------------------------- */

void process_begin_stop(ferry_process *process, int grace_ms)
{
        ferry_loop *loop = process->manager->loop;
        int term_ms = grace_ms;
        bool is_shorter;

        if (process->state == PROCESS_RESTING) {
                /* Not now: who is told of it may let go of others, over which somebody goes here. */
                loop_timer_stop(loop, &process->restart);
                loop_task_start(loop, &process->end_task);
                return;
        }
        if (process->state != PROCESS_RUNNING)
                return;
        /* Whoever gives it less time is right. */
        is_shorter = process->is_stopping && process->child.stage <= CHILD_ASKED &&
                     (grace_ms < 0 ? !process->is_replaced || process->is_overdue :
                                     process->grace_ms >= 0 && process->grace_ms <= grace_ms);
        process->is_replaced = false;
        if (is_shorter) {
                process_update(process);
                return;
        }
        if (process->child.stage > CHILD_ASKED || process->has_child_left) {
                process->is_stopping = true;
                process_update(process);
                return;
        }
        /* A child that let its deadline pass may never end by itself. */
        if (grace_ms < 0 && process->is_overdue) {
                term_ms = LATE_MS;
                grace_ms = KILL_AFTER_MS;
        }
        process->is_stopping = true;
        process->grace_ms = grace_ms;
        process_update(process);
        ferry_session_close(process->session);
        child_stop(&process->child, nanoseconds(term_ms), nanoseconds(grace_ms));
}

static void replace(ferry_process *process, int after_ms)
{
        if (process->state != PROCESS_RUNNING || process->has_child_left || process->is_stopping)
                return;
        begin_replacing(process, after_ms);
        ferry_session_close(process->session);
}

void process_replace(ferry_process *process)
{
        process->is_overdue = true;
        replace(process, LATE_MS);
}

void process_recycle(ferry_process *process)
{
        process->is_recycled = true;
        replace(process, KILL_AFTER_MS);
}

static bool is_over(void *object)
{
        const ferry_process *process = object;

        return process->is_freed || process_has_ended(process);
}

static int wait_for(ferry_process *process, int timeout_ms)
{
        ferry_loop *loop = process->manager->loop;
        int code, result;

        code = loop_refuse(loop);
        if (code)
                return code;
        if (timeout_ms < -1)
                return loop_refuse_timeout(loop, timeout_ms);
        loop_enter(loop);
        code = loop_wait(loop, loop_deadline(timeout_ms), is_over, process, &process->grave);
        result = process->is_freed ? -ECANCELED : ferry_process_result(process);
        /* Whoever waits again and again must not do so for nothing. */
        if (code < 0 && code != -ETIMEDOUT && result == -EINPROGRESS)
                result = error_replace(&loop->error, code, "cannot wait for a child: %s", error_describe(code));
        loop_leave(loop);
        return result;
}

int ferry_process_wait(ferry_process *process, int timeout_ms)
{
        return process ? wait_for(process, timeout_ms) : -ENOMEM;
}

int ferry_process_stop(ferry_process *process, int grace_ms)
{
        ferry_loop *loop;
        int code;

        if (!process)
                return -ENOMEM;
        code = loop_refuse(process->manager->loop);
        if (code)
                return code;
        if (grace_ms < -1)
                return loop_refuse_timeout(process->manager->loop, grace_ms);
        loop = process->manager->loop;
        loop_enter(loop);
        process_begin_stop(process, grace_ms);
        code = process->is_freed ? -ECANCELED : wait_for(process, -1);
        loop_leave(loop);
        return code;
}

int ferry_process_kill(ferry_process *process, int signal)
{
        int code;

        if (!process)
                return -ENOMEM;
        code = loop_refuse(process->manager->loop);
        if (code)
                return code;
        if (process->state != PROCESS_RUNNING || process->has_child_left)
                return -ESRCH;
        return child_signal(&process->child, signal);
}

/* The end of the object -------------------------------------------------------------------------------- */

static void bury(struct loop_grave *grave)
{
        ferry_process *process = container_of(grave, ferry_process, grave);

        process_free_spec(process);
        error_deinit(&process->error);
        sys_free(process);
}

void process_free(ferry_process *process)
{
        ferry_loop *loop = process->manager->loop;
        bool is_foreign = loop_is_foreign(loop);

        if (process->is_freed)
                return;
        process->is_freed = true;
        manager_give_number_back(process);
        list_remove(&process->link);
        list_remove(&process->untold);
        list_remove(&process->ending);
        loop_timer_stop(loop, &process->linger);
        loop_timer_stop(loop, &process->restart);
        loop_task_stop(&process->end_task);
        for (int i = 0; i < 2; i++)
                captured_close(&process->outputs[i].captured, is_foreign);
        forget_session(process);
        if (process->state == PROCESS_RUNNING)
                process->manager->running--;
        child_deinit(&process->child);
        process_update(process);
        if (!is_foreign)
                tell_next(process->manager);
        loop_bury(loop, &process->grave, bury);
}

ferry_process *ferry_process_free(ferry_process *process)
{
        ferry_loop *loop;

        if (!process || loop_is_elsewhere(process->manager->loop) || process->is_freed || process->is_forgotten)
                return NULL;
        if (loop_is_foreign(process->manager->loop) || process_has_ended(process)) {
                process_free(process);
                return NULL;
        }
        process->is_forgotten = true;
        process->fn = NULL;
        loop = process->manager->loop;
        loop_enter(loop);
        process_begin_stop(process, KILL_AFTER_MS);
        loop_leave(loop);
        return NULL;
}

void ferry_process_then(ferry_process *process, ferry_process_fn *fn, void *userdata)
{
        if (!process) {
                if (fn)
                        fn(NULL, -ENOMEM, userdata);
                return;
        }
        if (loop_refuse(process->manager->loop) || process->is_forgotten)
                return;
        /* One that starts another whenever one fails would never let the loop go. */
        if (process_has_ended(process) && process->manager->loop->is_ending) {
                ferry_process_free(process);
                return;
        }
        process->is_given = true;
        process->fn = fn;
        process->userdata = userdata;
        if (!process_has_ended(process))
                return;
        process->is_telling = true;
        process_update(process);
        loop_task_start(process->manager->loop, &process->end_task);
}

/* Questions -------------------------------------------------------------------------------------------- */

ferry_session *ferry_process_session(const ferry_process *process)
{
        return process && !loop_is_elsewhere(process->manager->loop) ? process->session : NULL;
}

pid_t ferry_process_pid(const ferry_process *process)
{
        return process && !loop_is_elsewhere(process->manager->loop) ? process->pid : -1;
}

int ferry_process_result(const ferry_process *process)
{
        return !process ? -ENOMEM : loop_is_elsewhere(process->manager->loop) ? -EPERM : process->state == PROCESS_RESTING ? -EINPROGRESS : process->result;
}

const char *ferry_process_error(const ferry_process *process)
{
        return !process ? "the process is NULL: its manager is NULL or belongs to another thread, or no memory was left for it" : loop_is_elsewhere(process->manager->loop) ? loop_elsewhere :
               error_text(&process->error);
}

ferry_process *ferry_session_process(const ferry_session *session)
{
        return session && !loop_is_elsewhere(session_loop(session)) ? process_of(session) : NULL;
}
