/* What decoding costs in memory, as the door counts it: a small multiple of the input, whatever stands there, and
 * never what was only declared. Depth costs no stack. */
#include "costs/shapes.h"
#include "support/door.h"
#include "support/suite.h"
#include "wire/dialect.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { SLACK = 64 << 10 };

/* How much memory decoding may take. */
static size_t limit_of(const ferry_codec *codec, size_t size)
{
        return size * (codec == ferry_codec_msgpack() ? 64 : 32) + SLACK;
}

START_TEST(memory_is_a_multiple_of_the_input)
{
        /* Some just above where something that doubles has doubled. */
        static const size_t counts[] = { 1, 100, 5500, 11000, 43700 };
        const struct shape *shape = &shapes[_i];
        size_t most = suite_scale(1 << 20) / (SUITE_HAS_ASAN ? 4 : 1);

        for (size_t i = 0; i < COUNT(counts) && counts[i] * shape->unit_size < most; i++) {
                struct buffer buffer = { 0 };
                ferry_value *value = NULL;
                size_t size, offset, before, peak;
                int result;

                shape_put(&buffer, shape, counts[i]);
                size = buffer_size(&buffer);
                door_reset();
                before = door_counts.bytes;
                result = ferry_codec_decode(shape->codec(), buffer_bytes(&buffer), size, &value, &offset);
                ck_assert_msg(result == 0, "%s: %d at %zu of %zu", shape->name, result, offset, size);
                peak = door_counts.bytes_peak - before;
                ck_assert_msg(peak <= limit_of(shape->codec(), size),
                              "%s: %zu units, %zu bytes of input, %zu of memory", shape->name,
                              counts[i], size, peak);
                ferry_value_unref(value);
                ck_assert_uint_eq(door_counts.bytes, before);
                buffer_deinit(&buffer);
        }
}
END_TEST

/* Lengths ---------------------------------------------------------------------------------------------- */

static const struct declared {
        const ferry_codec *(*codec)(void);
        const char *bytes;
        size_t size;
} declared[] = {
#define DECLARED(codec, text) { ferry_codec_##codec, text, sizeof text - 1 }
        DECLARED(php, "s:4294967295:\""),
        DECLARED(php, "a:4294967295:{"),
        DECLARED(php, "a:4294967295:{i:0;a:4294967295:{i:0;a:4294967295:{"),
        DECLARED(php, "O:4294967295:\"a"),
        DECLARED(php, "O:1:\"a\":4294967295:{"),
        DECLARED(php, "C:1:\"a\":4294967295:{"),
        DECLARED(php, "E:4294967295:\"a"),
        DECLARED(php, "a:1:{i:0;R:4294967295;}"),
        DECLARED(msgpack, "\xdb\xff\xff\xff\xff"),
        DECLARED(msgpack, "\xc6\xff\xff\xff\xff"),
        DECLARED(msgpack, "\xdd\xff\xff\xff\xff"),
        DECLARED(msgpack, "\xdf\xff\xff\xff\xff"),
        DECLARED(msgpack, "\xdf\xff\xff\xff\xff\xc0\xa1" "a"),
        DECLARED(msgpack, "\xdf\xff\xff\xff\xff\xc0\x01\xc0"),
        DECLARED(msgpack, "\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"),
        DECLARED(msgpack, "\xc8\xff\xff"),
        DECLARED(msgpack, "\x82\xc0\x05\x00\xce\xff\xff\xff\xff"),
};

START_TEST(a_declared_length_is_no_reason_for_memory)
{
        const struct declared *d = &declared[_i];
        ferry_value *value = NULL;
        size_t offset;

        door_reset();
        ck_assert_int_lt(ferry_codec_decode(d->codec(), d->bytes, d->size, &value, &offset), 0);
        ck_assert_ptr_null(value);
        ck_assert_uint_le(door_counts.largest, 4096);
        ck_assert_uint_le(door_counts.allocations, 4);
}
END_TEST

