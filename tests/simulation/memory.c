/* Blocks of a fixed range of addresses. They have sizes of some classes; a block that is freed is the next one of its class. Invariant:
 * addresses depend on nothing but what was allocated and freed before, since memory_begin(). */
#include "simulation/memory.h"

#include "simulation/door.h"
#include "support/sanitizer.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define HAS_MSAN 1
#endif
#endif
#ifdef HAS_MSAN
enum { IS_FIXED = 0 };
#else
enum { IS_FIXED = sizeof(void *) == 8 && !SUITE_HAS_ASAN };
#endif

enum { CLASSES = 64, SMALLEST = 32 };

/* In front of each block; as large as what malloc(3) aligns to. */
struct head {
        size_t size;                    /* of its class */
        struct head *next;              /* that is free, too */
};

struct memory_counts memory_counts;

static struct head *freed[CLASSES];
static char *range, *unused;
static size_t range_size;

void memory_begin(void)
{
        memory_counts.bytes_peak = memory_counts.bytes;
        if (!IS_FIXED || memory_counts.blocks > 0)
                return;
        if (!range) {
                range_size = (size_t)1 << (sizeof(void *) == 8 ? 34 : 20);
                range = mmap((void *)(uintptr_t)(0x5f0000000000 & UINTPTR_MAX), range_size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
                if (range == MAP_FAILED) {
                        perror("simulation: no range of addresses");
                        abort();
                }
        }
        memset(freed, 0, sizeof freed);
        unused = range;
}

bool memory_is_alike(void)
{
        return IS_FIXED;
}

/* Its size in @size: a power of two, or that and a half. */
static unsigned class_of(size_t *size)
{
        size_t room = SMALLEST;
        unsigned class = 0;

        while (room < *size) {
                room = class % 2 == 0 ? room + room / 2 : room / 3 * 4;
                class++;
        }
        *size = room;
        return class;
}

static void *take(size_t size)
{
        unsigned class = class_of(&size);
        struct head *head = freed[class];

        if (head)
                freed[class] = head->next;
        else {
                if (size + sizeof *head > (size_t)(range + range_size - unused))
                        return NULL;
                head = (void *)unused;
                unused += sizeof *head + size;
        }
        head->size = size;
        return head + 1;
}

static size_t size_of(void *memory)
{
        return IS_FIXED ? ((struct head *)memory - 1)->size : malloc_usable_size(memory);
}

static void *count_in(void *memory)
{
        if (!memory)
                return NULL;
        memory_counts.blocks++;
        memory_counts.bytes += size_of(memory);
        if (memory_counts.bytes > memory_counts.bytes_peak)
                memory_counts.bytes_peak = memory_counts.bytes;
        return memory;
}

static void count_out(void *memory)
{
        memory_counts.blocks--;
        memory_counts.bytes -= size_of(memory);
}

REPLACE(void *, alloc, (size_t size))
{
        return count_in(IS_FIXED ? take(size) : __real_sys_alloc(size));
}

REPLACE(void *, alloc_zeroed, (size_t size))
{
        void *memory = __wrap_sys_alloc(size);

        return memory ? memset(memory, 0, size) : NULL;
}

REPLACE(void, free, (void *memory))
{
        struct head *head = memory;
        size_t size;
        unsigned class;

        if (!memory)
                return;
        count_out(memory);
        if (!IS_FIXED) {
                __real_sys_free(memory);
                return;
        }
        head--;
        size = head->size;
        class = class_of(&size);
        head->next = freed[class];
        freed[class] = head;
}

REPLACE(void *, realloc, (void *memory, size_t size))
{
        size_t before = memory ? size_of(memory) : 0;
        void *grown;

        if (memory && IS_FIXED && size <= before)
                return memory;
        grown = __wrap_sys_alloc(size);
        if (grown && memory) {
                memcpy(grown, memory, before < size ? before : size);
                __wrap_sys_free(memory);
        }
        return grown;
}
