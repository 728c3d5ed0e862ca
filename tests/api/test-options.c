/* Option structs: a size that no version of a struct has had, a field of a newer version, and a time out of range are
 * refused with a sentence that names the struct and the field. */
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct result {
        int code;
        char sentence[1024];
};

static void note(struct result *result, int code, const char *sentence)
{
        result->code = code;
        snprintf(result->sentence, sizeof result->sentence, "%s", sentence);
}

/* A session over a socket whose other end is closed at once: it can be opened. */
static void try_session(ferry_loop *loop, ferry_session_options options, struct result *result)
{
        int fds[2];
        ferry_session *session;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        options.fds = (const int[]){ fds[0], fds[0], -1 };
        session = ferry_session_open(loop, NULL, &options);
        note(result, ferry_session_status(session), ferry_session_error(session));
        if (result->code < 0)
                close(fds[0]);
        close(fds[1]);
}

static void try_loop(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_loop *other = ferry_loop_new(options);
        struct result run;
        int code;

        (void)loop;
        code = ferry_loop_run(other, 0);
        note(&run, code, ferry_loop_error(other));
        try_session(other, (ferry_session_options){ 0 }, result);
        /* What a loop says, its sessions say, too. */
        ck_assert_int_eq(run.code, result->code < 0 ? result->code : 0);
        if (run.code)
                ck_assert_str_eq(run.sentence, result->sentence);
        ferry_loop_free(other);
}

static void try_loop_session(ferry_loop *loop, const void *options, struct result *result)
{
        try_loop(loop, &(ferry_loop_options){ .session = options }, result);
}

static void try_session_itself(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_session *session = ferry_session_open(loop, "exec:cat", options);

        note(result, ferry_session_status(session), ferry_session_error(session));
        ferry_session_free(session);
}

static void try_service(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_service *service = ferry_service_open(loop, "tcp:127.0.0.1:0", options);

        note(result, ferry_service_status(service), ferry_service_error(service));
        ferry_service_free(service);
}

static void try_service_session(ferry_loop *loop, const void *options, struct result *result)
{
        try_service(loop, &(ferry_service_options){ .session = options }, result);
}

static int child(ferry_session *parent, void *userdata)
{
        (void)parent, (void)userdata;
        return 0;
}

static void try_process(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_process *process = ferry_process_fork(manager, child, NULL, options);
        int code = ferry_process_wait(process, -1);

        note(result, code, ferry_process_error(process));
        ferry_manager_free(manager);
}

static void try_process_session(ferry_loop *loop, const void *options, struct result *result)
{
        try_process(loop, &(ferry_process_options){ .session = options }, result);
}

static void try_manager(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_manager *manager = ferry_manager_new(loop, options);
        ferry_process *process = ferry_process_fork(manager, child, NULL, NULL);
        int code = ferry_process_wait(process, -1);

        note(result, code, ferry_process_error(process));
        if (code < 0) {
                ferry_call *call = ferry_manager_request(manager, 0, "t", "null");

                ck_assert_int_eq(ferry_call_status(call), code);
                ck_assert_str_eq(ferry_call_error(call), result->sentence);
                ferry_call_free(call);
        }
        ck_assert_int_eq(ferry_manager_wait(manager, NULL, NULL), code < 0 ? code : 0);
        if (code < 0)
                ck_assert_str_eq(ferry_loop_error(loop), result->sentence);
        ck_assert_int_eq(ferry_manager_stop(manager, 0), code < 0 ? code : 0);
        ferry_manager_free(manager);
}

static void try_manager_session(ferry_loop *loop, const void *options, struct result *result)
{
        try_manager(loop, &(ferry_manager_options){ .session = options }, result);
}

static void try_request(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        ferry_call *call = ferry_manager_request_with(manager, options, "t", "null");

        /* It waits for a child. */
        note(result, ferry_call_status(call), ferry_call_error(call));
        ferry_call_free(call);
        ferry_manager_free(manager);
}

static void try_channel(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_channel *channel = ferry_channel_open(loop, "udp:127.0.0.1:0", FERRY_RECEIVE, options);

        note(result, ferry_channel_status(channel), ferry_channel_error(channel));
        ferry_channel_free(channel);
}

static void try_store(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_store *store = ferry_store_open("shm:0x7fffff01", options);

        (void)loop;
        note(result, ferry_store_status(store), ferry_store_error(store));
        ferry_store_free(store);
}

static int encode(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        (void)codec, (void)value, (void)sink;
        return 0;
}

static int decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec, (void)bytes, (void)size, (void)builder;
        return 0;
}

static void try_codec(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_codec *codec = (ferry_codec *)(uintptr_t)options;
        struct result channel;

        codec->encode = encode;
        codec->decode = decode;
        codec->number = 200;
        try_session(loop, (ferry_session_options){ .codec = codec }, result);
        try_channel(loop, &(ferry_channel_options){ .codec = codec }, &channel);
        ck_assert_int_eq(channel.code, result->code);
}

