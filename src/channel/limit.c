#include "channel/limit.h"

#include "util/sys.h"

#include <fcntl.h>
#include <stdlib.h>

enum { DIGITS_MAX = 32 };

long limit_read(const char *path)
{
        char text[DIGITS_MAX];
        size_t used = 0;
        ssize_t got = 1;
        int fd = sys_open(path, O_RDONLY, 0);

        if (fd < 0)
                return 0;
        while (got > 0 && used < sizeof text - 1) {
                got = sys_read(fd, text + used, sizeof text - 1 - used);
                used += got > 0 ? (size_t)got : 0;
        }
        sys_close(fd);
        text[used] = '\0';
        /* Such a file is read in one piece, or not at all: half a number has no end of line. */
        return used == 0 || text[used - 1] != '\n' ? 0 : strtol(text, NULL, 10);
}
