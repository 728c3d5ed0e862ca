#include "wire/subject.h"

bool subject_is_valid(const char *bytes, size_t size, bool has_wildcards)
{
        size_t begin = 0;

        for (size_t at = 0; at <= size; at++) {
                if (at < size && ((unsigned char)bytes[at] <= ' ' || bytes[at] == 0x7f))
                        return false;
                if (at < size && bytes[at] != '.')
                        continue;
                if (at == begin)
                        return false;
                if (at - begin == 1 && (bytes[begin] == '*' || bytes[begin] == '>') &&
                    (!has_wildcards || (bytes[begin] == '>' && at < size)))
                        return false;
                begin = at + 1;
        }
        return true;
}
