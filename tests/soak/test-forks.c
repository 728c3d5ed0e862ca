/* A program that has sessions of every kind open, and forks again and again: whatever the children do or leave undone,
 * the parent's sessions do not notice. */
#include "conformance/pair.h"
#include "support/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { SAFETY_MS = 20000, FORKS = 1000, QUEUED = 1 << 20 };

/* All that is open at once. */
struct all {
        struct pair pairs[PAIRS];
        ferry_call *kept[PAIRS];        /* calls in flight, which the other side keeps in hand */
        int epolls[PAIRS];
        ferry_session *stuck;           /* its peer does not read: bytes wait */
        int stuck_peer;
        ferry_session *file;
        char path[128];                 /* of the file */
        int written;
};

static int never(ferry_loop *loop, void *userdata)
{
        (void)loop, (void)userdata;
        abort();
}

static void ask(struct pair *pair, const char *what)
{
        ferry_call *call = ferry_session_request(pair->us, SAFETY_MS, "App\\Echo", "{message: %s}", what);
        const ferry_message *reply = ferry_call_await(call);

        if (!reply || strcmp(ferry_message_text(reply), what) != 0)
                ck_abort_msg("stream %d, %s: %s", pair->stream, pair->dialect, ferry_call_error(call));
        ferry_call_free(call);
}