static ssize_t read_nothing(const ferry_stream *stream, void *buffer, size_t size)
{
        (void)stream, (void)buffer, (void)size;
        return 0;
}

static ssize_t write_all(const ferry_stream *stream, const void *bytes, size_t size)
{
        (void)stream, (void)bytes;
        return (ssize_t)size;
}

static void try_stream(ferry_loop *loop, const void *options, struct result *result)
{
        ferry_stream *stream = (ferry_stream *)(uintptr_t)options;
        ferry_session *session;
        int fds[2];

        ck_assert_int_eq(pipe(fds), 0);
        stream->fd = fds[0];
        stream->read = read_nothing;
        stream->write = write_all;
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .stream = stream });
        note(result, ferry_session_status(session), ferry_session_error(session));
        ferry_session_free(session);
        ferry_loop_run(loop, 0);
        close(fds[0]);
        close(fds[1]);
}

#define STRUCT(type, try) { #type, sizeof(type), try, false }

static const struct option_struct {
        const char *name;
        size_t size;
        void (*try)(ferry_loop *loop, const void *options, struct result *result);
        bool is_written;        /* try() fills in fields, so all of them must be there */
} structs[] = {
        STRUCT(ferry_loop_options, try_loop),
        STRUCT(ferry_session_options, try_loop_session),
        STRUCT(ferry_session_options, try_session_itself),
        STRUCT(ferry_session_options, try_service_session),
        STRUCT(ferry_session_options, try_process_session),
        STRUCT(ferry_session_options, try_manager_session),
        STRUCT(ferry_service_options, try_service),
        STRUCT(ferry_process_options, try_process),
        STRUCT(ferry_manager_options, try_manager),
        STRUCT(ferry_request_options, try_request),
        STRUCT(ferry_channel_options, try_channel),
        STRUCT(ferry_store_options, try_store),
        { "ferry_codec", sizeof(ferry_codec), try_codec, true },
        { "ferry_stream", sizeof(ferry_stream), try_stream, true },
};

enum { STRUCTS = sizeof structs / sizeof *structs, BEYOND = 64, ROOM = 8192 };

static void require(const struct option_struct *kind, const void *options, int code, const char *word)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct result result = { 0 };

        kind->try(loop, options, &result);
        if (code == 0)
                ck_assert_msg(result.code >= 0, "%s: %s", kind->name, result.sentence);
        else {
                ck_assert_msg(result.code == code, "%s: %d instead of %d: %s", kind->name, result.code, code, result.sentence);
                ck_assert_msg(strstr(result.sentence, kind->name) && strstr(result.sentence, word), "'%s' names no %s of %s",
                              result.sentence, word, kind->name);
        }
        ferry_loop_free(loop);
}

START_TEST(a_size_that_no_version_has_is_refused)
{
        const struct option_struct *kind = &structs[_i];
        const size_t sizes[] = { 1, 3, sizeof(void *), kind->size - 1, kind->size + 1, SIZE_MAX / 2 + 1, SIZE_MAX,
                                 SIZE_MAX - sizeof(void *) + 1 };
        size_t *options = calloc(1, ROOM);

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                memset(options, 0, ROOM);
                *options = sizes[i];
                if (sizes[i] != kind->size)
                        require(kind, options, -EINVAL, "size");
        }
        free(options);
}
END_TEST

START_TEST(a_field_of_a_newer_version_is_refused_unless_it_is_zero)
{
        const struct option_struct *kind = &structs[_i];
        char *options = calloc(1, ROOM);

        /* The first byte beyond, the last one, none. */
        for (size_t round = 0; round < 3; round++) {
                memset(options, 0, ROOM);
                *(size_t *)(void *)options = kind->size + BEYOND;
                if (round < 2)
                        options[kind->size + round * (BEYOND - 1)] = 1;
                require(kind, options, round < 2 ? -E2BIG : 0, "newer");
        }
        free(options);
}
END_TEST

/* Each struct is as long as its size says, and ends at a page that cannot be read. Bytes behind the fields of this version
 * are not zero. */
START_TEST(no_size_lets_bytes_behind_the_struct_count)
{
        const struct option_struct *kind = &structs[_i];
        char *room = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        ck_assert_ptr_ne(room, MAP_FAILED);
        ck_assert_int_eq(mprotect(room + ROOM, ROOM, PROT_NONE), 0);
        for (size_t size = 0; size <= kind->size + BEYOND; size++) {
                size_t bytes = size == 0 || (size < kind->size && kind->is_written) ? kind->size : size;
                char *options = room + ROOM - (bytes + sizeof size - 1) / sizeof size * sizeof size;

                memset(room, 0xa5, ROOM);
                memset(options, 0, bytes < kind->size ? bytes : kind->size);
                memcpy(options, &size, sizeof size);
                require(kind, options, size == 0 || size == kind->size                     ? 0 :
                                       size < kind->size || size % sizeof(size_t) != 0 ? -EINVAL :
                                                                                         -E2BIG, "size");
        }
        munmap(room, 2 * ROOM);
}
END_TEST

