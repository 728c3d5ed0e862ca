/* The outbox from inside, against a model that is a list of frames: whatever is queued, taken back, passed and taken in whatever
 * pieces, the bytes that leave are those of whole frames, in the order of the model. */
#include "session/outbox.h"

#include "support/suite.h"

#include <stdlib.h>
#include <string.h>

enum { FRAMES_MAX = 64, SIZE_MOST = 40 };

/* A frame of the model. Its bytes are all its number. */
struct model_frame {
        unsigned char number;
        size_t size, left;              /* bytes, and those that have not left */
        struct outbox_frame *request;   /* NULL: a message or an answer */
};

struct model {
        struct outbox outbox;
        struct model_frame frames[FRAMES_MAX];
        size_t count;
        struct outbox_frame *flying[FRAMES_MAX];        /* requests that are not answered */
        size_t flying_count;
        unsigned char next;
};

static size_t pick(size_t count)
{
        return (size_t)random() % count;
}

static size_t begin_frame(struct model *model, size_t size)
{
        size_t offset = outbox_size(&model->outbox);
        unsigned char bytes[SIZE_MOST];

        memset(bytes, ++model->next, size);
        ck_assert_int_eq(buffer_append(&model->outbox.bytes, bytes, size), 0);
        return offset;
}

/* The same with a large string between its first byte and its last ones, which is held by a tree or lent until the call returns. */
static size_t begin_frame_in_pieces(struct model *model, size_t size)
{
        size_t offset = outbox_size(&model->outbox), head = 1 + pick(size), large = pick(size - head + 1), begin;
        struct lent lent = { .size = large };
        unsigned char bytes[SIZE_MOST];
        bool is_held = pick(2) == 0;

        memset(bytes, ++model->next, size);
        ck_assert_int_eq(buffer_append(&model->outbox.bytes, bytes, head), 0);
        begin = buffer_size(&model->outbox.bytes);
        ck_assert_int_eq(buffer_append(&model->outbox.bytes, bytes, size - head - large), 0);
        if (large == 0)
                return offset;
        lent.offset = begin;
        lent.bytes = (char *)bytes;
        if (is_held) {
                lent.tree = arena_new(64);
                lent.bytes = arena_copy(lent.tree, bytes, large);
        }
        ck_assert_int_eq(outbox_add_piece(&model->outbox, lent.offset, &lent), 0);
        outbox_keep(&model->outbox);
        if (is_held)
                arena_unref(lent.tree);
        memset(bytes, 0, sizeof bytes);
        return offset;
}

static void insert(struct model *model, size_t at, size_t size, struct outbox_frame *request)
{
        memmove(model->frames + at + 1, model->frames + at, (model->count++ - at) * sizeof *model->frames);
        model->frames[at] = (struct model_frame){ .number = model->next, .size = size, .left = size, .request = request };
}

static void add(struct model *model, bool is_request)
{
        struct outbox_frame *request = is_request ? calloc(1, sizeof *request) : NULL;
        bool has_pieces = model->outbox.gate == OUTBOX_OPEN && pick(4) == 0;
        size_t size = 1 + pick(SIZE_MOST), offset = has_pieces ? begin_frame_in_pieces(model, size) : begin_frame(model, size);

        if (request) {
                list_init(&request->link);
                outbox_add_request(&model->outbox, request, offset);
                model->flying[model->flying_count++] = request;
        }
        insert(model, model->count, size, request);
}

/* Where the frame of a request stands in the model; the count if it has left. */
static size_t place_of(const struct model *model, const struct outbox_frame *request)
{
        size_t at = 0;

        while (at < model->count && model->frames[at].request != request)
                at++;
        return at;
}

/* It passes the requests that wait for an answer. */
static void add_answer(struct model *model)
{
        size_t size = 1 + pick(SIZE_MOST), offset = begin_frame(model, size), at = model->count;

        outbox_jump_queue(&model->outbox, offset);
        if (model->outbox.gate == OUTBOX_TURNS && model->flying_count > 1)
                at = place_of(model, model->flying[1]);
        insert(model, at, size, NULL);
}

static void forget(struct model *model, size_t i)
{
        struct outbox_frame *request = model->flying[i];
        size_t at = place_of(model, request);

        if (at < model->count)
                model->frames[at].request = NULL;
        memmove(model->flying + i, model->flying + i + 1, (--model->flying_count - i) * sizeof *model->flying);
        free(request);
}

static void answered(struct model *model)
{
        /* What has not left is not answered. */
        if (model->flying_count == 0 || place_of(model, model->flying[0]) < model->count)
                return;
        outbox_forget(model->flying[0]);
        forget(model, 0);
}

static void withdraw(struct model *model, size_t i)
{
        size_t at = place_of(model, model->flying[i]);

        if (at == model->count || model->frames[at].left < model->frames[at].size)
                return;
        outbox_withdraw(&model->outbox, model->flying[i]);
        memmove(model->frames + at, model->frames + at + 1, (--model->count - at) * sizeof *model->frames);
        forget(model, i);
}

static void withdraw_all(struct model *model)
{
        outbox_withdraw_all(&model->outbox);
        for (size_t i = model->flying_count; i-- > 0;) {
                size_t at = place_of(model, model->flying[i]);

                if (at == model->count || model->frames[at].left < model->frames[at].size)
                        continue;
                memmove(model->frames + at, model->frames + at + 1, (--model->count - at) * sizeof *model->frames);
                forget(model, i);
        }
}

