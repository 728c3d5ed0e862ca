/* One command of --exec or --notify-exec. It leads a process group, which is ended with it.
 *
 *      RUNS ----> DRAINS ----> (over)          it has exited: what its pipes still hold is read, for a short time
 *       |                        ^             if another process holds them
 *       +------> ENDS --> KILLED +             it is no longer wanted, wrote too much, or takes too long
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        DRAIN_MS = 100,
        CHUNK = 64 << 10,
        LINE_MAX_SIZE = 4096,
        TAIL_MAX = 400,         /* with what is put between its lines it must fit into the sentence of an error */
        STACK_SIZE = 64 << 10,
        VARIABLES = 4,
        KNOWN_VARIABLES = 2,    /* the first ones, which are always set, perhaps to nothing */
};

enum phase { RUNS, DRAINS, ENDS, KILLED };

struct command {
        ferry_loop *loop;
        struct command_spec spec;
        enum phase phase;
        pid_t pid;
        int pidfd;              /* -1: it was reaped */
        int in, out, err;       /* our ends of its pipes; -1: closed */
        int status;             /* of waitpid(2); valid if it is known */
        bool is_status_known;
        bool is_too_large;
        bool is_late;
        bool is_guarded;
        bool is_held;           /* a line was not taken: nothing more is read */
        int waited_ms;          /* in ENDS */
        size_t input_taken;
        char *output;
        size_t size, capacity;
        char line[LINE_MAX_SIZE]; /* of stderr, that is not whole yet */
        size_t line_size;
        char tail[TAIL_MAX + 1]; /* the last that it wrote to stderr */
        size_t tail_size;
        char reason[3 * TAIL_MAX + 128];
};

static int write_input(ferry_loop *loop, void *userdata);
static int read_output(ferry_loop *loop, void *userdata);
static int read_errors(ferry_loop *loop, void *userdata);
static int see_exit(ferry_loop *loop, void *userdata);
static int wait_longer(ferry_loop *loop, void *userdata);
static int take_too_long(ferry_loop *loop, void *userdata);

/* stderr -------------------------------------------------------------------------------------------------- */

static void keep_tail(struct command *command, const char *bytes, size_t size)
{
        size_t over;

        if (size > TAIL_MAX) {
                bytes += size - TAIL_MAX;
                size = TAIL_MAX;
        }
        over = command->tail_size + size > TAIL_MAX ? command->tail_size + size - TAIL_MAX : 0;
        memmove(command->tail, command->tail + over, command->tail_size - over);
        command->tail_size -= over;
        memcpy(command->tail + command->tail_size, bytes, size);
        command->tail_size += size;
}

/* Whole lines; at the end, or if a line is too long for that, what there is. */
static void pass_lines(struct command *command, bool is_last)
{
        const char *newline = memrchr(command->line, '\n', command->line_size);
        size_t size = newline ? (size_t)(newline - command->line) + 1 : 0;

        if (is_last && command->line_size > 0 && command->line[command->line_size - 1] != '\n')
                command->line[command->line_size++] = '\n';
        if (is_last || (size == 0 && command->line_size == LINE_MAX_SIZE - 1))
                size = command->line_size;
        if (size == 0)
                return;
        print_passed(command->line, size);
        command->line_size -= size;
        memmove(command->line, command->line + size, command->line_size);
}

/* "; its last words: a | b", or nothing. */
static void describe_tail(const struct command *command, char *text, size_t size)
{
        const char *at = command->tail, *end = at + command->tail_size, *newline;

        while (end > at && (end[-1] == '\n' || end[-1] == '\r'))
                end--;
        /* What was cut off in front does not begin with a line. */
        newline = command->tail_size == TAIL_MAX ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (newline)
                at = newline + 1;
        while (command->tail_size == TAIL_MAX && at < end && (*at & 0xc0) == 0x80)
                at++;
        *text = '\0';
        if (at == end)
                return;
        text += snprintf(text, size, "; its last words: ");
        for (; at < end; at++)
                if (*at == '\n') {
                        memcpy(text, " | ", 3);
                        text += 3;
                        while (at[1] == '\n' || at[1] == '\r')
                                at++;
                } else
                        *text++ = (char)(*at && *at != '\r' ? *at : ' ');
        *text = '\0';
}

