/* Every system call and allocation of cli/ fails once. The objects of the tool are linked with --wrap for the calls that they
 * make, and with the shared library, whose own calls are not touched; tests/structure checks that no call is left out. Each
 * command line is run once to count its calls, and then once for each call that fails. A run must not crash or hang, an exit
 * status of 0 needs the whole output, and another one a line on stderr. The calls of the guard, and those between clone(2) and
 * execve(2), are counted for themselves.
 *
 *      test-tool BUILD [COMMAND-LINE-NUMBER[:CALL[:PART]]]     one command line, or one fault, whose stderr is shown
 *      test-tool BUILD nats                                    those that need a nats-server, which the system may have
 */
#undef main

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        LIMIT_MS = 20000,
        GUARD_CALLS_MAX = 200,  /* that the guard makes: far fewer than there may be descriptors */
};

int tool_main(int argc, char **argv);

/* The tool itself, the guard, and what is a copy of the tool until it is a command. */
enum part { TOOL, GUARD, COMMAND, PARTS };

/* Shared with the child that runs the tool. */
static struct {
        long calls[PARTS];
        enum part part;         /* which has the fault */
        long failing;           /* the number of the call; 0: none */
        char name[32];
        bool is_stderr;         /* it was a write there */
} *state;

static pid_t tool, guard;

static enum part find_part(void)
{
        pid_t own = getpid();

        return own == tool ? TOOL : own == guard ? GUARD : COMMAND;
}

static bool fails(const char *name, int fd)
{
        int saved = errno;
        enum part part = find_part();
        /* Between clone(2) and execve(2) all signals are asked about, by numbers that the kernel has. */
        bool is_counted = tool && (part != COMMAND || strcmp(name, "sigaction") != 0);
        bool is_it = is_counted && ++state->calls[part] == state->failing && part == state->part;

        if (is_it) {
                snprintf(state->name, sizeof state->name, "%s", name);
                state->is_stderr = fd == 2;
        }
        errno = saved;
        return is_it;
}

int __real_close(int fd);
int __real_open64(const char *path, int flags, ...);
int __real_dup2(int fd, int to);

#define WRAP(type, name, parameters, arguments, fd, error, failed)                                                          \
        type __real_##name parameters;                                                                                     \
        type __wrap_##name parameters;                                                                                     \
        type __wrap_##name parameters                                                                                      \
        {                                                                                                                  \
                if (fails(#name, fd)) {                                                                                    \
                        errno = error;                                                                                     \
                        return failed;                                                                                     \
                }                                                                                                          \
                return __real_##name arguments;                                                                            \
        }

WRAP(ssize_t, read, (int fd, void *buffer, size_t size), (fd, buffer, size), fd, EIO, -1)
WRAP(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), fd, EIO, -1)
WRAP(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags), fd, EIO, -1)
WRAP(int, poll, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout), count ? fds->fd : -1, ENOMEM, -1)
WRAP(int, ppoll, (struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *set), (fds, count, time, set),
     fds->fd, ENOMEM, -1)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE, -1)
WRAP(int, sigaction, (int number, const struct sigaction *action, struct sigaction *old), (number, action, old), -1, EINVAL, -1)
WRAP(int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE, -1)
WRAP(void *, malloc, (size_t size), (size), -1, ENOMEM, NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), -1, ENOMEM, NULL)
WRAP(void *, realloc, (void *memory, size_t size), (memory, size), -1, ENOMEM, NULL)
WRAP(char *, strdup, (const char *text), (text), -1, ENOMEM, NULL)
WRAP(FILE *, open_memstream, (char **text, size_t *size), (text, size), -1, ENOMEM, NULL)
WRAP(int, vasprintf, (char **text, const char *format, va_list arguments), (text, format, arguments), -1, ENOMEM, -1)

WRAP(int, fstat64, (int fd, struct stat64 *status), (fd, status), fd, EIO, -1)
WRAP(int, sigprocmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old), -1, EINVAL, -1)
WRAP(int, kill, (pid_t pid, int number), (pid, number), -1, EPERM, -1)

