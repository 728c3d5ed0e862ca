/* Answer a request with what a command prints: the body on its stdin, the type in FERRY_TYPE. Several run at once.
 * Each leads a process group: what it has started is ended with it when nobody waits for the answer any more, and a
 * Ctrl-C at the terminal, which asks us to end in order, does not reach it. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
        struct run *next;
        ferry_loop *loop;
        ferry_message *request;
        ferry_value *input;
        size_t input_taken;
        int in;                 /* we write the body there; -1: done */
        int out;                /* we read the answer there; -1: at its end */
        int pidfd;              /* -1: it has ended, but keeps its number until its answer is read */
        pid_t pid;
        bool is_ending;         /* it was told to end */
        int status;
        char *answer;
        size_t answer_size;
        size_t answer_capacity;
};

/* Sooner than we are killed ourselves, if it is our own parent who waits no more. */
enum { KILL_DELAY_MS = 500 };

static struct run *runs;

static int write_body(ferry_loop *loop, void *userdata);
static int read_answer(ferry_loop *loop, void *userdata);
static int kill_run(ferry_loop *loop, void *userdata);

static void finish(struct run *run)
{
        ferry_builder *builder = ferry_builder_new();
        bool is_object = speaks(ferry_message_session(run->request), "stream-ipc");
        ferry_value *text = NULL;

        waitpid(run->pid, &run->status, 0);
        ferry_loop_off(run->loop, kill_run, run);
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, run->answer, run->answer_size);
        ferry_builder_finish(builder, &text);
        if (WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0 && text)
                ferry_message_reply(run->request, is_object ? FERRY_LOG_MESSAGE : NULL, "%p", (const void *)text);
        else if (WIFSIGNALED(run->status))
                ferry_message_fail(run->request, "the command was killed by SIG%s",
                                   sigabbrev_np(WTERMSIG(run->status)));
        else
                ferry_message_fail(run->request, "the command exited with status %d", WEXITSTATUS(run->status));
        ferry_value_unref(text);
        for (struct run **link = &runs; *link; link = &(*link)->next)
                if (*link == run) {
                        *link = run->next;
                        break;
                }
        ferry_message_unref(run->request);
        ferry_value_unref(run->input);
        free(run->answer);
        free(run);
}

static void close_input(struct run *run)
{
        if (run->in < 0)
                return;
        ferry_loop_off(run->loop, write_body, run);
        close(run->in);
        run->in = -1;
}

static void close_output(struct run *run)
{
        if (run->out < 0)
                return;
        ferry_loop_off(run->loop, read_answer, run);
        close(run->out);
        run->out = -1;
}

static int finish_if_done(struct run *run)
{
        if (run->pidfd < 0 && run->out < 0) {
                close_input(run);
                finish(run);
        }
        return 0;
}

static int write_body(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;
        size_t size;
        const char *bytes = ferry_value_bytes(run->input, &size);
        ssize_t put = write(run->in, bytes + run->input_taken, size - run->input_taken);

        (void)loop;
        if (put >= 0)
                run->input_taken += (size_t)put;
        /* A command need not read all of it. */
        if (run->input_taken < size && (put >= 0 || errno == EAGAIN || errno == EINTR))
                return 1;
        close_input(run);
        return 0;
}

static int read_answer(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;
        ssize_t got;

        (void)loop;
        if (run->answer_size == run->answer_capacity) {
                size_t capacity = run->answer_capacity ? run->answer_capacity * 2 : 65536;
                char *grown = realloc(run->answer, capacity);

                if (grown) {
                        run->answer = grown;
                        run->answer_capacity = capacity;
                }
        }
        got = run->answer_size < run->answer_capacity ?
                      read(run->out, run->answer + run->answer_size, run->answer_capacity - run->answer_size) :
                      0;
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return 1;
        if (got > 0) {
                run->answer_size += (size_t)got;
                return 1;
        }
        close_output(run);
        return finish_if_done(run);
}

static int has_ended(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;

        (void)loop;
        ferry_loop_off(run->loop, has_ended, run);
        close(run->pidfd);
        run->pidfd = -1;
        return finish_if_done(run);
}

/* It did not end when it was told to. Who has left its group may go on, and is not waited for. */
static int kill_run(ferry_loop *loop, void *userdata)
{
        struct run *run = userdata;

        (void)loop;
        kill(-run->pid, SIGKILL);
        close_output(run);
        return finish_if_done(run);
}

/* The environment with FERRY_TYPE; the caller frees both. */
static char **environment_with_type(const char *type, char **ret_variable)
{
        size_t count = 0;
        char **copy;

        *ret_variable = NULL;
        while (environ[count])
                count++;
        copy = malloc((count + 2) * sizeof *copy);
        if (!copy || asprintf(ret_variable, "FERRY_TYPE=%s", type) < 0) {
                free(copy);
                return NULL;
        }
        copy[0] = *ret_variable;
        memcpy(copy + 1, environ, (count + 1) * sizeof *copy);
        return copy;
}

static int start(struct run *run, const char *command)
{
        const char *argv[] = { "/bin/sh", "-c", command, NULL };
        int in[2] = { -1, -1 }, out[2] = { -1, -1 }, error;
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        char *variable, **environment = environment_with_type(ferry_message_type(run->request), &variable);
        sigset_t none, by_default;

        if (!environment)
                return -ENOMEM;
        if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
                error = errno;
                goto end;
        }
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        sigemptyset(&none);
        sigemptyset(&by_default);
        sigaddset(&by_default, SIGPIPE);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &by_default);
        posix_spawnattr_setflags(&attributes,
                                 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
        error = posix_spawn(&run->pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, environment);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
end:
        if (in[0] >= 0)
                close(in[0]);
        if (out[1] >= 0)
                close(out[1]);
        run->in = in[1];
        run->out = out[0];
        free(variable);
        free(environment);
        return -error;
}

int answer_by_command(const ferry_message *request, const char *command)
{
        struct run *run = calloc(1, sizeof *run);
        int error;

        if (!run)
                return -ENOMEM;
        run->loop = ferry_session_loop(ferry_message_session(request));
        run->request = ferry_message_ref(request);
        run->input = body_text(request);
        run->in = run->out = run->pidfd = -1;
        error = run->input ? start(run, command) : -ENOMEM;
        if (!error) {
                run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
                fcntl(run->in, F_SETFL, O_NONBLOCK);
                fcntl(run->out, F_SETFL, O_NONBLOCK);
        }
        if (error) {
                if (run->in >= 0)
                        close(run->in);
                if (run->out >= 0)
                        close(run->out);
                ferry_message_fail(request, "the command cannot be started: %s", strerror(-error));
                ferry_message_unref(run->request);
                ferry_value_unref(run->input);
                free(run);
                return 0;
        }
        run->next = runs;
        runs = run;
        ferry_loop_watch(run->loop, run->in, POLLOUT, write_body, run);
        ferry_loop_watch(run->loop, run->out, POLLIN, read_answer, run);
        ferry_loop_watch(run->loop, run->pidfd, POLLIN, has_ended, run);
        return 1;
}

bool answers_are_due(void)
{
        return runs != NULL;
}

void answers_end_unwanted(void)
{
        for (struct run *run = runs; run; run = run->next) {
                if (run->is_ending || ferry_message_is_wanted(run->request))
                        continue;
                run->is_ending = true;
                kill(-run->pid, SIGTERM);
                ferry_loop_after(run->loop, KILL_DELAY_MS, kill_run, run);
        }
}
