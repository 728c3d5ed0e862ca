/* The guard. The death signal of prctl(2) reaches only a command itself, not what the command has started; so a process of
 * its own holds the reading end of a pipe, and ends the commands' process groups at the end of file.
 *
 * Invariants: a group is registered before its command becomes another program, so there is no moment in which the listener
 * can be killed and leave a command behind; a group is removed before its command is reaped, so its number is not another's
 * yet. The guard is in a session of its own, blocks all signals, and holds no descriptor but its pipe. */
#include "listen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct groups {
        pid_t *ids;
        size_t count, capacity;
};

static struct {
        int fd;                 /* -1: there is no guard */
        pid_t pid;
        ferry_loop *loop;       /* which watches the pipe, or NULL */
        struct groups groups;   /* as the guard has them */
} guard = { .fd = -1 };

static bool groups_reserve(struct groups *groups)
{
        size_t capacity = groups->capacity ? groups->capacity * 2 : 16;
        pid_t *grown;

        if (groups->count < groups->capacity)
                return true;
        grown = realloc(groups->ids, capacity * sizeof *grown);
        if (!grown)
                return false;
        groups->ids = grown;
        groups->capacity = capacity;
        return true;
}

static void groups_remove(struct groups *groups, pid_t group)
{
        for (size_t i = 0; i < groups->count; i++)
                if (groups->ids[i] == group) {
                        groups->ids[i] = groups->ids[--groups->count];
                        return;
                }
}

bool group_is_gone(pid_t group)
{
        return kill(-group, 0) < 0 && errno == ESRCH;
}

/* The guard process --------------------------------------------------------------------------------------- */

/* Where close_range(2) is refused. The limit may be a million and more, so only what is open is closed. */
static bool close_listed(int lowest)
{
        DIR *list = opendir("/proc/self/fd");

        if (!list)
                return false;
        for (struct dirent *entry; (entry = readdir(list));) {
                int fd = (int)strtol(entry->d_name, NULL, 10);

                if (fd >= lowest && fd != dirfd(list))
                        close(fd);
        }
        closedir(list);
        return true;
}

/* 0, or a negative errno. */
static int leave_everything(int fd, int ready)
{
        int null;

        setsid();
        prctl(PR_SET_NAME, "ferry-guard");
        (void)!chdir("/");
        /* Where they do not stand in each other's way. */
        fd = fcntl(fd, F_DUPFD, 5);
        ready = fcntl(ready, F_DUPFD, 5);
        if (fd < 0 || ready < 0 || dup2(fd, 3) < 0 || dup2(ready, 4) < 0)
                return -errno;
        if (close_range(5, ~0U, 0) < 0 && !close_listed(5))
                for (int other = 5; other < (int)sysconf(_SC_OPEN_MAX); other++)
                        close(other);
        null = open("/dev/null", O_RDWR);
        for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++)
                if (null < 0 || dup2(null, standard) < 0)
                        close(standard);
        if (null >= 0)
                close(null);
        return 0;
}

static void end_groups(struct groups *groups)
{
        for (size_t i = 0; i < groups->count; i++) {
                kill(-groups->ids[i], SIGTERM);
                kill(-groups->ids[i], SIGCONT);
        }
        for (int waited = 0; groups->count > 0 && waited < KILL_DELAY_MS; waited += GROUP_LOOK_MS) {
                for (size_t i = groups->count; i-- > 0;)
                        if (group_is_gone(groups->ids[i]))
                                groups_remove(groups, groups->ids[i]);
                if (groups->count > 0)
                        poll(NULL, 0, GROUP_LOOK_MS);
        }
        for (size_t i = 0; i < groups->count; i++)
                kill(-groups->ids[i], SIGKILL);
}

/* A note is the number of a group, negative for a group that has ended, and 0 at the end of a listener that waits for the guard.
 * Notes are shorter than PIPE_BUF, so they come whole. */