/* Of a frame, too, only what has come takes memory: twice that, and what is lent to read into. */
START_TEST(a_frame_takes_what_has_come)
{
        enum { DECLARED_SIZE = 16 << 20, ROOMS = 2 << 17 };
        struct frame_reader reader;
        struct frame frame;
        size_t before, come = 0, size;
        unsigned char *room;

        door_reset();
        before = door_counts.bytes;
        frame_reader_init(&reader, &framing_magic, _i, DECLARED_SIZE, wire_can_begin);
        while (come < FRAME_HEADER + DECLARED_SIZE) {
                room = frame_reserve(&reader, &size);
                ck_assert_ptr_nonnull(room);
                memset(room, 1, size);
                if (come == 0) {
                        memcpy(room, "\xf3\x4a\x9d\xe2", 4);
                        write_u32(room + 4, DECLARED_SIZE);
                        size = FRAME_HEADER + 1;
                }
                frame_commit(&reader, size);
                come += size;
                ck_assert_msg(door_counts.bytes_peak - before <= 2 * come + ROOMS,
                              "%zu bytes of memory for %zu that came",
                              door_counts.bytes_peak - before, come);
                if (come < FRAME_HEADER + DECLARED_SIZE)
                        ck_assert_int_eq(frame_next(&reader, &frame), 0);
        }
        ck_assert_uint_le(door_counts.calls[DOOR_realloc], 20);
        ck_assert_int_eq(frame_next(&reader, &frame), 1);
        ck_assert_uint_eq(frame.size, DECLARED_SIZE);
        block_unref(frame.block);
        frame_reader_deinit(&reader);
        ck_assert_uint_eq(door_counts.bytes, before);
}
END_TEST

/* References ------------------------------------------------------------------------------------------- */

static void put(struct buffer *buffer, const char *bytes, size_t size)
{
        if (buffer_append(buffer, bytes, size) < 0)
                ck_abort_msg("no memory");
}

/* Ten times the same, and ten times that, and so on: @levels times. */
static void put_bomb(struct buffer *buffer, const ferry_codec *codec, int levels)
{
        char text[128];

        if (codec == ferry_codec_php()) {
                put(buffer, text, (size_t)snprintf(text, sizeof text, "a:%d:{i:0;s:8:\"12345678\";", levels + 1));
                for (int i = 1, number = 2; i <= levels; i++) {
                        put(buffer, text, (size_t)snprintf(text, sizeof text, "i:%d;a:10:{", i));
                        for (int k = 0; k < 10; k++)
                                put(buffer, text, (size_t)snprintf(text, sizeof text, "i:%d;R:%d;", k, number));
                        put(buffer, "}", 1);
                        number++;
                }
                put(buffer, "}", 1);
                return;
        }
        text[0] = (char)(0x90 | (levels + 1));
        put(buffer, text, 1);
        put(buffer, "\x91\xa8" "12345678", 10);
        for (int i = 1; i <= levels; i++) {
                put(buffer, "\x9a", 1);
                for (int k = 0; k < 10; k++) {
                        put(buffer, "\x82\xc0\x05\x00", 4);
                        text[0] = (char)(i + 1);
                        put(buffer, text, 1);
                }
        }
}

static void check_printed(const ferry_value *value, size_t limit)
{
        const ferry_codec *codecs[] = { ferry_codec_php(), ferry_codec_json_objects(), ferry_codec_msgpack() };
        char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);

        ck_assert_int_eq(ferry_value_dump(value, stream), 0);
        fclose(stream);
        free(text);
        ck_assert_uint_le(size, limit);
        for (size_t i = 0; i < COUNT(codecs); i++) {
                void *bytes;

                ck_assert_int_eq(ferry_codec_encode(codecs[i], value, &bytes, &size), 0);
                free(bytes);
                ck_assert_uint_le(size, limit);
        }
}

START_TEST(references_amount_to_little)
{
        const ferry_codec *codec = _i ? ferry_codec_msgpack() : ferry_codec_php();
        int taken = 0, refused = 0;

        for (int levels = 1; levels <= 12; levels++) {
                struct buffer buffer = { 0 };
                ferry_value *value = NULL;
                size_t size, offset, before;
                int result;

                put_bomb(&buffer, codec, levels);
                size = buffer_size(&buffer);
                door_reset();
                before = door_counts.bytes;
                result = ferry_codec_decode(codec, buffer_bytes(&buffer), size, &value, &offset);
                ck_assert_uint_le(door_counts.bytes_peak - before, limit_of(codec, size));
                ck_assert_msg(result == 0 || result == -EMSGSIZE, "%d levels: %d", levels, result);
                taken += result == 0;
                refused += result != 0;
                /* As it came, and what its references amount to; as php has twice as many bytes as msgpack. */
                if (value)
                        check_printed(value, 2 * (size + size * 32 + SLACK));
                ferry_value_unref(value);
                buffer_deinit(&buffer);
        }
        ck_assert_int_ge(taken, 3);
        ck_assert_int_ge(refused, 6);
}
END_TEST

