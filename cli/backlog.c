/* Lines that stdout has not taken yet, so that serving goes on while it is not read. Invariants: lines are written whole and in
 * their order; at most BACKLOG_MAX bytes wait, or one line of any size; a line that finds no room is dropped as a whole, counted,
 * and reported. */
#include "listen.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG_MAX = 1 << 20 };

static struct {
        ferry_loop *loop;
        char *bytes;
        size_t begin, end, capacity;
        long dropped;           /* not reported yet */
        bool has_dropped;
        bool is_watched;
} backlog;

static int write_more(ferry_loop *loop, void *userdata);

void backlog_init(ferry_loop *loop)
{
        backlog.loop = loop;
}

size_t backlog_size(void)
{
        return backlog.end - backlog.begin;
}

bool backlog_has_dropped(void)
{
        return backlog.has_dropped;
}

static void report(void)
{
        if (backlog.dropped > 0)
                complain("%ld line%s dropped: stdout is not read", backlog.dropped, backlog.dropped == 1 ? " was" : "s were");
        backlog.dropped = 0;
}

static void drop(long lines)
{
        if (!backlog.has_dropped)
                complain("stdout is not read: lines that do not fit into the %d bytes that wait are dropped", BACKLOG_MAX);
        backlog.has_dropped = true;
        backlog.dropped += lines;
}

static void clear(void)
{
        free(backlog.bytes);
        backlog.bytes = NULL;
        backlog.begin = backlog.end = backlog.capacity = 0;
}

static bool make_room(size_t size)
{
        size_t used = backlog_size(), capacity = used + size > BACKLOG_MAX ? used + size : BACKLOG_MAX;
        char *grown;

        if (backlog.capacity - backlog.end >= size)
                return true;
        if (backlog.begin > 0)
                memmove(backlog.bytes, backlog.bytes + backlog.begin, used);
        backlog.begin = 0;
        backlog.end = used;
        if (backlog.capacity - used >= size)
                return true;
        grown = realloc(backlog.bytes, capacity);
        if (!grown)
                return false;
        backlog.bytes = grown;
        backlog.capacity = capacity;
        return true;
}

/* Returns whether stdout still takes output. */
static bool write_some(void)
{
        ssize_t put = output_try(backlog.bytes + backlog.begin, backlog_size());

        if (put < 0) {
                clear();
                return false;
        }
        backlog.begin += (size_t)put;
        if (backlog_size() == 0) {
                clear();
                report();
        }
        return true;
}

static int write_more(ferry_loop *loop, void *userdata)
{
        (void)loop;
        (void)userdata;
        backlog.is_watched = write_some() && backlog_size() > 0;
        return backlog.is_watched;
}

bool backlog_add(const char *bytes, size_t size)
{
        ssize_t put = 0;

        if (backlog_size() == 0)
                put = output_try(bytes, size);
        if (put < 0)
                return false;
        bytes += put;
        size -= (size_t)put;
        if (size == 0)
                return true;
        if ((backlog_size() > 0 && backlog_size() + size > BACKLOG_MAX) || !make_room(size)) {
                drop(1);
                return true;
        }
        memcpy(backlog.bytes + backlog.end, bytes, size);
        backlog.end += size;
        if (!backlog.is_watched) {
                backlog.is_watched = true;
                ferry_loop_watch(backlog.loop, STDOUT_FILENO, POLLOUT, write_more, NULL);
        }
        return true;
}

static long count_lines(void)
{
        long lines = 0;

        for (size_t i = backlog.begin; i < backlog.end; i++)
                lines += backlog.bytes[i] == '\n';
        return lines;
}

void backlog_close(void)
{
        if (backlog_size() > 0)
                drop(count_lines());
        if (backlog.is_watched)
                ferry_loop_off(backlog.loop, write_more, NULL);
        backlog.is_watched = false;
        clear();
        report();
}
