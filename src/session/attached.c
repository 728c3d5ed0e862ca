#include "session/attached.h"

#include "util/sys.h"

struct attached *attached_new(void)
{
        struct attached *attached = sys_alloc(sizeof *attached);

        if (attached) {
                attached->references = 1;
                attached->count = 0;
        }
        return attached;
}

void attached_unref(struct attached *attached)
{
        if (!attached || --attached->references > 0)
                return;
        for (size_t i = 0; i < attached->count; i++)
                sys_close(attached->fds[i]);
        sys_free(attached);
}