_Noreturn static void keep_guard(const int pipe[2], const int ready[2])
{
        struct groups groups = { 0 };
        pid_t notes[256];
        bool is_over = false;
        ssize_t got;
        int error;

        /* What the listener's side of these takes is needed here. */
        close(pipe[1]);
        close(ready[0]);
        error = leave_everything(pipe[0], ready[1]);
        (void)!write(error ? ready[1] : 4, &error, sizeof error);
        if (error)
                _exit(1);
        close(4);
        while (!is_over && (got = read(3, notes, sizeof notes)) > 0)
                for (size_t i = 0; i < (size_t)got / sizeof *notes; i++)
                        if (notes[i] == 0)
                                is_over = true;
                        else if (notes[i] < 0)
                                groups_remove(&groups, -notes[i]);
                        else if (groups_reserve(&groups))
                                groups.ids[groups.count++] = notes[i];
                        else
                                kill(-notes[i], SIGKILL);
        end_groups(&groups);
        _exit(0);
}

/* The listener -------------------------------------------------------------------------------------------- */

/* The pipe has room for some thousand notes: one that does not take them is stopped. */
static bool notify_guard(pid_t note)
{
        return write(guard.fd, &note, sizeof note) == sizeof note;
}

/* 0 once it has left everything, its process group as well; or its error, -EPIPE where it has ended without one. */
static int await_readiness(int fd)
{
        int error = 0;
        ssize_t got;

        while ((got = read(fd, &error, sizeof error)) < 0 && errno == EINTR)
                ;
        return got == sizeof error ? error : got < 0 ? -errno : -EPIPE;
}

/* 0, or a negative errno. */
static int start(void)
{
        int notes[2], ready[2], error;
        sigset_t all, before;

        if (pipe2(notes, O_CLOEXEC) < 0)
                return -errno;
        if (pipe2(ready, O_CLOEXEC) < 0) {
                error = -errno;
                close(notes[0]);
                close(notes[1]);
                return error;
        }
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before);
        guard.pid = fork();
        error = guard.pid < 0 ? -errno : 0;
        if (guard.pid == 0)
                keep_guard(notes, ready);
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(notes[0]);
        close(ready[1]);
        if (!error)
                error = await_readiness(ready[0]);
        close(ready[0]);
        if (guard.pid < 0) {
                close(notes[1]);
                return error;
        }
        guard.fd = notes[1];
        if (error) {
                guard_fail();
                return error;
        }
        fcntl(guard.fd, F_SETFL, O_NONBLOCK);
        for (size_t i = 0; i < guard.groups.count; i++)
                if (!notify_guard(guard.groups.ids[i])) {
                        guard_fail();
                        return -ECHILD;
                }
        return 0;
}

/* The pipe has no reader any more. A command that has registered itself since may not have been heard. */
static int has_ended(ferry_loop *loop, void *unused)
{
        int error;

        (void)unused;
        guard.loop = NULL;
        guard_fail();
        error = guard.groups.count > 0 ? guard_open(loop) : 0;
        if (error < 0)
                complain("the guard has ended, and no other can be started: %s; what runs now goes on if this listener is killed",
                         strerror(-error));
        return 0;
}

int guard_open(ferry_loop *loop)
{
        int error = 0;

        if (guard.fd < 0) {
                error = start();
                if (!error) {
                        guard.loop = loop;
                        ferry_loop_watch(loop, guard.fd, 0, has_ended, NULL);
                }
        }
        return error ? error : guard.fd;
}

void guard_unwatch(void)
{
        if (guard.loop)
                ferry_loop_off(guard.loop, has_ended, NULL);
        guard.loop = NULL;
}

void guard_fail(void)
{
        if (guard.fd < 0)
                return;
        guard_unwatch();
        /* One that is stopped would end the groups later. */
        kill(guard.pid, SIGKILL);
        close(guard.fd);
        guard.fd = -1;
        waitpid(guard.pid, NULL, 0);
}

bool guard_reserve(void)
{
        return groups_reserve(&guard.groups);
}

void guard_add(pid_t group)
{
        guard.groups.ids[guard.groups.count++] = group;
}

void guard_remove(pid_t group)
{
        groups_remove(&guard.groups, group);
        if (guard.fd >= 0 && !notify_guard(-group))
                guard_fail();
}

void guard_close(void)
{
        if (guard.fd >= 0) {
                if (!notify_guard(0))
                        kill(guard.pid, SIGKILL);
                /* One that is stopped takes no note. */
                kill(guard.pid, SIGCONT);
                close(guard.fd);
                guard.fd = -1;
                while (waitpid(guard.pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        free(guard.groups.ids);
        guard.groups = (struct groups){ 0 };
}
