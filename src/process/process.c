/* The life of a process. Invariants: its end is learnt from the kernel, never from the end of what it writes; it is reported
 * once, after what it has still sent; its calls and its session end with the reason of its end.
 *
 *      STARTING ──→ RUNNING ──→ STOPPING
 *         │         ↑  │           │
 *         │         │  ↓           ↓
 *         │         │  EXITED ←────┘
 *         │         │  │    │
 *         │     RESTING ←   │
 *         ↓         ↓       ↓
 *         └──────→ ENDED ←──┘
 *
 * EXITED goes in steps: the last output is read, then the end of the session is awaited, then it is reported in its turn. A
 * process that rests ends if it is stopped, or cannot be started again. */
#include "process/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
        PAUSE_FIRST_MS = 10,
        PAUSE_MAX_MS = 1000,
        KILL_AFTER_MS = 1000,   /* of a process that was given no time */
        LATE_MS = 200,          /* for a process that let a deadline pass to end what it has started */
};

static void set_phase(ferry_process *process, enum process_phase phase)
{
        enum process_phase before = process->phase;

        process->phase = phase;
        process->owner->changed(process, before);
}

static void report_change(ferry_process *process)
{
        process->owner->changed(process, process->phase);
}

/* Its end ---------------------------------------------------------------------------------------------- */

/* What is reported of the end: its exit status, or why there is none. */
static int result_of(const ferry_process *process)
{
        return process->failure ? process->failure : process->exit_status;
}

/* Whether the end is known, and the process will not be started again. */
static bool has_result(const ferry_process *process)
{
        return process->phase == PROCESS_ENDED || (process->phase == PROCESS_EXITED && process->step != STEP_OUTPUT);
}

/* How it has ended, as a sentence with the last words of its stderr, and as an exit status. */
static void describe_end(ferry_process *process, char *text, size_t size)
{
        const struct child *child = &process->child;
        char words[CAPTURED_WORDS_MAX] = "", note[sizeof process->note->sentence] = "";
        int length;

        process->failure = child->status < 0 ? -ECHILD : 0;
        process->exit_status = child->status < 0 ? -1 : child->is_killed ? FERRY_PROCESS_KILLED + child->status : child->status;
        length = snprintf(text, size, "%s", child_subject);
        child_describe(child, text + length, size - (size_t)length);
        if (process->exit_status != 0)
                captured_describe(&process->outputs[1].captured, words, sizeof words);
        if (process->exit_status > 0 && process->note)
                snprintf(note, sizeof note, "%.*s", (int)sizeof note - 1, process->note->sentence);
        process_drop_note(process);
        snprintf(text + strlen(text), size - strlen(text), "%s%s%s", *note ? ": " : "", note, words);
}

static void rest(ferry_process *process)
{
        if (process->reason != REASON_RECYCLED)
                process->pause_ms = process->pause_ms ? process->pause_ms * 2 : PAUSE_FIRST_MS;
        if (process->pause_ms > PAUSE_MAX_MS)
                process->pause_ms = PAUSE_MAX_MS;
        loop_timer_start(process->loop, &process->timer, loop_deadline(process->pause_ms));
        set_phase(process, PROCESS_RESTING);
}

static void call_back(ferry_process *process)
{
        ferry_process_fn *fn = process->fn;

        process->fn = NULL;
        process->is_calling = false;
        if (process->holder == HOLDER_LOOP)
                process->holder = HOLDER_NONE;
        report_change(process);
        if (fn)
                fn(process, result_of(process), process->userdata);
        if (process->holder == HOLDER_NONE)
                process_free(process);
}

static void end(ferry_process *process)
{
        loop_enter(process->loop);
        set_phase(process, PROCESS_ENDED);
        process->owner->happened(process, FERRY_PROCESS_ENDED);
        if (!process_is_freed(process))
                call_back(process);
        loop_leave(process->loop);
}

static bool may_restart(const ferry_process *process)
{
        return process->spec.options.is_restarted && process->reason != REASON_STOPPED && process->holder < HOLDER_NONE &&
               process->owner->may_restart(process);
}

static void be_ready(ferry_process *process)
{
        process->step = STEP_REPORT;
        loop_timer_stop(process->loop, &process->timer);
        process->owner->ready(process);
}

/* The end of a process is reported behind that of its session, and of the calls to it. Not every program reads all that it was
 * sent, so this is not awaited for ever. */
static void await_session(ferry_process *process)
{
        if (!process->session || session_has_reported_end(process->session))
                be_ready(process);
        else
                loop_timer_start(process->loop, &process->timer, loop_deadline(STREAM_LINGER_MS));
}

