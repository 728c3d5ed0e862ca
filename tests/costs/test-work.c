/* Work grows with the input, and no faster: decoding and all that is done with a value, finding frames, holding calls
 * and requests. Keys that were chosen to collide do not. Nothing here looks at a clock. */
#include "costs/shapes.h"
#include "costs/work.h"
#include "support/suite.h"
#include "wire/dialect.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Twice the input is twice the work: hardly more, where n log n would still pass and n² would not. */
static void check_linear(const char *what, void (*work)(size_t count, const void *argument), size_t count,
                         const void *argument)
{
        uint64_t before = 0;

        for (int i = 0; i < 3; i++, count *= 2) {
                uint64_t steps;

                work_steps = 0;
                work(count, argument);
                steps = work_steps;
                ck_assert_msg(steps > 0, "%s: %llu steps for %zu: they are not counted", what, (unsigned long long)steps,
                              count);
                ck_assert_msg(i == 0 || steps < before * 5 / 2 + 10000,
                              "%s: %llu steps for %zu, %llu for half of that", what, (unsigned long long)steps, count,
                              (unsigned long long)before);
                before = steps;
        }
}

/* Codecs ----------------------------------------------------------------------------------------------- */

static void use_shape(size_t count, const void *argument)
{
        const struct shape *shape = argument;
        struct buffer buffer = { 0 };
        ferry_value *value = NULL, *other = NULL;
        FILE *stream = fopen("/dev/null", "w");
        size_t size, offset;
        void *bytes;
        int result;

        ck_assert_ptr_nonnull(stream);
        shape_put(&buffer, shape, count);
        work_steps = 0;
        result = ferry_codec_decode(shape->codec(), buffer_bytes(&buffer), buffer_size(&buffer), &value, &offset);
        ck_assert_int_eq(result, 0);
        result = ferry_codec_decode(shape->codec(), buffer_bytes(&buffer), buffer_size(&buffer), &other, &offset);
        ck_assert_int_eq(result, 0);
        ck_assert(ferry_value_equal(value, other));
        for (size_t i = 0; i < ferry_value_count(value); i++) {
                const ferry_value *key = ferry_value_key(value, i);
                char number[24];

                /* Each is looked for once: how many looks one of them takes is a matter of luck. */
                snprintf(number, sizeof number, "%lld", (long long)ferry_value_int(key, 0));
                if (key)
                        ck_assert_ptr_nonnull(ferry_value_get(value, ferry_value_text(key, number)));
        }
        ck_assert_int_eq(ferry_value_dump(value, stream), 0);
        /* Not every codec has everything. */
        if (ferry_codec_encode(shape->codec(), value, &bytes, &size) == 0)
                free(bytes);
        if (ferry_codec_encode(ferry_codec_json(), value, &bytes, &size) == 0)
                free(bytes);
        ferry_value_unref(value);
        ferry_value_unref(other);
        fclose(stream);
        buffer_deinit(&buffer);
}

START_TEST(values_are_linear)
{
        size_t count = 20000 / shapes[_i].unit_size;

        check_linear(shapes[_i].name, use_shape, count < 20 ? 20 : count > 600 ? 600 : count, &shapes[_i]);
}
END_TEST

/* Collisions ------------------------------------------------------------------------------------------- */

enum { KEYS = 65536 };

/* Looks that it takes to find each key once. */
static size_t count_probes(const ferry_value *value)
{
        const struct members *members = value->members;
        size_t probes = 0;

        ck_assert_uint_eq(value->size, KEYS);
        for (uint32_t i = 0; i < value->size; i++)
                for (size_t slot = (size_t)key_hash(&members->hash_key, &members->entries[i].key, 0);; slot++) {
                        probes++;
                        if (members->slots[slot & (members->slot_count - 1)] == i + 1)
                                break;
                }
        return probes;
}

/* PHP's DJBX33A gives these pairs of letters the same hash. */
static void put_djbx33a(char *key, size_t number)
{
        for (int i = 0; i < 16; i++)
                memcpy(key + 2 * i, number >> i & 1 ? "FY" : "Ez", 2);
        key[32] = '\0';
}

/* The sum of bytes is the same, and so is their xor. */
static void put_swapped(char *key, size_t number)
{
        for (int i = 0; i < 16; i++)
                memcpy(key + 2 * i, number >> i & 1 ? "ab" : "ba", 2);
        key[32] = '\0';
}

