/* The functions that take a value do what those that take a template do, and refuse a value that is not there. */
#include "support/suite.h"

#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

/* What was heard last. */
struct heard {
        char type[32];
        ferry_value *body;
        bool is_refusing;
};

static int answer(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct heard *heard = userdata;

        (void)session;
        snprintf(heard->type, sizeof heard->type, "%s", ferry_message_type(message));
        ferry_value_unref(heard->body);
        heard->body = ferry_value_ref(ferry_message_body(message));
        if (ferry_message_kind(message) != FERRY_KIND_REQUEST)
                return 1;
        if (strcmp(heard->type, "fail") == 0)
                return ferry_message_fail_text(message, "100%s");
        if (strcmp(heard->type, "refuse") == 0)
                return ferry_message_refuse_text(message, "not %d");
        ck_assert_int_eq(ferry_message_reply_value(message, NULL, NULL), -EINVAL);
        return ferry_message_reply_value(message, NULL, ferry_message_body(message));
}

static void open_two(ferry_loop *loop, ferry_session *sessions[2], struct heard *heard)
{
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++)
                sessions[i] = ferry_session_open(loop, NULL, &(ferry_session_options){
                        .dialect = FERRY_DIALECT_FERRY, .fds = (const int[]){ fds[i], fds[i], -1 } });
        ferry_session_on(sessions[1], FERRY_KIND_MESSAGE, answer, heard);
}

static void require_reply(ferry_call *call, const ferry_value *value)
{
        const ferry_message *reply = ferry_call_await(call);

        ck_assert_msg(reply, "%s", ferry_call_error(call));
        ck_assert(ferry_value_equal(ferry_message_body(reply), value));
        ferry_call_free(call);
}

static void require_end(ferry_call *call, int status, const char *word)
{
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), status);
        ck_assert_msg(strstr(ferry_call_error(call), word), "%s", ferry_call_error(call));
        ferry_call_free(call);
}

START_TEST(sessions_take_values)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        FERRY_AUTO(ferry_value) none = ferry_value_pack("[%p]", ferry_arg(NULL));
        FERRY_AUTO(ferry_value) body = ferry_value_pack("{a: [1, 'x', null]}");
        struct heard heard = { 0 };
        ferry_session *sessions[2];

        /* A value that is not there is an error in a template. */
        ck_assert_ptr_null(none);
        ck_assert_ptr_eq(ferry_arg(body), body);
        open_two(loop, sessions, &heard);
        ck_assert_int_eq(ferry_session_notify_value(sessions[0], "told", body), 0);
        ck_assert_int_eq(ferry_session_flush(sessions[0], SAFETY_MS), 0);
        ck_assert_str_eq(heard.type, "told");
        ck_assert(ferry_value_equal(heard.body, body));
        require_reply(ferry_session_request_value(sessions[0], SAFETY_MS, "asked", body), body);
        require_end(ferry_session_request_value(sessions[0], SAFETY_MS, "fail", body), -EREMOTEIO, "100%s");
        require_end(ferry_session_request_value(sessions[0], SAFETY_MS, "refuse", body), -EREMOTEIO, "not %d");
        require_end(ferry_session_request_value(sessions[0], SAFETY_MS, "asked", NULL), -EINVAL, "");
        require_end(ferry_session_request_value(NULL, SAFETY_MS, "asked", body), -ENOMEM, "");
        ck_assert_int_eq(ferry_session_notify_value(sessions[0], "told", NULL), -EINVAL);
        ck_assert_int_eq(ferry_session_notify_value(NULL, "told", body), -ENOMEM);
        ck_assert_int_eq(ferry_message_reply_value(NULL, NULL, body), -ENOMEM);
        ferry_loop_free(loop);
        ferry_value_unref(heard.body);
}
END_TEST

START_TEST(services_take_values)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = ferry_service_open(loop, "tcp:127.0.0.1:0", &(ferry_service_options){
                .dialects = FERRY_DIALECT_FERRY });
        ferry_session *client = ferry_session_open(loop, ferry_service_address(service), &(ferry_session_options){
                .dialect = FERRY_DIALECT_FERRY });
        FERRY_AUTO(ferry_value) body = ferry_value_pack("[1, 2]");
        struct heard heard = { 0 };
        const ferry_message *message;

        ferry_service_on(service, FERRY_KIND_REQUEST, answer, &heard);
        require_reply(ferry_session_request_value(client, SAFETY_MS, "asked", body), body);
        ck_assert_int_eq(ferry_service_notify_value(service, "told", NULL), -EINVAL);
        ck_assert_int_eq(ferry_service_notify_value(NULL, "told", body), -ENOMEM);
        ck_assert_int_eq(ferry_service_notify_value(service, "told", body), 1);
        message = ferry_session_next(client, SAFETY_MS);
        ck_assert_ptr_nonnull(message);
        ck_assert(ferry_value_equal(ferry_message_body(message), body));
        ferry_loop_free(loop);
        ferry_value_unref(heard.body);
}
END_TEST

