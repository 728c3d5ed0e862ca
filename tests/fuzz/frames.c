/* A stream of bytes in a dialect whose frames need no magic. What must hold:
 *
 *      - the frames are those of a model that has all bytes at once, however they are cut; what is none, or over the
 *        limit, is so from its first bytes on, and stays so
 *      - memory grows with what has come, not with what was declared; nothing is left, also without memory */
#include "fuzz/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_LIMIT = 300 };

uint8_t fuzz_frames_begin(struct fuzz_input *input, struct wire *wire, unsigned dialect)
{
        uint8_t flags = fuzz_byte(input);
        ferry_session_options options = { .dialect = dialect, .frame_max = flags & 16 ? SMALL_LIMIT : 0 };
        struct error error = { 0 };

        FUZZ_REQUIRE(wire_init(wire, &options, &error) == 0, "%s", error_text(&error));
        return flags;
}

ferry_value *fuzz_take_saying(struct fuzz_input *input, char **ret_type)
{
        size_t left = (size_t)(input->end - input->at), size = strnlen((const char *)input->at, left);
        ferry_value *body;

        *ret_type = calloc(1, size + 1);
        if (!*ret_type)
                abort();
        memcpy(*ret_type, input->at, size);
        input->at += size < left ? size + 1 : size;
        body = ferry_value_pack("%.*s", (int)(input->end - input->at), (const char *)input->at);
        return body;
}

/* All of it, in pieces of that size. @may_fail: memory is refused somewhere. */
static void read_all(const struct fuzz_frames *frames, const unsigned char *bytes, size_t size, size_t piece, bool may_fail)
{
        struct frame_reader reader;
        struct frame frame;
        size_t taken = 0, done = 0, header = 0;
        int64_t expected;
        int code = 0;

        frame_reader_init(&reader, frames->wire->dialect->framing, true, frames->wire->frame_max, wire_can_begin);
        while (taken < size && code >= 0) {
                size_t room, part = size - taken < piece ? size - taken : piece;
                void *at = frame_reserve(&reader, &room);

                if (!at) {
                        FUZZ_REQUIRE(may_fail && fuzz_has_refused(), "no memory");
                        break;
                }
                part = part < room ? part : room;
                memcpy(at, bytes + taken, part);
                frame_commit(&reader, part);
                taken += part;
                while ((code = frame_next(&reader, &frame)) > 0) {
                        expected = frames->model(bytes + done, taken - done, &header);
                        FUZZ_REQUIRE(frame.event == FRAME_WHOLE && expected == (int64_t)frame.size,
                                     "%zu bytes instead of %lld", frame.size, (long long)expected);
                        FUZZ_REQUIRE(memcmp(frame.bytes, bytes + done + header, frame.size) == 0, "other bytes");
                        if (!may_fail)
                                frames->check(frame.bytes, frame.size);
                        done += header + frame.size;
                        block_unref(frame.block);
                }
                if (code == -ENOMEM) {
                        FUZZ_REQUIRE(may_fail && fuzz_has_refused(), "no memory");
                        break;
                }
                expected = frames->model(bytes + done, taken - done, &header);
                FUZZ_REQUIRE(code == 0 ? expected == MODEL_PART :
                                         expected == MODEL_NONE && (code == -EBADMSG || code == -EMSGSIZE),
                             "%d, but %lld", code, (long long)expected);
                if (code < 0)
                        FUZZ_REQUIRE(frame_next(&reader, &frame) == code, "it is right again");
        }
        if (code == 0 && taken == size)
                FUZZ_REQUIRE(frame_finish(&reader, &frame) == (done == size ? 0 : -ECONNRESET), "%zu of %zu bytes", done,
                             size);
        frame_reader_deinit(&reader);
}

void fuzz_frames_run(const struct fuzz_frames *frames, uint8_t flags, const char *bytes, size_t size)
{
        size_t piece = (flags & 15) ? (flags & 15) : SIZE_MAX;
        struct fuzz_mark mark;

        fuzz_peak_begin(&mark);
        read_all(frames, (const unsigned char *)bytes, size, piece, false);
        FUZZ_REQUIRE(fuzz_peak(&mark) <= frames->memory_factor * size + (1 << 18), "%zu bytes of memory for %zu",
                     fuzz_peak(&mark), size);
        fuzz_refuse_allocation(fuzz_hash(bytes, size) % 4);
        read_all(frames, (const unsigned char *)bytes, size, piece, true);
        door_judge = NULL;
}
