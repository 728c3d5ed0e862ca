/* A set of processes: it owns them, waits for them, passes signals on to them, and ends them together. Invariants: only own
 * children are waited for; a wait reports each end once, in the order in which they happened; nothing is polled. Signals are
 * passed on only while a wait runs whose options ask for it, and the mask of the thread is the same afterwards. */
#include "process/manager.h"

#include "util/options.h"
#include "util/text.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>

/* Numbers ---------------------------------------------------------------------------------------------- */

static int take_number(ferry_manager *manager)
{
        size_t count = manager->number_count, more = count ? count * 2 : 8;
        char *unused = count ? memchr(manager->numbers, 0, count) : NULL;

        if (!unused) {
                char *numbers = sys_realloc(manager->numbers, more);

                if (!numbers)
                        return -ENOMEM;
                memset(numbers + count, 0, more - count);
                manager->numbers = numbers;
                manager->number_count = more;
                unused = numbers + count;
        }
        *unused = 1;
        return (int)(unused - manager->numbers);
}

static void give_number_back(struct worker *worker)
{
        if (worker->process.number >= 0)
                worker->manager->numbers[worker->process.number] = 0;
        worker->process.number = -1;
}

/* Signals ---------------------------------------------------------------------------------------------- */

void ferry_manager_kill(ferry_manager *manager, int signal)
{
        if (!manager || loop_is_elsewhere(manager->loop))
                return;
        list_for_each(&manager->workers, link)
                ferry_process_kill(&container_of(link, struct worker, link)->process, signal);
}

static bool is_told_to_end(const ferry_manager *manager)
{
        return manager->signal == SIGINT || manager->signal == SIGTERM;
}

static const int *signals_of(const ferry_manager *manager)
{
        static const int usual[] = { SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGUSR1, SIGUSR2, 0 };

        return manager->signals ? manager->signals : usual;
}

static void pass_on(ferry_manager *manager, int signal)
{
        const int *wanted = signals_of(manager);

        while (*wanted && *wanted != signal)
                wanted++;
        if (!*wanted)
                return;
        manager->signal = signal;
        ferry_manager_kill(manager, signal);
        if (!is_told_to_end(manager))
                return;
        list_for_each(&manager->workers, link) {
                ferry_process *process = &container_of(link, struct worker, link)->process;

                if (process->phase == PROCESS_RESTING)
                        process_stop(process, 0);
        }
}

/* Managers that pass signals on are attached to their loop, the outermost wait first. The address is the kind. */
static const char forwarder_kind;

/* It comes to one of the managers that wait for it; others may wait around that one. */
static void signal_comes(struct loop_source *source, uint32_t events)
{
        const ferry_loop *loop = source->loop;
        struct signalfd_siginfo info;

        (void)events;
        while (sys_read(source->fd, &info, sizeof info) == sizeof info)
                for (struct loop_attachment *at = NULL; (at = loop_attachment_next(loop, &forwarder_kind, at));)
                        pass_on(container_of(at, ferry_manager, forwarder), (int)info.ssi_signo);
}

/* 0, or a negative errno, and then nothing is blocked. */
static int begin_forwarding(ferry_manager *manager)
{
        const int *signals = signals_of(manager);
        int fd, code;

        if (!manager->options.is_forwarding || manager->signal_source.fd >= 0)
                return 0;
        code = sys_block_signals(signals, &manager->mask);
        if (code)
                return error_replace(&manager->loop->error, code, "cannot block signals: %s", error_describe(code));
        fd = sys_signalfd(signals);
        manager->signal_source = (struct loop_source){ .loop = manager->loop, .fd = fd, .fn = signal_comes };
        code = fd < 0 ? fd : loop_source_set(&manager->signal_source, EPOLLIN);
        if (!code) {
                loop_attach(manager->loop, &manager->forwarder, &forwarder_kind);
                return 0;
        }
        if (fd >= 0)
                sys_close(fd);
        manager->signal_source.fd = -1;
        sys_restore_signals(&manager->mask);
        return error_replace(&manager->loop->error, code, "cannot pass signals on: %s", error_describe(code));
}

