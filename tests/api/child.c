/* What tests/api/test-*.c start as a child: child MODE, which answers over its stdin and stdout. */
#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

/* Answers with so many bytes, and is gone. */
static int answer_and_go(ferry_session *session, const ferry_message *request, void *userdata)
{
        size_t size = (size_t)ferry_value_int(ferry_message_body(request), 0);
        char *text = calloc(1, size + 1);
        int code;

        (void)userdata;
        memset(text, 'x', size);
        code = ferry_message_reply(request, NULL, "%s", text);
        free(text);
        /* What a pipe takes at once is there, whatever becomes of us. */
        if (size < 1000)
                _exit(code < 0);
        return ferry_loop_stop(ferry_session_loop(session), code);
}

/* Answers so many requests, then closes the session. */
static int left_to_answer = 1;

static int answer_some(ferry_session *session, const ferry_message *request, void *userdata)
{
        int code = echo(session, request, userdata);

        if (--left_to_answer == 0)
                ferry_session_close(session);
        return code;
}

/* Keeps the request, and closes the session. */
static int keep_and_close(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)userdata;
        ferry_message_ref(request);
        ferry_session_close(session);
        return 1;
}

/* Refuses all but the first request, and goes on. */
static int refuse(ferry_session *session, const ferry_message *request, void *userdata)
{
        return left_to_answer-- > 0 ? echo(session, request, userdata) : ferry_message_refuse(request, "about to end");
}

static bool is_same_file(int fd, int other)
{
        struct stat a, b;

        return fstat(fd, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool is_null(int fd)
{
        struct stat stat, null_stat;

        return fstat(fd, &stat) == 0 && lstat("/dev/null", &null_stat) == 0 && stat.st_rdev == null_stat.st_rdev;
}

/* Prints, and starts programs that read and print. */
static int be_careless(ferry_session *session, const ferry_message *request, void *userdata)
{
        ferry_session *second;
        int code;

        (void)userdata;
        printf("a stray line\n");
        fflush(stdout);
        if (write(STDOUT_FILENO, "another\n", 8) != 8 || system("cat; echo from a program") != 0)
                return -EIO;
        second = ferry_session_open(ferry_session_loop(session), "stdio:", NULL);
        code = ferry_session_status(second);
        ferry_session_free(second);
        return ferry_message_reply(request, NULL, "{null: %hhd, stderr: %hhd, second: %d, line: %d}",
                                   is_null(STDIN_FILENO), is_same_file(STDOUT_FILENO, STDERR_FILENO), code, getchar());
}

/* Writes each number into a file, and then answers with it. */
static int log_it(ferry_session *session, const ferry_message *request, void *userdata)
{
        int number = (int)ferry_value_int(ferry_message_body(request), -1);

        (void)session, (void)userdata;
        if (write(atoi(getenv("FERRY_TEST_LOG")), &number, sizeof number) != sizeof number)
                return -EIO;
        /* The parent may kill this process now. */
        sched_yield();
        return ferry_message_reply(request, NULL, "%d", number);
}

/* Every descriptor that is open. */
static int list_descriptors(ferry_session *session, const ferry_message *request, void *userdata)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *list;
        int code;

        (void)session, (void)userdata;
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (int fd = 0; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0 && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
                        ferry_builder_add(builder, "%d", fd);
        ferry_builder_close(builder);
        code = ferry_builder_finish(builder, &list);
        if (code)
                return code;
        code = ferry_message_reply(request, NULL, "%p", (const void *)list);
        ferry_value_unref(list);
        return code;
}

/* What fd 0 and 1 are, before, during and after. */
static int compare(void)
{
        int in = dup(STDIN_FILENO), out = dup(STDOUT_FILENO);
        int flags[2] = { fcntl(in, F_GETFL), fcntl(out, F_GETFL) };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "stdio:", NULL);

        ferry_session_on(session, FERRY_KIND_REQUEST, echo, NULL);
        if (is_same_file(STDIN_FILENO, in) || is_same_file(STDOUT_FILENO, out))
                return 10;
        /* If it is written only when the guard goes, it still goes where it belongs. */
        printf("printed while guarded\n");
        ferry_loop_run(loop, -1);
        if (fcntl(in, F_GETFL) != flags[0] || fcntl(out, F_GETFL) != flags[1])
                return 11;
        ferry_loop_free(loop);
        if (!is_same_file(STDIN_FILENO, in) || !is_same_file(STDOUT_FILENO, out))
                return 12;
        if (fcntl(STDIN_FILENO, F_GETFL) != flags[0] || fcntl(STDOUT_FILENO, F_GETFL) != flags[1])
                return 13;
        /* And once more. */
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, "stdio:", NULL);
        if (ferry_session_status(session) != 1)
                return 14;
        ferry_loop_free(loop);
        return 0;
}

