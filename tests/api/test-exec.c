/* Children over their stdio: why one has ended is said, with its last words; what it wrote before is read first; it cannot
 * block on its stderr; it gets what the options say and nothing else; and it is always ended, with all that it started.
 * And the guard of a child that is ours: neither a stray print nor a program that it starts touches the stream. */
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static ferry_session *open_child(ferry_loop *loop, const char *mode, int close_timeout_ms)
{
        return ferry_session_open(loop, "exec:", &(ferry_session_options){
                .argv = (const char *[]){ BUILD_DIRECTORY "/tests/child", mode, NULL },
                .close_timeout_ms = close_timeout_ms });
}

static const struct {
        const char *command;
        int code;
        const char *text;
} ending[] = {
        { "exec:exit 3", -ECONNRESET, "exited with status 3" },
        { "exec:kill -SEGV $$", -ECONNRESET, "was killed by SIGSEGV" },
        { "exec:kill -KILL $$", -ECONNRESET, "was killed by SIGKILL" },
        /* It reads the request: else that it is lost would be the status. */
        { "exec:dd bs=65536 count=1 of=/dev/null 2>&1; exit 0", 0, "exited with status 0" },
        { "exec:head -c 1 >/dev/null; exit 0", -ECONNRESET, "exited with status 0" },
        { "exec:echo one >&2; echo it broke >&2; exit 1", -ECONNRESET,
          "exited with status 1; its last words: one | it broke" },
        { "exec:printf 'no newline' >&2; exit 1", -ECONNRESET, "its last words: no newline" },
        { "exec:i=0; while [ $i -lt 200 ]; do echo line $i >&2; i=$((i+1)); done; exit 1", -ECONNRESET,
          "line 197 | line 198 | line 199" },
        { "exec:exec /nowhere/at/all", -ECONNRESET, "exited with status 127; its last words: " },
        /* A process that it has left behind holds its output, and is not waited for. */
        { "exec:sleep 2 & exit 5", -ECONNRESET, "exited with status 5" },
        { "exec:exec >&-; sleep 100", 0, "has closed its output but still runs" },
};

/* A call in flight ends at once, and says why. */
START_TEST(the_end_of_a_child_is_reported)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, ending[_i].command, NULL);
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "{}");

        ck_assert_int_gt(ferry_session_peer(session).pid, 0);
        ck_assert_uint_eq(ferry_session_peer(session).uid, getuid());
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_msg(strstr(ferry_call_error(call), ending[_i].text), "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_session_status(session), ending[_i].code);
        ck_assert_msg(strstr(ferry_session_error(session), ending[_i].text), "%s", ferry_session_error(session));
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

/* Whether a message has reached the pipe of a child that never reads is a matter of luck: here it is one, then the other. */
START_TEST(a_message_that_a_child_has_not_read_is_lost)
{
        bool is_in_pipe = _i & 1;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, is_in_pipe ? "exec:kill -STOP $$; exit 0" : "exec:exit 0",
                                                    &(ferry_session_options){
                .dialect = _i & 2 ? FERRY_DIALECT_FERRY : FERRY_DIALECT_STREAM_IPC });
        pid_t child = ferry_session_peer(session).pid;
        siginfo_t info;

        ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, (is_in_pipe ? WSTOPPED : WEXITED) | WNOWAIT), 0);
        ferry_session_notify(session, "t", "'x'");
        if (is_in_pipe) {
                ck_assert_int_eq(ferry_session_status(session), 1);
                ck_assert_int_eq(kill(child, SIGCONT), 0);
        }
        while (ferry_session_status(session) == 1)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        ck_assert_msg(strstr(ferry_session_error(session), "exited with status 0: ") &&
                      strstr(ferry_session_error(session), " bytes of messages and requests to it are lost"), "%s", ferry_session_error(session));
        ferry_loop_free(loop);
}
END_TEST

/* What the library says of itself is no message. */
START_TEST(a_child_that_was_sent_no_message_ends_in_order)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:exit 0", &(ferry_session_options){
                .dialect = _i ? FERRY_DIALECT_FERRY : FERRY_DIALECT_STREAM_IPC });

        while (ferry_session_status(session) == 1)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ck_assert_msg(ferry_session_status(session) == 0, "%s", ferry_session_error(session));
        ferry_loop_free(loop);
}
END_TEST

