/* What a program brings along: codecs and ids of its own, per loop and per session, streams of its own, and plain files
 * that one session writes and another reads. */
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static void open_two(ferry_loop *loop, ferry_session *sessions[2], const ferry_session_options *a,
                     const ferry_session_options *b)
{
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++) {
                const ferry_session_options *given = i == 0 ? a : b;
                ferry_session_options options = given ? *given : (ferry_session_options){ 0 };

                options.fds = (const int[]){ fds[i], fds[i], -1 };
                sessions[i] = ferry_session_open(loop, NULL, &options);
                ck_assert_msg(ferry_session_status(sessions[i]) == 1, "%s", ferry_session_error(sessions[i]));
                ferry_session_on(sessions[i], FERRY_KIND_REQUEST, echo, NULL);
        }
}

static const ferry_message *ask(ferry_session *session, ferry_call **call)
{
        const ferry_message *reply;

        *call = ferry_session_request(session, SAFETY_MS, "App\\T", "{message: 'hello'}");
        reply = ferry_call_await(*call);
        ck_assert_msg(reply != NULL, "%s", ferry_call_error(*call));
        ck_assert_str_eq(ferry_message_text(reply), "hello");
        return reply;
}

/* Codecs ---------------------------------------------------------------------------------------------- */

struct used {
        int encoded;
        int decoded;
        int code;               /* to fail with */
};

/* JSON, turned by 13 letters. */
static void turn(char *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if ((bytes[i] | 32) >= 'a' && (bytes[i] | 32) <= 'z')
                        bytes[i] = (char)(((bytes[i] | 32) - 'a' + 13) % 26 + (bytes[i] & 32 ? 'a' : 'A'));
}

static int encode(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        struct used *used = codec->userdata;
        void *bytes;
        size_t size;
        int code = used->code ? used->code : ferry_codec_encode(ferry_codec_json_objects(), value, &bytes, &size);

        if (code)
                return code;
        used->encoded++;
        turn(bytes, size);
        ferry_sink_write(sink, bytes, size);
        free(bytes);
        return 0;
}

static int decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        struct used *used = codec->userdata;
        char *copy = malloc(size);
        ferry_value *value;
        int code;

        memcpy(copy, bytes, size);
        turn(copy, size);
        code = ferry_codec_decode(ferry_codec_json_objects(), copy, size, &value, NULL);
        free(copy);
        if (code)
                return code;
        used->decoded++;
        ferry_builder_add(builder, "%p", (const void *)value);
        ferry_value_unref(value);
        return 0;
}

enum { PER_LOOP = 1, IN_STREAM_IPC = 2, WAYS = 4 };

START_TEST(a_codec_of_the_program)
{
        struct used used = { 0 };
        ferry_codec codec = { .size = sizeof codec, .name = "turned", .number = 200, .encode = encode, .decode = decode,
                              .userdata = &used };
        ferry_session_options options = {
                .codec = &codec, .dialect = _i & IN_STREAM_IPC ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_FERRY };
        ferry_loop *loop = ferry_loop_new(_i & PER_LOOP ? &(ferry_loop_options){ .session = &options } : NULL);
        const ferry_session_options *own = _i & PER_LOOP ? NULL : &options;
        ferry_session *two[2];
        ferry_value *info;
        ferry_call *call;

        open_two(loop, two, own, own);
        ask(two[0], &call);
        ferry_call_free(call);
        ck_assert_int_eq(used.encoded, 2);
        ck_assert_int_eq(used.decoded, 2);
        info = ferry_session_info(two[0]);
        ck_assert_str_eq(ferry_value_text(ferry_value_get(info, "codec"), ""), "turned");
        ferry_value_unref(info);
        /* What it cannot write is not sent. */
        used.code = -EILSEQ;
        ck_assert_int_eq(ferry_session_notify(two[0], "App\\T", "{}"), -EILSEQ);
        used.code = 0;
        ask(two[1], &call);
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

/* One side has it, the other does not: what it cannot read is an error there, and the session lives. */
START_TEST(a_codec_that_the_other_side_lacks)
{
        struct used used = { 0 };
        ferry_codec codec = { .size = sizeof codec, .name = "turned", .number = 200, .encode = encode, .decode = decode,
                              .userdata = &used };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];
        ferry_call *call;

        open_two(loop, two, &(ferry_session_options){ .codec = &codec }, NULL);
        call = ferry_session_request(two[0], SAFETY_MS, "App\\T", "{message: 'hello'}");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EREMOTEIO);
        ferry_call_free(call);
        /* The other way it works: the answer comes in the codec of the question. */
        ask(two[1], &call);
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

