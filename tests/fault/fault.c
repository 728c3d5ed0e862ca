/* Runs scenarios under faults. Invariants: after each run no block, descriptor or child is left and the signal mask is
 * as it was; a fault that was met is counted once; which faults are run is always the same.
 *
 * `make check` runs a part of the table: each place in the library that calls the system is refused there with each
 * errno at least once, and of the rest every STRIDE-th, fewer where runs are slow. With AddressSanitizer each place is
 * refused once, with one errno, and of the rest there are fewer still. FERRY_LONG runs all. */
#include "fault/fault.h"
#include "support/suite.h"
#include "support/surroundings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        NTH_MAX = 50,           /* of each call that are refused */
        NTH_MAX_SLOW = 8,       /* the same where a run is slow */
        STRIDE = 10,
        STRIDE_SLOW = 100,      /* where a run takes many milliseconds, as it does when it starts a child */
        STRIDE_ASAN = 3,        /* times that, where each run takes several times as long */
        BATCHES = SUITE_HAS_ASAN ? 1 : 4,       /* of the faults of a scenario, each in a process of its own: at whose end
                                                 * AddressSanitizer takes long to look for leaks */
        WORKERS = 8,            /* processes that share the batches: they wait more than they work */
        CALLS_MAX = 200000,     /* in one run; more are an endless loop */
        ALARM_S = 20,
        FDS_MAX = 64,
        SITES_MAX = 1 << 14,
        FAULTS_MAX = 1 << 20,
        SCENARIOS_MAX = 256,
        FLAWS_MAX = 40,         /* that are printed */
        PATIENCE_FAULT_MS = 60,
};

enum fault_kind { FAULT_NONE, FAULT_REFUSE, FAULT_MEMORY_ONCE, FAULT_MEMORY_EVER, FAULT_CUT, FAULT_EACH };

struct fault {
        enum fault_kind kind;
        enum door_call call;
        bool is_child;
        int error;
        unsigned nth;
};

/* What each call may answer when its arguments are right, from the manual pages; those of memory are apart. What kernels before
 * Linux 5.10 do not have, or sandboxes refuse, is ENOSYS, EPERM, or EINVAL of what has a new flag. Calls that
 * cannot fail then (restoring a signal mask, setting a timerfd) have none. */
