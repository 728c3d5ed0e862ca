/* The module in support/toy.h's stead of TLS. A host that is named "strange" is not trusted. */
#include "support/toy.h"
#include "tls/module.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((__visibility__("default"))) extern const struct tls_module ferry_tls_module;

struct bytes {
        unsigned char *memory;
        size_t begin, end;
};

struct tls {
        struct bytes input, output, plain;
        int has_shaken, has_ended, is_strange;
};

static int add(struct bytes *bytes, const void *more, size_t size)
{
        unsigned char *memory = realloc(bytes->memory, bytes->end + size + 1);

        if (!memory)
                return -ENOMEM;
        bytes->memory = memory;
        memcpy(memory + bytes->end, more, size);
        bytes->end += size;
        return 0;
}

static size_t size_of(const struct bytes *bytes)
{
        return bytes->end - bytes->begin;
}

static size_t drop(struct bytes *bytes, size_t size)
{
        bytes->begin += size;
        if (bytes->begin == bytes->end)
                bytes->begin = bytes->end = 0;
        return size;
}

static void put_record(struct tls *tls, char type, const void *bytes, size_t size)
{
        unsigned char head[TOY_HEADER] = { (unsigned char)type, (unsigned char)(size >> 8), (unsigned char)size };

        add(&tls->output, head, sizeof head);
        add(&tls->output, bytes, size);
        for (size_t i = 0; i < size; i++)
                tls->output.memory[tls->output.end - size + i] ^= TOY_XOR;
}

static int toy_open(const struct tls_settings *settings, const char *host, bool is_address, struct tls **ret, char why[TLS_WHY_MAX])
{
        struct tls *tls = calloc(1, sizeof *tls);
        char hello[300];

        (void)is_address;
        if (settings->ca) {
                snprintf(why, TLS_WHY_MAX, "cannot use the certificates of '%s'", settings->ca);
                free(tls);
                return -EINVAL;
        }
        if (!tls)
                return -ENOMEM;
        snprintf(hello, sizeof hello, "CLIENT HELLO %s\n", host);
        add(&tls->output, hello, strlen(hello));
        tls->is_strange = strcmp(host, "strange") == 0;
        *ret = tls;
        return 0;
}

static void toy_free(struct tls *tls)
{
        free(tls->input.memory);
        free(tls->output.memory);
        free(tls->plain.memory);
        free(tls);
}

static int toy_feed(struct tls *tls, const void *bytes, size_t size)
{
        return add(&tls->input, bytes, size);
}

static bool toy_has_input(const struct tls *tls)
{
        return size_of(&tls->input) > 0 || size_of(&tls->plain) > 0;
}

static size_t toy_count_output(const struct tls *tls)
{
        return size_of(&tls->output);
}

static size_t toy_take(struct tls *tls, void *buffer, size_t size)
{
        size_t taken = size_of(&tls->output) < size ? size_of(&tls->output) : size;

        memcpy(buffer, tls->output.memory + tls->output.begin, taken);
        return drop(&tls->output, taken);
}

static int toy_shake_hands(struct tls *tls, char why[TLS_WHY_MAX])
{
        static const char hello[] = "SERVER HELLO\n", no[] = "SERVER NO\n", finished[] = "CLIENT FINISHED\n";
        const char *got = tls->input.memory ? (const char *)tls->input.memory + tls->input.begin : "";
        size_t size = size_of(&tls->input);

        if (tls->is_strange) {
                snprintf(why, TLS_WHY_MAX, "the certificate of the server is not trusted: it is strange");
                return -EKEYREJECTED;
        }
        if (size >= strlen(hello) && memcmp(got, hello, strlen(hello)) == 0) {
                drop(&tls->input, strlen(hello));
                add(&tls->output, finished, strlen(finished));
                tls->has_shaken = 1;
                return 0;
        }
        if (size >= strlen(no) && memcmp(got, no, strlen(no)) == 0) {
                snprintf(why, TLS_WHY_MAX, "the server does not take the certificate of this side");
                return -EACCES;
        }
        if (size > 0 && memcmp(got, hello, size < strlen(hello) ? size : strlen(hello)) != 0 &&
            memcmp(got, no, size < strlen(no) ? size : strlen(no)) != 0) {
                snprintf(why, TLS_WHY_MAX, "the handshake has failed: junk");
                return -EPROTO;
        }
        return -EAGAIN;
}

/* 1: a record was taken; 0: the end; -EAGAIN; -EPROTO. */
static int take_record(struct tls *tls)
{
        const unsigned char *head = tls->input.memory + tls->input.begin;
        size_t size;

        if (tls->has_ended)
                return 0;
        if (size_of(&tls->input) < TOY_HEADER)
                return -EAGAIN;
        size = (size_t)head[1] << 8 | head[2];
        if (!strchr("DEU", head[0]) || size > TOY_RECORD_MAX)
                return -EPROTO;
        if (size_of(&tls->input) < TOY_HEADER + size)
                return -EAGAIN;
        if (head[0] == 'U')
                put_record(tls, 'u', "", 0);
        tls->has_ended = head[0] == 'E';
        if (add(&tls->plain, head + TOY_HEADER, size) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < size; i++)
                tls->plain.memory[tls->plain.end - size + i] ^= TOY_XOR;
        drop(&tls->input, TOY_HEADER + size);
        return 1;
}

static ssize_t toy_read(struct tls *tls, void *buffer, size_t size, char why[TLS_WHY_MAX])
{
        size_t taken;
        int code;

        while (size_of(&tls->plain) == 0) {
                code = take_record(tls);
                if (code == -EPROTO)
                        snprintf(why, TLS_WHY_MAX, "what came is not TLS");
                if (code <= 0)
                        return code;
        }
        taken = size_of(&tls->plain) < size ? size_of(&tls->plain) : size;
        memcpy(buffer, tls->plain.memory + tls->plain.begin, taken);
        return (ssize_t)drop(&tls->plain, taken);
}

static ssize_t toy_write(struct tls *tls, const void *bytes, size_t size, char why[TLS_WHY_MAX])
{
        size_t put = size < TOY_RECORD_MAX ? size : TOY_RECORD_MAX;

        (void)why;
        put_record(tls, 'D', bytes, put);
        return (ssize_t)put;
}

static void toy_end_output(struct tls *tls)
{
        put_record(tls, 'E', "", 0);
}

static int toy_sign(const unsigned char seed[TLS_SEED_SIZE], const void *bytes, size_t size,
                    unsigned char ret_signature[TLS_SIGNATURE_SIZE], unsigned char ret_key[TLS_KEY_SIZE])
{
        memcpy(ret_key, seed, TLS_KEY_SIZE);
        memset(ret_signature, 0, TLS_SIGNATURE_SIZE);
        memcpy(ret_signature, bytes, size < TLS_SIGNATURE_SIZE ? size : TLS_SIGNATURE_SIZE);
        return 0;
}

const struct tls_module ferry_tls_module = {
        .version = TLS_MODULE_VERSION, .library = "a toy", .open = toy_open, .free = toy_free, .feed = toy_feed,
        .has_input = toy_has_input, .count_output = toy_count_output, .take = toy_take, .shake_hands = toy_shake_hands,
        .read = toy_read, .write = toy_write, .end_output = toy_end_output, .sign = toy_sign,
};
