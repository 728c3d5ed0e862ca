/* Channels: what all kinds share. Each test runs once for each kind, by number. Both ends live in one loop; the tests of
 * waiting let a timer's callback play the other process. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UDP, UDG, TCP, UNIX, FIFO, MSGQ, MQUEUE, KINDS };

static const struct {
        const char *name;
        bool is_records, is_two_way, is_ordered, is_persistent;
        bool is_in_files;       /* its object is a file in the directory, and goes with the channel */
        const char *wrong[4];   /* addresses that are none */
} kinds[KINDS] = {
        { "udp", true, true, false, false, false, { "udp:", "udp:127.0.0.1", "udp:example.com:1", "udp:127.0.0.1:65536" } },
        { "udg", true, true, true, false, true, { "udg:", "udg:@", NULL, NULL } },
        { "tcp", false, true, true, false, false, { "tcp:", "tcp:127.0.0.1", "tcp:example.com:1", NULL } },
        { "unix", false, true, true, false, true, { "unix:", NULL, NULL, NULL } },
        { "fifo", false, false, true, false, true, { "fifo:", "fifo:a,b", NULL, NULL } },
        { "msgq", true, false, true, true, false, { "msgq:", "msgq:99999999999", "msgq:#x", "msgq:#-1" } },
        { "mqueue", true, false, true, true, false, { "mqueue:", "mqueue:/", "mqueue:a/b", NULL } },
};

/* Both ends of a channel. */
struct pair {
        struct place place;
        int kind;
        char address[200];              /* in full, once it is open */
        ferry_channel *listener;        /* of tcp and unix */
        ferry_channel *receiver, *sender;
        int count;                      /* what callbacks did */
};

static ferry_channel *require_open(ferry_channel *channel)
{
        ck_assert_msg(ferry_channel_status(channel) == 1, "%s", ferry_channel_error(channel));
        return channel;
}

static void begin(struct pair *pair, int kind)
{
        *pair = (struct pair){ .kind = kind };
        open_place(&pair->place);
        if (kind == UDP || kind == TCP)
                snprintf(pair->address, sizeof pair->address, "%s:127.0.0.1:0", kinds[kind].name);
        else if (kind == MQUEUE)
                snprintf(pair->address, sizeof pair->address, "mqueue:%s", strrchr(pair->place.directory, '/') + 1);
        else
                snprintf(pair->address, sizeof pair->address, "%s:%s/socket", kinds[kind].name, pair->place.directory);
}

static bool is_connected_kind(int kind)
{
        return kind == TCP || kind == UNIX;
}

static void open_receiver(struct pair *pair)
{
        ferry_channel *channel = require_open(ferry_channel_open(pair->place.loop, pair->address, FERRY_RECEIVE, NULL));

        *(is_connected_kind(pair->kind) ? &pair->listener : &pair->receiver) = channel;
        snprintf(pair->address, sizeof pair->address, "%s", ferry_channel_address(channel));
}

static void open_sender(struct pair *pair, const ferry_channel_options *options)
{
        pair->sender = require_open(ferry_channel_open(pair->place.loop, pair->address, FERRY_SEND, options));
        if (pair->listener)
                pair->receiver = require_open(ferry_channel_accept(pair->listener, SAFETY_MS));
}

static void open_pair(struct pair *pair, int kind)
{
        begin(pair, kind);
        open_receiver(pair);
        open_sender(pair, NULL);
}

/* Remove what stays, as documented. */
static void remove_queue(struct pair *pair)
{
        ferry_channel *channel = pair->receiver ? pair->receiver : pair->sender;

        if (!kinds[pair->kind].is_persistent)
                return;
        if (channel)
                ck_assert_int_eq(ferry_channel_remove(channel), 0);
        if (pair->kind == MSGQ)
                unlink(strchr(pair->address, ':') + 1);
}

static void close_pair(struct pair *pair)
{
        remove_queue(pair);
        pair->sender = ferry_channel_free(pair->sender);
        pair->receiver = ferry_channel_free(pair->receiver);
        pair->listener = ferry_channel_free(pair->listener);
        close_place(&pair->place);
}

static void require_sent(ferry_channel *channel, const void *bytes, size_t size)
{
        ssize_t put = ferry_channel_send(channel, bytes, size, SAFETY_MS);

        ck_assert_msg(put == (ssize_t)size, "%zd of %zu: %s", put, size, ferry_channel_error(channel));
}

static void require_received(ferry_channel *channel, const char *text)
{
        char buffer[64];
        ssize_t got = ferry_channel_receive(channel, buffer, sizeof buffer, SAFETY_MS);

        ck_assert_msg(got == (ssize_t)strlen(text) && memcmp(buffer, text, strlen(text)) == 0, "%zd: %s", got,
                      ferry_channel_error(channel));
}

/* The call has failed so, and the sentence names the object. */
static void require_error(ferry_channel *channel, ssize_t result, int code)
{
        const char *sentence = ferry_channel_error(channel), *object = strchr(ferry_channel_address(channel), ':') + 1;

        ck_assert_msg(result == code, "%zd, not %d: %s", result, code, sentence);
        ck_assert_msg(strstr(sentence, object) != NULL, "%s is not named: %s", object, sentence);
}

/* Sizes ------------------------------------------------------------------------------------------------ */

static void fill(unsigned char *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++)
                bytes[i] = (unsigned char)(i * 7 + i / 251);
}

static void exchange(struct pair *pair, const unsigned char *bytes, unsigned char *buffer, size_t size, size_t room)
{
        size_t used = 0;
        ssize_t got;

        require_sent(pair->sender, bytes, size);
        do {
                got = ferry_channel_receive(pair->receiver, buffer + used, room - used, SAFETY_MS);
                ck_assert_msg(got >= 0, "%s", ferry_channel_error(pair->receiver));
                used += (size_t)got;
        } while (used < size && !kinds[pair->kind].is_records);
        ck_assert_uint_eq(used, size);
        ck_assert(memcmp(bytes, buffer, size) == 0);
}