WRAP(int, stat64, (const char *path, struct stat64 *status), (path, status), -1, EACCES, -1)
WRAP(int, ftruncate64, (int fd, off64_t size), (fd, size), fd, EIO, -1)
WRAP(int, flock, (int fd, int operation), (fd, operation), fd, ENOLCK, -1)
WRAP(int, unlink, (const char *path), (path), -1, EROFS, -1)
WRAP(int, dup2, (int fd, int to), (fd, to), fd, EBUSY, -1)
WRAP(int, chdir, (const char *path), (path), -1, EACCES, -1)
WRAP(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags), -1, ENOSYS, -1)
WRAP(DIR *, opendir, (const char *path), (path), -1, EMFILE, NULL)
WRAP(struct dirent64 *, readdir64, (DIR *list), (list), -1, ENOENT, NULL)
WRAP(int, closedir, (DIR *list), (list), -1, EBADF, -1)
WRAP(int, setpgid, (pid_t pid, pid_t group), (pid, group), -1, EPERM, -1)
WRAP(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set), -1, EPERM, -1)
WRAP(cpu_set_t *, __sched_cpualloc, (size_t count), (count), -1, ENOMEM, NULL)
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1, ECHILD, -1)
WRAP(pid_t, tcgetpgrp, (int fd), (fd), fd, ENOTTY, -1)
WRAP(int, execve, (const char *path, char *const argv[], char *const environment[]), (path, argv, environment), -1, ENOMEM, -1)
WRAP(int, execvp, (const char *name, char *const argv[]), (name, argv), -1, ENOMEM, -1)
WRAP(struct passwd *, getpwnam, (const char *name), (name), -1, EMFILE, NULL)
WRAP(struct passwd *, getpwuid, (uid_t uid), (uid), -1, EMFILE, NULL)
WRAP(FILE *, fopen64, (const char *path, const char *mode), (path, mode), -1, EMFILE, NULL)
WRAP(FILE *, fdopen, (int fd, const char *mode), (fd, mode), fd, ENOMEM, NULL)

/* Streams: what cannot be read any more is led to where nothing can be read. */
static void spoil(const char *name, FILE *stream)
{
        int null;

        if (!fails(name, -1))
                return;
        null = __real_open64("/dev/null", O_WRONLY);
        __real_dup2(null, fileno(stream));
        __real_close(null);
}

#define WRAP_READ(type, name, parameters, arguments, stream)                                                                \
        type __real_##name parameters;                                                                                     \
        type __wrap_##name parameters;                                                                                     \
        type __wrap_##name parameters                                                                                      \
        {                                                                                                                  \
                spoil(#name, stream);                                                                                      \
                return __real_##name arguments;                                                                            \
        }

WRAP_READ(size_t, fread, (void *memory, size_t size, size_t count, FILE *stream), (memory, size, count, stream), stream)
WRAP_READ(char *, fgets, (char *line, int size, FILE *stream), (line, size, stream), stream)
WRAP_READ(ssize_t, getline, (char **line, size_t *capacity, FILE *stream), (line, capacity, stream), stream)

int __wrap___isoc99_fscanf(FILE *stream, const char *format, ...) __attribute__((__format__(__scanf__, 2, 3)));
int __wrap___isoc99_fscanf(FILE *stream, const char *format, ...)
{
        va_list arguments;
        int count;

        spoil("fscanf", stream);
        va_start(arguments, format);
        count = vfscanf(stream, format, arguments);
        va_end(arguments);
        return count;
}

/* What a stream in memory could not take shows only here. */
int __real_fclose(FILE *stream);
int __wrap_fclose(FILE *stream);
int __wrap_fclose(FILE *stream)
{
        bool is_failing = fails("fclose", -1);
        int result = __real_fclose(stream);

        if (!is_failing)
                return result;
        errno = ENOMEM;
        return EOF;
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
        pid_t pid;

        if (fails("fork", -1)) {
                errno = EAGAIN;
                return -1;
        }
        pid = __real_fork();
        if (pid == 0)
                guard = getpid();
        return pid;
}

int __real_clone(int (*fn)(void *), void *stack, int flags, void *argument, ...);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *argument, pid_t *parent);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *argument, pid_t *parent)
{
        if (fails("clone", -1)) {
                errno = EAGAIN;
                return -1;
        }
        return __real_clone(fn, stack, flags, argument, parent);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d);
