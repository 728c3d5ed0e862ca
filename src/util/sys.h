/* The one door to the system: system calls, allocation and time. Nothing else in the library calls them, so
 * that tests can replace any of them at link time. Calls return what they return, or a negative errno; those
 * that can be interrupted by a signal are begun again. */
#pragma once

#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

void *sys_alloc(size_t size);
void *sys_alloc_zeroed(size_t size);
void *sys_realloc(void *memory, size_t size);
void sys_free(void *memory);

/* Nanoseconds of the monotonic clock. */
int64_t sys_now(void);
/* Seconds since 1970, as the clock on the wall has them. */
int64_t sys_wall_clock(void);

ssize_t sys_read(int fd, void *buffer, size_t size);
ssize_t sys_write(int fd, const void *bytes, size_t size);
/* The same to a pipe, without SIGPIPE. -EOPNOTSUPP before Linux 6.18; -ENOSYS or -EPERM in some sandboxes. */
ssize_t sys_write_quietly(int fd, const void *bytes, size_t size);
ssize_t sys_recv(int fd, void *buffer, size_t size);
ssize_t sys_send(int fd, const void *bytes, size_t size);

int sys_open(const char *path, int flags, mode_t mode);
int sys_close(int fd);
int sys_duplicate(int fd, int lowest);
int sys_replace(int fd, int target);
int sys_pipe(int ret_fds[2]);
int sys_stat_fd(int fd, struct stat *ret_stat);
int sys_stat_path(const char *path, struct stat *ret_stat);
int sys_unlink(const char *path);
int sys_make_directory(const char *path, mode_t mode);
int sys_make_fifo(const char *path, mode_t mode);
int sys_chmod_fd(int fd, mode_t mode);
int sys_chmod_path(const char *path, mode_t mode);
/* Of what is open, also by O_PATH. */
int sys_change_owner(int fd, uid_t uid, gid_t gid);
/* Lock some bytes of a file; the lock belongs to the open file. -EAGAIN if another process has one of them. */
int sys_lock_file(int fd, off_t at, off_t size);
/* Unlock some bytes of a file; @size 0: all behind. */
int sys_unlock_file(int fd, off_t at, off_t size);
/* How many bytes the lock of another process has that has the one at @at; 0: there is none. @ret_pid is -1 where a lock
 * belongs to an open file. */
off_t sys_is_locked(int fd, off_t at, pid_t *ret_pid);
int sys_truncate(int fd, off_t size);
int sys_rewind(int fd);
/* A file that stands nowhere. */
int sys_memory_file(void);
int sys_flags(int fd);
int sys_set_flags(int fd, int flags);
int sys_set_close_on_exec(int fd);
int sys_is_close_on_exec(int fd);
int sys_keep_on_exec(int fd);
/* All descriptors from this one on close on exec. -EINVAL or -ENOSYS before Linux 5.11. */
int sys_close_on_exec_from(int lowest);
/* The same one by one, as /proc/self/fd lists them. */
int sys_close_on_exec_each(int lowest);
bool sys_is_terminal(int fd);
/* Entries of a directory, each a struct dirent64; 0 at the end. */
ssize_t sys_read_directory(int fd, void *entries, size_t size);
int sys_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int sys_socket(int domain, int type);
int sys_netlink(int protocol);
int sys_socket_pair(int ret_fds[2]);
int sys_bind(int fd, const struct sockaddr *address, socklen_t size);
int sys_listen(int fd, int backlog);
int sys_accept(int fd, struct sockaddr *ret_address, socklen_t *ret_size);
int sys_connect(int fd, const struct sockaddr *address, socklen_t size);
int sys_shutdown(int fd, int how);
/* One datagram; @size of the address 0: to the peer that the socket is connected to. */
ssize_t sys_send_to(int fd, const void *bytes, size_t size, const struct sockaddr *address, socklen_t address_size);
/* The same as recvmsg(2), without blocking. */
ssize_t sys_receive_message(int fd, struct msghdr *message, int flags);
/* The same as sendmsg(2), without blocking and without SIGPIPE. */
ssize_t sys_send_message(int fd, const struct msghdr *message);
/* A socket option that is a struct. */
int sys_set_socket_struct(int fd, int level, int name, const void *value, socklen_t size);
/* The number of a network interface; -ENODEV if there is none of that name. */
int sys_interface(const char *name);
int sys_get_socket_option(int fd, int name, void *value, socklen_t size);
int sys_set_socket_option(int fd, int level, int name, int value);
/* Its own address. */
int sys_socket_name(int fd, struct sockaddr *ret_address, socklen_t size);
/* Bytes that were sent, and not yet received. */
int sys_count_sent(int fd);
/* How many bytes are there to be read. */
int sys_count_input(int fd);

