/* Numbered values and references to them. Invariant: the sum of all that references stand for stays within
 * 32 times the input and 64 KiB, so a few bytes cannot stand for a huge tree. */
#include "value/slots.h"

#include <errno.h>

void slots_init(struct slots *slots, bool is_used, size_t input_size)
{
        *slots = (struct slots){ .is_used = is_used, .extra_max = (uint64_t)input_size * 32 + (64 << 10) };
}

void slots_deinit(struct slots *slots)
{
        sys_free(slots->slots);
}

size_t slots_begin(struct slots *slots, ferry_builder *builder, size_t offset)
{
        if (!slots->is_used)
                return 0;
        if (slots->count == slots->capacity) {
                size_t capacity = slots->capacity ? slots->capacity * 2 : 16;
                struct slot *grown = sys_realloc(slots->slots, capacity * sizeof *grown);

                if (!grown) {
                        builder_fail(builder, -ENOMEM);
                        return 0;
                }
                slots->slots = grown;
                slots->capacity = capacity;
        }
        slots->slots[slots->count++] = (struct slot){ .begin = offset, .extra = slots->extra, .is_open = true };
        return slots->count;
}

void slots_end(struct slots *slots, ferry_builder *builder, size_t number, size_t offset)
{
        struct slot *slot;

        if (number == 0 || builder->error)
                return;
        slot = &slots->slots[number - 1];
        slot->node = builder->nodes[builder->node_count - 1];
        slot->extra = offset - slot->begin + (slots->extra - slot->extra);
        slot->is_open = false;
}

void slots_add(struct slots *slots, ferry_builder *builder, uint64_t number, bool must_be_object)
{
        const struct slot *slot;

        if (number == 0 || number > slots->count || slots->slots[number - 1].is_open) {
                builder_fail(builder, -EBADMSG);
                return;
        }
        slot = &slots->slots[number - 1];
        if (must_be_object && slot->node.kind != FERRY_VALUE_OBJECT && slot->node.kind != FERRY_VALUE_ENUM &&
            slot->node.kind != FERRY_VALUE_OPAQUE) {
                builder_fail(builder, -EBADMSG);
                return;
        }
        slots->extra += slot->extra;
        if (slots->extra > slots->extra_max)
                builder_fail(builder, -EMSGSIZE);
        else
                builder_add_node(builder, &slot->node);
}
