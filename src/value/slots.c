/* Numbered values and references to them. Invariants: the sum of all that references stand for stays within
 * 32 times the input and 64 KiB, so a few bytes cannot stand for a huge tree; only values that are referred to are
 * kept, so one reference does not cost memory for each of many small values. */
#include "value/slots.h"

#include <errno.h>

int slots_init(struct slots *slots, size_t numbers_max, size_t input_size)
{
        *slots = (struct slots){ .numbers_max = numbers_max, .extra_max = (uint64_t)input_size * 32 + (64 << 10) };
        if (numbers_max == 0)
                return 0;
        slots->wanted = sys_alloc_zeroed(numbers_max / 8 + 1);
        return slots->wanted ? 0 : -ENOMEM;
}

void slots_deinit(struct slots *slots)
{
        if (slots->wanted)
                sys_free(slots->wanted);
        if (slots->slots)
                sys_free(slots->slots);
}

void slots_want(struct slots *slots, uint64_t number)
{
        if (number <= slots->numbers_max && slots->wanted)
                slots->wanted[number / 8] |= (unsigned char)(1U << number % 8);
}

int slots_begin(struct slots *slots, size_t offset, size_t *ret_slot)
{
        size_t number = ++slots->numbers;

        *ret_slot = 0;
        if (number > slots->numbers_max || !(slots->wanted[number / 8] & 1U << number % 8))
                return 0;
        if (slots->count == slots->capacity) {
                size_t capacity = slots->capacity ? slots->capacity * 2 : 16;
                struct slot *grown = sys_realloc(slots->slots, capacity * sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                slots->slots = grown;
                slots->capacity = capacity;
        }
        slots->slots[slots->count++] = (struct slot){
                .begin = offset, .extra = slots->extra, .number = (uint32_t)number, .is_open = true };
        *ret_slot = slots->count;
        return 0;
}

void slots_end(struct slots *slots, size_t slot, const ferry_value *node, size_t offset)
{
        struct slot *ended = &slots->slots[slot - 1];

        ended->node = *node;
        ended->extra = offset - ended->begin + (slots->extra - ended->extra);
        ended->is_open = false;
}

/* Numbers only grow, so the slots are in order. */
static const struct slot *find(const struct slots *slots, uint64_t number)
{
        size_t first = 0, end = slots->count;

        while (first < end) {
                size_t middle = first + (end - first) / 2;

                if (slots->slots[middle].number == number)
                        return &slots->slots[middle];
                if (slots->slots[middle].number < number)
                        first = middle + 1;
                else
                        end = middle;
        }
        return NULL;
}

int slots_add(struct slots *slots, uint64_t number, bool must_be_object, size_t depth, ferry_value *ret_node)
{
        const struct slot *slot = find(slots, number);

        if (!slot || slot->is_open)
                return -EBADMSG;
        if (must_be_object && slot->node.kind != FERRY_VALUE_OBJECT && slot->node.kind != FERRY_VALUE_ENUM &&
            slot->node.kind != FERRY_VALUE_OPAQUE)
                return -EBADMSG;
        slots->extra += slot->extra;
        if (slots->extra > slots->extra_max || depth + slot->node.depth > DEPTH_MAX)
                return -EMSGSIZE;
        *ret_node = slot->node;
        return 0;
}