long __wrap_syscall(long number, long a, long b, long c, long d)
{
        if (fails("syscall", -1)) {
                errno = ESRCH;
                return -1;
        }
        return __real_syscall(number, a, b, c, d);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
        if (fails("ioctl", fd)) {
                errno = ENOTTY;
                return -1;
        }
        return __real_ioctl(fd, request, argument);
}

/* The kernel closes a descriptor in any case. */
int __wrap_close(int fd);
int __wrap_close(int fd)
{
        bool is_failing = fails("close", fd);
        int result = __real_close(fd);

        if (!is_failing)
                return result;
        errno = EIO;
        return -1;
}

int __wrap_open64(const char *path, int flags, unsigned mode);
int __wrap_open64(const char *path, int flags, unsigned mode)
{
        if (fails("open", -1)) {
                errno = EMFILE;
                return -1;
        }
        return __real_open64(path, flags, mode);
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, unsigned long argument);
int __wrap_fcntl64(int fd, int command, unsigned long argument)
{
        if (fails("fcntl", fd)) {
                errno = EIO;
                return -1;
        }
        return __real_fcntl64(fd, command, argument);
}

int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_asprintf(char **text, const char *format, ...)
{
        va_list arguments;
        int size;

        if (fails("asprintf", -1)) {
                errno = ENOMEM;
                return -1;
        }
        va_start(arguments, format);
        size = __real_vasprintf(text, format, arguments);
        va_end(arguments);
        return size;
}

