/* A file system at /run for one test. */
#include "support/run.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static int mount_run(void)
{
        return unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
               mount("none", "/run", "tmpfs", 0, "mode=755") < 0 ? errno : 0;
}

/* A child tries it first: where it fails halfway, our descriptors would seem to be others. */
bool run_is_own(void)
{
        int status = 0;
        pid_t child = fork();

        if (child == 0)
                _exit(mount_run());
        if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
                return mount_run() == 0;
        printf("left out: no /run of its own: %s\n", strerror(child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : errno));
        fflush(stdout);
        return false;
}
