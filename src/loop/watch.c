/* Waits for changes of paths without looking again and again. Invariant: from the return of watch_add() on every change is
 * reported, at least once for all that come together; changes may be reported that have nothing to do with the path. */
#include "loop/watch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static void has_changed(struct loop_source *source, uint32_t events)
{
        struct watch *watch = container_of(source, struct watch, source);
        char notes[4096] __attribute__((__aligned__(8)));

        (void)events;
        /* What they say does not matter. */
        while (sys_read(source->fd, notes, sizeof notes) > 0)
                ;
        watch->fn(watch);
}

void watch_init(struct watch *watch, ferry_loop *loop, void (*fn)(struct watch *watch))
{
        *watch = (struct watch){ .source = { .loop = loop, .fd = -1, .fn = has_changed }, .fn = fn };
}

int watch_start(struct watch *watch)
{
        int fd = sys_inotify(), error;

        if (fd < 0)
                return fd;
        watch->source.fd = fd;
        error = loop_source_set(&watch->source, EPOLLIN);
        if (error)
                watch_stop(watch);
        return error;
}

void watch_stop(struct watch *watch)
{
        if (watch->source.fd < 0)
                return;
        if (!loop_is_foreign(watch->source.loop))
                loop_source_set(&watch->source, 0);
        sys_close(watch->source.fd);
        watch->source.fd = -1;
}

/* Watch the directory of @path, or the deepest above it that is there. Returns the length of its name, or a negative
 * errno. */
static ssize_t watch_deepest(struct watch *watch, const char *path)
{
        char directory[PATH_MAX] = ".";
        size_t size = strlen(path);
        int error;

        do {
                const char *slash = memrchr(path, '/', size);

                size = slash ? (size_t)(slash - path) : 0;
                if (size >= sizeof directory)
                        return -ENAMETOOLONG;
                if (slash)
                        memcpy(directory, path, size ? size : 1);
                directory[slash && size ? size : 1] = '\0';
                if (!slash)
                        directory[0] = '.';
                error = sys_watch_directory(watch->source.fd, directory);
        } while ((error == -ENOENT || error == -ENOTDIR) && size > 0);
        return error < 0 ? error : (ssize_t)size;
}

int watch_add(struct watch *watch, const char *path)
{
        const char *slash = strrchr(path, '/');
        ssize_t own = slash ? slash - path : 0, depth = watch_deepest(watch, path), before = -1;

        /* What was made below it before it was watched is not reported, nor is what will be made in that. */
        while (depth >= 0 && depth != own && depth != before) {
                before = depth;
                depth = watch_deepest(watch, path);
        }
        return depth < 0 ? (int)depth : 0;
}

int watch_add_file(struct watch *watch, const char *path)
{
        char directory[PATH_MAX];
        const char *slash = strrchr(path, '/');
        int code = sys_watch_file(watch->source.fd, path, false);

        if (code < 0 || !slash || (size_t)(slash - path) >= sizeof directory)
                return code < 0 ? code : -ENAMETOOLONG;
        memcpy(directory, path, (size_t)(slash - path));
        directory[slash - path] = '\0';
        code = sys_watch_file(watch->source.fd, directory, true);
        return code < 0 ? code : 0;
}