START_TEST(records_of_all_sizes_arrive_whole)
{
        size_t limit, room;
        unsigned char *bytes, *buffer;
        struct pair pair;

        open_pair(&pair, _i);
        limit = ferry_channel_record_max(pair.sender);
        ck_assert_msg((limit == SIZE_MAX) == !kinds[_i].is_records, "%zu", limit);
        limit = limit == SIZE_MAX ? 4096 : limit;
        room = kinds[_i].is_records ? ferry_channel_record_max(pair.receiver) : limit;
        ck_assert_uint_ge(room, limit);
        bytes = malloc(limit + 1);
        buffer = malloc(room);
        fill(bytes, limit + 1);
        if (kinds[_i].is_records) {
                exchange(&pair, bytes, buffer, 0, room);
                require_sent(pair.sender, NULL, 0);
                ck_assert_int_eq(ferry_channel_receive(pair.receiver, NULL, 0, SAFETY_MS), 0);
        } else {
                require_sent(pair.sender, NULL, 0);
                require_error(pair.receiver, ferry_channel_receive(pair.receiver, buffer, 0, 0), -EINVAL);
        }
        exchange(&pair, bytes, buffer, 1, room);
        exchange(&pair, bytes, buffer, limit - 1, room);
        exchange(&pair, bytes, buffer, limit, room);
        /* A buffer of exactly that size is enough. */
        exchange(&pair, bytes, buffer, limit, limit);
        if (kinds[_i].is_records)
                require_error(pair.sender, ferry_channel_send(pair.sender, bytes, limit + 1, 0), -EMSGSIZE);
        require_error(pair.receiver, ferry_channel_receive(pair.receiver, buffer, room, 0), -ETIMEDOUT);
        free(bytes);
        free(buffer);
        close_pair(&pair);
}
END_TEST

START_TEST(a_small_buffer_loses_nothing)
{
        struct pair pair;
        char text[16];

        open_pair(&pair, _i);
        require_sent(pair.sender, "first", 5);
        require_sent(pair.sender, "second", 6);
        if (kinds[_i].is_records) {
                for (int i = 0; i < 3; i++) {
                        require_error(pair.receiver, ferry_channel_receive(pair.receiver, text, 4, 0), -EMSGSIZE);
                        require_error(pair.receiver, ferry_channel_receive(pair.receiver, NULL, 0, 0), -EMSGSIZE);
                }
                require_received(pair.receiver, "first");
                require_error(pair.receiver, ferry_channel_receive(pair.receiver, text, 4, 0), -EMSGSIZE);
                require_received(pair.receiver, "second");
        } else {
                ck_assert_int_eq(ferry_channel_receive(pair.receiver, text, 1, SAFETY_MS), 1);
                ck_assert_int_eq(text[0], 'f');
                require_received(pair.receiver, "irstsecond");
        }
        close_pair(&pair);
}
END_TEST

/* Timeouts --------------------------------------------------------------------------------------------- */

START_TEST(a_timeout_is_kept)
{
        struct pair pair;
        int64_t before;
        char text[16];

        open_pair(&pair, _i);
        require_error(pair.receiver, ferry_channel_receive(pair.receiver, text, sizeof text, 0), -ETIMEDOUT);
        door_stop_clock(0);
        before = sys_now();
        require_error(pair.receiver, ferry_channel_receive(pair.receiver, text, sizeof text, 50), -ETIMEDOUT);
        ck_assert_int_eq(sys_now() - before, 50000000);
        door_reset();
        require_sent(pair.sender, "x", 1);
        for (int timeout = -2; timeout > -5; timeout--) {
                require_error(pair.receiver, ferry_channel_receive(pair.receiver, text, sizeof text, timeout), -EINVAL);
                require_error(pair.sender, ferry_channel_send(pair.sender, text, 1, timeout), -EINVAL);
        }
        require_error(pair.receiver, ferry_channel_receive(pair.receiver, text, sizeof text, INT_MIN), -EINVAL);
        require_received(pair.receiver, "x");
        close_pair(&pair);
}
END_TEST

/* Sends until there is no room. How many records or bytes that were; 0: the kind always has room. */
static size_t fill_up(struct pair *pair, const void *bytes, size_t size)
{
        size_t count = 0;
        ssize_t put = 0;

        if (pair->kind == UDP)
                return 0;
        while ((put = ferry_channel_send(pair->sender, bytes, size, 0)) > 0)
                count += (size_t)put;
        require_error(pair->sender, put, -ETIMEDOUT);
        ck_assert_ptr_nonnull(strstr(ferry_channel_error(pair->sender), "room"));
        return count;
}

static int receive_later(ferry_loop *loop, void *userdata)
{
        static char buffer[1 << 20];
        struct pair *pair = userdata;

        (void)loop;
        if (ferry_channel_receive(pair->receiver, buffer, sizeof buffer, 0) > 0)
                pair->count++;
        return 1;
}

START_TEST(a_full_receiver_makes_the_sender_wait)
{
        static char bytes[4096], buffer[1 << 20];
        struct pair pair;
        size_t count;
        int64_t before;
        ssize_t got;

        open_pair(&pair, _i);
        count = fill_up(&pair, bytes, sizeof bytes);
        if (count > 0) {
                door_stop_clock(0);
                before = sys_now();
                require_error(pair.sender, ferry_channel_send(pair.sender, bytes, sizeof bytes, 30), -ETIMEDOUT);
                ck_assert_int_eq(sys_now() - before, 30000000);
                door_reset();
                /* An empty record lacks room, too. */
                if (_i == UDG || _i == MQUEUE) {
                        require_error(pair.sender, ferry_channel_send(pair.sender, NULL, 0, 0), -ETIMEDOUT);
                        ck_assert_ptr_nonnull(strstr(ferry_channel_error(pair.sender), "room"));
                }
                ferry_loop_after(pair.place.loop, 2, receive_later, &pair);
                require_sent(pair.sender, bytes, sizeof bytes);
                ck_assert_int_gt(pair.count, 0);
                ferry_loop_off(pair.place.loop, receive_later, &pair);
                do
                        got = ferry_channel_receive(pair.receiver, buffer, sizeof buffer, 0);
                while (got > 0);
                require_error(pair.receiver, got, -ETIMEDOUT);
        }
        close_pair(&pair);
}
END_TEST

