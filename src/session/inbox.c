#include "session/inbox.h"

#include "util/error.h"
#include "util/text.h"
#include "wire/dialect.h"

#include <errno.h>

void inbox_init(struct inbox *inbox, const struct framing *framing, bool has_junk, size_t max)
{
        for (int i = 0; i < STREAM_INPUTS; i++)
                frame_reader_init(&inbox->inputs[i].reader, framing, has_junk, max, wire_can_begin);
}

void inbox_deinit(struct inbox *inbox)
{
        for (int i = 0; i < STREAM_INPUTS; i++)
                frame_reader_deinit(&inbox->inputs[i].reader);
        sys_free(inbox->end_sentence);
}

/* Reading ---------------------------------------------------------------------------------------------- */

void *inbox_reserve(struct inbox *inbox, int input, size_t *ret_size)
{
        void *room = frame_reserve(&inbox->inputs[input].reader, ret_size);

        inbox->inputs[input].room = *ret_size;
        return room;
}

void inbox_commit(struct inbox *inbox, int input, size_t size)
{
        struct inbox_input *at = &inbox->inputs[input];

        at->is_filled = size > 0 && size == at->room;
        if (size > 0)
                frame_commit(&at->reader, size);
        inbox->taken += size;
        if (inbox->is_discarding)
                frame_reader_clear(&at->reader);
}

void inbox_discard(struct inbox *inbox)
{
        inbox->is_discarding = true;
}

/* Events ----------------------------------------------------------------------------------------------- */

int inbox_next(struct inbox *inbox, struct inbox_event *ret)
{
        for (int left = STREAM_INPUTS; left > 0 && !inbox->is_discarding; left--) {
                struct frame_reader *reader = &inbox->inputs[inbox->current].reader;
                int result = frame_is_idle(reader) ? 0 : frame_next(reader, &ret->frame);

                ret->input = inbox->current;
                inbox->events += result > 0;
                if (result != 0)
                        return result;
                inbox->current = (inbox->current + 1) % STREAM_INPUTS;
        }
        return 0;
}

/* The end ---------------------------------------------------------------------------------------------- */

void inbox_end(struct inbox *inbox, int code, const char *sentence)
{
        char *copy = text_copy(sentence);

        sys_free(inbox->end_sentence);
        inbox->is_over = true;
        inbox->end_code = code;
        inbox->end_sentence = copy;
}

const char *inbox_end_sentence(const struct inbox *inbox)
{
        return inbox->end_sentence ? inbox->end_sentence : error_describe(-ENOMEM);
}

int inbox_finish(struct inbox *inbox, int input, struct inbox_event *ret)
{
        int result = frame_finish(&inbox->inputs[input].reader, &ret->frame);

        ret->input = input;
        inbox->events += result > 0;
        return result;
}

/* How far it is ---------------------------------------------------------------------------------------- */

size_t inbox_held_in_all(const struct inbox *inbox)
{
        size_t held = 0;

        for (int i = 0; i < STREAM_INPUTS; i++)
                held += inbox_held(inbox, i);
        return held;
}

static bool has_filled_room(const struct inbox *inbox)
{
        bool has = false;

        for (int i = 0; i < STREAM_INPUTS; i++)
                has = has || inbox->inputs[i].is_filled;
        return has;
}

bool inbox_may_have_more(const struct inbox *inbox)
{
        return inbox->is_behind || has_filled_room(inbox);
}

bool inbox_has_passed(const struct inbox *inbox, uint64_t mark)
{
        if (inbox->is_behind)
                return mark > 0 && inbox->taken - inbox_held_in_all(inbox) >= mark;
        return !has_filled_room(inbox) || inbox->taken >= mark;
}