static int serve(ferry_message_fn *fn, const ferry_session_options *options)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "stdio:", options);
        int code;

        ferry_session_on(session, FERRY_KIND_REQUEST, fn, NULL);
        code = ferry_loop_run(loop, -1);
        ferry_loop_free(loop);
        return code < 0;
}

/* Much on stderr, and then an answer. */
static int be_noisy(void)
{
        char line[1024];

        memset(line, 'e', sizeof line);
        line[sizeof line - 1] = '\n';
        for (int i = 0; i < 1024; i++)
                if (write(STDERR_FILENO, line, sizeof line) != sizeof line)
                        return 1;
        return serve(echo, NULL);
}

/* Answers over the descriptor that its parent has given it, with all that were open at the start. */
static int use_channel(void)
{
        ferry_session_options options = { .fds = (const int[]){ atoi(getenv("FERRY_FD")), -1 } };
        ferry_builder *builder = ferry_builder_new();
        ferry_value *list;
        ferry_loop *loop;
        ferry_session *session;
        ferry_message *request;

        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (int fd = 0; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        ferry_builder_add(builder, "%d", fd);
        ferry_builder_close(builder);
        if (ferry_builder_finish(builder, &list))
                return 1;
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, NULL, &options);
        ferry_session_on(session, FERRY_KIND_REQUEST, NULL, NULL);
        request = ferry_message_ref(ferry_session_next(session, -1));
        if (request)
                ferry_message_reply(request, NULL, "%p", (const void *)list);
        ferry_message_unref(request);
        ferry_value_unref(list);
        ferry_loop_free(loop);
        return 0;
}

/* Answers each request over that descriptor. */
static int serve_channel(void)
{
        ferry_session_options options = { .fds = (const int[]){ atoi(getenv("FERRY_FD")), -1 } };
        ferry_loop *loop = ferry_loop_new(NULL);
        int code;

        ferry_session_on(ferry_session_open(loop, NULL, &options), FERRY_KIND_REQUEST, echo, NULL);
        code = ferry_loop_run(loop, -1);
        ferry_loop_free(loop);
        return code < 0;
}

static void exit_with_5(int number)
{
        (void)number;
        _exit(5);
}

/* Leaves its process group, in which a process stays that ignores signals; reports its pid, and waits for TERM. */
static int leave_group(void)
{
        ferry_session_options options = { .fds = (const int[]){ atoi(getenv("FERRY_FD")), -1 } };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, NULL, &options);
        pid_t left;

        signal(SIGTERM, SIG_IGN);
        left = fork();
        if (left == 0) {
                execlp("sleep", "sleep", "1000", (char *)NULL);
                _exit(1);
        }
        signal(SIGTERM, exit_with_5);
        setpgid(0, getpgid(getppid()));
        ferry_session_notify(session, "left", "%d", left);
        while (pause() < 0)
                ;
        return 0;
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "";

        if (strcmp(mode, "echo") == 0)
                return serve(echo, NULL);
        if (strcmp(mode, "unguarded") == 0)
                return serve(echo, &(ferry_session_options){ .is_unguarded = true });
        if (strcmp(mode, "go") == 0)
                return serve(answer_and_go, NULL);
        if (strcmp(mode, "once") == 0)
                return serve(answer_some, NULL);
        if (strcmp(mode, "keep") == 0)
                return serve(keep_and_close, NULL);
        if (strcmp(mode, "refuse") == 0)
                return serve(refuse, NULL);
        if (strcmp(mode, "careless") == 0)
                return serve(be_careless, NULL);
        if (strcmp(mode, "descriptors") == 0)
                return serve(list_descriptors, NULL);
        if (strcmp(mode, "compare") == 0)
                return compare();
        if (strcmp(mode, "log") == 0)
                return serve(log_it, NULL);
        if (strcmp(mode, "noisy") == 0)
                return be_noisy();
        if (strcmp(mode, "leave-group") == 0)
                return leave_group();
        if (strcmp(mode, "serve-channel") == 0)
                return serve_channel();
        if (strcmp(mode, "channel") == 0)
                return use_channel();
        return 2;
}