/* In dialect ferry each frame names its codec: both ends may have another one. */
START_TEST(each_side_has_its_own_codec)
{
        const ferry_codec *codecs[] = { ferry_codec_php(), ferry_codec_json_objects(), ferry_codec_msgpack() };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];
        ferry_call *call;

        open_two(loop, two, &(ferry_session_options){ .codec = codecs[_i / 3] },
                 &(ferry_session_options){ .codec = codecs[_i % 3] });
        for (int i = 0; i < 2; i++) {
                ask(two[i], &call);
                ferry_call_free(call);
        }
        ferry_loop_free(loop);
}
END_TEST

/* Ids ------------------------------------------------------------------------------------------------- */

static int make_id(ferry_session *session, char *id, size_t size, void *userdata)
{
        int *number = userdata;

        ck_assert_ptr_nonnull(session);
        if (*number < 0)
                return *number;
        snprintf(id, size, "id \"%d\"\\", (*number)++);
        return 0;
}

START_TEST(ids_of_the_program)
{
        int number = 7;
        ferry_session_options options = { .make_id = make_id, .make_id_userdata = &number,
                                          .dialect = FERRY_DIALECT_STREAM_IPC,
                                          .codec = _i & 2 ? ferry_codec_json_objects() : NULL };
        ferry_loop *loop = ferry_loop_new(_i & PER_LOOP ? &(ferry_loop_options){ .session = &options } : NULL);
        const ferry_session_options *own = _i & PER_LOOP ? NULL : &options;
        ferry_session *two[2];
        ferry_call *call;

        open_two(loop, two, own, own);
        ck_assert_str_eq(ferry_message_id(ask(two[0], &call)), "id \"7\"\\");
        ferry_call_free(call);
        ck_assert_str_eq(ferry_message_id(ask(two[0], &call)), "id \"8\"\\");
        ferry_call_free(call);
        /* One that fails fails the call. */
        number = -EIO;
        call = ferry_session_request(two[0], SAFETY_MS, "App\\T", "{}");
        ck_assert_int_eq(ferry_call_status(call), -EIO);
        ck_assert_int_eq(ferry_call_outcome(call), FERRY_OUTCOME_NOT_EXECUTED);
        ferry_call_free(call);
        ferry_loop_free(loop);
}
END_TEST

static int make_same(ferry_session *session, char *id, size_t size, void *userdata)
{
        (void)session;
        memset(id, 'x', size);
        id[size - 1] = '\0';
        id[*(int *)userdata] = '\0';
        return 0;
}

START_TEST(ids_must_be_unique_in_flight)
{
        int length = 5;
        ferry_session_options options = { .make_id = make_same, .make_id_userdata = &length,
                                          .dialect = FERRY_DIALECT_STREAM_IPC };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *two[2];
        ferry_call *first, *second;

        open_two(loop, two, &options, &options);
        first = ferry_session_request(two[0], SAFETY_MS, "App\\T", "{}");
        second = ferry_session_request(two[0], SAFETY_MS, "App\\T", "{}");
        ck_assert_int_eq(ferry_call_status(second), -EINVAL);
        ck_assert_ptr_nonnull(ferry_call_await(first));
        ferry_call_free(first);
        ferry_call_free(second);
        /* It may be used again; and none is none. */
        first = ferry_session_request(two[0], SAFETY_MS, "App\\T", "{}");
        ck_assert_ptr_nonnull(ferry_call_await(first));
        ferry_call_free(first);
        length = 0;
        first = ferry_session_request(two[0], SAFETY_MS, "App\\T", "{}");
        ck_assert_int_eq(ferry_call_status(first), -EINVAL);
        ferry_call_free(first);
        ferry_loop_free(loop);
}
END_TEST

/* Options --------------------------------------------------------------------------------------------- */