static const struct {
        const char *const argv[3];
        const char *directory;
        int code;
        const char *text;
} unstarted[] = {
        { { "/nowhere/at/all", NULL }, NULL, -ENOENT, "/nowhere/at/all" },
        { { "no-such-program-in-the-path", NULL }, NULL, -ENOENT, "no-such-program-in-the-path" },
        { { "/etc/passwd", NULL }, NULL, -EACCES, "/etc/passwd" },
        { { "true", NULL }, "/nowhere/at/all", -ENOENT, "in /nowhere/at/all" },
        { { "true", NULL }, "/etc/passwd", -ENOTDIR, "in /etc/passwd" },
};

START_TEST(what_cannot_be_started_fails_at_once)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:", &(ferry_session_options){
                .argv = unstarted[_i].argv, .directory = unstarted[_i].directory,
                /* Ours may have folders that we may not enter. */
                .env = (const char *[]){ "PATH=/usr/bin:/bin", NULL } });

        ck_assert_int_eq(ferry_session_status(session), unstarted[_i].code);
        ck_assert_msg(strstr(ferry_session_error(session), unstarted[_i].text), "%s", ferry_session_error(session));
        ferry_loop_free(loop);
}
END_TEST

/* What the child prints until it ends. */
static char *collect(ferry_session *session, const char *source)
{
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        const ferry_message *message;

        ferry_session_on(session, FERRY_KIND_JUNK, NULL, NULL);
        while ((message = ferry_session_next(session, SAFETY_MS)))
                if (strcmp(ferry_message_type(message), source) == 0)
                        fprintf(stream, strcmp(source, "stderr") == 0 ? "%s\n" : "%s", ferry_message_text(message));
        fclose(stream);
        return text;
}

/* A program is looked for where the PATH that it will have says. */
START_TEST(the_child_s_own_path_is_searched)
{
        char directory[] = "/tmp/ferry-exec-XXXXXX", path[64], variable[128];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session_options options = {
                .argv = (const char *[]){ "found-by-path", "echo", NULL },
                .env = (const char *[]){ variable, NULL },
        };
        ferry_session *session;
        ferry_call *call;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/found-by-path", directory);
        ck_assert_int_eq(symlink(BUILD_DIRECTORY "/tests/child", path), 0);
        snprintf(variable, sizeof variable, "PATH=/nowhere:/etc/passwd::%s", directory);
        session = ferry_session_open(loop, "exec:", &options);
        call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        ck_assert_msg(ferry_call_await(call), "%s", ferry_call_error(call));
        ferry_call_free(call);
        /* Found in the current directory, where an element is empty. */
        snprintf(variable, sizeof variable, "PATH=/nowhere:");
        options.directory = directory;
        session = ferry_session_open(loop, "exec:", &options);
        ck_assert_int_eq(ferry_session_status(session), 1);
        options.directory = NULL;
        session = ferry_session_open(loop, "exec:", &options);
        ck_assert_int_eq(ferry_session_status(session), -ENOENT);
        /* What may not be run is what is said, if nothing else is found. */
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(symlink("/etc/passwd", path), 0);
        snprintf(variable, sizeof variable, "PATH=%s:/nowhere", directory);
        session = ferry_session_open(loop, "exec:", &options);
        ck_assert_int_eq(ferry_session_status(session), -EACCES);
        ferry_loop_free(loop);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(options_reach_the_child)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        char *text;

        setenv("FERRY_KEPT", "kept", 1);
        setenv("FERRY_CHANGED", "old", 1);
        session = ferry_session_open(loop, "exec:", &(ferry_session_options){
                .argv = (const char *[]){ "sh", "-c", "echo $1 $2 $FERRY_KEPT $FERRY_CHANGED $FERRY_NEW; pwd; env | grep -c "
                                          "^FERRY_CHANGED", "sh", "a b", "c", NULL },
                .env = (const char *[]){ "FERRY_CHANGED=new", "FERRY_NEW=x=y", NULL },
                .directory = "/" });
        text = collect(session, "stdout");
        ck_assert_str_eq(text, "a b c kept new x=y\n/\n1\n");
        ck_assert_str_eq(getenv("FERRY_CHANGED"), "old");
        free(text);
        ferry_loop_free(loop);
}
END_TEST