static const struct {
        enum door_call call;
        int errors[16];
} errors_of[] = {
        { DOOR_read, { EAGAIN, EIO, EISDIR } },
        { DOOR_write, { EAGAIN, EPIPE, ENOSPC, EIO, EDQUOT, EFBIG, EPERM } },
        { DOOR_write_quietly, { EAGAIN, EPIPE, EIO, EOPNOTSUPP, ENOSYS, EPERM } },
        { DOOR_recv, { EAGAIN, ECONNRESET, ENOMEM, ENOTCONN } },
        { DOOR_send, { EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM, ENOTCONN } },
        { DOOR_open, { EACCES, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, ELOOP, EISDIR, EPERM, EROFS, ENOTDIR, ENXIO,
                       EDQUOT, ENODEV, ETXTBSY } },
        { DOOR_close, { EIO, EINTR, ENOSPC } },
        { DOOR_duplicate, { EMFILE } },
        { DOOR_replace, { EBUSY, EMFILE } },
        { DOOR_pipe, { EMFILE, ENFILE } },
        { DOOR_stat_fd, { ENOMEM, EOVERFLOW } },
        { DOOR_stat_path, { EACCES, ENOENT, ENOMEM, EOVERFLOW, ELOOP, ENOTDIR } },
        { DOOR_unlink, { EACCES, EBUSY, EIO, ENOENT, EPERM, EROFS, ELOOP, EISDIR, ENOMEM, ENOTDIR } },
        { DOOR_make_directory, { EACCES, EDQUOT, EEXIST, ELOOP, EMLINK, ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS } },
        { DOOR_chmod_fd, { EIO, EPERM, EROFS } },
        { DOOR_chmod_path, { EACCES, ENOENT, EPERM, EROFS, EIO, ELOOP, ENOMEM, ENOTDIR } },
        { DOOR_change_owner, { EPERM, EROFS, EIO, ENOMEM } },
        { DOOR_lock_file, { EAGAIN, ENOLCK, ENOSYS } },
        { DOOR_unlock_file, { ENOLCK, ENOSYS } },
        { DOOR_is_locked, { EINVAL, EOVERFLOW } },
        { DOOR_truncate, { EFBIG, EIO, EPERM } },
        { DOOR_flags, { EBADF } },
        { DOOR_set_flags, { EBADF, EPERM } },
        { DOOR_set_close_on_exec, { EBADF } },
        { DOOR_is_close_on_exec, { EBADF } },
        { DOOR_read_directory, { ENOENT, EIO } },
        { DOOR_poll, { ENOMEM, EINVAL } },
        { DOOR_socket, { EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM } },
        { DOOR_bind, { EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOENT, ENOMEM, EROFS, ELOOP, ENOTDIR } },
        { DOOR_netlink, { EACCES, EAFNOSUPPORT, EPERM, ENOSYS, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT } },
        { DOOR_listen, { EADDRINUSE } },
        { DOOR_accept, { EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EPROTO, ETIMEDOUT } },
        { DOOR_connect, { EACCES, EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, ENETUNREACH, ENOENT, EPERM, EPROTOTYPE, ELOOP,
                          ENOTDIR, ETIMEDOUT } },
        { DOOR_shutdown, { ENOTCONN } },
        { DOOR_get_socket_option, { ENOPROTOOPT, ENOTCONN } },
        { DOOR_set_socket_option, { ENOPROTOOPT, ENOTCONN, ENOMEM } },
        { DOOR_socket_name, { ENOBUFS } },
        { DOOR_count_sent, { ENOTSOCK, EINVAL } },
        { DOOR_count_input, { ENOTTY, EINVAL } },
        { DOOR_epoll_create, { EMFILE, ENFILE, ENOMEM } },
        { DOOR_epoll_control, { ENOMEM, ENOSPC } },
        { DOOR_epoll_wait, { EINTR } },
        { DOOR_eventfd, { EMFILE, ENFILE, ENODEV, ENOMEM } },
        { DOOR_timerfd, { EMFILE, ENFILE, ENODEV, ENOMEM } },
        { DOOR_inotify, { EMFILE, ENFILE, ENOMEM, ENOSYS } },
        { DOOR_watch_file, { EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC } },
        { DOOR_watch_directory, { EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC, ENOTDIR } },
        { DOOR_map_wiped_on_fork, { ENOMEM, EINVAL } },
        { DOOR_map_shared, { ENOMEM } },
        { DOOR_block_signal, { EINVAL } },
        { DOOR_spawn, { EAGAIN, EMFILE, ENOMEM, ENOSYS, EPERM } },
        { DOOR_stop_signal, { ECHILD, ENOSYS } },
        { DOOR_reap, { ECHILD, ENOSYS, EPERM } },
        { DOOR_wait, { ECHILD, ENOSYS, EPERM } },
        { DOOR_is_exiting, { EACCES, EMFILE, ENFILE, ENOENT, ENOMEM, ESRCH } },
        { DOOR_signal_group, { EPERM, ESRCH } },
        { DOOR_signal_child, { EPERM, ESRCH, ENOSYS } },
        { DOOR_set_group, { EACCES, EPERM } },
        { DOOR_group_of, { EPERM, ESRCH } },
        { DOOR_change_directory, { EACCES, ENOENT, ENOTDIR, EIO, ELOOP, ENAMETOOLONG, ENOMEM } },
        { DOOR_execute, { EACCES, ENOENT, ENOEXEC, E2BIG, ENOMEM, ETXTBSY, EAGAIN, EIO, EISDIR, ELIBBAD, ELOOP, EMFILE,
                          ENFILE, ENOTDIR, EPERM } },
        { DOOR_rewind, { EINVAL } },
        { DOOR_memory_file, { EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM } },
        { DOOR_shared_memory_file, { EACCES, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM } },
        { DOOR_allocate, { ENOMEM, ENOSPC, EFBIG } },
        { DOOR_add_seals, { EPERM } },
        { DOOR_seals, { EINVAL } },
        { DOOR_file_system, { ENOSYS, EOVERFLOW } },
        { DOOR_map_file, { EAGAIN, ENOMEM, EPERM } },
        { DOOR_socket_pair, { EMFILE, ENFILE, ENOMEM } },
        { DOOR_keep_on_exec, { EBADF } },
        { DOOR_close_on_exec_from, { EMFILE, ENOMEM, EINVAL, ENOSYS, EPERM } },
        { DOOR_close_on_exec_each, { ENOENT, EACCES, EMFILE, ENOMEM } },
        { DOOR_block_signals, { EINVAL } },
        { DOOR_signalfd, { EMFILE, ENFILE, ENODEV, ENOMEM } },
        { DOOR_fork_program, { EAGAIN, ENOMEM } },
        { DOOR_open_process, { EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS, EPERM } },
        { DOOR_set_death_signal, { EINVAL } },
        { DOOR_send_to, { EAGAIN, ECONNREFUSED, ENOBUFS, ENOMEM, ENOENT, EMSGSIZE, EPERM, EACCES, ENETUNREACH } },
        { DOOR_receive_message, { EAGAIN, ECONNREFUSED, ENOMEM } },
        { DOOR_send_message, { EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM, ETOOMANYREFS } },
        { DOOR_set_socket_struct, { ENODEV, EADDRINUSE, EADDRNOTAVAIL, ENOBUFS } },
        { DOOR_interface, { ENODEV, EMFILE } },
        { DOOR_make_fifo, { EACCES, EDQUOT, EEXIST, ELOOP, ENOENT, ENOSPC, ENOTDIR, EROFS } },
        { DOOR_mqueue_open, { ENOSYS, EACCES, EEXIST, EINVAL, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC } },
        { DOOR_mqueue_send, { EAGAIN } },
        { DOOR_mqueue_receive, { EAGAIN } },
        { DOOR_mqueue_attributes, { EBADF } },
        { DOOR_mqueue_unlink, { EACCES, ENOENT } },
        { DOOR_ftok, { EACCES, ENOENT, ENOTDIR, ELOOP } },
        { DOOR_msg_get, { ENOSYS, EACCES, EEXIST, ENOENT, ENOMEM, ENOSPC } },
        { DOOR_msg_send, { EACCES, EAGAIN, EIDRM, EINVAL, ENOMEM } },
        { DOOR_msg_receive, { E2BIG, EACCES, EIDRM, EINVAL, ENOMSG } },
        { DOOR_msg_control, { EACCES, EIDRM, EINVAL, EPERM } },
        { DOOR_shm_get, { ENOSYS, EACCES, EEXIST, EINVAL, ENFILE, ENOENT, ENOMEM, ENOSPC } },
        { DOOR_shm_attach, { EACCES, EIDRM, EINVAL, ENOMEM } },
        { DOOR_shm_detach, { EINVAL } },
        { DOOR_shm_control, { EACCES, EIDRM, EINVAL, EPERM } },
        { DOOR_sem_get, { ENOSYS, EACCES, EEXIST, ENOENT, ENOMEM, ENOSPC } },
        { DOOR_sem_operate, { EACCES, EAGAIN, EIDRM, EINTR, EINVAL, ENOMEM, ENOSPC, ERANGE } },
        { DOOR_sem_value, { EACCES, EIDRM, EINVAL, EPERM } },
        { DOOR_sem_control, { EACCES, EIDRM, EINVAL, EPERM } },
        { DOOR_find_group, { EIO, EMFILE, ENOENT, ENOMEM } },
        { DOOR_load_module, { EACCES, ELIBBAD, ENOENT, EOPNOTSUPP } },
};

