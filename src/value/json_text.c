/* Escapes of JSON. */
#include "value/json.h"
#include "value/scan.h"

int json_hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

unsigned json_hex_number(const char *at)
{
        unsigned number = 0;

        for (int i = 0; i < 4; i++)
                number = number << 4 | (unsigned)json_hex_digit(at[i]);
        return number;
}

static char *put_utf8(char *at, unsigned c)
{
        if (c < 0x80) {
                *at++ = (char)c;
        } else if (c < 0x800) {
                *at++ = (char)(0xc0 | c >> 6);
                *at++ = (char)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
                *at++ = (char)(0xe0 | c >> 12);
                *at++ = (char)(0x80 | (c >> 6 & 0x3f));
                *at++ = (char)(0x80 | (c & 0x3f));
        } else {
                *at++ = (char)(0xf0 | c >> 18);
                *at++ = (char)(0x80 | (c >> 12 & 0x3f));
                *at++ = (char)(0x80 | (c >> 6 & 0x3f));
                *at++ = (char)(0x80 | (c & 0x3f));
        }
        return at;
}

/* What an escape stands for, behind which @*bytes goes on. */
static char *put_escaped(char *at, const char **bytes)
{
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char *escape = *bytes, *named;
        unsigned c;

        if (escape[1] != 'u') {
                named = strchr(from, escape[1]);
                *at = escape[1];
                if (named)
                        *at = to[named - from];
                at++;
                *bytes += 2;
                return at;
        }
        c = json_hex_number(escape + 2);
        *bytes += 6;
        if (c >= 0xd800 && c < 0xdc00) {
                c = 0x10000 + ((c - 0xd800) << 10) + (json_hex_number(escape + 8) - 0xdc00);
                *bytes += 6;
        }
        return put_utf8(at, c);
}

char *json_unescape(const char **bytes, const char *end, char *target)
{
        const char *plain;
        size_t size;

        for (;;) {
                plain = *bytes;
                *bytes = scan_quote(plain, end);
                size = (size_t)(*bytes - plain);
                if (target != plain)
                        memmove(target, plain, size);
                target += size;
                if (*bytes == end || **bytes == '"')
                        return target;
                target = put_escaped(target, bytes);
        }
}

size_t raw_text_copy(const struct raw_text *text, char *target)
{
        const char *bytes = text->bytes;
        size_t size = text->size;

        if (text->is_escaped)
                size = (size_t)(json_unescape(&bytes, bytes + size, target) - target);
        else if (size > 0)
                memcpy(target, text->bytes, size);
        target[size] = '\0';
        return size;
}