/* A session's own go before the loop's; which are a copy. */
START_TEST(options_of_the_loop_are_defaults)
{
        char root[] = "My\\Root";
        ferry_session_options defaults = { .dialect = FERRY_DIALECT_STREAM_IPC, .root = root, .request_timeout_ms = 5 };
        ferry_loop *loop = ferry_loop_new(&(ferry_loop_options){ .session = &defaults });
        char line[512] = "";
        ferry_session *session;
        ferry_value *info;
        ferry_call *call;
        int fds[2];

        memset(&defaults, 0xff, sizeof defaults);
        memset(root, 'x', sizeof root - 1);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 } });
        call = ferry_session_request(session, FERRY_TIMEOUT_DEFAULT, "App\\T", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ck_assert_msg(strstr(ferry_call_error(call), "0.005 s"), "%s", ferry_call_error(call));
        ferry_call_free(call);
        ck_assert_int_gt(read(fds[1], line, sizeof line - 1), 8);
        ck_assert_msg(strstr(line + 8, "\"My\\Root\\Envelope\\RequestEnvelope\"") != NULL, "%s", line + 8);
        close(fds[1]);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[0], fds[0], -1 },
                                                                           .dialect = FERRY_DIALECT_FERRY });
        info = ferry_session_info(session);
        ck_assert_str_eq(ferry_value_text(ferry_value_get(info, "dialect"), ""), "ferry");
        ferry_value_unref(info);
        ferry_loop_free(loop);
        close(fds[1]);
}
END_TEST

START_TEST(options_that_make_no_sense)
{
        static const ferry_session_options wrong[] = {
                { .dialect = 64 },
                { .root = "a root whose name is longer than any namespace that a sensible person has ever used" },
                { 0 },
        };
        ferry_loop *loop = ferry_loop_new(NULL);

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                ferry_session *session = ferry_session_open(loop, NULL, &wrong[i]);

                ck_assert_int_eq(ferry_session_status(session), -EINVAL);
                ck_assert_str_ne(ferry_session_error(session), "");
        }
        ferry_loop_free(loop);
}
END_TEST

/* Files ----------------------------------------------------------------------------------------------- */

static const char *const dialects[] = { "ferry", "php", "json" };

static ferry_session_options options_of(int dialect)
{
        return (ferry_session_options){ .dialect = dialect == 0 ? FERRY_DIALECT_FERRY : FERRY_DIALECT_STREAM_IPC,
                                        .codec = dialect == 2 ? ferry_codec_json_objects() : NULL };
}

