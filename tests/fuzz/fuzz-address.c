/* Addresses: their scheme, and opening sessions and services at them where the system refuses whatever would have an
 * effect. What must hold:
 *
 *      - the scheme is that of a model; what has none cannot be opened, with the same error
 *      - opening fails, with a sentence, and leaves nothing */
#include "fuzz/fuzz.h"

#include <ferry/ferry.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int judge(enum door_call call, bool is_child)
{
        (void)is_child;
        switch (call) {
        case DOOR_alloc:
        case DOOR_alloc_zeroed:
        case DOOR_realloc:
        case DOOR_close:
        case DOOR_epoll_create:
        case DOOR_epoll_control:
        case DOOR_epoll_wait:
        case DOOR_eventfd:
        case DOOR_map_wiped_on_fork:
                return 0;
        default:
                return -EACCES;
        }
}

/* Digits, of which the first is 0 only if it is the only one, and which are no more than @most. */
static bool is_number(const char *text, size_t size, unsigned most)
{
        unsigned number = 0;

        if (size == 0 || size > 5 || (text[0] == '0' && size > 1))
                return false;
        for (size_t i = 0; i < size; i++) {
                if (text[i] < '0' || text[i] > '9')
                        return false;
                number = number * 10 + (unsigned)(text[i] - '0');
        }
        return number <= most;
}

static bool is_ipv4(const char *text, size_t size)
{
        for (int i = 0; i < 4; i++) {
                const char *dot = i < 3 ? memchr(text, '.', size) : text + size;
                size_t here = dot ? (size_t)(dot - text) : 0;

                if (!dot || !is_number(text, here, 255))
                        return false;
                size -= here + (i < 3);
                text = dot + 1;
        }
        return true;
}

