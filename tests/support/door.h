/* The door to the system (util/sys.h) with a porter in it: a test that is linked with `door` sees every call that the
 * library makes, and may count it, refuse it, shorten it, or say what time it is. The objects of the library are
 * those that ship. Without orders the porter lets everything through and counts. One thread. */
#pragma once

#include "util/sys.h"

/* Every function of util/sys.h, in its order; tests/structure compares them. The second group is never refused. */
#define DOOR_LIST(X)                                                                                            \
        X(alloc) X(alloc_zeroed) X(realloc) X(read) X(write) X(write_quietly) X(recv) X(send) X(open) X(close) X(duplicate)      \
        X(replace) X(pipe) X(stat_fd) X(stat_path) X(unlink) X(make_directory) X(chmod_fd) X(chmod_path)        \
        X(change_owner) X(lock_file) X(unlock_file) X(is_locked) X(truncate) X(flags) X(set_flags) X(set_close_on_exec)        \
        X(is_close_on_exec) X(read_directory) X(poll) X(socket) X(netlink) X(bind) X(listen) X(accept)          \
        X(connect) X(shutdown) X(get_socket_option) X(set_socket_option) X(socket_name) X(count_sent) X(count_input) \
        X(epoll_create) X(epoll_control) X(epoll_wait) X(eventfd) X(timerfd) X(timerfd_set) X(inotify)          \
        X(watch_directory) X(watch_file) X(map_wiped_on_fork) X(map_shared) X(block_signal) X(restore_signals) X(take_signal) X(spawn)       \
        X(rewind) X(memory_file) X(socket_pair) X(keep_on_exec) X(block_signals) X(signalfd) X(fork_program)    \
        X(open_process) X(set_death_signal) X(close_on_exec_from) X(close_on_exec_each)                                               \
        X(send_to) X(receive_message) X(send_message) X(set_socket_struct) X(interface) X(make_fifo) X(mqueue_open) X(mqueue_send)              \
        X(mqueue_receive) X(mqueue_attributes) X(mqueue_unlink) X(ftok) X(msg_get) X(msg_send) X(msg_receive)   \
        X(msg_control) X(shm_get) X(shm_attach) X(shm_detach) X(shm_control) X(sem_get) X(sem_operate)          \
        X(sem_value) X(sem_control)                                                                             \
        X(shared_memory_file) X(allocate) X(add_seals) X(seals) X(file_system) X(map_file)                      \
        X(stop_signal) X(reap) X(wait) X(is_exiting) X(signal_group) X(signal_child) X(set_group) X(group_of) X(change_directory) X(execute) X(find_group) X(load_module)       \
        X(free) X(now) X(wall_clock) X(is_terminal) X(unmap_page) X(is_signal_pending) X(is_signal_ignored) X(reset_signals) X(unblock_signal) \
        X(exit) X(pid) X(host_name) X(parent) X(uid) X(gid) X(environment) X(find_symbol) X(descriptor_limit)   \
        X(unmap) X(processor) X(yield) X(secret)

#define DOOR_NAME(name) DOOR_##name,
enum door_call { DOOR_LIST(DOOR_NAME) DOOR_CALLS, DOOR_REFUSABLE = DOOR_load_module + 1 };
#undef DOOR_NAME

/* "alloc", "read", … */
const char *door_name(enum door_call call);

/* What has come through since door_reset(). */
struct door_counts {
        unsigned calls[DOOR_CALLS];
        unsigned allocations;   /* alloc, alloc_zeroed and realloc */
        size_t blocks;          /* allocated and not freed yet; door_reset() leaves this and the next as they are */
        size_t bytes;           /* of those, as malloc_usable_size(3) has them */
        size_t bytes_peak;      /* most of them at one time */
        size_t largest;         /* block that was asked for */
        size_t moved;           /* bytes that read, write, recv and send have moved */
        int timeout_ms;         /* of the last epoll_wait or poll */
};
extern struct door_counts door_counts;

/* Where the last call came from, as in struct door_site. */
extern uintptr_t door_site;

/* What children of the library have called between fork and exec: an array by door_call. They have no part in
 * door_counts. */
const unsigned *door_child_calls(void);

/* From here on this process and its children count those apart from its parent. Sites stay common to all. */
void door_separate(void);

/* Asked before each call that can be refused; the call is counted already. Returns 0 to let it through, or a
 * negative errno for the caller (NULL, if it wants memory). A refused close has closed, as close(2) has; a wait is refused
 * only where there was a status to take, and has taken it where it answers ECHILD; of epoll_control only adding is
 * refused, because epoll_ctl(2) has no reason to refuse the rest. In a child it is asked too, and @is_child is true. */
typedef int door_judge_fn(enum door_call call, bool is_child);
extern door_judge_fn *door_judge;

/* How much of @size read, write, recv or send may move, at least 1; or a negative errno. */
typedef ssize_t door_limit_fn(enum door_call call, int fd, size_t size);
extern door_limit_fn *door_limit;

/* Which path stat_path looks at, and open opens, instead of @path: for what only root could put there. */
typedef const char *door_path_fn(const char *path);
extern door_path_fn *door_path;

/* No orders, all counts at zero, and the real clock. */
void door_reset(void);

/* Time stands still, but for door_advance() and for a wait (epoll_wait, poll) in which nothing is ready: its timeout
 * passes at once. Before it does, the wait gives other processes up to @patience_ms of real time. A wait for ever, in
 * which nothing happens for 10 s, would hang: it ends the program with a message. */
void door_stop_clock(int patience_ms);
void door_advance(int64_t ns);

/* Where calls came from, each place once since the program began, and for each call that was seen there: return
 * addresses relative to the beginning of the program. Children's are among them. Returns how many. */
struct door_site {
        uintptr_t address;
        enum door_call call;
};
size_t door_sites(const struct door_site **ret_sites);
