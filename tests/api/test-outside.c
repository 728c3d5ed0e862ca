/* Callbacks that run although no call of the loop is round them: the codec, the handlers and the streams of the program, called
 * by functions that the program calls itself. They may let go of everything there, too. */
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a callback does, once. */
static struct {
        void (*strike)(void);
        ferry_loop *loop;
        ferry_session *sessions[2];
        ferry_message *request;
        ferry_call *call;
        ferry_channel *channel;
        int result;
} scene;

static void strike(void)
{
        void (*fn)(void) = scene.strike;

        scene.strike = NULL;
        if (fn)
                fn();
}

static void free_loop(void)
{
        scene.loop = ferry_loop_free(scene.loop);
}

static void let_go(void)
{
        scene.request = ferry_message_unref(scene.request);
}

static void send_more(void)
{
        scene.result = ferry_session_notify(scene.sessions[0], "inner", "1");
}

static void free_channel(void)
{
        scene.channel = ferry_channel_free(scene.channel);
}

static void free_call(void)
{
        scene.call = ferry_call_free(scene.call);
}

static int encode(const ferry_codec *codec, const ferry_value *value, ferry_sink *sink)
{
        void *bytes;
        size_t size;
        int code = ferry_codec_encode(ferry_codec_msgpack(), value, &bytes, &size);

        (void)codec;
        if (code)
                return code;
        strike();
        ferry_sink_write(sink, bytes, size);
        free(bytes);
        return 0;
}

static int decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        ferry_value *value;
        int code = ferry_codec_decode(ferry_codec_msgpack(), bytes, size, &value, NULL);

        (void)codec;
        if (code)
                return code;
        ferry_builder_add(builder, "%p", ferry_arg(value));
        ferry_value_unref(value);
        return 0;
}

static const ferry_codec codec = { .size = sizeof codec, .name = "own", .number = 200, .encode = encode, .decode = decode };

static int decode_last(const ferry_codec *own, const void *bytes, size_t size, ferry_builder *builder)
{
        strike();
        return decode(own, bytes, size, builder);
}

/* The same, for what strikes while it reads. */
static const ferry_codec reader = { .size = sizeof reader, .name = "own", .number = 200, .encode = encode, .decode = decode_last };

static int keep_request(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)userdata;
        scene.request = ferry_message_ref(message);
        return 1;
}

static int hear(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message, (void)userdata;
        strike();
        return 0;
}

/* Two sessions; the second one keeps a request of the first. */
static void begin(ferry_session_options options)
{
        int fds[2];

        scene.loop = ferry_loop_new(NULL);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++) {
                options.fds = (const int[]){ fds[i], -1 };
                scene.sessions[i] = ferry_session_open(scene.loop, NULL, &options);
                ferry_session_on(scene.sessions[i], FERRY_KIND_ERROR, hear, NULL);
        }
        ferry_session_on(scene.sessions[1], FERRY_KIND_REQUEST, keep_request, NULL);
        scene.call = ferry_session_request(scene.sessions[0], SAFETY_MS, "T", "{x: 1}");
        while (!scene.request)
                ck_assert_int_ge(ferry_loop_tick(scene.loop, SAFETY_MS), 0);
}

static void end(void)
{
        scene.request = ferry_message_unref(scene.request);
        scene.call = ferry_call_free(scene.call);
        free_loop();
}

START_TEST(a_codec_may_free_the_loop_while_it_writes)
{
        begin((ferry_session_options){ .codec = &codec });
        scene.strike = free_loop;
        ck_assert_int_eq(ferry_session_notify(scene.sessions[1], "T", "1"), -ECANCELED);
        ck_assert_ptr_null(scene.loop);
        end();
        begin((ferry_session_options){ .codec = &codec });
        scene.strike = free_loop;
        /* Its request has no codec of the program's. */
        ck_assert_int_lt(ferry_message_fail(scene.request, "no"), 0);
        ck_assert_ptr_null(scene.loop);
        end();
}
END_TEST

START_TEST(a_codec_may_let_go_of_the_request_that_it_answers)
{
        begin((ferry_session_options){ .codec = &codec });
        scene.strike = let_go;
        ck_assert_int_eq(ferry_message_reply(scene.request, NULL, "{x: 2}"), 0);
        ck_assert_ptr_null(scene.request);
        ck_assert_msg(ferry_call_await(scene.call) != NULL, "%s", ferry_call_error(scene.call));
        end();
}
END_TEST

/* The frame of what it has sent meanwhile is whole, and stands in front. */
START_TEST(a_codec_may_send_while_it_writes)
{
        const ferry_message *message;

        begin((ferry_session_options){ .codec = &codec });
        scene.strike = send_more;
        ck_assert_int_eq(ferry_session_notify(scene.sessions[0], "outer", "2"), 0);
        ck_assert_int_eq(scene.result, 0);
        for (int i = 1; i <= 2; i++) {
                message = ferry_session_next(scene.sessions[1], SAFETY_MS);
                ck_assert_str_eq(ferry_message_type(message), i == 1 ? "inner" : "outer");
                ck_assert_int_eq(ferry_value_int(ferry_message_body(message), 0), i);
        }
        end();
}
END_TEST

