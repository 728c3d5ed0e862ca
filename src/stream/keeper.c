/* Invariant: while it runs, either the kernel reports each change of the file, or a timer looks for it. The file itself is
 * watched, not the entries of its directory, in which much may happen. Closing an inotify descriptor takes 10 ms, so a socket
 * that lives only for a moment is not watched. */
#include "stream/keeper.h"

enum { FIRST_NS = 250000000, LOOK_NS = 1000000000 };

static void look(struct keeper *keeper)
{
        if (!binding_is_named(keeper->binding))
                keeper->lost(keeper);
}

static void has_changed(struct watch *watch)
{
        look(container_of(watch, struct keeper, watch));
}

/* What has happened before it is watched is not reported. */
static bool begin_watch(struct keeper *keeper)
{
        char path[HELD_PATH_MAX];
        int code = watch_start(&keeper->watch);

        if (!code)
                code = watch_add_file(&keeper->watch, held_path(&keeper->binding->held, "", path));
        if (code)
                watch_stop(&keeper->watch);
        return !code;
}

static void look_again(struct loop_timer *timer)
{
        struct keeper *keeper = container_of(timer, struct keeper, timer);

        if (!begin_watch(keeper))
                loop_timer_start(keeper->watch.source.loop, timer, sys_now() + LOOK_NS);
        look(keeper);
}

void keeper_init(struct keeper *keeper, ferry_loop *loop, const struct binding *binding, void (*lost)(struct keeper *keeper))
{
        *keeper = (struct keeper){ .binding = binding, .lost = lost, .timer.fn = look_again };
        watch_init(&keeper->watch, loop, has_changed);
}

void keeper_start(struct keeper *keeper)
{
        keeper_stop(keeper);
        loop_timer_start(keeper->watch.source.loop, &keeper->timer, sys_now() + FIRST_NS);
}

void keeper_stop(struct keeper *keeper)
{
        loop_timer_stop(keeper->watch.source.loop, &keeper->timer);
        watch_stop(&keeper->watch);
}