static const struct line {
        const char *text;
        const char *input;
        const char *before;     /* each run */
        const char *after;      /* all of them */
        const char *log;        /* a file that needs as many lines where the exit status is 0 */
        bool is_measured;       /* its output has times: only the number of lines is the same each time */
        bool has_server;        /* a nats-server */
} lines[] = {
        { .text = "call 'exec:ferry listen stdio: --echo' t hello", .input = "" },
        { .text = "call --json 'exec:echo junk; exec ferry listen stdio: --echo' t -", .input = "hello" },
        { .text = "notify -v 'exec:ferry listen stdio: --echo' t hello", .input = "" },
        { .text = "call 'exec:ferry listen stdio: --echo; echo words >&2; exit 3' t hello", .input = "" },
        { .text = "listen 'exec:ferry notify fd:,1 t x'", .input = "" },
        { .text = "listen unix:faults.sock --count 1 --exec cat", .input = "", .before = "(ferry call --wait 5 unix:faults.sock t x >answer 2>&1 &)" },
        { .text = "listen unix:faults.sock --count 1 --quiet --notify-exec cat", .input = "",
          .before = "(ferry notify --wait 5 unix:faults.sock t x >answer 2>&1 &)" },
        { .text = "call --each 'exec:ferry listen stdio: --echo' t -", .input = "one\ntwo\n" },
        { .text = "call --each --value --json --unordered 'exec:ferry listen stdio:' t -", .input = "1\n[\n" },
        { .text = "run --workers 1 -- ferry listen stdio: --echo", .input = "one\ntwo\n" },
        { .text = "run --workers 1 --joblog log -- ferry listen stdio: --echo", .input = "one\ntwo\n", .before = "rm -f log", .log = "log" },
        { .text = "run --workers 1 --joblog log --resume -- ferry listen stdio: --echo", .input = "one\ntwo\nthree\n",
          .before = "cat earlier >log", .log = "log" },
        { .text = "run --workers 1 --joblog log --resume-failed -- ferry listen stdio: --echo", .input = "one\ntwo\nthree\n",
          .before = "cat earlier >log", .log = "log" },
        { .text = "listen unix:faults.sock --count 1 --reply x --allow 0 --allow root --group GROUP", .input = "",
          .before = "(ferry call --wait 5 unix:faults.sock t x >answer 2>&1 &)" },
        { .text = "store shm:key lock -- echo held", .input = "", .before = "ferry store shm:key put 1 value", .after = "ferry store shm:key remove" },
        { .text = "store --size 200 shm:new put 1 a-value-that-is-longer-than-the-segment-a-value-that-is-longer-than-the-segment-a-value-that-is-longer-than-the-segment-a-value-that-is-longer-than-the-segment",
          .input = "", .before = "rm -f new" },
        { .text = "bench --count 1 'exec:ferry listen stdio: --echo'", .input = "", .is_measured = true },
        { .text = "convert --from json --to php", .input = "{\"a\":[1,2]}" },
        { .text = "convert --from php --to json", .input = "i:1;" },
        { .text = "store shm:key put 1 value", .input = "", .before = "touch key" },
        { .text = "store shm:key get 1", .input = "" },
        { .text = "store shm:key list", .input = "", .after = "ferry store shm:key remove" },
        { .text = "send --create msgq:queue hello", .input = "", .before = "touch queue" },
        { .text = "recv --count 1 --timeout 5 msgq:queue", .input = "", .before = "ferry send --create msgq:queue hello", .after = "ferry ipcs --remove msgq:queue > removed" },
        { .text = "list", .input = "" },
        { .text = "list --json", .input = "" },
        { .text = "list --on 127.0.0.1:1", .input = "" },
        { .text = "run --on 127.0.0.1:1,127.0.0.1:2 --workers 1 -- true", .input = "" },
        { .text = "bridge exec:cat", .input = "bytes" },
        { .text = "wait --timeout 0 nothing-there", .input = "" },
        { .text = "--help", .input = "" },
        { .text = "call --help", .input = "" },
        { .text = "call", .input = "" },
        { .text = "list nats: --timeout 0.01", .input = "", .has_server = true },
        { .text = "list --json nats: --timeout 0.01", .input = "", .has_server = true },
        { .text = "listen nats:tool --count 1 --exec cat --workers 1", .input = "", .has_server = true,
          .before = "(ferry call --wait 5 nats:tool t x >answer 2>&1 &)" },
        { .text = "call --wait 0 nats:vacant t hello", .input = "", .has_server = true },
        { .text = "call --each --wait 0 nats:vacant t -", .input = "one\ntwo\n", .has_server = true },
        { .text = "run --quiet --workers 1 --wait 0 --on nats:vacant", .input = "one\ntwo\n", .has_server = true },
        { .text = "run --quiet --workers 1 --on nats+queue:put", .input = "one\n", .is_measured = true, .has_server = true },
        { .text = "run --quiet --workers 1 --on nats+queue:full", .input = "one\n", .has_server = true,
          .before = "ferry call --value 'nats:$JS.API.STREAM.CREATE.full' '' "
                    "'{\"name\":\"full\",\"subjects\":[\"full.task\"],\"max_bytes\":1,\"discard\":\"new\"}' >made" },
        { .text = "run --quiet --workers 1 --wait 0 --tasks nats+queue:done -- ferry listen stdio: --echo", .input = "", .has_server = true,
          .before = "ferry call --value 'nats:$JS.API.STREAM.PURGE.done' '' '{}' >made; seq 1 | ferry run --quiet --on nats+queue:done >made" },
        { .text = "run --quiet --workers 1 --wait 0 --tasks nats+queue:dead -- ferry listen stdio: --exec 'exit 3'", .input = "", .has_server = true,
          .before = "ferry call --value 'nats:$JS.API.STREAM.PURGE.dead' '' '{}' >made; seq 1 | ferry run --quiet --on nats+queue:dead >made;"
                    "ferry call --value 'nats:$JS.API.CONSUMER.DURABLE.CREATE.dead.ferry' '' '{\"stream_name\":\"dead\",\"config\":{"
                    "\"durable_name\":\"ferry\",\"ack_policy\":\"explicit\",\"max_deliver\":1,\"filter_subject\":\"dead.task\"}}' >made" },
        { .text = "run --quiet --workers 1 --tasks nats+queue:push -- true", .input = "", .has_server = true,
          .before = "seq 1 | ferry run --quiet --on nats+queue:push >made;"
                    "ferry call --value 'nats:$JS.API.CONSUMER.DURABLE.CREATE.push.ferry' '' '{\"stream_name\":\"push\",\"config\":{"
                    "\"durable_name\":\"ferry\",\"ack_policy\":\"explicit\",\"filter_subject\":\"push.task\",\"deliver_subject\":\"x\"}}' >made" },
};

