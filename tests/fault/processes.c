/* Children that are processes of a manager. A forked one is the same program under the same door: its calls are judged as
 * those of children are between fork and exec, apart from ours; its memory is not taken away. What it ends with then is
 * not foreseen, but it ends, and it is told. */
#include "fault/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The clock of another process cannot be stopped, so it gets time. */
enum { CHILD_PATIENCE_MS = 10000 };

static unsigned started, ended;

static int count_event(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager;
        ++*(unsigned *)userdata;
        if (userdata == &ended)
                fault_check(ferry_process_status(process) != 1);
        return 0;
}

static void ignore_output(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        (void)process, (void)bytes, (void)size, (void)userdata;
        fault_check(fd == 1 || fd == 2);
}

/* Without a fault all goes well; whatever the fault, it has a result, and words for it. */
static void require_result(ferry_process *process, int expected)
{
        int status = ferry_process_status(process), exit_status = ferry_process_exit_status(process);

        fault_want((status < 0 ? status : exit_status) == expected);
        fault_check(status <= 0 && (status == 0) == (exit_status >= 0) && *ferry_process_error(process));
        fault_judge_cause(ferry_process_error(process));
}

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static int serve(ferry_session *parent, void *userdata)
{
        (void)userdata;
        ferry_session_on(parent, FERRY_KIND_REQUEST, answer, NULL);
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

static int say_and_go(ferry_session *parent, void *userdata)
{
        (void)userdata;
        if (write(1, "x\n", 2) != 2)
                return 1;
        ferry_session_notify(parent, "t", "'x'");
        return 3;
}

static ferry_manager *begin(ferry_loop *loop, const ferry_manager_options *options)
{
        ferry_manager *manager = ferry_manager_new(loop, options);

        started = ended = 0;
        ferry_manager_on(manager, FERRY_PROCESS_STARTED, count_event, &started);
        ferry_manager_on(manager, FERRY_PROCESS_ENDED, count_event, &ended);
        return manager;
}

static void finish(ferry_loop *loop, unsigned children)
{
        ferry_loop_free(loop);
        fault_check(ended <= children && started <= children);
        fault_want(ended == children);
}

static void wait_for_all(ferry_loop *loop, ferry_manager *manager)
{
        int code = ferry_manager_wait(manager, NULL, NULL);

        fault_answer(FAULT_WAIT, "wait", code, 0, manager ? ferry_loop_error(loop) : "no memory");
}

static void process_fork(void)
{
        ferry_process_options options = { .directory = "/", .death_signal = SIGKILL, .input = "abc", .input_size = 3,
                                          .stderr_path = fault_path("err") };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = begin(loop, &(ferry_manager_options){ .is_killing = true, .output = ignore_output });
        ferry_process *process = ferry_process_fork(manager, serve, NULL, NULL), *second;
        ferry_call *call;

        second = ferry_process_fork(manager, say_and_go, NULL, &options);
        call = ferry_session_request(ferry_process_session(process), 1000, "t", "'x'");
        fault_want(ferry_call_await(call) != NULL);
        ferry_call_free(call);
        ferry_session_close(ferry_process_session(process));
        wait_for_all(loop, manager);
        require_result(process, 0);
        require_result(second, 3);
        ferry_process_free(second);
        finish(loop, 2);
        unlink(options.stderr_path);
}

static void process_spawn(void)
{
        int kept = fcntl(2, F_DUPFD_CLOEXEC, 10);
        ferry_process_options options = {
                .env = (const char *[]){ "FERRY_TEST_WORD=1", NULL }, .directory = "/", .death_signal = SIGKILL,
                .fds = (const int[]){ kept, -1 }, .input = "abc", .input_size = 3, .stdout_path = fault_path("out") };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = begin(loop, &(ferry_manager_options){
                .is_killing = true, .stdout_path = options.stdout_path, .stderr_path = "/dev/null" });
        ferry_process *first = ferry_process_spawn(manager, (const char *[]){ "cat", NULL }, &options);
        ferry_process *second = ferry_process_spawn(manager, (const char *[]){ "sh", "-c", "echo x >&2; exit 3", NULL },
                                                    &(ferry_process_options){ .is_on_stdio = true, .output = ignore_output });
        ferry_process *missing = ferry_process_spawn(manager, (const char *[]){ "/nonexistent", NULL }, NULL);
        int code;

        code = ferry_manager_wait(manager, NULL, NULL);
        fault_answer(FAULT_WAIT, "wait", code, -ENOENT, manager ? ferry_loop_error(loop) : "no memory");
        require_result(first, 0);
        require_result(second, 3);
        require_result(missing, -ENOENT);
        finish(loop, 3);
        close(kept);
        unlink(options.stdout_path);
}

/* What is opened for a child stands where it wants its own. */
static void process_at_the_bottom(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = begin(loop, &(ferry_manager_options){ .is_killing = true });
        ferry_process *process;
        int saved[3];

        for (int i = 0; i < 3; i++) {
                saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
                close(i);
        }
        process = ferry_process_fork(manager, say_and_go, NULL, &(ferry_process_options){ .output = ignore_output });
        wait_for_all(loop, manager);
        require_result(process, 3);
        finish(loop, 1);
        for (int i = 0; i < 3; i++) {
                dup2(saved[i], i);
                close(saved[i]);
        }
}

/* A signal that came during a wait; and a child that is forked meanwhile, from a loop that has all the descriptors a loop can have. */
static void let_pass(int signal)
{
        (void)signal;
}

static int keep_waker(ferry_loop *loop, void *userdata)
{
        (void)loop, (void)userdata;
        return 1;
}

static int kill_all(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ferry_manager_kill(userdata, SIGKILL);
        return 0;
}

static int pass_on(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ferry_process_fork(userdata, say_and_go, NULL, &(ferry_process_options){ .output = ignore_output });
        kill(getpid(), SIGUSR1);
        /* Whatever has become of that. */
        ferry_loop_after(loop, 50, kill_all, userdata);
        return 0;
}

static void process_signals(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = begin(loop, &(ferry_manager_options){
                .is_killing = true, .is_forwarding = true, .signals = (const int[]){ SIGUSR1, 0 } });
        sigset_t before, after;
        int code;

        signal(SIGUSR1, let_pass);
        sigprocmask(SIG_BLOCK, NULL, &before);
        if (loop)
                ferry_loop_fd(loop);
        ferry_loop_on_wake(loop, keep_waker, manager);
        ferry_process_spawn(manager, (const char *[]){ "sleep", "1000", NULL }, NULL);
        ferry_loop_after(loop, 20, pass_on, manager);
        code = ferry_manager_wait(manager, NULL, NULL);
        fault_want(code == FERRY_PROCESS_KILLED + SIGUSR1);
        fault_check(code >= 0 || !manager || *ferry_loop_error(loop));
        ferry_loop_free(loop);
        sigprocmask(SIG_BLOCK, NULL, &after);
        fault_check(sigismember(&before, SIGUSR1) == sigismember(&after, SIGUSR1));
        signal(SIGUSR1, SIG_DFL);
}

static int be_deaf(ferry_session *parent, void *userdata)
{
        (void)userdata;
        signal(SIGTERM, SIG_IGN);
        ferry_session_notify(parent, "t", "'x'");
        ferry_loop_run(ferry_session_loop(parent), -1);
        while (pause() < 0)
                ;
        return 0;
}

/* One that ends when it is asked, one that has to be killed, and one that is not waited for. */
static void process_stop(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = begin(loop, &(ferry_manager_options){ .is_killing = true });
        ferry_process *process = ferry_process_fork(manager, serve, NULL, NULL), *deaf;
        int code;

        deaf = ferry_process_fork(manager, be_deaf, NULL, NULL);
        ferry_process_free(ferry_process_fork(manager, serve, NULL, NULL));
        ferry_session_next(ferry_process_session(deaf), CHILD_PATIENCE_MS);
        code = ferry_process_stop(deaf, 1);
        fault_want(code == FERRY_PROCESS_KILLED + SIGKILL);
        code = ferry_manager_stop(manager, CHILD_PATIENCE_MS);
        fault_answer(FAULT_WAIT, "stop", code, 0, manager ? ferry_loop_error(loop) : "no memory");
        require_result(process, 0);
        require_result(deaf, FERRY_PROCESS_KILLED + SIGKILL);
        finish(loop, 3);
}

/* cat sends a request back, this side does not answer it, and that is what the request is answered with. */
static void process_pool(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = begin(loop, &(ferry_manager_options){ .is_killing = true });
        ferry_process_options options = { .is_on_stdio = true, .is_restarted = true, .max_rss = 4096 };
        ferry_process *process = ferry_process_spawn(manager, (const char *[]){ "cat", NULL }, &options);
        ferry_batch *batch = ferry_batch_new(manager, &(ferry_batch_options){ .failures_max = 2 });
        ferry_call *calls[3];
        int code;

        fault_want(batch);
        ferry_process_fork(manager, serve, NULL, NULL);
        for (int i = 0; i < 3; i++)
                calls[i] = ferry_manager_request_with(manager, &(ferry_request_options){ .timeout_ms = 1000, .priority = i, .batch = batch },
                                                      "t", "'x'");
        ferry_process_kill(process, SIGKILL);
        for (int i = 0; i < 3; i++) {
                ferry_call_await(calls[i]);
                fault_check(ferry_call_status(calls[i]) != 1 && *ferry_call_error(calls[i]));
                ferry_call_free(calls[i]);
        }
        code = ferry_manager_stop(manager, 0);
        fault_answer(FAULT_WAIT, "stop", code, 0, manager ? ferry_loop_error(loop) : "no memory");
        ferry_loop_free(loop);
}

static void process_stopped(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = begin(loop, &(ferry_manager_options){ .is_killing = true });
        ferry_process_options options = { .is_on_stdio = true };
        ferry_process *process = ferry_process_spawn(manager, (const char *[]){ "sleep", "1000", NULL }, &options);
        unsigned stops = 0;
        ferry_call *call;
        siginfo_t info;
        int code;

        ferry_manager_on(manager, FERRY_PROCESS_STOPPED, count_event, &stops);
        /* As a terminal would. */
        if (ferry_process_pid(process) > 0 && kill(ferry_process_pid(process), SIGSTOP) == 0)
                waitid(P_PID, (id_t)ferry_process_pid(process), &info, WSTOPPED | WNOWAIT);
        call = ferry_manager_request(manager, 600, "t", "'x'");
        ferry_call_await(call);
        fault_want(ferry_call_status(call) == -ETIMEDOUT && stops == 1);
        fault_check(ferry_call_status(call) != 1 && *ferry_call_error(call));
        ferry_call_free(call);
        code = ferry_manager_stop(manager, 20);
        fault_answer(FAULT_WAIT, "stop", code, 0, manager ? ferry_loop_error(loop) : "no memory");
        ferry_loop_free(loop);
}

const struct scenario process_scenarios[] = {
        { .name = "process-stopped", .run = process_stopped, .patience_ms = 1 },
        { .name = "process-fork", .run = process_fork, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "process-spawn", .run = process_spawn, .patience_ms = CHILD_PATIENCE_MS, .is_whole = true },
        { .name = "process-at-the-bottom", .run = process_at_the_bottom, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "process-signals", .run = process_signals, .patience_ms = CHILD_PATIENCE_MS, .is_whole = true },
        { .name = "process-stop", .run = process_stop, .patience_ms = CHILD_PATIENCE_MS },
        { .name = "process-pool", .run = process_pool, .patience_ms = CHILD_PATIENCE_MS },
        { .name = NULL },
};
