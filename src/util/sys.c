/* The one door to the system. Its functions translate errno into a result, begin interrupted calls again,
 * and do nothing else: no policy, no state. */
#include "util/sys.h"

#include "util/raw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100      /* linux/fs.h */
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u      /* linux/memfd.h */
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* The result of a call, with its errno if it failed. */
#define RESULT(call)                                    \
        ({                                              \
                __typeof__(call) result_ = (call);      \
                result_ < 0 ? -errno : result_;         \
        })

#define RESULT_UNINTERRUPTED(call)                                      \
        ({                                                              \
                __typeof__(call) result_;                               \
                do                                                      \
                        result_ = (call);                               \
                while (result_ < 0 && errno == EINTR);                  \
                result_ < 0 ? -errno : result_;                         \
        })

void *sys_alloc(size_t size)
{
        return malloc(size);
}

void *sys_alloc_zeroed(size_t size)
{
        return calloc(1, size);
}

void *sys_realloc(void *memory, size_t size)
{
        return realloc(memory, size);
}

void sys_free(void *memory)
{
        free(memory);
}

int64_t sys_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t sys_wall_clock(void)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return now.tv_sec;
}

ssize_t sys_read(int fd, void *buffer, size_t size)
{
        return RESULT_UNINTERRUPTED(read(fd, buffer, size));
}

ssize_t sys_write(int fd, const void *bytes, size_t size)
{
        return RESULT_UNINTERRUPTED(write(fd, bytes, size));
}

ssize_t sys_write_quietly(int fd, const void *bytes, size_t size)
{
        const struct iovec piece = { (void *)(uintptr_t)bytes, size };

        return RESULT_UNINTERRUPTED(pwritev2(fd, &piece, 1, -1, RWF_NOSIGNAL));
}

ssize_t sys_recv(int fd, void *buffer, size_t size)
{
        return RESULT_UNINTERRUPTED(recv(fd, buffer, size, MSG_DONTWAIT));
}

ssize_t sys_send(int fd, const void *bytes, size_t size)
{
        return RESULT_UNINTERRUPTED(send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

int sys_open(const char *path, int flags, mode_t mode)
{
        return RESULT_UNINTERRUPTED(open(path, flags | O_CLOEXEC | O_NOCTTY, mode));
}

/* Linux frees the descriptor whatever close() says; calling it again could hit that of another thread. */
int sys_close(int fd)
{
        return RESULT(close(fd));
}

int sys_duplicate(int fd, int lowest)
{
        return (int)raw_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest, 0);
}

int sys_replace(int fd, int target)
{
        long result;

        if (fd == target)
                return fd;
        do
                result = raw_call(SYS_dup3, fd, target, 0, 0);
        while (result == -EINTR);
        return (int)result;
}

int sys_pipe(int ret_fds[2])
{
        return RESULT(pipe2(ret_fds, O_CLOEXEC));
}

int sys_stat_fd(int fd, struct stat *ret_stat)
{
        return RESULT(fstat(fd, ret_stat));
}

int sys_stat_path(const char *path, struct stat *ret_stat)
{
        return RESULT(lstat(path, ret_stat));
}

int sys_unlink(const char *path)
{
        return RESULT(unlink(path));
}

int sys_make_directory(const char *path, mode_t mode)
{
        return RESULT(mkdir(path, mode));
}

int sys_make_fifo(const char *path, mode_t mode)
{
        return RESULT(mkfifo(path, mode));
}

int sys_chmod_fd(int fd, mode_t mode)
{
        return RESULT(fchmod(fd, mode));
}

int sys_chmod_path(const char *path, mode_t mode)
{
        return RESULT(chmod(path, mode));
}

int sys_change_owner(int fd, uid_t uid, gid_t gid)
{
        return RESULT(fchownat(fd, "", uid, gid, AT_EMPTY_PATH));
}

int sys_lock_file(int fd, off_t at, off_t size)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = size };

        return RESULT(fcntl(fd, F_OFD_SETLK, &lock));
}

off_t sys_is_locked(int fd, off_t at, pid_t *ret_pid)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

        if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
                return -errno;
        *ret_pid = lock.l_pid;
        /* 0 is to the end of the file, wherever that may come to be. */
        return lock.l_type == F_UNLCK ? 0 : lock.l_len ? lock.l_len : INT64_MAX;
}

int sys_truncate(int fd, off_t size)
{
        return RESULT_UNINTERRUPTED(ftruncate(fd, size));
}

int sys_flags(int fd)
{
        return RESULT(fcntl(fd, F_GETFL));
}

int sys_set_flags(int fd, int flags)
{
        return RESULT(fcntl(fd, F_SETFL, flags));
}