/* What an operation may answer, by <ferry/ferry.h> and what its own declaration adds. */
static const int answers[FAULT_OPERATIONS][16] = {
        [FAULT_VALUE] = { ENOMEM },
        [FAULT_SEND] = { ENOMEM, ECANCELED, ECONNRESET, ENOTCONN, EALREADY, ETIMEDOUT, ENXIO },
        [FAULT_WAIT] = { ENOMEM, ETIMEDOUT, ECANCELED, ECONNRESET, ENOTCONN, EBADMSG, ENOENT, EADDRINUSE, ENXIO },
        [FAULT_END] = { ENOMEM, ETIMEDOUT, ECANCELED, ECONNRESET, ENOTCONN, EBADMSG, EREMOTEIO, ENXIO },
        [FAULT_MEET] = { ENOMEM, ETIMEDOUT, ECANCELED, ECONNRESET, ENOTCONN, EREMOTEIO, ECONNREFUSED, ENOENT,
                         EADDRINUSE, EMFILE, ENXIO },
        [FAULT_STORE] = { ENOMEM, ETIMEDOUT, ENOENT, EIDRM, EACCES, EPERM, EBUSY, EMFILE, ENOTSUP, ECANCELED },
        [FAULT_CHANNEL] = { ENOMEM, ETIMEDOUT, ECONNREFUSED, ENOENT, ENXIO, EIDRM, EPIPE, ECONNRESET, EDESTADDRREQ, ENOTCONN,
                            EADDRINUSE, EADDRNOTAVAIL, ENOTSUP, EBADMSG, EMSGSIZE },
};