/* What several sessions have left in a file, each behind the other, one reads in order, without being told what it is. */
/* Where a FIFO without a reader stands in place of the file, all calls end in time. */
START_TEST(a_fifo_in_place_of_a_file_blocks_no_call)
{
        char directory[] = "/tmp/ferry-file-XXXXXX", path[48], address[64], bytes[512];
        ferry_session *session;
        ferry_loop *loop;
        int reader;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/fifo", directory);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        snprintf(address, sizeof address, "file:,%s", path);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, address, &(ferry_session_options){ .close_timeout_ms = 20 });
        ck_assert_int_eq(ferry_session_notify(session, "t", "'x'"), 0);
        ck_assert_int_eq(ferry_session_flush(session, 20), -ETIMEDOUT);
        /* A second session is closed, and ends. */
        ferry_session_notify(ferry_session_open(loop, address, &(ferry_session_options){ .close_timeout_ms = 20 }), "t", "'y'");
        reader = _i == 0 ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
        if (reader >= 0) {
                ck_assert_int_eq(ferry_session_flush(session, SAFETY_MS), 0);
                ck_assert_int_gt(read(reader, bytes, sizeof bytes), 0);
                close(reader);
        }
        ferry_loop_free(loop);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(files_are_read_as_they_were_written)
{
        enum { WRITERS = 3, MESSAGES = 200 };
        char path[] = "/tmp/ferry-file-XXXXXX", address[64];
        ferry_session_options options = options_of(_i);
        const ferry_message *message;
        ferry_session *session;
        ferry_loop *loop;
        int file = mkstemp(path);

        ck_assert_int_ge(file, 0);
        for (int writer = 0; writer < WRITERS; writer++) {
                loop = ferry_loop_new(NULL);
                snprintf(address, sizeof address, "file:,%s", path);
                session = ferry_session_open(loop, address, &options);
                for (int i = 0; i < MESSAGES; i++)
                        ck_assert_int_eq(ferry_session_notify(session, "App\\T", "{writer: %d, number: %d}", writer, i), 0);
                ck_assert_int_eq(ferry_session_flush(session, SAFETY_MS), 0);
                ck_assert_int_eq(ferry_loop_run(loop, -1), 0);
                ferry_loop_free(loop);
        }
        loop = ferry_loop_new(NULL);
        snprintf(address, sizeof address, "file:%s", path);
        session = ferry_session_open(loop, address, NULL);
        for (int i = 0; i < WRITERS * MESSAGES; i++) {
                message = ferry_session_next(session, SAFETY_MS);
                ck_assert_msg(message != NULL, "message %d of %s: %s", i, dialects[_i], ferry_session_error(session));
                ck_assert_int_eq(ferry_value_int(ferry_message_get(message, "writer"), -1), i / MESSAGES);
                ck_assert_int_eq(ferry_value_int(ferry_message_get(message, "number"), -1), i % MESSAGES);
        }
        ck_assert_ptr_null(ferry_session_next(session, SAFETY_MS));
        ck_assert_int_eq(ferry_session_status(session), 0);
        ck_assert_int_eq(ferry_session_notify(session, "App\\T", "{}"), -ENOTCONN);
        ferry_loop_free(loop);
        close(file);
        unlink(path);
}
END_TEST

START_TEST(requests_in_a_file_are_answered_in_another)
{
        char in[] = "/tmp/ferry-in-XXXXXX", out[] = "/tmp/ferry-out-XXXXXX", address[128];
        ferry_session_options options = options_of(_i);
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        ferry_call *call;
        struct stat stat;

        close(mkstemp(in));
        close(mkstemp(out));
        snprintf(address, sizeof address, "file:,%s", in);
        session = ferry_session_open(loop, address, &options);
        call = ferry_session_request(session, SAFETY_MS, "App\\T", "{message: 'hello'}");
        ck_assert_int_eq(ferry_session_flush(session, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_call_status(call), 1);
        ferry_session_free(session);
        ck_assert_int_eq(ferry_call_status(call), -ECANCELED);
        ferry_call_free(call);
        snprintf(address, sizeof address, "file:%s,%s", in, out);
        session = ferry_session_open(loop, address, NULL);
        ferry_session_on(session, FERRY_KIND_REQUEST, echo, NULL);
        ck_assert_int_eq(ferry_loop_run(loop, SAFETY_MS), 0);
        ck_assert_int_eq(ferry_session_status(session), 0);
        ferry_loop_free(loop);
        ck_assert_int_eq(lstat(out, &stat), 0);
        ck_assert_int_gt(stat.st_size, 40);
        unlink(in);
        unlink(out);
}
END_TEST

START_TEST(a_cut_file_is_an_error)
{
        char path[] = "/tmp/ferry-cut-XXXXXX", address[64];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        int file = mkstemp(path);

        ck_assert_int_eq(write(file, "\xf3\x4a\x9d\xe2\0\0\0\x20\1\2", 10), 10);
        close(file);
        snprintf(address, sizeof address, "file:%s", path);
        session = ferry_session_open(loop, address, NULL);
        ck_assert_ptr_null(ferry_session_next(session, SAFETY_MS));
        ck_assert_int_eq(ferry_session_status(session), -ECONNRESET);
        ferry_loop_free(loop);
        unlink(path);
}
END_TEST

/* Only to write, only to read. */
START_TEST(one_direction_only)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *writer, *reader;
        const ferry_message *message;
        char address[32];
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        snprintf(address, sizeof address, "fd:,%d", fds[1]);
        writer = ferry_session_open(loop, address, NULL);
        snprintf(address, sizeof address, "fd:%d,", fds[0]);
        reader = ferry_session_open(loop, address, NULL);
        ck_assert_msg(ferry_session_status(reader) == 1, "%s", ferry_session_error(reader));
        ck_assert_int_eq(ferry_session_notify(writer, "t", "'x'"), 0);
        ck_assert_int_eq(ferry_session_flush(writer, SAFETY_MS), 0);
        message = ferry_session_next(reader, SAFETY_MS);
        ck_assert_str_eq(ferry_message_text(message), "x");
        ck_assert_int_eq(ferry_session_notify(reader, "t", "'x'"), -EOPNOTSUPP);
        ferry_session_close(writer);
        ck_assert_ptr_null(ferry_session_next(reader, SAFETY_MS));
        ck_assert_int_eq(ferry_session_status(reader), 0);
        ferry_loop_free(loop);
}
END_TEST

/* A stream of the program's own ----------------------------------------------------------------------- */

struct own {
        ferry_stream stream;
        int closed;
        int code;               /* to fail with */
        size_t at_once;
};

static ssize_t read_own(const ferry_stream *stream, void *buffer, size_t size)
{
        struct own *own = stream->userdata;
        ssize_t got;

        if (own->code)
                return own->code;
        got = recv(stream->fd, buffer, size < own->at_once ? size : own->at_once, MSG_DONTWAIT);
        return got < 0 ? -errno : got;
}

static ssize_t write_own(const ferry_stream *stream, const void *bytes, size_t size)
{
        struct own *own = stream->userdata;
        ssize_t put = send(stream->fd, bytes, size < own->at_once ? size : own->at_once, MSG_DONTWAIT | MSG_NOSIGNAL);

        return put < 0 ? -errno : put;
}

static void close_own(const ferry_stream *stream)
{
        struct own *own = stream->userdata;

        own->closed++;
        close(stream->fd);
}

/* However little it moves at once. */
START_TEST(a_stream_of_the_program)
{
        static const size_t steps[] = { 1, 2, 7, 1000, 1 << 30 };
        struct own own = { .at_once = steps[_i] };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *ours, *theirs;
        ferry_call *call;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        own.stream = (ferry_stream){ .size = sizeof own.stream, .fd = fds[0], .read = read_own, .write = write_own,
                                     .close = close_own, .userdata = &own };
        ours = ferry_session_open(loop, NULL, &(ferry_session_options){ .stream = &own.stream });
        theirs = ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (const int[]){ fds[1], fds[1], -1 } });
        ferry_session_on(ours, FERRY_KIND_REQUEST, echo, NULL);
        ferry_session_on(theirs, FERRY_KIND_REQUEST, echo, NULL);
        for (int i = 0; i < 20; i++) {
                ask(i % 2 ? ours : theirs, &call);
                ferry_call_free(call);
        }
        /* What it fails with, the session fails with. */
        own.code = -EIO;
        call = ferry_session_request(ours, SAFETY_MS, "App\\T", "{}");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -EIO);
        ck_assert_int_eq(ferry_session_status(ours), -EIO);
        ferry_call_free(call);
        ferry_loop_free(loop);
        ck_assert_int_eq(own.closed, 1);
}
END_TEST

