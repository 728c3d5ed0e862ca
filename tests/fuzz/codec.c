/* Decoder and encoder of a codec, fed with any bytes. What must hold:
 *
 *      - looking (check) and decoding agree, on the result and on where an error was seen
 *      - a program's own codec that lets ours work decodes the same
 *      - a beginning of what is right is incomplete (-EAGAIN), and what is wrong stays wrong, whatever follows
 *      - memory stays within a factor of the input; nothing is left
 *      - what was decoded can be encoded, the result decodes to an equal value, and that encodes to the same bytes
 *      - the other codecs write it too, or say that they cannot; what they write, they read, and write again the same
 *      - the outline of an object, which is taken from the bytes, is that of the tree
 *      - a refused allocation is -ENOMEM; a limit is -EMSGSIZE, and what was in the buffer before stays */
#include "fuzz/codec.h"

#include "fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIXES_MAX = 24, ALL_PREFIXES = 64 };

static int decode(const struct fuzz_codec *about, const char *bytes, size_t size, ferry_value **ret, size_t *ret_offset)
{
        char *copy = fuzz_copy(bytes, size);
        int error;

        *ret_offset = size;
        error = ferry_codec_decode(about->codec, copy, size, ret, ret_offset);
        free(copy);
        FUZZ_REQUIRE((*ret == NULL) == (error != 0), "error %d", error);
        FUZZ_REQUIRE(*ret_offset <= size, "an error at %zu of %zu", *ret_offset, size);
        return error;
}

static int check(const struct fuzz_codec *about, const char *bytes, size_t size, struct check *check)
{
        char *copy = fuzz_copy(bytes, size);
        int error = codec_native(about->codec)->check(copy, size, check);

        free(copy);
        return error;
}

static int let_work(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        const ferry_codec *ours = codec->userdata;

        return ours->decode(ours, bytes, size, builder);
}

static int decode_own(const struct fuzz_codec *about, const char *bytes, size_t size, ferry_value **ret)
{
        ferry_codec own = { .size = sizeof own, .name = "own", .number = 200, .decode = let_work,
                            .userdata = (void *)(uintptr_t)about->codec };

        return ferry_codec_decode(&own, bytes, size, ret, NULL);
}

/* A result for one beginning of the input. */
static void check_prefix(const struct fuzz_codec *about, const char *bytes, size_t size, size_t prefix, int whole)
{
        struct check checked = { 0 };
        int error = check(about, bytes, prefix, &checked);

        if (whole == 0)
                FUZZ_REQUIRE(error == -EAGAIN || (about->has_open_end && error == 0),
                             "%d for the first %zu of %zu bytes, which are right", error, prefix, size);
        if (error == -EBADMSG || error == -EMSGSIZE)
                FUZZ_REQUIRE(whole == error, "%d for %zu of %zu bytes, %d for all", error, prefix, size, whole);
        if (error == 0 && !about->has_open_end)
                FUZZ_REQUIRE(whole == -EBADMSG, "%d, with bytes behind the value", whole);
}

static void check_prefixes(const struct fuzz_codec *about, const char *bytes, size_t size, int whole, uint32_t seed)
{
        if (size <= ALL_PREFIXES) {
                for (size_t i = 0; i < size; i++)
                        check_prefix(about, bytes, size, i, whole);
                return;
        }
        for (int i = 0; i < PREFIXES_MAX; i++) {
                seed = seed * 1664525 + 1013904223;
                check_prefix(about, bytes, size, seed % size, whole);
        }
        check_prefix(about, bytes, size, size - 1, whole);
}

/* What is wrong stays wrong, and in the same place. */
static void check_longer(const struct fuzz_codec *about, const char *bytes, size_t size, int whole, size_t offset,
                         uint32_t seed)
{
        static const char more[] = "\"};\0 0]\xc0";
        char *longer = fuzz_copy(bytes, size);
        struct check checked = { 0 };
        int error;

        longer = realloc(longer, size + 1);
        if (!longer)
                abort();
        longer[size] = more[seed % (sizeof more - 1)];
        error = check(about, longer, size + 1, &checked);
        if (whole == -EBADMSG && offset < size)
                FUZZ_REQUIRE(error == -EBADMSG && checked.offset == offset, "wrong at %zu: %d; with more: %d at %zu",
                             offset, whole, error, checked.offset);
        if (whole == 0 && !about->has_open_end)
                FUZZ_REQUIRE(error == -EBADMSG && checked.offset == size, "%d at %zu with a byte behind", error,
                             checked.offset);
        free(longer);
}

/* Encode; the bytes are to be freed by the library's own door, as they came. */
static int encode(const ferry_codec *codec, const ferry_value *value, void **ret, size_t *ret_size)
{
        int error = ferry_codec_encode(codec, value, ret, ret_size);

        FUZZ_REQUIRE((*ret == NULL) == (error != 0), "error %d", error);
        if (!error)
                FUZZ_REQUIRE(((char *)*ret)[*ret_size] == '\0', "no zero behind %zu bytes", *ret_size);
        return error;
}

