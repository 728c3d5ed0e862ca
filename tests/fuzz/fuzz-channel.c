/* Channels: records that any process may have sent, and the spelling of their addresses. The first byte selects. What must
 * hold:
 *
 *      - a record comes whole: with a buffer that is too small it is refused and kept; as a value it is what its codec decodes,
 *        or -EBADMSG, and consumed; nothing of it is left
 *      - an abstract name is its bytes, by a model, and its address has a scheme if the name is one
 *      - the name of a SysV object is that of a model
 *      - a channel cannot be opened at any address where the system refuses all; it says why, and takes every call */
#include "fuzz/fuzz.h"

#include "channel/sysv.h"
#include "stream/abstract.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_MAX = 60000 };

/* Text ------------------------------------------------------------------------------------------------- */

/* The input up to its first zero, behind @prefix. */
static char *make_text(const char *prefix, const struct fuzz_input *input)
{
        size_t before = strlen(prefix), size = strnlen((const char *)input->at, (size_t)(input->end - input->at));
        char *text = malloc(before + size + 1);

        if (!text)
                abort();
        memcpy(text, prefix, before);
        memcpy(text + before, input->at, size);
        text[before + size] = '\0';
        return text;
}

/* Records ---------------------------------------------------------------------------------------------- */

static void receive_bytes(ferry_channel *channel, const char *record, size_t size, size_t first_size)
{
        char *buffer = malloc(size + 1);
        ssize_t got;

        if (!buffer)
                abort();
        first_size = first_size < size + 1 ? first_size : size + 1;
        got = ferry_channel_receive(channel, buffer, first_size, -1);
        FUZZ_REQUIRE(first_size < size ? got == -EMSGSIZE : got == (ssize_t)size, "%zu of %zu bytes: %zd", first_size, size, got);
        if (first_size < size)
                got = ferry_channel_receive(channel, buffer, size, -1);
        FUZZ_REQUIRE(got == (ssize_t)size && memcmp(buffer, record, size) == 0, "%zd of %zu bytes", got, size);
        free(buffer);
}

static void receive_value(ferry_channel *channel, const ferry_codec *codec, const char *record, size_t size)
{
        FERRY_AUTO(ferry_value) expected = NULL;
        FERRY_AUTO(ferry_value) value = NULL;
        int decoded = ferry_codec_decode(codec, record, size, &expected, NULL);
        int code = ferry_channel_receive_value(channel, 0, -1, NULL, &value);

        FUZZ_REQUIRE(code == (decoded == -EAGAIN ? -EBADMSG : decoded), "%d, by the codec %d", code, decoded);
        FUZZ_REQUIRE((value == NULL) == (code != 0), "a value beside %d", code);
        FUZZ_REQUIRE(code || ferry_value_equal(value, expected), "another value than by the codec");
        FUZZ_REQUIRE(!code || *ferry_channel_error(channel), "no sentence");
}

static void run_record(struct fuzz_input *input)
{
        const ferry_codec *const codecs[] = { ferry_codec_php(), ferry_codec_json(), ferry_codec_msgpack(), ferry_codec_plain() };
        const uint8_t choice = fuzz_byte(input);
        const ferry_codec *codec = codecs[choice % 4];
        const ferry_channel_options options = { .codec = codec };
        const size_t first_size = fuzz_u16(input), left = (size_t)(input->end - input->at);
        const size_t size = left < RECORD_MAX ? left : RECORD_MAX;
        char *record = fuzz_copy(input->at, size), byte;
        struct fuzz_mark mark = fuzz_begin();
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_channel *receiver = ferry_channel_open(loop, "udp:127.0.0.1:0", FERRY_RECEIVE, &options), *sender;
        ssize_t put;

        FUZZ_REQUIRE(ferry_channel_status(receiver) == 1, "%s", ferry_channel_error(receiver));
        sender = ferry_channel_open(loop, ferry_channel_address(receiver), FERRY_SEND, NULL);
        put = ferry_channel_send(sender, record, size, 0);
        FUZZ_REQUIRE(put == (ssize_t)size, "%s", ferry_channel_error(sender));
        if (choice & 4)
                receive_bytes(receiver, record, size, first_size);
        else
                receive_value(receiver, codec, record, size);
        FUZZ_REQUIRE(ferry_channel_receive(receiver, &byte, 1, 0) == -ETIMEDOUT, "something is left");
        ferry_loop_free(loop);
        fuzz_end(&mark);
        free(record);
}

/* Abstract names --------------------------------------------------------------------------------------- */

static const char hex_digits[] = "0123456789abcdef";

static bool is_escape(const char *text)
{
        return text[0] == '\\' && text[1] == 'x' && text[2] && strchr(hex_digits, text[2]) && text[3] && strchr(hex_digits, text[3]);
}

static void run_abstract(const struct fuzz_input *input)
{
        struct sockaddr_un address;
        socklen_t size = 0;
        char *text = make_text("udg:@", input), *name = calloc(1, strlen(text) + 1);
        size_t count = 0;
        int code = abstract_parse(text + 5, &address, &size), expected;

        for (const char *at = text + 5; *at; count++) {
                bool is_byte = is_escape(at);

                name[count] = !is_byte ? *at : (char)((strchr(hex_digits, at[2]) - hex_digits) * 16 +
                                                      (strchr(hex_digits, at[3]) - hex_digits));
                at += is_byte ? 4 : 1;
        }
        expected = count == 0 ? -EINVAL : count > sizeof address.sun_path - 1 ? -ENAMETOOLONG : 0;
        FUZZ_REQUIRE(code == expected, "%d, by the model %d", code, expected);
        FUZZ_REQUIRE(ferry_address_scheme(text) == (code ? code : FERRY_SCHEME_UDG), "the scheme is %d", ferry_address_scheme(text));
        if (!code) {
                FUZZ_REQUIRE(size == offsetof(struct sockaddr_un, sun_path) + 1 + count, "%u bytes, not %zu", size, count);
                FUZZ_REQUIRE(address.sun_path[0] == '\0' && memcmp(address.sun_path + 1, name, count) == 0, "another name");
        }
        free(name);
        free(text);
}

