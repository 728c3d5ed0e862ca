/* Text from elsewhere that people see: what a terminal would act on is shown, not sent. The forms are those of less(1). */
#include "cli.h"

#include <stdint.h>
#include <stdio.h>

/* The size of the UTF-8 character at @at, and the character; 0: its first byte begins none. */
static size_t read_character(const unsigned char *at, size_t left, uint32_t *ret)
{
        size_t size = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;

        if (size == 0 || size > left)
                return 0;
        *ret = size == 1 ? *at : *at & (0x7fU >> size);
        for (size_t i = 1; i < size; i++) {
                if ((at[i] & 0xc0) != 0x80)
                        return 0;
                *ret = *ret << 6 | (at[i] & 0x3f);
        }
        if ((size == 3 && (*ret < 0x800 || (*ret >= 0xd800 && *ret <= 0xdfff))) ||
            (size == 4 && (*ret < 0x10000 || *ret > 0x10ffff)))
                return 0;
        return size;
}

bool is_utf8(const char *bytes, size_t size)
{
        uint32_t character;

        for (size_t taken; size > 0; bytes += taken, size -= taken) {
                taken = read_character((const unsigned char *)bytes, size, &character);
                if (taken == 0)
                        return false;
        }
        return true;
}

/* Characters that act on a terminal or on the order of what it shows: controls, separators of lines, bidirectional marks; and
 * the byte order mark, which is not seen at all. */
static bool is_hidden(uint32_t character)
{
        return character < ' ' || (character >= 0x7f && character <= 0x9f) || character == 0x61c ||
               character == 0x200e || character == 0x200f || (character >= 0x2028 && character <= 0x202e) ||
               (character >= 0x2066 && character <= 0x2069) || character == 0xfeff;
}

size_t escape_next(const char *bytes, size_t size, enum escaping how, char text[ESCAPED_MAX], size_t *ret_taken)
{
        const unsigned char *at = (const unsigned char *)bytes;
        uint32_t character = 0;
        bool is_kept;

        *ret_taken = read_character(at, size, &character);
        if (*ret_taken == 0) {
                *ret_taken = 1;
                return (size_t)snprintf(text, ESCAPED_MAX, "<%02X>", *at);
        }
        is_kept = !is_hidden(character) || (how != ESCAPE_LINE && (character == '\n' || character == '\t'));
        if (is_kept)
                return (size_t)snprintf(text, ESCAPED_MAX, "%.*s", (int)*ret_taken, bytes);
        if (how == ESCAPE_JSON)
                return (size_t)snprintf(text, ESCAPED_MAX, "\\u%04x", character);
        if (character < ' ' || character == 0x7f)
                return (size_t)snprintf(text, ESCAPED_MAX, "^%c", (char)(character ^ 0x40));
        return (size_t)snprintf(text, ESCAPED_MAX, "<U+%04X>", character);
}

void escape(FILE *stream, const char *bytes, size_t size, enum escaping how)
{
        while (size > 0) {
                char text[ESCAPED_MAX] = "";
                size_t plain = 0, shown, taken;

                /* Most text is plain. */
                while (plain < size && bytes[plain] >= ' ' && bytes[plain] < 0x7f)
                        plain++;
                fwrite(bytes, 1, plain, stream);
                bytes += plain;
                size -= plain;
                if (size == 0)
                        return;
                shown = escape_next(bytes, size, how, text, &taken);
                fwrite(text, 1, shown, stream);
                bytes += taken;
                size -= taken;
        }
}
