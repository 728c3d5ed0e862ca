/* Counts. The compiler puts a call of __sanitizer_cov_trace_pc() where the code branches; loops inside the C library
 * are counted by the bytes they are given. */
#include "costs/work.h"

#include <malloc.h>
#include <stddef.h>

uint64_t work_steps;

static const char *found;

void __sanitizer_cov_trace_pc(void);

void __sanitizer_cov_trace_pc(void)
{
        work_steps++;
}

#define COUNTED(type, name, parameters, arguments, size)        \
        type __real_##name parameters;                          \
        type __wrap_##name parameters;                          \
        type __wrap_##name parameters                           \
        {                                                       \
                work_steps += (size) / 16 + 1;                  \
                return __real_##name arguments;                 \
        }

COUNTED(void *, memchr, (const void *bytes, int byte, size_t size), (bytes, byte, size),
        (found = __real_memchr(bytes, byte, size)) ? (size_t)(found - (const char *)bytes) : size)
COUNTED(int, memcmp, (const void *a, const void *b, size_t size), (a, b, size), size)
COUNTED(void *, memcpy, (void *target, const void *source, size_t size), (target, source, size), size)
COUNTED(void *, memmove, (void *target, const void *source, size_t size), (target, source, size), size)
COUNTED(void *, memset, (void *target, int byte, size_t size), (target, byte, size), size)
COUNTED(size_t, strlen, (const char *text), (text), __real_strlen(text))
/* It may copy all that was there. */
COUNTED(void *, sys_realloc, (void *memory, size_t size), (memory, size), memory ? malloc_usable_size(memory) : 0)