/* The run, which children share. */
static struct run {
        const struct scenario *scenario;
        struct fault fault;
        unsigned calls;
        unsigned judged[2][DOOR_CALLS];         /* the child's are [1] */
        unsigned allocations;
        bool is_met;
} *run;

/* What the processes of a worker count. */
static struct total {
        unsigned faults, runs;
} *total;

static char fault_text[256];
static char directory[64];
static unsigned flaws;
static int report = STDERR_FILENO;      /* which scenarios may close */

/* Names ----------------------------------------------------------------------------------------------- */

static void name_fault(const struct scenario *scenario, const struct fault *fault, char *text, size_t size)
{
        switch (fault->kind) {
        case FAULT_NONE:
                snprintf(text, size, "%s", scenario->name);
                break;
        case FAULT_REFUSE:
                snprintf(text, size, "%s:%s%s:%s:%u", scenario->name, fault->is_child ? "child." : "",
                         door_name(fault->call), strerrorname_np(fault->error), fault->nth);
                break;
        case FAULT_MEMORY_ONCE:
        case FAULT_MEMORY_EVER:
                snprintf(text, size, "%s:memory:%s:%u", scenario->name,
                         fault->kind == FAULT_MEMORY_ONCE ? "once" : "ever", fault->nth);
                break;
        case FAULT_CUT:
        case FAULT_EACH:
                snprintf(text, size, "%s:bytes:%s:%u", scenario->name, fault->kind == FAULT_CUT ? "cut" : "each",
                         fault->nth);
                break;
        }
}

static int error_by_name(const char *name)
{
        for (int error = 1; error < 200; error++)
                if (strerrorname_np(error) && strcmp(strerrorname_np(error), name) == 0)
                        return error;
        return 0;
}

/* "CALL:ERRNO:NTH"; whether it is one. */
static bool parse_fault(const char *text, struct fault *fault)
{
        char call[64], what[64];
        const char *name = call;

        *fault = (struct fault){ 0 };
        if (sscanf(text, "%63[^:]:%63[^:]:%u", call, what, &fault->nth) != 3)
                return false;
        if (strcmp(call, "memory") == 0)
                fault->kind = strcmp(what, "ever") == 0 ? FAULT_MEMORY_EVER : FAULT_MEMORY_ONCE;
        else if (strcmp(call, "bytes") == 0)
                fault->kind = strcmp(what, "each") == 0 ? FAULT_EACH : FAULT_CUT;
        else {
                fault->kind = FAULT_REFUSE;
                fault->is_child = strncmp(call, "child.", 6) == 0;
                name += fault->is_child ? 6 : 0;
                fault->error = error_by_name(what);
                while (fault->call < DOOR_REFUSABLE && strcmp(door_name(fault->call), name) != 0)
                        fault->call++;
                return fault->error && fault->call < DOOR_REFUSABLE;
        }
        return true;
}

/* What is wrong --------------------------------------------------------------------------------------- */

void fault_flaw(const char *format, ...)
{
        char text[1024];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        if (flaws++ < FLAWS_MAX)
                dprintf(report, "%s: %s\n", fault_text, text);
}

/* The last words of a process that dies: which fault it was. */
static void print_fault(void)
{
        ssize_t put = write(report, fault_text, strlen(fault_text));

        put += write(report, ": the process ended here\n", 25);
        (void)put;
}

static void die(int signal)
{
        print_fault();
        sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
        raise(signal);
}

