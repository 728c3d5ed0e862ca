/* Which thread a loop belongs to: the one that waited in it last. Invariant: only these fields of a loop are
 * read by another thread, all of them atomically. Asking makes no system call; a thread is known by the address of a variable of
 * its own. */
#include "loop/loop.h"

#include <errno.h>

_Thread_local const char loop_this_thread;

const char loop_elsewhere[] = "the object belongs to another thread: use a loop, and all that lives in it, in the thread that"
                              " waits in it";

int loop_take(ferry_loop *loop)
{
        if (loop_is_elsewhere(loop) && __atomic_load_n(&loop->is_entered, __ATOMIC_ACQUIRE))
                return -EPERM;
        __atomic_store_n(&loop->owner, &loop_this_thread, __ATOMIC_RELAXED);
        return 0;
}

int loop_refuse(const ferry_loop *loop)
{
        return loop_is_foreign(loop) ? -ECHILD : loop_is_elsewhere(loop) ? -EPERM : 0;
}

const char *loop_refusal(int code)
{
        return code == -EPERM ? loop_elsewhere : "the loop belongs to the parent of this process";
}
