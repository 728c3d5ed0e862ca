/* Values: built, packed, taken apart, compared, printed, and through each codec. No descriptor is in play, so what can
 * fail is memory; and a value that comes out is the one that went in. */
#include "fault/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const texts[] = { "short", "a text that is longer than what stands in a node", "\xc3\xa4\n\"\\" };

static ferry_value *pack_all(void)
{
        ferry_value *part = ferry_value_pack("[1, -2, 3.5, %s, %lld]", texts[1], 1LL << 40);
        ferry_value *value;

        if (!part)
                return NULL;
        value = ferry_value_pack("{a: true, 'b c': null, 5: %f, list: %p, text: %s, %s: 'it''s %d', object: "
                                 "App\\Point{x: %d, y: %d}, again: %p, m: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, "
                                 "h: 8, i: 9, j: 10}}",
                                 0.25, (void *)part, texts[2], "key", 7, 1, 2, (void *)part);
        ferry_value_unref(part);
        return value;
}

/* What cannot be built is no value, and nothing else comes of it. */
static bool is_value(const ferry_value *value)
{
        fault_check(value || fault_is_memory());
        return value != NULL;
}

static void packed(void)
{
        ferry_value *value = pack_all();
        const ferry_value *kept;

        if (!is_value(value))
                return;
        kept = ferry_value_ref(ferry_value_get(value, "list"));
        fault_check(ferry_value_count(value) == 9);
        fault_check(ferry_value_int(ferry_value_get(ferry_value_get(value, "m"), "j"), 0) == 10);
        ferry_value_unref(value);
        fault_check(strcmp(ferry_value_text(ferry_value_at(kept, 3), ""), texts[1]) == 0);
        ferry_value_unref((ferry_value *)(uintptr_t)kept);
        value = ferry_value_pack("'a text of many words, %2000d, that has to grow'", 1);
        if (is_value(value))
                fault_check(strlen(ferry_value_text(value, "")) > 2000);
        ferry_value_unref(value);
}

/* One tree that shares parts of many others, and outlives them. */
static void shared(void)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value = NULL;
        int code;

        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (int i = 0; i < 100; i++) {
                FERRY_AUTO(ferry_value) part = ferry_value_pack("{n: %d, text: %s}", i, texts[1]);

                if (is_value(part))
                        ferry_builder_add(builder, "%p", (void *)part);
                else
                        ferry_builder_add(builder, "null");
        }
        ferry_builder_close(builder);
        code = builder ? ferry_builder_finish(builder, &value) : -ENOMEM;
        if (fault_answer(FAULT_VALUE, "finish", code, 0, NULL))
                fault_want(ferry_value_int(ferry_value_get(ferry_value_at(value, 99), "n"), 0) == 99);
        ferry_value_unref(value);
}

static void unpacked(void)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("{a: %s, b: %s, c: [%d, %d]}", texts[0], texts[1], 1, 2);
        char *a = NULL, *b = NULL;
        int c = 0, d = 0, code;

        if (!is_value(value))
                return;
        code = ferry_value_unpack(value, "{a: %ms, b: %ms, c: [%d, %d], d?: %d}", &a, &b, &c, &d, &c);
        if (fault_answer(FAULT_VALUE, "unpack", code, 0, NULL))
                fault_check(strcmp(a, texts[0]) == 0 && strcmp(b, texts[1]) == 0 && c == 1 && d == 2);
        else
                fault_check(!a && !b && c == 0 && d == 0);
        sys_free(a);
        sys_free(b);
        /* What was allocated goes again where the rest does not fit. */
        fault_check(ferry_value_unpack(value, "{a: %ms, b: %d}", &a, &c) < 0);
}

static void built(void)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value = NULL;
        const ferry_value *member;
        char name[32];
        int code;

        ferry_builder_open(builder, FERRY_VALUE_OBJECT, "App\\Box");
        ferry_builder_property(builder, "size", FERRY_VISIBILITY_PRIVATE, "App\\Base");
        ferry_builder_add(builder, "%d", 3);
        ferry_builder_property(builder, "bytes", FERRY_VISIBILITY_PROTECTED, NULL);
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, "\0\1\2", 3);
        ferry_builder_property(builder, "suit", FERRY_VISIBILITY_PUBLIC, NULL);
        ferry_builder_add_bytes(builder, FERRY_VALUE_ENUM, "App\\Suit", "Hearts", 6);
        ferry_builder_property(builder, "opaque", FERRY_VISIBILITY_PUBLIC, NULL);
        ferry_builder_add_bytes(builder, FERRY_VALUE_OPAQUE, "App\\Old", "x;y", 3);
        ferry_builder_property(builder, "map", FERRY_VISIBILITY_PUBLIC, NULL);
        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        for (int i = 0; i < 40; i++) {
                snprintf(name, sizeof name, "member-%d", i % 30);
                ferry_builder_key(builder, "%s", name);
                ferry_builder_add(builder, "[%d, [[[[[[[[[[[%d]]]]]]]]]]]]", i, i);
        }
        ferry_builder_close(builder);
        ferry_builder_close(builder);
        code = builder ? ferry_builder_finish(builder, &value) : -ENOMEM;
        if (!fault_answer(FAULT_VALUE, "finish", code, 0, NULL))
                return;
        fault_check(ferry_value_count(ferry_value_get(value, "map")) == 30);
        member = ferry_value_get(ferry_value_get(value, "map"), "member-3");
        fault_check(ferry_value_int(ferry_value_at(member, 0), 0) == 33);
        ferry_value_unref(value);
}