enum { LINES = sizeof lines / sizeof *lines };

/* What a run has done of three tasks, two of them well and one not. */
static const char earlier[] = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tOutcome\n"
                              "1\t:\t1700000000.000\t0.001\t3\t3\t0\t0\tone\tanswered\n"
                              "2\t:\t1700000000.000\t0.001\t3\t0\t1\t0\ttwo\tanswered with an error\n";

/* The words of a line; quotes hold one together. */
static int split(char *text, char **words)
{
        int count = 0;

        words[count++] = (char[]){ "ferry" };
        for (char *at = text; *at;) {
                char end = *at == '\'' ? *at++ : ' ';

                words[count++] = at;
                at += strcspn(at, (char[]){ end, '\0' });
                if (*at)
                        *at++ = '\0';
                while (*at == ' ')
                        at++;
        }
        words[count] = NULL;
        return count;
}

static void replace(int fd, const char *path, int flags)
{
        int opened = open(path, flags, 0600);

        dup2(opened, fd);
        close(opened);
}

static void run_tool(const struct line *line)
{
        char text[512], group[16], *words[16];
        int count;

        snprintf(text, sizeof text, "%s", line->text);
        replace(0, "in", O_RDONLY);
        replace(1, "out", O_WRONLY | O_CREAT | O_TRUNC);
        replace(2, "err", O_WRONLY | O_CREAT | O_TRUNC);
        count = split(text, words);
        for (int i = 0; i < count; i++)
                if (strcmp(words[i], "GROUP") == 0) {
                        snprintf(group, sizeof group, "%u", (unsigned)getgid());
                        words[i] = group;
                }
        tool = getpid();
        exit(tool_main(count, words));
}

/* The wait status; -1: it hung. */
static int run_once(const struct line *line, enum part part, long failing)
{
        int status, pidfd, ready;
        pid_t child;

        if (line->before && system(line->before) != 0)
                return -1;
        memset(state, 0, sizeof *state);
        state->part = part;
        state->failing = failing;
        child = fork();
        if (child == 0)
                run_tool(line);
        pidfd = (int)syscall(SYS_pidfd_open, child, 0);
        ready = poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, LIMIT_MS);
        close(pidfd);
        if (ready != 1)
                kill(child, SIGKILL);
        waitpid(child, &status, 0);
        return ready == 1 ? status : -1;
}

static size_t read_file(const char *path, char *bytes, size_t max)
{
        int fd = open(path, O_RDONLY);
        ssize_t got = read(fd, bytes, max);

        close(fd);
        return got < 0 ? 0 : (size_t)got;
}

static char expected[1 << 16], found[1 << 16];
static size_t expected_size;
static long expected_lines, expected_output_lines;
static long passed, failed;

static long count_lines(const char *path)
{
        static char bytes[1 << 16];
        size_t size = path ? read_file(path, bytes, sizeof bytes) : 0;
        long count = 0;

        for (size_t i = 0; i < size; i++)
                count += bytes[i] == '\n';
        return count;
}

static const char *judge(const struct line *line, int status, int normal)
{
        struct stat said;

        if (status == -1)
                return "it hangs";
        if (WIFSIGNALED(status))
                return "it is killed by a signal";
        if (state->calls[GUARD] > GUARD_CALLS_MAX)
                return "the guard makes a call for each descriptor that may be open";
        if (status == 0 && line->is_measured && count_lines("out") != expected_output_lines)
                return "the exit status is 0, but the output has not all its lines";
        if (status == 0 && normal == 0 && !line->is_measured &&
            (read_file("out", found, sizeof found) != expected_size || memcmp(found, expected, expected_size) != 0))
                return "the exit status is 0, but the output is not whole";
        if (status == 0 && count_lines(line->log) != expected_lines)
                return "the exit status is 0, but the log is not whole";
        if (status == 0 && normal != 0)
                return "the exit status is 0";
        if (status != 0 && !state->is_stderr && (stat("err", &said) < 0 || said.st_size == 0))
                return "nothing is said on stderr";
        if (status != 0 && strcmp(state->name, "getpwnam") == 0 && !(read_file("err", found, sizeof found - 1) && strstr(found, strerror(EMFILE))))
                return "the reason is not said";
        return NULL;
}