/* Also a name that only begins like one of ours stays; and one that begins like ours is another. */
START_TEST(variables_are_replaced_by_their_whole_names)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        char *text;

        setenv("FERRY_FOOBAR", "longer", 1);
        setenv("FERRY_FO", "shorter", 1);
        setenv("FERRY_FOO", "same", 1);
        session = ferry_session_open(loop, "exec:echo $FERRY_FO, $FERRY_FOO, $FERRY_FOOBAR",
                                     &(ferry_session_options){ .env = (const char *[]){ "FERRY_FOO=", NULL } });
        text = collect(session, "stdout");
        ck_assert_str_eq(text, "shorter, , longer\n");
        free(text);
        ferry_loop_free(loop);
}
END_TEST

/* What the program does about signals is its own business: the child starts as from a shell. */
START_TEST(signals_are_as_ever_in_the_child)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        unsigned long long blocked, ignored;
        sigset_t all;
        char *text;

        for (int number = 1; number < NSIG; number++)
                if (number != SIGCHLD)
                        signal(number, SIG_IGN);
        sigfillset(&all);
        ck_assert_int_eq(sigprocmask(SIG_SETMASK, &all, NULL), 0);
        session = ferry_session_open(loop, "exec:", &(ferry_session_options){
                .argv = (const char *[]){ "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL } });
        text = collect(session, "stdout");
        ck_assert_int_eq(sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
        ck_assert_msg(blocked == 0, "%s", text);
        /* 32 and 33 are the C library's own: no program can set them, whatever was inherited. */
        ck_assert_msg((ignored & ~(3ULL << 31)) == 0, "%s", text);
        free(text);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(stderr_comes_by_lines)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:printf 'one\\n\\ntwo\\nthree' >&2", NULL);
        char *text = collect(session, "stderr");

        ck_assert_str_eq(text, "one\n\ntwo\nthree\n");
        free(text);
        ferry_loop_free(loop);
}
END_TEST

static int count_bytes(ferry_session *session, const ferry_message *junk, void *userdata)
{
        size_t size;

        (void)session;
        ck_assert_str_eq(ferry_message_type(junk), "stderr");
        ck_assert_ptr_nonnull(ferry_value_bytes(ferry_message_body(junk), &size));
        *(size_t *)userdata += size + 1;
        return 0;
}

START_TEST(stderr_is_always_drained)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_child(loop, "noisy", 0);
        ferry_call *call;
        size_t bytes = 0;

        /* With a handler for junk, and without one. */
        if (_i == 0)
                ferry_session_on(session, FERRY_KIND_JUNK, count_bytes, &bytes);
        call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        /* The last of it may come behind the answer. */
        while (_i == 0 && bytes < 1 << 20)
                ck_assert_int_eq(ferry_loop_tick(loop, SAFETY_MS), 1);
        ferry_loop_free(loop);
        if (_i == 0)
                ck_assert_uint_eq(bytes, 1 << 20);
}
END_TEST

/* A reply that was sent just before the exit is not lost, small or large. */
START_TEST(the_last_reply_arrives)
{
        static const int sizes[] = { 10, 1 << 20 };

        for (int i = 0; i < (_i == 0 ? 30 : 5); i++) {
                ferry_loop *loop = ferry_loop_new(NULL);
                ferry_session *session = open_child(loop, "go", 0);
                ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "%d", sizes[_i]);
                const ferry_message *reply = ferry_call_await(call);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
                ck_assert_uint_eq(strlen(ferry_message_text(reply)), (size_t)sizes[_i]);
                ferry_call_free(call);
                ferry_loop_free(loop);
        }
}
END_TEST

static const char *const stubborn[] = {
        /* Sees the end of its stdin, and goes. */
        "exec:cat",
        /* Does not read it, but takes the signal. */
        "exec:exec sleep 1000",
        /* Takes neither. */
        "exec:trap '' TERM; while :; do sleep 1; done",
        /* Hears nothing, for it is stopped. */
        "exec:kill -STOP $$; sleep 1000",
        /* Has closed everything. */
        "exec:exec 0<&- 1>&- 2>&-; sleep 1000",
        /* Writes without end. */
        "exec:exec yes",
        "exec:exec yes >&2",
};

START_TEST(a_child_is_always_ended)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, stubborn[_i % 7], &(ferry_session_options){
                                                            .close_timeout_ms = 20 });

        if (_i < 7) {
                ck_assert_int_eq(ferry_session_close(session), 0);
                ck_assert_int_eq(ferry_session_status(session), 0);
        }
        /* The suite looks whether a child is left. */
        ferry_loop_free(loop);
}
END_TEST

