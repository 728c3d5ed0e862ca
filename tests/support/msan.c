/* For MemorySanitizer: fstat, stat and lstat, whose results are written by the kernel. clang 14 does not know them under
 * the names that they have since glibc 2.33, and would take what they write for nothing. */
#include <fcntl.h>
#include <sanitizer/msan_interface.h>
#include <sys/stat.h>

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