static void put_common_end(char *key, size_t number)
{
        sprintf(key, "%06zuxxxxxxxxxxxxxxxxxxxxxxxx", number);
}

static void put_random(char *key, size_t number)
{
        /* splitmix64 */
        uint64_t a = (number + 1) * 0x9e3779b97f4a7c15;

        a = (a ^ a >> 30) * 0xbf58476d1ce4e5b9;
        sprintf(key, "%016llx%016llx", (unsigned long long)(a ^ a >> 27), (unsigned long long)a);
}

static void (*const text_keys[])(char *key, size_t number) = { put_djbx33a, put_swapped, put_common_end };

static ferry_value *make_map(void (*put_key)(char *key, size_t number), int64_t step)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value;
        char key[64];

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        for (size_t i = 0; i < KEYS; i++) {
                if (put_key) {
                        put_key(key, i);
                        builder_key_string(builder, key, strlen(key));
                } else
                        builder_key_int(builder, (int64_t)((uint64_t)i * (uint64_t)step));
                builder_add_null(builder);
        }
        ferry_builder_close(builder);
        ck_assert_int_eq(ferry_builder_finish(builder, &value), 0);
        return value;
}

static size_t probes_of(ferry_value *value)
{
        size_t probes = count_probes(value);

        ferry_value_unref(value);
        return probes;
}

START_TEST(chosen_keys_do_not_collide)
{
        static const int64_t steps[] = { 1, 65536, (int64_t)1 << 32, INT64_MIN + 1, 33, 0x0101010101010101 };
        size_t random = probes_of(make_map(put_random, 0));

        /* Open addressing, at most two thirds full. */
        ck_assert_uint_le(random, 3 * KEYS);
        for (size_t i = 0; i < COUNT(text_keys); i++)
                ck_assert_uint_le(probes_of(make_map(text_keys[i], 0)), 3 * random);
        for (size_t i = 0; i < COUNT(steps); i++)
                ck_assert_uint_le(probes_of(make_map(NULL, steps[i])), 3 * random);
}
END_TEST

/* Each integer, and the string of its eight bytes; and a name that is private to each of many classes. */
START_TEST(twins_do_not_collide)
{
        size_t random = probes_of(make_map(put_random, 0));
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value;
        char class_name[16];

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        for (int64_t i = 0; i < KEYS / 2; i++) {
                builder_key_int(builder, i);
                builder_add_null(builder);
                builder_key_string(builder, &i, sizeof i);
                builder_add_null(builder);
        }
        ferry_builder_close(builder);
        ck_assert_int_eq(ferry_builder_finish(builder, &value), 0);
        ck_assert_uint_le(probes_of(value), 3 * random);

        builder = ferry_builder_new();
        ferry_builder_open(builder, FERRY_VALUE_OBJECT, "a");
        for (int i = 0; i < KEYS; i++) {
                snprintf(class_name, sizeof class_name, "C%d", i);
                ferry_builder_property(builder, "x", FERRY_VISIBILITY_PRIVATE, class_name);
                builder_add_int(builder, i);
        }
        ferry_builder_close(builder);
        ck_assert_int_eq(ferry_builder_finish(builder, &value), 0);
        /* By its bare name the first one is found. */
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "x"), -1), 0);
        ck_assert_uint_le(probes_of(value), 3 * random);
}
END_TEST

/* Ids of requests, which a peer chooses. */
static size_t count_chains(void (*put_key)(char *key, size_t number))
{
        struct id {
                struct map_node node;
                char key[48];
        } *ids = calloc(KEYS, sizeof *ids);
        struct map map;
        size_t probes = 0;

        map_init(&map);
        for (size_t i = 0; i < KEYS; i++) {
                put_key(ids[i].key, i);
                ids[i].node.key = ids[i].key;
                ids[i].node.key_size = strlen(ids[i].key);
                map_add(&map, &ids[i].node);
        }
        ck_assert_ptr_null(map_find(&map, "", 0));
        for (size_t i = 0; i < map.slot_count; i++) {
                size_t length = 0;

                for (const struct map_node *node = map.slots[i]; node; node = node->next)
                        probes += ++length;
        }
        map_deinit(&map);
        free(ids);
        return probes;
}

