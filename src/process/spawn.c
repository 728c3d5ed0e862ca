/* How a process begins. Invariants: a child gets the descriptors that it was given, and no others; what could not be started
 * leaves nothing behind; a forked child touches nothing that its parent has in the loop. */
#include "process/process.h"

#include "util/options.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>

enum { ENDS_MAX = 10 };

/* Descriptors that are closed at the end of the start, on one side or on both. */
struct ends {
        int theirs[ENDS_MAX];           /* the child's; the parent closes them */
        int their_count;
        int ours[ENDS_MAX];             /* the child closes them; the parent only if nothing comes of it */
        int our_count;
        int session[2];                 /* of ours: to read and write */
        int outputs[2];                 /* of ours: what is captured of fd 1 and 2; -1 */
        struct child_spec child;
        struct child_environment environment;   /* of a forked child */
};

/* Specs ------------------------------------------------------------------------------------------------ */

static const char **copy_list(const char *const *list)
{
        size_t count = 0, size = 0;
        const char **copy;
        char *at;

        while (list[count])
                size += strlen(list[count++]) + 1;
        copy = sys_alloc((count + 1) * sizeof *copy + size);
        if (!copy)
                return NULL;
        at = (char *)(copy + count + 1);
        for (size_t i = 0; i < count; i++) {
                copy[i] = memcpy(at, list[i], strlen(list[i]) + 1);
                at += strlen(list[i]) + 1;
        }
        copy[count] = NULL;
        return copy;
}

static int *copy_numbers(const int *numbers)
{
        size_t count = 1;
        int *copy;

        while (numbers[count - 1] != -1)
                count++;
        copy = sys_alloc(count * sizeof *copy);
        return copy ? memcpy(copy, numbers, count * sizeof *copy) : NULL;
}

static bool copy_text(const char **text)
{
        if (!*text)
                return true;
        *text = text_copy(*text);
        return *text != NULL;
}

int process_copy_spec(ferry_process *process, const char *const argv[], const ferry_process_options *given,
                      const struct process_defaults *defaults, struct error *error)
{
        static const struct options_kind kind = { .name = "ferry_process_options", .size = sizeof *given };
        struct process_spec *spec = &process->spec;
        ferry_process_options *options = &spec->options, all = { 0 };
        bool is_complete;

        options_copy(&kind, &all, given, error);
        *options = all;
        options->input = NULL;
        spec->argv = argv ? copy_list(argv) : NULL;
        spec->env = all.env ? copy_list(all.env) : NULL;
        spec->kept = all.fds ? copy_numbers(all.fds) : NULL;
        is_complete = (!argv || spec->argv) && (!all.env || spec->env) && (!all.fds || spec->kept);
        /* Each, also where one could not be: what is freed must be ours. */
        is_complete = copy_text(&options->directory) && is_complete;
        is_complete = copy_text(&options->stdout_path) && is_complete;
        is_complete = copy_text(&options->stderr_path) && is_complete;
        if (all.input) {
                options->input = sys_alloc(all.input_size + 1);
                if (options->input)
                        memcpy((void *)(uintptr_t)options->input, all.input, all.input_size);
                is_complete = is_complete && options->input;
        }
        spec->has_own_session_options = all.session != NULL;
        spec->session = defaults->session;
        if (all.session)
                options_keep_session(&spec->session, all.session, error);
        options->session = NULL;
        spec->paths[0] = options->stdout_path || all.output ? options->stdout_path : defaults->paths[0];
        spec->paths[1] = options->stderr_path || all.output ? options->stderr_path : defaults->paths[1];
        if (!all.output) {
                options->output = defaults->output;
                options->output_userdata = defaults->output_userdata;
        }
        return is_complete ? error->code : -ENOMEM;
}

void process_free_spec(ferry_process *process)
{
        struct process_spec *spec = &process->spec;

        sys_free(spec->argv);
        sys_free(spec->env);
        sys_free(spec->kept);
        sys_free((char *)(uintptr_t)spec->options.directory);
        sys_free((char *)(uintptr_t)spec->options.stdout_path);
        sys_free((char *)(uintptr_t)spec->options.stderr_path);
        sys_free((void *)(uintptr_t)spec->options.input);
        if (spec->has_own_session_options)
                options_drop_session(spec->session);
        memset(spec, 0, sizeof *spec);
}