/* Each process of its group that has the FIFO open holds it open. */
START_TEST(its_process_group_is_ended_with_it)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        char directory[] = "/tmp/ferry-exec-XXXXXX", path[64], command[256];
        struct pollfd poll_in = { .events = POLLIN };
        ferry_session *session;
        ssize_t got;
        char byte;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/fifo", directory);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        poll_in.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ck_assert_int_ge(poll_in.fd, 0);
        snprintf(command, sizeof command, "exec:exec 9>%s; sh -c 'trap \"\" TERM; %s echo up >&9; while :; do sleep 1; done' "
                 "& %s wait", path, _i == 0 ? "" : "exec 0<&- 1>&- 2>&-;", _i == 2 ? "trap '' TERM;" : "");
        session = ferry_session_open(loop, command, &(ferry_session_options){ .close_timeout_ms = 20 });
        while (poll(&poll_in, 1, 0) == 0)
                ck_assert_int_ge(ferry_loop_tick(loop, 1), 0);
        ck_assert_int_eq(read(poll_in.fd, &byte, 1), 1);
        ferry_session_close(session);
        ferry_loop_free(loop);
        /* In the end all that is left to be read is its end. */
        do {
                ck_assert_int_eq(poll(&poll_in, 1, SAFETY_MS), 1);
                got = read(poll_in.fd, &byte, 1);
        } while (got == 1);
        ck_assert_int_eq(got, 0);
        close(poll_in.fd);
        unlink(path);
        rmdir(directory);
}
END_TEST

START_TEST(a_child_gets_no_descriptor_but_its_own)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *first = open_child(loop, "echo", 0), *second;
        ferry_service *service;
        char directory[] = "/tmp/ferry-exec-XXXXXX", address[64];
        ferry_call *call;
        const ferry_message *reply;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(address, sizeof address, "unix:%s/socket", directory);
        service = ferry_service_open(loop, address, NULL);
        ck_assert_int_eq(ferry_service_status(service), 1);
        ferry_loop_fd(loop);
        ferry_session_open(loop, address, NULL);
        call = ferry_session_request(first, SAFETY_MS, "t", "'x'");
        ck_assert_ptr_nonnull(ferry_call_await(call));
        ferry_call_free(call);
        second = open_child(loop, "descriptors", 0);
        call = ferry_session_request(second, SAFETY_MS, "t", "{}");
        reply = ferry_call_await(call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        /* What the test program was started with is not ours. */
        for (size_t i = 0; i < ferry_value_count(ferry_message_body(reply)); i++) {
                int fd = (int)ferry_value_int(ferry_value_at(ferry_message_body(reply), i), -1);

                if (fd > 2)
                        ck_assert_msg(fcntl(fd, F_GETFD) >= 0 && !(fcntl(fd, F_GETFD) & FD_CLOEXEC), "descriptor %d", fd);
        }
        ferry_call_free(call);
        ferry_loop_free(loop);
        rmdir(directory);
}
END_TEST

/* Closing --------------------------------------------------------------------------------------------- */

static int count_lines(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *lines = userdata;

        (void)session;
        /* Behind the last line, and then nothing comes any more. */
        if (ferry_message_kind(message) == FERRY_KIND_CLOSED)
                *lines = *lines == 2000 ? -1 : -2;
        else if (strcmp(ferry_message_type(message), "stderr") == 0)
                ++*lines;
        return 0;
}

START_TEST(stderr_is_heard_until_the_child_has_exited)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:" BUILD_DIRECTORY "/tests/child echo; i=0; "
                                                    "while [ $i -lt 2000 ]; do echo line >&2; i=$((i+1)); done",
                                                    &(ferry_session_options){ .close_timeout_ms = SAFETY_MS });
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        int lines = 0;

        ferry_session_on(session, FERRY_KIND_JUNK | FERRY_KIND_CLOSED, count_lines, &lines);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        /* Closed by the program, or by the end of the loop. */
        if (_i == 0) {
                ferry_session_close(session);
                ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
                ck_assert_int_eq(lines, -1);
        }
        ferry_loop_free(loop);
        ck_assert_int_eq(lines, -1);
}
END_TEST

