/* Byte by byte, the first that the codec does not call wrong; back where none is left. The bytes to be tried are what
 * the formats are made of, so that strings, numbers and containers end as soon as they can. */
#include "vectors/complete.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        FOLLOWING_MAX = 600,    /* bytes */
        TRIES_MAX = 20000,
        PROBE = 1 << 16,
};

static const char php_bytes[] = "};:\"{0N1iaFA-*\0";
static const char json_bytes[] = "\"}]:0ruealsn\\dc1\x80\xa0\x90\xbf";
static const char msgpack_bytes[] = "a\x00\x01\xa1\xc0\x81\x80";

/* Within what is as long as it says, any byte is as good. */
static bool is_endless(const struct native_codec *codec, char *bytes, size_t size)
{
        struct check check = { 0 };

        memset(bytes + size, 'a', PROBE);
        return codec->check(bytes, size + PROBE, &check) == -EAGAIN;
}

static enum completion search(const struct native_codec *codec, const char *set, size_t set_size, char *bytes,
                              size_t *size)
{
        static unsigned char turns[FOLLOWING_MAX + 1];
        size_t depth = 0;

        turns[0] = 0;
        for (int tries = 0; tries < TRIES_MAX; tries++) {
                struct check check = { 0 };
                int error;

                if (turns[depth] == set_size) {
                        if (depth == 0)
                                return IMPOSSIBLE;
                        turns[--depth]++;
                        continue;
                }
                bytes[*size + depth] = set[turns[depth]];
                error = codec->check(bytes, *size + depth + 1, &check);
                if (error == 0) {
                        *size += depth + 1;
                        return COMPLETED;
                }
                if (error != -EAGAIN) {
                        turns[depth]++;
                        continue;
                }
                if (++depth == FOLLOWING_MAX)
                        return ENDLESS;
                turns[depth] = 0;
        }
        return IMPOSSIBLE;
}

enum completion complete(const ferry_codec *codec, const char *bytes, size_t size, char **ret_bytes, size_t *ret_size)
{
        const struct native_codec *native = codec_native(codec);
        bool is_json = codec == ferry_codec_json() || codec == ferry_codec_json_objects(), is_php = codec == ferry_codec_php();
        const char *set = is_json ? json_bytes : is_php ? php_bytes : msgpack_bytes;
        size_t set_size = is_json ? sizeof json_bytes - 1 : is_php ? sizeof php_bytes - 1 : sizeof msgpack_bytes - 1;
        char *whole = malloc(size + PROBE);
        enum completion completion;

        memcpy(whole, bytes, size);
        *ret_size = size;
        completion = !is_json && is_endless(native, whole, size) ? ENDLESS :
                                                                   search(native, set, set_size, whole, ret_size);
        *ret_bytes = whole;
        if (completion != COMPLETED) {
                free(whole);
                *ret_bytes = NULL;
        }
        return completion;
}
