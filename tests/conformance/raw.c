/* The test's end of a session. */
#include "conformance/raw.h"

#include "support/own.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAFETY_MS = 20000 };

void raw_open(struct raw *raw, enum raw_stream stream, const ferry_session_options *options)
{
        ferry_session_options all = options ? *options : (ferry_session_options){ 0 };
        int there[2], back[2], third[2], fds[4] = { -1, -1, -1, -1 };

        memset(raw, 0, sizeof *raw);
        raw->main_out = -1;
        raw->loop = ferry_loop_new(NULL);
        if (stream == RAW_SOCKET || stream == RAW_OWN) {
                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, there), 0);
                raw->in = raw->out = there[1];
                fds[0] = fds[1] = there[0];
        } else {
                ck_assert_int_eq(pipe2(there, O_CLOEXEC), 0);
                ck_assert_int_eq(pipe2(back, O_CLOEXEC), 0);
                raw->in = there[0];
                raw->out = back[1];
                fds[0] = back[0];
                fds[1] = there[1];
        }
        if (stream == RAW_SECOND) {
                ck_assert_int_eq(pipe2(third, O_CLOEXEC), 0);
                fds[2] = third[0];
                raw->main_out = raw->out;
                raw->out = third[1];
        }
        if (stream == RAW_OWN) {
                raw->own = own_stream(fds[0]);
                all.stream = &raw->own;
        } else
                all.fds = fds;
        raw->session = ferry_session_open(raw->loop, NULL, &all);
        ck_assert_msg(ferry_session_status(raw->session) == 1, "%s", ferry_session_error(raw->session));
}

void raw_close(struct raw *raw)
{
        ferry_loop_free(raw->loop);
        if (raw->in >= 0)
                close(raw->in);
        if (raw->out >= 0 && raw->out != raw->in)
                close(raw->out);
        if (raw->main_out >= 0)
                close(raw->main_out);
}

void raw_write(struct raw *raw, const void *bytes, size_t size)
{
        const char *at = bytes;

        while (size > 0) {
                struct pollfd poll_out = { .fd = raw->out, .events = POLLOUT };
                ssize_t put;

                /* Never more than a pipe surely takes, so that it does not block. */
                if (poll(&poll_out, 1, 0) == 0) {
                        ck_assert_int_ge(ferry_loop_tick(raw->loop, 0), 0);
                        continue;
                }
                put = write(raw->out, at, size < 4096 ? size : 4096);
                ck_assert_msg(put > 0, "cannot write: %s", strerror(errno));
                at += put;
                size -= (size_t)put;
        }
}

void raw_frame(struct raw *raw, const void *payload, size_t size)
{
        const unsigned char header[] = { 0xf3, 0x4a, 0x9d, 0xe2, (unsigned char)(size >> 24), (unsigned char)(size >> 16),
                                         (unsigned char)(size >> 8), (unsigned char)size };

        raw_write(raw, header, sizeof header);
        raw_write(raw, payload, size);
}

void raw_text(struct raw *raw, const char *payload)
{
        raw_frame(raw, payload, strlen(payload));
}

void raw_end(struct raw *raw)
{
        if (raw->out == raw->in)
                shutdown(raw->out, SHUT_WR);
        else {
                close(raw->out);
                raw->out = -1;
        }
        if (raw->main_out >= 0) {
                close(raw->main_out);
                raw->main_out = -1;
        }
}

size_t raw_message(unsigned char payload[256], int kind, int id, const char *type, const char *text)
{
        size_t type_size = strlen(type), text_size = text ? strlen(text) : 0;

        ck_assert_uint_lt(16 + type_size + 1 + text_size, 256);
        ck_assert_uint_lt(text_size, 32);
        memset(payload, 0, 16);
        payload[0] = 1;
        payload[1] = (unsigned char)kind;
        payload[2] = 1;
        payload[5] = (unsigned char)type_size;
        payload[15] = (unsigned char)id;
        memcpy(payload + 16, type, type_size);
        if (!text)
                return 16 + type_size;
        payload[16 + type_size] = (unsigned char)(0xa0 | text_size);
        memcpy(payload + 17 + type_size, text, text_size);
        return 17 + type_size + text_size;
}

void raw_send(struct raw *raw, int kind, int id, const char *type, const char *text)
{
        unsigned char payload[256];

        raw_frame(raw, payload, raw_message(payload, kind, id, type, text));
}

/* Exactly so many bytes, while the loop runs. */
static void read_all(struct raw *raw, unsigned char *bytes, size_t size)
{
        while (size > 0) {
                struct pollfd fds[] = { { .fd = raw->in, .events = POLLIN },
                                        { .fd = ferry_loop_fd(raw->loop), .events = POLLIN } };
                ssize_t got;

                ck_assert_msg(poll(fds, 2, SAFETY_MS) > 0, "nothing comes: %s", ferry_session_error(raw->session));
                if (fds[0].revents == 0) {
                        ck_assert_int_ge(ferry_loop_tick(raw->loop, 0), 0);
                        continue;
                }
                got = read(raw->in, bytes, size);
                ck_assert_msg(got > 0, "the session has ended: %s", ferry_session_error(raw->session));
                bytes += got;
                size -= (size_t)got;
        }
}

void raw_read(struct raw *raw)
{
        unsigned char header[8];

        read_all(raw, header, sizeof header);
        ck_assert(memcmp(header, "\xf3\x4a\x9d\xe2", 4) == 0);
        raw->size = (size_t)header[4] << 24 | (size_t)header[5] << 16 | (size_t)header[6] << 8 | header[7];
        ck_assert_uint_lt(raw->size, sizeof raw->bytes);
        read_all(raw, raw->bytes, raw->size);
        raw->bytes[raw->size] = '\0';
}

void raw_expect(struct raw *raw, int kind, int id)
{
        do {
                raw_read(raw);
                ck_assert_uint_ge(raw->size, 16);
                ck_assert_int_eq(raw->bytes[0], 1);
        } while (raw->bytes[1] != kind);
        ck_assert_int_eq(raw->bytes[15], id);
}

/* Nothing is left to do in the loop, and then nothing is there. */
static short what_comes(struct raw *raw)
{
        struct pollfd poll_in = { .fd = raw->in, .events = POLLIN };

        while (ferry_loop_tick(raw->loop, 0) == 1)
                ;
        poll(&poll_in, 1, 0);
        return poll_in.revents;
}

bool raw_is_silent(struct raw *raw)
{
        return what_comes(raw) == 0;
}

bool raw_has_ended(struct raw *raw)
{
        char byte;

        return what_comes(raw) != 0 && read(raw->in, &byte, 1) == 0;
}

const ferry_message *raw_next(struct raw *raw, enum ferry_kind kind, const char *text)
{
        const ferry_message *message = ferry_session_next(raw->session, SAFETY_MS);

        ck_assert_msg(message != NULL, "nothing comes: %s", ferry_session_error(raw->session));
        ck_assert_msg(ferry_message_kind(message) == kind, "kind %d, not %d: %s", ferry_message_kind(message), kind,
                      ferry_message_text(message));
        if (text)
                ck_assert_str_eq(ferry_message_text(message), text);
        return message;
}