/* A sanitizer has a handler of its own, and says more. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((__weak__));

static void watch_death(void)
{
        static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };

        sigaction(SIGABRT, &(struct sigaction){ .sa_handler = die }, NULL);
        sigaction(SIGALRM, &(struct sigaction){ .sa_handler = die }, NULL);
        if (__sanitizer_set_death_callback)
                __sanitizer_set_death_callback(print_fault);
        else
                for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
                        sigaction(fatal[i], &(struct sigaction){ .sa_handler = die }, NULL);
}

bool fault_is_absent(void)
{
        return run->fault.kind == FAULT_NONE;
}

int fault_error(void)
{
        return run->fault.error;
}

bool fault_is_memory(void)
{
        return run->fault.kind == FAULT_MEMORY_ONCE || run->fault.kind == FAULT_MEMORY_EVER ||
               run->fault.error == ENOMEM;
}

bool fault_is_of_files(void)
{
        static const enum door_call calls[] = { DOOR_open, DOOR_stat_path, DOOR_stat_fd, DOOR_unlink, DOOR_lock_file, DOOR_ftok,
                                                DOOR_msg_control, DOOR_mqueue_unlink };

        for (size_t i = 0; run->fault.kind == FAULT_REFUSE && i < sizeof calls / sizeof *calls; i++)
                if (run->fault.call == calls[i])
                        return true;
        return false;
}

void fault_judge_cause(const char *sentence)
{
        if (strstr(sentence, "SIGCHLD is ignored") && run->fault.error != ECHILD)
                fault_flaw("a wrong cause: \"%s\"", sentence);
}

bool fault_answer(enum fault_operation operation, const char *what, int code, int expected, const char *sentence)
{
        bool is_expected = expected < 0 ? code == expected : code >= 0;
        /* ENOBUFS is what a full queue is called, and nothing else; a channel waits where the kernel says EAGAIN. */
        bool is_documented = code >= 0 || is_expected || (code == -run->fault.error && code != -ENOBUFS &&
                                                          (code != -EAGAIN || operation != FAULT_CHANNEL));

        for (const int *answer = answers[operation]; *answer && !is_documented; answer++)
                is_documented = code == -*answer;
        if (fault_is_absent() ? !is_expected : !is_documented)
                fault_flaw("%s: %s (%s) instead of %s", what, code < 0 ? strerrorname_np(-code) : "success",
                           sentence ? sentence : "", expected < 0 ? strerrorname_np(-expected) : "success");
        if (code < 0 && sentence && (!*sentence || strcmp(sentence, "no error") == 0))
                fault_flaw("%s: %s, and no sentence about it: \"%s\"", what, strerrorname_np(-code), sentence);
        if (code < 0 && sentence)
                fault_judge_cause(sentence);
        return code >= 0;
}

const char *fault_path(const char *format, ...)
{
        static char paths[8][256];
        static unsigned next;
        char *path = paths[next++ % 8];
        size_t used = (size_t)snprintf(path, sizeof paths[0], "%s/", directory);
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(path + used, sizeof paths[0] - used, format, arguments);
        va_end(arguments);
        return path;
}

/* The fault ------------------------------------------------------------------------------------------- */

static int meet(int error)
{
        run->is_met = true;
        return -error;
}

/* Where the calls of the run without fault came from, for those that may be refused. */
static uintptr_t judged_sites[2][DOOR_REFUSABLE][NTH_MAX];
static uintptr_t memory_sites[1000];

static int judge(enum door_call call, bool is_child)
{
        const struct fault *fault = &run->fault;
        unsigned nth = run->judged[is_child][call]++;

        if (++run->calls > CALLS_MAX) {
                print_fault();
                abort();
        }
        if (call == DOOR_alloc || call == DOOR_alloc_zeroed || call == DOOR_realloc) {
                /* A forked program's is its own; ours would be counted differently each time. */
                if (is_child)
                        return 0;
                nth = run->allocations++;
                if (fault->kind == FAULT_NONE && nth < 1000)
                        memory_sites[nth] = door_site;
                if ((fault->kind == FAULT_MEMORY_ONCE && nth == fault->nth) ||
                    (fault->kind == FAULT_MEMORY_EVER && nth >= fault->nth))
                        return meet(ENOMEM);
                return 0;
        }
        if (fault->kind == FAULT_NONE && nth < NTH_MAX)
                judged_sites[is_child][call][nth] = door_site;
        if (fault->kind == FAULT_REFUSE && call == fault->call && is_child == fault->is_child && nth == fault->nth)
                return meet(fault->error);
        return 0;
}

static ssize_t limit(enum door_call call, int fd, size_t size)
{
        const struct fault *fault = &run->fault;
        size_t before = door_counts.moved;
        socklen_t domain_size = sizeof(int);
        struct stat stat;
        int domain;

        (void)call;
        /* An eventfd takes eight bytes or none; what the kernel says comes whole. */
        if (fstat(fd, &stat) < 0 || (stat.st_mode & S_IFMT) == 0 ||
            (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) == 0 && domain == AF_NETLINK))
                return (ssize_t)size;
        if (fault->kind == FAULT_EACH && size > fault->nth) {
                run->is_met = true;
                return (ssize_t)fault->nth;
        }
        if (fault->kind == FAULT_CUT && before < fault->nth && before + size > fault->nth) {
                run->is_met = true;
                return (ssize_t)(fault->nth - before);
        }
        return (ssize_t)size;
}