static void open_all(struct all *all)
{
        char *text = make_text(QUEUED);
        ferry_loop *loop;
        int fds[2];

        memset(all, 0, sizeof *all);
        for (int i = 0; i < PAIRS; i++) {
                struct pair *pair = &all->pairs[i];

                pair_open(pair, i, NULL, NULL);
                ask(pair, "hello");
                all->kept[i] = ferry_session_request(pair->us, 1000000, "App\\Keep", "{message: 'kept'}");
                ask(pair, "in hand");
                ferry_loop_after(pair->loop, 1000000, never, NULL);
                all->epolls[i] = ferry_loop_fd(pair->loop);
        }
        loop = all->pairs[0].loop;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        all->stuck_peer = fds[1];
        all->stuck = ferry_session_open(loop, NULL, &(ferry_session_options){
                .fds = (const int[]){ fds[0], fds[0], -1 }, .dialect = FERRY_DIALECT_FERRY });
        ck_assert_int_eq(ferry_session_notify(all->stuck, "App\\Load", "{text: %s}", text), 0);
        snprintf(all->path, sizeof all->path, "%s/file", all->pairs[STREAM_UNIX * DIALECTS].directory);
        free(text);
        text = malloc(sizeof all->path + 8);
        sprintf(text, "file:,%s", all->path);
        all->file = ferry_session_open(loop, text, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ck_assert_msg(ferry_session_status(all->file) == 1, "%s", ferry_session_error(all->file));
        free(text);
        /* A service begins to watch its socket file after a quarter of a second, and has nothing to do from then on. */
        for (int i = 0; i < PAIRS; i++)
                if (all->pairs[i].stream == STREAM_UNIX)
                        ck_assert_int_eq(ferry_loop_run(all->pairs[i].loop, 300), 0);
}

static int count_load(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        (*(int *)userdata)++;
        return 1;
}

/* What was queued comes whole, what is in hand is answered, what was written can be read. */
static void close_all(struct all *all)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *reader;
        char address[160];
        int load = 0, lines = 0;

        reader = ferry_session_open(loop, NULL, &(ferry_session_options){
                .fds = (const int[]){ all->stuck_peer, all->stuck_peer, -1 }, .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(reader, FERRY_KIND_NOTIFICATION, count_load, &load);
        while (load == 0) {
                ferry_loop_tick(loop, 0);
                ferry_loop_tick(all->pairs[0].loop, 0);
        }
        ck_assert_int_eq(ferry_session_status(all->stuck), 1);
        ferry_session_close(all->stuck);
        ferry_session_close(all->file);
        ferry_loop_tick(all->pairs[0].loop, 0);
        snprintf(address, sizeof address, "file:%s", all->path);
        reader = ferry_session_open(loop, address, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(reader, FERRY_KIND_NOTIFICATION, count_load, &lines);
        while (ferry_session_status(reader) == 1)
                ferry_loop_tick(loop, SAFETY_MS);
        ck_assert_int_eq(lines, all->written);
        ferry_loop_free(loop);
        ck_assert_int_eq(unlink(all->path), 0);
        for (int i = 0; i < PAIRS; i++) {
                ferry_session_notify(all->pairs[i].us, "App\\Release", "{}");
                ck_assert_msg(ferry_call_await(all->kept[i]) != NULL, "%s", ferry_call_error(all->kept[i]));
                ck_assert_str_eq(ferry_message_text(ferry_call_reply(all->kept[i])), "kept");
                ferry_call_free(all->kept[i]);
                pair_close(&all->pairs[i]);
        }
}

/* What epoll waits for, as the kernel has it. */
static void list_epoll(int epoll, char *text, size_t size)
{
        char path[64];
        FILE *file;
        size_t got;

        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epoll);
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        got = fread(text, 1, size - 1, file);
        text[got] = '\0';
        fclose(file);
}

/* @epolls: what they waited for before the child, and then what they wait for now: a busy session moves to shared memory. */
static void check_all(struct all *all, char epolls[PAIRS][2048])
{
        struct stat stat;
        char path[160], text[2048];

        for (int i = 0; i < PAIRS; i++) {
                struct pair *pair = &all->pairs[i];
                struct pollfd poll_in = { .fd = all->epolls[i], .events = POLLIN };

                list_epoll(all->epolls[i], text, sizeof text);
                if (strcmp(text, epolls[i]) != 0)
                        ck_abort_msg("epoll waited for\n%s, and now for\n%s", epolls[i], text);
                if (poll(&poll_in, 1, 0) != 0 || ferry_loop_tick(pair->loop, 0) != 0)
                        ck_abort_msg("stream %d, %s: the child has set something off", pair->stream, pair->dialect);
                if (ferry_call_status(all->kept[i]) != 1)
                        ck_abort_msg("%s", ferry_call_error(all->kept[i]));
                ask(pair, "still there?");
                while (ferry_loop_tick(pair->loop, 0) == 1)
                        ;
                list_epoll(all->epolls[i], epolls[i], sizeof epolls[i]);
                if (pair->stream != STREAM_UNIX)
                        continue;
                snprintf(path, sizeof path, "%s.lock", pair->address + strlen("unix:"));
                if (lstat(pair->address + strlen("unix:"), &stat) < 0 || lstat(path, &stat) < 0)
                        ck_abort_msg("%s is gone", path);
        }
        if (ferry_session_notify(all->file, "App\\Load", "{}") < 0)
                ck_abort_msg("%s", ferry_session_error(all->file));
        all->written++;
}

/* Children --------------------------------------------------------------------------------------------- */

static int count_descriptors(void)
{
        DIR *directory = opendir("/proc/self/fd");
        int count = 0;

        while (directory && readdir(directory))
                count++;
        if (directory)
                closedir(directory);
        return count;
}

/* In the child: the number of the first line that does not hold. */
#define REQUIRE(condition)               \
        do                               \
                if (!(condition))        \
                        return __LINE__; \
        while (0)

static int use(struct all *all)
{
        int before = count_descriptors();

        for (int i = 0; i < PAIRS; i++) {
                struct pair *pair = &all->pairs[i];
                ferry_call *call;

                REQUIRE(ferry_loop_tick(pair->loop, 0) == -ECHILD);
                REQUIRE(ferry_loop_run(pair->loop, 0) == -ECHILD);
                REQUIRE(ferry_session_notify(pair->us, "App\\Load", "{}") == -ECHILD);
                REQUIRE(ferry_session_flush(pair->us, 0) == -ECHILD);
                call = ferry_session_request(pair->us, 0, "App\\Echo", "{}");
                REQUIRE(ferry_call_status(call) == -ECHILD);
                ferry_call_free(call);
                REQUIRE(!ferry_call_await(all->kept[i]));
                REQUIRE(ferry_session_close(pair->us) == -ECHILD);
                if (pair->service)
                        REQUIRE(ferry_service_close(pair->service) == -ECHILD);
        }
        REQUIRE(ferry_session_notify(all->stuck, "App\\Load", "{}") == -ECHILD);
        REQUIRE(ferry_session_notify(all->file, "App\\Load", "{}") == -ECHILD);
        REQUIRE(count_descriptors() == before);
        return 0;
}

static int free_all(struct all *all)
{
        for (int i = 0; i < PAIRS; i++) {
                behaviour_deinit(&all->pairs[i].behaviour);
                /* One way or the other. */
                if (i % 2)
                        ferry_call_free(all->kept[i]);
                ferry_loop_free(all->pairs[i].loop);
                if (i % 2 == 0)
                        ferry_call_free(all->kept[i]);
        }
        return 0;
}

static int use_and_free(struct all *all)
{
        int line = use(all);

        return line ? line : free_all(all);
}

static int nothing(struct all *all)
{
        (void)all;
        return 0;
}

/* Begins again: what it opens is its own, beside what it has inherited. */
static int begin_anew(struct all *all)
{
        struct pair pair;
        const ferry_message *reply;
        ferry_call *call;

        pair_open(&pair, STREAM_SOCKET * DIALECTS, NULL, NULL);
        call = ferry_session_request(pair.us, SAFETY_MS, "App\\Echo", "{message: 'mine'}");
        free_all(all);
        reply = ferry_call_await(call);
        REQUIRE(reply && strcmp(ferry_message_text(reply), "mine") == 0);
        ferry_call_free(call);
        pair_close(&pair);
        return 0;
}

static int (*const in_child[])(struct all *all) = { nothing, use, free_all, use_and_free, begin_anew };

static void run_child(struct all *all, int number)
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                int line = in_child[number % (int)COUNT(in_child)](all);

                if (line)
                        fprintf(stderr, "in the child line %d does not hold\n", line);
                /* With all that runs at the end of a program. The sanitizer would look for leaks then, of what the
                 * child has not freed on purpose. */
                if (number % 2 && !SUITE_HAS_ASAN)
                        exit(line ? 1 : 0);
                _exit(line ? 1 : 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
                ck_abort_msg("fork %d, child %d: status %x", number, number % (int)COUNT(in_child), (unsigned)status);
}

static struct all all;
static char epolls[PAIRS][2048];

START_TEST(the_parent_does_not_notice)
{
        int forks = (int)suite_scale(FORKS), before;

        open_all(&all);
        for (int i = 0; i < PAIRS; i++) {
                while (ferry_loop_tick(all.pairs[i].loop, 0) == 1)
                        ;
                list_epoll(all.epolls[i], epolls[i], sizeof epolls[i]);
                ck_assert_ptr_nonnull(strstr(epolls[i], "tfd:"));
        }
        before = count_descriptors();
        for (int i = 0; i < forks; i++) {
                run_child(&all, i);
                check_all(&all, epolls);
        }
        ck_assert_int_eq(count_descriptors(), before);
        close_all(&all);
}
END_TEST

/* In a handler ----------------------------------------------------------------------------------------- */

struct forking {
        int kind;
        pid_t parent;
        int forks;
};

/* The child of a handler: goes at once, goes in order, lets go of the loop it stands in, or returns. */
static int fork_and_answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct forking *forking = userdata;
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                switch (forking->kind) {
                case 0:
                        _exit(0);
                case 1:
                        ferry_loop_free(ferry_session_loop(session));
                        break;
                case 2:
                        ferry_session_free(session);
                        break;
                case 3:
                        ferry_message_reply(request, NULL, "'from the child'");
                        break;
                default:
                        break;
                }
                return 0;
        }
        forking->forks++;
        if (waitpid(pid, &status, 0) != pid || status != 0)
                return ferry_message_fail(request, "status %x", (unsigned)status);
        return ferry_message_reply(request, NULL, "'from the parent'");
}

