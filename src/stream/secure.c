/* The layer of TLS in a stream. Invariants: the module has no descriptor, and every byte goes through util/sys.h; what is encrypted and
 * not taken by the socket is at most one record, and a few small ones of TLS itself, as nothing more is encrypted, or read, until it
 * is; the end of the socket without that of TLS is never an end in order. */
#include "stream/secure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        RECORD = 1 << 14,
        OUTPUT_MAX = 1 << 16,           /* of what answers the other side by itself: nothing is read while so much waits */
        HANDSHAKE_MS = 5000,
};

/* What is used ------------------------------------------------------------------------------------------- */

static const char *put_text(char **at, const char *text)
{
        const char *copy = text ? *at : NULL;

        if (text) {
                memcpy(*at, text, strlen(text) + 1);
                *at += strlen(text) + 1;
        }
        return copy;
}

static size_t text_size(const char *text)
{
        return text ? strlen(text) + 1 : 0;
}

static int check(const ferry_session_options *options, struct error *error)
{
        if (!options->nats_cert != !options->nats_key)
                return error_set(error, -EINVAL, "nats_cert and nats_key (NATS_CERT, NATS_KEY) go together: a certificate, and its private"
                                                 " key");
        if (options->nats_creds && options->nats_nkey)
                return error_set(error, -EINVAL, "nats_creds and nats_nkey are two ways to say the same: set one of them");
        return 0;
}

int secure_means_of(const ferry_session_options *options, bool needs_module, struct secure_means **ret, struct error *error)
{
        bool has_files = options->nats_ca || options->nats_cert, has_identity = options->nats_creds || options->nats_nkey;
        struct secure_means *means;
        char *at;
        int code = check(options, error);

        *ret = NULL;
        if (code || (!needs_module && !has_files && !has_identity))
                return code;
        means = sys_alloc_zeroed(sizeof *means + text_size(options->nats_ca) + text_size(options->nats_cert) + text_size(options->nats_key));
        if (!means)
                return error_set(error, -ENOMEM, "no memory for TLS");
        at = means->texts;
        means->settings.ca = put_text(&at, options->nats_ca);
        means->settings.certificate = put_text(&at, options->nats_cert);
        means->settings.key = put_text(&at, options->nats_key);
        means->is_wanted = has_files;
        code = tls_load(&means->module, error);
        if (!code && has_identity)
                code = identity_read(options->nats_creds ? options->nats_creds : options->nats_nkey, options->nats_creds != NULL,
                                     &means->identity, error);
        if (code)
                secure_means_free(means);
        else
                *ret = means;
        return code;
}

void secure_means_free(struct secure_means *means)
{
        if (!means)
                return;
        identity_free(means->identity);
        sys_free(means);
}

int secure_means_prove(struct secure_means *means, const char *nonce, struct wire_proof *ret, struct error *error)
{
        unsigned char signature[TLS_SIGNATURE_SIZE], key[TLS_KEY_SIZE];

        if (!means || !means->identity)
                return 0;
        if (means->module->sign(means->identity->seed, nonce, strlen(nonce), signature, key) < 0)
                return error_set(error, -ENOMEM, "cannot sign what the server asks for");
        keys_write_signature(signature, means->signature);
        keys_write_key(key, means->key);
        *ret = (struct wire_proof){ .jwt = means->identity->jwt_size > 0 ? means->identity->jwt : NULL, .key = means->key,
                                    .signature = means->signature };
        return 1;
}

/* Bytes of the socket ------------------------------------------------------------------------------------ */

static int fail(struct secure *secure, int code, const char *why)
{
        secure->phase = SECURE_OVER;
        snprintf(secure->why, sizeof secure->why, "%s", why);
        return code;
}

/* 0 if all was taken, -EAGAIN, or another negative errno. */
static int put_out(struct secure *secure)
{
        struct buffer *output = &secure->output;

        for (;;) {
                ssize_t put;
                char *room;

                if (buffer_size(output) == 0) {
                        if (secure->module->count_output(secure->tls) == 0)
                                break;
                        room = buffer_reserve(output, RECORD);
                        if (!room)
                                return -ENOMEM;
                        output->end += secure->module->take(secure->tls, room, RECORD);
                }
                put = sys_send(secure->stream->inputs[0].io, buffer_bytes(output), buffer_size(output));
                if (put < 0)
                        return (int)put;
                buffer_consume(output, (size_t)put);
        }
        buffer_shrink(output, (size_t)2 * RECORD);
        if (secure->has_ended_output)
                sys_shutdown(secure->stream->inputs[0].io, SHUT_WR);
        secure->has_ended_output = false;
        return 0;
}