/* Write, read, write: the second bytes are the first. @expected: the value, if it must come back. */
static void check_round(const ferry_codec *codec, const ferry_value *value, const ferry_value *expected,
                        bool can_refuse)
{
        ferry_value *again;
        void *bytes, *second, *third;
        size_t size, second_size, third_size;
        int error = encode(codec, value, &bytes, &size);

        if (error) {
                FUZZ_REQUIRE(can_refuse && (error == -EILSEQ || error == -EDOM), "%s: error %d", codec->name, error);
                return;
        }
        error = ferry_codec_decode(codec, bytes, size, &again, NULL);
        FUZZ_REQUIRE(error == 0, "%s does not read what it has written: %d: %.200s", codec->name, error, (char *)bytes);
        if (expected)
                FUZZ_REQUIRE(ferry_value_equal(expected, again), "%s: another value: %.200s", codec->name,
                             (char *)bytes);
        error = encode(codec, again, &second, &second_size);
        FUZZ_REQUIRE(error == 0, "%s does not write again: %d: %.200s", codec->name, error, (char *)bytes);
        ferry_value_unref(again);
        if (!expected) {
                /* Two keys that are one to this codec have become one. */
                error = ferry_codec_decode(codec, second, second_size, &again, NULL);
                FUZZ_REQUIRE(error == 0, "%s: %d", codec->name, error);
                error = encode(codec, again, &third, &third_size);
                FUZZ_REQUIRE(error == 0, "%s: %d", codec->name, error);
                ferry_value_unref(again);
                sys_free(bytes);
                bytes = second;
                size = second_size;
                second = third;
                second_size = third_size;
        }
        FUZZ_REQUIRE(size == second_size && memcmp(bytes, second, size) == 0, "%s: %.200s, then %.200s", codec->name,
                     (char *)bytes, (char *)second);
        sys_free(bytes);
        sys_free(second);
}

/* The encoder at a limit. */
static void check_limit(const ferry_codec *codec, const ferry_value *value, uint32_t seed)
{
        struct buffer buffer = { 0 };
        void *bytes;
        size_t size;
        char reason[96];
        int error;

        if (encode(codec, value, &bytes, &size) < 0)
                return;
        FUZZ_REQUIRE(buffer_append(&buffer, "before", 6) == 0, "no memory");
        error = codec_encode(codec, value, &buffer, 6 + size, reason);
        FUZZ_REQUIRE(error == 0 && buffer_size(&buffer) == 6 + size &&
                     memcmp(buffer_bytes(&buffer) + 6, bytes, size) == 0, "%d for %zu bytes", error, size);
        buffer.end = buffer.begin + 6;
        error = codec_encode(codec, value, &buffer, 6 + seed % size, reason);
        FUZZ_REQUIRE(error == -EMSGSIZE && buffer_size(&buffer) == 6 && memcmp(buffer_bytes(&buffer), "before", 6) == 0,
                     "%d at a limit of %zu of %zu bytes", error, (size_t)(seed % size), size);
        buffer_deinit(&buffer);
        sys_free(bytes);
}

/* Outlines -------------------------------------------------------------------------------------------- */

static void require_text(const struct raw_text *text, const char *expected, size_t size, const char *what)
{
        char *copy;
        size_t copied;

        FUZZ_REQUIRE((text->bytes != NULL) == (expected != NULL), "outline: %s: %d, in the tree %d", what,
                     text->bytes != NULL, expected != NULL);
        if (!expected)
                return;
        copy = malloc(text->size + 1);
        if (!copy)
                abort();
        copied = raw_text_copy(text, copy);
        FUZZ_REQUIRE(copied == size && memcmp(copy, expected, size) == 0, "outline: %s: %.*s, in the tree %.*s", what,
                     (int)copied, copy, (int)size, expected);
        free(copy);
}

/* A property that is public, or a key. */
static const ferry_value *find_public(const ferry_value *value, const char *name)
{
        for (size_t i = 0; i < ferry_value_count(value); i++)
                if (ferry_value_kind(ferry_value_key(value, i)) == FERRY_VALUE_STRING &&
                    ferry_value_visibility(value, i, NULL) == FERRY_VISIBILITY_PUBLIC &&
                    strcmp(ferry_value_text(ferry_value_key(value, i), ""), name) == 0 &&
                    ferry_value_key(value, i)->size == strlen(name))
                        return ferry_value_at(value, i);
        return NULL;
}

static const char *class_of(const ferry_value *value, size_t *ret_size)
{
        bool is_object = ferry_value_kind(value) == FERRY_VALUE_OBJECT;

        *ret_size = is_object ? value->members->class_size : 0;
        return is_object ? value->members->class_name : NULL;
}