/* Wrong use -------------------------------------------------------------------------------------------- */

START_TEST(null_is_a_channel_without_memory)
{
        ferry_value *value = (ferry_value *)(uintptr_t)1;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *channel;
        long type;

        ck_assert_ptr_null(ferry_channel_open(NULL, "udp:127.0.0.1:0", FERRY_RECEIVE, NULL));
        ck_assert_ptr_null(ferry_channel_free(NULL));
        ck_assert_int_eq(ferry_channel_send(NULL, "x", 1, 0), -ENOMEM);
        ck_assert_int_eq(ferry_channel_receive(NULL, NULL, 0, 0), -ENOMEM);
        ck_assert_int_eq(ferry_channel_send_to(NULL, NULL, "x", 1, 0), -ENOMEM);
        ck_assert_int_eq(ferry_channel_reply(NULL, "x", 1, 0), -ENOMEM);
        ck_assert_str_eq(ferry_channel_sender(NULL), "");
        ck_assert_int_eq(ferry_channel_peer(NULL).pid, -1);
        ck_assert_int_eq(ferry_channel_send_typed(NULL, 1, "x", 1, 0), -ENOMEM);
        ck_assert_int_eq(ferry_channel_receive_typed(NULL, 0, &type, NULL, 0, 0), -ENOMEM);
        ck_assert_int_eq(ferry_channel_send_value(NULL, 0, 0, "'x'"), -ENOMEM);
        ck_assert_int_eq(ferry_channel_receive_value(NULL, 0, 0, NULL, &value), -ENOMEM);
        ck_assert_ptr_null(value);
        ck_assert_ptr_null(ferry_channel_accept(NULL, 0));
        ck_assert_int_eq(ferry_channel_shutdown(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_channel_detach(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_channel_join(NULL, NULL, NULL), -ENOMEM);
        ck_assert_int_eq(ferry_channel_leave(NULL, NULL, NULL), -ENOMEM);
        ck_assert_int_eq(ferry_channel_fd(NULL), -ENOMEM);
        ck_assert_uint_eq(ferry_channel_record_max(NULL), 0);
        ck_assert_ptr_null(ferry_channel_info(NULL));
        ck_assert_int_eq(ferry_channel_limit(NULL, 0600, 0), -ENOMEM);
        ck_assert_int_eq(ferry_channel_remove(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_channel_wait(NULL, "udp:127.0.0.1:1", 0), -ENOMEM);
        ck_assert_int_eq(ferry_channel_wait(loop, NULL, 0), -EINVAL);
        ck_assert_str_eq(ferry_loop_error(loop), "cannot wait for a channel: the address is NULL");
        ck_assert_str_eq(ferry_channel_address(NULL), "");
        ck_assert_int_eq(ferry_channel_status(NULL), -ENOMEM);
        ck_assert_ptr_nonnull(ferry_channel_error(NULL));
        channel = ferry_channel_open(loop, NULL, FERRY_SEND, NULL);
        ck_assert_int_eq(ferry_channel_status(channel), -EINVAL);
        ferry_value_unref(ferry_channel_info(channel));
        ferry_loop_free(loop);
}
END_TEST

/* All that a failed channel takes returns its error; and then it goes. */
static void require_failed(ferry_loop *loop, ferry_channel *channel, int code)
{
        ferry_value *value;
        ferry_channel *client;
        char text[8];

        ck_assert_ptr_nonnull(channel);
        /* No call has reported it: the loop does, once. */
        ck_assert_int_eq(ferry_loop_run(loop, 0), code);
        ck_assert_str_eq(ferry_loop_error(loop), ferry_channel_error(channel));
        ck_assert_int_eq(ferry_loop_run(loop, 0), 0);
        ck_assert_msg(ferry_channel_status(channel) == code, "%d: %s", ferry_channel_status(channel), ferry_channel_error(channel));
        ck_assert_uint_gt(strlen(ferry_channel_error(channel)), 10);
        ck_assert_int_eq(ferry_channel_send(channel, "x", 1, -1), code);
        ck_assert_int_eq(ferry_channel_receive(channel, text, sizeof text, -1), code);
        ck_assert_int_eq(ferry_channel_send_to(channel, "udg:x", "x", 1, -1), code);
        ck_assert_int_eq(ferry_channel_reply(channel, "x", 1, -1), code);
        ck_assert_str_eq(ferry_channel_sender(channel), "");
        ck_assert_int_eq(ferry_channel_peer(channel).pid, -1);
        ck_assert_int_eq(ferry_channel_send_typed(channel, 1, "x", 1, -1), code);
        ck_assert_int_eq(ferry_channel_receive_typed(channel, 0, NULL, text, sizeof text, -1), code);
        ck_assert_int_eq(ferry_channel_send_value(channel, 0, -1, "'x'"), code);
        ck_assert_int_eq(ferry_channel_receive_value(channel, 0, -1, NULL, &value), code);
        client = ferry_channel_accept(channel, -1);
        ck_assert_int_eq(ferry_channel_status(client), code);
        ferry_channel_free(client);
        ck_assert_int_eq(ferry_channel_shutdown(channel), code);
        ck_assert_int_eq(ferry_channel_detach(channel), code);
        ck_assert_int_eq(ferry_channel_join(channel, "239.1.2.3", "lo"), code);
        ck_assert_int_eq(ferry_channel_leave(channel, "239.1.2.3", "lo"), code);
        ck_assert_int_eq(ferry_channel_limit(channel, 0600, 0), code);
        ck_assert_int_eq(ferry_channel_remove(channel), code);
        ck_assert_int_eq(ferry_channel_fd(channel), code);
        ck_assert_uint_eq(ferry_channel_record_max(channel), 0);
        value = ferry_channel_info(channel);
        ck_assert_ptr_nonnull(value);
        ferry_value_unref(value);
        ferry_channel_free(channel);
        ck_assert_int_eq(ferry_loop_run(loop, 0), 0);
        /* It has closed no descriptor that it did not open. */
        ck_assert_int_ge(fcntl(0, F_GETFD), 0);
}

START_TEST(a_wrong_address_or_option_fails_the_channel)
{
        const ferry_channel_options wrong[] = { { .mode = 01000 }, { .mode = ~0u }, { .wait_ms = -5 }, { .multicast_ttl = 300 },
                                                { .multicast_ttl = -1 } };
        struct pair pair;
        ferry_loop *loop;
        char address[210];

        begin(&pair, _i);
        loop = pair.place.loop;
        for (int round = 0; round < 2; round++) {
                const enum ferry_channel_end end = round ? FERRY_RECEIVE : FERRY_SEND;

                for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                        require_failed(loop, ferry_channel_open(loop, pair.address, end, &wrong[i]), -EINVAL);
                for (size_t i = 0; i < 4 && kinds[_i].wrong[i]; i++) {
                        require_failed(loop, ferry_channel_open(loop, kinds[_i].wrong[i], end, NULL), -EINVAL);
                        ck_assert_int_eq(ferry_channel_wait(loop, kinds[_i].wrong[i], 0), -EINVAL);
                        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "cannot wait for "));
                }
                snprintf(address, sizeof address, "x%s", pair.address);
                require_failed(loop, ferry_channel_open(loop, address, end, NULL), -EINVAL);
                require_failed(loop, ferry_channel_open(loop, "", end, NULL), -EINVAL);
                require_failed(loop, ferry_channel_open(loop, "exec:true", end, NULL), -EINVAL);
                require_failed(loop, ferry_channel_open(loop, "shm:1", end, NULL), -EINVAL);
        }
        for (int end = -1; end <= 2; end += 3)
                require_failed(loop, ferry_channel_open(loop, pair.address, (enum ferry_channel_end)end, NULL), -EINVAL);
        close_place(&pair.place);
}
END_TEST

START_TEST(a_loop_reports_a_failure_once)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *asked = ferry_channel_open(loop, "udp:nowhere", FERRY_SEND, NULL);
        ferry_channel *unasked = ferry_channel_open(loop, "udp:elsewhere", FERRY_SEND, NULL);

        ck_assert_int_eq(ferry_channel_status(asked), -EINVAL);
        ck_assert_str_ne(ferry_channel_error(asked), "");
        ck_assert_int_eq(ferry_loop_run(loop, 0), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "nowhere"));
        asked = ferry_channel_open(loop, "udp:nowhere", FERRY_SEND, NULL);
        ck_assert_int_eq(ferry_channel_send(asked, "x", 1, 0), -EINVAL);
        ck_assert_int_eq(ferry_loop_run(loop, 0), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_loop_error(loop), "elsewhere"));
        ck_assert_int_eq(ferry_loop_run(loop, 0), 0);
        ferry_channel_free(unasked);
        unasked = ferry_channel_open(loop, "udp:elsewhere", FERRY_SEND, NULL);
        ferry_channel_free(unasked);
        ck_assert_int_eq(ferry_loop_run(loop, 0), 0);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_call_that_the_kind_lacks_is_refused)
{
        struct pair pair;
        ferry_channel *client;
        ferry_value *value = NULL;
        char text[8];

        open_pair(&pair, _i);
        if (_i != UDP && _i != UDG) {
                ck_assert_int_eq(ferry_channel_send_to(pair.sender, pair.address, "x", 1, 0), -EOPNOTSUPP);
                ck_assert_int_eq(ferry_channel_reply(pair.receiver, "x", 1, 0), -EOPNOTSUPP);
        }
        if (_i != UDP) {
                ck_assert_int_eq(ferry_channel_join(pair.receiver, "239.1.2.3", "lo"), -EOPNOTSUPP);
                ck_assert_int_eq(ferry_channel_leave(pair.receiver, "239.1.2.3", "lo"), -EOPNOTSUPP);
        }
        if (_i != MSGQ && _i != MQUEUE) {
                ck_assert_int_eq(ferry_channel_send_typed(pair.sender, 1, "x", 1, 0), -EOPNOTSUPP);
                ck_assert_int_eq(ferry_channel_receive_typed(pair.receiver, 0, NULL, text, sizeof text, 0), -EOPNOTSUPP);
                ck_assert_int_eq(ferry_channel_limit(pair.receiver, 0600, 0), -EOPNOTSUPP);
        }
        if (!kinds[_i].is_records) {
                ck_assert_int_eq(ferry_channel_send_value(pair.sender, 0, 0, "'x'"), -EOPNOTSUPP);
                ck_assert_int_eq(ferry_channel_receive_value(pair.receiver, 0, 0, NULL, &value), -EOPNOTSUPP);
        } else {
                ck_assert_int_eq(ferry_channel_send_value(pair.sender, 0, 0, "{"), -EINVAL);
                ck_assert_int_eq(ferry_channel_send_value(pair.sender, 0, 0, "{n: %d}", 7), 0);
                ck_assert_int_eq(ferry_channel_receive_value(pair.receiver, 0, SAFETY_MS, NULL, &value), 0);
                ferry_value_unref(value);
                require_sent(pair.sender, "no value", 8);
                require_error(pair.receiver, ferry_channel_receive_value(pair.receiver, 0, SAFETY_MS, NULL, &value), -EBADMSG);
                ck_assert_ptr_null(value);
        }
        if (!is_connected_kind(_i)) {
                ck_assert_int_eq(ferry_channel_detach(pair.receiver), -EOPNOTSUPP);
                if (_i != FIFO)
                        ck_assert_int_eq(ferry_channel_shutdown(pair.sender), -EOPNOTSUPP);
        }
        if (!kinds[_i].is_persistent && _i != FIFO)
                ck_assert_int_eq(ferry_channel_remove(pair.receiver), -EOPNOTSUPP);
        client = ferry_channel_accept(pair.receiver, 0);
        ck_assert_int_eq(ferry_channel_status(client), -EOPNOTSUPP);
        ferry_channel_free(client);
        if (_i == FIFO || _i == MQUEUE) {
                require_error(pair.sender, ferry_channel_receive(pair.sender, text, sizeof text, 0), -EOPNOTSUPP);
                ck_assert_int_lt(ferry_channel_send(pair.receiver, "x", 1, 0), 0);
        }
        if (_i == UDP || _i == UDG)
                require_error(pair.receiver, ferry_channel_send(pair.receiver, "x", 1, 0), -EDESTADDRREQ);
        /* None of that has done any harm. */
        require_sent(pair.sender, "x", 1);
        require_received(pair.receiver, "x");
        close_pair(&pair);
}
END_TEST

