#include "wire/subject.h"

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
                if (*at == '.') {
                        if (!is_token(begin, at, false, has_wildcards))
                                return false;
                        begin = at + 1;
                } else if ((unsigned char)*at <= ' ' || *at == 0x7f)
                        return false;
        }
        return is_token(begin, end, true, has_wildcards);
}