/* Descriptors ------------------------------------------------------------------------------------------ */

static void close_theirs(struct ends *ends)
{
        while (ends->their_count > 0)
                sys_close(ends->theirs[--ends->their_count]);
}

static void close_ours(struct ends *ends)
{
        while (ends->our_count > 0)
                sys_close(ends->ours[--ends->our_count]);
}

/* A pipe: @is_to_child says which end is theirs. Returns theirs. */
static int add_pipe(struct ends *ends, bool is_to_child, int *ret_ours)
{
        int pipe[2], error = sys_pipe(pipe);

        if (error)
                return error;
        ends->theirs[ends->their_count++] = pipe[is_to_child ? 0 : 1];
        ends->ours[ends->our_count++] = *ret_ours = pipe[is_to_child ? 1 : 0];
        return pipe[is_to_child ? 0 : 1];
}

static int add_theirs(struct ends *ends, int fd)
{
        if (fd >= 0)
                ends->theirs[ends->their_count++] = fd;
        return fd;
}

/* What the session is: the child's stdin and stdout, or a socket apart. 0 or a negative errno. */
static int open_session(const ferry_process *process, struct ends *ends)
{
        int pair[2], channel, error;

        if (process->spec.options.is_on_stdio && process->spec.argv) {
                ends->child.fds[0] = add_pipe(ends, true, &ends->session[1]);
                if (ends->child.fds[0] < 0)
                        return ends->child.fds[0];
                ends->child.fds[1] = add_pipe(ends, false, &ends->session[0]);
                return ends->child.fds[1] < 0 ? ends->child.fds[1] : 0;
        }
        error = sys_socket_pair(pair);
        if (error)
                return error;
        ends->session[0] = ends->session[1] = ends->ours[ends->our_count++] = pair[0];
        channel = add_theirs(ends, pair[1]);
        /* Where our 0, 1 or 2 is closed it may stand in the place of what else the child gets. */
        if (channel < 3)
                channel = add_theirs(ends, sys_duplicate(channel, 3));
        ends->child.channel = channel < 0 ? 0 : channel;
        return channel < 0 ? channel : 0;
}

static bool is_captured(const ferry_process *process, int i)
{
        return process->spec.options.output ||
               (i == 1 && process->spec.argv && process->spec.options.is_on_stdio);
}

static int open_output(const ferry_process *process, struct ends *ends, int i, struct error *error)
{
        const char *path = process->spec.paths[i];
        int fd = 0, code;

        if (i == 0 && ends->child.fds[1] >= 0)
                return 0;
        if (path) {
                /* If a FIFO has no reader, that is an error instead of a wait. */
                fd = add_theirs(ends, sys_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0666));
                code = fd < 0 ? fd : sys_set_flags(fd, O_APPEND);
                if (code < 0)
                        return error_set(error, code, "cannot write to '%s': %s", path, error_describe(code));
        } else if (is_captured(process, i))
                fd = add_pipe(ends, false, &ends->outputs[i]);
        else
                return 0;
        ends->child.fds[i + 1] = fd;
        return fd < 0 ? fd : 0;
}

/* Its stdin holds what it was given: in memory, so that nothing needs to be written while it runs. */
static int open_input(const ferry_process *process, struct ends *ends)
{
        const ferry_process_options *options = &process->spec.options;
        const char *bytes = options->input;
        size_t left = options->input_size;
        int fd;

        if (!bytes || ends->child.fds[0] >= 0)
                return 0;
        fd = add_theirs(ends, sys_memory_file());
        if (fd < 0)
                return fd;
        while (left > 0) {
                ssize_t put = sys_write(fd, bytes, left);

                if (put <= 0)
                        return put < 0 ? (int)put : -EIO;
                bytes += put;
                left -= (size_t)put;
        }
        ends->child.fds[0] = fd;
        return sys_rewind(fd);
}

/* A number without a descriptor could become that of a descriptor that is opened for the child here. */
static int check_kept(const struct process_spec *spec)
{
        int code = 0;

        for (size_t i = 0; code >= 0 && spec->kept && spec->kept[i] >= 0; i++)
                code = sys_is_close_on_exec(spec->kept[i]);
        return code < 0 ? code : 0;
}

