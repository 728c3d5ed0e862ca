/* References of PHP's formats: values that stand once and are named again by their number. They are written
 * out by sharing nodes, within a limit on what they would amount to; a reference to what is not finished yet,
 * a cycle, is refused. */
#pragma once

#include "value/tree.h"

struct slot {
        ferry_value node;
        size_t begin;           /* where it stands in the bytes */
        uint64_t extra;         /* before it; when it is closed, its expanded size */
        uint32_t number;
        bool is_open;
};

struct slots {
        size_t numbers_max;
        unsigned char *wanted;  /* a bit for each number */
        size_t numbers;         /* given so far */
        struct slot *slots;     /* of those that are wanted, by number */
        size_t count;
        size_t capacity;
        uint64_t extra;         /* bytes by which references have grown what was read so far */
        uint64_t extra_max;
};

/* For input with at most @numbers_max values; 0: nothing is kept. 0 or -ENOMEM. */
int slots_init(struct slots *slots, size_t numbers_max, size_t input_size);
void slots_deinit(struct slots *slots);

/* Before anything is built: a reference to that number will come. */
void slots_want(struct slots *slots, uint64_t number);

/* A value begins at @offset: where it is kept, from 1, or 0 if it is not wanted. It ends, and is this node. 0 or -ENOMEM. */
int slots_begin(struct slots *slots, size_t offset, size_t *ret_slot);
void slots_end(struct slots *slots, size_t slot, const ferry_value *node, size_t offset);

/* The value of that number again, inside of @depth containers. 0; -EBADMSG if there is none, -EMSGSIZE at a limit. */
int slots_add(struct slots *slots, uint64_t number, bool must_be_object, size_t depth, ferry_value *ret_node);
