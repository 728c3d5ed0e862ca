/* The spelling of addresses, and what a name is in full. Nothing is opened here. */
#include "stream/abstract.h"
#include "stream/name.h"
#include "stream/inet.h"
#include "stream/ssh.h"
#include "wire/subject.h"

#include <ferry/address.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum { QUEUE_NAME_MAX = 254 };

static const struct {
        const char *prefix;
        enum ferry_scheme scheme;
} schemes[] = {
        { "unix:", FERRY_SCHEME_UNIX }, { "exec:", FERRY_SCHEME_EXEC }, { "stdio:", FERRY_SCHEME_STDIO },
        { "file:", FERRY_SCHEME_FILE }, { "fd:", FERRY_SCHEME_FD },     { "tcp:", FERRY_SCHEME_TCP },
        { "fifo:", FERRY_SCHEME_FIFO }, { "udp:", FERRY_SCHEME_UDP },   { "udg:", FERRY_SCHEME_UDG },
        { "msgq:", FERRY_SCHEME_MSGQ }, { "shm:", FERRY_SCHEME_SHM },   { "mqueue:", FERRY_SCHEME_MQUEUE },
        { "ssh:", FERRY_SCHEME_SSH },   { "nats:", FERRY_SCHEME_NATS },
};

static int check_path(const char *path)
{
        if (strlen(path) >= sizeof ((struct sockaddr_un *)NULL)->sun_path)
                return -ENAMETOOLONG;
        return *path ? 0 : -EINVAL;
}

/* What the kernel would refuse whatever there is. */
static int check_text(enum ferry_scheme scheme, const char *text)
{
        struct ssh_address ssh;
        union inet_address addresses[INET_ADDRESSES_MAX];
        struct sockaddr_un name;
        socklen_t name_size;

        switch (scheme) {
        case FERRY_SCHEME_UDG:
                return *text == '@' ? abstract_parse(text + 1, &name, &name_size) : check_path(text);
        case FERRY_SCHEME_UNIX:
                return check_path(text);
        case FERRY_SCHEME_SSH:
                return ssh_parse(text, &ssh);
        case FERRY_SCHEME_NATS:
                return strlen(text) > SUBJECT_MAX ? -ENAMETOOLONG : subject_is_valid(text, strlen(text), true) ? 0 : -EINVAL;
        case FERRY_SCHEME_STDIO:
                return *text ? -EINVAL : 0;
        case FERRY_SCHEME_TCP:
        case FERRY_SCHEME_UDP:
                return inet_parse(text, addresses) < 0 ? -EINVAL : 0;
        case FERRY_SCHEME_MQUEUE:
                text += *text == '/';
                if (strlen(text) > QUEUE_NAME_MAX)
                        return -ENAMETOOLONG;
                return !*text || strchr(text, '/') || strcmp(text, ".") == 0 || strcmp(text, "..") == 0 ? -EINVAL : 0;
        case FERRY_SCHEME_FIFO:
        case FERRY_SCHEME_MSGQ:
        case FERRY_SCHEME_SHM:
                return *text ? 0 : -EINVAL;
        default:
                return 0;
        }
}

int ferry_address_scheme(const char *address)
{
        for (size_t i = 0; address && i < sizeof schemes / sizeof *schemes; i++) {
                size_t size = strlen(schemes[i].prefix);
                int code;

                if (strncmp(address, schemes[i].prefix, size) != 0)
                        continue;
                code = check_text(schemes[i].scheme, address + size);
                return code ? code : (int)schemes[i].scheme;
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