/* Lines --------------------------------------------------------------------------------------------------- */

/* Hand over the lines that are there, until one is not taken; and at the end the rest, too. */
static void pass_output(struct command *command)
{
        size_t taken = 0, size;

        command->is_held = false;
        while (!command->is_held && taken < command->size && command->phase != ENDS && command->phase != KILLED) {
                const char *line = command->output + taken, *newline = memchr(line, '\n', command->size - taken);

                if (!newline && command->out >= 0)
                        break;
                size = newline ? (size_t)(newline - line) : command->size - taken;
                command->is_held = !command->spec.line_fn(line, size, command->spec.userdata);
                if (!command->is_held)
                        taken += size + (newline != NULL);
        }
        if (taken > 0)
                memmove(command->output, command->output + taken, command->size - taken);
        command->size -= taken;
}

/* Its end ------------------------------------------------------------------------------------------------- */

static void close_pipe(struct command *command, int *fd, ferry_loop_fn *fn)
{
        if (*fd < 0)
                return;
        ferry_loop_off(command->loop, fn, command);
        close(*fd);
        *fd = -1;
}

/* A phrase, or NULL for a success. */
static const char *describe_end(struct command *command)
{
        char *reason = command->reason;
        size_t size = sizeof command->reason, used;

        if (command->is_too_large) {
                snprintf(reason, size, "wrote more than %zu bytes, which is more than a message may have, and was killed",
                         command->spec.output_max);
                return reason;
        }
        if (command->is_late)
                snprintf(reason, size, "took longer than %g s (--timeout), and was ended", command->spec.timeout_ms / 1000.0);
        else if (!command->is_status_known)
                snprintf(reason, size, "has ended, but its exit status is unknown");
        else if (WIFSIGNALED(command->status))
                snprintf(reason, size, "was killed by SIG%s", sigabbrev_np(WTERMSIG(command->status)));
        else if (WEXITSTATUS(command->status) != 0)
                snprintf(reason, size, "exited with status %d", WEXITSTATUS(command->status));
        else
                return NULL;
        used = strlen(reason);
        describe_tail(command, reason + used, size - used);
        return reason;
}

static void leave_guard(struct command *command)
{
        if (command->is_guarded)
                guard_remove(command->pid);
        command->is_guarded = false;
}

static void finish(struct command *command)
{
        struct command_result result = { .output = command->output, .size = command->size };

        ferry_loop_off(command->loop, wait_longer, command);
        ferry_loop_off(command->loop, see_exit, command);
        ferry_loop_off(command->loop, take_too_long, command);
        close_pipe(command, &command->in, write_input);
        close_pipe(command, &command->out, read_output);
        close_pipe(command, &command->err, read_errors);
        pass_lines(command, true);
        leave_guard(command);
        if (command->pidfd >= 0)
                close(command->pidfd);
        result.reason = describe_end(command);
        if (command->spec.line_fn)
                result.size = 0;
        command->spec.over(command, &result, command->spec.userdata);
        ferry_value_unref(command->spec.input);
        free(command->output);
        free(command);
}

static void set_phase(struct command *command, enum phase phase, int look_ms)
{
        command->phase = phase;
        command->waited_ms = 0;
        ferry_loop_off(command->loop, wait_longer, command);
        ferry_loop_after(command->loop, look_ms, wait_longer, command);
}

/* SIGKILL cannot be refused, but not be sent to a program that runs as another user: that is let go. */
static void kill_group(struct command *command)
{
        kill(-command->pid, SIGKILL);
        close_pipe(command, &command->out, read_output);
        set_phase(command, KILLED, KILL_DELAY_MS);
}

static int wait_longer(ferry_loop *loop, void *userdata)
{
        struct command *command = userdata;

        (void)loop;
        if (command->phase == ENDS && (command->pidfd >= 0 || !group_is_gone(command->pid))) {
                command->waited_ms += GROUP_LOOK_MS;
                if (command->waited_ms < KILL_DELAY_MS)
                        return 1;
                kill_group(command);
                if (command->pidfd >= 0)
                        return 0;
        }
        if (command->phase == DRAINS && command->spec.line_fn) {
                if (!command->is_held)
                        close_pipe(command, &command->out, read_output);
                pass_output(command);
                if (command->is_held)
                        return 1;
        }
        finish(command);
        return 0;
}