/* A callback may wait for the end: then this goes on within that wait, and is done when it returns here. */
static void drain_output(ferry_process *process)
{
        char sentence[CAPTURED_WORDS_MAX + sizeof process->note->sentence + 128];

        loop_task_start(process->loop, &process->task);
        for (int i = 0; i < 2 && !process_is_freed(process); i++)
                captured_drain(&process->outputs[i].captured);
        if (process_is_freed(process) || process->phase != PROCESS_EXITED || process->step != STEP_OUTPUT)
                return;
        loop_task_stop(&process->task);
        process->step = STEP_MESSAGES;
        for (int i = 0; i < 2; i++)
                captured_close(&process->outputs[i].captured, false);
        if (process->child.has_ended)
                describe_end(process, sentence, sizeof sentence);
        else
                snprintf(sentence, sizeof sentence, "cannot kill the child: %s", error_describe(process->failure));
        error_replace(&process->error, process->failure, "%s", sentence);
        /* It is reported as the end of the process: a loop that runs goes on. */
        if (process->session)
                session_child_ended(process->session, result_of(process) == 0 ? 0 : -ECONNRESET, process->exit_status, sentence);
        if (!process_is_freed(process) && process->phase == PROCESS_EXITED && process->step == STEP_MESSAGES)
                await_session(process);
}

/* What it has sent before it ended is handled first, if that is handled at all. */
static void leave_exited(ferry_process *process)
{
        if (process->session && session_has_work(process->session)) {
                loop_task_start(process->loop, &process->task);
                return;
        }
        child_deinit(&process->child);
        if (!may_restart(process)) {
                end(process);
                return;
        }
        rest(process);
        loop_enter(process->loop);
        process->owner->happened(process, FERRY_PROCESS_DIED);
        loop_leave(process->loop);
}

static void take_next_step(struct loop_task *task)
{
        ferry_process *process = container_of(task, ferry_process, task);

        if (process->phase == PROCESS_ENDED)
                call_back(process);
        else if (process->phase == PROCESS_RESTING)
                end(process);
        else if (process->phase == PROCESS_EXITED && process->step == STEP_OUTPUT)
                drain_output(process);
        else if (process->phase == PROCESS_EXITED)
                leave_exited(process);
}

void process_report(ferry_process *process)
{
        loop_task_start(process->loop, &process->task);
}

static void begin_exited(ferry_process *process)
{
        process->step = STEP_OUTPUT;
        set_phase(process, PROCESS_EXITED);
        loop_task_start(process->loop, &process->task);
}

static void child_ended(struct child *child)
{
        begin_exited(container_of(child, ferry_process, child));
}

/* The end of a child that has become another user's cannot be awaited. */
static void child_lost(struct child *child, int error)
{
        ferry_process *process = container_of(child, ferry_process, child);

        process->failure = error;
        begin_exited(process);
}

static const struct child_owner child_owner = { .ended = child_ended, .lost = child_lost };

/* Beginning -------------------------------------------------------------------------------------------- */

/* That of a process that was started before is its last one's. */
static void forget_session(ferry_process *process)
{
        ferry_session *session = process->session;

        if (!session)
                return;
        process->session = NULL;
        session_set_owner(session, NULL, NULL);
        if (loop_is_foreign(process->loop))
                session_free(session);
        else
                ferry_session_free(session);
}

void process_fail(ferry_process *process, int code, const char *sentence)
{
        process->failure = code;
        error_replace(&process->error, code, "%s", sentence);
        process->owner->failed(process, code, sentence);
        end(process);
}

/* There may be more of it later: memory, descriptors, processes; or the program is being written. */
static bool is_shortage(int code)
{
        return code == -EAGAIN || code == -ENOMEM || code == -EMFILE || code == -ENFILE || code == -ENOBUFS ||
               code == -ETXTBSY;
}

static int64_t nanoseconds(int ms)
{
        return ms < 0 ? INT64_MAX : (int64_t)ms * 1000000;
}

/* It has @after_ms to end by itself. */
static void begin_replacing(ferry_process *process, enum process_reason reason, int after_ms)
{
        process->reason = reason;
        process->grace_ms = KILL_AFTER_MS;
        set_phase(process, PROCESS_STOPPING);
        child_stop(&process->child, nanoseconds(after_ms), nanoseconds(KILL_AFTER_MS));
}

void process_disconnect(ferry_process *process)
{
        if (process_is_freed(process) || (process->phase != PROCESS_RUNNING && process->phase != PROCESS_STOPPING))
                return;
        if (process->spec.options.is_restarted && process->phase == PROCESS_RUNNING)
                begin_replacing(process, REASON_REPLACED, KILL_AFTER_MS);
        process->owner->disconnected(process);
}

