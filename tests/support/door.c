/* The porter. Invariant: a call that is let through reaches the real function with its own arguments, once. Blocks
 * are counted where they are made and freed, so what the library holds is known at any time; what C library
 * functions allocate for themselves is not seen here. */
#include "support/door.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum {
        SITES_MAX = 4096,       /* many more than the library has; 12 bits of hash */
        HANG_MS = 10000,
};

struct door_counts door_counts;
uintptr_t door_site;
door_judge_fn *door_judge;
door_limit_fn *door_limit;
door_path_fn *door_path;

static bool is_child;
static bool is_clock_stopped;
static int64_t stopped_now;
static int patience;

/* What children tell us: memory that they share with us. A site is its address and, in the lower bits, its call. */
static unsigned *child_calls;
static uintptr_t *noted_sites;
enum { CALL_BITS = 8 };
_Static_assert(DOOR_CALLS <= 1 << CALL_BITS, "a call fits");

extern const char __executable_start[];

const char *door_name(enum door_call call)
{
#define NAME_OF(name) #name,
        static const char *const names[] = { DOOR_LIST(NAME_OF) };
#undef NAME_OF

        return names[call];
}

static void *share(size_t size)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
                abort();
        return memory;
}

void door_separate(void)
{
        child_calls = share(DOOR_CALLS * sizeof *child_calls);
}

__attribute__((constructor)) static void set_up(void)
{
        noted_sites = share(SITES_MAX * sizeof *noted_sites);
        door_separate();
}

void door_reset(void)
{
        size_t blocks = door_counts.blocks, bytes = door_counts.bytes;

        door_counts = (struct door_counts){ .blocks = blocks, .bytes = bytes, .bytes_peak = bytes };
        memset(child_calls, 0, DOOR_CALLS * sizeof *child_calls);
        door_judge = NULL;
        door_limit = NULL;
        door_path = NULL;
        is_clock_stopped = false;
}

const unsigned *door_child_calls(void)
{
        return child_calls;
}

size_t door_sites(const struct door_site **ret_sites)
{
        static struct door_site sites[SITES_MAX];
        size_t count = 0;

        for (size_t i = 0; i < SITES_MAX; i++)
                if (noted_sites[i])
                        sites[count++] = (struct door_site){ noted_sites[i] >> CALL_BITS,
                                                             noted_sites[i] & ((1 << CALL_BITS) - 1) };
        *ret_sites = sites;
        return count;
}

