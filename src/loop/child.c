/* Starts and watches children. Invariants: until exec a child that is another program runs in our memory and changes nothing
 * there but the error that it meets; all that it needs is made before; the parent never waits for any child but its own. A zombie
 * lives no longer than its owner wants its process group to be safe from strangers. */
#include "loop/child.h"

#include "util/error.h"
#include "util/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
        STACK_SIZE = 64 << 10,  /* of a child until it is another program: much more than it needs */
        TERM_DEFAULT_NS = 1000000000,
};

/* What was given to us alone: a service manager means us by it, and a parent talks to us. */
static bool is_ours_alone(const char *variable)
{
        static const char *const names[] = { "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "NOTIFY_SOCKET=", "FERRY_FD=" };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strncmp(variable, names[i], strlen(names[i])) == 0)
                        return true;
        return false;
}

/* Whether both are NAME=VALUE of one name. */
static bool is_same_name(const char *variable, const char *other)
{
        return strncmp(variable, other, strcspn(other, "=") + 1) == 0;
}

static bool is_replaced(const char *variable, const char *const *extra)
{
        for (size_t i = 0; extra && extra[i]; i++)
                if (is_same_name(variable, extra[i]))
                        return true;
        return false;
}

static const char *const *make_own_variables(const struct child_spec *spec, struct child_variables *ret)
{
        size_t count = 0;

        snprintf(ret->channel, sizeof ret->channel, "FERRY_FD=%d", spec->channel);
        snprintf(ret->worker, sizeof ret->worker, "FERRY_WORKER=%d", spec->worker);
        if (spec->channel)
                ret->list[count++] = ret->channel;
        if (spec->is_worker && !is_replaced(ret->worker, spec->env))
                ret->list[count++] = ret->worker;
        ret->list[count] = NULL;
        return ret->list;
}

/* The environment of the child: ours, in which those named in @extra are replaced, and in these those in @own. NULL if memory
 * is out. */
static const char **make_environment(const char *const *extra, const char *const *own, bool is_program)
{
        const char **environment;
        size_t ours = 0, theirs = 0, count = 0;

        while (environ && environ[ours])
                ours++;
        while (extra && extra[theirs])
                theirs++;
        environment = sys_alloc((ours + theirs + CHILD_VARIABLES_MAX + 1) * sizeof *environment);
        if (!environment)
                return NULL;
        for (size_t i = 0; i < ours; i++)
                if (!(is_program && is_ours_alone(environ[i])) && !is_replaced(environ[i], extra) && !is_replaced(environ[i], own))
                        environment[count++] = environ[i];
        for (size_t k = 0; k < theirs; k++)
                if (!is_replaced(extra[k], own))
                        environment[count++] = extra[k];
        for (size_t k = 0; own[k]; k++)
                environment[count++] = own[k];
        environment[count] = NULL;
        return environment;
}

int child_make_environment(struct child_environment *ret, int worker)
{
        const struct child_spec spec = { .is_worker = true, .worker = worker };

        ret->list = make_environment(NULL, make_own_variables(&spec, &ret->own), false);
        return ret->list ? 0 : -ENOMEM;
}

void child_use_environment(const struct child_environment *environment)
{
        environ = (char **)(uintptr_t)environment->list;
}

/* Everything that the child needs, which allocates nothing. */
struct start {
        const struct child_spec *spec;
        const char *const *argv;
        const char **environment;
        const char **paths;             /* where the program may stand */
        pid_t parent;
        int error;                      /* why it is no program */
};

/* Where execvp(3) would look for @name that has the new environment already; NULL if memory is out. execvp itself would need
 * a write to environ, which belongs to all threads, and starts a shell for what has no #!. */
static const char **make_paths(const char *name, const char *const *environment)
{
        const char *folders = "/bin:/usr/bin";
        size_t count = 1, name_size = strlen(name) + 1;
        const char **paths;
        char *text;

        for (size_t i = 0; environment[i]; i++)
                if (strncmp(environment[i], "PATH=", 5) == 0) {
                        folders = environment[i] + 5;
                        break;
                }
        /* Such a name is the only path. */
        if (strchr(name, '/') || !*name)
                folders = "";
        for (const char *at = folders; *at; at++)
                count += *at == ':';
        paths = sys_alloc((count + 1) * sizeof *paths + strlen(folders) + count * (name_size + 1));
        if (!paths)
                return NULL;
        text = (char *)(paths + count + 1);
        for (size_t i = 0; i < count; i++) {
                size_t size = strcspn(folders, ":");

                paths[i] = text;
                memcpy(text, folders, size);
                text += size;
                /* An empty one is the current directory. */
                if (size > 0)
                        *text++ = '/';
                memcpy(text, name, name_size);
                text += name_size;
                folders += size + 1;
        }
        paths[count] = NULL;
        return paths;
}

RAW_UNCOUNTED static int execute(const struct start *start)
{
        int error = -ENOENT, denied = 0;

        for (size_t i = 0; start->paths[i]; i++) {
                error = sys_execute(start->paths[i], start->argv, start->environment);
                if (error == -EACCES)
                        denied = error;
                else if (error != -ENOENT && error != -ENOTDIR && error != -ENAMETOOLONG && error != -ESTALE &&
                         error != -ENODEV && error != -ETIMEDOUT)
                        return error;
        }
        return denied ? denied : error;
}

/* Those that stand in each other's way are moved up first. */
int child_place_descriptors(const int fds[3], int ret_moved[3])
{
        int error;

        for (int i = 0; i < 3; i++) {
                ret_moved[i] = fds[i] < 0 ? -1 : sys_duplicate(fds[i], 3);
                if (ret_moved[i] < 0 && fds[i] >= 0)
                        return ret_moved[i];
        }
        for (int i = 0; i < 3; i++) {
                error = ret_moved[i] < 0 ? 0 : sys_replace(ret_moved[i], i);
                if (error < 0)
                        return error;
        }
        return 0;
}

/* The program may have opened others without close-on-exec, for itself. */
static int keep_descriptors(const struct child_spec *spec)
{
        int error = spec->is_exact ? sys_close_on_exec_from(3) : 0;

        /* The kernel does not know it, or a security policy forbids it. */
        if (error == -EINVAL || error == -ENOSYS || error == -EPERM)
                error = sys_close_on_exec_each(3);
        if (!error && spec->channel)
                error = sys_keep_on_exec(spec->channel);
        for (size_t i = 0; !error && spec->kept && spec->kept[i] >= 0; i++)
                error = sys_keep_on_exec(spec->kept[i]);
        return error;
}

int child_set_death_signal(int signal, pid_t parent)
{
        int error = signal ? sys_set_death_signal(signal) : 0;

        if (error || !signal)
                return error;
        return sys_parent() == parent ? 0 : -ESRCH;
}

/* In the child, in our memory. */
RAW_UNCOUNTED static int become(void *argument)
{
        struct start *start = argument;
        const struct child_spec *spec = start->spec;
        int moved[3];
        /* Without a group of its own what it starts could not be stopped. */
        int error = spec->is_in_our_group ? 0 : sys_set_group(0, 0);

        if (!error)
                error = child_place_descriptors(spec->fds, moved);
        if (!error)
                error = keep_descriptors(spec);
        if (!error)
                error = child_set_death_signal(spec->death_signal, start->parent);
        if (!error && spec->directory)
                error = sys_change_directory(spec->directory);
        if (!error) {
                sys_reset_signals();
                error = execute(start);
        }
        start->error = error;
        return 127;
}

/* Take the status of the child. Where a sandbox refuses waitid(2), wait4(2) takes it, by the number: the pidfd says that the child
 * has exited, and still reaches it, so the number is that of a zombie, and not of another process. */
static int take_status(const struct child *child, siginfo_t *ret_info, int options)
{
        int error = sys_wait(child->pidfd, ret_info, options);

        if (!error || error == -ECHILD || ((options & WNOHANG) && !child_has_exited(child)))
                return error;
        if (sys_signal_child(child->pidfd, 0) == -ESRCH)
                return -ECHILD;
        return sys_reap(child->pid, ret_info) ? error : 0;
}

static void has_exited(struct loop_source *source, uint32_t events);
static void stage_is_over(struct loop_timer *timer);

static void init(struct child *child, ferry_loop *loop, const struct child_owner *owner)
{
        *child = (struct child){ .loop = loop, .pidfd = -1, .owner = owner, .stage_timer.fn = stage_is_over };
}

static int spawn(struct child *child, struct start *start)
{
        void *stack = sys_alloc(STACK_SIZE);
        siginfo_t info;
        pid_t pid;

        if (!stack)
                return -ENOMEM;
        pid = sys_spawn(become, start, stack, STACK_SIZE, &child->pidfd);
        sys_free(stack);
        if (pid < 0)
                return pid;
        child->pid = pid;
        if (start->error) {
                /* It has ended. */
                take_status(child, &info, 0);
                child->has_ended = true;
                child_deinit(child);
        }
        return start->error;
}

static int watch(struct child *child)
{
        int error;

        child->source = (struct loop_source){ .loop = child->loop, .fd = child->pidfd, .fn = has_exited };
        error = loop_source_set(&child->source, EPOLLIN);
        if (error)
                child_deinit(child);
        return error;
}

int child_start(struct child *child, ferry_loop *loop, const struct child_spec *spec, const struct child_owner *owner)
{
        const char *const shell[] = { "/bin/sh", "-c", spec->command, NULL };
        struct start start = { .spec = spec, .argv = spec->argv ? spec->argv : shell, .parent = sys_pid() };
        struct child_variables own = { 0 };
        int error = -ENOMEM;

        init(child, loop, owner);
        child->has_group = !spec->is_in_our_group;
        if (!start.argv[0])
                return -EINVAL;
        start.environment = make_environment(spec->env, make_own_variables(spec, &own), true);
        if (start.environment)
                start.paths = make_paths(start.argv[0], start.environment);
        if (start.paths)
                error = spawn(child, &start);
        sys_free(start.paths);
        sys_free(start.environment);
        return error ? error : watch(child);
}

/* In the child: wait until our parent can distinguish our end from others', or that it cannot. It may have gone. */
static void wait_to_be_known(const int gate[2])
{
        bool is_known;

        sys_close(gate[1]);
        if (sys_read(gate[0], &is_known, sizeof is_known) != sizeof is_known || !is_known)
                sys_exit(127);
        sys_close(gate[0]);
}

int child_fork(struct child *child, ferry_loop *loop, const struct child_owner *owner)
{
        int gate[2], error;
        bool is_known;

        init(child, loop, owner);
        error = sys_pipe(gate);
        if (error)
                return error;
        child->pid = sys_fork_program();
        if (child->pid == 0) {
                wait_to_be_known(gate);
                return 0;
        }
        error = child->pid < 0 ? child->pid : 0;
        if (!error)
                child->pidfd = sys_open_process(child->pid);
        if (!error && child->pidfd < 0)
                error = child->pidfd;
        /* Our end for reading is open as yet: one that was killed meanwhile must not kill us by SIGPIPE. That the pipe ends is
         * no word: what another thread has forked meanwhile may hold it. */
        is_known = !error;
        sys_write(gate[1], &is_known, sizeof is_known);
        sys_close(gate[0]);
        sys_close(gate[1]);
        if (error) {
                /* It ends now, without having done anything. */
                if (child->pid > 0)
                        sys_reap(child->pid, NULL);
                child->pid = 0;
                return error;
        }
        error = watch(child);
        return error ? error : 1;
}

int child_signal(struct child *child, int signal)
{
        int error;

        if (child->pid == 0 || child->has_ended)
                return 0;
        if (!child->has_group)
                return sys_signal_child(child->pidfd, signal);
        /* Where SIGCHLD is ignored no zombie keeps the number of the group: it may be a stranger's by now. */
        error = sys_signal_child(child->pidfd, 0);
        if (error == -ESRCH)
                return error;
        error = sys_signal_group(child->pid, signal);
        /* It may have left its group, and that others there can be signalled says nothing about it. */
        return error || signal == SIGKILL || sys_group_of(child->pid) != child->pid ? sys_signal_child(child->pidfd, signal) : 0;
}

int child_stop_signal(const struct child *child)
{
        int signal = child->pid > 0 && !child->has_ended && !loop_is_foreign(child->loop) ? sys_stop_signal(child->pidfd) : 0;

        return signal > 0 ? signal : 0;
}

const char child_subject[] = "the child ";

const char *child_phrase(const char *sentence)
{
        size_t size = sizeof child_subject - 1;

        return strncmp(sentence, child_subject, size) == 0 ? sentence + size : "";
}

void child_describe_stop(int signal, char *text, size_t size)
{
        const char *name = sigabbrev_np(signal);
        bool is_of_terminal = signal == SIGTTIN || signal == SIGTTOU;

        snprintf(text, size, "was stopped by SIG%s%s", name ? name : "?", is_of_terminal ?
                 ": it uses the terminal, which is not for processes in the background" : "");
}

bool child_has_unknown_status(const struct child *child)
{
        return child->has_ended && child->status < 0;
}

bool child_has_exited(const struct child *child)
{
        struct pollfd end = { .fd = child->pidfd, .events = POLLIN };

        return child->has_ended || (child->pid > 0 && sys_poll(&end, 1, 0) > 0);
}

/* Take its status, if it has ended; whether it has. */
static bool reap(struct child *child)
{
        siginfo_t info = { 0 };
        int error;

        if (child->pid == 0 || child->has_ended)
                return child->has_ended;
        error = take_status(child, &info, WNOHANG);
        /* A call that is refused says nothing about the child. */
        if (error ? error != -ECHILD && !child_has_exited(child) : info.si_pid == 0)
                return false;
        child->has_ended = true;
        child->is_killed = !error && info.si_code != CLD_EXITED;
        child->status = error ? error : info.si_status;
        loop_timer_stop(child->loop, &child->stage_timer);
        loop_source_set(&child->source, 0);
        return true;
}

/* Stopping --------------------------------------------------------------------------------------------- */

static bool is_read(const struct child *child)
{
        return child->owner->is_read && child->owner->is_read(child);
}

/* It may have ended. */
static void look(struct child *child)
{
        if (child->stage == CHILD_TERMINATED && is_read(child)) {
                loop_source_set(&child->source, 0);
                return;
        }
        /* What is left of the group has not obeyed TERM, and can no longer be found once the child is reaped. */
        if (child->stage == CHILD_TERMINATED && child->owner->is_read && child_has_exited(child))
                child_signal(child, SIGKILL);
        if (reap(child))
                child->owner->ended(child);
}

static void has_exited(struct loop_source *source, uint32_t events)
{
        (void)events;
        look(container_of(source, struct child, source));
}

void child_output_ended(struct child *child)
{
        if (child->stage == CHILD_TERMINATED)
                look(child);
}

static void send_term(struct child *child)
{
        child->stage = CHILD_TERMINATED;
        child_signal(child, SIGTERM);
        /* A stopped process would not take it. */
        child_signal(child, SIGCONT);
        loop_timer_start(child->loop, &child->stage_timer, sys_now() + child->term_ns);
}

static void send_kill(struct child *child)
{
        int error;

        child->stage = CHILD_KILLED;
        error = child_signal(child, SIGKILL);
        if (!error || child_has_exited(child)) {
                look(child);
                return;
        }
        loop_source_set(&child->source, 0);
        child->owner->lost(child, error);
}

static void stage_is_over(struct loop_timer *timer)
{
        struct child *child = container_of(timer, struct child, stage_timer);

        if (child->stage == CHILD_TERMINATED)
                send_kill(child);
        else if (child->owner->is_waiting && child->owner->is_waiting(child))
                loop_timer_start(child->loop, timer, sys_now() + child->term_ns);
        else
                send_term(child);
}

void child_stop(struct child *child, int64_t grace_ns, int64_t term_ns)
{
        if (child->pid == 0 || child->has_ended || child->stage > CHILD_ASKED)
                return;
        child->stage = CHILD_ASKED;
        child->term_ns = term_ns > 0 && term_ns < INT64_MAX ? term_ns : TERM_DEFAULT_NS;
        loop_timer_stop(child->loop, &child->stage_timer);
        if (grace_ns == 0)
                send_term(child);
        else if (grace_ns != INT64_MAX)
                loop_timer_start(child->loop, &child->stage_timer, sys_now() + grace_ns);
}

/* The end ---------------------------------------------------------------------------------------------- */

void child_deinit(struct child *child)
{
        siginfo_t info;

        if (child->pid == 0)
                return;
        loop_timer_stop(child->loop, &child->stage_timer);
        if (!loop_is_foreign(child->loop)) {
                if (!reap(child) && child_signal(child, SIGKILL) == 0)
                        take_status(child, &info, 0);
                loop_source_set(&child->source, 0);
        }
        sys_close(child->pidfd);
        child->pid = 0;
}

void child_describe(const struct child *child, char *text, size_t size)
{
        if (!child->has_ended)
                snprintf(text, size, "still runs");
        else if (child->status < 0 && child->status != -ECHILD)
                snprintf(text, size, "ended, but its status is unknown: waitid(2) and wait4(2) are refused: %s", error_describe(child->status));
        else if (child->status < 0)
                snprintf(text, size, "ended, but its status is unknown: SIGCHLD is ignored, or another wait has taken it");
        else if (child->is_killed)
                snprintf(text, size, "was killed by SIG%s", sigabbrev_np(child->status) ? sigabbrev_np(child->status) : "?");
        else
                snprintf(text, size, "exited with status %d", child->status);
}
