#include "util/pile.h"

#include "util/sys.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_POISON 1
#endif
#endif

#ifdef HAS_POISON
#include <sanitizer/asan_interface.h>
#else
/* So that AddressSanitizer reports a use of what has ended, though it is not freed. */
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

/* The size of a block is a multiple, so that a content that is a little larger fits, too. */
enum { STEP = 256 };

struct pile_block {
        struct pile_block *next;
        size_t size;
};

static struct pile_block *pop(struct pile *pile)
{
        struct pile_block *top = pile->top;

        if (!top)
                return NULL;
        ASAN_UNPOISON_MEMORY_REGION(top, sizeof *top);
        ASAN_UNPOISON_MEMORY_REGION(top, top->size);
        pile->top = top->next;
        pile->count--;
        return top;
}

void *pile_take(struct pile *pile, size_t size, size_t *ret_size)
{
        struct pile_block *top = size <= PILE_BLOCK_MAX ? pop(pile) : NULL;

        if (top && top->size >= size) {
                *ret_size = top->size;
                return top;
        }
        sys_free(top);
        *ret_size = size <= PILE_BLOCK_MAX ? (size + STEP - 1) / STEP * STEP : size;
        return sys_alloc(*ret_size);
}

void pile_give(struct pile *pile, void *memory, size_t size)
{
        struct pile_block *top = memory;

        if (size > PILE_BLOCK_MAX || pile->count == PILE_MAX) {
                sys_free(memory);
                return;
        }
        *top = (struct pile_block){ pile->top, size };
        pile->top = top;
        pile->count++;
        ASAN_POISON_MEMORY_REGION(top, size);
}

void pile_deinit(struct pile *pile)
{
        struct pile_block *top;

        while ((top = pop(pile)))
                sys_free(top);
}