START_TEST(chosen_ids_do_not_collide)
{
        size_t random = count_chains(put_random);

        ck_assert_uint_le(random, 3 * KEYS);
        for (size_t i = 0; i < COUNT(text_keys); i++)
                ck_assert_uint_le(count_chains(text_keys[i]), 3 * random);
}
END_TEST

/* Frames ----------------------------------------------------------------------------------------------- */

#define MAGIC "\xf3\x4a\x9d\xe2"

static const struct stream_shape {
        const char *name;
        const char *unit;
        size_t size;
} stream_shapes[] = {
#define STREAM(name, unit) { name, unit, sizeof unit - 1 }
        STREAM("junk", "j"),
        STREAM("first bytes of a magic", "\xf3"),
        STREAM("most of a magic", "\xf3\x4a\x9d"),
        STREAM("false headers", MAGIC "\x7f\xff\xff\xff"),
        STREAM("a false header and junk", MAGIC "\xff\xff\xff\xff" "jjjjjjjj"),
        STREAM("empty frames", MAGIC "\0\0\0\0"),
        STREAM("frames of a byte", MAGIC "\0\0\0\1x"),
        STREAM("frames that are too large", MAGIC "\0\0\x80\0\1\2\1\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        STREAM("a frame that stays in the buffer", "\0"),
        STREAM("a frame that has a block of its own", "\0"),
};

struct feeding {
        const struct stream_shape *shape;
        size_t piece;           /* bytes at a time */
};

static void feed(size_t count, const void *argument)
{
        const struct feeding *feeding = argument;
        const struct stream_shape *shape = feeding->shape;
        size_t max = shape == &stream_shapes[COUNT(stream_shapes) - 1] ? SIZE_MAX : 1 << 14, size, fed = 0, given = 0;
        struct frame_reader reader;
        struct frame frame;
        char *bytes = malloc(count + 8);
        int result = 0;

        for (size_t i = 0; i < count; i++)
                bytes[i] = shape->unit[i % shape->size];
        if (shape->size == 1 && *shape->unit == '\0') {
                memcpy(bytes, MAGIC, 4);
                write_u32(bytes + 4, (uint32_t)(max < count ? max : count) - 8);
        }
        work_steps = 0;
        frame_reader_init(&reader, &framing_magic, true, max, wire_can_begin);
        while (fed < count) {
                char *room = frame_reserve(&reader, &size);

                if (!room)
                        ck_abort_msg("no room");
                if (size > feeding->piece)
                        size = feeding->piece;
                if (size > count - fed)
                        size = count - fed;
                memcpy(room, bytes + fed, size);
                frame_commit(&reader, size);
                fed += size;
                while ((result = frame_next(&reader, &frame)) > 0) {
                        given += frame.size;
                        block_unref(frame.block);
                }
                if (result < 0)
                        ck_abort_msg("%s: %d at %zu", shape->name, result, fed);
        }
        ck_assert_uint_le(given, count);
        frame_reader_deinit(&reader);
        free(bytes);
}

START_TEST(frames_are_linear)
{
        static const size_t pieces[] = { 1, 7, 1024, SIZE_MAX };

        for (size_t i = 0; i < COUNT(pieces); i++)
                check_linear(stream_shapes[_i].name, feed, 20000,
                             &(struct feeding){ .shape = &stream_shapes[_i], .piece = pieces[i] });
}
END_TEST

/* Sessions --------------------------------------------------------------------------------------------- */

/* A peer that takes nothing, or only a little, and never answers. */
static ssize_t read_nothing(const ferry_stream *stream, void *buffer, size_t size)
{
        (void)stream, (void)buffer, (void)size;
        return -EAGAIN;
}

static ssize_t write_little(const ferry_stream *stream, const void *bytes, size_t size)
{
        size_t *left = stream->userdata;
        size_t put = size < *left ? size : *left;

        (void)bytes;
        *left -= put;
        return put > 0 ? (ssize_t)put : -EAGAIN;
}

static void close_nothing(const ferry_stream *stream)
{
        close(stream->fd);
}

enum ending { BY_CLOSE, BY_FREE, BY_LOOP, IN_ORDER, IN_REVERSE, IN_DISORDER, BY_DEADLINE, ENDINGS };

static void hold_calls(size_t count, const void *argument)
{
        enum ending ending = *(const enum ending *)argument;
        /* Half of a frame goes out, so that the first call cannot be taken back. */
        size_t left = 100;
        ferry_stream stream = { .read = read_nothing, .write = write_little, .close = close_nothing, .userdata = &left };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        ferry_call **calls = calloc(count, sizeof(ferry_call *));
        int fds[2];

        /* Here nothing is ever ready, so that the loop turns as often as it must, and no more. */
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        stream.fd = fds[0];
        session = ferry_session_open(loop, NULL, &(ferry_session_options){
                .stream = &stream, .dialect = FERRY_DIALECT_FERRY, .close_timeout_ms = 1 });
        for (size_t i = 0; i < count; i++) {
                calls[i] = ferry_session_request(session, ending == BY_DEADLINE ? 0 : -1, "type", "%zu", i);
                if (ferry_call_status(calls[i]) != 1)
                        ck_abort_msg("%s", ferry_call_error(calls[i]));
        }
        if (ending == BY_CLOSE)
                ferry_session_close(session);
        else if (ending == BY_FREE)
                ferry_session_free(session);
        else if (ending == BY_LOOP)
                loop = ferry_loop_free(loop);
        else if (ending == BY_DEADLINE)
                ck_assert_int_eq(ferry_loop_tick(loop, 0), 1);
        for (size_t i = 0; i < count; i++) {
                ferry_call *call = calls[ending == IN_REVERSE  ? count - 1 - i :
                                         ending == IN_DISORDER ? i * 7919 % count :
                                                                 i];

                if (ending < IN_ORDER || ending == BY_DEADLINE)
                        ck_assert_int_lt(ferry_call_status(call), 0);
                ferry_call_free(call);
        }
        free(calls);
        ferry_loop_free(loop);
        close(fds[1]);
}

START_TEST(calls_are_linear)
{
        static const char *const names[ENDINGS] = { "close", "free", "free the loop", "in order", "in reverse",
                                                    "in disorder", "deadline" };
        enum ending ending = (enum ending)_i;

        check_linear(names[_i], hold_calls, 500, &ending);
}
END_TEST

/* A peer whose bytes are all there. */
struct stock {
        struct buffer bytes;
};

static ssize_t read_stock(const ferry_stream *stream, void *buffer, size_t size)
{
        struct stock *stock = stream->userdata;
        size_t got = buffer_size(&stock->bytes) < size ? buffer_size(&stock->bytes) : size;

        if (got == 0)
                return -EAGAIN;
        memcpy(buffer, buffer_bytes(&stock->bytes), got);
        buffer_consume(&stock->bytes, got);
        return (ssize_t)got;
}

static ssize_t write_nothing(const ferry_stream *stream, const void *bytes, size_t size)
{
        (void)stream, (void)bytes;
        return (ssize_t)size;
}

static void stock_message(struct stock *stock, int kind, unsigned id)
{
        const unsigned char frame[] = { 0xf3, 0x4a, 0x9d, 0xe2, 0, 0, 0, 18, 1, (unsigned char)kind, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0,
                                        (unsigned char)(id >> 24), (unsigned char)(id >> 16), (unsigned char)(id >> 8),
                                        (unsigned char)id, 't', 0xc0 };

        ck_assert_int_eq(buffer_append(&stock->bytes, frame, sizeof frame), 0);
}

/* So many requests wait to be fetched, and so many notifications are dropped. */
static void drop_notifications(size_t count, const void *argument)
{
        enum { KEPT = 1024 };
        struct stock stock = { 0 };
        ferry_stream stream = { .read = read_stock, .write = write_nothing, .close = close_nothing, .userdata = &stock };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        ferry_value *info;
        int fds[2];

        (void)argument;
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        stream.fd = fds[0];
        for (size_t i = 0; i < count; i++)
                stock_message(&stock, 3, (unsigned)i + 1);
        for (size_t i = 0; i < count + KEPT; i++)
                stock_message(&stock, 2, 0);
        /* It can be read as long as the loop runs. */
        ck_assert_int_eq(write(fds[1], "x", 1), 1);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){
                .stream = &stream, .dialect = FERRY_DIALECT_FERRY, .close_timeout_ms = 1 });
        ferry_session_on(session, FERRY_KIND_REQUEST, NULL, NULL);
        while (buffer_size(&stock.bytes) > 0)
                ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
        for (size_t i = 0; i < count; i++)
                ck_assert_int_ge(ferry_loop_tick(loop, 0), 0);
        info = ferry_session_info(session);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "dropped"), -1), (int64_t)count);
        ferry_value_unref(info);
        ferry_loop_free(loop);
        buffer_deinit(&stock.bytes);
        close(fds[1]);
}

