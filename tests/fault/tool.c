/* Every system call and allocation of cli/ fails once. The objects of the tool are linked with --wrap for the calls that they
 * make, and with the shared library, whose own calls are not touched. Each command line is run once to count its calls, and
 * then once for each call that fails. A run must not crash or hang, an exit status of 0 needs the whole output, and another one
 * a line on stderr.
 *
 *      test-tool BUILD [COMMAND-LINE-NUMBER:CALL]      the second: one fault only, whose stderr is shown
 */
#undef main

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 20000 };

int tool_main(int argc, char **argv);

/* Shared with the child that runs the tool. */
static struct {
        long calls;
        long failing;           /* the number of the call; 0: none */
        char name[32];
        bool is_stderr;         /* it was a write there */
} *state;

static pid_t tool;              /* its children have no faults */

static bool fails(const char *name, int fd)
{
        int saved = errno;
        bool is_it = tool && getpid() == tool && ++state->calls == state->failing;

        if (is_it) {
                snprintf(state->name, sizeof state->name, "%s", name);
                state->is_stderr = fd == 2;
        }
        errno = saved;
        return is_it;
}

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
WRAP(pid_t, fork, (void), (), -1, EAGAIN, -1)
WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options), -1, ECHILD, -1)
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

/* The kernel closes a descriptor in any case. */
int __real_close(int fd);
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

int __real_open64(const char *path, int flags, ...);
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
} lines[] = {
        { .text = "call 'exec:ferry listen stdio: --echo' t hello", .input = "" },
        { .text = "call --json 'exec:echo junk; exec ferry listen stdio: --echo' t -", .input = "hello" },
        { .text = "notify -v 'exec:ferry listen stdio: --echo' t hello", .input = "" },
        { .text = "call 'exec:ferry listen stdio: --echo; echo words >&2; exit 3' t hello", .input = "" },
        { .text = "listen 'exec:ferry notify fd:,1 t x'", .input = "" },
        { .text = "listen unix:faults.sock --count 1 --exec cat", .input = "", .before = "(ferry call --wait 5 unix:faults.sock t x >answer 2>&1 &)" },
        { .text = "run --workers 1 -- ferry listen stdio: --echo", .input = "one\ntwo\n" },
        { .text = "convert --from json --to php", .input = "{\"a\":[1,2]}" },
        { .text = "convert --from php --to json", .input = "i:1;" },
        { .text = "store shm:key put 1 value", .input = "", .before = "touch key" },
        { .text = "store shm:key get 1", .input = "" },
        { .text = "store shm:key list", .input = "", .after = "ferry store shm:key remove" },
        { .text = "send --create msgq:queue hello", .input = "", .before = "touch queue" },
        { .text = "recv --count 1 --timeout 5 msgq:queue", .input = "", .before = "ferry send --create msgq:queue hello", .after = "ferry ipcs --remove msgq:queue > removed" },
        { .text = "list", .input = "" },
        { .text = "list --json", .input = "" },
        { .text = "wait --timeout 0 nothing-there", .input = "" },
        { .text = "--help", .input = "" },
        { .text = "call --help", .input = "" },
        { .text = "call", .input = "" },
};

enum { LINES = sizeof lines / sizeof *lines };

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
        char text[256], *words[16];
        int count;

        snprintf(text, sizeof text, "%s", line->text);
        replace(0, "in", O_RDONLY);
        replace(1, "out", O_WRONLY | O_CREAT | O_TRUNC);
        replace(2, "err", O_WRONLY | O_CREAT | O_TRUNC);
        count = split(text, words);
        tool = getpid();
        exit(tool_main(count, words));
}

/* The wait status; -1: it hung. */
static int run_once(const struct line *line, long failing)
{
        int status, pidfd, ready;
        pid_t child;

        if (line->before && system(line->before) != 0)
                return -1;
        memset(state, 0, sizeof *state);
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
static long passed, failed;

static const char *judge(int status, int normal)
{
        struct stat said;

        if (status == -1)
                return "it hangs";
        if (WIFSIGNALED(status))
                return "it is killed by a signal";
        if (status == 0 && normal == 0 &&
            (read_file("out", found, sizeof found) != expected_size || memcmp(found, expected, expected_size) != 0))
                return "the exit status is 0, but the output is not whole";
        if (status == 0 && normal != 0)
                return "the exit status is 0";
        if (status != 0 && !state->is_stderr && (stat("err", &said) < 0 || said.st_size == 0))
                return "nothing is said on stderr";
        return NULL;
}

static void try(const struct line *line, long number, int normal)
{
        const char *reason = judge(run_once(line, number), normal);

        if (!reason) {
                passed++;
                return;
        }
        failed++;
        printf("failed: %td:%ld: ferry %s: %s fails: %s\n", line - lines, number, line->text, state->name, reason);
}

static void write_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        bool is_good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);

        close(fd);
        if (!is_good)
                abort();
}

static void try_all(const struct line *line, long only)
{
        long calls;
        int normal;

        write_file("in", line->input);
        normal = run_once(line, 0);
        calls = state->calls;
        expected_size = read_file("out", expected, sizeof expected);
        for (long number = only ? only : 1; number <= (only ? only : calls); number++)
                try(line, number, normal);
        if (line->after && system(line->after) != 0)
                printf("cannot clean up after ferry %s\n", line->text);
}

int main(int argc, char **argv)
{
        char folder[] = "/tmp/ferry-tool-XXXXXX", path[8192], command[64];
        long chosen = -1, only = 0;

        if (argc < 2)
                return 2;
        if (argc > 2) {
                chosen = strtol(argv[2], NULL, 10);
                only = strchr(argv[2], ':') ? strtol(strchr(argv[2], ':') + 1, NULL, 10) : 0;
        }
        snprintf(path, sizeof path, "%s:%s", argv[1], getenv("PATH"));
        setenv("PATH", path, 1);
        state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (!mkdtemp(folder) || chdir(folder) < 0 || mkdir("names", 0700) < 0)
                return 2;
        snprintf(path, sizeof path, "%s/names", folder);
        setenv("FERRY_DIR", path, 1);
        setvbuf(stdout, NULL, _IONBF, 0);
        for (long i = 0; i < LINES; i++)
                if (chosen < 0 || chosen == i)
                        try_all(&lines[i], only);
        if (only && system("cat err") != 0)
                return 2;
        snprintf(command, sizeof command, "rm -rf %s", folder);
        if (chdir("/") == 0 && system(command) != 0)
                return 2;
        printf("tool-faults: %ld passed, %ld failed\n", passed, failed);
        return failed > 0;
}