/* Depth ------------------------------------------------------------------------------------------------ */

enum { STACK_SIZE = SUITE_HAS_ASAN ? 512 << 10 : 64 << 10 };

static void on_a_small_stack(void *(*work)(void *argument), void *argument)
{
        pthread_attr_t attributes;
        pthread_t thread;
        void *result;

        ck_assert_int_eq(pthread_attr_init(&attributes), 0);
        ck_assert_int_eq(pthread_attr_setstacksize(&attributes, STACK_SIZE), 0);
        ck_assert_int_eq(pthread_create(&thread, &attributes, work, argument), 0);
        ck_assert_int_eq(pthread_join(thread, &result), 0);
        pthread_attr_destroy(&attributes);
        /* What does not hold, in words. */
        ck_assert_msg(!result, "%s", (const char *)result);
}

static const struct nesting {
        const char *name;
        const ferry_codec *(*codec)(void);
        const char *open, *close;
        size_t open_size;
} nestings[] = {
#define NESTING(codec, open, close) { #codec " " #open, ferry_codec_##codec, open, close, sizeof open - 1 }
        NESTING(php, "a:1:{i:0;", "}"),
        NESTING(php, "O:1:\"a\":1:{s:1:\"b\";", "}"),
        NESTING(json, "[", "]"),
        NESTING(json, "{\"a\":", "}"),
        NESTING(json_objects, "{\"__class\":\"a\",\"b\":", "}"),
        NESTING(msgpack, "\x91", ""),
        NESTING(msgpack, "\x81\x01", ""),
        NESTING(msgpack, "\x82\xc0\xa1" "a\xa1" "b", ""),
};

/* One that is @depth levels deep, around an integer. */
static void put_nested(struct buffer *buffer, const struct nesting *nesting, size_t depth)
{
        for (size_t i = 0; i < depth; i++)
                put(buffer, nesting->open, nesting->open_size);
        if (nesting->codec == ferry_codec_php)
                put(buffer, "i:1;", 4);
        else
                put(buffer, nesting->codec == ferry_codec_msgpack ? "\x01" : "1", 1);
        for (size_t i = 0; i < depth; i++)
                put(buffer, nesting->close, strlen(nesting->close));
}

#define REQUIRE(condition)                      \
        do                                      \
                if (!(condition))               \
                        return (char *)#condition; \
        while (0)

/* All that looks at every level of a value. */
static void *use_deepest(void *argument)
{
        const struct nesting *nesting = argument;
        struct buffer buffer = { 0 };
        FERRY_AUTO(ferry_value) value = NULL;
        FERRY_AUTO(ferry_value) other = NULL;
        FERRY_AUTO(ferry_value) shared = NULL;
        FILE *stream = fopen("/dev/null", "w");
        const ferry_codec *codec = nesting->codec();
        size_t size, offset;
        void *bytes;

        REQUIRE(stream);
        put_nested(&buffer, nesting, DEPTH_MAX);
        REQUIRE(ferry_codec_decode(codec, buffer_bytes(&buffer), buffer_size(&buffer), &value, &offset) == 0);
        REQUIRE(ferry_codec_decode(codec, buffer_bytes(&buffer), buffer_size(&buffer), &other, &offset) == 0);
        buffer_deinit(&buffer);
        REQUIRE(ferry_value_equal(value, other));
        REQUIRE(ferry_value_dump(value, stream) == 0);
        REQUIRE(ferry_codec_encode(ferry_codec_php(), value, &bytes, &size) == 0);
        free(bytes);
        REQUIRE(ferry_codec_encode(ferry_codec_json_objects(), value, &bytes, &size) == 0);
        free(bytes);
        REQUIRE(ferry_codec_encode(ferry_codec_msgpack(), value, &bytes, &size) == 0);
        free(bytes);
        shared = ferry_value_pack("%p", (const void *)value);
        REQUIRE(shared && ferry_value_equal(shared, value));
        /* A level more is refused. */
        other = ferry_value_unref(other);
        other = ferry_value_pack("[%p]", (const void *)value);
        REQUIRE(!other);
        fclose(stream);
        return NULL;
}