/* A forked child could not report to its parent that it cannot go there. */
static int check_directory(const char *path)
{
        int fd = path ? sys_open(path, O_PATH | O_DIRECTORY, 0) : -1;

        if (fd >= 0)
                sys_close(fd);
        return path && fd < 0 ? fd : 0;
}

static int open_ends(ferry_process *process, struct ends *ends, struct error *error)
{
        int code = check_kept(&process->spec);

        if (!code)
                code = open_session(process, ends);
        if (!code)
                code = open_input(process, ends);
        for (int i = 0; i < 2 && !code; i++)
                code = open_output(process, ends, i, error);
        return code ? error_set(error, code, "cannot open the descriptors of a child: %s", error_describe(code)) : 0;
}

/* The forked child ------------------------------------------------------------------------------------- */

/* All that was opened for it, but for its session and what stands at 0, 1 and 2 now. */
static void close_rest(const struct ends *ends)
{
        for (int i = 0; i < ends->their_count; i++) {
                int fd = ends->theirs[i];

                if (fd != ends->child.channel && (fd >= 3 || ends->child.fds[fd] < 0))
                        sys_close(fd);
        }
}

void process_drop_note(ferry_process *process)
{
        if (process->note)
                sys_unmap_page(process->note);
        process->note = NULL;
}

/* A parent that reads nothing may be one that waits for our end: it gets as much time as for a close. Then our exit status is not
 * that of success, and the parent reads why. */
static int send_rest(ferry_session *session, int result, struct child_note *note)
{
        double seconds = session_close_timeout(session) / 1000.0;
        size_t left = session_send_rest(session);

        if (left == 0)
                return result;
        snprintf(note->sentence, sizeof note->sentence, "its parent has not read %zu bytes that it sent within %g s", left, seconds);
        return result ? result : 1;
}

/* It could not become what its parent has asked for. */
static int fail_in_child(int code, const char *what, struct child_note *note)
{
        snprintf(note->sentence, sizeof note->sentence, "cannot %s: %s", what, error_describe(code));
        return code;
}

/* Before its function is called: 0, or a negative errno. */
static int prepare_child(const struct process_spec *spec, const struct ends *ends, pid_t parent_pid, struct child_note *note)
{
        int moved[3], code = child_place_descriptors(ends->child.fds, moved);

        for (int i = 0; i < 3 && !code; i++)
                if (moved[i] >= 0)
                        sys_close(moved[i]);
        if (code)
                return fail_in_child(code, "place its descriptors", note);
        if (ends->child.fds[0] >= 0) {
                /* What the parent has read ahead of its own. */
                __fpurge(stdin);
                clearerr(stdin);
        }
        if (spec->options.directory && (code = sys_change_directory(spec->options.directory)) < 0)
                return fail_in_child(code, "change its directory", note);
        code = child_set_death_signal(spec->options.death_signal, parent_pid);
        return code ? fail_in_child(code, "follow the end of its parent", note) : 0;
}

static _Noreturn void be_child(ferry_process *process, struct ends *ends, pid_t parent_pid)
{
        const struct process_spec spec = process->spec;
        ferry_peer parent = { .pid = parent_pid, .uid = sys_uid(), .gid = sys_gid() };
        const sigset_t *mask = process->owner->mask_before(process);
        struct child_note *note = process->note;
        ferry_session *session;
        ferry_loop *loop;
        int fds[2], result;

        if (mask)
                sys_restore_signals(mask);
        process->note = NULL;
        loop_abandon(process->loop);
        fds[0] = fds[1] = ends->child.channel;
        close_ours(ends);
        result = prepare_child(&spec, ends, parent_pid, note);
        child_use_environment(&ends->environment);
        close_rest(ends);
        loop = result ? NULL : ferry_loop_new(&(ferry_loop_options){ .session = session_defaults(process->loop) });
        if (loop) {
                /* The function may free it. */
                loop_enter(loop);
                session = session_open_process(loop, fds, spec.session, "parent", &parent, NULL, NULL);
                result = session ? send_rest(session, spec.fn(session, spec.fn_userdata), note) :
                                   fail_in_child(-ENOMEM, "talk to its parent", note);
                ferry_loop_free(loop);
                loop_leave(loop);
        } else if (!result)
                result = fail_in_child(-ENOMEM, "make a loop", note);
        fflush(stdout);
        fflush(stderr);
        sys_exit(result < 0 ? 1 : result & 0xff);
}