static void try(const struct line *line, enum part part, long number, int normal)
{
        const char *reason = judge(line, run_once(line, part, number), normal);

        if (!reason) {
                passed++;
                return;
        }
        failed++;
        printf("failed: %td:%ld:%d: ferry %s: %s fails: %s\n", line - lines, number, part, line->text, state->name, reason);
}

static void write_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        bool is_good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);

        close(fd);
        if (!is_good)
                abort();
}

static void try_all(const struct line *line, long only, long only_part)
{
        long calls[PARTS];
        int normal;

        write_file("in", line->input);
        normal = run_once(line, TOOL, 0);
        expected_output_lines = count_lines("out");
        memcpy(calls, state->calls, sizeof calls);
        expected_size = read_file("out", expected, sizeof expected);
        expected_lines = count_lines(line->log);
        if (only)
                try(line, (enum part)only_part, only, normal);
        for (int part = 0; part < PARTS && !only; part++)
                for (long number = 1; number <= calls[part]; number++)
                        try(line, (enum part)part, number, normal);
        if (line->after && system(line->after) != 0)
                printf("cannot clean up after ferry %s\n", line->text);
}

/* At a free port, with JetStream. False: there is none, or it does not start. */
static bool start_server(void)
{
        char url[256] = "";
        size_t size;

        if (system("PATH=$PATH:/usr/sbin; mkdir ports; command -v nats-server >server || exit 1;"
                   "nats-server -a 127.0.0.1 -p -1 --ports_file_dir ports --jetstream --store_dir store >nats.out 2>&1 & echo $! >nats.pid;"
                   "for i in $(seq 1000); do grep -qs nats:// ports/* && break; sleep 0.01; done;"
                   "grep -oh 'nats://[0-9.:]*' ports/* | head -n 1 | tr -d '\\n' >url") != 0)
                return false;
        size = read_file("url", url, sizeof url - 1);
        setenv("NATS_URL", url, 1);
        return size > 0;
}

int main(int argc, char **argv)
{
        long lines_end = LINES;
        char folder[] = "/tmp/ferry-tool-XXXXXX", path[8192], command[64];
        long chosen = -1, only = 0, part = 0;
        bool has_server = argc > 2 && strcmp(argv[2], "nats") == 0;

        if (argc < 2)
                return 2;
        if (argc > 2 && !has_server) {
                char *end;

                chosen = strtol(argv[2], &end, 10);
                only = *end ? strtol(end + 1, &end, 10) : 0;
                part = *end ? strtol(end + 1, NULL, 10) % PARTS : 0;
        }
        snprintf(path, sizeof path, "%s:%s", argv[1], getenv("PATH"));
        setenv("PATH", path, 1);
        state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (!mkdtemp(folder) || chdir(folder) < 0 || mkdir("names", 0700) < 0)
                return 2;
        snprintf(path, sizeof path, "%s/names", folder);
        setenv("FERRY_DIR", path, 1);
        setvbuf(stdout, NULL, _IONBF, 0);
        write_file("earlier", earlier);
        has_server = has_server || (chosen >= 0 && chosen < LINES && lines[chosen].has_server);
        if (has_server && !start_server()) {
                printf("SKIPPED tool-faults-nats: nats-server is not installed\ntool-faults: 0 passed, 0 failed, 1 skipped\n");
                lines_end = 0;
        }
        for (long i = 0; i < lines_end; i++)
                if (chosen < 0 ? lines[i].has_server == has_server : chosen == i)
                        try_all(&lines[i], only, part);
        if (only && system("cat err") != 0)
                return 2;
        if (has_server && lines_end > 0 && system("kill $(cat nats.pid)") != 0)
                return 2;
        snprintf(command, sizeof command, "rm -rf %s", folder);
        if (chdir("/") == 0 && system(command) != 0)
                return 2;
        if (lines_end > 0)
                printf("tool-faults: %ld passed, %ld failed\n", passed, failed);
        return failed > 0;
}