START_TEST(the_deepest_value_takes_little_stack)
{
        on_a_small_stack(use_deepest, (void *)(uintptr_t)&nestings[_i]);
}
END_TEST

static void *decode_a_million(void *argument)
{
        const struct nesting *nesting = argument;
        struct buffer buffer = { 0 };
        ferry_value *value = NULL;
        struct check check = { 0 };
        size_t offset, levels, before;
        char *at;

        /* They need not end: no reader gets that far. */
        levels = 1000000;
        at = buffer_reserve(&buffer, levels * nesting->open_size);
        REQUIRE(at);
        for (size_t i = 0; i < levels; i++, at += nesting->open_size)
                memcpy(at, nesting->open, nesting->open_size);
        buffer.end = levels * nesting->open_size;
        before = door_counts.bytes;
        door_counts.bytes_peak = before;
        REQUIRE(ferry_codec_decode(nesting->codec(), buffer_bytes(&buffer), buffer_size(&buffer), &value, &offset) ==
                -EMSGSIZE);
        at = (char *)buffer_bytes(&buffer);
        REQUIRE(codec_native(nesting->codec())->check(at, buffer_size(&buffer), &check) == -EMSGSIZE);
        REQUIRE(!value);
        REQUIRE(door_counts.bytes_peak - before <= limit_of(nesting->codec(), buffer_size(&buffer)));
        buffer_deinit(&buffer);
        return NULL;
}

START_TEST(a_million_levels_are_refused)
{
        on_a_small_stack(decode_a_million, (void *)(uintptr_t)&nestings[_i]);
}
END_TEST

/* The ways in and out that do not begin with bytes. */
static void *build_and_unpack(void *argument)
{
        enum { LEVELS = 1000000, UNPACK_LEVELS = 63 };
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value = NULL, *holder;
        char *text = malloc(LEVELS + 2), *end;
        int number = 0;

        (void)argument;
        for (int i = 0; i < LEVELS; i++)
                ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (int i = 0; i < LEVELS; i++)
                ferry_builder_close(builder);
        REQUIRE(ferry_builder_finish(builder, &value) == -EMSGSIZE);
        REQUIRE(!value);
        /* Trees that hold trees that hold trees: only the last one is let go of here. */
        value = ferry_value_pack("[]");
        for (int i = 0; i < LEVELS / 10; i++) {
                holder = ferry_value_pack("%p", (const void *)value);
                ferry_value_unref(value);
                value = holder;
                REQUIRE(value);
        }
        ferry_value_unref(value);
        REQUIRE(text);
        memset(text, '[', LEVELS);
        text[LEVELS] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        REQUIRE(!ferry_value_pack(text, 0));
        value = ferry_value_pack("[]");
        REQUIRE(ferry_value_unpack(value, text, &number) == -EINVAL);
        ferry_value_unref(value);
        /* The deepest that there is, and the deepest template that takes a value apart. */
        for (size_t depth = DEPTH_MAX; depth > 0; depth = depth == DEPTH_MAX ? UNPACK_LEVELS : 0) {
                memset(text, '[', depth);
                end = stpcpy(text + depth, "%d");
                memset(end, ']', depth);
                end[depth] = '\0';
                value = ferry_value_pack(text, 7);
                REQUIRE(value);
                if (depth == UNPACK_LEVELS)
                        REQUIRE(ferry_value_unpack(value, text, &number) == 0 && number == 7);
                ferry_value_unref(value);
        }
#pragma GCC diagnostic pop
        free(text);
        return NULL;
}

START_TEST(templates_and_builders_take_little_stack)
{
        on_a_small_stack(build_and_unpack, NULL);
}
END_TEST