static bool is_hexadecimal(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Eight groups of up to four digits; "::" once, for one or more of them; the last two may be an IPv4 address. */
static bool is_ipv6(const char *text, size_t size)
{
        size_t at = 0, groups = 0;
        bool is_short = false;

        if (size >= 2 && text[0] == ':' && text[1] == ':') {
                is_short = true;
                at = 2;
        }
        while (at < size) {
                size_t begin = at;

                while (at < size && is_hexadecimal(text[at]))
                        at++;
                if (at < size && text[at] == '.') {
                        groups += 2;
                        return is_ipv4(text + begin, size - begin) && (is_short ? groups < 8 : groups == 8);
                }
                if (at == begin || at - begin > 4)
                        return false;
                groups++;
                if (at == size)
                        break;
                if (text[at++] != ':' || at == size)
                        return false;
                if (text[at] == ':') {
                        if (is_short)
                                return false;
                        is_short = true;
                        at++;
                }
        }
        return is_short ? groups < 8 : groups == 8;
}

static bool is_port(const char *text, size_t size)
{
        const char *colon = memrchr(text, ':', size);
        size_t host = colon ? (size_t)(colon - text) : 0;

        if (!colon || !is_number(colon + 1, size - host - 1, 65535))
                return false;
        if (host > 2 && text[0] == '[' && text[host - 1] == ']')
                return is_ipv6(text + 1, host - 2);
        return is_ipv4(text, host) || (host == 9 && memcmp(text, "localhost", 9) == 0);
}

/* Up to 254 bytes without a slash, but perhaps one at the beginning. */
static int model_queue(const char *name, size_t size)
{
        if (size > 0 && *name == '/') {
                name++;
                size--;
        }
        if (size > 254)
                return -ENAMETOOLONG;
        return size == 0 || memchr(name, '/', size) || (*name == '.' && (size == 1 || (size == 2 && name[1] == '.'))) ?
               -EINVAL : (int)FERRY_SCHEME_MQUEUE;
}

static int model(const char *text, size_t size);

/* No option of ssh, and nothing that a shell would read as more than a name. */
static bool is_ssh_name(const char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if (!(text[i] & 0x80) && !isalnum((unsigned char)text[i]) && !memchr("%+,-.:=@^_", text[i], 10))
                        return false;
        return size > 0 && *text != '-';
}

/* [USER@]HOST[:PORT]:NAME. */
static bool model_ssh(const char *text, size_t size)
{
        size_t head = 0, host, digits = 0;
        int scheme;

        while (head < size && text[head] != ':' && text[head] != '[')
                head++;
        for (size_t at = head; at > 0; at--)
                if (text[at - 1] == '@') {
                        if (!is_ssh_name(text, at - 1))
                                return false;
                        text += at;
                        size -= at;
                        break;
                }
        if (size > 0 && *text == '[') {
                const char *end = memchr(text, ']', size);

                host = end ? (size_t)(end - text) : 0;
                if (!end || !is_ssh_name(text + 1, host - 1))
                        return false;
                host++;
        } else {
                const char *end = memchr(text, ':', size);

                host = end ? (size_t)(end - text) : 0;
                if (!is_ssh_name(text, host))
                        return false;
        }
        if (host >= size || text[host] != ':')
                return false;
        text += host + 1;
        size -= host + 1;
        while (digits < size && text[digits] >= '0' && text[digits] <= '9')
                digits++;
        if (digits > 0 && digits < size && text[digits] == ':') {
                /* Zeros may stand before it. */
                size_t zeros = strspn(text, "0");

                if (zeros >= digits || !is_number(text + zeros, digits - zeros, 65535))
                        return false;
                text += digits + 1;
                size -= digits + 1;
        }
        if (size > 4 && memcmp(text, "ssh:", 4) == 0)
                return true;
        scheme = model(text, size);
        if (scheme == FERRY_SCHEME_EXEC)
                return text[5 + strspn(text + 5, " \t\n")] != '\0';
        if (scheme == FERRY_SCHEME_FIFO)
                return memchr(text, ',', size) != NULL;
        return scheme == FERRY_SCHEME_NAME || scheme == FERRY_SCHEME_UNIX || scheme == FERRY_SCHEME_TCP || scheme == FERRY_SCHEME_FILE;
}

/* Tokens with dots between, without blanks and control characters; the token > is the last one. */
static bool is_subject(const char *text, size_t size)
{
        size_t token = 0;

        for (size_t i = 0; i < size; i++) {
                if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
                        return false;
                token = text[i] == '.' ? 0 : token + 1;
                if (text[i] == '.' && (i == 0 || text[i - 1] == '.' || (text[i - 1] == '>' && (i == 1 || text[i - 2] == '.'))))
                        return false;
        }
        return token > 0;
}

/* Number, name, what may follow. */
static int model(const char *text, size_t size)
{
        static const struct {
                const char *prefix;
                int scheme;
        } schemes[] = { { "unix", FERRY_SCHEME_UNIX }, { "exec", FERRY_SCHEME_EXEC }, { "stdio", FERRY_SCHEME_STDIO },
                        { "file", FERRY_SCHEME_FILE }, { "fd", FERRY_SCHEME_FD }, { "tcp", FERRY_SCHEME_TCP },
                        { "udp", FERRY_SCHEME_UDP }, { "udg", FERRY_SCHEME_UDG }, { "fifo", FERRY_SCHEME_FIFO },
                        { "ssh", FERRY_SCHEME_SSH }, { "nats", FERRY_SCHEME_NATS }, { "msgq", FERRY_SCHEME_MSGQ }, { "mqueue", FERRY_SCHEME_MQUEUE }, { "shm", FERRY_SCHEME_SHM } };
        const char *colon = memchr(text, ':', size);
        size_t rest = colon ? size - (size_t)(colon - text) - 1 : 0;

        for (size_t i = 0; colon && i < sizeof schemes / sizeof *schemes; i++) {
                int scheme = schemes[i].scheme;

                if ((size_t)(colon - text) != strlen(schemes[i].prefix) ||
                    memcmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) != 0)
                        continue;
                if (scheme == FERRY_SCHEME_MQUEUE)
                        return model_queue(colon + 1, rest);
                if (scheme == FERRY_SCHEME_FIFO || scheme == FERRY_SCHEME_MSGQ || scheme == FERRY_SCHEME_SHM)
                        return rest == 0 ? -EINVAL : scheme;
                /* Abstract names are those of fuzz-channel.c. */
                if (scheme == FERRY_SCHEME_UDG && rest > 0 && colon[1] == '@')
                        return ferry_address_scheme(text);
                if (scheme == FERRY_SCHEME_UNIX || scheme == FERRY_SCHEME_UDG)
                        return rest == 0 ? -EINVAL : rest > 107 ? -ENAMETOOLONG : scheme;
                if (scheme == FERRY_SCHEME_SSH)
                        return model_ssh(colon + 1, rest) ? scheme : -EINVAL;
                if (scheme == FERRY_SCHEME_NATS)
                        return rest > 1024 ? -ENAMETOOLONG : is_subject(colon + 1, rest) ? scheme : -EINVAL;
                if (scheme == FERRY_SCHEME_TCP || scheme == FERRY_SCHEME_UDP)
                        return is_port(colon + 1, rest) ? scheme : -EINVAL;
                return scheme == FERRY_SCHEME_STDIO && rest > 0 ? -EINVAL : scheme;
        }
        for (size_t i = 0; i < size; i++)
                if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'z') &&
                    !(text[i] >= 'A' && text[i] <= 'Z') && text[i] != '-' && text[i] != '_')
                        return -EINVAL;
        return size > 0 && size <= 64 ? FERRY_SCHEME_NAME : -EINVAL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark;
        size_t length = strnlen((const char *)data, size);
        char *text = fuzz_copy(data, length + 1 <= size ? length + 1 : size);
        ferry_loop *loop;
        ferry_session *session;
        ferry_service *service;
        int scheme, status;

        text = realloc(text, length + 1);
        if (!text)
                abort();
        text[length] = '\0';
        mark = fuzz_begin();
        door_judge = judge;
        scheme = ferry_address_scheme(text);
        FUZZ_REQUIRE(scheme == model(text, length), "%s: %d, by the model %d", text, scheme, model(text, length));
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, text, NULL);
        status = ferry_session_status(session);
        FUZZ_REQUIRE(status < 0, "%s is open", text);
        FUZZ_REQUIRE(scheme >= 0 || status == scheme, "%s: status %d, scheme %d", text, status, scheme);
        FUZZ_REQUIRE(*ferry_session_error(session) && strcmp(ferry_session_address(session), text) == 0, "no sentence");
        service = ferry_service_open(loop, text, NULL);
        status = ferry_service_status(service);
        FUZZ_REQUIRE(status < 0 && *ferry_service_error(service), "a service at %s: %d", text, status);
        ferry_loop_free(loop);
        free(text);
        fuzz_end(&mark);
        return 0;
}