START_TEST(a_codec_may_free_the_loop_while_all_clients_are_notified)
{
        const ferry_session_options options = { .dialect = FERRY_DIALECT_FERRY, .codec = &codec };
        struct place place;
        ferry_service *service;

        open_place(&place);
        service = open_echo(&place, &(ferry_service_options){ .dialects = FERRY_DIALECT_FERRY, .session = &options });
        for (int i = 0; i < 3; i++)
                ferry_call_free(ferry_session_request(ferry_session_open(place.loop, place.address, &options), SAFETY_MS, "T",
                                                      "1"));
        settle(&place);
        scene.loop = place.loop;
        scene.strike = free_loop;
        ferry_service_notify(service, "T", "1");
        ck_assert_ptr_null(scene.loop);
        place.loop = NULL;
        close_place(&place);
}
END_TEST

/* There is no error reply, so the failure is one of the session, which has a handler for it. */
START_TEST(a_handler_may_free_the_loop_while_a_request_is_failed)
{
        begin((ferry_session_options){ .dialect = FERRY_DIALECT_PCNTL });
        scene.strike = free_loop;
        ck_assert_int_eq(ferry_message_fail(scene.request, "no"), 0);
        ck_assert_ptr_null(scene.loop);
        end();
}
END_TEST

static ssize_t read_own(const ferry_stream *stream, void *buffer, size_t size)
{
        ssize_t got = recv(stream->fd, buffer, size, MSG_DONTWAIT);

        return got < 0 ? -errno : got;
}

static ssize_t write_own(const ferry_stream *stream, const void *bytes, size_t size)
{
        strike();
        return send(stream->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void close_own(const ferry_stream *stream)
{
        close(stream->fd);
}

START_TEST(a_call_may_be_let_go_while_it_is_cancelled)
{
        int fds[2];
        ferry_stream own;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        own = (ferry_stream){ .size = sizeof own, .fd = fds[0], .read = read_own, .write = write_own, .close = close_own };
        scene.loop = ferry_loop_new(NULL);
        scene.sessions[0] = ferry_session_open(scene.loop, NULL, &(ferry_session_options){ .stream = &own });
        scene.call = ferry_session_request(scene.sessions[0], SAFETY_MS, "T", "1");
        scene.strike = free_call;
        ck_assert_ptr_null(ferry_call_free(scene.call));
        ck_assert_ptr_null(scene.call);
        close(fds[1]);
        end();
}
END_TEST

START_TEST(a_codec_may_free_its_channel)
{
        void (*strikes[])(void) = { free_channel, free_loop };
        ferry_value *value;
        struct place place;
        char address[128];

        open_place(&place);
        snprintf(address, sizeof address, "udg:%s/channel", place.directory);
        for (int i = 0; i < 2; i++) {
                ferry_channel *receiver = ferry_channel_open(place.loop, address, FERRY_RECEIVE,
                                                             &(ferry_channel_options){ .codec = &codec });

                scene.loop = ferry_loop_new(NULL);
                scene.channel = ferry_channel_open(scene.loop, address, FERRY_SEND, &(ferry_channel_options){ .codec = &codec });
                ck_assert_int_eq(ferry_channel_status(scene.channel), 1);
                scene.strike = strikes[i];
                ck_assert_int_eq(ferry_channel_send_value(scene.channel, 0, SAFETY_MS, "{x: 1}"), -ECANCELED);
                ck_assert_ptr_null(scene.strike);
                scene.loop = ferry_loop_free(scene.loop);
                ferry_channel_free(receiver);
                while (ferry_loop_tick(place.loop, 0) > 0)
                        ;

                scene.loop = ferry_loop_new(NULL);
                scene.channel = ferry_channel_open(scene.loop, address, FERRY_RECEIVE, &(ferry_channel_options){ .codec = &reader });
                receiver = ferry_channel_open(place.loop, address, FERRY_SEND, &(ferry_channel_options){ .codec = &codec });
                ck_assert_int_eq(ferry_channel_send_value(receiver, 0, SAFETY_MS, "{x: 1}"), 0);
                scene.strike = strikes[i];
                ck_assert_int_eq(ferry_channel_receive_value(scene.channel, 0, SAFETY_MS, NULL, &value), -ECANCELED);
                ck_assert_ptr_null(value);
                ck_assert_ptr_null(scene.strike);
                scene.loop = ferry_loop_free(scene.loop);
                ferry_channel_free(receiver);
        }
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_codec_may_free_the_loop_while_it_writes),
        SUITE_TEST(a_codec_may_let_go_of_the_request_that_it_answers),
        SUITE_TEST(a_codec_may_send_while_it_writes),
        SUITE_TEST(a_codec_may_free_the_loop_while_all_clients_are_notified),
        SUITE_TEST(a_handler_may_free_the_loop_while_a_request_is_failed),
        SUITE_TEST(a_call_may_be_let_go_while_it_is_cancelled),
        SUITE_TEST(a_codec_may_free_its_channel),
};

SUITE_MAIN("outside", tests)