int sys_set_close_on_exec(int fd)
{
        return RESULT(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int sys_is_close_on_exec(int fd)
{
        int flags = fcntl(fd, F_GETFD);

        return flags < 0 ? -errno : (flags & FD_CLOEXEC) != 0;
}

bool sys_is_terminal(int fd)
{
        return isatty(fd);
}

ssize_t sys_read_directory(int fd, void *entries, size_t size)
{
        return RESULT(getdents64(fd, entries, size));
}

int sys_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
        return RESULT_UNINTERRUPTED(poll(fds, count, timeout_ms));
}

int sys_socket(int domain, int type)
{
        return RESULT(socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int sys_netlink(int protocol)
{
        return RESULT(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

int sys_bind(int fd, const struct sockaddr *address, socklen_t size)
{
        return RESULT(bind(fd, address, size));
}

int sys_listen(int fd, int backlog)
{
        return RESULT(listen(fd, backlog));
}

int sys_accept(int fd, struct sockaddr *ret_address, socklen_t *ret_size)
{
        return RESULT_UNINTERRUPTED(accept4(fd, ret_address, ret_size, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

int sys_connect(int fd, const struct sockaddr *address, socklen_t size)
{
        return RESULT_UNINTERRUPTED(connect(fd, address, size));
}

int sys_shutdown(int fd, int how)
{
        return RESULT(shutdown(fd, how));
}

ssize_t sys_send_to(int fd, const void *bytes, size_t size, const struct sockaddr *address, socklen_t address_size)
{
        return RESULT_UNINTERRUPTED(sendto(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL, address_size > 0 ? address : NULL,
                                           address_size));
}

ssize_t sys_receive_message(int fd, struct msghdr *message, int flags)
{
        return RESULT_UNINTERRUPTED(recvmsg(fd, message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
}

ssize_t sys_send_message(int fd, const struct msghdr *message)
{
        return RESULT_UNINTERRUPTED(sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

int sys_set_socket_struct(int fd, int level, int name, const void *value, socklen_t size)
{
        return RESULT(setsockopt(fd, level, name, value, size));
}

int sys_interface(const char *name)
{
        unsigned index = if_nametoindex(name);

        return index > 0 ? (int)index : -errno;
}

int sys_get_socket_option(int fd, int name, void *value, socklen_t size)
{
        return RESULT(getsockopt(fd, SOL_SOCKET, name, value, &size));
}

int sys_set_socket_option(int fd, int level, int name, int value)
{
        return RESULT(setsockopt(fd, level, name, &value, sizeof value));
}

int sys_socket_name(int fd, struct sockaddr *ret_address, socklen_t size)
{
        return RESULT(getsockname(fd, ret_address, &size));
}

int sys_count_sent(int fd)
{
        int count = 0, result = RESULT(ioctl(fd, SIOCOUTQ, &count));

        return result < 0 ? result : count;
}

int sys_count_input(int fd)
{
        int count = 0, result = RESULT(ioctl(fd, FIONREAD, &count));

        return result < 0 ? result : count;
}

/* The system calls themselves: before glibc 2.34 the functions of the C library stand in a library of their own. */
int sys_mqueue_open(const char *name, int flags, mode_t mode, const struct mq_attr *attributes)
{
        return (int)RESULT_UNINTERRUPTED(syscall(SYS_mq_open, name, flags | O_CLOEXEC | O_NONBLOCK, mode, attributes));
}

int sys_mqueue_send(int fd, const void *bytes, size_t size, unsigned priority)
{
        return (int)RESULT_UNINTERRUPTED(syscall(SYS_mq_timedsend, fd, bytes, size, priority, NULL));
}

ssize_t sys_mqueue_receive(int fd, void *buffer, size_t size, unsigned *ret_priority)
{
        return RESULT_UNINTERRUPTED(syscall(SYS_mq_timedreceive, fd, buffer, size, ret_priority, NULL));
}

int sys_mqueue_attributes(int fd, struct mq_attr *ret_attributes)
{
        return (int)RESULT(syscall(SYS_mq_getsetattr, fd, NULL, ret_attributes));
}

int sys_mqueue_unlink(const char *name)
{
        return (int)RESULT(syscall(SYS_mq_unlink, name));
}

int sys_ftok(const char *path, int project, key_t *ret_key)
{
        key_t key = ftok(path, project);

        if (key == -1)
                return -errno;
        *ret_key = key;
        return 0;
}

int sys_msg_get(key_t key, int flags)
{
        return RESULT(msgget(key, flags));
}

int sys_msg_send(int id, const void *message, size_t size)
{
        return RESULT_UNINTERRUPTED(msgsnd(id, message, size, IPC_NOWAIT));
}

ssize_t sys_msg_receive(int id, void *message, size_t size, long type)
{
        return RESULT_UNINTERRUPTED(msgrcv(id, message, size, type, IPC_NOWAIT));
}

int sys_msg_control(int id, int command, struct msqid_ds *state)
{
        return RESULT(msgctl(id, command, state));
}

int sys_shm_get(key_t key, size_t size, int flags)
{
        return RESULT(shmget(key, size, flags));
}

void *sys_shm_attach(int id, int flags, int *ret_error)
{
        void *memory = shmat(id, NULL, flags);

        *ret_error = memory == (void *)-1 ? -errno : 0;
        return *ret_error ? NULL : memory;
}

int sys_shm_detach(const void *memory)
{
        return RESULT(shmdt(memory));
}

int sys_shm_control(int id, int command, struct shmid_ds *state)
{
        return RESULT(shmctl(id, command, state));
}

int sys_sem_get(key_t key, int count, int flags)
{
        return RESULT(semget(key, count, flags));
}

/* Not begun again when a signal interrupts it: the caller knows how much of the time is left. */
int sys_sem_operate(int id, struct sembuf *operations, size_t count, int64_t timeout_ns)
{
        struct timespec timeout = { timeout_ns / 1000000000, (long)(timeout_ns % 1000000000) };

        return RESULT(semtimedop(id, operations, count, timeout_ns == INT64_MAX ? NULL : &timeout));
}

union semaphore_argument {
        int value;              /* cppcheck-suppress unusedStructMember ; semctl(2) reads it */
        struct semid_ds *state; /* cppcheck-suppress unusedStructMember ; the same */
};

int sys_sem_value(int id, int number, int command, int value)
{
        return RESULT(semctl(id, number, command, (union semaphore_argument){ .value = value }));
}

int sys_sem_control(int id, int command, struct semid_ds *state)
{
        return RESULT(semctl(id, 0, command, (union semaphore_argument){ .state = state }));
}

int sys_epoll_create(void)
{
        return RESULT(epoll_create1(EPOLL_CLOEXEC));
}

int sys_epoll_control(int epoll, int operation, int fd, uint32_t events, void *data)
{
        struct epoll_event event = { .events = events, .data.ptr = data };

        return RESULT(epoll_ctl(epoll, operation, fd, &event));
}

int sys_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
        return RESULT(epoll_wait(epoll, events, count, timeout_ms));
}

int sys_eventfd(void)
{
        return RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int sys_timerfd(void)
{
        return RESULT(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

int sys_timerfd_set(int fd, int64_t deadline)
{
        struct itimerspec when = { .it_value = { deadline / 1000000000, (long)(deadline % 1000000000) } };

        return RESULT(timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL));
}

int sys_inotify(void)
{
        return RESULT(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

int sys_watch_directory(int fd, const char *path)
{
        return RESULT(inotify_add_watch(fd, path, IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF |
                                                          IN_MOVE_SELF | IN_ONLYDIR));
}

/* Of a directory IN_ATTRIB would report all that is in it. */
int sys_watch_file(int fd, const char *path, bool is_directory)
{
        return RESULT(inotify_add_watch(fd, path, (is_directory ? 0 : IN_ATTRIB) | IN_DELETE_SELF | IN_MOVE_SELF));
}

void *sys_map_wiped_on_fork(void)
{
        size_t size = (size_t)sysconf(_SC_PAGESIZE);
        void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (page == MAP_FAILED)
                return NULL;
        if (madvise(page, size, MADV_WIPEONFORK) < 0) {
                munmap(page, size);
                return NULL;
        }
        return page;
}

void *sys_map_shared(void)
{
        void *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        return page == MAP_FAILED ? NULL : page;
}

void sys_unmap_page(void *page)
{
        munmap(page, (size_t)sysconf(_SC_PAGESIZE));
}

int sys_shared_memory_file(void)
{
        int fd = RESULT(memfd_create("ferry", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));

        /* Before Linux 6.3. */
        return fd == -EINVAL ? RESULT(memfd_create("ferry", MFD_CLOEXEC | MFD_ALLOW_SEALING)) : fd;
}

int sys_allocate(int fd, off_t size)
{
        struct rlimit limit;

        /* The kernel would kill by SIGXFSZ. */
        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && (uint64_t)size > limit.rlim_cur)
                return -EFBIG;
        return RESULT_UNINTERRUPTED(fallocate(fd, 0, 0, size));
}

int sys_add_seals(int fd, int seals)
{
        return RESULT(fcntl(fd, F_ADD_SEALS, seals));
}

int sys_seals(int fd)
{
        return RESULT(fcntl(fd, F_GET_SEALS));
}

int sys_file_system(int fd, int64_t *ret_type)
{
        struct statfs system;
        int result = RESULT_UNINTERRUPTED(fstatfs(fd, &system));

        if (!result)
                *ret_type = (int64_t)system.f_type;
        return result;
}

void *sys_map_file(int fd, size_t size, int *ret_error)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

        *ret_error = memory == MAP_FAILED ? -errno : 0;
        return memory == MAP_FAILED ? NULL : memory;
}

void sys_unmap(void *memory, size_t size)
{
        munmap(memory, size);
}

int sys_processor(void)
{
        return RESULT(sched_getcpu());
}

void sys_yield(void)
{
        sched_yield();
}

int sys_block_signal(int signal, sigset_t *ret_before)
{
        sigset_t one;

        sigemptyset(&one);
        sigaddset(&one, signal);
        return -pthread_sigmask(SIG_BLOCK, &one, ret_before);
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
        fd = sys_open(path, O_RDONLY, 0);
        if (fd < 0)
                return fd;
        size = sys_read(fd, text, sizeof text - 1);
        sys_close(fd);
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

int sys_socket_pair(int ret_fds[2])
{
        return RESULT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds));
}

int sys_rewind(int fd)
{
        return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

int sys_memory_file(void)
{
        return RESULT(memfd_create("ferry", MFD_CLOEXEC));
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