static void end_forwarding(ferry_manager *manager)
{
        if (manager->signal_source.fd < 0)
                return;
        list_remove(&manager->forwarder.link);
        loop_source_set(&manager->signal_source, 0);
        sys_close(manager->signal_source.fd);
        manager->signal_source.fd = -1;
        sys_restore_signals(&manager->mask);
}

/* What processes report ------------------------------------------------------------------------------- */

/* Ends are reported in the order in which they happened. */
static void report_next(ferry_manager *manager)
{
        struct worker *worker = list_first(&manager->ending, struct worker, ending);

        if (worker && worker->process.step == STEP_REPORT)
                process_report(&worker->process);
}

static void worker_changed(ferry_process *process, enum process_phase before)
{
        struct worker *worker = worker_of(process);
        ferry_manager *manager = worker->manager;
        bool is_freed = process_is_freed(process);

        if (before != process->phase && process->phase == PROCESS_RUNNING)
                pool_worker_started(worker);
        if (before != process->phase && process->phase == PROCESS_EXITED) {
                list_append(&manager->ending, &worker->ending);
                if (process->child.has_ended && process->child.stage == CHILD_KILLED)
                        manager->killed++;
        }
        if (is_freed || process->phase == PROCESS_ENDED)
                give_number_back(worker);
        if (is_freed) {
                list_remove(&worker->link);
                list_remove(&worker->unreported);
        }
        if (is_freed || process->phase != PROCESS_EXITED)
                list_remove(&worker->ending);
        if (!loop_is_foreign(manager->loop))
                report_next(manager);
        pool_update(worker);
        if (before != process->phase && process->phase == PROCESS_ENDED && manager->serving == 0)
                pool_refuse(manager);
}

static void worker_happened(ferry_process *process, enum ferry_process_event event)
{
        struct worker *worker = worker_of(process);

        manager_report(worker, event);
        if (event == FERRY_PROCESS_STARTED && !process_is_freed(process))
                pool_feed(worker->manager);
}

static void worker_failed(ferry_process *process, int code, const char *sentence)
{
        error_set(&worker_of(process)->manager->start_error, code, "%s", sentence);
}

static void worker_disconnected(ferry_process *process)
{
        ferry_manager *manager = worker_of(process)->manager;

        pool_worker_disconnected(worker_of(process));
        if (manager->serving == 0)
                pool_refuse(manager);
}

static void worker_answered(ferry_process *process)
{
        pool_worker_answered(worker_of(process));
}

static void worker_is_ready(ferry_process *process)
{
        report_next(worker_of(process)->manager);
}

static bool worker_may_restart(const ferry_process *process)
{
        const ferry_manager *manager = worker_of(process)->manager;

        return !manager->is_stopping && !is_told_to_end(manager);
}

static bool worker_is_stuck(const ferry_process *process)
{
        return pool_worker_is_stuck(worker_of(process));
}

static const sigset_t *mask_before(const ferry_process *process)
{
        const struct loop_attachment *outermost = loop_attachment_next(process->loop, &forwarder_kind, NULL);

        return outermost ? &container_of(outermost, const ferry_manager, forwarder)->mask : NULL;
}

static void free_worker(ferry_process *process)
{
        sys_free(worker_of(process));
}

static const struct process_owner process_owner = {
        .changed = worker_changed,
        .happened = worker_happened,
        .failed = worker_failed,
        .disconnected = worker_disconnected,
        .answered = worker_answered,
        .ready = worker_is_ready,
        .may_restart = worker_may_restart,
        .is_stuck = worker_is_stuck,
        .mask_before = mask_before,
        .free = free_worker,
};

/* Processes -------------------------------------------------------------------------------------------- */

static struct worker *worker_new(ferry_manager *manager)
{
        struct worker *worker = sys_alloc_zeroed(sizeof *worker);

