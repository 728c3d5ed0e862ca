/* Bytes that an attacker sends to cost much: for each codec the shapes that are cheapest to write and most
 * expensive to take, in any size. */
#pragma once

#include "value/codec.h"

struct shape {
        const char *name;
        const ferry_codec *(*codec)(void);
        /* What stands before, in, between and behind n units. In these bytes # is the number of the unit in eight
         * digits, $ the same in as few as it needs, and ^ in four bytes; @ is how many values there are. */
        const char *open;
        size_t open_size;
        const char *unit;
        size_t unit_size;
        const char *separator;
        const char *close;
        size_t close_size;
        int more;               /* values that open and close add */
        int per_unit;           /* values, or pairs, that a unit adds; 0: one */
        int first;              /* what is added to the number, */
        int step;               /* after it was multiplied by this; 0: not at all */
};

enum { SHAPES = 42 };
extern const struct shape shapes[SHAPES];

void shape_put(struct buffer *buffer, const struct shape *shape, size_t count);