static void session_ended(void *object)
{
        ferry_process *process = object;

        if (process->phase == PROCESS_EXITED && process->step == STEP_MESSAGES)
                be_ready(process);
        else
                process_disconnect(process);
}

static void session_answered(void *object)
{
        ferry_process *process = object;

        process->owner->answered(process);
}

static void session_freed(void *object)
{
        ferry_process *process = object;

        process->session = NULL;
}

static const struct session_owner session_owner = {
        .ended = session_ended, .answered = session_answered, .freed = session_freed,
};

static ferry_process *process_of(const ferry_session *session)
{
        return session_owner_object(session, &session_owner);
}

void process_start(ferry_process *process)
{
        struct error error = { 0 };
        bool is_first = process->phase == PROCESS_STARTING;
        int code;

        forget_session(process);
        process->reason = REASON_NONE;
        code = process_spawn(process, &child_owner, &session_owner, &error);
        if (!code) {
                process->failure = 0;
                process->exit_status = -1;
                set_phase(process, PROCESS_RUNNING);
                process->owner->happened(process, FERRY_PROCESS_STARTED);
        } else if (!is_first && is_shortage(code) && may_restart(process)) {
                process->failure = code;
                error_replace(&process->error, code, "%s", error_text(&error));
                rest(process);
        } else
                process_fail(process, code, error_text(&error));
        error_deinit(&error);
}

static void time_is_over(struct loop_timer *timer)
{
        ferry_process *process = container_of(timer, ferry_process, timer);

        if (process->phase == PROCESS_RESTING)
                process_start(process);
        else
                be_ready(process);
}

void process_init(ferry_process *process, ferry_loop *loop, const struct process_owner *owner)
{
        process->loop = loop;
        process->owner = owner;
        process->pid = process->number = -1;
        process->exit_status = -1;
        process->child.pidfd = -1;
        for (int i = 0; i < 2; i++)
                process->outputs[i].captured.endpoint = (struct endpoint){ .fd = -1, .io = -1 };
        process->task.fn = take_next_step;
        process->timer.fn = time_is_over;
}