/* Runs ------------------------------------------------------------------------------------------------ */

struct descriptors {
        int count;
        struct { int fd; dev_t device; ino_t inode; mode_t mode; int flags; } list[FDS_MAX];
};

static void list_descriptors(struct descriptors *ret)
{
        memset(ret, 0, sizeof *ret);
        for (int fd = 0; fd < FDS_MAX; fd++) {
                struct stat stat;

                if (fstat(fd, &stat) < 0)
                        continue;
                ret->list[ret->count].fd = fd;
                ret->list[ret->count].device = stat.st_dev;
                ret->list[ret->count].inode = stat.st_ino;
                ret->list[ret->count].mode = stat.st_mode;
                ret->list[ret->count++].flags = fcntl(fd, F_GETFL);
        }
}

static void compare_descriptors(const struct descriptors *before, const struct descriptors *after)
{
        if (memcmp(before, after, sizeof *before) == 0)
                return;
        for (int i = 0; i < after->count; i++)
                if (i >= before->count || memcmp(&after->list[i], &before->list[i], sizeof after->list[i]) != 0) {
                        fault_flaw("descriptor %d is left, or another; %d before, %d now", after->list[i].fd,
                                   before->count, after->count);
                        return;
                }
        fault_flaw("a descriptor is gone; %d before, %d now", before->count, after->count);
}

/* A child whose group could not be signalled may be left, by design. */
static void look_for_children(void)
{
        bool may_be_left = run->fault.kind == FAULT_REFUSE && run->fault.call == DOOR_signal_group;
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, may_be_left ? 0 : WNOHANG)) >= 0) {
                if (may_be_left)
                        continue;
                fault_flaw("a child is left%s", pid > 0 ? ", dead" : "");
                if (pid == 0)
                        break;
        }
}

/* What a process that died would leave in the file system, too. */
static void clear_directory(void)
{
        DIR *list = opendir(directory);

        for (struct dirent *entry; list && (entry = readdir(list));)
                if (entry->d_name[0] != '.')
                        unlinkat(dirfd(list), entry->d_name, 0);
        if (list)
                closedir(list);
}

static void run_once(const struct scenario *scenario, const struct fault *fault)
{
        struct descriptors before, after;
        sigset_t mask_before, mask_after;
        size_t blocks = door_counts.blocks;

        *run = (struct run){ .scenario = scenario, .fault = *fault };
        name_fault(scenario, fault, fault_text, sizeof fault_text);
        /* Only a part of it is filled in. */
        memset(&mask_before, 0, sizeof mask_before);
        memset(&mask_after, 0, sizeof mask_after);
        sigprocmask(SIG_SETMASK, NULL, &mask_before);
        list_descriptors(&before);
        door_reset();
        door_stop_clock((int)(fault->kind == FAULT_NONE || scenario->patience_ms < PATIENCE_FAULT_MS ?
                              scenario->patience_ms : PATIENCE_FAULT_MS));
        door_judge = judge;
        if (fault->kind == FAULT_CUT || fault->kind == FAULT_EACH)
                door_limit = limit;
        alarm(ALARM_S);
        scenario->run();
        alarm(0);
        door_judge = NULL;
        door_limit = NULL;
        if (door_counts.blocks != blocks)
                fault_flaw("%zd blocks of memory are left", (ssize_t)(door_counts.blocks - blocks));
        door_counts.blocks = blocks;
        look_for_children();
        list_descriptors(&after);
        compare_descriptors(&before, &after);
        sigprocmask(SIG_SETMASK, NULL, &mask_after);
        if (memcmp(&mask_before, &mask_after, sizeof mask_before) != 0)
                fault_flaw("the signal mask is another");
        sigprocmask(SIG_SETMASK, &mask_before, NULL);
        clear_directory();
        total->runs++;
        total->faults += run->is_met;
}

/* The table ------------------------------------------------------------------------------------------- */

/* The faults that are run, scenario by scenario. It is made before the workers begin, which share it: each place is then
 * refused with an errno once in all, and which faults are run does not depend on which worker is faster. */
struct plan {
        unsigned begin[SCENARIOS_MAX + 1];      /* of a scenario's faults; the last is the end of all */
        unsigned considered;                    /* faults of the scenario at hand */
        struct fault faults[FAULTS_MAX];
        uintptr_t refused[SITES_MAX];
};

static struct plan *plan;

