/* When to try again. Invariant: no attempt is repeated without a reason. As long as nothing is there, only a change in its
 * directory is a reason to try. Between a socket's coming and the moment at which a process listens there is no change, so
 * after each it is tried a few times at growing distances; so is, more seldom, what is there and may come to life. Where
 * a directory cannot be watched there is nothing but trying. What is tried, this does not know. */
#include "loop/retry.h"

#include <errno.h>

enum {
        RETRY_FIRST_NS = 1000000,
        RETRY_MAX_NS = 20000000,        /* while it may be a matter of moments */
        RETRY_SELDOM_MAX_NS = 500000000,
        STIR_NS = 100000000,            /* for so long after a change */
};

static void watch_paths(struct retry *retry)
{
        if (watch_add(&retry->watch, retry->paths[0]) < 0)
                watch_stop(&retry->watch);
        else if (retry->paths[1])
                watch_add(&retry->watch, retry->paths[1]);
}

static void place_changed(struct watch *watch)
{
        struct retry *retry = container_of(watch, struct retry, watch);

        watch_paths(retry);
        retry->changed = sys_now();
        retry->pause_ns = 0;
        loop_timer_start(watch->source.loop, &retry->timer, retry->changed);
}

static void is_due(struct loop_timer *timer)
{
        struct retry *retry = container_of(timer, struct retry, timer);

        retry->fn(retry);
}

void retry_init(struct retry *retry, ferry_loop *loop, const char *path, const char *other_path,
                void (*fn)(struct retry *retry))
{
        *retry = (struct retry){ .paths = { path, other_path }, .fn = fn, .changed = sys_now() };
        retry->timer.fn = is_due;
        watch_init(&retry->watch, loop, place_changed);
}

/* When, if nothing changes. */
static int64_t next_try(struct retry *retry, enum retry_hope hope, int64_t now, int64_t deadline)
{
        int64_t most = RETRY_MAX_NS;

        const bool is_blind = retry->watch.source.fd < 0;

        if (hope != RETRY_SOON && (!is_blind || !retry->paths[0]) && now - retry->changed >= STIR_NS) {
                if (hope == RETRY_CHANGE && !is_blind)
                        return deadline;
                most = RETRY_SELDOM_MAX_NS;
        }
        retry->pause_ns = retry->pause_ns ? retry->pause_ns * 2 : RETRY_FIRST_NS;
        if (retry->pause_ns > most)
                retry->pause_ns = most;
        return retry->pause_ns < deadline - now ? now + retry->pause_ns : deadline;
}

bool retry_later(struct retry *retry, enum retry_hope hope, int64_t deadline)
{
        int64_t now = sys_now(), next;

        if (deadline <= now)
                return false;
        next = next_try(retry, hope, now, deadline);
        if (hope != RETRY_SOON && retry->paths[0] && retry->watch.source.fd < 0 && watch_start(&retry->watch) == 0)
                watch_paths(retry);
        loop_timer_start(retry->watch.source.loop, &retry->timer, next);
        return true;
}

void retry_stop(struct retry *retry)
{
        loop_timer_stop(retry->watch.source.loop, &retry->timer);
        watch_stop(&retry->watch);
}

static void look_again(struct retry *retry)
{
        struct retry_look *look = container_of(retry, struct retry_look, retry);
        enum retry_hope hope = RETRY_CHANGE;

        error_deinit(&look->error);
        look->code = look->look(look, &hope);
        if (look->code == 0)
                retry_later(retry, hope, INT64_MAX);
}

static bool is_known(void *object)
{
        const struct retry_look *look = object;

        return look->code != 0;
}

void retry_look_init(struct retry_look *look, ferry_loop *loop, const char *path, const char *other_path,
                     int (*fn)(struct retry_look *look, enum retry_hope *ret_hope))
{
        look->look = fn;
        look->code = 0;
        retry_init(&look->retry, loop, path, other_path, look_again);
}

int retry_look_wait(struct retry_look *look, const char *address, int timeout_ms)
{
        ferry_loop *loop = look->retry.watch.source.loop;
        enum retry_hope hope = RETRY_CHANGE;
        int code;

        loop_enter(loop);
        look->code = look->look(look, &hope);
        /* To watch a directory, and no longer, takes the kernel milliseconds. */
        if (look->code == 0 && timeout_ms != 0)
                retry_later(&look->retry, hope, INT64_MAX);
        code = loop_wait(loop, loop_deadline(timeout_ms), is_known, look, NULL);
        retry_stop(&look->retry);
        if (!code && look->code < 0)
                code = look->code;
        if (code == -ETIMEDOUT)
                error_replace(&loop->error, code, "there is no other end at '%s' after %g s", address, timeout_ms / 1000.0);
        else if (code)
                error_replace(&loop->error, code, "cannot wait for '%s': %s", address,
                              look->error.code ? error_text(&look->error) : error_describe(code));
        error_deinit(&look->error);
        loop_leave(loop);
        return code;
}