static void check_outline(const struct fuzz_codec *about, const char *bytes, size_t size, const ferry_value *value)
{
        struct outline outline = { .items = { { .name = "id" }, { .name = "request" }, { .name = "response" } },
                                   .count = 3 };
        struct check checked = { .outline = &outline };
        const char *name;
        size_t name_size;

        FUZZ_REQUIRE(codec_native(about->codec)->check(bytes, size, &checked) == 0, "it was right before");
        name = class_of(value, &name_size);
        require_text(&outline.class_name, name, name_size, "class");
        /* What is no object is no message; its parts are not looked at. */
        for (int i = 0; name && i < outline.count; i++) {
                const ferry_value *item = find_public(value, outline.items[i].name);
                bool is_string = ferry_value_kind(item) == FERRY_VALUE_STRING;

                /* What is named again by number stands elsewhere. */
                if (checked.has_references && !outline.items[i].string.bytes && !outline.items[i].class_name.bytes)
                        continue;
                require_text(&outline.items[i].string, is_string ? item->bytes : NULL, is_string ? item->size : 0,
                             outline.items[i].name);
                name = class_of(item, &name_size);
                require_text(&outline.items[i].class_name, name, name_size, outline.items[i].name);
                name = "";
        }
}

/* -------------------------------------------------------------------------------------------------------- */

static void check_without_memory(const struct fuzz_codec *about, const char *bytes, size_t size,
                                 const ferry_value *value,
                                 unsigned allocations, uint32_t seed)
{
        ferry_value *again;
        void *encoded;
        size_t offset, encoded_size;
        int error;

        fuzz_refuse_allocation(seed % allocations);
        error = ferry_codec_decode(about->codec, bytes, size, &again, &offset);
        FUZZ_REQUIRE(fuzz_has_refused() && error == -ENOMEM && !again, "%d without memory", error);
        fuzz_refuse_allocation(seed % 4);
        error = decode_own(about, bytes, size, &again);
        FUZZ_REQUIRE(fuzz_has_refused() ? error == -ENOMEM && !again : error == 0, "%d without memory", error);
        ferry_value_unref(again);
        fuzz_refuse_allocation(seed >> 8 & 1);
        error = encode(about->codec, value, &encoded, &encoded_size);
        if (fuzz_has_refused())
                FUZZ_REQUIRE(error == -ENOMEM || (about->can_refuse && error < 0), "%d without memory", error);
        sys_free(encoded);
}

static void run_value(const struct fuzz_codec *about, const char *bytes, size_t size, const ferry_value *value,
                      unsigned allocations, uint32_t seed)
{
        const ferry_codec *all[] = { ferry_codec_php(), ferry_codec_json(), ferry_codec_json_objects(), ferry_codec_msgpack() };
        ferry_value *own;
        int error = decode_own(about, bytes, size, &own);

        FUZZ_REQUIRE(error == 0 && ferry_value_equal(value, own), "%d by an own codec", error);
        ferry_value_unref(own);
        check_round(about->codec, value, value, about->can_refuse);
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                if (all[i] != about->codec)
                        check_round(all[i], value, NULL, true);
        check_limit(about->codec, value, seed);
        if (about->has_outline)
                check_outline(about, bytes, size, value);
        check_without_memory(about, bytes, size, value, allocations, seed);
}

void fuzz_codec_run(const struct fuzz_codec *about, const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        const char *bytes = (const char *)data;
        uint32_t seed = fuzz_hash(data, size);
        struct check checked = { 0 };
        ferry_value *value = NULL;
        unsigned allocations;
        size_t offset;
        int looked = check(about, bytes, size, &checked), error;

        FUZZ_REQUIRE(checked.offset <= size, "an error at %zu of %zu", checked.offset, size);
        fuzz_peak_begin(&mark);
        door_counts.allocations = 0;
        error = decode(about, bytes, size, &value, &offset);
        allocations = door_counts.allocations;
        FUZZ_REQUIRE(fuzz_peak(&mark) <= about->memory_factor * size + (64 << 10), "%zu bytes of memory for %zu",
                     fuzz_peak(&mark), size);
        if (looked)
                FUZZ_REQUIRE(error == looked && offset == checked.offset, "looking: %d at %zu, decoding: %d at %zu",
                             looked,
                             checked.offset, error, offset);
        else
                FUZZ_REQUIRE(error == 0 || (checked.has_references && (error == -EBADMSG || error == -EMSGSIZE)),
                             "looking: 0, decoding: %d", error);
        check_prefixes(about, bytes, size, looked, seed);
        check_longer(about, bytes, size, looked, checked.offset, seed);
        if (value)
                run_value(about, bytes, size, value, allocations, seed);
        ferry_value_unref(value);
        fuzz_end(&mark);
}