static int see_exit(ferry_loop *loop, void *userdata)
{
        struct command *command = userdata;

        ferry_loop_off(loop, see_exit, command);
        close(command->pidfd);
        command->pidfd = -1;
        close_pipe(command, &command->in, write_input);
        if (command->phase == RUNS)
                leave_guard(command);
        command->is_status_known = waitpid(command->pid, &command->status, 0) == command->pid;
        if (command->phase == KILLED)
                finish(command);
        else if (command->phase == RUNS) {
                set_phase(command, DRAINS, DRAIN_MS);
                if (command->out < 0 && command->err < 0 && !command->is_held)
                        finish(command);
                else
                        command->spec.exited();
        }
        return 0;
}

void command_end(struct command *command)
{
        if (command->phase != RUNS)
                return;
        kill(-command->pid, SIGTERM);
        /* One that is stopped takes no other signal. */
        kill(-command->pid, SIGCONT);
        close_pipe(command, &command->out, read_output);
        set_phase(command, ENDS, GROUP_LOOK_MS);
}

static int take_too_long(ferry_loop *loop, void *userdata)
{
        struct command *command = userdata;

        (void)loop;
        command->is_late = command->phase == RUNS;
        command_end(command);
        return 0;
}

bool command_is_running(const struct command *command)
{
        return command->pidfd >= 0;
}

/* Its pipes ----------------------------------------------------------------------------------------------- */

static bool is_to_be_tried_again(void)
{
        return errno == EAGAIN || errno == EINTR;
}

static int write_input(ferry_loop *loop, void *userdata)
{
        struct command *command = userdata;
        size_t size;
        const char *bytes = ferry_value_bytes(command->spec.input, &size);
        ssize_t put = write(command->in, bytes + command->input_taken, size - command->input_taken);

        (void)loop;
        if (put >= 0)
                command->input_taken += (size_t)put;
        /* A command need not read all of it. */
        if (command->input_taken < size && (put >= 0 || is_to_be_tried_again()))
                return 1;
        close_pipe(command, &command->in, write_input);
        return 0;
}

static void see_end_of_pipe(struct command *command)
{
        if (command->phase == DRAINS && command->out < 0 && command->err < 0 && !command->is_held)
                finish(command);
}

void command_go_on(struct command *command)
{
        if (!command->is_held)
                return;
        pass_output(command);
        if (command->is_held)
                return;
        if (command->out >= 0)
                ferry_loop_watch(command->loop, command->out, POLLIN, read_output, command);
        see_end_of_pipe(command);
}

/* One byte more than may be. */
static bool make_room(struct command *command)
{
        size_t max = command->spec.output_max + 1, capacity = command->capacity * 2;
        char *grown;

        if (command->size < command->capacity)
                return true;
        if (capacity < CHUNK)
                capacity = CHUNK;
        if (capacity > max)
                capacity = max;
        grown = realloc(command->output, capacity);
        if (!grown)
                return false;
        command->output = grown;
        command->capacity = capacity;
        return true;
}

static int read_output(ferry_loop *loop, void *userdata)
{
        struct command *command = userdata;
        ssize_t got;

        (void)loop;
        if (!make_room(command)) {
                command->is_too_large = true;
        } else {
                got = read(command->out, command->output + command->size, command->capacity - command->size);
                if (got < 0 && is_to_be_tried_again())
                        return 1;
                if (got <= 0) {
                        close_pipe(command, &command->out, read_output);
                        if (command->spec.line_fn)
                                pass_output(command);
                        see_end_of_pipe(command);
                        return 0;
                }
                command->size += (size_t)got;
                if (command->spec.line_fn) {
                        pass_output(command);
                        if (command->is_held)
                                return 0;
                }
                command->is_too_large = command->size > command->spec.output_max;
        }
        if (!command->is_too_large)
                return 1;
        if (command->pidfd < 0) {
                close_pipe(command, &command->out, read_output);
                finish(command);
        } else
                kill_group(command);
        return 0;
}

