/* Chooses what surrounds tests. With main() from start.c it starts scripts. */
#include "support/surroundings.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
        DESCRIPTORS = 1024,
        DESCRIPTORS_HARD = 20000,       /* what single tests raise their limit to, at most */
};

extern char **environ;

/* Of those that begin with FERRY_, what tests themselves are asked for. */
static bool is_of_tests(const char *variable)
{
        static const char *const names[] = { "FERRY_TEST=", "FERRY_LONG=", "FERRY_ROUNDS=", "FERRY_FAULT=", "FERRY_SITES=",
                                             "FERRY_SEED=" };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strncmp(variable, names[i], strlen(names[i])) == 0)
                        return true;
        return false;
}

static void choose_variables(void)
{
        static const char *const unwanted[] = { "TMPDIR", "XDG_RUNTIME_DIR", "LANGUAGE", "POSIXLY_CORRECT", "BASH_ENV", "ENV", "CDPATH",
                                                "TERM", "COLUMNS", "LINES", "NO_COLOR", "NOTIFY_SOCKET", "LISTEN_FDS",
                                                "LISTEN_PID", "PHP_INI_SCAN_DIR", "PHPRC" };

        for (char **at = environ; at && *at;) {
                char name[256];
                size_t size = strcspn(*at, "=");

                if (strncmp(*at, "FERRY_", 6) != 0 || is_of_tests(*at) || size >= sizeof name) {
                        at++;
                        continue;
                }
                memcpy(name, *at, size);
                name[size] = '\0';
                if (unsetenv(name) < 0)
                        at++;
        }
        for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
                unsetenv(unwanted[i]);
        setenv("LC_ALL", "C", 1);
        setenv("HOME", "/", 0);
        setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 0);
}

void surroundings_choose(void)
{
        struct rlimit limit;
        sigset_t none;
        int fd;

        choose_variables();
        umask(022);
        /* The lowest free descriptor is the one that open(2) returns. */
        while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
                ;
        if (fd > STDERR_FILENO)
                close(fd);
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                rlim_t most = limit.rlim_max;

                /* root may raise the hard limit, too. */
                limit.rlim_cur = limit.rlim_cur < DESCRIPTORS ? DESCRIPTORS : limit.rlim_cur;
                limit.rlim_max = most < DESCRIPTORS_HARD ? DESCRIPTORS_HARD : most;
                if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
                        limit.rlim_max = most;
                        limit.rlim_cur = limit.rlim_cur < most ? limit.rlim_cur : most;
                        setrlimit(RLIMIT_NOFILE, &limit);
                }
        }
        for (int number = 1; number < NSIG; number++)
                if (number != SIGKILL && number != SIGSTOP) {
                        struct sigaction action;

                        /* A sanitizer's handler stays. */
                        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
                                signal(number, SIG_DFL);
                }
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}
