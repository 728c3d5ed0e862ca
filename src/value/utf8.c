/* UTF-8 as RFC 3629 has it. */
#include "value/json.h"
#include "value/scan.h"

/* Whether bytes begin a UTF-8 sequence: its length; 0 if not; -1 if more bytes are needed to decide. */
int utf8_length(const unsigned char *at, size_t left)
{
        unsigned char low = 0x80, high = 0xbf;
        int length;

        if (at[0] < 0x80)
                return 1;
        if (at[0] < 0xc2 || at[0] > 0xf4)
                return 0;
        length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
        if (at[0] == 0xe0)
                low = 0xa0;
        else if (at[0] == 0xed)
                high = 0x9f;
        else if (at[0] == 0xf0)
                low = 0x90;
        else if (at[0] == 0xf4)
                high = 0x8f;
        for (int i = 1; i < length; i++) {
                if ((size_t)i == left)
                        return -1;
                if (at[i] < low || at[i] > high)
                        return 0;
                low = 0x80;
                high = 0xbf;
        }
        return length;
}

/* Few bytes: two words that overlap, instead of a loop. */
static inline bool is_short_ascii(const unsigned char *at, size_t size)
{
        uint64_t first = 0, last = 0;

        if (size >= 8) {
                memcpy(&first, at, 8);
                memcpy(&last, at + size - 8, 8);
        } else if (size >= 4) {
                memcpy(&first, at, 4);
                memcpy(&last, at + size - 4, 4);
        } else {
                for (size_t i = 0; i < size; i++)
                        first |= at[i];
        }
        return ((first | last) & 0x8080808080808080) == 0;
}

bool utf8_is_valid(const void *bytes, size_t size)
{
        const unsigned char *at = bytes, *end = size > 0 ? at + size : at;

        if (size <= 16 && is_short_ascii(at, size))
                return true;
        while (at < end) {
                int length = *at < 0x80 ? 1 : utf8_length(at, (size_t)(end - at));
                uint64_t word;

                if (length <= 0)
                        return false;
                at += length;
                while (end - at >= 8 && (memcpy(&word, at, 8), (word & 0x8080808080808080) == 0))
                        at += 8;
        }
        return true;
}