/* POSIX message queues, mq_overview(7), whose descriptors are files. @name begins without a slash. @attributes may be NULL. */
int sys_mqueue_open(const char *name, int flags, mode_t mode, const struct mq_attr *attributes);
int sys_mqueue_send(int fd, const void *bytes, size_t size, unsigned priority);
ssize_t sys_mqueue_receive(int fd, void *buffer, size_t size, unsigned *ret_priority);
int sys_mqueue_attributes(int fd, struct mq_attr *ret_attributes);
int sys_mqueue_unlink(const char *name);

/* SysV objects, sysvipc(7). None of these blocks but sys_sem_operate(). */
int sys_ftok(const char *path, int project, key_t *ret_key);
int sys_msg_get(key_t key, int flags);
int sys_msg_send(int id, const void *message, size_t size);
ssize_t sys_msg_receive(int id, void *message, size_t size, long type);
int sys_msg_control(int id, int command, struct msqid_ds *state);
int sys_shm_get(key_t key, size_t size, int flags);
/* NULL with the errno in @ret_error, negative. */
void *sys_shm_attach(int id, int flags, int *ret_error);
int sys_shm_detach(const void *memory);
int sys_shm_control(int id, int command, struct shmid_ds *state);
int sys_sem_get(key_t key, int count, int flags);
/* Wait for at most @timeout_ns, or forever (INT64_MAX); -EAGAIN when that is over. */
int sys_sem_operate(int id, struct sembuf *operations, size_t count, int64_t timeout_ns);
int sys_sem_value(int id, int number, int command, int value);
int sys_sem_control(int id, int command, struct semid_ds *state);

int sys_epoll_create(void);
int sys_epoll_control(int epoll, int operation, int fd, uint32_t events, void *data);
int sys_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms);
int sys_eventfd(void);
int sys_timerfd(void);
/* Fire at that time of sys_now(); 0: never. */
int sys_timerfd_set(int fd, int64_t deadline);

/* Readable once something is made, moved or written in a directory, or done to it. */
int sys_inotify(void);
int sys_watch_directory(int fd, const char *path);
/* Readable once a file loses a name, or a file or directory is moved or removed. */
int sys_watch_file(int fd, const char *path, bool is_directory);

/* A page that a forked child finds zeroed. */
void *sys_map_wiped_on_fork(void);
/* The same page of zeros in this process and in those that it forks; NULL if there is no memory. */
void *sys_map_shared(void);
void sys_unmap_page(void *page);

/* Memory that two processes share. A file that stands nowhere, can be sealed, and where the kernel knows that, never executed. */
int sys_shared_memory_file(void);
/* Reserve that many bytes of a file, and make it as large. */
int sys_allocate(int fd, off_t size);
int sys_add_seals(int fd, int seals);
/* Those that a file has; -EINVAL if it can have none. */
int sys_seals(int fd);
/* Of which kind the file system is: f_type of statfs(2). */
int sys_file_system(int fd, int64_t *ret_type);
/* Map it, and all its pages at once; NULL with the errno in @ret_error, negative. */
void *sys_map_file(int fd, size_t size, int *ret_error);
void sys_unmap(void *memory, size_t size);
/* The processor that this thread runs on, counted from 0; negative if that is not known. */
int sys_processor(void);
/* Let other threads run on it. */
void sys_yield(void);

