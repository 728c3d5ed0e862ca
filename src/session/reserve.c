/* Memory that calls and messages which have ended leave to the next ones of the same loop, so that a conversation that runs
 * allocates nothing. Invariant: so much is kept as a conversation needs that has a few messages in hand, whatever came before. */
#include "session/private.h"

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

enum {
        PILE_MAX = 32,
        KEPT_MAX = 1024,        /* bytes of a block that is kept */
        STEP = 256,             /* its size is a multiple, so that one that is a little larger finds room, too */
};

struct reserved {
        struct reserved *next;
        size_t size;
};

/* The top of the pile was used last. */
static struct reserved *pop(struct pile *pile)
{
        struct reserved *top = pile->top;

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
        struct reserved *top = size <= KEPT_MAX ? pop(pile) : NULL;

        if (top && top->size >= size) {
                *ret_size = top->size;
                return top;
        }
        sys_free(top);
        *ret_size = size <= KEPT_MAX ? (size + STEP - 1) / STEP * STEP : size;
        return sys_alloc(*ret_size);
}

void pile_give(struct pile *pile, void *memory, size_t size)
{
        struct reserved *top = memory;

        if (size > KEPT_MAX || pile->count == PILE_MAX) {
                sys_free(memory);
                return;
        }
        *top = (struct reserved){ pile->top, size };
        pile->top = top;
        pile->count++;
        ASAN_POISON_MEMORY_REGION(top, size);
}

void reserve_deinit(struct reserve *reserve)
{
        struct pile *piles[] = { &reserve->calls, &reserve->messages };
        void *memory;

        for (int i = 0; i < 2; i++)
                while ((memory = pop(piles[i])))
                        sys_free(memory);
        spare_deinit(&reserve->tree);
}