/* The parent ------------------------------------------------------------------------------------------- */

static bool process_is_gone(const struct captured *captured)
{
        return container_of(captured, struct output, captured)->process->holder == HOLDER_FREED;
}

static void take_output(struct captured *captured, const char *bytes, size_t size)
{
        struct output *output = container_of(captured, struct output, captured);
        ferry_process *process = output->process;
        const ferry_process_options *options = &process->spec.options;
        int fd = output == &process->outputs[0] ? 1 : 2;

        if (options->output)
                options->output(process, fd, bytes, size, options->output_userdata);
        else if (process->session)
                session_add_text(process->session, "stderr", bytes, size);
}

/* What is ours of an end is the process's from now on. */
static int capture(ferry_process *process, struct ends *ends)
{
        bool is_raw = process->spec.options.output;

        for (int i = 0; i < 2; i++) {
                struct output *output = &process->outputs[i];
                int error;

                output->process = process;
                captured_init(&output->captured, process->loop, !is_raw, take_output, process_is_gone);
                if (ends->outputs[i] < 0)
                        continue;
                error = captured_open(&output->captured, ends->outputs[i]);
                if (error) {
                        /* The other one is closed here, this one by the caller, which has opened it. */
                        captured_close(&process->outputs[0].captured, false);
                        return error;
                }
                for (int k = 0; k < ends->our_count; k++)
                        if (ends->ours[k] == ends->outputs[i])
                                ends->ours[k] = ends->ours[--ends->our_count];
        }
        return 0;
}

static int open_process_session(ferry_process *process, struct ends *ends, const struct session_owner *owner)
{
        ferry_peer peer = { .pid = process->child.pid, .uid = sys_uid(), .gid = sys_gid() };
        char address[32];

        snprintf(address, sizeof address, "process:%d", (int)process->child.pid);
        ends->our_count = 0;
        process->session = session_open_process(process->loop, ends->session, process->spec.session, address, &peer,
                                                owner, process);
        if (!process->session)
                return -ENOMEM;
        return 0;
}

int process_spawn(ferry_process *process, const struct child_owner *child_owner, const struct session_owner *session_owner,
                  struct error *error)
{
        struct ends ends = { .outputs = { -1, -1 }, .child = { .fds = { -1, -1, -1 } } };
        const struct process_spec *spec = &process->spec;
        ferry_loop *loop = process->loop;
        pid_t parent = sys_pid();
        int code = session_check_options(loop, spec->session, error);

        if (!code)
                code = open_ends(process, &ends, error);
        ends.child.argv = spec->argv;
        ends.child.env = spec->env;
        ends.child.kept = spec->kept;
        ends.child.is_exact = true;
        ends.child.is_worker = true;
        ends.child.worker = process->number;
        ends.child.directory = spec->options.directory;
        ends.child.death_signal = spec->options.death_signal;
        if (!code && spec->fn) {
                /* What was printed is printed once. */
                fflush(stdout);
                fflush(stderr);
                code = check_directory(spec->options.directory);
                if (!code && !(process->note = sys_map_shared()))
                        code = -ENOMEM;
                if (!code)
                        code = child_make_environment(&ends.environment, process->number);
                if (!code)
                        code = child_fork(&process->child, loop, child_owner);
                if (!code)
                        be_child(process, &ends, parent);
                code = code > 0 ? 0 : code;
        } else if (!code)
                code = child_start(&process->child, loop, &ends.child, child_owner);
        if (code)
                error_set(error, code, "%s cannot be started%s%s: %s", spec->argv ? spec->argv[0] : "a child",
                          spec->options.directory ? " in " : "", spec->options.directory ? spec->options.directory : "",
                          error_describe(code));
        sys_free(ends.environment.list);
        close_theirs(&ends);
        if (!code)
                code = capture(process, &ends);
        if (!code)
                code = open_process_session(process, &ends, session_owner);
        if (code) {
                close_ours(&ends);
                process_drop_note(process);
                child_deinit(&process->child);
                return error_set(error, code, "cannot connect to a child: %s", error_describe(code));
        }
        process->pid = process->child.pid;
        return 0;
}