enum { FORKING_KINDS = 5 };

static void ask_forking(ferry_session *session, struct forking *forking, int count)
{
        for (int i = 0; i < count; i++) {
                ferry_call *call = ferry_session_request(session, SAFETY_MS, "App\\Fork", "'number %d'", i);
                const ferry_message *reply;

                forking->kind = i % FORKING_KINDS;
                reply = ferry_call_await(call);
                if (getpid() != forking->parent)
                        _exit(reply != NULL);
                ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
                ck_assert_str_eq(ferry_message_text(reply), "from the parent");
                ferry_call_free(call);
        }
        ck_assert_int_eq(forking->forks, count);
}

START_TEST(a_handler_forks)
{
        struct forking forking = { .parent = getpid() };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *us, *them;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        us = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        them = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[1], fds[1], -1 } });
        ferry_session_on(them, FERRY_KIND_REQUEST, fork_and_answer, &forking);
        ask_forking(us, &forking, (int)suite_scale(500));
        ferry_loop_free(loop);
}
END_TEST

/* A program whose stdin and stdout are the stream, and are guarded. Its children print, and end in order. */
static int fork_on_stdio(ferry_session *session, const ferry_message *request, void *userdata)
{
        int *number = userdata, status = 0, kind = (*number)++ % 3;
        pid_t pid = fork();

        if (pid == 0) {
                printf("a stray line\n");
                if (kind == 1)
                        ferry_loop_free(ferry_session_loop(session));
                fflush(NULL);
                if (kind == 2 && !SUITE_HAS_ASAN)
                        exit(0);
                _exit(0);
        }
        if (waitpid(pid, &status, 0) != pid || status != 0)
                return ferry_message_fail(request, "status %x", (unsigned)status);
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

_Noreturn static void be_on_stdio(int fd)
{
        ferry_loop *loop;
        ferry_session *session;
        int number = 0;

        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDERR_FILENO);
        close(fd);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, "stdio:", NULL);
        ferry_session_on(session, FERRY_KIND_REQUEST, fork_on_stdio, &number);
        ferry_loop_run(loop, -1);
        ferry_loop_free(loop);
        _exit(0);
}

START_TEST(a_program_on_stdio_forks)
{
        ferry_loop *loop;
        ferry_session *session;
        int fds[2], status, count = (int)suite_scale(500);
        pid_t pid;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        pid = fork();
        if (pid == 0) {
                close(fds[0]);
                be_on_stdio(fds[1]);
        }
        close(fds[1]);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){
                .fds = (const int[]){ fds[0], fds[0], -1 } });
        for (int i = 0; i < count; i++) {
                ferry_call *call = ferry_session_request(session, SAFETY_MS, "App\\Fork", "'number %d'", i);
                const ferry_message *reply = ferry_call_await(call);

                ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
                ferry_call_free(call);
        }
        ferry_loop_free(loop);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(the_parent_does_not_notice),
        SUITE_TEST(a_handler_forks),
        SUITE_TEST(a_program_on_stdio_forks),
};

SUITE_MAIN("forks", tests)
