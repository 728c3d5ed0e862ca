/* Starts and watches children. Invariants: from the fork on the child calls only what is safe there; exec's error
 * comes back through a pipe that exec closes; the parent never waits for any child but its own. A zombie
 * lives no longer than its owner wants its process group to be safe from strangers. */
#include "loop/child.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { OWN_VARIABLES_MAX = 2 };

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

/* What is said to this child alone: the number of its channel, and its own among the workers. */
struct own_variables {
        char channel[32];
        char worker[32];
        const char *list[OWN_VARIABLES_MAX + 1];
};

static const char *const *make_own_variables(const struct child_spec *spec, struct own_variables *ret)
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
        environment = sys_alloc((ours + theirs + OWN_VARIABLES_MAX + 1) * sizeof *environment);
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

int child_set_worker(int number)
{
        struct child_spec spec = { .is_worker = true, .worker = number };
        struct own_variables *own = sys_alloc(sizeof *own);
        const char **environment = own ? make_environment(NULL, make_own_variables(&spec, own), false) : NULL;

        if (!environment) {
                sys_free(own);
                return -ENOMEM;
        }
        environ = (char **)(uintptr_t)environment;
        return 0;
}

/* Everything that the child needs between fork and exec, where nothing can be allocated. */
struct start {
        const struct child_spec *spec;
        const char **argv;
        const char **environment;
        int error_pipe;
        pid_t parent;
};

/* Run it: as execvp(3) would that has the new environment already, but without a shell for what has no #!. execvp
 * itself would need a write to environ, which belongs to all threads. */
static int execute(const struct start *start)
{
        const char *name = start->argv[0], *at = "/bin:/usr/bin";
        size_t name_size = strlen(name) + 1;
        char path[PATH_MAX];
        int error = -ENOENT, denied = 0;

        if (strchr(name, '/') || !*name)
                return sys_execute(name, start->argv, start->environment);
        for (size_t i = 0; start->environment[i]; i++)
                if (strncmp(start->environment[i], "PATH=", 5) == 0) {
                        at = start->environment[i] + 5;
                        break;
                }
        for (;; at++) {
                size_t size = strcspn(at, ":");

                if (size + 1 + name_size <= sizeof path) {
                        memcpy(path, at, size);
                        /* An empty one is the current directory. */
                        if (size > 0)
                                path[size] = '/';
                        memcpy(path + size + (size > 0), name, name_size);
                        error = sys_execute(path, start->argv, start->environment);
                        if (error == -EACCES)
                                denied = error;
                        else if (error != -ENOENT && error != -ENOTDIR && error != -ESTALE && error != -ENODEV &&
                                 error != -ETIMEDOUT)
                                return error;
                }
                at += size;
                if (!*at)
                        return denied ? denied : error;
        }
}

/* Those that stand in each other's way are moved up first. */
int child_place_descriptors(const int fds[3])
{
        int high[3], error;

        for (int i = 0; i < 3; i++) {
                high[i] = fds[i] < 0 ? -1 : sys_duplicate(fds[i], 3);
                if (high[i] < 0 && fds[i] >= 0)
                        return high[i];
        }
        for (int i = 0; i < 3; i++) {
                error = high[i] < 0 ? 0 : sys_replace(high[i], i);
                if (error < 0)
                        return error;
                if (high[i] >= 0)
                        sys_close(high[i]);
        }
        return 0;
}