static int worker(ferry_session *parent, void *userdata)
{
        struct heard heard = { 0 };

        (void)userdata;
        ferry_session_on(parent, FERRY_KIND_REQUEST, answer, &heard);
        ferry_loop_run(ferry_session_loop(parent), -1);
        ferry_value_unref(heard.body);
        return 0;
}

START_TEST(pools_take_values)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, NULL);
        FERRY_AUTO(ferry_value) body = ferry_value_pack("{a: 'x'}");

        ferry_process_fork(manager, worker, NULL, NULL);
        require_reply(ferry_manager_request_value(manager, SAFETY_MS, "asked", body), body);
        require_end(ferry_manager_request_value(manager, SAFETY_MS, "asked", NULL), -EINVAL, "");
        require_end(ferry_manager_request_value(NULL, SAFETY_MS, "asked", body), -ENOMEM, "");
        ck_assert_int_eq(ferry_manager_stop(manager, 0), 0);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(channels_take_values)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver = ferry_channel_open(loop, "udp:127.0.0.1:0", FERRY_RECEIVE, NULL);
        ferry_channel *sender = ferry_channel_open(loop, ferry_channel_address(receiver), FERRY_SEND, NULL);
        FERRY_AUTO(ferry_value) body = ferry_value_pack("{a: 'x'}");
        FERRY_AUTO(ferry_value) got = NULL;

        ck_assert_int_eq(ferry_channel_send_value_value(sender, 0, SAFETY_MS, body), 0);
        ck_assert_int_eq(ferry_channel_receive_value(receiver, 0, SAFETY_MS, NULL, &got), 0);
        ck_assert(ferry_value_equal(got, body));
        ck_assert_int_eq(ferry_channel_send_value_value(sender, 0, SAFETY_MS, NULL), -EINVAL);
        ck_assert_int_eq(ferry_channel_send_value_value(NULL, 0, SAFETY_MS, body), -ENOMEM);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(stores_take_values)
{
        char address[32];
        ferry_store *store;
        FERRY_AUTO(ferry_value) body = ferry_value_pack("{a: 'x'}");
        FERRY_AUTO(ferry_value) got = NULL;

        snprintf(address, sizeof address, "shm:0x%x", 0x66000000u | (unsigned)(getpid() & 0xffffff));
        store = ferry_store_open(address, &(ferry_store_options){ .is_creating = true, .bytes = 1000 });
        ck_assert_int_eq(ferry_store_put_value(store, 1, body), 0);
        ck_assert_int_eq(ferry_store_get(store, 1, &got), 0);
        ck_assert(ferry_value_equal(got, body));
        ck_assert_int_eq(ferry_store_put_value(store, 1, NULL), -EINVAL);
        ck_assert_int_eq(ferry_store_put_value(NULL, 1, body), -ENOMEM);
        ck_assert_int_eq(ferry_store_delete(store), 0);
        ferry_store_free(store);
}
END_TEST

START_TEST(builders_take_values)
{
        FERRY_AUTO(ferry_value) key = ferry_value_pack("'k'");
        FERRY_AUTO(ferry_value) number = ferry_value_pack("5");
        FERRY_AUTO(ferry_value) list = ferry_value_pack("[1, 2]");
        FERRY_AUTO(ferry_value) expected = ferry_value_pack("{k: [1, 2], 5: 'k'}");
        FERRY_AUTO(ferry_value) built = NULL;
        ferry_builder *builder = ferry_builder_new();

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        ferry_builder_key_value(builder, key);
        ferry_builder_add_value(builder, list);
        ferry_builder_key_value(builder, number);
        ferry_builder_add_value(builder, key);
        ferry_builder_close(builder);
        ck_assert_int_eq(ferry_builder_finish(builder, &built), 0);
        ck_assert(ferry_value_equal(built, expected));
        for (int i = 0; i < 3; i++) {
                builder = ferry_builder_new();
                ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
                ferry_builder_key_value(builder, i == 0 ? NULL : i == 1 ? list : key);
                ferry_builder_add_value(builder, i == 2 ? NULL : key);
                ferry_builder_close(builder);
                ck_assert_int_eq(ferry_builder_finish(builder, NULL), -EINVAL);
        }
        ferry_builder_add_value(NULL, key);
        ferry_builder_key_value(NULL, key);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(sessions_take_values),
        SUITE_TEST(services_take_values),
        SUITE_TEST(pools_take_values),
        SUITE_TEST(channels_take_values),
        SUITE_TEST(stores_take_values),
        SUITE_TEST(builders_take_values),
};

SUITE_MAIN("twins", tests)