/* Whether this place in the library was refused with that errno before; with AddressSanitizer: with any. */
static bool was_refused(uintptr_t place, int error)
{
        uintptr_t site = place << 8 | (SUITE_HAS_ASAN ? 0 : (uintptr_t)error);

        for (size_t i = (size_t)((site * 0x9e3779b97f4a7c15) >> 50);; i = (i + 1) % SITES_MAX) {
                if (plan->refused[i] == site)
                        return true;
                if (plan->refused[i] == 0) {
                        plan->refused[i] = site;
                        return false;
                }
        }
}

/* Take a fault into the plan, or leave it out. @site: where it would strike, 0 if that is anywhere. */
static void consider(const struct scenario *scenario, unsigned *end, const struct fault *fault, uintptr_t site)
{
        unsigned number = plan->considered++;
        bool is_slow = scenario->patience_ms > 0 || scenario->is_slow;
        unsigned stride = (is_slow ? STRIDE_SLOW : STRIDE) * (SUITE_HAS_ASAN ? STRIDE_ASAN : 1);
        bool is_first = site && !was_refused(site, fault->error);

        if (!suite_is_long() && !is_first && number % stride != 0 && (!scenario->is_whole || SUITE_HAS_ASAN))
                return;
        if (*end == FAULTS_MAX)
                abort();
        plan->faults[(*end)++] = *fault;
}

static void refuse_calls(const struct scenario *scenario, unsigned *end, const struct run *baseline)
{
        for (size_t i = 0; i < sizeof errors_of / sizeof *errors_of * 2; i++) {
                struct fault fault = { .kind = FAULT_REFUSE, .call = errors_of[i / 2].call, .is_child = i % 2 };
                const int *errors = errors_of[i / 2].errors;
                unsigned count = baseline->judged[fault.is_child][fault.call];
                unsigned most = scenario->is_slow && !suite_is_long() ? NTH_MAX_SLOW : NTH_MAX;

                for (fault.nth = 0; fault.nth < count && fault.nth < most; fault.nth++)
                        for (const int *error = errors; *error; error++) {
                                uintptr_t site = judged_sites[fault.is_child][fault.call][fault.nth];
                                fault.error = *error;
                                consider(scenario, end, &fault, site);
                        }
        }
}

static void take_memory(const struct scenario *scenario, unsigned *end, const struct run *baseline)
{
        for (unsigned nth = 0; nth < baseline->allocations && nth < 1000; nth++) {
                consider(scenario, end, &(struct fault){ .kind = FAULT_MEMORY_ONCE, .nth = nth }, memory_sites[nth]);
                consider(scenario, end, &(struct fault){ .kind = FAULT_MEMORY_EVER, .nth = nth }, 0);
        }
}

static void cut_bytes(const struct scenario *scenario, unsigned *end, size_t moved)
{
        if (moved == 0 || scenario->is_uncut)
                return;
        for (unsigned size = 1; size < 4; size++)
                consider(scenario, end, &(struct fault){ .kind = FAULT_EACH, .nth = size }, 0);
        for (unsigned at = 1; at < moved; at++)
                consider(scenario, end, &(struct fault){ .kind = FAULT_CUT, .nth = at }, 0);
}

/* One run without a fault shows what there is to refuse. A scenario that fails then has no faults: its worker tells. */
static void plan_scenario(const struct scenario *scenario, unsigned index)
{
        unsigned *end = &plan->begin[index + 1];
        struct run baseline;
        size_t moved;

        *end = plan->begin[index];
        plan->considered = 0;
        run_once(scenario, &(struct fault){ 0 });
        baseline = *run;
        moved = door_counts.moved;
        if (flaws == 0) {
                refuse_calls(scenario, end, &baseline);
                take_memory(scenario, end, &baseline);
                cut_bytes(scenario, end, moved);
        }
        flaws = 0;
}

static void run_planned(const struct scenario *scenario, unsigned index, unsigned batch, unsigned batches)
{
        if (batch == 0)
                run_once(scenario, &(struct fault){ 0 });
        if (flaws > 0)
                return;
        for (unsigned i = plan->begin[index] + batch; i < plan->begin[index + 1]; i += batches)
                run_once(scenario, &plan->faults[i]);
}

static const struct scenario *scenarios[SCENARIOS_MAX];
static size_t scenario_count;
static int worker;