static int read_errors(ferry_loop *loop, void *userdata)
{
        struct command *command = userdata;
        ssize_t got = read(command->err, command->line + command->line_size, LINE_MAX_SIZE - 1 - command->line_size);

        (void)loop;
        if (got < 0 && is_to_be_tried_again())
                return 1;
        if (got <= 0) {
                close_pipe(command, &command->err, read_errors);
                see_end_of_pipe(command);
                return 0;
        }
        keep_tail(command, command->line + command->line_size, (size_t)got);
        command->line_size += (size_t)got;
        pass_lines(command, false);
        return 1;
}

/* Its beginning ------------------------------------------------------------------------------------------- */

struct launch {
        const char *const *argv;
        char *const *environment;
        int fds[3];
        int guard;
        bool is_unguarded;
        int error;
};

/* In the child, which has our memory until it is another program, so it must not return to a handler of ours. What is ignored
 * stays ignored, but SIGPIPE and SIGXFSZ, which only we ignore. What is returned is the exit
 * status, by the system call alone. */
static int begin(void *userdata)
{
        struct launch *launch = userdata;
        pid_t own = getpid();
        sigset_t none;

        setpgid(0, 0);
        if (write(launch->guard, &own, sizeof own) != sizeof own) {
                launch->is_unguarded = true;
                launch->error = -EPIPE;
                return 127;
        }
        for (int number = 1; number < NSIG; number++) {
                struct sigaction action;

                if (sigaction(number, NULL, &action) < 0 || (action.sa_handler == SIG_IGN && number != SIGPIPE && number != SIGXFSZ))
                        continue;
                action = (struct sigaction){ .sa_handler = SIG_DFL };
                sigaction(number, &action, NULL);
        }
        for (int fd = 0; fd < 3; fd++)
                if (dup2(launch->fds[fd], fd) < 0) {
                        launch->error = -errno;
                        return 127;
                }
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(launch->argv[0], (char *const *)(uintptr_t)launch->argv, launch->environment);
        launch->error = -errno;
        return 127;
}

/* Returns the pid, of which @ret_pidfd is a descriptor; or a negative errno. */
static pid_t launch_process(struct launch *launch, int *ret_pidfd)
{
        static char stack[STACK_SIZE] __attribute__((__aligned__(16)));
        sigset_t all, before;
        pid_t pid;

        launch->error = 0;
        launch->is_unguarded = false;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before);
        pid = clone(begin, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, launch, ret_pidfd);
        if (pid < 0)
                launch->error = -errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (pid < 0)
                return launch->error;
        if (!launch->error) {
                guard_add(pid);
                return pid;
        }
        if (!launch->is_unguarded) {
                guard_add(pid);
                guard_remove(pid);
        }
        close(*ret_pidfd);
        waitpid(pid, NULL, 0);
        return launch->error;
}

/* What the environment of a command says of its message: NAME=VALUE, or NAME= for what is not known. */
struct variables {
        char *texts[VARIABLES];
        size_t names[VARIABLES];        /* sizes, with the = */
};

__attribute__((__format__(__printf__, 4, 5)))
static bool add_variable(struct variables *variables, int index, bool is_known, const char *format, ...)
{
        va_list arguments;
        int size;

        va_start(arguments, format);
        size = vasprintf(&variables->texts[index], format, arguments);
        va_end(arguments);
        if (size < 0) {
                variables->texts[index] = NULL;
                return false;
        }
        variables->names[index] = strcspn(variables->texts[index], "=") + 1;
        if (!is_known)
                variables->texts[index][variables->names[index]] = '\0';
        return true;
}

static bool make_variables(const struct command_spec *spec, struct variables *ret)
{
        const ferry_peer *peer = &spec->peer;

        *ret = (struct variables){ 0 };
        /* The process is 0 if it belongs to another namespace. */
        return add_variable(ret, 0, true, "FERRY_TYPE=%s", spec->type) && add_variable(ret, 1, true, "FERRY_KIND=%s", spec->kind) &&
               add_variable(ret, 2, peer->pid > 0, "FERRY_PEER_PID=%ld", (long)peer->pid) &&
               add_variable(ret, 3, peer->pid >= 0, "FERRY_PEER_UID=%lu", (unsigned long)peer->uid);
}