/* The program may have opened others without close-on-exec, for itself. */
static int keep_descriptors(const struct child_spec *spec)
{
        int error = spec->is_exact ? sys_close_on_exec_from(3) : 0;

        if (error == -EINVAL || error == -ENOSYS || error == -EPERM)
                error = 0;      /* the kernel does not know it, or somebody has forbidden it */
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

/* In the child. */
static _Noreturn void become(const struct start *start)
{
        int error;

        sys_reset_signals();
        /* Without a group of its own it could not be told to end. */
        error = sys_set_group(0, 0);
        if (!error)
                error = child_place_descriptors(start->spec->fds);
        if (!error)
                error = keep_descriptors(start->spec);
        if (!error)
                error = child_set_death_signal(start->spec->death_signal, start->parent);
        if (!error && start->spec->directory)
                error = sys_change_directory(start->spec->directory);
        if (!error)
                error = execute(start);
        error = -error;
        sys_write(start->error_pipe, &error, sizeof error);
        sys_exit(127);
}

static void has_exited(struct loop_source *source, uint32_t events)
{
        struct child *child = container_of(source, struct child, source);

        (void)events;
        child->ended(child);
}

/* exec's errno, or 0. It stands in the pipe now or never: that the pipe ends is not waited for, because what another thread
 * has forked meanwhile may hold it. */
static int read_exec_error(int pipe)
{
        struct pollfd end = { .fd = pipe, .events = POLLIN };
        int error = 0;

        if (sys_poll(&end, 1, 0) == 0 || sys_read(pipe, &error, sizeof error) != sizeof error)
                return 0;
        return -error;
}

static int fork_child(struct child *child, const struct start *start, const int pipe[2])
{
        siginfo_t info;
        int error;

        child->pid = sys_fork(&child->pidfd);
        if (child->pid == 0)
                become(start);
        sys_close(pipe[1]);
        error = child->pid < 0 ? child->pid : read_exec_error(pipe[0]);
        sys_close(pipe[0]);
        if (child->pid < 0) {
                child->pid = 0;
                return error;
        }
        if (error) {
                /* It ends by itself, now. */
                sys_wait(child->pidfd, &info, 0);
                child->has_ended = true;
                child_deinit(child);
        }
        return error;
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

int child_start(struct child *child, ferry_loop *loop, const struct child_spec *spec,
                void (*ended)(struct child *child))
{
        const char *shell[] = { "/bin/sh", "-c", spec->command, NULL };
        struct start start = { .spec = spec, .parent = sys_pid() };
        struct own_variables own = { 0 };
        int pipe[2], error;

        *child = (struct child){ .loop = loop, .pidfd = -1, .has_group = true, .ended = ended };
        start.argv = spec->argv ? (const char **)(uintptr_t)spec->argv : shell;
        if (!start.argv[0])
                return -EINVAL;
        start.environment = make_environment(spec->env, make_own_variables(spec, &own), true);
        if (!start.environment)
                return -ENOMEM;
        /* It stays clear of 0, 1 and 2, which the child replaces: what it gets was opened before. */
        error = sys_pipe(pipe);
        if (!error) {
                start.error_pipe = pipe[1];
                error = fork_child(child, &start, pipe);
        }
        sys_free(start.environment);
        if (error)
                return error;
        return watch(child);
}

/* In the child: wait until our parent can tell our end from others', or that it cannot. It may have gone. */
static void wait_to_be_known(const int gate[2])
{
        bool is_known;

        sys_close(gate[1]);
        if (sys_read(gate[0], &is_known, sizeof is_known) != sizeof is_known || !is_known)
                sys_exit(127);
        sys_close(gate[0]);
}

int child_fork(struct child *child, ferry_loop *loop, void (*ended)(struct child *child))
{
        int gate[2], error;
        bool is_known;

        *child = (struct child){ .loop = loop, .pidfd = -1, .ended = ended };
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
                        sys_reap(child->pid);
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
        error = sys_signal_group(child->pid, signal);
        /* It may have left its group, and that others there can be told says nothing about it. */
        return error || signal == SIGKILL || sys_group_of(child->pid) != child->pid ? sys_signal_child(child->pidfd, signal) : 0;
}

bool child_has_exited(const struct child *child)
{
        struct pollfd end = { .fd = child->pidfd, .events = POLLIN };

        return child->has_ended || (child->pid > 0 && sys_poll(&end, 1, 0) > 0);
}

bool child_reap(struct child *child)
{
        siginfo_t info = { 0 };
        int error;

        if (child->pid == 0 || child->has_ended)
                return child->has_ended;
        error = sys_wait(child->pidfd, &info, WNOHANG);
        if (!error && info.si_pid == 0)
                return false;
        child->has_ended = true;
        child->is_killed = !error && info.si_code != CLD_EXITED;
        child->status = error ? -1 : info.si_status;
        loop_source_set(&child->source, 0);
        return true;
}

void child_ignore(struct child *child)
{
        loop_source_set(&child->source, 0);
}

void child_deinit(struct child *child)
{
        siginfo_t info;

        if (child->pid == 0)
                return;
        if (!loop_is_foreign(child->loop)) {
                if (!child_reap(child) && child_signal(child, SIGKILL) == 0)
                        sys_wait(child->pidfd, &info, 0);
                loop_source_set(&child->source, 0);
        }
        sys_close(child->pidfd);
        child->pid = 0;
}

void child_describe(const struct child *child, char *text, size_t size)
{
        if (!child->has_ended)
                snprintf(text, size, "still runs");
        else if (child->status < 0)
                snprintf(text, size, "ended, and somebody else took its status");
        else if (child->is_killed)
                snprintf(text, size, "was killed by SIG%s", sigabbrev_np(child->status) ? sigabbrev_np(child->status) : "?");
        else
                snprintf(text, size, "exited with status %d", child->status);
}
