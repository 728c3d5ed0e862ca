/* Names of sockets in the abstract namespace. */
#include "stream/abstract.h"

#include <errno.h>
#include <stddef.h>

static int hex_digit(char digit)
{
        return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

int abstract_parse(const char *text, struct sockaddr_un *address, socklen_t *ret_size)
{
        size_t used = 1;

        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        for (; *text && used < sizeof address->sun_path; text++) {
                if (text[0] == '\\' && text[1] == 'x' && hex_digit(text[2]) >= 0 && hex_digit(text[3]) >= 0) {
                        address->sun_path[used++] = (char)(hex_digit(text[2]) << 4 | hex_digit(text[3]));
                        text += 3;
                } else
                        address->sun_path[used++] = *text;
        }
        *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + used);
        return *text ? -ENAMETOOLONG : used == 1 ? -EINVAL : 0;
}