/* A table by hash, in which a place once taken stays taken. Several processes write into it at once. */
static void note_site(enum door_call call, const void *return_address)
{
        uintptr_t address = (uintptr_t)return_address - (uintptr_t)__executable_start;
        uintptr_t site = address << CALL_BITS | (uintptr_t)call;

        door_site = address;
        for (size_t i = (size_t)((address * 0x9e3779b97f4a7c15) >> 52);; i = (i + 1) % SITES_MAX) {
                uintptr_t found = 0;

                if (__atomic_compare_exchange_n(&noted_sites[i], &found, site, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
                    found == site)
                        return;
        }
}

static void count(enum door_call call, const void *return_address)
{
        note_site(call, return_address);
        if (is_child)
                child_calls[call]++;
        else
                door_counts.calls[call]++;
}

/* 0, or what the caller is to be told instead. */
static int ask(enum door_call call)
{
        return call < DOOR_REFUSABLE && door_judge ? door_judge(call, is_child) : 0;
}

static int enter(enum door_call call, const void *return_address)
{
        count(call, return_address);
        return ask(call);
}

/* Memory ---------------------------------------------------------------------------------------------- */

static void *count_in(void *memory)
{
        if (!memory)
                return NULL;
        door_counts.blocks++;
        door_counts.bytes += malloc_usable_size(memory);
        if (door_counts.bytes > door_counts.bytes_peak)
                door_counts.bytes_peak = door_counts.bytes;
        return memory;
}

static void count_out(void *memory)
{
        if (!memory)
                return;
        door_counts.blocks--;
        door_counts.bytes -= malloc_usable_size(memory);
}

static int enter_allocation(enum door_call call, size_t size, const void *return_address)
{
        door_counts.allocations++;
        if (size > door_counts.largest)
                door_counts.largest = size;
        return enter(call, return_address);
}

#define DECLARE(type, name, parameters) type __real_sys_##name parameters; type __wrap_sys_##name parameters;

DECLARE(void *, alloc, (size_t size))
DECLARE(void *, alloc_zeroed, (size_t size))
DECLARE(void *, realloc, (void *memory, size_t size))
DECLARE(void, free, (void *memory))

void *__wrap_sys_alloc(size_t size)
{
        if (enter_allocation(DOOR_alloc, size, __builtin_return_address(0)))
                return NULL;
        return count_in(__real_sys_alloc(size));
}

void *__wrap_sys_alloc_zeroed(size_t size)
{
        if (enter_allocation(DOOR_alloc_zeroed, size, __builtin_return_address(0)))
                return NULL;
        return count_in(__real_sys_alloc_zeroed(size));
}

void *__wrap_sys_realloc(void *memory, size_t size)
{
        size_t before = memory ? malloc_usable_size(memory) : 0;
        void *grown;

        if (enter_allocation(DOOR_realloc, size, __builtin_return_address(0)))
                return NULL;
        grown = __real_sys_realloc(memory, size);
        if (grown && memory) {
                door_counts.blocks--;
                door_counts.bytes -= before;
        }
        return count_in(grown);
}

void __wrap_sys_free(void *memory)
{
        enter(DOOR_free, __builtin_return_address(0));
        count_out(memory);
        __real_sys_free(memory);
}

/* Time ------------------------------------------------------------------------------------------------ */

DECLARE(int64_t, now, (void))
DECLARE(int, poll, (struct pollfd *fds, nfds_t count, int timeout_ms))
DECLARE(int, epoll_wait, (int epoll, struct epoll_event *events, int count, int timeout_ms))

void door_stop_clock(int patience_ms)
{
        stopped_now = is_clock_stopped ? stopped_now : __real_sys_now();
        is_clock_stopped = true;
        patience = patience_ms;
}

void door_advance(int64_t ns)
{
        stopped_now += ns;
}

int64_t __wrap_sys_now(void)
{
        enter(DOOR_now, __builtin_return_address(0));
        return is_clock_stopped ? stopped_now : __real_sys_now();
}

/* For how long a wait with that timeout may really wait. */
static int real_timeout(int timeout_ms)
{
        door_counts.timeout_ms = timeout_ms;
        if (!is_clock_stopped)
                return timeout_ms;
        if (timeout_ms < 0)
                return HANG_MS;
        return timeout_ms < patience ? timeout_ms : patience;
}

/* After a wait in which nothing was ready, so all of its time is over. */
static void pass(const char *name, int timeout_ms)
{
        if (is_clock_stopped && timeout_ms < 0) {
                fprintf(stderr, "%s waits for ever, and nothing comes\n", name);
                abort();
        }
        if (is_clock_stopped)
                stopped_now += (int64_t)timeout_ms * 1000000;
}

int __wrap_sys_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
        int result = enter(DOOR_poll, __builtin_return_address(0));

        if (result == 0)
                result = __real_sys_poll(fds, count, real_timeout(timeout_ms));
        if (result == 0)
                pass("poll", timeout_ms);
        return result;
}

int __wrap_sys_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
        int result = enter(DOOR_epoll_wait, __builtin_return_address(0));

        if (result == 0)
                result = __real_sys_epoll_wait(epoll, events, count, real_timeout(timeout_ms));
        if (result == 0)
                pass("epoll_wait", timeout_ms);
        return result;
}

/* What moves bytes, which may move fewer -------------------------------------------------------------- */

