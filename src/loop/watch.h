/* Paths in the file system: reported when something may have changed about them. */
#pragma once

#include "loop/loop.h"

struct watch {
        struct loop_source source;      /* its fd is -1 while nothing is watched */
        void (*fn)(struct watch *watch);
};

/* Begin to watch, or stop; in a forked child stopping only closes. 0 or a negative errno. */
void watch_init(struct watch *watch, ferry_loop *loop, void (*fn)(struct watch *watch));
int watch_start(struct watch *watch);
void watch_stop(struct watch *watch);

/* Watch the directory that @path stands in; as long as that is not there either, the one in which it would be made, so
 * this is called again after each change. What has changed before it returns is not reported. 0 or a negative errno. */
int watch_add(struct watch *watch, const char *path);

/* Watch the file at @path itself, whether it is moved or removed, or its directory is. 0 or a negative errno. */
int watch_add_file(struct watch *watch, const char *path);