static const struct {
        const char *begin, *end;        /* of the command, before and behind what answers */
        int code;
        const char *text;
} failing[] = {
        { "", "cat >/dev/null", 0, "this side closed the session" },
        { "", "cat >/dev/null; echo it broke >&2; exit 3", -ECONNRESET,
          "the child exited with status 3 while it was being closed; its last words: it broke" },
        { "", "cat >/dev/null; kill -SEGV $$", -ECONNRESET, "was killed by SIGSEGV while it was being closed" },
        { "", "cat >/dev/null; kill -TERM $$", -ECONNRESET, "was killed by SIGTERM while it was being closed" },
        /* These are sent TERM, and then it depends on what they have said before they answer. */
        { "", "exec sleep 1000", 0, "this side closed the session" },
        { "trap 'exit 143' TERM; ", "while :; do :; done", 0, "this side closed the session" },
        { "trap 'exit 0' TERM; ", "while :; do :; done", 0, "this side closed the session" },
        { "trap '' TERM; ", "while :; do :; done", 0, "this side closed the session" },
        { "trap 'echo not saved >&2; exit 5' TERM; echo up >&2; ", "while :; do :; done", -ECONNRESET,
          "the child exited with status 5 while it was being closed; its last words: up" },
};

START_TEST(a_child_that_fails_while_it_is_being_closed_is_reported)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        ferry_call *call;
        char address[256];

        snprintf(address, sizeof address, "exec:%s" BUILD_DIRECTORY "/tests/child echo; %s", failing[_i].begin, failing[_i].end);
        /* After TERM it has as long again until KILL, which is enough for a trap also on a busy machine. */
        session = ferry_session_open(loop, address, &(ferry_session_options){
                                             .close_timeout_ms = strstr(address, "cat") ? SAFETY_MS : strstr(address, "exit") ? 1000 : 50 });
        call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_session_close(session), 0);
        /* No handler and no call has heard of it. */
        ck_assert_int_eq(ferry_loop_run(loop, -1), failing[_i].code);
        ck_assert_int_eq(ferry_session_status(session), failing[_i].code);
        ck_assert_msg(strstr(ferry_session_error(session), failing[_i].text), "%s", ferry_session_error(session));
        /* What was answered stays answered. */
        ck_assert_int_eq(ferry_call_status(call), 0);
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_failure_while_closing_is_of_no_interest_to_a_program_that_has_freed_the_session)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:cat >/dev/null; exit 3", NULL);

        ferry_session_free(session);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ferry_loop_free(loop);
}
END_TEST

static int free_session(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message;
        ++*(int *)userdata;
        ferry_session_free(session);
        return 0;
}

START_TEST(a_session_may_be_freed_by_the_last_words_of_its_child)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:cat >/dev/null; echo one >&2; echo two >&2; exit 3", NULL);
        int lines = 0;

        ferry_session_on(session, FERRY_KIND_JUNK, free_session, &lines);
        ferry_session_close(session);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ck_assert_int_eq(lines, 1);
        ferry_loop_free(loop);
}
END_TEST

static int wait_for_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)message;
        if (++*(int *)userdata == 2)
                ck_assert_ptr_null(ferry_session_next(session, SAFETY_MS));
        return 0;
}

/* Round 0: once the child has exited; round 1: before. */
START_TEST(the_end_of_a_child_may_be_awaited_by_a_handler_of_its_last_words)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, _i == 0 ? "exec:cat >/dev/null; seq 1 5 >&2; exit 3" :
                                                    "exec:cat >/dev/null; seq 1 3 >&2; sleep 0.05; seq 4 5 >&2; exit 3", NULL);
        siginfo_t info;
        int lines = 0;

        ferry_session_on(session, FERRY_KIND_JUNK, wait_for_end, &lines);
        ferry_session_close(session);
        if (_i == 0)
                ck_assert_int_eq(waitid(P_PID, (id_t)ferry_session_peer(session).pid, &info, WEXITED | WNOWAIT), 0);
        ferry_loop_run(loop, SAFETY_MS);
        ck_assert_int_eq(lines, 5);
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        ferry_loop_free(loop);
}
END_TEST