/* Waiting runs the loop -------------------------------------------------------------------------------- */

static int open_later(ferry_loop *loop, void *userdata)
{
        struct pair *pair = userdata;

        (void)loop;
        open_receiver(pair);
        return 0;
}

START_TEST(a_sender_waits_for_its_receiver)
{
        struct pair pair;

        begin(&pair, _i);
        /* A port that is free and stays the same. */
        if (_i == UDP || _i == TCP) {
                open_receiver(&pair);
                pair.receiver = ferry_channel_free(pair.receiver);
                pair.listener = ferry_channel_free(pair.listener);
        }
        pair.sender = require_open(ferry_channel_open(pair.place.loop, pair.address, FERRY_SEND,
                                                      &(ferry_channel_options){ .wait_ms = SAFETY_MS }));
        require_error(pair.sender, ferry_channel_send(pair.sender, "x", 1, 0), -ETIMEDOUT);
        ck_assert(strstr(ferry_channel_error(pair.sender), " did not come within") ||
                  strstr(ferry_channel_error(pair.sender), " was not created within"));
        ferry_loop_after(pair.place.loop, 5, open_later, &pair);
        require_sent(pair.sender, "hello", 5);
        if (pair.listener)
                pair.receiver = require_open(ferry_channel_accept(pair.listener, SAFETY_MS));
        require_received(pair.receiver, "hello");
        close_pair(&pair);
}
END_TEST

