/* Frames that were taken back out of the queue of a session before any of their bytes were sent. They stay where they are until
 * the front of the queue comes to them, or until the queue is half made of them: so taking one back moves nothing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hole {
        uint64_t begin;         /* in all that the session sends */
        uint64_t size;
};

/* A heap: the first hole of the queue is the first one here. */
struct holes {
        struct hole *at;
        size_t count;
        size_t capacity;
        uint64_t size;          /* of all */
};

void holes_deinit(struct holes *holes);

/* 0 or -ENOMEM. */
int holes_add(struct holes *holes, uint64_t begin, uint64_t size);
void holes_remove_first(struct holes *holes);
void holes_clear(struct holes *holes);

/* In their order. That is a heap, too. */
void holes_sort(struct holes *holes);
