/* For MemorySanitizer: fstat, stat, lstat and getdents64, whose results are written by the kernel. clang 14 does not know
 * them, or not under the names that they have since glibc 2.33, and would take what they write for nothing. */
#include <dirent.h>
#include <fcntl.h>
#include <sanitizer/msan_interface.h>
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