/* The same, and the stream is to know what has become of it: in a round of its own, as it may end by that. */
static int flush(struct secure *secure)
{
        int code = put_out(secure);

        if (code && code != -EAGAIN)
                secure->output_error = code;
        if (code)
                loop_task_start(secure->stream->loop, &secure->look);
        return code;
}

static bool has_output(const struct secure *secure)
{
        return buffer_size(&secure->output) > 0 || secure->module->count_output(secure->tls) > 0;
}

/* Whether the other side takes so little that nothing more is read of it. */
static bool is_full(const struct secure *secure)
{
        return buffer_size(&secure->output) + secure->module->count_output(secure->tls) > OUTPUT_MAX;
}

/* How much has come; 0 at the end. */
static ssize_t take_in(struct secure *secure)
{
        char bytes[RECORD];
        ssize_t got;

        if (is_full(secure))
                return -EAGAIN;
        got = sys_recv(secure->stream->inputs[0].io, bytes, sizeof bytes);
        if (got > 0 && secure->module->feed(secure->tls, bytes, (size_t)got) < 0)
                return -ENOMEM;
        return got;
}

/* More of the other side is needed: 0 if something has come; else -EAGAIN, or why nothing will. */
static int need_input(struct secure *secure)
{
        ssize_t got = take_in(secure);

        if (got > 0)
                return 0;
        if (got == -EAGAIN)
                return -EAGAIN;
        if (got == 0 || got == -ECONNRESET)
                return fail(secure, -ECONNRESET, secure->phase == SECURE_SHAKING ? "the server has cut the connection during the handshake of TLS" :
                            "the connection was cut: the server has not ended TLS");
        return fail(secure, (int)got, error_describe((int)got));
}

/* The handshake ------------------------------------------------------------------------------------------ */

static int shake_hands(struct secure *secure)
{
        int code, put;

        do {
                code = secure->module->shake_hands(secure->tls, secure->why);
                /* Also the alert about a failure. That of the other side says more than that it reads nothing. */
                put = put_out(secure);
                if (code == -EAGAIN) {
                        code = need_input(secure);
                        if (code == -EAGAIN && put && put != -EAGAIN)
                                return fail(secure, put == -EPIPE ? -ECONNRESET : put, error_describe(put));
                } else if (code == 0) {
                        secure->phase = SECURE_OPEN;
                        loop_timer_stop(secure->stream->loop, &secure->deadline);
                        return 0;
                } else
                        secure->phase = SECURE_OVER;
        } while (code == 0);
        return code;
}

static void end(struct secure *secure, int code)
{
        loop_timer_stop(secure->stream->loop, &secure->deadline);
        stream_end(secure->stream, code, "no TLS with the server: %s", secure->why);
}

static void took_too_long(struct loop_timer *timer)
{
        struct secure *secure = container_of(timer, struct secure, deadline);

        fail(secure, -ETIMEDOUT, "the handshake was not finished within 5 s");
        end(secure, -ETIMEDOUT);
}

bool secure_hear(struct secure *secure)
{
        int code;

        if (secure->phase == SECURE_SHAKING) {
                code = shake_hands(secure);
                if (code && code != -EAGAIN) {
                        end(secure, code);
                        return false;
                }
        } else
                flush(secure);
        stream_update(secure->stream);
        return true;
}

static void look(struct loop_task *task)
{
        struct secure *secure = container_of(task, struct secure, look);
        struct stream *stream = secure->stream;

        if (stream->phase >= STREAM_CLOSING)
                return;
        if (secure->output_error && !stream->output_error)
                stream_fail_output(stream, secure->output_error);
        else
                stream_update(stream);
        if (stream->phase < STREAM_ENDED && stream->wants_read && secure_has_input(secure))
                stream->owner->readable(stream);
}

void secure_look(struct secure *secure)
{
        if (secure_has_input(secure))
                loop_task_start(secure->stream->loop, &secure->look);
}

int secure_start(struct stream *stream, const struct secure_means *means, const char *host, bool is_address, struct error *error)
{
        struct secure *secure = sys_alloc_zeroed(sizeof *secure);
        int code;

        if (!secure)
                return error_set(error, -ENOMEM, "no memory for TLS");
        secure->stream = stream;
        secure->module = means->module;
        secure->look.fn = look;
        secure->deadline.fn = took_too_long;
        code = means->module->open(&means->settings, host, is_address, &secure->tls, secure->why);
        if (code) {
                error_set(error, code, "no TLS with the server: %s", secure->why);
                sys_free(secure);
                return code;
        }
        stream->secure = secure;
        loop_timer_start(stream->loop, &secure->deadline, loop_deadline(HANDSHAKE_MS));
        code = shake_hands(secure);
        if (code && code != -EAGAIN)
                return error_set(error, code, "no TLS with the server: %s", secure->why);
        stream_update(stream);
        return 0;
}