int process_check_spec(const ferry_process *process, struct error *error)
{
        const struct process_spec *spec = &process->spec;
        const ferry_process_options *options = &spec->options;

        if (spec->argv ? !spec->argv[0] : !spec->fn)
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

/* Stopping --------------------------------------------------------------------------------------------- */

void process_stop(ferry_process *process, int grace_ms)
{
        bool is_stuck = process->owner->is_stuck(process), is_shorter;
        int term_ms = grace_ms;

        if (process->phase == PROCESS_RESTING) {
                /* Not now: a handler that hears of it may free other processes, and the caller may stand at one of them. */
                loop_timer_stop(process->loop, &process->timer);
                loop_task_start(process->loop, &process->task);
                return;
        }
        if (!process_is_active(process))
                return;
        /* The shortest time counts. */
        is_shorter = process->phase == PROCESS_STOPPING &&
                     (grace_ms < 0 ? process->reason == REASON_STOPPED || is_stuck :
                                     process->grace_ms >= 0 && process->grace_ms <= grace_ms);
        process->reason = REASON_STOPPED;
        if (is_shorter || process->child.stage > CHILD_ASKED || process->phase == PROCESS_EXITED) {
                report_change(process);
                return;
        }
        if (grace_ms < 0 && is_stuck) {
                term_ms = LATE_MS;
                grace_ms = KILL_AFTER_MS;
        }
        process->grace_ms = grace_ms;
        set_phase(process, PROCESS_STOPPING);
        ferry_session_close(process->session);
        child_stop(&process->child, nanoseconds(term_ms), nanoseconds(grace_ms));
}

void process_replace(ferry_process *process)
{
        if (process_is_freed(process) || process->phase != PROCESS_RUNNING)
                return;
        begin_replacing(process, REASON_REPLACED, LATE_MS);
        ferry_session_close(process->session);
}

void process_recycle(ferry_process *process)
{
        if (process_is_freed(process))
                return;
        if (process->phase == PROCESS_RUNNING) {
                begin_replacing(process, REASON_RECYCLED, KILL_AFTER_MS);
                ferry_session_close(process->session);
        } else if (process->reason != REASON_STOPPED)
                process->reason = REASON_RECYCLED;
}

void process_reset_pause(ferry_process *process)
{
        process->pause_ms = 0;
}

static bool is_over(void *object)
{
        const ferry_process *process = object;

        return process_is_freed(process) || process->phase == PROCESS_ENDED;
}

static int wait_for(ferry_process *process, int timeout_ms)
{
        ferry_loop *loop = process->loop;
        int code, result;

        code = loop_refuse(loop);
        if (code)
                return code;
        if (timeout_ms < -1)
                return loop_refuse_timeout(loop, timeout_ms);
        loop_enter(loop);
        code = loop_wait(loop, loop_deadline(timeout_ms), is_over, process, &process->grave);
        if (process_is_freed(process))
                result = -ECANCELED;
        else if (has_result(process))
                result = result_of(process);
        else if (code == -ETIMEDOUT)
                result = error_replace(&loop->error, code, "the child has not ended within %g s", timeout_ms / 1000.0);
        else
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
        code = loop_refuse(process->loop);
        if (code)
                return code;
        if (grace_ms < -1)
                return loop_refuse_timeout(process->loop, grace_ms);
        loop = process->loop;
        loop_enter(loop);
        process_stop(process, grace_ms);
        code = process_is_freed(process) ? -ECANCELED : wait_for(process, -1);
        loop_leave(loop);
        return code;
}

int ferry_process_kill(ferry_process *process, int signal)
{
        int code;

        if (!process)
                return -ENOMEM;
        code = loop_refuse(process->loop);
        if (code)
                return code;
        if (process->phase != PROCESS_RUNNING && process->phase != PROCESS_STOPPING)
                return -ESRCH;
        return child_signal(&process->child, signal);
}

/* The end of the object -------------------------------------------------------------------------------- */

static void bury(struct loop_grave *grave)
{
        ferry_process *process = container_of(grave, ferry_process, grave);

        process_free_spec(process);
        error_deinit(&process->error);
        process->owner->free(process);
}

void process_free(ferry_process *process)
{
        ferry_loop *loop = process->loop;
        bool is_foreign = loop_is_foreign(loop);

        if (process_is_freed(process))
                return;
        process->holder = HOLDER_FREED;
        loop_timer_stop(loop, &process->timer);
        loop_task_stop(&process->task);
        for (int i = 0; i < 2; i++)
                captured_close(&process->outputs[i].captured, is_foreign);
        forget_session(process);
        process_drop_note(process);
        child_deinit(&process->child);
        report_change(process);
        loop_bury(loop, &process->grave, bury);
}

ferry_process *ferry_process_free(ferry_process *process)
{
        ferry_loop *loop;

        if (!process || loop_is_elsewhere(process->loop) || process->holder >= HOLDER_NONE)
                return NULL;
        if (loop_is_foreign(process->loop) || process->phase == PROCESS_ENDED) {
                process_free(process);
                return NULL;
        }
        process->holder = HOLDER_NONE;
        process->fn = NULL;
        loop = process->loop;
        loop_enter(loop);
        process_stop(process, KILL_AFTER_MS);
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
        if (loop_refuse(process->loop) || process->holder >= HOLDER_NONE)
                return;
        /* A callback that starts a process on every failure would keep the loop alive for ever. */
        if (process->phase == PROCESS_ENDED && process->loop->is_ending) {
                ferry_process_free(process);
                return;
        }
        process->holder = HOLDER_LOOP;
        process->fn = fn;
        process->userdata = userdata;
        if (process->phase != PROCESS_ENDED)
                return;
        process->is_calling = true;
        report_change(process);
        loop_task_start(process->loop, &process->task);
}

/* Questions -------------------------------------------------------------------------------------------- */

ferry_session *ferry_process_session(const ferry_process *process)
{
        return process && !loop_is_elsewhere(process->loop) ? process->session : NULL;
}

pid_t ferry_process_pid(const ferry_process *process)
{
        return process && !loop_is_elsewhere(process->loop) ? process->pid : -1;
}

int ferry_process_status(const ferry_process *process)
{
        if (!process)
                return -ENOMEM;
        if (loop_is_elsewhere(process->loop))
                return -EPERM;
        return process->phase == PROCESS_ENDED ? process->failure : 1;
}

int ferry_process_exit_status(const ferry_process *process)
{
        if (!process)
                return -ENOMEM;
        if (loop_is_elsewhere(process->loop))
                return -EPERM;
        if (process->phase != PROCESS_RESTING && !has_result(process))
                return -EINPROGRESS;
        return process->exit_status >= 0 ? process->exit_status : -ECHILD;
}

const char *ferry_process_ending(const ferry_process *process)
{
        return process && !loop_is_elsewhere(process->loop) ? child_phrase(error_text(&process->error)) : "";
}

const char *ferry_process_error(const ferry_process *process)
{
        if (!process)
                return "the process is NULL: its manager is NULL or belongs to another thread, or no memory was left for it";
        return loop_is_elsewhere(process->loop) ? loop_elsewhere : error_text(&process->error);
}

ferry_process *ferry_session_process(const ferry_session *session)
{
        return session && !loop_is_elsewhere(session_loop(session)) ? process_of(session) : NULL;
}
