/* For MemorySanitizer: functions whose results are written by the kernel. clang 14 does not know
 * them, or not under the names that they have since glibc 2.33, and would take what they write for nothing. */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sanitizer/msan_interface.h>
#include <stdarg.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int known(int result, struct stat *stat)
{
        __msan_unpoison(stat, sizeof *stat);
        return result;
}

int fstat(int fd, struct stat *stat)
{
        return known(fstatat(fd, "", stat, AT_EMPTY_PATH), stat);
}

int stat(const char *restrict path, struct stat *restrict stat)
{
        return known(fstatat(AT_FDCWD, path, stat, 0), stat);
}

int lstat(const char *restrict path, struct stat *restrict stat)
{
        return known(fstatat(AT_FDCWD, path, stat, AT_SYMLINK_NOFOLLOW), stat);
}

ssize_t getdents64(int fd, void *entries, size_t size)
{
        ssize_t got = syscall(SYS_getdents64, fd, entries, size);

        if (got > 0)
                __msan_unpoison(entries, (size_t)got);
        return got;
}

int msgctl(int id, int command, struct msqid_ds *state)
{
        int code = (int)syscall(SYS_msgctl, id, command, state);

        if (code >= 0 && command == IPC_STAT)
                __msan_unpoison(state, sizeof *state);
        return code;
}

int semctl(int id, int number, int command, ...)
{
        va_list arguments;
        void *argument;
        int code;

        /* A pointer or a number, which is none where the command takes no argument. */
        va_start(arguments, command);
        argument = va_arg(arguments, void *);
        va_end(arguments);
        code = (int)syscall(SYS_semctl, id, number, command, argument);
        if (code >= 0 && command == IPC_STAT)
                __msan_unpoison(argument, sizeof(struct semid_ds));
        return code;
}

/* POSIX queues: the library makes these calls itself. */
long syscall(long number, ...)
{
        static long (*real)(long, ...);
        long arguments[6], result;
        va_list list;

        if (!real)
                real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
        va_start(list, number);
        for (int i = 0; i < 6; i++)
                arguments[i] = va_arg(list, long);
        va_end(list);
        result = real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
        if (number == SYS_mq_timedreceive && result >= 0) {
                __msan_unpoison((void *)arguments[1], (size_t)result);
                if (arguments[3])
                        __msan_unpoison((void *)arguments[3], sizeof(unsigned));
        }
        if (number == SYS_mq_getsetattr && result >= 0 && arguments[2])
                __msan_unpoison((void *)arguments[2], sizeof(struct mq_attr));
        return result;
}