#define MOVING(name, buffer_type)                                                       \
        DECLARE(ssize_t, name, (int fd, buffer_type buffer, size_t size))               \
        ssize_t __wrap_sys_##name(int fd, buffer_type buffer, size_t size)              \
        {                                                                               \
                ssize_t limit = enter(DOOR_##name, __builtin_return_address(0)), moved; \
                                                                                        \
                if (limit == 0)                                                         \
                        limit = door_limit && size > 0 ? door_limit(DOOR_##name, fd, size) : (ssize_t)size; \
                moved = limit < 0 ? limit : __real_sys_##name(fd, buffer, (size_t)limit); \
                door_counts.moved += moved > 0 ? (size_t)moved : 0;                     \
                return moved;                                                           \
        }

MOVING(read, void *)
MOVING(write, const void *)
MOVING(write_quietly, const void *)
MOVING(recv, void *)
MOVING(send, const void *)

/* Calls that are let through or refused --------------------------------------------------------------- */

#define PLAIN(type, name, parameters, arguments)                                        \
        DECLARE(type, name, parameters)                                                 \
        type __wrap_sys_##name parameters                                               \
        {                                                                               \
                int error = enter(DOOR_##name, __builtin_return_address(0));            \
                                                                                        \
                return error ? (type)error : __real_sys_##name arguments;               \
        }

PLAIN(int, open, (const char *path, int flags, mode_t mode), (door_path ? door_path(path) : path, flags, mode))
PLAIN(int, stop_signal, (int pidfd), (pidfd))
PLAIN(int, duplicate, (int fd, int lowest), (fd, lowest))
PLAIN(int, replace, (int fd, int target), (fd, target))
PLAIN(int, pipe, (int ret_fds[2]), (ret_fds))
PLAIN(int, stat_fd, (int fd, struct stat *ret_stat), (fd, ret_stat))
PLAIN(int, stat_path, (const char *path, struct stat *ret_stat), (door_path ? door_path(path) : path, ret_stat))
PLAIN(int, unlink, (const char *path), (path))
PLAIN(int, make_directory, (const char *path, mode_t mode), (path, mode))
PLAIN(int, chmod_fd, (int fd, mode_t mode), (fd, mode))
PLAIN(int, chmod_path, (const char *path, mode_t mode), (path, mode))
PLAIN(int, change_owner, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
PLAIN(int, lock_file, (int fd, off_t at, off_t size), (fd, at, size))
PLAIN(int, unlock_file, (int fd, off_t at, off_t size), (fd, at, size))
PLAIN(off_t, is_locked, (int fd, off_t at, pid_t *ret_pid), (fd, at, ret_pid))
PLAIN(int, truncate, (int fd, off_t size), (fd, size))
PLAIN(int, flags, (int fd), (fd))
PLAIN(int, set_flags, (int fd, int flags), (fd, flags))
PLAIN(int, set_close_on_exec, (int fd), (fd))
PLAIN(int, is_close_on_exec, (int fd), (fd))
PLAIN(ssize_t, read_directory, (int fd, void *entries, size_t size), (fd, entries, size))
PLAIN(int, socket, (int domain, int type), (domain, type))
PLAIN(int, netlink, (int protocol), (protocol))
PLAIN(int, bind, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
PLAIN(int, listen, (int fd, int backlog), (fd, backlog))
PLAIN(int, accept, (int fd, struct sockaddr *ret_address, socklen_t *ret_size), (fd, ret_address, ret_size))
PLAIN(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
PLAIN(int, shutdown, (int fd, int how), (fd, how))
PLAIN(int, get_socket_option, (int fd, int name, void *value, socklen_t size), (fd, name, value, size))
PLAIN(int, set_socket_option, (int fd, int level, int name, int value), (fd, level, name, value))
PLAIN(int, socket_name, (int fd, struct sockaddr *ret_address, socklen_t size), (fd, ret_address, size))
PLAIN(int, count_sent, (int fd), (fd))
PLAIN(int, count_input, (int fd), (fd))
PLAIN(int, epoll_create, (void), ())
PLAIN(int, eventfd, (void), ())
PLAIN(int, timerfd, (void), ())
PLAIN(int, timerfd_set, (int fd, int64_t deadline), (fd, deadline))
PLAIN(int, inotify, (void), ())
PLAIN(int, watch_directory, (int fd, const char *path), (fd, path))
PLAIN(int, watch_file, (int fd, const char *path, bool is_directory), (fd, path, is_directory))
PLAIN(int, block_signal, (int signal, sigset_t *ret_before), (signal, ret_before))
PLAIN(int, restore_signals, (const sigset_t *before), (before))
PLAIN(int, take_signal, (int signal), (signal))
PLAIN(int, is_exiting, (pid_t pid), (pid))
PLAIN(int, signal_group, (pid_t group, int signal), (group, signal))
PLAIN(int, signal_child, (int pidfd, int signal), (pidfd, signal))
PLAIN(int, set_group, (pid_t pid, pid_t group), (pid, group))
PLAIN(pid_t, group_of, (pid_t pid), (pid))
PLAIN(int, change_directory, (const char *path), (path))
PLAIN(int, rewind, (int fd), (fd))
PLAIN(int, memory_file, (void), ())
PLAIN(ssize_t, send_message, (int fd, const struct msghdr *message), (fd, message))
PLAIN(int, shared_memory_file, (void), ())
PLAIN(int, allocate, (int fd, off_t size), (fd, size))
PLAIN(int, add_seals, (int fd, int seals), (fd, seals))
PLAIN(int, seals, (int fd), (fd))
PLAIN(int, file_system, (int fd, int64_t *ret_type), (fd, ret_type))
PLAIN(int, socket_pair, (int ret_fds[2]), (ret_fds))
PLAIN(int, keep_on_exec, (int fd), (fd))
PLAIN(int, close_on_exec_from, (int lowest), (lowest))
PLAIN(int, close_on_exec_each, (int lowest), (lowest))
PLAIN(int, block_signals, (const int *signals, sigset_t *ret_before), (signals, ret_before))
PLAIN(int, signalfd, (const int *signals), (signals))
PLAIN(int, open_process, (pid_t pid), (pid))
PLAIN(int, set_death_signal, (int signal), (signal))
PLAIN(int, execute, (const char *path, const char *const *argv, const char *const *environment),
      (path, argv, environment))
PLAIN(ssize_t, send_to, (int fd, const void *bytes, size_t size, const struct sockaddr *address, socklen_t address_size),
      (fd, bytes, size, address, address_size))
PLAIN(ssize_t, receive_message, (int fd, struct msghdr *message, int flags), (fd, message, flags))
PLAIN(int, set_socket_struct, (int fd, int level, int name, const void *value, socklen_t size),
      (fd, level, name, value, size))
PLAIN(int, interface, (const char *name), (name))
PLAIN(int, make_fifo, (const char *path, mode_t mode), (path, mode))
PLAIN(int, mqueue_open, (const char *name, int flags, mode_t mode, const struct mq_attr *attributes),
      (name, flags, mode, attributes))
PLAIN(int, mqueue_send, (int fd, const void *bytes, size_t size, unsigned priority), (fd, bytes, size, priority))
PLAIN(ssize_t, mqueue_receive, (int fd, void *buffer, size_t size, unsigned *ret_priority), (fd, buffer, size, ret_priority))
PLAIN(int, mqueue_attributes, (int fd, struct mq_attr *ret_attributes), (fd, ret_attributes))
PLAIN(int, mqueue_unlink, (const char *name), (name))
PLAIN(int, ftok, (const char *path, int project, key_t *ret_key), (path, project, ret_key))
PLAIN(int, msg_get, (key_t key, int flags), (key, flags))
PLAIN(int, msg_send, (int id, const void *message, size_t size), (id, message, size))
PLAIN(ssize_t, msg_receive, (int id, void *message, size_t size, long type), (id, message, size, type))
PLAIN(int, msg_control, (int id, int command, struct msqid_ds *state), (id, command, state))
PLAIN(int, shm_get, (key_t key, size_t size, int flags), (key, size, flags))
PLAIN(int, shm_control, (int id, int command, struct shmid_ds *state), (id, command, state))
PLAIN(int, sem_get, (key_t key, int count, int flags), (key, count, flags))
PLAIN(int, sem_value, (int id, int number, int command, int value), (id, number, command, value))
PLAIN(int, sem_control, (int id, int command, struct semid_ds *state), (id, command, state))
PLAIN(int, find_group, (const char *name, gid_t *ret_gid), (name, ret_gid))
PLAIN(int, load_module, (const char *path, void **ret_module, const char **ret_why), (path, ret_module, ret_why))

DECLARE(int, close, (int fd))
DECLARE(int, epoll_control, (int epoll, int operation, int fd, uint32_t events, void *data))
DECLARE(int, wait, (int pidfd, siginfo_t *ret_info, int options))
DECLARE(void *, map_wiped_on_fork, (void))
DECLARE(void *, map_shared, (void))
DECLARE(pid_t, spawn, (int (*fn)(void *), void *argument, void *stack, size_t size, int *ret_pidfd))

int __wrap_sys_close(int fd)
{
        int error = enter(DOOR_close, __builtin_return_address(0));
        int result = __real_sys_close(fd);

        return error ? error : result;
}

int __wrap_sys_epoll_control(int epoll, int operation, int fd, uint32_t events, void *data)
{
        int error;

        count(DOOR_epoll_control, __builtin_return_address(0));
        error = operation == EPOLL_CTL_ADD ? ask(DOOR_epoll_control) : 0;
        return error ? error : __real_sys_epoll_control(epoll, operation, fd, events, data);
}

int __wrap_sys_wait(int pidfd, siginfo_t *ret_info, int options)
{
        int result, error;

        count(DOOR_wait, __builtin_return_address(0));
        result = __real_sys_wait(pidfd, ret_info, options | WNOWAIT);
        error = result == 0 && ret_info->si_pid != 0 ? ask(DOOR_wait) : 0;
        /* Another wait has taken the status, or the call is refused and has taken nothing. */
        if (result == 0 && ret_info->si_pid != 0 && (!error || error == -ECHILD))
                result = __real_sys_wait(pidfd, ret_info, options);
        return error ? error : result;
}

DECLARE(void *, map_file, (int fd, size_t size, int *ret_error))
DECLARE(void *, shm_attach, (int id, int flags, int *ret_error))
DECLARE(int, shm_detach, (const void *memory))
DECLARE(int, sem_operate, (int id, struct sembuf *operations, size_t count, int64_t timeout_ns))

void *__wrap_sys_map_file(int fd, size_t size, int *ret_error)
{
        *ret_error = enter(DOOR_map_file, __builtin_return_address(0));
        return *ret_error ? NULL : __real_sys_map_file(fd, size, ret_error);
}

void *__wrap_sys_shm_attach(int id, int flags, int *ret_error)
{
        *ret_error = enter(DOOR_shm_attach, __builtin_return_address(0));
        return *ret_error ? NULL : __real_sys_shm_attach(id, flags, ret_error);
}

/* A refused one has detached, as a refused close has closed. */
int __wrap_sys_shm_detach(const void *memory)
{
        int error = enter(DOOR_shm_detach, __builtin_return_address(0));
        int result = __real_sys_shm_detach(memory);

        return error ? error : result;
}

/* With the clock stopped its timeout passes at once. */
int __wrap_sys_sem_operate(int id, struct sembuf *operations, size_t count, int64_t timeout_ns)
{
        int result = enter(DOOR_sem_operate, __builtin_return_address(0));
        int64_t patience_ns = (int64_t)patience * 1000000;

        if (result)
                return result;
        if (!is_clock_stopped || timeout_ns == INT64_MAX)
                return __real_sys_sem_operate(id, operations, count, timeout_ns);
        result = __real_sys_sem_operate(id, operations, count, timeout_ns < patience_ns ? timeout_ns : patience_ns);
        if (result == -EAGAIN)
                stopped_now += timeout_ns;
        return result;
}

void *__wrap_sys_map_wiped_on_fork(void)
{
        return enter(DOOR_map_wiped_on_fork, __builtin_return_address(0)) ? NULL : __real_sys_map_wiped_on_fork();
}

void *__wrap_sys_map_shared(void)
{
        return enter(DOOR_map_shared, __builtin_return_address(0)) ? NULL : __real_sys_map_shared();
}

/* The child runs in our memory while we wait. */
pid_t __wrap_sys_spawn(int (*fn)(void *), void *argument, void *stack, size_t size, int *ret_pidfd)
{
        int error = enter(DOOR_spawn, __builtin_return_address(0));
        pid_t pid;

        if (error)
                return error;
        is_child = true;
        pid = __real_sys_spawn(fn, argument, stack, size, ret_pidfd);
        is_child = false;
        return pid;
}

DECLARE(pid_t, fork_program, (void))

pid_t __wrap_sys_fork_program(void)
{
        int error = enter(DOOR_fork_program, __builtin_return_address(0));
        pid_t pid = error ? error : __real_sys_fork_program();

        if (pid == 0)
                is_child = true;
        return pid;
}

/* Calls that cannot be refused ------------------------------------------------------------------------ */

#define SURE(type, name, parameters, arguments)                                         \
        DECLARE(type, name, parameters)                                                 \
        type __wrap_sys_##name parameters                                               \
        {                                                                               \
                enter(DOOR_##name, __builtin_return_address(0));                        \
                return __real_sys_##name arguments;                                     \
        }

SURE(int64_t, wall_clock, (void), ())
SURE(bool, is_terminal, (int fd), (fd))
SURE(bool, is_signal_pending, (int signal), (signal))
SURE(bool, is_signal_ignored, (int signal), (signal))
SURE(pid_t, pid, (void), ())
SURE(pid_t, parent, (void), ())
SURE(size_t, host_name, (char *name), (name))
SURE(uid_t, uid, (void), ())
SURE(gid_t, gid, (void), ())
SURE(const char *, environment, (const char *name), (name))
SURE(void *, find_symbol, (void *module, const char *name), (module, name))
SURE(const unsigned char *, secret, (void), ())
SURE(int, descriptor_limit, (void), ())
SURE(int, processor, (void), ())

DECLARE(void, unmap_page, (void *page))
DECLARE(void, unmap, (void *memory, size_t size))
DECLARE(void, yield, (void))
DECLARE(int, reap, (pid_t pid, siginfo_t *ret_info))
DECLARE(void, reset_signals, (void))
DECLARE(void, unblock_signal, (int signal))
DECLARE(_Noreturn void, exit, (int status))

int __wrap_sys_reap(pid_t pid, siginfo_t *ret_info)
{
        int error = enter(DOOR_reap, __builtin_return_address(0));

        return error ? error : __real_sys_reap(pid, ret_info);
}

void __wrap_sys_unmap(void *memory, size_t size)
{
        enter(DOOR_unmap, __builtin_return_address(0));
        __real_sys_unmap(memory, size);
}

void __wrap_sys_yield(void)
{
        enter(DOOR_yield, __builtin_return_address(0));
        __real_sys_yield();
}

void __wrap_sys_unmap_page(void *page)
{
        enter(DOOR_unmap_page, __builtin_return_address(0));
        __real_sys_unmap_page(page);
}

void __wrap_sys_unblock_signal(int signal)
{
        enter(DOOR_unblock_signal, __builtin_return_address(0));
        __real_sys_unblock_signal(signal);
}

void __wrap_sys_reset_signals(void)
{
        enter(DOOR_reset_signals, __builtin_return_address(0));
        __real_sys_reset_signals();
}

void __wrap_sys_exit(int status)
{
        enter(DOOR_exit, __builtin_return_address(0));
        __real_sys_exit(status);
}
