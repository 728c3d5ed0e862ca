/* The spelling of addresses, and what a name is in full. Nothing is opened here. */
#include "stream/name.h"
#include "stream/inet.h"

#include <ferry/address.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

int ferry_address_scheme(const char *address)
{
        static const struct {
                const char *prefix;
                enum ferry_scheme scheme;
        } schemes[] = {
                { "unix:", FERRY_SCHEME_UNIX },   { "exec:", FERRY_SCHEME_EXEC }, { "stdio:", FERRY_SCHEME_STDIO },
                { "file:", FERRY_SCHEME_FILE },   { "fd:", FERRY_SCHEME_FD },     { "tcp:", FERRY_SCHEME_TCP },
        };
        union inet_address addresses[INET_ADDRESSES_MAX];

        for (size_t i = 0; address && i < sizeof schemes / sizeof *schemes; i++) {
                size_t size = strlen(schemes[i].prefix);
                const char *text = address + size;

                if (strncmp(address, schemes[i].prefix, size) != 0)
                        continue;
                if (schemes[i].scheme == FERRY_SCHEME_UNIX) {
                        if (strlen(text) >= sizeof ((struct sockaddr_un *)NULL)->sun_path)
                                return -ENAMETOOLONG;
                        return *text ? (int)FERRY_SCHEME_UNIX : -EINVAL;
                }
                if (schemes[i].scheme == FERRY_SCHEME_STDIO && *text)
                        return -EINVAL;
                if (schemes[i].scheme == FERRY_SCHEME_TCP && inet_parse(text, addresses) < 0)
                        return -EINVAL;
                return (int)schemes[i].scheme;
        }
        return address && name_is_valid(address) ? (int)FERRY_SCHEME_NAME : -EINVAL;
}

int ferry_address_resolve(const char *address, unsigned dialect, char *buffer, size_t size)
{
        char path[sizeof ((struct sockaddr_un *)NULL)->sun_path];
        struct error error = { 0 };
        int scheme = ferry_address_scheme(address), code;

        if (scheme < 0)
                return scheme;
        if (scheme != FERRY_SCHEME_NAME)
                return snprintf(buffer, size, "%s", address);
        code = name_find(&(struct name_place){ .name = address, .dialect = dialect }, false, path, sizeof path, &error);
        error_deinit(&error);
        return code < 0 ? code : snprintf(buffer, size, "unix:%s", path);
}