static int add_null(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec, (void)bytes, (void)size;
        ferry_builder_add(builder, "null");
        return 0;
}

START_TEST(a_codec_of_a_wrong_size_is_not_called)
{
        ferry_codec codec = { .encode = encode, .decode = add_null };
        ferry_value *null = ferry_value_pack("null"), *value;
        const size_t sizes[] = { 1, sizeof codec - 1, sizeof codec + 1, SIZE_MAX, 0, sizeof codec };
        char text[256];
        void *bytes;
        size_t size;

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                int code = i < 4 ? -EINVAL : 0;

                codec.size = sizes[i];
                ck_assert_int_eq(ferry_codec_encode(&codec, null, &bytes, &size), code);
                ck_assert(code == 0 || !bytes);
                free(bytes);
                ck_assert_int_eq(ferry_codec_decode(&codec, "x", 1, &value, NULL), code);
                ferry_value_unref(value);
                ck_assert_int_eq(ferry_codec_explain_encode(&codec, null, text, sizeof text), code);
                ck_assert_msg(code == 0 || strstr(text, "sizeof(ferry_codec)"), "'%s' names no size", text);
                ck_assert_int_eq(ferry_codec_explain_decode(&codec, "x", 1, text, sizeof text), code);
                ck_assert_msg(code == 0 || strstr(text, "sizeof(ferry_codec)"), "'%s' names no size", text);
        }
        ferry_value_unref(null);
}
END_TEST

START_TEST(a_size_of_zero_is_the_struct_of_this_version)
{
        const struct option_struct *kind = &structs[_i];
        size_t *options = calloc(1, ROOM);

        require(kind, options, 0, "");
        memset(options, 0, ROOM);
        *options = kind->size;
        require(kind, options, 0, "");
        free(options);
}
END_TEST

#define TIME(type, field, has_default) { #type, #field, offsetof(type, field), has_default }

static const struct {
        const char *name, *field;
        size_t offset;
        bool has_default;
} times[] = {
        TIME(ferry_session_options, request_timeout_ms, true),
        TIME(ferry_session_options, wait_ms, false),
        TIME(ferry_session_options, close_timeout_ms, false),
        TIME(ferry_session_options, heartbeat_ms, false),
        TIME(ferry_session_options, answer_timeout_ms, false),
        TIME(ferry_session_options, reconnect_ms, false),
        TIME(ferry_service_options, idle_timeout_ms, false),
        TIME(ferry_service_options, close_timeout_ms, false),
        TIME(ferry_manager_options, queue_timeout_ms, false),
        TIME(ferry_request_options, timeout_ms, true),
        TIME(ferry_request_options, queue_timeout_ms, false),
        TIME(ferry_channel_options, wait_ms, false),
        TIME(ferry_store_options, lock_timeout_ms, false),
};

START_TEST(a_time_out_of_range_is_refused)
{
        static const int wrong[] = { -3, -5, -1000, INT32_MIN };
        char *options = calloc(1, ROOM);
        int tried = 0;

        for (size_t i = 0; i < STRUCTS; i++) {
                if (strcmp(structs[i].name, times[_i].name) != 0)
                        continue;
                for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++) {
                        memcpy(options + times[_i].offset, &wrong[j], sizeof *wrong);
                        require(&structs[i], options, -EINVAL, times[_i].field);
                }
                memcpy(options + times[_i].offset, &(int){ FERRY_TIMEOUT_DEFAULT }, sizeof(int));
                require(&structs[i], options, times[_i].has_default ? 0 : -EINVAL, times[_i].field);
                memcpy(options + times[_i].offset, &(int){ -1 }, sizeof(int));
                require(&structs[i], options, 0, "");
                tried++;
        }
        ck_assert_int_gt(tried, 0);
        free(options);
}
END_TEST

START_TEST(a_default_timeout_in_options_is_the_default)
{
        ferry_loop *loop = ferry_loop_new(&(ferry_loop_options){
                .session = &(ferry_session_options){ .request_timeout_ms = 30 } });
        ferry_session *session = ferry_session_open(loop, "exec:sleep 20", &(ferry_session_options){
                .dialect = FERRY_DIALECT_FERRY, .request_timeout_ms = FERRY_TIMEOUT_DEFAULT, .close_timeout_ms = 10 });
        ferry_call *call = ferry_session_request(session, FERRY_TIMEOUT_DEFAULT, "t", "null");

        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_size_that_no_version_has_is_refused, STRUCTS),
        SUITE_LOOP(a_field_of_a_newer_version_is_refused_unless_it_is_zero, STRUCTS),
        SUITE_LOOP(no_size_lets_bytes_behind_the_struct_count, STRUCTS),
        SUITE_TEST(a_codec_of_a_wrong_size_is_not_called),
        SUITE_LOOP(a_size_of_zero_is_the_struct_of_this_version, STRUCTS),
        SUITE_LOOP(a_time_out_of_range_is_refused, sizeof times / sizeof *times),
        SUITE_TEST(a_default_timeout_in_options_is_the_default),
};

SUITE_MAIN("options", tests)
