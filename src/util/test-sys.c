/* What is interrupted by a signal is begun again, and then answers what it answers: each call of the door that can be,
 * with a system that interrupts it three times. Closing is not among them: what close(2) has interrupted has closed. */
#include "support/suite.h"
#include "util/sys.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int interruptions;

static bool is_interrupted(void)
{
        errno = EINTR;
        return interruptions > 0 && interruptions-- > 0;
}

#define INTERRUPTED(type, name, parameters, arguments)                          \
        type __real_##name parameters;                                          \
        type __wrap_##name parameters;                                          \
        type __wrap_##name parameters                                           \
        {                                                                       \
                return is_interrupted() ? -1 : __real_##name arguments;         \
        }

INTERRUPTED(ssize_t, read, (int fd, void *buffer, size_t size), (fd, buffer, size))
INTERRUPTED(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
INTERRUPTED(ssize_t, recv, (int fd, void *buffer, size_t size, int flags), (fd, buffer, size, flags))
INTERRUPTED(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags))
INTERRUPTED(int, poll, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout))
INTERRUPTED(int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags), (fd, address, size, flags))
INTERRUPTED(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
INTERRUPTED(int, ftruncate64, (int fd, off_t size), (fd, size))
INTERRUPTED(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options))
/* As glibc calls it where a long has 32 bits. */
#if defined(__GLIBC__) && !defined(__LP64__)
INTERRUPTED(int, __sigtimedwait64, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout), (set, info, timeout))
#endif
INTERRUPTED(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout), (set, info, timeout))

static void expect(const char *name, ssize_t result, int error)
{
        ck_assert_msg(result == -error, "%s: %zd instead of %d", name, result, -error);
        ck_assert_msg(interruptions == 0, "%s: was not begun again", name);
        interruptions = 3;
}

START_TEST(what_is_interrupted_is_begun_again)
{
        char byte[1] = "";
        siginfo_t info;

        interruptions = 3;
        expect("read", sys_read(-1, byte, 1), EBADF);
        expect("write", sys_write(-1, byte, 1), EBADF);
        expect("recv", sys_recv(-1, byte, 1), EBADF);
        expect("send", sys_send(-1, byte, 1), EBADF);
        expect("poll", sys_poll(NULL, 1, 0), EFAULT);
        expect("accept4", sys_accept(-1, NULL, NULL), EBADF);
        expect("connect", sys_connect(-1, NULL, 0), EBADF);
        expect("ftruncate64", sys_truncate(-1, 0), EBADF);
        expect("waitid", sys_wait(-1, &info, WNOHANG), EINVAL);
        expect("sigtimedwait", sys_take_signal(SIGUSR1), EAGAIN);
}
END_TEST

static int pipe_of_handler[2];

static void tell(int number)
{
        ssize_t put = write(pipe_of_handler[1], "", 1);

        (void)number, (void)put;
}

/* A handler that notifies the program through a pipe would notify it of the child's signal. */
static int leave_word(void *argument)
{
        *(volatile int *)argument = 5;
        return 6;
}

/* So nothing of it is copied, however much there is. */
START_TEST(a_spawned_child_shares_our_memory)
{
        static char stack[64 << 10];
        siginfo_t info;
        int pidfd, word = 0;

        errno = EXDEV;
        ck_assert_int_gt(sys_spawn(leave_word, &word, stack, sizeof stack - 1, &pidfd), 0);
        ck_assert_int_eq(errno, EXDEV);
        ck_assert_int_eq(word, 5);
        ck_assert_int_eq(sys_wait(pidfd, &info, 0), 0);
        ck_assert_int_eq(info.si_status, 6);
        sys_close(pidfd);
}
END_TEST

static int signal_itself(void *argument)
{
        (void)argument;
        syscall(SYS_kill, syscall(SYS_getpid), SIGUSR1);
        sys_reset_signals();
        return 0;
}

START_TEST(a_spawned_child_runs_no_handler)
{
        static char stack[64 << 10];
        siginfo_t info;
        int pidfd;
        pid_t pid;

        interruptions = 0;
        ck_assert_int_eq(sys_pipe(pipe_of_handler), 0);
        signal(SIGUSR1, tell);
        pid = sys_spawn(signal_itself, NULL, stack, sizeof stack, &pidfd);
        ck_assert_int_gt(pid, 0);
        ck_assert_int_eq(sys_wait(pidfd, &info, 0), 0);
        ck_assert_int_eq(info.si_status, SIGUSR1);
        sys_close(pipe_of_handler[1]);
        ck_assert_int_eq(sys_read(pipe_of_handler[0], &info, 1), 0);
        /* The parent's own mask is as it was. */
        sys_close(pipe_of_handler[0]);
        ck_assert_int_eq(sys_pipe(pipe_of_handler), 0);
        raise(SIGUSR1);
        ck_assert_int_eq(sys_read(pipe_of_handler[0], &info, 1), 1);
        sys_close(pipe_of_handler[0]);
        sys_close(pipe_of_handler[1]);
        sys_close(pidfd);
}
END_TEST

static void *wait_for_byte(void *userdata)
{
        char byte;

        (void)userdata;
        /* Not by the system under test, which is interrupted. */
        __real_read(pipe_of_handler[0], &byte, 1);
        _exit(0);
}

/* Our child: one that lives, one whose first thread has gone, and a zombie. */
START_TEST(an_exiting_process_is_recognised)
{
        siginfo_t info;

        interruptions = 0;
        ck_assert_int_eq(sys_is_exiting(getpid()), 0);
        for (int i = 0; i < 2; i++) {
                char path[32], line[512] = "";
                pid_t pid;

                ck_assert_int_eq(sys_pipe(pipe_of_handler), 0);
                pid = fork();
                if (pid == 0) {
                        pthread_t thread;

                        prctl(PR_SET_NAME, ") 4 4 4");
                        close(pipe_of_handler[1]);
                        if (i == 0)
                                wait_for_byte(NULL);
                        pthread_create(&thread, NULL, wait_for_byte, NULL);
                        syscall(SYS_exit, 0);
                }
                ck_assert_int_gt(pid, 0);
                snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
                while (!strstr(line, i == 0 ? ") 4 4 4) S" : ") 4 4 4) Z")) {
                        FILE *file = fopen(path, "r");

                        ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
                        fclose(file);
                }
                ck_assert_int_eq(sys_is_exiting(pid), 0);
                sys_close(pipe_of_handler[1]);
                ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
                ck_assert_int_eq(sys_is_exiting(pid), 1);
                ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
                ck_assert_int_eq(sys_is_exiting(pid), -ENOENT);
                sys_close(pipe_of_handler[0]);
        }
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(what_is_interrupted_is_begun_again),
        SUITE_TEST(a_spawned_child_runs_no_handler),
        SUITE_TEST(a_spawned_child_shares_our_memory),
        SUITE_TEST(an_exiting_process_is_recognised),
};

SUITE_MAIN("sys", tests)