START_TEST(dropping_notifications_is_linear)
{
        check_linear("dropped notifications", drop_notifications, 500, NULL);
}
END_TEST

/* Through a gate that lets a few bytes out at a time. */
static ssize_t read_own(const ferry_stream *stream, void *buffer, size_t size)
{
        ssize_t got = recv(stream->fd, buffer, size, MSG_DONTWAIT);

        return got < 0 ? -errno : got;
}

static ssize_t write_gated(const ferry_stream *stream, const void *bytes, size_t size)
{
        size_t *left = stream->userdata;
        ssize_t put;

        if (*left == 0)
                return -EAGAIN;
        put = send(stream->fd, bytes, size < *left ? size : *left, MSG_DONTWAIT | MSG_NOSIGNAL);
        *left -= put > 0 ? (size_t)put : 0;
        return put < 0 ? -errno : put;
}

static int note_request(ferry_session *session, const ferry_message *request, void *userdata)
{
        int *seen = userdata;

        (void)session;
        seen[ferry_value_int(ferry_message_body(request), 0)]++;
        return ferry_message_reply(request, NULL, NULL);
}

/* Whatever is taken back, from the front, the end or the middle of the queue: the rest arrives whole. */
START_TEST(what_is_taken_back_leaves_no_trace)
{
        enum { CALLS = 40 };
        size_t left = 0;
        ferry_stream stream = { .read = read_own, .write = write_gated, .close = close_nothing, .userdata = &left };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *us, *them;
        ferry_call *calls[CALLS];
        int seen[CALLS] = { 0 }, wanted[CALLS] = { 0 }, fds[2];
        unsigned random = (unsigned)_i * 2654435761u + 1;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        stream.fd = fds[0];
        us = ferry_session_open(loop, NULL, &(ferry_session_options){
                .stream = &stream, .dialect = FERRY_DIALECT_FERRY });
        them = ferry_session_open(loop, NULL, &(ferry_session_options){
                .fds = (const int[]){ fds[1], fds[1], -1 }, .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on(them, FERRY_KIND_REQUEST, note_request, seen);
        for (int i = 0; i < CALLS; i++) {
                calls[i] = ferry_session_request(us, -1, "type", "%d", i);
                wanted[i] = 1;
        }
        for (int i = 0; i < CALLS; i++) {
                int at = (int)(random >> 8) % CALLS;

                random = random * 1103515245 + 12345;
                if (i == CALLS / 2)
                        left = random % 400;
                while (ferry_loop_tick(loop, 0) == 1 && left > 0)
                        ;
                /* Of some a part has gone by now; what of those may have been acted on comes whole, too. */
                if (calls[at]) {
                        wanted[at] = -1;
                        ferry_call_free(calls[at]);
                        calls[at] = NULL;
                }
        }
        left = SIZE_MAX;
        ferry_session_notify(us, "end", NULL);
        while (ferry_loop_tick(loop, 0) == 1)
                ;
        ck_assert_int_eq(ferry_session_status(them), 1);
        for (int i = 0; i < CALLS; i++) {
                ck_assert_int_le(seen[i], 1);
                ck_assert(wanted[i] < 0 || seen[i] == 1);
                ferry_call_free(calls[i]);
        }
        ferry_loop_free(loop);
}
END_TEST

/* Services --------------------------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(name.sun_path, path);
        SUITE_CHECK(connect(fd, (struct sockaddr *)&name, sizeof name) == 0, "connect: %d", errno);
        return fd;
}

static void send_subscription(int fd, const char *pattern)
{
        size_t size = strlen(pattern);
        unsigned char frame[64] = { 0xf3, 0x4a, 0x9d, 0xe2, 0, 0, 0, (unsigned char)(16 + size), 1, 163, 1, 0, 0, (unsigned char)size };

        memcpy(frame + 24, pattern, size);
        SUITE_CHECK(send(fd, frame, 24 + size, MSG_NOSIGNAL) == (ssize_t)(24 + size), "send: %d", errno);
}

static void run_loop(ferry_loop *loop)
{
        while (ferry_loop_tick(loop, 0) == 1)
                ;
}

/* The work of a notification for two of so many clients, each with ten subscriptions. */
static uint64_t notify_among(size_t count, const char *type)
{
        char directory[] = "/tmp/ferry-work-XXXXXX", path[64], address[80], pattern[32];
        ferry_loop *loop = ferry_loop_new(NULL);
        int *fds = calloc(count, sizeof *fds);
        ferry_service *service;
        uint64_t steps;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/socket", directory);
        snprintf(address, sizeof address, "unix:%s", path);
        service = ferry_service_open(loop, address, NULL);
        for (size_t i = 0; i < count; i++) {
                fds[i] = connect_to(path);
                for (int j = 0; j < 10; j++) {
                        snprintf(pattern, sizeof pattern, j == 9 ? "own.%zu.>" : j % 2 ? "a.%zu.%d" : "b.*.%zu.%d", i, j);
                        send_subscription(fds[i], pattern);
                }
                run_loop(loop);
        }
        send_subscription(fds[0], "price.*");
        send_subscription(fds[count - 1], "*.eur");
        run_loop(loop);
        /* The first one makes room for what it finds. */
        ck_assert_int_eq(ferry_service_notify(service, type, "%d", 1), 2);
        work_steps = 0;
        ck_assert_int_eq(ferry_service_notify(service, type, "%d", 1), 2);
        steps = work_steps;
        ferry_loop_free(loop);
        for (size_t i = 0; i < count; i++)
                close(fds[i]);
        free(fds);
        ck_assert_int_eq(rmdir(directory), 0);
        return steps;
}

START_TEST(subscribers_are_found_without_a_walk)
{
        struct rlimit limit;
        uint64_t few, many;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        few = notify_among(2, "price.eur");
        many = notify_among(1000, "price.eur");
        ck_assert_uint_gt(few, 100);
        ck_assert_msg(many < few + few / 4, "%llu steps among 1,000 clients, %llu among 2", (unsigned long long)many, (unsigned long long)few);
}
END_TEST

static int ignore(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message, (void)userdata;
        return 0;
}

/* The work of a notification whose handler is the last one of so many, each of another type. */
static uint64_t handle_among(int count)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *us, *them;
        char type[32] = "";
        uint64_t steps = 0;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        us = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        them = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[1], fds[1], -1 } });
        for (int i = 0; i < count; i++) {
                snprintf(type, sizeof type, "type.%08d", i + 10000 - count);
                ferry_session_on_type(them, FERRY_KIND_NOTIFICATION, type, ignore, NULL);
        }
        /* The first ones greet, and put the types into their map. */
        for (int i = 0; i < 3; i++) {
                work_steps = 0;
                ck_assert_int_eq(ferry_session_notify(us, type, NULL), 0);
                run_loop(loop);
                steps = work_steps;
        }
        ferry_loop_free(loop);
        return steps;
}

START_TEST(handlers_by_type_are_found_without_a_walk)
{
        uint64_t few = handle_among(1), many = handle_among(10000);

        ck_assert_uint_gt(few, 100);
        ck_assert_msg(many < few + few / 4, "%llu steps among 10,000 types, %llu with one", (unsigned long long)many,
                      (unsigned long long)few);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(values_are_linear, SHAPES),
        SUITE_TEST(chosen_keys_do_not_collide),
        SUITE_TEST(twins_do_not_collide),
        SUITE_TEST(chosen_ids_do_not_collide),
        SUITE_LOOP(frames_are_linear, COUNT(stream_shapes)),
        SUITE_LOOP(calls_are_linear, ENDINGS),
        SUITE_TEST(dropping_notifications_is_linear),
        SUITE_LOOP(what_is_taken_back_leaves_no_trace, 50),
        SUITE_TEST(subscribers_are_found_without_a_walk),
        SUITE_TEST(handlers_by_type_are_found_without_a_walk),
};

SUITE_MAIN("costs-work", tests)