/* What it has left behind ends only when the test closes the pipe. */
START_TEST(a_grandchild_that_holds_stderr_holds_no_session)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        char address[64];
        int gate[2];

        ck_assert_int_eq(pipe(gate), 0);
        ck_assert_int_eq(fcntl(gate[1], F_SETFD, FD_CLOEXEC), 0);
        snprintf(address, sizeof address, "exec:cat <&%d >/dev/null & cat >/dev/null; exit %d", gate[0], _i);
        session = ferry_session_open(loop, address, &(ferry_session_options){ .close_timeout_ms = SAFETY_MS });
        ferry_session_close(session);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS / 2), _i ? -ECONNRESET : 0);
        ck_assert_int_eq(ferry_session_status(session), _i ? -ECONNRESET : 0);
        close(gate[0]);
        close(gate[1]);
        ferry_loop_free(loop);
}
END_TEST

/* Its time has passed: it had the one between the end of its output and its own. */
START_TEST(a_child_that_outlives_its_output_has_no_grace)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, _i ? "exec:exec >&-; exec sleep 1000" :
                                                    "exec:exec >&-; trap 'exit 4' TERM; while :; do sleep 0.01; done",
                                                    &(ferry_session_options){ .close_timeout_ms = SAFETY_MS });
        pid_t pid = ferry_session_peer(session).pid;

        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS / 4), _i ? 0 : -ECONNRESET);
        ck_assert_int_eq(kill(pid, 0), -1);
        ck_assert_int_eq(ferry_session_status(session), _i ? 0 : -ECONNRESET);
        ck_assert_msg(strstr(ferry_session_error(session), _i ? "has closed its output but still runs" :
                             "exited with status 4 while it was being closed"), "%s", ferry_session_error(session));
        ferry_loop_free(loop);
}
END_TEST

/* The guard ------------------------------------------------------------------------------------------- */

START_TEST(stray_output_does_not_touch_the_stream)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_child(loop, "careless", 0);
        char *text;

        ferry_session_on(session, FERRY_KIND_JUNK, NULL, NULL);
        for (int i = 0; i < 2; i++) {
                ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "{}");
                const ferry_message *reply = ferry_call_await(call);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
                ck_assert(ferry_value_bool(ferry_message_get(reply, "null"), false));
                ck_assert(ferry_value_bool(ferry_message_get(reply, "stderr"), false));
                ck_assert_int_eq(ferry_value_int(ferry_message_get(reply, "second"), 0), -EBUSY);
                ck_assert_int_eq(ferry_value_int(ferry_message_get(reply, "line"), 0), EOF);
                ferry_call_free(call);
        }
        for (int i = 0; i < 6; i++) {
                static const char *const lines[] = { "a stray line", "another", "from a program" };
                const ferry_message *junk = ferry_session_next(session, SAFETY_MS);

                ck_assert_str_eq(ferry_message_type(junk), "stderr");
                ck_assert_str_eq(ferry_message_text(junk), lines[i % 3]);
        }
        ferry_session_close(session);
        text = collect(session, "stdout");
        ck_assert_str_eq(text, "");
        free(text);
        ferry_loop_free(loop);
}
END_TEST

/* Flags of stdin and stdout stay, and the guard is undone at the end. */
START_TEST(the_guard_is_undone)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_child(loop, "compare", 20000);
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        ferry_loop_free(loop);
        /* Its exit status is seen where this side does not close. */
        FILE *output = popen("printf '' | " BUILD_DIRECTORY "/tests/child compare 2>&1 > /dev/null", "r");
        char line[64] = "";
        int status;

        ck_assert_ptr_nonnull(output);
        ck_assert_ptr_nonnull(fgets(line, sizeof line, output));
        status = pclose(output);
        ck_assert_msg(status == 0, "status %d", WEXITSTATUS(status));
        ck_assert_str_eq(line, "printed while guarded\n");
}
END_TEST

START_TEST(unguarded_if_the_program_says_so)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = open_child(loop, "unguarded", 0);
        ferry_call *call = ferry_session_request(session, SAFETY_MS, "t", "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_stopped_child_is_the_reason_why_no_answer_comes)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:kill -TTIN $$; exec sleep 1000", NULL);
        pid_t pid = ferry_session_peer(session).pid;
        siginfo_t info;
        ferry_call *call;

        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
        call = ferry_session_request(session, 1, "t", "1");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_str_eq(ferry_call_error(call), "no answer within 0.001 s; the child was stopped by SIGTTIN: it uses the terminal, "
                                                 "which is not for processes in the background");
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

