/* The door to the system, see sys.c: signals, children, and what a process is and may do. */
#include "util/sys.h"

#include "util/raw.h"
#include "util/result.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int sys_block_signal(int signal, sigset_t *ret_before)
{
        sigset_t one;

        sigemptyset(&one);
        sigaddset(&one, signal);
        return -pthread_sigmask(SIG_BLOCK, &one, ret_before);
}

static sigset_t set_of(const int *signals)
{
        sigset_t set;

        sigemptyset(&set);
        while (*signals)
                sigaddset(&set, *signals++);
        return set;
}

int sys_block_signals(const int *signals, sigset_t *ret_before)
{
        sigset_t set = set_of(signals);

        return -pthread_sigmask(SIG_BLOCK, &set, ret_before);
}

int sys_signalfd(const int *signals)
{
        sigset_t set = set_of(signals);

        return RESULT(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int sys_restore_signals(const sigset_t *before)
{
        return -pthread_sigmask(SIG_SETMASK, before, NULL);
}

void sys_unblock_signal(int signal)
{
        sigset_t one;

        sigemptyset(&one);
        sigaddset(&one, signal);
        pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

int sys_take_signal(int signal)
{
        sigset_t one;

        sigemptyset(&one);
        sigaddset(&one, signal);
        return RESULT_UNINTERRUPTED(sigtimedwait(&one, NULL, &(struct timespec){ 0 }));
}

bool sys_is_signal_pending(int signal)
{
        sigset_t pending;

        return sigpending(&pending) == 0 && sigismember(&pending, signal) == 1;
}

bool sys_is_signal_ignored(int signal)
{
        struct sigaction action;

        return sigaction(signal, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN;
}

pid_t sys_spawn(int (*fn)(void *), void *argument, void *stack, size_t size, int *ret_pidfd)
{
        char *top = (char *)stack + size - (uintptr_t)((char *)stack + size) % 16;
        /* All 64, also those that the C library keeps for itself: a handler would run on both sides in one memory. */
        uint64_t all = UINT64_MAX, before;
        int error = errno;
        long pid;

        raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
        pid = raw_clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, top, ret_pidfd, fn, argument);
        raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before);
        errno = error;
        return (pid_t)pid;
}

int sys_close_on_exec_from(int lowest)
{
        return (int)raw_call(SYS_close_range, lowest, (long)UINT_MAX, CLOSE_RANGE_CLOEXEC, 0);
}

int sys_close_on_exec_each(int lowest)
{
        /* Of a system call that goes past the C library, no checker knows what it writes. */
        _Alignas(struct dirent64) char entries[2048] = { 0 };
        int fd = (int)raw_call(SYS_openat, AT_FDCWD, (long)"/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        long size = fd < 0 ? fd : 1, result = 0;

        while (size > 0 && result == 0) {
                size = raw_call(SYS_getdents64, fd, (long)entries, sizeof entries, 0);
                for (long at = 0; at < size && result == 0;) {
                        const struct dirent64 *entry = (const void *)(entries + at);
                        int found = *entry->d_name == '.' ? -1 : 0;

                        for (const char *digit = entry->d_name; found >= 0 && *digit; digit++)
                                found = found * 10 + (*digit - '0');
                        if (found >= lowest)
                                result = raw_call(SYS_fcntl, found, F_SETFD, FD_CLOEXEC, 0);
                        at += entry->d_reclen;
                }
        }
        if (fd >= 0)
                raw_call(SYS_close, fd, 0, 0, 0);
        return (int)(size < 0 ? size : result);
}

int sys_wait(int pidfd, siginfo_t *ret_info, int options)
{
        return RESULT_UNINTERRUPTED(waitid((idtype_t)P_PIDFD, (id_t)pidfd, ret_info, WEXITED | options));
}

int sys_stop_signal(int pidfd)
{
        siginfo_t info = { 0 };
        int error = RESULT_UNINTERRUPTED(waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WSTOPPED | WNOHANG | WNOWAIT));

        return error ? error : info.si_pid ? info.si_status : 0;
}

int sys_is_exiting(pid_t pid)
{
        enum { FLAGS = 9, THREADS = 20 };       /* fields of proc(5) */
        enum { EXITING = 4 };                   /* PF_EXITING, among the flags */
        char path[32], text[1024], *at;
        unsigned long flags = 0, threads = 2;
        ssize_t size;
        int fd;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        fd = RESULT_UNINTERRUPTED(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (fd < 0)
                return fd;
        size = RESULT_UNINTERRUPTED(read(fd, text, sizeof text - 1));
        close(fd);
        if (size < 0)
                return (int)size;
        text[size] = '\0';
        /* The name stands in parentheses, and may hold some. */
        at = strrchr(text, ')');
        for (int field = 3; at && field <= THREADS && (at = strchr(at + 1, ' ')); field++)
                if (field == FLAGS)
                        flags = strtoul(at, NULL, 10);
                else if (field == THREADS)
                        threads = strtoul(at, NULL, 10);
        return (flags & EXITING) && threads <= 1;
}

int sys_signal_group(pid_t group, int signal)
{
        return RESULT(killpg(group, signal));
}

int sys_signal_child(int pidfd, int signal)
{
        return (int)RESULT(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int sys_set_group(pid_t pid, pid_t group)
{
        return (int)raw_call(SYS_setpgid, pid, group, 0, 0);
}

pid_t sys_group_of(pid_t pid)
{
        return RESULT(getpgid(pid));
}

void sys_reset_signals(void)
{
        /* As the kernel has struct sigaction: handler, flags and mask, which are all 0, on some machines a restorer. */
        const unsigned long by_default[8] = { 0 }, ignored[8] = { (uintptr_t)SIG_IGN };
        const uint64_t none = 0;

        for (int signal = 1; signal <= 64; signal++) {
                /* What has stopped the group before would stop this child for good, and its parent, which waits for exec. */
                if (signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)
                        raw_call(SYS_rt_sigaction, signal, (long)ignored, 0, sizeof none);
                raw_call(SYS_rt_sigaction, signal, (long)by_default, 0, sizeof none);
        }
        raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof none);
}

int sys_change_directory(const char *path)
{
        return (int)raw_call(SYS_chdir, (long)path, 0, 0, 0);
}

RAW_UNCOUNTED int sys_execute(const char *path, const char *const *argv, const char *const *environment)
{
        return (int)raw_call(SYS_execve, (long)path, (long)argv, (long)environment, 0);
}

void sys_exit(int status)
{
        _exit(status);
}

pid_t sys_fork_program(void)
{
        return RESULT(fork());
}

int sys_open_process(pid_t pid)
{
        return (int)RESULT(syscall(SYS_pidfd_open, pid, 0));
}

int sys_reap(pid_t pid, siginfo_t *ret_info)
{
        int status, result = (int)RESULT_UNINTERRUPTED(waitpid(pid, &status, 0));

        if (result < 0)
                return result;
        if (ret_info) {
                ret_info->si_pid = pid;
                ret_info->si_code = WIFEXITED(status) ? CLD_EXITED : CLD_KILLED;
                ret_info->si_status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
        }
        return 0;
}

int sys_keep_on_exec(int fd)
{
        return (int)raw_call(SYS_fcntl, fd, F_SETFD, 0, 0);
}

pid_t sys_parent(void)
{
        return (pid_t)raw_call(SYS_getppid, 0, 0, 0, 0);
}

int sys_set_death_signal(int signal)
{
        return (int)raw_call(SYS_prctl, PR_SET_PDEATHSIG, signal, 0, 0);
}

pid_t sys_pid(void)
{
        return getpid();
}

size_t sys_host_name(char name[SYS_HOST_NAME_MAX + 1])
{
        struct utsname names;
        size_t size = uname(&names) < 0 ? 0 : strnlen(names.nodename, SYS_HOST_NAME_MAX);

        memcpy(name, names.nodename, size);
        name[size] = '\0';
        return size;
}

uid_t sys_uid(void)
{
        return geteuid();
}

gid_t sys_gid(void)
{
        return getegid();
}

const char *sys_environment(const char *name)
{
        return secure_getenv(name);
}

int sys_descriptor_limit(void)
{
        struct rlimit limit;

        return getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}

const unsigned char *sys_secret(void)
{
        return (const unsigned char *)getauxval(AT_RANDOM);
}

int sys_find_group(const char *name, gid_t *ret_gid)
{
        struct group group, *found;
        char memory[16384];
        int error = getgrnam_r(name, &group, memory, sizeof memory, &found);

        if (!found) /* getgrnam_r(3) lists what a database may say for "no such name" */
                return error == ESRCH || error == EBADF || error == EPERM || error == 0 ? -ENOENT : -error;
        *ret_gid = group.gr_gid;
        return 0;
}
