/* When a worker has done enough. */
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of memory that a process has resident, proc(5), or a negative errno. The process is a child that was not reaped, so
 * the number is its own. */
static int64_t read_resident(pid_t pid)
{
        static const char field[] = "\nVmRSS:";
        char path[32], text[4096];
        ssize_t got;
        const char *at;
        int fd;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        fd = sys_open(path, O_RDONLY, 0);
        if (fd < 0)
                return fd;
        got = sys_read(fd, text, sizeof text - 1);
        sys_close(fd);
        if (got < 0)
                return got;
        text[got] = '\0';
        at = memmem(text, (size_t)got, field, sizeof field - 1);
        /* A process that is ending has none. The number is in KiB. */
        return at ? strtoll(at + sizeof field - 1, NULL, 10) * 1024 : 0;
}

bool process_is_used_up(const ferry_process *process, unsigned answers)
{
        const ferry_process_options *options = &process->spec.options;

        if (!options->is_restarted)
                return false;
        if (options->max_tasks > 0 && answers >= options->max_tasks)
                return true;
        return options->max_rss > 0 && read_resident(process->pid) > (int64_t)options->max_rss;
}

int process_check_recycling(const ferry_process_options *options, struct error *error)
{
        uint64_t max_rss = options->max_rss;
        int64_t resident;

        if ((options->max_tasks || options->max_rss) && !options->is_restarted)
                return error_set(error, -EINVAL, "max_tasks and max_rss need is_restarted: otherwise no worker would be left");
        if (options->max_rss == 0)
                return 0;
        if (max_rss > INT64_MAX)
                return error_set(error, -EINVAL, "max_rss: %zu bytes are more than a process can have", options->max_rss);
        resident = read_resident(sys_pid());
        return resident < 0 ? error_set(error, (int)resident, "max_rss needs /proc: cannot read it: %s",
                                        error_describe((int)resident)) : 0;
}
