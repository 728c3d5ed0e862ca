#include "wire/subject.h"

/* Bytes of a token: neither a blank nor a control character, nor the dot between two. */
static bool is_inside(unsigned char byte)
{
        static const bool others[256] = { [0 ... ' '] = true, ['.'] = true, [0x7f] = true };

        return !others[byte];
}

static bool is_token(const char *begin, const char *end, bool is_last, bool has_wildcards)
{
        if (end - begin != 1)
                return end > begin;
        return *begin == '*' ? has_wildcards : *begin == '>' ? has_wildcards && is_last : true;
}

bool subject_is_valid(const char *bytes, size_t size, bool has_wildcards)
{
        const char *begin = bytes, *end;

        if (size == 0)
                return false;
        end = bytes + size;
        for (const char *at = bytes; at < end; at++) {
                if (is_inside((unsigned char)*at))
                        continue;
                if (*at != '.' || !is_token(begin, at, false, has_wildcards))
                        return false;
                begin = at + 1;
        }
        return is_token(begin, end, true, has_wildcards);
}