        if (!worker)
                return NULL;
        process_init(&worker->process, manager->loop, &process_owner);
        worker->manager = manager;
        list_init(&worker->unreported);
        list_init(&worker->ending);
        list_init(&worker->idle);
        list_append(&manager->workers, &worker->link);
        return worker;
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

static int prepare(struct worker *worker, const char *const argv[], const ferry_process_options *options, struct error *error)
{
        const ferry_manager *manager = worker->manager;
        const struct process_defaults defaults = {
                .session = manager->session_options,
                .paths = { manager->paths[0], manager->paths[1] },
                .output = manager->options.output,
                .output_userdata = manager->options.output_userdata,
        };
        int code = manager->options_error.code;

        if (code)
                return error_set(error, code, "%s", error_text(&manager->options_error));
        code = process_copy_spec(&worker->process, argv, options, &defaults, error);
        if (!code)
                code = process_check_spec(&worker->process, error);
        if (code)
                return code;
        worker->process.number = take_number(worker->manager);
        return worker->process.number < 0 ? worker->process.number : 0;
}

static ferry_process *create(ferry_manager *manager, const char *const argv[], ferry_child_fn *fn, void *userdata,
                             const ferry_process_options *options)
{
        struct error error = { 0 };
        ferry_process *process = NULL;
        struct worker *worker;
        ferry_loop *loop;
        int code;

        if (!manager)
                return NULL;
        loop = manager->loop;
        if (loop_refuse(loop))
                return NULL;
        loop_enter(loop);
        code = wait_for_place(manager);
        /* A callback that starts a process whenever another ends would never let them end. */
        if (!code && (manager->is_stopping || loop->is_ending))
                code = -ECANCELED;
        worker = manager->is_freed ? NULL : worker_new(manager);
        if (worker) {
                process = &worker->process;
                process->spec.fn = fn;
                process->spec.fn_userdata = userdata;
                if (!code)
                        code = prepare(worker, argv, options, &error);
                if (!code)
                        process_start(process);
                else {
                        error_set(&error, code, "cannot start a child: %s", error_describe(code));
                        process_fail(process, code, error_text(&error));
                        error_deinit(&error);
                }
        }
        /* A handler may have freed it. */
        if (process && process->holder >= HOLDER_NONE)
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

/* Waiting ---------------------------------------------------------------------------------------------- */

static bool is_done(void *object)
{
        const ferry_manager *manager = object;

        return manager->is_freed || manager->verdict != 0 || loop_has_own_failure(manager->loop) ||
               (manager->live == 0 && manager->connected == 0 && !pool_is_busy(manager) && !call_queue_is_reporting(manager->queue) &&
                manager->telling == 0 && list_is_empty(&manager->unreported));
}

/* Those that have ended while no wait ran. */
static void report_unreported(ferry_manager *manager, ferry_manager_fn *fn, void *userdata)
{
        while (!list_is_empty(&manager->unreported) && manager->verdict == 0 && !manager->is_freed) {
                struct worker *worker = container_of(manager->unreported.next, struct worker, unreported);

                list_remove(&worker->unreported);
                if (fn)
                        manager_note(manager, fn(manager, &worker->process, userdata));
        }
}

static int wait_for_all(ferry_manager *manager, ferry_manager_fn *fn, void *userdata)
{
        bool is_ours = manager->signal_source.fd < 0;
        int code = manager->options_error.code;

        if (code)
                return error_replace(&manager->loop->error, code, "%s", error_text(&manager->options_error));
        code = begin_forwarding(manager);
        if (code)
                return code;
        manager->verdict = 0;
        manager->wait_fn = fn;
        manager->wait_userdata = userdata;
        manager->is_waited_for = true;
        report_unreported(manager, fn, userdata);
        code = loop_wait(manager->loop, INT64_MAX, is_done, manager, &manager->grave);
        manager->wait_fn = NULL;
        manager->is_waited_for = false;
        if (!manager->is_ending && !manager->loop->is_ending)
                manager->is_stopping = false;
        /* One that came with the last end is returned, instead of ending us now. */
        if (!code && manager->verdict == 0 && manager->signal_source.fd >= 0)
                signal_comes(&manager->signal_source, EPOLLIN);
        if (is_ours)
                end_forwarding(manager);
        if (!code && manager->verdict == 0)
                code = loop_tell_own_failure(manager->loop);
        if (code < 0 || manager->verdict != 0)
                return code < 0 ? code : manager->verdict;
        code = manager->signal;
        manager->signal = 0;
        if (code)
                return FERRY_PROCESS_KILLED + code;
        code = manager->start_error.code;
        if (code)
                error_replace(&manager->loop->error, code, "%s", error_text(&manager->start_error));
        error_deinit(&manager->start_error);
        return code;
}

int ferry_manager_wait(ferry_manager *manager, ferry_manager_fn *fn, void *userdata)
{
        ferry_loop *loop;
        int code;

        if (!manager)
                return -ENOMEM;
        loop = manager->loop;
        code = loop_refuse(loop);
        if (code)
                return code;
        if (manager->is_waited_for)
                return error_replace(&loop->error, -EDEADLK, "another call waits for these children already");
        loop_enter(loop);
        code = wait_for_all(manager, fn, userdata);
        loop_leave(loop);
        return code;
}

static bool has_no_requests(void *object)
{
        const ferry_manager *manager = object;

        return manager->is_freed || manager->serving == 0 || !pool_is_busy(manager);
}

int ferry_manager_stop(ferry_manager *manager, int grace_ms)
{
        ferry_loop *loop;
        bool is_ours;
        int code;

        if (!manager)
                return -ENOMEM;
        loop = manager->loop;
        code = loop_refuse(loop);
        if (code)
                return code;
        if (grace_ms < -1)
                return loop_refuse_timeout(loop, grace_ms);
        loop_enter(loop);
        is_ours = manager->signal_source.fd < 0;
        code = begin_forwarding(manager);
        if (!code)
                code = loop_wait(loop, INT64_MAX, has_no_requests, manager, &manager->grave);
        if (!code && !manager->is_freed) {
                manager->is_stopping = true;
                if (manager->serving == 0)
                        pool_refuse(manager);
                list_for_each(&manager->workers, link)
                        process_stop(&container_of(link, struct worker, link)->process, grace_ms);
                remote_stop_all(manager);
                /* A wait that runs lasts until all have ended, and none is started until then. */
                code = manager->is_waited_for ? 0 : wait_for_all(manager, NULL, NULL);
        }
        if (is_ours)
                end_forwarding(manager);
        loop_leave(loop);
        return code;
}

/* The life of a manager -------------------------------------------------------------------------------- */

static void bury(struct loop_grave *grave)
{
        ferry_manager *manager = container_of(grave, ferry_manager, grave);

        manager_free_handlers(manager);
        call_queue_free(manager->queue);
        error_deinit(&manager->start_error);
        error_deinit(&manager->options_error);
        sys_free(manager->paths[0]);
        sys_free(manager->paths[1]);
        sys_free(manager->signals);
        options_drop_session(manager->session_options);
        sys_free(manager->numbers);
        sys_free(manager);
}

/* The loop ends: no further process is started, and those that are left are awaited, or killed. */
static void close_member(struct loop_member *member)
{
        ferry_manager *manager = container_of(member, ferry_manager, member);

        manager->is_stopping = true;
        list_for_each(&manager->workers, link) {
                struct worker *worker = container_of(link, struct worker, link);
                ferry_process *process = &worker->process;

                if (process->phase == PROCESS_RESTING)
                        process_stop(process, 0);
                else if (manager->options.is_killing && ferry_process_kill(process, SIGKILL) == 0)
                        manager->killed++;
                else if (pool_worker_is_stuck(worker))
                        process_stop(process, -1);
                else
                        ferry_session_close(process->session);
        }
        remote_stop_all(manager);
        pool_refuse(manager);
}

static void free_member(struct loop_member *member)
{
        ferry_manager *manager = container_of(member, ferry_manager, member);

        if (manager->is_freed)
                return;
        pool_refuse(manager);
        while (!list_is_empty(&manager->workers))
                process_free(&container_of(manager->workers.next, struct worker, link)->process);
        remote_free_all(manager);
        loop_timer_stop(manager->loop, &manager->look);
        batch_free_all(manager);
        manager->is_freed = true;
        if (loop_is_foreign(manager->loop) && manager->signal_source.fd >= 0) {
                sys_close(manager->signal_source.fd);
                manager->signal_source.fd = -1;
                list_remove(&manager->forwarder.link);
        }
        list_remove(&manager->member.link);
        loop_bury(manager->loop, &manager->grave, bury);
}

static bool is_over(void *object)
{
        const ferry_manager *manager = object;

        return manager->is_freed || (manager->live == 0 && manager->connected == 0 && !call_queue_is_reporting(manager->queue) && manager->telling == 0);
}

ferry_manager *ferry_manager_free(ferry_manager *manager)
{
        ferry_loop *loop;

        if (!manager || loop_is_elsewhere(manager->loop) || manager->is_freed || manager->is_ending)
                return NULL;
        loop = manager->loop;
        manager->is_ending = true;
        loop_enter(loop);
        if (!loop_is_foreign(loop)) {
                close_member(&manager->member);
                loop_wait(loop, INT64_MAX, is_over, manager, &manager->grave);
        }
        free_member(&manager->member);
        loop_leave(loop);
        return NULL;
}

static int copy_options(ferry_manager *manager, const ferry_manager_options *given)
{
        static const struct options_kind kind = {
                .name = "ferry_manager_options", .size = sizeof *given,
                .times = { { "queue_timeout_ms", offsetof(ferry_manager_options, queue_timeout_ms), false } },
        };
        ferry_manager_options *options = &manager->options;
        size_t count = 1;

        options_copy(&kind, options, given, &manager->options_error);
        options_keep_session(&manager->session_options, options->session, &manager->options_error);
        call_queue_set_max(manager->queue, manager->session_options->queue_max ? manager->session_options->queue_max :
                                                                        session_default_queue_max(manager->loop));
        if (options->stdout_path && !(manager->paths[0] = text_copy(options->stdout_path)))
                return -ENOMEM;
        if (options->stderr_path && !(manager->paths[1] = text_copy(options->stderr_path)))
                return -ENOMEM;
        if (!options->signals)
                return 0;
        while (options->signals[count - 1])
                count++;
        manager->signals = sys_alloc(count * sizeof *manager->signals);
        if (!manager->signals)
                return -ENOMEM;
        memcpy(manager->signals, options->signals, count * sizeof *manager->signals);
        return 0;
}

/* What the program's pointers lead to may go when the manager has been made. */
static void forget_borrowed(ferry_manager_options *options)
{
        options->stdout_path = options->stderr_path = NULL;
        options->signals = NULL;
        options->session = NULL;
}

ferry_manager *ferry_manager_new(ferry_loop *loop, const ferry_manager_options *options)
{
        ferry_manager *manager = loop && !loop_refuse(loop) && !loop->is_ending ? sys_alloc_zeroed(sizeof *manager) : NULL;

        if (!manager)
                return NULL;
        manager->loop = loop;
        list_init(&manager->handlers);
        list_init(&manager->workers);
        list_init(&manager->unreported);
        list_init(&manager->ending);
        list_init(&manager->remotes);
        list_init(&manager->batches);
        list_init(&manager->forwarder.link);
        manager->signal_source.fd = -1;
        manager->member.close = close_member;
        manager->member.free = free_member;
        if (pool_init(manager) < 0 || copy_options(manager, options) < 0) {
                bury(&manager->grave);
                return NULL;
        }
        forget_borrowed(&manager->options);
        list_append(&loop->members, &manager->member.link);
        return manager;
}

/* Questions -------------------------------------------------------------------------------------------- */

ferry_process *ferry_manager_child(const ferry_manager *manager, const ferry_process *previous)
{
        struct worker *worker;

        if (!manager || loop_is_elsewhere(manager->loop))
                return NULL;
        worker = previous ? list_next(&manager->workers, worker_of(previous), struct worker, link) :
                            list_first(&manager->workers, struct worker, link);
        return worker ? &worker->process : NULL;
}

unsigned ferry_manager_running(const ferry_manager *manager)
{
        return manager && !loop_is_elsewhere(manager->loop) ? (unsigned)manager->running : 0;
}

unsigned ferry_manager_running_max(const ferry_manager *manager)
{
        return manager && !loop_is_elsewhere(manager->loop) ? manager->options.running_max : 0;
}

unsigned ferry_manager_waiting(const ferry_manager *manager)
{
        return manager && !loop_is_elsewhere(manager->loop) ? manager->waiting : 0;
}

unsigned ferry_manager_killed(const ferry_manager *manager)
{
        return manager && !loop_is_elsewhere(manager->loop) ? manager->killed : 0;
}
