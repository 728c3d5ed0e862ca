#include "session/holes.h"

#include "util/sys.h"

#include <errno.h>

enum { CAPACITY_FIRST = 16 };

void holes_deinit(struct holes *holes)
{
        sys_free(holes->at);
        *holes = (struct holes){ 0 };
}

int holes_add(struct holes *holes, uint64_t begin, uint64_t size)
{
        size_t i = holes->count;

        if (holes->count == holes->capacity) {
                size_t capacity = holes->capacity ? holes->capacity * 2 : CAPACITY_FIRST;
                struct hole *at = sys_realloc(holes->at, capacity * sizeof *at);

                if (!at)
                        return -ENOMEM;
                holes->at = at;
                holes->capacity = capacity;
        }
        for (; i > 0 && holes->at[(i - 1) / 2].begin > begin; i = (i - 1) / 2)
                holes->at[i] = holes->at[(i - 1) / 2];
        holes->at[i] = (struct hole){ begin, size };
        holes->count++;
        holes->size += size;
        return 0;
}

/* Put one at the top of the first @count, of which the top is free. */
static void sift_down(struct hole *at, size_t count, struct hole hole)
{
        size_t i = 0;

        for (;;) {
                size_t below = i * 2 + 1;

                if (below + 1 < count && at[below + 1].begin < at[below].begin)
                        below++;
                if (below >= count || at[below].begin >= hole.begin)
                        break;
                at[i] = at[below];
                i = below;
        }
        at[i] = hole;
}

void holes_remove_first(struct holes *holes)
{
        holes->size -= holes->at[0].size;
        holes->count--;
        sift_down(holes->at, holes->count, holes->at[holes->count]);
}

void holes_clear(struct holes *holes)
{
        holes->count = 0;
        holes->size = 0;
}

void holes_sort(struct holes *holes)
{
        struct hole *at = holes->at;

        /* The first of those that are left goes behind them; so the last one comes to stand in front. */
        for (size_t left = holes->count; left > 1; left--) {
                struct hole first = at[0];

                sift_down(at, left - 1, at[left - 1]);
                at[left - 1] = first;
        }
        for (size_t i = 0; i < holes->count / 2; i++) {
                struct hole hole = at[i];

                at[i] = at[holes->count - 1 - i];
                at[holes->count - 1 - i] = hole;
        }
}