static void encodes_as(const ferry_codec *codec, const ferry_value *value, const void *expected, size_t expected_size)
{
        void *bytes;
        size_t size;
        int code = ferry_codec_encode(codec, value, &bytes, &size);

        if (!fault_answer(FAULT_VALUE, "encode", code, 0, NULL))
                return;
        fault_check(size == expected_size && memcmp(bytes, expected, size) == 0);
        sys_free(bytes);
}

/* Through a codec and back; then from bytes that another program wrote. */
static void through(const ferry_codec *codec, const char *foreign, size_t foreign_size)
{
        FERRY_AUTO(ferry_value) value = pack_all();
        FERRY_AUTO(ferry_value) back = NULL;
        FERRY_AUTO(ferry_value) other = NULL;
        void *bytes;
        size_t size;
        int code;

        if (is_value(value) &&
            fault_answer(FAULT_VALUE, "encode", ferry_codec_encode(codec, value, &bytes, &size), 0, NULL)) {
                code = ferry_codec_decode(codec, bytes, size, &back, NULL);
                if (fault_answer(FAULT_VALUE, "decode", code, 0, NULL))
                        encodes_as(codec, back, bytes, size);
                /* With its last byte missing. */
                code = ferry_codec_decode(codec, bytes, size - 1, &other, NULL);
                fault_answer(FAULT_VALUE, "decode", code == -EAGAIN ? 0 : code, 0, NULL);
                fault_check(code < 0);
                sys_free(bytes);
        }
        code = ferry_codec_decode(codec, foreign, foreign_size, &other, NULL);
        fault_answer(FAULT_VALUE, "decode", code, 0, NULL);
}

static void php(void)
{
        static const char foreign[] = "a:3:{i:0;a:1:{i:0;O:1:\"A\":1:{s:1:\"x\";i:1;}}i:1;R:2;i:2;r:3;}";

        through(ferry_codec_php(), foreign, sizeof foreign - 1);
}

static void json(void)
{
        static const char foreign[] =
                "{\"a\": [1, 2.5e3, \"\\u00e4 and a text that is longer\", {\"__class\": \"A\", \"x\": []}]}";

        through(ferry_codec_json_objects(), foreign, sizeof foreign - 1);
}

static void msgpack(void)
{
        static const char foreign[] = "\x95\x01\x91\x02\x82\xc0\x02\x00\x02\xc4\x01x\xd6\xff\x01\x02\x03\x04";

        through(ferry_codec_msgpack(), foreign, sizeof foreign - 1);
}

static int no_encode(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        (void)codec, (void)value;
        for (int i = 0; i < 100; i++)
                ferry_sink_write(sink, texts[1], strlen(texts[1]));
        return 0;
}

static int some_decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, bytes, size);
        ferry_builder_close(builder);
        return 0;
}

static void own(void)
{
        static const ferry_codec codec = { .name = "own", .number = 129, .encode = no_encode, .decode = some_decode };
        FERRY_AUTO(ferry_value) value = ferry_value_pack("1");
        FERRY_AUTO(ferry_value) back = NULL;
        void *bytes;
        size_t size;
        int code;

        if (!is_value(value) ||
            !fault_answer(FAULT_VALUE, "encode", ferry_codec_encode(&codec, value, &bytes, &size), 0, NULL))
                return;
        code = ferry_codec_decode(&codec, bytes, size, &back, NULL);
        if (fault_answer(FAULT_VALUE, "decode", code, 0, NULL))
                fault_check(ferry_value_count(back) == 1);
        sys_free(bytes);
}

/* Deep and wide enough that nothing fits where it first stood. */
static void deep(void)
{
        static char bytes[3][8000];
        const ferry_codec *const codecs[] = { ferry_codec_php(), ferry_codec_json(), ferry_codec_msgpack() };
        char *at[3] = { bytes[0], bytes[1], bytes[2] };

        for (int i = 0; i < 200; i++) {
                at[0] += sprintf(at[0], "a:1:{i:0;");
                *at[1]++ = '[';
                *at[2]++ = '\x91';
        }
        at[0] += sprintf(at[0], "N;");
        *at[1]++ = '1';
        *at[2]++ = '\xc0';
        for (int i = 0; i < 200; i++) {
                *at[0]++ = '}';
                *at[1]++ = ']';
        }
        for (int i = 0; i < 3; i++) {
                FERRY_AUTO(ferry_value) value = NULL;
                size_t size = (size_t)(at[i] - bytes[i]);
                int code = ferry_codec_decode(codecs[i], bytes[i], size, &value, NULL);

                if (fault_answer(FAULT_VALUE, "decode", code, 0, NULL))
                        encodes_as(codecs[i], value, bytes[i], size);
        }
}

static void dumped(void)
{
        FERRY_AUTO(ferry_value) value = pack_all();
        char text[2048];
        FILE *stream = fmemopen(text, sizeof text, "w");

        if (is_value(value) && stream)
                fault_answer(FAULT_VALUE, "dump", ferry_value_dump(value, stream), 0, NULL);
        if (stream)
                fclose(stream);
        fault_check(ferry_value_equal(value, value));
}

const struct scenario value_scenarios[] = {
        { .name = "packed", .run = packed, .is_whole = true },
        { .name = "shared", .run = shared },
        { .name = "unpacked", .run = unpacked, .is_whole = true },
        { .name = "built", .run = built },
        { .name = "php", .run = php, .is_whole = true },
        { .name = "json", .run = json, .is_whole = true },
        { .name = "msgpack", .run = msgpack, .is_whole = true },
        { .name = "own", .run = own, .is_whole = true },
        { .name = "deep", .run = deep },
        { .name = "dumped", .run = dumped, .is_whole = true },
        { .name = NULL },
};