/* Bytes that the model may send: up to the second request in flight. */
static size_t sendable(const struct model *model)
{
        bool is_turn = model->outbox.gate == OUTBOX_TURNS && model->flying_count > 1;
        size_t end = is_turn ? place_of(model, model->flying[1]) : model->count, size = 0;

        for (size_t i = 0; i < end; i++)
                size += model->frames[i].left;
        return size;
}

static void take(struct model *model, const struct dialect *dialect)
{
        size_t size = outbox_next(&model->outbox, dialect), all = size, put, in_slices = 0;
        struct iovec slices[OUTBOX_SLICES], *slice = slices;
        int count = outbox_slices(&model->outbox, &size, slices);

        SUITE_CHECK((size > 0) == (sendable(model) > 0) && all <= sendable(model), "%zu bytes are next, of %zu", all, sendable(model));
        SUITE_CHECK(size == all || count == OUTBOX_SLICES, "%zu bytes of %zu are in %d slices", size, all, count);
        for (int i = 0; i < count; i++)
                in_slices += slices[i].iov_len;
        SUITE_CHECK(in_slices == size, "%zu bytes are in slices of %zu", size, in_slices);
        put = size ? 1 + pick(size) : 0;
        for (size_t i = 0; i < put; i++) {
                unsigned char byte = *(unsigned char *)slice->iov_base;

                SUITE_CHECK(byte == model->frames[0].number, "frame %d leaves in the place of %d", byte, model->frames[0].number);
                slice->iov_base = (char *)slice->iov_base + 1;
                if (--slice->iov_len == 0)
                        slice++;
                if (--model->frames[0].left == 0)
                        memmove(model->frames, model->frames + 1, --model->count * sizeof *model->frames);
        }
        outbox_taken(&model->outbox, dialect, size, put);
}

static void step(struct model *model, const struct dialect *dialect)
{
        switch (pick(8)) {
        case 0:
        case 1:
                if (model->count < FRAMES_MAX && model->flying_count < FRAMES_MAX)
                        add(model, true);
                break;
        case 2:
                if (model->count < FRAMES_MAX)
                        add(model, false);
                break;
        case 3:
                if (model->count < FRAMES_MAX)
                        add_answer(model);
                break;
        case 4:
                if (model->flying_count > 0)
                        withdraw(model, pick(model->flying_count));
                break;
        case 5:
                answered(model);
                if (pick(50) == 0)
                        withdraw_all(model);
                break;
        default:
                take(model, dialect);
        }
}

/* With ids, and in turns. */
START_TEST(what_leaves_is_what_was_queued)
{
        const struct dialect dialect = { .has_ids = _i == 0 };
        struct model model = { 0 };

        srandom(1);
        outbox_init(&model.outbox);
        outbox_set_gate(&model.outbox, _i == 0 ? OUTBOX_OPEN : OUTBOX_TURNS);
        for (size_t i = 0; i < suite_scale(500000); i++) {
                size_t left = 0;

                step(&model, &dialect);
                for (size_t at = 0; at < model.count; at++)
                        left += model.frames[at].left;
                SUITE_CHECK(outbox_queued(&model.outbox) == left, "%zu bytes are queued instead of %zu", outbox_queued(&model.outbox),
                            left);
        }
        while (model.flying_count > 0) {
                outbox_forget(model.flying[0]);
                forget(&model, 0);
        }
        outbox_deinit(&model.outbox);
}
END_TEST

START_TEST(what_was_put_there_in_vain_is_gone)
{
        struct model model = { 0 };

        outbox_init(&model.outbox);
        outbox_set_gate(&model.outbox, OUTBOX_OPEN);
        add(&model, false);
        begin_frame(&model, 5);
        outbox_undo(&model.outbox, model.frames[0].size);
        ck_assert_uint_eq(outbox_size(&model.outbox), model.frames[0].size);
        outbox_drop(&model.outbox);
        ck_assert_uint_eq(outbox_size(&model.outbox), 0);
        outbox_deinit(&model.outbox);
}
END_TEST

/* Before the other side has begun only what is said first may leave, and that stays when all else is cut. */
START_TEST(a_greeting_leaves_first_and_stays)
{
        struct model model = { 0 };

        outbox_init(&model.outbox);
        outbox_set_gate(&model.outbox, OUTBOX_GREETING);
        add(&model, false);
        outbox_end_greeting(&model.outbox);
        add(&model, false);
        ck_assert_uint_eq(outbox_sendable(&model.outbox), model.frames[0].size);
        outbox_set_gate(&model.outbox, OUTBOX_SHUT);
        ck_assert_uint_eq(outbox_sendable(&model.outbox), 0);
        outbox_set_gate(&model.outbox, OUTBOX_GREETING);
        outbox_cut(&model.outbox);
        ck_assert_uint_eq(outbox_size(&model.outbox), model.frames[0].size);
        outbox_deinit(&model.outbox);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(what_leaves_is_what_was_queued, 2),
        SUITE_TEST(what_was_put_there_in_vain_is_gone),
        SUITE_TEST(a_greeting_leaves_first_and_stays),
};

SUITE_MAIN("outbox", tests)