/* A message that goes in and out, on a small stack, too. */
static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static void *talk(void *argument)
{
        const int *fds = argument;
        FERRY_AUTO(ferry_value) value = NULL;
        struct buffer buffer = { 0 };
        size_t offset;
        ferry_loop *loop = ferry_loop_new(NULL);
        const ferry_message *reply;

        for (int dialect = FERRY_DIALECT_FERRY; dialect <= FERRY_DIALECT_STREAM_IPC; dialect *= 2, fds += 2) {
                ferry_session *us, *them;
                ferry_call *call;

                /* A level or two of the depth are the envelope's. */
                put_nested(&buffer, &nestings[3], DEPTH_MAX - 3);
                REQUIRE(ferry_codec_decode(ferry_codec_json_objects(), buffer_bytes(&buffer), buffer_size(&buffer), &value,
                                           &offset) == 0);
                buffer_deinit(&buffer);
                us = ferry_session_open(loop, NULL, &(ferry_session_options){
                        .fds = (const int[]){ fds[0], fds[0], -1 }, .dialect = (unsigned)dialect });
                them = ferry_session_open(loop, NULL, &(ferry_session_options){
                        .fds = (const int[]){ fds[1], fds[1], -1 }, .dialect = (unsigned)dialect });
                ferry_session_on(them, FERRY_KIND_REQUEST, answer, NULL);
                call = ferry_session_request(us, 20000, "App\\Deep", "{a: %p}", (const void *)value);
                reply = ferry_call_await(call);
                REQUIRE(reply);
                REQUIRE(ferry_value_equal(ferry_message_get(reply, "a"), value));
                ferry_call_free(call);
                value = ferry_value_unref(value);
        }
        ferry_loop_free(loop);
        return NULL;
}

START_TEST(messages_take_little_stack)
{
        int fds[4];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds + 2), 0);
        on_a_small_stack(talk, fds);
}
END_TEST

/* Of a frame that is no message, only what it is for is looked at, and no tree is built of the rest. */
START_TEST(a_control_frame_takes_no_more_than_its_bytes)
{
        enum { SIZE = 4 << 20 };
        static const unsigned char kinds[] = { 1, 7, 8, 9, 10 };
        static unsigned char bytes[8 + 16 + 5 + SIZE];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        size_t sent = 0, before;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        ferry_session_on(session, FERRY_KIND_ERROR, NULL, NULL);
        /* A list of nulls in msgpack. */
        memcpy(bytes, "\xf3\x4a\x9d\xe2", 4);
        write_u32((char *)bytes + 4, sizeof bytes - 8);
        memcpy(bytes + 8, (const unsigned char[16]){ 1, kinds[_i], 1 }, 16);
        bytes[24] = 0xdd;
        write_u32((char *)bytes + 25, SIZE);
        memset(bytes + 29, 0xc0, SIZE);
        door_reset();
        before = door_counts.bytes;
        while (sent < sizeof bytes) {
                ssize_t put = send(fds[1], bytes + sent, sizeof bytes - sent, MSG_DONTWAIT);

                sent += put > 0 ? (size_t)put : 0;
                ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
        }
        while (ferry_loop_tick(loop, 0) > 0)
                ;
        ck_assert_msg(door_counts.bytes_peak - before <= 3 * sizeof bytes, "%zu bytes", door_counts.bytes_peak - before);
        /* The frame was whole, and is over. */
        ck_assert_int_eq(ferry_session_status(session), 1);
        ck_assert(kinds[_i] != 8 || recv(fds[1], bytes, sizeof bytes, MSG_DONTWAIT) >= 24);
        ferry_loop_free(loop);
        close(fds[1]);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_control_frame_takes_no_more_than_its_bytes, 5),
        SUITE_LOOP(memory_is_a_multiple_of_the_input, SHAPES),
        SUITE_LOOP(a_declared_length_is_no_reason_for_memory, COUNT(declared)),
        SUITE_LOOP(a_frame_takes_what_has_come, 2),
        SUITE_LOOP(references_amount_to_little, 2),
        SUITE_LOOP(the_deepest_value_takes_little_stack, COUNT(nestings)),
        SUITE_LOOP(a_million_levels_are_refused, COUNT(nestings)),
        SUITE_TEST(templates_and_builders_take_little_stack),
        SUITE_TEST(messages_take_little_stack),
};

SUITE_MAIN("costs-memory", tests)
