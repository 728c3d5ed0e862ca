/* Descriptors that go with the next message, each a duplicate of the program's. */
#pragma once

#include "stream/passing.h"

struct attached {
        size_t references;
        size_t count;
        int fds[PASSED_MAX];
};

/* NULL if memory is out. */
struct attached *attached_new(void);
/* NULL is allowed. Closes them with the last reference. */
void attached_unref(struct attached *attached);