int sys_block_signal(int signal, sigset_t *ret_before);
/* Those of a list, up to a 0. */
int sys_block_signals(const int *signals, sigset_t *ret_before);
int sys_restore_signals(const sigset_t *before);
void sys_unblock_signal(int signal);
/* Readable when one of these has come, which are blocked. */
int sys_signalfd(const int *signals);
/* Take a pending signal, which is blocked; -EAGAIN if there is none. */
int sys_take_signal(int signal);
bool sys_is_signal_pending(int signal);
bool sys_is_signal_ignored(int signal);

/* Start a child that runs @fn in our memory, on that stack, while this thread waits until it is another program or has exited
 * with what @fn returns. All signals are blocked, in the child until sys_reset_signals(). There only these may be called, which
 * touch nothing of ours: sys_set_group(), sys_duplicate(), sys_replace(), sys_close_on_exec_from(), sys_close_on_exec_each(),
 * sys_keep_on_exec(), sys_set_death_signal(), sys_parent(), sys_change_directory(), sys_reset_signals() and sys_execute().
 * Returns the pid. */
pid_t sys_spawn(int (*fn)(void *argument), void *argument, void *stack, size_t size, int *ret_pidfd);
/* Fork as the C library does; the child is a whole program. Its descriptor is got afterwards. */
pid_t sys_fork_program(void);
int sys_open_process(pid_t pid);
/* Wait by its number for a child that has ended, or soon will, and take its status (NULL: which is of no interest). */
int sys_reap(pid_t pid, siginfo_t *ret_info);
/* Take the status of a child that has ended; @options as of waitid(2). */
int sys_wait(int pidfd, siginfo_t *ret_info, int options);
/* The signal that has stopped a child, which stays to be waited for; 0: it is not stopped. */
int sys_stop_signal(int pidfd);
/* Whether a process is on its way out, or a zombie: it has closed what it had, and its end can be waited for. Of one with
 * several threads this is not said. */
int sys_is_exiting(pid_t pid);
int sys_signal_group(pid_t group, int signal);
int sys_signal_child(int pidfd, int signal);
int sys_set_group(pid_t pid, pid_t group);
pid_t sys_group_of(pid_t pid);
/* For the child, until it is another program: all signals as a new process has them. */
void sys_reset_signals(void);
int sys_change_directory(const char *path);
int sys_execute(const char *path, const char *const *argv, const char *const *environment);
_Noreturn void sys_exit(int status);
pid_t sys_pid(void);
/* What this machine is called, and how long that is; "": not known. */
enum { SYS_HOST_NAME_MAX = 64 };
size_t sys_host_name(char name[SYS_HOST_NAME_MAX + 1]);
pid_t sys_parent(void);
/* That we are sent when the thread of our parent that has made us ends. */
int sys_set_death_signal(int signal);
uid_t sys_uid(void);
gid_t sys_gid(void);
/* -ENOENT if there is none of that name. */
int sys_find_group(const char *name, gid_t *ret_gid);

/* NULL if there is none, or if this program has more rights than the user that started it. */
const char *sys_environment(const char *name);

/* Load a shared object, whose symbols no other one sees, and which stays for as long as the process lives: 0; -ENOENT if there is no
 * such file; -ELIBBAD if it, or what it needs, cannot be loaded, and then @ret_why may say why; or -EOPNOTSUPP in a program that
 * is linked statically. Find what it exports; NULL: nothing of that name. */
int sys_load_module(const char *path, void **ret_module, const char **ret_why);
void *sys_find_symbol(void *module, const char *name);

/* How many descriptors the process may have. */
int sys_descriptor_limit(void);

/* 16 bytes that no other process can guess, always the same. */
const unsigned char *sys_secret(void);