/* Reading and writing ------------------------------------------------------------------------------------ */

/* What one record has, or less. */
static ssize_t read_record(struct secure *secure, void *buffer, size_t size)
{
        ssize_t got;
        int code = 0;

        do {
                got = secure->module->read(secure->tls, buffer, size, secure->why);
                flush(secure);
                if (got == -EAGAIN)
                        code = need_input(secure);
        } while (got == -EAGAIN && code == 0);
        if (got < 0 && got != -EAGAIN)
                secure->phase = SECURE_OVER;
        return got == -EAGAIN ? code : got;
}

/* A read that comes short has read all that there was, as one of a socket. */
ssize_t secure_read(struct secure *secure, void *buffer, size_t size)
{
        ssize_t got = 1;
        size_t all = 0;

        if (secure->phase == SECURE_SHAKING)
                return -EAGAIN;
        if (secure->has_ended_input)
                return secure->end;
        if (secure->phase == SECURE_OVER)
                return -ECONNRESET;
        while (all < size && got > 0) {
                got = read_record(secure, (char *)buffer + all, size - all);
                if (got > 0)
                        all += (size_t)got;
        }
        if (got <= 0 && got != -EAGAIN) {
                secure->has_ended_input = true;
                secure->end = (int)got;
        }
        if (all == 0)
                return got;
        secure_look(secure);
        return (ssize_t)all;
}

/* Some of the slices in one piece, so that they are one record. */
static size_t gather(char piece[RECORD], const struct iovec *slices, int count, size_t skipped)
{
        size_t size = 0;

        for (int i = 0; i < count && size < RECORD; i++) {
                size_t length = slices[i].iov_len, taken;

                if (skipped >= length) {
                        skipped -= length;
                        continue;
                }
                taken = length - skipped < RECORD - size ? length - skipped : RECORD - size;
                memcpy(piece + size, (const char *)slices[i].iov_base + skipped, taken);
                size += taken;
                skipped = 0;
        }
        return size;
}

ssize_t secure_write(struct secure *secure, struct iovec *slices, int count)
{
        char piece[RECORD];
        size_t all = 0, size;
        ssize_t put = 0;
        int code;

        if (secure->phase == SECURE_SHAKING)
                return -EAGAIN;
        if (secure->phase == SECURE_OVER)
                return -EPIPE;
        while ((code = flush(secure)) == 0 && (size = gather(piece, slices, count, all)) > 0) {
                put = secure->module->write(secure->tls, piece, size, secure->why);
                if (put <= 0)
                        break;
                all += (size_t)put;
        }
        if (code && code != -EAGAIN)
                return all > 0 ? (ssize_t)all : code;
        return all > 0 ? (ssize_t)all : put < 0 ? put : -EAGAIN;
}

uint32_t secure_events(const struct secure *secure, bool wants_read, bool wants_write)
{
        bool is_shaking = secure->phase == SECURE_SHAKING;

        bool awaits_input = (is_shaking && secure->stream->phase < STREAM_ENDED) || wants_read;
        bool awaits_room = has_output(secure) || (wants_write && !is_shaking);

        return (awaits_input && !is_full(secure) ? EPOLLIN : 0) | (awaits_room ? EPOLLOUT : 0);
}

bool secure_has_input(const struct secure *secure)
{
        return secure->has_ended_input || (secure->phase == SECURE_OPEN && secure->module->has_input(secure->tls));
}

bool secure_can_write(const struct secure *secure)
{
        return secure->phase != SECURE_SHAKING && !has_output(secure);
}

void secure_end_output(struct secure *secure)
{
        if (secure->phase == SECURE_OPEN)
                secure->module->end_output(secure->tls);
        secure->has_ended_output = true;
        put_out(secure);
}

bool secure_flush(struct secure *secure)
{
        return put_out(secure) == -EAGAIN;
}

void secure_free(struct secure *secure)
{
        loop_timer_stop(secure->stream->loop, &secure->deadline);
        loop_task_stop(&secure->look);
        secure->module->free(secure->tls);
        buffer_deinit(&secure->output);
        sys_free(secure);
}