START_TEST(a_receiver_that_does_not_come_is_an_error_in_time)
{
        const ferry_channel_options options = { .wait_ms = 50 };
        struct pair pair;
        int64_t before;
        int code;

        begin(&pair, _i);
        if (_i == UDP || _i == TCP) {
                open_receiver(&pair);
                pair.receiver = ferry_channel_free(pair.receiver);
                pair.listener = ferry_channel_free(pair.listener);
        }
        door_stop_clock(0);
        before = sys_now();
        pair.sender = ferry_channel_open(pair.place.loop, pair.address, FERRY_SEND, &options);
        code = (int)ferry_channel_send(pair.sender, "x", 1, SAFETY_MS);
        require_error(pair.sender, code, _i == UDP || _i == TCP ? -ECONNREFUSED : -ENOENT);
        ck_assert_int_ge(sys_now() - before, 50000000);
        ck_assert_int_le(sys_now() - before, 70000000);
        door_reset();
        pair.sender = ferry_channel_free(pair.sender);
        close_place(&pair.place);
}
END_TEST

/* What another user makes under the awaited name is not used, however often it is tried. */
START_TEST(a_queue_of_another_user_is_never_sent_to)
{
        struct pair pair;
        struct mq_attr attributes = { .mq_curmsgs = -1 };
        char name[64];
        mqd_t queue;

        if (!can_become())
                return;
        begin(&pair, MQUEUE);
        snprintf(name, sizeof name, "/%s", strchr(pair.address, ':') + 1);
        pair.sender = require_open(ferry_channel_open(pair.place.loop, pair.address, FERRY_SEND,
                                                      &(ferry_channel_options){ .wait_ms = SAFETY_MS }));
        become(STRANGER);
        queue = mq_open(name, O_CREAT | O_EXCL | O_RDONLY | O_NONBLOCK, 0666, NULL);
        become(0);
        ck_assert_int_ge(queue, 0);
        for (int i = 0; i < 3; i++)
                require_error(pair.sender, ferry_channel_send(pair.sender, "secret", 6, 0), -EACCES);
        ck_assert_int_eq(mq_getattr(queue, &attributes), 0);
        ck_assert_int_eq(attributes.mq_curmsgs, 0);
        mq_close(queue);
        mq_unlink(name);
        pair.sender = ferry_channel_free(pair.sender);
        close_place(&pair.place);
}
END_TEST

static int send_later(ferry_loop *loop, void *userdata)
{
        struct pair *pair = userdata;

        (void)loop;
        require_sent(pair->sender, "later", 5);
        return 0;
}

static int free_later(ferry_loop *loop, void *userdata)
{
        struct pair *pair = userdata;

        (void)loop;
        remove_queue(pair);
        pair->receiver = ferry_channel_free(pair->receiver);
        return 0;
}

static int free_sender_later(ferry_loop *loop, void *userdata)
{
        struct pair *pair = userdata;

        (void)loop;
        pair->sender = ferry_channel_free(pair->sender);
        return 0;
}

static int free_loop_later(ferry_loop *loop, void *userdata)
{
        remove_queue(userdata);
        ferry_loop_free(loop);
        return 0;
}

START_TEST(a_wait_serves_the_loop)
{
        struct pair pair;

        open_pair(&pair, _i);
        for (int i = 0; i < 3; i++) {
                ferry_loop_after(pair.place.loop, i, send_later, &pair);
                require_received(pair.receiver, "later");
        }
        close_pair(&pair);
}
END_TEST

START_TEST(a_channel_may_be_freed_during_its_wait)
{
        static char bytes[4096];
        struct pair pair;
        char text[16];

        open_pair(&pair, _i);
        ferry_loop_after(pair.place.loop, 1, free_later, &pair);
        ck_assert_int_eq(ferry_channel_receive(pair.receiver, text, sizeof text, -1), -ECANCELED);
        ck_assert_ptr_null(pair.receiver);
        ferry_channel_free(pair.listener);
        ferry_channel_free(pair.sender);
        close_place(&pair.place);

        open_pair(&pair, _i);
        if (fill_up(&pair, bytes, sizeof bytes) > 0) {
                ferry_loop_after(pair.place.loop, 1, free_sender_later, &pair);
                ck_assert_int_eq(ferry_channel_send(pair.sender, bytes, sizeof bytes, -1), -ECANCELED);
                ck_assert_ptr_null(pair.sender);
        }
        close_pair(&pair);
}
END_TEST

