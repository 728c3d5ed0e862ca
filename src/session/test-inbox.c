/* The inbox from inside, against a model that is two lists of frames: in whatever pieces these are read, and whenever events are
 * taken, each input gives its frames in order, and how far the inbox has come is what the model says. */
#include "session/inbox.h"

#include "support/suite.h"
#include "wire/dialect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MOST = 3000, FRAME_MAX = 1 << 16 };

/* What one input was sent and what it has given; each payload is its number, repeated. */
struct model_input {
        struct buffer sent;             /* bytes that were not read yet */
        unsigned char next, expected;
};

struct model {
        struct inbox inbox;
        struct model_input inputs[STREAM_INPUTS];
        uint64_t read, events;
};

static size_t pick(size_t count)
{
        return (size_t)random() % count;
}

static void send_frame(struct model *model, int input)
{
        struct model_input *to = &model->inputs[input];
        unsigned char bytes[SIZE_MOST];
        size_t begin, size = 1 + pick(pick(50) == 0 ? SIZE_MOST : 40);

        memset(bytes, ++to->next, size);
        ck_assert_int_eq(frame_begin(&to->sent, &begin), 0);
        ck_assert_int_eq(buffer_append(&to->sent, bytes, size), 0);
        frame_end(&to->sent, begin, 0);
}

static void read_some(struct model *model, int input)
{
        struct buffer *sent = &model->inputs[input].sent;
        size_t room, size = pick(buffer_size(sent) + 1);
        void *bytes = inbox_reserve(&model->inbox, input, &room);

        ck_assert_ptr_nonnull(bytes);
        size = size < room ? size : room;
        if (size > 0)
                memcpy(bytes, buffer_bytes(sent), size);
        buffer_consume(sent, size);
        inbox_commit(&model->inbox, input, size);
        model->read += size;
        SUITE_CHECK(model->inbox.taken == model->read, "%llu bytes were taken instead of %llu",
                    (unsigned long long)model->inbox.taken, (unsigned long long)model->read);
}

/* Whether there was one. */
static bool take_event(struct model *model)
{
        struct inbox_event event;
        int result = inbox_next(&model->inbox, &event);
        struct model_input *from = &model->inputs[event.input];

        SUITE_CHECK(result >= 0, "there is the error %d", result);
        if (result == 0)
                return false;
        from->expected++;
        SUITE_CHECK(event.frame.event == FRAME_WHOLE && event.frame.size > 0, "an event is no frame");
        for (size_t i = 0; i < event.frame.size; i++)
                SUITE_CHECK((unsigned char)event.frame.bytes[i] == from->expected, "input %d gives frame %d in the place of %d",
                            event.input, event.frame.bytes[i], from->expected);
        block_unref(event.frame.block);
        SUITE_CHECK(model->inbox.events == ++model->events, "the events are not counted");
        return true;
}

static void init(struct model *model)
{
        *model = (struct model){ 0 };
        inbox_init(&model->inbox, &framing_magic, false, FRAME_MAX);
}

static void deinit(struct model *model)
{
        inbox_deinit(&model->inbox);
        for (int i = 0; i < STREAM_INPUTS; i++)
                buffer_deinit(&model->inputs[i].sent);
}

START_TEST(each_input_gives_its_frames_in_order)
{
        struct model model;

        srandom(1);
        init(&model);
        for (size_t i = 0; i < suite_scale(500000); i++) {
                int input = (int)pick(STREAM_INPUTS);

                switch (pick(4)) {
                case 0:
                        send_frame(&model, input);
                        break;
                case 1:
                        read_some(&model, input);
                        break;
                default:
                        take_event(&model);
                }
        }
        for (int i = 0; i < STREAM_INPUTS; i++) {
                while (buffer_size(&model.inputs[i].sent) > 0)
                        read_some(&model, i);
        }
        while (take_event(&model))
                ;
        for (int i = 0; i < STREAM_INPUTS; i++)
                ck_assert_uint_eq(model.inputs[i].expected, model.inputs[i].next);
        ck_assert_uint_eq(inbox_held_in_all(&model.inbox), 0);
        deinit(&model);
}
END_TEST

static void read_bytes(struct inbox *inbox, int input, const void *bytes, size_t size)
{
        size_t room;
        void *at = inbox_reserve(inbox, input, &room);

        ck_assert_ptr_nonnull(at);
        ck_assert_uint_le(size, room);
        memcpy(at, bytes, size);
        inbox_commit(inbox, input, size);
}