static void begin(void)
{
        /* Where there is one, in memory: files that are removed while they are open cost a disk milliseconds. */
        strcpy(directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/ferry-fault-XXXXXX" : "/tmp/ferry-fault-XXXXXX");
        if (!mkdtemp(directory))
                abort();
        report = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FDS_MAX);
        watch_death();
}

static void finish(void)
{
        clear_directory();
        rmdir(directory);
        close(report);
}

START_TEST(faults)
{
        unsigned batch = (unsigned)(_i * WORKERS + worker);
        const struct scenario *scenario = scenarios[batch / BATCHES];

        begin();
        run_planned(scenario, batch / BATCHES, batch % BATCHES, BATCHES);
        finish();
        ck_assert_msg(flaws == 0, "%s: %u flaws", scenario->name, flaws);
}
END_TEST

/* Those that FERRY_FAULT names, here and now. */
static int run_named(const char *name)
{
        size_t size = strcspn(name, ":");

        begin();
        for (size_t i = 0; i < scenario_count; i++) {
                struct fault fault;

                if (strlen(scenarios[i]->name) != size || strncmp(scenarios[i]->name, name, size) != 0)
                        continue;
                if (!name[size]) {
                        plan_scenario(scenarios[i], (unsigned)i);
                        run_planned(scenarios[i], (unsigned)i, 0, 1);
                } else if (parse_fault(name + size + 1, &fault)) {
                        run_once(scenarios[i], &fault);
                }
                printf("%s: %u runs, %u faults met, %u flaws\n", name, total->runs, total->faults, flaws);
        }
        finish();
        if (total->runs == 0) {
                printf("there is no fault %s; the scenarios are:", name);
                for (size_t i = 0; i < scenario_count; i++)
                        printf(" %s", scenarios[i]->name);
                putchar('\n');
        }
        return flaws > 0 || total->runs == 0;
}

/* For test-sites.sh: how much was tried, and from where the system was called. */
static void write_sites(const char *path)
{
        const struct door_site *sites;
        size_t count = door_sites(&sites);
        FILE *file = fopen(path, "w");

        if (!file)
                return;
        fprintf(file, "faults %u runs %u\n", total->faults, total->runs);
        for (size_t i = 0; i < count; i++)
                fprintf(file, "%zx %s\n", (size_t)sites[i].address, door_name(sites[i].call));
        fclose(file);
}

static void *share(size_t size)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
                abort();
        return memory;
}

static int run_worker(void)
{
        struct suite_test test = SUITE_LOOP(faults, ((int)scenario_count * BATCHES - worker + WORKERS - 1) / WORKERS);

        test.is_whole = true;
        run = share(sizeof *run);
        door_separate();
        return suite_run("faults", &test, 1);
}

/* Each worker in a process. The exit status of all. */
static int run_workers(void)
{
        struct total *totals = share(WORKERS * sizeof *totals);
        pid_t pids[WORKERS];
        unsigned met = 0, runs = 0;
        int status, failed = 0;

        begin();
        for (size_t i = 0; i < scenario_count; i++)
                plan_scenario(scenarios[i], (unsigned)i);
        finish();
        fflush(stdout);
        for (worker = 0; worker < WORKERS; worker++) {
                total = &totals[worker];
                pids[worker] = fork();
                if (pids[worker] == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGTERM);
                        exit(run_worker());
                }
                failed |= pids[worker] < 0;
        }
        for (int i = 0; i < WORKERS; i++) {
                failed |= pids[i] < 0 || waitpid(pids[i], &status, 0) < 0 || status != 0;
                met += totals[i].faults;
                runs += totals[i].runs;
        }
        *total = (struct total){ .faults = met, .runs = runs };
        printf("%zu scenarios, %u runs, %u faults met\n", scenario_count, runs, met);
        return failed;
}

int fault_main(const struct scenario *const *groups, size_t count)
{
        const char *name = getenv("FERRY_FAULT"), *sites = getenv("FERRY_SITES");
        int status;

        surroundings_choose();
        run = share(sizeof *run);
        total = share(sizeof *total);
        plan = share(sizeof *plan);
        for (size_t i = 0; i < count; i++)
                for (const struct scenario *at = groups[i]; at->name; at++) {
                        if (scenario_count == SCENARIOS_MAX) {
                                fprintf(stderr, "there are more than %d scenarios: raise SCENARIOS_MAX\n", SCENARIOS_MAX);
                                return 1;
                        }
                        scenarios[scenario_count++] = at;
                }
        if (name && *name)
                return run_named(name);
        status = run_workers();
        if (sites)
                write_sites(sites);
        return status;
}
