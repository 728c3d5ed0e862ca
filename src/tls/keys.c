#include "tls/keys.h"

#include <stdint.h>
#include <string.h>

enum {
        SEED_TEXT = 58,
        SEED_RAW = 2 + TLS_SEED_SIZE + 2,       /* the prefix, the seed, the checksum */
        KEY_RAW = 1 + TLS_KEY_SIZE + 2,
        PREFIX_SEED = 18 << 3,                  /* S */
        PREFIX_USER = 20 << 3,                  /* U */
};

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* CRC-16/XMODEM. */
static unsigned checksum(const unsigned char *bytes, size_t size)
{
        unsigned sum = 0;

        for (size_t i = 0; i < size; i++) {
                sum ^= (unsigned)bytes[i] << 8;
                for (int k = 0; k < 8; k++)
                        sum = (sum & 0x8000) ? (sum << 1 ^ 0x1021) & 0xffff : sum << 1;
        }
        return sum;
}

/* Bits that are left over are no part of the bytes. */
static bool decode(const struct keys_text *text, unsigned char *target, size_t size)
{
        unsigned bits = 0;
        size_t count = 0, put = 0;

        for (size_t i = 0; i < text->size; i++) {
                const char *at = text->bytes[i] ? strchr(base32, text->bytes[i]) : NULL;

                if (!at)
                        return false;
                bits = bits << 5 | (unsigned)(at - base32);
                count += 5;
                if (count < 8)
                        continue;
                count -= 8;
                if (put < size)
                        target[put++] = (unsigned char)(bits >> count);
                bits &= (1U << count) - 1;
        }
        return put == size;
}

bool keys_read_seed(const struct keys_text *text, unsigned char ret_seed[TLS_SEED_SIZE])
{
        unsigned char raw[SEED_RAW];
        bool is_seed = text->size == SEED_TEXT && decode(text, raw, sizeof raw) && (raw[0] & 0xf8) == PREFIX_SEED &&
                       ((raw[0] & 7) << 5 | raw[1] >> 3) == PREFIX_USER &&
                       checksum(raw, sizeof raw - 2) == (unsigned)(raw[sizeof raw - 2] | raw[sizeof raw - 1] << 8);

        if (is_seed)
                memcpy(ret_seed, raw + 2, TLS_SEED_SIZE);
        explicit_bzero(raw, sizeof raw);
        return is_seed;
}

static void encode(const unsigned char *bytes, size_t size, unsigned width, const char *digits, char *text)
{
        unsigned bits = 0, count = 0;

        for (size_t i = 0; i < size; i++) {
                bits = bits << 8 | bytes[i];
                for (count += 8; count >= width; bits &= (1U << count) - 1) {
                        count -= width;
                        *text++ = digits[bits >> count];
                }
        }
        if (count > 0)
                *text++ = digits[bits << (width - count)];
        *text = '\0';
}

void keys_write_key(const unsigned char key[TLS_KEY_SIZE], char ret_text[KEYS_KEY_TEXT])
{
        unsigned char raw[KEY_RAW] = { PREFIX_USER };
        unsigned sum;

        memcpy(raw + 1, key, TLS_KEY_SIZE);
        sum = checksum(raw, sizeof raw - 2);
        raw[sizeof raw - 2] = (unsigned char)sum;
        raw[sizeof raw - 1] = (unsigned char)(sum >> 8);
        encode(raw, sizeof raw, 5, base32, ret_text);
}

void keys_write_signature(const unsigned char signature[TLS_SIGNATURE_SIZE], char ret_text[KEYS_SIGNATURE_TEXT])
{
        encode(signature, TLS_SIGNATURE_SIZE, 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", ret_text);
}

/* Files -------------------------------------------------------------------------------------------------- */

/* The next line without the blanks around it; false: there is none. */
static bool next_line(const char **bytes, size_t *size, struct keys_text *ret)
{
        const char *end;
        size_t whole;

        if (*size == 0)
                return false;
        end = memchr(*bytes, '\n', *size);
        whole = end ? (size_t)(end - *bytes) + 1 : *size;
        *ret = (struct keys_text){ *bytes, whole };
        *bytes += whole;
        *size -= whole;
        while (ret->size > 0 && memchr(" \t\r\n", ret->bytes[ret->size - 1], 4))
                ret->size--;
        while (ret->size > 0 && memchr(" \t", ret->bytes[0], 2)) {
                ret->bytes++;
                ret->size--;
        }
        return true;
}

/* The line behind "-----BEGIN … WHAT-----". */
static bool find_marked(const char *bytes, size_t size, const char *what, struct keys_text *ret)
{
        struct keys_text line;
        bool is_next = false;

        while (next_line(&bytes, &size, &line)) {
                if (line.size >= 3 && memcmp(line.bytes, "---", 3) == 0)
                        is_next = memmem(line.bytes, line.size, "BEGIN", 5) && memmem(line.bytes, line.size, what, strlen(what));
                else if (is_next && line.size > 0) {
                        *ret = line;
                        return true;
                }
        }
        return false;
}

bool keys_find_seed(const char *bytes, size_t size, struct keys_text *ret)
{
        if (find_marked(bytes, size, "SEED", ret))
                return true;
        while (next_line(&bytes, &size, ret))
                if (ret->size >= 2 && memcmp(ret->bytes, "SU", 2) == 0)
                        return true;
        return false;
}

bool keys_find_jwt(const char *bytes, size_t size, struct keys_text *ret)
{
        if (!find_marked(bytes, size, "JWT", ret))
                return false;
        for (size_t i = 0; i < ret->size; i++) {
                char byte = ret->bytes[i];

                if (!(byte >= 'a' && byte <= 'z') && !(byte >= 'A' && byte <= 'Z') && !(byte >= '0' && byte <= '9') &&
                    byte != '.' && byte != '-' && byte != '_')
                        return false;
        }
        return true;
}