START_TEST(a_loop_may_be_freed_during_a_wait)
{
        struct pair pair;
        char text[16];

        open_pair(&pair, _i);
        ferry_loop_after(pair.place.loop, 1, free_loop_later, &pair);
        ck_assert_int_eq(ferry_channel_receive(pair.receiver, text, sizeof text, -1), -ECANCELED);
        ck_assert_int_eq(rmdir(pair.place.directory), 0);
}
END_TEST

static int receive_deeper(ferry_loop *loop, void *userdata)
{
        struct pair *pair = userdata;
        char text[16];
        ssize_t got;

        if (++pair->count < 40)
                ferry_loop_after(loop, 0, receive_deeper, pair);
        got = ferry_channel_receive(pair->receiver, text, sizeof text, 100);
        ck_assert_msg(got == -ETIMEDOUT || got == -EDEADLK, "%zd: %s", got, ferry_channel_error(pair->receiver));
        if (got == -EDEADLK)
                pair->count += 1000;
        return 0;
}

START_TEST(waits_nest_to_a_depth)
{
        struct pair pair;

        open_pair(&pair, _i);
        ferry_loop_after(pair.place.loop, 0, receive_deeper, &pair);
        door_stop_clock(0);
        ferry_loop_run(pair.place.loop, 1000);
        door_reset();
        ck_assert_int_gt(pair.count, 1000);
        require_sent(pair.sender, "x", 1);
        require_received(pair.receiver, "x");
        close_pair(&pair);
}
END_TEST

static int receive_with_a_small_buffer(ferry_loop *loop, void *userdata)
{
        struct pair *pair = userdata;
        char byte;

        (void)loop;
        require_sent(pair->sender, "record", 6);
        require_error(pair->receiver, ferry_channel_receive(pair->receiver, &byte, 1, 0), -EMSGSIZE);
        return 0;
}

/* The inner call's buffer is too small, so the record is held: the outer call returns it. */
START_TEST(a_record_that_is_held_ends_the_wait_outside)
{
        struct pair pair;
        int64_t before;

        open_pair(&pair, _i);
        if (kinds[_i].is_records) {
                door_stop_clock(0);
                before = sys_now();
                ferry_loop_after(pair.place.loop, 1, receive_with_a_small_buffer, &pair);
                require_received(pair.receiver, "record");
                ck_assert_int_lt(sys_now() - before, 20000000);
                door_reset();
        }
        close_pair(&pair);
}
END_TEST

static int drain_while_sending(ferry_loop *loop, void *userdata)
{
        static char buffer[1 << 20];
        struct pair *pair = userdata;
        ssize_t got;

        /* The receiver waits in one call, the sender in another, in one loop. */
        got = ferry_channel_receive(pair->receiver, buffer, sizeof buffer, 1);
        ck_assert_msg(got > 0 || got == -ETIMEDOUT, "%s", ferry_channel_error(pair->receiver));
        if (pair->count++ == 0)
                ferry_loop_after(loop, 0, receive_later, pair);
        return 0;
}

START_TEST(both_directions_wait_at_once)
{
        static char bytes[4096];
        struct pair pair;

        open_pair(&pair, _i);
        if (fill_up(&pair, bytes, sizeof bytes) > 0) {
                ferry_loop_after(pair.place.loop, 1, drain_while_sending, &pair);
                require_sent(pair.sender, bytes, sizeof bytes);
                ferry_loop_off(pair.place.loop, receive_later, &pair);
                ferry_loop_off(pair.place.loop, drain_while_sending, &pair);
        }
        close_pair(&pair);
}
END_TEST

/* Other loops, other processes ------------------------------------------------------------------------- */

START_TEST(a_descriptor_is_for_other_loops)
{
        struct pair pair;
        struct pollfd fd = { .events = POLLIN };

        open_pair(&pair, _i);
        fd.fd = ferry_channel_fd(pair.receiver);
        if (_i == MSGQ)
                ck_assert_int_eq(fd.fd, -EOPNOTSUPP);
        else {
                ck_assert_int_ge(fd.fd, 0);
                ck_assert_int_eq(fcntl(fd.fd, F_GETFD), FD_CLOEXEC);
                for (int i = 0; i < 3; i++) {
                        ck_assert_int_eq(poll(&fd, 1, 0), 0);
                        require_sent(pair.sender, "x", 1);
                        ck_assert_int_eq(poll(&fd, 1, SAFETY_MS), 1);
                        ck_assert_int_eq(fd.revents, POLLIN);
                        require_received(pair.receiver, "x");
                }
        }
        close_pair(&pair);
}
END_TEST