static void free_variables(struct variables *variables)
{
        for (int i = 0; i < VARIABLES; i++)
                free(variables->texts[i]);
}

static bool is_replaced(const struct variables *variables, const char *text)
{
        for (int i = 0; i < VARIABLES; i++)
                if (strncmp(text, variables->texts[i], variables->names[i]) == 0)
                        return true;
        return false;
}

/* Ours with these, each once at most; the caller's. NULL: no memory. */
static char **make_environment(const struct variables *variables)
{
        size_t count = 0, used = 0;
        char **copy;

        while (environ && environ[count])
                count++;
        copy = malloc((count + VARIABLES + 1) * sizeof *copy);
        if (!copy)
                return NULL;
        for (int i = 0; i < VARIABLES; i++)
                if (i < KNOWN_VARIABLES || variables->texts[i][variables->names[i]])
                        copy[used++] = variables->texts[i];
        for (size_t i = 0; i < count; i++)
                if (!is_replaced(variables, environ[i]))
                        copy[used++] = environ[i];
        copy[used] = NULL;
        return copy;
}

static pid_t launch_guarded(struct command *command, const int fds[3], char *const *environment, bool *ret_is_guard)
{
        const char *argv[] = { "/bin/sh", "-c", command->spec.line, NULL };
        struct launch launch = { .argv = argv, .environment = environment, .fds = { fds[0], fds[1], fds[2] } };
        pid_t pid = -ENOMEM;

        if (!guard_reserve())
                return pid;
        /* The second time with a new guard. */
        for (int tries = 0; tries < 2; tries++) {
                launch.guard = guard_open(command->loop);
                *ret_is_guard = launch.guard < 0;
                pid = *ret_is_guard ? launch.guard : launch_process(&launch, &command->pidfd);
                if (!*ret_is_guard && !launch.is_unguarded)
                        break;
                *ret_is_guard = true;
                guard_fail();
        }
        return pid;
}

static int start(struct command *command, bool *ret_is_guard)
{
        int theirs[3] = { -1, -1, -1 }, *ours[] = { &command->in, &command->out, &command->err };
        struct variables variables;
        char **environment = make_variables(&command->spec, &variables) ? make_environment(&variables) : NULL;
        int error = environment ? 0 : -ENOMEM;

        for (int fd = 0; fd < 3 && !error; fd++) {
                int ends[2];

                if (pipe2(ends, O_CLOEXEC) < 0) {
                        error = -errno;
                        break;
                }
                *ours[fd] = ends[fd == 0];
                theirs[fd] = ends[fd != 0];
                fcntl(*ours[fd], F_SETFL, O_NONBLOCK);
        }
        if (!error) {
                command->pid = launch_guarded(command, theirs, environment, ret_is_guard);
                error = command->pid < 0 ? command->pid : 0;
                command->is_guarded = !error;
        }
        for (int fd = 0; fd < 3; fd++) {
                int mine = *ours[fd];

                if (theirs[fd] >= 0)
                        close(theirs[fd]);
                if (error && mine >= 0)
                        close(mine);
        }
        free_variables(&variables);
        free(environment);
        return error;
}

struct command *command_start(ferry_loop *loop, const struct command_spec *spec, struct command_failure *ret_failure)
{
        struct command *command = calloc(1, sizeof *command);

        *ret_failure = (struct command_failure){ .error = -ENOMEM };
        if (!command)
                return NULL;
        command->loop = loop;
        command->spec = *spec;
        command->in = command->out = command->err = command->pidfd = -1;
        ret_failure->error = start(command, &ret_failure->is_guard);
        if (ret_failure->error) {
                free(command);
                return NULL;
        }
        ferry_value_ref(spec->input);
        ferry_loop_watch(loop, command->in, POLLOUT, write_input, command);
        ferry_loop_watch(loop, command->out, POLLIN, read_output, command);
        ferry_loop_watch(loop, command->err, POLLIN, read_errors, command);
        ferry_loop_watch(loop, command->pidfd, POLLIN, see_exit, command);
        if (spec->timeout_ms >= 0)
                ferry_loop_after(loop, spec->timeout_ms, take_too_long, command);
        return command;
}