/* How much lies in such a stream is not known, and a read that fills its room may have left more: that holds no deadline if the
 * stream cannot be read any more. */
START_TEST(a_read_that_leaves_nothing_holds_no_deadline)
{
        struct own own = { .at_once = 1 << 30 };
        char frame[1024] = "\xf3\x4a\x9d\xe2\0\0\x8\0";
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        ferry_call *call;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        own.stream = (ferry_stream){ .size = sizeof own.stream, .fd = fds[0], .read = read_own, .write = write_own,
                                     .close = close_own, .userdata = &own };
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .stream = &own.stream });
        /* Half a frame, as long as the first room. */
        ck_assert_int_eq(write(fds[1], frame, sizeof frame), sizeof frame);
        call = ferry_session_request(session, 10, "App\\T", "{}");
        ck_assert_ptr_null(ferry_session_next(session, 10));
        ck_assert_int_eq(ferry_session_status(session), 1);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ferry_call_free(call);
        close(fds[1]);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_stream_that_lacks_something)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_stream stream = { .fd = 0, .read = read_own };
        ferry_session *session = ferry_session_open(loop, NULL, &(ferry_session_options){ .stream = &stream });

        ck_assert_int_eq(ferry_session_status(session), -EINVAL);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_codec_of_the_program, WAYS),
        SUITE_TEST(a_codec_that_the_other_side_lacks),
        SUITE_LOOP(each_side_has_its_own_codec, 9),
        SUITE_LOOP(ids_of_the_program, WAYS),
        SUITE_TEST(ids_must_be_unique_in_flight),
        SUITE_TEST(options_of_the_loop_are_defaults),
        SUITE_TEST(options_that_make_no_sense),
        SUITE_LOOP(a_fifo_in_place_of_a_file_blocks_no_call, 2),
        SUITE_LOOP(files_are_read_as_they_were_written, 3),
        SUITE_LOOP(requests_in_a_file_are_answered_in_another, 3),
        SUITE_TEST(a_cut_file_is_an_error),
        SUITE_TEST(one_direction_only),
        SUITE_LOOP(a_stream_of_the_program, 5),
        SUITE_TEST(a_read_that_leaves_nothing_holds_no_deadline),
        SUITE_TEST(a_stream_that_lacks_something),
};

SUITE_MAIN("own", tests)
