/* A file system at /run for one test. */
#pragma once

#include <stdbool.h>

/* Give this process an empty /run, which no other process sees. False where that is not permitted, or where the root is
 * not a mount point, as in a plain chroot: that is printed, and the process is as it was. */
bool run_is_own(void);
