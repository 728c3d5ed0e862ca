/* Asks the kernel (sock_diag(7)) for the sockets that are bound to files, and compares those files with ours. So it does
 * not matter by which path a server has bound its socket, relative or through links, nor which bytes that has; and
 * /proc/net/unix, which reports paths only, could be made to say anything by a line break in one of them. */
#include "stream/bound.h"

#include "stream/lock.h"
#include "util/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/sysmacros.h>

enum {
        /* States of sockets, which the kernel names after those of TCP, and does not export. */
        STATE_CLOSE = 7,
        STATE_LISTEN = 10,
        ANSWER_MAX = 16384,     /* twice what the kernel puts into one */
};

struct request {
        struct nlmsghdr header;
        struct unix_diag_req body;
};

/* What one message says of a socket. */
struct sight {
        const struct unix_diag_vfs *file;
        const char *path;
        size_t path_size;
};

static const char *last_part(const char *path, size_t size)
{
        const char *slash = memrchr(path, '/', size);

        return slash ? slash + 1 : path;
}

static bool has_last_part(const struct sight *sight, const char *path)
{
        size_t size = strnlen(sight->path ? sight->path : "", sight->path_size);
        const char *theirs = sight->path ? last_part(sight->path, size) : "";
        const char *ours = last_part(path, strlen(path));

        return size > 0 && strlen(ours) == size - (size_t)(theirs - sight->path) &&
               memcmp(theirs, ours, strlen(ours)) == 0;
}

/* The kernel reports 32 bits of the number of a file; and file systems that are made of others (btrfs, overlayfs) report
 * programs another device than the kernel has for them. */
static bool is_same(const struct sight *sight, const struct bound *bound)
{
        return sight->file->udiag_vfs_ino == (uint32_t)bound->stat.st_ino &&
               (sight->file->udiag_vfs_dev == (major(bound->stat.st_dev) << 20 | minor(bound->stat.st_dev)) ||
                has_last_part(sight, bound->path));
}

static void compare(struct list *sockets, const struct nlmsghdr *message)
{
        const struct unix_diag_msg *socket = NLMSG_DATA(message);
        struct sight sight = { 0 };
        const struct nlattr *at;

        for (size_t offset = NLMSG_LENGTH(sizeof *socket); offset + sizeof *at <= message->nlmsg_len;
             offset += NLMSG_ALIGN(at->nla_len)) {
                at = (const void *)((const char *)message + offset);
                if (at->nla_len < sizeof *at || at->nla_len > message->nlmsg_len - offset)
                        break;
                if (at->nla_type == UNIX_DIAG_NAME) {
                        sight.path = (const char *)(at + 1);
                        sight.path_size = at->nla_len - sizeof *at;
                } else if (at->nla_type == UNIX_DIAG_VFS && at->nla_len >= sizeof *at + sizeof *sight.file)
                        sight.file = (const void *)(at + 1);
        }
        if (!sight.file)
                return;
        list_for_each(sockets, link) {
                struct bound *bound = container_of(link, struct bound, link);

                if (!is_same(&sight, bound))
                        continue;
                bound->is_bound = true;
                bound->is_listening = bound->is_listening || socket->udiag_state == STATE_LISTEN;
                bound->is_datagram = bound->is_datagram || socket->udiag_type == SOCK_DGRAM;
        }
}

/* 1 if more comes, 0 behind the last, or a negative errno. */
static int read_answer(int fd, struct list *sockets)
{
        char bytes[ANSWER_MAX] __attribute__((__aligned__(NLMSG_ALIGNTO)));
        ssize_t got = sys_recv(fd, bytes, sizeof bytes);
        const struct nlmsghdr *at;

        if (got <= 0)
                return got < 0 ? (int)got : -EOPNOTSUPP;
        for (size_t offset = 0; offset + sizeof *at <= (size_t)got; offset += NLMSG_ALIGN(at->nlmsg_len)) {
                at = (const void *)(bytes + offset);
                if (at->nlmsg_len < sizeof *at || at->nlmsg_len > (size_t)got - offset)
                        return -EOPNOTSUPP;
                if (at->nlmsg_type == NLMSG_DONE)
                        return 0;
                if (at->nlmsg_type == NLMSG_ERROR)
                        return -EOPNOTSUPP;
                if (at->nlmsg_type == SOCK_DIAG_BY_FAMILY)
                        compare(sockets, at);
        }
        return 1;
}

int bound_look(struct list *sockets)
{
        const struct request request = {
                .header = { .nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
                .body = { .sdiag_family = AF_UNIX, .udiag_states = 1u << STATE_LISTEN | 1u << STATE_CLOSE,
                          .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS },
        };
        int fd, code;

        if (list_is_empty(sockets))
                return 0;
        fd = sys_netlink(NETLINK_SOCK_DIAG);
        code = fd < 0 ? fd : (int)sys_send(fd, &request, sizeof request);
        while (code > 0)
                code = read_answer(fd, sockets);
        if (fd >= 0)
                sys_close(fd);
        if (code == -ENOBUFS)
                code = -ENOMEM;
        return code == -ENOMEM || code == -EMFILE || code == -ENFILE ? code : 0;
}

/* Which file is at a path. */
static int look_at(const char *path, struct stat *ret_stat)
{
        int fd = sys_open(path, O_PATH, 0), code;

        if (fd < 0)
                return fd;
        code = sys_stat_fd(fd, ret_stat);
        sys_close(fd);
        return code;
}

/* A service of ferry says by its lock that it listens; of others the kernel knows. */
int bound_find(const char *path, int type, bool *ret_is_bound)
{
        struct list sockets = LIST_INIT(sockets);
        struct bound bound = { .path = path };
        struct lock_record record;
        int code = look_at(path, &bound.stat);

        *ret_is_bound = false;
        if (code || !S_ISSOCK(bound.stat.st_mode))
                return code == -ENOENT ? 0 : code;
        code = type == SOCK_STREAM ? lock_read(path, bound.stat.st_uid, &record) : 0;
        if (code)
                return code;
        list_append(&sockets, &bound.link);
        code = bound_look(&sockets);
        *ret_is_bound = bound.is_bound;
        return code ? code : type == SOCK_DGRAM ? bound.is_datagram : bound.is_listening;
}