START_TEST(a_child_leaves_everything_alone)
{
        struct pair pair;
        ferry_channel *channel;
        char text[16];
        int status;
        pid_t pid;

        open_pair(&pair, _i);
        pid = fork();
        if (pid == 0) {
                bool is_right = ferry_channel_send(pair.sender, "x", 1, -1) == -ECHILD &&
                                ferry_channel_receive(pair.receiver, text, sizeof text, -1) == -ECHILD &&
                                ferry_channel_status(pair.receiver) == -ECHILD &&
                                ferry_channel_remove(pair.receiver) == -ECHILD &&
                                ferry_channel_wait(pair.place.loop, pair.address, -1) == -ECHILD;

                channel = ferry_channel_open(pair.place.loop, pair.address, FERRY_RECEIVE, NULL);
                is_right = is_right && ferry_channel_status(channel) == -ECHILD;
                ferry_channel_free(channel);
                ferry_channel_free(pair.sender);
                ferry_channel_free(pair.receiver);
                ferry_channel_free(pair.listener);
                ferry_loop_free(pair.place.loop);
                _exit(is_right ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        if (kinds[_i].is_in_files)
                ck_assert_int_eq(access(strchr(pair.address, ':') + 1, F_OK), 0);
        require_sent(pair.sender, "x", 1);
        require_received(pair.receiver, "x");
        close_pair(&pair);
}
END_TEST

START_TEST(a_freed_loop_leaves_no_files)
{
        struct pair pair;
        struct stat stat;

        open_pair(&pair, _i);
        require_sent(pair.sender, "x", 1);
        if (kinds[_i].is_in_files) {
                ck_assert_int_eq(lstat(strchr(pair.address, ':') + 1, &stat), 0);
                ck_assert_uint_eq(stat.st_mode & 0777, 0600);
        }
        remove_queue(&pair);
        close_place(&pair.place);
}
END_TEST

/* Looking for an end ----------------------------------------------------------------------------------- */

static int open_counting(ferry_loop *loop, void *userdata)
{
        struct pair *pair = userdata;

        pair->count++;
        return open_later(loop, userdata);
}

START_TEST(a_wait_finds_the_other_end)
{
        struct pair pair;
        int64_t before;
        char text[16];

        begin(&pair, _i);
        if (_i == UDP || _i == TCP) {
                open_receiver(&pair);
                pair.receiver = ferry_channel_free(pair.receiver);
                pair.listener = ferry_channel_free(pair.listener);
        }
        ck_assert_int_eq(ferry_channel_wait(pair.place.loop, pair.address, -2), -EINVAL);
        if (_i != MSGQ) {
                ck_assert_int_eq(ferry_channel_wait(pair.place.loop, pair.address, 0), -ETIMEDOUT);
                ck_assert_ptr_nonnull(strstr(ferry_loop_error(pair.place.loop), "there is no other end at "));
                door_stop_clock(0);
                before = sys_now();
                ck_assert_int_eq(ferry_channel_wait(pair.place.loop, pair.address, 100), -ETIMEDOUT);
                ck_assert_int_eq(sys_now() - before, 100000000);
                door_reset();
        }
        ferry_loop_after(pair.place.loop, 3, open_counting, &pair);
        ck_assert_int_eq(ferry_channel_wait(pair.place.loop, pair.address, SAFETY_MS), 0);
        ck_assert_int_eq(pair.count, 1);
        ck_assert_int_eq(ferry_channel_wait(pair.place.loop, pair.address, 0), 0);
        /* Nothing was connected to, and nothing sent. */
        if (pair.listener) {
                ferry_channel *client = ferry_channel_accept(pair.listener, 0);

                ck_assert_int_eq(ferry_channel_status(client), -ETIMEDOUT);
                ferry_channel_free(client);
        } else
                require_error(pair.receiver, ferry_channel_receive(pair.receiver, text, sizeof text, 0), -ETIMEDOUT);
        close_pair(&pair);
}
END_TEST

START_TEST(a_wait_refuses_what_it_cannot_know)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        char path[200] = "udg:/tmp/", longer[300];

        memset(path + 9, 'x', sizeof path - 10);
        ck_assert_int_eq(ferry_channel_wait(loop, "udg:@name", 0), -EINVAL);
        ck_assert_int_eq(ferry_channel_wait(loop, "udp:192.0.2.1:9", -1), -EADDRNOTAVAIL);
        ck_assert_int_eq(ferry_channel_wait(loop, "tcp:192.0.2.1:9", -1), -EADDRNOTAVAIL);
        ck_assert_int_eq(ferry_channel_wait(loop, path, 0), -ENAMETOOLONG);
        snprintf(longer, sizeof longer, "unix:%s", path + 4);
        ck_assert_int_eq(ferry_channel_wait(loop, longer, 0), -ENAMETOOLONG);
        ck_assert_int_eq(ferry_channel_wait(loop, "msgq:private", 0), -EINVAL);
        ck_assert_int_eq(ferry_channel_wait(loop, "shm:1", 0), -EINVAL);
        ck_assert_int_eq(ferry_channel_wait(loop, "name", 0), -EINVAL);
        ck_assert_int_eq(ferry_channel_wait(loop, "exec:true", 0), -EINVAL);
        ferry_loop_free(loop);
}
END_TEST

/* Facts ------------------------------------------------------------------------------------------------ */

START_TEST(an_info_has_every_documented_key)
{
        static const char *const keys[] = { "kind", "address", "end", "is_records", "is_two_way", "is_ordered", "is_persistent",
                "record_max", "uid", "mode", "is_wide", "refused", "records", "records_max", "bytes", "bytes_max", "id", "key",
                "sent", "received", "changed", "last_sender", "last_receiver" };
        struct pair pair;
        ferry_value *info;

        open_pair(&pair, _i);
        require_sent(pair.sender, "x", 1);
        for (int i = 0; i < 2; i++) {
                info = ferry_channel_info(i == 0 ? pair.receiver : pair.sender);
                ck_assert_uint_eq(ferry_value_count(info), sizeof keys / sizeof *keys);
                for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                        ck_assert_msg(ferry_value_get(info, keys[k]) != NULL, "%s", keys[k]);
                ck_assert_str_eq(ferry_value_text(ferry_value_get(info, "kind"), ""), kinds[_i].name);
                ck_assert_str_eq(ferry_value_text(ferry_value_get(info, "end"), ""), i == 0 && !pair.listener ? "receive" : "send");
                ck_assert_int_eq(ferry_value_bool(ferry_value_get(info, "is_records"), false), kinds[_i].is_records);
                ck_assert_int_eq(ferry_value_bool(ferry_value_get(info, "is_two_way"), false), kinds[_i].is_two_way);
                ck_assert_int_eq(ferry_value_bool(ferry_value_get(info, "is_ordered"), false), kinds[_i].is_ordered);
                ck_assert_int_eq(ferry_value_bool(ferry_value_get(info, "is_persistent"), false), kinds[_i].is_persistent);
                ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "refused"), -1), 0);
                ck_assert_int_eq(ferry_value_bool(ferry_value_get(info, "is_wide"), false), false);
                if (kinds[_i].is_persistent) {
                        ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "records"), -1), 1);
                        ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "mode"), -1), 0600);
                        ck_assert_int_eq(ferry_value_int(ferry_value_get(info, "uid"), -1), (int)geteuid());
                        ck_assert_int_gt(ferry_value_int(ferry_value_get(info, "bytes_max"), -1), 0);
                }
                ferry_value_unref(info);
        }
        close_pair(&pair);
}
END_TEST