/* SysV objects ----------------------------------------------------------------------------------------- */

static int judge(enum door_call call, bool is_child)
{
        (void)is_child;
        switch (call) {
        case DOOR_alloc:
        case DOOR_alloc_zeroed:
        case DOOR_realloc:
        case DOOR_close:
        case DOOR_epoll_create:
        case DOOR_epoll_control:
        case DOOR_epoll_wait:
        case DOOR_eventfd:
        case DOOR_map_wiped_on_fork:
                return 0;
        default:
                return -EACCES;
        }
}

/* An integer of up to 40 bits, by its digits; larger ones are that. */
static bool read_number(const char *text, int64_t *ret_number)
{
        const bool is_negative = *text == '-';
        int64_t base = 10, number = 0;

        text += is_negative;
        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
                base = 16;
                text += 2;
        }
        if (!*text)
                return false;
        for (; *text; text++) {
                int64_t digit = *text >= '0' && *text <= '9' ? *text - '0' : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10 :
                                *text >= 'A' && *text <= 'F' ? *text - 'A' + 10 : 16;

                if (digit >= base)
                        return false;
                number = number * base + digit;
                if (number > (int64_t)1 << 40)
                        number = (int64_t)1 << 40;
        }
        *ret_number = is_negative ? -number : number;
        return true;
}

static void run_sysv(const struct fuzz_input *input)
{
        char *address = make_text("msgq:", input), *text = address + 5;
        struct fuzz_mark mark = fuzz_begin();
        struct error error = { 0 };
        struct sysv_name name;
        int64_t number = 0;
        int code, expected;

        door_judge = judge;
        code = sysv_parse(address, text, &name, &error);
        FUZZ_REQUIRE(!code || (error.code == code && strstr(error_text(&error), address)), "%d: %s", code, error_text(&error));
        if (*text == '#')
                expected = read_number(text + 1, &number) && number >= 0 && number <= INT_MAX ? 0 : -EINVAL;
        else if (read_number(text, &number))
                expected = number >= INT32_MIN && number <= UINT32_MAX && number != 0 ? 0 : -EINVAL;
        else
                expected = !*text ? -EINVAL : strcmp(text, "private") == 0 ? 0 : -EACCES;
        FUZZ_REQUIRE(code == expected, "%s: %d, by the model %d", text, code, expected);
        FUZZ_REQUIRE(sysv_is_path(text) == (expected == -EACCES), "%s: it is a path, or not", text);
        if (!code && *text == '#')
                FUZZ_REQUIRE(name.how == SYSV_ID && name.id == number, "%s: %d", text, name.id);
        else if (!code && *text != 'p')
                FUZZ_REQUIRE(name.how == SYSV_KEY && (uint32_t)name.key == (uint32_t)number && name.key != 0, "%s: %d", text, name.key);
        error_deinit(&error);
        fuzz_end(&mark);
        free(address);
}

/* Opening ---------------------------------------------------------------------------------------------- */

static void run_opening(struct fuzz_input *input)
{
        static const char *const prefixes[] = { "udp:", "udg:", "tcp:", "unix:", "fifo:", "msgq:", "mqueue:", "" };
        const uint8_t choice = fuzz_byte(input);
        char *address = make_text(prefixes[choice % 8], input), byte;
        struct fuzz_mark mark = fuzz_begin();
        const int scheme = ferry_address_scheme(address);
        ferry_loop *loop;
        ferry_channel *channel;
        int code;

        door_judge = judge;
        loop = ferry_loop_new(NULL);
        channel = ferry_channel_open(loop, address, choice & 8 ? FERRY_RECEIVE : FERRY_SEND, NULL);
        code = ferry_channel_status(channel);
        FUZZ_REQUIRE(code < 0, "%s is open", address);
        FUZZ_REQUIRE(choice % 8 == 7 || scheme >= 0 || code == scheme || code == -EINVAL, "%s: status %d, scheme %d", address, code,
                     scheme);
        FUZZ_REQUIRE(*ferry_channel_error(channel) && strcmp(ferry_channel_address(channel), address) == 0, "no sentence");
        FUZZ_REQUIRE(ferry_channel_send(channel, "x", 1, -1) == code && ferry_channel_receive(channel, &byte, 1, -1) == code,
                     "%s: it is used", address);
        code = ferry_channel_wait(loop, address, 0);
        FUZZ_REQUIRE(code < 0 && (scheme >= 0 || code == scheme), "%s: a wait is %d", address, code);
        ferry_loop_free(loop);
        fuzz_end(&mark);
        free(address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = { .at = data, .end = data + size };

        switch (fuzz_byte(&input) % 4) {
        case 0:
                run_record(&input);
                break;
        case 1:
                run_abstract(&input);
                break;
        case 2:
                run_sysv(&input);
                break;
        default:
                run_opening(&input);
        }
        return 0;
}
