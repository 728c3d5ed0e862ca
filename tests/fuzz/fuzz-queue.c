/* A record of any bytes in a SysV queue, as another program may send it: it is received raw, as a value of PHP's, and as a
 * plain one. What is a value is sent again and is the same; what is none is refused, and the queue goes on. */
#include "fuzz/fuzz.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_MAX = 4096 };

static void send_bytes(ferry_channel *channel, const void *bytes, size_t size)
{
        FUZZ_REQUIRE(ferry_channel_send(channel, bytes, size, 0) == (ssize_t)size, "%s", ferry_channel_error(channel));
}

static void receive_raw(ferry_channel *channel, const void *bytes, size_t size)
{
        char *record = malloc(size + 1);
        ssize_t got;

        if (size > 0) {
                got = ferry_channel_receive(channel, record, size - 1, 0);
                FUZZ_REQUIRE(got == -EMSGSIZE, "%zd in a small buffer", got);
        }
        got = ferry_channel_receive(channel, record, size, 0);
        FUZZ_REQUIRE(got == (ssize_t)size && memcmp(record, bytes, size) == 0, "%zd of %zu bytes", got, size);
        free(record);
}

static void receive_value(ferry_channel *channel, bool is_plain)
{
        ferry_value *value = NULL, *again = NULL;
        int code = ferry_channel_receive_value(channel, 0, 0, NULL, &value);

        FUZZ_REQUIRE((code == 0) == (value != NULL), "%d", code);
        FUZZ_REQUIRE(code == 0 || (!is_plain && (code == -EBADMSG || code == -EMSGSIZE)), "%s", ferry_channel_error(channel));
        FUZZ_REQUIRE(code == 0 || *ferry_channel_error(channel), "no sentence");
        /* References are written out, which may take more than a record has. */
        if (value && ferry_channel_send_value(channel, 0, 0, "%p", (const void *)value) == 0) {
                FUZZ_REQUIRE(ferry_channel_receive_value(channel, 0, 0, NULL, &again) == 0, "%s", ferry_channel_error(channel));
                FUZZ_REQUIRE(ferry_value_equal(value, again), "another value");
        }
        ferry_value_unref(value);
        ferry_value_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *php = ferry_channel_open(loop, "msgq:private", FERRY_RECEIVE, NULL), *plain;

        if (size > RECORD_MAX)
                size = RECORD_MAX;
        plain = ferry_channel_open(loop, ferry_channel_address(php), FERRY_RECEIVE,
                                   &(ferry_channel_options){ .codec = ferry_codec_plain() });
        send_bytes(php, data, size);
        receive_raw(php, data, size);
        send_bytes(php, data, size);
        receive_value(php, false);
        send_bytes(php, data, size);
        receive_value(plain, true);
        FUZZ_REQUIRE(ferry_channel_receive(php, NULL, 0, 0) == -ETIMEDOUT, "a record is left");
        ferry_channel_remove(php);
        ferry_loop_free(loop);
        fuzz_end(&mark);
        return 0;
}
