/* A segment of any bytes: it is checked, repaired, and changed. A count of steps, the steps, and then the segment, which ends
 * where its memory ends. */
#include "fuzz/fuzz.h"

#include "channel/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 16, KEPT_MAX = 64, VALUE_MAX = 4096 };

struct step {
        uint8_t kind;
        int64_t key;
        unsigned size;
};

/* What is under the keys, so that a change of another one can be seen. */
struct contents {
        size_t count;
        struct {
                int64_t key;
                size_t length;
                uint32_t hash;
        } list[KEPT_MAX];
};

static void look(const struct segment *segment, struct contents *contents)
{
        struct segment_chunk chunk = { 0 }, first;
        size_t end = 0;
        int more;

        contents->count = 0;
        while ((more = segment_next(segment, &chunk)) > 0) {
                FUZZ_REQUIRE(chunk.offset >= end && chunk.offset + chunk.next <= segment->size, "a chunk outside");
                FUZZ_REQUIRE(chunk.length + SEGMENT_CHUNK <= chunk.next, "a value that is longer than its chunk");
                end = chunk.offset + chunk.next;
                FUZZ_REQUIRE(segment_find(segment, chunk.key, &first) == 0, "a chunk that is not found");
                if (first.offset != chunk.offset || contents->count == KEPT_MAX)
                        continue;
                contents->list[contents->count].key = chunk.key;
                contents->list[contents->count].length = chunk.length;
                contents->list[contents->count++].hash = fuzz_hash(segment->memory + chunk.offset + SEGMENT_CHUNK, chunk.length);
        }
        FUZZ_REQUIRE(more == 0, "%d in a segment that is whole", more);
}

static void require_others(const struct segment *segment, const struct contents *before, int64_t key)
{
        struct segment_chunk chunk;

        for (size_t i = 0; i < before->count; i++) {
                if (before->list[i].key == key)
                        continue;
                FUZZ_REQUIRE(segment_find(segment, before->list[i].key, &chunk) == 0, "another variable is gone");
                FUZZ_REQUIRE(chunk.length == before->list[i].length &&
                             fuzz_hash(segment->memory + chunk.offset + SEGMENT_CHUNK, chunk.length) == before->list[i].hash,
                             "another variable has changed");
        }
}

static void change(const struct segment *segment, const struct step *step)
{
        static unsigned char bytes[VALUE_MAX];
        bool is_whole = segment_check(segment, NULL) == 0, is_put = step->kind % 2 == 0;
        struct contents before = { 0 };
        struct segment_chunk chunk;
        int code;

        memset(bytes, step->kind, sizeof bytes);
        if (is_whole)
                look(segment, &before);
        code = is_put ? segment_put(segment, step->key, bytes, step->size % VALUE_MAX) : segment_remove(segment, step->key);
        if (!is_whole) {
                FUZZ_REQUIRE(code == -EBADMSG, "%d in a torn segment", code);
                return;
        }
        FUZZ_REQUIRE(code == 0 || code == (is_put ? -ENOSPC : -ENOENT), "%d", code);
        FUZZ_REQUIRE(segment_check(segment, NULL) == 0, "a change has torn it");
        require_others(segment, &before, step->key);
        if (code)
                return;
        code = segment_find(segment, step->key, &chunk);
        FUZZ_REQUIRE(code == (is_put ? 0 : -ENOENT), "%d after a change", code);
        FUZZ_REQUIRE(!is_put || (chunk.length == step->size % VALUE_MAX &&
                                 memcmp(segment->memory + chunk.offset + SEGMENT_CHUNK, bytes, chunk.length) == 0), "another value");
}

static int count_loss(const struct segment_loss *loss, void *object)
{
        const struct segment *segment = object;

        FUZZ_REQUIRE(loss->offset <= segment->size && loss->size <= segment->size - loss->offset && loss->reason, "a loss outside");
        return 0;
}

static void repair(struct segment *segment)
{
        unsigned char *before = (unsigned char *)fuzz_copy(segment->memory, segment->size);
        bool is_whole = segment_check(segment, NULL) == 0;
        int code = segment_repair(segment, count_loss, segment);

        FUZZ_REQUIRE(code == 0 || (code == -EBADMSG && !is_whole && (!segment_has_magic(segment) || segment_is_foreign(segment))),
                     "%d", code);
        FUZZ_REQUIRE((code == 0 && !is_whole) || memcmp(before, segment->memory, segment->size) == 0, "a change without need");
        FUZZ_REQUIRE(code != 0 || segment_check(segment, NULL) == 0, "a repair leaves flaws");
        free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        struct step steps[STEPS_MAX];
        unsigned count = fuzz_byte(&input) % STEPS_MAX;
        struct segment segment;
        struct contents contents;

        for (unsigned i = 0; i < count; i++) {
                steps[i].kind = fuzz_byte(&input);
                steps[i].key = (int8_t)fuzz_byte(&input);
                steps[i].size = fuzz_u16(&input);
        }
        segment.size = (size_t)(input.end - input.at);
        segment.memory = (unsigned char *)fuzz_copy(input.at, segment.size);
        if (segment_check(&segment, NULL) == 0)
                look(&segment, &contents);
        for (unsigned i = 0; i < count; i++)
                if (steps[i].kind % 8 == 7)
                        repair(&segment);
                else
                        change(&segment, &steps[i]);
        repair(&segment);
        free(segment.memory);
        fuzz_end(&mark);
        return 0;
}
