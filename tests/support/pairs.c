/* Notes each pair of public function and errno that a test sees, in the file "pairs" of the build, if that is there; tests/docs
 * compares them with the documentation. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

int pairs_note_int(const char *function, int result);
ssize_t pairs_note_ssize_t(const char *function, ssize_t result);

enum { KNOWN_MAX = 512 };

static _Thread_local struct {
        const char *function;
        long result;
} known[KNOWN_MAX];
static _Thread_local size_t known_count;

static bool is_known(const char *function, long result)
{
        for (size_t i = 0; i < known_count; i++)
                if (known[i].function == function && known[i].result == result)
                        return true;
        if (known_count == KNOWN_MAX)
                return false;
        known[known_count].function = function;
        known[known_count++].result = result;
        return false;
}

static void note(const char *function, long result)
{
        int saved = errno, fd;
        char line[128];

        if (result >= 0 || result < -4095 || is_known(function, result))
                return;
        fd = open(BUILD_DIRECTORY "/pairs", O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd >= 0) {
                snprintf(line, sizeof line, "%s %ld\n", function, -result);
                if (write(fd, line, strlen(line)) < 0)
                        fprintf(stderr, "a pair could not be noted\n");
                close(fd);
        }
        errno = saved;
}

int pairs_note_int(const char *function, int result)
{
        note(function, result);
        return result;
}

ssize_t pairs_note_ssize_t(const char *function, ssize_t result)
{
        note(function, result);
        return result;
}