/* A deadline that passes while frames wait asks for this. */
START_TEST(a_mark_is_passed_when_what_stood_before_it_was_given)
{
        struct model model;
        uint64_t mark;

        init(&model);
        ck_assert(inbox_has_passed(&model.inbox, 0));
        for (int i = 0; i < 3; i++)
                send_frame(&model, 0);
        mark = buffer_size(&model.inputs[0].sent);
        read_bytes(&model.inbox, 0, buffer_bytes(&model.inputs[0].sent), (size_t)mark);
        buffer_consume(&model.inputs[0].sent, (size_t)mark);
        /* The session stops at some frames in a round. */
        model.inbox.is_behind = true;
        ck_assert(inbox_may_have_more(&model.inbox));
        ck_assert(!inbox_has_passed(&model.inbox, 0));
        for (int i = 0; i < 3; i++) {
                ck_assert(!inbox_has_passed(&model.inbox, mark));
                ck_assert(take_event(&model));
        }
        ck_assert(inbox_has_passed(&model.inbox, mark));
        deinit(&model);
}
END_TEST

START_TEST(a_read_that_fills_its_room_may_have_left_more)
{
        struct model model;
        size_t room;

        init(&model);
        ck_assert_ptr_nonnull(inbox_reserve(&model.inbox, 1, &room));
        ck_assert(!inbox_may_have_more(&model.inbox));
        memset(buffer_bytes(&model.inbox.inputs[1].reader.buffer), 0, room);
        inbox_commit(&model.inbox, 1, room);
        ck_assert(inbox_may_have_more(&model.inbox));
        ck_assert(inbox_has_passed(&model.inbox, room));
        ck_assert(!inbox_has_passed(&model.inbox, room + 1));
        ck_assert_ptr_nonnull(inbox_reserve(&model.inbox, 1, &room));
        inbox_commit(&model.inbox, 1, 0);
        ck_assert(!inbox_may_have_more(&model.inbox));
        deinit(&model);
}
END_TEST

START_TEST(an_inbox_that_discards_gives_nothing_and_holds_nothing)
{
        struct model model;
        struct inbox_event event;

        init(&model);
        send_frame(&model, 0);
        read_some(&model, 0);
        inbox_discard(&model.inbox);
        ck_assert_int_eq(inbox_next(&model.inbox, &event), 0);
        read_bytes(&model.inbox, 0, "no frame", 8);
        ck_assert_int_eq(inbox_next(&model.inbox, &event), 0);
        ck_assert_uint_eq(inbox_held_in_all(&model.inbox), 0);
        inbox_end(&model.inbox, 0, "it is over");
        ck_assert_int_eq(inbox_finish(&model.inbox, 0, &event), 0);
        deinit(&model);
}
END_TEST

START_TEST(an_inbox_that_ends_in_a_frame_says_so)
{
        struct model model;
        struct inbox_event event;
        const char *sentence;

        init(&model);
        send_frame(&model, 0);
        read_bytes(&model.inbox, 0, buffer_bytes(&model.inputs[0].sent), buffer_size(&model.inputs[0].sent) - 1);
        ck_assert(!model.inbox.is_over);
        inbox_end(&model.inbox, 0, "the other side is gone");
        ck_assert(model.inbox.is_over);
        ck_assert_int_eq(inbox_next(&model.inbox, &event), 0);
        ck_assert_int_eq(inbox_finish(&model.inbox, 0, &event), -ECONNRESET);
        ck_assert_int_eq(inbox_finish(&model.inbox, 1, &event), 0);
        /* The reason that is found later replaces the first, and may be made of it. */
        sentence = inbox_end_sentence(&model.inbox);
        ck_assert_str_eq(sentence, "the other side is gone");
        inbox_end(&model.inbox, -ECONNRESET, sentence);
        ck_assert_str_eq(inbox_end_sentence(&model.inbox), "the other side is gone");
        ck_assert_int_eq(model.inbox.end_code, -ECONNRESET);
        deinit(&model);
}
END_TEST

START_TEST(bytes_that_are_no_frame_are_an_error_that_stays)
{
        struct model model;
        struct inbox_event event;

        init(&model);
        read_bytes(&model.inbox, 0, "no frame", 8);
        for (int i = 0; i < 2; i++)
                ck_assert_int_eq(inbox_next(&model.inbox, &event), -EBADMSG);
        deinit(&model);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(each_input_gives_its_frames_in_order),
        SUITE_TEST(a_mark_is_passed_when_what_stood_before_it_was_given),
        SUITE_TEST(a_read_that_fills_its_room_may_have_left_more),
        SUITE_TEST(an_inbox_that_discards_gives_nothing_and_holds_nothing),
        SUITE_TEST(an_inbox_that_ends_in_a_frame_says_so),
        SUITE_TEST(bytes_that_are_no_frame_are_an_error_that_stays),
};

SUITE_MAIN("inbox", tests)