/* Costs ------------------------------------------------------------------------------------------------ */

static const enum door_call quiet[] = { DOOR_now, DOOR_pid, DOOR_free, DOOR_alloc, DOOR_alloc_zeroed, DOOR_realloc, DOOR_uid };

/* Calls that enter the kernel: the clock, and ids that are kept, do not. */
static unsigned system_calls(void)
{
        unsigned sum = 0;

        for (int call = 0; call < DOOR_CALLS; call++) {
                bool is_quiet = false;

                for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
                        is_quiet = is_quiet || call == (int)quiet[i];
                sum += is_quiet ? 0 : door_counts.calls[call];
        }
        return sum;
}

static const char *list_calls(void)
{
        static char text[1024];
        size_t used = 0;

        text[0] = '\0';
        for (int call = 0; call < DOOR_CALLS; call++)
                if (door_counts.calls[call])
                        used += (size_t)snprintf(text + used, sizeof text - used, " %s=%u", door_name((enum door_call)call),
                                                 door_counts.calls[call]);
        return text;
}

START_TEST(a_call_that_need_not_wait_is_one_system_call)
{
        struct pair pair;
        char text[10000];

        open_pair(&pair, _i);
        require_sent(pair.sender, "first", 5);
        require_received(pair.receiver, "first");
        /* A FIFO is written to with SIGPIPE blocked, which takes three. */
        for (int i = 0; i < (_i == FIFO ? 0 : 100); i++) {
                door_reset();
                ck_assert_int_eq(ferry_channel_send(pair.sender, "record", 6, SAFETY_MS), 6);
                SUITE_CHECK(system_calls() == 1 && door_counts.allocations == 0, "send:%s", list_calls());
                door_reset();
                ck_assert_int_eq(ferry_channel_receive(pair.receiver, text, sizeof text, SAFETY_MS), 6);
                SUITE_CHECK(system_calls() == 1 && door_counts.allocations == 0, "receive:%s", list_calls());
        }
        door_reset();
        close_pair(&pair);
}
END_TEST

START_TEST(a_wait_that_is_in_vain_costs_no_more_than_it_must)
{
        struct pair pair;
        char text[16];
        unsigned receives;

        open_pair(&pair, _i);
        require_error(pair.receiver, ferry_channel_receive(pair.receiver, text, sizeof text, 0), -ETIMEDOUT);
        door_reset();
        door_stop_clock(0);
        ck_assert_int_eq(ferry_channel_receive(pair.receiver, text, sizeof text, 100), -ETIMEDOUT);
        receives = door_counts.calls[_i == MSGQ ? DOOR_msg_receive : _i == MQUEUE ? DOOR_mqueue_receive :
                                     _i == UDP || _i == UDG ? DOOR_receive_message : _i == FIFO ? DOOR_read : DOOR_recv];
        if (_i == MSGQ) {
                /* At 0, 1, 3, 7, 15, 25, 35 … 95, 100 ms. */
                ck_assert_msg(receives == 14, "%s", list_calls());
        } else {
                ck_assert_msg(receives == 2, "%s", list_calls());
                ck_assert_msg(door_counts.calls[DOOR_epoll_control] == 2 && door_counts.calls[DOOR_epoll_wait] <= 2, "%s",
                              list_calls());
                ck_assert_msg(system_calls() == receives + 2 + door_counts.calls[DOOR_epoll_wait], "%s", list_calls());
        }
        door_reset();
        close_pair(&pair);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(records_of_all_sizes_arrive_whole, KINDS),
        SUITE_LOOP(a_small_buffer_loses_nothing, KINDS),
        SUITE_LOOP(a_timeout_is_kept, KINDS),
        SUITE_LOOP(a_full_receiver_makes_the_sender_wait, KINDS),
        SUITE_TEST(null_is_a_channel_without_memory),
        SUITE_LOOP(a_wrong_address_or_option_fails_the_channel, KINDS),
        SUITE_TEST(a_loop_reports_a_failure_once),
        SUITE_LOOP(a_call_that_the_kind_lacks_is_refused, KINDS),
        SUITE_LOOP(a_sender_waits_for_its_receiver, KINDS),
        SUITE_LOOP(a_receiver_that_does_not_come_is_an_error_in_time, KINDS),
        SUITE_TEST(a_queue_of_another_user_is_never_sent_to),
        SUITE_LOOP(a_wait_serves_the_loop, KINDS),
        SUITE_LOOP(a_channel_may_be_freed_during_its_wait, KINDS),
        SUITE_LOOP(a_loop_may_be_freed_during_a_wait, KINDS),
        SUITE_LOOP(waits_nest_to_a_depth, KINDS),
        SUITE_LOOP(a_record_that_is_held_ends_the_wait_outside, KINDS),
        SUITE_LOOP(both_directions_wait_at_once, KINDS),
        SUITE_LOOP(a_descriptor_is_for_other_loops, KINDS),
        SUITE_LOOP(a_child_leaves_everything_alone, KINDS),
        SUITE_LOOP(a_freed_loop_leaves_no_files, KINDS),
        SUITE_LOOP(a_wait_finds_the_other_end, KINDS),
        SUITE_TEST(a_wait_refuses_what_it_cannot_know),
        SUITE_LOOP(an_info_has_every_documented_key, KINDS),
        SUITE_LOOP(a_call_that_need_not_wait_is_one_system_call, KINDS),
        SUITE_LOOP(a_wait_that_is_in_vain_costs_no_more_than_it_must, KINDS),
};

SUITE_MAIN("channel", tests)
