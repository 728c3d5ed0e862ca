/* Looks up names of hosts by `getent ahosts NAME`. Invariants: the child gets nothing of ours but the pipe that it writes to; what it
 * writes is not trusted to be addresses; its end is waited for, and not the end of its output, which a grandchild may hold. */
#include "stream/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { LABEL_MAX = 63 };

static bool is_one_of(char byte, char first, char last)
{
        return byte >= first && byte <= last;
}

/* 1.2, 127.1, 0x7f000001: the last part decides, as in URLs. */
static bool is_number(const char *label, size_t size)
{
        size_t digits = 0;

        if (size > 1 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
                return true;
        while (digits < size && is_one_of(label[digits], '0', '9'))
                digits++;
        return digits == size;
}

bool lookup_name_is_valid(const char *name, size_t size)
{
        size_t begin = 0;

        /* A dot at the end says that the name is whole. */
        if (size > 1 && name[size - 1] == '.')
                size--;
        if (size == 0 || size > LOOKUP_NAME_MAX - 1)
                return false;
        for (size_t i = 0; i <= size; i++) {
                if (i == size || name[i] == '.') {
                        if (i == begin || i - begin > LABEL_MAX || name[begin] == '-')
                                return false;
                        if (i == size)
                                return !is_number(name + begin, size - begin);
                        begin = i + 1;
                } else if (!is_one_of(name[i], 'a', 'z') && !is_one_of(name[i], 'A', 'Z') && !is_one_of(name[i], '0', '9') &&
                           name[i] != '-' && name[i] != '_')
                        return false;
        }
        return false;
}

/* The answer --------------------------------------------------------------------------------------------- */

static bool is_same(const union inet_address *a, const union inet_address *b)
{
        if (a->any.sa_family != b->any.sa_family)
                return false;
        if (a->any.sa_family == AF_INET)
                return a->ipv4.sin_addr.s_addr == b->ipv4.sin_addr.s_addr;
        return IN6_ARE_ADDR_EQUAL(&a->ipv6.sin6_addr, &b->ipv6.sin6_addr);
}

/* "ADDRESS  STREAM NAME": each address stands there once for each type of socket. One that stands for any, which some filters of
 * names answer, would lead to this machine. */
static void take_line(struct captured *captured, const char *bytes, size_t size)
{
        struct lookup *lookup = container_of(captured, struct lookup, output);
        union inet_address *address = &lookup->addresses[lookup->count];
        char text[INET6_ADDRSTRLEN];
        size_t end = 0;

        while (end < size && bytes[end] != ' ' && bytes[end] != '\t')
                end++;
        if (lookup->count == LOOKUP_ADDRESSES_MAX || end >= sizeof text)
                return;
        memcpy(text, bytes, end);
        text[end] = '\0';
        *address = (union inet_address){ 0 };
        if (inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1) {
                address->ipv4.sin_family = AF_INET;
                address->ipv4.sin_port = lookup->port;
        } else if (inet_pton(AF_INET6, text, &address->ipv6.sin6_addr) == 1) {
                address->ipv6.sin6_family = AF_INET6;
                address->ipv6.sin6_port = lookup->port;
        } else
                return;
        if (inet_is_unspecified(address))
                return;
        for (int i = 0; i < lookup->count; i++)
                if (is_same(address, &lookup->addresses[i]))
                        return;
        lookup->count++;
}

static bool is_gone(const struct captured *captured)
{
        return container_of(captured, const struct lookup, output)->is_freed;
}

enum { GETENT_NOT_FOUND = 2 };

static void judge(struct lookup *lookup)
{
        const struct child *child = &lookup->child;
        bool is_unknown = child_has_unknown_status(child), is_found = child->status == 0 && !child->is_killed;
        char end[128];

        if (lookup->count > 0 && (is_found || is_unknown))
                return;
        lookup->count = 0;
        child_describe(child, end, sizeof end);
        if (lookup->output.error)
                error_set(&lookup->error, lookup->output.error, "cannot look up the host '%s': cannot read what getent answers: %s",
                          lookup->name, error_describe(lookup->output.error));
        else if (!child->is_killed && (is_found || child->status == GETENT_NOT_FOUND))
                error_set(&lookup->error, -EHOSTUNREACH, "the host '%s' is unknown: getent ahosts finds no address of it", lookup->name);
        else
                error_set(&lookup->error, is_unknown ? -ECHILD : -EIO, "cannot look up the host '%s': getent %s", lookup->name, end);
}

static void has_ended(struct child *child)
{
        struct lookup *lookup = container_of(child, struct lookup, child);

        captured_drain(&lookup->output);
        judge(lookup);
        lookup->done(lookup->object);
}

static const struct child_owner child_owner = { .ended = has_ended };

/* The question ------------------------------------------------------------------------------------------- */

static int start_getent(struct lookup *lookup, int nothing, int output, struct error *error)
{
        const char *const argv[] = { "getent", "ahosts", lookup->name, NULL };
        const struct child_spec spec = { .argv = argv, .is_exact = true, .fds = { nothing, output, nothing } };
        int code = child_start(&lookup->child, lookup->output.source.loop, &spec, &child_owner);

        if (code == -ENOENT)
                return error_set(error, -EOPNOTSUPP, "cannot look up the host '%s': getent, which does that, is not installed (Debian:"
                                                     " libc-bin): install it, or write the address in numbers", lookup->name);
        return code;
}

static int ask(struct lookup *lookup, struct error *error)
{
        int nothing = sys_open("/dev/null", O_RDWR, 0), ends[2], code;

        if (nothing < 0)
                return nothing;
        code = sys_pipe(ends);
        if (!code) {
                code = captured_open(&lookup->output, ends[0]);
                if (code)
                        sys_close(ends[0]);
                else
                        code = start_getent(lookup, nothing, ends[1], error);
                sys_close(ends[1]);
        }
        sys_close(nothing);
        return code;
}

int lookup_start(ferry_loop *loop, const char *name, in_port_t port, void (*done)(void *object), void *object,
                 struct lookup **ret, struct error *error)
{
        struct lookup *lookup = sys_alloc_zeroed(sizeof *lookup);
        int code;

        if (!lookup)
                return error_set(error, -ENOMEM, "no memory to look up the host '%s'", name);
        lookup->child = (struct child)CHILD_NONE;
        lookup->child.loop = loop;
        lookup->done = done;
        lookup->object = object;
        lookup->port = port;
        memcpy(lookup->name, name, strnlen(name, LOOKUP_NAME_MAX));
        captured_init(&lookup->output, loop, true, take_line, is_gone);
        code = ask(lookup, error);
        if (!code) {
                *ret = lookup;
                return 0;
        }
        lookup_free(lookup);
        return error_set(error, code, "cannot look up the host '%s': getent cannot be started: %s", name, error_describe(code));
}

bool lookup_is_running(const struct lookup *lookup)
{
        return !lookup->child.has_ended;
}

static void bury(struct loop_grave *grave)
{
        sys_free(container_of(grave, struct lookup, grave));
}

void lookup_free(struct lookup *lookup)
{
        ferry_loop *loop = lookup->output.source.loop;

        lookup->is_freed = true;
        captured_close(&lookup->output, loop_is_foreign(loop));
        child_deinit(&lookup->child);
        error_deinit(&lookup->error);
        loop_bury(loop, &lookup->grave, bury);
}
