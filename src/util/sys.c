/* The one door to the system: memory, time, descriptors, files and sockets. Processes stand in sys_process.c, message queues and
 * SysV objects in sys_ipc.c. The functions of these files translate errno into a result, begin interrupted calls again, and do
 * nothing else: no policy, no state. */
#include "util/sys.h"

#include "util/raw.h"
#include "util/result.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100      /* linux/fs.h */
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u      /* linux/memfd.h */
#endif

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

int sys_unlock_file(int fd, off_t at, off_t size)
{
        struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = size };

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

int sys_rewind(int fd)
{
        return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

int sys_memory_file(void)
{
        return RESULT(memfd_create("ferry", MFD_CLOEXEC));
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

int sys_socket_pair(int ret_fds[2])
{
        return RESULT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds));
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