/* Whatever it was: never a success, and never a failure of its own. */
START_TEST(with_sigchld_ignored_the_status_is_unknown)
{
        static const char *const commands[] = { "exec:exit 0", "exec:exit 3", "exec:kill -SEGV $$" };
        ferry_loop *loop;
        ferry_session *session;

        signal(SIGCHLD, SIG_IGN);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, commands[_i], NULL);
        ck_assert_int_eq(ferry_loop_run(loop, -1), -ECHILD);
        ck_assert_int_eq(ferry_session_status(session), -ECHILD);
        ck_assert_str_eq(ferry_session_error(session), "the child ended, but its status is unknown: SIGCHLD is ignored, or "
                                                       "another wait has taken it");
        ferry_loop_free(loop);
        signal(SIGCHLD, SIG_DFL);
}
END_TEST

/* As its stdout, which is its session, is no place for that, the child says on stderr which process group it is in. */
START_TEST(a_child_in_the_foreground_stays_in_our_group)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "exec:cut -d' ' -f5 /proc/self/stat >&2; cat >/dev/null",
                                                    &(ferry_session_options){ .is_in_foreground = _i });
        const ferry_message *line;
        int group;

        ferry_session_on(session, FERRY_KIND_JUNK, NULL, NULL);
        line = ferry_session_next(session, SAFETY_MS);
        group = atoi(ferry_message_text(line));
        ck_assert_int_gt(group, 0);
        ck_assert_int_eq(group, _i ? getpgrp() : ferry_session_peer(session).pid);
        ferry_loop_free(loop);
}
END_TEST

/* Its group is ours, and must not be signalled. */
START_TEST(a_child_in_the_foreground_is_signalled_alone)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session_options options = { .is_in_foreground = true, .close_timeout_ms = 20 };
        ferry_session *session = ferry_session_open(loop, _i ? "exec:exec sleep 1000" : "exec:trap '' TERM; exec sleep 1000",
                                                    &options);

        signal(SIGTERM, SIG_DFL);
        ferry_session_close(session);
        ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_child_in_the_foreground_stays_in_our_group, 2),
        SUITE_LOOP(with_sigchld_ignored_the_status_is_unknown, 3),
        SUITE_TEST(a_stopped_child_is_the_reason_why_no_answer_comes),
        SUITE_LOOP(a_child_in_the_foreground_is_signalled_alone, 2),
        SUITE_LOOP(a_message_that_a_child_has_not_read_is_lost, 4),
        SUITE_LOOP(a_child_that_was_sent_no_message_ends_in_order, 2),
        SUITE_LOOP(the_end_of_a_child_is_reported, sizeof ending / sizeof *ending),
        SUITE_LOOP(what_cannot_be_started_fails_at_once, sizeof unstarted / sizeof *unstarted),
        SUITE_TEST(the_child_s_own_path_is_searched),
        SUITE_TEST(options_reach_the_child),
        SUITE_TEST(variables_are_replaced_by_their_whole_names),
        SUITE_TEST(signals_are_as_ever_in_the_child),
        SUITE_TEST(stderr_comes_by_lines),
        SUITE_LOOP(stderr_is_always_drained, 2),
        SUITE_LOOP(the_last_reply_arrives, 2),
        SUITE_LOOP(a_child_is_always_ended, 14),
        SUITE_LOOP(its_process_group_is_ended_with_it, 3),
        SUITE_TEST(a_child_gets_no_descriptor_but_its_own),
        SUITE_LOOP(stderr_is_heard_until_the_child_has_exited, 2),
        SUITE_LOOP(a_child_that_fails_while_it_is_being_closed_is_reported, sizeof failing / sizeof *failing),
        SUITE_TEST(a_failure_while_closing_is_of_no_interest_to_a_program_that_has_freed_the_session),
        SUITE_TEST(a_session_may_be_freed_by_the_last_words_of_its_child),
        SUITE_LOOP(the_end_of_a_child_may_be_awaited_by_a_handler_of_its_last_words, 2),
        SUITE_LOOP(a_grandchild_that_holds_stderr_holds_no_session, 2),
        SUITE_LOOP(a_child_that_outlives_its_output_has_no_grace, 2),
        SUITE_TEST(stray_output_does_not_touch_the_stream),
        SUITE_TEST(the_guard_is_undone),
        SUITE_TEST(unguarded_if_the_program_says_so),
};

SUITE_MAIN("exec", tests)
